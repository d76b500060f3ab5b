"""How figures that a preview foretells are told: exact; percentiles as near as they are known."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import stored as exact
from heartfly.core.meters import Aggregation
from heartfly.core.sketches import spelled
from heartfly.usage.meter_queries import Stored, list_meters
from heartfly.web.traffic_words import grouped

_AT_ONCE = 500


async def near_meters(read: AsyncConnection, pid: int) -> frozenset[str]:
    """Slugs of those that have only ever told a percentile."""
    found: list[str] = []
    some: Sequence[Stored] = ()
    while True:
        some = await list_meters(read, pid, after=some[-1].row.id if some else None, limit=_AT_ONCE)
        found += [one.row.slug for one in some if _is_near(one)]
        if len(some) < _AT_ONCE:
            return frozenset(found)


def _is_near(stored: Stored) -> bool:
    return all(version.meter.aggregation is Aggregation.PERCENTILE for version in stored.versions)


def told(value: str | None, *, is_near: bool) -> str:
    if value is None:
        return "–"
    return grouped(spelled(exact(value)) if is_near else value)
