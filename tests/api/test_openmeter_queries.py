"""OpenMeter's questions after events and meters, beside Python's own decimals over the same events."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.conftest import START
from tests.api.door import Door, House, Reply
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

FIRST = START - timedelta(days=2)
METER = {
    "slug": "cost",
    "name": "Cost",
    "event_types": ["call"],
    "aggregation": "sum",
    "value": "cost",
    "group_keys": ["region", "content-type"],
}
QUERY = "/openmeter/api/v1/meters/cost/query"
BERLIN = ZoneInfo("Europe/Berlin")


def made_events() -> list[dict[str, Any]]:
    found = []
    for n in range(24):
        data: dict[str, Any] = {"cost": str(Decimal("0.1") + Decimal(n).scaleb(-18)), "content-type": "=1"}
        if n % 4:
            data["region"] = ("eu", "us")[n % 2]
        cloud = {"specversion": "1.0", "type": "call", "id": f"o-{n}", "source": ("web", "app#1")[n % 2], "data": data}
        found.append(
            cloud | {"subject": ("a", "b", "c")[n % 3], "time": (FIRST + n // 3 * timedelta(hours=6)).isoformat()}
        )
    return found


EVENTS = made_events()


def summed(*by: str, zone: ZoneInfo = BERLIN) -> dict[tuple[str | None, ...], Decimal]:
    sums: dict[tuple[str | None, ...], Decimal] = defaultdict(Decimal)
    for event in EVENTS:
        day = datetime.fromisoformat(event["time"]).astimezone(zone).date().isoformat()
        known = {"day": day, "subject": event["subject"], "region": None, **event["data"]}
        sums[tuple(known[name] for name in by)] += Decimal(event["data"]["cost"])
    return dict(sums)


@pytest.fixture
async def acme(house: House, usage_db: Database, clock: SimClock, ids: IdSource) -> str:
    """The id of the customer that `a` and `b` are; all events are folded."""
    made = await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["a", "b"]})
    assert 201 == (await house.full("POST", "/v1/meters", METER)).status
    assert 204 == (await house.full("POST", "/openmeter/api/v1/events", EVENTS)).status
    folder = Folder(usage_db, clock, ids, hands=Hands(beside=False))
    while await folder.round():
        pass
    return str(made.json["id"])


async def told(door: Door, query: str = "", body: Any = None) -> Any:
    reply = await door("POST" if body is not None else "GET", f"{QUERY}?{query}", body)
    assert 200 == reply.status, reply.body
    return json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)


def by_day(found: Any) -> dict[tuple[str | None, ...], Decimal]:
    return {
        (datetime.fromisoformat(row["windowStart"]).astimezone(BERLIN).date().isoformat(),): row["value"]
        for row in found["data"]
    }


async def test_all_that_was_used_is_one_row_exact_to_the_last_digit(house: House, acme: str) -> None:
    found = await told(house.read)

    (row,) = found["data"]
    assert {"data"} == found.keys()
    assert (summed()[()], None, {}) == (row["value"], row["subject"], row["groupBy"])
    assert str(row["value"]) == row["valueExact"]


async def test_subjects_and_values_are_those_of_the_time(house: House, acme: str) -> None:
    async def asked(what: str) -> Any:
        reply = await house.read("GET", f"/openmeter/api/v1/meters/cost/{what}")
        assert 200 == reply.status, reply.body
        return reply.json

    early = urlencode({"from": FIRST.isoformat(), "to": (FIRST + timedelta(hours=7)).isoformat()})
    assert ["a", "b", "c"] == await asked("subjects"), "since ever"
    assert ["eu", "us"] == await asked("group-by/region/values"), "of the last 24 hours"
    assert [] == await asked(f"subjects?to={quote(FIRST.isoformat())}")
    assert ["a", "b", "c"] == await asked(f"subjects?{early}")
    assert ["=1"] == await asked(f"group-by/content-type/values?{early}")


async def test_days_are_those_of_the_zone_and_empty_ones_are_left_out(house: House, acme: str) -> None:
    query = {
        "from": "2026-02-20T00:00:00+01:00",
        "to": START.isoformat(),
        "windowSize": "DAY",
        "windowTimeZone": "Europe/Berlin",
    }

    by_address = await told(house.read, urlencode(query))
    by_body = await told(house.read, body=query)

    assert summed("day") == by_day(by_address)
    assert by_address == by_body
    assert ("DAY", "2026-02-19T23:00:00Z") == (by_address["windowSize"], by_address["from"])


async def test_rows_are_by_subject_customer_and_group(house: House, acme: str) -> None:
    grouped = (await told(house.read, "groupBy=subject&groupBy=region"))["data"]
    named = (await told(house.read, "subject=a&subject=c"))["data"]
    customers = (await told(house.read, f"filterCustomerId={acme}&groupBy=region"))["data"]
    whose = (await told(house.read, "groupBy=customer_id"))["data"]

    assert summed("subject", "region") == {(row["subject"], row["groupBy"]["region"]): row["value"] for row in grouped}
    by_subject = summed("subject")
    assert [("a", by_subject["a",]), ("c", by_subject["c",])] == [(row["subject"], row["value"]) for row in named]
    sums = summed("subject", "region")
    assert {(acme, region): sums["a", region] + sums["b", region] for region in ("eu", "us", None)} == {
        (row["customerId"], row["groupBy"]["region"]): row["value"] for row in customers
    }
    assert [(acme, by_subject["a",] + by_subject["b",]), (None, by_subject["c",])] == [
        (row.get("customerId"), row["value"]) for row in whose
    ]


FILTERS = [
    "filterGroupBy[region]=eu",
    "filterGroupBy%5Bregion%5D=eu&filterGroupBy[content-type]=%3D1",
    "filterGroupBy=" + quote("{'region': 'eu'}"),
    "filterGroupBy=" + quote(r"""{"region": "e\x75", 'content-type' : "=1"}"""),
    "advancedMeterGroupByFilters=" + quote('{"region": {"$eq": "eu"}}'),
    "filterGroupBy[region]=us&filterGroupBy[region]=eu&advancedMeterGroupByFilters="
    + quote('{"region": {"$in": ["eu", "x"]}}'),
]


async def test_groups_are_filtered_however_it_is_said(house: House, acme: str) -> None:
    body = {"filterGroupBy": {"region": ["eu"], "content-type": []}, "clientId": "x"}
    for query, given in [(query, None) for query in FILTERS] + [("", body)]:
        (row,) = (await told(house.read, query, given))["data"]

        assert summed("region")["eu",] == row["value"], query


async def test_csv_has_their_columns_and_runs_nothing_in_a_spreadsheet(house: House, acme: str) -> None:
    query = f"{QUERY}?groupBy=content-type&groupBy=customer_id&subject=a"

    reply = await house.read("GET", query, headers=[("Accept", "text/csv")])
    posted = await house.read("POST", QUERY, headers=[("Accept", "text/csv")])

    assert 'attachment; filename="cost.csv"' == reply.headers["content-disposition"]
    head, row = csv.reader(reply.body.decode().splitlines())
    assert [
        "window_start",
        "window_end",
        "subject",
        "customer_name",
        "customer_email",
        "content-type",
        "customer_id",
        "value",
    ] == head
    assert ["a", "Acme", "", "'=1", acme, str(summed("subject")["a",])] == row[2:]
    assert str(summed()[()]) == posted.body.decode().splitlines()[1].rpartition(",")[2]


async def test_events_are_listed_newest_first_and_found_by_what_they_are(house: House, acme: str) -> None:
    async def asked(query: str) -> list[Any]:
        reply = await house.read("GET", f"/openmeter/api/v1/events?{query}")
        assert 200 == reply.status, reply.body
        found: list[Any] = reply.json
        return found

    await house.full(
        "POST",
        "/v1/events",
        [{"transaction_id": "o-5", "customer_id": "z", "timestamp": FIRST.isoformat(), "event_type": "other"}],
    )
    every = await asked("from=2026-01-01T00:00:00Z&subject=a&limit=100")
    sent = [event for event in reversed(EVENTS) if event["subject"] == "a"]
    assert [event | {"time": event["time"].replace("+00:00", "Z")} for event in sent] == [one["event"] for one in every]
    assert {(acme, "2026-03-02T10:00:00Z", "2026-03-02T10:00:00Z")} == {
        (one["customerId"], one["ingestedAt"], one["storedAt"]) for one in every
    }
    assert [("app#1", "o-5"), ("", "o-5")] == [
        (one["event"]["source"], one["event"]["id"]) for one in await asked("id=o-5")
    ]
    assert [] == await asked("id=O-5")
    of_customer = await asked(f"customerId={acme}&limit=3")
    assert ["o-22", "o-21", "o-19"] == [one["event"]["id"] for one in of_customer]
    assert [] == await asked(f"to={quote((FIRST - timedelta(hours=1)).isoformat())}")


async def test_meters_are_listed_and_read_in_their_words(house: House) -> None:
    path = "/openmeter/api/v1/meters"
    await house.full("POST", "/v1/meters", METER)
    unique = {"event_types": ["b", "a"], "aggregation": "unique", "value": "user id", "from_at": "2026-01-01T00:00:00Z"}
    await house.full("POST", "/v1/meters", {"slug": "users"} | unique)
    await house.full(
        "POST", "/v1/meters", {"slug": "area", "event_types": ["a"], "aggregation": "average", "value": "a*b"}
    )
    await house.full("POST", "/v1/meters/area/archive")

    listed = (await house.read("GET", path)).json

    assert ["cost", "users"] == [one["slug"] for one in listed]
    assert {
        "id": listed[0]["id"], "slug": "cost", "name": "Cost", "aggregation": "SUM", "eventType": "call",
        "groupBy": {"region": "$.region", "content-type": '$["content-type"]'}, "valueProperty": "$.cost",
        "createdAt": "2026-03-02T10:00:00Z", "updatedAt": "2026-03-02T10:00:00Z",
    } == listed[0]  # fmt: skip
    assert ("UNIQUE_COUNT", "a, b", '$["user id"]', "2026-01-01T00:00:00Z") == tuple(
        listed[1][name] for name in ("aggregation", "eventType", "valueProperty", "eventFrom")
    )
    assert [listed[0]] * 2 == [(await house.read("GET", f"{path}/{one}")).json for one in ("cost", listed[0]["id"])]
    ordered = (await house.read("GET", f"{path}?includeDeleted=true&orderBy=key&order=DESC&pageSize=2&page=2")).json
    assert [("area", "AVG", "2026-03-02T10:00:00Z", False)] == [
        (one["slug"], one["aggregation"], one["deletedAt"], "valueProperty" in one) for one in ordered
    ]


async def test_who_has_used_nothing_gets_no_rows(house: House) -> None:
    await house.full("POST", "/v1/meters", METER)

    assert {"data": []} == await told(house.read)
    assert {"data": [], "from": "2026-03-01T00:00:00Z"} == await told(house.read, "from=2026-03-01T00:00:00Z")


WRONG = [
    (f"{QUERY}?windowSize=WEEK", 422, "windowSize: must be one of MINUTE, HOUR, DAY, MONTH"),
    (f"{QUERY}?windowTimeZone=Nowhere", 422, "windowTimeZone: "),
    (f"{QUERY}?from=yesterday", 422, "from: must be an instant"),
    (f"{QUERY}?from=2026-03-01T00:00:00Z&to=2026-02-01T00:00:00Z", 422, "to: must be after `from`"),
    (f"{QUERY}?groupBy=x", 422, "groupBy: the meter has no group key x"),
    (f"{QUERY}?groupBy=customer", 422, "groupBy: the meter has no group customer; customers are customer_id"),
    (f"{QUERY}?filterGroupBy[x]=1&from=2026-03-01T00:00:00Z", 422, "filterGroupBy: the meter has no group key x"),
    (f"{QUERY}?filterGroupBy=region", 422, "filterGroupBy: must be"),
    (f"{QUERY}?filterGroupBy=" + quote("{'a': 'b' 'c': 'd'}"), 422, "filterGroupBy: must be"),
    (f"{QUERY}?filterGroupBy=" + quote("{'a': __import__('os')}"), 422, "filterGroupBy: must be"),
    (f"{QUERY}?filterGroupBy=" + quote(r"{'a': '\N{none}'}"), 422, "filterGroupBy: must be"),
    (f"{QUERY}?advancedMeterGroupByFilters=" + quote('{"region": {"$ne": "e"}}'), 400, "the operators are $eq and $in"),
    (f"{QUERY}?filterCustomerId=nobody&from=2026-03-01T00:00:00Z", 422, "filterCustomerId: there is no customer"),
    (f"{QUERY}?subject=%00", 422, "subject: holds a character that is none"),
    (f"{QUERY}?filterGroupby[x]=1", 400, "filterGroupby[x]: is not a known parameter"),
    ("/openmeter/api/v1/meters/none/query", 404, "there is no such meter"),
    ("/openmeter/api/v1/meters/none", 404, "there is no such meter"),
    ("/openmeter/api/v1/meters?order=UP", 422, "order"),
    ("/openmeter/api/v1/events?limit=101", 422, "limit"),
    ("/openmeter/api/v1/events?ingestedAtFrom=2026-03-01T00:00:00Z", 400, "ingestedAtFrom: is not read"),
    ("/openmeter/api/v1/events?customerId=7fd2c6ae-0000-4000-8000-000000000000", 422, "customerId: "),
    ("/openmeter/api/v1/events?to=0001-01-01T00:00:00Z", 422, "to: must be within"),
]  # fmt: skip


async def test_what_cannot_be_asked_is_told_as_a_problem(house: House) -> None:
    await house.full("POST", "/v1/meters", METER)
    for path, status, said in WRONG:
        reply = await house.read("GET", path)

        assert (status, "application/problem+json") == (reply.status, reply.headers["content-type"]), (path, reply.body)
        assert said in reply.json["detail"], path
        assert {"type", "title", "status", "detail", "instance"} == reply.json.keys()


async def test_what_one_project_has_used_is_nothing_to_another(house: House, neighbour: House, acme: str) -> None:
    key = (await house.full("POST", "/v1/keys", {"name": "sender", "scopes": ["ingest"]})).json["secret"]
    sender = Door(house.full.api, key)

    async def statuses(path: str, method: str = "GET") -> list[int]:
        replies: list[Reply] = [await door(method, path) for door in (neighbour.full, sender, house.nobody)]
        return [reply.status for reply in replies]

    assert [404, 403, 401] == await statuses(QUERY)
    assert [404, 403, 401] == await statuses(QUERY, "POST")
    assert [404, 403, 401] == await statuses("/openmeter/api/v1/meters/cost")
    for path in ("/openmeter/api/v1/meters", "/openmeter/api/v1/events?from=2026-01-01T00:00:00Z"):
        assert [200, 403, 401] == await statuses(path)
        assert [] == (await neighbour.full("GET", path)).json


async def test_what_is_made_in_one_project_is_another_s_to_read_no_more_than_to_change(
    house: House, neighbour: House, acme: str
) -> None:
    key = (await house.full("POST", "/v1/keys", {"name": "sender", "scopes": ["ingest"]})).json["secret"]
    sender = Door(house.full.api, key)
    root = "/openmeter/api/v1"
    reads = ("meters/cost/subjects", "meters/cost/group-by/region/values", "subjects/a", f"customers/{acme}")
    changes: tuple[tuple[str, str, Any], ...] = (
        ("PUT", "meters/cost", {"name": "x"}),
        ("DELETE", "meters/cost", None),
        ("DELETE", "subjects/a", None),
        ("PUT", f"customers/{acme}", {"name": "x"}),
        ("DELETE", f"customers/{acme}", None),
    )

    for path in reads:
        doors = (house.read, neighbour.full, sender, house.nobody)
        assert [200, 404, 403, 401] == [(await door("GET", f"{root}/{path}")).status for door in doors], path
    for method, path, body in changes:
        doors = (neighbour.full, house.read, sender, house.nobody)
        assert [404, 403, 403, 401] == [(await door(method, f"{root}/{path}", body)).status for door in doors], path
    for path, made in (("meters", {}), ("subjects", []), ("customers", {})):
        assert 403 == (await house.read("POST", f"{root}/{path}", made)).status
    assert [] == (await neighbour.full("GET", f"{root}/subjects")).json
    assert 0 == (await neighbour.full("GET", f"{root}/customers?includeDeleted=true")).json["totalCount"]
    assert ["a", "b"] == [one["key"] for one in (await house.read("GET", f"{root}/subjects")).json]
    assert "Acme" == (await house.read("GET", f"/v1/customers/{acme}")).json["name"]


async def test_what_nobody_can_be_called_is_no_subject(house: House) -> None:
    for name in ("%00", "x" * 600, "7fd2c6ae-0000-4000-8000-000000000000"):
        assert 404 == (await house.full("DELETE", f"/openmeter/api/v1/subjects/{name}")).status
        assert 404 == (await house.full("GET", f"/openmeter/api/v1/customers/{name}")).status
    for query in ("key=%00", "name=%00", "orderBy=key", "page=0"):
        assert 422 == (await house.full("GET", f"/openmeter/api/v1/customers?{query}")).status, query
    for body in ([], [{"key": "a"}] * 101, [{"key": "\0"}]):
        assert 422 == (await house.full("POST", "/openmeter/api/v1/subjects", body)).status
    made = await house.full("POST", "/v1/customers", {"name": "Acme"})
    reply = await house.full("DELETE", f"/openmeter/api/v1/subjects/{made.json['id']}")
    assert (404, "there is no such subject") == (reply.status, reply.json["detail"])
