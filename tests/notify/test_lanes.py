from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from heartfly.clock import SystemClock
from heartfly.notify.channels.base import Channel
from heartfly.notify.lanes import FIRST_WIDTH, Lane
from heartfly.notify.record import Failure, Outcome
from heartfly.notify.work import ChannelRow, Claimed
from tests.notify.examples import at
from tests.notify.post_office import ScriptedChannel

NOW = at("03:00")
SECOND = timedelta(seconds=1)
ROW = ChannelRow(id=1, uuid="c", kind="scripted", config_enc=b"", rev=1)
CLAIMED = Claimed(id="d", pid=1, channel=ROW, attempt=1, possible_duplicate=False, created_at=NOW)
ARRIVED = Outcome(claimed=CLAIMED, started_at=NOW, ended_at=NOW, code=200)
REFUSED = replace(ARRIVED, code=500, failure=Failure(error="500"))
UNANSWERED = replace(ARRIVED, code=None, failure=Failure(error="no reply"))


def lane(channel: Channel | None = None, **traits: Any) -> Lane:
    return Lane(1, 1, channel or ScriptedChannel(**({"concurrency": 30} | traits)))


def test_a_lane_begins_narrow_and_widens_while_the_receiver_answers() -> None:
    one = lane()
    widths = [one.room(100)]
    for outcome in (ARRIVED, REFUSED, ARRIVED, ARRIVED):
        one.learn(outcome, took_s=2)
        widths.append(one.room(100))

    assert [FIRST_WIDTH, 16, 30, 30, 30] == widths


def test_a_receiver_that_does_not_answer_gets_one_at_a_time() -> None:
    one = lane()
    one.learn(ARRIVED, took_s=2)
    one.learn(UNANSWERED, took_s=0)

    assert 1 == one.room(100)


def test_a_channel_that_takes_few_at_a_time_is_never_asked_for_more() -> None:
    assert 2 == lane(concurrency=2).room(100)


def test_room_is_what_is_left() -> None:
    one = lane()
    one.took("a", NOW)

    assert (FIRST_WIDTH - 1, 2) == (one.room(100), one.room(2))
    assert one.is_half_empty


def test_with_no_headroom_each_lane_still_has_one() -> None:
    one = lane()

    assert 1 == one.room(-5)
    one.took("a", NOW)
    assert 0 == one.room(-5)


def test_a_pace_lets_one_begin_at_a_time() -> None:
    one = lane(min_interval_s=1.0)

    assert 1 == one.room(100)
    one.took("a", NOW)
    assert NOW + SECOND == one.waits_until(NOW)
    one.begins(NOW + SECOND / 10)
    assert NOW + 1.1 * SECOND == one.waits_until(NOW + SECOND)
    assert one.waits_until(NOW + 1.1 * SECOND) is None


def test_the_receivers_wish_is_followed_up_to_an_hour() -> None:
    one = lane()
    one.learn(replace(REFUSED, code=429, failure=Failure(error="429", wish_s=90)), took_s=0)
    assert NOW + 90 * SECOND == one.waits_until(NOW)

    one.learn(replace(REFUSED, code=429, failure=Failure(error="429", wish_s=1e9)), took_s=0)
    assert NOW + timedelta(hours=1) == one.waits_until(NOW)


def test_of_two_waits_the_longer_one_counts() -> None:
    one = lane()
    one.hold(NOW + 5 * SECOND)
    one.hold(NOW + 2 * SECOND)

    assert NOW + 5 * SECOND == one.waits_until(NOW)


def test_a_clock_that_was_set_back_does_not_make_a_wait_longer() -> None:
    one = lane(min_interval_s=1.0)
    one.took("a", NOW)

    assert one.waits_until(NOW - timedelta(days=1)) is None


def test_an_unknown_channel_is_asked_for_one_at_a_time() -> None:
    one = Lane(1, 1, None)

    assert 1 == one.room(100)
    ask = one.ask(1, due=False, fresh=True)
    assert (False, 1, timedelta(0)) == (ask.folds, ask.most_named, ask.spacing)


def test_a_quick_lane_claims_ahead() -> None:
    one = lane(concurrency=8)
    one.learn(ARRIVED, took_s=0.1)
    assert 16 == one.room(100)

    one.learn(ARRIVED, took_s=1.0)
    assert 8 == one.room(100)


def test_what_is_for_people_is_not_claimed_ahead() -> None:
    one = lane(concurrency=8, folds_storms=True)
    one.learn(ARRIVED, took_s=0.1)

    assert 8 == one.room(100)


@pytest.mark.anyio
async def test_sends_beyond_the_width_wait_for_their_turn() -> None:
    one = lane(concurrency=2)
    begun: list[int] = []

    async def send(n: int) -> None:
        await one.turn()
        begun.append(n)

    sends = [asyncio.create_task(send(n)) for n in range(5)]
    await SystemClock().sleep(0)
    assert [0, 1] == begun
    sends[2].cancel()
    for _ in range(2):
        one.ended()
        await SystemClock().sleep(0)
        await SystemClock().sleep(0)

    assert [0, 1, 3, 4] == begun
    await asyncio.wait(sends)
