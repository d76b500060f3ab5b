"""The next 24 hours of the listed checks, hour by hour: what checks/agenda.py found, cut to what a page can show."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from heartfly.api.v1.wire import schedule_text
from heartfly.checks.agenda import Agenda, Hour, Minute, agenda
from heartfly.web.request import PageRequest

MOST_NAMED = 12
"""Checks that are named of one minute."""
MOST_OF_AN_HOUR = 60
MOST_TOGETHER = 20
MOST_LISTED = 200
"""Of those that are expected often, wait, or have an error."""


async def seen(request: PageRequest, rows: Sequence[Any]) -> dict[str, Any]:
    now = request.api.clock.now()
    # In a thread: cron expressions take their time, which no ping shall wait for.
    found = await asyncio.to_thread(agenda, rows, now=now, reader_zone=request.zones().shown)
    together = found.together
    return {
        "agenda": found,
        "hours": [_hour(hour) for hour in found.hours],
        "together": together[:MOST_TOGETHER],
        "n_together": len(together),
        "each_hour": found.each_hour[:MOST_TOGETHER],
        "notices": _by_notice(found),
        "words": schedule_text,
        "most_named": MOST_NAMED,
        "most_listed": MOST_LISTED,
    }


def _hour(hour: Hour) -> dict[str, Any]:
    """Its minutes with the checks that are named of each: fewer as the hour fills up."""
    left, named = MOST_OF_AN_HOUR, list[tuple[Minute, Sequence[Any]]]()
    for minute in hour.minutes:
        if minute.rows:
            named.append((minute, minute.rows[: min(MOST_NAMED, left)]))
            left -= len(named[-1][1])
    n_hourly = sum(len(minute.hourly) for minute in hour.minutes)
    return {"at": hour.at, "n": sum(minute.n for minute in hour.minutes), "minutes": named, "n_hourly": n_hourly}


def _by_notice(found: Agenda) -> list[tuple[str, list[Any]]]:
    """Many checks have one schedule, so each notice with all that it is about."""
    told: dict[str, list[Any]] = {}
    for row, said in found.notices:
        told.setdefault(said, []).append(row)
    return list(told.items())
