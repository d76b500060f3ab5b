"""Incidents by cause, told as timelines: a host that dies, a check that others need, and what people hear of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import commands as check_commands
from heartfly.checks.config import CheckIn, ScheduleIn
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, cause_tellings, incidents, notifications
from heartfly.incidents import commands as incident_commands
from heartfly.incidents.queries import told_of_incident
from heartfly.notify import peace_commands
from heartfly.notify.commands import delete_channel, edit_channel
from heartfly.notify.peace_commands import Asked
from heartfly.notify.policies import AskedPolicy
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


async def heard(story: Story, until: str) -> list[tuple[str, str]]:
    """When, and as what, each message came to the people's channel by then."""
    found: list[tuple[str, str]] = []
    to = story.at(until)
    while story.clock.now() < to:
        looked = story.watcher.last_beat
        wake = looked.next_wake_at if looked is not None else None
        step = [to, *(at for at in (wake, *story.due) if at is not None and at > story.clock.now())]
        await story.pass_to(min(step))
        for request in story.receiver.requests[story.told :]:
            body = json.loads(request.body)
            found.append((f"{story.clock.now():%H:%M:%S}", body.get("text") or body["type"]))
        story.told = len(story.receiver.requests)
    return found


async def rows(story: Story, kind: str) -> Sequence[Any]:
    async with story.world.db.read() as read:
        return (
            await read.execute(sa.select(incidents).where(incidents.c.source_kind == kind).order_by(incidents.c.id))
        ).all()


async def states(story: Story) -> list[tuple[str, str, str]]:
    """Kind, state and reason of each notification, in order."""
    n, a = notifications.c, alerts.c
    query = sa.select(a.kind, n.state, n.why).join(alerts, sa.and_(a.pid == n.pid, a.id == n.alert_id))
    async with story.world.db.read() as read:
        return [(row.kind, row.state, row.why or "") for row in await read.execute(query.order_by(n.alert_id))]


async def needs(story: Story, check: Any, *slugs: str) -> None:
    now, asked = story.clock.now(), CheckIn(needs=list(slugs))
    await story.world.db.write(
        lambda tx: check_commands.edit(tx, check.pid, check.uuid, asked, at=now, ids=story.world.ids, actor=TEST)
    )


async def slow_down(story: Story, *jobs: Any) -> None:
    now, asked = story.clock.now(), CheckIn(schedule=ScheduleIn(kind="period", period=7 * 86_400))
    for job in jobs:
        await story.world.db.write(
            lambda tx, job=job: check_commands.edit(  # type: ignore[misc]
                tx, job.pid, job.uuid, asked, at=now, ids=story.world.ids, actor=TEST
            )
        )


# --- a host ------------------------------------------------------------------------------------------


async def test_a_host_with_thirty_jobs_dies_and_people_hear_of_it_twice(story: Story) -> None:
    jobs = [await story.check(f"job-{n:02}", every="5m", grace=f"{30 + n}s", host="db-1") for n in range(30)]
    other = await story.check("elsewhere", every="5m", grace="1h", host="db-2")
    await story.channel("people", kind="slack")
    for n, job in enumerate(jobs):
        await story.ping(f"00:01:{n:02}", job)
    await story.ping("00:02", other)
    # The first deadline is that of job-00: 00:01:00 and five minutes and 30 seconds.
    told = await heard(story, "00:40")
    assert 2 == len(told), told
    assert "00:06:30" == told[0][0]
    assert "job-00" in told[0][1]
    assert "*Host*\\ndb-1" in story.receiver.requests[0].body.decode()
    assert "host db-1: 30 jobs" in told[1][1]
    (cause,) = await rows(story, "host")
    members = [row for row in await rows(story, "check") if row.part_of == cause.id]
    assert sorted(job.uuid for job in jobs) == sorted(row.source_uuid for row in members)


