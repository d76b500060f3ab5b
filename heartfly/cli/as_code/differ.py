"""How a file and a project differ: what would be made, changed and deleted, field by field. Values in, values out.

What a file does not name stays as it is. Nothing is deleted unless that is asked for, and then only so much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from heartfly.cli.as_code.file import Wanted
from heartfly.cli.as_code.settings import ALL, KINDS, UNSET, Entry
from heartfly.cli.as_code.there import ARCHIVED, OWN, There, Thing
from heartfly.core.causes import a_cycle
from heartfly.core.managed import MARK
from heartfly.core.yaml_text import Path
from heartfly.notify.channels.base import MASK

SHARE = 4
"""Without force at most one in so many things of a section is deleted, or one."""


class Verb(StrEnum):
    MAKE = "make"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Field:
    name: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Change:
    kind: str
    key: str
    verb: Verb
    fields: Sequence[Field] = ()
    entry: Entry | None = None
    thing: Thing | None = None


_UUID_CHARS = 36


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`too_many`: sections of which more would be deleted than may be without force."""

    changes: Sequence[Change]
    too_many: Sequence[str] = ()


def plan_of(wanted: Wanted, there: There, *, prune: bool, secrets: bool = False) -> Plan:
    """`secrets`: configurations of channels are written anew, as what is masked in them cannot be compared."""
    changes: list[Change] = []
    new = [name for name in wanted.sections.get("channels", {}) if name not in there.sections["channels"]]
    all_channels = sorted([*there.sections["channels"], *new])
    for kind in KINDS:
        for key, entry in wanted.sections.get(kind, {}).items():
            thing = there.sections.get(kind, {}).get(key)
            named = _settings(kind, entry, thing, wanted.mark, all_channels)
            if secrets and kind == "channels":
                named = {"config": {**((thing.settings["config"] if thing else None) or {}), **entry.config}, **named}
            if thing is None:
                fields = [Field(name=name, before=None, after=value) for name, value in named.items()]
                changes.append(Change(kind=kind, key=key, verb=Verb.MAKE, fields=fields, entry=entry))
                continue
            now = _there(kind, thing, new)
            fields = [
                Field(name=name, before=now.get(name), after=value)
                for name, value in named.items()
                if now.get(name) != value or (secrets and (kind, name) == ("channels", "config"))
            ]
            if fields:
                changes.append(Change(kind=kind, key=key, verb=Verb.CHANGE, fields=fields, entry=entry, thing=thing))
    deletions, too_many = _deletions(wanted, there) if prune else ([], [])
    return Plan(changes=[*changes, *deletions], too_many=too_many)


def unknown_channels(wanted: Wanted, there: There) -> list[tuple[Path, str]]:
    """Names of channels that are neither there nor in the file."""
    known = {*there.sections["channels"], *wanted.sections.get("channels", {}), *ALL}
    return [
        ((kind, key, "channels"), f"there is no channel {name}")
        for kind in ("checks", "alert_rules", "budgets")
        for key, entry in wanted.sections.get(kind, {}).items()
        for name in entry.settings.get("channels", ())
        if name not in known
    ]


def wrong_needs(wanted: Wanted, there: There) -> list[tuple[Path, str]]:
    """Checks that are neither there nor in the file, and circles."""
    found = wanted.sections.get("checks", {})
    here = {key: thing.settings["needs"] for key, thing in there.sections.get("checks", {}).items()}
    here |= {key: entry.settings["needs"] for key, entry in found.items() if "needs" in entry.settings}
    known = {*here, *found, *(one for needs in here.values() for one in needs if len(one) == _UUID_CHARS)}
    numbers = {name: n for n, name in enumerate(sorted({*known, *(one for those in here.values() for one in those)}))}
    names = {n: name for name, n in numbers.items()}
    ties = {numbers[name]: [numbers[one] for one in needs] for name, needs in here.items()}
    wrong: list[tuple[Path, str]] = []
    for key, entry in found.items():
        for name in entry.settings.get("needs", ()):
            if name not in known:
                wrong.append((("checks", key, "needs"), f"there is no check {name}"))
            elif (way := a_cycle(numbers[key], [numbers[name]], ties)) is not None:
                said = " needs ".join(names[one] for one in way)
                wrong.append((("checks", key, "needs"), f"that is a circle: {said}"))
    return wrong


