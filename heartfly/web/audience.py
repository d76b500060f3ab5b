"""Who listens to what changes in a project, and whether he still may: asked for all of them at once.

Hundreds of open tabs that each asked for themselves, every ten seconds, would cost more than all else about them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from heartfly.accounts.sessions import Membership, still_in
from heartfly.clock import Clock
from heartfly.db.database import Database

AGE_S = 1.0
"""So old an answer may be."""


class Audience:
    def __init__(self, pid: int, database: Database, clock: Clock) -> None:
        self._pid = pid
        self._database = database
        self._clock = clock
        self._tokens: Counter[str] = Counter()
        """Of sessions; a browser may have several streams."""
        self._asked: frozenset[str] = frozenset()
        self._asked_at = 0.0
        self._may: Mapping[str, Membership] = {}
        self._asking = asyncio.Lock()

    @contextmanager
    def listening(self, token: str) -> Iterator[None]:
        self._tokens[token] += 1
        try:
            yield
        finally:
            self._tokens[token] -= 1
            if not self._tokens[token]:
                del self._tokens[token]

    async def still(self, token: str, *, more_demanded: bool = False) -> Membership | None:
        """The project, as this listener may see it; None if he may not any more. `more_demanded`: than a password."""
        async with self._asking:
            if token not in self._asked or self._clock.monotonic() - self._asked_at > AGE_S:
                await self._ask(more_demanded=more_demanded)
        return self._may.get(token)

    async def _ask(self, *, more_demanded: bool) -> None:
        asked, at = frozenset(self._tokens), self._clock.monotonic()
        async with self._database.read() as read:
            now = self._clock.now()
            self._may = await still_in(read, self._pid, asked, now=now, more_demanded=more_demanded)
        self._asked, self._asked_at = asked, at
