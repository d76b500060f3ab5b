"""Requests one by one, out of the events, the newest first: for what no rollup tells, and for lists of them.

So many are looked at and no more: who asks hears whether that was all. In slices, between which the event loop has its
turn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.access.as_event import TYPE
from heartfly.core.amounts import ONE, Amount, amount
from heartfly.core.events import read as parsed
from heartfly.core.routing import Router
from heartfly.core.traffic import UNKNOWN_STATUS
from heartfly.db.models import events
from heartfly.traffic.asked import OTHER_ENDPOINTS, ByStatus
from heartfly.traffic.filters import Wanted
from heartfly.usage.raw import type_ids
from heartfly.usage.request_reading import router_of

SLICE = 500
"""Events; some 5 ms of computing."""
_WALKS = 8
"""So many names of customers are looked for each down an index of its own."""

Place = tuple[datetime, int]


_US = ONE // 1_000
"""Of an amount of milliseconds."""
_MOST_US = 10**15
_MOST_DIGITS = 15
"""As the fold has it: a time or a size beyond is none (usage/request_fold.py)."""


@dataclass(slots=True, kw_only=True)
class Request:
    """What an event tells. `latency` in milliseconds, exact; None: it told none. `status` 0: unknown."""

    properties: _Properties
    endpoint: str
    method: str
    status: int
    latency: Amount | None
    latency_us: int
    bytes_in: int
    bytes_out: int
    key: str
    source: str


@dataclass(frozen=True, slots=True)
class Single:
    """An event of TYPE that is wanted."""

    id: int
    at: datetime
    subject_id: int
    transaction_id: str
    told: Request


@dataclass(frozen=True, slots=True)
class Slice:
    """Of `n` events of any kind those that are wanted. `last`: the earliest that was looked at; None: there were none
    left.
    """

    singles: Sequence[Single]
    n: int
    last: Place | None


async def singles(
    read: AsyncConnection, pid: int, wanted: Wanted, from_at: datetime, to_at: datetime, *, before: Place | None = None
) -> AsyncIterator[Slice]:
    """Of [from_at, to_at), those behind `before`. The last slice has no `last`."""
    types = await type_ids(read, pid, {TYPE})
    if not types or wanted.is_nobody:
        yield Slice((), 0, None)
        return
    (type_id,) = types
    router = await read.run_sync(router_of, pid)
    while True:
        query = walk(pid, wanted.subjects, from_at, to_at, before)
        rows = (await read.execute(query)).all()
        found = []
        for row in rows:
            if row.type_id != type_id or (wanted.subjects is not None and row.subject_id not in wanted.subjects):
                continue
            told = request_in(row.properties, router)
            if is_wanted(wanted, told):
                found.append(Single(row.id, row.at, row.subject_id, row.transaction_id, told))
        before = (rows[-1].at, rows[-1].id) if len(rows) == SLICE else None
        yield Slice(found, len(rows), before)
        if before is None:
            return


def walk(
    pid: int, subjects: frozenset[int] | None, from_at: datetime, to_at: datetime, before: Place | None
) -> sa.Select[Any]:
    """SLICE events of [from_at, to_at), the newest first, those behind `before`; of a few subjects only theirs."""
    base = sa.select(
        events.c.id, events.c.at, events.c.type_id, events.c.subject_id, events.c.transaction_id, events.c.properties
    ).where(events.c.pid == pid, events.c.at >= from_at, events.c.at < to_at)
    if before is not None:
        at, number = before
        base = base.where(events.c.at <= at, sa.or_(events.c.at < at, events.c.id < number))
    base = base.order_by(events.c.at.desc(), events.c.id.desc()).limit(SLICE)
    if subjects is None or len(subjects) > _WALKS:
        return base
    walks = [sa.select(base.where(events.c.subject_id == one).subquery()) for one in sorted(subjects)]
    if len(walks) == 1:
        return base.where(events.c.subject_id == min(subjects))
    both = sa.union_all(*walks).subquery()
    return sa.select(both).order_by(both.c.at.desc(), both.c.id.desc()).limit(SLICE)


def is_wanted(wanted: Wanted, told: Request) -> bool:
    asked = wanted.asked
    return (
        (not asked.endpoints or told.endpoint in asked.endpoints or _is_other(wanted, told))
        and (not asked.methods or told.method in asked.methods)
        and wanted.takes_status(told.status)
        and (not asked.keys or told.key in asked.keys)
        and (not asked.sources or told.source in asked.sources)
    )


def _is_other(wanted: Wanted, told: Request) -> bool:
    return OTHER_ENDPOINTS in wanted.asked.endpoints and told.endpoint not in wanted.numbers


# --- what an event tells

_ABSENT = msgspec.Raw(b"null")


class _Properties(msgspec.Struct):
    """Values as they are written: a number keeps each of its digits."""

    method: msgspec.Raw = _ABSENT
    route: msgspec.Raw = _ABSENT
    path: msgspec.Raw = _ABSENT
    rules: msgspec.Raw = _ABSENT
    status: msgspec.Raw = _ABSENT
    latency_ms: msgspec.Raw = _ABSENT
    upstream_ms: msgspec.Raw = _ABSENT
    request_bytes: msgspec.Raw = _ABSENT
    response_bytes: msgspec.Raw = _ABSENT
    key: msgspec.Raw = _ABSENT
    source: msgspec.Raw = _ABSENT
    request_id: msgspec.Raw = _ABSENT
    host: msgspec.Raw = _ABSENT
    ip: msgspec.Raw = _ABSENT
    user_agent: msgspec.Raw = _ABSENT


_read = msgspec.json.Decoder(_Properties).decode


def text_of(value: msgspec.Raw) -> str | None:
    """None: it is not there, or is no plain value."""
    written = bytes(value)
    if written[:1] == b'"':
        try:
            found: str = msgspec.json.decode(written)
        except msgspec.DecodeError:  # half a surrogate pair
            found = str(parsed(written))
        return found
    return None if written[:1] in _NOT_PLAIN else written.decode()


_NOT_PLAIN = (b"n", b"{", b"[")


def request_in(properties: str, router: Router) -> Request:
    """Of an event of TYPE."""
    told = _read(properties)
    method = text_of(told.method)
    latency, latency_us = _latency(text_of(told.latency_ms))
    return Request(
        properties=told,
        endpoint=router.endpoint(method, text_of(told.route), text_of(told.path), text_of(told.rules)),
        method=(method or "").upper(),  # as in its endpoint
        status=_status(text_of(told.status)),
        latency=latency,
        latency_us=latency_us,
        bytes_in=_size(text_of(told.request_bytes)),
        bytes_out=_size(text_of(told.response_bytes)),
        key=text_of(told.key) or "",
        source=text_of(told.source) or "",
    )


def _latency(text: str | None) -> tuple[Amount | None, int]:
    value = None if text is None else amount(text)
    if value is None or value < 0:
        return None, 0
    us = (value + _US // 2) // _US
    return (value, us) if us <= _MOST_US else (None, 0)


def _status(text: str | None) -> int:
    if text is None or len(text) != 3 or not text.isascii() or not text.isdecimal() or text[0] == "0":
        return UNKNOWN_STATUS
    return int(text)


def _size(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS else 0


def count_in(into: ByStatus, told: Request) -> None:
    one = into.at(told.status)
    one.n += 1
    one.bytes_in += told.bytes_in
    one.bytes_out += told.bytes_out
    if told.latency is not None:
        one.n_timed += 1
        one.latency_us += told.latency_us
        one.latency_max_us = max(one.latency_max_us, told.latency_us)
        one.latencies.add(told.latency)
