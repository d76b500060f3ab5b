"""A key is revoked, rotated or ends while its request is under way: what only `admin` may is not done any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from heartfly.accounts import key_commands
from heartfly.accounts.keys import Scope
from heartfly.audit.record import CLI
from heartfly.db.changes import Tx
from tests.api.conftest import START
from tests.api.door import Door, House
from tests.under_way import overtaken

pytestmark = pytest.mark.anyio

ALL = frozenset(Scope)


async def another(house: House) -> tuple[Door, str]:
    """A second key that administers, and its id."""
    made = (await house.full("POST", "/v1/keys", {"name": "second", "scopes": ["admin", "read", "write"]})).json
    return Door(house.full.api, made["secret"]), made["id"]


def revoked(house: House, key_id: str) -> Callable[[Tx], Any]:
    pid, ids = house.world.project.pid, house.world.ids
    return lambda tx: key_commands.revoke_key(tx, pid, key_id, actor=CLI, at=START, ids=ids)


def rotated(house: House, key_id: str, overlap_s: int) -> Callable[[Tx], Any]:
    pid, ids = house.world.project.pid, house.world.ids
    return lambda tx: key_commands.rotate_key(
        tx, pid, key_id, overlap_s=overlap_s, may_grant=ALL, actor=CLI, at=START, ids=ids
    )


async def test_nothing_is_done_for_a_key_that_was_revoked_meanwhile(house: House) -> None:
    world = house.world
    invite = (await house.full("POST", "/v1/invites", {"email": "grace@example.com", "role": "member"})).json["id"]
    spare = (await house.full("POST", "/v1/keys", {"name": "spare", "scopes": ["read"]})).json["id"]
    page = (await house.full("POST", "/v1/status-pages", {"slug": "acme", "title": "Acme"})).json["id"]
    for method, path, body in (
        ("PATCH", "/v1/project", {"name": "Mine"}),
        ("POST", "/v1/project/rotate-ping-key", {}),
        ("POST", "/v1/projects", {"slug": "mine"}),
        ("POST", "/v1/keys", {"name": "mine", "scopes": ["admin"]}),
        ("PATCH", f"/v1/keys/{spare}", {"name": "mine"}),
        ("POST", f"/v1/keys/{spare}/rotate", {}),
        ("DELETE", f"/v1/keys/{spare}", None),
        ("POST", "/v1/invites", {"email": "joan@example.com", "role": "owner"}),
        ("POST", f"/v1/invites/{invite}/resend", None),
        ("DELETE", f"/v1/invites/{invite}", None),
        ("POST", "/v1/badges/key", None),
        ("DELETE", "/v1/badges/key", None),
        ("POST", "/v1/status-pages", {"slug": "mine", "title": "Mine"}),
        ("PATCH", f"/v1/status-pages/{page}", {"published": True}),
        ("DELETE", f"/v1/status-pages/{page}", None),
    ):
        door, key_id = await another(house)
        told = await overtaken(world.db, revoked(house, key_id), door(method, path, body))

        assert 401 == told.status, path
    entries = (await house.full("GET", "/v1/audit")).json["items"]
    assert {"key.create", "key.revoke", "invite.create", "project.create", "status_page.create"} == {
        one["action"] for one in entries
    }
    assert ["Main"] == [one["name"] for one in (await house.full("GET", "/v1/projects")).json["items"]]


@pytest.mark.parametrize(("overlap_s", "status"), [(0, 401), (3600, 403)])
async def test_a_secret_that_was_replaced_meanwhile_makes_no_other_key(
    house: House, overlap_s: int, status: int
) -> None:
    door, key_id = await another(house)
    asked = door("POST", "/v1/keys", {"name": "mine", "scopes": ["admin"]})

    told = await overtaken(house.world.db, rotated(house, key_id, overlap_s), asked)

    assert status == told.status
    assert "mine" not in [one["name"] for one in (await house.full("GET", "/v1/keys")).json["items"]]


async def test_a_key_that_was_shortened_meanwhile_ends_there(house: House) -> None:
    door, key_id = await another(house)
    pid, ids, soon = house.world.project.pid, house.world.ids, START - timedelta(seconds=1)
    changes = {"expires_at": soon + timedelta(microseconds=1)}

    told = await overtaken(
        house.world.db,
        lambda tx: key_commands.edit_key(tx, pid, key_id, changes=changes, actor=CLI, at=soon, ids=ids),
        door("POST", "/v1/keys", {"name": "mine", "scopes": ["read"]}),
    )

    assert 401 == told.status
