"""What the events of a window come to, for each meter: worked out from all of them, never counted on.

The same events make the same rows, to the byte, in whatever order they are read; no clock is read here. Runs in a
process of its own where there is much to fold (folding.py), and only reads.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa

from heartfly.core.access.spelled import spelled_columns
from heartfly.core.aggregate import Partial
from heartfly.core.columns import Amounts, Page, add
from heartfly.core.meters import Aggregation
from heartfly.core.versions import Span, Version, spans
from heartfly.core.windows import HOUR
from heartfly.db.models import dirty_hours, events, rollups, unique_values, usage_groups, usage_names, windows
from heartfly.db.snapshots import PAGE, Place, as_read, pages, snapshot
from heartfly.db.types import all_unpacked
from heartfly.usage.call_fold import CallTally
from heartfly.usage.call_reading import call_tally, call_type, fold_calls, stored_calls
from heartfly.usage.calls import Calls
from heartfly.usage.meter_versions import versions_of
from heartfly.usage.reading import by_size, read_events
from heartfly.usage.request_fold import RequestTally
from heartfly.usage.request_reading import (
    fold_requests,
    look_for_room,
    stored_requests,
    tally_of,
    thinned_hours,
    type_of,
)
from heartfly.usage.requests import Limits, Requests
from heartfly.usage.rollup_rows import merge_rows

TIER_HOUR, TIER_DAY = "hour", "day"
BY_SUBJECT, BY_GROUP = 0, 1
"""The two cubes of rollups."""
NO_GROUP = ""
DEFAULT = Limits()
Group = str
"""The values of a meter's group keys, as JSON: a list, null where there is none. NO_GROUP: all of them."""
_MODULUS = 1 << 128
_blake2b = hashlib.blake2b


class Key(NamedTuple):
    """What a row of rollups is of, within its window."""

    version_id: int
    cube: int
    subject_id: int
    group: Group


@dataclass(slots=True)
class Folded:
    """`ids_sum`: of the hashes of their transaction ids. `seq`: the newest mark on the hour in that very state, and
    `replaces` the generation that counted then.

    `uncounted`: of each version how many events lacked a property, and how many had no amount; what was put together
    of hours says none, as these do. `versions`: all that the project has, also those that count nothing here.
    `requests` and `calls` None: nobody asked for them.
    """

    from_at: datetime
    to_at: datetime
    seq: int | None = None
    replaces: int | None = None
    n_events: int = 0
    ids_sum: int = 0
    partials: dict[Key, Partial] = field(default_factory=dict)
    uncounted: dict[int, list[int]] = field(default_factory=dict)
    versions: tuple[int, ...] = ()
    requests: Requests | None = None
    calls: Calls | None = None

    def merge(self, other: Folded) -> None:
        """Another window comes to this one; no event may be in both."""
        self.versions = self.versions or other.versions
        self.n_events += other.n_events
        self.ids_sum = (self.ids_sum + other.ids_sum) % _MODULUS
        for key, partial in other.partials.items():
            mine = self.partials.get(key)
            if mine is None:
                mine = self.partials[key] = Partial()
            mine.merge(partial)
        if other.requests is not None:
            self.requests = self.requests or Requests(other.requests.limits)
            self.requests.merge(other.requests)
        if other.calls is not None:
            self.calls = self.calls or Calls(other.calls.limits)
            self.calls.merge(other.calls)

    def ids_bytes(self) -> bytes:
        return self.ids_sum.to_bytes(16, "big")


def fold_hour(place: Place, pid: int, hour: datetime, limits: Limits = DEFAULT) -> Folded:
    """Of one state of the data, its mark included."""
    with snapshot(place) as connection:
        mark = sa.select(dirty_hours.c.seq).where(dirty_hours.c.pid == pid, dirty_hours.c.hour == hour)
        seq = connection.execute(mark).scalar()
        folded = fold_span(connection, pid, hour, hour + HOUR, limits)
        folded.seq = seq
        counts = sa.select(windows.c.gen).where(windows.c.pid == pid, windows.c.tier == TIER_HOUR)
        folded.replaces = connection.execute(counts.where(windows.c.start_at == hour)).scalar()
        return folded


