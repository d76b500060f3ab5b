"""A project that serves requests, in a test: they come in, are folded, and are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from heartfly.audit.record import CLI
from heartfly.core.amounts import ONE, decimal_of
from heartfly.core.traffic import Figures
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.traffic.asked import Asked, ByStatus
from heartfly.usage.customers import create_customer
from tests.sim_clock import SimClock
from tests.traffic.oracle import Ended, Hit, Told
from tests.usage.factory import NOW, PID, Plant

ZONE = ZoneInfo("UTC")
FROM = datetime(2026, 11, 26, 21, 15, tzinfo=UTC)
TO = datetime(2026, 11, 28, 7, 45, tzinfo=UTC)


class City(Plant):
    async def sent(self, hits: Sequence[Hit]) -> None:
        for start in range(0, len(hits), 100):
            some: list[Any] = [one.wire() for one in hits[start : start + 100]]
            await self.ingest.take(PID, some, wire="native")

    async def customer(self, name: str, *aliases: str) -> str:
        def work(tx: Tx) -> str:
            return create_customer(tx, PID, name=name, wanted=aliases, actor=CLI, at=NOW, ids=self.ids)[0]

        return await self.usage.write(work)

    async def ask(self, question: Any, *more: Any, now: datetime | None = None, **asked: Any) -> Any:
        """Keywords that a question of its own has go to it, the rest into Asked."""
        own = {name: asked.pop(name) for name in ("by", "limit", "offset", "size", "after", "n_rows") if name in asked}
        usual: dict[str, Any] = {"from_at": FROM, "to_at": TO, "zone": ZONE}
        async with self.usage.read() as read:
            return await question(read, PID, Asked(**usual | asked), *more, now=now or self.clock.now(), **own)


def make_city(usage_db: Database, ids: IdSource) -> City:
    return City(usage_db, SimClock(NOW), ids)


def of(figures: Figures) -> Told:
    return (
        figures.n,
        figures.n_timed,
        figures.latency_us,
        figures.latency_max_us,
        figures.bytes_in,
        figures.bytes_out,
    )


def statuses(found: ByStatus) -> Ended:
    return {status: one.n for status, one in found.of.items()}, of(found.total())


def ms(found: ByStatus, percent: int) -> Decimal:
    value = found.total().percentile_ms(percent * ONE)
    assert value is not None
    return decimal_of(value)


def is_near(exact: Decimal, shown: Decimal) -> bool:
    """By what is promised of percentiles."""
    return abs(shown - exact) <= exact * Decimal("0.011")
