"""What every page sends is HTML as the standard has it: no parser has to repair it, and no name leads nowhere.

html5lib parses as browsers do, and tells of each thing that it had to guess.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import timedelta
from typing import Any

import html5lib
import pytest

from heartfly.core.access.as_event import TYPE
from heartfly.core.amounts import Number
from heartfly.core.calls import TYPE as CALL
from heartfly.core.words import PingKind
from heartfly.web.endpoint_address import address_of
from heartfly.web.state import WebState
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_who_may import ROUTES

pytestmark = pytest.mark.anyio

MORE = (
    "/p/main/checks?view=timeline", "/p/main/checks?view=next", "/p/main/checks?q=nothing-has-it", "/p/main/nowhere",
    "/p/main/checks?tz=utc", "/p/main/audit?since=2099-01-01", "/p/next-door/checks", "/docs?q=ready",
    "/p/main/usage/event?id=t-1", "/p/main/usage?range=30d&heat=errors&log=1", "/p/main/usage?from=x&status=9xx",
    "/p/main/usage/costs?by=model&step=week&status=2xx", "/p/main/usage/costs?by=x&from=y", "/p/next-door/usage/apis",
    "/p/main/usage/requests?status=4xx&endpoint=%22%3E%3Cb%3E", "/p/next-door/usage", "/p/main/usage/requests?range=1h",
)  # fmt: skip
SENT: tuple[tuple[str, dict[str, str]], ...] = (
    ("/p/main/checks/new", {"name": "", "kind": "cron", "expression": "61 * * * *", "grace": "x"}),
    ("/p/main/channels/new/webhook", {"name": "", "value": "ftp://x"}),
    ("/p/main/channels/new/webhook", {"name": "Pager", "value": "https://hook.example.com/x"}),
    ("/p/main/settings/keys", {"name": "second", "read": "1"}),
    ("/p/main/status-pages/new", {"title": "", "slug": "A B", "items": "x"}),
    ("/account/profile", {"name": "x", "zone": "Nowhere"}),
    ("/sign-in", {"email": '"><b>', "password": "x"}),
)
INTERACTIVE = {"a", "button", "input", "select", "textarea", "summary"}
HOSTILE = """Back "up" <b>&nosuch; 'it'</b> & co"""


def troubles(page: str) -> list[str]:
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    root = parser.parse(page)
    found = [f"{place}: {code}" for place, code, _ in parser.errors]
    every: list[Any] = list(root.iter())
    ids = Counter(one.get("id") for one in every if one.get("id") is not None)
    found += [f"the id {name} is there {n} times" for name, n in ids.items() if n > 1]
    for one in every:
        tag = str(one.tag)
        named = [one.get("for")] if tag == "label" else []
        for name in ("aria-describedby", "aria-labelledby", "aria-controls", "form"):
            named += (one.get(name) or "").split()
        href = one.get("href") or ""
        named += [href[1:]] if href.startswith("#") and href != "#" and tag in {"a", "use"} else []
        found += [f"{tag}: there is no {name}" for name in named if name is not None and name not in ids]
        if tag in {"ul", "ol"}:
            found += [f"{tag} holds {child.tag}" for child in one if child.tag != "li"]
        if tag in {"a", "button"}:
            inside = {str(each.tag) for each in one.iter()} - {tag}
            found += [f"{tag} holds {each}" for each in inside & INTERACTIVE]
        found += [f"{tag} has {name}" for name in one.attrib if str(name).startswith("on") or name == "style"]
    found += [] if sum(one.tag == "h1" for one in every) == 1 else ["it has not one h1"]
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_page_is_valid_html(town: Town, web: WebState) -> None:
    owner, check = await town.owner(), await town.world.check(START, name=HOSTILE, slug="backup", tags=["a", "b"])
    await town.world.ping(check, START, PingKind.START)
    await town.world.ping(check, START, PingKind.FAIL, body=b"<p>said &amp; done</p>\x1b[31mred", body_size=27)
    await town.world.check(START, name="Waits", slug="waits")
    made = await owner.post("/p/main/channels/new/email", {"name": HOSTILE, "value": "ops@example.com", "test": "1"})
    invited = await owner.post("/p/main/settings/team/invites", {"email": "grace@example.com", "role": "member"})
    sent = {"title": HOSTILE, "slug": "ours", "items": "Shop = backup\n# More & more\nTags = tag:a", "published": "1"}
    assert 303 == (await owner.post("/p/main/status-pages/new", sent)).status
    (incident,) = set(re.findall(r"incidents/([0-9a-f-]{36})", (await owner.get("/p/main/incidents")).body.decode()))
    await owner.post(f"/p/main/incidents/{incident}/comments", {"text": HOSTILE})
    shared = await owner.post(f"/p/main/incidents/{incident}/shares", {"lasts": "3600", "with_comments": "1"})
    (token,) = re.findall(r"/shared/([\w-]{43})", shared.body.decode())
    letter, customer, day = await usage_of(town, web)
    wanted = {"name": HOSTILE, "from": day, "to": START.isoformat(), "replaces": "replace", "customers": HOSTILE}
    backfill = (await owner.post("/p/main/usage/backfills/new", wanted)).headers["location"].rpartition("/")[2]
    into = {"transaction_id": "t-9", "customer_id": HOSTILE, "event_type": HOSTILE, "timestamp": f"{day}T10:00:00Z"}
    await owner.post(f"/p/main/usage/backfills/{backfill}/events", {"events": json.dumps([into, {HOSTILE: 1}])})
    await owner.post("/p/main/usage/watches/new", {"kind": "source", "what": HOSTILE})
    (watch,) = set(re.findall(r"watches/([0-9a-f-]{36})", (await owner.get("/p/main/usage/watches")).body.decode()))
    a_price = {"provider": HOSTILE, "product": HOSTILE, "unit": "pages", "amount": "0.00001", "currency": "USD"}
    price = (await owner.post("/p/main/usage/prices/new", a_price)).headers["location"]
    price = price.partition("?")[0].rpartition("/")[2]
    (page,) = re.findall(r"status-pages/([0-9a-f-]{36})", (await owner.get("/p/main/status-pages")).body.decode())
    planned = {
        "name": HOSTILE,
        "currency": "USD",
        "amount": "5",
        "period": "monthly",
        "allocations": f"model {HOSTILE} = 1",
    }
    budget = (await owner.post("/p/main/usage/budgets/new", planned)).headers["location"].rpartition("/")[2]
    of_days = {"from": day, "to": START.date().isoformat(), "lasts": "604800"}
    given = await owner.post(f"/p/main/usage/customers/{customer}/report/shares", of_days)
    (link,) = re.findall(r"/shared/report/([\w-]{43})", given.body.decode())
    a_rule = {"name": HOSTILE, "metric_0": "errors", "of_0": "requests", "threshold_0": "1", "by": "endpoint"}
    a_rule |= {"where_0": f"endpoint = GET {HOSTILE}".replace("\n", " ").replace(",", "")}
    ruled = await owner.post("/p/main/usage/alerts/new", a_rule)
    limit = (await owner.post("/p/main/usage/limits", {"policy": "9;w=9", "name": HOSTILE})).headers["location"]
    night = {"kind": "quiet", "scope": "project", "night_from": "22:00", "night_to": "07:00", "note": HOSTILE[:150]}
    await owner.post("/p/main/maintenance/new", night)
    listed = (await owner.get("/p/main/maintenance")).body.decode()
    (silence,) = re.findall(r"/maintenance/([0-9a-f-]{36})/edit", listed)
    values = {
        "silence": silence,
        "limit": limit.rpartition("/")[2],
        "rule": ruled.headers["location"].rpartition("/")[2],
        "link": link, "form": "csv", "mail": "1", "budget": budget,
        "slug": "ours", "page": page, "key": await town.key_id(), "project": "main", "check": check.uuid, "n": "2",
        "incident": incident, "kind": "webhook", "channel": made.headers["location"].split("?")[0].rpartition("/")[2],
        "name": "pages", "tag": "checks", "half": "x", "states": "3", "token": token,
        "letter": letter, "customer": customer, "day": day, "meter": "traffic",
        "backfill": backfill, "watch": watch, "price": price,
        "endpoint": address_of(f"GET {HOSTILE}").rpartition("/")[2],
    }  # fmt: skip
    paths = [re.sub(r"{(\w+)}", lambda found: values[found[1]], route) for method, route in ROUTES if method == "GET"]
    invite = re.findall(r"/invite\?token=[\w-]+", invited.body.decode())[0]
    pages = [(owner, path, None) for path in (*paths, *MORE, "/p/main/checks/waits")]
    pages += [(town.nobody, path, None) for path in ("/sign-in", "/sign-in/reset", "/setup", invite, "/status/ours")]
    of_set = f"/p/main/usage/backfills/{backfill}"
    called = {
        "provider": HOSTILE,
        "model": HOSTILE,
        "error": HOSTILE,
        "cost": "1.5",
        "currency": "USD",
        "user": HOSTILE,
    }
    call = {"transaction_id": f"c{HOSTILE}", "customer_id": HOSTILE, "event_type": CALL, "timestamp": START.isoformat()}
    await web.api.events.take(town.world.project.pid, [call | {"properties": called}], wire="native")
    watching = "/p/main/usage/watches/new"
    more = [(watching, {"kind": kind, "what": "*", "preview": "1"}) for kind in ("source", "customer", "endpoint")]
    more += [
        (watching, {"kind": "source", "what": HOSTILE, "factor": HOSTILE}),
        (of_set, {"do": "close"}),
        (f"{of_set}/events", {"events": "{}"}),
        (f"{of_set}/events", {"events": ""}),
    ]
    of_price = f"/p/main/usage/prices/{price}"
    more += [("/p/main/usage/prices/new", a_price | {"preview": "1", "unit": "x"}), (of_price, {"do": "delete"})]
    more += [("/p/main/usage/prices/new", {"provider": HOSTILE}), (of_price, {"do": "reprice", "amount": HOSTILE})]
    asked: list[tuple[Browser, str, dict[str, str] | None]] = [
        *pages, *((owner, path, form) for path, form in (*SENT, *more)),
    ]  # fmt: skip
    n_pages, wrong = 0, list[str]()
    for browser, path, form in asked:
        if path.endswith("/live"):
            continue
        reply = await (browser.get(path) if form is None else browser.post(path, form))
        if reply.headers.get("content-type", "").startswith("text/html") and reply.body:
            n_pages += 1
            wrong += [f"{path} {form or ''}: {trouble}" for trouble in troubles(reply.body.decode())]

    assert [] == wrong
    assert n_pages > 55


async def usage_of(town: Town, web: WebState) -> tuple[str, str, str]:
    """A meter with an event and one that could not be read: the letter, the customer and the day of them."""
    owner, at = await town.owner(), START - timedelta(days=1)
    event = {"transaction_id": "t-1", "customer_id": HOSTILE, "event_type": "call", "timestamp": at.isoformat()}
    events: list[dict[str, Any]] = [
        event | {"properties": {HOSTILE: HOSTILE}},
        {"transaction_id": "t-2", "event_type": HOSTILE},
    ]
    told = {
        "method": "GET",
        "route": HOSTILE,
        "path": HOSTILE,
        "status": 500,
        "latency_ms": Number("2000"),
        "key": HOSTILE,
    }
    events.append(event | {"transaction_id": "t-3", "event_type": TYPE, "properties": told | {"request_id": HOSTILE}})
    await web.api.events.take(town.world.project.pid, events, wire="native")
    meter = {"slug": "traffic", "name": HOSTILE, "event_types": "call", "aggregation": "count", "group_keys": "a"}
    await owner.post("/p/main/usage/meters/new", meter)
    await owner.post("/p/main/usage/customers", {"name": HOSTILE})
    found = (await owner.get("/p/main/usage/dead-letters")).body + (await owner.get("/p/main/usage/customers")).body
    (letter,) = re.findall(r"/dead-letters/([0-9]+)", found.decode())
    customer = re.findall(r"/usage/customers/([0-9a-f-]{36})", found.decode())[0]
    return letter, customer, at.date().isoformat()


def test_what_is_not_valid_is_seen() -> None:
    """So that the test above can fail."""
    whole = "<!doctype html><html lang=en><head><title>x</title></head><body><h1>x</h1>{}</body></html>"
    assert [] == troubles(whole.format('<p id="a"><a href="#a">x</a></p>'))
    for bad in (
        '<p id="a"></p><p id="a"></p>', '<label for="b">x</label>', '<a title="x" title="y">z</a>', "<p><ul></ul></p>",
        "<table><p>x</p></table>", "<div/>", "<a href=x><button>y</button></a>", '<p style="color:red">x</p>',
        "<ul><p>x</p></ul>", "<h1>y</h1>", "<p>&nosuch; x</p>", '<a href="#c">x</a>', "<div>",
    ):  # fmt: skip
        assert troubles(whole.format(bad)), bad
