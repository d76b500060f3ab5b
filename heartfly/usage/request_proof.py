"""Whether the rows of a day's requests are what its events come to: counted once more, by other means, and compared.

Nothing here is shared with request_fold.py: figures are read by regular expressions and added up in Decimal, by
customer and status, and the database adds up its rows. Of histograms it is told only how many times they hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import sqlalchemy as sa

from heartfly.core.packed import unpacked
from heartfly.core.sheets import Line, Sheet, lines_of
from heartfly.db.models import request_rollups, request_sheets, windows
from heartfly.usage.asked import WIDE
from heartfly.usage.named import Named

REQUEST = "http.request"
_STATUS = re.compile("[1-9][0-9]{2}", re.ASCII)
_TIME = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,18})?", re.ASCII)
_SIZE = re.compile("[0-9]{1,15}", re.ASCII)
_LONGEST_MS = Decimal("1000000000000.0005")
"""What is as long tells no time: more than 10^15 microseconds."""
_NAMES = ("n", "n_timed", "latency_us", "bytes_in", "bytes_out")
_CUBES = {0: "in all", 1: "by endpoint", 2: "by customer", 3: "by customer and endpoint"}
_HALF = 1 << 32
_MOST = (1 << 63) - 1
"""What a row holds: a sum that would be more stays there, and so does all that it is added to."""
_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Counted:
    n: int = 0
    n_timed: int = 0
    latency_us: int = 0
    longest_us: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, other: Counted) -> None:
        self.n += other.n
        self.n_timed += other.n_timed
        self.latency_us += other.latency_us
        self.longest_us = max(self.longest_us, other.longest_us)
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out

    def held(self) -> Counted:
        us, n_in, n_out = (min(one, _MOST) for one in (self.latency_us, self.bytes_in, self.bytes_out))
        return Counted(self.n, self.n_timed, us, self.longest_us, n_in, n_out)

    def told(self) -> str:
        times = f"{self.n_timed} timed, {self.latency_us} us in all, {self.longest_us} us at most"
        return f"{self.n} requests ({times}; {self.bytes_in} bytes in, {self.bytes_out} out)"


ByStatus = dict[int, Counted]


@dataclass(slots=True)
class RequestCount:
    """Of the events of a day. `by_customer`: by the number of the subject, and status."""

    by_customer: dict[tuple[int, int], Counted] = field(default_factory=dict)

    def take(self, subjects: Sequence[int], values: Sequence[Mapping[str, Any]]) -> None:
        """`values`: the properties of one event each, numbers as texts."""
        for subject_id, told in zip(subjects, values, strict=True):
            status = told.get("status")
            place = subject_id, int(status) if isinstance(status, str) and _STATUS.fullmatch(status) else 0
            one = self.by_customer.get(place)
            if one is None:
                one = self.by_customer[place] = Counted()
            one.n += 1
            time = told.get("latency_ms")
            if isinstance(time, str) and _TIME.fullmatch(time):
                ms = Decimal(time)
                if 0 <= ms < _LONGEST_MS:
                    us = int(WIDE.multiply(ms, Decimal(1_000)).to_integral_value(ROUND_HALF_UP))
                    one.n_timed += 1
                    one.latency_us += us
                    one.longest_us = max(one.longest_us, us)
            size = told.get("request_bytes")
            if isinstance(size, str) and _SIZE.fullmatch(size):
                one.bytes_in += int(size)
            size = told.get("response_bytes")
            if isinstance(size, str) and _SIZE.fullmatch(size):
                one.bytes_out += int(size)

    def by_status(self) -> ByStatus:
        found: ByStatus = {}
        for (_, status), one in self.by_customer.items():
            found.setdefault(status, Counted()).add(one)
        return found


@dataclass(frozen=True, slots=True)
class Day:
    """`gen`: the generation of it that counts. `whole_hours`: its hours of UTC share its edges."""

    connection: sa.Connection
    pid: int
    from_at: datetime
    to_at: datetime
    gen: int | None
    whole_hours: bool


def differences(day: Day, counted: RequestCount) -> Iterator[str]:
    """What does not agree, in words."""
    expected = counted.by_status()
    for cube, by in _CUBES.items():
        seen = _rows(day, cube, "day", day.from_at, day.gen)
        yield from _differing(f"requests {by}, the day", expected, seen, ("its events", "the rollup"))
    customer = Named(day.connection, day.pid).customer
    seen_of = _customers(day)
    for subject_id, status in sorted(counted.by_customer.keys() | seen_of.keys()):
        a, b = (one.get((subject_id, status), Counted()).held() for one in (counted.by_customer, seen_of))
        if a != b:
            yield f"requests of customer {customer(subject_id)}, status {_code(status)}, the day: " + _words(
                a, b, ("its events", "the rollup")
            )
    yield from _histograms(day)
    yield from _sheets(day)
    if day.whole_hours:
        yield from _hours(day)


def _hours(day: Day) -> Iterator[str]:
    """The day is its hours, and an hour its minutes; where they are kept. A thinned hour has no rows of its own."""
    w = windows.c
    within = (w.pid == day.pid, w.tier == "hour", w.start_at >= day.from_at, w.start_at < day.to_at)
    hours = day.connection.execute(sa.select(w.start_at, w.gen, w.thinned).where(*within).order_by(w.start_at)).all()
    together: dict[int, ByStatus] = {0: {}, 1: {}}
    for hour in hours if has_any(day, request_rollups, cubes=together.keys()) else ():
        if hour.thinned:
            continue
        for cube, found in together.items():
            of_hour = _rows(day, cube, "hour", hour.start_at, hour.gen)
            for status, one in of_hour.items():
                found.setdefault(status, Counted()).add(one)
            if cube == 0 and (minutes := _minutes(day, hour.start_at, hour.gen)):
                when = f"requests, the hour from {hour.start_at:%Y-%m-%d %H:%M} UTC"
                yield from _differing(when, minutes, of_hour, ("its minutes", "the rollup"))
    if not any(hour.thinned for hour in hours):
        for cube, found in together.items():
            of_day = _rows(day, cube, "day", day.from_at, day.gen)
            yield from _differing(f"requests {_CUBES[cube]}, the day", found, of_day, ("its hours", "the rollup"))


def has_any(day: Day, table: sa.Table, *, cubes: Iterable[int]) -> bool:
    """Whether there are rows of its hours or minutes, of whatever generation; else to ask for those of each is idle."""
    t = table.c
    within = (t.pid == day.pid, t.cube.in_(list(cubes)), t.start_at >= day.from_at, t.start_at < day.to_at)
    found = (sa.exists().where(*within, t.tier == tier) for tier in ("hour", "minute"))
    return bool(day.connection.execute(sa.select(sa.or_(*found))).scalar())


def _rows(day: Day, cube: int, tier: str, start_at: datetime, gen: int | None) -> ByStatus:
    r = request_rollups.c
    where = (r.pid == day.pid, r.cube == cube, r.tier == tier, r.start_at == start_at, r.gen == gen)
    return {row[0]: _counted(row[1:]) for row in day.connection.execute(_sums((r.status,), where))}


def _minutes(day: Day, hour: datetime, gen: int | None) -> ByStatus:
    r = request_rollups.c
    within = (r.tier == "minute", r.start_at >= hour, r.start_at < hour + _HOUR, r.gen == gen)
    found = day.connection.execute(_sums((r.status,), (r.pid == day.pid, r.cube == 0, *within)))
    return {row[0]: _counted(row[1:]) for row in found}


def _customers(day: Day) -> dict[tuple[int, int], Counted]:
    r = request_rollups.c
    of_day = (r.pid == day.pid, r.cube == 2, r.tier == "day", r.start_at == day.from_at, r.gen == day.gen)
    return {(row[0], row[1]): _counted(row[2:]) for row in day.connection.execute(_sums((r.key1, r.status), of_day))}


def _sums(keys: Sequence[Any], where: Sequence[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    """In halves, as SQLite refuses sums that outgrow 64 bits."""
    r = request_rollups.c
    halves = [half for name in _NAMES for half in (sa.func.sum(r[name] // _HALF), sa.func.sum(r[name] % _HALF))]
    return sa.select(*keys, *halves, sa.func.max(r.latency_max_us)).where(*where).group_by(*keys)


def _counted(halves: Sequence[Any]) -> Counted:
    sums = [int(halves[place]) * _HALF + int(halves[place + 1]) for place in range(0, 10, 2)]
    return Counted(sums[0], sums[1], sums[2], int(halves[10]), sums[3], sums[4])


def _histograms(day: Day) -> Iterator[str]:
    r = request_rollups.c
    for cube in (0, 1):
        of_day = (r.pid == day.pid, r.cube == cube, r.tier == "day", r.start_at == day.from_at, r.gen == day.gen)
        for row in day.connection.execute(sa.select(r.status, r.n_timed, r.latencies).where(*of_day)):
            n = 0 if row.latencies is None else unpacked(bytes(row.latencies)).n
            if n != row.n_timed:
                yield (
                    f"requests {_CUBES[cube]}, status {_code(row.status)}, the day: "
                    f"expected {row.n_timed} times, seen {n} in the histogram"
                )


def _sheets(day: Day) -> Iterator[str]:
    """Where there is one it tells what the rows tell, by key and by status."""
    h, r = request_sheets.c, request_rollups.c
    of_day = (h.pid == day.pid, h.tier == "day", h.start_at == day.from_at, h.gen == day.gen)
    query = sa.select(h.cube, h.sums, h.statuses, h.times).where(*of_day).order_by(h.cube)
    for cube, *blobs in day.connection.execute(query):
        of_cube = (r.pid == day.pid, r.cube == cube, r.tier == "day", r.start_at == day.from_at, r.gen == day.gen)
        rows = {row[0]: _counted(row[1:]) for row in day.connection.execute(_sums((r.key1,), of_cube))}
        ended = day.connection.execute(sa.select(r.key1, r.status, r.n).where(*of_cube)).all()
        lines = list(lines_of(Sheet(*map(bytes, blobs))))
        seen = {line.key: _of_line(line) for line in lines}
        if wrong := [key for key in sorted(rows.keys() | seen.keys()) if rows.get(key) != seen.get(key)]:
            a, b = (found.get(wrong[0], Counted()) for found in (rows, seen))
            told = _words(a, b, ("its rows", "the sheet"))
            some = f"{len(wrong)} of {len(lines)} lines of the sheet, the first"
            yield f"requests {_CUBES[cube]}, the day, {some}: {told}"
        elif set(map(tuple, ended)) != {(one.key, *some) for one in lines for some in one.ended}:
            yield f"requests {_CUBES[cube]}, the day: the sheet has other status codes than the rows"


def _of_line(line: Line) -> Counted:
    n = sum(n for _, n in line.ended)
    times = unpacked(line.times).n
    return Counted(n, times, line.latency_us, line.latency_max_us, line.bytes_in, line.bytes_out)


def _differing(what: str, expected: ByStatus, seen: ByStatus, names: tuple[str, str]) -> Iterator[str]:
    for status in sorted(expected.keys() | seen.keys()):
        a, b = (found.get(status, Counted()).held() for found in (expected, seen))
        if a != b:
            yield f"{what}, status {_code(status)}: " + _words(a, b, names)


def _words(expected: Counted, seen: Counted, names: tuple[str, str]) -> str:
    by, in_ = names
    return f"expected {expected.told()} (by {by}), seen {seen.told()} (in {in_})"


def _code(status: int) -> str:
    return str(status) if status else "unknown"
