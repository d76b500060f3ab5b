"""From times on the wall to instants: what a scheduler does where the clock jumps.

A timetable knows only naive wall-clock times. Most name one instant; those in a gap (spring) name
none and those in an overlap (autumn) name two. Schedulers differ there, and the three rules below
are what they were seen to do. How expressions are read is decided in cron.py and oncalendar.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from heartfly.core.zones import Jump, jump_between

TICK = timedelta(seconds=1)
"""The finest step of a timetable: no wall time lies between one second and the next."""

CORRECTION = timedelta(hours=3)
"""Debian's cron takes a jump this far ahead for a corrected clock, and runs nothing belatedly."""


class Rule(Enum):
    CATCH_UP = "a skipped time runs right after the gap, a repeated one the first time only"
    """Debian's cron, fixed-time jobs. (A step back of over three hours, such as Vostok's in 1994, is not modelled.)"""
    AS_SHOWN = "whenever the clock shows the time: never in a gap, twice in an overlap"
    """Debian's cron, jobs with a star in minute or hour; robfig/cron, which Kubernetes uses."""
    ONCE = "a skipped time does not run, a repeated one the first time only"
    """systemd timers."""


@dataclass(frozen=True, slots=True)
class Timetable:
    next_wall: Callable[[datetime], datetime | None]
    """The first wall time strictly after the given one, both naive and in whole seconds."""
    zone: ZoneInfo
    rule: Rule
    every_hour: bool
    """It runs at the same minutes of every hour, so a jump by whole hours leaves its beat alone."""

    def after(self, instant: datetime) -> datetime | None:
        """Return the first fire strictly after the instant, aware UTC; None when there is none."""
        local = instant.astimezone(self.zone)
        wall = local.replace(tzinfo=None, microsecond=0, fold=0)
        jump = self._jump_around(wall)
        if jump is None:
            return self._search(wall, instant)
        if self.rule is not Rule.AS_SHOWN:
            # In the second pass everything up to the jump has run; in the first pass this is a no-op
            # only because no fire lies between: walls before `left` still belong to it.
            return self._search(jump.left - TICK if local.fold else wall, instant)
        found = self._search(wall, instant)
        if local.fold or (found is not None and found < jump.at):
            return found
        again = self.next_wall(jump.landed - TICK)
        return _utc(again, jump.after) if again is not None and again < jump.left else found

    def _search(self, wall: datetime, instant: datetime) -> datetime | None:
        following = self.next_wall(wall)
        while following is not None:
            first, second = self._offsets(following)
            if first >= second:
                at = _utc(following, first)
                return at if at > instant else _utc(following, second)
            gap = jump_between(self.zone, _utc(following, second), _utc(following, first))
            if self.rule is Rule.CATCH_UP and gap.forward < CORRECTION:
                return gap.at
            following = self.next_wall(gap.landed - TICK)
        return None

    def _jump_around(self, wall: datetime) -> Jump | None:
        """Return the jump that makes this existing wall time ambiguous."""
        first, second = self._offsets(wall)
        if first == second:
            return None
        return jump_between(self.zone, _utc(wall, first), _utc(wall, second))

    def _offsets(self, wall: datetime) -> tuple[timedelta, timedelta]:
        """Return the offsets of both readings: equal, falling in an overlap, rising in a gap (PEP 495)."""
        first = wall.replace(tzinfo=self.zone).utcoffset()
        second = wall.replace(tzinfo=self.zone, fold=1).utcoffset()
        assert first is not None
        assert second is not None
        return first, second


def _utc(wall: datetime, offset: timedelta) -> datetime:
    return (wall - offset).replace(tzinfo=UTC)
