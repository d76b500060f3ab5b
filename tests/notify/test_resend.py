"""What was given up and is sent again because somebody asks."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI, Actor
from heartfly.core.words import AlertKind
from heartfly.db.models import deliveries
from heartfly.errors import ConflictError, DeliveryError, NotFoundError
from heartfly.notify.again import MAX_LOST
from heartfly.notify.commands import send_test
from heartfly.notify.message import Delivery
from heartfly.notify.resend import failed_since, resend, retry
from heartfly.notify.work import LEASE
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel, keys
from tests.notify.receivers import HttpReceiver

pytestmark = pytest.mark.anyio

START = at("00:00")
NOW = at("03:10")
LATER = at("04:00")
SECOND = timedelta(seconds=1)
ME = Actor("test")


async def again(post: PostOffice, delivery_id: str, when: datetime = LATER) -> None:
    await post.db.write(lambda tx: resend(tx, post.pid, delivery_id, actor=ME, at=when, ids=post.ids))


async def all_again(
    post: PostOffice, *, since: datetime = START, channel_id: int | None = None, limit: int = 1000
) -> int:
    async with post.db.read() as read:
        failed = await failed_since(read, post.pid, since, channel_id=channel_id, limit=limit)
    return await post.db.write(
        lambda tx: retry(tx, post.pid, failed.found, since=since, of="project:x", actor=ME, at=LATER, ids=post.ids)
    )


async def _set(post: PostOffice, **values: Any) -> None:
    await post.db.write(lambda tx: tx.conn.execute(sa.update(deliveries).values(values)) and None)


class Refusing(ScriptedChannel):
    """Refuses for good until it is told to take."""

    def __init__(self, **traits: Any) -> None:
        self.takes = False
        self.error = DeliveryError("the receiver answered 410", permanent=True, code=410)

        async def answer(_: Delivery) -> None:
            if not self.takes:
                raise self.error

        super().__init__(answer, **traits)


async def test_what_was_given_up_arrives_under_its_id_and_says_that_it_may_be_a_repeat(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    channel = await post.webhook(receiver.url)
    await post.alert([channel.channel_id])
    receiver.will_answer(404)
    dispatcher = post.dispatcher()
    assert await dispatcher.round(NOW) is None
    (failed,) = await post.deliveries()
    assert ("failed", ["failed"]) == (failed.state, await post.states())

    await again(post, failed.id)
    assert await dispatcher.round(LATER) is None

    first, second = (json.loads(request.body) for request in receiver.requests)
    assert (failed.id, 1, False) == (first["id"], first["attempt"], first["possible_duplicate"])
    assert (failed.id, 2, True) == (second["id"], second["attempt"], second["possible_duplicate"])
    (sent,) = await post.deliveries()
    assert ("sent", LATER, ["sent"]) == (sent.state, sent.done_at, await post.states())
    assert [(1, 404), (2, 200)] == [(row.attempt, row.code) for row in await post.attempts()]
    assert (await post.channel_row(channel)).failing_since is None


async def test_it_gets_all_its_tries_anew(post: PostOffice) -> None:
    scripted = Refusing()
    channel = await post.scripted()
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher(scripted)
    await dispatcher.round(NOW)
    scripted.error = DeliveryError("the receiver answered 503", code=503)
    (failed,) = await post.deliveries()

    for when in (LATER, LATER + timedelta(days=3)):
        await again(post, failed.id, when)
        due: datetime | None = when
        tries = 0
        while due is not None:
            due = await dispatcher.round(due)
            tries += 1
        assert (10, ["failed"]) == (tries, await post.states())

    assert list(range(1, 22)) == [row.attempt for row in await post.attempts()]


async def test_tries_that_were_lost_before_do_not_count_either(post: PostOffice) -> None:
    scripted = Refusing()
    await post.alert([(await post.scripted()).channel_id])
    await post.dispatcher(scripted).round(NOW)
    (failed,) = await post.deliveries()
    await _set(post, attempt=MAX_LOST)
    await again(post, failed.id)
    scripted.takes = True
    # Its sender stops in the middle of the first new try.
    ends = LATER + LEASE
    await _set(post, attempt=MAX_LOST + 1, lease_until=ends, next_at=ends, node_id=1)

    await post.dispatcher(scripted, node_id=2).round(LATER + LEASE)

    assert ["sent"] == await post.states()


async def test_only_what_failed_is_sent_again(post: PostOffice) -> None:
    scripted = Refusing()
    channel = await post.scripted()
    dispatcher = post.dispatcher(scripted)
    await post.alert([channel.channel_id])
    await dispatcher.round(NOW)
    (one,) = await post.deliveries()
    await again(post, one.id)

    with pytest.raises(ConflictError, match="it is pending"):
        await again(post, one.id)
    scripted.takes = True
    await dispatcher.round(LATER)
    with pytest.raises(ConflictError, match="it is sent"):
        await again(post, one.id)
    assert [one.id] * 2 == [delivery.id for delivery in scripted.tried]


async def test_what_a_deleted_channel_did_not_deliver_is_not_sent_again(post: PostOffice) -> None:
    channel = await post.scripted()
    await post.alert([channel.channel_id])
    await post.dispatcher(Refusing()).round(NOW)
    (failed,) = await post.deliveries()
    await post.delete(channel)

    with pytest.raises(ConflictError, match="its channel was deleted"):
        await again(post, failed.id)
    assert 0 == await all_again(post)


@pytest.mark.parametrize("delivery_id", ["nonsense", "\x00", "3f0f8f9e-6a1c-4a55-8d4c-111111111111"])
async def test_what_is_no_delivery_is_not_found(post: PostOffice, delivery_id: str) -> None:
    with pytest.raises(NotFoundError):
        await again(post, delivery_id)


async def test_another_projects_delivery_is_none(post: PostOffice) -> None:
    await post.alert([(await post.scripted()).channel_id])
    await post.dispatcher(Refusing()).round(NOW)
    (failed,) = await post.deliveries()
    await post.open()

    with pytest.raises(NotFoundError):
        await again(post, failed.id)
    assert 0 == await all_again(post)
    assert ["failed"] == await post.states()


async def test_all_that_failed_since_an_instant_is_sent_again_once(post: PostOffice) -> None:
    scripted = Refusing()
    one, other = await post.scripted(), await post.scripted()
    dispatcher = post.dispatcher(scripted)
    early = await post.alert([one.channel_id], "check:1")
    await dispatcher.round(NOW)
    since = NOW + SECOND
    mine = await post.alert([one.channel_id], "check:2", at=since)
    theirs = await post.alert([other.channel_id], "check:3", at=since)
    await dispatcher.round(since)
    await post.db.write(lambda tx: send_test(tx, post.pid, one.uuid, actor=CLI, at=since, ids=post.ids))
    await dispatcher.round(since)
    scripted.takes = True
    scripted.tried.clear()

    assert 1 == await all_again(post, since=since, channel_id=other.channel_id)
    assert 1 == await all_again(post, since=since)
    assert 0 == await all_again(post, since=since)
    await dispatcher.round(LATER)

    assert [[mine], [theirs]] == sorted(keys(scripted.sent))
    assert 2 == await all_again(post, since=NOW), "the first alert, and the news on the other channel that it failed"
    await dispatcher.round(LATER)
    assert [early] in keys(scripted.sent)


async def test_no_more_are_sent_again_than_were_asked_for_and_the_oldest_first(post: PostOffice) -> None:
    scripted = Refusing()
    channel = await post.scripted()
    dispatcher = post.dispatcher(scripted)
    told = []
    for n in range(3):
        told.append(await post.alert([channel.channel_id], f"check:{n}", at=NOW + n * SECOND))
        await dispatcher.round(NOW + n * SECOND)
    scripted.takes = True

    assert 2 == await all_again(post, limit=2)
    await dispatcher.round(LATER)

    assert [[told[0]], [told[1]]] == keys(scripted.sent)


async def test_what_later_news_has_overtaken_is_not_sent_again_with_the_rest(post: PostOffice) -> None:
    """To bring it now would say "down" of what is known to be up. Who asks for that very delivery gets it."""
    scripted = Refusing()
    channel, other = await post.scripted(), await post.scripted()
    dispatcher = post.dispatcher(scripted)
    await post.alert([channel.channel_id], "check:1", at=NOW)
    still = await post.alert([channel.channel_id], "check:2", at=NOW)
    elsewhere = await post.alert([other.channel_id], "check:1", at=NOW)
    await dispatcher.round(NOW)
    scripted.takes = True
    await post.alert([channel.channel_id], "check:1", AlertKind.UP, at=NOW + SECOND)
    await dispatcher.round(NOW + SECOND)
    scripted.sent.clear()

    async with post.db.read() as read:
        failed = await failed_since(read, post.pid, START, channel_id=channel.channel_id, limit=1)
    assert (1, 1) == (len(failed.found), failed.n_overtaken)
    await all_again(post, since=NOW)
    await dispatcher.round(LATER)

    assert [[elsewhere], [still]] == sorted(keys(d for d in scripted.sent if d.alerts[0].kind is AlertKind.DOWN))
    (left,) = [row for row in await post.deliveries() if row.state == "failed"]
    await again(post, left.id)
    await dispatcher.round(LATER)
    assert {"sent"} == set(await post.states())


@pytest.mark.parametrize(("n_up", "n_again"), [(39, 1), (40, 0)])
async def test_a_message_about_many_is_sent_again_while_any_of_it_is_still_news(
    post: PostOffice, n_up: int, n_again: int
) -> None:
    scripted = Refusing(folds_storms=True, fold_limit=100)
    channel = await post.scripted()
    dispatcher = post.dispatcher(scripted)
    sources = [f"check:{n}" for n in range(40)]
    await post.alerts([channel.channel_id], sources, at=NOW)
    await dispatcher.round(NOW)
    scripted.takes = True
    await post.alerts([channel.channel_id], sources[:n_up], AlertKind.UP, at=NOW + SECOND)
    await dispatcher.round(NOW + timedelta(hours=1))

    assert n_again == await all_again(post, since=NOW)


async def test_of_one_source_the_earlier_news_still_arrives_first(post: PostOffice) -> None:
    scripted = Refusing()
    channel = await post.scripted()
    dispatcher = post.dispatcher(scripted)
    down = await post.alert([channel.channel_id], at=NOW)
    await dispatcher.round(NOW)
    up = await post.alert([channel.channel_id], kind=AlertKind.UP, at=NOW + SECOND)
    await dispatcher.round(NOW + SECOND)
    scripted.error = DeliveryError("the receiver answered 503", code=503)
    scripted.tried.clear()

    assert 2 == await all_again(post)
    await dispatcher.round(LATER)
    assert [[down]] == keys(scripted.tried), "the later one waits for it"
    scripted.takes = True
    await dispatcher.round(LATER + timedelta(seconds=6))

    assert [[down], [up]] == keys(scripted.sent)
    assert ["sent", "sent"] == await post.states()


async def test_news_of_the_same_source_waits_for_what_is_sent_again(post: PostOffice) -> None:
    scripted = Refusing()
    channel = await post.scripted()
    dispatcher = post.dispatcher(scripted)
    down = await post.alert([channel.channel_id], at=NOW)
    await dispatcher.round(NOW)
    scripted.takes = True
    (failed,) = await post.deliveries()

    await again(post, failed.id)
    up = await post.alert([channel.channel_id], kind=AlertKind.UP, at=LATER)
    await dispatcher.round(LATER)

    assert [[down], [up]] == keys(scripted.sent)
