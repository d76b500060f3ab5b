"""What a closed day tells of itself, and whatever was changed in its rollups: found, and named as people know it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import proofs, rollups, unique_values, usage_names, windows
from heartfly.usage.close_day import Closed, Closer
from heartfly.usage.reconcile import reconcile
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, PID, Plant, events_of
from tests.usage.oracle import Sent, answers

pytestmark = pytest.mark.anyio

DAY = date(2026, 11, 27)
FROM = datetime(2026, 11, 27, tzinfo=UTC)
TO = FROM + 24 * HOUR


async def close(plant: Plant) -> Closed:
    closer = Closer(plant.usage, plant.folder, plant.clock, plant.ids)
    return await closer.close(plant.pid, DAY, ZoneInfo("UTC"))


async def closed_day(plant: Plant) -> list[Sent]:
    async def make() -> list[Sent]:
        await plant.all_meters()
        sent = events_of(100, seed=51, from_at=FROM, to_at=TO)
        await plant.send(*sent)
        assert "final" == (await close(plant)).state
        return sent

    return await plant.once(__name__, make)


def found(plant: Plant) -> list[str]:
    return reconcile(plant.usage.place, plant.pid, FROM, TO).mismatches


async def change(plant: Plant, *where: Any, **values: Any) -> int:
    return await plant.usage.write(lambda tx: tx.conn.execute(sa.update(rollups).where(*where).values(values)).rowcount)


async def test_what_meters_could_not_count_is_told_of_the_day_and_of_each_meter(plant: Plant) -> None:
    sent = await closed_day(plant)
    api = [one for one in sent if one.type == "api"]
    sized = [one for one in sent if one.type in {"api", "job"}]
    huge = [one for one in sized if one.size.startswith("999")]  # times three it is more than an amount may be
    no_amount = [one for one in sized if "e" in one.size]
    missing = [one for one in sized if not one.size]

    closed = reconcile(plant.usage.place, PID, FROM, TO)
    expected = {
        "sum": [len(missing), len(no_amount) + len(huge)],
        "peak": [len([one for one in some if one in api]) for some in (missing, no_amount)],
    }
    expected["latest"] = expected["peak"]
    assert {plant.meter_ids[name]: counts for name, counts in expected.items()} == closed.uncounted
    assert len(missing) + len(no_amount) + len(huge) == closed.n_uncounted
    assert len({one.subject for one in sent}) == closed.n_subjects
    async with plant.usage.read() as read:
        kept = {row.meter_id: [row.n_missing, row.n_no_amount] for row in await read.execute(sa.select(proofs))}
    assert {plant.meter_ids[name]: expected.get(name, [0, 0]) for name in plant.meters} == kept


@pytest.mark.parametrize("cube", [0, 1])
@pytest.mark.parametrize(("column", "value"), [("n", 77), ("sum", 5), ("min", -(10**30)), ("max", 10**30)])
async def test_whatever_was_changed_in_a_day_is_named_by_meter_and_customer(
    plant: Plant, cube: int, column: str, value: int
) -> None:
    await closed_day(plant)
    r = rollups.c
    async with plant.usage.read() as read:
        of_c1 = sa.select(usage_names.c.id).where(usage_names.c.text == "c-1", usage_names.c.kind == "subject")
        subject = (await read.execute(of_c1)).scalar_one()
    of_day = (r.tier == "day", r.version_id == plant.meters["sum"], r.cube == cube, r.subject_id == subject)
    assert 1 <= await change(plant, *of_day, **{column: value})

    told = found(plant)
    groups = [text for text in told if "(by the whole)" in text and "(in its groups)" in text]
    events = [text for text in told if "(by its events)" in text and "(in the rollup)" in text]
    assert (1, 1 - cube) == (len(groups), len(events))
    assert all(text.startswith("meter sum, customer c-1, the day: expected ") for text in told if "hour" not in text)


async def test_a_value_that_is_gone_is_named_by_meter_and_customer(plant: Plant) -> None:
    sent = await closed_day(plant)
    users = {one.user for one in sent if (one.type, one.subject) == ("api", "c-1")}
    u = unique_values.c
    of_c1 = sa.select(usage_names.c.id).where(usage_names.c.text == "c-1", usage_names.c.kind == "subject")
    async with plant.usage.read() as read:
        values = (await read.execute(sa.select(u.value).where(u.subject_id == of_c1.scalar_subquery()))).scalars()
        gone = min(values)
    deleted = sa.delete(unique_values).where(u.subject_id == of_c1.scalar_subquery(), u.value == gone)
    assert 1 <= await plant.usage.write(lambda tx: tx.conn.execute(deleted).rowcount)

    expected = f"expected {len(users)} different values, seen {len(users) - 1}"
    assert [f"meter users, customer c-1, the day: {expected}"] == found(plant)


def counts(told: list[str], words: str) -> list[tuple[int, int]]:
    """What was expected of each customer, and what was seen, where all is told in these words."""
    matches = [re.fullmatch(rf"meter count, customer c-\d, {words}", text) for text in told]
    assert None not in matches, told
    return [(int(match[1]), int(match[2])) for match in matches if match is not None]


async def test_of_an_hour_that_was_changed_the_hour_is_named_and_no_other(plant: Plant) -> None:
    await closed_day(plant)
    hour = FROM + 9 * HOUR
    r = rollups.c
    of_hour = (r.tier == "hour", r.version_id == plant.meters["count"], r.cube == 0, r.start_at == hour)
    n = await change(plant, *of_hour, n=r.n + 3)

    told = found(plant)
    assert 0 < n == len(told)
    figures = r"expected (\d+) events? \(by its events\), seen (\d+) events? \(in the rollup\)"
    assert {3} == {seen - expected for expected, seen in counts(told, f"the hour from 2026-11-27 09:00 UTC: {figures}")}


async def test_figures_of_an_instant_at_which_no_hour_begins_are_found(plant: Plant) -> None:
    await closed_day(plant)
    hour = FROM + 9 * HOUR
    r = rollups.c

    def copied(tx: Tx) -> int:
        """A whole hour once more, from half past on."""
        for table, only in ((windows, ()), (rollups, (r.version_id == plant.meters["count"], r.cube == 0))):
            of_hour = sa.select(table).where(table.c.tier == "hour", table.c.start_at == hour, *only)
            rows = [row._asdict() | {"start_at": hour + HOUR / 2} for row in tx.conn.execute(of_hour)]
            tx.conn.execute(sa.insert(table), rows)
        return len(rows)

    n = await plant.usage.write(copied)
    told = found(plant)
    assert 0 < n == len(told)
    words = r"the day: expected (\d+) events? \(by the day\), seen (\d+) events? \(in its hours\)"
    assert all(expected < seen for expected, seen in counts(told, words))


async def test_a_days_fingerprint_is_of_its_events_and_of_its_rows_in_the_order_of_their_keys(plant: Plant) -> None:
    """It is kept for years: were it made otherwise, each day would seem to have changed."""
    sent = await closed_day(plant)
    ids = sum(int(hashlib.blake2b(one.name.encode(), digest_size=16).hexdigest(), 16) for one in sent) % 2**128
    expected = hashlib.blake2b(ids.to_bytes(16, "big") + len(sent).to_bytes(8, "big"), digest_size=16)
    key = ("version_id", "cube", "subject_id", "group_id")
    facts = ("n", "sum", "min", "max", "latest", "latest_at", "latest_id", "histogram")
    rows = sa.select(*(rollups.c[name] for name in key + facts)).where(rollups.c.tier == "day")
    async with plant.usage.read() as read:
        for row in await read.execute(rows.order_by(*(rollups.c[name] for name in key))):
            expected.update(repr(tuple(row)).encode())

    assert expected.digest() == reconcile(plant.usage.place, PID, FROM, TO).fingerprint


async def test_a_day_within_an_hour_of_which_a_meter_was_changed_agrees(plant: Plant) -> None:
    await plant.all_meters()
    edge = FROM + timedelta(hours=10, minutes=40)
    of_count = {"event_types": ["job"], "aggregation": "count"}
    former = plant.meters["count"]
    await plant.meter("count", of_count, from_at=edge)
    sent = events_of(300, seed=55, from_at=FROM, to_at=TO)
    at_edge = [edge - timedelta(microseconds=1), edge]
    sent += [
        replace(sent[0], number=500 + n, type=type_, at=at)
        for n, (type_, at) in enumerate((type_, at) for type_ in ("api", "job") for at in at_edge)
    ]
    await plant.send(*sent)

    closed = await close(plant)
    assert ("final", "") == (closed.state, closed.mismatch)
    r = rollups.c
    n_of = sa.select(r.version_id, sa.func.sum(r.n)).where(r.tier == "day", r.cube == 0).group_by(r.version_id)
    async with plant.usage.read() as read:
        counts = {version: int(n) for version, n in await read.execute(n_of)}
    assert sum(one.type == "api" and one.at < edge for one in sent) == counts[former]
    assert sum(one.type == "job" and one.at >= edge for one in sent) == counts[plant.meters["count"]]


async def test_a_day_that_was_not_folded_says_so_and_one_whose_hours_wait_is_not_compared(plant: Plant) -> None:
    sent = await closed_day(plant)

    not_folded = reconcile(plant.usage.place, PID, FROM - 24 * HOUR, FROM)
    assert ["the day is not folded"] == not_folded.mismatches
    assert b"" == not_folded.fingerprint
    for n, at in enumerate([TO - timedelta(microseconds=1), FROM, FROM - timedelta(microseconds=1), TO]):
        await plant.send(replace(sent[0], number=900 + n, at=at))
        late = reconcile(plant.usage.place, PID, FROM, TO)
        assert (min(n + 1, 2), []) == (late.dirty, late.mismatches)


@pytest.mark.parametrize("pid", [PID - 1, PID + 1])
async def test_what_another_project_uses_is_in_no_figure_and_holds_up_no_day(
    plant: Plant, clock: SimClock, ids: IdSource, pid: int
) -> None:
    """Of the same hours, with the same meters and customers, and a correction that waits."""
    other = Plant(plant.usage, clock, ids, pid=pid)
    for one, seed in ((other, 52), (other, 54), (plant, 53)):
        if not one.meters:
            await one.all_meters()
        await one.send(*[replace(each, number=1_000 * seed + each.number) for each in _day_of(seed)])
        if seed == 52:
            await close(one)
    folder = plant.folder
    for hour in await folder.dirty_within(PID, FROM, TO):
        await folder.fold_hour(PID, hour)

    assert answers(_day_of(53)) == plant.told(FROM, TO)
    assert answers(_day_of(52)) == other.told(FROM, TO)
    assert reconcile(plant.usage.place, other.pid, FROM, TO).dirty > 0
    assert 0 == reconcile(plant.usage.place, PID, FROM, TO).dirty
    closed = await close(plant)
    assert ("final", "", 40) == (closed.state, closed.mismatch, closed.figures["events_raw"])
    assert "amended" == (await close(other)).state
    assert "final" == (await close(plant)).state


def _day_of(seed: int) -> list[Sent]:
    return events_of(40, seed=seed, from_at=FROM, to_at=TO)
