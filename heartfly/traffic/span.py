"""Which time a question is about, and how sure figures of that time are, where many questions have it in common."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.windows import HOUR, Window
from heartfly.db.types import EPOCH
from heartfly.traffic.asked import Asked, Known
from heartfly.traffic.filters import Wanted, endpoints_of
from heartfly.traffic.plan import steady_in
from heartfly.usage.settled import settled_in


def asked_window(wanted: Wanted, now: datetime) -> Window:
    """What was asked; all of the present hour, if it goes on until now."""
    return _window(wanted.asked, now)


def _window(asked: Asked, now: datetime) -> Window:
    to_at = asked.to_at
    end = now - (now - EPOCH) % HOUR + HOUR
    if now <= to_at < end:
        to_at = end
    return Window(asked.from_at, to_at)


async def settled_first(read: AsyncConnection, pid: int, asked: Asked, *, now: datetime) -> Asked:
    """The same question, for who asks many of them: what they have in common is looked up here, once, above all how
    sure figures of its time are.

    To be read before them: who reads later finds no less than is said here. What was folded in between is counted
    event by event all the same.
    """
    span = _window(asked, now)
    settled = await settled_in(read, pid, span.from_at, span.to_at, now=now, meter_id=None)
    steady = await steady_in(read, pid, span, settled)
    return replace(asked, known={span: Known(settled, steady, await endpoints_of(read, pid))})
