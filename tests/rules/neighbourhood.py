"""A project that calls others' APIs, serves requests, and has alert rules: the job looks, real receivers hear."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.rule_definitions import rule_from
from heartfly.core.words import Severity
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alert_rules, incidents, rule_alerts, rule_standings
from heartfly.jobs.catalogue import alert_rules as alert_rules_job
from heartfly.rules.commands import Wanted, create
from tests.jobs.workshop import MINUTE, Workshop
from tests.notify.receivers import HttpReceiver
from tests.stories.story import DAY, Story, begin
from tests.traffic.oracle import Hit
from tests.usage.factory import Plant
from tests.world import TEST

TEN = DAY + timedelta(hours=10)
CALLS: dict[str, Any] = {"of": "calls", "metric": "requests", "window": 3600, "threshold": "10"}


class Neighbourhood:
    def __init__(self, story: Story, usage: Database, ids: IdSource) -> None:
        self.story, self.ids, self.usage = story, ids, usage
        self.pid = story.world.project.pid
        self.plant = Plant(usage, story.clock, ids, pid=story.world.project.pid)
        self.shop = Workshop(story.world, story.clock, alert_rules_job(story.world.db, usage=usage, ids=ids))
        self._n = 0

    async def rule(
        self, *conditions: dict[str, Any], name: str = "a rule", severity: str = "medium", **rest: Any
    ) -> str:
        channels = rest.pop("channels", None)
        if "wait" in rest:
            rest["for"] = rest.pop("wait")  # a word of the language
        definition = {**rest, "conditions": list(conditions)}
        wanted = Wanted(name=name, rule=rule_from(definition), severity=Severity(severity), channel_uuids=channels)
        at = self.story.clock.now()
        row = await self.story.world.db.write(lambda tx: create(tx, self.pid, wanted, at=at, actor=TEST, ids=self.ids))
        await self.shop.look()  # the job is listed, and has its first slot in the next minute
        return str(row.uuid)

    async def calls(self, at: datetime, n: int = 1, *, customer: str = "acme", **properties: Any) -> None:
        """So many calls that come, and happened, then."""
        self.move(at)
        told = {"provider": "openai", "model": "gpt", "status": "200", "latency_ms": "120"} | properties
        found = []
        for _ in range(n):
            self._n += 1
            found.append(
                {
                    "event_type": "api.call",
                    "customer_id": customer,
                    "transaction_id": f"call-{self._n}",
                    "timestamp": at.astimezone(UTC).isoformat(),
                    "properties": {name: value for name, value in told.items() if value is not None},
                }
            )
        for start in range(0, n, 100):
            await self.plant.ingest.take(self.pid, found[start : start + 100], wire="native")

    async def requests(self, at: datetime, n: int = 1, **told: Any) -> None:
        self.move(at)
        found = []
        for _ in range(n):
            self._n += 1
            found.append(Hit(number=self._n, at=at, **told).wire())
        for start in range(0, n, 100):
            await self.plant.ingest.take(self.pid, found[start : start + 100], wire="native")

    def move(self, at: datetime) -> None:
        if at > self.story.clock.now():
            self.story.clock.move_to(at)

    async def look(self, at: datetime) -> list[str]:
        """What was told by this look, as `rule.firing error rate (provider openai)`."""
        self.move(at)
        await self.plant.fold()
        await self.shop.go(at)
        await self.story.dispatcher.round(at)
        return [_short(event) for event in self.heard() if event.get("concern") is not None]

    def heard(self) -> list[dict[str, Any]]:
        new = self.story.receiver.requests[self.story.told :]
        self.story.told = len(self.story.receiver.requests)
        return [json.loads(request.body) for request in new]

    async def looks(self, from_at: datetime, to_at: datetime, every: timedelta = MINUTE) -> list[tuple[int, str]]:
        """Of a look each minute: when what was told, in minutes."""
        found, at = [], from_at
        while at < to_at:
            found += [((at - from_at) // MINUTE, told) for told in await self.look(at)]
            at += every
        return found

    async def figures(self) -> dict[str, Any]:
        """Of the job's last run."""
        runs = await self.shop.runs()
        return dict(runs[-1].figures) | {"outcome": runs[-1].outcome, "words": runs[-1].words}

    async def rows(self, table: sa.Table) -> list[Any]:
        return await self.story.world._all(sa.select(table).where(table.c.pid == self.pid))

    async def standings(self) -> dict[str, str]:
        return {row.scope: row.state for row in await self.rows(rule_standings)}

    async def alerts(self) -> list[Any]:
        query = sa.select(rule_alerts, incidents.c.uuid, incidents.c.closed_at, incidents.c.ended_by)
        joined = query.join(incidents, incidents.c.id == rule_alerts.c.incident_id)
        return await self.story.world._all(joined.order_by(incidents.c.id))

    async def rules(self) -> list[Any]:
        return await self.rows(alert_rules)


def _short(event: dict[str, Any]) -> str:
    concern = event["concern"]
    scope = f" ({concern['scope']})" if concern["scope"] else ""
    return f"{event['type']} {concern['name']}{scope}"


@asynccontextmanager
async def neighbourhood(db: Database, usage: Database, ids: IdSource) -> AsyncIterator[Neighbourhood]:
    async with HttpReceiver() as receiver:
        story = await begin(db, ids, receiver)
        await story.channel("hook")
        yield Neighbourhood(story, usage, ids)
        await story.http.aclose()
