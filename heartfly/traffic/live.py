"""How many requests come now: of the last sixty seconds, second by second, out of the events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.access.as_event import TYPE
from heartfly.db.models import events
from heartfly.db.types import EPOCH
from heartfly.usage.raw import type_ids

SECONDS = 60
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Live:
    """`rps`: requests a second, to one place. `seconds`: the earliest first. `up_to`: the end of the last of them."""

    rps: Decimal
    seconds: list[int]
    up_to: datetime


async def live(read: AsyncConnection, pid: int, *, now: datetime) -> Live:
    """Of whole seconds: that which has only begun would always be too few."""
    end = now - (now - EPOCH) % _SECOND
    start = end - SECONDS * _SECOND
    types = await type_ids(read, pid, {TYPE})
    found = [0] * SECONDS
    if types:
        of_time = (events.c.pid == pid, events.c.at >= start, events.c.at < end, events.c.type_id.in_(list(types)))
        if read.dialect.name == "postgresql":
            second: sa.ColumnElement[int] = sa.cast(sa.func.floor(sa.extract("epoch", events.c.at)), sa.BigInteger)
        else:
            second = sa.type_coerce(events.c.at, sa.BigInteger) // 1_000_000
        query = sa.select(second, sa.func.count()).where(*of_time).group_by(second)
        first = (start - EPOCH) // _SECOND
        for at, n in await read.execute(query):
            found[at - first] = n
    rps = (Decimal(sum(found)) / SECONDS).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    return Live(rps, found, end)
