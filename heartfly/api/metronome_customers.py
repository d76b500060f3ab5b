"""Metronome's calls for customers and for the search of events, on what the rooms have: its names for our things.

Custom fields and billing configurations are not kept: what asks for them is answered as if there were none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.keys import Scope
from heartfly.api.metronome_metrics import metric
from heartfly.api.paging import cursor_of, cut, number
from heartfly.api.request import ApiRequest
from heartfly.core.events import read as read_json
from heartfly.core.meters import Counted, counted
from heartfly.core.versions import in_force
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage import customer_queries as queries
from heartfly.usage import customers, meter_queries
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.customers import Edit
from heartfly.usage.event_queries import Shown, one_event
from heartfly.usage.meter_queries import Stored

MOST_OF_NAME = 160
"""Characters; what is longer is cut, as there."""
_MOST_ASKED = 100
_MOST_METRICS = 1_000
_READS = {"scope": Scope.READ}


class CustomerIn(msgspec.Struct):
    """Further fields, of which there are many, are not read."""

    name: str
    ingest_aliases: list[str] = []
    external_id: str = ""


class CustomerId(msgspec.Struct):
    id: str


class NameIn(msgspec.Struct):
    name: str


class AliasesIn(msgspec.Struct):
    ingest_aliases: list[str]


class SearchIn(msgspec.Struct):
    transaction_ids: list[str] = msgspec.field(name="transactionIds")


@post("/v1/customers", status_code=200)
async def create_customer(request: ApiRequest, data: JSONBody[CustomerIn]) -> dict[str, Any]:
    """An alias that was another customer's is his from now on, as by setIngestAliases."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    wanted = [*data.ingest_aliases, *([data.external_id] if data.external_id else [])]
    uuid, _ = await api.usage.write(
        lambda tx: customers.create_customer(
            tx, pid, name=data.name[:MOST_OF_NAME], wanted=wanted, actor=actor, at=at, ids=api.ids
        )
    )
    await carry_or_wait(api.usage, api.database)
    return {"data": await _told(request, uuid)}


@get("/v1/customers")
async def list_customers(
    request: ApiRequest,
    *,
    customer_ids: Annotated[list[str] | None, QueryParameter()] = None,
    ingest_alias: Annotated[str | None, QueryParameter()] = None,
    only_archived: Annotated[bool, QueryParameter()] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_ASKED)] = _MOST_ASKED,
    next_page: Annotated[str | None, QueryParameter()] = None,
) -> dict[str, Any]:
    """In the order in which they were made; those that are archived only if they are asked for."""
    pid, ids = request.caller.pid, [one for text in customer_ids or () for one in text.split(",") if one]
    if len(ids) > _MOST_ASKED:
        raise InvalidValueError("customer_ids", f"are more than {_MOST_ASKED}")
    rows: Sequence[Any]
    following: str | None = None
    async with request.api.usage.read() as read:
        if ids or ingest_alias:
            named = await _named(read, pid, ids, ingest_alias)
            rows = [row for row in named if (row.archived_at is not None) == only_archived]
        else:
            rows, following = await _page(read, pid, next_page, limit, only_archived=only_archived)
        aliases = await queries.aliases_of(read, pid, rows)
    return {"data": [_detail(row, aliases[row.id]) for row in rows], "next_page": following}


async def _named(read: AsyncConnection, pid: int, ids: Sequence[str], alias: str | None) -> list[Any]:
    """Each of these that there is."""
    if alias is not None:
        owner = (await queries.whose(read, pid, {alias})).get(alias)
        ids = [owner] if owner is not None and (not ids or owner in ids) else []
    found = []
    for id_ in dict.fromkeys(ids):
        try:
            found.append(await queries.one_customer(read, pid, id_))
        except NotFoundError:
            continue  # a list tells of those that there are
    return found


async def _page(
    read: AsyncConnection, pid: int, next_page: str | None, limit: int, *, only_archived: bool
) -> tuple[Sequence[Any], str | None]:
    """Never empty while there are more: its SDK takes an empty page for the last one."""
    rows = await queries.list_customers(
        read,
        pid,
        archived=only_archived,
        only_archived=only_archived,
        after=number(next_page, "customers"),
        limit=limit + 1,
    )
    return cut(rows, limit, lambda row: cursor_of("customers", row.id))


@get("/v1/customers/{customer_id:str}")
async def read_customer(request: ApiRequest, customer_id: FromPath[str]) -> dict[str, Any]:
    return {"data": await _told(request, customer_id, detailed=True)}


