"""Serve an ASGI application inside the caller's event loop until it says stop, then drain.

Stop has three steps, so that nobody who connects meanwhile is hurt:
1. for `drain_s` still accept, but every answer says `Connection: close`: clients move on, and the next
   process (on an inherited socket) or the load balancer takes over; nobody waits for a server that nobody talks to;
2. begin no new connection, see in who has begun one, close the listeners, and let what is under way finish, at most
   `finish_s`;
3. cancel the rest; who has heard nothing yet gets a 503.
Signals and the application's own life are the caller's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from email.utils import format_datetime

from uvicorn._types import ASGI3Application

from heartfly.clock import Clock, SystemClock
from heartfly.logs import logger
from heartfly.server.lifetime import Lifetime, Shared
from heartfly.server.limits import ServerLimits
from heartfly.server.protocol import Connection
from heartfly.server.sockets import BACKLOG, let_no_more_begin

_log = logger(__name__)
_CLOSED = -1
_SWEEP_TURN_S = 0.001
"""So long at a time are deadlines looked at, and nothing else: to answer five thousand that are late takes 0.15 s."""
_QUIET_TURNS = 5
_ARRIVE_S = 0.25
"""The longest wait for a quiet moment: on a listener shared with a successor there may never be one."""


async def serve(
    app: ASGI3Application,
    *,
    sockets: Sequence[socket.socket],
    limits: ServerLimits,
    stop: asyncio.Event,
    on_listening: Callable[[], None] | None = None,
    on_turned_away: Callable[[], None] | None = None,
    on_crowding: Callable[[], None] | None = None,
    clock: Clock | None = None,
) -> None:
    """Return when `stop` was set and the last connection is closed. Takes over `sockets` and closes them.

    A response that never ends, such as a live page, is for the application to end when stop is set;
    otherwise it is cut off after drain_s + finish_s. `on_turned_away` is called for each connection above the cap,
    `on_crowding` for each of a client that has too many.
    """
    shared = Shared(app, limits)
    if on_turned_away is not None:
        shared.on_turned_away = on_turned_away
    if on_crowding is not None:
        shared.on_crowding = on_crowding
    clock = clock or SystemClock()
    sweeper = _Sweeper(shared, clock)
    listeners: list[asyncio.Server] = []
    try:
        for each in sockets:
            listeners.append(await _listen(each, shared))  # noqa: PERF401 - those that opened are closed if one fails
        if on_listening is not None:
            on_listening()
        await stop.wait()
        await _drain(shared, clock)
        await _see_in(sockets, shared, clock)
        await _close(listeners, sockets, shared)
        await _finish(shared)
    finally:
        await _close(listeners, sockets, shared)
        await _cut(shared)
        sweeper.stop()


class _Sweeper:
    """Looks at every connection's deadline, and renews what all answers have in common: the date.

    Thousands that come due together are gone through some at a time: requests are answered in between.
    """

    def __init__(self, shared: Shared, clock: Clock) -> None:
        self._shared = shared
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sweep_s, self._idle_sweep_s = shared.limits.sweep_s, shared.limits.idle_sweep_s
        self._second: datetime | None = None
        self._left: list[Lifetime] = []
        self._looks_closer_at = 0.0
        self.sweep()

    def sweep(self) -> None:
        shared = self._shared
        now = self._clock.now()
        self._next = self._loop.call_later(self._pause_s(now), self.sweep)
        second = now.replace(microsecond=0)
        if second != self._second:
            self._second = second
            shared.date = format_datetime(second, usegmt=True).encode()
            shared.default_headers = [(b"date", shared.date)]
            self._tell_of_turned_away()
        if self._left:
            return  # we are behind: those come first
        loop_now = self._loop.time()
        if loop_now >= self._looks_closer_at:  # also for who does not take what we send
            self._looks_closer_at = loop_now + shared.limits.stall_sweep_s
            self._left = [*shared.connections, *shared.turned_away]
        else:
            due = [one for one in shared.connections if one.due_at <= loop_now]
            self._left = due + [one for one in shared.turned_away if one.due_at <= loop_now]
        self._go_on()

    def _pause_s(self, now: datetime) -> float:
        """Nobody is connected, nearly always: then until the date is another, at most."""
        shared = self._shared
        if shared.connections or shared.turned_away or shared.draining:
            return self._sweep_s
        return min(self._idle_sweep_s, 1.001 - now.microsecond / 1e6)

    def _go_on(self) -> None:
        left, until = self._left, self._clock.monotonic() + _SWEEP_TURN_S
        now = self._loop.time()
        while left:
            left.pop().sweep(now)
            if self._clock.monotonic() >= until:
                self._loop.call_soon(self._go_on)
                return

    def _tell_of_turned_away(self) -> None:
        """Once a second at most: whoever floods us shall not flood the log."""
        shared = self._shared
        if shared.n_turned_away:
            _log.warning("connections turned away", count=shared.n_turned_away, cap=shared.cap)
            shared.n_turned_away = 0

    def stop(self) -> None:
        self._next.cancel()
        self._left.clear()


async def _listen(each: socket.socket, shared: Shared) -> asyncio.Server:
    def connection() -> Connection:
        return Connection(shared)

    # The event loop calls listen() again, by default with a backlog of 100.
    if each.family == socket.AF_UNIX:
        return await shared.loop.create_unix_server(connection, sock=each, backlog=BACKLOG)
    return await shared.loop.create_server(connection, sock=each, backlog=BACKLOG)


async def _drain(shared: Shared, clock: Clock) -> None:
    shared.draining = True
    for connection in tuple(shared.connections):
        connection.announce_close()
    left_s = shared.limits.drain_s
    while left_s > 0:
        before, pause_s = shared.n_accepted, min(left_s, shared.limits.quiet_s)
        await clock.sleep(pause_s)
        left_s -= pause_s
        if shared.n_accepted == before and not shared.connections and not shared.turned_away:
            return


async def _finish(shared: Shared) -> None:
    for connection in tuple(shared.connections):
        connection.hurry(shared.limits.last_request_s)
    if not await _all_gone(shared, shared.limits.finish_s):
        _log.warning("requests cut off", connections=len(shared.connections), tasks=len(shared.tasks))


async def _cut(shared: Shared) -> None:
    """Leave nothing behind: no connection, no task."""
    for connection in (*shared.connections, *shared.turned_away):
        connection.cut()
    if not await _all_gone(shared, shared.limits.leave_s):
        for task in tuple(shared.tasks):
            task.cancel()
        for connection in (*shared.connections, *shared.turned_away):
            connection.transport.abort()
        if not await _all_gone(shared, shared.limits.leave_s):
            _log.error("requests ignore their cancellation", tasks=len(shared.tasks))


async def _all_gone(shared: Shared, within_s: float) -> bool:
    gone = shared.loop.create_task(_wait_for_all(shared))
    try:
        done, _ = await asyncio.wait({gone}, timeout=within_s)
    finally:
        gone.cancel()
    return bool(done)


async def _wait_for_all(shared: Shared) -> None:
    """Wait for connections and tasks: a client may leave while what it asked for is still being written."""
    while shared.connections or shared.turned_away:
        shared.emptied.clear()
        await shared.emptied.wait()
    while shared.tasks:
        await asyncio.wait(shared.tasks)


async def _see_in(sockets: Sequence[socket.socket], shared: Shared, clock: Clock) -> None:
    """Of listeners that are ours alone: begin no connection any more, and wait for those that have begun.

    Else somebody may get into the kernel's queue between our last look into it and its end, and is cut off.
    """
    begins_no_more = [let_no_more_begin(each) for each in sockets]
    if any(begins_no_more):
        await clock.sleep(shared.limits.handshake_s)


async def _close(listeners: Sequence[asyncio.Server], sockets: Sequence[socket.socket], shared: Shared) -> None:
    """Let in who is in the kernel's queue, accept no more, let in who has been accepted, and only then close."""
    await _arrivals(shared)
    for each in sockets:
        if each.fileno() != _CLOSED:
            shared.loop.remove_reader(each)  # asyncio's way to accept; uvloop has none, and this does nothing
    await _arrivals(shared)
    for listener in listeners:
        listener.close()
    for each in sockets:
        each.close()


async def _arrivals(shared: Shared) -> None:
    """Wait until nobody new has come for some turns of the loop.

    uvloop accepts one connection a turn. asyncio takes three turns from the accept to our connection, and
    drops it if the listener closes within them.
    """
    give_up_at = shared.loop.time() + _ARRIVE_S
    quiet = 0
    while quiet < _QUIET_TURNS and shared.loop.time() < give_up_at:
        before = shared.n_accepted
        turn = shared.loop.create_future()
        shared.loop.call_soon(turn.set_result, None)
        await turn
        quiet = quiet + 1 if before == shared.n_accepted else 0
