"""An event's page voids it, amends it and takes that back, each after it was shown what that means."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.events import read as parsed
from heartfly.db.models import audit
from heartfly.usage import changed_figures
from heartfly.web.state import WebState
from tests.api.door import Reply
from tests.one_database import on_sqlite
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_usage_pages import ROOT, said, text

pytestmark = pytest.mark.anyio

YESTERDAY = START - timedelta(days=1)
NAME = "t/1 <b>"
PATH, PAGE = f"{ROOT}/event", "/event?id=t%2F1%20%3Cb%3E"
TYPED = {
    "id": NAME, "do": "amend", "reason": "wrong unit", "customer_id": "c-0", "timestamp": "2026-03-01T10:00:00Z",
    "event_type": "call", "properties": '{"bytes": 10.50, "region": "eu"}',
}  # fmt: skip


@pytest.fixture
async def owner(town: Town, web: WebState) -> Browser:
    """An event that counts, with a number that no float holds."""
    event: dict[str, Any] = {
        "transaction_id": NAME, "customer_id": "c-0", "event_type": "call", "timestamp": YESTERDAY.isoformat(),
        "properties": {"region": "eu"},
    }  # fmt: skip
    sent = json.dumps([event]).replace('"region"', '"bytes": 10.50, "region"')
    await web.api.events.take(town.world.project.pid, parsed(sent), wire="native")
    return await town.owner()


async def sure(browser: Browser, fields: dict[str, str]) -> Reply:
    """Asked, and asked once more with what the page's own form then holds."""
    page = (await browser.post(PATH, fields)).body.decode()
    form = page.partition('id="sure"')[2].partition("</form>")[0]
    hidden = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)}
    return await browser.post(PATH, hidden | {"do": fields["do"]})


async def test_an_event_is_amended_after_what_would_change_was_seen(owner: Browser, town: Town) -> None:
    changed = TYPED | {"properties": '{"bytes": 12345678901234567890.1, "region": "eu"}', "customer_id": "c-9"}
    shown = said((await owner.post(PATH, changed)).body)
    before = await text(owner, PAGE)
    done = await sure(owner, changed)
    after = await text(owner, PAGE)

    assert "Amend it? " in shown
    assert "customer_id c-0 c-9 properties.bytes 10.50 12345678901234567890.1 No figure would change" in shown
    assert "Reason: wrong unit" in shown
    assert ("Amended by" in before, "12345678901234567890.1" in before) == (False, False)
    assert (303, f"{ROOT}{PAGE}") == (done.status, done.headers["location"])
    assert "Amended by user:owner@example.com" in after
    assert "12345678901234567890.1" in after
    async with town.world.db.read() as read:
        actions = (await read.execute(sa.select(audit.c.action, audit.c.actor))).all()
    assert ("event.amend", "user:owner@example.com") in [tuple(one) for one in actions]


async def test_an_event_is_voided_and_put_back(owner: Browser) -> None:
    void = {"id": NAME, "do": "void", "reason": "a test"}
    asked = said((await owner.post(PATH, void)).body)
    voided = await sure(owner, void)
    page = await text(owner, PAGE)
    asked_back = said((await owner.post(PATH, {"id": NAME, "do": "undo"})).body)
    back = await sure(owner, {"id": NAME, "do": "undo"})

    assert "Void it? It counts in no figure from then on" in asked
    assert (303, 303) == (voided.status, back.status)
    assert "It counts nothing. As it was" in page
    assert "Void it" not in page  # it is
    assert "Undo the newest correction? Voided by user:owner@example.com, 10:00:00 now : a test" in asked_back.replace(
        " ,", ","
    )
    assert ("As it counts" in await text(owner, PAGE), "undone by" in await text(owner, PAGE)) == (True, True)


@on_sqlite
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reason": " "}, "Must not be empty"),
        ({"reason": "x" * 501}, "at most 500"),
        ({"customer_id": ""}, "Must not be empty"),
        ({"timestamp": "soon"}, "RFC 3339"),
        ({"timestamp": "2026-04-01T00:00:00Z"}, "24 hours"),
        ({"event_type": "x" * 129}, "longer than 128"),
        ({"properties": "{as typed"}, "Are no JSON"),
        ({"properties": "[" * 600}, "Are no JSON"),
        ({"properties": "[1]"}, "object"),
        ({}, "othing differs from what counts now"),
        ({"properties": '{ "region": "eu",  "bytes": 10.50 }'}, "othing differs from what counts now"),
    ],
)
async def test_what_cannot_be_is_told_beside_its_field_and_stays_as_typed(
    owner: Browser, fields: dict[str, str], told: str
) -> None:
    reply = await owner.post(PATH, TYPED | fields)
    page = unescape(reply.body.decode())

    assert (422, True) == (reply.status, told in page), said(reply.body)
    for name, value in fields.items():
        assert value.strip() in page
        assert "differs" in told or f'id="{name}-wrong"' in page
    assert "Amended by" not in await text(owner, PAGE)


