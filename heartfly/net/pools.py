"""Hands out connection pools: a few small ones for each host, closed when idle.

No pool ever has more requests than connections, so nothing queues inside one, and a host that was asked for
much at once and now for little lets go of the pools that it does not need. How requests are made is http.py's,
whose turn it is seats.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from heartfly.net.seats import HostSeats

POOL_SIZE = 5
PATIENCE_S = 0.5
"""Whoever has a connection for so long without an answer makes room for others at the same host."""


class Closable(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=Closable)


@dataclass(slots=True, eq=False)
class _Pool(Generic[T]):
    item: T
    busy: int = 0
    closing: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class _Host(Generic[T]):
    seats: HostSeats
    pools: list[_Pool[T]] = field(default_factory=list)
    users: int = 0  # holding a seat or waiting for one


class HostPools(Generic[T]):
    def __init__(self, make: Callable[[], T], *, per_host: int, idle_s: float, patience_s: float = PATIENCE_S) -> None:
        """`per_host`: so many at a time that are answered soon, and as many that are not."""
        self._make = make
        self._per_host = per_host
        self._patience_s = patience_s
        self._idle_s = idle_s
        self._hosts: dict[str, _Host[T]] = {}
        self._closings: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lease(self, name: str, *, slow: bool = False) -> AsyncIterator[T]:
        """Lend a pool that has a connection free for one request; wait, in order, while the host has none.

        `slow`: whoever is asked left the last request unanswered.
        """
        host = self._hosts.setdefault(name, _Host(HostSeats(self._per_host, patience_s=self._patience_s)))
        host.users += 1
        try:
            async with host.seats.seat(slow=slow):
                pool = self._take(host)
                try:
                    yield pool.item
                finally:
                    self._give_back(name, host, pool)
        finally:
            host.users -= 1
            self._forget_if_unused(name, host)

    def open_pools(self) -> dict[str, int]:
        """How many pools each host has; for gauges and tests."""
        return {name: len(host.pools) for name, host in self._hosts.items()}

    async def aclose(self) -> None:
        for name, host in tuple(self._hosts.items()):
            for pool in tuple(host.pools):
                self._close(name, host, pool)
        await asyncio.gather(*self._closings)

    def _take(self, host: _Host[T]) -> _Pool[T]:
        # The first with room: the last ones fall idle soonest, and are closed.
        pool = next((pool for pool in host.pools if pool.busy < POOL_SIZE), None)
        if pool is None:
            pool = _Pool(self._make())
            host.pools.append(pool)
        if pool.closing is not None:
            pool.closing.cancel()
            pool.closing = None
        pool.busy += 1
        return pool

    def _give_back(self, name: str, host: _Host[T], pool: _Pool[T]) -> None:
        pool.busy -= 1
        if not pool.busy and pool in host.pools:  # else it was closed while in use
            loop = asyncio.get_running_loop()
            pool.closing = loop.call_later(self._idle_s, self._close, name, host, pool)

    def _close(self, name: str, host: _Host[T], pool: _Pool[T]) -> None:
        if pool.closing is not None:
            pool.closing.cancel()
        host.pools.remove(pool)
        self._forget_if_unused(name, host)
        task = asyncio.get_running_loop().create_task(_close_item(pool.item))
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)

    def _forget_if_unused(self, name: str, host: _Host[T]) -> None:
        if not host.pools and not host.users:
            self._hosts.pop(name, None)


async def _close_item(item: Closable) -> None:
    await item.aclose()
