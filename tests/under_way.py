"""What is committed while a request is under way: between the look of its guard and its own write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from anyio.lowlevel import checkpoint

from heartfly.db.changes import Tx
from heartfly.db.database import Database

Answer = TypeVar("Answer")


async def overtaken(db: Database, change: Callable[[Tx], Any], asked: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer to `asked`, whose write waits behind `change`. Fails if it never writes."""
    begun, may_go_on = threading.Event(), threading.Event()

    def first(tx: Tx) -> None:
        begun.set()
        assert may_go_on.wait(60)
        change(tx)

    changing = asyncio.ensure_future(db.write(first))
    assert await asyncio.to_thread(begun.wait, 60)
    answer = asyncio.ensure_future(asked)
    try:
        async with asyncio.timeout(60):
            while not db.n_queued:
                assert not answer.done(), answer.result()
                await checkpoint()
    finally:
        may_go_on.set()
        await changing
    return await answer
