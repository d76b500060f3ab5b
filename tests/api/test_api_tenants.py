"""Every route of the native API, asked by everybody: whose it is, who may read, who may write, and who may not.

The routes come from the application itself. One that is missing in the table below fails the test.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from litestar.routes import HTTPRoute

from heartfly.accounts.commands import create_user
from heartfly.accounts.keys import Scope, make_key
from heartfly.api.native import NativeApi
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.models import (
    addresses,
    alert_rules,
    alerts,
    api_keys,
    attempts,
    budget_allocations,
    budget_channels,
    budget_marks,
    budget_periods,
    budgets,
    channels,
    check_channels,
    check_views,
    checks,
    deliveries,
    incident_notes,
    incident_shares,
    incidents,
    invites,
    job_runs,
    jobs,
    members,
    notifications,
    projects,
    report_mails,
    report_shares,
    rule_alerts,
    silences,
    status_pages,
    watches,
)
from heartfly.errors import ConflictError
from tests.api.conftest import START
from tests.api.door import Door, House, Reply
from tests.api.failed import given_up
from tests.api.fired import RULE, an_alert
from tests.sim_clock import SimClock
from tests.world import TEST

pytestmark = pytest.mark.anyio

HOOK = {"kind": "webhook", "config": {"url": "https://hooks.example.com/x"}}
EVENT = {
    "transaction_id": "t-1",
    "customer_id": "acme",
    "timestamp": "2026-03-02T09:00:00Z",
    "event_type": "api.request",
}
BACKFILL = {"name": "again", "from": "2026-03-01T00:00:00Z", "to": "2026-03-02T12:00:00Z", "replaces": True}
BUDGET = {"name": "Models", "currency": "USD", "amount": "100"}
MAILING = {"addresses": ["ops@example.com"]}
METER = {"event_types": ["api.request"], "aggregation": "sum", "value": "size", "group_keys": ["region"]}
LIMIT = {"kind": "rolling", "period_s": 3600, "amount": 2, "scope": {"customer": "each"}}
CHECK = {"scope": {"provider": "openai", "customer": "acme"}}
PATH_RULES = "/v1/usage/path-rules"
PRICE = {"provider": "openai", "product": "gpt", "unit": "pages", "amount": "0.5", "currency": "USD"}
METER_PRICE = {"amount": "0.01", "currency": "EUR"}
MISSING = "3f0f8f9e-6a1c-4a55-8d4c-111111111111"

# Route: what is sent, and what the owner hears. What holds for a thing is asked for with another's, and with none.
ROUTES: dict[tuple[str, str], tuple[Any, int]] = {
    ("GET", "/v1/checks"): (None, 200),
    ("POST", "/v1/checks"): ({"name": "new"}, 201),
    ("GET", "/v1/checks/{check_id}"): (None, 200),
    ("PATCH", "/v1/checks/{check_id}"): ({"name": "changed"}, 200),
    ("POST", "/v1/checks/{check_id}/snooze"): ({"lasts": 3600}, 201),
    ("GET", "/v1/checks/{check_id}/owners"): (None, 200),
    ("PATCH", "/v1/checks/{check_id}/owners"): ({"fields": {"grace": "client"}}, 200),
    ("POST", "/v1/checks/{check_id}/pause"): (None, 200),
    ("POST", "/v1/checks/{check_id}/resume"): (None, 200),  # the row above paused it
    ("POST", "/v1/checks/{check_id}/copy"): (None, 201),
    ("POST", "/v1/checks/{check_id}/rotate-ping-url"): (None, 200),
    ("GET", "/v1/checks/{check_id}/next"): (None, 200),
    ("GET", "/v1/checks/{check_id}/explain"): (None, 200),
    ("POST", "/v1/checks/{check_id}/backtest"): ({"grace": 60}, 200),
    ("GET", "/v1/checks/{check_id}/suggestions"): (None, 200),
    ("GET", "/v1/checks/{check_id}/service-level"): (None, 200),
    ("GET", "/v1/service-levels"): (None, 200),
    ("GET", "/v1/checks/{check_id}/pings"): (None, 200),
    ("GET", "/v1/checks/{check_id}/pings/{n}/body"): (None, 200),
    ("GET", "/v1/checks/{check_id}/pings/{n}/diff"): (None, 200),
    ("GET", "/v1/checks/{check_id}/flips"): (None, 200),
    ("GET", "/v1/checks/{check_id}/runs"): (None, 200),
    ("GET", "/v1/checks/{check_id}/coverage"): (None, 200),
    ("GET", "/v1/checks/{check_id}/days"): (None, 200),
    ("GET", "/v1/incidents"): (None, 200),
    ("GET", "/v1/incidents/{incident_id}"): (None, 200),
    ("POST", "/v1/incidents/{incident_id}/acknowledge"): (None, 200),
    ("POST", "/v1/incidents/{incident_id}/comments"): ({"text": "I look at it"}, 201),
    ("GET", "/v1/incidents/{incident_id}/shares"): (None, 200),
    ("POST", "/v1/incidents/{incident_id}/shares"): ({}, 201),
    ("DELETE", "/v1/incidents/{incident_id}/shares/{share_id}"): (None, 204),
    ("POST", "/v1/checks/{check_id}/transfer"): ({"key": "of no project"}, 422),  # with one: test_api_transfer.py
    ("DELETE", "/v1/checks/{check_id}"): (None, 204),
    ("GET", "/v1/channels"): (None, 200),
    ("POST", "/v1/channels"): (HOOK | {"name": "new"}, 201),
    ("GET", "/v1/channels/{channel_id}"): (None, 200),
    ("POST", "/v1/channels/{channel_id}/preview"): ({"title": "$NAME"}, 200),
    ("PATCH", "/v1/channels/{channel_id}"): ({"name": "changed"}, 200),
    ("POST", "/v1/channels/{channel_id}/test"): (None, 202),
    ("POST", "/v1/channels/{channel_id}/rotate-secret"): (None, 200),
    ("GET", "/v1/notifications"): (None, 200),
    ("GET", "/v1/notifications/{notification_id}"): (None, 200),
    ("GET", "/v1/deliveries/{delivery_id}"): (None, 200),
    ("GET", "/v1/deliveries/{delivery_id}/attempts"): (None, 200),
    ("POST", "/v1/deliveries/{delivery_id}/resend"): (None, 202),
    ("POST", "/v1/deliveries/retry"): ({"since": "2026-01-01T00:00:00Z"}, 202),
    ("DELETE", "/v1/channels/{channel_id}"): (None, 204),
    ("GET", "/v1/keys"): (None, 200),
    ("POST", "/v1/keys"): ({"name": "new", "scopes": ["read"]}, 201),
    ("GET", "/v1/keys/{key_id}"): (None, 200),
    ("PATCH", "/v1/keys/{key_id}"): ({"name": "changed"}, 200),
    ("POST", "/v1/keys/{key_id}/rotate"): (None, 200),
    ("DELETE", "/v1/keys/{key_id}"): (None, 204),
    ("GET", "/v1/project"): (None, 200),
    ("PATCH", "/v1/project"): ({"name": "changed"}, 200),
    ("POST", "/v1/project/rotate-ping-key"): (None, 200),
    ("GET", "/v1/project/export"): (None, 200),
    ("DELETE", "/v1/project"): (None, 422),  # without its slug; with it: test_api_project_end.py
    ("GET", "/v1/projects"): (None, 200),
    ("POST", "/v1/projects"): ({"slug": "another"}, 201),
    ("GET", "/v1/members"): (None, 200),
    ("POST", "/v1/members"): ({"email": "grace@example.com", "role": "viewer"}, 201),
    ("GET", "/v1/members/{user_id}"): (None, 200),
    ("PATCH", "/v1/members/{user_id}"): ({"role": "admin"}, 200),
    ("DELETE", "/v1/members/{user_id}"): (None, 204),
    ("GET", "/v1/invites"): (None, 200),
    ("POST", "/v1/invites"): ({"email": "joan@example.com", "role": "viewer"}, 201),
    ("GET", "/v1/invites/{invite_id}"): (None, 200),
    ("POST", "/v1/invites/{invite_id}/resend"): (None, 200),
    ("DELETE", "/v1/invites/{invite_id}"): (None, 204),
    ("GET", "/v1/audit"): (None, 200),
    ("GET", "/v1/views"): (None, 200),
    ("POST", "/v1/views"): ({"name": "new", "q": "tag:etl"}, 201),
    ("DELETE", "/v1/views/{view_id}"): (None, 204),
    ("GET", "/v1/badges"): (None, 200),
    ("POST", "/v1/badges/key"): (None, 200),
    ("DELETE", "/v1/badges/key"): (None, 204),
    ("GET", "/v1/status-pages"): (None, 200),
    ("POST", "/v1/status-pages"): ({"slug": "new", "title": "New"}, 201),
    ("GET", "/v1/status-pages/{page_id}"): (None, 200),
    ("PATCH", "/v1/status-pages/{page_id}"): ({"title": "changed"}, 200),
    ("DELETE", "/v1/status-pages/{page_id}"): (None, 204),
    ("POST", "/v1/events"): ([EVENT], 200),
    ("POST", "/v1/events/columns"): (EVENT | {"transaction_id": ["t-1"]}, 200),
    ("GET", "/v1/meters"): (None, 200),
    ("POST", "/v1/meters"): (METER | {"slug": "new"}, 201),
    ("POST", "/v1/meters/preview"): (METER, 200),
    ("GET", "/v1/meters/{meter_id}"): (None, 200),
    ("PATCH", "/v1/meters/{meter_id}"): ({"name": "changed"}, 200),
    ("POST", "/v1/meters/{meter_id}/versions"): (METER, 201),
    ("POST", "/v1/meters/{meter_id}/archive"): (None, 200),
    ("POST", "/v1/meters/{meter_id}/unarchive"): (None, 200),
    ("GET", "/v1/meters/{meter_id}/query"): (None, 200),
    ("GET", "/v1/usage/days"): (None, 200),
    ("GET", "/v1/usage/traffic"): (None, 200),
    ("GET", "/v1/usage/traffic/series"): (None, 200),
    ("GET", "/v1/usage/traffic/endpoints"): (None, 200),
    ("GET", "/v1/usage/traffic/customers"): (None, 200),
    ("GET", "/v1/usage/traffic/methods"): (None, 200),
    ("GET", "/v1/usage/traffic/statuses"): (None, 200),
    ("GET", "/v1/usage/traffic/keys"): (None, 200),
    ("GET", "/v1/usage/traffic/heatmap"): (None, 200),
    ("GET", "/v1/usage/traffic/slow"): (None, 200),
    ("GET", "/v1/usage/traffic/requests"): (None, 200),
    ("GET", "/v1/usage/traffic/live"): (None, 200),
    ("GET", "/v1/usage/costs"): (None, 200),
    ("GET", "/v1/usage/costs/series"): (None, 200),
    ("GET", "/v1/usage/costs/forecast"): (None, 200),
    ("GET", "/v1/usage/costs/unpriced"): (None, 200),
    ("GET", "/v1/usage/calls/statistics"): (None, 200),
    ("GET", "/v1/usage/calls"): (None, 200),
    ("GET", "/v1/usage/archives"): (None, 200),
    ("POST", "/v1/usage/archives/{day}/verify"): (None, 404),  # of one that is archived: test_api_archives.py
    ("POST", "/v1/usage/archives/{day}/restore"): ({}, 404),
    ("POST", "/v1/usage/runs"): ({"day": "2026-03-01", "dry_run": False}, 200),
    ("GET", "/v1/usage/sources"): (None, 200),
    ("POST", "/v1/usage/sources/retire"): ({"name": "app-1"}, 200),
    ("GET", "/v1/silences"): (None, 200),
    ("POST", "/v1/silences"): ({"kind": "mute", "scope": "project", "lasts": 3600}, 201),
    ("GET", "/v1/silences/{silence_id}"): (None, 200),
    ("PATCH", "/v1/silences/{silence_id}"): ({"note": "longer"}, 200),
    ("POST", "/v1/silences/{silence_id}/end"): (None, 200),
    ("DELETE", "/v1/silences/{silence_id}"): (None, 409),  # the row above ended it
    ("GET", "/v1/usage/watches"): (None, 200),
    ("POST", "/v1/usage/watches"): ({"kind": "source"}, 201),
    ("GET", "/v1/usage/watches/{watch_id}"): (None, 200),
    ("PATCH", "/v1/usage/watches/{watch_id}"): ({"factor": 30}, 200),
    ("DELETE", "/v1/usage/watches/{watch_id}"): (None, 204),
    ("POST", "/v1/limits/check"): (CHECK, 200),
    ("POST", "/v1/limits/reservations/{reservation}/commit"): ({}, 200),
    ("POST", "/v1/limits/reservations/{reservation}/release"): (None, 409),  # the row above committed it
    ("GET", "/v1/limits"): (None, 200),
    ("POST", "/v1/limits"): (LIMIT | {"period_s": 60}, 201),
    ("GET", "/v1/limits/denials"): (None, 200),
    ("GET", "/v1/limits/providers"): (None, 200),
    ("POST", "/v1/limits/simulate"): (LIMIT, 200),
    ("GET", "/v1/limits/{limit_id}"): (None, 200),
    ("GET", "/v1/limits/{limit_id}/counters"): (None, 200),
    ("PATCH", "/v1/limits/{limit_id}"): ({"amount": 3}, 200),
    ("DELETE", "/v1/limits/{limit_id}"): (None, 204),
    ("GET", "/v1/alert-rules"): (None, 200),
    ("POST", "/v1/alert-rules"): (RULE, 201),
    ("POST", "/v1/alert-rules/defaults"): (None, 200),
    ("POST", "/v1/alert-rules/backtest"): ({"conditions": RULE["conditions"]}, 200),
    ("GET", "/v1/alert-rules/statistics"): (None, 200),
    ("GET", "/v1/alert-rules/alerts"): (None, 200),
    ("GET", "/v1/alert-rules/alerts/{alert_id}"): (None, 200),
    ("POST", "/v1/alert-rules/alerts/{alert_id}/ack"): (None, 200),
    ("POST", "/v1/alert-rules/alerts/{alert_id}/resolve"): ({"note": "ours"}, 200),
    ("GET", "/v1/alert-rules/{rule_id}"): (None, 200),
    ("PATCH", "/v1/alert-rules/{rule_id}"): ({"severity": "low"}, 200),
    ("GET", "/v1/alert-rules/{rule_id}/backtest"): (None, 200),
    ("GET", "/v1/alert-rules/{rule_id}/scopes"): (None, 200),
    ("DELETE", "/v1/alert-rules/{rule_id}"): (None, 204),
    ("GET", "/v1/budgets"): (None, 200),
    ("POST", "/v1/budgets"): (BUDGET | {"name": "new"}, 201),
    ("GET", "/v1/budgets/summary"): (None, 200),
    ("GET", "/v1/budgets/{budget_id}"): (None, 200),
    ("PATCH", "/v1/budgets/{budget_id}"): ({"amount": "200"}, 200),
    ("GET", "/v1/budgets/{budget_id}/status"): (None, 200),
    ("GET", "/v1/budgets/{budget_id}/history"): (None, 200),
    ("POST", "/v1/budgets/{budget_id}/pause"): (None, 200),
    ("POST", "/v1/budgets/{budget_id}/resume"): (None, 200),  # the row above paused it
    ("POST", "/v1/budgets/{budget_id}/cancel"): (None, 200),
    ("DELETE", "/v1/budgets/{budget_id}"): (None, 204),
    ("GET", "/v1/usage/path-rules"): (None, 200),
    ("PATCH", "/v1/usage/path-rules"): ({"lines": ["/users/{name}"]}, 200),
    ("POST", "/v1/usage/path-rules/preview"): ({"lines": ["sku-* {sku}"]}, 200),
    ("GET", "/v1/prices"): (None, 200),
    ("POST", "/v1/prices"): (PRICE | {"unit": "images"}, 201),
    ("POST", "/v1/prices/preview"): ({"create": PRICE | {"unit": "seconds"}}, 200),
    ("POST", "/v1/prices/imports"): (None, 422),  # without saying what it is; with it: test_api_prices.py
    ("GET", "/v1/prices/{price_id}"): (None, 200),
    ("PATCH", "/v1/prices/{price_id}"): ({"to_at": "2027-01-01T00:00:00Z"}, 200),
    ("DELETE", "/v1/prices/{price_id}"): (None, 204),
    ("GET", "/v1/meters/{meter_id}/prices"): (None, 200),
    ("POST", "/v1/meters/{meter_id}/prices"): (METER_PRICE | {"only": {"region": "us"}}, 201),
    ("PATCH", "/v1/meters/{meter_id}/prices/{meter_price_id}"): ({"to_at": "2027-01-01T00:00:00Z"}, 200),
    ("DELETE", "/v1/meters/{meter_id}/prices/{meter_price_id}"): (None, 204),
    ("GET", "/v1/usage/meter-costs"): (None, 200),
    ("GET", "/v1/events"): (None, 200),
    ("GET", "/v1/events/conflicts"): (None, 200),
    ("GET", "/v1/events/{transaction_id}"): (None, 200),
    ("GET", "/v1/events/corrections"): (None, 200),
    ("POST", "/v1/events/void"): ({"transaction_id": "t-1", "reason": "a test"}, 200),
    ("POST", "/v1/events/undo"): ({"transaction_id": "t-1"}, 200),
    ("POST", "/v1/events/amend"): ({"transaction_id": "t-1", "reason": "a test", "event_type": "other"}, 200),
    ("GET", "/v1/backfills"): (None, 200),
    ("POST", "/v1/backfills"): (BACKFILL, 201),
    ("GET", "/v1/backfills/{backfill_id}"): (None, 200),
    ("POST", "/v1/backfills/{backfill_id}/events"): ([EVENT | {"transaction_id": "t-9"}], 200),
    ("GET", "/v1/backfills/{backfill_id}/events"): (None, 200),
    ("GET", "/v1/backfills/{backfill_id}/preview"): (None, 200),
    ("POST", "/v1/backfills/{backfill_id}/close"): (None, 200),
    ("POST", "/v1/backfills/{backfill_id}/revert"): (None, 200),
    ("GET", "/v1/customers"): (None, 200),
    ("POST", "/v1/customers"): ({"name": "new"}, 201),
    ("GET", "/v1/customers/unknown"): (None, 200),
    ("GET", "/v1/customers/{customer_id}"): (None, 200),
    ("PATCH", "/v1/customers/{customer_id}"): ({"name": "changed"}, 200),
    ("DELETE", "/v1/customers/{customer_id}"): (None, 204),
    ("GET", "/v1/customers/{customer_id}/export"): (None, 200),
    ("POST", "/v1/customers/{customer_id}/erase"): (None, 422),  # without his id; with it: test_api_customers.py
    ("GET", "/v1/usage/customers/{customer_id}/report"): (None, 200),
    ("GET", "/v1/usage/customers/{customer_id}/report/shares"): (None, 200),
    ("POST", "/v1/usage/customers/{customer_id}/report/shares"): ({}, 201),
    ("DELETE", "/v1/usage/customers/{customer_id}/report/shares/{link_id}"): (None, 204),
    ("GET", "/v1/usage/customers/{customer_id}/report/mails"): (None, 200),
    ("POST", "/v1/usage/customers/{customer_id}/report/mails"): (MAILING, 201),
    ("DELETE", "/v1/usage/customers/{customer_id}/report/mails/{mail_id}"): (None, 204),
    ("GET", "/v1/dead-letters"): (None, 200),
    ("POST", "/v1/dead-letters/replay"): ({}, 200),
    ("GET", "/v1/dead-letters/{letter_id}"): (None, 200),
    ("POST", "/v1/dead-letters/{letter_id}/replay"): ({"event": EVENT | {"transaction_id": "t-2"}}, 200),
    ("POST", "/v1/dead-letters/{letter_id}/drop"): (None, 409),  # the row above has replayed it
    ("POST", "/v1/import/healthchecks"): ({"checks": [{"name": "x", "uuid": MISSING}]}, 200),
    ("GET", "/v1/jobs"): (None, 200),
    ("GET", "/v1/jobs/{job_id}/runs"): (None, 200),
    ("POST", "/v1/jobs/{job_id}/run"): (None, 202),
}
ADMIN = (
    "/v1/keys",
    "/v1/project",
    "/v1/projects",
    "/v1/members",
    "/v1/invites",
    "/v1/audit",
    "/v1/badges/key",
    "/v1/status-pages",
    "/v1/import",
)
"""What begins so needs the scope `admin`."""
FIGURES = (
    "/v1/alert-rules/statistics",
    "/v1/budgets/summary",
    "/v1/usage/traffic",
    "/v1/usage/costs",
    "/v1/usage/calls",
    "/v1/usage/path-rules",
    "/v1/usage/meter-costs",
)
"""What begins so is no list, or tells figures where there is none: that they are nobody else's, other tests hold."""
OUTBOX = (
    budget_allocations,
    budget_channels,
    budget_marks,
    budget_periods,
    budgets,
    check_views,
    incident_shares,
    report_mails,
    report_shares,
    status_pages,
    silences,
    watches,
    alert_rules,
    rule_alerts,
    members,
    invites,
    alerts,
    notifications,
    deliveries,
    attempts,
    addresses,
)
PUBLIC = {("GET", "/v1/openapi.json")}


