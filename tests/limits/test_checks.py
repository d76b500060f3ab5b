"""Checks with reservation: nobody is given room that somebody else has, and what is not used is given back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.clock import SystemClock
from heartfly.core.amounts import ONE, text_of
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.parts import USAGE
from heartfly.errors import ConflictError, NotFoundError
from tests.limits.conftest import START
from tests.limits.desk import Desk
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

CALLERS, MOST = 200, 50
KINDS: list[dict[str, Any]] = [
    {"kind": "rolling", "period_s": 3_600},
    {"kind": "rate", "period_s": 3_600},
    {"kind": "calendar", "window": "month"},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind["kind"]))
async def test_of_two_hundred_callers_at_one_time_exactly_as_many_are_let_through_as_there_is_room_for(
    desk: Desk, kind: dict[str, Any]
) -> None:
    limit = await desk.limit(amount=str(MOST), scope={"provider": "openai"}, **kind)

    told = await asyncio.gather(*(desk.check(provider="openai", customer=f"c-{n}") for n in range(CALLERS)))

    assert MOST == sum(one.denied_by is None for one in told)
    assert MOST == len({one.reservation for one in told} - {None})
    assert {(): str(MOST)} == await desk.used(limit)


async def test_reservations_of_many_units_never_overshoot_either(desk: Desk) -> None:
    limit = await desk.limit(amount="1000", unit="input_tokens", scope={"customer": "each"})

    told = await asyncio.gather(
        *(desk.check(customer=f"c-{n % 2}", units={"input_tokens": 7 + n % 13}) for n in range(CALLERS))
    )

    assert 0 < sum(one.denied_by is not None for one in told) < CALLERS
    for used in (await desk.used(limit)).values():
        assert 1000 - 20 < int(used) <= 1000


async def test_two_nodes_share_what_there_is(desk: Desk, database_url: str, tmp_path: Path, clock: SimClock) -> None:
    if not desk.usage.on_postgres:
        return
    limit = await desk.limit(amount=str(MOST))
    other = Database(url=database_url, data_dir=tmp_path, clock=SystemClock(), node_id=2, part=USAGE)
    other.start()
    beside = Desk(other, IdSource(2), clock)
    try:
        told = await asyncio.gather(*(one.check() for _ in range(CALLERS // 2) for one in (desk, beside)))
    finally:
        await other.stop()

    assert MOST == sum(one.denied_by is None for one in told)
    assert {(): str(MOST)} == await desk.used(limit)


async def test_an_edit_on_one_node_holds_on_the_other_with_its_next_check(
    desk: Desk, database_url: str, tmp_path: Path, clock: SimClock
) -> None:
    if not desk.usage.on_postgres:
        return
    other = Database(url=database_url, data_dir=tmp_path, clock=SystemClock(), node_id=2, part=USAGE)
    other.start()
    beside = Desk(other, IdSource(2), clock)
    try:
        limit = await desk.limit(amount="1")
        assert await beside.allowed()
        assert not await beside.allowed()
        await desk.edit(limit, amount=2 * ONE)
        assert await beside.allowed()
    finally:
        await other.stop()


async def test_without_limits_everything_is_allowed_and_nothing_is_reserved(desk: Desk) -> None:
    told = await desk.check(provider="openai")

    assert (None, None, ()) == (told.denied_by, told.reservation, tuple(told.standings))
    with pytest.raises(NotFoundError):
        await desk.commit("lr_1f", requests=1)


async def test_a_look_reserves_nothing(desk: Desk) -> None:
    limit = await desk.limit(amount="1")

    assert [True, True] == [await desk.allowed(reserve=False) for _ in range(2)]
    assert {} == await desk.used(limit)
    assert await desk.allowed()
    assert not await desk.allowed(reserve=False)


async def test_the_limit_that_denies_is_named_with_what_remains_and_when_there_is_room_again(desk: Desk) -> None:
    await desk.limit(amount="10", name="all calls")
    await desk.limit(amount="2", unit="images", kind="calendar", window="day", period_s=None, name="images a day")
    assert await desk.allowed(units={"images": 2})

    told = await desk.check(units={"images": 1})

    assert told.denied_by is not None
    assert told.rules is not None
    assert "images a day" == told.rules.rows[told.denied_by.applied.limit.id].name
    assert ["9", "0"] == [text_of(one.remaining) for one in told.standings]
    assert 14 * 3600 * 1_000_000 == told.denied_by.wait_us  # it is ten o'clock


async def test_what_is_released_is_there_for_the_next(desk: Desk) -> None:
    await desk.limit(amount="1")
    first = await desk.reserved()
    assert not await desk.allowed()

    assert "released" == (await desk.release(first)).state
    assert await desk.allowed()


async def test_a_commit_gives_back_what_was_not_used_and_takes_what_was_used_beyond(desk: Desk) -> None:
    limit = await desk.limit(amount="100", unit="output_tokens")
    less = await desk.reserved(units={"output_tokens": 60})
    assert {(): "60"} == await desk.used(limit)

    await desk.commit(less, output_tokens=10)
    assert {(): "10"} == await desk.used(limit)
    more = await desk.reserved(units={"output_tokens": 50})
    ended = await desk.commit(more, output_tokens=120)
    assert {(): "130"} == await desk.used(limit)
    assert [0] == [one.remaining for one in ended.standings]
    assert not await desk.allowed(units={"output_tokens": 1})


async def test_what_nobody_ends_is_given_back_when_its_time_is_over(desk: Desk, clock: SimClock) -> None:
    limit = await desk.limit(amount="1")
    lost = await desk.reserved(ttl=timedelta(seconds=30))

    clock.move_to(START + timedelta(seconds=29))
    assert not await desk.allowed()
    clock.move_to(START + timedelta(seconds=30))
    assert await desk.allowed(ttl=timedelta(seconds=1))
    clock.move_to(START + timedelta(seconds=40))

    late = await desk.commit(lost, requests=1)
    assert (True, "committed") == (late.late, late.state)
    assert {(): "1"} == await desk.used(limit)
    assert not await desk.allowed()


async def test_what_expired_and_is_released_stays_given_back(desk: Desk, clock: SimClock) -> None:
    limit = await desk.limit(amount="1")
    lost = await desk.reserved(ttl=timedelta(seconds=1))
    clock.move_to(START + timedelta(seconds=2))

    assert ("expired", True) == ((ended := await desk.release(lost)).state, ended.late)
    assert {} == await desk.used(limit)


async def test_told_again_an_end_is_answered_again_and_another_end_is_refused(desk: Desk) -> None:
    limit = await desk.limit(amount="5", unit="images")
    first, second = await desk.reserved(units={"images": 2}), await desk.reserved(units={"images": 2})

    assert [False, True] == [(await desk.commit(first, images=1)).repeated for _ in range(2)]
    assert [False, True] == [(await desk.release(second)).repeated for _ in range(2)]
    for wrong in (desk.commit(first, images=2), desk.release(first), desk.commit(second, images=2)):
        with pytest.raises(ConflictError):
            await wrong
    assert {(): "1"} == await desk.used(limit)


@pytest.mark.parametrize("name", ["", "lr_", "lr_zz", "lr_7fffffffffffffff", "lr_ffffffffffffffff", "1f"])
async def test_a_reservation_that_is_none_is_not_found(desk: Desk, name: str) -> None:
    await desk.limit(amount="5")

    with pytest.raises(NotFoundError):
        await desk.release(name)


async def test_asked_again_by_the_same_key_nothing_more_is_reserved(desk: Desk) -> None:
    limit = await desk.limit(amount="1")

    told = await asyncio.gather(*(desk.check(again="my-call-1") for _ in range(20)))

    assert 1 == len({one.reservation for one in told})
    assert [False] + [True] * 19 == sorted(one.repeated for one in told)
    assert {(): "1"} == await desk.used(limit)
    with pytest.raises(ConflictError):
        await desk.check(again="my-call-1", units={"requests": 2})


async def test_a_key_is_free_again_when_its_call_was_not_made(desk: Desk, clock: SimClock) -> None:
    await desk.limit(amount="1")
    first = await desk.check(again="again", ttl=timedelta(seconds=10))
    assert first.reservation is not None
    await desk.release(f"lr_{first.reservation:x}")

    second = await desk.check(again="again", ttl=timedelta(seconds=10))
    assert (False, True) == (second.repeated, second.reservation not in {None, first.reservation})
    clock.move_to(START + timedelta(seconds=11))
    third = await desk.check(again="again", ttl=timedelta(seconds=10))
    assert (False, True) == (third.repeated, third.reservation not in {None, second.reservation})
    assert third.reservation is not None
    await desk.commit(f"lr_{third.reservation:x}", requests=1)
    assert (await desk.check(again="again", ttl=timedelta(seconds=10))).repeated


async def test_what_was_denied_by_a_key_may_be_asked_for_again(desk: Desk) -> None:
    await desk.limit(amount="1")
    held = await desk.reserved()
    assert not await desk.allowed(again="k")
    await desk.release(held)

    assert await desk.allowed(again="k")


async def test_in_one_batch_a_key_is_reserved_released_and_reserved_anew(desk: Desk) -> None:
    limit = await desk.limit(amount="1")
    name = await desk.reserved(again="k")

    ended, told, _ = await asyncio.gather(desk.release(name), desk.check(again="k"), desk.check(again="other"))

    assert ("released", False) == (ended.state, told.repeated)
    assert {(): "1"} == await desk.used(limit)


async def test_projects_do_not_share_anything(desk: Desk, usage_db: Database, ids: IdSource, clock: SimClock) -> None:
    other = Desk(usage_db, ids, clock, pid=8)
    mine, theirs = await desk.limit(amount="1"), await other.limit(amount="2")
    first = await desk.reserved(again="k")

    assert [True, True, False] == [await other.allowed(again=key) for key in ("k", "", "")]
    with pytest.raises(NotFoundError):
        await other.release(first)
    assert ({(): "1"}, {(): "2"}) == (await desk.used(mine), await other.used(theirs))


async def test_checks_of_several_projects_come_together_and_are_told_apart(
    desk: Desk, usage_db: Database, ids: IdSource, clock: SimClock
) -> None:
    desks = [desk, *(Desk(usage_db, ids, clock, pid=pid) for pid in (3, 9))]
    for one in desks:
        one.checker = desk.checker
        await one.limit(amount=str(one.pid))

    told = await asyncio.gather(*(one.check() for _ in range(12) for one in desks))

    assert [7, 3, 9] == [sum(one.denied_by is None for one in told[n::3]) for n in range(3)]


async def test_an_edit_keeps_what_was_used(desk: Desk) -> None:
    limit = await desk.limit(amount="2")
    assert [True, True, False] == [await desk.allowed() for _ in range(3)]

    await desk.edit(limit, amount=3 * ONE)
    assert [True, False] == [await desk.allowed() for _ in range(2)]
    assert {(): "3"} == await desk.used(limit)


async def test_a_paused_limit_denies_nobody_and_the_general_one_holds_meanwhile(desk: Desk) -> None:
    await desk.limit(amount="5")
    special = await desk.limit(amount="0", scope={"customer": "acme"})
    assert not await desk.allowed(customer="acme")

    await desk.edit(special, active=False)
    told = await desk.check(customer="acme")
    assert (None, ["4"]) == (told.denied_by, [text_of(one.remaining) for one in told.standings])


async def test_what_a_deleted_limit_held_can_still_be_ended(desk: Desk) -> None:
    limit, other = await desk.limit(amount="5"), await desk.limit(amount="5", unit="tokens")
    held = await desk.reserved(units={"input_tokens": 3})
    await desk.delete(limit)

    ended = await desk.commit(held, input_tokens=1)

    assert ["4"] == [text_of(one.remaining) for one in ended.standings]
    assert {(): "1"} == await desk.used(other)


async def test_what_a_limit_of_each_value_counts_is_told_by_value(desk: Desk) -> None:
    limit = await desk.limit(amount="2", scope={"tag": "each"})

    assert [True, True, False] == [await desk.allowed(tags=("a", "b")) for _ in range(3)]
    assert await desk.allowed(tags=("c",))
    assert {("a",): "2", ("b",): "2", ("c",): "1"} == await desk.used(limit)
    assert await desk.allowed()


@pytest.mark.parametrize("dimension", ["provider", "model", "key", "customer", "user"])
async def test_there_are_limits_of_every_dimension(desk: Desk, dimension: str) -> None:
    await desk.limit(amount="1", scope={dimension: "each"})

    assert [True, False] == [await desk.allowed(**{dimension: "a"}) for _ in range(2)]
    assert await desk.allowed(**{dimension: "b"})
