"""What requests come to, by window and by endpoint or customer: out of rollups, and at their edges out of events.

Which cube serves: that of what is filtered and grouped by, as few as it takes (docs/traffic.md). Each window of rollups
is a seek by its generation, so that a day costs the same however many others there are.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.tiles import state_of
from heartfly.core.traffic import Cube, Figures
from heartfly.core.windows import HOUR, Window
from heartfly.db.models import request_rollups
from heartfly.db.prepared import among
from heartfly.db.types import EPOCH
from heartfly.traffic.asked import ByStatus, Trust
from heartfly.traffic.counting import counting
from heartfly.traffic.filters import Wanted
from heartfly.traffic.plan import Grain, Piece, Plan, plan_of
from heartfly.traffic.single import Single, count_in, singles
from heartfly.usage.seal import has_sealed
from heartfly.usage.settled import settled_in

MOST_SINGLE = 50_000
"""Events that an answer looks at one by one, the newest first; half a second of computing."""

_HALF = 1 << 32


class By(Enum):
    NOTHING = 0
    ENDPOINT = 1
    SUBJECT = 2
    KEY = 3


Key = int | str
"""The number of an endpoint or subject; 0 where it is by nothing; of a key, or an endpoint without number, its text."""


class Sums(NamedTuple):
    """What rankings are made by. `n_400` and `n_500`: errors of clients, and of servers."""

    n: int = 0
    n_400: int = 0
    n_500: int = 0
    n_timed: int = 0
    latency_us: int = 0
    latency_max_us: int = 0
    n_bytes: int = 0

    def plus(self, other: Sums) -> Sums:
        largest = max(self.latency_max_us, other.latency_max_us)
        added = Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))
        return added._replace(latency_max_us=largest)


@dataclass(slots=True)
class Gathered:
    """One question over some windows. `single`: what was counted event by event, by window and key."""

    read: AsyncConnection
    pid: int
    wanted: Wanted
    by: By
    plan: Plan
    trust: Trust
    single: dict[tuple[int, Key], ByStatus] = field(default_factory=dict)

    async def sums(self, names: Iterable[str] = Sums._fields) -> dict[Key, Sums]:
        """By key, of all windows together; of these sums, the others stay nothing: each takes its time."""
        found: dict[Key, Sums] = {}
        told = [(name, _summed(name)) for name in Sums._fields if name in set(names)]
        columns = [column for _, halves in told for column in halves]
        key = self._key_column()
        for grain, run in self.plan.summed:
            query, given = self._rows(grain, run, key, *columns)
            for row in await self.read.execute(query.group_by(key), given):
                sums = _sums_of(told, row[1:])
                found[row[0]] = found[row[0]].plus(sums) if row[0] in found else sums
        for (_, one), by_status in self.single.items():
            found[one] = found.get(one, Sums()).plus(sums_of(by_status))
        return found

    async def present(self) -> set[int]:
        """The numbers of those of which there was anything."""
        found = {int(key) for _, key in self.single}
        for grain, run in self.plan.summed:
            query, given = self._rows(grain, run, self._key_column())
            found |= set((await self.read.execute(query.distinct(), given)).scalars())
        return found

    async def figures(
        self, keys: Iterable[Key] | None = None, *, places: Sequence[int] | None = None
    ) -> dict[tuple[int, Key], ByStatus]:
        """By window and key; of these keys, or of all. `places`: a number for each window, for which it counts."""
        only = None if keys is None else sorted(one for one in keys if isinstance(one, int))
        found: dict[tuple[int, Key], ByStatus] = {}
        if only is None or only:
            for grain, run in self.plan.summed:
                for n, key, status, *values in await self._told(grain, run, only):
                    if places is not None:
                        n = places[n]  # noqa: PLW2901 - from here on it is that one
                    by_status = found.get((n, key))
                    if by_status is None:
                        by_status = found[n, key] = ByStatus()
                    _take(by_status.at(status), values)
        wanted = None if keys is None else set(keys)
        for (n, key), by_status in self.single.items():
            if wanted is None or key in wanted:
                place = n if places is None else places[n]
                found.setdefault((place, key), ByStatus()).merge(by_status)
        return found

    async def times(self, keys: Iterable[Key]) -> dict[Key, Figures]:
        """How long those of each of these keys took, of all windows and statuses together, and nothing else of them."""
        wanted, r = set(keys), request_rollups.c
        found: dict[Key, Figures] = {key: Figures() for key in wanted}
        if only := sorted(one for one in wanted if isinstance(one, int)):
            key = self._key_column()
            for grain, run in self.plan.summed:
                query, given = self._rows(grain, run, key, _together(self.read, r.latencies), keys=only)
                for one, latencies in await self.read.execute(query.group_by(key), given):
                    if latencies is not None:
                        found[one].add_packed(latencies)
        for (_, one), by_status in self.single.items():
            if one in wanted:
                found[one].merge(by_status.total())
        return found

    async def all(self) -> ByStatus:
        """All windows and keys together."""
        whole = Gathered(self.read, self.pid, self.wanted, By.NOTHING, self.plan, self.trust)
        found = ByStatus()
        for one in (await whole.figures()).values():
            found.merge(one)
        for one in self.single.values():
            found.merge(one)
        return found

    # --- statements

    async def _told(self, grain: Grain, run: Sequence[Piece], only: Sequence[int] | None) -> Iterable[Sequence[Any]]:
        """Window, key, status, and what `_take` takes. What many rows come to is added up by the database, where there
        are many: histograms only stand one behind the other.
        """
        r, key = request_rollups.c, self._key_column()
        groups = [r.status] if self.by is By.NOTHING else [key, r.status]  # a bare number would be a column's place
        is_one = grain is not Grain.MINUTE and run[0].n == run[-1].n
        columns: list[sa.ColumnElement[Any]]
        if is_one or self._is_finer():
            # In halves: what rows hold may be more than a database adds up.
            wide = (half for one in (r.latency_us, r.bytes_in, r.bytes_out) for half in (one // _HALF, one % _HALF))
            sums = [sa.cast(sa.func.sum(one), sa.BigInteger) for one in (r.n, r.n_timed, *wide)]
            columns = [*sums, sa.func.max(r.latency_max_us), _together(self.read, r.latencies)]
        else:
            columns = [r.n, r.n_timed, r.latency_us, r.latency_max_us, r.bytes_in, r.bytes_out, r.latencies]
        if is_one:
            window = sa.literal(run[0].n, literal_execute=True)
            query, given = self._rows(grain, run, window, key, r.status, *columns, keys=only)
            return [_joined(row) for row in await self.read.execute(query.group_by(*groups), given)]
        at = _unconverted(self.read, r.start_at)
        query, given = self._rows(grain, run, at, key, r.status, *columns, keys=only)
        if self._is_finer():
            rows = await self.read.execute(query.group_by(r.start_at, *groups), given)
            return _placed(map(_joined, rows), run)
        return _placed((await self.read.execute(query, given)).all(), run)

    def _is_finer(self) -> bool:
        """Whether the rollups tell apart what is not asked for."""
        grouped = {By.NOTHING: Cube.TOTAL, By.ENDPOINT: Cube.ENDPOINT, By.SUBJECT: Cube.CUSTOMER}
        return self._cube() is not grouped.get(self.by)

    def _cube(self) -> Cube:
        by_endpoint = self.by is By.ENDPOINT or self.wanted.endpoints is not None
        by_customer = self.by is By.SUBJECT or self.wanted.subjects is not None
        return Cube(by_endpoint + 2 * by_customer)

    def _key_column(self) -> sa.ColumnElement[int]:
        if self.by is By.NOTHING:
            return sa.literal(0, literal_execute=True)
        r = request_rollups.c
        return r.key2 if self.by is By.ENDPOINT and self._cube() is Cube.PAIR else r.key1

    def _rows(
        self, grain: Grain, run: Sequence[Piece], *columns: sa.ColumnElement[Any], keys: Sequence[int] | None = None
    ) -> tuple[sa.Select[Any], Mapping[str, Any]]:
        """Of a run of windows, of the generations that count. Of minutes also some that lie before or behind."""
        r, cube = request_rollups.c, self._cube()
        from_at, to_at = run[0].from_at, run[-1].to_at
        if grain is Grain.MINUTE:
            w = counting(self.pid, Grain.HOUR.value, from_at - HOUR, to_at)
            same = [r.start_at >= w.c.start_at, r.start_at < w.c.end_at, r.gen == w.c.gen]
        else:
            w = counting(self.pid, grain.value, from_at, to_at)
            same = [r.start_at == w.c.start_at, r.gen == w.c.gen]
        asked = [
            r.pid == self.pid,
            # Spelled out: else no database knows that its index of pairs serves.
            r.cube == sa.literal(int(cube), literal_execute=True),
            r.tier == grain.value,
        ]
        given: dict[str, Any] = {}
        endpoint = r.key2 if cube is Cube.PAIR else r.key1
        for name, column, numbers in (
            ("endpoints", endpoint, self.wanted.endpoints),
            ("subjects", r.key1, self.wanted.subjects),
            ("keys", self._key_column(), keys),
        ):
            if numbers is not None and self.by is By.NOTHING and name == "keys":
                continue
            if numbers is not None and len(numbers) == 1:
                asked.append(column == min(numbers))
            elif numbers is not None:
                asked.append(among(self.read, column, name))
                given[name] = sorted(numbers)
        if self.wanted.statuses:
            asked.append(sa.or_(*(r.status.between(low, high) for low, high in self.wanted.statuses)))
        query = sa.select(*columns).select_from(w.join(request_rollups, sa.and_(*same))).where(*asked)
        if cube is Cube.PAIR and self.wanted.subjects is None:
            # Without statistics SQLite takes the primary key, and walks down all pairs of a window.
            query = query.with_hint(request_rollups, "INDEXED BY ix_request_rollups_pairs", "sqlite")
        return query, given


async def gathered(
    read: AsyncConnection, pid: int, wanted: Wanted, parts: Sequence[Window], *, by: By, now: datetime
) -> Gathered:
    """`parts`: in order, without overlap, at least one. What is counted event by event is counted here."""
    span = Window(parts[0].from_at, parts[-1].to_at)
    settled = wanted.asked.settled.get(span)
    if settled is None:
        settled = await settled_in(read, pid, span.from_at, span.to_at, now=now, meter_id=None)
    plan = await plan_of(
        read,
        pid,
        parts,
        settled=settled,
        up_to=min(wanted.asked.to_at, now),
        total=by is By.NOTHING and wanted.endpoints is None and wanted.subjects is None,
        of_events=wanted.of_events or by is By.KEY,
    )
    state = state_of(span, now, settled.days, settled.unsettled)
    trust = Trust(state=state, complete_up_to=plan.complete_up_to, of_events=wanted.of_events or by is By.KEY)
    found = Gathered(read, pid, wanted, by, plan, trust)
    if wanted.is_nobody:
        plan.raw = []
    if wanted.is_nobody or wanted.endpoints == frozenset():
        plan.summed = []
    await _take_singles(found)
    return found


async def _take_singles(found: Gathered) -> None:
    left, is_partial = MOST_SINGLE, False
    for piece in reversed(found.plan.raw):
        if left <= 0:
            is_partial = True
            break
        # Of a time that is sealed the events are gone: what it came to stays, but not by the minute.
        is_partial = is_partial or await has_sealed(found.read, found.pid, piece.from_at, piece.to_at)
        async for some in singles(found.read, found.pid, found.wanted, piece.from_at, piece.to_at):
            for one in some.singles:
                key = _key_of(found, one)
                count_in(found.single.setdefault((piece.n, key), ByStatus()), one.told)
            left -= some.n
            if left <= 0 and some.last is not None:
                is_partial = True
                break
    if is_partial:
        found.trust = Trust(
            state=found.trust.state,
            complete_up_to=found.trust.complete_up_to,
            of_events=found.trust.of_events,
            partial=True,
        )


def _key_of(found: Gathered, one: Single) -> Key:
    match found.by:
        case By.ENDPOINT:
            # One that is not folded yet has no number, and may get none.
            return found.wanted.numbers.get(one.told.endpoint, one.told.endpoint)
        case By.SUBJECT:
            return one.subject_id
        case By.KEY:
            return one.told.key
        case By.NOTHING:
            return 0


_UNKNOWN, _OUTSIDE = -1, -2


def _number_of(start_at: datetime, run: Sequence[Piece], begins: Sequence[datetime]) -> int:
    """Of which window the piece is that begins, or goes on, there."""
    piece = run[max(0, bisect.bisect_right(begins, start_at) - 1)]
    return piece.n if piece.from_at <= start_at < piece.to_at else _OUTSIDE


def _summed(name: str) -> tuple[sa.ColumnElement[Any], ...]:
    """A field of Sums; what may be more than a database adds up in two halves, the upper one first."""
    r = request_rollups.c
    match name:
        case "n_400" | "n_500":
            first = int(name.removeprefix("n_"))
            return (sa.func.sum(sa.case((r.status.between(first, first + 99), r.n), else_=0)),)
        case "latency_max_us":
            return (sa.func.max(r.latency_max_us),)
        case "latency_us":
            return sa.func.sum(r.latency_us // _HALF), sa.func.sum(r.latency_us % _HALF)
        case "n_bytes":
            return (
                sa.func.sum(r.bytes_in // _HALF + r.bytes_out // _HALF),
                sa.func.sum(r.bytes_in % _HALF + r.bytes_out % _HALF),
            )
        case _:
            return (sa.func.sum(r[name]),)


def _sums_of(told: Sequence[tuple[str, tuple[Any, ...]]], row: Sequence[Any]) -> Sums:
    """`row`: the columns of `told`, one after the other."""
    values = map(int, row)
    found: dict[str, int] = {}
    for name, halves in told:
        found[name] = next(values)
        if len(halves) > 1:
            found[name] = found[name] * _HALF + next(values)
    return Sums(**found)


def _joined(row: Sequence[Any]) -> Sequence[Any]:
    """A row of sums in halves, as one of rollups is told."""
    place, key, status, n, n_timed, us, us_low, came, came_low, went, went_low, largest, times = row
    wide = (us * _HALF + us_low, largest, came * _HALF + came_low, went * _HALF + went_low)
    return place, key, status, n, n_timed, *wide, times


def _placed(rows: Iterable[Sequence[Any]], run: Sequence[Piece]) -> Iterator[Sequence[Any]]:
    """The same with the number of the window in place of its beginning, without those that lie in none."""
    begins = [piece.from_at for piece in run]
    places: dict[Any, int] = {}
    for start_at, *values in rows:
        n = places.get(start_at, _UNKNOWN)
        if n == _UNKNOWN:
            at = EPOCH + start_at * _US if isinstance(start_at, int) else start_at
            n = places[start_at] = _number_of(at, run, begins)
        if n != _OUTSIDE:
            yield (n, *values)


_US = timedelta(microseconds=1)


def _unconverted(read: AsyncConnection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """An instant as the database hands it out: there are many rows of each, and to make one takes as long as a row."""
    return sa.type_coerce(column, sa.BigInteger) if read.dialect.name == "sqlite" else column


def _together(read: AsyncConnection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Packed histograms of many rows as one text (core/packed.py)."""
    digits = sa.func.hex(column) if read.dialect.name == "sqlite" else sa.func.encode(column, "hex")
    return sa.func.aggregate_strings(sa.case((column.is_not(None), sa.type_coerce(digits, sa.Text))), ",")


def _take(into: Figures, values: Sequence[Any]) -> None:
    n, n_timed, latency_us, largest, bytes_in, bytes_out, latencies = values
    into.n += n
    into.n_timed += n_timed
    into.latency_us += latency_us
    into.latency_max_us = max(into.latency_max_us, largest)
    into.bytes_in += bytes_in
    into.bytes_out += bytes_out
    if latencies is not None:
        into.add_packed(latencies)


def sums_of(by_status: ByStatus) -> Sums:
    found = Sums()
    for status, one in by_status.of.items():
        n_400, n_500 = (one.n if status // 100 == of else 0 for of in (4, 5))
        n_bytes = one.bytes_in + one.bytes_out
        found = found.plus(Sums(one.n, n_400, n_500, one.n_timed, one.latency_us, one.latency_max_us, n_bytes))
    return found
