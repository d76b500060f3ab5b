"""Many requests with one key: whose it is is asked a few times for all of them, also just after a commit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts.key_commands import revoke_key
from heartfly.accounts.keys import Scope, make_key
from heartfly.accounts.known_keys import KnownKeys
from heartfly.audit.record import CLI
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import UnauthenticatedError
from tests.sim_clock import SimClock
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
CALLERS = 64


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, START)


async def a_key(world: World) -> tuple[int, str]:
    made = await world.db.write(
        lambda tx: make_key(
            tx, world.project.pid, name="app", scopes=frozenset({Scope.INGEST}), at=START, ids=world.ids
        )
    )
    return made.id, made.secret


async def test_all_that_ask_at_once_after_a_commit_share_one_question(world: World) -> None:
    _, secret = await a_key(world)
    keys, said = KnownKeys(world.db, SimClock(START)), list[str]()
    engine: Any = world.db._reading
    note: Any = lambda _c, _u, statement, *_: said.append(statement)  # noqa: E731 - taken off again
    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        for _ in range(2):
            await world.db.write(lambda _: None)
            found = await asyncio.gather(*(keys.caller(secret) for _ in range(CALLERS)))
            assert {world.project.pid} == {caller.pid for caller, _ in found}
    finally:
        sa.event.remove(engine.sync_engine, "before_cursor_execute", note)

    assert sum("api_keys" in one for one in said) <= 4


async def test_who_asks_after_a_key_was_revoked_is_refused_whatever_others_ask_just_then(world: World) -> None:
    number, secret = await a_key(world)
    keys = KnownKeys(world.db, SimClock(START))
    before = [asyncio.ensure_future(keys.caller(secret)) for _ in range(CALLERS)]
    await world.db.write(lambda tx: revoke_key(tx, world.project.pid, str(number), actor=CLI, at=START, ids=world.ids))

    with pytest.raises(UnauthenticatedError):
        await keys.caller(secret)
    await asyncio.gather(*before, return_exceptions=True)
    with pytest.raises(UnauthenticatedError):
        await keys.caller(secret)
