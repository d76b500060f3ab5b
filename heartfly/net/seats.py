"""Who may have a connection to a host, and that whoever is not answered makes room for others.

Behind one host there may be many receivers. A few of them that answer nothing would soon hold all of its
connections, and each message to the others would wait for the end of theirs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Seats:
    """So many at a time; whoever comes later waits, in order."""

    def __init__(self, n: int) -> None:
        self._n_free = n
        self._queue: deque[asyncio.Future[None]] = deque()

    def take_at_once(self) -> bool:
        """Whether one was free."""
        if not self._n_free:
            return False
        self._n_free -= 1
        return True

    async def take(self) -> None:
        if self.take_at_once():
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.give()  # it was ours already
            raise

    def give(self) -> None:
        """Back, or to whoever waits longest."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._n_free += 1


class HostSeats:
    """`n` for those who are answered soon, and as many for the others."""

    def __init__(self, n: int, *, patience_s: float) -> None:
        self._quick = Seats(n)
        self._slow = Seats(n)
        self._patience_s = patience_s

    @asynccontextmanager
    async def seat(self, *, slow: bool) -> AsyncIterator[None]:
        """`slow`: this receiver left its last request unanswered."""
        mine = self._slow if slow else self._quick
        await mine.take()

        def make_room() -> None:
            nonlocal mine
            if self._slow.take_at_once():
                mine.give()
                mine = self._slow

        waited = None if slow else asyncio.get_running_loop().call_later(self._patience_s, make_room)
        try:
            yield
        finally:
            if waited is not None:
                waited.cancel()
            mine.give()
