"""Looks now and then at how much each project has stored: what its pings said, and its events.

What follows is decided where it is stored: pings/bodies.py, usage/kept_events.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from heartfly.clock import Clock
from heartfly.db.database import Access
from heartfly.errors import HeartflyError
from heartfly.logs import logger

EVERY = timedelta(minutes=5)

log = logger("heartfly.filling")


class Bounded(Protocol):
    async def look(self, database: Access) -> None: ...


async def look_now_and_then(stop: asyncio.Event, looks: Iterable[tuple[Bounded, Access]], clock: Clock) -> None:
    """At all of them, each in its database, now and each five minutes, until stopped."""
    looks = tuple(looks)
    while not stop.is_set():
        for bounded, database in looks:
            try:
                await bounded.look(database)
            except (HeartflyError, SQLAlchemyError, OSError) as error:
                log.info("filling", error=type(error).__name__)  # not now; what was seen before still counts
        waits = [asyncio.ensure_future(wait) for wait in (stop.wait(), clock.sleep(EVERY.total_seconds()))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
