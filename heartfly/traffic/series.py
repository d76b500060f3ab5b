"""Requests by second, minute, hour, day or month, as the zone has them: each window a bin, empty ones too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.windows import Size, Window, windows
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import Asked, Bin, ByStatus, Trust
from heartfly.traffic.filters import wanted_by
from heartfly.traffic.gather import gathered
from heartfly.traffic.rows import By
from heartfly.traffic.span import asked_window

_MOST = {
    Size.SECOND: (timedelta(hours=1), "an hour"),
    Size.MINUTE: (timedelta(days=2), "two days"),
    Size.HOUR: (timedelta(days=100), "100 days"),
    Size.DAY: (timedelta(days=3_700), "ten years"),
    Size.WEEK: (timedelta(days=3_700), "ten years"),
    Size.MONTH: (timedelta(days=3_700), "ten years"),
}


async def series(
    read: AsyncConnection, pid: int, asked: Asked, *, size: Size, now: datetime
) -> tuple[list[Bin], Trust]:
    """Without those that lie ahead, and of what is counted event by event without those before the newest events, as
    far as these are looked at: nothing is known of them. InvalidValueError: there would be too many, or a filter is
    wrong.
    """
    most, words = _MOST[size]
    wanted = await wanted_by(read, pid, asked)
    if size is Size.SECOND:  # no rollup tells them apart
        wanted = replace(wanted, of_events=True)
    if asked.to_at - asked.from_at > most:
        raise InvalidValueError("to", f"is more than {words} after `from`, which is the most for window={size.value}")
    parts = list(bins_of(size, wanted.asked.zone, asked_window(wanted, now), now))
    if not parts:
        found = await gathered(read, pid, wanted, [asked_window(wanted, now)], by=By.NOTHING, now=now)
        return [], found.trust
    found = await gathered(read, pid, wanted, [cut for _, cut in parts], by=By.NOTHING, now=now)
    figures = await found.figures()
    return [
        Bin(window=cut, by_status=figures.get((n, 0), ByStatus()), open=whole.to_at > now or whole != cut)
        for n, (whole, cut) in enumerate(parts)
        if found.looked_from is None or cut.from_at >= found.looked_from
    ], found.trust


def bins_of(size: Size, zone: ZoneInfo, span: Window, now: datetime) -> Iterator[tuple[Window, Window]]:
    """Each window of the zone that has begun, and its part of what was asked."""
    for window in windows(size, zone, span.from_at, span.to_at):
        if window.from_at > now:
            return
        yield window, Window(max(window.from_at, span.from_at), min(window.to_at, span.to_at))
