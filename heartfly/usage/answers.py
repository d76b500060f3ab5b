"""What a meter comes to: by window, customer and group, out of rollups, at the edges of hours out of events.

Partials of one place are merged by core/aggregate.py: an answer is as exact as if all events had been looked at.
Customers are whoever is known by a subject now. Each window says how sure its figures are (core/tiles.py).
"""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress, islice
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.aggregate import Partial, Place
from heartfly.core.amounts import Amount
from heartfly.core.columns import Amounts, add
from heartfly.core.meters import Aggregation, Meter
from heartfly.core.tiles import State, Tier, cut, state_of
from heartfly.core.versions import Span, spans
from heartfly.core.windows import Window, windows
from heartfly.db.models import rollups, unique_values, usage_groups
from heartfly.db.models import windows as stored_windows
from heartfly.db.prepared import among
from heartfly.db.snapshots import as_read
from heartfly.errors import InvalidValueError
from heartfly.usage.meter_queries import Stored
from heartfly.usage.question import CUSTOMER, SUBJECT, Question, demand_bounds, own_keys
from heartfly.usage.raw import type_ids
from heartfly.usage.raw_columns import PROPERTIES, Edges, Read, by_type, count_between, rows_between
from heartfly.usage.reading import by_size
from heartfly.usage.rollup_rows import columns, in_cubes, place, take_values, taking
from heartfly.usage.seal import demand_events
from heartfly.usage.settled import of_tier, settled_in
from heartfly.usage.tiling import Numbered, runs, tiles_of, within
from heartfly.usage.whose import Customer, Subject, ids_of, subjects_of

MOST_RAW = 200_000
"""Events that an answer looks at one by one."""
_AT_ONCE = 32
"""Windows that are worked out together."""
_ROWS = 2_000
"""Rollups that are taken in before the event loop has its turn."""

Texts = tuple[str | None, ...]
Edge = tuple[datetime, "SortKey"]
SortKey = tuple[tuple[int, str, str], ...]


