"""Prices of our own meters: list, set, end, delete; and what a customer's use of meters costs by them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, TypeVar

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import bound_of, zone_of
from heartfly.api.v1.wire_meter_prices import (
    MeterCostsOut,
    MeterPriceEnd,
    MeterPriceIn,
    MeterPriceOut,
    MeterPricePage,
    cost_lines_out,
    meter_price_out,
    totals_out,
    wanted_in,
)
from heartfly.core.windows import Size, window_at
from heartfly.db.changes import Tx
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage import meter_prices
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.meter_costs import costs_of
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.price_queries import number_of
from heartfly.usage.question import EARLIEST, LATEST

_TAGS = ["prices"]
_A_MOMENT = timedelta(microseconds=1)
Result = TypeVar("Result")


@get("/meters/{meter_id:str}/prices", summary="List a meter's prices", responses=told_as(404), tags=_TAGS)
async def list_meter_prices(request: ApiRequest, meter_id: FromPath[str]) -> MeterPricePage:
    """By group, and then by time: all of them, in one page."""
    async with request.api.usage.read() as read:
        meter = await find_meter(read, request.caller.pid, meter_id)
        found = await meter_prices.prices_of_meters(read, request.caller.pid, [meter.row.id])
    return MeterPricePage([meter_price_out(one) for one in found[meter.row.id]], None)


@post("/meters/{meter_id:str}/prices", summary="Give a meter a price", responses=told_as(404, 409, 422), tags=_TAGS)
async def create_meter_price(
    request: ApiRequest, meter_id: FromPath[str], data: JSONBody[MeterPriceIn]
) -> Response[MeterPriceOut]:
    """Of all of its figures, or of a group. It holds for what was used then already, too."""
    api, pid, at, actor, wanted = (
        request.api,
        request.caller.pid,
        request.api.clock.now(),
        request.actor,
        wanted_in(data),
    )
    number = await _written(
        request,
        lambda tx: meter_prices.create_meter_price(tx, pid, meter_id, wanted, actor=actor, at=at, ids=api.ids),
    )
    return Response(await _told(request, meter_id, number), status_code=201)


@patch(
    "/meters/{meter_id:str}/prices/{meter_price_id:str}",
    summary="End a meter's price",
    responses=told_as(404, 422),
    tags=_TAGS,
)
async def end_meter_price(
    request: ApiRequest, meter_id: FromPath[str], meter_price_id: FromPath[str], data: JSONBody[MeterPriceEnd]
) -> MeterPriceOut:
    """At an hour, or never. Another amount from then on is a price of its own."""
    api, pid, at, actor, number = (
        request.api,
        request.caller.pid,
        request.api.clock.now(),
        request.actor,
        number_of(meter_price_id),
    )
    await _written(
        request,
        lambda tx: meter_prices.end_meter_price(tx, pid, meter_id, number, data.to_at, actor=actor, at=at, ids=api.ids),
    )
    return await _told(request, meter_id, number)


@delete(
    "/meters/{meter_id:str}/prices/{meter_price_id:str}",
    summary="Delete a meter's price",
    responses=told_as(404),
    tags=_TAGS,
    status_code=204,
)
async def delete_meter_price(request: ApiRequest, meter_id: FromPath[str], meter_price_id: FromPath[str]) -> None:
    """As if it had never been."""
    api, pid, at, actor, number = (
        request.api,
        request.caller.pid,
        request.api.clock.now(),
        request.actor,
        number_of(meter_price_id),
    )
    await _written(
        request,
        lambda tx: meter_prices.delete_meter_price(tx, pid, meter_id, number, actor=actor, at=at, ids=api.ids),
    )


@get("/usage/meter-costs", summary="What the use of meters costs", responses=told_as(404, 422), tags=_TAGS)
async def meter_costs(
    request: ApiRequest,
    customer: Annotated[str | None, QueryParameter(description="Only his, by id; all customers' if not said.")] = None,
    meter: Annotated[str | None, QueryParameter(description="Only of this one, by slug or id.")] = None,
    from_: Annotated[
        str | None,
        QueryParameter(name="from", description="From this instant or day on; the month's beginning if not said."),
    ] = None,
    to: Annotated[str | None, QueryParameter(description="Before this instant or day; now if not said.")] = None,
) -> MeterCostsOut:
    """Out of rollups, at the price in force at each hour; lines that add up to the totals, to the last digit."""
    api, pid, now = request.api, request.caller.pid, request.api.clock.now()
    zone = await zone_of(request, None)
    end = bound_of(to, "to", zone) or now
    if not EARLIEST <= end <= LATEST:
        raise InvalidValueError("to", "must be within 1970 to 2200")
    start = bound_of(from_, "from", zone) or window_at(Size.MONTH, zone, end - _A_MOMENT).from_at
    async with api.usage.read() as read:
        found = await costs_of(read, pid, from_at=start, to_at=end, zone=zone, now=now, customer=customer, meter=meter)
    return MeterCostsOut(
        from_at=start,
        to_at=end,
        customer_id=customer,
        lines=cost_lines_out(found),
        totals=totals_out(found),
        lines_without_cost=found.n_unpriced,
    )


async def _written(request: ApiRequest, command: Callable[[Tx], Result]) -> Result:
    """Its entry in the audit is carried over once it is done."""
    result = await request.api.usage.write(command)
    await carry_or_wait(request.api.usage, request.api.database)
    return result


async def _told(request: ApiRequest, meter_id: str, number: int) -> MeterPriceOut:
    async with request.api.usage.read() as read:
        meter = await find_meter(read, request.caller.pid, meter_id)
        found = await meter_prices.prices_of_meters(read, request.caller.pid, [meter.row.id])
    for one in found[meter.row.id]:
        if one.price.id == number:
            return meter_price_out(one)
    raise NotFoundError("the meter has no such price")
