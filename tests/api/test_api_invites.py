"""Invites over the native API: made, sent again, taken back; the link is told only while no mail carries it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.native import native_api
from heartfly.config import Mail, Settings
from heartfly.db.models import invites
from tests.api.conftest import START
from tests.api.door import BASE_URL, Door, House, state_of
from tests.api.test_api_members import user
from tests.notify.test_email_delivery import Mailbox, server
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

JOAN = {"email": "Joan@example.com", "role": "viewer"}


async def test_an_invite_is_made_sent_again_and_taken_back(house: House) -> None:
    made = await house.full("POST", "/v1/invites", JOAN)
    path = f"/v1/invites/{made.json['id']}"
    told = {
        "id": made.json["id"], "email": "Joan@example.com", "role": "viewer",
        "invited_by": f"key:{house.full.key[:10]}",
        "created_at": "2026-03-02T10:00:00Z", "expires_at": "2026-03-09T10:00:00Z",
    }  # fmt: skip

    assert (201, BASE_URL + path) == (made.status, made.headers["location"])
    assert (False, None) == (made.json["sent"], made.json["mail_error"])
    assert made.json["link"].startswith(f"{BASE_URL}/invite?token=")
    assert told == (await house.full("GET", path)).json == {name: made.json[name] for name in told}
    again = await house.full("POST", f"{path}/resend")
    assert (200, True) == (again.status, again.json["link"] not in {None, made.json["link"]})
    assert [told] == (await house.full("GET", "/v1/invites")).json["items"]
    assert 204 == (await house.full("DELETE", path)).status
    assert 404 == (await house.full("GET", path)).status
    entries = (await house.full("GET", "/v1/audit?action=invite")).json["items"]
    assert ["invite.revoke", "invite.resend", "invite.create"] == [entry["action"] for entry in entries]


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        ({"email": "ada@example.com", "role": "viewer"}, 409, "email"),
        ({"email": "joan@EXAMPLE.com", "role": "viewer"}, 409, "email"),
        ({"email": "", "role": "viewer"}, 422, "email"),
        ({"email": "a\x00b@example.com", "role": "viewer"}, 422, "email"),
        ({"email": "a b@example.com", "role": "viewer"}, 422, "email"),
        ({"email": "a@" + "x" * 300, "role": "viewer"}, 422, "email"),
        ({"email": "new@example.com", "role": "king"}, 422, "role"),
        ({"email": "new@example.com"}, 422, "role"),
    ],
)
async def test_what_no_invite_can_be_is_refused_by_name(house: House, asked: Any, status: int, field: str) -> None:
    await user(house, "ada")
    await house.full("POST", "/v1/members", {"email": "ada@example.com", "role": "member"})
    await house.full("POST", "/v1/invites", JOAN)

    reply = await house.full("POST", "/v1/invites", asked)

    assert (status, [field]) == (reply.status, reply.fields)


async def test_invites_are_paged_and_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.accounts.invites.MOST_INVITES", 3)
    made = [
        (await house.full("POST", "/v1/invites", {"email": f"{name}@example.com", "role": "member"})).status
        for name in ("ada", "grace", "joan", "katherine")
    ]
    first = (await house.full("GET", "/v1/invites?limit=2")).json
    second = (await house.full("GET", f"/v1/invites?limit=2&cursor={first['next']}")).json

    assert [201, 201, 201, 409] == made
    assert ["ada@example.com", "grace@example.com", "joan@example.com"] == [
        one["email"] for one in first["items"] + second["items"]
    ]
    assert second["next"] is None


async def test_nothing_stored_opens_the_link(house: House) -> None:
    made = await house.full("POST", "/v1/invites", JOAN)
    async with house.world.db.read() as read:
        (row,) = (await read.execute(sa.select(invites))).all()

    assert made.json["link"].partition("=")[2] not in repr(row)
    assert START + timedelta(days=7) == row.expires_at


async def test_a_mail_that_does_not_go_is_told_without_the_link(house: House, clock: SimClock) -> None:
    """Whoever has the link counts as the reader of that mail: who only invites must not have it."""
    box, world = Mailbox(), house.world

    async def asked(path: str, body: Any, **how: Any) -> Any:
        async with server(box, **how) as port:
            mail = Mail(host="127.0.0.1", port=port, security="none", from_address="heartfly@example.com")
            state = state_of(world.db, clock, world.ids, Settings(mail=mail))
            return await Door(native_api(state), house.full.key)("POST", path, body)

    made = await asked("/v1/invites", JOAN, data_size_limit=10)
    again = await asked(f"/v1/invites/{made.json['id']}/resend", None)

    assert (201, False, None, True) == (
        made.status, made.json["sent"], made.json["link"], bool(made.json["mail_error"]),
    )  # fmt: skip
    assert (200, True, None, None) == (again.status, *(again.json[name] for name in ("sent", "link", "mail_error")))
    assert 1 == len(box.envelopes)


async def test_what_a_key_invited_to_ends_when_it_is_revoked(house: House) -> None:
    second = (await house.full("POST", "/v1/keys", {"name": "second", "scopes": ["admin"]})).json
    made = await Door(house.full.api, second["secret"])("POST", "/v1/invites", JOAN)
    ours = await house.full("POST", "/v1/invites", {"email": "grace@example.com", "role": "viewer"})
    assert 204 == (await house.full("DELETE", f"/v1/keys/{second['id']}")).status

    assert 404 == (await house.full("GET", f"/v1/invites/{made.json['id']}")).status
    assert [ours.json["id"]] == [one["id"] for one in (await house.full("GET", "/v1/invites")).json["items"]]
    assert 1 == len((await house.full("GET", "/v1/audit?action=invite.revoke")).json["items"])
