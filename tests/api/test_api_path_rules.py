"""Rules for paths over the API: read, foreseen, changed as they were seen, and said in the audit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.api.conftest import START
from tests.api.door import House

pytestmark = pytest.mark.anyio

PATH = "/v1/usage/path-rules"
LINES = ["# ours", "/users/{name}"]


async def test_they_are_foreseen_and_then_hold(house: House) -> None:
    sent = [
        {
            "transaction_id": f"t-{number}",
            "customer_id": "acme",
            "timestamp": (START - timedelta(minutes=number)).isoformat(),
            "event_type": "http.request",
            "properties": {"method": "GET", "route": f"/users/{name}", "path": f"/users/{name}"},
        }
        for number, name in enumerate(["ada", "grace", "ada"])
    ]
    assert 200 == (await house.full("POST", "/v1/events", sent)).status
    empty = await house.full("GET", PATH)
    assert {"version": "1", "lines": [], "changed_at": None, "hours_to_fold": 0} == empty.json

    told = (await house.full("POST", f"{PATH}/preview", {"lines": LINES})).json
    assert (3, 2, 3, 2, 1, 0) == tuple(
        told[name] for name in ("requests", "paths", "requests_changed", "endpoints_before", "endpoints_after", "more")
    )
    assert 1_000 == told["endpoints_most"]
    first = {"path": "/users/ada", "before": "GET /users/ada", "after": "GET /users/{name}", "requests": 2, "paths": 1}
    assert first == told["changes"][0]
    assert [] == (await house.full("GET", PATH)).json["lines"]

    changed = await house.full("PATCH", PATH, {"lines": LINES}, headers=[("If-Match", empty.headers["etag"])])
    assert (200, LINES, told["version"]) == (changed.status, changed.json["lines"], changed.json["version"])
    again = await house.full("PATCH", PATH, {"lines": []}, headers=[("If-Match", empty.headers["etag"])])
    assert 412 == again.status
    assert "path_rules.edit" == (await house.full("GET", "/v1/audit")).json["items"][0]["action"]


async def test_what_is_no_rule_is_refused_by_its_line(house: House) -> None:
    for path, method in ((PATH, "PATCH"), (f"{PATH}/preview", "POST")):
        refused = await house.full(method, path, {"lines": ["/a", "one two three"]})
        assert 422 == refused.status
        assert "line 2" in str(refused.json)
