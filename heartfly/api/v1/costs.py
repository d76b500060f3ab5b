"""What calls to other people's APIs cost, asked for: by what tells them apart, over time, ahead, and one by one.

Which groupings are answered out of what is said in docs/costs.md; what is counted is decided in usage/, and asked in
calls/.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number, place_in_time
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import bound_of, few, zone_of
from heartfly.api.v1.traffic_tables import CSV, LINES, Format, cell_of, demand_json, form_of, headers_of
from heartfly.api.v1.wire_costs import (
    CallPage,
    CallStatistics,
    CostReport,
    CostSeries,
    ForecastAnswer,
    UnpricedAnswer,
    bin_out,
    call_out,
    flat,
    forecasts_out,
    row_out,
    sums_out,
    times_out,
    told,
    unpriced_out,
)
from heartfly.calls.asked import Asked, Line
from heartfly.calls.figures import answer
from heartfly.calls.forecasts import Period, cost_forecast, period_at
from heartfly.calls.recent import recent_calls
from heartfly.calls.report import Order, costs
from heartfly.calls.series import series
from heartfly.calls.unpriced import unpriced
from heartfly.core.calls import CallFigures, Dimension
from heartfly.core.forecast import LEAST_DAYS, LEVEL
from heartfly.core.money import currency_of
from heartfly.core.windows import Size
from heartfly.db.types import EPOCH, micros
from heartfly.errors import InvalidValueError

_USUAL = timedelta(days=30)
_HOUR = timedelta(hours=1)
_MOST_ROWS = 1_000_000
_Few = list[str] | None
By = Annotated[
    str,
    QueryParameter(
        description="Up to three of provider, model, endpoint, customer, user, key, tag and status, with commas."
    ),
]
Form = Annotated[
    str | None, QueryParameter(name="format", description="json, csv or ndjson; as `Accept` says, if not said.")
]
_TAGS = ["costs"]
_FAILS = told_as(422)


@dataclass(frozen=True, slots=True)
class CallsAsked:
    asked: Asked
    zone: ZoneInfo


async def calls_asked(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    from_at: Annotated[
        str | None,
        QueryParameter(name="from", description="From this instant or day on; 30 days before `to`, if not said."),
    ] = None,
    to_at: Annotated[
        str | None, QueryParameter(name="to", description="Before this instant or day; now if not said.")
    ] = None,
    zone: Annotated[str | None, QueryParameter(description="Whose days; the project's if not said.")] = None,
    provider: Annotated[_Few, QueryParameter(description="Only of these providers; any of them.")] = None,
    model: Annotated[_Few, QueryParameter(description="Only of these models or products.")] = None,
    endpoint: Annotated[_Few, QueryParameter(description="Only at these endpoints.")] = None,
    customer: Annotated[_Few, QueryParameter(description="Only of these, by id, or as they were sent.")] = None,
    user: Annotated[_Few, QueryParameter(description="Only of these users; an empty one: of none.")] = None,
    key: Annotated[_Few, QueryParameter(description="Only with these keys.")] = None,
    tag: Annotated[_Few, QueryParameter(description="Only with one of these tags.")] = None,
    status: Annotated[
        _Few, QueryParameter(name="status", description="Only these: `4xx`, `429`, or `unknown`.")
    ] = None,
) -> CallsAsked:
    where = await zone_of(request, zone)
    end = bound_of(to_at, "to", where) or request.api.clock.now()
    start = bound_of(from_at, "from", where)
    if start is None:
        try:
            start = end - _USUAL
            start -= (start - EPOCH) % _HOUR
        except OverflowError:
            raise InvalidValueError("to", "must be within 1970 to 2200") from None
    given = {
        Dimension.PROVIDER: [one.lower() for one in few(provider, "provider")],
        Dimension.MODEL: few(model, "model"),
        Dimension.ENDPOINT: few(endpoint, "endpoint"),
        Dimension.CUSTOMER: few(customer, "customer"),
        Dimension.USER: few(user, "user"),
        Dimension.KEY: few(key, "key"),
        Dimension.TAG: few(tag, "tag"),
        Dimension.STATUS: few(status, "status"),
    }
    return CallsAsked(
        Asked(from_at=start, to_at=end, filters={of: found for of, found in given.items() if found}), where
    )


ASKED = {"of": Provide(calls_asked)}


@get("/usage/costs", summary="What calls cost", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def call_costs(
    request: ApiRequest,
    of: NamedDependency[CallsAsked],
    *,
    by: By = "provider",
    order: Annotated[
        Literal["cost", "calls", "errors", "unpriced", "latency"],
        QueryParameter(
            description="What comes first: the largest cost, most calls, errors or calls without a price, "
            "or the slowest call."
        ),
    ] = "cost",
    currency: Annotated[
        str | None, QueryParameter(description="In which costs are ranked; that of most rows, if not said.")
    ] = None,
    compare: Annotated[
        bool, QueryParameter(description="Also what the time before came to: as many days or months, or as long.")
    ] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[CostReport]:
    """All rows are ranked, however few are shown."""
    wanted, told_form = by_of(by), form_of(request, form)
    of_list = f"costs-{'+'.join(wanted)}-{order}"
    offset = number(cursor, of_list) or 0
    if not 0 <= offset <= _MOST_ROWS:
        raise InvalidValueError("cursor", "must be the `next` of a page of this list")
    async with request.api.usage.read() as read:
        found = await costs(
            read,
            request.caller.pid,
            of.asked,
            by=wanted,
            zone=of.zone,
            order=Order(order),
            currency=None if currency is None else currency_of(currency),
            compare=compare,
            limit=limit,
            offset=offset,
            now=request.api.clock.now(),
        )
    report = CostReport(
        **told(of.asked.from_at, of.asked.to_at, of.zone.key, found.trust),
        by=[one.value for one in wanted],
        order=order,
        currency=found.currency,
        all=sums_out(found.all),
        before_from=None if found.before is None else found.before.from_at,
        before_to=None if found.before is None else found.before.to_at,
        all_before=None if found.all_before is None else sums_out(found.all_before),
        items=[row_out(one) for one in found.lines],
        others=None if found.others is None else sums_out(found.others),
        n=found.n,
        next=cursor_of(of_list, offset + limit) if offset + limit < found.n else None,
    )
    return _answered(report, told_form)


@get("/usage/costs/series", summary="Costs over time", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def cost_series(
    request: ApiRequest,
    of: NamedDependency[CallsAsked],
    window: Annotated[
        Literal["minute", "hour", "day", "week", "month"], QueryParameter(description="How long each item's time is.")
    ] = "day",
    by: By = "",
    form: Form = None,
) -> Response[CostSeries]:
    """Each window that has begun: without `by` also those without calls, with it a line for each key that had any."""
    wanted, told_form = by_of(by), form_of(request, form)
    async with request.api.usage.read() as read:
        bins, trust = await series(
            read,
            request.caller.pid,
            of.asked,
            size=Size(window),
            zone=of.zone,
            by=wanted,
            times=False,
            now=request.api.clock.now(),
        )
    items = [
        bin_out(line, from_at=one.window.from_at, to_at=one.window.to_at, open=one.open)
        for one in bins
        for line in (one.lines or ([] if wanted else [_NOTHING]))
    ]
    answered = CostSeries(
        **told(of.asked.from_at, of.asked.to_at, of.zone.key, trust),
        window=window,
        by=[one.value for one in wanted],
        items=items,
    )
    return _answered(answered, told_form)


@get("/usage/costs/forecast", summary="What calls will cost", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def cost_ahead(
    request: ApiRequest,
    of: NamedDependency[CallsAsked],
    period: Annotated[
        Literal["day", "week", "month", "quarter", "year"], QueryParameter(description="Until its end.")
    ] = "month",
    form: Form = None,
) -> ForecastAnswer:
    """By currency, to the end of the period that holds now; `from` and `to` say nothing here. Docs: how it is made."""
    demand_json(form_of(request, form))
    now = request.api.clock.now()
    window = period_at(Period(period), of.zone, now)
    async with request.api.usage.read() as read:
        found = await cost_forecast(
            read, request.caller.pid, period=window, filters=of.asked.filters, zone=of.zone, now=now
        )
    return ForecastAnswer(
        **told(window.from_at, window.to_at, of.zone.key, found.trust),
        items=forecasts_out(found),
        days=found.n_days,
        least_days=LEAST_DAYS,
        level=LEVEL,
        unpriced=found.n_unpriced,
    )


@get("/usage/costs/unpriced", summary="Calls without a price", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def calls_unpriced(
    request: ApiRequest, of: NamedDependency[CallsAsked], form: Form = None
) -> Response[UnpricedAnswer]:
    """Products of which some units have no price: those first with most such calls."""
    told_form = form_of(request, form)
    async with request.api.usage.read() as read:
        found, trust = await unpriced(read, request.caller.pid, of.asked, now=request.api.clock.now())
    items = [unpriced_out(one) for one in found]
    return _answered(
        UnpricedAnswer(**told(of.asked.from_at, of.asked.to_at, of.zone.key, trust), items=items), told_form
    )


@get("/usage/calls/statistics", summary="What calls come to", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def call_statistics(request: ApiRequest, of: NamedDependency[CallsAsked], form: Form = None) -> CallStatistics:
    """All of a period: how many, how they ended, how long they took, what they used and cost."""
    demand_json(form_of(request, form))
    asked = of.asked
    async with request.api.usage.read() as read:
        found = await answer(
            read,
            request.caller.pid,
            asked.from_at,
            asked.to_at,
            by=(),
            filters=asked.filters,
            now=request.api.clock.now(),
        )
    whole = found.lines[0].figures if found.lines else CallFigures()
    return CallStatistics(**told(asked.from_at, asked.to_at, of.zone.key, found.trust), figures=times_out(whole))


@get("/usage/calls", summary="Single calls", responses=_FAILS, tags=_TAGS, dependencies=ASKED)
async def list_calls(
    request: ApiRequest,
    of: NamedDependency[CallsAsked],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    form: Form = None,
) -> Response[CallPage]:
    """The newest first. A page looks at 20,000 events at most: it may be short, and the next one goes on."""
    told_form = form_of(request, form)
    after = place_in_time(cursor, "calls")
    async with request.api.usage.read() as read:
        found = await recent_calls(read, request.caller.pid, of.asked, limit=limit, after=after)
    following = None if found.next is None else cursor_of("calls", micros(found.next[0]), found.next[1])
    return _answered(CallPage([call_out(one) for one in found.calls], found.looked_up_to, following), told_form)


_NOTHING = Line(key={}, name={})
"""Of a window without calls."""


def by_of(text: str) -> list[Dimension]:
    """InvalidValueError."""
    found: list[Dimension] = []
    for name in filter(None, (one.strip() for one in text.split(","))):
        try:
            found.append(Dimension(name))
        except ValueError:
            raise InvalidValueError("by", f"must be some of {', '.join(Dimension)}") from None
    return list(dict.fromkeys(found))


def _answered(found: Any, form: Format) -> Response[Any]:
    """`found`: with `items`."""
    if form == "json":
        return Response(found)
    headers = headers_of(found)
    if form == "ndjson":
        return Response(
            b"".join(msgspec.json.encode(one) + b"\n" for one in found.items), media_type=LINES, headers=headers
        )
    columns, rows = flat(found.items)
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow([cell_of(column) for column in columns])
    for row in rows:
        table.writerow([cell_of(row.get(column)) for column in columns])
    return Response(written.getvalue(), media_type=CSV, headers=headers)