@dataclass(slots=True, kw_only=True)
class Item:
    """A figure. `n`: events that count. `customer` and `subject` are there if it was grouped by them; a subject also
    where nobody is known by it.
    """

    window: Window
    state: State
    n: int
    value: Amount | None
    customer: Customer | None = None
    subject: str | None = None
    group: Mapping[str, str | None] = field(default_factory=dict)
    place: SortKey = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`complete_up_to`: whatever has come of what happened before is in the figures. `edge`: of the last item; None:
    there are no more.
    """

    items: Sequence[Item]
    complete_up_to: datetime
    edge: Edge | None


async def answer(
    read: AsyncConnection,
    pid: int,
    stored: Stored,
    question: Question,
    *,
    now: datetime,
    limit: int,
    after: Edge | None = None,
) -> Answer:
    """The first `limit` figures behind `after`, by window, then by what they are grouped by.

    Without groups each window has its figure; with groups those have one in which something counts. InvalidValueError.
    """
    keys = own_keys(stored, question)
    demand_bounds(question)
    subjects = await ids_of(read, pid, of_customers=question.customers, subjects=question.subjects)
    reader = _Reader(read, pid, stored, question, keys=keys, subjects=subjects)
    settled = await settled_in(read, pid, question.from_at, question.to_at, now=now, meter_id=stored.row.id)
    first = question.from_at if after is None else max(question.from_at, after[0])
    found: list[Item] = []
    parts = _parts(reader.spans, question, first, now)
    while len(found) <= limit and (some := list(islice(parts, _AT_ONCE))):
        states = [state_of(window, now, settled.days, settled.unsettled) for window in some]
        items = await reader.of(some, states)
        found += items if after is None else [one for one in items if (one.window.from_at, one.place) > after]
    edge = (found[limit - 1].window.from_at, found[limit - 1].place) if len(found) > limit else None
    return Answer(found[:limit], settled.complete_up_to, edge)


def _parts(known: Sequence[Span], question: Question, first: datetime, now: datetime) -> Iterator[Window]:
    """The windows from the one that holds `first` on, cut to what is asked, without what lies ahead."""
    whole: Iterable[Window] = (
        [Window(question.from_at, question.to_at)]
        if question.size is None
        else windows(question.size, question.zone, first, question.to_at)
    )
    for window in whole:
        if question.size is not None and window.from_at > now:
            return
        clipped = Window(max(window.from_at, question.from_at), min(window.to_at, question.to_at))
        yield from (part for part in cut(clipped, known) if part.to_at > first)


# --- partials, by window, subject and group

_Group = tuple[int, int] | Texts
"""A version and the number of a group as rollups have it, or texts that events had."""
_Key = tuple[int, int, _Group]
"""Which window, whose (a number of `usage_names`), which group."""


class _Reader:
    def __init__(
        self,
        read: AsyncConnection,
        pid: int,
        stored: Stored,
        question: Question,
        *,
        keys: Sequence[str],
        subjects: Sequence[int] | None,
    ) -> None:
        self._read = read
        self._pid = pid
        self._stored = stored
        self._question = question
        self._keys = keys
        self._subjects = subjects
        self._by_group = bool(keys or question.only)
        self.spans = spans(stored.versions, question.from_at, question.to_at)
        self._of_version = {version.id: version.meter for version in stored.versions}
        self._known_subjects: dict[int, Subject] = {}
        self._known_groups: dict[int, Texts] = {0: ()}  # of meters without group keys
        self._told_before: dict[tuple[int, _Group], _Told | None] = {}
        self._raw_left = MOST_RAW

    async def of(self, parts: Sequence[Window], states: Sequence[State]) -> list[Item]:
        """The figures of these windows, in order."""
        sums: dict[_Key, Partial] = {}
        meters = [self._meter_at(part) for part in parts]
        if self._subjects is None or self._subjects:
            await self._sum_up(parts, meters, sums)
        await self._learn(sums)
        places: list[dict[SortKey, tuple[Partial, _Told]]] = [{} for _ in parts]
        for (n, subject_id, group), partial in sums.items():
            told = self._told(subject_id, group)
            if told is None:
                continue
            here = places[n].get(told.place)
            if here is None:
                places[n][told.place] = (partial, told)
            else:
                here[0].merge(partial)
        if not self._question.group_by:
            for of_window in places:
                of_window.setdefault((), (Partial(), _Told()))
        return [
            Item(
                window=part,
                state=state,
                n=partial.n,
                value=None if meter is None else partial.result(meter),
                customer=told.customer,
                subject=told.subject,
                group=told.group,
                place=place,
            )
            for part, state, meter, of_window in zip(parts, states, meters, places, strict=True)
            for place, (partial, told) in sorted(of_window.items(), key=_first)
        ]

    def _meter_at(self, part: Window) -> Meter | None:
        """How the figures of a window add up: all its versions agree on that."""
        here = (span.version.meter for span in self.spans if span.from_at < part.to_at and part.from_at < span.to_at)
        return next(here, None)

    async def _sum_up(self, parts: Sequence[Window], meters: Sequence[Meter | None], sums: dict[_Key, Partial]) -> None:
        days = await self._days(parts[0].from_at, parts[-1].to_at)
        starts: dict[Tier, list[Numbered]] = {tier: [] for tier in Tier}
        for n, (part, meter) in enumerate(zip(parts, meters, strict=True)):
            if meter is None:
                continue
            # Values that are told apart are kept by the hour only.
            of_days = () if meter.aggregation is Aggregation.UNIQUE else within(days, part)
            for tile in tiles_of(part, of_days, self._question.size):
                starts[tile.tier].append((tile.from_at, tile.to_at, n))
        for tier in (Tier.DAY, Tier.HOUR):
            for run in runs(starts[tier]):
                await self._take_rollups(tier, run, meters, sums)
        for run in runs(starts[Tier.RAW]):
            await self._take_events(run, sums)

    async def _days(self, from_at: datetime, to_at: datetime) -> Sequence[Window]:
        query = (
            sa.select(stored_windows.c.start_at, stored_windows.c.end_at)
            .where(
                *of_tier(self._pid, Tier.DAY, from_at, to_at),
                stored_windows.c.stale.is_(False),
                stored_windows.c.gen.is_not(None),
            )
            .order_by(stored_windows.c.start_at)
        )
        return [Window(row.start_at, row.end_at) for row in await self._read.execute(query)]

    async def _take_rollups(
        self,
        tier: Tier,
        run: Sequence[Numbered],
        meters: Sequence[Meter | None],
        sums: dict[_Key, Partial],
    ) -> None:
        """Of one run of tiles, which follow one another without a gap."""
        from_at, to_at = run[0][0], run[-1][1]
        begins, numbers = [tile[0] for tile in run], [tile[2] for tile in run]
        kinds = {meter.aggregation for n in numbers if (meter := meters[n]) is not None}
        for table, of_kinds in ((rollups, kinds), (unique_values, kinds & {Aggregation.UNIQUE})):
            if not of_kinds:
                continue
            take = take_values if table is unique_values else taking(of_kinds)
            instant = as_read(self._read, table.c.start_at)
            places: dict[Any, int] = {}  # the same beginnings come again and again
            async for rows in self._rows(table, tier, from_at, to_at, of_kinds):
                for row in rows:
                    if (n := places.get(row[3], -1)) < 0:
                        n = places[row[3]] = numbers[bisect.bisect_right(begins, instant(row[3])) - 1]
                    group = (row[0], row[2]) if self._by_group else ()
                    key = (n, row[1], group)
                    partial = sums.get(key)
                    if partial is None:
                        partial = sums[key] = Partial()
                    take(partial, row)

    async def _rows(
        self, table: sa.Table, tier: Tier, from_at: datetime, to_at: datetime, kinds: Iterable[Aggregation]
    ) -> AsyncIterator[Sequence[Any]]:
        """Of the generations that count: `place`, and what is summed up."""
        versions = [version for version in self._stored.versions if version.meter.aggregation in kinds]
        query = (
            sa.select(*place(table), *columns(table, kinds))
            .select_from(stored_windows)
            .join(
                table,
                sa.and_(
                    table.c.pid == stored_windows.c.pid,
                    table.c.start_at == stored_windows.c.start_at,
                    table.c.gen == stored_windows.c.gen,
                ),
            )
            .where(*of_tier(self._pid, tier, from_at, to_at))
        )
        if table is rollups:
            query = query.where(table.c.tier == tier.value, in_cubes(versions, by_group=self._by_group))
        else:
            query = query.where(table.c.version_id.in_([version.id for version in versions]))
        given: dict[str, Any] = {}
        if self._subjects is not None:
            query = query.where(among(self._read, table.c.subject_id, "subjects"))
            given = {"subjects": list(self._subjects)}
        async with self._read.stream(query, given) as result:
            async for rows in result.partitions(_ROWS):
                yield rows

    async def _take_events(self, run: Sequence[Numbered], sums: dict[_Key, Partial]) -> None:
        """Of one run of tiles, which follow one another without a gap."""
        from_at, to_at = run[0][0], run[-1][1]
        await demand_events(self._read, self._pid, from_at, to_at)
        here = [span for span in self.spans if span.from_at < to_at and from_at < span.to_at]
        types = await type_ids(self._read, self._pid, {name for span in here for name in span.version.meter.types})
        if not types:
            return
        edges, known = Edges(self._read, run), Amounts()
        most, subjects = self._raw_left + 1, self._subjects
        self._raw_left -= await count_between(self._read, self._pid, from_at, to_at, subjects=subjects, most=most)
        if self._raw_left < 0:
            raise InvalidValueError("to", _TOO_MANY)
        async for rows in rows_between(self._read, self._pid, from_at, to_at, subjects=subjects):
            for type_id, alike in by_type(rows, types).items():
                for some in by_size(alike, PROPERTIES):
                    page = Read(some, edges, known)
                    for span in (one for one in here if types[type_id] in one.version.meter.types):
                        self._add(page, span, sums)

    def _add(self, page: Read, span: Span, sums: dict[_Key, Partial]) -> None:
        meter = span.version.meter
        told = page.told(span)
        where, whose, values = told.only(page.where), told.only(page.subjects), told.values
        groups: Sequence[Texts] = [()] * len(where)
        if self._by_group:
            given = told.groups if told.groups is not None else [()] * len(where)
            picked = {group: self._picked(meter, group) for group in set(given)}
            wanted = [picked[group] is not None for group in given]
            if not all(wanted):
                where, whose, given = (list(compress(column, wanted)) for column in (where, whose, given))
                values = None if values is None else list(compress(values, wanted))
            groups = [picked[group] or () for group in given]
        else:
            wanted = []
        places: Sequence[Place] = ()
        if meter.aggregation is Aggregation.LATEST:
            places = told.only(page.places())
            places = list(compress(places, wanted)) if wanted else places
        add(sums, meter, list(zip(where, whose, groups, strict=True)), values, places)

    def _picked(self, meter: Meter, group: Sequence[str | None]) -> Texts | None:
        """Of a group the texts that are grouped by; None: the question is not about it."""
        texts = dict(zip(meter.group_keys, group, strict=True))
        if any(texts.get(name) not in wanted for name, wanted in self._question.only.items()):
            return None
        return tuple(texts.get(name) for name in self._keys)

    def _wanted_texts(self, group: Any) -> Texts | None:
        if group and isinstance(group[0], int):
            version_id, group_id = group
            return self._picked(self._of_version[version_id], self._known_groups[group_id])
        texts: Texts = group
        return texts

    async def _learn(self, sums: Iterable[_Key]) -> None:
        """What numbers stand for, as far as the question is about it."""
        if {CUSTOMER, SUBJECT} & set(self._question.group_by):
            missing = {key[1] for key in sums} - self._known_subjects.keys()
            self._known_subjects |= await subjects_of(self._read, self._pid, missing) if missing else {}
        groups = {key[2][1] for key in sums if key[2] and isinstance(key[2][0], int)}
        if missing_groups := groups - self._known_groups.keys():
            query = sa.select(usage_groups.c.id, usage_groups.c.texts).where(
                usage_groups.c.pid == self._pid, among(self._read, usage_groups.c.id, "ids")
            )
            for row in await self._read.execute(query, {"ids": sorted(missing_groups)}):
                self._known_groups[row.id] = tuple(msgspec.json.decode(row.texts, type=list[str | None]))

    def _told(self, subject_id: int, group: _Group) -> _Told | None:
        """None: the question is not about it. The same customers and groups come again in each window."""
        key = (subject_id, group)
        if key not in self._told_before:
            texts = self._wanted_texts(group)
            self._told_before[key] = None if texts is None else self._tell(subject_id, texts)
        return self._told_before[key]

    def _tell(self, subject_id: int, texts: Texts) -> _Told:
        place: list[tuple[int, str, str]] = []
        told = _Told(group=dict(zip(self._keys, texts, strict=True)))
        for name in self._question.group_by:
            if name not in {CUSTOMER, SUBJECT}:
                text = told.group[name]
                place.append((1, "", "") if text is None else (0, text, ""))
                continue
            subject = self._known_subjects[subject_id]
            told.customer = subject.customer
            if name == SUBJECT or subject.customer is None:
                told.subject = subject.text
            if name == SUBJECT:
                place.append((0, subject.text, ""))
            elif subject.customer is None:
                place.append((1, subject.text, ""))  # those that nobody knows come last
            else:
                place.append((0, subject.customer.name, subject.customer.uuid))
        told.place = tuple(place)
        return told


@dataclass(slots=True)
class _Told:
    """What a figure is of, besides its window."""

    place: SortKey = ()
    customer: Customer | None = None
    subject: str | None = None
    group: dict[str, str | None] = field(default_factory=dict)


_first = itemgetter(0)


_TOO_MANY = (
    f"more than {MOST_RAW} events would have to be looked at one by one, as windows of minutes and those that begin "
    "within an hour of UTC need it: ask for a shorter time, or in another zone"
)
