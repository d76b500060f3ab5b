"""Keyset paging: a cursor names the last row of a page, so that rows that come or go shift nothing.

To callers a cursor is opaque. It says which list it belongs to; one of another list is refused.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from litestar.params import QueryParameter

from heartfly.db.types import instant
from heartfly.errors import InvalidValueError

Limit = Annotated[int, QueryParameter(ge=1, le=500, description="How many at most; 100 if not said.")]
LongLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most; 100 if not said.")]
"""Of a list of which a page is put together out of what was rendered before."""
Cursor = Annotated[str | None, QueryParameter(description="`next` of the page before; left out for the first page.")]

DEFAULT_LIMIT = 100
_LARGEST = 2**63 - 1

Row = TypeVar("Row")


def cursor_of(of: str, *numbers: int) -> str:
    """Name a place in the list `of`, by the numbers that it is sorted by."""
    text = ",".join((of, *map(str, numbers)))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place(text: str | None, of: str, n: int) -> tuple[int, ...] | None:
    """The `n` numbers of a cursor of this list; None: from the start. Raises InvalidValueError."""
    if text is None:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        name, *numbers = urlsafe_b64decode(padded).decode("ascii").split(",")
        found = tuple(int(number) for number in numbers if len(number) < 20)
    except (ValueError, binascii.Error):
        raise _not_ours() from None
    if name != of or len(found) != n or not all(-_LARGEST <= number <= _LARGEST for number in found):
        raise _not_ours()
    return found


def number(text: str | None, of: str) -> int | None:
    """The place of a list that is sorted by one number; None: from the start. Raises InvalidValueError."""
    found = place(text, of, 1)
    return None if found is None else found[0]


def cursor_at(of: str, text: str) -> str:
    """Name a place in the list `of`, which is sorted by texts."""
    return urlsafe_b64encode(f"{of},{text}".encode()).decode().rstrip("=")


def text_at(cursor: str | None, of: str) -> str | None:
    """The text of a cursor of this list; None: from the start. Raises InvalidValueError."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        name, comma, found = urlsafe_b64decode(padded).decode().partition(",")
    except (ValueError, binascii.Error):
        raise _not_ours() from None
    if name != of or not comma or not found.isprintable():
        raise _not_ours()
    return found


def place_in_time(text: str | None, of: str) -> tuple[datetime, int] | None:
    """The place of a list that is sorted by an instant (its microseconds in the cursor) and a number."""
    named = place(text, of, 2)
    try:
        return None if named is None else (instant(named[0]), named[1])
    except OverflowError:
        raise _not_ours() from None


def _not_ours() -> InvalidValueError:
    return InvalidValueError("cursor", "must be the `next` of a page of this list")


def instant_of(text: str | None, *, field: str) -> datetime | None:
    """A bound in time out of a query. The framework would take one without a zone."""
    if text is None:
        return None
    try:
        found: datetime = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.ValidationError:
        raise InvalidValueError(field, "must be an instant such as 2026-03-02T01:30:00Z") from None
    return found


def cut(rows: Sequence[Row], limit: int, name: Callable[[Row], str]) -> tuple[Sequence[Row], str | None]:
    """Of `limit` + 1 rows asked for: the page, and the cursor of the next one if there is more."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], name(rows[limit - 1])
