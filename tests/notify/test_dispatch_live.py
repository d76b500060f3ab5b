"""The loop of a server: woken by what is written, and never kept waiting by a channel that is dead or slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest

from heartfly.clock import SystemClock
from heartfly.notify.dispatch import MEANWHILE, Dispatcher
from heartfly.notify.lanes import MAX_IN_FLIGHT
from heartfly.notify.message import Delivery
from heartfly.notify.work import LEASE
from tests.notify.post_office import PostOffice, ScriptedChannel
from tests.notify.receivers import HttpReceiver
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

LIMIT_S = 60.0
"""For what takes milliseconds on a machine with nothing else to do."""


@pytest.fixture
def live(post: PostOffice) -> PostOffice:
    post.at = SystemClock().now()
    return post


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.create_task(dispatcher.run(stop))
    yield stop
    stop.set()
    async with asyncio.timeout(LIMIT_S):
        await loop


class Counter(ScriptedChannel):
    """Tells when it has been asked, and has sent, so many times; holds each send until it may go on."""

    def __init__(self, *, kind: str, holds: bool = False, concurrency: int = 8, **traits: object) -> None:
        super().__init__(self._hold, kind=kind, concurrency=concurrency, **traits)
        self.go_on = asyncio.Event()
        if not holds:
            self.go_on.set()
        self._changed = asyncio.Condition()

    async def _hold(self, _: Delivery) -> None:
        async with self._changed:
            self._changed.notify_all()
        await self.go_on.wait()

    async def asked(self, times: int) -> None:
        async with asyncio.timeout(LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.tried) >= times)


async def taken(post: PostOffice, count: int) -> None:
    """Wait until so many deliveries were claimed."""
    async with asyncio.timeout(LIMIT_S):
        while len(await post.deliveries()) < count:
            await post.db.write(lambda _: None)


async def settled(post: PostOffice, state: str, count: int) -> None:
    """Wait until so many notifications have come to this state."""
    async with asyncio.timeout(LIMIT_S):
        while (await post.states()).count(state) < count:
            await post.db.write(lambda _: None)


async def test_what_is_written_wakes_it(live: PostOffice, receiver: HttpReceiver) -> None:
    channel = await live.webhook(receiver.url)

    async with running(live.dispatcher()):
        await live.db.write(lambda tx: tx.changes.wake(live.at))
        for n in range(3):
            await live.alert([channel.channel_id], f"check:{n}")
            await settled(live, "sent", n + 1)

    assert 3 == len(receiver.requests)


async def test_what_was_there_before_is_sent_at_the_start(live: PostOffice) -> None:
    scripted = ScriptedChannel()
    channel = await live.scripted()
    await live.alerts([channel.channel_id], [f"check:{n}" for n in range(60)])

    async with running(live.dispatcher(scripted)):
        await settled(live, "sent", 60)


async def test_a_pace_is_kept_without_being_woken(live: PostOffice) -> None:
    paced = Counter(kind="paced", min_interval_s=0.05)
    channel = await live.scripted("paced")
    await live.alerts([channel.channel_id], [f"check:{n}" for n in range(4)])

    async with running(live.dispatcher(paced)):
        await paced.asked(4)

    starts = sorted(row.started_at for row in await live.attempts())
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(starts)]
    assert all(gap >= 0.05 for gap in gaps), gaps


async def test_dead_channels_keep_nobody_waiting(live: PostOffice) -> None:
    """Many times more sends hang than may be under way at once; a working channel is served all the same."""
    dead, well = Counter(kind="dead", holds=True), Counter(kind="well")
    n_dead = MAX_IN_FLIGHT // 4 + 10
    for _ in range(n_dead):
        channel = await live.scripted("dead")
        await live.alerts([channel.channel_id], [f"check:{n}" for n in range(6)])
    working = await live.scripted("well")

    async with running(live.dispatcher(dead, well, landing_s=0.0)):
        await dead.asked(MAX_IN_FLIGHT)
        for n in range(3):
            await live.alert([working.channel_id], f"check:{n}")
            await well.asked(n + 1)

        assert MAX_IN_FLIGHT <= len(dead.tried) < MAX_IN_FLIGHT + n_dead + 10
        assert [] == dead.sent


async def test_a_slow_receiver_gets_what_it_can_take_and_no_more(live: PostOffice) -> None:
    slow = Counter(kind="slow", holds=True, concurrency=3)
    channel = await live.scripted("slow")
    await live.alerts([channel.channel_id], [f"check:{n}" for n in range(10)])

    async with running(live.dispatcher(slow)):
        await slow.asked(3)
        await live.alert([channel.channel_id], "check:99")
        await live.db.write(lambda _: None)
        assert 3 == len(slow.tried)
        slow.go_on.set()
        await settled(live, "sent", 11)


async def test_while_others_are_in_a_hurry_a_few_go_out_and_the_rest_after(live: PostOffice) -> None:
    held = Counter(kind="held", holds=True, concurrency=50)
    hurry = [True]
    channel_ids = [(await live.scripted("held")).channel_id for _ in range(3)]
    await live.alerts(channel_ids, [f"check:{n}" for n in range(20)])
    few = MEANWHILE + 2  # nobody waits for another: each of the two other channels has one

    async with running(live.dispatcher(held, gives_way=lambda: hurry[0])):
        await held.asked(few)
        await live.alert(channel_ids, "check:99")
        assert few == len(await live.deliveries())
        hurry[0] = False
        held.go_on.set()
        await settled(live, "sent", 63)


async def test_a_send_under_way_may_end_when_it_is_stopped(live: PostOffice) -> None:
    slow = Counter(kind="slow", holds=True)
    channel = await live.scripted("slow")

    async with running(live.dispatcher(slow)) as stop:
        await live.alert([channel.channel_id])
        await slow.asked(1)
        stop.set()
        await live.db.write(lambda _: None)
        slow.go_on.set()

    assert ["sent"] == await live.states()


async def test_a_send_that_does_not_end_is_left_to_its_lease(live: PostOffice) -> None:
    stuck = Counter(kind="stuck", holds=True)
    channel = await live.scripted("stuck")

    async with running(live.dispatcher(stuck, landing_s=0.05)):
        await live.alert([channel.channel_id])
        await stuck.asked(1)

    assert ["pending"] == await live.states()
    stuck.go_on.set()
    await live.dispatcher(stuck, node_id=2).round(live.at + 2 * LEASE)
    assert [(2, True)] == [(delivery.attempt, delivery.possible_duplicate) for delivery in stuck.sent]


async def test_a_lease_that_grew_old_in_the_queue_is_not_used(live: PostOffice) -> None:
    clock = SimClock(live.at)
    live.clock = clock
    slow = Counter(kind="slow", concurrency=1)
    channel = await live.scripted("slow")

    async with running(live.dispatcher(slow)):
        await live.alert([channel.channel_id], "check:1")
        await settled(live, "sent", 1)
        slow.go_on.clear()
        await live.alerts([channel.channel_id], ["check:2", "check:3"])
        await slow.asked(2)
        await taken(live, 3)
        clock.move_to(live.at + LEASE - timedelta(seconds=10))
        slow.go_on.set()
        await settled(live, "sent", 2)

    assert 2 == len(slow.tried)
    await live.dispatcher(slow, node_id=2).round(live.at + LEASE)
    assert [(1, False), (1, False), (2, True)] == [(d.attempt, d.possible_duplicate) for d in slow.sent]


async def test_it_goes_on_when_the_database_is_back(live: PostOffice, capsys: pytest.CaptureFixture[str]) -> None:
    scripted = Counter(kind="scripted")
    channel = await live.scripted()

    async def rename(old: str, new: str) -> None:
        await live.db.write(lambda tx: tx.conn.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}") and None)

    await live.alert([channel.channel_id])
    await rename("deliveries", "hidden")
    async with running(live.dispatcher(scripted)):
        async with asyncio.timeout(LIMIT_S):
            while '"event":"dispatch"' not in capsys.readouterr().err:
                await live.db.write(lambda _: None)
        await rename("hidden", "deliveries")
        await scripted.asked(1)


async def test_a_bug_of_our_own_is_told_to_the_log(live: PostOffice, capsys: pytest.CaptureFixture[str]) -> None:
    scripted = Counter(kind="scripted")
    channel = await live.scripted()
    dispatcher = live.dispatcher(scripted)

    async def buggy() -> None:
        raise ZeroDivisionError

    dispatcher._spawn(buggy())

    async with running(dispatcher):
        await live.alert([channel.channel_id])
        await scripted.asked(1)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ["ZeroDivisionError()"] == [line["error"] for line in lines if line["event"] == "dispatch"]
