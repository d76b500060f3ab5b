"""What the dispatcher does with one message: send, record, try again, give up."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.core.words import AlertKind
from heartfly.db.models import alerts
from heartfly.errors import DeliveryError
from heartfly.notify.channels.base import ChannelContext, Receipt
from heartfly.notify.dispatch import CHANNELS_AT_ONCE, LANES_KEPT
from heartfly.notify.lanes import Lane
from heartfly.notify.message import Delivery
from heartfly.sealing import Sealer
from tests.notify.conftest import mail_settings
from tests.notify.examples import at
from tests.notify.post_office import BASE_URL, PostOffice, ScriptedChannel, keys
from tests.notify.receivers import HttpReceiver, SmtpScript

pytestmark = pytest.mark.anyio

NOW = at("03:10")
SECOND = timedelta(seconds=1)


def later(seconds: float) -> datetime:
    return NOW + seconds * SECOND


async def test_an_alert_is_sent_once_and_written_down(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(f"{receiver.url}/hook")
    key = await post.alert([channel.channel_id])
    dispatcher = post.dispatcher()

    assert await dispatcher.round(NOW) is None
    assert await dispatcher.round(later(100)) is None

    (request,), (delivery,), (attempt,) = receiver.requests, await post.deliveries(), await post.attempts()
    body = json.loads(request.body)
    assert (delivery.id, "check.down", 1, False) == (
        body["id"],
        body["type"],
        body["attempt"],
        body["possible_duplicate"],
    )
    assert delivery.id == request.headers["webhook-id"]
    assert body["links"]["project"].startswith(BASE_URL)
    assert ("sent", NOW, None, None, None) == (
        delivery.state,
        delivery.done_at,
        delivery.next_at,
        delivery.lease_until,
        delivery.node_id,
    )
    assert (delivery.id, 1, NOW, NOW, 200, "ok", None, None) == (
        attempt.delivery_id,
        attempt.attempt,
        attempt.started_at,
        attempt.ended_at,
        attempt.code,
        attempt.reply,
        attempt.error,
        attempt.retry_at,
    )
    assert [("sent", delivery.id, NOW)] == [(n.state, n.delivery_id, n.done_at) for n in await post.notifications()]
    assert key == (await post.alert_rows(AlertKind.DOWN))[0].key


async def test_mail_goes_to_a_real_mail_server(post: PostOffice, context: ChannelContext) -> None:
    async with SmtpScript() as server:
        post.context = ChannelContext(http=context.http, mail=mail_settings(server.port))
        channel = await post.channel("email", {"to": "ops@example.com"})
        await post.alert([channel.channel_id])

        await post.dispatcher().round(NOW)

    assert "RCPT TO:<ops@example.com>" in server.commands
    assert [250] == [attempt.code for attempt in await post.attempts()]


async def test_nothing_in_the_outbox_is_nothing_to_do(post: PostOffice) -> None:
    assert await post.dispatcher().round(NOW) is None


async def test_a_refused_message_is_sent_again_under_the_same_id(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher()
    receiver.will_answer(500, body=b"on fire")

    due = await dispatcher.round(NOW)

    assert due is not None
    assert later(4.5) <= due <= later(5.5)
    assert ["pending"] == await post.states()
    assert due == await dispatcher.round(due - SECOND)
    assert 1 == len(receiver.requests)
    assert await dispatcher.round(due) is None

    first, second = (json.loads(request.body) for request in receiver.requests)
    assert (first["id"], 2, False) == (second["id"], second["attempt"], second["possible_duplicate"])
    assert [(1, 500, "on fire", due), (2, 200, "ok", None)] == [
        (row.attempt, row.code, row.reply, row.retry_at) for row in await post.attempts()
    ]
    assert ["sent"] == await post.states()


async def test_each_message_is_tried_again_in_its_own_time(post: PostOffice) -> None:
    async def refuse_first(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise DeliveryError("the receiver answered 500", code=500)

    scripted = ScriptedChannel(refuse_first)
    channel = await post.scripted()
    dispatcher = post.dispatcher(scripted)
    first = await post.alert([channel.channel_id], "check:1")
    due = await dispatcher.round(NOW)
    second = await post.alert([channel.channel_id], "check:2", at=later(4))
    await dispatcher.round(later(4))

    assert due is not None
    later_due = await dispatcher.round(due)
    assert [[first]] == keys(scripted.sent)
    assert later_due is not None
    await dispatcher.round(later_due)
    assert [[first], [second]] == keys(scripted.sent)


async def test_a_message_that_may_have_arrived_is_flagged_when_it_is_sent_again(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher()
    receiver.will_hang_up()

    due = await dispatcher.round(NOW)
    assert due is not None
    await dispatcher.round(due)

    first, second = (json.loads(request.body) for request in receiver.requests)
    assert (False, True, True) == (
        first["possible_duplicate"],
        second["possible_duplicate"],
        first["id"] == second["id"],
    )


async def test_once_flagged_it_stays_flagged(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher()
    receiver.will_hang_up()
    receiver.will_answer(503)

    due: datetime | None = NOW
    while due is not None:
        due = await dispatcher.round(due)

    assert [False, True, True] == [json.loads(request.body)["possible_duplicate"] for request in receiver.requests]


async def test_it_is_given_up_after_ten_tries_in_more_than_a_day(post: PostOffice) -> None:
    async def refuse(_: Delivery) -> Receipt:
        raise DeliveryError("the receiver answered 500", code=500)

    scripted = ScriptedChannel(refuse)
    channel = await post.scripted()
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher(scripted)

    due: datetime | None = NOW
    last = NOW
    while due is not None:
        last, due = due, await dispatcher.round(due)

    assert list(range(1, 11)) == [delivery.attempt for delivery in scripted.tried]
    assert 1 == len({delivery.id for delivery in scripted.tried})
    assert last - NOW >= 0.9 * timedelta(hours=27, minutes=35)
    assert ["failed"] == await post.states()
    assert ["failed"] == [delivery.state for delivery in await post.deliveries()]
    assert last == (await post.channel_row(channel)).failing_since


async def test_the_receivers_wish_to_wait_holds_back_its_channel_and_no_other(post: PostOffice) -> None:
    answers = [DeliveryError("too many", code=429, retry_after=90.0)]

    async def busy(_: Delivery) -> None:
        if answers:
            raise answers.pop()

    asked, other = ScriptedChannel(busy, kind="asked"), ScriptedChannel(kind="other")
    first, second = await post.scripted("asked"), await post.scripted("other")
    dispatcher = post.dispatcher(asked, other)
    await post.alert([first.channel_id], "check:1")

    assert later(90) == await dispatcher.round(NOW)
    await post.alert([first.channel_id, second.channel_id], "check:2", at=later(1))
    assert later(90) == await dispatcher.round(later(1))
    assert (1, 1) == (len(asked.tried), len(other.tried))

    assert await dispatcher.round(later(90)) is None
    assert 2 == len(asked.sent)


async def test_a_channel_with_a_bug_fails_like_a_receiver_and_disturbs_nobody(
    post: PostOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    token = f"tok-{1234567890}"

    async def stumble(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise ZeroDivisionError(f"while reading {token}")

    buggy, healthy = ScriptedChannel(stumble, kind="buggy"), ScriptedChannel(kind="healthy")
    buggy.hidden = {token, ""}
    channels = [await post.scripted("buggy"), await post.scripted("healthy")]
    await post.alert([channel.channel_id for channel in channels])
    dispatcher = post.dispatcher(buggy, healthy)

    due = await dispatcher.round(NOW)

    assert 1 == len(healthy.sent)
    assert due is not None
    assert ["ZeroDivisionError: while reading …"] == [row.error for row in await post.attempts() if row.error]
    log = capsys.readouterr().err
    assert "ZeroDivisionError" in log
    assert token not in log
    await dispatcher.round(due)
    assert [(2, True)] == [(delivery.attempt, delivery.possible_duplicate) for delivery in buggy.sent]


async def test_a_channel_of_an_unknown_kind_waits_for_a_version_that_knows_it(post: PostOffice) -> None:
    channel = await post.scripted("telepathy")
    await post.alert([channel.channel_id])

    due = await post.dispatcher().round(NOW)

    assert due is not None
    assert ["this Heartfly knows no channel of the kind telepathy"] == [row.error for row in await post.attempts()]
    await post.dispatcher(ScriptedChannel(kind="telepathy")).round(due)
    assert ["sent"] == await post.states()


async def test_a_configuration_that_cannot_be_opened_is_tried_again(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])

    due = await post.dispatcher(sealer=Sealer([Fernet.generate_key()])).round(NOW)

    assert due is not None
    assert "secret.key" in (await post.attempts())[0].error
    assert [] == receiver.requests
    await post.dispatcher().round(due)
    assert [False] == [json.loads(request.body)["possible_duplicate"] for request in receiver.requests]


async def test_an_alert_that_cannot_be_read_fails_alone(post: PostOffice) -> None:
    scripted = ScriptedChannel()
    channel = await post.scripted()
    await post.alerts([channel.channel_id], ["check:1", "check:2"])
    broken = sa.update(alerts).where(alerts.c.source == "check:1").values(payload={"key": 5})
    await post.db.write(lambda tx: tx.conn.execute(broken) and None)

    await post.dispatcher(scripted).round(NOW)

    assert ["pending", "sent"] == await post.states()
    assert [True] == ["ValidationError" in row.error for row in await post.attempts() if row.error]


async def test_an_edited_configuration_is_used_from_then_on(post: PostOffice, receiver: HttpReceiver) -> None:
    channel = await post.webhook(f"{receiver.url}/old")
    dispatcher = post.dispatcher()
    await post.alert([channel.channel_id])
    await dispatcher.round(NOW)

    await post.edit(channel, config={"url": f"{receiver.url}/new"})
    await post.alert([channel.channel_id], at=later(1))
    await dispatcher.round(later(1))

    assert ["/old", "/new"] == [request.target for request in receiver.requests]


async def test_a_new_configuration_is_tried_at_once(post: PostOffice, receiver: HttpReceiver) -> None:
    receiver.will_answer(500)
    channel = await post.webhook(f"{receiver.url}/old")
    dispatcher = post.dispatcher()
    await post.alert([channel.channel_id])
    await dispatcher.round(NOW)

    await post.edit(channel, at=later(1), config={"url": f"{receiver.url}/new"})
    await dispatcher.round(later(1))

    assert ["/old", "/new"] == [request.target for request in receiver.requests]


async def test_what_a_deleted_channel_had_not_sent_is_given_up_quietly(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    receiver.will_answer(500)
    gone, other = await post.webhook(f"{receiver.url}/gone"), await post.webhook(f"{receiver.url}/other")
    dispatcher = post.dispatcher()
    await post.alert([gone.channel_id])
    await dispatcher.round(NOW)
    await post.alert([gone.channel_id], kind=AlertKind.UP)

    await post.delete(gone)

    assert await dispatcher.round(later(10)) is None
    assert ["/gone"] == [request.target for request in receiver.requests]
    assert ["failed", "failed"] == await post.states()
    assert other.channel_id not in {row.channel_id for row in await post.notifications()}


async def test_an_alert_for_a_channel_that_was_deleted_at_that_moment_is_given_up(post: PostOffice) -> None:
    channel = await post.webhook("https://hooks.example.com/x")
    await post.delete(channel)
    await post.alert([channel.channel_id])

    assert await post.dispatcher().round(NOW) is None
    assert ["failed"] == await post.states()
    assert [] == await post.deliveries()


async def test_a_channel_deleted_while_its_message_is_sent_changes_nothing_more(post: PostOffice) -> None:
    scripted = ScriptedChannel(lambda _: post.delete(channel))
    channel = await post.scripted()
    await post.alert([channel.channel_id])

    assert await post.dispatcher(scripted).round(NOW) is None

    assert ["failed"] == await post.states()
    assert [] == await post.attempts()


async def test_each_try_leaves_one_line_in_the_log_without_secrets(
    post: PostOffice, receiver: HttpReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    channel = await post.webhook(f"{receiver.url}/a-secret-path")
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher()
    receiver.will_answer(500)
    receiver.will_answer(404)
    capsys.readouterr()

    due = await dispatcher.round(NOW)
    assert due is not None
    await dispatcher.round(due)

    log = capsys.readouterr().err
    lines = [json.loads(line) for line in log.splitlines() if '"event":"delivery"' in line]
    assert [("again later", 1, 500), ("failed", 2, 404)] == [
        (line["outcome"], line["attempt"], line["code"]) for line in lines
    ]
    assert {(channel.uuid, "webhook")} == {(line["channel"], line["kind"]) for line in lines}
    assert "a-secret-path" not in log


async def test_alerts_arrive_with_all_their_facts(post: PostOffice) -> None:
    scripted = ScriptedChannel()
    channel = await post.scripted()
    key = await post.alert([channel.channel_id], explain="Because.", blind_from=at("02:00"), blind_to=at("02:30"))

    await post.dispatcher(scripted).round(NOW)

    (alert,) = scripted.sent[0].alerts
    assert (key, "Because.", at("02:30"), "dumped 18230 rows\nuploaded 731905112 bytes\n") == (
        alert.key,
        alert.explain,
        alert.blind_to,
        alert.run.body_tail if alert.run else None,
    )
    assert [[key]] == keys(scripted.sent)


async def test_of_many_lanes_those_that_matter_are_kept(post: PostOffice) -> None:
    dispatcher = post.dispatcher()
    lanes = dispatcher._lanes
    lanes.update({n: Lane(1, n, None) for n in range(LANES_KEPT)})
    await dispatcher.round(NOW)
    assert LANES_KEPT == len(lanes)

    lanes[LANES_KEPT] = Lane(1, LANES_KEPT, None)
    lanes[1].in_hand.add("a delivery")
    lanes[2].hold(later(1))
    await dispatcher.round(NOW)

    assert {1, 2} == set(lanes)


async def test_many_channels_are_served_in_several_claims(post: PostOffice) -> None:
    scripted = ScriptedChannel()
    channels = [(await post.scripted()).channel_id for _ in range(CHANNELS_AT_ONCE + 3)]
    await post.alert(channels)

    assert await post.dispatcher(scripted).round(NOW) is None

    assert len(channels) == len(scripted.sent)
