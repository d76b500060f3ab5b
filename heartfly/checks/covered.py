"""What the runs of a check covered, read for people: spans, gaps, overlaps. The rule is core/coverage.py's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.config import gates_of
from heartfly.checks.past_figures import covered_spans
from heartfly.core.coverage import MOST, Coverage, Span, coverage
from heartfly.core.gates import Level, Op


@dataclass(frozen=True, slots=True)
class Covered:
    """`level`: of the gate that judges it; None: nothing raises. `whole`: older runs than these said nothing of it."""

    coverage: Coverage
    level: Level | None
    n_runs: int
    whole: bool


async def covered(read: AsyncConnection, row: Row[Any]) -> Covered:
    """`row`: of the check."""
    found = (await read.execute(covered_spans(row.pid, row.id))).all()
    levels = [gate.level for gate in gates_of(row.gates) if gate.op is Op.UNBROKEN]
    return Covered(
        coverage=coverage(Span(one.covers_from, one.covers_to) for one in found),
        level=(Level.FAIL if Level.FAIL in levels else Level.WARN) if levels else None,
        n_runs=len(found),
        whole=len(found) < MOST,
    )


async def covered_until(read: AsyncConnection, pid: int, check_id: int | None) -> datetime | None:
    """Where the newest that its runs covered ends; None: they have said nothing yet."""
    if check_id is None:
        return None
    row = (await read.execute(covered_spans(pid, check_id).limit(1))).first()
    return None if row is None else row.covers_to
