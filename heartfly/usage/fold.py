"""What the events of a window come to, for each meter: worked out from all of them, never counted on.

The same events make the same rows, to the byte, in whatever order they are read; no clock is read here. Runs in a
process of its own where there is much to fold (folding.py), and only reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from heartfly.core.aggregate import Partial
from heartfly.core.meters import Counted, Uncounted, counted
from heartfly.core.sketches import read as read_histogram
from heartfly.core.versions import Span, spans
from heartfly.core.windows import HOUR
from heartfly.db.models import dirty_hours, events, rollups, unique_values, usage_groups, usage_names, windows
from heartfly.db.snapshots import Place, snapshot
from heartfly.usage.meter_versions import versions_of

TIER_HOUR, TIER_DAY = "hour", "day"
BY_SUBJECT, BY_GROUP = 0, 1
"""The two cubes of rollups."""
NO_GROUP = ""
Group = str
"""The values of a meter's group keys, as JSON: a list, null where there is none. NO_GROUP: all of them."""
_MODULUS = 1 << 128
_PAGE = 5_000

_scan = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
"""Of what `core.events.written` wrote: no white space around it. Numbers as texts, as meters look at them."""


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

    `uncounted`: of each version how many events lacked a property, and how many had no amount. `versions`: all that
    the project has, also those that count nothing here.
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
        for version_id, counts in other.uncounted.items():
            mine_too = self.uncounted.setdefault(version_id, [0, 0])
            mine_too[0] += counts[0]
            mine_too[1] += counts[1]

    def ids_bytes(self) -> bytes:
        return self.ids_sum.to_bytes(16, "big")


def fold_hour(place: Place, pid: int, hour: datetime) -> Folded:
    """Of one state of the data, its mark included."""
    with snapshot(place) as connection:
        mark = sa.select(dirty_hours.c.seq).where(dirty_hours.c.pid == pid, dirty_hours.c.hour == hour)
        seq = connection.execute(mark).scalar()
        folded = fold_span(connection, pid, hour, hour + HOUR)
        folded.seq = seq
        counts = sa.select(windows.c.gen).where(windows.c.pid == pid, windows.c.tier == TIER_HOUR)
        folded.replaces = connection.execute(counts.where(windows.c.start_at == hour)).scalar()
        return folded


def fold_span(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime) -> Folded:
    """The raw events of [from_at, to_at)."""
    versions = versions_of(connection, pid)
    parts = spans(versions, from_at, to_at)
    types = type_names(connection, pid, {name for part in parts for name in part.version.meter.types})
    folded = fold(raw(connection, pid, from_at, to_at), parts, types, from_at, to_at)
    folded.versions = tuple(version.id for version in versions)
    return folded


def raw(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime) -> Iterator[Any]:
    columns = (events.c.at, events.c.id, events.c.type_id, events.c.subject_id)
    query = sa.select(*columns, events.c.transaction_id, events.c.properties)
    query = query.where(events.c.pid == pid, events.c.at >= from_at, events.c.at < to_at)
    with connection.execution_options(yield_per=_PAGE).execute(query) as found:
        for page in found.partitions():
            yield from page


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
    folded = Folded(from_at, to_at)
    looking = {number: [part for part in parts if name in part.version.meter.types] for number, name in types.items()}
    fine: dict[tuple[int, int, tuple[str | None, ...]], Partial] = {}
    blake2b = hashlib.blake2b
    uncounted, ids_sum, n_events = folded.uncounted, 0, 0
    whole = all((part.from_at, part.to_at) == (from_at, to_at) for part in parts)
    for at, number, type_id, subject_id, transaction_id, properties in found:
        n_events += 1
        ids_sum += int.from_bytes(blake2b(transaction_id.encode(), digest_size=16).digest(), "big")
        lookers = looking.get(type_id)
        if not lookers:
            continue
        values, type_ = _scan(properties)[0], types[type_id]
        for part in lookers:
            if not whole and not part.from_at <= at < part.to_at:
                continue
            version = part.version
            adds = counted(version.meter, type_, values)
            if adds is None:
                continue
            if adds.__class__ is Counted:
                key = (version.id, subject_id, adds.group)
                partial = fine.get(key)
                if partial is None:
                    partial = fine[key] = Partial()
                partial.add(version.meter, adds, (at, number))
            else:
                counts = uncounted.setdefault(version.id, [0, 0])
                counts[0 if adds is Uncounted.MISSING else 1] += 1
    folded.n_events, folded.ids_sum = n_events, ids_sum % _MODULUS
    folded.partials = _cubes(fine)
    return folded


