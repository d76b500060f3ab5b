"""The life of one check: what each signal, each silence and each command makes of it.

Everything that can change a status stands in this file. It reads no clock and saves nothing:
pings/apply.py, monitor/judge.py and checks/commands.py do that. The table that it follows is drawn
in ARCHITECTURE.md; the words are defined in docs/glossary.md.

    slot k   [e_k, e_k + grace]; e_k = last success or fail + k periods, or the k-th fire after it
             (a success that its bounds find too early, or one of several reports, is not that end)
    deadline expected_at + grace, inclusive: the first instant at which silence is an alarm;
             of a new check, by when somebody wants its first ping, if anybody does;
             a run that was started goes down at started_at + max_run, and one with a max_run of
             its own holds its slot open (docs/decisions/0012-a-run-under-way-holds-its-slot.md)
    failure  goes down, unless the tolerance of a check that is up or degraded lets it pass: then the
             slot after it is judged next (`_failed`, docs/tolerance.md)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from heartfly.core import bounds as bound_rules
from heartfly.core import gates as gate_rules
from heartfly.core import slots
from heartfly.core import tolerance as tolerances
from heartfly.core.bounds import Breach, By
from heartfly.core.coverage import Span, reaches_ahead
from heartfly.core.gates import NOTHING, Broken, Known, Level, Reported
from heartfly.core.tolerance import NO_TOLERANCE, NOTHING_KEPT, Memory
from heartfly.core.values import Blind, Check, Flip, Past, Rules, Run, Signal, Step, Unverified, replace
from heartfly.core.words import AlertKind, PingKind, Reason, RunOutcome, Status

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from heartfly.core.values import value

MAX_OPEN_RUNS = 100
"""More runs open at a time than this, and the oldest is superseded: a bound for jobs that never report an end."""

SCHEDULE_RETRY = timedelta(hours=1)

END_REMEMBERED = timedelta(minutes=2)
"""A start that comes so soon after the end of its own run was overtaken by it, or is a retry; later it is a new run of
a job that uses one id for ever."""

_WATCHED = slots.WATCHED
_TELLS = {Status.DOWN: AlertKind.DOWN, Status.DEGRADED: AlertKind.DEGRADED, Status.UP: AlertKind.UP}
_WATCHED_OR_NEW = (*_WATCHED, Status.NEW)
_TOLD_OF = (Status.NEW, Status.UP, Status.DEGRADED)
_COMMANDS = (Reason.PAUSED, Reason.RESUMED)
_OUTCOMES = {Status.UP: RunOutcome.OK, Status.DEGRADED: RunOutcome.DEGRADED, Status.DOWN: RunOutcome.FAILED}
_LEVELS = {Level.WARN: Status.DEGRADED, Level.FAIL: Status.DOWN}
_SILENCE = (
    *(Reason.MISSED, Reason.MISSED_TWICE_UNVERIFIED, Reason.NO_FIRST_PING, Reason.HUNG),
    *(Reason.NOT_STARTED, Reason.TOO_FEW),
)
_CROWDED = (Reason.TOO_SOON, Reason.TOO_OFTEN)

# --- signals ---------------------------------------------------------------------------------------


def needs_past(check: Check, signal: Signal) -> bool:
    """Whether `after_ping` must be given a `Past` for this signal: something newer was applied or decided."""
    if signal.kind in _SAYS_NOTHING:
        return False
    if signal.kind is PingKind.START and signal.rid is not None:
        return True  # its end may have come before it, or this may be a retry from before that end
    return signal.is_before(check.last_end) or _before_alarm(check, signal)


_SAYS_NOTHING = frozenset({PingKind.LOG, PingKind.IGNORED, PingKind.PROGRESS})
"""Of the past, and of what is to come."""


def _before_command(check: Check, signal: Signal) -> bool:
    """Sent before somebody paused or resumed the check: it says nothing about what came after."""
    return check.status_reason in _COMMANDS and signal.at < check.status_since and not _set_back(check, signal)


def _before_alarm(check: Check, signal: Signal) -> bool:
    """Sent before the silence that is the present alarm was over: it is no recovery."""
    silent = check.status is Status.DOWN and check.status_reason in _SILENCE
    return silent and signal.at <= check.status_since and not _set_back(check, signal)


def _set_back(check: Check, signal: Signal) -> bool:
    """The wall clock was set back since the last end, so its times cannot be compared with ours."""
    return check.last_end is not None and signal.at < check.last_end[0] and not signal.is_before(check.last_end)


def needs_known(check: Check, signal: Signal) -> bool:
    """Whether `after_ping` must be given what history says to the check's gates."""
    gates = check.rules.gates
    if not gates or signal.kind is not PingKind.SUCCESS:
        return False
    return bool(gate_rules.asked_names(gates)) or gate_rules.asks_coverage(gates)


