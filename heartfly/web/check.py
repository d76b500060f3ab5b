"""One check: how it is and why, how to ping it, what came of it, and what can be done to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.v1.wire import schedule_text
from heartfly.checks import commands, history, queries
from heartfly.checks.config import bounds_of, tolerance_of
from heartfly.checks.covered import covered
from heartfly.checks.explained import explained
from heartfly.checks.learned import moved_of
from heartfly.checks.needs import read_needed_by, read_needs
from heartfly.checks.ninety import ninety_of
from heartfly.checks.service_levels import of_rows
from heartfly.checks.turn import in_turn
from heartfly.checks.unjudged import as_left, unjudged_in
from heartfly.core.bound_text import lines_of
from heartfly.core.slo import left_words, percent
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.errors import AmbiguousSlugError
from heartfly.incidents import queries as incidents
from heartfly.notify import silences
from heartfly.notify.queries import NotificationView
from heartfly.notify.silences import running
from heartfly.usage.rerun import zone_of
from heartfly.web import check_time
from heartfly.web.coverage_strip import strip
from heartfly.web.keys import OVERLAPS
from heartfly.web.owners import whose_of
from heartfly.web.ping_address import CHOSEN
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.shown import shown_status
from heartfly.web.sign_in import to
from heartfly.web.snippets import all_snippets, snippets
from heartfly.web.snooze import CHOICES
from heartfly.web.status import heights
from heartfly.web.who_is_told import who_is_told

PER_LIST = 20
SHOWN_OF_EACH = 10
"""Runs and pings; the others are a link away."""
_LONGEST_SAID = 10_000
FIRST_LINES = 5
"""Of what a failure said: so many stand beside the cause."""
FIRST_SHOWN = timedelta(minutes=10)
"""So long a check's page says that its first ping came."""


@get("/p/{project:str}/checks/{check:str}")
async def show(request: PageRequest) -> Response[bytes]:
    """By slug or id. A slug that two checks have leads to both."""
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    live = await request.live_mark()
    async with api.database.read() as read:
        try:
            found = await _check(request, read)
        except AmbiguousSlugError:
            return to(request, _list_path(request), query=urlencode({"q": request.path_value("check")}))
        told = await explained(read, pid, found.uuid, now=now)
        row = told.row
        time = await check_time.seen(read, request, row)
        has_moved = await moved_of(read, row)
        (level,) = await of_rows(read, pid, [row], zone=await zone_of(read, pid), now=now)
        coverage, ninety = await covered(read, row), await ninety_of(read, pid, row.id, now=now)
        channels = await who_is_told(read, row)
        history_of: dict[str, Any] = {
            "runs": await queries.runs_of(read, pid, row.id, before=None, limit=PER_LIST),
            "pings": await queries.pings_of(read, pid, row.id, before=None, limit=PER_LIST),
            "flips": await queries.flips_of(read, pid, row.id, before=None, limit=PER_LIST),
        }
        said_by, said = await _said(read, row, history_of["pings"]) if row.status == "down" else (0, [])
        silent = running(await silences.in_force(read, pid, now=now), row, now=now)
        left = (await as_left(read, pid, [row], {row.id: unjudged_in(silent)})).get(row.id)
        zone = await zone_of(read, pid)
        incident = await incidents.find(read, pid, told.incident) if told.incident else None
        receipts = await _receipts(read, incident) if incident is not None else []
        needs = (await read_needs(read, pid, [row.id])).get(row.id, ()) if row.linked else ()
        needed_by = (await read_needed_by(read, pid, [row.id])).get(row.id, ()) if row.linked else ()
    firsts = (ping for ping in history_of["pings"] if ping.n == 1 and now - ping.received_at < FIRST_SHOWN)
    # A job of our own pings from within: nobody shall paste its address anywhere.
    url = f"{api.base_url}/ping/{row.ping_uuid}" if request.project.may_write and row.job is None else ""
    return await request.page(
        "check.html",
        check_zone=row.zone,
        live=live,
        check=row,
        shown=shown_status(row, now, {row.id} if left is not None and _is_ahead(left.expected_at, now) else ()),
        expected_at=row.expected_at if left is None else left.expected_at,
        first=next(firsts, None),
        waits_s=max(0, int((now - row.created_at).total_seconds())),
        base_url=api.base_url,
        told=told,
        tolerance=tolerance_of(row.tolerance),
        bounds=lines_of(bounds_of(row.bounds)),
        schedule=schedule_text(row),
        channels=channels,
        ping_url=url,
        snippets=snippets(url) if url else [],
        said=said,
        said_by=said_by,
        receipts=receipts,
        needs=needs,
        needed_by=needed_by,
        acked_at=incident.acked_at if incident is not None else None,
        acked_by=incident.acked_by if incident is not None else None,
        moved=has_moved,
        level=level,
        percent=percent,
        left=left_words,
        covered=strip(coverage),
        silent=silent,
        snooze_choices=CHOICES,
        whose=whose_of(row, [one.uuid for one in channels]),
        project_zone=zone.key,
        ninety=ninety,
        day_paths=heights(ninety.days),
        overlaps=OVERLAPS,
        overlap_chosen=CHOSEN,
        shown_of_each=SHOWN_OF_EACH,
        **history_of,
        **time,
    )


