"""What somebody on a page has asked for and takes long, while that goes on: a day of usage is looked at or closed anew,
a preview is worked out.

Who asks waits a little; what takes longer goes on without him, and the page tells how far it is. In this process only:
another node's page shows things as they stand. What is done then is decided in usage/.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from heartfly.clock import Clock
from heartfly.errors import ConflictError, OverloadedError
from heartfly.usage.compare import Compared
from heartfly.usage.since_proved import SinceProved

MOST = 8
"""At once, of all projects: each waits for one process that adds up."""
_KEPT = timedelta(minutes=10)
"""So long what was found is told to whoever opens the page."""

Key = tuple[int, Hashable]
"""A project, and what of it."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Foretold:
    """`rows`: the rollups as they are beside what they would be; `since`: what was proved beside what it is now."""

    rows: Compared
    since: SinceProved


@dataclass(slots=True)
class Rerun(Generic[Result]):
    """`closes`: a day is closed anew; else somebody only wants to know what would change. `step`: in words."""

    closes: bool
    began_at: datetime
    task: asyncio.Task[Result]
    step: str = "looks what its events come to"
    ended_at: datetime | None = None
    told: bool = False

    @property
    def goes_on(self) -> bool:
        return not self.task.done()


class Reruns(Generic[Result]):
    """`wait_s`: for so long who asks is kept waiting."""

    def __init__(self, clock: Clock, *, wait_s: float = 4.0) -> None:
        self.wait_s = wait_s
        self._clock = clock
        self._known: dict[Key, Rerun[Result]] = {}

    def of(self, key: Key) -> Rerun[Result] | None:
        self._forget()
        return self._known.get(key)

    def drop(self, key: Key) -> None:
        """It was told."""
        self._known.pop(key, None)

    async def ask(self, key: Key, work: Callable[[Rerun[Result]], Awaitable[Result]], *, closes: bool) -> Rerun[Result]:
        """The one that is under way, if there is one; as it is when it ends, or when the wait is over."""
        found = self.of(key)
        if found is not None and found.goes_on and closes and not found.closes:
            raise ConflictError("somebody looks at this day just now; try again once that has ended")
        if found is None or not found.goes_on:
            if sum(one.goes_on for one in self._known.values()) >= MOST:
                raise OverloadedError("too much is looked at at this moment; try again", retry_after=5)

            async def run() -> Result:
                try:
                    return await work(made)
                finally:
                    made.ended_at = self._clock.now()

            # The task begins at the next await: by then there is what it works on.
            made: Rerun[Result] = Rerun(closes, self._clock.now(), asyncio.create_task(run()))
            found = self._known[key] = made
        await asyncio.wait({found.task}, timeout=self.wait_s)
        return found

    def _forget(self) -> None:
        at = self._clock.now() - _KEPT
        for key in [key for key, one in self._known.items() if one.ended_at is not None and one.ended_at < at]:
            del self._known[key]
