"""Peace, told as timelines: what silences hold, what is told after them, and what is never told for nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import incidents, notifications
from heartfly.incidents import commands as incident_commands
from heartfly.notify import peace_commands
from heartfly.notify.commands import edit_channel
from heartfly.notify.peace_commands import Asked
from heartfly.notify.policies import AskedPolicy, OwnWords
from tests.notify.receivers import HttpReceiver
from tests.one_database import postgres_if_slow
from tests.stories.story import Story, begin
from tests.world import SEALER, TEST

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


@postgres_if_slow
async def test_the_alert_of_a_weekly_job_says_from_which_maintenance_its_slot_was_counted(story: Story) -> None:
    await story.stride(timedelta(hours=1))
    weekly = await story.check("weekly", every="7d", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", weekly)
    await silence(story, kind="maintenance", scope="project", effect="ignore", from_="7d 00:00", to="7d 04:00")
    await story.want("14d 04:09")
    await story.want("14d 04:11", "check.down weekly (missed)")
    said = json.loads(story.receiver.requests[-1].body)["explain"]
    maintenance = "Maintenance from 2026-03-09 00:00:00 UTC to 2026-03-09 04:00:00 UTC was not judged"
    assert maintenance in said


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
    await story.stride(timedelta(hours=1))
    backup = await story.check("backup", kind="cron", expression="30 0,2,6,12,18 * * *", grace="10m")
    await story.channel("hook")
    await silence(
        story, kind="maintenance", scope="project", cron="0 2 * * *", lasts=timedelta(hours=1), effect="ignore"
    )
    for day in range(2):
        for hour in (0, 6, 12, 18):
            await story.ping(f"{day}d {hour:02}:30", backup)
    await story.ping("2d 00:30", backup)
    await story.want("2d 06:30")
    assert ["unverified"] * 3 == [run.outcome for run in await story.world.runs(backup) if run.outcome != "ok"]


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


# --- reminders, escalation, quiet hours, routing ------------------------------------------------------


async def policy(story: Story, channel: Any, **asked: Any) -> None:
    await story.world.db.write(
        lambda tx: edit_channel(
            tx, story.world.project.pid, channel.uuid, policy=AskedPolicy(**asked), at=story.clock.now(), sealer=SEALER
        )
    )


async def acknowledge(story: Story) -> None:
    async with story.world.db.read() as read:
        uuid = (await read.execute(sa.select(incidents.c.uuid).where(incidents.c.closed_at.is_(None)))).scalar_one()
    await story.world.db.write(
        lambda tx: incident_commands.acknowledge(
            tx, story.world.project.pid, uuid, at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )


async def test_a_channel_is_reminded_until_somebody_acknowledges(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await policy(story, await story.channel("hook"), every_s=1800)
    await story.ping("00:30", backup)
    await story.want("01:41", "check.down backup (missed)")
    await story.want("02:11", "incident.reminder backup (missed)")
    await story.want("02:41", "incident.reminder backup (missed)")
    await acknowledge(story)
    await story.want("05:00")


async def test_reminders_end_when_it_is_up_again(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await policy(story, await story.channel("hook"), every_s=1800)
    await story.ping("00:30", backup)
    await story.want("02:11", "check.down backup (missed)", "incident.reminder backup (missed)")
    await story.ping("02:20", backup)
    await story.want("03:00", "check.up backup (success)")


async def test_a_second_channel_hears_if_nobody_acknowledges_in_time(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await policy(story, await story.channel("boss"), after_s=900)
    await story.ping("00:30", backup)
    await story.want("01:54")
    await story.want("01:56", "check.down backup (missed)")
    await story.ping("02:00", backup)
    await story.want("02:01", "check.up backup (success)")


async def test_a_second_channel_does_not_hear_what_somebody_takes_care_of(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await policy(story, await story.channel("boss"), after_s=900)
    await story.ping("00:30", backup)
    await story.want("01:45")
    await acknowledge(story)
    await story.want("01:58")
    await story.ping("02:00", backup)
    await story.want("02:30")
    waits = "told here if nobody acknowledges it within 15 min"
    assert [
        ("untold", f"{waits}; acknowledged by test before that"),
        ("untold", "nobody had been told that it began"),
    ] == await written(story)


async def test_quiet_hours_tell_at_their_end_as_one_message_what_is_still_true(story: Story) -> None:
    checks = [await story.check(name, every="1h", grace="10m") for name in ("alpha", "beta", "gamma")]
    await story.channel("chat", kind="slack")
    await silence(story, kind="quiet", scope="project", cron="0 0 * * *", lasts=timedelta(hours=3), below="critical")
    for check in checks:
        await story.ping("00:30", check)
    await story.ping("02:20", checks[2])
    await story.want("02:59")
    await story.pass_to(story.at("03:01"))
    (request,) = story.receiver.requests
    said = request.body.decode()
    assert [True, True, False] == [name in said for name in ("alpha", "beta", "gamma")]
    assert "2 checks" in said
    assert "You hear of them only now: quiet hours until 2026-03-02 03:00 UTC." in said


async def test_quiet_hours_let_through_what_is_severe_enough(story: Story) -> None:
    urgent = await story.check("urgent", every="1h", grace="10m", tags=("severity:critical",))
    calm = await story.check("calm", every="1h", grace="10m")
    await story.channel("hook")
    await silence(story, kind="quiet", scope="project", cron="0 0 * * *", lasts=timedelta(hours=7), below="critical")
    await story.ping("00:30", urgent)
    await story.ping("00:30:01", calm)
    await story.want("06:59", "check.down urgent (missed)")
    await story.want("07:01", "check.down calm (missed)")


async def test_what_a_channel_is_not_for_stays_on_record_with_the_reason(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m", tags=("db",))
    await policy(story, await story.channel("hook"), tags=("web",))
    await story.ping("00:30", backup)
    await story.ping("03:00", backup)
    await story.want("03:01")
    why = "this channel is for checks with a tag of: web"
    assert [("untold", why), ("untold", why)] == await written(story)


async def test_each_run_that_goes_well_is_told_to_who_wants_it(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook", events=["check.success", "check.down"])
    await story.ping("00:30", backup)
    await story.ping("01:30", backup)
    await story.want("01:31", "check.success backup")


async def test_up_says_how_many_runs_were_missed(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook", events=["check.up"])
    await story.ping("00:30", backup)
    await story.ping("05:00", backup)
    await story.pass_to(story.at("05:01"))
    (request,) = story.receiver.requests
    told = json.loads(request.body)
    assert ("check.up", 4) == (told["type"], told["missed"])


async def test_a_message_says_why_it_comes_only_now(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("hook")
    await story.ping("00:30", backup)
    await silence(story, kind="snooze", scope="check", targets=[backup.uuid], to="03:00", note="known")
    await story.pass_to(story.at("03:01"))
    (request,) = story.receiver.requests
    assert "snoozed “known” until 2026-03-02 03:00 UTC" == json.loads(request.body)["held"]


async def test_a_channel_has_other_words_for_a_single_event(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    words = {"check.up": OwnWords(text="$NAME is back"), "check.late": OwnWords(title="unused")}
    await policy(story, await story.channel("chat", kind="slack"), text="$NAME is $STATUS", words=words)
    await story.ping("00:30", backup)
    await story.ping("01:45", backup)
    await story.pass_to(story.at("02:00"))
    down, up = [request.body.decode() for request in story.receiver.requests]

    assert ("backup is down" in down, "backup is back" in up) == (True, True)
    assert "is back" not in down


async def test_a_channel_speaks_in_its_own_words(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await policy(story, await story.channel("chat", kind="slack"), text="$NAME is $STATUS, and $UNKNOWN stays")
    await story.ping("00:30", backup)
    await story.pass_to(story.at("01:41"))
    (request,) = story.receiver.requests
    assert "backup is down, and $UNKNOWN stays" in request.body.decode()
