"""`heartfly project …` against a real server: shown, and its ping key changed while jobs ping."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest

from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def ping(server: Server, key: str) -> int:
    try:
        with urllib.request.urlopen(f"{server.url}/ping/{key}/job?create=1") as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def key_of(server: Server) -> str:
    return (server.folder / "heartfly-data" / "cli-key").read_text().strip()


def shown(run: Run) -> str:
    key = re.search(r"^ping key +(\w{22})$", ok(run("project", "show")), re.MULTILINE)
    assert key is not None
    return key[1]


def test_a_ping_key_is_changed_while_jobs_ping(run: Run, server: Server) -> None:
    old = shown(run)
    assert 201 == ping(server, old)

    said = ok(run("project", "rotate-ping-key", "--overlap", "1h"))
    new = shown(run)

    assert re.search(rf"^    {new}$", said, re.MULTILINE), said
    assert old != new
    assert "The old one ends in " in said
    assert re.search(r"^old ping key +ends in ", ok(run("project", "show")), re.MULTILINE)
    assert [200, 200] == [ping(server, old), ping(server, new)]

    last = json.loads(ok(run("project", "rotate-ping-key", "--overlap", "0", "--json")))
    assert [404, 404, 200] == [ping(server, key) for key in (old, new, last["ping_key"])]
    assert last == json.loads(ok(run("project", "show", "--json")))


def test_an_overlap_that_cannot_be_is_said_in_words(run: Run) -> None:
    long = run("project", "rotate-ping-key", "--overlap", "31d")

    assert (1, True) == (long.exit_code, "overlap: must be 0 to" in long.output), long.output


def test_a_project_is_exported_whole_and_then_deleted(run: Run, server: Server) -> None:
    main = json.loads(ok(run("project", "show", "--json")))
    made = server.api("POST", "/v1/projects", key_of(server), {"slug": "billing"})
    key = made["api_key"]
    ok(run("checks", "create", "Invoices", "--period", "1h", "--key", key))
    file = server.folder / "billing.ndjson"

    said = ok(run("project", "export", "-o", str(file), "--key", key))
    lines = [json.loads(line) for line in file.read_text().splitlines()]

    assert f"The project is in {file}." in said
    assert 0o600 == file.stat().st_mode & 0o777
    assert ["Invoices"] == [line["name"] for line in lines if line["table"] == "checks"]
    assert "projects" == lines[0]["table"]
    assert not file.with_name("billing.ndjson.part").exists()
    assert len(lines) <= len(ok(run("project", "export", "--key", key)).splitlines())  # the key's last use may be new

    asked = run("project", "delete", "billing", "--key", key, input="n\n")
    wrong = run("project", "delete", "main", "--yes", "--key", key)
    home = run("project", "delete", main["slug"], "--yes")
    assert [1, 1, 1] == [each.exit_code for each in (asked, wrong, home)]
    assert "confirm: must be the project's slug, billing" in wrong.output
    assert "Heartfly's own jobs" in home.output
    assert "billing is deleted." in ok(run("project", "delete", "billing", "--yes", "--key", key))
    assert "does not know this key" in run("project", "show", "--key", key).output


def test_an_export_that_cannot_be_had_leaves_no_file(run: Run, server: Server) -> None:
    file = server.folder / "nothing.ndjson"

    refused = run("project", "export", "-o", str(file), "--key", "hf_unknown")
    nowhere = run("project", "export", "-o", str(server.folder / "no" / "where"))

    assert (1, True) == (refused.exit_code, "does not know this key" in refused.output)
    assert [] == [each.name for each in server.folder.glob("nothing*")]
    assert (1, True) == (nowhere.exit_code, "cannot be written" in nowhere.output), nowhere.output
