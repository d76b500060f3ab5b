"""What each page shows and does: facts as they are stored, forms that say what is wrong, and nothing that runs."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from html import escape, unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.checks import commands
from heartfly.checks.config import CheckIn
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.models import audit, channels, checks
from heartfly.web.check_form import FIELDS
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.hostile import HOSTILE

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def text_of(browser: Browser, path: str, status: int = 200) -> str:
    reply = await browser.get(path)
    assert status == reply.status, reply.body.decode()
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", reply.body.decode())))


async def names_listed(browser: Browser, query: str = "") -> list[str]:
    page = (await browser.get(f"/p/main/checks{query}")).body.decode()
    return re.findall(r'class="name"><a [^>]*><bdi>([^<]*)', page)


async def rows(db: Database, query: sa.Select[Any]) -> list[Any]:
    async with db.read() as read:
        return list((await read.execute(query)).all())


NEW = {
    "name": "Nightly", "kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin", "dialect": "cron",
    "grace": "10", "grace_unit": "minutes", "tags": "prod, db", "description": "Dumps it.",
}  # fmt: skip


# --- the list ------------------------------------------------------------------------------------


async def test_an_empty_project_shows_how_to_make_the_first_check_by_a_ping(town: Town) -> None:
    page = await text_of(await town.owner(), "/p/main/checks")
    seen_by_viewer = await text_of(await town.viewer(), "/p/main/checks")

    assert (
        f"curl -fsS -m 10 --retry 5 'http://beat.example.org/ping/{town.world.project.ping_key}/my-job?create=1'"
        in page
    )
    assert "No checks yet" in page
    assert town.world.project.ping_key not in seen_by_viewer


async def test_the_list_is_worst_first_and_late_is_shown_as_such(town: Town, clock: SimClock) -> None:
    w = town.world
    made = {name: await w.check(START, name=name, tags=("prod",)) for name in ("a-up", "b-down", "c-late", "d-new")}
    await w.ping(made["a-up"], START + 50 * MINUTE)
    await w.ping(made["b-down"], START, PingKind.FAIL)
    await w.ping(made["c-late"], START)
    clock.move_to(START + 65 * MINUTE)
    browser = await town.owner()

    assert ["b-down", "c-late", "d-new", "a-up"] == await names_listed(browser)
    assert ["c-late"] == await names_listed(browser, "?status=late")
    assert ["a-up"] == await names_listed(browser, "?status=up")
    assert ["b-down"] == await names_listed(browser, "?status=down&tag=prod&q=DOWN")
    assert [] == await names_listed(browser, "?tag=nothing")
    assert "0 of 4 checks" in await text_of(browser, "/p/main/checks?q=zzz")
    page = await text_of(browser, "/p/main/checks")
    assert "(1 down) Checks" in page
    for said in ("Down 1", "Late 1", "New 1", "Up 1", "every hour", "5 min ago", "1 h 5 min ago"):
        assert said in page


@pytest.mark.parametrize("query", ["?status=asleep", "?q=%00", f"?tag={'x' * 99}", "?after=nonsense", "?q=a%0Ab"])
async def test_a_filter_that_cannot_be_is_told_by_a_page(town: Town, query: str) -> None:
    await town.world.check(START, name="one")
    assert "Show all" in await text_of(await town.owner(), f"/p/main/checks{query}", 422)


async def test_a_long_list_comes_in_pages_that_hold_every_check_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.web.checks.WHOLE", 5)
    monkeypatch.setattr("heartfly.web.checks.PAGE", 2)
    made = [f"check-{i}" for i in range(7)]
    for name in made:
        await town.world.check(START, name=name, tags=("all",))
    browser, query, seen = await town.owner(), "?tag=all", list[str]()
    for _ in range(9):
        page = (await browser.get(f"/p/main/checks{query}")).body.decode()
        seen += re.findall(r'class="name"><a [^>]*><bdi>([^<]*)', page)
        following = re.search(r'href="/p/main/checks(\?[^"]*)">Next page', page)
        if following is None:
            break
        query = unescape(following[1])
    assert made == seen
    assert 7 == len((await names_listed(browser, "?q=nope")) or made)


# --- a new check ---------------------------------------------------------------------------------


async def test_a_check_is_made_by_the_form_and_its_page_follows(town: Town, db: Database) -> None:
    browser = await town.owner()
    made = await browser.post("/p/main/checks/new", NEW)

    assert 303 == made.status
    page = await text_of(browser, made.headers["location"])
    (row,) = await rows(db, sa.select(checks))
    assert ("Nightly", ["prod", "db"], "30 2 * * *", "Europe/Berlin", 600, "Dumps it.") == (
        row.name, list(row.tags), row.expression, row.zone, row.grace_s, row.description,
    )  # fmt: skip
    for said in ("At 02:30 (Europe/Berlin)", f"http://beat.example.org/ping/{row.ping_uuid}", "No ping yet"):
        assert said in page
    (entry,) = await rows(db, sa.select(audit).where(audit.c.action == "check.create"))
    assert ("user:owner@example.com", "192.0.2.7") == (entry.actor, entry.ip)


async def test_a_preview_says_when_and_makes_nothing(town: Town, db: Database) -> None:
    told = await (await town.owner()).post("/p/main/checks/new", NEW | {"preview": "1"})

    assert "Expected At 02:30 (Europe/Berlin)" in told.body.decode()
    assert 5 == told.body.decode().count('<li><time datetime="2026-03-0')
    assert [] == await rows(db, sa.select(checks))


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "\u200b"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"expression": "61 * * * *"}, "expression"),
        ({"expression": ""}, "expression"),
        ({"expression": "0 0 31 2 *"}, "expression"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"kind": "period", "every": "ten"}, "every"),
        ({"kind": "period", "every": "1", "every_unit": "seconds"}, "every"),
        ({"kind": "period", "every": "9" * 40}, "every"),
        ({"grace": "-1"}, "grace"),
        ({"grace": "1", "grace_unit": "years"}, "grace"),
        ({"kind": "moon"}, "kind"),
        ({"dialect": "perl"}, "dialect"),
        ({"tags": "x" * 60}, "tags"),
        ({"description": "x" * 10_001}, "description"),
    ],
)
async def test_what_is_wrong_with_a_check_stands_beside_its_field_and_the_rest_stays(
    town: Town, db: Database, changed: dict[str, str], field: str
) -> None:
    told = await (await town.owner()).post("/p/main/checks/new", NEW | changed)
    page = told.body.decode()

    assert 422 == told.status
    assert f'id="{field}-wrong"' in page
    assert f'href="#{field}"' in page
    if "zone" not in changed:
        assert 'value="Europe/Berlin"' in page
    assert [] == await rows(db, sa.select(checks))


# --- one check -----------------------------------------------------------------------------------


async def test_a_checks_page_says_why_and_what_came(town: Town, clock: SimClock) -> None:
    w = town.world
    check = await w.check(START, name="Backup", slug="backup")
    await w.ping(check, START + MINUTE, PingKind.START)
    await w.ping(check, START + 2 * MINUTE, PingKind.FAIL, exit_status=3, body=b"no route\nto host", body_size=16)
    clock.move_to(START + 3 * MINUTE)
    browser = await town.owner()
    page = await text_of(browser, "/p/main/checks/backup")

    for said in ("(down) Backup", "exit status 3", "Failed", "1 min", "#2", "16 B", "Open the incident", "Nobody"):
        assert said in page
    assert page == await text_of(browser, f"/p/main/checks/{check.uuid}")
    ping = (await browser.get("/p/main/checks/backup/events/2")).body.decode()
    assert ["no route", "to host"] == re.findall(
        r'<li id="L\d"><a [^>]*href="#L\d"[^>]*>\d</a><span>([^<]*)</span>', ping
    )
    raw = await browser.get("/p/main/checks/backup/events/2/body")
    assert (b"no route\nto host", "text/plain; charset=utf-8") == (raw.body, raw.headers["content-type"])
    assert "sandbox" in raw.headers["content-security-policy"]
    for missing in ("0", "3", "x", "9" * 30, "1/body"):
        assert 404 == (await browser.get(f"/p/main/checks/backup/events/{missing}")).status


async def test_a_viewer_sees_no_ping_address_anywhere(town: Town) -> None:
    check = await town.world.check(START, name="one")
    await town.world.ping(check, START)
    viewer = await town.viewer()
    for path in ("", "/one", "/one/events/1"):
        assert check.ping_uuid not in (await viewer.get(f"/p/main/checks{path}")).body.decode()
    assert check.ping_uuid in (await (await town.owner()).get("/p/main/checks/one")).body.decode()


async def test_a_check_is_paused_resumed_and_deleted_by_its_name_only(town: Town, db: Database) -> None:
    check = await town.world.check(START, name="Backup", slug="backup")
    browser = await town.owner()

    assert 303 == (await browser.post("/p/main/checks/backup/pause")).status
    assert "paused" == (await town.world.row(check)).status
    assert 303 == (await browser.post("/p/main/checks/backup/resume")).status
    assert "new" == (await town.world.row(check)).status
    assert 409 == (await browser.post("/p/main/checks/backup/resume")).status
    assert 422 == (await browser.post("/p/main/checks/backup/delete", {"name": "backup"})).status
    assert 1 == len(await rows(db, sa.select(checks)))
    gone = await browser.post("/p/main/checks/backup/delete", {"name": "Backup"})
    assert (303, "/p/main/checks", []) == (gone.status, gone.headers["location"], await rows(db, sa.select(checks)))


async def test_a_slug_that_two_checks_have_leads_to_both(town: Town) -> None:
    first = await town.world.check(START, name="one", slug="same")
    second = await town.world.check(START, name="two", slug="other")
    await town.world.db.write(
        lambda tx: tx.conn.execute(sa.update(checks).where(checks.c.id == second.id).values(slug="same", slug_key=None))
    )
    browser = await town.owner()
    sent = await browser.get("/p/main/checks/same")

    assert (303, "/p/main/checks?q=same") == (sent.status, sent.headers["location"])
    assert ["one", "two"] == await names_listed(browser, "?q=same")
    assert 200 == (await browser.get(f"/p/main/checks/{first.uuid}")).status


# --- incidents -----------------------------------------------------------------------------------


async def test_an_incident_is_read_acknowledged_and_commented_on(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START, PingKind.FAIL, exit_status=7)
    clock.move_to(START + MINUTE)
    browser = await town.owner()
    assert "No incidents that are closed" in await text_of(browser, "/p/main/incidents?state=closed")
    (path,) = set(
        re.findall(r"/p/main/incidents/[0-9a-f-]{36}", (await browser.get("/p/main/incidents")).body.decode())
    )

    assert 303 == (await browser.post(f"{path}/acknowledge")).status
    assert 422 == (await browser.post(f"{path}/comments", {"text": "  "})).status
    assert 303 == (await browser.post(f"{path}/comments", {"text": "I look at it"})).status
    page = await text_of(browser, path)
    for said in (
        "Backup is down",
        "exit status 7",
        "owner@example.com takes care of it",
        "I look at it",
        "Nobody",
    ):
        assert said in page
    banner = re.sub(
        r"<[^>]+>", "", (await browser.get(path)).body.decode().partition('id="why"')[2].partition("</section>")[0]
    )
    assert "owner@example.com takes care of it since" in banner
    await town.world.ping(check, START + 2 * MINUTE)
    assert "Backup was down" in await text_of(browser, path)
    await town.world.ping(check, START + 3 * MINUTE, PingKind.FAIL)
    await town.world.ping(check, START + 4 * MINUTE)
    newest = re.search(r"/p/main/incidents/[0-9a-f-]{36}", (await browser.get("/p/main/incidents")).body.decode())
    assert newest is not None
    late = await browser.post(f"{newest.group()}/acknowledge")
    assert (409, True) == (late.status, b"closed before anybody" in late.body)


# --- channels ------------------------------------------------------------------------------------


async def test_channels_are_added_tested_and_deleted(town: Town, db: Database) -> None:
    browser = await town.owner()
    assert "No channels yet" in await text_of(browser, "/p/main/channels")
    made = await browser.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    assert 303 == made.status
    page = await text_of(browser, "/p/main/channels")
    assert "no mail server is set (mail.host)" in page
    assert "ops@example.com" in page

    test = await browser.post(f"{made.headers['location']}/test")
    assert re.fullmatch(rf"{made.headers['location']}\?test=\d+-\d+", test.headers["location"])
    shown = (await browser.get(test.headers["location"])).body.decode()
    assert '<meta http-equiv="refresh"' in shown
    assert "It is on its way" in shown
    assert 200 == (await browser.get(f"{made.headers['location']}/delete")).status
    assert 303 == (await browser.post(f"{made.headers['location']}/delete")).status
    assert [] == await rows(db, sa.select(channels))


async def test_a_webhooks_secret_is_shown_once(town: Town) -> None:
    browser = await town.owner()
    hook = {"name": "Hook", "value": "https://hooks.example.com/x", "test": "1"}
    made = await browser.post("/p/main/channels/new/webhook", hook)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.body.decode())

    assert 201 == made.status
    assert secret is not None
    (there,) = set(re.findall(r"/p/main/channels/[0-9a-f-]{36}\?test=[^\"]+", made.body.decode()))
    again = await browser.get(there)
    assert (200, False) == (again.status, secret.group() in again.body.decode())


@on_sqlite
@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        ("email", "nobody", "value"),
        ("email", "a@example.com\r\nBcc: b@example.com", "value"),
        ("slack", "javascript:alert(1)", "value"),
        ("webhook", "", "value"),
        ("webhook", "https://user:password@example.com/", "value"),
    ],
)
async def test_what_is_wrong_with_a_channel_stands_beside_its_field(
    town: Town, db: Database, kind: str, value: str, field: str
) -> None:
    told = await (await town.owner()).post(f"/p/main/channels/new/{kind}", {"name": "x", "value": value})

    assert (422, True) == (told.status, f'id="{field}-wrong"' in told.body.decode())
    assert [] == await rows(db, sa.select(channels))


async def test_two_channels_cannot_have_one_name(town: Town) -> None:
    browser = await town.owner()
    fields = {"name": "Ops", "value": "ops@example.com"}
    assert 303 == (await browser.post("/p/main/channels/new/email", fields)).status
    assert 409 == (await browser.post("/p/main/channels/new/email", fields)).status


# --- what holds for all --------------------------------------------------------------------------


async def test_every_answer_keeps_browsers_from_running_framing_and_storing_it(town: Town) -> None:
    owner = await town.owner()
    pages = [await owner.get(path) for path in ("/p/main/checks", "/sign-in", "/nothing", "/p/x/checks")]
    pages += [await town.nobody.get("/p/main/checks"), await owner.post("/sign-out", token="x")]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert ("nosniff", "no-store", "same-origin") == tuple(
            page.headers[name] for name in ("x-content-type-options", "cache-control", "referrer-policy")
        )
        assert b"style=" not in page.body
        assert "<script" not in _SCRIPT.sub("", page.body.decode(), count=3)


async def test_files_are_kept_for_a_year_under_names_of_their_content(town: Town) -> None:
    page = (await town.nobody.get("/sign-in")).body.decode()
    (css,) = re.findall(r'href="(/static/heartfly\.[0-9a-f]{12}\.css)"', page)
    plain = await town.nobody.get(css)
    packed = await town.nobody.get(css, headers=[("Accept-Encoding", "gzip")])

    assert ("text/css; charset=utf-8", "public, max-age=31536000, immutable") == (
        plain.headers["content-type"],
        plain.headers["cache-control"],
    )
    assert plain.body.startswith(b"@layer reset, tokens, base, layout, components, pages, traffic, print;")
    assert "gzip" == packed.headers["content-encoding"]
    assert len(packed.body) < 12_000
    assert 404 == (await town.nobody.get("/static/heartfly.000000000000.css")).status
    assert 404 == (await town.nobody.get("/static/..%2fpages.py")).status


async def test_head_says_what_get_would_without_a_body(town: Town) -> None:
    head = await town.nobody.get("/sign-in", method="HEAD")
    assert (200, b"", True) == (head.status, head.body, int(head.headers["content-length"]) > 0)


def test_the_corpus_of_hostile_texts_is_large_enough() -> None:
    assert 50 <= len(set(HOSTILE))


OF_A_CHECK = ("", "/events/1", "/delete", "/edit", "/schedule", "/events", "/runs", "/snippets")


async def hostile_town(town: Town, *, each: int) -> list[str]:
    """Each text in each field that is shown; returns the paths of the pages that show them: for one
    text of `each`, in turn.
    """
    owner, paths = await town.owner(), ["/p/main/checks", "/p/main/incidents", "/p/main/channels", "/account/security"]
    for i, text in enumerate(HOSTILE):
        short = text[:50].strip().replace(",", ";").replace(" ", "_")
        check = await town.world.check(START, name=text[:100], slug=f"c{i}", tags=(short,), description=text)
        said = text.encode()
        await town.world.ping(
            check, START, PingKind.FAIL, body=said, body_size=len(said), agent=text, remote="192.0.2.1", rid=None
        )
        edit = partial(
            commands.edit, pid=check.pid, uuid=check.uuid, asked=CheckIn(description=f"{text} again"), at=START,
            ids=town.world.ids, actor=Actor(text),
        )  # fmt: skip
        await town.world.db.write(edit)
        await owner.post("/p/main/channels/new/email", {"name": f"{text[:90]} {i}", "value": "a@example.com"})
        await owner.post("/p/main/settings/keys", {"name": f"{text[:90]} {i}", "read": "1"})
        paths += [f"/p/main/checks/c{i}{page}" for turn, page in enumerate(OF_A_CHECK) if (i + turn) % each == 0]
    page = (await owner.get("/p/main/incidents")).body.decode()
    incidents = sorted(set(re.findall(r"/p/main/incidents/[0-9a-f-]{36}", page)))
    for text, path in zip(HOSTILE, incidents * 2, strict=False):
        await owner.post(f"{path}/comments", {"text": text})
    listed = sorted(
        set(re.findall(r"/p/main/channels/[0-9a-f-]{36}", (await owner.get("/p/main/channels")).body.decode()))
    )
    paths += [
        "/p/main/settings/keys",
        "/p/main/settings/general",
        "/p/main/settings/team",
        "/p/main/audit",
        "/account/security/2fa",
        "/p/main/go",
        "/p/main/checks?view=timeline",
        "/p/main/checks?view=next",
    ]
    of_channels = [
        f"{path}{page}"
        for i, path in enumerate(listed)
        for turn, page in enumerate(("", "/delete", "/edit"))
        if (i + turn) % each == 0
    ]
    return paths + incidents[::each] + of_channels


_TAGS = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\"[^\"]*\"|'[^']*'|[^>\"'])*)>")
_SCRIPT = re.compile(r'<script type="module" src="/static/(?:live|keys)\.[0-9a-f]{12}\.js"></script>')
"""Those of ours."""
_OURS = {
    "html", "head", "meta", "title", "link", "body", "a", "svg", "symbol", "path", "circle", "rect", "use",
    "header", "div", "nav", "form", "input", "button", "main", "footer", "bdi", "h1", "h2", "h3", "p", "span", "ul",
    "li", "ol", "label", "section", "table", "caption", "thead", "tbody", "tr", "th", "td", "time", "details",
    "summary", "pre", "code", "dl", "dt", "dd", "aside", "article", "textarea", "strong", "br", "q",
    "fieldset", "legend", "select", "option", "del", "ins", "text", "g", "mark", "kbd",
}  # fmt: skip


# A field that is not escaped shows it with any text that breaks out: here a sixth of them, with `make test-all` all.
@pytest.mark.parametrize("each", [6, pytest.param(1, marks=pytest.mark.slow)])
async def test_hostile_text_in_any_field_is_only_text(town: Town, each: int) -> None:
    paths = await hostile_town(town, each=each)
    owner = await town.owner()
    # Both keep every text, or the list below would lack it; what pages make of it is the same for both.
    for path in paths[::7] if town.world.db.on_postgres else paths:
        page = _SCRIPT.sub("", (await owner.get(path)).body.decode(), count=3)
        for _, tag, attributes in _TAGS.findall(page):
            assert tag.lower() in _OURS, (path, tag)
            names = re.findall(r"([\w-]+)=", re.sub(r"\"[^\"]*\"", '""', attributes))
            assert not [name for name in names if name.lower().startswith("on")], (path, attributes)
            assert "javascript:" not in "".join(re.findall(r'(?:href|action|src)="([^"]*)"', attributes)), path
    listed = (await owner.get("/p/main/checks")).body.decode()
    assert [] == [
        text
        for text in HOSTILE
        if escape(text[:100]).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") not in listed
    ]


@on_sqlite
@pytest.mark.parametrize("text", HOSTILE[:10] + HOSTILE[20:26])
async def test_hostile_text_that_is_sent_back_is_only_text(town: Town, text: str) -> None:
    owner = await town.owner()
    await town.world.check(START, name="one")
    told = await owner.post("/p/main/checks/new", dict.fromkeys(NEW, text) | {"grace": text})
    filtered = await owner.get("/p/main/checks?q=" + "".join(f"%{b:02x}" for b in text.encode()))
    refused = await town.nobody.post("/sign-in", {"email": text, "password": text, "next": text})
    typed = dict.fromkeys(FIELDS, text)
    both = await owner.post("/p/main/checks/one/edit", typed)
    tried = await owner.post("/p/main/checks/one/schedule", typed | {"preview": "1"})
    many = await owner.post("/p/main/checks", {"do": text, "all": "1"})
    for reply in (told, filtered, refused, both, tried, many):
        assert text not in re.sub(r'value="[^"]*"', "", reply.body.decode())
        page = _SCRIPT.sub("", reply.body.decode(), count=3)
        assert {tag.lower() for _, tag, _ in _TAGS.findall(page)} <= _OURS | {
            "fieldset",
            "legend",
            "select",
            "option",
            "textarea",
        }
