"""When people are left in peace, and what becomes of an alert then: it is held with its reason, and never dropped.

Four kinds of silence: a snooze (one check), a maintenance window (checks, tags or all; its jobs may go unjudged), a
mute (of a project or a channel) and quiet hours (which hold what is not severe enough). What is held is told after
the silence if it is still true (`settled`). Who asks, and what is written, is decided in notify/.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from heartfly.core.schedule import Cron, Dialect, Kind, next_after, parse, upcoming
from heartfly.core.words import Severity

LONGEST = timedelta(days=31)
"""Of one occurrence of what comes again and again."""
LONGEST_ONCE = timedelta(days=366)
LEAST_SETTLING, MOST_SETTLING = timedelta(minutes=1), timedelta(hours=1)
"""So long after maintenance, within the check's grace, jobs have time to come back before people hear of them."""
MOST_BEGINNINGS = 50
"""In a day, and while it lasts once: each is looked at wherever somebody asks whether it is in force."""
_MOST_JOINED = 50
_DAY = timedelta(days=1)


class SilenceKind(StrEnum):
    SNOOZE = "snooze"
    MAINTENANCE = "maintenance"
    MUTE = "mute"
    QUIET = "quiet"


class Effect(StrEnum):
    """`hold`: alerts wait. `ignore`: besides, what is missed or hangs meanwhile is not judged."""

    HOLD = "hold"
    IGNORE = "ignore"


class Scope(StrEnum):
    """What a silence covers; `targets` are ids of checks or channels, or tags. A project has none."""

    PROJECT = "project"
    CHECK = "check"
    TAG = "tag"
    CHANNEL = "channel"


SCOPES = {
    SilenceKind.SNOOZE: (Scope.CHECK,),
    SilenceKind.MAINTENANCE: (Scope.PROJECT, Scope.CHECK, Scope.TAG),
    SilenceKind.MUTE: (Scope.PROJECT, Scope.CHANNEL),
    SilenceKind.QUIET: (Scope.PROJECT, Scope.CHANNEL),
}
RECURRING = (SilenceKind.MAINTENANCE, SilenceKind.QUIET)


@dataclass(frozen=True, slots=True)
class Span:
    """[from_at, to_at)."""

    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Recurrence:
    """It begins whenever the cron expression fires, and lasts so long.

    `by_wall`: so long on the wall clock, so that a night from 22:00 to 07:00 ends at 07:00 whatever clocks do in it.
    """

    cron: str
    zone: str
    lasts: timedelta
    by_wall: bool = False

    @property
    def schedule(self) -> Cron:
        return _read(self.cron, self.zone)

    def begins_too_often(self, after: datetime) -> bool:
        """More often than MOST_BEGINNINGS, from then on; of a day that has begun the rest alone would be seen."""
        fires = upcoming(self.schedule, after, 2 * MOST_BEGINNINGS + 1)
        within = max(self.lasts, _DAY)
        return any(later - fire < within for fire, later in zip(fires, fires[MOST_BEGINNINGS:], strict=False))

    def beginnings(self, after: datetime, most: int) -> int:
        """In the two days from the first on; no more than `most` are counted."""
        first = next_after(self.schedule, after)
        n, fire = 0, first
        while first is not None and fire is not None and fire < first + 2 * _DAY and n < most:
            n, fire = n + 1, next_after(self.schedule, fire)
        return n

    def span_at(self, at: datetime) -> Span | None:
        """The one that holds `at`. It is asked with each alert, so the answer is remembered for as long as it holds."""
        known = _remembered(self)
        if known and known[0].from_at <= at < known[0].to_at:
            return known[0].span
        found = next((span for span in self.spans(at, at) if span.from_at <= at < span.to_at), None)
        # What follows may be joined differently when it is asked from there on, so it counts from this question on.
        fire = found.to_at if found is not None else next_after(self.schedule, at)
        known[:] = [] if fire is None else [_Answer(at, fire, found)]
        return found

    def end_of(self, begin: datetime) -> datetime:
        if not self.by_wall:
            return begin + self.lasts
        zone = ZoneInfo(self.schedule.zone)
        wall = begin.astimezone(zone).replace(tzinfo=None) + self.lasts
        return max(wall.replace(tzinfo=zone).astimezone(UTC), begin)

    def spans(self, from_at: datetime, to_at: datetime) -> Iterator[Span]:
        """Those that touch [from_at, to_at], in order; what overlaps or meets is one."""
        # An hour more: the wall clock may be set back within one.
        fire = next_after(self.schedule, from_at - self.lasts - timedelta(hours=1))
        current: Span | None = None
        while fire is not None and fire <= to_at:
            end = self.end_of(fire)
            if current is None:
                current = Span(fire, end)
            elif fire <= current.to_at:
                current = Span(current.from_at, max(end, current.to_at))
            else:
                if current.to_at >= from_at:
                    yield current
                current = Span(fire, end)
            fire = next_after(self.schedule, fire)
        if current is None:
            return
        for _ in range(_MOST_JOINED):
            if fire is None or fire > current.to_at:
                break
            current = Span(current.from_at, max(self.end_of(fire), current.to_at))
            fire = next_after(self.schedule, fire)
        if current.to_at >= from_at:
            yield current


