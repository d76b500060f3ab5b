"""The audit in the browser: who did what, found by filters, page by page, and whole as a file."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from heartfly.audit.record import Action, Actor, record
from heartfly.db.changes import Tx
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

PATH = "/p/main/audit"
CHECK = "check:3f0f8f9e-6a1c-4a55-8d4c-111111111111"


async def entries(town: Town, n: int, **more: Any) -> None:
    def work(tx: Tx) -> None:
        for i in range(n):
            values: dict[str, Any] = {
                "actor": Actor("user:ada@example.com", "192.0.2.1"), "action": Action.CHECK_EDIT, "of": CHECK,
                "before": {"name": f"old {i}"}, "after": {"name": f"new {i}"},
                "at": START + timedelta(minutes=i + 1),
            } | more  # fmt: skip
            record(tx, town.world.project.pid, ids=town.world.ids, **values)

    await town.world.db.write(work)


async def page(browser: Browser, query: str = "", status: int = 200) -> str:
    reply = await browser.get(PATH + query)
    assert status == reply.status, reply.body.decode()
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", reply.body.decode())))


async def test_a_change_shows_who_when_from_where_and_what_became_of_what(town: Town) -> None:
    owner = await town.owner()
    general = "/p/main/settings/general"
    await owner.post(general, {"name": "Renamed", "zone": "Europe/Riga", "rev": await owner.hidden(general, "rev")})
    shown = await page(owner)

    for said in (
        "user:owner@example.com",
        "192.0.2.7",
        "project.edit",
        "name Main → Renamed",
        "zone UTC → Europe/Riga",
    ):
        assert said in shown


async def test_filters_find_by_actor_action_object_and_instant(town: Town) -> None:
    await entries(town, 3)
    await entries(town, 1, action=Action.KEY_REVOKE, of="key:17", actor=Actor("cli"), after=None)
    await entries(town, 1, action=Action.DEAD_LETTER_DROP, of="dead_letter:17", actor=Actor("cli"), after=None)
    owner = await town.owner()

    found = {
        query: len(re.findall(r"<tr><td>", (await owner.get(PATH + query)).body.decode()))
        for query in (
            "?actor=user:ada@example.com", "?actor=cli&action=key", "?action=key.revoke", f"?object={CHECK}",
            "?object=key:17", "?object=dead_letter:17", "?since=2026-03-02T10:02:30Z&object=check", "?since=2026-03-03",
            "?actor=nobody",
        )
    }  # fmt: skip
    assert [3, 1, 1, 3, 1, 1, 1, 0, 0] == list(found.values())


@on_sqlite
@pytest.mark.parametrize(
    ("query", "field"),
    [("?action=check.destroy", "action"), ("?object=%3Cb%3E", "object"), ("?since=yesterday", "since"),
     ("?actor=%00", "actor"), ("?since=2026-13-40", "since"), ("?before=nonsense", "cursor")],
)  # fmt: skip
async def test_a_filter_that_cannot_be_is_named(town: Town, query: str, field: str) -> None:
    reply = await (await town.owner()).get(PATH + query)

    assert (422, True) == (reply.status, f'href="#{field}"' in reply.body.decode())


async def test_pages_hold_every_entry_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.web.audit.PAGE", 3)
    await entries(town, 8)
    owner, query, seen = await town.owner(), "?action=check", list[str]()
    for _ in range(9):
        shown = (await owner.get(PATH + query)).body.decode()
        seen += re.findall(r"<ins><bdi>([^<]*)", shown)
        older = re.search(r'href="/p/main/audit(\?[^"]*)">Older', shown)
        if older is None:
            break
        query = unescape(older[1])

    assert [f"new {i}" for i in reversed(range(8))] == seen


async def test_files_hold_all_that_the_filter_finds(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.web.audit._PIECE", 3)
    await entries(town, 8)
    await entries(town, 1, after={"name": '=1+1,"x"\nsecond line'}, before=None, at=START + timedelta(hours=1))
    owner = await town.owner()
    as_csv = await owner.get(PATH + ".csv?action=check")
    as_json = await owner.get(PATH + ".ndjson?action=check")

    table = list(csv.DictReader(io.StringIO(as_csv.body.decode(), newline="")))
    lines = [json.loads(line) for line in as_json.body.decode().splitlines()]
    assert ("text/csv; charset=utf-8", "application/x-ndjson") == (
        as_csv.headers["content-type"], as_json.headers["content-type"].partition(";")[0],
    )  # fmt: skip
    assert 'attachment; filename="audit-main.csv"' == as_csv.headers["content-disposition"]
    assert (9, 9) == (len(table), len(lines))
    assert {"name": '=1+1,"x"\nsecond line'} == json.loads(table[0]["after"]) == lines[0]["after"]
    assert ("2026-03-02T11:00:00Z", "user:ada@example.com", "192.0.2.1", "check.edit", CHECK, "") == tuple(
        table[0][name] for name in ("at", "actor", "ip", "action", "object", "before")
    )
    assert not [cell for row in table for cell in row.values() if cell and cell[0] in "=+-@\t\r"]


async def test_without_a_match_the_page_says_so(town: Town, clock: SimClock) -> None:
    assert "Nothing that fits" in await page(await town.owner(), "?actor=nobody")
