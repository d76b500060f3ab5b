"""Prices of calls: list, add, change from an instant on, end, delete, see what that would change, read in a file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from litestar import Response, delete, get, patch, post
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_at, cut, instant_of, text_at
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_prices import (
    PriceEdit,
    PriceImportOut,
    PriceIn,
    PriceOut,
    PricePage,
    PricePreviewIn,
    PricesPreview,
    change_in,
    edit_in,
    foreseen_out,
    imported_out,
    price_in,
    price_out,
)
from heartfly.core.price_given import tier_of
from heartfly.core.price_shelf import Add, Change, Remove
from heartfly.core.prices import ALWAYS
from heartfly.db.changes import Tx
from heartfly.usage import price_imports, price_queries
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.price_imports import MOST_BYTES, read_file
from heartfly.usage.price_preview import foresee_change, foresee_import
from heartfly.usage.price_queries import Filter, edge_of, number_of, one_price
from heartfly.usage.prices import change_prices

_TAGS = ["prices"]
_LIST = "prices"
Result = TypeVar("Result")


class TakesPrices(Operation):
    """For the schema: the handler reads the body by itself."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            description="The file as it is: LiteLLM's list as JSON, or a table as CSV.",
            content={"application/json": OpenAPIMediaType(), "text/csv": OpenAPIMediaType()},
            required=True,
        )


@get("/prices", summary="List prices", responses=told_as(422), tags=_TAGS)
async def list_prices(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    provider: Annotated[str | None, QueryParameter(description="Only of this provider.")] = None,
    product: Annotated[str | None, QueryParameter(description="Only of this product; `*`: of every one.")] = None,
    unit: Annotated[str | None, QueryParameter(description="Only of this kind of unit.")] = None,
    tier: Annotated[str | None, QueryParameter(description="Only of this tier; empty: the standard one.")] = None,
    source: Annotated[Literal["hand", "litellm", "csv"] | None, QueryParameter(description="Left out: any.")] = None,
    at: Annotated[str | None, QueryParameter(description="Only those in force at this instant.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> PricePage:
    """By provider, product, unit, tier, condition, and then by time."""
    which = Filter(
        provider=provider or "",
        product=product or "",
        unit=unit or "",
        tier=None if tier is None else tier_of(tier),
        source=source or "",
        at=instant_of(at, field="at"),
    )
    after = text_at(cursor, _LIST)
    async with request.api.usage.read() as read:
        rows = await price_queries.list_prices(read, request.caller.pid, which, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda one: cursor_at(_LIST, edge_of(one)))
    return PricePage([price_out(one) for one in page], following)


@post("/prices", summary="Add a price", responses=told_as(409, 422), tags=_TAGS)
async def create_price(request: ApiRequest, data: JSONBody[PriceIn]) -> Response[PriceOut]:
    """Calls of its time are charged by it, also those that were made already. See `/v1/prices/preview`."""
    number = await _changed(request, Add(price_in(data)))
    answer = Response(await _told(request, number), status_code=201)
    answer.headers["Location"] = f"{request.api.base_url}/v1/prices/{number}"
    return answer


@get("/prices/{price_id:str}", summary="Read a price", responses=told_as(404), tags=_TAGS)
async def read_price(request: ApiRequest, price_id: FromPath[str]) -> PriceOut:
    return await _told(request, number_of(price_id))


@patch("/prices/{price_id:str}", summary="Change a price", responses=told_as(404, 409, 422), tags=_TAGS)
async def edit_price(request: ApiRequest, price_id: FromPath[str], data: JSONBody[PriceEdit]) -> PriceOut:
    """Another amount from an instant on is a price of its own, which is told; the other one ends there."""
    return await _told(request, await _changed(request, edit_in(price_id, data)))


@delete("/prices/{price_id:str}", summary="Delete a price", responses=told_as(404), tags=_TAGS, status_code=204)
async def delete_price(request: ApiRequest, price_id: FromPath[str]) -> None:
    """As if it had never been: calls of its time have no price of its kind. To end one, change its `to_at`."""
    await _changed(request, Remove(number_of(price_id)))


@post(
    "/prices/preview",
    summary="Preview a change of prices",
    responses=told_as(404, 422),
    tags=_TAGS,
    status_code=200,
)
async def preview_prices(request: ApiRequest, data: JSONBody[PricePreviewIn]) -> PricesPreview:
    """What the calls of its time cost, and would cost. Changes nothing."""
    change, hands = change_in(data), request.api.closer.hands
    hands.demand_room()
    place, pid, now = request.api.usage.place, request.caller.pid, request.api.clock.now()
    return foreseen_out(await hands.run(foresee_change, place, pid, change, now))


@post(
    "/prices/imports",
    summary="Read in a file of prices",
    responses=told_as(409, 413, 422),
    tags=_TAGS,
    status_code=200,
    request_max_body_size=MOST_BYTES,
    operation_class=TakesPrices,
)
async def import_prices(
    request: ApiRequest,
    kind: Annotated[Literal["litellm", "csv"], QueryParameter(name="format", description="What the body is.")],
    from_: Annotated[
        str | None,
        QueryParameter(name="from", description="From when its prices hold: an instant, or `always`; now if not said."),
    ] = None,
    *,
    dry_run: Annotated[bool, QueryParameter(description="Tell what it would change, and change nothing.")] = False,
    over_hand: Annotated[
        bool, QueryParameter(description="Also in the place of prices that somebody has set by hand.")
    ] = False,
) -> PriceImportOut:
    """Only prices that are others than those in force become new ones: a file can be read in again and again."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    hands, from_at = api.closer.hands, _from(from_, at)
    raw = await request.body()
    hands.demand_room()
    if dry_run:
        told = await hands.run(foresee_import, api.usage.place, pid, raw, kind, from_at=from_at, over_hand=over_hand)
        return imported_out(told.file, told.imported, calls=told.calls)
    file = await hands.run(read_file, raw, kind, from_at=from_at)
    found = await _written(
        request,
        lambda tx: price_imports.import_prices(tx, pid, file, over_hand=over_hand, actor=actor, at=at, ids=api.ids),
    )
    return imported_out(file, found, calls=None)


def _from(text: str | None, now: datetime) -> datetime:
    return ALWAYS if text == "always" else instant_of(text, field="from") or now


async def _changed(request: ApiRequest, change: Change) -> int:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    return await _written(request, lambda tx: change_prices(tx, pid, change, actor=actor, at=at, ids=api.ids))


async def _written(request: ApiRequest, command: Callable[[Tx], Result]) -> Result:
    """Its entry in the audit is carried over once it is done."""
    result = await request.api.usage.write(command)
    await carry_or_wait(request.api.usage, request.api.database)
    return result


async def _told(request: ApiRequest, number: int) -> PriceOut:
    async with request.api.usage.read() as read:
        return price_out(await one_price(read, request.caller.pid, number))