def _cubes(fine: Mapping[tuple[int, int, tuple[str | None, ...]], Partial]) -> dict[Key, Partial]:
    """By subject, and by subject and group for meters that have groups."""
    found: dict[Key, Partial] = {}
    for (version_id, subject_id, group), partial in fine.items():
        key = Key(version_id, BY_SUBJECT, subject_id, NO_GROUP)
        if not group:
            found[key] = partial
            continue
        found[Key(version_id, BY_GROUP, subject_id, group_text(group))] = partial
        found.setdefault(key, Partial()).merge(partial)
    return found


def group_text(group: tuple[str | None, ...]) -> Group:
    return json.dumps(group, ensure_ascii=False, separators=(",", ":"))


# --- days, of hours that were folded before


def fold_day(place: Place, pid: int, from_at: datetime, to_at: datetime) -> Folded:
    """A day of the project's zone: its whole hours as they were folded, and of what its zone cuts off, the events."""
    with snapshot(place) as connection:
        return day_of_hours(connection, pid, from_at, to_at)


def day_of_hours(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime) -> Folded:
    folded = Folded(from_at, to_at)
    first, last = _up(from_at), _down(to_at)
    if first >= last:
        return fold_span(connection, pid, from_at, to_at)
    if from_at < first:
        folded.merge(fold_span(connection, pid, from_at, first))
    folded.merge(stored(connection, pid, TIER_HOUR, first, last))
    if last < to_at:
        folded.merge(fold_span(connection, pid, last, to_at))
    return folded


def stored(connection: sa.Connection, pid: int, tier: str, from_at: datetime, to_at: datetime) -> Folded:
    """What the windows of a tier that begin in [from_at, to_at) hold, put together."""
    folded = Folded(from_at, to_at)
    in_time = (windows.c.pid == pid, windows.c.tier == tier, windows.c.start_at >= from_at, windows.c.start_at < to_at)
    for window in connection.execute(sa.select(windows).where(*in_time)).all():
        folded.n_events += window.n_events
        folded.ids_sum = (folded.ids_sum + int.from_bytes(window.ids_sum, "big")) % _MODULUS
    versions = versions_of(connection, pid)
    folded.versions = tuple(version.id for version in versions)
    for version in versions:
        # One version after the other: its rows lie side by side, and no statistics can send the planner elsewhere.
        query = _rows_of(pid, version.id, tier, from_at, to_at)
        with connection.execution_options(yield_per=_PAGE).execute(query) as found:
            for page in found.partitions():
                _merge_rows(folded.partials, page)
        if version.meter.of and tier == TIER_HOUR:
            _add_uniques(connection, pid, version.id, folded)
    return folded


def _merge_rows(partials: dict[Key, Partial], rows: Iterable[Any]) -> None:
    """Rows of `_rows_of`. By their places, as there are many: to ask a row for each by its name costs as much again."""
    for version_id, cube, subject_id, n, total, low, high, latest, latest_at, latest_id, histogram, texts in rows:
        key = Key(version_id, cube, subject_id, texts or NO_GROUP)
        mine = partials.get(key)
        if mine is None:
            mine = partials[key] = Partial()
        if latest is None and histogram is None:
            mine.n += n
            mine.sum += total
            if low is not None and (mine.min is None or low < mine.min):
                mine.min = low
            if high is not None and (mine.max is None or high > mine.max):
                mine.max = high
            continue
        place = None if latest_at is None else (latest_at, latest_id)
        sketch = None if histogram is None else read_histogram(json.loads(histogram))
        part = Partial(n=n, sum=total, min=low, max=high, latest=latest, latest_place=place, histogram=sketch)
        mine.merge(part)


def _rows_of(pid: int, version_id: int, tier: str, from_at: datetime, to_at: datetime) -> sa.Select[Any]:
    return (
        sa.select(*(rollups.c[name] for name in _COLUMNS), usage_groups.c.texts)
        .join(windows, is_whole(rollups))
        .outerjoin(usage_groups, sa.and_(usage_groups.c.pid == pid, usage_groups.c.id == rollups.c.group_id))
        .where(
            rollups.c.pid == pid,
            rollups.c.version_id == version_id,
            rollups.c.cube.in_((BY_SUBJECT, BY_GROUP)),
            rollups.c.tier == tier,
            rollups.c.start_at >= from_at,
            rollups.c.start_at < to_at,
        )
    )


_COLUMNS = (
    *("version_id", "cube", "subject_id", "n", "sum", "min", "max"),
    *("latest", "latest_at", "latest_id", "histogram"),
)


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
