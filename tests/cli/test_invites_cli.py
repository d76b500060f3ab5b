"""`heartfly invites …` against a real server without mail: links are shown once, and work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from heartfly.cli import main
from tests.server_process import Server

pytestmark = pytest.mark.e2e

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    made = Server(tmp_path_factory.mktemp("served"))
    key = made.init()["api_key"]
    made.start()
    yield made, key
    made.kill()


@pytest.fixture
def run(server: tuple[Server, str]) -> Run:
    served, key = server

    def run(*arguments: str) -> Result:
        env = {"HEARTFLY_URL": served.url, "HEARTFLY_API_KEY": key, "COLUMNS": "200"}
        return CliRunner().invoke(main, list(arguments), env=env, prog_name="heartfly")

    return run


def ok(result: Result) -> str:
    assert 0 == result.exit_code, result.output
    return result.output


def test_somebody_is_invited_again_and_not_any_more(run: Run) -> None:
    assert "Nobody is invited" in ok(run("invites", "list"))
    made = ok(run("invites", "create", "grace@example.com", "--role", "viewer"))
    listed = json.loads(ok(run("invites", "list", "--json")))
    again = json.loads(ok(run("invites", "resend", "GRACE@example.com", "--json")))
    table = ok(run("invites", "list"))
    gone = ok(run("invites", "revoke", listed[0]["id"]))

    assert re.search(r"^ +http\S+/invite\?token=[\w-]{43}$", made, re.MULTILINE)
    assert [("grace@example.com", "viewer")] == [(one["email"], one["role"]) for one in listed]
    assert (False, None, True) == (again["sent"], again["mail_error"], again["link"] not in made)
    assert re.search(r"^grace@example.com +viewer +key:\S+ +in ", table, re.MULTILINE)
    assert "The invite of grace@example.com is taken back." in gone
    assert "Nobody is invited" in ok(run("invites", "list"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "ada@example.com"], "is a member already"),
        (["create", "nobody"], "must be"),
        (["resend", "nobody@example.com"], "There is no invite of nobody@example.com"),
        (["revoke", "nobody@example.com"], "There is no invite of nobody@example.com"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(run: Run, arguments: list[str], words: str) -> None:
    result = run("invites", *arguments)

    assert 0 != result.exit_code
    assert words in result.output
    assert "Traceback" not in result.output
