from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.audit.record import CLI
from heartfly.core.words import AlertKind
from heartfly.db.models import channels
from heartfly.errors import NotFoundError
from heartfly.notify.commands import send_test
from heartfly.notify.queries import (
    AttemptView,
    ChannelView,
    NotificationView,
    list_channels,
    list_notifications,
    notification_of,
    one_channel,
)
from heartfly.sealing import Sealer
from tests.notify.examples import at
from tests.notify.post_office import SEALER, PostOffice, ScriptedChannel
from tests.notify.receivers import HttpReceiver

pytestmark = pytest.mark.anyio

NOW = at("03:10")
HOOK = "https://hooks.example.com/a-secret-path"


async def listed(post: PostOffice, **wanted: object) -> list[NotificationView]:
    limit = wanted.pop("limit", 100)
    async with post.db.read() as read:
        return await list_notifications(read, post.pid, limit=limit, **wanted)  # type: ignore[arg-type]


async def channel_views(post: PostOffice, sealer: Sealer = SEALER) -> list[ChannelView]:
    async with post.db.read() as read:
        return await list_channels(read, post.pid, sealer)


async def test_channels_are_listed_as_they_were_made_with_their_secrets_masked(post: PostOffice) -> None:
    first = await post.webhook(HOOK, name="hook")
    second = await post.channel("email", {"to": "ops@example.com"}, name="mail", events=["check.late"])

    one, other = await channel_views(post)

    assert (first.channel_id, first.uuid, "webhook", "hook", post.at, 0, 1) == (
        one.id,
        one.uuid,
        one.kind,
        one.name,
        one.created_at,
        one.n_checks,
        one.rev,
    )
    assert "a-secret-path" not in str(one.config)
    assert (second.uuid, {"to": "ops@example.com"}, ("check.late",)) == (other.uuid, other.config, other.events)


async def test_a_failing_channel_says_so(post: PostOffice, receiver: HttpReceiver) -> None:
    receiver.will_answer(404)
    await post.alert([(await post.webhook(receiver.url)).channel_id])
    await post.dispatcher().round(NOW)

    (view,) = await channel_views(post)

    assert ("failing", NOW, "the receiver answered 404") == (view.state, view.failing_since, view.last_error)


