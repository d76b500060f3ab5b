"""One ping: who sent it, and what it said, in the way that the address asks for; and the bytes as they came.

`?view=pretty` lays JSON out, `?ansi=strip` takes a terminal's colours out, `?wrap=off` leaves long lines long, `?find=`
marks words, and `?diff=1` shows what differs from the last success before, with `?numbers=off` without its numbers.
Each is a link, so none needs a script. Of a run that failed the beginning of that stands there unasked.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from litestar import MediaType, Response, get

from heartfly.checks import differing, queries
from heartfly.checks.differing import Said
from heartfly.core import text as texts
from heartfly.core.outputs import MOST_LINES, compared
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.web.body_view import has_commands, lines_of
from heartfly.web.json_text import is_json, laid_out
from heartfly.web.request import PageRequest

MOST_FOUND = 100
"""Lines that are linked of those in which something was found."""
_LARGEST = 2**63 - 1
_LONGEST_SHOWN = 100_000
_OPTIONS = {"view": "pretty", "ansi": "strip", "wrap": "off", "diff": "1", "numbers": "off"}
_BRIEF = 40
"""Lines of what differs, on the page of a run that failed."""


@get("/p/{project:str}/checks/{check:str}/events/{n:str}")
async def show(request: PageRequest) -> Response[bytes]:
    pid, n = request.project.pid, _number(request.path_value("n"))
    asked = {name: value for name, value in _OPTIONS.items() if request.query_params.get(name) == value}
    find, wrong = _find(request)
    async with request.api.database.read() as read:
        row = await queries.find_addressed(read, pid, request.path_value("check"))
        found = await queries.pings_of(read, pid, row.id, before=n + 1, limit=1)
        if not found or found[0].n != n:
            raise NotFoundError("there is no such ping, or it is not kept any more")
        ping = found[0]
        body = await queries.ping_body(read, pid, row.id, n) if ping.has_body else b""
        earlier, later = await queries.neighbours_of(read, pid, row.id, n)
        is_failure = differing.is_of_failure(ping) and bool(body)
        compares = "diff" in asked or is_failure
        other = await differing.success_before(read, pid, row.id, n) if compares else None
    # In a thread: long outputs take tens of milliseconds, and comparing them more.
    said = await asyncio.to_thread(_said, body, asked, find, other)
    return await request.page(
        "ping.html",
        status=422 if wrong else 200,
        check_zone=row.zone,
        check=row,
        ping=ping,
        kept=len(body),
        earlier=earlier,
        later=later,
        asked=asked,
        find=find,
        wrong=wrong,
        most_found=MOST_FOUND,
        most_compared=MOST_LINES,
        is_failure=is_failure,
        brief=_BRIEF,
        switched=lambda name: _switched(asked, find, name),
        **said,
    )


@get("/p/{project:str}/checks/{check:str}/events/{n:str}/body", media_type=MediaType.TEXT)
async def body(request: PageRequest) -> Response[bytes]:
    """The bytes as they came, cut to what is kept. Never anything that a browser would run."""
    pid, n = request.project.pid, _number(request.path_value("n"))
    async with request.api.database.read() as read:
        row = await queries.find_addressed(read, pid, request.path_value("check"))
        content = await queries.ping_body(read, pid, row.id, n)
    as_file = f'attachment; filename="{row.slug}-{n}.txt"' if "download" in request.query_params else "inline"
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": as_file}
    return Response(content, media_type=MediaType.TEXT, headers=headers)


def _find(request: PageRequest) -> tuple[str, str]:
    """What is looked for, and what is wrong with it."""
    asked = request.query_params.get("find", "")
    try:
        return texts.one_line(asked, field="find", most=200) if asked.strip() else "", ""
    except InvalidValueError as error:
        return "", error.message


def _said(content: bytes, asked: dict[str, str], find: str, other: Said | None) -> dict[str, Any]:
    whole = content.decode("utf-8", "replace")
    can_be_pretty = is_json(whole)
    text = laid_out(whole) if can_be_pretty and "view" in asked else whole
    shown = text[:_LONGEST_SHOWN]
    lines = lines_of(shown, colours="ansi" not in asked, find=find)
    said: dict[str, Any] = {
        "lines": lines,
        "is_cut": len(text) > _LONGEST_SHOWN,
        "can_be_pretty": can_be_pretty,
        "has_colours": has_commands(shown),
        "found": [i for i, line in enumerate(lines, 1) if line.has_found],
        "other_n": None,
        "differs": [],
        "all_compared": True,
    }
    if other is not None:
        there = other.body.decode("utf-8", "replace")
        there = laid_out(there) if "view" in asked and is_json(there) else there
        # Of the whole text, so that a difference beyond what is shown is not missed.
        found = compared(there, text, numbers="numbers" not in asked)
        said |= {"other_n": other.n, "differs": found.lines, "all_compared": found.is_whole}
    return said


def _switched(asked: dict[str, str], find: str, name: str) -> str:
    """The query of this page with an option more, or less if it is asked for."""
    kept = {key: value for key, value in asked.items() if key != name}
    more = {} if name in asked or name == "find" else {name: _OPTIONS[name]}
    query = urlencode(kept | more | ({"find": find} if find and name != "find" else {}))
    return f"?{query}" if query else ""


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 0 < number < _LARGEST:
        raise NotFoundError("there is no such ping, or it is not kept any more")
    return number
