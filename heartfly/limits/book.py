"""The limits of a project as checks need them: read once, and again when their number in the database has changed.

Which of them hold for a call is decided in core/limits/rules.py, and remembered here for each call that comes again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from heartfly.core.limits.rules import Applied, Kind, Limit, Span, bounds, holding
from heartfly.core.limits.scope import Call, scope_of
from heartfly.db.changes import Tx
from heartfly.db.models import limits
from heartfly.db.prepared import Prepared
from heartfly.db.types import instant, micros

_MOST_CALLS = 20_000
_MOST_PROJECTS = 1_000


@dataclass(slots=True)
class Rules:
    """A project's limits at one time. `active`: in the order in which they were made; `rows`: all, by number."""

    rev: int
    rows: dict[int, Any]
    all: dict[int, Limit]
    active: Sequence[Limit]
    _known: dict[Call, Sequence[Applied]] = field(default_factory=dict)
    _windows: dict[int, tuple[int, int]] = field(default_factory=dict)

    def holding(self, call: Call) -> Sequence[Applied]:
        found = self._known.get(call)
        if found is None:
            if len(self._known) >= _MOST_CALLS:
                self._known.clear()
            found = self._known[call] = holding(self.active, call)
        return found

    def bounds(self, limit: Limit, now_us: int) -> tuple[int, int]:
        """As core.limits.rules.bounds, in microseconds; a window is looked up once while it lasts."""
        known = self._windows.get(limit.id)
        if known is None or not known[0] <= now_us < known[1]:
            from_at, to_at = bounds(limit, instant(now_us))
            known = self._windows[limit.id] = (micros(from_at), micros(to_at))
        return known


class Book:
    """For the writers of a process, each of which asks within its transaction, and for who cannot reach them."""

    def __init__(self) -> None:
        self._rules: OrderedDict[int, Rules] = OrderedDict()

    def current(self, tx: Tx, pid: int, rev: int) -> Rules:
        """`rev`: the number that its limits have in this transaction."""
        known = self._rules.get(pid)
        if known is not None and known.rev == rev:
            return known
        fresh = rules_of(rev, _LIMITS.rows(tx, pid=pid))
        tx.after.append(lambda: self._remember(pid, fresh))
        return fresh

    def remembered(self, pid: int) -> Rules | None:
        """As they were when somebody last asked. None: nobody has, or there are none."""
        return self._rules.get(pid)

    def _remember(self, pid: int, rules: Rules) -> None:
        self._rules[pid] = rules
        self._rules.move_to_end(pid)
        if len(self._rules) > _MOST_PROJECTS:
            self._rules.popitem(last=False)


def rules_of(rev: int, rows: Sequence[Any]) -> Rules:
    """`rows`: of the table `limits`."""
    by_id = {row.id: limit_of(row) for row in rows}
    return Rules(rev, {row.id: row for row in rows}, by_id, [by_id[row.id] for row in rows if row.active])


def limit_of(row: Any) -> Limit:
    return Limit(
        id=row.id,
        scope=scope_of(row.scope),
        unit=row.unit,
        kind=Kind(row.kind),
        amount=row.amount,
        period_us=row.period_us,
        burst=row.burst,
        span=Span(row.span) if row.span else None,
        zone=row.zone,
        from_at=row.from_at,
        to_at=row.to_at,
        always=row.always,
        opens=row.opens,
        approaching=row.approaching,
    )


_LIMITS = Prepared(lambda _: sa.select(limits).where(limits.c.pid == sa.bindparam("pid")).order_by(limits.c.id))