async def test_who_looked_before_another_corrected_it_looks_once_more(owner: Browser, town: Town) -> None:
    void = {"id": NAME, "do": "void", "reason": "a test"}
    asked = (await owner.post(PATH, void)).body.decode()
    (mark,) = re.findall(r'name="mark" value="([^"]+)"', asked)
    await sure(owner, TYPED | {"customer_id": "c-9"})
    late = await owner.post(PATH, void | {"sure": "1", "mark": mark})
    bare = await owner.post(PATH, void | {"sure": "1"})
    back, again = await sure(owner, {"id": NAME, "do": "undo"}), await sure(owner, {"id": NAME, "do": "undo"})

    assert (409, True) == (late.status, "somebody has corrected it since you looked" in said(late.body))
    assert [409, 303, 409] == [bare.status, back.status, again.status]
    assert "no correction of it stands" in said(again.body)


@on_sqlite
async def test_only_who_may_write_corrects_and_only_in_his_project(owner: Browser, town: Town) -> None:
    viewer, stranger = await town.viewer(), await town.stranger()
    fields = {"id": NAME, "do": "void", "reason": "x", "sure": "1", "mark": "0-0"}

    assert "Correct it" not in await text(viewer, PAGE)
    assert 403 == (await viewer.post(PATH, fields)).status
    assert 404 == (await stranger.post("/p/next-door/usage/event", fields)).status
    assert [404, 422] == [(await owner.post(PATH, fields | more)).status for more in ({"id": "none"}, {"do": "dance"})]
    assert "As it counts" in await text(owner, PAGE)


async def test_what_figures_would_change_is_told_by_day_meter_and_customer(owner: Browser, web: WebState) -> None:
    size = {"slug": "size", "event_types": "call", "aggregation": "sum", "value": "bytes"}
    await owner.post(f"{ROOT}/meters/new", size)
    near = {"slug": "near", "event_types": "call", "aggregation": "percentile", "value": "bytes", "percentile": "95"}
    await owner.post(f"{ROOT}/meters/new", near)
    amended = said((await owner.post(PATH, TYPED | {"customer_id": "c-9"})).body)
    web.previews.wait_s = 0
    void = {"id": NAME, "do": "void", "reason": "a test"}
    waits = (await owner.post(PATH, void)).body
    (rerun,) = web.previews._known.values()
    await asyncio.wait({rerun.task})
    hidden = {"sure": "1", "mark": "0-0", "look": "void"}
    told = said((await owner.post(PATH, {"id": NAME, "reason": "a test"} | hidden)).body)

    assert "2026-03-01 size c-0 unknown 10.5 – 1 0" in amended
    assert "2026-03-01 size c-9 unknown – 10.5 0 1" in amended
    assert re.search(r"2026-03-01 near c-0 unknown [0-9.]+ ± [0-9.]+ – 1 0", amended), amended
    assert ("still being worked out" in said(waits), b'name="look" value="void"' in waits) == (True, True)
    assert "2026-03-01 size c-0 unknown 10.5 – 1 0" in told
    assert "As it counts" in await text(owner, PAGE)


@pytest.mark.parametrize("do", ["void", "amend"])
async def test_what_is_too_much_to_be_foretold_is_said_and_the_correction_goes_on(
    owner: Browser, monkeypatch: pytest.MonkeyPatch, do: str
) -> None:
    meter = {"slug": "traffic", "event_types": "call", "aggregation": "sum", "value": "bytes", "name": "", "unit": ""}
    assert 303 == (await owner.post(f"{ROOT}/meters/new", meter)).status
    monkeypatch.setattr(changed_figures, "MOST_READ", 0)
    fields = TYPED | {"do": do, "properties": '{"bytes": 7, "region": "eu"}'}
    asked = await owner.post(PATH, fields)

    assert 200 == asked.status
    assert "its customers have too many events of these days to preview" in said(asked.body)
    assert 303 == (await sure(owner, fields)).status
    assert "wrong unit" in await text(owner, PAGE)
