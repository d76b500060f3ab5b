"""What people change of themselves, and that nobody else does."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.accounts import email_changes as changes
from heartfly.backup.marks import mark
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, email_changes, users
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town
from tests.web.test_second_step import set_up
from tests.web.test_team import JOAN, TEAM, Mailed, accept, link_in, mailed, n_invites, part_of

pytestmark = pytest.mark.anyio
__all__ = ["mailed"]

OWNER, PAGE, NEW = "owner@example.com", "/account/profile", "another password"
NEXT = "ada@example.net"


async def user(db: Database, email: str = OWNER) -> sa.Row[tuple[object, ...]]:
    async with db.read() as read:
        return (await read.execute(sa.select(users).where(users.c.email == email))).one()


async def signed_in(browser: Browser) -> bool:
    return 200 == (await browser.get(PAGE)).status


# --- name, zone, theme


async def test_a_profile_is_kept_and_pages_look_like_it(town: Town, db: Database) -> None:
    owner = await town.owner()
    name = "<i>Ada</i> & co"

    saved = await owner.post(PAGE, {"name": f"  {name} ", "zone": "europe/riga", "theme": "dark"})
    page = (await owner.get("/p/main/incidents")).body.decode()

    assert (303, f"{PAGE}?done=profile") == (saved.status, saved.headers["location"])
    row = await user(db)
    assert (name, "Europe/Riga", "dark") == (row.name, row.zone, row.theme)
    assert '<html lang="en" data-theme="dark">' in page
    assert "<bdi>&lt;i&gt;Ada&lt;/i&gt; &amp; co</bdi>" in page
    assert OWNER in (await owner.get(PAGE)).body.decode()
    await owner.post(PAGE, {"name": " ", "zone": "UTC", "theme": ""})
    page = (await owner.get(PAGE)).body.decode()
    assert ('<html lang="en">' in page, f"<bdi>{OWNER}</bdi>" in page) == (True, True)


@on_sqlite
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("zone", "Europe/Atlantis", "Europe/Atlantis"), ("zone", "", ""), ("theme", "pink", "one of those"),
        ("density", "tight", "one of those"),
        ("name", "x" * 101, "at most 100"), ("name", "\N{RIGHT-TO-LEFT OVERRIDE}x", "reorder"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_told_beside_its_field_and_nothing_is_saved(
    town: Town, db: Database, field: str, value: str, said: str
) -> None:
    owner = await town.owner()
    sent = {"name": "Ada", "zone": "Europe/Riga", "theme": ""} | {field: value}

    refused = await owner.post(PAGE, sent)

    page = refused.body.decode()
    wrong = re.search(rf'<p class="bad" id="{field}-wrong">(.*?)</p>', page)
    assert (422, True) == (refused.status, wrong is not None)
    assert wrong is not None
    assert said in wrong[1]
    assert field == "name" or 'value="Ada"' in page  # what was typed stands there still
    row = await user(db)
    assert ("", "UTC", "") == (row.name, row.zone, row.theme)


async def test_times_are_shown_in_ones_own_zone_the_checks_or_utc(town: Town) -> None:
    owner = await town.owner()
    check = await town.world.check(START, name="Backup", slug="backup", zone="Asia/Tokyo")
    await town.world.ping(check, START)
    await owner.post(PAGE, {"zone": "Europe/Riga"})
    there = "/p/main/checks/backup/events?kind=ping"

    async def shown(query: str) -> tuple[set[str], set[str], str]:
        page = (await owner.get(there + query)).body.decode()
        times = re.findall(r'<time datetime="([^"]+)" title="[^"]+">([\d:]+)</time>', page)
        current = re.search(r'<a href="[^"]+" aria-current="true">([^<]+)</a>(?: · |</nav>)', page)
        assert current is not None
        return {at for at, _ in times}, {said for _, said in times}, current[1]

    instants = {"2026-03-02T10:00:00Z"}
    assert (instants, {"12:00:00"}, "mine (Europe/Riga)") == await shown("")
    assert (instants, {"12:00:00"}, "mine (Europe/Riga)") == await shown("&tz=nonsense")
    assert (instants, {"19:00:00"}, "the check’s (Asia/Tokyo)") == await shown("&tz=check")
    assert (instants, {"10:00:00"}, "UTC") == await shown("&tz=utc")
    page = (await owner.get(there)).body.decode()
    assert 'href="/p/main/checks/backup/events?kind=ping&amp;tz=utc"' in page  # the filter stays
    assert "tz=check" not in (await owner.get("/p/main/incidents")).body.decode()  # of no single check
    await owner.post(PAGE, {"zone": "UTC"})
    assert "tz=" not in (await owner.get("/p/main/incidents")).body.decode()  # all are the same


async def test_pages_are_as_dense_as_their_reader_wants_and_nobody_elses_are(town: Town, db: Database) -> None:
    owner, viewer = await town.owner(), await town.viewer()

    saved = await owner.post(PAGE, {"zone": "UTC", "theme": "light", "density": "compact"})

    assert (303, "compact") == (saved.status, (await user(db)).density)
    page = (await owner.get("/p/main/checks")).body.decode()
    assert '<html lang="en" data-theme="light" data-density="compact">' in page
    assert '<option value="compact" selected>' in (await owner.get(PAGE)).body.decode()
    assert "data-density" not in (await viewer.get("/p/main/checks")).body.decode()
    await owner.post(PAGE, {"zone": "UTC"})
    assert "data-density" not in (await owner.get("/p/main/checks")).body.decode()


# --- the password


async def test_a_new_password_asks_for_the_old_one_and_ends_every_other_session(
    town: Town, db: Database, clock: SimClock
) -> None:
    here, elsewhere = await town.owner(), await town.owner()
    had = dict(here.cookies)

    done = await here.post(f"{PAGE}/password", {"old": PASSWORD, "password": NEW, "again": NEW})

    assert (303, f"{PAGE}?done=password") == (done.status, done.headers["location"])
    assert (True, False) == (await signed_in(here), await signed_in(elsewhere))
    assert had != here.cookies
    stolen = Browser(town.served, cookies=had)
    assert not await signed_in(stolen)  # the session is another one
    assert (422, 303) == (
        (await town.nobody.sign_in(OWNER, PASSWORD)).status, (await town.nobody.sign_in(OWNER, NEW)).status,
    )  # fmt: skip
    async with db.read() as read:
        entries = (await read.execute(sa.select(audit).where(audit.c.action == "member.change_password"))).all()
    assert [f"user:{OWNER}"] == [entry.actor for entry in entries]


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"old": "wrong", "password": NEW, "again": NEW}, "old", "wrong"),
        ({"old": PASSWORD, "password": "short", "again": "short"}, "password", "at least 10"),
        ({"old": PASSWORD, "password": NEW, "again": NEW + "x"}, "again", "same"),
    ],
)
async def test_a_password_that_cannot_be_taken_changes_nothing(
    town: Town, sent: dict[str, str], field: str, said: str
) -> None:
    here, elsewhere = await town.owner(), await town.owner()

    refused = await here.post(f"{PAGE}/password", sent)

    assert (422, True) == (refused.status, f'id="{field}-wrong"' in refused.body.decode())
    assert said in refused.body.decode()
    assert not [word for word in sent.values() if f'value="{word}"' in refused.body.decode()]
    assert (True, True) == (await signed_in(here), await signed_in(elsewhere))
    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status


async def test_whoever_found_an_open_browser_cannot_guess_the_password_there(town: Town) -> None:
    owner = await town.owner()
    heard = [(await owner.post(f"{PAGE}/password", {"old": f"guess {n}"})) for n in range(11)]

    assert [422] * 10 + [429] == [reply.status for reply in heard]
    assert int(heard[-1].headers["retry-after"]) > 0


async def test_with_a_second_step_the_session_goes_on_and_signing_in_still_asks_for_a_code(
    town: Town, clock: SimClock
) -> None:
    owner = await town.owner()
    await set_up(owner, clock)

    assert 303 == (await owner.post(f"{PAGE}/password", {"old": PASSWORD, "password": NEW, "again": NEW})).status

    assert await signed_in(owner)
    again = await town.nobody.sign_in(OWNER, NEW)
    assert (200, True) == (again.status, 'name="proof"' in again.body.decode())


# --- the address


async def ask(mailed: Mailed, owner: Browser, email: str = NEXT, password: str = PASSWORD) -> str:
    """Where the link in the newest letter leads."""
    reply = await owner.post(f"{PAGE}/email", {"email": email, "current": password})
    assert (303, f"{PAGE}?done=asked") == (reply.status, reply.headers["location"]), reply.body.decode()
    await mailed.settled()
    found = re.search(r"http://beat\.example\.org(/\S+token=[\w-]{43})", part_of(mailed.letters[-1], "plain"))
    assert found is not None
    return found[1]


async def confirm(browser: Browser, link: str) -> int:
    return (await browser.post("/account/confirm-email", {"token": link.partition("=")[2]})).status


async def test_another_address_counts_once_its_link_was_used(mailed: Mailed, db: Database) -> None:
    town = mailed.town
    owner = await town.owner()
    link = await ask(mailed, owner, "Ada@example.net")

    assert "Ada@example.net" == mailed.letters[-1]["To"]
    assert "Ada@example.net" in (await owner.get(PAGE)).body.decode()
    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status  # nothing has changed yet
    shown = await town.nobody.get(link)  # mail scanners open every link
    assert (200, True) == (shown.status, "Ada@example.net" in shown.body.decode())
    assert OWNER == (await user(db)).email

    assert 200 == await confirm(town.nobody, link)

    assert (422, 303) == (
        (await town.nobody.sign_in(OWNER, PASSWORD)).status, (await town.nobody.sign_in(NEXT, PASSWORD)).status,
    )  # fmt: skip
    assert await signed_in(owner)
    await mailed.settled()
    assert (OWNER, True) == (mailed.letters[-1]["To"], "Ada@example.net" in part_of(mailed.letters[-1], "plain"))
    assert [404, 404] == [(await town.nobody.get(link)).status, await confirm(town.nobody, link)]
    async with db.read() as read:
        (entry,) = (await read.execute(sa.select(audit).where(audit.c.action == "member.change_email"))).all()
    assert (f"user:{OWNER}", {"email": OWNER}, {"email": "Ada@example.net"}) == (
        entry.actor, entry.before, entry.after,
    )  # fmt: skip


async def test_what_he_did_under_the_old_address_is_still_his_to_export(mailed: Mailed) -> None:
    owner = await mailed.town.owner()
    await owner.post("/p/main/checks/new", {"name": "Mine", "every": "1", "every_unit": "hours", "grace": "1"})
    assert 200 == await confirm(owner, await ask(mailed, owner))

    exported = (await owner.get("/account/export")).body.decode()

    assert "check.create" in exported
    assert NEXT in exported


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [("nonsense", PASSWORD, "email"), (OWNER, PASSWORD, "email"), (NEXT, "wrong", "current"), ("", PASSWORD, "email")],
)
async def test_an_address_that_cannot_be_asked_for_is_told_beside_its_field(
    mailed: Mailed, email: str, password: str, field: str
) -> None:
    owner = await mailed.town.owner()

    refused = await owner.post(f"{PAGE}/email", {"email": email, "current": password})
    await mailed.settled()

    assert (422, True) == (refused.status, f'id="{field}-wrong"' in refused.body.decode())
    assert [] == mailed.letters


async def test_whose_the_new_address_is_only_its_reader_learns(mailed: Mailed) -> None:
    owner, taken = await mailed.town.owner(), "viewer@example.com"

    link = await ask(mailed, owner, taken)  # heard the same as with one that nobody has

    assert taken == mailed.letters[-1]["To"]
    assert 409 == await confirm(mailed.town.nobody, link)
    assert 303 == (await mailed.town.nobody.sign_in(OWNER, PASSWORD)).status
    assert 303 == (await mailed.town.nobody.sign_in(taken, PASSWORD)).status


async def test_a_link_ends_with_its_hour_with_a_newer_one_and_with_a_restore(
    mailed: Mailed, db: Database, clock: SimClock
) -> None:
    owner, nobody = await mailed.town.owner(), mailed.town.nobody
    old = await ask(mailed, owner)
    new = await ask(mailed, owner, "other@example.net")
    assert 404 == await confirm(nobody, old)
    clock.move_to(START + changes.LASTS)
    assert (404, 404) == ((await nobody.get(new)).status, await confirm(nobody, new))

    last = await ask(mailed, await mailed.town.owner())
    await db.write(lambda tx: mark(tx, at=clock.now() + timedelta(seconds=1)))
    assert 404 == await confirm(nobody, last)
    for token in ("", "x", "x" * 43, "\x00" * 43, "é" * 43):
        assert 404 == (await nobody.post("/account/confirm-email", {"token": token})).status, token
    async with db.read() as read:
        assert [] == (await read.execute(sa.select(email_changes.c.user_id))).all()


async def test_a_link_to_another_address_ends_with_the_password_that_asked_for_it(mailed: Mailed) -> None:
    """Or who had the old one would take the account over once its owner has a new one."""
    owner, nobody = await mailed.town.owner(), mailed.town.nobody
    link = await ask(mailed, owner, "mallory@example.net")
    assert 303 == (await owner.post(f"{PAGE}/password", {"old": PASSWORD, "password": NEW, "again": NEW})).status

    heard = ((await nobody.get(link)).status, await confirm(nobody, link))
    await mailed.settled()
    assert (404, 404) == heard
    assert "mallory@example.net" not in (await owner.get(PAGE)).body.decode()
    assert 303 == (await nobody.sign_in(OWNER, NEW)).status


async def test_a_link_to_another_address_ends_with_the_second_step(mailed: Mailed, clock: SimClock) -> None:
    owner = await mailed.town.owner()
    link = await ask(mailed, owner, "mallory@example.net")
    await set_up(owner, clock)

    heard = await confirm(mailed.town.nobody, link)
    await mailed.settled()
    assert 404 == heard


async def test_another_address_does_not_part_somebody_from_what_he_invited_to(
    town: Town, db: Database, ids: IdSource
) -> None:
    """Or he would be removed, and let himself in again by a link of before."""
    owner, admin, which = await town.owner(), await town.admin(), await town.user_id("admin@example.com")
    link = link_in(await admin.post(f"{TEAM}/invites", JOAN))

    def moved(tx: Tx) -> None:
        token = changes.ask(tx, int(which), "admin@example.net", at=START)
        changes.use(tx, token, ip="", at=START, ids=ids)

    await db.write(moved)
    assert "<bdi>admin@example.net</bdi> invites" in (await town.nobody.get(link)).body.decode()
    assert 303 == (await owner.post(f"{TEAM}/members/{which}/remove")).status

    assert 404 == (await accept(town.nobody, link)).status
    assert 0 == await n_invites(db)


async def test_too_many_letters_are_not_sent(mailed: Mailed) -> None:
    owner = await mailed.town.owner()
    for n in range(3):
        await ask(mailed, owner, f"a{n}@example.net")

    refused = await owner.post(f"{PAGE}/email", {"email": NEXT, "current": PASSWORD})
    await mailed.settled()

    assert (429, 3) == (refused.status, len(mailed.letters))


async def test_without_a_mail_server_the_page_says_so(town: Town) -> None:
    owner = await town.owner()

    assert "No mail server is set here" in (await owner.get(PAGE)).body.decode()
    assert 409 == (await owner.post(f"{PAGE}/email", {"email": NEXT, "current": PASSWORD})).status


async def test_the_colours_that_were_chosen_are_the_browsers_own_too(town: Town) -> None:
    """Scroll bars and the page before its style sheet go by the meta element."""
    owner = await town.owner()
    await owner.post(PAGE, {"zone": "UTC", "theme": "light"})

    assert '<meta name="color-scheme" content="light">' in (await owner.get(PAGE)).body.decode()
    assert '<meta name="color-scheme" content="light dark">' in (await town.nobody.get("/sign-in")).body.decode()
