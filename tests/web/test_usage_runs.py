"""Aggregation runs: what the job did, its check and the calendar lead to one another, and a long rerun tells how far
it is.
"""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.core.events import read as parsed
from heartfly.db.database import Database
from heartfly.db.models import meters
from heartfly.jobs.catalogue import daily_usage
from heartfly.jobs.daily_usage import NAME as DAILY_USAGE
from heartfly.jobs.kind import Done, Work
from heartfly.jobs.slots import put
from heartfly.web import usage_of_day
from heartfly.web.state import WebState
from tests.jobs.workshop import Workshop, kind_of
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town
from tests.web.test_usage_pages import said, text

pytestmark = pytest.mark.anyio

ROOT = "/p/main/usage"
YESTERDAY = START - timedelta(days=1)
DAY = f"/jobs/{YESTERDAY.date()}"


@pytest.fixture
async def sent(town: Town, web: WebState) -> Town:
    """An event in each of two hours of yesterday."""
    found = [
        {
            "transaction_id": f"t-{n}", "customer_id": "c", "event_type": "call", "properties": {},
            "timestamp": (YESTERDAY + timedelta(hours=n)).isoformat(),
        }
        for n in range(2)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(found)), wire="native")
    return town


async def test_runs_their_check_and_the_days_lead_to_one_another(
    sent: Town, web: WebState, usage_db: Database, clock: SimClock
) -> None:
    owner, viewer = await sent.owner(), await sent.viewer()
    before = await text(owner, "/jobs")
    workshop = Workshop(sent.world, clock, daily_usage(usage_db, web.api.closer))
    await workshop.look()
    planned, job = await text(owner, "/jobs"), await workshop.job(DAILY_USAGE)
    await sent.world.db.write(lambda tx: put(tx, job.pid, job.id, START, by_hand=True))
    waiting = await text(owner, "/jobs")
    await workshop.go(START + timedelta(hours=16))
    check = await workshop.check()
    path = f"/p/main/checks/{check.uuid}"
    page, shown = (await viewer.get(f"{ROOT}/jobs")).body.decode(), await text(viewer, "/jobs")
    its_page = (await owner.get(path)).body.decode()

    assert "There is no run yet" in before
    assert "It has not run yet" in planned
    assert "by hand Waits – – – – –" in waiting
    assert {f'href="{path}"', f'href="{path}/runs"', f'href="{ROOT}/jobs/2026-03-02"'} <= set(
        re.findall(r'href="[^"]+"', page)
    )
    assert re.search(r"OK \d+ ms 2026-03-02 0 2 0 ", shown), shown
    assert "2 events" in shown  # of the day in the calendar
    assert f'href="{ROOT}/jobs"' in its_page
    assert "It pings from within" in its_page
    assert "curl" not in its_page
    assert f"{path}/snippets" not in its_page
    assert path == (await owner.get(f"{path}/snippets")).headers["location"]


async def wrong(_: Work) -> Done:
    return Done(figures={"day": "2026-03-01", "events_raw": 2}, failure="2026-03-01 does not add up: 7 < 8")


async def test_a_run_that_failed_says_why(town: Town, clock: SimClock) -> None:
    workshop = Workshop(town.world, clock, kind_of(wrong, name=DAILY_USAGE))
    await workshop.look()
    await workshop.go(START + timedelta(hours=18))

    shown = await text(await town.owner(), "/jobs")
    assert re.search(r"Failed 2026-03-01 does not add up: 7 < 8 \d+ ms 2026-03-01 2 – –", shown), shown


async def test_a_rerun_that_takes_long_goes_on_and_tells_how_far_it_is(sent: Town, web: WebState) -> None:
    owner, viewer = await sent.owner(), await sent.viewer()
    web.reruns.wait_s = 0
    async with web.api.closer._folder._writing:  # nothing can be folded
        asked = await owner.post(ROOT + DAY, {"do": "close"})
        reply = await owner.get(ROOT + DAY)
        assert "2" == (await owner.get(f"{ROOT}{DAY}?refresh=30")).headers["refresh"]  # once, and its own
        while "still to be added up" not in said(reply.body):
            reply = await viewer.get(ROOT + DAY)
        again = await owner.post(ROOT + DAY, {"do": "close"})
    rerun = web.reruns.of((sent.world.project.pid, YESTERDAY.date()))
    assert rerun is not None
    await asyncio.wait({rerun.task})
    ended, later = await owner.get(ROOT + DAY), await owner.get(ROOT + DAY)

    assert (303, f"{ROOT}{DAY}") == (asked.status, asked.headers["location"])
    assert "It is being closed anew" in said(reply.body)
    assert "2 of 24 hours are still to be added up" in said(reply.body)
    assert '<progress max="24" value="22"' in reply.body.decode()
    assert ("2", 'name="do"' in reply.body.decode()) == (reply.headers["refresh"], False)
    assert 303 == again.status
    assert "The day was closed anew" in said(ended.body)
    assert "The day was closed anew" not in said(later.body)
    assert "Final" in said(later.body)
    assert "refresh" not in later.headers


