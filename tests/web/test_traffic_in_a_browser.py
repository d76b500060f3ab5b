"""From a cell to its requests and back, with and without scripts; figures that follow what comes. In real Chromium."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from heartfly.clock import SystemClock
from heartfly.core.access.as_event import TYPE
from tests.web.conftest import browser
from tests.web.test_tasks import LIMIT_MS, PHONE, Person, Place, place

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["browser", "place"]

USAGE = "/p/main/usage"
LAST_DAYS = f"{USAGE}?range=24h&status=5xx&status=4xx&status=2xx&heat=requests"


def settled(who: Person) -> None:
    """Until a page without a part that is still being counted has come."""
    for _ in range(60):
        who.page.reload()
        if "Still counting" not in who.text:
            return
    pytest.fail(who.text)


def events_in(place: Place) -> list[dict[str, Any]]:
    """The properties of all requests, as they lie in the database."""
    path = place.house.server.folder / "heartfly-data" / "usage.db"
    with sqlite3.connect(path, timeout=20) as file:
        rows = file.execute(
            "SELECT e.properties FROM events e JOIN usage_names n ON n.pid = e.pid AND n.id = e.type_id "
            "WHERE n.text = ?",
            (TYPE,),
        ).fetchall()
    file.close()
    return [json.loads(row[0]) for row in rows]


@pytest.mark.parametrize("script", [True, False])
def test_a_cell_leads_to_its_requests_and_back_restores(place: Place, *, script: bool) -> None:
    """Task 12: from a cell of the heatmap to the single requests, in one click; Back; files agree with the events."""
    who = place.person(script=script)
    who.at(LAST_DAYS)
    settled(who)
    cell = who.page.locator("#heat td a").first
    n, before = int(cell.inner_text()), who.page.url
    who.click(cell)
    who.page.wait_for_url("**/usage/requests?**")
    settled(who)
    found = int(who.page.inner_text("#total strong"))
    rows = who.page.locator("tbody tr").count()
    who.page.go_back()
    who.page.wait_for_url(before)

    assert (n, n, 1) == (found, rows, who.clicks)
    assert n == int(who.page.locator("#heat td a").first.inner_text())

    who.at(f"{USAGE}?range=7d")
    settled(who)
    shown = int(who.page.locator("#kpis a strong").first.inner_text().replace(",", ""))
    got = who.page.request.get(f"{who.origin}{USAGE}/traffic.csv?table=series&range=7d").text()
    sums = [sum(int(row[name]) for row in csv.DictReader(io.StringIO(got))) for name in ("requests", "4xx", "5xx")]
    told = events_in(place)

    assert [shown, *sums[1:]] == [len(told), *(sum(one["status"] // 100 == n for one in told) for n in (4, 5))]
    assert shown == sums[0]


def test_a_filter_is_added_and_taken_away_by_a_tap_on_a_phone(place: Place) -> None:
    who = place.person(script=False, size=PHONE)
    who.at(f"{USAGE}?range=7d")
    settled(who)
    who.click("#endpoints .only")
    narrowed = who.page.inner_text(".chips")
    who.click(".chips a")

    assert "GET /v1/orders/{id}" in narrowed
    assert 0 == who.page.locator(".chips").count()
    assert 390 == who.page.evaluate("document.documentElement.scrollWidth")


def test_figures_follow_what_comes_without_a_reload_and_lists_stay(place: Place) -> None:
    who = place.person()
    who.at(f"{USAGE}?range=24h")
    settled(who)
    was = who.page.locator("#kpis a strong").first.inner_text()
    who.page.evaluate("window.same = 1; document.querySelector('#endpoints').dataset.same = '1'")
    now = SystemClock().now().isoformat()
    told = {"method": "GET", "route": "/v1/new", "path": "/v1/new", "status": 200, "latency_ms": 12}
    sent = [
        {
            "transaction_id": f"live-{now}-{n}",
            "customer_id": "c-0",
            "event_type": TYPE,
            "timestamp": now,
            "properties": told,
        }
        for n in range(3)
    ]
    place.house.api("POST", "/events", sent)
    who.page.wait_for_function(
        "n => +document.querySelector('#kpis a strong').innerText.replace(',', '') === n",
        arg=int(was.replace(",", "")) + 3,
        timeout=LIMIT_MS,
    )

    assert 1 == who.page.evaluate("window.same")
    assert "1" == who.page.evaluate("document.querySelector('#endpoints').dataset.same")


def test_a_stroke_across_a_picture_looks_closer_at_that_time(place: Place) -> None:
    who = place.person()
    who.at(f"{USAGE}?range=7d&compare=0")
    settled(who)
    links = who.page.locator("#over-time .fields a").all()
    spans = [parse_qs(urlsplit(one.get_attribute("href")).query) for one in links]
    middles = [
        (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for one in links if (box := one.bounding_box())
    ]
    for begin, end in ((3, 1), (1, 3)):
        who.page.mouse.move(*middles[begin])
        who.page.mouse.down()
        who.page.mouse.move(*middles[2])
        who.page.mouse.move(*middles[end])
        who.page.mouse.up()
        who.page.wait_for_url("**/usage?*from=*")

        asked = parse_qs(urlsplit(who.page.url).query)
        assert (spans[1]["from"], spans[3]["to"], ["0"]) == (asked["from"], asked["to"], asked["compare"])
        who.page.go_back()
        settled(who)
