"""Whose a check's fields are: told on its page, given back and kept there."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.audit.record import Actor
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, ScheduleIn
from heartfly.checks.described import upsert
from heartfly.checks.owned import BY
from tests.web.conftest import START, Town
from tests.web.test_live import page_of
from tests.world import TEST

pytestmark = pytest.mark.anyio

PATH = "/p/main/checks/nightly"


async def described(town: Town, grace: int) -> Any:
    """By Cronitor's client."""
    asked = CheckIn(schedule=ScheduleIn(kind="period", period=600), grace=grace)
    world = town.world
    return await world.db.write(
        lambda tx: upsert(
            tx, world.project.pid, "nightly", asked, at=START, ids=world.ids, actor=Actor("key:x"), most=100,
            **{BY: "Cronitor"},
        )
    )  # fmt: skip


async def edited(town: Town, uuid: str, **asked: Any) -> None:
    world = town.world
    await world.db.write(
        lambda tx: commands.edit(tx, world.project.pid, uuid, CheckIn(**asked), at=START, ids=world.ids, actor=TEST)
    )


async def test_a_field_is_given_back_and_kept_on_the_check_s_page(town: Town) -> None:
    uuid = (await described(town, 300)).uuid
    await edited(town, uuid, grace=60)
    owner = await town.owner()
    page = await page_of(owner, PATH)
    assert "Set by a person, and left alone by Cronitor:" in page
    assert 'aria-label="Give back: Grace"' in page
    assert 'aria-label="Keep as it is: Schedule"' in page
    assert ("grace",) == (await described(town, 900)).kept

    given = await owner.post(f"{PATH}/owners", {"field": "grace", "whose": "client"})

    assert (303, f"/p/main/checks/{uuid}") == (given.status, given.headers["location"])
    assert 'aria-label="Keep as it is: Grace"' in await page_of(owner, PATH)
    assert () == (await described(town, 900)).kept
    assert 303 == (await owner.post(f"{PATH}/owners", {"field": "grace", "whose": "person"})).status
    assert ("grace",) == (await described(town, 600)).kept
    assert "owner of grace" in await page_of(owner, "/p/main/audit")


async def test_viewers_see_whose_it_is_and_have_no_buttons(town: Town) -> None:
    await described(town, 300)

    page = await page_of(await town.viewer(), PATH)

    assert 'id="whose"' in page
    assert "/owners" not in page


async def test_of_a_check_that_nobody_describes_nothing_is_said_and_a_file_is_named(town: Town) -> None:
    check = await town.world.check(START, name="Backup", tags=("db",))
    owner = await town.owner()
    path = f"/p/main/checks/{check.uuid}"
    assert 'id="whose"' not in await page_of(owner, path)
    await edited(town, check.uuid, tags=["db", "managed:team-a"])

    page = await page_of(owner, path)

    assert "The file <bdi>team-a</bdi>, by <code>heartfly apply</code>" in page
    assert "Set by a person" not in page
    assert 422 == (await owner.post(f"{path}/owners", {"field": "slug", "whose": "client"})).status
    assert 422 == (await owner.post(f"{path}/owners", {"field": "grace", "whose": "me"})).status
