"""What a check was on each of the last whole days, and for which share of them it was up.

Days are those of the daily sums (jobs/), in the project's zone. Time in which Heartfly could not hear, and in which
nothing was watched, is in no share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import last_whole
from heartfly.core.zones import zone as known_zone
from heartfly.db.models import check_days, projects
from heartfly.errors import InvalidValueError

DAYS = 90
MONTH = 30


@dataclass(frozen=True, slots=True)
class Day:
    """[from_at, to_at), if anything is known of it. `down_s` None: nothing is, or it was not watched."""

    day: date
    down_s: int | None = None
    up_s: int = 0
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ninety:
    """`days`: the oldest first, one for each."""

    days: Sequence[Day]

    @property
    def is_known(self) -> bool:
        return any(day.down_s is not None for day in self.days)

    @property
    def bad(self) -> list[Day]:
        """Those on which it was down, the newest first."""
        return [day for day in reversed(self.days) if day.down_s]

    def up(self, n: int = DAYS) -> float | None:
        """The share of the newest `n` days; None: nothing is known of them."""
        known = [day for day in self.days[-n:] if day.down_s is not None]
        up_s, down_s = sum(day.up_s for day in known), sum(day.down_s or 0 for day in known)
        return up_s / (up_s + down_s) if known else None


async def ninety_of(read: AsyncConnection, pid: int, check_id: int, *, now: datetime) -> Ninety:
    name: str = (await read.execute(sa.select(projects.c.zone).where(projects.c.id == pid))).scalar_one()
    try:
        zone = known_zone(name, field="zone")
    except InvalidValueError:
        zone = known_zone("UTC", field="zone")  # it left the list of zones since it was chosen
    last = last_whole(zone, now)
    days = {day: Day(day) for n in reversed(range(DAYS)) for day in [last - timedelta(days=n)]}
    columns = (check_days.c.day, check_days.c.up_s, check_days.c.down_s, check_days.c.from_at, check_days.c.to_at)
    query = sa.select(*columns).where(
        check_days.c.pid == pid, check_days.c.check_id == check_id, check_days.c.day >= min(days).isoformat()
    )
    for row in await read.execute(query):
        day = date.fromisoformat(row.day)
        if day in days and row.up_s + row.down_s:
            days[day] = Day(day, row.down_s, row.up_s, row.from_at, row.to_at)
    return Ninety(list(days.values()))
