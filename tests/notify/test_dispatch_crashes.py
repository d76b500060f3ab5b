"""Nothing is lost and nothing is sent twice unflagged, wherever a process stops and whoever takes over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.config import Alerts
from heartfly.core.words import AlertKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import DeliveryError
from heartfly.notify.again import LOST, MAX_LOST
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.claim import Claims, claim
from heartfly.notify.message import Delivery
from heartfly.notify.record import Outcome, record
from heartfly.notify.sending import SEND_LIMIT_S, Sender
from heartfly.notify.work import LEASE, Ask
from tests.notify.examples import at
from tests.notify.post_office import BASE_URL, SEALER, PostOffice, ScriptedChannel
from tests.notify.receivers import HttpReceiver

pytestmark = pytest.mark.anyio

NOW = at("03:10")
SECOND = timedelta(seconds=1)


async def claimed(
    post: PostOffice, channel_id: int, *, node_id: int = 1, now: datetime = NOW, in_hand: frozenset[str] = frozenset()
) -> Claims:
    """What a dispatcher does first; it then stops."""
    ask = Ask(pid=post.pid, channel_id=channel_id, room=8, due=True, fresh=True, folds=False, in_hand=in_hand)
    return await post.db.write(lambda tx: claim(tx, [ask], now=now, node_id=node_id, rules=post.rules, ids=post.ids))


async def sent(post: PostOffice, claims: Claims) -> list[Outcome]:
    """What it does next; it stops before it could record the outcome."""
    sender = Sender(kinds=CHANNELS, context=post.context, sealer=SEALER, base_url=BASE_URL)
    return [await sender.send(one, claims.payloads[one.id], now=lambda: NOW) for one in claims.work]


async def recorded(post: PostOffice, outcomes: list[Outcome], *, node_id: int = 1) -> list[bool]:
    return await post.db.write(lambda tx: record(tx, outcomes, node_id=node_id, ids=post.ids))


def flags(receiver: HttpReceiver) -> list[tuple[int, bool]]:
    bodies = [json.loads(request.body) for request in receiver.requests]
    return [(body["attempt"], body["possible_duplicate"]) for body in bodies]


async def test_a_crash_before_sending_loses_nothing(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    await claimed(post, channel.channel_id)

    await post.dispatcher(node_id=2).round(NOW + LEASE)

    assert [(2, True)] == flags(receiver)
    assert ["sent"] == await post.states()


async def test_a_crash_between_sending_and_recording_sends_again_once_under_the_same_id(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    await sent(post, await claimed(post, channel.channel_id))

    dispatcher = post.dispatcher(node_id=2)
    await dispatcher.round(NOW + LEASE)
    await dispatcher.round(NOW + 3 * LEASE)

    assert [(1, False), (2, True)] == flags(receiver)
    assert 1 == len({request.headers["webhook-id"] for request in receiver.requests})
    assert [(1, None, LOST), (2, NOW + LEASE, None)] == [
        (row.attempt, row.ended_at, row.error) for row in await post.attempts()
    ]


async def test_other_nodes_wait_for_the_end_of_the_lease_and_a_lone_one_does_not(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    await claimed(post, channel.channel_id)

    due = await post.dispatcher(node_id=2).round(NOW + SECOND)

    if post.db.on_postgres:
        assert (NOW + LEASE, []) == (due, receiver.requests)
    else:
        assert (None, [(2, True)]) == (due, flags(receiver))


async def test_whoever_lost_its_lease_changes_nothing(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    late = await sent(post, await claimed(post, channel.channel_id))
    again = await claimed(post, channel.channel_id, node_id=2, now=NOW + LEASE)

    assert [False] == await recorded(post, late)

    assert ["pending"] == await post.states()
    assert [2] == [row.node_id for row in await post.deliveries()]
    assert [LOST] == [row.error for row in await post.attempts()]
    assert [True] == await recorded(post, await sent(post, again), node_id=2)
    assert ["sent"] == await post.states()


async def test_the_attempt_number_fences_a_node_from_itself(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    late = await sent(post, await claimed(post, channel.channel_id))
    await claimed(post, channel.channel_id, now=NOW + LEASE)

    assert [False] == await recorded(post, late)
    assert ["pending"] == await post.states()


async def test_an_outcome_counts_once(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    outcomes = await sent(post, await claimed(post, channel.channel_id))

    assert [True] == await recorded(post, outcomes)
    assert [False] == await recorded(post, outcomes)
    assert 1 == len(await post.attempts())


async def test_a_failure_counts_once(post: PostOffice, receiver: HttpReceiver) -> None:
    receiver.will_answer(500)
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    outcomes = await sent(post, await claimed(post, channel.channel_id))

    assert [True] == await recorded(post, outcomes)
    assert [False] == await recorded(post, outcomes)


def test_a_lease_outlasts_a_send_by_more_than_clocks_differ() -> None:
    assert timedelta(seconds=SEND_LIMIT_S) + 15 * SECOND <= LEASE <= 60 * SECOND


async def test_a_lease_that_ended_but_was_not_taken_over_still_counts(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    (outcome,) = await sent(post, await claimed(post, channel.channel_id))
    after_the_lease = replace(outcome, ended_at=NOW + 2 * LEASE)

    assert [True] == await recorded(post, [after_the_lease])
    assert ["sent"] == await post.states()


async def test_a_process_never_takes_over_from_itself_whatever_the_clock_says(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    (mine,) = (await claimed(post, channel.channel_id)).work

    a_day_on = NOW + timedelta(days=1)

    assert [] == (await claimed(post, channel.channel_id, now=a_day_on, in_hand=frozenset({mine.id}))).work
    assert 1 == len((await claimed(post, channel.channel_id, now=a_day_on)).work)


async def test_a_message_that_stops_every_sender_is_given_up_and_told_elsewhere(post: PostOffice) -> None:
    scripted = ScriptedChannel(kind="other")
    poison, other = await post.webhook("https://hooks.example.com/x"), await post.scripted("other")
    await post.alert([poison.channel_id])
    now = NOW
    for _ in range(MAX_LOST):
        assert 1 == len((await claimed(post, poison.channel_id, now=now)).work)
        now += LEASE

    await post.dispatcher(scripted, node_id=2).round(now)

    assert [LOST] * MAX_LOST + [None] == [row.error for row in await post.attempts()]
    assert ["failed", "sent"] == await post.states()
    assert [AlertKind.CHANNEL_FAILING] == [alert.kind for delivery in scripted.sent for alert in delivery.alerts]
    assert (now, None) == (
        (await post.channel_row(poison)).failing_since,
        (await post.channel_row(other)).failing_since,
    )


async def test_a_storm_survives_a_crash_whole(post: PostOffice) -> None:
    scripted = ScriptedChannel(folds_storms=True, fold_limit=100)
    channel = await post.scripted()
    post.rules = Alerts(storm_threshold=2)
    await post.alerts([channel.channel_id], [f"check:{i}" for i in range(40)])
    ask = Ask(pid=post.pid, channel_id=channel.channel_id, room=1, due=True, fresh=True, folds=True, most_named=100)
    claims = await post.db.write(lambda tx: claim(tx, [ask], now=NOW, node_id=1, rules=post.rules, ids=post.ids))

    await post.dispatcher(scripted, node_id=2).round(NOW + LEASE)

    assert [(claims.work[0].id, True, 40)] == [(d.id, d.possible_duplicate, len(d.alerts)) for d in scripted.sent]


@pytest.fixture
async def two_nodes(postgres_url: str, tmp_path: Path) -> AsyncIterator[tuple[Database, Database]]:
    nodes = [Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock(), node_id=node_id) for node_id in (1, 2)]
    for node in nodes:
        node.start()
    yield nodes[0], nodes[1]
    for node in nodes:
        await node.stop()


@pytest.mark.postgres
async def test_two_nodes_at_once_send_nothing_twice(two_nodes: tuple[Database, Database], post_on: PostOffice) -> None:
    post = post_on

    async def flaky(delivery: Delivery) -> None:
        if delivery.attempt == 1 and int(delivery.alerts[0].key.rpartition(":")[2]) % 5 == 0:
            raise DeliveryError("not now")

    scripted = ScriptedChannel(flaky)
    channels = [await post.scripted() for _ in range(3)]
    for channel in channels:
        await post.alerts([channel.channel_id], [f"check:{i}" for i in range(60)])
        await post.alerts([channel.channel_id], [f"check:{i}" for i in range(60)], AlertKind.UP)
    one, other = (post.dispatcher(scripted, db=node, node_id=node.node_id) for node in two_nodes)

    for seconds in range(0, 60, 6):
        await asyncio.gather(one.round(NOW + seconds * SECOND), other.round(NOW + seconds * SECOND))

    assert {"sent"} == set(await post.states())
    assert 360 == len(scripted.sent) == len({delivery.id for delivery in scripted.sent})
    assert not any(delivery.possible_duplicate for delivery in scripted.sent)


@pytest.mark.postgres
async def test_a_channel_that_another_node_is_busy_with_is_asked_again_soon(
    two_nodes: tuple[Database, Database], post_on: PostOffice
) -> None:
    scripted = ScriptedChannel()
    channel = await post_on.scripted()
    await post_on.alert([channel.channel_id])
    dispatcher = post_on.dispatcher(scripted)

    with two_nodes[1].engine.connect() as busy, busy.begin():
        busy.execute(sa.text("SELECT 1 FROM channels FOR NO KEY UPDATE"))
        due = await dispatcher.round(NOW)
    assert due is not None
    assert (NOW < due < NOW + SECOND, []) == (True, scripted.sent)

    await dispatcher.round(due)
    assert 1 == len(scripted.sent)


@pytest.fixture
async def post_on(two_nodes: tuple[Database, Database], ids: IdSource, context: ChannelContext) -> PostOffice:
    office = PostOffice(two_nodes[0], ids, context, at("03:00"))
    await office.open()
    return office