def after_ping(check: Check, signal: Signal, *, past: Past | None = None, known: Known = NOTHING) -> Step:
    """Apply one signal. A signal that lands before the silence is judged wins, whatever the deadline was.

    `known`: see `needs_known`.
    """
    kind = signal.kind
    if slots.only_resume_helps(check):
        kind = PingKind.IGNORED
    check = replace(check, n_pings=check.n_pings + 1)
    if kind is PingKind.SUCCESS or kind is PingKind.FAIL:
        step = _end(check, signal, past, known)
    elif kind is PingKind.START:
        step = _start(check, signal, past)
    elif kind is PingKind.PROGRESS:
        return replace(_progress(check, signal), kind=kind)
    else:
        return Step(check=replace(check, rev=check.rev + 1), kind=kind)
    step = replace(step, kind=kind)
    older = any(run.began_after(signal) for run in check.open_runs)
    if older or signal.is_before(check.last_end) or _before_command(check, signal):
        return step
    return replace(step, check=replace(step.check, last_ping_at=signal.at, last_kind=kind))


def _start(check: Check, signal: Signal, past: Past | None) -> Step:
    known = next((run for run in check.open_runs if signal.rid is not None and run.rid == signal.rid), None)
    if known is not None:
        # The same start again: the answer to the first one was lost on the way.
        return _armed(Step(check=check, run=known), signal.at)
    late_anonymous = past is not None and past.newer_anonymous_end and signal.is_before(check.last_end)
    if past is not None and (past.rid_ended or late_anonymous):
        # It ended before we heard that it began: an open run now would only hang.
        heard = check.status is Status.NEW and not _before_command(check, signal)
        return _armed(Step(check=replace(check, expected_at=None) if heard else check), signal.at)
    rivals = [run for run in check.open_runs if run.rid is None] if signal.rid is None else []
    slot_at = check.expected_at if any(slots.holds_slot(check, run) for run in rivals) else None
    opened = Run(id=signal.id, rid=signal.rid, started_at=signal.at, order=signal.order, slot_at=slot_at)
    opened = replace(opened, ping_n=check.n_pings)
    not_late = check.status_reason is Reason.NOT_STARTED and _before_alarm(check, signal)
    if _before_command(check, signal) or any(run.began_after(signal) for run in rivals):
        # Superseded before we heard of it: by a newer start, or by the pause.
        opened = _closed(opened, RunOutcome.SUPERSEDED, signal.at)
        return _armed(Step(check=check, run=opened, runs=(opened,)), signal.at)
    if check.status is Status.NEW:
        check = replace(check, expected_at=None)  # its first ping has come; the run has a limit of its own
    others = [run for run in check.open_runs if run not in rivals]
    if len(others) >= MAX_OPEN_RUNS:
        rivals.append(min(others, key=slots.age))
        others.remove(rivals[-1])
    closed = [_closed(run, RunOutcome.SUPERSEDED, signal.at) for run in rivals]
    memory, breach = _begins(check, signal)
    opened = replace(opened, reason=None if breach is None else breach[1])
    check = replace(check, open_runs=(*others, opened), memory=memory)
    step = Step(check=check, run=opened, runs=(*closed, opened))
    if not_late:
        return _began_in_time(step, signal, past or Past())
    return _armed(step if breach is None else _crowded(step, opened, breach, signal.at), signal.at)


def _crowded(step: Step, run: Run, breach: Breach, at: datetime) -> Step:
    """A run began too soon after others. It may still end well, which makes it no better: it was one too many."""
    level, reason = breach
    if level is Level.FAIL and step.check.status in _WATCHED_OR_NEW:
        step, tolerated = _failed(step, run, reason, at=at)
        return step if tolerated else _with_run(step, run)
    if level is Level.WARN and step.check.status is Status.UP:
        return _flip(step, Status.DEGRADED, reason, at=at, run=run)
    return step


def _began_in_time(step: Step, signal: Signal, past: Past) -> Step:
    """A start from before the alarm that none had come: the alarm was not true, and its slot is open again."""
    check, limit = step.check, step.check.rules.bounds.start_within
    before = past.status_at if past.status_at in _WATCHED else Status.UP
    assert before is not None
    back = _flip(step, before, Reason.RETRACTED, at=check.status_since, run=step.run)
    flip = replace(back.flips[-1], retracts_flip_no=check.flip_no)
    expected = None if limit is None else check.status_since - limit
    memory = tolerances.without_failure(back.check.memory)
    return _armed(
        replace(back, check=replace(back.check, expected_at=expected, memory=memory), flips=(flip,)), signal.at
    )


