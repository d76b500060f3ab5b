"""The second step: who has only the password, or a code that was used, stays outside."""

from __future__ import annotations

import re
from base64 import b32decode
from datetime import timedelta
from html import unescape

import pytest
import sqlalchemy as sa

from heartfly.accounts import sessions
from heartfly.accounts.commands import reset_password
from heartfly.accounts.second_step import BETWEEN, switch_off_by_email
from heartfly.audit.record import CLI
from heartfly.core import totp
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, backup_codes, users
from tests.api.door import Reply
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town, hash_of

pytestmark = pytest.mark.anyio

OWNER, PAGE = "owner@example.com", "/account/security/2fa"
STEP = timedelta(seconds=totp.STEP_S)


def hidden(reply: Reply, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', reply.body.decode())
    assert found is not None, reply.body.decode()
    return unescape(found[1])


async def set_up(owner: Browser, clock: SimClock) -> tuple[bytes, list[str]]:
    """The app's secret, and the backup codes."""
    shown = await owner.get(PAGE)
    found = re.search(r'<p class="mono wrap">([A-Z2-7 ]+)</p>', shown.body.decode())
    assert found is not None
    secret = b32decode(found[1].replace(" ", ""))
    code = totp.code_of(secret, totp.step_of(clock.now()))
    done = await owner.post(PAGE, {"plan": hidden(shown, "plan"), "code": code, "password": PASSWORD})
    assert 201 == done.status, done.body.decode()
    return secret, re.findall(r"\b(?:[a-z2-7]{4}-){5}[a-z2-7]{4}\b", done.body.decode())


async def first_step(browser: Browser) -> str:
    """The proof of the password."""
    return hidden(await browser.sign_in(OWNER, PASSWORD), "proof")


async def prove(browser: Browser, proof: str, code: str, **more: str) -> Reply:
    return await browser.post("/sign-in/2fa", {"proof": proof, "code": code, **more})


async def test_the_qr_code_is_drawn_and_the_secret_is_sealed(town: Town, clock: SimClock, db: Database) -> None:
    owner = await town.owner()
    shown = (await owner.get(PAGE)).body.decode()
    secret, codes = await set_up(owner, clock)

    assert re.search(r'<svg viewBox="0 0 \d+ \d+" class="qr"><path fill="#fff"', shown)
    assert "style=" not in shown
    assert (10, 10) == (len(codes), len(set(codes)))
    async with db.read() as read:
        row = (await read.execute(sa.select(users).where(users.c.email == OWNER))).one()
        hashes = (await read.execute(sa.select(backup_codes.c.hash))).scalars().all()
        entries = (await read.execute(sa.select(audit).where(audit.c.action == "member.second_step_on"))).all()
    assert secret not in row.totp_enc
    assert totp.spelled(secret) not in repr(row)
    assert not [code for code in codes if code in repr(hashes) or code.replace("-", "") in repr(hashes)]
    assert ["user:owner@example.com"] == [entry.actor for entry in entries]
    assert codes[0] not in (await owner.get(PAGE)).body.decode()
    assert "10 backup codes left" in (await owner.get("/account/security")).body.decode()


async def test_the_password_alone_opens_nothing(town: Town, clock: SimClock) -> None:
    secret, _ = await set_up(await town.owner(), clock)
    clock.move_to(START + STEP)
    browser = town.nobody
    asked = await browser.sign_in(OWNER, PASSWORD)

    assert (200, {}) == (asked.status, browser.cookies)
    wrong = await prove(browser, hidden(asked, "proof"), "000000")
    assert (422, {}) == (wrong.status, browser.cookies)
    assert 303 == (await browser.get("/account/security")).status
    right = await prove(
        browser, hidden(wrong, "proof"), totp.code_of(secret, totp.step_of(clock.now())), next="/p/main/incidents"
    )
    assert (303, "/p/main/incidents") == (right.status, right.headers["location"])
    assert 200 == (await browser.get("/account/security")).status


async def test_a_code_counts_once(town: Town, clock: SimClock) -> None:
    secret, _ = await set_up(await town.owner(), clock)
    used = totp.code_of(secret, totp.step_of(clock.now()))  # by the set-up
    assert 422 == (await prove(town.nobody, await first_step(town.nobody), used)).status
    clock.move_to(START + STEP)
    code = totp.code_of(secret, totp.step_of(clock.now()))
    proofs = [await first_step(town.nobody) for _ in range(2)]

    assert [303, 422] == [(await prove(town.nobody, proof, code)).status for proof in proofs]


async def test_a_backup_code_counts_once_however_it_is_typed(town: Town, clock: SimClock) -> None:
    owner = await town.owner()
    _, codes = await set_up(owner, clock)
    typed = [codes[0], codes[0], codes[1].upper().replace("-", " "), codes[1]]
    statuses = [(await prove(town.nobody, await first_step(town.nobody), code)).status for code in typed]

    assert [303, 422, 303, 422] == statuses
    assert "8 backup codes left" in (await owner.get("/account/security")).body.decode()


async def test_what_the_first_step_proved_ends_and_cannot_be_made_up(town: Town, clock: SimClock) -> None:
    secret, codes = await set_up(await town.owner(), clock)
    proof = await first_step(town.nobody)
    clock.move_to(START + BETWEEN)
    code = totp.code_of(secret, totp.step_of(clock.now()))
    plan = hidden(await (await town.viewer()).get(PAGE), "plan")

    for other in (proof, proof[:-4] + "AAAA", "", "x" * 5000, "ö", plan):
        refused = await prove(town.nobody, other, code)
        assert (403, True) == (refused.status, "Sign in again." in refused.body.decode())
    assert 303 == (await prove(town.nobody, await first_step(town.nobody), codes[0])).status


async def test_a_password_that_was_changed_between_the_steps_opens_nothing(
    town: Town, clock: SimClock, db: Database
) -> None:
    _, codes = await set_up(await town.owner(), clock)
    proof = await first_step(town.nobody)
    await db.write(lambda tx: tx.conn.execute(sa.update(users).values(password_hash="another")).rowcount)

    assert 403 == (await prove(town.nobody, proof, codes[0])).status


async def test_codes_cannot_be_guessed_from_many_places(town: Town, clock: SimClock) -> None:
    _, codes = await set_up(await town.owner(), clock)
    proof = await first_step(town.nobody)
    tried = [(await prove(Browser(town.served, place=f"192.0.2.{n}"), proof, "123456")).status for n in range(21)]

    assert [422] * 20 + [429] == tried
    right = await prove(town.nobody, proof, codes[0])
    assert (429, True) == (right.status, int(right.headers["retry-after"]) > 0)


async def test_codes_cannot_be_guessed_all_day(town: Town, clock: SimClock) -> None:
    """Whoever has the password alone and goes on for months would be right once."""
    _, codes = await set_up(await town.owner(), clock)
    heard = []
    for quarter in range(6):
        clock.move_to(START + quarter * timedelta(minutes=16))
        proof = await first_step(town.nobody)
        places = [Browser(town.served, place=f"192.0.2.{20 * quarter + n}") for n in range(20)]
        heard += [(await prove(browser, proof, "123456")).status for browser in places]
    assert [422] * 100 + [429] * 20 == heard

    clock.move_to(START + timedelta(hours=2))
    refused = await prove(town.nobody, await first_step(town.nobody), codes[0])
    assert (429, str(22 * 3600 + 1)) == (refused.status, refused.headers["retry-after"])
    page = refused.body.decode()
    assert "Too many tries. Wait 22 h" in page
    # Only who has the password comes so far, and whose it is has no other word of that.
    assert ("somebody knows your password" in page, '<a href="/sign-in/reset">' in page) == (True, True)
    clock.move_to(START + timedelta(days=1, minutes=1))
    assert 303 == (await prove(town.nobody, await first_step(town.nobody), codes[0])).status


async def test_with_another_password_the_tries_of_who_had_the_old_one_keep_nobody_out(
    town: Town, clock: SimClock, db: Database, ids: IdSource
) -> None:
    _, codes = await set_up(await town.owner(), clock)
    proof = await first_step(town.nobody)
    for n in range(21):
        last = await prove(Browser(town.served, place=f"192.0.2.{n}"), proof, "123456")
    assert 429 == last.status

    def other(tx: Tx) -> None:
        new = hash_of("another password")
        reset_password(tx, email=OWNER, password_hash=new, actor=CLI, at=START, ids=ids)

    await db.write(other)
    signing_in = await town.nobody.sign_in(OWNER, "another password")
    assert 303 == (await prove(town.nobody, hidden(signing_in, "proof"), codes[0])).status


async def test_a_wrong_first_code_switches_nothing_on(town: Town, clock: SimClock) -> None:
    owner = await town.owner()
    shown = await owner.get(PAGE)
    told = await owner.post(PAGE, {"plan": hidden(shown, "plan"), "code": "12345", "password": PASSWORD})
    viewers = await (await town.viewer()).post(PAGE, {"plan": hidden(shown, "plan"), "code": "123456"})

    assert (422, True) == (told.status, 'id="code-wrong"' in told.body.decode())
    assert hidden(shown, "plan") == hidden(told, "plan")
    assert (303, PAGE) == (viewers.status, viewers.headers["location"])  # a plan is its maker's
    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status


async def test_it_is_switched_on_with_the_password_only(town: Town, clock: SimClock) -> None:
    """Who finds an open browser must not lock its owner out with an app of his own."""
    owner = await town.owner()
    shown = await owner.get(PAGE)
    secret = b32decode(re.findall(r'<p class="mono wrap">([A-Z2-7 ]+)</p>', shown.body.decode())[0].replace(" ", ""))
    sent = {"plan": hidden(shown, "plan"), "code": totp.code_of(secret, totp.step_of(clock.now()))}

    for wrong in ({"password": "wrong password"}, {}):
        told = await owner.post(PAGE, sent | wrong)
        assert (422, True) == (told.status, 'id="password-wrong"' in told.body.decode())
        assert sent["plan"] == hidden(told, "plan")
    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status
    assert 201 == (await owner.post(PAGE, sent | {"password": PASSWORD})).status


async def test_it_is_switched_off_with_the_password_only(town: Town, clock: SimClock, db: Database) -> None:
    owner = await town.owner()
    _, codes = await set_up(owner, clock)
    refused = await owner.post(PAGE + "/off", {"password": "wrong password"})
    renewed = await owner.post(PAGE + "/codes", {"password": PASSWORD})

    assert (422, True) == (refused.status, 'id="password-wrong"' in refused.body.decode())
    assert 201 == renewed.status
    assert 422 == (await prove(town.nobody, await first_step(town.nobody), codes[0])).status
    assert 303 == (await owner.post(PAGE + "/off", {"password": PASSWORD})).status
    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status
    async with db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(backup_codes))).scalar_one()
        told = (await read.execute(sa.select(audit.c.actor, audit.c.action).order_by(audit.c.id))).all()
    mine = [entry.action for entry in told if entry.actor == f"user:{OWNER}" and entry.action.startswith("member.")]
    assert ["member.second_step_on", "member.renew_backup_codes", "member.second_step_off"] == mine


