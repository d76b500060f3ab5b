"""What failed tries do to their channel: it is retrying, then failing, and the project hears of it elsewhere.

Retrying from its first failed try on, failing once a message is given up, in order again from its first
success on. Others are told once in all that: when it lasts (core/retry.py), or at once when a message is
given up. Only channels that work are told, so two dead ones never tell each other in turns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert, ChannelFacts
from heartfly.core.retry import outlasts_patience
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, deliveries, notifications, projects
from heartfly.db.prepared import Prepared, among
from heartfly.logs import logger
from heartfly.notify.outbox import PENDING, Entry, enqueue

log = logger("heartfly.notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTry:
    """A try that failed, of a delivery that is tried again or given up. `wish_s`: the receiver's own Retry-After."""

    delivery_id: str
    pid: int
    channel_id: int
    error: str
    at: datetime
    wish_s: float | None = None
    quiet: bool = False
    """A test: whoever asked for it is looking, and a working channel may be tested with a wrong address."""


def give_up(tx: Tx, lost: Sequence[FailedTry], *, ids: IdSource) -> None:
    """End these deliveries as failed: their channels are failing."""
    failed: dict[int, tuple[FailedTry, int]] = {}
    for one in lost:
        ended = {"state": "failed", "done_at": one.at}
        free = {"next_at": None, "lease_until": None, "node_id": None}
        tx.conn.execute(sa.update(deliveries).where(deliveries.c.id == one.delivery_id).values(ended | free))
        n_lost = tx.conn.execute(
            sa.update(notifications).where(notifications.c.delivery_id == one.delivery_id).values(ended)
        ).rowcount
        if not one.quiet:
            failed[one.channel_id] = (one, n_lost + failed.get(one.channel_id, (one, 0))[1])
    for one, n_lost in failed.values():
        row = _note(tx, one, failing_since=sa.func.coalesce(channels.c.failing_since, sa.literal(one.at, _INSTANT)))
        if row.told_at is None:
            _tell(tx, one, row, n_lost=n_lost, ids=ids)


def stumble(tx: Tx, tried: Sequence[FailedTry], *, ids: IdSource) -> None:
    """These failed and are tried again: their channels are retrying. Of each channel its latest try counts."""
    latest = {one.channel_id: one for one in sorted(tried, key=lambda one: one.at)}
    for one in latest.values():
        row = _note(tx, one)
        since = row.retrying_since
        if row.told_at is None and outlasts_patience(since=since, failed_at=one.at, retry_after_s=one.wish_s):
            _tell(tx, one, row, n_lost=0, ids=ids)


def works_again(tx: Tx, arrived: Collection[tuple[int, int]]) -> None:
    """A message arrived on these channels, each given as project and id."""
    pids, ids = {pid for pid, _ in arrived}, {channel_id for _, channel_id in arrived}
    _WORKS.run(tx, [{"pids": list(pids), "ids": list(ids)}])


_WORKS = Prepared(
    lambda tx: (
        sa.update(channels)
        .where(
            among(tx, channels.c.pid, "pids"),
            among(tx, channels.c.id, "ids"),
            channels.c.retrying_since.is_not(None),
        )
        .values(retrying_since=None, failing_since=None, told_at=None, last_error=None)
    )
)


_INSTANT = channels.c.retrying_since.type


def _note(tx: Tx, one: FailedTry, **more: Any) -> Any:
    """Write the trouble down where it is seen, and return the channel. Its row is ours until the commit."""
    since = sa.func.coalesce(channels.c.retrying_since, sa.literal(one.at, _INSTANT))
    update = sa.update(channels).where(channels.c.pid == one.pid, channels.c.id == one.channel_id)
    values = {"retrying_since": since, "last_error": one.error} | more
    c = channels.c
    return tx.conn.execute(update.values(values).returning(c.uuid, c.name, c.kind, c.retrying_since, c.told_at)).one()


def _tell(tx: Tx, one: FailedTry, row: Any, *, n_lost: int, ids: IdSource) -> None:
    """If nobody can hear it now, the channel's next failed try tells it."""
    hearing = _who_can_hear(tx, one, lost=n_lost > 0)
    if not hearing:
        log.warning("channel_failing", channel=row.uuid, told="nobody: no other channel of the project works")
        return
    project = tx.conn.execute(sa.select(projects.c.slug, projects.c.name).where(projects.c.id == one.pid)).one()
    n = notifications.c
    waiting = sa.select(sa.func.count()).where(n.pid == one.pid, n.channel_id == one.channel_id, n.state == PENDING)
    alert = Alert(
        key=f"channel_failing:{one.channel_id}:{one.at.isoformat()}",
        kind=AlertKind.CHANNEL_FAILING,
        project_slug=project.slug,
        project_name=project.name,
        at=one.at,
        decided_at=one.at,
        channel=ChannelFacts(
            uuid=row.uuid,
            name=row.name,
            kind=row.kind,
            error=one.error,
            n_failed=n_lost,
            n_waiting=tx.conn.execute(waiting).scalar_one(),
        ),
    )
    entry = Entry(pid=one.pid, source=f"channel:{one.channel_id}", alert=alert, channel_ids=hearing)
    enqueue(tx, [entry], ids=ids, now=one.at)
    this = sa.and_(channels.c.pid == one.pid, channels.c.id == one.channel_id)
    tx.conn.execute(sa.update(channels).where(this).values(told_at=one.at))


def _who_can_hear(tx: Tx, one: FailedTry, *, lost: bool) -> list[int]:
    """The working channels that want such news, so not this one; if none does, all that work.

    To be told unasked is better than an alarm that nobody gets. Where something is `lost` already and none works,
    those are told that are tried again: there may be no other try here from which to tell it.
    """
    query = sa.select(channels.c.id, channels.c.events, channels.c.retrying_since).where(
        channels.c.pid == one.pid, channels.c.failing_since.is_(None), channels.c.id != one.channel_id
    )
    able: Sequence[Any] = tx.conn.execute(query).all()
    working = [row for row in able if row.retrying_since is None] or (able if lost else ())
    wanting = [row.id for row in working if AlertKind.CHANNEL_FAILING.value in row.events]
    return wanting or [row.id for row in working]
