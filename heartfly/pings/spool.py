"""What a node does with pings while PostgreSQL is away: keeps them on its own disk, and says how much lies there.

A ping is kept when this returns: its record is flushed, together with whatever came during the last flush. While
anything lies here, new ones go behind it, so that the order of receipt stays; at the end of a replay (replay.py) the
door is shut for the moment in which the last of them are handed to the database. The spool is bounded. Which pings may
be kept is known.py's to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count as count_from
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from heartfly.config import Settings
from heartfly.db.database import Database
from heartfly.errors import OverloadedError
from heartfly.logs import logger
from heartfly.pings.known import KnownAddresses
from heartfly.pings.request import BySlug, PingRequest, Target
from heartfly.pings.spool_file import ENDING, FOLDER, REFUSED, Piece, Spooled, SpoolFile, record_bytes

log = logger("heartfly.spool")
Result = TypeVar("Result")

_LATER_S = 30
_TOGETHER = 100
"""Of so many pings in a row it is only remembered when the oldest was received."""


class SpoolFullError(OverloadedError):
    """The spool takes nothing now: it is full, or its disk is."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What lies in a spool. `oldest_at`: nothing in it was received before. `n_bytes`: of its whole file."""

    n: int
    oldest_at: datetime
    n_bytes: int


class Left:
    """A file that waits for its replay. Of an earlier life nothing is added to it any more."""

    def __init__(self, file: SpoolFile) -> None:
        self.file = file
        self.at = file.begin
        """Up to there all is in the database."""
        self.n = 0
        """How many lie on the disk that are not in the database."""
        self._some: deque[tuple[int, datetime]] = deque()
        """Those, and those on their way to the disk: of so many in a row the oldest was received then."""

    @property
    def oldest_at(self) -> datetime | None:
        return min((at for _, at in tuple(self._some)), default=None)

    def count(self) -> None:
        """What an earlier life has left in it."""
        for piece in self.file.pieces():
            self.n += len(piece.records)
            for record in piece.records:
                self.add(record.request)

    def add(self, request: PingRequest) -> None:
        """It is on its way to the disk, or there."""
        n, at = self._some[-1] if self._some else (_TOGETHER, request.received_at)
        if n < _TOGETHER:
            self._some[-1] = n + 1, min(at, request.received_at)
        else:
            self._some.append((1, request.received_at))

    def forget(self, n: int, *, newest: bool = False) -> None:
        """So many do not lie here any more: the first of them, or the last."""
        at_end = -1 if newest else 0
        while n:
            there, at = self._some[at_end]
            taken = min(n, there)
            n -= taken
            if taken < there:
                self._some[at_end] = there - taken, at
            elif newest:
                self._some.pop()
            else:
                self._some.popleft()

    def done(self, n: int, end: int) -> None:
        """So many are in the database, up to there."""
        self.at = end
        self.n -= n
        self.forget(n)


