"""What is tolerated, and how runs are bounded: each rule as a timeline, on both databases."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from heartfly.checks.config import CheckConfig, CheckIn, ToleranceIn, merged
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.notify.receivers import HttpReceiver
from tests.stories.story import DAY, Story, begin

pytestmark = [pytest.mark.anyio, pytest.mark.story]

START, FAIL, PROGRESS = PingKind.START, PingKind.FAIL, PingKind.PROGRESS


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


def tolerating(**asked: int) -> dict[str, str]:
    """As a column of a check, by the same door that people use."""
    return {"tolerance": merged(CheckConfig(), CheckIn(tolerance=ToleranceIn(**asked)), at=DAY).tolerance}


def bound(*lines: str) -> dict[str, str]:
    return {"bounds": merged(CheckConfig(grace_s=86_400), CheckIn(bounds=list(lines)), at=DAY).bounds}


async def whys(story: Story) -> list[str]:
    return [json.loads(request.body)["explain"] for request in story.receiver.requests]


async def marks(story: Story, check: object) -> list[tuple[str | None, str | None, str | None]]:
    return [(run.outcome, run.reason, run.tolerated) for run in await story.world.runs(check)]


# --- tolerance ---------------------------------------------------------------------------------------


async def test_the_third_failure_in_a_row_is_told_and_those_before_are_kept_with_the_reason(story: Story) -> None:
    backup = await story.check("backup", **tolerating(failures=3))
    await story.channel("ops")
    await story.ping("01:00", backup)
    await story.ping("02:00", backup, FAIL)
    await story.ping("02:05", backup, FAIL, exit_status=7)
    await story.want("02:05")
    assert "up" == await story.status(backup)

    await story.ping("02:10", backup, FAIL)

    await story.want("02:10", "check.down backup (fail)")
    assert [
        ("ok", None, None),
        ("failed", "fail", "1 of 3"),
        ("failed", "exit_status", "2 of 3"),
        ("failed", "fail", None),
    ] == await marks(story, backup)
    assert "failure 3 in a row since 2026-03-02 02:00:00 UTC; the 2 before it were tolerated" in (await whys(story))[0]


async def test_a_success_in_between_begins_the_row_anew(story: Story) -> None:
    backup = await story.check("backup", **tolerating(failures=2))
    await story.channel("ops")
    for time, kind in (("01:00", None), ("01:10", FAIL), ("01:20", None), ("01:30", FAIL), ("01:40", None)):
        await story.ping(time, backup, kind or PingKind.SUCCESS)
    await story.want("02:00")

    await story.ping("02:01", backup, FAIL)
    await story.ping("02:02", backup, FAIL)
    await story.want("02:02", "check.down backup (fail)")


async def test_a_job_that_goes_silent_is_told_after_so_many_slots(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m", **tolerating(failures=3))
    await story.channel("ops")
    await story.ping("01:00", backup)

    await story.want("04:09:59")
    assert "up" == await story.status(backup)
    await story.want("04:10", "check.down backup (missed)")
    assert ["1 of 3", "2 of 3", None] == [tolerated for _, reason, tolerated in await marks(story, backup) if reason]
    await story.ping("05:00", backup)
    await story.want("05:00", "check.up backup (success)")


async def test_a_miss_and_a_failure_and_a_run_that_hangs_make_one_row(story: Story) -> None:
    report = await story.check("report", every="1h", grace="10m", max_run="5m", **tolerating(failures=3))
    await story.channel("ops")
    await story.ping("01:00", report)
    await story.ping("01:30", report, START)  # hangs at 01:35, and its slot with it
    await story.want("02:44:59")

    await story.want("02:45")  # a slot an hour after the run that hung: missed
    await story.ping("02:50", report, FAIL)
    await story.want("02:50", "check.down report (fail)")
    assert ["hung", "missed", "fail"] == [reason for _, reason, _ in await marks(story, report) if reason]


async def test_a_share_of_the_last_runs_is_told_though_no_two_failures_follow_one_another(story: Story) -> None:
    sync = await story.check("sync", every="1d", **tolerating(share=50, last=6))
    await story.channel("ops")
    for minute, kind in enumerate((PingKind.SUCCESS, FAIL, PingKind.SUCCESS, FAIL, PingKind.SUCCESS)):
        await story.ping(f"01:0{minute}", sync, kind)
    await story.want("01:05")

    await story.ping("01:06", sync, FAIL)

    await story.want("01:06", "check.down sync (fail)")
    assert "3 of the last 6 runs failed, which is more than is tolerated." in (await whys(story))[0]


async def test_a_check_that_shall_go_well_twice_is_up_after_the_second_success(story: Story) -> None:
    backup = await story.check("backup", **tolerating(recover=2))
    await story.channel("ops")
    await story.ping("01:00", backup)
    await story.ping("01:10", backup, FAIL)
    await story.want("01:10", "check.down backup (fail)")

    await story.ping("01:20", backup)
    await story.ping("01:30", backup, FAIL)
    await story.ping("01:40", backup)
    await story.want("01:40")
    await story.ping("01:50", backup)
    await story.want("01:50", "check.up backup (success)")
    assert "The last of 2 successes in a row came" in (await whys(story))[1]


async def test_a_job_that_never_went_well_is_told_at_its_first_failure(story: Story) -> None:
    backup = await story.check("backup", **tolerating(failures=5))
    await story.channel("ops")

    await story.ping("01:00", backup, FAIL)

    await story.want("01:00", "check.down backup (fail)")


async def test_our_own_outage_is_no_miss_and_two_of_them_are_one(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m", **tolerating(failures=2))
    await story.channel("ops")
    await story.ping("10:00", backup)
    await story.crash("10:30", until="12:00")
    await story.want("12:00", "check.unverified")

    await story.crash("12:10", until="13:30")
    await story.want("13:30")
    assert ("missed", "missed_twice_unverified", "1 of 2") == (await marks(story, backup))[-1]

    await story.want("14:40", "check.down backup (missed)")


async def test_a_success_that_comes_late_takes_an_alarm_back_that_is_none_without_its_slot(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m", **tolerating(failures=2))
    await story.channel("ops")
    await story.ping("01:00", backup)
    await story.want("03:10", "check.down backup (missed)")

    await story.spooled("03:20", "01:30", backup)  # then only the slot of 02:30 was missed

    await story.want("03:20", "check.up backup (retracted)")
    await story.want("03:39:59")
    await story.want("03:40", "check.down backup (missed)")


async def test_a_failure_that_comes_late_makes_the_row_that_it_stands_in_longer(story: Story) -> None:
    backup = await story.check("backup", every="1d", **tolerating(failures=3))
    await story.channel("ops")
    await story.ping("01:00", backup)
    await story.ping("01:10", backup, FAIL)
    await story.ping("01:30", backup, FAIL)
    await story.ping("01:40", backup, FAIL, happened_at=story.at("01:20"))

    await story.want("01:40", "check.down backup (fail)")
    assert "down" == await story.status(backup)


async def test_a_row_of_which_we_hear_when_it_is_over_is_told_as_one_message(story: Story) -> None:
    backup = await story.check("backup", every="1d", **tolerating(failures=2))
    await story.channel("ops")
    await story.ping("01:00", backup)
    await story.ping("01:10", backup, FAIL)
    await story.ping("01:30", backup)
    await story.ping("01:40", backup, FAIL, happened_at=story.at("01:20"))

    await story.want("01:40", "check.up backup (success)")
    assert "up" == await story.status(backup)


# --- bounds ------------------------------------------------------------------------------------------


async def test_a_backup_that_is_done_in_no_time_is_told(story: Story) -> None:
    backup = await story.check("backup", **bound("run >= 1m"))
    await story.channel("ops")
    await story.ping("01:00", backup, START)
    await story.ping("01:01", backup)
    await story.ping("01:30", backup, START)
    await story.ping("01:30:03", backup)

    await story.want("01:31", "check.down backup (too_fast)")
    assert ["The job reported success after 3 s, which is too fast: the bound is run >= 1m."] == await whys(story)


async def test_a_job_that_does_not_begin_in_time_is_told_before_its_end_is_due(story: Story) -> None:
    report = await story.check("report", every="1h", grace="40m", max_run="2h", **bound("start within 5m"))
    await story.channel("ops")
    await story.ping("01:00", report)
    await story.ping("02:04:59", report, START)
    await story.want("03:50")
    await story.ping("04:00", report)

    await story.want("05:04:59")
    await story.want("05:05", "check.down report (not_started)")
    await story.ping("05:20", report, START)
    await story.ping("05:50", report)
    await story.want("05:50", "check.up report (success)")


async def test_a_start_that_was_sent_in_time_and_came_late_takes_the_alarm_back(story: Story) -> None:
    report = await story.check("report", every="1h", grace="40m", **bound("start within 5m"))
    await story.channel("ops")
    await story.ping("01:00", report)
    await story.want("02:05", "check.down report (not_started)")

    await story.ping("02:06", report, START, happened_at=story.at("02:01"))

    await story.want("02:06", "check.up report (retracted)")
    await story.ping("02:20", report)
    await story.want("02:50")


async def test_our_own_outage_excuses_a_start_and_not_its_end(story: Story) -> None:
    report = await story.check("report", every="2h", grace="1h", **bound("start within 5m"))
    await story.channel("ops")
    await story.ping("01:00", report)
    await story.crash("02:50", until="03:20")

    await story.want("03:40")  # its end is still to come, so nothing is unverified yet
    await story.ping("03:50", report)
    await story.want("05:54:59")
    await story.want("05:55", "check.down report (not_started)")


async def test_a_job_that_starts_again_and_again_is_told(story: Story) -> None:
    loop = await story.check("loop", every="1d", **bound("at most 3 runs in 10m"))
    await story.channel("ops")
    await story.ping("01:00", loop)
    for second in (10, 20, 30):
        await story.ping(f"02:00:{second}", loop, START)
    await story.want("02:01")

    await story.ping("02:01:10", loop, START)

    await story.want("02:01:10", "check.down loop (too_often)")
    await story.ping("02:02", loop)  # the end of the one too many
    await story.want("02:02")
    await story.ping("02:20", loop)
    await story.want("02:20", "check.up loop (success)")


async def test_of_three_hosts_the_one_that_is_silent_is_missed(story: Story) -> None:
    fleet = await story.check("fleet", every="1h", grace="10m", **bound("3 reports by address"))
    await story.channel("ops")
    for minute, host in enumerate(("10.0.0.1", "10.0.0.2", "10.0.0.3")):
        await story.ping(f"01:0{minute}", fleet, remote=host)
    for minute, host in enumerate(("10.0.0.1", "10.0.0.2", "10.0.0.1")):
        await story.ping(f"02:0{minute}", fleet, remote=host)

    await story.want("02:11:59")
    await story.want("02:12", "check.down fleet (too_few)")
    assert "2 of 3 reports came for the slot of 2026-03-02 02:02:00 UTC" in (await whys(story))[0]
    for minute, host in enumerate(("10.0.0.1", "10.0.0.2")):
        await story.ping(f"03:0{minute}", fleet, remote=host)
    await story.want("03:05")
    await story.ping("03:06", fleet, remote="10.0.0.3")
    await story.want("03:06", "check.up fleet (success)")


async def test_a_run_that_says_it_is_at_work_may_take_longer(story: Story) -> None:
    copy = await story.check("copy", every="1d", grace="10m", max_run="20m", **tolerating(failures=1))
    await story.channel("ops")
    await story.ping("01:00", copy, START)
    for time in ("01:15", "01:30", "01:45"):
        await story.ping(time, copy, PROGRESS)
    await story.want("02:04:59")

    await story.want("02:05", "check.down copy (hung)")
    assert ["start", "progress", "progress", "progress"] == [ping.kind for ping in await story.world.pings_of(copy)]


async def test_a_run_by_hand_in_the_afternoon_is_not_the_one_of_the_night(story: Story) -> None:
    await story.stride(timedelta(hours=1))
    backup = await story.check("backup", every="1d", grace="1h", **bound("early 10%"))
    await story.channel("ops")
    await story.ping("03:00", backup)
    await story.ping("15:00", backup)

    await story.want("1d 03:59:59")
    await story.want("1d 04:00", "check.down backup (missed)")
    assert ("ok", "too_early", None) == (await marks(story, backup))[1]


async def test_what_is_bounded_is_tolerated_like_all_else(story: Story) -> None:
    backup = await story.check("backup", **bound("run >= 1m", "start within 5m"), **tolerating(failures=3))
    await story.channel("ops")
    await story.ping("01:00", backup, START)
    await story.ping("01:02", backup)
    await story.ping("01:10", backup)  # no start: too fast
    await story.want("02:15")  # and none begins
    await story.ping("02:16", backup, FAIL)

    await story.want("02:16", "check.down backup (fail)")
    assert ["1 of 3", "2 of 3", None] == [tolerated for _, reason, tolerated in await marks(story, backup) if reason]
