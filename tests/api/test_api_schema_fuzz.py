"""Whatever fits the schema, and much that does not, is answered as the schema says: by the real server, over HTTP.

Schemathesis makes the requests from /v1/openapi.json. `slow` sends many more of them than an ordinary run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from heartfly.clock import SystemClock
from tests.api.test_api_tenants import METER, ROUTES
from tests.server_process import Server

pytestmark = pytest.mark.e2e

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
SINK = "http://127.0.0.1:9/nobody-listens"
LIMIT_S = 120
"""For any answer: a busy machine takes half a minute for the schema, which is made when it is first asked for."""


@dataclass(frozen=True)
class Site:
    server: Server
    schema: Any
    key: str
    ids: dict[str, str]
    """What stands in paths, of things that are there."""
    session: requests.Session

    def own_key(self, name: str) -> str:
        """A key of one operation: each may ask 600 times a minute."""
        made = self.server.api("POST", "/v1/keys", self.key, {"name": name, "scopes": ["read", "write", "admin"]})
        secret: str = made["secret"]
        return secret


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    server = Server(tmp_path_factory.mktemp("served"))
    key = server.init()["api_key"]
    server.start()
    try:
        schema = schemathesis.openapi.from_dict(requests.get(f"{server.url}/v1/openapi.json", timeout=LIMIT_S).json())
        with requests.Session() as session:
            yield Site(server, schema, key, _furnished(server, key), session)
        log = (server.folder / "server.log").read_text()
        assert "Traceback" not in log, log[-3000:]
    finally:
        server.kill()


def _furnished(server: Server, key: str) -> dict[str, str]:
    check = server.api("POST", "/v1/checks", key, {"name": "job"})
    hook = {"kind": "webhook", "name": "hook", "config": {"url": SINK}}
    channel = server.api("POST", "/v1/channels", key, hook)["id"]
    server.api("PATCH", f"/v1/checks/{check['id']}", key, {"channels": [channel]})
    told = server.api("POST", f"/v1/channels/{channel}/test", key)["id"]
    requests.post(f"{check['ping_url']}/fail", data=b"rows=5", timeout=LIMIT_S)
    while (delivery := server.api("GET", f"/v1/notifications/{told}", key)["delivery"]) is None:
        pass
    while not (jobs := server.api("GET", "/v1/jobs", key)["items"]):
        pass
    event = {"transaction_id": "t-1", "customer_id": "acme", "timestamp": _now(), "event_type": "call"}
    server.api("POST", "/v1/events", key, [event, {}])
    incident = server.api("GET", "/v1/incidents", key)["items"][0]["id"]
    return {
        "share_id": server.api("POST", f"/v1/incidents/{incident}/shares", key, {})["id"],
        "view_id": server.api("POST", "/v1/views", key, {"name": "ours", "q": "tag:etl"})["id"],
        "transaction_id": "t-1",
        "letter_id": server.api("GET", "/v1/dead-letters", key)["items"][0]["id"],
        "customer_id": server.api("POST", "/v1/customers", key, {"name": "Acme", "aliases": ["acme"]})["id"],
        "link_id": "1",
        "mail_id": "1",
        "job_id": jobs[0]["id"],
        "meter_id": server.api("POST", "/v1/meters", key, METER | {"slug": "traffic"})["id"],
        "silence_id": server.api("POST", "/v1/silences", key, {"kind": "mute", "scope": "project", "lasts": 60})["id"],
        "watch_id": server.api("POST", "/v1/usage/watches", key, {"kind": "source"})["id"],
        **_of_calls(server, key),
        "check_id": check["id"],
        "channel_id": channel,
        "n": "1",
        "notification_id": told,
        "delivery_id": delivery["id"],
        "incident_id": incident,
        "backfill_id": server.api("POST", "/v1/backfills", key, _a_backfill())["id"],
        "page_id": server.api("POST", "/v1/status-pages", key, {"slug": "s", "title": "S"})["id"],
        "invite_id": server.api("POST", "/v1/invites", key, {"email": "x@example.com", "role": "viewer"})["id"],
        "user_id": server.api("GET", "/v1/members", key)["items"][0]["id"],
        "key_id": server.api("POST", "/v1/keys", key, {"name": "read", "scopes": ["read"]})["id"],
    }


def _of_calls(server: Server, key: str) -> dict[str, str]:
    """Of calls to others' APIs; an alert and a day in files take longer to come about, and are never there."""
    price = {"provider": "openai", "product": "gpt", "unit": "pages", "amount": "0.5", "currency": "USD"}
    limit = {"kind": "rolling", "period_s": 3600, "amount": 2, "scope": {"customer": "each"}}
    rule = {"name": "busy", "conditions": [{"of": "calls", "metric": "requests", "window": 3600, "threshold": "10"}]}
    scope = {"provider": "openai", "customer": "acme"}
    made = {
        "price_id": server.api("POST", "/v1/prices", key, price)["id"],
        "limit_id": server.api("POST", "/v1/limits", key, limit)["id"],
        "rule_id": server.api("POST", "/v1/alert-rules", key, rule)["id"],
        "budget_id": server.api("POST", "/v1/budgets", key, {"name": "b", "currency": "USD", "amount": "9"})["id"],
        "meter_price_id": "1",
        "alert_id": "5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01",
        "day": "2026-03-01",
    }
    return made | {"reservation": server.api("POST", "/v1/limits/check", key, {"scope": scope})["reservation"]}


def _now() -> str:
    return SystemClock().now().isoformat()


def _a_backfill() -> dict[str, Any]:
    now = SystemClock().now()
    return {"name": "b", "from": (now - timedelta(days=2)).isoformat(), "to": now.isoformat(), "replaces": False}


def ask(site: Site, method: str, path: str, *, n: int) -> None:
    operation = site.schema[path][method]
    key = site.own_key(f"{method} {path}")

    @settings(max_examples=n, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        case=st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        ),
        is_there=st.booleans(),
    )
    def answered(case: Any, *, is_there: bool) -> None:
        if is_there and case.path_parameters:
            case.path_parameters = {name: site.ids[name] for name in case.path_parameters}
        response = case.call(
            base_url=site.server.url, session=site.session, headers={"Authorization": f"Bearer {key}"}, timeout=LIMIT_S
        )
        case.validate_response(response, checks=CHECKS)

    answered()


# What deletes comes last, so that the others find something.
OPERATIONS = sorted(ROUTES, key=lambda route: route[0] == "DELETE")
CASES = int(os.environ.get("HEARTFLY_CASES", str(200 * len(OPERATIONS))))
"""Of all operations together."""


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_that_the_schema_foresees(site: Site, method: str, path: str) -> None:
    ask(site, method, path, n=8)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_that_the_schema_foresees_however_many_are_asked_for(
    site: Site, method: str, path: str
) -> None:
    ask(site, method, path, n=-(-CASES // len(OPERATIONS)))
