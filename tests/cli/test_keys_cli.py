"""`heartfly keys …` against a real server: made, seen to be used, revoked."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def test_a_key_is_shown_once_works_and_is_revoked(run: Run, server: Server) -> None:
    said = ok(run("keys", "create", "ci", "--scope", "read", "--expires-in", "90d"))
    secret = re.search(r"^    (hf_\w{43})$", said, re.MULTILINE)

    assert secret is not None, said
    assert "ci may read; it ends in 90 d" in said or "ci may read; it ends in 89 d" in said, said
    assert [] == server.api("GET", "/v1/checks", secret[1])["items"]
    listed = ok(run("keys", "list"))
    assert secret[1] not in listed
    assert re.search(rf"^ci +{secret[1][:10]}… +read ", listed, re.MULTILINE), listed
    assert re.search(r"^first key +hf_\w{7}… +read, write, admin ", listed, re.MULTILINE), listed

    assert 1 == run("keys", "revoke", "ci", input="n\n").exit_code
    assert "ci is revoked" in ok(run("keys", "revoke", secret[1][:10], "--yes"))
    assert not re.search(r"^ci ", ok(run("keys", "list")), re.MULTILINE)
    assert re.search(r"^ci .* revoked ", ok(run("keys", "list", "--revoked")), re.MULTILINE)


def test_what_machines_read_is_what_the_api_says(run: Run) -> None:
    made = json.loads(ok(run("keys", "create", "robot", "--scope", "write", "--scope", "read", "--json")))
    listed = json.loads(ok(run("keys", "list", "--json")))

    assert (["read", "write"], None) == (made["scopes"], made["expires_at"])
    assert made | {"secret": None} == next(key for key in listed if key["id"] == made["id"])
    assert "robot is revoked" in ok(run("keys", "revoke", made["id"], "--yes"))


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create", "x"], 2, "--scope"),
        (["create", "x", "--scope", "root"], 2, "root"),
        (["create", " ", "--scope", "read"], 1, "name:"),
        (["create", "x", "--scope", "read", "--expires-in", "999999999999"], 2, "--expires-in"),
        (["create", "x", "--scope", "read", "--expires-in", "0"], 1, "expires_at:"),
        (["revoke", "nobody", "--yes"], 1, "There is no key nobody"),
        (["revoke", "first key", "--yes"], 1, "last key with the scope admin"),
        (["revoke", "hf_" + "x" * 43, "--yes"], 1, "There is no key hf_xxxxxxx…;"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(run: Run, arguments: list[str], status: int, words: str) -> None:
    result = run("keys", *arguments)

    assert (status, True) == (result.exit_code, words in result.output), result.output
    assert "Traceback" not in result.output


def test_two_keys_of_one_name_are_told_apart_by_their_ids(run: Run) -> None:
    for _ in range(2):
        ok(run("keys", "create", "twin", "--scope", "read"))

    assert "2 keys are called twin" in run("keys", "revoke", "twin", "--yes").output
