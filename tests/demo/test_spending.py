"""The demo has limits, budgets and alert rules whose figures are its calls'; an alert was told, and has ended."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from heartfly.budgets.look import look
from heartfly.core.budgets import BudgetState
from heartfly.core.money import MONEY_ONE, money
from heartfly.db import models as tables
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.demo.calls import fill_calls
from heartfly.demo.fill import Filled
from heartfly.demo.spending import fill_spending
from heartfly.limits.queries import list_limits
from tests.calls.bill import make_bill
from tests.demo.test_fill import NOW, all_of, filling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def filled(db: Database, usage_db: Database) -> Filled:
    ids = IdSource(0)
    found = await db.write(filling())
    await usage_db.write(lambda tx: fill_calls(tx, found.project, seed=1, now=NOW, ids=ids))
    await db.write(lambda tx: fill_spending(tx, found, seed=1, now=NOW, ids=ids))
    return found


async def test_limits_are_used_as_far_as_calls_used_them(filled: Filled, usage_db: Database) -> None:
    async with usage_db.read() as read:
        found = {one.row.name: one for one in await list_limits(read, filled.project.pid, now=NOW, limit=10)}
    used = {name: one.fullest.percent for name, one in found.items() if one.fullest is not None}
    assert (82, 61) == (used["OpenAI, 30 days"], used["Anthropic, a month"])
    assert (14, 4) == (found["Load tests"].checked, found["Load tests"].denied)


async def test_an_alert_was_told_taken_care_of_and_ended(filled: Filled, db: Database) -> None:
    i, n = tables.incidents.c, tables.notifications.c
    (one,) = await all_of(db, sa.select(tables.incidents).where(i.source_kind == "rule"))
    assert "Error rate of a provider (provider openai)" == one.source_name
    assert one.opened_at < one.acked_at < one.closed_at < NOW
    assert one.explain.startswith("Error rate of calls in 1 h: ")
    states = [row.state for row in await all_of(db, sa.select(n.state).where(n.source.like("rule:%")))]
    assert {"sent", "failed"} == set(states)
    assert 6 == len(states)  # it began and ended, on three channels of which one is gone


async def test_a_budget_will_not_last(filled: Filled, db: Database, usage_db: Database) -> None:
    pid = filled.project.pid
    await make_bill(usage_db, IdSource(2)).fold()
    row = (await all_of(db, sa.select(tables.budgets).where(tables.budgets.c.name == "Language models")))[0]
    outcome = await look(db, usage_db, pid, row.uuid, now=NOW, ids=IdSource(1))
    (period,) = await all_of(db, sa.select(tables.budget_periods).where(tables.budget_periods.c.budget_id == row.id))
    assert (BudgetState.ACTIVE, ["50"]) == (outcome.state, [mark.what for mark in outcome.told])
    spent, whole = money(period.spent), row.amount * MONEY_ONE // 10**6
    assert whole * 70 // 100 < spent < whole < spent * 30 // 20
