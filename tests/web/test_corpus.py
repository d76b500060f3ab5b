"""More than 200 hostile texts in each field that is stored and shown, in real Chromium: none runs, loads, breaks out.

The pages are asked of the application, and given to the browser with their own headers. Its policy would stop most of
what broke out; then it complains, which is a failure here.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Sequence
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.events import read as parsed
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import (
    api_keys,
    attempts,
    audit,
    backfills,
    channels,
    check_views,
    checks,
    customers,
    dead_letters,
    deliveries,
    incident_notes,
    incidents,
    invites,
    members,
    meter_versions,
    meters,
    notifications,
    pings,
    sessions,
    status_pages,
    users,
)
from heartfly.web.state import WebState
from tests.one_database import on_sqlite
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.hostile import CORPUS
from tests.web.test_pages import _OURS, _SCRIPT, _TAGS

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

LINES = [text[:100] for text in CORPUS]
_OWN = {"uuid", "ping_uuid", "hash", "token_hash", "email_norm", "slug_key"}
"""Columns that no two rows may share."""


async def copied(
    town: Town, table: sa.Table, where: Sequence[Any] = (), db: Database | None = None, **texts: Any
) -> None:
    """A row for each text, like the newest one there is but for these columns, of which each is made from its text.
    `db`: where it is, if not in the main part."""
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
    for i, text in enumerate(CORPUS):
        row = base | {name: str(uuid.uuid4()) for name in _OWN & base.keys()}
        row |= {"slug": f"s{i}"} if "slug" in base else {}
        row |= {number: base[number] + 1 + i} if isinstance(base[number], int) else {}
        rows.append(row | {name: make(text) for name, make in texts.items()})
    await db.write(lambda tx: tx.conn.execute(sa.insert(table), rows).rowcount)


def line(text: str) -> str:
    return text[:100]


async def furnished(town: Town, owner: Browser, web: WebState) -> dict[str, bool]:
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
    await owner.post("/p/main/settings/team/invites", {"email": "grace@example.com", "role": "viewer"})
    carried = await replied(town, owner, listed=(await owner.get("/p/main/channels")).body.decode())
    used = await metered(town, owner, web)

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
    await copied(town, invites, email=line, email_norm=str, invited_by=lambda text: f"user:{text}")
    body = f"/p/main/checks/{check.uuid}/events/1"
    return used | {
        "/p/main/checks": True, "/p/main/checks?view=timeline": True, "/p/main/channels": True,
        "/p/main/settings/keys": False, "/p/main/settings/team": True, "/account/security": True,
        "/p/main/audit": False,
        "/p/main/incidents": False, incident: False, shared: False, body: True, "/status/acme": True, carried: True,
        f"/p/main/checks/{check.uuid}/events": False, "/p/main/go": False,
    }  # fmt: skip


async def replied(town: Town, owner: Browser, *, listed: str) -> str:
    """The page of a channel whose receiver has answered with each of them."""
    channel: str = re.findall(r"/p/main/channels/[0-9a-f-]{36}", listed)[0]
    assert 303 == (await owner.post(f"{channel}/test")).status
    pid, delivery = town.world.project.pid, str(uuid.uuid4())

    def sent(tx: Tx) -> int:
        (told,) = tx.conn.execute(sa.select(notifications).where(notifications.c.pid == pid))
        made = {"id": delivery, "pid": pid, "channel_id": told.channel_id, "state": "failed", "attempt": len(CORPUS)}
        tx.conn.execute(sa.insert(deliveries).values(made | {"possible_duplicate": False, "created_at": START}))
        tx.conn.execute(sa.update(notifications).values(delivery_id=delivery, state="failed"))
        tries = [
            {"delivery_id": delivery, "attempt": n, "pid": pid, "started_at": START, "ended_at": START, "code": 500}
            | {"reply": text, "error": f"the receiver answered 500: {text}"}
            for n, text in enumerate(CORPUS)
        ]  # fmt: skip
        return tx.conn.execute(sa.insert(attempts), tries).rowcount

    await town.world.db.write(sent)
    return channel


async def metered(town: Town, owner: Browser, web: WebState) -> dict[str, bool]:
    """The same of usage: names of customers, meters, backfills, what senders call things, and what came and is none."""
    usage, day = web.api.usage, START - timedelta(days=1)
    sent: list[dict[str, Any]] = [
        {
            "transaction_id": f"t-{n}", "customer_id": text, "event_type": text if n % 2 else "call",
            "timestamp": day.isoformat(), "properties": {"said": text, "n": n},
        }
        for n, text in enumerate(LINES)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, parsed(json.dumps([*sent, {"x": 1}])), wire="native")
    await owner.post("/p/main/usage/customers", {"name": "Acme", "alias": "acme"})
    meter = {"slug": "all", "event_types": "call", "aggregation": "count", "group_keys": "said"}
    assert 303 == (await owner.post("/p/main/usage/meters/new", meter)).status
    span = {"from": str(day.date()), "to": str(START.date()), "name": "Late", "replaces": "replace"}
    assert 303 == (await owner.post("/p/main/usage/backfills/new", span)).status
    assert 303 == (await owner.post(f"/p/main/usage/jobs/{day.date()}", {"do": "close"})).status
    await copied(town, customers, db=usage, name=line)
    await copied(town, meters, db=usage, name=line, unit=lambda text: text[:20])
    async with usage.read() as read:
        first = (await read.execute(sa.select(sa.func.min(meters.c.id)))).scalar_one()
    of = {text: first + 1 + n for n, text in enumerate(CORPUS)}
    await copied(town, meter_versions, db=usage, meter_id=of.__getitem__)
    await copied(town, backfills, db=usage, name=line, opened_by=lambda text: f"user:{text}")
    await copied(town, dead_letters, db=usage, raw=str, reason=str, field=lambda text: text[:40])
    listed = (await owner.get("/p/main/usage/dead-letters")).body.decode()
    letter = re.findall(r"/p/main/usage/dead-letters/[\w-]+", listed)[0]
    asked = f"/p/main/usage/meters/all?from={day.date()}&to={day.date()}"
    return {
        "/p/main/usage/customers": False, "/p/main/usage/meters": False, "/p/main/usage/backfills": False,
        "/p/main/usage/dead-letters": False, letter: False, "/p/main/usage/events": False,
        "/p/main/usage/event?id=t-7": False, f"{asked}&by=said": False,
        f"{asked}&by=customer": False, f"/p/main/usage/jobs/{day.date()}": False,
    }  # fmt: skip


def _memberships(tx: Any, pid: int) -> list[dict[str, Any]]:
    mine = sa.select(members.c.user_id).where(members.c.pid == pid)
    found = tx.conn.execute(sa.select(users.c.id).where(users.c.id.not_in(mine))).scalars()
    return [{"pid": pid, "user_id": one, "role": "viewer"} for one in found]


def test_there_are_two_hundred_and_more() -> None:
    assert 200 <= len(set(LINES))


@on_sqlite
async def test_no_text_runs_or_breaks_out_of_any_field(town: Town, web: WebState) -> None:
    playwright = pytest.importorskip("playwright.async_api")
    if (path := shutil.which("chromium")) is None:
        pytest.skip("no chromium here")
    owner = await town.owner()
    pages = await furnished(town, owner, web)
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
                assert tag.lower() in _OURS | {"img", "progress", "figure", "figcaption"}, (path, tag, attributes)
            await page.goto(f"http://beat.example.org{path}")
            found += [f"{path}: {one}" for one in troubles]
            troubles.clear()
        await page.unroute_all(behavior="ignoreErrors")  # what the last page asks for is asked for nobody
        await chromium.close()
    assert [] == found, found