async def test_switched_on_it_ends_the_sessions_elsewhere(town: Town, clock: SimClock) -> None:
    elsewhere, here = await town.owner(), await town.owner()
    await set_up(here, clock)

    assert (303, 200) == ((await elsewhere.get("/account/security")).status, (await here.get(PAGE)).status)


async def test_a_sign_in_under_way_does_not_outlive_the_switching_on(
    town: Town, clock: SimClock, db: Database, ids: IdSource
) -> None:
    """Its password was looked at while that was enough; its session would begin after the others were ended."""
    here = await town.owner()
    async with db.read() as read:
        user = (await read.execute(sa.select(users).where(users.c.email == OWNER))).one()

    async def begun() -> str | None:
        return await db.write(
            lambda tx: sessions.begin(
                tx, user.id, password_hash=user.password_hash, ip="", agent="", replaces="", at=START, ids=ids
            )
        )

    assert await begun() is not None
    await set_up(here, clock)
    assert await begun() is None


async def test_who_lost_phone_and_codes_is_helped_on_the_server(
    town: Town, clock: SimClock, db: Database, ids: IdSource
) -> None:
    await set_up(await town.owner(), clock)
    await db.write(lambda tx: switch_off_by_email(tx, "Owner@example.com", actor=CLI, at=START, ids=ids))

    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status
