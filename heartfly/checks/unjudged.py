"""When checks that maintenance leaves unjudged now are expected, and when silence counts against them.

For pages and the API: what is stored of them says it as if there were no maintenance. core/unjudged.py works it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.queries import is_late
from heartfly.checks.rows import check_of, run_of
from heartfly.core.silence import Effect, Span
from heartfly.core.unjudged import after_windows, expected_after, is_excused
from heartfly.core.values import Check, Run
from heartfly.db.models import checks, runs
from heartfly.notify.silences import Running, in_force


def unjudged_in(over: Sequence[Running]) -> list[Span]:
    """The present spans of those that leave what they cover unjudged."""
    return [one.span for one in over if one.silence.effect is Effect.IGNORE]


@dataclass(frozen=True, slots=True)
class Left:
    """What its windows leave of a check: when it is expected, and when silence counts."""

    expected_at: datetime | None
    goes_down_at: datetime | None


async def as_left(
    read: AsyncConnection, pid: int, rows: Sequence[Any], windows: Mapping[int, Sequence[Span]]
) -> dict[int, Left]:
    """By the id of the check, of those that have windows. `rows`: of `checks`; `windows`: by the id, too."""
    left = [row for row in rows if windows.get(row.id)]
    at_work: dict[int, list[Run]] = {row.id: [] for row in left if row.n_open_runs}
    if at_work:
        query = sa.select(runs).where(runs.c.pid == pid, runs.c.check_id.in_(list(at_work)), runs.c.outcome.is_(None))
        by_index = query.with_hint(runs, "INDEXED BY ix_runs_open", "sqlite")
        for run in await read.execute(by_index.order_by(runs.c.started_at)):
            at_work[run.check_id].append(run_of(run))
    return {row.id: _left(check_of(row, tuple(at_work.get(row.id, ()))), windows[row.id]) for row in left}


def _left(check: Check, windows: Sequence[Span]) -> Left:
    return Left(expected_after(check, windows), after_windows(check, windows).goes_down_at)


@dataclass(frozen=True, slots=True)
class Excused:
    """Checks whose time has passed and that are not late all the same, at least until then. Mostly there is none."""

    ids: frozenset[int] = frozenset()
    until: datetime | None = None


NOBODY = Excused()


async def excused(read: AsyncConnection, pid: int, *, now: datetime) -> Excused:
    present = [(one, one.span_at(now)) for one in await in_force(read, pid, now=now) if one.effect is Effect.IGNORE]
    running = [(one, span) for one, span in present if span is not None]
    if not running:
        return NOBODY
    c = checks.c
    late = sa.select(c.id, c.uuid, c.tags, c.expected_at, c.goes_down_at).where(c.pid == pid, is_late(now))
    found: set[int] = set()
    for row in await read.execute(late):
        windows = [span for one, span in running if one.covers_check(row.uuid, row.tags)]
        if is_excused(row.expected_at, row.goes_down_at, windows):
            found.add(row.id)
    return Excused(frozenset(found), min(span.to_at for _, span in running))
