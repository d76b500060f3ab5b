"""`POST /v1/import/healthchecks`: what another server tells of its checks, taken over into a project."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.models import checks
from heartfly.pings.request import BySlug
from heartfly.sealing import digest
from tests.api.conftest import START
from tests.api.door import House, Reply
from tests.api.theirs import Theirs, nobody, writer
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

UUID = "c4b3f2a0-0000-4000-8000-00000000000a"
BADGE = "4262f2a0-0000-4000-8000-00000000000b"
CHANNEL = "b966757e-0000-4000-8000-00000000000c"
THEIRS = "https://hc.example"
# As version 4.4 tells it to a key that may write (healthchecks.io, API v3).
FORM: dict[str, Any] = {
    "name": "Foo Bar", "slug": "foo", "tags": "a b", "desc": "d", "grace": 600, "n_pings": 7, "status": "up",
    "started": False, "last_ping": "2026-03-02T09:30:00+00:00", "next_ping": "2026-03-02T10:30:00+00:00",
    "manual_resume": False, "methods": "", "subject": "", "subject_fail": "", "start_kw": "", "success_kw": "",
    "failure_kw": "", "filter_subject": False, "filter_body": False, "filter_http_body": False,
    "filter_default_fail": False, "badge_url": f"{THEIRS}/b/2/{BADGE}.svg", "uuid": UUID,
    "ping_url": f"{THEIRS}/ping/{UUID}", "update_url": f"{THEIRS}/api/v3/checks/{UUID}",
    "pause_url": f"{THEIRS}/api/v3/checks/{UUID}/pause", "resume_url": f"{THEIRS}/api/v3/checks/{UUID}/resume",
    "channels": CHANNEL, "timeout": 3600,
}  # fmt: skip
CHANNELS = [{"id": CHANNEL, "name": "ops", "kind": "email"}]
HOOK = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.com/x"}}


async def taken(house: House, *forms: dict[str, Any], **more: Any) -> Any:
    reply = await house.full("POST", "/v1/import/healthchecks", {"checks": list(forms), "channels": CHANNELS} | more)
    assert 200 == reply.status, reply.body
    return reply.json


def outcomes(told: Any) -> list[str]:
    return [one["outcome"] for one in told["checks"]]


async def test_a_check_comes_with_all_that_its_api_tells(house: House) -> None:
    channel = (await house.full("POST", "/v1/channels", HOOK)).json["id"]

    told = await taken(house, FORM)

    ours = await writer(house).check(FORM)
    new = {"status", "last_ping", "next_ping", "n_pings", "channels"}
    changed = {name for name in FORM if ours[name] != FORM[name]} - new
    assert ["new"] == outcomes(told)
    assert {"badge_url", "ping_url", "update_url", "pause_url", "resume_url"} == changed
    assert (channel, "new", 0) == (ours["channels"], ours["status"], ours["n_pings"])
    assert f"http://beat.example.org/b/2/{BADGE}.svg" == ours["badge_url"]
    assert 200 == (await nobody(house)("GET", f"/b/2/{BADGE}.svg")).status
    assert ours["uuid"] == told["checks"][0]["address"]
    native = (await house.full("GET", f"/v1/checks/{told['checks'][0]['check']}")).json
    assert ("2026-03-02T10:40:00Z", "foo") == (native["first_ping_by"], native["slug"])


async def test_the_second_time_nothing_is_new(house: House) -> None:
    await house.full("POST", "/v1/channels", HOOK)
    forms = [
        FORM,
        FORM | {"uuid": UUID.replace("c4b3", "c4b4"), "name": "", "slug": "", "tags": " x  x ", "status": "paused"},
    ]
    await taken(house, *forms, ping_key="k" * 22, api_key="a" * 32, read_key="r" * 32)

    told = await taken(house, *forms, ping_key="k" * 22, api_key="a" * 32, read_key="r" * 32)

    assert ["same", "same"] == outcomes(told)
    assert (0, "same", "same", "same") == tuple(
        told[name] for name in ("new_badges", "ping_key", "api_key", "read_key")
    )
    assert [[], []] == [one["differences"] for one in told["checks"]]


async def test_a_dry_run_says_the_same_and_leaves_nothing(house: House) -> None:
    before = (await house.full("GET", "/v1/project")).json
    asked = {"ping_key": "k" * 22, "api_key": "a" * 32, "badges": {"*": {"svg": f"{THEIRS}/badge/key/abcd1234-2.svg"}}}

    dry = await taken(house, FORM, dry_run=True, **asked)

    assert [] == (await writer(house)("GET", "checks/")).json["checks"]
    assert before == (await house.full("GET", "/v1/project")).json
    assert 401 == (await Theirs(house.full.api, "a" * 32)("GET", "checks/")).status
    real = await taken(house, FORM, **asked)
    assert dry["checks"][0] | {"check": real["checks"][0]["check"]} == real["checks"][0]
    assert (True, None, False) == (dry["dry_run"], dry["checks"][0]["check"], real["dry_run"])
    assert (2, "new", "new") == (dry["new_badges"], dry["ping_key"], dry["api_key"])


async def test_what_was_set_here_stays_and_is_told_field_by_field(house: House) -> None:
    first = await taken(house, FORM)
    await house.full("PATCH", f"/v1/checks/{first['checks'][0]['check']}", {"grace": 60, "name": "Mine"})

    told = await taken(house, FORM)
    seen = await writer(house).check(FORM)

    assert ["differs"] == outcomes(told)
    assert [
        {"field": "name", "theirs": "Foo Bar", "ours": "Mine"},
        {"field": "grace", "theirs": 600, "ours": 60},
    ] == told["checks"][0]["differences"]
    assert ("Mine", 60) == (seen["name"], seen["grace"])
    assert ["updated"] == outcomes(await taken(house, FORM, update=True))
    assert ("Foo Bar", 600) == ((await writer(house).check(FORM))["name"], (await writer(house).check(FORM))["grace"])


async def test_a_channel_is_found_by_its_name_and_a_missing_one_is_told(house: House) -> None:
    unnamed = {"id": UUID, "name": "", "kind": "sms"}
    told = await taken(house, FORM | {"channels": f"{CHANNEL},{UUID}"}, channels=[*CHANNELS, unnamed])

    assert [
        "there is no channel here as there: ops",
        "there is no channel here as there: sms without a name",
        "nobody hears of it here",
    ] == told["checks"][0]["notes"]
    await house.full("POST", "/v1/channels", HOOK | {"checks": []})
    again = await taken(house, FORM)
    assert ["channels"] == [one["field"] for one in again["checks"][0]["differences"]]


@on_sqlite
async def test_channels_without_end_are_told_of_once_each_and_not_all(house: House) -> None:
    """400,000 of them, each told anew, took three seconds and 18 MB to say."""
    often, many = ",".join(["none"] * 100_000), ",".join(f"c{n}" for n in range(100_000))

    for channels, n, last in (
        (often, 2, "nobody hears of it here"),
        (many, 52, "nor are 99950 others"),
        ("x" * 900, 2, ""),
    ):
        notes = (await taken(house, FORM | {"channels": channels}, update=True))["checks"][0]["notes"]
        assert (n, True, True) == (len(notes), any(last in one for one in notes), max(map(len, notes)) < 300)


async def test_a_paused_check_stays_paused_and_a_calendar_a_calendar(house: House) -> None:
    calendar = {key: value for key, value in FORM.items() if key != "timeout"}
    calendar |= {"schedule": "*/5 * * * *", "tz": "Europe/Riga", "status": "paused", "next_ping": None}

    told = await taken(house, calendar)
    seen = await writer(house).check(FORM)

    assert ("paused", "*/5 * * * *", "Europe/Riga") == (seen["status"], seen["schedule"], seen["tz"])
    assert None is (await house.full("GET", f"/v1/checks/{told['checks'][0]['check']}")).json["first_ping_by"]
    other = await taken(house, FORM)
    assert [
        {"field": "timeout", "theirs": 3600, "ours": None},
        {"field": "schedule", "theirs": None, "ours": "*/5 * * * *"},
        {"field": "tz", "theirs": None, "ours": "Europe/Riga"},
    ] == other["checks"][0]["differences"]


async def test_jobs_ping_on_by_address_and_by_slug(house: House) -> None:
    key = "k-_" + "k" * 19
    old = house.world.project.ping_key
    await taken(house, FORM, ping_key=key)
    row = await _row(house)

    by_uuid = await house.world.ping(row, START)
    by_slug = [
        await house.world.pings([house.world.request(row, START, PingKind.LOG, target=_slug(one))])
        for one in (key, old)
    ]

    assert "ok" == by_uuid.outcome
    assert [["ok"], ["ok"]] == [[one.outcome.value for one in found] for found in by_slug]
    later = START + timedelta(days=30)
    ended = await house.world.pings([house.world.request(row, later, target=_slug(old))])
    assert ["not_found"] == [one.outcome.value for one in ended]


async def _row(house: House) -> Any:
    async with house.world.db.read() as read:
        return (await read.execute(sa.select(checks).where(checks.c.ping_uuid == UUID))).one()


def _slug(key: str) -> BySlug:
    return BySlug(digest(key), "foo")


async def test_keys_of_theirs_go_on_with_what_they_could(house: House) -> None:
    await taken(house, FORM, api_key="hcw_" + "a" * 28, read_key="hcr_" + "a" * 28)
    write, read = (Theirs(house.full.api, f"hc{kind}_" + "a" * 28) for kind in "wr")

    assert (200, UUID) == ((await write("GET", "checks/")).status, (await write.check(FORM))["uuid"])
    assert ("unique_key" in (await read("GET", "checks/")).json["checks"][0]) is True
    assert (201, 401) == (
        (await write("POST", "checks/", {"name": "x"})).status, (await read("POST", "checks/", {"name": "x"})).status
    )  # fmt: skip


async def test_one_that_is_wrong_is_told_and_leaves_no_trace_and_the_others_come(
    house: House, neighbour: House
) -> None:
    await taken(neighbour, FORM)
    other = FORM | {"uuid": UUID.replace("c4b3", "dddd")}
    forms: list[dict[str, Any]] = [
        FORM,
        {key: value for key, value in FORM.items() if key != "uuid"},
        other | {"uuid": UUID.replace("c4b3", "eeee"), "grace": 0},
        other | {"uuid": UUID.replace("c4b3", "ffff"), "tags": "x" * 51},
        other | {"uuid": UUID.replace("c4b3", "aaaa"), "name": ["x"], "status": [], "next_ping": {}, "badge_url": 5},
        {},
        other,
    ]

    told = await taken(house, *forms)

    assert ["refused"] * 6 + ["new"] == outcomes(told)
    assert [
        f"a check has the address {UUID} already",
        "it has no uuid: the key must be one that may write",
        "grace must be 1 to 31536000 seconds",
        "tags must have at most 50 characters",
        "name is not a string",
        "it has no uuid: the key must be one that may write",
        "there is no channel here as there: ops",
    ] == [one["notes"][0] for one in told["checks"]]
    assert 1 == len((await writer(house)("GET", "checks/")).json["checks"])


@pytest.mark.parametrize(
    "next_ping", ["2026-02-31T00:00:00+00:00", "9999-12-31T23:59:59-23:00", "soon", None, "2026-03-02T08:00:00+00:00"]
)
async def test_when_a_first_ping_is_wanted_is_only_what_can_be(house: House, next_ping: str | None) -> None:
    told = await taken(house, FORM | {"next_ping": next_ping})

    assert None is (await house.full("GET", f"/v1/checks/{told['checks'][0]['check']}")).json["first_ping_by"]


async def test_what_is_another_project_s_cannot_be_taken(house: House, neighbour: House) -> None:
    await taken(
        neighbour, ping_key="k" * 22, api_key="a" * 32, badges={"*": {"svg": f"{THEIRS}/badge/key/abcd1234.svg"}}
    )

    refused = [
        await house.full("POST", "/v1/import/healthchecks", asked)
        for asked in ({"ping_key": "k" * 22}, {"api_key": "a" * 32})
    ]
    badges = await taken(house, badges={"*": {"svg": f"{THEIRS}/badge/key/abcd1234.svg"}})

    assert [409, 409] == [one.status for one in refused]
    assert ["another project has this ping key", "api_key: another project has it"] == [
        one.json["detail"] for one in refused
    ]
    assert 0 == badges["new_badges"]
    assert "Next-Door" == (await nobody(house)("GET", "/badge/key/abcd1234.shields")).json["label"]


async def test_a_key_that_was_revoked_here_does_not_come_back(house: House) -> None:
    await taken(house, api_key="a" * 32)
    keys = (await house.full("GET", "/v1/keys")).json["items"]
    (mine,) = [one for one in keys if one["name"] == "Healthchecks key"]
    await house.full("DELETE", f"/v1/keys/{mine['id']}")

    again = await house.full("POST", "/v1/import/healthchecks", {"api_key": "a" * 32})

    assert (409, "api_key: it was revoked") == (again.status, again.json["detail"])


async def test_who_may_not_administer_takes_nothing_over(house: House) -> None:
    reply: Reply = await house.read("POST", "/v1/import/healthchecks", {"checks": [FORM]})

    assert 403 == reply.status


async def test_texts_that_no_database_holds_are_refused(house: House) -> None:
    badges = b'{"a\\u0000": {"svg": "/badge/k/abcd1234/a%%00.svg"}, "b": {"svg": "/badge/k/abcd1234/a%%00.svg"}}'
    raw = b'{"checks": [{"uuid": "%s", "name": "a\\u0000"}], "badges": ' + badges + b"}"
    told = await house.full("POST", "/v1/import/healthchecks", body=raw % UUID.encode())
    kw = await taken(house, FORM | {"start_kw": "a\0"})

    assert (["refused"], 0) == (outcomes(told.json), told.json["new_badges"])
    assert ["start_kw must not hold control characters"] == kw["checks"][0]["notes"]


async def test_what_is_shorter_than_theirs_can_be_comes_from_another_heartfly_as_it_is(house: House) -> None:
    form = FORM | {"timeout": 30, "grace": 5}
    first, second = await taken(house, form), await taken(house, form)
    check = (await house.full("GET", f"/v1/checks/{first['checks'][0]['check']}")).json

    assert (["new"], ["same"]) == (outcomes(first), outcomes(second))
    assert (30, 5) == (check["schedule"]["period"], check["grace"])
    assert 400 == (await writer(house)("POST", "checks/", {"name": "x", "grace": 5})).status
