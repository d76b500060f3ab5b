"""Any story of a project's usage on a real database ends as it is told a second time, at each of its steps.

HEARTFLY_STEPS=100000 makes so many steps, each story of fifty at most, and says how many a second that were;
HEARTFLY_SEED=1000 makes others.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase

from heartfly.clock import SystemClock
from heartfly.core import sketches
from heartfly.core.versions import Version
from heartfly.db.parts import PARTS
from heartfly.logs import configure
from heartfly.usage import apply, close_day, dead_letters, erasure, folder, generations, reconcile, traces, whose
from heartfly.usage.fold import Folded, fold_hour
from tests.states.stories import IN_A_STORY, run
from tests.usage_states.house import House
from tests.usage_states.machine import Usage
from tests.usage_states.told import HOUR

STEPS = int(os.environ.get("HEARTFLY_STEPS", "60"))
AT_A_TIME = 500
"""Of so many steps Hypothesis remembers what it has tried."""
FOUND = 1_000
"""Within so many steps whatever is spoiled here has to be found."""


@pytest.fixture
def house(database_url: str, sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    configure(SimpleNamespace(level="critical", format="json"), sys.stderr, now=SystemClock().now)
    if not database_url:
        for part in PARTS:
            shutil.copy(sqlite_template.with_name(part.file), tmp_path / part.file)
    house = House(database_url, tmp_path)
    yield house
    house.leave()


def stories_in(house: House) -> type[Usage]:
    return type("Stories", (Usage,), {"house": house})


def test_any_story_of_usage_is_told_the_same_way_twice(house: House) -> None:
    stories = stories_in(house)
    began, number = time.perf_counter(), int(os.environ.get("HEARTFLY_SEED", "0"))
    database = "PostgreSQL" if house.on_postgres else "SQLite"
    while stories.n_steps < STEPS:
        number += 1
        left = STEPS - stories.n_steps + IN_A_STORY
        run(stories, n_steps=min(AT_A_TIME, left), number=number, phases=(Phase.generate, Phase.shrink))
        house.tidy()
        took = time.perf_counter() - began
        print(f"{database}: {stories.n_steps} steps in {took:.0f} s, {stories.n_steps / took:.0f} a second", flush=True)


# --- it can say no


def what_is_folded_anew_is_added(patch: pytest.MonkeyPatch) -> None:
    def twice(*args: Any) -> Folded:
        folded = fold_hour(*args)
        if folded.replaces is not None:
            folded.merge(fold_hour(*args))
        return folded

    patch.setattr(folder, "fold_hour", twice)


def what_comes_again_at_once_counts_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply, "_DUPLICATE", apply.ACCEPTED)


def a_day_is_closed_without_what_came_late(patch: pytest.MonkeyPatch) -> None:
    found = folder.Folder.dirty_within

    async def only_hours(of: folder.Folder, pid: int, from_at: datetime, to_at: datetime) -> Sequence[datetime]:
        return await found(of, pid, from_at, to_at) if to_at - from_at == HOUR else ()

    patch.setattr(folder.Folder, "dirty_within", only_hours)
    patch.setattr(reconcile, "_dirty", lambda *_: 0)
    patch.setattr(close_day, "_moved", lambda *_: False)


def a_version_holds_since_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Version, "holds", lambda version, at: version.to_at is None or at < version.to_at)


def a_late_event_leaves_its_day_final(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(generations, "_touch_days", lambda *_: None)


def an_alias_is_nobodys(patch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: Any) -> Mapping[str, Any]:
        return {}

    patch.setattr(whose, "_meant_by", nobody)


def the_hours_of_one_who_is_erased_stay_as_they_were(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(erasure, "_mark", lambda *_: None)


def one_who_is_erased_comes_back_with_what_was_replaced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(erasure, "_former", lambda *_: 0)


def a_letter_that_was_sent_once_more_stays_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dead_letters, "_settle", lambda *_, **__: None)


def what_is_sent_once_more_is_new(patch: pytest.MonkeyPatch) -> None:
    content = dead_letters._content
    patch.setattr(dead_letters, "_content", lambda row: content(row) | {"transaction_id": str(row.id)})


def letters_of_one_who_is_erased_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(traces, "letter_names", lambda *_: False)


def a_percentile_is_two_buckets_too_high(patch: pytest.MonkeyPatch) -> None:
    bucket_of = sketches.bucket_of
    patch.setattr(sketches, "bucket_of", lambda value: bucket_of(value) + 2)


def of_hours_that_are_put_together_only_the_first_has_a_percentile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sketches.Histogram, "merge", lambda *_: None)


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        (what_is_folded_anew_is_added, "hours are of|is closed as"),
        (what_comes_again_at_once_counts_again, "they are told as"),
        (a_day_is_closed_without_what_came_late, "is closed as|hours to fold are"),
        pytest.param(a_version_holds_since_ever, ", and should|`verify`", marks=pytest.mark.slow),
        pytest.param(
            a_late_event_leaves_its_day_final, "and should be provisional|days to close are", marks=pytest.mark.slow
        ),
        pytest.param(a_percentile_is_two_buckets_too_high, " by ", marks=pytest.mark.slow),
        pytest.param(
            of_hours_that_are_put_together_only_the_first_has_a_percentile, " by |`verify`", marks=pytest.mark.slow
        ),
        pytest.param(a_letter_that_was_sent_once_more_stays_open, "the dead letter holds", marks=pytest.mark.slow),
        pytest.param(what_is_sent_once_more_is_new, ", and should be", marks=pytest.mark.slow),
        pytest.param(letters_of_one_who_is_erased_stay, "the dead letter holds", marks=pytest.mark.slow),
        pytest.param(an_alias_is_nobodys, " by ", marks=pytest.mark.slow),
        pytest.param(the_hours_of_one_who_is_erased_stay_as_they_were, "hours to fold are", marks=pytest.mark.slow),
        pytest.param(one_who_is_erased_comes_back_with_what_was_replaced, "and should", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
def test_a_bug_is_found(
    house: House, monkeypatch: pytest.MonkeyPatch, *, bug: Callable[[pytest.MonkeyPatch], None], words: str
) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError, match=words):
        run(stories_in(house), n_steps=FOUND, number=1, phases=(Phase.generate,))
