"""The time of one check in pictures: each kind of run has its shape, and sentences and tables say the same."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import blind_intervals
from heartfly.notify.peace_commands import Asked, make
from tests.monitor.tower import Tower
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_pages import text_of
from tests.web.test_views import page_of
from tests.world import TEST

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
PATH = "/p/main/checks/backup"


def paths_of(page: str, kind: str) -> dict[str, str]:
    """Those of the picture, by their class; of the lower lane they are left out."""
    (found,) = re.findall(rf'<svg class="{kind}"[^>]*>(.*?)</svg>', page)
    upper = found.partition('<g transform="translate(0 34)">')[0]
    return dict(re.findall(r'<path class="([\w ]+)" d="([^"]*)"/>', upper))


async def lived(town: Town, clock: SimClock) -> None:
    """25 hourly runs of 5 minutes, of which one takes 40 and one fails; then one that is missed, and one that runs."""
    tower = Tower(town.world, clock)
    await tower.watcher.join()
    w = town.world
    check = await w.check(START, name="Backup", slug="backup", max_run=HOUR)
    for hour in range(25):
        at = START + hour * HOUR
        took = 40 if hour == 7 else 5
        kind = PingKind.FAIL if hour == 9 else PingKind.SUCCESS
        await w.ping(check, at, PingKind.START, rid=f"r{hour}")
        await w.ping(check, at + took * MINUTE, kind, rid=f"r{hour}")
    clock.move_to(START + 24 * HOUR + 5 * MINUTE)
    await tower.watcher.round()
    await tower.go(START + 26 * HOUR)
    await w.ping(check, START + 26 * HOUR, PingKind.START, rid="last")
    clock.move_to(START + 26 * HOUR + 10 * MINUTE)


async def test_runs_are_bars_and_those_that_failed_were_missed_or_still_run_have_other_shapes(
    town: Town, clock: SimClock
) -> None:
    await lived(town, clock)
    browser = await town.owner()
    page, text = await page_of(browser, f"{PATH}?range=7d"), await text_of(browser, f"{PATH}?range=7d")
    shapes = paths_of(page, "lane past")

    assert {"g", "w", "o", "b", "r"} <= set(shapes)
    assert 24 == shapes["o"].count(" 14H")
    assert (1, 1) == (shapes["b"].count(" 0H"), shapes["b"].count("v1h-1zM"))
    assert "h4v20h-4z" in shapes["r"]
    assert "24 runs ended well, 1 failed, 1 was missed; 25 were expected." in text
    table = text[text.index("Show as table") :]
    for said in ("Down", "missed", "Running", "40 min"):
        assert said in table


async def test_what_is_usual_is_said_and_leads_to_what_that_suggests(town: Town, clock: SimClock) -> None:
    await lived(town, clock)
    browser = await town.owner()
    page, text = await page_of(browser, f"{PATH}?range=7d"), await text_of(browser, f"{PATH}?range=7d")
    shapes = paths_of(page, "chart")

    assert "Of 25 runs half took at most 5 min, 95 % at most 5 min; the longest 40 min." in text
    assert (25, 1) == (len(set(re.findall(r"M[\d.]+", shapes["dots"]))), shapes["ring"].count("h0"))
    assert {"line p50", "line p95", "line limit"} <= set(shapes)
    assert re.search(r'href="[^"]*/learned">What its past suggests', page)


async def test_the_picture_is_of_the_range_and_none_of_a_check_that_never_pinged(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup", slug="backup", every=timedelta(days=30))
    browser = await town.owner()
    assert "Show as table" not in await text_of(browser, PATH)
    await town.world.ping(check, START)
    for days, path in ((3, "?range=7d"), (20, "?range=30d")):
        clock.move_to(START + timedelta(days=days))
        browser = await town.owner()
        assert "1 run ended well" in await text_of(browser, PATH + path)
        assert "0 runs ended well" in await text_of(browser, PATH)
        assert "No run of this time had a start" in await text_of(browser, PATH)
    assert "must be one of 24h, 7d, 30d" in await text_of(browser, f"{PATH}?range=1y", 422)


async def test_a_change_of_the_schedule_is_marked_and_judges_from_then_on(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup", slug="backup", kind="cron", expression="0 * * * *")
    await town.world.ping(check, START + MINUTE)
    clock.move_to(START + 3 * HOUR + MINUTE)
    tower = Tower(town.world, clock)
    await tower.watcher.join()
    await tower.watcher.round()
    browser = await town.owner()
    form = f"/p/main/checks/{check.uuid}/schedule"
    saved = await browser.post(form, await fields_of(browser, form) | {"expression": "30 * * * *"})
    assert 303 == saved.status
    clock.move_to(START + 6 * HOUR)
    page, text = await page_of(browser, PATH), await text_of(browser, PATH)

    assert "The schedule changed at 13:01:00 ." in text
    assert "6 were expected" in text  # at 11, 12 and 13, and then at half past
    assert "c" in paths_of(page, "lane past")


async def test_time_that_was_not_heard_is_hatched(town: Town, clock: SimClock, db: Database) -> None:
    check = await town.world.check(START, name="Backup", slug="backup", every=timedelta(days=3))
    await town.world.ping(check, START)
    deaf = {"id": 1, "node_id": 1, "from_at": START + HOUR, "to_at": START + 2 * HOUR, "cause": "stopped"}
    await db.write(lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(deaf)).rowcount)
    clock.move_to(START + 3 * HOUR)
    browser: Browser = await town.owner()
    page = await page_of(browser, PATH)

    assert "l3 -10h1l-3 10z" in paths_of(page, "lane past")["k"]
    assert "Not heard: 11:00:00 to 12:00:00" in await text_of(browser, PATH)


async def test_a_check_that_runs_very_often_is_drawn_as_far_back_as_can_be(
    town: Town, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.checks.past.MOST_RUNS", 20)
    monkeypatch.setattr("heartfly.checks.past.MOST_WINDOWS", 10)
    monkeypatch.setattr("heartfly.web.check_time.MANY", 10)
    check = await town.world.check(START, name="Backup", slug="backup", every=MINUTE)
    await town.world.pings([town.world.request(check, START + n * MINUTE) for n in range(30)])
    clock.move_to(START + 30 * MINUTE)
    browser = await town.owner()
    text = await text_of(browser, PATH)

    assert "the picture begins at 10:10:00" in text
    assert "expected too often to draw" in text
    assert 20 > paths_of(await page_of(browser, PATH), "lane past")["o"].count("M")


async def test_maintenance_is_drawn_between_runs_and_statuses_and_told_in_the_table(
    town: Town, clock: SimClock
) -> None:
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START)
    windows = {
        "ours": Asked(
            kind="maintenance", scope="check", targets=[check.uuid], effect="ignore", note="database move",
            from_at=START + HOUR, to_at=START + 2 * HOUR,
        ),
        "later": Asked(kind="maintenance", scope="project", from_at=START + 90 * HOUR, to_at=START + 91 * HOUR),
        "others": Asked(kind="maintenance", scope="tag", targets=["etl"], from_at=START, to_at=START + HOUR),
    }  # fmt: skip
    w = town.world

    def command(tx: Tx) -> None:
        for asked in windows.values():
            make(tx, w.project.pid, asked, at=START, actor=TEST, ids=w.ids)

    await w.db.write(command)
    clock.move_to(START + 5 * HOUR)
    browser = await town.owner()
    page, text = await page_of(browser, PATH), await text_of(browser, PATH)

    assert re.fullmatch(r"M[\d.]+ 33v-2H[\d.]+v2", paths_of(page, "lane past")["m"])
    assert "Maintenance: 11:00:00 to 12:00:00 “database move”, not judged." in text
