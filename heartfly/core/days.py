"""What a check's day was: how long it was up, down and unheard, and how its runs ended. A function of its history.

Days are those of a time zone: one of a clock change has 23 or 25 hours. What is kept of them, and when they are
summed up, is decided in jobs/daily_sums.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from heartfly.core.values import Blind
from heartfly.core.words import RunOutcome, Status

ONE = timedelta(days=1)
_WATCHED = frozenset({Status.UP, Status.DEGRADED})


@dataclass(frozen=True, slots=True)
class Day:
    """[from_at, to_at). A day that a zone skipped (Samoa's 30th of December 2011) has no length."""

    date: date
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A flip, as days need it."""

    flip_no: int
    at: datetime
    from_status: Status
    to_status: Status
    retracts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Whole seconds, begun ones left out. What is left of the day it was new, paused, or not there."""

    up_s: int = 0
    down_s: int = 0
    blind_s: int = 0
    n_ok: int = 0
    n_failed: int = 0
    n_missed: int = 0
    n_unverified: int = 0

    @property
    def n_runs(self) -> int:
        return self.n_ok + self.n_failed + self.n_missed + self.n_unverified


def day_of(zone: ZoneInfo, instant: datetime) -> date:
    return instant.astimezone(zone).date()


def day_in(zone: ZoneInfo, day: date) -> Day:
    return Day(day, _midnight(zone, day), _midnight(zone, day + ONE))


def _midnight(zone: ZoneInfo, day: date) -> datetime:
    """The first instant of the day: the earlier midnight of two, and the end of the gap if a gap has swallowed it."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def last_whole(zone: ZoneInfo, now: datetime) -> date:
    """The newest day that is over."""
    return day_of(zone, now) - ONE


def sums(
    day: Day,
    *,
    born_at: datetime,
    turns: Sequence[Turn],
    status: Status,
    blind: Iterable[Blind],
    outcomes: Mapping[RunOutcome, int],
) -> Sums:
    """`turns`: all from the day's beginning on, and what they retract; `status`: the one after them.

    Time that is up by the books but in which Heartfly could not hear is blind; what is known to be down stays down.
    An alarm that was disproved never was: its time counts as what the check was before.
    """
    up: list[tuple[datetime, datetime]] = []
    down = timedelta(0)
    for now, from_at, to_at in _spans(_true(turns), status, max(day.from_at, born_at), day.to_at):
        if now in _WATCHED:
            up.append((from_at, to_at))
        elif now is Status.DOWN:
            down += to_at - from_at
    unheard = _shared(up, _merged(blind))
    heard = sum((to_at - from_at for from_at, to_at in up), timedelta(0)) - unheard
    return Sums(
        up_s=heard // timedelta(seconds=1),
        down_s=down // timedelta(seconds=1),
        blind_s=unheard // timedelta(seconds=1),
        n_ok=_n(outcomes, RunOutcome.OK, RunOutcome.DEGRADED),
        n_failed=_n(outcomes, RunOutcome.FAILED, RunOutcome.HUNG),
        n_missed=_n(outcomes, RunOutcome.MISSED),
        n_unverified=_n(outcomes, RunOutcome.UNVERIFIED),
    )


def spans(
    turns: Sequence[Turn], status: Status, from_at: datetime, to_at: datetime
) -> list[tuple[Status, datetime, datetime]]:
    """The statuses within [from_at, to_at), one after another, without alarms that were taken back.

    `turns`: all from `from_at` on; `status`: the one after them.
    """
    return list(_spans(_true(turns), status, from_at, to_at))


def unheard(blind: Iterable[Blind], from_at: datetime, to_at: datetime) -> timedelta:
    """How much of a time lies in blind intervals, which may overlap."""
    return _shared([(from_at, to_at)], _merged(blind))


def _n(outcomes: Mapping[RunOutcome, int], *of: RunOutcome) -> int:
    return sum(outcomes.get(outcome, 0) for outcome in of)


def _true(turns: Sequence[Turn]) -> list[Turn]:
    """In order of time, without those that were taken back; who takes one back comes from where that one came from."""
    by_number = {turn.flip_no: turn for turn in turns}
    taken_back = {turn.retracts for turn in turns}
    kept = []
    for turn in sorted(turns, key=lambda turn: (turn.at, turn.flip_no)):
        if turn.flip_no in taken_back:
            continue
        before = None if turn.retracts is None else by_number.get(turn.retracts)
        kept.append(turn if before is None else replace(turn, from_status=before.from_status))
    return kept


def _spans(
    turns: Sequence[Turn], status: Status, from_at: datetime, to_at: datetime
) -> Iterable[tuple[Status, datetime, datetime]]:
    """The statuses within [from_at, to_at), one after another."""
    later = [turn for turn in turns if turn.at >= from_at]
    now, since = (later[0].from_status if later else status), from_at
    for turn in later:
        if turn.at >= to_at:
            break
        yield now, since, turn.at
        now, since = turn.to_status, turn.at
    if since < to_at:
        yield now, since, to_at


def deaf(blind: Iterable[Blind]) -> list[tuple[datetime, datetime]]:
    """Blind intervals as one after another."""
    return _merged(blind)


def _merged(blind: Iterable[Blind]) -> list[tuple[datetime, datetime]]:
    """Several nodes may have been deaf at one time."""
    merged: list[tuple[datetime, datetime]] = []
    for from_at, to_at in sorted((one.from_at, one.to_at) for one in blind):
        if merged and from_at <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], to_at))
        else:
            merged.append((from_at, to_at))
    return merged


def _shared(spans: Iterable[tuple[datetime, datetime]], others: Sequence[tuple[datetime, datetime]]) -> timedelta:
    shared = timedelta(0)
    for from_at, to_at in spans:
        for other_from, other_to in others:
            shared += max(timedelta(0), min(to_at, other_to) - max(from_at, other_from))
    return shared
