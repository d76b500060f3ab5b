"""How the newest runs of many checks went, and how long the last one took beside what is usual: a line of the list.

Of each check the database walks down the index of its runs and hands over one text, so that a thousand checks are a
thousand rows, not thirty thousand.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median_low

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.words import RunOutcome
from heartfly.db.models import checks, runs

MOST = 30
KNOWN_FROM = 5
"""Of fewer runs that went well nothing is usual."""
_AT_ONCE = 500
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


def _parsed(said: str) -> Recent:
    newest = [(_BY_LETTER[one[0]], int(one[1:]) if one[1:] else None) for one in said.split(" ")]
    took = next((took for _, took in newest if took is not None), None)
    well = [took for outcome, took in newest if outcome is RunOutcome.OK and took is not None]
    return Recent(
        outcomes=tuple(outcome for outcome, _ in reversed(newest)),
        took_us=took,
        usual_us=median_low(well) if len(well) >= KNOWN_FROM else None,
    )
