"""Customers: list, add, read, edit, archive; whom nobody knows; what Heartfly has of one, and its erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_corrections import correction_out
from heartfly.api.v1.wire_usage import (
    CustomerEdit,
    CustomerIn,
    CustomerOut,
    CustomerPage,
    ErasedOut,
    UnknownPage,
    customer_out,
    event_out,
    unknown_out,
)
from heartfly.errors import InvalidValueError
from heartfly.usage import customer_queries as queries
from heartfly.usage import customers
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.correction_queries import customers_corrections
from heartfly.usage.customers import Edit, Moved
from heartfly.usage.erasure import erase_customer as erase
from heartfly.usage.event_queries import customers_events

T = TypeVar("T")
_LINES = "application/x-ndjson"


@get("/customers", summary="List customers", responses=told_as(422), tags=["usage"])
async def list_customers(
    request: ApiRequest,
    *,
    archived: Annotated[bool, QueryParameter(description="With those that are archived.")] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> CustomerPage:
    """In the order in which they were made."""
    pid, after = request.caller.pid, number(cursor, "customers")
    async with request.api.usage.read() as read:
        rows = await queries.list_customers(read, pid, archived=archived, after=after, limit=limit + 1)
        page, following = cut(rows, limit, lambda row: cursor_of("customers", row.id))
        aliases = await queries.aliases_of(read, pid, page)
    return CustomerPage([customer_out(row, aliases[row.id]) for row in page], following)


@post("/customers", summary="Add a customer", responses=told_as(409, 422), tags=["usage"])
async def create_customer(request: ApiRequest, data: JSONBody[CustomerIn]) -> Response[CustomerOut]:
    """An alias that was another customer's is his from now on, with all the usage under it: see `moved`."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    uuid, moved = await api.usage.write(
        lambda tx: customers.create_customer(
            tx, pid, name=data.name, wanted=data.aliases, actor=actor, at=at, ids=api.ids
        )
    )
    await carry_or_wait(api.usage, api.database)
    answer = await _told(request, uuid, moved, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/customers/{uuid}"
    return answer


@get("/customers/unknown", summary="List whom nobody knows", responses=told_as(422), tags=["usage"])
async def list_unknown(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> UnknownPage:
    """Each `customer_id` in events that is no customer's alias, in the order in which they came up."""
    pid, after = request.caller.pid, number(cursor, "unknown")
    async with request.api.usage.read() as read:
        rows = await queries.unknown_subjects(read, pid, after=after, limit=limit + 1)
        page, following = cut(rows, limit, lambda row: cursor_of("unknown", row.id))
        items = [unknown_out(row.text, await queries.count_of(read, pid, row.id), row.last_at) for row in page]
    return UnknownPage(items, following)


@get("/customers/{customer_id:str}", summary="Read a customer", responses=told_as(404), tags=["usage"])
async def read_customer(request: ApiRequest, customer_id: FromPath[str]) -> Response[CustomerOut]:
    return await _told(request, customer_id)


@patch("/customers/{customer_id:str}", summary="Edit a customer", responses=told_as(404, 409, 412, 422), tags=["usage"])
async def edit_customer(
    request: ApiRequest, customer_id: FromPath[str], data: JSONBody[CustomerEdit], if_match: IfMatch = None
) -> Response[CustomerOut]:
    """An alias that was another customer's moves, with all the usage under it: see `moved`."""
    api, pid, at, rev, actor = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match), request.actor
    edit = Edit(
        name=_given(data.name),
        aliases=_given(data.aliases),
        add=data.add_aliases,
        remove=data.remove_aliases,
        archived=_given(data.archived),
    )
    moved = await api.usage.write(
        lambda tx: customers.edit_customer(tx, pid, customer_id, edit, actor=actor, at=at, ids=api.ids, rev=rev)
    )
    await carry_or_wait(api.usage, api.database)
    return await _told(request, customer_id, moved)


@delete("/customers/{customer_id:str}", summary="Archive a customer", responses=told_as(404, 412, 422), tags=["usage"])
async def archive_customer(request: ApiRequest, customer_id: FromPath[str], if_match: IfMatch = None) -> None:
    """He is not listed any more. His aliases and his usage stay his; to remove those, erase him."""
    api, pid, at, rev, actor = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match), request.actor
    await api.usage.write(
        lambda tx: customers.archive_customer(tx, pid, customer_id, actor=actor, at=at, ids=api.ids, rev=rev)
    )
    await carry_or_wait(api.usage, api.database)


@get(
    "/customers/{customer_id:str}/export",
    summary="Export a customer",
    responses=told_as(404),
    tags=["usage"],
    media_type=_LINES,
)
async def export_customer(request: ApiRequest, customer_id: FromPath[str]) -> Stream:
    """He himself, all his events and what they were before they were corrected, newest first: a line of JSON for each.
    If the transfer is cut off, what came is not all of it.
    """
    api, pid = request.api, request.caller.pid
    async with api.usage.read() as read:
        row = await queries.one_customer(read, pid, customer_id)
        aliases = await queries.aliases_of(read, pid, [row])
    head = msgspec.json.encode(customer_out(row, aliases[row.id])).decode()
    named = {"Content-Disposition": f'attachment; filename="customer-{row.uuid}.ndjson"'}
    return Stream(_lines(request, head, row.uuid), media_type=_LINES, headers=named)


async def _lines(request: ApiRequest, head: str, uuid: str) -> AsyncIterator[str]:
    yield f'{{"customer":{head}}}\n'
    async for piece in customers_events(request.api.usage, request.caller.pid, uuid):
        yield "".join(f'{{"event":{msgspec.json.encode(event_out(one)).decode()}}}\n' for one in piece)
    async for some in customers_corrections(request.api.usage, request.caller.pid, uuid):
        yield "".join(f'{{"correction":{msgspec.json.encode(correction_out(one)).decode()}}}\n' for one in some)


@post(
    "/customers/{customer_id:str}/erase",
    summary="Erase a customer",
    responses=told_as(404, 412, 422),
    tags=["usage"],
    status_code=200,
)
async def erase_customer(
    request: ApiRequest,
    customer_id: FromPath[str],
    confirm: Annotated[str, QueryParameter(description="His id once more, as it cannot be undone.")] = "",
    if_match: IfMatch = None,
) -> ErasedOut:
    """With all his events; what they came to is worked out anew. What is sent again does not come back."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    async with api.usage.read() as read:
        row = await queries.one_customer(read, pid, customer_id)
    if confirm.lower() != row.uuid:
        raise InvalidValueError("confirm", f"must be the customer's id, {row.uuid}; nothing was erased")
    n = await erase(
        api.usage, api.database, pid, row.uuid, rev=rev, actor=request.actor, at=at, ids=api.ids, sealer=api.sealer
    )
    await carry_or_wait(api.usage, api.database)
    return ErasedOut(n)


async def _told(
    request: ApiRequest, customer_id: str, moved: Sequence[Moved] = (), *, status: int = 200
) -> Response[CustomerOut]:
    pid = request.caller.pid
    async with request.api.usage.read() as read:
        row: Any = await queries.one_customer(read, pid, customer_id)
        aliases = await queries.aliases_of(read, pid, [row])
    return Response(customer_out(row, aliases[row.id], moved), status_code=status, headers={"ETag": etag(row.rev)})


def _given(value: T | msgspec.UnsetType) -> T | None:
    return None if isinstance(value, msgspec.UnsetType) else value
