"""A real server for the tests of a file, and the command line run against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heartfly.cli import main
from tests.server_process import Server

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def run(server: Server) -> Run:
    """`heartfly ARGUMENT …` as somebody types it beside the server; `env` and `input` as click's runner takes them."""
    data = str(server.folder / "heartfly-data")

    def run(*arguments: str, **options: Any) -> Result:
        env = {"HEARTFLY_URL": server.url, "HEARTFLY_DATA__DIR": data, "COLUMNS": "200"} | options.pop("env", {})
        return CliRunner().invoke(main, list(arguments), env=env, prog_name="heartfly", **options)

    return run


def ok(result: Result) -> str:
    assert 0 == result.exit_code, result.output
    return result.output
