"""A project over the native API at its end: all of it as a file, and then nothing of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db import tenant
from heartfly.db.database import Database
from heartfly.db.models import audit, projects
from tests.api.conftest import START
from tests.api.door import House
from tests.api.test_api_tenants import furnished

pytestmark = pytest.mark.anyio

EXPORT, PROJECT = "/v1/project/export", "/v1/project"


async def rows_of(db: Database, pid: int, usage: Database) -> dict[str, int]:
    """How many rows each table of both parts has of the project; those that have some."""
    counts: dict[str, int] = {}
    for part in (db, usage):
        async with part.read() as read:
            for table in tenant.tables(part.part):
                query = sa.select(sa.func.count()).select_from(table).where(table.c.pid == pid)
                counts[table.name] = (await read.execute(query)).scalar_one()
    async with db.read() as read:
        counts["projects"] = len((await read.execute(sa.select(projects.c.id).where(projects.c.id == pid))).all())
    return {name: n for name, n in counts.items() if n}


async def test_an_export_holds_every_row_of_the_project_and_no_secret(
    house: House, neighbour: House, usage_db: Database
) -> None:
    await furnished(neighbour)
    check = await house.world.check(START, name="Not hers")
    reply = await neighbour.full("GET", EXPORT)
    there = neighbour.world.project

    lines: list[dict[str, Any]] = [json.loads(line) for line in reply.body.decode().splitlines()]
    counts: dict[str, int] = {}
    for line in lines:
        counts[line["table"]] = counts.get(line["table"], 0) + 1

    assert (200, "application/x-ndjson") == (reply.status, reply.headers["content-type"].partition(";")[0])
    assert f'attachment; filename="heartfly-{there.slug}.ndjson"' == reply.headers["content-disposition"]
    assert await rows_of(neighbour.world.db, there.pid, usage_db) == counts
    assert {"checks", "pings", "incidents", "channels", "audit", "events", "customers", "meters"} <= set(counts)
    for secret in (there.ping_key, there.api_key, there.read_key, check.uuid, "gAAAAA"):
        assert secret not in reply.body.decode()


async def test_a_project_is_deleted_with_everything_in_it_and_its_keys_are_none(
    house: House, neighbour: House, usage_db: Database
) -> None:
    await furnished(neighbour)
    db, there, home = house.world.db, neighbour.world.project, house.world.project
    await house.world.ping(await house.world.check(START), START, PingKind.FAIL)
    before = await rows_of(db, home.pid, usage_db)

    gone = await neighbour.full("DELETE", f"{PROJECT}?confirm={there.slug}")

    assert (204, b"") == (gone.status, gone.body)
    assert {} == await rows_of(db, there.pid, usage_db)
    assert before | {"audit": before["audit"] + 1} == await rows_of(db, home.pid, usage_db)
    assert [401] * 3 == [
        (await neighbour.full(method, path)).status
        for method, path in (("GET", "/v1/checks"), ("GET", EXPORT), ("DELETE", PROJECT))
    ]
    async with db.read() as read:
        (entry,) = (await read.execute(sa.select(audit).where(audit.c.action == "project.delete"))).all()
    assert (home.pid, {"slug": there.slug}, None) == (entry.pid, entry.before, entry.after)
    assert entry.actor.startswith("key:hf_")


@pytest.mark.parametrize("confirm", ["", "?confirm=", "?confirm=main", "?confirm=Next", "?confirm=%00"])
async def test_without_its_own_slug_nothing_is_deleted(
    house: House, neighbour: House, usage_db: Database, confirm: str
) -> None:
    db, there = house.world.db, neighbour.world.project
    before = await rows_of(db, there.pid, usage_db)

    refused = await neighbour.full("DELETE", PROJECT + confirm)

    assert (422, ["confirm"]) == (refused.status, refused.fields)
    assert there.slug in refused.json["errors"][0]["message"]
    assert before == await rows_of(db, there.pid, usage_db)


async def test_the_first_project_cannot_go(house: House, neighbour: House) -> None:
    refused = await house.full("DELETE", f"{PROJECT}?confirm={house.world.project.slug}")

    assert (409, True) == (refused.status, "Heartfly's own jobs" in refused.json["detail"])
    assert 200 == (await house.full("GET", PROJECT)).status


async def test_a_key_that_may_write_but_not_administer_does_neither(house: House, neighbour: House) -> None:
    asked = {"name": "writer", "scopes": ["read", "write"]}
    neighbour_writer = (await neighbour.full("POST", "/v1/keys", asked)).json["secret"]
    writer = type(neighbour.full)(neighbour.full.api, neighbour_writer)

    heard = [await writer("GET", EXPORT), await writer("DELETE", f"{PROJECT}?confirm={neighbour.world.project.slug}")]

    assert [403, 403] == [reply.status for reply in heard]
    assert 200 == (await neighbour.full("GET", PROJECT)).status
