"""What people may do with a job: ask for a run now. Which node runs it, and when, is decided in claims.py."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, record
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import job_runs, jobs
from heartfly.errors import ConflictError, NotFoundError
from heartfly.jobs.queries import uuid_of
from heartfly.jobs.slots import put


def ask_for_run(tx: Tx, pid: int, uuid: str, *, at: datetime, ids: IdSource, actor: Actor) -> None:
    """A run whose slot is now. ConflictError: the job is off, or a run of it waits or is under way."""
    query = sa.select(jobs).where(jobs.c.pid == pid, jobs.c.uuid == uuid_of(uuid))
    job = tx.conn.execute(query.with_for_update() if tx.on_postgres else query).first()
    if job is None:
        raise NotFoundError("there is no such job")
    if job.off is not None:
        raise ConflictError(f"{job.kind} does not run here: {job.off}")
    of_job = (job_runs.c.pid == pid, job_runs.c.job_id == job.id, job_runs.c.ended_at.is_(None))
    if tx.conn.execute(sa.select(job_runs.c.slot_at).where(*of_job).limit(1)).first() is not None:
        raise ConflictError(f"a run of {job.kind} is under way already")
    put(tx, pid, job.id, at, by_hand=True)
    record(
        tx, pid, actor=actor, action=Action.JOB_RUN, of=f"job:{job.uuid}",
        before={}, after={"kind": job.kind, "slot_at": at}, at=at, ids=ids,
    )  # fmt: skip
    tx.changes.jobs = True
