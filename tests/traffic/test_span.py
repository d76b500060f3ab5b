"""What many questions have in common is looked up once, and changes no answer, even if it has grown old meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from heartfly.core.windows import Size
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.traffic import heat, ranked, series, totals
from heartfly.traffic.asked import Asked, Order
from heartfly.traffic.span import settled_first
from heartfly.usage.request_tiers import Kept, remove_old_tiers
from tests.traffic.city import FROM, TO, ZONE, City, make_city, statuses
from tests.traffic.oracle import hits_of
from tests.usage.factory import HOUR, PID

pytestmark = pytest.mark.anyio


@pytest.fixture
async def city(usage_db: Database, ids: IdSource) -> City:
    made = make_city(usage_db, ids)
    await made.sent(hits_of(200, seed=5, from_at=FROM - HOUR, to_at=TO))
    await made.fold()
    return made


async def answers(city: City, asked: Asked, now: datetime) -> list[object]:
    async with city.usage.read() as read:
        whole, trust = await totals.totals(read, PID, asked, now=now)
        bins, _ = await series.series(read, PID, asked, size=Size.HOUR, now=now)
        heats = [await one(read, PID, asked, now=now) for one in (heat.over_time, heat.over_week)]
        customers = await ranked.customers(read, PID, asked, by=Order.P95, limit=3, now=now)
        return [
            *(statuses(whole), trust, await totals.n_customers(read, PID, asked, now=now)),
            [(one.window, one.open, statuses(one.by_status)) for one in bins],
            [(one.trust, {place: statuses(cell) for place, cell in one.cells.items()}) for one in heats],
            *(customers.trust, [(one.key, statuses(one.by_status)) for one in customers.rows]),
        ]


async def known(city: City, asked: Asked, now: datetime) -> Asked:
    async with city.usage.read() as read:
        return await settled_first(read, PID, asked, now=now)


async def test_an_answer_is_the_same_whether_it_was_looked_up_before_or_not(city: City) -> None:
    now = city.clock.now()
    plain = Asked(from_at=FROM, to_at=TO, zone=ZONE)
    first = await known(city, plain, now)

    assert plain == first
    assert 1 == len(first.known)
    assert await answers(city, plain, now) == await answers(city, first, now)


async def test_what_is_thinned_since_is_counted_by_its_days_and_events_all_the_same(city: City) -> None:
    async def ours() -> None:
        return None

    later = city.clock.now() + timedelta(days=200)
    plain = Asked(from_at=FROM + HOUR, to_at=TO, zone=ZONE)
    first = await known(city, plain, later)
    before = await answers(city, plain, later)
    kept = Kept(minutes=timedelta(hours=48), hours=timedelta(days=90))
    await remove_old_tiers(city.usage, PID, kept=kept, now=later, fence=ours)

    assert before == await answers(city, plain, later)
    assert before == await answers(city, first, later)


async def test_what_came_and_was_folded_since_is_in_the_answer_all_the_same(city: City) -> None:
    now = city.clock.now()
    plain = Asked(from_at=FROM, to_at=TO, zone=ZONE)
    await city.sent([replace(one, number=10_000 + one.number) for one in hits_of(40, seed=6, from_at=FROM, to_at=TO)])
    first = await known(city, plain, now)  # when those wait to be folded
    await city.fold()
    async with city.usage.read() as read:
        (by_status, _), (told, _) = [await totals.totals(read, PID, one, now=now) for one in (plain, first)]

    assert statuses(by_status) == statuses(told)