def _progress(check: Check, signal: Signal) -> Step:
    """A run says that it is at work: its limit counts anew. Of no run that is under way, it says nothing."""
    mine = [
        run for run in check.open_runs if not run.began_after(signal) and (signal.rid is None or run.rid == signal.rid)
    ]
    if not mine:
        return Step(check=replace(check, rev=check.rev + 1))
    found = max(mine, key=lambda run: (run.rid == signal.rid, slots.age(run)))
    run = replace(found, progress_at=max(found.counts_from, signal.at))
    open_runs = tuple(run if other is found else other for other in check.open_runs)
    return _armed(Step(check=replace(check, open_runs=open_runs), run=run, runs=(run,)), signal.at)


def _begins(check: Check, signal: Signal) -> tuple[Memory, Breach | None]:
    if not check.rules.bounds.count_runs or check.status is Status.PAUSED or _before_command(check, signal):
        return check.memory, None
    return bound_rules.begins(check.rules.bounds, check.memory, signal.at, signal.rid)


def _end(check: Check, signal: Signal, past: Past | None, known: Known) -> Step:
    run, open_runs = _ended_run(check, signal, past)
    crowded = run.reason in _CROWDED
    was_heard = run.started_at is not None
    if not was_heard and signal.took is not None:
        run = replace(run, started_at=signal.at - signal.took, duration=signal.took)
    memory, breach = (check.memory, None) if was_heard else _begins(check, signal)
    broken = _broken(check, signal, run, known) if signal.kind is PingKind.SUCCESS else ()
    to_status, reason = _verdict(check, signal, gate_rules.worst(broken), run, breach)
    outcome = _OUTCOMES[_crowd_status(check, run.reason) if crowded and to_status is Status.UP else to_status]
    mark = run.reason if to_status is Status.UP else reason
    run = replace(run, outcome=outcome, reason=mark, covers=_counted(signal, broken))
    step = Step(check=replace(check, open_runs=open_runs), run=run, runs=(run,))
    if signal.is_before(check.last_end):
        return _late_end(step, signal, past or Past(), run=run, reason=reason)
    if _before_command(check, signal):
        return _armed(step, signal.at)
    bounded = check.rules.bounds is not bound_rules.NO_BOUNDS
    ended = replace(
        step.check,
        last_duration=run.duration,
        last_end=signal.order,
        last_end_kind=signal.kind,
        # Whether an end is that of its slot, its bounds have to say.
        anchor_at=check.anchor_at if bounded else signal.at,
        unverified_in_row=check.unverified_in_row if bounded else 0,
        memory=memory,
    )
    step = replace(step, check=ended)
    if to_status is check.status and not bounded and check.rules.tolerance is NO_TOLERANCE:
        return _armed(step, signal.at, after=signal.at)  # as most are: nothing comes of it
    end = _End(
        signal=signal,
        past=past or Past(),
        to_status=to_status,
        reason=reason,
        broken=broken,
        before_alarm=_before_alarm(check, signal),
    )
    if to_status is Status.DOWN:
        return _ended_badly(step, end)
    step, whole = _reported(step, end)
    step, after = _for_its_slot(step, signal, whole=whole)
    if crowded and to_status is Status.UP and check.status in _TELLS:
        return _armed(step, signal.at, after=after)  # what it is was told as it began
    return _ended_well(step, end, whole=whole, after=after)


@value(frozen=True, kw_only=True)
class _End:
    """The end of a run, and what it says by itself. `before_alarm`: it is from before the silence that is one."""

    signal: Signal
    past: Past
    to_status: Status
    reason: Reason
    broken: tuple[Broken, ...]
    before_alarm: bool


def _ended_badly(step: Step, end: _End) -> Step:
    check, at, run = step.check, end.signal.at, step.run
    assert run is not None
    waits = check.rules.bounds.reports is not None and check.status in _WATCHED
    if not waits:  # where several report, one that fails leaves the slot to the others
        check = replace(check, anchor_at=at, unverified_in_row=0)
    step, tolerated = _failed(replace(step, check=check), run, end.reason, at=at, broken=end.broken)
    return _armed(step, at, after=None if waits and tolerated else at)


def _ended_well(step: Step, end: _End, *, whole: bool, after: datetime | None) -> Step:
    """A success, whose figures are in order or at least no failure. `whole`: with it, all have reported."""
    check, tolerance, at = step.check, step.check.rules.tolerance, end.signal.at
    down = check.status is Status.DOWN
    if down and not whole:
        return _armed(step, at)
    if end.before_alarm:
        return _retracted(step, end)
    if whole and tolerance is not NO_TOLERANCE:
        memory = tolerances.with_success(tolerance, check.memory, down=down)
        step = replace(step, check=replace(check, memory=memory))
        if down and memory.good:
            return _armed(step, at)  # it has to go well some times more before anybody is told so
    if end.to_status is not check.status and (whole or check.status is not Status.DEGRADED):
        step = _flip(step, end.to_status, end.reason, at=at, run=step.run, broken=end.broken)
    return _armed(step, at, after=after)


