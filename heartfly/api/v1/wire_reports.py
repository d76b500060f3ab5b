"""What the API says of a customer's report, and of the links to it and its mailings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Row

from heartfly.api.v1.wire import Instant
from heartfly.api.v1.wire_meter_prices import MeterCostLineOut, cost_lines_out, totals_out
from heartfly.api.v1.wire_meters import KnownAsOut, exact
from heartfly.core.amounts import Amount, text_of
from heartfly.core.report_periods import Rhythm
from heartfly.traffic.report import Measured, MeterOf, Report
from heartfly.traffic.report_shares import USUAL_S, Shared


class MeasuredOut(msgspec.Struct, kw_only=True):
    """`succeeded`: with a status from 100 to 399. `limited`: of the client errors, those of status 429. Times are
    milliseconds, null where no request told its time; a percentile is wrong by 1.1 % of itself at most.
    """

    requests: int
    succeeded: int
    client_errors: int
    limited: int
    server_errors: int
    unknown_status: int
    bytes_in: int
    bytes_out: int
    timed: int
    """Requests that told how long they took."""
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class ReportDayOut(msgspec.Struct, kw_only=True):
    """`state`: open, provisional, final or amended; only the last two are proved."""

    day: date
    state: str
    requests: MeasuredOut


class ReportEndpointOut(msgspec.Struct, kw_only=True):
    endpoint: str
    requests: MeasuredOut


class ReportStatusOut(msgspec.Struct, kw_only=True):
    status: int | None
    """Null: none was told."""
    requests: int


class ReportMeterDayOut(msgspec.Struct, kw_only=True):
    day: date
    state: str
    events: int
    value_exact: str


class ReportMeterOut(msgspec.Struct, kw_only=True):
    """What a meter comes to for this customer: the same as its own answer for this time."""

    meter: str
    name: str
    unit: str
    aggregation: str
    from_at: Instant
    to_at: Instant
    state: str
    events: int
    value_exact: str | None
    untold: str
    """Why there is no value; empty when there is, or nothing counted."""
    days: list[ReportMeterDayOut]
    """They add up to the value; empty where days of the meter do not."""


class ReportOut(msgspec.Struct, kw_only=True):
    """`from` and `to`: its first and its last day, in `zone`."""

    customer: KnownAsOut
    project: str
    from_: date = msgspec.field(name="from")
    to: date
    zone: str
    from_at: Instant
    to_at: Instant
    prepared_at: Instant
    complete_up_to: Instant
    """Whatever has come of what happened before this is in the figures."""
    is_final: bool
    partial: bool
    """Requests are missing: some days would have to be counted request by request, and there are too many, or they
    are not kept any more.
    """
    days_final: int
    late_events: int
    """Of the whole project: they came after their day was over, and are in."""
    fingerprint: str
    """SHA-256 of all sums that the report is made of."""
    total: MeasuredOut
    days: list[ReportDayOut]
    statuses: list[ReportStatusOut]
    endpoints: list[ReportEndpointOut]
    """The most used."""
    other_endpoints: MeasuredOut | None
    """All others together; null: there are none."""
    n_endpoints: int
    meters: list[ReportMeterOut]
    more_meters: bool
    """The project has meters that are not told."""
    costs: list[MeterCostLineOut]
    """Of meters that have a price."""
    cost_totals: dict[str, str]
    """By currency, what these add up to, to the last digit."""


class ReportShareIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Of which days; like those of the report, where nothing is said."""

    month: str = ""
    from_: str = msgspec.field(name="from", default="")
    to: str = ""
    lasts: int = USUAL_S
    """In seconds, 300 (five minutes) to 31622400 (366 days)."""


class ReportShareOut(msgspec.Struct, kw_only=True):
    """A link by which everybody who has it may read the report of these days."""

    id: str
    by: str
    """Who made it."""
    from_: date = msgspec.field(name="from")
    to: date
    created_at: Instant
    expires_at: Instant


class MadeReportShareOut(ReportShareOut, kw_only=True):
    """`url` is told here, and never again."""

    url: str


class ReportSharePage(msgspec.Struct):
    items: list[ReportShareOut]
    next: str | None


class ReportMailIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    addresses: list[str]
    rhythm: Rhythm = Rhythm.MONTH


