"""The life of one check: what each signal, each silence and each command makes of it.

Everything that can change a status stands in this file. It reads no clock and saves nothing:
pings/apply.py, monitor/judge.py and checks/commands.py do that. The table that it follows is drawn
in ARCHITECTURE.md; the words are defined in docs/glossary.md.

    slot k   [e_k, e_k + grace]; e_k = last success or fail + k periods, or the k-th fire after it
    deadline expected_at + grace, inclusive: the first instant at which silence is an alarm;
             of a new check, by when somebody wants its first ping, if anybody does;
             a run that was started goes down at started_at + max_run, and one with a max_run of
             its own holds its slot open (docs/decisions/0012-a-run-under-way-holds-its-slot.md)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from heartfly.core import gates as gate_rules
from heartfly.core.coverage import Span, reaches_ahead
from heartfly.core.gates import NOTHING, Broken, Known, Level, Reported
from heartfly.core.values import Blind, Check, Flip, Past, Rules, Run, Signal, Slot, Step, Unverified, replace
from heartfly.core.words import AlertKind, PingKind, Reason, RunOutcome, Status

MAX_OPEN_RUNS = 100
"""More runs open at a time than this, and the oldest is superseded: a bound for jobs that never report an end."""

SCHEDULE_RETRY = timedelta(hours=1)

END_REMEMBERED = timedelta(minutes=2)
"""A start that comes so soon after the end of its own run was overtaken by it, or is a retry; later it is a new run of
a job that uses one id for ever."""

_WATCHED = (Status.UP, Status.DEGRADED)
_TELLS = {Status.DOWN: AlertKind.DOWN, Status.DEGRADED: AlertKind.DEGRADED, Status.UP: AlertKind.UP}
_WATCHED_OR_NEW = (*_WATCHED, Status.NEW)
_TOLD_OF = (Status.NEW, Status.UP, Status.DEGRADED)
_COMMANDS = (Reason.PAUSED, Reason.RESUMED)
_OUTCOMES = {Status.UP: RunOutcome.OK, Status.DEGRADED: RunOutcome.DEGRADED, Status.DOWN: RunOutcome.FAILED}
_SILENCE = (Reason.MISSED, Reason.MISSED_TWICE_UNVERIFIED, Reason.NO_FIRST_PING, Reason.HUNG)

# --- signals ---------------------------------------------------------------------------------------


def needs_past(check: Check, signal: Signal) -> bool:
    """Whether `after_ping` must be given a `Past` for this signal: something newer was applied or decided."""
    if signal.kind is PingKind.LOG or signal.kind is PingKind.IGNORED:
        return False
    if signal.kind is PingKind.START and signal.rid is not None:
        return True  # its end may have come before it, or this may be a retry from before that end
    return signal.is_before(check.last_end) or _before_alarm(check, signal)


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
    if _only_resume_helps(check):
        kind = PingKind.IGNORED
    check = replace(check, n_pings=check.n_pings + 1)
    if kind is PingKind.SUCCESS or kind is PingKind.FAIL:
        step = _end(check, signal, past, known)
    elif kind is PingKind.START:
        step = _start(check, signal, past)
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
    slot_at = check.expected_at if any(_holds_slot(check, run) for run in rivals) else None
    opened = Run(id=signal.id, rid=signal.rid, started_at=signal.at, order=signal.order, slot_at=slot_at)
    opened = replace(opened, ping_n=check.n_pings)
    if _before_command(check, signal) or any(run.began_after(signal) for run in rivals):
        # Superseded before we heard of it: by a newer start, or by the pause.
        opened = _closed(opened, RunOutcome.SUPERSEDED, signal.at)
        return _armed(Step(check=check, run=opened, runs=(opened,)), signal.at)
    if check.status is Status.NEW:
        check = replace(check, expected_at=None)  # its first ping has come; the run has a limit of its own
    others = [run for run in check.open_runs if run not in rivals]
    if len(others) >= MAX_OPEN_RUNS:
        rivals.append(min(others, key=_age))
        others.remove(rivals[-1])
    closed = [_closed(run, RunOutcome.SUPERSEDED, signal.at) for run in rivals]
    step = Step(check=replace(check, open_runs=(*others, opened)), run=opened, runs=(*closed, opened))
    return _armed(step, signal.at)


def _end(check: Check, signal: Signal, past: Past | None, known: Known) -> Step:
    run, open_runs = _ended_run(check, signal, past)
    broken = _broken(check, signal, run, known) if signal.kind is PingKind.SUCCESS else ()
    to_status, reason = _verdict(signal, gate_rules.worst(broken))
    run = replace(run, outcome=_OUTCOMES[to_status], covers=_counted(signal, broken))
    step = Step(check=replace(check, open_runs=open_runs), run=run, runs=(run,))
    if signal.is_before(check.last_end):
        return _late_end(step, signal, past or Past(), run=run, reason=reason)
    if _before_command(check, signal):
        return _armed(step, signal.at)
    ended = replace(
        step.check,
        last_duration=run.duration,
        last_end=signal.order,
        last_end_kind=signal.kind,
        anchor_at=signal.at,
        unverified_in_row=0,
    )
    step = replace(step, check=ended)
    if to_status is check.status:
        return _armed(step, signal.at, after=signal.at)
    if _before_alarm(check, signal):
        return _retracted(step, signal, past or Past(), to_status=to_status, run=run, broken=broken)
    step = _flip(step, to_status, reason, at=signal.at, run=run, broken=broken)
    return _armed(step, signal.at, after=signal.at)


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


def _verdict(signal: Signal, level: Level | None) -> tuple[Status, Reason]:
    if signal.kind is PingKind.FAIL:
        return Status.DOWN, Reason.EXIT_STATUS if signal.exit_status else Reason.FAIL
    if level is Level.FAIL:
        return Status.DOWN, Reason.GATE
    if level is Level.WARN:
        return Status.DEGRADED, Reason.GATE
    return Status.UP, Reason.SUCCESS


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
        run = max(mine, key=lambda run: (run.rid == signal.rid, _age(run)))
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


def _retracted(
    step: Step, signal: Signal, past: Past, *, to_status: Status, run: Run, broken: tuple[Broken, ...]
) -> Step:
    """A success from before the alarm. If none had been raised had we known of it in time, the alarm is taken back."""
    check = step.check
    another = past.hung_run is None or past.hung_run.id != run.id
    expected, _ = _next_expected(check, signal.at)
    closes = _slot_closes_at(replace(check, status=to_status, expected_at=expected))
    after, unverified = signal.at, 0
    if check.status_reason is Reason.MISSED_TWICE_UNVERIFIED and closes == check.status_since and expected is not None:
        # Of the two slots that we could not hear the first is settled, so the second is the first in a row.
        after, unverified = expected, 1
    elif closes is not None and closes <= check.status_since:
        return _armed(step, signal.at)
    if past.hung_since or (check.status_reason is Reason.HUNG and another):
        return _armed(step, signal.at)
    step = replace(step, check=replace(check, unverified_in_row=unverified))
    reason = Reason.RETRACTED if to_status is Status.UP else Reason.GATE
    step = _flip(step, to_status, reason, at=check.status_since, run=run, broken=broken)
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


# --- silence -----------------------------------------------------------------------------------------


def after_silence(
    check: Check, *, through: datetime, blind: Sequence[Blind], new_id: Callable[[], int], now: datetime
) -> Step:
    """Judge everything that fell due up to `through`, the instant up to which every signal was heard."""
    step = _armed(Step(check=check), now)
    while (due := _due(step.check, through)) is not None:
        step = due(step, blind, new_id, now)
    return step


_Judge = Callable[[Step, Sequence[Blind], Callable[[], int], datetime], Step]


def _due(check: Check, through: datetime) -> _Judge | None:
    """What must be judged next, earliest first; at the same instant a run before a slot.

    That a slot is late is not told any more when it has closed, too.
    """
    hangs_at = min((_ends_by(check, run) for run in check.open_runs), default=None)
    misses_at = _slot_closes_at(check)
    if hangs_at is not None and hangs_at <= through and (misses_at is None or hangs_at <= misses_at):
        return _hung
    if misses_at is not None and misses_at <= through:
        return _missed
    late_at = _late_at(check)
    return _late if late_at is not None and late_at <= through else None


def _late_at(check: Check) -> datetime | None:
    """When somebody will be told that the check is late. A run under way is not lateness."""
    if not check.rules.wants_late or check.expected_at is None or check.open_runs or check.status is Status.NEW:
        return None
    return check.expected_at if check.late_told_at != check.expected_at else None


def _late(step: Step, blind: Sequence[Blind], _new_id: Callable[[], int], now: datetime) -> Step:
    opened = step.check.expected_at
    assert opened is not None
    deaf = _touching(blind, opened, opened + step.check.rules.grace)
    check = replace(step.check, late_told_at=opened)
    return _armed(replace(step, check=check, late_since=opened if deaf is None else None), now)


def _missed(step: Step, blind: Sequence[Blind], new_id: Callable[[], int], now: datetime) -> Step:
    is_new, opened, closes = step.check.status is Status.NEW, step.check.expected_at, _slot_closes_at(step.check)
    assert opened is not None
    assert closes is not None
    run = Run(id=new_id(), slot_at=opened)
    # Mostly there is none, and to say from when a success counts takes as long as all the rest.
    deaf = _touching(blind, _may_come_from(step.check, opened), closes) if blind else None
    if deaf is not None and not (is_new and _silent_since(step.check, deaf, closes)):
        return _unverified_slot(step, run, Unverified(run=run, from_at=opened, to_at=closes, blind=deaf), now)
    run = _closed(run, RunOutcome.MISSED, None)
    reason = Reason.NO_FIRST_PING if is_new else Reason.MISSED
    step = _flip(replace(step, runs=(*step.runs, run)), Status.DOWN, reason, at=closes, run=run)
    return _armed(step, now)


def _silent_since(check: Check, blind: Blind, through: datetime) -> bool:
    """Whether a job that had begun in time that we could not hear would have been heard since: a whole slot passed."""
    closes = _first_slot_closes_after(check, blind)
    return closes is not None and closes <= through


def _first_slot_closes_after(check: Check, blind: Blind) -> datetime | None:
    """Of a new check, which has no slots yet: as if it had pinged in the last moment that we could not hear."""
    heard_from = replace(check, anchor_at=blind.to_at)
    expected, _ = _next_expected(heard_from, blind.to_at - timedelta(microseconds=1))
    return None if expected is None else expected + check.rules.grace


def _unverified_slot(step: Step, run: Run, found: Unverified, now: datetime) -> Step:
    """Nothing came, but it may be we who did not hear it: excused once, not twice in a row."""
    check = step.check
    if check.unverified_in_row >= 1 and not found.blind.planned:
        run = _closed(run, RunOutcome.MISSED if run.started_at is None else RunOutcome.UNVERIFIED, None)
        step = replace(step, runs=(*step.runs, run))
        step = _flip(step, Status.DOWN, Reason.MISSED_TWICE_UNVERIFIED, at=found.to_at, run=run)
        return _armed(step, now)
    run = _closed(run, RunOutcome.UNVERIFIED, None)
    step = replace(step, runs=(*step.runs, run), unverified=(*step.unverified, replace(found, run=run)))
    # The next slot is the first that opens when we could hear again; those in between are excused with this one.
    # A period counts from there, for a success may have come in the last moment that we could not hear.
    in_row = check.unverified_in_row if found.blind.planned else max(check.unverified_in_row, 0) + 1
    check = replace(check, unverified_in_row=in_row, anchor_at=found.blind.to_at)
    if check.status is Status.NEW:
        check = replace(check, expected_at=_first_slot_closes_after(check, found.blind))
        return _armed(replace(step, check=check), now)
    after = max(found.blind.to_at - timedelta(microseconds=1), found.to_at - check.rules.grace)
    return _armed(replace(step, check=check), now, after=after)


def _hung(step: Step, blind: Sequence[Blind], _new_id: Callable[[], int], now: datetime) -> Step:
    check = step.check
    run = min(check.open_runs, key=_age)
    started, ends = _started(run), _ends_by(check, run)
    check = replace(check, open_runs=tuple(other for other in check.open_runs if other is not run))
    step = replace(step, check=check)
    deaf = _touching(blind, started, ends)
    if deaf is None:
        run = _closed(run, RunOutcome.HUNG, None)
        step = replace(step, runs=(*step.runs, run))
        if check.status is not Status.DOWN and not _only_resume_helps(check):
            step = _flip(step, Status.DOWN, Reason.HUNG, at=ends, run=run)
        return _armed(step, now)
    found = Unverified(run=run, from_at=started, to_at=ends, blind=deaf)
    closes = _slot_closes_at(check)
    if check.expected_at is not None and closes is not None and closes <= ends:
        # This run alone held its slot open. That its end was not heard excuses both, as one.
        run = replace(run, slot_at=check.expected_at)
        found = replace(found, run=run, from_at=check.expected_at)
        return _unverified_slot(step, run, found, now)
    run = _closed(run, RunOutcome.UNVERIFIED, None)
    found = replace(found, run=run)
    return _armed(replace(step, runs=(*step.runs, run), unverified=(*step.unverified, found)), now)


def _may_come_from(check: Check, opened: datetime) -> datetime:
    """The first instant from which a success counts for this slot.

    A calendar says when its slot opens. A job that runs every so often may come early, as it may come late: by the
    grace, and at any time after a slot that we could not hear. Coming early while we could not hear, it would have put
    the slot off. The first ping of a new check may come at any time.
    """
    if check.status is Status.NEW:
        return check.status_since if check.anchor_at is None else check.anchor_at + timedelta(microseconds=1)
    early = opened - check.rules.grace
    after_anchor = early if check.anchor_at is None else check.anchor_at + timedelta(microseconds=1)
    early = after_anchor if check.unverified_in_row else max(early, after_anchor)
    if early > opened:
        return opened  # by a calendar, it opened in the last instant that we could not hear
    puts_off, _ = _next_expected(replace(check, anchor_at=early), early)
    return early if puts_off is not None and puts_off > opened else opened


def _touching(blind: Sequence[Blind], from_at: datetime, to_at: datetime) -> Blind | None:
    """Of the blind intervals that touch this span, the one that lasted longest into it."""
    return max((b for b in blind if b.touches(from_at, to_at)), key=lambda b: b.to_at, default=None)


def _started(run: Run) -> datetime:
    assert run.started_at is not None
    return run.started_at


def _age(run: Run) -> tuple[datetime, int]:
    return _started(run), run.id


def _ends_by(check: Check, run: Run) -> datetime:
    return _started(run) + check.rules.run_limit


def _only_resume_helps(check: Check) -> bool:
    return check.status is Status.PAUSED and check.rules.sticky


# --- commands ----------------------------------------------------------------------------------------


def pause(check: Check, at: datetime) -> Step:
    """Paused checks expect nothing. Pausing a paused check changes nothing."""
    if check.status is Status.PAUSED:
        return Step(check=check)
    closed = tuple(_closed(run, RunOutcome.SUPERSEDED, at) for run in check.open_runs)
    step = Step(check=replace(check, open_runs=()), runs=closed)
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
    """New rules count from the edit on: the first slot is the first of the new schedule after it. Never flips.

    Rules that leave the schedule as it was leave the slot's beginning as it was: nobody can excuse a job that is
    late by saving the same thing again, or with another grace. The slot then ends by the grace that it has now; when
    that end has passed already, the next look at the check finds it missed.
    """
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
        expected, error = _next_expected(check, after if after is not None else at)
        if error is not None and check.schedule_error_at is None:
            step = replace(step, schedule_error=error)
        error_at = None if error is None else check.schedule_error_at or at
        check = replace(check, expected_at=expected, schedule_error_at=error_at, schedule_error=error)
    goes_down_at = _goes_down_at(check)
    retry_at = at + SCHEDULE_RETRY if check.schedule_error_at is not None and check.status in _WATCHED else None
    ends = [_ends_by(check, run) for run in check.open_runs]
    wake_at = _earliest(goes_down_at, *ends, _late_at(check), retry_at)
    return replace(step, check=replace(check, goes_down_at=goes_down_at, wake_at=wake_at, rev=check.rev + 1))


def _next_expected(check: Check, after: datetime) -> tuple[datetime | None, str | None]:
    """The first expected time after this instant, or what the rules raised instead."""
    try:
        return check.rules.next_after(after, check.anchor_at or after), None
    except Exception as raised:  # noqa: BLE001 - shown on the check and told to its owner
        return None, str(raised) or type(raised).__name__


def _slot_closes_at(check: Check) -> datetime | None:
    """The deadline of the current slot.

    A run under way with a limit of its own (`max_run`) holds the slot open up to that limit: the job is known to be
    alive, and how long it may take has been said. Starts that supersede one another hold it for one `max_run`, not
    for ever.
    """
    if check.status is Status.NEW:
        return check.expected_at
    if check.status not in _WATCHED or check.expected_at is None:
        return None
    closes = check.expected_at + check.rules.grace
    if not check.open_runs:
        return closes
    held = max((_ends_by(check, run) for run in check.open_runs if _holds_slot(check, run)), default=closes)
    return max(closes, min(held, closes + check.rules.run_limit))


def current_slot(check: Check) -> Slot | None:
    """For who explains: the slot as it is judged. None: nothing is expected."""
    closes_at = _slot_closes_at(check)
    if closes_at is None or check.expected_at is None:
        return None
    return Slot(
        expected_at=check.expected_at,
        counts_from=_may_come_from(check, check.expected_at),
        closes_at=closes_at,
        held_by=tuple(run.id for run in check.open_runs if _holds_slot(check, run)),
    )


def _holds_slot(check: Check, run: Run) -> bool:
    """It began by the end of the grace, or follows without an end in between on one that did."""
    if check.rules.max_run is None or check.expected_at is None:
        return False
    return _started(run) <= check.expected_at + check.rules.grace or run.slot_at == check.expected_at


def _goes_down_at(check: Check) -> datetime | None:
    """The first instant (UTC, inclusive) at which silence is an alarm; None: never, as things stand."""
    if check.status is Status.DOWN or _only_resume_helps(check):
        return None
    closes_at = _slot_closes_at(check)
    if not check.open_runs:
        return closes_at
    return _earliest(closes_at, *(_ends_by(check, run) for run in check.open_runs))


def _earliest(*instants: datetime | None) -> datetime | None:
    return min([instant for instant in instants if instant is not None], default=None)


def _closed(run: Run, outcome: RunOutcome, at: datetime | None) -> Run:
    return replace(run, outcome=outcome, ended_at=at)
