"""A project that calls others' APIs and has budgets: calls come in as events, and somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import CLI
from heartfly.budgets.change import Changer
from heartfly.budgets.config import BudgetIn
from heartfly.budgets.look import Main, Outcome, look
from heartfly.core.budgets import Turn
from heartfly.core.money import rate
from heartfly.core.prices import ALWAYS
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import alerts, budget_marks, budgets, incidents, price_books, prices
from heartfly.errors import StoreError
from heartfly.usage.apply import EventApplier
from heartfly.usage.corrections import mark, void
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.ingest import EventIngest
from tests.sim_clock import SimClock
from tests.world import World

Result = TypeVar("Result")


class Treasury:
    def __init__(self, world: World, usage: Database, clock: SimClock) -> None:
        self.world, self.usage, self.clock = world, usage, clock
        self.pid, self.ids = world.project.pid, world.ids
        self.ingest = EventIngest(usage, EventApplier(self.ids), clock, keep=timedelta(days=400))
        self.folder = Folder(usage, clock, self.ids, hands=Hands(beside=False))
        self._n = 0

    @property
    def changer(self) -> Changer:
        return Changer(main=self.world.db, usage=self.usage, pid=self.pid, actor=CLI, at=self.clock.now(), ids=self.ids)

    async def budget(self, **asked: Any) -> str:
        given = {"name": "Models", "currency": "USD", "amount": "100"} | asked
        return await self.changer.create(msgspec.convert(given, BudgetIn))

    async def edit(self, budget: str, **asked: Any) -> None:
        await self.changer.edit(budget, msgspec.convert(asked, BudgetIn), rev=None)

    async def turn(self, budget: str, what: Turn) -> None:
        await self.changer.turn(budget, what, rev=None)

    async def call(self, cost: str | None, *, at: datetime | None = None, currency: str = "USD", **told: str) -> str:
        """How the event is called."""
        self._n += 1
        name = f"call-{self._n}"
        event: dict[str, Any] = {
            "transaction_id": name,
            "customer_id": told.pop("customer", "acme"),
            "timestamp": (at or self.clock.now()).isoformat(),
            "event_type": "api.call",
            "properties": {"provider": "openai", "model": "gpt-5"} | told,
        }
        if cost is not None:
            event["properties"] |= {"cost": cost, "currency": currency}
        (found,) = await self.ingest.take(self.pid, [event], wire="native", source="")
        assert found.outcome.value == "accepted", found
        return name

    async def void(self, name: str) -> None:
        at = self.clock.now()
        await self.usage.write(lambda tx: void(tx, self.pid, name, reason="a mistake", actor=CLI, at=at, ids=self.ids))

    async def price(self, amount: str, *, at: datetime) -> None:
        """What a request of the model costs from then on; hours from then on are folded anew."""
        now, number = self.clock.now(), self.ids.next(self.clock.now())
        found = rate(amount)
        key = {
            "pid": self.pid,
            "provider": "openai",
            "product": "gpt-5",
            "unit": "requests",
            "tier": "",
            "condition": "",
        }
        values = key | {"id": number, "from_at": ALWAYS, "to_at": None, "amount": found, "currency": "USD"}
        hours = [at + n * timedelta(hours=1) for n in range((now - at) // timedelta(hours=1) + 1)]

        def work(tx: Tx) -> None:
            tx.conn.execute(sa.delete(prices).where(prices.c.pid == self.pid))
            tx.conn.execute(sa.insert(prices).values(values | {"source": "hand", "created_at": now}))
            tx.conn.execute(sa.delete(price_books).where(price_books.c.pid == self.pid))
            tx.conn.execute(sa.insert(price_books).values(pid=self.pid, seq=number, changed_at=now))
            mark(tx, self.pid, hours, seq=number)

        await self.usage.write(work)

    async def fold(self) -> None:
        """Until nothing is dirty."""
        self.folder._resting.clear()
        while await self.folder.round():
            pass

    async def look(self, budget: str, main: Main | None = None) -> Outcome:
        return await look(main or self.world.db, self.usage, self.pid, budget, now=self.clock.now(), ids=self.ids)

    async def told(self, budget: str) -> list[tuple[str, str, int]]:
        """Period, what, and for the how many-th time; in order."""
        b, m = budgets.c, budget_marks.c
        of_budget = sa.and_(b.pid == m.pid, b.id == m.budget_id)
        query = sa.select(m.period, m.kind, m.what, m.nth).join(budgets, of_budget).where(b.uuid == budget)
        rows = await self.world._all(query.order_by(m.period, m.kind.desc(), sa.func.length(m.what), m.what, m.nth))
        return [(row.period, row.what or row.kind, row.nth) for row in rows]

    async def alerts(self) -> list[Any]:
        return [row.payload for row in await self.world._all(sa.select(alerts.c.payload).order_by(alerts.c.id))]

    async def incidents(self) -> list[Any]:
        return await self.world._all(sa.select(incidents).order_by(incidents.c.id))

    async def state(self, budget: str) -> str:
        return str((await self.world._one(sa.select(budgets.c.state).where(budgets.c.uuid == budget))).state)


class Dying:
    """The same database, whose process dies as it writes for the `n`th time: before the commit, or right after."""

    def __init__(self, db: Database, n: int, *, committed: bool) -> None:
        self._db, self._left, self._committed = db, n, committed

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._db.read()

    async def write(self, piece: Callable[[Tx], Result], /) -> Result:
        self._left -= 1
        if self._left:
            return await self._db.write(piece)
        if self._committed:
            await self._db.write(piece)
        else:
            await self._db.write(lambda tx: self._die(piece(tx)))
        raise StoreError("it died")

    @staticmethod
    def _die(result: object) -> None:
        raise StoreError(f"it died before the commit of {result}")
