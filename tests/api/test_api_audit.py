"""Who changed what: one entry for each change, in the same transaction, without any secret, for who administers."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from heartfly.checks import hearing
from heartfly.core.words import PingKind
from heartfly.pings.request import BySlug
from heartfly.sealing import digest
from tests.api.conftest import START
from tests.api.door import Door, House
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOOK = "https://hooks.example.com/T0/canary"
HOUR = timedelta(hours=1)
PACKAGE = Path(__file__).resolve().parents[2] / "heartfly"


async def entries(house: House, query: str = "") -> list[Any]:
    """Oldest first, without what made the project."""
    reply = await house.full("GET", f"/v1/audit?{query}")
    assert 200 == reply.status, reply.json
    return [one for one in reversed(reply.json["items"]) if one["action"] != "project.create"]


async def check(house: House, **asked: Any) -> Any:
    reply = await house.full("POST", "/v1/checks", {"name": "job"} | asked)
    assert 201 == reply.status, reply.json
    return reply.json


async def channel(house: House, **asked: Any) -> Any:
    asked = {"kind": "webhook", "name": "ops", "config": {"url": HOOK}} | asked
    reply = await house.full("POST", "/v1/channels", asked)
    assert 201 == reply.status, reply.json
    return reply.json


async def test_a_new_project_begins_with_the_entry_of_its_making(house: House) -> None:
    (entry,) = (await house.full("GET", "/v1/audit")).json["items"]

    project = (await house.full("GET", "/v1/project")).json
    assert ("project.create", f"project:{project['id']}", "cli", None, None) == tuple(
        entry[name] for name in ("action", "object", "actor", "ip", "before")
    )
    assert {
        "slug": "main",
        "name": "Main",
        "zone": "UTC",
        "keys": [house.full.key[:10], house.read.key[:10]],
    } == entry["after"]


async def test_the_life_of_a_check_is_told(house: House) -> None:
    made = await check(house, grace=60, tags=["a"], gates=[{"metric": "rows", "op": ">", "value": "0"}])
    path = f"/v1/checks/{made['id']}"
    await house.full("PATCH", path, {"grace": 120, "tags": ["a"], "schedule": {"kind": "cron", "expression": "@daily"}})
    await house.full("POST", f"{path}/pause")
    await house.full("POST", f"{path}/resume")
    await house.full("DELETE", path)

    told = await entries(house)

    create, edit, pause, resume, delete = told
    assert ["check.create", "check.edit", "check.pause", "check.resume", "check.delete"] == [
        one["action"] for one in told
    ]
    assert {(f"key:{house.full.key[:10]}", f"check:{made['id']}", "127.0.0.1", "2026-03-02T10:00:00Z")} == {
        (one["actor"], one["object"], one["ip"], one["at"]) for one in told
    }
    daily = {"kind": "period", "period": 86400, "zone": "UTC", "dialect": "cron"}
    assert create["before"] is None
    assert {
        "name": "job",
        "slug": "job",
        "tags": ["a"],
        "description": "",
        "schedule": daily,
        "grace": 60,
        "max_run": None,
        "methods": "",
        "filters": None,
        "gates": [{"metric": "rows", "op": ">", "value": "0", "level": "fail"}],
        "tolerance": None,
        "bounds": [],
        "slo": None,
        "host": "",
        "needs": [],
        "sticky": False,
        "unverified_is_down": False,
        "channels": [],
    } == create["after"]
    assert {"schedule": daily, "grace": 60} == edit["before"]
    cron = {"kind": "cron", "expression": "@daily", "zone": "UTC", "dialect": "cron"}
    assert {"schedule": cron, "grace": 120} == edit["after"]
    assert ({"status": "new"}, {"status": "paused"}) == (pause["before"], pause["after"])
    assert ({"status": "paused"}, {"status": "new"}) == (resume["before"], resume["after"])
    assert (create["after"] | edit["after"], None) == (delete["before"], delete["after"])


async def test_what_changes_nothing_leaves_no_entry(house: House) -> None:
    made = await check(house)
    hook = await channel(house)
    path = f"/v1/checks/{made['id']}"
    await house.full("POST", f"{path}/pause")
    key = (await house.full("POST", "/v1/keys", {"name": "x", "scopes": ["read"]})).json["id"]
    await house.full("DELETE", f"/v1/keys/{key}")
    before = await entries(house)

    heard = [
        await house.full("PATCH", path, {"name": "job", "channels": ["*"]}),
        await house.full("PATCH", path, {}),
        await house.full("PATCH", path, {"name": ""}),
        await house.full("POST", f"{path}/pause"),
        await house.full("PATCH", f"/v1/channels/{hook['id']}", {"name": "ops", "checks": ["*"]}),
        await house.full("PATCH", "/v1/project", {"name": "Main", "zone": "utc"}),
        await house.full("PATCH", f"/v1/keys/{await first_key(house)}", {"name": "first key", "expires_at": None}),
        await house.full("DELETE", f"/v1/keys/{key}"),
        await house.read("PATCH", path, {"name": "other"}),
        await house.full("GET", path),
    ]

    assert [200, 200, 422, 200, 200, 200, 200, 204, 403, 200] == [reply.status for reply in heard]
    assert before == await entries(house)


async def test_what_people_say_of_an_incident_is_told_and_to_say_it_again_is_nothing(house: House) -> None:
    job = await house.world.check(START)
    await house.world.ping(job, START, PingKind.FAIL)
    incident = (await house.full("GET", "/v1/incidents")).json["items"][0]["id"]
    path = f"/v1/incidents/{incident}"
    await house.full("POST", f"{path}/acknowledge")
    await house.full("POST", f"{path}/acknowledge")
    note = (await house.full("POST", f"{path}/comments", {"text": "The disk is full."})).json
    refused = await house.full("POST", f"{path}/comments", {"text": " "})

    told = await entries(house, f"object=incident:{incident}")

    by = f"key:{house.full.key[:10]}"
    assert 422 == refused.status
    assert {(by, "127.0.0.1", f"incident:{incident}")} == {(one["actor"], one["ip"], one["object"]) for one in told}
    assert [
        ("incident.acknowledge", {"acknowledged_by": None}, {"acknowledged_by": by}),
        ("incident.comment", None, {"comment": note["id"], "text": "The disk is full."}),
    ] == [(one["action"], one["before"], one["after"]) for one in told]


async def first_key(house: House) -> str:
    key: str = (await house.full("GET", "/v1/keys")).json["items"][0]["id"]
    return key


async def test_who_hears_of_a_check_is_told_from_both_sides(house: House) -> None:
    made = await check(house)
    hook = await channel(house)
    await house.full("PATCH", f"/v1/checks/{made['id']}", {"channels": []})
    await house.full("PATCH", f"/v1/channels/{hook['id']}", {"checks": ["*"]})

    _, created, left, joined = await entries(house)

    assert (1, [made["id"]]) == (created["after"]["n_checks"], created["after"]["checks"])
    assert ({"channels": [hook["id"]]}, {"channels": []}) == (left["before"], left["after"])
    assert ({"n_checks": 0, "checks": []}, {"n_checks": 1, "checks": [made["id"]]}) == (
        joined["before"],
        joined["after"],
    )


async def test_of_many_checks_a_channel_tells_the_number(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "_MOST_NAMED", 1)
    for name in ("a", "b"):
        await check(house, name=name)

    await channel(house)

    created = (await entries(house, "action=channel.create"))[0]["after"]
    assert (2, None) == (created["n_checks"], created["checks"])


async def test_the_life_of_a_channel_is_told_without_its_secrets(house: House) -> None:
    headers = {"Authorization": "Bearer canary", "X-Odd": "a"}
    hook = await channel(house, config={"url": HOOK, "headers": headers})
    path = f"/v1/channels/{hook['id']}"
    await house.full("PATCH", path, {"name": "alerts"})
    await house.full("PATCH", path, {"config": {"url": f"{HOOK}-other", "headers": headers}})
    await house.full("PATCH", path, {"events": ["check.down"]})
    await house.full("POST", f"{path}/test")
    await house.full("DELETE", path)

    told = await entries(house)

    create, name, config, events, _, delete = told
    edits = ["channel.edit"] * 3
    assert ["channel.create", *edits, "channel.test", "channel.delete"] == [one["action"] for one in told]
    assert {f"channel:{hook['id']}"} == {one["object"] for one in told}
    assert ({"name": "ops"}, {"name": "alerts"}) == (name["before"], name["after"])
    # What is masked is another one now, though it looks the same.
    assert {"config"} == set(config["before"]) == set(config["after"])
    assert config["before"] == config["after"]
    assert "https://hooks.example.com/…" == config["after"]["config"]["url"]
    assert ({"events": hook["events"]}, {"events": ["check.down"]}) == (events["before"], events["after"])
    assert ("webhook", "alerts", None) == (delete["before"]["kind"], delete["before"]["name"], delete["after"])
    assert create["before"] is None
    for secret in ("canary", hook["secret"], HOOK):
        assert secret not in json.dumps(told)


async def test_the_life_of_a_key_and_of_the_project_is_told_without_their_secrets(house: House) -> None:
    key = (await house.full("POST", "/v1/keys", {"name": "ci", "scopes": ["read"]})).json
    path = f"/v1/keys/{key['id']}"
    await house.full("PATCH", path, {"name": "build", "expires_at": "2027-01-01T00:00:00Z"})
    rotated = (await house.full("POST", f"{path}/rotate", {"overlap": 60})).json
    await house.full("DELETE", path)
    await house.full("PATCH", "/v1/project", {"zone": "Europe/Berlin"})
    project = (await house.full("POST", "/v1/project/rotate-ping-key", {"overlap": 0})).json

    create, edit, rotate, revoke, zone, ping_key = await entries(house)

    facts = {"name": "ci", "prefix": key["prefix"], "scopes": ["read"], "expires_at": None}
    ended = {"name": "build", "expires_at": "2027-01-01T00:00:00Z"}
    assert ("key.create", None, facts) == (create["action"], create["before"], create["after"])
    assert ("key.edit", {"name": "ci", "expires_at": None}, ended) == (edit["action"], edit["before"], edit["after"])
    assert ("key.rotate", {"prefix": key["prefix"]}) == (rotate["action"], rotate["before"])
    assert {"prefix": rotated["prefix"], "old_until": "2026-03-02T10:01:00Z"} == rotate["after"]
    assert ("key.revoke", facts | ended | {"prefix": rotated["prefix"]}, None) == (
        revoke["action"],
        revoke["before"],
        revoke["after"],
    )
    assert {f"key:{key['id']}"} == {one["object"] for one in (create, edit, rotate, revoke)}
    assert ({"zone": "UTC"}, {"zone": "Europe/Berlin"}) == (zone["before"], zone["after"])
    assert ("project.rotate_ping_key", {"old_ping_key_until": None}) == (ping_key["action"], ping_key["after"])
    text = json.dumps([create, edit, rotate, revoke, zone, ping_key])
    for secret in (key["secret"], rotated["secret"], house.world.project.ping_key, project["ping_key"]):
        assert secret not in text
        assert digest(secret) not in text


async def test_it_names_the_secret_that_was_used_while_two_work(house: House) -> None:
    first = await first_key(house)
    new = (await house.full("POST", f"/v1/keys/{first}/rotate")).json["secret"]
    await check(house)  # with the old one

    with_new = replace(house, full=Door(house.full.api, new))
    assert f"key:{house.full.key[:10]}" == (await entries(with_new, "action=check"))[0]["actor"]


async def test_a_check_that_a_ping_makes_is_the_pings(house: House) -> None:
    target = BySlug(digest(house.world.project.ping_key), "made", create=True)
    request = house.world.request(None, START, target=target, remote="192.0.2.7")
    await house.world.pings([request, request])

    (entry,) = await entries(house)

    (made,) = (await house.full("GET", "/v1/checks")).json["items"]
    assert ("ping", "192.0.2.7", "check.create", f"check:{made['id']}") == (
        entry["actor"],
        entry["ip"],
        entry["action"],
        entry["object"],
    )


async def test_no_change_without_its_entry(house: House) -> None:
    """The entry cannot be written, so nothing else is."""
    made, hook = await check(house), await channel(house)
    key = (await house.full("POST", "/v1/keys", {"name": "x", "scopes": ["read"]})).json["id"]

    async def state() -> list[Any]:
        lists = ("/v1/checks", "/v1/channels", "/v1/keys", "/v1/project")
        return [(await house.full("GET", path)).json for path in lists]

    before = await state()
    await house.world.db.write(lambda tx: tx.conn.execute(sa.text("ALTER TABLE audit RENAME TO elsewhere")))

    heard = [
        await house.full("POST", "/v1/checks", {"name": "other"}),
        await house.full("PATCH", f"/v1/checks/{made['id']}", {"name": "other"}),
        await house.full("POST", f"/v1/checks/{made['id']}/pause"),
        await house.full("POST", f"/v1/checks/{made['id']}/copy"),
        await house.full("POST", f"/v1/checks/{made['id']}/rotate-ping-url"),
        await house.full("DELETE", f"/v1/checks/{made['id']}"),
        await house.full("POST", "/v1/channels", {"kind": "webhook", "name": "other", "config": {"url": HOOK}}),
        await house.full("PATCH", f"/v1/channels/{hook['id']}", {"name": "other"}),
        await house.full("POST", f"/v1/channels/{hook['id']}/rotate-secret"),
        await house.full("DELETE", f"/v1/channels/{hook['id']}"),
        await house.full("POST", "/v1/keys", {"name": "y", "scopes": ["read"]}),
        await house.full("PATCH", f"/v1/keys/{key}", {"name": "y"}),
        await house.full("POST", f"/v1/keys/{key}/rotate"),
        await house.full("DELETE", f"/v1/keys/{key}"),
        await house.full("PATCH", "/v1/project", {"name": "other"}),
        await house.full("POST", "/v1/project/rotate-ping-key"),
    ]

    assert [] == [reply.status for reply in heard if reply.status < 500]
    assert before == await state()


async def test_entries_are_found_by_what_was_done_to_what_by_whom(house: House) -> None:
    one, two = await check(house, name="one"), await check(house, name="two")
    await house.full("PATCH", f"/v1/checks/{one['id']}", {"grace": 60})
    await channel(house)
    await house.full("POST", "/v1/keys", {"name": "x", "scopes": ["read"]})

    async def found(query: str) -> list[str]:
        return [entry["action"] for entry in (await house.full("GET", f"/v1/audit?{query}")).json["items"]]

    me = quote(f"key:{house.full.key[:10]}")
    assert ["check.edit"] == await found("action=check.edit")
    assert ["check.edit", "check.create", "check.create"] == await found("action=check")
    assert ["check.edit", "check.create"] == await found(f"object=check:{one['id']}")
    assert ["check.create"] == await found(f"object=check:{two['id']}&action=check.create")
    assert ["channel.create"] == await found("object=channel")
    assert ["project.create"] == await found("actor=cli")
    assert 5 == len(await found(f"actor={me}"))
    assert [] == await found("actor=nobody")
    assert [] == await found("object=check:3f0f8f9e-6a1c-4a55-8d4c-111111111111")


async def test_entries_are_found_by_their_time(house: House, clock: SimClock) -> None:
    for hour in range(3):
        clock.move_to(START + hour * HOUR)
        await check(house, name=f"h{hour}")

    async def found(query: str) -> list[str]:
        return [one["after"]["name"] for one in await entries(house, query)]

    assert ["h1", "h2"] == await found("from=2026-03-02T11:00:00Z")
    assert ["h0"] == await found("to=2026-03-02T11:00:00Z")
    assert ["h1"] == await found(f"from={quote('2026-03-02T12:00:00+01:00')}&to=2026-03-02T11:00:00.000001Z")
    assert ["h0", "h1", "h2"] == await found("from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z")
    assert [] == await found("from=2026-03-02T12:00:00Z&to=2026-03-02T10:00:00Z")


async def test_entries_are_listed_page_by_page(house: House, clock: SimClock) -> None:
    for n in range(5):
        clock.move_to(START + (n // 2) * HOUR)  # two of an instant
        await check(house, name=f"n{n}")
    seen: list[str] = []
    cursor = ""
    for _ in range(4):
        page = (await house.full("GET", f"/v1/audit?action=check&limit=2{cursor}")).json
        seen += [one["after"]["name"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert ["n4", "n3", "n2", "n1", "n0"] == seen


@on_sqlite
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("action=check.explode", "action"),
        ("action=chec", "action"),
        ("action=%00", "action"),
        ("object=check:", "object"),
        ("object=Check:1", "object"),
        ("object=%00", "object"),
        ("actor=%00", "actor"),
        ("actor=" + "x" * 301, "actor"),
        ("from=yesterday", "from"),
        ("from=2026-03-02T10:00:00", "from"),
        ("to=2026-13-02T10:00:00Z", "to"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=YXVkaXQsOTIyMzM3MjAzNjg1NDc3NTgwNyww", "cursor"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(house: House, query: str, field: str) -> None:
    reply = await house.full("GET", f"/v1/audit?{query}")

    assert (422, [field]) == (reply.status, reply.fields), reply.json


async def test_odd_but_possible_instants_find_something_or_nothing(house: House) -> None:
    for at in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"):
        for name in ("from", "to"):
            assert 200 == (await house.full("GET", f"/v1/audit?{name}={quote(at)}")).status, (name, at)


def test_nothing_but_its_own_room_touches_the_audit_and_nothing_edits_it_but_what_forgets() -> None:
    users = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith("heartfly.db.models")
                and any(alias.name == "audit" for alias in node.names)
            ):
                users.add(str(path.relative_to(PACKAGE)))

    rooms = {f"audit/{name}.py" for name in ("record", "forget", "queries", "fasten", "verify", "chain_key")}
    assert rooms | {"db/models/__init__.py"} == users
    for name in ("record", "queries", "verify", "chain_key"):
        text = (PACKAGE / "audit" / f"{name}.py").read_text(encoding="utf-8")
        assert not [verb for verb in ("update(", "delete(", "on_conflict_do_update") if verb in text]
    fastening = (PACKAGE / "audit" / "fasten.py").read_text(encoding="utf-8")
    assert ["values(clasp=number)"] == re.findall(r"(?<=\.)values\([^)]*\)", fastening)[1:]  # the first is an insert's
    assert "delete(" not in fastening
