"""How much there may be: whoever asks for more is told the setting that says so, and nothing is made."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.api.native import native_api
from heartfly.config import Settings
from heartfly.config.settings import Limits
from tests.api.door import Door, House, state_of
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

FULL = "checks in the project: 2, as many as limits.checks allows"


def tight(house: House, clock: SimClock, **limits: int) -> Door:
    world = house.world
    return Door(native_api(state_of(world.db, clock, world.ids, Settings(limits=Limits(**limits)))), house.full.key)


async def n_checks(house: House) -> int:
    return len((await house.full("GET", "/v1/checks")).json["items"])


async def test_a_project_has_so_many_checks_and_no_more(house: House, neighbour: House, clock: SimClock) -> None:
    door = tight(house, clock, checks=2)
    made = [(await door("POST", "/v1/checks", {"name": name, "slug": name})).json for name in "ab"]
    other = (await neighbour.full("POST", "/v1/checks", {"name": "theirs"})).json
    moving = tight(neighbour, clock, checks=2)
    asked: tuple[tuple[Door, str, Any], ...] = (
        (door, "/v1/checks", {"name": "c"}),
        (door, "/v1/checks?upsert=slug", {"slug": "c"}),
        (door, f"/v1/checks/{made[0]['id']}/copy", {}),
        (moving, f"/v1/checks/{other['id']}/transfer", {"key": house.full.key}),
    )
    for one, path, body in asked:
        refused = await one("POST", path, body)
        assert (409, FULL) == (refused.status, refused.json["detail"]), path
    assert (2, 1) == (await n_checks(house), await n_checks(neighbour))
    # What makes none is no matter of the limit.
    assert 200 == (await door("POST", "/v1/checks?upsert=slug", {"slug": "a", "grace": 120})).status
    assert 201 == (await moving("POST", "/v1/checks", {"name": "d"})).status


async def test_there_are_so_many_projects_and_no_more(house: House, neighbour: House, clock: SimClock) -> None:
    refused = await tight(house, clock, projects=2)("POST", "/v1/projects", {"slug": "third"})

    assert (409, "projects: 2, as many as limits.projects allows") == (refused.status, refused.json["detail"])
    assert neighbour.world.project.pid != house.world.project.pid
    assert 201 == (await tight(house, clock, projects=3)("POST", "/v1/projects", {"slug": "third"})).status
