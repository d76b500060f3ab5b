"""A job whose ping we refused ourselves has done its part: its slot is unverified, not missed."""

from __future__ import annotations

from datetime import datetime

import pytest
import sqlalchemy as sa

from heartfly.db.models import blind_intervals
from heartfly.pings.refusals import Refusals, Refused
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.world import World

pytestmark = pytest.mark.anyio


async def blind(world: World) -> list[tuple[datetime, datetime]]:
    async with world.db.read() as read:
        found = await read.execute(sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at))
        return sorted((row.from_at, row.to_at) for row in found)


async def test_a_slot_in_which_we_refused_a_signal_is_unverified(world: World, tower: Tower) -> None:
    check = await world.check(T0)  # each hour, ten minutes of grace
    await world.ping(check, T0)
    at = T0 + HOUR + 5 * MINUTE
    tower.refusals.note(at, at + SECOND)

    await tower.go(T0 + 2 * HOUR)

    row = await world.row(check)
    assert ("up", 1) == (row.status, row.unverified_in_row)
    assert [(at, at + SECOND)] == await blind(world)


async def test_refusing_for_ever_excuses_once_only(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)

    while tower.clock.now() < T0 + 4 * HOUR:
        now = tower.clock.now()
        tower.refusals.note(now, now)
        await tower.go(now + MINUTE)

    assert "missed_twice_unverified" == (await world.flips(check))[-1].reason


async def test_refusals_in_a_row_are_one_interval_and_later_ones_another(world: World, tower: Tower) -> None:
    for second in (0, 5, 15, 40):
        at = T0 + second * SECOND
        tower.refusals.note(at, at + SECOND)
        await tower.go(at + 2 * SECOND)

    assert [(T0, T0 + 16 * SECOND), (T0 + 40 * SECOND, T0 + 41 * SECOND)] == await blind(world)


async def test_what_a_failed_beat_could_not_write_the_next_one_writes(world: World, tower: Tower) -> None:
    tower.refusals.note(T0, T0 + SECOND)

    def look_and_fail(tx: object) -> None:
        tower.watcher._look(tx)  # type: ignore[arg-type]
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError):
        await world.db.write(look_and_fail)
    assert [] == await blind(world)
    tower.refusals.note(T0 + 2 * SECOND, T0 + 2 * SECOND)

    await tower.go(T0 + 3 * SECOND)

    assert [(T0, T0 + 2 * SECOND)] == await blind(world)
    assert tower.refusals.span() is None


async def test_what_is_refused_after_the_last_beat_is_written_at_the_end(world: World, tower: Tower) -> None:
    tower.refusals.note(T0, T0 + SECOND)

    await tower.watcher.leave()

    assert [(T0, T0 + SECOND)] == await blind(world)


def test_what_is_refused_while_a_beat_commits_is_left_for_the_next() -> None:
    refusals = Refusals()
    refusals.note(T0, T0 + SECOND)
    span = refusals.span()
    refusals.note(T0 + 2 * SECOND, T0 + 3 * SECOND)

    refusals.settled(span)

    assert Refused(T0 + SECOND, T0 + 3 * SECOND) == refusals.span()
    refusals.settled(refusals.span())
    assert refusals.span() is None
    refusals.settled(None)
    refusals.settled(span)
    assert refusals.span() is None
