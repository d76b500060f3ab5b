"""The bodies that events come in: a JSON array, one object, lines of JSON, each of them by gzip as well.

What is read here is not looked at: whether an item is an event is decided in core/events.py, item by item. A body that
is no such thing as a whole is refused as a whole, before anything of it is stored.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable, Sized
from typing import Any

from heartfly.api.body import NotJsonError
from heartfly.core.events import read, read_yielding
from heartfly.core.nesting import MAX_DEPTH, lines_too_many, too_deep, too_many
from heartfly.errors import InvalidValueError
from heartfly.usage.ingest import MAX_EVENTS, Unreadable

MAX_BYTES = 4 * 1024 * 1024
"""Of a body, and of what comes out of a packed one."""
MOST_OF_ONE = 256 * 1024
"""Of a body that is one event: its properties have at most 32 KiB, and JSON may spell a byte by six."""
MOST_VALUES = 300_000
"""In a body. So many has nobody: 2,000 events of 100 properties have 210,000."""
LARGE = 256 * 1024
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_PIECE = 64 * 1024
_LINE = re.compile(rb"\S[^\n]*")
"""One that is not blank, from its first sign on; found without those that are."""
_WHOLE = re.compile(rb"[^\n]+")


class BodyTooLargeError(InvalidValueError):
    """There is more than `most` bytes of it once it is unpacked."""

    def __init__(self, most: int) -> None:
        limit = f"{most // 1024 // 1024} MiB" if most >= 1024 * 1024 else f"{most // 1024} KiB"
        super().__init__("", f"the body is larger than {limit}")


class _TooManyValuesError(InvalidValueError):
    def __init__(self) -> None:
        super().__init__("", f"the body holds more than {MOST_VALUES} values; send less at once")


async def events_of(raw: bytes, *, media_type: str = "", encoding: str = "", most: int = MAX_BYTES) -> list[Any]:
    """As `events_in`. What is large is read in a thread, so that others are served meanwhile."""
    if not is_large(raw, encoding):
        return events_in(raw, media_type=media_type, encoding=encoding, most=most)
    return await asyncio.to_thread(
        events_in, raw, media_type=media_type, encoding=encoding, reader=read_yielding, most=most
    )


def is_large(raw: bytes, encoding: str) -> bool:
    """Whether it may hold so much that reading it takes long: four MiB of numbers take seconds."""
    return len(raw) > LARGE or encoding.strip().lower() not in {"", "identity"}


def events_in(
    raw: bytes,
    *,
    media_type: str = "",
    encoding: str = "",
    reader: Callable[[str], Any] = read,
    most: int = MAX_BYTES,
) -> list[Any]:
    """What stands in the place of each event, in order; lines that are no JSON are `Unreadable`.

    `media_type` and `encoding`: the headers, as they came. `most`: bytes, once it is unpacked. NotJsonError,
    BodyTooLargeError, InvalidValueError.
    """
    content = unpacked(raw, encoding, most=most)
    if media_type.partition(";")[0].strip().lower() in _LINES:
        if content.count(b"\n") >= MAX_EVENTS:  # before they are split, or read for half a minute
            _demand_few(sum(1 for _ in _LINE.finditer(content)))
        lines = [line for whole in _WHOLE.finditer(content) if (line := whole[0]).strip()]
        if lines_too_many(content, MOST_VALUES):
            raise _TooManyValuesError
        return [_line(line, reader) for line in lines]
    found = _events(document(content, reader))
    demand_few(found)
    return found


def demand_few(found: Sized) -> None:
    """InvalidValueError: they are more than come in one request."""
    _demand_few(len(found))


def _demand_few(n: int) -> None:
    if n > MAX_EVENTS:
        raise InvalidValueError("", f"the body holds {n} events; at most {MAX_EVENTS} come in one request")


def demand_few_values(content: bytes) -> None:
    """InvalidValueError: of one document of JSON, they are more than is read. Before it is decoded in any way."""
    if too_many(content, MOST_VALUES):
        raise _TooManyValuesError


def document(content: bytes, reader: Callable[[str], Any]) -> Any:
    """What it holds, whatever that is. NotJsonError, InvalidValueError: it holds too much."""
    if too_deep(content):
        raise NotJsonError(f"the body must be JSON, nested at most {MAX_DEPTH} deep")
    demand_few_values(content)
    try:
        return reader(_text(content))
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"the body must be JSON: {str(error)[:200]}") from error


def _events(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        return [found]
    raise NotJsonError("the body must be an array of events, or one event")


def _line(line: bytes, reader: Callable[[str], Any]) -> Any:
    text = line.decode("utf-8", "replace")
    if too_deep(line):
        return Unreadable(text, f"is no JSON that is nested at most {MAX_DEPTH} deep")
    try:
        return reader(_text(line))
    except (ValueError, RecursionError) as error:
        return Unreadable(text, f"is no JSON: {str(error)[:200]}")


def _text(content: bytes) -> str:
    """Of UTF-8 only, though the decoder would take UTF-16 as well: there `too_deep` sees brackets as it should not.

    Half a surrogate pair is told with the event that holds it.
    """
    return content.decode("utf-8-sig", "surrogatepass")


def unpacked(raw: bytes, encoding: str, *, most: int = MAX_BYTES) -> bytes:
    """BodyTooLargeError, InvalidValueError: it is packed otherwise, or wrongly."""
    match encoding.strip().lower():
        case "" | "identity":
            content = raw
        case "gzip" | "x-gzip":
            content = _of_gzip(raw, most)
        case other:
            raise InvalidValueError("Content-Encoding", f"must be gzip, or none: {other[:40]!r} is not read")
    if len(content) > most:
        raise BodyTooLargeError(most)
    return content


def _of_gzip(raw: bytes, most: int) -> bytes:
    """Never more than `most` and a piece are unpacked, however much is promised. One stream, whole."""
    unpacking, found = zlib.decompressobj(wbits=31), bytearray()
    try:
        rest = raw
        while rest and not unpacking.eof:
            found += unpacking.decompress(rest, _PIECE)
            rest = unpacking.unconsumed_tail
            if len(found) > most:
                raise BodyTooLargeError(most)
    except zlib.error as error:
        raise InvalidValueError("Content-Encoding", f"the body is not what gzip makes: {error}") from error
    if not unpacking.eof or unpacking.unused_data:
        raise InvalidValueError("Content-Encoding", "the body is not one whole stream of gzip")
    return bytes(found)
