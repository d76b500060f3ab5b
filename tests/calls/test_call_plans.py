"""A change of prices puts every hour in doubt, and no question that is asked meanwhile grows with them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from heartfly.calls.asked import Answer
from heartfly.calls.figures import answer
from heartfly.core.money import money_text
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.traffic import plan
from tests.calls.bill import HOUR, Bill, make_bill
from tests.calls.oracle import Call, Tariff
from tests.usage.factory import NOW, PID

pytestmark = pytest.mark.anyio

FIRST = datetime(2026, 11, 1, tzinfo=NOW.tzinfo)
OLD = Tariff(provider="openai", product="gpt", unit="requests", amount="1")
NEW = Tariff(provider="openai", product="gpt", unit="requests", amount="3")


@pytest.fixture
async def bill(usage_db: Database, ids: IdSource) -> Bill:
    return make_bill(usage_db, ids)


async def called(bill: Bill, n: int, *, apart: timedelta) -> None:
    """A call in an hour each, folded by the old price, and then priced anew."""
    told = {"provider": "openai", "model": "gpt", "units.requests": "1"}
    await bill.price(OLD)
    await bill.call(*(Call(number=one, at=FIRST + one * apart, subject="acme", told=told) for one in range(n)))
    await bill.fold()
    await bill.price(NEW)


async def asked(bill: Bill) -> tuple[Answer, int]:
    """And how many statements that took."""
    said: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        said.append(statement)

    async with bill.usage.read() as read:
        sa.event.listen(read.sync_connection, "before_cursor_execute", note)
        found = await answer(read, PID, FIRST, FIRST + timedelta(days=20), by=(), now=NOW)
        sa.event.remove(read.sync_connection, "before_cursor_execute", note)
    print(f"{len(said)} statements")
    return found, len(said)


def cost(found: Answer) -> Decimal:
    (line,) = found.lines
    return Decimal(money_text(line.cost["USD"]))


async def test_hours_that_follow_one_another_are_one_question(bill: Bill) -> None:
    await called(bill, 40, apart=HOUR)

    found, n = await asked(bill)

    assert Decimal(120) == cost(found)  # by the new price, though none of it is folded by that
    assert found.trust.complete_up_to > FIRST + 40 * HOUR
    assert n <= 20


@pytest.mark.parametrize("n_old", [0, 8])
async def test_of_hours_that_lie_apart_only_the_newest_are_looked_at_anew(
    bill: Bill, monkeypatch: pytest.MonkeyPatch, n_old: int
) -> None:
    monkeypatch.setattr(plan, "FRESH_SPANS", 6)
    await called(bill, n_old + 6, apart=2 * HOUR)

    found, n = await asked(bill)

    assert Decimal(n_old + 3 * 6) == cost(found)
    assert (found.trust.complete_up_to == FIRST) == (n_old > 0)  # and it says that the rest is to come
    assert n <= 20 + 8 * 6
    await bill.fold()
    found, n = await asked(bill)
    assert Decimal(3 * (n_old + 6)) == cost(found)
    assert n <= 20


async def test_within_a_span_the_newest_hours_that_are_few_enough_are_looked_at(
    bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FRESH", 5)
    await called(bill, 20, apart=HOUR)

    found, _ = await asked(bill)

    assert Decimal(15 + 3 * 5) == cost(found)
    assert FIRST == found.trust.complete_up_to
