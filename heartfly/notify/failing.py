"""What failed tries do to their channel: it is retrying, then failing, and the project hears of it elsewhere.

Retrying from its first failed try on, failing once a message is given up, in order again from its first
success on. Others are told once in all that: when it lasts (core/retry.py), or at once when a message is
given up. Only channels that work are told, so two dead ones never tell each other in turns. Where several fail at a
time, as the net is gone, people hear of all as one message; and what was told to a channel that fails itself since is
told again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert, ChannelFacts
from heartfly.core.retry import GATHER, is_one_of_many, outlasts_patience
from heartfly.core.silence import Hold
from heartfly.core.values import replace
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, channels, deliveries, notifications, projects
from heartfly.db.prepared import Prepared, among
from heartfly.logs import logger
from heartfly.notify.contents import decoded
from heartfly.notify.outbox import PENDING, Entry, enqueue
from heartfly.notify.peace import HELD

WITH_OTHERS = "told with other channels that fail"
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


def failing_of(tx: Tx, pids: Collection[int], uuids: Collection[str]) -> Collection[str]:
    """Those of these channels, by public id, of which others were told and which do not work yet."""
    c = channels.c
    query = sa.select(c.uuid).where(c.pid.in_(pids), c.uuid.in_(uuids), c.told_at.is_not(None))
    return {*tx.conn.execute(query).scalars()} if uuids else ()


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
    alert = Alert(
        key=_key(one.channel_id, one.at),
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
            n_waiting=_n_waiting(tx, one.pid, one.channel_id),
        ),
    )
    others = _others_in_trouble(tx, one)
    news = {one.channel_id: alert} | _unheard_of(tx, one, others)
    gathered = None
    if len(news) > 1 or is_one_of_many((other.told_at for other in others), at=one.at):
        gathered = Hold(_gathered_until(tx, one, hearing), WITH_OTHERS)
    entries = [
        Entry(pid=one.pid, source=f"channel:{channel_id}", alert=its, channel_ids=hearing, gathered=gathered)
        for channel_id, its in news.items()
    ]
    enqueue(tx, entries, ids=ids, now=one.at)
    these = sa.and_(channels.c.pid == one.pid, channels.c.id.in_(news))
    tx.conn.execute(sa.update(channels).where(these).values(told_at=one.at))


def _key(channel_id: int, told_at: datetime) -> str:
    return f"channel_failing:{channel_id}:{told_at.isoformat()}"


def _n_waiting(tx: Tx, pid: int, channel_id: int) -> int:
    n = notifications.c
    waiting = sa.select(sa.func.count()).where(n.pid == pid, n.channel_id == channel_id, n.state == PENDING)
    return tx.conn.execute(waiting).scalar_one()


def _others_in_trouble(tx: Tx, one: FailedTry) -> Sequence[Any]:
    c = channels.c
    query = sa.select(c.id, c.told_at).where(c.pid == one.pid, c.retrying_since.is_not(None), c.id != one.channel_id)
    return tx.conn.execute(query.order_by(c.id)).all()


def _unheard_of(tx: Tx, one: FailedTry, others: Sequence[Any]) -> dict[int, Alert]:
    """What was told of others, by their ids, to channels none of which has brought it to anybody, or still may."""
    keys = {_key(other.id, other.told_at): other.id for other in others if other.told_at is not None}
    if not keys:
        return {}
    a, n, c = alerts.c, notifications.c, channels.c
    query = sa.select(a.id, a.key, sa.cast(a.payload, sa.Text).label("payload"))
    told = tx.conn.execute(query.where(a.pid == one.pid, a.key.in_(keys))).all()
    may_reach = sa.and_(n.state.in_(("pending", "held", "merged")), c.retrying_since.is_(None))
    to_somebody = (
        sa.select(n.alert_id)
        .join(channels, sa.and_(c.pid == n.pid, c.id == n.channel_id))
        .where(n.pid == one.pid, n.alert_id.in_([row.id for row in told]), sa.or_(n.state == "sent", may_reach))
    )
    heard = {*tx.conn.execute(to_somebody).scalars()}
    return {
        keys[row.key]: _told_again(tx, one, keys[row.key], decoded([row.payload])[0])
        for row in told
        if row.id not in heard
    }


def _told_again(tx: Tx, one: FailedTry, channel_id: int, alert: Alert) -> Alert:
    assert alert.channel is not None
    facts = replace(alert.channel, n_waiting=_n_waiting(tx, one.pid, channel_id))
    return replace(alert, key=_key(channel_id, one.at), decided_at=one.at, channel=facts)


def _gathered_until(tx: Tx, one: FailedTry, hearing: Sequence[int]) -> datetime:
    """All that fail at a time are told at one instant: that of the first of them that waits."""
    n = notifications.c
    waiting = sa.select(sa.func.min(n.held_until)).where(
        n.pid == one.pid, n.channel_id.in_(hearing), n.state == HELD, n.why == WITH_OTHERS,
        n.held_until > sa.literal(one.at, _INSTANT),
    )  # fmt: skip
    first: datetime | None = tx.conn.execute(waiting).scalar()
    return one.at + GATHER if first is None else first


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
