"""Backfills in the browser: opened in a form, filled by pasting or with a file, looked at before they are closed, and
reverted.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from typing_extensions import override

from heartfly.core.events import read as parsed
from heartfly.db.models import audit
from heartfly.web import usage_backfill, usage_backfills
from heartfly.web.pages import pages
from heartfly.web.render import Renderer
from heartfly.web.state import WebState
from tests.api.door import Reply
from tests.one_database import on_sqlite
from tests.web.browser import HOST, Browser
from tests.web.conftest import PASSWORD, START, Town
from tests.web.hostile import HOSTILE
from tests.web.test_usage_pages import ROOT, TRAFFIC, said, text

pytestmark = pytest.mark.anyio

YESTERDAY = START - timedelta(days=1)
DAY, NEXT = YESTERDAY.date().isoformat(), START.date().isoformat()
FORM = {"name": "Sunday, second export", "from": DAY, "to": NEXT, "replaces": "replace"}


def event(n: int, *, size: int = 100, customer: str = "c-0") -> dict[str, Any]:
    return {
        "transaction_id": f"t-{n}", "customer_id": customer, "event_type": "api.request",
        "timestamp": YESTERDAY.isoformat(), "properties": {"bytes": size, "region": "eu"},
    }  # fmt: skip


def lines(*found: Any) -> str:
    return "\r\n".join(json.dumps(one) for one in found)


@pytest.fixture
async def owner(town: Town, web: WebState) -> Browser:
    """Two events of yesterday count, of ten and eleven bytes, in a meter."""
    await web.api.events.take(
        town.world.project.pid, parsed(json.dumps([event(n, size=10 + n) for n in range(2)])), wire="native"
    )
    owner = await town.owner()
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    return owner


async def opened(browser: Browser, **fields: str) -> str:
    """Its path."""
    made = await browser.post(f"{ROOT}/backfills/new", FORM | fields)
    assert 303 == made.status, said(made.body)
    return made.headers["location"]


async def put(browser: Browser, path: str, events: str) -> Reply:
    return await browser.post(f"{path}/events", {"events": events})


async def upload(browser: Browser, path: str, file: bytes) -> Reply:
    token = await browser.form_token()
    parts = [
        b'Content-Disposition: form-data; name="form_token"\r\n\r\n' + token.encode(),
        b'Content-Disposition: form-data; name="events"\r\n\r\n',
        b'Content-Disposition: form-data; name="file"; filename="a.ndjson"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + file,
    ]
    body = b"".join(b"--sep\r\n" + part + b"\r\n" for part in parts) + b"--sep--\r\n"
    headers = [("Content-Type", "multipart/form-data; boundary=sep"), ("Origin", f"http://{HOST}")]
    return await browser._ask("POST", f"{path}/events", body, headers)


async def sure(browser: Browser, path: str, do: str, **fields: str) -> Reply:
    """Asked, and asked once more, as the page's forms do."""
    page = (await browser.post(path, {"do": do})).body.decode()
    hidden = dict(re.findall(r'type="hidden" name="(sure|n|state)" value="([^"]*)"', page))
    return await browser.post(path, {"do": do} | hidden | fields)


async def figure(browser: Browser) -> str:
    """Of yesterday, as the meter's page tells it once the day was closed anew."""
    await browser.post(f"{ROOT}/jobs/{DAY}", {"do": "close"})
    page = await text(browser, f"/meters/traffic?from={DAY}&to={DAY}")
    (found,) = re.findall(rf"{DAY} (\S+) \d+ (?:Final|Provisional|Open|Amended)", page)
    return str(found)


async def actions(town: Town) -> Sequence[str]:
    async with town.world.db.read() as read:
        found = (await read.execute(sa.select(audit.c.action).order_by(audit.c.id))).scalars()
        return [one for one in found if one.startswith("backfill.")]


