"""Every route of the pages, asked by everybody: owner, member, viewer, the owner of another project, nobody, and who
was signed out elsewhere.

The routes come from the application itself. One that is missing in the table below fails the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from litestar.routes import HTTPRoute

from heartfly.core.words import PingKind
from heartfly.db.models import sessions
from heartfly.web.pages import Pages
from tests.api.door import Reply
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

TO_SIGN_IN = "sign-in"
EMAIL = {"name": "new", "value": "ops@example.com"}


@dataclass(frozen=True)
class Row:
    """What each hears. `sent`: the fields of the form."""

    owner: int
    viewer: int
    other: int
    nobody: int | str = TO_SIGN_IN
    member: int | None = None
    """None: what the owner hears, and so not asked for."""
    sent: tuple[tuple[str, str], ...] = ()


def read() -> Row:
    return Row(200, 200, 404)


def only_writers(owner: int = 200, /, **sent: str) -> Row:
    return Row(owner, 403, 404, sent=tuple(sent.items()))


def only_admins(owner: int = 200, /, **sent: str) -> Row:
    return Row(owner, 403, 404, member=403, sent=tuple(sent.items()))


# In this order: what a row above changes, the rows below find changed.
A_RULE = {"name": "Errors", "metric_0": "error_rate", "of_0": "calls", "window_0": "1h", "threshold_0": "10"}
ROUTES: dict[tuple[str, str], Row] = {
    ("GET", "/"): Row(303, 303, 303),
    ("GET", "/static/{name}"): Row(404, 404, 404, 404),
    ("GET", "/sign-in"): Row(303, 303, 303, 200),
    ("POST", "/sign-in"): Row(422, 422, 422, 422),
    ("GET", "/sign-in/2fa"): Row(303, 303, 303, 303),
    ("POST", "/sign-in/2fa"): Row(403, 403, 403, 403),
    ("GET", "/sign-in/passkey"): Row(404, 404, 404, 404),  # plain http: browsers know no passkeys here
    ("POST", "/sign-in/passkey"): Row(422, 422, 422, 422),
    ("GET", "/sign-in/reset"): Row(200, 200, 200, 200),
    ("POST", "/sign-in/reset"): Row(409, 409, 409, 409),
    ("GET", "/sign-in/new-password"): Row(404, 404, 404, 404),
    ("POST", "/sign-in/new-password"): Row(404, 404, 404, 404),
    ("GET", "/setup"): Row(409, 409, 409, 409),
    ("POST", "/setup"): Row(409, 409, 409, 409),
    ("GET", "/account/security"): Row(200, 200, 200),
    ("POST", "/account/security/sessions/{session}/revoke"): Row(404, 404, 404),
    ("POST", "/account/security/sessions/revoke-others"): Row(303, 303, 303),
    ("GET", "/account/keyboard"): Row(200, 200, 200),
    ("POST", "/account/keyboard"): Row(303, 303, 303),
    ("GET", "/account/export"): Row(200, 200, 200),
    ("POST", "/account/delete"): Row(422, 422, 422),
    ("GET", "/account/security/required"): Row(303, 303, 303),  # nothing is: test_required.py
    ("GET", "/account/security/2fa"): Row(200, 200, 200),
    ("POST", "/account/security/2fa"): Row(303, 303, 303),
    ("POST", "/account/security/2fa/codes"): Row(303, 303, 303),
    ("POST", "/account/security/2fa/off"): Row(303, 303, 303),
    ("GET", "/account/security/passkeys"): Row(200, 200, 200),
    ("GET", "/account/security/passkeys/new"): Row(404, 404, 404),  # plain http
    ("POST", "/account/security/passkeys"): Row(422, 422, 422),
    ("POST", "/account/security/passkeys/{passkey}/rename"): Row(404, 404, 404, sent=(("name", "x"),)),
    ("POST", "/account/security/passkeys/{passkey}/remove"): Row(404, 404, 404),
    ("GET", "/p/{project}"): Row(303, 303, 404),
    ("GET", "/p/{project}/live"): read(),
    ("GET", "/p/{project}/go"): read(),
    ("GET", "/p/{project}/checks"): read(),
    ("POST", "/p/{project}/checks"): only_writers(422, do="pause"),  # none is ticked
    ("GET", "/p/{project}/checks/new"): only_writers(),
    ("POST", "/p/{project}/checks/new"): only_writers(303, name="x", every="1", every_unit="hours", grace="1"),
    ("GET", "/p/{project}/checks/{check}"): read(),
    ("POST", "/p/{project}/checks/{check}/pause"): only_writers(303),
    ("POST", "/p/{project}/checks/{check}/resume"): only_writers(303),
    ("POST", "/p/{project}/checks/{check}/owners"): only_writers(303, field="grace", whose="client"),
    ("POST", "/p/{project}/checks/{check}/rotate-address"): only_writers(409, seen="x", overlap="0"),  # not what it is
    ("GET", "/p/{project}/checks/{check}/snippets"): only_writers(),
    ("GET", "/p/{project}/checks/{check}/edit"): only_writers(),
    ("POST", "/p/{project}/checks/{check}/edit"): only_writers(409, name="x"),  # no mark of what he saw
    ("GET", "/p/{project}/checks/{check}/schedule"): read(),
    ("POST", "/p/{project}/checks/{check}/schedule"): only_writers(409),  # no mark of what he saw
    ("GET", "/p/{project}/checks/{check}/learned"): read(),
    ("GET", "/p/{project}/service-levels"): read(),
    ("GET", "/p/{project}/checks/{check}/events"): read(),
    ("GET", "/p/{project}/checks/{check}/events.csv"): read(),
    ("GET", "/p/{project}/checks/{check}/events.ndjson"): read(),
    ("GET", "/p/{project}/checks/{check}/runs"): read(),
    ("GET", "/p/{project}/checks/{check}/events/{n}"): read(),
    ("GET", "/p/{project}/checks/{check}/events/{n}/body"): read(),
    ("GET", "/p/{project}/incidents"): read(),
    ("GET", "/p/{project}/incidents/{incident}"): read(),
    ("POST", "/p/{project}/incidents/{incident}/acknowledge"): only_writers(409),  # the pause closed it
    ("POST", "/p/{project}/incidents/{incident}/comments"): only_writers(303, text="I look at it"),
    ("POST", "/p/{project}/incidents/{incident}/shares"): only_writers(201, lasts="3600"),
    ("POST", "/p/{project}/incidents/{incident}/shares/{share}/revoke"): Row(404, 403, 404),
    ("GET", "/shared/{token}"): Row(404, 404, 404, 404),  # with one that works: test_shares.py
    ("POST", "/p/{project}/checks/{check}/snooze"): only_writers(303, lasts="1800"),
    ("GET", "/p/{project}/maintenance"): read(),
    ("GET", "/p/{project}/maintenance/new"): only_writers(),
    ("POST", "/p/{project}/maintenance/new"): only_writers(
        303, kind="quiet", scope="project", night_from="22:00", night_to="07:00"
    ),
    ("GET", "/p/{project}/maintenance/{silence}/edit"): Row(404, 403, 404),
    ("POST", "/p/{project}/maintenance/{silence}/edit"): Row(404, 403, 404),
    ("POST", "/p/{project}/maintenance/{silence}/end"): Row(404, 403, 404),
    ("POST", "/p/{project}/maintenance/{silence}/delete"): Row(404, 403, 404),
    ("GET", "/p/{project}/channels/{channel}/policy"): only_writers(),
    ("POST", "/p/{project}/channels/{channel}/policy"): only_writers(409, after="5"),  # no revision that he saw
    ("GET", "/p/{project}/channels"): read(),
    ("GET", "/p/{project}/channels/new/{kind}"): only_writers(),
    ("POST", "/p/{project}/channels/new/{kind}"): only_writers(303, **EMAIL),
    ("GET", "/p/{project}/channels/{channel}"): read(),
    ("POST", "/p/{project}/channels/{channel}/test"): only_writers(303),
    ("POST", "/p/{project}/channels/{channel}/deliveries/{delivery}/resend"): Row(404, 403, 404),  # there is none
    ("GET", "/p/{project}/channels/{channel}/edit"): only_writers(),
    ("POST", "/p/{project}/channels/{channel}/edit"): only_writers(409, name="x"),  # no revision that he saw
    ("POST", "/p/{project}/channels/{channel}/rotate-secret"): only_writers(409, overlap="0"),  # it is no webhook
    ("GET", "/p/{project}/channels/{channel}/delete"): only_writers(),
    ("POST", "/p/{project}/channels/{channel}/delete"): only_writers(303),
    ("GET", "/p/{project}/checks/{check}/delete"): only_writers(),
    ("POST", "/p/{project}/checks/{check}/delete"): only_writers(303, name="Backup"),
    ("GET", "/p/{project}/settings/general"): only_admins(),
    ("POST", "/p/{project}/settings/general"): only_admins(409, name="Main", zone="UTC"),  # no revision that he saw
    ("POST", "/p/{project}/settings/general/rotate-ping-key"): only_admins(409, overlap="3600"),  # the same
    ("GET", "/p/{project}/settings/keys"): only_admins(),
    ("POST", "/p/{project}/settings/keys"): only_admins(201, name="new", read="1"),
    ("POST", "/p/{project}/settings/keys/{key}/rotate"): only_admins(200, overlap="3600"),
    ("POST", "/p/{project}/settings/keys/{key}/revoke"): only_admins(303),
    ("GET", "/p/{project}/settings/export"): only_admins(),
    ("POST", "/p/{project}/settings/delete"): only_admins(422),
    ("GET", "/p/{project}/audit"): only_admins(),
    ("GET", "/p/{project}/audit.csv"): only_admins(),
    ("GET", "/p/{project}/audit.ndjson"): only_admins(),
    ("GET", "/p/{project}/usage"): read(),
    ("GET", "/p/{project}/usage/traffic.csv"): read(),
    ("GET", "/p/{project}/usage/endpoints"): read(),
    ("GET", "/p/{project}/usage/endpoints/{endpoint}"): Row(404, 404, 404),
    ("GET", "/p/{project}/usage/requests"): read(),
    ("GET", "/p/{project}/usage/events"): read(),
    ("GET", "/p/{project}/usage/event"): Row(404, 404, 404),
    ("POST", "/p/{project}/usage/event"): Row(404, 403, 404, sent=(("do", "undo"), ("id", "none"))),
    ("GET", "/p/{project}/usage/dead-letters"): read(),
    ("POST", "/p/{project}/usage/dead-letters"): only_writers(do="replay"),
    ("GET", "/p/{project}/usage/dead-letters/{letter}"): Row(404, 404, 404),
    ("POST", "/p/{project}/usage/dead-letters/{letter}"): Row(404, 403, 404, sent=(("do", "drop"),)),
    ("GET", "/p/{project}/usage/customers"): read(),
    ("POST", "/p/{project}/usage/customers"): only_writers(303, name="Acme"),
    ("GET", "/p/{project}/usage/customers/{customer}"): Row(404, 404, 404),
    ("POST", "/p/{project}/usage/customers/{customer}"): Row(404, 403, 404, sent=(("name", "x"),)),
    ("GET", "/p/{project}/usage/customers/{customer}/export"): Row(404, 404, 404),
    ("POST", "/p/{project}/usage/customers/{customer}/erase"): Row(404, 403, 404),
    ("GET", "/p/{project}/usage/customers/{customer}/report"): Row(
        404, 404, 404
    ),  # of one that is: test_usage_report.py
    **{
        ("GET", f"/p/{{project}}/usage/customers/{{customer}}/report.{form}"): Row(404, 404, 404)
        for form in ("pdf", "csv", "json", "ndjson", "parquet")
    },
    ("POST", "/p/{project}/usage/customers/{customer}/report/shares"): Row(404, 403, 404, sent=(("lasts", "604800"),)),
    ("POST", "/p/{project}/usage/customers/{customer}/report/shares/{share}/revoke"): Row(404, 403, 404),
    ("POST", "/p/{project}/usage/customers/{customer}/report/mails"): Row(404, 403, 404, sent=(("rhythm", "month"),)),
    ("POST", "/p/{project}/usage/customers/{customer}/report/mails/{mail}/end"): Row(404, 403, 404),
    ("GET", "/shared/report/{link}"): Row(404, 404, 404, 404),  # with one that works: test_usage_report.py
    ("GET", "/shared/report/{link}/{form}"): Row(404, 404, 404, 404),
    ("GET", "/shared/report-stop/{link}"): Row(404, 404, 404, 404),  # the same
    ("POST", "/shared/report-stop/{link}"): Row(404, 404, 404, 404),
    ("GET", "/p/{project}/usage/backfills"): read(),
    ("GET", "/p/{project}/usage/backfills/new"): only_writers(),
    ("POST", "/p/{project}/usage/backfills/new"): only_writers(422, name="x"),
    ("GET", "/p/{project}/usage/backfills/{backfill}"): Row(404, 404, 404),
    ("POST", "/p/{project}/usage/backfills/{backfill}"): Row(404, 403, 404, sent=(("do", "close"), ("sure", "1"))),
    ("POST", "/p/{project}/usage/backfills/{backfill}/events"): Row(404, 403, 404, sent=(("events", "{}"),)),
    ("GET", "/p/{project}/usage/backfills/{backfill}/preview"): Row(404, 404, 404),
    ("GET", "/p/{project}/usage/jobs"): read(),
    ("GET", "/p/{project}/usage/jobs/{day}"): read(),
    ("POST", "/p/{project}/usage/jobs/{day}"): only_writers(303, do="close"),
    ("GET", "/p/{project}/usage/sources"): read(),
    ("POST", "/p/{project}/usage/sources"): only_writers(404, name="none"),
    ("GET", "/p/{project}/usage/archive"): read(),
    ("POST", "/p/{project}/usage/archive"): only_writers(404, day="2020-01-01", do="verify"),
    ("GET", "/p/{project}/usage/apis"): read(),
    ("GET", "/p/{project}/usage/costs"): read(),
    ("GET", "/p/{project}/usage/calls.csv"): read(),
    ("GET", "/p/{project}/usage/watches"): read(),
    ("GET", "/p/{project}/usage/watches/new"): only_writers(),
    ("POST", "/p/{project}/usage/watches/new"): only_writers(303, kind="source", what="*"),
    ("GET", "/p/{project}/usage/watches/{watch}"): Row(404, 404, 404),
    ("POST", "/p/{project}/usage/watches/{watch}"): Row(404, 403, 404, sent=(("factor", "3"),)),
    ("POST", "/p/{project}/usage/watches/{watch}/delete"): Row(404, 403, 404),
    ("GET", "/p/{project}/usage/prices"): read(),
    ("GET", "/p/{project}/usage/prices/new"): only_writers(),
    ("POST", "/p/{project}/usage/prices/new"): only_writers(422, provider="x"),
    ("GET", "/p/{project}/usage/prices/{price}"): Row(404, 404, 404),
    ("POST", "/p/{project}/usage/prices/{price}"): Row(404, 403, 404, sent=(("do", "delete"),)),
    ("GET", "/p/{project}/usage/alerts"): read(),
    ("POST", "/p/{project}/usage/alerts"): only_writers(303),
    ("GET", "/p/{project}/usage/alerts/new"): only_writers(),
    ("POST", "/p/{project}/usage/alerts/new"): only_writers(303, **A_RULE),
    ("GET", "/p/{project}/usage/alerts/{rule}"): read(),
    ("POST", "/p/{project}/usage/alerts/{rule}"): only_writers(303, do="off"),
    ("GET", "/p/{project}/usage/alerts/{rule}/edit"): only_writers(),
    ("POST", "/p/{project}/usage/alerts/{rule}/edit"): only_writers(303, **A_RULE),
    ("GET", "/p/{project}/usage/paths"): read(),
    ("POST", "/p/{project}/usage/paths"): only_writers(303, lines="/users/{name}", rev="0"),
    ("GET", "/p/{project}/usage/limits"): read(),
    ("POST", "/p/{project}/usage/limits"): only_writers(303, policy="5;w=60"),
    ("GET", "/p/{project}/usage/limits/{limit}"): read(),
    ("POST", "/p/{project}/usage/limits/{limit}"): only_writers(303, do="delete"),
    ("GET", "/p/{project}/usage/meters"): read(),
    ("GET", "/p/{project}/usage/meters/new"): only_writers(),
    ("POST", "/p/{project}/usage/meters/new"): only_writers(303, slug="calls", event_types="call", aggregation="count"),
    ("GET", "/p/{project}/usage/meters/{meter}"): read(),
    ("GET", "/p/{project}/usage/meters/{meter}/version"): only_writers(),
    ("POST", "/p/{project}/usage/meters/{meter}/version"): only_writers(409, event_types="x", aggregation="count"),
    ("POST", "/p/{project}/usage/meters/{meter}/archive"): only_writers(409, do="archive"),  # no revision that he saw
    ("GET", "/p/{project}/usage/budgets"): read(),
    ("GET", "/p/{project}/usage/budgets/new"): only_writers(),
    ("POST", "/p/{project}/usage/budgets/new"): only_writers(
        303, name="Maps", currency="USD", amount="5", period="monthly"
    ),
    ("GET", "/p/{project}/usage/budgets/{budget}"): read(),
    ("GET", "/p/{project}/usage/budgets/{budget}/edit"): only_writers(),
    ("POST", "/p/{project}/usage/budgets/{budget}/edit"): only_writers(
        409, name="Maps 2", currency="USD", amount="6", period="monthly"
    ),  # no revision that he saw
    ("POST", "/p/{project}/usage/budgets/{budget}/turn"): only_writers(409, do="pause"),  # the same
    ("POST", "/p/{project}/usage/budgets/{budget}/delete"): only_writers(303),
    ("GET", "/badge/{half}/{states}/{name}"): Row(404, 404, 404, 404),
    ("GET", "/p/{project}/badges"): read(),
    ("POST", "/p/{project}/badges/key"): only_admins(303, do="make"),
    ("GET", "/status/{slug}"): Row(404, 404, 404, 404),
    ("GET", "/.well-known/security.txt"): Row(404, 404, 404, 404),
    ("GET", "/status/{slug}/atom.xml"): Row(404, 404, 404, 404),
    ("POST", "/p/{project}/views"): only_writers(303, name="Mine", q="tag:etl"),
    ("POST", "/p/{project}/views/{view}/delete"): Row(404, 403, 404),
    ("GET", "/status/{slug}/look/{name}"): Row(404, 404, 404, 404),
    ("GET", "/p/{project}/status-pages"): read(),
    ("GET", "/p/{project}/status-pages/new"): only_admins(),
    ("POST", "/p/{project}/status-pages/new"): only_admins(303, title="Shop", slug="shop"),
    ("GET", "/p/{project}/status-pages/{page}"): only_admins(),
    ("POST", "/p/{project}/status-pages/{page}"): only_admins(409, title="Shop", slug="x"),  # no revision that he saw
    ("POST", "/p/{project}/status-pages/{page}/logo"): only_admins(422),
    ("POST", "/p/{project}/status-pages/{page}/delete"): only_admins(303),
    ("GET", "/p/{project}/settings/team"): read(),
    ("POST", "/p/{project}/settings/team/invites"): only_admins(201, email="joan@example.com", role="viewer"),
    ("POST", "/p/{project}/settings/team/invites/{invite}/resend"): only_admins(201),
    ("POST", "/p/{project}/settings/team/invites/{invite}/revoke"): only_admins(303),
    ("POST", "/p/{project}/settings/team/members/{member}/role"): only_admins(303, role="member"),
    ("POST", "/p/{project}/settings/team/members/{member}/remove"): only_admins(303),
    ("POST", "/p/{project}/settings/team/hand-over"): only_admins(422, member="1"),
    ("POST", "/p/{project}/settings/team/leave"): Row(409, 303, 404),
    ("GET", "/invite"): Row(404, 404, 404, 404),
    ("POST", "/invite"): Row(404, 404, 404, 404),
    ("GET", "/account/profile"): Row(200, 200, 200),
    ("POST", "/account/profile"): Row(303, 303, 303, sent=(("zone", "UTC"),)),
    ("POST", "/account/profile/password"): Row(422, 422, 422),
    ("POST", "/account/profile/email"): Row(409, 409, 409),  # there is no mail server
    ("GET", "/account/confirm-email"): Row(404, 404, 404, 404),
    ("POST", "/account/confirm-email"): Row(404, 404, 404, 404),
    ("GET", "/docs"): Row(200, 200, 200, 200),
    ("GET", "/docs/{name}"): Row(404, 404, 404, 404),
    ("GET", "/docs/decisions/{name}"): Row(404, 404, 404, 404),
    ("GET", "/docs/images/{name}"): Row(404, 404, 404, 404),
    ("GET", "/docs/reference"): Row(200, 200, 200, 200),
    ("GET", "/docs/reference/{tag}"): Row(200, 200, 200, 200),
    ("GET", "/system"): Row(200, 403, 403, member=403),
    ("POST", "/sign-out"): Row(303, 303, 303),
}


def routes_of(served: Pages) -> set[tuple[str, str]]:
    return {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in served.framework.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }


async def test_every_route_has_its_row(served: Pages) -> None:
    assert routes_of(served) == set(ROUTES)


ELSEWHERE = "?next=//evil.example/&url=https://evil.example/&return_to=/%5Cevil.example"
"""What would lead away who follows it, asked of every page."""


def is_safe(reply: Reply, route: str) -> None:
    """Whoever asked what: the browser runs, frames and guesses nothing, and is led to pages of ours only."""
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy, route
    assert "unsafe" not in policy, route
    assert ("nosniff", "DENY") == tuple(reply.headers[name] for name in ("x-content-type-options", "x-frame-options"))
    assert reply.headers["referrer-policy"] in {"same-origin", "no-referrer"}, route
    location = reply.headers.get("location", "/")
    assert re.match(r"/(?![/\\])", location), (route, location)


async def test_each_hears_what_he_may_and_no_more(town: Town) -> None:
    owner, viewer, other = await town.owner(), await town.viewer(), await town.stranger()
    member, revoked = await town.member(), await town.owner()
    async with town.world.db.read() as read:
        newest = (await read.execute(sa.select(sa.func.max(sessions.c.id)))).scalar_one()
    await town.world.db.write(lambda tx: tx.conn.execute(sa.delete(sessions).where(sessions.c.id == newest)).rowcount)
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START, PingKind.FAIL, body=b"said", body_size=4)
    made = await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    listed = (await owner.get("/p/main/incidents")).body.decode()
    (incident,) = set(re.findall(r"/p/main/incidents/([0-9a-f-]{36})", listed))
    invited = await owner.post("/p/main/settings/team/invites", {"email": "grace@example.com", "role": "member"})
    (invite,) = set(re.findall(r"/invites/(\d+)/resend", invited.body.decode()))
    await owner.post("/p/main/status-pages/new", {"title": "Ours", "slug": "ours"})
    (page,) = re.findall(r"status-pages/([0-9a-f-]{36})", (await owner.get("/p/main/status-pages")).body.decode())
    await owner.post("/p/main/usage/meters/new", {"slug": "traffic", "event_types": "call", "aggregation": "count"})
    ruled = await owner.post("/p/main/usage/alerts/new", A_RULE)
    limit = (await owner.post("/p/main/usage/limits", {"policy": "9;w=9"})).headers["location"].rpartition("/")[2]
    budget = {"name": "Models", "currency": "USD", "amount": "5", "period": "monthly"}
    planned = await owner.post("/p/main/usage/budgets/new", budget)
    values = {
        "rule": ruled.headers["location"].rpartition("/")[2],
        "budget": planned.headers["location"].rpartition("/")[2],
        "slug": "ours", "page": page, "limit": limit,
        "key": await town.key_id(), "invite": invite, "member": await town.user_id("temp@example.com"),
        "project": "main", "check": check.uuid, "n": "1", "incident": incident, "kind": "email", "session": "1",
        "channel": made.headers["location"].rpartition("/")[2], "name": "none.css", "tag": "checks", "half": "x",
        "states": "3", "delivery": "none", "passkey": "1", "day": "2026-03-01", "meter": "traffic",
        "letter": "1", "customer": "1", "endpoint": "x", "backfill": "1", "watch": "none", "price": "1", "view": "none",
        "silence": "none",
        "share": "1",
        "token": "x" * 43,
        "link": "x" * 43, "form": "csv", "mail": "1",
    }  # fmt: skip

    for (method, route), row in ROUTES.items():
        path = re.sub(r"{(\w+)}", lambda found: values[found[1]], route)
        sent = {"next": "//evil.example/"} | dict(row.sent)
        # The one who may comes last: what he changes, the others must not have.
        for browser, expected in (
            (town.nobody, row.nobody),
            (revoked, row.nobody),
            (other, row.other),
            (viewer, row.viewer),
            (member, row.member),
            (owner, row.owner),
        ):
            # Who is refused is so before anything of a page is asked, the same for both databases.
            if expected is None or (browser is not owner and town.world.db.on_postgres):
                continue
            reply = await (browser.get(path + ELSEWHERE) if method == "GET" else browser.post(path, sent))
            is_safe(reply, route)
            if expected == TO_SIGN_IN:
                assert (303, True) == (reply.status, reply.headers["location"].startswith("/sign-in")), (method, route)
            else:
                assert expected == reply.status, (method, route, reply.body.decode()[-600:])


async def test_another_projects_things_read_as_none(town: Town) -> None:
    """Under a project of his own, by ids that exist elsewhere."""
    other = await town.stranger()
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START, PingKind.FAIL, body=b"said", body_size=4)
    owner = await town.owner()
    made = await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    channel = made.headers["location"].rpartition("/")[2]
    listed = (await owner.get("/p/main/incidents")).body.decode()
    (incident,) = set(re.findall(r"/p/main/incidents/([0-9a-f-]{36})", listed))
    await owner.post("/p/main/usage/meters/new", {"slug": "traffic", "event_types": "call", "aggregation": "count"})
    limit = (await owner.post("/p/main/usage/limits", {"policy": "9;w=9"})).headers["location"].rpartition("/")[2]
    ruled = (await owner.post("/p/main/usage/alerts/new", A_RULE)).headers["location"].rpartition("/")[2]
    there = "/p/next-door"

    for path in (
        f"/checks/{check.uuid}", "/checks/backup", f"/checks/{check.uuid}/events/1",
        f"/checks/{check.uuid}/events/1/body", f"/checks/{check.uuid}/delete",
        f"/checks/{check.uuid}/edit", f"/checks/{check.uuid}/schedule", f"/checks/{check.uuid}/events",
        f"/checks/{check.uuid}/events.csv", f"/checks/{check.uuid}/events.ndjson", f"/checks/{check.uuid}/runs",
        f"/checks/{check.uuid}/snippets", f"/channels/{channel}/edit",
        f"/incidents/{incident}", f"/channels/{channel}", f"/channels/{channel}/delete",
        "/usage/meters/traffic", "/usage/meters/traffic/version", f"/usage/limits/{limit}", f"/usage/alerts/{ruled}",
        f"/usage/alerts/{ruled}/edit",
    ):  # fmt: skip
        assert 404 == (await other.get(there + path)).status, path
    invited = await owner.post("/p/main/settings/team/invites", {"email": "grace@example.com", "role": "member"})
    (invite,) = set(re.findall(r"/invites/(\d+)/resend", invited.body.decode()))
    member, key = await town.user_id("member@example.com"), await town.key_id()
    for path in (
        f"/settings/keys/{key}/rotate", f"/settings/keys/{key}/revoke",
        f"/settings/team/invites/{invite}/resend", f"/settings/team/invites/{invite}/revoke",
        f"/settings/team/members/{member}/role", f"/settings/team/members/{member}/remove",
        f"/checks/{check.uuid}/pause", f"/checks/{check.uuid}/resume", f"/checks/{check.uuid}/delete",
        f"/incidents/{incident}/acknowledge", f"/incidents/{incident}/comments",
        f"/channels/{channel}/test", f"/channels/{channel}/delete", f"/channels/{channel}/edit",
        f"/channels/{channel}/rotate-secret", f"/checks/{check.uuid}/edit", f"/checks/{check.uuid}/schedule",
        "/usage/meters/traffic/version", f"/usage/limits/{limit}",
    ):  # fmt: skip
        assert (
            404
            == (
                await other.post(there + path, {"text": "x", "name": "Backup", "role": "viewer", "overlap": "0"})
            ).status
        ), path
    await owner.post("/p/main/status-pages/new", {"title": "Ours", "slug": "ours"})
    (page,) = re.findall(r"status-pages/([0-9a-f-]{36})", (await owner.get("/p/main/status-pages")).body.decode())
    assert 404 == (await other.get(f"{there}/status-pages/{page}")).status
    for path in (f"{there}/status-pages/{page}{what}" for what in ("", "/logo", "/delete")):
        assert 404 == (await other.post(path, {"title": "x", "slug": "x", "rev": "1"})).status
    assert page in (await owner.get("/p/main/status-pages")).body.decode()
    assert "Backup" not in (await other.get(f"{there}/checks")).body.decode()
    assert "down" == (await town.world.row(check)).status


async def test_a_form_of_another_page_or_session_changes_nothing_anywhere(town: Town, served: Pages) -> None:
    owner = await town.owner()
    for method, route in sorted(ROUTES):
        if method != "POST":
            continue
        path = re.sub(r"{\w+}", "1", route).replace("/p/1", "/p/main")
        assert 403 == (await owner.post(path, origin="http://evil.example")).status, route
        if ROUTES[method, route].nobody == TO_SIGN_IN:
            assert 403 == (await owner.post(path, token="")).status, route
