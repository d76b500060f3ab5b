"""When silence counts against checks that maintenance leaves unjudged now, for lists; core/unjudged.py works it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.rows import check_of, run_of
from heartfly.core.silence import Effect, Span
from heartfly.core.unjudged import after_windows
from heartfly.core.values import Run
from heartfly.db.models import runs
from heartfly.notify.silences import Running


def unjudged_in(over: Sequence[Running]) -> list[Span]:
    """The present spans of those that leave what they cover unjudged."""
    return [one.span for one in over if one.silence.effect is Effect.IGNORE]


async def deadlines(
    read: AsyncConnection, pid: int, rows: Sequence[Any], windows: Mapping[int, Sequence[Span]]
) -> dict[int, datetime | None]:
    """By the id of the check, of those that have windows. `rows`: of `checks`; `windows`: by the id, too."""
    left = [row for row in rows if windows.get(row.id)]
    at_work: dict[int, list[Run]] = {row.id: [] for row in left if row.n_open_runs}
    if at_work:
        query = sa.select(runs).where(runs.c.pid == pid, runs.c.check_id.in_(list(at_work)), runs.c.outcome.is_(None))
        for run in await read.execute(query.order_by(runs.c.started_at)):
            at_work[run.check_id].append(run_of(run))
    return {
        row.id: after_windows(check_of(row, tuple(at_work.get(row.id, ()))), windows[row.id]).goes_down_at
        for row in left
    }
