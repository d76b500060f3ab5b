"""Peace, told as timelines: what silences hold, what is told after them, and what is never told for nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import notifications
from heartfly.notify import peace_commands
from heartfly.notify.peace_commands import Asked
from tests.notify.receivers import HttpReceiver
from tests.stories.story import Story, begin
from tests.world import TEST

pytestmark = [pytest.mark.story, pytest.mark.anyio]


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


async def silence(story: Story, **asked: Any) -> Any:
    """Made now. `to` and `from_` as times of the story."""
    times: dict[str, Any] = {
        f"{name.rstrip('_')}_at": story.at(asked.pop(name)) for name in ("from_", "to") if name in asked
    }
    return await story.world.db.write(
        lambda tx: peace_commands.make(
            tx, story.world.project.pid, Asked(**asked, **times), at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )


async def written(story: Story) -> list[tuple[str, str]]:
    """State and reason of each notification, in order."""
    async with story.world.db.read() as read:
        rows = await read.execute(
            sa.select(notifications.c.state, notifications.c.why).order_by(notifications.c.alert_id)
        )
        return [(row.state, row.why or "") for row in rows]


async def test_a_snoozed_check_is_told_after_the_snooze_if_it_is_still_down(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="snooze", scope="check", targets=[backup.uuid], to="03:00")
    await story.want("02:59")
    await story.want("03:01", "check.down backup (missed)")


async def test_what_was_over_before_the_snooze_is_recorded_and_not_told(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="snooze", scope="check", targets=[backup.uuid], to="03:00")
    await story.ping("02:50", backup)
    await story.want("03:30")
    why = "snoozed until 2026-03-02 03:00 UTC"
    assert [
        ("untold", f"{why}; it was over before anybody was to be told"),
        ("untold", f"{why}; nobody had been told that it began"),
    ] == await written(story)


async def test_who_was_told_that_it_is_down_hears_at_once_that_it_is_up_though_it_is_snoozed(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await story.want("01:50", "check.down backup (missed)")
    await silence(story, kind="snooze", scope="check", targets=[backup.uuid], to="09:00")
    await story.ping("02:00", backup)
    await story.want("02:01", "check.up backup (success)")


async def test_maintenance_holds_and_tells_a_grace_after_its_end(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m", tags=("db",))
    other = await story.check("other", every="12h")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await story.ping("00:31", other)
    await silence(story, kind="maintenance", scope="tag", targets=["db"], note="move", from_="01:00", to="04:00")
    await story.want("04:09")
    await story.want("04:11", "check.down backup (missed)")
    assert [("sent", "maintenance “move” until 2026-03-02 04:00 UTC")] == await written(story)


async def test_what_comes_back_after_maintenance_alarms_nobody(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="maintenance", scope="project", from_="01:00", to="04:00")
    await story.ping("04:05", backup)
    await story.want("05:00")


async def test_what_maintenance_does_not_judge_expects_its_next_run_from_the_end_on(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="maintenance", scope="project", effect="ignore", from_="01:00", to="04:00")
    await story.want("05:09")
    assert "up" == await story.status(backup)
    await story.want("05:11", "check.down backup (missed)")
    assert ["unverified", "missed"] == [run.outcome for run in await story.world.runs(backup)][1:]


async def test_a_run_that_hangs_in_unjudged_time_raises_no_alarm(story: Story) -> None:
    backup = await story.check("backup", every="12h", grace="10m", max_run="30m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await story.ping("00:50", backup, PingKind.START)
    await silence(story, kind="maintenance", scope="check", targets=[backup.uuid], effect="ignore", to="04:00")
    await story.want("05:00")
    assert "up" == await story.status(backup)


async def test_a_failure_that_a_job_reports_in_unjudged_time_is_told_after_it(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="maintenance", scope="project", effect="ignore", from_="01:00", to="04:00")
    await story.ping("02:00", backup, PingKind.FAIL)
    await story.want("04:09")
    await story.want("04:11", "check.down backup (fail)")


async def test_maintenance_that_comes_again_and_again_holds_each_time(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await silence(
        story, kind="maintenance", scope="project", cron="0 2 * * *", lasts=timedelta(hours=1), effect="ignore"
    )
    for day in range(3):
        for hour in (0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23):
            await story.ping(f"{day}d {hour:02}:30", backup)
    await story.want("3d 00:30")


async def test_ending_maintenance_early_tells_soon_and_not_at_that_moment(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    window = await silence(story, kind="maintenance", scope="project", from_="01:00", to="20:00")
    await story.want("03:00")
    await story.world.db.write(
        lambda tx: peace_commands.end_now(
            tx, story.world.project.pid, window.uuid, at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )
    await story.look()
    await story.want("03:04")
    await story.want("03:06", "check.down backup (missed)")


async def test_ending_unjudged_time_early_has_checks_judged_from_then_on(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    window = await silence(story, kind="maintenance", scope="project", effect="ignore", from_="01:00", to="20:00")
    await story.want("03:00")
    await story.world.db.write(
        lambda tx: peace_commands.end_now(
            tx, story.world.project.pid, window.uuid, at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )
    await story.look()
    await story.want("04:09")
    await story.want("04:11", "check.down backup (missed)")


async def test_a_silence_that_is_made_longer_by_another_holds_on(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="snooze", scope="check", targets=[backup.uuid], to="03:00")
    await story.want("02:00")
    await silence(story, kind="mute", scope="project", to="05:00")
    await story.want("04:59")
    await story.want("05:01", "check.down backup (missed)")
