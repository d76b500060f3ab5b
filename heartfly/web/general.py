"""The project itself: its name, the zone that its times are told in, its ping key, all of it as a file, and its end."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.response import Stream

from heartfly.accounts import commands, queries, revisions
from heartfly.accounts.exports import project_lines
from heartfly.api.v1.wire_accounts import project_out
from heartfly.checks import erase_project
from heartfly.errors import ChangedMeanwhileError, ConflictError, HeartflyError, InvalidValueError
from heartfly.logs import logger
from heartfly.pings.bodies import MB, stored_in
from heartfly.usage.end_of_project import remove_usage
from heartfly.usage.kept_events import kept_in
from heartfly.web.keys import OVERLAPS, one_of
from heartfly.web.request import FOR_ADMINS, FOR_OWNERS, PageRequest, rev_of_form
from heartfly.web.sign_in import to
from heartfly.web.traffic_words import size

log = logger("heartfly.web")

_MADE = {True: "yes", False: "no"}


@get("/p/{project:str}/settings/general", opt=FOR_ADMINS)
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request)


@post("/p/{project:str}/settings/general", opt=FOR_ADMINS, status_code=200)
async def edit(request: PageRequest) -> Response[bytes]:
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    name, zone, at = form["name"], form["zone"].strip(), api.clock.now()
    # The box stands before a hidden field of its name: that one alone comes when it is not ticked.
    creates = form["create_by_ping"] == "1" if "create_by_ping" in form else None
    seen = rev_of_form(form["rev"])
    try:
        await request.administer(
            lambda tx, _: commands.edit_project(
                tx, pid, name=name, zone=zone, create_by_ping=creates, actor=actor, at=at, ids=api.ids, named=seen
            )
        )
    except ChangedMeanwhileError:
        return await _page(request, status=409, values=(name, zone, creates), is_late=True)
    except InvalidValueError as error:
        return await _page(request, status=422, values=(name, zone, creates), errors={error.field: error.message})
    return _back(request)


@post("/p/{project:str}/settings/general/rotate-ping-key", opt=FOR_ADMINS, status_code=200)
async def rotate_ping_key(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    form = await request.sent()
    overlap_s, seen = int(one_of(form["overlap"], OVERLAPS, "overlap")), rev_of_form(form["rev"])
    try:
        await request.administer(
            lambda tx, _: commands.rotate_ping_key(
                tx, pid, overlap_s=overlap_s, actor=actor, at=at, ids=api.ids, sealer=api.sealer, key_rev=seen
            )
        )
    except ChangedMeanwhileError:
        wrong = "The ping key has been rotated since you opened this page. It is the new one that is shown now."
        return await _page(request, status=409, wrong=wrong)
    return _back(request)


@get("/p/{project:str}/settings/export", opt=FOR_OWNERS)
async def export(request: PageRequest) -> Stream:
    name = f"heartfly-{request.project.slug}.ndjson"
    lines = project_lines(request.api.database, request.api.usage, request.project.pid)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(lines, media_type="application/x-ndjson", headers=headers)


@post("/p/{project:str}/settings/delete", opt=FOR_OWNERS, status_code=200)
async def delete(request: PageRequest) -> Response[bytes]:
    """All of it goes, so its name is asked for."""
    api, project, actor, at = request.api, request.project, request.actor, request.api.clock.now()
    if (await request.sent())["sure"].strip() != project.name:
        return await _page(request, status=422, errors={"sure": "must be the project's name; nothing was deleted"})
    try:
        await request.administer(
            lambda tx, _: erase_project.begin(tx, project.pid, actor=actor, at=at, ids=api.ids), owner=True
        )
    except ConflictError as error:
        return await _page(request, status=409, errors={"sure": f"was right, but {error}"})
    write = erase_project.behind_others(api.database)
    try:
        await remove_usage(api.usage, project.pid)
        await erase_project.finish(write, project.pid, at=api.clock.now(), ids=api.ids, sealer=api.sealer)
    except HeartflyError as error:
        # It is deleted for everybody already; the rest goes tonight, or with the next start.
        log.warning("project_erased", pid=project.pid, left=str(error))
    return to(request, "/")


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    values: tuple[str, str, bool | None] | None = None,
    errors: dict[str, str] | None = None,
    is_late: bool = False,
    wrong: str = "",
) -> Response[bytes]:
    """`is_late`: somebody else has edited it since; `values` are told beside what is there now."""
    api = request.api
    async with api.database.read() as read:
        row = await queries.project_of(read, request.project.pid)
        stored = await stored_in(read, request.project.pid)
    n_kept, most_events = 0, api.settings.limits.events
    if most_events:
        async with api.usage.read() as read:
            n_kept = await kept_in(read, request.project.pid)
    most = api.settings.limits.bodies_mb * MB
    its = project_out(row, sealer=api.sealer, now=api.clock.now())
    name, zone, creates = values or (its.name, its.zone, its.create_by_ping)
    creates, both = its.create_by_ping if creates is None else creates, []
    if is_late:
        kept = (its.name, its.zone, _MADE[its.create_by_ping])
        fields = zip(("Name", "Time zone", "Checks made by pings"), kept, (name, zone, _MADE[creates]), strict=True)
        both = [one for one in fields if one[1] != one[2]] or [("Name", its.name, name)]
    return await request.page(
        "general.html",
        status=status,
        its=its,
        rev=revisions.of_named(row),
        key_rev=revisions.of_ping_key(row),
        values=(name, zone, creates),
        both=both,
        wrong=wrong,
        errors=errors or {},
        overlaps=OVERLAPS,
        base_url=api.base_url,
        stored=size(stored) if stored else "",
        most=size(most) if most else "",
        is_full=0 < most < stored,
        kept_events=n_kept,
        most_events=most_events,
    )


def _back(request: PageRequest) -> Response[bytes]:
    return to(request, f"/p/{request.project.slug}/settings/general")
