"""Rows of rollups into partials: only the columns that a meter needs are read, and taken in without a detour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.types import NullType

from heartfly.core.aggregate import Partial
from heartfly.core.amounts import stored as amount_of
from heartfly.core.amounts import text_of
from heartfly.core.meters import Aggregation
from heartfly.core.sketches import read as histogram_of
from heartfly.core.versions import Version
from heartfly.db.models import rollups, unique_values


def in_cubes(versions: Iterable[Version], *, by_group: bool) -> sa.ColumnElement[bool]:
    """Cube 1 has the groups of those that have any."""
    cubes: dict[int, list[int]] = {}
    for version in versions:
        cubes.setdefault(int(by_group and bool(version.meter.group_keys)), []).append(version.id)
    return sa.or_(
        *(sa.and_(rollups.c.version_id.in_(ids), rollups.c.cube == cube) for cube, ids in sorted(cubes.items()))
    )


def columns(table: sa.Table, kinds: Iterable[Aggregation]) -> list[sa.Column[Any]]:
    if table is unique_values:
        return [table.c.value]
    names = dict.fromkeys(["n", *(name for kind in Aggregation if kind in kinds for name in _NEEDED[kind])])
    return [table.c[name] for name in names]


def place(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """What a row is of. Its window's beginning as the driver has it: to convert it costs as much as reading the row."""
    return [
        *(table.c[name] for name in ("version_id", "subject_id", "group_id")),
        sa.type_coerce(table.c.start_at, NullType()),
    ]


_NEEDED: Mapping[Aggregation, Sequence[str]] = {
    Aggregation.COUNT: (),
    Aggregation.SUM: ("sum",),
    Aggregation.MIN: ("min",),
    Aggregation.MAX: ("max",),
    Aggregation.AVERAGE: ("sum",),
    Aggregation.LATEST: ("latest", "latest_at", "latest_id"),
    Aggregation.UNIQUE: (),
    Aggregation.PERCENTILE: ("min", "max", "histogram"),
}
Take = Callable[[Partial, Any], None]


def taking(kinds: Iterable[Aggregation]) -> Take:
    given = set(kinds)
    if given <= {Aggregation.COUNT, Aggregation.UNIQUE}:
        return _take_count
    if given <= {Aggregation.SUM, Aggregation.AVERAGE}:
        return _take_sum
    return _take_all


def _take_count(into: Partial, row: Any) -> None:
    into.n += row[4]


def _take_sum(into: Partial, row: Any) -> None:
    into.n += row[4]
    into.sum += row[5]


def _take_all(into: Partial, row: Any) -> None:
    given: Mapping[str, Any] = row._asdict()
    written = given.get("histogram")
    at = given.get("latest_at")
    into.merge(
        Partial(
            n=given["n"],
            sum=given.get("sum") or 0,
            min=given.get("min"),
            max=given.get("max"),
            latest=given.get("latest"),
            latest_place=None if at is None else (at, given["latest_id"]),
            histogram=None if written is None else histogram_of(msgspec.json.decode(written)),
        )
    )


def take_values(into: Partial, row: Any) -> None:
    into.uniques.add(bytes(row[4]))


def merge_rows(
    partials: dict[tuple[int, int, int], Partial], rows: Iterable[Any], instant: Callable[[Any], Any]
) -> None:
    """Rows as `fold.stored` asks for them, as the driver hands them out."""
    for cube, subject_id, group_id, n, total, low, high, latest, latest_at, latest_id, histogram in rows:
        key = (cube, subject_id, group_id)
        mine = partials.get(key)
        if mine is None:
            mine = partials[key] = Partial()
        if low is None and total == _NOTHING:
            mine.n += int(n)
            continue
        place = None if latest_at is None else (instant(latest_at), latest_id)
        sketch = None if histogram is None else histogram_of(msgspec.json.decode(histogram))
        least, most, newest = [None if text is None else amount_of(text) for text in (low, high, latest)]
        mine.merge(Partial(int(n), amount_of(total), least, most, newest, place, histogram=sketch))


_NOTHING = text_of(0)
