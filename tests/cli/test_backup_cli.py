"""`heartfly backup` and `heartfly restore` as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_serve import heartfly
from tests.server_process import Server

pytestmark = pytest.mark.e2e


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.init()
    made.start()
    yield made
    made.stop()


def words(text: str) -> str:
    """Without the frame and the line ends of a terminal."""
    return " ".join(text.replace("│", " ").split())


def test_a_serving_heartfly_is_backed_up_and_what_was_made_is_restored_elsewhere(server: Server) -> None:
    made = heartfly(server.folder, "backup", "--json")
    under_it = heartfly(server.folder, "restore", json.loads(made.stdout)["file"], "--force")
    elsewhere = heartfly(server.folder, "restore", json.loads(made.stdout)["file"], "--data", "else", "--json")

    told = json.loads(made.stdout)
    assert (0, 1) == (made.returncode, told["rows"]["projects"])
    assert (server.folder / "heartfly-data" / "backups") == Path(told["file"]).parent
    assert (1, True) == (under_it.returncode, "another Heartfly is using" in words(under_it.stderr))
    assert 0 == elsewhere.returncode
    assert told["instance"] == json.loads(elsewhere.stdout)["instance"]
    assert told["epoch"] < json.loads(elsewhere.stdout)["epoch"]
    assert {"heartfly.db", "usage.db", "secret.key", "cli-key", "lock"} == {
        f.name for f in (server.folder / "else").iterdir()
    }


def test_a_directory_is_given_a_file_and_people_are_told_what_it_holds(server: Server) -> None:
    (server.folder / "shelf").mkdir()
    made = heartfly(server.folder, "backup", "--to", "shelf")

    (file,) = (server.folder / "shelf").iterdir()
    assert (0, "") == (made.returncode, made.stderr.strip())
    assert file.name in made.stdout
    assert "every secret" in made.stdout
    with tarfile.open(file) as tar:
        assert ["heartfly-backup.json", "heartfly.db", "usage.db", "secret.key", "cli-key"] == tar.getnames()


def test_a_restore_in_place_is_refused_under_a_server(server: Server) -> None:
    done = heartfly(server.folder, "restore", "--in-place")

    assert (1, True) == (done.returncode, "another Heartfly is using" in words(done.stderr))


def test_a_restore_in_place_begins_an_epoch(tmp_path: Path) -> None:
    Server(tmp_path).init()
    first, second = (heartfly(tmp_path, "restore", "--in-place", "--json") for _ in range(2))

    assert (0, 0) == (first.returncode, second.returncode)
    assert 1 < json.loads(first.stdout)["epoch"] < json.loads(second.stdout)["epoch"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["backup"], 1, "there is no database at"),
        (["restore"], 2, "Say which FILE to restore"),
        (["restore", "a.tar", "--in-place"], 2, "Say which FILE to restore"),
        (["restore", "a.tar"], 1, "a.tar: No such file"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], status: int, said: str) -> None:
    done = heartfly(tmp_path, *arguments)

    assert (status, True) == (done.returncode, said in words(done.stderr)), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "tools"), [(["backup"], ("pg_dump", "pg_basebackup")), (["restore", "a.tar"], ("pg_restore",))]
)
def test_of_postgresql_the_tools_are_named_and_the_key(
    tmp_path: Path, arguments: list[str], tools: tuple[str, ...]
) -> None:
    done = heartfly(tmp_path, *arguments, HEARTFLY_DATABASE__URL="postgresql://nobody:hunter2@localhost/none")

    assert 1 == done.returncode
    assert [] == [word for word in (*tools, "secret.key") if word not in words(done.stderr)]
    assert "hunter2" not in done.stderr


@pytest.mark.postgres
def test_postgresql_is_marked_in_place_once_its_nodes_are_gone(tmp_path: Path, postgres_url: str) -> None:
    server = Server(tmp_path, {"DATABASE__URL": postgres_url})
    server.init()
    server.start()
    alive = heartfly(tmp_path, "restore", "--in-place", HEARTFLY_DATABASE__URL=postgres_url)
    server.stop()
    done = heartfly(tmp_path, "restore", "--in-place", "--json", HEARTFLY_DATABASE__URL=postgres_url)

    assert (1, True) == (alive.returncode, "stop every node first" in words(alive.stderr))
    assert (0, True) == (done.returncode, json.loads(done.stdout)["epoch"] > 1)


GIVES_WAY = """
import os
from heartfly.cli.backup import _give_way
{before}
_give_way()
print(os.sched_getscheduler(0))
"""


def gives_way(before: str) -> str:
    """How it is scheduled then, as the kernel says it."""
    return subprocess.run(
        [sys.executable, "-c", GIVES_WAY.format(before=before)], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_backup_that_was_begun_as_idle_stays_idle() -> None:
    """By `chrt --idle` or a unit's CPUSchedulingPolicy: out of that only root may go."""
    assert str(os.SCHED_IDLE) == gives_way("os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))")


def test_any_other_gives_way_to_who_computes_where_the_system_knows_how() -> None:
    as_any = "os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))"
    refuses = "def refused(*_): raise OSError(38, 'Function not implemented')"

    assert str(os.SCHED_BATCH) == gives_way(as_any)
    assert str(os.SCHED_OTHER) == gives_way(f"{as_any}\n{refuses}\nos.sched_setscheduler = refused")
