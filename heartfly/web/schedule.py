"""The schedule of a check: what it says, when it is expected next, and what another one would have meant so far.

Nothing is saved by looking: a preview judges the check's own pings once more, under the rule that is and the one that
was typed (core/replay.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from litestar import Response, get, post

from heartfly.checks import commands
from heartfly.checks.backtest import DAYS, MOST, Backtest, History, tried
from heartfly.checks.config import CheckConfig, merged, of_row
from heartfly.checks.turn import in_turn
from heartfly.core.describe import notices
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError, OverloadedError
from heartfly.web.alarm_links import REASONS, link_to
from heartfly.web.check_form import SCHEDULE, TOLERANCE, UNITS, asked_of, schedule_value, typed_in, upcoming, wrong
from heartfly.web.edit_check import LABELS, Seen, both_ways, seen
from heartfly.web.request import PageRequest
from heartfly.web.sign_in import to
from heartfly.web.times import Times

_A_YEAR = timedelta(days=366)
_SUGGESTED = (*SCHEDULE, "grace", "grace_unit", "max_run", "max_run_unit")
_OURS = (*SCHEDULE, "grace", "grace_unit", "max_run", "max_run_unit", *TOLERANCE, "bounds")
_LONGEST = 300


@get("/p/{project:str}/checks/{check:str}/schedule")
async def show(request: PageRequest) -> Response[bytes]:
    """`?grace=22&grace_unit=minutes`: what is suggested elsewhere is typed in, and saved by nobody."""
    now_is = await seen(request)
    asked = {name: request.query_params[name] for name in _SUGGESTED if name in request.query_params}
    return await _page(request, now_is, now_is.values | {name: value[:_LONGEST] for name, value in asked.items()})


@post("/p/{project:str}/checks/{check:str}/schedule", status_code=200)
async def try_or_save(request: PageRequest) -> Response[bytes]:
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    now_is = await seen(request)
    typed = now_is.values | {name: value for name, value in typed_in(form).items() if name in _OURS}
    if now_is.row.job is not None:
        typed |= {name: now_is.values[name] for name in SCHEDULE}
    uuid: str = now_is.row.uuid
    if form["mark"] != now_is.mark:
        both = both_ways(now_is, typed, now_is.channels)
        return await _page(request, now_is, typed, status=409, both=both)
    try:
        asked = asked_of(typed, now_is.values)
        if "preview" in form:
            would = merged(of_row(now_is.row._asdict()), asked, at=api.clock.now())
            return await _page(request, now_is, typed, would=would)
        await in_turn(
            api.database,
            api.clock,
            lambda tx, at: commands.edit(tx, pid, uuid, asked, at=at, ids=api.ids, actor=actor, mark=now_is.mark),
        )
    except ChangedMeanwhileError:
        fresh = await seen(request)
        return await _page(request, fresh, typed, status=409, both=both_ways(fresh, typed, fresh.channels))
    except InvalidValueError as error:
        return await _page(request, now_is, typed, status=422, errors=wrong(error))
    except ConflictError as error:
        return await _page(request, now_is, typed, status=409, errors={"": str(error)})
    except OverloadedError as error:
        answer = await _page(request, now_is, typed, status=503, errors={"": str(error)})
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    return to(request, f"/p/{request.project.slug}/checks/{uuid}/schedule")


async def _page(
    request: PageRequest,
    now_is: Seen,
    values: Mapping[str, str],
    *,
    status: int = 200,
    would: CheckConfig | None = None,
    errors: Mapping[str, str] | None = None,
    both: Any = (),
) -> Response[bytes]:
    now = request.api.clock.now()
    judged, history = (None, None) if would is None else await _tried(request, now_is, would, now)
    # In threads: with dozens of lines it takes a while, which no ping shall wait for.
    told = await asyncio.to_thread(_told, of_row(now_is.row._asdict()), now_is, now)
    told_would = None if would is None else await asyncio.to_thread(_told, would, now_is, now)
    return await request.page(
        "schedule.html",
        status=status,
        check=now_is.row,
        mark=now_is.mark,
        values=values,
        errors=errors or {},
        labels=LABELS,
        units=UNITS,
        both=both,
        now_is=told,
        would=told_would,
        # With another grace or longest run alone, what is expected now stays.
        other_schedule=told_would is not None and told_would.get("schedule") != told.get("schedule"),
        tried=judged,
        history=history,
        reasons=REASONS,
        days=DAYS,
        most=MOST,
        link=lambda alarm: link_to(request, now_is.row.uuid, history, alarm),
    )


async def _tried(request: PageRequest, now_is: Seen, would: CheckConfig, now: datetime) -> tuple[Backtest, History]:
    async with request.api.trying:
        return await tried(request.api.database, now_is.row, would, since=now - timedelta(days=DAYS), through=now)


def _told(config: CheckConfig, now_is: Seen, now: datetime) -> dict[str, Any]:
    """In words, the next times, what clock changes do, and the clock of its zone. `error`: it cannot be worked out."""
    row = now_is.row
    anchored = row.anchor_at if config.kind == row.kind == "period" and row.anchor_at is not None else now
    try:
        found = upcoming(config, anchor=anchored, now=now)
        schedule = schedule_value(config)
        said = notices(schedule, now, now + _A_YEAR)
    except (InvalidValueError, ValueError) as error:
        return {"words": "", "times": [], "notices": [], "clock": None, "error": str(error), "grace_s": config.grace_s}
    clock = None if config.kind == "period" else Times(now, config.zone)
    return found | {"schedule": schedule, "notices": said, "clock": clock, "error": "", "grace_s": config.grace_s}
