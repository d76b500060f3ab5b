"""Pages of calls to other people's APIs: they tell what the events come to, currencies apart, to the last digit."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.core.amounts import ONE
from heartfly.core.calls import TYPE
from heartfly.core.events import read as parsed
from heartfly.core.limits.scope import Call
from heartfly.core.money import rate
from heartfly.core.prices import ALWAYS
from heartfly.db.models import price_books, prices
from heartfly.limits.asked import Asked, wanted_of
from heartfly.limits.commands import create
from heartfly.web import usage_apis
from heartfly.web.state import WebState
from tests.calls.bill import readings
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_traffic_pages import take
from tests.web.test_usage_pages import ROOT, said, text

pytestmark = pytest.mark.anyio

HOSTILE = '=cmd"><script>alert(1)</script>'
TARIFFS = (
    ("openai", "gpt-5", "input_tokens", "0.00000125", "USD"),
    ("openai", "gpt-5", "output_tokens", "0.00001", "USD"),
    ("mapbox", "*", "requests", "0.0007", "EUR"),
)
YESTERDAY = START - timedelta(days=1)


def call(n: int, at: datetime, provider: str = "openai", model: str = "gpt-5", **told: Any) -> dict[str, Any]:
    customer = told.pop("customer", f"c-{n % 2}")
    usual = {"status": "200", "latency_ms": "840", "key": "prod", "user": "ada", "tags": "search"}
    return {
        "transaction_id": f"call-{n}", "customer_id": customer, "event_type": TYPE, "timestamp": at.isoformat(),
        "properties": {"provider": provider, "model": model} | {
            name.replace("__", "."): str(value) for name, value in (usual | told).items()
        },
    }  # fmt: skip


def calls() -> list[dict[str, Any]]:
    """Of yesterday: eight of gpt-5 of which two failed, three of mapbox, and one whose units have no price."""
    found = [
        call(n, YESTERDAY + timedelta(minutes=n), units__input_tokens=1_001 + n, units__output_tokens=7)
        for n in range(6)
    ]
    found += [call(n, YESTERDAY + timedelta(minutes=n), status=429, error="slow down") for n in range(6, 8)]
    found += [call(n, YESTERDAY + timedelta(minutes=n), "mapbox", "geocoding", user="") for n in range(8, 11)]
    return [*found, call(11, YESTERDAY, HOSTILE, HOSTILE, units__characters=40, customer=HOSTILE)]


DOLLARS = sum(((1_001 + n) * Decimal("0.00000125") + 7 * Decimal("0.00001") for n in range(6)), Decimal())
EUROS = 3 * Decimal("0.0007")


@pytest.fixture
async def owner(town: Town, web: WebState) -> Browser:
    pid, api = town.world.project.pid, web.api
    rows = [
        {
            "pid": pid, "id": api.ids.next(START), "provider": provider, "product": product, "unit": unit, "tier": "",
            "condition": "", "from_at": ALWAYS, "to_at": None, "amount": rate(amount), "currency": currency,
            "source": "hand", "created_at": START,
        }
        for provider, product, unit, amount, currency in TARIFFS
    ]  # fmt: skip
    await api.usage.write(lambda tx: tx.conn.execute(sa.insert(prices), rows).rowcount)
    book = {"pid": pid, "seq": api.ids.next(START), "changed_at": START}
    await api.usage.write(lambda tx: tx.conn.execute(sa.insert(price_books).values(book)).rowcount)
    await take(town, web, calls())
    return await town.owner()


async def table(browser: Browser, name: str, more: str = "") -> list[dict[str, str]]:
    reply = await browser.get(f"{ROOT}/calls.csv?table={name}{more}")
    assert (200, "text/csv") == (reply.status, reply.headers["content-type"].partition(";")[0])
    assert f'attachment; filename="{name}.csv"' == reply.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(reply.body.decode())))


def total(rows: list[dict[str, str]], column: str) -> Decimal:
    return sum((Decimal(row[column] or "0") for row in rows), Decimal())


@pytest.mark.parametrize("page", ["apis", "costs"])
async def test_before_the_first_call_a_page_shows_how_one_is_told(town: Town, page: str) -> None:
    owner, viewer = await town.owner(), await town.viewer()

    shown = await text(owner, f"/{page}")

    assert "Waiting for the first call" in shown
    assert "client = httpx.Client(event_hooks=calls.httpx_hooks())" in shown
    assert '"event_type": "api.call"' in shown
    assert "made in Settings" in shown
    assert "made in Settings" not in await text(viewer, f"/{page}")


async def test_figures_tables_and_files_agree_with_decimals_over_the_events(owner: Browser) -> None:
    shown, costs = await text(owner, "/apis?range=7d"), await text(owner, "/costs")

    assert "Calls 12" in shown
    assert "Errors 16.67 %" in shown
    assert "Cost, EUR 0.0021 " in shown
    assert "Cost, USD 0.00795 " in shown
    assert "Without a price 1 of 12 calls" in shown
    assert re.search(r"openai gpt-5 8 66\.67 % 25 %", shown), shown
    assert "EUR 0.0021 in all, the most at Sun 01 Mar (EUR 0.0021)." in costs
    assert "mapbox" in costs
    for name in ("by", "products", "costs", "series"):
        rows = await table(owner, name)
        assert [12, 2, 1] == [int(total(rows, column)) for column in ("calls", "failed", "without_price")], name
        assert (DOLLARS, EUROS) == (total(rows, "cost_USD"), total(rows, "cost_EUR")), name
        assert 6_021 == total(rows, "units.input_tokens"), name


async def test_currencies_stand_side_by_side_and_are_in_no_sum_together(owner: Browser) -> None:
    (dollars,) = [row for row in await table(owner, "by") if row["provider"] == "openai"]
    shown = await text(owner, "/costs")

    assert (str(DOLLARS), "") == (dollars["cost_USD"], dollars["cost_EUR"])
    assert re.search(r"Provider EUR, share, than before USD, share, than before Calls", shown), shown
    assert re.search(r"mapbox 0\.0021 100 % new – 3", shown), shown
    assert re.search(r"openai – 0\.00795 100 % new 8", shown), shown


async def test_what_has_no_price_is_listed_and_costs_nothing_that_is_known(owner: Browser) -> None:
    shown = await text(owner, "/costs")
    (row,) = await table(owner, "unpriced")

    assert f"{HOSTILE} {HOSTILE} 1 of 1 characters (1), requests (1)" in shown
    assert ("1", "characters requests", "2026-03-01T10:00:00Z") == (row["without_price"], row["units"], row["first_at"])
    assert f"'{HOSTILE}" == row["provider"]  # no formula
    assert "<script>alert" not in (await owner.get(f"{ROOT}/costs")).body.decode()
    assert "<script>alert" not in (await owner.get(f"{ROOT}/apis?range=7d")).body.decode()


async def test_every_filter_narrows_all_parts_and_can_be_taken_away(owner: Browser) -> None:
    page = (await owner.get(f"{ROOT}/apis?range=7d&provider=openai&status=4xx")).body.decode()

    assert "Calls 2 " in said(page.encode())
    assert f'href="{ROOT}/apis?range=7d&amp;status=4xx"' in page
    assert 2 == total(await table(owner, "series", "&provider=openai&status=4xx"), "calls")
    assert 3 == total(await table(owner, "by", "&user=none"), "calls")  # those that named nobody
    assert 12 == total(await table(owner, "by", "&key=prod&tag=search"), "calls")
    assert 0 == total(await table(owner, "by", "&model=another"), "calls")


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("model", {"gpt-5": "8", "geocoding": "3", f"'{HOSTILE}": "1"}),
        ("customer", {"c-0": "6", "c-1": "5", f"'{HOSTILE}": "1"}),
        ("user", {"ada": "9", "": "3"}),
        ("key", {"prod": "12"}),
        ("tag", {"search": "12"}),
        ("status", {"200": "10", "429": "2"}),
        ("endpoint", {"": "8"}),
    ],
)
async def test_costs_are_told_apart_by_whatever_calls_named(
    owner: Browser, by: str, expected: Mapping[str, str]
) -> None:
    rows = await table(owner, "by", f"&by={by}")
    page = (await owner.get(f"{ROOT}/costs?by={by}")).body.decode()

    name = "name" if by == "customer" else by
    assert (
        expected.items() <= {row[name]: row["calls"] for row in sorted(rows, key=lambda row: int(row["calls"]))}.items()
    )
    assert 'aria-current="true"' in page
    assert f"By {by}" in said(page.encode())


async def test_costs_over_time_are_by_day_week_or_month_of_the_projects_zone(owner: Browser) -> None:
    days, weeks, months = [await table(owner, "costs", f"&step={step}") for step in ("day", "week", "month")]

    assert (30, 6, 2) == (len(days), len(weeks), len(months))
    assert {DOLLARS} == {total(rows, "cost_USD") for rows in (days, weeks, months)}
    assert [row["from_at"] for row in weeks[1:]] == [
        f"2026-{day}T00:00:00Z" for day in ("02-02", "02-09", "02-16", "02-23", "03-02")
    ]
    assert "by week" in await text(owner, "/costs?step=week")


async def test_a_customers_page_and_the_overview_tell_what_calls_cost(town: Town, owner: Browser) -> None:
    known = (await owner.post(f"{ROOT}/customers", {"name": "Acme", "alias": "c-0"})).headers["location"]
    uuid = known.rpartition("/")[2]

    page = (await owner.get(known)).body.decode()
    his = await table(owner, "by", f"&customer={uuid}")

    assert "Calls to external APIs on this customer’s behalf" in said(page.encode())
    assert f'href="{ROOT}/costs?customer={uuid}&amp;provider=openai&amp;by=model"' in page
    assert 6 == total(his, "calls")
    assert re.search(r"openai 4 USD 0\.0\d+ –", said(page.encode())), said(page.encode())
    await owner.post(f"{ROOT}/customers", {"name": "Other", "alias": "nobody-calls"})


@pytest.mark.parametrize(
    ("query", "field", "what"),
    [
        ("range=2h", "range", "must be one of 1h"),
        ("from=soon", "from", "must be a day such as"),
        ("status=9xx", "status", "must be 1xx to 5xx"),
        ("by=weather", "by", "must be one of provider"),
        ("step=hour", "step", "must be one of day"),
        ("provider=" + "&provider=".join(map(str, range(21))), "provider", "must be 20 values at most"),
    ],
)
async def test_what_is_wrong_in_the_address_is_said_by_its_field(
    owner: Browser, query: str, field: str, what: str
) -> None:
    reply, file = await owner.get(f"{ROOT}/costs?{query}"), await owner.get(f"{ROOT}/calls.csv?{query}")

    assert 422 == reply.status
    assert what.lower() in said(reply.body).lower()
    assert f'id="{field}-wrong"' in reply.body.decode()
    assert 422 == file.status
    assert 422 == (await owner.get(f"{ROOT}/calls.csv?table=none")).status


async def test_nobody_sees_the_calls_of_another_project(town: Town, owner: Browser) -> None:
    stranger = await town.stranger()

    theirs = said((await stranger.get("/p/next-door/usage/costs")).body)
    refused = [(await stranger.get(f"{ROOT}/{page}")).status for page in ("apis", "costs", "calls.csv")]

    assert "Waiting for the first call" in theirs
    assert [404, 404, 404] == refused


async def test_single_calls_are_told_a_page_at_a_time_with_what_each_used_and_cost(
    owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_apis, "PAGE", 5)

    first = (await owner.get(f"{ROOT}/apis?range=7d")).body.decode()
    (older,) = re.findall(r'href="([^"]+before=[^"]+)#recent">Older', first)
    second = (await owner.get(unescape(older))).body.decode()
    ids = [re.findall(r"event\?id=(call-\d+)", page) for page in (first, second)]

    assert [[f"call-{n}" for n in (10, 9, 8, 7, 6)], [f"call-{n}" for n in (5, 4, 3, 2, 1)]] == ids
    assert "EUR 0.0007" in said(first.encode())
    assert "1,006 input tokens, 7 output tokens, 1 request USD 0.00133" in said(second.encode())
    assert "429 slow down" in said(first.encode())
    assert "Older calls" in said(second.encode())
    by_itself = await owner.get(f"{ROOT}/apis?range=7d", headers=[("X-Heartfly-Live", "1")])
    assert (200, True) == (by_itself.status, "Single calls" not in said(by_itself.body))  # what one reads stays
    assert 422 == (await owner.get(f"{ROOT}/apis?before=x")).status


async def test_limits_stand_by_provider_and_model_and_follow_the_filter(
    web: WebState, town: Town, owner: Browser
) -> None:
    pid, api = town.world.project.pid, web.api
    for amount, scope in (("4", {"provider": "openai", "user": "each"}), ("10", {"provider": "each"})):
        wanted = wanted_of(Asked(kind="rolling", period_s=3_600, amount=amount, scope=scope), zone="UTC")
        await api.usage.write(lambda tx, w=wanted: create(tx, pid, w, actor=CLI, at=START, ids=api.ids))  # type: ignore[misc]
    for provider in ("openai", "openai", "openai", "mapbox"):
        call_of = Call(provider=provider, model="m", user="ada")
        await api.checker.check(pid, call_of, {"requests": ONE}, reserve=True)

    page = (await owner.get(f"{ROOT}/apis")).body.decode()
    rows = re.findall(r'<td class="wrap"><bdi>(\w+)</bdi></td>.*?(\d+) %</td>', page[page.index('id="limits"') :])
    assert [("mapbox", "10"), ("openai", "75")] == rows  # where the more special one holds, the other counts nothing
    narrowed = (await owner.get(f"{ROOT}/apis?provider=mapbox")).body.decode()
    assert 1 == narrowed[narrowed.index('id="limits"') :].count("<meter")


async def test_a_forecast_says_that_there_is_not_enough_data_or_what_it_foresees_within_which_range(
    town: Town, web: WebState, owner: Browser
) -> None:
    few = await text(owner, "/costs")
    days = [
        call(100 + n, START - timedelta(days=n), units__input_tokens=1, cost="2.5", currency="USD")
        for n in range(1, 21)
    ]
    await take(town, web, days)

    enough = await text(owner, "/costs?period=week")

    assert "not enough data: it takes 14 whole days since the first call that cost USD" in few
    assert "What this week will have cost" in enough
    assert re.search(r"USD 0\.00 17\.50 1[67]\.\d+ to 1[78]\.\d+", enough), enough


async def test_of_tags_shares_are_of_all_calls_each_once(town: Town, web: WebState, owner: Browser) -> None:
    both = [call(200 + n, YESTERDAY, model="m", tags="a, b", cost="1", currency="CHF") for n in range(2)]
    await take(town, web, both)

    shown = await text(owner, "/costs?by=tag&model=m")

    assert "A call with several tags counts with each of them" in shown
    assert re.search(r"a 2\.00 100 % new 2 0 % – b 2\.00 100 % new 2", shown), shown


@pytest.mark.parametrize(("page", "most"), [("costs", 1), ("apis", 3), ("apis?provider=openai&range=7d", 2)])
async def test_what_is_not_folded_yet_is_read_once_for_all_parts_of_a_page(
    town: Town, web: WebState, owner: Browser, page: str, most: int
) -> None:
    late = [call(20 + n, START - timedelta(minutes=90 - n), units__input_tokens=1_000) for n in range(40)]
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(late)), wire="native")

    with readings() as said:
        await owner.get(f"{ROOT}/{page}")

    # The list of single calls goes through them by itself, and a day back from now begins within an hour.
    assert len(said) <= most
    assert said
