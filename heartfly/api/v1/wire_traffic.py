"""What requests come to, as the API gives it: the same figures for all, single requests, and pages of them.

Whatever may outgrow the numbers that JSON's readers know, or has a fraction, stands exactly as text beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.amounts import ONE, Amount, text_of
from heartfly.core.sketches import rounded
from heartfly.core.traffic import UNKNOWN_STATUS, Figures
from heartfly.traffic.asked import Asked, ByStatus, Row, Slow, Trust
from heartfly.traffic.live import Live
from heartfly.traffic.search import Found

_US = ONE // 1_000
_BUSY = 429
PERCENTS = (50, 90, 95, 99)


class RequestFigures(msgspec.Struct, kw_only=True):
    """Of some requests. Times are milliseconds, of those that told theirs; null: none did.

    Percentiles are wrong by 1.1 % at most, sums and the slowest are exact. Rates are shares of all requests, 0 to 1.
    """

    requests: int
    client_errors: int
    """4xx."""
    server_errors: int
    """5xx."""
    rate_limited: int
    """429, which are client errors too."""
    client_error_rate: float
    server_error_rate: float
    statuses: dict[str, int]
    """Requests by exact code; `unknown`: told none."""
    timed: int
    """Requests that told how long they took."""
    mean_ms: float | None
    mean_ms_exact: str | None
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    max_ms_exact: str | None
    total_ms_exact: str
    bytes_in: int
    bytes_out: int


class TrafficAnswer(msgspec.Struct, kw_only=True):
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


class TrafficTotals(TrafficAnswer, kw_only=True):
    figures: RequestFigures
    customers: int
    """Of whom there were requests; `anonymous` is one."""


class RequestBin(RequestFigures, kw_only=True):
    """Of a window of time. `open`: it is not over, or only a part of it was asked for."""

    from_at: Instant
    to_at: Instant
    open: bool


class TrafficSeries(TrafficAnswer, kw_only=True):
    window: str
    items: list[RequestBin]


class RequestRow(RequestFigures, kw_only=True):
    """A line of a ranking. `key`: what a filter takes to find it alone. `share` of all requests, in thousandths."""

    key: str
    name: str
    share: int


class TrafficRanking(TrafficAnswer, kw_only=True):
    """`others`: all that are not on this page together, null if there are none. `n`: how many rows there are."""

    figures: RequestFigures
    """Of all rows together."""
    items: list[RequestRow]
    others: RequestRow | None
    n: int
    next: str | None


class HeatCell(RequestFigures, kw_only=True):
    """`row` and `column`: their places in `rows` and `columns`, from 0."""

    row: int
    column: int


class TrafficHeat(TrafficAnswer, kw_only=True):
    """Cells without requests are left out."""

    rows: list[str]
    columns: list[str]
    """When each begins, or the hours of a day."""
    items: list[HeatCell]


class SlowOut(msgspec.Struct, kw_only=True):
    at: Instant
    latency_ms: float
    latency_ms_exact: str
    endpoint: str
    customer: str
    """What a filter takes."""
    customer_name: str
    status: int | None
    path: str
    request_id: str


class SlowPage(msgspec.Struct):
    items: list[SlowOut]
    next: str | None


class RequestOut(msgspec.Struct, kw_only=True):
    """A single request; empty texts and null: it was not told."""

    transaction_id: str
    at: Instant
    method: str
    endpoint: str
    path: str
    status: int | None
    latency_ms: float | None
    latency_ms_exact: str | None
    bytes_in: int
    bytes_out: int
    customer: str
    """What a filter takes."""
    customer_name: str
    key: str
    source: str
    ip: str
    user_agent: str
    request_id: str


class RequestPage(msgspec.Struct):
    """A page may hold fewer than `limit`, or none, although there are more: then `next` is not null."""

    items: list[RequestOut]
    looked_up_to: Instant
    """Everything that happened later was looked at."""
    next: str | None


class LiveOut(msgspec.Struct, kw_only=True):
    """Of the last sixty whole seconds, up to but without `up_to`."""

    rps: float
    rps_exact: str
    seconds: list[int]
    """Requests of each, the earliest first."""
    up_to: Instant


SHAPES = (TrafficTotals, TrafficSeries, TrafficRanking, TrafficHeat, SlowPage, RequestPage, LiveOut)


def told(asked: Asked, trust: Trust) -> Mapping[str, Any]:
    return {
        "from_at": asked.from_at,
        "to_at": asked.to_at,
        "zone": asked.zone.key,
        "state": trust.state.value,
        "complete_up_to": trust.complete_up_to,
        "of_events": trust.of_events,
        "partial": trust.partial,
    }


def figures_out(found: ByStatus) -> RequestFigures:
    return RequestFigures(**_figures(found))


def bin_out(found: ByStatus, **more: Any) -> RequestBin:
    return RequestBin(**_figures(found), **more)


def cell_out(found: ByStatus, *, row: int, column: int) -> HeatCell:
    return HeatCell(**_figures(found), row=row, column=column)


def row_out(found: Row) -> RequestRow:
    return RequestRow(**_figures(found.by_status), key=found.key, name=found.name, share=found.share)


def _figures(found: ByStatus) -> dict[str, Any]:
    whole, n_400, n_500 = found.total(), found.n_of(4), found.n_of(5)
    mean = None if not whole.n_timed else _rounded_mean(whole)
    largest = None if not whole.n_timed else whole.latency_max_us * _US
    busy = found.of.get(_BUSY)
    return {
        "requests": whole.n,
        "client_errors": n_400,
        "server_errors": n_500,
        "rate_limited": 0 if busy is None else busy.n,
        "client_error_rate": n_400 / whole.n if whole.n else 0.0,
        "server_error_rate": n_500 / whole.n if whole.n else 0.0,
        "statuses": {
            "unknown" if status == UNKNOWN_STATUS else str(status): one.n for status, one in sorted(found.of.items())
        },
        "timed": whole.n_timed,
        "mean_ms": _number(mean),
        "mean_ms_exact": None if mean is None else text_of(mean),
        **{f"p{percent}_ms": _percentile(whole, percent) for percent in PERCENTS},
        "max_ms": _number(largest),
        "max_ms_exact": None if largest is None else text_of(largest),
        "total_ms_exact": text_of(whole.latency_us * _US),
        "bytes_in": whole.bytes_in,
        "bytes_out": whole.bytes_out,
    }


def _rounded_mean(whole: Figures) -> Amount:
    """To the microsecond, as the times are."""
    return (2 * whole.latency_us + whole.n_timed) // (2 * whole.n_timed) * _US


def _percentile(whole: Figures, percent: int) -> float | None:
    """Of as many digits as it holds, and no slower than the slowest."""
    value = whole.percentile_ms(percent * ONE)
    return None if value is None else float(text_of(min(rounded(value)[0], whole.latency_max_us * _US)))


def _number(value: Amount | None) -> float | None:
    return None if value is None else float(text_of(value))


def slow_out(one: Slow) -> SlowOut:
    value = one.latency_us * _US
    return SlowOut(
        at=one.at,
        latency_ms=float(text_of(value)),
        latency_ms_exact=text_of(value),
        endpoint=one.endpoint,
        customer=one.customer_key,
        customer_name=one.customer,
        status=one.status or None,
        path=one.path,
        request_id=one.request_id,
    )


def request_out(one: Found) -> RequestOut:
    return RequestOut(
        transaction_id=one.transaction_id,
        at=one.at,
        method=one.method,
        endpoint=one.endpoint,
        path=one.path,
        status=one.status or None,
        latency_ms=_number(one.latency_ms),
        latency_ms_exact=None if one.latency_ms is None else text_of(one.latency_ms),
        bytes_in=one.bytes_in,
        bytes_out=one.bytes_out,
        customer=one.customer_key,
        customer_name=one.customer,
        key=one.key,
        source=one.source,
        ip=one.ip,
        user_agent=one.user_agent,
        request_id=one.request_id,
    )


def live_out(found: Live) -> LiveOut:
    return LiveOut(rps=float(found.rps), rps_exact=str(found.rps), seconds=found.seconds, up_to=found.up_to)
