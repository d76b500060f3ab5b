"""Calls of which only their events tell: they count with their event, once, and no reservation counts twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.core.money import rate
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import events
from heartfly.db.parts import USAGE
from heartfly.limits import queries
from heartfly.usage import corrections
from tests.limits.conftest import START
from tests.limits.desk import PID, Desk
from tests.sim_clock import SimClock
from tests.world import TEST

pytestmark = pytest.mark.anyio

CALL = {"provider": "openai", "model": "gpt-5", "user": "ann", "tags": "a,b", "units.input_tokens": "40"}


async def test_a_call_that_was_only_tracked_takes_its_part_of_every_limit_that_holds(desk: Desk) -> None:
    by_user = await desk.limit(amount="5", scope={"user": "each"})
    by_tag = await desk.limit(amount="5", scope={"tag": "each"})
    tokens = await desk.limit(amount="100", unit="tokens", scope={"provider": "openai", "customer": "each"})
    cost = await desk.limit(amount="1", unit="cost:USD", kind="calendar", window="month")

    await desk.track(CALL, CALL | {"cost": "0.25", "currency": "USD"}, {"provider": "other"})

    assert {("ann",): "2"} == await desk.used(by_user)
    assert {("a",): "2", ("b",): "2"} == await desk.used(by_tag)
    assert {("acme",): "80"} == await desk.used(tokens)
    assert {(): "0.25"} == await desk.used(cost)
    assert not await desk.allowed(provider="openai", customer="acme", units={"input_tokens": 21})
    assert await desk.allowed(provider="openai", customer="acme", units={"input_tokens": 20})


async def test_the_same_event_sent_again_counts_once(desk: Desk) -> None:
    limit = await desk.limit(amount="5")

    for _ in range(3):
        await desk.track(CALL | {"request_id": "r-1"}, CALL | {"request_id": "r-1"})

    assert {(): "1"} == await desk.used(limit)


async def test_a_call_that_was_committed_does_not_count_once_more_with_its_event(desk: Desk) -> None:
    limit = await desk.limit(amount="100", unit="input_tokens")
    held = await desk.reserved(provider="openai", units={"input_tokens": 60})
    await desk.commit(held, input_tokens=40)

    await desk.track(CALL | {"reservation": held})

    assert {(): "40"} == await desk.used(limit)


async def test_an_event_ends_the_reservation_that_it_names_and_the_commit_may_come_after_it(desk: Desk) -> None:
    limit = await desk.limit(amount="100", unit="input_tokens")
    held = await desk.reserved(units={"input_tokens": 60})

    await desk.track(CALL | {"reservation": held}, CALL | {"reservation": held})
    ended = await desk.commit(held, input_tokens=40)

    assert ("committed", True) == (ended.state, ended.repeated)
    assert {(): "40"} == await desk.used(limit)


async def test_an_event_of_a_call_that_was_said_not_to_be_made_counts(desk: Desk, clock: SimClock) -> None:
    limit = await desk.limit(amount="5")
    released, expired = await desk.reserved(), await desk.reserved(ttl=timedelta(seconds=1))
    await desk.release(released)
    clock.move_to(START + timedelta(seconds=2))

    await desk.track(*({"reservation": name} for name in (released, expired, "lr_1f", "nonsense")))

    assert {(): "4"} == await desk.used(limit)


@pytest.mark.parametrize("tokens", ["100000000000000", "99999999999999999999"])
async def test_a_call_of_any_size_is_kept_with_its_event_and_its_commit(
    desk: Desk, clock: SimClock, tokens: str
) -> None:
    limit = await desk.limit(amount="1000", unit="tokens", kind="rate", period_s=60)
    held = await desk.reserved(units={"tokens": 1})

    await desk.track({"provider": "openai", "units.tokens": tokens})
    await desk.commit(held, tokens=tokens)

    assert {(): "2000"} == await desk.used(limit)
    async with desk.usage.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(events))).scalar_one()
    clock.move_to(START + timedelta(minutes=2))
    assert await desk.allowed(units={"tokens": 1_000})


async def test_a_limit_that_takes_longer_than_there_are_dates_counts_and_denies(desk: Desk) -> None:
    most = "99999999999999999999"
    limit = await desk.limit(amount="1", unit="tokens", kind="rate", period_s=60, burst=most)

    await desk.reserved(units={"tokens": most})
    assert not await desk.allowed(units={"tokens": most})

    assert {(): most} == await desk.used(limit)
    async with desk.usage.read() as read:
        assert [2**62] == [row.wait_us for row in await queries.list_denials(read, PID, limit=10)]


async def test_a_call_that_is_told_late_counts_when_it_was_made(desk: Desk, clock: SimClock) -> None:
    limit = await desk.limit(amount="5")

    await desk.track(CALL, at=START - timedelta(minutes=50))
    await desk.track(CALL, at=START - timedelta(hours=3))
    assert {(): "1"} == await desk.used(limit)
    clock.move_to(START + timedelta(minutes=11))
    assert {} == await desk.used(limit)


async def test_what_is_no_call_and_what_says_nonsense_stops_no_event(desk: Desk) -> None:
    limit = await desk.limit(amount="5", unit="images")

    await desk.track({"units.images": "-1"}, {"units.images": "x"}, {"tags": "[", "units.images": "2"})
    await desk.ingest.take(PID, [{"transaction_id": "o", "customer_id": "c", "timestamp": START.isoformat(),
                                  "event_type": "api.request"}], wire="native")  # fmt: skip

    assert {(): "2"} == await desk.used(limit)
    async with desk.usage.read() as read:
        assert 4 == (await read.execute(sa.select(sa.func.count()).select_from(events))).scalar_one()


async def test_without_limits_events_of_calls_are_kept_all_the_same(desk: Desk) -> None:
    await desk.track(CALL)

    async with desk.usage.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(events))).scalar_one()


async def test_what_providers_say_of_their_own_limits_is_known_as_their_newest_call_told_it(desk: Desk) -> None:
    told = {"provider": "openai", "model": "gpt-5", "ratelimit.requests.remaining": "9"}
    newer = told | {"ratelimit.requests.remaining": "7"}

    await desk.track(newer, told | {"provider": ""})
    await desk.track(told, at=START - timedelta(minutes=5))
    await desk.track(told | {"model": "small"}, {"provider": "quiet"})

    async with desk.usage.read() as read:
        found = await queries.told_by_providers(read, PID, limit=10)
        after = await queries.told_by_providers(read, PID, after=("openai", "gpt-5"), limit=10)
    assert [("gpt-5", START, {"requests.remaining": "7"}), ("small", START, {"requests.remaining": "9"})] == [
        (row.model, row.at, row.told) for row in found
    ]
    assert ["small"] == [row.model for row in after]


async def test_a_correction_changes_nothing_of_what_was_used(desk: Desk) -> None:
    limit = await desk.limit(amount="5")
    await desk.track(CALL | {"request_id": "r-1"})

    def void(tx: Tx) -> None:
        corrections.void(tx, PID, "r-1", reason="x", actor=TEST, at=desk.clock.now(), ids=desk.ids)

    await desk.usage.write(void)

    assert {(): "1"} == await desk.used(limit)


async def test_events_on_one_node_and_checks_on_another_share_what_there_is(
    desk: Desk, database_url: str, tmp_path: Path, clock: SimClock
) -> None:
    if not desk.usage.on_postgres:
        return
    limit = await desk.limit(amount="30")
    other = Database(url=database_url, data_dir=tmp_path, clock=SystemClock(), node_id=2, part=USAGE)
    other.start()
    beside = Desk(other, IdSource(2), clock)
    try:
        asked = asyncio.gather(*(desk.check() for _ in range(40)))
        tracked = (beside.track(*({"request_id": f"n-{n}-{i}"} for i in range(3))) for n in range(5))
        await asyncio.gather(*tracked)
        told = await asked
    finally:
        await other.stop()

    allowed = sum(one.denied_by is None for one in told)
    assert 15 <= allowed <= 30
    assert {(): str(allowed + 15)} == await desk.used(limit)


# --- what calls cost, by the project's prices


async def test_what_nobody_says_a_call_costs_is_its_price_at_its_instant(desk: Desk) -> None:
    await desk.price(amount=rate("0.00000125"))
    limit = await desk.limit(amount="1", unit="cost:USD", scope={"provider": "openai"})

    await desk.track(CALL | {"units.input_tokens": "200000"})
    assert {(): "0.25"} == await desk.used(limit)
    assert not await desk.allowed(provider="openai", model="gpt-5", units={"input_tokens": 600_001})
    held = await desk.reserved(provider="openai", model="gpt-5", units={"input_tokens": 400_000})
    assert {(): "0.75"} == await desk.used(limit)
    await desk.commit(held, **{"cost:USD": "0.1"})
    assert {(): "0.35"} == await desk.used(limit)


async def test_a_price_that_changes_holds_from_then_on_and_what_has_no_price_costs_nothing_here(desk: Desk) -> None:
    await desk.price(amount=rate("0.001"), to_at=START - timedelta(minutes=5))
    limit = await desk.limit(amount="10", unit="cost:USD")
    await desk.track(CALL, at=START - timedelta(minutes=6))
    await desk.track(CALL)  # no price is in force
    assert {(): "0.04"} == await desk.used(limit)

    await desk.price(amount=rate("0.002"), from_at=START - timedelta(minutes=5))
    await desk.track(CALL, {"provider": "free", "units.input_tokens": "9"})
    assert {(): "0.12"} == await desk.used(limit)
    await desk.track(CALL | {"cost": "1", "currency": "USD"})  # what is given wins
    assert {(): "1.12"} == await desk.used(limit)


async def test_what_a_call_costs_is_rounded_up_never_down(desk: Desk) -> None:
    await desk.price(amount=1)  # 10^-30
    limit = await desk.limit(amount="1", unit="cost:USD")

    await desk.track(CALL)

    assert {(): "0.000000000000000001"} == await desk.used(limit)


@pytest.mark.parametrize("told", [{"cost": "8", "currency": "USD"}, {"units.input_tokens": "8000"}])
async def test_a_commit_without_a_cost_is_completed_by_its_event_once(desk: Desk, told: dict[str, str]) -> None:
    await desk.price(amount=rate("0.001"))
    limit = await desk.limit(amount="10", unit="cost:USD", scope={"user": "each"})
    tokens = await desk.limit(amount="100", unit="input_tokens")

    for _ in range(2):
        held = await desk.reserved(provider="openai", model="unknown", user="ann")
        await desk.commit(held, input_tokens=40)
        for _ in range(2):  # each with a transaction id of its own
            await desk.track(CALL | told | {"reservation": held})
        assert ("committed", True) == ((again := await desk.commit(held, input_tokens=40)).state, again.repeated)

    assert {("ann",): "16"} == await desk.used(limit)
    assert {(): "80"} == await desk.used(tokens)
    assert not await desk.allowed(provider="openai", user="ann")


async def test_an_event_before_the_commit_tells_the_cost_and_neither_tells_it_again(desk: Desk) -> None:
    limit = await desk.limit(amount="10", unit="cost:USD")
    event = CALL | {"cost": "8", "currency": "USD"}
    held = await desk.reserved()

    await desk.track(event | {"reservation": held})
    await desk.commit(held, input_tokens=40)
    await desk.track(event | {"reservation": held})

    assert {(): "8"} == await desk.used(limit)


async def test_an_event_adds_to_a_commit_only_what_was_neither_reserved_nor_told(desk: Desk) -> None:
    dollars = await desk.limit(amount="100", unit="cost:USD")
    euros = await desk.limit(amount="100", unit="cost:EUR")
    event = CALL | {"cost": "8", "currency": "USD"}

    told = await desk.reserved()
    await desk.commit(told, **{"cost:USD": "1"})
    reserved = await desk.reserved(units={"cost:USD": "5", "cost:EUR": "2"})
    await desk.commit(reserved)
    assert {(): "6"} == await desk.used(dollars)
    await desk.track(event | {"reservation": told}, event | {"reservation": reserved})

    assert {(): "9"} == await desk.used(dollars)
    assert {(): "2"} == await desk.used(euros)


async def test_a_late_commit_without_a_cost_is_completed_at_the_instant_of_its_event(
    desk: Desk, clock: SimClock
) -> None:
    limit = await desk.limit(amount="10", unit="cost:USD")
    held = await desk.reserved(ttl=timedelta(seconds=1))
    clock.move_to(START + timedelta(minutes=30))
    assert (await desk.commit(held)).late

    await desk.track(CALL | {"cost": "8", "currency": "USD", "reservation": held}, at=START)

    assert {(): "8"} == await desk.used(limit)
    clock.move_to(START + timedelta(minutes=62))
    assert {} == await desk.used(limit)


async def test_a_commit_is_completed_for_the_limits_that_are_left(desk: Desk) -> None:
    gone = await desk.limit(amount="10", unit="cost:USD", scope={"user": "each"})
    left = await desk.limit(amount="10", unit="cost:USD", always=True)
    held = await desk.reserved(user="ann")
    await desk.commit(held)
    await desk.delete(gone)

    await desk.track(CALL | {"cost": "8", "currency": "USD", "reservation": held})

    assert {(): "8"} == await desk.used(left)
