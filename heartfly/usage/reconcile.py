"""Whether a day's rollups are what its events come to: worked out once more, by other means, and compared.

Nothing here is shared with fold.py and what that uses: expressions are read by Python's own parser and worked out in
Decimal, filters are looked at anew, and events are gone through in one go and not by the hour. A mistake would have to
be made twice to stay unseen. Percentiles are compared by their counts, and what is the latest not at all.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal, Inexact
from typing import Any

import sqlalchemy as sa

from heartfly.core.meters import Meter, PropertyFilter
from heartfly.core.versions import Version, in_force
from heartfly.db.models import dirty_hours, events, rollups, unique_values, usage_names, windows
from heartfly.db.snapshots import Place, snapshot
from heartfly.usage.meter_versions import versions_of

_WIDE = Context(prec=1_000, traps=[Inexact])
_GRAMMAR = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,18})?")
_TOKEN = re.compile(r'"([^"]+)"|([A-Za-z_]\w*(?:\.\w+)*)|(\d[\d.]*)|([-+*()])|\s+', re.ASCII)
_MOST = Decimal(10) ** 20
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
        self.total = _WIDE.add(self.total, total)
        if low is not None and (self.low is None or low < self.low):
            self.low = low
        if high is not None and (self.high is None or high > self.high):
            self.high = high


Sums = dict[tuple[int, int], Sum]
"""By version and subject."""


@dataclass(slots=True)
class Reconciled:
    """`mismatches`: what does not agree, in words. `dirty`: hours that were not folded yet: then nothing is compared.

    `fingerprint`: 16 bytes that stand for all rows of the day.
    """

    n_raw: int = 0
    n_rolled: int = 0
    n_late: int = 0
    n_subjects: int = 0
    ids_sum: int = 0
    dirty: int = 0
    fingerprint: bytes = b""
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
        sums, uniques = _of_events(day, found)
        _compare(day, found, sums, uniques)
        return found


def _dirty(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime) -> int:
    hours = (dirty_hours.c.pid == pid, dirty_hours.c.hour > from_at - _HOUR, dirty_hours.c.hour < to_at)
    return int(connection.execute(sa.select(sa.func.count()).where(*hours)).scalar_one())


# --- the events once more


def _of_events(day: _Day, found: Reconciled) -> tuple[Sums, dict[int, set[tuple[int, str]]]]:
    sums: Sums = {}
    uniques: dict[int, set[tuple[int, str]]] = {}
    names = sa.select(usage_names.c.id, usage_names.c.text)
    named = day.connection.execute(names.where(usage_names.c.pid == day.pid, usage_names.c.kind == "type"))
    types = {row.id: row.text for row in named}
    lookers = _Lookers(day.versions)
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
        values = _read(properties)[0]
        for version_id, question in concerned:
            told = question.ask(values)
            if told is None:
                continue
            one = sums.get((version_id, subject_id))
            if one is None:
                one = sums[version_id, subject_id] = Sum()
            if told.__class__ is Decimal:
                one.add(told)
                continue
            one.n += 1
            if told:
                uniques.setdefault(version_id, set()).add((subject_id, str(told)))
    found.n_raw, found.n_late, found.n_subjects = n_raw, n_late, len(subjects)
    found.ids_sum = ids_sum % (1 << 128)
    return sums, uniques


class _Lookers:
    """Which versions count an event of a type at an instant."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._of_meter: dict[int, list[Version]] = {}
        self._questions: dict[int, _Question] = {}
        edges: set[datetime] = set()
        for version in versions:
            self._of_meter.setdefault(version.meter_id, []).append(version)
            self._questions[version.id] = _Question(version.meter)
            edges |= {at for at in (version.from_at, version.to_at, version.archived_at) if at is not None}
        self._edges = sorted(edges)
        self._known: dict[tuple[str, int], list[tuple[int, _Question]]] = {}

    def of(self, type_: str, at: datetime) -> list[tuple[int, _Question]]:
        place = bisect_right(self._edges, at)  # between two edges the same versions hold
        found = self._known.get((type_, place))
        if found is None:
            holding = [in_force(some, at) for some in self._of_meter.values()]
            looking = [one for one in holding if one is not None and type_ in one.meter.types]
            found = [(one.id, self._questions[one.id]) for one in looking]
            self._known[type_, place] = found
        return found


class _Question:
    """A meter, asked of one event after the other."""

    def __init__(self, meter: Meter) -> None:
        self._filters = meter.filters
        self._unique = meter.of
        self._names: list[str] = []
        self._tree: ast.expr | None = None if meter.value is None else self._parsed(meter.value.text)
        self._alone = self._names[0] if isinstance(self._tree, ast.Name) else ""

    def ask(self, values: Mapping[str, Any]) -> Decimal | str | None:
        """The amount; or what is told apart; or an empty text, where events are counted. None: it adds nothing."""
        for one in self._filters:
            if not _holds(one, values):
                return None
        if self._unique:
            return _at(values, self._unique)
        if self._tree is None:
            return ""
        if self._alone:
            # Within the grammar: it has no more digits than an amount may have, nor more places.
            text = _at(values, self._alone)
            return Decimal(text) if text is not None and _GRAMMAR.fullmatch(text) else None
        amounts = []
        for name in self._names:
            text = _at(values, name)
            if text is None or not _GRAMMAR.fullmatch(text):
                return None
            amounts.append(Decimal(text))
        result = _worked_out(self._tree, amounts)
        return None if result.copy_abs() >= _MOST or _has_more_places(result) else result

    def _parsed(self, text: str) -> ast.expr:
        """Properties become names that Python has, and its own parser reads the rest."""
        written = []
        for quoted, name, number, sign in _TOKEN.findall(text):
            if number:
                written.append(f"'{number}'")
            elif sign:
                written.append(sign)
            elif quoted or name:
                self._names.append(quoted or name)
                written.append(f"v{len(self._names) - 1}")
        return ast.parse("".join(written), mode="eval").body


