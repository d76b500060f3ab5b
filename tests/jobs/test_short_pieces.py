"""Whatever the nightly job removes, each piece of it holds the one writer only shortly: pings come meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.checks import history
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, attempts, deliveries, notifications, ping_bodies, pings, run_metrics, runs
from heartfly.jobs.retention import Kept, sweeping
from heartfly.pings.prune import Keep
from heartfly.usage.close_day import Closer
from heartfly.usage.request_tiers import Kept as RowsKept
from tests.jobs.workshop import DAY, HOUR, T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.usage.factory import Plant, events_of
from tests.world import SEALER, World

pytestmark = pytest.mark.anyio

BOUND_S = 0.050
N = 1_200
"""Of each: several pieces."""
KEPT = Kept(
    history=Keep(pings=600, runs=1000, run_age=90 * DAY),
    bodies=30 * DAY,
    alerts=90 * DAY,
    events=400 * DAY,
    requests=RowsKept(minutes=2 * DAY, hours=90 * DAY),
)


def history_of(check: Any) -> Sequence[tuple[sa.Table, list[dict[str, Any]]]]:
    """A run with a figure each hour, and 100 kB of output for each of the last 600, which are the most that is kept."""
    of, at = {"pid": check.pid, "check_id": check.id}, [T0 + n * HOUR for n in range(N)]
    ping = {"node_id": 1, "kind": "success", "method": "POST", "scheme": "https", "remote": "", "agent": ""}
    return (
        (pings, [of | ping | {"n": n, "received_at": at[n], "seq": n, "body_size": 2_000} for n in range(N)]),
        (ping_bodies, [of | {"n": n, "body": bytes(100_000 if n >= N - 600 else 500)} for n in range(N)]),
        (runs, [of | {"id": n, "ended_at": at[n], "at": at[n], "outcome": "ok", "ping_n": n} for n in range(N)]),
        (run_metrics, [of | {"name": "rows", "run_id": n, "at": at[n], "value": 7} for n in range(N)]),
    )


def told_of(pid: int) -> Sequence[tuple[sa.Table, list[dict[str, Any]]]]:
    """An alert each minute, each with a message of its own."""
    ids, at = IdSource(7), [T0 + n * timedelta(minutes=1) for n in range(N)]
    numbers = [ids.next(one) for one in at]
    alert = {"pid": pid, "kind": "check.down", "source": "check:1", "payload": {"said": "x" * 500}}
    carried = {"pid": pid, "state": "sent", "source": "check:1", "channel_id": 5}
    sent = {"pid": pid, "attempt": 1, "possible_duplicate": False, "state": "sent", "channel_id": 5}
    every = [(numbers[n], at[n], f"d{n}") for n in range(N)]
    return (
        (alerts, [alert | {"id": i, "key": name, "at": when, "decided_at": when} for i, when, name in every]),
        (notifications, [carried | {"alert_id": i, "delivery_id": d, "created_at": when} for i, when, d in every]),
        (deliveries, [sent | {"id": name, "created_at": when} for _, when, name in every]),
        (attempts, [{"pid": pid, "delivery_id": d, "attempt": 1, "started_at": when} for _, when, d in every]),
    )


async def fill(db: Database, rows: Sequence[tuple[sa.Table, list[dict[str, Any]]]]) -> None:
    def work(tx: Tx) -> None:
        for table, its in rows:
            tx.conn.execute(sa.insert(table), its)

    await db.write(work)


def watch(db: Database, took: list[tuple[float, str]]) -> None:
    """From now on, how much computing each command of the writer takes."""
    write = db.write

    async def watched(command: Callable[[Tx], Any], **rest: Any) -> Any:
        def timed(tx: Tx) -> Any:
            began = time.thread_time()
            try:
                return command(tx)
            finally:
                took.append((time.thread_time() - began, getattr(command, "__qualname__", repr(command))))

        return await write(timed, **rest)

    db.write = watched  # type: ignore[method-assign]


async def test_no_piece_holds_the_writer_for_more_than_fifty_milliseconds(
    world: World, clock: SimClock, usage_db: Database, ids: IdSource
) -> None:
    pid = world.project.pid
    work = sweeping(KEPT, usage=usage_db, sealer=SEALER, ids=IdSource(7))
    shop = Workshop(world, clock, kind_of(work, expression="0 * * * *"))
    await shop.look()
    check = await world.check(T0, grace=300 * DAY)
    await fill(world.db, (*history_of(check), *told_of(pid)))
    await world.db.write(
        lambda tx: tx.conn.exec_driver_sql(f"UPDATE checks SET n_pings = {N} WHERE id = {check.id}").rowcount
    )
    plant = Plant(usage_db, clock, ids, pid=pid)
    await plant.send(*events_of(N, seed=7, from_at=T0 - 2 * HOUR, to_at=T0))
    clock.move_to(T0 + DAY)
    await Closer(usage_db, plant.folder, clock, ids).close(pid, T0.date(), ZoneInfo("UTC"))
    took: list[tuple[float, str]] = []
    watch(world.db, took)
    watch(usage_db, took)

    await shop.go(T0 + 500 * DAY)

    figures = (await shop.runs())[-1].figures
    assert (N - 599, N, N) == (figures["pings"], figures["alerts"], figures["events"])
    assert N == figures["bodies"]
    longest, what = max(took)
    assert longest < BOUND_S, what


async def test_nor_does_a_piece_of_a_check_that_is_deleted(world: World) -> None:
    check = await world.check(T0, grace=300 * DAY)
    await fill(world.db, history_of(check))
    took: list[tuple[float, str]] = []
    watch(world.db, took)

    await history.remove(world.db, world.project.pid, check.id)

    for table in (pings, ping_bodies, runs, run_metrics):
        assert [] == await world._all(sa.select(table).where(table.c.check_id == check.id).limit(1))
    assert max(took)[0] < BOUND_S
