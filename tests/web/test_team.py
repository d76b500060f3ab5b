"""Who is in a project, who is invited, and what links that are used, old or stolen do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts.invites import LASTS, join_as_new_user
from heartfly.api.state import ApiState
from heartfly.config import Mail, Settings
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, invites, members, users
from heartfly.errors import NotFoundError
from heartfly.web.pages import pages
from tests.api.door import Reply, state_of
from tests.notify.test_email_delivery import Mailbox, server
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town, state_with

pytestmark = pytest.mark.anyio

TEAM = "/p/main/settings/team"
JOAN = {"email": "joan@example.com", "role": "member"}


@dataclass
class Mailed:
    """The town, behind a mail server."""

    town: Town
    box: Mailbox
    state: ApiState

    async def settled(self) -> None:
        await self.state.letters.settle(limit_s=10)

    @property
    def letters(self) -> list[EmailMessage]:
        made = []
        for sent in self.box.envelopes:
            assert isinstance(sent.content, bytes)
            made.append(message_from_bytes(sent.content, policy=policy.default))
        return made


def part_of(letter: EmailMessage, kind: str) -> str:
    """The text of a letter, or its HTML."""
    part = letter.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def mailing(port: int) -> Settings:
    return Settings(mail=Mail(host="127.0.0.1", port=port, security="none", from_address="heartfly@example.com"))


@pytest.fixture
async def mailed(town: Town, db: Database, ids: IdSource, clock: SimClock) -> AsyncIterator[Mailed]:
    box = Mailbox()
    async with server(box) as port:
        state = state_of(db, clock, ids, mailing(port))
        yield Mailed(replace(town, served=pages(state_with(state, town.setup))), box, state)


def link_in(reply: Reply) -> str:
    found = re.search(r"http://beat\.example\.org(/invite\?token=[\w-]{43})", unescape(reply.body.decode()))
    assert found is not None, reply.body.decode()
    return found[1]


async def roles(db: Database) -> dict[str, str]:
    query = sa.select(users.c.email, members.c.role).join(members, members.c.user_id == users.c.id)
    async with db.read() as read:
        rows = await read.execute(query.where(members.c.pid == sa.select(sa.func.min(members.c.pid)).scalar_subquery()))
        return {row.email.partition("@")[0]: row.role for row in rows}


async def n_invites(db: Database) -> int:
    async with db.read() as read:
        return int((await read.execute(sa.select(sa.func.count()).select_from(invites))).scalar_one())


def accept(browser: Browser, link: str, **more: str) -> Any:
    new = {"password": "a password of hers", "again": "a password of hers", "zone": "Europe/Riga"}
    return browser.post("/invite", {"token": link.partition("=")[2], **new, **more})


# --- invites -------------------------------------------------------------------------------------


async def test_somebody_new_is_invited_by_mail_and_joins(mailed: Mailed, db: Database) -> None:
    owner = await mailed.town.owner()
    asked = await owner.post(TEAM + "/invites", JOAN)
    told = (await owner.get(asked.headers["location"])).body.decode()
    (letter,) = mailed.letters
    text = part_of(letter, "plain")
    found = re.search(r"http://beat\.example\.org(/invite\?token=[\w-]{43})", text)
    assert found is not None
    link = found[1]

    assert (303, True) == (asked.status, "The invite is on its way to <bdi>joan@example.com</bdi>" in told)
    assert link not in told
    assert ("joan@example.com", "Join Main on Heartfly") == (letter["To"], letter["Subject"])
    assert "owner@example.com invites you to the project Main" in text
    assert link in part_of(letter, "html")

    joan = mailed.town.nobody
    assert 200 == (await joan.get(link)).status
    assert 200 == (await joan.get(link)).status  # mail scanners open links: that uses up nothing
    joined = await accept(joan, link)
    assert (303, "/p/main/checks") == (joined.status, joined.headers["location"])
    assert 200 == (await joan.get("/p/main/checks")).status
    assert ("member", 0) == ((await roles(db))["joan"], await n_invites(db))
    async with db.read() as read:
        query = sa.select(audit).where(audit.c.action.in_(["invite.create", "member.add"])).order_by(audit.c.id)
        entries = (await read.execute(query)).all()
    assert [("user:owner@example.com", "invite.create"), ("user:joan@example.com", "member.add")] == [
        (entry.actor, entry.action) for entry in entries if entry.actor.startswith("user:")
    ]
    assert not [entry for entry in entries if link.partition("=")[2] in repr(entry)]


async def test_a_link_works_once(town: Town) -> None:
    owner = await town.owner()
    link = link_in(await owner.post(TEAM + "/invites", JOAN))
    assert 303 == (await accept(town.nobody, link)).status

    again = [await town.nobody.get(link), await accept(town.nobody, link)]

    assert [404, 404] == [reply.status for reply in again]
    assert "This link does nothing any more" in again[0].body.decode()


async def test_a_link_ends_after_a_week_and_can_be_sent_again(town: Town, clock: SimClock, db: Database) -> None:
    owner = await town.owner()
    old = link_in(await owner.post(TEAM + "/invites", JOAN))
    clock.move_to(START + LASTS)
    owner = await town.owner()
    assert "Has ended" in (await owner.get(TEAM)).body.decode()
    assert [404, 404] == [(await town.nobody.get(old)).status, (await accept(town.nobody, old)).status]

    (which,) = set(re.findall(r"/invites/(\d+)/resend", (await owner.get(TEAM)).body.decode()))
    new = link_in(await owner.post(f"{TEAM}/invites/{which}/resend"))

    assert (404, 404) == ((await town.nobody.get(old)).status, (await accept(town.nobody, old)).status)
    clock.move_to(START + 2 * LASTS - timedelta(seconds=1))
    assert 303 == (await accept(town.nobody, new)).status
    assert "member" == (await roles(db))["joan"]


async def test_an_invite_that_is_taken_back_does_nothing(town: Town, db: Database) -> None:
    owner = await town.owner()
    asked = await owner.post(TEAM + "/invites", JOAN)
    (which,) = set(re.findall(r"/invites/(\d+)/revoke", asked.body.decode()))
    assert 303 == (await owner.post(f"{TEAM}/invites/{which}/revoke")).status

    assert 404 == (await accept(town.nobody, link_in(asked))).status
    assert "joan" not in await roles(db)


async def test_without_a_mail_server_the_link_is_shown_once_and_stored_nowhere(town: Town, db: Database) -> None:
    owner = await town.owner()
    asked = await owner.post(TEAM + "/invites", JOAN)
    token = link_in(asked).partition("=")[2]

    assert (201, True) == (asked.status, "No mail server is set" in asked.body.decode())
    assert token not in (await owner.get(TEAM)).body.decode()
    async with db.read() as read:
        (row,) = (await read.execute(sa.select(invites))).all()
    assert token not in repr(row)


async def test_a_mail_server_that_refuses_is_told_without_the_link_and_asked_again(
    town: Town, mailed: Mailed, db: Database, ids: IdSource, clock: SimClock
) -> None:
    """Whoever has the link counts as the reader of that mail: who only invites must not have it."""
    async with server(Mailbox(), data_size_limit=10) as port:
        served = pages(state_with(state_of(db, clock, ids, mailing(port)), town.setup))
        owner = await replace(town, served=served).owner()
        asked = await owner.post(TEAM + "/invites", JOAN)
    (which,) = set(re.findall(r"/invites/(\d+)/resend", asked.body.decode()))
    again = await (await mailed.town.owner()).post(f"{TEAM}/invites/{which}/resend")

    assert (201, True) == (asked.status, "The mail to <bdi>joan@example.com</bdi> was not sent" in asked.body.decode())
    assert "/invite?token=" not in unescape(asked.body.decode())
    assert (303, ["joan@example.com"]) == (again.status, [letter["To"] for letter in mailed.letters])


async def test_who_is_a_user_already_signs_in_and_then_joins(town: Town, db: Database) -> None:
    owner = await town.owner()
    link = link_in(await owner.post(TEAM + "/invites", {"email": "Stranger@example.com", "role": "viewer"}))

    page = (await town.nobody.get(link)).body.decode()
    onward = re.search(r'href="(/sign-in\?next=[^"]+)"', page)
    assert onward is not None
    assert 403 == (await accept(town.nobody, link)).status  # no second user of that address by this way
    browser = town.nobody
    came = await browser.sign_in("stranger@example.com", "correct horse battery")
    assert 303 == came.status
    assert "Join</button>" in (await browser.get(link)).body.decode()
    joined = await browser.post("/invite", {"token": link.partition("=")[2]})

    assert (303, "/p/main/checks") == (joined.status, joined.headers["location"])
    assert "viewer" == (await roles(db))["stranger"]


async def test_signed_in_as_somebody_else_nobody_joins(town: Town, db: Database) -> None:
    owner = await town.owner()
    link = link_in(await owner.post(TEAM + "/invites", JOAN))
    stranger = await town.stranger()

    assert "the invite is for another address" in (await stranger.get(link)).body.decode()
    assert 403 == (await accept(stranger, link)).status
    assert (1, False) == (await n_invites(db), "stranger" in await roles(db))


@pytest.mark.parametrize(
    ("sent", "field"),
    [({"password": "short", "again": "short"}, "password"), ({"again": "another one"}, "again"),
     ({"zone": "Middle/Earth"}, "zone")],
)  # fmt: skip
async def test_what_is_wrong_when_joining_is_said_beside_its_field(
    town: Town, db: Database, sent: dict[str, str], field: str
) -> None:
    owner = await town.owner()
    link = link_in(await owner.post(TEAM + "/invites", JOAN))
    told = await accept(town.nobody, link, **sent)

    assert (422, True) == (told.status, f'id="{field}-wrong"' in told.body.decode())
    assert 1 == await n_invites(db)


@on_sqlite
@pytest.mark.parametrize(
    ("email", "role", "status", "words"),
    [
        ("member@example.com", "viewer", 409, "is a member already"),
        ("grace@example.com", "viewer", 409, "is invited already"),
        ("no address", "viewer", 422, "must be"),
        ("a\x00b@example.com", "viewer", 422, "must be"),
        ("x" * 300 + "@example.com", "viewer", 422, "must be"),
        ("<b>@example.com", "viewer", 422, "must be"),
        ("new@example.com", "king", 422, "must be one of"),
        ("", "viewer", 422, "must be"),
    ],
)
async def test_an_invite_that_cannot_be_is_refused_with_what_was_typed(
    town: Town, email: str, role: str, status: int, words: str
) -> None:
    owner = await town.owner()
    await owner.post(TEAM + "/invites", {"email": "grace@example.com", "role": "viewer"})
    told = await owner.post(TEAM + "/invites", {"email": email, "role": role})

    assert (status, True) == (told.status, words in told.body.decode())


# --- members -------------------------------------------------------------------------------------


async def test_roles_change_and_members_go(town: Town, db: Database) -> None:
    admin, member = await town.admin(), await town.member()
    temp = await town.user_id("temp@example.com")
    assert 303 == (await admin.post(f"{TEAM}/members/{temp}/role", {"role": "viewer"})).status
    assert "viewer" == (await roles(db))["temp"]
    assert 303 == (await admin.post(f"{TEAM}/members/{temp}/remove")).status
    left = await member.post(TEAM + "/leave")

    assert (303, "/") == (left.status, left.headers["location"])
    assert {"owner", "admin", "viewer"} == set(await roles(db))
    assert 404 == (await member.get("/p/main/checks")).status


async def test_an_admin_neither_makes_nor_unmakes_owners(town: Town, db: Database) -> None:
    admin = await town.admin()
    owner_id, temp = await town.user_id("owner@example.com"), await town.user_id("temp@example.com")
    tried = [
        await admin.post(f"{TEAM}/members/{owner_id}/role", {"role": "viewer"}),
        await admin.post(f"{TEAM}/members/{owner_id}/remove"),
        await admin.post(f"{TEAM}/members/{temp}/role", {"role": "owner"}),
        await admin.post(TEAM + "/invites", {"email": "joan@example.com", "role": "owner"}),
        await admin.post(TEAM + "/hand-over", {"member": temp}),
    ]

    assert [403] * 5 == [reply.status for reply in tried]
    assert ("owner", "member", 0) == ((await roles(db))["owner"], (await roles(db))["temp"], await n_invites(db))


async def test_the_last_owner_neither_leaves_nor_becomes_less(town: Town, db: Database) -> None:
    owner = await town.owner()
    mine = await town.user_id("owner@example.com")
    left = await owner.post(TEAM + "/leave")
    less = await owner.post(f"{TEAM}/members/{mine}/role", {"role": "admin"})

    assert (409, 409) == (left.status, less.status)
    assert "last owner" in left.body.decode()
    assert "owner" == (await roles(db))["owner"]


async def test_a_project_is_handed_over(town: Town, db: Database) -> None:
    owner = await town.owner()
    given = await owner.post(TEAM + "/hand-over", {"member": await town.user_id("temp@example.com")})

    assert 303 == given.status
    assert ("owner", "admin") == ((await roles(db))["temp"], (await roles(db))["owner"])
    assert 403 == (await owner.post(TEAM + "/hand-over", {"member": await town.user_id("admin@example.com")})).status


async def test_viewers_see_the_team_and_no_buttons(town: Town) -> None:
    page = (await (await town.viewer()).get(TEAM)).body.decode()

    assert "owner@example.com" in page
    assert "Invite somebody" not in page
    assert "/role" not in page


async def test_the_commands_themselves_refuse_a_link_that_has_ended(town: Town, ids: IdSource, db: Database) -> None:
    """Whatever a page has looked at before: time passes between looking and joining."""
    owner = await town.owner()
    token = link_in(await owner.post(TEAM + "/invites", JOAN)).partition("=")[2]

    def late(tx: Tx) -> Any:
        return join_as_new_user(tx, token, password_hash="x", zone="UTC", ip="", at=START + LASTS, ids=ids)

    with pytest.raises(NotFoundError):
        await db.write(late)
    assert (1, False) == (await n_invites(db), "joan" in await roles(db))


# --- what ends with whoever invited -----------------------------------------------------------------


async def test_what_somebody_invited_to_ends_when_he_is_removed(town: Town, db: Database) -> None:
    owner, admin = await town.owner(), await town.admin()
    theirs = link_in(await admin.post(TEAM + "/invites", JOAN))
    ours = link_in(await owner.post(TEAM + "/invites", {"email": "grace@example.com", "role": "viewer"}))
    which = await town.user_id("admin@example.com")
    assert 303 == (await owner.post(f"{TEAM}/members/{which}/remove")).status

    assert (404, 303) == ((await accept(town.nobody, theirs)).status, (await accept(town.nobody, ours)).status)
    async with db.read() as read:
        query = sa.select(audit.c.actor, audit.c.before).where(audit.c.action == "invite.revoke")
        assert [("user:owner@example.com", JOAN)] == [tuple(row) for row in await read.execute(query)]


@pytest.mark.parametrize(("role", "left"), [("admin", {"member"}), ("member", set()), ("viewer", set())])
async def test_what_somebody_could_not_invite_to_any_more_ends_with_his_role(
    town: Town, db: Database, role: str, left: set[str]
) -> None:
    """Or he would let himself in again under another address."""
    owner, temp = await town.owner(), await town.user_id("temp@example.com")
    assert 303 == (await owner.post(f"{TEAM}/members/{temp}/role", {"role": "owner"})).status
    other = await town.browser("temp@example.com")
    for asked in ("owner", "member"):
        await other.post(TEAM + "/invites", {"email": f"{asked}2@example.com", "role": asked})
    assert 2 == await n_invites(db)
    assert 303 == (await owner.post(f"{TEAM}/members/{temp}/role", {"role": role})).status

    async with db.read() as read:
        assert left == set((await read.execute(sa.select(invites.c.role))).scalars())


async def test_a_project_sends_so_many_invites_an_hour_and_no_more(
    town: Town, clock: SimClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.accounts.invites.PER_HOUR", 2)
    owner, stranger = await town.owner(), await town.stranger()
    made = await owner.post(TEAM + "/invites", JOAN)
    (which,) = set(re.findall(r"/invites/(\d+)/resend", made.body.decode()))
    clock.move_to(START + timedelta(minutes=10))
    assert 201 == (await owner.post(f"{TEAM}/invites/{which}/resend")).status

    refused = await owner.post(TEAM + "/invites", {"email": "grace@example.com", "role": "viewer"})
    again = await owner.post(f"{TEAM}/invites/{which}/resend")

    assert (429, 429, "3001") == (refused.status, again.status, refused.headers["retry-after"])
    assert "a project may send 2 invites an hour; wait 50 min" in refused.body.decode()
    assert 'value="grace@example.com"' in refused.body.decode()
    assert 201 == (await stranger.post("/p/next-door/settings/team/invites", JOAN)).status
    clock.move_to(START + timedelta(hours=1, seconds=1))
    assert 201 == (await owner.post(TEAM + "/invites", {"email": "grace@example.com", "role": "viewer"})).status
