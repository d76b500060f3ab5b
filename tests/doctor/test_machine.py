"""What the doctor says of the machine. Facts in, findings out; files are real ones."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from heartfly.db.room import Room, room
from heartfly.doctor import machine
from heartfly.doctor.finding import Level, error, ok, warning, worst

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ((3, 40, 1), WARNING),
        ((3, 51, 2), WARNING),
        ((3, 51, 3), OK),
        ((3, 52, 0), WARNING),
        ((3, 53, 0), OK),
        ((4, 0, 0), OK),
    ],
)
def test_a_sqlite_with_the_wal_reset_bug_is_told_with_what_follows(version: tuple[int, int, int], level: Level) -> None:
    found = machine.sqlite_version(version)

    assert level is found.level
    assert (level is WARNING) == ("no other program" in found.advice)


@pytest.mark.parametrize(
    ("mode", "level"), [(0o700, OK), (0o750, WARNING), (0o755, WARNING), (0o770, ERROR), (0o702, ERROR)]
)
def test_who_may_look_into_the_data_directory(tmp_path: Path, mode: int, level: Level) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)

    found = machine.directory(folder)

    assert level is found.level
    assert (level is not OK) == (f"chmod 700 {folder}" in found.advice)


@pytest.mark.parametrize(("mode", "level"), [(0o600, OK), (0o400, OK), (0o640, ERROR), (0o604, ERROR)])
def test_who_may_read_the_key(tmp_path: Path, mode: int, level: Level) -> None:
    key = tmp_path / "secret.key"
    key.write_text("x")
    key.chmod(mode)

    found = machine.key_file(key)

    assert level is found.level
    assert (level is not OK) == (f"chmod 600 {key}" in found.advice)


def test_a_change_of_keys_that_did_not_end_is_told_of(tmp_path: Path) -> None:
    key = tmp_path / "secret.key"
    key.write_text("one\ntwo\n")
    key.chmod(0o600)

    found = machine.key_file(key)
    assert WARNING is found.level
    assert "heartfly rotate-key" in found.advice


@pytest.mark.parametrize(("wide", "level"), [(None, OK), ("", WARNING), ("-wal", WARNING), ("-shm", WARNING)])
def test_a_database_that_others_may_read(tmp_path: Path, wide: str | None, level: Level) -> None:
    path = tmp_path / "heartfly.db"
    for end in ("", "-wal", "-shm"):
        file = tmp_path / f"heartfly.db{end}"
        file.touch()
        file.chmod(0o640 if end == wide else 0o600)

    found = machine.database_files(path)
    assert level is found.level
    assert (level is WARNING) == found.advice.endswith(f"heartfly.db{wide or ''}")


def test_what_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    assert OK is machine.directory(tmp_path / "data").level
    assert OK is machine.key_file(tmp_path / "secret.key").level
    assert OK is machine.database_files(tmp_path / "heartfly.db").level


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_this_user_may_not_read_is_an_error(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o1000:  # what everybody shares, such as /tmp
            break
        parent.chmod(0o755)
    key = tmp_path / "secret.key"
    key.write_text("x")
    key.chmod(0o600)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        told = []
        try:
            os.setgid(65534)
            os.setuid(65534)
            told = [machine.key_file(key).level, machine.directory(tmp_path).level]
        finally:  # whatever happens, this process must not go on with the tests of its parent
            os._exit(0 if told == [ERROR, ERROR] else 1)

    assert 0 == os.waitpid(child, 0)[1]


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [
        (200_000_000, 1_000_000_000, OK),
        (199_999_999, 1_000_000_000, WARNING),
        (500_000_000, 10_000_000_000, OK),
        (499_999_999, 10_000_000_000, WARNING),
        (0, 10_000_000_000, WARNING),
    ],
)
def test_a_disk_that_is_nearly_full(tmp_path: Path, free: int, total: int, level: Level) -> None:
    assert level is machine.disk(tmp_path, Room(free=free, total=total)).level


def test_the_room_of_a_directory_to_come_is_that_of_its_disk(tmp_path: Path) -> None:
    found = room(tmp_path / "not" / "yet")

    assert 0 < found.free <= found.total
    assert found.total == room(tmp_path).total
    assert 1.0 == Room(free=0, total=0).share


@pytest.mark.parametrize(("year", "level"), [(1970, ERROR), (2025, ERROR), (2026, OK)])
def test_a_clock_that_was_never_set(year: int, level: Level) -> None:
    assert level is machine.clock(datetime(year, 12, 31, tzinfo=UTC)).level


def system(folder: Path, name: str, first_line: str) -> str:
    (folder / "Europe").mkdir(parents=True)
    (folder / "Europe" / "Berlin").touch()
    if name:
        (folder / name).write_text(first_line)
    return str(folder)


@pytest.mark.parametrize(
    ("name", "line", "package", "level", "told"),
    [
        ("tzdata.zi", "# version 2025b\n", "2025b", OK, "2025b"),
        ("tzdata.zi", "# version 2025b-dirty\n", "2025b", OK, "2025b"),
        ("+VERSION", "2025b\n", "2025a", OK, "2025b"),
        ("tzdata.zi", "# version 2025a\n", "2025b", WARNING, "2025b is known"),
        ("tzdata.zi", "# version 2024b\n", "2024b", WARNING, "old"),
        ("tzdata.zi", "# redo DST data\n", "2025b", OK, "does not tell"),
        ("", "", "2025b", OK, "does not tell"),
    ],
)
def test_zones_of_the_system(tmp_path: Path, name: str, line: str, package: str, level: Level, told: str) -> None:
    folders = [str(tmp_path / "none"), system(tmp_path / "zoneinfo", name, line)]

    found = machine.zones(NOW, folders=folders, package=package)

    assert (level, True) == (found.level, told in found.found)


@pytest.mark.parametrize(("package", "level"), [("2025b", OK), ("2024b", WARNING)])
def test_zones_of_the_package_where_the_system_has_none(tmp_path: Path, package: str, level: Level) -> None:
    found = machine.zones(NOW, folders=[str(tmp_path)], package=package)

    assert (level, True) == (found.level, "package" in found.found)
    assert (level is WARNING) == ("pip install" in found.advice)


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("http://127.0.0.1:8000", OK),
        ("http://localhost:8000", OK),
        ("http://[::1]:8000", OK),
        ("http://10.1.2.3", OK),
        ("http://beat", OK),
        ("http://beat.local", OK),
        ("http://beat.corp.internal.", OK),
        ("https://beat.example.org", OK),
        ("http://beat.example.org", WARNING),
        ("http://beat.example.org.:8000/x", WARNING),
        ("http://93.184.216.34", WARNING),
        ("http://[2606:4700::1111]", WARNING),
    ],
)
def test_plain_http_on_a_public_host(url: str, level: Level) -> None:
    found = machine.address(url)

    assert level is found.level
    assert (level is WARNING) == ("https" in found.advice)


def test_the_worst_finding_decides() -> None:
    fine, bad, worse = ok("a", ""), warning("b", "", "x"), error("c", "", "y")

    assert [OK, OK, WARNING, ERROR] == [worst(each) for each in ([], [fine], [bad, fine], [bad, worse, fine])]
