"""The vendors' own clients, as they are on PyPI, ask what was used: their HTTP goes straight into the application."""

from __future__ import annotations

import csv
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx  # noqa: TID251 - the clients are given one that goes nowhere
import pytest
from corehttp.transport.httpx import AsyncHttpXTransport
from metronome import AsyncMetronome, BadRequestError
from openmeter.aio import Client as OpenMeter

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.conftest import START
from tests.api.door import House
from tests.sim_clock import SimClock

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")]

URL = "http://beat.example.org"
YESTERDAY = START.replace(hour=0) - timedelta(days=1)


def http_to(house: House) -> httpx.AsyncClient:
    application: Any = house.full.api  # which spells the same protocol with dictionaries of its own
    return httpx.AsyncClient(transport=httpx.ASGITransport(application))


@pytest.fixture
async def folder(usage_db: Database, clock: SimClock, ids: IdSource) -> Folder:
    return Folder(usage_db, clock, ids, hands=Hands(beside=False))


async def fold(folder: Folder) -> None:
    while await folder.round():
        pass


def costly(type_: str, customer_id: str) -> list[dict[str, Any]]:
    """Ten events of yesterday, whose costs no float adds up."""
    return [
        {
            "transaction_id": f"{type_}-{n}",
            "customer_id": customer_id,
            "timestamp": (YESTERDAY + timedelta(hours=n % 2)).isoformat(),
            "event_type": type_,
            "properties": {"cost": f"0.1{n:017d}", "region": ("eu", "us")[n % 2]},
        }
        for n in range(10)
    ]


def cost_of(events: list[dict[str, Any]], region: str = "") -> Decimal:
    told = [one["properties"] for one in events]
    return sum((Decimal(one["cost"]) for one in told if region in {"", one["region"]}), Decimal())


def exactly(cost: Decimal) -> str:
    return f"{cost.normalize():f}"


async def test_metronome_s_sdk_makes_metrics_and_asks_what_was_used(house: House, folder: Folder) -> None:
    client = AsyncMetronome(bearer_token=house.full.key, base_url=f"{URL}/metronome", http_client=http_to(house))
    made = await client.v1.billable_metrics.create(
        name="Cost",
        aggregation_type="SUM",
        aggregation_key="cost",
        event_type_filter={"in_values": ["m_cost"]},
        property_filters=[{"name": "region", "exists": True}],
        group_keys=[["region"]],
    )
    metric = made.data.id
    whose = (await client.v1.customers.create(name="Costly", ingest_aliases=["costly"])).data.id
    events = costly("m_cost", "costly")
    await client.v1.usage.ingest(usage=events)  # type: ignore[arg-type]
    await fold(folder)
    when: Any = {"starting_on": YESTERDAY, "ending_before": YESTERDAY + timedelta(days=1)}

    grouped: Any = [{"id": metric, "group_by": {"key": "region"}}]
    days = client.v1.usage.list(window_size="DAY", billable_metrics=grouped, customer_ids=[whose], **when)
    (day,) = [row async for row in days]
    hours = [row async for row in client.v1.usage.list(window_size="HOUR", billable_metrics=[{"id": metric}], **when)]
    by_region = client.v1.usage.list_with_groups(
        billable_metric_id=metric, customer_id=whose, window_size="NONE", group_key=["region"], limit=1, **when
    )
    groups = [row async for row in by_region]

    assert (exactly(cost_of(events)), float(cost_of(events))) == (day.value_exact, day.value)  # type: ignore[attr-defined]
    assert (metric, "Cost", whose, YESTERDAY) == (
        day.billable_metric_id, day.billable_metric_name, day.customer_id, day.start_timestamp,
    )  # fmt: skip
    assert {region: float(cost_of(events, region)) for region in ("eu", "us")} == day.groups
    assert [exactly(cost_of(events, region)) for region in ("eu", "us")] == [row.value_exact for row in hours]  # type: ignore[attr-defined]
    assert [({"region": region}, float(cost_of(events, region))) for region in ("eu", "us")] == [
        (row.group, row.value) for row in groups
    ]
    read = (await client.v1.billable_metrics.retrieve(billable_metric_id=metric)).data
    assert ("SUM", "cost", [["region"]], True) == (
        read.aggregation_type, read.aggregation_key, read.group_keys, (read.property_filters or [])[0].exists,
    )  # fmt: skip
    await client.v1.billable_metrics.update(billable_metric_id=metric, name="Costs")
    assert metric == (await client.v1.billable_metrics.archive(id=metric)).data.id
    assert [] == [row async for row in client.v1.billable_metrics.list()]
    every = {row.id: row async for row in client.v1.billable_metrics.list(include_archived=True, limit=1)}
    assert ("Costs", True) == (every[metric].name, every[metric].archived_at is not None)
    with pytest.raises(BadRequestError) as told:
        await client.v1.billable_metrics.create(name="By SQL", sql="SELECT 1")
    assert {"message": "sql: is not read: a metric is made of aggregation_type, event_type_filter and the like"} == (
        told.value.body
    )


