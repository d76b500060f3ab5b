"""The connections of a page: handed from question to question, and never one that failed, or that was held for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.database import Database
from heartfly.web import lanes as under_test
from heartfly.web.lanes import Lanes
from heartfly.web.panels import Panel, Panels

pytestmark = pytest.mark.anyio


class Page:
    """Asks questions one after another, and knows through which connections."""

    def __init__(self, usage: Database, n: int) -> None:
        self.begun: list[AsyncConnection] = []
        self.lanes = Lanes(usage, n=n, begun=self.begun.append)
        self.panels = Panels()
        self._turns = asyncio.Semaphore(1)

    async def ask(self, key: str, statement: str = "SELECT 1", *, wait_s: float = 60.0) -> Panel[int]:
        async def work(read: AsyncConnection) -> int:
            found: int = (await read.execute(sa.text(statement))).scalar_one()
            return found

        return await self.panels.ask(self.lanes, key, work, turns=self._turns, wait_s=wait_s)


async def test_questions_one_after_another_share_a_connection(usage_db: Database) -> None:
    page = Page(usage_db, 3)
    async with page.lanes:
        found = [await page.ask(key) for key in "abc"]

    assert [Panel(found=1)] * 3 == found
    assert 1 == len(page.begun)
    assert page.begun[0].closed


async def test_it_is_given_back_as_soon_as_no_question_is_left(usage_db: Database) -> None:
    page = Page(usage_db, 2)
    async with page.lanes:
        await page.ask("a")
        assert not page.begun[0].closed
        await page.ask("b")
        assert page.begun[0].closed


async def test_one_that_fails_says_so_and_the_next_one_has_another_connection(usage_db: Database) -> None:
    page = Page(usage_db, 3)
    async with page.lanes:
        found = [await page.ask("a"), await page.ask("b", "SELECT nothing FROM nowhere"), await page.ask("c")]

    assert (Panel(found=1), Panel(found=1)) == (found[0], found[2])
    assert "the database could not answer this" in found[1].wrong
    assert 2 == len(page.begun)
    assert all(one.closed for one in page.begun)


class Spoiled:
    """A database whose connections cannot be given back; and who holds how many."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.n_held = 0
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self._error = error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        self.n_held += 1
        try:
            yield object()
        finally:
            self.closing.set()
            await self.may_close.wait()
            self.n_held -= 1
        if self._error is not None:
            raise self._error


async def asked_of(lanes: Lanes) -> int:
    async with lanes.read():
        return 1


async def test_a_connection_that_cannot_be_given_back_fails_nobody() -> None:
    spoiled = Spoiled(OperationalError("COMMIT", {}, Exception("the line is lost")))
    spoiled.may_close.set()
    lanes = Lanes(spoiled, n=9, begun=lambda _: None)  # type: ignore[arg-type]
    async with lanes:
        found = await asyncio.gather(*(asked_of(lanes) for _ in range(3)))

    assert ([1, 1, 1], 0) == (found, spoiled.n_held)


async def test_who_leaves_while_connections_are_given_back_leaves_none() -> None:
    spoiled = Spoiled()
    lanes = Lanes(spoiled, n=9, begun=lambda _: None)  # type: ignore[arg-type]

    async def page() -> None:
        async with lanes, AsyncExitStack() as at_once:
            for _ in range(3):
                await at_once.enter_async_context(lanes.read())

    looking = asyncio.create_task(page())
    await spoiled.closing.wait()
    assert 3 == spoiled.n_held
    looking.cancel()
    await asyncio.wait({looking})
    spoiled.may_close.set()
    async with asyncio.timeout(60):
        while spoiled.n_held:  # noqa: ASYNC110 - bounded above
            await asyncio.sleep(0)  # noqa: TID251 - gives others their turn

    assert looking.cancelled()


async def test_none_is_held_for_long(usage_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "LASTS_S", 0.0)
    page = Page(usage_db, 3)
    async with page.lanes:
        for key in "abc":
            await page.ask(key)

    assert 3 == len(page.begun)
    assert all(one.closed for one in page.begun)


async def test_what_goes_on_when_the_page_is_told_keeps_its_connection_to_its_end(usage_db: Database) -> None:
    page, done = Page(usage_db, 3), asyncio.Event()

    async def slow(read: AsyncConnection) -> int:
        await done.wait()
        found: int = (await read.execute(sa.text("SELECT 7"))).scalar_one()
        return found

    turns = asyncio.Semaphore(2)
    async with page.lanes:
        first = await page.panels.ask(page.lanes, "slow", slow, turns=turns, wait_s=0.01)
        assert Panel(found=1) == await page.ask("another")
    done.set()
    again = await page.panels.ask(page.lanes, "slow", slow, turns=turns, wait_s=60.0)

    assert (Panel(counts=True), Panel(found=7)) == (first, again)
    assert 2 == len(page.begun)
    assert all(one.closed for one in page.begun)
