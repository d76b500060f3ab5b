"""What meters come to: figures by window, customer and group, as JSON or CSV, and a preview of one not yet saved."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.edges import cursor_of_edge, edge_of
from heartfly.api.paging import Cursor, instant_of
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_meters import Figures, PreviewIn, PreviewOut, exact, figure_out, meter_in, preview_out
from heartfly.core import zones
from heartfly.core.days import day_in
from heartfly.core.events import wrong_text
from heartfly.core.versions import Version
from heartfly.core.windows import Size
from heartfly.db.ids import first_id
from heartfly.db.models import projects
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage import answers
from heartfly.usage.answers import Answer
from heartfly.usage.meter_queries import Stored, find_meter
from heartfly.usage.preview import preview
from heartfly.usage.question import CUSTOMER, SUBJECT, Question

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_A_WEEK = timedelta(days=7)
_MOST_NAMED = 500
MOST_FIGURES = 10_000
_FIGURES = Annotated[
    int, QueryParameter(ge=1, le=MOST_FIGURES, description="How many figures at most; 1,000 if not said.")
]
NEXT = "Heartfly-Next"


@get("/meters/{meter_id:str}/query", summary="What a meter comes to", responses=told_as(404, 422), tags=["meters"])
async def query_meter(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    meter_id: FromPath[str],
    from_at: Annotated[
        str | None,
        QueryParameter(
            name="from",
            description="Events from this instant or day on; a week before `to` if not said.",
        ),
    ] = None,
    to_at: Annotated[
        str | None,
        QueryParameter(name="to", description="Events before this instant or day; now if not said."),
    ] = None,
    window: Annotated[
        Literal["minute", "hour", "day", "month", "none"], QueryParameter(description="How long each figure's time is.")
    ] = "day",
    zone: Annotated[str | None, QueryParameter(description="Whose days; the project's if not said.")] = None,
    customer: Annotated[list[str] | None, QueryParameter(description="Only these customers, by id.")] = None,
    subject: Annotated[list[str] | None, QueryParameter(description="Only what was sent under these names.")] = None,
    group_by: Annotated[
        list[str] | None, QueryParameter(description="`customer`, `subject`, or group keys of the meter.")
    ] = None,
    only: Annotated[
        list[str] | None,
        QueryParameter(
            name="filter",
            description="Only this value of a group key, as `region:eu`; `region` alone: events without one. Several "
            "of one key: any of them.",
        ),
    ] = None,
    limit: _FIGURES = 1_000,
    cursor: Cursor = None,
) -> Response[Figures]:
    """By window, then by what they are grouped by. As CSV if `Accept` says text/csv; the next page's cursor is then in
    the header `Heartfly-Next`.
    """
    api, pid, now = request.api, request.caller.pid, request.api.clock.now()
    place = await zone_of(request, zone)
    end = bound_of(to_at, "to", place) or now
    start = bound_of(from_at, "from", place) or _earlier(end)
    async with api.usage.read() as read:
        stored = await find_meter(read, pid, meter_id)
        question = Question(
            from_at=start,
            to_at=end,
            size=None if window == "none" else Size(window),
            zone=place,
            group_by=few(group_by, "group_by"),
            customers=few(customer, "customer"),
            subjects=few(subject, "subject"),
            only=_only(stored, few(only, "filter")),
        )
        told = await answers.answer(
            read, pid, stored, question, now=now, limit=limit, after=edge_of(cursor, len(question.group_by))
        )
    following = None if told.edge is None else cursor_of_edge(told.edge)
    if wants_csv(request.headers.get("accept", "")):
        headers = {} if following is None else {NEXT: following}
        return Response(_csv(question, told), media_type="text/csv", headers=headers)  # type: ignore[arg-type]
    return Response(
        Figures(
            meter=stored.row.slug,
            unit=stored.row.unit,
            from_at=start,
            to_at=end,
            window=window,
            zone=place.key,
            complete_up_to=told.complete_up_to,
            items=[figure_out(one) for one in told.items],
            next=following,
        )
    )


@post("/meters/preview", summary="Preview a meter", responses=told_as(422), tags=["meters"], status_code=200)
async def preview_meter(request: ApiRequest, data: JSONBody[PreviewIn]) -> PreviewOut:
    """What a meter would come to by customer and day, out of the events themselves, and what would change. Nothing is
    saved. The newest events are looked at first, for five seconds at most.
    """
    api, pid, now = request.api, request.caller.pid, request.api.clock.now()
    proposed = meter_in(data)
    place = await zone_of(request, data.zone)
    end = data.to or now
    start = data.from_ or _earlier(end)
    async with api.usage.read() as read:
        existing: Sequence[Version] = ()
        if data.meter is not None:
            existing = (await _changed(read, pid, data.meter)).versions
        made_last = max([first_id(now), *(one.id + 1 for one in existing)])
        version = Version(id=made_last, meter_id=0, meter=proposed, from_at=data.from_at, to_at=data.to_at)
        found = await preview(
            read, pid, version, existing, from_at=start, to_at=end, zone=place, monotonic=api.clock.monotonic
        )
    return preview_out(found)


async def _changed(read: AsyncConnection, pid: int, name_or_id: str) -> Stored:
    try:
        return await find_meter(read, pid, name_or_id)
    except NotFoundError:
        raise InvalidValueError("meter", "there is no such meter") from None


def _earlier(end: datetime) -> datetime:
    try:
        return end - _A_WEEK
    except OverflowError:
        raise InvalidValueError("to", "must be within 1970 to 2200") from None


def bound_of(text: str | None, field: str, zone: ZoneInfo) -> datetime | None:
    """An instant, or a day: its beginning where the question's days are."""
    if text is None or not _DAY.fullmatch(text):
        return instant_of(text, field=field)
    try:
        return day_in(zone, date.fromisoformat(text)).from_at
    except (ValueError, OverflowError):
        raise InvalidValueError(field, "must be a day such as 2026-03-02, or an instant") from None


