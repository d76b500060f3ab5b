"""Turns a host name into addresses, with the system's resolver.

In threads of our own: getaddrinfo blocks for up to half a minute when a name server is silent,
and the loop's few default threads would then be missing to everyone else. Whether an
address may be used is not decided here.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to numeric addresses, best first; OSError when there are none."""

_MAX_THREADS = 32

Lookup = Callable[[str, int], Sequence[str]]


def system_lookup(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


class SystemResolver:
    """Callers that want the same name at the same time share one lookup; nothing is remembered after it."""

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._threads = asyncio.Semaphore(_MAX_THREADS)
        self._under_way: dict[tuple[str, int], asyncio.Task[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        key = (host, port)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(host, port))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        # Shielded: one caller that gives up must not take the answer from the others.
        return await asyncio.shield(task)

    def _ended(self, key: tuple[str, int], task: asyncio.Task[Sequence[str]]) -> None:
        del self._under_way[key]
        # Looked at here, so that an answer nobody waits for any more is no "exception never retrieved".
        _ = task.cancelled() or task.exception()

    async def _ask(self, host: str, port: int) -> Sequence[str]:
        async with self._threads:
            return await _in_daemon_thread(self._lookup, host, port)


async def _in_daemon_thread(lookup: Lookup, host: str, port: int) -> Sequence[str]:
    """Not an executor: its threads are joined at exit, so a silent name server would hold up a shutdown."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def deliver(result: Sequence[str] | OSError) -> None:
        if answer.done():
            return
        if isinstance(result, OSError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def run() -> None:
        result: Sequence[str] | OSError
        try:
            result = lookup(host, port)
        except ValueError as error:  # a name that getaddrinfo refuses before it asks
            result = OSError(str(error))
        except OSError as error:
            result = error
        with suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits any more
            loop.call_soon_threadsafe(deliver, result)

    threading.Thread(target=run, name=f"resolve {host}", daemon=True).start()
    return await answer
