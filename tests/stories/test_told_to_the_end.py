"""Whoever was told that something is wrong is told that it is over; a channel that is edited is asked anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from heartfly.core.gate_text import gate_of_text
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import notifications
from heartfly.notify.commands import edit_channel
from heartfly.notify.policies import AskedPolicy
from tests.notify.receivers import HttpReceiver
from tests.stories.story import Story, begin
from tests.stories.test_peace import silence
from tests.world import SEALER

WARNS = msgspec.json.encode([gate_of_text("rows > 0 warn", field="gates")]).decode()
pytestmark = [pytest.mark.story, pytest.mark.anyio]


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


async def edit(story: Story, channel: Any, **asked: Any) -> None:
    await story.world.db.write(
        lambda tx: edit_channel(tx, story.world.project.pid, channel.uuid, **asked, at=story.clock.now(), sealer=SEALER)
    )
    await story.look()


async def reasons(story: Story) -> list[tuple[str, str]]:
    async with story.world.db.read() as read:
        rows = await read.execute(
            sa.select(notifications.c.state, notifications.c.why).order_by(notifications.c.alert_id)
        )
        return [(row.state, row.why or "") for row in rows]


async def test_who_was_told_that_it_is_down_is_told_that_it_is_up_though_it_is_given_to_others(story: Story) -> None:
    backup = await story.check("backup")
    hook = await story.channel("hook")
    await story.ping("00:30", backup)
    await story.want("01:50", "check.down backup (missed)")
    await story.channel("new")
    await edit(story, hook, assign=())
    await story.ping("02:00", backup)
    await story.want("02:01", *["check.up backup (success)"] * 2)  # both


async def test_it_hears_of_that_end_and_of_nothing_more(story: Story) -> None:
    backup = await story.check("backup")
    hook = await story.channel("hook")
    await story.ping("00:30", backup)
    await story.want("01:50", "check.down backup (missed)")
    await edit(story, hook, assign=())
    await story.ping("02:00", backup)
    await story.want("02:01", "check.up backup (success)")
    await story.ping("02:10", backup, PingKind.FAIL)
    await story.ping("02:20", backup)
    await story.want("05:00")


async def test_of_a_check_that_is_degraded_before_it_is_well_the_end_is_told_too(story: Story) -> None:
    backup = await story.check("backup", gates=WARNS)
    hook = await story.channel("hook")
    await story.ping("00:10", backup, body=b"rows=1")
    await story.ping("00:20", backup, PingKind.FAIL)
    await edit(story, hook, assign=())
    await story.ping("00:30", backup, body=b"rows=0")
    await story.ping("00:40", backup, body=b"rows=1")
    await story.want("00:41", "check.down backup (fail)", "check.up backup (success)")


async def test_who_hears_of_no_ends_hears_of_none(story: Story) -> None:
    backup = await story.check("backup")
    hook = await story.channel("hook", events=["check.down"])
    await story.ping("00:30", backup)
    await story.want("01:50", "check.down backup (missed)")
    await edit(story, hook, assign=())
    await story.ping("02:00", backup)
    await story.want("03:00")


async def test_a_channel_that_is_for_other_tags_by_now_hears_of_the_end_that_it_waits_for(story: Story) -> None:
    backup = await story.check("backup", tags=("db",))
    hook = await story.channel("hook")
    await story.ping("00:30", backup)
    await story.want("01:50", "check.down backup (missed)")
    await edit(story, hook, policy=AskedPolicy(tags=["web"]))
    await story.ping("02:00", backup)
    await story.want("02:01", "check.up backup (success)")
    await story.ping("02:10", backup, PingKind.FAIL)
    await story.want("02:20")


async def test_a_channel_that_waits_no_longer_is_told_at_once(story: Story) -> None:
    backup = await story.check("backup")
    hook = await story.channel("hook")
    await edit(story, hook, policy=AskedPolicy(after_s=7200))
    await story.ping("00:30", backup)
    await story.want("02:00")
    await edit(story, hook, policy=AskedPolicy())
    await story.want("02:01", "check.down backup (missed)")


async def test_a_channel_that_waits_longer_by_now_waits_longer(story: Story) -> None:
    backup = await story.check("backup")
    hook = await story.channel("hook")
    await edit(story, hook, policy=AskedPolicy(after_s=900))
    await story.ping("00:30", backup)
    await story.want("01:50")
    await edit(story, hook, policy=AskedPolicy(after_s=3600))
    await story.want("02:39")
    await story.want("02:41", "check.down backup (missed)")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"assign": ()}, "the channel is none of its check's any more"),
        ({"events": ["check.up"]}, "the channel does not hear of check.down any more"),
        ({"policy": AskedPolicy(tags=["web"])}, "this channel is for checks with a tag of: web"),
    ],
)  # fmt: skip
async def test_what_is_held_for_a_channel_that_is_for_something_else_by_now_is_not_told(
    story: Story, asked: dict[str, Any], why: str
) -> None:
    backup = await story.check("backup")
    hook = await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="snooze", scope="check", targets=[backup.uuid], to="03:00")
    await story.want("02:00")
    await edit(story, hook, **asked)
    await story.want("04:00")
    assert [("untold", f"snoozed until 2026-03-02 03:00 UTC; {why}")] == await reasons(story)


async def test_what_a_silence_holds_stays_held_when_its_channel_is_edited(story: Story) -> None:
    backup = await story.check("backup")
    hook = await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="snooze", scope="check", targets=[backup.uuid], to="03:00")
    await story.want("02:00")
    await edit(story, hook, policy=AskedPolicy(every_s=int(timedelta(hours=6).total_seconds())))
    await story.want("02:59")
    await story.want("03:01", "check.down backup (missed)")
