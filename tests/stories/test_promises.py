"""The promises of the README, each as a timeline, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from heartfly.checks import commands
from heartfly.checks.config import CheckIn
from heartfly.checks.turn import in_turn
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.notify.receivers import HttpReceiver
from tests.stories.story import Story, begin
from tests.world import TEST

pytestmark = [pytest.mark.anyio, pytest.mark.story]

START, FAIL = PingKind.START, PingKind.FAIL


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


async def test_a_job_that_goes_silent_is_told_once_and_its_return_once(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("ops")
    await story.ping("10:00", backup)

    await story.want("11:09:59")
    await story.want("11:10", "check.down backup (missed)")
    await story.want("13:00")
    await story.ping("13:30", backup)
    await story.want("13:30", "check.up backup (success)")


async def test_a_job_that_fails_is_told_at_once(story: Story) -> None:
    backup = await story.check("backup")
    await story.channel("ops")
    await story.ping("10:00", backup)
    await story.ping("10:20", backup, FAIL, exit_status=3)

    await story.want("10:20", "check.down backup (exit_status)")
    await story.ping("10:21", backup, FAIL)
    await story.want("10:30")


async def test_a_job_that_hangs_is_told_at_the_end_of_its_run_time(story: Story) -> None:
    report = await story.check("report", every="1d", grace="1h", max_run="20m")
    await story.channel("ops")
    await story.ping("03:00", report, START)

    await story.want("03:19:59")
    await story.want("03:20", "check.down report (hung)")


async def test_a_job_that_runs_longer_than_its_grace_is_not_late_while_its_run_time_lasts(story: Story) -> None:
    report = await story.check("report", every="1h", grace="5m", max_run="30m")
    await story.channel("ops")
    await story.ping("03:00", report)
    await story.ping("04:01", report, START)

    await story.want("04:30")
    await story.ping("04:30:30", report)
    await story.want("04:40")


async def test_a_job_that_runs_and_produces_wrong_data_is_told(story: Story) -> None:
    gates = (
        '[{"metric":"rows","op":">","value":"0","level":"fail"},{"metric":"late","op":"==","value":"0","level":"warn"}]'
    )
    rollup = await story.check("rollup", gates=gates)
    await story.channel("ops")

    await story.ping("01:00", rollup, body=b"rows=120 late=0")
    await story.ping("02:00", rollup, body=b"rows=0 late=0")
    await story.want("02:00", "check.down rollup (gate)")
    await story.ping("03:00", rollup, body=b"rows=9 late=2")
    await story.want("03:00", "check.degraded rollup (gate)")
    await story.ping("04:00", rollup, body=b"said nothing of rows")
    await story.want("04:00", "check.down rollup (gate)")
    await story.ping("05:00", rollup, body=b'{"rows": 7, "late": 0}')
    await story.want("05:00", "check.up rollup (success)")


async def test_our_own_outage_is_nobodys_fault(story: Story) -> None:
    names = [await story.check(f"job-{n}", every="1h", grace="10m") for n in range(3)]
    await story.channel("ops")
    for job in names:
        await story.ping("10:00", job)

    await story.crash("10:30", until="12:00")

    await story.want("12:00", "check.unverified")
    for job in names:
        await story.ping("12:05", job)
    await story.want("12:30")
    # Who stays silent from now on is told as ever.
    await story.want("13:15", *[f"check.down job-{n} (missed)" for n in range(3)])


async def test_nothing_is_excused_for_ever(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("ops")
    await story.ping("10:00", backup)
    await story.crash("10:30", until="12:00")
    await story.want("12:00", "check.unverified")

    await story.crash("12:10", until="13:30")
    await story.want("13:30", "check.down backup (missed_twice_unverified)")


async def test_a_deadline_survives_a_restart(story: Story) -> None:
    backup = await story.check("backup", every="1d", grace="1h")
    await story.channel("ops")
    await story.ping("02:00", backup)
    for hour in range(3, 24, 4):
        await story.crash(f"{hour}:00", until=f"{hour}:05")

    await story.want("1d 02:59:59")
    await story.want("1d 03:00", "check.down backup (missed)")


async def test_an_alert_that_was_not_recorded_before_the_crash_is_sent_again_and_says_so(story: Story) -> None:
    backup = await story.check("backup")
    await story.channel("ops")
    story.receiver.will_hang_up()  # it may have taken it: nobody knows
    await story.ping("10:00", backup)
    await story.want("11:09:59")
    await story.pass_to(story.at("11:12"))

    first, second = story.receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert b'"possible_duplicate":true' in second.body.replace(b" ", b"")


async def test_a_receiver_that_is_down_gets_everything_in_order_when_it_is_back(story: Story) -> None:
    backup = await story.check("backup")
    await story.channel("ops")
    for _ in range(2):
        story.receiver.will_answer(500)
    await story.ping("10:00", backup)
    await story.ping("10:10", backup, FAIL)
    await story.ping("10:10:02", backup)

    await story.pass_to(story.at("10:30"))
    kinds = [story._short(_json(r.body)) for r in story.receiver.requests]
    assert ["check.down backup (fail)"] * 3 + ["check.up backup (success)"] == kinds


async def test_a_signal_that_came_in_time_but_late_to_the_database_takes_the_alarm_back(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("ops")
    await story.ping("10:00", backup)
    await story.want("11:10", "check.down backup (missed)")

    await story.spooled("11:15", "11:05", backup)
    await story.want("11:15", "check.up backup (retracted)")


async def test_a_paused_check_is_silent_and_a_resumed_one_waits_for_its_first_success(story: Story) -> None:
    backup = await story.check("backup")
    await story.channel("ops")
    await story.ping("10:00", backup)
    story.clock.move_to(story.at("10:30"))
    await story.world.db.write(
        lambda tx: commands.pause(
            tx, story.world.project.pid, backup.uuid, at=story.at("10:30"), ids=story.world.ids, actor=TEST
        )
    )
    await story.want("15:00")
    await story.world.db.write(
        lambda tx: commands.resume(
            tx, story.world.project.pid, backup.uuid, at=story.at("15:00"), ids=story.world.ids, actor=TEST
        )
    )
    await story.want("20:00")
    assert "new" == await story.status(backup)


async def test_an_edit_at_the_very_deadline_excuses_nothing(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="10m")
    await story.channel("ops")
    await story.ping("10:00", backup)
    await story.pass_to(story.at("11:09:59"))
    story.clock.move_to(story.at("11:10"))  # nobody has looked yet
    asked, ids = CheckIn(grace=86_400), story.world.ids
    edited = asyncio.ensure_future(
        in_turn(
            story.world.db,
            story.clock,
            lambda tx, at: commands.edit(tx, backup.pid, backup.uuid, asked, at=at, ids=ids, actor=TEST),
        )
    )

    async with asyncio.timeout(60):
        while not story.clock.n_asleep:
            await story.world.db.write(lambda _: None)
    await story.look()
    await story.want("11:10:01", "check.down backup (missed)")
    await edited
    assert 86_400 == (await story.world.row(backup)).grace_s


async def test_on_the_autumn_night_a_job_at_half_past_two_is_expected_once(db: Database, ids: IdSource) -> None:
    async with HttpReceiver() as receiver:
        story = await begin(db, ids, receiver, day=datetime(2026, 10, 24, tzinfo=UTC))
        await story.stride(timedelta(hours=1))
        night = await story.check("night", grace="10m", kind="cron", expression="30 2 * * *", zone="Europe/Berlin")
        await story.channel("ops")
        await story.ping("00:30", night)  # 02:30 summer time
        await story.ping("1d 00:30", night)  # the first 02:30 of the long night
        await story.want("2d 01:39:59")  # nothing at the second 02:30
        await story.want("2d 01:40", "check.down night (missed)")
        await story.http.aclose()


async def test_a_storm_on_a_chat_is_a_few_messages_that_name_every_check(story: Story) -> None:
    jobs = [await story.check(f"job-{n:02}") for n in range(30)]
    await story.channel("chat", kind="slack")
    for job in jobs:
        await story.ping("10:00", job)

    await story.pass_to(story.at("11:20"))

    bodies = [request.body.decode() for request in story.receiver.requests]
    assert 1 <= len(bodies) <= 5
    assert all(any(f"job-{n:02}" in body for body in bodies) for n in range(30))


async def test_lateness_is_told_to_those_who_asked_for_it(story: Story) -> None:
    backup = await story.check("backup", every="1h", grace="30m")
    await story.channel("watchers", events=["check.late", "check.down"])
    await story.ping("10:00", backup)

    await story.want("11:00", "check.late backup")
    await story.want("11:30", "check.down backup (missed)")


async def test_a_clock_put_forward_alarms_nobody(story: Story) -> None:
    backup = await story.check("backup")
    await story.channel("ops")
    await story.ping("10:00", backup)
    await story.pass_to(story.at("10:30"))

    story.clock.step_wall(timedelta(hours=1))
    await story.look()

    assert "up" == await story.status(backup)


def _json(body: bytes) -> dict[str, object]:
    import json  # noqa: PLC0415 - beside its use

    found: dict[str, object] = json.loads(body)
    return found
