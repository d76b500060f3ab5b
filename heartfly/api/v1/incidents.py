"""Incidents: list, read, acknowledge, comment, share. They open and close with their checks, never by a request."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place_in_time
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_incidents import (
    CommentIn,
    IncidentOut,
    IncidentPage,
    MadeShareOut,
    NoteOut,
    ShareIn,
    SharePage,
    WholeIncidentOut,
    incident_out,
    made_share_out,
    note_out,
    share_out,
    whole_incident_out,
)
from heartfly.checks import queries as checks
from heartfly.checks.rows import run_of
from heartfly.core.incident import facts
from heartfly.db.types import micros
from heartfly.incidents import commands, queries, shares

State = Literal["open", "closed"]


@get("/incidents", summary="List incidents, newest first", responses=told_as(404, 422), tags=["incidents"])
async def list_incidents(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    in_state: Annotated[State | None, QueryParameter(name="state", description="Only those; all if left out.")] = None,
    check: Annotated[str | None, QueryParameter(description="Of this check, by id.")] = None,
    by_cause: Annotated[  # noqa: FBT002 - the same
        bool, QueryParameter(description="Without those that are part of a cause, which stands for them.")
    ] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> IncidentPage:
    before, pid = place_in_time(cursor, "incidents"), request.caller.pid
    async with request.api.database.read() as read:
        check_id = None if check is None else (await checks.find(read, pid, check)).id
        rows = await queries.find_many(
            read,
            pid,
            is_open=None if in_state is None else in_state == "open",
            check_id=check_id,
            by_cause=by_cause,
            before=before,
            limit=limit + 1,
        )
    page, following = cut(rows, limit, lambda row: cursor_of("incidents", micros(row.opened_at), row.id))
    return IncidentPage([incident_out(row) for row in page], following)


@get("/incidents/{incident_id:str}", summary="Read an incident", responses=told_as(404), tags=["incidents"])
async def read_incident(request: ApiRequest, incident_id: FromPath[str]) -> WholeIncidentOut:
    """With what happened in it, the flips of its check, who was told, what people said, and of a cause its members."""
    pid = request.caller.pid
    async with request.api.database.read() as read:
        row = await queries.find(read, pid, incident_id)
        flips = await queries.flips_of(read, row)
        run = await queries.run_of(read, flips[0]) if flips else None
        members = await queries.members_of(read, row)
        return whole_incident_out(
            row,
            members=members,
            facts=facts(queries.value(row, members), run_of(run) if run is not None else None),
            flips=flips,
            notifications=await queries.told_of_incident(read, row, flips),
            notes=await queries.notes_of(read, pid, row.id),
        )


@post(
    "/incidents/{incident_id:str}/acknowledge",
    summary="Acknowledge an incident",
    responses=told_as(404, 409),
    tags=["incidents"],
    status_code=200,
)
async def acknowledge_incident(request: ApiRequest, incident_id: FromPath[str]) -> IncidentOut:
    """Somebody takes care of it; of a cause, of all its members. Again: nothing changes. 409 when it was closed before
    anybody did.
    """
    api, caller, at = request.api, request.caller, request.api.clock.now()
    await api.database.write(
        lambda tx: commands.acknowledge(tx, caller.pid, incident_id, at=at, actor=request.actor, ids=api.ids)
    )
    async with api.database.read() as read:
        return incident_out(await queries.find(read, caller.pid, incident_id))


@post(
    "/incidents/{incident_id:str}/comments",
    summary="Comment on an incident",
    responses=told_as(404, 409, 422),
    tags=["incidents"],
)
async def comment_on_incident(request: ApiRequest, incident_id: FromPath[str], data: JSONBody[CommentIn]) -> NoteOut:
    """Open or closed. 409 when it has 200 comments."""
    api, caller, at = request.api, request.caller, request.api.clock.now()
    note = await api.database.write(
        lambda tx: commands.comment(tx, caller.pid, incident_id, data.text, at=at, actor=request.actor, ids=api.ids)
    )
    return note_out(note)


@get("/incidents/{incident_id:str}/shares", summary="List its links", responses=told_as(404), tags=["incidents"])
async def list_shares(request: ApiRequest, incident_id: FromPath[str]) -> SharePage:
    """Those by which it can be read now, oldest first. Where they lead is not told again."""
    pid, now = request.caller.pid, request.api.clock.now()
    async with request.api.database.read() as read:
        row = await queries.find(read, pid, incident_id)
        return SharePage([share_out(one) for one in await shares.shares_of(read, pid, row.id, now=now)], None)


@post(
    "/incidents/{incident_id:str}/shares", summary="Share an incident", responses=told_as(404, 409, 422),
    tags=["incidents"],
)  # fmt: skip
async def share_incident(request: ApiRequest, incident_id: FromPath[str], data: JSONBody[ShareIn]) -> MadeShareOut:
    """Whoever has the `url` of the answer may read it, and nothing else. 409 when it has 20 links."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    made = await api.database.write(
        lambda tx: shares.share(
            tx, pid, incident_id, lasts_s=data.lasts, with_comments=data.with_comments, at=at, actor=actor, ids=api.ids
        )
    )
    return made_share_out(made, shares.address(api.base_url, made.token))


@delete(
    "/incidents/{incident_id:str}/shares/{share_id:str}", summary="Take a link back", responses=told_as(404),
    tags=["incidents"], status_code=204,
)  # fmt: skip
async def unshare_incident(request: ApiRequest, incident_id: FromPath[str], share_id: FromPath[str]) -> None:
    """From the answer on it shows nothing."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.database.write(lambda tx: shares.unshare(tx, pid, incident_id, share_id, at=at, actor=actor, ids=api.ids))
