"""While judging is late every page says so, and up to when it is; an open one learns it, and that it is over."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from heartfly.vitals.readiness import Facts
from heartfly.web.pages import pages
from heartfly.web.state import WebState
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town, healthy
from tests.web.listener import Listener
from tests.web.test_live import asleep

WORDS = "Judging is late. Silence is judged only up to "


@dataclass
class Judging:
    """What the node of the pages knows of itself."""

    clock: SimClock
    lag: timedelta = timedelta()

    def facts(self) -> Facts:
        well = healthy(self.clock)
        return replace(well, watermark=well.now - self.lag)


@pytest.fixture
async def judging(clock: SimClock) -> Judging:
    return Judging(clock)


@pytest.fixture
async def browser(town: Town, web: WebState, judging: Judging) -> Browser:
    made = Browser(pages(replace(web, facts=judging.facts)))
    assert 303 == (await made.sign_in("owner@example.com", PASSWORD)).status
    return made


async def banner(browser: Browser, path: str) -> str:
    """Its words, if it is there and seen."""
    found = re.search(r'<p [^>]*id="late"([^>]*)>(.*?)</p>', (await browser.get(path)).body.decode(), re.DOTALL)
    return "" if found is None or "hidden" in found[1] else re.sub(r"<[^>]+>", "", found[2])


@on_sqlite
@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    ["/p/main/checks", "/p/main/incidents", "/p/main/usage", "/p/main/settings/team", "/account/profile", "/docs"],
)
async def test_each_page_says_up_to_when_silence_is_judged_while_that_is_late(
    browser: Browser, judging: Judging, path: str
) -> None:
    judging.lag = timedelta(seconds=10)
    assert "" == await banner(browser, path)

    judging.lag = timedelta(seconds=11)
    assert (await banner(browser, path)).startswith(f"{WORDS}09:59:49 UTC.")

    judging.lag = timedelta(days=1)
    assert (await banner(browser, path)).startswith(f"{WORDS}2026-03-01 10:00:00 UTC.")


@on_sqlite
@pytest.mark.anyio
async def test_who_is_not_signed_in_is_told_nothing_of_it(browser: Browser, web: WebState, judging: Judging) -> None:
    judging.lag = timedelta(hours=1)
    nobody = Browser(pages(replace(web, facts=judging.facts)))

    assert "" == await banner(nobody, "/sign-in")


@on_sqlite
@pytest.mark.anyio
async def test_an_open_page_is_told_that_it_is_late_and_that_it_no_longer_is(
    browser: Browser, judging: Judging, clock: SimClock, web: WebState
) -> None:
    async with Listener(browser) as tab:
        assert "0\n10:00:00 UTC" == (await tab.until("tick"))[-1].data
        judging.lag = timedelta(minutes=1)
        await asleep(clock)
        clock.move_to(START + timedelta(seconds=9))
        assert "9\n10:00:00 UTC\n09:59:09 UTC" == (await tab.until("tick"))[-1].data
        judging.lag = timedelta()
        await asleep(clock)
        clock.move_to(START + timedelta(seconds=18))
        assert "18\n10:00:00 UTC" == (await tab.until("tick"))[-1].data
