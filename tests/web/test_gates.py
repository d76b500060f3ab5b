"""Every page in real Chromium: nothing that axe finds wrong, nothing that the browser complains of, nothing that is cut
off or told by colour alone, on a desktop and on a phone, in light and in dark.

The routes come from the application itself. One that is missing in the tables below fails the test. CI looks at each
page in one of its four looks, and at the answers of forms by those gates that a message in them could break; `make
test-all` at all in all four.
"""

from __future__ import annotations

import re
from base64 import b32decode
from dataclasses import dataclass, field
from html import unescape
from itertools import cycle
from typing import Any

import pytest

from heartfly.clock import SystemClock
from heartfly.core import totp
from heartfly.web.routes import HANDLERS
from heartfly.web.usage_report import FORMS as FORMS_OF_REPORTS
from tests.server_process import Server
from tests.web.full_house import ASKED_BY, EMAIL, PASSWORD, STATUSES, House
from tests.web.gates import DESKTOP, LONG_MS, NARROWEST, PHONE, Gates
from tests.web.hook import listening

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

MOST_REQUESTS = 6
"""Of a page with all that it needs: itself, style, script, its stream, and once more itself if that was late."""
MOST_OF_USAGE = 10
LOOKS: tuple[tuple[int, str], ...] = ((DESKTOP, "light"), (PHONE, "dark"), (DESKTOP, "dark"), (PHONE, "light"))

