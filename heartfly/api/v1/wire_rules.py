"""The shapes of alert rules, of their alerts and statistics, and of a look back at past days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from heartfly.api.v1.wire import Instant
from heartfly.core.alert_rules import Rule
from heartfly.core.rule_definitions import definition_of, rule_from
from heartfly.core.rule_words import condition_words, figure_words, scope_words
from heartfly.core.words import Severity
from heartfly.rules.backtest import Backtest
from heartfly.rules.queries import Statistics, View, state_of
from heartfly.rules.rows import scope_of


class ConditionIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`of`: calls, requests, meter, limits or dead_letters. Numbers are decimal texts; durations seconds."""

    of: str
    metric: str
    window: int
    threshold: str | int | None = None
    op: str = ">"
    against: str = "number"
    """`number`, `before` (times the mean of `windows_before` windows), `burn` (times the mean day of 30), `absence`."""
    windows_before: int | None = None
    least: int = 0
    """Fewer requests in the window tell nothing."""
    clear: str | int | None = None
    """What fires goes on until the figure is past this."""
    name: str = ""
    """Of units their kind, of cost its currency, of a meter its name or id, of limits `rate` or `cost`."""
    percentile: str | int | None = None
    where: dict[str, list[str]] = {}


class DefinitionIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    conditions: list[ConditionIn]
    match: str = "all"
    by: list[str] = []
    wait: int = msgspec.field(default=0, name="for")
    """So long the conditions must hold, in seconds."""
    cooldown: int = 0
    """After it fired in a scope it does not fire there again for so long, in seconds."""


class RuleIn(DefinitionIn, forbid_unknown_fields=True, kw_only=True):
    name: str
    severity: Severity = Severity.MEDIUM
    enabled: bool = True
    channels: list[str] = msgspec.field(default_factory=lambda: ["*"])
    """Ids of channels, or `*`: all of the project, also those that come."""


class RuleEditIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays; `conditions` are given all or none."""

    name: str | None = None
    severity: Severity | None = None
    enabled: bool | None = None
    channels: list[str] | None = None
    conditions: list[ConditionIn] | None = None
    match: str | None = None
    by: list[str] | None = None
    wait: int | None = msgspec.field(default=None, name="for")
    cooldown: int | None = None


class ConditionOut(msgspec.Struct, kw_only=True):
    of: str
    metric: str
    window: int
    op: str
    threshold: str
    against: str
    windows_before: int | None
    least: int
    clear: str | None
    name: str
    percentile: str | None
    where: dict[str, list[str]]
    words: str
    """The same in a line."""


class RuleOut(msgspec.Struct, kw_only=True):
    """`state`: `firing` or `pending` in any scope, `ok`, `new` before the first look, `off`."""

    id: str
    name: str
    severity: Severity
    enabled: bool
    channels: list[str]
    origin: str
    """`own`, `metronome`, or the name of a default such as `default:rate_80`."""
    match: str
    by: list[str]
    wait: int = msgspec.field(name="for")
    cooldown: int
    conditions: list[ConditionOut]
    state: str
    n_firing: int
    n_pending: int
    fired_at: Instant | None
    looked_at: Instant | None
    trouble: str
    """Why the last look could not see it; empty: it could."""
    created_at: Instant
    edited_at: Instant


class RulePage(msgspec.Struct):
    items: list[RuleOut]
    next: str | None


class ScopeOut(msgspec.Struct, kw_only=True):
    """How a rule stands in a scope that matters: it is not in order, or was not lately."""

    scope: dict[str, str]
    state: str
    since: Instant
    fired_at: Instant | None
    figure: str
    alert: str | None
    """The id of the alert that is open."""


class ScopePage(msgspec.Struct):
    items: list[ScopeOut]
    next: str | None


class AlertOut(msgspec.Struct, kw_only=True):
    """`context`: what was seen when it fired; nothing changes it. `id` is also that of its incident."""

    id: str
    rule: str
    rule_name: str
    type: str
    severity: Severity
    state: str
    scope: dict[str, str]
    scope_words: str
    explain: str
    context: dict[str, Any]
    fired_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str | None
    resolved_at: Instant | None
    resolved_by: str | None
    """Null: it ended by itself, or has not."""
    note: str | None


class AlertPage(msgspec.Struct):
    items: list[AlertOut]
    next: str | None


class ResolveIn(msgspec.Struct, forbid_unknown_fields=True):
    note: str = ""


class CountOut(msgspec.Struct):
    total: int
    active: int


class StatisticsOut(msgspec.Struct, kw_only=True):
    total: int
    active: int
    acknowledged: int
    resolved: int
    mean_time_to_resolve: float | None
    """In seconds; null: none has ended."""
    by_type: dict[str, CountOut]
    by_severity: dict[str, CountOut]


class FiredOut(msgspec.Struct, kw_only=True):
    scope: dict[str, str]
    scope_words: str
    from_at: Instant
    to_at: Instant | None


class HeldOut(msgspec.Struct, kw_only=True):
    """Of a condition, over all looks and scopes: how often it held, did not, or was not known."""

    words: str
    held: int
    did_not: int
    unknown: int
    always: bool
    never: bool


class PointOut(msgspec.Struct):
    at: Instant
    value: str | None
    limit: str | None


class RuleBacktestOut(msgspec.Struct, kw_only=True):
    """`unknown`: why the past cannot be told; empty: it can. `points`: of the first condition, in its worst scope."""

    from_at: Instant
    to_at: Instant
    step: int
    unknown: str
    scopes: int
    fired: list[FiredOut]
    conditions: list[HeldOut]
    points: list[PointOut]


class MadeOut(msgspec.Struct):
    made: list[str]
    """Ids of the rules that were missing, and are there now."""


SHAPES = (RulePage, ScopePage, AlertPage, StatisticsOut, RuleBacktestOut, MadeOut)


def rule_in(data: DefinitionIn) -> Rule:
    """InvalidValueError."""
    return rule_from(
        {
            "match": data.match,
            "by": data.by,
            "for": data.wait,
            "cooldown": data.cooldown,
            "conditions": conditions_in(data.conditions),
        }
    )


def conditions_in(conditions: Sequence[ConditionIn]) -> list[Mapping[str, Any]]:
    return [
        {name: value for name, value in msgspec.to_builtins(one).items() if value is not None} for one in conditions
    ]


def edited(row: Row[Any], data: RuleEditIn) -> Rule | None:
    """The rule with what was given; None: nothing of it was. InvalidValueError."""
    told = {"match": data.match, "by": data.by, "for": data.wait, "cooldown": data.cooldown}
    given: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    if data.conditions is not None:
        given["conditions"] = conditions_in(data.conditions)
    return rule_from({**row.definition, **given}) if given else None


def rule_out(view: View, channels: list[str] | None) -> RuleOut:
    row = view.row
    rule = rule_from(row.definition)
    return RuleOut(
        id=row.uuid,
        name=row.name,
        severity=Severity(row.severity),
        enabled=row.enabled,
        channels=["*"] if channels is None else channels,
        origin=row.origin,
        match=rule.match.value,
        by=list(rule.by),
        wait=row.definition["for"],
        cooldown=row.definition["cooldown"],
        conditions=[
            _condition(written, condition_words(one))
            for written, one in zip(definition_of(rule)["conditions"], rule.conditions, strict=True)
        ],
        state=rule_state(view),
        n_firing=view.n_firing,
        n_pending=view.n_pending,
        fired_at=view.fired_at,
        looked_at=row.looked_at,
        trouble=row.trouble,
        created_at=row.created_at,
        edited_at=row.edited_at,
    )


def rule_state(view: View) -> str:
    if not view.row.enabled:
        return "off"
    if view.n_firing:
        return "firing"
    if view.n_pending:
        return "pending"
    return "new" if view.row.looked_at is None else "ok"


def _condition(written: Mapping[str, Any], words: str) -> ConditionOut:
    return ConditionOut(
        of=written["of"],
        metric=written["metric"],
        window=written["window"],
        op=written["op"],
        threshold=written["threshold"],
        against=written["against"],
        windows_before=written.get("windows_before"),
        least=written.get("least", 0),
        clear=written.get("clear"),
        name=written.get("name", ""),
        percentile=written.get("percentile"),
        where=written.get("where", {}),
        words=words,
    )


def scope_out(row: Row[Any], by: Sequence[str]) -> ScopeOut:
    state = "acknowledged" if row.state == "firing" and row.acked_at is not None else row.state
    return ScopeOut(
        scope=dict(zip(by, scope_of(row.scope), strict=False)),
        state=state,
        since=row.since,
        fired_at=row.fired_at,
        figure=row.figure,
        alert=row.incident,
    )


def alert_out(row: Row[Any]) -> AlertOut:
    return AlertOut(
        id=row.uuid,
        rule=row.rule_uuid,
        rule_name=row.rule_name,
        type=row.type,
        severity=Severity(row.severity),
        state=state_of(row),
        scope=row.context["scope"],
        scope_words=row.scope_words,
        explain=row.explain,
        context=row.context,
        fired_at=row.opened_at,
        acknowledged_at=row.acked_at,
        acknowledged_by=row.acked_by,
        resolved_at=row.closed_at,
        resolved_by=row.resolved_by,
        note=row.note,
    )


def statistics_out(told: Statistics) -> StatisticsOut:
    mean = told.mean_time_to_resolve
    return StatisticsOut(
        total=told.total,
        active=told.active,
        acknowledged=told.acknowledged,
        resolved=told.resolved,
        mean_time_to_resolve=None if mean is None else mean.total_seconds(),
        by_type={name: CountOut(*pair) for name, pair in told.by_type.items()},
        by_severity={name: CountOut(*pair) for name, pair in told.by_severity.items()},
    )


def backtest_out(told: Backtest, rule: Rule) -> RuleBacktestOut:
    first = rule.conditions[0]
    return RuleBacktestOut(
        from_at=told.from_at,
        to_at=told.to_at,
        step=round(told.step.total_seconds()),
        unknown=told.unknown,
        scopes=told.n_scopes,
        fired=[
            FiredOut(
                scope=dict(zip(rule.by, one.scope, strict=True)),
                scope_words=scope_words(rule.by, told.names.get(one.scope, one.scope)),
                from_at=one.from_at,
                to_at=one.to_at,
            )
            for one in told.fired
        ],
        conditions=[
            HeldOut(
                words=condition_words(condition),
                held=one.held,
                did_not=one.did_not,
                unknown=one.unknown,
                always=one.always,
                never=one.never,
            )
            for condition, one in zip(rule.conditions, told.conditions, strict=False)
        ],
        points=[
            PointOut(
                one.at,
                None if one.value is None else figure_words(first, one.value),
                None if one.limit is None else figure_words(first, one.limit),
            )
            for one in told.points
        ],
    )
