"""Meters: which there are, and one of them with its figures, as a picture and as a table, for the time that was asked.

Each figure says how sure it is. How figures are put together is decided in usage/answers.py; the form in meter_form.py.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, cut, number
from heartfly.core import zones
from heartfly.core.meters import Aggregation
from heartfly.core.versions import in_force, spans
from heartfly.core.windows import Size
from heartfly.db.types import instant, micros
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import meter_queries, meters
from heartfly.usage.answers import Answer, Edge, answer
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.meter_queries import Stored
from heartfly.usage.question import CUSTOMER, SUBJECT, Question
from heartfly.usage.rerun import zone_of
from heartfly.web.meter_form import written
from heartfly.web.request import FOR_WRITERS, PageRequest, rev_of_form
from heartfly.web.sign_in import to
from heartfly.web.usage_picture import Total, aggregation_in, alone, drawn, told, total_of

PAGE = 50
FIGURES = 200
MOST_BARS = 400
_WINDOWS = {"hour": Size.HOUR, "day": Size.DAY, "month": Size.MONTH, "none": None}
_MOST_CURSOR = 8_000
_WEEK, _DAY = timedelta(days=7), timedelta(days=1)


@get("/p/{project:str}/usage/meters")
async def list_meters(request: PageRequest) -> Response[bytes]:
    archived = request.query_params.get("archived") == "1"
    after = number(request.query_params.get("after"), "meters")
    async with request.api.usage.read() as read:
        rows = await meter_queries.list_meters(
            read, request.project.pid, after=after, limit=PAGE + 1, archived=None if archived else False
        )
    page, following = cut(rows, PAGE, lambda one: cursor_of("meters", one.row.id))
    now = request.api.clock.now()
    return await request.page(
        "usage_meters.html",
        meters=[(one, _counting(one, now).meter) for one in page],
        following=urlencode({"after": following} | ({"archived": "1"} if archived else {})) if following else "",
        archived=archived,
        is_first=after is None,
        written=written,
        base_url=request.api.base_url,
    )


@get("/p/{project:str}/usage/meters/{meter:str}")
async def show(request: PageRequest) -> Response[bytes]:
    """In the query: `from` and `to` (days), `window`, `zone`, `by`, `customer`."""
    return await _page(request)


@post("/p/{project:str}/usage/meters/{meter:str}/archive", opt=FOR_WRITERS, status_code=200)
async def archive(request: PageRequest) -> Response[bytes]:
    """`do`: `archive`, or `unarchive` to bring it back."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    name, form = request.path_value("meter"), await request.sent()
    rev = rev_of_form(form["rev"])
    work = {"archive": meters.archive_meter, "unarchive": meters.unarchive_meter}.get(form["do"])
    if work is None:
        raise InvalidValueError("do", "must be archive or unarchive")
    try:
        await api.usage.write(lambda tx: work(tx, pid, name, rev=rev, actor=actor, at=at, ids=api.ids))
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"Nothing was changed: {error}.")
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/meters/{quote(name, safe='')}")


async def _page(request: PageRequest, *, status: int = 200, wrong: str = "") -> Response[bytes]:
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    async with api.database.read() as main:
        home = await zone_of(main, pid)
    asked = _asked(request, home, now)
    errors: dict[str, str] = {}
    every: Answer | None = None
    total: Total | None = None
    table: Answer | None = None
    async with api.usage.read() as read:
        stored = await meter_queries.find_meter(read, pid, request.path_value("meter"))
        lately = await meter_queries.lately(read, pid, stored, now=now)
        try:
            whole, by = _questions(asked)
            after = _edge(request.query_params.get("after"), len(by.group_by))
            every = await answer(read, pid, stored, whole, now=now, limit=MOST_BARS)
            table = every if by == whole and after is None and len(every.items) <= FIGURES else None
            if table is None:
                table = await answer(read, pid, stored, by, now=now, limit=FIGURES, after=after)
            total = await _total(read, pid, stored, whole, every, now=now)
        except InvalidValueError as error:
            errors, status = {_FIELDS.get(error.field, error.field): error.message}, 422
    following = "" if table is None or table.edge is None else _cursor(table.edge)
    query = {name: value for name, value in asked.items() if value}
    zone = _shown_zone(asked, home)
    return await request.page(
        "usage_meter.html",
        status=status,
        stored=stored,
        meter=stored.row,
        counting=_counting(stored, now),
        in_force=in_force(stored.versions, now),
        lately=lately,
        asked=asked,
        keys=[CUSTOMER, SUBJECT, *_keys(stored)],
        windows=list(_WINDOWS),
        shown_zone=zone,
        picture=None if every is None else drawn(every.items, zone, by=asked["window"]),
        total=total,
        is_cut=every is not None and every.edge is not None,
        figures=[] if table is None else table.items,
        complete_up_to=None if every is None else every.complete_up_to,
        following=urlencode(query | {"after": following}) if following else "",
        told=lambda item: told(item.value, aggregation_in(stored, item.window)),
        is_near=any(one.meter.aggregation is Aggregation.PERCENTILE for one in stored.versions),
        written=written,
        errors=errors,
        wrong=wrong,
        asks=_asks(request, stored, asked, errors),
    )


