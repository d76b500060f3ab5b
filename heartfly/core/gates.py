"""Gates: conditions on what a run reported, which fail closed.

A job that ran in time but counted nothing is not well. A gate whose figure was not reported is broken: silence about
a figure proves nothing. Three kinds compare with a number: a figure, the ratio of two, and the run's own duration. One
compares with what is usual (core/baseline.py), one asks for unbroken coverage (core/coverage.py). How they are written
is decided in gate_text.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec

from heartfly.core import baseline
from heartfly.core.baseline import Baseline, Sample, Usual, amount
from heartfly.core.coverage import Span, breaches
from heartfly.core.zones import zone
from heartfly.errors import InvalidValueError


class Level(StrEnum):
    WARN = "warn"  # degraded
    FAIL = "fail"  # down


class Op(StrEnum):
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    EQ = "=="
    NE = "!="
    WITHIN = "within"  # so many percent of what is usual
    UNBROKEN = "unbroken"  # coverage without gaps, overlaps and stalls


_MICROSECOND = timedelta(microseconds=1)
DURATION = "duration"
COVERAGE = "coverage"
PERCENT = "%"
SECONDS: Mapping[str, Fraction] = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86_400),
}
"""Units of a duration."""


class Gate(msgspec.Struct, frozen=True, omit_defaults=True):
    """`over`: the figure that `metric` is divided by. `unit`: in which `value` is written, `%` or one of time.

    A `duration` with a unit of time, or compared with what is usual, is the run's own; else a figure of that name.
    """

    metric: str
    op: Op
    value: Decimal
    level: Level
    over: str = ""
    unit: str = ""
    usual: Usual | None = None

    @property
    def subject(self) -> str:
        return f"{self.metric} / {self.over}" if self.over else self.metric

    @property
    def text(self) -> str:
        """As it is written and shown, without its level."""
        if self.op is Op.UNBROKEN:
            return f"{self.metric} {self.op}"
        return f"{self.subject} {self.wanted}"

    @property
    def wanted(self) -> str:
        of = f" of {self.usual.text}" if self.usual is not None else ""
        return f"{self.op} {self.value:f}{self.unit}{of}"

    @property
    def of_own_duration(self) -> bool:
        return self.metric == DURATION and not self.over and (self.unit in SECONDS or self.usual is not None)


class PastRun(msgspec.Struct, frozen=True):
    """A run that went well: when it ended, what it reported, and how long it took."""

    at: datetime
    metrics: Mapping[str, Decimal]
    took: timedelta | None = None


class Known(msgspec.Struct, frozen=True):
    """What history says to gates that ask it: runs that went well, oldest first, and what runs covered."""

    runs: Sequence[PastRun] = ()
    covered: Sequence[Span] = ()


NOTHING = Known()


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What gates judge. `zone`: in which its days begin and end."""

    metrics: Mapping[str, Decimal] = {}
    took: timedelta | None = None
    covers: Span | None = None
    at: datetime = datetime.min.replace(tzinfo=UTC)
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Broken:
    """A gate and the figure that broke it; None: none was reported. `seen`, `expected`: in words, where they are not
    just the figure and the gate.
    """

    gate: Gate
    found: Decimal | None = None
    seen: str = ""
    expected: str = ""

    @property
    def seen_words(self) -> str:
        return self.seen or ("was not reported" if self.found is None else f"is {self.found:f}")

    @property
    def expected_words(self) -> str:
        return self.expected or self.gate.wanted

    def words(self) -> str:
        return f"{self.gate.subject} {self.seen_words}, expected {self.expected_words}"


def broken(gates: Sequence[Gate], reported: Reported, known: Known = NOTHING) -> tuple[Broken, ...]:
    found = (_judged(gate, reported, known) for gate in gates)
    return tuple(one for one in found if one is not None)


def worst(found: Sequence[Broken]) -> Level | None:
    """The level that counts among broken gates; None when there are none."""
    if not found:
        return None
    return Level.FAIL if any(one.gate.level is Level.FAIL for one in found) else Level.WARN


def proves_work(found: Sequence[Broken]) -> bool:
    """Whether what the run says it covered counts: no figure of it failed."""
    return worst([one for one in found if one.gate.op is not Op.UNBROKEN]) is not Level.FAIL


def asked_names(gates: Sequence[Gate]) -> frozenset[str]:
    """The figures whose past these gates ask for."""
    return frozenset(name for gate in gates if gate.usual is not None for name in (gate.metric, gate.over) if name)


def asks_coverage(gates: Sequence[Gate]) -> bool:
    return any(gate.op is Op.UNBROKEN for gate in gates)


