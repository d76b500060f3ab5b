"""The job of budgets: a hard stop never outlives its budget, whatever dies between the two parts."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.budgets import commands
from heartfly.core.budgets import Turn
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import limits
from heartfly.errors import OverloadedError
from heartfly.jobs.catalogue import budgets
from heartfly.limits.asked import Asked, wanted_of
from heartfly.limits.commands import create
from tests.budgets.treasury import Treasury
from tests.jobs.workshop import MINUTE, Workshop
from tests.sim_clock import SimClock
from tests.world import TEST, World

pytestmark = pytest.mark.anyio


class Office(Treasury):
    """Whose job looks each minute."""

    def __init__(self, world: World, usage: Database, clock: SimClock, ids: IdSource) -> None:
        super().__init__(world, usage, clock)
        self.shop = Workshop(world, clock, budgets(world.db, usage=usage, ids=ids))

    async def minute(self) -> None:
        await self.shop.go(self.clock.now() + MINUTE)

    async def limits(self) -> set[str]:
        async with self.usage.read() as read:
            query = sa.select(limits.c.name).where(limits.c.pid == self.pid)
            return set((await read.execute(query)).scalars())


@pytest.fixture
async def office(world: World, usage_db: Database, clock: SimClock, ids: IdSource) -> Office:
    made = Office(world, usage_db, clock, ids)
    wanted = wanted_of(Asked(name="People's", amount="10", unit="calls", kind="rolling", period_s=3_600), zone="UTC")
    await usage_db.write(lambda tx: create(tx, made.pid, wanted, actor=TEST, at=clock.now(), ids=ids))
    return made


@pytest.mark.parametrize("end", ["cancelled", "deleted"])
async def test_a_hard_stop_whose_budget_ended_in_a_crash_is_gone_within_a_minute(office: Office, end: str) -> None:
    cut_off = partial(commands.turn, what=Turn.CANCEL) if end == "cancelled" else commands.delete

    async def ends(budget: str) -> None:
        """Its process dies before it comes to the limit."""
        at = office.clock.now()
        await office.world.db.write(
            lambda tx: cut_off(tx, office.pid, budget, rev=None, actor=TEST, at=at, ids=office.ids)
        )

    first, last = [await office.budget(name=name, hard_stop=True) for name in ("First", "Last")]
    await office.minute()
    await ends(first)
    assert {"First", "Last", "People's"} == await office.limits()
    await office.minute()
    assert {"Last", "People's"} == await office.limits()

    await ends(last)  # no budget is left to be looked at
    await office.minute()
    assert {"People's"} == await office.limits()


async def test_a_look_without_time_is_made_up_for_and_only_three_in_a_row_fail(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.budget(thresholds=[50])
    await office.minute()  # the job is listed, and has its first slot in the next one
    await office.call("60")
    await office.fold()
    read, outcomes = office.usage.read, list[tuple[str, int]]()

    def away() -> Any:
        raise OverloadedError("the question takes too long to answer")

    for is_busy in (True, True, False, True, True, True):
        monkeypatch.setattr(office.usage, "read", away if is_busy else read)
        await office.minute()
        run = (await office.shop.runs())[-1]
        outcomes.append((run.outcome, run.figures["told"]))

    assert [("ok", 0), ("ok", 0), ("ok", 1), ("ok", 0), ("ok", 0), ("failed", 0)] == outcomes
