"""Metronome's questions after usage and its billable metrics, beside Python's own decimals over the same events."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.conftest import START
from tests.api.door import Door, House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

FIRST = datetime(2026, 2, 27, tzinfo=START.tzinfo)
DAY = timedelta(days=1)
ASKED = {"starting_on": FIRST.isoformat(), "ending_before": "2026-03-02T00:00:00Z", "window_size": "DAY"}
METRIC = {
    "name": "Cost of calls",
    "aggregation_type": "SUM",
    "aggregation_key": "cost",
    "event_type_filter": {"in_values": ["call"]},
    "group_keys": [["region", "team"], ["region"]],
}


def made_events() -> list[dict[str, Any]]:
    """Of three days, two customers by three names and somebody unknown; costs that no float holds."""
    found = []
    for n in range(60):
        properties: dict[str, Any] = {
            "cost": str(Decimal("0.1") + Decimal(n).scaleb(-18)),
            "region": ["eu", "us", "ap"][n % 3],
        }
        if n % 4:
            properties["team"] = f"t{n % 2}"
        found.append(
            {
                "transaction_id": f"u-{n}",
                "customer_id": ("a-1", "a-2", "b-1", "stranger")[n % 4],
                "timestamp": (FIRST + timedelta(hours=n // 5 * 6)).isoformat(),
                "event_type": "call",
                "properties": properties,
            }
        )
    return found


EVENTS = made_events()
OWNERS = {"a-1": "A", "a-2": "A", "b-1": "B"}


def summed(*by: str) -> dict[tuple[str, ...], Decimal]:
    """What Python's decimals make of the events of known customers. `by`: customer, day, or a property."""
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for event in EVENTS:
        if (owner := OWNERS.get(event["customer_id"])) is not None:
            known = {"customer": owner, "day": event["timestamp"][:10], **event["properties"]}
            if all(name in known for name in by):
                sums[tuple(known[name] for name in by)] += Decimal(event["properties"]["cost"])
    return dict(sums)


@pytest.fixture
async def ids_of(house: House, usage_db: Database, clock: SimClock, ids: IdSource) -> dict[str, str]:
    """The ids of customers A and B and of the metric, once all events are folded."""
    found, metric = await furnished(house)
    found["metric"] = metric
    assert 200 == (await house.full("POST", "/metronome/v1/ingest", EVENTS)).status
    folder = Folder(usage_db, clock, ids, hands=Hands(beside=False))
    while await folder.round():
        pass
    return found


async def furnished(house: House) -> tuple[dict[str, str], str]:
    found = {}
    for name in "AB":
        named = {"name": name, "ingest_aliases": [alias for alias, owner in OWNERS.items() if owner == name]}
        found[name] = (await house.full("POST", "/metronome/v1/customers", named)).json["data"]["id"]
    return found, (await house.full("POST", "/metronome/v1/billable-metrics/create", METRIC)).json["data"]["id"]


async def told(door: Door, path: str, **asked: Any) -> Any:
    """The answer, numbers as they are written."""
    reply = await door("POST", f"/metronome{path}", asked)
    assert 200 == reply.status, reply.body
    return json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)


async def test_days_of_customers_add_up_to_the_last_digit(house: House, ids_of: dict[str, str]) -> None:
    names = {ids_of[name]: name for name in "AB"}

    page = await told(house.read, "/v1/usage", **ASKED)

    found = {(names[row["customer_id"]], row["start_timestamp"][:10]): row["value"] for row in page["data"]}
    assert summed("customer", "day") == found
    assert page["next_page"] is None
    assert {str(row["value"]) for row in page["data"]} == {row["value_exact"] for row in page["data"]}
    assert {("Cost of calls", ids_of["metric"])} == {
        (row["billable_metric_name"], row["billable_metric_id"]) for row in page["data"]
    }