def _reported(step: Step, end: _End) -> tuple[Step, bool]:
    """Where several must report for a slot: whether all have, with this one."""
    check, bounds, signal = step.check, step.check.rules.bounds, end.signal
    if bounds.reports is None or (check.status in _WATCHED and slots.too_early(check, signal)):
        return step, bounds.reports is None
    match bounds.reports_by:
        case By.RID:
            key = signal.rid or ""
        case By.ADDRESS:
            key = signal.source
        case _:  # each counts
            key = str(signal.id)
    over = check.status is Status.DOWN and not end.before_alarm and slots.round_is_over(check, signal)
    memory, whole = bound_rules.reports(bounds, check.memory, key=key, at=signal.at, round_over=over)
    return replace(step, check=replace(check, memory=memory)), whole


def _for_its_slot(step: Step, signal: Signal, *, whole: bool) -> tuple[Step, datetime | None]:
    """What a success does to the slot: the instant after which the next one opens. None: this one stays open."""
    check = step.check
    if check.rules.bounds is bound_rules.NO_BOUNDS:
        return step, signal.at
    if check.status not in _WATCHED:
        return replace(step, check=replace(check, anchor_at=signal.at, unverified_in_row=0)), signal.at
    if slots.too_early(check, signal):
        assert step.run is not None
        marked = replace(step.run, reason=step.run.reason or Reason.TOO_EARLY)
        return _with_run(step, marked), None
    if not whole:
        return step, None
    ended = replace(step, check=replace(check, anchor_at=signal.at, unverified_in_row=0))
    if not check.rules.bounds.bound_early or check.expected_at is None:
        return ended, signal.at
    return ended, max(signal.at, check.expected_at)  # one that is early is for the slot that it is before


def _broken(check: Check, signal: Signal, run: Run, known: Known) -> tuple[Broken, ...]:
    gates = check.rules.gates
    if not gates:
        return ()
    reported = Reported(
        metrics=signal.metrics, took=run.duration, covers=signal.covers, at=signal.at, zone=check.rules.zone
    )
    return gate_rules.broken(gates, reported, known)


def _counted(signal: Signal, broken: Sequence[Broken]) -> Span | None:
    """What the run covered, unless it failed, or its figures did, or it speaks of time that is still to come."""
    covers = signal.covers
    if covers is None or signal.kind is not PingKind.SUCCESS or reaches_ahead(covers, signal.at):
        return None
    return covers if gate_rules.proves_work(broken) else None


def _verdict(
    check: Check, signal: Signal, level: Level | None, run: Run, breach: Breach | None
) -> tuple[Status, Reason]:
    """`level`: of the worst gate that is broken. `breach`: it has just begun, too soon after others."""
    if signal.kind is PingKind.FAIL:
        return Status.DOWN, Reason.EXIT_STATUS if signal.exit_status else Reason.FAIL
    if level is None and check.rules.bounds is bound_rules.NO_BOUNDS:
        return Status.UP, Reason.SUCCESS
    gate = None if level is None else (level, Reason.GATE)
    worst = bound_rules.worst(gate, bound_rules.too_fast(check.rules.bounds, run.duration), breach)
    return (Status.UP, Reason.SUCCESS) if worst is None else (_LEVELS[worst[0]], worst[1])


def _crowd_status(check: Check, reason: Reason | None) -> Status:
    bounds = check.rules.bounds
    return _LEVELS[bounds.apart_level if reason is Reason.TOO_SOON else bounds.most_level]


def _ended_run(check: Check, signal: Signal, past: Past | None) -> tuple[Run, tuple[Run, ...]]:
    """End the run that this end belongs to, or record one that had no start. How it went is judged after.

    With a run id: that run. Without: the run that began without one, if it was open when the signal came, else the
    newest that was. So of two jobs on one check, only one of which names its runs, the other's end finds its own, if
    that had a start.
    """
    if signal.rid is not None:
        mine = [run for run in check.open_runs if run.rid == signal.rid]
    else:
        mine = [run for run in check.open_runs if not run.began_after(signal)]
    if mine:
        run = max(mine, key=lambda run: (run.rid == signal.rid, slots.age(run)))
    elif past is not None and past.hung_run is not None and _was_its_end(past.hung_run, signal):
        run = past.hung_run
    else:
        run = Run(id=signal.id, rid=signal.rid)
    open_runs = tuple(other for other in check.open_runs if other is not run)
    watched = check.status in _WATCHED and not signal.is_before(check.last_end)
    ended = replace(
        run,
        ended_at=signal.at,
        exit_status=signal.exit_status,
        # A clock that was set back meanwhile leaves the duration unknown.
        duration=signal.at - run.started_at if run.started_at is not None and run.started_at <= signal.at else None,
        slot_at=check.expected_at if watched else None,
        ping_n=check.n_pings,
    )
    return ended, open_runs


