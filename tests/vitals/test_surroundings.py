"""What follows from little room on the disk: bodies go first, then traffic; pings and their state stay."""

from __future__ import annotations

import asyncio
import io
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly import logs
from heartfly.clock import Clock, SystemClock
from heartfly.config import Log
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.migrate import HEAD
from heartfly.db.models import ping_bodies
from heartfly.db.room import Room
from heartfly.pings.apply import PingApplier
from heartfly.pings.bodies import Bodies
from heartfly.pings.rate import RateLimiter
from heartfly.vitals.readiness import Facts, reasons
from heartfly.vitals.surroundings import MB, Surroundings, Thresholds
from tests.monitor.tower import MINUTE, T0
from tests.sim_clock import SimClock
from tests.world import KEEP, World

pytestmark = pytest.mark.anyio
THRESHOLDS = Thresholds(low=500 * MB, floor=100 * MB)


class Disk:
    """Of a terabyte, with as much room as a test says."""

    def __init__(self, free_mb: float) -> None:
        self.free_mb = free_mb
        self.fails = False

    def room(self) -> Room:
        if self.fails:
            raise OSError(5, os.strerror(5))
        return Room(free=int(self.free_mb * MB), total=10**12)


def around(db: Database, disk: Disk | None, clock: Clock | None = None) -> Surroundings:
    return Surroundings(
        db, room=None if disk is None else disk.room, thresholds=THRESHOLDS, clock=clock or SystemClock()
    )


async def bodies(world: World) -> list[bytes]:
    async with world.db.read() as read:
        return list((await read.execute(sa.select(ping_bodies.c.body).order_by(ping_bodies.c.n))).scalars())


async def test_with_little_room_a_ping_is_stored_and_its_body_is_not(world: World, ids: IdSource) -> None:
    disk = Disk(500)
    surroundings = around(world.db, disk)
    world.applier = PingApplier(
        ids=ids,
        node_id=1,
        rate=RateLimiter(per_minute=1200),
        keep=KEEP,
        bodies=Bodies(disk_has_room=surroundings.keeps_bodies),
    )
    check = await world.check(T0, filters='{"fail": ["disk on fire"]}')

    for n, free_mb in enumerate((500, 499.9, 549, 550), start=1):
        disk.free_mb = free_mb
        await surroundings.look()
        await world.ping(check, T0 + n * MINUTE, method="POST", body=b"rows=%d" % n, body_size=6)

    assert [b"rows=1", b"rows=4"] == await bodies(world)  # kept again with a tenth more room than the threshold
    stored = await world.pings_of(check)
    assert [6, 6, 6, 6] == [ping.body_size for ping in stored]
    assert ["success"] * 4 == [ping.kind for ping in stored]


async def test_what_a_body_says_counts_although_it_is_not_kept(world: World, ids: IdSource) -> None:
    surroundings = around(world.db, Disk(1))
    await surroundings.look()
    world.applier = PingApplier(
        ids=ids,
        node_id=1,
        rate=RateLimiter(per_minute=1200),
        keep=KEEP,
        bodies=Bodies(disk_has_room=surroundings.keeps_bodies),
    )
    check = await world.check(T0, gates='[{"metric": "rows", "op": ">=", "value": "10", "level": "fail"}]')
    await world.ping(check, T0 + MINUTE, PingKind.SUCCESS, body=b"rows=3", body_size=6)

    assert "down" == (await world.row(check)).status
    assert [] == await bodies(world)


async def test_each_change_is_said_once(db: Database) -> None:
    told = io.StringIO()
    logs.configure(Log(format="json"), told, now=SystemClock().now)
    disk = Disk(10_000)
    surroundings = around(db, disk)

    for free_mb in (10_000, 400, 300, 10_000, 10_000):
        disk.free_mb = free_mb
        await surroundings.look()

    said = told.getvalue()
    assert ["disk_is_low", "disk_has_room"] == re.findall(r'"event":"(\w+)"', said)
    assert '"free_mb":400' in said


