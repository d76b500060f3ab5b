"""What a customer used of each meter in the last 30 days, and what calls cost that were made for him, for his page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Line
from heartfly.calls.figures import figures
from heartfly.core.calls import Dimension
from heartfly.core.days import ONE, day_in, day_of
from heartfly.errors import InvalidValueError
from heartfly.usage.answers import answer
from heartfly.usage.meter_queries import list_meters
from heartfly.usage.question import Question
from heartfly.web.usage_picture import Total, alone

DAYS = 30
MOST = 20
"""Meters that are told: each is a question of its own."""


@dataclass(frozen=True, slots=True)
class Used:
    """`total` None: there is no one figure of that time; the meter's page tells why, or what there is."""

    meter: Any
    total: Total | None


@dataclass(frozen=True, slots=True)
class Usage:
    """From `first` to `last`, which is today. `complete_up_to` None: nothing was asked, as there are no meters."""

    first: date
    last: date
    zone: str
    used: Sequence[Used]
    has_more: bool
    complete_up_to: datetime | None


async def used_lately(read: AsyncConnection, pid: int, customer: str, *, zone: ZoneInfo, now: datetime) -> Usage:
    last = day_of(zone, now)
    first = last - timedelta(days=DAYS - 1)
    question = Question(
        from_at=day_in(zone, first).from_at, to_at=day_in(zone, last + ONE).from_at, size=None, zone=zone,
        customers=(customer,),
    )  # fmt: skip
    meters = await list_meters(read, pid, limit=MOST + 1, archived=False)
    used, complete_up_to = [], None
    for stored in meters[:MOST]:
        try:
            found = await answer(read, pid, stored, question, now=now, limit=2)
        except InvalidValueError:  # too many events lie outside of whole hours, or are not kept any more
            used.append(Used(stored.row, None))
            continue
        complete_up_to = found.complete_up_to
        used.append(Used(stored.row, alone(found, stored)))
    return Usage(first, last, zone.key, used, len(meters) > MOST, complete_up_to)


async def spent_lately(
    read: AsyncConnection, pid: int, customer: str, usage: Usage, *, now: datetime
) -> Sequence[Line]:
    """On each provider's APIs, in the days of `usage`."""
    zone = ZoneInfo(usage.zone)
    from_at, to_at = day_in(zone, usage.first).from_at, day_in(zone, usage.last + ONE).from_at
    filters = {Dimension.CUSTOMER: (customer,)}
    return await figures(read, pid, from_at, to_at, by=(Dimension.PROVIDER,), filters=filters, now=now, times=False)
