"""Whether a source or a customer is silent for too long: measured against what usually comes at that time.

Usual is the median of the same hours of the last four weeks, by the clock on the wall, or else the same hour of the day
before; of what is not known for so long nothing is expected. Time in which nothing is usual, hours at its edges, and
time in which Heartfly itself did not hear count for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from statistics import median

from heartfly.core.baseline import amount
from heartfly.core.windows import HOUR, Window

LOOKED_BACK = timedelta(hours=6)
"""What should have come within so long is what counts: if that is too little, it is not busy enough."""
WEEKS = 4
LEAST_WEEKS = 2
GIVEN_UP = timedelta(days=28)
"""Nobody waits any longer for one that was silent for so long: it is usual by then."""
_WEEK, _DAY = timedelta(weeks=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Came:
    """Of an hour. `turns`: how often something came; `n`: how much of it."""

    turns: Fraction
    n: Fraction


Expected = Callable[[datetime], Came | None]
"""What is usual in an hour; None: it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`gap`: less is no silence. `factor`: so many usual gaps. `least`: so many requests must be missing."""

    gap: timedelta
    factor: int
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """`missing`: how many should have come. `turns` and `n`: what is usual in an hour. `deaf`: how long Heartfly did
    not hear meanwhile.
    """

    lasted: timedelta
    missing: Fraction
    turns: Fraction
    n: Fraction
    deaf: timedelta


def floor(at: datetime) -> datetime:
    """The hour of UTC in which it lies."""
    return at - (at - _EPOCH) % HOUR


def past_hours(hour: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Those that tell what is usual in this one: of the weeks before, the newest first, then that of the day before."""
    wall = hour.astimezone(zone).replace(tzinfo=None)
    for back in (*(_WEEK * n for n in range(1, WEEKS + 1)), _DAY):
        yield floor((wall - back).replace(tzinfo=zone).astimezone(UTC))


def judged_hours(now: datetime) -> Sequence[datetime]:
    """For which hours is asked what is usual."""
    first, last = floor(now - LOOKED_BACK) - HOUR, floor(now) + HOUR
    return [first + n * HOUR for n in range((last - first) // HOUR + 1)]


def usual(hour: datetime, known: Mapping[datetime, Came], since: datetime, zone: tzinfo) -> Came | None:
    """None: it is not known. `known`: past hours in which something came; `since`: when it was first heard."""
    *weeks, day = past_hours(hour, zone)
    found = [known.get(one, NOTHING) for one in weeks if one >= since]
    if len(found) < LEAST_WEEKS:
        found = [known.get(day, NOTHING)] if day >= since else []
    if not found:
        return None
    return Came(median(one.turns for one in found), median(one.n for one in found))


NOTHING = Came(Fraction(), Fraction())


def silence(
    last_at: datetime,
    *,
    now: datetime,
    expected: Expected,
    deaf: Sequence[Window],
    limits: Limits,
) -> Silence | None:
    """None: nothing is wrong. `expected`: what is usual in an hour. `deaf`: apart from one another, in order."""
    lasted = now - last_at
    counted, missing, turns = timedelta(), Fraction(), Fraction()
    newest = NOTHING
    hour = floor(max(last_at, now - LOOKED_BACK))
    while hour < now:
        here = expected(hour)
        if here is not None and here.n > 0 and not _at_an_edge(hour, expected):
            from_at, to_at = max(hour, last_at, now - LOOKED_BACK), min(hour + HOUR, now)
            span = to_at - from_at - _deaf_in(deaf, from_at, to_at)
            share = Fraction(span // _MICROSECOND, HOUR // _MICROSECOND)
            counted, newest = counted + span, here
            missing, turns = missing + here.n * share, turns + here.turns * share
        hour += HOUR
    if counted <= limits.gap or missing < limits.least or turns <= limits.factor:
        return None
    return Silence(lasted=lasted, missing=missing, turns=newest.turns, n=newest.n, deaf=_deaf_in(deaf, last_at, now))


_MICROSECOND = timedelta(microseconds=1)


def _at_an_edge(hour: datetime, expected: Expected) -> bool:
    """Whether nothing is usual just before or after: when within the hour it begins or ends nobody knows."""
    return any(one is not None and one.n == 0 for one in (expected(hour - HOUR), expected(hour + HOUR)))


def _deaf_in(deaf: Sequence[Window], from_at: datetime, to_at: datetime) -> timedelta:
    spans = (min(one.to_at, to_at) - max(one.from_at, from_at) for one in deaf)
    return sum((span for span in spans if span > timedelta()), timedelta())


def apart(found: Sequence[Window]) -> list[Window]:
    """Windows that may overlap, made into such as do not."""
    made: list[Window] = []
    for one in sorted(found, key=lambda one: one.from_at):
        if made and one.from_at <= made[-1].to_at:
            made[-1] = Window(made[-1].from_at, max(made[-1].to_at, one.to_at))
        else:
            made.append(one)
    return made


# --- in words


def of_source(name: str, found: Silence) -> str:
    gap = timedelta(seconds=float(HOUR.total_seconds() / found.turns)) if found.turns else HOUR
    return f"{name} has sent nothing for {lasted(found.lasted)} (usual gap {lasted(gap)}){_deaf(found)}"


def of_customer(name: str, found: Silence) -> str:
    return f"customer {name} at 0 for {lasted(found.lasted)}, usual {short(found.n)}/h{_deaf(found)}"


def _deaf(found: Silence) -> str:
    return f", of which Heartfly itself did not hear for {lasted(found.deaf)}" if found.deaf else ""


def lasted(span: timedelta) -> str:
    """In one unit, rounded down, such as `9 min`; below a second in milliseconds."""
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{max(1, int(seconds * 1000))} ms"
    for unit, size in (("d", 172_800), ("h", 7_200), ("min", 120)):
        if seconds >= size:
            return f"{int(seconds // {'d': 86_400, 'h': 3_600, 'min': 60}[unit])} {unit}"
    return f"{int(seconds)} s"


def short(value: Fraction) -> str:
    """Of many about how many: `10 k`."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            return f"{amount(Fraction(round(value * 10 / size), 10))} {unit}"
    return amount(Fraction(round(value)) if value >= 10 else value)
