"""What a check's history says to its gates: the figures of runs that went well, and what runs covered.

Read only for checks whose gates ask for it, in a bounded number of rows, down an index. What it means is decided in
core/baseline.py and core/coverage.py. Runs that failed or were degraded are no measure of what is usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core import baseline, coverage
from heartfly.core.coverage import Span
from heartfly.core.gates import Gate, Known, PastRun, asked_names, asks_coverage
from heartfly.core.values import Run
from heartfly.core.words import RunOutcome
from heartfly.db.changes import Tx
from heartfly.db.models import run_metrics, runs

Figures = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Asked:
    """What gates ask of history. `since` None: any time."""

    names: frozenset[str]
    usual: bool
    covered: bool
    since: datetime | None
    most: int


def asked_of(gates: Sequence[Gate], at: datetime) -> Asked:
    usual = [gate.usual for gate in gates if gate.usual is not None]
    starts = [baseline.earliest(one, at) for one in usual]
    return Asked(
        names=asked_names(gates),
        usual=bool(usual),
        covered=asks_coverage(gates),
        since=None if None in starts else min((one for one in starts if one is not None), default=None),
        # Among the last runs some may have failed.
        most=min(baseline.MOST, max((baseline.MOST if one.weeks else 3 * one.runs for one in usual), default=0)),
    )


def known_in(
    tx: Tx, pid: int, check_id: int, gates: Sequence[Gate], *, at: datetime, fresh: Sequence[tuple[Run, Figures]] = ()
) -> Known:
    """`fresh`: runs of this transaction and their figures, which are not in the database yet."""
    asked = asked_of(gates, at)
    found = tx.conn.execute(_runs(pid, check_id, asked)).all() if asked.usual else []
    ids = _went_well(found)
    figures = tx.conn.execute(_figures(pid, check_id, asked.names, min(ids))).all() if ids and asked.names else []
    covered = tx.conn.execute(covered_spans(pid, check_id)).all() if asked.covered else []
    return Known(
        runs=[*_past_runs(found, figures), *past_runs_of(fresh)],
        covered=[*_spans(covered), *(run.covers for run, _ in fresh if run.covers is not None)],
    )


def past_runs_of(found: Iterable[tuple[Run, Figures]]) -> list[PastRun]:
    return [
        PastRun(run.ended_at, metrics, run.duration)
        for run, metrics in found
        if run.outcome is RunOutcome.OK and run.ended_at is not None
    ]


async def known_to(read: AsyncConnection, pid: int, check_id: int, gates: Sequence[Gate], *, at: datetime) -> Known:
    """As it was for a run that ended at `at`."""
    asked = asked_of(gates, at)
    found = (await read.execute(_runs(pid, check_id, asked))).all() if asked.usual else []
    ids = _went_well(found)
    figures: Sequence[Row[Any]] = []
    if ids and asked.names:
        figures = (await read.execute(_figures(pid, check_id, asked.names, min(ids)))).all()
    covered = (await read.execute(covered_spans(pid, check_id))).all() if asked.covered else []
    return Known(runs=_past_runs(found, figures), covered=_spans(one for one in covered if one.ended_at < at))


def covered_spans(pid: int, check_id: int) -> sa.Select[Any]:
    """The newest spans."""
    return (
        sa.select(runs.c.id, runs.c.covers_from, runs.c.covers_to, runs.c.ended_at)
        .where(runs.c.pid == pid, runs.c.check_id == check_id, runs.c.covers_to.is_not(None))
        .order_by(runs.c.covers_to.desc())
        .limit(coverage.MOST)
    )


def span_of(row: Any) -> Span | None:
    return None if row.covers_from is None else Span(row.covers_from, row.covers_to)


def _runs(pid: int, check_id: int, asked: Asked) -> sa.Select[Any]:
    query = sa.select(runs.c.id, runs.c.ended_at, runs.c.outcome, runs.c.duration_us).where(
        runs.c.pid == pid, runs.c.check_id == check_id
    )
    if asked.since is not None:
        query = query.where(runs.c.at >= asked.since)
    return query.order_by(runs.c.at.desc()).limit(asked.most)


def _figures(pid: int, check_id: int, names: Iterable[str], first: int) -> sa.Select[Any]:
    return sa.select(run_metrics.c.run_id, run_metrics.c.name, run_metrics.c.value).where(
        run_metrics.c.pid == pid,
        run_metrics.c.check_id == check_id,
        run_metrics.c.name.in_(sorted(names)),
        run_metrics.c.run_id >= first,
    )


def _went_well(found: Iterable[Row[Any]]) -> list[int]:
    return [row.id for row in found if row.outcome == RunOutcome.OK.value]


def _past_runs(found: Sequence[Row[Any]], figures: Iterable[Row[Any]]) -> list[PastRun]:
    of_run: dict[int, dict[str, Decimal]] = {}
    for one in figures:
        of_run.setdefault(one.run_id, {})[one.name] = one.value
    past = [
        PastRun(row.ended_at, of_run.get(row.id, {}), _lasted(row.duration_us))
        for row in found
        if row.outcome == RunOutcome.OK.value
    ]
    return sorted(past, key=lambda run: run.at)


def _lasted(microseconds: int | None) -> timedelta | None:
    return None if microseconds is None else timedelta(microseconds=microseconds)


def _spans(found: Iterable[Row[Any]]) -> list[Span]:
    return [Span(row.covers_from, row.covers_to) for row in found]
