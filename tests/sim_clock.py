"""A clock that stands still until a test moves it. Its wall can be stepped without time passing."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from typing_extensions import override

from heartfly.clock import Clock


class SimClock(Clock):
    def __init__(self, at: datetime) -> None:
        self._wall = at
        self._passed = 0.0
        self._moved = asyncio.Event()
        self.n_asleep = 0
        """How many wait for a later time."""
        self.rested = 0.0

    @override
    def now(self) -> datetime:
        return self._wall

    @override
    def monotonic(self) -> float:
        return self._passed

    @override
    def boottime(self) -> float:
        return self._passed

    @override
    async def sleep(self, seconds: float) -> None:
        until = self._passed + seconds
        self.n_asleep += 1
        try:
            while self._passed < until:
                self._moved.clear()
                await self._moved.wait()
        finally:
            self.n_asleep -= 1

    @override
    def rest(self, seconds: float) -> None:
        self.rested += seconds
        self._passed += seconds

    def move_to(self, at: datetime) -> None:
        """Let time pass until then."""
        assert at >= self._wall, "time does not run backwards; step the wall instead"
        self._passed += (at - self._wall).total_seconds()
        self._wall = at
        self._moved.set()

    def step_wall(self, by: timedelta) -> None:
        """Somebody sets the clock: no time passes."""
        self._wall += by
