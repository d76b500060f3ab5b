"""A project's usage in a test: meters, events in, and what the rollups say."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import sqlalchemy as sa

from heartfly.core.amounts import decimal_of
from heartfly.core.definitions import meter_from
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import meter_versions, meters, rollups, uncounted, unique_values, usage_names
from heartfly.db.snapshots import snapshot
from heartfly.usage.apply import EventApplier
from heartfly.usage.fold import BY_GROUP, Folded, day_of_hours, stored
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.ingest import EventIngest
from tests.remembered import once
from tests.sim_clock import SimClock
from tests.usage.oracle import DEFINITIONS, Answer, Sent

Made = TypeVar("Made")

PID = 7
NOW = datetime(2026, 11, 28, 13, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Plant:
    """One project that uses something. `meters`: version id by name."""

    def __init__(
        self, usage: Database, clock: SimClock, ids: IdSource, *, hands: Hands | None = None, pid: int = PID
    ) -> None:
        self.usage = usage
        self.pid = pid
        self.clock = clock
        self.ids = ids
        self.meters: dict[str, int] = {}
        self.meter_ids: dict[str, int] = {}
        self.ingest = EventIngest(usage, EventApplier(ids), clock, keep=timedelta(days=400))
        self.folder = Folder(usage, clock, ids, hands=hands or Hands(beside=False))

    async def meter(self, name: str, definition: dict[str, Any], *, from_at: datetime | None = None) -> int:
        """A version of a meter, a new one if there is none of that name."""
        meter_from(definition)
        pid, now, number = self.pid, self.clock.now(), self.ids.next(self.clock.now())

        def work(tx: Tx) -> int:
            query = sa.select(meters.c.id).where(meters.c.pid == pid, meters.c.slug == name)
            meter_id: int | None = tx.conn.execute(query).scalar()
            if meter_id is None:
                meter_id = number
                values = {"pid": pid, "id": meter_id, "uuid": str(meter_id), "slug": name, "name": name, "unit": ""}
                tx.conn.execute(sa.insert(meters).values(**values, rev=1, created_at=now))
            self.meter_ids[name] = meter_id
            version = self.ids.next(now)
            values = {"pid": pid, "id": version, "meter_id": meter_id, "from_at": from_at, "definition": definition}
            tx.conn.execute(sa.insert(meter_versions).values(**values, created_at=now))
            return version

        self.meters[name] = await self.usage.write(work)
        return self.meters[name]

    async def all_meters(self) -> None:
        for name, definition in DEFINITIONS.items():
            await self.meter(name, definition)

    async def once(self, key: Hashable, make: Callable[[], Awaitable[Made]]) -> Made:
        """What `make` does and returns; in tests to come its rows are put in. Nothing may have been done before."""

        async def with_meters() -> tuple[Made, dict[str, int], dict[str, int]]:
            made = await make()
            return made, dict(self.meters), dict(self.meter_ids)

        made, meters, meter_ids = await once(self.usage, self.ids, key, with_meters)
        self.meters, self.meter_ids = dict(meters), dict(meter_ids)
        return made

    async def send(self, *found: Sent) -> None:
        for start in range(0, len(found), 100):
            await self.ingest.take(self.pid, [one.wire() for one in found[start : start + 100]], wire="native")

    async def fold(self) -> None:
        """Until nothing is dirty."""
        self.folder._resting.clear()
        while await self.folder.round():
            pass

    def told(self, from_at: datetime, to_at: datetime, *, tier: str = "hour") -> Answer:
        return self._asked(lambda connection: stored(connection, self.pid, tier, from_at, to_at))

    def span(self, from_at: datetime, to_at: datetime) -> Answer:
        """Of its whole hours what is stored, and of what it cuts off, the events."""
        return self._asked(lambda connection: day_of_hours(connection, self.pid, from_at, to_at))

    def _asked(self, ask: Callable[[sa.Connection], Folded]) -> Answer:
        with snapshot(self.usage.place) as connection:
            folded = ask(connection)
            query = sa.select(usage_names.c.id, usage_names.c.text).where(usage_names.c.kind == "subject")
            names = {row.id: row.text for row in connection.execute(query)}
        return self.answer(folded, names)

    def answer(self, folded: Folded, names: dict[int, str]) -> Answer:
        by_version = {version: name for name, version in self.meters.items()}
        found: Answer = {}
        for key, partial in folded.partials.items():
            name = by_version[key.version_id]
            value: Any
            if name == "users":
                value = len(partial.uniques)
            elif name == "count":
                value = Decimal(partial.n)
            else:
                amount = {"sum": partial.sum, "peak": partial.max, "latest": partial.latest}[name]
                assert amount is not None
                value = decimal_of(amount)
            found[name, names[key.subject_id], key.group if key.cube == BY_GROUP else None] = value
        return found

    async def rows(self) -> list[tuple[Any, ...]]:
        """All that was folded, without the number of its generation."""
        found: list[tuple[Any, ...]] = []
        async with self.usage.read() as read:
            for table in (rollups, unique_values, uncounted):
                columns = [column for column in table.c if column.name != "gen"]
                rows = (await read.execute(sa.select(*columns).order_by(*table.primary_key.columns))).all()
                found += [(table.name, *row) for row in rows]
        return found


def events_of(n: int, *, seed: int, from_at: datetime, to_at: datetime) -> list[Sent]:
    draw = random.Random(seed)
    span = (to_at - from_at) // timedelta(microseconds=1)
    sizes = [
        "0",
        "1",
        "0.1",
        "-2.5",
        "99999999999999999999.999999999999999999",
        "0.000000000000000001",
        "1e3",
        "",
        "12",
    ]
    return [
        Sent(
            number=number,
            at=from_at + timedelta(microseconds=draw.randrange(span)),
            subject=f"c-{draw.randrange(5)}",
            type=draw.choice(["api", "api", "job", "other"]),
            endpoint=draw.choice(["GET:/a", "GET:/b", None]),
            size=draw.choice(sizes),
            user=f"u-{draw.randrange(9)}",
        )
        for number in range(n)
    ]


def shuffled(found: Sequence[Sent], seed: int) -> list[Sent]:
    mixed = list(found)
    random.Random(seed).shuffle(mixed)
    return mixed


def within(found: Iterable[Sent], from_at: datetime, to_at: datetime) -> list[Sent]:
    return [one for one in found if from_at <= one.at < to_at]
