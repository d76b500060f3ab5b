"""Builders of core values: a sound one of each, of which a test names only what it is about.

The day begins at START; `at(minutes=5)` is five minutes later. Ends and starts are in order of their
times, all from one node, unless a test says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from heartfly.core.bounds import NO_BOUNDS, Bounds
from heartfly.core.check import after_ping, after_silence, edited
from heartfly.core.gates import Gate
from heartfly.core.tolerance import NO_TOLERANCE, Tolerance
from heartfly.core.values import Blind, Check, NextAfter, Past, Rules, Run, Signal, Step, replace
from heartfly.core.words import PingKind, Reason, RunOutcome, Status

START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=5)

_numbers = itertools.count(1_000_000)


def at(*, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
    return START + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def number() -> int:
    """An id that no other value has."""
    return next(_numbers)


def every(period: timedelta) -> NextAfter:
    """Counted from the anchor, as a period is."""

    def next_after(instant: datetime, anchor: datetime) -> datetime:
        return anchor + max((instant - anchor) // period + 1, 1) * period

    return next_after


def fires(*instants: datetime) -> NextAfter:
    """At these instants and never again, wherever the anchor is, as a calendar does."""

    def next_after(instant: datetime, _anchor: datetime) -> datetime | None:
        return next((fire for fire in sorted(instants) if fire > instant), None)

    return next_after


def make_rules(
    *,
    period: timedelta = HOUR,
    grace: timedelta = GRACE,
    max_run: timedelta | None = None,
    next_after: NextAfter | None = None,
    gates: tuple[Gate, ...] = (),
    tolerance: Tolerance = NO_TOLERANCE,
    bounds: Bounds = NO_BOUNDS,
    sticky: bool = False,
    unverified_is_down: bool = False,
    wants_late: bool = False,
) -> Rules:
    return Rules(
        next_after=next_after or every(period),
        grace=grace,
        max_run=max_run,
        gates=gates,
        tolerance=tolerance,
        bounds=bounds,
        sticky=sticky,
        unverified_is_down=unverified_is_down,
        wants_late=wants_late,
    )


def make_signal(
    kind: PingKind = PingKind.SUCCESS,
    when: datetime = START,
    *,
    node: int = 1,
    seq: int | None = None,
    rid: str | None = None,
    exit_status: int | None = None,
    metrics: Mapping[str, Decimal] | None = None,
    source: str = "",
) -> Signal:
    """Without a `seq`, signals of a node come in the order of their times."""
    if seq is None:
        seq = (when - START) // TICK
    return Signal(
        id=number(),
        kind=kind,
        order=(when, node, seq),
        rid=rid,
        exit_status=exit_status,
        metrics=metrics or {},
        source=source,
    )


def make_run(started_at: datetime = START, *, rid: str | None = None) -> Run:
    """An open one."""
    return Run(id=number(), rid=rid, started_at=started_at)


_REASON = {
    Status.NEW: None,
    Status.UP: Reason.SUCCESS,
    Status.DEGRADED: Reason.GATE,
    Status.DOWN: Reason.FAIL,
    Status.PAUSED: Reason.PAUSED,
}


def make_check(
    status: Status = Status.UP,
    *,
    rules: Rules | None = None,
    since: datetime = START,
    open_runs: tuple[Run, ...] = (),
    unverified_in_row: int = 0,
) -> Check:
    """As it is right after the end, or the command, that gave it this status at `since`."""
    rules = rules or make_rules()
    check = Check(
        rules=rules,
        status=status,
        status_since=since,
        status_reason=_REASON[status],
        flip_no=0 if status is Status.NEW else 1,
        open_runs=open_runs,
    )
    if status in {Status.UP, Status.DEGRADED, Status.DOWN}:
        kind = PingKind.FAIL if status is Status.DOWN else PingKind.SUCCESS
        order = make_signal(kind, since).order
        check = replace(
            check,
            n_pings=1,
            last_ping_at=since,
            last_kind=kind,
            last_end=order,
            last_end_kind=kind,
            anchor_at=since,
            expected_at=None if status is Status.DOWN else rules.next_after(since, since),
            unverified_in_row=unverified_in_row,
        )
    return replace(judge(check, since).check, rev=1)


def make_blind(from_at: datetime, to_at: datetime) -> Blind:
    return Blind(id=number(), from_at=from_at, to_at=to_at)


def judge(
    check: Check,
    through: datetime,
    blind: Sequence[Blind] = (),
    *,
    now: datetime | None = None,
    new_id: Callable[[], int] = number,
) -> Step:
    return after_silence(check, through=through, blind=blind, new_id=new_id, now=now or through)


def ping(
    check: Check,
    kind: PingKind,
    when: datetime,
    *,
    rid: str | None = None,
    exit_status: int | None = None,
    node: int = 1,
    seq: int | None = None,
    past: Past | None = None,
) -> Step:
    return after_ping(check, make_signal(kind, when, rid=rid, exit_status=exit_status, node=node, seq=seq), past=past)


def success(check: Check, when: datetime, *, rid: str | None = None, past: Past | None = None) -> Step:
    return ping(check, PingKind.SUCCESS, when, rid=rid, past=past)


def fail(check: Check, when: datetime, *, rid: str | None = None, past: Past | None = None) -> Step:
    return ping(check, PingKind.FAIL, when, rid=rid, past=past)


def start(check: Check, when: datetime, *, rid: str | None = None, past: Past | None = None) -> Step:
    return ping(check, PingKind.START, when, rid=rid, past=past)


def told(step: Step) -> list[str]:
    """Everything that people hear of because of this step, in words."""
    words = [flip.tell.value for flip in step.flips if flip.tell is not None]
    words += ["unverified"] * len(step.unverified)
    words += ["late"] if step.late_since is not None else []
    return words + (["schedule error"] if step.schedule_error is not None else [])


def changes(step: Step) -> list[tuple[Status, Reason, datetime]]:
    """The flips of a step, short."""
    return [(flip.to_status, flip.reason, flip.at) for flip in step.flips]


def outcomes(step: Step) -> list[RunOutcome | None]:
    return [run.outcome for run in step.runs]


def edited_to(check: Check, rules: Rules, when: datetime) -> Check:
    return edited(check, rules, when).check