def fold_span(
    connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime, limits: Limits | None = None
) -> Folded:
    """The raw events of [from_at, to_at). `limits` None: what requests and calls come to is not asked for."""
    parts = spans(versions := versions_of(connection, pid), from_at, to_at)
    types = type_names(connection, pid, {name for part in parts for name in part.version.meter.types})
    tally = _Tally(parts, types, from_at, to_at)
    if limits is not None:
        requests, calls = tally_of(connection, pid, from_at, limits), call_tally(connection, pid, from_at, limits)
        tally.also(requests, type_of(connection, pid), calls, call_type(connection, pid))
    instant = as_read(connection, events.c.at) if tally.asks_when else None
    for page in read_events(connection, pid, from_at, to_at, *_READ):
        names = all_unpacked([row[4] for row in page])
        tally.take(page if instant is None else [(instant(row[0]), *row[1:]) for row in page], names)
    folded = tally.folded()
    if folded.requests is not None:
        look_for_room(connection, pid, from_at, to_at, folded.requests)
    folded.versions = tuple(version.id for version in versions)
    return folded


_READ = ("at", "id", "type_id", "subject_id", "transaction_id", "properties")


def type_names(connection: sa.Connection, pid: int, names: Iterable[str]) -> dict[int, str]:
    wanted = sorted(names)
    query = sa.select(usage_names.c.id, usage_names.c.text).where(
        usage_names.c.pid == pid, usage_names.c.kind == "type", usage_names.c.text.in_(wanted)
    )
    return {row.id: row.text for row in connection.execute(query)}


def fold(
    found: Iterable[Any], parts: Sequence[Span], types: Mapping[int, str], from_at: datetime, to_at: datetime
) -> Folded:
    """`types`: the types that any of the meters looks at, by number."""
    tally, rows = _Tally(parts, types, from_at, to_at), iter(found)
    while page := list(islice(rows, PAGE)):
        tally.take(page, [row[4] for row in page])
    return tally.folded()


class _Tally:
    """Events of [from_at, to_at), page after page. `asks_when`: else the times of events are not looked at."""

    def __init__(self, parts: Sequence[Span], types: Mapping[int, str], from_at: datetime, to_at: datetime) -> None:
        self._found = Folded(from_at, to_at)
        self._parts = parts
        self._whole = {id(part) for part in parts if (part.from_at, part.to_at) == (from_at, to_at)}
        self._looking = {
            number: [part for part in parts if name in part.version.meter.types] for number, name in types.items()
        }
        latest = any(part.version.meter.aggregation is Aggregation.LATEST for part in parts)
        self.asks_when = latest or len(self._whole) < len(parts)
        self._known = Amounts()
        self._by_subject: dict[int, dict[int, Partial]] = {}
        self._by_group: dict[int, dict[tuple[int, tuple[str | None, ...]], Partial]] = {}
        self._requests: RequestTally | None = None
        self._calls: CallTally | None = None
        self._tallies: dict[int | None, RequestTally | CallTally] = {}

    def also(self, requests: RequestTally, of_requests: int | None, calls: CallTally, of_calls: int | None) -> None:
        """Be told what events of these types come to as requests, and as calls."""
        self._requests, self._calls = requests, calls
        self._tallies = {of_requests: requests, of_calls: calls}

    def take(self, page: Sequence[Any], names: Sequence[str]) -> None:
        """Rows of `events`: at, number, type, subject, id, properties. `names`: transaction ids as they were sent."""
        self._found.n_events += len(page)
        digests = b"".join([_blake2b(one.encode(), digest_size=16).digest() for one in names])
        halves = struct.unpack(f">{2 * len(names)}Q", digests)
        self._found.ids_sum += (sum(halves[::2]) << 64) + sum(halves[1::2])
        of_type: dict[int, list[Any]] = {}
        for row in page:
            of_type.setdefault(row[2], []).append(row)
        for type_id, rows in of_type.items():
            lookers = self._looking.get(type_id, ())
            also = self._tallies.get(type_id)
            if lookers or also is not None:
                for some in by_size(rows, 5):
                    self._take(lookers, also, some)

    def _take(self, lookers: Sequence[Span], also: RequestTally | CallTally | None, rows: Sequence[Any]) -> None:
        ats, numbers, _, subjects, _, properties = zip(*rows, strict=True)
        is_request = isinstance(also, RequestTally)
        page = Page(properties, self._known, spelled_columns(properties) if is_request else None)
        if also is not None:
            also.take(page, rows)
        places = list(zip(ats, numbers, strict=True)) if self.asks_when else ()
        for part in lookers:
            version = part.version
            among = None if id(part) in self._whole else [part.from_at <= at < part.to_at for at in ats]
            told = page.told(version.meter, among)
            if told.n_missing or told.n_no_amount:
                counts = self._found.uncounted.setdefault(version.id, [0, 0])
                counts[0] += told.n_missing
                counts[1] += told.n_no_amount
            whose = told.only(subjects)
            when = told.only(places) if version.meter.aggregation is Aggregation.LATEST else ()
            add(self._by_subject.setdefault(version.id, {}), version.meter, whose, told.values, when)
            if told.groups is not None:
                keys = list(zip(whose, told.groups, strict=True))
                add(self._by_group.setdefault(version.id, {}), version.meter, keys, told.values, when)

    def folded(self) -> Folded:
        """Once, at the end."""
        found = self._found
        found.requests = None if self._requests is None else self._requests.found()
        found.calls = None if self._calls is None else self._calls.found()
        found.ids_sum %= _MODULUS
        for version_id, by_subject in self._by_subject.items():
            for subject_id, partial in by_subject.items():
                found.partials[Key(version_id, BY_SUBJECT, subject_id, NO_GROUP)] = partial
        texts: dict[tuple[str | None, ...], Group] = {}
        for version_id, by_group in self._by_group.items():
            for (subject_id, group), partial in by_group.items():
                text = texts.get(group)
                if text is None:
                    text = texts[group] = group_text(group)
                found.partials[Key(version_id, BY_GROUP, subject_id, text)] = partial
        return found


