"""Let three nodes stand, die and be cut off at random on one PostgreSQL, and see that nothing is lost or told twice.

    python -m bench.simulate_nodes --seed 1 --faults 1000      one seed
    python -m bench.simulate_nodes --seeds 5 --faults 200      seeds 1 to 5

Virtual time, the production code, a real PostgreSQL (of a wheel, as tests have it). Every failure names its seed and
the commit; the same two give the same bytes of log (`log=` is their hash).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from bench.served import stores
from bench.simulate import _commit
from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.migrate import upgrade
from heartfly.logs import configure
from tests.cluster.judge import judge
from tests.cluster.plan import Plan
from tests.cluster.run import Cluster


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.simulate_nodes", description=(__doc__ or "").splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="this one")
    which.add_argument("--seeds", type=int, default=1, help="so many, from --first on")
    parser.add_argument("--first", type=int, default=1, help="of several")
    parser.add_argument("--faults", type=int, default=1000, help="for each seed")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--checks", type=int, default=24)
    parser.add_argument("--commit", default="", help="what is printed with a failure; by default asked of git")
    asked = parser.parse_args()
    configure(SimpleNamespace(level="critical", format="json"), sys.stderr, now=SystemClock().now)
    commit = asked.commit or _commit()
    broken = 0
    with stores("postgres") as made:
        for seed in [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.seeds):
            plan = Plan(seed=seed, n_faults=asked.faults, n_nodes=asked.nodes, n_jobs=asked.checks)
            store = made.fresh()
            _migrate(store.url, store.folder)
            began = time.perf_counter()
            try:
                verdict = judge(Cluster(plan, store.url).run())
            except Exception:
                print(f"seed={seed} commit={commit} the simulation itself ended", flush=True)
                raise
            print(verdict.report(commit=commit))
            print(f"  seconds: {time.perf_counter() - began:.0f}", flush=True)
            broken += bool(verdict.wrong)
    return 1 if broken else 0


def _migrate(url: str, folder: Path) -> None:
    database = Database(url=url, data_dir=folder, clock=SystemClock())
    upgrade(database.engine, database.part)
    database.close()


if __name__ == "__main__":
    raise SystemExit(main())