@pytest.mark.parametrize(("size", "n"), [("NONE", 1), ("day", 3), ("HOUR", 72)])
async def test_a_customer_that_is_named_has_every_window_and_null_where_nothing_was_used(
    house: House, ids_of: dict[str, str], size: str, n: int
) -> None:
    asked = ASKED | {"window_size": size, "customer_ids": [ids_of["B"].upper(), ids_of["A"]]}

    rows = (await told(house.read, "/v1/usage", **asked))["data"]

    assert [ids_of["B"], ids_of["A"]] * n == [row["customer_id"] for row in rows]
    assert {
        ("A",): sum(row["value"] or 0 for row in rows[1::2]),
        ("B",): sum(row["value"] or 0 for row in rows[::2]),
    } == summed("customer")
    assert (n - 12 if size == "HOUR" else 0) == sum(row["value"] is None for row in rows[::2])
    assert [FIRST.isoformat(), ASKED["ending_before"].replace("Z", "+00:00")] == [
        rows[0]["start_timestamp"], rows[-1]["end_timestamp"],
    ]  # fmt: skip


@pytest.mark.parametrize("named", [False, True])
async def test_pages_follow_one_another_over_windows_and_metrics(
    house: House, ids_of: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    await house.full(
        "POST",
        "/metronome/v1/billable-metrics/create",
        METRIC | {"name": "No such", "event_type_filter": {"in_values": ["x"]}},
    )
    asked = ASKED | ({"customer_ids": [ids_of["A"], ids_of["B"]]} if named else {})
    whole = (await told(house.read, "/v1/usage", **asked))["data"]
    monkeypatch.setattr("heartfly.api.metronome_usage._PAGE", 4)

    rows: list[Any] = []
    following: str | None = ""
    while following is not None:
        page = await told(house.read, f"/v1/usage{following}", **asked)
        assert page["data"] or page["next_page"] is None
        rows += page["data"]
        following = page["next_page"] and f"?next_page={page['next_page']}"

    assert whole == rows
    assert (12 if named else 6) == len(rows)


async def test_groups_stand_beside_a_customer_s_value_and_what_did_not_occur_is_null(
    house: House, ids_of: dict[str, str]
) -> None:
    grouped = {"id": ids_of["metric"], "group_by": {"key": "team"}}
    named = {"id": ids_of["metric"], "group_by": {"key": "team", "values": ["t1", "t9"]}}

    every = (await told(house.read, "/v1/usage", **ASKED, billable_metrics=[grouped]))["data"]
    some = (await told(house.read, "/v1/usage", **ASKED, billable_metrics=[named], customer_ids=[ids_of["A"]]))["data"]

    names = {ids_of[name]: name for name in "AB"}
    found = {
        (names[row["customer_id"]], row["start_timestamp"][:10], team): value
        for row in every
        for team, value in row["groups"].items()
    }
    assert summed("customer", "day", "team") == found
    assert {str(value) for value in found.values()} == {text for row in every for text in row["groups_exact"].values()}
    whole = summed("customer", "day")
    assert whole == {(names[row["customer_id"]], row["start_timestamp"][:10]): row["value"] for row in every}
    assert [{"t1": found["A", row["start_timestamp"][:10], "t1"], "t9": None} for row in some] == [
        row["groups"] for row in some
    ]


async def test_one_customer_s_usage_by_one_key_and_by_several_and_filtered(
    house: House, ids_of: dict[str, str]
) -> None:
    asked = {"billable_metric_id": ids_of["metric"], "customer_id": ids_of["A"]} | ASKED | {"window_size": "NONE"}

    by_one = (await told(house.read, "/v1/usage/groups", **asked, group_key=["region"]))["data"]
    former = (await told(house.read, "/v1/usage/groups", **asked, group_by={"key": "region"}))["data"]
    by_two = (await told(house.read, "/v1/usage/groups", **asked, group_key=["region", "team"]))["data"]
    filters = {"region": ["eu", "ap", "x" * 40_000], "team": []}
    few = (await told(house.read, "/v1/usage/groups", **asked, group_key=["region", "team"], group_filters=filters))[
        "data"
    ]
    daily = (await told(house.read, "/v1/usage/groups", **asked | {"window_size": "DAY"}))["data"]

    sums = summed("customer", "region")
    assert {region: value for (name, region), value in sums.items() if name == "A"} == {
        row["group_value"]: row["value"] for row in by_one
    }
    assert [{"region": row["group_value"]} for row in by_one] == [row["group"] for row in by_one]
    assert by_one == former
    both = {
        (region, team): value
        for (name, region, team), value in summed("customer", "region", "team").items()
        if name == "A"
    }
    assert both == {
        (row["group"]["region"], row["group"]["team"]): row["value"] for row in by_two if "team" in row["group"]
    }
    assert (None, None) == (by_two[0]["group_key"], by_two[0]["group_value"])
    assert [row for row in by_two if row["group"]["region"] != "us"] == few
    assert [value for (name, _), value in sorted(summed("customer", "day").items()) if name == "A"] == [
        row["value"] for row in daily
    ]


async def test_groups_come_in_pages(house: House, ids_of: dict[str, str]) -> None:
    asked = {"billable_metric_id": ids_of["metric"], "customer_id": ids_of["A"], "group_key": ["region"]} | ASKED
    whole = (await told(house.read, "/v1/usage/groups", **asked))["data"]

    rows: list[Any] = []
    following: str | None = ""
    while following is not None:
        page = await told(house.read, f"/v1/usage/groups?limit=2{following}", **asked)
        rows += page["data"]
        following = page["next_page"] and f"&next_page={page['next_page']}"

    assert whole == rows
    assert 9 == len(rows)


async def test_the_current_period_is_the_month(house: House, ids_of: dict[str, str]) -> None:
    asked = {"billable_metric_id": ids_of["metric"], "customer_id": ids_of["A"], "current_period": True}

    (whole,) = (await told(house.read, "/v1/usage/groups", **asked, window_size="NONE"))["data"]
    days = (await told(house.read, "/v1/usage/groups", **asked, window_size="DAY"))["data"]

    first = summed("customer", "day")["A", "2026-03-01"]
    assert ("2026-03-01T00:00:00+00:00", "2026-04-01T00:00:00+00:00", first) == (
        whole["starting_on"], whole["ending_before"], whole["value"],
    )  # fmt: skip
    assert [("2026-03-01", first), ("2026-03-02", None)] == [(row["starting_on"][:10], row["value"]) for row in days]


BY_GROUP = {"billable_metric_id": "METRIC", "customer_id": "A"} | ASKED


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("/v1/usage", ASKED | {"window_size": "WEEK"}, 422, "window_size: must be one of HOUR, DAY, NONE"),
    ("/v1/usage", ASKED | {"starting_on": "2026-02-27T01:00:00Z"}, 422, "starting_on: must be a midnight of UTC"),
    ("/v1/usage", ASKED | {"ending_before": FIRST.isoformat()}, 422, "ending_before: must be a day after"),
    (
        "/v1/usage",
        ASKED | {"starting_on": "2025-01-01T00:00:00Z", "window_size": "HOUR"},
        422,
        "ending_before: is more than 100 days after `starting_on`",
    ),
    ("/v1/usage", {}, 422, "starting_on: is required"),
    ("/v1/usage", ASKED | {"customer_ids": []}, 422, "customer_ids: must be 1 to 100"),
    ("/v1/usage", ASKED | {"customer_ids": ["nobody"]}, 422, "customer_ids: there is no customer nobody"),
    ("/v1/usage", ASKED | {"billable_metrics": []}, 422, "billable_metrics: must be"),
    ("/v1/usage", ASKED | {"billable_metrics": [{"id": "METRIC"}] * 2}, 422, "billable_metrics: names one twice"),
    ("/v1/usage", ASKED | {"billable_metrics": [{"id": "none"}]}, 404, "there is no such meter"),
    (
        "/v1/usage",
        ASKED | {"billable_metrics": [{"id": "METRIC", "group_by": {"key": "x"}}]},
        422,
        "group_key: the meter has no group key x",
    ),
    (
        "/v1/usage",
        ASKED | {"billable_metrics": [{"id": "METRIC", "group_by": {"key": "region", "values": ["x"] * 201}}]},
        422,
        "billable_metrics.group_by.values: are more than 200",
    ),
    ("/v1/usage?next_page=x", ASKED, 422, "next_page: must be the `next_page` of a page"),
    ("/v1/usage?next_page=METRIC.x", ASKED, 422, "next_page: must be"),
    ("/v1/usage/groups", BY_GROUP | {"customer_id": "nobody"}, 422, "customer_id: there is no customer nobody"),
    ("/v1/usage/groups", BY_GROUP | {"billable_metric_id": "none"}, 404, "there is no such meter"),
    ("/v1/usage/groups", BY_GROUP | {"current_period": True}, 422, "current_period: cannot be said together"),
    ("/v1/usage/groups", BY_GROUP | {"starting_on": None}, 422, "starting_on: is required"),
    ("/v1/usage/groups", BY_GROUP | {"group_key": ["customer"]}, 422, "group_key: the metric has no group key"),
    ("/v1/usage/groups", BY_GROUP | {"group_filters": {"region": ["eu"]}}, 422, "region is not in group_key"),
    (
        "/v1/usage/groups",
        BY_GROUP | {"group_key": ["region"], "group_filters": {"region": ["x"] * 201}},
        422,
        "group_filters: are more than 200",
    ),
    ("/v1/usage/groups", BY_GROUP | {"group_key": ["region"], "group_by": {"key": "x"}}, 422, "group_by: cannot"),
    ("/v1/usage/groups?limit=0", BY_GROUP, 422, "limit"),
    ("/v1/billable-metrics/create", {"name": "A", "sql": "SELECT 1"}, 400, "sql: is not read"),
    (
        "/v1/billable-metrics/create",
        METRIC | {"aggregation_type": "MEDIAN"},
        422,
        "aggregation_type: must be one of",
    ),
    (
        "/v1/billable-metrics/create",
        METRIC | {"aggregation_key": None},
        422,
        "aggregation_key: is required for sum",
    ),
    ("/v1/billable-metrics/create", METRIC | {"event_type_filter": {}}, 422, "event_type_filter.in_values: must"),
    (
        "/v1/billable-metrics/create",
        METRIC | {"event_type_filter": {"not_in_values": ["x"]}},
        422,
        "event_type_filter.not_in_values: is not read",
    ),
    (
        "/v1/billable-metrics/create",
        METRIC | {"property_filters": [{"name": "a"}, {"name": ""}]},
        422,
        "property_filters[1].name: is required",
    ),
    (
        "/v1/billable-metrics/create",
        METRIC | {"group_keys": [["customer"]]},
        422,
        "group_keys[0]: customer is what",
    ),
    ("/v1/billable-metrics/archive", {"id": "none"}, 404, "there is no such meter"),
    (
        "/v1/usage",
        ASKED | {"billable_metrics": [{"id": "METRIC", "group_by": {"key": "region", "values": ["x" * 40_000]}}]},
        422,
        "billable_metrics.group_by.values: are more than 200, or have more than 32768 characters in all",
    ),
]


