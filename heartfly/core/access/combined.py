"""The common and the combined format of Apache and nginx, with or without a host before it, and what people add.

That is `$request_time` alone, `rt=0.012`, `urt="0.010"`, other `name=value`, and Traefik's `12ms`. A whole number alone
could be anything, and is let be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

from heartfly.core.access.request import (
    MAX_AGENT,
    Request,
    Told,
    Unread,
    at_clf,
    field_of,
    method_and_path,
    ms_of_ms,
    ms_of_seconds,
    ms_of_upstreams,
    status_of,
)

_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_LINE = re.compile(
    rf'(?:([^\s,]+) \S+ (\S+)|([^\["]*)) \[([^\]]{{1,40}})\] {_QUOTED} (\d{{3}}|-) (\d{{1,18}}|-)'
    rf"(?: {_QUOTED} {_QUOTED})?+(.*)",
    re.DOTALL,
)
_USUAL = re.compile(
    r'([^\s\\",]{1,64}) \S+ ([^\s\\"]{1,64}) \[([^\]]{20,40})\] "([A-Z]{3,10}) (/[^"\\ ?#]{0,600})(?:[?#][^"\\ ]*+)?'
    r' HTTP/[\d.]{1,3}" (\d{3}) (\d{1,18}+|-)(?: "[^"\\]*+" "([^"\\]{0,500})"(.*)|((?! ").*))',
    re.DOTALL | re.ASCII,
)
"""Nearly all lines: no escapes, a request that is one, nothing that would be cut. A third of the time."""
_EXTRA = re.compile(r'([A-Za-z_][\w-]{0,60})=(?:"((?:[^"\\]++|\\.)*+)"|(\S*))|"(?:[^"\\]++|\\.)*+"|(\S+)', re.ASCII)
_LATENCY = frozenset({"rt", "request_time"})
_UPSTREAM = frozenset({"urt", "upstream_response_time", "upstream_time"})
_FORWARDED = re.compile(r"\A([^ ,]+)(?:, ?[^ ,]+)++", re.ASCII)
"""`X-Forwarded-For`: the first of them is the client."""
_PORT = re.compile(r":\d{1,5}\Z", re.ASCII)
_NOTHING: tuple[str | None, str | None, Mapping[str, str]] = (None, None, {})


def read_combined(line: str) -> Told:
    """Common, combined, with a host before them, with additions behind."""
    if line.isprintable() and (found := _USUAL.fullmatch(line)) is not None:
        ip, user, time, method, path, status, size, agent, extra, others = found.groups()
        if (at := at_clf(time)) is not None:
            more = extra or others
            latency, upstream, fields = extras(more) if more else _NOTHING
            return Request(
                at, method, path, status_of(status),
                None if ip == "-" else ip, None if user == "-" else user, None,
                None if agent == "-" or not agent else agent,
                latency, upstream, None, 0 if size == "-" else int(size), None, fields,
            )  # fmt: skip
    return _read_unusual(line)


def _read_unusual(line: str) -> Told:
    found = _LINE.fullmatch(line)
    if found is None:
        return Unread("is no line of the common or combined format")
    ip, user, others, time, asked, status, size, _, agent, extra = found.groups()
    at = at_clf(time)
    if at is None:
        return Unread("has no time that can be read")
    host = None
    if others is not None:
        who = _who(others)
        if who is None:
            return Unread("is no line of the common or combined format")
        host, ip, user = who
    method, path = method_and_path(asked)
    latency, upstream, fields = extras(extra) if extra else _NOTHING
    return Request(
        at, method, path, status_of(status), field_of(ip), field_of(user), host, field_of(agent, MAX_AGENT),
        latency, upstream, None,
        0 if size == "-" else int(size),  # Apache writes `-` where nothing was sent
        None, fields,
    )  # fmt: skip


def _who(words: str) -> tuple[str | None, str, str] | None:
    """Host, address and user of more than three words: a host before them, or a user with blanks in his name."""
    parts = _FORWARDED.sub(r"\1", words).split(" ")
    if len(parts) == 3:
        return None, parts[0], parts[2]
    if len(parts) < 4:
        return None
    if len(parts) == 4 and parts[2] == "-":
        return _host(parts[0]), parts[1], parts[3]
    if parts[1] == "-":
        return None, parts[0], " ".join(parts[2:])
    if parts[2] == "-":
        return _host(parts[0]), parts[1], " ".join(parts[3:])
    return None


def _host(word: str) -> str | None:
    """None: it is an address, of which nobody said to keep it as a host."""
    host = field_of(_PORT.sub("", word))
    try:
        ip_address(host or word)
    except ValueError:
        return host
    return None


def extras(text: str) -> tuple[str | None, str | None, Mapping[str, str]]:
    """Latency, that of servers behind, and other names."""
    latency = upstream = None
    fields: dict[str, str] = {}
    for found in _EXTRA.finditer(text):
        name, quoted, bare, alone = found.groups()
        if alone is not None:
            if alone.endswith("ms"):
                latency = latency or ms_of_ms(alone[:-2])
            elif "." in alone:
                latency = latency or ms_of_seconds(alone)
        elif name is not None:
            value = quoted if quoted is not None else bare
            if name in _LATENCY:
                latency = ms_of_seconds(value)
            elif name in _UPSTREAM:
                upstream = ms_of_upstreams(value)
            elif (told := field_of(value)) is not None:
                fields[name] = told
    return latency, upstream, fields
