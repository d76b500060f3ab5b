"""Wakes the jobs when a slot has come. When that is, the rows say; APScheduler only waits for it.

Only date triggers, computed by core/schedule.py: APScheduler's own cron trigger takes a skipped hour for another one.
Without a limit for misfires: its default of one second drops what a busy loop was late for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger


class Bell:
    """Start and stop it in the event loop that `ring` is called in."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)

    def set(self, at: datetime | None) -> None:
        """Ring at that instant, at once if it has passed, and not at any that was set before."""
        if at is None:
            self._scheduler.remove_all_jobs()
            return
        trigger = DateTrigger(run_date=at, timezone=UTC)
        self._scheduler.add_job(self._rung, trigger, id="next slot", replace_existing=True)

    async def _rung(self) -> None:
        # A coroutine: APScheduler calls a plain function in a thread.
        self._ring()
