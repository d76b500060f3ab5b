"""What a check's past suggests, on its pages: with the evidence, taken into the form by one press, saved by nobody."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_pages import text_of
from tests.web.test_views import page_of

pytestmark = pytest.mark.anyio

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PATH = "/p/main/checks/backup"


async def nights(town: Town, clock: SimClock, n: int, *, hour: float = 3, rows: int = 1_000) -> Any:
    """A run of half an hour each night; the newest but one takes thrice as long."""
    check = await town.world.check(START, name="Backup", slug="backup", every=DAY, grace=6 * HOUR + 10 * SECOND)
    midnight = START.replace(hour=0, minute=0)
    requests = []
    for night in range(1, n + 1):
        at = midnight + night * DAY + (hour if night > n - 6 else 3) * HOUR + night % 7 * SECOND
        took = 90 * MINUTE if night == n - 1 else 30 * MINUTE
        requests.append(town.world.request(check, at, PingKind.START))
        requests.append(town.world.request(check, at + took, body=f"rows={rows}".encode()))
    await town.world.pings(requests)
    clock.move_to(midnight + (n + 1) * DAY)
    return check


async def test_a_suggestion_stands_beside_what_is_with_its_evidence_and_one_press_takes_it_into_the_form(
    town: Town, clock: SimClock
) -> None:
    await nights(town, clock, 60)
    browser = await town.owner()
    page, text = await page_of(browser, f"{PATH}/learned"), await text_of(browser, f"{PATH}/learned")

    assert "At 03:00 (UTC): 48 of 48 of its times had a run, and no run was beside it." in text
    assert (
        "on the 12 since, from which nothing was learned: 0 alarms by the rule that is, 1 by what is suggested." in text
    )
    for said in ("Schedule every 1 d 0 3 * * * UTC", "Grace 6 h 10 s 1 min", "Longest run the grace 36 min"):
        assert said in " ".join(text.split())
    assert re.search(r'\+ <a href="/p/main/checks/[^"]+/events\?until=[^"]+">', page)
    (take,) = re.findall(r'href="([^"]*/schedule\?[^"]*)"', page)
    fields = await fields_of(browser, take.replace("&amp;", "&"))
    assert {"kind": "cron", "expression": "0 3 * * *", "grace": "1", "grace_unit": "minutes", "max_run": "36"} == {
        name: fields[name] for name in ("kind", "expression", "grace", "grace_unit", "max_run")
    }
    assert 303 == (await browser.post(take.partition("?")[0], fields)).status
    assert "What it has suits its past." in await text_of(browser, f"{PATH}/learned")


async def test_who_only_reads_sees_it_and_is_offered_nothing(town: Town, clock: SimClock) -> None:
    await nights(town, clock, 30)
    text = await text_of(await town.viewer(), f"{PATH}/learned")

    assert "What its past suggests" in text
    assert "Take it into the form" not in text
    assert "Ask to be told" not in text


async def test_what_was_unusual_is_shown_and_told_only_if_somebody_asks(town: Town, clock: SimClock) -> None:
    check = await nights(town, clock, 40)
    browser = await town.owner()
    page, text = await page_of(browser, f"{PATH}/learned"), await text_of(browser, f"{PATH}/learned")

    assert "duration is 1h 30m, expected within 50% of 30m" in text
    assert [] == [flip for flip in await town.world.flips(check) if flip.to_status != "up"]
    (ask,) = re.findall(r'href="([^"]*/edit\?gate=[^"]*)"', page)
    fields = await fields_of(browser, ask.replace("&amp;", "&"))
    assert "duration within 50% of median(same weekday, 8 weeks) warn" == fields["gates"]
    assert 303 == (await browser.post(ask.partition("?")[0], fields)).status
    assert "by a gate" in await text_of(browser, f"{PATH}/learned")


async def test_a_job_that_moved_is_told_on_the_pages_of_its_check(town: Town, clock: SimClock) -> None:
    await nights(town, clock, 30, hour=4)
    browser = await town.owner()

    for path in (PATH, f"{PATH}/learned"):
        assert "It moved from 03:00 to 04:00" in await text_of(browser, path)


async def test_a_check_that_never_pinged_has_nothing_to_learn_from(town: Town) -> None:
    await town.world.check(START, name="Backup", slug="backup")
    text = await text_of(await town.owner(), f"{PATH}/learned")

    assert "0 runs to learn from are known, and 10 are the least." in text
    assert "None of the newest." in text


async def test_a_preview_in_the_form_of_a_check_tries_gates_and_tolerance_and_saves_nothing(
    town: Town, clock: SimClock
) -> None:
    check = await nights(town, clock, 20, rows=7)
    browser = await town.owner()
    path = f"/p/main/checks/{check.uuid}/edit"
    fields = await fields_of(browser, path)
    told = await browser.post(path, fields | {"gates": "rows >= 10", "preview": "1"})
    calm = await browser.post(path, fields | {"gates": "rows >= 10", "failures": "20", "preview": "1"})
    wrong = await browser.post(path, fields | {"gates": "rows >", "preview": "1"})

    assert (200, True) == (told.status, "<strong>1</strong> by yours" in told.body.decode())
    assert "rows &gt;= 10</textarea>" in told.body.decode()
    assert (200, True) == (calm.status, "<strong>1</strong> by yours" in calm.body.decode())
    assert 422 == wrong.status
    assert "" == (await town.world.row(check)).gates
