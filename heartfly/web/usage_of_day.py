"""What each meter came to on a day, and how sure that is, for the day's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import Day
from heartfly.errors import InvalidValueError
from heartfly.usage.answers import answer
from heartfly.usage.day_queries import OfMeter, meters_of
from heartfly.usage.meter_queries import Stored, list_meters
from heartfly.usage.question import Question
from heartfly.web.usage_picture import Total, alone

MOST = 50
"""Meters that are told: each is a question of its own."""


@dataclass(frozen=True, slots=True)
class OnDay:
    """`total` None: there is no one figure of the day; the meter's page tells why, or what there is.

    `uncounted`: events that it looked at and could not count, as they were when the day was proved.
    """

    meter: Any
    total: Total | None
    uncounted: int


@dataclass(frozen=True, slots=True)
class ByMeter:
    """`complete_up_to` None: nothing was asked, as there are no meters."""

    meters: Sequence[OnDay]
    has_more: bool
    complete_up_to: datetime | None


async def by_meter(read: AsyncConnection, pid: int, span: Day, zone: ZoneInfo, *, now: datetime) -> ByMeter:
    """Of those that count now, and of archived ones that counted then."""
    question = Question(from_at=span.from_at, to_at=span.to_at, size=None, zone=zone)
    stored: list[Stored] = []
    some: Sequence[Stored] = ()
    while len(stored) <= MOST:  # however many were archived before
        some = await list_meters(read, pid, after=some[-1].row.id if some else None, limit=2 * MOST)
        stored += [one for one in some if _counts(one, span)]
        if len(some) < 2 * MOST:
            break
    told: dict[str, OfMeter] = {one.slug: one for one in (await meters_of(read, pid, [span.date])).get(span.date, ())}
    found, complete_up_to = [], None
    for one in stored[:MOST]:
        total = None
        try:
            given = await answer(read, pid, one, question, now=now, limit=2)
        except InvalidValueError:  # its edges are within an hour, and events of that time are not kept any more
            pass
        else:
            complete_up_to, total = given.complete_up_to, alone(given, one)
        slug = one.row.slug
        found.append(OnDay(one.row, total, told[slug].uncounted if slug in told else 0))
    return ByMeter(found, len(stored) > MOST, complete_up_to)


def _counts(stored: Stored, span: Day) -> bool:
    return stored.row.archived_at is None or stored.row.archived_at > span.from_at