# Of each route that shows a page what is asked for it: the address of the route, with these queries.
PAGES: dict[str, tuple[str, ...]] = {
    "/account/keyboard": ("",),
    "/account/profile": ("",),
    "/account/security": ("",),
    "/account/security/2fa": ("",),
    "/account/security/passkeys": ("",),
    "/p/{project}/checks": (
        "",
        "?q=tag%3Aetl&status=up",
        "?q=nothing-has-this-name",
        "?done=pause-3",
        "?view=timeline",
        "?view=next",
        "?group=tag",
    ),
    "/p/{project}/checks/new": ("", "?line=*/15+*+*+*+*+/opt/etl.sh"),
    "/p/{project}/checks/{check}": ("",),
    "/p/{project}/checks/{check}/snippets": ("",),
    "/p/{project}/checks/{check}/edit": ("",),
    "/p/{project}/checks/{check}/delete": ("",),
    "/p/{project}/checks/{check}/schedule": ("",),
    "/p/{project}/checks/{check}/learned": ("",),
    "/p/{project}/service-levels": ("", "?all=1"),
    "/p/{project}/checks/{check}/events": ("", "?kind=edit&since=2026-01-01T00:00:00"),
    "/p/{project}/checks/{check}/runs": ("",),
    "/p/{project}/checks/{check}/events/{n}": ("",),
    "/p/{project}/incidents": ("", "?state=closed"),
    "/p/{project}/incidents/{incident}": ("",),
    "/shared/{token}": ("",),
    "/p/{project}/maintenance": ("", "?state=ended"),
    "/p/{project}/maintenance/new": ("", "?kind=mute", "?kind=quiet"),
    "/p/{project}/maintenance/{silence}/edit": ("",),
    "/p/{project}/channels/{channel}/policy": ("",),
    "/p/{project}/channels": ("",),
    "/p/{project}/channels/new/{kind}": ("",),
    "/p/{project}/channels/{channel}": ("",),
    "/p/{project}/channels/{channel}/edit": ("",),
    "/p/{project}/channels/{channel}/delete": ("",),
    "/p/{project}/settings/general": ("",),
    "/p/{project}/settings/team": ("",),
    "/p/{project}/settings/keys": ("",),
    "/p/{project}/audit": ("", "?since=2099-01-01"),
    "/p/{project}/badges": ("",),
    "/p/{project}/usage": ("", "?range=30d&heat=errors&log=1&keys=1", "?range=1h&status=4xx&customer=c-0"),
    "/p/{project}/usage/endpoints": ("", "?range=30d&by=p95"),
    "/p/{project}/usage/endpoints/{endpoint}": ("?range=30d",),
    "/p/{project}/usage/requests": ("", "?status=5xx", "?from=2020-01-01&to=2020-01-02"),
    "/p/{project}/usage/events": ("", "?subject=none"),
    "/p/{project}/usage/event": ("?id=t-1",),
    "/p/{project}/usage/dead-letters": ("", "?state=dropped"),
    "/p/{project}/usage/dead-letters/{letter}": ("",),
    "/p/{project}/usage/customers": ("",),
    "/p/{project}/usage/customers/{customer}": ("",),
    "/p/{project}/usage/customers/{customer}/report": ("", "?month=1999-12"),
    "/shared/report/{link}": ("",),
    "/p/{project}/usage/backfills": ("", "?state=reverted"),
    "/p/{project}/usage/backfills/new": ("",),
    "/p/{project}/usage/backfills/{backfill}": ("",),
    "/p/{project}/usage/prices": ("", "?provider=nobody"),
    "/p/{project}/usage/prices/new": ("",),
    "/p/{project}/usage/prices/{price}": ("", "?saved=1"),
    "/p/{project}/usage/jobs": ("", "?month=2026-01"),
    "/p/{project}/usage/jobs/{day}": ("",),
    "/p/{project}/usage/sources": ("",),
    "/p/{project}/usage/archive": ("",),
    "/p/{project}/usage/apis": ("", "?range=30d&log=1", "?range=1h&status=5xx"),
    "/p/{project}/usage/costs": ("", "?range=7d&by=model&step=week", "?provider=nobody&by=tag"),
    "/p/{project}/usage/watches": ("",),
    "/p/{project}/usage/watches/new": ("", "?kind=customer", "?kind=endpoint"),
    "/p/{project}/usage/watches/{watch}": ("",),
    "/p/{project}/usage/alerts": ("", "?state=firing&severity=low"),
    "/p/{project}/usage/alerts/new": ("",),
    "/p/{project}/usage/alerts/{rule}": ("",),
    "/p/{project}/usage/alerts/{rule}/edit": ("",),
    "/p/{project}/usage/paths": ("", "?saved=3"),
    "/p/{project}/usage/budgets": ("",),
    "/p/{project}/usage/budgets/new": ("",),
    "/p/{project}/usage/budgets/{budget}": ("",),
    "/p/{project}/usage/budgets/{budget}/edit": ("",),
    "/p/{project}/usage/limits": ("",),
    "/p/{project}/usage/limits/{limit}": ("",),
    "/p/{project}/usage/meters": ("",),
    "/p/{project}/usage/meters/new": ("",),
    "/p/{project}/usage/meters/{meter}": ("", "?by=customer&window=hour", "?from=2020-01-01&to=2020-01-02"),
    "/p/{project}/usage/meters/{meter}/version": ("",),
    "/p/{project}/go": ("", "?q=night"),
    "/p/{project}/status-pages": ("",),
    "/p/{project}/status-pages/new": ("",),
    "/p/{project}/status-pages/{page}": ("",),
    "/status/{slug}": ("",),
    "/docs": ("", "?q=ready"),
    "/docs/reference": ("",),
    "/docs/reference/{tag}": ("",),
    "/system": ("",),
}
# Shown to who is not signed in, or once: looked at by name below.
BY_NAME = {
    "/setup", "/sign-in", "/sign-in/reset", "/sign-in/new-password", "/invite", "/account/confirm-email",
    "/docs/{name}", "/docs/decisions/{name}", "/p/{project}/usage/backfills/{backfill}/preview",
    "/shared/report-stop/{link}",
    "/account/security/required",  # test_required_in_a_browser.py
}  # fmt: skip
NO_PAGE = {
    "/", "/static/{name}", "/.well-known/security.txt",
    "/sign-in/2fa", "/sign-in/passkey", "/account/security/passkeys/new", "/account/export",
    "/p/{project}", "/p/{project}/live", "/p/{project}/usage/traffic.csv",
    "/p/{project}/usage/calls.csv",
    "/p/{project}/usage/customers/{customer}/export",
    "/p/{project}/checks/{check}/events.csv", "/p/{project}/checks/{check}/events.ndjson",
    "/p/{project}/checks/{check}/events/{n}/body", "/p/{project}/settings/export", "/p/{project}/audit.csv",
    "/p/{project}/audit.ndjson", "/badge/{half}/{states}/{name}", "/docs/images/{name}", "/status/{slug}/atom.xml",
    "/status/{slug}/look/{name}", "/shared/report/{link}/{form}",
    *(f"/p/{{project}}/usage/customers/{{customer}}/report.{form}" for form in FORMS_OF_REPORTS),
}  # fmt: skip

