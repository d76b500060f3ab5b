"""Cursors of figures: a page ends with one, and the next begins behind it, by all that they are sorted by."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from heartfly.db.types import instant, micros
from heartfly.errors import InvalidValueError
from heartfly.usage.answers import Edge

_MOST_CURSOR = 32_000


def cursor_of_edge(edge: Edge) -> str:
    written = json.dumps([micros(edge[0]), edge[1]], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(written.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def edge_of(cursor: str | None, n_groups: int) -> Edge | None:
    """`n_groups`: by how many things the query groups. None: from the start. InvalidValueError."""
    if cursor is None:
        return None
    try:
        padded = cursor[:_MOST_CURSOR].encode("ascii") + b"=" * (-len(cursor) % 4)
        at, place = msgspec.json.decode(urlsafe_b64decode(padded), type=tuple[int, tuple[tuple[int, str, str], ...]])
        edge = (instant(at), place)
    except (ValueError, binascii.Error, OverflowError, msgspec.DecodeError):
        raise not_of_this_query() from None
    if len(place) != n_groups:
        raise not_of_this_query()
    return edge


def not_of_this_query() -> InvalidValueError:
    return InvalidValueError("cursor", "must be the `next` of a page of this query")
