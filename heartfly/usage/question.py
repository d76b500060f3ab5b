"""What is asked of a meter: which time in which windows, of whom, grouped by what; and what cannot be asked.

How it is answered is decided in answers.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from heartfly.core.windows import Size
from heartfly.errors import InvalidValueError
from heartfly.usage.meter_queries import Stored

CUSTOMER, SUBJECT = "customer", "subject"
"""What everything may be grouped by, besides the meter's own keys."""
_MOST_WINDOWS: Mapping[Size | None, tuple[timedelta, str]] = {
    Size.MINUTE: (timedelta(days=1), "a day"),
    Size.HOUR: (timedelta(days=100), "100 days"),
    Size.DAY: (timedelta(days=3_700), "ten years"),
    Size.MONTH: (timedelta(days=3_700), "ten years"),
    None: (timedelta(days=3_700), "ten years"),
}
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """[from_at, to_at). `size` None: it is one window. `only`: for a group key the values to look at; None: has none.

    `customers`: public ids. Of `customers` and `subjects` that are both there, both must hold.
    """

    from_at: datetime
    to_at: datetime
    size: Size | None
    zone: ZoneInfo
    group_by: Sequence[str] = ()
    customers: Sequence[str] = ()
    subjects: Sequence[str] = ()
    only: Mapping[str, frozenset[str | None]] = field(default_factory=dict)


def own_keys(stored: Stored, question: Question) -> Sequence[str]:
    """The meter's own keys that the question names. InvalidValueError."""
    known = {key for version in stored.versions for key in version.meter.group_keys}
    own = [name for name in question.group_by if name not in {CUSTOMER, SUBJECT}]
    for name in own:
        if name not in known:
            told = ", ".join([CUSTOMER, SUBJECT, *sorted(known)])
            raise InvalidValueError("group_by", f"the meter has no group key {name[:100]}; known are {told}")
    if len(set(question.group_by)) < len(question.group_by):
        raise InvalidValueError("group_by", "names something twice")
    for name in question.only:
        if name not in known:
            told = f"known are {', '.join(sorted(known))}" if known else "it has none"
            raise InvalidValueError("filter", f"the meter has no group key {name[:100]}; {told}")
    return own


def demand_bounds(question: Question) -> None:
    if not EARLIEST <= question.from_at <= LATEST:
        raise InvalidValueError("from", "must be within 1970 to 2200")
    if not question.from_at < question.to_at <= LATEST:
        raise InvalidValueError("to", "must be after `from`, and before 2200")
    most, words = _MOST_WINDOWS[question.size]
    if question.to_at - question.from_at > most:
        size = "none" if question.size is None else question.size.value
        raise InvalidValueError("to", f"is more than {words} after `from`, which is the most for window={size}")
