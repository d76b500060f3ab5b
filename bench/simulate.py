"""Replay seeded months of checks, outages, clock steps and DST on the production code: 0 false alarms, 0 missed.

    python -m bench.simulate --seed 7 --checks 1000 --days 30      one seed
    python -m bench.simulate --seeds 10                            seeds 1 to 10
    python -m bench.simulate --seeds 10 --first 11                 seeds 11 to 20, on another processor
    python -m bench.simulate --replay 7 --stories 20               a seed that failed, with more stories

Every failure names its seed and the commit; the same two give the same bytes of log (`log=` is their hash).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from types import SimpleNamespace

from heartfly.clock import SystemClock
from heartfly.logs import configure
from tests.simulator.run import Plan
from tests.simulator.verdict import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.simulate", description=(__doc__ or "").splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", "--replay", type=int, help="this one")
    which.add_argument("--seeds", type=int, default=1, help="so many, from --first on")
    parser.add_argument("--first", type=int, default=1, help="of several")
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--faults-per-day", type=float, default=6.0)
    parser.add_argument("--commit", default="", help="what is printed with a failure; by default asked of git")
    parser.add_argument("--stories", type=int, default=3, help="at most so many for each seed")
    asked = parser.parse_args()
    configure(SimpleNamespace(level="error", format="json"), sys.stderr, now=SystemClock().now)
    commit = asked.commit or _commit()
    broken = 0
    for seed in [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.seeds):
        plan = Plan(seed=seed, n_checks=asked.checks, days=asked.days, faults_per_day=asked.faults_per_day)
        began, computed = time.perf_counter(), time.process_time()
        try:
            verdict = simulate(plan)
        except Exception:
            print(f"seed={seed} commit={commit} the simulation itself ended", flush=True)
            raise
        took, of_it = time.perf_counter() - began, time.process_time() - computed
        print(verdict.report(commit=commit, stories=asked.stories))
        print(f"  seconds: {took:.0f}, {of_it:.0f} of them computing", flush=True)
        broken += not verdict.kept
    return 1 if broken else 0


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
