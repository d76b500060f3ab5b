"""Many alerts in a short time: people get few messages that leave nobody out, machines get every event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from typing_extensions import override

from heartfly.config import Alerts
from heartfly.core.words import AlertKind
from heartfly.errors import DeliveryError
from heartfly.notify.channels.base import ChannelContext, Receipt
from heartfly.notify.channels.slack import SlackChannel
from heartfly.notify.message import Delivery
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel
from tests.notify.receivers import HttpReceiver

pytestmark = pytest.mark.anyio

NOW = at("03:10")
SECOND = timedelta(seconds=1)


def mail(**traits: Any) -> ScriptedChannel:
    return ScriptedChannel(**{"folds_storms": True, "fold_limit": 100, "concurrency": 4} | traits)


def sizes(channel: ScriptedChannel) -> list[int]:
    return [len(delivery.alerts) for delivery in channel.sent]


def checks(n: int, first: int = 0) -> list[str]:
    return [f"check:{i}" for i in range(first, first + n)]


class NearSlack(SlackChannel):
    """Slack, but on loopback."""

    def __init__(self, url: str) -> None:
        self._url = url

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        return await super().send(delivery, {"url": self._url}, context)


async def test_a_few_alerts_are_a_message_each(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    await post.alerts([channel.channel_id], checks(10))

    assert await post.dispatcher(people).round(NOW) is None

    assert [1] * 10 == sizes(people)


async def test_more_become_one_message_that_names_each(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    await post.alerts([channel.channel_id], checks(40))

    await post.dispatcher(people).round(NOW)

    assert [40] == sizes(people)
    assert {"sent"} == set(await post.states())
    assert 1 == len({row.delivery_id for row in await post.notifications()})


async def test_the_threshold_is_a_setting(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    post.rules = Alerts(storm_threshold=50)
    await post.alerts([channel.channel_id], checks(40))

    await post.dispatcher(people).round(NOW)

    assert [1] * 40 == sizes(people)


async def test_a_webhook_gets_every_event(post: PostOffice) -> None:
    channel, machine = await post.scripted(), ScriptedChannel()
    await post.alerts([channel.channel_id], checks(40))

    await post.dispatcher(machine).round(NOW)

    assert [1] * 40 == sizes(machine)


async def test_while_a_storm_goes_on_what_comes_is_gathered_for_half_a_window(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    dispatcher = post.dispatcher(people)
    await post.alerts([channel.channel_id], checks(20))
    await dispatcher.round(NOW)

    for n in range(3):
        await post.alerts([channel.channel_id], checks(5, first=100 * n), AlertKind.UP, at=NOW + n * SECOND)
        assert NOW + 30 * SECOND == await dispatcher.round(NOW + n * SECOND)
    assert [20] == sizes(people)

    assert await dispatcher.round(NOW + 30 * SECOND) is None
    assert [20, 15] == sizes(people)


async def test_a_new_process_goes_on_holding_back(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    await post.alerts([channel.channel_id], checks(20))
    await post.dispatcher(people).round(NOW)

    await post.alerts([channel.channel_id], ["check:99"], at=NOW + SECOND)

    assert NOW + 30 * SECOND == await post.dispatcher(people, node_id=2).round(NOW + SECOND)


async def test_after_the_window_alerts_are_messages_of_their_own_again(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    dispatcher = post.dispatcher(people)
    await post.alerts([channel.channel_id], checks(20))
    await dispatcher.round(NOW)

    await post.alerts([channel.channel_id], checks(2), AlertKind.UP, at=NOW + 61 * SECOND)
    await dispatcher.round(NOW + 61 * SECOND)

    assert [20, 1, 1] == sizes(people)


async def test_a_clock_that_was_set_back_holds_nothing_back(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    await post.alerts([channel.channel_id], checks(20))
    await post.dispatcher(people).round(NOW)

    an_hour_ago = NOW - timedelta(hours=1)
    await post.alerts([channel.channel_id], ["check:99"], at=an_hour_ago)
    await post.dispatcher(people).round(an_hour_ago)

    assert [20, 1] == sizes(people)


async def test_a_storm_too_large_for_one_message_is_some_at_the_channels_pace(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail(fold_limit=30, min_interval_s=1.0)
    await post.alerts([channel.channel_id], checks(75))
    dispatcher = post.dispatcher(people)

    assert NOW + SECOND == await dispatcher.round(NOW)
    assert [30] == sizes(people)
    assert NOW + 2 * SECOND == await dispatcher.round(NOW + SECOND)
    assert await dispatcher.round(NOW + 2 * SECOND) is None
    assert [30, 30, 15] == sizes(people)
    assert [1, 1, 1] == [delivery.attempt for delivery in people.sent]


async def test_what_a_planned_message_is_about_joins_it(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail(fold_limit=6, min_interval_s=1.0)
    await post.alerts([channel.channel_id], checks(12))
    dispatcher = post.dispatcher(people)
    await dispatcher.round(NOW)

    await post.alert([channel.channel_id], "check:11", AlertKind.UP, at=NOW)
    await dispatcher.round(NOW + SECOND)

    assert [6, 7] == sizes(people)


async def test_a_storm_that_does_not_arrive_is_tried_again_whole(post: PostOffice) -> None:
    async def refuse_first(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            raise DeliveryError("no", code=503)

    channel, people = await post.scripted(), mail(answer=refuse_first)
    await post.alerts([channel.channel_id], checks(40))
    dispatcher = post.dispatcher(people)

    due = await dispatcher.round(NOW)
    assert due is not None
    await dispatcher.round(due)

    assert [40] == sizes(people)
    assert 2 == len(people.tried)


async def test_a_storm_too_large_to_name_all_is_one_message_of_all_that_was_free(post: PostOffice) -> None:
    async def stuck_at_first(delivery: Delivery) -> None:
        if delivery.alerts[0].key == stuck and delivery.attempt == 1:
            raise DeliveryError("no")

    channel, people = await post.scripted(), mail(answer=stuck_at_first, fold_limit=10)
    dispatcher = post.dispatcher(people)
    stuck = await post.alert([channel.channel_id], "check:7")
    await dispatcher.round(NOW)
    for kind in (AlertKind.DOWN, AlertKind.UP):
        await post.alerts([channel.channel_id], checks(40), kind, at=NOW)

    await dispatcher.round(NOW)

    assert [2 * 39] == sizes(people)
    assert stuck not in {alert.key for alert in people.sent[0].alerts}
    for source in ("check:0", "check:39"):
        kinds = [alert.kind for alert in people.sent[0].alerts if alert.check and alert.check.name == source]
        assert [AlertKind.DOWN, AlertKind.UP] == kinds


async def test_a_large_message_is_read_without_the_output_of_the_jobs(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail(fold_limit=400)
    await post.alerts([channel.channel_id], checks(400))

    await post.dispatcher(people).round(NOW)

    (delivery,) = people.sent
    assert 400 == len(delivery.alerts)
    assert {""} == {alert.run.body_tail for alert in delivery.alerts if alert.run is not None}
    assert {"18230"} == {alert.run.metrics["rows"] for alert in delivery.alerts if alert.run is not None}


async def test_a_storm_that_cannot_be_read_is_a_failed_try(
    post: PostOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    channel, people = await post.scripted(), mail()
    await post.alerts([channel.channel_id], checks(40))
    whole = (await post.alert_rows(AlertKind.DOWN))[0]

    async def overwrite(payload: str) -> None:
        value = "CAST(:payload AS jsonb)" if post.db.on_postgres else ":payload"
        update = sa.text(f"UPDATE alerts SET payload = {value} WHERE id = :id")
        await post.db.write(lambda tx: tx.conn.execute(update, {"payload": payload, "id": whole.id}) and None)

    await overwrite("5" if post.db.on_postgres else "{")
    dispatcher = post.dispatcher(people)
    due = await dispatcher.round(NOW)

    assert [] == people.tried
    assert ["its alerts could not be read from the database"] == [row.error for row in await post.attempts()]
    assert '"event":"dispatch"' in capsys.readouterr().err
    assert due is not None
    await overwrite(json.dumps(whole.payload))
    await dispatcher.round(due)
    assert [(40, False)] == [(len(delivery.alerts), delivery.possible_duplicate) for delivery in people.sent]


async def test_a_digest_is_no_part_of_a_storm_and_goes_behind_it(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    await post.alert([channel.channel_id], "digest:daily:2026-03-01")
    await post.alerts([channel.channel_id], checks(40))

    await post.dispatcher(people).round(NOW)

    assert [40, 1] == sizes(people)
    assert {"sent"} == set(await post.states())


async def test_a_digest_makes_no_storm_of_a_few_alerts(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    await post.alerts([channel.channel_id], ["digest:daily:2026-03-01", "digest:weekly:2026-02-23"])
    await post.dispatcher(people).round(NOW)
    await post.alerts([channel.channel_id], ["digest:daily:2026-03-02", *checks(10)])

    await post.dispatcher(people).round(NOW + SECOND)

    assert [1] * 13 == sizes(people)
    told = [delivery.alerts[0].key.rpartition(":")[0] for delivery in people.sent[2:]]
    assert [*checks(10), "digest:daily:2026-03-02"] == told


async def test_a_digest_waits_for_the_lull_of_a_storm_and_puts_none_of_its_messages_off(post: PostOffice) -> None:
    channel, people = await post.scripted(), mail()
    dispatcher = post.dispatcher(people)
    await post.alerts([channel.channel_id], checks(40))
    await dispatcher.round(NOW)

    await post.alert([channel.channel_id], "digest:daily:2026-03-01")
    await dispatcher.round(NOW + 10 * SECOND)
    assert [40, 1] == sizes(people)  # nothing else waited
    await post.alerts([channel.channel_id], [*checks(5, first=40), "digest:weekly:2026-02-23"])
    due = await dispatcher.round(NOW + 20 * SECOND)
    assert [40, 1] == sizes(people)
    assert NOW + 30 * SECOND == due  # half a window behind the storm's last message, not behind the digest
    await dispatcher.round(due)

    assert [40, 1, 5, 1] == sizes(people)


async def test_digests_of_two_days_are_two_messages(post: PostOffice) -> None:
    """The mail server was away for a day."""
    channel, people = await post.scripted(), mail(concurrency=1)
    await post.alerts([channel.channel_id], ["digest:daily:2026-03-01", "digest:daily:2026-03-02"])

    await post.dispatcher(people).round(NOW)

    assert [1, 1] == sizes(people)


async def test_ten_thousand_checks_down_at_once_are_at_most_five_slack_messages(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    """They are decided in batches over one second; the first message is out with the first batch."""
    channel = await post.channel("slack", {"url": "https://hooks.slack.com/services/T0/B0/x"})
    dispatcher = post.dispatcher(NearSlack(receiver.url))
    sent_at: list[datetime] = []
    due: datetime | None = None

    async def round_at(now: datetime) -> datetime | None:
        due = await dispatcher.round(now)
        sent_at.extend([now] * (len(receiver.requests) - len(sent_at)))
        return due

    for n in range(20):
        now = NOW + n * SECOND / 20
        await post.alerts([channel.channel_id], checks(500, first=500 * n), at=now)
        due = await round_at(now)
    while due is not None:
        due = await round_at(due)

    assert NOW == sent_at[0]
    assert len(sent_at) <= 5
    assert sent_at[-1] - NOW <= 60 * SECOND
    assert {"sent"} == set(await post.states())
    assert 10_000 == len(await post.notifications())
    texts = [json.dumps(json.loads(request.body), ensure_ascii=False) for request in receiver.requests]
    assert all("more" in text and "/p/acme" in text for text in texts)
