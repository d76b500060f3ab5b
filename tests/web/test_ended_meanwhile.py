"""A form that is under way as its session ends counts no more: of who was put out nothing comes in behind the help.

Whoever holds somebody's session, and his password, can send such forms without a pause, so one is always under way.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from heartfly.accounts import sessions
from heartfly.accounts.commands import reset_password
from heartfly.accounts.email_changes import ask, use
from heartfly.accounts.passkeys import remove_passkeys
from heartfly.accounts.second_step import switch_off_by_email
from heartfly.audit.record import CLI
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import email_changes, passkeys, users
from heartfly.errors import NotFoundError
from heartfly.web.pages import Pages, pages
from heartfly.web.state import WebState
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town, hash_of, state_with
from tests.web.test_passkeys import make, new
from tests.web.test_required import OWNER, at, demanding, held_up, switched_on
from tests.web.test_second_step import PAGE, STEP, hidden
from tests.web.test_team import Mailed, mailed

pytestmark = pytest.mark.anyio
__all__ = ["mailed"]

NEW = "another password"
OUT = (303, "/sign-in")


@pytest.fixture
async def served(web: WebState) -> Pages:
    return pages(demanding(web))


@pytest.fixture
async def over_https(web: WebState) -> Pages:
    return pages(demanding(web, over_https=True))


def helped(ids: IdSource) -> Callable[[Tx], None]:
    """What `heartfly user reset-2fa --passkeys` does."""

    def work(tx: Tx) -> None:
        user_id = switch_off_by_email(tx, OWNER, actor=CLI, at=START, ids=ids)
        remove_passkeys(tx, user_id, actor=CLI, at=START, ids=ids)

    return work


def with_another_password(ids: IdSource) -> Callable[[Tx], None]:
    return lambda tx: reset_password(tx, email=OWNER, password_hash=hash_of(NEW), actor=CLI, at=START, ids=ids)


async def has(db: Database) -> tuple[list[str], int, str]:
    """The names of all passkeys, how many second steps there are, and the owner's password as it is stored."""
    async with db.read() as read:
        names = (await read.execute(sa.select(passkeys.c.name))).scalars().all()
        n = (await read.execute(sa.select(sa.func.count(users.c.totp_enc)))).scalar_one()
        stored = (await read.execute(sa.select(users.c.password_hash).where(users.c.email == OWNER))).scalar_one()
    return list(names), n, stored


@pytest.mark.parametrize("ends", [helped, with_another_password])
async def test_no_passkey_comes_in_behind_the_end_of_its_session(
    town: Town, web: WebState, over_https: Pages, db: Database, ids: IdSource, ends: Callable[[IdSource], object]
) -> None:
    thief = await at(town, over_https)
    await make(thief, new(), name="First")
    left = [] if ends is helped else ["First"]

    reply = await held_up(web, make(thief, new(), name="Second"), ends(ids))  # type: ignore[arg-type]

    assert OUT == (reply.status, reply.headers["location"])
    assert (left, 0) == (await has(db))[:2]


async def test_no_first_factor_of_who_knew_the_password_comes_in_behind_another_password(
    town: Town, web: WebState, over_https: Pages, db: Database, ids: IdSource
) -> None:
    thief = await at(town, over_https)

    reply = await held_up(web, make(thief, new()), with_another_password(ids))

    assert OUT == (reply.status, reply.headers["location"])
    assert ([], 0) == (await has(db))[:2]


async def test_no_other_app_comes_in_behind_the_help(
    town: Town, web: WebState, clock: SimClock, db: Database, ids: IdSource
) -> None:
    thief = await at(town, town.served)
    assert 201 == (await switched_on(thief, await thief.get(PAGE), clock)).status
    clock.move_to(START + STEP)
    shown = await thief.get(f"{PAGE}?app=new")

    reply = await held_up(web, switched_on(thief, shown, clock, replaces="1"), helped(ids))

    assert OUT == (reply.status, reply.headers["location"])
    assert ([], 0) == (await has(db))[:2]


