"""What becomes of checks of the Healthchecks API: statuses, filters, upserts, and where we answer otherwise."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import uuid
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.native import native_api
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, FiltersIn
from heartfly.config import Settings
from heartfly.config.settings import Limits
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks
from tests.api.conftest import START
from tests.api.door import House, state_of
from tests.api.theirs import MISSING, stored, writer
from tests.sim_clock import SimClock
from tests.world import TEST

pytestmark = pytest.mark.anyio

BASE = "http://beat.example.org"


@pytest.mark.parametrize("unique", [["name"], ["slug"], ["tags"], ["timeout"], ["grace"], ["name", "tags", "timeout"]])
async def test_what_unique_names_finds_the_check_and_updates_it(house: House, unique: list[str]) -> None:
    client = writer(house)
    asked = {"name": "A", "slug": "a", "tags": "x y", "timeout": 120, "grace": 180}
    made = await client.made(**asked)

    again = await client("POST", "checks/", asked | {"desc": "second", "unique": unique})
    changed = {name: asked[name] for name in asked if name not in unique}

    assert (200, made | {"desc": "second"}) == (again.status, again.json)
    assert 1 == len((await client("GET", "checks/")).json["checks"])
    assert changed == {name: again.json[name] for name in changed}


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "B", "unique": ["name"]},
        {"name": "A", "tags": "y x", "unique": ["name", "tags"]},
        {"name": "A", "unique": ["name", "slug"]},  # named, and not given
        {"name": "A", "unique": []},
        {"name": "A", "timeout": 86400, "grace": 60, "unique": ["timeout", "grace"]},
    ],
)
async def test_what_differs_in_one_of_them_is_a_new_check(house: House, asked: dict[str, Any]) -> None:
    client = writer(house)
    await client.made(name="A", slug="a", tags="x y")

    assert 201 == (await client("POST", "checks/", asked)).status


async def test_the_oldest_of_several_is_updated(house: House) -> None:
    client = writer(house)
    first, _ = await client.made(name="A"), await client.made(name="A")

    assert first["uuid"] == (await client("POST", "checks/", {"name": "A", "unique": ["name"]})).json["uuid"]


async def test_a_full_project_is_told_by_403_without_a_word(
    house: House, db: Database, ids: IdSource, clock: SimClock
) -> None:
    settings = Settings(limits=Limits(checks=1))
    client = replace(writer(house), api=native_api(state_of(db, clock, ids, settings)))
    await client.made()

    told = await client("POST", "checks/", {"name": "one more"})

    assert (403, b"") == (told.status, told.body)


async def test_the_status_is_theirs_at_each_time(house: House, clock: SimClock) -> None:
    client = writer(house)
    made = await client.made(timeout=3600, grace=600)
    row = await stored(house, made)

    async def now_is() -> tuple[str, bool, str | None, str | None]:
        check = await client.check(made)
        return check["status"], check["started"], check["last_ping"], check["next_ping"]

    await house.world.ping(row, START, PingKind.START)
    started = await now_is()
    clock.move_to(clock.now() + timedelta(seconds=90))
    await house.world.ping(row, clock.now())
    up = await now_is()
    clock.move_to(clock.now() + timedelta(seconds=3600))
    late = await now_is()
    await house.world.ping(row, clock.now(), PingKind.START)
    late_and_started, v1 = await now_is(), (await client.of(1).check(made))["status"]
    clock.move_to(clock.now() + timedelta(seconds=1))
    await house.world.ping(row, clock.now(), PingKind.FAIL)
    down = await now_is()

    assert ("new", True, None, "2026-03-02T10:00:00+00:00") == started
    assert ("up", False, "2026-03-02T10:01:30+00:00", "2026-03-02T11:01:30+00:00") == up
    assert ("grace", False, *up[2:]) == late
    assert ("grace", True, *up[2:]) == late_and_started
    assert "started" == v1
    assert ("down", False, "2026-03-02T11:01:31+00:00", None) == down
    assert (1, 4) == ((await client.check(made))["last_duration"], (await client.check(made))["n_pings"])


async def test_degraded_is_up_to_them(house: House, clock: SimClock) -> None:
    row = await house.world.check(START, gates='[{"metric":"rows","op":">","value":"0","level":"warn"}]')
    made = {"uuid": row.ping_uuid}
    await house.world.ping(row, clock.now())
    await house.world.ping(row, clock.now(), metrics={"rows": Decimal(0)})

    assert "degraded" == (await house.world.row(row)).status
    assert "up" == (await writer(house).check(made))["status"]
    assert [1] == [one["up"] for one in (await writer(house)("GET", f"checks/{row.ping_uuid}/flips/")).json["flips"]]


async def test_filters_are_read_as_they_were_written_and_used_where_they_look_at_http(house: House) -> None:
    client = writer(house)
    words: dict[str, Any] = {"start_kw": "go, begin", "success_kw": "done", "failure_kw": "bad"}
    by_mail = await client.made(**words, filter_body=True, filter_default_fail=True)
    by_http = await client.made(**words, filter_http_body=True, filter_default_fail=True)

    for made, flag in ((by_mail, "filter_body"), (by_http, "filter_http_body")):
        assert words | {flag: True, "filter_default_fail": True} == {
            name: made[name] for name in (*words, flag, "filter_default_fail")
        }
    assert "" == (await stored(house, by_mail)).filters
    assert (
        '{"start":["go","begin"],"success":["done"],"failure":["bad"],"default_fail":true}'
        == (await stored(house, by_http)).filters
    )
    off = (await client("POST", f"checks/{by_http['uuid']}", {"filter_http_body": False})).json
    assert (words["start_kw"], "") == (off["start_kw"], (await stored(house, by_http)).filters)


async def test_filters_that_were_set_here_since_are_what_they_read(house: House) -> None:
    client = writer(house)
    made = await client.made(success_kw="done", filter_http_body=True)
    row = await stored(house, made)
    asked = CheckIn(filters=FiltersIn(failure=["oops", "no"]))
    await house.world.db.write(
        lambda tx: commands.edit(tx, row.pid, row.uuid, asked, at=START, ids=house.world.ids, actor=TEST)
    )

    seen = await client.check(made)

    assert ("", "oops,no", True) == (seen["success_kw"], seen["failure_kw"], seen["filter_http_body"])


async def test_the_older_names_of_keywords_mean_mails(house: House) -> None:
    made = await writer(house).made(subject="ok", subject_fail="bad")

    assert ("ok", "bad", "ok", "bad", True) == tuple(
        made[name] for name in ("subject", "subject_fail", "success_kw", "failure_kw", "filter_subject")
    )


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_slashes_and_content_types_make_no_difference(house: House, slash: str, media_type: str) -> None:
    client = writer(house)
    made = await client("POST", f"checks{slash}", {"name": "x"}, headers=[("content-type", media_type)])

    paths = ["checks", f"checks/{made.json['uuid']}", f"checks/{made.json['uuid']}/pings", "channels", "badges"]
    answered = [(await client("GET", path + slash)).status for path in paths]
    paused = await client("POST", f"checks/{made.json['uuid']}/pause{slash}")

    assert (201, [200] * 5, 200) == (made.status, answered, paused.status)


async def test_a_body_may_come_packed_and_with_a_get(house: House) -> None:
    packed = gzip.compress(b'{"name": "packed"}')
    made = await writer(house)("POST", "checks/", body=packed, headers=[("content-encoding", "gzip")])
    listed = await writer(house)("GET", "checks/", body=b"not json")
    bomb = gzip.compress(b" " * 5_000_000)
    refused = await writer(house)("POST", "checks/", body=bomb, headers=[("content-encoding", "gzip")])

    assert (201, "packed") == (made.status, made.json["name"])
    assert (200, 1) == (listed.status, len(listed.json["checks"]))
    assert (400, ["error"]) == (refused.status, list(refused.json))


async def test_more_than_a_mebibyte_is_refused(house: House) -> None:
    refused = await writer(house)("POST", "checks/", body=b'{"desc": "' + b"x" * 1_048_576 + b'"}')

    assert (413, ["error"]) == (refused.status, list(refused.json))


async def test_no_more_than_a_mebibyte_is_unpacked(house: House) -> None:
    bomb = gzip.compress(b'{"name": "packed"}' + b" " * 1_048_576)
    refused = await writer(house)("POST", "checks/", body=bomb, headers=[("content-encoding", "gzip")])

    assert (400, {"error": "the body is larger than 1 MiB"}) == (refused.status, refused.json)


@pytest.mark.parametrize("some", ["0,", '{"a":{"a":{"a":0}}},'])
async def test_more_values_than_a_check_can_have_are_not_read(house: House, some: str) -> None:
    body = ('{"name": "many", "x": [' + some * (900_000 // len(some)) + "0]}").encode()
    tracemalloc.start()
    try:
        refused = await house.nobody("POST", "/api/v3/checks/", body=body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (400, {"error": "could not parse request body"}) == (refused.status, refused.json)
    assert 8 * len(body) > most


async def test_what_is_nowhere_is_told_as_json_and_to_browsers_too(house: House) -> None:
    for path in (f"checks/{MISSING}", "checks/nonsense", "nothing", f"checks/{MISSING}/pings/1/body/x"):
        told = await writer(house)("GET", path)
        assert (404, {"error": "not found"}) == (told.status, told.json)
        assert "*" == told.headers["access-control-allow-origin"]


async def test_a_rotated_address_is_known_until_it_ends(house: House, clock: SimClock) -> None:
    client = writer(house)
    made = await client.made()
    row = await stored(house, made)
    await house.full("POST", f"/v1/checks/{row.uuid}/rotate-ping-url", {"overlap": 60})

    before = await client("GET", f"checks/{made['uuid']}")
    clock.move_to(clock.now() + timedelta(seconds=61))
    after = await client("GET", f"checks/{made['uuid']}")

    assert (200, True, 404) == (before.status, before.json["uuid"] != made["uuid"], after.status)


async def test_what_was_done_stands_in_the_audit_with_its_key(house: House) -> None:
    made = await writer(house).made()
    await writer(house)("POST", f"checks/{made['uuid']}", {"grace": 60})
    await writer(house)("POST", f"checks/{made['uuid']}/pause")

    entries = (await house.full("GET", "/v1/audit")).json["items"]

    by_key = [one["action"] for one in entries if one["actor"].startswith("key:hf_")]
    assert ["check.pause", "check.edit", "check.create"] == by_key[:3]


async def test_an_older_name_of_a_zone_stays_as_it_was_sent(house: House) -> None:
    client = writer(house)
    made = await client.made(schedule="0 4 * * *", tz="Europe/Kiev")
    lower = await client.made(schedule="0 4 * * *", tz="europe/riga")

    assert ("Europe/Kiev", "Europe/Riga") == (made["tz"], lower["tz"])


async def test_filters_without_a_keyword_filter_nothing_and_are_told_as_they_were_sent(house: House) -> None:
    made = await writer(house).made(filter_http_body=True, filter_default_fail=True)

    assert (True, True) == (made["filter_http_body"], made["filter_default_fail"])
    await house.world.ping(await stored(house, made), START, body=b"anything")
    assert "up" == (await writer(house).check(made))["status"]


async def test_a_run_under_way_has_its_own_time(house: House, clock: SimClock) -> None:
    made = await writer(house).made(timeout=3600, grace=600)
    row = await stored(house, made)
    await house.world.ping(row, START)
    clock.move_to(START + timedelta(seconds=4190))
    await house.world.ping(row, clock.now(), PingKind.START)
    clock.move_to(clock.now() + timedelta(seconds=30))

    seen = await writer(house).check(made)

    assert ("grace", True) == (seen["status"], seen["started"])


@pytest.mark.parametrize(("method", "path"), [("POST", f"notifications/{MISSING}/status"), ("POST", "bounces/")])
async def test_callbacks_of_senders_that_are_not_here_are_nowhere(house: House, method: str, path: str) -> None:
    told = await writer(house)(method, path, body=b"error=x")

    assert (404, {"error": "not found"}) == (told.status, told.json)


async def test_the_check_of_a_job_of_our_own_is_not_deleted(house: House) -> None:
    row = await house.world.check(START)
    await house.world.db.write(
        lambda tx: tx.conn.execute(sa.update(checks).where(checks.c.id == row.id).values(job="backup")).rowcount
    )

    told = await writer(house)("DELETE", f"checks/{row.ping_uuid}")

    assert (409, True) == (told.status, told.json["error"].startswith("it watches Heartfly's own job"))


async def test_a_slug_that_moves_may_be_shared_and_may_go(house: House) -> None:
    client = writer(house)
    one, other = await client.made(slug="one"), await client.made(slug="two")

    shared = (await client("POST", f"checks/{other['uuid']}", {"slug": "one"})).json
    gone = (await client("POST", f"checks/{one['uuid']}", {"slug": ""})).json

    assert ("one", "") == (shared["slug"], gone["slug"])
    assert 409 == (await house.full("POST", "/v1/checks", {"name": "n", "slug": "one"})).status


async def test_scripts_that_run_at_once_make_one_check(house: House) -> None:
    asked = {"name": "Once", "tags": "x", "unique": ["name", "tags"]}

    told = await asyncio.gather(*(writer(house)("POST", "checks/", asked) for _ in range(8)))

    assert [200] * 7 + [201] == sorted(reply.status for reply in told)
    assert 1 == len((await writer(house)("GET", "checks/")).json["checks"])


async def test_an_upsert_changes_only_what_it_names(house: House) -> None:
    client = writer(house)
    made = await client.made(name="A", desc="by a person", grace=120)

    again = await client("POST", "checks/", {"name": "A", "tags": "new", "unique": ["name"]})

    assert (200, made | {"tags": "new"}) == (again.status, again.json)


async def test_a_list_is_whole_however_long_it_is(house: House) -> None:
    rows = [await house.world.check(START) for _ in range(3)]

    def copied(tx: Tx) -> None:
        values = {**rows[0]._asdict(), "slug_key": None}
        more = [
            values | {"id": house.world.ids.next(START), "uuid": str(uuid.uuid4()), "slug": "many"} for _ in range(1200)
        ]
        tx.conn.execute(sa.insert(checks), more)

    await house.world.db.write(copied)

    listed = (await writer(house)("GET", "checks/")).json["checks"]
    many = (await writer(house)("GET", "checks/?slug=many")).json["checks"]

    assert (1203, 1200) == (len(listed), len(many))
    assert [row.ping_uuid for row in rows] == [check["uuid"] for check in listed[:3]]


async def test_checks_without_a_slug_move_to_another_project(house: House, neighbour: House) -> None:
    for _ in range(2):
        row = await stored(house, await writer(house).made())
        key = {"key": neighbour.world.project.api_key}
        assert 200 == (await house.full("POST", f"/v1/checks/{row.uuid}/transfer", key)).status

    assert ["", ""] == [check["slug"] for check in (await writer(neighbour)("GET", "checks/")).json["checks"]]