async def test_a_channel_that_is_tried_again_says_so_and_one_that_was_reached_is_ok(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    receiver.will_answer(503)
    await post.alert([(await post.webhook(receiver.url)).channel_id])
    dispatcher = post.dispatcher()
    due = await dispatcher.round(NOW)
    assert due is not None

    (view,) = await channel_views(post)
    assert ("retrying", NOW, None, "the receiver answered 503") == (
        view.state,
        view.retrying_since,
        view.failing_since,
        view.last_error,
    )

    await dispatcher.round(due)
    (view,) = await channel_views(post)
    assert ("ok", None, None, None) == (view.state, view.retrying_since, view.failing_since, view.last_error)


async def test_a_configuration_that_cannot_be_opened_or_is_not_known_hides_no_channel(post: PostOffice) -> None:
    made = await post.webhook(HOOK)

    assert [None] == [view.config for view in await channel_views(post, Sealer([Fernet.generate_key()]))]
    newer = sa.update(channels).values(kind="telepathy")
    await post.db.write(lambda tx: tx.conn.execute(newer) and None)
    assert [(made.uuid, None)] == [(view.uuid, view.config) for view in await channel_views(post)]


async def test_one_channel_is_found_by_its_id_in_its_project_alone(post: PostOffice) -> None:
    made = await post.webhook(HOOK)
    async with post.db.read() as read:
        assert made.uuid == (await one_channel(read, post.pid, made.uuid.upper(), SEALER)).uuid
    stranger = await post.open()
    for uuid in (made.uuid, "nonsense"):
        async with post.db.read() as read:
            with pytest.raises(NotFoundError):
                await one_channel(read, stranger, uuid, SEALER)


async def test_what_waits_is_listed_without_a_delivery(post: PostOffice) -> None:
    channel = await post.webhook(HOOK, name="hook")
    key = await post.alert([channel.channel_id])

    (view,) = await listed(post)

    assert (key, "pending", None, None, post.at) == (
        view.alert.key,
        view.state,
        view.delivery,
        view.done_at,
        view.created_at,
    )
    assert (channel.uuid, "hook") == (view.channel_uuid, view.channel_name)


async def test_what_was_tried_is_listed_with_each_attempt(post: PostOffice, receiver: HttpReceiver) -> None:
    receiver.will_answer(503, body=b"busy")
    await post.alert([(await post.webhook(receiver.url)).channel_id])
    dispatcher = post.dispatcher()
    due = await dispatcher.round(NOW)
    assert due is not None

    (view,) = await listed(post)
    assert view.delivery is not None
    assert ("pending", due, None) == (view.delivery.state, view.delivery.retry_at, view.delivery.done_at)
    error = "the receiver answered 503: busy"
    first = AttemptView(attempt=1, started_at=NOW, ended_at=NOW, code=503, reply="busy", error=error, retry_at=due)
    assert (first,) == view.delivery.attempts

    await dispatcher.round(due)
    (view,) = await listed(post)
    assert view.delivery is not None
    assert ("sent", None, due, False) == (
        view.delivery.state,
        view.delivery.retry_at,
        view.delivery.done_at,
        view.delivery.possible_duplicate,
    )
    assert [503, 200] == [attempt.code for attempt in view.delivery.attempts]
    assert ("sent", due) == (view.state, view.done_at)


async def test_the_output_of_jobs_is_not_listed(post: PostOffice) -> None:
    await post.alert([(await post.webhook(HOOK)).channel_id])

    (view,) = await listed(post)

    assert view.alert.run is not None
    assert "" == view.alert.run.body_tail


async def test_the_list_is_read_page_by_page_newest_first(post: PostOffice) -> None:
    one, other = await post.webhook(HOOK), await post.webhook(HOOK)
    keys = [await post.alert([one.channel_id, other.channel_id], at=post.at + timedelta(seconds=n)) for n in range(3)]

    pages: list[list[NotificationView]] = []
    before = None
    while page := await listed(post, limit=4, before=before):
        pages.append(page)
        before = (page[-1].alert_id, page[-1].channel_id)

    assert [4, 2] == [len(page) for page in pages]
    assert [key for key in reversed(keys) for _ in range(2)] == [view.alert.key for page in pages for view in page]
    assert [other.uuid, one.uuid] * 3 == [view.channel_uuid for page in pages for view in page]


async def test_the_list_may_be_of_one_channel_or_one_state(post: PostOffice) -> None:
    scripted = ScriptedChannel(kind="one")
    one, other = await post.scripted("one"), await post.webhook(HOOK)
    await post.alert([one.channel_id])
    await post.dispatcher(scripted).round(NOW)
    await post.alert([other.channel_id], at=NOW)

    assert [one.uuid] == [view.channel_uuid for view in await listed(post, channel_uuid=one.uuid)]
    assert [other.uuid] == [view.channel_uuid for view in await listed(post, state="pending")]
    assert [] == await listed(post, state="failed")
    with pytest.raises(NotFoundError):
        await listed(post, channel_uuid="nonsense")


async def test_what_a_deleted_channel_carried_is_still_listed(post: PostOffice) -> None:
    channel = await post.webhook(HOOK)
    await post.alert([channel.channel_id])
    await post.delete(channel)

    (view,) = await listed(post)

    assert (None, None, "failed") == (view.channel_uuid, view.channel_name, view.state)


async def test_another_project_sees_nothing(post: PostOffice) -> None:
    await post.alert([(await post.webhook(HOOK)).channel_id])
    await post.open()

    assert [] == await listed(post)
    assert [] == await channel_views(post)


async def test_what_became_of_a_test_is_found_by_its_key(post: PostOffice) -> None:
    channel = await post.scripted()
    key = await post.db.write(lambda tx: send_test(tx, post.pid, channel.uuid, actor=CLI, at=post.at, ids=post.ids))
    await post.dispatcher(ScriptedChannel()).round(NOW)

    async with post.db.read() as read:
        found = await notification_of(read, post.pid, key)
        assert await notification_of(read, post.pid, "test:unknown") is None

    assert found is not None
    assert (AlertKind.TEST, "sent") == (found.alert.kind, found.state)
