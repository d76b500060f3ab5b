"""Maintenance: which silences are in force, are to come and have ended; to make one, and to end one.

Snoozes of single checks are made on their own pages (snooze.py), and shown here as well.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, cut, place
from heartfly.checks import queries
from heartfly.core.silence import Silence, Span
from heartfly.core.words import Severity
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.incidents import queries as incidents
from heartfly.notify import peace_commands, silences
from heartfly.notify.queries import list_channels
from heartfly.notify.silences import silence_of
from heartfly.usage.rerun import zone_of
from heartfly.web.check_form import UNITS
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.sign_in import to
from heartfly.web.silence_form import DAYS, LABELS, asked_of, blank, edited_of, typed_in, typed_of

PAGE = 50
KINDS = {"maintenance": "Maintenance", "mute": "Mute", "quiet": "Quiet hours"}
AHEAD = timedelta(days=14)
MOST_AHEAD = 40
_MOST_CHECKS = 500


@dataclass(frozen=True, slots=True)
class Line:
    """`names`: what it covers, for people."""

    row: Any
    silence: Silence
    names: Sequence[str]
    span: Span | None
    """That is in force."""
    next_from: datetime | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Ahead:
    words: str
    span: Span


@get("/p/{project:str}/maintenance")
async def list_silences(request: PageRequest) -> Response[bytes]:
    pid, now = request.project.pid, request.api.clock.now()
    given = request.query_params
    ended = given.get("state") == "ended"
    before = place(given.get("before") or None, "silences", 1)
    async with request.api.database.read() as read:
        rows = await silences.list_silences(
            read, pid, now=now, ended=ended, before=before[0] if before else None, limit=PAGE + 1
        )
        living = await silences.in_force(read, pid, now=now)
        page, following = cut(rows, PAGE, lambda row: cursor_of("silences", row.id))
        known = await _names(request, read)
    lines = [_line(row, known, now) for row in page]
    kept = {"state": "ended"} if ended else {}
    return await request.page(
        "maintenance.html",
        lines=sorted(lines, key=lambda line: line.span is None) if not ended else lines,
        ended=ended,
        older=urlencode(kept | {"before": following}) if following else "",
        ahead=_ahead(living, now),
        kinds=KINDS,
    )


@get("/p/{project:str}/maintenance/new", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    """`kind` in the query; `tag`: that it begins with."""
    given = request.query_params
    kind = given.get("kind", "")
    typed = blank(kind if kind in KINDS else "maintenance", now=request.api.clock.now(), zone=await _zone(request))
    if given.get("tag"):
        typed |= {"scope": "tag", "tags": given["tag"][:100]}
    return await _form(request, typed)


@post("/p/{project:str}/maintenance/new", opt=FOR_WRITERS, status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form = await request.sent()
    typed = typed_in(form)
    chosen = {"checks": form.many("check"), "channels": form.many("channel")}
    try:
        asked = asked_of(typed, **chosen, zone=await _zone(request))
        await api.database.write(lambda tx: peace_commands.make(tx, pid, asked, at=at, actor=actor, ids=api.ids))
    except InvalidValueError as error:
        field = error.field.partition("[")[0]
        return await _form(request, typed, status=422, errors={field: error.message}, **chosen)
    except ConflictError as error:
        return await _form(request, typed, status=409, errors={"": str(error)}, **chosen)
    return to(request, f"/p/{request.project.slug}/maintenance")


@get("/p/{project:str}/maintenance/{silence:str}/edit", opt=FOR_WRITERS)
async def show_edit(request: PageRequest) -> Response[bytes]:
    now, zone = request.api.clock.now(), await _zone(request)
    async with request.api.database.read() as read:
        row = await silences.one_silence(read, request.project.pid, request.path_value("silence"))
    if (row.to_at is not None and row.to_at <= now) or row.kind not in KINDS:
        raise ConflictError("it has ended" if row.kind in KINDS else "a snooze is set anew on the page of its check")
    return await _form(request, typed_of(row, now=now, zone=zone), checks=row.targets, channels=row.targets, of=row)


@post("/p/{project:str}/maintenance/{silence:str}/edit", opt=FOR_WRITERS, status_code=200)
async def edit(request: PageRequest) -> Response[bytes]:
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form, zone = await request.sent(), await _zone(request)
    async with api.database.read() as read:
        row = await silences.one_silence(read, pid, request.path_value("silence"))
    typed = typed_in(form) | {"kind": row.kind}
    chosen = {"checks": form.many("check"), "channels": form.many("channel")}
    try:
        asked = edited_of(typed, peace_commands.asked_as(row), **chosen, zone=zone)
        await api.database.write(
            lambda tx: peace_commands.edit(tx, pid, row.uuid, asked, at=at, actor=actor, ids=api.ids)
        )
    except InvalidValueError as error:
        field = error.field.partition("[")[0]
        return await _form(request, typed, status=422, errors={field: error.message}, of=row, **chosen)
    except ConflictError as error:
        return await _form(request, typed, status=409, errors={"": str(error)}, of=row, **chosen)
    return to(request, f"/p/{request.project.slug}/maintenance")


@post("/p/{project:str}/maintenance/{silence:str}/end", opt=FOR_WRITERS, status_code=200)
async def end(request: PageRequest) -> Response[bytes]:
    """The time that is in force. From the page of a check, or of its incident, one comes back there."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form, uuid = await request.sent(), request.path_value("silence")
    await api.database.write(lambda tx: peace_commands.end_now(tx, pid, uuid, at=at, actor=actor, ids=api.ids))
    if form["check"]:
        async with api.database.read() as read:
            row = await queries.find(read, pid, form["check"])
        return to(request, f"/p/{request.project.slug}/checks/{row.uuid}")
    if form["incident"]:
        async with api.database.read() as read:
            incident = await incidents.find(read, pid, form["incident"])
        return to(request, f"/p/{request.project.slug}/incidents/{incident.uuid}")
    return to(request, f"/p/{request.project.slug}/maintenance")


