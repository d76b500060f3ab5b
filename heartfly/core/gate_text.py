"""How gates are written: as one line of text, the same that is shown, or part by part. What they mean: gates.py.

    rows > 0
    rejected / events < 1%
    duration < 15m
    events within 40% of median(same weekday, 4 weeks)
    events within 40% of median(last 20 runs)
    coverage unbroken

A line may end with its level, `warn` or `fail`; without one it is `fail`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from heartfly.core.baseline import LEAST_PAST, LEAST_WEEKDAYS, MOST_RUNS, MOST_WEEKS, Usual
from heartfly.core.gates import COVERAGE, DURATION, PERCENT, SECONDS, Gate, Level, Op
from heartfly.core.metrics import NAME, quantity
from heartfly.errors import InvalidValueError

MOST_PERCENT = 1_000
MOST_CHARS = 300

_LINE = re.compile(
    r"(?P<metric>[^\s/<>=!]+)\s*(?:/\s*(?P<over>[^\s/<>=!]+)\s*)?"
    r"(?:(?P<compared>[<>=!]=|[<>])\s*(?P<value>\S+)"
    r"|\s(?P<within>within)\s+(?P<share>\S+)\s+of\s+(?P<of>median\s*\([^()]*\))"
    r"|\s(?P<unbroken>unbroken))"
    r"(?:\s+(?P<level>warn|fail))?",
    re.ASCII,
)
_VALUE = re.compile(r"(?P<number>-?[\d.]+)\s*(?P<unit>%|[a-z]+)?", re.ASCII)
_USUAL = re.compile(
    r"median\s*\(\s*(?:last\s+(?P<runs>\d{1,4})\s+runs|(?P<same>same\s+weekday\s*,\s*)?(?P<weeks>\d{1,3})\s+weeks?)\s*\)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A gate as it is asked for. `of`: `median(…)`."""

    metric: str
    op: str
    value: str = ""
    level: str = Level.FAIL.value
    over: str = ""
    of: str = ""


def gate_of_text(line: str, *, field: str) -> Gate:
    """InvalidValueError names `field`, for what is wrong with any part of the line."""
    found = _LINE.fullmatch(line.strip()) if len(line) <= MOST_CHARS else None
    if found is None:
        raise InvalidValueError(
            field,
            "must look like rows > 0, rejected / events < 1%, duration < 15m, "
            "events within 40% of median(same weekday, 4 weeks) or coverage unbroken, and may end with warn or fail",
        )
    parts = Parts(
        metric=found["metric"],
        over=found["over"] or "",
        op=found["compared"] or found["within"] or found["unbroken"],
        value=found["value"] or found["share"] or "",
        of=found["of"] or "",
        level=found["level"] or Level.FAIL.value,
    )
    try:
        return gate_of(parts, field=field)
    except InvalidValueError as error:
        raise InvalidValueError(
            field, f"{error.field.removeprefix(field).lstrip('.')} {error.message}".strip()
        ) from None


def gate_of(asked: Parts, *, field: str) -> Gate:
    """InvalidValueError names the part."""
    try:
        op, level = Op(asked.op), Level(asked.level)
    except ValueError:
        raise InvalidValueError(
            field, "op must be one of > >= < <= == != within unbroken, level warn or fail"
        ) from None
    for name, given in (("metric", asked.metric), ("over", asked.over)):
        if (given or name == "metric") and not NAME.fullmatch(given):
            raise InvalidValueError(f"{field}.{name}", "must be a name such as rows_out")
    if asked.over and asked.over == asked.metric:
        raise InvalidValueError(f"{field}.over", "must be another figure than the one that is divided")
    match op:
        case Op.UNBROKEN:
            return _coverage(asked, level, field)
        case Op.WITHIN:
            return _within(asked, level, field)
        case _:
            return _compared(asked, op, level, field)


def written(gate: Gate) -> Parts:
    """The gate part by part, as it may be asked for again."""
    return Parts(
        metric=gate.metric,
        op=gate.op.value,
        value="" if gate.op is Op.UNBROKEN else f"{gate.value:f}{gate.unit}",
        level=gate.level.value,
        over=gate.over,
        of=gate.usual.text if gate.usual is not None else "",
    )


def _coverage(asked: Parts, level: Level, field: str) -> Gate:
    if asked.metric != COVERAGE:
        raise InvalidValueError(f"{field}.metric", "must be coverage: nothing else can be unbroken")
    for name in ("value", "over", "of"):
        if getattr(asked, name):
            raise InvalidValueError(f"{field}.{name}", "must be left out of coverage unbroken")
    return Gate(COVERAGE, Op.UNBROKEN, Decimal(0), level)


def _within(asked: Parts, level: Level, field: str) -> Gate:
    found = _VALUE.fullmatch(asked.value)
    share = quantity(found["number"]) if found is not None and found["unit"] == PERCENT else None
    if share is None or not 0 < share <= MOST_PERCENT:
        raise InvalidValueError(f"{field}.value", f"must be a percentage up to {MOST_PERCENT}%, such as 40%")
    return Gate(asked.metric, Op.WITHIN, share, level, asked.over, PERCENT, _usual(asked.of, f"{field}.of"))


def _usual(text: str, field: str) -> Usual:
    found = _USUAL.fullmatch(text)
    if found is None:
        raise InvalidValueError(field, "must be median(same weekday, 4 weeks), median(4 weeks) or median(last 20 runs)")
    if found["runs"]:
        usual, least, most = Usual(runs=int(found["runs"])), LEAST_PAST, MOST_RUNS
        if not least <= usual.runs <= most:
            raise InvalidValueError(field, f"must look at the last {least} to {most} runs")
        return usual
    same = bool(found["same"])
    usual, least = Usual(weeks=int(found["weeks"]), same_weekday=same), LEAST_WEEKDAYS if same else 1
    if not least <= usual.weeks <= MOST_WEEKS:
        raise InvalidValueError(field, f"must look at {least} to {MOST_WEEKS} weeks")
    return usual


def _compared(asked: Parts, op: Op, level: Level, field: str) -> Gate:
    if asked.of:
        raise InvalidValueError(f"{field}.of", f"must be left out with {op}: it goes with within")
    found = _VALUE.fullmatch(asked.value)
    value = quantity(found["number"]) if found is not None else None
    if found is None or value is None:
        raise InvalidValueError(f"{field}.value", "must be an exact decimal such as 10 or 0.5, or 1% or 15m")
    unit: str = found["unit"] or ""
    if unit == PERCENT and not asked.over:
        raise InvalidValueError(f"{field}.value", "must be without %: that is for a ratio such as rejected / events")
    if unit and unit != PERCENT:
        if unit not in SECONDS:
            raise InvalidValueError(f"{field}.value", f"must have a unit that is one of {', '.join(SECONDS)}, or none")
        if asked.metric != DURATION or asked.over:
            raise InvalidValueError(f"{field}.value", "must be without a unit of time: that is for duration")
    return Gate(asked.metric, op, value, level, asked.over, unit)
