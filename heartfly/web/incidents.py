"""Incidents: which there were, what happened in one, who was told, and what people say about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, cut, place_in_time
from heartfly.checks import queries as checks
from heartfly.checks.rows import run_of
from heartfly.core.alerts import cause_words
from heartfly.core.incident import facts
from heartfly.core.silenced import Silenced
from heartfly.db.changes import Tx
from heartfly.db.types import micros
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.incidents import commands, queries, shares
from heartfly.incidents.shares import Shared
from heartfly.incidents.spans import KINDS, OF_CHECK
from heartfly.notify.silences import silenced_of
from heartfly.web.request import PageRequest
from heartfly.web.sign_in import to
from heartfly.web.snooze import CHOICES

PAGE = 50
LASTS = {"3600": "an hour", "86400": "a day", "604800": "a week", "2592000": "30 days"}
"""How long a link can be asked to work, by seconds."""


@get("/p/{project:str}/incidents")
async def list_incidents(request: PageRequest) -> Response[bytes]:
    state = request.query_params.get("state", "")
    is_open = {"open": True, "closed": False}.get(state)
    before = place_in_time(request.query_params.get("before"), "incidents")
    live = await request.live_mark()
    async with request.api.database.read() as read:
        rows = await queries.find_many(
            read, request.project.pid, is_open=is_open, by_cause=True, before=before, limit=PAGE + 1
        )
        sizes = await queries.sizes_of(read, request.project.pid, rows)
    page, following = cut(rows, PAGE, lambda row: cursor_of("incidents", micros(row.opened_at), row.id))
    kept = {"state": state} if is_open is not None else {}
    older = urlencode(kept | {"before": following}) if following else ""
    return await request.page(
        "incidents.html", incidents=page, sizes=sizes, name_of=name_of, state=kept.get("state", ""), older=older,
        live=live,
    )  # fmt: skip


def name_of(row: Any) -> str:
    """What an incident is of; a cause in words."""
    return cause_words(row.source_kind, row.source_name) if row.source_kind in KINDS else str(row.check_name)


@get("/p/{project:str}/incidents/{incident:str}")
async def show(request: PageRequest) -> Response[bytes]:
    return await told(request)


@post("/p/{project:str}/incidents/{incident:str}/acknowledge", status_code=200)
async def acknowledge(request: PageRequest) -> Response[bytes]:
    api, pid, uuid, actor = request.api, request.project.pid, request.path_value("incident"), request.actor
    form = await request.sent()
    at, said = api.clock.now(), form["text"]

    def work(tx: Tx) -> None:
        commands.acknowledge(tx, pid, uuid, at=at, actor=actor, ids=api.ids)
        if said.strip():
            commands.comment(tx, pid, uuid, said, at=at, actor=actor, ids=api.ids)

    try:
        await api.database.write(work)
    except InvalidValueError as error:
        return await told(request, status=422, wrong=f"The comment {error.message}.", said=said)
    except ConflictError as error:
        wrong = "It was closed before anybody acknowledged it." if "closed" in str(error) else f"{error}."
        return await told(request, status=409, wrong=wrong, said=said)
    return await _to_check(request) if form["to"] == "check" else _back(request)


@post("/p/{project:str}/incidents/{incident:str}/comments", status_code=200)
async def comment(request: PageRequest) -> Response[bytes]:
    api, pid, uuid, actor = request.api, request.project.pid, request.path_value("incident"), request.actor
    at, said = api.clock.now(), (await request.sent())["text"]
    try:
        await api.database.write(lambda tx: commands.comment(tx, pid, uuid, said, at=at, actor=actor, ids=api.ids))
    except InvalidValueError as error:
        return await told(request, status=422, wrong=f"The comment {error.message}.", said=said)
    except ConflictError as error:
        return await told(request, status=409, wrong=f"{error}.", said=said)
    return _back(request)


async def told(
    request: PageRequest, *, status: int = 200, wrong: str = "", said: str = "", made: Shared | None = None
) -> Response[bytes]:
    """`made`: a link that has just been made, whose secret no other page has."""
    pid, now = request.project.pid, request.api.clock.now()
    # What answers a form stands at the form's address, where there is nothing to fetch anew.
    live = {"live": await request.live_mark()} if status == 200 else {}
    async with request.api.database.read() as read:
        row = await queries.find(read, pid, request.path_value("incident"))
        flips = await queries.flips_of(read, row)
        run = await queries.run_of(read, flips[0]) if flips else None
        heard = await queries.told_of_incident(read, row, flips)
        notes = await queries.notes_of(read, pid, row.id)
        links = await shares.shares_of(read, pid, row.id, now=now)
        silent = await _silent(read, row, now=now)
        members = await queries.members_of(read, row)
    return await request.page(
        "incident.html",
        status=status,
        incident=row,
        members=members,
        name=name_of(row),
        is_cause=row.source_kind in KINDS,
        cause=cause_words(row.cause_kind, row.cause_name) if row.cause_uuid else "",
        facts=facts(queries.value(row, members), run_of(run) if run is not None else None),
        ended_by=run.ping_n if run is not None and run.ended_at is not None else None,
        told=heard,
        notes=notes,
        links=links,
        silent=silent,
        lasts=LASTS,
        usual=str(shares.USUAL_S),
        made=made,
        link=shares.address(request.api.base_url, made.token) if made is not None else "",
        wrong=wrong,
        said=said,
        snooze_choices=CHOICES,
        **live,
    )


async def _silent(read: AsyncConnection, row: Any, *, now: datetime) -> Sequence[Silenced]:
    """What keeps people from hearing of its check now. Of one that is closed, or of no check, nothing."""
    if row.source_kind != OF_CHECK or row.closed_at is not None:
        return ()
    try:
        check = await checks.find(read, row.pid, row.source_uuid)
    except NotFoundError:  # it was deleted, or moved to another project
        return ()
    channels = await checks.named_channels_of(read, row.pid, check.id)
    return await silenced_of(read, check, channels, now=now)


async def _to_check(request: PageRequest) -> Response[bytes]:
    """From whose page it was acknowledged."""
    async with request.api.database.read() as read:
        row = await queries.find(read, request.project.pid, request.path_value("incident"))
    if row.source_kind != OF_CHECK:
        return _back(request)
    return to(request, f"/p/{request.project.slug}/checks/{row.source_uuid}")


def _back(request: PageRequest) -> Response[bytes]:
    return to(request, f"/p/{request.project.slug}/incidents/{request.path_value('incident').lower()}")
