"""Runs that went well and yet were not as they usually are: how long they took, and the figures that they reported.

Judged as a gate would judge them that compares with the median of the same weekday (gates.py, baseline.py), so who
wants to be told of it asks for that very gate. Without being asked for, it is shown, and never an alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from heartfly.core.baseline import Usual
from heartfly.core.gates import DURATION, Broken, Gate, Known, Level, Op, PastRun, Reported, broken

WEEKS = 8
OFF_BY = Decimal(50)
"""Percent of the median; what differs more among itself may differ more."""
LEAST = timedelta(seconds=10)
"""Of run times: where all of them are shorter, seconds more or less are nobody's trouble."""
NEWEST = 30
"""Runs that are looked at."""
MOST_FIGURES = 20
_USUAL = Usual(weeks=WEEKS, same_weekday=True)


@dataclass(frozen=True, slots=True)
class Odd:
    """A run, by its place, that was not as usual, and the gate that says so; `asked`: the check has that gate."""

    run: PastRun
    broken: Broken
    asked: bool


def gate_for(figure: str) -> Gate:
    """What warns of it, if somebody asks for that."""
    return Gate(metric=figure, op=Op.WITHIN, value=OFF_BY, level=Level.WARN, unit="%", usual=_USUAL)


def unusual(runs: Sequence[PastRun], gates: Sequence[Gate], zone: str) -> list[Odd]:
    """Of the newest runs, the newest first. `runs`: that went well, the oldest first. `gates`: those of the check."""
    compared = {gate.metric for gate in gates if gate.usual is not None and not gate.over}
    return [
        Odd(run, one, one.gate.metric in compared)
        for place in range(len(runs) - 1, max(len(runs) - 1 - NEWEST, -1), -1)
        for run in [runs[place]]
        for one in _broken(runs[:place], run, zone)
    ]


def figures_of(runs: Sequence[PastRun]) -> list[str]:
    """What most of the newest runs report, the run time first."""
    newest = runs[-NEWEST:]
    found = Counter(name for run in newest for name in run.metrics if name != DURATION)
    often = sorted(name for name, n in found.items() if 2 * n > len(newest))
    timed = [DURATION] if any(run.took is not None for run in newest) else []
    return [*timed, *often][:MOST_FIGURES]


def _broken(before: Sequence[PastRun], run: PastRun, zone: str) -> Iterator[Broken]:
    names = [*([DURATION] if run.took is not None else []), *(name for name in run.metrics if name != DURATION)]
    gates = [gate_for(name) for name in names[:MOST_FIGURES]]
    reported = Reported(metrics=run.metrics, took=run.took, at=run.at, zone=zone)
    for one in broken(gates, reported, Known(before)):
        if not one.gate.of_own_duration or _is_worth_it(before, run):
            yield one


def _is_worth_it(before: Sequence[PastRun], run: PastRun) -> bool:
    """Of a job of three seconds that takes five nobody wants to hear."""
    known = sorted(one.took for one in [*before, run] if one.took is not None)
    return max(known[len(known) // 2], run.took or timedelta(0)) >= LEAST