async def test_the_floor_lies_below(db: Database) -> None:
    disk = Disk(100)
    surroundings = around(db, disk)
    assert not surroundings.is_below_floor  # nobody has looked yet

    await surroundings.look()
    assert not surroundings.is_below_floor
    disk.free_mb = 99.9
    await surroundings.look()
    assert surroundings.is_below_floor


async def test_a_disk_that_cannot_be_measured_changes_nothing(db: Database) -> None:
    disk = Disk(1)
    surroundings = around(db, disk)
    await surroundings.look()
    disk.fails = True
    await surroundings.look()

    assert (False, True) == (surroundings.keeps_bodies(), surroundings.is_below_floor)


async def test_the_disk_of_a_database_elsewhere_is_not_looked_at(db: Database) -> None:
    surroundings = around(db, None)
    await surroundings.look()

    assert (True, None, False) == (surroundings.keeps_bodies(), surroundings.room, surroundings.is_below_floor)


async def test_the_schema_is_looked_at_and_a_failed_look_changes_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings = around(db, None)
    await surroundings.look_at_schema()
    assert HEAD == surroundings.schema

    await db.write(lambda tx: tx.conn.execute(sa.text("DROP TABLE alembic_version")) and None)
    await surroundings.look_at_schema()
    assert HEAD == surroundings.schema


async def test_it_looks_by_itself_until_it_is_told_to_stop(db: Database) -> None:
    stop = asyncio.Event()
    surroundings = around(db, Disk(7))
    running = asyncio.create_task(surroundings.run(stop))
    async with asyncio.timeout(60):
        while surroundings.schema is None:  # noqa: ASYNC110 - looks are made in threads
            await asyncio.sleep(0.01)  # noqa: TID251 - bounded above
        stop.set()
        await running

    assert surroundings.room == Room(free=7 * MB, total=10**12)


def test_every_reason_is_explained_to_the_operator() -> None:
    root = Path(__file__).resolve().parents[2]
    given = re.findall(r'Reason\(\s*"(\w+)"', (root / "heartfly/vitals/readiness.py").read_text(encoding="utf-8"))
    section = (root / "docs/operations.md").read_text(encoding="utf-8").partition("## Ready or not")[2]
    explained = re.findall(r"^\| `(\w+)` \| ", section.partition("\n## ")[0], re.MULTILINE)

    assert sorted(given) == sorted(name for name in explained if name != "reason")


@pytest.mark.parametrize(("off_s", "told"), [(0, []), (3600, ["clock_skewed"]), (-3600, ["clock_skewed"])])
async def test_a_clock_that_is_not_the_databases_is_told_where_a_load_balancer_looks(
    db: Database, off_s: float, told: list[str]
) -> None:
    clock = SystemClock() if not off_s else SimClock(SystemClock().now() + timedelta(seconds=off_s))
    surroundings = around(db, None, clock)

    await surroundings.look_at_clock()

    now = clock.now()
    facts = Facts(now=now, last_beat_at=now, watermark=now, broken=None, skew=surroundings.skew)
    assert (told if db.on_postgres else []) == [one.reason for one in reasons(facts)]
    assert db.on_postgres == (surroundings.skew is not None)
    if surroundings.skew is not None:
        assert abs(surroundings.skew.total_seconds() - off_s) < 60  # what the two questions took


@pytest.mark.parametrize(("skew_s", "told"), [(2, []), (-2, []), (2.5, ["ahead of"]), (-2.5, ["behind"])])
def test_two_seconds_between_the_clocks_are_borne(skew_s: float, told: list[str]) -> None:
    facts = Facts(now=T0, last_beat_at=T0, watermark=T0, broken=None, skew=timedelta(seconds=skew_s))

    said = [f"{one.reason}: {one.detail}" for one in reasons(facts)]

    assert [f"clock_skewed: the clock is 2.5 s {word} the database's" for word in told] == said
