"""A report as a table of rows of one shape, which CSV, NDJSON and Parquet hold; and which rows add up to which.

The first row, `report`, is the whole; the rows `day` add up to it, and so do `endpoint` and `status`. `meter` is a
meter's own answer; its rows `meter_day` add up to it where days do. Rows `cost` of a currency add up to its
`cost_total`. `note` says what is missing, if anything is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from heartfly.core.amounts import Amount
from heartfly.core.days import day_in
from heartfly.core.money import money_text, rate_text
from heartfly.core.tiles import State
from heartfly.core.windows import Window
from heartfly.traffic.report import PARTIAL, Measured, MeterOf, Report, worst
from heartfly.usage.meter_costs import CostLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a row does not tell is None. `name`: a day, an endpoint, a status or a meter's slug; of the whole the
    customer's id; of a total the currency. `title`: for people. `value`, `unit` and `events`: of meters. `fingerprint`:
    of the whole only. `price` and `cost`: exact, of `currency`.
    """

    kind: str
    name: str
    title: str
    from_at: datetime
    to_at: datetime
    state: str
    requests: int | None = None
    succeeded: int | None = None
    client_errors: int | None = None
    server_errors: int | None = None
    unknown_status: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    mean_ms: Amount | None = None
    p50_ms: Amount | None = None
    p95_ms: Amount | None = None
    p99_ms: Amount | None = None
    max_ms: Amount | None = None
    events: int | None = None
    value: Amount | None = None
    unit: str | None = None
    fingerprint: str | None = None
    price: str | None = None
    cost: str | None = None
    currency: str | None = None


COLUMNS = (
    *("kind", "name", "title", "from", "to", "state", "requests", "succeeded", "client_errors", "server_errors"),
    *("unknown_status", "bytes_in", "bytes_out", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "events", "value"),
    *("unit", "fingerprint", "price", "cost", "currency"),
)
"""The fields of a row, in order, as they are called outside."""


def rows(report: Report) -> Iterator[Row]:
    whole = Window(report.period.from_at, report.period.to_at)
    unsure = [State.PROVISIONAL] if report.partial else []
    state = worst([*(day.state for day in report.days), *unsure]).value
    yield _requests("report", report.customer.uuid, whole, state, report.total, report=report)
    if report.partial:
        yield Row(kind="note", name="partial", title=PARTIAL, from_at=whole.from_at, to_at=whole.to_at, state=state)
    for day in report.days:
        span = day_in(report.period.zone, day.date)
        window = Window(span.from_at, span.to_at)
        yield _requests("day", day.date.isoformat(), window, worst([day.state, *unsure]).value, day.measured)
    for one in report.endpoints:
        yield _requests("endpoint", one.name, whole, state, one.measured)
    if report.others is not None:
        yield _requests("endpoint", "", whole, state, report.others.measured, title="all other endpoints")
    for status, n in report.statuses:
        yield Row(
            kind="status",
            name=str(status) if status else "",
            title="" if status else "no status told",
            from_at=whole.from_at,
            to_at=whole.to_at,
            state=state,
            requests=n,
        )
    for meter in report.meters:
        yield from _meter(report, meter)
    for line in report.costs.lines:
        yield _cost(line)
    for currency, total in sorted(report.costs.totals.items()):
        yield Row(
            kind="cost_total",
            name=currency,
            title="",
            from_at=whole.from_at,
            to_at=whole.to_at,
            state=worst(line.state for line in report.costs.lines).value,
            cost=money_text(total),
            currency=currency,
        )


def _requests(
    kind: str,
    name: str,
    window: Window,
    state: str,
    told: Measured,
    *,
    title: str = "",
    report: Report | None = None,
) -> Row:
    return Row(
        kind=kind,
        name=name,
        title=title if report is None else report.customer.name,
        from_at=window.from_at,
        to_at=window.to_at,
        state=state,
        requests=told.n,
        succeeded=told.ok,
        client_errors=told.client,
        server_errors=told.server,
        unknown_status=told.unknown,
        bytes_in=told.bytes_in,
        bytes_out=told.bytes_out,
        mean_ms=told.mean,
        p50_ms=told.p50,
        p95_ms=told.p95,
        p99_ms=told.p99,
        max_ms=told.longest,
        fingerprint=None if report is None else report.fingerprint,
    )


def _cost(line: CostLine) -> Row:
    return Row(
        kind="cost",
        name=line.meter,
        title=line.group,
        from_at=line.from_at,
        to_at=line.to_at,
        state=line.state.value,
        events=line.n,
        value=None if line.untold else line.quantity,
        unit=line.unit,
        price=None if line.price is None else rate_text(line.price.amount),
        cost=None if line.cost is None else money_text(line.cost),
        currency=None if line.price is None else line.price.currency,
    )


def _meter(report: Report, meter: MeterOf) -> Iterator[Row]:
    def row(kind: str, window: Window, state: State, n: int, value: Amount | None) -> Row:
        return Row(
            kind=kind,
            name=meter.slug,
            title=meter.name,
            from_at=window.from_at,
            to_at=window.to_at,
            state=state.value,
            events=n,
            value=value,
            unit=meter.unit,
        )

    yield row("meter", meter.window, meter.state, meter.n, meter.value)
    for day in meter.days:
        span = day_in(report.period.zone, day.date)
        yield row("meter_day", Window(span.from_at, span.to_at), day.state, day.n, day.value)
