"""What would have been? The signals of the past, judged once more by other rules, and how the alarms differ.

The judging is check.py's: here signals, commands and silence are only put in their order. At the very instant of a
deadline the signal wins, as it does when it is committed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from heartfly.core.baseline import MOST as MOST_RUNS
from heartfly.core.check import END_REMEMBERED, after_ping, after_silence, needs_known, needs_past, pause, resume
from heartfly.core.coverage import MOST as MOST_SPANS
from heartfly.core.coverage import Span
from heartfly.core.gates import NOTHING, Known, PastRun
from heartfly.core.values import Blind, Check, Past, Rules, Run, Signal, Step, replace
from heartfly.core.words import Reason, RunOutcome, Status

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A span in which the check is down. `ended_at` None: it still is."""

    at: datetime
    reason: Reason
    ended_at: datetime | None = None

    def meets(self, other: Alarm) -> bool:
        """Whether there is an instant at which both are open. One that ended as it began was open at that instant."""
        return self._before_end_of(other) and other._before_end_of(self)

    def is_over_before(self, other: Alarm) -> bool:
        """It does not meet `other`, nor anything that begins later."""
        return not other._before_end_of(self)

    def _before_end_of(self, other: Alarm) -> bool:
        return other.ended_at is None or self.at < max(other.ended_at, other.at + _TICK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Somebody paused the check, or resumed it."""

    at: datetime
    pauses: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """`kept`: each old alarm with the first new one that it meets. An alarm only moves where both tell of one thing."""

    kept: tuple[tuple[Alarm, Alarm], ...]
    lost: tuple[Alarm, ...]
    added: tuple[Alarm, ...]


def replay(
    rules: Rules,
    signals: Sequence[Signal],
    *,
    commands: Sequence[Command] = (),
    blind: Sequence[Blind] = (),
    from_at: datetime,
    through: datetime,
) -> list[Alarm]:
    """The alarms of a check that was new at `from_at`, under these rules from its beginning, up to `through`."""
    ids = count(-1, -1)  # of runs that silence makes: none that a signal has
    # Not sticky, whatever it is by now: signals that a pause swallowed are stored as ignored, and are none of these.
    check = Check(rules=replace(rules, wants_late=False, sticky=False), status=Status.NEW, status_since=from_at)
    history = _History()
    steps: list[Step] = []
    for one in _in_order(signals, commands):
        silence = after_silence(check, through=one.at - _TICK, blind=blind, new_id=ids.__next__, now=one.at)
        step = _taken(silence.check, one, history)
        steps += [silence, step]
        check = step.check
    steps.append(after_silence(check, through=through, blind=blind, new_id=ids.__next__, now=through))
    return list(_alarms(steps))


def compared(old: Sequence[Alarm], new: Sequence[Alarm]) -> Compared:
    """Both in the order of their times, and none of a list begins before the one ahead of it has ended."""
    kept: list[tuple[Alarm, Alarm]] = []
    lost: list[Alarm] = []
    met: set[int] = set()
    first = 0
    for alarm in old:
        while first < len(new) and new[first].is_over_before(alarm):
            first += 1
        here = first
        while here < len(new) and new[here].meets(alarm):
            met.add(here)
            here += 1
        if here > first:
            kept.append((alarm, new[first]))
        else:
            lost.append(alarm)
    added = tuple(alarm for at, alarm in enumerate(new) if at not in met)
    return Compared(kept=tuple(kept), lost=tuple(lost), added=added)


def _in_order(signals: Sequence[Signal], commands: Sequence[Command]) -> list[Signal | Command]:
    """At the same instant a command first: it says nothing about what came after."""
    return sorted([*commands, *signals], key=lambda one: (one.at, isinstance(one, Signal), _order(one)))


def _order(one: Signal | Command) -> tuple[int, int]:
    return one.order[1:] if isinstance(one, Signal) else (0, 0)


@dataclass(slots=True)
class _History:
    """What came before: by run id, when it last ended; what a start that comes twice must know. What gates ask for."""

    ended: dict[str, datetime] = field(default_factory=dict)
    runs: list[PastRun] = field(default_factory=list)
    covered: list[Span] = field(default_factory=list)

    def add(self, signal: Signal, run: Run) -> None:
        if run.ended_at is None:
            return
        if run.rid is not None:
            self.ended[run.rid] = run.ended_at
        if run.outcome is RunOutcome.OK:
            self.runs.append(PastRun(run.ended_at, signal.metrics, run.duration))
        if run.covers is not None:
            self.covered.append(run.covers)


def _taken(check: Check, one: Signal | Command, history: _History) -> Step:
    if isinstance(one, Command):
        return pause(check, one.at) if one.pauses else resume(check, one.at) or Step(check=check)
    past = Past(rid_ended=_has_just_ended(one, history.ended)) if needs_past(check, one) else None
    known = Known(history.runs[-MOST_RUNS:], history.covered[-MOST_SPANS:]) if needs_known(check, one) else NOTHING
    step = after_ping(check, one, past=past, known=known)
    if step.run is not None:
        history.add(one, step.run)
    return step


def _has_just_ended(signal: Signal, ended: dict[str, datetime]) -> bool:
    at = ended.get(signal.rid) if signal.rid is not None else None
    return at is not None and at >= signal.at - END_REMEMBERED


def _alarms(steps: Sequence[Step]) -> Iterator[Alarm]:
    is_open: Alarm | None = None
    for flip in (flip for step in steps for flip in step.flips):
        if is_open is not None:
            yield Alarm(at=is_open.at, reason=is_open.reason, ended_at=flip.at)
        is_open = Alarm(at=flip.at, reason=flip.reason) if flip.to_status is Status.DOWN else None
    if is_open is not None:
        yield is_open
