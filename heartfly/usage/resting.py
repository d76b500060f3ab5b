"""When an hour that was folded is folded again: at once would be to read it whole for each few events that come.

Which hours are dirty, and how they are folded, is folder.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

Hour = tuple[int, datetime]
"""Project, beginning."""

REST_S = 10.0
SHARE = 10
"""An hour that was just folded rests for REST_S, and so many times as long as that took."""
COMING_S = 300.0
"""And while events still come into it, as many times as long as all hours of its round would take, were they as large:
so that together they take a tenth of the time, however many they are. That rest is no longer than this."""


class _Rest(NamedTuple):
    least: float
    while_coming: float


class Resting:
    """Instants are monotonic seconds."""

    def __init__(self) -> None:
        self._rests: dict[Hour, _Rest] = {}
        self._seen: dict[Hour, int] = {}
        """The newest event of each, when it was last looked at."""
        self._saw_all = True
        self._n = 1

    def __len__(self) -> int:
        """How many hours may rest."""
        return len(self._rests)

    def clear(self) -> None:
        self._rests.clear()

    def ready(self, dirty: Sequence[tuple[int, datetime, int]], now: float, *, are_all: bool = True) -> list[Hour]:
        """Which of them are folded now. `dirty`: project, hour, and its newest event. `are_all`: there are no more.

        One that was not dirty at the last look, while others were, waits for the next: it is one of many that come in
        one after the other, as out of a log, and would be folded once half and once whole. Where not all are told,
        now or then, nobody knows which were.
        """
        self._rests = {hour: rest for hour, rest in self._rests.items() if rest.while_coming > now}
        seen, self._seen = self._seen, {(pid, hour): newest for pid, hour, newest in dirty}
        saw_all, self._saw_all = self._saw_all, are_all
        waits = seen and saw_all and are_all
        known = [(hour, newest) for hour, newest in self._seen.items() if hour in seen or not waits]
        found = [hour for hour, newest in known if not self._rests_on(hour, newest != seen.get(hour), now)]
        self._n = max(1, len(found))
        return found

    def _rests_on(self, hour: Hour, is_coming: bool, now: float) -> bool:  # noqa: FBT001 - a value
        rest = self._rests.get(hour)
        return rest is not None and now < (rest.while_coming if is_coming else rest.least)

    def folded(self, hour: Hour, now: float, took_s: float) -> None:
        """`took_s`: without what was waited for others, or on a crowded machine figures would be old for minutes."""
        least = max(REST_S, SHARE * took_s)
        coming = min(COMING_S, SHARE * took_s * self._n)
        self._rests[hour] = _Rest(now + least, now + max(least, coming))
