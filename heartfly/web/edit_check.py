"""A check is edited by a form: all its settings, and which channels hear of it.

The form carries a mark of the settings that it was made from. Had somebody else changed them since, nothing is saved:
the page shows what is there now beside what was typed, and the next send knows of both. A preview saves nothing: it
tries what was typed on the check's own past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from litestar import Response, get, post
from sqlalchemy import Row

from heartfly.checks import commands, queries
from heartfly.checks.backtest import DAYS, MOST, Backtest, History, tried
from heartfly.checks.config import CheckConfig, CheckIn, as_asked, mark_of, merged, of_row
from heartfly.checks.needs import read_needs
from heartfly.checks.turn import in_turn
from heartfly.core.slo import DAYS as SLO_DAYS
from heartfly.core.text import shown
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError, OverloadedError
from heartfly.notify import queries as notify
from heartfly.web.alarm_links import REASONS, link_to
from heartfly.web.check_form import UNITS, asked_of, typed_in, values_of, wrong
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.sign_in import to

LABELS = {
    "name": "Name", "slug": "Slug", "tags": "Tags", "description": "Description", "kind": "Kind of schedule",
    "every": "Every", "every_unit": "Unit of every", "expression": "Expression", "zone": "Time zone",
    "dialect": "Who runs it", "grace": "Grace", "grace_unit": "Unit of grace", "max_run": "Longest run",
    "max_run_unit": "Unit of longest run", "methods": "Methods", "gates": "Gates", "filter_start": "Words of a start",
    "filter_success": "Words of a success", "filter_failure": "Words of a failure",
    "failures": "Failures in a row", "share": "Share of failures", "last": "Of the last runs",
    "recover": "Successes to be up again", "bounds": "Bounds", "host": "Host",
    "needs": "Needs",
    "slo_on_time": "In time", "slo_success": "Go well", "slo_days": "Over",
    "default_fail": "Else it is a failure", "sticky": "Stays paused", "channels": "Channels",
    "unverified_is_down": "No silence is excused",
}  # fmt: skip
_LONGEST_GATE = 300


@get("/p/{project:str}/checks/{check:str}/edit", opt=FOR_WRITERS)
async def show(request: PageRequest) -> Response[bytes]:
    """`?gate=…`: one that is suggested elsewhere is typed in, and saved by nobody."""
    now_is = await seen(request)
    gate = request.query_params.get("gate", "")[:_LONGEST_GATE]
    gates = "\n".join(line for line in (now_is.values["gates"], shown(gate)) if line)
    return await _form(request, now_is, now_is.values | {"gates": gates}, now_is.channels)


@post("/p/{project:str}/checks/{check:str}/edit", status_code=200)
async def save(request: PageRequest) -> Response[bytes]:
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    now_is, typed, ticked = await seen(request), typed_in(form), form.many("channel")
    if now_is.row.job is not None:
        typed |= {
            name: now_is.values[name] for name in ("kind", "every", "every_unit", "expression", "zone", "dialect")
        }
    uuid: str = now_is.row.uuid
    if form["mark"] != now_is.mark:
        return await _form(request, now_is, typed, ticked, status=409, both=both_ways(now_is, typed, ticked))
    try:
        asked = asked_of(typed, now_is.values)
        if "preview" in form:
            would = merged(of_row(now_is.row._asdict()), asked, at=api.clock.now())
            return await _form(request, now_is, typed, ticked, would=would)
        if sorted(ticked) != sorted(now_is.channels):
            asked = _with_channels(asked, ticked)
        await in_turn(
            api.database,
            api.clock,
            lambda tx, at: commands.edit(tx, pid, uuid, asked, at=at, ids=api.ids, actor=actor, mark=now_is.mark),
        )
    except ChangedMeanwhileError:
        fresh = await seen(request)
        return await _form(request, fresh, typed, ticked, status=409, both=both_ways(fresh, typed, ticked))
    except InvalidValueError as error:
        return await _form(request, now_is, typed, ticked, status=422, errors=wrong(error))
    except ConflictError as error:
        field = getattr(error, "field", "")
        return await _form(request, now_is, typed, ticked, status=409, errors={field: str(error)})
    except OverloadedError as error:
        answer = await _form(request, now_is, typed, ticked, status=503, errors={"": str(error)})
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    return to(request, f"/p/{request.project.slug}/checks/{uuid}")


class Seen:
    """The check as it is stored, and as the form shows it. `channels`: ids of those that hear of it."""

    def __init__(
        self, row: Row[Any], channels: Sequence[str], known: Sequence[tuple[str, str]], needs: Sequence[Any]
    ) -> None:
        config = of_row(row._asdict())
        self.row = row
        self.channels = list(channels)
        self.known = known
        self.values = values_of(config, [one.slug or one.uuid for one in needs])
        ties = {"channels": self.channels, "needs": [one.uuid for one in needs]}
        self.mark = mark_of(as_asked(config) | ties)


async def seen(request: PageRequest) -> Seen:
    pid = request.project.pid
    async with request.api.database.read() as read:
        row = await queries.find_addressed(read, pid, request.path_value("check"))
        channels = (await queries.channels_of(read, pid, [row.id]))[row.id]
        known = await notify.list_channels(read, pid, request.api.sealer)
        needs = (await read_needs(read, pid, [row.id])).get(row.id, ())
    return Seen(row, channels, [(one.uuid, one.name) for one in known], needs)


async def _form(
    request: PageRequest,
    now_is: Seen,
    values: Mapping[str, str],
    ticked: Sequence[str],
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    both: Sequence[tuple[str, str, str]] = (),
    would: CheckConfig | None = None,
) -> Response[bytes]:
    """`would`: another rule, tried on its past."""
    judged, history = (None, None) if would is None else await _tried(request, now_is, would)
    return await request.page(
        "edit_check.html",
        status=status,
        check=now_is.row,
        mark=now_is.mark,
        values=values,
        channels=[(uuid, name, uuid in ticked) for uuid, name in now_is.known],
        errors=errors or {},
        labels=LABELS,
        units=UNITS,
        slo_days=SLO_DAYS,
        both=both,
        tried=judged,
        history=history,
        reasons=REASONS,
        days=DAYS,
        most=MOST,
        link=lambda alarm: link_to(request, now_is.row.uuid, history, alarm),
    )


async def _tried(request: PageRequest, now_is: Seen, would: CheckConfig) -> tuple[Backtest, History]:
    now = request.api.clock.now()
    async with request.api.trying:
        return await tried(request.api.database, now_is.row, would, since=now - timedelta(days=DAYS), through=now)


def both_ways(now_is: Seen, typed: Mapping[str, str], ticked: Sequence[str]) -> list[tuple[str, str, str]]:
    """Of each field in which they differ: its label, as it is, and as it was typed."""
    found = [(LABELS[name], now_is.values[name], typed[name]) for name in typed if typed[name] != now_is.values[name]]
    if sorted(ticked) != sorted(now_is.channels):
        found.append((LABELS["channels"], _names(now_is, now_is.channels), _names(now_is, ticked)))
    return found


def _names(now_is: Seen, uuids: Sequence[str]) -> str:
    return ", ".join(name for uuid, name in now_is.known if uuid in uuids)


def _with_channels(asked: CheckIn, uuids: Sequence[str]) -> CheckIn:
    given = {name: getattr(asked, name) for name in CheckIn.__struct_fields__}
    return CheckIn(**(given | {"channels": list(uuids)}))
