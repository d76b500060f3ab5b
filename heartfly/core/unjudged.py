"""What becomes of a check that maintenance leaves unjudged, worked out ahead for whoever looks at it meanwhile.

What is stored says when something of it falls due, as if no window were there; monitor/planned.py leaves it alone.
Nothing is decided here: the judging at the end of the window is check.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count

from heartfly.core.check import after_silence
from heartfly.core.silence import Span
from heartfly.core.values import Blind, Check


def left_until(check: Check, windows: Sequence[Span]) -> datetime | None:
    """When what falls due first is looked at. None: at its time, for it is in none of the windows.

    `windows`: the present spans of those in which the check is not judged.
    """
    due = check.goes_down_at
    if due is None or not windows:
        return None
    begins, until = min(one.from_at for one in windows), max(one.to_at for one in windows)
    return until if begins <= due <= until else None


def is_excused(expected_at: datetime, goes_down_at: datetime | None, windows: Sequence[Span]) -> bool:
    """Of what has not come at its time: it is not late, as it fell into the windows, or is not judged in them."""
    if not windows:
        return False
    begins, until = min(one.from_at for one in windows), max(one.to_at for one in windows)
    return begins <= expected_at < until or (goes_down_at is not None and begins <= goes_down_at <= until)


def expected_after(check: Check, windows: Sequence[Span]) -> datetime | None:
    """When its next run is expected: while the windows last none is."""
    at = after_windows(check, windows).expected_at
    if at is None or not windows:
        return at
    begins, until = min(one.from_at for one in windows), max(one.to_at for one in windows)
    return until if begins <= at < until else at


def after_windows(check: Check, windows: Sequence[Span]) -> Check:
    """As the end of the windows leaves it, if nothing comes until then; as it is, if they change nothing."""
    until = left_until(check, windows)
    if until is None:
        return check
    blind = Blind(id=0, from_at=min(one.from_at for one in windows), to_at=until, planned=True)
    return after_silence(check, through=until, blind=[blind], new_id=count(-1, -1).__next__, now=until).check
