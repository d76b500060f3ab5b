"""The thread that alerts go out by: woken from the server's loop, stopped from it, and heard when it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from heartfly.clock import SystemClock
from heartfly.db.afar import Afar
from heartfly.db.changes import Changes, Tx
from heartfly.errors import NotFoundError
from heartfly.notify.courier import Courier
from heartfly.notify.dispatch import POLL, Dispatcher
from heartfly.notify.message import Delivery
from tests.notify.post_office import PostOffice, ScriptedChannel
from tests.notify.test_dispatch_live import LIMIT_S, settled

pytestmark = pytest.mark.anyio


@pytest.fixture
def live(post: PostOffice) -> PostOffice:
    post.at = SystemClock().now()
    return post


class Thread:
    """A courier, the names of the threads that it was asked in, and whether it hung up at its end."""

    def __init__(self, post: PostOffice) -> None:
        self.asked_in: list[str] = []
        self.left_in = ""
        self.channel = ScriptedChannel(self._answer)
        self._post = post
        self.courier = Courier(post.db, make=self.make, leave=self._leave)

    def make(self, database: Afar) -> Dispatcher:
        return self._post.dispatcher(self.channel, db=database)

    async def _answer(self, _: Delivery) -> None:
        self.asked_in.append(threading.current_thread().name)

    async def _leave(self) -> None:
        self.left_in = threading.current_thread().name


@asynccontextmanager
async def running(courier: Courier) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(courier.run(stop))
    yield task
    stop.set()
    async with asyncio.timeout(LIMIT_S):
        await task


async def test_it_sends_beside_the_loop_that_pings_come_through(live: PostOffice) -> None:
    thread = Thread(live)
    channel = await live.scripted()
    await live.alert([channel.channel_id], "check:before")

    async with running(thread.courier):
        await settled(live, "sent", 1)
        began_s = live.clock.monotonic()
        for n in range(3):
            await live.alert([channel.channel_id], f"check:{n}")
            await settled(live, "sent", n + 2)
        took_s = live.clock.monotonic() - began_s

    assert took_s < 2 * POLL.total_seconds()  # three commits woke it; by itself it looks so much later each time
    assert {"heartfly-courier_0"} == {*thread.asked_in, thread.left_in}


async def test_when_it_has_ended_it_listens_no_more(live: PostOffice) -> None:
    async with running(Thread(live).courier):
        await live.db.write(lambda _: None)

    assert [] == live.db._listeners
    await live.db.write(lambda tx: tx.changes.wake(live.at))


async def test_told_to_stop_before_it_began_it_ends(live: PostOffice) -> None:
    thread, stop = Thread(live), asyncio.Event()
    stop.set()

    async with asyncio.timeout(LIMIT_S):
        await thread.courier.run(stop)

    assert "heartfly-courier_0" == thread.left_in


async def test_what_ends_it_is_heard(live: PostOffice) -> None:
    def broken(_: Afar) -> Dispatcher:
        raise ZeroDivisionError("planted")

    thread = Thread(live)
    courier = Courier(live.db, make=broken, leave=thread._leave)

    with pytest.raises(ZeroDivisionError, match="planted"):
        async with asyncio.timeout(LIMIT_S):
            await courier.run(asyncio.Event())

    assert thread.left_in


async def test_from_afar_only_that_is_heard_which_was_asked_about(live: PostOffice) -> None:
    afar = Afar(live.db, asyncio.get_running_loop())
    heard: list[Changes] = []

    def news(tx: Tx) -> None:
        tx.changes.outbox = True

    afar.listen(heard.append, about=lambda changes: changes.outbox)
    for command in (lambda tx: tx.changes.wake(live.at), news, lambda tx: tx.changes.wake(live.at)):
        await live.db.write(command)
    await afar.close()

    assert [True] == [changes.outbox for changes in heard]


async def test_a_write_from_afar_is_answered_and_refused_as_at_home(live: PostOffice) -> None:
    def refuse(_: Tx) -> None:
        raise NotFoundError("check")

    async def ask(home: asyncio.AbstractEventLoop) -> int:
        database = Afar(live.db, home)
        try:
            with pytest.raises(NotFoundError):
                await database.write(refuse)
            return await database.write(lambda _: 7)
        finally:
            await database.close()

    home = asyncio.get_running_loop()

    assert 7 == await asyncio.to_thread(lambda: asyncio.run(ask(home)))
