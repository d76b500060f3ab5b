"""Names that would deceive are refused with their field; all others are stored as they are, on both databases."""

from __future__ import annotations

import pytest

from heartfly.accounts.commands import create_project
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import InvalidValueError
from tests.api.conftest import START
from tests.api.door import House
from tests.one_database import on_sqlite
from tests.world import SEALER

pytestmark = pytest.mark.anyio

HOOK = {"url": "https://hooks.example.com/x"}
BAD = {
    "spaces": " \u00a0\u2003",
    "of no width": "\u200b\u2060\ufeff",
    "joiners": "\u200d\u200c",
    "marks of direction": "\u200e\u200f",
    "a Hangul filler": "\u3164",
    "an override": "invoice\u202efdp.exe",
    "an isolate": "\u2067ops\u2069",
    "NUL": "a\u0000b",
    "an escape": "\u001b[31mred",
    "a line separator": "a\u2028b",
    "two lines": "a\nb",
}


@on_sqlite
@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
async def test_a_name_that_deceives_is_refused_with_its_field(house: House, name: str) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "good"})).json
    channel = (await house.full("POST", "/v1/channels", {"kind": "webhook", "name": "good", "config": HOOK})).json
    asked = [
        ("POST", "/v1/checks", {"name": name}),
        ("PATCH", f"/v1/checks/{check['id']}", {"name": name}),
        ("POST", "/v1/channels", {"kind": "webhook", "name": name, "config": HOOK}),
        ("PATCH", f"/v1/channels/{channel['id']}", {"name": name}),
    ]

    replies = [await house.full(*one) for one in asked]
    tagged = await house.full("POST", "/v1/checks", {"name": "tagged", "tags": ["good", name]})

    assert [(422, ["name"])] * 4 == [(reply.status, reply.fields) for reply in replies]
    assert (422, ["tags[1]"]) == (tagged.status, tagged.fields)
    assert ["good"] == [one["name"] for one in (await house.full("GET", "/v1/checks")).json["items"]]
    assert ["good"] == [one["name"] for one in (await house.full("GET", "/v1/channels")).json["items"]]


@pytest.mark.parametrize(
    "name", ["👩\u200d💻 🦋", "גיבוי\u200f", "می\u200cخواهم", "Zürich", "\U0001fadf", "a'\"\\;--%_$"]
)
async def test_what_can_be_seen_is_stored_and_found_again_as_it_is(house: House, name: str) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": name, "tags": [name]})).json
    channel = (await house.full("POST", "/v1/channels", {"kind": "webhook", "name": name, "config": HOOK})).json

    read = (await house.full("GET", f"/v1/checks/{check['id']}")).json
    assert (name, [name]) == (read["name"], read["tags"])
    assert name == (await house.full("GET", f"/v1/channels/{channel['id']}")).json["name"]


async def test_two_names_that_look_alike_are_one(house: House) -> None:
    made = [
        await house.full("POST", "/v1/channels", {"kind": "webhook", "name": name, "config": HOOK})
        for name in ("Zürich", "Zu\u0308rich", "\ufeffZü\u200brich ")
    ]
    assert [201, 409, 409] == [reply.status for reply in made]


@on_sqlite
@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
async def test_a_project_is_named_by_the_same_rules(db: Database, ids: IdSource, name: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^name: "):
        await db.write(
            lambda tx: create_project(tx, slug="other", name=name, zone="UTC", sealer=SEALER, at=START, ids=ids)
        )