async def test_what_would_change_is_kept_for_who_waited(sent: Town, web: WebState) -> None:
    owner = await sent.owner()
    web.reruns.wait_s = 0
    asked = await owner.post(ROOT + DAY, {"do": "try"})
    rerun = web.reruns.of((sent.world.project.pid, YESTERDAY.date()))
    assert rerun is not None
    await asyncio.wait({rerun.task})
    shown = await owner.get(ROOT + DAY)

    assert 303 == asked.status
    assert "2 events in 2 windows (hours and days) were added up anew" in said(shown.body)
    assert "2 hours wait to be summed up anyway" in said(shown.body)
    assert 'value="close"' in shown.body.decode()


async def test_so_many_are_looked_at_at_once_and_no_more(sent: Town, web: WebState) -> None:
    owner = await sent.owner()
    web.reruns.wait_s = 0
    async with web.api.closer._folder._writing:
        days = [(START - timedelta(days=n)).date() for n in range(1, 10)]
        statuses = [(await owner.post(f"{ROOT}/jobs/{day}", {"do": "close"})).status for day in days]
        busy = [one for day in days if (one := web.reruns.of((sent.world.project.pid, day))) is not None]
    await asyncio.wait({one.task for one in busy})

    assert [303] * 8 + [503] == statuses


async def test_a_day_tells_each_meter_with_its_own_state_and_what_it_could_not_count(town: Town, web: WebState) -> None:
    owner, viewer, path = await town.owner(), await town.viewer(), ROOT + DAY
    sent = [
        {
            "transaction_id": f"t-{n}", "customer_id": "c", "event_type": "call", "properties": properties,
            "timestamp": YESTERDAY.isoformat(),
        }
        for n, properties in enumerate([{"size": 5}, {}, {"size": 2}])
    ]  # fmt: skip
    none_yet = await text(owner, DAY)
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(sent)), wire="native")
    size = {"slug": "size", "name": "Size", "unit": "kB", "event_types": "call", "aggregation": "sum", "value": "size"}
    await owner.post(f"{ROOT}/meters/new", size)
    await owner.post(f"{ROOT}/meters/new", {"slug": "gone", "event_types": "x", "aggregation": "count"})
    rev = await owner.hidden(f"{ROOT}/meters/gone", "rev")
    await owner.post(f"{ROOT}/meters/gone/archive", {"do": "archive", "rev": rev})
    await owner.post(path, {"do": "close"})
    shown, page = await text(viewer, DAY), (await owner.get(path)).body.decode()
    await owner.post(f"{ROOT}/meters/new", {"slug": "calls", "event_types": "call", "aggregation": "count"})
    new = await text(owner, DAY)
    await owner.post(path, {"do": "close"})
    again = await text(owner, DAY)

    assert "There are no meters yet" in none_yet
    assert "Complete up to 00:00:00 UTC" in shown
    assert "Size 7 kB 2 1 Final" in shown
    assert "calls 0 – 0 0 Provisional" in new  # nothing is folded yet
    assert f"Complete up to {YESTERDAY.date()} 10:00:00 UTC" in new
    assert ("calls 3 – 3 0 Final" in again, "gone archived 0 – 0 0 Final" in again) == (True, True)
    assert f"{ROOT}/meters/size?from={YESTERDAY.date()}&amp;to={YESTERDAY.date()}&amp;window=hour&amp;zone=UTC" in page
    assert "Closed by hand" not in shown  # the audit is not for viewers
    hand = f"/p/main/audit?action=usage.rerun&object=usage_day:{YESTERDAY.date()}"
    assert 2 == said((await owner.get(hand)).body).count("usage.rerun usage_day")


async def test_meters_that_ended_before_a_day_hide_none_that_counts(
    sent: Town, usage_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_of_day, "MOST", 1)
    owner = await sent.owner()
    for slug in ("old-1", "old-2", "old-3", "living"):
        await owner.post(f"{ROOT}/meters/new", {"slug": slug, "event_types": "call", "aggregation": "count"})
    ended = sa.update(meters).where(meters.c.slug.startswith("old")).values(archived_at=START - timedelta(days=9))
    await usage_db.write(lambda tx: tx.conn.execute(ended).rowcount)
    shown = await text(owner, DAY)

    assert ("living" in shown, "old-1" in shown) == (True, False)


async def test_what_changed_since_a_day_was_proved_is_told_by_customer(sent: Town, web: WebState) -> None:
    owner = await sent.owner()
    await owner.post(f"{ROOT}/meters/new", {"slug": "calls", "event_types": "call", "aggregation": "count"})
    await owner.post(ROOT + DAY, {"do": "close"})
    same = said((await owner.post(ROOT + DAY, {"do": "try"})).body)
    late = {
        "transaction_id": "late", "customer_id": "c", "event_type": "call", "properties": {},
        "timestamp": YESTERDAY.isoformat(),
    }  # fmt: skip
    await web.api.events.take(sent.world.project.pid, [late], wire="native")
    other = said((await owner.post(ROOT + DAY, {"do": "try"})).body)

    assert "All figures are what was proved" in same
    assert "1 figure is not what was proved" in other
    assert "calls c 2 3 2 3" in other
