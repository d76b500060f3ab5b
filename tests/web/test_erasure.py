"""Everything of a person or a project as a file, and its end: what goes, what stays, and what a crash leaves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.native import native_api
from heartfly.audit.record import CLI
from heartfly.checks import erase_project
from heartfly.core.words import PingKind
from heartfly.db import tenant
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, check_versions, projects, sessions, users
from heartfly.errors import StoreError
from heartfly.pings.request import PingOutcome
from tests.api.door import Door, state_of
from tests.sim_clock import SimClock
from tests.under_way import overtaken
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town
from tests.world import SEALER

pytestmark = pytest.mark.anyio

GENERAL = "/p/next-door/settings/general"


async def left_of(db: Database, pid: int) -> dict[str, int]:
    """How many rows of each table bear the project's number."""
    async with db.read() as read:
        counts = {}
        for table in tenant.tables():
            query = sa.select(sa.func.count()).select_from(table).where(table.c.pid == pid)
            counts[table.name] = (await read.execute(query)).scalar_one()
        query = sa.select(sa.func.count()).select_from(projects).where(projects.c.id == pid)
        counts["projects"] = (await read.execute(query)).scalar_one()
    return {name: n for name, n in counts.items() if n}


async def furnish(town: Town, browser: Browser) -> None:
    """The second project: a check that is down, a channel with a delivery, an incident with a comment, an invite."""
    there = town.next_door
    check = await there.check(START, name="Backup", slug="backup")
    await browser.post("/p/next-door/channels/new/email", {"name": "Ops", "value": "ops@example.com", "test": "1"})
    await there.ping(check, START, PingKind.FAIL, body=b"it \x00 failed", body_size=11)
    await browser.post("/p/next-door/settings/team/invites", {"email": "joan@example.com", "role": "viewer"})
    listed = (await browser.get("/p/next-door/incidents")).body.decode()
    path = listed.partition('href="/p/next-door/incidents/')[2].partition('"')[0]
    assert 303 == (await browser.post(f"/p/next-door/incidents/{path}/comments", {"text": "mine"})).status


def lines_of(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.decode().splitlines()]