async def test_openmeter_s_client_lists_events_and_asks_what_meters_come_to(house: House, folder: Folder) -> None:
    definition = {"event_types": ["o_cost"], "aggregation": "sum", "value": "cost", "group_keys": ["region"]}
    made = (await house.full("POST", "/v1/meters", {"slug": "o_cost"} | definition)).json
    events = costly("o_cost", "frugal")
    transport = AsyncHttpXTransport(client=http_to(house))
    async with OpenMeter(endpoint=f"{URL}/openmeter", token=house.full.key, transport=transport) as client:
        sent: Any = [
            {
                "id": one["transaction_id"], "source": "shop", "specversion": "1.0", "type": "o_cost",
                "subject": "frugal", "time": one["timestamp"], "data": one["properties"],
            }
            for one in events
        ]  # fmt: skip
        await client.events.ingest_events(sent)
        await fold(folder)
        when: Any = {"from_parameter": YESTERDAY, "to": YESTERDAY + timedelta(days=1)}

        (whole,) = (await client.meters.query_json("o_cost", **when)).data
        by_day = await client.meters.query_json(
            made["id"], window_size="DAY", window_time_zone="UTC", subject=["frugal"], group_by=["region"], **when
        )
        daily = by_day.data
        (filtered,) = (await client.meters.query_json("o_cost", filter_group_by={"region": "eu"}, **when)).data
        asked: Any = {"filterGroupBy": {"region": ["us"]}}
        (posted,) = (await client.meters.query("o_cost", asked)).data
        text = await client.meters.query_csv("o_cost", group_by=["region"], **when)
        listed = await client.events.list(subject="frugal", limit=3, from_parameter=YESTERDAY)
        (found,) = await client.events.list(id="o_cost-4", from_parameter=YESTERDAY)
        meter = await client.meters.get("o_cost")
        meters = await client.meters.list(page_size=500)

    assert (exactly(cost_of(events)), float(cost_of(events))) == (whole["valueExact"], whole.value)
    assert [("frugal", region, float(cost_of(events, region)), YESTERDAY) for region in ("eu", "us")] == [
        (row.subject, row.group_by["region"], row.value, row.window_start) for row in daily
    ]
    assert [exactly(cost_of(events, region)) for region in ("eu", "us")] == [
        filtered["valueExact"],
        posted["valueExact"],
    ]
    assert {region: exactly(cost_of(events, region)) for region in ("eu", "us")} == {
        row["region"]: row["value"] for row in csv.DictReader(text.splitlines())
    }
    assert ["o_cost-9", "o_cost-7", "o_cost-5"] == [one.event.id for one in listed]
    assert ("shop", events[4]["properties"]) == (found.event.source, found.event.data)
    assert (made["id"], "SUM", "o_cost", "$.cost", {"region": "$.region"}) == (
        meter.id, meter.aggregation, meter.event_type, meter.value_property, meter.group_by,
    )  # fmt: skip
    assert made["id"] in [one.id for one in meters]
