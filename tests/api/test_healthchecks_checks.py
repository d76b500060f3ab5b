"""Checks by the Healthchecks API: what is sent, what is read back, and how errors are told."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.api.door import House
from tests.api.theirs import nobody, reader, stored, writer
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

BASE = "http://beat.example.org"


async def test_a_check_is_made_and_told_in_their_form(house: House) -> None:
    made = await writer(house).made(name="Foo Bar", tags="a b", desc="d")

    address = made["uuid"]
    update = f"{BASE}/api/v3/checks/{address}"
    assert {
        "name": "Foo Bar", "slug": "", "tags": "a b", "desc": "d", "grace": 3600, "n_pings": 0, "status": "new",
        "started": False, "last_ping": None, "next_ping": None, "manual_resume": False, "methods": "", "subject": "",
        "subject_fail": "", "start_kw": "", "success_kw": "", "failure_kw": "", "filter_subject": False,
        "filter_body": False, "filter_http_body": False, "filter_default_fail": False, "badge_url": "", "uuid": address,
        "ping_url": f"{BASE}/ping/{address}", "update_url": update, "pause_url": f"{update}/pause",
        "resume_url": f"{update}/resume", "channels": "", "timeout": 86400,
    } == made  # fmt: skip


async def test_a_reader_gets_a_unique_key_in_the_place_of_every_secret(house: House) -> None:
    made = await writer(house).made(name="Foo")
    (seen,) = (await reader(house)("GET", "checks/")).json["checks"]

    expected = hashlib.sha1(made["uuid"].replace("-", "")[:16].encode()).hexdigest()
    assert expected == seen["unique_key"]
    assert set() == {"uuid", "ping_url", "update_url", "pause_url", "resume_url", "channels"} & set(seen)
    assert seen == (await reader(house)("GET", f"checks/{expected}")).json
    assert seen == (await reader(house)("GET", f"checks/{made['uuid']}")).json
    assert made == (await writer(house)("GET", f"checks/{expected}")).json
    assert 405 == (await writer(house)("POST", f"checks/{expected}/pings/")).status


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_urls_carry_the_version_and_end_in_the_uuid(house: House, version: int) -> None:
    made = await writer(house).of(version).made()

    assert f"{BASE}/api/v{version}/checks/{made['uuid']}" == made["update_url"]
    assert made["uuid"] == made["ping_url"].rpartition("/")[2]


@pytest.mark.parametrize(("version", "slug"), [(1, "a-b-cd-e"), (2, "a-b-cd-e"), (3, "")])
async def test_a_name_makes_a_slug_before_version_3(house: House, version: int, slug: str) -> None:
    client = writer(house).of(version)
    made = await client.made(name="Ä b c.d  -E")

    renamed = (await client("POST", f"checks/{made['uuid']}", {"name": "Other"})).json
    given = (await client("POST", f"checks/{made['uuid']}", {"name": "X", "slug": "mine"})).json

    assert (slug, "other" if version < 3 else "", "mine") == (made["slug"], renamed["slug"], given["slug"])


async def test_two_checks_may_share_a_slug_and_a_native_check_may_not(house: House) -> None:
    client = writer(house)
    one, other = await client.made(slug="same"), await client.made(slug="same")
    moved = (await client("POST", f"checks/{(await client.made(slug='third'))['uuid']}", {"slug": "same"})).json

    listed = (await client("GET", "checks/?slug=same")).json["checks"]
    native = await house.full("POST", "/v1/checks", {"name": "n", "slug": "same"})

    assert [one["uuid"], other["uuid"], moved["uuid"]] == [check["uuid"] for check in listed]
    assert 409 == native.status


async def test_an_edit_here_leaves_a_missing_slug_alone(house: House) -> None:
    made = await writer(house).made(name="No slug")
    row = await stored(house, made)

    edited = await house.full("PATCH", f"/v1/checks/{row.uuid}", {"description": "x"})

    assert (200, "") == (edited.status, edited.json["slug"])


async def test_a_check_without_a_name_is_called_unnamed(house: House) -> None:
    made = (await writer(house)("POST", "checks/", {})).json
    cleared = (await writer(house)("POST", f"checks/{(await writer(house).made())['uuid']}", {"name": ""})).json

    assert ("unnamed", "unnamed") == (made["name"], cleared["name"])


async def test_lists_are_filtered_by_all_tags_and_by_slug(house: House) -> None:
    client = writer(house)
    for name, tags in (("one", "prod db"), ("two", "prod"), ("three", "production db")):
        await client.made(name=name, tags=tags, slug=name)

    async def names(query: str) -> list[str]:
        return [check["name"] for check in (await client("GET", f"checks/{query}")).json["checks"]]

    assert ["one", "two", "three"] == await names("")
    assert ["one", "two"] == await names("?tag=prod")
    assert ["one"] == await names("?tag=prod&tag=db")
    assert ["two"] == await names("?slug=two")
    assert [] == await names("?slug=%00&tag=%00")


async def test_schedules_are_cron_with_five_words_and_otherwise_systemd_s(house: House) -> None:
    client = writer(house)
    cron = await client.made(schedule="*/5 * * * *", tz="Europe/Riga", timeout=60)
    calendar = await client.made(schedule="Mon..Fri 02:30")

    assert ("*/5 * * * *", "Europe/Riga") == (cron["schedule"], cron["tz"])
    assert "timeout" not in cron
    assert ("Mon..Fri 02:30", "UTC") == (calendar["schedule"], calendar["tz"])
    assert ["cron", "oncalendar"] == [(await stored(house, one)).kind for one in (cron, calendar)]

    zoned = (await client("POST", f"checks/{cron['uuid']}", {"tz": "Europe/Berlin"})).json
    other = (await client("POST", f"checks/{cron['uuid']}", {"schedule": "0 0 * * *"})).json
    simple = (await client("POST", f"checks/{cron['uuid']}", {"timeout": 90})).json

    assert ("*/5 * * * *", "Europe/Berlin") == (zoned["schedule"], zoned["tz"])
    assert ("0 0 * * *", "Europe/Berlin") == (other["schedule"], other["tz"])
    assert (90, False) == (simple["timeout"], "schedule" in simple)


async def test_what_is_left_out_of_an_update_stays(house: House) -> None:
    client = writer(house)
    made = await client.made(name="A", tags="x", desc="d", timeout=90, grace=120, methods="POST", manual_resume=True)

    same = (await client("POST", f"checks/{made['uuid']}", {})).json
    changed = (await client("POST", f"checks/{made['uuid']}", {"grace": 240, "unheard_of": None})).json

    assert made == same
    assert made | {"grace": 240} == changed
    assert ("POST", True) == ((await stored(house, made)).methods, (await stored(house, made)).sticky)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"channels": 1}, "channels is not a string"),
        ({"desc": None}, "desc is not a string"),
        ({"failure_kw": "x" * 201}, "failure_kw is too long"),
        ({"start_kw": 5}, "start_kw is not a string"),
        ({"success_kw": "x" * 201}, "success_kw is too long"),
        ({"filter_subject": 1}, "filter_subject is not a boolean"),
        ({"filter_body": "yes"}, "filter_body is not a boolean"),
        ({"filter_http_body": None}, "filter_http_body is not a boolean"),
        ({"filter_default_fail": 0}, "filter_default_fail is not a boolean"),
        ({"manual_resume": "no"}, "manual_resume is not a boolean"),
        ({"grace": 59}, "grace is too small"),
        ({"grace": True}, "grace is too small"),
        ({"grace": 31536001}, "grace is too large"),
        ({"grace": 60.5}, "grace is not a number"),
        ({"timeout": "60"}, "timeout is not a number"),
        ({"timeout": None}, "timeout is not a number"),
        ({"methods": "PUT"}, "methods has unexpected value"),
        ({"methods": None}, "methods has unexpected value"),
        ({"methods": []}, "methods has unexpected value"),
        ({"name": "x" * 101}, "name is too long"),
        ({"name": None}, "name is not a string"),
        ({"schedule": "bad"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": "0 0 31 2 *"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": "x" * 101}, "schedule is too long"),
        ({"slug": "Upper"}, "slug does not match pattern"),
        ({"slug": "x" * 101}, "slug is too long"),
        ({"subject": "x" * 201}, "subject is too long"),
        ({"tags": ["a"]}, "tags is not a string"),
        ({"tz": "Mars/Base"}, "tz is not a valid timezone"),
        ({"unique": "name"}, "unique is not an array"),
        ({"unique": ["desc"]}, "an item in 'unique' has unexpected value"),
        ({"unique": [1]}, "an item in 'unique' has unexpected value"),
        ({"name": None, "desc": None}, "desc is not a string"),
        ({"name": "nul\0"}, "name must not hold control characters"),
        ({"tags": "x" * 51}, "tags must have at most 50 characters"),
        ({"desc": "x" * 10001}, "desc must have at most 10000 characters"),
        (
            {"filter_http_body": True, "start_kw": ",".join(map(str, range(21)))},
            "start_kw must be at most 20 keywords",
        ),
    ],
)
@on_sqlite
async def test_what_is_wrong_is_told_in_their_words(house: House, asked: dict[str, Any], text: str) -> None:
    client = writer(house)
    made = await client.made()

    told = [await client("POST", path, asked) for path in ("checks/", f"checks/{made['uuid']}")]

    assert [(400, {"error": f"json validation error: {text}"})] * 2 == [(one.status, one.json) for one in told]
    assert [made] == (await client("GET", "checks/")).json["checks"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "could not parse request body"),
        (b"\xff", "could not parse request body"),
        (b"[" * 5000, "could not parse request body"),
        (b'{"grace": ' + b"9" * 5000 + b"}", "could not parse request body"),
        (b"[1]", "json validation error: value is not an object"),
        (b"null", "json validation error: value is not an object"),
    ],
)
@on_sqlite
async def test_a_body_is_read_before_the_key_is(house: House, body: bytes, text: str) -> None:
    told = await nobody(house)("POST", "checks/", body=body)

    assert (400, {"error": text}) == (told.status, told.json)


@pytest.mark.parametrize(("identifier", "n"), [("*", 2), ("", 0), ("ops", 1), ("ops,mail", 2)])
async def test_channels_are_named_by_star_name_or_id(house: House, identifier: str, n: int) -> None:
    client = writer(house)
    ids = []
    for name in ("ops", "mail"):
        hook = {"kind": "webhook", "name": name, "config": {"url": f"https://hooks.example.com/{name}"}}
        ids.append((await house.full("POST", "/v1/channels", hook)).json["id"])

    made = await client.made(channels=identifier)
    by_id = await client.made(channels=ids[1])
    unheard = await client.made()

    assert (n, n) == (
        len([one for one in made["channels"].split(",") if one]),
        len(set(made["channels"].split(",")) - {""}),
    )
    assert ",".join(sorted(made["channels"].split(","))) == made["channels"]
    assert (ids[1], "") == (by_id["channels"], unheard["channels"])
    assert {
        "channels": [
            {"id": ids[0], "name": "ops", "kind": "webhook"},
            {"id": ids[1], "name": "mail", "kind": "webhook"},
        ]
    } == (await client("GET", "channels/")).json


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("nope", "invalid channel identifier: nope"),
        (",", "empty channel identifier"),
        ("twice", "non-unique channel identifier: twice"),
    ],
)
async def test_a_channel_that_cannot_be_meant_is_told(house: House, identifier: str, text: str) -> None:
    client = writer(house)
    hook = {"kind": "webhook", "name": "a", "config": {"url": "https://hooks.example.com/a"}}
    first = (await house.full("POST", "/v1/channels", hook)).json["id"]
    await house.full("POST", "/v1/channels", hook | {"name": first})
    identifier, text = (one.replace("twice", first) for one in (identifier, text))

    told = await client("POST", "checks/", {"name": "x", "channels": identifier})

    assert (400, {"error": text}) == (told.status, told.json)
    assert [] == (await client("GET", "checks/")).json["checks"]


async def test_delete_is_answered_with_the_check_as_it_was(house: House) -> None:
    client = writer(house)
    made = await client.made()

    gone = await client("DELETE", f"checks/{made['uuid']}")

    assert (200, made) == (gone.status, gone.json)
    assert 404 == (await client("GET", f"checks/{made['uuid']}")).status
    assert 404 == (await client("DELETE", f"checks/{made['uuid']}")).status


async def test_pause_may_come_twice_and_resume_may_not(house: House, clock: SimClock) -> None:
    client = writer(house)
    made = await client.made()
    row = await stored(house, made)
    await house.world.ping(row, clock.now(), PingKind.START)

    paused = [await client("POST", f"checks/{made['uuid']}/pause") for _ in range(2)]
    resumed = await client("POST", f"checks/{made['uuid']}/resume", {})
    again = await client("POST", f"checks/{made['uuid']}/resume")

    assert [(200, "paused", False)] * 2 == [(one.status, one.json["status"], one.json["started"]) for one in paused]
    assert (200, "new", None) == (resumed.status, resumed.json["status"], resumed.json["last_ping"])
    assert (409, b"check is not paused") == (again.status, again.body)
