"""A new check by a form. What is wrong stands beside its field, and what was typed stays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Response, get, post

from heartfly.checks import commands
from heartfly.checks.config import CheckConfig, CheckIn, merged
from heartfly.checks.turn import in_turn
from heartfly.core import crontab
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.web.check_form import TOLERANCE, UNITS, limits_in, schedule_in, seconds, tags_of, ties_in, upcoming, wrong
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.sign_in import to

_LONGEST_LINE = 1_000
_FIELDS = (
    "name", "kind", "every", "every_unit", "expression", "zone", "dialect", "grace", "grace_unit", "tags",
    "description", *TOLERANCE, "bounds", "host", "needs",
)  # fmt: skip


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
    line = request.query_params.get("line", "").strip()[:_LONGEST_LINE]
    if not line:
        return await request.page("new_check.html", values=values, errors={}, units=UNITS, told=None, line="")
    try:
        expression, command = crontab.parted(line)
        values |= {"name": crontab.name_of(command), "kind": "cron", "expression": expression, "description": command}
        asked = CheckIn(name=values["name"], schedule=schedule_in(values))
        told = _told(asked, request.api.clock.now())
    except InvalidValueError as error:
        return await request.page(
            "new_check.html", status=422, values=values, errors=_wrong(error), units=UNITS, told=None, line=line
        )
    return await request.page("new_check.html", values=values, errors={}, units=UNITS, told=told, line=line)


@post("/p/{project:str}/checks/new", status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    try:
        asked = _asked(form)
        if "preview" in form:
            return await _again(request, form, {}, told=_told(asked, api.clock.now()))
        uuid = await in_turn(
            api.database,
            api.clock,
            lambda tx, at: commands.create(
                tx, pid, asked, at=at, ids=api.ids, actor=actor, most=api.settings.limits.checks
            ),
        )
    except InvalidValueError as error:
        return await _again(request, form, _wrong(error), status=422)
    except ConflictError as error:
        return await _again(request, form, {"name": str(error)}, status=409)
    return to(request, f"/p/{request.project.slug}/checks/{uuid}")


async def _again(
    request: PageRequest, form: Form, errors: Mapping[str, str], *, status: int = 200, told: Any = None
) -> Response[bytes]:
    values = {name: form[name] for name in _FIELDS}
    return await request.page(
        "new_check.html", status=status, values=values, errors=errors, units=UNITS, told=told, line=""
    )


def _asked(form: Form) -> CheckIn:
    return CheckIn(
        name=form["name"],
        schedule=schedule_in(form),
        grace=seconds(form, "grace"),
        tags=tags_of(form["tags"].replace(" ", ","), apart=","),
        description=form["description"],
        **limits_in(form),
        **ties_in(form),
    )


def _wrong(error: InvalidValueError) -> dict[str, str]:
    """There is no field for the slug: it is made of the name."""
    return {"name" if field == "slug" else field: message for field, message in wrong(error).items()}


def _told(asked: CheckIn, now: datetime) -> dict[str, Any]:
    return upcoming(merged(CheckConfig(), asked, at=now), anchor=now, now=now)
