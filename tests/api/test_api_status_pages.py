"""Status pages over the API: what they may hold, and whose they are."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.api.conftest import START
from tests.api.door import House
from tests.one_database import on_sqlite
from tests.web.test_logos import png

pytestmark = pytest.mark.anyio

ITEM = {"name": "Web shop", "tag": "shop"}


def shown(**changed: Any) -> dict[str, Any]:
    return {"slug": "acme", "title": "Acme", "groups": [{"name": "Shop", "items": [ITEM]}]} | changed


async def test_a_page_is_made_read_edited_and_deleted(house: House) -> None:
    check = await house.world.check(START)
    made = await house.full("POST", "/v1/status-pages", shown())
    path = f"/v1/status-pages/{made.json['id']}"
    groups = [{"name": "", "items": [ITEM, {"name": "Copy", "check": check.uuid}]}]
    edited = await house.full("PATCH", path, {"groups": groups, "published": True}, headers=[("If-Match", '"1"')])

    assert (201, "http://beat.example.org/status/acme", True, False) == (
        made.status, made.json["url"], made.json["noindex"], made.json["published"],
    )  # fmt: skip
    assert ("Acme", True, '"2"') == (edited.json["title"], edited.json["published"], edited.headers["etag"])
    assert ["Web shop", "Copy"] == [item["name"] for item in edited.json["groups"][0]["items"]]
    assert 412 == (await house.full("PATCH", path, {"title": "x"}, headers=[("If-Match", '"1"')])).status
    assert edited.json == (await house.full("GET", path)).json
    assert [edited.json] == (await house.full("GET", "/v1/status-pages")).json["items"]
    assert 204 == (await house.full("DELETE", path)).status
    assert 404 == (await house.full("GET", path)).status


async def test_colours_and_logo_are_set_and_taken_away(house: House) -> None:
    logo = base64.b64encode(png()).decode()
    made = await house.full("POST", "/v1/status-pages", shown(accent="#0b6e4f", accent_dark="#9fe2c8", logo=logo))
    path = f"/v1/status-pages/{made.json['id']}"
    renamed = await house.full("PATCH", path, {"title": "Other"})
    bare = await house.full("PATCH", path, {"accent": "", "logo": None})

    assert (201, "#0b6e4f", "#9fe2c8") == (made.status, made.json["accent"], made.json["accent_dark"])
    assert made.json["logo_url"].startswith("http://beat.example.org/status/acme/look/")
    assert made.json["logo_url"] == renamed.json["logo_url"]
    assert ("", "#9fe2c8", None) == tuple(bare.json[name] for name in ("accent", "accent_dark", "logo_url"))


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"slug": "No"}, "slug"),
        ({"title": "\u200b"}, "title"),
        ({"groups": [{"name": "a\x00", "items": []}]}, "groups[0].name"),
        ({"groups": [{"name": "", "items": [{"name": "x"}]}]}, "groups[0].items[0]"),
        ({"groups": [{"name": "", "items": [ITEM | {"check": "x"}]}]}, "groups[0].items[0]"),
        ({"groups": [{"name": "", "items": [{"name": "x", "check": "x"}]}]}, "groups[0].items[0].check"),
        ({"groups": [{"name": "", "items": [ITEM, {"name": "", "tag": "x"}]}]}, "groups[0].items[1].name"),
        ({"groups": [{"name": "", "items": [ITEM] * 51}]}, "groups"),
        ({"accent": "#a5abff"}, "accent"),
        ({"accent_dark": "#000000"}, "accent_dark"),
        ({"accent": "red"}, "accent"),
        ({"logo": "=?="}, "logo"),
        ({"logo": "PHN2Zy8+"}, "logo"),
    ],
)
async def test_what_is_wrong_is_named(house: House, changed: dict[str, Any], field: str) -> None:
    reply = await house.full("POST", "/v1/status-pages", shown(**changed))

    assert (422, [field]) == (reply.status, reply.fields)
    assert [] == (await house.full("GET", "/v1/status-pages")).json["items"]


async def test_a_slug_is_one_pages_of_the_whole_server_and_a_check_must_be_ones_own(
    house: House, neighbour: House
) -> None:
    theirs = await neighbour.world.check(START)
    assert 201 == (await neighbour.full("POST", "/v1/status-pages", shown())).status
    items = [{"name": "x", "check": theirs.uuid}]

    assert 409 == (await house.full("POST", "/v1/status-pages", shown())).status
    refused = await house.full("POST", "/v1/status-pages", shown(slug="b", groups=[{"name": "", "items": items}]))
    assert ["groups[0].items[0].check"] == refused.fields
    mine = (await house.full("POST", "/v1/status-pages", shown(slug="c"))).json["id"]
    assert 409 == (await house.full("PATCH", f"/v1/status-pages/{mine}", {"slug": "acme"})).status


async def test_a_project_has_twenty_pages_at_most(house: House) -> None:
    heard = [(await house.full("POST", "/v1/status-pages", shown(slug=f"s-{n}"))).status for n in range(21)]

    assert [201] * 20 + [409] == heard
