"""How long a connection lives and how it ends: deadlines, refusals, and its part in a shutdown.

The other half, what is read and answered, is protocol.py, where the phases are drawn. Nothing here
waits: every deadline is one number, `due_at`, which run.py looks at now and then. One timer for all
connections is cheaper than two for each request.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from http import HTTPStatus
from math import inf

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl

from heartfly.core.places import place_of
from heartfly.server.exchange import Exchange
from heartfly.server.limits import ServerLimits
from heartfly.server.refusals import answer

# Plain integers, compared on every packet.
IDLE, RECEIVING, RECEIVED, DEAF, LINGERING, TURNED_AWAY = range(6)


class Shared:
    """What the connections of one server have in common."""

    def __init__(self, app: ASGI3Application, limits: ServerLimits) -> None:
        self.app = app
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.cap = limits.connection_cap()
        # These hold files too: a tenth of the cap may wait to read its 503, further ones are just dropped.
        self.turned_away_cap = max(16, self.cap // 10)
        self.connections: set[Lifetime] = set()
        self.turned_away: set[Lifetime] = set()
        self.n_by_place: Counter[str] = Counter()
        self.n_accepted = 0
        self.n_turned_away = 0
        self.on_turned_away: Callable[[], None] = lambda: None
        self.on_crowding: Callable[[], None] = lambda: None
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.date = b""
        self.default_headers: list[tuple[bytes, bytes]] = []
        self.emptied = asyncio.Event()
        """Set whenever the last connection has gone; a waiter clears it first."""


class Lifetime(asyncio.Protocol):
    # Class attributes are first values that cost a new connection nothing.
    phase = RECEIVING
    due_at = inf
    stuck_since: float | None = None
    place: str | None = None  # that its connection is counted for
    cycle: Exchange | None = None  # of the newest request
    active: Exchange | None = None  # the one whose answer is next on the wire
    begun = False  # the first request has begun
    head_done = False  # of the message being read; `cycle` is its exchange then
    keeps_alive_after_body = False

    transport: asyncio.Transport
    flow: FlowControl
    write: Callable[[bytes], None]  # this, `is_closing` and `close` are all that an exchange knows of us
    is_closing: Callable[[], bool]

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.limits = shared.limits
        self.loop = shared.loop
        self.pipeline: deque[Exchange] = deque()

    # --- limits ---

    def sweep(self, now: float) -> None:
        """Called soon after it has come due, and some twenty times within the time for a stalled answer."""
        if self.transport.is_closing() or self.flow.write_paused:
            if self.stuck_since is None:
                self.stuck_since = now
            elif now - self.stuck_since >= self.limits.send_stall_s:
                self.transport.abort()
            return
        self.stuck_since = None
        if now >= self.due_at:
            self._come_due(now)

    def _come_due(self, now: float) -> None:
        if self.phase != RECEIVING or (self.shared.draining and not self.begun):
            self.transport.close()
        elif self.flow.read_paused or self._older_exchange() is not None:
            # It is we who keep this request waiting: its time begins when we read on.
            self.due_at = now + self.limits.receive_deadline_s
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")

    def _is_one_too_many(self, host: str) -> bool:
        """Of its client's connections; else it is counted, until it is lost."""
        limits, n_by_place = self.limits, self.shared.n_by_place
        if not limits.counts(host):
            return False
        place = place_of(host)
        if n_by_place[place] >= limits.max_per_place:
            return True
        n_by_place[place] += 1
        self.place = place
        return False

    def _uncount(self) -> None:
        if self.place is not None:
            n_by_place, place = self.shared.n_by_place, self.place
            self.place = None
            n_by_place[place] -= 1
            if not n_by_place[place]:
                del n_by_place[place]

    def _turn_away(self, *, crowding: bool = False) -> None:
        """`crowding`: it is its client that has too many, not we."""
        shared = self.shared
        self.phase = TURNED_AWAY
        shared.n_turned_away += 1
        (shared.on_crowding if crowding else shared.on_turned_away)()
        if len(shared.turned_away) >= shared.turned_away_cap:
            self.transport.abort()
            return
        shared.turned_away.add(self)
        self.due_at = self.loop.time() + self.limits.linger_s

    # --- shutting down ---

    def announce_close(self) -> None:
        """Let the answer under way, if any, say that the connection ends with it."""
        if self.cycle is not None:
            self._close_after_newest()

    def hurry(self, within_s: float) -> None:
        """The listeners are closed: let go who waits for nothing, and give who has just come `within_s`."""
        if self.phase == IDLE:
            self.transport.close()
        elif not self.begun:
            self.due_at = min(self.due_at, self.loop.time() + within_s)

    def cut(self) -> None:
        """End now. A client that has heard nothing yet is told to come again."""
        active = self.active
        if active is None or active.response_complete:
            owed = self.phase == RECEIVING and self.begun
        else:
            owed = not active.response_started
            active.disconnect()
        if owed:
            self._answer_for_app(HTTPStatus.SERVICE_UNAVAILABLE, "shutting down")
        self.pipeline.clear()
        self.phase, self.due_at = LINGERING, inf
        self.transport.close()

    def _close_after_newest(self) -> None:
        assert self.cycle is not None
        self.cycle.keep_alive = self.keeps_alive_after_body = False

    # --- the end ---

    def close(self) -> None:
        """The exchange has said all. A client that is still sending gets time to read it."""
        if self.phase in {RECEIVING, DEAF}:
            self._linger()
        else:
            self.transport.close()

    def _older_exchange(self) -> Exchange | None:
        """Return the last exchange, before the message being read, that has no complete answer yet."""
        current = self.cycle if self.head_done else None
        waiting = [self.active, *self.pipeline]
        older = [each for each in waiting if each is not None and each is not current and not each.response_complete]
        return older[-1] if older else None

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Give up the message being read: answer for the application, unless earlier answers are due first."""
        current = self.cycle if self.head_done else None
        older = self._older_exchange()
        if older is not None:
            older.keep_alive = False
            self.phase, self.due_at = DEAF, inf
            return
        if current is None or not current.response_started:
            self._answer_for_app(status, reason)
        if current is not None:
            current.disconnect()
        self._linger()

    def _answer_for_app(self, status: HTTPStatus, reason: str) -> None:
        self.transport.write(answer(status, reason, date=self.shared.date))

    def _linger(self) -> None:
        """Close our side only. Closing both while bytes still arrive sends a reset, which may overtake the answer."""
        self.phase = LINGERING
        self.due_at = self.loop.time() + self.limits.linger_s
        self.flow.resume_reading()
        self.transport.write_eof()