@dataclass(frozen=True, slots=True)
class _Answer:
    """The span, or none, for each instant of [from_at, to_at)."""

    from_at: datetime
    to_at: datetime
    span: Span | None


@lru_cache(maxsize=4_096)
def _remembered(_of: Recurrence) -> list[_Answer]:
    """Its newest answer, replaced as a whole; threads may ask at the same time."""
    return []


@lru_cache(maxsize=1_024)
def _read(cron: str, zone: str) -> Cron:
    schedule = parse(Kind.CRON, expression=cron, zone=zone, dialect=Dialect.CRON)
    assert isinstance(schedule, Cron)
    return schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """`to_at` None: until somebody ends it, for what comes again and again only. `below` None: it holds everything."""

    id: int
    uuid: str
    kind: SilenceKind
    effect: Effect
    scope: Scope
    targets: frozenset[str]
    from_at: datetime
    to_at: datetime | None
    recurs: Recurrence | None = None
    below: Severity | None = None
    note: str = ""

    def spans(self, from_at: datetime, to_at: datetime) -> Iterator[Span]:
        """When it is in force, as far as that touches [from_at, to_at]; in order, and worked out as they are asked."""
        low, high = max(from_at, self.from_at), to_at if self.to_at is None else min(to_at, self.to_at)
        if low > high:
            return
        if self.recurs is None:
            assert self.to_at is not None
            if self.from_at < self.to_at:
                yield Span(self.from_at, self.to_at)
            return
        for span in self.recurs.spans(low, high):
            if (found := self._bounded(span)) is not None:
                yield found

    def _bounded(self, span: Span) -> Span | None:
        to_at = span.to_at if self.to_at is None else min(span.to_at, self.to_at)
        from_at = max(span.from_at, self.from_at)
        return Span(from_at, to_at) if from_at < to_at else None

    def span_at(self, at: datetime) -> Span | None:
        """The one that holds `at`."""
        if self.recurs is None:
            return next((span for span in self.spans(at, at) if span.from_at <= at < span.to_at), None)
        if at < self.from_at or (self.to_at is not None and at >= self.to_at):
            return None
        span = self.recurs.span_at(at)
        return None if span is None else self._bounded(span)

    def first_after(self, at: datetime) -> Span | None:
        """The first that begins after `at`."""
        if self.recurs is None:
            return next((span for span in self.spans(self.from_at, self.from_at) if span.from_at > at), None)
        fire = next_after(self.recurs.schedule, max(at, self.from_at))
        return None if fire is None else next((span for span in self.spans(fire, fire) if span.from_at > at), None)

    @property
    def is_for_people(self) -> bool:
        """They want peace, whatever it is about; else some checks are silent, for all who hear of them."""
        return self.kind in {SilenceKind.MUTE, SilenceKind.QUIET}

    def covers_check(self, uuid: str, tags: Sequence[str]) -> bool:
        """Whether alerts of that check wait, on some channel or on all."""
        if self.scope is Scope.CHECK:
            return uuid in self.targets
        return self.scope is Scope.PROJECT or (self.scope is Scope.TAG and not self.targets.isdisjoint(tags))

    def words(self) -> str:
        """What it is, for people."""
        called = f" “{self.note}”" if self.note else ""
        match self.kind:
            case SilenceKind.SNOOZE:
                return f"snoozed{called}"
            case SilenceKind.MAINTENANCE:
                return f"maintenance{called}"
            case SilenceKind.MUTE:
                return f"the {'channel' if self.scope is Scope.CHANNEL else 'project'} is muted{called}"
            case _:  # quiet
                return f"quiet hours{called}"


