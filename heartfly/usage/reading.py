"""Events of a time as their columns lie in the database, page by page: for whoever goes through all of them.

What they mean is decided elsewhere, twice: in fold.py, and by other code in reconcile.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.db.models import events
from heartfly.db.snapshots import pages

_MOST_CHARACTERS = 1_000_000


def read_events(
    connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime, *names: str
) -> Iterator[Sequence[Any]]:
    """These columns of the events of [from_at, to_at), in whatever order. Values are the driver's (db/snapshots.py).

    SQLite goes through them in the order in which they came, as they lie in the file. In the order of their times each
    of a day that came in late or mixed is on another page of it: half of the reading was that. It keeps their numbers
    meanwhile, 20 bytes each.
    """
    of_time = (events.c.pid == pid, events.c.at >= from_at, events.c.at < to_at)
    query = sa.select(*(events.c[name] for name in names))
    if connection.dialect.name == "sqlite":
        numbers = sa.select(events.c.id).where(*of_time).correlate(None)
        # `numbers` are of the project. Were that said once more here, SQLite would walk all of the project's index.
        query = query.where(events.c.id.in_(numbers))
    else:
        query = query.where(*of_time)
    yield from pages(connection, query)


def by_size(rows: Sequence[Any], place: int) -> Iterator[Sequence[Any]]:
    """Rows in parts whose properties, at that place of each, are taken apart at once: a million characters, or one row.

    A page is bounded in rows, and those may have 32 KiB of properties, which take twenty times as much in memory.
    """
    if sum([len(row[place]) for row in rows]) <= _MOST_CHARACTERS:  # of nearly all pages, in a fifth of the time
        if rows:
            yield rows
        return
    start = size = 0
    for end, row in enumerate(rows):
        size += len(row[place])
        if size > _MOST_CHARACTERS and end > start:
            yield rows[start:end]
            start, size = end, len(row[place])
    if start < len(rows):
        yield rows[start:]
