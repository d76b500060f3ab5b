"""Deliveries over the native API: how one went, sending again what failed, one by one or all since an instant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from heartfly.core.words import PingKind
from tests.api.conftest import START
from tests.api.door import House
from tests.api.failed import given_up
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MISSING = "3f0f8f9e-6a1c-4a55-8d4c-111111111111"
HOOK = "https://hooks.example.com/x"


async def added(house: House, name: str) -> Any:
    asked = {"kind": "webhook", "name": name, "config": {"url": HOOK}}
    return (await house.full("POST", "/v1/channels", asked)).json


async def told(house: House, at: datetime = START) -> None:
    """A check goes down, and each channel has given up to tell it."""
    await house.world.ping(await house.world.check(at), at, PingKind.FAIL)
    await given_up(house, at)


async def one(house: House, query: str = "") -> Any:
    (notification,) = (await house.read("GET", f"/v1/notifications?{query}")).json["items"]
    return notification


async def test_a_notification_is_read_with_its_delivery_and_each_attempt(house: House) -> None:
    channel = await added(house, "ops")
    await told(house)

    listed = await one(house)
    reply = await house.read("GET", f"/v1/notifications/{listed['id']}")

    assert (200, listed) == (reply.status, reply.json)
    delivery = reply.json["delivery"]
    assert (channel["id"], "failed", False, 1) == (
        delivery["channel"],
        delivery["state"],
        delivery["possible_duplicate"],
        len(delivery["attempts"]),
    )
    assert delivery == (await house.read("GET", f"/v1/deliveries/{delivery['id'].upper()}")).json


@pytest.mark.parametrize(
    "path",
    [
        "notifications/x",
        "notifications/1",
        "notifications/1-",
        "notifications/-1-1",
        "notifications/1-1",
        "notifications/%EF%BC%91-1",
        "notifications/" + "9" * 19 + "-1",
        "notifications/" + "9" * 5000 + "-1",
        "deliveries/x",
        f"deliveries/{MISSING}",
        f"deliveries/{MISSING}/attempts",
        "deliveries/x\x00/attempts",
    ],
)
async def test_what_is_not_there_is_not_found(house: House, path: str) -> None:
    assert 404 == (await house.read("GET", f"/v1/{path}")).status


async def test_attempts_are_paged_oldest_first(house: House) -> None:
    await added(house, "ops")
    await told(house)
    delivery = (await one(house))["delivery"]["id"]
    for n in range(2, 6):
        await house.full("POST", f"/v1/deliveries/{delivery}/resend")
        await given_up(house, START + n * HOUR)

    whole = (await house.read("GET", f"/v1/deliveries/{delivery}")).json["attempts"]
    seen, cursor = [], ""
    for _ in range(5):
        page = (await house.read("GET", f"/v1/deliveries/{delivery}/attempts?limit=2{cursor}")).json
        seen += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert [1, 2, 3, 4, 5] == [attempt["n"] for attempt in seen]
    assert whole == seen
    reply = await house.read("GET", f"/v1/deliveries/{delivery}/attempts?cursor=x")
    assert (422, ["cursor"]) == (reply.status, reply.fields)


async def test_what_failed_is_sent_again_under_the_same_id_and_flagged(house: House, clock: SimClock) -> None:
    await added(house, "ops")
    await told(house)
    before = (await one(house))["delivery"]
    clock.move_to(START + HOUR)

    reply = await house.full("POST", f"/v1/deliveries/{before['id']}/resend")

    assert (202, before | {
        "state": "pending", "possible_duplicate": True, "done_at": None, "retry_at": "2026-03-02T11:00:00Z"
    }) == (reply.status, reply.json)  # fmt: skip
    assert "pending" == (await one(house))["state"]
    (entry,) = (await house.full("GET", "/v1/audit?action=delivery")).json["items"]
    assert ("delivery.resend", f"delivery:{before['id']}", {"state": "failed"}, {"state": "pending"}) == (
        entry["action"],
        entry["object"],
        entry["before"],
        entry["after"],
    )
    again = await house.full("POST", f"/v1/deliveries/{before['id']}/resend")
    assert (409, "only what failed is sent again, and it is pending") == (again.status, again.json["detail"])


async def test_all_that_failed_since_an_instant_is_sent_again_once(house: House) -> None:
    one_channel, other = await added(house, "one"), await added(house, "other")
    await told(house)
    await told(house, START + HOUR)

    async def retried(**asked: Any) -> Any:
        reply = await house.full("POST", "/v1/deliveries/retry", {"since": "2026-03-02T11:00:00Z"} | asked)
        assert 202 == reply.status, reply.json
        return reply.json

    assert {"n": 1, "more": False, "n_overtaken": 0} == await retried(channel=one_channel["id"])
    assert {"n": 1, "more": False, "n_overtaken": 0} == await retried()
    assert {"n": 0, "more": False, "n_overtaken": 0} == await retried()
    assert {"n": 1, "more": True, "n_overtaken": 0} == await retried(since="2026-03-02T11:00:00+01:00", limit=1)

    states = [(n["channel"], n["state"]) for n in (await house.read("GET", "/v1/notifications")).json["items"]]
    assert 3 == sum(state == "pending" for _, state in states)
    assert {one_channel["id"], other["id"]} == {channel for channel, _ in states[:2]}
    told_of = (await house.full("GET", "/v1/audit?action=delivery.retry")).json["items"]
    project = (await house.full("GET", "/v1/project")).json["id"]
    assert [f"project:{project}", f"project:{project}", f"channel:{one_channel['id']}"] == [
        e["object"] for e in told_of
    ]
    assert {"since": "2026-03-02T11:00:00Z", "n_deliveries": 1} == told_of[1]["after"]


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-03-02T11:00:00"}, "since"),
        ({"since": "9999-12-31T23:59:59-14:00"}, "since"),
        ({"since": "2026-03-02T11:00:00Z", "limit": 0}, "limit"),
        ({"since": "2026-03-02T11:00:00Z", "limit": 1001}, "limit"),
        ({"since": "2026-03-02T11:00:00Z", "channel": "x"}, "channel"),
        ({"since": "2026-03-02T11:00:00Z", "channel": MISSING}, "channel"),
        ({"since": "2026-03-02T11:00:00Z", "of": 1}, "of"),
    ],
)
async def test_what_cannot_be_retried_is_refused_by_name(house: House, asked: Any, field: str) -> None:
    reply = await house.full("POST", "/v1/deliveries/retry", asked)

    assert (422, [field]) == (reply.status, reply.fields), reply.json


async def test_notifications_are_listed_from_an_instant_on(house: House) -> None:
    await added(house, "ops")
    for n in range(3):
        await told(house, START + n * HOUR)

    async def listed(query: str) -> list[str]:
        items = (await house.read("GET", f"/v1/notifications?{query}")).json["items"]
        return [item["created_at"][11:16] for item in items]

    assert ["12:00", "11:00", "10:00"] == await listed("")
    assert ["12:00", "11:00"] == await listed("since=2026-03-02T11:00:00Z")
    assert ["12:00"] == await listed("since=2026-03-02T11:00:00.000001Z&state=failed")
    assert [] == await listed("since=2026-03-02T11:00:00Z&state=sent")
    assert ["12:00", "11:00", "10:00"] == await listed("since=0001-01-01T00:00:00Z")
    assert [] == await listed("since=9999-12-31T00:00:00Z")
    for wrong in ("yesterday", "2026-03-02", "%00", ""):
        reply = await house.read("GET", f"/v1/notifications?since={wrong}")
        assert (422, ["since"]) == (reply.status, reply.fields)


async def test_a_failed_test_can_be_tried_again_but_not_with_the_rest(house: House) -> None:
    channel = await added(house, "ops")
    sent = (await house.full("POST", f"/v1/channels/{channel['id']}/test")).json
    await given_up(house, START)

    assert {"n": 0, "more": False, "n_overtaken": 0} == (
        await house.full("POST", "/v1/deliveries/retry", {"since": "2026-01-01T00:00:00Z"})
    ).json
    delivery = (await house.read("GET", f"/v1/notifications/{sent['id']}")).json["delivery"]
    assert 202 == (await house.full("POST", f"/v1/deliveries/{delivery['id']}/resend")).status
