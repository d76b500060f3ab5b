"""The schedule page: when a check is expected, and what another rule would have meant for the pings that came."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from heartfly.accounts.turnstile import Turnstile
from heartfly.audit.record import CLI
from heartfly.checks import queries
from heartfly.checks.backtest import backtest, history_of
from heartfly.checks.commands import pause, resume
from heartfly.checks.config import of_row
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.models import audit
from heartfly.monitor.judge import Judge
from heartfly.web.state import WebState
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_pages import text_of

pytestmark = pytest.mark.anyio

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def lived(town: Town, clock: SimClock) -> tuple[str, str]:
    """Hourly, 10 minutes of grace: one ping 30 minutes late, one hour without any, one failure. Each really judged."""
    w = town.world
    check = await w.check(START, name="Nightly", slug="nightly")
    judge = Judge(ids=w.ids)
    late, missing = 3.5, 7
    for hour in (0, 1, 2, late, 4.5, 5.5, missing + 1, 9):
        at = START + hour * HOUR
        await w.db.write(partial(judge.judge, through=at - timedelta(microseconds=1), now=at))
        await w.ping(check, at)
    await w.ping(check, START + 9.5 * HOUR, PingKind.FAIL, exit_status=3)
    clock.move_to(START + 9.6 * HOUR)
    flips = await w.flips(check)
    assert ["up", "down", "up", "down", "up", "down"] == [flip.to_status for flip in flips]
    return check.uuid, f"/p/main/checks/{check.uuid}/schedule"


async def test_the_page_says_when_in_both_zones_and_what_clock_changes_do(town: Town) -> None:
    check = await town.world.check(
        START, name="Nightly", kind="cron", expression="30 2 * * *", zone="Europe/Berlin", period_s=0
    )
    browser = await town.owner()
    page = await text_of(browser, f"/p/main/checks/{check.uuid}/schedule")

    for said in ("At 02:30 (Europe/Berlin)", "In Europe/Berlin", "Tue 2026-03-03 02:30", "Tue 2026-03-03 01:30"):
        assert said in page
    assert "2026-03-29: 02:30 does not exist in Europe/Berlin; cron runs the job at 03:00" in page
    assert "2026-10-25: 02:30 comes twice in Europe/Berlin; cron runs the job the first time only" in page
    assert "Preview" not in await text_of(await town.viewer(), f"/p/main/checks/{check.uuid}/schedule")


async def test_a_preview_tries_the_rule_on_the_pings_that_came_and_saves_nothing(
    town: Town, clock: SimClock, db: Database
) -> None:
    uuid, path = await lived(town, clock)
    browser = await town.owner()
    fields = await fields_of(browser, path)
    told = await browser.post(path, fields | {"grace": "45", "grace_unit": "minutes", "preview": "1"})
    page = told.body.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))

    assert 200 == told.status
    assert "9 pings since Mon 2026-03-02 10:00 , judged once more: 3 alarms by the rule that is, 2 by yours" in text
    assert "Kept 2" in text
    assert "Lost 1 − Mon 2026-03-02 13:10 missed, down 20 min" in text
    assert "New 0" in text
    linked = re.search(r'− <a href="(/p/main/incidents/[^"]+)"', page)
    assert linked is not None
    assert 200 == (await browser.get(linked[1])).status
    async with db.read() as read:
        assert [] == (await read.execute(sa.select(audit).where(audit.c.action == "check.edit"))).all()
    assert f"/p/main/checks/{uuid}" in page


@pytest.mark.parametrize(
    ("changed", "is_said"),
    [
        ({"every": "30", "every_unit": "minutes"}, True),
        ({"grace": "45", "grace_unit": "minutes"}, False),
        ({"max_run": "2", "max_run_unit": "hours"}, False),
    ],
)
async def test_only_another_schedule_counts_from_its_first_time_on(
    town: Town, changed: dict[str, str], *, is_said: bool
) -> None:
    check = await town.world.check(START, name="one")
    await town.world.ping(check, START)
    browser, path = await town.owner(), f"/p/main/checks/{check.uuid}/schedule"
    told = await browser.post(path, await fields_of(browser, path) | changed | {"preview": "1"})
    assert (200, is_said) == (told.status, "Saved now, it counts from" in told.body.decode())


async def test_alarms_that_would_be_new_lead_to_what_came_around_them(town: Town, clock: SimClock) -> None:
    uuid, path = await lived(town, clock)
    browser = await town.owner()
    told = await browser.post(
        path, await fields_of(browser, path) | {"every": "30", "every_unit": "minutes", "preview": "1"}
    )
    page = told.body.decode()
    (count,) = re.findall(r'New <span class="count">(\d+)', page)
    links = re.findall(r'\+ <a href="([^"]+)"', page)
    assert int(count) == len(links)
    assert 4 <= len(links)
    assert f"/p/main/checks/{uuid}/events?until=2026-03-02T11%3A00%3A01Z" == links[0]


async def test_the_same_rule_finds_the_alarms_that_there_were(town: Town, clock: SimClock, db: Database) -> None:
    uuid, _ = await lived(town, clock)
    async with db.read() as read:
        check = await queries.find(read, town.world.project.pid, uuid)
        history = await history_of(read, check, since=START - HOUR, through=clock.now(), gated=True)
    tried = backtest(history, of_row(check._asdict()), of_row(check._asdict()))
    flips = await town.world.flips(check)
    assert [flip.at for flip in flips if flip.to_status == "down"] == [alarm.at for alarm in tried.old]
    assert (3, (), ()) == (len(tried.differ.kept), tried.differ.lost, tried.differ.added)
    assert {alarm.at for alarm in tried.old} == set(history.incidents)


async def test_a_check_without_pings_has_nothing_to_try_it_on(town: Town) -> None:
    check = await town.world.check(START, name="fresh")
    browser, path = await town.owner(), f"/p/main/checks/{check.uuid}/schedule"
    told = await browser.post(path, await fields_of(browser, path) | {"grace": "5", "preview": "1"})
    assert "there is nothing to try it on" in told.body.decode()


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"kind": "cron", "expression": "0 25 * * *"}, "expression"),
        ({"kind": "cron", "expression": "0 0 31 2 *"}, "expression"),
        ({"kind": "cron", "expression": "* * * * *", "zone": "Moon/Base"}, "zone"),
        ({"grace": "soon"}, "grace"),
        ({"max_run": "0"}, "max_run"),
    ],
)
@pytest.mark.parametrize("button", [{}, {"preview": "1"}])
async def test_a_rule_that_cannot_be_is_refused_beside_its_field(
    town: Town, changed: dict[str, str], field: str, button: dict[str, str]
) -> None:
    check = await town.world.check(START, name="one")
    browser, path = await town.owner(), f"/p/main/checks/{check.uuid}/schedule"
    told = await browser.post(path, await fields_of(browser, path) | changed | button)
    assert (422, True) == (told.status, f'id="{field}-wrong"' in told.body.decode())
    assert "period" == (await town.world.row(check)).kind


async def test_a_new_rule_is_saved_and_who_has_not_seen_it_is_shown_both(town: Town) -> None:
    check = await town.world.check(START, name="one", description="stays", tags=("a",))
    browser, path = await town.owner(), f"/p/main/checks/{check.uuid}/schedule"
    fields = await fields_of(browser, path)
    new = {"kind": "cron", "expression": "15 4 * * *", "zone": "Europe/Riga", "max_run": "2", "max_run_unit": "hours"}
    assert 303 == (await browser.post(path, fields | new)).status
    row = await town.world.row(check)
    assert ("cron", "15 4 * * *", "Europe/Riga", 7200, "stays", ["a"]) == (
        row.kind, row.expression, row.zone, row.max_run_s, row.description, list(row.tags),
    )  # fmt: skip
    late = await browser.post(path, fields | {"grace": "99"})
    assert (409, True) == (late.status, "15 4 * * *" in late.body.decode())


async def test_more_turns_than_are_read_begin_the_history_later(
    town: Town, clock: SimClock, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies behind a pause that was not read would be taken for silence."""
    w = town.world
    check = await w.check(START, name="Often paused", slug="often")
    for hour in range(6):
        at = START + hour * HOUR
        await w.ping(check, at)
        await db.write(partial(pause, pid=check.pid, uuid=check.uuid, at=at + MINUTE, ids=w.ids, actor=CLI))
        await db.write(partial(resume, pid=check.pid, uuid=check.uuid, at=at + 2 * MINUTE, ids=w.ids, actor=CLI))
    monkeypatch.setattr("heartfly.checks.backtest.MOST_TURNS", 4)
    async with db.read() as read:
        row = await queries.find(read, town.world.project.pid, check.uuid)
        history = await history_of(read, row, since=START - HOUR, through=START + 6 * HOUR, gated=True)

    assert [START + 4 * HOUR, START + 5 * HOUR] == [signal.at for signal in history.signals]
    assert [(4, True), (4, False), (5, True), (5, False)] == [
        (int((one.at - START) / HOUR), one.pauses) for one in history.commands
    ]
    assert START + 3 * HOUR < history.from_at <= START + 4 * HOUR
    assert not history.whole


