"""How the newest runs of many checks went, and how long the last one took beside what is usual: a line of the list.

Of each check the database walks down the index of its runs and hands over one text, so that a thousand checks are a
thousand rows, not thirty thousand. What was read is kept until the check's revision is another: no run begins or ends
without one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.words import RunOutcome
from heartfly.db.models import checks, runs

MOST = 30
KNOWN_FROM = 5
"""Of fewer runs that went well nothing is usual."""
_AT_ONCE = 500
MOST_KEPT = 5_000
"""Checks: some megabytes."""
_BY_LETTER = {outcome.value[0]: outcome for outcome in RunOutcome}


@dataclass(frozen=True, slots=True)
class Recent:
    """`outcomes`: of the newest runs that have ended or were missed, the oldest first. `took_us`: how long the newest
    of those took that had a start. `usual_us`: the median of those that went well; None: too few.
    """

    outcomes: tuple[RunOutcome, ...] = ()
    took_us: int | None = None
    usual_us: int | None = None

    @property
    def is_unusual(self) -> bool:
        """Twice as long, or half."""
        if self.took_us is None or not self.usual_us:
            return False
        return not self.usual_us < 2 * self.took_us < 4 * self.usual_us


NONE = Recent()


def _newest() -> sa.ScalarSelect[str]:
    """`o1500000 m f20` of a run that took 1.5 s, a slot that was missed, and a failure: the newest first."""
    took = sa.func.coalesce(sa.cast(runs.c.duration_us, sa.Text), "")
    newest = (
        sa.select((sa.func.substr(runs.c.outcome, 1, 1) + took).label("said"))
        .where(runs.c.pid == checks.c.pid, runs.c.check_id == checks.c.id, runs.c.outcome.is_not(None))
        .order_by(runs.c.at.desc(), runs.c.id.desc())
        .limit(MOST)
        .correlate(checks)
        .subquery()
    )
    # Both databases put together what they are given in the order in which it comes.
    return sa.select(sa.func.aggregate_strings(newest.c.said, " ")).scalar_subquery()


_QUERY = sa.select(checks.c.id, _newest())


async def recent_of(read: AsyncConnection, pid: int, check_ids: Collection[int]) -> dict[int, Recent]:
    """One for each of them."""
    found: dict[int, Recent] = {}
    asked = sorted(check_ids)
    for start in range(0, len(asked), _AT_ONCE):
        query = _QUERY.where(checks.c.pid == pid, checks.c.id.in_(asked[start : start + _AT_ONCE]))
        for check_id, said in await read.execute(query):
            found[check_id] = _parsed(said) if said else NONE
    return {check_id: found.get(check_id, NONE) for check_id in asked}


@dataclass(slots=True)
class Known:
    """What was read, of the checks that were asked for last."""

    _kept: dict[int, tuple[int, Recent]] = field(default_factory=dict)

    async def of(self, read: AsyncConnection, pid: int, rows: Sequence[Any]) -> dict[int, Recent]:
        """`rows`: checks of the project, as this `read` sees them."""
        stale = [row.id for row in rows if (kept := self._kept.get(row.id)) is None or kept[0] != row.rev]
        fresh = await recent_of(read, pid, stale) if stale else {}
        found: dict[int, Recent] = {}
        for row in rows:
            # Put in anew, so that those come first that were not asked for in the longest time.
            kept = self._kept.pop(row.id, None)
            found[row.id] = fresh[row.id] if row.id in fresh or kept is None else kept[1]
            self._kept[row.id] = (row.rev, found[row.id])
        for check_id in list(self._kept)[: max(0, len(self._kept) - MOST_KEPT)]:
            del self._kept[check_id]
        return found


def _parsed(said: str) -> Recent:
    newest = [(_BY_LETTER[one[0]], int(one[1:]) if one[1:] else None) for one in said.split(" ")]
    took = next((took for _, took in newest if took is not None), None)
    well = [took for outcome, took in newest if outcome is RunOutcome.OK and took is not None]
    return Recent(
        outcomes=tuple(outcome for outcome, _ in reversed(newest)),
        took_us=took,
        usual_us=median_low(well) if len(well) >= KNOWN_FROM else None,
    )
