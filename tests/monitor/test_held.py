"""A signal under way holds up the judging of its own check, for two seconds, and of no other."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, nodes, projects
from heartfly.monitor.blind import Heard, Hearing
from heartfly.monitor.judge import STORM, Judge
from heartfly.pings.request import BySlug, ByUuid, Target
from tests.monitor.tower import MINUTE, SECOND, T0, Tower
from tests.sim_clock import SimClock
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

TICK = timedelta(microseconds=1)
DEADLINE = T0 + 11 * SECOND
ON_POSTGRES = pytest.mark.parametrize(
    "database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
NOBODYS = ByUuid("c0ffee00-dead-4bee-8fed-0123456789ab")


async def due(world: World, **config: Any) -> Any:
    """A check whose deadline is DEADLINE."""
    check = await world.check(T0, every=10 * SECOND, grace=SECOND, **config)
    await world.ping(check, T0)
    return check


async def statuses(world: World, *found: Any) -> list[str]:
    return [(await world.row(check)).status for check in found]


async def outcomes(world: World, check: Any) -> set[tuple[str | None, datetime | None]]:
    """Of its runs, with the time when each started."""
    return {(run.outcome, run.started_at) for run in await world.runs(check)}


async def heard_through(world: World) -> datetime:
    async with world.db.read() as read:
        at: datetime = (await read.execute(sa.select(nodes.c.heard_through).where(nodes.c.id == 1))).scalar_one()
        return at


async def test_a_check_waits_for_its_own_signal_and_its_neighbour_is_judged_at_the_deadline(
    world: World, tower: Tower
) -> None:
    called, neighbour = await due(world), await due(world)
    tower.under_way = {ByUuid(called.ping_uuid): DEADLINE - TICK}

    await tower.go(DEADLINE)

    assert ["up", "down"] == await statuses(world, called, neighbour)
    flip = (await world.flips(neighbour))[-1]
    assert (DEADLINE, DEADLINE) == (flip.at, flip.decided_at)


async def test_it_waits_for_two_seconds_and_no_longer(world: World, tower: Tower) -> None:
    check = await due(world)
    tower.under_way = {ByUuid(check.ping_uuid): DEADLINE - SECOND}

    await tower.go(DEADLINE + 2 * SECOND - TICK)
    assert ["up"] == await statuses(world, check)
    await tower.go(DEADLINE + 2 * SECOND)
    assert ["down"] == await statuses(world, check)


@pytest.mark.parametrize(("came", "status"), [(DEADLINE, "up"), (DEADLINE + TICK, "down")])
async def test_a_signal_that_came_after_the_deadline_holds_nothing(
    world: World, tower: Tower, came: datetime, status: str
) -> None:
    check = await due(world)
    tower.under_way = {ByUuid(check.ping_uuid): came}

    await tower.go(DEADLINE + SECOND)

    assert [status] == await statuses(world, check)


async def test_a_check_is_judged_up_to_the_signal_and_not_past_it(world: World, tower: Tower) -> None:
    """Its slot closes, a signal comes, and then a run of it is over its limit."""
    check = await due(world)
    await world.ping(check, DEADLINE, PingKind.START)
    tower.under_way = {ByUuid(check.ping_uuid): DEADLINE + TICK}

    await tower.go(DEADLINE + SECOND)
    assert {("ok", None), ("missed", None), (None, DEADLINE)} == await outcomes(world, check)
    tower.under_way = {}
    await tower.watcher.round()
    assert {("ok", None), ("missed", None), ("hung", DEADLINE)} == await outcomes(world, check)


@pytest.mark.parametrize(
    "target", [NOBODYS, BySlug("no key", "job"), BySlug("no key", "job", create=True)], ids=["uuid", "slug", "create"]
)
async def test_an_address_that_does_not_exist_holds_nobody(world: World, tower: Tower, target: Target) -> None:
    check = await due(world, name="job")
    tower.under_way = {target: DEADLINE - TICK}

    await tower.go(DEADLINE)

    assert ["down"] == await statuses(world, check)
    assert DEADLINE == await heard_through(world)


async def test_a_slug_is_held_for_the_project_whose_key_was_used(world: World, tower: Tower, ids: IdSource) -> None:
    other = await make_world(world.db, ids, T0, slug="other")
    mine, theirs, second = await due(world, name="job"), await due(other, name="job"), await due(world, name="second")
    unknown = other.by_slug("second")
    tower.under_way = {world.by_slug("job"): DEADLINE - TICK, unknown: DEADLINE - TICK}

    await tower.go(DEADLINE)

    assert ["up", "down", "down"] == await statuses(world, mine, theirs, second)


@pytest.mark.parametrize(("by_uuid", "by_slug"), [(DEADLINE, DEADLINE + TICK), (DEADLINE + TICK, DEADLINE)])
async def test_a_check_that_is_called_by_two_addresses_waits_for_the_older_signal(
    world: World, tower: Tower, by_uuid: datetime, by_slug: datetime
) -> None:
    check = await due(world, name="job")
    tower.under_way = {
        ByUuid(check.ping_uuid): by_uuid,
        world.by_slug("job"): by_slug,
        world.by_slug("job", create=True): DEADLINE + SECOND,
    }

    await tower.go(DEADLINE + SECOND)

    assert ["up"] == await statuses(world, check)


@pytest.mark.parametrize(("until", "status"), [(DEADLINE - TICK, "up"), (DEADLINE - 2 * TICK, "down")])
async def test_an_old_address_holds_as_long_as_it_is_valid(
    world: World, tower: Tower, until: datetime, status: str
) -> None:
    check = await due(world)
    expires = sa.update(addresses).where(addresses.c.key == check.ping_uuid).values(until=until)
    await world.db.write(lambda tx: tx.conn.execute(expires))
    tower.under_way = {ByUuid(check.ping_uuid): DEADLINE - 2 * TICK}

    await tower.go(DEADLINE)

    assert [status] == await statuses(world, check)


@pytest.mark.parametrize(("until", "status"), [(DEADLINE, "up"), (DEADLINE - TICK, "down")])
async def test_an_old_ping_key_holds_until_its_overlap_ends(
    world: World, tower: Tower, until: datetime, status: str
) -> None:
    check = await due(world, name="job")
    old = world.by_slug("job")
    change = sa.update(projects).values(ping_key_hash="new", old_ping_key_hash=old.ping_key_hash, old_until=until)
    await world.db.write(lambda tx: tx.conn.execute(change))
    tower.under_way = {old: DEADLINE - TICK}

    await tower.go(DEADLINE)

    assert [status] == await statuses(world, check)


async def test_a_check_that_is_not_due_is_not_held_but_what_it_waits_for_is_not_heard_yet(
    world: World, tower: Tower
) -> None:
    """If we died now, the signal would be lost, and its check be excused."""
    check = await due(world)
    tower.under_way = {ByUuid(check.ping_uuid): T0 + SECOND}

    heard = await world.db.write(lambda tx: tower.beat.beat(tx, now=T0 + 2 * SECOND, boottime=2.0))

    assert Heard(T0 + 2 * SECOND, {}) == heard
    assert T0 + SECOND - TICK == await heard_through(world)


@pytest.mark.parametrize("batch", [1, 2, 3, 10])
async def test_checks_that_are_held_take_no_place_in_the_batch_of_others(world: World, batch: int) -> None:
    """The held ones are the most overdue."""
    tower = Tower(world, SimClock(T0), batch=batch)
    await tower.watcher.join()
    held = [await due(world) for _ in range(3)]
    free = [await world.check(T0, every=10 * SECOND, grace=2 * SECOND) for _ in range(3)]
    await world.pings([world.request(check, T0) for check in free])
    tower.under_way = {ByUuid(check.ping_uuid): DEADLINE for check in held}

    async with asyncio.timeout(60):
        await tower.go(DEADLINE + SECOND)

    assert ["up"] * 3 + ["down"] * 3 == await statuses(world, *held, *free)


async def test_no_more_are_judged_at_a_time_than_a_batch_whoever_is_held(world: World) -> None:
    made = [await due(world) for _ in range(3)]
    judge = Judge(ids=world.ids, batch=2)
    held = dict.fromkeys(range(5), DEADLINE)

    first, second = [
        await world.db.write(lambda tx: judge.judge(tx, through=DEADLINE, held=held, now=DEADLINE)) for _ in range(2)
    ]

    assert [(2, True), (1, False)] == [(judged.n, judged.full) for judged in (first, second)]
    assert ["down"] * 3 == await statuses(world, *made)


async def test_behind_a_thousand_the_rest_are_judged_in_larger_batches(world: World) -> None:
    for _ in range(18):
        await due(world)
    judge = Judge(ids=world.ids, batch=1)

    judged = [
        await world.db.write(lambda tx, n=n: judge.judge(tx, through=DEADLINE, now=DEADLINE, n_before=n))  # type: ignore[misc]
        for n in (STORM - 1, STORM)
    ]

    assert [1, 16] == [one.n for one in judged]


async def two_towers(world: World, **hearing: Any) -> list[Tower]:
    """Nodes on one database, at T0."""
    clock, hears = SimClock(T0), Hearing(beat=10 * MINUTE, blind_after=15 * MINUTE, **hearing)
    towers = [Tower(world, clock, node_id=node, hearing=hears) for node in (1, 2)]
    for one in towers:
        await one.watcher.join()
    return towers


async def a_second_after_the_deadline(towers: list[Tower]) -> None:
    """Both have beaten until then, and the first one leads."""
    for at in (T0 + 6 * SECOND, DEADLINE - SECOND, DEADLINE - TICK, DEADLINE + SECOND):
        towers[0].clock.move_to(at)
        for one in towers if at < DEADLINE else towers[:1]:
            await one.watcher.round()


@ON_POSTGRES
async def test_a_signal_at_another_node_holds_its_own_check_and_no_other(world: World) -> None:
    tower, other = await two_towers(world)
    mine, neighbour = await due(world, name="mine"), await due(world, name="neighbour")
    await a_second_after_the_deadline([tower, other])

    other.under_way = {NOBODYS: T0, ByUuid(mine.ping_uuid): DEADLINE - TICK}
    await other.watcher.round()
    assert DEADLINE + SECOND == (await tower.watcher.round()).watermark
    assert ["up", "down"] == await statuses(world, mine, neighbour)

    other.under_way = {}
    await other.watcher.round()
    await tower.watcher.round()
    assert ["down", "down"] == await statuses(world, mine, neighbour)


@ON_POSTGRES
async def test_of_two_nodes_that_wait_for_a_check_the_older_signal_counts(world: World) -> None:
    tower, other = await two_towers(world)
    check = await due(world)
    await a_second_after_the_deadline([tower, other])

    for first, then in ((DEADLINE - TICK, DEADLINE + TICK), (DEADLINE + TICK, DEADLINE - TICK)):
        tower.under_way, other.under_way = {ByUuid(check.ping_uuid): first}, {ByUuid(check.ping_uuid): then}
        await other.watcher.round()
        await tower.watcher.round()
        assert ["up"] == await statuses(world, check)


@ON_POSTGRES
async def test_a_node_that_waits_for_very_many_holds_all_and_so_does_one_of_an_older_version(
    world: World,
) -> None:
    tower, other = await two_towers(world, most_told=0)
    mine, neighbour = await due(world, name="mine"), await due(world, name="neighbour")
    await a_second_after_the_deadline([tower, other])
    other.under_way = {ByUuid(mine.ping_uuid): DEADLINE - TICK}

    await other.watcher.round()
    assert DEADLINE - 2 * TICK == (await tower.watcher.round()).watermark
    await world.db.write(lambda tx: tx.conn.execute(sa.update(nodes).values(heard_apart=None, held=None)) and None)
    assert DEADLINE - 2 * TICK == (await tower.watcher.round()).watermark
    assert ["up", "up"] == await statuses(world, mine, neighbour)
