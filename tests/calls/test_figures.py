"""What calls come to is what Decimal finds over the events, to the last digit, whether or not hours were folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from heartfly.audit.record import CLI, Actor
from heartfly.calls.figures import answer, figures
from heartfly.core.calls import Dimension
from heartfly.core.days import day_in
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.corrections import Amended, amend, void
from heartfly.usage.customers import create_customer
from tests.calls.bill import DAY, FROM, HOUR, TO, Bill, by_key, expected, make_bill
from tests.calls.oracle import TARIFFS, Call, Tariff, brute_force, calls_of
from tests.usage.factory import NOW, PID

pytestmark = pytest.mark.anyio

D = Dimension
BY: Sequence[Sequence[Dimension]] = [
    (),
    (D.PROVIDER,),
    (D.MODEL,),
    (D.PROVIDER, D.MODEL),
    (D.MODEL, D.ENDPOINT),
    (D.CUSTOMER,),
    (D.USER,),
    (D.KEY,),
    (D.TAG,),
    (D.STATUS,),
    (D.PROVIDER, D.STATUS),
    (D.CUSTOMER, D.MODEL),
    (D.TAG, D.PROVIDER),
    (D.USER, D.PROVIDER, D.MODEL),
]
OF_EVENTS: Sequence[Sequence[Dimension]] = [(D.CUSTOMER, D.USER), (D.TAG, D.KEY, D.STATUS), (D.CUSTOMER, D.STATUS)]


@pytest.fixture
async def bill(usage_db: Database, ids: IdSource) -> Bill:
    made = make_bill(usage_db, ids)
    await made.price(*TARIFFS)
    return made


async def check(
    bill: Bill,
    calls: Sequence[Call],
    tariffs: Sequence[Tariff],
    by: Sequence[Dimension],
    span: tuple[datetime, datetime],
) -> None:
    lines = await bill.ask(figures, *span, by=by, now=NOW)
    wanted = brute_force(calls, tariffs, [one.value for one in by], *span)
    assert {key: expected(sums) for key, sums in wanted.items()} == by_key(lines, by)


async def test_every_grouping_is_what_decimal_finds(bill: Bill) -> None:
    calls = calls_of(400, seed=1, from_at=FROM - HOUR, to_at=TO + HOUR)
    await bill.call(*calls)
    for folded in (False, True):
        if folded:
            await bill.fold()
        for by in [*BY, *OF_EVENTS]:
            await check(bill, calls, TARIFFS, by, (FROM, TO))


async def test_days_hours_minutes_and_events_make_the_same_sums(bill: Bill) -> None:
    calls = calls_of(300, seed=2, from_at=FROM, to_at=TO)
    await bill.call(*calls)
    await bill.fold()
    day = day_in(ZoneInfo("UTC"), datetime(2026, 11, 27, tzinfo=UTC).date())
    await bill.folder.fold_day(PID, day.from_at, day.to_at)
    for span in (
        (FROM, TO),
        (day.from_at, day.to_at),
        (day.from_at - timedelta(minutes=40), day.to_at + timedelta(minutes=7)),
        (FROM + timedelta(seconds=17), FROM + timedelta(minutes=31, microseconds=1)),
    ):
        for by in ((), (D.MODEL,), (D.CUSTOMER,)):
            await check(bill, calls, TARIFFS, by, span)


async def test_a_change_of_prices_holds_for_what_was_folded(bill: Bill) -> None:
    calls = calls_of(200, seed=3, from_at=FROM, to_at=TO)
    await bill.call(*calls)
    await bill.fold()
    middle = FROM + timedelta(hours=9, minutes=30)
    changed = [
        *(replace(one, to_at=middle) for one in TARIFFS),
        *(replace(one, from_at=middle, amount="0.125", currency="EUR") for one in TARIFFS[:3]),
        Tariff(provider="nobody", product="*", unit="requests", amount="1", from_at=middle),
    ]
    await bill.price(*changed)
    await bill.fold()
    for by in ((), (D.MODEL,), (D.CUSTOMER, D.PROVIDER), (D.USER, D.KEY)):
        await check(bill, calls, changed, by, (FROM, TO))


async def test_what_came_late_was_set_right_or_taken_back_counts_so(bill: Bill) -> None:
    calls = calls_of(60, seed=4, from_at=FROM, to_at=TO)
    await bill.call(*calls[:50])
    await bill.fold()
    await bill.call(*calls[50:], *calls[:10])  # ten are sent again
    other = calls[3].but(**{"units.output_tokens": "3", "model": "gpt", "provider": "openai"})

    def work(tx: Tx) -> None:
        void(tx, PID, calls[1].name, reason="test", actor=CLI, at=NOW, ids=bill.ids)
        wanted = Amended({"properties": dict(other.told)})
        amend(tx, PID, calls[3].name, wanted, reason="test", oldest=FROM - DAY, actor=CLI, at=NOW, ids=bill.ids)

    await bill.usage.write(work)
    now = [calls[0], calls[2], other, *calls[4:]]
    for folded in (False, True):
        if folded:
            await bill.fold()
        for by in ((), (D.PROVIDER, D.MODEL), (D.CUSTOMER,)):
            await check(bill, now, TARIFFS, by, (FROM, TO))


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
async def test_days_of_a_clock_change_have_all_their_hours(bill: Bill, day: tuple[int, int, int], hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    span = day_in(zone, datetime(*day, tzinfo=UTC).date())
    assert hours * HOUR == span.to_at - span.from_at
    calls = calls_of(120, seed=5, from_at=span.from_at - HOUR, to_at=span.to_at + HOUR)
    await bill.call(*calls)
    await bill.fold()
    await bill.folder.fold_day(PID, span.from_at, span.to_at)
    for by in ((), (D.MODEL,), (D.CUSTOMER,)):
        await check(bill, calls, TARIFFS, by, (span.from_at, span.to_at))


async def test_filters_hold_in_cubes_and_in_events(bill: Bill) -> None:
    calls = calls_of(200, seed=6, from_at=FROM, to_at=TO)
    await bill.call(*calls)
    await bill.fold()
    for filters, of_events in (
        ({D.PROVIDER: ["openai"]}, False),
        ({D.MODEL: ["gpt", "page"], D.ENDPOINT: ["/chat"]}, False),
        ({D.CUSTOMER: ["c-1", "c-2"]}, False),
        ({D.TAG: ["blue"]}, False),
        ({D.TAG: ["blue", "red"]}, True),
        ({D.USER: [""], D.KEY: ["k-1"]}, True),
        ({D.PROVIDER: ["unknown"], D.USER: ["nobody"]}, False),
    ):
        found = await bill.ask(answer, FROM, TO, by=[D.MODEL], filters=filters, now=NOW)
        some = [
            call
            for call in calls
            if all(
                set(values) & set(brute_force([call], TARIFFS, [of.value], FROM, TO) and _values(call, of))
                for of, values in filters.items()
            )
        ]
        wanted = brute_force(some, TARIFFS, ["model"], FROM, TO)
        assert {key: expected(sums) for key, sums in wanted.items()} == by_key(found.lines, [D.MODEL])
        assert of_events is found.trust.of_events


def _values(call: Call, dimension: Dimension) -> set[str]:
    return {key[0] for key in brute_force([call], TARIFFS, [dimension.value], FROM, TO)}


async def test_who_called_a_product_is_looked_up_by_the_product(bill: Bill) -> None:
    calls = calls_of(200, seed=7, from_at=FROM, to_at=TO)
    await bill.call(*calls)
    await bill.fold()
    for filters in ({D.PROVIDER: ["openai"]}, {D.MODEL: ["page", "gpt"]}, {D.PROVIDER: ["none"]}):
        (of, values), *_ = filters.items()
        some = [call for call in calls if _values(call, of) & set(values)]
        for by in ((D.CUSTOMER,), (D.USER,), (D.KEY,), (D.TAG,)):
            lines = await bill.ask(figures, FROM, TO, by=by, filters=filters, now=NOW)
            wanted = brute_force(some, TARIFFS, [by[0].value], FROM, TO)
            assert {key: expected(sums) for key, sums in wanted.items()} == by_key(lines, by)
    endpoint = [call for call in calls if "/chat" in _values(call, D.ENDPOINT)]
    lines = await bill.ask(figures, FROM, TO, by=[D.MODEL], filters={D.ENDPOINT: ["/chat"]}, now=NOW)
    wanted = brute_force(endpoint, TARIFFS, ["model"], FROM, TO)
    assert {key: expected(sums) for key, sums in wanted.items()} == by_key(lines, [D.MODEL])


async def test_a_customer_of_several_names_is_one_line(bill: Bill) -> None:
    calls = [Call(number=n, at=FROM + n * HOUR, subject=f"c-{n}", told={"provider": "scraper"}) for n in range(4)]
    await bill.call(*calls)

    def work(tx: Tx) -> str:
        return create_customer(
            tx,
            PID,
            name="Ada",
            wanted=["c-0", "c-2"],
            actor=Actor("test"),
            at=NOW,
            ids=bill.ids,
        )[0]

    ada = await bill.usage.write(work)
    await bill.fold()
    lines = await bill.ask(figures, FROM, TO, by=[D.CUSTOMER], now=NOW)
    assert {ada: ("Ada", 2), "c-1": ("c-1", 1), "c-3": ("c-3", 1)} == {
        line.key[D.CUSTOMER]: (line.name[D.CUSTOMER], line.n) for line in lines
    }
    assert 2 == sum(line.n for line in await bill.ask(figures, FROM, TO, by=[], filters={D.CUSTOMER: [ada]}))