def _was_its_end(hung: Run, signal: Signal) -> bool:
    return hung.rid == signal.rid and (signal.rid is not None or not hung.began_after(signal))


# --- signals that come out of order ------------------------------------------------------------------


def _retracted(step: Step, end: _End) -> Step:
    """A success from before the alarm. If none had been raised had we known of it in time, the alarm is taken back."""
    check, signal, past, to_status, run = step.check, end.signal, end.past, end.to_status, step.run
    assert run is not None
    another = past.hung_run is None or past.hung_run.id != run.id
    expected, _ = slots.next_expected(check, signal.at)
    closes = slots.slot_closes_at(replace(check, status=to_status, expected_at=expected))
    after, unverified = signal.at, 0
    memory = tolerances.with_success(check.rules.tolerance, replace(check.memory, recent=check.memory.recent[:-1]))
    if check.status_reason is Reason.MISSED_TWICE_UNVERIFIED and closes == check.status_since and expected is not None:
        # Of the two slots that we could not hear the first is settled, so the second is the first in a row.
        after, unverified = expected, 1
    else:
        while expected is not None and closes is not None and closes <= check.status_since:
            # Missed since then all the same; tolerated, if that alone is no alarm.
            memory = tolerances.with_failure(check.rules.tolerance, memory, closes)
            if tolerances.is_alarm(check.rules.tolerance, memory):
                return _armed(step, signal.at)
            after = max(expected, closes - check.rules.grace)
            expected, _ = slots.next_expected(check, after)
            closes = slots.slot_closes_at(replace(check, status=to_status, expected_at=expected))
    if past.hung_since or (check.status_reason is Reason.HUNG and another):
        return _armed(step, signal.at)
    step = replace(step, check=replace(check, unverified_in_row=unverified, memory=memory))
    reason = Reason.RETRACTED if to_status is Status.UP else Reason.GATE
    step = _flip(step, to_status, reason, at=check.status_since, run=run, broken=end.broken)
    flip = replace(step.flips[-1], retracts_flip_no=check.flip_no)
    return _armed(replace(step, flips=(flip,)), signal.at, after=after)


def _late_end(step: Step, signal: Signal, past: Past, *, run: Run, reason: Reason) -> Step:
    """An end older than one that was applied: it is recorded; only a failure that nobody heard of is told."""
    check = step.check
    unheard = past.status_at in _TOLD_OF and check.status in _WATCHED
    if run.outcome is not RunOutcome.FAILED or not unheard:
        return _armed(step, signal.at)
    assert check.last_end is not None
    ended_at = max(check.last_end[0], signal.at)
    if past.status_at is not Status.NEW and check.rules.tolerance is not NO_TOLERANCE:
        step, tolerated = _late_failure(step, past, run, reason, at=ended_at)
        if tolerated or step.flips:
            return _armed(step, signal.at)
        check = step.check
    down = Flip(
        flip_no=check.flip_no + 1,
        at=signal.at,
        from_status=check.status,
        to_status=Status.DOWN,
        reason=reason,
        run=run,
    )
    up = Flip(
        flip_no=check.flip_no + 2,
        at=ended_at,
        from_status=Status.DOWN,
        to_status=check.status,
        reason=Reason.SUCCESS if check.status is Status.UP else Reason.GATE,
        run=run,
        tell=AlertKind.UP,  # one message tells of both
        down_since=signal.at,
    )
    since = max(ended_at, check.status_since)
    check = replace(check, flip_no=up.flip_no, status_since=since, status_reason=up.reason)
    return _armed(replace(step, check=check, flips=(down, up)), signal.at)


def _late_failure(step: Step, past: Past, run: Run, reason: Reason, *, at: datetime) -> tuple[Step, bool]:
    """It makes the row that it stands in longer by one. True: that is tolerated. If the row goes on, it is now."""
    check, tolerance = step.check, step.check.rules.tolerance
    memory = tolerances.with_failure_before(tolerance, check.memory)
    row = replace(memory, bad=past.bad_row + 1)
    if past.row_goes_on:
        memory = row
    step = replace(step, check=replace(check, memory=memory))
    if not tolerances.is_alarm(tolerance, row):
        return _with_run(step, replace(run, tolerated=tolerances.standing(tolerance, row))), True
    if past.row_goes_on:
        step = _flip(step, Status.DOWN, reason, at=at, run=run)
        step = replace(step, flips=(*step.flips[:-1], replace(step.flips[-1], failure=row.bad, since=row.bad_since)))
    return step, False


