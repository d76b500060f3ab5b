"""A long list of checks in two steps: a mark of each, by which the caller knows those that he has already, and then the
rows of the others.

A mark is another one whenever anything of the check is that is stored: each write to its row raises `rev`, but for the
job that it watches; the channels that hear it are rows of their own. What the clock alone changes is the caller's.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.queries import Wanted, wanted_of
from heartfly.db.models import channels, check_channels, checks

AT_ONCE = 200
"""So many rows are fetched at a time: what is done with them holds up whoever else is served."""


class Mark(NamedTuple):
    """`heard`: the ids of its channels in ascending order, with commas; None: it has no channel."""

    id: int
    rev: int
    job: str | None
    heard: str | None


# A row of SQLAlchemy's finds each column by its name anew, which is most of the work of a long list.
_Listed = namedtuple("_Listed", [*(column.name for column in checks.c), "heard"])  # type: ignore[misc] # noqa: PYI024


async def marks(read: AsyncConnection, pid: int, wanted: Wanted, *, after: int | None, limit: int) -> Sequence[Mark]:
    """Of checks in the order in which they were made, after the one with this id."""
    light = sa.select(checks.c.id, checks.c.rev, checks.c.job, _heard(read))
    query = wanted_of(read, light, pid, wanted, after=after, limit=limit)
    return [Mark._make(row) for row in await read.execute(query)]


async def rows_of(read: AsyncConnection, pid: int, ids: Collection[int]) -> Sequence[Any]:
    """All columns of these, and `heard` as it was in the same instant. One that is gone is left out."""
    query = sa.select(checks, _heard(read)).where(checks.c.pid == pid, checks.c.id.in_(ids))
    return [_Listed._make(row) for row in await read.execute(query)]


async def named_with_tags(read: AsyncConnection, pid: int, ids: Sequence[int]) -> Sequence[Any]:
    """Id, public id and tags of these. One that is gone is left out."""
    found: list[Any] = []
    for start in range(0, len(ids), AT_ONCE):
        query = sa.select(checks.c.id, checks.c.uuid, checks.c.tags)
        some = query.where(checks.c.pid == pid, checks.c.id.in_(ids[start : start + AT_ONCE]))
        found += (await read.execute(some)).all()
    return found


def mark_of(row: Any) -> Mark:
    """Of one of `rows_of`."""
    return Mark(row.id, row.rev, row.job, row.heard)


async def uuids_of(read: AsyncConnection, pid: int, rows: Collection[Any]) -> Mapping[str, str]:
    """Public ids of the channels that hear these, by their own id as text. One that is gone meanwhile is left out."""
    ids = {int(one) for row in rows if row.heard for one in row.heard.split(",")}
    if not ids:
        return {}
    query = sa.select(channels.c.id, channels.c.uuid).where(channels.c.pid == pid, channels.c.id.in_(ids))
    return {str(row.id): row.uuid for row in await read.execute(query)}


def _heard(read: AsyncConnection) -> sa.Label[str | None]:
    its = check_channels.c.channel_id
    if read.dialect.name == "postgresql":
        text = sa.cast(its, sa.Text)
        joined = sa.func.string_agg(text, aggregate_order_by(sa.literal_column("','"), its))
    else:
        # In the order of the primary key, which is the one way in. Another order would be another mark, no wrong one.
        joined = sa.func.group_concat(its)
    of_check = (check_channels.c.pid == checks.c.pid, check_channels.c.check_id == checks.c.id)
    return sa.select(joined).where(*of_check).correlate(checks).scalar_subquery().label("heard")
