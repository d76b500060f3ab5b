"""Beside the demo's server something goes on being sent, some times a minute. What that is, its starter decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from heartfly.clock import Clock
from heartfly.core.events import read
from heartfly.errors import HeartflyError
from heartfly.logs import logger
from heartfly.usage.ingest import EventIngest

log = logger("heartfly.demo")


class GoesOn:
    """`often_s`: how long it waits from one time to the next. `make`: an event by its name and its time."""

    def __init__(
        self,
        pid: int,
        ingest: EventIngest,
        clock: Clock,
        *,
        often_s: float,
        chance: Random,
        make: Callable[[str, datetime, Random], dict[str, Any]],
    ) -> None:
        self._pid, self._ingest, self._clock = pid, ingest, clock
        self._often_s, self._chance, self._make = often_s, chance, make
        self._n = 0

    async def run(self, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                await self.some()
                await asyncio.wait([stopping], timeout=self._often_s)
        finally:
            stopping.cancel()

    async def some(self) -> None:
        """What came since the last time: two at most."""
        now = self._clock.now()
        found = []
        for _ in range(self._chance.randrange(3)):
            self._n += 1
            at = now - timedelta(seconds=self._chance.random() * self._often_s)
            found.append(self._make(f"live-{now:%Y%m%d%H%M%S}-{self._n}", at, self._chance))
        try:
            if found:
                await self._ingest.take(self._pid, read(json.dumps(found)), wire="native")
        except HeartflyError as error:
            log.warning("demo", error=str(error))
