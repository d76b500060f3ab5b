"""The dead letter at the API: found, sent once more, edited, dropped; and nothing counts twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heartfly.db.database import Database
from heartfly.db.models import dead_letters, events
from tests.api.door import House
from tests.api.test_events_door import LINES, count, event

pytestmark = pytest.mark.anyio


async def letters(house: House, query: str = "") -> list[Any]:
    reply = await house.full("GET", f"/v1/dead-letters?{query}")
    assert 200 == reply.status, reply.body
    found: list[Any] = reply.json["items"]
    return found


async def test_they_are_found_by_state_field_and_text(house: House) -> None:
    await house.full(
        "POST", "/v1/events", [event(1, timestamp="soon"), event(2, customer_id=""), event(3, timestamp="a_b%")]
    )

    assert ["timestamp", "customer_id", "timestamp"] == [one["field"] for one in await letters(house)]
    assert 2 == len(await letters(house, "field=timestamp&state=open"))
    (one,) = await letters(house, "q=a_b%25")
    assert ("native", "open") == (one["wire"], one["state"])
    assert '"t-3"' in one["raw"]
    assert [] == await letters(house, "q=a.b")
    assert [] == await letters(house, "state=dropped")
    assert one == (await house.full("GET", f"/v1/dead-letters/{one['id']}")).json


async def test_pages_have_each_once(house: House) -> None:
    await house.full("POST", "/v1/events", [event(number, timestamp="soon") for number in range(5)])

    for narrowed in ("", "q=soon&"):
        following: str | None = ""
        names: list[str] = []
        while following is not None:
            path = f"/v1/dead-letters?{narrowed}limit=2{following and '&cursor=' + following}"
            page = (await house.full("GET", path)).json
            names += [one["id"] for one in page["items"]]
            following = page["next"]
        assert sorted(set(names), reverse=True) == names
        assert 5 == len(names)


async def test_an_edited_one_is_sent_in_its_place_once(house: House, usage_db: Database) -> None:
    await house.full("POST", "/v1/events", [event(1, timestamp="soon")])
    (one,) = await letters(house)
    path = f"/v1/dead-letters/{one['id']}/replay"

    as_it_is = await house.full("POST", path)
    wrong = await house.full("POST", path, {"event": event(1, event_type="")})
    right = await house.full("POST", path, {"event": event(1)})
    again = await house.full("POST", path, {"event": event(1)})

    assert [(422, ["event.timestamp"]), (422, ["event.event_type"])] == [
        (reply.status, reply.fields) for reply in (as_it_is, wrong)
    ]
    assert {"outcome": "accepted"} == right.json
    assert 409 == again.status
    assert (1, 1) == (await count(usage_db, events), await count(usage_db, dead_letters))
    assert "replayed" == (await letters(house))[0]["state"]


async def test_what_is_no_json_has_to_be_edited(house: House) -> None:
    await house.full("POST", "/v1/events", body=b'{"cut', headers=LINES)
    (one,) = await letters(house)

    reply = await house.full("POST", f"/v1/dead-letters/{one['id']}/replay")

    assert (422, ["event"]) == (reply.status, reply.fields)


async def test_half_of_a_pair_is_no_other_character_when_it_is_sent_once_more(house: House, usage_db: Database) -> None:
    named = rb'"acme\ud800"'
    body = json.dumps(event(1, customer_id="?")).encode().replace(b'"?"', named)
    await house.full("POST", "/v1/events", body=body)
    (one,) = await letters(house)

    reply = await house.full("POST", f"/v1/dead-letters/{one['id']}/replay")
    many = await house.full("POST", "/v1/dead-letters/replay", {})

    assert named.decode() in one["raw"]
    assert (422, ["event.customer_id"]) == (reply.status, reply.fields)
    assert (0, 1) == (many.json["accepted"], many.json["rejected"])
    assert 0 == await count(usage_db, events)


async def test_one_that_is_dropped_is_sent_no_more(house: House) -> None:
    await house.full("POST", "/v1/events", [event(1, timestamp="soon")])
    (one,) = await letters(house)

    heard = [await house.full("POST", f"/v1/dead-letters/{one['id']}/drop") for _ in range(2)]
    replayed = await house.full("POST", f"/v1/dead-letters/{one['id']}/replay", {"event": event(1)})

    assert [(200, "dropped")] * 2 == [(reply.status, reply.json["state"]) for reply in heard]
    assert 409 == replayed.status
    (entry,) = (await house.full("GET", "/v1/audit?object=dead_letter")).json["items"]
    assert ("dead_letter.drop", f"dead_letter:{one['id']}") == (entry["action"], entry["object"])


async def test_all_that_are_right_by_now_are_sent_at_once(house: House, usage_db: Database, clock: Any) -> None:
    early = clock.now()
    ahead = [event(number, timestamp=(early.replace(day=4)).isoformat()) for number in range(4)]
    await house.full("POST", "/v1/events", [*ahead, ahead[0], event(9, event_type="")])
    assert 6 == len(await letters(house, "state=open"))
    clock.move_to(early.replace(day=4))

    some = (await house.full("POST", "/v1/dead-letters/replay", {"field": "timestamp", "limit": 3})).json
    rest = (await house.full("POST", "/v1/dead-letters/replay", {"field": "timestamp", "cursor": some["next"]})).json
    left = (await house.full("POST", "/v1/dead-letters/replay", {})).json

    assert (3, 0, 0) == (some["accepted"], some["duplicate"], some["rejected"])
    assert (1, 1, None) == (rest["accepted"], rest["duplicate"], rest["next"])
    assert {"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 1, "next": None} == left
    assert ["event_type"] == [one["field"] for one in await letters(house, "state=open")]
    assert 4 == await count(usage_db, events)
