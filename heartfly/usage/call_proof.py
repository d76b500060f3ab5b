"""Whether the rows of a day's calls are what its events come to: counted once more, by other means, and compared.

Nothing here is shared with call_fold.py and what that reads calls with: properties are looked at one call after the
other, units are added up in Decimal, and each call is charged by itself. Only what a price is, is the same
(core/prices.py). Of histograms it is told only how many times they hold; odd values are not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import sqlalchemy as sa

from heartfly.core.money import CURRENCIES
from heartfly.core.packed import unpacked
from heartfly.core.prices import KIND
from heartfly.db.models import call_names, call_rollups, windows
from heartfly.usage.asked import WIDE
from heartfly.usage.call_books import Books
from heartfly.usage.named import Named
from heartfly.usage.request_proof import Day, has_any

CALL = "api.call"
_AMOUNT = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,18})?", re.ASCII)
_COST = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_STATUS = re.compile("[1-9][0-9]{2}", re.ASCII)
_LONGEST_MS = Decimal("1000000000000.0005")
_LARGEST, _SMALLEST_PLACE = Decimal(10) ** 18, -30
_FIRST_ERROR = 400
_MOST_KINDS = 64
"""Of a window; of more, some are in no row."""
_LONGEST_NAME, _MOST_TAGS = 200, 20
_CUBES = {
    0: "in all",
    1: "by product",
    2: "by endpoint",
    3: "by customer",
    4: "by user",
    5: "by key",
    6: "by tag",
    7: "by customer and product",
    8: "by user and product",
    9: "by key and product",
    10: "by tag and product",
}
_BY_TAG = frozenset({6, 10})
_HOUR = timedelta(hours=1)
_MONEY, _UNIT = 48, 18
"""Places."""


@dataclass(slots=True)
class Counted:
    """`sums`: by measure, as rows name them."""

    n: int = 0
    n_errors: int = 0
    n_unpriced: int = 0
    n_timed: int = 0
    latency_us: int = 0
    longest_us: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)

    def add(self, other: Counted, times: int = 1) -> None:
        self.n += other.n * times
        self.n_errors += other.n_errors * times
        self.n_unpriced += other.n_unpriced * times
        self.n_timed += other.n_timed * times
        self.latency_us += other.latency_us * times
        self.longest_us = max(self.longest_us, other.longest_us)
        for measure, amount in other.sums.items():
            more = WIDE.multiply(amount, Decimal(times))
            self.sums[measure] = WIDE.add(self.sums.get(measure, Decimal(0)), more)

    def plus(self, measure: str, amount: Decimal) -> None:
        self.sums[measure] = WIDE.add(self.sums.get(measure, Decimal(0)), amount)

    def without_units(self) -> Counted:
        sums = {measure: amount for measure, amount in self.sums.items() if measure[0] in "cg"}
        return Counted(self.n, self.n_errors, self.n_unpriced, self.n_timed, self.latency_us, self.longest_us, sums)

    def told(self) -> str:
        sums = ", ".join(f"{measure[2:]} {amount.normalize(WIDE):f}" for measure, amount in sorted(self.sums.items()))
        times = f"{self.n_timed} timed, {self.latency_us} us in all, {self.longest_us} us at most"
        return f"{self.n} calls ({self.n_errors} errors, {self.n_unpriced} without a price; {times}; {sums})"


@dataclass(slots=True)
class CallCount:
    """Of the events of a day. `by_customer`: by the number of the subject. `tagged`: each call once for each tag."""

    books: Books
    by_customer: dict[int, Counted] = field(default_factory=dict)
    tagged: Counted = field(default_factory=Counted)

    def take(self, subjects: Sequence[int], ats: Sequence[datetime], values: Sequence[Mapping[str, Any]]) -> None:
        """`values`: the properties of one event each, numbers as texts."""
        self.books.foresee({_product(told) for told in values})
        for subject_id, at, told in zip(subjects, ats, values, strict=True):
            one = self._counted(at, told)
            if subject_id not in self.by_customer:
                self.by_customer[subject_id] = Counted()
            self.by_customer[subject_id].add(one)
            self.tagged.add(one, _n_tags(told.get("tags")))

    def total(self) -> Counted:
        found = Counted()
        for one in self.by_customer.values():
            found.add(one)
        return found

    def _counted(self, at: datetime, told: Mapping[str, Any]) -> Counted:
        found = Counted(n=1)
        status = _text(told.get("status"))
        code = int(status) if _STATUS.fullmatch(status) else 0
        failed = code >= _FIRST_ERROR or _text(told.get("error")) not in {"", "false"}
        found.n_errors = int(failed)
        took = _text(told.get("latency_ms"))
        if _AMOUNT.fullmatch(took) and 0 <= (ms := Decimal(took)) < _LONGEST_MS:
            found.n_timed = 1
            found.latency_us = int(WIDE.multiply(ms, Decimal(1_000)).to_integral_value(ROUND_HALF_UP))
            found.longest_us = found.latency_us
        units = _units(told)
        for kind, amount in units.items():
            found.plus(f"u:{kind}", amount)
        given = _given(told)
        if given is not None:
            found.plus(f"g:{given[0]}", given[1])
            return found
        sheet = self.books.sheet(*_product(told), _name(told.get("tier")), at)
        cost = sheet.cost({kind: int(amount.scaleb(_UNIT, WIDE)) for kind, amount in units.items()}, failed=failed)
        found.n_unpriced = int(not cost.known)
        for kind in cost.unpriced:
            found.plus(f"x:{kind}", Decimal(1))
        if cost.known:
            for currency, money in cost.amounts.items():
                found.plus(f"c:{currency}", Decimal(money).scaleb(-_MONEY, WIDE))
        return found


def _text(value: Any) -> str:
    """Of a property that may be no text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def _name(value: Any) -> str:
    return _text(value)[:_LONGEST_NAME].strip()


