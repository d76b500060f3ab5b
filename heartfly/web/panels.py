"""The parts of a page that are asked for apart: one that fails says so, one that takes long goes on, the others stand.

Who looks waits a little for each; the answer of one that took longer is there when he looks again. What a part shows
is of those who ask for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.errors import HeartflyError, InvalidValueError
from heartfly.logs import logger

log = logger("heartfly.web")

WAIT_S = 2.0
"""So long at most a page waits for all of its parts together."""
SHORT_S = 0.3
"""For one of which it is known that it may take long."""
MOST = 400
"""Questions that are under way or not told yet, of all projects: some thirty pages; beyond that none is asked."""

KEPT_S = 60.0
"""So long after it was asked an answer that took long is told; later it is asked anew."""

Result = TypeVar("Result")


class Reads(Protocol):
    """A database, or the connections of a page (lanes.py)."""

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]: ...


@dataclass(frozen=True, slots=True)
class Panel(Generic[Result]):
    """`found`, or in words why it is not there. `counts`: it is still being worked out."""

    found: Result | None = None
    wrong: str = ""
    counts: bool = False


class Panels:
    """Of one process: a question that goes on is found again by its key, and told once."""

    def __init__(self, *, wait_s: float = WAIT_S, short_s: float = SHORT_S) -> None:
        self.wait_s, self.short_s = wait_s, short_s
        self._going_on: dict[Hashable, tuple[float, asyncio.Task[object]]] = {}

    def goes_on(self, key: Hashable) -> bool:
        """Whether somebody was told that it is still being worked out, and has not heard more yet."""
        return self._known(key) is not None

    def _known(self, key: Hashable) -> asyncio.Task[object] | None:
        at = asyncio.get_running_loop().time()
        for old in [one for one, (began, task) in self._going_on.items() if task.done() and at - began > KEPT_S]:
            del self._going_on[old]
        return self._going_on[key][1] if key in self._going_on else None

    async def ask(
        self,
        usage: Reads,
        key: Hashable,
        work: Callable[[AsyncConnection], Awaitable[Result]],
        *,
        turns: asyncio.Semaphore,
        wait_s: float,
    ) -> Panel[Result]:
        """`key`: the project, and all that the answer depends on. `turns`: so many of a page at once."""
        task: asyncio.Task[Result] | None = self._known(key)  # type: ignore[assignment] # of the same key
        if task is None:
            if len(self._going_on) >= MOST:
                return Panel(wrong="too much is being worked out at this moment; look again in a minute")

            async def run() -> Result:
                # A question that fails spoils its transaction: no other one goes on in that.
                async with turns, usage.read() as read:
                    return await work(read)

            task = asyncio.create_task(run())
            self._going_on[key] = (asyncio.get_running_loop().time(), task)
            task.add_done_callback(_looked_at)
        await asyncio.wait({task}, timeout=wait_s)
        if not task.done():
            return Panel(counts=True)
        if self._known(key) is task:  # and not one that somebody else has asked for since
            del self._going_on[key]
        return _told(task)


def _looked_at(task: asyncio.Task[object]) -> None:
    """Who asked may have gone: then nobody is told of its error, which is no fault of his."""
    if not task.cancelled():
        task.exception()


def _told(task: asyncio.Task[Result]) -> Panel[Result]:
    try:
        return Panel(found=task.result())
    except InvalidValueError as error:
        return Panel(wrong=error.message)
    except HeartflyError as error:
        return Panel(wrong=str(error))
    except SQLAlchemyError as error:
        log.warning("panel", error=str(error.__cause__ or error))
        return Panel(wrong="the database could not answer this; the log of Heartfly says more")
