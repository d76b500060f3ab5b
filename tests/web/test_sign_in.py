"""Who comes in, for how long, and what a thief of passwords, cookies or clicks does not get."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa
from anyio.lowlevel import checkpoint

from heartfly.accounts import passwords, sign_in
from heartfly.accounts.commands import reset_password
from heartfly.accounts.sessions import IDLE, LONGEST
from heartfly.accounts.turnstile import Turnstile
from heartfly.audit.record import CLI
from heartfly.config import Server, Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import sessions, users
from heartfly.web.pages import pages
from heartfly.web.state import WebState
from tests.api.door import Reply, state_of
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town, hash_of, state_with

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"


async def n_sessions(db: Database) -> int:
    async with db.read() as read:
        return int((await read.execute(sa.select(sa.func.count()).select_from(sessions))).scalar_one())


async def is_in(browser: Browser) -> bool:
    return 200 == (await browser.get("/account/security")).status


async def test_a_password_opens_a_session_that_only_the_cookie_holds(town: Town, db: Database) -> None:
    browser = town.nobody
    came = await browser.sign_in("Owner@Example.com", PASSWORD)

    assert (303, "/") == (came.status, came.headers["location"])
    cookie = came.headers["set-cookie"]
    assert re.fullmatch(r"heartfly=[\w-]{43}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax", cookie)
    async with db.read() as read:
        (row,) = (await read.execute(sa.select(sessions))).all()
    assert browser.cookies["heartfly"] not in repr(row)
    assert "/p/main/checks" == (await browser.get("/")).headers["location"]


async def test_over_https_the_cookie_is_for_this_host_alone(
    db: Database, ids: IdSource, clock: SimClock, town: Town
) -> None:
    api = state_of(db, clock, ids, Settings(server=Server(base_url="https://beat.example.org")))
    object.__setattr__(api, "base_url", "https://beat.example.org")
    browser = Browser(pages(state_with(api, town.setup)))
    came = await browser.sign_in(OWNER, PASSWORD, origin="https://beat.example.org")

    assert came.headers["set-cookie"].startswith("__Host-heartfly=")
    assert came.headers["set-cookie"].endswith("; Secure")
    assert "max-age=31536000" == came.headers["strict-transport-security"]
    assert await is_in(browser)
    keys = await browser.post("/account/keyboard", {"keys": "off"}, origin="https://beat.example.org")
    assert keys.headers["set-cookie"].startswith("__Host-heartfly-keys=off; Path=/; ")
    assert keys.headers["set-cookie"].endswith("; Secure")


async def test_the_log_tells_from_where_somebody_tried_to_sign_in_and_never_with_what(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    browser = town.nobody
    for password in ("a canary of a password", PASSWORD):
        await browser.sign_in(OWNER, password)
    await browser.get("/account/security")

    said = capsys.readouterr().err
    lines = [json.loads(one) for one in said.splitlines() if '"page"' in one]
    told = [(one["method"], one["route"], one["status"], one.get("client")) for one in lines]
    place = told[-2][3]
    assert [("POST", "/sign-in", status, place) for status in (422, 303)] == [one for one in told if one[3]]
    assert [] == [secret for secret in ("canary", OWNER) if secret in said]


async def test_a_visitor_leaves_no_session_and_gets_no_cookie(town: Town, db: Database) -> None:
    for path in ("/", "/sign-in", "/p/main/checks", "/nothing", "/setup"):
        assert "set-cookie" not in (await town.nobody.get(path)).headers
    assert 0 == await n_sessions(db)


@pytest.mark.parametrize(
    ("email", "password"),
    [(OWNER, "wrong"), ("nobody@example.com", PASSWORD), (OWNER, ""), ("", ""), ("a\x00b", PASSWORD),
     ("ö@example.com", PASSWORD), (OWNER, PASSWORD + "x" * 2000), ("' OR 1=1 --", PASSWORD)],
)  # fmt: skip
async def test_whatever_is_wrong_the_answer_is_the_same(town: Town, email: str, password: str) -> None:
    browser = town.nobody
    said = await browser.sign_in(email, password)
    usual = await town.nobody.sign_in("some@example.com", "thing")

    assert (422, {}) == (said.status, browser.cookies)
    assert "The address and the password do not go together." in said.body.decode()
    without = [re.sub(rb'value="[^"]*"| autofocus', b"", page.body) for page in (said, usual)]
    assert without[0] == without[1]
    own = {name: said.headers[name] for name in ("content-length", "x-request-id")}
    assert said.headers == {**usual.headers, **own}


async def test_an_unknown_address_costs_as_much_hashing_as_a_known_one(
    town: Town, db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = passwords.hashed("of a person, not of a test")
    await db.write(lambda tx: reset_password(tx, email=OWNER, password_hash=slow, actor=CLI, at=START, ids=ids))
    compared: list[str] = []
    real = passwords.matches

    def watched(stored: str, password: str) -> bool:
        compared.append(stored.rpartition("$")[0].rpartition("$")[0])  # the parameters, which are the work
        return real(stored, password)

    monkeypatch.setattr(sign_in, "matches", watched)
    await town.nobody.sign_in(OWNER, "wrong password")
    await town.nobody.sign_in("nobody@example.com", "wrong password")

    assert 2 == len(compared)
    assert compared[0] == compared[1]


async def test_ten_wrong_tries_and_no_eleventh_even_with_the_right_password(town: Town, clock: SimClock) -> None:
    browser = town.nobody
    tried = [(await browser.sign_in(OWNER, f"wrong {i}")).status for i in range(11)]
    right = await browser.sign_in(OWNER, PASSWORD)

    assert [422] * 10 + [429] == tried
    assert (429, {}) == (right.status, browser.cookies)
    wait = int(right.headers["retry-after"])
    assert f"Wait {wait} seconds" in right.body.decode()
    clock.move_to(clock.now() + timedelta(seconds=wait))
    assert 303 == (await browser.sign_in(OWNER, PASSWORD)).status


async def test_a_made_up_forwarding_header_gains_no_further_try(town: Town) -> None:
    browser = town.nobody
    tried = []
    for i in range(12):
        made_up = [("X-Forwarded-For", f"203.0.113.{i}"), ("Forwarded", f"for=203.0.113.{i}")]
        tried.append((await browser.sign_in(OWNER, "wrong", headers=made_up)).status)
    assert [422] * 10 + [429] * 2 == tried


async def test_many_tries_at_once_gain_nothing(town: Town) -> None:
    told: list[int] = []

    async def one() -> None:
        told.append((await town.nobody.sign_in(OWNER, "wrong")).status)

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(one)
    assert [422] * 10 + [429] * 6 == sorted(told)


async def test_another_place_and_another_address_are_not_held_up(town: Town) -> None:
    for _ in range(11):
        await town.nobody.sign_in(OWNER, "wrong")

    assert await is_in(await town.browser(OWNER, place="192.0.2.8"))
    assert await is_in(await town.viewer())


def test_one_address_from_everywhere_and_one_place_for_every_address_are_bounded() -> None:
    tries = sign_in.Tries()
    for i in range(sign_in.PER_ADDRESS):
        tries.begin("ada@example.com", f"place {i}", 0.0)
        tries.begin(f"{i}@example.com", "one place", 0.0)

    with pytest.raises(sign_in.TooManyTriesError):
        tries.begin("ada@example.com", "a new place", 1.0)
    with pytest.raises(sign_in.TooManyTriesError) as refused:
        tries.begin("new@example.com", "one place", 1.0)
    assert sign_in.WINDOW_S == refused.value.retry_after
    tries.begin("new@example.com", "one place", sign_in.WINDOW_S + 0.5)


def test_all_addresses_of_one_ipv6_network_are_one_place() -> None:
    tries = sign_in.Tries()
    for i in range(sign_in.PER_PLACE):
        tries.begin(f"{i}@example.com", f"2001:db8:1:2:{i:x}::{i:x}", 0.0)

    with pytest.raises(sign_in.TooManyTriesError):
        tries.begin("new@example.com", "2001:db8:1:2:ffff::1", 1.0)
    tries.begin("new@example.com", "2001:db8:1:3::1", 1.0)
    tries.begin("new@example.com", "192.0.2.1", 1.0)


async def test_of_too_many_that_sign_in_at_once_some_are_told_when_to_come_again(town: Town, web: WebState) -> None:
    hashing = web.sign_in.hashing = Turnstile(at_once=1, waiting=1, again_s=3, busy="wait")
    told: list[Reply] = []

    async def one() -> None:
        told.append(await town.nobody.sign_in(OWNER, PASSWORD))

    async with anyio.create_task_group() as group, hashing:
        for _ in range(5):
            group.start_soon(one)
        with anyio.fail_after(60):
            while len(told) < 4:
                await checkpoint()

    assert [503] * 4 + [303] == [reply.status for reply in told]
    assert {"3"} == {reply.headers["retry-after"] for reply in told[:4]}
    assert "Too many people sign in at this moment. Wait 3 seconds" in told[0].body.decode()
    assert f'value="{OWNER}"' in told[0].body.decode()


async def test_a_try_that_nobody_looked_at_does_not_count(town: Town, web: WebState) -> None:
    hashing = web.sign_in.hashing = Turnstile(at_once=1, waiting=0, again_s=3, busy="wait")
    async with hashing:
        assert [503] * 12 == [(await town.nobody.sign_in(OWNER, PASSWORD)).status for _ in range(12)]

    assert 303 == (await town.nobody.sign_in(OWNER, PASSWORD)).status


def test_what_is_remembered_of_tries_is_bounded() -> None:
    tries = sign_in.Tries(remembered=30)
    for i in range(100):
        tries.begin(f"{i}@example.com", f"place {i}", 0.0)
    assert 30 == len(tries._tries)


async def test_signing_in_anew_ends_the_session_that_the_browser_had(town: Town, db: Database) -> None:
    browser = await town.owner()
    old = dict(browser.cookies)
    await browser.sign_in(OWNER, PASSWORD)

    assert old != browser.cookies
    assert not await is_in(Browser(town.served, dict(old)))
    assert await is_in(browser)
    assert 1 == await n_sessions(db)


async def test_a_token_that_somebody_planted_is_never_taken_on(town: Town) -> None:
    planted = "A" * 43
    browser = Browser(town.served, {"heartfly": planted})
    await browser.sign_in(OWNER, PASSWORD, token="")

    assert planted != browser.cookies["heartfly"]
    assert not await is_in(Browser(town.served, {"heartfly": planted}))


async def test_signing_out_ends_it_for_whoever_has_the_cookie(town: Town) -> None:
    browser = await town.owner()
    copied = Browser(town.served, dict(browser.cookies))
    out = await browser.post("/sign-out")

    assert (303, "/sign-in") == (out.status, out.headers["location"])
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert not await is_in(copied)


async def test_a_session_ends_after_a_day_without_use(town: Town, clock: SimClock) -> None:
    browser = await town.owner()
    clock.move_to(clock.now() + IDLE - timedelta(seconds=1))
    assert await is_in(browser)
    clock.move_to(clock.now() + IDLE - timedelta(seconds=1))
    assert await is_in(browser)
    clock.move_to(clock.now() + IDLE)
    assert not await is_in(browser)


async def test_a_session_ends_after_thirty_days_however_often_it_is_used(town: Town, clock: SimClock) -> None:
    browser = await town.owner()
    day = timedelta(hours=23)
    for _ in range(LONGEST // day):
        clock.move_to(clock.now() + day)
        assert await is_in(browser)
    clock.move_to(START + LONGEST)
    assert not await is_in(browser)


async def test_a_new_password_ends_every_session_of_its_user(town: Town, db: Database, ids: IdSource) -> None:
    owner, viewer = await town.owner(), await town.viewer()
    new = hash_of("another staple entirely")
    await db.write(lambda tx: reset_password(tx, email=OWNER, password_hash=new, actor=CLI, at=START, ids=ids))

    assert (False, True) == (await is_in(owner), await is_in(viewer))
    assert 422 == (await town.nobody.sign_in(OWNER, PASSWORD)).status


async def test_sessions_are_listed_and_each_can_be_ended(town: Town) -> None:
    here, there = await town.owner(), await town.browser(OWNER, place="192.0.2.99")
    page = (await here.get("/account/security")).body.decode()
    (action,) = re.findall(r'action="(/account/security/sessions/\d+/revoke)"', page)

    assert "192.0.2.99" in page
    assert 303 == (await here.post(action)).status
    assert (True, False) == (await is_in(here), await is_in(there))
    third, fourth = await town.owner(), await town.owner()
    await third.post("/account/security/sessions/revoke-others")
    assert (False, True, False) == (await is_in(here), await is_in(third), await is_in(fourth))


async def test_nobody_ends_the_session_of_somebody_else(town: Town, db: Database) -> None:
    owner, viewer = await town.owner(), await town.viewer()
    of_owner = sa.select(sessions.c.id).join(users, users.c.id == sessions.c.user_id).where(users.c.email == OWNER)
    async with db.read() as read:
        (theirs,) = (await read.execute(of_owner)).scalars()

    for which in (str(theirs), "0", "x", "9" * 30):
        assert 404 == (await viewer.post(f"/account/security/sessions/{which}/revoke")).status
    assert await is_in(owner)


@on_sqlite
@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/p/main/checks?q=a%20b", "/p/main/checks?q=a%20b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        (" //evil.example", "/"),
        ("/%0d%0aSet-Cookie:x=y", "/%0d%0aSet-Cookie:x=y"),  # a path that is quoted stays quoted
        ("/\r\nSet-Cookie: x=y", "/"),
        ("evil.example", "/"),
        ("///evil.example", "/"),
        ("/p/\u202emain", "/"),
        ("", "/"),
    ],
)
async def test_after_signing_in_one_goes_nowhere_but_here(town: Town, wanted: str, goes: str) -> None:
    browser = town.nobody
    came = await browser.post("/sign-in", {"email": OWNER, "password": PASSWORD, "next": wanted})

    assert (303, goes) == (came.status, came.headers["location"])


async def test_who_must_sign_in_first_comes_to_the_page_he_asked_for(town: Town) -> None:
    browser = town.nobody
    sent = await browser.get("/p/main/checks?status=down&q=%C3%A4")
    form = (await browser.get(sent.headers["location"])).body.decode()
    (wanted,) = re.findall(r'name="next" value="([^"]*)"', form)

    assert 303 == sent.status
    assert "/p/main/checks?status=down&amp;q=%C3%A4" == wanted


@on_sqlite
@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        ("http://beat.example.org", None, 303),
        ("null", None, 403),
        (None, None, 403),
        ("http://evil.example", None, 403),
        ("http://beat.example.org.evil.example", None, 403),
        ("http://beat.example.org", "cross-site", 403),
        ("http://beat.example.org", "same-site", 403),
        ("http://evil.example", "same-origin", 303),  # no page can say so; a proxy may have changed the host
        (None, "same-origin", 303),
        (None, "none", 403),
    ],
)
async def test_a_form_counts_only_from_a_page_of_ours(
    town: Town, origin: str | None, site: str | None, status: int
) -> None:
    browser = town.nobody
    assert status == (await browser.sign_in(OWNER, PASSWORD, origin=origin, site=site)).status
    signed_in = await town.owner()
    assert status == (await signed_in.post("/sign-out", origin=origin, site=site)).status


async def test_a_form_needs_the_token_of_its_own_session(town: Town) -> None:
    owner, viewer = await town.owner(), await town.viewer()
    good = await owner.form_token()
    for token in ("", "x", "A" * 88, "ä", await viewer.form_token(), good[:-4] + "AAA="):
        assert 403 == (await owner.post("/sign-out", token=token)).status
    assert good != await owner.form_token()
    assert 303 == (await owner.post("/sign-out", token=good)).status


async def test_a_form_in_another_dress_is_no_form(town: Town) -> None:
    owner = await town.owner()
    token = await owner.form_token()
    for kind in ("text/plain", "application/json", ""):
        assert 403 == (await owner.post("/sign-out", token=token, kind=kind)).status
    assert 400 == (await owner.post("/sign-out", token=token, kind="multipart/form-data; boundary=x")).status
    for more in ("", "\r\nContent-Type: text/plain; charset=nope"):
        part = f'--x\r\nContent-Disposition: form-data; name="a"{more}\r\n\r\n'.encode() + b"\xff\r\n--x--\r\n"
        assert 422 == (await owner.post_raw("/sign-out", part, kind="multipart/form-data; boundary=x")).status
    assert 200 == (await owner.get("/account/security")).status
