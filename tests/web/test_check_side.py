"""Beside a check stand what it was on its last 90 days, and its address, which is changed while the old one works on.

An alarm of it is acknowledged there, too.
"""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.checks.ninety import DAYS, Day, Ninety
from heartfly.core.words import PingKind
from heartfly.db.models import addresses, check_days, checks
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_live import page_of

pytestmark = pytest.mark.anyio

DAY_S = 86_400


def test_shares_are_of_what_is_known() -> None:
    days = [Day(START.date() - timedelta(days=n)) for n in reversed(range(DAYS))]
    assert (False, None, []) == (Ninety(days).is_known, Ninety(days).up(), Ninety(days).bad)
    days[0] = Day(days[0].day, down_s=DAY_S // 2, up_s=DAY_S // 2)
    days[-1] = Day(days[-1].day, down_s=0, up_s=DAY_S)
    assert (0.75, 1.0, [days[0]]) == (Ninety(days).up(), Ninety(days).up(30), Ninety(days).bad)


async def test_a_checks_page_tells_its_days_and_leads_to_what_happened_on_one(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup")
    await town.world.ping(check, START + timedelta(hours=1), PingKind.FAIL)
    owner = await town.owner()
    assert 'id="ninety"' not in await page_of(owner, f"/p/main/checks/{check.uuid}")
    midnight = START.replace(hour=0)
    known = {"pid": check.pid, "check_id": check.id, "blind_s": 0, "n_ok": 1, "n_failed": 0, "n_missed": 0}
    rows = [
        known | {
            "day": (midnight + timedelta(days=n)).date().isoformat(), "from_at": midnight + timedelta(days=n),
            "to_at": midnight + timedelta(days=n + 1), "down_s": down_s, "up_s": DAY_S - down_s, "n_unverified": 0,
            "flip_no": 1,
        }
        for n, down_s in enumerate((3_600, 0, 0, 0))
    ]  # fmt: skip
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(check_days), rows).rowcount)
    clock.move_to(START + timedelta(days=4))
    owner = await town.owner()  # the session has ended meanwhile

    page = await page_of(owner, f"/p/main/checks/{check.uuid}")
    assert "<strong>98.95 %</strong> up in the 4 days that are known; down on 1 day." in page
    (link,) = re.findall(r'href="([^"]*)"><time datetime="2026-03-02">2026-03-02</time></a>: 1 h<', page)
    of_that_day = await page_of(owner, link.replace("&amp;", "&"))
    assert "was new" in of_that_day
    clock.move_to(START + timedelta(days=200))
    assert 'id="ninety"' not in await page_of(await town.owner(), f"/p/main/checks/{check.uuid}")


async def _addresses(town: Town) -> dict[str, bool]:
    """Those that lead to a check, and whether each works on for ever."""
    async with town.world.db.read() as read:
        found = await read.execute(sa.select(addresses.c.key, addresses.c.until).where(addresses.c.kind == "uuid"))
        return {row.key: row.until is None for row in found}


async def _seen(browser: Browser, path: str) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', await page_of(browser, path))
    assert found is not None
    return found[1]


async def test_an_address_is_changed_and_the_old_one_works_on(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup")
    owner, path = await town.owner(), f"/p/main/checks/{check.uuid}"
    seen = await _seen(owner, path)
    assert 303 == (await owner.post(f"{path}/rotate-address", {"seen": seen, "overlap": "3600"})).status

    fresh = await _seen(owner, path)
    assert {seen: False, fresh: True} == await _addresses(town)
    page = await page_of(owner, path)
    assert re.search(r"The one before works until <time[^>]*>11:00:00<", page)
    assert f"/ping/{fresh}" in page
    assert f"/ping/{seen}" not in page
    clock.move_to(START + timedelta(hours=2))
    assert "The one before works" not in await page_of(owner, path)


async def test_the_same_page_sent_twice_changes_it_once(town: Town) -> None:
    check = await town.world.check(START, name="Backup")
    owner, path = await town.owner(), f"/p/main/checks/{check.uuid}"
    sent = {"seen": await _seen(owner, path), "overlap": "0"}
    assert 303 == (await owner.post(f"{path}/rotate-address", sent)).status
    known = await _addresses(town)
    again = await owner.post(f"{path}/rotate-address", sent)

    assert (409, True) == (again.status, b"has been changed since you opened" in again.body)
    assert (1, known) == (len(known), await _addresses(town))
    wrong = await owner.post(f"{path}/rotate-address", {"seen": next(iter(known)), "overlap": "5"})
    assert (422, known) == (wrong.status, await _addresses(town))


async def test_viewers_see_neither_address_nor_form_and_a_job_of_ours_has_none(town: Town) -> None:
    check = await town.world.check(START, name="Backup")
    job = await town.world.check(START, name="Nightly")
    ours = sa.update(checks).where(checks.c.id == job.id).values(job="retention")
    await town.world.db.write(lambda tx: tx.conn.execute(ours).rowcount)
    path = f"/p/main/checks/{check.uuid}"
    assert "rotate-address" not in await page_of(await town.viewer(), path)
    owner = await town.owner()
    assert "rotate-address" not in await page_of(owner, f"/p/main/checks/{job.uuid}")
    refused = await owner.post(f"/p/main/checks/{job.uuid}/rotate-address", {"seen": "x", "overlap": "0"})
    assert 409 == refused.status


async def test_an_alarm_is_acknowledged_on_the_checks_own_page(town: Town) -> None:
    check = await town.world.check(START, name="Backup")
    path = f"/p/main/checks/{check.uuid}"
    owner, viewer = await town.owner(), await town.viewer()
    assert "Acknowledge" not in await page_of(owner, path)
    await town.world.ping(check, START, PingKind.FAIL)
    assert "Acknowledge" not in await page_of(viewer, path)
    (form,) = re.findall(r'action="([^"]*/acknowledge)"', await page_of(owner, path))
    reply = await owner.post(form, {"to": "check"})

    assert (303, path) == (reply.status, reply.headers["location"])
    for reader in (owner, viewer):
        page = await page_of(reader, path)
        assert "Acknowledge" not in page
        assert "<bdi>owner@example.com</bdi> takes care of it since" in page
