"""Backups of SQLite: whole, of one moment, and put back without losing what was there. No server is needed here."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from typing_extensions import override

from heartfly.accounts.commands import create_project
from heartfly.backup import archive
from heartfly.backup.put_back import Restored, put_back
from heartfly.backup.take import Taken, take
from heartfly.config import Data, Settings
from heartfly.db.copies import check
from heartfly.db.instance import identify
from heartfly.db.migrate import alembic_config
from heartfly.db.models import projects, usage_names
from heartfly.db.sqlite import UNFINISHED, lock
from heartfly.errors import StoreError
from heartfly.ground import Ground, open_ground
from heartfly.sealing import load_or_create
from tests.sim_clock import SimClock

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


def nothing(_done: int, _of: int) -> None:
    """Nobody looks at the progress."""


_later = itertools.count()


def ground_in(folder: Path) -> Ground:
    return open_ground(Settings(data=Data(dir=folder)), clock=SimClock(NOW))


def add_project(ground: Ground, slug: str) -> None:
    """Each a little later: of two processes in the same millisecond one in a thousand has the numbers of the other."""
    at = NOW + timedelta(milliseconds=next(_later))
    ground.database.transaction(
        lambda tx: create_project(tx, slug=slug, name=slug, zone="UTC", sealer=ground.sealer, at=at, ids=ground.ids)
    )


def slugs(folder: Path) -> list[str]:
    ground = ground_in(folder)
    try:
        return ground.database.transaction(lambda tx: sorted(tx.conn.execute(sa.select(projects.c.slug)).scalars()))
    finally:
        ground.close()


def taken_of(folder: Path, target: Path) -> Taken:
    return take(database=folder / "heartfly.db", data_dir=folder, target=target, clock=SimClock(NOW), progress=nothing)


def put(path: Path, into: Path, *, force: bool = False, step: object = None, at: datetime = NOW) -> Restored:
    return put_back(
        path,
        database=into / "heartfly.db",
        data_dir=into,
        clock=SimClock(at),
        force=force,
        step=step if callable(step) else lambda _: None,
    )


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The data directory of a Heartfly that is not running, with a project."""
    ground = ground_in(tmp_path / "old")
    add_project(ground, "acme")
    ground.close()
    return tmp_path / "old"


@pytest.fixture
def made(old: Path, tmp_path: Path) -> Path:
    return taken_of(old, tmp_path / "backup.tar").path


def parts_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: opened.read() for member in tar if (opened := tar.extractfile(member)) is not None}


def repacked(parts: dict[str, bytes], path: Path, *, honest: bool = True) -> Path:
    """`honest`: what it says of itself fits what it holds."""
    manifest = json.loads(parts[archive.MANIFEST])
    folder = path.with_suffix(".parts")
    folder.mkdir()
    files = {name: folder / name for name in parts if name != archive.MANIFEST}
    for name, file in files.items():
        file.write_bytes(parts[name])
        if honest:
            found = archive.part(file)
            manifest["parts"][name] = {"size": found.size, "sha256": found.sha256}
    parts[archive.MANIFEST] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in parts.items():
            (folder / name).write_bytes(content)
            tar.add(folder / name, name)
    return path


def test_what_was_backed_up_is_there_again(made: Path, tmp_path: Path) -> None:
    done = put(made, tmp_path / "new")

    assert ["acme"] == slugs(tmp_path / "new")
    assert (None, 1) == (done.set_aside, done.manifest.rows["projects"])


def test_usage_is_there_again(old: Path, tmp_path: Path) -> None:
    ground = ground_in(old)
    name = {"pid": 1, "id": 1, "kind": "type", "text": "api.request"}
    ground.usage.transaction(lambda tx: tx.conn.execute(sa.insert(usage_names), [name]))
    ground.close()

    done = put(taken_of(old, tmp_path / "with-usage.tar").path, tmp_path / "new")

    assert done.manifest.usage_rows is not None
    assert 1 == done.manifest.usage_rows["usage_names"]
    again = ground_in(tmp_path / "new")
    rows = again.usage.transaction(lambda tx: tx.conn.execute(sa.select(usage_names)).mappings().all())
    again.close()
    assert [name] == [dict(row) for row in rows]


def test_a_backup_from_before_there_was_usage_sets_aside_what_is_there(
    parts: dict[str, bytes], old: Path, tmp_path: Path
) -> None:
    del parts["usage.db"]
    told = json.loads(parts[archive.MANIFEST])
    del told["parts"]["usage.db"], told["usage_rows"]
    parts[archive.MANIFEST] = json.dumps(told).encode()

    done = put(repacked(parts, tmp_path / "older.tar"), old, force=True)

    assert done.set_aside is not None
    assert (done.set_aside / "usage.db").exists()
    assert not (old / "usage.db").exists()
    assert ["acme"] == slugs(old)


