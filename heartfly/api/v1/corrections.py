"""Events are voided, amended and put back. The event stands in the body, for its name may have a slash in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec
import sqlalchemy as sa
from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_corrections import (
    AmendIn,
    CorrectionKind,
    CorrectionPage,
    EventDetail,
    UndoIn,
    VoidIn,
    correction_out,
    correction_preview_out,
    detail_out,
)
from heartfly.core.events import read_yielding
from heartfly.db.changes import Tx
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage import corrections as commands
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.correction_preview import Step, amendment_of, foresee_step, void_of
from heartfly.usage.correction_queries import known_event, list_corrections
from heartfly.usage.corrections import FIELDS, Amended
from heartfly.usage.rerun import zone_of

DryRun = Annotated[bool, QueryParameter(description="Only say what it would change; nothing is written.")]
Result = TypeVar("Result")
_LIST = "corrections"


@get("/events/corrections", summary="List corrections, newest first", responses=told_as(422), tags=["usage"])
async def list_event_corrections(
    request: ApiRequest,
    kind: Annotated[CorrectionKind | None, QueryParameter(description="Left out: any.")] = None,
    backfill: Annotated[str, QueryParameter(description="Those that a backfill made, by its id.")] = "",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> CorrectionPage:
    """Each with what counted before; also those that were undone."""
    named = place(cursor, _LIST, 2)
    before = None if named is None else (named[0], named[1])
    try:
        async with request.api.usage.read() as read:
            found = await list_corrections(
                read, request.caller.pid, kind=kind or "", backfill=backfill, before=before, limit=limit + 1
            )
    except NotFoundError:
        raise InvalidValueError("backfill", "is the id of none of your backfills") from None
    page, following = cut(found, limit, lambda one: cursor_of(_LIST, one.id, one.event_id))
    return CorrectionPage([correction_out(one) for one in page], following)


@post("/events/void", summary="Void an event", responses=told_as(404, 409, 422), tags=["usage"], status_code=200)
async def void_event(request: ApiRequest, data: JSONBody[VoidIn], *, dry_run: DryRun = False) -> EventDetail:
    """It counts in no figure any more, and is kept. Sent again it stays void."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    if dry_run:
        commands.reason_of(data.reason)
        return await _foreseen(request, data.transaction_id, partial(void_of, transaction_id=data.transaction_id))
    await _written(
        request,
        lambda tx: commands.void(tx, pid, data.transaction_id, reason=data.reason, actor=actor, at=at, ids=api.ids),
    )
    return await _told(request, data.transaction_id)


@post("/events/amend", summary="Amend an event", responses=told_as(404, 409, 422), tags=["usage"], status_code=200)
async def amend_event(request: ApiRequest, data: JSONBody[AmendIn], *, dry_run: DryRun = False) -> EventDetail:
    """What it is amended to counts in its place, under the same transaction id; what it was is kept."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    fields: dict[str, Any] = {
        name: value for name in FIELDS if not isinstance(value := getattr(data, name), msgspec.UnsetType)
    }
    if "properties" in fields:
        # Once more from the body: numbers must not pass through a float.
        fields["properties"] = (await asyncio.to_thread(read_yielding, await request.body()))["properties"]
    oldest = api.events.oldest()
    if dry_run:
        commands.reason_of(data.reason)
        step = partial(amendment_of, transaction_id=data.transaction_id, wanted=Amended(fields), oldest=oldest, at=at)
        return await _foreseen(request, data.transaction_id, step)
    await _written(
        request,
        lambda tx: commands.amend(
            tx,
            pid,
            data.transaction_id,
            Amended(fields),
            reason=data.reason,
            oldest=oldest,
            actor=actor,
            at=at,
            ids=api.ids,
        ),
    )
    return await _told(request, data.transaction_id)


@post(
    "/events/undo",
    summary="Undo an event's correction",
    responses=told_as(404, 409, 422),
    tags=["usage"],
    status_code=200,
)
async def undo_correction(request: ApiRequest, data: JSONBody[UndoIn]) -> EventDetail:
    """The newest that stands: what counted before it counts again. A backfill is reverted as a whole."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await _written(request, lambda tx: commands.undo(tx, pid, data.transaction_id, actor=actor, at=at, ids=api.ids))
    return await _told(request, data.transaction_id)


async def _written(request: ApiRequest, command: Callable[[Tx], Result]) -> Result:
    """Its entry in the audit is carried over once it is done."""
    result = await request.api.usage.write(command)
    await carry_or_wait(request.api.usage, request.api.database)
    return result


async def _foreseen(
    request: ApiRequest, transaction_id: str, step: Callable[[sa.Connection, int], Step | None]
) -> EventDetail:
    """The event as it is, and what its correction would change."""
    api, pid = request.api, request.caller.pid
    api.closer.hands.demand_room()
    async with api.database.read() as read:
        zone = (await zone_of(read, pid)).key
    async with api.usage.read() as read:
        one = await read.run_sync(step, pid)
        known = await known_event(read, pid, transaction_id)
    changes = () if one is None else await api.closer.hands.run(foresee_step, api.usage.place, pid, one, zone)
    return detail_out(known, correction_preview_out(known, None if one is None else one.event, changes, zone))


async def _told(request: ApiRequest, transaction_id: str) -> EventDetail:
    async with request.api.usage.read() as read:
        return detail_out(await known_event(read, request.caller.pid, transaction_id))
