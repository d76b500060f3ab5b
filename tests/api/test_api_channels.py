"""Channels and notifications over the native API, on both databases."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.api.native import native_api
from heartfly.api.v1 import notifications as api_notifications
from heartfly.checks import queries
from heartfly.config import Settings
from heartfly.config.settings import Limits
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, notifications
from heartfly.net.only_to import parse_only_to
from heartfly.net.rules import Rules
from heartfly.notify.channels.base import Reach
from heartfly.sealing import Sealer
from tests.api.conftest import START
from tests.api.door import BASE_URL, Door, House, state_of
from tests.notify.vendors import VENDORS
from tests.sim_clock import SimClock
from tests.world import SEALER

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOOK = "https://hooks.example.com/T0/canary"
LATE = ["check.down", "check.late"]


async def added(house: House, **asked: Any) -> Any:
    reply = await house.full(
        "POST", "/v1/channels", {"kind": "webhook", "name": "ops", "config": {"url": HOOK}} | asked
    )
    assert 201 == reply.status, reply.json
    return reply.json


async def config_of(house: House, channel: Any) -> Any:
    async with house.world.db.read() as read:
        sealed = (await read.execute(sa.select(channels.c.config_enc).where(channels.c.uuid == channel["id"]))).scalar()
    assert sealed is not None
    return msgspec.json.decode(SEALER.open(sealed))


async def test_a_webhook_gets_a_secret_that_is_shown_once(house: House) -> None:
    reply = await house.full("POST", "/v1/channels", {"kind": "webhook", "name": "ops", "config": {"url": HOOK}})

    made = reply.json
    again = (await house.full("GET", f"/v1/channels/{made['id']}")).json
    assert f"{BASE_URL}/v1/channels/{made['id']}" == reply.headers["location"]
    assert made["secret"].startswith("whsec_")
    assert {"url": HOOK, "secrets": [made["secret"]]} == await config_of(house, made)
    assert made | {"secret": None} == again
    assert {
        "id": made["id"],
        "kind": "webhook",
        "name": "ops",
        "config": {"url": "https://hooks.example.com/…", "secrets": ["whsec_…"]},
        "receiver": "https://hooks.example.com/…",
        "events": again["events"],
        "n_checks": 0,
        "created_at": "2026-03-02T10:00:00Z",
        "state": "ok",
        "retrying_since": None,
        "failing_since": None,
        "last_error": None,
        "old_secret_until": None,
        "warning": None,
        "secret": None,
        "policy": {"after": None, "every": None, "least": None, "tags": [], "text": "", "title": "", "words": {}},
    } == again
    assert "check.down" in again["events"]
    assert "check.late" not in again["events"]


async def test_a_channel_that_can_reach_nobody_says_so_from_the_start(house: House) -> None:
    asked = {"kind": "email", "name": "me", "config": {"to": "ada@example.com"}}

    made = (await house.full("POST", "/v1/channels", asked)).json
    listed = (await house.full("GET", "/v1/channels")).json["items"]

    assert "nothing is sent: no mail server is set (mail.host)" == made["warning"]
    assert [made["warning"]] == [channel["warning"] for channel in listed]


async def test_an_address_that_the_operator_does_not_list_is_refused_by_its_field(
    house: House, clock: SimClock
) -> None:
    world = house.world
    listed = Reach(
        rules=Rules(only_to=parse_only_to(["hooks.example.com", "*.example.net", "8.8.8.0/24"]), by_proxy=True)
    )
    api = native_api(replace(state_of(world.db, clock, world.ids), reach=listed))
    bound, says = replace(house, full=Door(api, house.full.key)), "the setting outgoing.only_to does not list it"
    made, other = await added(bound), await added(house, name="before", config={"url": "https://elsewhere.example/x"})
    refused: list[tuple[str, str, Any, str]] = [
        ("POST", "/v1/channels", {"kind": "webhook", "config": {"url": "https://elsewhere.example/x"}}, "config.url"),
        ("POST", "/v1/channels", {"kind": "slack", "config": {"url": "https://8.8.4.4/x"}}, "config.url"),
        ("POST", "/v1/channels", {"kind": "telegram", "config": VENDORS["telegram"].config}, "config.server"),
        (
            "POST",
            "/v1/channels",
            {"kind": "webhook", "config": {"url": HOOK, "up": {"url": "https://example.net/"}}},
            "config.up.url",
        ),
        ("PATCH", f"/v1/channels/{made['id']}", {"config": {"url": "https://elsewhere.example/"}}, "config.url"),
        ("PATCH", f"/v1/channels/{other['id']}", {"config": {"url": "https://elsewhere.example/y"}}, "config.url"),
    ]

    for method, path, asked, field in refused:
        reply = await bound.full(method, path, {"name": "new"} | asked)
        assert (422, [field]) == (reply.status, [error["field"] for error in reply.json["errors"]]), reply.json
        assert says in reply.json["errors"][0]["message"]

    assert {"url": HOOK, "secrets": [made["secret"]]} == await config_of(house, made)
    renamed = await bound.full("PATCH", f"/v1/channels/{other['id']}", {"name": "still here"})
    assert (200, f"nothing is delivered: leads to elsewhere.example: {says}") == (
        renamed.status,
        renamed.json["warning"],
    )
    for url in ("https://a.b.example.net/", "https://8.8.8.8/"):
        assert 200 == (await bound.full("PATCH", f"/v1/channels/{made['id']}", {"config": {"url": url}})).status


async def test_no_answer_but_the_first_holds_a_secret(house: House) -> None:
    headers = {"Authorization": "Bearer canary"}
    made = await added(house, config={"url": HOOK, "headers": headers})
    slack = await added(house, kind="slack", name="chat")

    answers = [
        await house.full("GET", "/v1/channels"),
        await house.read("GET", f"/v1/channels/{made['id']}"),
        await house.full("PATCH", f"/v1/channels/{made['id']}", {"name": "other"}),
        await house.full("POST", f"/v1/channels/{slack['id']}/test"),
        await house.full("GET", "/v1/notifications"),
    ]

    assert slack["secret"] is None
    for reply in answers:
        assert b"canary" not in reply.body
        assert made["secret"].encode() not in reply.body


@pytest.mark.parametrize("kind", ["email", "slack", "webhook"])
async def test_a_channel_of_each_kind_can_be_added_and_read(house: House, kind: str) -> None:
    config = {"to": "ops@example.com"} if kind == "email" else {"url": HOOK}

    made = await added(house, kind=kind, config=config)

    assert [made | {"secret": None}] == (await house.read("GET", "/v1/channels")).json["items"]


async def test_what_a_channel_cannot_be_is_refused_with_the_path_of_its_field(house: House) -> None:
    broken: list[tuple[dict[str, Any], str]] = [
        ({"kind": "pigeon"}, "kind"),
        ({"kind": 5}, "kind"),
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"config": {}}, "config.url"),
        ({"config": {"url": "file:///etc/passwd"}}, "config.url"),
        ({"config": {"url": 5}}, "config.url"),
        ({"config": {"url": HOOK, "timeout": 5}}, "config.timeout"),
        ({"config": {"url": HOOK, "secrets": ["short"]}}, "config.secrets"),
        ({"kind": "email", "config": {"to": "nobody"}}, "config.to"),
        ({"kind": "email", "config": {"to": "a@example.com", "digest": "hourly"}}, "config.digest"),
        ({"kind": "slack", "config": {"url": HOOK, "digest": ["daily"]}}, "config.digest"),
        ({"config": {"url": HOOK, "digest": "daily"}}, "config.digest"),
        ({"events": ["digest"]}, "events[0]"),
        ({"events": ["check.sideways"]}, "events[0]"),
        ({"checks": ["nonsense"]}, "checks[0]"),
        ({"checks": ["\x00"]}, "checks[0]"),
        ({"pace": 1}, "pace"),
    ]
    sound = {"kind": "webhook", "name": "ops", "config": {"url": HOOK}}

    heard = [(await house.full("POST", "/v1/channels", sound | asked)) for asked, _ in broken]

    assert [(422, [field]) for _, field in broken] == [(reply.status, reply.fields) for reply in heard]
    assert [] == (await house.full("GET", "/v1/channels")).json["items"]


@pytest.mark.parametrize(
    ("kind", "config"),
    [("email", {"to": "ops@example.com"}), ("slack", {"url": HOOK}), ("apprise", {"address": "oncall"})],
)
async def test_a_digest_is_chosen_shown_and_ended(house: House, kind: str, config: dict[str, Any]) -> None:
    made = await added(house, kind=kind, config=config | {"digest": "both"})
    path = f"/v1/channels/{made['id']}"
    assert "both" == (await house.read("GET", path)).json["config"]["digest"]

    edited = await house.full("PATCH", path, {"config": config | {"digest": None}})

    assert 200 == edited.status
    assert "digest" not in edited.json["config"]


async def test_a_name_can_be_used_once(house: House) -> None:
    await added(house)
    other = await added(house, name="other")

    again = await house.full("POST", "/v1/channels", {"kind": "slack", "name": "ops", "config": {"url": HOOK}})
    renamed = await house.full("PATCH", f"/v1/channels/{other['id']}", {"name": "ops"})
    same = await house.full("PATCH", f"/v1/channels/{other['id']}", {"name": "other"})

    assert (409, ["name"]) == (again.status, again.fields)
    assert (409, ["name"]) == (renamed.status, renamed.fields)
    assert 200 == same.status


async def test_a_new_configuration_keeps_the_secrets_and_replaces_the_rest(house: House) -> None:
    made = await added(house, config={"url": HOOK, "method": "PUT"})
    path = f"/v1/channels/{made['id']}"

    await house.full("PATCH", path, {"config": {"url": HOOK + "/new"}})
    kept = await config_of(house, made)
    await house.full("PATCH", path, {"config": {"url": HOOK, "secrets": []}})

    assert {"url": HOOK + "/new", "secrets": [made["secret"]]} == kept
    assert [] == (await config_of(house, made)).get("secrets", [])


async def test_what_was_masked_when_it_was_read_is_not_stored_as_it_was_shown(house: House) -> None:
    made = await added(house, config={"url": HOOK, "headers": {"X-Token": "canary"}})
    path, before = f"/v1/channels/{made['id']}", await config_of(house, made)

    shown = (await house.full("GET", path)).json["config"]
    whole = await house.full("PATCH", path, {"config": shown})
    header = await house.full("PATCH", path, {"config": {"url": HOOK, "headers": shown["headers"]}})

    assert (422, ["config.url"]) == (whole.status, whole.fields)
    assert (422, ["config.headers.X-Token"]) == (header.status, header.fields)
    assert before == await config_of(house, made)


async def test_a_secret_is_rotated_with_an_overlap_in_which_both_sign(house: House, clock: SimClock) -> None:
    made = await added(house)
    path = f"/v1/channels/{made['id']}"

    reply = await house.full("POST", f"{path}/rotate-secret", {"overlap": 3600})

    secret, ends = reply.json["secret"], "2026-03-02T11:00:00Z"
    assert (200, True, ends) == (reply.status, secret.startswith("whsec_"), reply.json["old_secret_until"])
    assert secret != made["secret"]
    kept = {"secrets": [secret], "retired": {"secrets": [made["secret"]], "until": "2026-03-02T11:00:00+00:00"}}
    assert {"url": HOOK} | kept == await config_of(house, made)
    await house.full("PATCH", path, {"config": {"url": HOOK + "/new"}})
    assert {"url": HOOK + "/new"} | kept == await config_of(house, made), "an edit keeps both"
    shown = (await house.full("GET", path)).json
    assert (["whsec_…"], ends, None) == (shown["config"]["secrets"], shown["old_secret_until"], shown["secret"])
    (entry,) = (await house.full("GET", "/v1/audit?action=channel.rotate_secret")).json["items"]
    assert ({}, {"old_secret_until": ends}) == (entry["before"], entry["after"])
    assert secret not in json.dumps(entry)

    clock.move_to(START + timedelta(hours=1))
    assert (await house.full("GET", path)).json["old_secret_until"] is None
    await house.full("PATCH", path, {"config": {"url": HOOK}})
    assert {"url": HOOK, "secrets": [secret]} == await config_of(house, made)


async def test_without_an_overlap_the_old_secret_ends_at_once(house: House) -> None:
    made = await added(house)

    reply = await house.full("POST", f"/v1/channels/{made['id']}/rotate-secret", {"overlap": 0})

    assert reply.json["old_secret_until"] is None
    assert {"url": HOOK, "secrets": [reply.json["secret"]]} == await config_of(house, made)


async def test_whoever_names_new_secrets_ends_what_was_retired(house: House) -> None:
    made = await added(house)
    path, own = f"/v1/channels/{made['id']}", "whsec_" + "A" * 32
    await house.full("POST", f"{path}/rotate-secret")

    await house.full("PATCH", path, {"config": {"url": HOOK, "secrets": [own]}})

    assert {"url": HOOK, "secrets": [own]} == await config_of(house, made)


async def test_only_a_webhook_has_a_secret_to_rotate(house: House) -> None:
    slack, hook = await added(house, kind="slack", name="chat"), await added(house)
    wrong = sa.update(channels).where(channels.c.uuid == hook["id"]).values(config_enc=b"sealed elsewhere")

    no_secret = await house.full("POST", f"/v1/channels/{slack['id']}/rotate-secret")
    too_long = await house.full("POST", f"/v1/channels/{hook['id']}/rotate-secret", {"overlap": 2_592_001})
    await house.world.db.write(lambda tx: tx.conn.execute(wrong) and None)
    closed = await house.full("POST", f"/v1/channels/{hook['id']}/rotate-secret")

    assert (409, "only what a webhook sends is signed") == (no_secret.status, no_secret.json["detail"])
    assert (422, ["overlap"]) == (too_long.status, too_long.fields)
    assert 409 == closed.status


async def test_an_edit_of_what_has_changed_meanwhile_is_refused(house: House) -> None:
    made = await added(house)
    path = f"/v1/channels/{made['id']}"
    seen = (await house.full("GET", path)).headers["etag"]
    edited = await house.full("PATCH", path, {"name": "mine"}, headers=[("If-Match", seen)])
    assert (200, True) == (edited.status, seen != edited.headers["etag"])

    stale = [
        await house.full("PATCH", path, {"name": "yours"}, headers=[("If-Match", seen)]),
        await house.full("POST", f"{path}/rotate-secret", headers=[("If-Match", seen)]),
        await house.full("DELETE", path, headers=[("If-Match", seen)]),
    ]
    now = (await house.full("GET", path)).headers["etag"]
    nonsense = await house.full("PATCH", path, {"name": "x"}, headers=[("If-Match", "17")])
    fresh = await house.full("DELETE", path, headers=[("If-Match", now)])

    assert {(412, "urn:heartfly:problem:changed-meanwhile")} == {(one.status, one.json["type"]) for one in stale}
    assert (422, ["If-Match"]) == (nonsense.status, nonsense.fields)
    assert 204 == fresh.status


async def test_a_channel_hears_the_checks_that_it_is_given(house: House) -> None:
    one, two = await house.world.check(START), await house.world.check(START)
    everything = await added(house)
    only_one = await added(house, name="one", checks=[one.uuid])
    nothing = await added(house, name="none", checks=[])

    async def heard(check: Any) -> list[str]:
        return list((await house.full("GET", f"/v1/checks/{check.uuid}")).json["channels"])

    assert [everything["id"], only_one["id"]] == await heard(one)
    assert [everything["id"]] == await heard(two)
    assert (2, 1, 0) == (everything["n_checks"], only_one["n_checks"], nothing["n_checks"])

    moved = await house.full("PATCH", f"/v1/channels/{only_one['id']}", {"checks": [two.uuid]})
    all_of_them = await house.full("PATCH", f"/v1/channels/{nothing['id']}", {"checks": ["*"]})

    assert (200, 2) == (moved.status, all_of_them.json["n_checks"])
    assert [everything["id"], nothing["id"]] == await heard(one)
    assert [everything["id"], only_one["id"], nothing["id"]] == await heard(two)


async def test_a_check_can_choose_its_channels(house: House) -> None:
    first, second = await added(house), await added(house, name="second")
    asked = {"name": "job", "channels": [second["id"].upper()]}

    check = (await house.full("POST", "/v1/checks", asked)).json
    every = (await house.full("PATCH", f"/v1/checks/{check['id']}", {"channels": ["*"]})).json
    none = (await house.full("PATCH", f"/v1/checks/{check['id']}", {"channels": []})).json

    assert [second["id"]] == check["channels"]
    assert [first["id"], second["id"]] == every["channels"]
    assert [] == none["channels"]


async def test_a_check_is_looked_at_when_it_is_late_as_long_as_somebody_hears_of_it(house: House) -> None:
    check = await house.world.check(START)
    await house.world.ping(check, START)

    async def wakes_at() -> timedelta:
        row = await house.world.row(check)
        assert row.goes_down_at == START + 70 * MINUTE
        woken: timedelta = row.wake_at - START
        return woken

    woken = [await wakes_at()]
    channel = await added(house, events=LATE)
    woken.append(await wakes_at())
    await house.full("PATCH", f"/v1/channels/{channel['id']}", {"events": ["check.down"]})
    woken.append(await wakes_at())
    await house.full("PATCH", f"/v1/channels/{channel['id']}", {"events": LATE})
    woken.append(await wakes_at())
    await house.full("PATCH", f"/v1/checks/{check.uuid}", {"channels": []})
    woken.append(await wakes_at())
    await house.full("PATCH", f"/v1/checks/{check.uuid}", {"channels": ["*"]})
    woken.append(await wakes_at())
    await house.full("DELETE", f"/v1/channels/{channel['id']}")
    woken.append(await wakes_at())

    assert [70, 60, 70, 60, 70, 60, 70] == [span / MINUTE for span in woken]


async def test_a_deleted_channel_is_gone_from_its_checks(house: House) -> None:
    check = await house.world.check(START)
    channel = await added(house)

    gone = await house.full("DELETE", f"/v1/channels/{channel['id']}")
    again = await house.full("DELETE", f"/v1/channels/{channel['id']}")

    assert (204, 404) == (gone.status, again.status)
    assert [] == (await house.full("GET", f"/v1/checks/{check.uuid}")).json["channels"]


async def test_a_channel_tells_how_it_does(house: House) -> None:
    made = await added(house)
    troubled = sa.update(channels).where(channels.c.uuid == made["id"])

    async def told(**trouble: Any) -> Any:
        await house.world.db.write(lambda tx: tx.conn.execute(troubled.values(trouble)) and None)
        one = (await house.full("GET", f"/v1/channels/{made['id']}")).json
        assert [one] == (await house.full("GET", "/v1/channels")).json["items"]
        return [one["state"], one["retrying_since"], one["failing_since"], one["last_error"]]

    first, later = "2026-03-02T10:00:00Z", "2026-03-02T10:02:00Z"
    assert ["retrying", first, None, "no answer"] == await told(retrying_since=START, last_error="no answer")
    assert ["failing", first, later, "no answer"] == await told(failing_since=START + 2 * MINUTE)


async def test_channels_are_paged(house: House) -> None:
    for n in range(3):
        await added(house, name=f"channel {n}")

    first = (await house.full("GET", "/v1/channels?limit=2")).json
    second = (await house.full("GET", f"/v1/channels?limit=2&cursor={first['next']}")).json

    assert ["channel 0", "channel 1"] == [channel["name"] for channel in first["items"]]
    assert (["channel 2"], None) == ([channel["name"] for channel in second["items"]], second["next"])


# --- notifications -----------------------------------------------------------------------------------


async def test_a_test_is_accepted_and_listed_among_the_notifications(house: House) -> None:
    channel = await added(house)

    sent = await house.full("POST", f"/v1/channels/{channel['id']}/test")

    listed = (await house.read("GET", f"/v1/notifications?channel={channel['id']}")).json
    assert 202 == sent.status
    assert {"items": [sent.json], "next": None} == listed
    assert ("test", "pending", channel["id"], "ops", None) == (
        sent.json["event"],
        sent.json["state"],
        sent.json["channel"],
        sent.json["channel_name"],
        sent.json["check"],
    )


async def test_notifications_say_what_was_told_about_which_check(house: House, clock: SimClock) -> None:
    one, two = await house.world.check(START), await house.world.check(START, name="two")
    channel, other = await added(house), await added(house, name="other", checks=[two.uuid])
    await house.world.ping(one, START, PingKind.FAIL, exit_status=3, body=b"the output is not listed")
    await house.world.ping(two, START + MINUTE, PingKind.FAIL)
    await house.world.ping(two, START + 2 * MINUTE)

    async def listed(query: str) -> list[tuple[str, str, str]]:
        items = (await house.read("GET", f"/v1/notifications?{query}")).json["items"]
        return [(item["event"], item["check_name"], item["channel_name"]) for item in items]

    everything = await listed("")
    assert [("check.up", "two", "other"), ("check.up", "two", "ops")] == everything[:2]
    assert 5 == len(everything)
    assert [("check.down", one.name, "ops")] == await listed(f"check={one.uuid}")
    assert everything[:4] == await listed(f"check={two.uuid}")
    assert [everything[0], everything[2]] == await listed(f"channel={other['id']}")
    assert [everything[1]] == await listed(f"check={two.uuid}&channel={channel['id']}&limit=1")
    assert [] == await listed("state=sent")
    first = (await house.read("GET", f"/v1/notifications?check={one.uuid}")).json["items"][0]
    assert ("exit_status", "The job ended with exit status 3.", None) == (
        first["reason"],
        first["explain"],
        first["delivery"],
    )


async def test_notifications_are_paged_by_key_also_those_about_one_check(house: House) -> None:
    check, noise = await house.world.check(START), await house.world.check(START)
    await added(house)
    for n in range(4):
        kind = PingKind.FAIL if n % 2 == 0 else PingKind.SUCCESS
        for one in (check, noise):
            await house.world.ping(one, START + n * MINUTE, kind)

    for narrowed, n_expected in (("", 8), (f"&check={check.uuid}", 4)):
        whole = (await house.read("GET", f"/v1/notifications?limit=500{narrowed}")).json["items"]
        seen, cursor = [], ""
        for _ in range(20):
            page = (await house.read("GET", f"/v1/notifications?limit=3{narrowed}{cursor}")).json
            seen += page["items"]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert (n_expected, whole) == (len(whole), seen)


async def test_notifications_about_nothing_known_are_refused(house: House) -> None:
    missing = "3f0f8f9e-6a1c-4a55-8d4c-111111111111"

    heard = {
        query: (await house.read("GET", f"/v1/notifications?{query}")).status
        for query in (f"check={missing}", f"channel={missing}", "check=x", "channel=%00", "state=lost", "cursor=x")
    }

    assert [404, 404, 404, 404, 422, 422] == list(heard.values())
    async with house.world.db.read() as read:
        assert [] == (await read.execute(sa.select(notifications))).all()
        assert [] == list(await queries.find_many(read, house.world.project.pid, queries.Wanted(), after=None, limit=1))


async def test_a_state_that_is_none_is_named_as_it_was_sent(house: House) -> None:
    assert ["state"] == (await house.read("GET", "/v1/notifications?state=sideways")).fields


async def test_a_page_about_one_check_may_be_short_but_nothing_is_missed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_notifications, "_SLICE", 2)
    monkeypatch.setattr(api_notifications, "_SLICES", 1)
    check, noise = await house.world.check(START), await house.world.check(START)
    await added(house)
    await house.world.ping(check, START, PingKind.FAIL)
    for n in range(5):
        await house.world.ping(noise, START + n * MINUTE, [PingKind.FAIL, PingKind.SUCCESS][n % 2])

    path, pages = f"/v1/notifications?check={check.uuid}", []
    cursor = ""
    for _ in range(5):
        page = (await house.read("GET", path + cursor)).json
        pages.append([item["check"] for item in page["items"]])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert [[], [], [check.uuid], []] == pages


async def test_a_channel_whose_key_was_lost_is_shown_without_its_configuration_and_can_be_given_a_new_one(
    house: House, db: Database, ids: IdSource, clock: SimClock
) -> None:
    made = await added(house)
    another = replace(state_of(db, clock, ids), sealer=Sealer([Fernet.generate_key()]))
    door, path = Door(native_api(another), house.full.key), f"/v1/channels/{made['id']}"

    shown = await door("GET", path)
    mended = await door("PATCH", path, {"config": {"url": HOOK}})

    assert (200, None) == (shown.status, shown.json["config"])
    assert (200, {"url": "https://hooks.example.com/…"}) == (mended.status, mended.json["config"])


async def test_a_webhooks_bodies_are_not_shown_to_keys_that_only_read(house: House) -> None:
    """An owner writes tokens into them as often as into headers."""
    config = {"url": HOOK, "body": '{"token": "t0ps3cret"}', "down": {"body": "down t0ps3cret"}}
    made = await added(house, config=config)
    path = f"/v1/channels/{made['id']}"

    for reply in (await house.read("GET", path), await house.read("GET", "/v1/channels")):
        assert 200 == reply.status
        assert b"t0ps3cret" not in reply.body
        shown = reply.json.get("items", [reply.json])[0]["config"]
        assert ("\N{HORIZONTAL ELLIPSIS}", {"body": "\N{HORIZONTAL ELLIPSIS}"}) == (shown["body"], shown["down"])
    full = (await house.full("GET", path)).json["config"]
    assert (config["body"], config["down"]) == (full["body"], full["down"])
    # What was masked for a reader is not stored as it was shown.
    sent = {"config": {"url": HOOK, "body": "\N{HORIZONTAL ELLIPSIS}"}}
    refused = await house.full("PATCH", path, sent)
    assert (422, ["config.body"]) == (refused.status, refused.fields)
    assert config["body"] == (await config_of(house, made))["body"]


async def test_a_project_sends_so_many_tests_an_hour_and_each_is_in_the_audit(
    house: House, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.notify.commands.TESTS_PER_HOUR", 2)
    path = f"/v1/channels/{(await added(house))['id']}/test"
    told = [await house.full("POST", path) for _ in range(3)]

    assert [202, 202, 429] == [reply.status for reply in told]
    assert "3601" == told[2].headers["retry-after"]
    entries = (await house.full("GET", "/v1/audit?action=channel.test")).json["items"]
    assert [f"key:{house.full.key[:10]}"] * 2 == [entry["actor"] for entry in entries]
    assert path.split("/")[3] == entries[0]["object"].partition(":")[2]
    clock.move_to(START + timedelta(hours=1, seconds=1))
    assert 202 == (await house.full("POST", path)).status


async def test_above_the_limit_no_channel_is_added(house: House, clock: SimClock) -> None:
    await added(house)
    world = house.world
    tight = native_api(state_of(world.db, clock, world.ids, Settings(limits=Limits(channels=1))))
    asked = {"kind": "webhook", "name": "second", "config": {"url": HOOK}}
    refused = await Door(tight, house.full.key)("POST", "/v1/channels", asked)

    assert (409, "channels in the project: 1, as many as limits.channels allows") == (
        refused.status, refused.json["detail"],
    )  # fmt: skip
