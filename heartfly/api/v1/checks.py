"""Checks: list, create, copy, read, edit, pause, resume, delete, transfer, and when they are expected."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from litestar import MediaType, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.keys import Caller, Scope, caller_of
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, LongLimit, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.check_list import page_of
from heartfly.api.v1.wire import CheckOut, CheckPage, NextOut, TransferIn, check_out, left_so
from heartfly.api.v1.wire_accounts import RotateIn
from heartfly.api.v1.wire_explain import ExplainOut, explain_out
from heartfly.audit.record import Actor
from heartfly.checks import address, commands, history, queries
from heartfly.checks.config import CheckIn
from heartfly.checks.copy import copy
from heartfly.checks.explained import explained
from heartfly.checks.needs import read_needs
from heartfly.checks.queries import Wanted
from heartfly.checks.rows import schedule_of
from heartfly.checks.transfer import transfer
from heartfly.checks.turn import in_turn
from heartfly.checks.unjudged import as_left, unjudged_in
from heartfly.core import schedule as schedules
from heartfly.core import text
from heartfly.core.describe import describe, notices
from heartfly.core.words import Status
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, InvalidValueError, UnauthenticatedError
from heartfly.notify.silences import in_force, running

_A_YEAR = timedelta(days=366)
_UNCHANGED = CheckIn()
_UNSAID = RotateIn()


@get("/checks", summary="List checks", responses=told_as(422), tags=["checks"])
async def list_checks(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    status: Annotated[list[Status] | None, QueryParameter(description="Of any of these.")] = None,
    tag: Annotated[list[str] | None, QueryParameter(description="With all of these tags.")] = None,
    q: Annotated[str, QueryParameter(description="With this text in name, slug or a tag.")] = "",
    slug: FromQuery[str] = "",
    limit: LongLimit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[CheckPage]:
    wanted = Wanted(
        statuses=status or (),
        tags=[text.one_line(one, field="tag", most=50) for one in tag or ()][:50],
        text=text.one_line(q, field="q", most=200),
        slug=text.one_line(slug, field="slug", most=100),
    )
    page = await page_of(
        request.api,
        request.caller.pid,
        wanted,
        after=number(cursor, "checks"),
        limit=limit,
        with_secret=request.may_write,
    )
    return Response(page, media_type=MediaType.JSON)  # type: ignore[arg-type] # a CheckPage, as bytes


@post("/checks", summary="Create a check", responses=told_as(409, 412, 422), tags=["checks"])
async def create_check(
    request: ApiRequest,
    data: JSONBody[CheckIn],
    upsert: Annotated[
        Literal["slug"] | None, QueryParameter(description="Edit the check that has this slug, if there is one: 200.")
    ] = None,
    if_match: IfMatch = None,
) -> Response[CheckOut]:
    """With `If-Match` and `?upsert=slug` it is only edited: 412 if there is none of that slug, too."""
    api, caller, rev = request.api, request.caller, rev_of(if_match)
    most = api.settings.limits.checks
    if upsert is None and if_match is not None:
        raise InvalidValueError("If-Match", "goes with ?upsert=slug: what is made has not been read before")

    def command(tx: Tx, at: datetime) -> tuple[str, bool]:
        if upsert is None:
            return (
                commands.create(tx, caller.pid, data, at=at, ids=api.ids, actor=request.actor, most=most),
                True,
            )
        return commands.create_or_edit(
            tx,
            caller.pid,
            data,
            at=at,
            ids=api.ids,
            actor=request.actor,
            only_edit=if_match is not None,
            rev=rev,
            most=most,
        )

    uuid, is_new = await in_turn(api.database, api.clock, command)
    answer = await _told(request, uuid, status=201 if is_new else 200)
    answer.headers["Location"] = f"{api.base_url}/v1/checks/{uuid}"
    return answer


@get("/checks/{check_id:str}", summary="Read a check", responses=told_as(404), tags=["checks"])
async def read_check(request: ApiRequest, check_id: FromPath[str]) -> Response[CheckOut]:
    return await _told(request, check_id)


@patch("/checks/{check_id:str}", summary="Edit a check", responses=told_as(404, 409, 412, 422), tags=["checks"])
async def edit_check(
    request: ApiRequest, check_id: FromPath[str], data: JSONBody[CheckIn], if_match: IfMatch = None
) -> Response[CheckOut]:
    """What is left out stays as it is. A new schedule or grace counts from now on."""
    api, caller, rev = request.api, request.caller, rev_of(if_match)

    def command(tx: Tx, at: datetime) -> None:
        commands.edit(tx, caller.pid, check_id, data, at=at, ids=api.ids, actor=request.actor, rev=rev)

    await in_turn(api.database, api.clock, command)
    return await _told(request, check_id)


@delete(
    "/checks/{check_id:str}",
    summary="Delete a check",
    responses=told_as(404, 409, 412, 422),
    tags=["checks"],
    status_code=204,
)
async def delete_check(request: ApiRequest, check_id: FromPath[str], if_match: IfMatch = None) -> None:
    """With its whole history, but for its incidents, the open one of which is closed. Nobody is told.

    409 for the check of one of Heartfly's own jobs.
    """
    api, pid, rev, at = request.api, request.caller.pid, rev_of(if_match), request.api.clock.now()
    gone = await api.database.write(
        lambda tx: commands.delete(tx, pid, check_id, at=at, ids=api.ids, actor=request.actor, rev=rev)
    )
    await history.remove(api.database, pid, gone)


@post(
    "/checks/{check_id:str}/pause",
    summary="Pause a check",
    responses=told_as(404, 412, 422),
    tags=["checks"],
    status_code=200,
)
async def pause_check(request: ApiRequest, check_id: FromPath[str], if_match: IfMatch = None) -> Response[CheckOut]:
    """Nothing is expected until it is resumed, or, unless it is `sticky`, until the next success or fail."""
    api, pid, rev = request.api, request.caller.pid, rev_of(if_match)

    def command(tx: Tx, at: datetime) -> None:
        commands.pause(tx, pid, check_id, at=at, ids=api.ids, actor=request.actor, rev=rev)

    await in_turn(api.database, api.clock, command)
    return await _told(request, check_id)


@post(
    "/checks/{check_id:str}/resume",
    summary="Resume a check",
    responses=told_as(404, 409, 412, 422),
    tags=["checks"],
    status_code=200,
)
async def resume_check(request: ApiRequest, check_id: FromPath[str], if_match: IfMatch = None) -> Response[CheckOut]:
    """The check is new again: nothing is expected until its next success."""
    api, pid, rev = request.api, request.caller.pid, rev_of(if_match)

    def command(tx: Tx, at: datetime) -> None:
        commands.resume(tx, pid, check_id, at=at, ids=api.ids, actor=request.actor, rev=rev)

    await in_turn(api.database, api.clock, command)
    return await _told(request, check_id)


@post("/checks/{check_id:str}/copy", summary="Copy a check", responses=told_as(404, 409, 422), tags=["checks"])
async def copy_check(
    request: ApiRequest, check_id: FromPath[str], data: JSONBody[CheckIn] = _UNCHANGED
) -> Response[CheckOut]:
    """A new check with its configuration and channels, but for what is sent. It has an address of its own."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    uuid = await api.database.write(
        lambda tx: copy(
            tx, pid, check_id, data, at=at, ids=api.ids, actor=request.actor, most=api.settings.limits.checks
        )
    )
    answer = await _told(request, uuid, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/checks/{uuid}"
    return answer


@post(
    "/checks/{check_id:str}/rotate-ping-url",
    summary="Rotate its address",
    responses=told_as(404, 412, 422),
    tags=["checks"],
    status_code=200,
)
async def rotate_ping_url(
    request: ApiRequest, check_id: FromPath[str], data: JSONBody[RotateIn] = _UNSAID, if_match: IfMatch = None
) -> Response[CheckOut]:
    """A new `ping_url`. The old one works on for `overlap`, a day if not said."""
    api, pid, rev, at = request.api, request.caller.pid, rev_of(if_match), request.api.clock.now()
    await api.database.write(
        lambda tx: address.rotate(
            tx, pid, check_id, overlap_s=data.overlap, at=at, ids=api.ids, actor=request.actor, rev=rev
        )
    )
    return await _told(request, check_id)


@post(
    "/checks/{check_id:str}/transfer",
    summary="Move it to another project",
    responses=told_as(404, 409, 412, 422),
    tags=["checks"],
    status_code=200,
)
async def transfer_check(
    request: ApiRequest, check_id: FromPath[str], data: JSONBody[TransferIn], if_match: IfMatch = None
) -> Response[CheckOut]:
    """With its id, its `ping_url`, rules and status, without its history. 409 while it is down or runs."""
    api, pid, rev = request.api, request.caller.pid, rev_of(if_match)
    async with api.database.read() as read:
        # First of all, so that another project's check reads as none whatever is sent.
        await queries.find(read, pid, check_id)
        to = await _receiving(read, data.key, now=api.clock.now())

    def command(tx: Tx, at: datetime) -> int:
        return transfer(
            tx,
            pid,
            check_id,
            to_pid=to.pid,
            slug=data.slug,
            at=at,
            ids=api.ids,
            actor=request.actor,
            to_actor=Actor(to.actor, request.actor.ip),
            most=api.settings.limits.checks,
            rev=rev,
        )

    left = await in_turn(api.database, api.clock, command)
    await history.remove(api.database, pid, left)
    return await _told(request, check_id, pid=to.pid)


async def _receiving(read: AsyncConnection, secret: str, *, now: datetime) -> Caller:
    """Who holds the key of a project may put checks into it. One that may not write reads as one that is not known."""
    try:
        caller = await caller_of(read, secret, now=now)
    except (UnauthenticatedError, UnicodeError):
        caller = None
    if caller is None or Scope.WRITE not in caller.scopes:
        raise InvalidValueError("key", "must be an API key of the other project, with the scope write")
    return caller


@get("/checks/{check_id:str}/next", summary="When it is expected", responses=told_as(404, 409, 422), tags=["checks"])
async def next_times(
    request: ApiRequest, check_id: FromPath[str], count: Annotated[int, QueryParameter(ge=1, le=100)] = 5
) -> NextOut:
    """The next times of its schedule, counted from its last success or fail."""
    api = request.api
    async with api.database.read() as read:
        row = await queries.find(read, request.caller.pid, check_id)
    now = api.clock.now()
    try:
        schedule = schedule_of((row.kind, row.period_s, row.expression, row.zone, row.dialect))
        times = schedules.upcoming(schedule, now, count, anchor=row.anchor_at or now)
    except (InvalidValueError, ValueError) as error:
        raise ConflictError(f"its next times cannot be worked out: {error}") from error
    return NextOut(times, describe(schedule), notices(schedule, now, min(times[-1:] or [now + _A_YEAR])))


@get("/checks/{check_id:str}/explain", summary="Why it has its status", responses=told_as(404), tags=["checks"])
async def explain_check(request: ApiRequest, check_id: FromPath[str]) -> ExplainOut:
    """From its schedule, its slot, its runs and our own deafness: every fact by itself, and the same in sentences."""
    now = request.api.clock.now()
    async with request.api.database.read() as read:
        return explain_out(await explained(read, request.caller.pid, check_id, now=now), now=now)


async def _told(request: ApiRequest, check_id: str, *, status: int = 200, pid: int | None = None) -> Response[CheckOut]:
    api, pid = request.api, request.caller.pid if pid is None else pid
    async with api.database.read() as read:
        row = await queries.find(read, pid, check_id)
        channels = await queries.channels_of(read, pid, [row.id])
        now = api.clock.now()
        silenced = running(await in_force(read, pid, now=now), row, now=now)
        needs = (await read_needs(read, pid, [row.id])).get(row.id, ()) if row.linked else ()
        left = await as_left(read, pid, [row], {row.id: unjudged_in(silenced)})
    body = check_out(
        row,
        channels[row.id],
        needs=[one.uuid for one in needs],
        base_url=api.base_url,
        now=now,
        with_secret=request.may_write,
        silenced_until=silenced[0].span.to_at if silenced else None,
    )
    left_so(body, left.get(row.id), now=now)
    return Response(body, status_code=status, headers={"ETag": etag(row.rev)})
