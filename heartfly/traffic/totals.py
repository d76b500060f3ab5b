"""What all requests that were asked for come to, and how many customers there were."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.traffic.asked import Asked, ByStatus, Trust
from heartfly.traffic.filters import wanted_by
from heartfly.traffic.gather import gathered
from heartfly.traffic.named import n_customers_of
from heartfly.traffic.rows import By
from heartfly.traffic.span import asked_window


async def totals(read: AsyncConnection, pid: int, asked: Asked, *, now: datetime) -> tuple[ByStatus, Trust]:
    """InvalidValueError."""
    wanted = await wanted_by(read, pid, asked)
    found = await gathered(read, pid, wanted, [asked_window(wanted, now)], by=By.NOTHING, now=now)
    return await found.all(), found.trust


async def n_customers(read: AsyncConnection, pid: int, asked: Asked, *, now: datetime) -> int:
    """Of whom there were requests; whoever is known by several names is one. InvalidValueError."""
    wanted = await wanted_by(read, pid, asked)
    found = await gathered(read, pid, wanted, [asked_window(wanted, now)], by=By.SUBJECT, now=now)
    return await n_customers_of(read, pid, await found.present())