async def test_a_project_is_exported_whole_and_without_secrets(
    town: Town, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.accounts.exports._PIECE", 2)
    owner = await town.stranger()
    await furnish(town, owner)
    check = await town.next_door.check(START, name="Often edited", slug="often")
    of_it = {"pid": town.next_door.project.pid, "check_id": check.id, "config": {}, "actor": "cli"}
    versions = [of_it | {"from_at": START + timedelta(hours=n + 1)} for n in range(7)]
    await db.write(lambda tx: tx.conn.execute(sa.insert(check_versions), versions).rowcount)
    reply = await owner.get("/p/next-door/settings/export")
    lines, there = lines_of(reply.body), town.next_door.project

    assert 'attachment; filename="heartfly-next-door.ndjson"' == reply.headers["content-disposition"]
    counts: dict[str, int] = {}
    for line in lines:
        counts[line["table"]] = counts.get(line["table"], 0) + 1
    assert await left_of(db, there.pid) == counts
    assert {"checks", "pings", "incidents", "incident_notes", "channels", "notifications", "audit"} <= set(counts)
    assert {there.pid} == {line.get("pid", line["id"] if line["table"] == "projects" else None) for line in lines}
    for secret in (there.ping_key, there.api_key, check.ping_uuid, "gAAAAA"):
        assert secret not in reply.body.decode()
    assert not [name for line in lines for name in line if name.endswith(("_enc", "_hash")) or name == "hash"]


async def test_a_project_goes_with_everything_and_its_neighbour_stays(town: Town, db: Database) -> None:
    owner = await town.stranger()
    await furnish(town, owner)
    main, there = town.world.project, town.next_door.project
    await town.world.check(START, name="Stays")
    before = await left_of(db, main.pid)

    wrong = await owner.post("/p/next-door/settings/delete", {"sure": "something"})
    assert (422, True) == (wrong.status, 'id="sure-wrong"' in wrong.body.decode())
    async with db.read() as read:
        name = (await read.execute(sa.select(projects.c.name).where(projects.c.id == there.pid))).scalar_one()
    gone = await owner.post("/p/next-door/settings/delete", {"sure": name})

    assert (303, "/") == (gone.status, gone.headers["location"])
    assert {} == await left_of(db, there.pid)
    assert before | {"audit": before.get("audit", 0) + 1} == await left_of(db, main.pid)
    assert 404 == (await owner.get("/p/next-door/checks")).status
    assert 200 == (await owner.get("/")).status


async def test_an_erasure_that_a_crash_cut_off_goes_on_at_the_next_start(
    town: Town, db: Database, ids: IdSource, clock: SimClock
) -> None:
    owner = await town.stranger()
    await furnish(town, owner)
    pid = town.next_door.project.pid
    await db.write(lambda tx: erase_project.begin(tx, pid, actor=CLI, at=START, ids=ids))
    assert 404 == (await owner.get("/p/next-door/checks")).status
    assert {} != await left_of(db, pid)

    await erase_project.finish_all(db, clock=clock, ids=ids, sealer=SEALER)

    assert {} == await left_of(db, pid)


@pytest.mark.parametrize("by", ["page", "channel", "api", "transfer", "ping"])
async def test_a_write_that_was_under_way_leaves_nothing_alive_in_an_erased_project(
    town: Town, db: Database, ids: IdSource, clock: SimClock, by: str
) -> None:
    """It was let in before; by its turn the project is gone."""
    owner, there = await town.stranger(), town.next_door
    token, check = await owner.form_token(), await town.world.check(START, name="ours")
    api = native_api(state_of(db, clock, ids))
    every = {"every": "1", "every_unit": "hours", "grace": "1", "grace_unit": "hours", "kind": "period"}
    ping = there.request(None, START, target=there.by_slug("made", create=True))
    key = {"key": there.project.api_key}
    asked: dict[str, Coroutine[Any, Any, Any]] = {
        "page": owner.post("/p/next-door/checks/new", {"name": "x", **every}, token=token),
        "channel": owner.post("/p/next-door/channels/new/email", {"name": "Ops", "value": "a@b.example"}, token=token),
        "api": Door(api, there.project.api_key)("POST", "/v1/checks", {"name": "x"}),
        "transfer": Door(api, town.world.project.api_key)("POST", f"/v1/checks/{check.uuid}/transfer", key),
        "ping": there.ping(None, START, target=ping.target),
    }
    for name, one in asked.items():
        if name != by:
            one.close()

    told = await overtaken(
        db, lambda tx: erase_project.begin(tx, there.project.pid, actor=CLI, at=START, ids=ids), asked[by]
    )

    assert 404 == told.status if by != "ping" else PingOutcome.NOT_FOUND is told.outcome
    assert {"checks", "channels"}.isdisjoint(await left_of(db, there.project.pid))
    assert town.world.project.pid == (await town.world.row(check)).pid


async def test_an_erasure_that_fails_halfway_is_done_for_people_and_left_to_the_night(
    town: Town, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, there = await town.stranger(), town.next_door.project
    await furnish(town, owner)
    real, n = db.write, itertools.count()

    async def away(*args: Any, **kwargs: Any) -> Any:
        """The database goes away after the first two writes."""
        if next(n) >= 2:
            raise StoreError("the database is away")
        return await real(*args, **kwargs)

    monkeypatch.setattr(db, "write", away)
    gone = await owner.post("/p/next-door/settings/delete", {"sure": "Next-Door"})
    monkeypatch.undo()

    assert (303, "/") == (gone.status, gone.headers["location"])
    assert 404 == (await owner.get("/p/next-door/checks")).status
    async with db.read() as read:
        assert [there.pid] == await erase_project.unfinished(read)


async def test_the_first_project_stays_as_our_own_jobs_are_in_it(town: Town, db: Database) -> None:
    owner = await town.owner()
    async with db.read() as read:
        query = sa.select(projects.c.name).where(projects.c.id == town.world.project.pid)
        name = (await read.execute(query)).scalar_one()
    refused = await owner.post("/p/main/settings/delete", {"sure": name})

    assert (409, True) == (refused.status, "own jobs" in refused.body.decode())
    assert 200 == (await owner.get("/p/main/checks")).status


async def test_only_owners_export_and_delete(town: Town) -> None:
    admin = await town.admin()

    assert 403 == (await admin.get("/p/main/settings/export")).status
    assert 403 == (await admin.post("/p/main/settings/delete", {"sure": "Main"})).status
    assert "Delete the project" not in (await admin.get("/p/main/settings/general")).body.decode()


async def test_a_person_exports_what_is_known_of_him_and_no_other(town: Town) -> None:
    owner, member = await town.owner(), await town.member()
    general = "/p/main/settings/general"
    await owner.post(general, {"name": "Mine", "zone": "UTC", "rev": await owner.hidden(general, "rev")})
    await member.post("/p/main/checks/new", {"name": "x", "kind": "period", "every": "1", "every_unit": "hours",
                                             "grace": "1", "grace_unit": "hours"})  # fmt: skip
    lines = lines_of((await member.get("/account/export")).body)

    assert {"users", "sessions", "members", "audit"} == {line["table"] for line in lines}
    assert "member@example.com" == lines[0]["email"]
    assert {"user:member@example.com"} == {line["actor"] for line in lines if line["table"] == "audit"}
    assert "owner@example.com" not in repr(lines)
    assert not [name for line in lines for name in line if "hash" in name or name.endswith("_enc")]


async def test_a_person_goes_and_what_he_did_stays(town: Town, db: Database) -> None:
    member = await town.member()
    await member.post("/p/main/checks/new", {"name": "x", "kind": "period", "every": "1", "every_unit": "hours",
                                             "grace": "1", "grace_unit": "hours"})  # fmt: skip
    user_id = int(await town.user_id("member@example.com"))
    refused = await member.post("/account/delete", {"password": "wrong password"})
    gone = await member.post("/account/delete", {"password": PASSWORD})

    assert (422, 303, {}) == (refused.status, gone.status, member.cookies)
    assert 422 == (await town.nobody.sign_in("member@example.com", PASSWORD)).status
    async with db.read() as read:
        for table, column in ((users, users.c.id), (sessions, sessions.c.user_id)):
            assert [] == (await read.execute(sa.select(column).select_from(table).where(column == user_id))).all()
        query = sa.select(audit.c.action).where(audit.c.actor == "user:member@example.com").order_by(audit.c.id)
        assert ["check.create", "member.remove"] == list((await read.execute(query)).scalars())
    assert "member@example.com" not in (await (await town.owner()).get("/p/main/settings/team")).body.decode()


async def test_the_last_owner_of_a_project_cannot_go(town: Town) -> None:
    refused = await (await town.owner()).post("/account/delete", {"password": PASSWORD})

    assert (409, True) == (refused.status, "the project main has no other owner" in refused.body.decode())
    assert 303 == (await town.nobody.sign_in("owner@example.com", PASSWORD)).status
