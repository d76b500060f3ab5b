"""Calls by minute, hour, day, week or month, as the question's zone has them: each window a bin, empty ones too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Asked, Line
from heartfly.calls.figures import line_of
from heartfly.calls.gather import gathered
from heartfly.calls.report import demand_by
from heartfly.calls.wanted import demand_bounds
from heartfly.core.calls import Dimension
from heartfly.core.windows import HOUR, Size, Window
from heartfly.db.types import EPOCH
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import Trust
from heartfly.traffic.series import bins_of

_MOST = {
    Size.MINUTE: (timedelta(days=2), "two days"),
    Size.HOUR: (timedelta(days=100), "100 days"),
    Size.DAY: (timedelta(days=3_700), "ten years"),
    Size.WEEK: (timedelta(days=3_700), "ten years"),
    Size.MONTH: (timedelta(days=3_700), "ten years"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A window, cut to what was asked. `open`: it is not over, or was cut. `lines`: by what was asked for."""

    window: Window
    lines: Sequence[Line]
    open: bool = False


async def series(
    read: AsyncConnection,
    pid: int,
    asked: Asked,
    *,
    size: Size,
    zone: ZoneInfo,
    by: Sequence[Dimension] = (),
    times: bool = True,
    now: datetime,
) -> tuple[list[Bin], Trust]:
    """Without those that lie ahead. InvalidValueError: there would be too many, or a filter is wrong."""
    demand_by(by)
    most, words = _MOST[size]
    if asked.to_at - asked.from_at > most:
        raise InvalidValueError("to", f"is more than {words} after `from`, which is the most for window={size.value}")
    end = now - (now - EPOCH) % HOUR + HOUR
    span = Window(asked.from_at, end if now <= asked.to_at < end else asked.to_at)
    demand_bounds(span)
    parts = list(bins_of(size, zone, span, now))
    cut = [part for _, part in parts] or [span]
    found = await gathered(read, pid, cut, by=by, filters=asked.filters, now=now, up_to=asked.to_at, times=times)
    of_window: dict[int, list[Line]] = {}
    for (n, key), figures in sorted(found.figures.items(), key=lambda one: one[0]):
        of_window.setdefault(n, []).append(line_of(found, key, figures))
    return [
        Bin(window=part, lines=of_window.get(n, ()), open=whole.to_at > now or whole != part)
        for n, (whole, part) in enumerate(parts)
    ], found.trust
