"""Rollups are what the raw events come to, to the last digit, whatever came late, twice or in between."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours, events, rollups, uncounted, unique_values, usage_groups, windows
from heartfly.errors import StoreError
from heartfly.usage import generations
from heartfly.usage.dirty import mark_folded
from heartfly.usage.fold import TIER_HOUR, fold_day, fold_hour
from heartfly.usage.folder import Folder
from heartfly.usage.generations import Generation, OvertakenError, SealedError, begin, name_groups, put, switch
from heartfly.usage.hands import Hands
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of, shuffled, within
from tests.usage.oracle import COUNT, Sent, answers

pytestmark = pytest.mark.anyio

FROM = NOW.replace(minute=0) - 3 * HOUR
TO = FROM + 3 * HOUR


async def count(db: Database, table: sa.Table) -> int:
    async with db.read() as read:
        return int((await read.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


async def test_rollups_equal_what_brute_force_finds(plant: Plant) -> None:
    await plant.all_meters()
    sent = events_of(400, seed=1, from_at=FROM, to_at=TO)
    await plant.send(*sent)
    await plant.fold()

    assert answers(sent) == plant.told(FROM, TO)
    for hour in (FROM, FROM + HOUR, FROM + 2 * HOUR):
        assert answers(within(sent, hour, hour + HOUR)) == plant.told(hour, hour + HOUR)
    assert 0 == await count(plant.usage, dirty_hours)


async def test_folding_again_makes_the_same_rows_and_leaves_no_others(plant: Plant, ids: IdSource) -> None:
    await plant.all_meters()
    await plant.send(*events_of(200, seed=2, from_at=FROM, to_at=TO))
    await plant.fold()
    before = await plant.rows()

    seq = ids.next(NOW)
    await plant.usage.write(lambda tx: mark_folded(tx, PID, from_at=None, to_at=None, seq=seq))
    assert 3 == await count(plant.usage, dirty_hours)
    await plant.fold()

    assert before == await plant.rows()


async def test_the_order_in_which_events_came_is_not_to_be_seen(plant: Plant) -> None:
    await plant.all_meters()
    sent = events_of(200, seed=3, from_at=FROM, to_at=TO)
    for some in (shuffled(sent, 4)[:70], shuffled(sent, 5)[50:], sent):
        await plant.send(*some)
        await plant.fold()

    assert answers(sent) == plant.told(FROM, TO)


async def test_an_event_that_comes_late_is_in_the_rollup(plant: Plant) -> None:
    await plant.all_meters()
    sent = events_of(60, seed=6, from_at=FROM, to_at=TO)
    await plant.send(*sent[:-1])
    await plant.fold()
    await plant.send(sent[-1])
    assert 1 == await count(plant.usage, dirty_hours)
    await plant.fold()

    assert answers(sent) == plant.told(FROM, TO)


async def test_an_event_that_comes_while_its_hour_is_folded_leaves_it_dirty(plant: Plant) -> None:
    await plant.all_meters()
    sent = events_of(20, seed=7, from_at=FROM, to_at=FROM + HOUR)
    await plant.send(*sent[:-1])
    folded = await asyncio.to_thread(fold_hour, plant.usage.place, PID, FROM)
    await plant.send(sent[-1])

    await plant.folder._write(Generation(PID, TIER_HOUR, folded, plant.ids.next(NOW)))
    assert answers(sent[:-1]) == plant.told(FROM, TO)
    assert 1 == await count(plant.usage, dirty_hours)

    await plant.fold()
    assert answers(sent) == plant.told(FROM, TO)


async def test_until_it_is_whole_a_new_generation_is_not_seen(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "SLICE", 5)
    await plant.all_meters()
    sent = events_of(80, seed=8, from_at=FROM, to_at=FROM + HOUR)
    await plant.send(*sent[:40])
    await plant.fold()
    await plant.send(*sent[40:])

    it = Generation(PID, TIER_HOUR, await asyncio.to_thread(fold_hour, plant.usage.place, PID, FROM), 99)

    def half(tx: Tx) -> None:
        name_groups(tx, it, ids=plant.ids, now=NOW)
        begin(tx, it)
        put(tx, it, it.rows[:20])

    await plant.usage.write(half)  # and then the process is killed
    assert answers(sent[:40]) == plant.told(FROM, TO)
    assert 1 == await count(plant.usage, dirty_hours)

    await plant.fold()
    assert answers(sent) == plant.told(FROM, TO)
    async with plant.usage.read() as read:
        (gen,) = (await read.execute(sa.select(windows.c.gen))).scalars()
        for table in (rollups, unique_values, uncounted):
            assert {gen} == set((await read.execute(sa.select(table.c.gen))).scalars())


async def test_of_two_that_fold_one_window_only_the_later_one_counts(plant: Plant) -> None:
    await plant.meter("count", COUNT)
    await plant.send(*events_of(20, seed=9, from_at=FROM, to_at=FROM + HOUR))
    folded = await asyncio.to_thread(fold_hour, plant.usage.place, PID, FROM)
    first, second = Generation(PID, TIER_HOUR, folded, 1), Generation(PID, TIER_HOUR, folded, 2)
    for it in (first, second):
        await plant.usage.write(lambda tx, it=it: name_groups(tx, it, ids=plant.ids, now=NOW))  # type: ignore[misc]
        await plant.usage.write(lambda tx, it=it: begin(tx, it))  # type: ignore[misc]

    with pytest.raises(OvertakenError):
        await plant.usage.write(lambda tx: put(tx, first, first.rows))
    with pytest.raises(OvertakenError):
        await plant.usage.write(lambda tx: switch(tx, first))
    await plant.usage.write(lambda tx: put(tx, second, second.rows))
    await plant.usage.write(lambda tx: switch(tx, second))
    assert 2 == (await _window(plant)).gen


async def test_a_fold_of_what_was_known_earlier_takes_the_place_of_none_that_knew_more(plant: Plant) -> None:
    """Two nodes at one hour: the slower one has read it before the last event came."""
    await plant.all_meters()
    sent = events_of(20, seed=9, from_at=FROM, to_at=FROM + HOUR)
    for already in (0, 1):
        await plant.send(*sent[: 18 + already])
        folded = await asyncio.to_thread(fold_hour, plant.usage.place, PID, FROM)
        await plant.send(*sent[: 19 + already])
        await plant.fold()

        with pytest.raises(OvertakenError):
            await plant.folder._write(Generation(PID, TIER_HOUR, folded, plant.ids.next(NOW)))
        assert answers(sent[: 19 + already]) == plant.told(FROM, TO)
        assert 0 == await count(plant.usage, dirty_hours)


async def test_a_sealed_window_stays_as_it_is(plant: Plant) -> None:
    await plant.all_meters()
    sent = events_of(20, seed=10, from_at=FROM, to_at=FROM + HOUR)
    await plant.send(*sent[:-1])
    await plant.fold()
    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(windows).values(sealed_at=NOW)))
    await plant.send(sent[-1])
    await plant.fold()

    assert answers(sent[:-1]) == plant.told(FROM, TO)
    assert 0 == await count(plant.usage, dirty_hours)
    with pytest.raises(SealedError):
        await plant.usage.write(
            lambda tx: begin(tx, Generation(PID, TIER_HOUR, fold_hour(plant.usage.place, PID, FROM), 5))
        )


async def test_a_new_meter_knows_history(plant: Plant) -> None:
    sent = events_of(100, seed=11, from_at=FROM, to_at=TO)
    await plant.send(*sent)
    await plant.fold()
    assert {} == plant.told(FROM, TO)

    await plant.all_meters()
    seq = plant.ids.next(NOW)
    await plant.usage.write(lambda tx: mark_folded(tx, PID, from_at=FROM, to_at=TO, seq=seq))
    await plant.fold()

    assert answers(sent) == plant.told(FROM, TO)


async def test_a_version_counts_from_its_start_on(plant: Plant) -> None:
    sent = events_of(100, seed=12, from_at=FROM, to_at=TO)
    middle = FROM + timedelta(minutes=90)
    await plant.send(*sent)
    old = await plant.meter("count", COUNT)
    new = await plant.meter("count", COUNT, from_at=middle)
    await plant.fold()

    async with plant.usage.read() as read:
        query = sa.select(rollups.c.version_id, sa.func.sum(rollups.c.n)).group_by(rollups.c.version_id)
        counts: dict[int, int] = {version: int(n) for version, n in await read.execute(query)}
    api = [one for one in sent if one.type == "api"]
    assert {old: len(within(api, FROM, middle)), new: len(within(api, middle, TO))} == counts


async def test_what_a_meter_could_not_count_is_told(plant: Plant) -> None:
    await plant.all_meters()
    sent = events_of(100, seed=13, from_at=FROM, to_at=FROM + HOUR)
    await plant.send(*sent)
    await plant.fold()

    async with plant.usage.read() as read:
        query = sa.select(uncounted).where(uncounted.c.version_id == plant.meters["peak"])
        (row,) = await read.execute(query)
    api = [one for one in sent if one.type == "api"]
    assert len([one for one in api if not one.size]) == row.n_missing
    assert len([one for one in api if "e" in one.size]) == row.n_no_amount


async def test_an_hour_that_was_just_folded_rests(plant: Plant, clock: SimClock) -> None:
    sent = events_of(3, seed=14, from_at=FROM, to_at=FROM + HOUR)
    await plant.send(sent[0])
    assert 1 == await plant.folder.round()
    await plant.send(sent[1])
    assert 0 == await plant.folder.round()

    clock.move_to(NOW + timedelta(seconds=11))
    assert 1 == await plant.folder.round()


async def test_an_hour_that_cannot_be_folded_holds_up_no_other(plant: Plant, clock: SimClock) -> None:
    """The newest hour comes first; whatever is wrong with it must not be everybody's trouble."""
    await plant.all_meters()
    sent = events_of(40, seed=15, from_at=FROM, to_at=TO)
    await plant.send(*sent)
    damaged = sa.update(events).where(events.c.at >= TO - HOUR).values(properties='{"cut')
    await plant.usage.write(lambda tx: tx.conn.execute(damaged).rowcount)

    assert [2, 0] == [await plant.folder.round() for _ in range(2)]

    assert answers(within(sent, FROM, TO - HOUR)) == plant.told(FROM, TO)
    assert 1 == await count(plant.usage, dirty_hours)
    mended = sa.update(events).where(events.c.at >= TO - HOUR).values(properties="{}")
    await plant.usage.write(lambda tx: tx.conn.execute(mended).rowcount)
    clock.move_to(NOW + timedelta(seconds=61))
    assert 1 == await plant.folder.round()
    assert 0 == await count(plant.usage, dirty_hours)


