"""Any story of a project's usage on a real database ends as it is told a second time, at each of its steps.

HEARTFLY_STEPS=100000 makes so many steps, each story of forty at most, and says how many a second that were.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from heartfly.clock import SystemClock
from heartfly.db.parts import USAGE
from heartfly.logs import configure
from tests.usage_states.house import House
from tests.usage_states.machine import Usage

STEPS = int(os.environ.get("HEARTFLY_STEPS", "120"))
IN_A_STORY = 40
AT_A_TIME = 4_000
"""Of so many steps Hypothesis remembers what it has tried."""


@pytest.fixture
def house(database_url: str, sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    configure(SimpleNamespace(level="critical", format="json"), sys.stderr, now=SystemClock().now)
    if not database_url:
        shutil.copy(sqlite_template.with_name(USAGE.file), tmp_path / USAGE.file)
    house = House(database_url, tmp_path)
    yield house
    house.leave()


def run(machine: type[Usage], *, n_steps: int, number: int, phases: Sequence[Phase]) -> None:
    stories = settings(
        max_examples=max(1, n_steps // IN_A_STORY),
        stateful_step_count=IN_A_STORY,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(machine), settings=stories)


def stories_in(house: House) -> type[Usage]:
    return type("Stories", (Usage,), {"house": house})


def test_any_story_of_usage_is_told_the_same_way_twice(house: House) -> None:
    stories = stories_in(house)
    began, number = time.perf_counter(), int(os.environ.get("HEARTFLY_SEED", "0"))
    while stories.n_steps < STEPS:
        number += 1
        left = STEPS - stories.n_steps + IN_A_STORY
        run(stories, n_steps=min(AT_A_TIME, left), number=number, phases=(Phase.generate, Phase.shrink))
        house.tidy()
    took = time.perf_counter() - began
    database = "PostgreSQL" if house.on_postgres else "SQLite"
    print(f"{database}: {stories.n_steps} steps in {took:.0f} s, {stories.n_steps / took:.0f} a second")
