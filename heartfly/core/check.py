"""The life of one check: what each signal, each silence and each command makes of it.

Everything that can change a status stands in this file. It reads no clock and saves nothing:
pings/apply.py, monitor/judge.py and checks/commands.py do that. The table that it follows is drawn
in ARCHITECTURE.md; the words are defined in docs/glossary.md.

    slot k   [e_k, e_k + grace]; e_k = last success or fail + k periods, or the k-th fire after it
    deadline expected_at + grace, inclusive: the first instant at which silence is an alarm;
             a run that was started goes down at started_at + max_run
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from heartfly.core import gates as gate_rules
from heartfly.core.gates import Gate, Level
from heartfly.core.values import Blind, Check, Flip, Past, Rules, Run, Signal, Step, Unverified, came_before
from heartfly.core.words import AlertKind, PingKind, Reason, RunOutcome, Status

MAX_OPEN_RUNS = 100
"""More runs open at a time than this, and the oldest is superseded: a bound for jobs that never report an end."""

SCHEDULE_RETRY = timedelta(hours=1)

_WATCHED = (Status.UP, Status.DEGRADED)

# --- signals ---------------------------------------------------------------------------------------


def needs_past(check: Check, signal: Signal) -> bool:
    """Whether `after_ping` must be given a `Past` for this signal: something newer was applied or decided."""
    if signal.kind is PingKind.LOG or signal.kind is PingKind.IGNORED:
        return False
    before_alarm = check.status_reason is Reason.HUNG and signal.at <= check.status_since
    return _is_late(check, signal) or (check.status is Status.DOWN and before_alarm)


def _is_late(check: Check, signal: Signal) -> bool:
    return check.last_end is not None and came_before(signal.order, check.last_end)


def after_ping(check: Check, signal: Signal, *, past: Past | None = None) -> Step:
    """Apply one signal. A signal that lands before the silence is judged wins, whatever the deadline was."""
    kind = signal.kind
    if check.status is Status.PAUSED and check.rules.sticky:
        kind = PingKind.IGNORED
    check = replace(check, n_pings=check.n_pings + 1)
    if kind is PingKind.SUCCESS or kind is PingKind.FAIL:
        step = _end(check, signal, past)
    elif kind is PingKind.START:
        step = _start(check, signal, past)
    else:
        return Step(check=replace(check, rev=check.rev + 1), kind=kind)
    return replace(step, kind=kind, check=_heard(step.check, signal, kind))


def _heard(check: Check, signal: Signal, kind: PingKind) -> Check:
    if _is_late(check, signal):
        return check
    return replace(check, last_ping_at=signal.at, last_kind=kind)


def _start(check: Check, signal: Signal, past: Past | None) -> Step:
    late = _is_late(check, signal)
    if late and past is not None and (past.rid_ended if signal.rid else past.newer_anonymous_end):
        # It ended before we heard that it began: an open run now would only hang.
        return _armed(Step(check=check), signal.at)
    if any(run.rid == signal.rid for run in check.open_runs) and signal.rid is not None:
        # The same start again: the answer to the first one was lost on the way.
        return _armed(Step(check=check), signal.at)
    opened = Run(id=signal.id, rid=signal.rid, started_at=signal.at, ping_n=check.n_pings)
    if signal.rid is None and any(run.rid is None and _started(run) > signal.at for run in check.open_runs):
        # A newer start is open already: this one was superseded before we heard of it.
        opened = _closed(opened, RunOutcome.SUPERSEDED, signal.at)
        return _armed(Step(check=check, run=opened, runs=(opened,)), signal.at)
    changed: list[Run] = []
    runs = list(check.open_runs)
    if signal.rid is None:
        changed += [_closed(run, RunOutcome.SUPERSEDED, signal.at) for run in runs if run.rid is None]
        runs = [run for run in runs if run.rid is not None]
    elif len(runs) >= MAX_OPEN_RUNS:
        changed.append(_closed(runs.pop(0), RunOutcome.SUPERSEDED, signal.at))
    runs.append(opened)
    return _armed(Step(check=replace(check, open_runs=tuple(runs)), run=opened, runs=(*changed, opened)), signal.at)


def _end(check: Check, signal: Signal, past: Past | None) -> Step:
    broken = gate_rules.broken(check.rules.gates, signal.metrics) if signal.kind is PingKind.SUCCESS else ()
    level = gate_rules.worst(broken)
    run, open_runs = _ended_run(check, signal, level, past)
    check = replace(check, open_runs=open_runs)
    step = Step(check=check, run=run, runs=(run,))
    if _explains_the_silence(check, signal, level, past):
        return _retract(step, signal, run)
    if _is_late(check, signal):
        return _late_end(step, signal, past or Past(), run)
    if signal.at < check.status_since and check.status_reason in {Reason.PAUSED, Reason.RESUMED}:
        # Sent before somebody paused or resumed the check: it says nothing about what came after.
        return _armed(step, signal.at)
    to_status, reason = _verdict(signal, level)
    check = replace(
        check,
        last_duration=run.duration,
        last_end=signal.order,
        last_end_kind=signal.kind,
        anchor_at=signal.at,
        expected_at=None,
        unverified_in_row=0,
    )
    step = replace(step, check=check)
    if to_status is not check.status:
        # A signal's time can lie before the flip that it answers only by the width of a batch.
        at = max(signal.at, check.status_since)
        step = _flip(step, to_status, reason, at=at, run=run, broken=broken)
    return _armed(step, signal.at)


def _verdict(signal: Signal, level: Level | None) -> tuple[Status, Reason]:
    if signal.kind is PingKind.FAIL:
        return Status.DOWN, Reason.EXIT_STATUS if signal.exit_status else Reason.FAIL
    if level is Level.FAIL:
        return Status.DOWN, Reason.GATE
    if level is Level.WARN:
        return Status.DEGRADED, Reason.GATE
    return Status.UP, Reason.SUCCESS


def _ended_run(check: Check, signal: Signal, level: Level | None, past: Past | None) -> tuple[Run, tuple[Run, ...]]:
    """Close the run that this end belongs to, or record one that had no start.

    With a run id: that run. Without: the newest that was open when the signal came.
    """
    mine = [
        run
        for run in check.open_runs
        if (run.rid == signal.rid if signal.rid is not None else _started(run) <= signal.at)
    ]
    if signal.kind is PingKind.FAIL or level is Level.FAIL:
        outcome = RunOutcome.FAILED
    else:
        outcome = RunOutcome.DEGRADED if level is Level.WARN else RunOutcome.OK
    slot_at = check.expected_at if check.status in _WATCHED else None
    if mine:
        run = max(mine, key=_started)
    elif past is not None and past.hung_run is not None and past.hung_run.rid == signal.rid:
        run = past.hung_run
    else:
        run = Run(id=signal.id, rid=signal.rid, ping_n=check.n_pings)
    open_runs = tuple(other for other in check.open_runs if other is not run)
    duration = signal.at - run.started_at if run.started_at is not None else None
    run = replace(
        run,
        ended_at=signal.at,
        outcome=outcome,
        exit_status=signal.exit_status,
        duration=duration,
        slot_at=slot_at,
        ping_n=check.n_pings,
    )
    return run, open_runs


# --- signals that come out of order ------------------------------------------------------------------


def _explains_the_silence(check: Check, signal: Signal, level: Level | None, past: Past | None) -> bool:
    """A success from before the alarm, which would not have been raised had we known of it in time."""
    if (
        check.status is not Status.DOWN
        or signal.kind is not PingKind.SUCCESS
        or level is not None
        or signal.at > check.status_since
        or _is_late(check, signal)
    ):
        return False
    if check.status_reason is Reason.HUNG:
        return past is not None and past.hung_run is not None and past.hung_run.rid == signal.rid
    if check.status_reason not in {Reason.MISSED, Reason.MISSED_TWICE_UNVERIFIED}:
        return False
    expected = check.rules.next_after(signal.at, signal.at)
    return expected is None or expected + check.rules.grace > check.status_since


def _retract(step: Step, signal: Signal, run: Run) -> Step:
    check = replace(
        step.check,
        last_duration=run.duration,
        last_end=signal.order,
        last_end_kind=signal.kind,
        anchor_at=signal.at,
        expected_at=None,
        unverified_in_row=0,
    )
    retracted = check.flip_no
    step = _flip(replace(step, check=check), Status.UP, Reason.RETRACTED, at=check.status_since, run=run)
    last = replace(step.flips[-1], retracts_flip_no=retracted)
    return _armed(replace(step, flips=(*step.flips[:-1], last)), signal.at)


def _late_end(step: Step, signal: Signal, past: Past, run: Run) -> Step:
    """An end older than one that was applied: it is recorded; only a fail that nobody heard of is told."""
    check = step.check
    unheard = (
        signal.kind is PingKind.FAIL
        and check.last_end_kind is PingKind.SUCCESS
        and check.status in _WATCHED
        and past.status_at in _WATCHED
    )
    if unheard:
        assert check.last_end is not None
        assert past.status_at is not None
        reason = Reason.EXIT_STATUS if signal.exit_status else Reason.FAIL
        was = past.status_at
        down = Flip(
            flip_no=check.flip_no + 1,
            at=signal.at,
            from_status=was,
            to_status=Status.DOWN,
            reason=reason,
            run=run,
        )
        up = Flip(
            flip_no=check.flip_no + 2,
            at=check.last_end[0],
            from_status=Status.DOWN,
            to_status=check.status,
            reason=Reason.SUCCESS,
            run=run,
            tell=AlertKind.UP,  # one message tells of both
            down_since=signal.at,
        )
        step = replace(step, check=replace(check, flip_no=check.flip_no + 2), flips=(*step.flips, down, up))
    return _armed(step, signal.at)


# --- silence -----------------------------------------------------------------------------------------


def after_silence(
    check: Check, *, through: datetime, blind: Sequence[Blind], new_id: Callable[[], int], now: datetime
) -> Step:
    """Judge everything that fell due up to `through`, the instant up to which every signal was heard."""
    step = _armed(Step(check=check), now)
    while step.schedule_error is None and (due := _due(step.check, through)) is not None:
        step = due(step, blind, new_id)
    return step


def _due(check: Check, through: datetime) -> Callable[[Step, Sequence[Blind], Callable[[], int]], Step] | None:
    """What must be judged next, earliest first; at the same instant a run before a slot."""
    limit = check.rules.run_limit
    runs = [run.started_at + limit for run in check.open_runs if run.started_at is not None]
    hangs_at = min(runs, default=None)
    misses_at = _slot_closes_at(check)
    if hangs_at is not None and hangs_at <= through and (misses_at is None or hangs_at <= misses_at):
        return _hung
    if misses_at is not None and misses_at <= through:
        return _missed
    late_at = _late_at(check)
    return _late if late_at is not None and late_at <= through else None


def _late_at(check: Check) -> datetime | None:
    """When somebody will be told that the check is late. A run under way is not lateness."""
    if not check.rules.wants_late or check.expected_at is None or check.open_runs:
        return None
    return check.expected_at if check.late_told_at != check.expected_at else None


def _late(step: Step, blind: Sequence[Blind], _new_id: Callable[[], int]) -> Step:
    opened = step.check.expected_at
    assert opened is not None
    deaf = any(b.touches(opened, opened + step.check.rules.grace) for b in blind)
    check = replace(step.check, late_told_at=opened)
    return _armed(replace(step, check=check, late_since=None if deaf else opened), opened)


def _missed(step: Step, blind: Sequence[Blind], new_id: Callable[[], int]) -> Step:
    check = step.check
    opened, closed = check.expected_at, _slot_closes_at(check)
    assert opened is not None
    assert closed is not None
    touching = next((b for b in blind if b.touches(opened, closed)), None)
    if touching is None or check.unverified_in_row >= 1:
        run = Run(id=new_id(), slot_at=opened, outcome=RunOutcome.MISSED)
        reason = Reason.MISSED if touching is None else Reason.MISSED_TWICE_UNVERIFIED
        step = replace(step, runs=(*step.runs, run))
        return _armed(_flip(step, Status.DOWN, reason, at=closed, run=run), closed)
    run = Run(id=new_id(), slot_at=opened, outcome=RunOutcome.UNVERIFIED)
    step = replace(
        step,
        runs=(*step.runs, run),
        unverified=(*step.unverified, Unverified(run=run, from_at=opened, to_at=closed, blind=touching)),
    )
    # The next slot is the first that opens when we could hear again; those in between are excused with this one.
    last_deaf = max(touching.to_at - timedelta(microseconds=1), opened)
    return _armed(
        replace(step, check=replace(check, unverified_in_row=check.unverified_in_row + 1, expected_at=None)),
        closed,
        after=last_deaf,
    )


def _hung(step: Step, blind: Sequence[Blind], _new_id: Callable[[], int]) -> Step:
    check = step.check
    limit = check.rules.run_limit
    run = min((run for run in check.open_runs if run.started_at is not None), key=_started)
    ends = _started(run) + limit
    check = replace(check, open_runs=tuple(other for other in check.open_runs if other is not run))
    touching = next((b for b in blind if b.touches(_started(run), ends)), None)
    if touching is not None:
        run = _closed(run, RunOutcome.UNVERIFIED, None)
        found = Unverified(run=run, from_at=_started(run), to_at=ends, blind=touching)
        step = replace(step, check=check, runs=(*step.runs, run), unverified=(*step.unverified, found))
        return _armed(step, ends)
    run = _closed(run, RunOutcome.HUNG, None)
    step = replace(step, check=check, runs=(*step.runs, run))
    if check.status is not Status.DOWN:
        step = _flip(step, Status.DOWN, Reason.HUNG, at=max(ends, check.status_since), run=run)
    return _armed(step, ends)


def _started(run: Run) -> datetime:
    assert run.started_at is not None
    return run.started_at


# --- commands ----------------------------------------------------------------------------------------


def pause(check: Check, at: datetime) -> Step:
    """Paused checks expect nothing. Pausing a paused check changes nothing."""
    if check.status is Status.PAUSED:
        return Step(check=check)
    closed = tuple(_closed(run, RunOutcome.SUPERSEDED, at) for run in check.open_runs)
    step = Step(check=replace(check, open_runs=(), expected_at=None), runs=closed)
    return _armed(_flip(step, Status.PAUSED, Reason.PAUSED, at=at), at)


def resume(check: Check, at: datetime) -> Step | None:
    """New again, its last ping forgotten: nothing is expected until the first success. None: it was not paused."""
    if check.status is not Status.PAUSED:
        return None
    forgotten = replace(
        check,
        last_ping_at=None,
        last_kind=None,
        last_duration=None,
        last_end=None,
        last_end_kind=None,
        anchor_at=None,
        expected_at=None,
        unverified_in_row=0,
    )
    return _armed(_flip(Step(check=forgotten), Status.NEW, Reason.RESUMED, at=at), at)


def edited(check: Check, rules: Rules, at: datetime) -> Step:
    """New rules count from the edit on: the first slot is the first of the new schedule after it. Never flips."""
    check = replace(check, rules=rules, expected_at=None, schedule_error_at=None, schedule_error=None)
    return _armed(Step(check=check), at, after=at)


# --- what all of them end with ----------------------------------------------------------------------


def _flip(
    step: Step,
    to_status: Status,
    reason: Reason,
    *,
    at: datetime,
    run: Run | None = None,
    broken: tuple[Gate, ...] = (),
) -> Step:
    check = step.check
    flip = Flip(
        flip_no=check.flip_no + 1,
        at=at,
        from_status=check.status,
        to_status=to_status,
        reason=reason,
        run=run,
        tell=_tell(check.status, to_status),
        broken_gates=broken,
        down_since=check.status_since if check.status is Status.DOWN else None,
    )
    changed = replace(
        check,
        status=to_status,
        status_since=at,
        status_reason=reason,
        flip_no=flip.flip_no,
        expected_at=check.expected_at if to_status in _WATCHED else None,
    )
    return replace(step, check=changed, flips=(*step.flips, flip))


def _tell(from_status: Status, to_status: Status) -> AlertKind | None:
    match to_status:
        case Status.DOWN:
            return AlertKind.DOWN
        case Status.DEGRADED:
            return AlertKind.DEGRADED
        case Status.UP:
            return AlertKind.UP if from_status in {Status.DOWN, Status.DEGRADED} else None
        case Status.NEW | Status.PAUSED:
            return None


def _armed(step: Step, at: datetime, *, after: datetime | None = None) -> Step:
    """Set the deadlines that follow from the check as it is now, and count the revision.

    `after`: the next expected time lies after this instant; by default after the anchor. Rules that raise leave the
    status alone; they are tried again in an hour.
    """
    check = step.check
    error: str | None = None
    expected = check.expected_at
    if check.status not in _WATCHED:
        expected = None
    elif expected is None and check.anchor_at is not None:
        if check.schedule_error_at is not None:
            after = at  # what fell due while the rules were broken is nobody's fault
        try:
            expected = check.rules.next_after(after or check.anchor_at, check.anchor_at)
        except Exception as raised:  # noqa: BLE001 - shown on the check and told to its owner
            error = str(raised) or type(raised).__name__
    if error is not None:
        told_before = check.schedule_error_at is not None
        check = replace(check, expected_at=None, schedule_error_at=check.schedule_error_at or at, schedule_error=error)
        check = replace(check, goes_down_at=_goes_down_at(check), wake_at=at + SCHEDULE_RETRY, rev=check.rev + 1)
        return replace(step, check=check, schedule_error=None if told_before else error)
    check = replace(check, expected_at=expected, schedule_error_at=None, schedule_error=None)
    goes_down_at = _goes_down_at(check)
    return replace(
        step,
        check=replace(check, goes_down_at=goes_down_at, wake_at=_wake_at(check, goes_down_at), rev=check.rev + 1),
    )


def _slot_closes_at(check: Check) -> datetime | None:
    """The deadline of the current slot.

    A run that is under way and has a limit of its own (`max_run`) holds the slot open up to that limit: the job is
    known to be alive, and how long it may take has been said.
    """
    if check.status not in _WATCHED or check.expected_at is None:
        return None
    closes = check.expected_at + check.rules.grace
    if check.rules.max_run is not None:
        for run in check.open_runs:
            closes = max(closes, _started(run) + check.rules.max_run)
    return closes


def _goes_down_at(check: Check) -> datetime | None:
    """The first instant (UTC, inclusive) at which silence is an alarm; None: never, as things stand."""
    if check.status is Status.DOWN:
        return None
    limit = check.rules.run_limit
    candidates = [_started(run) + limit for run in check.open_runs]
    if (closes := _slot_closes_at(check)) is not None:
        candidates.append(closes)
    return min(candidates, default=None)


def _wake_at(check: Check, goes_down_at: datetime | None) -> datetime | None:
    candidates = [_started(run) + check.rules.run_limit for run in check.open_runs]
    if goes_down_at is not None:
        candidates.append(goes_down_at)
    if (late_at := _late_at(check)) is not None:
        candidates.append(late_at)
    return min(candidates, default=None)


def _closed(run: Run, outcome: RunOutcome, at: datetime | None) -> Run:
    return replace(run, outcome=outcome, ended_at=at)