async def test_a_day_that_cannot_be_folded_is_tried_ever_more_rarely_and_told_twice(
    plant: Plant, clock: SimClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = 0
    wrong = True

    async def fold_day(*_: Any) -> None:
        nonlocal tries
        tries += 1
        if wrong:
            raise StoreError("no room")

    day: dict[str, Any] = {
        "pid": PID,
        "tier": "day",
        "start_at": FROM,
        "end_at": TO,
        "n_events": 0,
        "ids_sum": bytes(16),
    }
    await plant.usage.write(lambda tx: tx.conn.execute(sa.insert(windows).values(day | {"stale": True, "gen": 1})))
    monkeypatch.setattr(plant.folder, "fold_day", fold_day)
    for _ in range(60):  # half an hour
        await plant.folder.round()
        clock.move_to(clock.now() + timedelta(seconds=30))

    assert (5, 1) == (tries, plant.folder.n_failing)
    wrong = False
    clock.move_to(clock.now() + timedelta(minutes=15))
    assert 1 == await plant.folder.round()
    assert (6, 0) == (tries, plant.folder.n_failing)
    told = [line for line in capsys.readouterr().err.splitlines() if '"level":"warning"' in line]
    assert ["no room" in told[0], '"recovered":true' in told[1], 2] == [True, True, len(told)]


@pytest.mark.spawned
async def test_a_process_beside_folds_the_same(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.usage.folder.LIGHT", 10)
    hands = Hands()
    plant.folder = Folder(plant.usage, plant.clock, plant.ids, hands=hands)
    await plant.all_meters()
    sent = events_of(100, seed=15, from_at=FROM, to_at=FROM + HOUR)
    await plant.send(*sent)
    try:
        await plant.fold()
    finally:
        hands.rest()

    assert answers(sent) == plant.told(FROM, TO)


async def test_a_part_of_an_hour_is_folded_of_its_events(plant: Plant) -> None:
    await plant.all_meters()
    sent = events_of(60, seed=16, from_at=FROM, to_at=FROM + HOUR)
    await plant.send(*sent)
    begin, end = FROM + HOUR / 6, FROM + HOUR / 2
    folded = await asyncio.to_thread(fold_day, plant.usage.place, PID, begin, end)

    assert len(within(sent, begin, end)) == folded.n_events


@pytest.mark.parametrize(
    ("after", "before"),
    [
        *((timedelta(microseconds=1), timedelta(0)), (timedelta(0), timedelta(microseconds=1))),
        *((timedelta(seconds=59), timedelta(minutes=59, seconds=1)), (2 * HOUR, timedelta(minutes=30))),
        *((HOUR, HOUR), (timedelta(minutes=50), 2 * HOUR)),
    ],
)
async def test_a_span_whose_edges_lie_anywhere_is_what_its_events_come_to(
    plant: Plant, after: timedelta, before: timedelta
) -> None:
    await plant.all_meters()
    sent = events_of(120, seed=17, from_at=FROM, to_at=TO)
    edges = [at for hour in (FROM + HOUR, FROM + 2 * HOUR) for at in (hour - timedelta(microseconds=1), hour)]
    sent += [replace(sent[0], number=500 + n, at=at) for n, at in enumerate([FROM, *edges])]
    await plant.send(*sent)
    await plant.fold()

    assert answers(within(sent, FROM + after, TO - before)) == plant.span(FROM + after, TO - before)


async def test_groups_are_kept_in_the_words_in_which_their_values_came(plant: Plant) -> None:
    keys = {"group_keys": ["endpoint", "user"]}
    await plant.meter("count", COUNT | keys)
    one = Sent(1, FROM, "c-1", "api", "GET:/größe", "1", 'u "1", ♥')
    await plant.send(one, replace(one, number=2, user=""), replace(one, number=3, endpoint=None))
    await plant.fold()

    groups = ['["GET:/größe","u \\"1\\", ♥"]', '["GET:/größe",""]', '[null,"u \\"1\\", ♥"]']
    assert {None: 3} | dict.fromkeys(groups, 1) == {group: n for (_, _, group), n in plant.told(FROM, TO).items()}
    async with plant.usage.read() as read:
        assert set(groups) == set((await read.execute(sa.select(usage_groups.c.texts))).scalars())


def computes(seconds: float) -> str:
    began = time.thread_time()
    while time.thread_time() < began + seconds:
        pass
    return "done"


def waits(seconds: float) -> str:
    threading.Event().wait(seconds)
    return "waited"


@pytest.mark.spawned
@pytest.mark.parametrize("beside", [True, False])
async def test_what_computing_takes_is_told_without_what_is_waited(*, beside: bool) -> None:
    hands = Hands(beside=beside)
    try:
        computed, idle = await asyncio.gather(hands.timed(computes, 0.1), hands.timed(waits, 0.3))
    finally:
        hands.rest()

    assert ("done", "waited") == (computed[0], idle[0])
    assert 0.1 <= computed[1] < 0.2
    assert idle[1] < 0.1


async def _window(plant: Plant) -> Any:
    async with plant.usage.read() as read:
        return (await read.execute(sa.select(windows))).one()
