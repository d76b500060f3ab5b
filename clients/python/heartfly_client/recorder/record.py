"""What a request leaves, and the event that is made of it: the same names as of a line of an access log."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from heartfly_client.paths import Rules, plain_path

TYPE = "http.request"
DROPPED = "http.requests_dropped"
ANONYMOUS = "anonymous"
_MAX_PATH, _MAX_TEXT, _MAX_CUSTOMER, _SHOWN_OF_KEY = 2_048, 512, 256, 8
_BEARER = re.compile(r"\Abearer\s+", re.IGNORECASE)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Ips(StrEnum):
    """What is kept of an address: `TRUNCATE` 24 bits of IPv4 and 48 of IPv6; `HASH` by a secret of yours."""

    KEEP = "keep"
    TRUNCATE = "truncate"
    HASH = "hash"
    DROP = "drop"


class Record(NamedTuple):
    """`at_ns`: of the epoch, when it began. `status` None: nothing was answered. `template`: the framework's route."""

    at_ns: int
    latency_ns: int
    method: str
    path: str
    template: str | None
    status: int | None
    request_bytes: int
    response_bytes: int
    ip: str | None
    host: str | None
    user_agent: str | None
    key: str | None
    customer: str | None
    request_id: str | None


@dataclass(frozen=True)
class Shape:
    """How records become events. `source`: which application, or which of its machines; `secret`: for `Ips.HASH`."""

    rules: Rules = field(default_factory=Rules)
    ips: Ips = Ips.TRUNCATE
    secret: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.ips is Ips.HASH and not self.secret:
            raise ValueError("ips=Ips.HASH needs a secret: without one, hashes of addresses can be undone")


def text_of(told: object) -> str | None:
    """What a function of the application's returned: a customer's number and a route's object are texts, too."""
    return None if told is None else str(told)


def event_of(record: Record, transaction_id: str, shape: Shape) -> bytes:
    """As JSON. What is not known is left out."""
    path = _clean(plain_path(record.path), _MAX_PATH) or "/"
    properties: dict[str, Any] = {
        "method": _clean(record.method, 32).upper(),
        "route": record.template or shape.rules.normal(path),
        "path": path,
        "host": _text(record.host),
        "ip": ip_as(record.ip, shape.ips, shape.secret) if record.ip else None,
        "user_agent": _text(record.user_agent),
        "key": _beginning(record.key),
        "request_id": _text(record.request_id),
        "source": shape.source or None,
        "status": record.status,
        "status_class": f"{record.status // 100}xx" if record.status is not None else None,
        # Microseconds, so that the figure has no exponent however it is written.
        "latency_ms": round(record.latency_ns / 1e6, 3) if record.latency_ns >= 1_000 else 0.001,
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
        "rules": shape.rules.version if record.template is None and shape.rules.version != "1" else None,
    }
    customer = _clean(record.customer or "", _MAX_CUSTOMER).strip() or ANONYMOUS
    known = {name: value for name, value in properties.items() if value is not None}
    return _json(transaction_id, customer, record.at_ns, TYPE, known)


def dropped_event(n: int, transaction_id: str, at_ns: int, source: str) -> bytes:
    """So that what was lost is a figure, too."""
    return _json(transaction_id, ANONYMOUS, at_ns, DROPPED, {"n": n} | ({"source": source} if source else {}))


def _json(transaction_id: str, customer: str, at_ns: int, type_: str, properties: Mapping[str, Any]) -> bytes:
    at = _START + timedelta(microseconds=at_ns // 1_000)
    event = {
        "transaction_id": transaction_id,
        "customer_id": customer,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "event_type": type_,
        "properties": properties,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _clean(text: str, most: int) -> str:
    text = text[:most]
    return text if text.isprintable() else _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _text(text: str | None) -> str | None:
    return _clean(text, _MAX_TEXT) if text else None


def _beginning(key: str | None) -> str | None:
    """A key is a secret: eight characters of it, and never more than half."""
    if not key:
        return None
    key = _clean(_BEARER.sub("", key.strip()).strip(), _MAX_TEXT)
    return key[: min(_SHOWN_OF_KEY, len(key) // 2)] + "…"


_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_FOUR = re.compile(rf"({_BYTE}\.{_BYTE}\.{_BYTE})\.{_BYTE}")


@lru_cache(16_384)
def ip_as(ip: str, ips: Ips, secret: str = "") -> str | None:
    """What is kept of it; None: nothing, as of what is no address, unless all is kept."""
    if ips is Ips.KEEP:
        return _clean(ip, _MAX_TEXT)
    if ips is Ips.DROP:
        return None
    if ips is Ips.TRUNCATE and (found_four := _FOUR.fullmatch(ip)) is not None:
        return f"{found_four[1]}.0"  # most addresses, in a twentieth of the time
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
