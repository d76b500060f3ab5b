"""The list of checks: is anything wrong, and where? Filters stand in the address, so that a view can be sent on.

The same checks are also shown on one axis of time (across.py), and by when they are expected (ahead.py).

Up to 1,000 checks are shown whole, the worst first. More come in pages, in the order in which they were made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.queries import project_of
from heartfly.api.paging import cursor_of, cut, place
from heartfly.api.v1.wire import schedule_text
from heartfly.checks import queries, views
from heartfly.checks.filters import SHOWN, demand_known, filtered_by, group_of, kept_in, range_of, wanted_of
from heartfly.checks.queries import Wanted
from heartfly.checks.recent import Known, Recent
from heartfly.checks.unjudged import Left, as_left, excused, unjudged_in
from heartfly.errors import InvalidValueError
from heartfly.notify.silences import Running, in_force, running
from heartfly.web import across, ahead
from heartfly.web.check_form import UNITS
from heartfly.web.grouped import grouped
from heartfly.web.request import Form, PageRequest
from heartfly.web.run_strip import Strip, strip
from heartfly.web.shown import shown_status, tolerated_of
from heartfly.web.sign_in import is_welcomed, to
from heartfly.web.snippets import first_ping

WHOLE = 1_000
PAGE = 500
TEMPLATES = {"": "checks.html", "timeline": "checks_timeline.html", "next": "checks_next.html"}
_ORDER = {word: i for i, word in enumerate(SHOWN)}


@dataclass(frozen=True, slots=True)
class Line:
    uuid: str
    rev: int
    name: str
    shown: str
    tolerated: str
    """How near to an alarm it is, if it is failing."""
    is_running: bool
    since: datetime
    tags: Sequence[str]
    schedule: str
    last_ping_at: datetime | None
    expected_at: datetime | None
    schedule_error: str | None
    recent: Recent
    strip: Strip
    is_unheard: bool
    """A channel that should tell of it fails."""
    silenced_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chip:
    word: str
    n: int
    is_on: bool
    query: str
    """What the address becomes by choosing it, or by letting it go."""


DONE = {
    "pause": "paused", "resume": "resumed", "tag": "tagged", "untag": "untagged", "grace": "given the grace",
    "silence": "silenced", "delete": "deleted", "tell": "told to the channel from now on",
    "untell": "told to the channel no more",
}  # fmt: skip
"""What can be done to many checks at once, and how it is told."""


SILENCED_FOR = timedelta(hours=2)
"""Many at once; any other time is planned on the page of maintenance."""


def mark_of(uuids: Iterable[str]) -> str:
    """What names a set of checks, however they are ordered: how many they are, and another text for each other set."""
    known = sorted(uuids)
    return f"{len(known)}-{hashlib.sha256(','.join(known).encode()).hexdigest()[:32]}"


def said(text: str) -> str:
    """What the address says was done, such as `pause-3`; empty for what it cannot have been."""
    do, _, n = text.partition("-")
    return said_of(do, int(n)) if do in DONE and n.isascii() and n.isdigit() and len(n) < 6 else ""


def said_of(do: str, n: int) -> str:
    return f"{n} {'check' if n == 1 else 'checks'} {DONE[do]}"


@get("/p/{project:str}")
async def of_project(request: PageRequest) -> Response[bytes]:
    return to(request, f"/p/{request.project.slug}/checks")


@get("/p/{project:str}/checks")
async def list_checks(request: PageRequest) -> Response[bytes]:
    return await listed(request, request.query_params)


async def listed(
    request: PageRequest,
    asked: Mapping[str, str] | Form,
    *,
    status: int = 200,
    refused: Sequence[tuple[str, str]] = (),
    done: str = "",
    naming: tuple[str, str] = ("", ""),
) -> Response[bytes]:
    """`refused`: of what was to be done to many, the name of each check and why not; `done`: what was done; `naming`:
    the name under which this was to be saved, and what is wrong with that.
    """
    pid, now = request.project.pid, request.api.clock.now()
    q, tag, word, after_text = (asked.get(name, "") for name in ("q", "tag", "status", "after"))
    q, tag = q.strip(), tag.strip()
    sent = asked if isinstance(asked, Form) else Form()
    view = "" if isinstance(asked, Form) else asked.get("view", "")
    view = "" if view == "list" else view
    bar = {"ticked": frozenset(sent.many("check")), "sent": sent}
    live = await request.live_mark()
    try:
        range_s = range_of(asked.get("range", "")) if view == "timeline" else 0
        demand_known(view)
        group = "" if view else group_of(asked.get("group", ""))
        wanted, after = wanted_of(q, tag, word, now), place(after_text or None, "page", 1)
    except InvalidValueError as error:
        blank = _NOTHING | bar | {"wrong": error.message, "q": q[:200], "tag": tag[:50], "view": ""}
        return await request.page("checks.html", status=422, **blank)
    async with request.api.database.read() as read:
        late_not = (await excused(read, pid, now=now)).ids
        counts = await queries.count_shown(read, pid, now=now, excused=late_not)
        wanted = replace(wanted, excused=late_not)
        rows, following = await _rows(read, pid, wanted, after[0] if after else None)
        ping_key = await _first_ping(request, read) if not counts else ""
        saved = await views.list_views(read, pid)
        hearing = await queries.named_channels(read, pid) if request.project.may_write and not view else []
        if following is None and after is None:
            rows = sorted(
                rows, key=lambda row: (_ORDER[shown_status(row, now, late_not)], row.name.casefold(), row.uuid)
            )
        more: dict[str, Any] = {}
        lines = [] if view else await lines_of(read, request.web.recent, pid, rows, now=now)
        if view == "timeline":
            more = await across.seen(read, request, rows, range_s=range_s, excused=late_not)
    if view == "next":
        more = await ahead.seen(request, rows)
    filtered = filtered_by(q, tag, word)
    kept = kept_in(view, filtered, range_s, group)
    return await request.page(
        TEMPLATES[view],
        live=live,
        status=status,
        refused=refused,
        done=done or said(request.query_params.get("done", "")),
        units=UNITS,
        offers_passkey=request.web.party is not None and is_welcomed(request) and not request.more_demanded,
        **bar,
        wrong="",
        lines=lines,
        groups=grouped(lines, _ORDER) if group else (),
        group=group,
        hearing=hearing,
        mark=mark_of(line.uuid for line in lines),
        rows=rows,
        view=view,
        filter_query=urlencode(filtered),
        kept=kept,
        n_all=sum(counts.values()),
        chips=_chips(counts, kept),
        n_down=counts.get("down", 0),
        following=urlencode(kept | {"after": following}) if following else "",
        is_later=after is not None,
        ping_key=ping_key,
        first_ping=first_ping(request.api.base_url, ping_key),
        q=q,
        tag=tag,
        status_word=word,
        first_query=urlencode(kept),
        saved=saved,
        naming=naming,
        longest_name=views.LONGEST_NAME,
        **more,
    )


_NOTHING: dict[str, Any] = {
    "lines": [], "n_all": 0, "n_down": 0, "following": "", "is_later": False, "ping_key": "", "first_ping": "",
    "first_query": "", "chips": [], "status_word": "", "refused": (), "done": "", "units": UNITS, "rows": [],
    "filter_query": "", "kept": {}, "saved": (), "naming": ("", ""), "offers_passkey": False, "groups": (),
    "group": "", "hearing": (),
}  # fmt: skip


async def _rows(read: AsyncConnection, pid: int, wanted: Wanted, after: int | None) -> tuple[Sequence[Any], str | None]:
    """All of them if they are few; else a page, and the place of the next."""
    if after is None:
        rows = await queries.find_many(read, pid, wanted, after=None, limit=WHOLE + 1)
        if len(rows) <= WHOLE:
            return rows, None
        return cut(rows, PAGE, lambda row: cursor_of("page", row.id))
    rows = await queries.find_many(read, pid, wanted, after=after, limit=PAGE + 1)
    return cut(rows, PAGE, lambda row: cursor_of("page", row.id))


async def _first_ping(request: PageRequest, read: AsyncConnection) -> str:
    """The project's ping key, for who may write: with it the first ping makes its check."""
    if not request.project.may_write:
        return ""
    row = await project_of(read, request.project.pid)
    return request.api.sealer.open(row.ping_key_enc).decode()


