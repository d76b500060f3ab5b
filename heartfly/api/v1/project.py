"""The project of the key that asks: read, edit, and change its ping key. All of it needs the scope `admin`."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, patch, post
from litestar.params import JSONBody

from heartfly.accounts import commands, queries
from heartfly.accounts.guards import ADMINISTERS
from heartfly.accounts.revisions import of_project
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_accounts import ProjectEdit, ProjectOut, RotateIn, project_out

_UNSAID = RotateIn()


@get("/project", summary="Read the project", responses=told_as(), tags=["project"], opt=ADMINISTERS)
async def read_project(request: ApiRequest) -> Response[ProjectOut]:
    """With its ping key, which may ping its checks by slug and do nothing else."""
    return await _told(request)


@patch("/project", summary="Edit the project", responses=told_as(412, 422), tags=["project"], opt=ADMINISTERS)
async def edit_project(
    request: ApiRequest, data: JSONBody[ProjectEdit], if_match: IfMatch = None
) -> Response[ProjectOut]:
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    name, zone = _given(data.name), _given(data.zone)
    await api.database.write(
        lambda tx: commands.edit_project(
            tx, pid, name=name, zone=zone, actor=request.actor, at=at, ids=api.ids, rev=rev
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
    await api.database.write(
        lambda tx: commands.rotate_ping_key(
            tx, pid, overlap_s=data.overlap, actor=request.actor, at=at, ids=api.ids, sealer=api.sealer, rev=rev
        )
    )
    return await _told(request)


async def _told(request: ApiRequest) -> Response[ProjectOut]:
    async with request.api.database.read() as read:
        row = await queries.project_of(read, request.caller.pid)
    told = project_out(row, sealer=request.api.sealer, now=request.api.clock.now())
    return Response(told, headers={"ETag": etag(of_project(row))})


def _given(value: Any) -> Any:
    return None if value is msgspec.UNSET else value
