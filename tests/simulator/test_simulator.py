"""Seeded days of jobs, outages and clock steps on the production code, and proof that their judges can say no.

A few small plans run with every test run; `make simulate` and the slow test look at whole months.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.db.models import alerts, blind_intervals, checks, incidents, notifications
from heartfly.db.types import micros
from heartfly.logs import configure
from tests.core.check_oracle import Event, Life
from tests.simulator.faults import LENGTHS
from tests.simulator.ground_truth import MINUTE, MS, Sent, make_jobs, timing_of
from tests.simulator.history import History, Plan
from tests.simulator.oracle import Deafness, Replay, Rules, SeenFlip
from tests.simulator.run import Simulation
from tests.simulator.verdict import Verdict, judge, simulate

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (1, 2, 3, 4)
START = micros(datetime(2026, 3, 7, tzinfo=UTC))

EVERY_FIVE_MINUTES: Any = {
    "kind": "oncalendar", "expression": "*:0/5", "zone": "UTC", "grace_s": 5,
    "max_run_s": None, "unverified_is_down": False, "sticky": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """A simulated day has as many lines as a real one. conftest.py puts the log back as it was."""
    configure(SimpleNamespace(level="error", format="json"), sys.stderr, now=SystemClock().now)


@lru_cache
def verdict_of(seed: int) -> Verdict:
    return simulate(Plan(seed=seed, n_checks=20, days=3, faults_per_day=10))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_alarm_is_false_and_none_is_missing_in_a_few_seeded_days(seed: int) -> None:
    verdict = verdict_of(seed)

    assert [] == verdict.wrong, verdict.report(commit="this one")


@pytest.mark.parametrize("seed", [13, 24])
def test_what_stood_at_the_door_while_its_deadline_was_judged_came_after_it(seed: int) -> None:
    """The machine slept until the very microsecond of a deadline, and the watcher was first. Where silence that nobody
    could hear is told, that alarm is right, and taken back.
    """
    simulation = Simulation(Plan(seed=seed, n_checks=60, days=2, faults_per_day=200))
    for job in simulation.jobs:
        job.config = replace(job.config, unverified_is_down=True)
        job.timing = job.born = timing_of(job.config)
    simulation.history.faults[:] = [
        replace(fault, aimed=fault.kind != "crash", door_first=False)
        for fault in simulation.history.faults
        if fault.kind in {"stall", "sleep", "crash"}
    ]
    history = simulation.run()
    verdict = judge(history)
    history.engine.dispose()

    assert [] == verdict.wrong, verdict.report(commit="this one")
    stood = [
        item for job in history.jobs for item in job.history if isinstance(item, Sent) and item.judged == item.wall
    ]
    assert stood


@pytest.mark.parametrize(("heard_from", "reason"), [(0, "missed_twice_unverified"), (-1, "missed")])
def test_a_slot_that_opens_in_the_last_deaf_instant_is_one_that_nobody_heard(heard_from: int, reason: str) -> None:
    """Of a calendar, and the second in a row. One microsecond earlier, and it would have been heard."""
    config = replace(make_jobs(1, 1, START, busy=True)[0].config, **EVERY_FIVE_MINUTES)
    life = Life(Rules.of(timing_of(config)), since=START)
    life.happens(Event("success", START + 5 * MINUTE + MS), 1)

    life.judge(START + 16 * MINUTE, ((START + 8 * MINUTE, START + 15 * MINUTE + heard_from),))

    assert ("up", "down", START + 15 * MINUTE + 5_000 * MS, reason) == life.flips[-1]


@pytest.mark.parametrize(("after", "is_kept"), [(0, True), (1, False)])
def test_what_comes_behind_an_alarm_that_was_taken_back_stands_at_its_instant_if_the_clock_was_set_back(
    after: int, *, is_kept: bool
) -> None:
    job = make_jobs(1, 1, START, busy=True)[0]
    job.timing = job.born = timing_of(replace(job.config, **EVERY_FIVE_MINUTES))
    due, back = START + 10 * MINUTE + 5_000 * MS, START + 7 * MINUTE
    told = [
        ("new", "up", START + 5 * MINUTE, "success", None), ("up", "down", due, "missed", None),
        ("down", "up", due, "retracted", 2), ("up", "down", due + after, "exit_status", None),
    ]  # fmt: skip
    seen = [SeenFlip(10 * n, 0, n, *flip) for n, flip in enumerate(told, 1)]
    sent = [
        Sent(0, "success", 0, wall=START + 5 * MINUTE, arrived=9, committed=10, judged=START),
        Sent(0, "success", 0, wall=due - 1, arrived=19, committed=30, judged=due, slow=True),
        Sent(0, "fail", 0, wall=back, arrived=39, committed=40, judged=back - 1),
    ]
    replayed = Replay(job, seen, Deafness(), START)
    replayed.go_on(sent, (), 50)

    assert is_kept == (replayed.end(50, back).wrong == "")


def test_the_few_days_meet_every_kind_of_fault_and_of_silence() -> None:
    met = sum((verdict_of(seed).tally for seed in SEEDS), Counter())

    kinds = set(LENGTHS) - {"loop"}  # which is several crashes
    assert set() == {*kinds, "flip missed", "flip hung", "flip success", "unverified", "refused"} - set(met)


@pytest.mark.slow
def test_no_alarm_is_false_and_none_is_missing_in_a_month_of_a_thousand_checks() -> None:
    verdict = simulate(Plan(seed=1, n_checks=1000, days=30))

    assert [] == verdict.wrong, verdict.report(commit="this one")


# --- a failure can be had again


def log_of(seed: int, *, hash_seed: int) -> str:
    """The command's own word, from a process that orders its sets in another way."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.simulate", "--seed", str(seed), "--checks", "12", "--days", "1", "--commit", "x"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()[0]


