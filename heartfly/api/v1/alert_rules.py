"""Alert rules: make, read, edit, delete; look back at past days; and the alerts that they raised."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, instant_of, number, place_in_time
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_rules import (
    AlertOut,
    AlertPage,
    DefinitionIn,
    MadeOut,
    ResolveIn,
    RuleBacktestOut,
    RuleEditIn,
    RuleIn,
    RuleOut,
    RulePage,
    ScopePage,
    StatisticsOut,
    alert_out,
    backtest_out,
    edited,
    rule_in,
    rule_out,
    scope_out,
    statistics_out,
)
from heartfly.core.alert_rules import Metric, Rule
from heartfly.core.rule_definitions import rule_from
from heartfly.core.words import Severity
from heartfly.db.changes import Tx
from heartfly.db.types import micros
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.incidents import commands as incidents
from heartfly.rules import commands, queries
from heartfly.rules.backtest import backtest
from heartfly.rules.commands import Wanted
from heartfly.rules.defaults import give_defaults
from heartfly.rules.queries import Filter
from heartfly.rules.seeing import deaf_times, reads_of, whole_minute

_LIST, _ALERTS = "alert_rules", "alerts"
_TAGS = ["alert rules"]
_MOST_SCOPES = 500

InState = Annotated[
    Literal["firing", "acknowledged", "resolved"] | None,
    QueryParameter(name="state", description="Only those; all if left out."),
]
OfSeverity = Annotated[Severity | None, QueryParameter(description="Only of this severity.")]
OfType = Annotated[Metric | None, QueryParameter(name="type", description="Only of rules over this metric.")]
OfRule = Annotated[str | None, QueryParameter(description="Only of this rule, by id.")]
Since = Annotated[str | None, QueryParameter(description="Fired then or later.")]
Until = Annotated[str | None, QueryParameter(description="Fired before then.")]


@get("/alert-rules", summary="List alert rules", responses=told_as(422), tags=_TAGS)
async def list_alert_rules(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> RulePage:
    """In the order in which they were made."""
    pid, after = request.caller.pid, number(cursor, _LIST) or 0
    async with request.api.database.read() as read:
        views = await queries.list_rules(read, pid, after=after, limit=limit + 1)
        page, following = cut(views, limit, lambda view: cursor_of(_LIST, view.row.id))
        items = [rule_out(view, await queries.channel_uuids(read, pid, view.row.channels)) for view in page]
    return RulePage(items, following)


@post("/alert-rules", summary="Make an alert rule", responses=told_as(409, 422), tags=_TAGS)
async def make_alert_rule(request: ApiRequest, data: JSONBody[RuleIn]) -> Response[RuleOut]:
    """It is looked at within a minute, and each minute from then on."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    wanted = Wanted(
        name=data.name,
        rule=rule_in(data),
        severity=data.severity,
        enabled=data.enabled,
        channel_uuids=None if data.channels == ["*"] else data.channels,
    )
    row = await api.database.write(lambda tx: commands.create(tx, pid, wanted, at=at, actor=request.actor, ids=api.ids))
    answer = await _told(request, row.uuid, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/alert-rules/{row.uuid}"
    return answer


@post(
    "/alert-rules/defaults", summary="Make the default alert rules", responses=told_as(409), tags=_TAGS, status_code=200
)
async def make_default_rules(request: ApiRequest) -> MadeOut:
    """Those that are missing: a project has them from its first call on, and may have deleted some."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    made = await api.database.write(lambda tx: give_defaults(tx, pid, at=at, ids=api.ids, actor=request.actor))
    return MadeOut(made)


@post(
    "/alert-rules/backtest",
    summary="Try an alert rule on past days",
    responses=told_as(422),
    tags=_TAGS,
    status_code=200,
)
async def try_alert_rule(request: ApiRequest, data: JSONBody[DefinitionIn]) -> RuleBacktestOut:
    """Where it would have fired in the last seven days, before it is saved. Nothing is stored."""
    try:
        return await _backtest(request, rule_in(data))
    except NotFoundError as error:
        raise InvalidValueError("conditions", f"name what is not there: {error}") from None


@get("/alert-rules/statistics", summary="Read statistics of alerts", responses=told_as(422), tags=_TAGS)
async def read_alert_statistics(
    request: ApiRequest,
    *,
    in_state: InState = None,
    severity: OfSeverity = None,
    of_type: OfType = None,
    rule: OfRule = None,
    since: Since = None,
    until: Until = None,
) -> StatisticsOut:
    """How many there were and are, by type and severity, and how long they took to end: of all that are like that."""
    wanted = _filter(in_state, severity, of_type, rule, since=since, until=until)
    async with request.api.database.read() as read:
        return statistics_out(await queries.statistics(read, request.caller.pid, wanted))


@get("/alert-rules/alerts", summary="List alerts of rules, newest first", responses=told_as(422), tags=_TAGS)
async def list_alerts(
    request: ApiRequest,
    *,
    in_state: InState = None,
    severity: OfSeverity = None,
    of_type: OfType = None,
    rule: OfRule = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> AlertPage:
    before = place_in_time(cursor, _ALERTS)
    wanted = _filter(in_state, severity, of_type, rule, since=since, until=until)
    async with request.api.database.read() as read:
        rows = await queries.list_alerts(read, request.caller.pid, wanted, before=before, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of(_ALERTS, micros(row.opened_at), row.id))
    return AlertPage([alert_out(row) for row in page], following)


@get("/alert-rules/alerts/{alert_id:str}", summary="Read an alert of a rule", responses=told_as(404), tags=_TAGS)
async def read_alert(request: ApiRequest, alert_id: FromPath[str]) -> AlertOut:
    async with request.api.database.read() as read:
        return alert_out(await queries.one_alert(read, request.caller.pid, alert_id))


@post(
    "/alert-rules/alerts/{alert_id:str}/ack",
    summary="Acknowledge an alert",
    responses=told_as(404, 409),
    tags=_TAGS,
    status_code=200,
)
async def acknowledge_alert(request: ApiRequest, alert_id: FromPath[str]) -> AlertOut:
    """Somebody takes care of it, and of its incident, which is the same. Again: nothing changes."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()

    async with api.database.read() as read:
        await queries.one_alert(read, pid, alert_id)
    await api.database.write(
        lambda tx: incidents.acknowledge(tx, pid, alert_id, at=at, actor=request.actor, ids=api.ids)
    )
    async with api.database.read() as read:
        return alert_out(await queries.one_alert(read, pid, alert_id))


@post(
    "/alert-rules/alerts/{alert_id:str}/resolve",
    summary="Resolve an alert",
    responses=told_as(404, 409, 422),
    tags=_TAGS,
    status_code=200,
)
async def resolve_alert(request: ApiRequest, alert_id: FromPath[str], data: JSONBody[ResolveIn]) -> AlertOut:
    """It ends now, whatever its conditions say, and fires again when they have let go in between, or still hold when
    a cooldown is over. 409 when it has ended already.
    """
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await api.database.write(
        lambda tx: commands.resolve(tx, pid, alert_id, data.note, at=at, actor=request.actor, ids=api.ids)
    )
    async with api.database.read() as read:
        return alert_out(await queries.one_alert(read, pid, alert_id))


@get("/alert-rules/{rule_id:str}", summary="Read an alert rule", responses=told_as(404), tags=_TAGS)
async def read_alert_rule(request: ApiRequest, rule_id: FromPath[str]) -> Response[RuleOut]:
    return await _told(request, rule_id)


@patch("/alert-rules/{rule_id:str}", summary="Edit an alert rule", responses=told_as(404, 412, 422), tags=_TAGS)
async def edit_alert_rule(
    request: ApiRequest, rule_id: FromPath[str], data: JSONBody[RuleEditIn], if_match: IfMatch = None
) -> Response[RuleOut]:
    """What is left out stays. If it looks at something else now, what fires ends, and it begins anew."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)

    def work(tx: Tx) -> None:
        before = commands.locked(tx, pid, rule_id)
        commands.edit(
            tx,
            pid,
            rule_id,
            name=data.name,
            rule=edited(before, data),
            severity=data.severity,
            enabled=data.enabled,
            channel_uuids=None if data.channels == ["*"] else data.channels,
            all_channels=data.channels == ["*"],
            rev=rev,
            at=at,
            actor=request.actor,
            ids=api.ids,
        )

    await api.database.write(work)
    return await _told(request, rule_id)


@delete(
    "/alert-rules/{rule_id:str}",
    summary="Delete an alert rule",
    responses=told_as(404, 412, 422),
    tags=_TAGS,
    status_code=204,
)
async def delete_alert_rule(request: ApiRequest, rule_id: FromPath[str], if_match: IfMatch = None) -> None:
    """Its alerts stay; those that are open end without a word."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await api.database.write(
        lambda tx: commands.delete(tx, pid, rule_id, at=at, actor=request.actor, ids=api.ids, rev=rev)
    )


