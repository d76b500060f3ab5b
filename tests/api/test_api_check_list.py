"""A long list of checks: quick because most of it was rendered before, and never older than what is committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.fragments import Fragments
from heartfly.core.words import PingKind
from heartfly.db.models import checks
from tests.api.conftest import START
from tests.api.door import Door, House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def listed(door: Door, query: str = "") -> list[Any]:
    reply = await door("GET", f"/v1/checks?limit=1000{query}")
    assert 200 == reply.status, reply.json
    found: list[Any] = reply.json["items"]
    return found


async def agrees(house: House) -> list[Any]:
    """What the list shows is what each check shows by itself, to either kind of key."""
    for door in (house.read, house.full):
        items = await listed(door)
        assert items == [(await door("GET", f"/v1/checks/{item['id']}")).json for item in items]
    return items


@contextmanager
def rows_asked_for(house: House) -> Iterator[list[int]]:
    """Of each statement that fetches whole rows of checks, how many it names."""
    asked: list[int] = []

    def seen(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
        if "checks.ping_uuid" in statement and "checks.id IN" in statement:
            asked.append(len(parameters) - 1)

    sa.event.listen(sa.Engine, "before_cursor_execute", seen)
    try:
        yield asked
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", seen)


async def test_a_page_of_1000_checks_is_one_answer_and_of_more_two(house: House) -> None:
    await _many(house, 1001)

    first = (await house.read("GET", "/v1/checks?limit=1000")).json
    second = (await house.read("GET", f"/v1/checks?limit=1000&cursor={first['next']}")).json

    assert [f"job-{n:04}" for n in range(1001)] == [item["slug"] for item in first["items"] + second["items"]]
    assert (1000, None) == (len(first["items"]), second["next"])
    refused = await house.read("GET", "/v1/checks?limit=1001")
    assert (422, ["limit"]) == (refused.status, refused.fields)


async def _many(house: House, n: int) -> None:
    """Copies of one that was made, as fast as the database takes them."""
    row = (await house.world.check(START))._asdict()

    def copied(number: int) -> Any:
        slug, uuid = f"job-{number:04}", f"3f0f8f9e-6a1c-4a55-8d4c-{number:012}"
        return row | {"id": row["id"] + number, "uuid": uuid, "slug": slug, "slug_key": slug}

    def inserted(some: list[Any]) -> Callable[[Any], object]:
        return lambda tx: tx.conn.execute(sa.insert(checks), some)

    await house.world.db.write(lambda tx: tx.conn.execute(sa.delete(checks).where(checks.c.pid == row["pid"])))
    for start in range(0, n, 100):
        some = [copied(number) for number in range(start, min(n, start + 100))]
        await house.world.db.write(inserted(some))


async def test_only_what_has_changed_is_fetched_again(house: House) -> None:
    some = [await house.world.check(START) for _ in range(3)]
    with rows_asked_for(house) as asked:
        before = await listed(house.full)
        assert [3] == asked
        assert before == await listed(house.full)
        assert before[:1] == await listed(house.full, f"&q={some[0].slug}")
        assert [3] == asked
        await house.world.ping(some[1], START + MINUTE)

        after = await listed(house.full)

    assert [3, 1] == asked
    assert ["new", "up", "new"] == [item["status"] for item in after]
    assert [before[0], before[2]] == [after[0], after[2]]


EDITS: dict[str, Any] = {
    "name": "another",
    "slug": "another",
    "tags": ["x"],
    "description": "What it does.",
    "schedule": {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin"},
    "grace": 61,
    "max_run": 62,
    "methods": "POST",
    "filters": {"success": ["done"]},
    "gates": [{"metric": "rows", "op": ">", "value": "1"}],
    "tolerance": {"failures": 3},
    "bounds": ["run >= 1m"],
    "sticky": True,
    "channels": [],
}


@pytest.mark.parametrize("field", EDITS)
async def test_a_field_that_was_edited_shows_at_once(house: House, field: str) -> None:
    await hook(house)
    check = await house.world.check(START)
    before = await agrees(house)

    reply = await house.full("PATCH", f"/v1/checks/{check.uuid}", {field: EDITS[field]})

    assert 200 == reply.status, reply.json
    after = await agrees(house)
    assert before[0][field] != after[0][field]


async def hook(house: House, name: str = "hook") -> str:
    asked = {"kind": "webhook", "name": name, "config": {"url": "https://example.org/"}}
    reply = await house.full("POST", "/v1/channels", asked)
    assert 201 == reply.status, reply.json
    made: str = reply.json["id"]
    return made


Act = Callable[[House, SimClock, Any], Awaitable[object]]


async def _rotate(house: House, _clock: SimClock, check: Any) -> object:
    return await house.full("POST", f"/v1/checks/{check.uuid}/rotate-ping-url", {})


async def _pause(house: House, _clock: SimClock, check: Any) -> object:
    return await house.full("POST", f"/v1/checks/{check.uuid}/pause")


async def _start(house: House, _clock: SimClock, check: Any) -> object:
    return await house.world.ping(check, START + MINUTE, PingKind.START)


async def _fail(house: House, _clock: SimClock, check: Any) -> object:
    return await house.world.ping(check, START + MINUTE, PingKind.FAIL)


async def _log(house: House, _clock: SimClock, check: Any) -> object:
    return await house.world.ping(check, START + MINUTE, PingKind.LOG)


async def _late(_house: House, clock: SimClock, _check: Any) -> None:
    clock.move_to(START + HOUR)


ACTS: dict[str, tuple[Act, str]] = {
    "a rotation, to who may write": (_rotate, "ping_url"),
    "a rotation, to all": (_rotate, "old_ping_url_until"),
    "a pause": (_pause, "status"),
    "a start": (_start, "running"),
    "a fail": (_fail, "status_reason"),
    "a log": (_log, "n_pings"),
    "that it is late now": (_late, "late"),
}


@pytest.mark.parametrize("case", ACTS)
async def test_what_happens_to_a_check_shows_at_once(house: House, clock: SimClock, case: str) -> None:
    act, field = ACTS[case]
    check = await house.world.check(START)
    await house.world.ping(check, START)
    before = await agrees(house)

    await act(house, clock, check)

    assert before[0][field] != (await agrees(house))[0][field]


async def test_a_job_that_a_check_watches_from_now_on_shows_at_once(house: House) -> None:
    check = await house.world.check(START)
    await agrees(house)

    this = (checks.c.pid == check.pid, checks.c.id == check.id)
    await house.world.db.write(lambda tx: tx.conn.execute(sa.update(checks).where(*this).values(job="retention")))

    assert ["retention"] == [item["job"] for item in await agrees(house)]


async def test_what_only_the_clock_changes_shows_on_the_instant_also_when_it_is_set_back(
    house: House, clock: SimClock
) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)
    await house.full("POST", f"/v1/checks/{check.uuid}/rotate-ping-url", {"overlap": 7200})
    shown = []

    for at in (HOUR - timedelta(microseconds=1), HOUR, 2 * HOUR - timedelta(microseconds=1), 2 * HOUR, HOUR - MINUTE):
        clock.step_wall(START + at - clock.now())
        (item,) = await agrees(house)
        shown.append((item["late"], item["old_ping_url_until"] is not None))

    assert [(False, True), (True, True), (True, True), (True, False), (False, True)] == shown


async def test_channels_that_come_and_go_show_at_once_in_the_order_in_which_they_were_made(house: House) -> None:
    check = await house.world.check(START)
    assert [] == (await agrees(house))[0]["channels"]

    first = await hook(house, "zebra")
    assert [first] == (await agrees(house))[0]["channels"]
    second = await hook(house, "ant")
    assert [first, second] == (await agrees(house))[0]["channels"]
    await house.full("DELETE", f"/v1/channels/{first}")
    assert [second] == (await agrees(house))[0]["channels"]
    await house.full("PATCH", f"/v1/channels/{second}", {"checks": []})
    assert [] == (await agrees(house))[0]["channels"]
    await house.full("PATCH", f"/v1/channels/{second}", {"checks": [check.uuid]})
    assert [second] == (await agrees(house))[0]["channels"]


async def test_who_may_only_read_sees_no_address_whoever_asked_before(house: House) -> None:
    check = await house.world.check(START)
    for door in (house.full, house.read, house.full, house.read):
        reply = await door("GET", "/v1/checks")
        assert (door is house.full) == (check.ping_uuid.encode() in reply.body)


async def test_a_check_that_was_moved_or_deleted_is_in_no_list_of_the_project_that_had_it(
    house: House, neighbour: House
) -> None:
    moved, deleted = await house.world.check(START), await house.world.check(START)
    assert 2 == len(await agrees(house))

    key = neighbour.full.key
    assert 200 == (await house.full("POST", f"/v1/checks/{moved.uuid}/transfer", {"key": key})).status
    assert 204 == (await house.full("DELETE", f"/v1/checks/{deleted.uuid}")).status

    assert [] == await agrees(house)
    assert [moved.uuid] == [item["id"] for item in await agrees(neighbour)]


def at(minute: int) -> datetime:
    return datetime(2026, 3, 2, 10, minute, tzinfo=UTC)


def test_a_fragment_is_that_of_its_version_and_from_turn_to_turn() -> None:
    kept = Fragments()
    kept.put("a", 1, b"one", now=at(5), turns=[at(3), at(8), at(9), at(2)])

    assert (None, b"one", b"one", None) == tuple(kept.get("a", 1, at(n)) for n in (2, 3, 7, 8))
    assert (None, None) == (kept.get("a", 2, at(5)), kept.get("b", 1, at(5)))
    kept.put("a", 2, b"two!", now=at(5))
    assert (None, b"two!", 4) == (kept.get("a", 1, at(5)), kept.get("a", 2, at(5)), kept.n_bytes)


def test_of_fragments_those_are_kept_that_were_asked_for_last_and_never_more_than_they_may_take() -> None:
    kept = Fragments(most_bytes=10)
    for name in "abc":
        kept.put(name, 1, b"xxx", now=at(0))
    assert b"xxx" == kept.get("a", 1, at(0))

    kept.put("d", 1, b"xxx", now=at(0))
    assert [b"xxx", None, b"xxx", b"xxx"] == [kept.get(name, 1, at(0)) for name in "abcd"]
    kept.put("e", 1, b"x" * 11, now=at(0))
    assert (0, None) == (kept.n_bytes, kept.get("e", 1, at(0)))
