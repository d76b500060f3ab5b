"""Status pages: what everybody sees of them, what nobody does, and how administrators make them."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from html import unescape
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa

from heartfly.accounts.first_owner import SetupToken
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, check_days, checks, incidents, status_pages
from heartfly.demo.fill import EMAIL
from heartfly.web.pages import pages
from tests.api.door import Reply, state_of
from tests.demo_data import DEMO_NOW, DEMO_PASSWORD
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town, state_with
from tests.web.hostile import HOSTILE

pytestmark = pytest.mark.anyio

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SHOWN = "# Shop\nWeb shop = tag:shop\nThe nightly copy = secret-slug\n"
FORM = {"title": "Acme status", "slug": "acme", "items": SHOWN, "published": "1"}


def text_of(page: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


async def furnished(town: Town) -> Browser:
    """A check with a tag that is down, one that is up, and a page of both."""
    w = town.world
    shop = await w.check(START, name="Internal shop name", tags=("shop",))
    copy = await w.check(START, name="Internal copy name", slug="secret-slug", tags=("secret-tag",))
    await w.check(START, name="Not shown", slug="not-shown")
    await w.ping(copy, START)
    await w.ping(shop, START, PingKind.FAIL, body=b"said", body_size=4)
    owner = await town.owner()
    made = await owner.post("/p/main/status-pages/new", FORM)
    assert 303 == made.status, made.body.decode()
    return owner


async def page_id(owner: Browser) -> str:
    (found,) = re.findall(r"status-pages/([0-9a-f-]{36})", (await owner.get("/p/main/status-pages")).body.decode())
    return str(found)


async def test_everybody_sees_what_is_up_by_the_names_that_were_chosen(town: Town, clock: SimClock) -> None:
    await furnished(town)
    clock.move_to(START + 5 * MINUTE)
    reply = await town.nobody.get("/status/acme")
    said = text_of(reply.body.decode())

    assert 200 == reply.status
    for shown in ("Acme status", "Something is down", "Web shop Down", "The nightly copy Up", "down since", "Shop"):
        assert shown in said, shown
    assert ("public, max-age=30", None) == (reply.headers["cache-control"], reply.headers.get("set-cookie"))
    assert "<script" not in reply.body.decode()
    assert reply.body == (await (await town.owner()).get("/status/acme")).body


async def test_nobody_sees_a_name_an_id_or_an_address_that_was_not_chosen(town: Town) -> None:
    await furnished(town)
    told = (await town.nobody.get("/status/acme")).body + (await town.nobody.get("/status/acme/atom.xml")).body
    async with town.world.db.read() as read:
        known = (await read.execute(sa.select(incidents.c.uuid, incidents.c.source_uuid))).all()
    hidden = ["Internal", "secret-slug", "secret-tag", "Not shown", "/ping/", "tag:", "/p/main", ">Main", "said"]
    for value in (*hidden, *(value for row in known for value in row)):
        assert value.encode() not in told, value


def but_id(reply: Reply) -> tuple[bytes, dict[str, str]]:
    """Each request has an id of its own; all else is compared."""
    request_id = reply.headers["x-request-id"]
    return reply.body.replace(request_id.encode(), b""), reply.headers | {"x-request-id": ""}


async def test_unknown_and_unpublished_read_alike(town: Town) -> None:
    owner = await furnished(town)
    which = await page_id(owner)
    hidden = {name: value for name, value in FORM.items() if name != "published"} | {"rev": "1"}
    assert 303 == (await owner.post(f"/p/main/status-pages/{which}", hidden)).status

    for path in ("", "/atom.xml", "/look/colours.css"):
        here, nowhere = await town.nobody.get(f"/status/acme{path}"), await town.nobody.get(f"/status/none{path}")
        assert (404, *but_id(nowhere)) == (here.status, *but_id(here))
    for odd in ("/status", "/status/%00", "/status/%C3%A9", "/status/acme/x", "/status/ACME"):
        assert 404 == (await town.nobody.get(odd)).status, odd


async def test_the_bars_are_the_days_that_were_summed_up(town: Town, clock: SimClock) -> None:
    await furnished(town)
    now = START + 3 * DAY
    clock.move_to(now)
    async with town.world.db.read() as read:
        (check_id,) = (await read.execute(sa.select(incidents.c.source_id))).scalars()
    rows = [
        {
            "pid": town.world.project.pid, "check_id": check_id, "day": f"{day:%Y-%m-%d}", "from_at": day,
            "to_at": day + DAY, "up_s": 86_400 - down_s, "down_s": down_s, "blind_s": 0, "n_ok": 1, "n_failed": 0,
            "n_missed": 0, "n_unverified": 0, "flip_no": 1,
        }
        for day, down_s in ((now - DAY, 3600), (now - 2 * DAY, 0))
    ]  # fmt: skip
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(check_days), rows).rowcount)
    page = (await town.nobody.get("/status/acme")).body.decode()
    said = text_of(page)

    assert "97.91 % up in the 2 days that are known, down on 1 day." in said
    assert "2026-03-04 : 1 h" in said
    assert 'class="d-down" d="M356 0h3V20h-3z"' in page
    assert 'class="d-up" d="M352 8h3V20h-3z"' in page


async def test_bars_are_of_ninety_days_or_on_a_phone_of_thirty_and_say_which(town: Town, clock: SimClock) -> None:
    await furnished(town)
    clock.move_to(START + 3 * DAY)
    page = (await town.nobody.get("/status/acme")).body.decode()
    told = re.findall(r'class="days (\w+)" viewBox="0 0 (\d+) 20"[^>]* role="img" aria-label="([^"]+)"', page)

    assert ("wide", "359", "2025-12-05 to 2026-03-04: down on 0 of 90 days, nothing is known of 90") == told[0]
    assert ("slim", "119", "2026-02-03 to 2026-03-04: down on 0 of 30 days, nothing is known of 30") == told[1]
    assert "Bars are the last 90 30 whole days" in text_of(page)  # a style sheet shows one of both


async def test_incidents_that_are_over_are_told_with_their_length_also_by_the_feed(town: Town, clock: SimClock) -> None:
    await furnished(town)
    w = town.world
    async with w.db.read() as read:
        (source,) = (await read.execute(sa.select(incidents.c.source_uuid))).scalars()
    (check,) = await w._all(sa.select(checks).where(checks.c.uuid == source))
    await w.ping(check, START + 41 * MINUTE)
    clock.move_to(START + 50 * MINUTE)
    feed = ET.fromstring((await town.nobody.get("/status/acme/atom.xml")).body)
    atom = "{http://www.w3.org/2005/Atom}"

    assert "Web shop : down for 41 min" in text_of((await town.nobody.get("/status/acme")).body.decode())
    assert ["Web shop was down for 41 min"] == [one.findtext(f"{atom}title") for one in feed.iter(f"{atom}entry")]
    assert "http://beat.example.org/status/acme" == feed.findtext(f"{atom}id")
    assert ["2026-03-02T10:41:00Z"] == [one.findtext(f"{atom}updated") for one in feed.iter(f"{atom}entry")]
    clock.move_to(START + 15 * DAY)
    assert "None in the last 14 days" in text_of((await town.nobody.get("/status/acme")).body.decode())


async def test_search_engines_are_asked_not_to_list_it_if_that_was_chosen(town: Town) -> None:
    owner = await furnished(town)
    before = await town.nobody.get("/status/acme")
    await owner.post(f"/p/main/status-pages/{await page_id(owner)}", FORM | {"noindex": "1", "rev": "1"})
    after = await town.nobody.get("/status/acme")

    assert (None, "noindex") == (before.headers.get("x-robots-tag"), after.headers.get("x-robots-tag"))
    assert b'<meta name="robots" content="noindex">' in after.body


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field", "status"),
    [
        ({"title": ""}, "title", 422),
        ({"slug": "Not a slug"}, "slug", 422),
        ({"slug": ""}, "slug", 422),
        ({"items": "no sign"}, "items", 422),
        ({"items": "x = nothing-of-that-name"}, "items", 422),
        ({"items": "x = tag:"}, "items", 422),
        ({"items": "\u200b = tag:a"}, "items", 422),
        ({"items": "x = tag:a\n" * 51}, "items", 422),
        ({"items": "# g\n" * 21}, "items", 422),
        ({"slug": "acme"}, "slug", 409),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_the_rest_stays(
    town: Town, changed: dict[str, str], field: str, status: int
) -> None:
    owner = await town.owner()
    await owner.post("/p/main/status-pages/new", {"title": "First", "slug": "acme"})
    told = await owner.post(
        "/p/main/status-pages/new", {"title": "Mine", "slug": "other", "items": "a = tag:b"} | changed
    )

    assert status == told.status
    assert f'id="{field}-wrong"' in told.body.decode()
    assert changed.get("title", "Mine") in told.body.decode()
    async with town.world.db.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(status_pages))).scalar()


async def test_a_page_is_edited_as_it_was_written_and_nobody_overwrites_what_he_has_not_seen(town: Town) -> None:
    owner = await furnished(town)
    which = await page_id(owner)
    form = (await owner.get(f"/p/main/status-pages/{which}")).body.decode()
    assert SHOWN.strip() in unescape(form)
    rev = re.search(r'name="rev" value="(\d+)"', form)
    assert rev is not None
    assert 303 == (await owner.post(f"/p/main/status-pages/{which}", FORM | {"title": "Newer", "rev": rev[1]})).status

    late = await owner.post(f"/p/main/status-pages/{which}", FORM | {"title": "Older", "rev": rev[1]})
    assert 409 == late.status
    assert "has changed since" in late.body.decode()
    assert "Newer" in (await town.nobody.get("/status/acme")).body.decode()
    assert 303 == (await owner.post(f"/p/main/status-pages/{which}/delete")).status
    assert 404 == (await town.nobody.get("/status/acme")).status
    async with town.world.db.read() as read:
        told = (await read.execute(sa.select(audit.c.action).where(audit.c.action.like("status_page.%")))).scalars()
    assert ["status_page.create", "status_page.edit", "status_page.delete"] == list(told)


async def test_hostile_titles_and_names_stay_text(town: Town) -> None:
    owner, n = await town.owner(), 0
    for text in HOSTILE:
        line = text.replace("\n", " ").strip()[:80]
        fields = {"title": line, "slug": f"s-{n}", "items": f"{line} = tag:x", "published": "1"}
        if n < 12 and "=" not in line and 303 == (await owner.post("/p/main/status-pages/new", fields)).status:
            page = (await town.nobody.get(f"/status/s-{n}")).body.decode()
            assert "<script" not in page
            assert "<img" not in page
            ET.fromstring((await town.nobody.get(f"/status/s-{n}/atom.xml")).body)
            n += 1
    assert n > 5


async def test_a_page_over_all_of_a_demo_is_small(demo: Database) -> None:
    clock = SimClock(DEMO_NOW)
    browser = Browser(pages(state_with(state_of(demo, clock, IdSource(9)), SetupToken())))
    await browser.sign_in(EMAIL, DEMO_PASSWORD)
    tags = ("prod", "eu", "us", "staging", "billing", "data", "infra", "shop", "mail", "search", "security", "office")
    items = "\n".join(f"Our {tag} = tag:{tag}" for tag in tags)
    made = await browser.post(
        "/p/demo/status-pages/new", {"title": "All", "slug": "all", "items": items, "published": "1"}
    )
    assert 303 == made.status
    reply = await browser.get("/status/all", headers=[("Accept-Encoding", "gzip")])

    assert 10_000 > len(reply.body)
    page = gzip.decompress(reply.body).decode()
    assert "Our prod" in page
    assert page.count('class="days wide"') == page.count('class="days slim"') == len(tags)
    assert "down since" in text_of(page)
