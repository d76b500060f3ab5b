"""Silences hold what they cover on the channels that they cover, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.words import AlertKind
from heartfly.db.models import notifications, silences
from heartfly.notify import peace_commands
from heartfly.notify.later import NEXT_LATER, soonest, tell_later
from heartfly.notify.outbox import Entry, enqueue
from heartfly.notify.peace_commands import Asked
from heartfly.notify.policies import AskedPolicy
from tests.notify.post_office import PostOffice, an_alert

pytestmark = pytest.mark.anyio

HOOK = "https://hooks.example.com/x"


async def silence(post: PostOffice, **asked: Any) -> Any:
    return await post.db.write(
        lambda tx: peace_commands.make(tx, post.pid, Asked(**asked), at=post.at, actor=Actor("test"), ids=post.ids)
    )


async def rows(post: PostOffice) -> list[Any]:
    async with post.db.read() as read:
        query = sa.select(notifications).where(notifications.c.pid == post.pid).order_by(notifications.c.alert_id)
        return list((await read.execute(query)).all())


async def pass_all(post: PostOffice) -> None:
    """Look at each instant at which something is due, to the last."""
    while (due := await post.db.write(lambda tx: soonest(tx, *NEXT_LATER))) is not None:
        while await post.db.write(lambda tx, due=due: tell_later(tx, now=due, ids=post.ids)):  # type: ignore[misc]
            pass


async def test_a_muted_channel_that_is_deleted_leaves_nothing_waiting(post: PostOffice) -> None:
    muted = await post.webhook(HOOK)
    await silence(post, kind="mute", scope="channel", targets=[muted.uuid], lasts=timedelta(hours=1))
    await post.alert([muted.channel_id])
    assert ["held"] == [row.state for row in await rows(post)]

    await post.delete(muted)
    await pass_all(post)

    assert ["failed"] == [row.state for row in await rows(post)]


async def test_a_mute_of_one_channel_leaves_another_in_peace_with_its_alerts(post: PostOffice) -> None:
    muted, other = await post.webhook(HOOK), await post.webhook(HOOK)
    await silence(post, kind="mute", scope="channel", targets=[muted.uuid], lasts=timedelta(hours=1))

    await post.alert([muted.channel_id, other.channel_id])

    states = {row.channel_id: row.state for row in await rows(post)}
    assert {muted.channel_id: "held", other.channel_id: "pending"} == states


async def test_a_test_is_never_held(post: PostOffice) -> None:
    muted = await post.webhook(HOOK)
    await silence(post, kind="mute", scope="project", lasts=timedelta(hours=1))

    await post.alert([muted.channel_id], kind=AlertKind.TEST)

    assert ["pending"] == [row.state for row in await rows(post)]


async def test_another_project_is_not_silenced(post: PostOffice) -> None:
    await silence(post, kind="mute", scope="project", lasts=timedelta(hours=1))
    await post.open()
    channel = await post.webhook(HOOK)

    await post.alert([channel.channel_id])

    assert ["pending"] == [row.state for row in await rows(post)]


async def test_what_begins_and_ends_in_one_transaction_is_told_as_both(post: PostOffice) -> None:
    channel = await post.webhook(HOOK, policy=AskedPolicy(least="high"))
    kinds = (AlertKind.DOWN, AlertKind.UP)
    entries = [
        Entry(
            pid=post.pid,
            source="check:1",
            alert=an_alert("check:1", kind, f"flip:1:{n}", post.at),
            channel_ids=(channel.channel_id,),
        )
        for n, kind in enumerate(kinds, start=1)
    ]

    await post.db.write(lambda tx: enqueue(tx, entries, ids=post.ids, now=post.at))

    assert ["pending", "pending"] == [row.state for row in await rows(post)]


async def test_a_silence_whose_zone_is_gone_holds_nothing(post: PostOffice) -> None:
    channel = await post.webhook(HOOK)
    quiet = await silence(post, kind="quiet", scope="project", cron="0 * * * *", lasts=timedelta(minutes=59))
    gone = sa.update(silences).where(silences.c.id == quiet.id).values(zone="Atlantis/Capital")
    await post.db.write(lambda tx: tx.conn.execute(gone).rowcount)

    await post.alert([channel.channel_id])

    assert ["pending"] == [row.state for row in await rows(post)]


async def test_what_an_edited_silence_held_is_looked_at_anew_at_once(post: PostOffice) -> None:
    """For it may hold that no more: here a mute of one channel becomes one of another."""
    muted, other = await post.webhook(HOOK), await post.webhook(HOOK)
    hour = timedelta(hours=1)
    row = await silence(post, kind="mute", scope="channel", targets=[muted.uuid], lasts=hour)
    await post.alert([muted.channel_id])
    before = await post.db.write(lambda tx: soonest(tx, *NEXT_LATER))
    wanted = replace(peace_commands.asked_as(row), targets=[other.uuid])

    await post.db.write(
        lambda tx: peace_commands.edit(tx, post.pid, row.uuid, wanted, at=post.at, actor=Actor("test"), ids=post.ids)
    )

    assert (post.at + hour, post.at) == (before, await post.db.write(lambda tx: soonest(tx, *NEXT_LATER)))
    await pass_all(post)
    assert "held" not in {one.state for one in await rows(post)}
