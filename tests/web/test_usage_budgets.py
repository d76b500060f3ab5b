"""Budgets in the browser: how each stands, the form with its errors beside the fields, and what can be done to one."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from heartfly.budgets.look import look
from heartfly.db.ids import IdSource
from heartfly.usage.ingest import EventIngest
from heartfly.web.state import WebState
from tests.calls.bill import readings
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

ROOT = "/p/main/usage/budgets"
FORM = {
    "name": "Models",
    "currency": "usd",
    "amount": "100",
    "auto_renew": "1",
    "thresholds": "50, 80",
    "period": "monthly",
}
NUMBER = iter(range(1, 1_000_000))


def text_of(page: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


async def call(town: Town, events: EventIngest, cost: str, **told: str) -> None:
    event: dict[str, Any] = {
        "transaction_id": f"call-{next(NUMBER)}",
        "customer_id": "acme",
        "timestamp": told.pop("at", "2026-03-02T09:00:00Z"),
        "event_type": "api.call",
        "properties": {"provider": "openai", "model": "gpt-5", "cost": cost, "currency": "USD"} | told,
    }
    found = await events.take(town.world.project.pid, [event], wire="native", source="")
    assert ["accepted"] == [one.outcome.value for one in found]


@pytest.fixture
def events(web: WebState) -> EventIngest:
    return web.api.events


async def made(owner: Browser, **more: str) -> str:
    reply = await owner.post(f"{ROOT}/new", FORM | more)
    assert 303 == reply.status, reply.body.decode()
    return str(reply.headers["location"].rpartition("/")[2])


async def read(browser: Browser, path: str) -> str:
    reply = await browser.get(path)
    assert 200 == reply.status, path
    return text_of(reply.body.decode())


async def test_without_budgets_an_example_out_of_what_was_spent_stands_there_and_is_not_saved(
    town: Town, events: EventIngest
) -> None:
    owner = await town.owner()
    assert "No call has a cost yet" in await read(owner, ROOT)
    await call(town, events, "41.5")
    page = (await owner.get(ROOT)).body.decode()

    assert "In the last 30 days 41.50 USD were spent" in text_of(page)
    assert "50.00 USD" in text_of(page)
    (link,) = re.findall(r'href="([^"]+/new\?[^"]+)"', page)
    form = (await owner.get(unescape(link))).body.decode()
    assert 'value="50"' in form
    assert 'value="USD"' in form
    assert "No budgets yet" in await read(owner, ROOT)
    assert "Begin with it" not in await read(await town.viewer(), ROOT)


async def test_the_list_and_the_page_say_what_is_spent_and_left_and_when_it_runs_out(
    town: Town, events: EventIngest, clock: SimClock
) -> None:
    clock.move_to(START + timedelta(days=4))
    owner = await town.owner()
    for day in range(2, 6):
        await call(town, events, "10", at=f"2026-03-0{day}T09:00:00Z")
    budget = await made(owner, allocations="provider openai = 30\nmodel gpt-5 = 60", low_days="9")
    await made(owner, name="Maps", amount="", thresholds="", period="unlimited")

    listed, page = await read(owner, ROOT), await read(owner, f"{ROOT}/{budget}")

    for said in ("40.00 USD", "of 100.00 USD, 40 %", "60.00 USD", "10.00 USD", "2026-03-12", "nobody", "at 50, 80 %"):
        assert said in listed, said
    assert "All in USD 40.00 USD of 100.00 USD 60.00 USD left" in " ".join(listed.split())
    for said in (
        "Now: 2026-03-01 to 2026-03-31", "40 % of 100.00 USD", "2026-03-12", "provider openai", "133 %", "-10.00 USD",
        "the part of provider openai is spent", "runs out before its period ends", "Today so far is hollow",
    ):  # fmt: skip
        assert said in page, said
    svg = (await owner.get(f"{ROOT}/{budget}")).body.decode()
    assert '<rect class="v" width="240.0" height="12"/>' in svg
    assert "style=" not in svg

    await call(town, events, "10", at="2026-03-05T10:00:00Z")
    listed = " ".join((await read(owner, ROOT)).split())
    assert "50.00 USD of 100.00 USD, 50 %" in listed
    assert "All in USD 50.00 USD of 100.00 USD 50.00 USD left" in listed  # nobody has looked since


async def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(town: Town) -> None:
    owner = await town.owner()
    for sent, field, said in (
        ({"name": ""}, "name", "must not be empty"),
        ({"amount": "1,5"}, "amount", "must be an amount above 0"),
        ({"currency": "XXZ"}, "currency", "must be the code of a currency"),
        ({"thresholds": "50, x"}, "thresholds", "must be a whole number"),
        ({"scope": "planet = mars"}, "scope", "has only provider"),
        ({"scope": "openai"}, "scope", "line 1 must be such as"),
        ({"allocations": "provider a = 1\nopenai = 5"}, "allocations", "line 2 must be such as"),
        ({"allocations": "provider a = 101"}, "allocations", "which is more than 100 USD"),
        ({"allocations": "provider a = x"}, "allocations", "must be an amount above 0"),
        ({"spike_percent": "200"}, "spike_least", "must be an amount above 0"),
        ({"spike_least": "2"}, "spike_percent", "must be a whole number"),
        ({"low_days": "367"}, "low_days", "must be 1 to 366"),
        ({"period": "custom"}, "every_days", "must be 1 to 3660"),
        ({"period": "project"}, "ends_on", "is needed for a project"),
        ({"starts_on": "soon"}, "starts_on", "must be a day such as"),
    ):
        reply = await owner.post(f"{ROOT}/new", FORM | sent)
        page = reply.body.decode()
        assert (422, True) == (reply.status, f'id="{field}-wrong"' in page), (sent, text_of(page))
        assert said in text_of(page), (sent, said)
        assert all(value.strip() in unescape(page) for value in sent.values())
    assert "No budgets yet" in await read(owner, ROOT)


async def test_a_name_that_is_taken_and_a_change_meanwhile_are_said(town: Town) -> None:
    owner = await town.owner()
    budget = await made(owner)
    taken = await owner.post(f"{ROOT}/new", FORM)
    await owner.post(f"{ROOT}/{budget}/edit", FORM | {"amount": "120", "rev": "1"})
    late = await owner.post(f"{ROOT}/{budget}/edit", FORM | {"amount": "130", "rev": "1"})

    assert (409, True) == (taken.status, 'id="name-wrong"' in taken.body.decode())
    assert (409, True) == (late.status, "Somebody changed the budget since" in late.body.decode())
    assert 'name="rev" value="2"' in late.body.decode()
    assert "of 120.00 USD" in await read(owner, f"{ROOT}/{budget}")


async def test_an_edit_keeps_what_it_shows_and_takes_what_was_typed(town: Town) -> None:
    owner = await town.owner()
    channel = await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    uuid = channel.headers["location"].rpartition("/")[2]
    more = {"scope": "provider = openai, apify", "allocations": "model gpt-5 = 2.5", "spike_percent": "200"}
    budget = await made(owner, spike_least="10", low_days="3", channels=uuid, **more)
    form = (await owner.get(f"{ROOT}/{budget}/edit")).body.decode()

    for said in ("provider = apify, openai", "model gpt-5 = 2.5", 'value="200"', 'value="10"', 'value="50, 80"'):
        assert said in form, said
    assert f'value="{uuid}" checked' in form
    assert "Ops" in await read(owner, f"{ROOT}/{budget}")
    same = {"scope": "provider = openai", "rev": "1"}
    assert 303 == (await owner.post(f"{ROOT}/{budget}/edit", FORM | same)).status
    page = await read(owner, f"{ROOT}/{budget}")
    assert "Calls of provider openai count." in page
    assert "nobody" in page


async def test_a_budget_is_paused_resumed_cancelled_and_deleted(town: Town) -> None:
    owner = await town.owner()
    budget = await made(owner)

    for rev, (verb, state) in enumerate((("pause", "Paused"), ("resume", "Active"), ("cancel", "Cancelled")), start=1):
        assert 303 == (await owner.post(f"{ROOT}/{budget}/turn", {"do": verb, "rev": str(rev)})).status
        assert state in await read(owner, f"{ROOT}/{budget}")
    refused = await owner.post(f"{ROOT}/{budget}/turn", {"do": "resume", "rev": "4"})
    assert (409, True) == (refused.status, "Nothing was changed: the budget is cancelled" in refused.body.decode())
    assert 422 == (await owner.post(f"{ROOT}/{budget}/turn", {"do": "burn", "rev": "4"})).status
    assert 303 == (await owner.post(f"{ROOT}/{budget}/delete", {})).status
    assert 404 == (await owner.get(f"{ROOT}/{budget}")).status


async def test_another_projects_budget_reads_as_none(town: Town) -> None:
    budget = await made(await town.owner())
    other = await town.stranger()

    for path in ("", "/edit"):
        assert 404 == (await other.get(f"/p/next-door/usage/budgets/{budget}{path}")).status
    for verb in ("edit", "turn", "delete"):
        sent = FORM | {"do": "pause", "rev": "1"}
        assert 404 == (await other.post(f"/p/next-door/usage/budgets/{budget}/{verb}", sent)).status
    assert "No budgets yet" in await read(other, "/p/next-door/usage/budgets")


async def test_periods_are_listed_page_by_page_the_newest_first(town: Town, clock: SimClock) -> None:
    clock.move_to(START + timedelta(days=15))
    owner = await town.owner()
    budget = await made(owner, period="custom", every_days="1", starts_on="2026-03-02")

    page = (await owner.get(f"{ROOT}/{budget}")).body.decode()
    (older,) = re.findall(r'href="([^"]+\?before=[^"]+)"', page)
    last = await read(owner, older)

    assert ("2026-03-17" in text_of(page), "2026-03-05" in text_of(page)) == (True, False)
    assert "2026-03-05" in last
    assert "2026-03-02" in last
    assert 422 == (await owner.get(f"{ROOT}/{budget}?before=x")).status


async def test_hostile_names_are_shown_as_text(town: Town) -> None:
    owner = await town.owner()
    name = "<script>alert(1)</script>"
    budget = await made(owner, name=name, scope=f"provider = {name}", allocations=f"model {name} = 5")

    for path in ("", f"/{budget}", f"/{budget}/edit"):
        page = (await owner.get(ROOT + path)).body.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


async def test_what_takes_long_to_count_is_shown_as_the_last_look_has_kept_it(
    town: Town, events: EventIngest, web: WebState, clock: SimClock, ids: IdSource
) -> None:
    owner, pid, usage = await town.owner(), town.world.project.pid, web.api.usage
    await call(town, events, "10")
    budget = await made(owner, allocations="provider openai = 30", thresholds="5")
    await look(town.world.db, usage, pid, budget, now=clock.now(), ids=ids)
    await call(town, events, "15")
    web.panels.wait_s = 0  # as if counting took longer than a page waits

    listed, page = await read(owner, ROOT), await read(owner, f"{ROOT}/{budget}")

    for told in (listed, page):
        assert "10.00 USD" in told
        assert "Being counted anew. As of 10:00:00" in told
        assert "25.00 USD" not in told
    assert "not so any more" not in page  # what was told is not judged by what is not known
    web.panels.wait_s = 120
    listed, page = await read(owner, ROOT), await read(owner, f"{ROOT}/{budget}")
    for told in (listed, page):
        assert "25.00 USD" in told
        assert "Being counted anew" not in told


async def test_what_nobody_has_looked_at_and_takes_long_is_said_to_be_unknown(
    town: Town, web: WebState, clock: SimClock
) -> None:
    budget = await made(await town.owner())
    clock.move_to(START + timedelta(days=40))  # in the next period
    owner = await town.owner()
    web.panels.wait_s = 0

    listed, page = await read(owner, ROOT), await read(owner, f"{ROOT}/{budget}")

    for told in (listed, page):
        assert "Being counted anew." in told
        assert "As of" not in told
        assert "0.00 USD of" not in told


async def test_what_is_not_folded_yet_is_read_once_however_many_budgets_there_are(
    town: Town, events: EventIngest, clock: SimClock
) -> None:
    clock.move_to(START + timedelta(days=4))
    owner = await town.owner()
    for n in range(6):
        await call(town, events, "1.25", at=f"2026-03-06T0{9 - n}:30:00Z", provider="openai" if n % 2 else "maps")
    first = await made(owner, name="first", allocations="provider openai = 30\nmodel gpt-5 = 60", low_days="9")
    with readings() as of_one:
        alone = await read(owner, ROOT)
    for n in range(6):
        await made(owner, name=f"budget {n}", scope=f"provider = {('maps', 'openai')[n % 2]}", low_days="9")

    with readings() as of_seven:
        listed = await read(owner, ROOT)
    with readings() as of_its_page:
        await read(owner, f"{ROOT}/{first}")

    assert "7.50 USD" in alone
    assert listed.count("3.75 USD") >= 6
    assert [1, 1, 1] == [len(said) for said in (of_one, of_seven, of_its_page)]
