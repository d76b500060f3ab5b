"""A spool as a file: what was acknowledged is read back after any crash, and nobody takes what another still writes."""

from __future__ import annotations

import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from heartfly.core.coverage import Span
from heartfly.core.words import PingKind
from heartfly.pings.request import BySlug, ByUuid, FromMail, PingRequest
from heartfly.pings.spool_file import Spooled, SpoolFile

T0 = datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=UTC)
NODE = (1 << 62) - 1
UUID = "c0ffee00-dead-4bee-8fed-0123456789ab"


def record(n: int, body: bytes = b"") -> Spooled:
    request = PingRequest(target=ByUuid(UUID), kind=PingKind.SUCCESS, received_at=T0, seq=n, body=body)
    return Spooled(n=n, request=request)


def written(*records: Spooled) -> list[bytes]:
    return [msgspec.msgpack.encode(one) for one in records]


def made(folder: Path) -> SpoolFile:
    return SpoolFile.create(folder, node_id=NODE, instance="this one")


def all_of(file: SpoolFile) -> list[Spooled]:
    return [one for piece in file.pieces() for one in piece.records]


def test_a_ping_comes_back_as_it_was_received(tmp_path: Path) -> None:
    request = PingRequest(
        target=BySlug("hash", "nightly"), kind=PingKind.FAIL, received_at=T0, seq=7, exit_status=3, rid=UUID,
        method="POST", scheme="https", remote="192.0.2.1", agent="curl/8", body=b"\x00\xff", body_end=b"end",
        body_size=10**6, host="db1", metrics={"rows": Decimal("1.250")}, covers=Span(T0, T0 + timedelta(days=1)),
        mail=FromMail("a subject", "a text"), client_at=T0, happened_at=T0 - timedelta(hours=1),
        took=timedelta(seconds=1, microseconds=5), node_id=NODE,
    )  # fmt: skip
    file = made(tmp_path / "spool")
    file.append(written(Spooled(n=1, request=request, maybe=(100, 7))))
    file.close()

    found = SpoolFile.take(file.path)

    assert found is not None
    assert (NODE, "this one") == (found.node_id, found.instance)
    assert [Spooled(n=1, request=request, maybe=(100, 7))] == all_of(found)
    found.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = made(tmp_path / "spool")

    assert (0o600, 0o700) == tuple(stat.S_IMODE(path.stat().st_mode) for path in (file.path, file.path.parent))
    file.close()


def test_what_a_living_process_holds_is_not_taken(tmp_path: Path) -> None:
    file = made(tmp_path / "spool")

    assert SpoolFile.take(file.path) is None
    looked = SpoolFile.look(file.path)
    assert looked.is_held()
    file.close()
    assert not looked.is_held()
    looked.close()


@pytest.mark.parametrize("n_bytes", [1, 5, 60, 130])
def test_an_end_that_a_crash_tore_is_cut_off_and_goes_on_from_there(tmp_path: Path, n_bytes: int) -> None:
    file = made(tmp_path / "spool")
    file.append(written(record(1), record(2, b"x" * 100)))
    file.close()
    with file.path.open("r+b") as torn:
        torn.truncate(file.size - n_bytes)

    found = SpoolFile.take(file.path)

    assert found is not None
    assert [record(1)] == all_of(found)
    found.append(written(record(3)))
    assert [record(1), record(3)] == all_of(found)
    assert found.size == found.path.stat().st_size
    found.close()


def test_long_records_and_many_are_read_in_pieces(tmp_path: Path) -> None:
    records = [record(n, b"y" * (300_000 if n == 700 else 10)) for n in range(1, 1_201)]
    file = made(tmp_path / "spool")
    file.append(written(*records))

    sizes = [len(piece.records) for piece in file.pieces()]

    assert records == all_of(file)
    assert max(sizes) <= 500
    file.close()


def test_a_record_whose_bytes_changed_costs_itself_only(tmp_path: Path) -> None:
    file = made(tmp_path / "spool")
    file.append(written(record(1, b"first"), record(2, b"second"), record(3, b"third")))
    content = file.path.read_bytes()
    file.path.write_bytes(content.replace(b"second", b"sEcond"))

    pieces = list(file.pieces())

    assert [record(1, b"first"), record(3, b"third")] == [one for piece in pieces for one in piece.records]
    assert sum(piece.lost for piece in pieces) > 100
    file.close()


def test_what_is_cleared_is_gone_and_room_again(tmp_path: Path) -> None:
    file = made(tmp_path / "spool")
    file.append(written(record(1)))
    file.clear()

    assert ([], file.begin, file.begin) == (all_of(file), file.size, file.path.stat().st_size)
    file.remove()
    assert [] == list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize("content", [b"", b"HFFRAME1 and then nothing of the kind", b"x" * 100])
def test_a_file_that_is_no_spool_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.spool"
    path.write_bytes(content)

    for opened in (SpoolFile.take, SpoolFile.look):
        with pytest.raises(msgspec.DecodeError):
            opened(path)
    assert content == path.read_bytes()


def test_a_disk_that_is_full_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    file = made(tmp_path / "spool")
    file.append(written(record(1)))
    with file_limit(file.size + 150), pytest.raises(OSError, match="File too large"):
        file.append(written(record(2, b"z" * 1000)))

    assert [record(1)] == all_of(file)
    assert file.size == file.path.stat().st_size
    file.append(written(record(3)))
    assert [record(1), record(3)] == all_of(file)
    file.close()


@contextmanager
def file_limit(n_bytes: int) -> Iterator[None]:
    """No file may become longer: a write behind that fails, as one on a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
