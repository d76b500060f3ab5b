"""What the doctor says of pings that lie in a spool: of a node that serves, and of one that nobody starts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from heartfly.core.words import PingKind
from heartfly.doctor.finding import Level
from heartfly.doctor.spool import look
from heartfly.pings.request import ByUuid, PingRequest
from heartfly.pings.spool_file import ENDING, FOLDER, REFUSED, Spooled, SpoolFile

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
UUID = "c0ffee00-dead-4bee-8fed-0123456789ab"


def made(data_dir: Path, ages: Sequence[int], *, ending: str = ENDING) -> SpoolFile:
    """A spool with pings that came so many minutes ago."""
    file = SpoolFile.create(data_dir / FOLDER, node_id=7, instance="this one", ending=ending)
    times = [NOW - timedelta(minutes=age) for age in ages]
    requests = [PingRequest(target=ByUuid(UUID), kind=PingKind.SUCCESS, received_at=at, seq=1) for at in times]
    file.append([msgspec.msgpack.encode(Spooled(n=n, request=one)) for n, one in enumerate(requests, 1)])
    return file


def test_where_there_has_never_been_one_nothing_is_said(tmp_path: Path) -> None:
    assert [] == look(tmp_path, NOW)


def test_an_empty_one_is_in_order(tmp_path: Path) -> None:
    file = made(tmp_path, [])

    (found,) = look(tmp_path, NOW)

    assert (Level.OK, f"no ping waits in {tmp_path / FOLDER}") == (found.level, found.found)
    file.close()


def test_what_nobody_brings_back_is_told_with_what_would(tmp_path: Path) -> None:
    made(tmp_path, [5, 90, 4]).close()

    (found,) = look(tmp_path, NOW)

    assert Level.WARNING is found.level
    assert f"3 pings, the oldest from 1 h 30 min ago, lie in {tmp_path / FOLDER}" in found.found
    assert "nobody brings them back" in found.found
    assert "heartfly serve" in found.advice
    assert "this one" in found.advice


def test_of_a_node_that_serves_it_is_told_that_it_does(tmp_path: Path) -> None:
    file = made(tmp_path, [1])

    (found,) = look(tmp_path, NOW)

    assert (Level.WARNING, True) == (found.level, "a node that serves" in found.found)
    file.close()


def test_what_the_database_did_not_take_is_told(tmp_path: Path) -> None:
    made(tmp_path, [1], ending=REFUSED).close()

    (found,) = look(tmp_path, NOW)

    assert (Level.WARNING, True) == (found.level, "did not take" in found.found)


def test_a_file_that_is_none_is_told_and_left(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    path = tmp_path / FOLDER / f"00{ENDING}"
    path.write_bytes(b"nothing of the kind")

    (found,) = look(tmp_path, NOW)

    assert (Level.WARNING, True) == (found.level, "cannot be read" in found.found)
    assert path.exists()


def test_one_that_a_newer_heartfly_wrote_is_told(tmp_path: Path) -> None:
    file = made(tmp_path, [1])
    file.append([msgspec.msgpack.encode({"n": "one"})])
    file.close()

    (found,) = look(tmp_path, NOW)

    assert (Level.WARNING, True) == (found.level, "newer" in found.advice)
