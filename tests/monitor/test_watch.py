"""What the watcher makes of silence: when it judges, up to where, and what it does not hold against a job."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.changes import Changes
from heartfly.db.models import alerts, blind_intervals, channels, check_channels, checks, nodes, notifications
from heartfly.errors import InvalidValueError, OverloadedError
from heartfly.monitor.blind import Hearing
from heartfly.monitor.judge import Judge, Judged
from heartfly.monitor.put_off import put_off
from heartfly.monitor.watch import HURRY_S
from heartfly.pings.apply import PingApplier
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import ByUuid
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.sim_clock import SimClock
from tests.world import KEEP, World

pytestmark = pytest.mark.anyio

EVENTS = ["check.down", "check.up", "check.degraded", "check.unverified", "check.schedule_error"]


async def channel(world: World, check: Any, *, events: list[str] | None = None) -> None:
    """Somebody who listens; nothing is sent in these tests."""
    channel_id = world.ids.next(T0)

    def work(tx: Any) -> None:
        tx.conn.execute(
            sa.insert(channels).values(
                pid=check.pid, id=channel_id, uuid=f"u{channel_id}", kind="webhook", name=f"n{channel_id}",
                config_enc=b"", events=events or EVENTS, created_at=T0, rev=1,
            )
        )  # fmt: skip
        tx.conn.execute(
            sa.insert(check_channels).values(pid=check.pid, check_id=check.id, channel_id=channel_id, events=None)
        )
        if events and "check.late" in events:
            tx.conn.execute(sa.update(checks).where(checks.c.id == check.id).values(wants_late=True))

    await world.db.write(work)


async def told(world: World) -> list[tuple[str, dict[str, Any]]]:
    async with world.db.read() as read:
        found = await read.execute(sa.select(alerts.c.kind, alerts.c.payload).order_by(alerts.c.id))
        return [(row.kind, row.payload) for row in found]


async def blind(world: World) -> list[tuple[datetime, datetime]]:
    async with world.db.read() as read:
        found = await read.execute(sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at))
        return [(row.from_at, row.to_at) for row in found]


async def test_a_missed_slot_is_down_at_its_deadline_and_not_before(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    deadline = T0 + HOUR + 10 * MINUTE

    await tower.go(deadline - timedelta(microseconds=1))
    assert "up" == (await world.row(check)).status
    await tower.go(deadline)

    flip = (await world.flips(check))[-1]
    assert ("down", "missed", deadline, deadline) == (flip.to_status, flip.reason, flip.at, flip.decided_at)
    assert ["ok", "missed"] == [run.outcome for run in await world.runs(check)]


async def test_a_ping_that_is_in_the_database_wins(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await tower.go(T0 + HOUR)
    await world.ping(check, T0 + HOUR + 10 * MINUTE)  # at the deadline itself

    await tower.go(T0 + HOUR + 11 * MINUTE)

    assert "up" == (await world.row(check)).status


async def test_nothing_is_judged_past_a_signal_under_way(world: World, tower: Tower) -> None:
    check = await world.check(T0, every=10 * SECOND, grace=SECOND)
    await world.ping(check, T0)
    deadline = T0 + 11 * SECOND
    tower.under_way = {ByUuid(check.ping_uuid): deadline - SECOND}

    await tower.go(deadline)
    assert "up" == (await world.row(check)).status
    # It has held the watermark for its two seconds: what commits later is a late signal.
    await tower.go(deadline + 2 * SECOND)
    assert "down" == (await world.row(check)).status


async def test_a_check_that_wants_no_silence_excused_is_down_though_we_could_not_hear(
    world: World, tower: Tower
) -> None:
    strict, other = await world.check(T0, unverified_is_down=True), await world.check(T0)
    await channel(world, strict)
    for check in (strict, other):
        await world.ping(check, T0)
    await tower.go(T0 + 30 * MINUTE)

    await tower.sleep_through(T0 + 2 * HOUR)

    row = await world.row(strict)
    assert ("down", "missed", T0 + 70 * MINUTE, 0) == (
        row.status, row.status_reason, row.status_since, row.unverified_in_row,
    )  # fmt: skip
    assert ("up", 1) == ((await world.row(other)).status, (await world.row(other)).unverified_in_row)
    assert ["check.down"] == [kind for kind, _ in await told(world)]


async def test_a_slot_that_fell_into_our_own_outage_is_unverified_not_down(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await channel(world, check)
    await world.ping(check, T0)
    await tower.go(T0 + 30 * MINUTE)

    await tower.sleep_through(T0 + 2 * HOUR)

    assert [(T0 + 30 * MINUTE, T0 + 2 * HOUR)] == await blind(world)
    row = await world.row(check)
    assert ("up", 1, T0 + 3 * HOUR) == (row.status, row.unverified_in_row, row.expected_at)
    ((kind, digest),) = await told(world)
    assert ("check.unverified", [check.uuid]) == (kind, [slot["check_uuid"] for slot in digest["slots"]])


async def test_a_period_that_may_have_been_kept_early_and_unheard_is_unverified_and_named(
    world: World, tower: Tower
) -> None:
    early, calendar = await world.check(T0, name="early"), await world.check(
        T0, name="calendar", kind="cron", expression="0 * * * *"
    )  # fmt: skip
    for check in (early, calendar):
        await channel(world, check)
        await world.ping(check, T0)
    await tower.go(T0 + 35 * MINUTE)
    await tower.sleep_through(T0 + 51 * MINUTE)  # ten minutes of grace before the hour: 50 past

    await tower.go(T0 + HOUR + 10 * MINUTE)

    assert ["up", "down"] == [(await world.row(check)).status for check in (early, calendar)]
    digests = [payload for kind, payload in await told(world) if kind == "check.unverified"]
    assert [["early"]] == [[slot["check_name"] for slot in digest["slots"]] for digest in digests]


async def test_the_second_unverified_slot_in_a_row_is_down(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await tower.sleep_through(T0 + 2 * HOUR)
    await tower.sleep_through(T0 + 4 * HOUR)

    assert "missed_twice_unverified" == (await world.flips(check))[-1].reason


async def test_a_digest_names_every_slot_that_an_interval_touches_once(world: World, tower: Tower) -> None:
    first = await world.check(T0, name="first")
    second = await world.check(T0, name="second", grace=3 * HOUR)
    for check in (first, second):
        await channel(world, check)
        await world.ping(check, T0)

    await tower.sleep_through(T0 + 2 * HOUR)
    await tower.go(T0 + 4 * HOUR + MINUTE)

    digests = [payload for kind, payload in await told(world) if kind == "check.unverified"]
    assert [["first", "second"]] == [[slot["check_name"] for slot in digest["slots"]] for digest in digests]


async def test_a_digest_names_the_runs_under_way_too(world: World, tower: Tower) -> None:
    """They are judged long after the slots, when nobody would write about that interval any more."""
    slot = await world.check(T0, name="slot")
    run = await world.check(T0, name="run", every=24 * HOUR, max_run=8 * HOUR)
    for check in (slot, run):
        await channel(world, check)
        await world.ping(check, T0)
    await world.ping(run, T0 + 10 * MINUTE, PingKind.START)

    await tower.sleep_through(T0 + 2 * HOUR)
    await tower.go(T0 + 9 * HOUR)

    digests = [payload for kind, payload in await told(world) if kind == "check.unverified"]
    assert [["run", "slot"]] == [[one["check_name"] for one in digest["slots"]] for digest in digests]
    assert ["ok", "unverified"] == sorted(str(one.outcome) for one in await world.runs(run))


async def test_what_a_digest_could_not_foresee_has_one_of_its_own(world: World, tower: Tower) -> None:
    first = await world.check(T0, name="first")
    second = await world.check(T0, name="second", max_run=8 * HOUR)
    for check in (first, second):
        await channel(world, check)
    await world.ping(first, T0)
    late = world.request(second, T0 + 10 * MINUTE, PingKind.START)  # on its way all the time

    await tower.sleep_through(T0 + 2 * HOUR)
    await world.pings([late])
    await tower.go(T0 + 9 * HOUR)

    digests = [payload for kind, payload in await told(world) if kind == "check.unverified"]
    assert [["first"], ["second"]] == [[one["check_name"] for one in digest["slots"]] for digest in digests]


async def test_a_restart_is_blind_since_the_last_beat(world: World, tower: Tower) -> None:
    await tower.go(T0 + 10 * MINUTE)
    await tower.watcher.leave()
    later = SimClock(T0 + HOUR)

    await Tower(world, later, node_id=2).watcher.join()

    if world.db.on_postgres:  # the node that left is not waited for; a gap with nobody serving is blind all the same
        assert [(T0 + 10 * MINUTE, T0 + HOUR)] == await blind(world)
    assert [(T0 + 10 * MINUTE, T0 + HOUR)] == await blind(world)


async def test_a_quick_restart_is_blind_too(world: World, tower: Tower) -> None:
    """Who pinged in that moment may never try again."""
    await tower.go(T0 + 10 * MINUTE)
    await tower.watcher.leave()

    await Tower(world, SimClock(T0 + 10 * MINUTE + SECOND), node_id=2).watcher.join()

    assert [(T0 + 10 * MINUTE, T0 + 10 * MINUTE + SECOND)] == await blind(world)


async def test_what_was_under_way_when_we_died_was_not_heard(world: World, tower: Tower) -> None:
    """A ping that came in time, and was lost with us, raises no alarm."""
    check = await world.check(T0, every=MINUTE, grace=SECOND)
    await world.ping(check, T0)
    received = T0 + MINUTE
    tower.under_way = {ByUuid(check.ping_uuid): received}
    await tower.go(received + timedelta(seconds=1.5))

    second = Tower(world, SimClock(received + 5 * SECOND), node_id=2)
    await second.watcher.join()
    await second.go(received + 6 * SECOND)

    assert "up" == (await world.row(check)).status


async def test_a_life_before_a_clock_was_set_back_does_not_hide_a_later_deafness(world: World, tower: Tower) -> None:
    await tower.go(T0 + HOUR)
    await tower.watcher.leave()
    second = Tower(world, SimClock(T0), node_id=2)  # the clock was set back meanwhile
    await second.watcher.join()
    await second.go(T0 + 10 * MINUTE)
    await second.watcher.leave()

    await Tower(world, SimClock(T0 + 20 * MINUTE), node_id=3).watcher.join()

    assert [(T0 + 10 * MINUTE, T0 + 20 * MINUTE)] == await blind(world)


async def test_a_signal_after_a_start_is_newer_than_all_before_it_whatever_the_clock_says(
    world: World, tower: Tower
) -> None:
    check = await world.check(T0)
    await world.ping(check, T0 + HOUR)
    await tower.go(T0 + HOUR)
    await tower.watcher.leave()
    await Tower(world, SimClock(T0), node_id=2).watcher.join()  # the clock was set back meanwhile
    applier = PingApplier(ids=world.ids, node_id=2, rate=RateLimiter(per_minute=1200), keep=KEEP)

    await replace(world, applier=applier).ping(check, T0 + MINUTE, PingKind.FAIL)

    assert "down" == (await world.row(check)).status


async def test_a_clock_put_forward_raises_no_alarm(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await tower.go(T0 + 30 * MINUTE)

    tower.clock.step_wall(HOUR)
    await tower.watcher.round()

    assert "up" == (await world.row(check)).status


async def test_a_clock_put_back_raises_no_alarm_and_pings_still_count(world: World, tower: Tower) -> None:
    check = await world.check(T0, every=MINUTE, grace=20 * MINUTE)
    await world.ping(check, T0)
    tower.clock.step_wall(-HOUR)
    await world.ping(check, T0 - HOUR + MINUTE)

    await tower.go(T0 - HOUR + 21 * MINUTE)
    assert "up" == (await world.row(check)).status
    await tower.go(T0 - HOUR + 22 * MINUTE)
    assert "down" == (await world.row(check)).status


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_run_that_ends_after_the_clock_was_put_back_does_not_hang(
    world: World, tower: Tower, *, restarted: bool
) -> None:
    check = await world.check(T0, every=24 * HOUR, max_run=20 * MINUTE)
    await world.ping(check, T0 - HOUR)
    await world.ping(check, T0, PingKind.START)
    tower.clock.step_wall(-10 * MINUTE)
    if restarted and not world.db.on_postgres:  # where nodes live side by side, only the time could tell
        world.applier = PingApplier(ids=world.ids, node_id=2, rate=RateLimiter(per_minute=1200), keep=KEEP)
    await world.ping(check, T0 - 5 * MINUTE)

    await tower.go(T0 + HOUR)

    assert "up" == (await world.row(check)).status
    assert ["ok", "ok"] == [run.outcome for run in await world.runs(check)]


@pytest.mark.parametrize(
    ("back", "expected"),
    [
        (timedelta(), (T0 + HOUR, T0 + 2 * HOUR)),
        (10 * MINUTE, (T0 + HOUR, T0 + HOUR + 50 * MINUTE)),  # so little, of so much, may be how clocks drift
        (20 * MINUTE, (T0 + 40 * MINUTE, T0 + HOUR + 40 * MINUTE)),
        (3 * HOUR, (T0 - 2 * HOUR, T0 + HOUR)),
    ],
)
async def test_all_that_the_clock_showed_while_nobody_could_hear_is_blind(
    world: World, tower: Tower, back: timedelta, expected: tuple[datetime, datetime]
) -> None:
    await tower.go(T0 + HOUR)

    tower.clock.move_to(T0 + 2 * HOUR)
    tower.clock.step_wall(-back)
    await tower.watcher.round()

    assert [expected] == await blind(world)


async def test_a_clock_put_back_while_nobody_could_hear_hides_no_deafness(world: World, tower: Tower) -> None:
    check = await world.check(T0, every=24 * HOUR, max_run=20 * MINUTE)
    await world.ping(check, T0)
    await tower.go(T0 + HOUR)
    await world.ping(check, T0 + HOUR, PingKind.START)

    tower.clock.move_to(T0 + HOUR + 30 * MINUTE)  # its end came, and nobody heard it
    tower.clock.step_wall(-HOUR)
    await tower.watcher.round()
    await tower.go(T0 + 2 * HOUR)

    assert [(T0, T0 + HOUR)] == await blind(world)
    assert "up" == (await world.row(check)).status
    assert ["ok", "unverified"] == [run.outcome for run in await world.runs(check)]


async def test_a_clock_put_back_while_all_was_heard_is_no_deafness(world: World, tower: Tower) -> None:
    await tower.go(T0 + HOUR)

    tower.clock.step_wall(-HOUR)
    await tower.go(T0 + HOUR)

    assert [] == await blind(world)


async def test_more_checks_than_a_batch_are_all_judged(world: World) -> None:
    tower = Tower(world, SimClock(T0), batch=2)
    await tower.watcher.join()
    made = [await world.check(T0) for _ in range(5)]
    for check in made:
        await world.ping(check, T0)

    await tower.go(T0 + 2 * HOUR)

    assert ["down"] * 5 == [(await world.row(check)).status for check in made]


async def test_a_storm_that_takes_long_to_judge_is_no_deafness(world: World) -> None:
    clock = SimClock(T0)
    tower = Tower(world, clock, batch=1, hearing=Hearing())
    await tower.watcher.join()
    made = [await world.check(T0, every=20 * SECOND, grace=10 * SECOND) for _ in range(5)]
    for check in made:
        await channel(world, check)
        await world.ping(check, T0)
    for second in range(1, 30):
        clock.move_to(T0 + second * SECOND)
        await tower.watcher.round()
    world.db.listen(lambda changes: clock.move_to(clock.now() + 0.9 * SECOND) if changes.outbox else None)

    clock.move_to(T0 + 30 * SECOND)
    await tower.watcher.round()

    assert T0 + 34 * SECOND < clock.now()
    assert ["down"] * 5 == [(await world.row(check)).status for check in made]
    assert [] == await blind(world)


async def test_a_run_that_hangs_is_down_at_its_limit(world: World, tower: Tower) -> None:
    check = await world.check(T0, max_run=5 * MINUTE)
    await world.ping(check, T0, PingKind.START)

    await tower.go(T0 + 5 * MINUTE)

    flip = (await world.flips(check))[-1]
    assert ("hung", T0 + 5 * MINUTE) == (flip.reason, flip.at)


async def test_a_late_success_proves_a_hung_alarm_wrong(world: World, tower: Tower) -> None:
    check = await world.check(T0, max_run=5 * MINUTE)
    await channel(world, check)
    await world.ping(check, T0, PingKind.START)
    await tower.go(T0 + 5 * MINUTE)

    await world.ping(check, T0 + 4 * MINUTE)

    flip = (await world.flips(check))[-1]
    assert ("up", "retracted", 1) == (flip.to_status, flip.reason, flip.retracts_flip_no)
    assert ["ok"] == [run.outcome for run in await world.runs(check)]
    assert ["check.down", "check.up"] == [kind for kind, _ in await told(world)]


async def test_who_hears_of_lateness_is_told_when_the_slot_opens(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await channel(world, check, events=["check.late"])
    await world.ping(check, T0)

    await tower.go(T0 + HOUR)
    await tower.go(T0 + HOUR + 5 * MINUTE)

    assert ["check.late"] == [kind for kind, _ in await told(world)]
    assert "up" == (await world.row(check)).status


async def test_a_schedule_that_cannot_be_worked_out_keeps_the_status_and_tells_the_owner(
    world: World, tower: Tower
) -> None:
    check = await world.check(T0)
    await channel(world, check)
    await world.ping(check, T0)
    await world.db.write(
        lambda tx: tx.conn.execute(
            sa.update(checks).values(kind="cron", expression="0 0 * * *", zone="Atlantis/Deep", wake_at=T0 + MINUTE)
        )
    )
    await world.ping(check, T0 + MINUTE)

    row = await world.row(check)
    assert ("up", T0 + MINUTE) == (row.status, row.schedule_error_at)
    assert ["check.schedule_error"] == [kind for kind, _ in await told(world)]


async def test_one_check_whose_judging_raises_does_not_stop_the_others(
    world: World, tower: Tower, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await world.check(T0), await world.check(T0)
    await channel(world, bad)
    for check in (bad, good):
        await world.ping(check, T0)
    # A grace beyond what an instant can hold: the arithmetic itself fails.
    await world.db.write(
        lambda tx: tx.conn.execute(sa.update(checks).where(checks.c.id == bad.id).values(grace_s=4 * 10**11))
    )
    await tower.go(T0 + 2 * HOUR)

    row = await world.row(bad)
    assert ("up", True) == (row.status, row.schedule_error is not None)
    assert "down" == (await world.row(good)).status
    assert ["check.schedule_error"] == [kind for kind, _ in await told(world)]
    await tower.go(T0 + 4 * HOUR)
    assert ["check.schedule_error"] == [kind for kind, _ in await told(world)]


async def spoilt(world: World, check: Any, gates: str) -> None:
    await world.db.write(
        lambda tx: tx.conn.execute(sa.update(checks).where(checks.c.id == check.id).values(gates=gates))
    )


async def test_one_check_whose_row_cannot_be_read_stops_no_other_and_is_told_of_once(
    world: World, tower: Tower
) -> None:
    before, bad, after = [await world.check(T0) for _ in range(6)], await world.check(T0), await world.check(T0)
    await channel(world, bad)
    for n, check in enumerate((*before, bad, after)):
        await world.ping(check, T0 + n * timedelta(milliseconds=1))
    await spoilt(world, bad, "of a later version")

    await tower.go(T0 + 2 * HOUR)

    assert ["down"] * 7 == [(await world.row(check)).status for check in (*before, after)]
    ((kind, alert),) = await told(world)
    assert ("check.schedule_error", bad.uuid) == (kind, alert["check"]["uuid"])
    assert "It cannot be judged" in alert["explain"]
    async with world.db.read() as read:
        found = await read.execute(sa.select(checks.c.status, checks.c.schedule_error).where(checks.c.id == bad.id))
        assert [("up", True)] == [(row.status, bool(row.schedule_error)) for row in found]

    await tower.go(T0 + 4 * HOUR)
    assert ["check.schedule_error"] == [kind for kind, _ in await told(world)]


async def test_a_check_that_can_be_read_again_is_judged_again_and_what_was_missed_meanwhile_is_nobodys_fault(
    world: World, tower: Tower
) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await spoilt(world, check, "of a later version")
    await tower.go(T0 + 2 * HOUR)
    await spoilt(world, check, "")

    await tower.go(T0 + 3 * HOUR)
    row = await world.row(check)
    assert ("up", None) == (row.status, row.schedule_error)
    await tower.go(T0 + 5 * HOUR)

    assert "down" == (await world.row(check)).status


async def test_who_does_not_lead_any_more_puts_nothing_off(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    looked = replace(await tower.watcher.round(), watermark=T0 + 2 * HOUR)
    await spoilt(world, check, "of a later version")
    with pytest.raises(ValueError, match="malformed"):
        await world.db.write(lambda tx: tower.watcher._judge_batch(tx, looked, 0, 1))
    tower.leader.epoch = None

    assert 0 == (await world.db.write(lambda tx: tower.watcher._put_off(tx, ValueError("no")))).n


@pytest.mark.parametrize(
    "error", [OverloadedError("away"), sa.exc.OperationalError("x", None, Exception("read-only")), MemoryError()]
)
async def test_what_is_wrong_with_the_database_puts_no_check_off(world: World, tower: Tower, error: Exception) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    tower.clock.move_to(T0 + 10 * MINUTE)
    looked = replace(await tower.watcher.round(), watermark=T0 + 2 * HOUR)
    write = world.db.write

    async def refuse(*_: Any, **__: Any) -> Any:
        raise error

    world.db.write = refuse  # type: ignore[method-assign]
    with pytest.raises(type(error)):
        await tower.watcher._judged(looked, 0, 1)
    world.db.write = write  # type: ignore[method-assign]

    assert None is (await world.row(check)).schedule_error
    await tower.watcher._judged(looked, 0, 1)
    assert "down" == (await world.row(check)).status


async def test_a_value_that_some_check_has_and_must_not_is_looked_for(world: World, tower: Tower) -> None:
    """Such as a zone that has left the tz database: it is an error of ours like those of a database that is away."""
    looked = replace(await tower.watcher.round(), watermark=T0 + 2 * HOUR)
    write = world.db.write

    async def refuse(*_: Any, **__: Any) -> Any:
        raise InvalidValueError("zone", "there is none of that name")

    world.db.write = refuse  # type: ignore[method-assign]
    found = await tower.watcher._judged(looked, 0, None)
    world.db.write = write  # type: ignore[method-assign]

    assert (Judged(0, 0, full=True), 1) == found


async def test_what_failed_before_a_check_was_looked_at_puts_none_off(world: World, tower: Tower) -> None:
    judged = await world.db.write(lambda tx: tower.watcher._put_off(tx, ValueError("no")))

    assert (0, False) == (judged.n, judged.full)


async def test_a_check_that_was_deleted_meanwhile_is_not_put_off(world: World, tower: Tower) -> None:
    assert not await world.db.write(lambda tx: put_off(tx, 1, 2, error="no", ids=world.ids, now=T0))


async def test_nobody_listening_means_no_notification(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)

    await tower.go(T0 + 2 * HOUR)

    async with world.db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(notifications))).scalar()


# --- the live loop ------------------------------------------------------------------------------------


async def test_the_watcher_wakes_for_a_deadline_and_stops_when_told(world: World) -> None:
    tower = Tower(world, SimClock(T0), hearing=Hearing(blind_after=HOUR))
    await tower.watcher.join()
    world.db.listen(tower.watcher.heard)
    stop = asyncio.Event()
    running = asyncio.ensure_future(tower.watcher.run(stop))
    check = await world.check(T0, every=MINUTE, grace=10 * SECOND)
    await world.ping(check, T0)
    async with asyncio.timeout(60):
        while (await world.row(check)).status != "down":
            tower.clock.move_to(tower.clock.now() + 2 * SECOND)
    stop.set()
    await running

    assert T0 + 70 * SECOND == (await world.flips(check))[-1].at


async def test_a_farther_deadline_wakes_nobody(world: World, tower: Tower) -> None:
    tower.watcher.heard(Changes(wake_at=T0 + MINUTE))
    tower.watcher._nearer.clear()

    tower.watcher.heard(Changes(wake_at=T0 + HOUR))
    tower.watcher.heard(Changes(outbox=True))

    assert not tower.watcher._nearer.is_set()


@pytest.mark.parametrize("error", [OverloadedError("away"), RuntimeError("a fault of our own")])
async def test_the_loop_outlives_whatever_goes_wrong(world: World, tower: Tower, error: Exception) -> None:
    refused = 0
    write = world.db.write

    async def refuse_once(*args: Any, **kwargs: Any) -> Any:
        nonlocal refused
        if not refused:
            refused += 1
            raise error
        return await write(*args, **kwargs)

    world.db.write = refuse_once  # type: ignore[method-assign]
    stop = asyncio.Event()
    running = asyncio.ensure_future(tower.watcher.run(stop))
    async with asyncio.timeout(60):
        while tower.watcher.last_beat is None:
            tower.clock.move_to(tower.clock.now() + MINUTE)
            await write(lambda _tx: None)
    stop.set()
    await running

    assert 1 == refused


# --- several nodes --------------------------------------------------------------------------------------


async def test_only_the_leader_judges_and_another_takes_over_when_its_lease_is_gone(world: World, tower: Tower) -> None:
    if not world.db.on_postgres:
        assert (await tower.watcher.round()).leads  # one process owns the file: it leads, always
        return
    other = Tower(world, SimClock(T0), node_id=2)
    await other.watcher.join()
    assert (await tower.watcher.round()).leads
    assert not (await other.watcher.round()).leads

    await tower.watcher.leave()
    assert (await other.watcher.round()).leads


async def test_a_leader_who_slept_through_his_lease_judges_nothing(world: World, tower: Tower) -> None:
    if not world.db.on_postgres:
        return
    await tower.watcher.round()
    # Half the lease has passed on our own clock without a renewal: another may lead by now.
    tower.clock.move_to(T0 + 5 * SECOND)

    assert not await world.db.write(tower.leader.leads)


async def test_a_leader_who_lost_the_lease_unnoticed_is_fenced_by_its_epoch(world: World, tower: Tower) -> None:
    if not world.db.on_postgres:
        return
    check = await world.check(T0)
    await world.ping(check, T0)
    looked = replace(await tower.watcher.round(), watermark=T0 + 9 * HOUR)
    await world.db.write(lambda tx: tx.conn.exec_driver_sql("UPDATE leases SET epoch = epoch + 1, node_id = 99"))

    assert not await world.db.write(tower.leader.leads)
    assert 0 == (await world.db.write(lambda tx: tower.watcher._judge_batch(tx, looked, 0, None))).n


async def test_the_slowest_node_holds_the_watermark_until_it_is_fenced(world: World, tower: Tower) -> None:
    if not world.db.on_postgres:
        return
    other = Tower(world, SimClock(T0), node_id=2)
    await other.watcher.join()
    tower.clock.move_to(T0 + 5 * SECOND)
    assert (await tower.watcher.round()).watermark == T0
    tower.clock.move_to(T0 + 10 * MINUTE)

    assert (await tower.watcher.round()).watermark == T0 + 10 * MINUTE
    async with world.db.read() as read:
        fenced = (await read.execute(sa.select(nodes.c.id).where(nodes.c.fenced_at.is_not(None)))).scalars().all()
    assert [2] == list(fenced)
    assert (T0, T0 + 10 * MINUTE) in await blind(world)


async def test_a_clean_leave_while_others_serve_leaves_no_gap(world: World, tower: Tower) -> None:
    if not world.db.on_postgres:
        return
    other = Tower(world, SimClock(T0), node_id=2)
    await other.watcher.join()
    await other.watcher.leave()
    await tower.go(T0 + HOUR)
    await Tower(world, SimClock(T0 + HOUR), node_id=3).watcher.join()

    assert [] == await blind(world)


async def test_who_came_and_left_before_a_dead_node_was_fenced_hides_no_deafness(world: World, tower: Tower) -> None:
    """Between the death of the first and the start of the second nobody heard, and nobody had said so yet."""
    await tower.watcher.round()
    second = Tower(world, SimClock(T0 + 4 * SECOND), node_id=2)
    await second.watcher.join()
    await second.watcher.leave()

    await Tower(world, SimClock(T0 + HOUR), node_id=3).watcher.join()

    if world.db.on_postgres:
        assert [(T0, T0 + HOUR)] == await blind(world)
    else:  # one process owns the file: the second knew that the first was dead
        assert [(T0, T0 + 4 * SECOND), (T0 + 4 * SECOND, T0 + HOUR)] == await blind(world)


async def test_blind_time_is_counted_when_it_is_committed(world: World, tower: Tower) -> None:
    told: list[tuple[int, float]] = []
    tower.beat._count = lambda n, seconds: told.append((n, seconds))
    await tower.go(T0 + MINUTE)
    assert [] == told

    await tower.sleep_through(T0 + HOUR)
    tower.refusals.note(T0 + HOUR, T0 + HOUR + SECOND)
    await tower.go(T0 + HOUR + 2 * SECOND)
    tower.refusals.note(T0 + HOUR + 3 * SECOND, T0 + HOUR + 5 * SECOND)  # the same interval goes on
    await tower.go(T0 + HOUR + 5 * SECOND)

    assert [(1, 59 * 60.0), (1, 1.0), (0, 4.0)] == told


async def test_the_time_before_a_start_is_counted_too(world: World, tower: Tower) -> None:
    await tower.go(T0 + MINUTE)
    await tower.watcher.leave()
    later = Tower(world, SimClock(T0 + 3 * MINUTE), node_id=2)
    told: list[tuple[int, float]] = []
    later.beat._count = lambda n, seconds: told.append((n, seconds))

    await later.watcher.join()

    assert [(1, 120.0)] == told


async def test_a_gap_in_which_the_database_took_no_beat_is_told_as_such(world: World, tower: Tower) -> None:
    await tower.go(T0 + MINUTE)
    tower.beat.missed()
    await tower.sleep_through(T0 + HOUR)
    await tower.sleep_through(T0 + 2 * HOUR)

    async with world.db.read() as read:
        causes = list((await read.execute(sa.select(blind_intervals.c.cause).order_by(blind_intervals.c.id))).scalars())
    assert ["the database was away", "Heartfly was stalled, or the clock was put forward"] == causes


async def alike(world: World, check: Any, n: int) -> None:
    """So many more checks of the same life, and somebody who listens to them."""
    await channel(world, check)
    row = dict((await world.row(check))._mapping)
    async with world.db.read() as read:
        heard = dict((await read.execute(sa.select(check_channels))).mappings().one())

    def another(number: int) -> dict[str, Any]:
        name = f"{number:012}"
        own = {"uuid": f"{row['uuid'][:24]}{name}", "ping_uuid": f"{row['ping_uuid'][:24]}{name}"}
        return row | own | {"id": world.ids.next(T0), "slug": name, "slug_key": name}

    def work(tx: Any) -> None:
        rows = [another(number) for number in range(n)]
        tx.conn.execute(sa.insert(checks), rows)
        tx.conn.execute(sa.insert(check_channels), [heard | {"check_id": one["id"]} for one in rows])

    await world.db.write(work)


@pytest.mark.parametrize(("n", "expected"), [(498, False), (600, True)])
async def test_what_can_wait_makes_room_while_more_is_judged_than_fits_in_one_batch(
    world: World, tower: Tower, *, n: int, expected: bool
) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await alike(world, check, n)
    seen: list[bool] = []
    world.db.listen(lambda _: seen.append(tower.watcher.hurries))

    await tower.go(T0 + HOUR + 10 * MINUTE)

    assert expected == any(seen)
    assert not tower.watcher.hurries
    async with world.db.read() as read:
        statuses = (await read.execute(sa.select(checks.c.status).distinct())).scalars().all()
    assert ["down"] == statuses


async def test_checks_that_fall_due_without_end_keep_others_waiting_for_a_while(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await alike(world, check, 600)
    seen: list[bool] = []

    def heard(_: Changes) -> None:
        seen.append(tower.watcher.hurries)
        if seen[-1]:
            tower.clock.move_to(tower.clock.now() + timedelta(seconds=HURRY_S))
            seen.append(tower.watcher.hurries)

    world.db.listen(heard)
    await tower.go(T0 + HOUR + 10 * MINUTE)

    assert [True, False] == seen[seen.index(True) :][:2]


async def test_who_judged_nobody_alone_puts_nobody_off(world: World) -> None:
    judge = Judge(ids=world.ids)

    judged = await world.db.write(lambda tx: judge.put_off(tx, now=T0, error=ValueError("no")))

    assert (0, False) == (judged.n, judged.full)
