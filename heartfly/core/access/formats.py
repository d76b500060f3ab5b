"""Which reader takes which line. Left to itself it looks at each line, so that formats may be mixed in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from heartfly.core.access.balancers import read_balancer
from heartfly.core.access.combined import read_combined
from heartfly.core.access.json_lines import json_reader
from heartfly.core.access.log_format import compiled
from heartfly.core.access.request import Parser, Told, Unread
from heartfly.core.access.w3c import W3C

MAX_LINE = 65_536
"""Characters; what is longer is no line that a server writes."""
AUTO = "auto"
_NAMED: Mapping[str, Callable[[], Parser]] = {
    "combined": lambda: read_combined,
    "common": lambda: read_combined,
    "vhost": lambda: read_combined,
    "traefik": lambda: _either,
    "caddy": json_reader,
    "json": json_reader,
    "alb": lambda: read_balancer,
    "elb": lambda: read_balancer,
    "cloudfront": lambda: W3C().read,
    "w3c": lambda: W3C().read,
}
FORMATS = (AUTO, *_NAMED)
_COMBINED = frozenset({AUTO, "combined", "common", "vhost", "traefik"})


def reader(format_: str = AUTO, *, fields: Mapping[str, str] | None = None) -> Parser:
    """Of one file: it may remember a header. `format_`: one of FORMATS, or a `log_format`; `fields`: a map for JSON.

    LogFormatError, FieldMapError.
    """
    if "$" in format_:
        return _bounded(compiled(format_))
    if fields:
        return _bounded(json_reader(fields))
    return _bounded(_by_line() if format_ == AUTO else _NAMED[format_]())


def takes_usual(format_: str, fields: Mapping[str, str]) -> bool:
    """Whether usual.py may be asked first."""
    return format_ in _COMBINED and not fields


def _bounded(read: Parser) -> Parser:
    def told(line: str) -> Told:
        if len(line) > MAX_LINE:
            return Unread(f"is longer than {MAX_LINE} characters")
        return read(line) if line and not line.isspace() else None

    return told


_JSON = json_reader()


def _either(line: str) -> Told:
    return _JSON(line) if line.startswith("{") else read_combined(line)


def _by_line() -> Parser:
    w3c = W3C()

    def told(line: str) -> Told:
        if line.startswith("{"):
            return _JSON(line)
        if line.startswith("#"):
            return w3c.read(line)
        found = read_combined(line)
        if not isinstance(found, Unread):
            return found
        for other in (w3c.read, read_balancer) if w3c.knows_fields else (read_balancer,):
            if not isinstance(told_so := other(line), Unread):
                return told_so
        return Unread("is of no known format; say which with --format")

    return told
