"""Where requests lie in time, which were slow, how many come now, and each of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.amounts import decimal_of
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import InvalidValueError
from heartfly.traffic import heat, search
from heartfly.traffic.asked import ByStatus
from heartfly.traffic.live import live
from heartfly.traffic.slow import slow
from tests.traffic.city import FROM, TO, City, make_city, statuses
from tests.traffic.oracle import Hit, by_status, grouped, hits_of, within
from tests.usage.factory import HOUR, NOW, PID

pytestmark = pytest.mark.anyio


@pytest.fixture
def city(usage_db: Database, ids: IdSource) -> City:
    return make_city(usage_db, ids)


@pytest.fixture
async def sent(city: City) -> list[Hit]:
    hits = hits_of(400, seed=13, from_at=FROM, to_at=TO)
    await city.sent(hits)
    await city.fold()
    return hits


async def test_endpoints_by_the_hour_are_a_heatmap(city: City, sent: list[Hit]) -> None:
    """D16, A10."""
    found = await city.ask(heat.over_time, n_rows=3)

    calls = Counter(one.endpoint for one in sent)
    assert sorted(calls, key=lambda name: (-calls[name], name))[:3] == list(found.rows)
    for row, endpoint in enumerate(found.rows):
        for column, window in enumerate(found.columns):
            meant = [one for one in within(sent, window.from_at, window.to_at) if one.endpoint == endpoint]
            cell = found.cells.get((row, column))
            assert by_status(meant) == statuses(cell or ByStatus())


async def test_a_longer_time_is_shown_by_the_day(city: City, sent: list[Hit]) -> None:
    found = await city.ask(heat.over_time, from_at=FROM - 48 * HOUR, n_rows=10)

    assert [24, 25, 26, 27, 28] == [one.from_at.day for one in found.columns]
    assert len(sent) == sum(one.n for one in found.cells.values())


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
async def test_the_hours_of_the_week_show_when_it_is_always_slow(city: City, sent: list[Hit], zone: str) -> None:
    """A10: "always slow at 2 PM"."""
    place = ZoneInfo(zone)

    found = await city.ask(heat.over_week, zone=place, statuses=["2xx", "5xx"])

    def cell(one: Hit) -> tuple[int, int]:
        local = one.at.astimezone(place)
        return local.weekday(), local.hour

    meant = [one for one in sent if one.status is not None and one.status // 100 in {2, 5}]
    cells = {place: statuses(one) for place, one in found.cells.items()}
    assert {place: by_status(some) for place, some in grouped(meant, cell).items()} == cells
    assert ("Monday", "Sunday") == (found.rows[0], found.rows[6])


async def test_a_heatmap_of_many_years_is_refused(city: City) -> None:
    for question in (heat.over_time, heat.over_week):
        with pytest.raises(InvalidValueError) as error:
            await city.ask(question, from_at=datetime(2000, 1, 1, tzinfo=UTC))
        assert error.value.field == "to"


def seconds(one: Any) -> tuple[int, datetime, str, str]:
    return one.latency_us, one.at, one.endpoint, one.request_id


async def test_the_slowest_are_listed_with_what_is_known_of_them(city: City, sent: list[Hit]) -> None:
    """A5: over a second, the slowest first; page by page."""
    public_id = await city.customer("Acme", "acme")
    late = [one for one in sent if (one.us or 0) >= 1_000_000]

    whole, _ = await city.ask(slow, limit=1_000)
    first, place = await city.ask(slow, limit=7)
    second, _ = await city.ask(slow, limit=7, after=place)

    exact = sorted(((one.us, one.at, one.endpoint, f"r-{one.number}") for one in late), reverse=True)
    assert sorted(exact) == sorted(map(seconds, whole))
    assert sorted((one.latency_us for one in whole), reverse=True) == [one.latency_us for one in whole]
    assert whole[:14] == first + second
    acmes, _ = await city.ask(slow, limit=1_000, customers=[public_id], endpoints=["GET /a"], statuses=["5xx"])
    meant = [one for one in late if (one.subject, one.endpoint, (one.status or 0) // 100) == ("acme", "GET /a", 5)]
    assert sorted(f"r-{one.number}" for one in meant) == sorted(one.request_id for one in acmes)
    assert {("Acme", public_id)} == {(one.customer, one.customer_key) for one in acmes}


@pytest.mark.parametrize(("field", "asked"), [("key", {"keys": ["k-1"]}), ("source", {"sources": ["nginx-1"]})])
async def test_slow_requests_have_no_keys_and_sources(city: City, field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError) as error:
        await city.ask(slow, limit=5, **asked)

    assert field == error.value.field


async def test_requests_a_second_are_those_of_the_last_minute(city: City) -> None:
    """D9: 29 in a minute are 0.5, not 0."""
    hits = [Hit(number=n, at=NOW - timedelta(seconds=1 + 2 * n)) for n in range(29)]
    await city.sent([*hits, Hit(number=99, at=NOW - timedelta(seconds=61)), Hit(number=98, at=NOW)])

    async with city.usage.read() as read:
        found = await live(read, PID, now=NOW + timedelta(milliseconds=700))
        nobody = await live(read, PID + 1, now=NOW)

    assert (Decimal("0.5"), NOW) == (found.rps, found.up_to)
    assert [0, 1] * 29 + [0, 1] == [0, 0, *found.seconds[2:58], 0, 0] or sum(found.seconds) == 29
    assert (Decimal(0), 60) == (nobody.rps, len(nobody.seconds))


async def test_single_requests_are_found_newest_first(city: City, sent: list[Hit]) -> None:
    """D14: with address, user agent and key."""
    asked: dict[str, Any] = {"customers": ["acme", "globex"], "statuses": ["2xx"], "keys": ["k-1"]}
    pages, after = [], None
    for _ in range(100):
        page = await city.ask(search.requests, limit=5, after=after, **asked)
        pages.append(page)
        after = page.next
        if after is None:
            break

    meant = [one for one in sent if one.subject in asked["customers"] and one.key == "k-1"]
    meant = [one for one in meant if one.status in {200, 201}]
    found = [one for page in pages for one in page.requests]
    assert [f"h-{one.number}" for one in sorted(meant, key=lambda one: (one.at, one.number), reverse=True)] == [
        one.transaction_id for one in found
    ]
    one, hit = found[0], max(meant, key=lambda one: (one.at, one.number))
    assert ("192.0.2.0", "curl/8.5", f"{hit.route}?n={hit.number}") == (one.ip, one.user_agent, one.path)
    assert (hit.n_in or 0, hit.n_out or 0, hit.source) == (one.bytes_in, one.bytes_out, one.source)
    assert hit.latency is None or Decimal(hit.latency) == decimal_of(one.latency_ms or 0)


async def test_a_page_of_a_rare_thing_goes_on_where_it_has_looked(
    city: City, sent: list[Hit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 1)
    rare = Hit(number=9_999, at=FROM - HOUR, status=418)
    await city.sent([rare, *hits_of(400, seed=14, from_at=FROM, to_at=TO, first=2_000)])

    first = await city.ask(search.requests, limit=5, statuses=["418"], from_at=FROM - 2 * HOUR)
    second = await city.ask(search.requests, limit=5, statuses=["418"], from_at=FROM - 2 * HOUR, after=first.next)

    assert ([], first.next[0]) == (first.requests, first.looked_up_to)
    assert ["h-9999"] == [one.transaction_id for one in second.requests]
    assert second.next is None
