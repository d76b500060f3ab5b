"""Access logs as they are written: lines that web servers send by syslog, over UDP and TCP, become events.

The same events as `heartfly usage import-logs` makes of a file with these lines (server/syslog_lines.py). What waits
is bounded: over UDP what is too much is dropped and counted, over TCP the sender waits. Nothing that the database does
ends the listening. Off unless a setting says where to listen.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import sqlalchemy as sa
from typing_extensions import override

from heartfly.clock import Clock
from heartfly.config.syslog import Syslog
from heartfly.core.access.as_event import Ips, Shape
from heartfly.core.access.customers import Customers, rule_of
from heartfly.core.syslog import MAX_MESSAGE, Frames
from heartfly.db.database import Database
from heartfly.db.models import projects
from heartfly.errors import HeartflyError
from heartfly.instruments import Counter
from heartfly.logs import logger
from heartfly.server.syslog_lines import Lines, Waiting
from heartfly.usage.ingest import EventIngest

log = logger("heartfly.syslog")

WIRE = "syslog"
_GATHER_S = 0.2
_AGAIN_S = 2.0
_DRAIN_S = 10.0
"""So long what has come is stored still, once it is to end."""
_MOST_CONNECTIONS = 200
_SILENT_S = 60
"""After which the network is asked whether there is still somebody at the other end of a connection."""
_ASK_EVERY_S, _ASK_TIMES = 15, 4
_PIECE = 64 * 1024
_KERNEL_BYTES = 8 * 1024 * 1024
"""Asked for, so that the kernel drops nothing while a batch is made; it may give less."""


class SyslogListener:
    def __init__(
        self, settings: Syslog, *, usage: EventIngest, database: Database, clock: Clock, count: Counter
    ) -> None:
        """`count`: messages by what became of them."""
        self._settings = settings
        self._usage = usage
        self._database = database
        self._clock = clock
        self._count = count
        self._allowed = settings.networks
        self._waiting = Waiting(settings.most_waiting)
        self._made: list[Any] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._listening: list[asyncio.DatagramTransport | asyncio.Server] = []
        self._connections: set[asyncio.Task[Any]] = set()
        self._crowded = False
        self._ended = False
        self._unknown_project = False
        self._lines = Lines(settings.format, Shape(
            customers=Customers([rule_of(one) for one in settings.customers]), ips=Ips(settings.ip),
            source=settings.source,
        ))  # fmt: skip

    async def open(self) -> None:
        """Listen; what comes waits for `run`. OSError: nobody can listen there."""
        host, port = self._settings.address
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, port))
        self._listening.append(udp)
        _widen(udp.get_extra_info("socket"))
        self._listening.append(await asyncio.start_server(self._connected, host, port, limit=_PIECE))
        log.info("syslog", address=f"{host}:{port}")

    async def run(self, stop: asyncio.Event) -> None:
        """Until then; what has come by then is stored, if that is soon done."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stopping.done():
                try:
                    await self._round(stopping)
                except HeartflyError as error:
                    log.warning("syslog", error=str(error), n=len(self._made))
                except Exception as error:  # told in the log; what could not be stored is kept, and tried again
                    log.exception("syslog", error=repr(error), n=len(self._made))
                else:
                    continue
                await _either(stopping, self._clock.sleep(_AGAIN_S))
        finally:
            stopping.cancel()
            await self._end()

    # --- in

    def heard(self, peer: str, raw: bytes) -> None:
        """A datagram. It never waits."""
        if not self.may(peer):
            self._count.add("refused")
        elif self._waiting.is_full or len(raw) > MAX_MESSAGE:
            self._count.add("dropped")
        else:
            self._waiting.add(peer, raw)
            self._arrived.set()

    def may(self, peer: str) -> bool:
        address = ip_address(peer.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._allowed)

    async def _connected(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        try:
            if task is None or not self._admits(writing.get_extra_info("peername")[0]):
                self._count.add("refused")
                return
            self._connections.add(task)
            try:
                _keep_alive(writing.get_extra_info("socket"))
                await self._stream(writing.get_extra_info("peername")[0], reading)
            finally:
                self._connections.discard(task)
        except OSError:
            self._count.add("broken")  # the sender went away in the middle of a message
        finally:
            writing.close()

    def _admits(self, peer: str) -> bool:
        if self._ended or not self.may(peer):
            return False
        full = len(self._connections) >= _MOST_CONNECTIONS
        if full and not self._crowded:
            log.warning("syslog", error=f"{_MOST_CONNECTIONS} connections are open; no more are taken", peer=peer)
        self._crowded = full
        return not full

    async def _stream(self, peer: str, reading: asyncio.StreamReader) -> None:
        frames = Frames()
        while piece := await reading.read(_PIECE):
            lost = frames.lost
            found = frames.of(piece)
            self._count.add("dropped", n=frames.lost - lost)
            await self._add(peer, found)
        lost = frames.lost
        await self._add(peer, frames.end())
        self._count.add("dropped", n=frames.lost - lost)

    async def _add(self, peer: str, found: list[bytes]) -> None:
        """As soon as there is room: meanwhile nothing more is read from him."""
        for place, one in enumerate(found):
            try:
                while self._waiting.is_full:
                    self._room.clear()
                    await self._room.wait()
            except asyncio.CancelledError:
                self._count.add("dropped", n=len(found) - place)
                raise
            self._waiting.add(peer, one)
            self._arrived.set()

    # --- out

    async def _round(self, stopping: asyncio.Future[Any]) -> None:
        """Store what is there; if nothing is, wait for it."""
        if not self._made and not self._waiting:
            self._arrived.clear()
            await _either(stopping, self._arrived.wait())
            if not self._waiting.is_a_batch:
                await _either(stopping, self._clock.sleep(_GATHER_S))
        while (self._made or self._waiting) and not stopping.done():
            await self._store()

    async def _store(self) -> None:
        """Some of it. What fails raises, and leaves the events for the next time."""
        if not self._made:
            some = self._waiting.batch()
            self._room.set()
            # Once: equal lines are counted as they are made into events.
            try:
                self._made, n_unread = await asyncio.to_thread(self._lines.events, some)
            except asyncio.CancelledError:
                self._count.add("dropped", n=len(some))
                raise
            self._count.add("unread", n=n_unread)
        if not self._made:
            return
        pid = await self._pid()
        if pid is None:
            self._count.add("dropped", n=len(self._made))
        else:
            for one in await self._usage.take(pid, self._made, wire=WIRE):
                self._count.add(one.outcome.value)
        self._made = []

    async def _end(self) -> None:
        """Hear nobody any more, and store what came until now."""
        self._ended = True
        for one in self._listening:
            one.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        try:
            async with asyncio.timeout(_DRAIN_S):
                while self._made or self._waiting:
                    await self._store()
        except Exception as error:  # told in the log, and counted: there is no time to try again
            log.exception("syslog", error=repr(error), n=len(self._made) + len(self._waiting))
        self._count.add("dropped", n=len(self._made) + len(self._waiting))

    async def _pid(self) -> int | None:
        query = sa.select(projects.c.id).where(projects.c.slug == self._settings.project)
        async with self._database.read() as reads:
            pid: int | None = (await reads.execute(query)).scalar()
        if pid is None and not self._unknown_project:
            log.warning("syslog", error=f"there is no project {self._settings.project}; what comes is dropped")
        self._unknown_project = pid is None
        return pid


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, listener: SyslogListener) -> None:
        self._listener = listener

    @override
    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._listener.heard(addr[0], data)


def _widen(found: socket.socket | None) -> None:
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)


def _keep_alive(found: socket.socket | None) -> None:
    """A sender whose machine is gone says nothing, and would hold his connection for good."""
    if found is None:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _SILENT_S), ("TCP_KEEPINTVL", _ASK_EVERY_S), ("TCP_KEEPCNT", _ASK_TIMES)):
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _either(stopping: asyncio.Future[Any], other: Any) -> None:
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
