"""The addresses of badges over the API, and the key that they are made with."""

from __future__ import annotations

import pytest

from tests.api.conftest import START
from tests.api.door import House

pytestmark = pytest.mark.anyio


async def test_badges_are_listed_with_their_addresses_once_there_is_a_key(house: House) -> None:
    for name, tags in (("one", ("b", "a")), ("two", ("a",)), ("three", ())):
        await house.world.check(START, name=name, tags=tags)
    assert {"items": [], "next": None} == (await house.read("GET", "/v1/badges")).json
    key = (await house.full("POST", "/v1/badges/key")).json["key"]
    first = (await house.read("GET", "/v1/badges?limit=2")).json
    second = (await house.read("GET", f"/v1/badges?limit=2&cursor={first['next']}")).json

    told = [(one["of"], one["name"]) for one in (*first["items"], *second["items"])]
    assert [("all", "Main"), ("tag", "a"), ("tag", "b"), ("check", "one"), ("check", "two"), ("check", "three")] == told
    assert second["next"] is None
    urls = [url for one in first["items"] for n in ("two_states", "three_states") for url in one[n].values()]
    assert len(urls) == len(set(urls))
    assert all(url.startswith(f"http://beat.example.org/badge/{key}/") for url in urls)
    assert first["items"][3]["check"] is not None
    assert first["items"][0]["check"] is None


async def test_a_new_key_gives_every_badge_another_address_and_none_takes_them_away(house: House) -> None:
    await house.full("POST", "/v1/badges/key")
    before = (await house.full("GET", "/v1/badges")).json
    await house.full("POST", "/v1/badges/key")

    assert before != (await house.full("GET", "/v1/badges")).json
    assert 204 == (await house.full("DELETE", "/v1/badges/key")).status
    assert [] == (await house.full("GET", "/v1/badges")).json["items"]
    assert 409 == (await house.full("DELETE", "/v1/badges/key")).status
    assert 422 == (await house.full("GET", "/v1/badges?cursor=nonsense")).status
    entries = (await house.full("GET", "/v1/audit")).json["items"][:3]
    assert ["project.remove_badge_key", "project.make_badge_key", "project.make_badge_key"] == [
        one["action"] for one in entries
    ]
