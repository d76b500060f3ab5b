"""Causes in the browser: set by forms, shown as one row, read with all members, and acknowledged with them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from heartfly.incidents import shares
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_usage_pages import said
from tests.world import TEST

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOSTILE = "<script>alert(1)</script>"


async def text(browser: Browser, path: str) -> str:
    reply = await browser.get(path)
    assert 200 == reply.status, path
    return said(reply.body)


async def died(town: Town, host: str = "db-1", n: int = 3) -> list[Any]:
    jobs = [await town.world.check(START, name=f"job-{number}", host=host) for number in range(n)]
    for number, job in enumerate(jobs):
        await town.world.ping(job, START + number * MINUTE, PingKind.FAIL)
    return jobs


async def cause_of(browser: Browser) -> str:
    page = (await browser.get("/p/main/incidents")).body.decode()
    (link,) = re.findall(r'<td><a href="[^"]*?(/p/main/incidents/[0-9a-f-]{36})"', page)
    return str(link)


async def test_a_cause_is_one_row_with_how_many_checks_it_explains(town: Town, clock: SimClock) -> None:
    jobs = await died(town)
    clock.move_to(START + 10 * MINUTE)
    await town.world.ping(jobs[1], START + 10 * MINUTE)
    owner = await town.owner()

    listed = await text(owner, "/p/main/incidents")
    assert "host db-1 3 checks, 2 down" in listed
    assert "job-0" not in listed
    assert re.search(r'id="n-incidents" data-part>1<', (await owner.get("/p/main/checks")).body.decode())
    whole = await text(owner, await cause_of(owner))
    assert "host db-1 explains 3 checks" in whole
    assert all(job.name in whole for job in jobs)
    assert "job-1 is not down any more" in whole
    assert "Over" in whole


async def test_a_member_leads_to_its_cause_and_a_check_names_its_ties(town: Town) -> None:
    dump, upload = await town.world.check(START, name="dump"), await town.world.check(START, name="upload")
    owner = await town.owner()
    fields = await fields_of(owner, f"/p/main/checks/{upload.uuid}/edit")
    sent = await owner.post(f"/p/main/checks/{upload.uuid}/edit", fields | {"needs": "dump", "host": "web-1"})
    assert 303 == sent.status, said(sent.body)
    for job in (dump, upload):
        await town.world.ping(job, START, PingKind.FAIL)

    page = await text(owner, f"/p/main/checks/{upload.uuid}")
    assert "It waits for “dump”, which is down" in page
    assert "Host web-1 Needs dump Down" in page
    assert "It went down with “dump”, which it needs." in page
    needed = await text(owner, f"/p/main/checks/{dump.uuid}")
    assert "Needed by upload Down" in needed
    assert "1 check that needs it went down with it." in needed
    body = (await owner.get(f"/p/main/checks/{upload.uuid}")).body.decode()
    member = re.search(r"(/p/main/incidents/[0-9a-f-]{36})\">Open the incident", body)
    cause = re.search(r"(/p/main/incidents/[0-9a-f-]{36})\">Open that of its cause", body)
    assert member is not None
    assert cause is not None
    assert cause[1] in (await owner.get(member[1])).body.decode()
    assert "“dump” and what needs it : 2 checks" in await text(owner, cause[1])


async def test_a_new_check_is_made_with_its_host_and_what_it_needs(town: Town) -> None:
    await town.world.check(START, name="dump")
    owner = await town.owner()
    fields = await fields_of(owner, "/p/main/checks/new")
    asked = fields | {"name": "Upload", "host": "web-1", "needs": "dump"}
    sent = await owner.post("/p/main/checks/new", asked)

    assert 303 == sent.status
    assert "Host web-1 Needs dump" in await text(owner, sent.headers["location"])
    wrong = await owner.post("/p/main/checks/new", asked | {"name": "Other", "needs": "dump, nobody"})
    assert 422 == wrong.status
    assert "there is no such check in this project" in said(wrong.body)


async def test_a_need_that_cannot_be_is_told_beside_its_field(town: Town) -> None:
    one = await town.world.check(START, name="one")
    theirs = await town.next_door.check(START, name="theirs")
    owner = await town.owner()
    path = f"/p/main/checks/{one.uuid}/edit"
    for needs, why in (("one", "a check cannot need itself"), (theirs.uuid, "there is no such check in this project")):
        sent = await owner.post(path, await fields_of(owner, path) | {"needs": needs})
        assert 422 == sent.status
        assert why in said(sent.body)


async def test_who_has_not_seen_that_its_needs_were_edited_is_shown_both(town: Town) -> None:
    await town.world.check(START, name="dump")
    one = await town.world.check(START, name="one")
    owner = await town.owner()
    path = f"/p/main/checks/{one.uuid}/edit"
    stale, fresh = await fields_of(owner, path), await fields_of(owner, path)
    assert 303 == (await owner.post(path, fresh | {"needs": "dump"})).status

    assert 409 == (await owner.post(path, stale | {"grace": "7"})).status


async def test_who_acknowledges_a_cause_takes_care_of_each_and_a_viewer_cannot(town: Town) -> None:
    jobs = await died(town)
    owner, viewer = await town.owner(), await town.viewer()
    path = await cause_of(owner)
    assert 403 == (await viewer.post(f"{path}/acknowledge", {})).status
    assert "Acknowledge" not in await text(viewer, path)

    assert 303 == (await owner.post(f"{path}/acknowledge", {})).status
    assert "owner@example.com takes care of it" in await text(owner, path)
    other = await town.world.check(START, name="elsewhere", host="db-2")
    await town.world.ping(other, START, PingKind.FAIL)
    assert "takes care of it" in await text(owner, f"/p/main/checks/{jobs[0].uuid}")
    assert "takes care of it" not in await text(owner, f"/p/main/checks/{other.uuid}")


async def test_a_shared_cause_names_no_check_of_the_project(town: Town) -> None:
    await died(town)
    owner = await town.owner()
    path = await cause_of(owner)
    world, cause = town.world, path.rpartition("/")[2]
    made = await world.db.write(
        lambda tx: shares.share(
            tx, world.project.pid, cause, lasts_s=3600, with_comments=False, at=START, actor=TEST, ids=world.ids
        )
    )
    page = await text(Browser(town.served), f"/shared/{made.token}")

    assert "db-1 explains why checks are down" in page
    assert "job-0" not in page


async def test_a_host_of_any_name_breaks_no_page(town: Town) -> None:
    jobs = await died(town, host=HOSTILE)
    owner = await town.owner()
    for path in ("/p/main/incidents", await cause_of(owner), f"/p/main/checks/{jobs[0].uuid}"):
        body = (await owner.get(path)).body.decode()
        assert HOSTILE not in body
        assert "&lt;script&gt;" in body
