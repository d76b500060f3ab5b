"""What calls cost is ranked with shares and the time before, told over time and ahead; what has no price is listed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.calls.asked import Asked
from heartfly.calls.figures import answer
from heartfly.calls.forecasts import Period, cost_forecast, period_at
from heartfly.calls.recent import recent_calls
from heartfly.calls.report import Order, costs
from heartfly.calls.series import series
from heartfly.calls.unpriced import unpriced
from heartfly.core.calls import Dimension
from heartfly.core.money import money_text
from heartfly.core.windows import Size, Window
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import InvalidValueError
from tests.calls.bill import DAY, HOUR, Bill, make_bill
from tests.calls.oracle import TARIFFS, Call, Tariff, brute_force, calls_of
from tests.usage.factory import NOW

pytestmark = pytest.mark.anyio

D = Dimension
ZONE = ZoneInfo("UTC")
FROM = datetime(2026, 11, 26, tzinfo=UTC)
TO = FROM + DAY
FLAT = [
    Tariff(provider="a", product="*", unit="requests", amount="1"),
    Tariff(provider="b", product="*", unit="requests", amount="2"),
    Tariff(provider="c", product="*", unit="requests", amount="1", currency="EUR"),
]


def call(number: int, provider: str, at: datetime, **more: Any) -> Call:
    return Call(number=number, at=at, subject="acme", told={"provider": provider, **more})


@pytest.fixture
async def bill(usage_db: Database, ids: IdSource) -> Bill:
    made = make_bill(usage_db, ids)
    await made.price(*FLAT)
    return made


def providers(found: Sequence[Any]) -> list[str]:
    return [one.line.key[D.PROVIDER] for one in found]


async def test_rows_are_ranked_over_all_and_the_rest_is_a_row(bill: Bill) -> None:
    wanted = ["a"] * 3 + ["b"] * 2 + ["c"] * 4 + ["d"] * 5
    await bill.call(*(call(n, provider, FROM + n * HOUR) for n, provider in enumerate(wanted)))
    await bill.fold()
    asked = Asked(from_at=FROM, to_at=TO)
    found = await bill.ask(costs, asked, by=[D.PROVIDER], zone=ZONE, limit=2, now=NOW)
    assert (["b", "a"], "USD", 4, [571, 429]) == (
        providers(found.lines),
        found.currency,
        found.n,
        [one.share for one in found.lines],
    )
    assert (9, 14, 5) == (found.others.n, found.all.n, found.all.n_unpriced)
    assert {"EUR": "4", "USD": "7"} == {currency: money_text(one) for currency, one in found.all.cost.items()}
    second = await bill.ask(costs, asked, by=[D.PROVIDER], zone=ZONE, limit=2, offset=2, now=NOW)
    assert ["d", "c"] == providers(second.lines)
    by_calls = await bill.ask(costs, asked, by=[D.PROVIDER], zone=ZONE, order=Order.CALLS, limit=9, now=NOW)
    assert ["d", "c", "a", "b"] == providers(by_calls.lines)
    in_euro = await bill.ask(costs, asked, by=[D.PROVIDER], zone=ZONE, currency="EUR", limit=1, now=NOW)
    assert (["c"], [1_000]) == (providers(in_euro.lines), [one.share for one in in_euro.lines])


async def test_a_call_of_several_tags_is_once_in_all(bill: Bill) -> None:
    await bill.call(call(1, "a", FROM, tags="x,y"), call(2, "a", FROM, tags="x"))
    await bill.fold()
    found = await bill.ask(costs, Asked(from_at=FROM, to_at=TO), by=[D.TAG], zone=ZONE, limit=9, now=NOW)
    assert ({"x": 2, "y": 1}, 2) == ({one.line.key[D.TAG]: one.line.n for one in found.lines}, found.all.n)


async def test_the_time_before_stands_beside(bill: Bill) -> None:
    await bill.call(
        *(call(n, "a", FROM - DAY + n * HOUR) for n in range(5)), *(call(9 + n, "a", FROM + n * HOUR) for n in range(2))
    )
    await bill.fold()
    found = await bill.ask(
        costs, Asked(from_at=FROM, to_at=TO), by=[D.PROVIDER], zone=ZONE, compare=True, limit=9, now=NOW
    )
    (line,) = found.lines
    assert (2, 5, 5) == (line.line.n, line.before.n, found.all_before.n)
    assert Window(FROM - DAY, FROM) == found.before


async def test_costs_over_time_have_empty_windows_and_weeks_begin_on_monday(bill: Bill) -> None:
    await bill.price(*TARIFFS)
    calls = calls_of(120, seed=51, from_at=FROM - 20 * DAY, to_at=TO)
    await bill.call(*calls)
    await bill.fold()
    berlin = ZoneInfo("Europe/Berlin")
    for size in (Size.DAY, Size.WEEK, Size.MONTH, Size.HOUR):
        bins, _ = await bill.ask(series, Asked(from_at=FROM - 12 * DAY, to_at=TO), size=size, zone=berlin, now=NOW)
        for one in bins:
            told = brute_force(calls, TARIFFS, [], one.window.from_at, one.window.to_at)
            assert [sums.n for sums in told.values()] == [line.n for line in one.lines]
            costs_told = [{currency: money_text(money) for currency, money in line.cost.items()} for line in one.lines]
            wanted = [{c: f"{v.normalize():f}" for c, v in sorted(sums.cost.items())} for sums in told.values()]
            assert [{c: v if v != "0" else "0" for c, v in one.items()} for one in wanted] == costs_told
    weeks, _ = await bill.ask(series, Asked(from_at=FROM - 12 * DAY, to_at=TO), size=Size.WEEK, zone=berlin, now=NOW)
    assert {0} == {one.window.from_at.astimezone(berlin).weekday() for one in weeks[1:]}
    with pytest.raises(InvalidValueError):
        await bill.ask(series, Asked(from_at=FROM - 500 * DAY, to_at=TO), size=Size.HOUR, zone=berlin, now=NOW)


async def test_the_month_is_foreseen_or_there_is_not_enough(bill: Bill) -> None:
    await bill.call(*(call(n, "a", NOW - n * DAY) for n in range(1, 6)))
    await bill.fold()
    period = period_at(Period.MONTH, ZONE, NOW)
    few = await bill.ask(cost_forecast, period=period, filters={}, zone=ZONE, now=NOW)
    assert ("USD", None, "5", 5) == (
        few.items[0].currency,
        few.items[0].forecast,
        money_text(few.items[0].so_far),
        few.n_days,
    )
    await bill.call(*(call(n, "b", NOW - n * DAY) for n in range(6, 31)), call(99, "nobody", NOW - HOUR))
    await bill.fold()
    found = await bill.ask(cost_forecast, period=period, filters={}, zone=ZONE, now=NOW)
    (item,) = found.items
    # From the first to the 22nd two a day, then one a day to the 27th; today, the 28th, nothing yet.
    assert ("49", 30, 1) == (money_text(item.so_far), found.n_days, found.n_unpriced)
    assert item.forecast is not None
    # Of Saturdays: 1, 2, 2, 2 and so on: three days ahead as the last four of each weekday.
    low, expected, high = (money_text(one) for one in (item.forecast.low, item.forecast.expected, item.forecast.high))
    assert float(low) < float(expected) < float(high)
    assert 49 + 3 <= float(expected) <= 49 + 6


async def test_a_currency_is_foreseen_once_two_weeks_of_it_are_known(bill: Bill) -> None:
    """Before its first day nobody paid in it: that is no knowledge of what a day of it costs."""
    await bill.call(*(call(n, "a", NOW - n * DAY) for n in range(1, 21)))
    await bill.call(*(call(100 + n, "c", NOW - n * DAY) for n in range(14)))
    await bill.fold()
    asked = {"period": period_at(Period.MONTH, ZONE, NOW), "filters": {}, "zone": ZONE}

    young = await bill.ask(cost_forecast, **asked, now=NOW)
    await bill.call(call(200, "c", NOW - 14 * DAY))
    await bill.fold()
    older = await bill.ask(cost_forecast, **asked, now=NOW)

    assert [("EUR", False), ("USD", True)] == [(one.currency, one.forecast is not None) for one in young.items]
    assert [("EUR", 14), ("USD", 20)] == [(one.currency, one.forecast and one.forecast.n_days) for one in older.items]


def test_periods_are_those_of_the_zone() -> None:
    berlin, now = ZoneInfo("Europe/Berlin"), datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    starts = {period: period_at(period, berlin, now) for period in Period}
    assert {date(2027, 1, 1)} == {
        starts[one].from_at.astimezone(berlin).date() for one in (Period.DAY, Period.MONTH, Period.QUARTER, Period.YEAR)
    }
    assert date(2027, 4, 1) == starts[Period.QUARTER].to_at.astimezone(berlin).date()
    assert date(2026, 12, 28) == starts[Period.WEEK].from_at.astimezone(berlin).date()


async def test_what_has_no_price_is_listed_with_its_kinds(bill: Bill) -> None:
    await bill.price(Tariff(provider="openai", product="gpt", unit="input_tokens", amount="0.000001"))
    used = {"model": "gpt", "units.input_tokens": "5", "units.output_tokens": "2"}
    await bill.call(
        call(1, "openai", FROM + HOUR, **used),
        call(2, "openai", FROM + 3 * HOUR, **used),
        call(3, "openai", FROM, model="gpt", **{"units.input_tokens": "5"}),
        call(4, "lost", FROM, model="m"),
        call(5, "told", FROM, cost="1.5", currency="EUR"),
    )
    for folded in (False, True):
        if folded:
            await bill.fold()
        rows, _ = await bill.ask(unpriced, Asked(from_at=FROM, to_at=TO), now=NOW)
        assert [
            ("openai", "gpt", {"output_tokens": 2}, 2, 3, FROM + HOUR, FROM + 3 * HOUR),
            ("lost", "m", {"requests": 1}, 1, 1, FROM, FROM),
        ] == [(one.provider, one.model, one.kinds, one.n, one.n_calls, one.first_at, one.last_at) for one in rows]
        (line,) = (await bill.ask(answer, FROM, TO, by=[], now=NOW)).lines
        assert ({"EUR": "1.5", "USD": "0.000005"}, 3) == (
            {currency: money_text(money) for currency, money in line.cost.items()},
            line.n_unpriced,
        )


async def test_single_calls_are_paged_each_with_its_cost(bill: Bill) -> None:
    await bill.call(
        *(call(n, "a", FROM + n * HOUR, status="200", latency_ms="1.5") for n in range(5)),
        call(6, "nobody", FROM + 6 * HOUR, error="no route"),  # came to nothing, and cost nothing
        call(7, "nobody", FROM + 7 * HOUR, tags="b,a"),
        call(8, "a", FROM + 8 * HOUR, cost="0.25", currency="usd"),
    )
    asked = Asked(from_at=FROM, to_at=TO)
    first = await bill.ask(recent_calls, asked, limit=3)
    rest = await bill.ask(recent_calls, asked, limit=9, after=first.next)
    told = [*first.calls, *rest.calls]
    assert [f"call-{n}" for n in (8, 7, 6, 4, 3, 2, 1, 0)] == [one.transaction_id for one in told]
    assert ({"USD": 25 * 10**46}, True) == (told[0].cost, told[0].given)
    assert (None, ["requests"], ["a", "b"]) == (told[1].cost, told[1].unpriced, told[1].tags)
    assert ({}, "no route") == (told[2].cost, told[2].error)
    assert ({"USD": 10**48}, 1_500, {"requests": 10**18}) == (told[3].cost, told[3].latency_us, told[3].units)
    only = await bill.ask(recent_calls, Asked(from_at=FROM, to_at=TO, filters={D.PROVIDER: ["nobody"]}), limit=9)
    assert ["call-7", "call-6"] == [one.transaction_id for one in only.calls]


async def test_a_report_reads_rollups_and_no_event(bill: Bill) -> None:
    """Neither the rows of a day nor those of the last 24 hours are gone through each time."""
    await bill.call(*calls_of(200, seed=52, from_at=FROM, to_at=TO))
    await bill.fold()
    await bill.usage.write(lambda tx: tx.conn.execute(sa.text("DELETE FROM events")))
    for by in ([D.PROVIDER], [D.CUSTOMER], [D.TAG, D.MODEL]):
        found = await bill.ask(answer, FROM, FROM + timedelta(hours=24), by=by, now=NOW)
        assert 0 == found.n_singles
        assert 200 <= sum(line.n for line in found.lines)
