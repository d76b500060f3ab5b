"""What rules, budgets and limits keep of a customer: whose names go from all of it when he is erased."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.alert_rules import Seen, verdict
from heartfly.core.rule_states import step
from heartfly.db.database import Database
from heartfly.db.models import alerts, metadata, rule_standings, usage_metadata
from heartfly.rules.look import Looked, Move, write
from heartfly.rules.queries import looked_at
from heartfly.rules.rows import stored
from tests.api.conftest import START
from tests.api.door import House
from tests.api.fired import RULE

pytestmark = pytest.mark.anyio

NAMED_IN = ("Zenobia", "büro-77", "old-77")


async def fire(house: House, *scopes: tuple[str, str]) -> None:
    """Each rule, for customers by what they are called within and for people."""
    world, at = house.world, START + timedelta(minutes=1)
    pid = world.project.pid
    async with world.db.read() as read:
        rules = [stored(row) for row in await looked_at(read, pid)]
    moves = []
    seen = (Seen(value=Fraction(11), n=11),)
    for rule in rules:
        for scope, name in scopes if rule.rule.by else [("", "")]:
            judged = verdict(rule.rule, seen, firing=False)
            stepped = step(None, holds=judged.holds, wait=rule.rule.wait, cooldown=rule.rule.cooldown, at=at)
            key, words = ((scope,), (name,)) if rule.rule.by else ((), ())
            moves.append(Move(rule, key, None, stepped, seen, judged, words))
    await world.db.write(lambda tx: write(tx, pid, rules, moves, Looked(), now=at, ids=world.ids))


async def naming(db: Database, usage: Database, pid: int, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Tables of either part with one of these in a row of the project."""
    found = []
    for part, its in ((db, metadata), (usage, usage_metadata)):
        async with part.read() as read:
            for table in its.sorted_tables:
                if "pid" in table.c:
                    rows = (await read.execute(sa.select(table).where(table.c.pid == pid))).all()
                    found += [(table.name, name) for name in names if any(name in repr(tuple(row)) for row in rows)]
    return sorted(set(found))


async def test_rules_budgets_limits_and_what_they_told_name_nobody_who_is_erased(
    house: House, usage_db: Database
) -> None:
    his = ["büro-77", "old-77"]
    made = await house.full("POST", "/v1/customers", {"name": "Zenobia", "aliases": his})
    customer = made.json["id"]
    where = {"where": {"customer": [his[0], "other"]}}
    hook = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.com/x"}}
    assert 201 == (await house.full("POST", "/v1/channels", hook)).status
    posted: list[tuple[str, dict[str, Any]]] = [
        ("alert-rules", RULE | {"name": "each", "by": ["customer"]}),
        ("alert-rules", RULE | {"name": "few", "by": [], "conditions": [RULE["conditions"][0] | where]}),
        ("limits", {"kind": "rolling", "period_s": 60, "amount": 3, "scope": {"customer": his[0]}}),
        ("budgets", {"name": "stops", "currency": "USD", "amount": "9", "scope": {"customer": [his[0]]},
                     "hard_stop": True}),
        ("budgets", {"name": "parts", "currency": "USD", "amount": "9", "allocations": [
            {"by": "customer", "name": his[0], "amount": "1"}, {"by": "customer", "name": his[1], "amount": "2"},
            {"by": "customer", "name": "other", "amount": "3"}]}),
    ]  # fmt: skip
    paths = []
    for kind, body in posted:
        reply = await house.full("POST", f"/v1/{kind}", body)
        assert 201 == reply.status, reply.body
        paths.append(f"/v1/{kind}/{reply.json['id']}")
    await fire(house, (customer, "Zenobia"), (his[1], his[1]), ("other", "Other"))
    pid = house.world.project.pid
    assert {
        "alert_rules",
        "alerts",
        "audit",
        "budgets",
        "budget_allocations",
        "incidents",
        "rule_alerts",
        "limits",
    } <= {table for table, _ in await naming(house.world.db, usage_db, pid, NAMED_IN)}

    erased = await house.full("POST", f"/v1/customers/{customer}/erase?confirm={customer}")
    await house.full("PATCH", paths[3], {"amount": "10"})  # looked at, its limit is made again

    assert 200 == erased.status, erased.body
    assert [] == [one for one in await naming(house.world.db, usage_db, pid, NAMED_IN) if one[0] != "usage_names"]
    _, few, _, stops, parts = [(await house.read("GET", path)).json for path in paths]
    assert sorted([customer, "other"]) == sorted(few["conditions"][0]["where"]["customer"])
    assert {"customer": [customer]} == stops["scope"]
    assert {(customer, "3"), ("other", "3")} == {(one["name"], one["amount"]) for one in parts["allocations"]}
    told = (await house.read("GET", "/v1/alert-rules/alerts")).json["items"]
    assert ["", "customer Other", "customer erased", "customer erased"] == sorted(one["scope_words"] for one in told)
    async with house.world.db.read() as read:
        left = (await read.execute(sa.select(rule_standings.c.scope))).scalars().all()
        keys = (await read.execute(sa.select(alerts.c.key))).scalars().all()
    assert ['["other"]', "[]"] == sorted(left)
    assert len(keys) == len(set(keys))
