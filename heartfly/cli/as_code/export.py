"""What a project has, written as a file that says so. Read again, it changes nothing.

Secrets do not leave a server: in their place stands the name of a variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from heartfly.cli.as_code.file import VERSION
from heartfly.cli.as_code.settings import DEFINING, KINDS
from heartfly.cli.as_code.there import ARCHIVED, There, Thing
from heartfly.core.managed import MARK
from heartfly.notify.channels.base import MASK

_WIDTH = 110
_USUAL: Mapping[str, Any] = {
    "description": "", "tags": [], "max_run": None, "methods": "", "filters": None, "gates": [], "sticky": False,
    "unverified_is_down": False,
    "unit": "", "tolerance": None, "bounds": [], "slo": None, "policy": {}, "host": "",
    "needs": [],
}  # fmt: skip
"""What need not be said of a new thing, as it is so without."""
_UNITS = (("d", 86400), ("h", 3600), ("m", 60))
_DURATIONS = frozenset({"grace", "max_run", "for", "cooldown", "after", "every"})


def exported(there: There) -> str:
    """YAML, with a line of its own for what could not be told apart."""
    whole: dict[str, Any] = {"version": VERSION}
    for kind in KINDS:
        things = there.sections.get(kind, {})
        if kind == "project":
            whole |= {kind: dict(things["project"].settings)} if things else {}
        elif things:
            whole[kind] = {
                key: _told(kind, key, thing) for key, thing in things.items() if not thing.settings.get(ARCHIVED)
            }
    left = [
        f"# Left out: another one of {kind} is called {key!r}, too."
        for kind, keys in there.twice.items()
        for key in keys
    ]
    body = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False)
    return "\n".join([*left, body])


def _told(kind: str, key: str, thing: Thing) -> dict[str, Any]:
    settings = dict(thing.settings)
    match kind:
        case "channels":
            settings["config"] = _config(settings["config"] or {}, key)
            settings["policy"] = {
                name: _duration(value) if name in _DURATIONS else value
                for name, value in settings["policy"].items()
                if value
            }
        case "meters":
            del settings[ARCHIVED]
            settings = {name: value for name, value in settings.items() if value is not None or name not in DEFINING}
        case "checks":
            settings["schedule"] = _schedule(settings["schedule"])
            settings["tags"] = [tag for tag in settings["tags"] if not tag.startswith(MARK)]
            if settings["name"] == key:
                del settings["name"]
        case "alert_rules":
            settings["conditions"] = [one | {"window": _duration(one["window"])} for one in settings["conditions"]]
        case _:
            pass  # a budget is written as it is
    settings = {name: value for name, value in settings.items() if name not in _USUAL or value != _USUAL[name]}
    return {name: _duration(value) if name in _DURATIONS else value for name, value in settings.items()}


def _schedule(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """In the short words of a file."""
    if schedule["kind"] == "period":
        return {"period": _duration(schedule["period"])}
    lines = schedule["expression"].split("\n")
    told: dict[str, Any] = {schedule["kind"]: lines if len(lines) > 1 else lines[0], "zone": schedule["zone"]}
    if schedule.get("dialect", "cron") != "cron":
        told["dialect"] = schedule["dialect"]
    return told


def _duration(seconds: Any) -> Any:
    if not isinstance(seconds, int) or seconds <= 0:
        return seconds
    return next((f"{seconds // size}{unit}" for unit, size in _UNITS if seconds % size == 0), f"{seconds}s")


def _config(config: Mapping[str, Any], key: str, *names: str) -> dict[str, Any]:
    """With a variable for each text that is masked; what looks like one is written so that it is none."""
    return {name: _value(value, (key, *names, name)) for name, value in config.items()}


def _value(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return _config(value, *path)
    if isinstance(value, list):
        return [_value(one, (*path, str(n))) for n, one in enumerate(value)]
    if isinstance(value, str) and MASK in value:
        return f"${{{_variable(path)}}}"
    return re.sub(r"\$(?=\{[A-Z_])", "$$", value) if isinstance(value, str) else value


def _variable(path: tuple[str, ...]) -> str:
    words = re.sub(r"[^A-Z0-9]+", "_", "_".join(path).upper()).strip("_")
    return f"CHANNEL_{words}"[:90]
