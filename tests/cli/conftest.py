"""A real server for the tests of a file, and the command line run against it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result
from typing_extensions import override

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


@pytest.fixture(scope="module")
def receiver() -> Iterator[ThreadingHTTPServer]:
    """Takes what is posted to /ok, to /good-news only that; refuses all else for good."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            good = self.path == "/ok" or (self.path == "/good-news" and b"check.up" in body)
            self.send_response(200 if good else 410)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(60)


@pytest.fixture(scope="module")
def hooked_server(tmp_path_factory: pytest.TempPathFactory, receiver: ThreadingHTTPServer) -> Iterator[Server]:
    """A server that may talk to the receiver."""
    made = Server(tmp_path_factory.mktemp("served"), {"OUTGOING__ALLOWED_PORTS": str(receiver.server_port)})
    made.start()
    yield made
    made.kill()


@pytest.fixture
def hook(receiver: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{receiver.server_port}"


def ok(result: Result) -> str:
    assert 0 == result.exit_code, result.output
    return result.output
