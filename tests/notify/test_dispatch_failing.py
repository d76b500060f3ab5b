"""A channel that does not work is told about on those that do."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.core.words import AlertKind
from heartfly.db.models import channels
from heartfly.errors import DeliveryError
from heartfly.notify.commands import send_test
from heartfly.notify.message import Delivery
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel
from tests.notify.receivers import HttpReceiver

pytestmark = pytest.mark.anyio

NOW = at("03:10")
SECOND = timedelta(seconds=1)


async def gone(_: Delivery) -> None:
    raise DeliveryError("the receiver answered 404: no_service", permanent=True, code=404, reply="no_service")


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
    async def away(_: Delivery) -> None:
        raise DeliveryError("no reply")

    broken, _ = await post.scripted("away"), await post.scripted()
    well = ScriptedChannel()
    await post.db.write(lambda tx: send_test(tx, post.pid, broken.uuid, at=post.at, ids=post.ids))

    assert await post.dispatcher(ScriptedChannel(away, kind="away"), well).round(NOW) is None

    assert ["failed"] == await post.states()
    assert [] == well.tried
    assert (await post.channel_row(broken)).failing_since is None


async def test_a_test_that_arrives_ends_the_failure(post: PostOffice) -> None:
    channel = await post.scripted()
    failing = sa.update(channels).values(failing_since=post.at, last_error="the receiver answered 404")
    await post.db.write(lambda tx: tx.conn.execute(failing) and None)
    await post.db.write(lambda tx: send_test(tx, post.pid, channel.uuid, at=post.at, ids=post.ids))

    await post.dispatcher(ScriptedChannel()).round(NOW)

    row = await post.channel_row(channel)
    assert (None, None) == (row.failing_since, row.last_error)
