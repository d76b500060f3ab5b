"""Silences: snooze a check, plan maintenance, mute a project or a channel, keep quiet hours; and end them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_silences import (
    SilenceEdit,
    SilenceIn,
    SilenceOut,
    SilencePage,
    SnoozeIn,
    asked_of,
    edited,
    seconds,
    silence_out,
)
from heartfly.checks.snooze import snooze
from heartfly.db.changes import Tx
from heartfly.notify import peace_commands, silences

State = Literal["living", "ended"]


@get("/silences", summary="List silences", responses=told_as(422), tags=["silences"])
async def list_silences(
    request: ApiRequest,
    in_state: Annotated[State | None, QueryParameter(name="state", description="Only those; all if left out.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> SilencePage:
    """The newest first. `living`: in force, or still to come."""
    now, before = request.api.clock.now(), place(cursor, "silences", 1)
    async with request.api.database.read() as read:
        rows = await silences.list_silences(
            read,
            request.caller.pid,
            now=now,
            ended=None if in_state is None else in_state == "ended",
            before=before[0] if before else None,
            limit=limit + 1,
        )
        names = await silences.target_names(read, request.caller.pid, rows)
    page, following = cut(rows, limit, lambda row: cursor_of("silences", row.id))
    return SilencePage([silence_out(row, names, now=now) for row in page], following)


@post("/silences", summary="Make a silence", responses=told_as(409, 422), tags=["silences"])
async def make_silence(request: ApiRequest, data: JSONBody[SilenceIn]) -> SilenceOut:
    """What it holds is told after it, if it is true then; nothing is dropped. 409 when the project has 200."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    asked = asked_of(data)
    row = await api.database.write(
        lambda tx: peace_commands.make(tx, pid, asked, at=at, actor=request.actor, ids=api.ids)
    )
    return await _told(request, row, at)


@get("/silences/{silence_id:str}", summary="Read a silence", responses=told_as(404), tags=["silences"])
async def read_silence(request: ApiRequest, silence_id: FromPath[str]) -> SilenceOut:
    async with request.api.database.read() as read:
        row = await silences.one_silence(read, request.caller.pid, silence_id)
    return await _told(request, row, request.api.clock.now())


@patch("/silences/{silence_id:str}", summary="Change a silence", responses=told_as(404, 409, 422), tags=["silences"])
async def edit_silence(request: ApiRequest, silence_id: FromPath[str], data: JSONBody[SilenceEdit]) -> SilenceOut:
    """From now on; what it was until now stays on record. 409 for one that has ended, and for a snooze."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()

    def work(tx: Tx) -> Any:
        asked = edited(data, peace_commands.asked_as(silences.locked(tx, pid, silence_id)))
        return peace_commands.edit(tx, pid, silence_id, asked, at=at, actor=request.actor, ids=api.ids)

    return await _told(request, await api.database.write(work), at)


@post(
    "/silences/{silence_id:str}/end",
    summary="End a silence now",
    responses=told_as(404, 409),
    tags=["silences"],
    status_code=200,
)
async def end_silence(request: ApiRequest, silence_id: FromPath[str]) -> SilenceOut:
    """One that comes again and again goes on with its next time. 409 when it is not in force."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    row = await api.database.write(
        lambda tx: peace_commands.end_now(tx, pid, silence_id, at=at, actor=request.actor, ids=api.ids)
    )
    return await _told(request, row, at)


@delete("/silences/{silence_id:str}", summary="Delete a silence", responses=told_as(404, 409), tags=["silences"])
async def delete_silence(request: ApiRequest, silence_id: FromPath[str]) -> None:
    """It is in force no more; it stays in the list of those that have ended. 409 when it has ended already."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await api.database.write(
        lambda tx: peace_commands.delete(tx, pid, silence_id, at=at, actor=request.actor, ids=api.ids)
    )


@post(
    "/checks/{check_id:str}/snooze", summary="Snooze a check", responses=told_as(404, 409, 422), tags=["silences"]
)  # fmt: skip
async def snooze_check(request: ApiRequest, check_id: FromPath[str], data: JSONBody[SnoozeIn]) -> SilenceOut:
    """Its alerts wait. It takes the place of a snooze that the check has."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    row = await api.database.write(
        lambda tx: snooze(
            tx,
            pid,
            check_id,
            lasts=seconds(data.lasts),
            until=data.until,
            next_run=data.next_run,
            note=data.note,
            at=at,
            actor=request.actor,
            ids=api.ids,
        )
    )
    return await _told(request, row, at)


async def _told(request: ApiRequest, row: Any, now: datetime) -> SilenceOut:
    async with request.api.database.read() as read:
        names = await silences.target_names(read, row.pid, [row])
    return silence_out(row, names, now=now)
