"""API keys over the native API: made, edited, rotated, revoked, by whom, and what never shows."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts import key_commands
from heartfly.db.models import api_keys
from heartfly.sealing import digest
from tests.api.door import BASE_URL, Door, House, Reply
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def made(house: House, name: str = "ci", *scopes: str, **rest: Any) -> Any:
    reply = await house.full("POST", "/v1/keys", {"name": name, "scopes": list(scopes or ["read"]), **rest})
    assert 201 == reply.status, reply.json
    return reply.json


async def works(house: House, secret: str) -> bool:
    status = (await Door(house.full.api, secret)("GET", "/v1/checks")).status
    assert status in {200, 401}
    return status == 200


async def named(house: House, name: str) -> Any:
    (key,) = [one for one in (await house.full("GET", "/v1/keys")).json["items"] if one["name"] == name]
    return key


async def test_a_new_key_shows_its_secret_once(house: House) -> None:
    reply = await house.full("POST", "/v1/keys", {"name": "ci", "scopes": ["write", "read", "write"]})

    key = reply.json
    assert f"{BASE_URL}/v1/keys/{key['id']}" == reply.headers["location"]
    assert {
        "id": key["id"],
        "name": "ci",
        "prefix": key["secret"][:10],
        "scopes": ["read", "write"],
        "created_at": "2026-03-02T10:00:00Z",
        "expires_at": None,
        "used_at": None,
        "revoked_at": None,
        "old_prefix": None,
        "old_until": None,
        "secret": key["secret"],
    } == key
    assert await works(house, key["secret"])
    assert key | {"secret": None} == (await house.full("GET", f"/v1/keys/{key['id']}")).json
    listed = (await house.full("GET", "/v1/keys")).json["items"]
    assert ["first key", "first read-only key", "ci"] == [one["name"] for one in listed]
    assert [None, None, None] == [one["secret"] for one in listed]


async def test_a_key_may_have_the_form_that_apitally_s_client_takes_and_keeps_it(house: House) -> None:
    key = await made(house, "shop", "read", form="apitally")
    rotated = (await house.full("POST", f"/v1/keys/{key['id']}/rotate", {"overlap": 0})).json

    for secret in (key["secret"], rotated["secret"]):
        assert re.fullmatch("apt_[a-zA-Z0-9]{24}", secret)
    assert (False, True) == (await works(house, key["secret"]), await works(house, rotated["secret"]))
    refused = await house.full("POST", "/v1/keys", {"name": "x", "scopes": ["read"], "form": "other"})
    assert (422, ["form"]) == (refused.status, refused.fields)


async def test_only_the_hash_of_a_secret_is_stored(house: House) -> None:
    key = await made(house)
    rotated = (await house.full("POST", f"/v1/keys/{key['id']}/rotate")).json

    async with house.world.db.read() as read:
        row = (await read.execute(sa.select(api_keys).where(api_keys.c.id == int(key["id"])))).one()
    assert (digest(rotated["secret"]), digest(key["secret"])) == (row.hash, row.old_hash)
    assert not [value for value in row if str(value) in {key["secret"], rotated["secret"]}]


async def test_keys_are_listed_page_by_page(house: House) -> None:
    for n in range(3):
        await made(house, f"n{n}")

    first = (await house.full("GET", "/v1/keys?limit=3")).json
    second = (await house.full("GET", f"/v1/keys?limit=3&cursor={first['next']}")).json

    assert ["first key", "first read-only key", "n0", "n1", "n2"] == [
        key["name"] for key in first["items"] + second["items"]
    ]
    assert second["next"] is None


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"scopes": ["read"]}, "name"),
        ({"name": " ", "scopes": ["read"]}, "name"),
        ({"name": "x" * 101, "scopes": ["read"]}, "name"),
        ({"name": "x"}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["read", "root"]}, "scopes[1]"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2026-03-02T10:00:00Z"}, "expires_at"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2026-03-03T10:00:00"}, "expires_at"),
        ({"name": "x", "scopes": ["read"], "expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"name": "x", "scopes": ["read"], "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"name": "x", "scopes": ["read"], "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "scopes": ["read"], "secret": "hf_mine"}, "secret"),
    ],
)
async def test_what_no_key_can_be_is_refused_with_the_field(house: House, asked: Any, field: str) -> None:
    reply = await house.full("POST", "/v1/keys", asked)

    assert (422, [field]) == (reply.status, reply.fields)
    assert 2 == len((await house.full("GET", "/v1/keys")).json["items"])


async def test_no_key_grants_a_scope_that_it_lacks(house: House) -> None:
    strong = await made(house, "strong", "read", "write")
    weak = Door(house.full.api, (await made(house, "weak", "read", "admin"))["secret"])

    asked = await weak("POST", "/v1/keys", {"name": "x", "scopes": ["read", "write"]})
    rotated = await weak("POST", f"/v1/keys/{strong['id']}/rotate")
    own = await weak("POST", "/v1/keys", {"name": "x", "scopes": ["read", "admin"]})

    assert [(403, "this key cannot grant the scope write, which it lacks")] * 2 == [
        (reply.status, reply.json["detail"]) for reply in (asked, rotated)
    ]
    assert 201 == own.status
    assert await works(house, strong["secret"])


async def test_an_end_is_kept_in_utc_and_is_the_end(house: House, clock: SimClock) -> None:
    key = await made(house, expires_at="2026-03-02T13:00:00+02:00")

    assert "2026-03-02T11:00:00Z" == key["expires_at"]
    clock.move_to(clock.now() + timedelta(minutes=59))
    assert await works(house, key["secret"])
    clock.move_to(clock.now() + timedelta(minutes=1))
    assert not await works(house, key["secret"])


async def test_an_edit_changes_what_is_given(house: House) -> None:
    key = await made(house)
    path = f"/v1/keys/{key['id']}"

    named_ = (await house.full("PATCH", path, {"name": "build"})).json
    ending = (await house.full("PATCH", path, {"expires_at": "2027-01-01T00:00:00Z"})).json
    endless = (await house.full("PATCH", path, {"expires_at": None})).json

    assert ("build", None) == (named_["name"], named_["expires_at"])
    assert ("build", "2027-01-01T00:00:00Z") == (ending["name"], ending["expires_at"])
    assert ("build", None) == (endless["name"], endless["expires_at"])
    refused = [await house.full("PATCH", path, asked) for asked in ({"name": ""}, {"scopes": ["admin"]})]
    assert [["name"], ["scopes"]] == [reply.fields for reply in refused]


async def test_a_rotated_key_works_with_both_secrets_until_the_overlap_ends(house: House, clock: SimClock) -> None:
    key = await made(house)

    rotated = (await house.full("POST", f"/v1/keys/{key['id']}/rotate", {"overlap": 60})).json

    assert (key["prefix"], "2026-03-02T10:01:00Z") == (rotated["old_prefix"], rotated["old_until"])
    assert (rotated["secret"][:10], key["id"]) == (rotated["prefix"], rotated["id"])
    assert key["secret"] != rotated["secret"]
    clock.move_to(clock.now() + timedelta(seconds=59))
    assert (True, True) == (await works(house, key["secret"]), await works(house, rotated["secret"]))
    clock.move_to(clock.now() + timedelta(seconds=1))
    assert (False, True) == (await works(house, key["secret"]), await works(house, rotated["secret"]))
    later = (await house.full("GET", f"/v1/keys/{key['id']}")).json
    assert (None, None, None) == (later["old_prefix"], later["old_until"], later["secret"])


async def test_a_secret_on_its_way_out_cannot_take_the_key_over(house: House) -> None:
    key = await made(house, "boss", "read", "write", "admin")
    path = f"/v1/keys/{key['id']}/rotate"
    new = (await house.full("POST", path, {"overlap": 60})).json["secret"]

    old, current = (Door(house.full.api, secret) for secret in (key["secret"], new))

    assert 200 == (await old("GET", "/v1/checks")).status
    another = {"name": "x", "scopes": ["read"]}
    refused = [await old("POST", path, {"overlap": 0}), await old("POST", "/v1/keys", another)]
    assert [403, 403] == [reply.status for reply in refused]
    assert 200 == (await current("GET", "/v1/keys")).status


async def test_an_overlap_is_a_day_if_not_said_and_may_be_none(house: House, clock: SimClock) -> None:
    key = await made(house)
    path = f"/v1/keys/{key['id']}/rotate"

    usual = [(await house.full("POST", path, body=body)).json["old_until"] for body in (b"", b"{}")]
    second = (await house.full("POST", path, {"overlap": 2_592_000})).json
    third = (await house.full("POST", path, {"overlap": 0})).json

    assert ["2026-03-03T10:00:00Z"] * 2 == usual
    assert "2026-04-01T10:00:00Z" == second["old_until"]
    assert (None, None) == (third["old_until"], third["old_prefix"])
    # A secret before the last one is over, whatever it was promised.
    assert [False, False, True] == [await works(house, one["secret"]) for one in (key, second, third)]


@pytest.mark.parametrize("asked", [{"overlap": -1}, {"overlap": 2_592_001}, {"overlap": None}, {"overlap": "1h"}])
async def test_an_overlap_that_cannot_be_is_refused(house: House, asked: Any) -> None:
    key = await made(house)

    reply = await house.full("POST", f"/v1/keys/{key['id']}/rotate", asked)

    assert (422, ["overlap"]) == (reply.status, reply.fields)
    assert await works(house, key["secret"])


async def test_a_key_may_rotate_itself(house: House) -> None:
    first = await named(house, "first key")

    rotated = await house.full("POST", f"/v1/keys/{first['id']}/rotate", {"overlap": 0})

    assert (False, True) == (await works(house, house.full.key), await works(house, rotated.json["secret"]))


async def test_a_revoked_key_is_over_with_both_its_secrets(house: House) -> None:
    key = await made(house)
    path = f"/v1/keys/{key['id']}"
    rotated = (await house.full("POST", f"{path}/rotate")).json

    gone = [(await house.full("DELETE", path)).status for _ in range(2)]

    assert [204, 204] == gone
    assert [False, False] == [await works(house, one["secret"]) for one in (key, rotated)]
    assert "ci" not in [one["name"] for one in (await house.full("GET", "/v1/keys")).json["items"]]
    (listed,) = [one for one in (await house.full("GET", "/v1/keys?revoked=true")).json["items"] if one["name"] == "ci"]
    assert "2026-03-02T10:00:00Z" == listed["revoked_at"] == (await house.full("GET", path)).json["revoked_at"]
    refused = [await house.full("PATCH", path, {"name": "x"}), await house.full("POST", f"{path}/rotate")]
    assert [(409, "the key is revoked")] * 2 == [(reply.status, reply.json["detail"]) for reply in refused]


async def test_a_key_that_is_used_all_the_time_is_over_with_the_answer_that_revokes_it(house: House) -> None:
    key = await made(house)
    used = [await works(house, key["secret"]) for _ in range(2)]

    revoked = await house.full("DELETE", f"/v1/keys/{key['id']}")

    assert ([True, True], 204) == (used, revoked.status)
    assert not await works(house, key["secret"])


async def test_an_expired_key_is_not_rotated_but_may_get_a_later_end(house: House, clock: SimClock) -> None:
    key = await made(house, expires_at="2026-03-02T11:00:00Z")
    path = f"/v1/keys/{key['id']}"
    clock.move_to(clock.now() + DAY)

    refused = await house.full("POST", f"{path}/rotate")
    later = await house.full("PATCH", path, {"expires_at": "2026-04-01T00:00:00Z"})

    assert (409, 200) == (refused.status, later.status)
    assert await works(house, key["secret"])


def is_last(reply: Reply) -> bool:
    return reply.status == 409 and "last key with the scope admin" in reply.json["detail"]


async def test_the_last_key_that_administers_stays(house: House, clock: SimClock) -> None:
    first = f"/v1/keys/{(await named(house, 'first key'))['id']}"
    await made(house, "reader", "read")

    assert is_last(await house.full("DELETE", first))
    assert is_last(await house.full("PATCH", first, {"expires_at": "2027-01-01T00:00:00Z"}))
    second = await made(house, "second", "admin", expires_at="2026-03-02T11:00:00Z")
    assert 200 == (await house.full("PATCH", first, {"expires_at": "2027-01-01T00:00:00Z"})).status
    clock.move_to(clock.now() + DAY)
    # One that has expired counts for nothing.
    assert is_last(await house.full("DELETE", first))
    assert is_last(await house.full("PATCH", first, {"expires_at": "2026-12-31T00:00:00Z"}))
    assert 200 == (await house.full("PATCH", first, {"expires_at": "2027-01-02T00:00:00Z"})).status
    assert 204 == (await house.full("DELETE", f"/v1/keys/{second['id']}")).status
    third = await made(house, "third", "read", "admin")
    assert 204 == (await house.full("DELETE", first)).status
    assert is_last(await Door(house.full.api, third["secret"])("DELETE", f"/v1/keys/{third['id']}"))


async def test_a_project_has_so_many_keys_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_commands, "MOST_KEYS", 3)
    key = await made(house)

    refused = await house.full("POST", "/v1/keys", {"name": "x", "scopes": ["read"]})
    await house.full("DELETE", f"/v1/keys/{key['id']}")

    assert 409 == refused.status
    await made(house)


@pytest.mark.parametrize("key_id", ["x", "0", "-1", "%00", "9" * 19, "9" * 5000, "٣", "1e3"])
async def test_an_id_that_cannot_be_is_not_there(house: House, key_id: str) -> None:
    heard = [
        await house.full("GET", f"/v1/keys/{key_id}"),
        await house.full("PATCH", f"/v1/keys/{key_id}", {"name": "x"}),
        await house.full("DELETE", f"/v1/keys/{key_id}"),
        await house.full("POST", f"/v1/keys/{key_id}/rotate"),
    ]

    assert [(404, "there is no such key")] * 4 == [(reply.status, reply.json["detail"]) for reply in heard]


@on_sqlite
async def test_both_secrets_of_a_key_share_its_pace(house: House, clock: SimClock) -> None:
    key = await made(house)
    rotated = (await house.full("POST", f"/v1/keys/{key['id']}/rotate")).json

    heard = [(await Door(house.full.api, key["secret"])("GET", "/v1/checks")).status for _ in range(601)]
    other = (await Door(house.full.api, rotated["secret"])("GET", "/v1/checks")).status

    assert ([200] * 600 + [429], 429) == (heard, other)


@pytest.mark.parametrize("overlap", [0, 3600])
async def test_what_a_key_invited_to_ends_with_it_however_often_it_was_rotated(house: House, overlap: int) -> None:
    """Or whoever had it would let himself in by a link of before."""
    key = (await house.full("POST", "/v1/keys", {"name": "ci", "scopes": ["read", "write", "admin"]})).json
    secret = key["secret"]
    for n in range(3):
        door = Door(house.full.api, secret)
        assert 201 == (await door("POST", "/v1/invites", {"email": f"joan{n}@example.com", "role": "admin"})).status
        secret = (await door("POST", f"/v1/keys/{key['id']}/rotate", {"overlap": overlap})).json["secret"]
    assert 3 == len((await house.full("GET", "/v1/invites")).json["items"])

    assert 204 == (await house.full("DELETE", f"/v1/keys/{key['id']}")).status

    assert [] == (await house.full("GET", "/v1/invites")).json["items"]