# --- failures, and what is tolerated ------------------------------------------------------------------


def _failed(
    step: Step, run: Run, reason: Reason, *, at: datetime, broken: tuple[Broken, ...] = ()
) -> tuple[Step, bool]:
    """A run, or a slot without one, went wrong: the check goes down. True: not yet, that is tolerated.

    Only a check that is up or degraded has something to be tolerated: one that never went well is told of at once.
    The step has the run.
    """
    check, tolerance = step.check, step.check.rules.tolerance
    run, share = replace(run, reason=reason), ""
    if tolerance is not NO_TOLERANCE:
        memory = tolerances.with_failure(tolerance, check.memory, at)
        enough = tolerances.is_alarm(tolerance, memory)
        check = replace(check, memory=memory)
        step = replace(step, check=check)
        if not enough and check.status in _WATCHED:
            run = replace(run, tolerated=tolerances.standing(tolerance, memory))
            return _with_run(step, run), True
        share = tolerances.share_words(tolerance, memory)
    step = _with_run(step, run)
    if check.status is not Status.DOWN:
        step = _flip(step, Status.DOWN, reason, at=at, run=run, broken=broken)
        if check.memory.bad > 1 or share:
            told = replace(step.flips[-1], failure=check.memory.bad, since=check.memory.bad_since, of_last=share)
            step = replace(step, flips=(*step.flips[:-1], told))
    return step, False


def _with_run(step: Step, run: Run) -> Step:
    """The step with this run as it is now."""
    known = any(one.id == run.id for one in step.runs)
    runs = tuple(run if one.id == run.id else one for one in step.runs) if known else (*step.runs, run)
    mine = step.run is not None and step.run.id == run.id
    open_runs = tuple(run if one.id == run.id else one for one in step.check.open_runs)
    check = step.check if open_runs == step.check.open_runs else replace(step.check, open_runs=open_runs)
    return replace(step, check=check, runs=runs, run=run if mine else step.run)


# --- silence -----------------------------------------------------------------------------------------


def after_silence(
    check: Check, *, through: datetime, blind: Sequence[Blind], new_id: Callable[[], int], now: datetime
) -> Step:
    """Judge everything that fell due up to `through`, the instant up to which every signal was heard."""
    if check.rules.unverified_is_down:
        blind = [one for one in blind if one.planned]
    step = _armed(Step(check=check), now)
    while (due := _due(step.check, through)) is not None:
        step = due(step, blind, new_id, now)
    return step


_Judge = Callable[[Step, Sequence[Blind], Callable[[], int], datetime], Step]


def _due(check: Check, through: datetime) -> _Judge | None:
    """What must be judged next, earliest first; at the same instant a run before a slot.

    That a slot is late is not told any more when it has closed, too.
    """
    hangs_at = min((slots.ends_by(check, run) for run in check.open_runs), default=None)
    misses_at = slots.slot_closes_at(check)
    starts_by = slots.starts_by(check)
    if starts_by is not None and starts_by <= through and (misses_at is None or starts_by < misses_at):
        return _not_started  # no run is under way, so none hangs
    if hangs_at is not None and hangs_at <= through and (misses_at is None or hangs_at <= misses_at):
        return _hung
    if misses_at is not None and misses_at <= through:
        return _missed
    late_at = slots.late_at(check)
    return _late if late_at is not None and late_at <= through else None


def _late(step: Step, blind: Sequence[Blind], _new_id: Callable[[], int], now: datetime) -> Step:
    opened = step.check.expected_at
    assert opened is not None
    deaf = slots.touching(blind, opened, opened + step.check.rules.grace)
    check = replace(step.check, late_told_at=opened)
    return _armed(replace(step, check=check, late_since=opened if deaf is None else None), now)


