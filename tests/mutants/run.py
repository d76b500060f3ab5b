"""Break the code on purpose, one bug at a time, and see at least two tests go red for each: `make mutants`.

    python -m tests.mutants.run              all of them, in some minutes
    python -m tests.mutants.run lease        those with this word in their name

Each is put into a copy of the tree, and the tests that are named with it (seeded.py) run there. Before that all
of those run on a copy without a bug and must be green, or red would prove nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.mutants.seeded import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "results", "heartfly-data", "venv")
AT_LEAST = 2
LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Red:
    """`failed`: functions, so that a test on both databases, or with many examples, counts once."""

    failed: Sequence[str]
    n_run: int
    told: str
    """What pytest printed."""


def red(tree: Path, tests: Sequence[str]) -> Red:
    """Run these tests in that tree, on its own code. LookupError: they did not run, so they say nothing."""
    report = tree / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--show-capture=no", f"--junitxml={report}", *tests],
        cwd=tree,
        env=_env(tree) | {"HEARTFLY_REQUIRE_ALL": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise LookupError(f"the tests did not run:\n{done.stdout}{done.stderr}")
    cases = list(ET.parse(report).getroot().iter("testcase"))
    failed = {_name(case) for case in cases if case.find("failure") is not None}
    if done.returncode and not failed:
        raise LookupError(f"no test failed, but they could not be set up:\n{done.stdout}")
    return Red(sorted(failed), len(cases), done.stdout)


def _env(tree: Path) -> dict[str, str]:
    """What is installed is the tree that we stand in, so the copy must come before it; no copy is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTEST_"))} | {
        "PYTHONPATH": str(tree)
    }


def _name(case: ET.Element) -> str:
    return f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '').partition('[')[0]}"


@contextmanager
def copied() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="heartfly-mutant-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_BEHIND)
        yield tree


def whose_code(tree: Path) -> Path:
    """The file that `import heartfly` finds in that tree."""
    asked = subprocess.run(
        [sys.executable, "-c", "import heartfly; print(heartfly.__file__)"],
        cwd=tree,
        env=_env(tree),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return Path(asked.stdout.strip())


def main(asked: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.mutants.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="?", default="", help="only those with this in their name")
    words = parser.parse_args(asked).words
    chosen = [mutant for mutant in MUTANTS if words in mutant.name]
    if not chosen:
        print(f"no mutant has {words!r} in its name")
        return 2
    for mutant in chosen:
        mutant.of((ROOT / mutant.file).read_text(encoding="utf-8"))  # better now than after minutes
    if not _green(chosen):
        return 1
    survivors = [mutant.name for mutant in chosen if not _caught(mutant)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} are caught by {AT_LEAST} tests or more")
    for name in survivors:
        print(f"  SURVIVES: {name}")
    return 1 if survivors else 0


def _green(chosen: Sequence[Mutant]) -> bool:
    tests = list(dict.fromkeys(test for mutant in chosen for test in mutant.tests))
    with copied() as tree:
        code = whose_code(tree)
        if not code.is_relative_to(tree):
            print(f"the copy would run the code of {code}")
            return False
        found = red(tree, tests)
    if found.failed:
        print(f"without a bug these are red already: {', '.join(found.failed)}\n{found.told}")
    else:
        print(f"without a bug: {found.n_run} tests, none red\n", flush=True)
    return not found.failed


def _caught(mutant: Mutant) -> bool:
    began = time.perf_counter()
    with copied() as tree:
        file = tree / mutant.file
        file.write_text(mutant.of(file.read_text(encoding="utf-8")), encoding="utf-8")
        found = red(tree, mutant.tests)
    n, took = len(found.failed), time.perf_counter() - began
    print(f"{'caught' if n >= AT_LEAST else 'SURVIVES':8}  {n:3d} tests  {took:4.0f} s  {mutant.name}")
    for name in found.failed[:4]:
        print(f"{'':29}{name}")
    if n > 4:
        print(f"{'':29}and {n - 4} more")
    sys.stdout.flush()
    return n >= AT_LEAST


if __name__ == "__main__":
    raise SystemExit(main())
