"""However many products calls are of, their prices are read at once; each is charged by its own, or its provider's."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
import sqlalchemy as sa

from heartfly.calls.asked import Asked
from heartfly.calls.recent import Recent, recent_calls
from heartfly.core.amounts import ONE
from heartfly.core.money import MONEY_ONE, money_text
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.call_books import Books
from tests.calls.bill import DAY, FROM, HOUR, Bill, make_bill
from tests.calls.oracle import Call, Tariff
from tests.usage.factory import PID

pytestmark = pytest.mark.anyio

ASKED = Asked(from_at=FROM, to_at=FROM + DAY)


@pytest.fixture
async def bill(usage_db: Database, ids: IdSource) -> Bill:
    return make_bill(usage_db, ids)


async def of_products(bill: Bill, n: int) -> None:
    """A call of each, the price of product k is k; and of one that only its provider has a price for."""
    own = [Tariff(provider=f"p{one % 7}", product=f"m{one}", unit="requests", amount=f"{one}") for one in range(n)]
    await bill.price(*own, Tariff(provider="p0", product="*", unit="requests", amount="0.5"))
    told = [{"provider": one.provider.upper(), "model": one.product} for one in own]
    told += [{"provider": "p0", "model": "unheard of"}, {"provider": "nobody", "model": "m1"}]
    await bill.call(
        *(Call(number=n * 1_000 + one, at=FROM + HOUR, subject="acme", told=each) for one, each in enumerate(told))
    )


async def asked(bill: Bill) -> tuple[Sequence[Recent], int]:
    """The newest calls, and how many statements that took."""
    said: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        said.append(statement)

    async with bill.usage.read() as read:
        sa.event.listen(read.sync_connection, "before_cursor_execute", note)
        page = await recent_calls(read, PID, ASKED, limit=1_000)
        sa.event.remove(read.sync_connection, "before_cursor_execute", note)
    return page.calls, len(said)


async def test_a_hundred_products_take_as_many_statements_as_three(bill: Bill) -> None:
    await of_products(bill, 3)
    _, few = await asked(bill)
    await of_products(bill, 100)
    calls, many = await asked(bill)
    assert few == many
    assert {"m1": "1", "m99": "99", "unheard of": "0.5"} == {
        one.model: money_text(one.cost["USD"]) for one in calls if one.model in {"m1", "m99", "unheard of"} and one.cost
    }
    assert {("nobody", ("requests",))} == {(one.provider, tuple(one.unpriced)) for one in calls if one.cost is None}


async def test_what_was_foreseen_is_not_read_again(bill: Bill) -> None:
    await of_products(bill, 40)
    wanted = [(f"p{one % 7}", f"m{one}") for one in range(40)] + [("p0", "?"), ("nobody", "m1")]

    def rates(connection: sa.Connection) -> tuple[list[int], int]:
        books, said = Books(connection, PID), list[str]()
        sa.event.listen(connection, "before_cursor_execute", lambda *told: said.append(told[2]))
        books.foresee(wanted)
        books.foresee(wanted)
        sheets = [books.sheet(provider, product, "", FROM) for provider, product in wanted]
        costs = [sheet.cost({"requests": ONE}).amounts.get("USD", -1) for sheet in sheets]
        return costs, len(said)

    async with bill.usage.read() as read:
        costs, n = await read.run_sync(rates)
    assert 1 == n
    assert [*range(40), Fraction(1, 2), -1] == [one if one < 0 else Fraction(one, MONEY_ONE) for one in costs]
