"""Bodies of the native API with something in every field that is read further, and bodies as large as they may be.

Those of tests/api/test_api_tenants.py are as short as may be: an expression two levels down is in none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from heartfly.clock import SystemClock
from tests.single.bodies import AT, OURS

_NOW = SystemClock().now()
_SINCE = (_NOW - timedelta(days=2)).date().isoformat()
CHECK: dict[str, Any] = {
    "name": "whole", "tags": ["a"], "description": "d", "grace": 60, "max_run": 60, "methods": "POST",
    "schedule": {"kind": "cron", "expression": "*/5 * * * *", "zone": "Europe/Berlin", "dialect": "cron"},
    "filters": {"start": ["begin"], "success": ["done"], "failure": ["error"], "default_fail": False},
    "gates": [{"metric": "rows", "op": ">=", "value": "10", "level": "warn"}],
    "bounds": ["run >= 1m", "at most 5 runs in 1h"],
    "tolerance": {"failures": 2, "recover": 2}, "slo": {"on_time": "99.9", "success": "99"}, "host": "web-1",
    "needs": [], "first_ping_by": None,
}  # fmt: skip
CALENDAR = CHECK | {"schedule": {"kind": "oncalendar", "expression": "Mon..Fri *-*-* 09:00:00", "zone": "UTC"}}
METER: dict[str, Any] = {
    "event_types": ["api.request"], "aggregation": "sum", "value": "a * b + (bytes - 2)", "group_keys": ["region"],
    "filters": [{"property": "region", "exists": True, "any_of": ["eu"], "none_of": ["us"]}],
}  # fmt: skip
CONDITION = {
    "of": "requests", "metric": "latency", "percentile": "95", "window": 3600, "threshold": "10", "op": ">",
    "against": "before", "windows_before": 7, "least": 1, "clear": "5", "where": {"endpoint": ["GET /a"]},
}  # fmt: skip
RULE: dict[str, Any] = {
    "conditions": [CONDITION, {"of": "calls", "metric": "requests", "window": 3600, "threshold": "1"}],
    "match": "all", "by": ["customer"], "for": 60, "cooldown": 60,
}  # fmt: skip
BUDGET: dict[str, Any] = {
    "name": "whole", "currency": "USD", "amount": "100", "period": "custom", "starts_on": _SINCE, "every_days": 1,
    "scope": {"provider": ["openai"]}, "thresholds": [50, 100], "spike": {"percent": 200, "least": "1"}, "low_days": 3,
    "allocations": [{"by": "provider", "name": "openai", "amount": "10"}],
}  # fmt: skip
LIMIT: dict[str, Any] = {
    "name": "whole", "kind": "calendar", "amount": "5.5", "window": "day", "zone": "Europe/Berlin", "unit": "requests",
    "scope": {"customer": "each", "tag": "a"}, "approaching": 80,
}  # fmt: skip
SILENCE: dict[str, Any] = {
    "kind": "maintenance", "scope": "tag", "targets": ["a"], "note": "n", "cron": "0 2 * * *", "zone": "Europe/Berlin",
    "lasts": 3600,
}  # fmt: skip
CHANNEL: dict[str, Any] = {
    "kind": "webhook", "name": "whole", "events": ["check.down"], "checks": [],
    "config": {"url": "http://127.0.0.1:9/x", "method": "POST", "body": "$NAME", "headers": {"X-A": "$STATUS"}},
    "policy": {"title": "$STATUS: $NAME", "text": "See $LINK", "after": 60},
}  # fmt: skip
PAGE: dict[str, Any] = {
    "slug": "whole", "title": "T", "accent": "#0b3d91", "accent_dark": "#9fc5e8",
    "groups": [{"name": "G", "items": [{"name": "I", "tag": "a"}]}],
}  # fmt: skip
BODIES: Mapping[tuple[str, str], tuple[Any, ...]] = {
    ("POST", "/v1/checks"): (CHECK, CALENDAR),
    ("PATCH", "/v1/checks/{check_id}"): (CHECK,),
    ("POST", "/v1/checks/{check_id}/copy"): (CHECK,),
    ("POST", "/v1/checks/{check_id}/backtest"): (
        CHECK | {"windows": [{"cron": "*/30 * * * *", "zone": "UTC", "lasts": 60}]}, CALENDAR,
    ),
    ("POST", "/v1/meters"): (METER | {"slug": "whole"}, METER | {"slug": "w2", "from_at": "2000-01-01T00:00:00Z"}),
    ("POST", "/v1/meters/{meter_id}/versions"): (METER | {"from_at": AT},),
    ("POST", "/v1/meters/preview"): (METER | {"from": f"{_SINCE}T00:00:00Z", "zone": "Europe/Berlin"},),
    ("POST", "/v1/alert-rules"): (RULE | {"name": "whole", "severity": "low"},),
    ("POST", "/v1/alert-rules/backtest"): (RULE,),
    ("PATCH", "/v1/alert-rules/{rule_id}"): (RULE,),
    ("POST", "/v1/budgets"): (BUDGET,),
    ("PATCH", "/v1/budgets/{budget_id}"): (BUDGET | {"name": "edited"},),
    ("POST", "/v1/limits"): (LIMIT, {"policy": "5;w=60;s=customer"}),
    ("POST", "/v1/limits/simulate"): (LIMIT,),
    ("POST", "/v1/limits/check"): (
        {"scope": {"provider": "openai", "customer": "acme", "tags": ["a"]}, "units": {"requests": "1"},
         "cost": {"USD": "0.5"}, "ttl": 60},
    ),
    ("POST", "/v1/silences"): (SILENCE, {"kind": "quiet", "scope": "project", "cron": "0 0 29 2 1", "lasts": 3600}),
    ("PATCH", "/v1/silences/{silence_id}"): ({"scope": "project", "note": "n", "cron": "0 2 * * *", "lasts": 60},),
    ("POST", "/v1/channels"): (CHANNEL,),
    ("PATCH", "/v1/channels/{channel_id}"): ({k: v for k, v in CHANNEL.items() if k != "kind"},),
    ("POST", "/v1/status-pages"): (PAGE,),
    ("PATCH", "/v1/status-pages/{page_id}"): (PAGE | {"slug": "edited"},),
    ("POST", "/v1/import/healthchecks"): ({"checks": [{"name": "x", "uuid": "3f0f8f9e-6a1c-4a55-8d4c-111111111112",
        "schedule": "0 3 * * *", "tz": "UTC", "grace": 60, "tags": "a b", "channels": ""}], "update": True},),
    ("POST", "/v1/events/columns"): (
        {"transaction_id": ["w-1", "w-2"], "customer_id": "acme", "timestamp": [AT, AT], "event_type": "call",
         "properties": {"n": [1, 2], "m": {"values": [1], "places": [0, 0]}},
         "alike": [{"values": [{}], "places": [0, 0]}]},
    ),
}  # fmt: skip


def _lines(n: int) -> list[str]:
    """Rules for paths that all begin alike and end otherwise."""
    return ["/" + "/".join(["*" if i % 2 else "{a}" for i in range(12)]) + f"/{k}" for k in range(n)]


def _events(n: int) -> list[dict[str, Any]]:
    told = {f"p{i}": f"{i}.{i:018d}" for i in range(60)}
    return [OURS | {"transaction_id": f"b-{k}", "properties": told} for k in range(n)]


def _prices(n: int) -> bytes:
    rows = [f"openai,m-{k},input_tokens,0.00000{k},USD" for k in range(n)]
    return "\n".join(["provider,product,unit,amount,currency", *rows]).encode()


def large() -> Iterator[tuple[tuple[str, str], str, str, bytes]]:
    """Route, what it is, query, body: as much as may come at once, and nothing wrong with it."""
    events = _events(1_000)
    yield ("POST", "/v1/events"), "a thousand events", "", json.dumps(events).encode()
    yield ("POST", "/metronome/v1/ingest"), "a thousand events", "", json.dumps(events[:100] * 10).encode()
    yield ("POST", "/v1/prices/imports"), "many prices", "?format=csv", _prices(15_000)
    models = {f"m-{k}": {"litellm_provider": "openai", "input_cost_per_token": 1e-6 * k} for k in range(5_000)}
    yield ("POST", "/v1/prices/imports"), "many models", "?format=litellm", json.dumps(models).encode()
    yield ("PATCH", "/v1/usage/path-rules"), "many rules", "", json.dumps({"lines": _lines(500)}).encode()
    yield ("POST", "/v1/usage/path-rules/preview"), "many rules", "", json.dumps({"lines": _lines(500)}).encode()
    for name, value in {
        "brackets": "(" * 19 + "a" + ")" * 19, "products": "a" + "*a" * 200, "sums": "a" + "+9" * 200,
        "powers": "9999999999*" * 40 + "a", "differences": "a" + "-b" * 200,
    }.items():  # fmt: skip
        yield ("POST", "/v1/meters/preview"), f"a value of {name}", "", json.dumps(METER | {"value": value}).encode()
