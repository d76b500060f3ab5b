"""OpenTelemetry's protocol at its door: what a span and a point become, what counts once, and what is told back."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from heartfly.accounts.turnstile import Turnstile
from heartfly.api.native import native_api
from heartfly.api.otlp_points import Measured
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import events, metric_series, usage_names
from heartfly.usage.ingest import EventIngest
from tests.api.conftest import START
from tests.api.door import Door, House, Reply, state_of
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.world import make_world

pytestmark = pytest.mark.anyio

NOW = int(START.timestamp()) * 10**9
SECOND = 10**9
PROTOBUF = ("Content-Type", "application/x-protobuf")
AS_JSON = ("Content-Type", "application/json")
ASKED = {
    "http.request.method": "GET", "url.path": "/users/17", "http.route": "/users/{id}",
    "http.response.status_code": 200,
}  # fmt: skip


def attributes(told: dict[str, Any]) -> list[KeyValue]:
    def value(one: Any) -> AnyValue:
        return AnyValue(int_value=one) if isinstance(one, int) else AnyValue(string_value=one)

    return [KeyValue(key=name, value=value(one)) for name, one in told.items()]


def traced(*spans: Span, program: str = "shop") -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.extend(attributes({"service.name": program}))
    resource.scope_spans.add().spans.extend(spans)
    return made


def span(n: int = 1, *, kind: int = Span.SPAN_KIND_SERVER, took_ns: int = 12_345_678, **told: Any) -> Span:
    return Span(
        trace_id=bytes([n] * 16), span_id=bytes([n] * 8), name="GET /users/{id}", kind=kind,  # type: ignore[arg-type]
        start_time_unix_nano=NOW - SECOND, end_time_unix_nano=NOW - SECOND + took_ns,
        attributes=attributes(ASKED | {name.replace("__", "."): one for name, one in told.items()}),
    )  # fmt: skip


async def post(door: Door, signal: str, made: Any, *more: tuple[str, str]) -> Reply:
    return await door("POST", f"/otlp/v1/{signal}", body=made.SerializeToString(), headers=[PROTOBUF, *more])


async def kept(usage_db: Database) -> list[dict[str, Any]]:
    """All events, in the order in which they came."""
    types, subjects = usage_names.alias(), usage_names.alias()
    query = (
        sa.select(events, types.c.text.label("type"), subjects.c.text.label("subject"))
        .join(types, types.c.id == events.c.type_id)
        .join(subjects, subjects.c.id == events.c.subject_id)
        .order_by(events.c.id)
    )
    async with usage_db.read() as read:
        rows = (await read.execute(query)).all()
    return [{"type": row.type, "customer": row.subject, "at": row.at, **json.loads(row.properties)} for row in rows]


# --- spans


async def test_a_span_of_a_server_is_a_request_and_counts_once(house: House, usage_db: Database) -> None:
    told: dict[str, Any] = {
        "url.path": "/users/17?token=x", "user_agent.original": "curl/8", "client.address": "203.0.113.9",
        "server.address": "example.com", "http.request.body.size": 7, "http.response.body.size": 1234,
        "http.request.header.x-request-id": "8f14", "heartfly.customer": "acme",
    }  # fmt: skip
    made = traced(span(**{name.replace(".", "__"): one for name, one in told.items()}))

    first, again = await post(house.full, "traces", made), await post(house.full, "traces", made)

    assert [(200, b""), (200, b"")] == [(first.status, first.body), (again.status, again.body)]
    assert "application/x-protobuf" == first.headers["content-type"]
    (found,) = await kept(usage_db)
    assert {
        "type": "http.request", "customer": "acme", "at": START - timedelta(seconds=1),
        "method": "GET", "route": "/users/{id}", "path": "/users/17", "status": 200, "status_class": "2xx",
        "latency_ms": 12.345678, "request_bytes": 7, "response_bytes": 1234, "host": "example.com",
        "ip": "203.0.113.0", "user_agent": "curl/8", "request_id": "8f14", "source": "shop",
    } == found  # fmt: skip


async def test_only_spans_of_servers_that_speak_http_are_requests(house: House, usage_db: Database) -> None:
    other = span(3)
    del other.attributes[:]
    made = traced(span(1, kind=Span.SPAN_KIND_CLIENT), span(2, kind=Span.SPAN_KIND_INTERNAL), other, span(4))

    reply = await post(house.full, "traces", made)

    assert (200, b"") == (reply.status, reply.body)
    assert 1 == len(await kept(usage_db))


async def test_names_from_before_they_were_settled_and_paths_without_a_route_are_understood(
    house: House, usage_db: Database
) -> None:
    old = span()
    del old.attributes[:]
    old.attributes.extend(attributes({
        "http.method": "post", "http.target": "/orders/9?x=1", "http.status_code": "503", "enduser.id": "bo",
    }))  # fmt: skip

    await post(house.full, "traces", traced(old), ("Heartfly-Customer", "tenant, enduser.id"))

    (found,) = await kept(usage_db)
    assert ("POST", "/orders/{id}", "/orders/9", "5xx", "bo") == tuple(
        found[name] for name in ("method", "route", "path", "status_class", "customer")
    )


async def test_json_and_gzip_tell_the_same(house: House, usage_db: Database) -> None:
    told = {
        "resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "01" * 16, "spanId": "01" * 8, "kind": 2, "unknown": [{}],
            "startTimeUnixNano": str(NOW - SECOND), "endTimeUnixNano": str(NOW - SECOND + 12_345_678),
            "attributes": [
                {"key": name, "value": {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}}
                for name, one in ASKED.items()
            ],
        }]}], "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}}]
    }  # fmt: skip
    packed = gzip.compress(json.dumps(told).encode())

    reply = await house.full("POST", "/otlp/v1/traces", body=packed, headers=[AS_JSON, ("Content-Encoding", "gzip")])
    await post(house.full, "traces", traced(span()))

    assert (200, {}) == (reply.status, reply.json)
    assert 1 == len(await kept(usage_db))


async def test_what_is_rejected_is_told_and_its_neighbours_are_kept(house: House, usage_db: Database) -> None:
    old, nameless = span(1), span(2)
    old.start_time_unix_nano = old.end_time_unix_nano = 1
    nameless.trace_id = b"\0" * 16

    reply = await post(house.full, "traces", traced(old, nameless, span(3)))

    told = ExportTraceServiceResponse.FromString(reply.body).partial_success
    assert (200, 2) == (reply.status, told.rejected_spans)
    assert told.error_message.startswith("timestamp is before")
    assert told.error_message.endswith("(1 more)")
    assert 1 == len(await kept(usage_db))


async def test_spans_of_one_project_are_nothing_to_another(house: House, neighbour: House, usage_db: Database) -> None:
    made = traced(span())

    await post(house.full, "traces", made)
    await post(neighbour.full, "traces", made)

    assert 2 == len(await kept(usage_db))


# --- metrics


def measured(
    *, n: int = 3, total: float | None = 0.45, temporality: int = 1, begun: int = NOW - 60 * SECOND,
    ended: int = NOW - SECOND, metric: str = "http.server.request.duration", unit: str = "s",
    bounds: Sequence[float] | None = None, counts: Sequence[int] = (1, 0, 2), scale: int = 3, **told: Any,
) -> ExportMetricsServiceRequest:  # fmt: skip
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    resource.resource.attributes.extend(attributes({"service.name": "shop"}))
    one = resource.scope_metrics.add().metrics.add(name=metric, unit=unit)
    data = one.exponential_histogram if bounds is None else one.histogram
    data.aggregation_temporality = temporality
    point = data.data_points.add(
        start_time_unix_nano=begun, time_unix_nano=ended, count=n,
        attributes=attributes({"http.request.method": "GET", "http.route": "/a", "http.response.status_code": 200}
                              | {name.replace("__", "."): value for name, value in told.items()}),
    )  # fmt: skip
    if total is not None:
        point.sum = total
    if bounds is None:
        point.scale = scale
        point.positive.offset = -20
        point.positive.bucket_counts.extend(counts)
    else:
        point.explicit_bounds.extend(bounds)
        point.bucket_counts.extend(counts)
    return made


async def test_a_point_of_delta_is_so_many_requests_and_counts_once(house: House, usage_db: Database) -> None:
    made = measured(apitally__consumer__identifier="acme")

    replies = [await post(house.full, "metrics", made) for _ in range(2)]

    assert [(200, b"")] * 2 == [(one.status, one.body) for one in replies]
    (found,) = await kept(usage_db)
    assert {
        "type": "http.requests", "customer": "acme", "at": START - timedelta(seconds=1), "method": "GET",
        "route": "/a", "status": 200, "status_class": "2xx", "source": "shop", "n": 3, "latency_ms": 450,
        "latencies": {"unit": "s", "scale": 3, "zero": 0, "offset": -20, "counts": [1, 0, 2]},
        "from_at": "2026-03-02T09:59:00Z", "until_at": "2026-03-02T09:59:59Z",
    } == found  # fmt: skip


async def test_of_cumulative_points_only_what_was_added_counts(house: House, usage_db: Database) -> None:
    begun = NOW - 600 * SECOND
    bounds = [0.1, 1.0]
    for n, total, counts, ended in ((3, 0.5, (2, 1, 0), 60), (3, 0.5, (2, 1, 0), 60), (3, 0.5, (2, 1, 0), 120),
                                    (10, 9.5, (4, 5, 1), 180), (3, 0.5, (2, 1, 0), 90)):  # fmt: skip
        reply = await post(house.full, "metrics", measured(
            n=n, total=total, counts=counts, bounds=bounds, temporality=2, begun=begun, ended=begun + ended * SECOND,
        ))  # fmt: skip
        assert (200, b"") == (reply.status, reply.body)

    first, second = await kept(usage_db)
    assert (3, 500, [2, 1, 0]) == (first["n"], first["latency_ms"], first["latencies"]["counts"])
    assert (7, 9000, [2, 4, 1]) == (second["n"], second["latency_ms"], second["latencies"]["counts"])
    assert ("2026-03-02T09:52:00Z", "2026-03-02T09:53:00Z") == (second["from_at"], second["until_at"])


async def test_a_program_that_starts_anew_begins_at_nothing(house: House, usage_db: Database) -> None:
    for begun, n in ((600, 5), (300, 2)):
        await post(house.full, "metrics", measured(
            n=n, counts=(n,), temporality=2, begun=NOW - begun * SECOND, ended=NOW - (begun - 60) * SECOND,
        ))  # fmt: skip

    assert [5, 2] == [one["n"] for one in await kept(usage_db)]


async def test_a_cumulative_histogram_may_become_coarser_between_two_points(house: House, usage_db: Database) -> None:
    begun = NOW - 600 * SECOND
    first = measured(n=3, counts=(1, 0, 2), scale=3, temporality=2, begun=begun, ended=begun + SECOND)
    later = measured(n=5, counts=(0,) * 10 + (1, 2, 2), scale=2, temporality=2, begun=begun, ended=begun + 2 * SECOND)
    await post(house.full, "metrics", first)
    await post(house.full, "metrics", later)

    _, second = await kept(usage_db)
    # Buckets -20 and -18 of the finer scale are -10 and -9 of the coarser one.
    assert {"unit": "s", "scale": 2, "zero": 0, "offset": -8, "counts": [2]} == second["latencies"]
    assert 2 == second["n"]


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ({"n": 2, "counts": (1, 1, 0)}, "counts less than it did before"),
        ({"n": 4, "counts": (0, 4, 0)}, "less in a bucket"),
        ({"n": 4, "counts": (4, 0), "bounds": [0.5]}, "other buckets than before"),
    ],
)
async def test_a_series_that_goes_back_is_told_and_counts_on_from_there(
    house: House, usage_db: Database, then: dict[str, Any], why: str
) -> None:
    begun = NOW - 600 * SECOND

    async def told(ended: int, **change: Any) -> str:
        point: dict[str, Any] = {"n": 3, "counts": (2, 1, 0), "bounds": [0.1, 1.0]} | change
        reply = await post(house.full, "metrics", measured(
            temporality=2, begun=begun, ended=begun + ended * SECOND, **point,
        ))  # fmt: skip
        said: str = ExportMetricsServiceResponse.FromString(reply.body).partial_success.error_message
        return said

    assert "" == await told(1)
    assert why in await told(2, **then)
    assert "" == await told(3, **(then | {"n": then["n"] + 1, "counts": (then["counts"][0] + 1, *then["counts"][1:])}))
    assert [3, 1] == [one["n"] for one in await kept(usage_db)]


async def test_a_series_that_may_have_been_forgotten_counts_only_from_here(
    house: House, usage_db: Database, clock: SimClock
) -> None:
    begun = NOW - 31 * 86_400 * SECOND
    reply = await post(house.full, "metrics", measured(temporality=2, begun=begun))
    told = ExportMetricsServiceResponse.FromString(reply.body).partial_success
    assert (1, True) == (told.rejected_data_points, "more than 30 days ago" in told.error_message)

    await post(house.full, "metrics", measured(temporality=2, begun=begun, ended=NOW, n=4, counts=(1, 0, 3)))
    assert [1] == [one["n"] for one in await kept(usage_db)]

    clock.move_to(START + timedelta(days=31))
    fresh = int(clock.now().timestamp()) * SECOND
    await post(house.full, "metrics", measured(temporality=2, begun=fresh - SECOND, ended=fresh))
    async with usage_db.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(metric_series))).scalar_one()


async def test_sizes_are_events_of_their_own_and_count_no_requests(house: House, usage_db: Database) -> None:
    await post(house.full, "metrics", measured(metric="http.server.response.body.size", unit="By", total=4096.0))

    (found,) = await kept(usage_db)
    assert (4096, False) == (found["response_bytes"], "n" in found or "latencies" in found)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"n": 4}, "a count that its buckets do not add up to"),
        ({"unit": "h"}, "a unit that is none of s, ms, us, ns"),
        ({"temporality": 0}, "no temporality"),
        ({"begun": NOW}, "ends before it begins"),
        ({"counts": [0] * 500, "n": 0}, "more than 400 buckets"),
        ({"bounds": [2.0, 1.0]}, "bounds that do not ascend"),
        ({"bounds": [2.0]}, "another number of bounds"),
    ],
)
async def test_a_point_that_cannot_be_read_is_told(
    house: House, usage_db: Database, change: dict[str, Any], why: str
) -> None:
    reply = await post(house.full, "metrics", measured(**change))

    told = ExportMetricsServiceResponse.FromString(reply.body).partial_success
    assert (200, 1) == (reply.status, told.rejected_data_points)
    assert why in told.error_message
    assert [] == await kept(usage_db)


async def test_metrics_of_other_things_are_passed_over(house: House, usage_db: Database) -> None:
    made = measured(metric="http.client.request.duration")
    made.resource_metrics[0].scope_metrics[0].metrics.append(Metric(name="cpu"))

    reply = await post(house.full, "metrics", made)

    assert (200, b"") == (reply.status, reply.body)
    assert [] == await kept(usage_db)


# --- logs, and what is none of it


async def test_logs_are_answered_with_what_becomes_of_them(house: House) -> None:
    made = ExportLogsServiceRequest()
    made.resource_logs.add().scope_logs.add().log_records.add().severity_text = "INFO"

    reply = await post(house.full, "logs", made)

    told = ExportLogsServiceResponse.FromString(reply.body).partial_success
    assert (200, 1) == (reply.status, told.rejected_log_records)
    assert "keeps no log records" in told.error_message


@on_sqlite
@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"\xff\xff", [PROTOBUF], 400, "no such message"),
        (b"{", [AS_JSON], 400, "JSON"),
        (b"[]", [AS_JSON], 400, "OTLP as JSON"),
        (b'{"resourceSpans": 7, "resourceMetrics": 7, "resourceLogs": 7}', [AS_JSON], 400, "OTLP as JSON"),
        (b'{"traceId": "zz"}', [AS_JSON], 400, "hexadecimal"),
        (b'{"\\ud800": 7}', [AS_JSON], 400, "OTLP as JSON"),
        (b'{"x": ["\xed\xa0\x80"]}', [AS_JSON], 400, "OTLP as JSON"),
        ('{"\\ud800": 7}'.encode("utf-16"), [AS_JSON], 400, "OTLP as JSON"),
        ('{"\\ud800": 7}'.encode("utf-16-le"), [AS_JSON], 400, "OTLP as JSON"),
        ("{}".encode("utf-32-be"), [AS_JSON], 400, "OTLP as JSON"),
        (b"[" * 500, [AS_JSON], 400, "nested"),
        (b'{"x": [' + b"0," * 300_000 + b"0]}", [AS_JSON], 422, "more than 300000 values"),
        (b'{"x": [' + b"{}," * 60_000 + b"{}]}", [AS_JSON], 422, "more than 50000 objects"),
        (b'{"resourceSpans": [' + b"[]," * 60_000 + b"[]]}", [AS_JSON], 422, "more than 50000 objects or lists"),
        (b"", [("Content-Type", "text/plain")], 422, "Content-Type"),
        (b"x", [PROTOBUF, ("Content-Encoding", "br")], 422, "must be gzip"),
        (gzip.compress(b"\0" * 5_000_000), [PROTOBUF, ("Content-Encoding", "gzip")], 413, "4 MiB"),
    ],
)
async def test_what_is_no_otlp_is_refused_whole_in_its_own_words(
    house: House, signal: str, body: bytes, headers: list[tuple[str, str]], status: int, said: str
) -> None:
    reply = await house.full("POST", f"/otlp/v1/{signal}", body=body, headers=headers)

    assert status == reply.status
    if AS_JSON in headers:
        assert said in reply.json["message"]
        assert 3 == reply.json["code"]
    else:
        assert reply.body.startswith(b"\x08\x03\x12")
        assert said.encode() in reply.body


async def test_who_may_not_is_told_in_its_words(house: House) -> None:
    for door, status, code in ((house.nobody, 401, 16), (house.read, 403, 7)):
        reply = await post(door, "traces", traced(span()))
        assert (status, code) == (reply.status, reply.body[1])
        assert b"key" in reply.body


@on_sqlite
async def test_more_spans_than_a_request_may_bring_are_refused_whole(house: House, usage_db: Database) -> None:
    reply = await post(house.full, "traces", traced(*([Span()] * 20_001)))

    assert 422 == reply.status
    assert b"at most 20000" in reply.body
    assert [] == await kept(usage_db)


@on_sqlite
async def test_more_spans_than_events_of_a_request_are_taken_piece_by_piece(house: House, usage_db: Database) -> None:
    some = []
    for n in range(1, 1_202):
        some.append(span())
        some[-1].span_id = n.to_bytes(8, "big")

    reply = await post(house.full, "traces", traced(*some))

    assert (200, b"") == (reply.status, reply.body)
    assert 1_201 == len(await kept(usage_db))


@on_sqlite
async def test_more_buckets_than_a_request_may_bring_are_refused_whole(house: House, usage_db: Database) -> None:
    made = measured()
    data = made.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points
    for n in range(501):
        data.add(time_unix_nano=NOW - n - 1, count=400).positive.bucket_counts.extend([1] * 400)

    reply = await post(house.full, "metrics", made)

    assert 422 == reply.status
    assert b"holds 200403 buckets; at most 200000" in reply.body
    assert [] == await kept(usage_db)


@on_sqlite
@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
async def test_of_large_requests_few_wait_and_small_ones_are_heard_meanwhile(
    db: Database, usage_db: Database, ids: IdSource, clock: SimClock, signal: str
) -> None:
    busy = Turnstile(at_once=1, waiting=0, again_s=5, busy="later")
    api = native_api(replace(state_of(db, clock, ids, usage=usage_db), large_otlp=busy))
    door = Door(api, (await make_world(db, ids, START)).project.api_key)
    some: dict[str, Any] = {"traces": traced(span()), "metrics": measured(), "logs": ExportLogsServiceRequest()}
    small = some[signal]
    large = small.SerializeToString() + b"\x0a\x00" * 140_000
    by_gzip = gzip.compress(large)

    async with busy:
        refused = [
            await door("POST", f"/otlp/v1/{signal}", body=large, headers=[PROTOBUF]),
            await door("POST", f"/otlp/v1/{signal}", body=by_gzip, headers=[PROTOBUF, ("Content-Encoding", "gzip")]),
        ]
        heard = await post(door, signal, small)
    after = await door("POST", f"/otlp/v1/{signal}", body=large, headers=[PROTOBUF])

    assert [(503, "5")] * 2 == [(one.status, one.headers["retry-after"]) for one in refused]
    assert (200, 200) == (heard.status, after.status)


@on_sqlite
async def test_points_of_many_buckets_become_events_beside_the_loop(
    house: House, usage_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = measured(n=380, counts=(1,) * 380)
    data = made.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points
    for n in range(1, 30):
        data.add().CopyFrom(data[0])
        data[n].time_unix_nano -= n
    threads: list[str] = []
    # Both are watched, and do what they do.
    for owner, name in ((Measured, "event"), (EventIngest, "_item")):
        real = getattr(owner, name)

        def watched(*given: Any, real: Any = real) -> Any:
            threads.append(threading.current_thread().name)
            return real(*given)

        monkeypatch.setattr(owner, name, watched)

    reply = await post(house.full, "metrics", made)

    assert (200, 30) == (reply.status, len(await kept(usage_db)))
    assert 60 == len(threads)
    assert threading.main_thread().name not in threads


Change = Callable[[Any, Any, str], None]


def _many(resource: Any, point: Any, name: str) -> None:
    point.attributes.extend(attributes({f"a{n:03}": n for n in range(200)} | {"z": name}))


def _long(resource: Any, point: Any, name: str) -> None:
    point.attributes.extend(attributes({"z": "x" * 3_000 + name}))


def _list(resource: Any, point: Any, name: str) -> None:
    values = [AnyValue(string_value="same"), AnyValue(string_value=name)]
    point.attributes.append(KeyValue(key="z", value=AnyValue(array_value=ArrayValue(values=values))))


def _version(resource: Any, point: Any, name: str) -> None:
    resource.scope_metrics[0].scope.version = name


def _program(resource: Any, point: Any, name: str) -> None:
    resource.resource.attributes.extend(attributes({f"a{n:03}": n for n in range(200)} | {"z": name}))


@pytest.mark.parametrize("differ", [_many, _long, _list, _version, _program])
async def test_series_that_differ_in_anything_are_not_taken_for_one(
    house: House, usage_db: Database, differ: Change
) -> None:
    for name in ("one", "other", "one"):
        made = measured()
        resource = made.resource_metrics[0]
        differ(resource, resource.scope_metrics[0].metrics[0].exponential_histogram.data_points[0], name)
        assert (200, b"") == ((reply := await post(house.full, "metrics", made)).status, reply.body)

    assert 2 == len(await kept(usage_db))


@on_sqlite
async def test_the_order_of_attributes_tells_no_series_from_another(house: House, usage_db: Database) -> None:
    for names in ("ab", "ba"):
        made = measured()
        point = made.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points[0]
        point.attributes.extend(attributes(dict.fromkeys(names, 1)))
        await post(house.full, "metrics", made)

    assert 1 == len(await kept(usage_db))


@on_sqlite
async def test_an_address_beside_is_none_of_otlp(house: House) -> None:
    reply = await house.full("POST", "/otlp/v1/profiles", body=b"", headers=[PROTOBUF])

    assert 404 == reply.status
    assert b"/otlp/v1/traces" in reply.body


def test_the_times_of_these_tests_are_whole() -> None:
    assert START == datetime.fromtimestamp(NOW / SECOND, UTC)
