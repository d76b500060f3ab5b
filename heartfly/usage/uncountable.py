"""An event that a meter looks at and cannot count, for who wonders what is wrong with it: it bills nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import amount
from heartfly.core.meters import Meter, Uncounted, counted, text_at
from heartfly.core.versions import Version, in_force
from heartfly.db.models import events
from heartfly.usage.raw import Raw, events_between, type_ids

_MOST = 20_000
"""Events that are looked at for one."""
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Example:
    """`name`: of the property that is wrong; empty where all are amounts, and what they come to is none.

    `value`: as text, cut; None: it is not there.
    """

    transaction_id: str
    at: datetime
    name: str
    value: str | None

    @property
    def words(self) -> str:
        if not self.name:
            return f"{self.transaction_id} comes to more than 20 digits and 18 places"
        if self.value is None:
            return f"{self.transaction_id} has no {self.name}"
        return f'in {self.transaction_id} {self.name} is "{self.value}"'


async def example_of(
    read: AsyncConnection, pid: int, versions: Sequence[Version], from_at: datetime, to_at: datetime
) -> Example | None:
    """The newest in [from_at, to_at). None: it was not among those that were looked at."""
    types = await type_ids(read, pid, {name for version in versions for name in version.meter.types})
    n = 0
    async for found in events_between(read, pid, from_at, to_at, types=types, newest_first=True):
        n += found.n
        for event in found.events:
            version = in_force(versions, event.at)
            if version is not None and isinstance(counted(version.meter, event.type, event.properties), Uncounted):
                return await _example(read, pid, version.meter, event)
        if n >= _MOST:
            return None
    return None


async def _example(read: AsyncConnection, pid: int, meter: Meter, event: Raw) -> Example:
    query = sa.select(events.c.transaction_id).where(events.c.pid == pid, events.c.id == event.id)
    transaction_id: str = (await read.execute(query)).scalar_one()
    names = meter.value.names if meter.value is not None else (meter.of,)
    for name in names:
        text = text_at(event.properties, name)
        if text is None or (meter.value is not None and amount(text) is None):
            shown = text if text is None or len(text) <= _LONGEST else text[:_LONGEST] + "…"
            return Example(transaction_id, event.at, name, shown)
    return Example(transaction_id, event.at, "", None)
