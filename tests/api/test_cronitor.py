"""Cronitor's API of monitors at its door: who may, what becomes of each field, and whose a field is."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml

from heartfly.api.compat.cronitor.documents import MOST_MONITORS, read
from heartfly.api.compat.cronitor.monitors import AT_ONCE
from heartfly.api.compat.cronitor.spec import gate_of_assertion, read_spec
from heartfly.api.native import native_api
from heartfly.checks.config import ScheduleIn
from heartfly.config import Settings
from heartfly.config.settings import Limits
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import InvalidValueError
from tests.api.door import Door, House, Reply, state_of
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

NIGHTLY: dict[str, Any] = {
    "key": "nightly", "type": "job", "name": "Nightly", "schedule": "30 2 * * *", "timezone": "Europe/Berlin",
    "grace_seconds": 900, "assertions": ["metric.count > 0"], "tags": ["etl"], "note": "See the runbook.",
}  # fmt: skip


def basic(key: str, password: str = "") -> list[tuple[str, str]]:
    return [("Authorization", f"Basic {base64.b64encode(f'{key}:{password}'.encode()).decode()}")]


async def put(house: House, *found: Any, rollback: bool = False) -> Reply:
    return await house.full("PUT", "/api/monitors", {"monitors": list(found), "rollback": rollback})


async def check(house: House, slug: str = "nightly") -> Any:
    (found,) = (await house.full("GET", f"/v1/checks?slug={slug}")).json["items"]
    return found


async def one(house: House, *found: Any) -> Any:
    reply = await put(house, *found)
    assert 200 == reply.status, reply.body
    return reply.json["monitors"][0]


async def test_a_monitor_that_is_put_is_told_as_it_was_asked_for(house: House) -> None:
    told = await one(house, NIGHTLY | {"group": "night", "unknown": None})

    assert NIGHTLY == {name: told[name] for name in NIGHTLY}
    assert ([], ["group"], {"client"}) == (told["kept"], told["not_kept"], set(told["owners"].values()))
    shown = await house.read("GET", "/api/monitors/nightly")
    assert (200, NIGHTLY) == (shown.status, {name: shown.json[name] for name in NIGHTLY})
    made = await check(house)
    assert ("Nightly", "30 2 * * *", 900, "See the runbook.") == (
        made["name"], made["schedule"]["expression"], made["grace"], made["description"],
    )  # fmt: skip


async def test_what_a_person_has_set_no_client_overwrites_and_the_rest_follows_it(house: House) -> None:
    await one(house, NIGHTLY)
    uuid = (await check(house))["id"]
    await house.full("PATCH", f"/v1/checks/{uuid}", {"grace": 60, "tags": ["mine"]})

    told = await one(house, NIGHTLY | {"grace_seconds": 1_800, "tags": ["theirs"], "schedule": "0 3 * * *"})

    now = await check(house)
    assert (60, ["mine"], "0 3 * * *") == (now["grace"], now["tags"], now["schedule"]["expression"])
    assert ["tags", "grace_seconds"] == told["kept"]
    assert {"tags", "grace_seconds"} == {name for name, whose in told["owners"].items() if whose == "person"}


async def test_a_check_that_a_person_made_is_his_in_all_of_its_fields(house: House) -> None:
    schedule = {"kind": "period", "period": 600}
    await house.full("POST", "/v1/checks", {"name": "Mine", "slug": "nightly", "schedule": schedule, "grace": 60})

    told = await one(house, NIGHTLY)

    assert ("Mine", "every 10 minutes", 60) == (told["name"], told["schedule"], told["grace_seconds"])
    assert {"person"} == set(told["owners"].values())
    assert {"name", "schedule", "grace_seconds", "assertions", "tags", "note"} == set(told["kept"])


async def test_a_field_that_is_set_back_to_what_the_client_said_is_the_client_s_again(house: House) -> None:
    await one(house, NIGHTLY)
    uuid = (await check(house))["id"]
    for grace in (60, 900):
        await house.full("PATCH", f"/v1/checks/{uuid}", {"grace": grace})

    assert 1_800 == (await one(house, NIGHTLY | {"grace_seconds": 1_800}))["grace_seconds"]


async def test_the_same_again_changes_nothing_and_leaves_no_entry(house: House) -> None:
    await one(house, NIGHTLY)
    before = (await house.full("GET", "/v1/audit")).json["items"]

    await one(house, NIGHTLY)

    assert before == (await house.full("GET", "/v1/audit")).json["items"]
    assert before[0]["actor"].startswith("key:")


async def test_what_is_only_validated_leaves_nothing(house: House) -> None:
    await one(house, NIGHTLY)

    told = await put(house, NIGHTLY | {"grace_seconds": 60, "paused": True}, {"key": "other"}, rollback=True)

    assert [(60, True), (3_600, False)] == [(each["grace_seconds"], each["paused"]) for each in told.json["monitors"]]
    now = (await house.full("GET", "/v1/checks")).json["items"]
    assert [("nightly", 900, "new")] == [(each["slug"], each["grace"], each["status"]) for each in now]


async def test_of_a_call_with_a_fault_nothing_is_kept_and_each_fault_is_named(house: House) -> None:
    reply = await put(
        house, NIGHTLY, {"key": "b", "schedule": "61 * * * *"}, {"key": "c", "timezone": "Europe/Berlin"},
        {"key": "d", "notify": ["nobody"]}, {"key": "Nightly"}, {"key": "!"}, 7,
    )  # fmt: skip

    assert 400 == reply.status
    assert {
        ("monitors[2]", "timezone"), ("monitors[4]", "key"), ("monitors[5]", "key"), ("monitors[6]", ""),
    } == {(each["monitor"], each["field"]) for each in reply.json["errors"]}  # fmt: skip
    later = await put(house, NIGHTLY, {"key": "b", "schedule": "61 * * * *"}, {"key": "d", "notify": ["nobody"]})
    assert [("monitors[1]", "schedule"), ("monitors[2]", "notify[0]")] == [
        (each["monitor"], each["field"]) for each in later.json["errors"]
    ]
    assert "monitors[2].notify[0]: there is no channel of that name: nobody" in later.json["message"]
    assert [] == (await house.full("GET", "/v1/checks")).json["items"]


async def test_of_many_with_a_fault_at_their_end_nothing_is_kept_and_all_faults_are_named(house: House) -> None:
    many = [{"key": f"m-{n}"} for n in range(2 * AT_ONCE + 1)]
    wrong = {"notify": ["nobody"]}

    reply = await put(house, many[0] | wrong, *many[1:-1], many[-1] | wrong)

    assert [(f"monitors[{n}]", "notify[0]") for n in (0, 2 * AT_ONCE)] == [
        (each["monitor"], each["field"]) for each in reply.json["errors"]
    ]
    assert [] == (await house.full("GET", "/v1/checks")).json["items"]
    told = await put(house, *many)
    assert ([one["key"] for one in many], 2 * AT_ONCE + 1) == (
        [one["key"] for one in told.json["monitors"]], len((await house.full("GET", "/v1/checks")).json["items"]),
    )  # fmt: skip


async def test_as_many_as_a_project_may_have_are_made_and_no_more(
    house: House, db: Database, ids: IdSource, clock: SimClock
) -> None:
    door = native_api(state_of(db, clock, ids, Settings(limits=Limits(checks=2 * AT_ONCE))))
    full = replace(house.full, api=door)
    many = [{"key": f"m-{n}"} for n in range(2 * AT_ONCE + 1)]

    refused = await full("PUT", "/api/monitors", {"monitors": many})
    left = len((await full("GET", "/v1/checks")).json["items"])
    taken = await full("PUT", "/api/monitors", {"monitors": many[:-1]})

    assert (400, 0, 200) == (refused.status, left, taken.status), refused.body
    assert f"monitors[20]: checks in the project: {2 * AT_ONCE}, as many as" in refused.json["message"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"failure_tolerance": 20}, "failure_tolerance"), ({"schedule_tolerance": -1}, "schedule_tolerance"),
        ({"failure_tolerance": "2"}, "failure_tolerance"), ({"schedule_tolerance": True}, "schedule_tolerance"),
        ({"request": {"url": "https://example.org"}}, "request"), ({"type": "check"}, "type"),
        ({"schedules": ["every hour", "every day"]}, "schedules"), ({"schedule": 5}, "schedule"),
        ({"assertions": ["response.code = 200"]}, "assertions[0]"), ({"assertions": "x"}, "assertions"),
        ({"grace_seconds": "60"}, "grace_seconds"), ({"tags": "a"}, "tags"), ({"paused": 1}, "paused"),
        ({"notify": {"alerts": ["default"]}}, "notify"), ({"name": 7}, "name"), ({"timezone": 7}, "timezone"),
    ],
)  # fmt: skip
async def test_what_is_not_supported_or_of_no_use_is_told_by_its_field(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValueError) as told:
        read_spec({"key": "a", "schedule": "every hour"} | more)

    assert field == told.value.field


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every 5 minutes", ScheduleIn(kind="period", period=300)), ("every hour", ScheduleIn("period", 3_600)),
        ("Every 1 day", ScheduleIn("period", 86_400)), ("every 30 seconds", ScheduleIn("period", 30)),
        ("*/5  * * * *", ScheduleIn("cron", expression="*/5 * * * *")),
        ("@daily", ScheduleIn("cron", expression="@daily")),
    ],
)  # fmt: skip
async def test_an_interval_is_a_period_and_all_else_a_cron_expression(text: str, expected: ScheduleIn) -> None:
    assert expected == read_spec({"key": "a", "schedule": text}).asked.schedule
    assert expected == read_spec({"key": "a", "schedules": [text]}).asked.schedule


@pytest.mark.parametrize(
    ("assertion", "gate"),
    [
        ("metric.duration < 5 min", "duration < 5m"), ("metric.duration < 30", "duration < 30s"),
        ("metric.duration <= 1.5 hours", "duration <= 1.5h"), ("metric.duration<500ms", "duration < 500ms"),
        ("metric.count > 0", "count > 0"), ("metric.error_count = 0", "error_count == 0"),
        ("metric.count > 5 min", None), ("metric.duration.avg < 5", None), ("metric.count > many", None),
        ("metric.duration < 5 moons", None), ("count > 0", None), ("metric.count > 1" + "0" * 30, None),
    ],
)  # fmt: skip
async def test_an_assertion_about_a_metric_is_a_gate(assertion: str, gate: str | None) -> None:
    if gate is None:
        with pytest.raises(InvalidValueError):
            gate_of_assertion(assertion, field="assertions[0]")
    else:
        assert gate == gate_of_assertion(assertion, field="assertions[0]")


async def test_who_is_told_are_channels_by_their_names(house: House) -> None:
    config = {"url": "https://hooks.example.org/x"}
    for name in ("Ops", "Devs"):
        assert 201 == (
            await house.full("POST", "/v1/channels", {"name": name, "kind": "webhook", "config": config})
        ).status  # fmt: skip

    everybody = await one(house, NIGHTLY | {"notify": ["default"]})
    some = await one(house, NIGHTLY | {"notify": ["ops"]})
    nobody = await one(house, NIGHTLY | {"notify": []})

    assert [["default"], ["Ops"], []] == [each["notify"] for each in (everybody, some, nobody)]


@pytest.mark.parametrize(
    ("asked", "failures", "told"),
    [
        ({"failure_tolerance": 2}, 3, 2), ({"schedule_tolerance": 1}, 2, 1),
        ({"failure_tolerance": 4, "schedule_tolerance": 1}, 2, 1), ({"failure_tolerance": 0}, None, None),
        ({"failure_tolerance": None}, None, None), ({"failure_tolerance": 3, "schedule_tolerance": 0}, None, None),
    ],
)  # fmt: skip
async def test_what_a_monitor_tolerates_the_check_does(
    house: House, asked: dict[str, Any], failures: int | None, told: int | None
) -> None:
    made = await one(house, NIGHTLY | asked)

    kept = (await check(house))["tolerance"]
    assert failures == (None if kept is None else kept["failures"])
    assert (told, told) == (made["failure_tolerance"], made["schedule_tolerance"])
    assert (await one(house, NIGHTLY | asked))["owners"]["failure_tolerance"] == "client"


async def test_what_a_person_tolerates_no_client_overwrites(house: House) -> None:
    await one(house, NIGHTLY | {"failure_tolerance": 2})
    share = {"share": 50, "last": 10, "failures": None, "recover": 1}
    await house.full("PATCH", f"/v1/checks/{(await check(house))['id']}", {"tolerance": share})

    told = await one(house, NIGHTLY | {"failure_tolerance": 5})

    assert share == (await check(house))["tolerance"]
    assert (["failure_tolerance"], "person", None) == (
        told["kept"], told["owners"]["failure_tolerance"], told["failure_tolerance"],
    )  # fmt: skip


async def test_a_pause_for_hours_is_a_snooze_which_ends_by_itself_or_by_0(house: House) -> None:
    await one(house, NIGHTLY)

    told = await house.full("GET", "/api/monitors/nightly/pause/2")
    yaml_meanwhile = (await house.full("GET", "/api/monitors.yaml")).body

    silence = (await house.full("GET", "/v1/silences")).json["items"][0]
    begun, ends = datetime.fromisoformat(silence["from"]), datetime.fromisoformat(told.json["paused_until"])
    assert (200, True, timedelta(hours=2)) == (told.status, told.json["paused"], ends - begun)
    assert ("snooze", [(await check(house))["id"]]) == (silence["kind"], silence["targets"])
    assert ("new", b"paused" in yaml_meanwhile) == ((await check(house))["status"], False)
    resumed = (await house.full("GET", "/api/monitors/nightly/pause/0")).json
    assert (False, None) == (resumed["paused"], resumed["paused_until"])
    wrong = [await house.full("GET", f"/api/monitors/nightly/pause/{rest}") for rest in ("745", "-1", "1.5", "x")]
    assert [(400, "hours")] * 4 == [(each.status, each.json["errors"][0]["field"]) for each in wrong]


async def test_a_monitor_is_paused_and_goes_on(house: House) -> None:
    await one(house, NIGHTLY)

    told = [await house.full("GET", f"/api/monitors/nightly/{rest}") for rest in ("pause", "pause/0", "pause/0")]

    assert [(200, True), (200, False), (200, False)] == [(each.status, each.json["paused"]) for each in told]
    assert 403 == (await house.read("GET", "/api/monitors/nightly/pause")).status
    assert (await one(house, NIGHTLY | {"paused": True}))["paused"]
    assert not (await one(house, NIGHTLY | {"disabled": False}))["paused"]


async def test_lists_have_pages_and_filters_and_no_filter_that_is_not_known(house: House) -> None:
    await put(house, *({"key": f"m-{n}", "type": "heartbeat" if n else "job", "tags": ["t"]} for n in range(3)))

    first = (await house.read("GET", "/api/monitors?type=heartbeat&pageSize=1&tag=t")).json
    second = (await house.read("GET", "/api/monitors/?type=heartbeat&pageSize=1&page=2")).json
    beyond = (await house.read("GET", "/api/monitors?page=9")).json

    assert (["m-1"], ["m-2"], []) == tuple(
        [each["key"] for each in page["monitors"]] for page in (first, second, beyond)
    )
    assert (2, 1) == (first["total_monitor_count"], first["page"])
    wrong = [
        await house.read("GET", f"/api/monitors?{query}")
        for query in ("state=failing", "page=0", "page=x", "pageSize=501", "search=%00")
    ]
    assert [400] * 5 == [each.status for each in wrong]
    assert "state" == wrong[0].json["errors"][0]["field"]


async def test_keys_open_what_they_are_for_and_nothing_of_others(house: House, neighbour: House) -> None:
    await one(house, NIGHTLY)
    ask = house.nobody
    by_name = basic(house.full.key)

    assert 200 == (await ask("GET", "/api/monitors/nightly", headers=by_name)).status
    refused = [
        await ask("GET", "/api/monitors"),
        await ask("GET", "/api/monitors", headers=basic(house.full.key, "word")),
        await ask("GET", "/api/monitors", headers=[("Authorization", "Basic !")]),
        await ask("GET", "/api/monitors", headers=basic("hf_nobody")),
        await ask("GET", "/api/monitors", headers=basic(house.world.project.ping_key)),
    ]
    assert [401] * 5 == [each.status for each in refused]
    statuses = [
        (await door(method, path, asked)).status
        for door, method, path, asked in (
            (house.read, "PUT", "/api/monitors", {"monitors": []}),
            (house.read, "DELETE", "/api/monitors/nightly", None),
            (neighbour.full, "GET", "/api/monitors/nightly", None),
            (neighbour.full, "DELETE", "/api/monitors/nightly", None),
            (neighbour.full, "GET", "/api/monitors/nightly/pause", None),
            (house.full, "POST", "/api/monitors", {}),
            (house.full, "PUT", "/api/monitors/nightly", {}),
        )
    ]
    assert [403, 403, 404, 404, 404, 405, 405] == statuses
    assert [] == (await neighbour.full("GET", "/api/monitors")).json["monitors"]
    assert {} == yaml.safe_load((await neighbour.full("GET", "/api/monitors.yaml")).body)


async def test_a_configuration_in_yaml_is_told_so_that_it_can_be_put_again(house: House) -> None:
    bare = {name: value for name, value in NIGHTLY.items() if name not in {"key", "type"}}
    whole: dict[str, Any] = {"jobs": {"nightly": bare}, "heartbeats": {"q": None}}

    put_ = await house.full("PUT", "/api/monitors.yaml", body=yaml.safe_dump(whole).encode())
    told = await house.full("GET", "/api/monitors.yaml")
    again = await house.full("PUT", "/api/monitors", body=told.body, headers=[("Content-Type", "application/yaml")])
    nested = await house.full("PUT", "/api/monitors", {"monitors": whole})

    assert ({"nightly"}, {"q"}) == tuple(set(yaml.safe_load(put_.body)[name]) for name in ("jobs", "heartbeats"))
    assert bare.items() <= yaml.safe_load(told.body)["jobs"]["nightly"].items()
    assert put_.body == again.body
    assert {"jobs", "heartbeats"} == nested.json["monitors"].keys()
    assert told.body == (await house.full("GET", "/api/monitors.yaml")).body


@on_sqlite
@pytest.mark.parametrize("path", ["/api/monitors", "/api/monitors.yaml"])
@pytest.mark.parametrize(
    "body",
    [
        b"7", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"monitors": 7}', b'{"monitors": [], "rollback": 1}',
        b"x" * 300_000, b'{"monitors": {"jobs": [1]}}', b'{"monitors": [' + b"{}," * 1_001 + b"{}]}",
        b'{"monitors": [{"key": "a", "name": "\\u0000"}]}',
    ],
)  # fmt: skip
async def test_what_is_no_body_of_monitors_is_refused(house: House, path: str, body: bytes) -> None:
    reply = await house.full("PUT", path, body=body)

    assert 400 == reply.status, reply.body
    assert reply.json["message"]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: *a", "jobs: {? [a] : 1}", "jobs: {? {a: b} : 1}", "!!python/object/apply:os.system [id]",
        "a: b: c", "a: " + "1:" * 120_000 + "1", "jobs: {a: {note: " + "9" * 4_000 + "}}",
        "jobs:\n\t- x", "jobs: " + "{a: " * 100 + "}" * 100, "rollback: 9999-99-99T00:00:00Z", "a: \0",
    ],
)  # fmt: skip
async def test_yaml_that_would_do_harm_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        read(text.encode(), as_yaml=True)


async def test_an_empty_configuration_has_no_monitors_and_a_full_one_no_more_than_it_may() -> None:
    assert [] == list(read(b"", as_yaml=True).monitors)
    many = json.dumps({"monitors": [{}] * (MOST_MONITORS + 1)}).encode()
    with pytest.raises(InvalidValueError):
        read(many, as_yaml=False)


async def test_packed_bodies_are_read(house: House) -> None:
    body = gzip.compress(json.dumps({"monitors": [NIGHTLY]}).encode())

    reply = await house.full("PUT", "/api/monitors/", body=body, headers=[("Content-Encoding", "gzip")])

    assert 200 == reply.status


async def test_no_key_of_a_call_stands_in_its_log_line(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await Door(house.full.api, "")("GET", "/api/monitors/nightly", headers=basic(house.full.key))

    told = capsys.readouterr()
    assert "/api/monitors/{key}" in told.out + told.err
    assert house.full.key not in told.out + told.err