@post("/p/{project:str}/maintenance/{silence:str}/delete", opt=FOR_WRITERS, status_code=200)
async def delete(request: PageRequest) -> Response[bytes]:
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    uuid = request.path_value("silence")
    await api.database.write(lambda tx: peace_commands.delete(tx, pid, uuid, at=at, actor=actor, ids=api.ids))
    return to(request, f"/p/{request.project.slug}/maintenance")


async def _zone(request: PageRequest) -> str:
    async with request.api.database.read() as read:
        return (await zone_of(read, request.project.pid)).key


async def _names(request: PageRequest, read: AsyncConnection) -> Mapping[str, str]:
    """Of checks and channels, by their ids."""
    pid = request.project.pid
    rows = await queries.names_of(read, pid)
    channels = await list_channels(read, pid, request.api.sealer)
    return {row.uuid: row.name for row in rows} | {one.uuid: one.name for one in channels}


def _line(row: Any, known: Mapping[str, str], now: datetime) -> Line:
    silence = silence_of(row)
    names = [known.get(one, "deleted") if row.scope in {"check", "channel"} else one for one in row.targets]
    span = silence.span_at(now)
    following = None if span is not None else silence.first_after(now)
    ended = row.to_at is not None and row.to_at <= now
    return Line(row, silence, names, span, None if following is None else following.from_at, ended)


def _ahead(living: Sequence[Silence], now: datetime) -> list[Ahead]:
    """The next two weeks, in order; what is in force begins them."""
    each = (_ahead_of(one, now) for one in living)
    # No more of them is worked out than is shown.
    return [*islice(heapq.merge(*each, key=lambda one: one.span.from_at), MOST_AHEAD)]


def _ahead_of(one: Silence, now: datetime) -> Iterator[Ahead]:
    words = one.words()
    return (Ahead(words, span) for span in one.spans(now, now + AHEAD) if span.to_at > now)


async def _form(
    request: PageRequest,
    typed: Mapping[str, str],
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    checks: Sequence[str] = (),
    channels: Sequence[str] = (),
    of: Any = None,
) -> Response[bytes]:
    """`of`: the silence that is changed; None: it is a new one."""
    pid = request.project.pid
    async with request.api.database.read() as read:
        known = await queries.names_of(read, pid)
        told = await list_channels(read, pid, request.api.sealer)
    return await request.page(
        "maintenance_form.html",
        status=status,
        of=of,
        typed=typed,
        errors=errors or {},
        labels=LABELS,
        kinds=KINDS,
        checks=known[:_MOST_CHECKS],
        n_checks=len(known),
        channels=told,
        chosen={*checks, *channels},
        severities=[one.value for one in Severity],
        units=UNITS,
        days=DAYS,
        zone=await _zone(request),
    )
