"""Stripe's, Lago's and Orb's own clients, as they are on PyPI, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import stripe
from lago_python_client.client import Client as Lago
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models.event import BatchEvent, Event
from orb import Orb
from orb._exceptions import RequestValidationError, ResourceNotFound

from heartfly.clock import SystemClock
from tests.server_process import Server

pytestmark = pytest.mark.e2e

AT = SystemClock().now().replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return (server.folder / "heartfly-data" / "cli-key").read_text().strip()


def outcome(server: Server, key: str, name: str, **more: Any) -> str:
    """What our own door says to such an event: `duplicate` of one that is kept with this very content."""
    event = {
        "transaction_id": name, "customer_id": "acme", "timestamp": AT.isoformat(), "event_type": "api_call",
        "properties": {"value": "1.10"},
    }  # fmt: skip
    reply = server.api("POST", "/v1/events?dry_run=true", key, [event | more])
    return str(reply["results"][0]["outcome"])


def test_stripe_s_sdk_sends_meter_events_and_cancels_one(server: Server, key: str) -> None:
    client = stripe.StripeClient(key, base_addresses={"api": f"{server.url}/stripe"}, max_network_retries=2)
    payload = {"value": "1.10", "stripe_customer_id": "acme"}

    first = client.v1.billing.meter_events.create(
        {"event_name": "api_call", "identifier": "st-1", "timestamp": int(AT.timestamp()), "payload": payload}
    )
    second = client.v2.billing.meter_events.create(
        {"event_name": "api_call", "identifier": "st-2", "timestamp": AT.isoformat(), "payload": payload}
    )
    unnamed = client.v1.billing.meter_events.create({"event_name": "api_call", "payload": payload})

    assert ("st-1", "1.10", int(AT.timestamp())) == (first.identifier, first.payload["value"], first.timestamp)
    assert ("st-2", "acme") == (second.identifier, second.payload["stripe_customer_id"])
    assert unnamed.identifier
    assert ["duplicate"] * 2 == [outcome(server, key, name) for name in ("st-1", "st-2")]

    told = client.v1.billing.meter_event_adjustments.create(
        {"event_name": "api_call", "type": "cancel", "cancel": {"identifier": "st-1"}}
    )

    assert ("complete", False) == (told.status, server.api("GET", "/v1/events/st-1", key)["counts"])


def test_stripe_s_sdk_hears_of_what_is_wrong_or_not_answered_and_tries_neither_again(server: Server, key: str) -> None:
    client = stripe.StripeClient(key, base_addresses={"api": f"{server.url}/stripe"}, max_network_retries=2)

    with pytest.raises(stripe.InvalidRequestError) as told:
        client.v1.billing.meter_events.create({"event_name": "api_call", "payload": {"value": "1"}})
    with pytest.raises(stripe.InvalidRequestError) as declined:
        client.v1.customers.list()

    assert ("payload[stripe_customer_id]", 400) == (told.value.param, told.value.http_status)
    assert "is required" in str(told.value)
    assert "/v1/customers is not answered here" in str(declined.value)


def lagos(id_: str, **more: Any) -> Event:
    told: dict[str, Any] = {
        "transaction_id": id_, "external_subscription_id": "acme", "code": "api_call",
        "timestamp": int(AT.timestamp()), "precise_total_amount_cents": None, "properties": {"value": "1.10"},
    } | more  # fmt: skip
    return Event(**told)


def test_lago_s_client_sends_one_event_and_many_and_finds_one(server: Server, key: str) -> None:
    client = Lago(api_key=key, api_url=f"{server.url}/lago/")

    one = client.events.create(lagos("l-1"))
    client.events.batch_create(BatchEvent(events=[lagos("l-2"), lagos("l-3")]))
    found = client.events.find("l-2")  # type: ignore[misc] # as their mixin is typed

    assert one is not None
    assert ("l-1", "acme", {"value": "1.10"}) == (one.transaction_id, one.external_subscription_id, one.properties)
    assert "l-2" == found.transaction_id
    assert ["duplicate"] * 3 == [outcome(server, key, f"acme#l-{n}") for n in (1, 2, 3)]


def test_lago_s_client_hears_of_what_is_wrong_or_not_answered(server: Server, key: str) -> None:
    client = Lago(api_key=key, api_url=f"{server.url}/lago/")

    with pytest.raises(LagoApiError) as told:
        client.events.create(lagos("l-9", code=""))
    with pytest.raises(LagoApiError) as of_many:
        client.events.batch_create(BatchEvent(events=[lagos("l-8"), lagos("l-9", code="")]))
    with pytest.raises(LagoApiError) as declined:
        client.events.estimate_fees(lagos("l-7"))

    assert (422, {"code": ["must not be empty"]}) == (told.value.status_code, told.value.response["error_details"])
    assert {"1": {"code": ["must not be empty"]}} == of_many.value.response["error_details"]
    assert "is not answered here" in str(declined.value.response["error_details"])


def orbs(id_: str, **more: Any) -> Any:
    return {
        "idempotency_key": id_, "external_customer_id": "acme", "event_name": "api_call", "timestamp": AT,
        "properties": {"value": "1.10"},
    } | more  # fmt: skip


def test_orb_s_sdk_sends_amends_deprecates_and_searches(server: Server, key: str) -> None:
    client = Orb(api_key=key, base_url=f"{server.url}/orb")

    first = client.events.ingest(events=[orbs("o-1"), orbs("o-2")])
    again = client.events.ingest(events=[orbs("o-1"), orbs("o-3")], extra_query={"debug": "true"})

    assert [] == first.validation_failed
    assert {"debug": {"ingested": ["o-3"], "duplicate": ["o-1"]}} == again.model_extra
    assert ["duplicate"] * 3 == [outcome(server, key, f"o-{n}") for n in (1, 2, 3)]

    amended = client.events.update(
        "o-1", event_name="api_call", timestamp=AT, properties={"value": "2"}, external_customer_id="acme"
    )
    deprecated = client.events.deprecate("o-2")
    found = client.events.search(event_ids=["o-1", "o-2", "none"]).data

    assert ("o-1", "o-2") == (amended.amended, deprecated.deprecated)
    assert [("o-1", {"value": "2"}, False), ("o-2", {"value": "1.10"}, True)] == [
        (one.id, one.properties, one.deprecated) for one in found
    ]


def test_orb_s_sdk_hears_of_what_is_wrong_or_not_answered_and_tries_neither_again(server: Server, key: str) -> None:
    client = Orb(api_key=key, base_url=f"{server.url}/orb/v1")

    with pytest.raises(RequestValidationError) as told:
        client.events.ingest(events=[orbs("o-8"), orbs("o-9", event_name="")])
    with pytest.raises(ResourceNotFound) as backfill:
        client.events.ingest(events=[orbs("o-7")], backfill_id="b-1")
    with pytest.raises(ResourceNotFound) as declined:
        client.customers.create(email="a@example.org", name="A")

    assert "[1].event_name: must not be empty" in str(told.value)
    assert "0" == told.value.request.headers["x-stainless-retry-count"]
    assert "there is no such backfill" in str(backfill.value)
    assert "Heartfly meters usage, and bills nobody" in str(declined.value)
    assert ("duplicate", "accepted") == (outcome(server, key, "o-8"), outcome(server, key, "o-7"))


def test_orb_s_sdk_opens_fills_closes_and_reverts_a_backfill(server: Server, key: str) -> None:
    client = Orb(api_key=key, base_url=f"{server.url}/orb")
    start, end = AT - timedelta(hours=3), AT - timedelta(hours=2)
    client.events.ingest(events=[orbs("old", timestamp=start)])

    made = client.events.backfills.create(timeframe_start=start, timeframe_end=end, replace_existing_events=True)
    sent = client.events.ingest(events=[orbs("new", timestamp=start)], backfill_id=made.id)
    closed = client.events.backfills.close(made.id)
    between = [one.id for one in client.events.search(event_ids=["old", "new"]).data if not one.deprecated]
    reverted = client.events.backfills.revert(made.id)
    after = [one.id for one in client.events.search(event_ids=["old", "new"]).data if not one.deprecated]

    assert ("pending", start, True, []) == (
        made.status, made.timeframe_start, made.replace_existing_events, sent.validation_failed,
    )  # fmt: skip
    assert ("reflected", 1, ["new"]) == (closed.status, closed.events_ingested, between)
    assert ("reverted", ["old"]) == (reverted.status, after)
    assert [(made.id, "reverted")] == [(one.id, one.status) for one in client.events.backfills.list()]
    assert "reverted" == client.events.backfills.fetch(made.id).status
