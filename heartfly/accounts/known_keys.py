"""Whose key it is, asked again only when that may have changed: a key that was revoked is refused from its answer on.

On SQLite nobody but this process writes, so what was read holds until its next commit, and until the key's own end.
On PostgreSQL another node may have revoked it meanwhile, so there each request asks.
"""

from __future__ import annotations

from datetime import datetime

from heartfly.accounts.keys import Caller, caller_of
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

    async def demand(self, secret: str) -> None:
        """That a body may be read, after which `caller` is asked: one that was good a minute ago is good enough."""
        seen = self._seen.get(digest(secret))
        if seen is None or self._clock.monotonic() - seen > _LATELY_S:
            await self.caller(secret)

    async def caller(self, secret: str) -> tuple[Caller, datetime]:
        """And the instant at which it was so. UnauthenticatedError, as `caller_of`."""
        now, as_of = self._clock.now(), self._database.n_batches
        if as_of != self._as_of or len(self._known) >= _REMEMBERED:
            self._known.clear()
            self._as_of = as_of
        hashed = digest(secret)
        known = self._known.get(hashed)
        if known is not None and (known.until is None or now < known.until):
            return known, now
        async with self._database.read() as read:
            caller = await caller_of(read, secret, now=now)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[hashed] = self._clock.monotonic()
        # A commit meanwhile is not in what was read, or not for sure.
        if not self._database.on_postgres and as_of == self._as_of == self._database.n_batches:
            self._known[hashed] = caller
        return caller, now
