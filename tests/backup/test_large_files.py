"""Large files go piece by piece, unless somebody else has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from heartfly.backup.large_files import remove, replace

MB = 1024 * 1024


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "old.tar"
    path.write_bytes(b"x" * 20 * MB)
    return path


def removed(path: Path, step: Callable[[], None]) -> None:
    remove(path, step)
    assert not path.exists()


def replaced(path: Path, step: Callable[[], None]) -> None:
    new = path.with_name("new.tar")
    new.write_bytes(b"new")
    replace(path, new, step)
    assert (b"new", False) == (path.read_bytes(), new.exists())


both = pytest.mark.parametrize("let_go", [removed, replaced])


def sizes_while(path: Path, let_go: Callable[[Path, Callable[[], None]], None]) -> list[int]:
    """Of what was at `path`, at each step. Seen past the file's name, without opening it."""
    inode = path.stat().st_ino
    own = Path("/proc/self/fd")
    found: list[int] = []

    def step() -> None:
        for number in own.iterdir():
            try:
                state = os.fstat(int(number.name))
            except OSError:  # the directory's own
                continue
            if state.st_ino == inode:
                found.append(state.st_size)

    let_go(path, step)
    return found


@both
def test_it_goes_piece_by_piece(large: Path, let_go: Callable[[Path, Callable[[], None]], None]) -> None:
    assert [16 * MB, 12 * MB, 8 * MB, 4 * MB] == sizes_while(large, let_go)


@both
def test_who_reads_it_reads_it_to_its_end(large: Path, let_go: Callable[[Path, Callable[[], None]], None]) -> None:
    """A copy of last night's backup to another place may be under way."""
    with large.open("rb") as reading:
        let_go(large, lambda: None)

        assert 20 * MB == len(reading.read())


@both
def test_another_name_of_it_keeps_it_whole(large: Path, let_go: Callable[[Path, Callable[[], None]], None]) -> None:
    kept = large.with_name("kept.tar")
    kept.hardlink_to(large)

    let_go(large, lambda: None)

    assert 20 * MB == kept.stat().st_size


def test_where_nothing_was_nothing_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "new.tar").write_bytes(b"new")

    replace(tmp_path / "old.tar", tmp_path / "new.tar", lambda: None)

    assert b"new" == (tmp_path / "old.tar").read_bytes()
