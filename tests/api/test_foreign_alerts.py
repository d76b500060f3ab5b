"""Metronome's own client makes alerts on usage, hears how a customer stands, resets and archives them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from metronome import BadRequestError, ConflictError, Metronome, NotFoundError, UnprocessableEntityError

from heartfly.clock import SystemClock
from tests.server_process import Server

pytestmark = pytest.mark.e2e

LIMIT_S = 90


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return (server.folder / "heartfly-data" / "cli-key").read_text().strip()


@pytest.fixture
def metronome(server: Server, key: str) -> Iterator[Metronome]:
    with Metronome(bearer_token=key, base_url=f"{server.url}/metronome") as client:
        yield client


def furnished(client: Metronome) -> tuple[str, str, str]:
    """A metric, and two customers of whom one has used twelve of it."""
    metric = client.v1.billable_metrics.create(
        name="Calls", aggregation_type="COUNT", event_type_filter={"in_values": ["call"]}
    ).data.id
    busy = client.v1.customers.create(name="Busy", ingest_aliases=["busy"]).data.id
    calm = client.v1.customers.create(name="Calm", ingest_aliases=["calm"]).data.id
    at = (SystemClock().now() - timedelta(hours=2)).isoformat()
    usage: list[Any] = [
        {"transaction_id": f"m-{n}", "customer_id": "busy", "event_type": "call", "timestamp": at} for n in range(12)
    ]
    client.v1.usage.ingest(usage=[*usage, usage[0] | {"transaction_id": "m-calm", "customer_id": "calm"}])
    return metric, busy, calm


def looked(client: Metronome, alert: str, customer: str) -> str | None:
    """What it says once it was looked at, which is within a minute."""
    waiting = threading.Event()
    for _ in range(LIMIT_S * 2):
        status = client.v1.customers.alerts.retrieve(alert_id=alert, customer_id=customer).data.customer_status
        if status != "evaluating":
            return status
        waiting.wait(0.5)
    raise AssertionError("it was not looked at in time")


def test_an_alert_on_usage_is_made_looked_at_reset_and_archived(server: Server, metronome: Metronome) -> None:
    metric, busy, calm = furnished(metronome)
    alerts = metronome.v1.customers.alerts

    def make(**more: Any) -> str:
        return metronome.v1.alerts.create(
            alert_type="usage_threshold_reached", name="Ten calls", threshold=10, billable_metric_id=metric, **more
        ).data.id

    of_all = make(uniqueness_key="ten-calls")
    of_one = make(customer_id=calm)
    with pytest.raises(ConflictError):
        make(uniqueness_key="ten-calls")

    assert "in_alarm" == looked(metronome, of_all, busy)
    assert "ok" == looked(metronome, of_all, calm)
    assert "ok" == looked(metronome, of_one, calm)
    told = alerts.retrieve(alert_id=of_all, customer_id=busy).data.alert
    assert ("Ten calls", "usage_threshold_reached", "enabled", 10.0) == (
        told.name, told.type, told.status, told.threshold,
    )  # fmt: skip
    assert [of_all] == [one.alert.id for one in alerts.list(customer_id=busy)]
    assert [of_all, of_one] == [one.alert.id for one in alerts.list(customer_id=calm)]

    alerts.reset(alert_id=of_all, customer_id=busy)
    assert alerts.retrieve(alert_id=of_all, customer_id=busy).data.customer_status in {"evaluating", "in_alarm"}
    assert "in_alarm" == looked(metronome, of_all, busy)

    assert of_all == metronome.v1.alerts.archive(id=of_all, release_uniqueness_key=True).data.id
    assert alerts.retrieve(alert_id=of_all, customer_id=busy).data.customer_status is None
    assert [] == list(alerts.list(customer_id=busy))
    assert [of_all] == [one.alert.id for one in alerts.list(customer_id=busy, alert_statuses=["ARCHIVED"])]
    make(uniqueness_key="ten-calls")


def test_what_is_no_alert_on_usage_is_refused_with_the_reason(metronome: Metronome) -> None:
    none = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(BadRequestError, match="bills nobody"):
        metronome.v1.alerts.create(alert_type="spend_threshold_reached", name="x", threshold=1)
    with pytest.raises((BadRequestError, UnprocessableEntityError), match="billable_metric_id"):
        metronome.v1.alerts.create(alert_type="usage_threshold_reached", name="x", threshold=1)
    with pytest.raises(NotFoundError):
        metronome.v1.alerts.create(alert_type="usage_threshold_reached", name="x", threshold=1, billable_metric_id=none)
    with pytest.raises(NotFoundError):
        metronome.v1.alerts.archive(id=none)
    with pytest.raises(NotFoundError):
        metronome.v1.customers.alerts.retrieve(alert_id=none, customer_id=none)