def test_usage_whose_rows_are_missing_is_missed(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    told = json.loads(parts[archive.MANIFEST])
    told["usage_rows"]["events"] = 5
    parts[archive.MANIFEST] = json.dumps(told).encode()

    refused(repacked(parts, tmp_path / "short.tar"), untouched, "has not the rows of usage")


def test_a_backup_is_taken_while_somebody_writes_and_holds_what_was_committed_before(tmp_path: Path) -> None:
    serving = ground_in(tmp_path / "old")
    try:
        add_project(serving, "before")
        pieces = 0

        def meanwhile(_done: int, _of: int) -> None:
            nonlocal pieces
            pieces += 1
            add_project(serving, f"meanwhile-{pieces}")

        made = take(
            database=tmp_path / "old" / "heartfly.db",
            data_dir=tmp_path / "old",
            target=tmp_path / "backup.tar",
            clock=SimClock(NOW),
            progress=meanwhile,
        )
    finally:
        serving.close()
    put(made.path, tmp_path / "new")

    assert pieces
    assert ["before"] == slugs(tmp_path / "new")


class Working(SimClock):
    """Whoever asks for the time has worked for a millisecond since."""

    @override
    def monotonic(self) -> float:
        self._passed += 0.001
        return super().monotonic()


@pytest.mark.parametrize("is_written", [True, False])
def test_a_backup_rests_while_somebody_writes_and_else_does_not(tmp_path: Path, *, is_written: bool) -> None:
    serving, clock = ground_in(tmp_path / "old"), Working(NOW)
    add_project(serving, "before")
    try:
        take(
            database=tmp_path / "old" / "heartfly.db",
            data_dir=tmp_path / "old",
            target=tmp_path / "backup.tar",
            clock=clock,
            progress=lambda _done, _of: add_project(serving, f"at-{next(_later)}") if is_written else None,
        )
    finally:
        serving.close()

    assert is_written is (clock.rested > 0)


def test_an_archive_is_brought_to_the_disk_piece_by_piece(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big, target = tmp_path / "heartfly.db", tmp_path / "big.tar"
    big.write_bytes(os.urandom(5_000_000))
    manifest = msgspec.structs.replace(archive.read(made), parts={"heartfly.db": archive.part(big)})
    sizes, steps = [0], []
    monkeypatch.setattr(archive, "bring_to_disk", lambda _: sizes.append(target.stat().st_size))

    archive.write(target, manifest, {"heartfly.db": big}, lambda: steps.append(1))

    assert max(after - before for before, after in itertools.pairwise(sizes)) < 1_200_000
    assert target.stat().st_size - sizes[-1] < 1_200_000
    assert len(sizes) - 1 == len(steps)


def test_only_its_owner_can_read_a_backup_and_what_is_made_of_it(made: Path, tmp_path: Path) -> None:
    put(made, tmp_path / "new")

    files = [made, *(tmp_path / "new" / name for name in ("heartfly.db", "secret.key"))]
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}
    assert 0o700 == stat.S_IMODE((tmp_path / "new").stat().st_mode)


def test_nothing_is_left_beside_a_backup(made: Path) -> None:
    assert {"backup.tar", "old"} == {path.name for path in made.parent.iterdir()}


def test_what_a_killed_backup_left_goes_with_the_next_one(old: Path, tmp_path: Path) -> None:
    left = tmp_path / ".yesterday.tar.partial"
    left.mkdir(mode=0o700)
    (left / "heartfly-backup.lock").touch()
    (tmp_path / ".mine.partial").mkdir()

    taken_of(old, tmp_path / "backup.tar")

    assert {".mine.partial", "backup.tar", "old"} == {path.name for path in tmp_path.iterdir()}


def test_what_one_left_that_was_killed_as_he_cleared_up_is_no_hindrance(old: Path, tmp_path: Path) -> None:
    left = tmp_path / ".backup.tar.partial"
    left.mkdir(mode=0o700)
    for name in ("heartfly.db", "heartfly.db-journal", "usage.db", "packed"):
        (left / name).write_bytes(b"half")

    taken_of(old, tmp_path / "backup.tar")

    assert {"backup.tar", "old"} == {path.name for path in tmp_path.iterdir()}


def laid_by_another(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def linked_elsewhere(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("lay", [laid_by_another, linked_elsewhere])
def test_no_backup_is_made_in_a_directory_that_somebody_else_laid_there(
    old: Path, tmp_path: Path, lay: Callable[[Path], None]
) -> None:
    """Where everybody may write, such as /tmp: the copy of the keys would be theirs."""
    lay(tmp_path / ".backup.tar.partial")

    with pytest.raises(StoreError, match=r"\.backup\.tar\.partial belongs to somebody else or is open to others"):
        taken_of(old, tmp_path / "backup.tar")

    assert not (tmp_path / "backup.tar").exists()
    assert [] == list((tmp_path / ".backup.tar.partial").iterdir())


def test_an_older_backup_is_replaced_and_any_other_file_is_not(old: Path, made: Path, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear")

    assert made == taken_of(old, made).path
    with pytest.raises(StoreError, match="no backup"):
        taken_of(old, letter)
    assert "dear" == letter.read_text()


def test_a_database_whose_key_is_another_s_is_not_backed_up(old: Path, tmp_path: Path) -> None:
    (old / "secret.key").unlink()
    load_or_create(old / "secret.key")

    with pytest.raises(StoreError, match=r"secret\.key"):
        taken_of(old, tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()


@pytest.mark.parametrize("missing", ["heartfly.db", "secret.key"])
def test_a_backup_of_half_is_none(old: Path, tmp_path: Path, missing: str) -> None:
    (old / missing).unlink()

    with pytest.raises(StoreError, match=missing.replace(".", r"\.")):
        taken_of(old, tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()


def test_a_damaged_database_leaves_the_older_backup_as_it_was(old: Path, made: Path) -> None:
    before = made.read_bytes()
    with (old / "heartfly.db").open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 3 * 4096)

    with pytest.raises(StoreError, match=r"damaged|cannot be read"):
        taken_of(old, made)
    assert before == made.read_bytes()


def test_a_database_that_is_there_stays_unless_told(made: Path, tmp_path: Path) -> None:
    ground = ground_in(tmp_path / "new")
    add_project(ground, "other")
    ground.close()

    with pytest.raises(StoreError, match="--force"):
        put(made, tmp_path / "new")
    assert ["other"] == slugs(tmp_path / "new")
    done = put(made, tmp_path / "new", force=True)

    assert ["acme"] == slugs(tmp_path / "new")
    assert done.set_aside is not None
    assert {"heartfly.db", "secret.key"} <= {path.name for path in done.set_aside.iterdir()}
    assert ["other"] == slugs(done.set_aside)


def test_nothing_is_restored_under_a_running_server(made: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with lock(tmp_path / "new"), pytest.raises(StoreError, match="another Heartfly is using"):
        put(made, tmp_path / "new", force=True)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("at", ["unpack", "check", "place"])
def test_a_restore_that_ends_early_leaves_all_as_it_was(made: Path, old: Path, at: str) -> None:
    ground = ground_in(old)
    add_project(ground, "later")
    ground.close()

    def kill(step: str) -> None:
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        put(made, old, force=True, step=kill)
    assert ["acme", "later"] == slugs(old)


def test_no_server_starts_on_half_a_restore_and_a_second_one_completes_it(made: Path, old: Path) -> None:
    def kill(step: str) -> None:
        if step == "half way":
            raise Killed

    with pytest.raises(Killed):
        put(made, old, force=True, step=kill)
    with pytest.raises(StoreError, match="did not end"):
        ground_in(old)
    put(made, old, force=True, at=NOW + timedelta(minutes=1))

    assert ["acme"] == slugs(old)
    assert not (old / UNFINISHED).exists()


def test_each_restore_begins_an_epoch_and_the_later_one_is_larger(made: Path, tmp_path: Path) -> None:
    first = put(made, tmp_path / "first").identity
    second = put(made, tmp_path / "second", at=NOW + timedelta(seconds=1)).identity

    assert first.uuid == second.uuid
    assert 1 < first.epoch < second.epoch
    ground = ground_in(tmp_path / "second")
    assert second == ground.database.transaction(identify)
    assert (NOW + timedelta(seconds=1), NOW) == (second.restored_at, second.backup_at)
    ground.close()


def test_a_backup_of_an_older_schema_is_brought_up_to_date(made: Path, tmp_path: Path) -> None:
    parts = parts_of(made)
    (tmp_path / "old.db").write_bytes(parts["heartfly.db"])
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.connect() as connection:
        command.downgrade(alembic_config(connection), "0002")
    engine.dispose()
    told = json.loads(parts[archive.MANIFEST]) | {"rows": dict(check(tmp_path / "old.db"))}
    parts[archive.MANIFEST] = json.dumps(told).encode()
    parts["heartfly.db"] = (tmp_path / "old.db").read_bytes()

    done = put(repacked(parts, tmp_path / "older.tar"), tmp_path / "new")

    assert ["acme"] == slugs(tmp_path / "new")
    assert done.identity.epoch > 1


def changed(parts: dict[str, bytes], folder: Path, *statements: str) -> None:
    (folder / "changed.db").write_bytes(parts["heartfly.db"])
    with closing(sqlite3.connect(folder / "changed.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    parts["heartfly.db"] = (folder / "changed.db").read_bytes()


@pytest.fixture
def parts(made: Path) -> dict[str, bytes]:
    return parts_of(made)


@pytest.fixture
def untouched(old: Path) -> Iterator[Path]:
    """Whatever a bad backup does, what is there stays."""
    before = (old / "heartfly.db").read_bytes(), (old / "secret.key").read_bytes()
    yield old
    assert before == ((old / "heartfly.db").read_bytes(), (old / "secret.key").read_bytes())
    assert [] == [path.name for path in old.iterdir() if path.name.startswith((".restoring", "replaced", UNFINISHED))]


def refused(path: Path, folder: Path, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        put(path, folder, force=True)


def test_a_newer_schema_is_refused(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    changed(parts, tmp_path, "UPDATE alembic_version SET version_num = '9999'")

    refused(repacked(parts, tmp_path / "bad.tar"), untouched, "newer than this Heartfly")


def test_a_newer_format_is_refused(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    parts[archive.MANIFEST] = parts[archive.MANIFEST].replace(b'"format":1', b'"format":2')

    refused(repacked(parts, tmp_path / "bad.tar"), untouched, "format 2")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_half_a_backup_is_refused(made: Path, untouched: Path, share: float) -> None:
    made.write_bytes(made.read_bytes()[: int(made.stat().st_size * share)])

    refused(made, untouched, "not a backup|cut off|damaged")


def test_one_changed_bit_is_refused(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    content = bytearray(parts["heartfly.db"])
    content[-100] ^= 1
    parts["heartfly.db"] = bytes(content)

    refused(repacked(parts, tmp_path / "bad.tar", honest=False), untouched, "not as it was written")


def test_a_damaged_page_is_refused(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    parts["heartfly.db"] = parts["heartfly.db"][: 5 * 4096] + b"\xff" * 4096 + parts["heartfly.db"][6 * 4096 :]

    refused(repacked(parts, tmp_path / "bad.tar"), untouched, "damaged|cannot be read")


def test_rows_that_are_missing_are_missed(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    changed(parts, tmp_path, "DELETE FROM api_keys")

    refused(repacked(parts, tmp_path / "bad.tar"), untouched, "rows")


def test_a_database_that_acts_by_itself_is_refused(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    changed(parts, tmp_path, "CREATE TRIGGER evil AFTER UPDATE ON instance BEGIN DELETE FROM projects; END")

    refused(repacked(parts, tmp_path / "bad.tar"), untouched, "trigger in it, evil")


def test_a_key_that_opens_nothing_is_refused(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    ground_in(tmp_path / "stranger").close()
    parts["secret.key"] = (tmp_path / "stranger" / "secret.key").read_bytes()

    refused(repacked(parts, tmp_path / "bad.tar"), untouched, r"secret\.key")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "evil"])
def test_no_part_has_another_name(parts: dict[str, bytes], untouched: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for part, content in (*parts.items(), (name, b"x")):
            (tmp_path / "part").write_bytes(content)
            member = tar.gettarinfo(tmp_path / "part", part)
            member.name = part
            with (tmp_path / "part").open("rb") as opened:
                tar.addfile(member, opened)

    refused(tmp_path / "bad.tar", untouched, "which no backup of Heartfly does")
    assert not (tmp_path / "evil").exists()


def test_a_link_is_no_part(parts: dict[str, bytes], untouched: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        (tmp_path / "part").write_bytes(parts[archive.MANIFEST])
        tar.add(tmp_path / "part", archive.MANIFEST)
        link = tarfile.TarInfo("heartfly.db")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)

    refused(tmp_path / "bad.tar", untouched, "which no backup of Heartfly does")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere\.tar: No such file"):
        put(tmp_path / "nowhere.tar", tmp_path / "new")


def test_a_restored_database_is_its_owners_alone(made: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        put(made, tmp_path / "new")
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE((tmp_path / "new" / "heartfly.db").stat().st_mode)
