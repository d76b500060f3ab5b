"""What the pages weigh: bytes as they go over the wire, which no busy machine changes.

How many files a page asks for is held in test_gates.py. Times: `make bench-pages`.
"""

from __future__ import annotations

import gzip
import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks.recent import MOST
from heartfly.core.access.as_event import TYPE
from heartfly.core.calls import TYPE as CALL
from heartfly.core.events import read as parsed
from heartfly.core.words import PingKind
from heartfly.db.models import checks, runs
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.web.endpoint_address import address_of
from heartfly.web.files import Files
from heartfly.web.state import WebState
from tests.web.browser import Browser
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

KB = 1_000
CSS, SCRIPT = 12 * KB, 7 * KB
SMALL, PAGE, USAGE = 10 * KB, 20 * KB, 30 * KB
LISTS = {40: 9 * KB, 1_000: 75 * KB}


async def weight(browser: Browser, path: str) -> int:
    """Of the page's own text, packed; what it holds is looked at, so that no error page is weighed."""
    reply = await browser.get(path, headers=[("Accept-Encoding", "gzip")])
    assert (200, "gzip") == (reply.status, reply.headers["content-encoding"])
    assert b"<h1>" in gzip.decompress(reply.body)
    print(f"{path}: {len(reply.body)} bytes")
    return len(reply.body)


def test_style_and_script_are_light() -> None:
    files = Files("")
    packed = {name: len(found.packed) for name, found in _files(files).items()}

    assert packed["heartfly.css"] <= CSS, packed
    assert sum(n for name, n in packed.items() if name.endswith(".js")) <= SCRIPT, packed


def _files(files: Files) -> dict[str, Any]:
    return {name: files.get(files.url(name).rpartition("/")[2]) for name in files._names}


