"""A new check by a form. What is wrong stands beside its field, and what was typed stays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Response, get, post

from heartfly.checks import commands
from heartfly.checks.config import CheckConfig, CheckIn, ScheduleIn, merged
from heartfly.checks.rows import schedule_of
from heartfly.checks.turn import in_turn
from heartfly.core import schedule as schedules
from heartfly.core.describe import describe
from heartfly.errors import ConflictError, HeartflyError, InvalidValueError
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.sign_in import to

UNITS = {"minutes": 60, "hours": 3600, "days": 86_400, "seconds": 1}
_FIELDS = (
    "name", "kind", "every", "every_unit", "expression", "zone", "dialect", "grace", "grace_unit", "tags",
    "description",
)  # fmt: skip
_NEXT = 5
# The names of the API, as the form has them.
_NAMED = {
    "schedule.period": "every",
    "schedule.expression": "expression",
    "schedule.zone": "zone",
    "schedule.kind": "kind",
    "schedule.dialect": "dialect",
    "slug": "name",
}


@get("/p/{project:str}/checks/new", opt=FOR_WRITERS)
async def show(request: PageRequest) -> Response[bytes]:
    values = dict.fromkeys(_FIELDS, "") | {
        "kind": "period",
        "every": "1",
        "every_unit": "days",
        "zone": request.who.zone,
        "dialect": "cron",
        "grace": "1",
        "grace_unit": "hours",
    }
    return await request.page("new_check.html", values=values, errors={}, units=UNITS, told=None)


@post("/p/{project:str}/checks/new", status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    try:
        asked = _asked(form)
        if "preview" in form:
            return await _again(request, form, {}, told=_told(asked, api.clock.now()))
        uuid = await in_turn(
            api.database, api.clock, lambda tx, at: commands.create(tx, pid, asked, at=at, ids=api.ids, actor=actor)
        )
    except InvalidValueError as error:
        return await _again(request, form, {_field(error.field): error.message}, status=422)
    except ConflictError as error:
        return await _again(request, form, {"name": str(error)}, status=409)
    return to(request, f"/p/{request.project.slug}/checks/{uuid}")


async def _again(
    request: PageRequest, form: Form, errors: Mapping[str, str], *, status: int = 200, told: Any = None
) -> Response[bytes]:
    values = {name: form[name] for name in _FIELDS}
    return await request.page("new_check.html", status=status, values=values, errors=errors, units=UNITS, told=told)


def _asked(form: Form) -> CheckIn:
    kind = form["kind"] or "period"
    schedule = ScheduleIn(kind=kind, zone=form["zone"].strip() or "UTC", dialect=form["dialect"] or "cron")
    if kind == "period":
        schedule.period = _seconds(form, "every")
    else:
        schedule.expression = form["expression"]
    return CheckIn(
        name=form["name"],
        schedule=schedule,
        grace=_seconds(form, "grace"),
        tags=[tag.strip() for tag in form["tags"].replace(",", " ").split()],
        description=form["description"],
    )


def _seconds(form: Form, name: str) -> int:
    number, unit = form[name].strip(), form[f"{name}_unit"] or "minutes"
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidValueError(name, "must be a whole number")
    if unit not in UNITS:
        raise InvalidValueError(name, f"must be in {', '.join(UNITS)}")
    return int(number) * UNITS[unit]


def _field(named: str) -> str:
    return _NAMED.get(named, named.partition("[")[0])


def _told(asked: CheckIn, now: datetime) -> dict[str, Any]:
    """The schedule in words, and when it would be expected."""
    config = merged(CheckConfig(), asked, at=now)
    schedule = schedule_of((config.kind, config.period_s, config.expression, config.zone, config.dialect))
    try:
        return {"words": describe(schedule), "times": schedules.upcoming(schedule, now, _NEXT, anchor=now)}
    except HeartflyError as error:
        raise InvalidValueError("schedule.expression", str(error)) from error
