"""Reads about channels and what they carried, each bound to one project. Lists are read by key, newest first.

Secrets stay sealed: what leaves here of a configuration is what its channel calls public.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alerts import Alert
from heartfly.db.ids import first_id
from heartfly.db.models import alerts, attempts, channels, check_channels, deliveries, notifications
from heartfly.errors import NotFoundError, StoreError
from heartfly.notify.channels import CHANNELS
from heartfly.notify.contents import decoded, without_output
from heartfly.sealing import Sealer

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
_LARGEST = 2**63 - 1
_FAILED: sa.ColumnElement[str] = sa.literal_column("'failed'")
_named = channels.alias()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelView:
    """`config` None: it was sealed with a key that is not here any more, or its kind is of a newer version."""

    id: int
    uuid: str
    kind: str
    name: str
    config: dict[str, Any] | None
    events: tuple[str, ...]
    created_at: datetime
    retrying_since: datetime | None
    """Its first try that failed; None from a success on, as the next two are."""
    failing_since: datetime | None
    """When a message was given up for the first time."""
    last_error: str | None
    n_checks: int
    rev: int
    policy: dict[str, Any]
    """As it is stored (policies.py); empty: it hears all that it listens to, at once and once."""
    old_secret_until: datetime | None
    """Until when a webhook is also signed with what the last rotation replaced. It may be past."""

    @property
    def state(self) -> Literal["ok", "retrying", "failing"]:
        if self.failing_since is not None:
            return "failing"
        return "ok" if self.retrying_since is None else "retrying"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    attempt: int
    started_at: datetime
    ended_at: datetime | None
    """None: the sender stopped before it could say."""
    code: int | None
    reply: str | None
    error: str | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """`retry_at`: when it is tried next; None also while a try is under way."""

    id: str
    channel_uuid: str | None
    """None: it was deleted."""
    state: str
    retry_at: datetime | None
    possible_duplicate: bool
    created_at: datetime
    done_at: datetime | None
    attempts: tuple[AttemptView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationView:
    """One channel's copy of an alert. `alert` lacks the job's output; the channel may have been deleted since."""

    alert_id: int
    channel_id: int
    channel_uuid: str | None
    channel_name: str | None
    alert: Alert
    state: str
    created_at: datetime
    done_at: datetime | None
    delivery: DeliveryView | None
    """None: no delivery carries it yet."""
    why: str | None = None
    """Why it did not go out at once, or not at all."""
    held_until: datetime | None = None
    """When that is looked at again, while it is held."""


def uuid_of(text: str) -> str:
    """A public id as it is stored. NotFoundError for what cannot be one: a NUL would offend the database."""
    lower = text.lower()
    if not _UUID.fullmatch(lower):
        raise NotFoundError("there is no such channel")
    return lower


def delivery_id_of(text: str) -> str:
    """A delivery's id as it is stored. NotFoundError for what cannot be one."""
    lower = text.lower()
    if not _UUID.fullmatch(lower):
        raise NotFoundError("there is no such delivery")
    return lower


async def list_channels(read: AsyncConnection, pid: int, sealer: Sealer) -> list[ChannelView]:
    """All channels of the project, in the order in which they were made."""
    return await _channels(read, pid, sealer, sa.true())


async def one_channel(read: AsyncConnection, pid: int, channel_uuid: str, sealer: Sealer) -> ChannelView:
    """NotFoundError, for one of another project too."""
    found = await _channels(read, pid, sealer, channels.c.uuid == uuid_of(channel_uuid))
    if not found:
        raise NotFoundError("there is no such channel")
    return found[0]


