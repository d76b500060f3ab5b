"""What a project has, in the same words as a file: each thing by its name, with its settings as settings.py writes
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heartfly.cli.as_code.settings import (
    DEFINING,
    FIELDS,
    conditions_there,
    counted,
    keywords,
    policy_as_told,
    shown_config,
    timing,
)  # fmt: skip
from heartfly.cli.client import Client

_ENDED = frozenset({"expired", "cancelled"})
OWN = "own"
ARCHIVED = "archived"
"""A setting of meters that no file names: one that it names is brought back."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """`id`: by which the API knows it. `raw`: as the API tells it."""

    id: str
    raw: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class There:
    """`sections`: as a file has them. `twice`: names that several of a section have; the first of them stands there."""

    sections: Mapping[str, Mapping[str, Thing]]
    twice: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def channel_ids(self) -> Mapping[str, str]:
        return {name: thing.id for name, thing in self.sections["channels"].items()}


def look(api: Client, kinds: Sequence[str]) -> There:
    """These sections; channels always, as others name them."""
    channels = list(api.listed("/v1/channels"))
    names = {one["id"]: one["name"] for one in channels}
    found: dict[str, list[tuple[str, Thing]]] = {"channels": [(one["name"], _channel(one)) for one in channels]}
    if "project" in kinds:
        raw = api.call("GET", "/v1/project")
        found["project"] = [("project", Thing(id=raw["id"], raw=raw, settings=settings_of("project", raw, names)))]
    if "meters" in kinds:
        found["meters"] = [(one["slug"], _meter(one)) for one in api.listed("/v1/meters")]
    if "checks" in kinds:
        listed = list(api.listed("/v1/checks"))
        slugs = {one["id"]: one["slug"] or one["id"] for one in listed}
        found["checks"] = [(one["slug"], _check(one, names, slugs)) for one in listed if one["job"] is None]
    if "alert_rules" in kinds:
        found["alert_rules"] = [(one["name"], _rule(one, names)) for one in api.listed("/v1/alert-rules")]
    if "budgets" in kinds:
        living = (one for one in api.listed("/v1/budgets") if one["state"] not in _ENDED)
        found["budgets"] = [(one["name"], _budget(one, names)) for one in living]
    sections: dict[str, dict[str, Thing]] = {}
    twice: dict[str, list[str]] = {}
    for kind, things in found.items():
        sections[kind] = dict(reversed(things))
        sections[kind] = {key: sections[kind][key] for key, _ in things}
        twice[kind] = [key for key, n in Counter(key for key, _ in things).items() if n > 1]
    return There(sections=sections, twice=twice)


def settings_of(kind: str, raw: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """Of one thing, as the API tells it. `names`: of channels by their ids. What a check needs is told by ids."""
    match kind:
        case "project":
            return {name: raw[name] for name in FIELDS["project"]}
        case "channels":
            return _channel(raw).settings
        case "meters":
            return _meter(raw).settings
        case "checks":
            return _check(raw, names, {}).settings
        case "alert_rules":
            return _rule(raw, names).settings
        case _:
            return _budget(raw, names).settings


def _channel(raw: Mapping[str, Any]) -> Thing:
    config = None if raw["config"] is None else shown_config(raw["kind"], raw["config"])
    settings = {
        "kind": raw["kind"],
        "config": config,
        "events": sorted(raw["events"]),
        "policy": policy_as_told(raw["policy"]),
    }
    return Thing(id=raw["id"], raw=raw, settings=settings)


def _meter(raw: Mapping[str, Any]) -> Thing:
    definition = counted({name: raw["current"][name] for name in DEFINING} | {"filters": _filters(raw["current"])})
    archived = {ARCHIVED: raw["archived_at"] is not None}
    return Thing(id=raw["id"], raw=raw, settings={"name": raw["name"], "unit": raw["unit"], **definition, **archived})


def _filters(version: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if value is not None} for one in version["filters"]]


def _check(raw: Mapping[str, Any], names: Mapping[str, str], slugs: Mapping[str, str]) -> Thing:
    settings = {name: raw[name] for name in FIELDS["checks"]}
    settings |= {
        "schedule": timing(raw["schedule"]),
        "filters": keywords(raw["filters"]),
        "needs": sorted(slugs.get(one, one) for one in raw["needs"]),
        "channels": sorted(names.get(one, one) for one in raw["channels"]),
    }
    return Thing(id=raw["id"], raw=raw, settings=settings)


def _rule(raw: Mapping[str, Any], names: Mapping[str, str]) -> Thing:
    settings = {name: raw[name] for name in FIELDS["alert_rules"]}
    settings |= {
        "channels": sorted(names.get(one, one) for one in raw["channels"]),
        "conditions": conditions_there(raw["conditions"]),
    }
    return Thing(id=raw["id"], raw=raw, settings=settings)


def _budget(raw: Mapping[str, Any], names: Mapping[str, str]) -> Thing:
    settings = {name: raw[name] for name in FIELDS["budgets"]}
    settings["channels"] = sorted(names.get(one, one) for one in raw["channels"])
    return Thing(id=raw["id"], raw=raw, settings=settings)
