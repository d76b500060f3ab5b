"""What is another project's is nothing to the clients of other services, by whichever of its names it is asked for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.api.door import Door, House
from tests.api.test_billing_wires import AT, SECONDS, told_natively
from tests.api.test_telemetry import Telemetry
from tests.api.theirs import reader, writer

pytestmark = pytest.mark.anyio

HOOK = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.com/x"}}


async def channel(house: House) -> str:
    return str((await house.full("POST", "/v1/channels", HOOK)).json["id"])


async def test_a_channel_of_another_project_hears_of_no_check_of_ours(house: House, neighbour: House) -> None:
    theirs = await channel(neighbour)

    of_healthchecks = await writer(house)("POST", "checks/", {"name": "a", "channels": theirs})
    of_cronitor = await house.full("PUT", "/api/monitors", {"monitors": [{"key": "a", "notify": [theirs]}]})
    by_name = await house.full("PUT", "/api/monitors", {"monitors": [{"key": "a", "notify": ["ops"]}]})

    assert (400, {"error": f"invalid channel identifier: {theirs}"}) == (of_healthchecks.status, of_healthchecks.json)
    assert [400, 400] == [of_cronitor.status, by_name.status]
    assert [] == (await house.full("GET", "/v1/checks")).json["items"]


async def test_a_unique_key_finds_nothing_in_another_project(house: House, neighbour: House) -> None:
    made = await writer(house).made(name="a")
    unique = hashlib.sha1(made["uuid"].replace("-", "")[:16].encode()).hexdigest()

    for client in (reader(neighbour), writer(neighbour)):
        found = [(await client("GET", f"checks/{unique}{rest}")).status for rest in ("", "/flips/")]
        assert [404, 404] == found
    assert 200 == (await reader(house)("GET", f"checks/{unique}")).status


async def test_what_matches_in_another_project_is_not_updated(house: House, neighbour: House) -> None:
    made = await writer(house).made(name="a", tags="t", desc="ours")

    other = await writer(neighbour)(
        "POST", "checks/", {"name": "a", "tags": "t", "desc": "x", "unique": ["name", "tags"]}
    )

    assert 201 == other.status
    assert "ours" == (await writer(house).check(made))["desc"]


async def test_stripe_cancels_no_event_of_another_project(house: House, neighbour: House) -> None:
    event = f"event_name=call&identifier=t-1&timestamp={SECONDS}&payload[value]=1.50&payload[stripe_customer_id]=acme"
    cancel = "event_name=call&type=cancel&cancel[identifier]=t-1"
    form = [("content-type", "application/x-www-form-urlencoded")]
    path = "/stripe/v1/billing/meter_event"
    assert 200 == (await house.full("POST", f"{path}s", body=event.encode(), headers=form)).status

    refused = await neighbour.full("POST", f"{path}_adjustments", body=cancel.encode(), headers=form)

    assert 400 <= refused.status < 500
    assert "duplicate" == await told_natively(house, "t-1")
    assert 200 == (await house.full("POST", f"{path}_adjustments", body=cancel.encode(), headers=form)).status


async def test_a_key_signals_for_its_own_project_only(house: House, neighbour: House) -> None:
    made = (await house.full("POST", "/v1/checks", {"name": "nightly"})).json
    ask: Any = Door(Telemetry(house), "")  # type: ignore[arg-type] # it speaks ASGI, too
    theirs, body = neighbour.world.project.ping_key, json.dumps({"status": "firing", "version": "4"}).encode()

    told = [
        (await ask("GET", f"/p/{theirs}/nightly?state=fail")).status,  # makes one there
        (await ask("GET", f"/p/{neighbour.full.key}/nightly?state=fail")).status,
        (await ask("POST", f"/api/1/cron/nightly/{theirs}/?status=error")).status,
        (await ask("POST", f"/v2/heartbeats/nightly/ping?apiKey={theirs}")).status,
        (await ask("POST", f"/ping/{theirs}/nightly/alertmanager", body=body)).status,
    ]

    assert [200, 200, 202, 202, 200] == told
    assert 0 == (await house.full("GET", f"/v1/checks/{made['id']}")).json["n_pings"]
    (other,) = (await neighbour.full("GET", "/v1/checks")).json["items"]
    assert 5 == other["n_pings"]


async def test_orb_changes_and_finds_no_event_of_another_project(house: House, neighbour: House) -> None:
    """Orb's amendments and deprecations, and its search, of an id that only a neighbour has."""
    event = {
        "idempotency_key": "t-1",
        "external_customer_id": "a",
        "event_name": "c",
        "timestamp": AT,
        "properties": {},
    }
    assert 200 == (await house.full("POST", "/orb/ingest", {"events": [event]})).status

    told = [
        (await neighbour.full("PUT", "/orb/events/t-1", event)).status,
        (await neighbour.full("PUT", "/orb/events/t-1/deprecate")).status,
    ]

    assert [404, 404] == told
    assert [] == (await neighbour.read("POST", "/orb/events/search", {"event_ids": ["t-1"]})).json["data"]