async def list_notifications(
    read: AsyncConnection,
    pid: int,
    *,
    channel_uuid: str | None = None,
    state: str | None = None,
    since: datetime | None = None,
    before: tuple[int, int] | None = None,
    limit: int,
) -> list[NotificationView]:
    """Newest first; `since`: made then or later; `before`: those behind this one, given as its alert_id and channel_id.

    A channel of another project is as good as none, and has no notifications here.
    """
    wanted = []
    if channel_uuid is not None:
        named = sa.select(_named.c.id).where(_named.c.pid == pid, _named.c.uuid == uuid_of(channel_uuid))
        wanted.append(notifications.c.channel_id == named.scalar_subquery())
    if state is not None:
        # Spelled out in the statement: an index over failed rows alone is not used when the word is a parameter.
        wanted.append(notifications.c.state == (_FAILED if state == "failed" else state))
    if since is not None:
        # The ids say it too, to the millisecond: so the walk down the index ends there.
        wanted += [notifications.c.created_at >= since, notifications.c.alert_id >= first_id(since)]
    if before is not None:
        alert_id, channel_id = before
        # The first condition follows from the second, but an index can be entered by it.
        wanted.append(notifications.c.alert_id <= alert_id)
        wanted.append(sa.or_(notifications.c.alert_id < alert_id, notifications.c.channel_id < channel_id))
    return await _notifications(read, pid, sa.and_(sa.true(), *wanted), limit)


async def one_notification(read: AsyncConnection, pid: int, notification_id: str) -> NotificationView:
    """By its public id, `<alert>-<channel>`. NotFoundError, for one of another project too."""
    alert, _, channel = notification_id.partition("-")
    if _NUMBER.fullmatch(alert) and _NUMBER.fullmatch(channel):
        numbers = (int(alert), int(channel))
        if max(numbers) <= _LARGEST:
            mine = sa.and_(notifications.c.alert_id == numbers[0], notifications.c.channel_id == numbers[1])
            if found := await _notifications(read, pid, mine, 1):
                return found[0]
    raise NotFoundError("there is no such notification")


async def one_delivery(read: AsyncConnection, pid: int, delivery_id: str) -> DeliveryView:
    """With all its attempts. NotFoundError, for one of another project too."""
    found = await _deliveries(read, {delivery_id_of(delivery_id)}, pid=pid)
    if not found:
        raise NotFoundError("there is no such delivery")
    return next(iter(found.values()))


async def attempts_of(
    read: AsyncConnection, pid: int, delivery_id: str, *, after: int, limit: int
) -> Sequence[AttemptView]:
    """The tries of one delivery behind number `after`, in order. NotFoundError, for one of another project too."""
    mine = sa.and_(deliveries.c.pid == pid, deliveries.c.id == delivery_id_of(delivery_id))
    known = (await read.execute(sa.select(deliveries.c.id).where(mine))).scalar()
    if known is None:
        raise NotFoundError("there is no such delivery")
    wanted = sa.and_(attempts.c.pid == pid, attempts.c.delivery_id == known, attempts.c.attempt > after)
    return (await _attempts(read, wanted, limit=limit)).get(known, ())


async def notifications_of(
    read: AsyncConnection, pid: int, alert_keys: Collection[str], *, limit: int
) -> list[NotificationView]:
    """What became of these alerts on every channel, newest first."""
    return await _notifications(read, pid, alerts.c.key.in_(alert_keys), limit) if alert_keys else []


async def notification_of(read: AsyncConnection, pid: int, alert_key: str) -> NotificationView | None:
    """What became of an alert for one channel, such as a test. None: there is no alert of that key."""
    found = await _notifications(read, pid, alerts.c.key == alert_key, 1)
    return found[0] if found else None


async def _channels(
    read: AsyncConnection, pid: int, sealer: Sealer, wanted: sa.ColumnElement[bool]
) -> list[ChannelView]:
    of_channel = (check_channels.c.pid == channels.c.pid, check_channels.c.channel_id == channels.c.id)
    n_checks = sa.select(sa.func.count()).select_from(check_channels).where(*of_channel).scalar_subquery()
    query = sa.select(channels, n_checks.label("n_checks")).where(channels.c.pid == pid, wanted)
    return [
        ChannelView(
            id=row.id,
            uuid=row.uuid,
            kind=row.kind,
            name=row.name,
            events=tuple(row.events),
            created_at=row.created_at,
            retrying_since=row.retrying_since,
            failing_since=row.failing_since,
            last_error=row.last_error,
            n_checks=row.n_checks,
            rev=row.rev,
            policy=row.policy or {},
            **_public(row, sealer),
        )
        for row in await read.execute(query.order_by(channels.c.id))
    ]