# Of each form the answer that is a page: what is sent, and the status that it gets.
FORMS: dict[str, tuple[tuple[dict[str, str], int], ...]] = {
    "/account/delete": (({"password": "wrong"}, 422),),
    "/account/security/passkeys": (({"name": "Phone", "password": "wrong"}, 422),),
    "/account/profile": (({"name": "Ada", "zone": "Nowhere"}, 422),),
    "/account/profile/password": (({"old": "wrong", "password": "x", "again": "y"}, 422),),
    "/p/{project}/checks": (
        ({"do": "pause"}, 422),
        ({"do": "delete", "all": "1"}, 409),
        ({"do": "delete", "check": "{check}"}, 200),
    ),
    "/p/{project}/views": (({"q": "tag:etl", "name": ""}, 422),),
    "/p/{project}/checks/new": (
        ({"name": "", "kind": "cron", "expression": "61 * * * *", "grace": "x"}, 422),
        ({"name": "x", "kind": "cron", "expression": "0 0 31 2 *", "grace": "1"}, 422),
        ({"name": "x", "kind": "cron", "expression": "30 2 * * *", "grace": "1", "preview": "1"}, 200),
    ),
    "/p/{project}/checks/{check}/delete": (({"name": "another"}, 422),),
    "/p/{project}/checks/{check}/edit": (({"name": "x", "grace": "x"}, 409),),
    "/p/{project}/checks/{check}/owners": (({"field": "x", "whose": "client"}, 422),),
    "/p/{project}/checks/{check}/rotate-address": (({"overlap": "0", "seen": "x"}, 409),),
    "/p/{project}/checks/{check}/schedule": (({"kind": "cron", "expression": "* * * *"}, 409),),
    "/p/{project}/incidents/{incident}/comments": (({"text": " "}, 422),),
    "/p/{project}/incidents/{incident}/shares": (({"lasts": "7"}, 422), ({"lasts": "3600", "with_comments": "1"}, 201)),
    "/p/{project}/channels/new/{kind}": (({"name": "", "value": "ftp://x"}, 422),),
    "/p/{project}/channels/{channel}/edit": (({"name": "x"}, 409),),
    "/p/{project}/channels/{channel}/rotate-secret": (({"overlap": "5"}, 422), ({"overlap": "3600"}, 200)),
    "/p/{project}/settings/general": (({"name": "", "zone": "Nowhere"}, 409),),
    "/p/{project}/settings/delete": (({"sure": "another"}, 422),),
    "/p/{project}/settings/keys": (({"name": ""}, 422), ({"name": "second", "read": "1"}, 201)),
    "/p/{project}/settings/keys/{key}/rotate": (({"overlap": "3600"}, 200),),
    "/p/{project}/settings/team/invites": (
        ({"email": "nobody", "role": "member"}, 422),
        ({"email": "joan@example.com", "role": "member"}, 201),
    ),
    "/p/{project}/settings/team/hand-over": (({"member": "1"}, 422),),
    "/p/{project}/settings/team/leave": (({}, 409),),
    "/p/{project}/usage/event": (
        ({"id": "t-1", "do": "amend"}, 422),
        ({"id": "t-1", "do": "void", "reason": "a test"}, 200),
    ),
    "/p/{project}/usage/customers": (({"name": "x", "alias": "\x07"}, 422),),
    "/p/{project}/usage/customers/{customer}": (({"name": "", "rev": "1"}, 422),),
    "/p/{project}/usage/customers/{customer}/report/shares": (({"lasts": "7"}, 422), ({"lasts": "604800"}, 201)),
    "/p/{project}/usage/customers/{customer}/report/mails": (({"rhythm": "month", "addresses": "nobody"}, 422),),
    "/p/{project}/usage/customers/{customer}/erase": (({"sure": "another"}, 422),),
    "/p/{project}/usage/dead-letters": (({"do": "drop"}, 422),),
    "/p/{project}/usage/dead-letters/{letter}": (({"do": "replay", "event": "{"}, 422),),
    "/p/{project}/usage/backfills/new": (({"name": "", "from": "soon"}, 422),),
    "/p/{project}/usage/backfills/{backfill}": (({"do": "close"}, 200),),
    "/p/{project}/usage/backfills/{backfill}/events": (({"events": "{}\n{"}, 200), ({"events": ""}, 422)),
    "/p/{project}/usage/jobs/{day}": (({"do": "try"}, 200),),
    "/p/{project}/usage/budgets/new": (({"name": "", "amount": "much", "scope": "planet", "currency": "USD"}, 422),),
    "/p/{project}/usage/budgets/{budget}/edit": (
        ({"name": "x", "currency": "USD", "amount": "1", "period": "monthly", "rev": "0"}, 409),
    ),
    "/p/{project}/maintenance/new": (
        ({"kind": "maintenance", "scope": "check", "when": "again", "cron": "soon", "lasts": "2"}, 422),
        ({"kind": "quiet", "scope": "project", "night_from": "late", "night_to": "07:00"}, 422),
    ),
    "/p/{project}/maintenance/{silence}/edit": (({"kind": "quiet", "scope": "channel"}, 422),),
    "/p/{project}/channels/{channel}/policy": (
        ({"after": "soon"}, 422),
        ({"title": "$STATUS: $NAME", "text": "See $LINK", "preview": "1"}, 200),
    ),
    "/p/{project}/usage/budgets/{budget}/turn": (({"do": "resume", "rev": "1"}, 409),),
    "/p/{project}/usage/watches/new": (
        ({"kind": "source", "what": "*", "factor": "1", "gap_s": "soon"}, 422),
        ({"kind": "source", "what": "*", "preview": "1"}, 200),
        ({"kind": "customer", "what": "*", "preview": "1"}, 200),
        ({"kind": "endpoint", "what": "*", "preview": "1", "least": "10"}, 200),
    ),
    "/p/{project}/usage/watches/{watch}": (({"least": "x"}, 422), ({"least": "10", "preview": "1"}, 200)),
    "/p/{project}/usage/prices/new": (
        ({"provider": "", "amount": "x"}, 422),
        (
            {
                "provider": "openai",
                "product": "gpt",
                "unit": "seconds",
                "amount": "1",
                "currency": "USD",
                "preview": "1",
            },
            200,
        ),
    ),
    "/p/{project}/usage/prices/{price}": (({"do": "delete"}, 200), ({"do": "reprice", "amount": "x"}, 422)),
    "/p/{project}/usage/alerts/new": (
        ({"name": "", "metric_0": "latency", "window_0": "soon"}, 422),
        ({"name": "x", "metric_0": "requests", "of_0": "requests", "threshold_0": "1", "preview": "1"}, 200),
    ),
    "/p/{project}/usage/alerts/{rule}": (({"do": "ack", "alert": "none"}, 404),),
    "/p/{project}/usage/alerts/{rule}/edit": (({"name": "x", "metric_0": "latency", "window_0": "soon"}, 422),),
    "/p/{project}/usage/paths": (
        ({"lines": "one two three"}, 422),
        ({"lines": "# ours\n/v1/orders/:what", "preview": "1"}, 200),
        ({"lines": "/v1/orders/:what", "rev": "9"}, 409),
    ),
    "/p/{project}/usage/limits": (
        ({"amount": "many", "kind": "rate", "period_s": "60"}, 422),
        ({"policy": "1;w=3600;s=customer", "try": "1"}, 200),
    ),
    "/p/{project}/usage/limits/{limit}": (({"amount": "-1", "name": "x", "approaching": "80"}, 422),),
    "/p/{project}/usage/meters/new": (
        ({"slug": "A B", "event_types": "", "aggregation": "sum"}, 422),
        ({"slug": "x", "event_types": "api.request", "aggregation": "sum", "value": "bytes", "preview": "1"}, 200),
    ),
    "/p/{project}/usage/meters/{meter}/version": (({"event_types": "x", "aggregation": "count"}, 409),),
    "/p/{project}/status-pages/new": (({"title": "", "slug": "A B", "items": "x"}, 422),),
    "/p/{project}/status-pages/{page}/logo": (({}, 422),),
    "/p/{project}/status-pages/{page}": (({"title": "", "slug": "{slug}", "items": "x"}, 409),),
}
FORMS_BY_NAME = {
    "/account/security/2fa", "/setup", "/sign-in", "/sign-in/2fa", "/sign-in/reset", "/sign-in/new-password", "/invite",
    "/account/confirm-email", "/sign-in/passkey", "/shared/report-stop/{link}",
}  # fmt: skip
# They lead to a page of those above, or answer as another form does.
LEAD_ON = {
    "/sign-out", "/account/security/sessions/{session}/revoke", "/account/security/sessions/revoke-others",
    "/account/security/2fa/codes", "/account/security/2fa/off", "/account/security/passkeys/{passkey}/rename",
    "/account/security/passkeys/{passkey}/remove", "/p/{project}/checks/{check}/pause",
    "/p/{project}/checks/{check}/snooze", "/p/{project}/maintenance/{silence}/end",
    "/p/{project}/maintenance/{silence}/delete",
    "/p/{project}/checks/{check}/resume", "/p/{project}/incidents/{incident}/acknowledge",
    "/p/{project}/channels/{channel}/test", "/p/{project}/channels/{channel}/deliveries/{delivery}/resend",
    "/p/{project}/channels/{channel}/delete", "/account/keyboard", "/account/profile/email",
    "/p/{project}/views/{view}/delete", "/p/{project}/incidents/{incident}/shares/{share}/revoke",
    "/p/{project}/usage/meters/{meter}/archive", "/p/{project}/usage/sources", "/p/{project}/usage/alerts",
    "/p/{project}/usage/archive",
    "/p/{project}/usage/budgets/{budget}/delete",
    "/p/{project}/usage/watches/{watch}/delete",
    "/p/{project}/badges/key", "/p/{project}/status-pages/{page}/delete",
    "/p/{project}/settings/general/rotate-ping-key", "/p/{project}/settings/keys/{key}/revoke",
    "/p/{project}/settings/team/invites/{invite}/resend", "/p/{project}/settings/team/invites/{invite}/revoke",
    "/p/{project}/usage/customers/{customer}/report/shares/{share}/revoke",
    "/p/{project}/usage/customers/{customer}/report/mails/{mail}/end",
    "/p/{project}/settings/team/members/{member}/role", "/p/{project}/settings/team/members/{member}/remove",
}  # fmt: skip


