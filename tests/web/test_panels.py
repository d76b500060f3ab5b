"""Parts of a page that are asked for apart: one that fails or takes long leaves the others alone."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.database import Database
from heartfly.errors import InvalidValueError, OverloadedError
from heartfly.web import panels as under_test
from heartfly.web.panels import Panel, Panels

pytestmark = pytest.mark.anyio
TURNS = 3


async def one(read: AsyncConnection) -> int:
    found: int = (await read.execute(sa.text("SELECT 1"))).scalar_one()
    return found


async def ask(panels: Panels, usage: Database, key: str, work: object = one, *, wait_s: float = 60.0) -> Panel[int]:
    assert callable(work)
    return await panels.ask(usage, key, work, turns=asyncio.Semaphore(TURNS), wait_s=wait_s)


async def test_what_goes_wrong_is_told_in_words(usage_db: Database) -> None:
    panels = Panels()

    async def refused(_: AsyncConnection) -> int:
        raise InvalidValueError("to", "must be later")

    async def late(_: AsyncConnection) -> int:
        raise OverloadedError("the question takes too long to answer")

    async def broken(read: AsyncConnection) -> int:
        await read.execute(sa.text("SELECT nothing FROM nowhere"))
        return 1

    assert Panel(found=1) == await ask(panels, usage_db, "good")
    assert Panel(wrong="must be later") == await ask(panels, usage_db, "refused", refused)
    assert "takes too long" in (await ask(panels, usage_db, "late", late)).wrong
    assert "the database could not answer this" in (await ask(panels, usage_db, "broken", broken)).wrong
    assert Panel(found=1) == await ask(panels, usage_db, "good")


async def test_what_takes_long_goes_on_and_is_told_to_who_looks_again(usage_db: Database) -> None:
    panels, done, n = Panels(), asyncio.Event(), 0

    async def slow(read: AsyncConnection) -> int:
        nonlocal n
        n += 1
        await done.wait()
        return await one(read)

    first = await ask(panels, usage_db, "slow", slow, wait_s=0.01)
    goes_on = panels.goes_on("slow")
    done.set()
    again = await ask(panels, usage_db, "slow", slow)

    assert (Panel(counts=True), True, Panel(found=1)) == (first, goes_on, again)
    assert (1, False) == (n, panels.goes_on("slow"))
    assert Panel(found=1) == await ask(panels, usage_db, "slow", slow)
    assert 2 == n  # what was told once is worked out anew


async def test_no_more_go_on_than_may(usage_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MOST", 1)
    panels, done = Panels(), asyncio.Event()

    async def slow(read: AsyncConnection) -> int:
        await done.wait()
        return await one(read)

    await ask(panels, usage_db, "slow", slow, wait_s=0.01)
    refused = await ask(panels, usage_db, "another")
    done.set()

    assert "too much is being worked out" in refused.wrong
    assert Panel(found=1) == await ask(panels, usage_db, "slow", slow)
    assert Panel(found=1) == await ask(panels, usage_db, "another")
