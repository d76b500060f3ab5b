"""An administrator is demoted while his request is under way: what only administrators may is not done any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts import members
from heartfly.audit.record import CLI
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys, invites, projects, status_pages
from heartfly.db.models import members as members_table
from tests.under_way import overtaken
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

SETTINGS = "/p/main/settings"


def becomes(town: Town, ids: IdSource, user_id: str, role: str) -> Callable[[Tx], Any]:
    pid = town.world.project.pid
    return lambda tx: members.change_role(tx, pid, user_id, role, actor=CLI, at=START, ids=ids)


async def stored(db: Database, town: Town) -> Any:
    """All that administrators decide about."""
    tables = [
        (projects, projects.c.id),
        *((table, table.c.pid) for table in (api_keys, invites, members_table, status_pages)),
    ]
    found = []
    async with db.read() as read:
        for table, column in tables:
            query = sa.select(table).where(column == town.world.project.pid).order_by(*table.primary_key.columns)
            found.append([tuple(row) for row in await read.execute(query)])
    return found


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_nothing_of_an_administrator_is_done_once_he_is_none(
    town: Town, db: Database, ids: IdSource, role: str
) -> None:
    owner, admin = await town.owner(), await town.admin()
    await owner.post(SETTINGS + "/team/invites", {"email": "grace@example.com", "role": "member"})
    async with db.read() as read:
        invite = (await read.execute(sa.select(invites.c.id))).scalar_one()
    mine, temp, key = await town.user_id("admin@example.com"), await town.user_id("temp@example.com"), "/keys"
    key_id = await town.key_id()

    for path, sent in (
        ("/general", {"name": "Mine", "zone": "UTC"}),
        ("/general/rotate-ping-key", {"overlap": "3600"}),
        ("/keys", {"name": "new", "read": "1"}),
        (f"{key}/{key_id}/rotate", {"overlap": "3600"}),
        (f"{key}/{key_id}/revoke", {}),
        ("/team/invites", {"email": "joan@example.com", "role": "admin"}),
        (f"/team/invites/{invite}/resend", {}),
        (f"/team/invites/{invite}/revoke", {}),
        (f"/team/members/{mine}/role", {"role": "admin"}),
        (f"/team/members/{temp}/remove", {}),
    ):
        token = await admin.form_token()
        before = await stored(db, town)
        told = await overtaken(db, becomes(town, ids, mine, role), admin.post(SETTINGS + path, sent, token=token))
        after = await stored(db, town)
        await db.write(becomes(town, ids, mine, "admin"))

        assert 403 == told.status, path
        assert before[:3] == after[:3], path
        assert b"hf_" not in told.body, path
        assert before == await stored(db, town), path


async def test_who_is_no_administrator_any_more_shows_the_world_nothing(
    town: Town, db: Database, ids: IdSource
) -> None:
    admin, mine = await town.admin(), await town.user_id("admin@example.com")
    page = {"title": "Acme", "slug": "acme", "items": "Backup = tag:db", "published": "1"}
    await town.world.check(START, name="Backup", tags=("db",))
    assert 303 == (await admin.post("/p/main/status-pages/new", page)).status
    async with db.read() as read:
        row = (await read.execute(sa.select(status_pages))).one()
    its = f"/p/main/status-pages/{row.uuid}"

    for path, sent in (
        ("/p/main/badges/key", {"do": "make"}),
        ("/p/main/badges/key", {"do": "remove"}),
        ("/p/main/status-pages/new", page | {"slug": "mine"}),
        (its, page | {"title": "Mine", "rev": str(row.rev)}),
        (f"{its}/logo", {"do": "remove"}),
        (f"{its}/delete", {}),
    ):
        token, before = await admin.form_token(), await stored(db, town)
        told = await overtaken(db, becomes(town, ids, mine, "member"), admin.post(path, sent, token=token))
        await db.write(becomes(town, ids, mine, "admin"))

        assert 403 == told.status, path
        assert before == await stored(db, town), path


async def test_nothing_of_an_owner_is_done_once_he_is_none(town: Town, db: Database, ids: IdSource) -> None:
    owner, mine = await town.owner(), await town.user_id("owner@example.com")
    admin_id, temp = await town.user_id("admin@example.com"), await town.user_id("temp@example.com")
    await db.write(becomes(town, ids, temp, "owner"))  # so that he is not the last one

    for path, sent in (
        ("/delete", {"sure": "Main"}),
        ("/keys", {"name": "mine", "admin": "1"}),
        ("/team/invites", {"email": "joan@example.com", "role": "owner"}),
        (f"/team/members/{admin_id}/role", {"role": "owner"}),
        (f"/team/members/{temp}/remove", {}),
        ("/team/hand-over", {"member": admin_id}),
    ):
        token = await owner.form_token()
        before = await stored(db, town)
        told = await overtaken(db, becomes(town, ids, mine, "admin"), owner.post(SETTINGS + path, sent, token=token))
        await db.write(becomes(town, ids, mine, "owner"))

        assert 403 == told.status, path
        assert before == await stored(db, town), path


async def test_who_was_removed_meanwhile_finds_nothing(town: Town, db: Database, ids: IdSource) -> None:
    admin, pid = await town.admin(), town.world.project.pid
    mine, token = await town.user_id("admin@example.com"), await admin.form_token()

    told = await overtaken(
        db,
        lambda tx: members.remove(tx, pid, mine, actor=CLI, at=START, ids=ids),
        admin.post(SETTINGS + "/team/invites", {"email": "joan@example.com", "role": "admin"}, token=token),
    )

    assert 404 == told.status
    assert [] == (await stored(db, town))[2]