def routes(method: str) -> set[str]:
    found = {path for handler in HANDLERS if method in handler.http_methods for path in handler.paths}
    return {re.sub(r":\w+}", "}", path) for path in found}


def test_every_route_has_its_row() -> None:
    assert routes("GET") == {*PAGES, *BY_NAME, *NO_PAGE}
    assert routes("POST") == {*FORMS, *FORMS_BY_NAME, *LEAD_ON}


@dataclass
class Walk:
    """From page to page, with what was found wrong on each."""

    gates: Gates
    all_looks: bool
    wrong: list[str] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    _turns: Any = field(default_factory=lambda: cycle(LOOKS))

    def look(self, name: str, *, is_form: bool = False) -> None:
        """At the page that is open: in one of the looks, the next page in the next one; or in all."""
        gates, page = self.gates, self.gates.page
        found: list[str] = []
        looks = LOOKS if self.all_looks else [next(self._turns)]
        is_whole = self.all_looks or not is_form  # what answers a form is laid out as the page that has it
        gates.see(*looks[0])
        found += gates.focus()
        gates.open_all()
        widths: set[int] = set()
        for width, scheme in looks:
            gates.see(width, scheme)
            is_first = width not in widths  # what is no colour is the same in both themes
            widths.add(width)
            told = [*gates.axe(whole=is_first), *(gates.rules() if is_first else ())]
            found += [f"{width} {scheme}: {one}" for one in told]
            found += gates.large_text(width) if is_first and is_whole else ()
        for width in (PHONE, NARROWEST) if is_whole else (NARROWEST,):
            found += gates.fits(width)
        if is_whole:
            found += gates.forced()
            found += gates.printed()
        if len(gates.asked) > (MOST_OF_USAGE if "/usage" in name else MOST_REQUESTS):
            found.append(f"asks for {len(gates.asked)} files: {gates.asked}")
        if not is_form:
            self.tell_title(page.title(), re.split(r"[?,]", name)[0], name=name)
        told = [f"{name}: {one}" for one in dict.fromkeys((*gates.taken(), *found))]
        print(*told, sep="\n", end="\n" if told else "")  # a walk that breaks off says what it has found until then
        self.wrong += told

    def tell_title(self, title: str, route: str, *, name: str) -> None:
        if self.titles.setdefault(title, route) != route:
            self.wrong.append(f"{name}: its title {title!r} is that of {self.titles[title]}, too")

    def at(self, path: str, *, status: int = 200, name: str = "") -> None:
        self.gates.go(path, status=status)
        self.look(name or path)

    def sent(self, path: str, fields: dict[str, str], status: int, *, name: str = "") -> None:
        self.gates.send(path, fields, status=status)
        self.look(f"{name or path} {fields}", is_form=True)


