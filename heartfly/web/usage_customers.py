"""Customers in the browser: who there is, what senders call them, names that nobody knows; export and erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from litestar import Response, get, post
from litestar.response import Stream

from heartfly.api.paging import cursor_of, cut, number
from heartfly.api.v1.wire_usage import customer_out, event_out
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.traffic import report_mails, report_shares
from heartfly.usage import customer_queries as queries
from heartfly.usage import customers
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.customers import Edit
from heartfly.usage.erasure import erase_customer
from heartfly.usage.event_queries import customers_events
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, PageRequest, rev_of_form
from heartfly.web.sign_in import to
from heartfly.web.traffic_panels import shown, view_from
from heartfly.web.usage_of_customer import spent_lately, used_lately
from heartfly.web.usage_traffic import context

PAGE = 50
UNKNOWN = 20
_LINES = "application/x-ndjson"
_PANELS = ("sums", "course", "endpoints", "slow", "statuses", "keys")
"""Of his requests, on his page."""


@get("/p/{project:str}/usage/customers")
async def show_customers(request: PageRequest) -> Response[bytes]:
    return await _list(request)


@post("/p/{project:str}/usage/customers", status_code=200)
async def add(request: PageRequest) -> Response[bytes]:
    """A new customer, `name` with `alias`; or with `to`, that alias for the customer of this id."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form = await request.sent()
    name, alias, known = form["name"], form["alias"], form["to"]
    wanted = [alias] if alias else []
    try:
        if known:
            edit = Edit(add=wanted)
            await api.usage.write(
                lambda tx: customers.edit_customer(tx, pid, known, edit, actor=actor, at=at, ids=api.ids)
            )
        else:
            known, _ = await api.usage.write(
                lambda tx: customers.create_customer(
                    tx, pid, name=name or alias, wanted=wanted, actor=actor, at=at, ids=api.ids
                )
            )
    except InvalidValueError as error:
        field = "name" if error.field == "name" else "alias"
        return await _list(request, status=422, errors={field: error.message}, typed={"name": name, "alias": alias})
    except ConflictError as error:
        return await _list(request, status=409, errors={"alias": str(error)}, typed={"name": name, "alias": alias})
    await carry_or_wait(api.usage, api.database)
    return to(request, _path(request, known))


@get("/p/{project:str}/usage/customers/{customer:str}")
async def show(request: PageRequest) -> Response[bytes]:
    return await _one(request)


