"""What history says to a signal that came out of order. Asked only for those, so it may cost queries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from heartfly.checks.flips import Taken
from heartfly.checks.rows import Stored, run_of
from heartfly.core.check import END_REMEMBERED
from heartfly.core.values import Past, Run, Signal
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from heartfly.db.changes import Tx
from heartfly.db.models import flips, runs

_LONGEST = timedelta(days=4)
"""Runs that began longer ago are not looked for: the index is by their beginning."""


def past_of(tx: Tx, check: Stored, signal: Signal, taken: Sequence[Taken]) -> Past:
    """`taken`: steps of this batch, which are not in the database yet."""
    mine = [one for one in taken if one.stored is check]
    recent = [run for one in mine for run in one.step.runs]
    if signal.kind is PingKind.START:
        return Past(
            rid_ended=_rid_ended(tx, check, signal, recent),
            newer_anonymous_end=signal.rid is None and _newer_anonymous_end(tx, check, signal, recent),
        )
    return Past(
        status_at=_status_at(tx, check, signal, mine),
        hung_run=_hung_run(tx, check),
        hung_since=_hung_since(tx, check),
    )


def _status_at(tx: Tx, check: Stored, signal: Signal, mine: Sequence[Taken]) -> Status:
    for one in reversed(mine):
        for flip in reversed(one.step.flips):
            if flip.at <= signal.at:
                return flip.to_status
    query = (
        sa.select(flips.c.to_status)
        .where(flips.c.pid == check.pid, flips.c.check_id == check.id, flips.c.at <= signal.at)
        .order_by(flips.c.flip_no.desc())
        .limit(1)
    )
    found = tx.conn.execute(query).scalar_one_or_none()
    return Status(found) if found is not None else Status.NEW


def _rid_ended(tx: Tx, check: Stored, signal: Signal, recent: Sequence[Run]) -> bool:
    if signal.rid is None:
        return False
    if any(run.rid == signal.rid and run.ended_at is not None for run in recent):
        return True
    query = sa.select(sa.literal(1)).where(
        runs.c.pid == check.pid, runs.c.check_id == check.id, runs.c.rid == signal.rid, runs.c.ended_at.is_not(None)
    )
    query = query.where(runs.c.ended_at >= signal.at - END_REMEMBERED, runs.c.at >= signal.at - _LONGEST)
    return tx.conn.execute(query.limit(1)).first() is not None


def _newer_anonymous_end(tx: Tx, check: Stored, signal: Signal, recent: Sequence[Run]) -> bool:
    if any(run.rid is None and run.ended_at is not None and run.ended_at >= signal.at for run in recent):
        return True
    query = sa.select(sa.literal(1)).where(
        runs.c.pid == check.pid,
        runs.c.check_id == check.id,
        runs.c.rid.is_(None),
        runs.c.ended_at >= signal.at,
    )
    return tx.conn.execute(query.limit(1)).first() is not None


def _hung_run(tx: Tx, check: Stored) -> Run | None:
    if check.check.status_reason is not Reason.HUNG:
        return None
    query = (
        sa.select(runs)
        .join(
            flips,
            sa.and_(flips.c.pid == runs.c.pid, flips.c.check_id == runs.c.check_id, flips.c.run_id == runs.c.id),
        )
        .where(flips.c.pid == check.pid, flips.c.check_id == check.id, flips.c.flip_no == check.check.flip_no)
    )
    row = tx.conn.execute(query).first()
    return run_of(row) if row is not None else None


def _hung_since(tx: Tx, check: Stored) -> bool:
    """Whether another run than the alarm's own went over its limit while the check was down."""
    if check.check.status is not Status.DOWN:
        return False
    own = sa.select(flips.c.run_id).where(
        flips.c.pid == check.pid, flips.c.check_id == check.id, flips.c.flip_no == check.check.flip_no
    )
    query = sa.select(sa.literal(1)).where(
        runs.c.pid == check.pid,
        runs.c.check_id == check.id,
        runs.c.outcome == RunOutcome.HUNG.value,
        runs.c.at >= check.check.status_since - check.check.rules.run_limit,
        runs.c.id.is_distinct_from(own.scalar_subquery()),
    )
    return tx.conn.execute(query.limit(1)).first() is not None