def _product(told: Mapping[str, Any]) -> tuple[str, str]:
    return _name(told.get("provider")).lower() or "unknown", _name(told.get("model"))


def _units(told: Mapping[str, Any]) -> dict[str, Decimal]:
    inner = told.get("units")
    named = dict(inner) if isinstance(inner, dict) else {}
    named |= {name.removeprefix("units."): value for name, value in told.items() if name.startswith("units.")}
    found = {
        kind: Decimal(value)
        for kind, value in named.items()
        if KIND.fullmatch(kind) and isinstance(value, str) and _AMOUNT.fullmatch(value) and Decimal(value) >= 0
    }
    return found if "requests" in found else {**found, "requests": Decimal(1)}


def _given(told: Mapping[str, Any]) -> tuple[str, Decimal] | None:
    """What the caller says that it cost, if that can be read."""
    cost, currency = told.get("cost"), _text(told.get("currency")).strip().upper()
    if not isinstance(cost, str) or not _COST.fullmatch(cost) or currency not in CURRENCIES:
        return None
    amount = Decimal(cost)
    places = amount.as_tuple().exponent
    if amount >= _LARGEST or not isinstance(places, int):
        return None
    if places < _SMALLEST_PLACE and WIDE.remainder(amount.scaleb(-_SMALLEST_PLACE, WIDE), Decimal(1)):
        return None
    return currency, amount


def _n_tags(value: Any) -> int:
    listed: Iterable[Any] = value if isinstance(value, list) else _text(value).split(",")
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            listed = json.loads(value)
        except ValueError:
            listed = value.split(",")
    tags = {_name(one) for one in listed if isinstance(one, str)} - {""}
    return min(max(1, len(tags)), _MOST_TAGS)


# --- and the rows


def call_differences(day: Day, counted: CallCount) -> Iterator[str]:
    """What does not agree, in words."""
    total = counted.total()
    n_kinds = sum(measure.startswith("u:") for measure in total.sums)
    names = _measures(day)
    for cube, by in _CUBES.items():
        expected = counted.tagged if cube in _BY_TAG else total
        seen = _added(_rows(day, cube, "day", day.from_at, day.gen, names)).get(None, Counted())
        yield from _differing(f"calls {by}, the day", expected, seen, n_kinds, ("its events", "the rollup"))
    customer = Named(day.connection, day.pid).customer
    seen_of = _added(_rows(day, 3, "day", day.from_at, day.gen, names), by_key=True)
    for subject_id in sorted(counted.by_customer.keys() | {key for key in seen_of if key is not None}):
        a, b = counted.by_customer.get(subject_id, Counted()), seen_of.get(subject_id, Counted())
        what = f"calls of customer {customer(subject_id)}, the day"
        yield from _differing(what, a, b, n_kinds, ("its events", "the rollup"))
    yield from _histograms(day)
    if day.whole_hours:
        yield from _hours(day, names, n_kinds)


