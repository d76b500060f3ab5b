"""Who had the most: exact, over all of them, whatever is asked for, and what is not shown is a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, request_sheets
from heartfly.traffic import ranked
from heartfly.traffic.asked import OTHER_ENDPOINTS, Order, Ranked
from heartfly.usage.requests import Limits
from tests.traffic.city import FROM, TO, City, is_near, make_city, ms, statuses
from tests.traffic.oracle import Hit, by_status, grouped, hits_of, percentile
from tests.usage.factory import HOUR, PID

pytestmark = pytest.mark.anyio

DAY = datetime(2026, 11, 27, tzinfo=UTC)
VALUES: dict[Order, Callable[[Sequence[Hit]], Any]] = {
    Order.REQUESTS: len,
    Order.ERRORS: lambda some: sum(1 for one in some if one.status in {500, 503}),
    Order.CLIENT_ERRORS: lambda some: sum(1 for one in some if one.status in {404, 429}),
    Order.LATENCY: lambda some: max((one.us for one in some if one.us is not None), default=0),
    Order.BYTES: lambda some: sum((one.n_in or 0) + (one.n_out or 0) for one in some),
    Order.TIME: lambda some: sum(one.us for one in some if one.us is not None),
}


@pytest.fixture
def city(usage_db: Database, ids: IdSource) -> City:
    return make_city(usage_db, ids)


@pytest.fixture
async def sent(city: City) -> list[Hit]:
    hits = hits_of(400, seed=12, from_at=FROM - HOUR, to_at=TO)
    await city.sent(hits)
    await city.fold()
    await city.folder.fold_day(PID, DAY, DAY + 24 * HOUR)
    return [one for one in hits if one.at >= FROM]


def many(n: int) -> list[Hit]:
    """Endpoints by the alphabet have ever more requests, which take ever longer: the first are the least."""
    found: list[Hit] = []
    for place in range(n):
        for _ in range(place // 10 + 1):
            number = len(found)
            found.append(
                Hit(
                    number=number,
                    at=FROM + HOUR + number * (HOUR / 600),
                    subject=f"c-{place % 7}",
                    route=f"/r{place:03d}",
                    status=500 if number % 9 == 0 else 200,
                    latency=str(1 + place * 7 % n),
                    n_out=place,
                )
            )
    return found


def shown(found: Ranked) -> dict[str, Any]:
    return {row.key: statuses(row.by_status) for row in found.rows}


def expected(hits: Iterable[Hit], by: Callable[[Hit], str]) -> dict[str, Any]:
    return {key: by_status(some) for key, some in grouped(hits, by).items()}


@pytest.mark.parametrize("by", VALUES)
async def test_the_first_ten_are_the_first_of_all(city: City, by: Order) -> None:
    """D2: not of those that come first by another order; the others are a row, and nothing is lost."""
    hits = many(120)
    await city.sent(hits)
    await city.fold()

    found = await city.ask(ranked.endpoints, by=by, limit=10)

    value, groups = VALUES[by], grouped(hits, lambda one: one.endpoint)
    best = sorted(groups, key=lambda name: (-value(groups[name]), -len(groups[name]), name))[:10]
    assert best == [row.key for row in found.rows]
    assert {name: by_status(groups[name]) for name in best} == shown(found)
    assert found.n == 120
    assert found.other is not None
    rest = [one for one in hits if one.endpoint not in best]
    assert len(rest) == found.other.by_status.n
    assert by_status(hits) == statuses(found.all)
    assert by_status(rest) == statuses(found.other.by_status)
    assert is_near(percentile(rest, 95), ms(found.other.by_status, 95))


async def test_p95_ranks_all_endpoints_as_exact_ones_would(city: City) -> None:
    hits = many(120)
    await city.sent(hits)
    await city.fold()

    found = await city.ask(ranked.endpoints, by=Order.P95, limit=15, offset=5)

    groups = grouped(hits, lambda one: one.endpoint)
    exact = sorted((percentile(some, 95) for some in groups.values()), reverse=True)
    values = [ms(row.by_status, 95) for row in found.rows]
    assert all(before >= after for before, after in pairwise(values))
    for place, value in enumerate(values, 5):
        assert is_near(exact[place], value)


@pytest.mark.parametrize("by", [Order.BYTES, Order.TIME])
async def test_sums_of_rows_that_are_full_are_told(city: City, by: Order) -> None:
    """Two rows that hold as much as a row can."""
    most = (1 << 63) - 1
    await city.sent([Hit(number=n, at=DAY + n * HOUR, latency="1", n_in=1, n_out=1) for n in range(2)])
    await city.fold()
    full = {"latency_us": most, "bytes_in": most, "bytes_out": most}
    await city.usage.write(lambda tx: tx.conn.execute(sa.update(request_rollups).values(full)))
    await city.usage.write(lambda tx: tx.conn.execute(sa.delete(request_sheets)))  # no sheet holds as much

    found = await city.ask(ranked.endpoints, by=by, limit=5)

    assert [("GET /a", 2)] == [(row.name, row.by_status.n) for row in found.rows]
    figures = found.rows[0].by_status.total()
    assert (2 * most, 2 * most, 2 * most) == (figures.latency_us, figures.bytes_in, figures.bytes_out)


async def test_pages_follow_one_another(city: City, sent: list[Hit]) -> None:
    whole = await city.ask(ranked.endpoints, by=Order.REQUESTS, limit=100)

    pages = [await city.ask(ranked.endpoints, by=Order.REQUESTS, limit=2, offset=start) for start in (0, 2, 4, 6)]

    assert [row.key for row in whole.rows] == [row.key for page in pages for row in page.rows]
    for page in pages:
        assert whole.all.n == sum(row.by_status.n for row in page.rows) + (page.other.by_status.n if page.other else 0)
    assert whole.other is None


async def test_endpoints_of_a_customer_are_his(city: City, sent: list[Hit]) -> None:
    """D4, A8."""
    found = await city.ask(ranked.endpoints, by=Order.REQUESTS, limit=100, customers=["acme"])

    assert expected([one for one in sent if one.subject == "acme"], lambda one: one.endpoint) == shown(found)


async def test_customers_of_an_endpoint_are_its(city: City, sent: list[Hit]) -> None:
    """D4."""
    found = await city.ask(ranked.customers, by=Order.REQUESTS, limit=100, endpoints=["POST /c"], statuses=["2xx"])

    meant = [one for one in sent if one.endpoint == "POST /c" and one.status in {200, 201}]
    assert expected(meant, lambda one: one.subject) == shown(found)


async def test_a_customer_with_two_names_is_one_row_and_nobody_another(city: City, sent: list[Hit]) -> None:
    """A3, A11."""
    public_id = await city.customer("Acme", "acme", "acme-eu")

    found = await city.ask(ranked.customers, by=Order.BYTES, limit=100)

    names = {"acme": public_id, "acme-eu": public_id}
    assert expected(sent, lambda one: names.get(one.subject, one.subject)) == shown(found)
    assert "Acme" in {row.name for row in found.rows}
    assert "anonymous" in {row.key for row in found.rows}


async def test_shares_say_which_customers_have_most_of_it(city: City) -> None:
    """D16, A10: the first five have 60 % of all."""
    hits = [
        Hit(number=number, at=FROM + HOUR, subject=f"big-{number % 5}" if number < 60 else f"small-{number}")
        for number in range(100)
    ]
    await city.sent(hits)
    await city.fold()

    found = await city.ask(ranked.customers, by=Order.REQUESTS, limit=5)

    assert [120] * 5 == [row.share for row in found.rows]
    assert found.other is not None
    assert (400, 45) == (found.other.share, found.n)


async def test_statuses_are_told_one_by_one(city: City, sent: list[Hit]) -> None:
    """A3, D13."""
    found = await city.ask(ranked.statuses, endpoints=["GET /a"])

    meant = [one for one in sent if one.endpoint == "GET /a"]
    assert expected(meant, lambda one: str(one.status or "unknown")) == shown(found)


async def test_methods_are_told_apart(city: City, sent: list[Hit]) -> None:
    found = await city.ask(ranked.methods, by=Order.REQUESTS, limit=10)

    assert expected(sent, lambda one: one.method) == shown(found)


async def test_keys_are_counted_out_of_the_events(city: City, sent: list[Hit]) -> None:
    """D14."""
    found = await city.ask(ranked.keys, by=Order.REQUESTS, limit=10, customers=["acme", "globex"])

    meant = [one for one in sent if one.subject in {"acme", "globex"}]
    assert expected(meant, lambda one: one.key or "") == shown(found)
    assert (True, False) == (found.trust.of_events, found.trust.partial)


async def test_what_is_beyond_the_limit_of_endpoints_is_one_row(city: City) -> None:
    """D17."""
    city.folder._limits = Limits(endpoints=3)
    hits = [Hit(number=n, at=FROM + HOUR, route=f"/r{n % 9}", method="GET" if n % 2 else "PUT") for n in range(54)]
    await city.sent(hits)
    await city.fold()

    found = await city.ask(ranked.endpoints, by=Order.REQUESTS, limit=10)

    assert 4 == len(found.rows)
    assert {OTHER_ENDPOINTS, *(await names(city))} == {row.key for row in found.rows}
    assert 54 == found.all.n
    named = await names(city)
    hidden = next(one for one in hits if one.endpoint not in named)
    alone = await city.ask(ranked.endpoints, by=Order.REQUESTS, limit=10, endpoints=[hidden.endpoint])
    assert sum(one.endpoint == hidden.endpoint for one in hits) == alone.all.n
    put = await city.ask(ranked.customers, by=Order.REQUESTS, limit=10, methods=["PUT"])
    assert (27, True) == (put.all.n, put.trust.of_events)


async def names(city: City) -> list[str]:
    async with city.usage.read() as read:
        return await ranked.endpoint_names(read, PID)


async def test_endpoints_that_nobody_calls_any_more_are_known(city: City, sent: list[Hit]) -> None:
    found = await city.ask(ranked.endpoints, by=Order.REQUESTS, limit=10, from_at=TO, to_at=TO + HOUR)

    assert ([], None, 0) == (found.rows, found.other, found.n)
    assert sorted({one.endpoint for one in sent}) == await names(city)


async def test_percentiles_of_each_endpoint_are_near(city: City, sent: list[Hit]) -> None:
    """A7, D5."""
    found = await city.ask(ranked.endpoints, by=Order.TIME, limit=10)

    groups = grouped(sent, lambda one: one.endpoint)
    for row in found.rows:
        for percent in (50, 90, 95, 99):
            assert is_near(percentile(groups[row.key], percent), ms(row.by_status, percent))
    assert Decimal(0) < ms(found.rows[0].by_status, 95)
