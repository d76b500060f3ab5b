"""What a page offers to whom a filter finds nothing: names that are alike, of those that there are."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.traffic.asked import OTHER_ENDPOINTS, Asked
from heartfly.traffic.nearest import Nearest, nearest
from tests.traffic.city import FROM, TO, ZONE, City, make_city
from tests.traffic.oracle import Hit
from tests.usage.factory import HOUR, PID

pytestmark = pytest.mark.anyio


@pytest.fixture
async def city(usage_db: Database, ids: IdSource) -> City:
    made = make_city(usage_db, ids)
    await made.sent([
        Hit(number=n, at=FROM + HOUR, route=route, subject=customer)
        for n, (route, customer) in enumerate([("/v1/orders/{id}", "acme"), ("/v1/users/{id}", "bolt-2")])
    ])  # fmt: skip
    await made.fold()
    return made


async def meant(city: City, pid: int = PID, **filters: Any) -> Nearest:
    async with city.usage.read() as read:
        return await nearest(read, pid, Asked(from_at=FROM, to_at=TO, zone=ZONE, **filters))


async def test_a_filter_that_nothing_is_called_by_is_told_what_is_alike(city: City) -> None:
    found = await meant(city, endpoints=["GET /v1/order/{id}", "xyz"], customers=["acme-", "bolt"])

    assert "GET /v1/orders/{id}" == found["endpoint", "GET /v1/order/{id}"][0]
    assert {("endpoint", "xyz"): [], ("customer", "acme-"): ["acme"], ("customer", "bolt"): ["bolt-2"]} == {
        place: list(names) for place, names in found.items() if place[1] != "GET /v1/order/{id}"
    }


async def test_of_what_there_is_nothing_is_said(city: City) -> None:
    customer = await city.customer("Acme", "acme")

    assert {} == await meant(city)
    assert {} == await meant(
        city, endpoints=["GET /v1/users/{id}", OTHER_ENDPOINTS], customers=["acme", "bolt-2", customer]
    )
    assert [("customer", customer.replace(customer[0], "f" if customer[0] != "f" else "0", 1))] == [
        *await meant(city, customers=[customer.replace(customer[0], "f" if customer[0] != "f" else "0", 1)])
    ]


async def test_nobody_is_told_of_names_of_another_project(city: City) -> None:
    found = await meant(city, PID + 1, endpoints=["GET /v1/orders/{id}"], customers=["acme"])

    assert {("endpoint", "GET /v1/orders/{id}"): [], ("customer", "acme"): []} == found
