"""An alert that comes back as a request: refused, so that no two Heartflies alert each other without end."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from heartfly.api.front import Front
from heartfly.net.headers import outgoing_headers
from heartfly.net.own import OwnAddress
from tests.server_process import Server, free_port

LIMIT_S = 60.0
LOOPED = "the receiver answered 508: loop detected"


class Watching:
    """A server that knows itself as 127.0.0.1, and is called by a name that is not its own, as behind a proxy."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.server = Server(folder, address="127.0.0.2", port=free_port())
        self.server.settings |= {"SERVER__HOST": "0.0.0.0", "HEARTBEAT__PERIOD_S": "5"}
        self.keys = self.server.init()
        self.channels: dict[str, str] = {}

    def url(self, slug: str) -> str:
        return f"{self.server.url}/ping/{self.keys['ping_key']}/{slug}"

    def ask(self, method: str, path: str, body: object = None) -> Any:
        return self.server.api(method, path, self.keys["api_key"], body)

    def add(self, slug: str, *, hook: str) -> None:
        """A check, and a webhook that hears of it alone."""
        config = {"url": hook}
        channel = self.ask("POST", "/v1/channels", {"kind": "webhook", "name": slug, "config": config})
        self.ask("POST", "/v1/checks", {"name": slug, "slug": slug, "channels": [channel["id"]]})
        self.channels[slug] = channel["id"]

    def fail(self, slug: str) -> None:
        with urllib.request.urlopen(f"{self.url(slug)}/fail", timeout=30) as answer:
            assert 200 == answer.status

    def check(self, slug: str) -> tuple[str, int]:
        """Its status, and how many pings it has got."""
        found = self.ask("GET", f"/v1/checks?slug={slug}")["items"]
        return (found[0]["status"], found[0]["n_pings"]) if found else ("none", 0)

    def status(self, slug: str) -> str:
        return self.check(slug)[0]

    def heard(self, slug: str) -> list[tuple[str, str]]:
        """What became of each message of the check, and what each try heard."""
        told = self.ask("GET", f"/v1/notifications?channel={self.channels[slug]}")["items"]
        # Beside them it is told, once, that another channel fails.
        its = [one for one in told if one["delivery"] and one["check_name"] == slug]
        tries = [(one["state"], tried) for one in its for tried in one["delivery"]["attempts"]]
        return [(state, str(tried["error"])[: len(LOOPED)]) for state, tried in tries]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Watching, Watching]]:
    """Two that listen to each other's heartbeat."""
    one, two = Watching(tmp_path / "one"), Watching(tmp_path / "two")
    for each, other in ((one, two), (two, one)):
        each.server.settings["HEARTBEAT__URL"] = other.url("heartfly") + "?create=1"
    yield one, two
    for each in (one, two):
        each.server.leave()


def until(found: Callable[[], Any], expected: Any) -> None:
    ends = time.perf_counter() + LIMIT_S
    while (last := found()) != expected:
        assert time.perf_counter() < ends, f"{expected} was waited for; {last}"
        time.sleep(0.2)  # noqa: TID251 - bounded above; to ask without a rest is more than the API takes a minute


@pytest.mark.e2e
def test_webhooks_that_ping_each_other_end_with_their_first_message_and_heartbeats_go_on(
    pair: tuple[Watching, Watching],
) -> None:
    one, two = pair
    for each in pair:
        each.server.start()
    one.add("there", hook=two.url("back") + "/fail")
    two.add("back", hook=one.url("there"))
    one.add("self", hook=one.url("self"))

    one.fail("there")
    two.fail("back")
    one.fail("self")

    for each, slug in ((one, "there"), (two, "back"), (one, "self")):
        until(partial(each.heard, slug), [("failed", LOOPED)])
        assert ("down", 1) == each.check(slug)
    for each in pair:
        until(partial(each.status, "heartfly"), "up")


@pytest.mark.e2e
@pytest.mark.anyio
async def test_what_heartfly_asks_its_own_address_is_no_alert(tmp_path: Path) -> None:
    watching = Watching(tmp_path / "one")
    watching.server.start()
    try:
        assert await OwnAddress(watching.server.url, user_agent="Heartfly/1").trouble() is None
    finally:
        watching.server.leave()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "/ping/k/backup", "/v1/events", "/v1/checks", "/api/v3/checks/", "/p/main/checks", "/",
        "/5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01", "/v1/alert-rules",
    ],
)  # fmt: skip
async def test_what_follows_from_an_alert_gets_no_further_than_the_first_door(path: str) -> None:
    answered: list[dict[str, Any]] = []

    async def nobody(*_: object) -> Any:
        raise AssertionError(path)

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    door = cast("Any", nobody)
    front = Front(cast("Any", None), ping=door, health=door, metrics=door, pages=door, page_paths=frozenset({"p"}))
    sent = [(name.lower(), value) for name, value in outgoing_headers({}, user_agent="Heartfly/1")]
    await front({"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": sent}, nobody, send)

    assert 508 == answered[0]["status"]
    assert b"loop detected: this request is an alert of a Heartfly (X-Heartfly-Hop)" in answered[1]["body"]
