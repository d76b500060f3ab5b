"""An alert rule that fired, as the API's tests need it."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

from heartfly.core.alert_rules import Seen, verdict
from heartfly.core.rule_states import step
from heartfly.db.changes import Tx
from heartfly.rules.look import Looked, Move, write
from heartfly.rules.queries import looked_at
from heartfly.rules.rows import stored
from tests.api.conftest import START
from tests.api.door import House

RULE: dict[str, Any] = {
    "name": "busy",
    "by": ["provider"],
    "conditions": [{"of": "calls", "metric": "requests", "window": 3600, "threshold": "10"}],
}


async def an_alert(house: House, *, provider: str = "openai", name: str = "furnished") -> dict[str, str]:
    """The ids of a rule, and of the alert that it raised."""
    made = (await house.full("POST", "/v1/alert-rules", RULE | {"name": name})).json["id"]
    await fire(house, made, provider=provider)
    alerts = (await house.full("GET", f"/v1/alert-rules/alerts?rule={made}")).json["items"]
    return {"{rule_id}": made, "{alert_id}": alerts[0]["id"]}


async def fire(house: House, rule: str, *, provider: str = "openai", after: timedelta = timedelta(minutes=1)) -> None:
    """As a look writes it that saw eleven calls."""
    world, at = house.world, START + after
    async with world.db.read() as read:
        (of,) = [stored(row) for row in await looked_at(read, world.project.pid) if row.uuid == rule]
    seen = (Seen(value=Fraction(11), n=11),)
    judged = verdict(of.rule, seen, firing=False)
    stepped = step(None, holds=judged.holds, wait=of.rule.wait, cooldown=of.rule.cooldown, at=at)
    move = Move(of, (provider,), None, stepped, seen, judged, (provider,))

    def command(tx: Tx) -> None:
        write(tx, world.project.pid, [of], [move], Looked(), now=at, ids=world.ids)

    await world.db.write(command)
