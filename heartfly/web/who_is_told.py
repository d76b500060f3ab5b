"""Whom an alarm of one check reaches: its channels, and of each that is not there for such an alarm, why not.

What a channel is there for is decided in core/escalation.py; what holds an alarm for a while is not asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.escalation import of_stored, part_of, routed, severity_of
from heartfly.core.silence import Subject
from heartfly.core.words import AlertKind
from heartfly.db.models import channels, check_channels

_ALARM = AlertKind.DOWN


@dataclass(frozen=True, slots=True)
class Listener:
    """`why_not`: why it is not told that the check is down; empty: it is."""

    uuid: str
    name: str
    why_not: str


async def who_is_told(read: AsyncConnection, check: Any) -> list[Listener]:
    """In the order in which they were made."""
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    query = (
        sa.select(
            channels.c.uuid, channels.c.name, channels.c.policy, channels.c.events.label("own"), check_channels.c.events
        )
        .join(check_channels, joined)
        .where(check_channels.c.pid == check.pid, check_channels.c.check_id == check.id)
        .order_by(channels.c.id)
    )
    return [Listener(row.uuid, row.name, _why_not(row, check)) for row in await read.execute(query)]


def _why_not(row: Any, check: Any) -> str:
    if _ALARM.value not in (row.own if row.events is None else row.events):
        return "this channel does not hear that a check is down"
    tags = tuple(check.tags)
    subject = Subject(
        part=part_of(_ALARM), severity=severity_of(_ALARM, tags=tags), channel=row.uuid, check=check.uuid, tags=tags
    )
    left = routed(subject, of_stored(row.policy))
    return "" if left is None else left.why
