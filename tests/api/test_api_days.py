"""The days of a check over the native API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from heartfly.jobs.daily_sums import sum_days
from tests.api.conftest import START
from tests.api.door import House
from tests.jobs.workshop import Workshop, kind_of
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
async def check(house: House, clock: SimClock) -> Any:
    """Up at ten in the morning, down for an hour in the evening; ten days of it are over."""
    row = await house.world.check(START, grace=100 * DAY)
    await house.world.ping(row, START)
    await house.world.ping(row, START + 10 * HOUR, PingKind.FAIL)
    await house.world.ping(row, START + 11 * HOUR)
    shop = Workshop(house.world, clock, kind_of(sum_days, expression="0 * * * *"))
    await shop.look()
    await shop.go(START + 10 * DAY)
    return row


async def days(house: House, check: Any, query: str = "") -> Any:
    return (await house.read("GET", f"/v1/checks/{check.uuid}/days{query}")).json


async def test_days_are_listed_newest_first(house: House, check: Any) -> None:
    found = await days(house, check)

    assert [f"2026-03-{day:02}" for day in range(11, 1, -1)] == [one["day"] for one in found["items"]]
    assert None is found["next"]
    assert {
        "day": "2026-03-02",
        "from_at": "2026-03-02T00:00:00Z",
        "to_at": "2026-03-03T00:00:00Z",
        "up": 13 * 3600,
        "down": 3600,
        "blind": 0,
        "n_ok": 2,
        "n_failed": 1,
        "n_missed": 0,
        "n_unverified": 0,
    } == found["items"][-1]


async def test_a_span_is_from_a_day_on_and_before_another(house: House, check: Any) -> None:
    found = await days(house, check, "?from=2026-03-03&to=2026-03-05")

    assert ["2026-03-04", "2026-03-03"] == [one["day"] for one in found["items"]]


async def test_pages_follow_one_another_within_the_span(house: House, check: Any) -> None:
    seen, cursor = [], ""
    while True:
        page = await days(house, check, f"?from=2026-03-04&limit=3{cursor}")
        seen.append([one["day"][-2:] for one in page["items"]])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert [["11", "10", "09"], ["08", "07", "06"], ["05", "04"]] == seen


async def test_before_a_day_is_over_there_is_none(house: House) -> None:
    check = await house.world.check(START)

    assert {"items": [], "next": None} == await days(house, check)


@pytest.mark.parametrize("query", ["from=yesterday", "to=2026-02-30", "from=2026-03-02T00:00:00Z", "from="])
async def test_what_is_no_day_is_refused_by_its_name(house: House, check: Any, query: str) -> None:
    reply = await house.read("GET", f"/v1/checks/{check.uuid}/days?{query}")

    assert (422, [query.partition("=")[0]]) == (reply.status, reply.fields)


@pytest.mark.parametrize("cursor", ["x", "ZGF5cywtNQ", "ZGF5cyw5OTk5OTk5OTk5", "ZmxpcHMsMQ"])
async def test_a_cursor_of_another_list_or_of_no_day_is_refused(house: House, check: Any, cursor: str) -> None:
    reply = await house.read("GET", f"/v1/checks/{check.uuid}/days?cursor={cursor}")

    assert (422, ["cursor"]) == (reply.status, reply.fields)
