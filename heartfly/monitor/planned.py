"""Time that is not judged because somebody said so: maintenance windows whose effect is `ignore`.

A check whose deadline falls into one is left alone until its end, and judged then as if nobody could have heard it: the
slots and runs that the window touched are unverified, and the next slot counts from its end. So no alarm comes at the
moment at which it ends, and none for what was switched off. What jobs say meanwhile is heard as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from heartfly.checks.rows import Stored
from heartfly.core.silence import Silence, Span
from heartfly.core.values import Blind, Check, Step, replace
from heartfly.core.words import Status

_JUST_BEFORE = timedelta(microseconds=1)
_NEAR = timedelta(days=2)
"""As far as most checks have to be looked back for, so that they share what is worked out."""
_LOOKS_BACK = timedelta(days=31)
"""What ended longer ago excuses nothing: not all windows of a year are looked through for a yearly job."""


@dataclass(frozen=True, slots=True)
class Planned:
    """`through`: up to where the check may be judged. `until`: it is left alone until then; None: it is not."""

    through: datetime
    until: datetime | None = None
    blind: Sequence[Blind] = ()


class Windows:
    """The times of the silences that leave checks unjudged, worked out once for all checks of a batch."""

    def __init__(self, silences: Mapping[int, Sequence[Silence]], *, since: datetime) -> None:
        """`silences`: by project. `since`: nothing before it can matter to any of the checks."""
        self._silences = silences
        self._since = since
        self._known: dict[tuple[int, datetime, datetime], Sequence[Span]] = {}

    def of(self, one: Stored, through: datetime) -> list[Span]:
        """Those that cover the check, as far as they can matter to it."""
        mine = self._mine(one)
        if not mine:
            return []
        near = through - _NEAR
        since = near if _matters_since(one.check) > near else max(self._since, through - _LOOKS_BACK)
        return [span for silence in mine for span in self._spans(silence, since, through)]

    def _mine(self, one: Stored) -> list[Silence]:
        row = one.row
        return [silence for silence in self._silences.get(one.pid, ()) if silence.covers_check(row.uuid, row.tags)]

    def before(self, one: Stored) -> Blind | None:
        """The one from whose end the check counts its slots, however long ago that was."""
        anchor = one.check.anchor_at
        if anchor is None:
            return None
        spans = (silence.span_at(anchor - _JUST_BEFORE) for silence in self._mine(one))
        return next((_blind(span) for span in spans if span is not None and span.to_at == anchor), None)

    def _spans(self, silence: Silence, since: datetime, through: datetime) -> Sequence[Span]:
        key = (silence.id, since, through)
        if key not in self._known:
            self._known[key] = [*silence.spans(since, through)]
        return self._known[key]


def _matters_since(check: Check) -> datetime:
    """The earliest instant at which something may have been heard that is judged now; see `may_come_from`."""
    of_slot = [] if check.expected_at is None else [check.expected_at - check.rules.grace]
    if check.status is Status.NEW:
        of_slot = [check.status_since]
    if check.unverified_in_row and check.anchor_at is not None:
        of_slot.append(check.anchor_at)
    starts = [*of_slot, *(run.counts_from for run in check.open_runs)]
    return min(starts, default=check.status_since)


def planned(one: Stored, windows: Windows, *, through: datetime) -> Planned:
    spans = windows.of(one, through)
    running = [span for span in spans if span.from_at <= through < span.to_at]
    over = [_blind(span) for span in spans if span.to_at <= through]
    if not running:
        return Planned(through, None, over)
    begins = min(span.from_at for span in running)
    return Planned(begins - _JUST_BEFORE, max(span.to_at for span in running), over)


def left_alone(step: Step, until: datetime | None) -> Step:
    """Looked at no earlier than at the end of the window. Nobody is told of what went unjudged as planned."""
    told = tuple(one for one in step.unverified if not one.blind.planned)
    check = step.check
    if until is not None and check.wake_at is not None and check.wake_at < until:
        check = replace(check, wake_at=until)
    return replace(step, check=check, unverified=told)


def _blind(span: Span) -> Blind:
    return Blind(id=0, from_at=span.from_at, to_at=span.to_at, planned=True)
