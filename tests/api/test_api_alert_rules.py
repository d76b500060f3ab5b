"""Alert rules over the API: made, read, edited, deleted, tried on past days; and the alerts that they raised."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import START
from tests.api.door import House
from tests.api.fired import RULE, an_alert, fire
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

MISSING = "00000000-0000-4000-8000-000000000000"
HOOK = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.com/x"}}


async def make(house: House, **changes: Any) -> Any:
    return await house.full("POST", "/v1/alert-rules", RULE | changes)


async def test_without_rules_and_alerts_lists_are_empty_and_sums_nothing(house: House) -> None:
    nothing: dict[str, Any] = {"items": [], "next": None}
    assert nothing == (await house.read("GET", "/v1/alert-rules")).json
    assert nothing == (await house.read("GET", "/v1/alert-rules/alerts")).json
    assert {
        "total": 0, "active": 0, "acknowledged": 0, "resolved": 0, "mean_time_to_resolve": None, "by_type": {},
        "by_severity": {},
    } == (await house.read("GET", "/v1/alert-rules/statistics")).json  # fmt: skip


async def test_a_rule_is_what_was_asked_for_and_is_listed_page_by_page(house: House) -> None:
    made = await make(house, severity="high", cooldown=60, **{"for": 120})
    second = await make(house, name="second")

    assert (201, 201) == (made.status, second.status)
    assert made.headers["location"].endswith(made.json["id"])
    assert ("busy", "high", True, ["*"], "own", "all", ["provider"], 120, 60, "new", 0) == tuple(
        made.json[name]
        for name in (
            "name", "severity", "enabled", "channels", "origin", "match", "by", "for", "cooldown", "state", "n_firing",
        )
    )  # fmt: skip
    assert "calls in 1 h more than 10" == made.json["conditions"][0]["words"]
    assert made.json == (await house.read("GET", f"/v1/alert-rules/{made.json['id']}")).json
    first = (await house.read("GET", "/v1/alert-rules?limit=1")).json
    last = (await house.read("GET", f"/v1/alert-rules?limit=1&cursor={first['next']}")).json
    assert [made.json, second.json] == [*first["items"], *last["items"]]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": ""}),
        ("conditions[0].threshold", {"conditions": [RULE["conditions"][0] | {"threshold": "much"}]}),
        ("conditions[0].window", {"conditions": [RULE["conditions"][0] | {"window": 1}]}),
        ("by", {"by": ["planet"]}),
        ("conditions[0].metric", {"conditions": [RULE["conditions"][0] | {"of": "limits"}]}),
        ("channels[0]", {"channels": [MISSING]}),
        ("severity", {"severity": "worst"}),
    ],
)
@on_sqlite
async def test_what_is_wrong_is_named(house: House, field: str, changes: dict[str, Any]) -> None:
    reply = await make(house, **changes)
    assert (422, field) == (reply.status, reply.json["errors"][0]["field"])


async def test_an_edit_changes_what_is_given_and_needs_the_etag_that_was_read(house: House) -> None:
    made = (await make(house)).json
    path = f"/v1/alert-rules/{made['id']}"

    edited = await house.full("PATCH", path, {"name": "quiet", "for": 60}, headers=[("if-match", '"1"')])
    stale = await house.full("PATCH", path, {"name": "loud"}, headers=[("if-match", '"1"')])

    assert (200, 412) == (edited.status, stale.status)
    assert made | {"name": "quiet", "for": 60} == edited.json | {"edited_at": made["edited_at"]}
    wrong = await house.full("PATCH", path, {"by": ["planet"]})
    assert (422, "by") == (wrong.status, wrong.json["errors"][0]["field"])


async def test_a_rule_is_heard_by_the_channels_that_were_chosen(house: House) -> None:
    channel = (await house.full("POST", "/v1/channels", HOOK)).json["id"]
    made = (await make(house, channels=[channel])).json
    assert [channel] == made["channels"]
    everybody = await house.full("PATCH", f"/v1/alert-rules/{made['id']}", {"channels": ["*"]})
    assert ["*"] == everybody.json["channels"]


async def test_what_was_deleted_is_gone_but_for_its_alerts(house: House) -> None:
    ids = await an_alert(house)
    path = f"/v1/alert-rules/{ids['{rule_id}']}"

    assert 204 == (await house.full("DELETE", path)).status
    assert 404 == (await house.full("GET", path)).status
    (alert,) = (await house.read("GET", "/v1/alert-rules/alerts")).json["items"]
    assert ("resolved", "furnished") == (alert["state"], alert["rule_name"])


async def test_an_alert_is_told_with_what_was_seen(house: House) -> None:
    ids = await an_alert(house)
    alert = (await house.read("GET", f"/v1/alert-rules/alerts/{ids['{alert_id}']}")).json

    assert ("furnished", "requests", "medium", "firing", {"provider": "openai"}, "provider openai", None) == tuple(
        alert[name] for name in ("rule_name", "type", "severity", "state", "scope", "scope_words", "note")
    )
    assert ("11", "10", True) == tuple(alert["context"]["conditions"][0][name] for name in ("value", "limit", "holds"))
    (scope,) = (await house.read("GET", f"/v1/alert-rules/{ids['{rule_id}']}/scopes")).json["items"]
    assert ({"provider": "openai"}, "firing", ids["{alert_id}"]) == (scope["scope"], scope["state"], scope["alert"])
    incident = (await house.read("GET", f"/v1/incidents/{ids['{alert_id}']}")).json
    assert ("rule", ids["{rule_id}"], None, "furnished (provider openai)") == tuple(
        incident[name] for name in ("source", "source_id", "check", "check_name")
    )


async def test_to_acknowledge_an_alert_is_to_acknowledge_its_incident(house: House) -> None:
    ids = await an_alert(house)
    taken = await house.full("POST", f"/v1/alert-rules/alerts/{ids['{alert_id}']}/ack")

    assert (200, "acknowledged") == (taken.status, taken.json["state"])
    incident = (await house.read("GET", f"/v1/incidents/{ids['{alert_id}']}")).json
    assert taken.json["acknowledged_at"] == incident["acknowledged_at"]
    rule = (await house.read("GET", f"/v1/alert-rules/{ids['{rule_id}']}")).json
    assert ("firing", 1) == (rule["state"], rule["n_firing"])


async def test_resolving_keeps_the_context_and_a_second_time_conflicts(house: House) -> None:
    ids = await an_alert(house)
    path = f"/v1/alert-rules/alerts/{ids['{alert_id}']}"
    before = (await house.read("GET", path)).json

    first = await house.full("POST", f"{path}/resolve", {"note": "ours"})
    second = await house.full("POST", f"{path}/resolve", {"note": "again"})

    assert (200, 409) == (first.status, second.status)
    after = (await house.read("GET", path)).json
    assert before["context"] == after["context"]
    assert ("resolved", "ours") == (after["state"], after["note"])
    assert after["resolved_by"].startswith("key:")


async def test_alerts_are_filtered_and_paged_and_summed_up(house: House) -> None:
    ids = await an_alert(house, name="one")
    await fire(house, ids["{rule_id}"], provider="azure", after=timedelta(minutes=2))
    other = await an_alert(house, name="two")
    await house.full("POST", f"/v1/alert-rules/alerts/{other['{alert_id}']}/resolve", {"note": ""})
    await house.full("POST", f"/v1/alert-rules/alerts/{ids['{alert_id}']}/ack")

    async def n(query: str) -> int:
        return len((await house.read("GET", f"/v1/alert-rules/alerts?{query}")).json["items"])

    assert [1, 1, 1, 2, 3, 0, 3, 0, 1] == [
        await n(query)
        for query in (
            "state=firing", "state=acknowledged", "state=resolved", f"rule={ids['{rule_id}']}", "type=requests",
            "type=cost", "severity=medium", "severity=low", "since=2026-03-02T10:02:00Z",
        )
    ]  # fmt: skip
    page = (await house.read("GET", "/v1/alert-rules/alerts?limit=2")).json
    rest = (await house.read("GET", f"/v1/alert-rules/alerts?limit=2&cursor={page['next']}")).json
    assert 3 == len({one["id"] for one in [*page["items"], *rest["items"]]})
    told = (await house.read("GET", "/v1/alert-rules/statistics")).json
    assert (3, 2, 1, 1) == tuple(told[name] for name in ("total", "active", "acknowledged", "resolved"))
    assert {"requests": {"total": 3, "active": 2}} == told["by_type"]
    assert {"medium": {"total": 3, "active": 2}} == told["by_severity"]
    assert told["mean_time_to_resolve"] is not None
    for query, field in (("cursor=x", "cursor"), ("since=yesterday", "since")):
        reply = await house.read("GET", f"/v1/alert-rules/alerts?{query}")
        assert (422, field) == (reply.status, reply.json["errors"][0]["field"])


async def test_the_defaults_are_made_once_and_what_is_missing_again(house: House) -> None:
    first = (await house.full("POST", "/v1/alert-rules/defaults")).json["made"]
    assert 5 == len(first)
    assert [] == (await house.full("POST", "/v1/alert-rules/defaults")).json["made"]
    await house.full("DELETE", f"/v1/alert-rules/{first[0]}")
    assert 1 == len((await house.full("POST", "/v1/alert-rules/defaults")).json["made"])


async def test_a_rule_is_tried_on_past_days_before_it_is_saved(house: House) -> None:
    told = (await house.full("POST", "/v1/alert-rules/backtest", {"conditions": RULE["conditions"]})).json
    assert (3600, "", 1, [], True) == (
        told["step"], told["unknown"], told["scopes"], told["fired"], told["conditions"][0]["never"],
    )  # fmt: skip
    assert 168 == len(told["points"])
    assert told["to_at"] == START.strftime("%Y-%m-%dT%H:%M:%SZ")
    use = {"of": "limits", "metric": "use", "window": 3600, "threshold": "80"}
    unknown = (await house.full("POST", "/v1/alert-rules/backtest", {"conditions": [use]})).json
    assert "of limits only the present is known" in unknown["unknown"]
    gone = {"of": "meter", "metric": "value", "name": "gone", "window": 3600, "threshold": "80"}
    assert 422 == (await house.full("POST", "/v1/alert-rules/backtest", {"conditions": [gone]})).status
