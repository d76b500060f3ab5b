"""What meters come to, by customer and by their own groups (usage/answers.py)."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import ClassVar
from zoneinfo import ZoneInfo

from typing_extensions import override

from heartfly.core.alert_rules import Condition, Family, Scope
from heartfly.core.amounts import ONE
from heartfly.core.data_silence import floor
from heartfly.core.meters import Aggregation
from heartfly.core.windows import HOUR, Size, Window
from heartfly.rules.figures import Row, Table
from heartfly.rules.sources.base import MOST_SCOPES, Reads, Source, What
from heartfly.rules.sources.first_event import first_event
from heartfly.usage.answers import Item, answer
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.question import CUSTOMER, SUBJECT, Question

_UTC = ZoneInfo("UTC")
_ADDS = frozenset({Aggregation.COUNT, Aggregation.SUM})


class Meters(Source):
    of: ClassVar[Family] = Family.METER

    @override
    def what(self, condition: Condition, by: tuple[str, ...]) -> What:
        """Filters are the question's: of what does not add up no figure can be made of those of parts."""
        beside = tuple(one for one in condition.where if one[0] not in by)
        return What(self.of, by, filters=beside, detail=condition.name)

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        return (await self._asked(reads, what, [window], size=None))[0]

    @override
    async def series(self, reads: Reads, what: What, windows: Sequence[Window]) -> Sequence[Table]:
        if all(one.to_at - one.from_at == HOUR and floor(one.from_at) == one.from_at for one in windows):
            return await self._asked(reads, what, windows, size=Size.HOUR)
        return [await self.read(reads, what, window) for window in windows]

    async def _asked(self, reads: Reads, what: What, windows: Sequence[Window], *, size: Size | None) -> list[Table]:
        stored = await find_meter(reads.usage, reads.pid, what.detail)
        adds = stored.newest.meter.aggregation in _ADDS
        filters = dict(what.filters)
        question = Question(
            from_at=windows[0].from_at,
            to_at=windows[-1].to_at,
            size=size,
            zone=_UTC,
            group_by=what.dims,
            customers=filters.pop(CUSTOMER, ()),
            subjects=filters.pop(SUBJECT, ()),
            only={group: frozenset(values) for group, values in filters.items()},
        )
        told = await answer(reads.usage, reads.pid, stored, question, now=reads.now, limit=MOST_SCOPES * len(windows))
        begins = [window.from_at for window in windows]
        tables: list[dict[Scope, Row]] = [{} for _ in windows]
        for item in told.items:
            table = tables[bisect.bisect_right(begins, item.window.from_at) - 1]
            scope = tuple(_key(item, dim) for dim in what.dims)
            row = Row(
                n=item.n,
                value=None if item.value is None else Fraction(item.value, ONE),
                adds=adds,
                names=tuple(_name(item, dim) for dim in what.dims),
            )
            # A version may begin within the window, which is cut there.
            if scope in table:
                table[scope].merge(row)
            else:
                table[scope] = row
        return list(tables)

    @override
    async def first_at(self, reads: Reads) -> datetime | None:
        return await first_event(reads.usage, reads.pid)


def _key(item: Item, dim: str) -> str:
    if dim == CUSTOMER:
        return item.subject or "" if item.customer is None else item.customer.uuid
    return item.subject or "" if dim == SUBJECT else item.group[dim] or ""


def _name(item: Item, dim: str) -> str:
    return item.customer.name if dim == CUSTOMER and item.customer is not None else _key(item, dim)
