"""One request, one answer, over the standard library's HTTP. No redirects: a key is for one address."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 30.0
"""For each step of an exchange, not for all of it."""
_MOST_READ = 16 * 1024 * 1024

FAILURES = (OSError, http.client.HTTPException)
"""What `post` raises when there is no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after`: the header as it came."""

    status: int
    body: bytes
    retry_after: str | None = None


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = TIMEOUT_S) -> Answer:
    """Raise one of FAILURES if there is no whole answer. `timeout_s`: for each step of the exchange."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, timeout_s)
    try:
        connection.request("POST", target, body=body, headers={"User-Agent": "heartfly-sender", **headers})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(_MOST_READ), answer.headers.get("Retry-After"))
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int | None, timeout_s: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout_s)
