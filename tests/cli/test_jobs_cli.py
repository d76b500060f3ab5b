"""`heartfly jobs …` against a real server: listed, run, and what a run leaves."""

from __future__ import annotations

import json
import re

import pytest

from heartfly.cli.jobs import _told
from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def test_jobs_are_listed_and_their_checks_come_with_their_first_run(run: Run, server: Server) -> None:
    assert "no check" in ok(run("checks", "list")).lower()
    listed = ok(run("jobs", "list"))
    for kind in ("daily-sums", "digest", "retention", "database-check", "backup"):
        assert re.search(rf"^{kind} ", listed, re.MULTILINE), listed

    said = ok(run("jobs", "run", "backup"))

    assert re.search(r"^backup went well in .*: bytes=\d+, removed=0\.$", said, re.MULTILINE), said
    assert 1 == len(list((server.folder / "heartfly-data" / "backups").glob("heartfly-scheduled-*.tar")))
    checks = json.loads(ok(run("checks", "list", "--json")))
    assert [("backup", "up", 2)] == [(check["job"], check["status"], check["n_pings"]) for check in checks]
    assert re.search(r"^backup .* ok, .*bytes=\d+", ok(run("jobs", "list")), re.MULTILINE)
    refused = run("checks", "delete", "heartfly-backup", "--yes")
    assert (1, True) == (refused.exit_code, "It watches Heartfly's own job backup" in refused.output), refused.output


@pytest.mark.parametrize("kind", ["daily-sums", "digest", "retention", "database-check"])
def test_each_job_goes_well_on_a_sound_server(run: Run, kind: str) -> None:
    ran = json.loads(ok(run("jobs", "run", kind, "--json")))

    assert ("ok", "hand", "") == (ran["outcome"], ran["by"], ran["words"])


def test_who_does_not_wait_hears_that_it_goes_on(run: Run) -> None:
    told = ok(run("jobs", "run", "retention", "--wait", "0"))

    assert "retention goes on" in told


def test_a_job_that_fails_is_told_with_exit_1(run: Run, server: Server) -> None:
    key = server.folder / "heartfly-data" / "secret.key"
    key.rename(key.with_name("elsewhere"))
    try:
        failed = run("jobs", "run", "backup")
    finally:
        key.with_name("elsewhere").rename(key)

    assert (1, True) == (failed.exit_code, "backup failed: there is no secret.key" in failed.output), failed.output


def test_a_job_that_is_not_there_is_said_in_words(run: Run) -> None:
    result = run("jobs", "run", "laundry")

    assert (1, True) == (result.exit_code, "There is no job laundry" in result.output)


def test_of_a_digest_that_told_nobody_it_says_why() -> None:
    ended = {"outcome": "ok", "words": "", "figures": {"projects": 0, "digests": 0}, "duration": 2}

    assert "digests=0; none was due: each is told once, after 7:00 in its project's zone" in _told("digest", ended)
    assert "none was due" not in _told("digest", ended | {"figures": {"projects": 1, "digests": 1}})
    assert "none was due" not in _told("daily-sums", ended)
