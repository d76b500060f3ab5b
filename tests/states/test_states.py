"""Any story of some checks on a real database ends as it is told a second time, at each of its steps.

HEARTFLY_STEPS=1000000 makes so many steps, each story of fifty at most, and says how many a second that were.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import Phase
from sqlalchemy import event

from heartfly.checks import commands
from heartfly.clock import SystemClock
from heartfly.config.settings import SQLITE_FILE
from heartfly.db.postgres import PostgresSession
from heartfly.db.postgres import writing_engine as on_postgres
from heartfly.db.sqlite import SqliteSession, writing_engine
from heartfly.logs import configure
from heartfly.monitor.blind import Beat
from heartfly.monitor.watch import Looked
from tests.states.house import House
from tests.states.machine import Checks
from tests.states.stories import IN_A_STORY, run

STEPS = int(os.environ.get("HEARTFLY_STEPS", "200"))
AT_A_TIME = 5_000
"""Of so many steps Hypothesis remembers what it has tried."""
FOUND = 2_000
"""Within so many steps whatever is spoiled here has to be found."""


@pytest.fixture
def house(database_url: str, sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    configure(SimpleNamespace(level="critical", format="json"), sys.stderr, now=SystemClock().now)
    if database_url:
        engine = on_postgres(database_url)
        session = PostgresSession(engine, node_id=1, lane=0)
        with engine.connect() as beside:
            yield House(session, beside)
        session.close()
    else:
        shutil.copy(sqlite_template, tmp_path / SQLITE_FILE)
        engine = writing_engine(tmp_path / SQLITE_FILE)
        event.listen(engine, "connect", _without_flushes)
        alone = SqliteSession(engine)
        yield House(alone, None)
        alone.close()
    engine.dispose()


def _without_flushes(connection: sqlite3.Connection, _: object) -> None:
    """Here a process dies and no machine: what it committed is there. Flushes are looked at in tests/faults."""
    connection.execute("PRAGMA synchronous=OFF")


def stories_in(house: House) -> type[Checks]:
    return type("Stories", (Checks,), {"house": house})


def test_any_story_on_a_database_is_told_the_same_way_twice(house: House) -> None:
    stories = stories_in(house)
    began, number = time.perf_counter(), 0
    while stories.n_steps < STEPS:
        number += 1
        left = STEPS - stories.n_steps + IN_A_STORY
        run(stories, n_steps=min(AT_A_TIME, left), number=number, phases=(Phase.generate, Phase.shrink))
        house.tidy()
    took = time.perf_counter() - began
    database = "PostgreSQL" if house.on_postgres else "SQLite"
    print(f"{database}: {stories.n_steps} steps in {took:.0f} s, {stories.n_steps / took:.0f} a second")


# --- it can say no


def what_is_under_way_holds_nobody_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Beat, "_limit", lambda _self, _since, now: now)


def a_deadline_is_not_in_time_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Looked, "through", property(lambda looked: looked.watermark - timedelta(microseconds=1)))


def nobody_says_that_nobody_heard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Beat, "_nobody_heard", lambda _self, _tx, _now: None)


def a_pause_is_told_to_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commands, "_audit", lambda *_args, **_facts: None)


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        (what_is_under_way_holds_nobody_up, "-> down ("),
        (a_deadline_is_not_in_time_itself, "there should be"),
        (nobody_says_that_nobody_heard, "nobody heard"),
        (a_pause_is_told_to_nobody, "the audit has"),
    ],
)
@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
def test_a_bug_is_found(
    house: House, monkeypatch: pytest.MonkeyPatch, *, bug: Callable[[pytest.MonkeyPatch], None], words: str
) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError, match=re.escape(words)):
        run(stories_in(house), n_steps=FOUND, number=1, phases=(Phase.generate,))


@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
def test_what_is_told_of_a_bug_is_its_shortest_story(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_says_that_nobody_heard(monkeypatch)
    with pytest.raises(AssertionError) as found:
        run(stories_in(house), n_steps=FOUND, number=1, phases=(Phase.generate, Phase.shrink))

    lines = str(found.value).splitlines()
    assert "nobody heard ['0 00:00:00 to 0 00:00:00.000001'], the database has []" == lines[0]
    assert 8 >= len(lines)
