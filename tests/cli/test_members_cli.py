"""`heartfly members …` against a real server: added, given another role, removed; the last owner stays."""

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
    made.command("user", "create", "--email", "grace@example.com", "--password-stdin", given="correct horse battery\n")
    made.start()
    yield made, key
    made.kill()


@pytest.fixture
def run(server: tuple[Server, str]) -> Run:
    served, key = server

    def run(*arguments: str, given: str = "") -> Result:
        env = {"HEARTFLY_URL": served.url, "HEARTFLY_API_KEY": key, "COLUMNS": "200"}
        return CliRunner().invoke(main, list(arguments), env=env, input=given, prog_name="heartfly")

    return run


def ok(result: Result) -> str:
    assert 0 == result.exit_code, result.output
    return result.output


def test_a_user_is_added_given_another_role_and_removed(run: Run) -> None:
    assert re.search(r"^ada@example.com +owner +\d+$", ok(run("members", "list")), re.MULTILINE)

    added = ok(run("members", "add", "grace@example.com", "--role", "viewer"))
    raised = json.loads(ok(run("members", "role", "GRACE@example.com", "owner", "--json")))
    listed = json.loads(ok(run("members", "list", "--json")))
    kept = run("members", "remove", "grace@example.com", given="n\n")
    removed = ok(run("members", "remove", raised["id"], "--yes"))

    assert "grace@example.com is a member now, as viewer." in added
    assert ("owner", 2, 1) == (raised["role"], len(listed), kept.exit_code)
    assert "grace@example.com is no member any more." in removed
    assert "grace" not in ok(run("members", "list"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["remove", "ada@example.com", "--yes"], "last owner"),
        (["role", "ada@example.com", "admin"], "last owner"),
        (["add", "nobody@example.com"], "no user of that address"),
        (["remove", "nobody@example.com"], "There is no member nobody@example.com"),
        (["role", "ada@example.com", "king"], "king"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(run: Run, arguments: list[str], words: str) -> None:
    result = run("members", *arguments)

    assert 0 != result.exit_code
    assert words in result.output
    assert "Traceback" not in result.output