async def test_it_ends_as_one_when_the_last_is_up(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(4)]
    await story.channel("people", kind="slack")
    for job in jobs:
        await story.ping("00:01", job)
    assert 2 == len(await heard(story, "00:20"))
    for n, job in enumerate(jobs[:3]):
        await story.ping(f"00:2{n}", job)
    assert [] == await heard(story, "00:23:30")
    (cause,) = await rows(story, "host")
    assert cause.closed_at is None
    await story.ping("00:24", jobs[3])
    # What is well again keeps pinging, so that nothing else is told.
    (end,) = await heard(story, "00:24:30")
    assert "UP" in end[1]
    assert "host db-1" in end[1]
    (cause,) = await rows(story, "host")
    assert story.at("00:24") == cause.closed_at
    assert "resolved" == cause.ended_by
    recovered = [row.closed_at for row in await rows(story, "check")]
    assert [story.at(f"00:2{n}") for n in (0, 1, 2, 4)] == sorted(recovered)


@postgres_if_slow
async def test_who_is_up_again_is_told_though_another_stays_down_for_days(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(4)]
    await story.channel("people", kind="slack")
    for job in jobs:
        await story.ping("00:01", job)
    assert 2 == len(await heard(story, "00:20"))
    # From here on three wait for long, so that their silence is no news.
    await slow_down(story, *jobs[:3])
    await story.ping("00:21", jobs[0])
    await story.ping("00:25", jobs[1])
    ((at, text),) = await heard(story, "05:00")
    assert "00:36:00" == at
    assert "UP: host db-1: 2 of 4 jobs (2 still down)" in text
    assert "host db-1 has 2 of 4 jobs up again; 2 are still down." in text
    assert text.index("job-0") < text.index("job-2")  # who is up is named first
    # One that fails after the host came back is told by itself, and so is its end.
    await story.ping("05:10", jobs[1], PingKind.FAIL)
    ((_, text),) = await heard(story, "05:10:01")
    assert "DOWN: job-1" in text
    await story.ping("06:01", jobs[1])
    await story.ping("06:02", jobs[2])
    (_, by_itself), (at, text) = await heard(story, "09:00")
    assert "UP: job-1" in by_itself
    assert "06:17:00" == at
    assert "UP: host db-1: 3 of 4 jobs (1 still down)" in text
    await story.ping("2d 09:00", jobs[3])
    (end,) = await heard(story, "2d 09:02")
    assert "host db-1" in end[1]
    assert "none of its 4 jobs is down any more" in end[1]
    (cause,) = await rows(story, "host")
    async with story.world.db.read() as read:
        told = await told_of_incident(read, cause, ())
    # The first alert of a member is its own. Of the whole: once that it is down, twice who is up, and its end.
    assert ["check.up"] * 3 + ["check.down"] == [one.alert.kind for one in told]


