"""What a line tells of one request, and how its parts are read: instants, seconds, sizes, escapes, request lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from heartfly.core.events import instant_of

MAX_PATH, MAX_AGENT, MAX_FIELD = 2_048, 512, 512
"""Characters; what is longer is cut."""
_WORTH_KEEPING = 600
"""Characters: what is longer is seldom seen twice, and would fill the memory."""
_NONE: Mapping[str, str] = {}


class Request(NamedTuple):
    """`path` is as it was asked for, without its query. `latency_ms`, `upstream_ms`: exact, as text.

    `fields`: what else the line names, for who looks for the customer there.
    """

    at: datetime
    method: str | None = None
    path: str | None = None
    status: int | None = None
    ip: str | None = None
    user: str | None = None
    host: str | None = None
    user_agent: str | None = None
    latency_ms: str | None = None
    upstream_ms: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    request_id: str | None = None
    fields: Mapping[str, str] = _NONE


class Unread(str):
    """Why a line could not be read."""

    __slots__ = ()


Told = Request | Unread | None
"""None: the line tells of no request, and need not: it is empty, or a comment."""
Parser = Callable[[str], Told]


# --- texts


_ESCAPE = re.compile(r'(?:\\x[0-9A-Fa-f]{2})+|\\["\\nrtbvf]')
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "v": "\v", "f": "\f"}


def unescaped(text: str) -> str:
    r"""Without the escapes of nginx and Apache: `\x22`, `\"`, `\\`. Bytes that are no UTF-8 become U+FFFD."""
    return _ESCAPE.sub(_meant, text) if "\\" in text else text


def _meant(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith("\\x"):
        return bytes.fromhex(text.replace("\\x", "")).decode("utf-8", "replace")
    return _PLAIN.get(text[1], text[1])


def clean(text: str, most: int = MAX_FIELD) -> str:
    """What an event can hold: no control characters, and not longer."""
    if len(text) > most:
        text = text[:most]
    return text if text.isprintable() else _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def field_of(text: str | None, most: int = MAX_FIELD) -> str | None:
    """None for what logs write where nothing is: `-`, or nothing."""
    if text is not None and len(text) > _WORTH_KEEPING:
        return clean(unescaped(text), most)
    return _short_field(text, most)


@lru_cache(16_384)
def _short_field(text: str | None, most: int) -> str | None:
    if text is None or text in {"", "-"}:
        return None
    return clean(unescaped(text), most)


# --- the request line


_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}", re.ASCII)


def method_and_path(line: str) -> tuple[str | None, str | None]:
    """Of `GET /a?b HTTP/1.1`. Both None: there is no request in it, as in `-`, or in the bytes of a TLS handshake."""
    return _parts_of(line) if len(line) > _WORTH_KEEPING else _kept_parts_of(line)


def _parts_of(line: str) -> tuple[str | None, str | None]:
    method, _, rest = unescaped(line).strip().partition(" ")
    target, _, protocol = rest.rpartition(" ")
    if not target or not protocol.startswith("HTTP/"):
        target = rest  # HTTP/0.9 says no protocol; others may have blanks in their paths
    target = target.strip()
    if not _METHOD.fullmatch(method) or not (
        target.startswith(("/", "*", "http://", "https://")) or method == "CONNECT"
    ):
        return None, None
    return method.upper(), path_of(target)


_kept_parts_of = lru_cache(8_192)(_parts_of)


def path_of(target: str) -> str | None:
    """As it was asked for, without query and host."""
    if target.startswith(("http://", "https://")):
        _, _, rest = target.partition("://")
        slash = rest.find("/")
        target = rest[slash:] if slash >= 0 else "/"
    return clean(target.partition("?")[0].partition("#")[0], MAX_PATH) or None


# --- numbers


_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,12})?", re.ASCII)


def whole(text: str | None) -> int | None:
    """A size or a count; None: none was told."""
    return int(text) if text is not None and text.isdecimal() and text.isascii() and len(text) <= 18 else None


@lru_cache(2_048)
def status_of(text: str | None) -> int | None:
    found = whole(text)
    return found if found is not None and 100 <= found <= 599 else None


@lru_cache(8_192)
def ms_of_seconds(text: str) -> str | None:
    """`0.123` → `123`, exactly, to the nanosecond."""
    return _shifted(text, 3) if _SECONDS.fullmatch(text) else None


def ms_of_micros(text: str) -> str | None:
    return ms_of_scaled(text, -3)


def ms_of_nanos(text: str) -> str | None:
    return ms_of_scaled(text, -6)


def ms_of_ms(text: str) -> str | None:
    return ms_of_scaled(text, 0)


def ms_of_scaled(text: str, places: int) -> str | None:
    """`places`: how far the point goes to the right."""
    return _shifted(text, places) if _LONG.fullmatch(text) else None


_LONG = re.compile(r"\d{1,18}(?:\.\d{1,12})?", re.ASCII)


def _shifted(text: str, places: int) -> str:
    digits, _, fraction = text.partition(".")
    point = len(digits) + places
    digits += fraction
    if point <= 0:
        digits, point = "0" * (1 - point) + digits, 1
    digits = digits.ljust(point, "0")
    before, after = digits[:point].lstrip("0") or "0", digits[point : point + 6].rstrip("0")
    return f"{before}.{after}" if after else before


_PARTS = re.compile(r"[,:\s]+")


def ms_of_upstreams(text: str) -> str | None:
    """`0.010, 0.002 : -`: all the servers that nginx asked, one after the other. None: it asked none, or says not."""
    parts = [found for part in _PARTS.split(text.strip()) if part != "-" and (found := ms_of_seconds(part)) is not None]
    if not parts:
        return None
    nanos = sum(int(part.partition(".")[0]) * 10**6 + int(part.partition(".")[2].ljust(6, "0")) for part in parts)
    return _shifted(str(nanos), -6)


# --- instants


_MONTHS = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6,
    "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12,
}  # fmt: skip
_CLF = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})? ([+-])(\d\d)(\d\d)", re.ASCII)


@lru_cache(4_096)
def at_clf(text: str) -> datetime | None:
    """`17/May/2015:10:05:03 +0200`, in UTC."""
    found = _CLF.fullmatch(text)
    if found is None or (month := _MONTHS.get(found[2])) is None or int(found[9]) > 59:
        return None
    ahead = timedelta(hours=int(found[8]), minutes=int(found[9]))
    try:
        # A leap second is for us the second after.
        local = datetime(int(found[3]), month, int(found[1]), int(found[4]), int(found[5]), 0, tzinfo=UTC)
        at = local + timedelta(seconds=int(found[6])) - (-ahead if found[7] == "-" else ahead)
    except (ValueError, OverflowError):
        return None
    return at if int(found[6]) <= 60 else None


@lru_cache(4_096)
def at_iso(text: str) -> datetime | None:
    """RFC 3339; also nginx's `$time_iso8601` and offsets without a colon. Without one None: nobody knows its hour."""
    if (found := _SHORT_OFFSET.fullmatch(text)) is not None:
        text = f"{found[1]}:{found[2]}"
    return instant_of(text)


_SHORT_OFFSET = re.compile(r"(.+[T ].+[+-]\d\d)(\d\d)", re.ASCII)
_EPOCH = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)
_START = datetime(1970, 1, 1, tzinfo=UTC)


def at_epoch(text: str) -> datetime | None:
    """Seconds with whatever places: nginx's `$msec`, Caddy's `ts`. To the microsecond, exactly."""
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    return _START + timedelta(seconds=int(found[1]), microseconds=int((found[2] or "0")[:6].ljust(6, "0")))