FOREIGN = ("/metronome/", "/openmeter/", "/otlp/", "/segment/", "/stripe/", "/lago/", "/orb/")
"""Other people's wires: who may what there is tested in test_foreign_wires.py and test_billing_wires.py."""


def routes_of(api: NativeApi) -> set[tuple[str, str]]:
    return {
        (method, route.path_format)
        for route in api.framework.routes
        if isinstance(route, HTTPRoute) and not route.path_format.startswith(FOREIGN)
        for method in route.methods
        if method != "OPTIONS"
    }


async def furnished(house: House) -> dict[str, str]:
    """A check with a ping that said something, one that is down, and a channel; the ids that stand in paths."""
    world = house.world
    check, down = await world.check(START), await world.check(START)
    await world.ping(check, START, body=b"canary")
    await world.ping(down, START, PingKind.FAIL)
    (incident,) = (await house.read("GET", "/v1/incidents")).json["items"]
    link = await house.full("POST", f"/v1/incidents/{incident['id']}/shares", {})
    made = await house.full("POST", "/v1/channels", HOOK | {"name": "ops"})
    test = (await house.full("POST", f"/v1/channels/{made.json['id']}/test")).json["id"]
    await given_up(house, START)
    told = (await house.full("GET", f"/v1/notifications/{test}")).json
    job = str(uuid.uuid4())
    await world.db.write(lambda tx: tx.conn.execute(sa.insert(jobs).values(a_job(house, job))).rowcount)
    key = await house.full("POST", "/v1/keys", {"name": "furnished", "scopes": ["read"]})
    ada, _ = await people(house)
    member = await house.full("POST", "/v1/members", {"email": ada, "role": "member"})
    invite = await house.full("POST", "/v1/invites", {"email": "nobody@example.com", "role": "viewer"})
    slug = f"of-{house.world.project.slug}"
    shown = await house.full("POST", "/v1/status-pages", {"slug": slug, "title": "Ours"})
    meter = await house.full("POST", "/v1/meters", METER | {"slug": "traffic"})
    price = await house.full("POST", "/v1/prices", PRICE)
    of_meter = await house.full("POST", "/v1/meters/traffic/prices", METER_PRICE)
    await house.full("POST", "/v1/events", [EVENT, {}], headers=[("heartfly-source", "app-1")])
    customer = await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme"]})
    report = f"/v1/usage/customers/{customer.json['id']}/report"
    shared = await house.full("POST", f"{report}/shares", {})
    mailed = await house.full("POST", f"{report}/mails", MAILING)
    letters = await house.full("GET", "/v1/dead-letters")
    backfill = await house.full("POST", "/v1/backfills", BACKFILL)
    limit = await house.full("POST", "/v1/limits", LIMIT)
    held = await house.full("POST", "/v1/limits/check", CHECK)
    return {
        "{limit_id}": limit.json["id"],
        "{reservation}": held.json["reservation"],
        "{backfill_id}": backfill.json["id"],
        "{meter_id}": meter.json["id"],
        "{budget_id}": (await house.full("POST", "/v1/budgets", BUDGET)).json["id"],
        "{price_id}": price.json["id"],
        "{meter_price_id}": of_meter.json["id"],
        "{watch_id}": (await house.full("POST", "/v1/usage/watches", {"kind": "customer"})).json["id"],
        "{silence_id}": (
            await house.full("POST", "/v1/silences", {"kind": "maintenance", "scope": "project", "lasts": 3600})
        ).json["id"],
        **await an_alert(house),
        "{customer_id}": customer.json["id"],
        "{link_id}": shared.json["id"],
        "{mail_id}": mailed.json["id"],
        "{transaction_id}": EVENT["transaction_id"],
        "{letter_id}": letters.json["items"][0]["id"],
        "{page_id}": shown.json["id"],
        "{invite_id}": invite.json["id"],
        "{user_id}": member.json["id"],
        "{check_id}": check.uuid,
        "{incident_id}": incident["id"],
        "{share_id}": link.json["id"],
        "{view_id}": (await house.full("POST", "/v1/views", {"name": "ours", "q": "tag:etl"})).json["id"],
        "{channel_id}": made.json["id"],
        "{n}": "1",
        "{day}": "2026-03-01",
        "{key_id}": key.json["id"],
        "{notification_id}": test,
        "{delivery_id}": told["delivery"]["id"],
        "{job_id}": job,
    }


