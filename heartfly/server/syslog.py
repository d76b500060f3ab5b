"""Access logs as they are written: lines that web servers send by syslog, over UDP and TCP, become events.

The same events as `heartfly usage import-logs` makes of a file with these lines. What waits is bounded: over UDP what
is too much is dropped and counted, over TCP the sender waits. Off unless a setting says where to listen.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict, deque
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import sqlalchemy as sa
from typing_extensions import override

from heartfly.clock import Clock
from heartfly.config.syslog import Syslog
from heartfly.core.access.as_event import Ids, Ips, Shape, event_text
from heartfly.core.access.customers import Customers, rule_of
from heartfly.core.access.formats import reader
from heartfly.core.access.request import Parser, Unread
from heartfly.core.events import read
from heartfly.core.syslog import Frames, message_of
from heartfly.db.database import Database
from heartfly.db.models import projects
from heartfly.errors import HeartflyError
from heartfly.instruments import Counter
from heartfly.logs import logger
from heartfly.usage.ingest import EventIngest

log = logger("heartfly.syslog")

WIRE = "syslog"
_AT_ONCE = 1_000
_GATHER_S = 0.2
_AGAIN_S = 2.0
_MOST_SENDERS = 1_000
_MOST_CONNECTIONS = 200
_PIECE = 256 * 1024
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
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._senders: OrderedDict[tuple[str, str], tuple[Parser, Ids]] = OrderedDict()
        self._listening: list[asyncio.DatagramTransport | asyncio.Server] = []
        self._n_connections = 0
        self._unknown_project = False
        self._shape = Shape(
            customers=Customers([rule_of(one) for one in settings.customers]), ips=Ips(settings.ip),
            source=settings.source,
        )  # fmt: skip

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
        """Until then; what has come by then is stored."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stopping.done():
                await _either(stopping, self._arrived.wait())
                if len(self._waiting) < _AT_ONCE:
                    await _either(stopping, self._clock.sleep(_GATHER_S))
                self._arrived.clear()
                while self._waiting and not stopping.done():
                    await self._one_batch(stopping)
        finally:
            stopping.cancel()
            for one in self._listening:
                one.close()
            while self._waiting and await self._stored(self._batch()):
                pass
            self._count.add("dropped", n=len(self._waiting))

    # --- in

    def heard(self, peer: str, raw: bytes) -> None:
        """A datagram. It never waits."""
        if not self.may(peer):
            self._count.add("refused")
        elif len(self._waiting) >= self._settings.most_waiting:
            self._count.add("dropped")
        else:
            self._waiting.append((peer, raw))
            self._arrived.set()

    def may(self, peer: str) -> bool:
        address = ip_address(peer.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._allowed)

    async def _connected(self, reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        peer = writing.get_extra_info("peername")[0]
        try:
            if not self.may(peer) or self._n_connections >= _MOST_CONNECTIONS:
                self._count.add("refused")
                return
            self._n_connections += 1
            try:
                await self._stream(peer, reading)
            finally:
                self._n_connections -= 1
        except OSError:
            self._count.add("broken")  # the sender went away in the middle of a message
        finally:
            writing.close()

    async def _stream(self, peer: str, reading: asyncio.StreamReader) -> None:
        frames = Frames()
        while piece := await reading.read(_PIECE):
            lost = frames.lost
            self._waiting.extend((peer, one) for one in frames.of(piece))
            self._count.add("dropped", n=frames.lost - lost)
            self._arrived.set()
            while len(self._waiting) >= self._settings.most_waiting:
                self._room.clear()
                await self._room.wait()

    # --- out

    def _batch(self) -> Sequence[tuple[str, bytes]]:
        some = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        self._room.set()
        return some

    async def _one_batch(self, stopping: asyncio.Future[Any]) -> None:
        """Again and again, until it is stored: meanwhile what comes waits, and then is dropped."""
        some = self._batch()
        while not await self._stored(some):
            if stopping.done():
                self._count.add("dropped", n=len(some))
                return
            await _either(stopping, self._clock.sleep(_AGAIN_S))

    async def _stored(self, some: Sequence[tuple[str, bytes]]) -> bool:
        """False: not now."""
        events = await asyncio.to_thread(self._events, some)
        try:
            pid = await self._pid()
            told = await self._usage.take(pid, events, wire=WIRE) if pid is not None and events else []
        except HeartflyError as error:
            log.warning("syslog", error=str(error), n=len(events))
            return False
        for one in told:
            self._count.add(one.outcome.value)
        if pid is None:
            self._count.add("dropped", n=len(events))
        return True

    def _events(self, some: Sequence[tuple[str, bytes]]) -> list[Any]:
        """In the order in which they came: equal lines are told apart by it."""
        made = []
        for peer, raw in some:
            message = message_of(raw)
            parse, ids = self._sender(peer, message.host)
            found = parse(message.text.decode("utf-8", "replace"))
            if found is None or isinstance(found, Unread):
                self._count.add("unread")
                continue
            text, _, _ = event_text(found, ids.of(message.text, found.at), self._shape)
            made.append(read(text))
        return made

    def _sender(self, peer: str, host: str) -> tuple[Parser, Ids]:
        known = self._senders.get((peer, host))
        if known is None:
            known = self._senders[peer, host] = (reader(self._settings.format), Ids(self._shape.source))
            if len(self._senders) > _MOST_SENDERS:
                self._senders.popitem(last=False)
        return known

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


async def _either(stopping: asyncio.Future[Any], other: Any) -> None:
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
