"""Edits of what has changed since it was read: refused to who asks for it, of everything that can be edited."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.door import House, Reply
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

HOOK = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.com/x"}}
MADE: dict[str, Any] = {
    "/v1/checks": {"name": "job"},
    "/v1/channels": HOOK,
    "/v1/keys": {"name": "ci", "scopes": ["read"]},
}


async def thing(house: House, kind: str) -> str:
    """The path of one that was just made."""
    return kind if kind == "/v1/project" else f"{kind}/{(await house.full('POST', kind, MADE[kind])).json['id']}"


@pytest.mark.parametrize("kind", [*MADE, "/v1/project"])
async def test_of_two_edits_of_the_same_reading_the_second_is_refused(house: House, kind: str) -> None:
    path = await thing(house, kind)
    seen = (await house.full("GET", path)).headers["etag"]
    assert seen == (await house.full("GET", path)).headers["etag"]

    async def edit(name: str, tag: str) -> Reply:
        return await house.full("PATCH", path, {"name": name}, headers=[("If-Match", tag)])

    mine, yours = await edit("mine", seen), await edit("yours", seen)

    assert (200, "mine") == (mine.status, mine.json["name"])
    assert mine.headers["etag"] == (await house.full("GET", path)).headers["etag"] != seen
    assert (412, "application/problem+json", "urn:heartfly:problem:changed-meanwhile") == (
        yours.status,
        yours.headers["content-type"],
        yours.json["type"],
    )
    assert "has changed since you read it" in yours.json["detail"]
    assert 200 == (await edit("yours", mine.headers["etag"])).status
    assert 200 == (await edit("theirs", "*")).status
    assert 200 == (await house.full("PATCH", path, {"name": "anybody's"})).status


async def test_an_upsert_with_a_tag_edits_what_was_read_and_makes_nothing(house: House) -> None:
    async def upsert(tag: str, query: str = "?upsert=slug", **asked: Any) -> Reply:
        asked = {"slug": "job", "name": "job"} | asked
        return await house.full("POST", f"/v1/checks{query}", asked, headers=[("If-Match", tag)])

    nothing = [await upsert(tag) for tag in ('"1"', "*")]
    made = await house.full("POST", "/v1/checks?upsert=slug", {"slug": "job"})
    mine = await upsert(made.headers["etag"], grace=60)
    yours = await upsert(made.headers["etag"], grace=90)
    anybodys = await upsert("*", grace=120)
    plain = await upsert("*", query="", slug="other")

    assert [412, 412] == [reply.status for reply in nothing]
    assert (201, 200, 60) == (made.status, mine.status, mine.json["grace"])
    assert (412, "urn:heartfly:problem:changed-meanwhile") == (yours.status, yours.json["type"])
    assert (200, 120) == (anybodys.status, anybodys.json["grace"])
    assert (422, ["If-Match"]) == (plain.status, plain.fields)
    assert ["job"] == [check["slug"] for check in (await house.full("GET", "/v1/checks")).json["items"]]


@on_sqlite
@pytest.mark.parametrize("kind", [*MADE, "/v1/project"])
@pytest.mark.parametrize("tag", ["17", 'W/"17"', '"17", "18"', '"x"', "", '"' + "9" * 40 + '"'])
async def test_what_is_no_etag_is_refused_by_name(house: House, kind: str, tag: str) -> None:
    path = await thing(house, kind)

    reply = await house.full("PATCH", path, {"name": "x"}, headers=[("If-Match", tag)])

    assert (422, ["If-Match"]) == (reply.status, reply.fields)


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        ("/v1/keys", "rotate"),
        ("/v1/channels", "rotate-secret"),
        ("/v1/checks", "rotate-ping-url"),
        ("/v1/project", "rotate-ping-key"),
    ],
)
async def test_a_rotation_is_an_edit_too(house: House, kind: str, verb: str) -> None:
    path = await thing(house, kind)
    seen = (await house.full("GET", path)).headers["etag"]

    heard = [await house.full("POST", f"{path}/{verb}", headers=[("If-Match", seen)]) for _ in range(2)]

    assert [200, 412] == [reply.status for reply in heard]
    assert seen != heard[0].headers["etag"]


@pytest.mark.parametrize("kind", MADE)
async def test_what_has_changed_is_not_deleted_either(house: House, kind: str) -> None:
    path = await thing(house, kind)
    seen = (await house.full("GET", path)).headers["etag"]
    edited = await house.full("PATCH", path, {"name": "other"})

    stale = await house.full("DELETE", path, headers=[("If-Match", seen)])
    fresh = await house.full("DELETE", path, headers=[("If-Match", edited.headers["etag"])])

    assert (412, 204) == (stale.status, fresh.status)


async def test_the_use_of_a_key_is_no_edit_of_it(house: House) -> None:
    key = (await house.full("POST", "/v1/keys", MADE["/v1/keys"])).json
    path = f"/v1/keys/{key['id']}"
    before = (await house.full("GET", path)).headers["etag"]
    await type(house.full)(house.full.api, key["secret"])("GET", "/v1/checks")

    assert before == (await house.full("GET", path)).headers["etag"]
    assert 200 == (await house.full("PATCH", path, {"name": "x"}, headers=[("If-Match", before)])).status
