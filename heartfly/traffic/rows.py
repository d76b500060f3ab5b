"""What requests come to, as rows of rollups tell it: the statements, and what they find as numbers of windows and keys.

Which cube serves: that of what is filtered and grouped by, as few as it takes (docs/traffic.md). Each window of rollups
is a seek by its generation, so that a day costs the same however many others there are.
"""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import Amount
from heartfly.core.traffic import Cube
from heartfly.core.windows import HOUR
from heartfly.db.models import request_rollups
from heartfly.db.prepared import among
from heartfly.db.types import EPOCH
from heartfly.traffic.counting import counting
from heartfly.traffic.filters import Wanted
from heartfly.traffic.plan import Grain, Piece

_HALF = 1 << 32


class By(Enum):
    NOTHING = 0
    ENDPOINT = 1
    SUBJECT = 2
    KEY = 3


class Sums(NamedTuple):
    """What rankings are made by. `n_400` and `n_500`: errors of clients, and of servers. `p95_most`: their p95, in
    milliseconds, is no more than that; of some parts of them the greatest.
    """

    n: int = 0
    n_400: int = 0
    n_500: int = 0
    n_timed: int = 0
    latency_us: int = 0
    latency_max_us: int = 0
    n_bytes: int = 0
    p95_most: Amount = 0

    def plus(self, other: Sums) -> Sums:
        largest, most = max(self.latency_max_us, other.latency_max_us), max(self.p95_most, other.p95_most)
        added = Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))
        return added._replace(latency_max_us=largest, p95_most=most)


SUMMED = Sums._fields[:-1]
"""What adds up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Of one question. In each run of windows that is asked for; `lacking`: only those that have no sheet."""

    read: AsyncConnection
    pid: int
    wanted: Wanted
    by: By

    async def sums(
        self, grain: Grain, run: Sequence[Piece], names: Iterable[str], *, lacking: bool = False
    ) -> AsyncIterator[tuple[int, Sums]]:
        """By key, of these sums; the others stay nothing: each takes its time."""
        told = [(name, _summed(name)) for name in SUMMED if name in set(names)]
        columns = [column for _, halves in told for column in halves]
        key = self._key_column()
        query, given = self._rows(grain, run, key, *columns, lacking=lacking)
        for row in await self.read.execute(query.group_by(key), given):
            yield row[0], _sums_of(told, row[1:])

    async def present(self, grain: Grain, run: Sequence[Piece], *, lacking: bool = False) -> set[int]:
        query, given = self._rows(grain, run, self._key_column(), lacking=lacking)
        return set((await self.read.execute(query.distinct(), given)).scalars())

    async def times(
        self, grain: Grain, run: Sequence[Piece], only: Sequence[int], *, lacking: bool = False
    ) -> AsyncIterator[tuple[int, str]]:
        """By key, of all windows and statuses: many histograms as one text (core/packed.py)."""
        key, latencies = self._key_column(), request_rollups.c.latencies
        query, given = self._rows(grain, run, key, _together(self.read, latencies), keys=only, lacking=lacking)
        for one, texts in await self.read.execute(query.group_by(key), given):
            if texts is not None:
                yield one, texts

    async def told(
        self, grain: Grain, run: Sequence[Piece], only: Sequence[int] | None, *, lacking: bool = False
    ) -> Iterable[Sequence[Any]]:
        """Window, key, status, and the figures as they stand in a row. What many rows come to is added up by the
        database, where there are many: histograms only stand one behind the other.
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
            query, given = self._rows(grain, run, window, key, r.status, *columns, keys=only, lacking=lacking)
            return [_joined(row) for row in await self.read.execute(query.group_by(*groups), given)]
        at = _unconverted(self.read, r.start_at)
        query, given = self._rows(grain, run, at, key, r.status, *columns, keys=only, lacking=lacking)
        if self._is_finer():
            rows = await self.read.execute(query.group_by(r.start_at, *groups), given)
            return _placed(map(_joined, rows), run)
        return _placed((await self.read.execute(query, given)).all(), run)

    def _is_finer(self) -> bool:
        """Whether the rollups tell apart what is not asked for."""
        grouped = {By.NOTHING: Cube.TOTAL, By.ENDPOINT: Cube.ENDPOINT, By.SUBJECT: Cube.CUSTOMER}
        return self.cube is not grouped.get(self.by)

    @property
    def cube(self) -> Cube:
        by_endpoint = self.by is By.ENDPOINT or self.wanted.endpoints is not None
        by_customer = self.by is By.SUBJECT or self.wanted.subjects is not None
        return Cube(by_endpoint + 2 * by_customer)

    def _key_column(self) -> sa.ColumnElement[int]:
        if self.by is By.NOTHING:
            return sa.literal(0, literal_execute=True)
        r = request_rollups.c
        return r.key2 if self.by is By.ENDPOINT and self.cube is Cube.PAIR else r.key1

    def _rows(
        self,
        grain: Grain,
        run: Sequence[Piece],
        *columns: sa.ColumnElement[Any],
        keys: Sequence[int] | None = None,
        lacking: bool,
    ) -> tuple[sa.Select[Any], Mapping[str, Any]]:
        """Of a run of windows, of the generations that count. Of minutes also some that lie before or behind."""
        r, cube = request_rollups.c, self.cube
        from_at, to_at = run[0].from_at, run[-1].to_at
        if grain is Grain.MINUTE:
            w = counting(self.pid, Grain.HOUR.value, from_at - HOUR, to_at)
            same = [r.start_at >= w.c.start_at, r.start_at < w.c.end_at, r.gen == w.c.gen]
        else:
            w = counting(self.pid, grain.value, from_at, to_at, without=self.cube if lacking else None)
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


_UNKNOWN, _OUTSIDE = -1, -2


def number_of(start_at: datetime, run: Sequence[Piece], begins: Sequence[datetime]) -> int:
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
            n = places[start_at] = number_of(at, run, begins)
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