def _hours(day: Day, names: Mapping[int, Sequence[str]], n_kinds: int) -> Iterator[str]:
    """The day is its hours, and an hour its minutes; where they are kept."""
    w = windows.c
    within = (w.pid == day.pid, w.tier == "hour", w.start_at >= day.from_at, w.start_at < day.to_at)
    hours = day.connection.execute(sa.select(w.start_at, w.gen, w.thinned).where(*within).order_by(w.start_at)).all()
    together = Counted()
    for hour in hours if has_any(day, call_rollups, cubes=[0]) else ():
        if hour.thinned:
            continue
        of_hour = _added(_rows(day, 0, "hour", hour.start_at, hour.gen, names)).get(None, Counted())
        together.add(of_hour)
        minutes = _added(_rows(day, 0, "minute", hour.start_at, hour.gen, names)).get(None)
        if minutes is not None:
            when = f"calls, the hour from {hour.start_at:%Y-%m-%d %H:%M} UTC"
            yield from _differing(when, minutes, of_hour, n_kinds, ("its minutes", "the rollup"))
    if not any(hour.thinned for hour in hours):
        of_day = _added(_rows(day, 0, "day", day.from_at, day.gen, names)).get(None, Counted())
        yield from _differing("calls in all, the day", together, of_day, n_kinds, ("its hours", "the rollup"))


def _measures(day: Day) -> Mapping[int, Sequence[str]]:
    query = sa.select(call_names.c.id, call_names.c.text)
    query = query.where(call_names.c.pid == day.pid, call_names.c.kind == "measures")
    return {row.id: row.text.split() for row in day.connection.execute(query)}


_Row = tuple[int, Counted]


def _rows(  # noqa: PLR0917 - the key of the table
    day: Day, cube: int, tier: str, start_at: datetime, gen: int | None, names: Mapping[int, Sequence[str]]
) -> Iterator[_Row]:
    """With their first key. Minutes: those of the hour that begins then."""
    r = call_rollups.c
    at = (r.start_at >= start_at, r.start_at < start_at + _HOUR) if tier == "minute" else (r.start_at == start_at,)
    query = sa.select(call_rollups).where(r.pid == day.pid, r.cube == cube, r.tier == tier, *at, r.gen == gen)
    for row in day.connection.execute(query):
        sums = dict(zip(names[row.measures], map(Decimal, row.amounts.split()), strict=True))
        counts = (row.n, row.n_errors, row.n_unpriced, row.n_timed, row.latency_us, row.latency_max_us)
        yield row.key1, Counted(*counts, sums)


def _added(rows: Iterator[_Row], *, by_key: bool = False) -> dict[int | None, Counted]:
    found: dict[int | None, Counted] = {}
    for key, one in rows:
        place = key if by_key else None
        if place not in found:
            found[place] = Counted()
        found[place].add(one)
    return found


def _histograms(day: Day) -> Iterator[str]:
    r = call_rollups.c
    for cube in (0, 1):
        of_day = (r.pid == day.pid, r.cube == cube, r.tier == "day", r.start_at == day.from_at, r.gen == day.gen)
        for row in day.connection.execute(sa.select(r.status, r.n_timed, r.latencies).where(*of_day)):
            n = 0 if row.latencies is None else unpacked(bytes(row.latencies)).n
            if n != row.n_timed:
                yield (
                    f"calls {_CUBES[cube]}, status {row.status or 'unknown'}, the day: "
                    f"expected {row.n_timed} times, seen {n} in the histogram"
                )


def _differing(what: str, expected: Counted, seen: Counted, n_kinds: int, names: tuple[str, str]) -> Iterator[str]:
    if n_kinds > _MOST_KINDS:
        expected, seen = expected.without_units(), seen.without_units()
    if expected != seen:
        by, in_ = names
        yield f"{what}: expected {expected.told()} (by {by}), seen {seen.told()} (in {in_})"
