"""More than 200 hostile texts in each field that is stored and shown, in real Chromium: none runs, loads, breaks out.

What is made of calls, requests and money is in test_corpus_of_usage.py; how it is looked at, in corpus_walk.py.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.events import read as parsed
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
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
from tests.web.corpus_walk import LINES, copied, line, looked_through
from tests.web.hostile import CORPUS

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


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
    owner = await town.owner()
    found = await looked_through(owner, await furnished(town, owner, web))
    assert [] == found, found
