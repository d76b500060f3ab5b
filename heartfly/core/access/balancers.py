"""The access logs of Amazon's load balancers: the application's (ALB) and the classic one (ELB).

Times are of the answer's end, with an offset. A part of the latency that is -1 was never known, and so neither is all.
"""

from __future__ import annotations

import re

from heartfly.core.access.request import (
    MAX_AGENT,
    Request,
    Told,
    Unread,
    at_iso,
    field_of,
    method_and_path,
    ms_of_seconds,
    ms_of_upstreams,
    status_of,
    whole,
)

_WORD = re.compile(r'"((?:[^"\\]++|\\.)*+)"|(\S+)')
_SCHEMES = frozenset({"http", "https", "h2", "grpcs", "ws", "wss"})
_MOST = 60
_PORT = re.compile(r":\d{1,5}\Z", re.ASCII)


def read_balancer(line: str) -> Told:
    words = [quoted or bare for quoted, bare in _WORD.findall(line)[:_MOST]]
    # The application's names the scheme first; the rest is the same up to the agent.
    scheme = words.pop(0) if words and words[0] in _SCHEMES else None
    if len(words) < 12:
        return Unread("is no line of a load balancer")
    at = at_iso(words[0])
    if at is None:
        return Unread("has no time that can be read")
    method, path = method_and_path(words[11])
    return Request(
        at, method, path, status_of(words[7]),
        field_of(_PORT.sub("", words[2]).strip("[]")),
        host=field_of(words[17]) if scheme and len(words) > 17 else None,
        user_agent=field_of(words[12], MAX_AGENT) if len(words) > 12 else None,
        latency_ms=_all_of(*words[4:7]),
        upstream_ms=ms_of_seconds(words[5]),
        request_bytes=whole(words[9]),
        response_bytes=whole(words[10]),
        request_id=field_of(words[16]) if scheme and len(words) > 16 else None,
    )  # fmt: skip


def _all_of(*seconds: str) -> str | None:
    known = all(ms_of_seconds(one) is not None for one in seconds)
    return ms_of_upstreams(" ".join(seconds)) if known else None
