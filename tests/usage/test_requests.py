"""What requests come to is what a loop over them finds, whatever came late, twice, in between, or was taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.amounts import Number
from heartfly.core.packed import unpacked
from heartfly.core.traffic import OTHER, Cube
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours, events, request_rollups, request_sheets, slow_requests, usage_names, windows
from heartfly.usage import request_fold
from heartfly.usage.corrections import Amended, amend, undo, void
from heartfly.usage.customers import create_customer
from heartfly.usage.dirty import mark_folded
from heartfly.usage.erasure import erase_customer
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.requests import Limits
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of
from tests.usage.request_oracle import Asked, Key, brute_force, requests_of, slow_of
from tests.world import SEALER

pytestmark = pytest.mark.anyio

FROM = NOW.replace(minute=0) - 3 * HOUR
TO = FROM + 3 * HOUR
MINUTE = timedelta(minutes=1)


async def ask(plant: Plant, *found: Asked) -> None:
    for start in range(0, len(found), 100):
        await plant.ingest.take(PID, [one.wire() for one in found[start : start + 100]], wire="native")


async def names(plant: Plant) -> dict[int, str]:
    async with plant.usage.read() as read:
        rows = await read.execute(sa.select(usage_names.c.id, usage_names.c.text))
        return {row.id: row.text for row in rows} | {OTHER: "(other)"}


async def kept(plant: Plant, tier: str, at: datetime) -> dict[Key, tuple[Any, ...]]:
    """The rows of one window as they count."""
    called, r = await names(plant), request_rollups
    whole = sa.and_(windows.c.pid == r.c.pid, windows.c.gen == r.c.gen)
    within = sa.and_(r.c.start_at >= windows.c.start_at, r.c.start_at < windows.c.end_at)
    of = windows.c.tier == ("day" if tier == "day" else "hour")
    query = sa.select(r).join(windows, sa.and_(whole, within, of)).where(r.c.tier == tier, r.c.start_at == at)
    found: dict[Key, tuple[Any, ...]] = {}
    async with plant.usage.read() as read:
        for row in await read.execute(query):
            cube = Cube(row.cube)
            customer = called[row.key1] if cube in {Cube.CUSTOMER, Cube.PAIR} else ""
            endpoint = {Cube.ENDPOINT: row.key1, Cube.PAIR: row.key2}.get(cube)
            place = (cube.name.lower(), customer, "" if endpoint is None else called[endpoint], row.status)
            found[place] = (
                *(row.n, row.n_timed, row.latency_us, row.latency_max_us, row.bytes_in, row.bytes_out),
                buckets(row.latencies),
            )
    return found


def buckets(blob: bytes | None) -> tuple[Any, ...]:
    if blob is None:
        return ()
    histogram = unpacked(blob)
    nothing = [(None, histogram.zero)] if histogram.zero else []
    return (*nothing, *sorted(histogram.above.items()))


async def rows(plant: Plant) -> list[tuple[Any, ...]]:
    """All that was folded of requests, by names, to the byte."""
    called, found = await names(plant), []
    async with plant.usage.read() as read:
        for row in await read.execute(sa.select(request_rollups)):
            one = row._asdict()
            keys = tuple(called.get(one.pop(name), "") for name in ("key1", "key2"))
            del one["gen"]
            found.append((*keys, *one.values()))
        for row in await read.execute(sa.select(slow_requests)):
            one = row._asdict()
            keys = tuple(called[one.pop(name)] for name in ("endpoint_id", "subject_id"))
            del one["gen"], one["event_id"]
            found.append((*keys, *one.values()))
    return sorted(found, key=repr)


def within(found: list[Asked], from_at: datetime, to_at: datetime) -> list[Asked]:
    return [one for one in found if from_at <= one.at < to_at]


async def assert_right(plant: Plant, found: list[Asked]) -> None:
    for hour in (FROM, FROM + HOUR, FROM + 2 * HOUR):
        assert brute_force(within(found, hour, hour + HOUR)) == await kept(plant, "hour", hour)
    for n in range(0, 180, 7):
        minute = FROM + n * MINUTE
        expected = brute_force(within(found, minute, minute + MINUTE))
        totals = {key: figures for key, figures in expected.items() if key[0] == "total"}
        assert totals == await kept(plant, "minute", minute)


@pytest.mark.parametrize("with_meters", [False, True])
async def test_hours_and_minutes_equal_what_brute_force_finds(plant: Plant, *, with_meters: bool) -> None:
    if with_meters:
        await plant.all_meters()
    found = requests_of(400, seed=1, from_at=FROM, to_at=TO)
    await plant.send(*events_of(30, seed=1, from_at=FROM, to_at=TO))
    await ask(plant, *[one for one in found if one.number >= 30])
    await plant.fold()

    await assert_right(plant, [one for one in found if one.number >= 30])


async def test_a_time_of_two_lines_is_no_time_and_its_hour_is_folded(plant: Plant) -> None:
    base = (("method", "GET"), ("route", "/a"), ("status", "200"))
    texts = ["5", "7.25", "5\n6", "1\n2\n3"]
    found = [Asked(n, FROM + n * MINUTE, "c-1", (*base, ("latency_ms", text))) for n, text in enumerate(texts)]
    await plant.ingest.take(PID, [one.wire() | {"properties": one.told} for one in found], wire="native")
    await plant.fold()

    assert 0 == plant.folder.n_failing
    assert brute_force(found) == await kept(plant, "hour", FROM)


async def test_a_day_is_its_hours_and_what_its_zone_cuts_off(plant: Plant) -> None:
    found = requests_of(300, seed=2, from_at=FROM, to_at=TO)
    await ask(plant, *found)
    await plant.fold()
    half = timedelta(minutes=30)
    await plant.folder.fold_day(PID, FROM, TO)
    assert brute_force(found) == await kept(plant, "day", FROM)

    await plant.folder.fold_day(PID, FROM + half, TO - half)
    assert brute_force(within(found, FROM + half, TO - half)) == await kept(plant, "day", FROM + half)


async def test_the_order_in_which_requests_came_is_not_to_be_seen(usage_db: Database, plant: Plant) -> None:
    found = requests_of(240, seed=3, from_at=FROM, to_at=TO)
    await ask(plant, *found)
    await plant.fold()
    before = await rows(plant)
    for table in reversed(usage_db_tables()):
        await usage_db.write(lambda tx, table=table: tx.conn.execute(sa.delete(table)))  # type: ignore[misc]
    plant = Plant(usage_db, plant.clock, plant.ids)

    for some in (found[170:], found[40:170][::-1], found[:90], found):
        await ask(plant, *some)
        await plant.fold()

    assert before == await rows(plant)


def usage_db_tables() -> list[sa.Table]:
    from heartfly.db.models import usage_metadata  # noqa: PLC0415 - of this test alone

    return list(usage_metadata.sorted_tables)


async def test_folding_again_makes_the_same_rows_and_leaves_no_others(plant: Plant, ids: IdSource) -> None:
    await ask(plant, *requests_of(200, seed=4, from_at=FROM, to_at=TO))
    await plant.fold()
    before = await rows(plant)

    seq = ids.next(NOW)
    await plant.usage.write(lambda tx: mark_folded(tx, PID, from_at=None, to_at=None, seq=seq))
    await plant.fold()

    assert before == await rows(plant)
    async with plant.usage.read() as read:
        counts = set((await read.execute(sa.select(windows.c.gen))).scalars())
        for table in (request_rollups, request_sheets, slow_requests):
            assert set((await read.execute(sa.select(table.c.gen))).scalars()) <= counts
        assert [] == (await read.execute(sa.select(dirty_hours))).all()


async def test_a_request_that_comes_late_is_in_the_rows(plant: Plant) -> None:
    found = requests_of(90, seed=5, from_at=FROM, to_at=TO)
    await ask(plant, *found[:-9])
    await plant.fold()
    await ask(plant, *found)
    await plant.fold()

    await assert_right(plant, found)


async def test_the_slowest_are_kept_of_all_and_of_each_endpoint(plant: Plant) -> None:
    found = requests_of(900, seed=6, from_at=FROM, to_at=FROM + HOUR)
    rare = Asked(
        9_001, FROM, "c-0", (("method", "GET"), ("route", "/rare"), ("latency_ms", "1000"), ("request_id", "x"))
    )
    await ask(plant, *found, rare)
    await plant.fold()
    expected = slow_of([*found, rare])
    assert "x" == expected[-1]
    assert 100 < len(expected)

    async with plant.usage.read() as read:
        s = slow_requests.c
        told = await read.execute(sa.select(s.request_id, s.latency_us).order_by(s.latency_us.desc(), s.at))
        seen = [row.request_id for row in told]
    assert sorted(expected) == sorted(seen)


async def test_endpoints_that_are_too_many_are_together(usage_db: Database, clock: SimClock, ids: IdSource) -> None:
    plant = Plant(usage_db, clock, ids)
    plant.folder = Folder(usage_db, clock, ids, hands=Hands(beside=False), limits=Limits(endpoints=2))
    base = (("method", "GET"), ("status", "200"), ("latency_ms", "1500"))
    found = [
        Asked(n, FROM + n * MINUTE, "c-1", (*base, ("route", route), ("request_id", str(n))))
        for n, route in enumerate(["/z", "/z", "/z", "/b", "/b", "/a", "/c"])
    ]
    await ask(plant, *found)
    await plant.fold()
    named = {"GET /z", "GET /b"}

    def name(told: dict[str, str]) -> str:
        of = f"GET {told['route']}"
        return of if of in named else "(other)"

    assert brute_force(found, name) == await kept(plant, "hour", FROM)
    late = Asked(50, FROM + HOUR, "c-1", (*base, ("route", "/aa"), ("request_id", "50")))
    await ask(plant, late)
    await plant.fold()
    assert brute_force([late], name) == await kept(plant, "hour", FROM + HOUR)
    assert named == {text for text in (await names(plant)).values() if text.startswith("GET")}
    assert 1 == plant.folder.n_over


async def test_of_endless_endpoints_those_are_held_that_come_first_by_the_alphabet(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_fold, "_MOST_UNNAMED", 20)
    found = [
        Asked(n, FROM + n * timedelta(seconds=1), "c-1", (("method", "GET"), ("route", f"/{n * 7919 % 997:03d}")))
        for n in range(300)
    ]
    first = sorted({f"GET {one.told['route']}" for one in found})[:20]

    def name(told: dict[str, str]) -> str:
        of = f"GET {told['route']}"
        return of if of in first else "(other)"

    for one in range(0, 300, 30):  # many small pages of one fold
        await ask(plant, *found[one : one + 30])
    await plant.fold()

    assert brute_force(found, name) == await kept(plant, "hour", FROM)


async def test_what_is_voided_amended_and_put_back_is_counted_so(plant: Plant) -> None:
    found = requests_of(60, seed=7, from_at=FROM, to_at=TO)
    await ask(plant, *found)
    await plant.fold()
    wrong, other, amended = found[4], found[9], found[12]
    ann = Actor("user:ann@example.com")

    def void_two(tx: Tx) -> None:
        for one in (wrong, other):
            void(tx, PID, one.name, reason="a crawler", actor=ann, at=NOW, ids=plant.ids)

    def change(tx: Tx) -> None:
        new = Amended({"properties": {"method": "PUT", "route": "/new", "status": Number("204")}})
        oldest = NOW - timedelta(days=400)
        amend(tx, PID, amended.name, new, reason="a test", oldest=oldest, actor=ann, at=NOW, ids=plant.ids)

    await plant.usage.write(void_two)
    await plant.usage.write(change)
    await plant.usage.write(lambda tx: undo(tx, PID, other.name, actor=ann, at=NOW, ids=plant.ids))
    await plant.fold()

    told = (("method", "PUT"), ("route", "/new"), ("status", "204"))
    now = [replace(one, properties=told) if one is amended else one for one in found if one is not wrong]
    await assert_right(plant, now)


async def test_slow_requests_of_an_erased_customer_go_also_where_events_are_gone(db: Database, plant: Plant) -> None:
    slow = (("method", "GET"), ("route", "/a"), ("path", "/a/ada"), ("latency_ms", "2000"), ("request_id", "x"))
    await ask(plant, Asked(1, FROM, "ada", slow), Asked(2, FROM, "grace", slow))
    await plant.fold()
    actor = Actor("user:ann@example.com")
    uuid, _ = await plant.usage.write(
        lambda tx: create_customer(tx, PID, name="Ada", wanted=["ada"], actor=actor, at=NOW, ids=plant.ids)
    )
    await plant.usage.write(lambda tx: tx.conn.execute(sa.delete(events)))

    await erase_customer(plant.usage, db, PID, uuid, rev=None, actor=actor, at=NOW, ids=plant.ids, sealer=SEALER)

    async with plant.usage.read() as read:
        left = (await read.execute(sa.select(slow_requests.c.subject_id))).scalars()
        assert ["grace"] == [(await names(plant))[number] for number in left]