async def zone_of(request: ApiRequest, name: str | None) -> ZoneInfo:
    if name is None:
        query = sa.select(projects.c.zone).where(projects.c.id == request.caller.pid)
        async with request.api.database.read() as read:
            name = (await read.execute(query)).scalar_one()
    return zones.zone(name, field="zone")


def few(given: Sequence[str] | None, field: str) -> Sequence[str]:
    if given is not None and len(given) > _MOST_NAMED:
        raise InvalidValueError(field, f"must be at most {_MOST_NAMED}")
    for n, one in enumerate(given or ()):
        if (wrong := wrong_text(one)) is not None:
            raise InvalidValueError(f"{field}[{n}]", wrong)
    return given or ()


def _only(stored: Stored, given: Iterable[str]) -> Mapping[str, frozenset[str | None]]:
    """`KEY:VALUE` or `KEY`. A key may have colons of its own, so the meter is asked which it is."""
    known = sorted({key for one in stored.versions for key in one.meter.group_keys}, key=len, reverse=True)
    found: dict[str, set[str | None]] = {}
    for text in given:
        key = next((key for key in known if text == key or text.startswith(f"{key}:")), text.partition(":")[0])
        found.setdefault(key, set()).add(None if text == key else text[len(key) + 1 :])
    return {key: frozenset(values) for key, values in found.items()}


# --- CSV


def wants_csv(accept: str) -> bool:
    named = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    return "text/csv" in named and "application/json" not in named


def _csv(question: Question, told: Answer) -> str:
    """Exact values. Texts from outside that a spreadsheet would run begin with an apostrophe."""
    keys = [name for name in question.group_by if name not in {CUSTOMER, SUBJECT}]
    whose = ["customer_id", "customer", "subject"] if len(keys) < len(question.group_by) else []
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(["from_at", "to_at", "state", *whose, *(plain(key) for key in keys), "n", "value"])
    for one in told.items:
        customer = one.customer
        named = [customer.uuid if customer else "", customer.name if customer else "", one.subject or ""]
        rows.writerow(
            [
                iso(one.window.from_at),
                iso(one.window.to_at),
                one.state.value,
                *(plain(text) for text in (named if whose else ())),
                *(plain(one.group[key] or "") for key in keys),
                one.n,
                exact(one.value) or "",
            ]
        )
    return written.getvalue()


def plain(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
