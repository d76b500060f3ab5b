"""How bounds are written: each as one line of text, the same that is shown. What they mean: bounds.py.

    run >= 1m                at least so long from start to end
    start within 10m         after the expected time, while the end has its own
    apart >= 1m              from the beginning of one run to that of the next
    at most 5 runs in 1h
    5 reports by address     in each slot: by rid, by address, or simply so many
    early 10%                so long before its slot a success may be for it: a share of the period, or 30m

The first, third and fourth may end with a level, `warn` or `fail`; without one it is `fail`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Any

from heartfly.core.bounds import MOST_BEGUN, MOST_REPORTS, NO_BOUNDS, Bounds, By
from heartfly.core.gates import SECONDS, Level
from heartfly.errors import InvalidValueError

MOST_CHARS = 100
_YEAR = timedelta(days=365)

_SPAN = r"(\d{1,9}) ?(ms|s|m|h|d)"
_LEVEL = r"(?: (warn|fail))?"
_FORMS = {
    "run": re.compile(rf"run ?>= ?{_SPAN}{_LEVEL}", re.ASCII),
    "start": re.compile(rf"start within {_SPAN}", re.ASCII),
    "apart": re.compile(rf"apart ?>= ?{_SPAN}{_LEVEL}", re.ASCII),
    "most": re.compile(rf"at most (\d{{1,4}})(?: runs?)? in {_SPAN}{_LEVEL}", re.ASCII),
    "reports": re.compile(r"(\d{1,4}) reports(?: by (count|rid|address))?", re.ASCII),
    "early": re.compile(rf"early (?:(\d{{1,3}}) ?%|{_SPAN})", re.ASCII),
}
_LOOKS = (
    "must look like run >= 1m, start within 10m, apart >= 1m, at most 5 runs in 1h, 5 reports by address or early 10%"
)


def bounds_of_lines(lines: Sequence[str], *, field: str) -> Bounds:
    """InvalidValueError names the line, as `bounds[1]`."""
    if len(lines) > len(_FORMS):
        raise InvalidValueError(field, f"must be at most {len(_FORMS)}")
    given: dict[str, Any] = {}
    kinds: set[str] = set()
    for i, line in enumerate(lines):
        kind, values = _read(line, f"{field}[{i}]")
        if kind in kinds:
            raise InvalidValueError(f"{field}[{i}]", "says the same as a line before; each may stand once")
        kinds.add(kind)
        given |= values
    return Bounds(**given)


def lines_of(bounds: Bounds) -> list[str]:
    """As they may be asked for again."""
    found: list[str] = []
    if bounds.min_run is not None:
        found.append(f"run >= {_written(bounds.min_run)}{_level(bounds.min_run_level)}")
    if bounds.start_within is not None:
        found.append(f"start within {_written(bounds.start_within)}")
    if bounds.apart is not None:
        found.append(f"apart >= {_written(bounds.apart)}{_level(bounds.apart_level)}")
    if bounds.most is not None and bounds.most_in is not None:
        found.append(f"at most {bounds.most} runs in {_written(bounds.most_in)}{_level(bounds.most_level)}")
    if bounds.reports is not None:
        found.append(f"{bounds.reports} reports{'' if bounds.reports_by is By.COUNT else f' by {bounds.reports_by}'}")
    if bounds.early_share is not None:
        found.append(f"early {bounds.early_share}%")
    elif bounds.early is not None:
        found.append(f"early {_written(bounds.early)}")
    return found


def _read(line: str, field: str) -> tuple[str, dict[str, Any]]:
    text = " ".join(line.split()) if len(line) <= MOST_CHARS else ""
    for kind, form in _FORMS.items():
        if (found := form.fullmatch(text)) is not None:
            return kind, _values(kind, found.groups(), field)
    raise InvalidValueError(field, _LOOKS)


def _values(kind: str, parts: tuple[str | None, ...], field: str) -> dict[str, Any]:
    match kind, parts:
        case "run", (number, unit, level):
            return {"min_run": _span(number, unit, field), "min_run_level": Level(level or "fail")}
        case "start", (number, unit):
            return {"start_within": _span(number, unit, field)}
        case "apart", (number, unit, level):
            return {"apart": _span(number, unit, field), "apart_level": Level(level or "fail")}
        case "most", (most, number, unit, level):
            return {
                "most": _between(most, 1, MOST_BEGUN, field),
                "most_in": _span(number, unit, field),
                "most_level": Level(level or "fail"),
            }
        case "reports", (reports, by):
            return {"reports": _between(reports, 2, MOST_REPORTS, field), "reports_by": By(by or "count")}
        case _, (share, number, unit):
            if share is not None:
                return {"early_share": _between(share, 0, 99, field)}
            return {"early": _span(number, unit, field, least=timedelta(0))}
        case _:  # pragma: no cover - each form has its parts
            raise AssertionError(kind)


def _between(text: str | None, least: int, most: int, field: str) -> int:
    number = int(text or 0)
    if not least <= number <= most:
        raise InvalidValueError(field, f"must be {least} to {most}")
    return number


def _span(
    number: str | None, unit: str | None, field: str, *, least: timedelta = timedelta(milliseconds=1)
) -> timedelta:
    milliseconds = int(number or 0) * SECONDS[unit or "s"] * 1000
    if not least <= timedelta(milliseconds=min(int(milliseconds), 10**13)) <= _YEAR:
        raise InvalidValueError(field, "must be more than nothing, and at most 365 days")
    return timedelta(milliseconds=int(milliseconds))


def _written(duration: timedelta) -> str:
    """In the largest unit in which it is a whole number."""
    seconds = Fraction(duration // timedelta(milliseconds=1), 1000)
    for unit in ("d", "h", "m", "s"):
        if seconds and (number := seconds / SECONDS[unit]).denominator == 1:
            return f"{number.numerator}{unit}"
    return f"{int(seconds * 1000)}ms"


def _level(level: Level) -> str:
    return "" if level is Level.FAIL else f" {level}"


def refuse_late_start(bounds: Bounds, grace: timedelta, *, field: str) -> None:
    """A start that were wanted only when its slot is over is no bound at all."""
    if bounds is not NO_BOUNDS and bounds.start_within is not None and bounds.start_within >= grace:
        raise InvalidValueError(field, "start within must be shorter than the grace")
