"""Pings as Healthchecks answers them, to checks that its own API has made: both doors over one database."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.api.ping import PingDoor
from heartfly.clock import SystemClock
from heartfly.pings.ingest import Ingest
from tests.api.door import House, Reply
from tests.api.theirs import Theirs, writer

pytestmark = pytest.mark.anyio

HEADERS = ("content-length", "content-type", "ping-body-limit", "access-control-allow-origin")


@pytest.fixture
async def ping(house: House) -> Theirs:
    """Whoever pings: `ping("GET", "/ping/…")`."""
    door = PingDoor(
        Ingest(house.world.db, house.world.applier, SystemClock()),
        max_body=10_000,
        client_address=lambda scope: (scope["client"][0], scope["scheme"]),
    )
    return Theirs(door, "")  # type: ignore[arg-type] # it speaks ASGI, too


async def kinds(house: House, made: Any) -> list[str]:
    pings = (await writer(house)("GET", f"checks/{made['uuid']}/pings/")).json["pings"]
    return [one["type"] for one in reversed(pings)]


@pytest.mark.parametrize("base", ["/ping/", "/"])
async def test_a_ping_is_answered_with_ok_and_what_clients_read(house: House, ping: Theirs, base: str) -> None:
    made = await writer(house).made()

    for method in ("GET", "HEAD", "POST"):
        told = await ping(method, f"{base}{made['uuid']}")
        assert (200, "2", "text/plain; charset=utf-8", "10000", "*") == (told.status, *map(told.headers.get, HEADERS))
    assert ["success"] * 3 == await kinds(house, made)


async def test_a_slug_and_a_ping_key_are_as_good_as_an_address(house: House, ping: Theirs) -> None:
    made = await writer(house).made(slug="by-slug")
    at = f"/ping/{house.world.project.ping_key}/by-slug"

    for rest in ("", "/start", "/fail", "/log", "/0", "/3"):
        assert (200, b"OK") == _told(await ping("GET", at + rest))
    assert ["success", "start", "fail", "log", "success", "fail"] == await kinds(house, made)
    assert (400, b"invalid url format") == _told(await ping("GET", at + "/256"))
    assert (404, b"not found") == _told(await ping("GET", at + "/nothing"))


async def test_a_shared_slug_is_ambiguous(house: House, ping: Theirs) -> None:
    for _ in range(2):
        await writer(house).made(slug="twice")

    assert (409, b"ambiguous slug") == _told(await ping("GET", f"/{house.world.project.ping_key}/twice?create=1"))


async def test_create_makes_a_daily_check_that_every_channel_hears(house: House, ping: Theirs) -> None:
    hook = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.com/x"}}
    channel = (await house.full("POST", "/v1/channels", hook)).json["id"]
    at = f"/ping/{house.world.project.ping_key}/fresh"

    assert (404, b"not found") == _told(await ping("GET", f"{at}?create=true"))
    assert (201, b"Created") == _told(await ping("POST", f"{at}/start?create=1"))

    (check,) = (await writer(house)("GET", "checks/?slug=fresh")).json["checks"]
    assert ("fresh", 86400, 3600, channel, "new", True) == tuple(
        check[name] for name in ("name", "timeout", "grace", "channels", "status", "started")
    )


@pytest.mark.parametrize("rest", ["/256?create=1", "?create=1&rid=x", "/nothing?create=1"])
async def test_what_is_refused_makes_no_check(house: House, ping: Theirs, rest: str) -> None:
    told = await ping("GET", f"/ping/{house.world.project.ping_key}/fresh{rest}")

    assert told.status in {400, 404}
    assert [] == (await writer(house)("GET", "checks/")).json["checks"]


async def test_keywords_are_looked_for_in_their_order(house: House, ping: Theirs) -> None:
    words = {"start_kw": "begin", "success_kw": "done, fine", "failure_kw": "bad"}
    made = await writer(house).made(**words, filter_http_body=True)

    for body in (b"we begin", b"all is fine", b"done, but bad", b"done and begin", b"nothing", b"\xff\xfe done", b""):
        assert (200, b"OK") == _told(await ping("POST", f"/ping/{made['uuid']}/start", body=body))
    assert ["start", "success", "fail", "success", "ign", "success", "ign"] == await kinds(house, made)

    await writer(house)("POST", f"checks/{made['uuid']}", {"filter_default_fail": True})
    await ping("POST", f"/ping/{made['uuid']}", body=b"nothing")
    assert "fail" == (await kinds(house, made))[-1]


async def test_a_check_for_posts_ignores_the_rest(house: House, ping: Theirs) -> None:
    made = await writer(house).made(methods="POST")

    for method in ("GET", "HEAD", "POST"):
        assert 200 == (await ping(method, f"/ping/{made['uuid']}")).status
    assert ["ign", "ign", "success"] == await kinds(house, made)


async def test_a_paused_check_is_resumed_by_a_ping_unless_somebody_must(house: House, ping: Theirs) -> None:
    client = writer(house)
    free, held = await client.made(), await client.made(manual_resume=True)
    for made in (free, held):
        await client("POST", f"checks/{made['uuid']}/pause")
        assert (200, b"OK") == _told(await ping("GET", f"/ping/{made['uuid']}"))

    assert ["up", "paused"] == [(await client.check(made))["status"] for made in (free, held)]
    assert ["ign"] == await kinds(house, held)


async def test_a_long_body_is_cut_and_told_as_it_came(house: House, ping: Theirs) -> None:
    made = await writer(house).made()
    body = b"\x00\xff" * 10_000

    assert (200, b"OK") == _told(await ping("POST", f"/ping/{made['uuid']}", body=body))

    assert body[:10_000] == (await writer(house)("GET", f"checks/{made['uuid']}/pings/1/body")).body


async def test_a_run_id_is_read_in_any_letters(house: House, ping: Theirs) -> None:
    made = await writer(house).made()
    rid = "7A4F2B5E-0000-4000-8000-000000000001"
    for action in ("/start", ""):
        await ping("GET", f"/ping/{made['uuid']}{action}?rid={rid if action else rid.lower()}")

    end, _ = (await writer(house)("GET", f"checks/{made['uuid']}/pings/")).json["pings"]

    assert (rid.lower(), True) == (end["rid"], "duration" in end)


def _told(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body
