"""Within a source, on each channel, alerts arrive in order; people get what waited together as one message."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.core.words import AlertKind
from heartfly.errors import DeliveryError
from heartfly.notify.message import Delivery
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel, keys

pytestmark = pytest.mark.anyio

NOW = at("03:10")
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True, params=[200, 1], ids=["few", "source by source"])
def among(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with a backlog of which not all is looked at."""
    monkeypatch.setattr("heartfly.notify.pack._AMONG", request.param)


def people(answer: object = None) -> ScriptedChannel:
    return ScriptedChannel(answer, folds_storms=True, fold_limit=30)  # type: ignore[arg-type]


def refusing(*keys: str, permanent: bool = False, ambiguous: bool = False) -> object:
    """Fail the first try that carries one of these alerts."""
    left = set(keys)

    async def answer(delivery: Delivery) -> None:
        hit = left & {alert.key for alert in delivery.alerts}
        left.difference_update(hit)
        if hit:
            raise DeliveryError("no", permanent=permanent, ambiguous=ambiguous)

    return answer


async def test_a_webhook_gets_each_event_alone_and_in_order(post: PostOffice) -> None:
    hook = ScriptedChannel()
    channel = await post.scripted()
    told = [await post.alert([channel.channel_id], kind=kind) for kind in (AlertKind.DOWN, AlertKind.UP) * 3]

    await post.dispatcher(hook).round(NOW)

    assert [[key] for key in told] == keys(hook.sent)


async def test_where_a_few_have_much_waiting_the_first_of_each_go_the_oldest_first(post: PostOffice) -> None:
    hook = ScriptedChannel()
    channel = await post.scripted()
    sources = [f"check:{n}" for n in (1, 1, 1, 3, 3, 2, 1, 2, 3)]
    told = [(source, await post.alert([channel.channel_id], source)) for source in sources]

    await post.dispatcher(hook).round(NOW)

    arrived = [key for (key,) in keys(hook.sent)]
    firsts = [told[0][1], told[3][1], told[5][1]]
    assert firsts == sorted(arrived[:3], key=firsts.index) == arrived[:3]
    of_each = {source: [key for key in arrived if (source, key) in told] for source in sources}
    assert {source: [key for one, key in told if one == source] for source in sources} == of_each


async def test_a_later_event_waits_until_the_earlier_one_has_arrived(post: PostOffice) -> None:
    channel = await post.scripted()
    down = await post.alert([channel.channel_id])
    up = await post.alert([channel.channel_id], kind=AlertKind.UP)
    other = await post.alert([channel.channel_id], "check:2")
    hook = ScriptedChannel(refusing(down))  # type: ignore[arg-type]
    dispatcher = post.dispatcher(hook)

    due = await dispatcher.round(NOW)
    assert [[other]] == keys(hook.sent)
    assert due is not None
    await dispatcher.round(due)

    assert [[other], [down], [up]] == keys(hook.sent)


async def test_a_later_event_is_sent_when_the_earlier_one_is_given_up(post: PostOffice) -> None:
    channel = await post.scripted()
    down = await post.alert([channel.channel_id])
    up = await post.alert([channel.channel_id], kind=AlertKind.UP)
    hook = ScriptedChannel(refusing(down, permanent=True))  # type: ignore[arg-type]

    assert await post.dispatcher(hook).round(NOW) is None

    assert [[up]] == keys(hook.sent)
    assert ["failed", "sent"] == await post.states()


async def test_order_is_kept_on_each_channel_for_itself(post: PostOffice) -> None:
    one, other = await post.scripted("one"), await post.scripted("other")
    down = await post.alert([one.channel_id, other.channel_id])
    up = await post.alert([one.channel_id, other.channel_id], kind=AlertKind.UP)
    failing, well = ScriptedChannel(refusing(down), kind="one"), ScriptedChannel(kind="other")  # type: ignore[arg-type]

    await post.dispatcher(failing, well).round(NOW)

    assert ([], [[down], [up]]) == (keys(failing.sent), keys(well.sent))


async def test_people_get_down_and_up_that_waited_together_as_one_message(post: PostOffice) -> None:
    channel = await post.scripted()
    down = await post.alert([channel.channel_id])
    up = await post.alert([channel.channel_id], kind=AlertKind.UP)
    mail = people()

    await post.dispatcher(mail).round(NOW)

    assert [[down, up]] == keys(mail.sent)
    assert ["sent", "sent"] == await post.states()


async def test_people_get_the_up_with_the_down_that_did_not_arrive(post: PostOffice) -> None:
    channel = await post.scripted()
    down = await post.alert([channel.channel_id])
    mail = people(refusing(down))
    dispatcher = post.dispatcher(mail)
    due = await dispatcher.round(NOW)
    up = await post.alert([channel.channel_id], kind=AlertKind.UP, at=NOW + SECOND)

    assert due == await dispatcher.round(NOW + SECOND)
    assert [] == mail.sent
    assert due is not None
    assert await dispatcher.round(due) is None

    assert [[down, up]] == keys(mail.sent)
    assert 1 == len({delivery.id for delivery in mail.tried})
    assert ["sent", "sent"] == await post.states()


async def test_a_message_that_may_have_arrived_does_not_grow(post: PostOffice) -> None:
    channel = await post.scripted()
    down = await post.alert([channel.channel_id])
    mail = people(refusing(down, ambiguous=True))
    dispatcher = post.dispatcher(mail)
    due = await dispatcher.round(NOW)
    up = await post.alert([channel.channel_id], kind=AlertKind.UP, at=NOW + SECOND)

    assert due is not None
    assert await dispatcher.round(due) is None

    assert [[down], [up]] == keys(mail.sent)
    assert [True, False] == [delivery.possible_duplicate for delivery in mail.sent]


async def test_a_new_alert_does_not_wait_for_the_retry_of_another_check(post: PostOffice) -> None:
    channel = await post.scripted()
    stuck = await post.alert([channel.channel_id])
    mail = people(refusing(stuck))
    dispatcher = post.dispatcher(mail)
    await dispatcher.round(NOW)

    await post.alert([channel.channel_id], kind=AlertKind.UP, at=NOW + SECOND)
    other = await post.alert([channel.channel_id], "check:2", at=NOW + SECOND)
    await dispatcher.round(NOW + SECOND)

    assert [[other]] == keys(mail.sent)


async def test_what_comes_while_a_message_is_sent_waits_for_its_end(post: PostOffice) -> None:
    channel = await post.scripted()
    ups: list[str] = []

    async def meanwhile(_: Delivery) -> None:
        if not ups:
            ups.append(await post.alert([channel.channel_id], kind=AlertKind.UP, at=NOW))

    mail = people(meanwhile)
    down = await post.alert([channel.channel_id])

    await post.dispatcher(mail).round(NOW)

    assert [[down], ups] == keys(mail.sent)


async def test_a_paced_channel_gets_one_message_at_a_time(post: PostOffice) -> None:
    slow = ScriptedChannel(folds_storms=True, fold_limit=30, min_interval_s=1.0)
    channel = await post.scripted()
    told = await post.alerts([channel.channel_id], ["check:1", "check:2", "check:3"])
    dispatcher = post.dispatcher(slow)

    due: datetime | None = NOW
    times = []
    while due is not None:
        times.append(due)
        due = await dispatcher.round(due)

    assert [NOW, NOW + SECOND, NOW + 2 * SECOND] == times[:3]
    assert [[key] for key in told] == keys(slow.sent)
