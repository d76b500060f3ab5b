"""How figures that a preview foretells are told: exact; percentiles as near as they are known."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import stored as exact
from heartfly.core.meters import Aggregation
from heartfly.core.sketches import spelled
from heartfly.usage.meter_queries import list_meters

_MOST = 1_000
"""More than a project may have."""


async def near_meters(read: AsyncConnection, pid: int) -> frozenset[str]:
    """Slugs of those that have only ever told a percentile."""
    stored = await list_meters(read, pid, limit=_MOST)
    return frozenset(
        one.row.slug
        for one in stored
        if all(version.meter.aggregation is Aggregation.PERCENTILE for version in one.versions)
    )


def told(value: str | None, *, is_near: bool) -> str:
    if value is None:
        return "–"
    return spelled(exact(value)) if is_near else value
