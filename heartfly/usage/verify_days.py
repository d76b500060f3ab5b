"""Closed days looked at once more, long after they were proved: whatever has changed a rollup since is found.

Those that were not looked at for longest come first, so each has its turn. A day that fails is not sure any more, for
no meter; the next run makes it anew from its events. What is compared is decided in compare.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import proofs, usage_days, windows
from heartfly.db.types import EPOCH
from heartfly.usage.compare import Compared, Difference, compare
from heartfly.usage.fold import TIER_DAY
from heartfly.usage.hands import Hands
from heartfly.usage.request_compare import METER as REQUESTS

_PROVED = ("final", "amended")
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Verified:
    """`wrong`: what is not as it was proved, in words; empty where all is."""

    day: date
    wrong: str


async def days_to_verify(usage: Database, pid: int, *, before: datetime, limit: int) -> Sequence[Any]:
    """Days that are proved and were last looked at before that instant; sealed ones have no events to look at."""
    sealed = sa.exists().where(
        windows.c.pid == pid,
        windows.c.tier == TIER_DAY,
        windows.c.start_at == usage_days.c.from_at,
        windows.c.sealed_at.is_not(None),
    )
    looked_at = sa.func.coalesce(usage_days.c.verified_at, sa.literal(EPOCH, usage_days.c.verified_at.type))
    query = (
        sa.select(usage_days)
        .where(usage_days.c.pid == pid, usage_days.c.state.in_(_PROVED), looked_at < before, ~sealed)
        .order_by(looked_at, usage_days.c.day)
    )
    async with usage.read() as read:
        return (await read.execute(query.limit(limit))).all()


async def verify_day(usage: Database, hands: Hands, row: Any, *, now: datetime) -> Verified | None:
    """`row`: of `days_to_verify`. None: events came in meanwhile, so that nothing can be said."""
    found = await hands.run(compare, usage.place, row.pid, row.from_at, row.to_at)
    if found.waiting:
        return None
    wrong = _words(found) if found.n_differences else ""
    is_told = await usage.write(lambda tx: _note(tx, row, wrong, now=now), priority=Priority.BULK)
    return Verified(row.day, wrong) if is_told else None


def _note(tx: Tx, row: Any, wrong: str, *, now: datetime) -> bool:
    """False: it was closed or put in doubt meanwhile."""
    day = (usage_days.c.pid == row.pid, usage_days.c.day == row.day, usage_days.c.state.in_(_PROVED))
    same = (*day, usage_days.c.run == row.run, usage_days.c.reconciled_at == row.reconciled_at)
    values: dict[str, Any] = {"verified_at": now}
    if wrong:
        values |= {"state": "provisional", "mismatch": wrong, "figures": row.figures | {"reconciled": 0}}
    if tx.conn.execute(sa.update(usage_days).where(*same).values(values)).rowcount != 1:
        return False
    if wrong:
        tx.conn.execute(sa.update(proofs).where(proofs.c.pid == row.pid, proofs.c.day == row.day).values(moved=True))
    return True


def _words(found: Compared) -> str:
    told = [_one(difference) for difference in found.differences[:_TOLD]]
    more = f"; and {found.n_differences - _TOLD} more" if found.n_differences > _TOLD else ""
    return "; ".join(told) + more


def _one(it: Difference) -> str:
    customer = f"customer {it.subject}, " if it.subject else ""
    if it.meter == REQUESTS:
        of, group = f"requests, {customer}", f"{it.group}, "
    else:
        of = f"meter {it.meter}, {customer}" if it.meter else ""
        group = f"group {it.group}, " if it.group else ""
    when = "the day" if it.tier == TIER_DAY else f"the hour from {it.start_at:%Y-%m-%d %H:%M} UTC"
    return f"{of}{group}{when}: expected {it.would_be or 'nothing'}, seen {it.kept or 'nothing'}"
