"""Figures of calls to others' APIs (calls/figures.py): requests, errors, cost, units, times, calls without a price.

Errors are a status from 400 on, or an error in words. Errors in a row are counted over the calls themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import ClassVar

from typing_extensions import override

from heartfly.calls.gather import Gathered, gathered
from heartfly.calls.single import Singles, value_of
from heartfly.calls.wanted import wanted_by
from heartfly.core.alert_rules import Condition, Family, Metric, Scope, errors_at_the_end
from heartfly.core.amounts import ONE
from heartfly.core.calls import CallFigures, Dimension, cube_for
from heartfly.core.lanes import sums_in
from heartfly.core.money import MONEY_ONE
from heartfly.core.windows import Window
from heartfly.rules.figures import Row, Table
from heartfly.rules.sources.base import Reads, Source, What, largest
from heartfly.rules.sources.first_event import first_event
from heartfly.traffic.named import customers_of

MOST_IN_ORDER = 10_000
"""Calls that are looked at one by one for errors in a row, the newest."""
_ALWAYS_FILTERED = frozenset({"tag", "status"})
"""A call has several tags, and classes of statuses are no values: neither can be picked out of a table."""


class Calls(Source):
    of: ClassVar[Family] = Family.CALLS

    @override
    def what(self, condition: Condition, by: tuple[str, ...]) -> What:
        """Told apart by all that is filtered by, too, where rollups can, so that rules of other filters share it."""
        shared = {group for group, _ in condition.where if group not in _ALWAYS_FILTERED}
        dims = tuple(sorted({*by, *shared}))
        if cube_for(map(Dimension, dims)) is None:
            dims = by
        filters = tuple(one for one in condition.where if one[0] not in dims or one[0] in _ALWAYS_FILTERED)
        return What(self.of, dims, filters=filters, in_order=condition.metric is Metric.CONSECUTIVE_ERRORS)

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        return (await self.series(reads, what, [window]))[0]

    @override
    async def series(self, reads: Reads, what: What, windows: Sequence[Window]) -> Sequence[Table]:
        if what.in_order:
            return [await _in_order(reads, what, window) for window in windows]
        found = await gathered(
            reads.usage,
            reads.pid,
            windows,
            by=[Dimension(dim) for dim in what.dims],
            filters=_filters(what),
            now=reads.now,
            up_to=windows[-1].to_at,
        )
        tables: list[dict[Scope, Row]] = [{} for _ in windows]
        for (n, key), figures in found.figures.items():
            tables[n][key] = _row(figures, _names(found, key))
        return [largest(table) for table in tables]

    @override
    async def first_at(self, reads: Reads) -> datetime | None:
        return await first_event(reads.usage, reads.pid)


def _filters(what: What) -> Mapping[Dimension, Sequence[str]]:
    return {Dimension(group): values for group, values in what.filters}


def _names(found: Gathered, key: tuple[str, ...]) -> Scope:
    return tuple(
        found.names.get(value, value) if dimension is Dimension.CUSTOMER else value
        for dimension, value in zip(found.by, key, strict=True)
    )


def _row(one: CallFigures, names: Scope) -> Row:
    return Row(
        n=one.n,
        errors=one.n_errors,
        unpriced=one.n_unpriced,
        units={kind: Fraction(amount, ONE) for kind, amount in one.units.items()},
        cost={currency: Fraction(money, MONEY_ONE) for currency, money in one.cost.items()},
        times=one.times,
        names=names,
    )


async def _in_order(reads: Reads, what: What, window: Window) -> Table:
    """The true sequence, successes and all, of each scope."""
    by = [Dimension(dim) for dim in what.dims]
    wanted = await wanted_by(reads.usage, reads.pid, window, filters=_filters(what), by=by)
    sequences: dict[tuple[str | int, ...], list[bool]] = {}
    left = MOST_IN_ORDER
    async for some in Singles(reads.usage, reads.pid, wanted).between(window.from_at, window.to_at):
        for line in some.lines:
            assert some.told is not None
            failed = bool(sums_in(some.told.worth[line]).n_errors)
            keys: list[tuple[str | int, ...]] = [()]
            for one in by:
                values: Sequence[str | int]
                match one:
                    case Dimension.CUSTOMER:
                        values = [some.rows[line].subject_id]
                    case Dimension.STATUS:
                        values = [str(some.told.statuses[line])]
                    case Dimension.TAG:
                        values = some.told.tags[line]
                    case _:
                        values = [value_of(some.told, line, one)]
                keys = [(*key, value) for key in keys for value in values]
            for key in keys:
                sequences.setdefault(key, []).append(failed)
        left -= some.n
        if left <= 0:
            break
    subjects = {part for key in sequences for part in key if isinstance(part, int)}
    customers = await customers_of(reads.usage, reads.pid, subjects)
    table: dict[Scope, Row] = {}
    for key, newest_first in sequences.items():
        scope = tuple(customers[part].key if isinstance(part, int) else part for part in key)
        names = tuple(customers[part].name if isinstance(part, int) else part for part in key)
        row = Row(n=len(newest_first), errors=sum(newest_first), names=names)
        row.streak = errors_at_the_end(reversed(newest_first))
        if scope in table:
            table[scope].merge(row)
        else:
            table[scope] = row
    return table
