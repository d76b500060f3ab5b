"""Figures of requests to our own APIs: out of their rollups, by endpoint or by customer (traffic/gather.py).

Errors are the server's, 5xx, as everywhere with requests. Errors in a row are counted over the requests themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from heartfly.core.alert_rules import Condition, Family, Metric, Scope, errors_at_the_end
from heartfly.core.windows import Window
from heartfly.rules.figures import Row, Table
from heartfly.rules.sources.base import Reads, Source, What, largest
from heartfly.rules.sources.first_event import first_event
from heartfly.traffic.asked import Asked, ByStatus
from heartfly.traffic.filters import Wanted, wanted_by
from heartfly.traffic.gather import Key, gathered
from heartfly.traffic.named import customers_of, endpoints_called
from heartfly.traffic.rows import By
from heartfly.traffic.single import singles

_BY = {"endpoint": By.ENDPOINT, "customer": By.SUBJECT}
_SERVER_ERRORS = 5
MOST_IN_ORDER = 10_000
"""Requests that are looked at one by one for errors in a row, the newest."""

_Named = Mapping[Key, tuple[str, str]]
"""By its number: what finds it, and what people call it."""


class Requests(Source):
    of: ClassVar[Family] = Family.REQUESTS

    @override
    def what(self, condition: Condition, by: tuple[str, ...]) -> What:
        """Rollups tell apart one thing at a time: what is filtered beside that is a reading of its own."""
        dims = by
        if not by and len(condition.where) == 1:
            dims = (condition.where[0][0],)
        return What(
            self.of,
            dims,
            filters=tuple(one for one in condition.where if one[0] not in dims),
            in_order=condition.metric is Metric.CONSECUTIVE_ERRORS,
        )

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        return (await self.series(reads, what, [window]))[0]

    @override
    async def series(self, reads: Reads, what: What, windows: Sequence[Window]) -> Sequence[Table]:
        wanted = await _wanted(reads, what, Window(windows[0].from_at, windows[-1].to_at))
        by = _BY[what.dims[0]] if what.dims else By.NOTHING
        if what.in_order:
            return [await _in_order(reads, wanted, by, window) for window in windows]
        told = await gathered(reads.usage, reads.pid, wanted, windows, by=by, now=reads.now)
        figures = await told.figures()
        named = await _named(reads, wanted, by, {key for _, key in figures})
        tables: list[dict[Scope, Row]] = [{} for _ in windows]
        for (n, key), by_status in figures.items():
            _add(tables[n], named.get(key), _row(by_status))
        return [largest(table) for table in tables]

    @override
    async def first_at(self, reads: Reads) -> datetime | None:
        return await first_event(reads.usage, reads.pid)


async def _wanted(reads: Reads, what: What, window: Window) -> Wanted:
    filters = dict(what.filters)
    asked = Asked(
        from_at=window.from_at,
        to_at=window.to_at,
        zone=reads.zone,
        endpoints=filters.get("endpoint", ()),
        customers=filters.get("customer", ()),
    )
    return await wanted_by(reads.usage, reads.pid, asked)


async def _named(reads: Reads, wanted: Wanted, by: By, keys: set[Key]) -> _Named:
    match by:
        case By.ENDPOINT:
            called = await endpoints_called(reads.usage, reads.pid, wanted, keys)
            return {key: (text, text) for key, text in called.items()}
        case By.SUBJECT:
            customers = await customers_of(reads.usage, reads.pid, [key for key in keys if isinstance(key, int)])
            return {key: (one.key, one.name) for key, one in customers.items()}
        case _:
            return {}


def _add(table: dict[Scope, Row], named: tuple[str, str] | None, row: Row) -> None:
    """One that is known by several names is one scope."""
    scope: Scope = ()
    if named is not None:
        scope, row.names = (named[0],), (named[1],)
    known = table.get(scope)
    if known is None:
        table[scope] = row
    else:
        known.merge(row)


def _row(by_status: ByStatus) -> Row:
    return Row(n=by_status.n, errors=by_status.n_of(_SERVER_ERRORS), times=by_status.total())


async def _in_order(reads: Reads, wanted: Wanted, by: By, window: Window) -> Table:
    """The true sequence, successes and all."""
    sequences: dict[Key, list[bool]] = {}
    left = MOST_IN_ORDER
    async for some in singles(reads.usage, reads.pid, wanted, window.from_at, window.to_at):
        for one in some.singles:
            key: Key = 0
            if by is not By.NOTHING:
                key = one.told.endpoint if by is By.ENDPOINT else one.subject_id
            sequences.setdefault(key, []).append(one.told.status // 100 == _SERVER_ERRORS)
        left -= some.n
        if left <= 0:
            break
    named = await _named(reads, wanted, by, set(sequences))
    table: dict[Scope, Row] = {}
    for key, newest_first in sequences.items():
        row = Row(n=len(newest_first), errors=sum(newest_first), streak=errors_at_the_end(reversed(newest_first)))
        _add(table, named.get(key), row)
    return table
