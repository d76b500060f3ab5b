"""Days of usage: what each came to and whether that is proved; and to close one anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.errors import InvalidValueError
from heartfly.usage import day_queries
from heartfly.usage.close_day import Closed
from heartfly.usage.compare import Compared
from heartfly.usage.day_queries import OfMeter
from heartfly.usage.rerun import close_anew, day_that_is_over, foretold, foretold_since_proved, zone_of
from heartfly.usage.since_proved import SinceProved
from heartfly.usage.sources import standing_in


class UsageDayOut(msgspec.Struct, kw_only=True):
    """A day of the project's zone. `state`: open, provisional, final or amended; only the last two are proved."""

    day: str
    zone: str
    from_at: Instant
    to_at: Instant
    state: str
    figures: dict[str, int]
    fingerprint: str | None
    """Of all that it was last proved with; null: it never was."""
    reconciled_at: Instant | None
    waits_for: list[str]
    """Sources that have not come past its end yet: it is provisional until they have, or a day has passed."""
    without: list[str]
    """Sources that were waited for in vain."""
    watermark: Instant | None
    """Up to when all of its sources had told when it was last closed; null: it has none."""
    mismatch: str
    """What does not agree with its events; empty when all does."""
    verified_at: Instant | None
    """When all its rollups were last worked out anew and compared, at its closing or later."""
    provisional_meters: list[str]
    """By slug: meters whose figures of the day are not proved. Of a day that is open, none are told."""
    amended_meters: list[str]
    """Those that had been proved with other figures before."""
    uncounted: dict[str, int]
    """How many events of the day each meter looked at and could not count, by slug; without those that counted all."""


class UsageDayPage(msgspec.Struct):
    items: list[UsageDayOut]
    next: str | None


class UsageRunIn(msgspec.Struct, forbid_unknown_fields=True):
    day: date
    """One that is over where the project is."""
    dry_run: bool = True


class DifferenceOut(msgspec.Struct, kw_only=True):
    """A row of the rollups that is not what its events come to. Null: there is no such row."""

    window: str
    start_at: Instant
    meter: str
    customer: str
    group: str
    kept: str | None
    would_be: str | None


class ChangedOut(msgspec.Struct, kw_only=True):
    """Of a meter and a customer: what the day was last proved with, and what its events come to now."""

    meter: str
    customer: str
    """His name and the id that was sent, or that alone."""
    proved: str | None
    """Exact. Null: nothing counted, or it is of different values (`unique`), of which only events are known."""
    proved_n: int
    """Of how many events."""
    would_be: str | None
    would_be_n: int


class UsageRunOut(msgspec.Struct, kw_only=True):
    """What would change, or with `dry_run` false what did. At most 100 differences are told one by one."""

    day: str
    dry_run: bool
    n_events: int
    n_windows: int
    n_waiting: int
    """Hours with events that were not folded yet."""
    n_differences: int
    differences: list[DifferenceOut]
    was_proved: bool
    """Whether what the day was last proved with is known; if not, the following two say nothing."""
    n_changed: int
    changed_since_proved: list[ChangedOut]
    """Up to 100, by meter and customer: also what has been folded since."""
    unknown_meters: list[str]
    """Of these the rows that were proved have been changed since: they tell nothing."""
    closed: UsageDayOut | None
    """The day as it is now; null for a dry run."""
    changed: bool


SHAPES = (UsageDayPage, UsageRunOut)


