"""The call to somebody outside: made after a full cycle, and never when something is missing of one."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from heartfly import logs
from heartfly.clock import SystemClock
from heartfly.config import Log
from heartfly.core.words import PingKind
from heartfly.errors import OverloadedError
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.vitals.heartbeat import Heartbeat, Outcome
from tests.monitor.test_watch import channel
from tests.monitor.tower import MINUTE, SECOND, T0, Tower
from tests.notify.receivers import HttpReceiver
from tests.world import World

pytestmark = pytest.mark.anyio
SECRET = "/9b2f-canary-heartbeat"


def heartbeat(tower: Tower, url: str, count: Callable[[str], None] = lambda _: None) -> Heartbeat:
    http = OutgoingHttp(
        allow=parse_allow_private(True),  # noqa: FBT003 - the shape of the setting
        own_hosts=(),
        user_agent="Heartfly/test",
        total_deadline_s=5.0,
    )
    return Heartbeat(
        url=url, period=5 * SECOND, database=tower.world.db, watcher=tower.watcher, http=http,
        clock=tower.clock, count=count,
    )  # fmt: skip


@pytest.fixture
def told() -> io.StringIO:
    """What the log says."""
    stream = io.StringIO()
    logs.configure(Log(format="json"), stream, now=SystemClock().now)
    return stream


async def test_a_full_cycle_is_told_once(tower: Tower, receiver: HttpReceiver) -> None:
    counted: list[str] = []
    beat = heartbeat(tower, receiver.url + SECRET, counted.append)
    await tower.go(T0 + MINUTE)

    assert Outcome.SENT is await beat.once()
    assert Outcome.WITHHELD is await beat.once()  # the same cycle
    await tower.go(T0 + 2 * MINUTE)
    assert Outcome.SENT is await beat.once()

    assert [("GET", SECRET)] * 2 == [(request.method, request.target) for request in receiver.requests]
    assert ["sent", "withheld", "sent"] == counted


async def test_before_anything_was_judged_nothing_is_told(
    tower: Tower, receiver: HttpReceiver, told: io.StringIO
) -> None:
    assert Outcome.WITHHELD is await heartbeat(tower, receiver.url).once()

    assert [] == receiver.requests
    assert "" == told.getvalue()  # so it is at each start


async def test_a_beat_whose_judging_failed_is_no_full_cycle(
    tower: Tower, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = heartbeat(tower, receiver.url)
    check = await tower.world.check(T0, every=5 * MINUTE, grace=SECOND)
    await tower.world.ping(check, T0)
    await tower.go(T0 + MINUTE)
    await beat.once()
    tower.clock.move_to(T0 + 6 * MINUTE)

    def fails(*_: Any, **__: Any) -> Any:
        raise OverloadedError("nothing was stored")

    monkeypatch.setattr(tower.watcher._judge, "judge", fails)
    with pytest.raises(OverloadedError):
        await tower.watcher.round()

    assert tower.watcher.last_beat_at == T0 + 6 * MINUTE
    assert Outcome.WITHHELD is await beat.once()
    assert 1 == len(receiver.requests)


async def test_a_watermark_that_lags_is_no_full_cycle(tower: Tower, receiver: HttpReceiver, told: io.StringIO) -> None:
    beat = heartbeat(tower, receiver.url)
    await tower.go(T0 + MINUTE)
    tower.clock.move_to(T0 + MINUTE + 15 * SECOND)

    assert Outcome.WITHHELD is await beat.once()
    assert "judged only up to 15 s ago" in told.getvalue()


async def test_while_a_dead_node_is_waited_for_the_cycle_is_full(tower: Tower, receiver: HttpReceiver) -> None:
    beat = heartbeat(tower, receiver.url)
    await tower.go(T0 + MINUTE)
    tower.clock.move_to(T0 + MINUTE + 12 * SECOND)

    assert Outcome.SENT is await beat.once()


async def test_who_does_not_lead_does_not_call(tower: Tower, receiver: HttpReceiver) -> None:
    beat = heartbeat(tower, receiver.url)
    await tower.go(T0 + MINUTE)
    tower.watcher.last_round = None if tower.watcher.last_round is None else _following(tower.watcher.last_round)

    assert Outcome.WITHHELD is await beat.once()
    assert [] == receiver.requests


async def test_while_nothing_reaches_us_somebody_else_raises_the_alarm(
    tower: Tower, receiver: HttpReceiver, told: io.StringIO
) -> None:
    beat = heartbeat(tower, receiver.url)
    await tower.go(T0 + MINUTE)
    assert tower.watcher.last_round is not None
    tower.watcher.last_round = replace(tower.watcher.last_round, cut_off_since=T0 - MINUTE)

    assert Outcome.WITHHELD is await beat.once()

    assert [] == receiver.requests
    assert "nothing reaches us from outside, for 2 min" in told.getvalue()


def _following(looked: Any) -> Any:
    return replace(looked, leads=False)


async def test_while_people_wait_for_an_alert_nothing_is_told(
    world: World, tower: Tower, receiver: HttpReceiver, told: io.StringIO
) -> None:
    beat = heartbeat(tower, receiver.url)
    check = await world.check(T0)
    await channel(world, check)
    await tower.go(T0 + MINUTE)
    await world.ping(check, T0 + MINUTE, PingKind.FAIL)  # nobody carries it away
    waits_since = T0 + MINUTE

    await tower.go(waits_since + 29 * SECOND)
    assert Outcome.SENT is await beat.once()
    await tower.go(waits_since + 30 * SECOND)
    assert Outcome.WITHHELD is await beat.once()
    await tower.go(waits_since + 31 * SECOND)
    assert Outcome.WITHHELD is await beat.once()

    assert 1 == len(receiver.requests)
    assert 1 == told.getvalue().count('"withheld"')  # said once, not each second


async def test_an_outbox_that_cannot_be_read_withholds_it(
    tower: Tower, receiver: HttpReceiver, told: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = heartbeat(tower, receiver.url)
    await tower.go(T0 + MINUTE)

    def away() -> Any:
        raise OverloadedError("the question takes too long to answer")

    monkeypatch.setattr(tower.world.db, "read", away)

    assert Outcome.WITHHELD is await beat.once()
    assert "the outbox cannot be read" in told.getvalue()


async def test_a_call_that_fails_is_made_again_and_its_address_is_nowhere_in_the_log(
    tower: Tower, receiver: HttpReceiver, told: io.StringIO
) -> None:
    beat = heartbeat(tower, receiver.url + SECRET + "?key=canary-query")
    await tower.go(T0 + MINUTE)
    receiver.will_answer(404)
    receiver.will_hang_up()

    assert [Outcome.FAILED, Outcome.FAILED, Outcome.SENT] == [await beat.once() for _ in range(3)]
    said = told.getvalue()
    assert 3 == said.count('"heartbeat"')
    assert '"code":404' in said
    assert "canary" not in said


async def test_it_calls_by_itself_until_it_is_told_to_stop(tower: Tower, receiver: HttpReceiver) -> None:
    stop, sent = asyncio.Event(), asyncio.Event()
    beat = heartbeat(tower, receiver.url, lambda outcome: sent.set() if outcome == "sent" else None)
    receiver.will_answer(500)
    running = asyncio.create_task(beat.run(stop))
    await tower.go(T0 + MINUTE)

    async with asyncio.timeout(60):  # it looks again after a second, and again after the period for the one that failed
        await sent.wait()
        stop.set()
        await running

    assert 2 == len(receiver.requests)
    assert timedelta(seconds=5) == beat._period
