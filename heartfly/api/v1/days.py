"""The days of a check: how long it was up, down and unheard, and how its runs ended, newest first."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter
from sqlalchemy import Row

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.checks import queries
from heartfly.errors import InvalidValueError


class DayOut(msgspec.Struct, kw_only=True):
    """A day of the project's zone. `up`, `down`, `blind`: seconds; the rest of it was new, paused or not there."""

    day: str
    from_at: Instant
    to_at: Instant
    up: int
    down: int
    blind: int
    """It was up as far as is known, but Heartfly could not hear."""
    n_ok: int
    n_failed: int
    n_missed: int
    n_unverified: int


class DayPage(msgspec.Struct):
    items: list[DayOut]
    next: str | None


SHAPES = (DayPage,)


@get(
    "/checks/{check_id:str}/days", summary="List its days, newest first", responses=told_as(404, 422), tags=["history"]
)
async def list_days(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    check_id: FromPath[str],
    from_day: Annotated[str | None, QueryParameter(name="from", description="From this day on (2026-03-01).")] = None,
    to_day: Annotated[str | None, QueryParameter(name="to", description="Before this day (2026-04-01).")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> DayPage:
    """Days that are over. One is computed anew for a week, as signals may come late."""
    first, end = _day(from_day, "from"), _day(to_day, "to")
    before = _named(cursor)
    async with request.api.database.read() as read:
        check = await queries.find(read, request.caller.pid, check_id)
        rows = await queries.days_of(
            read,
            check.pid,
            check.id,
            from_day=first,
            to_day=min((day for day in (end, before) if day is not None), default=None),
            limit=limit + 1,
        )
    page, following = cut(rows, limit, lambda row: cursor_of("days", date.fromisoformat(row.day).toordinal()))
    return DayPage([_out(row) for row in page], following)


def _day(text: str | None, field: str) -> str | None:
    if text is None:
        return None
    try:
        return msgspec.convert(text, date).isoformat()
    except msgspec.ValidationError:
        raise InvalidValueError(field, "must be a day such as 2026-03-01") from None


def _named(cursor: str | None) -> str | None:
    named = place(cursor, "days", 1)
    if named is None:
        return None
    try:
        return date.fromordinal(named[0]).isoformat()
    except (ValueError, OverflowError):
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None


def _out(row: Row[Any]) -> DayOut:
    return DayOut(
        day=row.day,
        from_at=row.from_at,
        to_at=row.to_at,
        up=row.up_s,
        down=row.down_s,
        blind=row.blind_s,
        n_ok=row.n_ok,
        n_failed=row.n_failed,
        n_missed=row.n_missed,
        n_unverified=row.n_unverified,
    )