def _has_more_places(result: Decimal) -> bool:
    whole = result.scaleb(18, _WIDE)
    return whole != whole.to_integral_value()


def _worked_out(tree: ast.expr, amounts: list[Decimal]) -> Decimal:
    match tree:
        case ast.Name(id=name):
            return amounts[int(name[1:])]
        case ast.Constant(value=str() as number):
            return Decimal(number)
        case ast.UnaryOp(operand=inner):
            return _worked_out(inner, amounts).copy_negate()
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATIONS[type(op)](_worked_out(left, amounts), _worked_out(right, amounts))
        case _:
            raise AssertionError(f"no expression of a meter: {ast.dump(tree)}")


_OPERATIONS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: _WIDE.add,
    ast.Sub: _WIDE.subtract,
    ast.Mult: _WIDE.multiply,
}


def _at(values: Mapping[str, Any], path: str) -> str | None:
    found = values.get(path)
    if found is None and "." in path:
        found = values
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    if found is True or found is False:
        return str(found).lower()
    return found if isinstance(found, str) else None


def _holds(one: PropertyFilter, values: Mapping[str, Any]) -> bool:
    text = _at(values, one.name)
    if one.exists is True and text is None:
        return False
    if one.exists is False and text is not None:
        return False
    if one.any_of and (text is None or text not in one.any_of):
        return False
    return text not in one.none_of


def _read_all(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Any]:
    for page in connection.execution_options(yield_per=5_000).execute(query).partitions():
        yield from page


# --- and the rollups


def _compare(day: _Day, found: Reconciled, sums: Sums, uniques: Mapping[int, set[tuple[int, str]]]) -> None:
    say = found.mismatches.append
    whole = (windows.c.start_at == day.from_at, windows.c.end_at == day.to_at, windows.c.gen.is_not(None))
    of_day = sa.select(windows).where(windows.c.pid == day.pid, windows.c.tier == "day", *whole, ~windows.c.stale)
    window = day.connection.execute(of_day).first()
    if window is None:
        say("the day is not folded")
        return
    found.n_rolled = window.n_events
    if window.n_events != found.n_raw:
        say(f"{found.n_raw} events, and {window.n_events} in the rollup")
    if int.from_bytes(window.ids_sum, "big") != found.ids_sum:
        say("the rollup was made of other events than there are")
    digest = hashlib.blake2b(window.ids_sum + window.n_events.to_bytes(8, "big"), digest_size=16)
    by_day, by_group = _of_rollups(day, "day", day.from_at, note=digest.update)
    found.fingerprint = digest.digest()
    _differ(sums, by_day, ("its events", "the rollup"), say)
    grouped = {version_id for version_id, _ in by_group}
    of_grouped = {key: one for key, one in by_day.items() if key[0] in grouped}
    _differ(of_grouped, by_group, ("the whole", "its groups"), say)
    if day.from_at.minute == day.to_at.minute == 0:
        by_hour, _ = _of_rollups(day, "hour", day.to_at - _HOUR)
        _differ(by_day, by_hour, ("the day", "its hours"), say)
        for version_id, expected in uniques.items():
            n = _n_unique(day, version_id)
            if n != len(expected):
                say(f"meter version {version_id}: {len(expected)} different values, and {n} in the rollups")


def _of_rollups(
    day: _Day, tier: str, last: datetime, *, note: Callable[[bytes], None] | None = None
) -> tuple[Sums, Sums]:
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
            if note is not None:
                note(repr(tuple(row)).encode())
    return found


_COLUMNS = (
    *("version_id", "cube", "subject_id", "group_id", "n", "sum", "min", "max"),
    *("latest", "latest_at", "latest_id", "histogram"),
)


def _decimal(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-18, _WIDE)


def _differ(expected: Sums, seen: Sums, names: tuple[str, str], say: Callable[[str], None]) -> None:
    of, in_ = names
    for key in sorted(expected.keys() | seen.keys()):
        a, b = expected.get(key, Sum()), seen.get(key, Sum())
        if (a.n, a.total, a.low, a.high) != (b.n, b.total, b.low, b.high):
            where = f"meter version {key[0]}, customer {key[1]}"
            say(f"{where}: {of} come to {_told(a)}, {in_} to {_told(b)}")


def _told(one: Sum) -> str:
    return f"{one.total.normalize(_WIDE):f} of {one.n} events (from {one.low} to {one.high})"


def _n_unique(day: _Day, version_id: int) -> int:
    of_window = sa.and_(
        windows.c.pid == day.pid,
        windows.c.tier == "hour",
        windows.c.start_at == unique_values.c.start_at,
        windows.c.gen == unique_values.c.gen,
    )
    query = (
        sa.select(unique_values.c.subject_id, unique_values.c.value)
        .join(windows, of_window)
        .where(unique_values.c.pid == day.pid, unique_values.c.version_id == version_id)
        .where(unique_values.c.start_at >= day.from_at, unique_values.c.start_at < day.to_at)
        .distinct()
    )
    return int(day.connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one())