@post("/v1/customers/archive", status_code=200)
async def archive_customer(request: ApiRequest, data: JSONBody[CustomerId]) -> dict[str, Any]:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.usage.write(lambda tx: customers.archive_customer(tx, pid, data.id, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)
    return {"data": {"id": data.id}}


@post("/v1/customers/{customer_id:str}/setName", status_code=200)
async def set_name(request: ApiRequest, customer_id: FromPath[str], data: JSONBody[NameIn]) -> dict[str, Any]:
    await _edit(request, customer_id, Edit(name=data.name[:MOST_OF_NAME]))
    return {"data": await _told(request, customer_id)}


@post("/v1/customers/{customer_id:str}/setIngestAliases", status_code=200)
async def set_aliases(request: ApiRequest, customer_id: FromPath[str], data: JSONBody[AliasesIn]) -> Response[bytes]:
    """All that there shall be; an alias that was another customer's moves, with the usage under it."""
    await _edit(request, customer_id, Edit(aliases=data.ingest_aliases))
    return Response(b"", media_type="application/json")


async def _edit(request: ApiRequest, customer_id: str, edit: Edit) -> None:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.usage.write(
        lambda tx: customers.edit_customer(tx, pid, customer_id, edit, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)


@post("/v1/events/search", status_code=200, opt=_READS)
async def search_events(request: ApiRequest, data: JSONBody[SearchIn]) -> list[dict[str, Any]]:
    """Those that there are, in the order in which they were asked for; behind each what contradicts it."""
    if len(data.transaction_ids) > _MOST_ASKED:
        raise InvalidValueError("transactionIds", f"are more than {_MOST_ASKED}")
    told, pid = [], request.caller.pid
    async with request.api.usage.read() as read:
        names: dict[str, str] = {}
        known = await meter_queries.list_meters(read, pid, limit=_MOST_METRICS)
        for id_ in dict.fromkeys(data.transaction_ids):
            try:
                kept, against = await one_event(read, pid, id_)
            except NotFoundError:
                continue
            for one in (kept, *against):
                if one.customer is not None and one.customer not in names:
                    names[one.customer] = (await queries.one_customer(read, pid, one.customer)).name
            told.append(_event(kept, names, is_duplicate=False) | _matched(kept, known, request.api.clock.now()))
            told += [_event(one, names, is_duplicate=True) for one in against]
    return told


def _event(one: Shown, names: Mapping[str, str], *, is_duplicate: bool) -> dict[str, Any]:
    matched = {} if one.customer is None else {"matched_customer": {"id": one.customer, "name": names[one.customer]}}
    return {
        "id": str(one.id),
        "transaction_id": one.transaction_id,
        "customer_id": one.subject,
        "event_type": one.type,
        "timestamp": one.at.isoformat(),
        "processed_at": one.received_at.isoformat(),
        "is_duplicate": is_duplicate,
        # As text, which its SDK does not round.
        "properties": json.loads(one.properties, parse_float=str, parse_int=str),
        **matched,
    }


def _matched(one: Shown, known: Sequence[Stored], now: datetime) -> dict[str, Any]:
    """The metrics that an event counts for, by the versions that hold at its time. A duplicate counts for none."""
    properties = read_json(one.properties)
    matching = [
        stored
        for stored in known
        if (version := in_force(stored.versions, one.at)) is not None
        and isinstance(counted(version.meter, one.type, properties), Counted)
    ]
    return {"matched_billable_metrics": [metric(stored, now) for stored in matching]}


async def _told(request: ApiRequest, customer_id: str, *, detailed: bool = False) -> dict[str, Any]:
    pid = request.caller.pid
    async with request.api.usage.read() as read:
        row = await queries.one_customer(read, pid, customer_id)
        aliases = (await queries.aliases_of(read, pid, [row]))[row.id]
    return _detail(row, aliases) if detailed else _customer(row, aliases)


def _customer(row: Any, aliases: Sequence[str]) -> dict[str, Any]:
    return {
        "id": row.uuid,
        "external_id": aliases[0] if aliases else row.uuid,
        "ingest_aliases": list(aliases),
        "name": row.name,
        "custom_fields": {},
    }


def _detail(row: Any, aliases: Sequence[str]) -> dict[str, Any]:
    return {
        **_customer(row, aliases),
        "customer_config": {"salesforce_account_id": None},
        "created_at": row.created_at.isoformat(),
        "updated_at": row.created_at.isoformat(),
        "archived_at": None if row.archived_at is None else row.archived_at.isoformat(),
    }


HANDLERS = (
    create_customer,
    list_customers,
    read_customer,
    archive_customer,
    set_name,
    set_aliases,
    search_events,
)