async def test_what_cannot_be_asked_is_told_by_their_names(house: House) -> None:
    customer, metric = await furnished(house)
    for path, asked, status, said in WRONG:
        text = json.dumps(asked).replace('"METRIC"', f'"{metric}"').replace('"A"', f'"{customer["A"]}"')

        reply = await house.full("POST", f"/metronome{path}", body=text.encode())

        assert (status, {"message"}, "false") == (reply.status, reply.json.keys(), reply.headers["x-should-retry"]), (
            path
        )
        assert said in reply.json["message"]


async def test_a_metric_is_a_meter_and_a_meter_a_metric(house: House) -> None:
    path = "/metronome/v1/billable-metrics"
    made = METRIC | {
        "aggregation_key": "content-length",
        "property_filters": [
            {"name": "region", "exists": True, "in_values": ["us", "eu"]},
            {"name": "x", "not_in_values": ["y"]},
        ],
    }
    ids = [(await house.full("POST", f"{path}/create", made)).json["data"]["id"] for _ in range(2)]
    product = {"slug": "product", "event_types": ["call"], "aggregation": "average", "value": "a * b"}
    await house.full("POST", "/v1/meters", product)

    first = (await house.read("GET", f"{path}/{ids[0]}")).json["data"]
    meters = (await house.read("GET", "/v1/meters")).json["items"]

    assert ["cost-of-calls", "cost-of-calls-2", "product"] == [one["slug"] for one in meters]
    assert ('"content-length"', ["region", "team"]) == (
        meters[0]["current"]["value"], meters[0]["current"]["group_keys"],
    )  # fmt: skip
    assert (
        made
        | {
            "id": ids[0],
            "property_filters": [
                {"name": "region", "exists": True, "in_values": ["eu", "us"]},
                {"name": "x", "not_in_values": ["y"]},
            ],
            "group_keys": [["region"], ["team"], ["region", "team"]],
            "custom_fields": {},
        }
        == first
    )
    pages = [(await house.read("GET", f"{path}?limit=2")).json]
    pages.append((await house.read("GET", f"{path}?limit=2&next_page={pages[0]['next_page']}")).json)
    assert [*ids, meters[2]["id"]] == [row["id"] for page in pages for row in page["data"]]
    assert ("AVERAGE", False) == (pages[1]["data"][0]["aggregation_type"], "aggregation_key" in pages[1]["data"][0])

    assert ids[1] == (await house.full("PUT", f"{path}/{ids[1]}", {"name": "Other"})).json["data"]["id"]
    assert ids[0] == (await house.full("POST", f"{path}/archive", {"id": ids[0]})).json["data"]["id"]
    assert ["Other", "product"] == [row["name"] for row in (await house.read("GET", path)).json["data"]]
    every = (await house.read("GET", f"{path}?include_archived=true")).json["data"]
    assert START == datetime.fromisoformat(every[0]["archived_at"])


