"""Where requests lie: endpoint by hour or day, and day of the week by hour of the day."""

from __future__ import annotations

from calendar import day_name
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.windows import Size
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import Asked, Heat
from heartfly.traffic.filters import wanted_by
from heartfly.traffic.gather import gathered
from heartfly.traffic.named import endpoints_called
from heartfly.traffic.plan import hours_in
from heartfly.traffic.rows import By
from heartfly.traffic.series import bins_of
from heartfly.traffic.span import asked_window

MOST_HOURS = timedelta(hours=48)
"""What is no longer is shown by the hour, else by the day."""
_MOST_DAYS = timedelta(days=400)


async def over_time(read: AsyncConnection, pid: int, asked: Asked, *, n_rows: int = 20, now: datetime) -> Heat:
    """The endpoints that were called most. InvalidValueError."""
    wanted = await wanted_by(read, pid, asked)
    demand_short(asked)
    size = Size.HOUR if asked.to_at - asked.from_at <= MOST_HOURS else Size.DAY
    parts = [cut for _, cut in bins_of(size, asked.zone, asked_window(wanted, now), now)]
    found = await gathered(read, pid, wanted, parts or [asked_window(wanted, now)], by=By.ENDPOINT, now=now)
    sums = await found.sums(["n"])
    names = await endpoints_called(read, pid, wanted, sums)
    first = sorted(sums, key=lambda key: (-sums[key].n, names[key]))[:n_rows]
    place = {key: row for row, key in enumerate(first)}
    figures = await found.figures(first) if first else {}
    return Heat(
        rows=[names[key] for key in first],
        columns=parts,
        cells={(place[key], n): by_status for (n, key), by_status in figures.items()},
        trust=found.trust,
    )


async def over_week(read: AsyncConnection, pid: int, asked: Asked, *, now: datetime) -> Heat:
    """Monday first. Where the zone's hours are not those of UTC, an hour counts in that in which it begins.

    InvalidValueError.
    """
    wanted = await wanted_by(read, pid, asked)
    demand_short(asked)
    parts = list(hours_in(asked_window(wanted, now), now))
    found = await gathered(read, pid, wanted, parts, by=By.NOTHING, now=now)
    locals_ = [part.from_at.astimezone(asked.zone) for part in parts]
    figures = await found.figures(places=[local.weekday() * 24 + local.hour for local in locals_])
    cells = {divmod(place, 24): by_status for (place, _), by_status in figures.items()}
    return Heat(rows=list(day_name), columns=[f"{hour:02d}:00" for hour in range(24)], cells=cells, trust=found.trust)


def demand_short(asked: Asked) -> None:
    if asked.to_at - asked.from_at > _MOST_DAYS:
        raise InvalidValueError("to", f"is more than {_MOST_DAYS.days} days after `from`, which is the most for this")
