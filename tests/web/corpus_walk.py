"""Pages that hold every hostile text there is, opened in real Chromium: none runs, loads, or breaks out.

The pages are asked of the application, and given to the browser with their own headers. Its policy would stop most of
what broke out; then it complains, which is told here as a finding.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from tests.web.browser import Browser
from tests.web.conftest import NO_WINDOW, Town, chromium_of
from tests.web.hostile import CORPUS
from tests.web.test_pages import _OURS, _SCRIPT, _TAGS

_ALSO_OURS = {"img", "progress", "figure", "figcaption", "em", "tfoot", "polyline", "datalist"}
LINES = [text[:100] for text in CORPUS]
_OWN = {"uuid", "ping_uuid", "hash", "token_hash", "email_norm", "slug_key"}
"""Columns that no two rows may share."""


async def copied(
    town: Town,
    table: sa.Table,
    where: Sequence[Any] = (),
    db: Database | None = None,
    some: Sequence[str] = CORPUS,
    **texts: Any,
) -> None:
    """A row for each text, like the newest one there is but for these columns, of which each is made from its text.
    `db`: where it is, if not in the main part. `some`: those of them, where many would take a page long."""
    db = db or town.world.db
    mine = [table.c.pid == town.world.project.pid] if "pid" in table.c else []
    newest = (
        sa.select(table)
        .where(*mine, *where)
        .order_by(*[column.desc() for column in table.primary_key.columns])
        .limit(1)
    )
    async with db.read() as read:
        base = dict((await read.execute(newest)).mappings().one())
    number = [column.name for column in table.primary_key.columns][-1]
    rows = []
    for i, text in enumerate(some):
        row = base | {name: str(uuid.uuid4()) for name in _OWN & base.keys()}
        row |= {"slug": f"s{i}"} if "slug" in base else {}
        row |= {number: base[number] + 1 + i} if isinstance(base[number], int) else {}
        rows.append(row | {name: make(text) for name, make in texts.items()})
    await db.write(lambda tx: tx.conn.execute(sa.insert(table), rows).rowcount)


def line(text: str) -> str:
    return text[:100]


async def looked_through(owner: Browser, pages: Mapping[str, bool]) -> list[str]:
    """What is wrong with these pages, of which each is said to show all texts, or some."""
    playwright = pytest.importorskip("playwright.async_api")
    path = chromium_of(*NO_WINDOW)
    troubles: list[str] = []
    async with playwright.async_playwright() as running:
        chromium = await running.chromium.launch(executable_path=path)
        page = await chromium.new_page()

        async def answer(route: Any) -> None:
            host, _, asked = route.request.url.removeprefix("http://").partition("/")
            if host != "beat.example.org":
                troubles.append(f"asks {route.request.url}")
            if asked == "control":
                policy = {"content-security-policy": "default-src 'none'", "content-type": "text/html"}
                await route.fulfill(status=200, headers=policy, body=f"<h1>x</h1>{CORPUS[0]}")
                return
            if asked.partition("?")[0].endswith("/live"):  # a stream would never end here
                await route.fulfill(status=204)
                return
            reply = await owner.get(f"/{asked}")
            # Of plain http the browser complains where a page wants to be by itself.
            headers = {name: value for name, value in reply.headers.items() if name != "cross-origin-opener-policy"}
            await route.fulfill(status=reply.status, headers=headers, body=reply.body)

        async def ran(dialog: Any) -> None:
            troubles.append(f"ran: {dialog.message}")
            await dialog.dismiss()

        page.on("dialog", ran)
        page.on("pageerror", lambda error: troubles.append(f"page error: {error}"))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        await page.route("**/*", answer)
        await page.goto("http://beat.example.org/control")
        assert any("Content Security Policy" in one for one in troubles), troubles  # it would be told
        troubles.clear()
        found: list[str] = []
        for path, is_whole in pages.items():
            html = (await owner.get(path)).body.decode()
            # What stands in a field of a form is shown as well.
            shown = unescape(re.sub(r"<(?!input)[^>]*>", "", html))
            absent = [text for text in LINES if text[:40] not in shown]
            assert not (is_whole and absent), (path, absent[:3])
            if len(absent) == len(LINES):
                found.append(f"{path}: shows none of them")
            for _, tag, attributes in _TAGS.findall(_SCRIPT.sub("", html)):
                assert tag.lower() in _OURS | _ALSO_OURS, (path, tag, attributes)
            await page.goto(f"http://beat.example.org{path}")
            found += [f"{path}: {one}" for one in troubles]
            troubles.clear()
        await page.unroute_all(behavior="ignoreErrors")  # what the last page asks for is asked for nobody
        await chromium.close()
    return found
