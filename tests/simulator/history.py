"""What a simulation is asked for, and what it hands to those who judge it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from tests.simulator.faults import Fault
from tests.simulator.ground_truth import Job
from tests.simulator.machine import Machine
from tests.simulator.oracle import SeenFlip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int
    n_checks: int
    days: float
    faults_per_day: float = 6.0
    busy: bool = True
    every_beat: bool = False
    """Let the watcher beat each second, as it does; else only where a beat could find something to do."""
    window: float = 1.0
    """Days after which those who judge may look at what there is; the verdict is the same for any."""


@dataclass(slots=True)
class History:
    """All that happened, for those who judge it. What they have judged, they may take out of it."""

    plan: Plan
    start: int
    jobs: list[Job]
    engine: sa.Engine
    machine: Machine
    faults: list[Fault]
    runs_to_come: Callable[[], set[str]]
    """The ids of runs of which requests are still to be sent."""
    flips: dict[int, list[SeenFlip]] = field(init=False)
    tally: Counter[str] = field(default_factory=Counter)
    digest: str = ""

    def __post_init__(self) -> None:
        self.flips = {job.index: [] for job in self.jobs}