async def people(house: House) -> tuple[str, str]:
    """Two who may sign in: one of this project's own, and one for every project to add."""
    mine, common = f"{house.world.project.slug}@example.com", "grace@example.com"
    for email in (mine, common):

        def command(tx: Tx, email: str = email) -> None:
            with suppress(ConflictError):
                create_user(
                    tx, email=email, password_hash="x", is_admin=False, actor=TEST, at=START, ids=house.world.ids
                )

        await house.world.db.write(command)
    return mine, common


def a_job(house: House, job: str) -> dict[str, Any]:
    when = {"expression": "0 3 * * *", "zone": "UTC", "next_at": START + timedelta(days=1), "created_at": START}
    named = {"pid": house.world.project.pid, "id": house.world.ids.next(START), "uuid": job, "kind": "retention"}
    return named | when


def filled(path: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        path = path.replace(name, value)
    return path


async def all_rows(house: House) -> list[Any]:
    async with house.world.db.read() as read:
        return [
            [
                tuple(row)
                for row in await read.execute(
                    sa.select(table).where(table.c.pid == house.world.project.pid).order_by(*table.primary_key.columns)
                )
            ]
            for table in (
                checks,
                channels,
                check_channels,
                api_keys,
                incidents,
                incident_notes,
                incident_shares,
                jobs,
                job_runs,
                *OUTBOX,
            )
        ] + [tuple(row) for row in await read.execute(sa.select(projects))]


async def test_every_route_has_its_row(api: NativeApi) -> None:
    assert set(ROUTES) | PUBLIC == routes_of(api)


async def test_the_owner_is_served(house: House) -> None:
    ids = await furnished(house)

    heard = {
        (method, path): (await house.full(method, filled(path, ids), asked)).status
        for (method, path), (asked, _) in ROUTES.items()
    }

    assert {route: status for route, (_, status) in ROUTES.items()} == heard


async def test_another_project_reads_exactly_as_nothing_at_all(house: House, neighbour: House) -> None:
    theirs = await furnished(neighbour)
    before = await all_rows(neighbour)
    nowhere = dict.fromkeys(("{check_id}", "{channel_id}", "{incident_id}", "{delivery_id}", "{job_id}"), MISSING)
    nowhere |= {"{key_id}": "4711", "{user_id}": "4711", "{notification_id}": "47-11", "{page_id}": MISSING}
    nowhere |= {"{meter_id}": MISSING, "{view_id}": MISSING, "{price_id}": "4711", "{meter_price_id}": "4711"}
    nowhere |= {"{meter_id}": MISSING, "{view_id}": MISSING, "{limit_id}": MISSING, "{reservation}": "lr_4711"}
    nowhere |= {"{meter_id}": MISSING, "{view_id}": MISSING, "{budget_id}": MISSING, "{silence_id}": MISSING}
    nowhere |= {"{customer_id}": MISSING, "{transaction_id}": "t-47", "{letter_id}": "4711"}
    nothing = theirs | nowhere

    for (method, path), (asked, _) in ROUTES.items():
        if "{" in path:
            foreign = await house.full(method, filled(path, theirs), asked)
            missing = await house.full(method, filled(path, nothing), asked)
            assert (404, missing.body, missing.headers) == (foreign.status, foreign.body, foreign.headers), path

    no_lists = (*ADMIN, *FIGURES, PATH_RULES)
    lists = [path for method, path in ROUTES if method == "GET" and "{" not in path and not path.startswith(no_lists)]
    listed = [await house.full("GET", path) for path in lists]
    assert [b'{"items":[],"next":null}'] * 28 == [reply.body for reply in listed]
    assert [] == (await house.full("GET", PATH_RULES)).json["lines"]
    about = [f"notifications?check={theirs['{check_id}']}", f"notifications?channel={theirs['{channel_id}']}"]
    about.append(f"incidents?check={theirs['{check_id}']}")
    assert [404] * 3 == [(await house.full("GET", f"/v1/{query}")).status for query in about]
    for path in ADMIN:
        administered = (await house.full("GET", path)).body
        assert not [secret for secret in theirs.values() if len(secret) > 1 and secret.encode() in administered]
    assert before == await all_rows(neighbour)


async def test_what_is_another_projects_cannot_be_used_in_ones_own(house: House, neighbour: House) -> None:
    mine, theirs = await furnished(house), await furnished(neighbour)
    before = await all_rows(neighbour)
    check, channel = filled("/v1/checks/{check_id}", mine), filled("/v1/channels/{channel_id}", mine)

    heard = [
        await house.full("POST", "/v1/checks", {"name": "x", "channels": [theirs["{channel_id}"]]}),
        await house.full("PATCH", check, {"channels": [theirs["{channel_id}"]]}),
        await house.full("POST", "/v1/channels", HOOK | {"name": "x", "checks": [theirs["{check_id}"]]}),
        await house.full("PATCH", channel, {"checks": [theirs["{check_id}"]]}),
    ]

    assert [["channels[0]"], ["channels[0]"], ["checks[0]"], ["checks[0]"]] == [reply.fields for reply in heard]
    assert before == await all_rows(neighbour)


async def _refused(house: House, door: Door, *, only_writes: bool = False) -> list[Reply]:
    ids = await furnished(house)
    before = await all_rows(house)
    heard = [
        await door(method, filled(path, ids), asked)
        for (method, path), (asked, _) in ROUTES.items()
        if not only_writes or method != "GET"
    ]
    assert before == await all_rows(house)
    for reply in heard:
        assert b"canary" not in reply.body
        assert ids["{check_id}"].encode() not in reply.body
        assert ids["{incident_id}"].encode() not in reply.body
        assert ids["{delivery_id}"].encode() not in reply.body
    return heard


async def test_who_has_no_key_hears_only_that_he_needs_one(house: House) -> None:
    heard = await _refused(house, house.nobody)

    assert {(401, "Bearer", "application/problem+json")} == {
        (reply.status, reply.headers["www-authenticate"], reply.headers["content-type"]) for reply in heard
    }


async def _another(house: House, *, expires_at: datetime | None = None) -> str:
    """A further key that may do everything."""
    return await house.world.db.write(
        lambda tx: (
            make_key(
                tx,
                house.world.project.pid,
                name="another",
                scopes=frozenset(Scope),
                at=START,
                ids=house.world.ids,
                expires_at=expires_at,
            ).secret
        )
    )


async def _expired(house: House, clock: SimClock) -> str:
    end = clock.now() + timedelta(hours=1)
    key = await _another(house, expires_at=end)
    assert 200 == (await Door(house.full.api, key)("GET", "/v1/checks")).status
    clock.move_to(end)
    return key


async def test_a_key_that_has_expired_is_as_good_as_none(house: House, clock: SimClock) -> None:
    heard = await _refused(house, Door(house.full.api, await _expired(house, clock)))

    assert {401} == {reply.status for reply in heard}


async def test_a_key_that_was_revoked_is_as_good_as_one_that_never_was(house: House) -> None:
    revoked = Door(house.full.api, await _another(house))
    assert 200 == (await revoked("GET", "/v1/checks")).status
    (key,) = [one for one in (await house.full("GET", "/v1/keys")).json["items"] if one["name"] == "another"]
    assert 204 == (await house.full("DELETE", f"/v1/keys/{key['id']}")).status

    heard = await _refused(house, revoked)

    unknown = await Door(house.full.api, "hf_unknown")("GET", "/v1/checks")
    assert {(401, unknown.body)} == {(reply.status, reply.body) for reply in heard}


async def test_a_key_that_may_only_read_changes_nothing(house: House) -> None:
    heard = await _refused(house, house.read, only_writes=True)

    assert {403} == {reply.status for reply in heard}
    assert {f"this key lacks the scope {scope}" for scope in ("write", "admin", "ingest")} == {
        reply.json["detail"] for reply in heard
    }


async def test_a_key_that_may_only_read_reads_everything_but_what_administers(house: House) -> None:
    ids = await furnished(house)

    heard = {path: (await house.read(method, filled(path, ids))).status for method, path in ROUTES if method == "GET"}

    assert {path: 403 if path.startswith(ADMIN) else 200 for path in heard} == heard


async def test_who_may_write_but_not_administer_is_refused_what_administers_and_nothing_else(house: House) -> None:
    ids = await furnished(house)
    asked = {"name": "writer", "scopes": ["read", "write"]}
    writer = Door(house.full.api, (await house.full("POST", "/v1/keys", asked)).json["secret"])

    heard = {route: (await writer(route[0], filled(route[1], ids), asked)) for route, (asked, _) in ROUTES.items()}

    lacking = {route for route, reply in heard.items() if reply.status == 403}
    assert {(method, path) for method, path in ROUTES if path.startswith(ADMIN)} == lacking
    assert {"this key lacks the scope admin"} == {heard[route].json["detail"] for route in lacking}


async def test_what_is_no_key_is_refused(api: NativeApi) -> None:
    headers = (
        "",
        "Bearer",
        "Bearer ",
        "Basic aGY6aGY=",
        "Bearer hf_unknown",
        "Bearer " + "x" * 5000,
        "Bearer \xe9",
        "Bearer a\x00b",
        "hf_unknown",
        "Bearer null",
    )

    heard = [await Door(api, "")("GET", "/v1/checks", headers=[("Authorization", header)]) for header in headers]

    assert {(401, "urn:heartfly:problem:unauthenticated")} == {(reply.status, reply.json["type"]) for reply in heard}


async def test_a_key_is_read_in_any_spelling_of_bearer(house: House) -> None:
    reply = await house.nobody("GET", "/v1/checks", headers=[("Authorization", f"bearer  {house.full.key} ")])

    assert 200 == reply.status
