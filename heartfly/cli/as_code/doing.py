"""A plan made true, by the API: what others name first, what is deleted last. It may be broken off and done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from heartfly.cli.as_code.differ import Change, Field, Verb
from heartfly.cli.as_code.seen import with_tag
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
    """`done` is told of each. Unreachable, Refused or ChangedSince: those after it are not done."""
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
                _delete(api, change, ids)
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
    if change.kind == "meters":
        _change_meter(api, change, asked)
        return
    path = "/v1/project" if change.kind == "project" else f"{_PATHS[change.kind]}/{part(change.thing.id)}"

    def send(tag: str) -> None:
        if asked:
            api.call("PATCH", path, asked, seen=tag)

    with_tag(api, change, path, _names(ids), send)


def _change_meter(api: Client, change: Change, asked: dict[str, Any]) -> None:
    """By up to three calls, of which each looks at its own fields alone: those before it are done by then."""
    assert change.thing is not None
    assert change.entry is not None
    path = f"{_PATHS[change.kind]}/{part(change.thing.id)}"
    whole = {name: change.entry.settings[name] for name in DEFINING}
    version = {name: value for name, value in whole.items() if value is not None}
    names = {name: value for name, value in asked.items() if name not in {ARCHIVED, *DEFINING}}
    calls: tuple[tuple[set[str], str, str, Any], ...] = (
        ({ARCHIVED}, "POST", f"{path}/unarchive", None),
        (set(names), "PATCH", path, names),
        (set(DEFINING), "POST", f"{path}/versions", version),
    )
    for its, method, target, body in calls:
        fields = [field for field in change.fields if field.name in its]
        if fields:
            send = partial(_send, api, method, target, body)
            with_tag(api, replace(change, fields=fields), path, {}, send)


def _send(api: Client, method: str, target: str, body: Any, tag: str) -> None:
    api.call(method, target, body, seen=tag)


def _delete(api: Client, change: Change, ids: Mapping[str, str]) -> None:
    assert change.thing is not None
    path = f"{_PATHS[change.kind]}/{part(change.thing.id)}"
    # What they counted stays: a meter is archived, a budget cancelled.
    method, target = "DELETE", path
    if change.kind in {"meters", "budgets"}:
        method, target = "POST", f"{path}/{'archive' if change.kind == 'meters' else 'cancel'}"
    with_tag(api, change, path, _names(ids), lambda tag: api.call(method, target, seen=tag))


def _names(ids: Mapping[str, str]) -> dict[str, str]:
    return {id_: name for name, id_ in ids.items()}
