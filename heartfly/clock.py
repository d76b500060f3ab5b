"""The only reader of real time. Everything else takes `now` as an argument.

Three clocks, because each answers another question: the wall clock says *when*
(it may step), the monotonic clock says *how long* a process waited, and the
boot-time clock goes on while the machine sleeps, so it shows that we were deaf.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from typing_extensions import override


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back; for time limits and durations."""
        ...

    def boottime(self) -> float:
        """As monotonic, but counts the time that the machine slept."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def rest(self, seconds: float) -> None:
        """Hold up this thread: for work that gives way to others, never in an event loop."""
        ...


class SystemClock(Clock):
    @override
    def now(self) -> datetime:
        return datetime.now(UTC)

    @override
    def monotonic(self) -> float:
        return time.monotonic()

    @override
    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    @override
    async def sleep(self, seconds: float) -> None:
        import asyncio  # noqa: PLC0415 - commands that tell the time in words wait for no event loop

        await asyncio.sleep(max(0.0, seconds))

    @override
    def rest(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))
