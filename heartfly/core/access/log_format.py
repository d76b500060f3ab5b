"""Any `log_format` of nginx, as it stands in the configuration, made into a parser.

What a variable may hold is known for those of nginx; of others it ends where the text behind them begins. With
`escape=json` the format is an object, and its lines are read as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from heartfly.core.access.request import (
    MAX_AGENT,
    Parser,
    Request,
    Told,
    Unread,
    at_clf,
    at_epoch,
    at_iso,
    field_of,
    method_and_path,
    ms_of_seconds,
    ms_of_upstreams,
    path_of,
    status_of,
    unescaped,
    whole,
)


class LogFormatError(ValueError):
    """It cannot be made into a parser; the text says why."""


_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
_SAID = re.compile(r"\s*log_format\s+\S+\s+(?:escape=\w+\s+)?(.*?);?\s*", re.DOTALL)
_PIECE = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_TIMES: Mapping[str, Callable[[str], datetime | None]] = {
    "msec": at_epoch,
    "time_iso8601": at_iso,
    "time_local": at_clf,
}
"""The most exact first."""
_REQUESTS = frozenset({"request", "request_uri", "uri"})

_SHAPES = {
    "time_local": r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
    "time_iso8601": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)",
    "msec": r"\d+(?:\.\d+)?",
    "status": r"\d{3}|-|",
    "remote_addr": r"[^ ]*",
    "request": r"[^ ]*(?: [^ ]*)?(?: HTTP/[\d.]+)?",
    "request_time": r"[\d.]+|-|",
} | dict.fromkeys(
    ("upstream_response_time", "upstream_connect_time", "upstream_header_time"),
    r"(?:-|\d[\d.]*)(?:(?:, | : )(?:-|\d[\d.]*))*|",
)


def compiled(text: str) -> Parser:
    """LogFormatError."""
    format_ = _joined(text)
    names = [one or other for one, other in _VARIABLE.findall(format_)]
    if not _TIMES.keys() & set(names):
        raise LogFormatError("has no time in it: $time_local, $time_iso8601 or $msec")
    if not _REQUESTS & set(names):
        raise LogFormatError("has no request in it: $request, $request_uri or $uri")
    return _of_objects(format_) if format_.lstrip().startswith("{") else _of_texts(format_)


def _joined(text: str) -> str:
    """The format alone, whether the whole directive was pasted or what stands in its quotes."""
    said = _SAID.fullmatch(text)
    body = said[1] if said is not None else text.strip().removesuffix(";")
    pieces = _PIECE.findall(body)
    if pieces and not _PIECE.sub("", body).strip():
        return "".join((single or double).replace("\\'", "'") for single, double in pieces)
    if said is not None:
        raise LogFormatError("is a log_format whose text does not stand in quotes")
    return body


def _of_texts(format_: str) -> Parser:
    names: list[str] = []
    pattern, end = "", 0
    for found in _VARIABLE.finditer(format_):
        before = format_[end : found.start()]
        name = found[1] or found[2]
        if not before and names:
            raise LogFormatError(f"has nothing between ${names[-1]} and ${name}, so they cannot be told apart")
        pattern += re.escape(before) + f"({_shape(name, before, format_[found.end() :])})"
        names.append(name)
        end = found.end()
    line = re.compile(pattern + re.escape(format_[end:]), re.DOTALL)

    def read(text: str) -> Told:
        match = line.fullmatch(text)
        if match is None:
            return Unread("does not have the given log_format")
        return request_of(dict(zip(names, match.groups(), strict=True)))

    return read


def _shape(name: str, before: str, behind: str) -> str:
    if before.endswith('"') and behind.startswith('"'):
        return r'[^"\\]*+(?:\\.[^"\\]*+)*+'
    if name in _SHAPES:
        return _SHAPES[name]
    return f"[^{re.escape(behind[0])}]*+" if behind and behind[0] != "$" else ".*"


def _of_objects(format_: str) -> Parser:
    """`{"at":"$time_iso8601","s":$status}`: which key holds which variable."""
    quoted = _NAKED.sub(lambda found: f'{found[1]}"{found[2]}"', format_)
    try:
        made = json.loads(quoted)
    except (ValueError, RecursionError):
        raise LogFormatError("is no object of JSON, though it begins like one") from None
    if any(isinstance(value, dict | list) for value in made.values()):
        raise LogFormatError("has objects in its object; use --format json, and --field for what stands where")
    keys = {key: found[1] or found[2] for key, value in made.items()
            if isinstance(value, str) and (found := _VARIABLE.fullmatch(value))}  # fmt: skip

    def read(text: str) -> Told:
        try:
            told = json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return Unread("is no JSON")
        if not isinstance(told, dict):
            return Unread("is no object of JSON")
        texts = {name: told[key] for key, name in keys.items() if isinstance(told.get(key), str)}
        return request_of(texts, escaped=False)

    return read


_NAKED = re.compile(r"([:,\[]\s*)(\$(?:\{\w+\}|\w+))", re.ASCII)


def request_of(told: Mapping[str, str], *, escaped: bool = True) -> Request | Unread:
    """Of what variables of nginx hold. `escaped`: as nginx escapes by default."""
    at = next((at for name, read in _TIMES.items() if (at := read(told.get(name, ""))) is not None), None)
    if at is None:
        return Unread("has no time that can be read")
    if not escaped:
        told = {name: value.replace("\\", "\\\\") for name, value in told.items()}
    method, path = method_and_path(told["request"]) if "request" in told else (None, None)
    if "request_method" in told:
        method = field_of(told["request_method"], 32)
    if path is None and (uri := told.get("request_uri") or told.get("uri")):
        path = path_of(unescaped(uri)) if uri != "-" else None
    return Request(
        at, method, path, status_of(told.get("status")),
        _first(told, "realip_remote_addr" if "remote_addr" not in told else "remote_addr"),
        _first(told, "remote_user"),
        _first(told, "host", "http_host", "server_name"),
        field_of(told.get("http_user_agent"), MAX_AGENT),
        ms_of_seconds(told.get("request_time", "")),
        ms_of_upstreams(told.get("upstream_response_time", "")),
        whole(told.get("request_length")),
        whole(told.get("body_bytes_sent") or told.get("bytes_sent")),
        _first(told, "request_id", "http_x_request_id"),
        {name: found for name, value in told.items() if name not in _TAKEN and (found := field_of(value)) is not None},
    )  # fmt: skip


_TAKEN = frozenset({*_TIMES, "request", "uri", "request_time", "upstream_response_time"})
"""What nobody is a customer by; an address may be one, if somebody says so."""


def _first(told: Mapping[str, str], *names: str) -> str | None:
    return next((found for name in names if (found := field_of(told.get(name))) is not None), None)