async def test_who_is_down_again_by_itself_is_not_told_as_up(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    await story.channel("people", kind="slack")
    for job in jobs:
        await story.ping("00:01", job)
    assert 2 == len(await heard(story, "00:20"))
    await slow_down(story, *jobs)
    await story.ping("00:21", jobs[0])
    await story.ping("00:25", jobs[0], PingKind.FAIL)
    ((_, text),) = await heard(story, "00:25:01")
    assert "DOWN: job-0" in text
    assert [] == await heard(story, "03:00")
    await story.ping("03:01", jobs[1])
    ((_, text),) = await heard(story, "03:20")
    assert "UP: host db-1: 1 of 3 jobs (2 still down)" in text
    await story.ping("03:30", jobs[2])
    ((_, text),) = await heard(story, "03:31")
    assert "UP: host db-1: 2 of 3 jobs (1 still down)" in text


async def test_that_all_are_up_is_told_after_a_mute_to_who_heard_of_the_first_alone(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    await story.channel("people", kind="slack")
    for job in jobs:
        await story.ping("00:01", job)
    assert 1 == len(await heard(story, "00:07:30"))
    mute = Asked(kind="mute", scope="project", to_at=story.at("05:00"))
    await story.world.db.write(
        lambda tx: peace_commands.make(
            tx, story.world.project.pid, mute, at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )
    await slow_down(story, *jobs)
    for job in jobs:
        await story.ping("00:08", job)
    assert [] == await heard(story, "04:59")
    ((_, text),) = await heard(story, "05:01")
    assert "none of its 3 jobs is down any more" in text


async def test_machines_hear_of_each(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    await story.channel("hook")
    for job in jobs:
        await story.ping("00:01", job)
    told = await heard(story, "00:20")
    assert ["check.down"] * 3 == [what for _, what in told]
    for job in jobs:
        await story.ping("00:20", job)
    assert ["check.up"] * 3 == [what for _, what in await heard(story, "00:21")]


async def test_a_host_on_which_something_goes_well_is_no_cause(story: Story) -> None:
    first = await story.check("first", every="5m", grace="1m", host="db-1")
    second = await story.check("second", every="10m", grace="1m", host="db-1")
    alive = await story.check("alive", every="1m", grace="10m", host="db-1")
    await story.channel("people", kind="slack")
    await story.ping("00:01", first)
    await story.ping("00:01", second)
    for minute in range(1, 15):
        await story.ping(f"00:{minute:02}:30", alive)
    told = await heard(story, "00:16")
    assert 0 == len(await rows(story, "host"))
    sent = [state for _, state, _ in await states(story)]
    assert ["sent"] * 2 == sent, told


async def test_what_goes_down_of_its_own_after_the_host_is_back_is_told_by_itself(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    late = await story.check("late", every="2h", grace="1m", host="db-1")
    await story.channel("people", kind="slack")
    for job in (*jobs, late):
        await story.ping("00:01", job)
    await heard(story, "00:30")
    # Two come back, the third stays down: the cause lasts, but the host lives.
    for minute in range(30, 60, 5):
        await story.ping(f"00:{minute}", jobs[0])
        await story.ping(f"00:{minute}", jobs[1])
    for hour, minute in [(h, m) for h in (1,) for m in range(0, 60, 5)]:
        await story.ping(f"{hour:02}:{minute:02}", jobs[0])
        await story.ping(f"{hour:02}:{minute:02}", jobs[1])
    await story.ping("02:00", jobs[0])
    await story.ping("02:00", jobs[1])
    back, late_one = await heard(story, "02:02:30")
    assert "UP: host db-1: 2 of 3 jobs (1 still down)" in back[1]
    assert "late" in late_one[1]
    (cause,) = await rows(story, "host")
    assert {job.uuid for job in jobs} == {r.source_uuid for r in await rows(story, "check") if r.part_of == cause.id}


async def test_the_host_is_what_pings_say_unless_somebody_set_it(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m") for n in range(2)]
    own = await story.check("own", every="5m", grace="1m", host="set")
    await story.channel("people", kind="slack")
    for job in (*jobs, own):
        await story.ping("00:01", job, host="web-7")
    assert ["web-7", "web-7"] == [(await story.world.row(job)).heard_host for job in jobs]
    await heard(story, "00:20")
    (cause,) = await rows(story, "host")
    assert "web-7" == cause.source_name
    assert [None] == [row.part_of for row in await rows(story, "check") if row.source_uuid == own.uuid]


async def test_the_host_that_the_very_first_pings_name_counts(story: Story) -> None:
    jobs = [await story.check(f"job-{n}") for n in range(2)]
    for job in jobs:
        await story.ping("00:01", job, PingKind.FAIL, host="web-7")
    (cause,) = await rows(story, "host")
    assert 2 == len([row for row in await rows(story, "check") if row.part_of == cause.id])


async def test_who_acknowledges_the_cause_acknowledges_its_members(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    for job in jobs:
        await story.ping("00:01", job)
    await story.pass_to(story.at("00:10"))
    (cause,) = await rows(story, "host")
    await story.world.db.write(
        lambda tx: incident_commands.acknowledge(
            tx, cause.pid, cause.uuid, at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )
    assert ["test"] * 4 == [row.acked_by for row in (*await rows(story, "host"), *await rows(story, "check"))]
    late = await story.check("late", host="db-1")
    await story.ping("00:11", late, PingKind.FAIL)
    (joined,) = [row for row in await rows(story, "check") if row.source_uuid == late.uuid]
    assert (cause.id, "test", story.at("00:11")) == (joined.part_of, joined.acked_by, joined.acked_at)


async def test_a_member_that_is_snoozed_is_held_for_that_and_the_next_is_the_first(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace=f"{60 + n}s", host="db-1") for n in range(3)]
    await story.channel("people", kind="slack")
    for job in jobs:
        await story.ping("00:01", job)
    snooze = Asked(kind="snooze", scope="check", targets=[jobs[0].uuid], to_at=story.at("05:00"))
    await story.world.db.write(
        lambda tx: peace_commands.make(
            tx, story.world.project.pid, snooze, at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )
    told = await heard(story, "00:20")
    assert 2 == len(told)
    assert "job-1" in told[0][1]
    assert "00:07:01" == told[0][0]
    # After the snooze nothing is lost: it was named by the message about the host, and says so.
    assert [] == await heard(story, "05:10")
    (of_first,) = [why for kind, state, why in await states(story) if state == "untold" and "snoozed" in why]
    assert "host db-1 was told of as one" in of_first


async def test_once_it_was_told_as_one_people_are_reminded_of_the_whole(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    people = await story.channel("people", kind="slack")
    policy = AskedPolicy(every_s=600)
    await story.world.db.write(
        lambda tx: edit_channel(
            tx, story.world.project.pid, people.uuid, policy=policy, at=story.clock.now(), sealer=SEALER
        )
    )
    for job in jobs:
        await story.ping("00:01", job)
    told = await heard(story, "00:25")

    assert ["DOWN: job-0", "DOWN: host db-1: 3 jobs", "STILL DOWN: host db-1"] == [
        text.partition("*")[2].partition("*")[0] for _, text in told
    ]
    assert ["00:07:00", "00:09:00", "00:19:00"] == [at for at, _ in told]


async def test_a_channel_that_is_gone_knows_of_no_cause(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(3)]
    people = await story.channel("people", kind="slack")
    for job in jobs:
        await story.ping("00:01", job)
    assert 1 == len(await heard(story, "00:07:30"))
    await story.world.db.write(
        lambda tx: delete_channel(tx, story.world.project.pid, people.uuid, at=story.clock.now())
    )
    assert [] == await heard(story, "00:30")
    async with story.world.db.read() as read:
        assert [] == (await read.execute(sa.select(cause_tellings))).all()


async def test_deleting_the_last_member_that_is_down_ends_the_cause(story: Story) -> None:
    jobs = [await story.check(f"job-{n}", every="5m", grace="1m", host="db-1") for n in range(2)]
    for job in jobs:
        await story.ping("00:01", job)
    await story.pass_to(story.at("00:10"))
    for job in jobs:
        await story.world.db.write(
            lambda tx, job=job: check_commands.delete(  # type: ignore[misc]
                tx, job.pid, job.uuid, at=story.clock.now(), ids=story.world.ids, actor=TEST
            )
        )
    (cause,) = await rows(story, "host")
    assert story.at("00:10") == cause.closed_at


# --- a check that others need ------------------------------------------------------------------------


async def test_a_child_waits_for_its_parent_and_then_for_its_own_grace(story: Story) -> None:
    dump = await story.check("dump", every="1h", grace="10m")
    upload = await story.check("upload", every="1h", grace="15m")
    await needs(story, upload, "dump")
    await story.channel("hook")
    await story.ping("00:30", dump)
    await story.ping("00:30", upload)
    await story.want("01:41", "check.down dump (missed)")
    await story.want("02:10")
    (waiting,) = [why for _, state, why in await states(story) if state == "held"]
    assert "waits for “dump”, which is down" == waiting
    await story.ping("02:20", dump)
    await story.want("02:21", "check.up dump (success)")
    await story.want("02:34")
    await story.want("02:36", "check.down upload (missed)")
    (cause,) = await rows(story, "upstream")
    assert "dump" == cause.source_name
    assert {dump.uuid, upload.uuid} == {r.source_uuid for r in await rows(story, "check") if r.part_of == cause.id}


async def test_a_child_that_comes_back_in_its_grace_alarms_nobody(story: Story) -> None:
    dump = await story.check("dump", every="1h", grace="10m")
    upload = await story.check("upload", every="1h", grace="15m")
    await needs(story, upload, "dump")
    await story.channel("hook")
    await story.ping("00:30", dump)
    await story.ping("00:30", upload)
    await story.want("02:00", "check.down dump (missed)")
    await story.ping("02:20", dump)
    await story.ping("02:25", upload)
    await story.want("03:00", "check.up dump (success)")
    whys = [why for _, state, why in await states(story) if state == "untold"]
    assert any("it had its own grace since “dump”, which it needs, came back" in why for why in whys), whys
    assert 2 == len(whys)
    (cause,) = await rows(story, "upstream")
    assert story.at("02:25") == cause.closed_at


async def test_a_child_that_went_down_first_is_told_at_once_and_is_a_member_all_the_same(story: Story) -> None:
    dump = await story.check("dump", every="1h", grace="30m")
    upload = await story.check("upload", every="1h", grace="10m")
    await needs(story, upload, "dump")
    await story.channel("people", kind="slack")
    await story.ping("00:30", dump)
    await story.ping("00:30", upload)
    told = await heard(story, "02:30")
    assert ["01:40:00", "02:00:00"] == [at for at, _ in told]
    (cause,) = await rows(story, "upstream")
    assert 2 == len([row for row in await rows(story, "check") if row.part_of == cause.id])


async def test_a_parent_that_is_deleted_holds_nobody_up(story: Story) -> None:
    dump = await story.check("dump", every="1h", grace="10m")
    upload = await story.check("upload", every="1h", grace="15m")
    await needs(story, upload, "dump")
    await story.channel("hook")
    await story.ping("00:30", dump)
    await story.ping("00:30", upload)
    await story.want("02:00", "check.down dump (missed)")
    await story.world.db.write(
        lambda tx: check_commands.delete(tx, dump.pid, dump.uuid, at=story.clock.now(), ids=story.world.ids, actor=TEST)
    )
    await story.look()
    await story.want("02:01", "check.down upload (missed)")
    assert not (await story.world.row(upload)).linked


async def test_children_of_one_parent_are_told_as_one_when_they_stay_down(story: Story) -> None:
    dump = await story.check("dump", every="1h", grace="10m")
    children = [await story.check(f"child-{n}", every="1h", grace="15m") for n in range(5)]
    await story.channel("people", kind="slack")
    for child in children:
        await needs(story, child, "dump")
    for check in (dump, *children):
        await story.ping("00:30", check)
    assert 1 == len(await heard(story, "02:10"))
    await story.ping("02:20", dump)
    told = await heard(story, "02:50")
    assert 3 == len(told), told  # that dump is up; the first that stays down; and all that need it
    assert "“dump” and what needs it" in told[2][1]


# --- a channel's turn ---------------------------------------------------------------------------------


async def test_who_is_to_hear_of_what_lasts_hears_of_a_check_that_flaps(story: Story) -> None:
    flapping = await story.check("flapping", every="6h", grace="10m")
    boss = await story.channel("boss")
    policy = AskedPolicy(after_s=1800)
    await story.world.db.write(
        lambda tx: edit_channel(
            tx, story.world.project.pid, boss.uuid, policy=policy, at=story.clock.now(), sealer=SEALER,
        )
    )  # fmt: skip
    await story.ping("00:30", flapping)
    # Down for ten minutes of each twenty: of none alone would anybody hear after half an hour.
    for minutes in range(60, 100, 20):
        await story.ping(f"{minutes // 60:02}:{minutes % 60:02}", flapping, PingKind.FAIL)
        await story.ping(f"{(minutes + 10) // 60:02}:{(minutes + 10) % 60:02}", flapping)
    await story.want("01:39")
    await story.ping("01:40", flapping, PingKind.FAIL)
    await story.want("01:41", "check.down flapping (fail)")


async def test_what_was_acknowledged_counts_for_no_later_step(story: Story) -> None:
    flapping = await story.check("flapping", every="6h", grace="10m")
    boss = await story.channel("boss")
    policy = AskedPolicy(after_s=1800)
    await story.world.db.write(
        lambda tx: edit_channel(
            tx, story.world.project.pid, boss.uuid, policy=policy, at=story.clock.now(), sealer=SEALER,
        )
    )  # fmt: skip
    await story.ping("00:30", flapping)
    await story.ping("01:00", flapping, PingKind.FAIL)
    (incident,) = await rows(story, "check")
    await story.world.db.write(
        lambda tx: incident_commands.acknowledge(
            tx, incident.pid, incident.uuid, at=story.clock.now(), actor=TEST, ids=story.world.ids
        )
    )
    await story.ping("01:10", flapping)
    await story.ping("01:25", flapping, PingKind.FAIL)
    await story.want("01:54")
    await story.want("01:56", "check.down flapping (fail)")
