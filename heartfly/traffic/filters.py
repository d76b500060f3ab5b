"""Which requests are meant, in the numbers that rollups have: endpoints, customers' names, ranges of status codes.

Also decided here: what no rollup tells apart, so that it must be answered out of the events.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.queries import UUID
from heartfly.core.traffic import OTHER, UNKNOWN_STATUS, Cube
from heartfly.db.models import customers, request_rollups, usage_names
from heartfly.db.prepared import among
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import OTHER_ENDPOINTS, Asked
from heartfly.traffic.counting import counting
from heartfly.usage.question import EARLIEST, LATEST
from heartfly.usage.whose import ids_of

_CLASS, _CODE = re.compile(r"[1-5]xx", re.ASCII), re.compile(r"[1-9][0-9]{2}", re.ASCII)
_UNKNOWN = "unknown"
_LONGEST_DAY = timedelta(hours=50)
Ranges = Sequence[tuple[int, int]]
"""Of status codes, both ends included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked, in numbers; None: any, empty: none. `names`: all endpoints of the project by number, but OTHER.

    `statuses` empty: any. `of_events`: no rollup tells these requests from others.
    """

    asked: Asked
    names: Mapping[int, str]
    numbers: Mapping[str, int] = field(default_factory=dict)
    endpoints: frozenset[int] | None = None
    subjects: frozenset[int] | None = None
    statuses: Ranges = ()
    of_events: bool = False

    @property
    def is_nobody(self) -> bool:
        """Whether the customers that are meant never sent anything."""
        return self.subjects == frozenset()

    def takes_status(self, status: int) -> bool:
        return not self.statuses or any(low <= status <= high for low, high in self.statuses)


async def wanted_by(read: AsyncConnection, pid: int, asked: Asked) -> Wanted:
    """InvalidValueError names the filter, as `customer`, or the bound, as `from`."""
    demand_bounds(asked)
    statuses = ranges_of(asked.statuses)
    subjects = await subjects_called(read, pid, asked.customers) if asked.customers else None
    names = next((known.names for known in asked.known.values()), None) or await endpoints_of(read, pid)
    numbers = {text: number for number, text in names.items()}
    endpoints, unheld = _endpoints(asked, numbers)
    return Wanted(
        asked=asked,
        names=names,
        numbers=numbers,
        endpoints=endpoints,
        subjects=None if subjects is None else frozenset(subjects),
        statuses=statuses,
        of_events=bool(asked.keys or asked.sources) or (unheld and await _has_others(read, pid, asked)),
    )


def demand_bounds(asked: Asked) -> None:
    if not EARLIEST <= asked.from_at <= LATEST:
        raise InvalidValueError("from", "must be within 1970 to 2200")
    if not asked.from_at < asked.to_at <= LATEST:
        raise InvalidValueError("to", "must be after `from`, and before 2200")


def ranges_of(statuses: Sequence[str]) -> Ranges:
    """InvalidValueError."""
    return [_range(text) for text in statuses]


def _range(text: str) -> tuple[int, int]:
    if text == _UNKNOWN:
        return UNKNOWN_STATUS, UNKNOWN_STATUS
    if _CLASS.fullmatch(text):
        return int(text[0]) * 100, int(text[0]) * 100 + 99
    if _CODE.fullmatch(text):
        return int(text), int(text)
    raise InvalidValueError("status", f"must be 1xx to 5xx, a code such as 404, or `{_UNKNOWN}`")


async def endpoints_of(read: AsyncConnection, pid: int) -> Mapping[int, str]:
    """All that the project has, by number."""
    query = sa.select(usage_names.c.id, usage_names.c.text).where(
        # Spelled out: else no database knows that its index of endpoints serves.
        usage_names.c.pid == pid,
        usage_names.c.kind == sa.literal("endpoint", literal_execute=True),
    )
    return {row.id: row.text for row in await read.execute(query)}


def _endpoints(asked: Asked, numbers: Mapping[str, int]) -> tuple[frozenset[int] | None, bool]:
    """And whether some that are meant may hide among OTHER."""
    if not asked.endpoints and not asked.methods:
        return None, False
    found: Collection[str] = asked.endpoints or numbers
    unheld = not asked.endpoints or any(text not in numbers and text != OTHER_ENDPOINTS for text in asked.endpoints)
    if asked.methods:
        found = [text for text in found if text.partition(" ")[0] in asked.methods]
        unheld = unheld or OTHER_ENDPOINTS in asked.endpoints
    known = {numbers[text] for text in found if text in numbers}
    return frozenset(known | ({OTHER} if OTHER_ENDPOINTS in found else set())), unheld


async def _has_others(read: AsyncConnection, pid: int, asked: Asked) -> bool:
    """Whether there were requests when the project had as many endpoints as it may."""
    r = request_rollups.c
    for tier in ("hour", "day"):
        w = counting(pid, tier, asked.from_at - _LONGEST_DAY, asked.to_at)
        of_window = sa.and_(r.start_at == w.c.start_at, r.gen == w.c.gen)
        query = sa.select(r.key1).select_from(w.join(request_rollups, of_window))
        query = query.where(r.pid == pid, r.cube == int(Cube.ENDPOINT), r.tier == tier, r.key1 == OTHER)
        if (await read.execute(query.limit(1))).first() is not None:
            return True
    return False


async def subjects_called(read: AsyncConnection, pid: int, texts: Sequence[str]) -> set[int]:
    """What these customers are called, in numbers. InvalidValueError: it is the id of nobody."""
    ids = sorted({text.lower() for text in texts if UUID.fullmatch(text.lower())})
    query = sa.select(customers.c.uuid).where(customers.c.pid == pid, among(read, customers.c.uuid, "ids"))
    known = set((await read.execute(query, {"ids": ids})).scalars()) if ids else set()
    others = [text for text in texts if text.lower() not in known]
    found = set(await ids_of(read, pid, of_customers=sorted(known)) or ()) if known else set()
    if not others:
        return found
    sent = set(await ids_of(read, pid, subjects=others) or ())
    if not sent and (strangers := [text for text in others if UUID.fullmatch(text.lower())]):
        raise InvalidValueError("customer", f"there is no customer {strangers[0]}")
    return found | sent