# --- one alert on one channel ------------------------------------------------------------------------


class Part(StrEnum):
    """What an alert is in the story of its source."""

    BEGIN = "begin"
    END = "end"
    FACT = "fact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an alert is about, and for which channel. `check` empty: about no check."""

    part: Part
    severity: Severity
    channel: str
    check: str = ""
    tags: tuple[str, ...] = ()
    grace: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Hold:
    """`until`: when it is looked at again. `by`: the silence; None: another rule."""

    until: datetime
    why: str
    by: int | None = None
    as_digest: bool = False
    """What is told then comes as one message."""


def held(subject: Subject, silences: Sequence[Silence], *, at: datetime, begin_was_told: bool) -> Hold | None:
    """The silence that holds it longest; None: none does.

    That something is well again is told at once to whoever was told that it was not, unless he himself wants peace.
    """
    found = [hold for one in silences if (hold := _held_by(one, subject, at, begin_was_told)) is not None]
    return max(found, key=lambda hold: hold.until, default=None)


def _held_by(one: Silence, subject: Subject, at: datetime, begin_was_told: bool) -> Hold | None:  # noqa: FBT001 - the same
    if one.scope is Scope.CHANNEL:
        if subject.channel not in one.targets:
            return None
    elif one.scope is not Scope.PROJECT and not (subject.check and one.covers_check(subject.check, subject.tags)):
        return None
    elif one.kind is SilenceKind.MAINTENANCE and not subject.check:
        return None  # of the work on machines nothing follows for what a budget or a rule sees
    if one.below is not None and rank(subject.severity) >= rank(one.below):
        return None
    if subject.part is Part.END and begin_was_told and not one.is_for_people:
        return None
    span = one.span_at(at)
    if span is None:
        return None
    until = span.to_at
    if one.kind is SilenceKind.MAINTENANCE:
        until += settling(subject.grace)
    return Hold(until, f"{one.words()} until {_utc(span.to_at)}", one.id, one.kind is SilenceKind.QUIET)


def settling(grace: timedelta) -> timedelta:
    return min(max(grace, LEAST_SETTLING), MOST_SETTLING)


def rank(severity: Severity) -> int:
    return list(Severity).index(severity)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


# --- what is told of what was held -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """One alert that was held, of a source and for a channel. `is_true`: of a begin, whether it is so still."""

    part: Part
    is_true: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` is added to the reason of what is not told."""

    is_told: bool
    why: str = ""


TOLD = Verdict(is_told=True)
OVER = Verdict(is_told=False, why="it was over before anybody was to be told")
SUPERSEDED = Verdict(is_told=False, why="a later change tells of it")
NOT_BEGUN = Verdict(is_told=False, why="nobody had been told that it began")


def settled(waiting: Sequence[Waiting], *, begin_was_told: bool) -> list[Verdict]:
    """What becomes of each, given in order. Facts are told; of begins and ends the last one, if it is news.

    `begin_was_told`: the last thing that the channel heard of this source before these is that it began.
    """
    turns = [n for n, one in enumerate(waiting) if one.part is not Part.FACT]
    last = turns[-1] if turns else -1
    return [_settled(one, n == last, waiting[last], begin_was_told) for n, one in enumerate(waiting)]


def _settled(one: Waiting, is_last: bool, last: Waiting, begin_was_told: bool) -> Verdict:  # noqa: FBT001 - the same
    if one.part is Part.FACT:
        return TOLD if one.is_true else OVER
    if one.part is Part.END:
        if not is_last:
            return SUPERSEDED
        return TOLD if begin_was_told else NOT_BEGUN
    if is_last and one.is_true:
        return TOLD
    return OVER if last.part is Part.END or not last.is_true else SUPERSEDED
