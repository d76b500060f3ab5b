"""Where nothing can be looked up, a limit says itself what holds; whatever was let through unseen is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.errors import NotFoundError, OverloadedError
from heartfly.limits.names import name_of
from tests.limits.desk import Desk

pytestmark = pytest.mark.anyio

PATIENCE_S = 0.3


@pytest.fixture
def desk(usage_db: Database, ids: IdSource) -> Desk:
    return Desk(usage_db, ids, SystemClock(), patience_s=PATIENCE_S)  # type: ignore[arg-type]


@asynccontextmanager
async def stuck(database: Database) -> AsyncIterator[None]:
    """The writer of checks has something in its hands that does not end."""
    begun, free = threading.Event(), threading.Event()

    def hold(_: Tx, items: Sequence[Any]) -> list[None]:
        begun.set()
        assert free.wait(30)
        return [None] * len(items)

    held = asyncio.ensure_future(database.submit(hold, None, priority=Priority.PINGS))
    await asyncio.to_thread(begun.wait, 30)
    try:
        yield
    finally:
        free.set()
        await held


async def test_a_limit_that_opens_lets_calls_through_and_each_is_counted(desk: Desk) -> None:
    limit = await desk.limit(amount="1")
    assert await desk.allowed()

    async with stuck(desk.usage):
        told = await asyncio.gather(*(desk.check() for _ in range(3)))

    assert [(None, True, None)] * 3 == [(one.denied_by, one.opened, one.reservation) for one in told]
    assert ["allowed"] + ["opened"] * 3 == desk.outcomes
    assert not await desk.allowed()  # which also writes down what was not
    shown = await desk.shown(limit)
    assert (2, 1, 3) == (shown.checked, shown.denied, shown.opened)


async def test_a_limit_that_closes_lets_nobody_through(desk: Desk) -> None:
    await desk.limit(amount="9", on_failure="allow")
    await desk.limit(amount="9", unit="cost:USD", on_failure="deny")
    assert await desk.allowed()

    async with stuck(desk.usage):
        with pytest.raises(OverloadedError):
            await desk.check()
    assert ["allowed", "refused"] == desk.outcomes


async def test_where_no_limit_holds_that_is_known_nobody_is_refused(desk: Desk) -> None:
    await desk.limit(amount="9", on_failure="deny", scope={"provider": "openai"})
    assert await desk.allowed(provider="openai")

    async with stuck(desk.usage):
        assert await desk.allowed(provider="other")


async def test_a_process_that_has_not_seen_the_limits_refuses(desk: Desk) -> None:
    await desk.limit(amount="9")

    async with stuck(desk.usage):
        with pytest.raises(OverloadedError):
            await desk.check()


async def test_who_was_told_that_nothing_is_stored_finds_nothing_stored(desk: Desk) -> None:
    limit = await desk.limit(amount="9", on_failure="deny")
    assert await desk.allowed(reserve=False)

    async with stuck(desk.usage):
        with pytest.raises(OverloadedError):
            await desk.check()
    assert await desk.allowed(reserve=False)

    assert {} == await desk.used(limit)


async def test_nobody_is_answered_before_what_he_reserved_is_on_the_disk(desk: Desk) -> None:
    desk.checker._patience_s = 30.0
    await desk.limit(amount="9")

    async with stuck(desk.usage):
        asked = asyncio.ensure_future(desk.check())
        done, _ = await asyncio.wait([asked], timeout=0.2)
        assert not done
    assert (await asked).reservation is not None


async def test_what_could_not_be_written_down_is_written_down_later(desk: Desk) -> None:
    limit = await desk.limit(amount="9")
    assert await desk.allowed()
    async with stuck(desk.usage):
        assert await desk.allowed()

    await desk.checker.tell_opened()

    assert 1 == (await desk.shown(limit)).opened


async def test_who_was_answered_is_not_kept_for_as_long_as_he_might_have_waited(
    usage_db: Database, ids: IdSource
) -> None:
    """Thousands a second would be, and the collector of cycles would hold up everybody to look through them."""
    desk = Desk(usage_db, ids, SystemClock(), patience_s=30)  # type: ignore[arg-type]
    await desk.limit(amount="1000")

    for _ in range(20):
        assert await desk.allowed()
    with pytest.raises(NotFoundError):
        await desk.checker.end(desk.pid, name_of(1), None)

    assert not desk.checker._waiting
