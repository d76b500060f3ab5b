"""One backfill in the browser: events are put into it, what it would change is shown, it is closed and reverted.

Whatever cannot be taken back with one more click is asked for once more. What a set does is decided in usage/.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post

from heartfly.api.event_bodies import MAX_BYTES, events_in
from heartfly.api.paging import cursor_of, cut, number
from heartfly.core.events import Event, Rejected, read_yielding
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import backfill_queries as queries
from heartfly.usage import backfills
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.backfill_plan import MOST
from heartfly.usage.backfill_preview import Foreseen, foresee
from heartfly.usage.changed_figures import MOST_ITEMS
from heartfly.usage.ingest import MAX_EVENTS
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.reruns import Rerun
from heartfly.web.sign_in import to
from heartfly.web.usage_backfills import n_sent
from heartfly.web.usage_changes import near_meters, told
from heartfly.web.usage_days import AGAIN_S

PAGE = 50
CHANGES = 100
MOST_WRONG = 20
"""Events that are none of the set's, told one by one."""
MOST_KEPT = 64 * 1024
"""Of what was pasted, that stands in the form once more if something of it was wrong."""
MOST_UPLOADED = MAX_BYTES + 64 * 1024
"""The file, and the form around it."""
OUTCOMES = {
    "added": "new", "same": "count already, just so", "changed": "take the place of their former selves",
    "again": "had been replaced, and count again", "duplicate": "are known, and not the set’s to change",
    "conflict": "are known with other content, and not the set’s to change", "replaced": "count no more",
}  # fmt: skip
_SENT = "backfill-events"
_LINES = "application/x-ndjson"


@dataclass(slots=True)
class PutIn:
    """`wrong`: which of what was sent (from 1), the field and why. `stopped`: why it did not come to the end."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, str, str]] = field(default_factory=list)
    stopped: str = ""


@get("/p/{project:str}/usage/backfills/{backfill:str}")
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request)


@post(
    "/p/{project:str}/usage/backfills/{backfill:str}/events",
    opt=FOR_WRITERS,
    status_code=200,
    request_max_body_size=MOST_UPLOADED,
)
async def put_in(request: PageRequest) -> Response[bytes]:
    """`file`, or `events` as they were pasted."""
    typed = (await request.sent())["events"]
    raw = await request.sent_file("file") or typed.encode("utf-8", "surrogatepass")
    typed = typed if len(typed) <= MOST_KEPT else ""
    try:
        if not raw.strip():
            raise InvalidValueError("events", "must be pasted here, or in a file below")  # noqa: TRY301 - as other faults
        put = await _put(request, raw)
    except InvalidValueError as error:
        return await _page(request, status=422, errors={"events": error.message}, typed=typed)
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"Nothing was put in: {error}.", typed=typed)
    return await _page(request, put=put, typed=typed if put.wrong or put.stopped else "")


@get("/p/{project:str}/usage/backfills/{backfill:str}/preview")
async def show_preview(request: PageRequest) -> Response[bytes]:
    """`from` in the query: the first change that is shown."""
    api, pid, public_id = request.api, request.project.pid, request.path_value("backfill")
    first = _first(request.query_params.get("from", ""))
    async with api.usage.read() as read:
        row = await queries.one_set(read, pid, public_id)
        n = await n_sent(read, row)
        near = await near_meters(read, pid)
    async with api.database.read() as main:
        zone = (await zone_of(main, pid)).key
    asked, wrong = (await _asked(request, row.uuid, n, zone, anew=not first)) if row.state == "open" else None, ""
    found: Foreseen | None = None
    goes_on = asked is not None and asked.goes_on  # read once: it may end while the page is being written
    if asked is not None and not goes_on:
        asked.told = True
        try:
            found = asked.task.result()
        except ConflictError as error:
            wrong = f"It cannot be closed so: {error}."
    changes = [] if found is None else found.changes
    page = await request.page(
        "usage_backfill_preview.html",
        status=409 if wrong else 200,
        row=row,
        n=n,
        found=found,
        changes=changes[first : first + CHANGES],
        first=first,
        following=first + CHANGES if len(changes) > first + CHANGES else None,
        previous=max(0, first - CHANGES) if first else None,
        outcomes=OUTCOMES,
        told=lambda one, value: told(value, is_near=one.meter in near),
        zone=zone,
        wrong=wrong,
        asked=asked,
        goes_on=goes_on,
        again_s=AGAIN_S,
    )
    if goes_on:
        page.headers["Refresh"] = str(AGAIN_S)
    return page


async def _asked(request: PageRequest, public_id: str, n: int, zone: str, *, anew: bool) -> Rerun[Foreseen]:
    """`n`: events that lie in it. `anew`: what was told already is worked out once more, but for its further pages."""
    api, pid, previews = request.api, request.project.pid, request.web.previews
    key = (pid, (public_id, n))
    known = previews.of(key)
    if known is not None and not known.goes_on and (not known.told or not anew):
        return known

    async def work(_: Rerun[Foreseen]) -> Foreseen:
        return await api.closer.hands.run(foresee, api.usage.place, pid, public_id, zone)

    return await previews.ask(key, work, closes=False)


@post("/p/{project:str}/usage/backfills/{backfill:str}", opt=FOR_WRITERS, status_code=200)
async def end(request: PageRequest) -> Response[bytes]:
    """`do`: `close` or `revert`; it is done with `sure`, and asked once more without. `empty`: also of an empty one."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    public_id, form = request.path_value("backfill"), await request.sent()
    do, oldest = form["do"], api.events.oldest()
    if do not in {"close", "revert"}:
        raise InvalidValueError("do", "must be close or revert")
    if not form["sure"]:
        return await _page(request, asks=do)
    async with api.usage.read() as read:
        row = await queries.one_set(read, pid, public_id)
        n = await n_sent(read, row)
    if (row.state, str(n)) != (form["state"], form["n"]):
        said = f"Nothing was done: since you looked, it has become {row.state} with {n} events. Look once more."
        return await _page(request, status=409, wrong=said)
    try:
        if do == "close":
            empty = form["empty"] == "1"
            await api.usage.write(
                lambda tx: backfills.close_set(tx, pid, public_id, empty=empty, actor=actor, at=at, ids=api.ids)
            )
        else:
            await api.usage.write(
                lambda tx: backfills.revert_set(tx, pid, public_id, oldest=oldest, actor=actor, at=at, ids=api.ids)
            )
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"Nothing was changed: {error}.", asks=do)
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/backfills/{quote(public_id, safe='')}")


