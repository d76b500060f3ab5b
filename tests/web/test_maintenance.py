"""Silences in the browser: planned, shown where they matter, and ended; snoozed from a check and from an incident."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.core.words import PingKind
from heartfly.db.models import incidents, silences
from heartfly.notify.peace_commands import Asked, make
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_usage_pages import said

pytestmark = pytest.mark.anyio

HERE = "/p/main/maintenance"
NEW = f"{HERE}/new"
HOSTILE = "<script>alert(1)</script>"


async def rows(town: Town) -> list[Any]:
    async with town.world.db.read() as read:
        return list((await read.execute(sa.select(silences).order_by(silences.c.id))).all())


async def text(browser: Browser, path: str) -> str:
    reply = await browser.get(path)
    assert 200 == reply.status
    return said(reply.body)


async def test_where_nothing_is_planned_it_is_said_what_for_and_how(town: Town) -> None:
    owner, viewer = await text(await town.owner(), HERE), await text(await town.viewer(), HERE)

    assert "Nothing planned" in owner
    assert "heartfly silences create maintenance" in owner
    assert (True, False) == ("Silence now, for 2 hours" in owner, "Silence now, for 2 hours" in viewer)


async def test_a_window_for_a_tag_is_planned_shown_on_its_checks_and_ended(town: Town, clock: SimClock) -> None:
    backup = await town.world.check(START, name="backup", tags=("db",))
    await town.world.check(START, name="other")
    owner = await town.owner()
    form = {"kind": "maintenance", "scope": "tag", "tags": "db, web", "when": "once", "note": HOSTILE}
    made = await owner.post(f"{HERE}/new", form | {"to": f"{START + timedelta(hours=3):%Y-%m-%dT%H:%M}"})
    assert 303 == made.status
    (row,) = await rows(town)
    assert (["db", "web"], "hold", START + timedelta(hours=3)) == (row.targets, row.effect, row.to_at)

    shown = (await owner.get(HERE)).body.decode()
    assert HOSTILE not in shown
    assert "In force" in shown
    assert 1 == (await text(owner, "/p/main/checks")).count("silenced until")
    page = await text(owner, f"/p/main/checks/{backup.uuid}")
    assert "Silenced maintenance" in page

    ended = await owner.post(f"{HERE}/{row.uuid}/end", {"check": backup.uuid})
    assert (303, f"/p/main/checks/{backup.uuid}") == (ended.status, ended.headers["location"])
    assert "Silenced" not in await text(owner, f"/p/main/checks/{backup.uuid}")
    assert "ended by" in await text(owner, f"{HERE}?state=ended")


async def test_what_is_not_judged_is_not_late_and_is_expected_after_it(town: Town, clock: SimClock) -> None:
    hour = timedelta(hours=1)
    backup = await town.world.check(START, name="backup", tags=("db",))
    other = await town.world.check(START, name="other")
    for check in (backup, other):
        await town.world.ping(check, START)
    asked = Asked(kind="maintenance", scope="tag", targets=["db"], effect="ignore", to_at=START + 3 * hour)
    pid, ids = town.world.project.pid, town.world.ids
    await town.world.db.write(lambda tx: make(tx, pid, asked, at=START, actor=CLI, ids=ids))
    clock.move_to(START + hour + timedelta(minutes=5))
    owner = await town.owner()

    assert "Late 1" in await text(owner, "/p/main/checks")
    for path in ("/p/main/checks?q=is:late", "/p/main/checks?status=late", "/p/main/checks?q=late>1m"):
        late = await text(owner, path)
        assert (False, True) == ("backup" in late, "other" in late), path
    page = await text(owner, f"/p/main/checks/{backup.uuid}")
    assert "Next expected" in page
    assert "14:00" in page.split("Next expected")[1][:60]
    its_own = page.partition("What it means")[2]  # behind what all pages may say of judging
    assert "late" not in its_own.split("Next expected")[0].lower()
    assert "late" in (await text(owner, f"/p/main/checks/{other.uuid}")).split("Next expected")[0].lower()
    found = await text(owner, "/p/main/go?q=b")
    assert "backup" in found
    # Once it is over it counts from there on.
    clock.move_to(START + 3 * hour)
    assert "Late 2" in await text(owner, "/p/main/checks")


async def test_a_window_that_comes_again_and_quiet_hours_are_planned_by_fields(town: Town) -> None:
    owner = await town.owner()
    again = {"kind": "maintenance", "scope": "project", "when": "again", "cron": "0 2 * * 0", "lasts": "2"}
    assert 303 == (await owner.post(f"{HERE}/new", again | {"lasts_unit": "hours", "effect": "ignore"})).status
    night = {"kind": "quiet", "scope": "project", "night_from": "22:30", "night_to": "07:00", "days": "1-5"}
    assert 303 == (await owner.post(f"{HERE}/new", night | {"below": "high", "zone": "Europe/Berlin"})).status

    window, quiet = await rows(town)
    assert ("0 2 * * 0", 7200, "ignore") == (window.cron, window.lasts_s, window.effect)
    assert ("30 22 * * 1-5", 8.5 * 3600, "high") == (quiet.cron, quiet.lasts_s, quiet.below)
    assert "The next 14 days" in await text(owner, HERE)
    assert 303 == (await owner.post(f"{HERE}/{window.uuid}/delete", {})).status
    assert "maintenance" not in (await text(owner, HERE)).partition("New window")[2].partition("Quiet hours Covers")[0]


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({"kind": "maintenance", "scope": "project", "to": "2020-01-01T00:00"}, "must be after the beginning"),
        ({"kind": "maintenance", "scope": "project", "to": "soon"}, "must be a time such as"),
        ({"kind": "maintenance", "scope": "check", "to": "2026-12-01T00:00"}, "Name a check at least"),
        ({"kind": "maintenance", "scope": "planet", "to": "2026-12-01T00:00"}, "must be one of"),
        ({"kind": "maintenance", "scope": "project", "when": "again", "cron": "x", "lasts": "1"}, "Begins"),
        (
            {"kind": "maintenance", "scope": "project", "when": "again", "cron": "0 2 * * *", "lasts": "-"},
            "whole number",
        ),
        ({"kind": "quiet", "scope": "project", "night_from": "25:00", "night_to": "07:00"}, "a time such as 22:00"),
        ({"kind": "snooze", "scope": "project", "to": "2026-12-01T00:00"}, "must be one of"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field(town: Town, form: dict[str, str], wrong: str) -> None:
    reply = await (await town.owner()).post(f"{HERE}/new", form)

    assert (422, True) == (reply.status, wrong in said(reply.body)), said(reply.body)
    assert [] == await rows(town)


async def test_a_check_is_snoozed_from_its_page_and_from_its_incident(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="backup")
    await town.world.ping(check, START, PingKind.FAIL)
    owner = await town.owner()
    async with town.world.db.read() as read:
        incident = (await read.execute(sa.select(incidents.c.uuid))).scalar_one()

    one = await owner.post(f"/p/main/checks/{check.uuid}/snooze", {"lasts": "1800", "incident": incident})
    assert (303, f"/p/main/incidents/{incident}") == (one.status, one.headers["location"])
    two = await owner.post(f"/p/main/checks/{check.uuid}/snooze", {"lasts": "next"})
    assert (303, f"/p/main/checks/{check.uuid}") == (two.status, two.headers["location"])
    until = f"{START + timedelta(hours=5):%Y-%m-%dT%H:%M}"
    assert 303 == (await owner.post(f"/p/main/checks/{check.uuid}/snooze", {"lasts": "until", "until": until})).status

    now = clock.now()
    assert [now, now, START + timedelta(hours=5)] == [row.to_at for row in await rows(town)]
    assert "Snooze" in (await owner.get(f"/p/main/incidents/{incident}")).body.decode()
    assert 422 == (await owner.post(f"/p/main/checks/{check.uuid}/snooze", {"lasts": "for ever"})).status


async def test_a_window_is_edited_and_what_it_was_stays_on_record(town: Town, clock: SimClock) -> None:
    owner, kept = await town.owner(), {"kind": "maintenance", "scope": "tag", "tags": "db", "effect": "ignore"}
    once = kept | {"when": "once", "note": "disk"}
    await owner.post(NEW, once | {"from": "2026-03-02T10:00", "to": "2026-03-02T12:00"})
    (made,) = await rows(town)
    mine = f"/p/main/maintenance/{made.uuid}/edit"
    half = START + timedelta(minutes=30)
    clock.move_to(half)

    form = (await owner.get(mine)).body.decode()
    reply = await owner.post(mine, once | {"to": "2026-03-02T15:00", "tags": "db, etl"})

    for told in ('value="2026-03-02T10:00"', 'value="2026-03-02T12:00"', 'value="db"', 'value="disk"', "Edit a maint"):
        assert told in form, told
    assert (303, "/p/main/maintenance") == (reply.status, reply.headers["location"])
    now, was = sorted(await rows(town), key=lambda row: row.to_at, reverse=True)
    assert (made.uuid, half, START + timedelta(hours=5)) == (now.uuid, now.from_at, now.to_at)
    assert (["db"], ["db", "etl"]) == (list(was.targets), list(now.targets))
    assert (START, half, "user:owner@example.com") == (was.from_at, was.to_at, was.ended_by)
    assert "silence.edit" in (await owner.get("/p/main/audit")).body.decode()
    wrong = await owner.post(mine, once | {"to": "2026-03-02T09:00", "note": "typed"})
    assert (422, True) == (wrong.status, 'value="typed"' in wrong.body.decode())
    await owner.post(mine.replace("/edit", "/end"))
    late = await owner.post(mine, once | {"to": "2026-03-03T09:00"})
    assert (409, 409) == ((await owner.get(mine)).status, late.status)


async def test_what_comes_again_is_edited_with_the_times_that_it_has(town: Town) -> None:
    owner = await town.owner()
    again = {"kind": "maintenance", "scope": "project", "when": "again", "zone": "Europe/Riga", "effect": "hold"}
    await owner.post(NEW, again | {"cron": "0 2 * * 0", "lasts": "90", "lasts_unit": "minutes"})
    nightly = {"kind": "quiet", "scope": "project", "night_from": "22:15", "night_to": "07:00", "days": "1-5"}
    await owner.post(NEW, nightly)
    window, nights = sorted(await rows(town), key=lambda row: row.kind)

    form = (await owner.get(f"/p/main/maintenance/{window.uuid}/edit")).body.decode()
    night = (await owner.get(f"/p/main/maintenance/{nights.uuid}/edit")).body.decode()
    sent = {"scope": "project", "night_from": "23:00", "night_to": "06:00", "days": "*", "below": "high", "zone": "UTC"}
    await owner.post(f"/p/main/maintenance/{nights.uuid}/edit", sent)

    for told in ('value="0 2 * * 0"', 'value="90"', "selected>minutes", 'value="Europe/Riga"'):
        assert told in form, told
    for told in ('value="22:15"', 'value="07:00"', '<option value="1-5" selected>'):
        assert told in night, told
    (changed,) = [row for row in await rows(town) if row.uuid == nights.uuid]
    assert ("0 23 * * *", 7 * 3600, "high") == (changed.cron, changed.lasts_s, changed.below)


async def test_nights_that_no_field_has_stay_as_they_are(town: Town) -> None:
    owner, pid, ids = await town.owner(), town.world.project.pid, town.world.ids
    asked = Asked(kind="quiet", scope="project", cron="0 22 29 2 *", zone="Europe/Riga", lasts=timedelta(hours=9))
    made = await town.world.db.write(lambda tx: make(tx, pid, asked, at=START, actor=CLI, ids=ids))
    mine = f"/p/main/maintenance/{made.uuid}/edit"

    form = (await owner.get(mine)).body.decode()
    assert 303 == (await owner.post(mine, {"when": "kept", "scope": "project", "below": "high", "note": "leap"})).status

    assert ("0 22 29 2 *" in form, 'name="night_from"' in form) == (True, False)
    (now,) = [row for row in await rows(town) if row.uuid == made.uuid]
    assert ("0 22 29 2 *", "Europe/Riga", 9 * 3600, "leap") == (now.cron, now.zone, now.lasts_s, now.note)


async def test_a_snooze_has_no_form(town: Town) -> None:
    check, owner = await town.world.check(START, name="backup"), await town.owner()
    await owner.post(f"/p/main/checks/{check.uuid}/snooze", {"lasts": "1800"})
    (made,) = await rows(town)

    assert 409 == (await owner.get(f"/p/main/maintenance/{made.uuid}/edit")).status
    assert f"{made.uuid}/edit" not in (await owner.get("/p/main/maintenance")).body.decode()


async def test_an_incident_s_page_says_who_keeps_it_quiet_and_until_when(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="backup")
    await town.world.ping(check, START, PingKind.FAIL)
    owner = await town.owner()
    async with town.world.db.read() as read:
        incident = (await read.execute(sa.select(incidents.c.uuid))).scalar_one()
    mine = f"/p/main/incidents/{incident}"
    assert "Silenced" not in await text(owner, mine)
    await owner.post(f"/p/main/checks/{check.uuid}/snooze", {"lasts": "1800"})

    told, seen = await text(owner, mine), (await (await town.viewer()).get(mine)).body.decode()

    assert "Silenced until 10:30:00 in 30 min , by owner@example.com : snoozed" in told
    assert ("End now" in told, "End now" in seen) == (True, False)
    (silence,) = await rows(town)
    back = await owner.post(f"/p/main/maintenance/{silence.uuid}/end", {"incident": incident})
    assert (303, mine) == (back.status, back.headers["location"])
    assert "Silenced" not in await text(owner, mine)
    await owner.post(f"/p/main/checks/{check.uuid}/snooze", {"lasts": "86400"})
    clock.move_to(START + timedelta(minutes=1))
    await town.world.ping(check, START + timedelta(minutes=1))
    assert "Silenced" not in await text(owner, mine)  # it is closed: there is nothing to be kept quiet


async def test_all_that_a_filter_shows_is_silenced_at_once(town: Town) -> None:
    for n in range(3):
        await town.world.check(START, name=f"etl-{n}", tags=("etl",))
    await town.world.check(START, name="other")
    owner = await town.owner()
    page = (await owner.get("/p/main/checks?q=tag:etl")).body.decode()
    found = re.search(r'name="shown" value="([^"]+)"', page)
    assert found is not None

    form = {"do": "silence", "all": "1", "q": "tag:etl", "shown": found[1]}
    reply = await owner.post("/p/main/checks", form)

    assert 303 == reply.status
    (row,) = await rows(town)
    assert ("snooze", 3, timedelta(hours=2)) == (row.kind, len(row.targets), row.to_at - row.from_at)
    assert 3 == (await text(owner, "/p/main/checks")).count("silenced until")
    assert "silence.create" in (await owner.get("/p/main/audit")).body.decode()


async def test_what_a_channel_is_for_is_set_with_a_preview(town: Town) -> None:
    owner = await town.owner()
    await owner.post("/p/main/channels/new/email", {"name": "ops", "value": "ops@example.com"})
    listed = (await owner.get("/p/main/channels")).body.decode()
    found = re.search(r"/p/main/channels/([0-9a-f-]{36})", listed)
    assert found is not None
    mine = f"/p/main/channels/{found[1]}"
    rev = re.search(r'name="rev" value="(\d+)"', (await owner.get(f"{mine}/policy")).body.decode())
    assert rev is not None
    form = {"tags": "db, web", "least": "high", "after": "15", "every": "60", "title": "$STATUS: $NAME", "rev": rev[1]}

    preview = await owner.post(f"{mine}/policy", form | {"preview": "1"})
    assert (200, True) == (preview.status, "down: nightly-backup" in said(preview.body))
    assert 422 == (await owner.post(f"{mine}/policy", form | {"every": "1"})).status
    assert 409 == (await owner.post(f"{mine}/policy", form | {"rev": "99"})).status
    other = {"check.up.title": "$NAME is back", "check.up.text": "All is well.", "event": "check.up"}
    of_up = await owner.post(f"{mine}/policy", form | other | {"preview": "1"})
    assert (200, True) == (of_up.status, "nightly-backup is back" in said(of_up.body))
    wrong = await owner.post(f"{mine}/policy", form | other | {"check.up.title": "x" * 301})
    assert (422, True) == (wrong.status, 'id="check.up.title"' in wrong.body.decode())
    assert 303 == (await owner.post(f"{mine}/policy", form | other)).status
    assert 'value="$NAME is back"' in (await owner.get(f"{mine}/policy")).body.decode()

    page = await text(owner, mine)
    assert "of these with a tag of db, web" in page
    assert "every 1 h" in page
