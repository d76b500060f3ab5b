"""The default rules: they come with the first call, each of them fires, and what is deleted stays deleted."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.limits.rules import Kind, Limit
from heartfly.core.limits.scope import scope_of
from heartfly.limits.apply import LimitApplier
from heartfly.limits.book import Book
from heartfly.limits.commands import Wanted
from heartfly.limits.commands import create as create_limit
from heartfly.limits.tracked import TrackedCalls
from heartfly.rules.commands import delete
from heartfly.rules.defaults import DEFAULTS
from heartfly.usage.apply import EventApplier
from heartfly.usage.ingest import EventIngest
from tests.jobs.workshop import HOUR, MINUTE
from tests.rules.neighbourhood import TEN, Neighbourhood
from tests.world import TEST

pytestmark = pytest.mark.anyio

RATE_80, RATE_95 = "Rate limit at 80 %", "Rate limit at 95 %"
COST_80, COST_95 = "Cost limit at 80 %", "Cost limit at 95 %"


@pytest.fixture
def limited(there: Neighbourhood) -> Neighbourhood:
    """Calls that are tracked count against limits, as in a server."""
    calls = TrackedCalls(LimitApplier(Book(), there.ids))
    applier = EventApplier(there.ids, calls=calls)
    there.plant.ingest = EventIngest(there.usage, applier, there.story.clock, keep=timedelta(days=400))
    return there


async def limit(there: Neighbourhood, name: str, unit: str, most: int, *, each: str = "") -> None:
    scope = scope_of({each: "each"} if each else {})
    period_us = 3_600 * 1_000_000
    one = Limit(id=0, scope=scope, unit=unit, kind=Kind.ROLLING, amount=most * ONE, period_us=period_us)
    at = there.story.clock.now()
    await there.usage.write(
        lambda tx: create_limit(tx, there.pid, Wanted(name=name, limit=one), actor=TEST, at=at, ids=there.ids)
    )


def firing(told: list[str]) -> list[str]:
    return sorted(one.removeprefix("rule.firing ") for one in told if one.startswith("rule.firing"))


async def begin(there: Neighbourhood) -> None:
    """The first call, with which the rules come."""
    await there.calls(TEN)
    await there.shop.look()
    await there.look(TEN + MINUTE)


async def test_they_come_with_the_first_call_and_with_nothing_before(there: Neighbourhood) -> None:
    await there.requests(TEN)
    await there.shop.look()
    await there.look(TEN + MINUTE)
    assert [] == await there.rules()

    await there.calls(TEN + 2 * MINUTE)
    await there.look(TEN + 3 * MINUTE)
    await there.look(TEN + 4 * MINUTE)
    found = {
        row.origin: (row.severity, row.definition["cooldown"] // 60, row.definition["conditions"][0]["window"] // 3600)
        for row in await there.rules()
    }
    assert {
        "default:rate_80": ("medium", 60, 1),
        "default:rate_95": ("critical", 30, 1),
        "default:cost_80": ("medium", 360, 24),
        "default:cost_95": ("critical", 180, 24),
        "default:error_rate": ("high", 120, 1),
    } == found


async def test_a_rate_fires_at_80_and_at_95_percent_of_any_limit_in_each_of_its_scopes(
    limited: Neighbourhood,
) -> None:
    await limit(limited, "hourly", "requests", 100, each="customer")
    await begin(limited)
    await limited.calls(TEN + MINUTE, 79, customer="small")
    await limited.calls(TEN + MINUTE, 80, customer="large")

    assert [f"{RATE_80} (limit hourly: large)"] == firing(await limited.look(TEN + 2 * MINUTE))
    await limited.calls(TEN + 2 * MINUTE, 1, customer="small")
    await limited.calls(TEN + 2 * MINUTE, 15, customer="large")
    assert [f"{RATE_80} (limit hourly: small)", f"{RATE_95} (limit hourly: large)"] == firing(
        await limited.look(TEN + 3 * MINUTE)
    )


async def test_a_cost_fires_at_80_and_at_95_percent_and_is_no_rate(limited: Neighbourhood) -> None:
    await limit(limited, "spend", "cost:USD", 10)
    await begin(limited)
    await limited.calls(TEN + MINUTE, 8, cost="1", currency="USD")
    assert [f"{COST_80} (limit spend)"] == firing(await limited.look(TEN + 2 * MINUTE))
    await limited.calls(TEN + 2 * MINUTE, 3, cost="0.5", currency="USD")
    assert [f"{COST_95} (limit spend)"] == firing(await limited.look(TEN + 3 * MINUTE))


async def test_an_error_rate_fires_past_10_percent_of_enough_calls(there: Neighbourhood) -> None:
    await begin(there)
    await there.calls(TEN + MINUTE, 2, status="500")
    await there.calls(TEN + MINUTE, 16)
    assert [] == firing(await there.look(TEN + 2 * MINUTE))
    await there.calls(TEN + 2 * MINUTE, 1, status=None, error="connection reset")
    assert ["Error rate of a provider (provider openai)"] == firing(await there.look(TEN + 3 * MINUTE))


async def test_a_cooldown_holds_for_as_long_as_it_says(there: Neighbourhood) -> None:
    await begin(there)
    told: list[int] = []
    for half_hours in range(10):
        at = TEN + HOUR + half_hours * HOUR / 2
        await there.calls(at, 30, status="500" if half_hours % 3 == 0 else "200")
        told += [half_hours] * len(firing(await there.look(at + MINUTE)))
    assert told[0] == 0
    assert all(later - earlier >= 4 for earlier, later in pairwise(told))


async def test_what_was_deleted_does_not_come_back_by_itself(there: Neighbourhood) -> None:
    await begin(there)
    (first, *rest) = await there.rules()
    at = TEN + 2 * MINUTE
    await there.story.world.db.write(lambda tx: delete(tx, there.pid, first.uuid, at=at, actor=TEST, ids=there.ids))
    await there.look(TEN + 3 * MINUTE)
    assert len(DEFAULTS) - 1 == len(rest) == len(await there.rules())
