"""Pings are counted by parts of a minute, and each count is written once it can grow no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import ByUuid
from heartfly.pings.tally import Tally
from tests.sim_clock import SimClock
from tests.world import make_world

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
TICK = timedelta(microseconds=1)


def test_a_part_is_written_when_it_has_ended() -> None:
    tally = Tally()
    for second in (0, 9, 10, 59, 60):
        tally.note("https", T0 + second * SECOND)

    assert {} == tally.minutes(T0 + 10 * SECOND - TICK)
    assert {T0: [2, 0, 0, 0, 0, 0]} == tally.minutes(T0 + 10 * SECOND)
    assert {T0: [2, 1, 0, 0, 0, 1], T0 + MINUTE: [1, 0, 0, 0, 0, 0]} == tally.minutes(T0 + 70 * SECOND)


def test_what_stands_in_the_database_is_not_written_again_unless_more_came() -> None:
    tally = Tally()
    tally.note("http", T0)
    tally.settled(tally.minutes(T0 + 20 * SECOND))
    assert {} == tally.minutes(T0 + 30 * SECOND)

    tally.note("http", T0 + SECOND)

    assert {T0: [2, 0, 0, 0, 0, 0]} == tally.minutes(T0 + 30 * SECOND)


def test_what_is_over_is_forgotten_and_what_could_not_be_written_is_bounded() -> None:
    tally = Tally()
    tally.note("http", T0)
    tally.settled(tally.minutes(T0 + MINUTE))
    tally.note("http", T0 + 3 * MINUTE)
    tally.settled(tally.minutes(T0 + 4 * MINUTE))
    assert [T0 + 3 * MINUTE] == list(tally._parts)

    for n in range(1_000):
        tally.note("http", T0 + 5 * MINUTE + n * 10 * SECOND)

    minutes = tally.minutes(T0 + timedelta(hours=3))
    assert 120 == sum(map(sum, minutes.values()))
    assert T0 + 5 * MINUTE + 9_990 * SECOND - 30 * SECOND == max(minutes)


@pytest.mark.anyio
async def test_what_is_taken_by_http_counts_and_nothing_else(db: Database, ids: IdSource) -> None:
    world = await make_world(db, ids, T0)
    clock = SimClock(T0)
    ingest = Ingest(db, world.applier, clock)
    check = await world.check(T0)
    for scheme in ("http", "https", "email", "job", "canary"):
        await ingest.submit(world.request(check, T0, scheme=scheme))
    await ingest.submit(world.request(check, T0, scheme="https", target=ByUuid("00000000-0000-4000-8000-000000000000")))

    assert {T0: [2, 0, 0, 0, 0, 0]} == ingest.tally.minutes(T0 + MINUTE)