def group_text(group: tuple[str | None, ...]) -> Group:
    return json.dumps(group, ensure_ascii=False, separators=(",", ":"))


# --- days, of hours that were folded before


def fold_day(place: Place, pid: int, from_at: datetime, to_at: datetime, limits: Limits = DEFAULT) -> Folded:
    """A day of the project's zone: its whole hours as they were folded, and of what its zone cuts off, the events."""
    with snapshot(place) as connection:
        return day_of_hours(connection, pid, from_at, to_at, limits=limits, uniques=False)


def day_of_hours(
    connection: sa.Connection,
    pid: int,
    from_at: datetime,
    to_at: datetime,
    *,
    limits: Limits | None = None,
    uniques: bool = True,
) -> Folded:
    """`uniques`: also what the hours have told apart, which a day keeps nowhere, and which may be much."""
    folded = Folded(from_at, to_at)
    first, last = _up(from_at), _down(to_at)
    if first >= last:
        return fold_span(connection, pid, from_at, to_at, limits)
    if from_at < first:
        folded.merge(fold_span(connection, pid, from_at, first, limits))
    folded.merge(stored(connection, pid, TIER_HOUR, first, last, limits=limits, uniques=uniques))
    if limits is not None:
        for hour in thinned_hours(connection, pid, first, last):
            requests = fold_requests(connection, pid, hour, hour + HOUR, limits)
            calls = fold_calls(connection, pid, hour, hour + HOUR, limits)
            folded.merge(Folded(hour, hour, requests=requests, calls=calls))
    if last < to_at:
        folded.merge(fold_span(connection, pid, last, to_at, limits))
    return folded


