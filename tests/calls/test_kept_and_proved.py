"""Rows of calls are the same to the byte, are proved each day by other code, end with their tier, and are capped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.calls.asked import OTHERS
from heartfly.calls.figures import figures
from heartfly.core.calls import Cube, Dimension
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import call_rollups, dirty_hours, windows
from heartfly.usage.close_day import Closed, Closer
from heartfly.usage.compare import compare
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.reconcile import reconcile
from heartfly.usage.request_tiers import Kept, remove_old_tiers
from heartfly.usage.requests import Limits
from tests.calls.bill import DAY, HOUR, Bill, by_key, expected, make_bill
from tests.calls.oracle import TARIFFS, Call, brute_force, calls_of
from tests.usage.factory import NOW, PID, shuffled

pytestmark = pytest.mark.anyio

OF = date(2026, 11, 27)
FROM = datetime(2026, 11, 27, tzinfo=UTC)
TO = FROM + DAY
D = Dimension


@pytest.fixture
async def bill(usage_db: Database, ids: IdSource) -> Bill:
    made = make_bill(usage_db, ids)
    await made.price(*TARIFFS)
    return made


async def close(bill: Bill) -> Closed:
    return await Closer(bill.usage, bill.folder, bill.clock, bill.ids).close(PID, OF, ZoneInfo("UTC"))


async def test_in_whatever_order_they_come_and_are_paged_the_rows_are_the_same(
    bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = calls_of(200, seed=31, from_at=FROM, to_at=FROM + 2 * HOUR)
    await bill.call(*calls)
    await bill.fold()
    before = await bill.call_rows()

    monkeypatch.setattr("heartfly.db.snapshots.PAGE", 7)
    for hour in (FROM, FROM + HOUR):
        await bill.usage.write(
            lambda tx, hour=hour: tx.conn.execute(  # type: ignore[misc]
                sa.insert(dirty_hours).values(pid=PID, hour=hour, seq=bill.ids.next(NOW))
            )
        )
    await bill.fold()
    assert before == await bill.call_rows()


async def test_a_call_that_is_sent_again_counts_once(bill: Bill) -> None:
    """A repeated request id is no error, and no second call."""
    calls = calls_of(20, seed=32, from_at=FROM, to_at=FROM + HOUR)
    await bill.call(*calls)
    await bill.fold()
    before = await bill.call_rows()
    for again in shuffled(calls, 1):  # type: ignore[arg-type]
        await bill.call(again)  # type: ignore[arg-type]
    await bill.fold()
    assert before == await bill.call_rows()


async def test_the_day_is_proved(bill: Bill) -> None:
    await bill.call(*calls_of(150, seed=33, from_at=FROM, to_at=TO))
    closed = await close(bill)
    assert ("final", "") == (closed.state, closed.mismatch)


async def test_a_row_that_was_tampered_with_is_told(bill: Bill) -> None:
    await bill.call(*(call.but(status="500") for call in calls_of(10, seed=34, from_at=FROM, to_at=FROM + HOUR)))
    await close(bill)
    r = call_rollups.c
    changes: dict[str, Any] = {
        "n": r.n + 1,
        "n_errors": r.n_errors + 1,
        "n_unpriced": r.n_unpriced + 1,
        "latency_us": r.latency_us + 1,
        "amounts": sa.func.replace(sa.func.replace(r.amounts, "1", "2"), "3", "4"),
    }
    for cube in Cube:
        of_cube = (r.tier == "day", r.cube == int(cube))
        async with bill.usage.read() as read:
            before = [row._asdict() for row in await read.execute(sa.select(call_rollups).where(*of_cube))]
        for name, value in changes.items():
            await bill.usage.write(
                lambda tx, of=of_cube, to={name: value}: tx.conn.execute(  # type: ignore[misc]
                    sa.update(call_rollups).where(*of).values(to)
                )
            )
            told = reconcile(bill.usage.place, PID, FROM, TO).mismatches
            assert any(text.startswith("calls ") for text in told), (cube, name)

            def put_back(tx: Tx, of: Any = of_cube, rows: Any = before) -> None:
                tx.conn.execute(sa.delete(call_rollups).where(*of))
                tx.conn.execute(sa.insert(call_rollups), rows)

            await bill.usage.write(put_back)
    assert [] == reconcile(bill.usage.place, PID, FROM, TO).mismatches


async def test_what_stands_is_compared_with_what_events_come_to(bill: Bill) -> None:
    await bill.call(*calls_of(60, seed=38, from_at=FROM, to_at=FROM + 3 * HOUR))
    await close(bill)
    assert [] == compare(bill.usage.place, PID, FROM, TO).differences
    r = call_rollups.c
    of_hour = (r.tier == "hour", r.cube == int(Cube.CUSTOMER), r.start_at == FROM)
    await bill.usage.write(lambda tx: tx.conn.execute(sa.update(call_rollups).where(*of_hour).values(n=r.n + 1)))
    found = compare(bill.usage.place, PID, FROM, FROM + HOUR).differences
    assert {"api.call"} == {one.meter for one in found}
    assert {"hour"} <= {one.tier for one in found}


async def test_minutes_and_hours_go_and_days_stay_and_are_made_anew(bill: Bill) -> None:
    calls = calls_of(60, seed=35, from_at=FROM, to_at=FROM + 4 * HOUR)
    await bill.call(*calls)
    assert "final" == (await close(bill)).state
    day = [row for row in await bill.call_rows() if row[2] == "day"]

    async def fence() -> None:
        return None

    kept = Kept(minutes=2 * DAY, hours=90 * DAY)
    await remove_old_tiers(bill.usage, PID, kept=kept, now=TO + 2 * DAY, fence=fence)
    assert {"hour", "day"} == {row[2] for row in await bill.call_rows()}
    await remove_old_tiers(bill.usage, PID, kept=kept, now=TO + 90 * DAY, fence=fence)
    assert day == await bill.call_rows()

    late = calls_of(61, seed=35, from_at=FROM, to_at=FROM + 4 * HOUR)[-1]
    await bill.call(late)
    assert "amended" == (await close(bill)).state
    lines = await bill.ask(figures, FROM, TO, by=[D.MODEL], now=NOW)
    wanted = brute_force([*calls, late], TARIFFS, ["model"], FROM, TO)
    assert {key: expected(sums) for key, sums in wanted.items()} == by_key(lines, [D.MODEL])


async def test_the_version_of_prices_stands_with_each_window(bill: Bill) -> None:
    await bill.call(*calls_of(5, seed=36, from_at=FROM, to_at=FROM + HOUR))
    await bill.fold()
    query = sa.select(windows.c.prices).where(windows.c.tier == "hour")
    async with bill.usage.read() as read:
        before = (await read.execute(query)).scalars().all()
    await bill.price(*TARIFFS[:2])
    await bill.fold()
    async with bill.usage.read() as read:
        after = (await read.execute(query)).scalars().all()
    assert (1, 1) == (len(set(before)), len(set(after)))
    assert None not in before
    assert before != after


async def test_too_many_names_are_one_row_and_are_told(usage_db: Database, ids: IdSource) -> None:
    bill = make_bill(usage_db, ids)
    bill.folder = Folder(usage_db, bill.clock, ids, hands=Hands(beside=False), limits=Limits(call_names=3))
    told = {"provider": "p", "status": "200"}
    calls = [
        Call(
            number=n,
            at=FROM + n * timedelta(seconds=1),
            subject="c",
            told={**told, "model": f"m-{n % 7 % (1 + n // 7)}"},
        )
        for n in range(60)
    ]
    await bill.call(*calls)
    await bill.fold()
    lines = await bill.ask(figures, FROM, FROM + HOUR, by=[D.MODEL], now=NOW)
    assert 60 == sum(line.n for line in lines)
    assert 4 == len(lines)
    assert OTHERS in {line.key[D.MODEL] for line in lines}
    assert 1 == bill.folder.n_calls_over
    (hidden,) = [f"m-{n}" for n in range(7) if f"m-{n}" == "m-6"]
    found = await bill.ask(figures, FROM, FROM + HOUR, by=[], filters={D.MODEL: [hidden]}, now=NOW)
    wanted = sum(call.told["model"] == hidden for call in calls)
    assert wanted == sum(line.n for line in found)


async def test_nested_units_are_those_with_a_dot(bill: Bill) -> None:
    flat = calls_of(1, seed=37, from_at=FROM, to_at=FROM + HOUR)[0]
    one = replace(flat, told={"provider": "openai", "model": "gpt", "units.input_tokens": "5", "units.images": "1"})
    two = replace(
        one, number=2, told={"provider": "OpenAI", "model": "gpt", "units": {"input_tokens": "5", "images": "1"}}
    )
    await bill.call(one, two)
    await bill.fold()
    (line,) = await bill.ask(figures, FROM, TO, by=[D.PROVIDER], now=NOW)
    assert (2, 0, {"images": 2, "input_tokens": 10, "requests": 2}) == (
        line.n,
        line.n_unpriced,
        {kind: amount // 10**18 for kind, amount in sorted(line.units.items())},
    )
