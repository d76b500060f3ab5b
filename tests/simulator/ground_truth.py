"""What the jobs really do: when each runs, how it ends, what it sends, and how patient its client is.

Decided by a seed alone, without a look at Heartfly, except that some signals are aimed at the very edge
of a deadline. Instants are whole microseconds since 1970; *real* time only goes forward, *wall* time is
what Heartfly's clock shows. Jobs on a calendar follow the wall, those that sleep between runs do not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from heartfly.checks.config import CheckConfig, CheckIn, GateIn, ScheduleIn, merged
from heartfly.core import schedule as schedules
from heartfly.core.schedule import Dialect, Kind
from heartfly.db.types import instant, micros

MS = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

NEVER = 1 << 62
ASKED_FOR = 4 * DAY
"""Times of a calendar older than that are worked out again."""
UNSENT = -1

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Australia/Sydney", "Asia/Kolkata",
    "America/Santiago", "Europe/London", "Pacific/Auckland", "Africa/Cairo",
)  # fmt: skip

PATIENCE = (*((),) * 6, *((1 * SECOND, 2 * SECOND, 4 * SECOND),) * 3, (10 * SECOND,) * 30)
"""How long a client waits before each new try when it heard no 2xx: most never ask again."""


@dataclass(slots=True, eq=False)
class Sent:
    """One request that a job made, and what became of it. A new try is a request of its own."""

    job: int
    what: str
    """success, warn, broken, fail, start or log."""
    at: int
    """Real: the first byte. The last byte follows after `takes`."""
    takes: int = 0
    rid: str | None = None
    exit_status: int | None = None
    patience: tuple[int, ...] = ()
    # what became of it
    wall: int = UNSENT
    """As Heartfly stamped it."""
    arrived: int = UNSENT
    """The step at which it was at the door; UNSENT: nobody opened."""
    life: int = 0
    """Of the process that was at the door."""
    committed: int = UNSENT
    """The step at which it was in the database; UNSENT: never."""
    judged: int = 0
    """The wall time up to which silence had been judged when it was committed."""
    slow: bool = False
    """Judging went on beyond its time before it was committed: it came too late to be waited for."""

    @property
    def sent_at(self) -> int:
        return self.at + self.takes

    @property
    def is_end(self) -> bool:
        return self.what not in {"start", "log"}


@dataclass(slots=True, eq=False)
class Edict:
    """What a person did to a check: pause, resume or edit."""

    job: int
    what: str
    wall: int
    step: int
    judged: int
    timing: Timing | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """The rules of a check as the oracle reads them."""

    schedule: schedules.Schedule
    grace: int
    max_run: int | None
    sticky: bool
    unverified_is_down: bool
    _spans: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []), compare=False, repr=False)
    """Of a calendar: the beginnings of spans, and the times that are the first after each instant of them.

    A job asks for each of its times, and whoever judges it asks days later.
    """

    def next_after(self, at: int, anchor: int) -> int:
        """The first expected time strictly after an instant; NEVER if there is none."""
        if isinstance(self.schedule, schedules.Period):
            following = schedules.next_after(self.schedule, instant(at), anchor=instant(anchor))
            return NEVER if following is None else micros(following)
        begins, fires = self._spans
        place = bisect_right(begins, at)
        if place and at < fires[place - 1]:
            return fires[place - 1]
        following = schedules.next_after(self.schedule, instant(at))
        fire = NEVER if following is None else micros(following)
        begins.insert(place, at)
        fires.insert(place, fire)
        n_old = bisect_right(begins, begins[-1] - ASKED_FOR)
        if n_old > len(begins) // 2:
            del begins[:n_old], fires[:n_old]
        return fire


def timing_of(config: CheckConfig) -> Timing:
    schedule = schedules.parse(
        Kind(config.kind),
        period=timedelta(seconds=config.period_s),
        expression=config.expression,
        zone=config.zone,
        dialect=Dialect(config.dialect),
    )
    max_run = None if config.max_run_s is None else config.max_run_s * SECOND
    return Timing(schedule, config.grace_s * SECOND, max_run, config.sticky, config.unverified_is_down)


@dataclass(slots=True, eq=False)
class Job:
    """One job and the check that watches it."""

    index: int
    random: Random
    config: CheckConfig
    born: Timing
    """The rules with which its check was made; `timing` are those of today."""
    timing: Timing
    rhythm: str
    """calendar: when its schedule says; resting: a period after its last run; steady: each period."""
    every: int
    """The usual distance of its runs."""
    takes: int
    """The usual duration of a run."""
    says_start: bool
    has_rid: bool
    trouble: float
    """The share of runs that go wrong in some way."""
    patience: tuple[int, ...]
    row: Any = None
    asleep_until: int = 0
    """Real: somebody suspended the job, or it is dead."""
    last_fire: int = 0
    """Wall for calendar jobs, real for others."""
    version: int = 0
    n_runs: int = 0
    history: list[Sent | Edict] = field(default_factory=list)
    """In the order of their beginning, but for what was judged and taken out."""
    n_taken: int = 0
    """So many were."""
    before: list[Sent | Edict] = field(default_factory=list)
    """What of that may still be asked for."""
    _following: tuple[Timing, int, int] | None = None

    def _next_fire(self) -> int:
        """After the last one. Each is asked for several times, and is half of what a job costs."""
        if self._following is None or self._following[:2] != (self.timing, self.last_fire):
            self._following = self.timing, self.last_fire, self.timing.next_after(self.last_fire, self.last_fire)
        return self._following[2]

    def next_run(self, real: int, wall: int) -> int:
        """Real time of its next run."""
        if self.rhythm == "calendar":
            fire = self._next_fire()
            return max(real, real + fire - wall) if fire != NEVER else NEVER
        return max(real, self.last_fire + self.every)

    def run(self, real: int, wall: int, deadline: Callable[[], int | None]) -> list[Sent]:
        """What it sends for the run that is due now. `deadline`: real time at which Heartfly would alarm."""
        if self.rhythm == "calendar":
            # All that was skipped while the clock jumped is one run.
            while (following := self._next_fire()) <= wall:
                self.last_fire = following
        elif self.rhythm == "steady":
            self.last_fire += self.every * max(1, (real - self.last_fire) // self.every)
        else:
            self.last_fire = real
        self.n_runs += 1
        if real < self.asleep_until:
            return []
        sent = self._run(real, deadline)
        if self.rhythm == "resting" and sent:
            self.last_fire = max(one.sent_at for one in sent)
        return sent

    def _run(self, real: int, deadline: Callable[[], int | None]) -> list[Sent]:
        random, grace = self.random, self.timing.grace
        begins = real + random.randrange(20 * MS, 2 * SECOND)
        takes = int(self.takes * random.uniform(0.6, 1.4))
        limit = grace if self.timing.max_run is None else self.timing.max_run
        rid = f"{random.getrandbits(128):032x}" if self.has_rid else None
        if random.random() >= self.trouble:
            return self._signals(begins, begins + takes, self._good(), rid)
        match random.choice(
            ("late", "late", "too_late", "fail", "fail", "hang", "skip", "skip", "dead", "edge", "edge", "slow", "odd",
             "slow_edge", "twice", "restart", "swapped")
        ):  # fmt: skip
            case "late":
                return self._signals(begins, real + int(grace * random.uniform(0.6, 0.97)), self._good(), rid)
            case "too_late":
                longest = max(grace, limit)
                return self._signals(begins, real + int(longest * random.uniform(1.02, 2.0)), self._good(), rid)
            case "fail":
                return self._signals(begins, begins + takes, "fail", rid)
            case "odd":
                return self._signals(begins, begins + takes, random.choice(self._ends()), rid)
            case "hang":
                return [self._sent("start", begins, rid)]
            case "dead":
                self.asleep_until = real + int(self.every * random.uniform(1.5, 6.0))
                return []
            case "edge" if (at := deadline()) is not None and at > begins:
                return self._signals(begins, max(begins, at + random.choice((-1, 0, 1, 10 * MS))), self._good(), rid)
            case "slow_edge" if (at := deadline()) is not None and at > begins:
                early = random.choice((1, SECOND, 2 * SECOND, 5 * SECOND))
                sent = self._signals(begins, max(begins, at - early), self._good(), rid)
                sent[-1].takes = early + random.choice((-1, 0, 1, SECOND // 2, 3 * SECOND))
                return sent
            case "slow":
                sent = self._signals(begins, begins + takes, self._good(), rid)
                random.choice(sent).takes = int(random.uniform(0.3, 9) * SECOND)
                return sent
            case "twice":
                sent = self._signals(begins, begins + takes, self._good(), rid)
                return [*sent, self._sent(self._good(), begins + takes + random.randrange(SECOND), rid)]
            case "restart":
                return [
                    self._sent("start", begins, rid),
                    *self._signals(begins + takes, begins + 2 * takes, "fail", rid),
                ]
            case "swapped":
                sent = [
                    self._sent("start", begins, rid),
                    self._sent(random.choice(self._ends()), begins + 50 * MS, rid),
                ]
                sent[0].takes = random.randrange(100 * MS, 2500 * MS)
                return sent
            case _:
                return []

    def _signals(self, begins: int, ends: int, what: str, rid: str | None) -> list[Sent]:
        end = self._sent(what, ends, rid)
        sent = [self._sent("start", begins, rid), end] if self.says_start and begins < ends else [end]
        if self.random.random() < 0.01:
            sent.insert(0, self._sent("log", begins + 1, rid))
        return sent

    def _sent(self, what: str, at: int, rid: str | None) -> Sent:
        status = self.random.choice((None, 1, 255)) if what == "fail" else self.random.choice((None, None, 0))
        takes = 0 if self.random.random() < 0.98 else int(self.random.uniform(0.001, 1.5) * SECOND)
        return Sent(
            self.index, what, at, takes, rid, status if what in {"fail", "success"} else None, patience=self.patience
        )

    def _good(self) -> str:
        return "success"

    def _ends(self) -> tuple[str, ...]:
        if not self.config.gates:
            return ("success", "fail")
        return ("success", "fail", "broken" if '"fail"' in self.config.gates else "warn")


def make_jobs(seed: int, n: int, start: int, *, busy: bool) -> list[Job]:
    """`busy`: some run every five minutes, as in life; otherwise the most frequent run each half-hour."""
    return [_job(index, Random(f"{seed}:job:{index}"), start, busy=busy) for index in range(n)]


def _job(index: int, random: Random, start: int, *, busy: bool) -> Job:
    share = random.random()
    if busy and share < 0.012:
        every = 5 * MINUTE
    elif share < 0.045:
        every = (15 if busy else 30) * MINUTE
    elif share < 0.25:
        every = HOUR
    elif share < 0.45:
        every = 6 * HOUR
    elif share < 0.95:
        every = DAY
    else:
        every = 7 * DAY
    schedule, rhythm = _schedule(random, every)
    grace = max(random.choice((10 * SECOND, MINUTE)), int(every * random.choice((0.02, 0.05, 0.2, 0.5, 1.5))))
    grace = grace // SECOND * SECOND
    takes = int(min(every, grace) * random.choice((0.001, 0.01, 0.1, 0.4)))
    max_run = random.choice((None, None, 2, 8))
    has_rid = random.random() < 0.15
    asked = CheckIn(
        name=f"job-{index}",
        slug=f"job-{index}",
        schedule=schedule,
        grace=grace // SECOND,
        max_run=None if max_run is None else max(2, takes * max_run // SECOND),
        sticky=random.random() < 0.1,
        gates=_gates(random) if random.random() < 0.08 else [],
        unverified_is_down=index % 16 == 7,
    )
    config = merged(CheckConfig(), asked, at=datetime(2026, 1, 1, tzinfo=UTC))
    timing = timing_of(config)
    n_runs = 30 * DAY / every
    return Job(
        index=index,
        random=random,
        config=config,
        born=timing,
        timing=timing,
        rhythm=rhythm,
        every=every,
        takes=takes,
        says_start=has_rid or random.random() < 0.35,
        has_rid=has_rid,
        trouble=min(0.3, 12 / n_runs),
        patience=random.choice(PATIENCE),
        last_fire=start if rhythm == "calendar" else start - random.randrange(every),
    )


def _schedule(random: Random, every: int) -> tuple[ScheduleIn, str]:
    zone = random.choice(ZONES)
    kind = random.choice(("period", "period", "cron", "cron", "cron", "oncalendar"))
    minute, hour, day = random.randrange(60), random.randrange(24), random.randrange(7)
    if kind == "period":
        return ScheduleIn(kind="period", period=every // SECOND), random.choice(("resting", "steady"))
    if random.random() < 0.3:
        hour = random.choice((1, 2, 3))  # when clocks change
    if kind == "oncalendar":
        lines = {
            5 * MINUTE: "*:0/5", 15 * MINUTE: "*:0/15", 30 * MINUTE: "*:0/30", HOUR: f"*:{minute:02}",
            6 * HOUR: f"0/6:{minute:02}", DAY: f"{hour:02}:{minute:02}", 7 * DAY: f"Mon {hour:02}:{minute:02}",
        }  # fmt: skip
        return ScheduleIn(kind="oncalendar", expression=lines[every], zone=zone), "calendar"
    expressions = {
        5 * MINUTE: "*/5 * * * *", 15 * MINUTE: "*/15 * * * *", 30 * MINUTE: "*/30 * * * *",
        HOUR: f"{minute} * * * *", 6 * HOUR: f"{minute} */6 * * *", DAY: f"{minute} {hour} * * *",
        7 * DAY: f"{minute} {hour} * * {day}",
    }  # fmt: skip
    dialect = random.choice(("cron", "cron", "systemd", "kubernetes"))
    return ScheduleIn(kind="cron", expression=expressions[every], zone=zone, dialect=dialect), "calendar"


def _gates(random: Random) -> list[GateIn | str]:
    return [GateIn(metric="rows", op=">", value=0, level=random.choice(("warn", "fail")))]
