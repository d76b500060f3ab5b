"""What figures come to with some events gone and others come: by day, meter and customer, before and after.

Both are worked out of the events themselves, of the customers concerned, with the code that folds. It only reads; what
goes and comes is decided by who asks: backfill_preview.py, correction_preview.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.core.aggregate import Partial
from heartfly.core.amounts import text_of
from heartfly.core.days import day_in, day_of
from heartfly.core.versions import Version, spans
from heartfly.db.models import aliases, customers, events, meters, usage_names
from heartfly.errors import ConflictError
from heartfly.usage.fold import BY_SUBJECT, fold, type_names
from heartfly.usage.meter_versions import versions_of

MOST_ITEMS = 2_000
MOST_READ = 2_000_000
"""Events that a preview reads, of those that count already."""
_PAGE = 5_000
_SUBJECTS = 500
_EVENT = ("at", "id", "type_id", "subject_id", "transaction_id", "properties")
Row = Sequence[Any]
"""Of an event, as _EVENT names it."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of one meter. `customer`: his public id, None: nobody is known by `name`, which is what was sent then.

    Exact values as text; None where there is none. `n`: events that count for it.
    """

    day: date
    meter: str
    customer: str | None
    name: str
    before: str | None
    after: str | None
    n_before: int
    n_after: int


@dataclass(frozen=True, slots=True)
class _Who:
    customer: str | None
    name: str


_Of = tuple[int, _Who]
"""A version of a meter, and a customer."""


class Comparison:
    """In one state of the data, by days of `zone`.

    `new_types` and `new_subjects`: what the numbers mean of types and subjects that nobody has heard of before.
    """

    def __init__(
        self,
        connection: sa.Connection,
        pid: int,
        zone: ZoneInfo,
        *,
        new_types: Mapping[int, str] | None = None,
        new_subjects: Mapping[int, str] | None = None,
    ) -> None:
        self._connection = connection
        self._pid = pid
        self._zone = zone
        self._new_types = new_types or {}
        self._new_subjects = new_subjects or {}
        self._versions = versions_of(connection, pid)
        self._n_read = 0
        self._slugs = _slugs(connection, pid)

    def changes(self, coming: Sequence[Row], going: Mapping[int, tuple[datetime, int]]) -> list[Change]:
        """`going`: when each of these events happened, and whose it is. ConflictError: there are too many to read."""
        touched = [(row[0], row[3]) for row in coming] + list(going.values())
        whose = self._whose({subject_id for _, subject_id in touched})
        found: list[Change] = []
        for day in sorted({day_of(self._zone, at) for at, _ in touched}):
            found += self._of_day(day, coming, going.keys(), whose)
        return found

    def _whose(self, touched: set[int]) -> Mapping[int, _Who]:
        """Also what else their customers are called: a customer's figure is of all that."""
        pid, found = self._pid, dict[int, _Who]()
        of_alias = sa.and_(aliases.c.pid == usage_names.c.pid, aliases.c.text == usage_names.c.text)
        of_customer = sa.and_(customers.c.pid == aliases.c.pid, customers.c.id == aliases.c.customer_id)
        named = (
            sa.select(usage_names.c.id, usage_names.c.text, customers.c.id.label("customer_id"), customers.c.uuid)
            .add_columns(customers.c.name)
            .outerjoin(aliases, of_alias)
            .outerjoin(customers, of_customer)
            .where(usage_names.c.pid == pid, usage_names.c.kind == "subject")
        )
        owners: set[int] = set()
        for some in _pieces(touched):
            for row in self._connection.execute(named.where(usage_names.c.id.in_(some))):
                found[row.id] = _Who(row.uuid, row.text if row.uuid is None else row.name)
                owners |= set() if row.customer_id is None else {row.customer_id}
        for number in touched & self._new_subjects.keys():
            text = self._new_subjects[number]
            called = sa.select(customers).join(aliases, of_customer).where(aliases.c.pid == pid, aliases.c.text == text)
            owner = self._connection.execute(called).first()
            found[number] = _Who(None, text) if owner is None else _Who(owner.uuid, owner.name)
            owners |= set() if owner is None else {owner.id}
        for some in _pieces(owners):
            for row in self._connection.execute(named.where(aliases.c.customer_id.in_(some))):
                found[row.id] = _Who(row.uuid, row.name)
        return found

    def _of_day(
        self, day: date, coming: Sequence[Row], going: Iterable[int], whose: Mapping[int, _Who]
    ) -> list[Change]:
        span, gone = day_in(self._zone, day), frozenset(going)
        new = [row for row in coming if span.from_at <= row[0] < span.to_at]
        before = self._folded(self._counting(span.from_at, span.to_at, whose), span.from_at, span.to_at, whose)
        # Read twice, in one state of the data: a day of a large customer is more than the memory holds.
        kept = (row for row in self._counting(span.from_at, span.to_at, whose) if row[1] not in gone)
        after = self._folded(chain(kept, new), span.from_at, span.to_at, whose)
        return list(self._differing(day, before, after))

    def _counting(self, from_at: datetime, to_at: datetime, whose: Mapping[int, _Who]) -> Iterator[Row]:
        query = sa.select(*(events.c[name] for name in _EVENT)).where(
            events.c.pid == self._pid, events.c.at >= from_at, events.c.at < to_at
        )
        for some in _pieces(whose):
            one_by_one = self._connection.execution_options(yield_per=_PAGE)
            with one_by_one.execute(query.where(events.c.subject_id.in_(some))) as rows:
                for row in rows:
                    self._n_read += 1
                    if self._n_read > MOST_READ:
                        raise ConflictError("its customers have too many events of these days to preview")
                    yield tuple(row)

    def _folded(
        self, found: Iterable[Row], from_at: datetime, to_at: datetime, whose: Mapping[int, _Who]
    ) -> dict[_Of, Partial]:
        parts = spans(self._versions, from_at, to_at)
        types = type_names(self._connection, self._pid, {name for part in parts for name in part.version.meter.types})
        types |= self._new_types
        told: dict[_Of, Partial] = {}
        for key, partial in fold(found, parts, types, from_at, to_at).partials.items():
            if key.cube == BY_SUBJECT:
                told.setdefault((key.version_id, whose[key.subject_id]), Partial()).merge(partial)
        return told

    def _differing(
        self,
        day: date,
        before: Mapping[_Of, Partial],
        after: Mapping[_Of, Partial],
    ) -> Iterator[Change]:
        versions = {version.id: version for version in self._versions}

        def place(key: _Of) -> tuple[str, int, str, str]:
            return self._slugs[versions[key[0]].meter_id], key[0], key[1].name, key[1].customer or ""

        for key in sorted(before.keys() | after.keys(), key=place):
            version, who = versions[key[0]], key[1]
            had, has = before.get(key, Partial()), after.get(key, Partial())
            texts = [None if not one.n else _text(version, one) for one in (had, has)]
            if texts[0] != texts[1] or had.n != has.n:
                slug = self._slugs[version.meter_id]
                yield Change(day, slug, who.customer, who.name, texts[0], texts[1], had.n, has.n)


def _text(version: Version, partial: Partial) -> str | None:
    value = partial.result(version.meter)
    return None if value is None else text_of(value)


def _slugs(connection: sa.Connection, pid: int) -> Mapping[int, str]:
    query = sa.select(meters.c.id, meters.c.slug).where(meters.c.pid == pid)
    return {row.id: row.slug for row in connection.execute(query)}


def _pieces(numbers: Iterable[int]) -> Iterator[list[int]]:
    found = sorted(numbers)
    for start in range(0, len(found), _SUBJECTS):
        yield found[start : start + _SUBJECTS]
