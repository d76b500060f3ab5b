"""Which calls are meant, in the numbers that rollups have; and whether rollups tell them from others at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import OTHERS, Filters, Wanted
from heartfly.calls.known import known_by
from heartfly.core.calls import OTHER, Dimension, Named, cube_for
from heartfly.core.windows import Window
from heartfly.db.models import call_names
from heartfly.db.prepared import among
from heartfly.errors import InvalidValueError
from heartfly.traffic.filters import ranges_of, subjects_called
from heartfly.usage.call_values import name_of, provider_of
from heartfly.usage.question import EARLIEST, LATEST

_KINDS = {
    Dimension.ENDPOINT: Named.ENDPOINT,
    Dimension.USER: Named.USER,
    Dimension.KEY: Named.KEY,
    Dimension.TAG: Named.TAG,
}
_OF_PRODUCT = (Dimension.PROVIDER, Dimension.MODEL)
MOST_VALUES = 100
"""Of one filter."""


async def wanted_by(
    read: AsyncConnection, pid: int, span: Window, *, filters: Filters, by: Sequence[Dimension]
) -> Wanted:
    """InvalidValueError names the filter, as `customer`, or the bound, as `from`."""
    demand_bounds(span)
    known = known_by(read, pid)
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
            number for number, product in (await known.products(read)).items() if _is_product(product, texts)
        )
        unheld.append(Named.PRODUCT)
    for dimension, kind in _KINDS.items():
        if dimension in given:
            numbered = await _numbers(read, pid, kind, texts[dimension])
            others = {OTHER} if OTHERS in texts[dimension] else set[int]()
            numbers[kind] = frozenset({*numbered.values(), *others})
            if texts[dimension] - numbered.keys() - {OTHERS}:
                unheld.append(kind)
    cube = cube_for([*by, *given])
    # A call with two of these tags stands in two rows.
    if len(given.get(Dimension.TAG, ())) > 1 and Dimension.TAG not in by:
        cube = None
    if cube is not None and unheld and await known.has_others(read, cube, unheld, span):
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


async def _numbers(read: AsyncConnection, pid: int, kind: Named, texts: Iterable[str]) -> Mapping[str, int]:
    query = sa.select(call_names.c.text, call_names.c.id).where(
        call_names.c.pid == pid, call_names.c.kind == kind.value, among(read, call_names.c.text, "texts")
    )
    return {row.text: row.id for row in await read.execute(query, {"texts": sorted(texts)})}
