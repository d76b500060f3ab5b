"""Limits in the browser: an example out of real traffic, tried before it is saved; and how each stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.limits.scope import Call
from heartfly.limits import commands
from heartfly.limits.asked import Asked, wanted_of
from heartfly.web.state import WebState
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_usage_pages import said, text
from tests.world import TEST

pytestmark = pytest.mark.anyio

PATH = "/p/main/usage/limits"


@pytest.fixture
async def called(town: Town, web: WebState) -> Town:
    """Ten calls of an hour to one provider, two to another."""
    found: list[Any] = [
        {
            "transaction_id": f"t-{n}", "customer_id": f"c-{n % 2}", "event_type": "api.call",
            "timestamp": (START - timedelta(hours=2)).isoformat(),
            "properties": {"provider": "openai" if n < 10 else "other", "ratelimit.requests.remaining": "59"},
        }
        for n in range(12)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, found, wire="native")
    return town


async def check(town: Town, web: WebState, customer: str, n: int = 1) -> None:
    for _ in range(n):
        await web.api.checker.check(
            town.world.project.pid, Call(provider="openai", customer=customer), {"requests": ONE}, reserve=True
        )


async def made(browser: Browser, **typed: str) -> str:
    """Where its page is."""
    reply = await browser.post(PATH, await fields_of(browser, PATH) | typed)
    assert 303 == reply.status, said(reply.body)
    return str(reply.headers["location"])


async def test_without_limits_the_form_holds_one_out_of_real_traffic_that_is_not_saved(called: Town) -> None:
    owner = await called.owner()

    shown = await text(owner, "/limits")
    fields = await fields_of(owner, PATH)

    assert "a fifth above its busiest hour of late (10 calls). It is not saved." in shown
    assert ("13", "requests", "3600", "openai", "") == tuple(
        fields[name] for name in ("amount", "unit", "period_s", "provider", "customer")
    )
    assert "New limit" not in await text(await called.viewer(), "/limits")
    assert "openai – requests.remaining 59" in shown


async def test_without_calls_the_form_holds_an_example_all_the_same(town: Town) -> None:
    owner = await town.owner()

    assert "The form holds an example, which is not saved." in await text(owner, "/limits")
    assert "1000" == (await fields_of(owner, PATH))["amount"]


async def test_a_limit_is_tried_on_the_last_week_and_nothing_is_saved(called: Town) -> None:
    owner = await called.owner()

    tried = await owner.post(PATH, await fields_of(owner, PATH) | {"amount": "3", "customer": "each", "try": "1"})

    shown = said(tried.body)
    assert 200 == tried.status
    assert "3 requests in any hour for each customer, provider openai" in shown
    assert "It would have denied 4 of 10 calls that it is for, out of 12" in shown
    assert "c-0 2 3" in shown
    assert "No limits yet" in await text(owner, "/limits")


async def test_a_limit_is_saved_and_tells_how_it_stands_and_who_was_denied(called: Town, web: WebState) -> None:
    owner = await called.owner()
    page = await made(owner, amount="4", customer="each", provider="")
    await check(called, web, "acme", 5)
    await check(called, web, "other", 3)

    shown = await text(owner, "/limits")
    assert "4 requests in any hour for each customer Reached 100 % 4 0 acme of 2 8 1" in shown
    one = await text(owner, page.removeprefix("/p/main/usage"))
    assert "acme Reached 100 % 4 4 0 other Room 75 % 3 3 1" in one
    assert "acme (last: provider openai , customer acme )" in one


async def test_a_limit_is_edited_paused_and_deleted_and_what_was_used_stays(called: Town, web: WebState) -> None:
    owner = await called.owner()
    page = await made(owner, kind="rate", amount="6", period_s="60", burst="2", provider="")
    await check(called, web, "acme", 2)

    fields = await fields_of(owner, page) | {"amount": "60", "burst": "4", "name": "Calls"}
    fields.pop("active")
    assert 303 == (await owner.post(page, fields)).status
    shown = await text(owner, page.removeprefix("/p/main/usage"))
    assert "Calls paused" in shown
    assert "60 requests per minute, at most 4 at once" in shown
    assert "all together Room 50 % 2 2 2" in shown
    stale = await owner.post(page, fields)
    assert (409, True) == (stale.status, "somebody changed the limit" in said(stale.body).lower())
    assert 303 == (await owner.post(page, {"do": "delete"})).status
    assert 404 == (await owner.get(page)).status
    assert "No limits yet" in await text(owner, "/limits")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"amount": "many"}, "How much must be a decimal"),
        ({"kind": "calendar", "window": "decade"}, "Window must be one of"),
        ({"period_s": "soon"}, "Period must be a whole number"),
        ({"provider": "x" * 300}, "Provider must be *, each, or a value"),
        ({"policy": "nonsense"}, "Policy must begin with how much"),
        ({"unit": "Odd!"}, "Unit must be such as requests"),
    ],
)
async def test_what_is_no_limit_is_told_beside_its_field_and_what_was_typed_stays(
    town: Town, typed: dict[str, str], message: str
) -> None:
    owner = await town.owner()

    reply = await owner.post(PATH, await fields_of(owner, PATH) | typed)

    assert (422, True) == (reply.status, message in said(reply.body)), said(reply.body)
    name, value = next(iter(typed.items()))
    assert name == "window" or f'name="{name}"' in reply.body.decode()
    assert value in reply.body.decode() or name == "window"


async def test_a_second_limit_for_the_same_calls_is_refused_in_words(town: Town) -> None:
    owner = await town.owner()
    await made(owner)

    reply = await owner.post(PATH, await fields_of(owner, PATH) | {"provider": ""})

    assert (409, True) == (reply.status, "is for the same calls, unit and window" in said(reply.body))


async def test_a_policy_of_one_line_and_windows_of_the_calendar_are_taken(town: Town) -> None:
    owner = await town.owner()

    page = await made(owner, policy="250;w=86400;u=cents;s=user", provider="")
    assert "2.50 USD in any day for each user" in await text(owner, page.removeprefix("/p/main/usage"))
    page = await made(owner, kind="calendar", window="month", unit="cost:EUR", amount="5.5", on_failure="deny")
    shown = await text(owner, page.removeprefix("/p/main/usage"))
    assert "5.50 EUR each month" in shown


async def test_limits_and_counters_come_page_by_page(
    called: Town, web: WebState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.web.usage_limits.PAGE", 1)
    monkeypatch.setattr("heartfly.web.usage_limits.COUNTERS", 1)
    owner = await called.owner()
    page = await made(owner, amount="4", customer="each", provider="")
    await made(owner, amount="5", period_s="60", provider="")
    for customer, n in (("a", 2), ("b", 1)):
        await check(called, web, customer, n)

    for path, first, second in (
        (PATH, "4 requests in any hour", "5 requests in any minute"),
        (page, "a Room 50 % 2", "b Room 25 % 1"),
    ):
        reply = await owner.get(path)
        more = reply.body.decode().rpartition('">More</a>')[0].rpartition('href="')[2]
        following = said((await owner.get(more)).body)
        assert (True, False, False, True) == (
            first in said(reply.body), second in said(reply.body), first in following, second in following,
        )  # fmt: skip
    for wrong in (f"{page}?after=x", f"{PATH}?after=x", f"{page}?after=Y291bnRlcnMsWy0xLCJhIl0"):
        assert 422 == (await owner.get(wrong)).status


async def test_a_limit_that_something_else_makes_is_not_changed_here(
    town: Town, web: WebState, clock: SimClock
) -> None:
    pid, at, ids = town.world.project.pid, clock.now(), town.world.ids
    wanted = wanted_of(Asked(policy="5;w=60"), zone="UTC")
    of_budget = commands.Wanted(name="Budget", limit=wanted.limit, source="budget:7")
    limit = await web.api.usage.write(lambda tx: commands.provide(tx, pid, of_budget, actor=TEST, at=at, ids=ids))
    owner = await town.owner()

    shown = await text(owner, f"/limits/{limit}")
    assert "It is made by a budget" in shown
    assert "Change it" not in shown
    assert 409 == (await owner.post(f"{PATH}/{limit}", {"do": "delete"})).status