async def test_when_many_try_schedules_at_once_one_is_told_to_come_again_and_loses_nothing(
    town: Town, web: WebState, clock: SimClock
) -> None:
    _, path = await lived(town, clock)
    browser = await town.owner()
    asked = await fields_of(browser, path) | {"grace": "45", "grace_unit": "minutes", "preview": "1"}
    full = Turnstile(at_once=1, waiting=0, again_s=5, busy="too many schedules are tried")
    object.__setattr__(web.api, "trying", full)
    async with web.api.trying:
        busy = await browser.post(path, asked)

    assert (503, "5") == (busy.status, busy.headers["retry-after"])
    assert "Too many schedules are tried" in busy.body.decode()
    assert re.search(r'name="grace"[^>]* value="45"', busy.body.decode())
    assert 200 == (await browser.post(path, asked)).status


async def test_what_is_set_is_shown_as_it_is_set(town: Town) -> None:
    """Neither rounded to a minute nor with a tenth of a second that nobody has set."""
    for name, grace_s, said in (("one", 130, "2 min 10 s"), ("two", 30, "30 s"), ("three", 100, "1 min 40 s")):
        check = await town.world.check(START, name=name, grace=timedelta(seconds=grace_s))
        browser = await town.owner()

        assert f"grace {said} " in await text_of(browser, f"/p/main/checks/{check.uuid}/schedule")
        assert f"Grace {said} " in await text_of(browser, f"/p/main/checks/{check.uuid}")
