"""What people may say about a check, and the rules that it must keep. Shared by every door that makes or edits one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec

from heartfly.checks.slo_config import SloIn, slo_in, to_store
from heartfly.core import schedule as schedules
from heartfly.core import text
from heartfly.core.bound_text import bounds_of_lines, lines_of, refuse_late_start
from heartfly.core.bounds import NO_BOUNDS, Bounds
from heartfly.core.causes import LONGEST_HOST
from heartfly.core.filters import Filters
from heartfly.core.gate_text import Parts, gate_of, gate_of_text, written
from heartfly.core.gates import Gate
from heartfly.core.schedule import Dialect, Kind
from heartfly.core.tolerance import MOST_FAILURES, MOST_LAST, MOST_RECOVER, NO_TOLERANCE, Tolerance
from heartfly.errors import InvalidValueError

YEAR_S = 365 * 86400


class ScheduleIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=False):
    """`period` in seconds for kind `period`; `expression` and `zone` for `cron` and `oncalendar`."""

    kind: str
    period: int | None = None
    expression: str | None = None
    zone: str = "UTC"
    dialect: str = "cron"


class GateIn(msgspec.Struct, forbid_unknown_fields=True):
    """`over`: the figure that the metric is divided by. `of`: with `within`, what is usual."""

    metric: str
    op: str
    value: str | int | msgspec.UnsetType = msgspec.UNSET
    level: str = "fail"
    over: str | msgspec.UnsetType = msgspec.UNSET
    of: str | msgspec.UnsetType = msgspec.UNSET


class FiltersIn(msgspec.Struct, forbid_unknown_fields=True):
    start: list[str] = []
    success: list[str] = []
    failure: list[str] = []
    default_fail: bool = False


class ToleranceIn(msgspec.Struct, forbid_unknown_fields=True):
    """Down after so many `failures` in a row, or when `share` percent of the `last` runs failed; up after `recover`
    successes in a row. Null: not by that.
    """

    failures: int | None = None
    share: int | None = None
    last: int | None = None
    recover: int = 1


class SharedSlug(str):
    """A slug that other checks may have as well, or none (empty): what a foreign API allows, and ours does not."""

    __slots__ = ()


class CheckIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A check as it is asked for. Left out: the default on creation, unchanged on an edit. Durations in seconds."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    slug: str | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    schedule: ScheduleIn | msgspec.UnsetType = msgspec.UNSET
    grace: int | msgspec.UnsetType = msgspec.UNSET
    max_run: int | msgspec.UnsetType | None = msgspec.UNSET
    methods: str | msgspec.UnsetType = msgspec.UNSET
    filters: FiltersIn | msgspec.UnsetType = msgspec.UNSET
    gates: list[GateIn | str] | msgspec.UnsetType = msgspec.UNSET
    tolerance: ToleranceIn | msgspec.UnsetType | None = msgspec.UNSET
    """Null: the first failure or miss is an alarm, and the first success ends it."""
    bounds: list[str] | msgspec.UnsetType = msgspec.UNSET
    """As they are written: `run >= 1m warn`, `start within 10m`, `5 reports by address`."""
    slo: SloIn | msgspec.UnsetType | None = msgspec.UNSET
    """Null: nothing is aimed at."""
    sticky: bool | msgspec.UnsetType = msgspec.UNSET
    unverified_is_down: bool | msgspec.UnsetType = msgspec.UNSET
    """True: that Heartfly could not hear excuses no silence."""
    host: str | msgspec.UnsetType = msgspec.UNSET
    """On which the job runs; empty: as its pings say."""
    needs: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Checks of the project without whose success this one cannot go well, by slug or id."""
    first_ping_by: Annotated[datetime, msgspec.Meta(tz=True)] | msgspec.UnsetType | None = msgspec.UNSET
    """A check that has not pinged by then goes down; null: it may wait for ever. Not kept once it has pinged."""
    channels: list[str] | msgspec.UnsetType = msgspec.UNSET
    """UUIDs of channels, or `["*"]` for all of the project; all when left out on creation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig:
    """What is stored of it, every rule kept."""

    name: str = ""
    slug: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    kind: str = Kind.PERIOD.value
    period_s: int = 86400
    expression: str = ""
    zone: str = "UTC"
    dialect: str = Dialect.CRON.value
    grace_s: int = 3600
    max_run_s: int | None = None
    methods: str = ""
    filters: str = ""
    gates: str = ""
    tolerance: str = ""
    bounds: str = ""
    slo: str = ""
    sticky: bool = False
    unverified_is_down: bool = False
    host: str = ""

    @property
    def timing(self) -> tuple[Any, ...]:
        """What moves a deadline when it changes."""
        calendar = (self.kind, self.period_s, self.expression, self.zone, self.dialect)
        return (*calendar, self.grace_s, self.max_run_s, self.tolerance, self.bounds)


COLUMNS = tuple(CheckConfig.__dataclass_fields__)


def of_row(row: Mapping[str, Any]) -> CheckConfig:
    values = {name: row[name] for name in COLUMNS}
    return CheckConfig(**(values | {"tags": tuple(values["tags"])}))


def merged(base: CheckConfig, asked: CheckIn, *, at: datetime) -> CheckConfig:
    """The configuration with what was asked for. InvalidValueError names each field that breaks a rule.

    `at`: now; a new schedule must fire within eight years of it.
    """
    changes: dict[str, Any] = {}
    wrong: list[InvalidValueError] = []
    for name, read in _READ.items():
        value = getattr(asked, name)
        if value is not msgspec.UNSET:
            try:
                changes |= read(value, at)
            except InvalidValueError as error:
                wrong.append(error)
    found = replace(base, **changes) if not wrong else base
    try:
        refuse_late_start(bounds_of(found.bounds), timedelta(seconds=found.grace_s), field="bounds")
    except InvalidValueError as error:
        wrong.append(error)
    if wrong:
        raise InvalidValueError(wrong[0].field, wrong[0].message, others=wrong[1:])
    return found


def as_asked(config: CheckConfig) -> dict[str, Any]:
    """The configuration in the words in which it is asked for: `CheckIn`, field by field, but for the channels."""
    timing = {"period": config.period_s} if config.kind == Kind.PERIOD else {"expression": config.expression}
    return {
        "name": config.name,
        "slug": config.slug,
        "tags": list(config.tags),
        "description": config.description,
        "schedule": {"kind": config.kind, **timing, "zone": config.zone, "dialect": config.dialect},
        "grace": config.grace_s,
        "max_run": config.max_run_s,
        "methods": config.methods,
        "filters": msgspec.json.decode(config.filters) if config.filters else None,
        "gates": [msgspec.to_builtins(gate_in(gate)) for gate in gates_of(config.gates)],
        "tolerance": msgspec.to_builtins(tolerance_in(config.tolerance)),
        "bounds": lines_of(bounds_of(config.bounds)),
        "slo": msgspec.to_builtins(slo_in(config.slo)),
        "sticky": config.sticky,
        "unverified_is_down": config.unverified_is_down,
        "host": config.host,
    }


def mark_of(facts: Mapping[str, Any]) -> str:
    """What names these settings (`as_asked`, with the channels): another text as soon as one of them is another."""
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:16]


def _seconds(value: int, *, field: str, least: int) -> int:
    if not least <= value <= YEAR_S:
        raise InvalidValueError(field, f"must be {least} to {YEAR_S} seconds")
    return value


def _tags(tags: list[str]) -> tuple[str, ...]:
    if len(tags) > 50:
        raise InvalidValueError("tags", "must be at most 50")
    cleaned = [text.name(tag, field=f"tags[{i}]", most=50) for i, tag in enumerate(tags)]
    return tuple(dict.fromkeys(cleaned))


def _schedule(asked: ScheduleIn, at: datetime) -> dict[str, Any]:
    try:
        kind = Kind(asked.kind)
    except ValueError:
        raise InvalidValueError("schedule.kind", "must be period, cron or oncalendar") from None
    try:
        dialect = Dialect(asked.dialect)
    except ValueError:
        raise InvalidValueError("schedule.dialect", "must be cron, systemd or kubernetes") from None
    if kind is Kind.PERIOD:
        if asked.period is None:
            raise InvalidValueError("schedule.period", "is required for this kind")
        # Bounded before it becomes a timedelta, which would overflow.
        _seconds(asked.period, field="schedule.period", least=5)
    elif not asked.expression:
        raise InvalidValueError("schedule.expression", "is required for this kind")
    schedule = schedules.parse(
        kind,
        period=None if asked.period is None or kind is not Kind.PERIOD else timedelta(seconds=asked.period),
        expression=asked.expression,
        zone=asked.zone,
        dialect=dialect,
        after=at,
    )
    zone = getattr(schedule, "zone", "UTC")
    return {
        "kind": kind.value,
        "period_s": asked.period if kind is Kind.PERIOD and asked.period is not None else 0,
        "expression": "" if kind is Kind.PERIOD else (asked.expression or "").strip(),
        "zone": zone,
        "dialect": dialect.value,
    }


def _filters(asked: FiltersIn) -> str:
    for name in ("start", "success", "failure"):
        words: list[str] = getattr(asked, name)
        if len(words) > 20:
            raise InvalidValueError(f"filters.{name}", "must be at most 20 keywords")
        for i, word in enumerate(words):
            text.one_line(word, field=f"filters.{name}[{i}]", most=200, least=1)
    filters = Filters(
        start=tuple(asked.start),
        success=tuple(asked.success),
        failure=tuple(asked.failure),
        default_fail=asked.default_fail,
    )
    return msgspec.json.encode(filters).decode() if filters else ""


def gates_of(stored: str) -> list[Gate]:
    return msgspec.json.decode(stored, type=list[Gate]) if stored else []


def gate_in(gate: Gate) -> GateIn:
    """As it is asked for, part by part."""
    parts = written(gate)
    return GateIn(
        metric=parts.metric,
        op=parts.op,
        value=parts.value or msgspec.UNSET,
        level=parts.level,
        over=parts.over or msgspec.UNSET,
        of=parts.of or msgspec.UNSET,
    )


def tolerance_of(stored: str) -> Tolerance:
    return msgspec.json.decode(stored, type=Tolerance) if stored else NO_TOLERANCE


def tolerance_in(stored: str) -> ToleranceIn | None:
    """As it is asked for; None: there is none."""
    if not stored:
        return None
    found = tolerance_of(stored)
    return ToleranceIn(failures=found.failures, share=found.share, last=found.last, recover=found.recover)


def bounds_of(stored: str) -> Bounds:
    return msgspec.json.decode(stored, type=Bounds) if stored else NO_BOUNDS


def _tolerance(asked: ToleranceIn | None) -> str:
    if asked is None:
        return ""
    limits = {"failures": MOST_FAILURES, "share": 100, "last": MOST_LAST, "recover": MOST_RECOVER}
    for name, most in limits.items():
        value = getattr(asked, name)
        if value is not None and not 1 <= value <= most:
            raise InvalidValueError(f"tolerance.{name}", f"must be 1 to {most}")
    if (asked.share is None) != (asked.last is None):
        missing = "share" if asked.share is None else "last"
        raise InvalidValueError(f"tolerance.{missing}", "is required: a share is one of the last so many runs")
    found = Tolerance(failures=asked.failures, share=asked.share, last=asked.last, recover=asked.recover)
    # One failure in a row is what there is without any: nothing is counted then.
    return "" if found.tolerates_nothing else msgspec.json.encode(found).decode()


def _bounds(asked: list[str]) -> str:
    found = bounds_of_lines(asked, field="bounds")
    return "" if found == NO_BOUNDS else msgspec.json.encode(found).decode()


def _gates(asked: list[GateIn | str]) -> str:
    if len(asked) > 20:
        raise InvalidValueError("gates", "must be at most 20")
    gates = [_gate(gate, f"gates[{i}]") for i, gate in enumerate(asked)]
    return msgspec.json.encode(gates).decode() if gates else ""


def _gate(asked: GateIn | str, field: str) -> Gate:
    if isinstance(asked, str):
        return gate_of_text(asked, field=field)
    value, over, of = ("" if given is msgspec.UNSET else str(given) for given in (asked.value, asked.over, asked.of))
    return gate_of(
        Parts(metric=asked.metric, op=asked.op, value=value, level=asked.level, over=over, of=of), field=field
    )


def _slug(asked: str) -> str:
    return "" if isinstance(asked, SharedSlug) and not asked else text.slug(str(asked), field="slug")


def _methods(asked: str) -> str:
    if asked not in {"", "POST"}:
        raise InvalidValueError("methods", "must be empty (any) or POST")
    return asked


_READ: Mapping[str, Callable[[Any, datetime], Mapping[str, Any]]] = {
    "name": lambda value, _: {"name": text.name(value, field="name", most=100)},
    "slug": lambda value, _: {"slug": _slug(value)},
    "tags": lambda value, _: {"tags": _tags(value)},
    "description": lambda value, _: {"description": text.many_lines(value, field="description", most=10_000)},
    "schedule": _schedule,
    "grace": lambda value, _: {"grace_s": _seconds(value, field="grace", least=1)},
    "max_run": lambda value, _: {"max_run_s": None if value is None else _seconds(value, field="max_run", least=1)},
    "methods": lambda value, _: {"methods": _methods(value)},
    "filters": lambda value, _: {"filters": _filters(value)},
    "gates": lambda value, _: {"gates": _gates(value)},
    "tolerance": lambda value, _: {"tolerance": _tolerance(value)},
    "bounds": lambda value, _: {"bounds": _bounds(value)},
    "slo": lambda value, _: {"slo": to_store(value)},
    "sticky": lambda value, _: {"sticky": value},
    "unverified_is_down": lambda value, _: {"unverified_is_down": value},
    "host": lambda value, _: {"host": text.one_line(value.strip(), field="host", most=LONGEST_HOST)},
}
"""Each field of `CheckIn` but the channels and needs: the columns that its value becomes, at an instant."""
