"""Pings, edits, channels and the monitor lock checks in the order of their ids, so that no two wait for each other.

Somebody holds the first check. Whoever wants several, whatever order they come in, must wait for that one first: then
the others are free still.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from anyio.lowlevel import checkpoint

from heartfly.audit.record import CLI
from heartfly.checks import commands, hearing
from heartfly.checks.config import CheckIn
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks
from heartfly.monitor.judge import Judge
from tests.postgres_waits import N_WAITING
from tests.world import SEALER, World, make_world

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
DEADLINE = T0 + timedelta(hours=1, minutes=10)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """Only PostgreSQL has several writing connections."""
    return postgres_url


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


async def waits_first_for_the_first(db: Database, made: list[Any], actor: Awaitable[Any]) -> Any:
    """What the actor says at last. AssertionError: it holds another check while it waits for the first one."""
    first, *others = made
    with db.engine.connect() as held, held.begin():
        held.execute(sa.select(checks.c.id).where(checks.c.id == first.id).with_for_update())
        acting = asyncio.ensure_future(actor)
        async with asyncio.timeout(60):
            while not held.execute(N_WAITING).scalar_one():
                assert not acting.done(), acting.result()
                await checkpoint()
        with db.engine.connect() as probe, probe.begin():
            free = sa.select(checks.c.id).where(checks.c.id.in_([one.id for one in others]))
            n_free = len(probe.execute(free.with_for_update(skip_locked=True)).all())
    async with asyncio.timeout(60):
        said = await acting
    assert len(others) == n_free, "it holds a check with a greater id while it waits for the first one"
    return said


def in_thread(db: Database, work: Callable[[Tx], Any]) -> Awaitable[Any]:
    return asyncio.to_thread(db.transaction, work)


async def checks_of(world: World) -> list[Any]:
    return [await world.check(T0, name=name, slug=name) for name in ("a", "b", "c")]


@pytest.mark.parametrize("by", ["address", "slug", "both"])
async def test_pings(world: World, by: str) -> None:
    made = await checks_of(world)
    newest_first = made[::-1]
    requests = [
        world.request(
            one, T0, target=world.by_slug(one.slug) if by == "slug" or (by == "both" and one is made[0]) else None
        )
        for one in newest_first
    ]

    told = await waits_first_for_the_first(
        world.db, made, in_thread(world.db, lambda tx: world.applier.apply(tx, requests))
    )

    assert ["ok"] * 3 == [result.outcome for result in told]


async def test_the_monitor(world: World) -> None:
    made = await checks_of(world)
    for n, one in enumerate(made):  # the first is the least urgent
        await world.ping(one, T0 - n * timedelta(minutes=1))
    judge = Judge(ids=world.ids)

    told = await waits_first_for_the_first(
        world.db, made, in_thread(world.db, lambda tx: judge.judge(tx, through=DEADLINE, now=DEADLINE))
    )

    assert (3, 3) == (told.n, told.flips)


async def test_edits_that_come_together(world: World) -> None:
    """Each is a command of its own, and knows nothing of the others: so it commits alone."""
    made = await checks_of(world)
    begun, may_go_on = threading.Event(), threading.Event()

    def busy(_: Tx) -> None:
        begun.set()
        assert may_go_on.wait(60)

    def edited(one: Any) -> Awaitable[None]:
        asked = CheckIn(grace=120)
        return world.db.write(lambda tx: commands.edit(tx, one.pid, one.uuid, asked, at=T0, ids=world.ids, actor=CLI))

    async def all_at_once() -> Any:
        held = asyncio.ensure_future(world.db.write(busy))
        await asyncio.to_thread(begun.wait, 20)
        edits = asyncio.gather(*(edited(one) for one in made[::-1]))
        async with asyncio.timeout(60):
            while world.db.n_queued < len(made):
                await checkpoint()
        may_go_on.set()
        await held
        return await edits

    await waits_first_for_the_first(world.db, made, all_at_once())

    assert [120] * 3 == [(await world.row(one)).grace_s for one in made]


async def test_a_channel_that_begins_to_hear_of_lateness(world: World) -> None:
    made = await checks_of(world)
    config = {"to": "ops@example.com"}
    uuid, _ = await world.db.write(
        lambda tx: hearing.add_channel(
            tx, world.project.pid, kind="email", name="ops", config=config, events=None, check_uuids=None,
            actor=CLI, at=T0, ids=world.ids, sealer=SEALER,
        )
    )  # fmt: skip
    # Rows are found in the order in which they were last written.
    for one in made[::-1]:
        await world.ping(one, T0)

    await waits_first_for_the_first(
        world.db,
        made,
        in_thread(
            world.db,
            lambda tx: hearing.edit_channel(
                tx, world.project.pid, uuid, name=None, config=None, events=["check.late"], check_uuids=None,
                actor=CLI, at=T0, ids=world.ids, sealer=SEALER,
            ),
        ),
    )  # fmt: skip

    assert [True] * 3 == [(await world.row(one)).wants_late for one in made]
