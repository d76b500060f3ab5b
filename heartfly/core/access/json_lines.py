"""Lines of JSON: Caddy's and Traefik's by what they are, others by names that are usual, or by a map of yours.

Where a thing stands is a dotted path: `request.uri`. Figures are read as they are written, never as floats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from typing_extensions import override

from heartfly.core.access.request import (
    MAX_AGENT,
    MAX_FIELD,
    Parser,
    Request,
    Told,
    Unread,
    at_clf,
    at_epoch,
    at_iso,
    clean,
    method_and_path,
    ms_of_scaled,
    ms_of_upstreams,
    path_of,
    status_of,
    whole,
)

Paths = Mapping[str, Sequence[str]]

TARGETS: Paths = {
    "at": ("time", "timestamp", "@timestamp", "ts", "time_iso8601", "msec", "time_local", "StartUTC", "date"),
    "request": ("request", "request_line"),
    "method": ("request.method", "method", "request_method", "RequestMethod", "http_method", "verb"),
    "path": ("request.uri", "uri", "request_uri", "path", "RequestPath", "url", "target"),
    "status": ("status", "status_code", "DownstreamStatus", "response.status", "code", "http_status"),
    "ip": ("request.client_ip", "request.remote_ip", "remote_addr", "client_ip", "ClientHost", "ip", "remote_ip"),
    "user": ("user_id", "remote_user", "ClientUsername", "user"),
    "host": ("request.host", "host", "http_host", "RequestHost", "server_name"),
    "user_agent": ("request.headers.User-Agent", "http_user_agent", "user_agent", "request_User-Agent", "agent"),
    "latency_s": ("request_time", "duration", "latency_s", "duration_s"),
    "latency_ms": ("latency_ms", "duration_ms", "elapsed_ms"),
    "latency_us": ("latency_us", "duration_us"),
    "latency_ns": ("Duration", "latency_ns", "duration_ns"),
    "upstream_s": ("upstream_response_time",),
    "upstream_ns": ("OriginDuration",),
    "request_bytes": ("bytes_read", "request_length", "RequestContentSize", "request_bytes"),
    "response_bytes": ("size", "body_bytes_sent", "bytes_sent", "DownstreamContentSize", "response_bytes", "bytes"),
    "request_id": ("request_id", "http_x_request_id", "request.headers.X-Request-Id", "trace_id"),
}
"""What can be told of a request, and where it is looked for, in that order, if no map says otherwise."""
_SCALES = {"s": 3, "ms": 0, "us": -3, "µs": -3, "ns": -6}
_LATENCIES = (("latency_s", 3), ("latency_ms", 0), ("latency_us", -3), ("latency_ns", -6))

_TELLING = frozenset({"request", "method", "path", "status"})
"""Without any of them it is what a server says of itself."""
_OF_ERRORS = "http.log.error"


class FieldMapError(ValueError):
    """It names what no request has."""


def json_reader(wanted: Mapping[str, str] | None = None) -> Parser:
    """`wanted`: target → dotted path, such as `{"latency_ms": "took.ms"}`. FieldMapError."""
    places = dict(TARGETS)
    for target, path in (wanted or {}).items():
        if target not in TARGETS:
            raise FieldMapError(f"{target} is not one of {', '.join(TARGETS)}")
        if target.startswith("latency_"):
            places.update(dict.fromkeys((name for name, _ in _LATENCIES), ()))
        places[target] = (path,)

    def read(line: str) -> Told:
        try:
            found = json.loads(line, parse_float=_plain, parse_int=str)
        except (ValueError, RecursionError):
            return Unread("is no JSON")
        return _request(found, places) if isinstance(found, dict) else Unread("is no object of JSON")

    return read


def _plain(text: str) -> str:
    """A figure without an exponent: Caddy writes `9.2e-05`."""
    if "e" not in text and "E" not in text:
        return text
    try:
        found = Decimal(text)
        return f"{found:f}" if abs(found.adjusted()) < 30 else text
    except InvalidOperation:
        return text


def _request(found: dict[str, Any], places: Paths) -> Told:
    logger = found.get("logger")
    if isinstance(logger, str) and logger.startswith(_OF_ERRORS):
        return Unread("is Caddy's of an error; its access log tells of the same request")
    told = {target: text for target, paths in places.items() if (text := _first(found, paths)) is not None}
    at = _instant(told.get("at", ""))
    if at is None:
        return Unread("has no time that can be read")
    method, path = method_and_path(_escaped(told["request"])) if "request" in told else (None, None)
    if "method" in told:
        method = clean(told["method"], 32).upper()
    if "path" in told:
        path = path_of(told["path"])
    if not _TELLING & told.keys():
        return Unread("tells of no request")
    return Request(
        at, method, path, status_of(told.get("status")),
        _text(told, "ip"), _text(told, "user"), _text(told, "host"), _text(told, "user_agent", MAX_AGENT),
        next((ms for name, places in _LATENCIES if (ms := _ms(told.get(name), places)) is not None), None),
        ms_of_upstreams(told.get("upstream_s", "")) or _ms(told.get("upstream_ns"), -6),
        whole(told.get("request_bytes")),
        whole(told.get("response_bytes")),
        _text(told, "request_id"),
        Fields(found),
    )  # fmt: skip


def _text(told: Mapping[str, str], name: str, most: int = MAX_FIELD) -> str | None:
    return clean(told[name], most) if name in told else None


def _escaped(text: str) -> str:
    """JSON has taken its escapes away; a backslash that is left is one."""
    return text.replace("\\", "\\\\")


_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s)?")


def _ms(text: str | None, places: int) -> str | None:
    """A figure, or a span of Go's such as `1.5ms`, which says itself what it counts."""
    found = _SPAN.fullmatch(text) if text else None
    return ms_of_scaled(found[1], _SCALES.get(found[2], places)) if found is not None else None


def _instant(text: str) -> datetime | None:
    """Whichever of the three ways; epoch also in milliseconds, of thirteen digits."""
    if text.isdecimal() and len(text) == 13:
        text = f"{text[:10]}.{text[10:]}"
    return at_iso(text) or at_epoch(text) or at_clf(text)


def _first(found: Mapping[str, Any], paths: Sequence[str]) -> str | None:
    return next((text for path in paths if (text := text_at(found, path)) is not None), None)


def text_at(found: Any, path: str) -> str | None:
    """A text or figure at a dotted path; of a list the first. A name that has a dot in it is found, too."""
    value = found.get(path) if isinstance(found, dict) else None
    if value is None:
        value = found
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) and value not in {"", "-"} else None


class Fields(Mapping[str, str]):
    """What else a line holds, by dotted path; a header of Caddy's and Traefik's also as nginx has it: `http_x_key`."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found

    @override
    def __getitem__(self, name: str) -> str:
        text = text_at(self._found, name)
        if text is None and name.startswith("http_"):
            text = next((found for key, found in self._headers() if key == name), None)
        if text is None:
            raise KeyError(name)
        return clean(text)

    def _headers(self) -> Iterator[tuple[str, str]]:
        request = self._found.get("request")
        headers = request.get("headers") if isinstance(request, dict) else None
        for key in headers if isinstance(headers, dict) else ():
            if (text := text_at(headers, key)) is not None:
                yield _as_nginx(key), text
        for key, value in self._found.items():
            if key.startswith("request_") and isinstance(value, str):
                yield _as_nginx(key.removeprefix("request_")), value

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    @override
    def __len__(self) -> int:
        return len(self._found)


def _as_nginx(header: str) -> str:
    return "http_" + header.lower().replace("-", "_")
