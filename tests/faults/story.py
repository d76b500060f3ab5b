"""A short life of a Heartfly, told so that it comes out alike wherever it is cut off: a run that goes well and one that
hangs, a job that fails and gets well, one that falls silent, and a webhook for each flip.

Whoever heard no 2xx says it again; who finds the server dead starts it on what is left. In the end all six promises of
auditor.py are held. Where it is cut off, and by what, is not decided here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
import signal
import urllib.error
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

import psycopg
from sqlalchemy.engine import URL, make_url

from tests.faults.auditor import Alive, audit
from tests.faults.clients import SECOND, Job, Load, now, set_up, until_drained
from tests.faults.days_over import sum_up_days
from tests.faults.lives import Span
from tests.notify.receivers import HttpReceiver
from tests.server_process import Server, free_port

LIMIT_S = 180
_TOLD = "the database"
"""What a server says without which it cannot start."""
PATIENCE_S = 60
"""A deadline that was passed over shows in that the story does not end; a busy machine may take its time."""
MOODY, BEGUN, SILENT = "moody", "begun", "silent"
JOBS = (
    Job(MOODY, "moody"),
    Job(BEGUN, "begun", max_run=1),
    Job(SILENT, "silent", period=5, grace=1, max_run=None),
)


@dataclass
class Place:
    """A Heartfly that has its checks and its channels, and stands still; each story begins with a copy of it."""

    server: Server
    key: str
    jobs: dict[str, Job]
    receiver: HttpReceiver

    def copy(self, folder: Path) -> Server:
        """On PostgreSQL with a database of its own, which its user drops."""
        shutil.copytree(self.server.folder / "heartfly-data", folder / "heartfly-data")
        self.receiver.requests.clear()
        settings = dict(self.server.settings)
        if original := settings.get("DATABASE__URL"):
            settings["DATABASE__URL"] = copied(make_url(original))
        return Server(folder, settings, port=self.server.port)


_numbers = itertools.count(1)


def copied(original: URL) -> str:
    """A database that is as this one is, into which nobody may look meanwhile."""
    copy = original.set(database=f"{original.database}_copy_{next(_numbers)}")
    _execute(original, f'CREATE DATABASE "{copy.database}" TEMPLATE "{original.database}"')
    return copy.render_as_string(hide_password=False)


def drop(url: str) -> None:
    _execute(make_url(url), f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


def _execute(url: URL, statement: str) -> None:
    beside = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(beside, autocommit=True) as connection:
        connection.execute(statement.encode())


@asynccontextmanager
async def prepared(folder: Path, url: str = "") -> AsyncIterator[Place]:
    """`url`: of an empty database of PostgreSQL that nobody else looks into; "": SQLite."""
    folder.mkdir()
    settings = {"PINGS__RATE_PER_MINUTE": "1000000"} | ({"DATABASE__URL": url} if url else {})
    server = Server(folder, settings, port=free_port())
    async with HttpReceiver() as receiver:
        try:
            keys = server.init()  # in this process, which goes into the folder: one after another
            await asyncio.to_thread(server.start)
            load = await set_up(server, keys["api_key"], receiver, JOBS)
            assert 0 == await asyncio.to_thread(server.stop)
        finally:
            server.leave()
        yield Place(server, keys["api_key"], load.jobs, receiver)


@dataclass
class Story:
    """`before`: what runs the first life. That one may be killed; all that come after are let alone.

    `may_end`: one that cannot start may also say why and end, once; whoever starts it does so again. `through`: where
    the server finds its PostgreSQL, if elsewhere than who looks there afterwards.
    """

    place: Place
    server: Server
    seed: int
    before: Sequence[str] = ()
    may_end: bool = False
    through: str = ""
    lives: list[Span] = field(default_factory=list)
    n_kills: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.load = Load(self.server.port, [], jobs=self.place.jobs)
        self.paths = {job.name: path for path, job in self.place.jobs.items()}

    async def told(self) -> Counter[str]:
        """How it was judged."""
        settings = self.server.settings
        if self.through:
            self.server.settings = settings | {"DATABASE__URL": self.through}
        try:
            await self._is_lived()
        finally:
            self.server.leave()
            self.server.settings = settings
        end = now()
        await sum_up_days(self.server)
        alive = Alive(self.lives, PATIENCE_S * SECOND, end)
        # Beside: others' databases may be behind a relay that has its turn in this loop.
        return await asyncio.to_thread(audit, self.server, self.load, self.place.receiver, self.seed, alive=alive)

    async def _is_lived(self) -> None:
        await self._starts(self.before)
        await self._say(SILENT, "")
        run = await self._say(BEGUN, "/start")
        await self._say(BEGUN, "", run)
        await self._say(BEGUN, "/start")
        for end in ("", "/fail", ""):
            await self._say(MOODY, end)
        await self._until(self._silence_is_told)
        await self._say(BEGUN, "")
        await self._until(self._drained)
        while (status := await asyncio.to_thread(self.server.stop)) == -signal.SIGKILL:
            await self._looks()
            await self._until(self._drained)
        self.lives.append((self.since, now()))
        assert 0 == status

    async def _starts(self, before: Sequence[str]) -> None:
        self.server.before = before
        log = self.server.folder / "server.log"
        n_before = len(log.read_text()) if log.exists() else 0
        try:
            await asyncio.to_thread(self.server.start)
        except AssertionError:
            said = log.read_text()[n_before:]
            if self.may_end and self._status() == 1 and _TOLD in said and "Traceback" not in said:
                self.may_end = False
            elif self.n_kills == 0 and self._status() == -signal.SIGKILL:
                self.n_kills += 1
            else:
                raise
            await self._starts([])
        else:
            self.since = now()

    def _status(self) -> int | None:
        assert self.server.process is not None
        return self.server.process.poll()

    async def _looks(self) -> None:
        """Whoever finds it dead starts it."""
        if (status := self._status()) is not None:
            assert (-signal.SIGKILL, 0) == (status, self.n_kills)
            self.n_kills += 1
            self.lives.append((self.since, now()))
            await self._starts([])

    async def _say(self, name: str, end: str, run: str = "") -> str:
        """Until it was heard, each time under a new id, as that of another run; the id under which it was heard."""
        path, rid = self.paths[name], run or self._rid()
        async with asyncio.timeout(LIMIT_S):
            while not await self.load.ping(path, end, rid):
                rid = self._rid()
                await self._looks()
        return rid

    def _rid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    async def _until(self, so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not await so():
                await self._looks()
                await asyncio.sleep(0.05)  # noqa: TID251 - polls a real process, bounded above

    async def _silence_is_told(self) -> bool:
        said = [json.loads(one.body) for one in self.place.receiver.requests]
        return any(event["type"] == "check.down" and event["check"]["name"] == SILENT for event in said)

    async def _drained(self) -> bool:
        try:
            await until_drained(self.server, self.place.key)
        except (urllib.error.URLError, ConnectionError, HTTPException):
            return False
        return True


Point = TypeVar("Point")


async def each_at(
    places: Sequence[Place], points: Iterator[Point], one: Callable[[Point, Place], Awaitable[None]]
) -> None:
    """One after another at each place, all places at one time."""

    async def those_of(place: Place) -> None:
        for point in points:
            await one(point, place)

    async with asyncio.TaskGroup() as group:
        for place in places:
            group.create_task(those_of(place))
