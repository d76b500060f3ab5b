"""Prices in the browser: filtered, added with a preview, changed from an instant on, and told over time."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from heartfly.web import usage_prices
from heartfly.web.state import WebState
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_usage_pages import said, text

pytestmark = pytest.mark.anyio

PATH = "/p/main/usage/prices"
FORM = {"provider": "OpenAI", "product": "gpt", "unit": "input_tokens", "amount": "0.000002", "currency": "usd"}


@pytest.fixture
async def called(town: Town, web: WebState) -> Town:
    """Two calls, one of which tells its own cost."""
    found: list[Any] = [
        {
            "transaction_id": f"c-{n}", "customer_id": "acme", "event_type": "api.call",
            "timestamp": (START - timedelta(hours=n)).isoformat(),
            "properties": {"provider": "openai", "model": "gpt", "units.input_tokens": "1000"} | more,
        }
        for n, more in enumerate([{}, {"cost": "1", "currency": "USD"}], 1)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, found, wire="native")
    return town


async def add(browser: Browser, **more: str) -> str:
    """The address of the new price."""
    reply = await browser.post(f"{PATH}/new", await fields_of(browser, f"{PATH}/new") | FORM | more)
    assert 303 == reply.status, said(reply.body)
    return reply.headers["location"].partition("?")[0]


async def test_without_prices_one_is_proposed_out_of_calls_that_came(town: Town, called: Town) -> None:
    owner = await town.owner()
    shown = await text(owner, "/prices")
    assert "No prices yet" in shown
    assert "Your calls use input_tokens of gpt at openai ." in shown, shown
    (link,) = set(re.findall(r'href="([^"]*/prices/new\?[^"]*)">Say', (await owner.get(PATH)).body.decode()))
    form = (await owner.get(link.replace("&amp;", "&"))).body.decode()
    for name, value in (("provider", "openai"), ("product", "gpt"), ("unit", "input_tokens")):
        assert re.search(rf'name="{name}"[^>]* value="{value}"', form)
    assert "Say what one costs" not in await text(await called.viewer(), "/prices")


async def test_a_preview_tells_what_calls_would_cost_and_adds_nothing(called: Town) -> None:
    owner = await called.owner()
    reply = await owner.post(f"{PATH}/new", await fields_of(owner, f"{PATH}/new") | FORM | {"preview": "1"})
    shown = said(reply.body)

    assert 200 == reply.status
    assert "Calls since ever: 2 that it is about, 1 of which would cost otherwise." in shown, shown
    assert "1 call has no known cost now, and would have one." in shown
    assert "1 call tells its own cost, which stays." in shown
    assert "USD 0 0.002" in shown
    assert "No prices yet" in await text(owner, "/prices")


async def test_another_amount_from_an_instant_on_is_foreseen_and_then_holds(called: Town) -> None:
    owner = await called.owner()
    page = await add(owner)
    assert "0.000002 USD 2 a million" in said((await owner.get(page)).body)
    sent = await fields_of(owner, page) | {"do": "reprice", "amount": "0.000003", "from": "2026-01-01"}
    foreseen = await owner.post(page, sent)
    assert "USD 0.002 0.003" in said(foreseen.body)
    assert "0.000003" not in said((await owner.get(page)).body)

    done = await owner.post(page, sent | {"sure": "1"})
    assert 303 == done.status
    now = done.headers["location"]
    shown = said((await owner.get(now)).body)
    assert "Saved." in shown
    assert "always" in shown
    assert "in force 2026" not in shown
    assert (2, 1) == (shown.count(" a million hand"), shown.count("in force "))

    other = now.partition("?")[0]
    ended = await owner.post(other, sent | {"do": "end", "to": "2027-01-01", "sure": "1"})
    assert 303 == ended.status
    assert "2027-01-01" in said((await owner.get(other)).body)
    gone = await owner.post(other, sent | {"do": "delete"})
    assert "1 call has a known cost now, and would have none." in said(gone.body)
    assert 303 == (await owner.post(other, sent | {"do": "delete", "sure": "1"})).status
    assert 404 == (await owner.get(other)).status


async def test_a_list_is_filtered_and_paged(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_prices, "PAGE", 2)
    owner = await town.owner()
    for unit in ("input_tokens", "output_tokens", "pages"):
        await add(owner, unit=unit)
    await add(owner, provider="maps", product="", unit="requests", **{"from": "2026-02-01", "to": "2026-02-05"})

    first = await text(owner, "/prices")
    assert "4 prices" in first
    assert ("every product" in first, "output_tokens" in first) == (True, False)
    (more,) = re.findall(rf'href="{PATH}(\?after=[^"]+)"', (await owner.get(PATH)).body.decode())
    assert "output_tokens" in await text(owner, f"/prices{more}")
    assert "1 price," in await text(owner, "/prices?unit=pages")
    assert "1 price," in await text(owner, "/prices?provider=Maps&at=2026-02-03")
    assert "Nothing that fits" in await text(owner, "/prices?provider=Maps&at=2026-02-05")
    assert "must be a day" in await text(owner, "/prices?at=soon", 422)


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("provider", ""),
        ("unit", "a b"),
        ("amount", "1e-6"),
        ("currency", "UDS"),
        ("tier", "a b"),
        ("condition", "at night"),
        ("from", "soon"),
        ("to", "1999-01-01"),
    ],
)
async def test_what_is_wrong_is_told_at_its_field(town: Town, field: str, typed: str) -> None:
    owner = await town.owner()
    sent = await fields_of(owner, f"{PATH}/new") | FORM | {"from": "2026-01-01", field: typed}
    reply = await owner.post(f"{PATH}/new", sent)

    assert (422, True) == (reply.status, f'id="{field}-wrong"' in reply.body.decode())


async def test_a_price_that_overlaps_is_refused_and_a_change_says_what_is_wrong(town: Town) -> None:
    owner = await town.owner()
    page = await add(owner)
    sent = await fields_of(owner, f"{PATH}/new") | FORM
    assert 422 == (await owner.post(f"{PATH}/new", sent)).status
    of_it = await fields_of(owner, page)
    for wrong, field in (
        ({"do": "reprice", "amount": "2"}, "from"),
        ({"do": "reprice", "amount": "x", "from": "2026-01-01"}, "amount"),
        ({"do": "end", "to": "later"}, "to"),
    ):
        reply = await owner.post(page, of_it | wrong)
        assert (422, True) == (reply.status, f'id="{field}-wrong"' in reply.body.decode())
    assert 422 == (await owner.post(page, of_it | {"do": "burn"})).status
    viewer = await town.viewer()
    assert "Change it" not in said((await viewer.get(page)).body)
