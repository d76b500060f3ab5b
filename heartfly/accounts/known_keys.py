"""Whose key it is, asked again only when that may have changed: a key that was revoked is refused from its answer on.

On SQLite nobody but this process writes, so what was read holds until its next commit, and until the key's own end.
On PostgreSQL another node may have revoked it meanwhile, so there each request asks. Those that wait while one asks
share the question that begins when that is answered, which is after they came: on SQLite, too, where after a commit all
that are under way would ask at once.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from heartfly.accounts.keys import Caller, caller_now
from heartfly.clock import Clock
from heartfly.db.database import Database
from heartfly.sealing import digest

_REMEMBERED = 10_000
_LATELY_S = 60.0


class KnownKeys:
    """Call in one event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, Caller] = {}
        """By the hash of the secret; as of so many commits."""
        self._as_of = -1
        self._seen: dict[str, float] = {}
        """When each was last found good, in monotonic seconds."""
        self._under_way: dict[str, asyncio.Task[Caller]] = {}
        self._following: dict[str, asyncio.Task[Caller]] = {}
        """By the hash of the secret: what is asked at this moment, and what is asked next."""

    async def demand(self, secret: str) -> str:
        """That a body may be read, after which `caller` is asked: one that was good a minute ago is good enough.

        Its hash.
        """
        hashed = digest(secret)
        seen = self._seen.get(hashed)
        if seen is None or self._clock.monotonic() - seen > _LATELY_S:
            await self.caller(secret, hashed)
        return hashed

    async def caller(self, secret: str, hashed: str | None = None) -> tuple[Caller, datetime]:
        """And the instant at which it was so. `hashed`: as `demand` told it. UnauthenticatedError, as `caller_now`."""
        now, as_of = self._clock.now(), self._database.n_batches
        if as_of != self._as_of or len(self._known) >= _REMEMBERED:
            self._known.clear()
            self._as_of = as_of
        hashed = hashed or digest(secret)
        known = self._known.get(hashed)
        if known is not None and (known.until is None or now < known.until):
            return known, now
        caller = await self._shared(hashed)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[hashed] = self._clock.monotonic()
        # A commit meanwhile is not in what was read, or not for sure.
        if not self._database.on_postgres and as_of == self._as_of == self._database.n_batches:
            self._known[hashed] = caller
        return caller, now

    async def _read(self, hashed: str) -> Caller:
        return await caller_now(self._database, hashed, now=self._clock.now())

    async def _shared(self, hashed: str) -> Caller:
        """By a question that begins now, or by the one that follows what is under way."""
        under_way = self._under_way.get(hashed)
        if under_way is None:
            return await asyncio.shield(self._begin(hashed))
        following = self._following.get(hashed)
        if following is None:
            following = self._following[hashed] = asyncio.ensure_future(self._after(under_way, hashed))
            following.add_done_callback(_seen_to)
        return await asyncio.shield(following)

    async def _after(self, under_way: asyncio.Task[Caller], hashed: str) -> Caller:
        await asyncio.wait([under_way])
        del self._following[hashed]  # who comes from now on came after it began
        return await self._begin(hashed)

    def _begin(self, hashed: str) -> asyncio.Task[Caller]:
        task = asyncio.ensure_future(self._read(hashed))
        self._under_way[hashed] = task

        def ended(_: asyncio.Task[Caller]) -> None:
            if self._under_way.get(hashed) is task:
                del self._under_way[hashed]
            _seen_to(task)

        task.add_done_callback(ended)
        return task


def _seen_to(task: asyncio.Task[Caller]) -> None:
    """Whoever asked may have gone: then nobody else hears what went wrong."""
    if not task.cancelled():
        task.exception()