@get("/alert-rules/{rule_id:str}/backtest", summary="Look back at past days", responses=told_as(404), tags=_TAGS)
async def look_back_at_alert_rule(request: ApiRequest, rule_id: FromPath[str]) -> RuleBacktestOut:
    """Where it would have fired in the last seven days."""
    async with request.api.database.read() as read:
        view = await queries.one_rule(read, request.caller.pid, rule_id)
    return await _backtest(request, rule_from(view.row.definition))


@get("/alert-rules/{rule_id:str}/scopes", summary="List how a rule stands", responses=told_as(404), tags=_TAGS)
async def list_alert_rule_scopes(request: ApiRequest, rule_id: FromPath[str]) -> ScopePage:
    """In each scope that matters, at most 500: those in which it is not in order come first."""
    pid = request.caller.pid
    async with request.api.database.read() as read:
        view = await queries.one_rule(read, pid, rule_id)
        rows = await queries.standings(read, pid, rule_id=view.row.id, limit=_MOST_SCOPES)
    by = rule_from(view.row.definition).by
    return ScopePage([scope_out(row, by) for row in rows], None)


async def _told(request: ApiRequest, rule_id: str, *, status: int = 200) -> Response[RuleOut]:
    pid = request.caller.pid
    async with request.api.database.read() as read:
        view = await queries.one_rule(read, pid, rule_id)
        channels = await queries.channel_uuids(read, pid, view.row.channels)
    return Response(rule_out(view, channels), status_code=status, headers={"ETag": etag(view.row.rev)})


async def _backtest(request: ApiRequest, rule: Rule) -> RuleBacktestOut:
    api, pid = request.api, request.caller.pid
    now = whole_minute(api.clock.now())
    async with api.database.read() as main, api.usage.read() as usage:
        reads = await reads_of(main, usage, pid, now=now)
        return backtest_out(await backtest(reads, rule, await deaf_times(main, now=now), now=now), rule)


def _filter(
    state: str | None,
    severity: Severity | None,
    of_type: Metric | None,
    rule: str | None,
    *,
    since: str | None,
    until: str | None,
) -> Filter:
    return Filter(
        state=state or "",
        severity=severity.value if severity is not None else "",
        type=of_type.value if of_type is not None else "",
        rule=(rule or "").lower(),
        since=instant_of(since, field="since"),
        until=instant_of(until, field="until"),
    )
