"""A real server's `/metrics`: all that the docs name and nothing else, whatever strangers ask for."""

from __future__ import annotations

import contextlib
import re
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server_process import Server

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "canary-token-for-the-metrics"


def scrape(server: Server) -> dict[str, Any]:
    request = urllib.request.Request(f"{server.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        told = reply.read().decode()
    return {family.name: family for family in text_string_to_metric_families(told)}


def get(server: Server, path: str, **more: Any) -> None:
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(f"{server.url}{path}", **more), timeout=20).close()


def test_metrics_are_those_of_the_docs_and_their_labels_are_bounded(server: Server) -> None:
    server.settings["METRICS__TOKEN"] = TOKEN
    keys = server.init()
    server.start()
    ping = f"/ping/{keys['ping_key']}/job"
    for path in (f"{ping}?create=1", ping, f"{ping}/0/1", "/ping/" + str(uuid.uuid4())):
        get(server, path)
    server.api("GET", "/v1/checks", keys["api_key"])
    for n in range(30):
        get(server, f"/v1/checks/{uuid.uuid4()}", headers={"Authorization": f"Bearer {keys['api_key']}"})
        get(server, f"/nowhere/{n}", method="TRACE")
        get(server, f"/nowhere/{n}", method="MADEUP")  # which the server refuses by itself
    get(server, "/metrics")  # without the token

    found = scrape(server)

    listed = re.findall(
        r"^\| `(\w+)` \| (?:counter|gauge|histogram) \|",
        (ROOT / "docs/metrics.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    not_yet = {"heartfly_canary_latency_seconds", "heartfly_canary_age_seconds"}
    assert sorted(name.removesuffix("_total") for name in set(listed) - not_yet) == sorted(found)
    pings = {sample.labels["outcome"]: sample.value for sample in found["heartfly_pings"].samples}
    assert {"created": 1, "ok": 1, "bad_request": 1, "not_found": 1} == pings
    requests = {(s.labels["method"], s.labels["route"], s.labels["status"]): s.value
                for s in found["heartfly_http_requests"].samples}  # fmt: skip
    assert {
        ("GET", "/v1/checks", "2xx"): 1,
        ("GET", "/v1/checks/{check_id}", "4xx"): 30,
        ("other", "none", "4xx"): 30,
    } == requests
    timed = {s.name: s.value for s in found["heartfly_ping_seconds"].samples if not s.labels}
    assert 3 == timed["heartfly_ping_seconds_count"]  # that to nowhere was looked up, too
    batches = {s.name: s.value for s in found["heartfly_commit_items"].samples if not s.labels}
    assert batches["heartfly_commit_items_count"] > 0
    said = str([sample for family in found.values() for sample in family.samples])
    assert keys["ping_key"] not in said
    assert 0 == server.stop()
    assert TOKEN not in (server.folder / "server.log").read_text()
