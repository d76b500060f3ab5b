"""Saved views over the native API: the same that the pages save, list and forget."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.door import House
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

VIEWS = "/v1/views"
ETL = {"name": " ETL down ", "q": "tag:etl is:down", "status": "down"}


async def test_one_is_saved_listed_and_forgotten(house: House) -> None:
    made = await house.full("POST", VIEWS, ETL)
    week = await house.full("POST", VIEWS, {"name": "a week", "view": "timeline", "range": "7d"})

    slug = house.world.project.slug
    assert (201, 201) == (made.status, week.status)
    assert {
        "id": made.json["id"],
        "name": "ETL down",
        "q": "tag:etl is:down",
        "tag": "",
        "status": "down",
        "view": "list",
        "range": "",
        "group": "",
        "url": f"http://beat.example.org/p/{slug}/checks?q=tag%3Aetl+is%3Adown&status=down",
        "created_at": "2026-03-02T10:00:00Z",
    } == made.json
    assert ("timeline", "7d") == (week.json["view"], week.json["range"])
    by_tag = await house.full("POST", VIEWS, {"name": "z", "group": "tag"})
    assert ("tag", True) == (by_tag.json["group"], by_tag.json["url"].endswith("/checks?group=tag"))
    await house.full("DELETE", f"{VIEWS}/{by_tag.json['id']}")
    assert {"items": [week.json, made.json], "next": None} == (await house.read("GET", VIEWS)).json
    assert 403 == (await house.read("DELETE", f"{VIEWS}/{made.json['id']}")).status
    assert [204, 404] == [(await house.full("DELETE", f"{VIEWS}/{made.json['id']}")).status for _ in range(2)]
    assert [week.json] == (await house.read("GET", VIEWS)).json["items"]
    actions = [entry["action"] for entry in (await house.full("GET", "/v1/audit?action=view")).json["items"]]
    assert ["view.delete", "view.delete", "view.create", "view.create", "view.create"] == actions


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"q": "", "status": ""}, "q"),
        ({"q": "is:loud"}, "q"),
        ({"status": "loud"}, "status"),
        ({"view": "round"}, "view"),
        ({"range": "7d"}, "range"),
        ({"view": "timeline", "range": "9d"}, "range"),
        ({"group": "name"}, "group"),
        ({"view": "next", "group": "tag"}, "group"),
        ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"),
    ],
)
async def test_what_no_list_shows_is_not_saved(house: House, changed: dict[str, Any], field: str) -> None:
    refused = await house.full("POST", VIEWS, ETL | changed)

    assert (422, [field]) == (refused.status, refused.fields)
    assert [] == (await house.full("GET", VIEWS)).json["items"]


async def test_a_name_is_given_once(house: House) -> None:
    assert [201, 409] == [(await house.full("POST", VIEWS, ETL)).status for _ in range(2)]
