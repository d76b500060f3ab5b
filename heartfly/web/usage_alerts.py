"""Alert rules in the browser: which there are and how they stand, their last days, and the alerts that they raised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post

from heartfly.api.paging import cursor_of, cut, number, place_in_time
from heartfly.api.v1.wire_rules import rule_state
from heartfly.core.alert_rules import METRICS, Metric
from heartfly.core.rule_definitions import rule_from
from heartfly.core.rule_words import condition_words, scope_words
from heartfly.core.words import Severity
from heartfly.db.types import micros
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.incidents import commands as incidents
from heartfly.rules import commands, queries
from heartfly.rules.defaults import give_defaults
from heartfly.rules.queries import Filter, View, state_of
from heartfly.rules.rows import scope_of
from heartfly.web.request import PageRequest
from heartfly.web.rule_past import Shown, past_of
from heartfly.web.sign_in import to
from heartfly.web.times import lasted

PAGE = 50
PER_RULE = 20
_RULES, _ALERTS = "rules", "rule-alerts"
STATES = ("firing", "acknowledged", "resolved")


@get("/p/{project:str}/usage/alerts")
async def show_rules(request: PageRequest) -> Response[bytes]:
    """`after` in the query: rules from where on; `before`: alerts behind that place; `state`, `severity`, `type`."""
    return await _list(request)


@post("/p/{project:str}/usage/alerts", status_code=200)
async def make_defaults(request: PageRequest) -> Response[bytes]:
    """Those of the default rules that are missing."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    await request.sent()
    try:
        await api.database.write(lambda tx: give_defaults(tx, pid, at=at, ids=api.ids, actor=actor))
    except ConflictError as error:
        return await _list(request, status=409, wrong=f"{error}.")
    return to(request, f"/p/{request.project.slug}/usage/alerts")


async def _list(request: PageRequest, *, status: int = 200, wrong: str = "") -> Response[bytes]:
    pid, query = request.project.pid, request.query_params
    asked = {name: query.get(name, "").strip() for name in ("state", "severity", "type")}
    try:
        after = number(query.get("after"), _RULES)
        before = place_in_time(query.get("before"), _ALERTS)
        wanted = _filter(asked)
    except InvalidValueError as error:
        status, wrong, after, before, wanted = 422, f"The filter: {error.field} {error.message}.", None, None, Filter()
    async with request.api.database.read() as read:
        views = await queries.list_rules(read, pid, after=after or 0, limit=PAGE + 1)
        rows = await queries.list_alerts(read, pid, wanted, before=before, limit=PAGE + 1)
        sums = await queries.statistics(read, pid, Filter())
    rules, more_rules = cut(views, PAGE, lambda view: cursor_of(_RULES, view.row.id))
    alerts, older = cut(rows, PAGE, lambda row: cursor_of(_ALERTS, micros(row.opened_at), row.id))
    kept = {name: value for name, value in asked.items() if value}
    return await request.page(
        "usage_alerts.html",
        status=status,
        wrong=wrong,
        rules=[(view, rule_state(view), words_of(view)) for view in rules],
        more_rules=urlencode({"after": more_rules}) if more_rules else "",
        alerts=[(row, state_of(row)) for row in alerts],
        older=urlencode(kept | {"before": older}) if older else "",
        sums=sums,
        asked=asked,
        states=STATES,
        severities=list(Severity),
        types=sorted({metric.value for metrics in METRICS.values() for metric in metrics}),
        is_first=after is None,
        mean=None if sums.mean_time_to_resolve is None else lasted(micros_of(sums.mean_time_to_resolve)),
    )


def micros_of(duration: Any) -> int:
    found: int = round(duration.total_seconds() * 1_000_000)
    return found


def _filter(asked: Mapping[str, str], rule: str = "") -> Filter:
    if asked.get("state") and asked["state"] not in STATES:
        raise InvalidValueError("state", f"must be one of {', '.join(STATES)}")
    if asked.get("severity") and asked["severity"] not in list(Severity):
        raise InvalidValueError("severity", f"must be one of {', '.join(Severity)}")
    if asked.get("type") and asked["type"] not in list(Metric):
        raise InvalidValueError("type", f"must be one of {', '.join(Metric)}")
    return Filter(
        state=asked.get("state", ""), severity=asked.get("severity", ""), type=asked.get("type", ""), rule=rule
    )


def words_of(view: View) -> str:
    rule = rule_from(view.row.definition)
    joint = " and " if rule.match.value == "all" else " or "
    return joint.join(condition_words(one) for one in rule.conditions)


@get("/p/{project:str}/usage/alerts/{rule:str}")
async def show_rule(request: PageRequest) -> Response[bytes]:
    return await _one(request)


@post("/p/{project:str}/usage/alerts/{rule:str}", status_code=200)
async def change_rule(request: PageRequest) -> Response[bytes]:
    """`do`: `ack` or `resolve` (with `note`) the alert `alert`; `on` or `off`; or `delete` the rule."""
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    name, actor, do = request.path_value("rule"), request.actor, form["do"]
    if do not in {"ack", "resolve", "on", "off", "delete"}:
        raise InvalidValueError("do", "must be ack, resolve, on, off or delete")

    def work(tx: Any) -> None:
        match do:
            case "ack":
                incidents.acknowledge(tx, pid, form["alert"], at=at, actor=actor, ids=api.ids)
            case "resolve":
                commands.resolve(tx, pid, form["alert"], form["note"], at=at, actor=actor, ids=api.ids)
            case "delete":
                commands.delete(tx, pid, name, at=at, actor=actor, ids=api.ids)
            case _:
                commands.edit(tx, pid, name, enabled=do == "on", at=at, actor=actor, ids=api.ids)

    try:
        await api.database.write(work)
    except InvalidValueError as error:
        return await _one(request, status=422, wrong=f"The {error.field} {error.message}.")
    except ConflictError as error:
        return await _one(request, status=409, wrong=f"Nothing was changed: {error}.")
    there = f"/p/{request.project.slug}/usage/alerts"
    return to(request, there if do == "delete" else f"{there}/{name}")


async def _one(request: PageRequest, *, status: int = 200, wrong: str = "") -> Response[bytes]:
    pid = request.project.pid
    async with request.api.database.read() as read:
        view = await queries.one_rule(read, pid, request.path_value("rule"))
        scopes = await queries.standings(read, pid, rule_id=view.row.id, limit=PER_RULE)
        before: tuple[datetime, int] | None = place_in_time(request.query_params.get("before"), _ALERTS)
        rows = await queries.list_alerts(read, pid, Filter(rule=view.row.uuid), before=before, limit=PER_RULE + 1)
        channels = await queries.channel_names(read, pid, view.row.channels)
    rule = rule_from(view.row.definition)
    shown: Shown = await past_of(request, rule)
    alerts, older = cut(rows, PER_RULE, lambda row: cursor_of(_ALERTS, micros(row.opened_at), row.id))
    return await request.page(
        "usage_alert.html",
        status=status,
        wrong=wrong,
        view=view,
        state=rule_state(view),
        rule=rule,
        words=[condition_words(one) for one in rule.conditions],
        scopes=[(row, _scope_words(rule.by, scope_of(row.scope))) for row in scopes],
        alerts=[(row, state_of(row)) for row in alerts],
        older=urlencode({"before": older}) if older else "",
        channels=channels,
        past=shown,
    )


def _scope_words(by: tuple[str, ...], scope: tuple[str, ...]) -> str:
    return scope_words(by, scope) if len(by) == len(scope) else ""
