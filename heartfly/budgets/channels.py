"""Which channels hear of a budget. What they hear of checks is no matter here: a budget tells those that it names."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from msgspec import UnsetType

from heartfly.budgets.rows import channels_query
from heartfly.checks.queries import UUID
from heartfly.db.changes import Tx
from heartfly.db.models import budget_channels, channels
from heartfly.errors import InvalidValueError

ALL = "*"
_MOST = 500


def channel_ids(tx: Tx, pid: int, asked: Sequence[str] | UnsetType) -> Collection[int]:
    """All of the project if nothing was said, or `["*"]`. InvalidValueError."""
    mine = sa.select(channels.c.uuid, channels.c.id).where(channels.c.pid == pid)
    if isinstance(asked, UnsetType) or list(asked) == [ALL]:
        return [row.id for row in tx.conn.execute(mine)]
    if len(asked) > _MOST:
        raise InvalidValueError("channels", f"must be at most {_MOST}")
    wanted = [one.lower() for one in asked]
    for n, one in enumerate(wanted):
        if not UUID.fullmatch(one):
            raise InvalidValueError(f"channels[{n}]", 'must be the id of a channel; all of them are ["*"]')
    known = {row.uuid: row.id for row in tx.conn.execute(mine.where(channels.c.uuid.in_(wanted)))}
    for n, one in enumerate(wanted):
        if one not in known:
            raise InvalidValueError(f"channels[{n}]", "there is no such channel")
    return set(known.values())


def assign(tx: Tx, pid: int, budget_id: int, ids: Collection[int]) -> None:
    """Exactly these."""
    b = budget_channels.c
    tx.conn.execute(sa.delete(budget_channels).where(b.pid == pid, b.budget_id == budget_id))
    rows = [{"pid": pid, "budget_id": budget_id, "channel_id": one} for one in sorted(ids)]
    if rows:
        tx.conn.execute(sa.insert(budget_channels), rows)


def heard(tx: Tx, pid: int, budget_id: int) -> list[str]:
    """By public id, in the order in which they were made."""
    return [row.uuid for row in tx.conn.execute(channels_query(pid, [budget_id]))]