def test_the_same_seed_gives_the_same_log_in_another_process() -> None:
    assert log_of(5, hash_seed=1) == log_of(5, hash_seed=2)


def test_another_seed_gives_another_log() -> None:
    digests = {simulate(Plan(seed=seed, n_checks=5, days=1)).digest for seed in (5, 6, 7)}

    assert 3 == len(digests)


def test_only_beats_that_would_find_nothing_to_do_are_left_out() -> None:
    plan = Plan(seed=9, n_checks=40, days=0.025, faults_per_day=400)
    left_out, every = (Simulation(replace(plan, every_beat=each)).run() for each in (False, True))

    assert [told(flips) for flips in left_out.flips.values()] == [told(flips) for flips in every.flips.values()]
    assert 4 == len(left_out.machine.blind)
    assert spans(left_out) == spans(every)


def told(flips: list[SeenFlip]) -> list[tuple[str, str, int, str]]:
    return [flip.told for flip in flips]


def spans(history: History) -> list[tuple[int, int]]:
    return [(deaf.from_at, deaf.to_at) for deaf in history.machine.blind]


# --- who judges the simulation says no where he should, and nowhere else


def test_a_start_that_was_on_its_way_between_two_of_one_transaction_makes_no_flip_too_many() -> None:
    """As seed 4 met it in its eleventh month: what the second of the two did was looked for after the first."""
    job = next(job for job in make_jobs(1, 20, START, busy=True) if not job.config.gates and not job.config.sticky)
    seen: list[SeenFlip] = []

    def sent(what: str, ms: int, *, arrived: int, committed: int) -> Sent:
        at = START + MINUTE + ms * MS
        return Sent(job.index, what, at, wall=at, arrived=arrived, committed=committed, life=1, judged=at - 1)

    def flipped(by: Sent, to: str, reason: str) -> None:
        before = seen[-1].to_status if seen else "new"
        seen.append(SeenFlip(by.committed, by.wall, len(seen) + 1, before, to, by.wall, reason, None))

    first = sent("success", 0, arrived=1, committed=2)
    start = sent("start", 500, arrived=3, committed=6)
    slow = sent("start", 560, arrived=4, committed=7)
    fail = sent("fail", 620, arrived=5, committed=6)
    again = sent("success", 900, arrived=8, committed=9)
    for by, to, reason in ((first, "up", "success"), (fail, "down", "fail"), (again, "up", "success")):
        flipped(by, to, reason)
    replay = Replay(job, seen, Deafness(), START)

    replay.go_on([first, start, slow, fail, again], [], 10)

    assert "" == replay.end(10, again.judged).wrong


def an_alarm(history: History) -> tuple[int, SeenFlip]:
    return next((job, flip) for job, flips in history.flips.items() for flip in flips if flip.to_status == "down")


def nobody_was_alarmed(history: History) -> None:
    job, flip = an_alarm(history)
    history.flips[job].remove(flip)


def somebody_was_alarmed_twice(history: History) -> None:
    job, flip = an_alarm(history)
    history.flips[job].insert(flip.flip_no, replace(flip, flip_no=flip.flip_no + 1))


def an_alarm_came_a_microsecond_early(history: History) -> None:
    job, flip = an_alarm(history)
    history.flips[job][flip.flip_no - 1] = replace(flip, at=flip.at - 1)


def a_ping_was_lost(history: History) -> None:
    _write(history, sa.update(checks).where(checks.c.id == _first(history)).values(n_pings=checks.c.n_pings - 1))


def a_deadline_was_lost(history: History) -> None:
    _write(history, sa.update(checks).where(checks.c.goes_down_at.is_(None)).values(status="up"))


def nobody_knew_that_we_were_deaf(history: History) -> None:
    _write(history, sa.delete(blind_intervals))


def a_digest_was_lost(history: History) -> None:
    _write(history, sa.delete(alerts).where(alerts.c.kind == "check.unverified"))


def a_notification_was_lost(history: History) -> None:
    one = sa.select(sa.func.min(alerts.c.id)).where(alerts.c.kind == "check.down").scalar_subquery()
    _write(history, sa.delete(notifications).where(notifications.c.alert_id == one, notifications.c.pid.is_not(None)))


def an_incident_was_lost(history: History) -> None:
    one = sa.select(sa.func.min(incidents.c.id)).scalar_subquery()
    _write(history, sa.delete(incidents).where(incidents.c.id == one))


def _first(history: History) -> int:
    return int(history.jobs[0].row.id)


def _write(history: History, statement: sa.Delete | sa.Update) -> None:
    """What no part of Heartfly would do: so it stands below its foreign keys."""
    history.engine.raw_connection().cursor().execute("PRAGMA foreign_keys=OFF")
    with history.engine.begin() as connection:
        assert connection.execute(statement).rowcount


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (nobody_was_alarmed, "missing: "),
        (somebody_was_alarmed_twice, "too many: "),
        (an_alarm_came_a_microsecond_early, "but it is "),
        (a_ping_was_lost, "pings were counted"),
        (a_deadline_was_lost, "nothing will ever make it go down"),
        (nobody_knew_that_we_were_deaf, "blind intervals differ"),
        (a_digest_was_lost, "in no digest"),
        (a_notification_was_lost, "to 2 channels"),
        (an_incident_was_lost, "its flips say"),
    ],
)
def test_whatever_is_spoiled_afterwards_is_found(spoil: Callable[[History], None], words: str) -> None:
    history = Simulation(Plan(seed=3, n_checks=12, days=2, faults_per_day=12)).run()
    assert [] == judge(history).wrong

    spoil(history)

    assert any(words in wrong for wrong in judge(history).wrong)
    history.engine.dispose()
