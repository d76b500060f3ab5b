"""Names become addresses in threads, once for all who ask at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest

from heartfly.net.resolver import SystemResolver

pytestmark = pytest.mark.anyio


class SlowNames:
    """A lookup that answers when the test lets it, as a silent name server does after half a minute."""

    def __init__(self, answer: Sequence[str] | OSError = ("192.0.2.1",)) -> None:
        self.answer = answer
        self.asked = 0
        self.let = threading.Event()

    def __call__(self, *_: object) -> Sequence[str]:
        self.asked += 1
        assert self.let.wait(60)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


async def test_the_systems_own_names_are_resolved_without_a_network() -> None:
    assert "127.0.0.1" in await SystemResolver()("localhost", 80)


async def test_a_name_that_cannot_exist_is_an_os_error() -> None:
    for name in ("a..b", "x" * 64, "\udc80", "a\0b"):
        with pytest.raises(OSError, match=r"."):
            await SystemResolver()(name, 80)


async def test_why_a_name_was_refused_before_it_was_asked_for_is_told() -> None:
    def refuse(host: str, _port: int) -> Sequence[str]:
        raise ValueError(f"{host} is odd")

    with pytest.raises(OSError, match=r"^a\.example is odd$"):
        await SystemResolver(refuse)("a.example", 80)


async def test_callers_that_ask_for_the_same_name_share_one_lookup() -> None:
    names = SlowNames()
    resolver = SystemResolver(names)
    asking = [asyncio.create_task(resolver("a.example", 80)) for _ in range(10)]
    await asyncio.wait(asking, timeout=0.01)
    names.let.set()

    assert [("192.0.2.1",)] * 10 == await asyncio.gather(*asking)
    assert 1 == names.asked
    await resolver("a.example", 80)
    assert 2 == names.asked


async def test_one_caller_that_gives_up_does_not_disturb_the_others() -> None:
    names = SlowNames()
    resolver = SystemResolver(names)
    hasty = asyncio.create_task(resolver("a.example", 80))
    patient = asyncio.create_task(resolver("a.example", 80))
    await asyncio.wait([hasty], timeout=0.01)
    hasty.cancel()
    with suppress(asyncio.CancelledError):
        await hasty
    names.let.set()

    assert ("192.0.2.1",) == await patient


async def test_an_answer_that_comes_when_nobody_waits_any_more_is_no_error() -> None:
    names = SlowNames(OSError("late"))
    resolver = SystemResolver(names)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await resolver("a.example", 80)
    (lookup,) = resolver._under_way.values()
    names.let.set()
    await asyncio.wait([lookup])

    assert {} == resolver._under_way


async def test_an_answer_after_the_lookup_was_cancelled_is_dropped() -> None:
    names = SlowNames()
    resolver = SystemResolver(names)
    asking = asyncio.create_task(resolver("b.example", 80))
    while not names.asked:
        await asyncio.wait([asking], timeout=0.001)
    (lookup,) = resolver._under_way.values()
    lookup.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    (thread,) = (one for one in threading.enumerate() if one.name == "resolve b.example")
    names.let.set()
    thread.join(60)

    assert ("192.0.2.1",) == await resolver("b.example", 80)


async def test_a_silent_name_does_not_hold_up_another() -> None:
    stuck = threading.Event()

    def lookup(host: str, port: int) -> Sequence[str]:
        if host == "silent.example":
            stuck.wait(120)
        return ("192.0.2.7",)

    resolver = SystemResolver(lookup)
    silent = asyncio.create_task(resolver("silent.example", 80))
    async with asyncio.timeout(60):
        assert ("192.0.2.7",) == await resolver("b.example", 80)
    assert not silent.done()
    stuck.set()
    await silent


def test_an_answer_after_the_end_of_the_loop_is_dropped() -> None:
    names = SlowNames()

    async def ask_and_give_up() -> None:
        asking = asyncio.create_task(SystemResolver(names)("late.example", 80))
        while not names.asked:
            await asyncio.wait([asking], timeout=0.001)

    asyncio.run(ask_and_give_up())
    (thread,) = (one for one in threading.enumerate() if one.name == "resolve late.example")
    assert thread.daemon  # a silent name server must not hold up the end of the process
    names.let.set()
    thread.join(60)

    assert not thread.is_alive()