PARTS = ("pages", "pages of usage", "forms", "forms of usage")
"""Each with a house of its own, so that none takes long, and several can be looked at beside one another."""


def of_part(part: str, route: str) -> bool:
    return ("/usage" in route or route.startswith("/shared/report")) == part.endswith("of usage")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("all_looks", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["sample", "all"])
def test_every_page_holds_what_all_pages_hold(
    engine: Any, tmp_path_factory: pytest.TempPathFactory, part: str, *, all_looks: bool
) -> None:
    with listening() as hook:
        server = Server(tmp_path_factory.mktemp("house"), {"OUTGOING__ALLOWED_PORTS": str(hook.port)})
        server.start()
        try:
            house = House(server)
            page = engine.new_context(viewport={"width": DESKTOP, "height": 900}, locale="en").new_page()
            page.set_default_timeout(LONG_MS)  # a machine with much else to do is no fault of a page
            walk = Walk(Gates(page, server.url), all_looks)
            if part == PARTS[0]:
                before_the_setup(walk, house)
            set_up(walk, house)
            if part == PARTS[0]:
                walk.look("/p/{project}/checks")  # nothing in it yet
            house.furnish(hook)
            if part.startswith("pages"):
                pages(walk, house, part)
            else:
                forms(walk, house, part)
        finally:
            server.kill()
    assert not walk.wrong, "\n".join(walk.wrong)


