"""A real receiver that answers as a test has told it, and a queue."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from heartfly.sender import DiskQueue
from tests.sender.receiving import PassingTime, Receiver, Told


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.path.startswith("/ping/"):
                state.pings.append((self.path, body.decode()))
                told: Told = state.ping_status, {}, b"OK"
            elif state.is_unknown(self.path):
                told = 405, {}, b""
            else:
                state.headers.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                packed = self.headers.get("content-encoding") == "gzip"
                body = gzip.decompress(body) if packed else body
                told = state.foretold(body) if "dry_run=true" in self.path else state.events(body)
            status, headers, answer = told
            if status == 0:  # the connection breaks
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join(60)


@pytest.fixture
def time() -> PassingTime:
    return PassingTime()


@pytest.fixture
def queue(tmp_path: Path) -> DiskQueue:
    return DiskQueue(tmp_path / "queue")