async def test_metrics_and_usage_of_one_project_are_nothing_to_another_and_readers_change_none(
    house: House, neighbour: House, ids_of: dict[str, str]
) -> None:
    path = "/metronome/v1/billable-metrics"
    own = f"{path}/{ids_of['metric']}"
    asked = {"billable_metric_id": ids_of["metric"], "customer_id": ids_of["A"]} | ASKED

    assert [200, 404] == [(await door("GET", own)).status for door in (house.read, neighbour.full)]
    assert [] == (await neighbour.full("GET", path)).json["data"]
    assert [200, 404] == [
        (await door("POST", "/metronome/v1/usage/groups", asked)).status for door in (house.read, neighbour.full)
    ]
    assert {"data": [], "next_page": None} == (await neighbour.full("POST", "/metronome/v1/usage", ASKED)).json
    assert 404 == (await neighbour.full("PUT", own, {"name": "x"})).status
    assert 404 == (await neighbour.full("POST", f"{path}/archive", {"id": ids_of["metric"]})).status
    for method, where, body in (
        ("POST", f"{path}/create", METRIC), ("PUT", own, {"name": "x"}), ("POST", f"{path}/archive", {"id": "x"}),
    ):  # fmt: skip
        assert 403 == (await house.read(method, where, body)).status
    assert 401 == (await house.nobody("POST", "/metronome/v1/usage", ASKED)).status
