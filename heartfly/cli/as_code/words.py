"""A plan in lines for people, and as one object for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import rich_click as click

from heartfly.cli.as_code.differ import Change, Plan, Verb
from heartfly.cli.output import counted, plain
from heartfly.core.spans import span as span_words
from heartfly.core.text import shown

ONE = {
    "project": "project",
    "channels": "channel",
    "meters": "meter",
    "checks": "check",
    "alert_rules": "alert rule",
    "budgets": "budget",
}
_SIGNS = {Verb.MAKE: "+", Verb.CHANGE: "~", Verb.DELETE: "-"}
_COLOURS = {Verb.MAKE: "green", Verb.CHANGE: "yellow", Verb.DELETE: "red"}
_DONE = {Verb.MAKE: "made", Verb.CHANGE: "changed", Verb.DELETE: "deleted"}
_OTHERWISE = {"meters": "archived", "budgets": "cancelled"}
_DURATIONS = frozenset({"grace", "max_run", "for", "cooldown", "period", "window"})
_MOST = 300
_MOST_ALARMS = 5

Effects = Mapping[tuple[str, str], Mapping[str, Any]]


def show_plan(plan: Plan, effects: Effects, *, prune: bool) -> None:
    if not plan.changes:
        click.echo("All is as the file says.")
        return
    for change in plan.changes:
        sign, key = _SIGNS[change.verb], "" if change.kind == "project" else f" {plain(change.key)}"
        goes = f" ({_OTHERWISE[change.kind]})" if change.verb is Verb.DELETE and change.kind in _OTHERWISE else ""
        click.secho(f"{sign} {ONE[change.kind]}{key}{goes}", fg=_COLOURS[change.verb])
        for field in change.fields:
            after = written(field.name, field.after)
            before = "" if change.verb is Verb.MAKE else f"{written(field.name, field.before)} → "
            if before == f"{after} → ":
                before, after = "", f"{after} (written anew)"
            click.echo(f"    {field.name}: {plain(before + after)}")
        if (change.kind, change.key) in effects:
            told = effects[change.kind, change.key]
            click.echo(f"    {effect_words(told)}")
            for line in alarm_lines(told):
                click.echo(f"      {line}")
    counts = Counter(change.verb for change in plan.changes)
    parts = [f"{counts[verb]} to {verb.value}" for verb in Verb if counts[verb]]
    click.echo(f"\n{', '.join(parts)}.")
    if not prune:
        click.echo("What the file does not name stays as it is; --prune looks for what is to be deleted.")


def effect_words(told: Mapping[str, Any]) -> str:
    """What the change would have meant for the check's own past."""
    if error := told.get("error"):
        return f"its past was not looked at: {error}"
    pings, old, new = told["n_pings"], told["n_old"], told["n_new"]
    if not pings:
        return "no ping of it is kept, by which the change could be tried"
    less, more = len(told["lost"]), len(told["added"])
    differ = f": {less} fewer, {more} more" if less or more else ", the same ones"
    since = str(told["from_at"])[:10]
    return (
        f"on its {counted(pings, 'ping')} since {since}: {counted(old, 'alarm')} as it is, {new} as it would be{differ}"
    )


def alarm_lines(told: Mapping[str, Any]) -> list[str]:
    """The alarms that only one of both rules has, with the incident that each was; of many the first."""
    lines = []
    for sign, name in (("-", "lost"), ("+", "added")):
        found = told.get(name, ())
        for alarm in found[:_MOST_ALARMS]:
            incident = f", incident {alarm['incident']}" if alarm["incident"] else ""
            lines.append(f"{sign} {alarm['at']} {alarm['reason'].replace('_', ' ')}{incident}")
        if (more := len(found) - _MOST_ALARMS) > 0:
            lines.append(f"{sign} and {more} more; --json tells all")
    return lines


def done_words(change: Change) -> str:
    done = _OTHERWISE.get(change.kind, "deleted") if change.verb is Verb.DELETE else _DONE[change.verb]
    return plain(f"{ONE[change.kind]} {change.key} {done}" if change.kind != "project" else f"project {done}")


def plan_out(plan: Plan, effects: Effects) -> dict[str, Any]:
    """For machines."""
    changes = [
        {
            "section": one.kind,
            "name": one.key,
            "action": one.verb.value,
            "fields": [{"field": field.name, "before": field.before, "after": field.after} for field in one.fields],
            "backtest": effects.get((one.kind, one.key)),
        }
        for one in plan.changes
    ]
    return {"changes": changes, "too_many_deletions": list(plan.too_many)}


def written(name: str, value: Any) -> str:
    """One value in a line."""
    if value is None:
        return "none"
    if name in _DURATIONS and isinstance(value, int):
        return _span(value)
    if name == "schedule" and isinstance(value, dict):
        return _schedule(value)
    if isinstance(value, str):
        return shown(value).replace("\n", " | ")[:_MOST] or "empty"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)[:_MOST] or "none"
    return json.dumps(value, ensure_ascii=False)[:_MOST]


def _span(seconds: int) -> str:

    return span_words(timedelta(seconds=seconds)) if seconds else "0 s"


def _schedule(value: Mapping[str, Any]) -> str:
    if value["kind"] == "period":
        return f"every {_span(value['period'])}"
    words: Sequence[str] = (value["expression"].replace("\n", " | "), value["zone"], value.get("dialect", ""))
    return " ".join(word for word in words if word and word != "cron")