@get("/usage/days", summary="List days of usage, newest first", responses=told_as(422), tags=["usage"])
async def list_usage_days(
    request: ApiRequest,
    *,
    from_day: Annotated[date | None, QueryParameter(name="from", description="From this day on (2026-03-01).")] = None,
    to_day: Annotated[date | None, QueryParameter(name="to", description="Before this day (2026-04-01).")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> UsageDayPage:
    """Days that the daily aggregation has looked at. One that is not among them is open."""
    before = _named(cursor)
    async with request.api.usage.read() as read:
        rows = await day_queries.list_days(
            read,
            request.caller.pid,
            from_day=from_day,
            to_day=min((day for day in (to_day, before) if day is not None), default=None),
            limit=limit + 1,
        )
        page, following = cut(rows, limit, lambda row: cursor_of("usage-days", row.day.toordinal()))
        told = await day_queries.meters_of(read, request.caller.pid, [row.day for row in page])
    return UsageDayPage([_out(row, told.get(row.day, ())) for row in page], following)


@post("/usage/runs", summary="Close a day of usage anew", responses=told_as(409, 422), tags=["usage"], status_code=200)
async def run_usage_day(request: ApiRequest, data: JSONBody[UsageRunIn]) -> UsageRunOut:
    """Folds the day's hours from their raw events once more and proves it. A dry run says what would change.

    Safe at any time, as often as you like: the same events come to the same. 409: it is being closed already.
    """
    api, pid = request.api, request.caller.pid
    async with api.database.read() as read:
        zone = await zone_of(read, pid)
    span = day_that_is_over(zone, data.day, now=api.clock.now())
    seen = await foretold(api.usage, api.closer, pid, span)
    since = await foretold_since_proved(api.usage, api.closer, pid, span)
    if data.dry_run:
        return _run_out(data.day, seen, since, None, None)
    closed = await close_anew(
        api.database, api.usage, api.closer, pid=pid, span=span, zone=zone,
        seen=seen, actor=request.actor, clock=api.clock, ids=api.ids,
    )  # fmt: skip
    async with api.usage.read() as read:
        row = await day_queries.find_day(read, pid, data.day)
        told = await day_queries.meters_of(read, pid, [data.day])
    return _run_out(data.day, seen, since, closed, _out(row, told.get(data.day, ())))


def _named(cursor: str | None) -> date | None:
    named = place(cursor, "usage-days", 1)
    if named is None:
        return None
    try:
        return date.fromordinal(named[0])
    except (ValueError, OverflowError):
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None


def _out(row: Any, meters: Sequence[OfMeter]) -> UsageDayOut:
    sources = standing_in(row.sources)
    return UsageDayOut(
        day=row.day.isoformat(),
        zone=row.zone,
        from_at=row.from_at,
        to_at=row.to_at,
        state=row.state,
        figures={name: value for name, value in row.figures.items() if name != "amended"},
        fingerprint=None if row.fingerprint is None else bytes(row.fingerprint).hex(),
        reconciled_at=row.reconciled_at,
        waits_for=list(sources.waits_for),
        without=list(sources.without),
        watermark=sources.watermark,
        mismatch=row.mismatch,
        verified_at=row.verified_at,
        provisional_meters=[one.slug for one in meters if one.moved],
        amended_meters=[one.slug for one in meters if one.amended and not one.moved],
        uncounted={one.slug: one.uncounted for one in meters if one.uncounted},
    )


def _run_out(
    day: date, seen: Compared, since: SinceProved, closed: Closed | None, told: UsageDayOut | None
) -> UsageRunOut:
    return UsageRunOut(
        day=day.isoformat(),
        dry_run=closed is None,
        n_events=seen.n_events,
        n_windows=seen.n_windows,
        n_waiting=seen.waiting,
        n_differences=seen.n_differences,
        differences=[
            DifferenceOut(
                window=one.tier,
                start_at=one.start_at,
                meter=one.meter,
                customer=one.subject,
                group=one.group,
                kept=one.kept,
                would_be=one.would_be,
            )
            for one in seen.differences
        ],
        was_proved=since.was_proved,
        n_changed=since.n,
        changed_since_proved=[
            ChangedOut(
                meter=one.meter,
                customer=one.customer,
                proved=one.proved,
                proved_n=one.proved_n,
                would_be=one.now,
                would_be_n=one.now_n,
            )
            for one in since.changed
        ],
        unknown_meters=since.unknown,
        closed=told,
        changed=closed is not None and closed.changed,
    )
