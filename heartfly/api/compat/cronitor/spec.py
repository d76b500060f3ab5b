"""What a client asks of a monitor, field by field, and the same in our words: pure, nothing is looked up here.

A field that would change whether an alarm is raised, and has nothing here that it could be, is refused; one that only
describes is left out, and told as not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heartfly.api.compat.telemetry.signal import slug_of
from heartfly.checks.config import CheckIn, GateIn, ScheduleIn, ToleranceIn
from heartfly.core.gate_text import gate_of_text
from heartfly.core.tolerance import MOST_FAILURES
from heartfly.errors import InvalidValueError

TYPES = ("job", "heartbeat")
SETTABLE = (
    "name", "schedule", "timezone", "grace_seconds", "failure_tolerance", "assertions", "notify", "tags", "note",
    "paused",
)  # fmt: skip
"""In the order in which they are told."""
TOLERANCES = ("failure_tolerance", "schedule_tolerance")
_NONE: tuple[Any, ...] = (None, 0, False, "", [], {})
_REFUSED: Mapping[str, str] = {
    "request": "is not supported: Heartfly hears of jobs, and calls nobody",
    "platform_request": "is not supported: Heartfly hears of jobs, and calls nobody",
}
_UNKEPT = (
    "group",
    "platform",
    "metadata",
    "realert_interval",
    "environments",
    "link",
    "timeout_seconds",
    "defaultName",
)
_INTERVAL = re.compile(r"every\s+(?:(\d{1,7})\s+)?(second|sec|minute|min|hour|day|week)s?", re.IGNORECASE)
_SECONDS = {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_ASSERTION = re.compile(
    r"metric\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<op>[<>=!]=|[<>=])\s*(?P<value>-?[\d.]+)\s*(?P<unit>[A-Za-z]+)?"
)
_UNITS = {
    "ms": "ms", "millisecond": "ms", "s": "s", "sec": "s", "second": "s", "m": "m", "min": "m", "minute": "m",
    "h": "h", "hour": "h", "d": "d", "day": "d",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """`notify` None: not asked for. `paused` None: the same. `not_kept`: the fields that are left out here."""

    slug: str
    type: str
    asked: CheckIn
    notify: Sequence[str] | None = None
    paused: bool | None = None
    not_kept: Sequence[str] = field(default=())


def read_spec(found: Any) -> Spec:
    """InvalidValueError: each field that is wrong, or not supported."""
    if not isinstance(found, dict):
        raise InvalidValueError("", "must be an object")
    wrong: list[InvalidValueError] = []
    given: dict[str, Any] = {}
    told = {str(name): value for name, value in found.items()}
    for name, read in _READ.items():
        if told.get(name) is None:
            continue
        try:
            given |= read(told[name])
        except InvalidValueError as error:
            wrong.append(error)
    for name, why in _REFUSED.items():
        if told.get(name) not in _NONE:
            wrong.append(InvalidValueError(name, why))
    slug = slug_of(str(told.get("key") or told.get("name") or ""))
    if not slug:
        wrong.append(InvalidValueError("key", "is required, of letters and digits"))
    type_ = str(told.get("type") or TYPES[0])
    if type_ not in TYPES:
        wrong.append(InvalidValueError("type", "must be job or heartbeat: Heartfly hears of jobs, and calls nobody"))
    for ours, read_whole in (("schedule", _schedule), ("tolerance", _tolerance)):
        try:
            found_whole = read_whole(told)
        except InvalidValueError as error:
            wrong.append(error)
            continue
        if found_whole is not None:
            given[ours] = found_whole
    if wrong:
        raise InvalidValueError(wrong[0].field, wrong[0].message, others=wrong[1:])
    notify, paused = given.pop("notify", None), given.pop("paused", None)
    unkept = [name for name in _UNKEPT if told.get(name) not in _NONE]
    return Spec(slug=slug, type=type_, asked=CheckIn(**given), notify=notify, paused=paused, not_kept=unkept)


# --- field by field


def _text(name: str, ours: str) -> Callable[[Any], dict[str, Any]]:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise InvalidValueError(name, "must be a text")
        return {ours: value}

    return read


def _texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidValueError(name, "must be a list of texts")
    return value


def _grace(value: Any) -> dict[str, Any]:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidValueError("grace_seconds", "must be a whole number")
    return {"grace": max(1, value) if value >= 0 else value}


def _paused(value: Any) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise InvalidValueError("paused", "must be true or false")
    return {"paused": value}


def _assertions(value: Any) -> dict[str, Any]:
    lines = _texts("assertions", value)
    return {"gates": [gate_of_assertion(line, field=f"assertions[{place}]") for place, line in enumerate(lines)]}


def gate_of_assertion(line: str, *, field: str) -> GateIn | str:
    """A gate, as it is asked for. InvalidValueError."""
    found = _ASSERTION.fullmatch(line.strip()) if len(line) <= 300 else None
    if found is None:
        raise InvalidValueError(
            field, "must be like metric.duration < 5 min, metric.count > 0: other ones are not read"
        )
    unit, is_duration = (found["unit"] or "").lower(), found["name"] == "duration"
    short = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s")) if unit else "s" if is_duration else ""
    if short is None or (short and not is_duration):
        raise InvalidValueError(field, "must have a unit of time, such as min, and that only for metric.duration")
    op = "==" if found["op"] == "=" else found["op"]
    text = f"{found['name']} {op} {found['value']}{short}"
    gate_of_text(text, field=field)
    return text


def _schedule(told: Mapping[str, Any]) -> ScheduleIn | None:
    """None: it is not asked for."""
    texts = [one for one in [told.get("schedule"), *_several(told.get("schedules"))] if one is not None]
    texts = list(dict.fromkeys(one if isinstance(one, str) else str(type(one)) for one in texts))
    if told.get("schedule") is not None and not isinstance(told["schedule"], str):
        raise InvalidValueError("schedule", "must be a text")
    if len(texts) > 1:
        raise InvalidValueError("schedules", "must be one: for each further schedule make a check of its own")
    zone = told.get("timezone")
    if zone is not None and not isinstance(zone, str):
        raise InvalidValueError("timezone", "must be a text")
    if not texts:
        if zone is not None:
            raise InvalidValueError("timezone", "goes with a schedule")
        return None
    text = " ".join(texts[0].split())
    interval = _INTERVAL.fullmatch(text)
    if interval is not None:
        return ScheduleIn(kind="period", period=int(interval[1] or 1) * _SECONDS[interval[2].lower()])
    return ScheduleIn(kind="cron", expression=text, zone=zone or "UTC")


def _tolerance(told: Mapping[str, Any]) -> ToleranceIn | None:
    """None: it is not asked for. Failures and misses are one row here, so of two the smaller counts: no alarm that
    either of them asks for comes later.
    """
    given = {name: told[name] for name in TOLERANCES if told.get(name) is not None}
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_FAILURES:
            raise InvalidValueError(name, f"must be a whole number, 0 to {MOST_FAILURES - 1}")
    return ToleranceIn(failures=min(given.values()) + 1) if given else None


def _several(value: Any) -> Sequence[Any]:
    return () if value is None else _texts("schedules", value)


_READ: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "name": _text("name", "name"),
    "tags": lambda value: {"tags": _texts("tags", value)},
    "note": _text("note", "description"),
    "grace_seconds": _grace,
    "assertions": _assertions,
    "notify": lambda value: {"notify": _texts("notify", value)},
    "paused": _paused,
    "disabled": _paused,
}

_THEIRS = {
    "description": "note",
    "grace": "grace_seconds",
    "gates": "assertions",
    "tolerance": "failure_tolerance",
    "tolerance.failures": "failure_tolerance",
    "channels": "notify",
    "schedule.zone": "timezone",
    "schedule.period": "schedule",
    "schedule.expression": "schedule",
    "slug": "key",
}
"""Our fields, as they call what they come from."""


def theirs(field_: str) -> str:
    """As this API calls a field of ours, with its place in a list."""
    name, bracket, rest = field_.partition("[")
    return _THEIRS.get(name, name) + bracket + rest
