"""The bodies that events come in by column: an object of JSON, by gzip as well.

What a column is, and which events are plain, is decided in core/by_column.py and core/plain_columns.py. A body that is
no such object is refused as a whole, with the column that is wrong; whether an item is an event is said item by item.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from heartfly.api.event_bodies import demand_few_values, document, is_large, unpacked
from heartfly.core.by_column import EventColumns, Given, given_in
from heartfly.core.events import Rejected, read, read_yielding
from heartfly.core.plain_columns import columns_read, plain_columns
from heartfly.errors import InvalidValueError

Found = EventColumns | Sequence[Any]
"""Events; or, where one of them is not plain, what stands in the place of each."""


async def columns_of(raw: bytes, *, encoding: str, now: datetime, oldest: datetime) -> Found:
    """As `columns_in`. What is large is read in a thread, so that others are served meanwhile."""
    if not is_large(raw, encoding):
        return columns_in(raw, encoding=encoding, now=now, oldest=oldest)
    return await asyncio.to_thread(
        columns_in, raw, encoding=encoding, now=now, oldest=oldest, reader=read_yielding
    )  # fmt: skip


def columns_in(
    raw: bytes, *, encoding: str, now: datetime, oldest: datetime, reader: Callable[[str], Any] = read
) -> Found:
    """NotJsonError, BodyTooLargeError, InvalidValueError. `oldest`: as in core/events.py."""
    content = unpacked(raw, encoding)
    demand_few_values(content)
    given = given_in(columns_read(content))
    if isinstance(given, Given) and len(given):
        plain = plain_columns(given, content, now=now, oldest=oldest)
        if plain is not None:
            return plain
    given = given_in(document(content, reader))
    if isinstance(given, Rejected):
        raise InvalidValueError(given.field, given.reason)
    return list(given.events())
