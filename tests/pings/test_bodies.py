"""What pings said takes a bounded room in each project: the newest of a check stays, its oldest make room for it."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly import logs
from heartfly.config import Log
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, ping_bodies
from heartfly.pings.apply import PingApplier
from heartfly.pings.bodies import Bodies, stored_in
from heartfly.pings.prune import EVERY as PRUNED_EVERY
from heartfly.pings.prune import recount
from heartfly.pings.rate import RateLimiter
from tests.world import KEEP, World, make_world

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KB = b"x" * 1000


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


def bounded(world: World, most: int) -> Bodies:
    """From now on `world` keeps so many bytes of bodies in each project."""
    bodies = Bodies(most)
    world.applier = PingApplier(
        ids=world.ids, node_id=1, rate=RateLimiter(per_minute=100_000), keep=KEEP, bodies=bodies
    )
    return bodies


async def kept(world: World, check: Any) -> list[int]:
    async with world.db.read() as read:
        query = sa.select(ping_bodies.c.n).where(ping_bodies.c.check_id == check.id).order_by(ping_bodies.c.n)
        return list((await read.execute(query)).scalars())


async def said(world: World) -> tuple[int, int]:
    """What the rows of the checks say that bodies come to, and what they do come to."""
    async with world.db.read() as read:
        size = sa.func.coalesce(sa.func.sum(sa.func.length(ping_bodies.c.body)), 0)
        return await stored_in(read, world.project.pid), int((await read.execute(sa.select(size))).scalar_one())


async def test_as_there_is_no_more_room_the_oldest_of_the_check_makes_room_for_its_newest(world: World) -> None:
    bounded(world, 5000)
    check = await world.check(T0)

    for n in range(6):
        await world.ping(check, T0 + n * MINUTE, body=KB)

    # The sixth was one too many: twice as much as it says went.
    assert [3, 4, 5, 6] == await kept(world, check)
    assert (4000, 4000) == await said(world)
    assert 6 == len(await world.pings_of(check))


async def test_no_check_takes_the_room_of_another_and_one_that_has_none_keeps_its_newest(world: World) -> None:
    bounded(world, 3000)
    loud, quiet, late = [await world.check(T0) for _ in range(3)]
    await world.ping(quiet, T0, body=KB)

    for n in range(1, 21):
        await world.ping(loud, T0 + n * MINUTE, body=KB)
    await world.ping(late, T0 + 30 * MINUTE, body=KB)

    assert ([1], [1]) == (await kept(world, quiet), await kept(world, late))
    assert 20 == (await kept(world, loud))[-1]
    stored, is_so = await said(world)
    assert stored == is_so <= 4000


async def test_a_body_that_has_no_room_counts_all_the_same(world: World) -> None:
    bounded(world, 10)
    check = await world.check(T0, filters='{"failure": ["disk on fire"]}')

    await world.ping(check, T0, body=b"fine, all of it is fine")
    heard = await world.ping(check, T0 + MINUTE, body=b"disk on fire, rows=3")

    assert (PingKind.FAIL, "down") == (heard.kind, heard.flipped_to)
    assert [2] == await kept(world, check)


async def test_a_bound_that_was_set_lower_is_reached_again(world: World) -> None:
    check = await world.check(T0)
    await world.pings([world.request(check, T0 + n * MINUTE, body=KB) for n in range(40)])
    bodies = bounded(world, 10_000)
    await bodies.look(world.db)

    for n in range(40, 80):
        await world.ping(check, T0 + n * MINUTE, body=KB)

    stored, is_so = await said(world)
    assert stored == is_so <= 10_000
    assert 80 == (await kept(world, check))[-1]


async def test_what_other_nodes_stored_is_known_with_the_next_look(world: World) -> None:
    one = bounded(world, 5000)
    mine = world.applier
    bounded(world, 5000)
    theirs = world.applier
    check = await world.check(T0)
    for n in range(4):
        world.applier = (mine, theirs)[n % 2]
        await world.ping(check, T0 + n * MINUTE, body=KB + KB)
    assert (8000, 8000) == await said(world)

    await one.look(world.db)
    world.applier = mine
    await world.ping(check, T0 + 10 * MINUTE, body=KB)

    # Twice as much as it says, in whole bodies.
    assert (7000, 7000) == await said(world)


async def test_a_look_counts_nothing_twice(world: World) -> None:
    bodies = bounded(world, 5000)
    check = await world.check(T0)
    for n in range(5):
        await world.ping(check, T0 + n * MINUTE, body=KB)
        await bodies.look(world.db)

    assert [1, 2, 3, 4, 5] == await kept(world, check)


@pytest.mark.parametrize("most", [60_000, 1_000_000])
async def test_whatever_comes_and_goes_the_rows_say_what_there_is(world: World, db: Database, most: int) -> None:
    chance = random.Random(1)
    bodies = bounded(world, most)
    some = [await world.check(T0) for _ in range(2)]
    at, next_n = T0, 0
    for _ in range(60):
        requests = []
        for _ in range(chance.randrange(1, 30)):
            at, next_n = at + MINUTE, next_n + 1
            body = bytes(chance.randrange(500)) if chance.random() < 0.8 else b""
            requests.append(world.request(chance.choice(some), at, body=body))
        await world.pings(requests)
        if chance.random() < 0.2:
            await bodies.look(db)

        stored, is_so = await said(world)
        assert stored == is_so <= most + 500

    n_kept = [len(await world.pings_of(check)) for check in some]
    assert sum(n_kept) < next_n, "history was bounded meanwhile"


async def test_what_goes_with_its_pings_leaves_room_at_once(world: World) -> None:
    """No look is needed for it, and nothing is removed for want of room that there is."""
    most = (KEEP.pings + PRUNED_EVERY) * 10
    bounded(world, most)
    check = await world.check(T0)

    last = KEEP.pings + PRUNED_EVERY + PRUNED_EVERY // 2
    for n in range(last):
        await world.ping(check, T0 + n * MINUTE, body=b"0123456789")

    assert list(range(PRUNED_EVERY + 1, last + 1)) == await kept(world, check)


async def test_what_was_stored_before_anybody_counted_is_counted(world: World) -> None:
    one, other = await world.check(T0), await world.check(T0)
    for n, check in enumerate((one, one, other)):
        await world.ping(check, T0 + n * MINUTE, body=KB)

    def forget(tx: Any) -> None:
        tx.conn.execute(sa.update(checks).values(body_bytes=0))

    await world.db.write(forget)
    assert (0, 3000) == await said(world)

    await world.db.write(lambda tx: recount(tx, world.project.pid, [one.id, other.id]))

    assert (3000, 3000) == await said(world)


async def test_without_a_bound_everything_stays(world: World) -> None:
    bodies = bounded(world, 0)
    check = await world.check(T0)

    await world.pings([world.request(check, T0 + n * MINUTE, body=KB) for n in range(100)])
    await bodies.look(world.db)

    assert (100, False) == (len(await kept(world, check)), bodies.is_full(world.project.pid))


async def test_the_log_says_once_that_a_project_is_full_and_once_that_it_is_not(world: World) -> None:
    stream = io.StringIO()
    logs.configure(Log(level="info", format="json"), stream, now=lambda: T0)
    bodies = bounded(world, 1500)
    check = await world.check(T0)
    await world.ping(check, T0, body=KB + KB)

    await bodies.look(world.db)
    await bodies.look(world.db)
    await world.ping(check, T0 + MINUTE, body=b"little")
    await bodies.look(world.db)

    told = [line for line in stream.getvalue().splitlines() if "bodies_" in line]
    assert 2 == len(told)
    assert '"bodies_are_full"' in told[0]
    assert '"bodies_have_room"' in told[1]
