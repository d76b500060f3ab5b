"""Service levels: which share of a check's runs shall come in time, and which go well; and how much may yet go wrong.

Counted in runs, exactly. Time in which Heartfly itself could not hear, and the slots that fell into it, speak neither
for nor against a check: they stand beside. Where days come from, and who is told, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import msgspec

DAYS = (7, 30, 90)
"""Over how many days a target may be looked at; the daily sums of more are kept, too, but say little of today."""
USUAL_DAYS = 30


class Slo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is aimed at, in percent; None: nothing is. `days`: over the last so many."""

    on_time: Decimal | None = None
    success: Decimal | None = None
    days: int = USUAL_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What came of a check in some days. A run that came after its slot had been missed counts in both."""

    n_ok: int = 0
    n_failed: int = 0
    n_missed: int = 0
    n_unverified: int = 0
    up_s: int = 0
    down_s: int = 0
    blind_s: int = 0

    @property
    def n_came(self) -> int:
        return self.n_ok + self.n_failed

    @property
    def n_due(self) -> int:
        return self.n_came + self.n_missed

    def plus(self, other: Counted) -> Counted:
        return Counted(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How one of the two shares is. `share` None: nothing was due, or came. `target` None: none is set.

    `allowed`: of `n` so many may be bad by the target; `n_bad` are.
    """

    n: int
    n_bad: int
    target: Decimal | None = None

    @property
    def share(self) -> Fraction | None:
        return Fraction(self.n - self.n_bad, self.n) if self.n else None

    @property
    def allowed(self) -> Fraction | None:
        return None if self.target is None else Fraction(100 - self.target) / 100 * self.n

    @property
    def left(self) -> Fraction | None:
        """Of the budget, in runs; below zero: it is overdrawn."""
        return None if self.allowed is None else self.allowed - self.n_bad

    @property
    def is_met(self) -> bool | None:
        """None: there is no target, or nothing to judge it by."""
        return None if self.left is None or not self.n else self.left >= 0


@dataclass(frozen=True, slots=True)
class Levels:
    on_time: Level
    success: Level

    @property
    def is_met(self) -> bool | None:
        """None: of neither anything can be said."""
        said = [one.is_met for one in (self.on_time, self.success) if one.is_met is not None]
        return all(said) if said else None


def levels(counted: Counted, slo: Slo | None) -> Levels:
    """In time are those that came, of all that were due; well went those that were ok, of all that came."""
    wanted = slo or Slo()
    return Levels(
        on_time=Level(n=counted.n_due, n_bad=counted.n_missed, target=wanted.on_time),
        success=Level(n=counted.n_came, n_bad=counted.n_failed, target=wanted.success),
    )


def percent(share: Fraction | None) -> str:
    """`99.87 %`, rounded down: what is not all is never told as 100 %."""
    if share is None:
        return "–"
    hundredths = share * 10_000 // 1
    text = f"{Decimal(hundredths).scaleb(-2):f}"
    return f"{text.rstrip('0').rstrip('.') or '0'} %"


def left_words(level: Level) -> str:
    """`1.5 of 3 bad runs left`; of a budget that is overdrawn by how many. Empty: there is no target."""
    if level.left is None or level.allowed is None:
        return ""
    if level.left < 0:
        return f"{_runs(-level.left)} over the {_runs(level.allowed)} that may be bad"
    return f"{_runs(level.left)} of {_runs(level.allowed)} bad runs left"


def _runs(value: Fraction) -> str:
    """To a thousandth, rounded down: a budget of few runs is a small part of one."""
    return f"{(Decimal(value * 1_000 // 1) / 1_000).normalize():,f}"
