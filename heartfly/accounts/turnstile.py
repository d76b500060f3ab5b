"""Work that takes a core for a while: a few do it side by side, a bounded number wait, the rest are told to come again.

Without a bound a flood of it is a queue of minutes, in which everybody who is right waits behind everybody who is not.
"""

from __future__ import annotations

import asyncio

from heartfly.errors import OverloadedError


class Turnstile:
    """`async with`: held by whoever does the work. OverloadedError, which says `busy`: too many wait already."""

    def __init__(self, *, at_once: int, waiting: int, again_s: int, busy: str) -> None:
        """`again_s`: when to come again, in seconds."""
        self._room = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._again_s = again_s
        self._busy = busy
        self._n = 0

    async def __aenter__(self) -> None:
        if self._n >= self._most:
            raise OverloadedError(self._busy, retry_after=self._again_s)
        self._n += 1
        try:
            await self._room.acquire()
        except BaseException:
            self._n -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._n -= 1
        self._room.release()