def pages(walk: Walk, house: House, part: str) -> None:
    for route, queries in PAGES.items():
        for query in queries if of_part(part, route) else ():
            walk.at(house.path(route) + query, name=route + query)
    if part == PARTS[0]:
        statuses_are_told_by_shapes(walk, house)
        bars_are_fewer_on_a_phone(walk, house)
        titles_are_told_apart(walk, house)


def forms(walk: Walk, house: House, part: str) -> None:
    if part == PARTS[3]:
        others(walk, house)
    for route, sent in FORMS.items():
        if not of_part(part, route):
            continue
        if route.startswith("/p/"):
            walk.gates.page.goto(f"{walk.gates.origin}/p/main/checks/new")  # a page that has a token
        for fields, status in sent:
            filled = {name: house.path(value) for name, value in fields.items()}
            walk.sent(house.path(route), filled, status, name=route)
    if part == PARTS[2]:
        signed_out(walk, house)


def titles_are_told_apart(walk: Walk, house: House) -> None:
    """Of all routes, also of those that another part looks at."""
    routes = {house.path(route): route for route, queries in PAGES.items() if "" in queries}
    for path, route in routes.items():
        text = walk.gates.page.request.get(f"{walk.gates.origin}{path}").text()
        (title,) = re.findall(r"<title>([^<]*)</title>", text)[:1]
        walk.tell_title(unescape(title), route, name=route)


