"""Requests as events: whose they are, what is kept of whom, and the same id however often a line is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.access.as_event import Ips, Shape, event_text, ip_as
from heartfly.core.access.customers import CustomerRuleError, Customers, Table, rule_of, table_of
from heartfly.core.access.formats import reader
from heartfly.core.access.request import Request
from heartfly.core.amounts import Number
from heartfly.core.events import Event, event_of
from heartfly.core.events import read as read_json
from heartfly.core.paths import rules_of

AT = datetime(2015, 5, 17, 8, 5, 3, tzinfo=UTC)
FULL = Request(
    AT, "GET", "/users/17", 404, "203.0.113.9", "ada", "example.com", 'curl "8"', "12.5", "3", 10, 20, "8f14",
    {"http_x_customer": "acme", "http_authorization": "Bearer hf_live_0123456789abcdef", "short": "abc", "none": "-"},
)  # fmt: skip


def sent(request: Request, shape: Shape | None = None) -> dict[str, Any]:
    """As the server takes it."""
    found = read_json(event_text(request, "id-1", shape or Shape())[0])
    made = event_of(found, now=AT, oldest=AT)
    assert isinstance(made, Event), made
    event: dict[str, Any] = found
    return event


def test_an_event_tells_all_that_a_line_told() -> None:
    event = sent(FULL, Shape(ips=Ips.KEEP, source="web-1", customers=Customers([rule_of("field:http_x_customer")])))

    assert {
        "transaction_id": "id-1", "customer_id": "acme", "timestamp": "2015-05-17T08:05:03Z",
        "event_type": "http.request",
        "properties": {
            "method": "GET", "route": "/users/{id}", "path": "/users/17", "status": "404", "status_class": "4xx",
            "host": "example.com", "ip": "203.0.113.9", "user_agent": 'curl "8"', "latency_ms": "12.5",
            "upstream_ms": "3", "request_bytes": "10", "response_bytes": "20", "request_id": "8f14", "source": "web-1",
        },
    } == event  # fmt: skip
    assert isinstance(event["properties"]["latency_ms"], Number)


def test_what_a_line_did_not_tell_is_left_out_and_nobody_is_anonymous() -> None:
    text, customer, route = event_text(Request(AT), "id-1", Shape())

    assert {} == json.loads(text)["properties"]
    assert ("anonymous", None) == (customer, route)


def test_a_route_of_ones_own_rules_says_which() -> None:
    rules = rules_of(["/users/{name}"])

    assert {"route": "/users/{name}", "rules": rules.version}.items() <= sent(FULL, Shape(rules))["properties"].items()


@pytest.mark.parametrize(
    ("rules", "customer", "key"),
    [
        (["field:http_x_customer"], "acme", None),
        (["field:$none", "field:nothing", "user"], "ada", None),
        (["host", "user"], "example.com", None),
        (["path:1"], "users", None),
        (["path:2"], "17", None),
        (["path:3"], "anonymous", None),
        (["key:http_authorization"], "hf_live_…", "hf_live_…"),
        (["field:http_x_customer", "key:http_authorization", "key:short"], "acme", "hf_live_…"),
        (["key:short"], "a…", "a…"),
        ([], "anonymous", None),
    ],
)
def test_the_first_rule_that_finds_something_says_whose_it_is(rules: list[str], customer: str, key: str | None) -> None:
    assert (customer, key) == Customers([rule_of(one) for one in rules]).whose(FULL)


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER  ", "Bearer "])
def test_a_scheme_is_no_part_of_a_key_however_it_is_written(scheme: str) -> None:
    request = FULL._replace(fields={"http_authorization": f"{scheme}hf_live_0123456789abcdef"})

    assert ("hf_live_…", "hf_live_…") == Customers([rule_of("key:http_authorization")]).whose(request)


def test_a_table_says_whose_a_thing_is() -> None:
    table = table_of(["# ours", "", "acme,Acme Inc.", "hf_live_*,Live", "hf_live_01*,Zero One", '"a,b",Both'])

    assert ["Acme Inc.", "Zero One", "Live", "Both", None] == [
        table.customer(one) for one in ("acme", "hf_live_0123456789abcdef", "hf_live_9", "a,b", "other")
    ]
    assert ("Zero One", "hf_live_…") == Customers([rule_of("key:http_authorization")], table).whose(FULL)
    assert ("ada", None) == Customers([rule_of("user")], table).whose(FULL)
    assert None is Table().customer("acme")


@pytest.mark.parametrize("line", ["acme", "acme,", ",Acme", "a,b,c"])
def test_a_line_of_a_table_that_says_nothing_is_named(line: str) -> None:
    with pytest.raises(CustomerRuleError, match="line 2 is not VALUE,CUSTOMER"):
        table_of(["a,A", line])


@pytest.mark.parametrize("rule", ["", "field:", "path:0", "path:x", "path:", "host:x", "header:x", "path:900"])
def test_a_rule_that_finds_nothing_ever_is_refused(rule: str) -> None:
    with pytest.raises(CustomerRuleError, match="is none of field:NAME"):
        rule_of(rule)


@pytest.mark.parametrize(
    ("ip", "truncated"),
    [
        ("203.0.113.9", "203.0.113.0"),
        ("2001:db8:1:2::7", "2001:db8:1::"),
        ("::ffff:203.0.113.9", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("crawler.example.com", None),
        ("203.0.113.256", None),
        ("203.0.113.09", None),
    ],
)
def test_of_an_address_the_network_is_kept(ip: str, truncated: str | None) -> None:
    assert truncated == ip_as(ip, Ips.TRUNCATE)
    assert ip == ip_as(ip, Ips.KEEP)
    assert None is ip_as(ip, Ips.DROP)


def test_a_hash_of_an_address_needs_the_secret() -> None:
    one, other = ip_as("203.0.113.9", Ips.HASH, "a"), ip_as("203.0.113.9", Ips.HASH, "b")

    assert 16 == len(one or "")
    assert one != other
    assert one == ip_as("::ffff:203.0.113.9", Ips.HASH, "a")
    assert "hash" not in sent(FULL, Shape(ips=Ips.DROP))["properties"]


@settings(max_examples=40)
@given(st.text(max_size=200))
def test_whatever_a_line_holds_its_event_is_one(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    line = json.dumps({"time": "2015-05-17T08:05:03Z"} | dict.fromkeys(("method", "uri", "user"), text))
    combined = f'203.0.113.9 - - [17/May/2015:08:05:03 +0000] "GET /{escaped}" 200 1 "-" "{escaped}"'
    shape = Shape(customers=Customers([rule_of("user"), rule_of("path:1"), rule_of("field:uri")]))

    for one in (line, combined):
        if isinstance(found := reader()(one), Request):
            sent(found, shape)
