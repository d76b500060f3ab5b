"""One connection: strict about what is a request, and bounded in time, bytes and what it may queue.

            on_message_begin          on_message_complete        answered
    IDLE ───────────────────▶ RECEIVING ───────────────▶ RECEIVED ───────▶ IDLE
    (accepted = RECEIVING)        │ late, broken, refused
                                  ├─▶ LINGERING  told why; what still comes is thrown away
                                  └─▶ DEAF       earlier requests are still to be answered, then closed
    TURNED_AWAY: above the connection cap; 503 to whatever it sends first

llhttp reads, exchange.py runs the application, lifetime.py is how it ends. This is what is hot: a ping
passes each line here once.
"""

from __future__ import annotations

import asyncio
import contextvars
from http import HTTPStatus
from math import inf
from typing import Any, cast
from urllib.parse import unquote

import httptools
from typing_extensions import override
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from heartfly.server.exchange import WHOLE, Exchange, Http10Exchange
from heartfly.server.lifetime import IDLE, LINGERING, RECEIVED, RECEIVING, TURNED_AWAY, Lifetime, Shared
from heartfly.server.refusals import RefusedRequestError
from heartfly.server.rules import METHODS, WATCHED, expects_continue, is_plain_host, origin_form

_SLASH = ord("/")
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: dict[str, dict[object, object]] = {WHOLE: {}}


