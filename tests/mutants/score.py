"""How many small changes of the code go unnoticed? A seeded sample, room by room: `make mutation` (needs mutmut).

    python -m tests.mutants.score                          40 of each room, in some minutes each
    python -m tests.mutants.score ssrf core --sample 200   more of these
    python -m tests.mutants.score core --only 'heartfly.core.check.*'

mutmut makes the changes, in a copy of the tree, and runs for each the tests that come by the changed function, of those
that rooms.py names. A change that only a test of another room would notice counts as unnoticed here.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.mutants.equivalent import why_equivalent
from tests.mutants.rooms import GOAL, ROOMS, Room
from tests.mutants.run import copied

Diff = Callable[[str], str]
NOBODY = "no mutant has this name"
TESTED = frozenset({1, 3, 36, 24, -24, 152, 255, -9, -11})
"""What mutmut writes of a change that was noticed: red, or without an end, or dead."""
CHEAP = "not slow and not postgres and not browser and not e2e and not spawned"
ALONE = ("-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "no:threadexception")
"""Many runs share a process, and what one leaves open another one would be red for."""
PATIENCE = {"timeout_multiplier": 4.0, "timeout_constant": 10.0}
"""How long is waited for a change that makes a loop endless: mutmut's own 15 times of tests that take half a minute are
minutes for each. The constant, in seconds, is for a busy machine that must first find its tests."""
UNTESTED = {0: "survives", 5: "no test comes by", 33: "no test comes by"}


@dataclass(frozen=True, slots=True)
class Score:
    room: str
    n_of: int
    """How many changes there are."""
    caught: int
    survivors: Sequence[str]
    """Each with what became of it, and its diff."""
    equivalent: int = 0

    @property
    def asked(self) -> int:
        return self.caught + len(self.survivors)

    @property
    def share(self) -> float:
        return self.caught / self.asked if self.asked else 0.0

    def told(self) -> str:
        alike = f", {self.equivalent} more change nothing" if self.equivalent else ""
        return f"{self.room}: {self.caught} of {self.asked} caught, {self.share:.0%} ({self.n_of:,} there are{alike})"


def verdicts(tree: Path) -> dict[str, int | None]:
    """What mutmut wrote of each change that it made; None: it was not looked at."""
    found: dict[str, int | None] = {}
    for file in sorted((tree / "mutants" / "heartfly").rglob("*.py.meta")):
        found |= json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def sample(names: Sequence[str], n: int, *, seed: int, only: str = "*") -> list[str]:
    """The same ones for the same seed, as long as the code stands."""
    asked = sorted(name for name in names if fnmatch(name, only))
    return sorted(random.Random(f"{seed}").sample(asked, min(n, len(asked))))


def settings(room: Room) -> str:
    """mutmut's, to be appended to pyproject.toml. JSON's lists of strings are TOML's."""
    wanted = PATIENCE | {
        "source_paths": ["heartfly"],
        "only_mutate": list(room.code),
        "also_copy": ["alembic", "bench", "clients", "docs", "config.example.toml"],
        "pytest_add_cli_args": [*ALONE, "-m", CHEAP],
        "pytest_add_cli_args_test_selection": list(room.tests),
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in wanted.items()]
    return "\n".join(["", "[tool.mutmut]", *lines, "track_dependencies = false", ""])


@dataclass(frozen=True, slots=True)
class Mutmut:
    tree: Path
    program: str

    def run(self, names: Sequence[str]) -> str:
        return self._call("run", "--max-children", "1", *names)

    def diff(self, name: str) -> str:
        shown = self._call("show", name).splitlines()
        return "\n".join(shown[next((n for n, line in enumerate(shown) if line.startswith("---")), 0) :])

    def _call(self, *arguments: str) -> str:
        done = subprocess.run([self.program, *arguments], cwd=self.tree, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


def looked_at(room: Room, mutmut: Mutmut, *, n: int, seed: int, only: str) -> Score:
    """LookupError: mutmut did not come so far as to say anything."""
    with (mutmut.tree / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(settings(room))
    told = mutmut.run([NOBODY])  # makes all of them, and sees which tests come by where
    there = verdicts(mutmut.tree)
    chosen = sample(list(there), n, seed=seed, only=only)
    if not chosen or not (mutmut.tree / "mutants" / "mutmut-stats.json").exists():
        raise LookupError(f"no change was made, or the tests are red without one:\n{told[-3000:]}")
    tested = with_tests(mutmut.tree, chosen)
    told = mutmut.run(tested)
    found = verdicts(mutmut.tree) | dict.fromkeys(set(chosen) - set(tested), 33)
    unknown = [name for name in chosen if found[name] not in TESTED and found[name] not in UNTESTED]
    if unknown:
        raise LookupError(f"nothing is known of {len(unknown)}, such as {unknown[0]}:\n{told[-3000:]}")
    return judged(room.name, {name: found[name] for name in chosen}, mutmut.diff, n_of=len(there))


def with_tests(tree: Path, names: Sequence[str]) -> list[str]:
    """Those of functions that some test comes by: of others mutmut says nothing, and stops."""
    known = json.loads((tree / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))
    tested = {name for name, tests in known["tests_by_mangled_function_name"].items() if tests}
    return [name for name in names if name.partition("__mutmut_")[0] in tested]


def judged(room: str, found: Mapping[str, int | None], diff: Diff, *, n_of: int) -> Score:
    caught, survivors, equivalent = 0, [], 0
    for name, code in sorted(found.items()):
        if code in TESTED:
            caught += 1
            continue
        change = diff(name)
        if (why := why_equivalent(name, change)) is not None:
            print(f"  changes nothing: {name}: {why}", flush=True)
            equivalent += 1
        else:
            survivors.append(f"{UNTESTED[code or 0]}: {name}\n{change}")
    return Score(room, n_of, caught, survivors, equivalent)


def main(asked: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.mutants.score", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(room.name for room in ROOMS)}")
    parser.add_argument("--sample", type=int, default=40, help="how many changes of each room")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--only", default="*", help="changes whose name is like this, such as 'heartfly.core.cron.*'")
    given = parser.parse_args(asked)
    if unknown := set(given.rooms) - {room.name for room in ROOMS}:
        parser.error(f"no such room: {', '.join(sorted(unknown))}")
    beside = Path(sys.executable).with_name("mutmut")
    program = str(beside) if beside.exists() else shutil.which("mutmut")
    if program is None:
        parser.error("mutmut is not here: pip install mutmut")
    scores = []
    for room in (room for room in ROOMS if not given.rooms or room.name in given.rooms):
        with copied() as tree:
            score = looked_at(room, Mutmut(tree, program), n=given.sample, seed=given.seed, only=given.only)
        print("\n".join([*(f"{one}\n" for one in score.survivors), score.told()]), flush=True)
        scores.append(score)
    print("\n".join(["", *(score.told() for score in scores)]))
    return 0 if all(score.share >= GOAL for score in scores) else 1


if __name__ == "__main__":
    raise SystemExit(main())