def _is_ahead(at: datetime | None, now: datetime) -> bool:
    return at is None or at > now


async def _said(read: AsyncConnection, row: Row[Any], newest: Sequence[Row[Any]]) -> tuple[int, list[str]]:
    """The number of the newest failure if it said something, and its first lines."""
    failed = next((ping for ping in newest if ping.kind == PingKind.FAIL), None)
    if failed is None or not failed.has_body:
        return 0, []
    body = await queries.ping_body(read, row.pid, row.id, failed.n)
    return failed.n, body.decode("utf-8", "replace")[:_LONGEST_SAID].splitlines()[:FIRST_LINES]


async def _receipts(read: AsyncConnection, incident: Row[Any]) -> Sequence[NotificationView]:
    """Who was told that it went down, and how that went."""
    return await incidents.told_of(read, incident.pid, (await incidents.flips_of(read, incident))[:1])


@get("/p/{project:str}/checks/{check:str}/snippets", opt=FOR_WRITERS)
async def show_snippets(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as read:
        row = await _check(request, read)
    if row.job is not None:
        return to(request, f"{_list_path(request)}/{row.uuid}")
    url = f"{request.api.base_url}/ping/{row.ping_uuid}"
    mail = request.api.settings.smtp.mail_address(row.ping_uuid)
    return await request.page("snippets.html", check=row, url=url, mail_address=mail, snippets=all_snippets(url))


@post("/p/{project:str}/checks/{check:str}/pause", status_code=200)
async def pause_check(request: PageRequest) -> Response[bytes]:
    return await _changed(request, commands.pause)


@post("/p/{project:str}/checks/{check:str}/resume", status_code=200)
async def resume_check(request: PageRequest) -> Response[bytes]:
    return await _changed(request, commands.resume)


@get("/p/{project:str}/checks/{check:str}/delete", opt=FOR_WRITERS)
async def ask_to_delete(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as read:
        row = await _check(request, read)
    return await request.page("delete_check.html", check=row, wrong="")


@post("/p/{project:str}/checks/{check:str}/delete", status_code=200)
async def delete_check(request: PageRequest) -> Response[bytes]:
    """Its history goes with it, so its name is asked for."""
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    async with api.database.read() as read:
        row = await _check(request, read)
    if form["name"].strip() != row.name:
        wrong = "That is not its name; nothing was deleted."
        return await request.page("delete_check.html", status=422, check=row, wrong=wrong)
    at = api.clock.now()
    gone = await api.database.write(lambda tx: commands.delete(tx, pid, row.uuid, at=at, ids=api.ids, actor=actor))
    await history.remove(api.database, pid, gone)
    return to(request, _list_path(request))


async def _changed(request: PageRequest, command: Callable[..., None]) -> Response[bytes]:
    api, pid, actor = request.api, request.project.pid, request.actor
    async with api.database.read() as read:
        uuid: str = (await _check(request, read)).uuid

    def work(tx: Tx, at: datetime) -> None:
        command(tx, pid, uuid, at=at, ids=api.ids, actor=actor)

    await in_turn(api.database, api.clock, work)
    return to(request, f"{_list_path(request)}/{uuid}")


async def _check(request: PageRequest, read: AsyncConnection) -> Row[Any]:
    return await queries.find_addressed(read, request.project.pid, request.path_value("check"))


def _list_path(request: PageRequest) -> str:
    return f"/p/{request.project.slug}/checks"
