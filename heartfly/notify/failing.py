"""What happens when a delivery is given up: its channel is failing, and the project hears of it elsewhere.

Told once for each time a channel begins to fail, in the transaction that gives up; its first success ends
it. Only channels that work are told, so two dead ones never tell each other in turns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert, ChannelFacts
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, deliveries, notifications, projects
from heartfly.logs import logger
from heartfly.notify.outbox import PENDING, Entry, enqueue

log = logger("heartfly.notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    delivery_id: str
    pid: int
    channel_id: int
    error: str
    at: datetime
    quiet: bool = False
    """A test: whoever asked for it is looking, and a working channel may be tested with a wrong address."""


def give_up(tx: Tx, lost: Sequence[GivenUp], *, ids: IdSource) -> None:
    """End these deliveries as failed, and tell the projects' other channels where a channel begins to fail."""
    failed: dict[int, tuple[GivenUp, int]] = {}
    for one in lost:
        ended = {"state": "failed", "done_at": one.at}
        free = {"next_at": None, "lease_until": None, "node_id": None}
        tx.conn.execute(sa.update(deliveries).where(deliveries.c.id == one.delivery_id).values(ended | free))
        n_lost = tx.conn.execute(
            sa.update(notifications)
            .where(notifications.c.delivery_id == one.delivery_id, notifications.c.state == PENDING)
            .values(ended)
        ).rowcount
        if not one.quiet:
            failed[one.channel_id] = (one, n_lost + failed.get(one.channel_id, (one, 0))[1])
    for one, n_lost in failed.values():
        _begin_to_fail(tx, one, n_lost, ids)


def works_again(tx: Tx, arrived: Collection[tuple[int, int]]) -> None:
    """A message arrived on these channels, each given as project and id."""
    tx.conn.execute(
        sa.update(channels)
        .where(
            channels.c.pid.in_({pid for pid, _ in arrived}),
            channels.c.id.in_({channel_id for _, channel_id in arrived}),
            channels.c.failing_since.is_not(None),
        )
        .values(failing_since=None, last_error=None)
    )


def _begin_to_fail(tx: Tx, one: GivenUp, n_lost: int, ids: IdSource) -> None:
    this = sa.and_(channels.c.pid == one.pid, channels.c.id == one.channel_id)
    tx.conn.execute(sa.update(channels).where(this).values(last_error=one.error))
    begins = sa.update(channels).where(this, channels.c.failing_since.is_(None)).values(failing_since=one.at)
    if tx.conn.execute(begins).rowcount:
        row = tx.conn.execute(sa.select(channels.c.uuid, channels.c.name, channels.c.kind).where(this)).one()
        facts = ChannelFacts(uuid=row.uuid, name=row.name, kind=row.kind, error=one.error, n_failed=n_lost)
        _tell(tx, one, facts, ids)


def _tell(tx: Tx, one: GivenUp, facts: ChannelFacts, ids: IdSource) -> None:
    hearing = _who_can_hear(tx, one)
    if not hearing:
        log.warning("channel_failing", channel=facts.uuid, told="nobody: no other channel of the project works")
        return
    project = tx.conn.execute(sa.select(projects.c.slug, projects.c.name).where(projects.c.id == one.pid)).one()
    alert = Alert(
        key=f"channel_failing:{one.channel_id}:{one.at.isoformat()}",
        kind=AlertKind.CHANNEL_FAILING,
        project_slug=project.slug,
        project_name=project.name,
        at=one.at,
        decided_at=one.at,
        channel=facts,
    )
    entry = Entry(pid=one.pid, source=f"channel:{one.channel_id}", alert=alert, channel_ids=hearing)
    enqueue(tx, [entry], ids=ids, now=one.at)


def _who_can_hear(tx: Tx, one: GivenUp) -> list[int]:
    """The working channels that want such news, so not this one; if none does, all that work.

    To be told unasked is better than an alarm that nobody gets.
    """
    query = sa.select(channels.c.id, channels.c.events).where(
        channels.c.pid == one.pid, channels.c.failing_since.is_(None)
    )
    working: Sequence[Any] = tx.conn.execute(query).all()
    wanting = [row.id for row in working if AlertKind.CHANNEL_FAILING.value in row.events]
    return wanting or [row.id for row in working]
