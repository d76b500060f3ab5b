"""What is run of a night, and before a release: each goal of docs/proof.md at its own size, one after another.

    python -m tests.tiers nightly            all of it, in some hours: make nightly
    python -m tests.tiers release            the nightly tier first, and then what takes days: make release
    python -m tests.tiers nightly kills      those with this word in their name
    python -m tests.tiers nightly --list     what would be run

A step that fails stops none of those after it; the end says which did. What each printed, with its seeds and figures,
stands in build/tiers. How large a goal is and what was seen is told in docs/proof.md, and decided there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "tiers"


@dataclass(frozen=True, slots=True)
class Step:
    """`command`: arguments of Python. `env`: beside the surroundings'."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> str:
        return " ".join([*(f"{name}={value}" for name, value in self.env.items()), "python", *self.command])


@dataclass(frozen=True, slots=True)
class Ended:
    step: Step
    status: int
    took_s: float
    log: Path


def _tests(name: str, *which: str, **env: str) -> Step:
    """Slow ones too; one that cannot run here is a failure."""
    command = ["-m", "pytest", "-s", "-m", "slow or not slow", *which]
    return Step(name, command, {f"HEARTFLY_{key}": value for key, value in env.items()} | {"HEARTFLY_REQUIRE_ALL": "1"})


def _fuzzed(seconds: int) -> list[Step]:
    targets = ("cron", "oncalendar", "ping_path", "events", "quantity", "template", "mails", "imports")
    return [Step(f"fuzz {one}", ["-m", "tests.fuzz", one, f"-max_total_time={seconds}"]) for one in targets]


NIGHTLY = (
    _tests("kills on SQLite", "tests/faults/test_kill.py", "-k", "sqlite", KILLS="1000"),
    _tests("kills on PostgreSQL", "tests/faults/test_kill.py", "-k", "postgres", KILLS="1000"),
    _tests("crash points", "tests/faults/test_crash_points.py", CRASH_POINTS="every"),
    _tests("crash commits", "tests/faults/test_crash_commits.py", CRASH_COMMITS="every"),
    _tests("power cuts", "tests/faults/test_power_cuts.py", CUTS="10000"),
    _tests("the auditor can say no", "tests/faults/test_auditor.py"),
    _tests("three nodes", "tests/faults/test_three_nodes.py", "tests/faults/test_networks.py"),
    Step("three nodes in virtual time", ["-m", "bench.simulate_nodes", "--seed", "1", "--faults", "1000"]),
    Step("a hundred years", ["-m", "bench.simulate", "--seeds", "100", "--checks", "100", "--days", "365"]),
    _tests("stories on SQLite", "tests/states/test_states.py", "-k", "twice and sqlite", STEPS="1000000"),
    _tests(
        "stories of checks on PostgreSQL", "tests/states/test_states.py", "-k", "twice and postgres", STEPS="200000"
    ),
    _tests(
        "stories of usage on SQLite",
        "tests/usage_states/test_usage_states.py",
        "-k",
        "twice and sqlite",
        STEPS="100000",
    ),
    _tests(
        "stories of usage on PostgreSQL",
        "tests/usage_states/test_usage_states.py",
        "-k",
        "twice and postgres",
        STEPS="20000",
    ),
    Step("orders at a deadline", ["-m", "bench.interleave", "--most", "1000000000"]),
    _tests("events and kills", "tests/faults/test_events_killed.py"),
    _tests("clock changes in all zones", "tests/core/test_cron_zones.py", SEARCH="1"),
    _tests("restore", "tests/faults/test_restore.py"),
    _tests("migrations that are killed", "tests/db/test_migrate.py"),
    _tests("single requests", "tests/single", SINGLE="1"),
    Step("storm", ["-m", "bench", "storm", "--strict"]),
    Step("seeded bugs", ["-m", "tests.mutants.run"]),
    *_fuzzed(900),
)
RELEASE = (
    *NIGHTLY,
    _tests("every other fault", "tests/faults", "--deselect", "tests/faults/test_kill.py"),
    _tests("a million steps on PostgreSQL", "tests/states/test_states.py", "-k", "twice and postgres", STEPS="1000000"),
    _tests("connections over restarts", "tests/faults/test_networks.py", "-k", "restarted", CONNECTIONS="100000"),
    _tests(
        "ten million events",
        "tests/faults/test_events_killed.py",
        EVENTS="10000000",
        EVENT_KILLS="100",
        EVENTS_S="18000",
    ),
    _tests("schemathesis", "tests/api/test_api_schema_fuzz.py", SEARCH="1", CASES="100000"),
    Step("raw HTTP", ["-m", "tests.fuzz.raw_http", "--requests", "1000000", "--seed", "1"]),
    Step(
        "a year of 10,000 checks",
        ["-m", "bench.simulate", "--checks", "10000", "--days", "365", "--keep", str(LOGS / "year")],
    ),
    _tests("the same wheel", "tests/test_packaging.py"),
    *(Step(f"bench on {one}", ["-m", "bench", "--strict", "--database", one]) for one in ("sqlite", "postgres")),
    *(Step(f"{one.name}, three hours", [*one.command[:-1], "-max_total_time=10800"]) for one in _fuzzed(0)),
)
TIERS: dict[str, Sequence[Step]] = {"nightly": NIGHTLY, "release": RELEASE}


