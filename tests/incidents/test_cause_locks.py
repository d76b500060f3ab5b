"""Two nodes and one cause: they take causes in one order, and what one of them ends the other tells of no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from anyio.lowlevel import checkpoint

from heartfly.audit.record import CLI
from heartfly.checks import commands
from heartfly.checks.config import CheckIn
from heartfly.core.causes import IN_HAND
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import cause_tellings, incidents, notifications
from heartfly.notify.commands import create_channel
from heartfly.notify.later import tell_later
from heartfly.notify.together import take_due
from heartfly.pings.apply import PingApplier
from heartfly.pings.rate import RateLimiter
from tests.postgres_waits import N_WAITING
from tests.world import KEEP, SEALER, World, make_world

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """Only PostgreSQL has several writing connections."""
    return postgres_url


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


def in_thread(db: Database, work: Callable[[Tx], Any]) -> Awaitable[Any]:
    return asyncio.to_thread(db.transaction, work)


async def waits(held: sa.Connection, acting: asyncio.Future[Any]) -> None:
    async with asyncio.timeout(60):
        while not held.execute(N_WAITING).scalar_one():
            assert not acting.done(), acting.result()
            await checkpoint()


async def a_cause(world: World, host: str, at: datetime) -> int:
    """Of two checks that are down."""
    for n in range(2):
        await world.ping(await world.check(T0, name=f"{host}-{n}", host=host), at, PingKind.FAIL)
    query = sa.select(incidents.c.id).where(incidents.c.source_kind == "host", incidents.c.source_name == host)
    async with world.db.read() as read:
        return int((await read.execute(query)).scalar_one())


async def test_causes_are_taken_in_the_order_of_their_ids(world: World) -> None:
    older, newer = await a_cause(world, "db-1", T0), await a_cause(world, "aux-1", T0 + MINUTE)
    third = {host: await world.check(T0, name=f"{host}-3", host=host) for host in ("aux-1", "db-1")}
    requests = [world.request(one, T0 + 2 * MINUTE, PingKind.FAIL) for one in third.values()]
    with world.db.engine.connect() as held, held.begin():
        held.execute(sa.select(incidents.c.id).where(incidents.c.id == older).with_for_update())
        acting = asyncio.ensure_future(in_thread(world.db, lambda tx: world.applier.apply(tx, requests)))
        await waits(held, acting)
        with world.db.engine.connect() as probe, probe.begin():
            free = sa.select(incidents.c.id).where(incidents.c.id == newer).with_for_update(skip_locked=True)
            is_free = probe.execute(free).first() is not None
    async with asyncio.timeout(60):
        told = await acting
    assert is_free, "it holds a cause with a greater id while it waits for another"
    assert ["down"] * 2 == [result.flipped_to for result in told]


async def n_waiting(held: sa.Connection, n: int, *acting: asyncio.Future[Any]) -> None:
    """Until so many of these wait for a lock, or are done."""
    async with asyncio.timeout(60):
        while held.execute(N_WAITING).scalar_one() + sum(one.done() for one in acting) < n:
            await checkpoint()


async def test_nodes_that_begin_and_join_one_cause_at_once_wait_for_nobody_in_a_circle(world: World) -> None:
    """One has looked at what there is as another begins a cause, which a third joins as well as one that was there."""

    def failing(checks: list[Any], node_id: int) -> asyncio.Future[Any]:
        applier = PingApplier(ids=IdSource(node_id), node_id=node_id, rate=RateLimiter(per_minute=10**6), keep=KEEP)
        requests = [world.request(one, T0, PingKind.FAIL) for one in checks]
        return asyncio.ensure_future(in_thread(world.db, lambda tx: applier.apply(tx, requests)))

    there = await a_cause(world, "aux-1", T0 + MINUTE)
    on_db = [await world.check(T0, name=f"db-{n}", host="db-1") for n in range(5)]
    on_aux = [await world.check(T0, name=f"aux-{n}", host="aux-1") for n in range(2, 4)]
    with world.db.engine.connect() as held, held.begin():
        held.execute(sa.select(incidents.c.id).where(incidents.c.id == there).with_for_update())
        one = failing([*on_db[:2], on_aux[0]], 11)
        await n_waiting(held, 1, one)
        other = failing(on_db[2:4], 12)
        await n_waiting(held, 2, one, other)
        third = failing([on_db[4], on_aux[1]], 13)
        await n_waiting(held, 3, one, other, third)
    async with asyncio.timeout(60):
        told = await asyncio.gather(one, other, third)

    assert ["down"] * 7 == [result.flipped_to for results in told for result in results]
    async with world.db.read() as read:
        open_ones = await read.execute(sa.select(incidents.c.source_name).where(incidents.c.source_kind == "host"))
        assert ["aux-1", "db-1"] == sorted(open_ones.scalars())


async def a_child(world: World) -> tuple[Any, Any]:
    """A check that is down, and one that needs it, whose host explains that it is: the two share no cause."""
    dump = await world.check(T0, name="dump", slug="dump")
    upload = await world.check(T0, name="upload", slug="upload", host="aux-1")
    asked = CheckIn(needs=["dump"])
    await world.db.write(lambda tx: commands.edit(tx, upload.pid, upload.uuid, asked, at=T0, ids=world.ids, actor=CLI))
    await world.db.write(
        lambda tx: create_channel(
            tx, world.project.pid, kind="webhook", name="hook", config={"url": "https://example.com/hook"}, at=T0,
            ids=world.ids, sealer=SEALER, assign="all",
        ) and None
    )  # fmt: skip
    await world.ping(dump, T0, PingKind.FAIL)
    return dump, upload


async def held_of(world: World) -> list[tuple[str, datetime]]:
    n = notifications.c
    async with world.db.read() as read:
        rows = await read.execute(sa.select(n.why, n.held_until).where(n.state == "held"))
        return [(row.why, row.held_until) for row in rows]


async def test_a_child_that_goes_down_while_another_node_brings_its_parent_up_waits_for_no_hour(world: World) -> None:
    await a_cause(world, "aux-1", T0)
    dump, upload = await a_child(world)
    up, down = world.request(dump, T0 + MINUTE), world.request(upload, T0 + MINUTE, PingKind.FAIL)
    with world.db.engine.connect() as parent, parent.begin():
        # One node has brought the parent up, woken who waits for it, and not committed yet ...
        world.applier.apply(Tx(parent), [up])
        async with asyncio.timeout(60):
            await in_thread(world.db, lambda tx: world.applier.apply(tx, [down]))
    # ... so the other one, which sees it down, looks again at once.
    assert [("waits for “dump”, which is down", T0 + MINUTE + IN_HAND)] == await held_of(world)
    await world.db.write(lambda tx: tell_later(tx, now=T0 + MINUTE + IN_HAND, ids=world.ids) and None)
    grace = timedelta(seconds=upload.grace_s)
    assert [("it had its own grace since “dump”, which it needs, came back", T0 + MINUTE + grace)] == await held_of(
        world
    )


async def test_a_parent_that_comes_up_while_a_child_begins_to_wait_finds_it(world: World) -> None:
    await a_cause(world, "aux-1", T0)
    dump, upload = await a_child(world)
    up, down = world.request(dump, T0 + MINUTE), world.request(upload, T0 + MINUTE, PingKind.FAIL)
    with world.db.engine.connect() as child, child.begin():
        world.applier.apply(Tx(child), [down])
        acting = asyncio.ensure_future(in_thread(world.db, lambda tx: world.applier.apply(tx, [up])))
        await waits(child, acting)
    async with asyncio.timeout(60):
        await acting
    assert [("waits for “dump”, which is down", T0 + MINUTE)] == await held_of(world)


async def test_what_another_node_ends_just_now_is_told_as_one_no_more(world: World) -> None:
    cause, pid = await a_cause(world, "db-1", T0), world.project.pid
    row = {"pid": pid, "incident_id": cause, "channel_id": 5, "since": T0, "n_left": 1, "due_at": T0 + MINUTE}
    await world.db.write(lambda tx: tx.conn.execute(sa.insert(cause_tellings).values(row)))
    with world.db.engine.connect() as held, held.begin():
        held.execute(sa.update(cause_tellings).values(due_at=None))
        acting = asyncio.ensure_future(in_thread(world.db, lambda tx: take_due(tx, now=T0 + 2 * MINUTE)))
        await waits(held, acting)
    async with asyncio.timeout(60):
        assert ([], False) == await acting


async def test_causes_that_are_told_as_one_are_taken_in_the_order_of_their_ids(world: World) -> None:
    older, newer = await a_cause(world, "db-1", T0), await a_cause(world, "aux-1", T0 + MINUTE)
    row = {"pid": world.project.pid, "channel_id": 5, "since": T0, "n_left": 1, "n_new": 1}
    due = [row | {"incident_id": newer, "due_at": T0}, row | {"incident_id": older, "due_at": T0 + MINUTE}]
    await world.db.write(lambda tx: tx.conn.execute(sa.insert(cause_tellings), due) and None)
    with world.db.engine.connect() as held, held.begin():
        held.execute(sa.select(incidents.c.id).where(incidents.c.id == older).with_for_update())
        acting = asyncio.ensure_future(in_thread(world.db, lambda tx: take_due(tx, now=T0 + 2 * MINUTE)))
        await waits(held, acting)
        with world.db.engine.connect() as probe, probe.begin():
            free = sa.select(incidents.c.id).where(incidents.c.id == newer).with_for_update(skip_locked=True)
            is_free = probe.execute(free).first() is not None
    async with asyncio.timeout(60):
        taken, more = await acting
    assert is_free, "it holds a cause with a greater id while it waits for another"
    assert ([newer, older], False) == ([one.cause for one in taken], more)
