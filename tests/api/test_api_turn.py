"""What the API does with a check at its deadline: the caller waits for the judge, or hears why not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from heartfly.checks import queries
from heartfly.monitor.judge import Judge
from tests.api.conftest import START
from tests.api.door import House, Reply
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

DEADLINE = START + timedelta(hours=1, minutes=10)
HOURLY = {"kind": "period", "period": 3600}
CHANGES: list[tuple[str, str, Any, int]] = [
    ("PATCH", "/v1/checks/{id}", {"grace": 7200}, 200),
    ("POST", "/v1/checks?upsert=slug", {"slug": "job", "grace": 7200}, 200),
    ("POST", "/v1/checks/{id}/pause", None, 200),
    ("POST", "/v1/checks/{id}/resume", None, 409),
]


async def overdue(house: House, clock: SimClock) -> Any:
    """A check at its deadline that nobody has judged."""
    asked = {"name": "job", "slug": "job", "schedule": HOURLY, "grace": 600}
    check = (await house.full("POST", "/v1/checks", asked)).json
    await house.world.ping(await row_of(house, check), START)
    clock.move_to(DEADLINE)
    return check


async def row_of(house: House, check: Any) -> Any:
    async with house.world.db.read() as read:
        return await queries.find(read, house.world.project.pid, check["id"])


async def asking(house: House, clock: SimClock, *what: Any, **how: Any) -> asyncio.Future[Reply]:
    """A request that was told once already that it is not its turn."""
    asked = asyncio.ensure_future(house.full(*what, **how))
    async with asyncio.timeout(60):
        while not clock.n_asleep:
            assert not asked.done()
            await house.world.db.write(lambda _: None)
    return asked


async def answered(house: House, clock: SimClock, asked: asyncio.Future[Reply]) -> Reply:
    async with asyncio.timeout(60):
        while not asked.done():
            clock.move_to(clock.now() + timedelta(milliseconds=50))
            await house.world.db.write(lambda _: None)
    return asked.result()


@pytest.mark.parametrize(("method", "path", "body", "status"), CHANGES)
async def test_a_change_at_the_deadline_is_made_after_the_alarm(
    house: House, clock: SimClock, method: str, path: str, body: Any, status: int
) -> None:
    check = await overdue(house, clock)
    judge = Judge(ids=house.world.ids)

    asked = await asking(house, clock, method, path.format(**check), body)
    await house.world.db.write(lambda tx: judge.judge(tx, through=DEADLINE, now=DEADLINE))

    assert status == (await answered(house, clock, asked)).status
    flips = await house.world.flips(await row_of(house, check))
    assert ["success", "missed"] == [flip.reason for flip in flips[:2]]


async def test_where_nobody_judges_the_caller_is_asked_to_try_again(house: House, clock: SimClock) -> None:
    check = await overdue(house, clock)

    asked = await asking(house, clock, "PATCH", f"/v1/checks/{check['id']}", {"grace": 7200})
    told = await answered(house, clock, asked)

    assert (503, "2") == (told.status, told.headers["retry-after"])
    assert 600 == (await row_of(house, check)).grace_s


async def test_who_asked_for_a_check_that_is_up_changes_none_that_is_down(house: House, clock: SimClock) -> None:
    check = await overdue(house, clock)
    path, judge = f"/v1/checks/{check['id']}", Judge(ids=house.world.ids)
    seen = (await house.full("GET", path)).headers["etag"]

    asked = await asking(house, clock, "PATCH", path, {"grace": 7200}, headers=[("If-Match", seen)])
    await house.world.db.write(lambda tx: judge.judge(tx, through=DEADLINE, now=DEADLINE))

    assert 412 == (await answered(house, clock, asked)).status


async def test_a_check_is_deleted_at_its_deadline_without_waiting(house: House, clock: SimClock) -> None:
    check = await overdue(house, clock)

    assert 204 == (await house.full("DELETE", f"/v1/checks/{check['id']}")).status
