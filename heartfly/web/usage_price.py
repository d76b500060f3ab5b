"""One price in the browser: its versions over time, and to let another hold, to end it, and to delete it.

Each is foreseen before it is done: the first sending says what calls would cost, the second one does it.
"""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Response, get, post

from heartfly.core.money import currency_of, rate_text
from heartfly.core.price_given import amount_of
from heartfly.core.price_shelf import Change, End, Remove, Reprice
from heartfly.core.prices import ALWAYS, EVERY
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import price_queries
from heartfly.usage.price_preview import MOST_EVENTS, PricesForeseen
from heartfly.usage.price_queries import number_of
from heartfly.web.request import PageRequest
from heartfly.web.sign_in import to
from heartfly.web.usage_prices import FIELDS, by_million, changed, foreseen, form_of, moment_in, sums, zone_in

LABELS = {"amount": "Price of one", "currency": "Currency", "from": "From", "to": "Until"}
_DONE = {"reprice": "change", "end": "end", "delete": "delete"}


@get("/p/{project:str}/usage/prices/{price:str}")
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request)


@post("/p/{project:str}/usage/prices/{price:str}", status_code=200)
async def change(request: PageRequest) -> Response[bytes]:
    """`do`: reprice, end or delete; it is foreseen, and done with `sure`."""
    form = await request.sent()
    do, typed = form["do"], form_of(form, LABELS)
    if do not in _DONE:
        raise InvalidValueError("do", "must be reprice, end or delete")
    try:
        wanted = await _wanted(request, do, typed)
        if not form["sure"]:
            return await _page(request, do=do, typed=typed, found=await foreseen(request, wanted))
        number = await changed(request, wanted)
    except InvalidValueError as error:
        field = FIELDS.get(error.field, error.field)
        return await _page(request, status=422, do=do, typed=typed, errors={field: error.message})
    except ConflictError as error:
        return await _page(request, status=409, do=do, typed=typed, errors={"": str(error)})
    back = f"/p/{request.project.slug}/usage/prices"
    return to(request, back if do == "delete" else f"{back}/{number}?saved=1")


async def _wanted(request: PageRequest, do: str, typed: Mapping[str, str]) -> Change:
    number, zone = number_of(request.path_value("price")), await zone_in(request)
    if do == "delete":
        return Remove(number)
    if do == "end":
        return End(number, moment_in(typed["to"], zone, "to_at"))
    return Reprice(
        number,
        amount_of(typed["amount"]),
        currency_of(typed["currency"]) if typed["currency"] else None,
        moment_in(typed["from"], zone, "from_at"),
    )


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    do: str = "",
    typed: Mapping[str, str] | None = None,
    found: PricesForeseen | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response[bytes]:
    pid, number = request.project.pid, number_of(request.path_value("price"))
    async with request.api.usage.read() as read:
        one = await price_queries.one_price(read, pid, number)
        versions = await price_queries.versions_of(read, pid, one.price)
    return await request.page(
        "usage_price.html",
        status=status,
        one=one,
        price=one.price,
        versions=versions,
        do=do,
        done=_DONE.get(do, ""),
        typed=typed or dict.fromkeys(LABELS, "") | {"currency": one.price.currency},
        labels=LABELS,
        errors=errors or {},
        found=found,
        sums=[] if found is None else sums(found),
        most_events=MOST_EVENTS,
        saved=request.query_params.get("saved", "") == "1" and status == 200 and found is None,
        lies_ahead=one.price.from_at > request.api.clock.now(),
        now=request.api.clock.now(),
        every=EVERY,
        always=ALWAYS,
        rate=rate_text,
        by_million=by_million,
        zone=(await zone_in(request)).key,
    )
