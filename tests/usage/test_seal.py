"""Events go when they are older than is kept, and nothing that they came to changes by it, then or ever after."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.days import day_in
from heartfly.core.windows import Size
from heartfly.db.models import (
    dead_letters,
    event_conflicts,
    event_corrections,
    event_ids,
    events,
    intake,
    usage_days,
    windows,
)
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import seal as sealing
from heartfly.usage.answers import answer
from heartfly.usage.close_day import Closer, days_to_close
from heartfly.usage.compare import compare
from heartfly.usage.corrections import Amended, amend, undo, void
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.meters import change_meter, mark_hours
from heartfly.usage.question import Question
from heartfly.usage.rerun import foretold
from heartfly.usage.seal import Gone, remove_old, seal
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of
from tests.usage.oracle import Sent

pytestmark = pytest.mark.anyio

BERLIN, KOLKATA, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")
KEEP = timedelta(days=400)
OLD, KEPT = date(2026, 11, 26), date(2026, 11, 27)
MIDNIGHT = datetime(2026, 11, 26, 23, tzinfo=UTC)
"""Between the two, in Berlin."""
LATER = MIDNIGHT + KEEP + 2 * HOUR


def closer(plant: Plant) -> Closer:
    return Closer(plant.usage, plant.folder, plant.clock, plant.ids)


async def filled(plant: Plant, zone: ZoneInfo = BERLIN, *, close: tuple[date, ...] = (OLD, KEPT)) -> list[Sent]:
    """Two days of events."""

    async def make() -> list[Sent]:
        await plant.all_meters()
        from_at, to_at = day_in(zone, OLD).from_at, day_in(zone, KEPT).to_at
        sent = events_of(80, seed=61, from_at=from_at, to_at=to_at)
        await plant.send(*sent)
        for day in close:
            assert "final" == (await closer(plant).close(PID, day, zone)).state
        return sent

    return await plant.once((__name__, zone.key, close), make)


async def removed(plant: Plant, zone: ZoneInfo = BERLIN, now: datetime = LATER) -> Gone:
    async def ours() -> None:
        return None

    plant.clock.move_to(now)
    return await remove_old(plant.usage, PID, zone, keep=KEEP, now=now, fence=ours)


async def n_rows(plant: Plant, table: sa.Table) -> int:
    async with plant.usage.read() as read:
        return int((await read.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


async def states(plant: Plant) -> dict[date, str]:
    async with plant.usage.read() as read:
        return {row.day: row.state for row in await read.execute(sa.select(usage_days))}


async def test_events_of_an_old_day_go_and_what_they_came_to_stays(plant: Plant) -> None:
    sent = await filled(plant)
    n_old = len([one for one in sent if one.at < MIDNIGHT])
    before = await plant.rows()

    gone = await removed(plant)

    assert (n_old, 1, 0) == (gone.events, gone.sealed, gone.held)
    assert 0 < n_old < 80
    assert [80 - n_old] * 2 == [await n_rows(plant, table) for table in (events, event_ids)]
    assert before == await plant.rows()
    assert Gone() == await removed(plant, now=LATER + HOUR)


async def test_what_was_corrected_goes_with_its_day(plant: Plant) -> None:
    """Also what counts nothing any more, with what it was known by; what was amended into a later day stays."""
    sent = await filled(plant, close=())
    old = [one for one in sent if one.at < MIDNIGHT]
    young = next(one for one in sent if one.at >= MIDNIGHT)
    at = plant.clock.now()
    await plant.usage.write(
        lambda tx: [
            void(tx, PID, one.name, reason="x", actor=Actor("cli"), at=at, ids=plant.ids) for one in [*old[1:], young]
        ]
    )
    later = Amended({"timestamp": (MIDNIGHT + HOUR).isoformat()})
    await plant.usage.write(
        lambda tx: amend(tx, PID, old[0].name, later, reason="x", oldest=at, actor=Actor("cli"), at=at, ids=plant.ids)
    )
    await plant.send(replace(old[1], subject="somebody else"))  # against one that counts nothing any more
    assert 1 == await n_rows(plant, event_conflicts)
    for day in (OLD, KEPT):
        await closer(plant).close(PID, day, BERLIN)
    assert len(old) + 1 == await n_rows(plant, event_corrections)

    await removed(plant)

    assert 1 == await n_rows(plant, event_corrections)
    assert 0 == await n_rows(plant, event_conflicts)
    n = 80 - len(old)
    assert [n, n + 1] == [await n_rows(plant, table) for table in (events, event_ids)]
    with pytest.raises(ConflictError, match="no correction"):
        await plant.usage.write(lambda tx: undo(tx, PID, old[0].name, actor=Actor("cli"), at=at, ids=plant.ids))


async def test_what_is_sealed_is_never_folded_or_closed_again(plant: Plant) -> None:
    await filled(plant)
    before = await plant.rows()
    await removed(plant)

    seq = plant.ids.next(LATER)
    await plant.usage.write(lambda tx: mark_hours(tx, PID, None, None, seq=seq))
    await plant.fold()

    assert before == await plant.rows()
    assert {OLD: "final", KEPT: "provisional"} == await states(plant)
    for zone, waiting in ((BERLIN, [KEPT]), (UTC_ZONE, [KEPT])):
        assert waiting == await days_to_close(plant.usage, PID, zone, since=KEPT, today=date(2026, 11, 28))
    with pytest.raises(InvalidValueError, match="day: is sealed"):
        await foretold(plant.usage, closer(plant), PID, day_in(BERLIN, OLD))
    assert "final" == (await closer(plant).close(PID, KEPT, BERLIN)).state


async def test_a_comparison_leaves_out_what_is_sealed_and_counts_it(plant: Plant) -> None:
    await filled(plant)
    await removed(plant)
    span = day_in(BERLIN, OLD)

    found = compare(plant.usage.place, PID, span.from_at, span.to_at + 24 * HOUR)

    async with plant.usage.read() as read:
        sealed = len((await read.execute(sa.select(windows).where(windows.c.sealed_at.is_not(None)))).all())
    assert (sealed, 0) == (found.n_sealed, found.n_differences)
    assert 0 < sealed < await n_rows(plant, windows)


@pytest.mark.parametrize("closed", [(), (KEPT,)])
async def test_a_day_that_was_not_closed_is_held_back(plant: Plant, closed: tuple[date, ...]) -> None:
    await filled(plant, close=closed)

    gone = await removed(plant)

    assert (0, 0, 1) == (gone.events, gone.sealed, gone.held)
    assert 80 == await n_rows(plant, events)


async def test_a_day_with_an_hour_that_waits_to_be_folded_is_held_back(plant: Plant) -> None:
    await filled(plant)
    await plant.usage.write(lambda tx: mark_hours(tx, PID, None, None, seq=plant.ids.next(NOW)))

    assert (0, 1) == ((gone := await removed(plant)).sealed, gone.held)

    await plant.fold()
    await closer(plant).close(PID, OLD, BERLIN)
    assert (1, 0) == ((gone := await removed(plant, now=LATER + HOUR)).sealed, gone.held)


async def test_cut_off_after_the_seal_or_between_two_pieces_it_goes_on(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(plant)
    monkeypatch.setattr(sealing, "PIECE", 7)
    span = day_in(BERLIN, OLD)
    await plant.usage.write(lambda tx: seal(tx, PID, span, now=LATER))
    await plant.usage.write(lambda tx: sealing._events(tx, PID, span))
    assert 73 == await n_rows(plant, events)

    gone = await removed(plant)

    assert (0, 0) == (gone.sealed, gone.held)
    async with plant.usage.read() as read:
        assert MIDNIGHT <= (await read.execute(sa.select(sa.func.min(events.c.at)))).scalar_one()


async def test_where_days_cut_hours_in_half_the_next_day_can_still_be_proved(plant: Plant) -> None:
    sent = await filled(plant, KOLKATA)
    midnight = day_in(KOLKATA, KEPT).from_at
    before = await plant.rows()

    gone = await removed(plant, KOLKATA, now=midnight + KEEP + 2 * HOUR)

    # What happened in the last half hour shares its hour with the day that is kept.
    assert len([one for one in sent if one.at < midnight - timedelta(minutes=30)]) == gone.events
    assert before == await plant.rows()
    await plant.usage.write(lambda tx: mark_hours(tx, PID, None, None, seq=plant.ids.next(LATER)))
    assert "final" == (await closer(plant).close(PID, KEPT, KOLKATA)).state
    assert "final" == (await states(plant))[OLD]
    gone = await removed(plant, KOLKATA, now=midnight + KEEP + 26 * HOUR)
    assert (1, 0) == (gone.sealed, gone.held)


async def test_with_them_go_conflicts_dead_letters_and_what_came_in(plant: Plant) -> None:
    (first, *_) = sent = await filled(plant, close=())
    other = first.wire() | {"customer_id": "another"}
    await plant.ingest.take(PID, [other, {"transaction_id": "no event"}], wire="native")
    for day in (OLD, KEPT):
        await closer(plant).close(PID, day, BERLIN)
    tables = (events, event_conflicts, dead_letters, intake)
    assert [len(sent), 1, 1, 1] == [await n_rows(plant, table) for table in tables]

    gone = await removed(plant, now=NOW + KEEP + 26 * HOUR)

    assert (1, 1) == (gone.letters, gone.intake)
    assert [0, 0, 0, 0] == [await n_rows(plant, table) for table in tables]


async def test_figures_of_whole_hours_stay_and_minutes_say_that_they_are_gone(plant: Plant) -> None:
    await filled(plant)
    span = day_in(BERLIN, OLD)

    async def ask(size: Size | None, from_at: datetime = span.from_at) -> list[Any]:
        question = Question(from_at=from_at, to_at=span.to_at, size=size, zone=BERLIN)
        async with plant.usage.read() as read:
            stored = await find_meter(read, PID, "sum")
            told = await answer(read, PID, stored, question, now=plant.clock.now(), limit=10_000)
        return [(item.window, item.n, item.value, item.state) for item in told.items]

    before = [await ask(size) for size in (Size.HOUR, Size.DAY, None)]
    await removed(plant)

    assert before == [await ask(size) for size in (Size.HOUR, Size.DAY, None)]
    with pytest.raises(InvalidValueError, match="from: is in a time of which single events are not kept"):
        await ask(Size.MINUTE)
    with pytest.raises(InvalidValueError, match="ask for whole hours"):
        await ask(None, span.from_at + timedelta(minutes=30))


async def test_a_meter_that_changes_leaves_what_is_sealed_as_it_was(plant: Plant) -> None:
    await filled(plant)
    await removed(plant)
    given: dict[str, Any] = {"rev": None, "actor": Actor("test"), "at": LATER, "ids": plant.ids}

    async with plant.usage.read() as read:
        before = await find_meter(read, PID, "sum")
    meter = before.versions[-1].meter
    with pytest.raises(InvalidValueError, match="to_at: must be after 2026-11-26T23:00Z"):
        await plant.usage.write(lambda tx: change_meter(tx, PID, "sum", meter, from_at=None, to_at=MIDNIGHT, **given))
    await plant.usage.write(lambda tx: change_meter(tx, PID, "sum", meter, from_at=None, to_at=None, **given))

    async with plant.usage.read() as read:
        after = await find_meter(read, PID, "sum")
    assert MIDNIGHT == after.versions[-1].from_at