_FIELDS = {"group_by": "by", "zone": "zone", "filter": "by"}


async def _total(
    read: AsyncConnection, pid: int, stored: Stored, whole: Question, every: Answer, *, now: datetime
) -> Total | None:
    """None: the meter adds up in more than one way in this time."""
    kinds = {span.version.meter.aggregation for span in spans(stored.versions, whole.from_at, whole.to_at)}
    if every.edge is None and len(kinds) == 1 and (found := total_of(every.items, *kinds)) is not None:
        return found
    return alone(await answer(read, pid, stored, replace(whole, size=None), now=now, limit=2), stored)


def _counting(stored: Stored, now: datetime) -> Any:
    return in_force(stored.versions, now) or stored.newest


def _keys(stored: Stored) -> Sequence[str]:
    return sorted({key for version in stored.versions for key in version.meter.group_keys})


def _asked(request: PageRequest, home: ZoneInfo, now: datetime) -> dict[str, str]:
    given = request.query_params
    named = {name: given.get(name, "").strip() for name in ("from", "to", "window", "zone", "by", "customer")}
    zone = _known(named["zone"]) or home
    today = now.astimezone(zone).date()
    return named | {
        "from": named["from"] or (today - _WEEK + _DAY).isoformat(),
        "to": named["to"] or today.isoformat(),
        "window": named["window"] or "day",
        "zone": named["zone"] or home.key,
    }


def _known(name: str) -> ZoneInfo | None:
    try:
        return zones.zone(name, field="zone") if name else None
    except InvalidValueError:
        return None


def _shown_zone(asked: dict[str, str], home: ZoneInfo) -> ZoneInfo:
    return _known(asked["zone"]) or home


def _questions(asked: dict[str, str]) -> tuple[Question, Question]:
    """Of the picture, without groups, and of the table. InvalidValueError."""
    zone = zones.zone(asked["zone"], field="zone")
    first, last = (_day(asked[name], name) for name in ("from", "to"))
    if last < first:
        raise InvalidValueError("to", "must not be before the first day")
    if asked["window"] not in _WINDOWS:
        raise InvalidValueError("window", f"must be one of {', '.join(_WINDOWS)}")
    customers = () if not asked["customer"] else (asked["customer"],)
    whole = Question(
        from_at=_midnight(first, zone), to_at=_midnight(last + _DAY, zone), size=_WINDOWS[asked["window"]], zone=zone,
        customers=customers,
    )  # fmt: skip
    return whole, _by(whole, asked["by"])


def _by(whole: Question, by: str) -> Question:
    if not by:
        return whole
    return Question(
        from_at=whole.from_at, to_at=whole.to_at, size=whole.size, zone=whole.zone, group_by=(by,),
        customers=whole.customers,
    )  # fmt: skip


def _day(text: str, field: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise InvalidValueError(field, "must be a day such as 2026-03-01") from None
    if not 1970 < found.year < 2199:
        raise InvalidValueError(field, "must be within 1971 to 2198")
    return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _asks(request: PageRequest, stored: Stored, asked: dict[str, str], errors: dict[str, str]) -> str:
    """The same of the API."""
    if errors:
        return ""
    whole, _ = _questions(asked)
    query = {"from": _iso(whole.from_at), "to": _iso(whole.to_at), "window": asked["window"], "zone": asked["zone"]}
    query |= {name: value for name, value in (("group_by", asked["by"]), ("customer", asked["customer"])) if value}
    address = f"{request.api.base_url}/v1/meters/{stored.row.slug}/query?{urlencode(query)}"
    return f'curl "{address}" \\\n  -H "Authorization: Bearer $HEARTFLY_API_KEY"'


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _cursor(edge: Edge) -> str:
    named = json.dumps([micros(edge[0]), edge[1]], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(named.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _edge(cursor: str | None, n_groups: int) -> Edge | None:
    if not cursor:
        return None
    try:
        padded = cursor[:_MOST_CURSOR].encode("ascii") + b"=" * (-len(cursor) % 4)
        at, place = msgspec.json.decode(urlsafe_b64decode(padded), type=tuple[int, tuple[tuple[int, str, str], ...]])
        edge = (instant(at), place)
    except (ValueError, binascii.Error, OverflowError, msgspec.DecodeError):
        raise InvalidValueError("", "this is no page of these figures; begin with the first") from None
    if len(place) != n_groups:
        raise InvalidValueError("", "this is no page of these figures; begin with the first")
    return edge
