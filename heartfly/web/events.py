"""What happened to a check, as pages and as files: everything in one list, and its runs.

Edits name people, so they are shown to who may write. Files hold what the list holds under the same filter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, cut, place, place_in_time
from heartfly.checks import queries
from heartfly.checks.timeline import KINDS, Entry, Place, Wanted, timeline
from heartfly.core.zones import zone as known_zone
from heartfly.db.types import instant, micros
from heartfly.errors import InvalidValueError
from heartfly.web.request import PageRequest

PAGE = 100
MOST_IN_A_FILE = 10_000
COLUMNS = (
    "at",
    "what",
    "n",
    "kind",
    "exit_status",
    "run_id",
    "remote",
    "agent",
    "body_size",
    "from",
    "to",
    "reason",
    "by",
)
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_NO_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@get("/p/{project:str}/checks/{check:str}/events")
async def show(request: PageRequest) -> Response[bytes]:
    pid, asked = request.project.pid, request.query_params
    async with request.api.database.read() as read:
        row = await queries.find_addressed(read, pid, request.path_value("check"))
        try:
            wanted = _wanted(request)
            before = _place(asked.get("before"))
        except InvalidValueError as error:
            return await _list(request, row, [], status=422, wrong=f"{error.field} {error.message}")
        entries, following = await timeline(read, row, wanted, before or Place(), PAGE)
    older = urlencode(_kept(request) | {"before": cursor_of("events", *following)}) if following else ""
    return await _list(request, row, entries, older=older, is_later=before is not None)


@get("/p/{project:str}/checks/{check:str}/events.csv")
async def as_csv(request: PageRequest) -> Response[bytes]:
    row, found = await _all(request)
    made = io.StringIO()
    sheet = csv.DictWriter(made, COLUMNS, lineterminator="\r\n")
    sheet.writeheader()
    sheet.writerows({name: _cell(value) for name, value in one.items()} for one in found)
    return _file(made.getvalue().encode(errors="replace"), "text/csv", f"{row.slug}-events.csv")


@get("/p/{project:str}/checks/{check:str}/events.ndjson")
async def as_ndjson(request: PageRequest) -> Response[bytes]:
    row, found = await _all(request)
    return _file(msgspec.json.Encoder().encode_lines(list(found)), "application/x-ndjson", f"{row.slug}-events.ndjson")


@get("/p/{project:str}/checks/{check:str}/runs")
async def show_runs(request: PageRequest) -> Response[bytes]:
    before = place_in_time(request.query_params.get("before"), "runs")
    async with request.api.database.read() as read:
        row = await queries.find_addressed(read, request.project.pid, request.path_value("check"))
        rows = await queries.runs_of(read, row.pid, row.id, before=before, limit=PAGE + 1)
        page, following = cut(rows, PAGE, lambda run: cursor_of("runs", micros(run.at), run.id))
        figures = await queries.metrics_of(read, row.pid, row.id, [run.id for run in page])
    return await request.page(
        "runs.html", check_zone=row.zone, check=row, runs=page, figures=figures, older=following or ""
    )


async def _list(
    request: PageRequest,
    row: Row[Any],
    entries: list[Entry],
    *,
    status: int = 200,
    wrong: str = "",
    older: str = "",
    is_later: bool = False,
) -> Response[bytes]:
    asked = {name: request.query_params.get(name, "") for name in ("kind", "since", "until")}
    kinds = [kind for kind in KINDS if kind != "edit" or request.project.may_write]
    zone = known_zone(request.who.zone, field="zone")
    return await request.page(
        "events.html",
        status=status,
        check_zone=row.zone,
        check=row,
        entries=entries,
        wrong=wrong,
        older=older,
        is_later=is_later,
        asked=asked | {name: _local(asked[name], zone) for name in ("since", "until")},
        kinds=kinds,
        query=urlencode(_kept(request)),
        most=MOST_IN_A_FILE,
    )


def _place(text: str | None) -> Place | None:
    found = place(text, "events", len(Place()))
    if found is None:
        return None
    behind = Place(*found)
    try:
        if behind.edit_us != Place().edit_us:
            instant(behind.edit_us)
    except OverflowError:
        raise InvalidValueError("cursor", "must be that of a page of this list") from None
    return behind


def _wanted(request: PageRequest) -> Wanted:
    asked = request.query_params
    kind = asked.get("kind", "")
    if kind and kind not in KINDS:
        raise InvalidValueError("kind", f"must be one of {', '.join(KINDS)}")
    since, until = (_bound(request, name) for name in ("since", "until"))
    return Wanted(kind=kind, since=since, until=until, with_edits=request.project.may_write)


def _bound(request: PageRequest, name: str) -> datetime | None:
    """An instant; without a zone it is the reader's."""
    text = request.query_params.get(name, "").strip()
    if not text:
        return None
    found: datetime | None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=known_zone(request.who.zone, field="zone"))
    except ValueError:
        found = None
    # At the ends of the calendar another zone has no such instant, and no database either.
    if found is None or not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise InvalidValueError(name, "must be a time such as 2026-03-02T01:30")
    return found


def _local(text: str, zone: Any) -> str:
    """As the browser's own field for a time wants it; nothing if it is none."""
    try:
        found = datetime.fromisoformat(text)
        return f"{found if found.tzinfo is None else found.astimezone(zone):%Y-%m-%dT%H:%M:%S}"
    except (ValueError, OverflowError):
        return ""


def _kept(request: PageRequest) -> dict[str, str]:
    return {name: value for name in ("kind", "since", "until") if (value := request.query_params.get(name, ""))}


async def _all(request: PageRequest) -> tuple[Row[Any], Iterator[dict[str, Any]]]:
    """Up to MOST_IN_A_FILE of them, newest first."""
    wanted = _wanted(request)
    async with request.api.database.read() as read:
        row = await queries.find_addressed(read, request.project.pid, request.path_value("check"))
        entries = await _pages(read, row, wanted)
    return row, (_told(entry) for entry in entries[:MOST_IN_A_FILE])


async def _pages(read: AsyncConnection, row: Row[Any], wanted: Wanted) -> list[Entry]:
    found: list[Entry] = []
    following: Place | None = Place()
    while following is not None and len(found) < MOST_IN_A_FILE:
        page, following = await timeline(read, row, wanted, following, 500)
        found += page
    return found


def _told(entry: Entry) -> dict[str, Any]:
    """One line of a file: the same fields for all, those that a kind lacks are null."""
    one, at = entry.found, f"{entry.at:%Y-%m-%dT%H:%M:%S.%fZ}"
    told: dict[str, Any] = dict.fromkeys(COLUMNS) | {"at": at, "what": entry.kind}
    match entry.kind:
        case "ping":
            names = ("n", "kind", "exit_status", "remote", "agent", "body_size")
            return told | {name: getattr(one, name) for name in names} | {"run_id": one.rid}
        case "flip":
            return told | {"n": one.flip_no, "from": one.from_status, "to": one.to_status, "reason": one.reason}
        case "notification":
            return told | {"kind": one.alert.kind.value, "to": one.channel_name, "reason": one.state}
        case _:
            return told | {"kind": one.action, "by": one.actor, "reason": ", ".join(one.after or one.before or ())}


def _cell(value: Any) -> Any:
    """A spreadsheet must not run what a job said."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_NO_FORMULA) else value


def _file(content: bytes, media_type: str, name: str) -> Response[bytes]:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
