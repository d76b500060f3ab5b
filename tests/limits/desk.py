"""Limits without doors: a project in the part that is usage, asked and told in its own words, on a clock of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.amounts import amount, text_of
from heartfly.core.limits.scope import Call, tags_of
from heartfly.core.prices import ALWAYS
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import limits, price_books, prices
from heartfly.limits import commands, queries
from heartfly.limits.apply import LimitApplier
from heartfly.limits.asked import Asked, wanted_of
from heartfly.limits.batch import Checked, Ended
from heartfly.limits.book import Book
from heartfly.limits.checker import PATIENCE_S, TTL, Checker
from heartfly.limits.names import name_of
from heartfly.limits.tracked import TrackedCalls
from heartfly.limits.upkeep import LimitUpkeep
from heartfly.usage.apply import EventApplier
from heartfly.usage.ingest import EventIngest
from tests.sim_clock import SimClock
from tests.world import TEST

PID = 7
KEEP = timedelta(days=400)


def amounts(units: Mapping[str, Any]) -> dict[str, int]:
    found = {}
    for name, value in units.items():
        exact = amount(str(value))
        assert exact is not None
        found[name] = exact
    return found


@dataclass
class Desk:
    usage: Database
    ids: IdSource
    clock: SimClock
    pid: int = PID
    patience_s: float = PATIENCE_S
    outcomes: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.book = Book()
        self.applier = LimitApplier(self.book, self.ids)
        self.checker = Checker(
            self.usage, self.book, self.applier, self.clock, count=self.outcomes.append, patience_s=self.patience_s
        )
        self.upkeep = LimitUpkeep(self.usage, self.applier, self.checker, self.clock)
        events = EventApplier(self.ids, calls=TrackedCalls(self.applier))
        self.ingest = EventIngest(self.usage, events, self.clock, keep=KEEP)

    async def limit(self, *, source: str = commands.PEOPLE, **asked: Any) -> str:
        """Its public id. Without a word of kind: a rolling hour."""
        usual: dict[str, Any] = {"kind": "rolling", "period_s": 3_600} if not {"kind", "policy"} & set(asked) else {}
        wanted = wanted_of(Asked(**(usual | asked)), zone="UTC")
        at = self.clock.now()
        if source:
            wanted = commands.Wanted(name=wanted.name, limit=wanted.limit, source=source)
        made: str = await self.usage.write(
            lambda tx: commands.create(tx, self.pid, wanted, actor=TEST, at=at, ids=self.ids)
        )
        return made

    async def edit(self, limit: str, **asked: Any) -> None:
        edited = commands.Edit(**asked)
        at = self.clock.now()
        await self.usage.write(
            lambda tx: commands.edit(tx, self.pid, limit, edited, rev=None, actor=TEST, at=at, ids=self.ids)
        )

    async def delete(self, limit: str) -> None:
        at = self.clock.now()
        await self.usage.write(lambda tx: commands.delete(tx, self.pid, limit, actor=TEST, at=at, ids=self.ids))

    async def check(
        self,
        *,
        reserve: bool = True,
        ttl: timedelta = TTL,
        again: str = "",
        tags: Sequence[str] = (),
        units: Mapping[str, Any] = {},
        **call: str,
    ) -> Checked:
        return await self.checker.check(
            self.pid, Call(**call, tags=tags_of(tags)), amounts(units), reserve=reserve, ttl=ttl, key=again
        )

    async def allowed(self, **asked: Any) -> bool:
        return (await self.check(**asked)).denied_by is None

    async def reserved(self, **asked: Any) -> str:
        """What the reservation is called."""
        told = await self.check(**asked)
        assert told.reservation is not None
        return name_of(told.reservation)

    async def commit(self, reservation: str, **units: Any) -> Ended:
        return await self.checker.end(self.pid, reservation, amounts(units))

    async def release(self, reservation: str) -> Ended:
        return await self.checker.end(self.pid, reservation, None)

    async def track(self, *properties: Mapping[str, Any], customer: str = "acme", at: datetime | None = None) -> None:
        """Calls of which only their events tell."""
        found = [
            {
                "transaction_id": one.get("request_id", f"t-{next(self.numbers)}"),
                "customer_id": customer,
                "timestamp": (at or self.clock.now()).isoformat(),
                "event_type": "api.call",
                "properties": dict(one),
            }
            for one in properties
        ]
        await self.ingest.take(self.pid, found, wire="native")

    async def price(self, **given: Any) -> None:
        """Without more words: of gpt-5's input tokens, in dollars, always."""
        at = self.clock.now()
        values = {
            "pid": self.pid, "provider": "openai", "product": "gpt-5", "unit": "input_tokens", "tier": "",
            "condition": "", "from_at": ALWAYS, "to_at": None, "currency": "USD", "source": "hand", "created_at": at,
        }  # fmt: skip
        number = self.ids.next(at)

        def write(tx: Tx) -> None:
            tx.conn.execute(sa.insert(prices).values(values | {"id": number} | given))
            book = tx.insert(price_books).values(pid=self.pid, seq=number, changed_at=at)
            tx.conn.execute(book.on_conflict_do_update(index_elements=["pid"], set_={"seq": number}))

        await self.usage.write(write)

    async def used(self, limit: str) -> dict[tuple[str, ...], str]:
        """By value of what it counts apart, with what is reserved."""
        async with self.usage.read() as read:
            row = (await read.execute(sa.select(limits).where(limits.c.uuid == limit))).one()
            found = await queries.counters_of(read, self.pid, row, now=self.clock.now(), limit=1_000)
        return {one.applied.values: text_of(one.used) for one, _, _ in found if one.used}

    async def shown(self, limit: str) -> queries.Shown:
        async with self.usage.read() as read:
            return await queries.one_limit(read, self.pid, limit, now=self.clock.now())
