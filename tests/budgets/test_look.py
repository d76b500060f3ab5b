"""A look at a budget: nothing is told twice or lost, whatever dies, whoever else looks, and whatever comes late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.commands import MOST, create
from heartfly.budgets.config import BudgetIn
from heartfly.budgets.look import look
from heartfly.budgets.rows import projects_with_budgets
from heartfly.core.amounts import ONE
from heartfly.core.budgets import Kind, Mark, Turn
from heartfly.db.changes import Tx
from heartfly.db.models import (
    budget_channels,
    budget_marks,
    budget_periods,
    channels,
    limits,
    notifications,
    projects,
)
from heartfly.errors import ConflictError, NotFoundError, StoreError
from heartfly.limits.commands import set_used
from heartfly.limits.queries import counters_of
from heartfly.notify.commands import create_channel, delete_channel
from tests.budgets.treasury import Dying, Treasury
from tests.sim_clock import SimClock
from tests.world import SEALER, TEST

pytestmark = pytest.mark.anyio

MARCH = "2026-03-01"
DAY = timedelta(days=1)


async def a_channel(treasury: Treasury, name: str = "hook") -> str:
    made = await treasury.world.db.write(
        lambda tx: create_channel(
            tx,
            treasury.pid,
            kind="webhook",
            name=name,
            config={"url": f"https://hooks.example.com/{name}"},
            at=treasury.clock.now(),
            ids=treasury.ids,
            sealer=SEALER,
        )
    )
    return made.uuid


async def n_notified(treasury: Treasury) -> int:
    return len(await treasury.world._all(sa.select(notifications)))


class Busy:
    """Usage in which so much is counted by checks between what is read of it and what is written."""

    def __init__(self, treasury: Treasury, dollars: int) -> None:
        self._usage, self._pid, self._at = treasury.usage, treasury.pid, treasury.clock.now()
        self._dollars = dollars

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._usage.read()

    async def write(self, piece: Callable[[Tx], Any]) -> Any:
        await self.count()
        return await self._usage.write(piece)

    async def count(self) -> None:
        def put(tx: Tx) -> None:
            uuid = tx.conn.execute(sa.select(limits.c.uuid)).scalar_one()
            set_used(tx, self._pid, uuid, self._dollars * ONE, at=self._at)

        await self._usage.write(put)


async def test_what_is_crossed_at_once_is_told_one_by_one_and_belongs_to_one_incident(treasury: Treasury) -> None:
    await a_channel(treasury)
    budget = await treasury.budget()
    await treasury.call("96.5")

    outcome = await treasury.look(budget)

    assert [Mark(Kind.THRESHOLD, str(percent)) for percent in (50, 80, 90)] == outcome.told
    alerts = await treasury.alerts()
    assert ["50 % of 100.00 USD", "80 % of 100.00 USD", "90 % of 100.00 USD"] == [
        one["concern"]["threshold"] for one in alerts
    ]
    assert [f"{MARCH}:{percent}" for percent in (50, 80, 90)] == [one["key"].split(":", 2)[2] for one in alerts]
    assert ["medium", "medium", "high"] == [one["concern"]["severity"] for one in alerts]
    assert {("spent", "96.50 USD, 96 %", "March 2026")} == {
        (one["concern"]["what"], one["concern"]["figure"], one["concern"]["window"]) for one in alerts
    }
    (incident,) = await treasury.incidents()
    assert ("budget", budget, "Models", None) == (
        incident.source_kind, incident.source_uuid, incident.source_name, incident.closed_at,
    )  # fmt: skip
    assert 3 == await n_notified(treasury)


@pytest.mark.parametrize("committed", [False, True])
async def test_whatever_dies_between_nothing_is_lost_or_told_twice(treasury: Treasury, *, committed: bool) -> None:
    await a_channel(treasury)
    budget = await treasury.budget()
    await treasury.call("85")

    with pytest.raises(StoreError, match="it died"):
        await treasury.look(budget, Dying(treasury.world.db, 1, committed=committed))
    await treasury.look(budget)
    await treasury.look(budget)

    assert [(MARCH, "50", 1), (MARCH, "80", 1)] == await treasury.told(budget)
    assert (2, 2, 1) == (len(await treasury.alerts()), await n_notified(treasury), len(await treasury.incidents()))


async def test_who_looks_at_the_same_time_tells_nothing_twice(treasury: Treasury) -> None:
    await a_channel(treasury)
    budget = await treasury.budget()
    await treasury.call("100")

    outcomes = await asyncio.gather(*(treasury.look(budget) for _ in range(8)))

    assert 4 == sum(len(one.told) for one in outcomes)
    assert 4 == len(await treasury.alerts())
    assert "exceeded" == await treasury.state(budget)


async def test_a_look_that_finds_nothing_new_writes_nothing(treasury: Treasury) -> None:
    budget = await treasury.budget()
    await treasury.call("85")
    await treasury.look(budget)
    treasury.clock.move_to(treasury.clock.now() + timedelta(minutes=1))

    await treasury.look(budget, Dying(treasury.world.db, 1, committed=True))

    assert [(MARCH, "50", 1), (MARCH, "80", 1)] == await treasury.told(budget)


async def test_only_channels_that_the_budget_names_hear_of_it(treasury: Treasury) -> None:
    first, second = await a_channel(treasury, "a"), await a_channel(treasury, "b")
    budget = await treasury.budget(channels=[second])
    await treasury.call("55")
    await treasury.look(budget)

    heard = await treasury.world._all(
        sa.select(channels.c.uuid).join(notifications, notifications.c.channel_id == channels.c.id)
    )
    assert [second] == [row.uuid for row in heard]
    await treasury.world.db.write(lambda tx: delete_channel(tx, treasury.pid, second, at=treasury.clock.now()))
    assert [] == await treasury.world._all(sa.select(budget_channels))
    await treasury.edit(budget, channels=["*"])
    await treasury.call("30")
    await treasury.look(budget)
    assert {first} == {
        row.uuid
        for row in await treasury.world._all(
            sa.select(channels.c.uuid).join(notifications, notifications.c.channel_id == channels.c.id)
        )
    }


async def test_nobody_need_listen_for_a_threshold_to_be_told_and_seen(treasury: Treasury) -> None:
    budget = await treasury.budget()
    await treasury.call("55")
    await treasury.look(budget)

    assert ([], 1) == (await treasury.alerts(), len(await treasury.incidents()))
    assert [(MARCH, "50", 1)] == await treasury.told(budget)


async def test_the_incident_ends_with_the_period_and_by_a_raise_and_is_told(
    treasury: Treasury, clock: SimClock
) -> None:
    await a_channel(treasury)
    budget = await treasury.budget()
    await treasury.call("55")
    await treasury.look(budget)
    await treasury.edit(budget, amount="1000")
    await treasury.call("500")
    await treasury.look(budget)
    clock.move_to(datetime(2026, 4, 1, tzinfo=UTC))
    await treasury.look(budget)

    kinds = [one["kind"] for one in await treasury.alerts()]
    assert ["budget.reached", "budget.cleared", "budget.reached", "budget.cleared"] == kinds
    assert [(MARCH, "50", 1), (MARCH, "50", 2)] == await treasury.told(budget)
    assert ["resolved", "resolved"] == [one.ended_by for one in await treasury.incidents()]


async def test_one_that_is_paused_or_deleted_has_no_incident_any_more_and_tells_nobody(treasury: Treasury) -> None:
    await a_channel(treasury)
    first, second = await treasury.budget(), await treasury.budget(name="Maps")
    await treasury.call("55")
    for budget in (first, second):
        await treasury.look(budget)

    await treasury.turn(first, Turn.PAUSE)
    await treasury.changer.delete(second, rev=None)

    assert {"by_hand", "deleted"} == {one.ended_by for one in await treasury.incidents()}
    assert 2 == len(await treasury.alerts())
    with pytest.raises(NotFoundError):
        await treasury.look(second)
    of_second = [len(await treasury.world._all(sa.select(table))) for table in (budget_marks, budget_periods)]
    assert [1, 1] == of_second  # those of the first


async def test_another_price_changes_the_spend_and_what_it_makes_true_is_told_once(treasury: Treasury) -> None:
    budget = await treasury.budget(amount="10")
    start = treasury.clock.now()
    for n in range(4):
        await treasury.call(None, at=start - n * timedelta(minutes=50))
    await treasury.price("1.25", at=start - timedelta(hours=4))
    await treasury.fold()
    await treasury.look(budget)
    half = await treasury.told(budget)

    await treasury.price("2.4", at=start - timedelta(hours=4))
    await treasury.fold()
    await treasury.look(budget)
    await treasury.price("0.1", at=start - timedelta(hours=4))
    await treasury.fold()
    await treasury.look(budget)

    assert [(MARCH, "50", 1)] == half
    assert [(MARCH, percent, 1) for percent in ("50", "80", "90")] == await treasury.told(budget)
    (row,) = await treasury.world._all(sa.select(budget_periods.c.spent))
    assert "0.4" == row.spent


async def test_what_comes_late_counts_for_its_period_as_it_was_agreed_then(treasury: Treasury, clock: SimClock) -> None:
    await a_channel(treasury)
    budget = await treasury.budget()
    await treasury.call("45")
    await treasury.look(budget)
    clock.move_to(datetime(2026, 4, 2, 12, tzinfo=UTC))
    await treasury.look(budget)
    await treasury.edit(budget, amount="1000", thresholds=[10, 50])

    await treasury.call("40", at=datetime(2026, 3, 31, 23, tzinfo=UTC))
    await treasury.look(budget)
    await treasury.look(budget)

    assert [(MARCH, "50", 1), (MARCH, "80", 1)] == await treasury.told(budget)
    (incident,) = await treasury.incidents()
    assert "resolved" == incident.ended_by  # it was over as it was found
    assert ["budget.reached"] * 2 == [one["kind"] for one in await treasury.alerts()]


async def test_after_some_weeks_a_period_is_judged_no_more_and_none_is_from_before_the_budget(
    treasury: Treasury, clock: SimClock
) -> None:
    await treasury.call("90", at=datetime(2026, 2, 20, tzinfo=UTC))
    budget = await treasury.budget(starts_on="2026-02-01")
    clock.move_to(datetime(2026, 5, 6, 12, tzinfo=UTC))
    await treasury.call("90", at=datetime(2026, 3, 20, tzinfo=UTC))
    await treasury.call("60", at=datetime(2026, 4, 20, tzinfo=UTC))

    await treasury.look(budget)

    assert [("2026-04-01", "50", 1)] == await treasury.told(budget)


async def test_a_period_in_which_nobody_could_look_is_judged_by_what_is_agreed(
    treasury: Treasury, clock: SimClock
) -> None:
    budget = await treasury.budget(period="custom", every_days=1)
    clock.move_to(clock.now() + 2 * DAY)
    await treasury.call("55", at=clock.now() - DAY)

    await treasury.look(budget)

    assert [("2026-03-11", "50", 1)] == await treasury.told(budget)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25), ("Asia/Kolkata", "2026-03-29", 24)],
)
async def test_a_day_on_which_the_clock_changes_has_its_calls_and_no_others(
    treasury: Treasury, clock: SimClock, zone: str, day: str, hours: int
) -> None:
    pid = treasury.pid
    await treasury.world.db.write(
        lambda tx: tx.conn.execute(sa.update(projects).where(projects.c.id == pid).values(zone=zone)).rowcount
    )
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    end = begin + timedelta(hours=hours)
    clock.move_to(end - timedelta(minutes=1))
    budget = await treasury.budget(period="custom", every_days=1, starts_on=day, thresholds=[7, 50])
    for at in (begin - timedelta(seconds=1), begin, end - timedelta(minutes=1)):
        await treasury.call("5", at=at)
    await treasury.look(budget)
    clock.move_to(end)
    await treasury.call("3", at=end)
    await treasury.look(budget)

    assert [(day, "7", 1)] == await treasury.told(budget)
    rows = await treasury.world._all(sa.select(budget_periods).order_by(budget_periods.c.first_day))
    assert ["10", "3"] == [row.spent for row in rows]


async def test_a_project_has_so_many_budgets_and_no_more(treasury: Treasury) -> None:
    days = {"currency": "USD", "amount": "1", "period": "project", "starts_on": "2026-05-01", "ends_on": "2026-05-02"}
    asked = [msgspec.convert({"name": f"b-{n}"} | days, BudgetIn) for n in range(MOST)]
    now, ids = treasury.clock.now(), treasury.world.ids

    def fill(tx: Tx) -> None:
        for one in asked:
            create(tx, treasury.pid, one, today=now.date(), actor=TEST, at=now, ids=ids)

    await treasury.world.db.write(fill)

    with pytest.raises(ConflictError, match="200"):
        await treasury.budget(name="one more")
    async with treasury.world.db.read() as read:
        assert [treasury.pid] == list(await projects_with_budgets(read))


async def test_what_is_counted_while_somebody_looks_is_not_lost_to_the_hard_stop(treasury: Treasury) -> None:
    budget = await treasury.budget(hard_stop=True)
    await treasury.call("10")
    await treasury.look(budget)
    await treasury.call("5")

    for counted, stands_at in ((40, 40), (12, 15)):
        usage: Any = Busy(treasury, counted)
        await look(treasury.world.db, usage, treasury.pid, budget, now=treasury.clock.now(), ids=treasury.ids)
        async with treasury.usage.read() as read:
            row = (await read.execute(sa.select(limits))).one()
            ((standing, _, _),) = await counters_of(read, treasury.pid, row, now=treasury.clock.now(), limit=10)
        assert stands_at * ONE == standing.used
        await Busy(treasury, 10).count()
