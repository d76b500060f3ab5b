"""Backfills: open a set, send events into it, see what they would change, close it, revert it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.event_bodies import MAX_BYTES, events_of, is_large
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_corrections import (
    BackfillIn,
    BackfillOut,
    BackfillPage,
    BackfillPreview,
    BackfillState,
    SentPage,
    backfill_out,
    preview_out,
    sent_out,
)
from heartfly.api.v1.wire_events import IngestOut, TakesEvents, ingest_out
from heartfly.usage import backfill_queries as queries
from heartfly.usage import backfills
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.backfill_preview import foresee
from heartfly.usage.rerun import zone_of

_TAGS = ["usage"]
_LIST, _SENT = "backfills", "backfill-events"


@get("/backfills", summary="List backfills, newest first", responses=told_as(422), tags=_TAGS)
async def list_backfills(
    request: ApiRequest,
    in_state: Annotated[BackfillState | None, QueryParameter(name="state", description="Left out: any.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> BackfillPage:
    before = number(cursor, _LIST)
    async with request.api.usage.read() as read:
        rows = await queries.list_sets(read, request.caller.pid, state=in_state or "", before=before, limit=limit + 1)
        page, following = cut(rows, limit, lambda row: cursor_of(_LIST, row.id))
        sent = await queries.n_events_of(read, request.caller.pid, [row.id for row in page])
    return BackfillPage([backfill_out(row, sent[row.id]) for row in page], following)


@post("/backfills", summary="Open a backfill", responses=told_as(409, 422), tags=_TAGS)
async def open_backfill(request: ApiRequest, data: JSONBody[BackfillIn]) -> Response[BackfillOut]:
    """A set for a time, and if you like for some types and customers. What is sent into it counts once it is closed."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    wanted = backfills.Wanted(
        name=data.name,
        from_at=data.from_at,
        to_at=data.to_at,
        event_types=data.event_types,
        customers=data.customers,
        replaces=data.replaces,
    )
    oldest = api.events.oldest()
    uuid = await api.usage.write(
        lambda tx: backfills.open_set(tx, pid, wanted, oldest=oldest, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    headers = {"Location": f"{api.base_url}/v1/backfills/{uuid}"}
    return Response(await _told(request, uuid), status_code=201, headers=headers)


@get("/backfills/{backfill_id:str}", summary="Read a backfill", responses=told_as(404), tags=_TAGS)
async def read_backfill(request: ApiRequest, backfill_id: FromPath[str]) -> BackfillOut:
    return await _told(request, backfill_id)


@post(
    "/backfills/{backfill_id:str}/events",
    summary="Send events into a backfill",
    responses=told_as(404, 409, 413, 422),
    tags=_TAGS,
    status_code=200,
    request_max_body_size=MAX_BYTES,
    operation_class=TakesEvents,
)
async def send_into_backfill(request: ApiRequest, backfill_id: FromPath[str]) -> IngestOut:
    """In the bodies of `POST /v1/events`. They count nothing yet. What is none of the set's is told, and not kept."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    raw, encoding = await request.body(), request.headers.get("content-encoding", "")
    found = await events_of(raw, media_type=request.headers.get("content-type", ""), encoding=encoding)
    times = {"now": at, "oldest": api.events.oldest()}
    items = (
        await asyncio.to_thread(backfills.items_of, found, **times)
        if is_large(raw, encoding)
        else backfills.items_of(found, **times)
    )
    told = await api.usage.write(
        lambda tx: backfills.fill(tx, pid, backfill_id, items, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    return ingest_out(told, dry_run=False)


@get(
    "/backfills/{backfill_id:str}/events",
    summary="List a backfill's events",
    responses=told_as(404, 422),
    tags=_TAGS,
)
async def list_backfill_events(
    request: ApiRequest, backfill_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> SentPage:
    """In the order in which they were sent, each with what became of it once the set was closed."""
    after = number(cursor, _SENT)
    async with request.api.usage.read() as read:
        row = await queries.one_set(read, request.caller.pid, backfill_id)
        found = await queries.list_sent(read, row, after=after, limit=limit + 1)
    page, following = cut(found, limit, lambda one: cursor_of(_SENT, one[0].id))
    return SentPage(sent_out(page), following)


@get(
    "/backfills/{backfill_id:str}/preview",
    summary="Preview a backfill",
    responses=told_as(404, 409),
    tags=_TAGS,
)
async def preview_backfill(request: ApiRequest, backfill_id: FromPath[str]) -> BackfillPreview:
    """What closing it would change, by day of the project's zone, meter and customer. Of one that is not open: `counts`
    only.
    """
    api, pid = request.api, request.caller.pid
    async with api.database.read() as read:
        zone = (await zone_of(read, pid)).key
    api.closer.hands.demand_room()
    found = await api.closer.hands.run(foresee, api.usage.place, pid, backfill_id, zone)
    return preview_out(found, zone)


@post(
    "/backfills/{backfill_id:str}/close",
    summary="Close a backfill",
    responses=told_as(404, 409, 422),
    tags=_TAGS,
    status_code=200,
)
async def close_backfill(
    request: ApiRequest,
    backfill_id: FromPath[str],
    *,
    empty: Annotated[bool, QueryParameter(description="Also if it holds nothing, and so only takes away.")] = False,
) -> BackfillOut:
    """All of it counts from now on, or nothing if this fails. One that is closed is told as it is."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.usage.write(
        lambda tx: backfills.close_set(tx, pid, backfill_id, empty=empty, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    return await _told(request, backfill_id)


@post(
    "/backfills/{backfill_id:str}/revert",
    summary="Revert a backfill",
    responses=told_as(404, 409),
    tags=_TAGS,
    status_code=200,
)
async def revert_backfill(request: ApiRequest, backfill_id: FromPath[str]) -> BackfillOut:
    """All counts as before it was closed; one that is open is given up. 409: its events were corrected since."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    oldest = api.events.oldest()
    await api.usage.write(
        lambda tx: backfills.revert_set(tx, pid, backfill_id, oldest=oldest, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    return await _told(request, backfill_id)


async def _told(request: ApiRequest, backfill_id: str) -> BackfillOut:
    async with request.api.usage.read() as read:
        row = await queries.one_set(read, request.caller.pid, backfill_id)
        return backfill_out(row, await queries.n_events(read, row))
