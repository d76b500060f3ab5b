"""What is made of mutmut's word: a seed's own sample, a score that leaves nothing out, rooms that there are."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.mutants.equivalent import EQUIVALENT, Equivalent, why_equivalent
from tests.mutants.rooms import ROOMS, Room
from tests.mutants.run import ROOT
from tests.mutants.score import judged, sample, settings, verdicts, with_tests

NAMES = [f"heartfly.core.cron.x_f__mutmut_{n}" for n in range(50)]
DIFF = """--- heartfly/core/x.py
+++ heartfly/core/x.py
@@ -1,3 +1,3 @@
 def f(n):
-    return n < 2
+    return n <= 2
"""


def test_a_seed_draws_the_same_ones_in_whatever_order_they_come() -> None:
    drawn = sample(NAMES, 10, seed=1)

    assert drawn == sample(NAMES[::-1], 10, seed=1)
    assert drawn != sample(NAMES, 10, seed=2)
    assert 10 == len(set(drawn) & set(NAMES))


def test_of_few_all_are_drawn_and_of_others_none() -> None:
    others = ["heartfly.core.check.x_g__mutmut_1", "heartfly.core.check.x_g__mutmut_2"]

    assert others == sample([*NAMES, *others], 40, seed=1, only="heartfly.core.check.*")
    assert [] == sample(NAMES, 40, seed=1, only="heartfly.net.*")


def test_what_no_test_comes_by_lowers_the_score_as_a_survivor_does() -> None:
    codes = {"a": 1, "b": 36, "c": 0, "d": 33}

    score = judged("core", codes, lambda name: f"diff of {name}", n_of=1234)

    assert (2, 4, 0.5) == (score.caught, score.asked, score.share)
    assert ["survives: c\ndiff of c", "no test comes by: d\ndiff of d"] == list(score.survivors)
    assert "core: 2 of 4 caught, 50% (1,234 there are)" == score.told()


def test_a_room_of_which_nothing_was_asked_has_not_passed() -> None:
    assert 0.0 == judged("core", {}, str, n_of=0).share


def test_what_changes_nothing_is_told_by_its_function_and_its_lines() -> None:
    name = "heartfly.core.x.x_f"
    known = [Equivalent(function=name, old="return n < 2", new="return n <= 2", why="n is never 2")]

    assert "n is never 2" == why_equivalent(f"{name}__mutmut_7", DIFF, known)
    assert why_equivalent("heartfly.core.x.x_g__mutmut_7", DIFF, known) is None
    assert why_equivalent(f"{name}__mutmut_7", DIFF.replace("<= 2", "<= 3"), known) is None


def test_a_line_that_goes_changes_nothing_where_that_is_known_of_the_line() -> None:
    name, gone = "heartfly.core.x.x_f", DIFF.replace("+    return n <= 2\n", "")
    known = [Equivalent(function=name, old="return n < 2", new="", why="nobody asks")]

    assert "nobody asks" == why_equivalent(f"{name}__mutmut_8", gone, known)
    assert why_equivalent(f"{name}__mutmut_7", DIFF, known) is None


def test_what_changes_nothing_still_stands_in_the_code() -> None:
    for one in EQUIVALENT:
        assert one.old in [line.strip() for line in (ROOT / one.file).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_each_room_has_its_code_and_its_tests(room: Room) -> None:
    for pattern in room.code:
        assert list(ROOT.glob(pattern)), pattern
    for test in room.tests:
        assert (ROOT / test).exists(), test


def test_the_settings_are_such_as_mutmut_reads() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + settings(ROOMS[0])

    read = tomllib.loads(text)["tool"]["mutmut"]

    assert (["heartfly/core/*.py"], ["tests/core"]) == (
        read["only_mutate"],
        read["pytest_add_cli_args_test_selection"],
    )
    assert "no:unraisableexception" in read["pytest_add_cli_args"]
    assert (4, 10) == (read["timeout_multiplier"], read["timeout_constant"])
    assert not read["track_dependencies"]


def test_mutmuts_word_is_read_from_its_files(tmp_path: Path) -> None:
    core, name = tmp_path / "mutants" / "heartfly" / "core", NAMES[0].partition("__mutmut_")[0]
    core.mkdir(parents=True)
    (core / "cron.py.meta").write_text(json.dumps({"exit_code_by_key": {NAMES[0]: 1, NAMES[1]: None}}))
    known = {"tests_by_mangled_function_name": {name: ["tests/core/test_cron.py::test_it"], "heartfly.core.x_f": []}}
    (tmp_path / "mutants" / "mutmut-stats.json").write_text(json.dumps(known))

    assert {NAMES[0]: 1, NAMES[1]: None} == verdicts(tmp_path)
    assert [NAMES[0]] == with_tests(tmp_path, [NAMES[0], "heartfly.core.x_f__mutmut_1", "heartfly.core.x_g__mutmut_1"])