async def _put(request: PageRequest, raw: bytes) -> PutIn:
    """Piece by piece, as programs send them: what was put in stays, whatever the next piece is."""
    api, pid, actor, public_id = request.api, request.project.pid, request.actor, request.path_value("backfill")
    put, n = PutIn(), 0
    for piece, media_type in _pieces(raw):
        at, oldest = api.clock.now(), api.events.oldest()
        items = await asyncio.to_thread(_looked_at, piece, media_type, now=at, oldest=oldest)
        try:
            became = await api.usage.write(
                lambda tx, items=items, at=at: backfills.fill(  # type: ignore[misc]
                    tx, pid, public_id, items, actor=actor, at=at, ids=api.ids
                )
            )
        except ConflictError as error:
            if not n:
                raise
            put.stopped = str(error)
            break
        put.counts.update(one.outcome.value for one in became)
        wrong = [(n + place, one.field, one.reason) for place, one in enumerate(became, 1) if one.reason]
        put.wrong += wrong[: MOST_WRONG - len(put.wrong)]
        n += len(became)
    await carry_or_wait(api.usage, api.database)
    return put


def _looked_at(piece: bytes, media_type: str, **times: Any) -> list[Event | Rejected]:
    return backfills.items_of(events_in(piece, media_type=media_type, reader=read_yielding), **times)


def _pieces(raw: bytes) -> Iterator[tuple[bytes, str]]:
    """A document as it is, lines in as many as one transaction takes; each with what it is."""
    first, _, rest = raw.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")
    if first.startswith(b"[") or (rest.strip() and not first.rstrip().endswith(b"}")):
        yield raw, "application/json"
        return
    if raw.count(b"\n") > 2 * MOST:  # before they are taken apart: millions of lines would hold up everybody
        raise InvalidValueError("events", f"has more lines than the {MOST:,} events that a backfill may hold")
    lines = [line for line in raw.split(b"\n") if line.strip()]
    for start in range(0, len(lines), MAX_EVENTS):
        yield b"\n".join(lines[start : start + MAX_EVENTS]), _LINES


def _first(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < MOST_ITEMS):
        raise InvalidValueError("from", "is no page of these changes; begin with the first")
    return int(text)


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    wrong: str = "",
    asks: str = "",
    put: PutIn | None = None,
    errors: dict[str, str] | None = None,
    typed: str = "",
) -> Response[bytes]:
    after = number(request.query_params.get("after"), _SENT)
    async with request.api.usage.read() as read:
        row = await queries.one_set(read, request.project.pid, request.path_value("backfill"))
        n = await n_sent(read, row)
        found = await queries.list_sent(read, row, after=after, limit=PAGE + 1)
    page, following = cut(found, PAGE, lambda one: cursor_of(_SENT, one[0].id))
    return await request.page(
        "usage_backfill.html",
        status=status,
        row=row,
        n=n,
        sent=page,
        following=following,
        is_first=after is None,
        outcomes=OUTCOMES,
        asks=asks,
        put=put,
        typed=typed,
        most=MOST,
        most_mib=MAX_BYTES // 1024 // 1024,
        most_events=MAX_EVENTS,
        errors=errors or {},
        wrong=wrong,
    )
