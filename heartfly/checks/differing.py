"""What a run that failed said, beside what the last run said that went well.

Which two are compared is decided here, what differs in core/outputs.py. A body is kept for the newest pings only, so
there may be nothing to compare with.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.outputs import Difference, compared
from heartfly.core.words import PingKind, RunOutcome
from heartfly.db.models import ping_bodies, pings, runs


class Said(NamedTuple):
    """`n`: the number of the ping that said it."""

    n: int
    body: bytes


def is_of_failure(ping: Row[Any]) -> bool:
    """`ping`: as `queries.pings_of` reads it. A success counts, too, whose figures or bounds say otherwise."""
    if ping.kind == PingKind.SUCCESS.value:
        return ping.run_outcome in {RunOutcome.FAILED.value, RunOutcome.DEGRADED.value}
    return bool(ping.kind == PingKind.FAIL.value)


async def success_before(read: AsyncConnection, pid: int, check_id: int, n: int) -> Said | None:
    """What the last run before this ping said that went well and said something, as far as it is kept."""
    found = (await read.execute(last_success(pid, check_id, before=n))).first()
    return None if found is None else Said(found.n, bytes(found.body))


def last_success(pid: int, check_id: int, *, before: int) -> sa.Select[Any]:
    """Its number and body. `before`: the number of a ping."""
    run = sa.and_(runs.c.pid == pings.c.pid, runs.c.check_id == pings.c.check_id, runs.c.id == pings.c.run_id)
    body = sa.and_(
        ping_bodies.c.pid == pings.c.pid, ping_bodies.c.check_id == pings.c.check_id, ping_bodies.c.n == pings.c.n
    )
    query = (
        sa.select(pings.c.n, ping_bodies.c.body)
        .join(ping_bodies, body)
        .outerjoin(runs, run)
        .where(
            pings.c.pid == pid, pings.c.check_id == check_id, pings.c.n < before, pings.c.kind == PingKind.SUCCESS.value
        )
        # A run may be gone, or never have been: its success counts then as what it says it is.
        .where(sa.or_(runs.c.outcome.is_(None), runs.c.outcome == RunOutcome.OK.value))
    )
    return query.order_by(pings.c.n.desc()).limit(1)


async def difference(there: bytes, here: bytes, *, numbers: bool) -> Difference:
    """In a thread: two long outputs take tens of milliseconds."""
    old, new = there.decode("utf-8", "replace"), here.decode("utf-8", "replace")
    return await asyncio.to_thread(compared, old, new, numbers=numbers)
