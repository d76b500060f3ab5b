"""The list of checks on one axis of time, and by when they are expected: what each view says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from heartfly.checks.agenda import agenda
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.models import blind_intervals, checks
from tests.monitor.tower import Tower
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_pages import text_of

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TIMELINE, NEXT = "/p/main/checks?view=timeline", "/p/main/checks?view=next"


async def page_of(browser: Browser, path: str, status: int = 200) -> str:
    reply = await browser.get(path)
    assert status == reply.status, reply.body.decode()
    return reply.body.decode()


def lane_of(page: str, name: str) -> tuple[str, dict[str, str]]:
    """What the picture of a check is called, and its paths by their class."""
    found = re.search(rf"<bdi>{name}</bdi></a><svg [^>]*aria-label=\"([^\"]*)\">(.*?)</svg></div>", page)
    assert found is not None, page
    return found[1], dict(re.findall(r'<path class="(\w)" d="([^"]*)"/>', found[2]))


def table_of(page: str) -> list[str]:
    (body,) = re.findall(r"<summary>Show as table.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in rows]


# --- one axis of time ----------------------------------------------------------------------------


async def test_states_and_runs_that_failed_or_were_missed_are_told_by_shape_and_table(
    town: Town, clock: SimClock
) -> None:
    w = town.world
    fine = await w.check(START, name="fine", every=timedelta(days=3))
    failing = await w.check(START, name="failing", every=timedelta(days=3))
    for minutes in range(1, 60):
        await w.ping(fine, START + minutes * MINUTE)
    await w.ping(failing, START + MINUTE)
    for hours in (2, 3, 4):
        await w.ping(failing, START + hours * HOUR, PingKind.FAIL, exit_status=3)
    await w.ping(failing, START + 6 * HOUR)
    clock.move_to(START + 8 * HOUR)
    browser = await town.owner()
    page = await page_of(browser, TIMELINE)

    said, shapes = lane_of(page, "fine")
    assert ("new then up", {"o", "r"}) == (said, set(shapes))
    said, shapes = lane_of(page, "failing")
    assert "3 failed" in said
    assert {"o", "b", "r"} == set(shapes)
    assert 3 == shapes["b"].count("v5h-4.0z")
    assert 1 == shapes["b"].count("V20")
    assert ["failing Down 12:00:00 16:00:00 exit status 3 –"] == [row for row in table_of(page) if "Down" in row]
    assert "1 of 2 checks was down at some time" in await text_of(browser, TIMELINE)
    assert set(re.findall(r"<bdi>(f\w+)</bdi>", page)) == {"fine", "failing"}


async def test_degraded_has_a_shape_and_a_colour_of_its_own(town: Town, clock: SimClock) -> None:
    gates = '[{"metric":"rows","op":">=","value":"10","level":"warn"}]'
    check = await town.world.check(START, name="thin", gates=gates, every=timedelta(days=3))
    await town.world.ping(check, START, body=b"rows=3", body_size=6)
    clock.move_to(START + 24 * HOUR)
    page = await page_of(await town.owner(), TIMELINE)
    said, shapes = lane_of(page, "thin")

    assert "degraded" in said
    assert {"d"} == set(shapes)
    assert shapes["d"].startswith("M0.0 9H480.0V20H0.0zM0.0 6h2v2h-2z")


async def test_a_slot_that_was_missed_has_another_shape_than_a_failure(town: Town, clock: SimClock) -> None:
    tower = Tower(town.world, clock)
    await tower.watcher.join()
    check = await town.world.check(START, name="silent")
    await town.world.ping(check, START)
    await tower.go(START + 5 * HOUR)
    page = await page_of(await town.owner(), TIMELINE)
    said, shapes = lane_of(page, "silent")

    assert "1 missed" in said
    assert (0, 1) == (shapes["b"].count("v5h-4.0z"), shapes["b"].count("h1.3v2h-1.3z") // 4)


async def test_time_in_which_nobody_was_heard_is_hatched_and_not_up(town: Town, clock: SimClock, db: Database) -> None:
    check = await town.world.check(START, name="one", every=timedelta(days=3))
    await town.world.ping(check, START)
    deaf = {"id": 1, "node_id": 1, "from_at": START + 4 * HOUR, "to_at": START + 8 * HOUR, "cause": "stopped"}
    await db.write(lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(deaf)).rowcount)
    clock.move_to(START + 24 * HOUR)
    page = await page_of(await town.owner(), TIMELINE)
    _, shapes = lane_of(page, "one")

    assert "M0.0 12H80.0V20H0.0zM160.0 12H480.0V20H160.0z" == shapes["o"]
    assert "l3 -10h1l-3 10z" in shapes["r"]
    assert "Heartfly could not hear 1 time" in page


async def test_a_check_that_turns_without_end_makes_no_page_large(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="wild", every=timedelta(days=3))
    kinds = (PingKind.FAIL, PingKind.SUCCESS)
    at = [START + n * timedelta(seconds=40) for n in range(900)]
    for first in range(0, len(at), 100):
        await town.world.pings(
            [town.world.request(check, one, kinds[i % 2]) for i, one in enumerate(at[first : first + 100])]
        )
    clock.move_to(START + 12 * HOUR)
    page = await page_of(await town.owner(), TIMELINE)
    said, shapes = lane_of(page, "wild")

    assert "450 failed" in said
    assert 25_000 > sum(map(len, shapes.values()))
    assert 200 == len(table_of(page))
    assert "And 250 more" in page
    assert table_of(page)[0].endswith("fail 1 –")


async def test_the_range_the_filter_and_the_pages_go_along(
    town: Town, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.web.checks.WHOLE", 3)
    monkeypatch.setattr("heartfly.web.checks.PAGE", 2)
    for i in range(5):
        check = await town.world.check(START, name=f"check-{i}", tags=("all",))
        await town.world.ping(check, START, PingKind.FAIL)
    clock.move_to(START + 40 * HOUR)
    browser, query, seen = await town.owner(), "?view=timeline&range=7d&tag=all", list[str]()
    for _ in range(4):
        page = await page_of(browser, f"/p/main/checks{query}")
        assert "The last 7 days" in page
        seen += re.findall(r"<bdi>(check-\d)</bdi></a><svg", page)
        following = re.search(r'href="/p/main/checks(\?[^"]*)">Next page', page)
        if following is None:
            break
        query = unescape(following[1])
    assert [f"check-{i}" for i in range(5)] == seen
    assert "before" not in table_of(page)[0]
    day = await page_of(browser, "/p/main/checks?view=timeline&tag=all&q=check-1")
    assert ["check-1"] == re.findall(r"<bdi>(check-\d)</bdi></a><svg", day)
    assert table_of(day)[0].startswith("check-1 Down before still")
    for word in ("view=timeline", "tag=all", "range=7d"):
        assert word in unescape(re.findall(r'<a href="([^"]*)"[^>]*>7 d</a>', day)[0])


@on_sqlite
@pytest.mark.parametrize(
    "query", ["view=moon", "view=timeline&range=8d", "view=timeline&q=is:asleep", "view=next&after=x"]
)
async def test_a_view_that_cannot_be_is_told(town: Town, query: str) -> None:
    await town.world.check(START, name="one")
    assert "Show all" in await text_of(await town.owner(), f"/p/main/checks?{query}", 422)


async def test_an_empty_project_and_an_empty_filter_say_what_to_do_next(town: Town) -> None:
    browser = await town.owner()
    for path in (TIMELINE, NEXT):
        assert "No checks yet" in await text_of(browser, path)
    await town.world.check(START, name="one")
    for path in (TIMELINE, NEXT):
        assert "0 of 1 checks. Clear the filter" in await text_of(browser, f"{path}&q=zzz")


async def test_a_view_of_many_checks_asks_the_database_as_often_as_one_of_a_few(town: Town, db: Database) -> None:
    browser, asked = await town.owner(), list[str]()

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    async def queries(path: str) -> int:
        asked.clear()
        await page_of(browser, path)
        return len(asked)

    async with db.read() as read:
        engine = read.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    few: dict[str, int] = {}
    for n in (1, 20):
        for i in range(n):
            check = await town.world.check(START, name=f"check-{n}-{i}")
            await town.world.ping(check, START, PingKind.FAIL)
        for path in (TIMELINE, NEXT):
            await queries(path)  # what stands above each page is known for a while
            few.setdefault(path, await queries(path))
            assert 0 < few[path] == await queries(path) <= 12
    event.remove(engine, "before_cursor_execute", note)


# --- the next 24 hours ---------------------------------------------------------------------------


async def test_what_is_expected_stands_at_its_hour_and_several_at_a_minute_are_named(
    town: Town, clock: SimClock
) -> None:
    w = town.world
    cron = {"kind": "cron", "dialect": "cron"}
    for name, expression in (
        ("one", "30 2 * * *"),
        ("two", "30 2 * * *"),
        ("three", "5 14 * * *"),
        ("hourly", "30 * * * *"),
    ):
        await w.check(START, name=name, expression=expression, zone="UTC", **cron)
    await w.check(START, name="often", expression="*/5 * * * *", zone="UTC", **cron)
    period = await w.check(START, name="period", every=7 * HOUR)
    await w.check(START, name="waits", every=7 * HOUR)
    await w.ping(period, START)
    paused = await w.check(START, name="paused")
    browser = await town.owner()
    await browser.post(f"/p/main/checks/{paused.uuid}/pause")
    clock.move_to(START + 20 * MINUTE)
    page = await text_of(browser, NEXT)

    assert "6 runs are expected at their hour, and 2 checks every hour or more often. 1 is paused." in page
    assert "Tue 2026-03-03 02:30 : 3 – one , two , hourly" in page
    assert "Mon 2026-03-02 14:00 2 runs 14:05 three 1 that comes every hour" in page
    assert "02:30 3 at once: one , two , 1 of every hour" in page
    assert "Each hour at" not in page
    for at in ("17:00 period", "00:00 period", "07:00 period"):
        assert at in page
    assert "often Every 5 minutes (UTC) more than 24 10:25:00" in page
    assert "Their period begins with their first ping waits" in page


async def test_clock_changes_of_the_coming_night_are_named_with_the_checks_they_touch(
    town: Town, clock: SimClock
) -> None:
    for name, zone in (("berlin", "Europe/Berlin"), ("utc", "UTC")):
        await town.world.check(START, name=name, kind="cron", expression="30 2 * * *", zone=zone, dialect="cron")
    clock.move_to(datetime(2026, 3, 28, 12, tzinfo=UTC))
    browser = await town.owner()
    clock.move_to(datetime(2026, 3, 28, 12, 1, tzinfo=UTC))
    page = await text_of(browser, NEXT)

    assert (
        "2026-03-29: 02:30 does not exist in Europe/Berlin; cron runs the job at 03:00, right after the gap: berlin ."
        in page
    )
    clock.move_to(datetime(2026, 3, 28, 12, 2, tzinfo=UTC))
    assert "does not exist" not in await text_of(browser, f"{NEXT}&q=utc")


async def test_those_that_meet_each_hour_are_named_once(town: Town) -> None:
    for name, expression in (("one", "30 * * * *"), ("two", "30 * * * *"), ("daily", "0 4 * * *")):
        await town.world.check(START, name=name, kind="cron", expression=expression, zone="UTC", dialect="cron")
    page = await text_of(await town.owner(), NEXT)
    assert "Each hour at :30 UTC: 2 – one , two" in page
    assert 1 == page.count(": 2 –")


async def test_nothing_expected_says_why(town: Town) -> None:
    check = await town.world.check(START, name="one")
    browser = await town.owner()
    assert "none has come yet" in await text_of(browser, NEXT)
    await browser.post(f"/p/main/checks/{check.uuid}/pause")
    assert "All are paused" in await text_of(browser, NEXT)


async def test_hours_are_those_of_the_readers_clock_even_if_it_is_off_by_half_an_hour(town: Town, db: Database) -> None:
    await town.world.check(START, name="one", kind="cron", expression="40 11 * * *", zone="UTC", dialect="cron")
    async with db.read() as read:
        rows = (await read.execute(sa.select(checks))).all()
    told = agenda(rows, now=START + 7 * MINUTE, reader_zone="Asia/Kolkata")
    (hour,) = [hour for hour in told.hours if hour.minutes]

    assert (START + 90 * MINUTE, 25) == (hour.at, len(told.hours))
    assert 25 == len(agenda(rows, now=START, reader_zone="Not/There").hours)
