"""A tier goes on after a step that failed, tells of it at the end, and asks for nothing that is not there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.tiers import ROOT, TIERS, Step, main, run, summary


def _says(name: str, word: str, status: int = 0) -> Step:
    return Step(
        name, ["-c", f"import os, sys; print({word!r}, os.environ.get('SIZE')); sys.exit({status})"], {"SIZE": "7"}
    )


def test_a_step_that_fails_stops_none_and_is_told_at_the_end(tmp_path: Path) -> None:
    ended = run([_says("first", "one"), _says("the second", "it broke", 3), _says("last", "three")], tmp_path / "logs")

    assert [0, 3, 0] == [one.status for one in ended]
    told = summary(ended).splitlines()
    assert "1 of 3 failed" == told[-1]
    assert [True, False, True] == [line.startswith("ok ") for line in told[1:4]]
    assert "FAILED (3)" in told[2]
    assert "  it broke 7" in told
    assert ["01-first.log", "02-the-second.log", "03-last.log"] == sorted(
        log.name for log in (tmp_path / "logs").iterdir()
    )


def test_when_none_failed_that_is_said(tmp_path: Path) -> None:
    assert "all 1 are ok" == summary(run([_says("first", "one")], tmp_path)).splitlines()[-1]


@pytest.mark.parametrize("tier", TIERS)
def test_each_step_asks_for_what_there_is(tier: str) -> None:
    steps = TIERS[tier]

    assert len(steps) == len({step.name for step in steps})
    for step in steps:
        assert importlib.util.find_spec(step.command[1]) is not None, step.told
        assert [] == [word for word in step.command if word.startswith("tests/") and not (ROOT / word).exists()]
    known = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != "tiers.py")
    asked = {name for step in steps for name in step.env}
    assert set() == {name for name in asked if f'"{name}"' not in known}


def test_what_would_be_run_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["nightly", "kills on", "--list"])

    told = capsys.readouterr().out.splitlines()
    assert ["kills on SQLite", "kills on PostgreSQL"] == [line.partition(":")[0] for line in told]
    assert all(re.search(r"HEARTFLY_KILLS=1000 .*python -m pytest .*tests/faults/test_kill.py", line) for line in told)


def test_a_word_that_names_no_step_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["nightly", "nothing of that name"])

    assert "'nothing of that name'" in capsys.readouterr().err
