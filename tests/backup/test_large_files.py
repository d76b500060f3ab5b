"""Large files go piece by piece, unless somebody else has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heartfly.backup.large_files import remove, replace
from heartfly.errors import StoreError

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


@both
def test_it_is_made_shorter_once_the_disk_knows_that_the_name_is_not_its_any_more(
    large: Path, let_go: Callable[[Path, Callable[[], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut the name may lead to it again: to a backup that is whole, or to none."""
    done: list[str] = []
    fsync, ftruncate, folder = os.fsync, os.ftruncate, large.parent.stat().st_ino

    def to_disk(descriptor: int) -> None:
        done.append("directory" if os.fstat(descriptor).st_ino == folder else "file")
        fsync(descriptor)

    def shorten(descriptor: int, size: int) -> None:
        done.append("shorter")
        ftruncate(descriptor, size)

    monkeypatch.setattr(os, "fsync", to_disk)
    monkeypatch.setattr(os, "ftruncate", shorten)
    let_go(large, lambda: None)

    assert ["directory", "shorter"] == done[:2]


@both
def test_who_is_asked_to_end_meanwhile_has_let_it_go(
    large: Path, let_go: Callable[[Path, Callable[[], None]], None]
) -> None:
    """The new backup has its name: nobody may say that there is none."""

    def end() -> None:
        raise StoreError("Heartfly is stopping")

    let_go(large, end)


@both
def test_a_link_goes_and_what_it_leads_to_stays(
    large: Path, let_go: Callable[[Path, Callable[[], None]], None]
) -> None:
    link = large.with_name("link.tar")
    link.symlink_to(large)

    let_go(link, lambda: None)

    assert 20 * MB == large.stat().st_size


@both
def test_a_link_to_nothing_goes(tmp_path: Path, let_go: Callable[[Path, Callable[[], None]], None]) -> None:
    """The backup that it led to was moved on."""
    link = tmp_path / "link.tar"
    link.symlink_to(tmp_path / "elsewhere.tar")

    let_go(link, lambda: None)


@both
def test_one_that_may_not_be_written_goes_all_the_same(
    tmp_path: Path, let_go: Callable[[Path, Callable[[], None]], None]
) -> None:
    """Backups are often made read-only. That stops no root, so here it is a program that runs."""
    path = tmp_path / "old.tar"
    shutil.copy(str(shutil.which("sleep")), path)
    with subprocess.Popen([path, "60"]) as running:
        try:
            let_go(path, lambda: None)
        finally:
            running.kill()
