"""A check as fields of a form, and back: shared by the forms that make, edit and re-schedule one.

What a check may be is decided in checks/config.py. A field that comes back as it was shown is not asked for, so that
what a form cannot spell (a tag with a comma) survives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from heartfly.checks.config import CheckConfig, CheckIn, FiltersIn, ScheduleIn, ToleranceIn, as_asked, gates_of
from heartfly.checks.rows import schedule_of
from heartfly.checks.slo_config import SloIn
from heartfly.core import schedule as schedules
from heartfly.core.describe import describe
from heartfly.core.schedule import Schedule
from heartfly.core.slo import USUAL_DAYS
from heartfly.core.text import shown
from heartfly.errors import HeartflyError, InvalidValueError
from heartfly.web.request import Form

UNITS = {"minutes": 60, "hours": 3600, "days": 86_400, "seconds": 1}
SCHEDULE = ("kind", "every", "every_unit", "expression", "zone", "dialect")
FILTERS = ("start", "success", "failure")
TOLERANCE = ("failures", "share", "last", "recover")
SLO = ("slo_on_time", "slo_success", "slo_days")
FIELDS = (
    "name", "slug", "tags", "description", *SCHEDULE, "grace", "grace_unit", "max_run", "max_run_unit", "methods",
    "gates", *TOLERANCE, "bounds", "host", "needs", *SLO, *(f"filter_{name}" for name in FILTERS), "default_fail",
    "sticky", "unverified_is_down",
)  # fmt: skip

_NEXT = 5
_LARGEST_FIRST = ("days", "hours", "minutes", "seconds")
# The names of the API, as the form has them.
_NAMED = {
    "schedule.period": "every",
    "schedule.expression": "expression",
    "schedule.zone": "zone",
    "schedule.kind": "kind",
    "schedule.dialect": "dialect",
    **{f"tolerance.{name}": name for name in TOLERANCE},
    **{name.replace("_", ".", 1): name for name in SLO},
}


def values_of(config: CheckConfig, needs: Sequence[str] = ()) -> dict[str, str]:
    """What the form shows of it. `needs`: what it needs, by slug or id."""
    facts = as_asked(config)
    filters: Mapping[str, Any] = facts["filters"] or {}
    every, every_unit = _spelled(config.period_s or 86_400)
    grace, grace_unit = _spelled(config.grace_s)
    max_run, max_run_unit = ("", "minutes") if config.max_run_s is None else _spelled(config.max_run_s)
    values = {
        "name": config.name, "slug": config.slug, "tags": ", ".join(config.tags), "description": config.description,
        "kind": config.kind, "every": every, "every_unit": every_unit, "expression": config.expression,
        "zone": config.zone, "dialect": config.dialect, "grace": grace, "grace_unit": grace_unit,
        "max_run": max_run, "max_run_unit": max_run_unit, "methods": config.methods,
        "gates": "\n".join(f"{gate.text} {gate.level}" for gate in gates_of(config.gates)),
        "default_fail": "1" if filters.get("default_fail") else "", "sticky": "1" if config.sticky else "",
        "unverified_is_down": "1" if config.unverified_is_down else "",
    }  # fmt: skip
    tolerance: Mapping[str, Any] = facts["tolerance"] or {}
    values |= {name: str(tolerance.get(name) or "") for name in TOLERANCE}
    slo: Mapping[str, Any] = facts["slo"] or {"days": USUAL_DAYS}
    values |= {name: str(slo.get(name.removeprefix("slo_")) or "") for name in SLO}
    values["bounds"] = "\n".join(facts["bounds"])
    values |= {"host": config.host, "needs": ", ".join(needs)}
    values |= {f"filter_{name}": "\n".join(filters.get(name, ())) for name in FILTERS}
    return {name: shown(value) for name, value in values.items()}


def typed_in(form: Form) -> dict[str, str]:
    return {name: form[name].replace("\r\n", "\n") for name in FIELDS}


def asked_of(typed: Mapping[str, str], was: Mapping[str, str], *, with_schedule: bool = True) -> CheckIn:
    """What of it was changed. InvalidValueError names the field of the form."""
    asked: dict[str, Any] = {
        name: typed[name] for name in ("name", "slug", "description", "methods", "host") if typed[name] != was[name]
    }
    if typed["tags"] != was["tags"]:
        asked["tags"] = tags_of(typed["tags"], apart=",")
    if typed["needs"] != was["needs"]:
        asked["needs"] = tags_of(typed["needs"], apart=",")
    if with_schedule and any(typed[name] != was[name] for name in SCHEDULE):
        asked["schedule"] = schedule_in(typed)
    if any(typed[name] != was[name] for name in ("grace", "grace_unit")):
        asked["grace"] = seconds(typed, "grace")
    if any(typed[name] != was[name] for name in ("max_run", "max_run_unit")):
        asked["max_run"] = seconds(typed, "max_run") if typed["max_run"].strip() else None
    if typed["gates"] != was["gates"]:
        asked["gates"] = _lines(typed["gates"])
    if any(typed[name] != was[name] for name in TOLERANCE):
        asked["tolerance"] = _tolerance_in(typed)
    if typed["bounds"] != was["bounds"]:
        asked["bounds"] = _lines(typed["bounds"])
    if any(typed[name] != was[name] for name in SLO):
        asked["slo"] = _slo_in(typed)
    names = (*(f"filter_{name}" for name in FILTERS), "default_fail")
    if any(typed[name] != was[name] for name in names):
        asked["filters"] = FiltersIn(
            default_fail=bool(typed["default_fail"]), **{name: _lines(typed[f"filter_{name}"]) for name in FILTERS}
        )
    for switch in ("sticky", "unverified_is_down"):
        if typed[switch] != was[switch]:
            asked[switch] = bool(typed[switch])
    return CheckIn(**asked)


def schedule_in(typed: Mapping[str, str] | Form) -> ScheduleIn:
    kind = typed["kind"] or "period"
    schedule = ScheduleIn(kind=kind, zone=typed["zone"].strip() or "UTC", dialect=typed["dialect"] or "cron")
    if kind == "period":
        schedule.period = seconds(typed, "every")
    else:
        schedule.expression = typed["expression"]
    return schedule


def limits_in(typed: Mapping[str, str] | Form) -> dict[str, Any]:
    """What a new check tolerates, and its bounds; what is empty is not asked for."""
    asked = {"tolerance": _tolerance_in(typed), "bounds": _lines(typed["bounds"])}
    return {name: value for name, value in asked.items() if value}


def ties_in(typed: Mapping[str, str] | Form) -> dict[str, Any]:
    """The host of a new check, and what it needs; what is empty is not asked for."""
    asked = {"host": typed["host"], "needs": tags_of(typed["needs"], apart=",")}
    return {name: value for name, value in asked.items() if value}


def _tolerance_in(typed: Mapping[str, str] | Form) -> ToleranceIn | None:
    given = {name: _whole(name, text) for name in TOLERANCE if (text := typed[name].strip())}
    return ToleranceIn(**given) if given else None


def _slo_in(typed: Mapping[str, str]) -> SloIn | None:
    on_time, success = (typed[name].replace("%", "").replace(",", ".").strip() for name in SLO[:2])
    if not on_time and not success:
        return None
    return SloIn(on_time=on_time or None, success=success or None, days=_whole("slo_days", typed["slo_days"]))


def _whole(name: str, text: str) -> int:
    number = text.removesuffix("%").strip()
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidValueError(name, "must be a whole number")
    return int(number)


def tags_of(text: str, *, apart: str) -> list[str]:
    return [tag.strip() for tag in text.split(apart) if tag.strip()]


def seconds(typed: Mapping[str, str] | Form, name: str) -> int:
    number, unit = typed[name].strip(), typed[f"{name}_unit"] or "minutes"
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidValueError(name, "must be a whole number")
    if unit not in UNITS:
        raise InvalidValueError(name, f"must be in {', '.join(UNITS)}")
    return int(number) * UNITS[unit]


def wrong(error: InvalidValueError) -> dict[str, str]:
    """The error beside its field of the form; of a list, with the line that it is about."""
    named, bracket, rest = error.field.partition("[")
    field = _NAMED.get(named, named.replace("filters.", "filter_"))
    line = rest.partition("]")[0]
    of_line = bracket and line.isdigit() and field != "tags"
    return {field: f"line {int(line) + 1}: {error.message}" if of_line else error.message}


def schedule_value(config: CheckConfig) -> Schedule:
    return schedule_of((config.kind, config.period_s, config.expression, config.zone, config.dialect))


def upcoming(config: CheckConfig, *, anchor: datetime, now: datetime) -> dict[str, Any]:
    """The schedule in words, and when it would be expected."""
    schedule = schedule_value(config)
    try:
        return {"words": describe(schedule), "times": schedules.upcoming(schedule, now, _NEXT, anchor=anchor)}
    except HeartflyError as error:
        raise InvalidValueError("schedule.expression", str(error)) from error


def _spelled(count: int) -> tuple[str, str]:
    unit = next(unit for unit in _LARGEST_FIRST if count % UNITS[unit] == 0)
    return str(count // UNITS[unit]), unit


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
