"""What a check's past suggests: schedule, grace and longest run with their evidence, what has moved, what was unusual.

Nothing is saved by looking. One press takes a suggestion into the form of the schedule, and a gate for what is
unusual into the check's; each is saved there, by a person.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get

from heartfly.checks import queries
from heartfly.checks.config import CheckConfig, CheckIn, merged, of_row
from heartfly.checks.learned import learned
from heartfly.core.unusual import WEEKS, gate_for
from heartfly.usage.rerun import zone_of
from heartfly.web.alarm_links import REASONS, link_to
from heartfly.web.check_form import SCHEDULE, values_of
from heartfly.web.request import PageRequest

_LIMITS = ("grace", "grace_unit", "max_run", "max_run_unit")
_MOST_SHOWN = 20


@get("/p/{project:str}/checks/{check:str}/learned")
async def show(request: PageRequest) -> Response[bytes]:
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    async with api.database.read() as read:
        row = await queries.find_addressed(read, pid, request.path_value("check"))
        zone = await zone_of(read, pid)
    async with api.trying:
        found = await learned(api.database, row, now=now, project_zone=zone.key)
    config = of_row(row._asdict())
    would = None if found.asked is None else merged(config, found.asked, at=now)
    return await request.page(
        "learned.html",
        check_zone=row.zone,
        check=row,
        found=found,
        config=config,
        would=would,
        take="" if would is None or found.asked is None else urlencode(_typed(would, found.asked)),
        reasons=REASONS,
        link=lambda alarm: link_to(request, row.uuid, found.history, alarm),
        odd=[(one, urlencode({"gate": _gate(one.broken.gate.metric)})) for one in found.odd[:_MOST_SHOWN]],
        n_odd=len(found.odd),
        weeks=WEEKS,
    )


def _typed(would: CheckConfig, asked: CheckIn) -> dict[str, Any]:
    """The fields of the schedule's form that the suggestion changes."""
    values = values_of(would)
    names = [name for name in _LIMITS if getattr(asked, name.removesuffix("_unit")) is not msgspec.UNSET]
    if asked.schedule is not msgspec.UNSET:
        names = [*SCHEDULE, *names]
    return {name: values[name] for name in names}


def _gate(figure: str) -> str:
    gate = gate_for(figure)
    return f"{gate.text} {gate.level.value}"