class ReportSentOut(msgspec.Struct, kw_only=True):
    """`wrong`: why it did not go; empty: it was sent. `trying_since`: when it first failed, while it is tried again;
    null: it was sent, or given up.
    """

    first_day: date
    address: str
    at: Instant
    wrong: str
    trying_since: Instant | None


class ReportMailOut(msgspec.Struct, kw_only=True):
    id: str
    by: str
    rhythm: Rhythm
    since: date
    """The first 30 days begin then; a month is mailed when it has ended since."""
    addresses: list[str]
    created_at: Instant
    last: list[ReportSentOut]
    """What became of the newest that was due, by address."""


class ReportMailPage(msgspec.Struct):
    items: list[ReportMailOut]
    next: str | None


def report_out(report: Report) -> ReportOut:
    return ReportOut(
        customer=KnownAsOut(report.customer.uuid, report.customer.name),
        project=report.project,
        from_=report.period.first,
        to=report.period.last,
        zone=report.period.zone.key,
        from_at=report.period.from_at,
        to_at=report.period.to_at,
        prepared_at=report.prepared_at,
        complete_up_to=report.complete_up_to,
        is_final=report.is_final,
        partial=report.partial,
        days_final=report.n_final,
        late_events=report.late,
        fingerprint=report.fingerprint,
        total=_measured(report.total),
        days=[
            ReportDayOut(day=one.date, state=one.state.value, requests=_measured(one.measured)) for one in report.days
        ],
        statuses=[ReportStatusOut(status=status or None, requests=n) for status, n in report.statuses],
        endpoints=[ReportEndpointOut(endpoint=one.name, requests=_measured(one.measured)) for one in report.endpoints],
        other_endpoints=None if report.others is None else _measured(report.others.measured),
        n_endpoints=report.n_endpoints,
        meters=[_meter(one) for one in report.meters],
        more_meters=report.more_meters,
        costs=cost_lines_out(report.costs),
        cost_totals=totals_out(report.costs),
    )


def _measured(told: Measured) -> MeasuredOut:
    return MeasuredOut(
        requests=told.n,
        succeeded=told.ok,
        client_errors=told.client,
        limited=told.limited,
        server_errors=told.server,
        unknown_status=told.unknown,
        bytes_in=told.bytes_in,
        bytes_out=told.bytes_out,
        timed=told.n_timed,
        mean_ms=_ms(told.mean),
        p50_ms=_ms(told.p50),
        p95_ms=_ms(told.p95),
        p99_ms=_ms(told.p99),
        max_ms=_ms(told.longest),
    )


def _ms(value: Amount | None) -> float | None:
    return None if value is None else float(text_of(value))


def _meter(one: MeterOf) -> ReportMeterOut:
    return ReportMeterOut(
        meter=one.slug,
        name=one.name,
        unit=one.unit,
        aggregation=one.aggregation.value,
        from_at=one.window.from_at,
        to_at=one.window.to_at,
        state=one.state.value,
        events=one.n,
        value_exact=exact(one.value),
        untold=one.untold,
        days=[
            ReportMeterDayOut(day=day.date, state=day.state.value, events=day.n, value_exact=text_of(day.value))
            for day in one.days
        ],
    )


def share_out(row: Row[Any]) -> ReportShareOut:
    return ReportShareOut(**_share(row))


def made_share_out(made: Shared, url: str) -> MadeReportShareOut:
    return MadeReportShareOut(**_share(made), url=url)


def _share(row: Row[Any] | Shared) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "by": row.made_by,
        "from_": row.first_day,
        "to": row.last_day,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    }


def mail_out(row: Row[Any], sent: Sequence[Row[Any]]) -> ReportMailOut:
    return ReportMailOut(
        id=str(row.id),
        by=row.made_by,
        rhythm=Rhythm(row.rhythm),
        since=row.since,
        addresses=list(row.addresses),
        created_at=row.created_at,
        last=[
            ReportSentOut(
                first_day=one.first_day,
                address=one.address,
                at=one.at,
                wrong=one.wrong,
                trying_since=one.trying_since,
            )
            for one in sent
        ],
    )


SHAPES = (ReportOut, ReportShareIn, ReportSharePage, MadeReportShareOut, ReportMailIn, ReportMailPage, ReportMailOut)
