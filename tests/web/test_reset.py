"""A new password by mail: the same for whoever asks, once, and everybody is signed out."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.accounts.resets import LASTS
from heartfly.backup.marks import mark
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.instance import identify
from heartfly.db.models import audit, resets
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


async def asked(mailed: Mailed, email: str, place: str = "192.0.2.7") -> Reply:
    browser = Browser(mailed.town.served, place=place)
    reply = await browser.post("/sign-in/reset", {"email": email})
    await mailed.settled()
    return reply


async def link_for(mailed: Mailed, email: str = OWNER) -> str:
    assert 200 == (await asked(mailed, email)).status
    text = part_of(mailed.letters[-1], "plain")
    found = re.search(r"http://beat\.example\.org(/sign-in/new-password\?token=[\w-]{43})", text)
    assert found is not None, text
    return found[1]


async def choose(browser: Browser, link: str, password: str = NEW, again: str = NEW) -> Reply:
    return await browser.post(
        "/sign-in/new-password", {"token": link.partition("=")[2], "password": password, "again": again}
    )


async def test_a_forgotten_password_is_replaced_and_all_sessions_end(mailed: Mailed, db: Database) -> None:
    town = mailed.town
    owner = await town.owner()
    link = await link_for(mailed, "Owner@Example.com")
    letter = mailed.letters[-1]
    assert (OWNER, "A new password for Heartfly") == (letter["To"], letter["Subject"])
    assert link in part_of(letter, "html")
    assert [200, 200] == [(await town.nobody.get(link)).status for _ in range(2)]

    assert 200 == (await owner.get("/account/security")).status
    done = await choose(town.nobody, link)

    assert (200, True) == (done.status, "Your password is changed" in done.body.decode())
    assert "whether each passkey is yours" in done.body.decode()
    assert 303 == (await owner.get("/account/security")).status
    assert 422 == (await town.nobody.sign_in(OWNER, PASSWORD)).status
    assert 303 == (await town.nobody.sign_in(OWNER, NEW)).status
    assert [404, 404] == [(await town.nobody.get(link)).status, (await choose(town.nobody, link)).status]
    async with db.read() as read:
        entries = (await read.execute(sa.select(audit).where(audit.c.action == "member.reset_password"))).all()
    assert ["user:owner@example.com"] == [entry.actor for entry in entries]
    assert link.partition("=")[2] not in repr(entries)


async def test_an_unknown_address_hears_the_same_and_gets_nothing(mailed: Mailed, db: Database) -> None:
    known, unknown = await asked(mailed, OWNER), await asked(mailed, "nobody@example.com")

    assert known.status == unknown.status
    assert known.body.replace(OWNER.encode(), b"") == unknown.body.replace(b"nobody@example.com", b"")
    own = {"content-length": "", "x-request-id": ""}
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


async def test_a_link_ends_after_an_hour_and_with_the_next_one(mailed: Mailed, clock: SimClock) -> None:
    town, first = mailed.town, await link_for(mailed)
    second = await link_for(mailed)
    assert [404, 200] == [(await town.nobody.get(link)).status for link in (first, second)]
    clock.move_to(START + LASTS - timedelta(seconds=1))
    assert 200 == (await town.nobody.get(second)).status
    clock.move_to(START + LASTS)

    assert [404, 404] == [(await town.nobody.get(second)).status, (await choose(town.nobody, second)).status]
    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status


async def test_how_often_somebody_asks_is_bounded_known_or_not(mailed: Mailed) -> None:
    for email in (OWNER, "nobody@example.com"):
        assert [200, 200, 200, 429] == [(await asked(mailed, email)).status for _ in range(4)]
    assert [200, 200, 429] == [(await asked(mailed, OWNER, f"198.51.100.{n}")).status for n in range(3)]
    assert 5 == len(mailed.letters)


@pytest.mark.parametrize(("password", "again", "field"), [("short", "short", "password"), (NEW, "other", "again")])
async def test_a_password_that_cannot_be_leaves_the_link_good(
    mailed: Mailed, password: str, again: str, field: str
) -> None:
    link = await link_for(mailed)
    told = await choose(mailed.town.nobody, link, password, again)

    assert (422, True) == (told.status, f'id="{field}-wrong"' in told.body.decode())
    assert 200 == (await choose(mailed.town.nobody, link)).status


async def test_without_a_mail_server_the_page_says_who_helps(town: Town) -> None:
    page = await town.nobody.get("/sign-in/reset")
    sent = await town.nobody.post("/sign-in/reset", {"email": OWNER})

    assert (200, 409) == (page.status, sent.status)
    assert "heartfly user reset" in page.body.decode()


async def test_what_is_no_address_is_said(mailed: Mailed) -> None:
    assert [422, 200, 200] == [(await asked(mailed, email)).status for email in ("", "a\x00@b", "ö@example.com")]
    assert [] == mailed.letters


async def test_a_restore_ends_links_that_may_have_been_used_since(mailed: Mailed, db: Database) -> None:
    link = await link_for(mailed)
    await db.write(identify)
    await db.write(lambda tx: mark(tx, at=START))

    assert 404 == (await mailed.town.nobody.get(link)).status