def unset_variables(changes: Sequence[Change]) -> list[tuple[Path, str]]:
    """Variables that a change needs and nobody has set."""
    return [
        ((one.kind, one.key, "config"), f"needs the variable {name}, which is not set")
        for one in changes
        if one.entry is not None and any(field.name in {"kind", "config"} for field in one.fields)
        for name in dict.fromkeys(one.entry.missing)
    ]


def fixed(changes: Sequence[Change]) -> list[tuple[Path, str]]:
    """What no change can do."""
    return [
        ((one.kind, one.key, field.name), f"stays {field.before}: make another channel under another name")
        for one in changes
        if one.kind == "channels" and one.verb is Verb.CHANGE
        for field in one.fields
        if field.name == "kind"
    ]


def _settings(
    kind: str, entry: Entry, thing: Thing | None, mark: str, all_channels: Sequence[str]
) -> Mapping[str, Any]:
    named = dict(entry.settings)
    if kind == "checks" and (mark or "tags" in named):
        named["tags"] = _tags(named.get("tags"), thing.settings["tags"] if thing else [], mark)
    if kind in {"checks", "budgets"} and named.get("channels") == ALL:
        named["channels"] = list(all_channels)
    if kind == "meters" and thing is not None:
        named[ARCHIVED] = False
    if kind == "channels" and "config" not in named:
        named |= _config_part(entry, thing)
    return named


def _tags(asked: Sequence[str] | None, there: Sequence[str], mark: str) -> list[str]:
    """With the mark; those of other files stay. None: none are asked for, and what is there stays."""
    marks = [tag for tag in there if tag.startswith(MARK)]
    wanted = list(dict.fromkeys([*(there if asked is None else asked), *marks, *([mark] if mark else [])]))
    return list(there) if set(wanted) == set(there) else wanted


def _config_part(entry: Entry, thing: Thing | None) -> dict[str, Any]:
    """A configuration with variables that are not set: it differs if what can be seen of it does."""
    now = thing.settings["config"] if thing is not None else None
    if now is not None and all(_may_be(value, now.get(name)) for name, value in entry.config.items()):
        return {}
    return {"config": dict(entry.config)}


def _may_be(asked: Any, shown: Any) -> bool:
    """Whether a value that is shown with its secrets masked may be the one that is asked for."""
    if isinstance(asked, dict) and isinstance(shown, dict):
        return asked.keys() == shown.keys() and all(_may_be(value, shown[name]) for name, value in asked.items())
    if isinstance(asked, str) and isinstance(shown, str) and MASK in shown:
        return UNSET in asked or asked.startswith(shown.partition(MASK)[0])
    return asked == shown or (isinstance(asked, str) and UNSET in asked)


def _there(kind: str, thing: Thing, new: Sequence[str]) -> Mapping[str, Any]:
    """A channel that is made hears of every check at first."""
    if kind != "checks" or not new:
        return thing.settings
    return {**thing.settings, "channels": sorted([*thing.settings["channels"], *new])}


def _deletions(wanted: Wanted, there: There) -> tuple[list[Change], list[str]]:
    found: list[Change] = []
    too_many: list[str] = []
    for kind in reversed(KINDS):
        if kind == "project" or kind not in wanted.sections:
            continue
        mine = {key: thing for key, thing in there.sections[kind].items() if _is_managed(kind, thing, wanted.mark)}
        gone = [
            Change(kind=kind, key=key, verb=Verb.DELETE, thing=thing)
            for key, thing in mine.items()
            if key not in wanted.sections[kind]
        ]
        if len(gone) > max(1, len(mine) // SHARE):
            too_many.append(kind)
        found += gone
    return found, too_many


def _is_managed(kind: str, thing: Thing, mark: str) -> bool:
    """Checks come to be in many ways, and those of others carry no mark; the rest is made by people alone."""
    if kind == "checks":
        return bool(mark) and mark in thing.settings["tags"]
    if kind == "meters":
        return not thing.settings[ARCHIVED]
    return kind != "alert_rules" or thing.raw["origin"] == OWN
