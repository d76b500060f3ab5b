"""Backfills in the browser: which there are, and a form that opens one. One of them is in usage_backfill.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.paging import cursor_of, cut, instant_of, number
from heartfly.core.days import day_in
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import backfill_queries as queries
from heartfly.usage import backfills
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.sign_in import to

PAGE = 25
STATES = ("open", "closed", "reverted")
LABELS = {
    "name": "Name", "from": "From", "to": "Before", "event_types": "Event types", "customers": "Customers",
    "replaces": "What counts there already",
}  # fmt: skip
REPLACES = {"replace": True, "add": False}
_LIST = "backfills"
_MOST_TEXT = 40_000


@dataclass(frozen=True, slots=True)
class _Wanted:
    """As typed."""

    values: Mapping[str, str]

    @classmethod
    def sent(cls, form: Form) -> _Wanted:
        return cls({name: form[name].strip()[:_MOST_TEXT] for name in LABELS})

    def read(self, zone: ZoneInfo) -> backfills.Wanted:
        """InvalidValueError names the field."""
        typed = self.values
        if typed["replaces"] not in REPLACES:
            raise InvalidValueError("replaces", "must be chosen")
        return backfills.Wanted(
            name=typed["name"],
            from_at=_instant(typed["from"], zone, "from"),
            to_at=_instant(typed["to"], zone, "to"),
            event_types=[one.strip() for one in typed["event_types"].replace("\n", ",").split(",") if one.strip()],
            customers=[one.strip() for one in typed["customers"].splitlines() if one.strip()],
            replaces=REPLACES[typed["replaces"]],
        )


@get("/p/{project:str}/usage/backfills")
async def show_sets(request: PageRequest) -> Response[bytes]:
    """`state` in the query: those in it only."""
    state, errors = request.query_params.get("state", ""), {}
    if state not in {"", *STATES}:
        state, errors = "", {"state": f"must be one of {', '.join(STATES)}"}
    before = number(request.query_params.get("before"), _LIST)
    async with request.api.usage.read() as read:
        rows = await queries.list_sets(read, request.project.pid, state=state, before=before, limit=PAGE + 1)
        page, following = cut(rows, PAGE, lambda row: cursor_of(_LIST, row.id))
        found = [(row, await n_sent(read, row)) for row in page]
    kept = {"state": state} if state else {}
    return await request.page(
        "usage_backfills.html",
        status=422 if errors else 200,
        sets=found,
        state=state,
        states=STATES,
        older=urlencode(kept | {"before": following}) if following else "",
        is_first=before is None,
        errors=errors,
    )


@get("/p/{project:str}/usage/backfills/new", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    """`from` and `to` in the query: what stands in the form."""
    given = request.query_params
    return await _form(request, {name: given.get(name, "")[:40] for name in ("from", "to")})


@post("/p/{project:str}/usage/backfills/new", opt=FOR_WRITERS, status_code=200)
async def open_one(request: PageRequest) -> Response[bytes]:
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    sent, oldest = _Wanted.sent(await request.sent()), request.api.events.oldest()
    async with api.database.read() as main:
        zone = await zone_of(main, pid)
    try:
        wanted = sent.read(zone)
        public_id = await api.usage.write(
            lambda tx: backfills.open_set(tx, pid, wanted, oldest=oldest, actor=actor, at=at, ids=api.ids)
        )
    except InvalidValueError as error:
        field = error.field.partition("[")[0]
        return await _form(request, sent.values, status=422, errors={field: error.message})
    except ConflictError as error:
        return await _form(request, sent.values, status=409, errors={"": str(error)})
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/backfills/{quote(public_id, safe='')}")


async def n_sent(read: AsyncConnection, row: Any) -> int:
    """How many events lie in it: told by what became of them, once that is known."""
    if row.counts:
        return sum(n for outcome, n in row.counts.items() if outcome != "replaced")
    return await queries.n_events(read, row)


async def _form(
    request: PageRequest, typed: Mapping[str, str], *, status: int = 200, errors: Mapping[str, str] | None = None
) -> Response[bytes]:
    async with request.api.database.read() as main:
        zone = await zone_of(main, request.project.pid)
    return await request.page(
        "usage_backfill_form.html",
        status=status,
        typed={name: typed.get(name, "") for name in LABELS},
        labels=LABELS,
        errors=errors or {},
        zone=zone.key,
    )


def _instant(typed: str, zone: ZoneInfo, field: str) -> datetime:
    """A day of the zone is its first instant. InvalidValueError."""
    if not typed:
        raise InvalidValueError(field, "must be said")
    try:
        day = date.fromisoformat(typed) if len(typed) == len("2026-03-02") else None
    except ValueError:
        day = None
    if day is not None and 1970 < day.year < 2199:
        return day_in(zone, day).from_at
    try:
        found = instant_of(typed, field=field)
    except InvalidValueError:
        raise InvalidValueError(
            field, "must be a day such as 2026-03-02, or an instant such as 2026-03-02T01:30:00Z"
        ) from None
    assert found is not None  # only nothing is none
    return found.astimezone(UTC)
