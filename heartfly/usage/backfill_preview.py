"""What closing a backfill would change: by day, meter and customer, what it comes to now and what it would come to.

How figures change is worked out in changed_figures.py. Runs in the process beside (hands.py), and only reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.db.models import backfill_events, events
from heartfly.db.snapshots import Place, snapshot
from heartfly.errors import NotFoundError
from heartfly.usage.backfill_plan import COMING, Outcome, Scope, outcome, scope_of, taken, the_set
from heartfly.usage.backfills import demand_few_replaced
from heartfly.usage.changed_figures import MOST_ITEMS, Change, Comparison, Row

_PAGE = 5_000


@dataclass(slots=True)
class Foreseen:
    """`counts`: events by what would become of them, and how many of those that count would be `replaced`.

    `more`: changes that are left out of `changes`.
    """

    counts: dict[str, int]
    changes: list[Change] = field(default_factory=list)
    more: int = 0


def foresee(place: Place, pid: int, public_id: str, zone: str) -> Foreseen:
    """Days are those of `zone`. NotFoundError; ConflictError: it would replace too many."""
    with snapshot(place) as connection:
        row = connection.execute(the_set(pid, public_id)).first()
        if row is None:
            raise NotFoundError("there is no such backfill")
        if row.state != "open":
            return Foreseen(dict(row.counts))
        scope = scope_of(connection, row)
        demand_few_replaced(connection, scope)
        return _Preview(connection, scope, ZoneInfo(zone)).told()


class _Preview:
    def __init__(self, connection: sa.Connection, scope: Scope, zone: ZoneInfo) -> None:
        self._connection = connection
        self._scope = scope
        self._comparison = Comparison(connection, scope.pid, zone)

    def told(self) -> Foreseen:
        counts = {one.value: 0 for one in Outcome}
        coming: list[Row] = []
        stays: set[int] = set()
        changed: set[int] = set()
        for one in self._decided():
            counts[one.outcome] += 1
            if one.outcome == Outcome.SAME:
                stays.add(one.event_id)
            if one.outcome == Outcome.CHANGED:
                changed.add(one.event_id)
            if one.outcome in COMING:
                coming.append((one.at, one.event_id, *one[4:]))
        going = {one.id: (one.at, one.subject_id) for one in self._in_scope() if one.id not in stays}
        counts["replaced"] = len(going.keys() - changed)
        found = self._comparison.changes(coming, going)
        return Foreseen(counts, found[:MOST_ITEMS], max(0, len(found) - MOST_ITEMS))

    def _decided(self) -> Iterator[Any]:
        b = backfill_events.c
        query = sa.select(
            outcome(self._scope).label("outcome"),
            sa.func.coalesce(taken(), b.id).label("event_id"),
            b.id,
            b.at,
            b.type_id,
            b.subject_id,
            b.transaction_id,
            b.properties,
        ).where(self._scope.of_set())
        yield from self._connection.execution_options(yield_per=_PAGE).execute(query)

    def _in_scope(self) -> Sequence[Any]:
        return self._connection.execute(
            sa.select(events.c.id, events.c.at, events.c.subject_id).where(self._scope.holds())
        ).all()
