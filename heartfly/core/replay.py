"""What would have been? The signals of the past, judged once more by other rules, and how the alarms differ.

The judging is check.py's: here signals, commands and silence are only put in their order. At the very instant of a
deadline the signal wins, as it does when it is committed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from heartfly.core.check import END_REMEMBERED, after_ping, after_silence, needs_past, pause, resume
from heartfly.core.values import Blind, Check, Past, Rules, Signal, Step, replace
from heartfly.core.words import Reason, Status

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
    ended: dict[str, datetime] = {}
    steps: list[Step] = []
    for one in _in_order(signals, commands):
        silence = after_silence(check, through=one.at - _TICK, blind=blind, new_id=ids.__next__, now=one.at)
        step = _taken(silence.check, one, ended)
        steps += [silence, step]
        check = step.check
    steps.append(after_silence(check, through=through, blind=blind, new_id=ids.__next__, now=through))
    return list(_alarms(steps))


def compared(old: Sequence[Alarm], new: Sequence[Alarm]) -> Compared:
    """Both in the order of their times."""
    pairs = [(alarm, next((other for other in new if other.meets(alarm)), None)) for alarm in old]
    return Compared(
        kept=tuple((alarm, other) for alarm, other in pairs if other is not None),
        lost=tuple(alarm for alarm, other in pairs if other is None),
        added=tuple(alarm for alarm in new if not any(alarm.meets(other) for other in old)),
    )


def _in_order(signals: Sequence[Signal], commands: Sequence[Command]) -> list[Signal | Command]:
    """At the same instant a command first: it says nothing about what came after."""
    return sorted([*commands, *signals], key=lambda one: (one.at, isinstance(one, Signal), _order(one)))


def _order(one: Signal | Command) -> tuple[int, int]:
    return one.order[1:] if isinstance(one, Signal) else (0, 0)


def _taken(check: Check, one: Signal | Command, ended: dict[str, datetime]) -> Step:
    """`ended`: by run id, when it last ended; what a start that comes twice must know of the past."""
    if isinstance(one, Command):
        return pause(check, one.at) if one.pauses else resume(check, one.at) or Step(check=check)
    past = Past(rid_ended=_has_just_ended(one, ended)) if needs_past(check, one) else None
    step = after_ping(check, one, past=past)
    if one.rid is not None and step.run is not None and step.run.ended_at is not None:
        ended[one.rid] = step.run.ended_at
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
