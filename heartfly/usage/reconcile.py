"""Whether a day's rollups are what its events come to: worked out once more, by other means, and compared.

Nothing here is shared with fold.py and what that uses: expressions are read by Python's own parser and worked out in
Decimal, filters are looked at anew, and events are gone through in one go and not by the hour. A mistake would have to
be made twice to stay unseen. Percentiles are compared by their counts, and what is the latest not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from heartfly.core.versions import Version
from heartfly.db.models import dirty_hours, events, rollups, usage_names, windows
from heartfly.db.snapshots import Place, snapshot
from heartfly.usage.asked import WIDE, Lacks, Lookers
from heartfly.usage.meter_versions import versions_of
from heartfly.usage.named import Named
from heartfly.usage.proofs import Prints, by_whole_hours, events_digest, unique_counts

_HOUR = timedelta(hours=1)
_read = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
"""Numbers as texts: a meter compares texts, and whatever is to be added up is checked as one."""


@dataclass(slots=True)
class Sum:
    n: int = 0
    total: Decimal = Decimal(0)
    low: Decimal | None = None
    high: Decimal | None = None

    def add(self, value: Decimal | None) -> None:
        self.n += 1
        if value is not None:
            self.take(value, value, value)

    def take(self, total: Decimal, low: Decimal | None, high: Decimal | None) -> None:
        self.total = WIDE.add(self.total, total)
        if low is not None and (self.low is None or low < self.low):
            self.low = low
        if high is not None and (self.high is None or high > self.high):
            self.high = high


Sums = dict[tuple[int, int], Sum]
"""By version and subject."""
Uniques = dict[int, dict[int, set[str]]]
"""What is told apart, by version and subject."""


@dataclass(slots=True)
class Reconciled:
    """`mismatches`: what does not agree, in words. `dirty`: hours that were not folded yet: then nothing is compared.

    `fingerprint`: 16 bytes that stand for all rows of the day; `by_meter` for those of each meter, `events` for what
    there is to count. `gen`: of the day that was looked at. `n_uncounted`: events that some meter looks at and cannot
    count; `uncounted`, by meter: how many lack a property, and an amount. `former_versions`: of which it had other rows
    when it was proved before.
    """

    n_raw: int = 0
    n_rolled: int = 0
    n_late: int = 0
    n_subjects: int = 0
    ids_sum: int = 0
    dirty: int = 0
    fingerprint: bytes = b""
    gen: int | None = None
    by_meter: dict[int, bytes] = field(default_factory=dict)
    events: bytes = b""
    n_uncounted: int = 0
    uncounted: dict[int, list[int]] = field(default_factory=dict)
    versions: list[int] = field(default_factory=list)
    former_versions: tuple[int, ...] = ()
    mismatches: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Day:
    connection: sa.Connection
    pid: int
    from_at: datetime
    to_at: datetime
    versions: Sequence[Version]


def reconcile(place: Place, pid: int, from_at: datetime, to_at: datetime) -> Reconciled:
    """In one state of the data."""
    with snapshot(place) as connection:
        found = Reconciled()
        found.dirty = _dirty(connection, pid, from_at, to_at)
        if found.dirty:
            return found
        day = _Day(connection, pid, from_at, to_at, versions_of(connection, pid))
        found.versions = [version.id for version in day.versions]
        sums, uniques = _of_events(day, found)
        found.events = events_digest(found.ids_sum, found.n_raw)
        _compare(day, found, sums, uniques)
        return found


def _dirty(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime) -> int:
    hours = (dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - _HOUR, dirty_hours.c.hour < to_at)
    return int(connection.execute(sa.select(sa.func.count()).where(*hours)).scalar_one())


# --- the events once more


def _of_events(day: _Day, found: Reconciled) -> tuple[Sums, Uniques]:
    sums: Sums = {}
    uniques: Uniques = {}
    meters = {version.id: version.meter_id for version in day.versions}
    names = sa.select(usage_names.c.id, usage_names.c.text)
    named = day.connection.execute(names.where(usage_names.c.pid == day.pid, usage_names.c.kind == "type"))
    types = {row.id: row.text for row in named}
    lookers = Lookers(day.versions)
    subjects: set[int] = set()
    n_raw = n_late = ids_sum = 0
    end = day.to_at
    columns = (events.c.at, events.c.received_at, events.c.type_id, events.c.subject_id, events.c.transaction_id)
    query = sa.select(*columns, events.c.properties)
    query = query.where(events.c.pid == day.pid, events.c.at >= day.from_at, events.c.at < day.to_at)
    for at, received_at, type_id, subject_id, txid, properties in _read_all(day.connection, query):
        n_raw += 1
        n_late += received_at >= end
        subjects.add(subject_id)
        ids_sum += int(hashlib.blake2b(txid.encode(), digest_size=16).hexdigest(), 16)
        concerned = lookers.of(types[type_id], at)
        if not concerned:
            continue
        values, is_counted = _read(properties)[0], True
        for version_id, question in concerned:
            told = question.ask(values)
            if told is None:
                continue
            if isinstance(told, Lacks):
                found.uncounted.setdefault(meters[version_id], [0, 0])[told] += 1
                is_counted = False
                continue
            one = sums.get((version_id, subject_id))
            if one is None:
                one = sums[version_id, subject_id] = Sum()
            if told.__class__ is Decimal:
                one.add(told)
                continue
            one.n += 1
            if told:
                uniques.setdefault(version_id, {}).setdefault(subject_id, set()).add(str(told))
        found.n_uncounted += not is_counted
    found.n_raw, found.n_late, found.n_subjects = n_raw, n_late, len(subjects)
    found.ids_sum = ids_sum % (1 << 128)
    return sums, uniques


def _read_all(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Any]:
    for page in connection.execution_options(yield_per=5_000).execute(query).partitions():
        yield from page


# --- and the rollups


def _compare(day: _Day, found: Reconciled, sums: Sums, uniques: Uniques) -> None:
    words = _Words(Named(day.connection, day.pid), found.mismatches)
    whole = (windows.c.start_at == day.from_at, windows.c.end_at == day.to_at, windows.c.gen.is_not(None))
    of_day = sa.select(windows).where(windows.c.pid == day.pid, windows.c.tier == "day", *whole, ~windows.c.stale)
    window = day.connection.execute(of_day).first()
    if window is None:
        words.say("the day is not folded")
        return
    found.n_rolled, found.gen = window.n_events, window.gen
    if window.n_events != found.n_raw:
        words.say(f"{found.n_raw} events, and {window.n_events} in the rollup")
    if int.from_bytes(window.ids_sum, "big") != found.ids_sum:
        words.say("the rollup was made of other events than there are")
    digest = hashlib.blake2b(window.ids_sum + window.n_events.to_bytes(8, "big"), digest_size=16)
    prints = Prints(day.versions)

    def note(row: Any) -> None:
        facts = (row.version_id, row.cube, row.subject_id, row.group_id, row.n, row.sum, row.min, row.max)
        digest.update(repr((*facts, row.latest, row.latest_at, row.latest_id, row.histogram)).encode())
        prints.take(row)

    by_day, by_group = _of_rollups(day, "day", day.from_at, note=note)
    found.fingerprint = digest.digest()
    words.differ("the day", sums, by_day, ("its events", "the rollup"))
    grouped = {version_id for version_id, _ in by_group}
    of_grouped = {key: one for key, one in by_day.items() if key[0] in grouped}
    words.differ("the day", of_grouped, by_group, ("the whole", "its groups"))
    if by_whole_hours(day.from_at, day.to_at):
        by_hour, _ = _of_rollups(day, "hour", day.to_at - _HOUR, note=lambda _: None)
        if list(_differing(by_day, by_hour)):
            _name_hours(day, words)
            if not found.mismatches:
                words.differ("the day", by_day, by_hour, ("the day", "its hours"))
        for version in day.versions:
            if version.meter.of:
                _compare_uniques(day, version.id, uniques.get(version.id, {}), words, prints)
    found.by_meter = prints.by_meter()


def _name_hours(day: _Day, words: _Words) -> None:
    """Which hours are not what their events come to: each is gone through once more."""
    at = day.from_at
    while at < day.to_at:
        hour = replace(day, from_at=at, to_at=at + _HOUR)
        seen, _ = _of_rollups(hour, "hour", at, note=lambda _: None)
        expected, _ = _of_events(hour, Reconciled())
        words.differ(f"the hour from {at:%Y-%m-%d %H:%M} UTC", expected, seen, ("its events", "the rollup"))
        at += _HOUR


def _compare_uniques(
    day: _Day, version_id: int, expected: Mapping[int, set[str]], words: _Words, prints: Prints
) -> None:
    seen = unique_counts(day.connection, day.pid, version_id, day.from_at, day.to_at)
    prints.take_uniques(version_id, seen)
    for subject_id in sorted(expected.keys() | seen.keys()):
        wanted, n = len(expected.get(subject_id, ())), seen.get(subject_id, 0)
        if wanted != n:
            words.say(f"{words.whose(version_id, subject_id)}, the day: expected {wanted} different values, seen {n}")


def _of_rollups(day: _Day, tier: str, last: datetime, *, note: Callable[[Any], None]) -> tuple[Sums, Sums]:
    """By subject, and once more added up from the groups. `note` is told each row."""
    found: tuple[Sums, Sums] = ({}, {})
    whole = sa.and_(
        windows.c.pid == rollups.c.pid,
        windows.c.tier == rollups.c.tier,
        windows.c.start_at == rollups.c.start_at,
        windows.c.gen == rollups.c.gen,
    )
    for version in day.versions:
        query = (
            sa.select(*(rollups.c[name] for name in _COLUMNS))
            .join(windows, whole)
            .where(rollups.c.pid == day.pid, rollups.c.version_id == version.id, rollups.c.cube.in_((0, 1)))
            .where(rollups.c.tier == tier, rollups.c.start_at >= day.from_at, rollups.c.start_at <= last)
            .order_by(rollups.c.cube, rollups.c.start_at, rollups.c.subject_id, rollups.c.group_id)
        )
        for row in _read_all(day.connection, query):
            version_id, cube, subject_id, _, n, total, low, high, *_ = row
            one = found[cube].get((version_id, subject_id))
            if one is None:
                one = found[cube][version_id, subject_id] = Sum()
            one.n += n
            one.take(_decimal(total), None if low is None else _decimal(low), None if high is None else _decimal(high))
            note(row)
    return found


_COLUMNS = (
    *("version_id", "cube", "subject_id", "group_id", "n", "sum", "min", "max"),
    *("latest", "latest_at", "latest_id", "histogram"),
)


def _decimal(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-18, WIDE)


def _differing(expected: Sums, seen: Sums) -> Iterator[tuple[tuple[int, int], Sum, Sum]]:
    for key in sorted(expected.keys() | seen.keys()):
        a, b = expected.get(key, Sum()), seen.get(key, Sum())
        if (a.n, a.total, a.low, a.high) != (b.n, b.total, b.low, b.high):
            yield key, a, b


class _Words:
    """What does not agree, by the names that people know."""

    def __init__(self, named: Named, said: list[str]) -> None:
        self._named = named
        self.say = said.append

    def whose(self, version_id: int, subject_id: int) -> str:
        return f"meter {self._named.slugs[version_id]}, customer {self._named.customer(subject_id)}"

    def differ(self, when: str, expected: Sums, seen: Sums, names: tuple[str, str]) -> None:
        by, in_ = names
        for key, a, b in _differing(expected, seen):
            self.say(f"{self.whose(*key)}, {when}: expected {_told(a)} (by {by}), seen {_told(b)} (in {in_})")


def _told(one: Sum) -> str:
    n = f"{one.n} event{'s' if one.n != 1 else ''}"
    if one.low is None:
        return n  # it counts them, or tells their values apart
    total, low, high = (f"{x.normalize(WIDE):f}" for x in (one.total, one.low, one.high) if x is not None)
    return f"{total} of {n} (from {low} to {high})"
