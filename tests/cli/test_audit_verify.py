"""`heartfly audit verify` beside a server that serves, and after what an operator does."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def test_what_a_server_chained_holds_and_holds_in_its_backup_but_not_what_was_edited(
    run: Run, server: Server, tmp_path: Path
) -> None:
    before = json.loads(ok(run("audit", "verify", "--json")))
    assert (0, None, True) == (before["clasps"], before["newest"], before["waiting"] > 0)
    ok(run("checks", "create", "nightly", "--period", "1d"))

    job = json.loads(ok(run("jobs", "run", "audit-chain", "--json")))
    told = ok(run("audit", "verify"))

    newest = job["figures"]["newest"]
    assert ("ok", "0") == (job["outcome"], job["figures"]["faults"])
    assert re.search(rf"^As they were: {job['figures']['fastened']} entries, in 1 clasp\.$", told, re.MULTILINE)
    assert told.rstrip().endswith(newest)

    file = tmp_path / "backup.tar"
    ok(run("backup", "--to", str(file)))
    ok(run("restore", str(file), "--data", str(tmp_path / "else"), env={"HEARTFLY_DATA__DIR": ""}))
    there = ok(run("audit", "verify", "--noted", newest, "--data", str(tmp_path / "else")))
    assert newest in there

    with closing(sqlite3.connect(tmp_path / "else" / "heartfly.db")) as connection, connection:
        assert 1 == connection.execute("UPDATE audit SET actor = 'eve' WHERE action = 'project.create'").rowcount
    edited = run("audit", "verify", "--data", str(tmp_path / "else"))
    assert (1, True) == (edited.exit_code, "of project main, clasp 1, is not what it was" in edited.output)
    assert 0 == run("audit", "verify").exit_code


def test_where_there_is_nothing_to_look_at_that_is_said(run: Run, tmp_path: Path) -> None:
    result = run("audit", "verify", "--data", str(tmp_path / "nowhere"))

    assert (1, True) == (result.exit_code, "there is no database at" in result.output)