@post("/p/{project:str}/usage/customers/{customer:str}", status_code=200)
async def edit(request: PageRequest) -> Response[bytes]:
    """`name`, and `aliases` a line each: all that there shall be. With `archived`, whether he is."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form, public_id = await request.sent(), request.path_value("customer")
    if "archived" in form:
        wanted = Edit(archived=form["archived"] == "1")
    else:
        lines = [line for line in form["aliases"].replace("\r\n", "\n").split("\n") if line.strip()]
        wanted = Edit(name=form["name"], aliases=lines)
    rev, typed = rev_of_form(form["rev"]), {"name": form["name"], "aliases": form["aliases"]}
    try:
        moved = await api.usage.write(
            lambda tx: customers.edit_customer(tx, pid, public_id, wanted, actor=actor, at=at, ids=api.ids, rev=rev)
        )
    except InvalidValueError as error:
        return await _one(request, status=422, errors={error.field.partition("[")[0]: error.message}, typed=typed)
    except ChangedMeanwhileError:
        said = "somebody changed him since you opened the page; look at what is there now, and save again"
        return await _one(request, status=409, errors={"": said})
    except ConflictError as error:
        return await _one(request, status=409, errors={"aliases": str(error)}, typed=typed)
    await carry_or_wait(api.usage, api.database)
    return to(request, _path(request, public_id) + (f"?moved={len(moved)}" if moved else ""))


@get("/p/{project:str}/usage/customers/{customer:str}/export")
async def export(request: PageRequest) -> Stream:
    """He himself and all his events, a line each, as the API gives it."""
    api, pid = request.api, request.project.pid
    async with api.usage.read() as read:
        row = await queries.one_customer(read, pid, request.path_value("customer"))
        aliases = await queries.aliases_of(read, pid, [row])

    async def lines() -> AsyncIterator[str]:
        yield f'{{"customer":{msgspec.json.encode(customer_out(row, aliases[row.id])).decode()}}}\n'
        async for piece in customers_events(api.usage, pid, row.uuid):
            yield "".join(f'{{"event":{msgspec.json.encode(event_out(one)).decode()}}}\n' for one in piece)

    named = {"Content-Disposition": f'attachment; filename="customer-{row.uuid}.ndjson"'}
    return Stream(lines(), media_type=_LINES, headers=named)


@post("/p/{project:str}/usage/customers/{customer:str}/erase", opt=FOR_WRITERS, status_code=200)
async def erase(request: PageRequest) -> Response[bytes]:
    """`sure`: his name once more, as it cannot be undone."""
    api, pid, form = request.api, request.project.pid, await request.sent()
    async with api.usage.read() as read:
        row = await queries.one_customer(read, pid, request.path_value("customer"))
    if form["sure"] != row.name:
        return await _one(request, status=422, errors={"sure": "must be his name; nothing was erased"})
    actor, at = request.actor, api.clock.now()
    await erase_customer(
        api.usage, api.database, pid, row.uuid, rev=None, actor=actor, at=at, ids=api.ids, sealer=api.sealer
    )
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/customers")


def _path(request: PageRequest, public_id: str) -> str:
    return f"/p/{request.project.slug}/usage/customers/{quote(public_id, safe='')}"


async def _list(
    request: PageRequest,
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response[bytes]:
    pid, given = request.project.pid, request.query_params
    archived = given.get("archived") == "1"
    after, after_unknown = number(given.get("after"), "customers"), number(given.get("unknown"), "unknown")
    async with request.api.usage.read() as read:
        rows = await queries.list_customers(read, pid, archived=archived, after=after, limit=PAGE + 1)
        page, following = cut(rows, PAGE, lambda row: cursor_of("customers", row.id))
        aliases = await queries.aliases_of(read, pid, page)
        found: Sequence[Any] = await queries.unknown_subjects(read, pid, after=after_unknown, limit=UNKNOWN + 1)
        unknown, more = cut(found, UNKNOWN, lambda row: cursor_of("unknown", row.id))
        counts = [await queries.count_of(read, pid, row.id) for row in unknown]
    kept = {"archived": "1"} if archived else {}
    return await request.page(
        "usage_customers.html",
        status=status,
        customers=[(row, aliases[row.id]) for row in page],
        following=urlencode(kept | {"after": following}) if following else "",
        is_first=after is None,
        archived=archived,
        unknown=list(zip(unknown, counts, strict=True)),
        more=urlencode({"unknown": more}) if more else "",
        most=queries.MOST_COUNTED,
        errors=errors or {},
        typed=typed or {"name": "", "alias": ""},
        base_url=request.api.base_url,
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0


async def _one(
    request: PageRequest,
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response[bytes]:
    pid, now = request.project.pid, request.api.clock.now()
    async with request.api.database.read() as main:
        zone = await zone_of(main, pid)
    async with request.api.usage.read() as read:
        row = await queries.one_customer(read, pid, request.path_value("customer"))
        aliases = (await queries.aliases_of(read, pid, [row]))[row.id]
        usage = await used_lately(read, pid, row.uuid, zone=zone, now=now)
        spent = await spent_lately(read, pid, row.uuid, usage, now=now)
    async with request.api.database.read() as main:
        links = await report_shares.shares_of(main, pid, row.uuid, now=now)
        mails = await report_mails.mails_of(main, pid, row.uuid)
    # What is told of a form that was refused stays, and its address is none that a page could be asked for at.
    live = {} if errors else {"live": await request.live_mark()}
    view = await view_from(request, f"/customers/{row.uuid}", customer=row.uuid)
    panels = await shown(request, view, _PANELS)
    return await request.page(
        "usage_customer.html",
        status=422 if view.errors and status == 200 else status,
        customer=row,
        aliases=aliases,
        usage=usage,
        spent=spent,
        links=links,
        mails=mails,
        moved=_number(request.query_params.get("moved", "")) if status == 200 else 0,
        errors=errors or {},
        typed=typed or {"name": row.name, "aliases": "\n".join(aliases)},
        **live,
        **context(request, view, panels),
    )
