"""What speaks for or against a check: the facts of which verdict.py makes sentences, and what it answers.

Values only. What is asked of a check's history is the caller's to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from heartfly.core.gates import NOTHING, Broken, Known
from heartfly.core.values import Blind, Flip, Run, Slot
from heartfly.core.words import PingKind


class Touches(StrEnum):
    """What of the check a blind interval touches."""

    SLOT = "slot"  # the one that is open, or opens next
    RUN = "run"  # one that is under way
    EXCUSED = "excused"  # the slot before, which it excused
    ALARM = "alarm"  # the slot whose silence is the present alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFlip:
    """The flip that gave the check its status. `said`: the sentence that was frozen with it; empty: there is none."""

    flip: Flip
    metrics: Mapping[str, Decimal] = field(default_factory=dict)
    """Of its run, as far as they are kept."""
    known: Known = NOTHING
    """What history said to its gates then."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest ping of all, ignored ones too."""

    kind: PingKind
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The newest run that failed since a check is down, which changed nothing any more. `hung`: it had no end."""

    at: datetime
    hung: bool = False
    exit_status: int | None = None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that is open. At `ends_by` it is hung."""

    run: Run
    started_at: datetime
    ends_by: datetime
    holds_slot: bool


@dataclass(frozen=True, slots=True)
class Touch:
    blind: Blind
    what: Touches


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    is_late: bool
    slot: Slot | None
    runs: tuple[UnderWay, ...]
    blind: tuple[Touch, ...]
    broken_gates: tuple[Broken, ...]
    """By the figures that gave it its status, of its gates as they are now."""
    tolerated: str
    """How near to an alarm its failures are, such as `1 of 3`; empty: there is none, or it is told."""
    goes_down_at: datetime | None
    """The first instant at which silence counts; of a check that maintenance leaves unjudged, after its end."""
    alarm_at: datetime | None
    """When silence from now on is an alarm, with what is tolerated until then; None: never, as things stand."""
    sentences: tuple[str, ...]
