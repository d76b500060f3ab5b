"""Silence does the same to many checks: one that missed its slot is judged for all that are like it.

What a missed slot makes of a check is decided in core/check.py, and asked there once. Here stands of which checks
the answer may be copied: nothing but `judged_for_all` says so. Who may be compared at all is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from heartfly.core.check import after_silence
from heartfly.core.values import Blind, Check, Step, replace
from heartfly.core.words import Status

_WATCHED = (Status.UP, Status.DEGRADED)


def judged_for_all(check: Check, *, opened: tuple[datetime, datetime], through: datetime, blind: Sequence[Blind],
                   now: datetime) -> Step | None:  # fmt: skip
    """What silence makes of this check and of each that is like it: one run that was missed, one flip, nothing else.

    Alike are checks that differ in no more than their names, their schedules, what they heard, how often they changed,
    and when their slots opened: all of them between these two instants, each since it has its status, and closing one
    grace later, by `through`. `new_id` of the run is 0. None: each of them has to be judged by itself.
    """
    if (
        check.status not in _WATCHED
        or check.open_runs
        or check.unverified_in_row
        or check.schedule_error_at is not None
    ):
        return None
    # A success may have come early, by the grace; see `_may_come_from` there.
    first, last = opened[0] - check.rules.grace, opened[1] + check.rules.grace
    if any(one.touches(first, last) for one in blind):
        return None
    step = after_silence(check, through=through, blind=(), new_id=lambda: 0, now=now)
    return step if _is_one_miss(check, step) else None


def _is_one_miss(check: Check, step: Step) -> bool:
    if len(step.flips) != 1 or len(step.runs) != 1 or step.check.open_runs:
        return False
    (flip,), (run,), after = step.flips, step.runs, step.check
    expected = replace(
        check,
        status=flip.to_status,
        status_since=flip.at,
        status_reason=flip.reason,
        flip_no=flip.flip_no,
        rev=after.rev,
        expected_at=None,
        goes_down_at=None,
        wake_at=None,
    )
    plain = Step(check=expected, runs=(run,), flips=(flip,))
    return step == plain and flip.at == check.goes_down_at and run.slot_at == check.expected_at
