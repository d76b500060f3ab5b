"""Rules for paths in the browser: previewed on real paths, saved, and what held before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.api.paging import cursor_of
from heartfly.web.state import WebState
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_usage_pages import said, text

pytestmark = pytest.mark.anyio

PATH = "/p/main/usage/paths"
RULE = "/users/{name}"


@pytest.fixture
async def asked(town: Town, web: WebState) -> Town:
    """Three requests for two people."""
    found: list[Any] = [
        {
            "transaction_id": f"t-{n}", "customer_id": "acme", "event_type": "http.request",
            "timestamp": (START - timedelta(minutes=n)).isoformat(),
            "properties": {"method": "GET", "route": f"/users/{name}", "path": f"/users/{name}"},
        }
        for n, name in enumerate(["ada", "grace", "ada"])
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, found, wire="native")
    return town


async def filled(browser: Browser, **typed: str) -> dict[str, str]:
    return await fields_of(browser, PATH) | typed


async def test_without_rules_it_is_said_what_one_looks_like(town: Town) -> None:
    shown = await text(await town.owner(), "/paths")
    assert "sku-* {sku}" in shown
    assert "Nothing but what is built in." in shown
    assert "The project has no rules of its own." in await text(await town.viewer(), "/paths")


async def test_a_preview_tells_before_and_after_and_saves_nothing(asked: Town) -> None:
    owner = await asked.owner()
    would = await owner.post(PATH, await filled(owner, lines=RULE, preview="1"))
    shown = said(would.body)

    assert 200 == would.status, shown
    assert "3 of 3 requests would count for another endpoint" in shown
    assert "They have 2 endpoints now, and would have 1 ." in shown
    assert "GET /users/ada GET /users/{name} 2 1 /users/ada" in shown
    assert "Nothing but what is built in." in await text(owner, "/paths")


async def test_saved_they_hold_and_those_before_can_be_had_again(asked: Town, clock: SimClock) -> None:
    owner, viewer = await asked.owner(), await asked.viewer()
    saved = await owner.post(PATH, await filled(owner, lines=f"# ours\r\n{RULE}\r\n"))
    assert (303, f"{PATH}?saved=0") == (saved.status, saved.headers["location"])
    assert "No hour of history is counted anew" in await text(owner, "/paths?saved=0")  # nothing is folded yet
    assert "1 hour of history is counted anew" in await text(owner, "/paths?saved=1")
    assert "# ours\n/users/{name}" == (await filled(owner))["lines"]
    assert RULE in await text(viewer, "/paths")
    assert "Into the form" not in await text(viewer, "/paths")

    clock.move_to(START + timedelta(minutes=1))
    assert 303 == (await owner.post(PATH, await filled(owner, lines=""))).status
    page = (await owner.get(PATH)).body.decode()
    assert 2 == page.count("Into the form")
    before = page.rpartition(f"{PATH}?of=")[2].partition('"')[0]
    again = (await owner.get(f"{PATH}?of={before}")).body.decode()
    assert "# ours\n/users/{name}</textarea>" in again
    assert "They hold again once you save them." in again
    assert 404 == (await owner.get(f"{PATH}?of={cursor_of('path-rules', 1)}")).status


@on_sqlite
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("/a\none two three", "Line 2: is neither a route"),
        ("/a\n\x07", "Line 2 must not hold control characters"),
        ("\n".join(["/a"] * 501), "Must be up to 500 lines"),
        ("/" + "a" * 300, "Line 1 must have at most 300 characters"),
    ],
)
@pytest.mark.parametrize("preview", ["", "1"])
async def test_what_is_no_rule_is_told_by_its_line_and_kept_in_the_form(
    town: Town, lines: str, words: str, preview: str
) -> None:
    owner = await town.owner()
    refused = await owner.post(PATH, await filled(owner, lines=lines, preview=preview))
    assert 422 == refused.status
    assert words in said(refused.body)
    assert lines[:20].partition("\x07")[0] in refused.body.decode()


async def test_what_somebody_else_saved_meanwhile_is_not_overwritten(town: Town) -> None:
    owner, member = await town.owner(), await town.member()
    seen = await filled(owner, lines="/mine/{x}")
    assert 303 == (await member.post(PATH, await filled(member, lines="/theirs/{x}"))).status
    refused = await owner.post(PATH, seen)
    assert 409 == refused.status
    assert "/mine/{x}" in refused.body.decode()
    assert "/theirs/{x}" == (await filled(owner))["lines"]


async def test_what_held_before_comes_in_pages(town: Town, clock: SimClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.web.usage_paths.PAGE", 2)
    owner = await town.owner()
    for n in range(3):
        clock.move_to(START + timedelta(minutes=n + 1))
        await owner.post(PATH, await filled(owner, lines=f"/page-{n}/{{x}}"))
    first = (await owner.get(PATH)).body.decode()
    following = first.partition(f"{PATH}?after=")[2].partition('"')[0]
    shown = await text(owner, f"/paths?after={following}")
    assert 2 == first.count("1 line<")
    assert 1 == shown.count("1 line")
    assert "/page-0/{x}" in shown
    assert 422 == (await owner.get(f"{PATH}?after=nonsense")).status
    assert 422 == (await owner.get(f"{PATH}?of=nonsense")).status
