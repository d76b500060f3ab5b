"""What the jobs do and what goes wrong, by the seed alone: which node it meets is decided when it happens.

Half of the faults do not come at some instant but wait for their node inside of a transaction: in the middle of
judging, before a commit, or between it and its answer. Chance alone hardly ever finds these.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.cluster.hub import MINUTE, MS, SECOND
from tests.cluster.wire import AFTER, LAST

PAUSE, CUT, RESET, KILL, RESTART = "pause", "cut", "reset", "kill", "restart"
"""Cut off from the database; its connection is reset, and the next one works."""
WEIGHTS = {PAUSE: 6, CUT: 5, RESET: 3, KILL: 4, RESTART: 1}
LENGTHS = {
    PAUSE: (300 * MS, MINUTE),
    CUT: (300 * MS, MINUTE),
    RESET: (1, 1),
    KILL: (200 * MS, MINUTE),
    RESTART: (200 * MS, 10 * SECOND),
}
QUIET = 15 * SECOND
"""At the beginning nothing goes wrong: all jobs ping for the first time."""
CALM = 75 * SECOND
"""Nor at the end, so that whatever is still due is judged."""
CHANNELS = 2
SKEW = 900 * MS
"""No clock is off by more; two of nodes by twice that, which is still less than what readiness complains of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int
    n_faults: int
    n_nodes: int = 3
    n_jobs: int = 24
    every: int = 15 * SECOND
    """How long it is from one fault to the next, on average."""
    aim: tuple[str, str, int] | None = None
    """(kind, label, statement) of all faults, where a test wants one of them."""


@dataclass(frozen=True, slots=True)
class Fault:
    at: int
    """After the start."""
    kind: str
    lasts: int
    label: str = ""
    """The kind of transaction that it waits for; empty: none."""
    statement: int = 0


def plan_faults(plan: Plan) -> list[Fault]:
    random, at, faults = Random(f"{plan.seed}:faults"), QUIET, list[Fault]()
    for _ in range(plan.n_faults):
        at += int(random.expovariate(1 / plan.every))
        kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        least, most = LENGTHS[kind]
        lasts = int(least * (most / least) ** random.random())
        if kind == PAUSE and random.random() < 0.25:
            lasts = 15 * SECOND  # the zombie: longer than its lease
        label = random.choices(["", "judge", "beat", "ping"], [30, 40, 15, 15])[0]
        statement = random.choice((0, 1, 2, 3, 4, 6, 8, LAST, LAST, AFTER, AFTER))
        if plan.aim is not None:
            kind, label, statement = plan.aim
            lasts = min(15 * SECOND, LENGTHS[kind][1])
        faults.append(Fault(at, kind, lasts, "" if kind == RESTART else label, statement))
    return faults


@dataclass(slots=True, eq=False)
class Job:
    """`period` 0: each minute, by cron. What it sends is decided as it goes, by its own part of the seed."""

    index: int
    random: Random
    period: int
    grace: int
    ping_uuid: str = ""
    check_id: int = 0

    def expected_after(self, at: int, anchor: int) -> int:
        """The first time strictly after an instant at which it is expected."""
        if not self.period:
            return (at // MINUTE + 1) * MINUTE
        return anchor + max(1, (at - anchor) // self.period + 1) * self.period

    def deadline(self, stamp: int) -> int:
        """Of the slot that follows on an end."""
        return self.expected_after(stamp, stamp) + self.grace

    def following(self, sent: int) -> int:
        """When it pings next, after a ping at that time."""
        random, deadline = self.random, self.deadline(sent)
        match random.choices(("well", "late", "edge", "too_late", "silent"), (84, 6, 4, 3, 3))[0]:
            case "late":
                return deadline - int(self.grace * random.uniform(0.1, 0.7))
            case "edge":
                return deadline + random.choice((-SECOND, -20 * MS, -MS, 0, MS, 20 * MS))
            case "too_late":
                return deadline + random.randrange(SECOND, 15 * SECOND)
            case "silent":
                return deadline + random.randrange(20 * SECOND, 3 * MINUTE)
            case _ if not self.period:
                return deadline - self.grace + random.randrange(2 * SECOND, 5 * SECOND)
            case _:
                return sent + int(self.period * random.uniform(0.9, 1.0))

    def kind(self) -> str:
        return "fail" if self.random.random() < 0.02 else "success"


def make_jobs(plan: Plan) -> list[Job]:
    jobs = []
    for index in range(plan.n_jobs):
        random = Random(f"{plan.seed}:job:{index}")
        period = 0 if index % 8 == 7 else random.choice((5, 10, 15, 20, 30, 60)) * SECOND
        jobs.append(Job(index, random, period, grace=random.choice((5, 10, 15, 20)) * SECOND))
    return jobs
