"""Service levels: which share of a check's runs came in time and went well, and what is left of what is aimed at."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.checks import queries
from heartfly.checks.service_levels import ServiceLevel, of_rows, page_of
from heartfly.core.report_periods import month_of
from heartfly.core.slo import Level
from heartfly.usage.rerun import zone_of

Month = Annotated[
    str, QueryParameter(description="A month such as 2026-11, in the project's zone; else its last days.")
]


class LevelOut(msgspec.Struct, kw_only=True):
    """Shares in percent, exact to a thousandth and rounded down; null: nothing was due, or came.

    `target` null: nothing is aimed at, and so are `allowed`, `left` and `met`. `left`: of the bad runs that are
    allowed; below zero: more were.
    """

    n: int
    n_bad: int
    share: str | None
    target: str | None
    allowed: str | None
    left: str | None
    met: bool | None


class ServiceLevelOut(msgspec.Struct, kw_only=True):
    """`on_time`: of the runs that were due, those that came. `success`: of those that came, those that went well.

    `blind`: seconds in which Heartfly itself could not hear, and `n_unverified` slots that fell into them: neither
    counts for or against the check. `from_day`, `to_day`: both in it; today counts as far as it has come.
    """

    check: str
    name: str
    slug: str
    from_day: str
    to_day: str
    on_time: LevelOut
    success: LevelOut
    met: bool | None
    n_unverified: int
    blind: int
    down: int
    """Seconds, of whole days."""


class ServiceLevelPage(msgspec.Struct):
    items: list[ServiceLevelOut]
    next: str | None


@get("/service-levels", summary="List service levels", responses=told_as(422), tags=["checks"])
async def list_service_levels(
    request: ApiRequest,
    month: Month = "",
    aimed: Annotated[bool, QueryParameter(description="True: only checks that have a target.")] = False,  # noqa: FBT002
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ServiceLevelPage:
    """In the order in which the checks were made."""
    pid, now, after = request.caller.pid, request.api.clock.now(), number(cursor, "levels")
    span = _span(month)
    async with request.api.database.read() as read:
        rows = await page_of(read, pid, aimed=aimed, after=after, limit=limit + 1)
        page, following = cut(rows, limit, lambda row: cursor_of("levels", row.id))
        found = await of_rows(read, pid, page, zone=await zone_of(read, pid), now=now, span=span)
    return ServiceLevelPage([_out(one) for one in found], following)


@get(
    "/checks/{check_id:str}/service-level",
    summary="Read its service level",
    responses=told_as(404, 422),
    tags=["checks"],
)
async def read_service_level(request: ApiRequest, check_id: FromPath[str], month: Month = "") -> ServiceLevelOut:
    """Of the last days that its target is about, or of a month."""
    pid, now, span = request.caller.pid, request.api.clock.now(), _span(month)
    async with request.api.database.read() as read:
        row = await queries.find(read, pid, check_id)
        (found,) = await of_rows(read, pid, [row], zone=await zone_of(read, pid), now=now, span=span)
    return _out(found)


def _span(month: str) -> tuple[date, date] | None:
    return month_of(month) if month else None


def _out(found: ServiceLevel) -> ServiceLevelOut:
    return ServiceLevelOut(
        check=found.row.uuid,
        name=found.row.name,
        slug=found.row.slug,
        from_day=found.first.isoformat(),
        to_day=found.last.isoformat(),
        on_time=_level(found.levels.on_time),
        success=_level(found.levels.success),
        met=found.levels.is_met,
        n_unverified=found.counted.n_unverified,
        blind=found.counted.blind_s,
        down=found.counted.down_s,
    )


def _level(level: Level) -> LevelOut:
    share = None if level.share is None else level.share * 100
    return LevelOut(
        n=level.n,
        n_bad=level.n_bad,
        share=_text(share),
        target=None if level.target is None else f"{level.target:f}",
        allowed=_text(level.allowed),
        left=_text(level.left),
        met=level.is_met,
    )


def _text(value: Fraction | None) -> str | None:
    """To a thousandth, rounded down."""
    if value is None:
        return None
    thousandths = Decimal(value * 1_000 // 1).scaleb(-3)
    return f"{thousandths.normalize():f}"


SHAPES = (ServiceLevelPage,)