async def test_a_set_is_opened_filled_looked_at_closed_and_reverted(owner: Browser, town: Town) -> None:
    assert "No backfill yet" in await text(owner, "/backfills")
    path = await opened(owner)
    filled = await put(owner, path, lines(event(0), event(7, size=1_000)))
    preview = said((await owner.get(f"{path}/preview")).body)
    asked = await owner.post(path, {"do": "close"})
    before = await figure(owner)
    closed = await sure(owner, path, "close")
    after, listed = await figure(owner), await text(owner, "/backfills")
    shown = said((await owner.get(path)).body)
    reverted = await sure(owner, path, "revert")

    assert "2 accepted." in said(filled.body)
    assert "1 added : new 1 changed : take the place of their former selves 1 replaced : count no more" in preview
    assert f"{DAY} traffic c-0 unknown 21 1,100 2 2" in preview
    assert "2 events count from then on, and what counts now in its time goes" in said(asked.body)
    assert ("21", 303, "1,100") == (before, closed.status, after)
    assert "Sunday, second export Closed" in listed
    assert "is replaced (1) 2 now by user:owner@example.com" in listed
    assert "Its events count since" in shown
    assert (303, "21") == (reverted.status, await figure(owner))
    assert "All counts as before it was closed" in said((await owner.get(path)).body)
    assert ["backfill.open", "backfill.send", "backfill.close", "backfill.revert"] == await actions(town)


@on_sqlite
@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", " ", "Must not be empty"),
        ("from", "", "Must be said"),
        ("from", "yesterday", "Must be a day such as"),
        ("from", "2026-03-01T10:00:00", "or an instant such as"),  # of no zone
        ("from", "2020-01-01", "from when on events are kept"),
        ("to", DAY, "Must be after"),
        ("to", "2026-04-01", "more than 24 hours ahead"),
        ("replaces", "", "Must be chosen"),
        ("event_types", "x" * 129, "longer than 128"),
        ("customers", "a\x07", "control"),
    ],
)
async def test_a_field_that_is_wrong_is_told_beside_it_and_what_was_typed_stays(
    town: Town, field: str, value: str, told: str
) -> None:
    reply = await (await town.owner()).post(f"{ROOT}/backfills/new", FORM | {"customers": "as typed", field: value})
    page = unescape(reply.body.decode())

    assert (422, True) == (reply.status, f'id="{field}-wrong"' in page), said(reply.body)
    assert told in page
    assert field == "customers" or "as typed" in page


async def test_a_set_says_what_it_is_about(owner: Browser) -> None:
    path = await opened(
        owner, to=f"{NEXT}T01:30:00+02:00", replaces="add", event_types="api.request, login", customers="c-0\r\nacme"
    )
    page = said((await owner.get(path)).body)

    assert "Sun 2026-03-01 00:00 to Sun 2026-03-01 23:30 (UTC)" in page
    assert "What counts there stays Event types api.request , login Customers c-0 , acme" in page


async def test_what_is_none_of_the_sets_is_told_and_not_kept(owner: Browser, town: Town) -> None:
    path = await opened(owner, customers="c-0")
    late = event(3) | {"timestamp": START.isoformat()}
    reply = await put(owner, path, f"{lines(event(2), event(2), event(2, size=9), late)}\r\n{{as typed\r\n")
    page = said(reply.body)

    assert (200, True) == (reply.status, "1 accepted, 1 duplicate, 1 conflict, 2 rejected." in page.replace(" ,", ","))
    assert "Event 4: timestamp is outside of the backfill: 2026-03-01T00:00:00Z to 2026-03-02T00:00:00Z" in page
    assert "{as typed" in unescape(reply.body.decode())
    assert "Event 5: is no JSON" in page
    assert "1 event lies in it" in page
    assert "Nothing is in the dead letter" in await text(owner, "/dead-letters")
    for nothing, told in (
        ("", "must be pasted here"),
        ("[1,", "must be json"),
        ("[" * 600 + "]" * 600, "must be json"),
    ):
        refused = await put(owner, path, nothing)
        assert (422, True) == (refused.status, told in said(refused.body).lower()), nothing[:9]


async def test_one_event_over_several_lines_and_an_array_are_taken_as_well(owner: Browser) -> None:
    path = await opened(owner)

    assert "1 accepted." in said((await put(owner, path, json.dumps(event(5), indent=1))).body)
    assert "2 accepted." in said((await put(owner, path, json.dumps([event(6), event(8)], indent=1))).body)


@on_sqlite
async def test_a_file_of_more_lines_than_a_request_holds_goes_in_piece_by_piece(
    owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_backfill, "MAX_EVENTS", 3)
    monkeypatch.setattr(usage_backfill, "PAGE", 4)
    path = await opened(owner)
    whole = await upload(owner, path, lines(*map(event, range(10, 17)), {"customer_id": "c"}).encode())
    page = (await owner.get(path)).body.decode()
    (more,) = re.findall(rf'href="({path}\?after=[^"]+)"', page)
    rest = (await owner.get(unescape(more))).body.decode()

    assert "7 accepted, 1 rejected." in said(whole.body).replace(" ,", ",")
    assert "Event 8: transaction_id" in said(whole.body)
    assert ("t-13" in page, "t-14" in page, "t-16" in rest) == (True, False, True)
    assert 413 == (await upload(owner, path, bytes(usage_backfill.MOST_UPLOADED))).status