def _public(row: Any, sealer: Sealer) -> dict[str, Any]:
    channel = CHANNELS.get(row.kind)
    try:
        config = None if channel is None else msgspec.json.decode(sealer.open(row.config_enc))
    except StoreError:
        config = None
    if channel is None or config is None:
        return {"config": None, "old_secret_until": None}
    return {"config": channel.public_config(config), "old_secret_until": channel.old_secret_until(config)}


async def _notifications(
    read: AsyncConnection, pid: int, wanted: sa.ColumnElement[bool], limit: int
) -> list[NotificationView]:
    of_alert = sa.and_(alerts.c.pid == notifications.c.pid, alerts.c.id == notifications.c.alert_id)
    to_channel = sa.and_(channels.c.pid == notifications.c.pid, channels.c.id == notifications.c.channel_id)
    payload = without_output(on_postgres=read.dialect.name == "postgresql")
    query = (
        sa.select(notifications, channels.c.uuid, channels.c.name, payload.label("payload"))
        .join(alerts, of_alert)
        .outerjoin(channels, to_channel)
        .where(notifications.c.pid == pid, wanted)
        .order_by(notifications.c.alert_id.desc(), notifications.c.channel_id.desc())
        .limit(limit)
    )
    rows = (await read.execute(query)).all()
    carriers = await _deliveries(read, {row.delivery_id for row in rows if row.delivery_id is not None}, pid=pid)
    return [
        NotificationView(
            alert_id=row.alert_id,
            channel_id=row.channel_id,
            channel_uuid=row.uuid,
            channel_name=row.name,
            alert=decoded([row.payload])[0],
            state=row.state,
            created_at=row.created_at,
            done_at=row.done_at,
            delivery=carriers.get(row.delivery_id),
            why=row.why,
            held_until=row.held_until,
        )
        for row in rows
    ]


async def _deliveries(read: AsyncConnection, delivery_ids: Collection[str], *, pid: int) -> dict[str, DeliveryView]:
    if not delivery_ids:
        return {}
    tries = await _attempts(read, sa.and_(attempts.c.pid == pid, attempts.c.delivery_id.in_(delivery_ids)))
    to_channel = sa.and_(channels.c.pid == deliveries.c.pid, channels.c.id == deliveries.c.channel_id)
    query = (
        sa.select(deliveries, channels.c.uuid)
        .outerjoin(channels, to_channel)
        .where(deliveries.c.pid == pid, deliveries.c.id.in_(delivery_ids))
    )
    return {
        row.id: DeliveryView(
            id=row.id,
            channel_uuid=row.uuid,
            state=row.state,
            retry_at=row.next_at if row.state == "pending" and row.lease_until is None else None,
            possible_duplicate=row.possible_duplicate,
            created_at=row.created_at,
            done_at=row.done_at,
            attempts=tuple(tries.get(row.id, ())),
        )
        for row in await read.execute(query)
    }


async def _attempts(
    read: AsyncConnection, wanted: sa.ColumnElement[bool], *, limit: int | None = None
) -> dict[str, Sequence[AttemptView]]:
    query = sa.select(attempts).where(wanted).order_by(attempts.c.delivery_id, attempts.c.attempt).limit(limit)
    found: dict[str, list[AttemptView]] = {}
    for row in await read.execute(query):
        view = AttemptView(
            attempt=row.attempt,
            started_at=row.started_at,
            ended_at=row.ended_at,
            code=row.code,
            reply=row.reply,
            error=row.error,
            retry_at=row.retry_at,
        )
        found.setdefault(row.delivery_id, []).append(view)
    return dict(found)
