"""Sources in the browser: how far each has come, and to retire one; and a day that waits."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from heartfly.web.state import WebState
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town
from tests.web.test_usage_pages import said, text

pytestmark = pytest.mark.anyio

ROOT = "/p/main/usage"
MIDNIGHT = START.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


@pytest.fixture
async def heard(town: Town, web: WebState) -> Town:
    event = {
        "transaction_id": "t-1",
        "customer_id": "c",
        "event_type": "call",
        "timestamp": START.isoformat(),
        "properties": {},
    }
    await web.api.events.take(town.world.project.pid, [event], wire="native", source="app <1>")
    return town


async def test_without_sources_it_is_said_how_to_be_one(town: Town) -> None:
    assert "Heartfly-Source: app-1" in await text(await town.owner(), "/sources")


async def test_a_source_is_shown_and_retired_by_who_may_write(heard: Town) -> None:
    owner, viewer = await heard.owner(), await heard.viewer()
    before = await text(owner, "/sources")
    assert "app <1>" in before
    assert "live" in before
    assert "Retire" not in (await text(viewer, "/sources")).replace("retire it", "")

    retired = await owner.post(f"{ROOT}/sources", {"name": "app <1>"})
    assert (303, f"{ROOT}/sources") == (retired.status, retired.headers["location"])
    assert "retired" in await text(owner, "/sources")
    assert 404 == (await owner.post(f"{ROOT}/sources", {"name": "none"})).status
    assert 404 == (await owner.post(f"{ROOT}/sources", {"name": "\0"})).status


async def test_a_day_that_waits_says_for_whom(heard: Town, clock: SimClock) -> None:
    owner = await heard.owner()
    day = f"/jobs/{START.date()}"
    clock.move_to(MIDNIGHT + timedelta(hours=3))
    owner = await heard.owner()
    await owner.post(f"{ROOT}{day}", {"do": "close"})
    shown = await text(owner, day)

    assert "Provisional" in shown
    assert re.search(r"waits for app <1> ?, until a day has passed", shown)
    assert "Its sources had told up to" in said((await owner.get(f"{ROOT}{day}")).body)
