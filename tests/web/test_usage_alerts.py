"""Pages of alert rules: the list and its empty state, a form with a look back, a rule's page, and what to do there."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.events import read as parsed
from heartfly.core.rule_definitions import MOST_CONDITIONS
from heartfly.rules.queries import one_rule
from heartfly.web.state import WebState
from tests.web.conftest import START, Town
from tests.web.test_usage_pages import ROOT, said, text

pytestmark = pytest.mark.anyio

RULE = {
    "name": "Busy <b>", "severity": "high", "metric_0": "requests", "of_0": "requests", "window_0": "1h", "op_0": ">",
    "threshold_0": "2", "by": "endpoint", "cooldown": "1h",
}  # fmt: skip


@pytest.fixture
async def busy(town: Town, web: WebState) -> Town:
    """Three requests of two hours ago, one of another endpoint."""
    found: list[dict[str, Any]] = [
        {
            "transaction_id": f"t-{n}", "customer_id": "c", "event_type": "http.request",
            "timestamp": (START - timedelta(hours=2, minutes=n)).isoformat(),
            "properties": {"method": "GET", "route": "/orders" if n else "/other", "status": 200},
        }
        for n in range(4)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(found)), wire="native")
    return town


async def test_without_rules_it_says_what_one_is_and_begins_with_an_example(town: Town) -> None:
    shown = await text(await town.owner(), "/alerts")
    assert "No alert rules yet" in shown
    assert "Begin with an example" in shown
    assert "Begin with an example" not in await text(await town.viewer(), "/alerts")


async def test_the_example_is_made_of_real_traffic_and_not_saved(busy: Town) -> None:
    owner = await busy.owner()
    page = (await owner.get(f"{ROOT}/alerts/new")).body.decode()
    assert "endpoint = GET /orders" in page
    assert "No alert rules yet" in await text(owner, "/alerts")


async def test_the_five_usual_ones_are_made_by_one_click(town: Town) -> None:
    owner = await town.owner()
    assert 303 == (await owner.post(f"{ROOT}/alerts", {})).status
    shown = await text(owner, "/alerts")
    assert [] == [
        name
        for name in ("Rate limit at 80 %", "Rate limit at 95 %", "Cost limit at 80 %", "Cost limit at 95 %")
        if name not in shown
    ]
    assert "error rate of calls in 1 h more than 10 %" in shown


async def test_a_preview_tells_where_it_would_have_fired_and_saves_nothing(busy: Town) -> None:
    owner = await busy.owner()
    shown = said((await owner.post(f"{ROOT}/alerts/new", RULE | {"preview": "1"})).body)
    assert "It would have fired 1 time in the last 7 days" in shown
    assert "endpoint GET /orders" in shown
    never = said((await owner.post(f"{ROOT}/alerts/new", RULE | {"threshold_0": "9", "preview": "1"})).body)
    assert "never held in the last 7 days" in never
    always = said(
        (await owner.post(f"{ROOT}/alerts/new", RULE | {"op_0": "<", "threshold_0": "9", "preview": "1"})).body
    )
    assert "always held in the last 7 days" in always
    assert "No alert rules yet" in await text(owner, "/alerts")


async def test_a_rule_is_saved_shown_edited_switched_off_and_deleted(busy: Town) -> None:
    owner = await busy.owner()
    made = await owner.post(f"{ROOT}/alerts/new", RULE)
    assert 303 == made.status
    path = made.headers["location"].removeprefix(ROOT)

    shown = await text(owner, path)
    assert [] == [
        one
        for one in (
            "Busy <b>", "requests in 1 h more than 2, for each endpoint", "It has not fired", "Not looked at yet",
            "It would have fired 1 time in",
        )
        if one not in shown
    ]  # fmt: skip
    form = (await owner.get(f"{ROOT}{path}/edit")).body.decode()
    assert 'value="1h"' in form
    edited = await owner.post(f"{ROOT}{path}/edit", RULE | {"name": "Calm", "threshold_0": "9"})
    assert 303 == edited.status
    assert "more than 9" in await text(owner, path)
    assert 303 == (await owner.post(f"{ROOT}{path}", {"do": "off"})).status
    assert "Off" in await text(owner, "/alerts")
    assert 303 == (await owner.post(f"{ROOT}{path}", {"do": "delete"})).status
    await text(owner, path, status=404)


@pytest.mark.parametrize(
    ("field", "changes", "told"),
    [
        ("metric_0", {"metric_0": ""}, "Must be chosen"),
        ("window_0", {"window_0": "soon"}, "Must be such as 5m, 1h or 1d"),
        ("threshold_0", {"threshold_0": "much"}, "Must be a number as text"),
        ("where_0", {"where_0": "provider"}, "Must be lines such as"),
        ("what_0", {"metric_0": "cost", "of_0": "calls", "by": ""}, "Is required: the currency"),
        ("least_0", {"least_0": "-1"}, "Must be a whole number"),
        ("by", {"by": "planet"}, "Cannot be"),
        ("for", {"for": "soon"}, "Must be such as"),
        ("name", {"name": ""}, "Must not be empty"),
        ("severity", {"severity": "worst"}, "Must be one of"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    town: Town, field: str, changes: dict[str, str], told: str
) -> None:
    reply = await (await town.owner()).post(f"{ROOT}/alerts/new", RULE | changes)
    page = reply.body.decode()
    assert 422 == reply.status
    assert re.search(rf'id="{field}-wrong">[^<]*{re.escape(told)}', page), page[-3000:]


async def test_an_action_that_is_none_and_an_alert_that_is_none_are_refused(busy: Town) -> None:
    owner = await busy.owner()
    path = (await owner.post(f"{ROOT}/alerts/new", RULE)).headers["location"]
    assert 422 == (await owner.post(path, {"do": "dance"})).status
    assert 404 == (await owner.post(path, {"do": "resolve", "alert": "none"})).status
    assert 422 == (await owner.get(f"{ROOT}/alerts?state=angry")).status


async def test_a_rule_of_as_many_conditions_as_the_api_takes_is_shown_and_saved_whole(
    busy: Town, web: WebState
) -> None:
    owner, pid = await busy.owner(), busy.world.project.pid
    more = {
        f"{name}_{n}": value
        for n in range(1, MOST_CONDITIONS)
        for name, value in (
            ("metric", "requests"), ("of", "requests"), ("window", f"{n + 1}h"), ("op", ">"), ("threshold", f"{n + 2}"),
        )
    }  # fmt: skip
    made = await owner.post(f"{ROOT}/alerts/new", RULE | more)
    path = made.headers["location"].removeprefix(ROOT)

    async def conditions() -> list[Any]:
        async with web.api.database.read() as read:
            row = (await one_rule(read, pid, path.rpartition("/")[2])).row
        found: list[Any] = row.definition["conditions"]
        return found

    before = await conditions()
    form = (await owner.get(f"{ROOT}{path}/edit")).body.decode()
    assert ["A second", "A third", "A fourth", "A fifth"] == re.findall(r"<details open><summary>(A \w+) cond", form)
    saved = await owner.post(f"{ROOT}{path}/edit", RULE | more | {"name": "the same"})

    assert (303, MOST_CONDITIONS) == (saved.status, len(before))
    assert before == await conditions()