async def test_what_would_be_taken_apart_for_long_is_refused_before(
    owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_backfill, "MOST", 2)
    path = await opened(owner)
    lined = await put(owner, path, lines(*map(event, range(6))))
    pasted = await owner.post(f"{path}/events", {"events": "x" * (64 * 1024)})

    assert (422, True) == (lined.status, "has more lines than the 2 events" in said(lined.body))
    assert 413 == pasted.status


async def test_it_stops_where_the_set_is_full_and_says_what_lies_in_it(
    owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_backfill, "MAX_EVENTS", 2)
    monkeypatch.setattr("heartfly.usage.backfills.MOST", 3)
    path = await opened(owner)
    first, then = (
        await put(owner, path, lines(*map(event, range(4)))),
        await put(owner, path, lines(event(5), event(6))),
    )

    assert "2 accepted. It stopped there: it holds 2 events, and at most 3" in said(first.body)
    assert (409, True) == (then.status, "Nothing was put in: it holds 2 events" in said(then.body))


async def test_what_is_done_is_what_was_looked_at(owner: Browser, town: Town) -> None:
    path = await opened(owner)
    await put(owner, path, lines(event(7)))
    stale = {"do": "close", "sure": "1", "n": "1", "state": "open"}
    await put(owner, path, lines(event(8)))
    refused = await owner.post(path, stale)
    bare = await owner.post(path, {"do": "close", "sure": "1"})
    none = await owner.post(path, {"do": "dance", "sure": "1"})
    closed = await sure(owner, path, "close")
    again = await owner.post(path, stale | {"n": "2"})
    more = await put(owner, path, lines(event(9)))

    assert (409, True) == (refused.status, "it has become open with 2 events" in said(refused.body))
    assert [409, 422, 303, 409, 409] == [one.status for one in (bare, none, closed, again, more)]
    assert "it has become closed" in said(again.body)
    assert "It is closed" in said((await owner.get(f"{path}/preview")).body)
    assert 1 == (await actions(town)).count("backfill.close")


async def test_an_empty_set_only_takes_away_and_is_closed_for_who_says_so(owner: Browser) -> None:
    path = await opened(owner)
    preview = said((await owner.get(f"{path}/preview")).body)
    refused = await sure(owner, path, "close")
    closed = await sure(owner, path, "close", empty="1")

    assert "2 replaced : count no more" in preview
    assert f"{DAY} traffic c-0 unknown 21 – 2 0" in preview
    assert (409, True) == (refused.status, "would only take away what counts" in said(refused.body))
    assert (303, "0") == (closed.status, await figure(owner))


async def test_one_that_is_given_up_has_changed_nothing_and_one_that_is_corrected_stays(owner: Browser) -> None:
    given_up, closed = await opened(owner), await opened(owner, replaces="add")
    await put(owner, closed, lines(event(7)))
    await sure(owner, closed, "close")
    await owner.post(f"{ROOT}/event?id=t-7", {"do": "void", "reason": "a test", "sure": "1"})

    assert 303 == (await sure(owner, given_up, "revert")).status
    assert "It was given up before it was closed" in said((await owner.get(given_up)).body)
    open_ones, reverted = await text(owner, "/backfills?state=open"), await text(owner, "/backfills?state=reverted")
    assert ("Nothing that fits" in open_ones, "Reverted" in reverted) == (True, True)
    await text(owner, "/backfills?state=lost", 422)


@on_sqlite
async def test_sets_and_changes_come_page_by_page(owner: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_backfills, "PAGE", 1)
    monkeypatch.setattr(usage_backfill, "CHANGES", 2)
    await opened(owner, name="the first")
    path = await opened(owner, name="the second", replaces="add")
    await put(owner, path, lines(*(event(n, customer=f"c-{n}") for n in range(10, 13))))
    first = (await owner.get(f"{ROOT}/backfills")).body.decode()
    (older,) = re.findall(rf'href="({ROOT}/backfills\?before=[^"]+)"', first)
    preview, rest = (await owner.get(f"{path}/preview")).body, (await owner.get(f"{path}/preview?from=2")).body

    assert ("the second" in first, "the first" in first) == (True, False)
    assert "the first" in (await owner.get(unescape(older))).body.decode()
    assert "1 to 2 of 3" in said(preview)
    assert (b"c-11" in preview, b"c-12" in preview, b"c-12" in rest) == (True, False, True)
    assert 422 == (await owner.get(f"{path}/preview?from=x")).status
    assert "There are not so many" in said((await owner.get(f"{path}/preview?from=4")).body)


