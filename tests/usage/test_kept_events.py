"""A project keeps so many events, if the operator says so: what would be more is refused, and nothing is lost by it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly import logs
from heartfly.config import Log
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import windows
from heartfly.errors import OverloadedError
from heartfly.usage.apply import EventApplier, Outcome
from heartfly.usage.ingest import EventIngest
from heartfly.usage.kept_events import AGAIN_S, KeptEvents, kept_in
from tests.sim_clock import SimClock
from tests.usage.factory import NOW, PID, Plant

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
def plant(usage_db: Database, clock: SimClock, ids: IdSource) -> Plant:
    return Plant(usage_db, clock, ids)


def bounded(plant: Plant, most: int) -> KeptEvents:
    kept = KeptEvents(most)
    plant.ingest = EventIngest(plant.usage, EventApplier(plant.ids), plant.clock, keep=timedelta(days=400), kept=kept)
    return kept


def events(first: int, n: int) -> list[dict[str, Any]]:
    return [
        {"transaction_id": f"e{number}", "event_type": "call", "customer_id": "acme", "timestamp": NOW.isoformat()}
        for number in range(first, first + n)
    ]


async def take(plant: Plant, *found: dict[str, Any], pid: int = PID) -> list[Outcome]:
    return [one.outcome for one in await plant.ingest.take(pid, found, wire="heartfly")]


async def test_once_it_keeps_what_it_may_more_is_refused_as_a_whole_and_says_why(plant: Plant) -> None:
    bounded(plant, 5)
    assert [Outcome.ACCEPTED] * 4 == await take(plant, *events(0, 4))
    # There is room for one: of what came together all is taken, as nobody can take half of a request back.
    assert [Outcome.ACCEPTED] * 3 == await take(plant, *events(4, 3))

    with pytest.raises(OverloadedError, match=r"as many events as it may, 5 \(limits.events\)") as refused:
        await take(plant, *events(7, 1))

    assert AGAIN_S == refused.value.retry_after
    async with plant.usage.read() as read:
        assert 0 == await kept_in(read, PID), "nothing is folded yet"


async def test_what_is_known_already_takes_no_room(plant: Plant) -> None:
    bounded(plant, 5)
    for _ in range(3):
        await take(plant, *events(0, 4))

    assert [Outcome.ACCEPTED] == await take(plant, *events(4, 1))


async def test_another_project_has_room_of_its_own(plant: Plant) -> None:
    bounded(plant, 5)
    await take(plant, *events(0, 5))

    assert [Outcome.ACCEPTED] == await take(plant, *events(0, 1), pid=PID + 1)


async def test_what_other_processes_took_is_known_once_it_is_folded_and_looked_at(plant: Plant) -> None:
    await take(plant, *events(0, 5))
    await plant.fold()
    kept = bounded(plant, 5)
    assert [Outcome.ACCEPTED] == await take(plant, *events(5, 1)), "not looked yet"

    await kept.look(plant.usage)

    with pytest.raises(OverloadedError):
        await take(plant, *events(6, 1))


async def test_a_look_counts_nothing_twice(plant: Plant) -> None:
    kept = bounded(plant, 6)
    await take(plant, *events(0, 3))
    await plant.fold()

    await kept.look(plant.usage)

    assert [Outcome.ACCEPTED] * 2 == await take(plant, *events(3, 2))
    assert [Outcome.ACCEPTED] == await take(plant, *events(5, 1))
    with pytest.raises(OverloadedError):
        await take(plant, *events(6, 1))


async def test_what_is_sealed_makes_room(plant: Plant) -> None:
    await take(plant, *events(0, 5))
    await plant.fold()
    kept = bounded(plant, 5)
    await kept.look(plant.usage)

    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(windows).values(sealed_at=NOW)))
    await kept.look(plant.usage)

    assert [Outcome.ACCEPTED] == await take(plant, *events(5, 1))


async def test_the_log_says_once_that_a_project_is_full_and_once_that_it_is_not(plant: Plant) -> None:
    stream = io.StringIO()
    logs.configure(Log(level="info", format="json"), stream, now=lambda: NOW)
    kept = bounded(plant, 3)
    await take(plant, *events(0, 3))
    await plant.fold()
    await kept.look(plant.usage)
    await kept.look(plant.usage)

    told = [line for line in stream.getvalue().splitlines() if "events_are_full" in line]
    assert 1 == len(told)
    assert '"most":3' in told[0]


async def test_without_a_bound_nothing_is_counted(plant: Plant) -> None:
    kept = bounded(plant, 0)
    await take(plant, *events(0, 3))
    await kept.look(plant.usage)

    assert [Outcome.ACCEPTED] == await take(plant, *events(3, 1))
