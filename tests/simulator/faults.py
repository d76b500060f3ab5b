"""What goes wrong on our side, and what people do meanwhile: a plan made by the seed.

Crashes, restarts, outages of hours, a process that stands, a disk that stands, a machine that sleeps, a
wall clock that is set, checks that are paused, resumed and edited. A part of it is aimed: it begins or
ends exactly where some slot opens or closes, for chance alone does not find the edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.simulator.ground_truth import DAY, HOUR, MINUTE, MS, SECOND

LENGTHS = {
    "restart": (50 * MS, 20 * SECOND),
    "crash": (50 * MS, 2 * MINUTE),
    "outage": (2 * MINUTE, 7 * HOUR),
    "stall": (300 * MS, 5 * MINUTE),
    "writing": (300 * MS, 40 * SECOND),
    "sleep": (20 * SECOND, 9 * HOUR),
    "clock": (0, 0),
    "loop": (0, 0),
}
WEIGHTS = {"restart": 6, "crash": 6, "outage": 4, "stall": 6, "writing": 6, "sleep": 2, "clock": 6, "loop": 1}
STEPS = (SECOND, 1500 * MS, 3 * SECOND, MINUTE, 10 * MINUTE, HOUR)


@dataclass(frozen=True, slots=True)
class Fault:
    at: int
    """Real."""
    kind: str
    lasts: int = 0
    by: int = 0
    """For a clock that is set."""
    aimed: bool = False
    door_first: bool = False
    """When the process goes on, requests are looked at before the deadlines."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody turns to a check: pause (and resume, or not), or edit."""

    at: int
    job: int
    what: str
    back_at: int
    aimed: bool = False
    """At the next deadline that is missed, be it another check's."""


def plan_faults(random: Random, start: int, end: int, *, per_day: float) -> list[Fault]:
    faults: list[Fault] = []
    quiet = min(HOUR, (end - start) // 10)
    at = start + quiet
    drift = 0
    while (at := at + int(random.expovariate(per_day / DAY))) < end - quiet:
        kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "clock":
            by = -drift if drift and random.random() < 0.5 else random.choice(STEPS) * random.choice((1, -1))
            drift += by
            faults.append(Fault(at, "clock", by=by, aimed=random.random() < 0.3))
            if random.random() < 0.3:
                at += random.randrange(20 * MINUTE)
                faults.append(_fault(random, at, "crash"))
        elif kind == "loop":
            for _ in range(random.randint(3, 6)):
                faults.append(_fault(random, at, "crash"))
                at += 2 * faults[-1].lasts + random.randrange(3 * MINUTE)
        else:
            faults.append(_fault(random, at, kind))
        at += 2 * faults[-1].lasts + MINUTE
    return faults


def _fault(random: Random, at: int, kind: str) -> Fault:
    least, most = LENGTHS[kind]
    lasts = int(least * (most / least) ** random.random())
    return Fault(at, kind, lasts, aimed=random.random() < 0.4, door_first=random.random() < 0.5)


def plan_visits(random: Random, start: int, end: int, n_jobs: int) -> list[Visit]:
    days = (end - start) / DAY
    visits = []
    for _ in range(int(n_jobs * days * 0.01) + 1):
        at = random.randrange(start, end)
        back_at = at + int(random.choice((MINUTE, HOUR, DAY)) * random.uniform(0.2, 2))
        what, aimed = random.choice(("pause", "pause", "edit")), random.random() < 0.3
        visits.append(Visit(at, random.randrange(n_jobs), what, back_at, aimed))
    return visits