@on_sqlite
async def test_a_viewer_looks_and_another_project_sees_nothing(owner: Browser, town: Town) -> None:
    viewer, stranger = await town.viewer(), await town.stranger()
    path = await opened(owner)
    await put(owner, path, lines(event(7)))
    pages = [(await viewer.get(one)).body.decode() for one in (path, f"{path}/preview", f"{ROOT}/backfills")]
    elsewhere = path.replace("/main/", "/next-door/")

    assert [0, 0, 0] == [page.count('<form method="post"') - page.count('action="/sign-out"') for page in pages]
    assert "backfills/new" not in "".join(pages)
    assert 403 == (await viewer.post(path, {"do": "close", "sure": "1", "n": "1", "state": "open"})).status
    for one in (elsewhere, f"{elsewhere}/preview"):
        assert 404 == (await stranger.get(one)).status
    assert 404 == (await put(stranger, elsewhere, lines(event(8)))).status
    assert 404 == (await stranger.post(elsewhere, {"do": "revert", "sure": "1", "n": "1", "state": "open"})).status


@on_sqlite
async def test_hostile_texts_run_nowhere(town: Town) -> None:
    owner, script = await town.owner(), HOSTILE[0]
    path = await opened(owner, name=script, event_types=script, customers=script)
    found = event(1, customer=script) | {"event_type": script, "transaction_id": script}
    bodies = [(await put(owner, path, lines(found, {script: 1}, found | {"properties": script}))).body.decode()]
    bodies += [(await owner.get(one)).body.decode() for one in (path, f"{path}/preview", f"{ROOT}/backfills")]

    for body in bodies:
        assert "alert(1)" in body
        assert not re.search(r"<(script>|img src=x|svg onload|svg/onload|iframe|object|embed|body onload)", body)


async def test_a_preview_that_takes_long_goes_on_and_is_told_once_it_is_there(owner: Browser, web: WebState) -> None:
    path = await opened(owner)
    await put(owner, path, lines(event(7)))
    web.previews.wait_s = 0
    waits = await owner.get(f"{path}/preview")
    (rerun,) = web.previews._known.values()
    await asyncio.wait({rerun.task})
    told = await owner.get(f"{path}/preview")
    await owner.get(f"{path}/preview?from=1")
    same = list(web.previews._known.values()) == [rerun]
    await put(owner, path, lines(event(8)))
    web.previews.wait_s = 120
    anew = await owner.get(f"{path}/preview")

    assert ("2", True) == (waits.headers["refresh"], "is being worked out" in said(waits.body))
    assert ("refresh" in told.headers, "1 added : new" in said(told.body)) == (False, True)
    assert (same, "2 added : new" in said(anew.body)) == (True, True)


class WrittenLate(Renderer):
    """Writes a page when no preview goes on any more."""

    def __init__(self, web: WebState) -> None:
        super().__init__(web.files, web.root)
        self._previews = web.previews

    @override
    async def page(
        self, template: str, context: Mapping[str, Any], *, pack: bool, zone: str = ""
    ) -> tuple[bytes, bool]:
        await asyncio.gather(*(one.task for one in self._previews._known.values()))
        return await super().page(template, context, pack=pack, zone=zone)


@on_sqlite
async def test_a_preview_that_ends_while_its_page_is_written_is_looked_at_again(owner: Browser, web: WebState) -> None:
    path = await opened(owner)
    await put(owner, path, lines(event(7)))
    late = Browser(pages(replace(web, renderer=WrittenLate(web))))
    assert 303 == (await late.sign_in("owner@example.com", PASSWORD)).status
    web.previews.wait_s = 0
    waits, told = await late.get(f"{path}/preview"), await late.get(f"{path}/preview")

    assert ("2", True) == (waits.headers.get("refresh"), "is being worked out" in said(waits.body))
    assert (None, True) == (told.headers.get("refresh"), "1 added : new" in said(told.body))
