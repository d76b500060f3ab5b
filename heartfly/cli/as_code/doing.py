"""A plan made true, by the API: what others name first, what is deleted last. It may be broken off and done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from heartfly.cli.as_code.differ import Change, Field, Verb
from heartfly.cli.as_code.settings import ALL, DEFINING
from heartfly.cli.as_code.there import ARCHIVED
from heartfly.cli.client import Client, part

_PATHS = {
    "channels": "/v1/channels",
    "meters": "/v1/meters",
    "checks": "/v1/checks",
    "alert_rules": "/v1/alert-rules",
    "budgets": "/v1/budgets",
}
_SCHEDULE = ("schedule", "grace", "max_run", "gates", "tolerance", "bounds", "filters", "methods")
"""What of a check decides when it alarms."""
_NEEDS = "needs"
"""Set when all checks are there: one may need another that is made after it."""


def do(api: Client, changes: Sequence[Change], channel_ids: Mapping[str, str], done: Callable[[Change], None]) -> None:
    """`done` is told of each. Unreachable or Refused: those after it are not done."""
    ids = dict(channel_ids)
    tied: list[tuple[str, Change]] = []
    for change in changes:
        if change.verb is Verb.DELETE and tied:
            tied = _tie(api, tied)
        match change.verb:
            case Verb.MAKE:
                made = api.call("POST", _PATHS[change.kind], _whole(change, ids))
                if change.kind == "channels":
                    ids[change.key] = made["id"]
                tied += _ties(made["id"], change) if change.kind == "checks" else []
            case Verb.CHANGE:
                _change(api, change, ids)
                if change.kind == "checks" and change.thing is not None:
                    tied += _ties(change.thing.id, change)
            case Verb.DELETE:
                _delete(api, change)
        done(change)
    _tie(api, tied)


def _ties(check: str, change: Change) -> list[tuple[str, Change]]:
    return [(check, change)] if any(field.name == _NEEDS for field in change.fields) else []


def _tie(api: Client, tied: Sequence[tuple[str, Change]]) -> list[tuple[str, Change]]:
    """When all checks are there; what a check needs no more goes first, as two may change places. None is left then."""
    needs = [(check, _field(change)) for check, change in tied]
    fewer = [(check, sorted({*(field.before or ())} & {*field.after})) for check, field in needs if field.before]
    for check, those in (*fewer, *((check, field.after) for check, field in needs)):
        api.call("PATCH", f"{_PATHS['checks']}/{part(check)}", {_NEEDS: those})
    return []


def _field(change: Change) -> Field:
    return next(field for field in change.fields if field.name == _NEEDS)


def backtest(api: Client, change: Change) -> Mapping[str, Any] | None:
    """What a change of a check would have meant for its past; None: it decides nothing about alarms."""
    if change.kind != "checks" or change.verb is not Verb.CHANGE or change.thing is None:
        return None
    deciding = replace(change, fields=[field for field in change.fields if field.name in _SCHEDULE])
    asked = _asked(deciding, {})
    if not asked:
        return None
    told: Mapping[str, Any] = api.call("POST", f"{_PATHS['checks']}/{part(change.thing.id)}/backtest", asked)
    return told


def _whole(change: Change, ids: Mapping[str, str]) -> dict[str, Any]:
    assert change.entry is not None
    asked = {**change.entry.usual, **_asked(change, ids)}
    if change.kind == "channels":
        asked["name"] = change.key
    if change.kind == "meters":
        asked |= {"slug": change.key}
    return {name: value for name, value in asked.items() if value is not None or change.kind != "meters"}


def _asked(change: Change, ids: Mapping[str, str]) -> dict[str, Any]:
    """The fields that differ, as they are sent."""
    assert change.entry is not None
    fields = [field for field in change.fields if field.name != _NEEDS]
    asked = {field.name: change.entry.body.get(field.name, field.after) for field in fields}
    if "channels" in asked and asked["channels"] != ALL:
        asked["channels"] = [ids[name] for name in asked["channels"]]
    return asked


def _change(api: Client, change: Change, ids: Mapping[str, str]) -> None:
    assert change.thing is not None
    assert change.entry is not None
    asked = _asked(change, ids)
    if change.kind == "project":
        api.call("PATCH", "/v1/project", asked)
        return
    if not asked:
        return
    path = f"{_PATHS[change.kind]}/{part(change.thing.id)}"
    if change.kind == "meters":
        if ARCHIVED in asked:
            api.call("POST", f"{path}/unarchive")
            del asked[ARCHIVED]
        names = {name: value for name, value in asked.items() if name not in DEFINING}
        if names:
            api.call("PATCH", path, names)
        if len(names) < len(asked):
            whole = {name: change.entry.settings[name] for name in DEFINING}
            api.call("POST", f"{path}/versions", {name: value for name, value in whole.items() if value is not None})
        return
    api.call("PATCH", path, asked)


def _delete(api: Client, change: Change) -> None:
    assert change.thing is not None
    path = f"{_PATHS[change.kind]}/{part(change.thing.id)}"
    # What they counted stays: a meter is archived, a budget cancelled.
    if change.kind in {"meters", "budgets"}:
        api.call("POST", f"{path}/{'archive' if change.kind == 'meters' else 'cancel'}")
    else:
        api.call("DELETE", path)
