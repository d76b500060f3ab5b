"""The seeded bugs fit the code as it is today: whoever moves a line hears of it here, not in a run of minutes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.run import ROOT, copied, red, whose_code
from tests.mutants.seeded import MUTANTS, Mutant

each = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@each
def test_each_bug_has_one_place_in_the_code_and_leaves_python(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")

    spoiled = mutant.of(text)

    assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(spoiled))


@each
def test_the_tests_that_each_bug_names_exist(mutant: Mutant) -> None:
    for test in mutant.tests:
        file, _, function = test.partition("::")
        names = {getattr(node, "name", "") for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body}

        assert not function or function.partition("[")[0] in names, test


def test_a_bug_whose_place_is_gone_or_is_no_single_one_is_an_error() -> None:
    mutant = Mutant(name="a bug", file="x.py", edits=(("1", "2"),), tests=())

    assert "x = 2" == mutant.of("x = 1")
    for text in ("x = 3", "x = 1 + 1"):
        with pytest.raises(LookupError, match=r"a bug: stands (0|2) times in x\.py"):
            mutant.of(text)


def test_the_code_that_is_tested_is_that_of_the_copy() -> None:
    with copied() as tree:
        assert tree / "heartfly" / "__init__.py" == whose_code(tree)


def test_a_test_with_many_examples_counts_once(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('n', range(5))\n"
        "def test_of_many(n):\n    assert n < 2\n"
        "def test_of_one():\n    assert False\n"
        "def test_green():\n    assert True\n"
    )

    found = red(tmp_path, ["test_it.py"])

    assert (["test_it::test_of_many", "test_it::test_of_one"], 7) == (found.failed, found.n_run)


@pytest.mark.parametrize("text", ["import nothing_that_is_there", "def test_it(no_such_fixture): pass"])
def test_what_did_not_run_is_not_red(tmp_path: Path, text: str) -> None:
    (tmp_path / "test_it.py").write_text(text)

    with pytest.raises(LookupError):
        red(tmp_path, ["test_it.py"])
