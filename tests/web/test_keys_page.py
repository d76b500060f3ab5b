"""API keys and the ping key on their pages: secrets are seen once, and nobody hands out more than he may."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs

from heartfly.api.native import native_api
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys, projects
from heartfly.sealing import digest
from heartfly.web.pages import pages
from heartfly.web.state import WebState
from tests.api.door import Door
from tests.sim_clock import SimClock
from tests.usage.factory import Plant
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

KEYS, GENERAL = "/p/main/settings/keys", "/p/main/settings/general"


def secret_in(page: str) -> str:
    found = re.search(r"hf_[0-9A-Za-z]{43}", page)
    assert found is not None, page
    return found[0]


async def test_a_key_is_made_shown_once_and_works(town: Town, web: WebState, clock: SimClock) -> None:
    owner = await town.owner()
    made = await owner.post(KEYS, {"name": "deploy", "read": "1", "ends": "30"})
    secret = secret_in(made.body.decode())
    listed = (await owner.get(KEYS)).body.decode()

    assert 201 == made.status
    assert (False, True, True) == (secret in listed, f"{secret[:10]}…" in listed, "deploy" in listed)
    door = Door(native_api(web.api), secret)
    assert (200, 403) == ((await door("GET", "/v1/checks")).status, (await door("POST", "/v1/checks", {})).status)
    clock.move_to(START + timedelta(days=30))
    assert 401 == (await door("GET", "/v1/checks")).status
    assert "Has ended" in (await (await town.owner()).get(KEYS)).body.decode()


async def test_a_rotated_key_works_with_both_secrets_for_a_while(town: Town, web: WebState, clock: SimClock) -> None:
    owner = await town.owner()
    old = secret_in((await owner.post(KEYS, {"name": "deploy", "read": "1"})).body.decode())
    key = await town.key_id()
    rotated = await owner.post(f"{KEYS}/{key}/rotate", {"overlap": "3600"})
    new = secret_in(rotated.body.decode())
    doors = [Door(native_api(web.api), secret) for secret in (old, new)]

    assert [200, 200] == [(await door("GET", "/v1/checks")).status for door in doors]
    assert f"{old[:10]}… works until" in rotated.body.decode()
    clock.move_to(START + timedelta(hours=1))
    assert [401, 200] == [(await door("GET", "/v1/checks")).status for door in doors]
    assert 303 == (await owner.post(f"{KEYS}/{key}/revoke")).status
    assert [401, 401] == [(await door("GET", "/v1/checks")).status for door in doors]


@pytest.mark.parametrize(
    ("sent", "field"),
    [({"name": "", "read": "1"}, "name"), ({"name": "x"}, "scopes"), ({"name": "x", "read": "1", "ends": "7"}, "ends")],
)
async def test_a_key_that_cannot_be_is_refused_beside_its_field(
    town: Town, db: Database, sent: dict[str, str], field: str
) -> None:
    owner = await town.owner()
    told = await owner.post(KEYS, sent)

    assert (422, True) == (told.status, f'id="{field}-wrong"' in told.body.decode())
    async with db.read() as read:
        assert 4 == (await read.execute(sa.select(sa.func.count()).select_from(api_keys))).scalar_one()


async def test_an_admin_gets_no_key_that_could_make_him_an_owner(town: Town, db: Database) -> None:
    admin = await town.admin()
    async with db.read() as read:
        query = sa.select(api_keys.c.id).where(api_keys.c.pid == town.world.project.pid).order_by(api_keys.c.id)
        first = str((await read.execute(query)).scalars().first())
    made = await admin.post(KEYS, {"name": "mine", "read": "1", "admin": "1"})
    rotated = await admin.post(f"{KEYS}/{first}/rotate", {"overlap": "0"})
    fine = await admin.post(KEYS, {"name": "mine", "read": "1", "write": "1"})

    assert (403, 403, 201) == (made.status, rotated.status, fine.status)
    for reply in (made, rotated):
        assert "hf_" not in re.sub(r"hf_\w{7}…", "", reply.body.decode())


async def test_the_last_key_that_administers_stays(town: Town, db: Database) -> None:
    owner = await town.owner()
    async with db.read() as read:
        query = sa.select(api_keys.c.id).where(api_keys.c.pid == town.world.project.pid).order_by(api_keys.c.id)
        first = str((await read.execute(query)).scalars().first())
    told = await owner.post(f"{KEYS}/{first}/revoke")

    assert (409, True) == (told.status, "last key with the scope admin" in told.body.decode())


async def test_a_name_and_a_ping_key_are_changed(town: Town, db: Database) -> None:
    owner, old = await town.owner(), town.world.project.ping_key
    assert old in (await owner.get(GENERAL)).body.decode()
    edited = await owner.post(
        GENERAL, {"name": "Höhle & Söhne", "zone": "Europe/Berlin", "rev": await owner.hidden(GENERAL, "rev")}
    )
    rotate = {"overlap": "86400", "rev": await owner.hidden(GENERAL, "rev", form=1)}
    assert 303 == (await owner.post(f"{GENERAL}/rotate-ping-key", rotate)).status
    page = (await owner.get(GENERAL)).body.decode()
    seen = await owner.hidden(GENERAL, "rev")
    wrong = await owner.post(GENERAL, {"name": "x", "zone": "Middle/Earth", "rev": seen})

    assert (303, 422, True) == (edited.status, wrong.status, 'id="zone-wrong"' in wrong.body.decode())
    assert (False, True, True) == (old in page, "Höhle &amp; Söhne" in page, "The one before works until" in page)
    async with db.read() as read:
        row = (await read.execute(sa.select(projects).where(projects.c.slug == "main"))).one()
    assert ("Höhle & Söhne", "Europe/Berlin", digest(old)) == (row.name, row.zone, row.old_ping_key_hash)


async def test_whether_pings_make_checks_is_switched_by_a_box_and_stays_as_it_is_where_none_is_sent(town: Town) -> None:
    owner = await town.owner()

    async def box() -> bool:
        page = (await owner.get(GENERAL)).body.decode()
        found = re.search(r'<input type="checkbox" name="create_by_ping"[^>]*>', page)
        assert found is not None
        return "checked" in found[0]

    async def save(**sent: Any) -> int:
        asked = {"name": "Main", "zone": "UTC", "rev": await owner.hidden(GENERAL, "rev")}
        return (await owner.post(GENERAL, asked | sent)).status

    assert await box()
    assert 303 == await save(create_by_ping="0")
    assert not await box()
    assert 303 == await save(name="Other")
    assert not await box()
    assert 422 == await save(zone="Middle/Earth", create_by_ping=["1", "0"])
    assert not await box()
    assert 303 == await save(create_by_ping=["1", "0"])
    assert await box()


async def test_who_has_not_seen_another_edit_of_the_project_overwrites_nothing(town: Town, db: Database) -> None:
    owner, admin = await town.owner(), await town.admin()
    seen = await owner.hidden(GENERAL, "rev")
    theirs = {"name": "Theirs", "zone": "Europe/Riga", "rev": await admin.hidden(GENERAL, "rev")}
    assert 303 == (await admin.post(GENERAL, theirs)).status

    told = await owner.post(GENERAL, {"name": "Ours", "zone": "Europe/Riga", "rev": seen})
    page = re.sub(r"<[^>]+>", " ", told.body.decode())

    assert (409, True) == (told.status, "Somebody else changed this project meanwhile" in page)
    assert re.search(r"Name\s+Theirs\s+Ours", page)
    assert "Time zone  Europe" not in re.sub(r"\s+", "  ", page)  # in that they agree
    assert 'name="name" required maxlength="100" value="Ours"' in told.body.decode()
    async with db.read() as read:
        assert "Theirs" == (await read.execute(sa.select(projects.c.name).where(projects.c.slug == "main"))).scalar()
    # Saved again, by who has seen it now.
    now = re.findall(r'name="rev" value="(\d+)"', told.body.decode())[0]
    assert 303 == (await owner.post(GENERAL, {"name": "Ours", "zone": "Europe/Riga", "rev": now})).status


async def test_a_ping_key_that_is_rotated_twice_by_the_same_page_is_rotated_once(town: Town, db: Database) -> None:
    """A second click must not end the key that all jobs still have."""
    owner, old = await town.owner(), town.world.project.ping_key
    rotate = {"overlap": "86400", "rev": await owner.hidden(GENERAL, "rev", form=1)}
    assert 303 == (await owner.post(f"{GENERAL}/rotate-ping-key", rotate)).status
    # A new name changes nothing about the key.
    named = {"name": "Other", "zone": "UTC", "rev": await owner.hidden(GENERAL, "rev")}
    assert 303 == (await owner.post(GENERAL, named)).status

    again = await owner.post(f"{GENERAL}/rotate-ping-key", rotate)

    assert (409, True) == (again.status, "has been rotated since" in again.body.decode())
    async with db.read() as read:
        row = (await read.execute(sa.select(projects).where(projects.c.slug == "main"))).one()
    assert digest(old) == row.old_ping_key_hash


async def test_the_project_is_told_how_much_of_what_its_pings_said_is_kept(town: Town, web: WebState) -> None:
    owner = await town.owner()

    async def bounded(**limits: int) -> str:
        told = structs.replace(web.api.settings.limits, **limits)
        api = replace(web.api, settings=structs.replace(web.api.settings, limits=told))
        browser = await replace(town, served=pages(replace(web, api=api))).owner()
        return (await browser.get(GENERAL)).body.decode()

    assert (
        "No ping has said anything yet that is kept; it may take 10.0 GB." in (await owner.get(GENERAL)).body.decode()
    )
    check = await town.world.check(START)
    await town.world.ping(check, START, body=b"x" * 1_500_000)

    assert "What pings said takes 1.50 MB of 10.0 GB." in (await owner.get(GENERAL)).body.decode()
    assert "There is no more room" in await bounded(bodies_mb=1)
    assert "What pings said takes 1.50 MB." in await bounded(bodies_mb=0)


async def test_the_project_is_told_how_many_events_it_keeps_if_there_is_a_bound(
    town: Town, web: WebState, clock: SimClock, ids: IdSource
) -> None:
    plant = Plant(web.api.usage, clock, ids, pid=town.world.project.pid)
    await plant.ingest.take(
        plant.pid,
        [
            {"transaction_id": f"e{n}", "event_type": "call", "customer_id": "a", "timestamp": START.isoformat()}
            for n in range(3)
        ],
        wire="native",
    )
    await plant.fold()

    async def told(events: int) -> str:
        limits = structs.replace(web.api.settings.limits, events=events)
        api = replace(web.api, settings=structs.replace(web.api.settings, limits=limits))
        return (await (await replace(town, served=pages(replace(web, api=api))).owner()).get(GENERAL)).body.decode()

    assert "3 events of at most 1,000 are kept" in await told(1000)
    assert "New ones are refused" not in await told(4)
    assert "New ones are refused until there is room" in await told(3)
    assert "events of at most" not in await told(0)
