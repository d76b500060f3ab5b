"""What was given up is sent again because somebody asks: one delivery, or all that failed since an instant.

A delivery keeps its id and is flagged as a possible duplicate: what was given up may have arrived all the same.
It is tried anew as if for the first time, and within a source the earlier one still goes first (again.py).
What waits or has arrived is left alone, so to ask twice is to ask once. What was overtaken by later news is sent only
to whoever asks for that very delivery.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor, record
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, deliveries, notifications
from heartfly.errors import ConflictError, NotFoundError
from heartfly.notify.queries import delivery_id_of

MOST_AT_ONCE = 1_000
_SLICE = 500
# Spelled out in the statement, as PENDING is: an index over failed rows alone is not used with a parameter.
FAILED: sa.ColumnElement[str] = sa.literal_column("'failed'")
_IS_TEST = notifications.c.source.startswith("test:")


def resend(tx: Tx, pid: int, delivery_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """ConflictError: it did not fail, or its channel was deleted."""
    delivery_id = delivery_id_of(delivery_id)
    mine = sa.and_(deliveries.c.pid == pid, deliveries.c.id == delivery_id)
    row = tx.conn.execute(sa.select(deliveries.c.channel_id, deliveries.c.state).where(mine)).first()
    if row is None:
        raise NotFoundError("there is no such delivery")
    if not _again(tx, pid, {row.channel_id}, [delivery_id], at):
        # Read anew: on another node somebody may have asked for the same.
        state = tx.conn.execute(sa.select(deliveries.c.state).where(mine)).scalar_one()
        gone = "its channel was deleted"
        raise ConflictError(gone if state == "failed" else f"only what failed is sent again, and it is {state}")
    record(
        tx, pid, actor=actor, action=Action.DELIVERY_RESEND, of=f"delivery:{delivery_id}",
        before={"state": "failed"}, after={"state": "pending"}, at=at, ids=ids,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failed:
    """`found`: deliveries, each with its channel. `n_overtaken`: those passed over, as all they tell is outdated."""

    found: Sequence[tuple[str, int]]
    n_overtaken: int


async def failed_since(
    read: AsyncConnection, pid: int, since: datetime, *, channel_id: int | None, limit: int
) -> Failed:
    """Failed deliveries that were made since then, oldest first. Tests are not among them.

    Nor is what was overtaken: its channel has heard later news of each of its sources. To bring it now would say
    "down" of what is known to be up.
    """
    if channel_id is None:
        channel_ids = list((await read.execute(sa.select(channels.c.id).where(channels.c.pid == pid))).scalars())
    else:
        channel_ids = [channel_id]
    found: list[tuple[str, int]] = []
    n_overtaken, after = 0, None
    while len(found) < limit and (rows := await _failed(read, pid, channel_ids, since, after=after)):
        current = await _current(read, pid, rows)
        found += [(row.id, row.channel_id) for row in rows if row.id in current]
        n_overtaken += len(rows) - len({row.id for row in rows} & current)
        after = (rows[-1].created_at, rows[-1].id)
    return Failed(found[:limit], n_overtaken)


async def _failed(
    read: AsyncConnection,
    pid: int,
    channel_ids: Sequence[int],
    since: datetime,
    *,
    after: tuple[datetime, str] | None,
) -> Sequence[Any]:
    d = deliveries.c
    query = sa.select(d.id, d.channel_id, d.created_at)
    is_test = sa.exists(sa.select(sa.literal(1)).where(notifications.c.delivery_id == d.id, _IS_TEST))
    query = query.where(d.pid == pid, d.channel_id.in_(channel_ids), d.state == FAILED, d.created_at >= since, ~is_test)
    if after is not None:
        made, last = after
        query = query.where(sa.or_(d.created_at > made, sa.and_(d.created_at == made, d.id > last)))
    return (await read.execute(query.order_by(d.created_at, d.id).limit(_SLICE))).all()


async def _current(read: AsyncConnection, pid: int, rows: Sequence[Any]) -> set[str]:
    """Those of the deliveries that carry an alert of a source of which their channel has heard nothing later."""
    n = notifications.c
    query = sa.select(n.delivery_id, n.channel_id, n.source, n.alert_id).where(
        n.pid == pid, n.delivery_id.in_([row.id for row in rows])
    )
    carried = (await read.execute(query)).all()
    newest = await _newest_sent(
        read, pid, {row.channel_id for row in carried}, first=min((row.alert_id for row in carried), default=0)
    )
    return {row.delivery_id for row in carried if row.alert_id > newest.get((row.channel_id, row.source), 0)}


async def _newest_sent(
    read: AsyncConnection, pid: int, channel_ids: Collection[int], *, first: int
) -> dict[tuple[int, str], int]:
    """What each channel heard last of each source, as the alert's id, of those from `first` on."""
    n = notifications.c
    query = (
        sa.select(n.channel_id, n.source, sa.func.max(n.alert_id).label("newest"))
        .where(n.pid == pid, n.channel_id.in_(channel_ids), n.alert_id >= first, n.state == "sent")
        .group_by(n.channel_id, n.source)
    )
    return {(row.channel_id, row.source): row.newest for row in await read.execute(query)}


def retry(
    tx: Tx,
    pid: int,
    found: Sequence[tuple[str, int]],
    *,
    since: datetime,
    of: str,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> int:
    """Send these again, as `failed_since` found them. Returns how many: some may be under way again by now.

    `of`: the channel or the project that was asked for, as the audit names it.
    """
    n = 0
    channel_ids = {channel_id for _, channel_id in found}
    for start in range(0, len(found), _SLICE):
        some = [delivery_id for delivery_id, _ in found[start : start + _SLICE]]
        n += _again(tx, pid, channel_ids, some, at)
    if n:
        record(
            tx, pid, actor=actor, action=Action.DELIVERY_RETRY, of=of,
            before={}, after={"since": since, "n_deliveries": n}, at=at, ids=ids,
        )  # fmt: skip
    return n


def _again(tx: Tx, pid: int, channel_ids: set[int], delivery_ids: Sequence[str], at: datetime) -> int:
    """Those that failed and whose channel is there wait for their next try, which is due. Returns how many."""
    of_channels = sa.select(channels.c.id).where(channels.c.pid == pid, channels.c.id.in_(channel_ids))
    if tx.on_postgres:
        # Channels before their deliveries, in the order of ids, as everywhere.
        of_channels = of_channels.order_by(channels.c.id).with_for_update(key_share=True)
    there = tx.conn.execute(of_channels).scalars().all()
    again = (
        sa.update(deliveries)
        .where(
            deliveries.c.pid == pid,
            deliveries.c.id.in_(delivery_ids),
            deliveries.c.channel_id.in_(there),
            deliveries.c.state == FAILED,
        )
        .values(
            state="pending",
            next_at=at,
            done_at=None,
            lease_until=None,
            node_id=None,
            possible_duplicate=True,
            attempts_before=deliveries.c.attempt,
        )
        .returning(deliveries.c.id)
    )
    taken = tx.conn.execute(again).scalars().all()
    if taken:
        tx.conn.execute(
            sa.update(notifications)
            .where(
                notifications.c.pid == pid,
                notifications.c.delivery_id.in_(taken),
                notifications.c.state == FAILED,
            )
            .values(state="pending", done_at=None)
        )
        tx.changes.outbox = True
    return len(taken)
