"""The jobs of the demo go on: they ping as they did before now, from within the process, for as long as it serves.

When each pings, and what it says, goes on from its history (habits.py). A process that starts anew knows of no demo.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from datetime import datetime

from heartfly.clock import Clock
from heartfly.demo.habits import Beat
from heartfly.demo.lives import Life
from heartfly.errors import OverloadedError, StoreError
from heartfly.logs import logger
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import ByUuid, PingRequest

log = logger("heartfly.demo")


class Traffic:
    def __init__(self, lives: Sequence[Life], ingest: Ingest, clock: Clock) -> None:
        self._lives, self._ingest, self._clock = lives, ingest, clock
        self._next: list[tuple[datetime, int, Beat]] = []
        for number in range(len(lives)):
            self._queue(number)

    @property
    def next_at(self) -> datetime | None:
        return self._next[0][0] if self._next else None

    async def run(self, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while self._next and not stop.is_set():
                wait = (self._next[0][0] - self._clock.now()).total_seconds()
                if wait > 0:
                    await asyncio.wait([stopping], timeout=wait)
                else:
                    await self.once()
            await stopping
        finally:
            stopping.cancel()

    async def once(self) -> None:
        """The next ping, whenever it was to come."""
        _, number, beat = heapq.heappop(self._next)
        self._queue(number)
        target = ByUuid(self._lives[number].stored.row.ping_uuid)
        seq, now = self._ingest.arrived(target)
        request = PingRequest(
            target=target,
            kind=beat.kind,
            received_at=now,
            seq=seq,
            exit_status=beat.exit_status,
            method="POST" if beat.body else "GET",
            scheme="https",
            remote="192.0.2.44",
            agent="curl/8.11.1",
            body=beat.body,
            body_size=len(beat.body),
        )
        try:
            await self._ingest.submit(request)
        except (OverloadedError, StoreError) as error:
            # As for any job: what we could not take is excused, and its next run comes.
            self._ingest.refused(now)
            log.warning("demo", error=str(error))
        finally:
            self._ingest.gone(seq)

    def _queue(self, number: int) -> None:
        beat = next(self._lives[number].later, None)
        if beat is not None:
            heapq.heappush(self._next, (beat.at, number, beat))
