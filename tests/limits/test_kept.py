"""How limits stand, who was denied, what is kept of it and for how long, and what a rule would have denied."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.amounts import ONE, text_of
from heartfly.core.money import rate
from heartfly.db.models import limit_counters, limit_denials, limit_hours, limit_reservations, limit_told
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.limits import commands, queries, simulate, upkeep
from heartfly.limits.asked import Asked, wanted_of
from heartfly.limits.simulate import simulate as simulated
from tests.limits.conftest import START
from tests.limits.desk import PID, Desk
from tests.sim_clock import SimClock
from tests.world import TEST

pytestmark = pytest.mark.anyio


async def n_rows(desk: Desk, table: sa.Table) -> int:
    async with desk.usage.read() as read:
        return int((await read.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


async def denials(desk: Desk, **asked: Any) -> list[Any]:
    async with desk.usage.read() as read:
        return list(await queries.list_denials(read, PID, **({"limit": 100} | asked)))


async def test_a_limit_tells_its_fullest_counter_and_its_last_day(desk: Desk) -> None:
    limit = await desk.limit(amount="5", scope={"customer": "each"})
    for customer, n in (("a", 1), ("b", 4), ("c", 6)):
        for _ in range(n):
            await desk.check(customer=customer)

    shown = await desk.shown(limit)

    assert shown.fullest is not None
    assert (("c",), "5", "5", 100, True) == (
        shown.fullest.applied.values, text_of(shown.fullest.used), text_of(shown.fullest.held), shown.fullest.percent,
        shown.fullest.approaching,
    )  # fmt: skip
    assert (3, 11, 1, 0) == (shown.n_counters, shown.checked, shown.denied, shown.opened)
    assert {("c",): "5", ("b",): "4", ("a",): "1"} == await desk.used(limit)


async def test_counters_come_page_by_page_the_fullest_first(desk: Desk) -> None:
    limit = await desk.limit(amount="5", scope={"customer": "each"})
    for n in range(9):
        for _ in range(1 + n % 3):
            await desk.check(customer=f"c-{n}")
    row = (await desk.shown(limit)).row

    found: list[str] = []
    after = None
    while True:
        async with desk.usage.read() as read:
            page = await queries.counters_of(read, PID, row, now=desk.clock.now(), after=after, limit=2)
        if not page:
            break
        found += [one.applied.values[0] for one, _, _ in page]
        after = page[-1][1:]

    assert ["c-2", "c-5", "c-8", "c-1", "c-4", "c-7", "c-0", "c-3", "c-6"] == found


async def test_who_was_denied_is_told_by_minute_with_why(desk: Desk, clock: SimClock) -> None:
    limit = await desk.limit(amount="1", scope={"customer": "each"}, name="one an hour")
    for _ in range(3):
        await desk.check(provider="openai", customer="acme", ttl=timedelta(hours=1))
    clock.move_to(START + timedelta(minutes=1))
    await desk.check(customer="acme", tags=("x",))
    await desk.check(customer="other")
    await desk.check(customer="other")

    found = await denials(desk)

    assert [('["acme"]', 1), ('["other"]', 1), ('["acme"]', 2)] == [(row.scope, row.n) for row in found]
    assert ("one an hour", limit, {"customer": "acme", "provider": "openai"}, ONE, ONE) == (
        found[2].name, found[2].uuid, found[2].call, found[2].wanted, found[2].used,
    )  # fmt: skip
    assert 3_660_000_000 == found[2].wait_us
    after = (found[0].last_at, found[0].limit_id, found[0].scope)
    assert found[1:] == await denials(desk, after=after)
    assert found[2:] == await denials(desk, after=(found[1].last_at, found[1].limit_id, found[1].scope))
    assert [] == await denials(desk, public_id="another")


async def test_a_thousand_denials_in_a_minute_are_a_row(desk: Desk) -> None:
    await desk.limit(amount="0")

    await asyncio.gather(*(desk.check() for _ in range(1_000)))

    assert [1_000] == [row.n for row in await denials(desk)]


async def test_what_is_past_goes_and_nothing_grows_without_end(desk: Desk, clock: SimClock) -> None:
    await desk.limit(amount="1", scope={"customer": "each"})
    for n in range(5):
        held = await desk.reserved(customer=f"c-{n}")
        await desk.check(customer=f"c-{n}")
        if n % 2:
            await desk.commit(held, requests=1)
    tables = (limit_counters, limit_reservations, limit_denials, limit_hours)
    assert [5, 5, 5, 1] == [await n_rows(desk, table) for table in tables]

    clock.move_to(START + timedelta(hours=1, minutes=2))
    await desk.upkeep.round()
    assert [0, 5, 5, 1] == [await n_rows(desk, table) for table in tables]
    clock.move_to(START + timedelta(days=2, minutes=1))
    await desk.upkeep.round()
    assert [0, 0, 5, 1] == [await n_rows(desk, table) for table in tables]
    clock.move_to(START + timedelta(days=9))
    await desk.upkeep.round()
    assert [0, 0, 0, 0] == [await n_rows(desk, table) for table in tables]


async def test_of_a_project_without_limits_any_more_what_was_reserved_goes_as_well(desk: Desk, clock: SimClock) -> None:
    limit = await desk.limit(amount="5", scope={"customer": "each"})
    for customer in ("a", "b"):
        held = await desk.reserved(customer=customer)
    await desk.commit(held, requests=1)
    await desk.delete(limit)
    clock.move_to(START + timedelta(days=2, minutes=1))
    await desk.upkeep.round()

    assert 0 == await n_rows(desk, limit_reservations)


async def test_what_nobody_ended_is_given_back_also_if_nobody_checks(desk: Desk, clock: SimClock) -> None:
    limit = await desk.limit(amount="5")
    await asyncio.gather(*(desk.check(ttl=timedelta(seconds=5)) for _ in range(5)))
    clock.move_to(START + timedelta(seconds=6))
    await desk.upkeep.round()

    assert {} == await desk.used(limit)


async def test_of_denials_and_of_what_providers_said_the_newest_are_kept(
    desk: Desk, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST_DENIALS", 3)
    monkeypatch.setattr(upkeep, "MOST_TOLD", 2)
    await desk.limit(amount="0", scope={"customer": "each"})
    for n in range(6):
        clock.move_to(START + timedelta(seconds=n))
        await desk.check(customer=f"c-{n}")
        await desk.track({"provider": f"p-{n}", "ratelimit.a.limit": "1"})
    await desk.upkeep.round()

    assert ['["c-5"]', '["c-4"]', '["c-3"]'] == [row.scope for row in await denials(desk)]
    async with desk.usage.read() as read:
        assert ["p-4", "p-5"] == [row.provider for row in await queries.told_by_providers(read, PID, limit=9)]
    assert 2 == await n_rows(desk, limit_told)


async def test_more_than_a_piece_of_reservations_expire_with_the_checks_that_follow(
    desk: Desk, clock: SimClock
) -> None:
    limit = await desk.limit(amount="600")
    for _ in range(3):
        await asyncio.gather(*(desk.check(ttl=timedelta(seconds=5)) for _ in range(200)))
    clock.move_to(START + timedelta(seconds=6))

    assert [True, True] == [await desk.allowed(), await desk.allowed()]
    assert {(): "2"} == await desk.used(limit)


# --- what makes limits of its own


async def test_what_makes_a_limit_of_its_own_changes_it_and_takes_it_back_and_people_cannot(desk: Desk) -> None:
    def wanted(amount: str, scope: dict[str, str] = {}) -> commands.Wanted:  # noqa: B006 - read only
        asked = wanted_of(
            Asked(kind="calendar", window="month", unit="cost:USD", amount=amount, scope=scope, always=True),
            zone="Europe/Berlin",
        )
        return commands.Wanted(name="Budget", limit=asked.limit, source="budget:1")

    at, ids = desk.clock.now(), desk.ids

    async def provide(one: commands.Wanted) -> str:
        return await desk.usage.write(lambda tx: commands.provide(tx, PID, one, actor=TEST, at=at, ids=ids))

    limit = await provide(wanted("10"))
    await desk.usage.write(lambda tx: commands.set_used(tx, PID, limit, 9 * ONE, at=at))
    await desk.limit(amount="100", unit="cost:USD", kind="calendar", window="month", scope={"customer": "acme"})
    assert {(): "9"} == await desk.used(limit)
    assert not await desk.allowed(customer="acme", units={"cost:USD": 2})

    assert limit == await provide(wanted("12"))
    assert await desk.allowed(customer="acme", units={"cost:USD": 2})
    for refused in (desk.edit(limit, amount=ONE), desk.delete(limit)):
        with pytest.raises(ConflictError):
            await refused
    moved = await provide(wanted("12", {"provider": "openai"}))
    assert limit != moved
    assert {} == await desk.used(moved)
    await desk.usage.write(lambda tx: commands.withdraw(tx, PID, "budget:1", actor=TEST, at=at, ids=ids))
    with pytest.raises(NotFoundError):
        await desk.shown(moved)


async def test_what_is_used_of_a_rate_cannot_be_told(desk: Desk) -> None:
    limit = await desk.limit(kind="rate", amount="5", period_s=60)

    with pytest.raises(InvalidValueError):
        await desk.usage.write(lambda tx: commands.set_used(tx, PID, limit, ONE, at=START))


async def test_there_is_one_limit_of_a_kind_for_the_same_calls(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.limit(amount="5")

    with pytest.raises(ConflictError, match="is for the same calls"):
        await desk.limit(amount="9")
    await desk.limit(amount="9", period_s=60)
    monkeypatch.setattr(commands, "MOST_LIMITS", 2)
    with pytest.raises(ConflictError, match="all that it may have"):
        await desk.limit(amount="9", period_s=61)


@pytest.mark.parametrize(
    ("asked", "field"), [({"burst": ONE}, "burst"), ({"period_us": 60_000_000}, "period_s"), ({"amount": -1}, "amount")]
)
async def test_what_a_quota_has_not_cannot_be_edited(desk: Desk, asked: dict[str, Any], field: str) -> None:
    limit = await desk.limit(amount="5")

    with pytest.raises(InvalidValueError) as told:
        await desk.edit(limit, **asked)
    assert field == told.value.field


# --- what a rule would have denied


async def test_a_rule_is_tried_on_the_last_week(desk: Desk, clock: SimClock) -> None:
    for hour in range(3):
        at = START - timedelta(hours=3 - hour)
        await desk.track(*({"provider": "openai", "user": f"u-{n % 2}"} for n in range(10)), {"provider": "x"}, at=at)
    await desk.track({"provider": "openai"}, at=START - timedelta(days=8))
    asked = Asked(policy="3;w=600;s=user", scope={"provider": "openai"})

    found = await simulated(desk.usage, PID, wanted_of(asked, zone="UTC").limit, now=clock.now())

    assert (33, 30, 12, "18") == (found.calls, found.fitting, found.denied, text_of(found.used))
    assert {("u-0",): 6, ("u-1",): 6} == dict(found.by_value)
    assert [4, 4, 4] == [n for _, n in sorted(found.by_hour.items())]
    assert START - timedelta(hours=3) == found.first_denied_at
    assert {("u-0",): 3 * ONE, ("u-1",): 3 * ONE} == found.fullest
    assert not found.cut
    assert 0 == await n_rows(desk, limit_counters)


async def test_a_rule_on_cost_by_the_calendar_is_tried_too_and_too_many_calls_are_cut(
    desk: Desk, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate, "_PAGE", 2)
    monkeypatch.setattr(simulate, "MOST_CALLS", 5)
    for n in range(8):
        at = START - timedelta(days=1) + timedelta(minutes=n)
        await desk.track({"cost": "0.4", "currency": "USD"}, at=at)
    asked = Asked(kind="calendar", window="day", unit="cost:USD", amount="1")

    found = await simulated(desk.usage, PID, wanted_of(asked, zone="Asia/Tokyo").limit, now=clock.now())

    assert (4, 2, True) == (found.calls, found.denied, found.cut)
    assert START - timedelta(days=1) + timedelta(minutes=4) == found.to_at


async def test_a_rule_on_cost_prices_each_call_that_does_not_say_what_it_cost(desk: Desk, clock: SimClock) -> None:
    call = {"provider": "openai", "model": "gpt-5", "units.input_tokens": "400"}
    changed = START - timedelta(hours=2)
    await desk.price(amount=rate("0.001"), to_at=changed)
    await desk.price(amount=rate("0.002"), from_at=changed)
    await desk.price(amount=rate("0.004"), tier="batch")
    await desk.track(call, at=changed - timedelta(minutes=1))  # 0.4
    await desk.track(call | {"model": "unknown"}, at=changed)  # no price
    await desk.track(call, at=changed + timedelta(minutes=1))  # 0.8
    await desk.track(call | {"cost": "0.2", "currency": "USD"}, at=changed + timedelta(minutes=2))
    await desk.track(call | {"tier": "batch"}, at=changed + timedelta(minutes=3))  # 1.6, more than is left
    asked = Asked(kind="calendar", window="day", unit="cost:USD", amount="2")

    found = await simulated(desk.usage, PID, wanted_of(asked, zone="UTC").limit, now=clock.now())

    assert (5, 5, 1, "1.4") == (found.calls, found.fitting, found.denied, text_of(found.used))
    assert changed + timedelta(minutes=3) == found.first_denied_at


async def test_without_calls_nothing_would_have_been_denied(desk: Desk) -> None:
    limit = wanted_of(Asked(policy="1;w=60"), zone="UTC").limit

    found = await simulated(desk.usage, PID, limit, now=datetime(2026, 3, 2, tzinfo=UTC))

    assert (0, 0, 0) == (found.calls, found.fitting, found.denied)
