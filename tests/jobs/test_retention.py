"""What is older than is kept goes, in short pieces, and nothing else does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.checks import erase_project
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import (
    alerts,
    attempts,
    audit,
    blind_intervals,
    check_days,
    checks,
    deliveries,
    flips,
    job_runs,
    node_batches,
    nodes,
    notifications,
    ping_bodies,
    ping_minutes,
    projects,
    runs,
    sessions,
)
from heartfly.jobs.retention import SPOOLS_KEPT, Kept, sweeping
from heartfly.pings.prune import Keep
from heartfly.pings.replay import LANE, TOO_OLD
from heartfly.usage.close_day import Closer
from heartfly.usage.request_tiers import Kept as RowsKept
from tests.jobs.workshop import DAY, HOUR, MINUTE, T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.usage.factory import Plant, events_of
from tests.world import SEALER, TEST, World, make_world

pytestmark = pytest.mark.anyio

KEPT = Kept(
    history=Keep(pings=20, runs=1000, run_age=90 * DAY),
    bodies=30 * DAY,
    alerts=90 * DAY,
    events=400 * DAY,
    requests=RowsKept(minutes=2 * DAY, hours=90 * DAY),
)


def shop_of(world: World, clock: SimClock, usage: Database, expression: str) -> Workshop:
    work = sweeping(KEPT, usage=usage, sealer=SEALER, ids=IdSource(7))
    return Workshop(world, clock, kind_of(work, expression=expression))


@pytest.fixture
async def shop(world: World, clock: SimClock, usage_db: Database) -> Workshop:
    shop = shop_of(world, clock, usage_db, "0 * * * *")
    await shop.look()
    return shop


async def swept(shop: Workshop, at: Any) -> dict[str, int]:
    """What the job says that it removed."""
    await shop.go(at)
    newest = (await shop.runs())[-1]
    assert ("ok", "") == (newest.outcome, newest.words)
    figures: dict[str, int] = newest.figures
    return {name: n for name, n in figures.items() if n}


async def n_rows(world: World, table: sa.Table, *where: Any) -> int:
    (row,) = await world._all(sa.select(sa.func.count()).select_from(table).where(*where))
    return int(row[0])


async def test_a_check_that_pings_no_more_loses_what_is_old_and_its_days_stay(world: World, shop: Workshop) -> None:
    check = await world.check(T0, grace=300 * DAY)
    for hour in range(50):
        await world.ping(check, T0 + hour * HOUR, body=b"rows=1")

    first = await swept(shop, T0 + 3 * DAY)
    assert {"pings": 30, "bodies": 30} == first
    assert (20, 50) == (len(await world.pings_of(check)), len(await world.runs(check)))

    second = await swept(shop, T0 + 100 * DAY)
    # But for the runs of the pings that are kept, and the one by which it went up.
    assert 29 == second["runs"]
    assert 0 == await n_rows(world, ping_bodies, ping_bodies.c.check_id == check.id)
    assert [1, *range(31, 51)] == [run.ping_n for run in await world.runs(check)]
    days = await world._all(sa.select(check_days).where(check_days.c.check_id == check.id).order_by(check_days.c.day))
    assert (50, 100) == (sum(day.n_ok for day in days), len(days))
    assert 1 == await n_rows(world, flips, flips.c.check_id == check.id)


async def test_runs_go_only_when_their_days_know_them(world: World, clock: SimClock, usage_db: Database) -> None:
    """The job for the days may have failed for months: retention sums up before it removes."""
    check = await world.check(T0, grace=300 * DAY)
    for hour in range(40):
        await world.ping(check, T0 + hour * HOUR)
    shop = shop_of(world, clock, usage_db, "0 0 1 7 *")
    await shop.look()

    assert 19 == (await swept(shop, T0 + 200 * DAY))["runs"]

    days = await world._all(sa.select(check_days.c.n_ok).where(check_days.c.check_id == check.id))
    assert 40 == sum(row.n_ok for row in days)


async def test_while_days_cannot_be_summed_up_nothing_goes(world: World, shop: Workshop) -> None:
    check = await world.check(T0, grace=300 * DAY)
    for hour in range(40):
        await world.ping(check, T0 + hour * HOUR)
    await world.db.write(lambda tx: tx.conn.execute(sa.update(projects).values(zone="Europe/Atlantis")).rowcount)

    await shop.go(T0 + 200 * DAY)

    newest = (await shop.runs())[-1]
    assert ("failed", True) == (newest.outcome, newest.words.startswith("nothing was removed"))
    assert (40, 40) == (len(await world.pings_of(check)), len(await world.runs(check)))


async def test_what_pings_said_goes_sooner_than_they_do(world: World, shop: Workshop) -> None:
    check = await world.check(T0, grace=300 * DAY)
    for day in range(4):
        await world.ping(check, T0 + day * DAY, body=b"canary")

    assert {"bodies": 2} == await swept(shop, T0 + 32 * DAY - MINUTE)

    kept = await world._all(sa.select(ping_bodies.c.n).where(ping_bodies.c.check_id == check.id))
    assert ([3, 4], 4) == (sorted(row.n for row in kept), len(await world.pings_of(check)))


async def test_what_bodies_come_to_is_told_anew_also_of_those_that_nobody_had_counted(
    world: World, shop: Workshop
) -> None:
    check = await world.check(T0, grace=300 * DAY)
    for day in range(4):
        await world.ping(check, T0 + day * DAY, body=b"x" * (10 + day))

    def spoil(tx: Tx) -> None:
        tx.conn.execute(sa.update(checks).where(checks.c.id == check.id).values(body_bytes=5))

    await world.db.write(spoil)

    assert {"bodies": 2} == await swept(shop, T0 + 32 * DAY - MINUTE)

    (row,) = await world._all(sa.select(checks.c.body_bytes).where(checks.c.id == check.id))
    assert 12 + 13 == row.body_bytes


async def test_alerts_go_with_whatever_carried_them_but_not_while_somebody_waits(world: World, shop: Workshop) -> None:
    pid, ids = world.project.pid, IdSource(7)

    def alert(tx: Tx, name: str, at: Any, state: str, delivery: str | None = None) -> None:
        alert_id = ids.next(at)
        values = {"kind": "check.down", "source": "check:1", "at": at, "decided_at": at, "payload": {}}
        tx.conn.execute(sa.insert(alerts).values(values | {"pid": pid, "id": alert_id, "key": name}))
        carried = {"state": state, "delivery_id": delivery, "created_at": at, "source": "check:1"}
        tx.conn.execute(sa.insert(notifications).values(carried | {"pid": pid, "alert_id": alert_id, "channel_id": 5}))

    def deliver(tx: Tx, name: str, at: Any, state: str) -> None:
        values = {"attempt": 1, "possible_duplicate": False, "created_at": at, "state": state, "channel_id": 5}
        tx.conn.execute(sa.insert(deliveries).values(values | {"pid": pid, "id": name}))
        tx.conn.execute(sa.insert(attempts).values(pid=pid, delivery_id=name, attempt=1, started_at=at))

    def history(tx: Tx) -> None:
        deliver(tx, "old", T0, "sent")
        deliver(tx, "storm", T0, "sent")
        alert(tx, "old", T0, "sent", "old")
        alert(tx, "given up", T0, "failed")
        alert(tx, "first of a storm", T0, "sent", "storm")
        alert(tx, "last of a storm", T0 + 50 * DAY, "sent", "storm")
        alert(tx, "waits", T0, "pending")

    await world.db.write(history)

    assert {"alerts": 3, "deliveries": 1} == await swept(shop, T0 + 91 * DAY)

    left = {row.key for row in await world._all(sa.select(alerts.c.key))}
    assert {"last of a storm", "waits"} == left
    assert 2 == await n_rows(world, notifications)
    assert ["storm"] == [row.delivery_id for row in await world._all(sa.select(attempts.c.delivery_id))]


async def test_of_ourselves_go_old_lives_gaps_and_runs_of_jobs(world: World, shop: Workshop) -> None:
    life = {"roles": [], "version": "x", "started_at": T0, "beat_at": T0, "heard_through": T0}
    gap = {"node_id": 1, "cause": "x", "from_at": T0}

    def past(tx: Tx) -> None:
        for node_id, fenced_at in ((1, T0), (2, None)):
            tx.conn.execute(sa.insert(nodes).values(life | {"id": node_id, "fenced_at": fenced_at}))
        for gap_id, days in ((1, 1), (2, 300)):
            tx.conn.execute(sa.insert(blind_intervals).values(gap | {"id": gap_id, "to_at": T0 + days * DAY}))

    await world.db.write(past)
    await swept(shop, T0 + 2 * HOUR)

    # The run just now, the life that was accounted for, and the older gap.
    assert 3 == (await swept(shop, T0 + 402 * DAY))["others"]
    assert [2] == [row.id for row in await world._all(sa.select(nodes.c.id))]
    assert 1 == await n_rows(world, job_runs)


async def test_how_many_pings_came_is_known_for_eight_days(world: World, shop: Workshop) -> None:
    now = T0 + 40 * DAY
    ages = (8 * DAY + MINUTE, 8 * DAY, MINUTE)

    def past(tx: Tx) -> None:
        for node_id in (1, 2):
            for age in ages:
                tx.conn.execute(sa.insert(ping_minutes).values(at=now - age, node_id=node_id, parts=[7] * 6))
        old = [{"at": now - 9 * DAY - n * MINUTE, "node_id": 1, "parts": [7] * 6} for n in range(1_200)]
        tx.conn.execute(sa.insert(ping_minutes), old)

    await world.db.write(past)

    assert {"others": 1_202} == await swept(shop, now)
    assert {now - age for age in ages[1:]} == {row.at for row in await world._all(sa.select(ping_minutes.c.at))}


async def test_the_numbers_of_a_life_stay_for_as_long_as_its_spool_may_come_back(world: World, shop: Workshop) -> None:
    life = {"roles": [], "version": "x", "started_at": T0, "beat_at": T0, "heard_through": T0, "fenced_at": T0 + HOUR}
    lives: dict[int, dict[str, Any]] = {
        1: {"left_at": T0, "spooled": None},  # by itself, and all was brought in
        2: {"left_at": T0, "spooled": 7},
        3: {"left_at": T0 + HOUR, "spooled": None},  # it died, as another found
        4: {"left_at": None, "spooled": None},
    }

    def past(tx: Tx) -> None:
        for node_id, ended in lives.items():
            tx.conn.execute(sa.insert(nodes).values(life | ended | {"id": node_id}))
            tx.conn.execute(sa.insert(node_batches).values(node_id=node_id, lane=LANE, last_batch=5))

    async def known() -> list[int]:
        rows = await world._all(sa.select(node_batches.c.node_id).where(node_batches.c.lane == LANE))
        return sorted(row.node_id for row in rows)

    await world.db.write(past)

    await swept(shop, T0 + 31 * DAY)
    assert [2, 3, 4] == await known()
    await swept(shop, T0 + TOO_OLD + 35 * DAY)
    assert [2, 3, 4] == await known()
    await swept(shop, T0 + SPOOLS_KEPT + DAY)
    assert [] == await known()


async def test_sessions_that_are_over_go_and_one_that_is_used_stays(world: World, shop: Workshop) -> None:
    at = T0 + 40 * DAY
    by_ages = {1: (31 * DAY, MINUTE), 2: (2 * DAY, DAY), 3: (29 * DAY, DAY - MINUTE), 4: (MINUTE, MINUTE)}

    def past(tx: Tx) -> None:
        for n, (made, used) in by_ages.items():
            values = {"user_id": 1, "token_hash": f"hash {n}", "created_at": at - made, "seen_at": at - used}
            tx.conn.execute(sa.insert(sessions).values(values | {"id": n, "ip": "192.0.2.7", "agent": "Browser"}))

    await world.db.write(past)

    assert {"others": 2} == await swept(shop, at)

    assert [3, 4] == sorted(row.id for row in await world._all(sa.select(sessions.c.id)))


async def test_the_audit_and_flips_are_never_touched(world: World, shop: Workshop) -> None:
    check = await world.check(T0, grace=DAY)
    for day in range(10):
        await world.ping(check, T0 + day * DAY, PingKind.FAIL if day % 2 else PingKind.SUCCESS)
    before = (await n_rows(world, flips, flips.c.check_id == check.id), await n_rows(world, audit))
    assert before[0] == 10

    await swept(shop, T0 + 2000 * DAY)

    # With the check that the job itself has made.
    assert (10, before[1] + 1) == (
        await n_rows(world, flips, flips.c.check_id == check.id),
        await n_rows(world, audit),
    )


async def test_each_piece_is_short(world: World, shop: Workshop) -> None:
    check = await world.check(T0, grace=300 * DAY)
    for start in range(0, 600, 50):
        at = T0 + start * MINUTE
        await world.pings([world.request(check, at + n * MINUTE) for n in range(50)])
    most = 0
    write = world.db.write

    async def watched(command: Any, **rest: Any) -> Any:
        nonlocal most
        before = await n_rows(world, runs)
        result = await write(command, **rest)
        most = max(most, before - await n_rows(world, runs))
        return result

    world.db.write = watched  # type: ignore[method-assign]
    await swept(shop, T0 + 200 * DAY)

    assert 200 == most
    assert timedelta(days=90) == KEPT.history.run_age


async def test_a_project_whose_erasure_was_cut_off_goes_to_its_end(shop: Workshop, ids: IdSource) -> None:
    world = shop.world
    other = await make_world(world.db, ids, T0, slug="other")
    check = await other.check(T0, name="left")
    await other.ping(check, T0)
    await world.db.write(lambda tx: erase_project.begin(tx, other.project.pid, actor=TEST, at=T0, ids=ids))

    assert 1 == (await swept(shop, T0 + 2 * HOUR))["projects"]

    for table in (projects.c.id, runs.c.pid, audit.c.pid, ping_bodies.c.pid):
        assert 0 == await n_rows(world, table.table, table == other.project.pid), table
    assert "projects" not in await swept(shop, T0 + 3 * HOUR)


async def test_events_of_usage_go_once_their_days_are_sealed(
    shop: Workshop, clock: SimClock, usage_db: Database, ids: IdSource
) -> None:
    """In the zone of their project, of which this is the only one; and with a word about what is held back."""
    pid = shop.world.project.pid
    plant = Plant(usage_db, clock, ids, pid=pid)
    await plant.send(*events_of(30, seed=7, from_at=T0 - 2 * HOUR, to_at=T0))
    await plant.ingest.take(pid, [{"transaction_id": "no event"}], wire="native")
    clock.move_to(T0 + DAY)

    assert {"days_held": 1, "dead_letters": 1, "others": 1} == await swept(shop, T0 + 402 * DAY)

    await Closer(usage_db, plant.folder, clock, ids).close(pid, T0.date(), ZoneInfo("UTC"))
    assert {"events": 30, "days_sealed": 1} == await swept(shop, T0 + 402 * DAY + HOUR)
