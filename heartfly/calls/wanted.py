"""Which calls are meant, in the numbers that rollups have; and whether rollups tell them from others at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import OTHERS, Filters
from heartfly.core.calls import KEYS, OTHER, Cube, Dimension, Named, cube_for
from heartfly.core.windows import Window
from heartfly.db.models import call_names, call_rollups
from heartfly.db.prepared import among
from heartfly.errors import InvalidValueError
from heartfly.traffic.counting import counting
from heartfly.traffic.filters import Ranges, ranges_of, subjects_called
from heartfly.usage.call_fold import product_of
from heartfly.usage.call_values import name_of, provider_of
from heartfly.usage.question import EARLIEST, LATEST

_LONGEST_DAY = timedelta(hours=50)
_KINDS = {
    Dimension.ENDPOINT: Named.ENDPOINT,
    Dimension.USER: Named.USER,
    Dimension.KEY: Named.KEY,
    Dimension.TAG: Named.TAG,
}
_OF_PRODUCT = (Dimension.PROVIDER, Dimension.MODEL)
MOST_VALUES = 100
"""Of one filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`numbers`: of each kind of keys those that are meant; None would be any, so what is not there is any.

    `texts`: of each dimension the values as they were asked for, for who looks at calls one by one. `cube` None: no
    rollup tells these calls from others.
    """

    texts: Mapping[Dimension, frozenset[str]] = field(default_factory=dict)
    numbers: Mapping[Named, frozenset[int]] = field(default_factory=dict)
    statuses: Ranges = ()
    cube: Cube | None = None

    @property
    def subjects(self) -> frozenset[int] | None:
        return self.numbers.get(Named.SUBJECT)

    @property
    def is_nobody(self) -> bool:
        """Whether the customers that are meant never sent anything."""
        return self.subjects == frozenset()

    def takes_status(self, status: int) -> bool:
        return not self.statuses or any(low <= status <= high for low, high in self.statuses)


async def wanted_by(
    read: AsyncConnection, pid: int, span: Window, *, filters: Filters, by: Sequence[Dimension]
) -> Wanted:
    """InvalidValueError names the filter, as `customer`, or the bound, as `from`."""
    demand_bounds(span)
    given = {dimension: list(values) for dimension, values in filters.items() if values}
    for dimension, values in given.items():
        if len(values) > MOST_VALUES:
            raise InvalidValueError(dimension.value, f"must be up to {MOST_VALUES} values")
    statuses = ranges_of(given.get(Dimension.STATUS, ()))
    texts = {
        dimension: frozenset(map(provider_of if dimension is Dimension.PROVIDER else name_of, values))
        for dimension, values in given.items()
    }
    numbers: dict[Named, frozenset[int]] = {}
    if customers := given.get(Dimension.CUSTOMER):
        numbers[Named.SUBJECT] = frozenset(await subjects_called(read, pid, customers))
    unheld: list[Named] = []
    if any(dimension in given for dimension in _OF_PRODUCT):
        numbers[Named.PRODUCT] = frozenset(
            number
            for number, text in (await names_of(read, pid, Named.PRODUCT)).items()
            if _is_product(product_of(text), texts)
        )
        unheld.append(Named.PRODUCT)
    for dimension, kind in _KINDS.items():
        if dimension in given:
            known = await _numbers(read, pid, kind, texts[dimension])
            others = {OTHER} if OTHERS in texts[dimension] else set[int]()
            numbers[kind] = frozenset({*known.values(), *others})
            if texts[dimension] - known.keys() - {OTHERS}:
                unheld.append(kind)
    cube = cube_for([*by, *given])
    # A call with two of these tags stands in two rows.
    if len(given.get(Dimension.TAG, ())) > 1 and Dimension.TAG not in by:
        cube = None
    if cube is not None and unheld and await _has_others(read, pid, cube, unheld, span):
        cube = None
    return Wanted(texts=texts, numbers=numbers, statuses=statuses, cube=cube)


def demand_bounds(span: Window) -> None:
    """InvalidValueError."""
    if not EARLIEST <= span.from_at <= LATEST:
        raise InvalidValueError("from", "must be within 1970 to 2200")
    if not span.from_at < span.to_at <= LATEST:
        raise InvalidValueError("to", "must be after `from`, and before 2200")


def _is_product(product: tuple[str, str], texts: Mapping[Dimension, frozenset[str]]) -> bool:
    return all(
        dimension not in texts or value in texts[dimension]
        for dimension, value in zip(_OF_PRODUCT, product, strict=True)
    )


async def names_of(read: AsyncConnection, pid: int, kind: Named) -> Mapping[int, str]:
    """All that the project has, by number; some thousands at most."""
    query = sa.select(call_names.c.id, call_names.c.text).where(
        call_names.c.pid == pid, call_names.c.kind == kind.value
    )
    return {row.id: row.text for row in await read.execute(query)}


async def _numbers(read: AsyncConnection, pid: int, kind: Named, texts: Iterable[str]) -> Mapping[str, int]:
    query = sa.select(call_names.c.text, call_names.c.id).where(
        call_names.c.pid == pid, call_names.c.kind == kind.value, among(read, call_names.c.text, "texts")
    )
    return {row.text: row.id for row in await read.execute(query, {"texts": sorted(texts)})}


async def _has_others(read: AsyncConnection, pid: int, cube: Cube, kinds: Sequence[Named], span: Window) -> bool:
    """Whether there were calls of names of these kinds when the project had as many as it may."""
    r = call_rollups.c
    columns = [column for column, kind in zip((r.key1, r.key2), KEYS[cube], strict=True) if kind in kinds]
    for tier in ("hour", "day"):
        w = counting(pid, tier, span.from_at - _LONGEST_DAY, span.to_at)
        same = sa.and_(r.start_at == w.c.start_at, r.gen == w.c.gen)
        for column in columns:
            query = sa.select(r.key1).select_from(w.join(call_rollups, same))
            query = query.where(
                r.pid == pid, r.cube == sa.literal(int(cube), literal_execute=True), r.tier == tier, column == OTHER
            )
            if (await read.execute(query.limit(1))).first() is not None:
                return True
    return False
