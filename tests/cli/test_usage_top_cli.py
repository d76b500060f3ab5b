"""`heartfly usage top …` against a real server."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def hit(number: int, **more: Any) -> dict[str, Any]:
    properties = {"method": "GET", "route": "/v1/orders/{id}", "path": f"/v1/orders/{number}", "status": 200}
    return {
        "transaction_id": f"top-{number}",
        "customer_id": more.pop("customer", "acme"),
        "timestamp": (SystemClock().now() - timedelta(minutes=1)).isoformat(),
        "event_type": "http.request",
        "properties": {**properties, "latency_ms": 12, "response_bytes": 1_500, "request_id": f"r-{number}", **more},
    }


def test_what_was_served_is_ranked_in_the_terminal(run: Run, server: Server) -> None:
    """A11: without SSH and grep."""
    for of in ("endpoints", "customers", "statuses"):
        assert "No requests in that time." in ok(run("usage", "top", of))
    assert "No slow requests in that time." in ok(run("usage", "top", "slow"))
    assert "There are no requests yet." in ok(run("usage", "paths", "-", input="/v1/{name}\n"))
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    hits = [hit(number) for number in range(8)]
    hits += [hit(8, route="/v1/slow", status=503, latency_ms=2_500, customer="=globex")]
    server.api("POST", "/v1/events", key, hits)

    endpoints = ok(run("usage", "top", "endpoints", "--since", "2h"))
    customers = ok(run("usage", "top", "customers", "--order", "latency", "--limit", "1"))
    statuses = ok(run("usage", "top", "statuses", "--customer", "acme"))

    assert re.search(r"^ENDPOINT +REQUESTS +SHARE +4XX +5XX +MEAN", endpoints, re.MULTILINE), endpoints
    assert re.search(r"^GET /v1/orders/\{id\} +8 +88\.8 % +- +- +12 ms", endpoints, re.MULTILINE), endpoints
    assert re.search(r"^GET /v1/slow +1 +11\.1 % +- +100\.0 % +2\.50 s", endpoints, re.MULTILINE), endpoints
    assert "9 requests, 11.1 % server errors" in endpoints
    assert ["=globex", "(others)"] == re.findall(r"^(\S+) +\d", customers, re.MULTILINE)[:2], customers
    assert re.search(r"^200 +8 +100\.0 %", statuses, re.MULTILINE), statuses
    table = list(csv.DictReader(io.StringIO(ok(run("usage", "top", "customers", "--csv")))))
    assert {"acme": "8", "'=globex": "1"} == {row["key"]: row["requests"] for row in table}
    told = json.loads(ok(run("usage", "top", "endpoints", "--status", "5xx", "--method", "get", "--json")))
    assert ["GET /v1/slow"] == [one["key"] for one in told["items"]]


def test_what_is_wrong_is_said_in_words(run: Run) -> None:
    for arguments, said in (
        (("endpoints", "--since", "soon"), "is not a duration"),
        (("customers", "--status", "9xx"), "status: must be"),
        (("slow", "--api-key", "k"), "key: is not kept of slow requests"),
        (("endpoints", "--order", "luck"), "luck"),
    ):
        refused = run("usage", "top", *arguments)
        assert (True, True) == (refused.exit_code > 0, said in refused.output), refused.output
