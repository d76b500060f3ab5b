"""What calls come to and cost, as the API gives it. Money and units stand exactly, as texts; never as floats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.calls.asked import Line
from heartfly.calls.forecasts import CostForecast
from heartfly.calls.recent import Recent
from heartfly.calls.report import CostLine
from heartfly.calls.unpriced import Unpriced
from heartfly.core.amounts import ONE, Amount, text_of
from heartfly.core.calls import CallFigures
from heartfly.core.money import Money, money_text
from heartfly.core.sketches import rounded
from heartfly.core.traffic import Figures
from heartfly.traffic.asked import Trust

_US = ONE // 1_000


class CallSums(msgspec.Struct, kw_only=True):
    """Of some calls. `cost`: by currency, exact, of those whose cost is known; null: of none it is.

    Currencies are never added together.
    """

    calls: int
    errors: int
    """With a status from 400 on, or an error in words."""
    error_rate: float
    unpriced: int
    """Calls whose cost is not known, as some of their units have no price."""
    odd: int
    """Values that could be read as nothing, such as a number of tokens that is none. Their calls count."""
    units: dict[str, str]
    cost: dict[str, str] | None
    cost_given: dict[str, str]
    """Of `cost`, what callers told themselves."""
    timed: int
    mean_ms: float | None
    max_ms: float | None


class CallTimes(CallSums, kw_only=True):
    """Percentiles are wrong by 1.1 % at most."""

    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class CostAnswer(msgspec.Struct, kw_only=True):
    """What was asked, and how sure the answer is.

    `complete_up_to`: whatever has come of what happened before is in it. `state`: open, provisional, final or amended.
    `of_events`: counted one by one; `partial`: there were too many for that, and the newest only are in it.
    """

    from_at: Instant
    to_at: Instant
    zone: str
    state: str
    complete_up_to: Instant
    of_events: bool
    partial: bool


class CostRow(CallSums, kw_only=True):
    """`key`: by dimension, what a filter takes; `name`: for people. `share`: of what is ranked by, in thousandths.

    `before`: the same calls in the time before, if that was asked for; null: there were none.
    """

    key: dict[str, str]
    name: dict[str, str]
    share: int | None
    before: CallSums | None


class CostReport(CostAnswer, kw_only=True):
    """`others`: all that are not on this page together, null if there are none. `n`: how many rows there are.

    `all`: of all calls, each once: one of several tags stands in several rows. `currency`: in which costs are ranked.
    """

    by: list[str]
    order: str
    currency: str | None
    all: CallSums
    before_from: Instant | None
    before_to: Instant | None
    all_before: CallSums | None
    items: list[CostRow]
    others: CallSums | None
    n: int
    next: str | None


class CostBin(CallSums, kw_only=True):
    """Of a window of time, and of a key, if that was asked for. `open`: it is not over, or was cut."""

    from_at: Instant
    to_at: Instant
    open: bool
    key: dict[str, str]
    name: dict[str, str]


class CostSeries(CostAnswer, kw_only=True):
    window: str
    by: list[str]
    items: list[CostBin]


class ForecastOut(msgspec.Struct, kw_only=True):
    """Of a currency. `expected`, `low` and `high` null: there are not enough whole days yet."""

    currency: str
    so_far: str
    low: str | None
    expected: str | None
    high: str | None


class ForecastAnswer(CostAnswer, kw_only=True):
    """`from_at` and `to_at`: of the period. `days`: whole days that it was made of, `least_days` that it takes.

    `level`: so many of a thousand periods are expected to end within the range. `unpriced`: calls of the period whose
    cost is not known: all of this is too little by that.
    """

    items: list[ForecastOut]
    days: int
    least_days: int
    level: int
    unpriced: int


class UnpricedOut(msgspec.Struct, kw_only=True):
    """A product. `kinds`: of units without a price, in how many of its calls each."""

    provider: str
    model: str
    kinds: dict[str, int]
    unpriced: int
    calls: int
    first_at: Instant | None
    last_at: Instant | None


class UnpricedAnswer(CostAnswer, kw_only=True):
    items: list[UnpricedOut]


class CallStatistics(CostAnswer, kw_only=True):
    figures: CallTimes


class CallOut(msgspec.Struct, kw_only=True):
    """A single call; empty texts and null: it was not told. `cost` null: not known, as `unpriced` have no price."""

    transaction_id: str
    at: Instant
    provider: str
    model: str
    endpoint: str
    tier: str
    customer: str
    """What a filter takes."""
    customer_name: str
    user: str
    key: str
    tags: list[str]
    status: int | None
    error: str
    latency_ms: float | None
    units: dict[str, str]
    cost: dict[str, str] | None
    cost_given: bool
    """The caller told it."""
    unpriced: list[str]
    odd: int
    request_id: str


class CallPage(msgspec.Struct):
    """A page may hold fewer than `limit`, or none, although there are more: then `next` is not null."""

    items: list[CallOut]
    looked_up_to: Instant
    """Everything that happened later was looked at."""
    next: str | None


def told(from_at: datetime, to_at: datetime, zone: str, trust: Trust) -> Mapping[str, Any]:
    return {
        "from_at": from_at,
        "to_at": to_at,
        "zone": zone,
        "state": trust.state.value,
        "complete_up_to": trust.complete_up_to,
        "of_events": trust.of_events,
        "partial": trust.partial,
    }


def sums_out(found: CallFigures) -> CallSums:
    return CallSums(**_sums(found))


def times_out(found: CallFigures) -> CallTimes:
    return CallTimes(
        **_sums(found), **{f"p{percent}_ms": _percentile(found.times, percent) for percent in (50, 90, 95, 99)}
    )


def row_out(one: CostLine) -> CostRow:
    return CostRow(
        **_sums(one.line.figures),
        **_keys(one.line),
        share=one.share,
        before=None if one.before is None else sums_out(one.before),
    )


def bin_out(line: Line, **more: Any) -> CostBin:
    return CostBin(**_sums(line.figures), **_keys(line), **more)


def forecasts_out(found: CostForecast) -> list[ForecastOut]:
    return [
        ForecastOut(
            currency=one.currency,
            so_far=money_text(one.so_far),
            low=None if one.forecast is None else money_text(one.forecast.low),
            expected=None if one.forecast is None else money_text(one.forecast.expected),
            high=None if one.forecast is None else money_text(one.forecast.high),
        )
        for one in found.items
    ]


def unpriced_out(one: Unpriced) -> UnpricedOut:
    return UnpricedOut(
        provider=one.provider,
        model=one.model,
        kinds=dict(one.kinds),
        unpriced=one.n,
        calls=one.n_calls,
        first_at=one.first_at,
        last_at=one.last_at,
    )


def call_out(one: Recent) -> CallOut:
    return CallOut(
        transaction_id=one.transaction_id,
        at=one.at,
        provider=one.provider,
        model=one.model,
        endpoint=one.endpoint,
        tier=one.tier,
        customer=one.customer_key,
        customer_name=one.customer,
        user=one.user,
        key=one.key,
        tags=list(one.tags),
        status=one.status or None,
        error=one.error,
        latency_ms=None if one.latency_us is None else _number(one.latency_us * _US),
        units=_units(one.units),
        cost=None if one.cost is None else _money(one.cost),
        cost_given=one.given,
        unpriced=list(one.unpriced),
        odd=one.n_odd,
        request_id=one.request_id,
    )


def _keys(line: Line) -> dict[str, Any]:
    return {
        "key": {one.value: value for one, value in line.key.items()},
        "name": {one.value: value for one, value in line.name.items()},
    }


def _sums(found: CallFigures) -> dict[str, Any]:
    times = found.times
    mean = None
    if times.n_timed:
        mean = (2 * times.latency_us + times.n_timed) // (2 * times.n_timed) * _US
    return {
        "calls": found.n,
        "errors": found.n_errors,
        "error_rate": found.n_errors / found.n if found.n else 0.0,
        "unpriced": found.n_unpriced,
        "odd": found.n_odd,
        "units": _units(dict(sorted(found.units.items()))),
        "cost": _money(found.cost) or None,
        "cost_given": _money(dict(sorted(found.given.items()))),
        "timed": times.n_timed,
        "mean_ms": _number(mean),
        "max_ms": _number(times.latency_max_us * _US) if times.n_timed else None,
    }


def _units(found: Mapping[str, Amount]) -> dict[str, str]:
    return {kind: text_of(amount) for kind, amount in found.items()}


def _money(found: Mapping[str, Money]) -> dict[str, str]:
    return {currency: money_text(money) for currency, money in found.items()}


def _percentile(times: Figures, percent: int) -> float | None:
    """Of as many digits as it holds, and no slower than the slowest."""
    value = times.percentile_ms(percent * ONE)
    return None if value is None else float(text_of(min(rounded(value)[0], times.latency_max_us * _US)))


def _number(value: Amount | None) -> float | None:
    return None if value is None else float(text_of(value))


def flat(items: Sequence[Any]) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
    """Columns and rows of a table: what stands by dimension, kind or currency has a column each, as `cost.USD`."""
    rows = [_flat(one) for one in items]
    columns = dict.fromkeys(column for row in rows for column in row)
    first = [column for column in columns if column.partition(".")[0] in _FIRST]
    names = [*first, *(column for column in columns if column not in first)]
    return names, rows


_FIRST = ("from_at", "to_at", "open", "key", "name", "share")
"""What a row is of stands before what it comes to."""


def _flat(one: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (field.name for field in msgspec.structs.fields(type(one))):
        value = getattr(one, name)
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": told_of for inner, told_of in value.items()}
        elif isinstance(value, list):
            found[name] = " ".join(value)
        elif isinstance(value, CallSums):
            found |= {f"{name}.{inner}": told_of for inner, told_of in _flat(value).items()}
        elif value is not None or name not in _OPTIONAL:
            found[name] = value
    return found


_OPTIONAL = frozenset({"cost", "before"})
"""Of which there are columns only where there is something in them."""
