"""Who runs a slot: a lease on its row, with an epoch that fences whoever held it before.

A run that nobody has ended and whose lease is over belongs to nobody: its node died, or could not reach the database.
It is claimed again, under the next epoch, and from then on the first holder can write nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import job_runs, jobs
from heartfly.jobs.kind import Done, JobKind
from heartfly.jobs.slots import provide_check

LEASE = timedelta(seconds=60)
"""Renewed each quarter of it while the work goes on."""
_RUN = (job_runs.c.slot_at, job_runs.c.epoch, job_runs.c.node_id, job_runs.c.lease_until, job_runs.c.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One slot of one job, held under this epoch."""

    pid: int
    job_id: int
    kind: str
    slot_at: datetime
    epoch: int


def claim(tx: Tx, kinds: Mapping[str, JobKind], *, node_id: int, now: datetime, ids: IdSource) -> list[Claim]:
    """Claim what waits, and what a dead node left: of each job the oldest slot, and none while another is under way."""
    joined = sa.and_(jobs.c.pid == job_runs.c.pid, jobs.c.id == job_runs.c.job_id)
    query = (
        sa.select(*_RUN, jobs)
        .join(jobs, joined)
        .where(job_runs.c.ended_at.is_(None), job_runs.c.end_pinged_at.is_(None))
        .where(jobs.c.kind.in_(kinds), jobs.c.off.is_(None))
        .order_by(job_runs.c.pid, job_runs.c.job_id, job_runs.c.slot_at)
    )
    found: dict[tuple[int, int], Any] = {}
    for row in tx.conn.execute(query).all():
        key = (row.pid, row.id)
        if _is_held(row, on_postgres=tx.on_postgres, node_id=node_id, now=now):
            found[key] = None
        else:
            found.setdefault(key, row)
    return [
        claimed
        for row in found.values()
        if row is not None and (claimed := _claim(tx, row, kinds[row.kind], node_id=node_id, now=now, ids=ids))
    ]


def _is_held(row: Any, *, on_postgres: bool, node_id: int, now: datetime) -> bool:
    if row.epoch == 0 or row.lease_until < now:
        return False
    # One process owns a SQLite file: whoever else held a run there is dead.
    return on_postgres or row.node_id == node_id


def _claim(tx: Tx, row: Any, kind: JobKind, *, node_id: int, now: datetime, ids: IdSource) -> Claim | None:
    mine = Claim(pid=row.pid, job_id=row.id, kind=row.kind, slot_at=row.slot_at, epoch=row.epoch + 1)
    update = (
        sa.update(job_runs)
        .where(*_is(mine), job_runs.c.epoch == row.epoch, job_runs.c.ended_at.is_(None))
        .values(
            epoch=mine.epoch,
            node_id=node_id,
            lease_until=now + LEASE,
            started_at=row.started_at or now,
        )
    )
    if tx.conn.execute(update).rowcount != 1:
        return None
    provide_check(tx, row, kind, now=now, ids=ids)
    return mine


def holds(tx: Tx, mine: Claim) -> bool:
    """Whether the slot is ours still; on PostgreSQL it stays so until this transaction ends."""
    query = sa.select(job_runs.c.epoch, job_runs.c.ended_at).where(*_is(mine))
    row = tx.conn.execute(query.with_for_update(read=True) if tx.on_postgres else query).first()
    return row is not None and row.epoch == mine.epoch and row.ended_at is None


def renew(tx: Tx, mine: Claim, *, now: datetime) -> bool:
    """False: somebody else has it."""
    update = sa.update(job_runs).where(*_is(mine), job_runs.c.epoch == mine.epoch, job_runs.c.ended_at.is_(None))
    return tx.conn.execute(update.values(lease_until=now + LEASE)).rowcount == 1


def finish(tx: Tx, mine: Claim, done: Done, *, now: datetime) -> bool:
    """Write the outcome, with whatever is to be written together with it. False: somebody else has the slot."""
    update = (
        sa.update(job_runs)
        .where(*_is(mine), job_runs.c.epoch == mine.epoch, job_runs.c.ended_at.is_(None))
        .values(
            ended_at=now,
            lease_until=None,
            outcome="failed" if done.failure else "ok",
            figures=dict(done.figures),
            words=done.failure,
        )
    )
    if tx.conn.execute(update).rowcount != 1:
        return False
    if done.closing is not None:
        done.closing(tx)
    return True


def release(tx: Tx, *, node_id: int, now: datetime) -> None:
    """We leave: what we did not end is anybody's from now on."""
    mine = (job_runs.c.node_id == node_id, job_runs.c.ended_at.is_(None), job_runs.c.end_pinged_at.is_(None))
    tx.conn.execute(sa.update(job_runs).where(*mine).values(lease_until=now - timedelta(microseconds=1)))


def _is(mine: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return job_runs.c.pid == mine.pid, job_runs.c.job_id == mine.job_id, job_runs.c.slot_at == mine.slot_at