def _missed(step: Step, blind: Sequence[Blind], new_id: Callable[[], int], now: datetime) -> Step:
    is_new, opened, closes = step.check.status is Status.NEW, step.check.expected_at, slots.slot_closes_at(step.check)
    assert opened is not None
    assert closes is not None
    run = Run(id=new_id(), slot_at=opened)
    # Mostly there is none, and to say from when a success counts takes as long as all the rest.
    deaf = slots.touching(blind, slots.may_come_from(step.check, opened), closes) if blind else None
    if deaf is not None and not (is_new and slots.silent_since(step.check, deaf, closes)):
        return _unverified_slot(step, run, Unverified(run=run, from_at=opened, to_at=closes, blind=deaf), now)
    run = _closed(run, RunOutcome.MISSED, None)
    few = bool(step.check.memory.reported)
    reason = Reason.NO_FIRST_PING if is_new else Reason.TOO_FEW if few else Reason.MISSED
    step, tolerated = _failed(step, run, reason, at=closes)
    step = _round_ends(step, tolerated=tolerated)
    # Those slots in between that a run held open were missed with this one.
    return _armed(step, now, after=max(opened, closes - step.check.rules.grace) if tolerated else None)


def _round_ends(step: Step, *, tolerated: bool) -> Step:
    """The next slot wants a report of each anew. Those of an alarm are kept for a report that comes late."""
    memory = step.check.memory
    if not memory.reported:
        return step
    kept = bound_rules.round_over(memory, kept=not tolerated)
    return replace(step, check=replace(step.check, memory=kept))


def _not_started(step: Step, blind: Sequence[Blind], new_id: Callable[[], int], now: datetime) -> Step:
    check, opened, at = step.check, step.check.expected_at, slots.starts_by(step.check)
    assert opened is not None
    assert at is not None
    if slots.touching(blind, slots.may_come_from(check, opened), at) is not None:
        # It may have come unheard. Its end is still wanted, and is judged with the slot.
        return _armed(replace(step, check=replace(check, memory=bound_rules.excused(check.memory, opened))), now)
    run = Run(id=new_id(), slot_at=opened, outcome=RunOutcome.MISSED)
    step, tolerated = _failed(step, run, Reason.NOT_STARTED, at=at)
    return _armed(step, now, after=opened if tolerated else None)


def _unverified_slot(step: Step, run: Run, found: Unverified, now: datetime) -> Step:
    """Nothing came, but it may be we who did not hear it: excused once, not twice in a row."""
    check = step.check
    if check.unverified_in_row >= 1 and not found.blind.planned:
        run = _closed(run, RunOutcome.MISSED if run.started_at is None else RunOutcome.UNVERIFIED, None)
        step, tolerated = _failed(step, run, Reason.MISSED_TWICE_UNVERIFIED, at=found.to_at)
        if not tolerated:
            return _armed(step, now)
    else:
        run = _closed(run, RunOutcome.UNVERIFIED, None)
        step = replace(step, runs=(*step.runs, run), unverified=(*step.unverified, replace(found, run=run)))
    check = _round_ends(step, tolerated=True).check
    # The next slot is the first that opens when we could hear again; those in between are excused with this one.
    # A period counts from there, for a success may have come in the last moment that we could not hear.
    in_row = check.unverified_in_row if found.blind.planned else max(check.unverified_in_row, 0) + 1
    check = replace(check, unverified_in_row=in_row, anchor_at=found.blind.to_at)
    if check.status is Status.NEW:
        check = replace(check, expected_at=slots.first_slot_closes_after(check, found.blind))
        return _armed(replace(step, check=check), now)
    after = max(found.blind.to_at - timedelta(microseconds=1), found.to_at - check.rules.grace)
    return _armed(replace(step, check=check), now, after=after)


def _hung(step: Step, blind: Sequence[Blind], _new_id: Callable[[], int], now: datetime) -> Step:
    check = step.check
    run = min(check.open_runs, key=lambda run: (slots.ends_by(check, run), run.id))
    started, ends = run.counts_from, slots.ends_by(check, run)
    check = replace(check, open_runs=tuple(other for other in check.open_runs if other is not run))
    step = replace(step, check=check)
    deaf = slots.touching(blind, started, ends)
    if deaf is None:
        run = _closed(run, RunOutcome.HUNG, None)
        if slots.only_resume_helps(check):
            return _armed(_with_run(step, run), now)
        step, tolerated = _failed(step, run, Reason.HUNG, at=ends)
        if not tolerated or check.rules.bounds.reports is not None:
            return _armed(step, now)
        # As one that fails it is the end of its slot, which is not missed as well.
        return _armed(replace(step, check=replace(step.check, anchor_at=ends)), now, after=ends)
    found = Unverified(run=run, from_at=started, to_at=ends, blind=deaf)
    closes = slots.slot_closes_at(check)
    if check.expected_at is not None and closes is not None and closes <= ends:
        # This run alone held its slot open. That its end was not heard excuses both, as one.
        run = replace(run, slot_at=check.expected_at)
        found = replace(found, run=run, from_at=check.expected_at)
        return _unverified_slot(step, run, found, now)
    run = _closed(run, RunOutcome.UNVERIFIED, None)
    found = replace(found, run=run)
    return _armed(replace(step, runs=(*step.runs, run), unverified=(*step.unverified, found)), now)


