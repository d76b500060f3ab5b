"""A channel that does not work is told about on those that do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.core.words import AlertKind
from heartfly.db.models import channels
from heartfly.errors import DeliveryError
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.net.only_to import parse_only_to
from heartfly.notify.commands import Changed, send_test
from heartfly.notify.message import Delivery
from tests.net.forward_proxy import ForwardProxy, says
from tests.net.sender import Names
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel
from tests.notify.receivers import HttpReceiver

pytestmark = pytest.mark.anyio

NOW = at("03:10")
SECOND = timedelta(seconds=1)
Trouble = tuple[datetime | None, datetime | None, datetime | None, str | None]
NO_TROUBLE: Trouble = (None, None, None, None)


async def gone(_: Delivery) -> None:
    raise DeliveryError("the receiver answered 404: no_service", permanent=True, code=404, reply="no_service")


async def away(_: Delivery) -> None:
    raise DeliveryError("the receiver answered 503", code=503)


async def trouble(post: PostOffice, channel: Changed) -> Trouble:
    row = await post.channel_row(channel)
    return row.retrying_since, row.failing_since, row.told_at, row.last_error


def dead(kind: str = "dead") -> ScriptedChannel:
    return ScriptedChannel(gone, kind=kind)


async def test_a_permanent_failure_is_told_on_another_channel_at_once(post: PostOffice, receiver: HttpReceiver) -> None:
    receiver.will_answer(404, body=b"no_service")
    broken, well = await post.webhook(receiver.url, name="#ops"), await post.scripted()
    scripted = ScriptedChannel()
    await post.alert([broken.channel_id])

    assert await post.dispatcher(scripted).round(NOW) is None

    ((alert,),) = [delivery.alerts for delivery in scripted.sent]
    assert alert.channel is not None
    assert (AlertKind.CHANNEL_FAILING, "#ops", broken.uuid, "webhook", 1) == (
        alert.kind,
        alert.channel.name,
        alert.channel.uuid,
        alert.channel.kind,
        alert.channel.n_failed,
    )
    assert "404: no_service" in alert.channel.error
    assert f"channel_failing:{broken.channel_id}:{NOW.isoformat()}" == alert.key
    row = await post.channel_row(broken)
    assert (NOW, alert.channel.error) == (row.failing_since, row.last_error)
    assert (await post.channel_row(well)).failing_since is None


async def test_an_address_that_the_operator_lists_no_more_fails_for_good_and_the_log_of_deliveries_says_why(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    broken, scripted = await post.webhook(receiver.url), ScriptedChannel()
    await post.scripted()
    await post.alert([broken.channel_id])
    http = OutgoingHttp(
        allow=parse_allow_private(value=True), own_hosts=(), user_agent="x", only_to=parse_only_to(["hooks.example"])
    )
    post.context = replace(post.context, http=http)

    assert await post.dispatcher(scripted).round(NOW) is None
    await http.aclose()

    told = "127.0.0.1: the setting outgoing.only_to does not list it"
    ((alert,),) = [delivery.alerts for delivery in scripted.sent]
    assert (AlertKind.CHANNEL_FAILING, told) == (alert.kind, alert.channel and alert.channel.error)
    assert told in [attempt.error for attempt in await post.attempts()]
    assert ((await post.channel_row(broken)).failing_since, []) == (NOW, receiver.requests)


async def test_what_a_proxy_does_not_let_through_is_tried_again_and_is_no_duplicate_then(post: PostOffice) -> None:
    hook = await post.webhook("https://hooks.invalid/canary")
    await post.alert([hook.channel_id])
    async with ForwardProxy(rude=says(b"HTTP/1.1 403 Forbidden\r\n\r\n")) as proxy:
        http = OutgoingHttp(allow=(), own_hosts=(), user_agent="x", proxy=proxy.known(), resolver=Names())
        post.context = replace(post.context, http=http)
        again_at = await post.dispatcher().round(NOW)
        await http.aclose()

    (attempt,) = await post.attempts()
    (delivery,) = await post.deliveries()
    assert "hooks.invalid: the proxy does not connect, it answered 403" == attempt.error
    assert ("pending", False, True) == (delivery.state, delivery.possible_duplicate, again_at is not None)


async def test_it_is_told_once_until_a_message_arrives_again(post: PostOffice) -> None:
    answers = iter([False, False, True, False])

    async def sometimes(delivery: Delivery) -> None:
        if not next(answers):
            await gone(delivery)

    broken, _ = await post.scripted("broken"), await post.scripted("well")
    well = ScriptedChannel(kind="well")
    dispatcher = post.dispatcher(ScriptedChannel(sometimes, kind="broken"), well)
    told, failing = [], []

    for n in range(4):
        now = NOW + n * SECOND
        await post.alert([broken.channel_id], f"check:{n}", at=now)
        await dispatcher.round(now)
        told.append(len(well.sent))
        failing.append((await post.channel_row(broken)).failing_since)

    assert [1, 1, 1, 2] == told
    assert [NOW, NOW, None, NOW + 3 * SECOND] == failing
    assert "404" in (await post.channel_row(broken)).last_error


async def test_dead_channels_do_not_tell_each_other_in_turns(post: PostOffice) -> None:
    first, second, third = [await post.scripted(kind) for kind in ("first", "second", "third")]
    well = ScriptedChannel(kind="third")
    await post.alert([first.channel_id])

    await post.dispatcher(dead("first"), dead("second"), well).round(NOW)
    await post.dispatcher(dead("first"), dead("second"), well).round(NOW + SECOND)

    failing = [delivery.alerts[0].channel for delivery in well.sent]
    assert [first.uuid, second.uuid] == [channel.uuid for channel in failing if channel is not None]
    assert 2 == len(await post.alert_rows(AlertKind.CHANNEL_FAILING))
    assert (await post.channel_row(third)).failing_since is None
    heard = [row.channel_id for row in await post.notifications()]
    assert (1, 1, 2) == tuple(heard.count(channel.channel_id) for channel in (first, second, third))


async def test_where_no_other_channel_works_it_is_told_to_the_log(
    post: PostOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    only = await post.scripted("dead")
    await post.alert([only.channel_id])

    await post.dispatcher(dead()).round(NOW)

    assert [] == await post.alert_rows(AlertKind.CHANNEL_FAILING)
    assert NOW == (await post.channel_row(only)).failing_since
    assert "nobody: no other channel of the project works" in capsys.readouterr().err


async def test_channels_that_want_such_news_get_it(post: PostOffice) -> None:
    broken = await post.scripted("dead")
    wanting, other = await post.scripted(events=["channel.failing"]), await post.scripted(events=["check.down"])
    await post.alert([broken.channel_id])

    await post.dispatcher(dead(), ScriptedChannel()).round(NOW)

    assert [broken.channel_id, wanting.channel_id] == [row.channel_id for row in await post.notifications()]
    assert other.channel_id not in {row.channel_id for row in await post.notifications()}


async def test_if_none_wants_it_those_that_work_get_it_all_the_same(post: PostOffice) -> None:
    broken, other = await post.scripted("dead"), await post.scripted(events=["check.down"])
    await post.alert([broken.channel_id])

    await post.dispatcher(dead(), ScriptedChannel()).round(NOW)

    assert [broken.channel_id, other.channel_id] == [row.channel_id for row in await post.notifications()]


async def test_other_projects_hear_nothing(post: PostOffice) -> None:
    stranger = await post.scripted()
    await post.open()
    broken = await post.scripted("dead")
    await post.alert([broken.channel_id])

    await post.dispatcher(dead(), ScriptedChannel()).round(NOW)

    assert stranger.channel_id not in {row.channel_id for row in await post.notifications()}


async def test_many_that_fail_together_are_counted_and_told_once(post: PostOffice) -> None:
    broken, _ = await post.scripted("dead"), await post.scripted()
    well = ScriptedChannel()
    await post.alerts([broken.channel_id], [f"check:{i}" for i in range(4)])

    await post.dispatcher(dead(), well).round(NOW)

    (told,) = [delivery.alerts[0].channel for delivery in well.sent]
    assert told is not None
    assert 1 <= told.n_failed <= 4
    assert ["failed"] * 4 + ["sent"] == await post.states()


async def test_a_test_is_tried_once_and_tells_nobody(post: PostOffice) -> None:
    broken, _ = await post.scripted("away"), await post.scripted()
    well = ScriptedChannel()
    await post.db.write(lambda tx: send_test(tx, post.pid, broken.uuid, actor=CLI, at=post.at, ids=post.ids))

    assert await post.dispatcher(ScriptedChannel(away, kind="away"), well).round(NOW) is None

    assert ["failed"] == await post.states()
    assert [] == well.tried
    assert NO_TROUBLE == await trouble(post, broken)


async def test_a_test_that_arrives_ends_the_failure(post: PostOffice) -> None:
    channel = await post.scripted()
    since = dict.fromkeys(("retrying_since", "failing_since", "told_at"), post.at)
    failing = sa.update(channels).values(last_error="the receiver answered 404", **since)
    await post.db.write(lambda tx: tx.conn.execute(failing) and None)
    await post.db.write(lambda tx: send_test(tx, post.pid, channel.uuid, actor=CLI, at=post.at, ids=post.ids))

    await post.dispatcher(ScriptedChannel()).round(NOW)

    assert NO_TROUBLE == await trouble(post, channel)


async def test_from_its_first_failed_try_on_a_channel_is_retrying_until_a_message_arrives(post: PostOffice) -> None:
    channel, other = await post.scripted("away"), await post.scripted()
    errors = ["the receiver answered 503", "the receiver answered 502"]

    async def twice(_: Delivery) -> None:
        if errors:
            raise DeliveryError(errors.pop(0))

    dispatcher = post.dispatcher(ScriptedChannel(twice, kind="away"), ScriptedChannel())
    await post.alert([channel.channel_id])

    found = []
    due: datetime | None = NOW
    while due is not None:
        due = await dispatcher.round(due)
        found.append(await trouble(post, channel))

    assert [
        (NOW, None, None, "the receiver answered 503"),
        (NOW, None, None, "the receiver answered 502"),
        NO_TROUBLE,
    ] == found
    assert [] == await post.alert_rows(AlertKind.CHANNEL_FAILING)
    assert NO_TROUBLE == await trouble(post, other)


async def test_one_that_stays_away_is_told_about_once_after_its_fourth_try_and_fails_after_its_last(
    post: PostOffice,
) -> None:
    broken, _ = await post.scripted("away", name="#ops"), await post.scripted()
    receiver, well = ScriptedChannel(away, kind="away"), ScriptedChannel()
    dispatcher = post.dispatcher(receiver, well)
    await post.alert([broken.channel_id])

    told, states = [], []
    due: datetime | None = NOW
    while due is not None:
        now, due = due, await dispatcher.round(due)
        told.append(len(well.sent))
        states.append(await trouble(post, broken))

    assert [0, 0, 0, 1, 1, 1, 1, 1, 1, 1] == told[:10]
    assert 10 == len(receiver.tried)
    (news,) = well.sent[0].alerts
    assert news.channel is not None
    assert ("#ops", "the receiver answered 503") == (news.channel.name, news.channel.error)
    assert (0, 1) == (news.channel.n_failed, news.channel.n_waiting)
    assert news.at - NOW <= timedelta(minutes=3)
    assert {NOW} == {since for since, _, _, _ in states}
    assert [None] * 3 + [news.at] * 7 == [told_at for _, _, told_at, _ in states]
    assert [None] * 9 + [now] == [failing_since for _, failing_since, _, _ in states]
    assert ["failed", "sent"] == await post.states()


async def test_a_receiver_that_asks_for_an_hour_is_told_about_at_once(post: PostOffice) -> None:
    async def busy(_: Delivery) -> None:
        raise DeliveryError("the receiver answered 429", code=429, retry_after=3600.0)

    broken, _ = await post.scripted("busy"), await post.scripted()
    well = ScriptedChannel()
    await post.alert([broken.channel_id])

    await post.dispatcher(ScriptedChannel(busy, kind="busy"), well).round(NOW)

    assert 1 == len(well.sent)
    assert (NOW, None, NOW, "the receiver answered 429") == await trouble(post, broken)


async def test_many_messages_that_fail_in_one_moment_are_no_news_yet(post: PostOffice) -> None:
    broken, _ = await post.scripted("away"), await post.scripted()
    well = ScriptedChannel()
    await post.alerts([broken.channel_id], [f"check:{i}" for i in range(8)])

    await post.dispatcher(ScriptedChannel(away, kind="away"), well).round(NOW)

    assert [] == well.sent
    assert (NOW, None, None, "the receiver answered 503") == await trouble(post, broken)


async def test_a_message_that_fails_among_others_that_arrive_is_no_news_until_it_is_given_up(post: PostOffice) -> None:
    poison = await post.alert([(await post.scripted("odd")).channel_id], "check:poison")
    broken, _ = (await post.notifications())[0].channel_id, await post.scripted()

    async def odd(delivery: Delivery) -> None:
        if delivery.alerts[0].key == poison:
            await away(delivery)

    well = ScriptedChannel()
    dispatcher = post.dispatcher(ScriptedChannel(odd, kind="odd"), well)
    due: datetime | None = NOW
    told = []
    while due is not None:
        now, due = due, await dispatcher.round(due)
        told.append(len(well.sent))
        if due is not None:
            await post.alert([broken], f"check:{len(told)}", at=now)
            await dispatcher.round(now)

    assert [0] * 9 + [1] == told


async def test_when_all_are_away_none_is_told_and_the_first_that_works_again_hears_of_the_rest(
    post: PostOffice,
) -> None:
    network = {"up": False}

    async def cut_off(delivery: Delivery) -> None:
        if not network["up"]:
            await away(delivery)

    dead_one, other = await post.scripted("dead"), await post.scripted("well")
    well = ScriptedChannel(cut_off, kind="well")
    dispatcher = post.dispatcher(ScriptedChannel(away, kind="dead"), well)
    await post.alert([dead_one.channel_id, other.channel_id])
    due: datetime | None = NOW
    while due is not None and due < NOW + timedelta(minutes=5):
        due = await dispatcher.round(due)
    assert 4 <= (await post.deliveries())[0].attempt
    assert [] == await post.alert_rows(AlertKind.CHANNEL_FAILING)

    network["up"] = True
    while due is not None and len(well.sent) < 2:
        due = await dispatcher.round(due + timedelta(minutes=2))

    (first,), (second,) = [delivery.alerts for delivery in well.sent]
    assert (AlertKind.DOWN, AlertKind.CHANNEL_FAILING) == (first.kind, second.kind)
    assert second.channel is not None
    assert dead_one.uuid == second.channel.uuid


async def test_a_message_that_is_lost_is_told_on_one_that_is_tried_again_if_none_works(post: PostOffice) -> None:
    broken, other = await post.scripted("dead"), await post.scripted("away")
    dispatcher = post.dispatcher(dead(), ScriptedChannel(away, kind="away"))
    await post.alert([other.channel_id], "check:1")
    await dispatcher.round(NOW)

    await post.alert([broken.channel_id], "check:2", at=NOW + SECOND)
    await dispatcher.round(NOW + SECOND)

    (news,) = await post.alert_rows(AlertKind.CHANNEL_FAILING)
    heard = [row.channel_id for row in await post.notifications() if row.alert_id == news.id]
    assert [other.channel_id] == heard


async def test_news_that_nobody_could_hear_is_told_by_the_next_failure(post: PostOffice) -> None:
    broken = await post.scripted("dead")
    well = ScriptedChannel()
    dispatcher = post.dispatcher(dead(), well)
    await post.alert([broken.channel_id], "check:1")
    await dispatcher.round(NOW)
    assert (NOW, NOW, None, "the receiver answered 404: no_service") == await trouble(post, broken)

    await post.scripted()
    await post.alert([broken.channel_id], "check:2", at=NOW + SECOND)
    await dispatcher.round(NOW + SECOND)

    assert 1 == len(well.sent)
    assert (NOW, NOW, NOW + SECOND, "the receiver answered 404: no_service") == await trouble(post, broken)
