"""What a client hears whose request never reaches the application.

One answer a status, in plain words, always with `Connection: close`: after a broken request nobody
can know where the next one begins. Which requests are refused is decided in connection.py and rules.py.
"""

from __future__ import annotations

from http import HTTPStatus

from heartfly.errors import HeartflyError

RETRY_AFTER_S = 5


class RefusedRequestError(HeartflyError):
    """The request is not acceptable as HTTP. `status` is what the client is told."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def answer(status: HTTPStatus, reason: str, *, date: bytes = b"") -> bytes:
    """Return the whole response. `reason` is our own sentence: nothing of the request is reflected."""
    body = f"{reason}\n".encode()
    retry = f"retry-after: {RETRY_AFTER_S}\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "content-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n{retry}connection: close\r\n"
    )
    return head.encode() + (b"date: " + date + b"\r\n" if date else b"") + b"\r\n" + body
