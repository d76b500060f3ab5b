"""When a slot of a check opens and closes, and what holds it open: questions about a check as it is.

Nothing is changed here. What follows from a slot that was missed, a run that hangs or a success that is early is
decided in check.py, which asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from heartfly.core import bounds as bound_rules
from heartfly.core.values import Blind, Check, Run, Signal, Slot, replace
from heartfly.core.words import Status

WATCHED = (Status.UP, Status.DEGRADED)


def current_slot(check: Check) -> Slot | None:
    """For who explains: the slot as it is judged. None: nothing is expected."""
    closes_at = slot_closes_at(check)
    if closes_at is None or check.expected_at is None:
        return None
    return Slot(
        expected_at=check.expected_at,
        counts_from=may_come_from(check, check.expected_at),
        closes_at=closes_at,
        held_by=tuple(run.id for run in check.open_runs if holds_slot(check, run)),
        starts_by=starts_by(check),
        early_from=early_from(check) if check.status in WATCHED else None,
    )


def slot_closes_at(check: Check) -> datetime | None:
    """The deadline of the current slot.

    A run under way with a limit of its own (`max_run`) holds the slot open up to that limit: the job is known to be
    alive, and how long it may take has been said. Starts that supersede one another hold it for one `max_run`, not
    for ever.
    """
    if check.status is Status.NEW:
        return check.expected_at
    if check.status not in WATCHED or check.expected_at is None:
        return None
    closes = check.expected_at + check.rules.grace
    if not check.open_runs:
        return closes
    held = max((_held_until(check, run, closes) for run in check.open_runs if holds_slot(check, run)), default=closes)
    return max(closes, held)


def _held_until(check: Check, run: Run, closes: datetime) -> datetime:
    """Only one that began in time itself, and says that it is at work, holds the slot for longer than one limit."""
    ends = ends_by(check, run)
    if run.progress_at is not None and started(run) <= closes:
        return ends
    return min(ends, closes + check.rules.run_limit)


def holds_slot(check: Check, run: Run) -> bool:
    """It began by the end of the grace, or follows without an end in between on one that did."""
    if check.expected_at is None or (check.rules.max_run is None and check.rules.bounds.start_within is None):
        return False
    return started(run) <= check.expected_at + check.rules.grace or run.slot_at == check.expected_at


def ends_by(check: Check, run: Run) -> datetime:
    """The instant, inclusive, at which a run that is under way hangs."""
    return run.counts_from + check.rules.run_limit


def goes_down_at(check: Check) -> datetime | None:
    """The first instant (UTC, inclusive) at which silence is an alarm; None: never, as things stand."""
    if check.status is Status.DOWN or only_resume_helps(check):
        return None
    closes_at = slot_closes_at(check)
    if not check.open_runs:
        return earliest(closes_at, starts_by(check))
    return earliest(closes_at, *(ends_by(check, run) for run in check.open_runs))


def starts_by(check: Check) -> datetime | None:
    """By when a run must have begun. Any that is under way says that the job is at work."""
    limit, opened = check.rules.bounds.start_within, check.expected_at
    if limit is None or opened is None or check.status not in WATCHED or check.open_runs:
        return None
    return opened + limit if check.memory.excused_start != opened else None


def late_at(check: Check) -> datetime | None:
    """When somebody will be told that the check is late. A run under way is not lateness."""
    if not check.rules.wants_late or check.expected_at is None or check.open_runs or check.status is Status.NEW:
        return None
    return check.expected_at if check.late_told_at != check.expected_at else None


def early_from(check: Check) -> datetime | None:
    """The first instant at which a success is for the slot that opens next; None: the schedule alone says that."""
    if check.expected_at is None:
        return None
    by = bound_rules.early_by(check.rules.bounds, check.expected_at, lambda at: next_expected(check, at)[0])
    return None if by is None else check.expected_at - by


def too_early(check: Check, signal: Signal) -> bool:
    from_at = early_from(check)
    return from_at is not None and signal.at < from_at


def may_come_from(check: Check, opened: datetime) -> datetime:
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
    puts_off, _ = next_expected(replace(check, anchor_at=early), early)
    return early if puts_off is not None and puts_off > opened else opened


def round_is_over(check: Check, signal: Signal) -> bool:
    """While a check is down no slot ends a round of reports: as long as a slot would have been open, it lasts."""
    began = check.memory.round_at
    if began is None:
        return True
    following, _ = next_expected(replace(check, anchor_at=began), began)
    return following is not None and following + check.rules.grace <= signal.at


def silent_since(check: Check, blind: Blind, through: datetime) -> bool:
    """Whether a job that had begun in time that we could not hear would have been heard since: a whole slot passed."""
    closes = first_slot_closes_after(check, blind)
    return closes is not None and closes <= through


def first_slot_closes_after(check: Check, blind: Blind) -> datetime | None:
    """Of a new check, which has no slots yet: as if it had pinged in the last moment that we could not hear."""
    heard_from = replace(check, anchor_at=blind.to_at)
    expected, _ = next_expected(heard_from, blind.to_at - timedelta(microseconds=1))
    return None if expected is None else expected + check.rules.grace


def next_expected(check: Check, after: datetime) -> tuple[datetime | None, str | None]:
    """The first expected time after this instant, or what the rules raised instead."""
    try:
        return check.rules.next_after(after, check.anchor_at or after), None
    except Exception as raised:  # noqa: BLE001 - shown on the check and told to its owner
        return None, str(raised) or type(raised).__name__


def touching(blind: Sequence[Blind], from_at: datetime, to_at: datetime) -> Blind | None:
    """Of the blind intervals that touch this span, the one that lasted longest into it."""
    return max((b for b in blind if b.touches(from_at, to_at)), key=lambda b: b.to_at, default=None)


def only_resume_helps(check: Check) -> bool:
    return check.status is Status.PAUSED and check.rules.sticky


def earliest(*instants: datetime | None) -> datetime | None:
    return min([instant for instant in instants if instant is not None], default=None)


def started(run: Run) -> datetime:
    assert run.started_at is not None
    return run.started_at


def age(run: Run) -> tuple[datetime, int]:
    return started(run), run.id