def before_the_setup(walk: Walk, house: House) -> None:
    walk.at("/sign-in", name="/sign-in, nobody")
    walk.titles.clear()
    walk.at("/setup", status=403, name="/setup, refused")
    walk.titles.clear()
    walk.at(house.setup_link, name="/setup")
    token = house.setup_link.partition("=")[2]
    walk.sent("/setup", {"token": token, "email": "x", "password": PASSWORD, "again": "y"}, 422)


def set_up(walk: Walk, house: House) -> None:
    page = walk.gates.page
    page.goto(walk.gates.origin + house.setup_link)
    for name, value in {"email": EMAIL, "password": PASSWORD, "again": PASSWORD}.items():
        page.fill(f"#{name}", value)
    page.click("button.main")
    page.wait_for_url("**/p/main/checks")
    walk.gates.asked.clear()


def statuses_are_told_by_shapes(walk: Walk, house: House) -> None:
    """Without any colour: no two statuses share a shape, and each has its word beside it."""
    page = walk.gates.page
    page.goto(f"{walk.gates.origin}/p/main/checks")
    shapes = {}
    for status in STATUSES:
        row = page.locator(f".row.s-{status} .st.{status}").first
        shapes[row.locator("use").get_attribute("href")] = row.text_content().strip().lower()
    if len(shapes) != len(STATUSES) or set(shapes.values()) != set(STATUSES):
        walk.wrong.append(f"statuses: {shapes}")


def bars_are_fewer_on_a_phone(walk: Walk, house: House) -> None:
    """Of its status page: 90 days, each 4 units wide, or 30."""
    page, shown = walk.gates.page, {}
    page.goto(f"{walk.gates.origin}{house.path('/status/{slug}')}")
    for width in (DESKTOP, PHONE):
        walk.gates.see(width, "light")
        bars = page.locator(".days:visible")
        shown[width] = bars.evaluate_all("(all) => all.map((one) => one.viewBox.baseVal.width)")
    if shown != {DESKTOP: [359], PHONE: [119]}:
        walk.wrong.append(f"bars of the status page: {shown}")


def others(walk: Walk, house: House) -> None:
    """Pages of the same routes that look otherwise."""
    for word, check in house.checks.items():
        walk.at(f"/p/main/checks/{check['id']}", name=f"/p/{{project}}/checks/{{check}}, {word}")
    up = house.checks["up"]["id"]
    walk.at(f"/p/main/checks/{up}/events/1?view=pretty", name="a body as JSON")
    walk.at(f"/p/main/checks/{house.checks['new']['id']}/runs", name="no runs")
    walk.at(f"/p/main/channels/{house.values['mail_channel']}", name="a channel that reaches nobody")
    preview = house.path("/p/{project}/usage/backfills/{backfill}/preview")
    walk.gates.page.goto(f"{walk.gates.origin}{preview}")
    # A process is started for it, which may take long; until then the page asks again and again.
    walk.gates.page.locator("#progress").wait_for(state="detached", timeout=0)
    walk.gates.asked.clear()
    walk.look("/p/{project}/usage/backfills/{backfill}/preview")
    walk.at(house.values["stop"], name="/shared/report-stop/{link}")
    walk.sent(house.values["stop"], {}, 200, name="/shared/report-stop/{link}")
    walk.at(house.values["stop"], status=404, name="/shared/report-stop/{link}, gone")
    walk.titles.clear()
    walk.at("/docs/install", name="/docs/{name}")
    walk.at("/docs/decisions/0001-rooms-around-a-pure-core", name="/docs/decisions/{name}")
    walk.at("/account/confirm-email?token=none", status=404, name="/account/confirm-email")
    walk.at("/p/main/checks/none", status=404, name="404 in a project")
    walk.titles.clear()
    walk.at("/p/none/checks", status=404, name="404")
    page = walk.gates.page
    page.goto(f"{walk.gates.origin}/p/main/checks/{up}/schedule")
    mark = page.input_value("[name=mark]")
    for expression, status in (("61 * * * *", 422), ("15 3 * * *", 200)):
        fields = {
            "mark": mark, "kind": "cron", "expression": expression, "zone": "Europe/Berlin", "dialect": "cron",
            "grace": "1", "grace_unit": "hours", "max_run": "", "preview": "1",
        }  # fmt: skip
        walk.sent(f"/p/main/checks/{up}/schedule", fields, status, name="schedule")