async def test_no_session_begins_with_a_password_that_was_changed_behind_the_end_of_the_one_before(
    town: Town, web: WebState, db: Database
) -> None:
    """Its owner has set up a second step, and with that everybody else is out."""
    plain = pages(web)
    thief, before = await at(town, plain), (await has(db))[2]
    sending = thief.post("/account/profile/password", {"old": PASSWORD, "password": NEW, "again": NEW})

    user_id = int(await town.user_id(OWNER))
    reply = await held_up(web, sending, lambda tx: sessions.end_all(tx, user_id))

    assert OUT == (reply.status, reply.headers["location"])
    assert "set-cookie" not in reply.headers
    assert before == (await has(db))[2]


async def test_no_letter_to_another_address_goes_out_behind_another_password(
    mailed: Mailed, db: Database, ids: IdSource
) -> None:
    web = state_with(mailed.state, mailed.town.setup)
    thief = await at(mailed.town, pages(web))
    sending = thief.post("/account/profile/email", {"email": "eve@example.net", "current": PASSWORD})

    reply = await held_up(web, sending, with_another_password(ids))
    await mailed.settled()

    assert OUT == (reply.status, reply.headers["location"])
    assert [] == mailed.letters
    async with db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(email_changes))).scalar_one()


async def test_nobody_is_erased_by_a_session_that_has_ended(town: Town, web: WebState, db: Database) -> None:
    thief, user_id = await at(town, pages(web), "viewer@example.com"), int(await town.user_id("viewer@example.com"))

    reply = await held_up(
        web, thief.post("/account/delete", {"password": PASSWORD}), lambda tx: sessions.end_all(tx, user_id)
    )

    assert OUT == (reply.status, reply.headers["location"])
    async with db.read() as read:
        assert user_id == (await read.execute(sa.select(users.c.id).where(users.c.id == user_id))).scalar()


async def test_with_the_first_passkey_an_address_that_was_asked_for_before_counts_no_more(
    mailed: Mailed, db: Database
) -> None:
    """Who has the password alone could have asked for it while nothing more was demanded."""
    thief = await at(mailed.town, mailed.town.served)
    asked = await thief.post("/account/profile/email", {"email": "eve@example.net", "current": PASSWORD})
    assert "done=asked" in asked.headers["location"]
    state = state_with(mailed.state, mailed.town.setup)

    owner = await at(mailed.town, pages(demanding(state, over_https=True)))
    assert 303 == (await make(owner, new())).status

    async with db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(email_changes))).scalar_one()


@pytest.mark.parametrize("by_app", [True, False])
async def test_who_has_copied_the_cookie_of_who_sets_up_his_first_factor_does_not_come_in_with_him(
    town: Town,
    over_https: Pages,
    clock: SimClock,
    by_app: bool,  # noqa: FBT001 - a table of cases
) -> None:
    owner = await at(town, town.served if by_app else over_https)
    thief = Browser(owner.pages, dict(owner.cookies))
    assert 200 == (await thief.get(PAGE)).status

    done = await switched_on(owner, await owner.get(PAGE), clock) if by_app else await make(owner, new())
    assert (201 if by_app else 303) == done.status

    assert "/sign-in?" in (await thief.get("/account/profile")).headers["location"]
    assert 200 == (await owner.get("/account/profile")).status
    if by_app:  # whose page has a form to sign out, of the session as it goes on
        out = await owner.post("/sign-out", {}, token=hidden(done, "form_token"))
        assert (303, True) == (out.status, "=;" in out.headers["set-cookie"])


async def test_with_the_help_an_address_that_a_session_asked_for_before_counts_no_more(
    town: Town, db: Database, ids: IdSource
) -> None:
    """Else who was put out would have a new password mailed there, and set up the next factor."""
    user_id = int(await town.user_id(OWNER))
    token = await db.write(lambda tx: ask(tx, user_id, "eve@example.net", at=START))

    await db.write(helped(ids))

    with pytest.raises(NotFoundError):
        await db.write(lambda tx: use(tx, token, ip="", at=START, ids=ids))
    assert user_id == int(await town.user_id(OWNER))
