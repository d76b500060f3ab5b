"""A project's usage on a real database and a virtual clock: the doors that events, people and jobs come through.

Ingest, folder, closer, answers and what removes old events are the production ones, in an event loop that runs one
step after another. Decided here is only when the process dies, between two of its transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy import event
from typing_extensions import override

from heartfly.api.column_bodies import columns_in
from heartfly.api.event_bodies import events_in
from heartfly.audit.record import Actor
from heartfly.clock import SystemClock
from heartfly.core.definitions import meter_from
from heartfly.core.events import read as read_json
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import usage_metadata
from heartfly.db.parts import USAGE
from heartfly.db.snapshots import snapshot
from heartfly.sealing import Sealer
from heartfly.usage import backfills, corrections, customers, dead_letters, meters
from heartfly.usage.answers import Answer, answer
from heartfly.usage.apply import EventApplier, Told
from heartfly.usage.close_day import Closed, Closer, days_to_close
from heartfly.usage.compare import Compared, compare
from heartfly.usage.customer_queries import unknown_subjects
from heartfly.usage.dirty import mark_folded
from heartfly.usage.erasure import erase_customer
from heartfly.usage.event_queries import Wanted, list_events
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.ingest import EventIngest
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.question import Question
from heartfly.usage.rerun import day_that_is_over, foretold
from heartfly.usage.seal import Gone, remove_old
from tests.sim_clock import SimClock
from tests.usage_states.told import KEEP, Backfill, Definition, Span

Result = TypeVar("Result")

Moved = list[tuple[str, str, str]]
"""Which name was whose: his id, and what people call him."""
PID = 7
_SEALER = Sealer([Fernet.generate_key()])
SOMEBODY = Actor("somebody")


class KilledError(BaseException):
    """The process is gone: nobody in it hears of it."""


class Mortal(Database):
    """`left`: so many more transactions, and then the process dies; None: it lives."""

    left: int | None = None

    @override
    async def write(self, command: Callable[[Tx], Result], *, priority: Priority = Priority.EDITS) -> Result:
        if self.left is not None:
            if self.left == 0:
                raise KilledError
            self.left -= 1
        return await super().write(command, priority=priority)


class House:
    def __init__(self, url: str, data_dir: Path) -> None:
        self.on_postgres = bool(url)
        self._url, self._data_dir = url, data_dir
        self._loop = asyncio.new_event_loop()
        self._usage: Mortal | None = None
        self._open()
        self._main = Database(url=url, data_dir=data_dir, clock=SystemClock())
        """Where an erasure takes names out of the audit. There is no such project in it: nothing of it is looked at."""
        self._starts(self._main)
        self._empty = [f"DELETE FROM {table}" for table in reversed(usage_metadata.sorted_tables)]
        self.clock = SimClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.zone = ZoneInfo("UTC")

    def _open(self) -> None:
        usage = Mortal(url=self._url, data_dir=self._data_dir, clock=SystemClock(), part=USAGE)
        self._starts(usage)
        self._usage = usage

    def _starts(self, database: Database) -> None:
        if not self.on_postgres:
            event.listen(database.engine, "connect", _without_flushes)

        async def start() -> None:
            database.start()

        self._does(start())

    def leave(self) -> None:
        self._does(self.usage.stop())
        self._does(self._main.stop())
        self._loop.close()

    def _does(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(work)

    @property
    def usage(self) -> Mortal:
        assert self._usage is not None
        return self._usage

    def begin(self, at: datetime, zone: ZoneInfo) -> None:
        """Nothing has happened yet."""

        def work(tx: Tx) -> None:
            for statement in ["; ".join(self._empty)] if tx.on_postgres else self._empty:
                tx.conn.exec_driver_sql(statement)

        self.usage.left = None
        self._does(self.usage.write(work))
        self.clock, self.zone, self._n_lives = SimClock(at), zone, 0
        self._live()

    def tidy(self) -> None:
        """What stories before have deleted goes; the tests' PostgreSQL does not do so by itself."""
        if self.on_postgres:
            with self.usage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM")

    # --- the process

    def _live(self) -> None:
        self._n_lives += 1
        self.ids = IdSource(self._n_lives)
        self.ingest = EventIngest(self.usage, EventApplier(self.ids), self.clock, keep=KEEP)
        self.folder = Folder(self.usage, self.clock, self.ids, hands=Hands(beside=False))
        self.closer = Closer(self.usage, self.folder, self.clock, self.ids)

    def restart(self) -> None:
        """Whatever is in memory is gone."""
        self._does(self.usage.stop())
        self._open()
        self._live()

    def dies_within(self, n: int, work: Callable[[], object]) -> bool:
        """Whether it died after so many transactions of this work; then it has started again."""
        self.usage.left = n
        try:
            work()
        except KilledError:
            self.usage.left = None
            self.restart()
            return True
        self.usage.left = None
        return False

    # --- events

    def send(self, body: str, *, door: str) -> list[Told]:
        raw = body.encode()
        now, oldest = self.ingest.now(), self.ingest.oldest()
        found: Any
        if door == "columns":
            found = columns_in(raw, encoding="", now=now, oldest=oldest)
        elif door == "lines":
            found = events_in(raw, media_type="application/x-ndjson")
        else:
            plain = self.ingest.plain(raw)
            found = events_in(raw, media_type="application/json") if plain is None else plain
        return self._does(self.ingest.take(PID, found, wire="native"))

    def replay(self, n: int, instead: str | None) -> str:
        """The letter that came so many others before it."""
        edited = None if instead is None else read_json(instead)

        async def work() -> str:
            told = await dead_letters.replay(
                self.usage, self.ingest, PID, await self._letter(n),
                edited=edited, actor=SOMEBODY, at=self.clock.now(), ids=self.ids,
            )  # fmt: skip
            return told.outcome.value

        return self._does(work())

    def replay_all(self, field: str | None, limit: int) -> tuple[dict[str, int], bool]:
        counts, last = self._does(
            dead_letters.replay_all(
                self.usage, self.ingest, PID, dead_letters.Wanted(field=field),
                before=None, limit=limit, actor=SOMEBODY, at=self.clock.now(), ids=self.ids,
            )
        )  # fmt: skip
        return {name: n for name, n in counts.items() if n}, last is not None

    def drop(self, n: int) -> None:
        at, letter_id = self.clock.now(), self._does(self._letter(n))
        self._does(
            self.usage.write(lambda tx: dead_letters.drop(tx, PID, letter_id, actor=SOMEBODY, at=at, ids=self.ids))
        )

    async def _letter(self, n: int) -> str:
        async with self.usage.read() as read:
            looked = await dead_letters.list_letters(read, PID, dead_letters.Wanted(), before=None, limit=10_000)
        return str(looked.rows[::-1][n].id)

    def void(self, id_: str) -> bool:
        at = self.clock.now()
        return self._does(
            self.usage.write(
                lambda tx: corrections.void(tx, PID, id_, reason="wrong", actor=SOMEBODY, at=at, ids=self.ids)
            )
        )

    def amend(self, id_: str, fields: dict[str, Any]) -> bool:
        at, oldest, wanted = self.clock.now(), self.ingest.oldest(), corrections.Amended(fields)

        def work(tx: Tx) -> bool:
            return corrections.amend(
                tx, PID, id_, wanted, reason="wrong", oldest=oldest, actor=SOMEBODY, at=at, ids=self.ids
            )

        return self._does(self.usage.write(work))

    def undo(self, id_: str) -> str:
        at = self.clock.now()
        return self._does(
            self.usage.write(lambda tx: corrections.undo(tx, PID, id_, actor=SOMEBODY, at=at, ids=self.ids))
        )

    # --- backfills

    def open_set(self, it: Backfill) -> str:
        at, oldest = self.clock.now(), self.ingest.oldest()
        wanted = backfills.Wanted(
            name="again",
            from_at=it.span[0],
            to_at=it.span[1],
            event_types=it.types,
            customers=it.customers,
            replaces=it.replaces,
        )
        return self._does(
            self.usage.write(
                lambda tx: backfills.open_set(tx, PID, wanted, oldest=oldest, actor=SOMEBODY, at=at, ids=self.ids)
            )
        )

    def send_into(self, public_id: str, body: str) -> list[Told]:
        at, found = self.clock.now(), events_in(body.encode(), media_type="application/json")
        items = backfills.items_of(found, now=at, oldest=self.ingest.oldest())
        return self._does(
            self.usage.write(lambda tx: backfills.fill(tx, PID, public_id, items, actor=SOMEBODY, at=at, ids=self.ids))
        )

    def close_set(self, public_id: str) -> dict[str, int]:
        at = self.clock.now()

        def work(tx: Tx) -> dict[str, int]:
            return dict(backfills.close_set(tx, PID, public_id, empty=False, actor=SOMEBODY, at=at, ids=self.ids))

        return {name: n for name, n in self._does(self.usage.write(work)).items() if n}

    def revert_set(self, public_id: str) -> bool:
        at, oldest = self.clock.now(), self.ingest.oldest()
        return self._does(
            self.usage.write(
                lambda tx: backfills.revert_set(tx, PID, public_id, oldest=oldest, actor=SOMEBODY, at=at, ids=self.ids)
            )
        )

    # --- customers

    def create_customer(self, name: str, names: Sequence[str]) -> tuple[str, Moved]:
        at = self.clock.now()
        public_id, moved = self._does(
            self.usage.write(
                lambda tx: customers.create_customer(
                    tx, PID, name=name, wanted=names, actor=SOMEBODY, at=at, ids=self.ids
                )
            )
        )
        return public_id, _moved(moved)

    def edit_customer(self, public_id: str, edit: customers.Edit) -> Moved:
        at = self.clock.now()

        def work(tx: Tx) -> Moved:
            return _moved(customers.edit_customer(tx, PID, public_id, edit, actor=SOMEBODY, at=at, ids=self.ids))

        return self._does(self.usage.write(work))

    def erase(self, public_id: str) -> int:
        at = self.clock.now()
        return self._does(
            erase_customer(
                self.usage, self._main, PID, public_id, rev=None, actor=SOMEBODY, at=at, ids=self.ids, sealer=_SEALER
            )
        )

    def events_of(self, public_id: str) -> list[str]:
        """The ids of his events, as they are listed."""

        async def work() -> list[str]:
            async with self.usage.read() as read:
                found = await list_events(read, PID, Wanted(customer=public_id), before=None, limit=10_000)
            return [one.transaction_id for one in found]

        return self._does(work())

    def unknown(self) -> list[str]:
        async def work() -> list[str]:
            async with self.usage.read() as read:
                return [row.text for row in await unknown_subjects(read, PID, after=None, limit=10_000)]

        return self._does(work())

    # --- meters

    def version(
        self, slug: str, definition: Definition, from_at: datetime | None, to_at: datetime | None, *, is_new: bool
    ) -> None:
        at, meter = self.clock.now(), meter_from(definition.wire())
        wanted = meters.Wanted(slug=slug, name=slug, unit="", meter=meter, from_at=from_at, to_at=to_at)

        def work(tx: Tx) -> None:
            if is_new:
                meters.create_meter(tx, PID, wanted, actor=SOMEBODY, at=at, ids=self.ids)
            else:
                meters.change_meter(
                    tx, PID, slug, meter, from_at=from_at, to_at=to_at, rev=None, actor=SOMEBODY, at=at, ids=self.ids
                )

        self._does(self.usage.write(work))

    def archive(self, slug: str, *, back: bool) -> None:
        at, command = self.clock.now(), meters.unarchive_meter if back else meters.archive_meter
        self._does(self.usage.write(lambda tx: command(tx, PID, slug, rev=None, actor=SOMEBODY, at=at, ids=self.ids)))

    def ask(self, slug: str, span: Span, **asked: Any) -> Answer:
        """`asked`: as a Question has it."""

        async def work() -> Answer:
            async with self.usage.read() as read:
                stored = await find_meter(read, PID, slug)
                question = Question(from_at=span[0], to_at=span[1], zone=self.zone, **asked)
                return await answer(read, PID, stored, question, now=self.clock.now(), limit=10_000)

        return self._does(work())

    # --- the worker, and jobs

    def round(self) -> None:
        self._does(self.folder.round())

    def fold(self, hour: datetime) -> None:
        self._does(self.folder.fold_hour(PID, hour))

    def close(self, day: date) -> Closed:
        return self._does(self.closer.close(PID, day, self.zone))

    def to_close(self, since: date) -> list[date]:
        today = self.clock.now().astimezone(self.zone).date()
        return self._does(days_to_close(self.usage, PID, self.zone, since=since, today=today))

    def rerun(self, day: date) -> Closed:
        """As somebody asks for it. InvalidValueError: it is not over, or sealed."""

        async def work() -> Closed:
            now = self.clock.now()
            span = day_that_is_over(self.zone, day, now=now)
            await foretold(self.usage, self.closer, PID, span)
            seq = self.ids.next(now)
            await self.usage.write(lambda tx: mark_folded(tx, PID, from_at=span.from_at, to_at=span.to_at, seq=seq))
            return await self.closer.close(PID, day, self.zone)

        return self._does(work())

    def old_goes(self) -> Gone:
        async def ours() -> None:
            return None

        now = self.clock.now()
        return self._does(remove_old(self.usage, PID, self.zone, keep=KEEP, now=now, fence=ours))

    # --- a look inside

    def verified(self, span: Span) -> Compared:
        return compare(self.usage.place, PID, *span)

    def read(self, *queries: sa.Select[Any]) -> list[Sequence[Any]]:
        """The rows of each, all of one instant."""
        with snapshot(self.usage.place) as connection:
            return [connection.execute(query).all() for query in queries]


def _moved(moved: Sequence[customers.Moved]) -> Moved:
    return [(one.alias, one.from_uuid, one.from_name) for one in moved]


def _without_flushes(connection: Any, _: object) -> None:
    """Here a process dies and no machine: what it committed is there. Flushes are looked at in tests/faults."""
    connection.execute("PRAGMA synchronous=OFF")
