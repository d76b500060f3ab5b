"""What a plan has seen, against what there is when it is done: nothing that somebody set in between is overwritten.

The digest names a whole plan, so that what was looked at in one place is what is done in another. A thing that is
changed or deleted is read once more, and its tag goes along: the server refuses what has changed since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import rich_click as click

from heartfly.cli.as_code.differ import Change, Plan, Verb
from heartfly.cli.as_code.there import settings_of
from heartfly.cli.as_code.words import ONE, written
from heartfly.cli.client import Client, Refused
from heartfly.cli.output import plain

_CHANGED_MEANWHILE = 412
_NEEDS = "needs"
_TRIES = 5
"""A check's tag changes also with what is no setting, such as its pings."""


class ChangedSince(click.ClickException):
    """Of a plan that is not what would be done now."""


def digest_of(plan: Plan) -> str:
    """Another one as soon as anything that the plan would do, or that it would do it to, is another."""
    facts = [
        [
            change.kind,
            change.key,
            change.verb.value,
            None if change.thing is None else change.thing.id,
            [[field.name, field.before, field.after] for field in change.fields],
        ]
        for change in plan.changes
    ]
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def demand_same(plan: Plan, digest: str) -> None:
    """ChangedSince: it is not the plan that was looked at."""
    found = digest_of(plan)
    if found != digest:
        raise ChangedSince(
            f"What would be done now is plan {found}, and not {digest}: the file, its variables or the project have "
            "changed since. Nothing was done; look with `heartfly plan` again."
        )


def with_tag(api: Client, change: Change, path: str, names: Mapping[str, str], send: Callable[[str], None]) -> None:
    """Send it with the tag of what is there, as long as that is what the plan has seen. ChangedSince; Refused."""
    for left in reversed(range(_TRIES)):
        raw, tag = api.tagged(path)
        _demand_unchanged(change, _as_planned(change, raw, settings_of(change.kind, raw, names)))
        try:
            send(tag)
        except Refused as refused:
            if refused.status != _CHANGED_MEANWHILE or not left:
                raise
        else:
            return


def _as_planned(change: Change, raw: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """A plan names what a check needs by slugs, and only a list of all checks knows which are meant."""
    assert change.thing is not None
    if _NEEDS in now and {*raw[_NEEDS]} == {*change.thing.raw[_NEEDS]}:
        return {**now, _NEEDS: change.thing.settings[_NEEDS]}
    return now


def _demand_unchanged(change: Change, now: Mapping[str, Any]) -> None:
    assert change.thing is not None
    its_own = change.thing.settings
    before = its_own if change.verb is Verb.DELETE else {field.name: field.before for field in change.fields}
    for name, value in before.items():
        if now.get(name) != value:
            key = "" if change.kind == "project" else f" {change.key}"
            was, is_ = written(name, value), written(name, now.get(name))
            said = f"{ONE[change.kind]}{key} has changed since the plan was made: {name} was {was}, and is {is_}"
            raise ChangedSince(plain(said))
