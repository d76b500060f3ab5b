"""The members of a project, and projects that are made, over the native API."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts import members
from heartfly.accounts.commands import create_project, create_user
from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import members as members_table
from heartfly.errors import ConflictError
from tests.api.conftest import START
from tests.api.door import BASE_URL, Door, House
from tests.one_database import on_sqlite
from tests.world import SEALER, TEST

pytestmark = pytest.mark.anyio


async def user(house: House, name: str) -> int:
    """Somebody who may sign in, in no project yet."""
    email = f"{name}@example.com"
    return await house.world.db.write(
        lambda tx: create_user(
            tx, email=email, password_hash="x", is_admin=False, actor=TEST, at=START, ids=house.world.ids
        )
    )


async def member(house: House, name: str, role: str) -> Any:
    await user(house, name)
    reply = await house.full("POST", "/v1/members", {"email": f"{name}@example.com", "role": role})
    assert 201 == reply.status, reply.json
    return reply.json


async def test_a_user_becomes_a_member_is_read_and_goes(house: House) -> None:
    user_id = await user(house, "Ada")
    assert [] == (await house.full("GET", "/v1/members")).json["items"]

    added = await house.full("POST", "/v1/members", {"email": "ada@EXAMPLE.com", "role": "viewer"})

    path = f"/v1/members/{user_id}"
    ada = {"id": str(user_id), "email": "Ada@example.com", "role": "viewer"}
    assert (201, ada, BASE_URL + path) == (added.status, added.json, added.headers["location"])
    assert [ada] == (await house.full("GET", "/v1/members")).json["items"]
    changed = await house.full("PATCH", path, {"role": "admin"})
    assert (200, "admin") == (changed.status, (await house.full("GET", path)).json["role"])
    assert 204 == (await house.full("DELETE", path)).status
    assert 404 == (await house.full("GET", path)).status
    told = (await house.full("GET", "/v1/audit?action=member")).json["items"]
    assert [
        ("member.remove", {"email": "Ada@example.com", "role": "admin"}, None),
        ("member.edit", {"role": "viewer"}, {"role": "admin"}),
        ("member.add", None, {"email": "Ada@example.com", "role": "viewer"}),
    ] == [(entry["action"], entry["before"], entry["after"]) for entry in told]


@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
async def test_a_member_has_one_of_four_roles(house: House, role: str) -> None:
    assert role == (await member(house, "ada", role))["role"]


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"email": "nobody@example.com", "role": "viewer"}, "email"),
        ({"email": "", "role": "viewer"}, "email"),
        ({"email": "a\x00@example.com", "role": "viewer"}, "email"),
        ({"email": "x" * 300 + "@example.com", "role": "viewer"}, "email"),
        ({"email": "ada@example.com", "role": "Owner"}, "role"),
        ({"email": "ada@example.com", "role": ""}, "role"),
        ({"email": "ada@example.com"}, "role"),
        ({"email": "ada@example.com", "role": "viewer", "admin": True}, "admin"),
    ],
)
async def test_what_no_member_can_be_is_refused_by_name(house: House, asked: Any, field: str) -> None:
    await user(house, "ada")

    reply = await house.full("POST", "/v1/members", asked)

    assert (422, [field]) == (reply.status, reply.fields)
    assert [] == (await house.full("GET", "/v1/members")).json["items"]


async def test_nobody_is_a_member_twice(house: House) -> None:
    await member(house, "ada", "viewer")

    again = await house.full("POST", "/v1/members", {"email": "ada@example.com", "role": "owner"})

    assert (409, "ada@example.com is a member already") == (again.status, again.json["detail"])
    assert ["viewer"] == [one["role"] for one in (await house.full("GET", "/v1/members")).json["items"]]


async def test_the_last_owner_stays_one(house: House) -> None:
    ada, grace = await member(house, "ada", "owner"), await member(house, "grace", "admin")
    path, other = f"/v1/members/{ada['id']}", f"/v1/members/{grace['id']}"

    refused = [await house.full("DELETE", path), await house.full("PATCH", path, {"role": "admin"})]
    same = await house.full("PATCH", path, {"role": "owner"})
    await house.full("PATCH", other, {"role": "owner"})
    allowed = await house.full("PATCH", path, {"role": "viewer"})
    last_now = await house.full("DELETE", other)

    assert [409, 409] == [reply.status for reply in refused]
    assert "last owner" in refused[0].json["detail"]
    assert (200, 200, 409) == (same.status, allowed.status, last_now.status)


async def test_a_role_that_has_changed_meanwhile_is_not_changed_again(house: House) -> None:
    path = f"/v1/members/{(await member(house, 'ada', 'viewer'))['id']}"
    seen = (await house.full("GET", path)).headers["etag"]
    first = await house.full("PATCH", path, {"role": "member"}, headers=[("If-Match", seen)])

    stale = [
        await house.full("PATCH", path, {"role": "owner"}, headers=[("If-Match", seen)]),
        await house.full("DELETE", path, headers=[("If-Match", seen)]),
    ]

    assert (200, [412, 412]) == (first.status, [reply.status for reply in stale])
    assert 204 == (await house.full("DELETE", path, headers=[("If-Match", first.headers["etag"])])).status


async def test_members_are_paged(house: House) -> None:
    for name in ("ada", "grace", "joan"):
        await member(house, name, "member")

    first = (await house.full("GET", "/v1/members?limit=2")).json
    second = (await house.full("GET", f"/v1/members?limit=2&cursor={first['next']}")).json

    assert ["ada@example.com", "grace@example.com"] == [one["email"] for one in first["items"]]
    assert (["joan@example.com"], None) == ([one["email"] for one in second["items"]], second["next"])


async def test_a_member_of_another_project_is_none_of_this_one(house: House, neighbour: House) -> None:
    theirs = await member(neighbour, "ada", "owner")

    assert 404 == (await house.full("GET", f"/v1/members/{theirs['id']}")).status
    both = await house.full("POST", "/v1/members", {"email": "ada@example.com", "role": "viewer"})
    assert (201, theirs["id"]) == (both.status, both.json["id"])
    await house.full("DELETE", f"/v1/members/{theirs['id']}")
    assert [theirs] == (await neighbour.full("GET", "/v1/members")).json["items"]


@pytest.mark.postgres
def test_of_two_owners_that_two_nodes_let_go_at_once_one_stays(postgres_url: str, tmp_path: Any) -> None:
    nodes = [Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock()) for _ in range(2)]
    ids, at = IdSource(1), datetime(2026, 3, 2, tzinfo=UTC)
    made = nodes[0].transaction(
        lambda tx: create_project(tx, slug="main", name="Main", zone="UTC", sealer=SEALER, at=at, ids=ids)
    )
    owners = []
    for name in ("ada", "grace"):
        email = f"{name}@example.com"
        owners.append(
            nodes[0].transaction(
                lambda tx, email=email: create_user(  # type: ignore[misc]
                    tx, email=email, password_hash="x", is_admin=True, actor=TEST, at=at, ids=ids
                )
            )
        )
    outcomes: list[Any] = []
    together = threading.Barrier(2)

    def let_go(node: Database, user_id: int, own: IdSource) -> None:
        together.wait(60)
        try:
            node.transaction(lambda tx: members.remove(tx, made.pid, str(user_id), actor=TEST, at=at, ids=own))
            outcomes.append("gone")
        except ConflictError:
            outcomes.append("stays")

    threads = [
        threading.Thread(target=let_go, args=(node, owner, IdSource(n + 2)))
        for n, (node, owner) in enumerate(zip(nodes, owners, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    left = nodes[0].transaction(lambda tx: list(tx.conn.execute(sa.select(members_table.c.role)).scalars()))
    for node in nodes:
        node.close()

    assert (["gone", "stays"], ["owner"]) == (sorted(outcomes), left)


# --- projects


async def test_a_project_is_made_with_keys_of_its_own_and_the_same_owners(house: House) -> None:
    await member(house, "ada", "owner")
    await member(house, "grace", "admin")

    reply = await house.full("POST", "/v1/projects", {"slug": "billing", "zone": "Europe/Berlin"})

    made = reply.json
    door = Door(house.full.api, made["api_key"])
    assert (201, "billing", "billing", "Europe/Berlin") == (
        reply.status,
        made["project"]["slug"],
        made["project"]["name"],
        made["project"]["zone"],
    )
    assert made["project"] == (await door("GET", "/v1/project")).json
    assert 403 == (await Door(house.full.api, made["read_key"])("GET", "/v1/project")).status
    assert [("ada@example.com", "owner")] == [
        (one["email"], one["role"]) for one in (await door("GET", "/v1/members")).json["items"]
    ]
    assert [] == (await door("GET", "/v1/checks")).json["items"]
    told = (await door("GET", "/v1/audit")).json["items"]
    assert ["member.add", "project.create"] == [entry["action"] for entry in told]
    assert {f"key:{house.full.key[:10]}"} == {entry["actor"] for entry in told}


async def test_a_key_sees_its_own_project_alone(house: House, neighbour: House) -> None:
    await house.full("POST", "/v1/projects", {"slug": "billing"})

    listed = (await house.full("GET", "/v1/projects")).json

    assert {"items": [(await house.full("GET", "/v1/project")).json], "next": None} == listed


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"slug": "main"}, 409),
        ({"slug": "api"}, 422),
        ({"slug": "x" * 31}, 422),
        ({"slug": ""}, 422),
        ({"slug": "a b"}, 422),
        ({}, 422),
    ],
)
async def test_a_slug_that_is_taken_or_none_is_refused_by_name(house: House, asked: Any, status: int) -> None:
    reply = await house.full("POST", "/v1/projects", asked)

    assert (status, ["slug"]) == (reply.status, reply.fields)
