"""Which headers the caller may set on an outgoing request, and which are ours alone.

Those that frame the message or name its target stay ours: with them one request could be
made into two, or be sent to another site behind the same address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from heartfly.errors import InvalidValueError

HOP_HEADER = "X-Heartfly-Hop"
"""Says that a request follows from an alert. No Heartfly takes one that does: alerts would go round without end."""

_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        HOP_HEADER.lower(),
    }
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def check_headers(headers: Mapping[str, str], *, field: str) -> None:
    """Raise InvalidValueError for a header that cannot be sent or is not the caller's to set."""
    for name, value in headers.items():
        if _TOKEN.fullmatch(name) is None:
            raise InvalidValueError(field, f"{name!r} is not the name of a header")
        if name.lower() in _RESERVED:
            raise InvalidValueError(field, f"{name} is set by Heartfly itself")
        if _CONTROL.search(value):
            raise InvalidValueError(field, f"{name} contains a line break or a control character")


def outgoing_headers(
    headers: Mapping[str, str], *, user_agent: str, of_alerts: bool = True
) -> list[tuple[bytes, bytes]]:
    """Return the caller's headers, which replace our defaults of the same name, and ours.

    `of_alerts`: what is sent is an alert, and says so.
    """
    chosen = {"user-agent": ("User-Agent", user_agent), "accept": ("Accept", "*/*")}
    chosen |= {name.lower(): (name, value) for name, value in headers.items()}
    # Nothing is ever decompressed here, so a small reply cannot grow into a large one.
    ours = [("Accept-Encoding", "identity")] + [(HOP_HEADER, "1")] * of_alerts
    return [(name.encode(), value.strip().encode()) for name, value in (*chosen.values(), *ours)]
