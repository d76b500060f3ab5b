"""Days of usage that somebody on a page has asked to be looked at or closed anew, while that goes on.

Who asks waits a little; what takes longer goes on without him, and the day's page tells how far it is. In this process
only: another node's page shows the day as it stands. What is done then is decided in usage/rerun.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from heartfly.clock import Clock
from heartfly.errors import ConflictError, OverloadedError
from heartfly.usage.compare import Compared
from heartfly.usage.since_proved import SinceProved

MOST = 8
"""At once, of all projects: each waits for one process that adds up."""
_KEPT = timedelta(minutes=10)
"""So long what was found is told to whoever opens the day's page."""

Key = tuple[int, date]


@dataclass(frozen=True, slots=True)
class Foretold:
    """`rows`: the rollups as they are beside what they would be; `since`: what was proved beside what it is now."""

    rows: Compared
    since: SinceProved


@dataclass(slots=True)
class Rerun:
    """`closes`: the day is closed anew; else somebody only wants to know what would change. `step`: in words."""

    closes: bool
    began_at: datetime
    task: asyncio.Task[Foretold]
    step: str = "looks what its events come to"
    ended_at: datetime | None = None

    @property
    def goes_on(self) -> bool:
        return not self.task.done()


class Reruns:
    """`wait_s`: for so long who asks is kept waiting."""

    def __init__(self, clock: Clock, *, wait_s: float = 4.0) -> None:
        self.wait_s = wait_s
        self._clock = clock
        self._known: dict[Key, Rerun] = {}

    def of(self, key: Key) -> Rerun | None:
        self._forget()
        return self._known.get(key)

    def drop(self, key: Key) -> None:
        """It was told."""
        self._known.pop(key, None)

    async def ask(self, key: Key, work: Callable[[Rerun], Awaitable[Foretold]], *, closes: bool) -> Rerun:
        """The one that is under way, if there is one; as it is when it ends, or when the wait is over."""
        found = self.of(key)
        if found is not None and found.goes_on and closes and not found.closes:
            raise ConflictError("somebody looks at this day just now; try again once that has ended")
        if found is None or not found.goes_on:
            if sum(one.goes_on for one in self._known.values()) >= MOST:
                raise OverloadedError("too many days are looked at at this moment; try again", retry_after=5)

            async def run() -> Foretold:
                try:
                    return await work(made)
                finally:
                    made.ended_at = self._clock.now()

            # The task begins at the next await: by then there is what it works on.
            made = Rerun(closes, self._clock.now(), asyncio.create_task(run()))
            found = self._known[key] = made
        await asyncio.wait({found.task}, timeout=self.wait_s)
        return found

    def _forget(self) -> None:
        at = self._clock.now() - _KEPT
        for key in [key for key, one in self._known.items() if one.ended_at is not None and one.ended_at < at]:
            del self._known[key]
