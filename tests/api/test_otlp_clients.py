"""OpenTelemetry's own exporters and Apitally's own client, as they are on PyPI, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.server_process import Server

pytestmark = pytest.mark.e2e

SDK = """
import sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

program = Resource.create({"service.name": "shop", "service.instance.id": "1"})
tracers = TracerProvider(resource=program)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(compression=Compression.Gzip)))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=3_600_000)
meters = MeterProvider(resource=program, metric_readers=[reader])
took = meters.get_meter("app").create_histogram("http.server.request.duration", "s")
tracer = tracers.get_tracer("app")
for n in range(700):
    asked = {
        "http.request.method": "GET", "http.route": "/users/{id}", "url.path": f"/users/{n}",
        "http.response.status_code": 500 if n % 7 == 0 else 200, "tenant": f"t{n % 3}",
    }
    with tracer.start_as_current_span("GET", kind=trace.SpanKind.SERVER, attributes=asked):
        with tracer.start_as_current_span("SELECT", kind=trace.SpanKind.CLIENT):
            pass
    del asked["url.path"]
    took.record(0.25, asked)
    if n in (300, 500):
        assert meters.force_flush()
assert tracers.force_flush()
assert meters.force_flush() and meters.force_flush()
tracers.shutdown()
meters.shutdown()
"""

APITALLY = """
import threading, urllib.error, urllib.request
import apitally, uvicorn
from apitally.fastapi import init
from fastapi import FastAPI, Request

app = FastAPI()
init(app)

@app.get("/orders/{order}")
async def order(order: int) -> dict:
    apitally.set_consumer("acme" if order % 2 else "bolt")
    if order == 9:
        raise RuntimeError("of the application's own")
    return {"order": order}

class Served(uvicorn.Server):
    up = threading.Event()
    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.up.set()

server = Served(uvicorn.Config(app, port=0, log_level="critical"))
thread = threading.Thread(target=server.run)
thread.start()
assert server.up.wait(60)
port = server.servers[0].sockets[0].getsockname()[1]
for n in range(10):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/orders/{n}?token=secret", timeout=10).read()
    except urllib.error.HTTPError as error:
        assert n == 9, n
server.should_exit = True
thread.join()
"""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.keys = made.init()  # type: ignore[attr-defined]
    made.start()
    yield made
    made.kill()


def run(server: Server, program: str, **env: str) -> None:
    given = {name: one for name, one in (server.environment | env).items() if name != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=given, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "" == done.stderr


def key(server: Server, *options: str) -> str:
    own: dict[str, str] = server.keys  # type: ignore[attr-defined]
    server.settings["API_KEY"] = own["api_key"]
    made = json.loads(server.command("keys", "create", "sender", "--scope", "ingest", "--json", *options))
    return str(made["secret"])


def events(server: Server, type_: str) -> list[dict[str, Any]]:
    told = server.command("usage", "events", "list", "--type", type_, "--limit", "2000", "--json")
    found: list[dict[str, Any]] = json.loads(told)
    return found


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
@pytest.mark.parametrize("histogram", ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"])
def test_the_sdk_of_opentelemetry_as_it_is(server: Server, temporality: str, histogram: str) -> None:
    run(
        server, SDK,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"{server.url}/otlp",
        OTEL_EXPORTER_OTLP_HEADERS=f"Authorization=Bearer%20{key(server)},Heartfly-Customer=tenant",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality,
        OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=histogram,
    )  # fmt: skip

    spans, points = events(server, "http.request"), events(server, "http.requests")
    assert 700 == len(spans)
    assert Counter({"t0": 234, "t1": 233, "t2": 233}) == Counter(one["customer_id"] for one in spans)
    assert Counter({"/users/{id}": 700}) == Counter(one["properties"]["route"] for one in spans)
    assert 100 == sum(one["properties"]["status_class"] == "5xx" for one in spans)
    counted: Counter[str] = Counter()
    for one in points:
        counted[one["customer_id"]] += one["properties"]["n"]
    assert Counter({"t0": 234, "t1": 233, "t2": 233}) == counted
    assert Decimal(175_000) == sum(Decimal(str(one["properties"]["latency_ms"])) for one in points)


def test_apitally_s_client_as_it_is(server: Server) -> None:
    token = key(server, "--apitally")
    run(server, APITALLY, APITALLY_WRITE_TOKEN=token, APITALLY_OTLP_ENDPOINT=f"{server.url}/otlp")

    points, spans = events(server, "http.requests"), events(server, "http.request")
    counted: Counter[tuple[str, str, str]] = Counter()
    for one in points:
        told = one["properties"]
        counted[one["customer_id"], told["route"], told["status_class"]] += told.get("n", 0)
    route = "/orders/{order}"
    assert Counter({("bolt", route, "2xx"): 5, ("acme", route, "2xx"): 4, ("acme", route, "5xx"): 1}) == counted
    assert 28 == len(token)
    assert "secret" not in json.dumps([points, spans])
