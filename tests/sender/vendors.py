"""A provider's API on a socket, with answers as vendors give them. No vendor is asked."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_780_000_000,
    "model": "gpt-x-2026-03-01",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "the secret answer"}}
    ],
    "usage": {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0},
    },
    "service_tier": "default",
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-20260301",
    "content": [{"type": "text", "text": "the secret answer"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 21,
        "cache_creation_input_tokens": 1000,
        "cache_read_input_tokens": 188_086,
        "cache_creation": {"ephemeral_5m_input_tokens": 750, "ephemeral_1h_input_tokens": 250},
        "output_tokens": 393,
        "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 2},
    },
}
RUN: dict[str, Any] = {
    "data": {
        "id": "HG7ML7M8z78YcAPEB",
        "actId": "shop~crawler",
        "status": "SUCCEEDED",
        "startedAt": "2026-11-28T12:00:00.000Z",
        "finishedAt": "2026-11-28T12:01:30.500Z",
        "stats": {"runTimeSecs": 90.5, "computeUnits": 0.0502},
        "usageTotalUsd": 0.0125500000000001,
        "usageUsd": {"ACTOR_COMPUTE_UNITS": 0.0125},
    }
}
LIMITS = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-reset-requests": "6m0s",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-remaining-tokens": "159976",
    "x-ratelimit-reset-tokens": "12ms",
}


def events_of(*documents: dict[str, Any]) -> bytes:
    """As a stream of events."""
    return b"".join(
        b"event: x\r\ndata: " + json.dumps(one, separators=(",", ":")).encode() + b"\r\n\r\n" for one in documents
    )


CHAT_STREAM = events_of(
    *({"object": "chat.completion.chunk", "id": "chatcmpl-1", "created": 1, "model": "gpt-x-2026-03-01",
       "choices": [{"index": 0, "delta": {"content": word}}]} for word in ("the", "secret")),
    {"object": "chat.completion.chunk", "id": "chatcmpl-1", "created": 1, "model": "gpt-x-2026-03-01", "choices": [],
     "usage": CHAT["usage"]},
) + b"data: [DONE]\r\n\r\n"  # fmt: skip
MESSAGE_STREAM = events_of(
    {"type": "message_start", "message": MESSAGE | {"content": [], "usage": MESSAGE["usage"] | {"output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "the secret"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 393}},
    {"type": "message_stop"},
)


@dataclass
class Vendor:
    """`answers`: by path, given as often as it is asked. `asked`: paths with their queries, in order."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def says(
        self,
        path: str,
        told: Any,
        *,
        status: int = 200,
        packed: bool = False,
        more: dict[str, str] | None = None,
        **headers: str,
    ) -> None:
        is_json = not isinstance(told, bytes)
        body = json.dumps(told).encode() if is_json else told
        kind = {"content-type": "application/json" if is_json else "text/event-stream"}
        kind |= {"content-encoding": "gzip"} if packed else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = status, kind | named | (more or {}), gzip.compress(body) if packed else body


@contextmanager
def vendor() -> Iterator[Vendor]:
    state = Vendor()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            state.bodies.append(self.rfile.read(int(self.headers.get("content-length") or 0)))
            self._answer()

        def _answer(self) -> None:
            state.asked.append(self.path)
            status, headers, body = state.answers.get(self.path.partition("?")[0], (404, {}, b""))
            if status == 0:  # the connection breaks
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            half = len(body) // 2
            for piece in (body[:half], body[half:]):
                self.wfile.write(piece)
                self.wfile.flush()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)
