"""Whatever has an id, asked for by that id within a project of one's own, reads as none: on every route that takes one.

The routes are those of test_who_may.py; one that takes an id of a kind that is not made here fails the test. Who owns
it is asked, too, so that nothing reads as none for another reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.core.access.as_event import TYPE as REQUEST
from heartfly.core.events import read as parsed
from heartfly.core.words import PingKind
from heartfly.db.models import check_views, dead_letters, report_mails, status_pages, watches
from heartfly.web.state import WebState
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_who_may import A_RULE, ROUTES

pytestmark = pytest.mark.anyio

NO_ID = {"project", "kind", "day", "form"}
"""Parameters of a project's routes that name nothing of it."""


def asked() -> Iterator[tuple[str, str]]:
    for method, route in ROUTES:
        if route.startswith("/p/{project}") and set(re.findall(r"{(\w+)}", route)) - NO_ID:
            yield method, route


async def furnished(town: Town, owner: Browser, web: WebState) -> dict[str, str]:
    """One of each of them in the first project, by the name that the routes have for its id."""

    async def made(path: str, **fields: str) -> str:
        reply = await owner.post(f"/p/main/{path}", fields)
        assert 303 == reply.status, (path, reply.body.decode()[-500:])
        return str(reply.headers["location"].partition("?")[0].rpartition("/")[2])

    async def found(pattern: str, page: str) -> str:
        ids = re.findall(pattern, (await owner.get(f"/p/main/{page}")).body.decode())
        assert ids, (pattern, page)
        return str(ids[0])

    day = START - timedelta(hours=2)
    hit = {
        "transaction_id": "t-1", "customer_id": "acme", "event_type": REQUEST, "timestamp": day.isoformat(),
        "properties": {"method": "GET", "route": "/orders", "status": 200},
    }  # fmt: skip
    await web.api.events.take(town.world.project.pid, parsed(json.dumps([hit, {"x": 1}])), wire="native")
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START, PingKind.FAIL, body=b"said", body_size=4)
    values = {
        "project": "main", "kind": "email", "day": "2026-03-01", "form": "csv", "check": check.uuid, "n": "1",
        "channel": await made("channels/new/email", name="Ops", value="ops@example.com"),
        "incident": await found(r"/incidents/([0-9a-f-]{36})", "incidents"),
        "meter": await made("usage/meters/new", slug="hits", event_types=REQUEST, aggregation="count"),
        "customer": await made("usage/customers", name="Acme", alias="acme"),
        "limit": await made("usage/limits", policy="9;w=9"), "rule": await made("usage/alerts/new", **A_RULE),
        "budget": await made("usage/budgets/new", name="All", currency="USD", amount="5", period="monthly"),
        "price": await made(
            "usage/prices/new", provider="a", product="b", unit="seconds", amount="1", currency="USD"
        ),
        "backfill": await made(
            "usage/backfills/new", **{"from": "2026-02-01", "to": "2026-02-02", "name": "Late", "replaces": "replace"}
        ),
        "endpoint": await found(r"/usage/endpoints/([^\"?]+)", "usage/endpoints"),
        "letter": await found(r"/usage/dead-letters/([\w-]+)", "usage/dead-letters"),
        "key": await town.key_id(), "member": await town.user_id("temp@example.com"), "delivery": "none",
    }  # fmt: skip
    await made("usage/watches/new", kind="source", what="*")
    values["watch"] = await found(r"/usage/watches/([0-9a-f-]{36})", "usage/watches")
    await made("maintenance/new", kind="quiet", scope="project", night_from="22:00", night_to="07:00")
    values["silence"] = await found(r"/maintenance/([0-9a-f-]{36})/", "maintenance")
    await made("views", name="Mine", q="tag:etl")
    await made("status-pages/new", title="Ours", slug="ours")
    values["page"] = await found(r"status-pages/([0-9a-f-]{36})", "status-pages")
    values["view"] = await found(r"/views/([0-9a-f-]{36})/delete", "checks?q=tag%3Aetl")
    invited = await owner.post("/p/main/settings/team/invites", {"email": "grace@example.com", "role": "member"})
    values["invite"] = re.findall(r"/invites/(\d+)/resend", invited.body.decode())[0]
    shared = await owner.post(f"/p/main/incidents/{values['incident']}/shares", {"lasts": "3600"})
    values["share"] = re.findall(r"/shares/(\d+)/revoke", shared.body.decode())[0]
    mailing = {"rhythm": "month", "addresses": "ops@example.com"}
    await made(f"usage/customers/{values['customer']}/report/mails", **mailing)
    values["mail"] = await found(r"/report/mails/(\d+)/end", f"usage/customers/{values['customer']}")
    return values


async def left(town: Town, web: WebState) -> list[int]:
    """How many there are of what could have been taken away."""
    async with town.world.db.read() as main, web.api.usage.read() as usage:
        return [
            (await read.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            for read, tables in ((main, (check_views, status_pages, watches, report_mails)), (usage, (dead_letters,)))
            for table in tables
        ]


async def test_by_its_id_another_projects_thing_is_none_on_every_route(town: Town, web: WebState) -> None:
    owner, other = await town.owner(), await town.stranger()
    values = await furnished(town, owner, web)
    before, n = await left(town, web), 0
    for method, route in asked():
        assert set(re.findall(r"{(\w+)}", route)) <= values.keys(), route
        path = re.sub(r"{(\w+)}", lambda found: values[found[1]], route)
        theirs = path.replace("/p/main", "/p/next-door", 1)
        if method == "GET":
            mine = await owner.get(path)
            # A preview of a set without events leads back to the set.
            assert mine.status in ({200, 303} if route.endswith("/preview") else {200}), (route, mine.status)
            reply = await other.get(theirs)
        else:
            reply = await other.post(theirs, dict(ROUTES[method, route].sent) | {"name": "Backup", "rev": "1"})
        assert 404 == reply.status, (method, route, reply.body.decode()[-400:])
        n += 1
    assert before == await left(town, web)
    assert n > 60
    event = "/usage/event?id=t-1"
    assert (200, 404) == ((await owner.get(f"/p/main{event}")).status, (await other.get(f"/p/next-door{event}")).status)