def signed_out(walk: Walk, house: House) -> None:
    page, origin = walk.gates.page, walk.gates.origin
    page.goto(f"{origin}/account/security/2fa")
    secret = b32decode(page.inner_text("form p.mono").replace(" ", ""))
    used = totp.step_of(SystemClock().now())
    fields = {"plan": page.input_value("[name=plan]"), "code": totp.code_of(secret, used), "password": PASSWORD}
    walk.sent("/account/security/2fa", fields, 201)
    walk.at("/account/security/2fa", name="2fa, on")
    walk.at("/account/security/2fa?app=new", name="2fa, another app")
    walk.sent("/account/security/2fa/off", {"password": "wrong"}, 422)
    invite = house.api("POST", "/invites", {"email": "edith@example.com", "role": "viewer"})["link"]
    page.goto(f"{origin}/account/security")
    page.click("text=Sign out")
    page.wait_for_url("**/sign-in")
    walk.titles.clear()
    walk.at("/sign-in")
    walk.sent("/sign-in", {"email": EMAIL, "password": "wrong"}, 422)
    walk.sent("/sign-in/passkey", {"credential": "x", "proof": "x"}, 422)
    walk.sent("/sign-in", {"email": EMAIL, "password": PASSWORD}, 200)
    walk.sent("/sign-in/2fa", {"proof": page.input_value("[name=proof]"), "code": "000000"}, 422)
    walk.at("/sign-in/reset")
    walk.sent("/sign-in/reset", {"email": EMAIL}, 409)
    chosen = f"/sign-in/new-password?token={house.values['reset']}"
    walk.at(chosen, status=403, name="/sign-in/new-password, of another browser")
    page.context.add_cookies([{"name": "heartfly-reset", "value": ASKED_BY, "url": origin}])
    walk.at(chosen, name="/sign-in/new-password")
    walk.sent("/sign-in/new-password", {"token": house.values["reset"], "password": "short", "again": "short"}, 422)
    walk.at("/sign-in/new-password?token=x", status=404, name="/sign-in/new-password, gone")
    path = invite.removeprefix(origin)
    walk.at(path, name="/invite")
    walk.sent("/invite", {"token": path.partition("=")[2], "password": "short", "again": "other"}, 422)
    walk.at("/invite?token=x", status=404, name="/invite, gone")


def test_a_part_that_is_like_another_is_judged_once_and_one_that_lacks_something_is_not_like_it(engine: Any) -> None:
    page = engine.new_page()
    gates = Gates(page, "data:")

    def wrong_in(*links: str) -> list[str]:
        cells = "".join(f'<li><p><span><a href="/{n}">{one}</a></span></p></li>' for n, one in enumerate(links))
        body = f"<main><h1>Title</h1><ul>{cells}</ul></main>"
        page.goto(f"data:text/html,<!doctype html><html lang=en><title>Title of it</title><body>{body}")
        gates.look = (DESKTOP, "light")
        return [re.split(r"[ :]+", one)[1] for one in gates.axe()]

    assert [] == wrong_in("One", "Two", "Three")
    n_judged = len(gates.judged[gates.look])
    assert [] == wrong_in("Others", "say", "it")
    assert n_judged == len(gates.judged[gates.look])
    assert ["link-name"] == wrong_in("One", "", "Three")
    assert ["image-alt", "link-name"] == sorted(wrong_in("One", "<img src=data:,>", "Three"))
    page.close()
