"""The first administrator: by the token of the terminal, once, whoever else tries at the same time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from heartfly.accounts.relying_party import party_of
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, members, projects, users
from heartfly.web.pages import Pages, pages
from heartfly.web.state import WebState
from tests.api.door import Reply
from tests.one_database import on_sqlite
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START
from tests.world import World, make_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, START)


async def rows(db: Database, query: sa.Select[Any]) -> list[Any]:
    async with db.read() as read:
        return list((await read.execute(query)).all())


async def finish(browser: Browser, token: str, **changed: str) -> Reply:
    fields = {"email": "ada@example.com", "password": PASSWORD, "again": PASSWORD, "zone": "Europe/Riga"}
    return await browser.post("/setup", fields | changed | {"token": token})


async def test_the_token_makes_the_first_user_owner_of_the_project_and_signs_him_in(
    world: World, served: Pages, web: WebState, db: Database
) -> None:
    browser = Browser(served)
    shown = await browser.get(f"/setup?token={web.setup.secret}")
    again = await browser.get(f"/setup?token={web.setup.secret}")
    done = await finish(browser, web.setup.secret)

    assert (200, 200, 303) == (shown.status, again.status, done.status)  # a look uses nothing up
    assert "/p/main/checks" == (await browser.get("/")).headers["location"]
    (member,) = await rows(
        db, sa.select(members, users.c.email, users.c.zone).join(users, users.c.id == members.c.user_id)
    )
    assert (world.project.pid, "owner", "ada@example.com", "Europe/Riga") == (
        member.pid, member.role, member.email, member.zone,
    )  # fmt: skip
    (entry,) = await rows(db, sa.select(audit).where(audit.c.action == "member.add"))
    assert ("setup", "192.0.2.7") == (entry.actor, entry.ip)


@pytest.mark.parametrize("base_url", ["http://beat.example.org", "https://beat.example.org"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_passkey_is_offered_at_the_end_where_browsers_know_them(
    world: World, web: WebState, base_url: str
) -> None:
    browser = Browser(pages(replace(web, api=replace(web.api, base_url=base_url), party=party_of(base_url))))
    knows = base_url.startswith("https:")
    fields = {"email": "ada@example.com", "password": PASSWORD, "again": PASSWORD, "zone": "Europe/Riga"}

    done = await browser.post("/setup", fields | {"token": web.setup.secret}, origin=base_url)
    home = await browser.get(done.headers["location"])
    page = (await browser.get(home.headers["location"])).body.decode()

    assert (303, 303) == (done.status, home.status)
    assert knows == ('href="/account/security/passkeys">Make a passkey</a>' in page)
    assert "Make a passkey" not in (await browser.get("/p/main/checks")).body.decode()


@pytest.mark.parametrize("token", ["", "x", "ä", "A" * 32, "\x00"])
async def test_without_the_token_nobody_is_made(world: World, served: Pages, db: Database, token: str) -> None:
    browser = Browser(served)
    assert 403 == (await browser.get("/setup?token=x")).status
    assert 403 == (await finish(browser, token)).status
    assert [] == await rows(db, sa.select(users))


async def test_it_is_over_once_there_is_a_user(world: World, served: Pages, web: WebState, db: Database) -> None:
    await finish(Browser(served), web.setup.secret)
    late = Browser(served)

    assert 409 == (await late.get(f"/setup?token={web.setup.secret}")).status
    assert 409 == (await finish(late, web.setup.secret, email="eve@example.com")).status
    assert ({}, 1) == (late.cookies, len(await rows(db, sa.select(users))))


async def test_of_many_at_once_one_is_first(world: World, served: Pages, web: WebState, db: Database) -> None:
    told: list[int] = []

    async def one(i: int) -> None:
        told.append((await finish(Browser(served), web.setup.secret, email=f"{i}@example.com")).status)

    async with anyio.create_task_group() as group:
        for i in range(5):
            group.start_soon(one, i)
    assert [303, 409, 409, 409, 409] == sorted(told)
    assert 1 == len(await rows(db, sa.select(users)))


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"email": "nobody"}, "email", "must be an address"),
        ({"email": ""}, "email", "must be an address"),
        ({"password": "short", "again": "short"}, "password", "at least 10"),
        ({"again": "another one"}, "again", "same password"),
        ({"zone": "Mars/Base"}, "zone", ""),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_kept(
    world: World, served: Pages, web: WebState, db: Database, changed: dict[str, str], field: str, says: str
) -> None:
    told = await finish(Browser(served), web.setup.secret, **changed)
    page = told.body.decode()

    assert 422 == told.status
    assert f'id="{field}-wrong"' in page
    assert f'aria-describedby="{field}-wrong"' in page
    assert says in page
    assert PASSWORD not in page
    assert [] == await rows(db, sa.select(users))
    assert [] == await rows(db, sa.select(members).join(projects, projects.c.id == members.c.pid))


async def test_a_project_that_has_people_gets_no_owner_of_another(
    world: World, served: Pages, web: WebState, db: Database, ids: IdSource
) -> None:
    taken = await make_world(db, ids, START, slug="taken")
    await db.write(
        lambda tx: tx.conn.execute(sa.insert(members).values(pid=taken.project.pid, user_id=1, role="owner"))
    )
    await finish(Browser(served), web.setup.secret)

    pids = [row.pid for row in await rows(db, sa.select(members).where(members.c.user_id != 1))]
    assert [world.project.pid] == pids


async def test_a_form_of_elsewhere_sets_nothing_up(world: World, served: Pages, web: WebState, db: Database) -> None:
    told = await Browser(served).post("/setup", {"token": web.setup.secret}, origin="http://evil.example")

    assert 403 == told.status
    assert [] == await rows(db, sa.select(users))
