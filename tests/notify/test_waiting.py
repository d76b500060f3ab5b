from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.errors import DeliveryError
from heartfly.notify.message import Delivery
from heartfly.notify.waiting import Waiting, waiting
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel

pytestmark = pytest.mark.anyio

NOW = at("03:10")


async def found(post: PostOffice) -> list[Waiting]:
    async with post.db.read() as read:
        return await waiting(read)


async def test_an_empty_outbox_has_nothing_waiting(post: PostOffice) -> None:
    assert [] == await found(post)


async def test_each_channel_is_found_once_however_much_waits(post: PostOffice) -> None:
    channels = [await post.scripted("mail"), await post.scripted("hook")]
    await post.alerts([channel.channel_id for channel in channels], [f"check:{n}" for n in range(20)])

    assert [
        Waiting(pid=post.pid, channel_id=channel.channel_id, kind=kind, fresh=True, due_at=None)
        for channel, kind in zip(channels, ("mail", "hook"), strict=True)
    ] == await found(post)


async def test_what_is_held_up_by_a_retry_is_not_fresh(post: PostOffice) -> None:
    async def refuse(_: Delivery) -> None:
        raise DeliveryError("no", code=503)

    channel = await post.scripted()
    await post.alert([channel.channel_id], "check:1")
    due = await post.dispatcher(ScriptedChannel(refuse)).round(NOW)
    await post.alert([channel.channel_id], "check:1")

    (one,) = await found(post)
    assert (False, due) == (one.fresh, one.due_at)
    assert due is not None
    assert (False, True) == (one.is_due(due - timedelta(microseconds=1)), one.is_due(due))

    await post.alert([channel.channel_id], "check:2")
    (one,) = await found(post)
    assert (True, due) == (one.fresh, one.due_at)


async def test_a_deleted_channel_has_no_kind(post: PostOffice) -> None:
    channel = await post.scripted()
    await post.delete(channel)
    await post.alert([channel.channel_id])

    assert [None] == [one.kind for one in await found(post)]
