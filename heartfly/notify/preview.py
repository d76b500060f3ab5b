"""What a channel's own words would read like: with the newest alert that it carried, or else with an example."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alerts import Alert, CheckFacts
from heartfly.core.words import AlertKind, Reason, Status
from heartfly.db.models import alerts, notifications, projects
from heartfly.notify.contents import decoded, without_output
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.placeholders import in_own_words
from heartfly.notify.policies import AskedPolicy, own_words, to_store

_HOUR = timedelta(hours=1)


async def previewed(
    read: AsyncConnection,
    pid: int,
    channel_id: int,
    asked: AskedPolicy,
    *,
    base_url: str,
    now: datetime,
    event: AlertKind = AlertKind.DOWN,
) -> Message:
    """`event`: about which. InvalidValueError: the templates are too long, or hold what no message may."""
    words = own_words(to_store(asked), event)
    alert = await _newest(read, pid, channel_id, event) or await _example(read, pid, now, event)
    delivery = Delivery(
        id="preview", attempt=1, possible_duplicate=False, alerts=(alert,), base_url=base_url, created_at=now
    )
    return word(in_own_words(delivery, words))


async def _newest(read: AsyncConnection, pid: int, channel_id: int, event: AlertKind) -> Alert | None:
    payload = without_output(on_postgres=read.dialect.name == "postgresql")
    query = (
        sa.select(payload)
        .join(notifications, sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id))
        .where(alerts.c.pid == pid, notifications.c.pid == pid, notifications.c.channel_id == channel_id)
        .where(alerts.c.kind == event.value)
        .order_by(notifications.c.alert_id.desc())
        .limit(1)
    )
    found = (await read.execute(query)).scalar()
    return None if found is None else decoded([found])[0]


async def _example(read: AsyncConnection, pid: int, now: datetime, event: AlertKind) -> Alert:
    query = sa.select(projects.c.slug, projects.c.name).where(projects.c.id == pid)
    project = (await read.execute(query)).one()
    check = CheckFacts(
        uuid="00000000-0000-4000-8000-000000000000",
        name="nightly-backup",
        slug="nightly-backup",
        tags=("prod",),
        schedule="every day",
        grace_s=_HOUR.total_seconds(),
        expected_at=now - _HOUR,
    )
    return Alert(
        key="preview",
        kind=event,
        project_slug=project.slug,
        project_name=project.name,
        at=now,
        decided_at=now,
        reason=Reason.SUCCESS if event is AlertKind.UP else Reason.MISSED,
        from_status=Status.DOWN if event is AlertKind.UP else Status.UP,
        to_status=Status.UP if event is AlertKind.UP else Status.DOWN,
        check=check,
        down_since=now - _HOUR if event in {AlertKind.UP, AlertKind.REMINDER} else None,
    )
