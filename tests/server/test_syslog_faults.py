"""Syslog when something is wrong: databases that fail, senders that never end, end too early, or are too many."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from anyio.lowlevel import checkpoint
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs
from typing_extensions import override

from heartfly.clock import SystemClock
from heartfly.config.syslog import Syslog
from heartfly.core.by_column import EventColumns
from heartfly.db.database import Database, reading
from heartfly.db.ids import IdSource
from heartfly.db.models import events
from heartfly.db.postgres import reading_engine
from heartfly.errors import OverloadedError
from heartfly.instruments import Counter as Instrument
from heartfly.server.syslog import SyslogListener
from heartfly.usage.apply import EventApplier, Told
from heartfly.usage.ingest import EventIngest
from tests.one_database import on_sqlite
from tests.server_process import free_port
from tests.world import make_world

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - lines of a log that is written just now
NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"


def line(n: int = 1) -> bytes:
    return (
        f'<14>203.0.113.9 - ada [{NOW:%d/%b/%Y:%H:%M:%S +0000}] "GET /users/{n} HTTP/1.1" 200 {n} "-" "curl"'.encode()
    )


class Hurried(SystemClock):
    """Pauses are over at once."""

    @override
    async def sleep(self, seconds: float) -> None:
        await checkpoint()


class AwayAtFirst(Database):
    """Of a database: its first reads find nobody there, as while it starts anew."""

    def __init__(self, real: Database, n: int) -> None:
        self._real = real
        self.n_left = n

    @override
    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        self.n_left -= 1
        if self.n_left < 0:
            async with self._real.read() as found:
                yield found
            return
        engine = reading_engine(NOWHERE)
        try:
            async with reading(engine) as found:
                yield found
        finally:
            await engine.dispose()


class SilentAtFirst(EventIngest):
    """It stores, and its first answers do not come in time."""

    n_left = 0

    @override
    async def take(self, pid: int, found: Sequence[Any] | EventColumns, **rest: Any) -> list[Told]:
        told = await super().take(pid, found, **rest)
        self.n_left -= 1
        if self.n_left >= 0:
            raise OverloadedError("the database did not answer in time")
        return told


@dataclass
class Site:
    listener: SyslogListener
    count: Instrument
    usage_db: Database
    port: int
    stop: asyncio.Event
    ingest: SilentAtFirst
    main: AwayAtFirst

    def counted(self) -> Counter[str]:
        found = self.count.family().samples
        return Counter({one.labels[0][1]: int(one.value) for one in found if one.value})

    async def stored(self) -> int:
        async with self.usage_db.read() as read:
            return int((await read.execute(sa.select(sa.func.count()).select_from(events))).scalar_one())

    async def until(self, **expected: int) -> None:
        await until(lambda: self.counted() == Counter(expected))


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not found():
            await checkpoint()


Make = Callable[..., Awaitable[Site]]


@pytest.fixture
def make(db: Database, usage_db: Database, ids: IdSource) -> Make:
    async def made(*, n_away: int = 0, n_silent: int = 0, **settings: Any) -> Site:
        await make_world(db, ids, NOW, slug="acme")
        clock, count, port = Hurried(), Instrument("n", "about", "outcome"), free_port()
        ingest = SilentAtFirst(usage_db, EventApplier(ids), clock, keep=timedelta(days=30))
        ingest.n_left = n_silent
        main = AwayAtFirst(db, n_away)
        settings = {"listen": f"127.0.0.1:{port}", "project": "acme", "allow": ("0.0.0.0/0",)} | settings
        listener = SyslogListener(Syslog(**settings), usage=ingest, database=main, clock=clock, count=count)
        return Site(listener, count, usage_db, port, asyncio.Event(), ingest, main)

    return made


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(site.listener.run(site.stop))
    try:
        yield task
    finally:
        site.stop.set()
        await asyncio.wait({task}, timeout=60)
        task.cancel()


async def test_a_database_that_is_away_ends_nothing_and_what_came_meanwhile_is_stored(make: Make) -> None:
    site = await make(n_away=2)
    async with running(site) as task:
        for n in range(3):
            site.listener.heard("127.0.0.1", line(n))
        await until(lambda: task.done() or site.counted() == Counter(accepted=3))

        assert not task.done()
    assert 3 == await site.stored()


async def test_what_is_tried_again_is_known_by_its_id_and_unread_lines_are_counted_once(make: Make) -> None:
    site = await make(n_silent=2)
    async with running(site):
        for raw in (line(), line(), b"<14>what is this?"):
            site.listener.heard("127.0.0.1", raw)
        await site.until(duplicate=2, unread=1)

    assert 2 == await site.stored()


async def test_what_could_not_be_stored_before_the_stop_is_tried_once_more_with_its_id(make: Make) -> None:
    site = await make(n_silent=1)
    site.listener.heard("127.0.0.1", line())
    site.listener.heard("127.0.0.1", line())

    class Stopped(SilentAtFirst):
        @override
        async def take(self, pid: int, found: Sequence[Any] | EventColumns, **rest: Any) -> list[Told]:
            site.stop.set()
            return await super().take(pid, found, **rest)

    site.ingest.__class__ = Stopped
    await asyncio.wait_for(site.listener.run(site.stop), 60)

    assert Counter(duplicate=2) == site.counted()
    assert 2 == await site.stored()


async def test_what_cannot_be_stored_at_the_end_is_counted(make: Make) -> None:
    site = await make(n_away=1_000_000)
    site.stop.set()
    for n in range(1_500):
        site.listener.heard("127.0.0.1", line(n))

    await asyncio.wait_for(site.listener.run(site.stop), 60)

    assert Counter(dropped=1_500) == site.counted()


@on_sqlite
async def test_a_sender_that_never_ends_holds_up_no_stop(make: Make) -> None:
    site = await make()
    await site.listener.open()

    async def talk() -> None:
        reading, writing = await asyncio.open_connection("127.0.0.1", site.port)
        with suppress(OSError):
            n = 0
            while not reading.at_eof():
                writing.write(line(n := n + 1) + b"\n")
                await writing.drain()
                await checkpoint()
        writing.close()

    async with running(site) as task:
        talking = asyncio.ensure_future(talk())
        await until(lambda: site.counted()["accepted"] > 0)
        site.stop.set()
        done, _ = await asyncio.wait({task}, timeout=30)
        ended = await asyncio.wait({talking}, timeout=30)
        talking.cancel()

    assert {task} == done
    assert {talking} == ended[0]
    told = site.counted()
    assert told["accepted"] == await site.stored()


@on_sqlite
async def test_the_last_line_of_a_connection_needs_no_end_and_a_message_broken_off_is_counted(make: Make) -> None:
    site = await make()
    await site.listener.open()
    async with running(site):
        for sent in (line(1) + b"\n" + line(2), b"900 " + line(3)):
            _, writing = await asyncio.open_connection("127.0.0.1", site.port)
            writing.write(sent)
            writing.close()
        await site.until(accepted=2, dropped=1)


@on_sqlite
async def test_what_waits_is_bounded_by_its_bytes(make: Make) -> None:
    site = await make(most_waiting=100_000)

    for _ in range(2_000):
        site.listener.heard("127.0.0.1", b"x" * 60_000)
    site.listener.heard("127.0.0.1", b"x" * 65_537)

    # 64 MiB of them wait.
    assert 880 <= site.counted()["dropped"] <= 890


@on_sqlite
async def test_a_datagram_that_is_too_long_waits_for_nothing(make: Make) -> None:
    site = await make()

    site.listener.heard("127.0.0.1", b"x" * 65_537)

    assert Counter(dropped=1) == site.counted()


@on_sqlite
async def test_of_too_many_senders_the_one_silent_for_longest_is_forgotten(make: Make) -> None:
    site = await make()
    async with running(site):
        others = [f"10.0.{n // 250}.{n % 250}" for n in range(1_001)]
        for peer in ("127.0.0.1", *others[:999], "127.0.0.1", *others[999:], "127.0.0.1"):
            site.listener.heard(peer, line() if peer == "127.0.0.1" else b"<14>what is this?")
        await site.until(accepted=3, unread=1_001)


@on_sqlite
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells which timers run")
async def test_the_network_is_asked_whether_a_silent_sender_is_still_there(make: Make) -> None:
    site = await make()
    await site.listener.open()
    async with running(site):
        _, writing = await asyncio.open_connection("127.0.0.1", site.port)
        other = writing.get_extra_info("sockname")[1]
        ends = f"0100007F:{site.port:04X}", f"0100007F:{other:04X}"

        def timer() -> str:
            rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()]
            return next((row[5] for row in rows if (row[1], row[2]) == ends), "")

        # 02: kept alive; then after how many hundredths of a second.
        await until(lambda: timer().startswith("02:"))
        assert 0 < int(timer().partition(":")[2], 16) <= 6_000
        writing.close()


@on_sqlite
async def test_connections_are_counted_and_that_there_are_too_many_is_told_once(make: Make) -> None:
    site = await make()
    await site.listener.open()
    with capture_logs() as told:
        async with running(site):
            open_ = [(await asyncio.open_connection("127.0.0.1", site.port))[1] for _ in range(203)]
            await site.until(refused=3)
            for one in open_:
                one.close()

    assert [True] == ["200 connections" in one["error"] for one in told if one["log_level"] == "warning"]
