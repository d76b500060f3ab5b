"""The hostile texts as what calls, requests, prices, limits, rules, budgets, watches and reports are about.

How it is looked at is in corpus_walk.py, the fields of everything else in test_corpus.py.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.access.as_event import TYPE as REQUEST
from heartfly.core.calls import TYPE as CALL
from heartfly.core.events import read as parsed
from heartfly.db.changes import Tx
from heartfly.db.models import (
    alert_rules,
    budget_allocations,
    budgets,
    incidents,
    limit_denials,
    limit_told,
    limits,
    path_rules,
    prices,
    report_mails,
    report_sendings,
    rule_alerts,
    rule_standings,
    usage_sources,
    watches,
)
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.web.state import WebState
from tests.one_database import on_sqlite
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.corpus_walk import LINES, copied, line, looked_through
from tests.web.hostile import CORPUS

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

USAGE = "/p/main/usage"


def events() -> list[dict[str, Any]]:
    """Of each text a call, and a request to a path of it, in all that they can name."""
    made: list[dict[str, Any]] = []
    for n, text in enumerate(LINES):
        at = (START - timedelta(minutes=20, seconds=n)).isoformat()
        called = {
            "provider": text, "model": text, "endpoint": text, "user": text, "key": text, "tags": text, "error": text,
            "status": "500" if n % 2 else "200", "latency_ms": str(n), "cost": "1", "currency": "USD",
            "units.input_tokens": "5", "ratelimit.requests.remaining": "59",
        }  # fmt: skip
        asked = {
            "method": "GET", "route": f"/{text}", "path": f"/{text}", "status": 500 if n % 2 else 200, "key": text,
            "latency_ms": n, "request_id": text, "user_agent": text,
        }  # fmt: skip
        usual = {"customer_id": text, "timestamp": at}
        made.append(usual | {"transaction_id": f"call-{n}", "event_type": CALL, "properties": called})
        made.append(usual | {"transaction_id": f"hit-{n}", "event_type": REQUEST, "properties": asked})
    return made


async def made(owner: Browser, path: str, **fields: str) -> str:
    """Where its page is."""
    reply = await owner.post(f"{USAGE}{path}", fields)
    assert 303 == reply.status, reply.body.decode()[-2000:]
    return str(reply.headers["location"].partition("?")[0])


async def furnished(town: Town, owner: Browser, web: WebState) -> dict[str, bool]:
    """The pages that show them, and whether one shows them all."""
    sent, pid = events(), town.world.project.pid
    for start in range(0, len(sent), 100):
        found = await web.api.events.take(pid, parsed(json.dumps(sent[start : start + 100])), wire="native", source="a")
        assert {"accepted"} == {one.outcome.value for one in found}
    await Folder(web.api.usage, web.api.clock, web.api.ids, hands=Hands(beside=False)).round()
    condition = {"metric_0": "error_rate", "of_0": "calls", "window_0": "1h", "threshold_0": "10"}
    rule = await made(owner, "/alerts/new", name="Errors", by="provider, customer", **condition)
    price = {"provider": "openai", "product": "gpt", "unit": "seconds", "amount": "1", "currency": "USD"}
    await made(owner, "/prices/new", **price)
    limit = await made(owner, "/limits", policy="9;w=3600", provider="openai")
    budget = await made(owner, "/budgets/new", name="All", currency="USD", amount="5000", period="monthly")
    watched = await made(owner, "/watches/new", kind="source", what="a")
    customer = await made(owner, "/customers", name="Acme", alias=LINES[0])
    mailing = {"rhythm": "month", "addresses": "ops@example.com"}
    assert 303 == (await owner.post(f"{customer}/report/mails", mailing)).status
    await owner.post(f"{USAGE}/paths", {"lines": "/a/{b}", "rev": "0"})
    await money(town, web, rule=rule, limit=limit, budget=budget)
    await copied(town, watches, what=str, words=str, check_id=lambda _: None)
    await copied(town, usage_sources, db=web.api.usage, name=line)
    await copied(town, path_rules, db=web.api.usage, lines=lambda text: f"# {text}\n/v1/{{x}}", version=line)
    await mailed(town)
    endpoint = await first(owner, "/endpoints", "?range=24h")
    priced, ruled, planned = [await first(owner, path) for path in ("/prices", "/alerts", "/budgets")]
    return {
        USAGE: False, f"{USAGE}?range=1h&keys=1": False, f"{USAGE}/endpoints?range=24h": False, endpoint: False,
        f"{USAGE}/requests?range=24h": False, f"{USAGE}/apis?range=24h": False,
        **{f"{USAGE}/costs?range=24h&by={by}": False for by in ("provider", "model", "user", "key", "tag", "customer")},
        f"{USAGE}/prices": False, priced: False, f"{ruled}/edit": False,
        f"{planned}/edit": False,
        f"{USAGE}/limits": False, limit: False, f"{USAGE}/alerts": False, rule: False,
        f"{USAGE}/budgets": False, budget: False,
        f"{USAGE}/watches": False, watched: False,
        f"{USAGE}/sources": False, f"{USAGE}/paths": False, customer: False,
        f"{customer}/report?month=2026-03": False,
    }  # fmt: skip


async def first(owner: Browser, path: str, query: str = "") -> str:
    """The page of one of those that are listed there which has a text for its name, and none of ours."""
    page = (await owner.get(f"{USAGE}{path}{query}")).body.decode()
    for row in page.split("<tr>"):
        link = re.search(rf'href="({USAGE}{path}/[^"?/]+)', row)
        if link and any(one in unescape(re.sub(r"<[^>]*>", "", row)) for one in LINES if len(one) > 20):
            return link[1]
    raise AssertionError(f"none in {path}: {page[-5000:]}")


async def money(town: Town, web: WebState, *, rule: str, limit: str, budget: str) -> None:
    usage = web.api.usage
    await copied(
        town, prices, db=usage, provider=line, product=line, unit=lambda text: text[:40], tier=line, condition=line
    )
    await copied(town, budgets, some=CORPUS[:3], name=line, scope=lambda text: {"provider": [text]})
    await copied(town, limits, db=usage, name=line, source=lambda text: f"budget:{text}")
    await copied(town, alert_rules, name=line, trouble=str)
    pid = town.world.project.pid
    uuids = {name: path.rpartition("/")[2] for name, path in (("rule", rule), ("limit", limit), ("budget", budget))}

    def denied(tx: Tx) -> int:
        its = sa.select(limits.c.id).where(limits.c.uuid == uuids["limit"])
        limit_id = tx.conn.execute(its).scalar_one()
        call = {"provider": "x", "model": "y", "customer": "z"}
        rows = [
            {
                "pid": pid, "limit_id": limit_id, "minute": START - timedelta(minutes=n), "scope": json.dumps([text]),
                "n": 1, "last_at": START, "call": call | {"provider": text, "customer": text}, "wanted": 1, "used": 1,
            }
            for n, text in enumerate(CORPUS)
        ]  # fmt: skip
        told = [{"pid": pid, "provider": text, "model": text, "at": START, "told": {text: "1"}} for text in set(CORPUS)]
        tx.conn.execute(sa.insert(limit_told).prefix_with("OR REPLACE"), told)
        return tx.conn.execute(sa.insert(limit_denials), rows).rowcount

    def fired(tx: Tx) -> int:
        rule_id, budget_id = (
            tx.conn.execute(sa.select(table.c.id).where(table.c.uuid == uuids[name])).scalar_one()
            for table, name in ((alert_rules, "rule"), (budgets, "budget"))
        )
        parts = [
            {"pid": pid, "budget_id": budget_id, "id": n, "by": "model", "name": text, "amount": 1}
            for n, text in enumerate(set(CORPUS), 1)
        ]
        tx.conn.execute(sa.insert(budget_allocations), parts)
        for n, text in enumerate(CORPUS, 1):
            standing = {
                "pid": pid, "rule_id": rule_id, "scope": json.dumps([text, str(n)]), "id": n, "state": "firing",
                "since": START, "by_hand": False, "figure": text,
            }  # fmt: skip
            incident = {
                "pid": pid, "id": n, "uuid": str(uuid.uuid4()), "source_kind": "rule", "source_id": n,
                "source_uuid": uuids["rule"], "source_name": line(text), "explain": text, "opened_at": START,
                "cause": "rule", "disproved": False, "acked_by": f"user:{text}", "acked_at": START,
            }  # fmt: skip
            alert = {
                "pid": pid, "incident_id": n, "rule_id": rule_id, "rule_uuid": uuids["rule"], "rule_name": line(text),
                "type": "error_rate", "severity": "high", "scope": json.dumps([text, text]), "scope_words": text,
                "context": {}, "note": text, "resolved_by": f"user:{text}" if n % 2 else None,
            }  # fmt: skip
            for table, row in ((rule_standings, standing), (incidents, incident), (rule_alerts, alert)):
                tx.conn.execute(sa.insert(table).values(row))
        return len(CORPUS)

    await usage.write(denied)
    await town.world.db.write(fired)


async def mailed(town: Town) -> None:
    """To each of them a report, and that it could not go there."""

    def work(tx: Tx) -> int:
        (its,) = tx.conn.execute(sa.select(report_mails))
        tx.conn.execute(sa.update(report_mails).values(addresses=list(CORPUS)))
        rows = [
            {
                "pid": its.pid, "mail_id": its.id, "first_day": START.date(), "address": text, "at": START,
                "wrong": text,
            }
            for text in set(CORPUS)
        ]  # fmt: skip
        return tx.conn.execute(sa.insert(report_sendings), rows).rowcount

    await town.world.db.write(work)


@on_sqlite
async def test_no_text_runs_or_breaks_out_of_what_usage_is_about(town: Town, web: WebState) -> None:
    owner = await town.owner()
    found = await looked_through(owner, await furnished(town, owner, web))
    assert [] == found, found
