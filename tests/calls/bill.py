"""A project that calls other people's APIs, in a test: calls come in, are priced and folded, and are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from heartfly.calls.asked import Line
from heartfly.core.amounts import decimal_of
from heartfly.core.calls import Dimension
from heartfly.core.money import money_text, rate
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import call_rollups, price_books, prices
from heartfly.usage.call_prices import mark_priced
from tests.calls.oracle import Call, Sums, Tariff
from tests.sim_clock import SimClock
from tests.usage.factory import NOW, PID, Plant

FROM = datetime(2026, 11, 26, 21, 15, tzinfo=UTC)
TO = datetime(2026, 11, 28, 7, 45, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Bill(Plant):
    async def call(self, *calls: Call) -> None:
        for start in range(0, len(calls), 100):
            await self.ingest.take(PID, [one.wire() for one in calls[start : start + 100]], wire="native")

    async def price(self, *tariffs: Tariff) -> None:
        """The project's prices from now on. What is folded is to be folded anew."""

        def work(tx: Tx) -> None:
            seq = self.ids.next(NOW)
            tx.conn.execute(sa.delete(prices).where(prices.c.pid == PID))
            rows = [self._row(one) for one in tariffs]
            if rows:
                tx.conn.execute(sa.insert(prices), rows)
            tx.conn.execute(sa.delete(price_books).where(price_books.c.pid == PID))
            tx.conn.execute(sa.insert(price_books).values(pid=PID, seq=seq, changed_at=NOW))
            mark_priced(tx, PID, from_at=None, to_at=None, seq=seq)

        await self.usage.write(work)

    def _row(self, one: Tariff) -> dict[str, Any]:
        return {
            "pid": PID,
            "id": self.ids.next(NOW),
            "provider": one.provider,
            "product": one.product,
            "unit": one.unit,
            "tier": one.tier,
            "condition": "" if one.above is None else f"above_{one.above}_tokens",
            "from_at": one.from_at,
            "to_at": one.to_at,
            "amount": rate(one.amount),
            "currency": one.currency,
            "source": "hand",
            "created_at": NOW,
        }

    async def ask(self, question: Any, *given: Any, **more: Any) -> Any:
        async with self.usage.read() as read:
            return await question(read, PID, *given, **more)

    async def call_rows(self) -> list[tuple[Any, ...]]:
        """All of calls that was folded, without the number of its generation."""
        columns = [column for column in call_rollups.c if column.name != "gen"]
        async with self.usage.read() as read:
            query = sa.select(*columns).order_by(*call_rollups.primary_key.columns)
            return [tuple(row) for row in await read.execute(query)]


def make_bill(usage_db: Database, ids: IdSource) -> Bill:
    return Bill(usage_db, SimClock(NOW), ids)


Told = tuple[Any, ...]


def told(line: Line) -> Told:
    figures = line.figures
    return (
        *(figures.n, figures.n_errors, figures.n_unpriced, figures.n_odd),
        {kind: decimal_of(amount) for kind, amount in figures.units.items()},
        {currency: Decimal(money_text(money)) for currency, money in figures.cost.items()},
        {currency: Decimal(money_text(money)) for currency, money in figures.given.items()},
        dict(figures.unpriced),
        *(figures.times.n_timed, figures.times.latency_us, figures.times.latency_max_us, figures.times.latencies.n),
    )


def expected(sums: Sums) -> Told:
    return (
        *(sums.n, sums.errors, sums.unpriced, sums.odd, sums.units, sums.cost, sums.given, sums.kinds),
        *(len(sums.us), sum(sums.us), max(sums.us, default=0), len(sums.us)),
    )


def by_key(lines: Sequence[Line], by: Sequence[Dimension]) -> Mapping[tuple[str, ...], Told]:
    return {tuple(line.key[one] for one in by): told(line) for line in lines}


@contextmanager
def readings() -> Iterator[list[str]]:
    """Statements that read what events tell."""
    said: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if "properties" in statement and statement.startswith("SELECT"):
            said.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
