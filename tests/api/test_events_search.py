"""Events are found again, with what contradicts them, and figures are told as they were sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from heartfly.usage import event_queries
from tests.api.conftest import START
from tests.api.door import House
from tests.api.test_events_door import event

pytestmark = pytest.mark.anyio


async def found(house: House, query: str = "") -> list[str]:
    reply = await house.full("GET", f"/v1/events?{query}")
    assert 200 == reply.status, reply.body
    return [one["transaction_id"] for one in reply.json["items"]]


async def test_they_are_found_by_customer_type_name_and_time(house: House) -> None:
    await house.full(
        "POST",
        "/v1/events",
        [
            event(1, customer_id="a"),
            event(2, customer_id="b"),
            event(3, customer_id="a", event_type="other"),
            event(4, customer_id="c"),
        ],
    )
    acme = (await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["a", "b"]})).json["id"]
    at = {number: quote((START - timedelta(minutes=number)).isoformat()) for number in range(1, 5)}

    assert ["t-1", "t-2", "t-3", "t-4"] == await found(house)
    assert ["t-1", "t-2", "t-3"] == await found(house, f"customer={acme}")
    assert ["t-1", "t-3"] == await found(house, "customer_id=a")
    assert ["t-1"] == await found(house, f"customer={acme}&customer_id=a&event_type=api.request")
    assert ["t-3"] == await found(house, "event_type=other")
    assert ["t-2", "t-3"] == await found(house, f"from={at[3]}&to={at[1]}"), "the end does not belong to it"
    assert ["t-4"] == await found(house, "transaction_id=t-4")
    for nothing in ("transaction_id=t-9", "customer_id=zz", "event_type=zz", "transaction_id=t-4&customer_id=a"):
        assert [] == await found(house, nothing)


async def test_a_rare_type_is_found_though_each_page_looks_at_few(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_queries, "MOST_LOOKED_AT", 4)
    rare = {"event_type": "rare"}
    await house.full(
        "POST", "/v1/events", [event(number, **(rare if number in {5, 9} else {})) for number in range(10)]
    )

    following: str | None = ""
    pages: list[list[str]] = []
    while following is not None:
        page = (await house.full("GET", f"/v1/events?event_type=rare{following and '&cursor=' + following}")).json
        following = page["next"]
        pages.append([one["transaction_id"] for one in page["items"]])

    assert [[], ["t-5"], ["t-9"]] == pages


async def test_a_filter_that_cannot_be_is_refused_by_its_name(house: House) -> None:
    for query, field in (
        ("customer=x", "customer"),
        ("from=yesterday", "from"),
        ("customer_id=" + "x" * 300, "customer_id"),
        ("transaction_id=%00", "transaction_id"),
        ("cursor=x", "cursor"),
    ):
        reply = await house.full("GET", f"/v1/events?{query}")
        assert (422, [field]) == (reply.status, reply.fields), query


@pytest.mark.parametrize("narrowed", ["", "customer_id=acme&", "event_type=api.request&"])
async def test_pages_have_each_event_once_also_those_of_one_instant(house: House, narrowed: str) -> None:
    at = START.isoformat()
    await house.full("POST", "/v1/events", [event(number, timestamp=at) for number in range(7)])

    following: str | None = ""
    names: list[str] = []
    while following is not None:
        page = (await house.full("GET", f"/v1/events?{narrowed}limit=3{following and '&cursor=' + following}")).json
        names += [one["transaction_id"] for one in page["items"]]
        following = page["next"]

    assert [f"t-{number}" for number in range(6, -1, -1)] == names


async def test_one_is_read_with_what_contradicts_it_field_by_field(house: House) -> None:
    await house.full("POST", "/v1/events", [event(1, properties={"bytes": 1, "region": "eu"})])
    await house.full(
        "POST", "/v1/events", [event(1, customer_id="x", properties={"bytes": "1", "region": "us", "more": True})]
    )

    told = (await house.full("GET", "/v1/events/t-1")).json
    (conflict,) = told["conflicts"]

    assert {"bytes": 1, "region": "eu"} == told["event"]["properties"]
    assert [
        ("customer_id", "acme", "x"),
        ("properties.more", None, True),
        ("properties.region", "eu", "us"),
    ] == [(one["field"], one["kept"], one["came"]) for one in conflict["differences"]]
    listed = (await house.full("GET", "/v1/events/conflicts")).json
    assert ([conflict], None) == (listed["items"], listed["next"])
    assert 404 == (await house.full("GET", "/v1/events/t-2")).status


async def test_figures_are_told_to_the_last_digit(house: House) -> None:
    exact = b'{"n":123456789012345678901234567890.123456789012345678901234567890,"s":"0.10","t":1e3}'
    body = b'{"transaction_id":"a/b","customer_id":"c","event_type":"t","timestamp":"%s","properties":%s}'
    await house.full("POST", "/v1/events", body=body % (START.isoformat().encode(), exact))

    reply = await house.full("GET", "/v1/events?transaction_id=" + quote("a/b", safe=""))

    assert exact in reply.body


async def test_another_project_finds_nothing(house: House, neighbour: House) -> None:
    await house.full("POST", "/v1/events", [event(1), event(1, customer_id="x")])

    assert [] == await found(neighbour)
    assert [] == await found(neighbour, "transaction_id=t-1")
    assert [] == (await neighbour.full("GET", "/v1/events/conflicts")).json["items"]
    missing: Any = await neighbour.full("GET", "/v1/events/t-1")
    assert 404 == missing.status
