"""What is asked for long after: days stay, with all that hours told; and what a customer is reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.windows import Size
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.traffic import ranked
from heartfly.traffic.asked import Order
from heartfly.traffic.series import series
from heartfly.traffic.totals import totals
from heartfly.usage.close_day import Closer
from heartfly.usage.request_tiers import Kept, remove_old_tiers
from tests.traffic.city import City, is_near, make_city, ms, statuses
from tests.traffic.oracle import by_status, grouped, hits_of, percentile
from tests.usage.factory import HOUR, NOW, PID

pytestmark = pytest.mark.anyio

DAY = datetime(2026, 11, 27, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def city(usage_db: Database, ids: IdSource) -> City:
    return make_city(usage_db, ids)


async def nothing() -> None:
    return


async def test_when_hours_are_gone_days_tell_the_same_and_hours_come_out_of_the_events(city: City) -> None:
    """D7: percentiles are kept as long as counts, over any window and filter."""
    hits = hits_of(200, seed=31, from_at=DAY + 3 * HOUR, to_at=DAY + 7 * HOUR)
    await city.sent(hits)
    await Closer(city.usage, city.folder, city.clock, city.ids).close(PID, DAY.date(), UTC_ZONE)
    later = NOW + timedelta(days=200)
    kept = Kept(minutes=timedelta(hours=48), hours=timedelta(days=90))

    removed = await remove_old_tiers(city.usage, PID, kept=kept, now=later, fence=nothing)

    assert removed.hours > 0
    whole, trust = await city.ask(totals, from_at=DAY, to_at=DAY + 24 * HOUR, now=later)
    his, _ = await city.ask(totals, from_at=DAY, to_at=DAY + 24 * HOUR, customers=["acme"], statuses=["2xx"], now=later)
    meant = [one for one in hits if one.subject == "acme" and one.status in {200, 201}]
    assert (by_status(hits), by_status(meant)) == (statuses(whole), statuses(his))
    assert is_near(percentile(hits, 95), ms(whole, 95))
    assert (False, False) == (trust.partial, trust.of_events)
    bins, trust = await city.ask(
        series, size=Size.HOUR, from_at=DAY, to_at=DAY + 24 * HOUR, customers=["acme"], now=later
    )
    hours = grouped(
        (one for one in hits if one.subject == "acme"), lambda one: one.at.replace(minute=0, second=0, microsecond=0)
    )
    assert {hour: by_status(some) for hour, some in hours.items()} == {
        one.window.from_at: statuses(one.by_status) for one in bins if one.by_status.n
    }
    assert not trust.partial


async def test_a_customers_thirty_days_are_told_by_day_and_by_endpoint(city: City) -> None:
    """A8, D3, D4."""
    public_id = await city.customer("Acme", "acme", "acme-eu")
    from_at = datetime(2026, 10, 29, tzinfo=UTC)
    hits = [
        one
        for number in range(0, 30, 3)
        for one in hits_of(
            12,
            seed=number,
            from_at=from_at + timedelta(days=number),
            to_at=from_at + timedelta(days=number, hours=2),
            first=100 * number,
        )
    ]
    await city.sent(hits)
    await city.fold()
    for number in range(0, 30, 6):
        day = from_at + timedelta(days=number)
        await city.folder.fold_day(PID, day, day + timedelta(days=1))
    asked: dict[str, Any] = {"from_at": from_at, "to_at": DAY + timedelta(days=1), "customers": [public_id]}

    days, _ = await city.ask(series, size=Size.DAY, **asked)
    top = await city.ask(ranked.endpoints, by=Order.REQUESTS, limit=3, **asked)

    his = [one for one in hits if one.subject in {"acme", "acme-eu"}]
    by_day = grouped(his, lambda one: one.at.replace(hour=0, minute=0, second=0, microsecond=0))
    assert 30 == len(days)
    assert {day: by_status(some) for day, some in by_day.items()} == {
        one.window.from_at: statuses(one.by_status) for one in days if one.by_status.n
    }
    assert by_status(his) == statuses(top.all)
    groups = grouped(his, lambda one: one.endpoint)
    assert sorted(groups, key=lambda name: (-len(groups[name]), name))[:3] == [row.key for row in top.rows]
