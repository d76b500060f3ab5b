"""Who sends events, how far each has come, and a day that waits for one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.amounts import Number
from heartfly.core.tiles import State
from heartfly.core.watermarks import PATIENCE
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import usage_audit, usage_days, usage_sources
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage import sources
from heartfly.usage.answers import answer
from heartfly.usage.close_day import Closed, Closer
from heartfly.usage.held_days import HeldDays
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.question import Question
from tests.sim_clock import SimClock
from tests.usage.factory import PID, Plant

pytestmark = pytest.mark.anyio

UTC_ZONE = ZoneInfo("UTC")
DAY = date(2026, 11, 27)
START = datetime(2026, 11, 27, tzinfo=UTC)
END = START + timedelta(days=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CLOSING = END + HOUR + 10 * MINUTE


@pytest.fixture
def clock() -> SimClock:
    return SimClock(START + HOUR)


@pytest.fixture
def plant(usage_db: Database, clock: SimClock, ids: IdSource) -> Plant:
    return Plant(usage_db, clock, ids)


_n = iter(range(1_000_000))


async def send(plant: Plant, at: datetime, *, by: str = "", kind: str = "api", **properties: Any) -> None:
    """At that instant somebody sends what has just happened."""
    if at > plant.clock.now():
        plant.clock.move_to(at)
    wire = {
        "transaction_id": f"s-{next(_n)}",
        "customer_id": "c-1",
        "timestamp": at.isoformat(),
        "event_type": kind,
        "properties": {"size": Number("1"), **properties},
    }
    told = await plant.ingest.take(PID, [wire], wire="native", source=by)
    assert ["accepted"] == [one.outcome for one in told]


async def known(plant: Plant, pid: int = PID) -> Mapping[str, Any]:
    async with plant.usage.read() as read:
        rows = (await read.execute(sa.select(usage_sources).where(usage_sources.c.pid == pid))).all()
    return {row.name: row for row in rows}


def closer(plant: Plant) -> Closer:
    return Closer(plant.usage, plant.folder, plant.clock, plant.ids)


async def close(plant: Plant, at: datetime = CLOSING) -> Closed:
    plant.clock.move_to(max(at, plant.clock.now()))
    return await closer(plant).close(PID, DAY, UTC_ZONE)


async def day(plant: Plant) -> Any:
    async with plant.usage.read() as read:
        return (await read.execute(sa.select(usage_days).where(usage_days.c.day == DAY))).one()


async def state_of_figures(plant: Plant) -> State:
    async with plant.usage.read() as read:
        stored = await find_meter(read, PID, "count")
        question = Question(from_at=START, to_at=END, size=None, zone=UTC_ZONE)
        found = await answer(read, PID, stored, question, now=plant.clock.now(), limit=10)
    return found.items[0].state


async def test_a_source_is_who_a_request_says_it_is_from(plant: Plant) -> None:
    await send(plant, START + 2 * HOUR, by="app-1")
    await send(plant, START + HOUR, by="app-1")
    await send(plant, START + 3 * HOUR)

    (row,) = (await known(plant)).values()
    assert ("app-1", START + 2 * HOUR, START + 2 * HOUR) == (row.name, row.newest_at, row.live_at)


async def test_a_request_says_itself_where_it_was_logged(plant: Plant) -> None:
    await send(plant, START + 2 * HOUR, kind="http.request", source="web-1")
    await send(plant, START + 2 * HOUR, kind="http.request", source="web-2")
    await send(plant, START + 2 * HOUR, kind="http.request", source=Number("5"))
    await send(plant, START + 2 * HOUR, kind="http.request", source=True)
    await send(plant, START + 2 * HOUR, kind="http.request", source="a\tb")
    await send(plant, START + 2 * HOUR, kind="other", source="no-source")

    assert {"web-1", "web-2", "5"} == (await known(plant)).keys()


async def test_an_event_of_the_future_moves_no_watermark_past_now(plant: Plant) -> None:
    plant.clock.move_to(START + 2 * HOUR)
    wire = {"transaction_id": "f", "customer_id": "c", "event_type": "api"}
    ahead = wire | {"timestamp": (START + 9 * HOUR).isoformat()}
    await plant.ingest.take(PID, [ahead], wire="native", source="app-1")

    assert START + 2 * HOUR == (await known(plant))["app-1"].newest_at


async def test_a_name_that_none_can_have_is_refused_and_nothing_stored(plant: Plant) -> None:
    for name in (" app", "x" * 129, "a\nb"):
        with pytest.raises(InvalidValueError, match="Heartfly-Source"):
            await send(plant, START + HOUR, by=name)
    assert {} == await known(plant)


async def test_no_more_sources_are_kept_than_a_project_may_have(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST", 2)
    for n in range(4):
        await send(plant, START + HOUR, by=f"app-{n}")
    await send(plant, START + 2 * HOUR, by="app-1")

    assert {"app-0": START + HOUR, "app-1": START + 2 * HOUR} == {
        name: row.newest_at for name, row in (await known(plant)).items()
    }


async def test_a_day_whose_sources_have_told_all_is_final_and_says_up_to_when(plant: Plant) -> None:
    await plant.all_meters()
    await send(plant, START + 5 * HOUR, by="app-1")
    await send(plant, END + HOUR, by="app-1")
    closed = await close(plant)

    assert ("final", (), ()) == (closed.state, tuple(closed.sources.waits_for), tuple(closed.sources.without))
    assert (END + HOUR, 600) == (closed.sources.watermark, closed.figures["lag_s"])
    assert State.FINAL is await state_of_figures(plant)


async def test_without_sources_a_day_is_final_at_once(plant: Plant) -> None:
    await plant.all_meters()
    await send(plant, START + 5 * HOUR)
    closed = await close(plant)

    assert ("final", None) == (closed.state, closed.sources.watermark)
    assert "lag_s" not in closed.figures


async def test_a_stalled_source_holds_the_day_which_says_whom_it_waits_for(plant: Plant) -> None:
    await plant.all_meters()
    await send(plant, START + 5 * HOUR, by="app-1")
    await send(plant, END + HOUR, by="app-2")
    closed = await close(plant)

    assert ("provisional", "", ["app-1"]) == (closed.state, closed.mismatch, list(closed.sources.waits_for))
    row = await day(plant)
    assert ("provisional", ["app-1"]) == (row.state, row.sources["waits_for"])
    assert State.PROVISIONAL is await state_of_figures(plant)


async def test_it_is_closed_when_the_source_has_caught_up_and_is_no_amendment(plant: Plant) -> None:
    await plant.all_meters()
    await send(plant, START + 5 * HOUR, by="app-1")
    await close(plant)
    held = HeldDays(plant.usage, closer(plant), plant.clock)
    assert 0 == await held.round()

    await send(plant, START + 6 * HOUR, by="app-1")  # what it had not told
    assert 0 == await held.round()
    await send(plant, END + 2 * HOUR, by="app-1")
    assert 1 == await held.round()

    row = await day(plant)
    assert ("final", 2, []) == (row.state, row.figures["events_raw"], row.sources["waits_for"])
    assert State.FINAL is await state_of_figures(plant)
    assert 0 == await held.round()


async def test_it_is_closed_when_somebody_retires_the_source(plant: Plant, ids: IdSource) -> None:
    await plant.all_meters()
    await send(plant, START + 5 * HOUR, by="app-1")
    await close(plant)
    actor, at = Actor("key:abc", None), plant.clock.now()
    for _ in range(2):
        await plant.usage.write(lambda tx: sources.retire(tx, PID, "app-1", actor=actor, at=at, ids=ids))
    assert 1 == await HeldDays(plant.usage, closer(plant), plant.clock).round()

    assert "final" == (await day(plant)).state
    async with plant.usage.read() as read:
        (entry,) = (await read.execute(sa.select(usage_audit))).all()
    assert ("source.retire", "source:app-1", "key:abc") == (entry.action, entry.object, entry.actor)


async def test_who_was_retired_is_a_source_again_when_it_tells_what_happens(plant: Plant, ids: IdSource) -> None:
    await send(plant, START + 5 * HOUR, by="app-1")
    at = plant.clock.now()
    await plant.usage.write(lambda tx: sources.retire(tx, PID, "app-1", actor=Actor("cli"), at=at, ids=ids))

    plant.clock.move_to(START + 9 * HOUR)
    await send(plant, START + 6 * HOUR, by="app-1")  # what was left in its queue
    assert at == (await known(plant))["app-1"].retired_at
    await send(plant, START + 9 * HOUR, by="app-1")
    row = (await known(plant))["app-1"]
    assert (None, None) == (row.retired_at, row.retired_by)


async def test_only_the_projects_own_source_can_be_retired(plant: Plant, ids: IdSource) -> None:
    await send(plant, START + 5 * HOUR, by="app-1")
    for pid, name in ((PID + 1, "app-1"), (PID, "app-2")):
        with pytest.raises(NotFoundError):
            await plant.usage.write(
                lambda tx, pid=pid, name=name: sources.retire(  # type: ignore[misc]
                    tx, pid, name, actor=Actor("cli"), at=START, ids=ids
                )
            )
    assert (await known(plant))["app-1"].retired_at is None


async def test_after_a_day_of_waiting_it_is_final_without_the_source_and_says_so(plant: Plant) -> None:
    await plant.all_meters()
    await send(plant, START + 5 * HOUR, by="app-1")
    await close(plant)
    held = HeldDays(plant.usage, closer(plant), plant.clock)
    plant.clock.move_to(END + PATIENCE - MINUTE)
    assert "provisional" == (await close(plant)).state
    plant.clock.move_to(END + PATIENCE)
    assert 0 == await held.round()  # the daily aggregation is to tell it
    assert ["app-1"] == list((await close(plant)).sources.without)

    row = await day(plant)
    assert ("final", [], ["app-1"]) == (row.state, row.sources["waits_for"], row.sources["without"])


async def test_who_brings_history_is_waited_for_by_no_day(plant: Plant) -> None:
    await plant.all_meters()
    await send(plant, START + 5 * HOUR)
    plant.clock.move_to(START + 9 * HOUR)
    await send(plant, START + 4 * HOUR, by="import")

    assert "final" == (await close(plant)).state


async def test_a_source_that_was_silent_for_long_is_forgotten(plant: Plant) -> None:
    await send(plant, START + 5 * HOUR, by="app-1")
    await send(plant, START + 7 * HOUR, by="app-2")
    now = START + 6 * HOUR + sources.FORGOTTEN

    assert 1 == await plant.usage.write(lambda tx: sources.forget_silent(tx, PID, now))
    assert ["app-2"] == [*await known(plant)]
