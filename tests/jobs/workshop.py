"""Jobs of a test's own, on a clock that the test moves: what their work does is the test's to say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.config import Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, job_runs, jobs
from heartfly.jobs.kind import CatchUp, Done, JobKind, Work
from heartfly.jobs.run import Jobs
from heartfly.pings.ingest import Ingest
from tests.sim_clock import SimClock
from tests.world import World

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SETTINGS = Settings()


async def nothing(_: Work) -> Done:
    return Done()


def kind_of(
    work: Callable[[Work], Awaitable[Done]] = nothing,
    *,
    name: str = "sweep",
    expression: str = "0 3 * * *",
    catch_up: CatchUp = CatchUp.LAST,
    off: str | None = None,
) -> JobKind:
    """Each night at three, unless said."""
    return JobKind(
        name=name,
        title=f"Heartfly {name}",
        about="It sweeps.",
        expression=expression,
        grace=HOUR,
        max_run=HOUR,
        work=work,
        catch_up=catch_up,
        off=off,
    )


class Workshop:
    """One node that runs jobs over a world."""

    def __init__(
        self, world: World, clock: SimClock, *kinds: JobKind, node_id: int = 1, db: Database | None = None
    ) -> None:
        self.world = world
        self.clock = clock
        self.db = db or world.db
        self.ingest = Ingest(self.db, world.applier, clock)
        self.jobs = Jobs(
            self.db, kinds=kinds, ingest=self.ingest, clock=clock, ids=IdSource(500 + node_id), node_id=node_id
        )

    async def go(self, to: datetime) -> None:
        """Let time pass, and do what has come."""
        self.clock.move_to(to)
        await self.look()

    async def look(self) -> datetime | None:
        """All that is to be done by now: a job that ends may have another slot waiting."""
        while True:
            before = await self.runs()
            at = await self.jobs.look()
            await self.jobs.idle()
            if before == await self.runs():
                return at

    async def runs(self) -> list[Any]:
        return await self.world._all(sa.select(job_runs).order_by(job_runs.c.slot_at))

    async def job(self, name: str = "sweep") -> Any:
        return await self.world._one(sa.select(jobs).where(jobs.c.kind == name))

    async def checks(self) -> list[Any]:
        return await self.world._all(sa.select(checks).where(checks.c.job.is_not(None)).order_by(checks.c.id))

    async def check(self) -> Any:
        (check,) = await self.checks()
        return check
