"""From a door to the group commit: what came is made into events, and waits for its commit.

How bytes become JSON is the doors' (and decides what a whole request is worth); here each item is looked at on its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from heartfly.clock import Clock
from heartfly.core.access.spelled import spelled_events
from heartfly.core.by_column import EventColumns
from heartfly.core.events import Event, Rejected, event_of, written
from heartfly.core.plain_events import plain_events
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.errors import OverloadedError
from heartfly.logs import line
from heartfly.usage.apply import Batch, EventApplier, Outcome, Refused, Told, counted, hash_of, of_hashes
from heartfly.usage.kept_events import KeptEvents
from heartfly.usage.ready import Ready, ready_of
from heartfly.usage.series import Read, Readings, SeriesApplier
from heartfly.usage.sources import demand_name, heard_of

MAX_EVENTS = 2_000
"""Of one request."""
MAX_RAW = 16_384
"""Characters that the dead letter keeps of what is no event."""
MAX_WAITING = 64 * 1024 * 1024
"""Characters of events that wait for the disk at one time, in this process."""
_OVERHEAD = 500


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in an event's place that is not even JSON."""

    raw: str
    reason: str


class EventIngest:
    def __init__(
        self,
        database: Database,
        applier: EventApplier,
        clock: Clock,
        *,
        keep: timedelta,
        kept: KeptEvents | None = None,
    ) -> None:
        """`keep`: how long events are kept; what happened before is refused, for its day is closed for good.

        `kept`: how many of each project; None: any.
        """
        self._database = database
        self._applier = applier
        self._series = SeriesApplier(applier)
        self._clock = clock
        self._keep = keep
        self._kept = kept or KeptEvents()
        self._waiting = 0

    def now(self) -> datetime:
        return self._clock.now()

    def oldest(self) -> datetime:
        """What happened before is refused by now."""
        return self._clock.now() - self._keep

    async def take(
        self,
        pid: int,
        found: Sequence[Any] | EventColumns,
        *,
        wire: str,
        source: str = "",
        dry_run: bool = False,
        beside: bool = False,
    ) -> list[Told]:
        """What became of each, in order, after the commit. `found`: what JSON held (core.events.read), or Unreadable,
        or an event that was made already (`plain`); or events by column.

        OverloadedError: nothing was stored, as the project keeps what it may, or too much waits. What is sent again is
        told as a duplicate. `source`: who sends them, if he says so (InvalidValueError: he cannot be called so).
        `dry_run`: what would become of them; nothing is stored. `beside`: they may be so large that to look at them is
        a thread's work.
        """
        source, now = demand_name(source), self._clock.now()
        work = self._looked_at
        items, ready = await asyncio.to_thread(work, found, now) if beside else work(found, now)
        if dry_run:
            return await self._foretold(pid, items)
        batch = Batch(pid, wire, now, items, heard_of(items, source, now), ready)
        told = await self._committed(batch)
        line("events", pid=pid, wire=wire, n=len(told), outcomes=_outcomes(told))
        return told

    def plain(self, content: bytes) -> list[Event] | None:
        """As core/plain_events.py, by now."""
        now = self._clock.now()
        oldest = now - self._keep
        found = spelled_events(content, now=now, oldest=oldest, most=MAX_EVENTS)
        return plain_events(content, now=now, oldest=oldest, most=MAX_EVENTS) if found is None else found

    def item(self, one: Any) -> Event | Refused:
        """What it would be taken for now: for who makes events of readings, in their transaction."""
        return self._item(one, self._clock.now())

    async def take_readings(self, pid: int, reads: Sequence[Read], *, wire: str) -> list[Told | None]:
        """What became of each, in order, after the commit; None of what tells nothing new. As `take`."""
        self._demand_room(pid)
        item = Readings(pid, wire, self._clock.now(), reads)
        told: list[Told | None] = await self._database.submit(self._series.apply, item, priority=Priority.BULK)
        self._kept.took(pid, told)
        line("readings", pid=pid, wire=wire, n=len(told), outcomes=_outcomes([one for one in told if one is not None]))
        return told

    async def _committed(self, batch: Batch) -> list[Told]:
        """The queue counts batches; what they hold is bounded here, for a few large ones would fill the memory."""
        self._demand_room(batch.pid)
        sizes = map(_size, batch.items) if batch.ready is None else map(len, batch.ready.properties)
        weight = _OVERHEAD * len(batch.items) + sum(sizes)
        if self._waiting and self._waiting + weight > MAX_WAITING:
            raise OverloadedError("too many events wait for the disk; send them again")
        self._waiting += weight
        try:
            told: list[Told] = await self._database.submit(self._applier.apply, batch, priority=Priority.BULK)
        finally:
            self._waiting -= weight
        self._kept.took(batch.pid, told)
        return told

    def _demand_room(self, pid: int) -> None:
        self._database.demand_room()
        self._kept.demand_room(pid)

    def _looked_at(
        self, found: Sequence[Any] | EventColumns, now: datetime
    ) -> tuple[Sequence[Event | Refused] | EventColumns, Ready | None]:
        items = found if isinstance(found, EventColumns) else self._items(found, now)
        return items, ready_of(items, on_postgres=self._database.on_postgres)

    def _items(self, found: Sequence[Any], now: datetime) -> list[Event | Refused]:
        return [one if isinstance(one, Event) else self._item(one, now) for one in found]

    def _item(self, one: Any, now: datetime) -> Event | Refused:
        if isinstance(one, Event):
            return one
        if isinstance(one, Unreadable):
            return Refused(Rejected("", one.reason), _storable(one.raw))
        event = event_of(one, now=now, oldest=now - self._keep)
        return event if isinstance(event, Event) else Refused(event, _storable(written(one)))

    async def _foretold(self, pid: int, items: Iterable[Event | Refused]) -> list[Told]:
        hashes = {hash_of(item.transaction_id) for item in items if isinstance(item, Event)}
        async with self._database.read() as read:
            rows = (await read.execute(of_hashes(pid, sorted(hashes)))).all() if hashes else []
        known = {bytes(row.id_hash): bytes(row.fingerprint) for row in rows}
        return [_foretell(item, known) for item in items]


def _size(item: Event | Refused) -> int:
    return len(item.properties if isinstance(item, Event) else item.raw)


def _foretell(item: Event | Refused, known: dict[bytes, bytes]) -> Told:
    if isinstance(item, Refused):
        return Told(Outcome.REJECTED, item.why.field, item.why.reason)
    first = known.setdefault(hash_of(item.transaction_id), b"")
    if not first:
        known[hash_of(item.transaction_id)] = item.fingerprint
        return Told(Outcome.ACCEPTED)
    return Told(Outcome.DUPLICATE if first == item.fingerprint else Outcome.CONFLICT)


def _outcomes(told: Sequence[Told]) -> Mapping[str, int]:
    return {outcome.value: n for outcome, n in counted(told).items()}


def _storable(text: str) -> str:
    """As much as is kept, without what no database's text holds: NUL; and halves of surrogate pairs, which are written
    as JSON escapes them: sent once more, they are no other character.
    """
    kept = text[:MAX_RAW].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return kept.encode("utf-8", "backslashreplace").decode()[:MAX_RAW]
