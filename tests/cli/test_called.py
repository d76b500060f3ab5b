"""What a started Heartfly tells people to type: something that starts it again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from heartfly.cli.called import as_called


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed `heartfly`, not in the shell's path."""
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    made = tmp_path / "my project" / ".venv" / "bin" / "heartfly"
    made.parent.mkdir(parents=True)
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def test_it_is_told_as_it_was_called_from_where_it_was_called(program: Path) -> None:
    there = program.parent.parent.parent

    assert ".venv/bin/heartfly" == as_called(".venv/bin/heartfly", cwd=there)
    assert ".venv/bin/heartfly" == as_called(str(program), cwd=there)
    assert "./heartfly" == as_called("heartfly", cwd=program.parent)


def test_from_elsewhere_it_is_told_whole_and_fit_for_a_shell(program: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    assert f"'{program}'" == as_called("../my project/.venv/bin/heartfly", cwd=other)


def test_its_name_is_enough_where_the_shell_finds_it(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))

    assert "heartfly" == as_called(str(program), cwd=Path("/"))


def test_another_heartfly_in_the_path_is_not_meant(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "bin" / "heartfly"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(other.parent), str(program.parent)]))

    assert f"'{program}'" == as_called(str(program), cwd=other.parent)


def test_a_module_is_told_as_one() -> None:
    assert f"{sys.executable} -m heartfly" == as_called("/x/heartfly/__main__.py", cwd=Path("/nowhere"))


def test_who_is_called_by_another_program_is_told_by_name(program: Path) -> None:
    assert "heartfly" == as_called("/usr/bin/pytest", cwd=program.parent)
