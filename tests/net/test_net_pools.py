"""Pools are few, small, reused while warm, and closed when idle."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from heartfly.net.pools import PATIENCE_S, POOL_SIZE, HostPools

pytestmark = pytest.mark.anyio


class Pool:
    """Stands where a connection pool would: says when it was closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def aclose(self) -> None:
        self.closed.set()


def pools(*, per_host: int = 30, idle_s: float = 60.0, patience_s: float = PATIENCE_S) -> HostPools[Pool]:
    return HostPools(Pool, per_host=per_host, idle_s=idle_s, patience_s=patience_s)


async def test_no_pool_has_more_users_than_connections() -> None:
    them = pools()
    async with AsyncExitStack() as stack:
        leased = [await stack.enter_async_context(them.lease("a")) for _ in range(2 * POOL_SIZE + 1)]
        assert {"a": 3} == them.open_pools()

    assert [POOL_SIZE, POOL_SIZE, 1] == [leased.count(pool) for pool in dict.fromkeys(leased)]
    await them.aclose()


async def test_hosts_have_pools_of_their_own() -> None:
    them = pools()
    async with them.lease("a") as first, them.lease("b") as second:
        assert first is not second

    assert {"a": 1, "b": 1} == them.open_pools()
    await them.aclose()


async def test_a_warm_pool_is_used_again() -> None:
    them = pools()
    async with them.lease("a") as first:
        pass
    async with them.lease("a") as second:
        assert first is second

    await them.aclose()


async def test_those_who_wait_for_a_host_are_served_in_order() -> None:
    them, served = pools(per_host=1), list[int]()

    async def use(number: int) -> None:
        async with them.lease("a"):
            served.append(number)

    async with them.lease("a"):
        waiting = [asyncio.create_task(use(number)) for number in range(5)]
    await asyncio.gather(*waiting)

    assert [0, 1, 2, 3, 4] == served
    await them.aclose()


@pytest.mark.parametrize("called", [False, True])
async def test_who_gives_up_waiting_takes_no_place_from_those_behind(*, called: bool) -> None:
    them, served = pools(per_host=1), list[int]()

    async def use(number: int) -> None:
        async with them.lease("a"):
            served.append(number)

    async with them.lease("a"):
        waiting = [asyncio.create_task(use(number)) for number in range(3)]
        await asyncio.sleep(0)  # noqa: TID251 - they begin to wait
        if not called:
            waiting[0].cancel()
    if called:  # it is its turn, and it has not heard so yet
        waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert [1, 2] == served
    async with them.lease("a"):
        assert {"a": 1} == them.open_pools()
    await them.aclose()


async def test_who_is_not_answered_makes_room_while_there_is_some_for_those_who_wait_long() -> None:
    them = pools(per_host=1, patience_s=0.01)

    async def come_third() -> None:
        async with them.lease("a"):
            pass

    async with them.lease("a"), them.lease("a"):  # the second came in when the first had waited so long
        third = asyncio.create_task(come_third())
        async with them.lease("b"), them.lease("b"):  # by now the second at "a" has, too
            assert not third.done()

    await third
    await them.aclose()


async def test_an_idle_pool_is_closed_and_its_host_forgotten() -> None:
    them = pools(idle_s=0.01)
    async with them.lease("a") as pool:
        pass
    async with asyncio.timeout(60):
        await pool.closed.wait()

    assert {} == them.open_pools()


async def test_a_pool_in_use_outlives_the_idle_time() -> None:
    them = pools(idle_s=0.01)
    async with them.lease("a") as pool:
        pass
    async with them.lease("a") as again, them.lease("b") as other:
        assert again is pool
        async with them.lease("c") as third:
            pass
        async with asyncio.timeout(60):
            await third.closed.wait()  # so the idle time of the first has passed as well

        assert (False, False) == (pool.closed.is_set(), other.closed.is_set())

    await them.aclose()
    assert (True, True) == (pool.closed.is_set(), other.closed.is_set())


async def test_idle_pools_of_a_busy_host_are_closed() -> None:
    them = pools(idle_s=0.01)
    async with AsyncExitStack() as stack:
        kept = [await stack.enter_async_context(them.lease("a")) for _ in range(POOL_SIZE)]
        async with them.lease("a") as extra:
            pass
        async with asyncio.timeout(60):
            await extra.closed.wait()

        assert {"a": 1} == them.open_pools()
        assert not kept[0].closed.is_set()

    await them.aclose()


async def test_after_closing_no_idle_time_ends_any_more() -> None:
    complaints = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    them, others = pools(idle_s=0.01), pools(idle_s=0.01)
    async with them.lease("a") as idle:
        pass
    async with them.lease("b") as in_use:
        await them.aclose()
        assert (True, True) == (idle.closed.is_set(), in_use.closed.is_set())
    async with others.lease("c") as later:
        pass
    async with asyncio.timeout(60):
        await later.closed.wait()

    assert [] == complaints
    assert {} == them.open_pools()


async def test_a_host_whose_pool_was_closed_under_a_waiter_is_kept() -> None:
    them = pools(per_host=1)
    async with them.lease("a") as first:
        waiting = asyncio.create_task(them.lease("a").__aenter__())
        while not them._hosts["a"].users == 2:  # noqa: SIM201 - reads as the state that is waited for
            await asyncio.wait([waiting], timeout=0.001)
        await them.aclose()
        assert first.closed.is_set()

    second = await waiting
    assert second is not first
    assert {"a": 1} == them.open_pools()
    await them.aclose()
