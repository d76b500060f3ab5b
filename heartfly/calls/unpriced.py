"""Calls whose cost is not known: of which product, for want of a price for what, how many, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Asked
from heartfly.calls.figures import answer
from heartfly.core.calls import Dimension
from heartfly.traffic.asked import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """A product. `kinds`: of units that have no price, in how many of its calls each. `n_calls`: priced ones too."""

    provider: str
    model: str
    kinds: Mapping[str, int]
    n: int
    n_calls: int
    first_at: datetime | None
    last_at: datetime | None


async def unpriced(read: AsyncConnection, pid: int, asked: Asked, *, now: datetime) -> tuple[Sequence[Unpriced], Trust]:
    """Those first of which there are most. InvalidValueError."""
    by = (Dimension.PROVIDER, Dimension.MODEL)
    found = await answer(read, pid, asked.from_at, asked.to_at, by=by, filters=asked.filters, now=now, times=False)
    rows = [
        Unpriced(
            provider=line.key[Dimension.PROVIDER],
            model=line.key[Dimension.MODEL],
            kinds=dict(sorted(line.figures.unpriced.items())),
            n=line.n_unpriced,
            n_calls=line.n,
            first_at=line.figures.first_unpriced,
            last_at=line.figures.last_unpriced,
        )
        for line in found.lines
        if line.n_unpriced
    ]
    return sorted(rows, key=lambda one: (-one.n, one.provider, one.model)), found.trust
