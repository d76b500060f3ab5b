"""Replay seeded months of checks, outages, clock steps and DST on the production code: 0 false alarms, 0 missed.

    python -m bench.simulate --seed 7 --checks 1000 --days 30      one seed
    python -m bench.simulate --seeds 10                            seeds 1 to 10
    python -m bench.simulate --seeds 10 --first 11                 seeds 11 to 20, on another processor
    python -m bench.simulate --seeds 100 --processes 2             two at a time, told in order all the same
    python -m bench.simulate --replay 7 --stories 20               a seed that failed, with more stories
    python -m bench.simulate --checks 10000 --days 365 --keep FILE      put aside every ten minutes, and gone on with

What is settled is judged day by day (`--window`) and let go, so that memory grows with the checks, not with the days.
`--keep` takes up what an earlier run, that ended before its time, put into the file, and gives the log that one run
would. Every failure names its seed and the commit; the same two give the same log (`log=` is its hash). The last
line sums up: how many years of a check that was, alarms that had to be, false ones and missed ones, other promises
that were broken, and the seconds of a processor.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from heartfly.clock import SystemClock
from heartfly.logs import configure
from tests.simulator.history import Plan
from tests.simulator.kept import OtherPlanError, simulate_kept
from tests.simulator.verdict import Verdict, simulate

KEEP_EVERY_S = 600.0
"""Of a processor: to put aside a year of 10,000 checks takes seconds."""


@dataclass(frozen=True, slots=True)
class Done:
    """What is told of one seed, and what goes into the sum. `ended`: the simulation itself did; where and why."""

    told: str
    kept: bool = False
    n_due: int = 0
    n_false: int = 0
    n_missed: int = 0
    n_broken: int = 0
    computed: float = 0.0
    ended: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.simulate", description=(__doc__ or "").splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", "--replay", type=int, help="this one")
    which.add_argument("--seeds", type=int, default=1, help="so many, from --first on")
    parser.add_argument("--first", type=int, default=1, help="of several")
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--faults-per-day", type=float, default=6.0)
    parser.add_argument("--window", type=float, default=1.0, help="in days: how often what is settled is judged")
    parser.add_argument("--processes", type=int, default=1, help="so many seeds at a time")
    parser.add_argument("--commit", default="", help="what is printed with a failure; by default asked of git")
    parser.add_argument("--stories", type=int, default=3, help="at most so many for each seed")
    parser.add_argument("--keep", type=Path, help="of one seed: a file to put it aside in, and to go on from")
    asked = parser.parse_args()
    if asked.keep is not None and asked.seeds > 1:
        parser.error("--keep is of one seed")
    commit = asked.commit or _commit()
    seeds = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.seeds)
    plans = [
        Plan(
            seed=seed,
            n_checks=asked.checks,
            days=asked.days,
            faults_per_day=asked.faults_per_day,
            window=asked.window,
        )
        for seed in seeds
    ]
    every: list[Done] = []
    each = (
        _each(plans, commit, asked.stories, asked.processes)
        if asked.keep is None
        else [_kept(plans[0], commit, asked.stories, asked.keep)]
    )
    for done in each:
        print(done.told, flush=True)
        if done.ended:
            print(done.ended, file=sys.stderr)
            return 1
        every.append(done)
    print(_sum(every, years=len(plans) * asked.checks * asked.days / 365))
    return 0 if all(done.kept for done in every) else 1


def _each(plans: Sequence[Plan], commit: str, stories: int, processes: int) -> Iterator[Done]:
    """In order, each as soon as all before it are done."""
    if processes < 2:
        for plan in plans:
            yield _one(plan, commit, stories)
        return
    # A process for each seed: what a long one had in memory is given back.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=fresh, max_tasks_per_child=1) as pool:
        waiting = [pool.submit(_one, plan, commit, stories) for plan in plans]
        try:
            for one in waiting:
                yield one.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one(plan: Plan, commit: str, stories: int) -> Done:
    _prepare()
    began, computed = time.perf_counter(), time.process_time()
    try:
        verdict = simulate(plan)
    except Exception:  # noqa: BLE001 - told by who sums up
        return Done(f"seed={plan.seed} commit={commit} the simulation itself ended", ended=traceback.format_exc())
    return _done(verdict, commit, stories, time.perf_counter() - began, time.process_time() - computed)


def _kept(plan: Plan, commit: str, stories: int, file: Path) -> Done:
    """`seconds` are those of this process and, of computing, of all that worked at it."""
    _prepare()
    began = time.perf_counter()
    try:
        verdict, kept = simulate_kept(plan, file, commit=commit, computed=time.process_time, every_s=KEEP_EVERY_S)
    except OtherPlanError as error:
        return Done(f"{error}: name another file", ended=str(error))
    except Exception:  # noqa: BLE001 - told by who sums up
        return Done(f"seed={plan.seed} commit={commit} the simulation itself ended", ended=traceback.format_exc())
    file.unlink(missing_ok=True)
    return _done(verdict, "+".join(kept.commits), stories, time.perf_counter() - began, kept.computed)


def _prepare() -> None:
    configure(SimpleNamespace(level="error", format="json"), sys.stderr, now=SystemClock().now)
    # What is made here goes when it is judged, and hardly any of it in circles: there is little to look for.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _done(verdict: Verdict, commit: str, stories: int, took: float, of_it: float) -> Done:
    return Done(
        f"{verdict.report(commit=commit, stories=stories)}\n  seconds: {took:.0f}, {of_it:.0f} of them computing",
        kept=verdict.kept,
        n_due=verdict.figures["alarms expected"],
        n_false=verdict.n_false,
        n_missed=verdict.n_missed,
        n_broken=len(verdict.wrong) - verdict.n_false - verdict.n_missed,
        computed=of_it,
    )


def _sum(every: Sequence[Done], *, years: float) -> str:
    return (
        f"seeds: {len(every)}, check-years: {years:g}, alarms due: {sum(done.n_due for done in every)}, "
        f"false: {sum(done.n_false for done in every)}, missed: {sum(done.n_missed for done in every)}, "
        f"otherwise broken: {sum(done.n_broken for done in every)}, "
        f"CPU seconds: {sum(done.computed for done in every):.0f}"
    )


def _commit() -> str:
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
