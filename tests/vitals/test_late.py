"""When judging counts as late: by the watermark, and by a deadline that nobody judges, on whichever node."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from heartfly.monitor.watch import Watcher
from heartfly.vitals.late import LATE, judged_until
from heartfly.vitals.readiness import Facts
from tests.monitor.tower import MINUTE, SECOND, T0, Tower
from tests.one_database import on_postgres
from tests.sim_clock import SimClock
from tests.world import World

MICROSECOND = timedelta(microseconds=1)


def facts(*, watermark: datetime | None, due: datetime | None = None, now: datetime = T0) -> Facts:
    return Facts(now=now, last_beat_at=now, watermark=watermark, broken=None, due=due)


def seen_by(watcher: Watcher, now: datetime) -> datetime | None:
    looked = watcher.last_beat
    assert looked is not None
    return judged_until(facts(now=now, watermark=looked.watermark, due=looked.next_wake_at))


@pytest.mark.parametrize(
    ("watermark", "due", "told"),
    [
        (None, None, None),
        (T0, None, None),
        (T0, T0 + MINUTE, None),
        (T0 - LATE, None, None),
        (T0 - LATE - MICROSECOND, None, T0 - LATE - MICROSECOND),
        (T0, T0 - LATE, None),
        (T0, T0 - LATE - MICROSECOND, T0 - LATE - MICROSECOND),
        (T0 - MINUTE, T0 - 2 * MINUTE, T0 - 2 * MINUTE),
        (T0 - 2 * MINUTE, T0 - MINUTE, T0 - 2 * MINUTE),
    ],
)
def test_it_is_late_beyond_ten_seconds_by_what_is_older(
    watermark: datetime | None, due: datetime | None, told: datetime | None
) -> None:
    assert told == judged_until(facts(watermark=watermark, due=due))


@pytest.mark.anyio
async def test_a_watcher_that_judges_is_in_time_however_many_are_due(tower: Tower, world: World) -> None:
    for _ in range(3):
        check = await world.check(T0, every=5 * MINUTE, grace=MINUTE)
        await world.ping(check, T0)

    await tower.go(T0 + 30 * MINUTE)

    assert seen_by(tower.watcher, tower.clock.now()) is None


@on_postgres
@pytest.mark.anyio
async def test_a_node_that_does_not_judge_says_so_of_the_one_that_should(world: World) -> None:
    check = await world.check(T0, every=5 * MINUTE, grace=MINUTE)
    await world.ping(check, T0)
    clock = SimClock(T0)
    bystander = Tower(world, clock, node_id=2, may_lead=False)
    await bystander.watcher.join()

    await bystander.go(T0 + 6 * MINUTE + LATE)
    assert seen_by(bystander.watcher, clock.now()) is None
    await bystander.go(clock.now() + SECOND)
    assert T0 + 6 * MINUTE == seen_by(bystander.watcher, clock.now())
