"""A limit to begin with, out of real traffic: for the provider that is called most, a fifth above its busiest hour.

It is proposed, never saved by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.limits.tracked import CALL, made_of
from heartfly.core.windows import HOUR
from heartfly.db.models import events, usage_names
from heartfly.db.types import EPOCH
from heartfly.limits.asked import Asked

NEWEST = 2_000
"""Calls that are looked at."""
WEEK = timedelta(days=7)
USUAL = 1_000
"""Where nothing was called yet."""


@dataclass(frozen=True, slots=True)
class Example:
    """`busiest`: calls of the provider in its busiest hour among those that were looked at; 0: nothing was called."""

    asked: Asked
    provider: str
    busiest: int


async def example_of(read: AsyncConnection, pid: int, *, now: datetime) -> Example:
    e, types, names = events.c, usage_names.alias("types"), usage_names.alias("subjects")
    query = (
        sa.select(e.at, e.properties, names.c.text.label("subject"))
        .join(types, sa.and_(types.c.pid == e.pid, types.c.id == e.type_id))
        .join(names, sa.and_(names.c.pid == e.pid, names.c.id == e.subject_id))
        .where(e.pid == pid, e.at > now - WEEK, e.at <= now, types.c.kind == "type", types.c.text == CALL)
        .order_by(e.at.desc())
        .limit(NEWEST)
    )
    by_hour: Counter[tuple[str, datetime]] = Counter()
    calls: Counter[str] = Counter()
    for row in await read.execute(query):
        provider = made_of(row.subject, row.properties).call.provider
        calls[provider] += 1
        by_hour[provider, row.at - (row.at - EPOCH) % HOUR] += 1
    calls.pop("", None)
    if not calls:
        return Example(_asked({}, USUAL), "", 0)
    provider, _ = calls.most_common(1)[0]
    busiest = max(n for (whose, _), n in by_hour.items() if whose == provider)
    return Example(_asked({"provider": provider}, _round(busiest * 6 // 5 + 1)), provider, busiest)


def _asked(scope: Mapping[str, Any], amount: int) -> Asked:
    return Asked(kind="rolling", unit="requests", amount=str(amount), period_s=3_600, scope=scope)


def _round(n: int) -> int:
    """Up, to two digits: nobody means 1,237."""
    step: int = 10 ** max(0, len(str(n)) - 2)
    return -(-n // step) * step
