"""What history says to a signal that came out of order. Asked only for those, so it may cost queries.

Each start of a run with an id asks whether that has ended already: of a batch they all ask at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from heartfly.checks.flips import Taken
from heartfly.checks.rows import Stored, run_of
from heartfly.core.check import END_REMEMBERED
from heartfly.core.tolerance import NO_TOLERANCE
from heartfly.core.values import Past, Run, Signal
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from heartfly.db.changes import Tx
from heartfly.db.models import flips, runs
from heartfly.db.prepared import Prepared, among

_LONGEST = timedelta(days=4)
"""Runs that began longer ago are not looked for."""
_MOST_IN_ROW = 200


class Ended:
    """Which runs with an id have ended, of those that signals of a batch name: read when the first of them asks."""

    def __init__(self, tx: Tx, named: Iterable[tuple[Stored, str, datetime]]) -> None:
        """`named`: each run's check, its id, and when the signal came. Read no further than the first question."""
        self._tx = tx
        self._named = named
        self._found: dict[tuple[int, str], list[tuple[datetime, datetime]]] | None = None

    def is_known(self, check: Stored, signal: Signal, recent: Iterable[Run]) -> bool:
        """Whether the run that the signal names has ended, lately. `recent`: what is not in the database yet."""
        assert signal.rid is not None
        ends = [
            (run.ended_at, run.started_at or run.ended_at) for run in recent if run.rid == signal.rid and run.ended_at
        ]
        if self._found is None:
            self._found = self._read()
        ends += self._found.get((check.id, signal.rid), ())
        return any(end >= signal.at - END_REMEMBERED and at >= signal.at - _LONGEST for end, at in ends)

    def _read(self) -> dict[tuple[int, str], list[tuple[datetime, datetime]]]:
        named = list(self._named)
        oldest = min(at for _, _, at in named)
        rows = _ENDED.rows(
            self._tx,
            pids=list({check.pid for check, _, _ in named}),
            ids=list({check.id for check, _, _ in named}),
            rids=list({rid for _, rid, _ in named}),
            ended_since=oldest - END_REMEMBERED,
            since=oldest - _LONGEST,
        )
        found: dict[tuple[int, str], list[tuple[datetime, datetime]]] = {}
        for row in rows:
            found.setdefault((row.check_id, row.rid), []).append((row.ended_at, row.at))
        return found


def _ended(tx: Tx) -> sa.Select[Any]:
    """By their ids and ends, or SQLite would read all runs of the check."""
    query = sa.select(runs.c.check_id, runs.c.rid, runs.c.ended_at, runs.c.at).where(
        among(tx, runs.c.pid, "pids"),
        among(tx, runs.c.check_id, "ids"),
        among(tx, runs.c.rid, "rids"),
        runs.c.ended_at >= sa.bindparam("ended_since", type_=runs.c.ended_at.type),
        runs.c.at >= sa.bindparam("since", type_=runs.c.at.type),
    )
    return query.with_hint(runs, "INDEXED BY ix_runs_rid", "sqlite")


_ENDED = Prepared(_ended)


def past_of(tx: Tx, check: Stored, signal: Signal, mine: Sequence[Taken], ended: Ended) -> Past:
    """`mine`: the steps that this check took in this batch, which are not in the database yet."""
    recent = [run for one in mine for run in one.step.runs]
    if signal.kind is PingKind.START:
        return Past(
            rid_ended=signal.rid is not None and ended.is_known(check, signal, recent),
            newer_anonymous_end=signal.rid is None and _newer_anonymous_end(tx, check, signal, recent),
            status_at=_status_at(tx, check, signal, mine) if check.check.status is Status.DOWN else None,
        )
    row, goes_on = _bad_row(tx, check, signal, recent)
    return Past(
        status_at=_status_at(tx, check, signal, mine),
        bad_row=row,
        row_goes_on=goes_on,
        hung_run=_hung_run(tx, check),
        hung_since=_hung_since(tx, check),
    )


def _status_at(tx: Tx, check: Stored, signal: Signal, mine: Sequence[Taken]) -> Status:
    for one in reversed(mine):
        for flip in reversed(one.step.flips):
            if flip.at <= signal.at:
                return flip.to_status
    found = _STATUS_AT.rows(tx, pid=check.pid, check_id=check.id, at=signal.at)
    return Status(found[0].to_status) if found else Status.NEW


def _select_status(_: Tx) -> sa.Select[Any]:
    return (
        sa.select(flips.c.to_status)
        .where(
            flips.c.pid == sa.bindparam("pid"),
            flips.c.check_id == sa.bindparam("check_id"),
            flips.c.at <= sa.bindparam("at", type_=flips.c.at.type),
        )
        .order_by(flips.c.flip_no.desc())
        .limit(1)
    )


_STATUS_AT = Prepared(_select_status)
"""Of two nodes that bring back what came to the same checks meanwhile, half of it asks this."""

_BAD = frozenset({RunOutcome.FAILED, RunOutcome.HUNG, RunOutcome.MISSED})
_COUNTED = _BAD | {RunOutcome.OK, RunOutcome.DEGRADED}


def _bad_row(tx: Tx, check: Stored, signal: Signal, recent: Sequence[Run]) -> tuple[int, bool]:
    """How many failures and misses stand right before and after this signal, and whether they go on until now."""
    if check.check.rules.tolerance is NO_TOLERANCE:
        return 0, False
    mine = (runs.c.pid == check.pid, runs.c.check_id == check.id, runs.c.outcome.in_(_COUNTED))
    # By their end, or by the slot in which none came; a run that hung has neither, and stands by its start.
    at = sa.func.coalesce(runs.c.ended_at, runs.c.slot_at, runs.c.started_at)
    near = (runs.c.at >= signal.at - _LONGEST, *mine)
    query = sa.select(runs.c.id, at.label("at"), runs.c.outcome).where(*near).order_by(at.desc(), runs.c.id.desc())
    known = {row.id: (row.at, RunOutcome(row.outcome)) for row in tx.conn.execute(query.limit(_MOST_IN_ROW))}
    for run in recent:
        when = run.ended_at or run.slot_at or run.started_at
        if run.outcome in _COUNTED and when is not None and run.outcome is not None:
            known[run.id] = (when, run.outcome)
    outcomes = sorted(known.values(), key=lambda one: one[0])
    before = [outcome in _BAD for when, outcome in outcomes if when <= signal.at]
    after = [outcome in _BAD for when, outcome in outcomes if when > signal.at]
    n_after = sum(1 for _ in takewhile(bool, after))
    return sum(1 for _ in takewhile(bool, reversed(before))) + n_after, n_after == len(after)


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
