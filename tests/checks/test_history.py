"""A deleted check's history goes in small pieces, and what a crash left is found again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa

from heartfly.checks import commands, history
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, checks, flips, ping_bodies, pings, run_metrics, runs
from tests.world import TEST, World, make_world

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TABLES = (pings, ping_bodies, runs, run_metrics, flips, addresses)


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


async def n_rows(world: World) -> int:
    async with world.db.read() as read:
        return sum(
            [(await read.execute(sa.select(sa.func.count()).select_from(table))).scalar_one() for table in TABLES]
        )


async def heard(world: World, n: int) -> int:
    """A check with `n` pings of two figures each, every other one a failure; its id."""
    check = await world.check(T0)
    kinds = (PingKind.SUCCESS, PingKind.FAIL)
    await world.pings([world.request(check, T0 + i * SECOND, kinds[i % 2], body=b"a=1 b=2") for i in range(n)])
    found: int = check.id
    return found


async def test_no_piece_is_larger_than_it_may_be_and_together_they_are_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PIECE", 10)
    check_id = await heard(world, 30)
    left = [await n_rows(world)]

    more = True
    while more:
        more = await world.db.write(lambda tx: history.remove_piece(tx, world.project.pid, check_id))
        left.append(await n_rows(world))

    gone = [before - after for before, after in pairwise(left)]
    assert 0 == left[-1]
    assert 11 >= max(gone)  # figures of one run go together
    assert 10 < len(gone)


async def test_what_a_crash_left_is_removed_after_the_start(world: World) -> None:
    spared, check_id = await heard(world, 3), await heard(world, 3)
    async with world.db.read() as read:
        query = sa.select(checks.c.uuid).where(checks.c.id == check_id)
        uuid: str = (await read.execute(query)).scalar_one()
    await world.db.write(lambda tx: commands.delete(tx, world.project.pid, uuid, at=T0, ids=world.ids, actor=TEST))
    # Here the process dies; the next one begins with what is in the database.
    before = await n_rows(world)

    await history.remove_leftovers(world.db)

    assert before == 2 * await n_rows(world)
    async with world.db.read() as read:
        for table in TABLES:
            assert {spared} == set((await read.execute(sa.select(table.c.check_id))).scalars())
