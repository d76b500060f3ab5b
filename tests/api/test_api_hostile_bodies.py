"""Hostile bodies on every route that takes one: a problem of the 4xx kind, which names the field if there is one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from heartfly.api.native import NativeApi
from tests.api.door import House, Reply
from tests.api.test_api_bad_input import BODIES, is_problem
from tests.api.test_api_tenants import filled, furnished
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

GIANT = "9" * 5_000
CONDITION = '{"of": "calls", "metric": "requests", "window": 3600, "threshold": "10"}'
COUNT = '"event_types": ["a"], "aggregation": "count"'
WINDOW = '"replaces": true, "from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"'
IN_COMMON = '"customer_id": "a", "timestamp": "2026-03-02T09:00:00Z", "event_type": "b"'
HOOK = '{"url": "https://hooks.example.com/x"}'
PATHS = [
    (r'{"lines": ["/a", "\u0000"]}', "lines[1]"),
    ('{"lines": ["/a", "a b c"]}', "lines"),
    ('{"lines": ["/{a}b/c"]}', "lines"),
    (f'{{"lines": ["{GIANT}"]}}', "lines[0]"),
    ('{"lines": [' + ", ".join(['"/a"'] * 501) + "]}", "lines"),
    (f'{{"lines": {GIANT}}}', "lines"),
]
OPENAI = '"provider": "openai", "currency": "USD"'
PRICES = [
    (r'{"provider": "\u0000", "unit": "pages", "amount": "1", "currency": "USD"}', "provider"),
    (f'{{{OPENAI}, "unit": "a b", "amount": "1"}}', "unit"),
    (f'{{{OPENAI}, "unit": "{GIANT}", "amount": "1"}}', "unit"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "{GIANT}"}}', "amount"),
    (f'{{{OPENAI}, "unit": "pages", "amount": {GIANT}}}', "amount"),
    (f'{{{OPENAI}, "unit": "pages", "amount": 0.1}}', "amount"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "1e400"}}', "amount"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "-1"}}', "amount"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "1", "product": "\\u0000"}}', "product"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "1", "tier": "a b"}}', "tier"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "1", "condition": "above_{GIANT}_tokens"}}', "condition"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "1", "from_at": "9999-12-31T23:59:59Z"}}', "from_at"),
    (f'{{{OPENAI}, "unit": "pages", "amount": "1", "to_at": "0001-01-01T00:00:00Z"}}', "to_at"),
    ('{"provider": "a", "unit": "pages", "amount": "1", "currency": "UDS"}', "currency"),
]
METER_PRICES = [
    ('{"amount": "x", "currency": "USD"}', "amount"),
    (f'{{"amount": "{GIANT}", "currency": "USD"}}', "amount"),
    ('{"amount": "1", "currency": "$"}', "currency"),
    (r'{"amount": "1", "currency": "USD", "only": {"region": "\u0000"}}', "only.region"),
    (r'{"amount": "1", "currency": "USD", "only": {"\u0000": "x"}}', "only"),
    ('{"amount": "1", "currency": "USD", "from_at": "2026-03-02T09:00:01Z"}', "from_at"),
    ('{"amount": "1", "currency": "USD", "to_at": "9999-12-31T23:00:00Z"}', "to_at"),
]
# What a route is sent, and the field that the refusal must name. NUL stands as JSON spells it.
FIELDS: dict[tuple[str, str], list[tuple[str, str]]] = {
    ("POST", "/v1/checks"): [
        (r'{"name": "a\u0000"}', "name"),
        (f'{{"name": "x", "grace": {GIANT}}}', "grace"),
        (f'{{"name": "x", "grace": -{GIANT}}}', "grace"),
        (f'{{"name": "x", "schedule": {{"kind": "period", "period": {GIANT}}}}}', "schedule.period"),
        (r'{"name": "x", "schedule": {"kind": "cron", "expression": "* * * * *", "zone": "\u0000"}}', "schedule.zone"),
        (r'{"name": "x", "schedule": {"kind": "cron", "expression": "\u0000"}}', "schedule.expression"),
        (r'{"name": "x", "tags": ["a", "\u0000"]}', "tags[1]"),
        (r'{"name": "x", "channels": ["\u0000"]}', "channels[0]"),
        (f'{{"name": "x", "gates": [{{"metric": "a", "op": ">", "value": "{GIANT}"}}]}}', "gates[0].value"),
        (f'{{"name": "x", "gates": [{{"metric": "a", "op": ">", "value": {GIANT}}}]}}', "gates[0].value"),
        ('{"name": "x", "gates": [{"metric": "a", "op": ">", "value": "1e999999999"}]}', "gates[0].value"),
    ],
    ("PATCH", "/v1/checks/{check_id}"): [
        (r'{"description": "\u0000"}', "description"),
        (f'{{"max_run": {GIANT}}}', "max_run"),
        (f'{{"tolerance": {{"failures": {GIANT}}}}}', "tolerance.failures"),
        (f'{{"slo": {{"on_time": {GIANT}}}}}', "slo.on_time"),
        (r'{"slo": {"success": "\u0661\u0000"}}', "slo.success"),
        (f'{{"bounds": ["run >= {GIANT}m"]}}', "bounds[0]"),
        (r'{"bounds": ["\u0000"]}', "bounds[0]"),
        ('{"max_run": 1e999999999}', "max_run"),
    ],
    ("POST", "/v1/checks/{check_id}/copy"): [(r'{"slug": "\u0000"}', "slug"), (f'{{"grace": {GIANT}}}', "grace")],
    ("POST", "/v1/checks/{check_id}/backtest"): [
        (f'{{"grace": {GIANT}}}', "grace"),
        ('{"schedule": {"kind": "cron", "expression": "0 25 * * *"}}', "schedule.expression"),
        (f'{{"windows": [{{"cron": "0 2 * * *", "lasts": {GIANT}}}]}}', "windows[0].lasts"),
        (r'{"windows": [{"cron": "\u0000", "lasts": 60}]}', "windows[0].cron"),
        (r'{"windows": [{"cron": "0 2 * * *", "zone": "\u0000", "lasts": 60}]}', "windows[0].zone"),
        ('{"windows": [' + "{}," * 10 + "{}]}", "windows"),
    ],
    ("POST", "/v1/checks/{check_id}/rotate-ping-url"): [(f'{{"overlap": {GIANT}}}', "overlap")],
    ("POST", "/v1/checks/{check_id}/transfer"): [
        (r'{"key": "\u0000"}', "key"),
        (r'{"key": "\ud83d\ude00"}', "key"),
        (f'{{"key": {GIANT}}}', "key"),
        ('{"key": "' + "x" * 100_000 + '"}', "key"),
    ],
    ("POST", "/v1/incidents/{incident_id}/comments"): [(r'{"text": "\u0000"}', "text"), ('{"text": 1e400}', "text")],
    ("POST", "/v1/channels"): [
        (f'{{"kind": "webhook", "name": "\\u0000", "config": {HOOK}}}', "name"),
        (f'{{"kind": "\\u0000", "name": "x", "config": {HOOK}}}', "kind"),
        (f'{{"kind": "webhook", "name": "x", "config": {HOOK}, "events": ["\\u0000"]}}', "events[0]"),
        (f'{{"kind": "webhook", "name": "x", "config": {HOOK}, "checks": ["\\u0000"]}}', "checks[0]"),
        (r'{"kind": "webhook", "name": "x", "config": {"url": "https://hooks.example.com/\u0000"}}', "config.url"),
        (f'{{"kind": "webhook", "name": "x", "config": {{"url": {GIANT[:300]}}}}}', "config.url"),
        (r'{"kind": "email", "name": "x", "config": {"to": "a\u0000@example.com"}}', "config.to"),
    ],
    ("POST", "/v1/views"): [
        (r'{"name": "\u0000", "q": "x"}', "name"),
        (r'{"name": "x", "q": "\u0000"}', "q"),
        (r'{"name": "x", "tag": "\u0000"}', "tag"),
        (r'{"name": "x", "status": "\u0000"}', "status"),
        (f'{{"name": {GIANT}, "q": "x"}}', "name"),
    ],
    ("POST", "/v1/incidents/{incident_id}/shares"): [
        (f'{{"lasts": {GIANT}}}', "lasts"),
        ('{"lasts": 299}', "lasts"),
        ('{"with_comments": 1}', "with_comments"),
    ],
    ("POST", "/v1/usage/customers/{customer_id}/report/shares"): [
        (f'{{"lasts": {GIANT}}}', "lasts"),
        ('{"lasts": 299}', "lasts"),
        (r'{"from": "\u0000"}', "from"),
        (f'{{"month": "{GIANT}"}}', "month"),
    ],
    ("POST", "/v1/usage/customers/{customer_id}/report/mails"): [
        (r'{"addresses": ["a@example.com", "a\u0000@example.com"]}', "addresses[1]"),
        ('{"addresses": []}', "addresses"),
        (r'{"addresses": ["a@example.com\r\nBcc: b@example.com"]}', "addresses[0]"),
        ('{"addresses": ["a@example.com"], "rhythm": "never"}', "rhythm"),
    ],
    ("PATCH", "/v1/channels/{channel_id}"): [(r'{"name": "\u0000"}', "name"), ('{"checks": [1e400]}', "checks[0]")],
    ("POST", "/v1/channels/{channel_id}/rotate-secret"): [(f'{{"overlap": {GIANT}}}', "overlap")],
    ("POST", "/v1/deliveries/retry"): [
        (r'{"since": "2026-03-02T00:00:00Z\u0000"}', "since"),
        (f'{{"since": {GIANT}}}', "since"),
        (f'{{"since": "2026-03-02T00:00:00Z", "limit": {GIANT}}}', "limit"),
        (r'{"since": "2026-03-02T00:00:00Z", "channel": "\u0000"}', "channel"),
    ],
    ("POST", "/v1/keys"): [
        (r'{"name": "\u0000", "scopes": ["read"]}', "name"),
        (r'{"name": "x", "scopes": ["\u0000"]}', "scopes[0]"),
        (f'{{"name": "x", "scopes": ["read"], "expires_at": {GIANT}}}', "expires_at"),
    ],
    ("PATCH", "/v1/keys/{key_id}"): [(r'{"name": "\u0000"}', "name"), ('{"expires_at": 1e400}', "expires_at")],
    ("POST", "/v1/keys/{key_id}/rotate"): [(f'{{"overlap": {GIANT}}}', "overlap")],
    ("POST", "/v1/projects"): [
        (r'{"slug": "\u0000"}', "slug"),
        (r'{"slug": "a", "name": "\u0000"}', "name"),
        (r'{"slug": "a", "zone": "\u0000"}', "zone"),
        (f'{{"slug": {GIANT}}}', "slug"),
    ],
    ("POST", "/v1/members"): [
        (r'{"email": "a\u0000@example.com", "role": "viewer"}', "email"),
        (r'{"email": "a@example.com", "role": "\u0000"}', "role"),
        (f'{{"email": {GIANT}, "role": "viewer"}}', "email"),
    ],
    ("POST", "/v1/invites"): [
        (r'{"email": "a\u0000@example.com", "role": "viewer"}', "email"),
        (r'{"email": "a@example.com", "role": "\u0000"}', "role"),
        (f'{{"email": {GIANT}, "role": "viewer"}}', "email"),
    ],
    ("PATCH", "/v1/members/{user_id}"): [(r'{"role": "\u0000"}', "role"), ('{"role": 1e400}', "role")],
    ("PATCH", "/v1/project"): [(r'{"name": "\u0000"}', "name"), (r'{"zone": "\u0000"}', "zone")],
    ("POST", "/v1/status-pages"): [
        (r'{"slug": "a", "title": "\u0000"}', "title"),
        (r'{"slug": "\u0000", "title": "a"}', "slug"),
        (f'{{"slug": "a", "title": {GIANT}}}', "title"),
    ],
    ("PATCH", "/v1/status-pages/{page_id}"): [(r'{"title": "\u0000"}', "title"), (f'{{"title": {GIANT}}}', "title")],
    ("POST", "/v1/usage/sources/retire"): [
        (r'{"name": "\u0000"}', "name"),
        ('{"name": " app"}', "name"),
        (f'{{"name": {GIANT}}}', "name"),
    ],
    ("POST", "/v1/alert-rules"): [
        (r'{"name": "\u0000", "conditions": [' + CONDITION + "]}", "name"),
        (f'{{"name": {GIANT}, "conditions": [{CONDITION}]}}', "name"),
        ('{"name": "x", "conditions": []}', "conditions"),
        ('{"name": "x", "conditions": [{"of": "calls"}]}', "conditions[0].metric"),
        ('{"name": "x", "by": ["planet"], "conditions": [' + CONDITION + "]}", "by"),
        ('{"name": "x", "for": 1e400, "conditions": [' + CONDITION + "]}", "for"),
        ('{"name": "x", "channels": ["nobody"], "conditions": [' + CONDITION + "]}", "channels[0]"),
    ],
    ("POST", "/v1/alert-rules/backtest"): [
        ('{"conditions": [{"of": "calls", "metric": "x", "window": 60}]}', "conditions[0].metric")
    ],
    ("PATCH", "/v1/alert-rules/{rule_id}"): [(r'{"name": "\u0000"}', "name"), ('{"severity": "worst"}', "severity")],
    ("POST", "/v1/alert-rules/alerts/{alert_id}/resolve"): [(r'{"note": "\u0000"}', "note")],
    ("POST", "/v1/budgets"): [
        ('{"name": 5}', "name"),
        ('{"name": "x", "amount": 5}', "amount"),
        ('{"name": "x", "thresholds": ["50"]}', "thresholds[0]"),
        ('{"name": "x", "thresholds": [5e400]}', "thresholds[0]"),
        ('{"name": "x", "scope": []}', "scope"),
        ('{"name": "x", "scope": {"provider": "openai"}}', "scope[...]"),
        ('{"name": "x", "allocations": [{"by": "provider"}]}', "allocations[0].name"),
        ('{"name": "\\u0000", "currency": "USD", "amount": "5"}', "name"),
        ('{"name": "x", "currency": "USD", "amount": "5", "scope": {"provider": ["\\u0000"]}}', "scope.provider[0]"),
    ],
    ("PATCH", "/v1/budgets/{budget_id}"): [('{"low_days": true}', "low_days"), ('{"amount": "-1"}', "amount")],
    ("PATCH", "/v1/silences/{silence_id}"): [
        ('{"cron": null, "to": null}', "to"),
        ('{"lasts": -1}', "to"),
        (f'{{"lasts": {GIANT}}}', "lasts"),
        ('{"scope": "channel"}', "scope"),
        ('{"scope": "check"}', "targets"),
        (r'{"scope": "tag", "targets": ["\u0000"]}', "targets[0]"),
        (r'{"note": "\u0000"}', "note"),
        (r'{"cron": "\u0000", "lasts": 60}', "cron"),
        ('{"below": "high"}', "below"),
        ('{"kind": "mute"}', "kind"),
        ('{"from": "9999-12-31T23:59:59Z", "to": null, "lasts": 3600}', "from"),
    ],
    ("POST", "/v1/silences"): [
        ('{"kind": "mute", "scope": "project"}', "to"),
        ('{"kind": "mute", "scope": "tag", "lasts": 60}', "scope"),
        ('{"kind": "mute", "scope": "project", "lasts": -1}', "to"),
        (f'{{"kind": "mute", "scope": "project", "lasts": {GIANT}}}', "lasts"),
        ('{"kind": "mute", "scope": "project", "lasts": 60, "effect": "ignore"}', "effect"),
        ('{"kind": "mute", "scope": "project", "lasts": 60, "below": "high"}', "below"),
        ('{"kind": "mute", "scope": "project", "to": "9999-12-31T23:59:59Z"}', "to"),
        ('{"kind": "mute", "scope": "project", "from": "9999-12-31T23:59:59Z", "lasts": 60}', "from"),
        (r'{"kind": "quiet", "scope": "project", "from": "9999-12-31T23:59:59Z", "cron": "0 2 * * *"}', "from"),
        ('{"kind": "mute", "scope": "project", "from": "0001-01-01T00:00:00Z", "to": "2026-03-02T23:00:00Z"}', "from"),
        ('{"kind": "mute", "scope": "project", "targets": ["x"], "lasts": 60}', "targets"),
        (r'{"kind": "mute", "scope": "channel", "targets": ["\u0000"], "lasts": 60}', "targets[0]"),
        (r'{"kind": "maintenance", "scope": "tag", "targets": ["\u0000"], "lasts": 60}', "targets[0]"),
        (r'{"kind": "maintenance", "scope": "project", "note": "\u0000", "lasts": 60}', "note"),
        ('{"kind": "maintenance", "scope": "check", "lasts": 60}', "targets"),
        (r'{"kind": "maintenance", "scope": "project", "cron": "\u0000", "lasts": 60}', "cron"),
        ('{"kind": "maintenance", "scope": "project", "cron": "0 2 30 2 *", "lasts": 60}', "cron"),
        ('{"kind": "maintenance", "scope": "project", "cron": "0 2 * * *"}', "lasts"),
        ('{"kind": "maintenance", "scope": "project", "cron": "* * * * *", "lasts": 60}', "cron"),
        ('{"kind": "maintenance", "scope": "project", "cron": "0 2 * * *", "lasts": 60, "zone": "Mars"}', "zone"),
        ('{"kind": "quiet", "scope": "project", "lasts": 60}', "cron"),
    ],
    ("POST", "/v1/checks/{check_id}/snooze"): [
        ("{}", "lasts"),
        ('{"lasts": 60, "next_run": true}', "lasts"),
        (f'{{"lasts": {GIANT}}}', "lasts"),
        ('{"lasts": 0}', "lasts"),
        ('{"until": "9999-12-31T23:59:59Z"}', "until"),
        (r'{"lasts": 60, "note": "\u0000"}', "note"),
    ],
    ("PATCH", "/v1/checks/{check_id}/owners"): [
        ("{}", "fields"),
        ('{"fields": {"grace": "nobody"}}', "fields.grace"),
        ('{"fields": {"grace": 1}}', "fields[...]"),
        (r'{"fields": {"\u0000": "client"}}', "fields.\x00"),
    ],
    ("POST", "/v1/channels/{channel_id}/preview"): [
        (r'{"title": "\u0000"}', "policy.title"),
        (f'{{"text": "{GIANT}"}}', "policy.text"),
    ],
    ("POST", "/v1/usage/watches"): [
        (r'{"kind": "\u0000"}', "kind"),
        (r'{"kind": "source", "what": "\u0000"}', "what"),
        (f'{{"kind": "source", "what": {GIANT}}}', "what"),
        (r'{"kind": "endpoint", "what": "\u0000"}', "what"),
        ('{"kind": "source", "factor": 1e400}', "factor"),
        ('{"kind": "source", "least": 99999999999999999999}', "least"),
    ],
    ("POST", "/v1/limits"): [
        (f'{{"kind": "rolling", "amount": {GIANT}, "period_s": 60}}', "amount"),
        (f'{{"kind": "rolling", "amount": 1, "period_s": {GIANT}}}', "period_s"),
        (r'{"kind": "rolling", "amount": "\u0000", "period_s": 60}', "amount"),
        (r'{"kind": "\u0000", "amount": 1}', "kind"),
        (r'{"kind": "rolling", "amount": 1, "period_s": 60, "name": "\u0000"}', "name"),
        (r'{"kind": "rolling", "amount": 1, "period_s": 60, "unit": "\u0000"}', "unit"),
        (r'{"kind": "rolling", "amount": 1, "period_s": 60, "scope": {"user": "\u0000"}}', "scope.user"),
        (r'{"kind": "calendar", "amount": 1, "window": "\u0000"}', "window"),
        (r'{"kind": "calendar", "amount": 1, "window": "day", "zone": "\u0000"}', "zone"),
        ('{"kind": "between", "amount": 1, "from_at": "0001-01-01T00:00:00Z"}', "from_at"),
        ('{"policy": "' + "9" * 100_000 + '"}', "policy"),
    ],
    ("PATCH", "/v1/limits/{limit_id}"): [
        (f'{{"amount": {GIANT}}}', "amount"),
        (r'{"name": "\u0000"}', "name"),
        ('{"approaching": -1}', "approaching"),
    ],
    ("POST", "/v1/limits/simulate"): [
        (r'{"kind": "\u0000", "amount": 1}', "kind"),
        (r'{"kind": "calendar", "amount": 1, "window": "day", "zone": "\u0000"}', "zone"),
        ('{"kind": "calendar", "amount": 1, "window": "day", "zone": "../../etc/localtime"}', "zone"),
    ],
    ("POST", "/v1/limits/check"): [
        (f'{{"units": {{"requests": {GIANT}}}}}', "units[...]"),
        (f'{{"ttl": {GIANT}}}', "ttl"),
        ('{"ttl": 1e-400}', "ttl"),
        (r'{"scope": {"user": "\u0000"}}', "scope.user"),
        (r'{"scope": {"tags": ["\u0000"]}}', "scope.tags"),
        (r'{"cost": {"\u0000": "x"}}', "cost.\x00"),
    ],
    ("POST", "/v1/limits/reservations/{reservation}/commit"): [(f'{{"units": {{"a": {GIANT}}}}}', "units[...]")],
    ("PATCH", "/v1/usage/watches/{watch_id}"): [('{"factor": true}', "factor"), ('{"gap_s": -1}', "gap_s")],
    ("POST", "/v1/usage/runs"): [
        ('{"day": "yesterday"}', "day"),
        ('{"day": "9999-12-31"}', "day"),
        ('{"day": "0001-01-01"}', "day"),
        ('{"day": "2026-03-01", "dry_run": 1}', "dry_run"),
    ],
    ("POST", "/v1/usage/archives/{day}/restore"): [
        (f'{{"after": {GIANT}}}', "after"),
        ('{"after": -1}', "after"),
        ('{"after": "0"}', "after"),
    ],
    ("PATCH", "/v1/usage/path-rules"): PATHS,
    ("POST", "/v1/prices"): PRICES,
    ("POST", "/v1/prices/preview"): [
        ('{"create": {"provider": "a", "unit": "pages", "amount": "x", "currency": "USD"}}', "amount"),
        ("{}", "create"),
        (r'{"price_id": "1", "edit": {"amount": "\u0000"}}', "amount"),
        (f'{{"price_id": "1", "edit": {{"currency": "{GIANT}"}}}}', "currency"),
    ],
    ("PATCH", "/v1/prices/{price_id}"): [
        (f'{{"amount": "{GIANT}"}}', "amount"),
        ('{"amount": "1"}', "from_at"),
        ("{}", "amount"),
        ('{"currency": "XXX"}', "currency"),
        ('{"amount": "1", "from_at": "9999-12-31T23:59:59Z"}', "from_at"),
        ('{"to_at": "9999-12-31T23:59:59Z"}', "to_at"),
        ('{"amount": "1", "to_at": null}', "to_at"),
    ],
    ("POST", "/v1/meters/{meter_id}/prices"): METER_PRICES,
    ("PATCH", "/v1/meters/{meter_id}/prices/{meter_price_id}"): [
        ("{}", "to_at"),
        ('{"to_at": "2026-03-02T09:30:00Z"}', "to_at"),
        ('{"to_at": "9999-12-31T23:00:00Z"}', "to_at"),
    ],
    ("POST", "/v1/usage/path-rules/preview"): PATHS,
    ("POST", "/v1/customers"): [
        (r'{"name": "\u0000"}', "name"),
        (r'{"name": "x", "aliases": ["a", "\u0000"]}', "aliases[1]"),
        (r'{"name": "x", "aliases": ["\u0007"]}', "aliases[0]"),
        (f'{{"name": {GIANT}}}', "name"),
    ],
    ("PATCH", "/v1/customers/{customer_id}"): [
        (r'{"name": "\u0000"}', "name"),
        (r'{"add_aliases": ["\u0000"]}', "add_aliases[0]"),
        ('{"aliases": ["a"], "add_aliases": ["b"]}', "aliases"),
        ('{"remove_aliases": ["b"]}', "remove_aliases"),
    ],
    ("POST", "/v1/dead-letters/replay"): [
        (r'{"q": "\u0000"}', "q"),
        (r'{"field": "\u0000"}', "field"),
        (r'{"cursor": "\u0000"}', "cursor"),
        (f'{{"limit": {GIANT}}}', "limit"),
        ('{"limit": 0}', "limit"),
    ],
    ("POST", "/v1/dead-letters/{letter_id}/replay"): [
        ('{"event": 1}', "event"),
        (r'{"event": {"transaction_id": "\u0000"}}', "event.transaction_id"),
    ],
    ("POST", "/v1/events/columns"): [
        (f'{{"transaction_id": {GIANT}, {IN_COMMON}}}', "transaction_id"),
        (
            f'{{"transaction_id": ["t"], {IN_COMMON}, "properties": {{"a": {{"values": [1], "places": [{GIANT}]}}}}}}',
            "properties.a",
        ),
        (f'{{"transaction_id": ["t"], {IN_COMMON}, "properties": {{"a": [1, {GIANT}]}}}}', "properties.a"),
        (
            f'{{"transaction_id": ["t"], {IN_COMMON}, "alike": [{{"values": [{{}}], "places": [-{GIANT}]}}]}}',
            "alike[0]",
        ),
        (
            f'{{"transaction_id": ["t"], {IN_COMMON}, "alike": [{{"values": [{GIANT}], "places": [0]}}]}}',
            "alike[0].values",
        ),
        ('{"transaction_id": [' + ", ".join(['"t"'] * 5_001) + f"], {IN_COMMON}}}", "transaction_id"),
    ],
    ("POST", "/v1/events/void"): [
        (r'{"transaction_id": "t-1", "reason": "\u0000"}', "reason"),
        ('{"transaction_id": "t-1", "reason": " "}', "reason"),
        (f'{{"transaction_id": {GIANT}, "reason": "x"}}', "transaction_id"),
    ],
    ("POST", "/v1/events/amend"): [
        (r'{"transaction_id": "t-1", "reason": "x", "customer_id": "\u0000"}', "customer_id"),
        (r'{"transaction_id": "t-1", "reason": "x", "properties": {"a": "\u0000"}}', "properties.a"),
        (f'{{"transaction_id": "t-1", "reason": "x", "timestamp": {GIANT}}}', "timestamp"),
        ('{"transaction_id": "t-1", "reason": "x", "timestamp": "0001-01-01T00:00:00Z"}', "timestamp"),
        ('{"transaction_id": "t-1", "reason": "x", "properties": []}', "properties"),
    ],
    ("POST", "/v1/events/undo"): [(f'{{"transaction_id": {GIANT}}}', "transaction_id")],
    ("POST", "/v1/backfills"): [
        (f'{{"name": "\\u0000", {WINDOW}}}', "name"),
        (f'{{"name": "x", "customers": ["a", "\\u0000"], {WINDOW}}}', "customers[1]"),
        (f'{{"name": "x", "event_types": ["\\u0000"], {WINDOW}}}', "event_types[0]"),
        ('{"name": "x", "replaces": true, "to": "2026-03-02T10:00:00Z", "from": "0001-01-01T00:00:00Z"}', "from"),
        ('{"name": "x", "replaces": true, "from": "2026-03-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}', "to"),
        (f'{{"name": "x", "replaces": 1, "from": "2026-03-01T00:00:00Z", "to": {GIANT}}}', "replaces"),
    ],
    ("POST", "/v1/import/healthchecks"): [
        (r'{"ping_key": "\u0000"}', "ping_key"),
        (r'{"api_key": "\u0000"}', "api_key"),
        (f'{{"read_key": "{GIANT}"}}', "read_key"),
        ('{"checks": [' + ", ".join(["{}"] * 101) + "]}", "checks"),
        (f'{{"update": {GIANT}}}', "update"),
    ],
    ("POST", "/v1/project/rotate-ping-key"): [(f'{{"overlap": {GIANT}}}', "overlap")],
    ("POST", "/v1/meters"): [
        (f'{{"slug": "\\u0000", {COUNT}}}', "slug"),
        (f'{{"slug": "x", "name": "\\u0000", {COUNT}}}', "name"),
        (f'{{"slug": "x", "from_at": {GIANT}, {COUNT}}}', "from_at"),
        ('{"slug": "x", "event_types": ["\\u0000"], "aggregation": "count"}', "event_types[0]"),
        (f'{{"slug": "x", "group_keys": ["\\u0000"], {COUNT}}}', "group_keys[0]"),
        (f'{{"slug": "x", "filters": [{{"property": "\\u0000"}}], {COUNT}}}', "filters[0].property"),
        (f'{{"slug": "x", "filters": [{{"property": "a", "any_of": ["\\u0000"]}}], {COUNT}}}', "filters[0].any_of"),
        (f'{{"slug": "x", "event_types": ["a"], "aggregation": "sum", "value": "{"(" * 400}"}}', "value"),
    ],
    ("PATCH", "/v1/meters/{meter_id}"): [(r'{"name": "\u0000"}', "name"), (r'{"unit": "\u0000"}', "unit")],
    ("POST", "/v1/meters/{meter_id}/versions"): [
        ('{"event_types": ["\\u0000"], "aggregation": "count"}', "event_types[0]"),
        (
            f'{{"event_types": ["a"], "aggregation": "percentile", "value": "b", "percentile": {GIANT}}}',
            "percentile",
        ),
    ],
    ("POST", "/v1/meters/preview"): [
        ('{"event_types": ["\\u0000"], "aggregation": "count"}', "event_types[0]"),
        (f'{{"zone": "\\u0000", {COUNT}}}', "zone"),
        (f'{{"from": "1999-01-01T00:00:00Z", {COUNT}}}', "to"),
        (f'{{"to": "0001-01-01T00:00:00Z", {COUNT}}}', "to"),
    ],
}
"""Every route that takes a body has its row."""
TOLD_ONE_BY_ONE = {("POST", "/v1/events"), ("POST", "/v1/backfills/{backfill_id}/events")}
"""Of these a body is refused as a whole only if it is none: see test_events_door.py."""
EVERYWHERE = {name: body for name, (body, status) in BODIES.items() if status in {400, 413} and body.strip()}


def taking_bodies(document: Any) -> Iterator[tuple[str, str]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "requestBody" in operation:
                yield method.upper(), path


async def test_every_route_that_takes_a_body_has_its_row(api: NativeApi, house: House) -> None:
    document = (await house.nobody("GET", "/v1/openapi.json")).json

    assert set(taking_bodies(document)) == set(FIELDS) | TOLD_ONE_BY_ONE


async def refusals(
    house: House, clock: SimClock, asked: Iterator[tuple[str, str, str, bytes]]
) -> AsyncIterator[tuple[str, Reply]]:
    """One house for all of it: what is refused leaves it as it was. Each with words that tell it from others."""
    ids = await furnished(house)
    for method, path, what, body in asked:
        clock.move_to(clock.now() + timedelta(seconds=1))  # so that no key asks too often
        reply = await house.full(method, filled(path, ids), body=body)
        yield f"{method} {path}, {what[:100]}: {reply.status} {reply.body[:300]!r}", reply


# It is refused before any database is asked for more than the key, so one kind of database says it all.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_no_json_or_too_deep_is_refused_on_every_route(house: House, clock: SimClock) -> None:
    asked = ((*route, name, body) for route in FIELDS for name, body in EVERYWHERE.items())
    # 422 where a field is found wrong before the end of what is no JSON.
    statuses = [{BODIES[name][1], 422} for _ in FIELDS for name in EVERYWHERE]
    told = [one async for one in refusals(house, clock, asked)]

    right = [is_problem(reply) and reply.status in fine for (_, reply), fine in zip(told, statuses, strict=True)]
    assert [] == [said for (said, _), is_right in zip(told, right, strict=True) if not is_right]


async def test_nul_and_giant_numbers_are_refused_with_the_field_named(house: House, clock: SimClock) -> None:
    asked = ((*route, body, body.encode()) for route, sent in FIELDS.items() for body, _ in sent)
    fields = [field for sent in FIELDS.values() for _, field in sent]
    told = [one async for one in refusals(house, clock, asked)]

    wrong = [
        said
        for (said, reply), field in zip(told, fields, strict=True)
        if not is_problem(reply)
        or reply.status != 422
        or [field] != reply.fields
        or len(reply.body) >= 2_000  # what is too long is not said back
        or not json.loads(reply.body)["detail"].startswith(field)
    ]
    assert [] == wrong


async def test_an_unknown_field_is_refused_by_its_name(house: House, clock: SimClock) -> None:
    asked = ((*route, "an unknown field", b'{"unknown": 1}') for route in FIELDS)

    async for said, reply in refusals(house, clock, asked):
        assert (True, 422) == (is_problem(reply), reply.status), said
        assert reply.fields == ["unknown"] or reply.json["detail"].endswith("is required"), said
