"""A simulation that is put aside and taken up again says what one that was never interrupted does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.db.models import notifications
from heartfly.logs import configure
from tests.simulator.history import Plan
from tests.simulator.kept import OtherPlanError, begun, simulate_kept, taken_up
from tests.simulator.verdict import Verdict, conclude, simulate

PLAN = Plan(seed=3, n_checks=12, days=7, faults_per_day=12, window=0.25)


class EndedError(Exception):
    """What a signal would do to the process."""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure(SimpleNamespace(level="error", format="json"), sys.stderr, now=SystemClock().now)


def ends_after(n: int) -> Callable[[], float]:
    """Seconds of a processor, one more at each look; at the n-th the process ends."""
    looks = 0

    def computed() -> float:
        nonlocal looks
        looks += 1
        if looks > n:
            raise EndedError
        return float(looks)

    return computed


def test_however_often_it_is_put_aside_the_log_and_the_verdict_are_those_of_one_run(tmp_path: Path) -> None:
    file, processes = tmp_path / "kept", 0
    whole = simulate(PLAN)
    told: Verdict | None = None
    while told is None:
        processes += 1
        try:
            told, kept = simulate_kept(PLAN, file, commit=f"c{processes // 3}", computed=ends_after(70), every_s=30)
        except EndedError:
            continue

    assert processes > 3
    assert (whole.digest, []) == (told.digest, told.wrong)
    assert whole.figures == told.figures
    assert whole.tally == told.tally
    assert [f"c{n}" for n in range(processes // 3 + 1)] == kept.commits
    assert kept.computed > 60 * (processes - 1)


def test_what_is_of_another_plan_is_not_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    with pytest.raises(EndedError):
        simulate_kept(PLAN, file, commit="c", computed=ends_after(50), every_s=40)

    with pytest.raises(OtherPlanError, match=r"kept is of Plan\(seed=3"):
        simulate_kept(replace(PLAN, seed=4), file, commit="c", computed=ends_after(50), every_s=40)


def test_what_cannot_be_put_aside_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    with pytest.raises(EndedError):
        simulate_kept(PLAN, file, commit="c", computed=ends_after(50), every_s=40)
    before = file.read_bytes()
    kept = taken_up(file)
    kept.commits.append(lambda: "that has no name")  # type: ignore[arg-type]

    with pytest.raises(Exception, match="pickle"):
        kept.put(file)

    assert before == file.read_bytes()


def test_what_is_lost_from_what_was_put_aside_is_found(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    with pytest.raises(EndedError):
        simulate_kept(PLAN, file, commit="c", computed=ends_after(200), every_s=40)
    kept = taken_up(file)
    with kept.simulation.history.engine.begin() as connection:
        newest = sa.select(sa.func.max(notifications.c.alert_id)).scalar_subquery()
        assert connection.execute(sa.delete(notifications).where(notifications.c.alert_id == newest)).rowcount

    kept.simulation.go_on()
    verdict = conclude(kept.windows)

    assert verdict.wrong
    assert 1 == verdict.figures["other promises broken"]


def test_it_is_put_aside_only_where_the_process_is_dead(tmp_path: Path) -> None:
    kept = begun(PLAN)

    with pytest.raises(AssertionError):
        kept.put(tmp_path / "kept")
