"""What a run tells its check, by the ordinary path of pings: that it began, and how it ended, with its figures.

A ping follows from the committed row, and is written in one transaction with the mark that it was made. So a crash
at any moment leaves both or neither, and what is not marked is told by whoever looks next.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from heartfly import __version__
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.models import checks, job_runs, jobs
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import ByUuid, PingRequest

_SPACE = uuid.UUID("5a1c2f0e-7d0b-4c8e-9b7e-3d1f6c2a9e40")
"""Run ids are made of job and slot: a start that is told again after a crash is the same start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A ping that is to be made: where to, of which kind, and what it says."""

    pid: int
    job_id: int
    slot_at: datetime
    ping_uuid: str | None
    kind: PingKind
    figures: dict[str, int | float | str]
    words: str
    client_at: datetime | None


def untold_starts(tx: Tx, *, node_id: int) -> list[Untold]:
    query = _query().where(
        job_runs.c.node_id == node_id, job_runs.c.ended_at.is_(None), job_runs.c.start_pinged_at.is_(None)
    )
    return [_untold(row, PingKind.START) for row in tx.conn.execute(query)]


def untold_ends(tx: Tx) -> list[Untold]:
    query = _query().where(job_runs.c.ended_at.is_not(None))
    return [
        _untold(row, PingKind.FAIL if row.outcome == "failed" else PingKind.SUCCESS) for row in tx.conn.execute(query)
    ]


def _query() -> sa.Select[Any]:
    of_job = sa.and_(jobs.c.pid == job_runs.c.pid, jobs.c.id == job_runs.c.job_id)
    of_check = sa.and_(checks.c.pid == jobs.c.pid, checks.c.id == jobs.c.check_id)
    return (
        sa.select(job_runs, checks.c.ping_uuid)
        .join(jobs, of_job)
        .outerjoin(checks, of_check)
        .where(job_runs.c.end_pinged_at.is_(None))
        .order_by(job_runs.c.slot_at)
    )


def _untold(row: Any, kind: PingKind) -> Untold:
    return Untold(
        pid=row.pid,
        job_id=row.job_id,
        slot_at=row.slot_at,
        ping_uuid=row.ping_uuid,
        kind=kind,
        figures=row.figures,
        words=row.words,
        client_at=row.started_at if kind is PingKind.START else row.ended_at,
    )


async def tell(ingest: Ingest, untold: Untold) -> bool:
    """Make the ping and its mark. False: somebody else has made it."""
    target = ByUuid(untold.ping_uuid or "")
    seq, now = ingest.arrived(target)
    try:
        body = _body(untold)
        request = PingRequest(
            target=target,
            kind=untold.kind,
            received_at=now,
            seq=seq,
            rid=str(uuid.uuid5(_SPACE, f"{untold.job_id} {untold.slot_at.isoformat()}")),
            method="POST",
            scheme="job",
            agent=f"Heartfly/{__version__}",
            body=body,
            body_size=len(body),
            metrics={
                name: Decimal(str(value)) for name, value in untold.figures.items() if isinstance(value, int | float)
            },
            client_at=untold.client_at,
        )
        return await ingest.submit_if(request, lambda tx: _mark(tx, untold, now))
    finally:
        ingest.gone(seq)


def _body(untold: Untold) -> bytes:
    lines = [untold.words] if untold.words else []
    lines += [f"{name}={value}" for name, value in untold.figures.items()]
    return "\n".join(lines).encode()


def _mark(tx: Tx, untold: Untold, now: datetime) -> bool:
    column = job_runs.c.start_pinged_at if untold.kind is PingKind.START else job_runs.c.end_pinged_at
    update = sa.update(job_runs).where(
        job_runs.c.pid == untold.pid,
        job_runs.c.job_id == untold.job_id,
        job_runs.c.slot_at == untold.slot_at,
        column.is_(None),
    )
    return tx.conn.execute(update.values({column: now})).rowcount == 1
