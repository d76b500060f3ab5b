"""A check's history is bounded: which runs go, and which must stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind, Reason
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import run_metrics, runs
from heartfly.monitor.judge import Judge
from heartfly.pings.prune import EVERY, Due, Keep, prune
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
RID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


async def keep_going(world: World, check: Any, start: datetime, *, n: int, apart: timedelta, **rest: Any) -> datetime:
    """So many successes; the time of the last one."""
    for first in range(0, n, 50):
        some = range(first, min(n, first + 50))
        await world.pings([world.request(check, start + i * apart, body=b"rows=1", **rest) for i in some])
    return start + (n - 1) * apart


async def kept(world: World, check: Any) -> list[int]:
    """The pings that ended the runs that are left, each run with its figures."""
    found = await world.runs(check)
    async with world.db.read() as read:
        query = sa.select(run_metrics.c.run_id).where(run_metrics.c.check_id == check.id)
        figures = set((await read.execute(query)).scalars())
    assert {run.id for run in found if run.ended_at is not None} == figures
    return [run.ping_n for run in found]


async def test_runs_go_after_ninety_days_with_their_figures(world: World) -> None:
    check = await world.check(T0, grace=7 * DAY)

    await keep_going(world, check, T0, n=400, apart=6 * 60 * MINUTE)

    # At the 400th ping 90 days are 360 pings, and of its newest 200 none goes before its ping.
    # The first run stays, as it is what the check is up for.
    assert [1, *range(40, 401)] == await kept(world, check)


async def test_a_slow_check_keeps_the_runs_of_the_pings_that_it_keeps(world: World) -> None:
    check = await world.check(T0, grace=365 * DAY)

    await keep_going(world, check, T0, n=300, apart=DAY)

    assert [1, *range(101, 301)] == await kept(world, check)
    assert list(range(101, 301)) == [ping.n for ping in await world.pings_of(check)]


async def test_a_fast_check_keeps_the_newest(world: World) -> None:
    check = await world.check(T0)

    await keep_going(world, check, T0, n=1500, apart=timedelta(seconds=5))

    assert [1, *range(501, 1501)] == await kept(world, check)


async def test_what_a_piece_leaves_over_the_next_one_takes(world: World) -> None:
    check = await world.check(T0)
    end = await keep_going(world, check, T0, n=900, apart=timedelta(seconds=5))

    due = Due(pid=check.pid, check_id=check.id, n_pings=900, at=end)
    few = Keep(pings=100, runs=100, run_age=90 * DAY)
    left = []
    for _ in range(5):
        await world.db.write(lambda tx: prune(tx, [due], few))
        left.append(len(await kept(world, check)))

    assert [700, 500, 300, 101, 101] == left


async def test_ordinary_pings_prune_nothing(world: World) -> None:
    check = await world.check(T0)
    await keep_going(world, check, T0, n=1099, apart=timedelta(seconds=5))
    assert list(range(1, 1100)) == await kept(world, check)

    await keep_going(world, check, T0 + DAY, n=1, apart=MINUTE)

    assert [1, *range(101, 1101)] == await kept(world, check)
    assert EVERY == 100


async def test_a_run_under_way_stays_and_its_end_finds_it(world: World) -> None:
    check = await world.check(T0, max_run=365 * DAY, grace=DAY)
    await world.ping(check, T0, PingKind.START, rid=RID)
    at = await keep_going(world, check, T0 + MINUTE, n=1299, apart=MINUTE, rid=RID.replace("1", "2"))
    assert [1, 2, *range(301, 1301)] == await kept(world, check)

    await world.ping(check, at + MINUTE, rid=RID, body=b"rows=1")

    (ended,) = [run for run in await world.runs(check) if run.rid == RID]
    assert (T0, at + MINUTE) == (ended.started_at, ended.ended_at)


async def test_the_run_by_which_a_check_went_down_stays_as_its_end_may_have_been_held_up(world: World) -> None:
    check = await world.check(T0, max_run=MINUTE)
    await world.ping(check, T0, PingKind.START, rid=RID)
    judge = Judge(ids=world.ids)
    await world.db.write(lambda tx: judge.judge(tx, through=T0 + 5 * MINUTE, now=T0 + 5 * MINUTE))
    assert Reason.HUNG.value == (await world.row(check)).status_reason
    start = T0 + 100 * DAY
    for first in range(0, 1299, 50):
        some = range(first, min(1299, first + 50))
        await world.pings([world.request(check, start + i * MINUTE, PingKind.LOG) for i in some])
    assert 1300 == (await world.row(check)).n_pings

    in_time = T0 + timedelta(seconds=30)
    await world.ping(check, in_time, rid=RID)

    (run,) = await world.runs(check)
    assert (T0, in_time) == (run.started_at, run.ended_at)
    assert ["down", "up"] == [flip.to_status for flip in await world.flips(check)]


async def add_runs(world: World, check: Any, rows: Sequence[tuple[datetime, int | None]]) -> None:
    values = [
        dict.fromkeys(("rid", "started_at", "exit_status", "duration_us"))
        | {"pid": check.pid, "check_id": check.id, "id": world.ids.next(at), "at": at, "ping_n": n}
        | ({"slot_at": at, "ended_at": None, "outcome": "missed"} if n is None else {})
        | ({"slot_at": None, "ended_at": at, "outcome": "ok"} if n is not None else {})
        for at, n in rows
    ]
    await world.db.write(lambda tx: tx.conn.execute(sa.insert(runs), values) and None)


async def test_missed_slots_go_with_what_is_newer_than_they_and_with_age(world: World) -> None:
    check = await world.check(T0)
    await add_runs(world, check, [(T0 + i * MINUTE, n) for i, n in enumerate([None, 100, None, 101, None])])
    keep = Keep(pings=10, runs=10, run_age=90 * DAY)

    async def left(at: datetime, n_pings: int) -> list[int | None]:
        due = Due(pid=check.pid, check_id=check.id, n_pings=n_pings, at=at)
        await world.db.write(lambda tx: prune(tx, [due], keep))
        return [run.ping_n for run in await world.runs(check)]

    assert [None, 100, None, 101, None] == await left(T0 + DAY, 109)
    assert [None, 101, None] == await left(T0 + DAY, 110)
    assert [None, 101, None] == await left(T0 + 90 * DAY + 2 * MINUTE, 110)
    assert [101, None] == await left(T0 + 90 * DAY + 2 * MINUTE + timedelta(microseconds=1), 110)
    assert [101] == await left(T0 + 100 * DAY, 110)


async def test_another_checks_runs_stay(world: World) -> None:
    check, other = await world.check(T0), await world.check(T0, name="other")
    await add_runs(world, other, [(T0, 1)])
    await add_runs(world, check, [(T0, 1)])

    due = Due(pid=check.pid, check_id=check.id, n_pings=1000, at=T0 + 100 * DAY)
    await world.db.write(lambda tx: prune(tx, [due], Keep(pings=1, runs=1, run_age=DAY)))

    assert [] == await world.runs(check)
    assert [1] == [run.ping_n for run in await world.runs(other)]


async def test_no_run_goes_before_its_ping_however_few_are_to_be_kept(world: World) -> None:
    check = await world.check(T0)
    await add_runs(world, check, [(T0 + n * MINUTE, n) for n in range(1, 21)])

    due = Due(pid=check.pid, check_id=check.id, n_pings=20, at=T0 + 20 * MINUTE)
    await world.db.write(lambda tx: prune(tx, [due], Keep(pings=8, runs=5, run_age=DAY)))

    assert list(range(13, 21)) == [run.ping_n for run in await world.runs(check)]
