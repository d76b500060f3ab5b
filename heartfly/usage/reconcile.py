"""Whether a day's rollups are what its events come to: worked out once more, by other means, and compared.

Nothing here is shared with fold.py and what that uses: expressions are read by Python's own parser and worked out in
Decimal, filters are looked at anew, and events are gone through in one go and not by the hour. A mistake would have to
be made twice to stay unseen. Percentiles are compared by their counts, and what is the latest not at all.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import sqlalchemy as sa

from heartfly.core.versions import Version
from heartfly.db.models import dirty_hours, events, rollups, usage_names, windows
from heartfly.db.snapshots import PAGE, Place, as_read, as_stored, pages, snapshot
from heartfly.usage.asked import WIDE, Lacks, Lookers, Question
from heartfly.usage.call_books import Books
from heartfly.usage.call_proof import CALL, CallCount, call_differences
from heartfly.usage.distinct import Distinct
from heartfly.usage.meter_versions import versions_of
from heartfly.usage.named import Named
from heartfly.usage.proofs import Prints, by_whole_hours, events_digest, unique_counts
from heartfly.usage.reading import by_size, read_events
from heartfly.usage.request_proof import REQUEST, RequestCount, differences
from heartfly.usage.request_proof import Day as DayOfRequests

_HOUR = timedelta(hours=1)
_read = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
"""Numbers as texts: a meter compares texts, and whatever is to be added up is checked as one."""


@dataclass(slots=True)
class Sum:
    n: int = 0
    total: Decimal = Decimal(0)
    low: Decimal | None = None
    high: Decimal | None = None

    def add(self, values: Sequence[Decimal]) -> None:
        """At least one."""
        self.n += len(values)
        with localcontext(WIDE):
            self.take(sum(values, Decimal(0)), min(values), max(values))

    def take(self, total: Decimal, low: Decimal | None, high: Decimal | None) -> None:
        self.total = WIDE.add(self.total, total)
        if low is not None and (self.low is None or low < self.low):
            self.low = low
        if high is not None and (self.high is None or high > self.high):
            self.high = high


Sums = dict[tuple[int, int], Sum]
"""By version and subject."""
Uniques = dict[int, Distinct]
"""What is told apart, by version; counted by subject."""


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
    former_versions: tuple[int, ...] | None = None
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
        with ExitStack() as files:
            count = _of_events(day, found, files)
            found.events = events_digest(found.ids_sum, found.n_raw)
            _compare(day, found, count.sums, {version_id: one.counts() for version_id, one in count.uniques.items()})
            if found.gen is not None:
                whole = by_whole_hours(from_at, to_at)
                of_requests = DayOfRequests(connection, pid, from_at, to_at, found.gen, whole)
                found.mismatches += differences(of_requests, count.requests)
                found.mismatches += call_differences(of_requests, count.calls)
        return found


def _dirty(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime) -> int:
    hours = (dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - _HOUR, dirty_hours.c.hour < to_at)
    return int(connection.execute(sa.select(sa.func.count()).where(*hours)).scalar_one())


# --- the events once more


class _Count:
    """Events, page after page. Of a page all that a meter is asked of is asked at once."""

    def __init__(self, day: _Day, found: Reconciled, files: ExitStack) -> None:
        self.sums: Sums = {}
        self.uniques: Uniques = {}
        self.requests = RequestCount()
        self.calls = CallCount(Books(day.connection, day.pid))
        self._found = found
        self._files = files
        self._meters = {version.id: version.meter_id for version in day.versions}
        names = sa.select(usage_names.c.id, usage_names.c.text)
        named = day.connection.execute(names.where(usage_names.c.pid == day.pid, usage_names.c.kind == "type"))
        self._types = {row.id: row.text for row in named}
        self._lookers = Lookers(day.versions, day.from_at, day.to_at)
        self._instant = as_read(day.connection, events.c.at)
        self._txid = as_read(day.connection, events.c.transaction_id)
        self._end = as_stored(day.connection, events.c.received_at)(day.to_at)
        self._edges = [as_stored(day.connection, events.c.at)(edge) for edge in self._lookers.edges]
        self._subjects: set[int] = set()

    def take(self, page: Sequence[Any]) -> None:
        """Rows of `_READ`."""
        alike: dict[tuple[int, int], list[Any]] = {}
        for row in page:
            alike.setdefault((row[2], bisect_right(self._edges, row[0])), []).append(row)
        late, hashed = 0, 0
        for _, received_at, _, _, txid, _ in page:
            late += received_at >= self._end
            hashed += int(hashlib.blake2b(self._txid(txid).encode(), digest_size=16).hexdigest(), 16)
        self._subjects.update([row[3] for row in page])
        self._found.n_raw += len(page)
        self._found.n_late += late
        self._found.n_subjects = len(self._subjects)
        self._found.ids_sum = (self._found.ids_sum + hashed) % (1 << 128)
        for (type_id, _), rows in alike.items():
            concerned = self._lookers.of(self._types[type_id], self._instant(rows[0][0]))
            are_requests, are_calls = (self._types[type_id] == one for one in (REQUEST, CALL))
            if concerned or are_requests or are_calls:
                for some in by_size(rows, 5):
                    values = _read("[" + ",".join([row[5] for row in some]) + "]")[0]
                    self._ask(concerned, some, values)
                    if are_requests:
                        self.requests.take([row[3] for row in some], values)
                    if are_calls:
                        self.calls.take([row[3] for row in some], [self._instant(row[0]) for row in some], values)

    def _ask(
        self, concerned: Sequence[tuple[int, Question]], rows: Sequence[Any], values: Sequence[Mapping[str, Any]]
    ) -> None:
        subjects, lacking = [row[3] for row in rows], set()
        for version_id, question in concerned:
            told: Sequence[Any] = question.ask_all(values)
            whose: Sequence[int] = subjects
            if not set(map(type, told)) <= _COUNT:
                kept = []
                for place, one in enumerate(told):
                    if isinstance(one, Lacks):
                        self._found.uncounted.setdefault(self._meters[version_id], [0, 0])[one] += 1
                        lacking.add(place)
                    elif one is not None:
                        kept.append(place)
                told, whose = [told[place] for place in kept], [subjects[place] for place in kept]
            self._add(version_id, question, whose, told)
        self._found.n_uncounted += len(lacking)

    def _add(self, version_id: int, question: Question, whose: Sequence[int], told: Sequence[Any]) -> None:
        by_subject: dict[int, list[Any]] = {}
        for subject_id, one in zip(whose, told, strict=True):
            if subject_id in by_subject:
                by_subject[subject_id].append(one)
            else:
                by_subject[subject_id] = [one]
        for subject_id, some in by_subject.items():
            of = _of(self.sums, (version_id, subject_id))
            if some[0].__class__ is Decimal:
                of.add(some)
            else:
                of.n += len(some)
        if question.tells_apart:
            if version_id not in self.uniques:
                self.uniques[version_id] = self._files.enter_context(Distinct())
            self.uniques[version_id].add(zip(whose, map(_held, told), strict=True))


_READ = ("at", "received_at", "type_id", "subject_id", "transaction_id", "properties")
_COUNT = {Decimal, str}


def _held(text: str) -> str | bytes:
    """Texts are told apart, not read again: 32 bytes stand for a long one, and no text is bytes."""
    return text if len(text) <= 64 else hashlib.sha256(text.encode()).digest()


_PIECE = timedelta(hours=3)
"""Read at once: the memory that it takes to put them in order is that of an eighth of a day."""


def _of_events(day: _Day, found: Reconciled, files: ExitStack) -> _Count:
    count, at = _Count(day, found, files), day.from_at
    while at < day.to_at:
        end = min(at + _PIECE, day.to_at)
        for page in read_events(day.connection, day.pid, at, end, *_READ):
            count.take(page)
        at = end
    return count


# --- and the rollups


def _compare(day: _Day, found: Reconciled, sums: Sums, uniques: Mapping[int, Mapping[int, int]]) -> None:
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

    by_day, by_group = _of_day(day, note)
    found.fingerprint = digest.digest()
    words.differ("the day", sums, by_day, ("its events", "the rollup"))
    grouped = {version_id for version_id, _ in by_group}
    of_grouped = {key: one for key, one in by_day.items() if key[0] in grouped}
    words.differ("the day", of_grouped, by_group, ("the whole", "its groups"))
    if by_whole_hours(day.from_at, day.to_at):
        by_hour = _of_hours(day, day.to_at - _HOUR)
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
        seen = _of_hours(hour, at)
        with ExitStack() as files:
            expected = _of_events(hour, Reconciled(), files).sums
        words.differ(f"the hour from {at:%Y-%m-%d %H:%M} UTC", expected, seen, ("its events", "the rollup"))
        at += _HOUR


def _compare_uniques(day: _Day, version_id: int, expected: Mapping[int, int], words: _Words, prints: Prints) -> None:
    seen = unique_counts(day.connection, day.pid, version_id, day.from_at, day.to_at)
    prints.take_uniques(version_id, seen)
    for subject_id in sorted(expected.keys() | seen.keys()):
        wanted, n = expected.get(subject_id, 0), seen.get(subject_id, 0)
        if wanted != n:
            words.say(f"{words.whose(version_id, subject_id)}, the day: expected {wanted} different values, seen {n}")


def _of_day(day: _Day, note: Callable[[Any], None]) -> tuple[Sums, Sums]:
    """By subject, and once more added up from the groups. `note` is told each row."""
    found: tuple[Sums, Sums] = ({}, {})
    for version in day.versions:
        query = _rows(day, version.id, "day", day.from_at, [rollups.c[name] for name in _COLUMNS])
        query = query.where(rollups.c.cube.in_((0, 1))).order_by(
            rollups.c.cube, rollups.c.start_at, rollups.c.subject_id, rollups.c.group_id
        )
        for row in day.connection.execution_options(yield_per=PAGE).execute(query):
            version_id, cube, subject_id, _, n, total, low, high, *_ = row
            one = _of(found[cube], (version_id, subject_id))
            one.n += n
            one.take(_decimal(total), _decimal_or_none(low), _decimal_or_none(high))
            note(row)
    return found


def _of_hours(day: _Day, last: datetime) -> Sums:
    """By subject, of the hours that begin from the day's beginning to `last`. Amounts are read as they are spelled."""
    found: Sums = {}
    for version in day.versions:
        query = _rows(
            day, version.id, "hour", last, [rollups.c[name] for name in ("subject_id", "n", "sum", "min", "max")]
        )
        for page in pages(day.connection, query.where(rollups.c.cube == 0)):
            for subject_id, n, total, low, high in page:
                bounds = (None, None) if low is None else (Decimal(low), Decimal(high))
                one = _of(found, (version.id, subject_id))
                one.n += n
                one.take(Decimal(total), *bounds)
    return found


def _rows(day: _Day, version_id: int, tier: str, last: datetime, columns: Sequence[Any]) -> sa.Select[Any]:
    whole = sa.and_(
        windows.c.pid == rollups.c.pid,
        windows.c.tier == rollups.c.tier,
        windows.c.start_at == rollups.c.start_at,
        windows.c.gen == rollups.c.gen,
    )
    return (
        sa.select(*columns)
        .join(windows, whole)
        .where(rollups.c.pid == day.pid, rollups.c.version_id == version_id)
        .where(rollups.c.tier == tier, rollups.c.start_at >= day.from_at, rollups.c.start_at <= last)
    )


def _of(sums: Sums, key: tuple[int, int]) -> Sum:
    one = sums.get(key)
    if one is None:
        one = sums[key] = Sum()
    return one


_COLUMNS = (
    *("version_id", "cube", "subject_id", "group_id", "n", "sum", "min", "max"),
    *("latest", "latest_at", "latest_id", "histogram"),
)


def _decimal(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-18, WIDE)


def _decimal_or_none(amount: int | None) -> Decimal | None:
    return None if amount is None else _decimal(amount)


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
