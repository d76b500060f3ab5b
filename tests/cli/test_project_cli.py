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
