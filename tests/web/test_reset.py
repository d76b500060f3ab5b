"""A new password by mail: the same for whoever asks, once, where he asked, and everybody is signed out."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.accounts.resets import LASTS, use
from heartfly.backup.marks import mark
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.instance import identify
from heartfly.db.models import audit, resets
from heartfly.errors import NotFoundError
from heartfly.web.pages import pages
from tests.api.door import Reply, state_of
from tests.notify.receivers import SmtpScript
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town, state_with
from tests.web.test_team import Mailed, mailed, mailing, part_of

pytestmark = pytest.mark.anyio
__all__ = ["mailed"]

OWNER, NEW = "owner@example.com", "another password"


async def asked(mailed: Mailed, email: str, place: str = "192.0.2.7", *, browser: Browser | None = None) -> Reply:
    """`browser` None: one that has asked for nothing before."""
    browser = browser or Browser(mailed.town.served, place=place)
    reply = await browser.post("/sign-in/reset", {"email": email})
    await mailed.settled()
    return reply


async def link_for(mailed: Mailed, browser: Browser, email: str = OWNER) -> str:
    """That the browser has asked for."""
    assert 200 == (await asked(mailed, email, browser=browser)).status
    text = part_of(mailed.letters[-1], "plain")
    found = re.search(r"http://beat\.example\.org(/sign-in/new-password\?token=[\w-]{43})", text)
    assert found is not None, text
    return found[1]


async def choose(browser: Browser, link: str, password: str = NEW, again: str = NEW) -> Reply:
    return await browser.post(
        "/sign-in/new-password", {"token": link.partition("=")[2], "password": password, "again": again}
    )


async def test_a_forgotten_password_is_replaced_and_all_sessions_end(mailed: Mailed, db: Database) -> None:
    town, browser = mailed.town, mailed.town.nobody
    owner = await town.owner()
    link = await link_for(mailed, browser, "Owner@Example.com")
    letter = mailed.letters[-1]
    assert (OWNER, "A new password for Heartfly") == (letter["To"], letter["Subject"])
    assert link in part_of(letter, "html")
    assert [200, 200] == [(await browser.get(link)).status for _ in range(2)]

    assert 200 == (await owner.get("/account/security")).status
    done = await choose(browser, link)

    assert (200, True) == (done.status, "Your password is changed" in done.body.decode())
    assert "whether each passkey is yours" in done.body.decode()
    assert 303 == (await owner.get("/account/security")).status
    assert 422 == (await town.nobody.sign_in(OWNER, PASSWORD)).status
    assert 303 == (await town.nobody.sign_in(OWNER, NEW)).status
    assert [404, 404] == [(await browser.get(link)).status, (await choose(browser, link)).status]
    async with db.read() as read:
        entries = (await read.execute(sa.select(audit).where(audit.c.action == "member.reset_password"))).all()
    assert ["user:owner@example.com"] == [entry.actor for entry in entries]
    assert link.partition("=")[2] not in repr(entries)


async def test_the_letter_says_until_when_and_where_its_link_works(mailed: Mailed) -> None:
    await link_for(mailed, mailed.town.nobody)
    text = " ".join(part_of(mailed.letters[-1], "plain").split())

    assert "The link works once, for 15 minutes, until 2026-03-02 10:15 UTC." in text
    assert "Open it in the browser in which it was asked for: in another one it opens nothing." in text


async def test_a_link_opens_nothing_in_another_browser_and_stays_good_in_its_own(mailed: Mailed) -> None:
    browser, thief = mailed.town.nobody, mailed.town.nobody
    link = await link_for(mailed, browser)
    await link_for(mailed, thief, "viewer@example.com")  # he has a cookie of his own, for a link of his own
    (name,) = browser.cookies
    made_up = Browser(mailed.town.served, {name: "A" * 43})

    for other in (mailed.town.nobody, thief, made_up):
        told = [await other.get(link), await choose(other, link)]
        assert [403, 403] == [one.status for one in told]
        for page in (one.body.decode() for one in told):
            assert "It works only in the browser in which it was asked for" in page
            assert '<a class="button main" href="/sign-in/reset">Ask from this browser</a>' in page
            assert 'name="token"' not in page
    assert 422 == (await mailed.town.nobody.sign_in(OWNER, NEW)).status
    assert 200 == (await choose(browser, link)).status


async def test_what_is_of_another_browser_is_refused_in_the_transaction_too(
    mailed: Mailed, db: Database, ids: IdSource
) -> None:
    browser = mailed.town.nobody
    link = await link_for(mailed, browser)
    for other in ("", "A" * 43):
        with pytest.raises(NotFoundError):
            await db.write(
                lambda tx, other=other: use(  # type: ignore[misc]
                    tx, link.partition("=")[2], browser=other, password_hash="x", ip="", at=START, ids=ids
                )
            )

    assert 200 == (await choose(browser, link)).status


async def test_who_asks_anew_from_the_browser_that_is_open_gets_a_link_for_that(mailed: Mailed) -> None:
    first, second = mailed.town.nobody, mailed.town.nobody
    earlier = await link_for(mailed, first)
    assert 403 == (await second.get(earlier)).status

    assert 200 == (await choose(second, await link_for(mailed, second))).status
    assert 404 == (await first.get(earlier)).status  # with the new password all of them end


async def test_who_asks_in_somebodys_name_does_not_end_the_link_that_he_has(mailed: Mailed) -> None:
    browser = mailed.town.nobody
    link = await link_for(mailed, browser)
    for n in range(3):
        assert 200 == (await asked(mailed, OWNER, f"198.51.100.{n}")).status

    assert 200 == (await choose(browser, link)).status


async def test_what_tells_a_browser_is_in_a_cookie_for_as_long_as_the_link_lasts(mailed: Mailed, db: Database) -> None:
    browser = mailed.town.nobody
    await asked(mailed, OWNER, browser=browser)
    assert browser.last is not None
    (cookie,) = browser.cookies.values()

    assert f"heartfly-reset={cookie}; Path=/; Max-Age=900; HttpOnly; SameSite=Lax" == browser.last.headers["set-cookie"]
    assert re.fullmatch(r"[\w-]{43}", cookie)
    async with db.read() as read:
        (row,) = (await read.execute(sa.select(resets))).all()
    assert cookie not in repr(row)

    link = await link_for(mailed, browser)
    assert {"heartfly-reset": cookie} == browser.cookies  # one that asks again stays the same
    assert 200 == (await choose(browser, link)).status
    assert {} == browser.cookies


async def test_over_https_the_cookie_is_for_this_host_alone(mailed: Mailed, town: Town) -> None:
    object.__setattr__(mailed.state, "base_url", "https://beat.example.org")
    browser = Browser(pages(state_with(mailed.state, town.setup)))
    told = await browser.post("/sign-in/reset", {"email": OWNER}, origin="https://beat.example.org")
    await mailed.settled()

    cookie = told.headers["set-cookie"]
    assert re.fullmatch(r"__Host-heartfly-reset=[\w-]{43}; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure", cookie)
    found = re.search(r"/sign-in/new-password\?token=[\w-]{43}", part_of(mailed.letters[-1], "plain"))
    assert found is not None
    assert 200 == (await browser.get(found[0])).status


@pytest.mark.parametrize("planted", ["", "short", "x" * 44, "A" * 42 + "ä", "a b" * 14 + "c"])
async def test_what_is_no_value_of_ours_is_not_taken_on(mailed: Mailed, planted: str) -> None:
    browser = Browser(mailed.town.served, {"heartfly-reset": planted})
    link = await link_for(mailed, browser)

    assert planted != browser.cookies["heartfly-reset"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", browser.cookies["heartfly-reset"])
    assert 200 == (await browser.get(link)).status


async def test_what_nobody_uses_is_cleared_away_when_somebody_asks_next(
    mailed: Mailed, db: Database, clock: SimClock
) -> None:
    for n in range(5):
        await asked(mailed, OWNER, f"198.51.100.{n}")
    clock.move_to(START + LASTS)
    await asked(mailed, OWNER)

    async with db.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(resets))).scalar_one()


async def test_an_unknown_address_hears_the_same_and_gets_nothing(mailed: Mailed, db: Database) -> None:
    known, unknown = await asked(mailed, OWNER), await asked(mailed, "nobody@example.com")

    assert known.status == unknown.status
    assert known.body.replace(OWNER.encode(), b"") == unknown.body.replace(b"nobody@example.com", b"")
    own = {"content-length": "", "x-request-id": ""}
    cookies = [re.sub(r"=[\w-]{43};", "=;", reply.headers["set-cookie"]) for reply in (known, unknown)]
    assert cookies[0] == cookies[1]
    own["set-cookie"] = cookies[0]
    assert known.headers | own == unknown.headers | own
    assert [OWNER] == [letter["To"] for letter in mailed.letters]
    async with db.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(resets))).scalar_one()


async def test_the_answer_waits_for_neither_database_nor_mail(
    town: Town, db: Database, ids: IdSource, clock: SimClock
) -> None:
    """So it takes as long whether there is a mail to send or not: here the mail server never answers."""
    async with SmtpScript(greeting=SmtpScript.WAIT) as silent:
        state = state_of(db, clock, ids, mailing(silent.port))
        served = pages(state_with(state, town.setup))
        replies = [
            await Browser(served).post("/sign-in/reset", {"email": email}) for email in (OWNER, "nobody@example.com")
        ]
        await state.letters.settle(limit_s=0.5)

    assert [200, 200] == [reply.status for reply in replies]


async def test_a_link_ends_after_a_quarter_of_an_hour_and_with_the_next_one(mailed: Mailed, clock: SimClock) -> None:
    browser = mailed.town.nobody
    first = await link_for(mailed, browser)
    second = await link_for(mailed, browser)
    assert [404, 200] == [(await browser.get(link)).status for link in (first, second)]
    clock.move_to(START + timedelta(minutes=15) - timedelta(seconds=1))
    assert 200 == (await browser.get(second)).status
    clock.move_to(START + timedelta(minutes=15))

    assert [404, 404] == [(await browser.get(second)).status, (await choose(browser, second)).status]
    assert 303 == (await mailed.town.nobody.sign_in(OWNER, PASSWORD)).status


async def test_how_often_somebody_asks_is_bounded_known_or_not(mailed: Mailed) -> None:
    for email in (OWNER, "nobody@example.com"):
        assert [200, 200, 200, 429] == [(await asked(mailed, email)).status for _ in range(4)]
    assert [200, 200, 429] == [(await asked(mailed, OWNER, f"198.51.100.{n}")).status for n in range(3)]
    assert 5 == len(mailed.letters)


@pytest.mark.parametrize(("password", "again", "field"), [("short", "short", "password"), (NEW, "other", "again")])
async def test_a_password_that_cannot_be_leaves_the_link_good(
    mailed: Mailed, password: str, again: str, field: str
) -> None:
    browser = mailed.town.nobody
    link = await link_for(mailed, browser)
    told = await choose(browser, link, password, again)

    assert (422, True) == (told.status, f'id="{field}-wrong"' in told.body.decode())
    assert 200 == (await choose(browser, link)).status


async def test_without_a_mail_server_the_page_says_who_helps(town: Town) -> None:
    page = await town.nobody.get("/sign-in/reset")
    sent = await town.nobody.post("/sign-in/reset", {"email": OWNER})

    assert (200, 409) == (page.status, sent.status)
    assert "set-cookie" not in sent.headers
    assert "heartfly user reset" in page.body.decode()


async def test_what_is_no_address_is_said(mailed: Mailed) -> None:
    assert [422, 200, 200] == [(await asked(mailed, email)).status for email in ("", "a\x00@b", "ö@example.com")]
    assert [] == mailed.letters


async def test_a_restore_ends_links_that_may_have_been_used_since(mailed: Mailed, db: Database) -> None:
    browser = mailed.town.nobody
    link = await link_for(mailed, browser)
    await db.write(identify)
    await db.write(lambda tx: mark(tx, at=START))

    assert 404 == (await browser.get(link)).status
