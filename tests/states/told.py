"""What must be in the database, told a second time: who could hear until when, and what each check must be.

The life of a check is the oracle's of tests/core/check_oracle.py, which shares no code with the package. Added here is
what that leaves out because the database says it: an id of a run that has just ended, and nodes that die or leave.
Instants are microseconds since START; all durations are those of HEARING.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from typing_extensions import override

from heartfly.monitor.blind import Hearing
from tests.core.check_oracle import SECOND, Event, Life, Rules

START = datetime(2026, 3, 2, tzinfo=UTC)
"""Midnight: each calendar of these stories fires at multiples of its period since then."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DEAF, HOLD, FENCE = 20 * MINUTE, 20 * MINUTE, 50 * MINUTE
HEARING = Hearing(
    beat=timedelta(minutes=20),
    blind_after=timedelta(minutes=20),
    hold=timedelta(minutes=20),
    fence_after=timedelta(minutes=50),
)
"""As a real one, but in minutes for seconds: an hour takes three beats, and not 3,600."""
REMEMBERED = 2 * MINUTE
"""A start that comes so soon after the end of its own run was overtaken by it, or is a retry."""
Span = tuple[int, int]
"""Both ends inclusive."""


def when(us: int) -> str:
    """An instant in a story: `1 03:00:00.000001`, the day counted from 0."""
    days, rest = divmod(us, 24 * HOUR)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, rest = divmod(rest, SECOND)
    return f"{days} {hours:02}:{minutes:02}:{seconds:02}" + (f".{rest:06}" if rest else "")


def lasting(us: int) -> str:
    """A duration in a story."""
    if us and us % MINUTE == 0:
        return f"{us // MINUTE} min"
    return f"{us // SECOND} s" if us % SECOND == 0 else f"{us} µs"


@dataclass
class Told(Life):
    """A life that knows which runs with an id have ended, and when."""

    ended: dict[str, list[int]] = field(default_factory=dict)

    @override
    def happens(self, event: Event, serial: int) -> None:
        is_open = event.rid is not None and any(key[0] == event.rid for key in self.runs)
        ends = self.ended.get(event.rid or "", ()) if event.what == "start" else ()
        if not is_open and not self._is_sticky and any(at >= event.at - REMEMBERED for at in ends):
            self.begun, self.wanted = True, None
            return
        before = list(self.runs)
        super().happens(event, serial)
        if event.what not in {"success", "warn", "broken", "fail", "pause"} or self._is_ignored(event):
            return
        over = {key[0] for key in before if key not in self.runs}
        if event.what != "pause":
            over.add(event.rid)
        for rid in over - {None}:
            self.ended.setdefault(str(rid), []).append(event.at)

    @property
    def _is_sticky(self) -> bool:
        return self.status == "paused" and self.rules.sticky

    def _is_ignored(self, event: Event) -> bool:
        return event.what != "pause" and self._is_sticky


@dataclass(frozen=True)
class _Node:
    """A life of a process as its last beat left it. `held`: up to when each check may be judged that it waits for."""

    beat_at: int
    heard: int
    held: Mapping[int, int] = field(default_factory=dict)


class Hearers:
    """Which nodes heard up to when. `cluster`: one that is silent may be alive, and is waited for until then."""

    def __init__(self, *, cluster: bool) -> None:
        self._cluster = cluster
        self.blind: list[Span] = []
        self._mine: _Node | None = None
        self._gaps: list[Span] = []
        """In which this process did not run."""
        self._dead: list[_Node] = []
        """Of whom nobody has told yet that they are."""
        self._left: int | None = None

    def joins(self, now: int) -> None:
        living = self._cluster and any(now - node.beat_at < FENCE for node in self._dead)
        if not living:
            # Who died may have heard something that he never wrote down; who left has written all.
            heard = min((node.heard for node in self._dead), default=self._left)
            if heard is not None and heard < now:
                self.blind.append((heard, now))
            self._dead, self._left = [], None
        self._mine, self._gaps = _Node(now, now), []

    def beats(self, now: int, under_way: Mapping[int, int]) -> tuple[int, dict[int, int]]:
        """Up to when silence may be judged, and of which checks less far. `under_way`: since when, by their numbers."""
        assert self._mine is not None
        if now - self._mine.beat_at > DEAF:
            self.blind.append((self._mine.beat_at, now))
            self._gaps.append((self._mine.beat_at, now))
        through, held = now, dict[int, int]()
        for node in list(self._dead) if self._cluster else ():
            if now - node.beat_at - sum(to - max(since, node.beat_at) for since, to in self._gaps) > FENCE:
                self.blind.append((node.heard, now))
                self._dead.remove(node)
                continue
            through = min(through, node.beat_at)
            for number, until in node.held.items():
                held[number] = min(until, held.get(number, now))
        mine = {number: max(since - 1, now - HOLD) for number, since in under_way.items()}
        self._mine = _Node(now, min([now, *mine.values()]), mine)
        for number, until in mine.items():
            held[number] = min(until, held.get(number, now))
        return through, held

    def dies(self) -> None:
        assert self._mine is not None
        self._dead.append(self._mine)
        self._mine = None

    def leaves(self, now: int) -> None:
        self._mine, self._left = None, now

    @property
    def beat_at(self) -> int:
        assert self._mine is not None
        return self._mine.beat_at


@dataclass(eq=False)
class Watched:
    """A check as it must be. `row`: its ids and addresses, nothing of its life."""

    number: int
    row: Any
    life: Told
    n_pings: int = 0
    serial: int = 0
    known: int = 0
    """Up to when all about it is decided: the last that it heard, and what was judged."""
    gone_at: int | None = None
    acknowledged: list[int] = field(default_factory=list)
    """When each end of a run was received that was answered with 200."""
    n_read: int = 0
    """So many of its flips have been looked at."""

    @property
    def name(self) -> str:
        return f"check {self.number}"

    def happens(self, event: Event) -> None:
        self.life.happens(event, self.serial)
        self.serial += 1
        self.known = max(self.known, event.at)

    def edges(self) -> Iterator[int]:
        """Instants at which something may change."""
        life, rules = self.life, self.life.rules
        yield from (at for at in (life.closes(), life.starts(), life.goes_down(), life.slot, life.wanted) if at)
        yield from (began + rules.limit for began in life.runs.values())
        if life.slot is not None:
            yield life.slot + rules.period


def words(rules: Rules) -> str:
    """What is expected of a check, in a story."""
    more = {
        "at most": rules.max_run and lasting(rules.max_run),
        "start within": rules.start_within and lasting(rules.start_within),
        "early": rules.early and lasting(rules.early),
        "at least": rules.min_run and lasting(rules.min_run),
        "failures": rules.failures,
        "share": rules.share,
        "recover": rules.recover if rules.recover > 1 else None,
        "sticky": rules.sticky or None,
        "unverified is down": rules.unverified_is_down or None,
    }
    said = [f"{name} {value}" if value is not True else name for name, value in more.items() if value is not None]
    every = f"{'by the clock, ' if rules.calendar else ''}every {lasting(rules.period)}, grace {lasting(rules.grace)}"
    return ", ".join([every, *said])
