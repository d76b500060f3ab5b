"""What a webhook leads to: a receiver in a thread that answers as it is told to, and keeps what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

from heartfly.clock import SystemClock


class Hook:
    def __init__(self) -> None:
        self.status, self.reply = 200, b"taken"
        self.heard: list[bytes] = []
        self.heard_at: list[datetime] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.heard_at.append(SystemClock().now())
                hook.heard.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(hook.status)
                self.send_header("Content-Length", str(len(hook.reply)))
                self.end_headers()
                self.wfile.write(hook.reply)

            @override
            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def will_answer(self, status: int, reply: bytes) -> None:
        self.status, self.reply = status, reply


@contextmanager
def listening() -> Iterator[Hook]:
    hook = Hook()
    thread = threading.Thread(target=hook.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.server.shutdown()
        hook.server.server_close()
        thread.join(60)
