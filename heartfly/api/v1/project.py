"""The project of the key that asks: read, edit, export, delete, another ping key; and new ones. All need `admin`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from heartfly.accounts import commands, members, queries
from heartfly.accounts.commands import NewProject
from heartfly.accounts.exports import project_lines
from heartfly.accounts.guards import ADMINISTERS
from heartfly.accounts.revisions import of_project
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_accounts import (
    NewProjectOut,
    ProjectEdit,
    ProjectIn,
    ProjectOut,
    ProjectPage,
    RotateIn,
    project_out,
)
from heartfly.checks import erase_project
from heartfly.db.changes import Tx
from heartfly.errors import HeartflyError, InvalidValueError
from heartfly.logs import logger
from heartfly.usage.end_of_project import remove_usage

log = logger("heartfly.api")

_UNSAID = RotateIn()
_LINES = "application/x-ndjson"
Confirm = Annotated[str, QueryParameter(description="The project's slug, which says that you mean this one.")]


@get("/project", summary="Read the project", responses=told_as(), tags=["project"], opt=ADMINISTERS)
async def read_project(request: ApiRequest) -> Response[ProjectOut]:
    """With its ping key, which may ping its checks by slug and do nothing else."""
    return await _told(request)


@patch("/project", summary="Edit the project", responses=told_as(412, 422), tags=["project"], opt=ADMINISTERS)
async def edit_project(
    request: ApiRequest, data: JSONBody[ProjectEdit], if_match: IfMatch = None
) -> Response[ProjectOut]:
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    name, zone, creates = _given(data.name), _given(data.zone), _given(data.create_by_ping)
    await request.administer(
        lambda tx: commands.edit_project(
            tx, pid, name=name, zone=zone, create_by_ping=creates, actor=request.actor, at=at, ids=api.ids, rev=rev
        )
    )
    return await _told(request)


@post(
    "/project/rotate-ping-key",
    summary="Rotate the ping key",
    responses=told_as(412, 422),
    tags=["project"],
    opt=ADMINISTERS,
    status_code=200,
)
async def rotate_ping_key(
    request: ApiRequest, data: JSONBody[RotateIn] = _UNSAID, if_match: IfMatch = None
) -> Response[ProjectOut]:
    """A new `ping_key`. The old one works on for `overlap`, a day if not said."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await request.administer(
        lambda tx: commands.rotate_ping_key(
            tx, pid, overlap_s=data.overlap, actor=request.actor, at=at, ids=api.ids, sealer=api.sealer, rev=rev
        )
    )
    return await _told(request)


@get(
    "/project/export",
    summary="Export the project",
    responses=told_as(),
    tags=["project"],
    opt=ADMINISTERS,
    media_type=_LINES,
)
async def export_project(request: ApiRequest) -> Stream:
    """Everything in it but secrets: a line of JSON for each row, with its `table`. If the transfer is cut off, what
    came is not all of it.
    """
    name = f"heartfly-{request.caller.project_slug}.ndjson"
    lines = project_lines(request.api.database, request.api.usage, request.caller.pid)
    return Stream(lines, media_type=_LINES, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@delete("/project", summary="Delete the project", responses=told_as(409, 422), tags=["project"], opt=ADMINISTERS)
async def delete_project(request: ApiRequest, confirm: Confirm = "") -> None:
    """With everything in it, this key and its audit among that; it cannot be undone. 409 for the first project, in
    which Heartfly's own jobs are.
    """
    api, caller, at = request.api, request.caller, request.api.clock.now()
    if confirm != caller.project_slug:
        raise InvalidValueError("confirm", f"must be the project's slug, {caller.project_slug}; nothing was deleted")
    await request.administer(lambda tx: erase_project.begin(tx, caller.pid, actor=request.actor, at=at, ids=api.ids))
    write = erase_project.behind_others(api.database)
    try:
        await remove_usage(api.usage, caller.pid)
        await erase_project.finish(write, caller.pid, at=at, ids=api.ids, sealer=api.sealer)
    except HeartflyError as error:
        # It is deleted for everybody already; the rest goes tonight, or with the next start.
        log.warning("project_erased", pid=caller.pid, left=str(error))


@get("/projects", summary="List projects", responses=told_as(), tags=["project"], opt=ADMINISTERS)
async def list_projects(request: ApiRequest) -> ProjectPage:
    """Those that the key may see: its own."""
    return ProjectPage([(await _told(request)).content], None)


@post("/projects", summary="Create a project", responses=told_as(409, 422), tags=["project"], opt=ADMINISTERS)
async def create_project(request: ApiRequest, data: JSONBody[ProjectIn]) -> NewProjectOut:
    """Who owns the project of the key owns the new one, too. Its keys are in this answer and in no other."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    name = data.slug if data.name is None else data.name

    def command(tx: Tx) -> NewProject:
        made = commands.create_project(
            tx,
            slug=data.slug,
            name=name,
            zone=data.zone,
            sealer=api.sealer,
            at=at,
            ids=api.ids,
            actor=request.actor,
            field="slug",
            most=api.settings.limits.projects,
        )
        members.copy_owners(tx, pid, made.pid, actor=request.actor, at=at, ids=api.ids)
        return made

    made = await request.administer(command)
    async with api.database.read() as read:
        row = await queries.project_of(read, made.pid)
    told = project_out(row, sealer=api.sealer, now=at)
    return NewProjectOut(project=told, api_key=made.api_key, read_key=made.read_key)


async def _told(request: ApiRequest) -> Response[ProjectOut]:
    async with request.api.database.read() as read:
        row = await queries.project_of(read, request.caller.pid)
    told = project_out(row, sealer=request.api.sealer, now=request.api.clock.now())
    return Response(told, headers={"ETag": etag(of_project(row))})


def _given(value: Any) -> Any:
    return None if value is msgspec.UNSET else value
