"""Time that is not judged because somebody said so: maintenance windows whose effect is `ignore`.

A check whose deadline falls into one is left alone until its end, and judged then as if nobody could have heard it: the
slots and runs that the window touched are unverified, and the next slot counts from its end. So no alarm comes at the
moment at which it ends, and none for what was switched off. What jobs say meanwhile is heard as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from heartfly.checks.rows import Stored
from heartfly.core.silence import Silence, Span
from heartfly.core.values import Blind, Step, replace

_JUST_BEFORE = timedelta(microseconds=1)
_LOOKS_BACK = timedelta(days=31)
"""What ended longer ago excuses nothing: not all windows of a year are looked through for a yearly job."""


@dataclass(frozen=True, slots=True)
class Planned:
    """`through`: up to where the check may be judged. `until`: it is left alone until then; None: it is not."""

    through: datetime
    until: datetime | None = None
    blind: Sequence[Blind] = ()


def planned(one: Stored, silences: Sequence[Silence], *, since: datetime, through: datetime) -> Planned:
    """`since`: nothing before it can matter to the check any more."""
    row = one.row
    mine = [silence for silence in silences if silence.covers_check(row.uuid, row.tags)]
    since = max(since, through - _LOOKS_BACK)
    spans = [span for silence in mine for span in silence.spans(since, through)]
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
