"""Keys and going places: what the pages say of them without any script, and how much script there is."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.models import users
from heartfly.web.files import Files
from heartfly.web.keyboard import KEYS
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_pages import text_of
from tests.web.test_views import page_of

pytestmark = pytest.mark.anyio


async def found(browser: Browser, q: str) -> list[str]:
    page = await page_of(browser, f"/p/main/go?q={q}")
    return re.findall(r"<bdi>([^<]*)</bdi> <span", page)


async def test_single_keys_are_listed_and_switched_off_for_this_browser(town: Town) -> None:
    browser, other = await town.owner(), await town.owner()
    page = await page_of(browser, "/account/keyboard")
    assert [key.split(" ") for key, _ in KEYS] == [
        re.findall(r"<kbd>([^<]*)</kbd>", line) for line in re.findall(r"<tr><td>(<kbd>.*?)</td>", page)
    ]
    assert ('data-keys="off"' in page, "Single keys are on" in await text_of(browser, "/account/keyboard")) == (
        False, True,
    )  # fmt: skip

    switched = await browser.post("/account/keyboard", {"keys": "off"})
    assert (303, "/account/keyboard") == (switched.status, switched.headers["location"])
    for flag in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in switched.headers["set-cookie"]
    for path in ("/account/keyboard", "/p/main/checks", "/p/main/incidents"):
        assert 'data-keys="off"' in await page_of(browser, path)
        assert 'data-keys="off"' not in await page_of(other, path)
    await browser.post("/account/keyboard", {"keys": "on"})
    assert 'data-keys="off"' not in await page_of(browser, "/p/main/checks")


async def test_a_few_letters_lead_to_checks_by_name_and_to_pages(town: Town) -> None:
    down = await town.world.check(START, name="Stripe reconciliation", tags=("money",))
    await town.world.check(START, name="Backup of accounts")
    await town.world.ping(down, START, PingKind.FAIL)
    owner, viewer = await town.owner(), await town.viewer()

    assert ["Stripe reconciliation"] == await found(owner, "rec")
    assert ["Stripe reconciliation"] == await found(owner, "STR+money")
    assert ["Stripe reconciliation", "Backup of accounts"] == await found(owner, "")
    page = await text_of(owner, "/p/main/go?q=ac")
    for said in ("Backup of accounts new", "Your account"):
        assert said in page
    assert f'href="/p/main/checks/{down.uuid}"' in await page_of(owner, "/p/main/go?q=stripe")
    assert "Usage: aggregation runs" in await text_of(viewer, "/p/main/go?q=usage+runs")
    assert "No check or page has these words" in await text_of(owner, "/p/main/go?q=zzz")
    assert "What you typed" in await text_of(owner, "/p/main/go?q=a%00b", 422)
    for path, name in (("/p/main/settings/keys", "API keys"), ("/p/main/usage/backfills/new", "New backfill")):
        for browser, may in ((owner, True), (viewer, False)):
            assert may == (f'<li><a href="{path}">' in await page_of(browser, "/p/main/go")), (path, name)


async def test_whatever_the_navigation_leads_to_is_found_by_letters_too(town: Town) -> None:
    owner = await town.owner()
    offered = set(re.findall(r'<li><a href="([^"]*)">', await page_of(owner, "/p/main/go")))
    in_project = ("checks", "usage", "usage/meters", "usage/apis", "usage/alerts", "usage/events", "settings/general")
    led_to: set[str] = set()
    for path in (*(f"/p/main/{one}" for one in in_project), "/account/profile"):
        for words, inner in re.findall(
            r'<nav[^>]*aria-label="([^"]*)"[^>]*>(.*?)</nav>', await page_of(owner, path), re.DOTALL
        ):
            if words not in {"Time", "Times", "Saved views", "Errors", "Largest first"}:
                led_to |= {href for href in re.findall(r'href="([^"]*)"', inner) if "archived=" not in href}

    assert {"/p/main/usage/prices", "/p/main/audit", "/p/main/maintenance", "/account/profile"} <= led_to
    assert set() == led_to - offered
    assert 200 == max([(await owner.get(path)).status for path in sorted(offered)])


async def test_which_link_goes_to_the_time_before_and_after_is_marked_for_its_key(town: Town) -> None:
    check = await town.world.check(START, name="one")
    for _ in range(3):
        await town.world.ping(check, START)
    browser = await town.owner()

    async def marked(path: str) -> dict[str, str]:
        links = re.findall(r'<a href="([^"]*)"[^>]* data-key="([][])"', await page_of(browser, f"/p/main/{path}"))
        return {key: href.removeprefix("/p/main/").replace(check.uuid, "one") for href, key in links}

    assert {"]": "checks/one?range=7d"} == await marked("checks/one")
    assert {"[": "checks/one?range=24h", "]": "checks/one?range=30d"} == await marked("checks/one?range=7d")
    assert {"[": "checks/one?range=7d"} == await marked("checks/one?range=30d")
    assert {"]": "checks?view=timeline&amp;range=7d"} == await marked("checks?view=timeline")
    assert {"[": "usage/jobs?month=2026-02"} == await marked("usage/jobs")
    assert {"[": "usage/jobs?month=2026-01", "]": "usage/jobs?month=2026-03"} == await marked(
        "usage/jobs?month=2026-02"
    )
    assert {"[": "service-levels?month=2026-03"} == await marked("service-levels")
    assert {"[": "service-levels?month=2026-02", "]": "service-levels"} == await marked("service-levels?month=2026-03")
    assert {} == await marked("service-levels?month=2025-03")
    assert {key: f"checks/one/events/{n}" for key, n in (("[", 1), ("]", 3))} == await marked("checks/one/events/2")


async def test_of_many_that_match_some_are_named_and_the_list_has_all(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.web.go.MOST", 2)
    for i in range(3):
        await town.world.check(START, name=f"job {i}")
    browser = await town.owner()
    assert ["job 0", "job 1"] == await found(browser, "job")
    assert 'href="/p/main/checks?q=job">All that match' in await page_of(browser, "/p/main/go?q=job")


async def test_times_are_told_in_ones_own_zone_or_by_a_switch_in_utc(town: Town) -> None:
    def move(conn: sa.Connection) -> int:
        mine = users.c.email == "owner@example.com"
        return conn.execute(sa.update(users).where(mine).values(zone="Europe/Riga")).rowcount

    check = await town.world.check(START, name="one")
    await town.world.ping(check, START)
    await town.world.db.write(lambda tx: move(tx.conn))
    browser = await town.owner()
    own = await page_of(browser, "/p/main/checks/one?range=7d")
    utc = await page_of(browser, "/p/main/checks/one?range=7d&tz=utc")

    when = 'datetime="2026-03-02T10:00:00Z" title="2026-03-02 10:00:00 UTC">{}</time>'
    assert (True, False) == (when.format("12:00:00") in own, when.format("10:00:00") in own)
    assert (False, True) == (when.format("12:00:00") in utc, when.format("10:00:00") in utc)
    assert '<a href="/p/main/checks/one?range=7d&amp;tz=utc">UTC</a>' in own
    assert '<a href="/p/main/checks/one?range=7d&amp;tz=mine" data-key="t">mine (Europe/Riga)</a>' in utc
    assert 'class="zone-switch"' not in await page_of(await town.viewer(), "/p/main/checks/one")
    # What the script looks for by its id is there once on each page.
    for path in (
        "checks",
        "checks/new",
        "checks/one",
        "checks/one/schedule",
        "checks/one/edit",
        "settings/general",
        "go",
    ):
        ids = re.findall(r' id="([^"]*)"', await page_of(browser, f"/p/main/{path}"))
        assert len(ids) == len(set(ids)), path


def test_all_script_together_is_small() -> None:
    files = Files("")
    packed = [file.packed for file in files._by_name.values() if file.media_type == "text/javascript"]
    assert 4 == len(packed)
    assert sum(map(len, packed)) <= 7_000
