"""Who changed what: filters that stand in the address, before and after of each change, and all of it as a file."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.response import Stream
from sqlalchemy import Row

from heartfly.api.paging import cursor_of, cut, instant_of, place_in_time
from heartfly.audit.queries import Wanted, list_entries
from heartfly.audit.record import Action
from heartfly.core import text
from heartfly.db.types import micros, to_json
from heartfly.errors import InvalidValueError
from heartfly.web.request import FOR_ADMINS, PageRequest

PAGE = 50
_PIECE = 500
_COLUMNS = ("at", "actor", "ip", "action", "object", "before", "after")
_OBJECT = re.compile(r"[a-z_]{1,20}(?::[0-9a-f-]{1,36})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
ACTIONS = tuple(dict.fromkeys(word for action in Action for word in (action.partition(".")[0], action.value)))


@dataclass(frozen=True, slots=True)
class Change:
    """A field of an entry, as a page shows it: what it was and what it became; None: it was not there."""

    field: str
    before: str | None
    after: str | None


@get("/p/{project:str}/audit", opt=FOR_ADMINS)
async def show(request: PageRequest) -> Response[bytes]:
    asked = _asked(request)
    try:
        wanted, before = _wanted(asked), place_in_time(request.query_params.get("before"), "audit")
    except InvalidValueError as error:
        return await _page(request, asked, status=422, errors={error.field: error.message})
    async with request.api.database.read() as read:
        rows = await list_entries(read, request.project.pid, wanted, before=before, limit=PAGE + 1)
    page, following = cut(rows, PAGE, lambda row: cursor_of("audit", micros(row.at), row.id))
    older = urlencode(_kept(asked) | {"before": following}) if following else ""
    return await _page(request, asked, rows=[(row, _changes(row)) for row in page], older=older)


@get("/p/{project:str}/audit.csv", opt=FOR_ADMINS)
async def as_csv(request: PageRequest) -> Stream:
    # Nothing in a cell begins with what a spreadsheet would run: each begins with a word of ours, a digit or a brace.
    return _file(request, "csv", "text/csv", _csv_line, head=",".join(_COLUMNS) + "\r\n")


@get("/p/{project:str}/audit.ndjson", opt=FOR_ADMINS)
async def as_ndjson(request: PageRequest) -> Stream:
    return _file(request, "ndjson", "application/x-ndjson", _json_line)


def _file(
    request: PageRequest, ending: str, media_type: str, spelled: Callable[[Row[Any]], str], *, head: str = ""
) -> Stream:
    """All that the filter finds, newest first, read and sent piece by piece."""
    wanted, pid, database = _wanted(_asked(request)), request.project.pid, request.api.database

    async def pieces() -> AsyncIterator[str]:
        if head:
            yield head
        before: tuple[datetime, int] | None = None
        while True:
            async with database.read() as read:
                rows = await list_entries(read, pid, wanted, before=before, limit=_PIECE)
            if rows:
                yield "".join(map(spelled, rows))
            if len(rows) < _PIECE:
                return
            before = (rows[-1].at, rows[-1].id)

    name = f"audit-{request.project.slug}.{ending}"
    return Stream(pieces(), media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _csv_line(row: Row[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_cell(getattr(row, name)) for name in _COLUMNS])
    return line.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return _iso(value)
    return "" if value is None else value if isinstance(value, str) else to_json(value)


def _json_line(row: Row[Any]) -> str:
    told = {name: getattr(row, name) for name in _COLUMNS} | {"id": str(row.id), "at": _iso(row.at)}
    return json.dumps(told, ensure_ascii=False, default=str) + "\n"


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _asked(request: PageRequest) -> dict[str, str]:
    return {name: request.query_params.get(name, "").strip() for name in ("actor", "action", "object", "since")}


def _kept(asked: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value}


def _wanted(asked: dict[str, str]) -> Wanted:
    """InvalidValueError names the field of the filter."""
    action, of, since = asked["action"], asked["object"], asked["since"]
    if action and action not in ACTIONS:
        raise InvalidValueError("action", "must be one of the list")
    if of and not _OBJECT.fullmatch(of):
        raise InvalidValueError("object", "must be a kind and an id, such as check:3f0f8f9e-…, or a kind alone")
    if _DAY.fullmatch(since):
        since += "T00:00:00Z"
    return Wanted(
        actor=text.one_line(asked["actor"], field="actor", most=300),
        action=action,
        object=of,
        from_at=instant_of(since or None, field="since"),
    )


def _changes(row: Row[Any]) -> list[Change]:
    before, after = row.before or {}, row.after or {}
    names = dict.fromkeys([*before, *after])
    return [Change(name, _told(before, name), _told(after, name)) for name in names]


def _told(facts: dict[str, Any], name: str) -> str | None:
    if name not in facts:
        return None
    value = facts[name]
    return value if isinstance(value, str) else to_json(value)


async def _page(
    request: PageRequest,
    asked: dict[str, str],
    *,
    status: int = 200,
    rows: list[tuple[Row[Any], list[Change]]] | None = None,
    older: str = "",
    errors: dict[str, str] | None = None,
) -> Response[bytes]:
    return await request.page(
        "audit.html",
        status=status,
        asked=asked,
        query=urlencode(_kept(asked)),
        entries=rows or [],
        older=older,
        errors=errors or {},
        actions=ACTIONS,
    )
