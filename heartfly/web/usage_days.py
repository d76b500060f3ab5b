"""Aggregation runs: a calendar of days with how sure each is, the figures of one, and to close one anew.

Somebody who closes a day anew first sees what will change. Which states there are is decided in usage/close_day.py; a
day whose figures do not agree with its events is called untrusted here.
"""

from __future__ import annotations

from calendar import Calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response, get, post

from heartfly.core.days import ONE, Day, day_in, day_of
from heartfly.core.windows import HOUR
from heartfly.core.zones import is_zone
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.jobs import queries as jobs
from heartfly.jobs.daily_usage import NAME as DAILY_USAGE
from heartfly.usage import day_queries
from heartfly.usage.rerun import close_anew, day_that_is_over, foretold, foretold_since_proved, zone_of
from heartfly.usage.sources import standing_in
from heartfly.web.request import PageRequest
from heartfly.web.reruns import Foretold, Rerun
from heartfly.web.sign_in import to
from heartfly.web.usage_of_day import by_meter

MOST_DAYS = 31
FIGURES = (
    ("events_raw", "Events"), ("events_rolled", "Of them in the figures"), ("customers", "Customers"),
    ("late", "Late"), ("events_received", "Came in on that day"), ("duplicates", "Duplicates"),
    ("conflicts", "Conflicts"), ("rejected", "Rejected"), ("uncounted", "That a meter cannot count"),
)  # fmt: skip
UNTRUSTED = "untrusted"
RUNS = 7
AGAIN_S = 2
"""So often the page of a day that is being closed asks how far it is."""
ADDS_UP = "adds up its hours, and holds the day against its events"
_FIRST, _LAST = date(1970, 1, 2), date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Square:
    """A day of the calendar. `state`: empty for one that has not begun; `row`: what is known of it, if anything."""

    day: date
    state: str
    in_month: bool
    row: Any = None


@get("/p/{project:str}/usage/jobs")
async def show_calendar(request: PageRequest) -> Response[bytes]:
    """`month` in the query: which one; the one of now if not said."""
    zone, now = await _zone(request), request.api.clock.now()
    today, asked, errors = day_of(zone, now), request.query_params.get("month", ""), {}
    try:
        first = _month(asked, today)
    except InvalidValueError as error:
        first, errors = today.replace(day=1), {error.field: error.message}
    before, after = _next(first, -1), _next(first, 1)
    async with request.api.usage.read() as read:
        rows = await day_queries.list_days(read, request.project.pid, from_day=first, to_day=after, limit=MOST_DAYS)
    job, runs = await _job(request)
    known = {row.day: row for row in rows}
    weeks = [
        [Square(day, _state(known.get(day), day, today), day.month == first.month, known.get(day)) for day in week]
        for week in Calendar().monthdatescalendar(first.year, first.month)
    ]
    return await request.page(
        "usage_calendar.html",
        status=422 if errors else 200,
        weeks=weeks,
        today=today,
        job=job,
        runs=runs,
        days=[one for week in reversed(weeks) for one in reversed(week) if one.in_month and one.state],
        first=first,
        before=before,
        after=after if after <= today else None,
        zone=zone.key,
        errors=errors,
    )


@get("/p/{project:str}/usage/jobs/{day:str}")
async def show(request: PageRequest) -> Response[bytes]:
    """Also how far it is, while it is closed anew."""
    day, reruns = _named(request), request.web.reruns
    rerun = reruns.of((request.project.pid, day))
    if rerun is None or rerun.goes_on:
        return await _page(request, day, rerun=rerun, done="done" in request.query_params)
    if rerun.closes or rerun.task.exception() is not None:
        reruns.drop((request.project.pid, day))
    return await _ended(request, day, rerun, done=True)


@post("/p/{project:str}/usage/jobs/{day:str}", status_code=200)
async def rerun(request: PageRequest) -> Response[bytes]:
    """`do`: `try` tells what would change, `close` does it. What takes long goes on, and the page tells how far."""
    api, pid, day = request.api, request.project.pid, _named(request)
    do, zone, actor = (await request.sent())["do"], await _zone(request), request.actor
    if do not in {"try", "close"}:
        raise InvalidValueError("do", "must be try or close")
    try:
        span = day_that_is_over(zone, day, now=api.clock.now())
    except InvalidValueError as error:
        return await _page(request, day, status=422, wrong=f"This day {error.message}.")

    async def work(rerun: Rerun[Foretold]) -> Foretold:
        seen = await foretold(api.usage, api.closer, pid, span)
        since = await foretold_since_proved(api.usage, api.closer, pid, span)
        if rerun.closes:
            rerun.step = ADDS_UP
            await close_anew(
                api.database, api.usage, api.closer, pid=pid, span=span, zone=zone,
                seen=seen, actor=actor, clock=api.clock, ids=api.ids,
            )  # fmt: skip
        return Foretold(seen, since)

    asked = await request.web.reruns.ask((pid, day), work, closes=do == "close")
    path = f"/p/{request.project.slug}/usage/jobs/{day}"
    if asked.goes_on:
        return to(request, path)
    if asked.closes or asked.task.exception() is not None:
        request.web.reruns.drop((pid, day))
    if asked.closes and asked.task.exception() is None:
        return to(request, f"{path}?done=1")
    return await _ended(request, day, asked)


