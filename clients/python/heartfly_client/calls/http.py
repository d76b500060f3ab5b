"""What is told of a request over HTTP and its answer, whichever library makes it: no query, no header that says who
asks, and nothing of what was sent but the model that it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from heartfly_client.calls.call import Call
from heartfly_client.calls.ratelimits import limits_in

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-ms-request-id")
_MOST_SENT = 1024 * 1024


class Head(NamedTuple):
    """Of an answer. `headers`: by small names."""

    status: int
    headers: Mapping[str, str]

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").lower()

    @property
    def encoding(self) -> str:
        return self.headers.get("content-encoding", "")


def head_of(status: int, headers: Iterable[tuple[str, str]]) -> Head:
    return Head(status, {name.lower(): value for name, value in headers})


def hear(call: Call, head: Head, at: datetime) -> None:
    """`at`: when the answer came, aware."""
    request_id = next((head.headers[name] for name in _REQUEST_IDS if head.headers.get(name)), "")
    call.answered(head.status, request_id=request_id, more=limits_in(head.headers.items(), at))


def may_name_model(content: bytes, content_type: str) -> bool:
    return "json" in content_type and len(content) <= _MOST_SENT and b'"model"' in content


def model_sent(content: bytes) -> str:
    """The model that a request names; empty: none. Nothing else of it is looked at."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    model = told.get("model") if isinstance(told, dict) else None
    return model if isinstance(model, str) else ""
