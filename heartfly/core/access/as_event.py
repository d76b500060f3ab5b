"""The event that a request is: its type, the names of its properties, and its transaction id (decision 26).

The id is made of the line, and of how many like it came before in its file: not of where the file lies, what it is
called, or where in it the line stands. So no rotation, packing or copy makes another event of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from json.encoder import encode_basestring

from heartfly.core.access.customers import Customers
from heartfly.core.access.request import Request
from heartfly.core.paths import Rules

TYPE = "http.request"
_START = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = 131_072
_FIRST_RULES = "1"
"""Of a route that says nothing of its rules."""
_BACK = timedelta(hours=1)
_quoted: Callable[[str], str] = encode_basestring


class Ips(StrEnum):
    """What is kept of an address: `truncate` the first 24 bits of IPv4 and 48 of IPv6; `hash` by a secret of yours."""

    KEEP = "keep"
    TRUNCATE = "truncate"
    HASH = "hash"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests become events. `source`: who wrote the log; `secret`: for hashes of addresses."""

    rules: Rules = field(default_factory=Rules)
    customers: Customers = field(default_factory=Customers)
    ips: Ips = Ips.TRUNCATE
    secret: str = ""
    source: str = ""


class Ids:
    """Of one file's lines, in their order."""

    def __init__(self, source: str = "") -> None:
        self._source = source.encode() + b"\0"
        self._new: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._at = _START

    def of(self, line: bytes, at: datetime) -> str:
        """`line` without its end.

        Equal lines lie near one another, as their times are equal: only what came lately is remembered. Where time goes
        back by more than an hour another file begins, as in `cat access.log access.log.1`, and counting with it.
        """
        if at < self._at - _BACK:
            self._new, self._old = {}, {}
        self._at = at
        digest = hashlib.blake2b(self._source + line, digest_size=12).digest()
        n = self._new.get(digest)
        if n is None:
            n = self._old.get(digest, 0)
        if len(self._new) >= _REMEMBERED:
            self._old, self._new = self._new, {}
        self._new[digest] = n + 1
        return f"{digest.hex()}-{n}" if n else digest.hex()


def event_text(request: Request, transaction_id: str, shape: Shape) -> tuple[str, str, str | None]:
    """As JSON; its customer and its route beside it. What is not known is left out."""
    customer, key = shape.customers.whose(request)
    route = shape.rules.normal(request.path) if request.path is not None else None
    status = request.status
    parts = []
    for name, text in (
        ("method", request.method),
        ("route", route),
        ("path", request.path),
        ("host", request.host),
        ("ip", ip_as(request.ip, shape.ips, shape.secret) if request.ip is not None else None),
        ("user_agent", request.user_agent),
        ("key", key),
        ("request_id", request.request_id),
        ("source", shape.source or None),
    ):
        if text is not None:
            parts.append(f'"{name}":{_quoted(text)}')
    for name, figure in (
        ("status", status),
        ("latency_ms", request.latency_ms),
        ("upstream_ms", request.upstream_ms),
        ("request_bytes", request.request_bytes),
        ("response_bytes", request.response_bytes),
    ):
        if figure is not None:
            parts.append(f'"{name}":{figure}')
    if status is not None:
        parts.append(f'"status_class":"{status // 100}xx"')
    if route is not None and shape.rules.version != _FIRST_RULES:
        parts.append(f'"rules":"{shape.rules.version}"')
    text = (
        f'{{"transaction_id":"{transaction_id}","customer_id":{_quoted(customer)},"timestamp":"{_rfc3339(request.at)}",'
        f'"event_type":"{TYPE}","properties":{{{",".join(parts)}}}}}'
    )
    return text, customer, route


@lru_cache(4_096)
def _rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@lru_cache(16_384)
def ip_as(ip: str, ips: Ips, secret: str = "") -> str | None:
    """What is kept of it; None: nothing, as of what is no address, unless all is kept."""
    if ips is Ips.KEEP:
        return ip
    if ips is Ips.DROP:
        return None
    try:
        found = ip_address(ip.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    found = found if mapped is None else mapped
    if ips is Ips.HASH:
        key = hashlib.blake2b(secret.encode()).digest()
        return hashlib.blake2b(found.packed, digest_size=8, key=key).hexdigest()
    return str(ip_network((found, 24 if found.version == 4 else 48), strict=False).network_address)