async def _ended(request: PageRequest, day: date, rerun: Rerun[Foretold], *, done: bool = False) -> Response[bytes]:
    try:
        seen = rerun.task.result()
    except InvalidValueError as error:
        return await _page(request, day, status=422, wrong=f"This day {error.message}.")
    except ConflictError as error:
        return await _page(request, day, status=409, wrong=f"It was not closed: {error}.")
    return await _page(request, day, seen=None if rerun.closes else seen, done=done and rerun.closes)


async def _page(
    request: PageRequest,
    day: date,
    *,
    status: int = 200,
    wrong: str = "",
    seen: Foretold | None = None,
    rerun: Rerun[Foretold] | None = None,
    done: bool = False,
) -> Response[bytes]:
    zone, now = await _zone(request), request.api.clock.now()
    span = day_in(zone, day)
    async with request.api.usage.read() as read:
        rows = await day_queries.list_days(read, request.project.pid, from_day=day, to_day=day + ONE, limit=1)
        left = await day_queries.hours_to_fold(read, request.project.pid, from_at=span.from_at, to_at=span.to_at)
        row = rows[0] if rows else None
        its_zone, its_span = (zone, span) if row is None else _as_closed(row)
        begun = its_span.from_at <= now
        meters = await by_meter(read, request.project.pid, its_span, its_zone, now=now) if begun else None
    figures: Mapping[str, int] = {} if row is None else row.figures
    page = await request.page(
        "usage_day.html",
        status=status,
        day=day,
        row=row,
        span=its_span,
        state=_state(row, day, day_of(zone, now)),
        is_over=span.to_at <= now,
        sources=standing_in(None if row is None else row.sources),
        figures=[(label, figures[name]) for name, label in FIGURES if name in figures],
        fingerprint="" if row is None or row.fingerprint is None else bytes(row.fingerprint).hex(),
        zone=its_zone.key,
        meters=meters,
        seen=None if seen is None else seen.rows,
        since=None if seen is None else seen.since,
        rerun=rerun,
        hours=(span.to_at - span.from_at) // HOUR,
        left=left if rerun is not None and rerun.step == ADDS_UP else None,
        again_s=AGAIN_S,
        wait_s=request.web.reruns.wait_s,
        wrong=wrong,
        done=done,
    )
    if rerun is not None:
        page.headers["Refresh"] = str(AGAIN_S)
    return page


async def _job(request: PageRequest) -> tuple[Any, Sequence[Any]]:
    """The daily aggregation of the project, and its newest runs; None: there is none before its first usage."""
    pid = request.project.pid
    async with request.api.database.read() as read:
        job = await jobs.find_kind(read, pid, DAILY_USAGE)
        runs = () if job is None else await jobs.runs_of(read, pid, job.id, before=None, limit=RUNS)
    return job, runs


def _state(row: Any, day: date, today: date) -> str:
    if day > today:
        return ""
    if row is None:
        return "open"
    return UNTRUSTED if row.mismatch else str(row.state)


async def _zone(request: PageRequest) -> ZoneInfo:
    async with request.api.database.read() as read:
        return await zone_of(read, request.project.pid)


def _as_closed(row: Any) -> tuple[ZoneInfo, Day]:
    """Of the zone that the project had then."""
    return ZoneInfo(row.zone if is_zone(row.zone) else "UTC"), Day(row.day, row.from_at, row.to_at)


def _named(request: PageRequest) -> date:
    try:
        day = date.fromisoformat(request.path_value("day"))
    except ValueError:
        raise NotFoundError("there is no such day") from None
    if not _FIRST <= day <= _LAST:
        raise NotFoundError("there is no such day")
    return day


def _month(asked: str, today: date) -> date:
    if not asked:
        return today.replace(day=1)
    try:
        found = date.fromisoformat(f"{asked}-01")
    except ValueError:
        raise InvalidValueError("month", "must be a month such as 2026-03") from None
    if not 1970 <= found.year <= today.year:
        raise InvalidValueError("month", f"must be within 1970 to {today:%Y-%m}")
    return found


def _next(first: date, n: int) -> date:
    months = first.year * 12 + first.month - 1 + n
    return date(months // 12, months % 12 + 1, 1)
