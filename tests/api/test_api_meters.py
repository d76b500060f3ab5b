"""Meters over the API: made, renamed, changed for a time, archived; asked for figures, and previewed before."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.conftest import START
from tests.api.door import House
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

TRAFFIC = {
    "slug": "traffic",
    "name": "Traffic",
    "unit": "bytes",
    "event_types": ["api.request"],
    "aggregation": "sum",
    "value": "size * 2",
    "group_keys": ["region"],
}
HOUR = timedelta(hours=1)


def event(number: int, at: datetime, **properties: Any) -> dict[str, Any]:
    named = {"transaction_id": f"t-{number}", "customer_id": f"c-{number % 2}", "event_type": "api.request"}
    return named | {"timestamp": at.isoformat(), "properties": properties}


@pytest.fixture
async def folder(usage_db: Database, clock: SimClock, ids: IdSource) -> Folder:
    return Folder(usage_db, clock, ids, hands=Hands(beside=False))


async def fold(folder: Folder) -> None:
    folder._resting.clear()  # hours that were folded just now need not rest
    while await folder.round():
        pass


@pytest.fixture
async def used(house: House, folder: Folder) -> House:
    """Four events of yesterday, one of which has no size and one no amount in it, and two of this morning."""
    yesterday = START - timedelta(days=1)
    sent = [
        event(0, yesterday, size="0.1", region="eu"),
        event(1, yesterday, size="12345678901234567890.000000000000000001", region="us"),
        event(2, yesterday + HOUR, region="eu"),
        event(3, yesterday + HOUR, size="big"),
        event(4, START - HOUR, size=5, region="eu"),
        event(5, START - HOUR, size="-1", region="eu"),
    ]
    assert 200 == (await house.full("POST", "/v1/events", sent)).status
    await fold(folder)
    return house


async def test_a_meter_is_made_read_renamed_and_archived(house: House) -> None:
    made = await house.full("POST", "/v1/meters", TRAFFIC)
    path = "/v1/meters/traffic"
    renamed = await house.full("PATCH", path, {"name": "Bytes out"}, headers=[("If-Match", made.headers["etag"])])

    assert (201, "http://beat.example.org/v1/meters/traffic", '"1"') == (
        made.status, made.headers["location"], made.headers["etag"],
    )  # fmt: skip
    assert ("sum", "size * 2", ["region"]) == tuple(
        made.json["current"][name] for name in ("aggregation", "value", "group_keys")
    )
    assert (200, "Bytes out", "bytes", '"2"') == (
        renamed.status, renamed.json["name"], renamed.json["unit"], renamed.headers["etag"],
    )  # fmt: skip
    assert 412 == (await house.full("PATCH", path, {"unit": "MB"}, headers=[("If-Match", '"1"')])).status
    assert renamed.json == (await house.read("GET", f"/v1/meters/{made.json['id'].upper()}")).json
    archived = await house.full("POST", f"{path}/archive")
    assert START == datetime.fromisoformat(archived.json["archived_at"])
    assert archived.headers["etag"] == (await house.full("POST", f"{path}/archive")).headers["etag"]
    assert 409 == (await house.full("POST", f"{path}/versions", _counting())).status
    assert ["traffic"] == await _slugs(house, "?archived=true")
    assert [] == await _slugs(house, "?archived=false")
    assert None is (await house.full("POST", f"{path}/unarchive")).json["archived_at"]
    assert 404 == (await house.full("GET", "/v1/meters/nothing")).status


async def _slugs(house: House, query: str = "") -> list[str]:
    return [one["slug"] for one in (await house.full("GET", f"/v1/meters{query}")).json["items"]]


def _counting(**more: Any) -> dict[str, Any]:
    return {"event_types": ["api.request"], "aggregation": "count"} | more


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"slug": "preview"}, "slug"),
        ({"slug": "3f0f8f9e-6a1c-4a55-8d4c-111111111111"}, "slug"),
        ({"slug": "No"}, "slug"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["x" * 129]}, "event_types[0]"),
        ({"aggregation": "median"}, "aggregation"),
        ({"value": None}, "value"),
        ({"value": "size /"}, "value"),
        ({"value": "size" * 200}, "value"),
        ({"percentile": 95}, "percentile"),
        ({"filters": [{"property": "a"}, {"property": ""}]}, "filters[1].property"),
        ({"filters": [{"property": "a", "in": []}]}, "filters[0].in"),
        ({"filters": [{"property": "a"}] * 21}, "filters"),
        ({"group_keys": ["a", "a"]}, "group_keys"),
        ({"group_keys": ["a", "customer"]}, "group_keys[1]"),
        ({"from_at": "2026-03-01T00:00:00Z", "to_at": "2026-03-01T00:00:00Z"}, "to_at"),
        ({"from_at": "2026-03-01"}, "from_at"),
    ],
)
async def test_what_is_wrong_with_a_meter_is_named(house: House, changed: dict[str, Any], field: str) -> None:
    refused = await house.full("POST", "/v1/meters", TRAFFIC | changed)

    assert (422, [field]) == (refused.status, refused.fields)
    assert [] == await _slugs(house)


async def test_a_slug_is_one_meters_of_the_project_for_good(house: House, neighbour: House) -> None:
    assert 201 == (await neighbour.full("POST", "/v1/meters", TRAFFIC)).status
    assert 201 == (await house.full("POST", "/v1/meters", TRAFFIC)).status
    await house.full("POST", "/v1/meters/traffic/archive")

    taken = await house.full("POST", "/v1/meters", TRAFFIC)

    assert (409, ["slug"]) == (taken.status, taken.fields)


async def test_a_new_meter_knows_history_to_the_last_digit(used: House, folder: Folder) -> None:
    await used.full("POST", "/v1/meters", TRAFFIC)
    await fold(folder)

    told = (await used.read("GET", "/v1/meters/traffic/query?window=day&group_by=subject&group_by=region")).json

    shown = [
        (one["from_at"][:10], one["state"], one["subject"], one["group"]["region"], one["n"], one["value_exact"])
        for one in told["items"]
    ]
    assert [
        ("2026-03-01", "provisional", "c-0", "eu", 1, "0.2"),
        ("2026-03-01", "provisional", "c-1", "us", 1, "24691357802469135780.000000000000000002"),
        ("2026-03-02", "open", "c-0", "eu", 1, "10"),
        ("2026-03-02", "open", "c-1", "eu", 1, "-2"),
    ] == shown
    assert ("day", "bytes", "traffic", None) == tuple(told[name] for name in ("window", "unit", "meter", "next"))
    assert 0.2 == told["items"][0]["value"]
    assert START == datetime.fromisoformat(told["complete_up_to"])
    lately = (await used.full("GET", "/v1/meters/traffic")).json["lately"]
    assert (2, 1, 1) == (lately["counted"], lately["missing"], lately["no_amount"])
    what = "1 lacked a property, 1 held no amount"
    assert f'2 of 4 events could not be counted ({what}): in t-3 size is "big"' == lately["warning"]
    example = lately["example"]
    assert ("t-3", "size", "big") == tuple(example[name] for name in ("transaction_id", "property", "value"))


async def test_figures_come_in_pages_and_as_csv(used: House, folder: Folder) -> None:
    await used.full("POST", "/v1/meters", TRAFFIC)
    await fold(folder)
    asked = "/v1/meters/traffic/query?window=day&group_by=subject&filter=region:eu"
    whole = (await used.full("GET", asked)).json["items"]

    paged, cursor = [], ""
    for _ in whole:
        page = (await used.full("GET", f"{asked}&limit=1{cursor}")).json
        paged += page["items"]
        cursor = f"&cursor={page['next']}"
    assert (whole, None, 3) == (paged, page["next"], len(paged))

    table = await used.full("GET", f"{asked}&limit=2", headers=[("Accept", "text/csv")])
    rows = list(csv.reader(table.body.decode().splitlines()))
    assert ("text/csv; charset=utf-8", True) == (table.headers["content-type"], "heartfly-next" in table.headers)
    assert ["from_at", "to_at", "state", "customer_id", "customer", "subject", "n", "value"] == rows[0]
    assert ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "provisional", "", "", "c-0", "1", "0.2"] == rows[1]


async def test_a_bound_may_be_a_day_of_the_zone(house: House) -> None:
    await house.full("POST", "/v1/meters", TRAFFIC)
    asked = "/v1/meters/traffic/query?from=2026-03-01&to=2026-03-02&zone=Europe/Berlin"

    told = (await house.full("GET", asked)).json
    assert ("2026-02-28T23:00:00Z", "2026-03-01T23:00:00Z") == (told["from_at"], told["to_at"])


@on_sqlite
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("to=0001-01-01&zone=Europe/Berlin", "to"),
        ("to=9999-12-31", "to"),
        ("to=0001-01-01T00:00:00Z", "to"),
        ("from=2026-03-03T00:00:00Z", "to"),
        ("window=week", "window"),
        ("zone=Mars", "zone"),
        ("group_by=size", "group_by"),
        ("filter=size:1", "filter"),
        ("customer=nobody", "customer"),
        ("subject=a%00", "subject[0]"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=WzEsW11d", "cursor"),
        ("group_by=region&cursor=WzEsW11d", "cursor"),
    ],
)
async def test_what_is_wrong_with_a_question_is_named(house: House, query: str, field: str) -> None:
    await house.full("POST", "/v1/meters", TRAFFIC)

    refused = await house.full("GET", f"/v1/meters/traffic/query?{query}")

    if query == "cursor=WzEsW11d":  # [1,[]]: a place of this very query
        assert 200 == refused.status
        return
    assert (422, [field]) == (refused.status, refused.fields)


async def test_a_preview_says_what_a_new_meter_would_come_to(used: House) -> None:
    told = (await used.full("POST", "/v1/meters/preview", {k: v for k, v in TRAFFIC.items() if k in _DEFINING})).json

    assert (True, 6, 4, 1, 1, 0) == tuple(
        told[name] for name in ("whole", "looked_at", "matched", "missing", "no_amount", "more")
    )
    assert [
        ("2026-03-01", "c-0", "0.2", None),
        ("2026-03-01", "c-1", "24691357802469135780.000000000000000002", None),
    ] == [(one["from_at"][:10], one["subject"], one["value_exact"], one["before"]) for one in told["items"][:2]]
    assert [] == await _slugs(used)


_DEFINING = {"event_types", "aggregation", "value", "group_keys"}


async def test_a_preview_says_what_would_change(used: House) -> None:
    await used.full("POST", "/v1/meters", TRAFFIC)
    asked = {"event_types": ["api.request"], "aggregation": "sum", "value": "size", "meter": "traffic"}
    since = {"from_at": START.replace(hour=0).isoformat()}

    told = (await used.full("POST", "/v1/meters/preview", asked | since)).json

    shown = [
        (one["from_at"][:10], one["subject"], one["before_exact"], one["difference_exact"]) for one in told["items"]
    ]
    assert [("2026-03-02", "c-0", "10", "-5"), ("2026-03-02", "c-1", "-2", "1")] == shown[:2]
    assert {"0"} == {difference for *_, difference in shown[2:]}
    refused = await used.full("POST", "/v1/meters/preview", asked | {"meter": "nothing"})
    assert (422, ["meter"]) == (refused.status, refused.fields)


async def test_a_version_counts_from_an_instant_on_and_marks_only_what_it_concerns(
    used: House, folder: Folder, usage_db: Database
) -> None:
    await used.full("POST", "/v1/meters", TRAFFIC)
    await fold(folder)
    today = START.replace(hour=0)
    version = {"event_types": ["api.request"], "aggregation": "sum", "value": "size", "from_at": today.isoformat()}

    changed = await used.full("POST", "/v1/meters/traffic/versions", version, headers=[("If-Match", '"1"')])

    assert (201, '"2"', 2) == (changed.status, changed.headers["etag"], len(changed.json["versions"]))
    async with usage_db.read() as read:
        marked = (await read.execute(sa.select(dirty_hours.c.hour))).scalars().all()
    assert [START - HOUR] == list(marked)
    await fold(folder)
    told = (await used.full("GET", "/v1/meters/traffic/query?window=day&from=2026-03-01T00:00:00Z")).json["items"]
    assert ["24691357802469135780.200000000000000002", "4"] == [one["value_exact"] for one in told]


async def test_what_happens_after_it_was_archived_is_not_counted_until_it_is_brought_back(
    used: House, folder: Folder, clock: SimClock
) -> None:
    await used.full("POST", "/v1/meters", _counting(slug="calls"))
    await used.full("POST", "/v1/meters/calls/archive")
    clock.move_to(START + HOUR)
    await used.full("POST", "/v1/events", [event(9, START + timedelta(minutes=5))])
    await fold(folder)

    async def counted() -> str:
        told: str = (await used.full("GET", "/v1/meters/calls/query?window=none")).json["items"][0]["value_exact"]
        return told

    assert "6" == await counted()
    await used.full("POST", "/v1/meters/calls/unarchive")
    await fold(folder)
    assert "7" == await counted()


async def test_who_changed_a_meter_is_in_the_audit(house: House) -> None:
    made = await house.full("POST", "/v1/meters", TRAFFIC)
    await house.full("PATCH", "/v1/meters/traffic", {"unit": "MB"})
    await house.full("PATCH", "/v1/meters/traffic", {"unit": "MB"})
    await house.full("POST", "/v1/meters/traffic/versions", _counting(from_at="2026-03-01T00:00:00Z"))
    await house.full("POST", "/v1/meters/traffic/archive")
    await house.full("POST", "/v1/meters/traffic/unarchive")

    told = (await house.full("GET", f"/v1/audit?object=meter:{made.json['id']}")).json["items"]

    actions = ["meter.unarchive", "meter.archive", "meter.change", "meter.edit", "meter.create"]
    assert actions == [one["action"] for one in told]
    assert ({"unit": "bytes"}, {"unit": "MB"}) == (told[3]["before"], told[3]["after"])
    assert ("count", "traffic") == (told[2]["after"]["definition"]["aggregation"], told[4]["after"]["slug"])
