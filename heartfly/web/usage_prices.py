"""Prices of calls in the browser: which there are, and a form that adds one, with what calls would cost by it.

One of them, with its versions over time, is in usage_price.py. Which price counts is core/prices.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from litestar import Response, get, post

from heartfly.api.paging import cursor_at, cut, instant_of, text_at
from heartfly.core.days import day_in
from heartfly.core.money import Rate, money_text, rate_text
from heartfly.core.price_given import price_given
from heartfly.core.price_shelf import Add, Change
from heartfly.core.prices import ALWAYS, EVERY, Price
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import price_queries
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.price_preview import MOST_EVENTS, PricesForeseen, foresee_change
from heartfly.usage.price_queries import Filter, edge_of
from heartfly.usage.prices import change_prices
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.sign_in import to

PAGE = 50
LABELS = {
    "provider": "Provider", "product": "Product", "unit": "Kind of unit", "amount": "Price of one",
    "currency": "Currency", "tier": "Tier", "condition": "Condition", "from": "From", "to": "Until",
}  # fmt: skip
FIELDS = {"from_at": "from", "to_at": "to"}
"""How a field of a price is called in a form."""
_LIST = "prices"
_MOST_TEXT = 400
_MILLION = 1_000_000
_SMALL: Rate = 10**27
"""A thousandth: what is less is told by the million, too."""


@get("/p/{project:str}/usage/prices")
async def show_prices(request: PageRequest) -> Response[bytes]:
    """`provider`, `product`, `unit` and `at` in the query: only those; `after`: from where on."""
    asked = {
        name: request.query_params.get(name, "").strip()[:_MOST_TEXT] for name in ("provider", "product", "unit", "at")
    }
    pid, after, errors = request.project.pid, text_at(request.query_params.get("after"), _LIST), dict[str, str]()
    zone, at = await zone_in(request), None
    try:
        at = moment_in(asked["at"], zone, "at")
    except InvalidValueError as error:
        errors["at"] = error.message
    which = Filter(provider=asked["provider"], product=asked["product"], unit=asked["unit"], at=at)
    async with request.api.usage.read() as read:
        rows = [] if errors else await price_queries.list_prices(read, pid, which, after=after, limit=PAGE + 1)
        n = await price_queries.count_prices(read, pid, which)
        providers = await price_queries.providers_of(read, pid)
        example = None if providers else await price_queries.example_of(read, pid)
    page, following = cut(rows, PAGE, lambda one: cursor_at(_LIST, edge_of(one)))
    kept = {name: text for name, text in asked.items() if text}
    return await request.page(
        "usage_prices.html",
        status=422 if errors else 200,
        prices=page,
        n=n,
        asked=asked,
        providers=providers,
        example=example,
        to_add=urlencode(
            {"provider": example.provider, "product": example.product, "unit": example.unit} if example else {}
        ),
        errors=errors,
        is_filtered=bool(kept),
        is_first=after is None,
        following=urlencode(kept | {"after": following}) if following else "",
        first=urlencode(kept),
        every=EVERY,
        always=ALWAYS,
        rate=rate_text,
        by_million=by_million,
        zone=zone.key,
    )


@get("/p/{project:str}/usage/prices/new", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    """What the query says stands in the form."""
    return await _form(request, {name: request.query_params.get(name, "")[:_MOST_TEXT] for name in LABELS})


@post("/p/{project:str}/usage/prices/new", opt=FOR_WRITERS, status_code=200)
async def preview_or_add(request: PageRequest) -> Response[bytes]:
    """With `preview` it says what calls would cost by it, and adds nothing."""
    form = await request.sent()
    typed = {name: form[name].strip()[:_MOST_TEXT] for name in LABELS}
    try:
        change = Add(await _wanted(request, typed))
        if form["preview"]:
            return await _form(request, typed, found=await foreseen(request, change))
        number = await changed(request, change)
    except InvalidValueError as error:
        return await _form(request, typed, status=422, errors={FIELDS.get(error.field, error.field): error.message})
    except ConflictError as error:
        return await _form(request, typed, status=409, errors={"": str(error)})
    return to(request, f"/p/{request.project.slug}/usage/prices/{number}?saved=1")


async def _wanted(request: PageRequest, typed: Mapping[str, str]) -> Price:
    zone = await zone_in(request)
    return price_given(
        provider=typed["provider"],
        product=typed["product"],
        unit=typed["unit"],
        amount=typed["amount"],
        currency=typed["currency"],
        tier=typed["tier"],
        condition=typed["condition"],
        from_at=moment_in(typed["from"], zone, "from_at"),
        to_at=moment_in(typed["to"], zone, "to_at"),
    )


async def foreseen(request: PageRequest, change: Change) -> PricesForeseen:
    """InvalidValueError, NotFoundError; OverloadedError: too much is being worked out."""
    hands = request.api.closer.hands
    hands.demand_room()
    api = request.api
    return await hands.run(foresee_change, api.usage.place, request.project.pid, change, api.clock.now())


async def changed(request: PageRequest, change: Change) -> int:
    """The id of the price that holds by it. InvalidValueError, ConflictError, NotFoundError."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    number = await api.usage.write(lambda tx: change_prices(tx, pid, change, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)
    return number


async def zone_in(request: PageRequest) -> ZoneInfo:
    """The project's."""
    async with request.api.database.read() as main:
        return await zone_of(main, request.project.pid)


def moment_in(typed: str, zone: ZoneInfo, field: str) -> datetime | None:
    """An instant, or the beginning of a day of the zone; None: nothing was typed. InvalidValueError."""
    text = typed.strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-03-02") else None
    except ValueError:
        day = None
    if day is not None and 1970 < day.year < 2199:
        return day_in(zone, day).from_at
    try:
        found = instant_of(text, field=field)
    except InvalidValueError:
        raise InvalidValueError(
            field, "must be a day such as 2026-03-02, or an instant such as 2026-03-02T01:30:00Z"
        ) from None
    return None if found is None else found.astimezone(UTC)


def by_million(amount: Rate) -> str:
    """What a million cost, where one costs so little that nobody can read it; else empty."""
    return rate_text(amount * _MILLION) if 0 < amount < _SMALL else ""


def sums(found: PricesForeseen) -> list[tuple[str, str, str]]:
    """By currency, what calls cost now, and would cost."""
    named = sorted(found.before.keys() | found.after.keys())
    return [(one, money_text(found.before.get(one, 0)), money_text(found.after.get(one, 0))) for one in named]


async def _form(
    request: PageRequest,
    typed: Mapping[str, str],
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    found: PricesForeseen | None = None,
) -> Response[bytes]:
    return await request.page(
        "usage_price_form.html",
        status=status,
        typed=typed,
        labels=LABELS,
        errors=errors or {},
        found=found,
        sums=[] if found is None else sums(found),
        most_events=MOST_EVENTS,
        zone=(await zone_in(request)).key,
    )


def form_of(form: Form, names: Mapping[str, str]) -> dict[str, str]:
    """As typed."""
    return {name: form[name].strip()[:_MOST_TEXT] for name in names}
