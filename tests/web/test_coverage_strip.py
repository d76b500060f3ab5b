"""What the runs of a check covered, on its page: a strip, sentences, a table; nothing where no run said anything."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.web.conftest import START, Town
from tests.web.test_check_time import paths_of
from tests.web.test_editing import fields_of
from tests.web.test_pages import text_of
from tests.web.test_views import page_of

pytestmark = pytest.mark.anyio

PATH = "/p/main/checks/daily"
DAY = timedelta(days=1)


async def covers(town: Town, check: object, n: int, *days: int) -> None:
    begins, ends = (f"2026-02-{day:02}T00:00:00Z" for day in days)
    await town.world.ping(check, START + n * DAY, body=f"from={begins} to={ends}".encode())


async def test_a_gap_and_an_overlap_are_drawn_said_and_listed(town: Town) -> None:
    check = await town.world.check(START, name="Daily", slug="daily", every=DAY)
    for n, days in enumerate(((1, 2), (2, 3), (4, 6), (5, 9))):
        await covers(town, check, n, *days)
    browser = await town.owner()
    page, text = await page_of(browser, PATH), await text_of(browser, PATH)

    assert "1 gap; 1 span was covered more than once. Nothing raises when it breaks" in text
    assert {
        "o": "M0 12H120V20H0zM180 12H480V20H180z",
        "b": "M120 0H180V20H120z",
        "r": "M240 7H300V20H240z",
    } == paths_of(page, "lane")
    assert ["Missing", "Covered more than once"] == [
        row.partition("</td>")[0]
        for row in page.partition("What</th>")[2].partition("</table>")[0].split("<tr><td>")[1:]
    ]


async def test_only_the_last_month_is_drawn_and_a_check_that_raises_says_nothing_of_it(town: Town) -> None:
    browser = await town.owner()
    check = await town.world.check(START, name="Daily", slug="daily", every=DAY)
    assert "What its runs covered" not in await text_of(browser, PATH)
    edit = f"/p/main/checks/{check.uuid}/edit"
    await browser.post(edit, await fields_of(browser, edit) | {"gates": "coverage unbroken warn"})
    await town.world.ping(check, START, body=b"from=2025-01-01T00:00:00Z to=2026-01-01T00:00:00Z")
    await town.world.ping(check, START + DAY, body=b"from=2026-01-01T00:00:00Z to=2026-02-01T00:00:00Z")

    page, text = await page_of(browser, PATH), await text_of(browser, PATH)

    assert {"o": "M0 12H480V20H0z"} == paths_of(page, "lane")
    assert "No gap. From" in text
    assert "coverage unbroken warn" in await page_of(browser, edit)