def unready(gates: Sequence[Gate], known: Known, *, at: datetime, zone_name: str) -> list[tuple[Gate, str]]:
    """The gates that have nothing to compare with yet, which therefore hold whatever is reported; and why."""
    found = []
    for gate in gates:
        usual = None if gate.usual is None else _usual(gate, gate.usual, known, at, zone_name)
        if isinstance(usual, str):
            found.append((gate, usual))
    return found


def _judged(gate: Gate, reported: Reported, known: Known) -> Broken | None:
    if gate.op is Op.UNBROKEN:
        said = breaches(reported.covers, known.covered, at=reported.at)
        return Broken(gate, seen=" and ".join(said), expected="it unbroken") if said else None
    seen = _seen(gate, reported.metrics, reported.took)
    if isinstance(seen, str):
        return Broken(gate, seen=seen)
    if gate.usual is not None:
        return _compared_with_usual(gate, gate.usual, seen, reported, known)
    if _COMPARE[gate.op](seen, Fraction(gate.value) * _scale(gate.unit)):
        return None
    if gate.over or gate.of_own_duration:
        return Broken(gate, seen=_seen_words(gate, seen, reported))
    return Broken(gate, reported.metrics[gate.metric])


def _seen(gate: Gate, metrics: Mapping[str, Decimal], took: timedelta | None) -> Fraction | str:
    """What the gate is about, exactly; or why that cannot be told, empty if it just was not reported."""
    if gate.of_own_duration:
        if took is None:
            return "is not known, for no start was reported"
        return Fraction(took // _MICROSECOND, 1_000_000)
    figure = metrics.get(gate.metric)
    if not gate.over:
        return "" if figure is None else Fraction(figure)
    divisor = metrics.get(gate.over)
    if figure is None or divisor is None:
        missing = [name for name in (gate.metric, gate.over) if name not in metrics]
        return f"cannot be told, for {' and '.join(missing)} {'was' if len(missing) == 1 else 'were'} not reported"
    if divisor == 0:
        return f"cannot be told, for {gate.over} is 0"
    return Fraction(figure) / Fraction(divisor)


def _seen_words(gate: Gate, seen: Fraction, reported: Reported) -> str:
    if not gate.over:
        return f"is {_in_words(gate, seen)}"
    part, whole = (amount(Fraction(reported.metrics[name])) for name in (gate.metric, gate.over))
    return f"is {_in_words(gate, seen)} ({part} of {whole})"


def _compared_with_usual(gate: Gate, usual: Usual, seen: Fraction, reported: Reported, known: Known) -> Broken | None:
    base = _usual(gate, usual, known, reported.at, reported.zone)
    if isinstance(base, str):
        return None  # nothing to compare with: only gates that need no past apply
    share_of_it = Fraction(gate.value) / 100
    asked = share_of_it * abs(base.median)
    if abs(seen - base.median) <= max(asked, base.spread):
        return None
    if base.or_near is not None and abs(seen - base.or_near) <= share_of_it * abs(base.or_near):
        return None
    share, words = f"{gate.value:f}%", base.words
    if base.spread > asked:
        share, words = f"{amount(base.spread / abs(base.median) * 100)}%", f"{words}, which differ among themselves"
    expected = f"within {share} of {_in_words(gate, base.median)} (median of {words})"
    return Broken(gate, seen=_seen_words(gate, seen, reported), expected=expected)


def _usual(gate: Gate, usual: Usual, known: Known, at: datetime, zone_name: str) -> Baseline | str:
    runs = known.runs
    return baseline.of(
        usual, [run.at for run in runs], lambda place: _sample(gate, runs[place]), at=at, zone=_place(zone_name)
    )


def _sample(gate: Gate, run: PastRun) -> Sample | None:
    seen = _seen(gate, run.metrics, run.took)
    if isinstance(seen, str):
        return None
    if gate.of_own_duration:
        return Sample(seen, None)
    return Sample(seen, abs(Fraction(run.metrics[gate.over or gate.metric])))


_COMPARE: Mapping[Op, Callable[[Fraction, Fraction], bool]] = {
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
}


def _scale(unit: str) -> Fraction:
    return Fraction(1, 100) if unit == PERCENT else SECONDS.get(unit, Fraction(1))


def _in_words(gate: Gate, value: Fraction) -> str:
    if gate.of_own_duration:
        return _lasted(value)
    return f"{amount(value * 100)}%" if gate.over and gate.unit == PERCENT else amount(value)


def _lasted(seconds: Fraction) -> str:
    """In its two largest units: `20m 5s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    left, parts = round(seconds), []
    for unit in ("d", "h", "m", "s"):
        n, left = divmod(left, int(SECONDS[unit]))
        if n:
            parts.append(f"{n}{unit}")
    return " ".join(parts[:2])


def _place(name: str) -> ZoneInfo:
    try:
        return zone(name)
    except InvalidValueError:
        return zone("UTC")  # it was removed since it was chosen: the schedule shows that error