def run(steps: Sequence[Step], logs: Path) -> list[Ended]:
    """Each in its turn, whatever became of the one before."""
    logs.mkdir(parents=True, exist_ok=True)
    return [_run(step, logs / f"{number:02}-{step.name.replace(' ', '-')}.log") for number, step in enumerate(steps, 1)]


def _run(step: Step, log: Path) -> Ended:
    print(f"{step.name}: {step.told}", flush=True)
    begun = time.perf_counter()
    with log.open("wb") as output:
        output.write(f"{step.told}\n".encode())
        output.flush()
        done = subprocess.run(
            [sys.executable, *step.command],
            cwd=ROOT,
            env=os.environ | step.env,
            stdout=output,
            stderr=output,
            check=False,
        )
    ended = Ended(step, done.returncode, time.perf_counter() - begun, log)
    print(f"  {_word(ended)} after {ended.took_s:.0f} s", flush=True)
    return ended


def _word(ended: Ended) -> str:
    return "ok" if ended.status == 0 else f"FAILED ({ended.status})"


def summary(ended: Sequence[Ended]) -> str:
    """Every step, and the end of what each printed that failed."""
    failed = [one for one in ended if one.status != 0]
    lines = ["", *(f"{_word(one):12} {one.took_s:7.0f} s  {one.step.name}" for one in ended)]
    for one in failed:
        last = one.log.read_text(errors="replace").splitlines()[-5:]
        lines += ["", f"{one.step.name} failed: {one.log}", *(f"  {line}" for line in last)]
    return "\n".join([*lines, "", f"{len(failed)} of {len(ended)} failed" if failed else f"all {len(ended)} are ok"])


def main(arguments: Sequence[str] | None = None) -> int:
    """The status to exit with: 1 if a step failed, 2 if there is none of that name."""
    parser = argparse.ArgumentParser(prog="python -m tests.tiers", description="Run a tier, one step after another.")
    parser.add_argument("tier", choices=TIERS)
    parser.add_argument("word", nargs="?", default="", help="only steps with this in their name")
    parser.add_argument("--list", action="store_true", help="say what would be run")
    given = parser.parse_args(arguments)
    steps = [step for step in TIERS[given.tier] if given.word in step.name]
    if not steps:
        print(f"no step of {given.tier} has {given.word!r} in its name", file=sys.stderr)
        return 2
    if given.list:
        print("\n".join(f"{step.name}: {step.told}" for step in steps))
        return 0
    ended = run(steps, LOGS)
    print(summary(ended))
    return int(any(one.status for one in ended))


if __name__ == "__main__":
    sys.exit(main())
