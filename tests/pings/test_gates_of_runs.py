"""Gates that ask history: what is usual, what was covered. Pings in, status and alerts out, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from heartfly.core.gate_text import gate_of_text
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import incidents
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

MONDAY = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)
USUAL = "events within 40% of median(same weekday, 4 weeks)"


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, MONDAY - DAY)


def gates(*lines: str) -> str:
    return msgspec.json.encode([gate_of_text(line, field="gate") for line in lines]).decode()


async def gated(world: World, *lines: str) -> Any:
    return await world.check(MONDAY - DAY, every=DAY, grace=2 * DAY, gates=gates(*lines))


async def outcomes(world: World, check: Any) -> list[str]:
    return [run.outcome for run in await world.runs(check)]


async def said(world: World) -> list[str]:
    async with world.db.read() as read:
        return [row.explain for row in await read.execute(sa.select(incidents).order_by(incidents.c.id))]


@contextmanager
def asked(db: Database) -> Iterator[list[str]]:
    """What is asked of history meanwhile."""
    found: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("SELECT") and ("FROM run_metrics" in statement or "FROM runs" in statement):
            found.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


async def test_a_day_unlike_the_same_weekdays_is_an_alarm_with_both_figures(world: World) -> None:
    check = await gated(world, USUAL)
    for n in range(28):
        count = 500 if n % 7 == 0 else 1204
        await world.ping(check, MONDAY + n * DAY, body=b"events=%d" % count)
    await world.ping(check, MONDAY + 28 * DAY, body=b"events=510")
    await world.ping(check, MONDAY + 29 * DAY, body=b"events=510")
    await world.ping(check, MONDAY + 30 * DAY, body=b"events=1200")

    assert [*["ok"] * 29, "failed", "ok"] == await outcomes(world, check)
    why = "events is 510, expected within 40% of 1,204 (median of 4 Tuesdays)"
    assert [f"The job reported success, but {why}."] == await said(world)


async def test_days_that_went_badly_are_no_measure(world: World) -> None:
    check = await gated(world, "errors == 0 warn", USUAL)
    for n in range(13):
        odd = n % 2
        await world.ping(check, MONDAY + n * DAY, body=b"events=%d errors=%d" % (9_000 if odd else 1_000, odd))
    await world.ping(check, MONDAY + 13 * DAY, body=b"events=9000 errors=0")

    # Of the days before the thirteenth six were degraded: only by then seven are known.
    assert [*["ok", "degraded"] * 6, "ok", "failed"] == await outcomes(world, check)


async def test_runs_of_one_batch_are_compared_with_those_before_them(world: World) -> None:
    check = await gated(world, "events within 10% of median(last 7 runs)")
    minutes = [MONDAY + timedelta(minutes=n) for n in range(9)]
    await world.pings([world.request(check, at, body=b"events=100") for at in minutes[:8]])
    bodies = (b"events=100", b"events=200")
    await world.pings(
        [world.request(check, at + timedelta(hours=1), body=bodies[n == 8]) for n, at in enumerate(minutes)]
    )

    assert [*["ok"] * 16, "failed"] == await outcomes(world, check)


async def test_the_duration_of_a_run_is_judged_from_its_start(world: World) -> None:
    check = await gated(world, "duration < 15m")
    for n, minutes in enumerate((14, 15)):
        await world.ping(check, MONDAY + n * DAY, PingKind.START)
        await world.ping(check, MONDAY + n * DAY + timedelta(minutes=minutes))

    assert ["ok", "failed"] == await outcomes(world, check)
    assert ["The job reported success, but duration is 15m, expected < 15m."] == await said(world)


async def test_a_gap_stays_until_a_late_run_fills_it(world: World) -> None:
    check = await gated(world, "coverage unbroken")
    days = [MONDAY.replace(hour=0, minute=0) + n * DAY for n in range(6)]

    async def covers(n: int, at: datetime) -> str:
        body = f"from={days[n].isoformat()} to={days[n + 1].isoformat()}".encode()
        await world.ping(check, at, body=body)
        return str((await world.row(check)).status)

    told = [await covers(n, MONDAY + when * DAY) for n, when in ((0, 1), (2, 3), (3, 4), (1, 5), (4, 6))]

    assert ["up", "down", "down", "up", "up"] == told
    gap = "coverage has a gap: 2026-03-03 00:00 to 2026-03-04 00:00 UTC is missing, expected it unbroken"
    assert [f"The job reported success, but {gap}."] == await said(world)
    assert [(days[n], days[n + 1]) for n in (0, 2, 3, 1, 4)] == [
        (run.covers_from, run.covers_to) for run in await world.runs(check)
    ]


async def test_what_a_run_that_failed_covered_does_not_count(world: World) -> None:
    check = await gated(world, "rows > 0", "coverage unbroken warn")
    body = b"from=2026-03-01T00:00:00Z to=2026-03-02T00:00:00Z rows=%d"
    await world.ping(check, MONDAY, PingKind.FAIL, body=body % 5)
    await world.ping(check, MONDAY + DAY, body=body % 0)
    await world.ping(check, MONDAY + 2 * DAY, body=b"from=2026-03-01T00:00:00Z to=2027-03-02T00:00:00Z rows=5")
    await world.ping(check, MONDAY + 3 * DAY, body=body % 5)

    assert [False, False, False, True] == [run.covers_to is not None for run in await world.runs(check)]
    assert ["failed", "failed", "degraded", "ok"] == await outcomes(world, check)


async def test_only_gates_that_ask_history_cost_its_reading(world: World) -> None:
    plain = await gated(world, "rows > 0", "bad / rows < 1%", "duration < 15m warn")
    usual, covers = (
        await gated(world, USUAL, "rows within 5% of median(4 weeks)"),
        await gated(world, "coverage unbroken"),
    )
    body = b"rows=1 bad=0 events=1 from=2026-03-01T00:00:00Z to=2026-03-02T00:00:00Z"
    counts = []
    for check in (plain, usual, covers):
        await world.ping(check, MONDAY, body=body)
        with asked(world.db) as found:
            await world.ping(check, MONDAY + DAY, body=body)
            await world.ping(check, MONDAY + DAY, PingKind.FAIL, body=body)
        counts.append(len(found))

    assert [0, 2, 1] == counts
