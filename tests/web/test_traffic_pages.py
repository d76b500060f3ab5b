"""Pages of requests: what they tell is what the events come to, every part leads on, and wrong addresses are told."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.access.as_event import TYPE
from heartfly.core.events import read as parsed
from heartfly.db.models import events
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.web.endpoint_address import address_of
from heartfly.web.state import WebState
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_usage_pages import ROOT, said, text

pytestmark = pytest.mark.anyio

HOSTILE = '"><script>alert(1)</script>'
ORDERS, ITEMS = "POST /v1/orders", "GET /v1/items/{id}"
YESTERDAY = START - timedelta(days=1)


def hit(n: int, at: datetime, endpoint: str = ITEMS, **told: Any) -> dict[str, Any]:
    method, _, route = endpoint.partition(" ")
    customer = told.pop("customer", f"c-{n % 3}")
    usual = {"method": method, "route": route, "path": route.replace("{id}", str(n)), "status": 200, "latency_ms": 20}
    return {
        "transaction_id": f"r-{n}", "customer_id": customer, "event_type": TYPE, "timestamp": at.isoformat(),
        "properties": {name: value for name, value in (usual | told).items() if value is not None},
    }  # fmt: skip


def hits() -> list[dict[str, Any]]:
    """Forty of items yesterday at ten, eight of orders an hour later, of which two failed and one was turned away."""
    found = [hit(n, YESTERDAY + timedelta(seconds=n)) for n in range(40)]
    status = {40: 500, 41: 503, 42: 429}
    return found + [
        hit(n, YESTERDAY + timedelta(hours=1, seconds=n), ORDERS, status=status.get(n, 201), latency_ms=1_500)
        for n in range(40, 48)
    ]


@pytest.fixture
async def owner(town: Town, web: WebState) -> Browser:
    await take(town, web, hits())
    return await town.owner()


async def take(town: Town, web: WebState, found: Sequence[dict[str, Any]]) -> None:
    """And they are summed up, as happens beside in earnest."""
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(found)), wire="native")
    api = web.api
    await Folder(api.usage, api.clock, api.ids, hands=Hands(beside=False)).round()


async def test_which_link_goes_to_the_shorter_and_the_longer_time_is_marked_for_its_key(owner: Browser) -> None:
    async def marked(query: str) -> dict[str, str]:
        links = re.findall(r'<a href="([^"]*)" data-key="([][])"', await page(owner, query))
        return {key: href.removeprefix(ROOT) for href, key in links}

    assert {"[": "?range=24h", "]": "?range=30d"} == await marked("")
    assert {"]": "?range=24h"} == await marked("?range=1h")
    assert {"[": "?range=7d", "]": "?range=90d"} == await marked("?range=30d")
    assert {} == await marked("?from=2026-03-01T00:00&to=2026-03-02T00:00")


async def page(browser: Browser, path: str = "", status: int = 200) -> str:
    reply = await browser.get(ROOT + path)
    assert status == reply.status, reply.body.decode()[-800:]
    return reply.body.decode()


async def table(browser: Browser, name: str, more: str = "") -> list[dict[str, str]]:
    reply = await browser.get(f"{ROOT}/traffic.csv?table={name}{more}")
    assert (200, "text/csv") == (reply.status, reply.headers["content-type"].partition(";")[0])
    assert f'attachment; filename="{name}.csv"' == reply.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(reply.body.decode())))


async def test_figures_files_and_events_agree(owner: Browser, web: WebState) -> None:
    shown, series = await text(owner, ""), await table(owner, "series")
    async with web.api.usage.read() as read:
        rows = (await read.execute(sa.select(events.c.properties))).scalars().all()
    told = [json.loads(row) for row in rows]
    by_status = Counter(one["status"] // 100 for one in told)

    assert len(told) == 48
    assert "Requests 48" in shown
    assert "Errors 6.25 %" in shown
    assert "server 4.17 % client 2.08 % 429: 1" in shown
    assert "Customers 3" in shown
    assert len(told) == sum(int(row["requests"]) for row in series)
    assert dict(by_status) == {n: total for n in (2, 4, 5) if (total := sum(int(row[f"{n}xx"]) for row in series))}
    for name in ("endpoints", "customers", "statuses"):
        assert len(told) == sum(int(row["requests"]) for row in await table(owner, name)), name
    assert len(told) == len(await table(owner, "requests"))


async def test_a_few_minutes_are_told_by_the_second(owner: Browser) -> None:
    span = "from=2026-03-01T10:00:15&to=2026-03-01T10:01"
    shown, series = await page(owner, f"?{span}"), await table(owner, "series", f"&{span}")

    assert [1] * 25 + [0] * 20 == [int(row["requests"]) for row in series]
    assert ("2026-03-01T10:00:15Z", "2026-03-01T10:00:16Z") == (series[0]["from_at"], series[0]["to_at"])
    assert "Sun 01 Mar 10:00:15" in said(shown.encode())
    assert 'step="1" value="2026-03-01T10:00:15"' in shown
    assert 11 * 60 == len(await table(owner, "series", "&from=2026-03-01T10:00&to=2026-03-01T10:11")) * 60


async def test_keys_are_counted_request_by_request_once_somebody_asks_for_it(
    owner: Browser, town: Town, web: WebState
) -> None:
    await take(town, web, [hit(100 + n, YESTERDAY, key="hf_live_xy") for n in range(3)])

    usual, asked = await page(owner), await page(owner, "?keys=1")

    assert "Count them" in said(usual.encode())
    assert f'href="{ROOT}?keys=1#keys"' in usual
    assert "hf_live_xy" not in usual
    assert "hf_live_xy 3" in said(asked.encode())
    assert 'name="keys" value="1"' in asked  # filters keep it


async def test_a_cell_leads_to_the_requests_of_its_endpoint_and_hour(owner: Browser) -> None:
    shown = await page(owner, "?from=2026-03-01&to=2026-03-02")
    (cell,) = [
        unescape(href)
        for href in re.findall(r'<td class="h\d few" data-at="11"><a href="([^"]+)"', shown)
        if "orders" in href
    ]
    found = await owner.get(cell)

    assert "8 requests from" in said(found.body)
    assert f"endpoint {ORDERS}" in said(found.body)
    assert 8 == found.body.decode().count("/usage/event?id=r-4")
    assert "from=2026-03-01T11%3A00%3A00Z&to=2026-03-01T12%3A00%3A00Z" in cell


async def test_every_filter_narrows_every_panel_and_can_be_taken_away(owner: Browser) -> None:
    shown = await page(owner, "?status=5xx&endpoint=POST+%2Fv1%2Forders&customer=c-1&range=24h")

    assert "Requests 1 " in said(shown.encode())
    assert f'href="{ROOT}?endpoint=POST+%2Fv1%2Forders&amp;customer=c-1&amp;range=24h"' in shown
    assert f'href="{ROOT}/requests?endpoint=POST+%2Fv1%2Forders&amp;customer=c-1&amp;status=5xx&amp;range=24h"' in shown
    assert '<input type="hidden" name="status" value="5xx">' in shown


async def test_the_time_before_is_as_long_as_what_has_passed(owner: Browser, town: Town, web: WebState) -> None:
    await take(town, web, [hit(n, YESTERDAY - timedelta(days=1)) for n in range(100, 124)])
    day = "?from=2026-03-01&to=2026-03-01"

    assert "Requests 48 +100 %" in await text(owner, day)
    assert "compared with Sat 2026-02-28 00:00 to Sun 2026-03-01 00:00" in await text(owner, day)
    assert "+100 %" not in await text(owner, f"{day}&compare=0")


async def test_what_is_wrong_in_an_address_is_told_by_its_field(owner: Browser) -> None:
    for query, said_of in (
        ("from=never", "From must be a day such as 2026-03-01"),
        ("from=2026-03-02&to=2026-03-01", "To must be later than from"),
        ("status=9xx", "Status must be a class such as 5xx"),
        ("method=G+T", "Method must be a method such as GET"),
        ("range=2y", "Range must be one of 1h"),
        ("heat=x", "Heat must be one of p95"),
        ("by=x", "By must be one of requests"),
        ("&".join(f"key={n}" for n in range(21)), "Key must be 20 values at most"),
    ):
        assert said_of in await text(owner, f"?{query}", 422), query
    assert 422 == (await owner.get(f"{ROOT}/traffic.csv?table=none")).status
    assert 422 == (await owner.get(f"{ROOT}/traffic.csv?from=never")).status
    assert 422 == (await owner.get(f"{ROOT}/endpoints?at=x")).status
    assert 422 == (await owner.get(f"{ROOT}/requests?before=x")).status
    made = (await owner.post(f"{ROOT}/customers", {"name": "Acme"})).headers["location"].partition("?")[0]
    assert 422 == (await owner.get(f"{made}?from=never")).status


async def test_a_customer_that_nobody_knows_spoils_no_page(owner: Browser) -> None:
    shown = await text(owner, "?customer=00000000-0000-4000-8000-000000000000")

    assert "there is no customer 00000000-0000-4000-8000-000000000000" in shown
    assert "Live, all requests" not in shown


async def test_a_filter_that_finds_nothing_offers_what_is_called_alike(owner: Browser) -> None:
    for path in ("", "/requests"):
        shown = await page(owner, f"{path}?endpoint=GET+/v1/item/%7Bid%7D&customer=acm")

        assert "There is no endpoint GET /v1/item/{id} . Did you mean GET /v1/items/{id} " in said(shown.encode())
        assert "There is no customer acm ." in said(shown.encode())
        assert f'href="{ROOT}{path}?endpoint=GET+%2Fv1%2Fitems%2F%7Bid%7D&amp;customer=acm"' in shown


async def test_a_goal_for_latency_is_drawn_and_told(owner: Browser) -> None:
    shown = await page(owner, "?slo=20")

    assert '<path class="slo"' in shown
    assert "over the goal of 20 ms in" in said(shown.encode())
    assert 'name="slo" inputmode="numeric" size="7" maxlength="9" autocomplete="off" value="20"' in shown


async def test_an_endpoint_has_a_page_and_those_not_called_are_listed(owner: Browser) -> None:
    address = address_of(ORDERS)
    shown, listed = (
        await text(owner, f"{address}?range=30d"),
        await text(owner, "/endpoints?from=2026-02-01&to=2026-02-02"),
    )

    assert "Requests 8" in shown
    assert "How long requests took" in shown
    assert "1,500 ms" in shown
    assert "Not called in this time GET /v1/items/{id} POST /v1/orders" in listed
    assert "No requests in this time" in await text(owner, f"{address}?from=2026-02-01&to=2026-02-02")
    assert 404 == (await owner.get(f"{ROOT}{address[:-1]}")).status
    assert f'href="{ROOT}{address}"' in await page(owner, "/endpoints")


async def test_pages_of_endpoints_and_requests_go_on(owner: Browser, town: Town, web: WebState) -> None:
    await take(town, web, [hit(n, YESTERDAY + timedelta(minutes=1), f"GET /many/{n}") for n in range(1_000, 1_060)])
    first = await page(owner, "/endpoints")
    following = re.findall(r'href="/p/main/usage(/endpoints\?at=50)"', first)
    older = re.findall(r'href="/p/main/usage(/requests\?before=[^"]+)">Older', await page(owner, "/requests"))

    assert ["/endpoints?at=50"] == following
    assert 12 == (await page(owner, following[0])).count('title="Only this endpoint"')
    assert "Newest" in await text(owner, older[0])


async def test_a_customer_page_has_his_requests(owner: Browser) -> None:
    made = await owner.post(f"{ROOT}/customers", {"name": "Acme", "alias": "c-1"})
    path = made.headers["location"].removeprefix(ROOT)
    shown = await text(owner, path)

    assert "Requests 1 h 24 h" in shown
    assert "Requests 16" in shown
    assert f"{ROOT}/requests?customer={path.rpartition('/')[2]}" in await page(owner, path)


async def test_a_project_without_requests_is_shown_how_a_first_one_comes(town: Town, web: WebState) -> None:
    browser = await town.owner()
    waits = await page(browser)
    await take(town, web, hits())
    reply = await browser.get(ROOT, headers=[("x-heartfly-live", "1")])

    assert "Waiting for the first request" in waits
    assert "heartfly usage import-logs --follow /var/log/nginx/access.log" in waits
    assert "ASGIRecorder(app, recorder" in unescape(waits)
    assert re.search(r'id="first" data-part data-again="\d"', waits)
    assert "The first request has come" in reply.body.decode()


async def test_an_open_page_asks_only_for_what_goes_on(owner: Browser) -> None:
    reply = await owner.get(ROOT, headers=[("x-heartfly-live", "1")])
    parts = re.findall(r'id="([\w-]+)" data-part', reply.body.decode())

    of_navigation = ["n-incidents", "n-channels"]  # on every page
    assert [*of_navigation, "first", "kpis", "over-time", "latency"] == parts
    assert re.search(r'id="kpis" data-part data-again="\d"', reply.body.decode())


async def test_names_run_nowhere_and_are_no_formulas(town: Town, web: WebState) -> None:
    at = YESTERDAY
    await take(town, web, [hit(1, at, f"GET /{HOSTILE}", customer=HOSTILE, key=HOSTILE, status=500, latency_ms=5_000)])
    await take(town, web, [hit(2, at, "=HYPERLINK(1) /x", customer="=1+1")])
    browser = await town.owner()

    for path in (
        "",
        "/endpoints",
        "/requests",
        address_of(f"GET /{HOSTILE}"),
        "?customer=%22%3E%3Cscript%3E&key=%3Cb%3E",
    ):
        assert "<script>alert" not in await page(browser, path), path
    assert "'=1+1" in {row["customer"] for row in await table(browser, "customers")}


async def test_a_viewer_sees_it_and_another_projects_people_do_not(owner: Browser, town: Town) -> None:
    viewer, stranger = await town.viewer(), await town.stranger()

    assert "Requests 48" in await text(viewer, "")
    for path in ("", "/endpoints", "/requests", "/traffic.csv", address_of(ORDERS)):
        assert 404 == (await stranger.get(ROOT + path)).status, path
    there = await stranger.get("/p/next-door/usage")
    assert "Waiting for the first request" in there.body.decode()
    assert 404 == (await stranger.get(f"/p/next-door/usage{address_of(ORDERS)}")).status
