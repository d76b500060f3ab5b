"""The project itself: its name, the zone that its times are told in, its ping key, all of it as a file, and its end."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.response import Stream

from heartfly.accounts import commands, queries
from heartfly.accounts.exports import project_lines
from heartfly.api.v1.wire_accounts import project_out
from heartfly.checks import erase_project
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.web.keys import OVERLAPS, one_of
from heartfly.web.request import FOR_ADMINS, FOR_OWNERS, PageRequest
from heartfly.web.sign_in import to


@get("/p/{project:str}/settings/general", opt=FOR_ADMINS)
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request)


@post("/p/{project:str}/settings/general", opt=FOR_ADMINS, status_code=200)
async def edit(request: PageRequest) -> Response[bytes]:
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    name, zone, at = form["name"], form["zone"].strip(), api.clock.now()
    try:
        await api.database.write(
            lambda tx: commands.edit_project(tx, pid, name=name, zone=zone, actor=actor, at=at, ids=api.ids)
        )
    except InvalidValueError as error:
        return await _page(request, status=422, values=(name, zone), errors={error.field: error.message})
    return _back(request)


@post("/p/{project:str}/settings/general/rotate-ping-key", opt=FOR_ADMINS, status_code=200)
async def rotate_ping_key(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    overlap_s = int(one_of((await request.sent())["overlap"], OVERLAPS, "overlap"))
    await api.database.write(
        lambda tx: commands.rotate_ping_key(
            tx, pid, overlap_s=overlap_s, actor=actor, at=at, ids=api.ids, sealer=api.sealer
        )
    )
    return _back(request)


@get("/p/{project:str}/settings/export", opt=FOR_OWNERS)
async def export(request: PageRequest) -> Stream:
    name = f"heartfly-{request.project.slug}.ndjson"
    lines = project_lines(request.api.database, request.project.pid)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(lines, media_type="application/x-ndjson", headers=headers)


@post("/p/{project:str}/settings/delete", opt=FOR_OWNERS, status_code=200)
async def delete(request: PageRequest) -> Response[bytes]:
    """All of it goes, so its name is asked for."""
    api, project, actor, at = request.api, request.project, request.actor, request.api.clock.now()
    if (await request.sent())["sure"].strip() != project.name:
        return await _page(request, status=422, errors={"sure": "must be the project's name; nothing was deleted"})
    try:
        await api.database.write(lambda tx: erase_project.begin(tx, project.pid, actor=actor, at=at, ids=api.ids))
    except ConflictError as error:
        return await _page(request, status=409, errors={"sure": f"was right, but {error}"})
    await erase_project.finish(api.database, project.pid, clock=api.clock, ids=api.ids, sealer=api.sealer)
    return to(request, "/")


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    values: tuple[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> Response[bytes]:
    api = request.api
    async with api.database.read() as read:
        row = await queries.project_of(read, request.project.pid)
    its = project_out(row, sealer=api.sealer, now=api.clock.now())
    return await request.page(
        "general.html",
        status=status,
        its=its,
        values=values or (its.name, its.zone),
        errors=errors or {},
        overlaps=OVERLAPS,
        base_url=api.base_url,
    )


def _back(request: PageRequest) -> Response[bytes]:
    return to(request, f"/p/{request.project.slug}/settings/general")
