"""More than 200 hostile texts in each field that is stored and shown, in real Chromium: none runs, loads, breaks out.

The pages are asked of the application, and given to the browser with their own headers. Its policy would stop most of
what broke out; then it complains, which is a failure here.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Sequence
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.models import (
    api_keys,
    audit,
    channels,
    check_views,
    checks,
    incident_notes,
    incidents,
    members,
    pings,
    sessions,
    status_pages,
    users,
)
from tests.one_database import on_sqlite
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.hostile import CORPUS
from tests.web.test_pages import _OURS, _SCRIPT, _TAGS

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

LINES = [text[:100] for text in CORPUS]
_OWN = {"uuid", "ping_uuid", "hash", "token_hash", "email_norm", "slug_key"}
"""Columns that no two rows may share."""


async def copied(town: Town, table: sa.Table, where: Sequence[Any] = (), **texts: Any) -> None:
    """A row for each text, like the newest one there is but for these columns, of which each is made from its text."""
    mine = [table.c.pid == town.world.project.pid] if "pid" in table.c else []
    newest = (
        sa.select(table)
        .where(*mine, *where)
        .order_by(*[column.desc() for column in table.primary_key.columns])
        .limit(1)
    )
    async with town.world.db.read() as read:
        base = dict((await read.execute(newest)).mappings().one())
    number = [column.name for column in table.primary_key.columns][-1]
    rows = []
    for i, text in enumerate(CORPUS):
        row = base | {name: str(uuid.uuid4()) for name in _OWN & base.keys()}
        row |= {"slug": f"s{i}"} if "slug" in base else {}
        row |= {number: base[number] + 1 + i} if isinstance(base[number], int) else {}
        rows.append(row | {name: make(text) for name, make in texts.items()})
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(table), rows).rowcount)


def line(text: str) -> str:
    return text[:100]


async def furnished(town: Town, owner: Browser) -> dict[str, bool]:
    """The pages that show them, and whether one shows them all."""
    pid = town.world.project.pid
    check = await town.world.check(START, name="one", slug="one")
    said = "\n".join(CORPUS).encode()
    await town.world.ping(check, START, PingKind.FAIL, body=said, body_size=len(said), agent="curl")
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    await owner.post("/p/main/views", {"name": "Mine", "q": "x"})
    shown = {"title": "Acme", "slug": "acme", "items": "One = one", "published": "1"}
    await owner.post("/p/main/status-pages/new", shown)
    listed = (await owner.get("/p/main/incidents")).body.decode()
    (incident,) = set(re.findall(r"/p/main/incidents/[0-9a-f-]{36}", listed))
    await owner.post(f"{incident}/comments", {"text": "x"})
    made = await owner.post(f"{incident}/shares", {"lasts": "3600", "with_comments": "1"})
    (shared,) = re.findall(r"/shared/[\w-]{43}", made.body.decode())
    await owner.post("/p/main/settings/keys", {"name": "key", "read": "1"})

    await copied(town, pings, agent=str, remote=lambda _: "192.0.2.1")
    await copied(town, incident_notes, text=str, actor=lambda text: f"user:{text}")
    await copied(town, checks, name=line, description=str, tags=lambda text: [text[:50]], kind=lambda _: "period")
    await copied(
        town, incidents, source_name=line, explain=str, source_id=lambda _: 1, closed_at=lambda _: START,
        acked_at=lambda _: START, acked_by=str, source_uuid=lambda _: str(uuid.uuid4()),
    )  # fmt: skip
    await copied(town, channels, name=line, last_error=str, failing_since=lambda _: START)
    await copied(town, api_keys, name=line)
    await copied(town, check_views, name=lambda text: text[:60], query=lambda text: f"q={text}")
    await copied(town, sessions, (sessions.c.user_id == int(await town.user_id("owner@example.com")),), agent=str)
    await copied(town, audit, actor=lambda text: f"user:{text}", object=str, before=lambda text: {text: text})
    await copied(town, users, name=line, email=lambda text: f"{uuid.uuid4()}{text}")
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(members), _memberships(tx, pid)).rowcount)
    groups = [{"name": text, "items": [{"name": text, "check": check.uuid}]} for text in LINES]
    await town.world.db.write(
        lambda tx: tx.conn.execute(sa.update(status_pages).values(title=CORPUS[0], groups=groups)).rowcount
    )
    body = f"/p/main/checks/{check.uuid}/events/1"
    return {
        "/p/main/checks": True, "/p/main/checks?view=timeline": True, "/p/main/channels": True,
        "/p/main/settings/keys": False, "/p/main/settings/team": True, "/account/security": True,
        "/p/main/audit": False,
        "/p/main/incidents": False, incident: False, shared: False, body: True, "/status/acme": True,
        f"/p/main/checks/{check.uuid}/events": False, "/p/main/go": False,
    }  # fmt: skip


def _memberships(tx: Any, pid: int) -> list[dict[str, Any]]:
    mine = sa.select(members.c.user_id).where(members.c.pid == pid)
    found = tx.conn.execute(sa.select(users.c.id).where(users.c.id.not_in(mine))).scalars()
    return [{"pid": pid, "user_id": one, "role": "viewer"} for one in found]


def test_there_are_two_hundred_and_more() -> None:
    assert 200 <= len(set(LINES))


@on_sqlite
async def test_no_text_runs_or_breaks_out_of_any_field(town: Town) -> None:
    playwright = pytest.importorskip("playwright.async_api")
    if (path := shutil.which("chromium")) is None:
        pytest.skip("no chromium here")
    owner = await town.owner()
    pages = await furnished(town, owner)
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
            shown = unescape(re.sub(r"<[^>]*>", "", html))
            absent = [text for text in LINES if text[:40] not in shown]
            assert not (is_whole and absent), (path, absent[:3])
            assert len(absent) < len(LINES), path
            for _, tag, attributes in _TAGS.findall(_SCRIPT.sub("", html)):
                assert tag.lower() in _OURS | {"img", "progress"}, (path, tag, attributes)
            await page.goto(f"http://beat.example.org{path}")
            found += [f"{path}: {one}" for one in troubles]
            troubles.clear()
        await page.unroute_all(behavior="ignoreErrors")  # what the last page asks for is asked for nobody
        await chromium.close()
    assert [] == found, found
