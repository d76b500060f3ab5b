"""How much of each limit is used, in each of its scopes, as of now: rates, quotas and money (limits/queries.py).

A name picks them by what they limit: `cost` those of money, `rate` all others, nothing all. What was used is not kept
over time, so that there is no past to compare with, nor to look back on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any, ClassVar

import sqlalchemy as sa
from typing_extensions import override

from heartfly.core.alert_rules import Family, Scope
from heartfly.core.limits.ledger import Ledger, Standing
from heartfly.core.limits.rules import COST
from heartfly.core.limits.words import described
from heartfly.core.windows import Window
from heartfly.db.models import limit_counters, limits
from heartfly.db.types import micros
from heartfly.limits.book import Rules, limit_of, rules_of
from heartfly.limits.rows import values_of
from heartfly.rules.figures import Row, Table
from heartfly.rules.sources.base import MOST_SCOPES, Reads, Source, What

OF_COST = "cost"
_PERCENT = 100


class Limits(Source):
    of: ClassVar[Family] = Family.LIMITS
    has_past: ClassVar[bool] = False

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        """The fullest scopes of all limits that people made and that hold now: what a budget stops, it tells itself.
        Each is a scope of its own: a limit and whom it counts.
        """
        c = limits.c
        now = sa.select(limits).where(c.pid == reads.pid, c.active.is_(True), c.source == "")
        rows = (await reads.usage.execute(now)).all()
        wanted = {row.id: row for row in rows if what.detail == "" or _kind(row.unit) == what.detail}
        c = limit_counters.c
        query = sa.select(c.limit_id, c.scope, c.state).where(
            c.pid == reads.pid, c.limit_id.in_(list(wanted)), c.ends_at > reads.now
        )
        found = await reads.usage.execute(query.order_by(c.level.desc(), c.limit_id, c.scope).limit(MOST_SCOPES))
        rules = rules_of(0, list(wanted.values()))
        table: dict[Scope, Row] = {}
        for one in found:
            row, values = wanted[one.limit_id], values_of(one.scope)
            standing = _standing(rules, row, values, one.state, reads.now)
            scope: Scope = (row.uuid if not values else f"{row.uuid} {' '.join(values)}",) if what.dims else ()
            most = standing.applied.limit.most
            used = Fraction(standing.used * _PERCENT, most) if most else Fraction(_PERCENT if standing.used else 0)
            told = Row(n=1, value=used, adds=False, names=(_name(row, values),) if what.dims else ())
            if scope in table:
                table[scope].merge(told)
            else:
                table[scope] = told
        return table

    @override
    async def series(self, reads: Reads, what: What, windows: Sequence[Window]) -> Sequence[Table]:
        return [{} for _ in windows]

    @override
    async def first_at(self, reads: Reads) -> datetime | None:
        return None


def _kind(unit: str) -> str:
    return OF_COST if unit.startswith(COST) else "rate"


def _standing(rules: Rules, row: Any, values: tuple[str, ...], state: str, now: datetime) -> Standing:
    limit = limit_of(row)
    ledger = Ledger(rules.bounds, micros(now), {(limit.id, values): state})
    return ledger.standing(limit, values)


def _name(row: Any, values: tuple[str, ...]) -> str:
    limit = limit_of(row)
    name = row.name or described(limit)
    return f"{name}: {' '.join(values)}" if values else str(name)
