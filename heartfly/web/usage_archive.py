"""Archived days of usage in the browser: which files there are, whether they are whole, and to put a day back.

A day comes back piece by piece, a request each, so that none takes long; what is here already is not put back twice.
"""

from __future__ import annotations

from datetime import date, timedelta
from urllib.parse import urlencode

from litestar import Response, get, post

from heartfly.api.paging import cursor_of, cut, place
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError, StoreError
from heartfly.usage.archive.queries import list_archives
from heartfly.usage.archive.restore import Looked, Restored, restore, verify
from heartfly.usage.audit import carry_or_wait
from heartfly.web.request import Form, PageRequest

PAGE = 50
_LIST = "archives"
_FIRST = date(1970, 1, 1)


@get("/p/{project:str}/usage/archive")
async def show_archive(request: PageRequest) -> Response[bytes]:
    """`before` in the query: files behind that place."""
    return await _list(request)


@post("/p/{project:str}/usage/archive", status_code=200)
async def look_or_restore(request: PageRequest) -> Response[bytes]:
    """`do` verify: each file of `day` is read to its end. `do` restore: its events are put back, behind `after`."""
    api, pid, form = request.api, request.project.pid, await request.sent()
    day, do = _day(form["day"]), form["do"]
    if do not in {"verify", "restore"}:
        raise InvalidValueError("do", "must be verify or restore")
    if do == "verify":
        return await _list(request, day=day, looked=await verify(api.usage, pid, day, api.settings.archive_dir))
    try:
        told = await restore(
            api.usage, pid, day, api.settings.archive_dir,
            after=_after(form), stay=timedelta(days=api.settings.archive.restored_days),
            actor=request.actor, now=api.clock.now(), ids=api.ids,
        )  # fmt: skip
    except (StoreError, ConflictError) as error:
        return await _list(request, status=409, wrong=f"Nothing was put back: {error}.")
    await carry_or_wait(api.usage, api.database)
    return await _list(request, day=day, restored=told)


async def _list(
    request: PageRequest,
    *,
    status: int = 200,
    wrong: str = "",
    day: date | None = None,
    looked: list[Looked] | None = None,
    restored: Restored | None = None,
) -> Response[bytes]:
    settings = request.api.settings.archive
    try:
        before = _before(request.query_params.get("before"))
    except InvalidValueError as error:
        status, wrong, before = 422, f"The place: {error.field} {error.message}.", None
    async with request.api.usage.read() as read:
        rows = await list_archives(read, request.project.pid, from_day=None, to_day=None, before=before, limit=PAGE + 1)
    files, following = cut(rows, PAGE, lambda row: cursor_of(_LIST, (row.day - _FIRST).days, row.part))
    return await request.page(
        "usage_archive.html",
        status=status,
        wrong=wrong,
        files=files,
        is_first=before is None,
        following=urlencode({"before": following}) if following else "",
        day=day,
        looked=looked,
        restored=restored,
        is_on=settings.enabled,
        after_days=settings.after_days,
        stay_days=settings.restored_days,
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFoundError("there is no such day") from None


def _after(form: Form) -> int:
    text = form["after"] or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 13):
        raise InvalidValueError("after", "must be what the page before told")
    return int(text)


def _before(cursor: str | None) -> tuple[date, int] | None:
    """InvalidValueError."""
    named = place(cursor, _LIST, 2)
    if named is None:
        return None
    try:
        return _FIRST + timedelta(days=named[0]), named[1]
    except OverflowError:
        raise InvalidValueError("before", "must be the place where a page of this list ended") from None