def stored(
    connection: sa.Connection,
    pid: int,
    tier: str,
    from_at: datetime,
    to_at: datetime,
    *,
    limits: Limits | None = None,
    uniques: bool = True,
) -> Folded:
    """What the windows of a tier that begin in [from_at, to_at) hold, put together."""
    folded = Folded(from_at, to_at)
    if limits is not None:
        folded.requests = stored_requests(connection, pid, tier, from_at, to_at, limits=limits)
        folded.calls = stored_calls(connection, pid, tier, from_at, to_at, limits=limits)
    in_time = (windows.c.pid == pid, windows.c.tier == tier, windows.c.start_at >= from_at, windows.c.start_at < to_at)
    for window in connection.execute(sa.select(windows).where(*in_time)).all():
        folded.n_events += window.n_events
        folded.ids_sum = (folded.ids_sum + int.from_bytes(window.ids_sum, "big")) % _MODULUS
    versions = versions_of(connection, pid)
    folded.versions = tuple(version.id for version in versions)
    texts = _Texts(connection, pid)
    instant = as_read(connection, rollups.c.latest_at)
    for version in versions:
        # One version after the other: its rows lie side by side, and no statistics can send the planner elsewhere.
        into: dict[tuple[int, int, int], Partial] = {}
        for page in pages(connection, _rows_of(pid, version, tier, from_at, to_at)):
            merge_rows(into, page, instant)
        for (cube, subject_id, group_id), partial in into.items():
            folded.partials[Key(version.id, cube, subject_id, texts[group_id])] = partial
        if version.meter.of and tier == TIER_HOUR and uniques:
            _add_uniques(connection, pid, version.id, folded)
    return folded


class _Texts(dict[int, Group]):
    """Of numbers of groups: there are few, and they come again with each subject and hour."""

    def __init__(self, connection: sa.Connection, pid: int) -> None:
        super().__init__({0: NO_GROUP})
        self._connection = connection
        self._of = sa.select(usage_groups.c.texts).where(usage_groups.c.pid == pid)

    def __missing__(self, group_id: int) -> Group:
        texts: Group = self._connection.execute(self._of.where(usage_groups.c.id == group_id)).scalar_one()
        self[group_id] = texts
        return texts


def _rows_of(pid: int, version: Version, tier: str, from_at: datetime, to_at: datetime) -> sa.Select[Any]:
    """Of meters that count, or tell values apart, the database adds up what they count: rows have nothing else."""
    r = rollups.c
    where = (
        *(r.pid == pid, r.version_id == version.id, r.cube.in_((BY_SUBJECT, BY_GROUP)), r.tier == tier),
        *(r.start_at >= from_at, r.start_at < to_at),
    )
    place = (r.cube, r.subject_id, r.group_id)
    if version.meter.value is None:
        nothing = [sa.literal(None)] * 5
        counted = sa.select(*place, sa.func.sum(r.n), sa.func.max(r.sum), sa.func.max(r.min), *nothing)
        return counted.join(windows, is_whole(rollups)).where(*where).group_by(*place)
    rest = (r.n, r.sum, r.min, r.max, r.latest, r.latest_at, r.latest_id, r.histogram)
    return sa.select(*place, *rest).join(windows, is_whole(rollups)).where(*where)


def is_whole(table: sa.Table) -> sa.ColumnElement[bool]:
    """A row of `rollups` is of the generation that counts."""
    return sa.and_(
        windows.c.pid == table.c.pid,
        windows.c.tier == table.c.tier,
        windows.c.start_at == table.c.start_at,
        windows.c.gen == table.c.gen,
    )


def _add_uniques(connection: sa.Connection, pid: int, version_id: int, folded: Folded) -> None:
    of_window = sa.and_(
        windows.c.pid == pid,
        windows.c.tier == TIER_HOUR,
        windows.c.start_at == unique_values.c.start_at,
        windows.c.gen == unique_values.c.gen,
    )
    query = (
        sa.select(unique_values.c.subject_id, unique_values.c.value, usage_groups.c.texts)
        .join(windows, of_window)
        .outerjoin(usage_groups, sa.and_(usage_groups.c.pid == pid, usage_groups.c.id == unique_values.c.group_id))
        .where(
            unique_values.c.pid == pid,
            unique_values.c.version_id == version_id,
            unique_values.c.start_at >= folded.from_at,
            unique_values.c.start_at < folded.to_at,
        )
    )
    for row in connection.execute(query):
        value = bytes(row.value)
        folded.partials[Key(version_id, BY_SUBJECT, row.subject_id, NO_GROUP)].uniques.add(value)
        if row.texts:
            folded.partials[Key(version_id, BY_GROUP, row.subject_id, row.texts)].uniques.add(value)


def _down(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _up(at: datetime) -> datetime:
    down = _down(at)
    return down if down == at else down + HOUR
