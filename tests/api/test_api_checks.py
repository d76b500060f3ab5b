"""Checks over the native API, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import queries
from heartfly.checks.config import CheckIn
from heartfly.core.words import PingKind
from heartfly.db.models import (
    addresses,
    check_channels,
    check_versions,
    checks,
    flips,
    ping_bodies,
    pings,
    run_metrics,
    runs,
)
from heartfly.pings.request import PingOutcome
from tests.api.conftest import START
from tests.api.door import BASE_URL, House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
HOURLY = {"kind": "period", "period": 3600}
NIGHTLY = {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin"}


async def stored(house: House, check: Any) -> Any:
    """The row behind a check as the API tells it."""
    async with house.world.db.read() as read:
        return await queries.find(read, house.world.project.pid, check["id"])


async def made(house: House, **asked: Any) -> Any:
    reply = await house.full("POST", "/v1/checks", {"name": "job", "schedule": HOURLY, "grace": 600} | asked)
    assert 201 == reply.status, reply.json
    return reply.json


async def test_a_new_check_is_told_in_full_with_its_address(house: House) -> None:
    reply = await house.full(
        "POST",
        "/v1/checks",
        {
            "name": "Nightly backup",
            "schedule": NIGHTLY,
            "grace": 600,
            "max_run": 7200,
            "tags": ["db", "prod", "db"],
            "gates": [{"metric": "rows", "op": ">", "value": "0.50"}],
        },
    )

    check = reply.json
    row = await stored(house, check)
    assert 201 == reply.status
    assert f"{BASE_URL}/v1/checks/{check['id']}" == reply.headers["location"]
    assert {
        "id": row.uuid,
        "name": "Nightly backup",
        "slug": "nightly-backup",
        "tags": ["db", "prod"],
        "description": "",
        "status": "new",
        "status_since": "2026-03-02T10:00:00Z",
        "status_reason": None,
        "running": False,
        "late": False,
        "tolerated": "",
        "schedule": {
            "kind": "cron",
            "period": None,
            "expression": "30 2 * * *",
            "zone": "Europe/Berlin",
            "dialect": "cron",
        },
        "schedule_text": "At 02:30 (Europe/Berlin)",
        "schedule_error": None,
        "grace": 600,
        "max_run": 7200,
        "methods": "",
        "filters": {"start": [], "success": [], "failure": [], "default_fail": False},
        "gates": [{"metric": "rows", "op": ">", "value": "0.50", "level": "fail"}],
        "tolerance": None,
        "bounds": [],
        "slo": None,
        "sticky": False,
        "unverified_is_down": False,
        "host": "",
        "heard_host": "",
        "needs": [],
        "job": None,
        "silenced_until": None,
        "channels": [],
        "ping_url": f"{BASE_URL}/ping/{row.ping_uuid}",
        "old_ping_url_until": None,
        "n_pings": 0,
        "last_ping_at": None,
        "last_ping_kind": None,
        "last_duration": None,
        "next_expected_at": None,
        "first_ping_by": None,
        "goes_down_at": None,
        "created_at": "2026-03-02T10:00:00Z",
        "updated_at": "2026-03-02T10:00:00Z",
    } == check


async def test_what_is_left_out_is_daily_with_an_hour_of_grace_and_hears_every_channel(house: House) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "x"})).json

    assert ("period", 86400, 3600, None) == (
        check["schedule"]["kind"],
        check["schedule"]["period"],
        check["grace"],
        check["max_run"],
    )


async def test_a_check_needs_a_name_or_a_slug(house: House) -> None:
    nameless = await house.full("POST", "/v1/checks", {"grace": 60})
    by_slug = await house.full("POST", "/v1/checks", {"slug": "disk-space"})

    assert (422, ["name"]) == (nameless.status, nameless.fields)
    assert ("disk-space", "disk-space") == (by_slug.json["name"], by_slug.json["slug"])


async def test_slugs_that_are_made_are_unique_and_fit(house: House) -> None:
    slugs = [(await made(house, name=name))["slug"] for name in ("Job", "job", "JOB", "日本", "日本", *["x" * 100] * 2)]

    assert ["job", "job-2", "job-3", "check", "check-2", "x" * 100, "x" * 90 + "-2"] == slugs


async def test_a_slug_that_is_asked_for_twice_is_a_conflict_that_names_it(house: House) -> None:
    await made(house, slug="backup")

    again = await house.full("POST", "/v1/checks", {"name": "other", "slug": "backup"})

    assert (409, ["slug"]) == (again.status, again.fields)
    assert "urn:heartfly:problem:conflict" == again.json["type"]


async def test_two_that_ask_for_one_name_at_once_get_two_slugs(house: House) -> None:
    twins = await asyncio.gather(*(made(house, name="twin") for _ in range(8)))

    assert {"twin", *(f"twin-{n}" for n in range(2, 9))} == {check["slug"] for check in twins}


async def test_of_several_wrong_fields_each_is_named(house: House) -> None:
    wrong = {"name": "", "grace": 0, "schedule": {"kind": "lunar"}, "tags": ["x"], "methods": "PUT"}

    made = await house.full("POST", "/v1/checks", wrong)
    check = (await house.full("POST", "/v1/checks", {"name": "job"})).json
    edited = await house.full("PATCH", f"/v1/checks/{check['id']}", {"max_run": 0, "slug": "A b"})

    assert (422, ["name", "schedule.kind", "grace", "methods"]) == (made.status, made.fields)
    assert "; ".join(f"{one['field']}: {one['message']}" for one in made.json["errors"]) == made.json["detail"]
    assert (422, ["slug", "max_run"]) == (edited.status, edited.fields)


async def test_upsert_makes_a_check_once_and_edits_it_from_then_on(house: House) -> None:
    asked = {"slug": "backup", "name": "Backup", "schedule": HOURLY}

    first = await house.full("POST", "/v1/checks?upsert=slug", asked)
    again = await house.full("POST", "/v1/checks?upsert=slug", asked | {"grace": 30})
    without = await house.full("POST", "/v1/checks?upsert=slug", {"name": "Backup"})
    strange = await house.full("POST", "/v1/checks?upsert=name", asked)

    assert (201, 200) == (first.status, again.status)
    assert first.json["id"] == again.json["id"]
    assert 30 == again.json["grace"]
    assert (422, ["slug"]) == (without.status, without.fields)
    assert (422, ["upsert"]) == (strange.status, strange.fields)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"schedule": {"kind": "cron", "expression": "30 2 30 2 *"}}, "schedule.expression"),
    ({"schedule": {"kind": "cron", "expression": "nonsense"}}, "schedule.expression"),
    ({"schedule": {"kind": "cron"}}, "schedule.expression"),
    ({"schedule": {"kind": "oncalendar", "expression": "2020-01-01"}}, "schedule.expression"),
    ({"schedule": {"kind": "oncalendar", "expression": "2026-03-01"}}, "schedule.expression"),  # yesterday
    ({"schedule": {"kind": "cron", "expression": "* * * * *", "zone": "../../etc/passwd"}}, "schedule.zone"),
    ({"schedule": {"kind": "cron", "expression": "* * * * *", "zone": "Europe"}}, "schedule.zone"),
    ({"schedule": {"kind": "cron", "expression": "* * * * *", "zone": "\0"}}, "schedule.zone"),
    ({"schedule": {"kind": "cron", "expression": "* * * * *", "dialect": "quartz"}}, "schedule.dialect"),
    ({"schedule": {"kind": "hourly"}}, "schedule.kind"),
    ({"schedule": {}}, "schedule.kind"),
    ({"schedule": {"kind": "period", "period": 4}}, "schedule.period"),
    ({"schedule": {"kind": "period", "period": 10**30}}, "schedule.period"),
    ({"schedule": {"kind": "period", "period": 60, "every": 1}}, "schedule.every"),
    ({"grace": 0}, "grace"),
    ({"grace": "60"}, "grace"),
    ({"grace": True}, "grace"),
    ({"max_run": -1}, "max_run"),
    ({"slug": "No Slug"}, "slug"),
    ({"name": ""}, "name"),
    ({"name": "two\nlines"}, "name"),
    ({"name": "n" * 101}, "name"),
    ({"tags": ["ok", "bell\a"]}, "tags[1]"),
    ({"tags": [5]}, "tags[0]"),
    ({"description": "\0"}, "description"),
    ({"methods": "PUT"}, "methods"),
    ({"filters": {"success": ["a\0"]}}, "filters.success[0]"),
    ({"filters": {"start": "a"}}, "filters.start"),
    ({"gates": [{"metric": "rows", "op": "~", "value": 1}]}, "gates[0]"),
    ({"gates": [{"metric": "rows", "op": ">", "value": "1e999999999"}]}, "gates[0].value"),
    ({"tolerance": {"failures": 0}}, "tolerance.failures"),
    ({"tolerance": {"failures": 21}}, "tolerance.failures"),
    ({"tolerance": {"failures": "3"}}, "tolerance.failures"),
    ({"tolerance": {"share": 50}}, "tolerance.last"),
    ({"tolerance": {"last": 5}}, "tolerance.share"),
    ({"tolerance": {"share": 101, "last": 5}}, "tolerance.share"),
    ({"tolerance": {"share": 50, "last": 51}}, "tolerance.last"),
    ({"tolerance": {"recover": 0}}, "tolerance.recover"),
    ({"tolerance": {"misses": 3}}, "tolerance.misses"),
    ({"bounds": ["run >= 1m", "walk >= 1m"]}, "bounds[1]"),
    ({"bounds": ["run >= 1m", "run >= 2m"]}, "bounds[1]"),
    ({"bounds": "run >= 1m"}, "bounds"),
    ({"bounds": ["start within 2h"], "grace": 7200}, "bounds"),
    ({"channels": ["nonsense"]}, "channels[0]"),
    ({"channels": ["3f0f8f9e-6a1c-4a55-8d4c-111111111111"]}, "channels[0]"),
    ({"status": "up"}, "status"),
    ({"ping_uuid": "x"}, "ping_uuid"),
]


async def test_a_value_that_breaks_a_rule_is_refused_with_the_path_of_its_field(house: House) -> None:
    check = await made(house)
    heard = []

    for asked, _ in BROKEN:
        new = await house.full("POST", "/v1/checks", {"name": "x"} | asked)
        edit = await house.full("PATCH", f"/v1/checks/{check['id']}", asked)
        heard.append((asked, new.status, new.fields, edit.status, edit.fields))

    assert [(asked, 422, [field], 422, [field]) for asked, field in BROKEN] == heard
    assert [check] == (await house.full("GET", "/v1/checks")).json["items"]


# --- edits -------------------------------------------------------------------------------------------


async def test_an_edit_changes_what_it_names_and_is_kept_as_a_version(house: House) -> None:
    check = await made(house, tags=["a"], description="why")

    edited = await house.full("PATCH", f"/v1/checks/{check['id']}", {"name": "new name", "tags": []})

    assert 200 == edited.status
    assert check | {"name": "new name", "tags": [], "updated_at": edited.json["updated_at"]} == edited.json
    async with house.world.db.read() as read:
        kept = (await read.execute(sa.select(check_versions).order_by(check_versions.c.from_at))).all()
    assert "new name" == kept[-1].config["name"]
    assert f"key:{house.full.key[:10]}" == kept[-1].actor


async def test_a_check_as_it_is_read_can_be_sent_back_field_by_field(house: House) -> None:
    check = await made(
        house, schedule=NIGHTLY, filters={"success": ["OK"]}, gates=[{"metric": "n", "op": ">", "value": 1}]
    )
    editable = {name: check[name] for name in CheckIn.__struct_fields__}

    again = await house.full("PATCH", f"/v1/checks/{check['id']}", editable)

    assert (200, check) == (again.status, again.json | {"updated_at": check["updated_at"]})


async def test_only_a_new_schedule_or_grace_moves_the_deadline(house: House, clock: SimClock) -> None:
    check = await made(house)
    await house.world.ping(await stored(house, check), START)
    path = f"/v1/checks/{check['id']}"
    clock.move_to(START + 65 * MINUTE)  # late: a slot counted anew would be the next one

    edits: list[dict[str, Any]] = [
        {},
        {"name": "other"},
        {"gates": [{"metric": "rows", "op": ">", "value": 1}]},
        {"sticky": True},
        {"unverified_is_down": True},
        {"schedule": HOURLY},
        {"channels": []},
    ]
    same = [(await house.full("PATCH", path, asked)).json["goes_down_at"] for asked in edits]
    longer = (await house.full("PATCH", path, {"grace": 1200})).json["goes_down_at"]

    assert {"2026-03-02T11:10:00Z"} == set(same)
    assert "2026-03-02T11:20:00Z" == longer


async def test_whether_silence_is_excused_is_true_or_false_and_nothing_else(house: House) -> None:
    made = (await house.full("POST", "/v1/checks", {"name": "billing", "unverified_is_down": True})).json
    wrong = await house.full("PATCH", f"/v1/checks/{made['id']}", {"unverified_is_down": "yes"})

    assert made["unverified_is_down"]
    assert (422, ["unverified_is_down"]) == (wrong.status, wrong.fields)
    assert made == (await house.full("GET", f"/v1/checks/{made['id']}")).json


async def test_a_new_schedule_counts_from_the_edit_on(house: House, clock: SimClock) -> None:
    check = await made(house)
    await house.world.ping(await stored(house, check), START)
    clock.move_to(START + 30 * MINUTE)

    edited = await house.full("PATCH", f"/v1/checks/{check['id']}", {"schedule": NIGHTLY})

    assert ("2026-03-03T01:30:00Z", "2026-03-03T01:40:00Z", "up") == (
        edited.json["next_expected_at"],
        edited.json["goes_down_at"],
        edited.json["status"],
    )


async def test_a_slug_can_be_changed_but_not_to_one_that_is_taken(house: House) -> None:
    check, other = await made(house, slug="one"), await made(house, slug="two")

    taken = await house.full("PATCH", f"/v1/checks/{check['id']}", {"slug": other["slug"]})
    free = await house.full("PATCH", f"/v1/checks/{check['id']}", {"slug": "three"})
    same = await house.full("PATCH", f"/v1/checks/{check['id']}", {"slug": "three"})

    assert (409, ["slug"]) == (taken.status, taken.fields)
    assert (200, "three", 200) == (free.status, free.json["slug"], same.status)


async def test_an_edit_of_what_changed_meanwhile_is_refused_to_who_asks_for_it(house: House) -> None:
    check = await made(house)
    path = f"/v1/checks/{check['id']}"
    seen = (await house.full("GET", path)).headers["etag"]
    await house.full("PATCH", path, {"name": "theirs"})

    stale = await house.full("PATCH", path, {"name": "mine"}, headers=[("If-Match", seen)])
    stale_delete = await house.full("DELETE", path, headers=[("If-Match", seen)])
    stale_pause = await house.full("POST", f"{path}/pause", headers=[("If-Match", seen)])
    now = (await house.full("GET", path)).headers["etag"]
    fresh = await house.full("PATCH", path, {"name": "mine"}, headers=[("If-Match", now)])
    any_will_do = await house.full("PATCH", path, {"name": "yours"}, headers=[("If-Match", "*")])
    nonsense = await house.full("PATCH", path, {"name": "x"}, headers=[("If-Match", "17")])

    assert (412, 412, 412) == (stale.status, stale_delete.status, stale_pause.status)
    assert "urn:heartfly:problem:changed-meanwhile" == stale.json["type"]
    assert (200, 200) == (fresh.status, any_will_do.status)
    assert (422, ["If-Match"]) == (nonsense.status, nonsense.fields)


# --- pause, resume, delete ---------------------------------------------------------------------------


async def test_a_pause_and_a_resume_are_flips_that_nobody_is_told_of(house: House) -> None:
    check = await made(house)
    path = f"/v1/checks/{check['id']}"
    await house.world.ping(await stored(house, check), START)

    paused = await house.full("POST", f"{path}/pause")
    twice = await house.full("POST", f"{path}/pause")
    resumed = await house.full("POST", f"{path}/resume")
    refused = await house.full("POST", f"{path}/resume")

    assert ("paused", None) == (paused.json["status"], paused.json["goes_down_at"])
    assert paused.json == twice.json
    assert ("new", "resumed", None) == (
        resumed.json["status"],
        resumed.json["status_reason"],
        resumed.json["last_ping_at"],
    )
    assert (409, "the check is not paused") == (refused.status, refused.json["detail"])
    assert ["success", "paused", "resumed"] == [
        flip.reason for flip in await house.world.flips(await stored(house, check))
    ]


async def test_a_deleted_check_leaves_nothing_behind(house: House) -> None:
    check, other = await made(house), await made(house, name="other")
    row, spared = await stored(house, check), await stored(house, other)
    for minute in range(4):
        await house.world.ping(row, START + minute * MINUTE, PingKind(["start", "success"][minute % 2]), body=b"rows=1")
        await house.world.ping(spared, START + minute * MINUTE, body=b"rows=1")

    gone = await house.full("DELETE", f"/v1/checks/{check['id']}")
    again = await house.full("DELETE", f"/v1/checks/{check['id']}")
    unheard = await house.world.ping(row, START + 9 * MINUTE)

    assert (204, b"", 404) == (gone.status, gone.body, again.status)
    assert PingOutcome.NOT_FOUND == unheard.outcome
    async with house.world.db.read() as read:
        for table in (pings, ping_bodies, runs, run_metrics, flips, check_versions, addresses, check_channels):
            left = (await read.execute(sa.select(table.c.check_id).distinct())).scalars().all()
            assert row.id not in left, table.name
            assert table is check_channels or spared.id in left, table.name


# --- reads -------------------------------------------------------------------------------------------


async def test_a_key_that_may_only_read_never_sees_a_ping_address(house: House) -> None:
    check = await made(house)

    one = await house.read("GET", f"/v1/checks/{check['id']}")
    many = await house.read("GET", "/v1/checks")

    assert check | {"ping_url": None} == one.json
    assert [one.json] == many.json["items"]
    assert b"/ping/" not in one.body + many.body


async def test_late_and_running_are_shown_beside_the_status(house: House, clock: SimClock) -> None:
    check = await made(house, max_run=7200)
    row, path = await stored(house, check), f"/v1/checks/{check['id']}"
    await house.world.ping(row, START)

    shown = []
    for minutes, ping in ((59, False), (60, False), (61, True)):
        clock.move_to(START + minutes * MINUTE)
        if ping:
            await house.world.ping(row, clock.now(), PingKind.START)
        told = (await house.full("GET", path)).json
        shown.append((told["status"], told["late"], told["running"], told["last_ping_kind"]))

    assert [
        ("up", False, False, "success"),
        ("up", True, False, "success"),
        ("up", False, True, "start"),
    ] == shown


async def test_the_list_is_paged_by_key_and_misses_nothing_when_rows_go(house: House) -> None:
    jobs = [await made(house, name=f"job {n}") for n in range(5)]

    first = (await house.full("GET", "/v1/checks?limit=2")).json
    await house.full("DELETE", f"/v1/checks/{jobs[1]['id']}")
    second = (await house.full("GET", f"/v1/checks?limit=2&cursor={first['next']}")).json
    third = (await house.full("GET", f"/v1/checks?limit=2&cursor={second['next']}")).json

    assert [["job 0", "job 1"], ["job 2", "job 3"], ["job 4"]] == [
        [check["name"] for check in page["items"]] for page in (first, second, third)
    ]
    assert third["next"] is None


async def test_a_page_that_is_exactly_full_and_the_last_says_so(house: House) -> None:
    for n in range(2):
        await made(house, name=f"job {n}")

    assert (await house.full("GET", "/v1/checks?limit=2")).json["next"] is None


async def test_the_list_can_be_narrowed(house: House) -> None:
    a = await made(house, name="Backup of A", tags=["db", "prod"])
    b = await made(house, name="100%_sure", tags=["db"])
    await made(house, name="c", slug="see")
    await house.world.ping(await stored(house, a), START)

    async def names(query: str) -> list[str]:
        return [check["name"] for check in (await house.full("GET", f"/v1/checks?{query}")).json["items"]]

    assert ["Backup of A"] == await names("status=up")
    assert ["Backup of A", "100%_sure", "c"] == await names("status=up&status=new")
    assert ["Backup of A", "100%_sure"] == await names("tag=db")
    assert ["Backup of A"] == await names("tag=db&tag=prod")
    assert [] == await names("tag=d")
    assert ["c"] == await names("slug=see")
    assert ["Backup of A"] == await names("q=backUP")
    assert ["100%_sure"] == await names("q=0%25_")
    assert [] == await names("q=%25%25")
    assert ["Backup of A"] == await names("q=prod")
    assert b["id"] == (await house.full("GET", "/v1/checks?q=sure")).json["items"][0]["id"]


async def test_the_next_times_are_those_of_the_schedule_with_what_clocks_do_to_them(house: House) -> None:
    nightly = await made(house, schedule=NIGHTLY)
    hourly = await made(house, name="hourly")
    await house.world.ping(await stored(house, hourly), START)

    times = (await house.read("GET", f"/v1/checks/{nightly['id']}/next?count=28")).json
    by_period = (await house.read("GET", f"/v1/checks/{hourly['id']}/next?count=2")).json

    assert ("2026-03-03T01:30:00Z", "2026-03-29T01:00:00Z") == (times["items"][0], times["items"][26])
    assert [
        "2026-03-29: 02:30 does not exist in Europe/Berlin; cron runs the job at 03:00, right after the gap"
    ] == times["notices"]
    assert ["2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z"] == by_period["items"]


async def test_a_zone_that_left_the_world_spoils_no_more_than_its_schedule(house: House) -> None:
    check = await made(house, schedule=NIGHTLY)
    lost = sa.update(checks).where(checks.c.uuid == check["id"]).values(zone="Europe/Atlantis")
    await house.world.db.write(lambda tx: tx.conn.execute(lost))
    path = f"/v1/checks/{check['id']}"

    read, listed = await house.full("GET", path), await house.full("GET", "/v1/checks")
    following = await house.full("GET", f"{path}/next")
    renamed = await house.full("PATCH", path, {"name": "still editable"})
    mended = await house.full("PATCH", path, {"schedule": NIGHTLY})

    assert "30 2 * * * (Europe/Atlantis)" == read.json["schedule_text"]
    assert [read.json] == listed.json["items"]
    assert (409, True) == (following.status, "Europe/Atlantis" in following.json["detail"])
    assert (200, "still editable") == (renamed.status, renamed.json["name"])
    assert (200, "At 02:30 (Europe/Berlin)") == (mended.status, mended.json["schedule_text"])
