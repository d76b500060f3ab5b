"""A body of each route that takes one: what a client would send, so that each of its values can be made a nasty one.

The native API's stand in tests/api/test_api_tenants.py; here are those of other makers' formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from heartfly.clock import SystemClock

_AT = (SystemClock().now() - timedelta(hours=30)).replace(microsecond=0)
_DAYS = {"from": f"{_AT.date()}T00:00:00Z", "to": f"{_AT.date() + timedelta(days=1)}T00:00:00Z"}
AT = _AT.isoformat().replace("+00:00", "Z")
NANOS = str(int(_AT.timestamp()) * 10**9)
METRIC = {
    "name": "Cost", "aggregation_type": "SUM", "aggregation_key": "bytes",
    "event_type_filter": {"in_values": ["api.request"]}, "group_keys": [["region"]],
    "property_filters": [{"name": "region", "exists": True, "in_values": ["eu"]}],
}  # fmt: skip
USAGE = {
    "starting_on": _DAYS["from"], "ending_before": _DAYS["to"], "window_size": "HOUR",
    "customer_ids": ["{customer_id}"],
    "billable_metrics": [{"id": "{metric_id}", "group_by": {"key": "region", "values": ["eu"]}}],
}  # fmt: skip
GROUPS = {
    "billable_metric_id": "{metric_id}", "customer_id": "{customer_id}", "window_size": "HOUR",
    "starting_on": _DAYS["from"], "ending_before": _DAYS["to"], "group_key": ["region"],
    "group_filters": {"region": ["eu"]},
}  # fmt: skip
CLOUD = {
    "id": "n-1", "source": "web", "specversion": "1.0", "type": "api.request", "subject": "acme", "time": AT,
    "data": {"bytes": "1.50", "region": "eu"},
}  # fmt: skip
OURS = {
    "transaction_id": "n-1", "customer_id": "acme", "timestamp": AT, "event_type": "api.request",
    "properties": {"bytes": "1.50", "region": "eu"},
}  # fmt: skip
TRACK = {
    "messageId": "n-1", "userId": "acme", "timestamp": AT, "type": "track", "event": "api.request",
    "properties": {"bytes": "1.50"}, "context": {"ip": "192.0.2.1"},
}  # fmt: skip
STRIPE = {
    "event_name": "api.request", "identifier": "n-1", "timestamp": AT,
    "payload": {"value": "1.50", "stripe_customer_id": "acme"},
}  # fmt: skip
LAGO = {
    "transaction_id": "n-1", "external_subscription_id": "acme", "code": "call", "timestamp": "1774000000.123",
    "properties": {"value": "1.50"}, "precise_total_amount_cents": "12.5",
}  # fmt: skip
ORB = {
    "idempotency_key": "n-1", "external_customer_id": "acme", "event_name": "call", "timestamp": AT,
    "properties": {"value": "1.50"},
}  # fmt: skip
ATTRIBUTES = [
    {"key": "http.request.method", "value": {"stringValue": "GET"}},
    {"key": "http.route", "value": {"stringValue": "/users/{id}"}},
    {"key": "http.response.status_code", "value": {"intValue": "200"}},
]
RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "kind": 2, "name": "GET",
    "startTimeUnixNano": NANOS, "endTimeUnixNano": NANOS, "attributes": ATTRIBUTES,
}  # fmt: skip
POINT = {"startTimeUnixNano": NANOS, "timeUnixNano": NANOS, "asDouble": 1.5, "attributes": ATTRIBUTES}
HISTOGRAM = {
    "startTimeUnixNano": NANOS, "timeUnixNano": NANOS, "count": "3", "sum": 1.5, "bucketCounts": ["1", "2"],
    "explicitBounds": [0.1], "attributes": ATTRIBUTES,
}  # fmt: skip
LOG = {"timeUnixNano": NANOS, "body": {"stringValue": "said"}, "attributes": ATTRIBUTES}
BACKFILL = {"timeframe_start": _DAYS["from"], "timeframe_end": _DAYS["to"], "replace_existing_events": False}
ORB_EDIT = {"event_name": "call", "timestamp": AT, "properties": {"value": "2"}, "external_customer_id": "acme"}
ORB_SEARCH = {"event_ids": ["n-1"], "timeframe_start": _DAYS["from"], "timeframe_end": _DAYS["to"]}
MONITOR = {
    "key": "nightly", "type": "job", "name": "Nightly", "schedule": "30 2 * * *", "timezone": "Europe/Berlin",
    "grace_seconds": 900, "assertions": ["metric.count > 0"], "tags": ["etl"], "note": "See the runbook.",
    "schedule_tolerance": 1, "failure_tolerance": 1, "notify": ["default"],
}  # fmt: skip
HC_CHECK = {
    "name": "Backups", "slug": "backups", "tags": "prod www", "desc": "d", "timeout": 3600, "grace": 60,
    "schedule": "0 3 * * *", "tz": "Europe/Riga", "channels": "", "unique": ["name"], "methods": "POST",
    "start_kw": "a", "success_kw": "b", "failure_kw": "c", "filter_subject": True, "filter_body": True,
}  # fmt: skip
_ALERT = {"alert_id": "{rule_id}", "customer_id": "{customer_id}"}

FOREIGN: Mapping[tuple[str, str], Any] = {
    ("POST", "/metronome/v1/ingest"): [OURS],
    ("POST", "/metronome/v1/alerts/create"): {
        "alert_type": "usage_threshold_reached", "name": "x", "threshold": 1, "billable_metric_id": "{metric_id}",
        "customer_id": "{customer_id}", "uniqueness_key": "k", "evaluate_on_create": True,
    },
    ("POST", "/metronome/v1/alerts/archive"): {"id": "none", "release_uniqueness_key": True},
    ("POST", "/metronome/v1/customer-alerts/get"): _ALERT,
    ("POST", "/metronome/v1/customer-alerts/list"): {"customer_id": "{customer_id}", "alert_statuses": ["ENABLED"]},
    ("POST", "/metronome/v1/customer-alerts/reset"): _ALERT,
    ("POST", "/metronome/v1/customers"): {"name": "N", "ingest_aliases": ["n"], "external_id": "n-2"},
    ("POST", "/metronome/v1/customers/archive"): {"id": "none"},
    ("POST", "/metronome/v1/customers/{customer_id}/setName"): {"name": "Acme"},
    ("POST", "/metronome/v1/customers/{customer_id}/setIngestAliases"): {"ingest_aliases": ["c-1"]},
    ("POST", "/metronome/v1/events/search"): {"transactionIds": ["t-1"]},
    ("POST", "/metronome/v1/billable-metrics/create"): METRIC,
    ("PUT", "/metronome/v1/billable-metrics/{metric_id}"): {"name": "x"},
    ("POST", "/metronome/v1/billable-metrics/archive"): {"id": "none"},
    ("POST", "/metronome/v1/usage"): USAGE,
    ("POST", "/metronome/v1/usage/groups"): GROUPS,
    ("POST", "/openmeter/api/v1/events"): [CLOUD],
    ("POST", "/openmeter/api/v1/customers"): {
        "name": "N", "key": "n-3", "usageAttribution": {"subjectKeys": ["n-4"]}
    },
    ("PUT", "/openmeter/api/v1/customers/{customer_id}"): {
        "name": "Acme", "usageAttribution": {"subjectKeys": ["c-1"]}
    },
    ("POST", "/openmeter/api/v1/meters"): {
        "slug": "m", "aggregation": "SUM", "eventType": "api.request", "name": "M", "eventFrom": AT,
        "valueProperty": "$.bytes", "groupBy": {"region": "$.region"},
    },
    ("PUT", "/openmeter/api/v1/meters/{meter_id}"): {"name": "M", "groupBy": {"region": "$.region"}},
    ("POST", "/openmeter/api/v1/meters/{meter_id}/query"): {
        "clientId": "x", **_DAYS, "windowSize": "MINUTE", "windowTimeZone": "Europe/Berlin", "subject": ["c-1"],
        "groupBy": ["region"], "filterGroupBy": {"region": ["eu"]}, "filterCustomerId": ["{customer_id}"],
        "advancedMeterGroupByFilters": {"region": {"$in": ["eu"]}},
    },
    ("POST", "/openmeter/api/v1/subjects"): [{"key": "n-5", "displayName": "N"}],
    ("POST", "/segment/v1/batch"): {"batch": [TRACK], "sentAt": AT},
    ("POST", "/segment/v1/import"): {"batch": [TRACK], "sentAt": AT},
    **{("POST", f"/segment/v1/{kind}"): TRACK | {"type": kind, "name": "x", "groupId": "g", "previousId": "p"}
       for kind in ("track", "identify", "page", "screen", "group", "alias")},
    ("POST", "/stripe/v1/billing/meter_events"): STRIPE,
    ("POST", "/stripe/v2/billing/meter_events"): STRIPE,
    ("POST", "/stripe/v1/billing/meter_event_adjustments"): {
        "event_name": "api.request", "type": "cancel", "cancel": {"identifier": "none"}
    },
    ("POST", "/stripe/v2/billing/meter_event_adjustments"): {
        "event_name": "api.request", "type": "cancel", "cancel": {"identifier": "none"}
    },
    ("POST", "/lago/api/v1/events"): {"event": LAGO},
    ("POST", "/lago/api/v1/events/batch"): {"events": [LAGO]},
    ("POST", "/otlp/v1/traces"): {
        "resourceSpans": [{"resource": RESOURCE, "scopeSpans": [{"scope": {"name": "x"}, "spans": [SPAN]}]}]
    },
    ("POST", "/otlp/v1/metrics"): {
        "resourceMetrics": [{"resource": RESOURCE, "scopeMetrics": [{"metrics": [
            {"name": "n", "unit": "1",
             "sum": {"isMonotonic": True, "aggregationTemporality": 1, "dataPoints": [POINT]}},
            {"name": "http.server.request.duration", "unit": "s",
             "histogram": {"aggregationTemporality": 1, "dataPoints": [HISTOGRAM]}},
        ]}]}]
    },
    ("POST", "/otlp/v1/logs"): {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"logRecords": [LOG]}]}]},
    **{(method, f"/orb{v1}{path}"): body for v1 in ("", "/v1") for (method, path), body in {
        ("POST", "/ingest"): {"events": [ORB]},
        ("PUT", "/events/{event_id}"): ORB_EDIT,
        ("PUT", "/events/{event_id}/deprecate"): None,
        ("POST", "/events/search"): ORB_SEARCH,
        ("POST", "/events/backfills"): BACKFILL,
        ("POST", "/events/backfills/{backfill_id}/close"): None,
        ("POST", "/events/backfills/{backfill_id}/revert"): None,
    }.items()},
}  # fmt: skip
"""None: it takes none. `{…}` in a text is filled with what is there."""
FORMS = {"/stripe/v1/"}
"""What begins so takes a form, not JSON."""