# --- commands ----------------------------------------------------------------------------------------


def pause(check: Check, at: datetime) -> Step:
    """Paused checks expect nothing. Pausing a paused check changes nothing."""
    if check.status is Status.PAUSED:
        return Step(check=check)
    closed = tuple(_closed(run, RunOutcome.SUPERSEDED, at) for run in check.open_runs)
    step = Step(check=replace(check, open_runs=(), memory=NOTHING_KEPT), runs=closed)
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
        memory=NOTHING_KEPT,
    )
    return _armed(_flip(Step(check=forgotten), Status.NEW, Reason.RESUMED, at=at), at)


def edited(check: Check, rules: Rules, at: datetime) -> Step:
    """New rules count from the edit on: the first slot is the first of the new schedule after it. Never flips.

    Rules that leave the schedule as it was leave the slot's beginning as it was: nobody can excuse a job that is
    late by saving the same thing again, or with another grace. The slot then ends by the grace that it has now; when
    that end has passed already, the next look at the check finds it missed.
    """
    check = replace(check, memory=bound_rules.fitting(rules.bounds, tolerances.fitting(rules.tolerance, check.memory)))
    if rules.next_after == check.rules.next_after:
        return _armed(Step(check=replace(check, rules=rules)), at)
    check = replace(check, rules=rules, schedule_error_at=None, schedule_error=None)
    return _armed(Step(check=check), at, after=at)


def waits_for_first_ping(check: Check) -> bool:
    """It is new, and no success, fail or start has come since it was made or resumed; no run is under way."""
    return check.status is Status.NEW and check.last_ping_at is None and not check.open_runs


def first_ping_by(check: Check, by: datetime | None, at: datetime) -> Step | None:
    """A check that never pings at all is found: at `by` it goes down. None as `by`: it may wait for ever.

    None: its first ping has come.
    """
    if not waits_for_first_ping(check):
        return None
    return _armed(Step(check=replace(check, expected_at=by, unverified_in_row=0, anchor_at=None)), at)


# --- what all of them end with ----------------------------------------------------------------------


def _flip(
    step: Step,
    to_status: Status,
    reason: Reason,
    *,
    at: datetime,
    run: Run | None = None,
    broken: tuple[Broken, ...] = (),
) -> Step:
    check = step.check
    at = max(at, check.status_since)  # history never runs backwards, whatever the wall clock did
    flip = Flip(
        flip_no=check.flip_no + 1,
        at=at,
        from_status=check.status,
        to_status=to_status,
        reason=reason,
        run=run,
        tell=_tell(check.status, to_status),
        broken=broken,
        down_since=check.status_since if check.status is Status.DOWN else None,
    )
    changed = replace(check, status=to_status, status_since=at, status_reason=reason, flip_no=flip.flip_no)
    return replace(step, check=changed, flips=(*step.flips, flip))


def _tell(from_status: Status, to_status: Status) -> AlertKind | None:
    if to_status is Status.UP and from_status not in {Status.DOWN, Status.DEGRADED}:
        return None
    return _TELLS.get(to_status)


def _armed(step: Step, at: datetime, *, after: datetime | None = None) -> Step:
    """Set the deadlines that follow from the check as it is now, and count the revision.

    `after`: the slot is to be the first that opens after this instant; None: it stays as it is. Rules that raise leave
    the status alone; they are tried again in an hour.
    """
    check = step.check
    if check.status not in _WATCHED_OR_NEW:
        check = replace(check, expected_at=None)
    elif check.status is not Status.NEW and (after is not None or check.schedule_error_at is not None):
        # What fell due while the rules were broken is nobody's fault, so they count from now on.
        expected, error = slots.next_expected(check, after if after is not None else at)
        if error is not None and check.schedule_error_at is None:
            step = replace(step, schedule_error=error)
        error_at = None if error is None else check.schedule_error_at or at
        check = replace(check, expected_at=expected, schedule_error_at=error_at, schedule_error=error)
    goes_down_at = slots.goes_down_at(check)
    retry_at = at + SCHEDULE_RETRY if check.schedule_error_at is not None and check.status in _WATCHED else None
    ends = [slots.ends_by(check, run) for run in check.open_runs]
    wake_at = slots.earliest(goes_down_at, *ends, slots.late_at(check), retry_at)
    return replace(step, check=replace(check, goes_down_at=goes_down_at, wake_at=wake_at, rev=check.rev + 1))


def _closed(run: Run, outcome: RunOutcome, at: datetime | None) -> Run:
    return replace(run, outcome=outcome, ended_at=at)
