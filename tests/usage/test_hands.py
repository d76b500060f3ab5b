"""The process beside the server: what becomes of work if it dies, or if nobody is left who speaks with it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.queues import Queue

import pytest

from heartfly.errors import StoreError
from heartfly.usage.hands import Hands

pytestmark = [pytest.mark.anyio, pytest.mark.spawned]

LIMIT_S = 60


@pytest.fixture
def hands() -> Iterator[Hands]:
    made = Hands()
    yield made
    made.stop()


async def test_work_whose_process_dies_is_told_so_and_the_next_is_done(hands: Hands) -> None:
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(StoreError):
            await hands.run(os._exit, 1)

        assert 3 == await hands.run(abs, -3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_work_of_which_nobody_will_ever_tell_fails_and_the_next_is_done(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(_: Queue[object]) -> None:
        raise RuntimeError("can't start new thread")

    before = {*multiprocessing.active_children()}
    async with asyncio.timeout(LIMIT_S):
        with monkeypatch.context() as without_memory:
            without_memory.setattr(Queue, "_start_thread", cannot)
            with pytest.raises(StoreError):
                await hands.run(abs, -3)

        for child in {*multiprocessing.active_children()} - before:
            child.join(LIMIT_S)
        assert set() == {*multiprocessing.active_children()} - before
        assert 3 == await hands.run(abs, -3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_work_of_which_nobody_will_ever_tell_fails_also_if_all_is_stopped_before_that_is_seen(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, died = asyncio.get_running_loop(), asyncio.Event()

    def cannot(_: Queue[object]) -> None:
        loop.call_soon_threadsafe(died.set)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Queue, "_start_thread", cannot)
    async with asyncio.timeout(LIMIT_S):
        waiting = asyncio.create_task(hands.run(abs, -3))
        await died.wait()
        hands.stop()

        with pytest.raises(StoreError):
            await waiting
