"""What OpenTelemetry calls the parts of a request, today and before its names were settled, in our own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from heartfly.core.access.as_event import Ips, ip_as
from heartfly.core.access.customers import ANONYMOUS
from heartfly.core.access.request import MAX_AGENT, MAX_PATH, clean, path_of
from heartfly.core.amounts import Number
from heartfly.core.events import MAX_SUBJECT
from heartfly.core.paths import Rules

CUSTOMERS = ("heartfly.customer", "customer.id", "apitally.consumer.identifier")
"""Where a customer is looked for, besides where the sender says."""
_MOST = 128
_MOST_OF_TEXT = 2_048
_RULES = Rules()
_START = datetime(1970, 1, 1, tzinfo=UTC)

METHOD = ("http.request.method", "http.method")
PATH = ("url.path", "http.target", "url.full", "http.url")
ROUTE = ("http.route",)
STATUS = ("http.response.status_code", "http.status_code")
HOST = ("server.address", "http.host", "net.host.name")
ADDRESS = ("client.address", "http.client_ip", "net.peer.ip", "net.sock.peer.addr")
AGENT = ("user_agent.original", "http.user_agent")
REQUEST_ID = ("http.request.header.x-request-id", "http.request.header.x_request_id")
BYTES_IN = ("http.request.body.size", "http.request_content_length")
BYTES_OUT = ("http.response.body.size", "http.response_content_length")

Told = Mapping[str, Any]


def attributes(found: Iterable[Any]) -> dict[str, Any]:
    """The first of them; of a list its first value."""
    told: dict[str, Any] = {}
    for one in found:
        if len(told) >= _MOST:
            break
        value = _value(one.value)
        if value is not None:
            told[one.key[:_MOST_OF_TEXT]] = value
    return told


def _value(found: Any) -> str | int | float | bool | None:
    match found.WhichOneof("value"):
        case "string_value":
            return str(found.string_value[:_MOST_OF_TEXT])
        case "int_value":
            return int(found.int_value)
        case "bool_value":
            return bool(found.bool_value)
        case "double_value":
            return float(found.double_value)
        case "array_value" if found.array_value.values:
            first = found.array_value.values[0]
            return None if first.WhichOneof("value") == "array_value" else _value(first)
    return None


def text_in(told: Told, names: Sequence[str], most: int = 512) -> str | None:
    found = next((told[name] for name in names if name in told), None)
    if found is None:
        return None
    return clean(str(found).lower() if isinstance(found, bool) else str(found), most) or None


def whole_in(told: Told, names: Sequence[str]) -> int | None:
    """Older libraries write some of these as texts."""
    text = text_in(told, names, 20)
    return int(text) if text is not None and text.isdecimal() and text.isascii() and len(text) <= 18 else None


def properties_of(told: Told, program: Told) -> dict[str, Any]:
    """Of a request, or of many alike; what is not told is left out. `program`: what holds for all of it."""
    method = text_in(told, METHOD, 32)
    path = text_in(told, PATH, MAX_PATH)
    path = path_of(path) if path is not None else None
    route = text_in(told, ROUTE, MAX_PATH) or (_RULES.normal(path) if path is not None else None)
    status = whole_in(told, STATUS)
    status = status if status is not None and 100 <= status <= 599 else None
    ip = text_in(told, ADDRESS, 64)
    made = {
        "method": method.upper() if method is not None else None,
        "route": route,
        "path": path,
        "status": None if status is None else Number(str(status)),
        "status_class": None if status is None else f"{status // 100}xx",
        "host": text_in(told, HOST),
        "ip": None if ip is None else ip_as(ip, Ips.TRUNCATE),
        "user_agent": text_in(told, AGENT, MAX_AGENT),
        "request_id": text_in(told, REQUEST_ID),
        "source": text_in(program, ("service.name",)),
    }
    return {name: value for name, value in made.items() if value is not None}


def customer_of(told: Told, program: Told, names: Sequence[str]) -> str:
    """The first that is named, of the request before the program."""
    for where in (told, program):
        found = text_in(where, names, MAX_SUBJECT)
        if found is not None and found.strip():
            return found.strip()
    return ANONYMOUS


def instant(ns: int) -> str:
    """Of nanoseconds since 1970."""
    return (_START + timedelta(microseconds=ns // 1_000)).isoformat().replace("+00:00", "Z")
