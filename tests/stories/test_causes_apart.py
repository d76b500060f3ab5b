"""What causes must not swallow, told as timelines: failures of their own, and what is to be told with others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.notify.receivers import HttpReceiver
from tests.stories.story import Story, begin
from tests.stories.test_causes import heard, needs

pytestmark = [pytest.mark.story, pytest.mark.anyio]


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


async def test_a_failure_long_after_the_host_is_back_is_told_though_the_first_members_are_still_down(
    story: Story,
) -> None:
    rare = [await story.check(f"rare-{n}", every="12h", grace="1m", host="db-1") for n in range(2)]
    often = await story.check("often", every="1h", grace="3h", host="db-1")
    backup = await story.check("backup", every="12h", grace="1h", host="db-1")
    await story.channel("people", kind="slack")
    for job in rare:
        await story.ping("00:01", job)
    await story.ping("05:00", backup)
    for hour in range(5, 12):
        await story.ping(f"{hour:02}:30", often)
    # The machine is away at noon, and back at half past one; what runs twice a day stays down until its next turn.
    told = await heard(story, "13:30")
    assert 2 == len(told), told
    for hour in range(13, 18):
        await story.ping(f"{hour:02}:30", often)
    # What was expected at 17:00, hours after that, fails for a reason of its own.
    ((when, what),) = await heard(story, "18:10")
    assert "18:00:00" == when
    assert "backup" in what


async def test_a_check_that_is_needed_and_goes_down_again_takes_no_telling_from_who_waits_for_one(story: Story) -> None:
    parent = await story.check("parent", every="1h", grace="1h")
    children = [await story.check(f"child-{n}", every="1h", grace="1m") for n in range(3)]
    await story.channel("people", kind="slack")
    for child in children:
        await needs(story, child, "parent")
    for child in children:
        await story.ping("00:01", child)
    await story.ping("00:02", parent, PingKind.FAIL)
    for child in children[:2]:
        await story.ping("00:03", child, PingKind.FAIL)
    await story.ping("00:05", parent)
    # Both are told after their own grace: one at once, the other with the others two minutes later.
    told = await heard(story, "00:06:10")
    assert any("child-0" in what for _, what in told), told
    await story.ping("00:06:20", children[2], PingKind.FAIL)
    await story.ping("00:06:40", parent, PingKind.FAIL)
    told = await heard(story, "00:30")
    assert any("child-1" in what for _, what in told), told


async def test_a_child_that_fails_in_a_second_outage_of_its_parent_is_told_though_a_cause_was_told_as_one(
    story: Story,
) -> None:
    parent = await story.check("parent", every="1d", grace="1h")
    children = [await story.check(f"child-{n}", every="1d", grace="1m") for n in range(3)]
    await story.channel("people", kind="slack")
    for child in children:
        await needs(story, child, "parent")
    await story.ping("00:02", parent, PingKind.FAIL)
    for child in children[:2]:
        await story.ping("00:03", child, PingKind.FAIL)
    await story.ping("00:05", parent)
    told = await heard(story, "00:30")
    assert any("what needs" in what for _, what in told), told
    # Those two stay down, so the cause lasts. Days later the parent fails again, and the third with it.
    await story.ping("05:00", parent, PingKind.FAIL)
    await story.ping("05:01", children[2], PingKind.FAIL)
    await story.ping("05:05", parent)
    told = await heard(story, "05:30")
    assert any("DOWN: child-2" in what for _, what in told), told


async def test_a_channel_that_hears_of_no_ends_hears_of_no_cause_that_is_over(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    await story.channel("people", kind="slack", events=["check.down"])
    for job in jobs:
        await story.ping("00:01", job)
    assert 2 == len(await heard(story, "00:20"))
    for job in jobs:
        await story.ping("00:21", job)
    assert [] == await heard(story, "00:23")


async def test_of_pings_that_come_together_the_last_names_the_host(story: Story) -> None:
    job = await story.check("job")
    await story.ping("00:01", job, host="web-1")
    await story.world.pings(
        [story.world.request(job, story.at(f"00:02:{n:02}"), host=host) for n, host in enumerate(("web-2", "web-1"))]
    )
    assert "web-1" == (await story.world.row(job)).heard_host