@pytest.mark.parametrize("n", LISTS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_list_is_light(town: Town, n: int) -> None:
    await many(town, n)

    assert await weight(await town.owner(), "/p/main/checks") <= LISTS[n]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_rows_stand_in_groups_of_which_each_is_laid_out_alone(town: Town) -> None:
    await many(town, 60)
    page = (await (await town.owner()).get("/p/main/checks")).body.decode()

    assert (60, 3, 2) == tuple(page.count(sign) for sign in ('role="row" id="c-', 'role="rowgroup"', 'class="some"'))


async def many(town: Town, n: int) -> None:
    """Checks as people have them: names, tags, schedules, times and runs that differ, one in twenty down."""
    check = await town.world.check(START, name="Backup", slug="backup")
    async with town.world.db.read() as read:
        row = (await read.execute(sa.select(checks).where(checks.c.uuid == check.uuid))).mappings().one()
    jobs, places = ("Backup", "Report", "Import", "Billing roll-up", "Certificate renewal"), ("Riga", "Oslo", "Turin")
    rows = [
        dict(row) | {
            "id": row["id"] + i, "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{i}")), "ping_uuid": str(uuid.uuid4()),
            "slug": f"job-{i}", "slug_key": f"job-{i}", "name": f"{jobs[i % 5]} of {places[i % 3]} {i}",
            "tags": ["etl", "prod"][: i % 3], "status": "down" if i % 20 == 0 else "up",
            "kind": "cron", "expression": f"{i % 60} {i % 24} * * *", "zone": "Europe/Riga",
            "last_ping_at": START.replace(hour=i % 10, minute=i % 60),
            "expected_at": START.replace(day=3, hour=i % 24, minute=i % 60),
        }
        for i in range(1, n)
    ]  # fmt: skip
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(checks), rows).rowcount)
    ended = [
        {
            "pid": row["pid"], "check_id": row["id"] + i, "id": k, "started_at": at, "ended_at": at, "at": at,
            "outcome": "ok" if i % 3 else "failed" if (i * k) % 17 == 1 else "missed" if (i + k) % 41 == 0 else "ok",
            "duration_us": 1_000_000 * (i % 90 + k % 7),
        }
        for i in range(n)
        for k in range(MOST)
        for at in [START - timedelta(hours=MOST - k)]
    ]  # fmt: skip
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(runs), ended).rowcount)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_other_pages_are_light(town: Town) -> None:
    owner = await town.owner()
    check = await town.world.check(START, name="Backup", slug="backup")
    for _ in range(30):
        await town.world.ping(check, START, PingKind.FAIL, body=b"pg_dump: error\n" * 50, body_size=750)
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    incident, channel = [
        re.findall(rf"/p/main/{what}/[0-9a-f-]{{36}}", (await owner.get(f"/p/main/{what}")).body.decode())[0]
        for what in ("incidents", "channels")
    ]

    made = await owner.post(f"{incident}/shares", {"lasts": "3600", "with_comments": "1"})
    (shared,) = re.findall(r"/shared/[\w-]{43}", made.body.decode())
    shown = "".join(f"Line {n} = backup\n" for n in range(20))
    form = {"title": "Acme", "slug": "acme", "items": shown, "published": "1"}
    assert 303 == (await owner.post("/p/main/status-pages/new", form)).status

    for path in ("/sign-in", "/sign-in/reset", "/status/acme", shared):
        assert await weight(town.nobody, path) <= SMALL, path
    for path in (
        "/p/main/checks/backup", "/p/main/checks/backup/events", "/p/main/checks/backup/schedule",
        "/p/main/checks/backup/events/1", "/p/main/checks/new", incident, channel, "/p/main/audit",
    ):  # fmt: skip
        assert await weight(owner, path) <= PAGE, path


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_pages_of_usage_are_light(town: Town, web: WebState) -> None:
    """Five days of eight endpoints, by which a meter is grouped, and of forty customers."""
    days, usage = [START - timedelta(days=n) for n in range(1, 6)], "/p/main/usage"
    events = [
        {
            "transaction_id": f"{day.date()}-{n}", "customer_id": f"customer-{n % 40}", "event_type": "api.request",
            "timestamp": day.isoformat(), "properties": {"bytes": n * 31, "endpoint": f"POST /v1/orders/{n % 8}"},
        }
        for day in days
        for n in range(40)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(events)), wire="native")
    owner = await town.owner()
    meter = {
        "slug": "traffic", "event_types": "api.request", "aggregation": "sum", "value": "bytes",
        "group_keys": "endpoint",
    }  # fmt: skip
    assert 303 == (await owner.post(f"{usage}/meters/new", meter)).status
    for day in days:
        assert 303 == (await owner.post(f"{usage}/jobs/{day.date()}", {"do": "close"})).status

    for path in (
        "/meters", "/meters/traffic", "/meters/traffic?by=endpoint", "/meters/traffic?by=customer", "/events",
        "/customers", "/jobs", f"/jobs/{days[0].date()}",
    ):  # fmt: skip
        assert await weight(owner, usage + path) <= USAGE, path


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_pages_of_requests_are_light(town: Town, web: WebState) -> None:
    """A week of eight endpoints, each called in every hour, of forty customers: no cell is empty."""
    usage = "/p/main/usage"
    events = [
        {
            "transaction_id": f"{hour}-{n}", "customer_id": f"customer-{(hour * 8 + n) % 40}", "event_type": TYPE,
            "timestamp": (START - timedelta(hours=hour, minutes=n)).isoformat(),
            "properties": {
                "method": "POST", "route": f"/v1/orders/{n}/items/{{id}}", "path": f"/v1/orders/{n}/items/{hour}",
                "status": (200, 201, 404, 500)[hour % 4], "latency_ms": hour * 31 + n * 17, "request_id": f"{hour}-{n}",
                "response_bytes": hour * 997, "key": f"hf_live_{n}",
            },
        }
        for hour in range(168)
        for n in range(8)
    ]  # fmt: skip
    for start in range(0, len(events), 100):
        await web.api.events.take(
            town.world.project.pid, parsed(json.dumps(events[start : start + 100])), wire="native"
        )
    owner = await town.owner()
    await Folder(web.api.usage, web.api.clock, web.api.ids, hands=Hands(beside=False)).round()

    for path in (
        "",
        "?range=24h&heat=requests",
        "?range=30d",
        "/endpoints",
        "/requests",
        address_of("POST /v1/orders/1/items/{id}"),
    ):
        assert await weight(owner, usage + path) <= USAGE, path


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_pages_of_calls_and_money_are_light(town: Town, web: WebState) -> None:
    """A week of calls to six providers with four models each, for forty customers; two of each thing about them."""
    usage = "/p/main/usage"
    events = [
        {
            "transaction_id": f"{hour}-{n}", "customer_id": f"customer-{(hour + n) % 40}", "event_type": CALL,
            "timestamp": (START - timedelta(hours=hour, minutes=n)).isoformat(),
            "properties": {
                "provider": f"provider-{n}", "model": f"model-{n}-{hour % 4}", "status": "200" if n else "429",
                "latency_ms": str(hour * 31 + n * 17), "cost": f"0.{hour}{n}", "currency": "USD", "user": f"u-{n}",
                "units.input_tokens": str(hour * 7), "key": "prod", "tags": "search",
            },
        }
        for hour in range(168)
        for n in range(6)
    ]  # fmt: skip
    for start in range(0, len(events), 100):
        sent = parsed(json.dumps(events[start : start + 100]))
        await web.api.events.take(town.world.project.pid, sent, wire="native", source="app")
    owner = await town.owner()

    async def made(path: str, **fields: str) -> str:
        reply = await owner.post(usage + path, fields)
        assert 303 == reply.status, path
        return str(reply.headers["location"].partition("?")[0])

    pages = []
    for n in range(2):
        price = {"product": "*", "unit": "input_tokens", "amount": "0.000001", "currency": "USD"}
        await made("/prices/new", provider=f"provider-{n}", **price)
        pages.append(await made("/limits", policy=f"{n + 1}00;w=3600", provider=f"provider-{n}"))
        rule = {"metric_0": "error_rate", "of_0": "calls", "window_0": "1h", "threshold_0": str(n + 5)}
        pages.append(await made("/alerts/new", name=f"Errors {n}", by="provider", **rule))
        budget = {"name": f"Budget {n}", "currency": "USD", "amount": "50", "period": "monthly"}
        pages.append(await made("/budgets/new", **budget))
    # Not before: with other prices the hours would be dirty, and what they cost worked out anew until they are folded.
    await Folder(web.api.usage, web.api.clock, web.api.ids, hands=Hands(beside=False)).round()
    await made("/watches/new", kind="source", what="*")
    customer = await made("/customers", name="Acme", alias="customer-1")

    for path in (
        "/apis", "/apis?range=7d", "/costs?range=7d&by=model", "/prices", "/limits", "/alerts", "/alerts/new",
        "/budgets", "/budgets/new", "/watches", "/sources", "/paths",
    ):  # fmt: skip
        assert await weight(owner, usage + path) <= USAGE, path
    for path in pages:
        assert await weight(owner, path) <= USAGE, path
    assert await weight(owner, f"{customer}/report?month=2026-02") <= SMALL