class Connection(Lifetime):
    upgrading = False
    awaits_continue = False
    chunk = 0  # length of the packet being read
    mid_chunk = False  # a message ended within this packet

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self.parser = _parser(self)
        self.room = shared.limits.max_header_bytes
        """Bytes that may still come before something complete must have come; exact to one packet."""
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.watched: list[tuple[bytes, bytes]] = []

    # --- the transport's callbacks ---

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)
        self.write, self.is_closing = transport.write, transport.is_closing
        self.flow = FlowControl(transport)
        shared = self.shared
        shared.n_accepted += 1
        if len(shared.connections) >= shared.cap:
            self._turn_away()
            return
        self.client = _host_and_port(transport.get_extra_info("peername"))
        if self.client is not None and self._is_one_too_many(self.client[0]):
            self._turn_away(crowding=True)
            return
        shared.connections.add(self)
        self.server = _host_and_port(transport.get_extra_info("sockname"))
        self.due_at = self.loop.time() + self.limits.receive_deadline_s

    @override
    def data_received(self, data: bytes) -> None:
        if self.phase > RECEIVED:
            if self.phase == TURNED_AWAY:
                self._answer_for_app(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
                self.transport.close()
            return
        self.chunk = len(data)
        self.mid_chunk = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as failure:
            cause = failure.__context__
            if not isinstance(cause, RefusedRequestError):
                raise  # a fault of ours: the event loop logs it and cuts the connection
            self._refuse(cause.status, cause.reason)
            return
        except httptools.HttpParserError as failure:
            self._refuse(HTTPStatus.BAD_REQUEST, str(failure))
            return
        else:
            if self.phase == RECEIVING:
                self._check_room(data)
            return
        # Not where the offer is caught: whatever is refused then would have that for its context, instead of its cause.
        self._decline_upgrade(rest)

    @override
    def eof_received(self) -> bool:
        """Return whether to keep the connection open for writing."""
        if self.phase != RECEIVED or self.active is None or self.active.response_started:
            # Nothing to answer, or a stream: its reader left, and the application should know at once.
            return False
        # `printf … | nc` shuts its sending side after the request and still wants the answer.
        self._close_after_newest()
        return True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for exchange in {self.active, self.cycle}:
            if exchange is not None:
                exchange.disconnect()
        self.flow.resume_writing()
        self.pipeline.clear()
        self.phase, self.due_at = LINGERING, inf
        del self.parser  # it and the exchanges hold us: freed now, not by a later collection
        self.active = self.cycle = None
        shared = self.shared
        self._uncount()
        shared.connections.discard(self)
        shared.turned_away.discard(self)
        if not shared.connections and not shared.turned_away:
            shared.emptied.set()

    @override
    def pause_writing(self) -> None:
        self.flow.pause_writing()

    @override
    def resume_writing(self) -> None:
        self.flow.resume_writing()

    # --- the parser's callbacks ---

    def on_message_begin(self) -> None:
        self.begun = True
        self.url = b""
        self.headers = []
        self.watched = []
        self.head_done = self.upgrading = False
        self.room = self.limits.max_header_bytes
        if self.phase != RECEIVING:
            self.phase = RECEIVING
            self.due_at = self.loop.time() + self.limits.receive_deadline_s

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in WATCHED:
            self.watched.append((name, value))
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if len(self.headers) > self.limits.max_headers:
            raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header fields")
        if self.room < self.chunk and self._head_bytes() > self.limits.max_header_bytes:
            raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the header is too long")
        if self.parser.get_method() not in METHODS:
            raise RefusedRequestError(HTTPStatus.NOT_IMPLEMENTED, "no such method here")
        if self.parser.should_upgrade():
            self.upgrading = True
            return
        watched, version = self.watched, self.parser.get_http_version()
        # Nearly every ping comes with just a Host: no need to look closer.
        plain = len(watched) == 1 and watched[0][0] == b"host" and version in {"1.1", "1.0"}
        self.awaits_continue = False
        if not plain or not is_plain_host(watched[0][1]):
            self.awaits_continue = expects_continue(version, watched)
        self._begin_exchange(version)

    def on_body(self, body: bytes) -> None:
        self.room = self.limits.max_header_bytes + self.chunk
        cycle = self.cycle
        assert cycle is not None
        if self.awaits_continue:
            self._need_not_ask(cycle)
        if cycle.response_complete:
            return  # answered early: what comes is thrown away
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self.mid_chunk = True
        if self.upgrading:
            return
        self.phase, self.due_at = RECEIVED, inf
        cycle = self.cycle
        assert cycle is not None
        if self.awaits_continue:
            self._need_not_ask(cycle)  # its body is empty
        if cycle.response_complete:
            self._rest()
        else:
            cycle.more_body = False
            cycle.message_event.set()

    # --- requests and their answers ---

    def _begin_exchange(self, version: str) -> None:
        if len(self.pipeline) >= self.limits.max_pipelined:
            raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests in a row")
        keep_alive = version == "1.1" and not self.shared.draining and self.parser.should_keep_alive()
        busy = self.active is not None and not self.active.response_complete
        kind = Exchange if version == "1.1" else Http10Exchange
        self.cycle = cycle = kind(
            scope=self._scope(version),
            transport=cast("asyncio.Transport", self),
            flow=self.flow,
            logger=cast("Any", None),
            access_logger=cast("Any", None),
            access_log=False,
            default_headers=self.shared.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.awaits_continue,
            # If we answer without having asked for the body, nobody knows whether it will come: close then.
            keep_alive=keep_alive and not self.awaits_continue,
            on_response=self._answered,
        )
        self.head_done = True
        self.keeps_alive_after_body = keep_alive
        self.room = self.limits.max_header_bytes + self.chunk
        self.headers = []  # trailers must not turn up among the headers that the application has
        if busy:
            self.flow.pause_reading()
            self.pipeline.append(cycle)
        else:
            self._run(cycle)

    def _need_not_ask(self, cycle: Exchange) -> None:
        """The client has sent its body unasked, or asked."""
        self.awaits_continue = False
        cycle.waiting_for_100_continue = False
        if not cycle.response_started:  # else it has been told already that the connection ends
            cycle.keep_alive = self.keeps_alive_after_body

    def _scope(self, version: str) -> HTTPScope:
        target = self.url
        if target[0] != _SLASH or b"#" in target:
            target = origin_form(target)
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,  # type: ignore[typeddict-item]  # one dictionary for all: nobody writes to it
            "http_version": version,
            "method": self.parser.get_method().decode("ascii"),
            "server": self.server,
            "client": self.client,
            "scheme": "http",
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": {},
            "extensions": _EXTENSIONS,
        }

    def _run(self, exchange: Exchange) -> None:
        self.active = exchange
        shared = self.shared
        # A context of its own: asyncio lets a request inherit the variables of the one before on its
        # connection (cpython #140947), and a log line would then carry another request's fields.
        task = self.loop.create_task(exchange.run_asgi(shared.app), context=contextvars.Context())
        shared.tasks.add(task)
        task.add_done_callback(shared.tasks.discard)

    def _answered(self) -> None:
        if self.transport.is_closing() or self.phase == LINGERING:
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._run(self.pipeline.popleft())
        elif self.phase == RECEIVED:
            self._rest()

    def _rest(self) -> None:
        self.phase = IDLE
        self.due_at = self.loop.time() + self.limits.keep_alive_s

    # --- what is not passed on ---

    def _check_room(self, data: bytes) -> None:
        """A packet is read and its message is not complete: bound what may come without an end."""
        if self.mid_chunk and not self.head_done:
            # This head began somewhere within the packet: count what is known of it.
            self.room = self.limits.max_header_bytes - self._head_bytes()
        else:
            self.room -= self.chunk
        if self.room < 0 or len(self.headers) > self.limits.max_headers:
            part = "chunk extensions or trailers are" if self.head_done else "the header is"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"{part} too long")
        elif self.url and data.endswith(b"\n") and self.parser.get_http_version() == "0.0":
            # The request line has ended without a version: such a client waits for its answer now.
            self._refuse(HTTPStatus.BAD_REQUEST, "HTTP/0.9 is not spoken here")

    def _head_bytes(self) -> int:
        return len(self.url) + 16 + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the request again without its offer of another protocol, and then what follows it.

        llhttp stops at such an offer (h2c, which Java's client makes by default, or a WebSocket) and would
        take the body for the next request: a lost body at best, a smuggled request at worst.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = _parser(self)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)


def _parser(connection: Connection) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(connection)
    # What follows a request that asked to close is ignored, instead of spoiling its answer.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _host_and_port(name: object) -> tuple[str, int] | None:
    """None: a Unix socket, or a client that is gone already."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