async def lines_of(read: AsyncConnection, known: Known, pid: int, rows: Sequence[Any], *, now: datetime) -> list[Line]:
    recent, unheard = await known.of(read, pid, rows), await queries.unheard(read, pid)
    silent = await in_force(read, pid, now=now)
    over = {row.id: running(silent, row, now=now) for row in rows} if silent else {}
    windows = {check_id: spans for check_id, its in over.items() if (spans := unjudged_in(its))}
    left = await as_left(read, pid, rows, windows) if windows else {}
    return [
        _line(row, now, recent[row.id], over.get(row.id, ()), left.get(row.id), is_unheard=row.id in unheard)
        for row in rows
    ]


def _line(
    row: Any, now: datetime, recent: Recent, over: Sequence[Running], left: Left | None, *, is_unheard: bool
) -> Line:
    """`over`: the silences that cover it now. `left`: what those leave of it in which it is not judged."""
    expected_at = row.expected_at if left is None else left.expected_at
    is_excused = left is not None and (expected_at is None or expected_at > now)
    return Line(
        uuid=row.uuid,
        rev=row.rev,
        name=row.name,
        shown=shown_status(row, now, {row.id} if is_excused else ()),
        tolerated=tolerated_of(row),
        is_running=row.n_open_runs > 0,
        since=row.status_since,
        tags=row.tags,
        schedule=schedule_text(row),
        last_ping_at=row.last_ping_at,
        expected_at=expected_at,
        schedule_error=row.schedule_error,
        silenced_until=over[0].span.to_at if over else None,
        recent=recent,
        strip=strip(recent.outcomes),
        is_unheard=is_unheard,
    )


def _chips(counts: Mapping[str, int], kept: Mapping[str, str]) -> list[Chip]:
    on, rest = kept.get("status"), {name: value for name, value in kept.items() if name != "status"}
    return [
        Chip(word, counts.get(word, 0), word == on, urlencode(rest if word == on else rest | {"status": word}))
        for word in SHOWN
    ]
