"""A customer's report: all that it says, as one value that every form of it renders.

What is a success, what a percentile may be wrong by, and what the fingerprint stands for is decided here; where the
figures come from, in report_read.py. How it looks is each form's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from heartfly.core.amounts import ONE, Amount, over, text_of
from heartfly.core.meters import Aggregation
from heartfly.core.money import money_text
from heartfly.core.report_periods import Period
from heartfly.core.tiles import State
from heartfly.core.traffic import UNKNOWN_STATUS, Figures
from heartfly.core.windows import Window
from heartfly.traffic.asked import ByStatus
from heartfly.usage.meter_costs import NO_COSTS, MeterCosts
from heartfly.usage.whose import Customer

MARGIN = "1.1 %"
"""By how much of itself a percentile may be wrong: core/sketches.py."""
TOO_MANY = 429
SURE = frozenset({State.FINAL, State.AMENDED})
PARTIAL = (
    "Its requests could not all be counted: some of these days would have to be counted request by request, and there"
    " are too many of them, or they are not kept any more. There were more requests than it tells."
)
_DOUBT = (State.OPEN, State.PROVISIONAL, State.AMENDED, State.FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`ok`: with a status from 100 to 399. `limited`: of `client`, those that were told to slow down (429). Times are
    milliseconds; None: no request told its time.
    """

    n: int = 0
    ok: int = 0
    client: int = 0
    limited: int = 0
    server: int = 0
    unknown: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    n_timed: int = 0
    mean: Amount | None = None
    p50: Amount | None = None
    p95: Amount | None = None
    p99: Amount | None = None
    longest: Amount | None = None

    @property
    def bytes(self) -> int:
        return self.bytes_in + self.bytes_out


@dataclass(frozen=True, slots=True)
class DayOf:
    date: date
    state: State
    measured: Measured


@dataclass(frozen=True, slots=True)
class EndpointOf:
    name: str
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDay:
    date: date
    state: State
    n: int
    value: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterOf:
    """What a meter came to in [from_at, to_at), which is less than the report's days where it began to count otherwise.

    `days`: what adds up to the value; empty where days do not. `untold`: why there is no value.
    """

    slug: str
    name: str
    unit: str
    aggregation: Aggregation
    window: Window
    n: int
    value: Amount | None
    state: State
    days: Sequence[MeterDay] = ()
    untold: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`endpoints`: the most used ones, `others` all behind them together (None: there are none), of `n_endpoints`.

    `late`: events of the whole project that came after their day was over, and are in. `complete_up_to`: whatever has
    come of what happened before is in. `more_meters`: there are meters that it does not tell. `partial`: requests are
    missing; see PARTIAL. `costs`: of the meters that have a price.
    """

    project: str
    customer: Customer
    period: Period
    prepared_at: datetime
    total: Measured
    days: Sequence[DayOf]
    statuses: Sequence[tuple[int, int]]
    endpoints: Sequence[EndpointOf]
    others: EndpointOf | None
    n_endpoints: int
    meters: Sequence[MeterOf]
    more_meters: bool
    late: int
    complete_up_to: datetime
    fingerprint: str
    partial: bool = False
    costs: MeterCosts = NO_COSTS

    @property
    def n_final(self) -> int:
        return sum(day.state in SURE for day in self.days)

    @property
    def doubtful(self) -> Sequence[DayOf]:
        """Days that are not proved yet, or not over."""
        return [day for day in self.days if day.state not in SURE]

    @property
    def is_final(self) -> bool:
        return not self.doubtful and not self.partial

    @property
    def shown_meters(self) -> Sequence[MeterOf]:
        """Those that say something; the others came to nothing."""
        return [one for one in self.meters if one.n or one.untold]


def measured(of: ByStatus) -> Measured:
    whole = of.total()
    return Measured(
        n=whole.n,
        ok=_within(of, 100, 400),
        client=_within(of, 400, 500),
        limited=_within(of, TOO_MANY, TOO_MANY + 1),
        server=_within(of, 500, 600),
        unknown=whole.n - _within(of, 100, 600),
        bytes_in=whole.bytes_in,
        bytes_out=whole.bytes_out,
        n_timed=whole.n_timed,
        mean=over(whole.latency_us * ONE, 1_000 * whole.n_timed) if whole.n_timed else None,
        p50=_percentile(whole, 50),
        p95=_percentile(whole, 95),
        p99=_percentile(whole, 99),
        longest=whole.latency_max_us * ONE // 1_000 if whole.n_timed else None,
    )


def _percentile(of: Figures, percent: int) -> Amount | None:
    """No longer than the longest, which is known exactly."""
    found = of.percentile_ms(percent * ONE)
    return None if found is None else min(found, of.latency_max_us * ONE // 1_000)


def _within(of: ByStatus, first: int, end: int) -> int:
    return sum(figures.n for status, figures in of.of.items() if status != UNKNOWN_STATUS and first <= status < end)


def together(found: Iterable[ByStatus]) -> ByStatus:
    """No request may be in two of them."""
    whole = ByStatus()
    for one in found:
        whole.merge(one)
    return whole


def worst(states: Iterable[State]) -> State:
    return min(states, key=_DOUBT.index, default=State.FINAL)


def fingerprint(
    of: tuple[str, str, Period, bool],
    days: Iterable[tuple[date, State, ByStatus]],
    endpoints: Iterable[tuple[str, ByStatus]],
    meters: Iterable[MeterOf],
    proofs: Iterable[tuple[date, bytes]],
    *,
    costs: MeterCosts = NO_COSTS,
) -> str:
    """SHA-256 of whose report it is (`of`: the project's name, the customer's id, the days, whether it is partial), of
    all sums that it is made of, how sure each day is, and of the fingerprints with which its days were closed: the same
    for as long as no rollup that it used is another, whoever prepares it and when.
    """
    project, customer, period, partial = of
    whose = (project, customer, period.first.isoformat(), period.last.isoformat(), period.zone.key, partial)
    digest = hashlib.sha256(repr(("report", *whose)).encode())
    told: list[tuple[str, str, ByStatus]] = []
    for day, state, by_status in days:
        digest.update(repr(("state", day.isoformat(), state.value)).encode())
        told.append(("day", day.isoformat(), by_status))
    for kind, name, found in [*told, *(("endpoint", name, found) for name, found in endpoints)]:
        for status in sorted(found.of):
            digest.update(repr((kind, name, status, _sums(found.of[status]))).encode())
    for meter in meters:
        value = None if meter.value is None else text_of(meter.value)
        digest.update(repr(("meter", meter.slug, meter.window.from_at.isoformat(), meter.n, value)).encode())
    for line in costs.lines:
        cost = None if line.cost is None else money_text(line.cost)
        currency = "" if line.price is None else line.price.currency
        digest.update(repr(("cost", line.meter, line.from_at.isoformat(), line.n, cost, currency)).encode())
    for day, proof in proofs:
        digest.update(repr(("proof", day.isoformat(), proof.hex())).encode())
    return digest.hexdigest()


def _sums(one: Figures) -> tuple[object, ...]:
    exact = (one.n, one.n_timed, one.latency_us, one.latency_max_us, one.bytes_in, one.bytes_out)
    return (*exact, one.latencies.zero, sorted(one.latencies.above.items()))