class Spool:
    """For one event loop; `backlog` for any thread."""

    def __init__(
        self,
        data_dir: Path,
        *,
        node_id: int,
        max_bytes: int,
        known: KnownAddresses,
        count: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        """`known`: the addresses to which pings are kept. `count` is told what became of pings, and of how many."""
        self._folder = data_dir / FOLDER
        self._node_id = node_id
        self._instance = ""
        self._max_bytes = max_bytes
        self.count = count
        self.known = known
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="heartfly-spool")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="heartfly-spool-read")
        """Apart: who pings meanwhile shall not wait until a piece is read, nor the replay for each flush."""
        self._own: Left | None = None
        self.left: list[Left] = []
        """Of earlier lives, the one that received first at the front."""
        self._n = 0
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._n_coming = 0
        """How many are not on the disk yet, and so not acknowledged."""
        self._bytes = 0
        """Of records of our own, those that wait for the disk among them."""
        self._flushing: asyncio.Task[None] | None = None
        self._shut: asyncio.Event | None = None
        self.in_use = False
        """New pings go behind those that lie here."""
        self.filled = asyncio.Event()
        """Something lies here."""

    @classmethod
    def of(cls, settings: Settings, database: Database, *, count: Callable[..., None]) -> Self | None:
        """None: there is none. With SQLite the file is the database: where that is not written, no spool would be."""
        wanted = settings.spool
        if not database.on_postgres or not wanted.max_bytes:
            return None
        known = KnownAddresses(most=wanted.addresses)
        return cls(settings.data.dir, node_id=database.node_id, max_bytes=wanted.max_bytes, known=known, count=count)

    # --- files

    async def open(self, *, instance: str) -> None:
        """Make a file of our own, and take over what earlier lives have left of this instance of Heartfly."""
        self._instance = instance
        self._own = Left(await self._away(self._make))
        await self.take_over()
        # They were received before whatever comes now.
        self.in_use = bool(self.left)

    def _make(self) -> SpoolFile:
        return SpoolFile.create(self._folder, node_id=self._node_id, instance=self._instance)

    async def take_over(self) -> None:
        """Whatever no living process holds any more."""
        known = {left.file.path for left in self.left}
        found = await self._away(lambda: _left_in(self._folder, known, self._instance))
        self.left = sorted([*self.left, *found], key=lambda one: one.oldest_at.timestamp() if one.oldest_at else 0)
        for one in found:
            log.warning("spool_taken_over", n=one.n, oldest_at=one.oldest_at)
        if self.left:
            self.filled.set()

    async def close(self) -> None:
        """What is left stays for the next life; an empty file goes."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        self._reading.shutdown()
        for one in [*self.left, *([] if self._own is None else [self._own])]:
            await self._away(one.file.close if one.n else one.file.remove)
        self._threads.shutdown()

    async def _away(self, work: Callable[[], Result]) -> Result:
        """In the one thread that changes files."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @property
    def own(self) -> Left:
        """Call when it is open."""
        assert self._own is not None
        return self._own

    @property
    def backlog(self) -> Backlog | None:
        """What is not in the database yet; None: nothing."""
        found = [(left.n, left.oldest_at, left.file) for left in tuple(self.left) if left.n]
        own = self._own
        if own is not None and (own.n or self._n_coming):
            found.append((own.n + self._n_coming, own.oldest_at, own.file))
        oldest = [at for _, at, _ in found if at is not None]
        if not oldest:
            return None
        return Backlog(sum(n for n, _, _ in found), min(oldest), sum(file.size - file.begin for _, _, file in found))

    # --- pings come

    def may_keep(self, target: Target) -> bool:
        """Whether it can be told without the database that a ping to it will be taken."""
        return target in self.known and not (isinstance(target, BySlug) and target.create)

    async def turn(self) -> bool:
        """Whether a ping that comes now goes behind others here; waits out the moment in which that is undecided."""
        while self._shut is not None:
            await self._shut.wait()
        return self.in_use

    async def add(self, request: PingRequest, maybe: tuple[int, int] | None) -> None:
        """Return when it is on the disk. SpoolFullError: it is not."""
        own = self.own
        record = msgspec.msgpack.encode(
            Spooled(n=self._n + 1, request=msgspec.structs.replace(request, node_id=self._node_id), maybe=maybe)
        )
        size = record_bytes(record)
        if self._bytes + size > self._max_bytes:
            raise SpoolFullError("the database is away and the spool is full", retry_after=_LATER_S)
        self._n += 1
        self._bytes += size
        self._n_coming += 1
        own.add(request)  # from now on deadlines wait for it
        if not self.in_use:
            log.warning("spool", began_at=request.received_at)
        self.in_use = True
        flushed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, flushed))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(own))
        await flushed

    async def _flush(self, own: Left) -> None:
        """Write what waits, until nothing does."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            records, failed = [record for record, _ in batch], None
            try:
                await self._away(partial(own.file.append, records))
            except OSError as error:
                log.exception("spool", error=repr(error))
                failed = SpoolFullError("the spool cannot be written", retry_after=_LATER_S)
                self._bytes -= sum(map(record_bytes, records))
                own.forget(len(batch), newest=True)
            else:
                own.n += len(batch)
                self.count("spooled", n=len(batch))
            self._n_coming -= len(batch)
            for _, flushed in batch:
                if flushed.done():  # whoever sent it has gone; it counts all the same
                    continue
                if failed is None:
                    flushed.set_result(None)
                else:
                    flushed.set_exception(failed)
        self._flushing = None
        self.filled.set()

    # --- and are replayed

    async def read(self, left: Left, at: int) -> Piece:
        """What is on the disk from there on, as far as it is a piece. Nobody may empty the file meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, left.file.read, at)

    async def rest(self) -> tuple[list[Spooled], int]:
        """All that is on the disk of our own and not in the database, and where it ends."""
        records, at = list[Spooled](), self.own.at
        while (piece := await self.read(self.own, at)).records:
            records += piece.records
            at = piece.end
        return records, at

    async def set_aside(self, node_id: int, records: Sequence[Spooled]) -> None:
        """In a file beside the others, which nobody replays."""
        await self._away(partial(self._set_aside, node_id, records))

    def _set_aside(self, node_id: int, records: Sequence[Spooled]) -> None:
        file = self._aside(node_id)
        try:
            file.append([msgspec.msgpack.encode(record) for record in records])
        finally:
            file.close()

    def _aside(self, node_id: int) -> SpoolFile:
        """The file that takes what is set aside of that life. One that cannot be read stays, and the next takes it."""
        for n in count_from(1):
            ending = REFUSED if n == 1 else f"-{n}{REFUSED}"
            path = self._folder / f"{node_id:016x}{ending}"
            if not path.exists():
                break
            try:
                file = SpoolFile.take(path)
            except (OSError, msgspec.DecodeError) as error:  # nobody's pings shall wait for it; the doctor tells
                log.exception("spool_unreadable", file=path.name, error=repr(error))
                continue
            if file is None:  # somebody looks into it: with a new one in its place, what it holds would be gone
                raise BlockingIOError(f"{path.name} is in use")
            return file
        return SpoolFile.create(self._folder, node_id=node_id, instance=self._instance, ending=ending)

    async def shut(self) -> None:
        """Let whoever comes wait, and those be written who came before. Pair with `reopen`, soon."""
        self._shut = asyncio.Event()
        if self._flushing is not None:
            await asyncio.wait([self._flushing])

    def reopen(self, *, in_use: bool) -> None:
        """`in_use` false: what is here has been handed over, and who comes now goes behind it by himself."""
        self.in_use = in_use
        if self._shut is not None:
            self._shut.set()
            self._shut = None

    async def leave(self, left: Left) -> None:
        """As it is, for the doctor to tell of it."""
        self.left.remove(left)
        await self._away(left.file.close)

    async def emptied(self, left: Left) -> None:
        """All that was in it is in the database. Of our own: unless more has come meanwhile."""
        if left is not self._own:
            self.left.remove(left)
            await self._away(left.file.remove)
        elif not left.n and not self._n_coming:
            left.at, self._bytes = left.file.begin, 0
            await self._away(left.file.clear)
        if self.backlog is None:
            self.filled.clear()


def _left_in(folder: Path, known: AbstractSet[Path], instance: str) -> list[Left]:
    """Files of lives that are over. One of another database is left alone: the doctor tells of it."""
    found = []
    for path in sorted(set(folder.glob(f"*{ENDING}")) - known):
        try:
            left = _taken(path, instance)
        except (OSError, msgspec.DecodeError) as error:  # whoever starts must not be kept from it; the doctor tells
            log.exception("spool_unreadable", file=path.name, error=repr(error))
        else:
            found += [] if left is None else [left]
    return found


def _taken(path: Path, instance: str) -> Left | None:
    file = SpoolFile.take(path)
    if file is None:
        return None
    try:
        left = Left(file)
        left.count()
    except BaseException:
        file.close()
        raise
    if file.instance == instance:
        return left
    log.error("spool_of_another_database", file=path.name)
    file.close()
    return None
