"""More than a password: who has nothing beside it, where that is demanded, sets it up and does nothing else."""

from __future__ import annotations

import asyncio
import re
from base64 import b32decode
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs

from heartfly.accounts import sessions
from heartfly.accounts.commands import reset_password
from heartfly.accounts.letters import FactorChange
from heartfly.accounts.passkeys import remove_passkeys
from heartfly.accounts.relying_party import party_of
from heartfly.accounts.second_step import switch_off_by_email, switch_on
from heartfly.api.native import native_api
from heartfly.audit.record import CLI, Actor
from heartfly.config.accounts import Accounts
from heartfly.core import totp
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, passkeys, users
from heartfly.errors import ConflictError
from heartfly.web.audience import Audience
from heartfly.web.live import TICK_S, TRUST_S
from heartfly.web.pages import Pages, pages
from heartfly.web.request import REQUIRED
from heartfly.web.state import WebState
from tests.api.door import Door, Reply
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town, hash_of, state_with
from tests.web.listener import Listener
from tests.web.test_live import asleep
from tests.web.test_passkeys import ORIGIN, enter, make, new
from tests.web.test_passkeys import PAGE as PASSKEYS
from tests.web.test_second_step import PAGE, STEP, first_step, hidden, prove, set_up
from tests.web.test_setup import finish
from tests.web.test_team import JOAN, TEAM, Mailed, accept, link_in, mailed, part_of
from tests.web.test_valid_html import troubles
from tests.web.test_who_may import ELSEWHERE, ROUTES, is_safe
from tests.world import SEALER, make_world

pytestmark = pytest.mark.anyio
__all__ = ["mailed"]

OWNER, CHECKS = "owner@example.com", "/p/main/checks"
MOMENT = timedelta(seconds=1)

WHILE_BOUND: dict[tuple[str, str], int] = {
    ("GET", REQUIRED): 200,
    ("GET", PAGE): 200,
    ("POST", PAGE): 303,  # no plan was sent: another one is shown
    ("GET", PASSKEYS): 200,
    ("GET", f"{PASSKEYS}/new"): 404,  # plain http
    ("POST", PASSKEYS): 422,
    ("POST", "/sign-out"): 303,
    # Of pages for all he gets what nobody gets, but for two on which he would be asked to sign in once more.
    ("GET", "/sign-in"): 303,
    ("GET", "/invite"): 303,
}


def demanding(web: WebState, *, over_https: bool = False) -> WebState:
    settings = structs.replace(web.api.settings, accounts=Accounts(second_step="required"))
    if over_https:
        return replace(web, api=replace(web.api, settings=settings, base_url=ORIGIN), party=party_of(ORIGIN))
    return replace(web, api=replace(web.api, settings=settings))


@pytest.fixture
async def served(web: WebState) -> Pages:
    """What `town` shows: pages that demand more than a password."""
    return pages(demanding(web))


@pytest.fixture
async def over_https(web: WebState) -> Pages:
    return pages(demanding(web, over_https=True))


async def at(town: Town, served: Pages, email: str = OWNER, **more: str) -> Browser:
    """Signed in there with the password."""
    browser = Browser(served)
    assert 303 == (await browser.post("/sign-in", {"email": email, "password": PASSWORD} | more)).status
    return browser


async def is_bound(browser: Browser) -> bool:
    reply = await browser.get("/account/profile")
    return (303, f"{REQUIRED}?next=%2Faccount%2Fprofile") == (reply.status, reply.headers.get("location"))


# --- nothing else opens --------------------------------------------------------------------------


async def test_no_route_opens_to_who_has_only_a_password(town: Town) -> None:
    """Every route of the pages. One that is added opens to nobody who is bound, or has its line above."""
    await town.world.check(START, name="Zebra", slug="zebra")
    bound = await town.owner()
    values = {
        "project": "main", "check": "zebra", "member": await town.user_id("temp@example.com"), "session": "1",
        "key": await town.key_id(), "n": "1", "kind": "email", "passkey": "1", "slug": "ours", "form": "csv",
            "tag": "checks",
    }  # fmt: skip
    asked = 0
    for (method, route), row in ROUTES.items():
        path = re.sub(r"{(\w+)}", lambda found: values.get(found[1], "none"), route)
        browser = await town.owner() if route == "/sign-out" else bound
        reply = await (browser.get(path + ELSEWHERE) if method == "GET" else browser.post(path, dict(row.sent)))
        is_safe(reply, route)
        if (expected := WHILE_BOUND.get((method, route))) is not None:
            assert expected == reply.status, (method, route)
        elif isinstance(row.nobody, int):
            assert row.nobody == reply.status, (method, route)
        else:
            there = reply.headers.get("location", "")
            assert (303, True) == (reply.status, there.startswith(REQUIRED)), (method, route, reply.status, there)
            asked += 1
        for told in ("Zebra", 'href="/p/main', "member@example.com"):
            assert told not in reply.body.decode(), (method, route, told)
    assert asked > 150


async def test_no_stream_and_no_head_opens_either(town: Town) -> None:
    bound = await town.owner()
    async with Listener(bound) as tab:
        assert (303, b"") == (tab.status, tab.body)
    head = await bound.get(CHECKS, method="HEAD")
    assert (303, True) == (head.status, head.headers["location"].startswith(REQUIRED))


async def test_keys_of_programs_open_what_they_did(town: Town, web: WebState) -> None:
    door = Door(native_api(demanding(web).api), town.world.project.api_key)
    assert 200 == (await door("GET", "/v1/checks")).status


async def test_the_page_says_why_and_both_ways_and_lets_one_go(town: Town, over_https: Pages) -> None:
    bound = await at(town, over_https)
    page = (await bound.get(f"{REQUIRED}?next=/p/main/incidents")).body.decode()
    plain = (await (await town.owner()).get(REQUIRED)).body.decode()

    assert "wants more than a password of everybody" in page
    ways = re.findall(r'<a class="button[^"]*" href="([^"]+)"', page)
    assert [f"{way}?next=/p/main/incidents" for way in (PASSKEYS, PAGE)] == ways
    assert [PAGE] == re.findall(r'<a class="button[^"]*" href="([^"]+)"', plain)
    assert "over https only" in plain
    assert "/account/profile" not in page
    assert "Main" not in page
    assert (303, "/sign-in") == ((out := await bound.post("/sign-out")).status, out.headers["location"])
    assert (303, True) == ((late := await bound.get(REQUIRED)).status, "/sign-in?" in late.headers["location"])


async def test_what_is_shown_meanwhile_is_valid_html(town: Town, over_https: Pages) -> None:
    bound, plain = await at(town, over_https), await town.owner()
    shown = [await one.get(path) for one in (bound, plain) for path in (REQUIRED, PAGE, PASSKEYS)]
    assert [200] * 6 == [reply.status for reply in shown]
    assert [] == [trouble for reply in shown for trouble in troubles(reply.body.decode())]


async def test_where_nothing_is_demanded_there_is_no_such_page(town: Town, web: WebState) -> None:
    owner = await at(town, pages(web))
    assert (200, 303) == ((await owner.get(CHECKS)).status, (there := await owner.get(REQUIRED)).status)
    assert "/account/security" == there.headers["location"]


# --- setting it up -------------------------------------------------------------------------------


async def test_with_an_app_set_up_he_goes_where_he_wanted_to(town: Town, clock: SimClock) -> None:
    bound, elsewhere = await town.owner(), await town.owner()
    led = (await bound.get("/p/main/incidents?status=open")).headers["location"]
    (way,) = re.findall(rf'href="({PAGE}[^"]*)"', (await bound.get(led)).body.decode())
    shown = await bound.get(way)
    assert "/p/main/incidents?status=open" == hidden(shown, "next")
    done = await switched_on(bound, shown, clock)

    assert 201 == done.status
    assert 'href="/p/main/incidents?status=open">I have kept them' in done.body.decode()
    assert [200, 200] == [(await bound.get(path)).status for path in ("/p/main/incidents?status=open", CHECKS)]
    assert "/sign-in?" in (await elsewhere.get(REQUIRED)).headers["location"]  # who else had the password is out


async def switched_on(browser: Browser, shown: Reply, clock: SimClock, **more: str) -> Reply:
    """The form that is shown, filled in."""
    sent = {"plan": hidden(shown, "plan"), "next": next_of(shown), "code": code_of(shown, clock)}
    return await browser.post(PAGE, sent | {"password": PASSWORD} | more)


def next_of(shown: Reply) -> str:
    found = re.search(r'name="next" value="([^"]*)"', shown.body.decode())
    return found[1] if found else ""


def secret_of(shown: Reply) -> bytes:
    found = re.search(r'<p class="mono wrap">([A-Z2-7 ]+)</p>', shown.body.decode())
    assert found is not None, shown.body.decode()
    return b32decode(found[1].replace(" ", ""))


def code_of(shown: Reply, clock: SimClock) -> str:
    return totp.code_of(secret_of(shown), totp.step_of(clock.now()))


async def test_a_mistake_on_the_way_loses_neither_the_secret_nor_where_he_wanted_to_go(
    town: Town, clock: SimClock
) -> None:
    bound = await town.owner()
    shown = await bound.get(f"{PAGE}?next=/p/main/incidents")
    wrong = await switched_on(bound, shown, clock, code="12345")

    assert (422, "/p/main/incidents", secret_of(shown)) == (wrong.status, next_of(wrong), secret_of(wrong))
    assert await is_bound(bound)
    stale = await bound.post(PAGE, {"plan": "made up", "next": "/p/main/incidents"})
    assert f"{PAGE}?next=%2Fp%2Fmain%2Fincidents" == stale.headers["location"]
    assert 422 == (await switched_on(bound, shown, clock, password="wrong password")).status
    assert 201 == (await switched_on(bound, shown, clock)).status


async def test_with_a_passkey_made_he_goes_where_he_wanted_to(town: Town, over_https: Pages) -> None:
    bound, elsewhere = await at(town, over_https), await at(town, over_https)
    wrong = await make(bound, new(), name="", next="/p/main/incidents")
    made = await make(bound, new(), next="/p/main/incidents")

    assert (422, "/p/main/incidents") == (wrong.status, next_of(wrong))
    assert (303, "/p/main/incidents") == (made.status, made.headers["location"])
    assert 200 == (await bound.get(CHECKS)).status
    assert "/sign-in?" in (await elsewhere.get(CHECKS)).headers["location"]


async def test_nobody_is_led_away_from_here(town: Town, over_https: Pages, clock: SimClock) -> None:
    bound = await at(town, over_https, next="//evil.example")
    shown = await bound.get(f"{PAGE}?next=//evil.example")
    assert "" == next_of(shown)
    assert "evil" not in (await bound.get(f"{REQUIRED}?next=https://evil.example")).body.decode()
    assert "/" == (await make(bound, new(), next="//evil.example")).headers["location"]


async def test_of_two_who_have_the_password_the_second_adds_nothing_of_his_own(
    town: Town, over_https: Pages, clock: SimClock, db: Database, ids: IdSource
) -> None:
    """Not by a session from before, which ends; what else he may have under way counts as little."""
    thief = await at(town, over_https)
    user_id, owner = int(await town.user_id(OWNER)), await at(town, over_https)
    assert 303 == (await make(owner, new())).status

    assert "/sign-in" in (await thief.post(PAGE, {"code": "123456"})).headers["location"]
    secret = bytes(20)
    code = totp.code_of(secret, totp.step_of(clock.now()))

    async def on(*, first: bool) -> list[str]:
        return await db.write(
            lambda tx: switch_on(
                tx, user_id, secret, code, sealer=SEALER, actor=Actor(f"user:{OWNER}"), at=START, ids=ids, first=first
            )
        )

    with pytest.raises(ConflictError, match="meanwhile"):
        await on(first=True)
    assert 10 == len(await on(first=False))


async def held_up(web: WebState, sending: Coroutine[Any, Any, Reply], meanwhile: Callable[[Tx], Any]) -> Reply:
    """The answer to a form with a password in it, whose password is looked at once something else was committed."""
    async with web.hashing, web.hashing:
        sent, loop = asyncio.ensure_future(sending), asyncio.get_running_loop()
        async with asyncio.timeout(30):
            while web.hashing._n < 3:
                turn = loop.create_future()
                loop.call_soon(turn.set_result, None)
                await turn
        await web.api.database.write(meanwhile)
    return await sent


async def test_a_form_that_is_under_way_while_the_first_factor_is_set_up_counts_no_more(
    town: Town, web: WebState, over_https: Pages, clock: SimClock, db: Database
) -> None:
    thief, user_id = await at(town, over_https), int(await town.user_id(OWNER))
    shown = await thief.get(PAGE)
    row = {"id": 1, "user_id": user_id, "credential": "c", "public_key": b"", "n_uses": 0, "name": "Mine"}

    def made(tx: Tx) -> None:
        tx.conn.execute(sa.insert(passkeys).values(row | {"created_at": START}))

    sending = switched_on(thief, shown, clock)
    assert (303, PAGE) == ((reply := await held_up(web, sending, made)).status, reply.headers["location"])
    await db.write(lambda tx: tx.conn.execute(sa.delete(passkeys)).rowcount)
    reply = await held_up(web, make(thief, new()), made)
    assert (409, True) == (reply.status, "was set up meanwhile" in reply.body.decode())
    async with db.read() as read:
        assert ["Mine"] == list((await read.execute(sa.select(passkeys.c.name))).scalars())
        assert [None] * 6 == list((await read.execute(sa.select(users.c.totp_enc))).scalars())


# --- who comes how -------------------------------------------------------------------------------


async def test_sessions_from_before_are_bound_with_their_next_request(
    town: Town, web: WebState, clock: SimClock
) -> None:
    before, with_code = await at(town, pages(web)), await at(town, pages(web), "admin@example.com")
    await set_up(with_code, clock)
    assert [200, 200] == [(await one.get(CHECKS)).status for one in (before, with_code)]
    now = [Browser(town.served, cookies=dict(one.cookies)) for one in (before, with_code)]

    assert [True, False] == [await is_bound(one) for one in now]
    assert 200 == (await now[1].get(CHECKS)).status
    assert 200 == (await before.get(CHECKS)).status  # where it is not demanded any more, it opens again


async def test_an_open_page_hears_nothing_more_once_its_reader_has_only_a_password(
    town: Town, web: WebState, clock: SimClock, db: Database
) -> None:
    owner = await at(town, pages(web))
    await set_up(owner, clock)
    async with Listener(Browser(town.served, cookies=dict(owner.cookies))) as tab:
        await tab.until("tick")
        await db.write(lambda tx: tx.conn.execute(sa.update(users).values(totp_enc=None)).rowcount)
        await asleep(clock)
        clock.move_to(START + timedelta(seconds=TRUST_S + TICK_S))
        assert "end" == (await tab.until("end"))[-1].kind


@pytest.mark.parametrize("more_demanded", [False, True])
async def test_who_listens_is_asked_for_what_he_has(
    town: Town,
    web: WebState,
    clock: SimClock,
    more_demanded: bool,  # noqa: FBT001 - pytest calls it by name
) -> None:
    owner, admin = await at(town, pages(web)), await at(town, pages(web), "admin@example.com")
    await set_up(admin, clock)
    audience = Audience(town.world.project.pid, web.api.database, clock)
    tokens = [next(iter(one.cookies.values())) for one in (owner, admin)]
    with audience.listening(tokens[0]), audience.listening(tokens[1]):
        told = [await audience.still(token, more_demanded=more_demanded) for token in tokens]
    assert [None if more_demanded else "main", "main"] == [one and one.slug for one in told]


async def test_a_password_without_the_passkey_opens_nothing(
    town: Town, over_https: Pages, clock: SimClock, db: Database, ids: IdSource
) -> None:
    """Else one that was stolen would do, and a passkey that a thief added would be noticed by nobody."""
    mine = new()
    assert 303 == (await make(await at(town, over_https), mine)).status
    clock.move_to(START + MOMENT)
    browser = Browser(over_https)
    refused = await browser.sign_in(OWNER, PASSWORD, origin=ORIGIN)
    over_http = await town.nobody.sign_in(OWNER, PASSWORD)

    assert (403, {}, True) == (refused.status, browser.cookies, "sign in with your passkey" in refused.body.decode())
    assert (403, True) == (over_http.status, "works over https only" in over_http.body.decode())
    assert 303 == (await enter(browser, mine)).status
    assert 200 == (await browser.get(CHECKS)).status

    async def begun(*, more_demanded: bool) -> str | None:
        """As of a sign-in that read the password before the passkey was made."""
        return await db.write(
            lambda tx: sessions.begin(
                tx, user_id, password_hash=hash_of(PASSWORD), ip="", agent="", replaces="", at=START, ids=ids,
                more_demanded=more_demanded,
            )
        )  # fmt: skip

    user_id = int(await town.user_id(OWNER))
    assert [True, False] == [await begun(more_demanded=more) is None for more in (True, False)]


async def test_a_backup_code_is_a_second_step_as_ever(town: Town, clock: SimClock) -> None:
    _, codes = await set_up(await town.owner(), clock)
    browser = town.nobody
    assert 303 == (await prove(browser, await first_step(browser), codes[0])).status
    assert 200 == (await browser.get(CHECKS)).status


async def test_who_is_new_by_an_invite_sets_it_up_before_he_sees_the_project(town: Town, clock: SimClock) -> None:
    owner, joan = await town.owner(), town.nobody
    await set_up(owner, clock)
    joined = await accept(joan, link_in(await owner.post(TEAM + "/invites", JOAN)))

    assert (303, CHECKS) == (joined.status, joined.headers["location"])
    led = (await joan.get(CHECKS)).headers["location"]
    assert f"{REQUIRED}?next=%2Fp%2Fmain%2Fchecks" == led


async def test_who_is_invited_to_another_project_sets_it_up_and_then_joins(town: Town, clock: SimClock) -> None:
    owner, stranger = await town.owner(), await town.stranger()
    await set_up(owner, clock)
    link = link_in(await owner.post(TEAM + "/invites", {"email": "stranger@example.com", "role": "viewer"}))
    shown = await stranger.get(link)
    refused = await stranger.post("/invite", {"token": link.partition("=")[2]})

    assert (303, f"{REQUIRED}?next=%2Finvite%3Ftoken%3D{link.partition('=')[2]}") == (
        shown.status, shown.headers["location"],
    )  # fmt: skip
    assert 403 == refused.status
    (way,) = re.findall(rf'href="({PAGE}[^"]*)"', (await stranger.get(shown.headers["location"])).body.decode())
    form = await stranger.get(unescape(way))
    assert link == unescape(next_of(form))
    await switched_on(stranger, form, clock)
    assert 303 == (await stranger.post("/invite", {"token": link.partition("=")[2]})).status


async def test_the_first_administrator_and_who_has_a_new_password_set_it_up_too(
    db: Database, ids: IdSource, web: WebState, served: Pages
) -> None:
    await make_world(db, ids, START)
    ada = Browser(served)
    assert 303 == (await finish(ada, web.setup.secret)).status
    assert await is_bound(ada)

    def other(tx: Tx) -> None:
        reset_password(tx, email="ada@example.com", password_hash=hash_of("another one"), actor=CLI, at=START, ids=ids)

    await db.write(other)
    again = Browser(served)
    assert 303 == (await again.sign_in("ada@example.com", "another one")).status
    assert await is_bound(again)


async def test_who_was_helped_on_the_server_sets_it_up_anew(
    town: Town, clock: SimClock, db: Database, ids: IdSource
) -> None:
    owner = await town.owner()
    await set_up(owner, clock)
    await db.write(lambda tx: switch_off_by_email(tx, OWNER, actor=CLI, at=START, ids=ids))

    # A session from before could be that of who has the phone.
    assert "/sign-in?" in (await owner.get(CHECKS)).headers["location"]
    again = await town.owner()
    assert await is_bound(again)
    clock.move_to(START + STEP)
    await set_up(again, clock)
    assert 200 == (await again.get(CHECKS)).status


async def test_who_lost_his_passkeys_is_helped_as_well(
    town: Town, over_https: Pages, db: Database, ids: IdSource
) -> None:
    owner, user_id = await at(town, over_https), int(await town.user_id(OWNER))
    for name in ("One", "Two"):
        await make(owner, new(), name=name)
    await db.write(lambda tx: remove_passkeys(tx, user_id, actor=CLI, at=START, ids=ids))
    async with db.read() as read:
        gone = sa.select(audit.c.before).where(audit.c.action == "member.remove_passkey").order_by(audit.c.id)
        told = (await read.execute(gone)).scalars().all()

    assert ["One", "Two"] == [entry["passkey"] for entry in told]
    assert await is_bound(await at(town, over_https))


# --- keeping it ----------------------------------------------------------------------------------


async def test_the_last_one_is_not_taken_away(town: Town, over_https: Pages, clock: SimClock, db: Database) -> None:
    owner = await at(town, over_https)
    await set_up(owner, clock)
    refused = await owner.post(PAGE + "/off", {"password": PASSWORD})
    assert (409, True) == (refused.status, "a password alone is not enough here" in refused.body.decode())
    await make(owner, new())
    assert 303 == (await owner.post(PAGE + "/off", {"password": PASSWORD})).status
    (which,) = re.findall(rf"{PASSKEYS}/(\d+)/remove", (await owner.get(PASSKEYS)).body.decode())
    kept = await owner.post(f"{PASSKEYS}/{which}/remove")

    assert (409, True) == (kept.status, "set up another one first" in kept.body.decode())
    assert which in kept.body.decode()
    await make(owner, new(), name="Another")
    assert (303, 200) == ((await owner.post(f"{PASSKEYS}/{which}/remove")).status, (await owner.get(CHECKS)).status)


@on_sqlite
async def test_where_nothing_is_demanded_the_last_one_goes_as_ever(town: Town, web: WebState, clock: SimClock) -> None:
    owner = await at(town, pages(web))
    await set_up(owner, clock)
    assert 303 == (await owner.post(PAGE + "/off", {"password": PASSWORD})).status


async def test_another_app_takes_the_place_of_the_one_so_far(town: Town, clock: SimClock, db: Database) -> None:
    owner, elsewhere = await town.owner(), town.nobody
    was, codes = await set_up(owner, clock)
    assert 303 == (await prove(elsewhere, await first_step(elsewhere), codes[0])).status
    clock.move_to(START + 2 * STEP)
    link = re.search(r'href="([^"]+app=new)"', (await owner.get(PAGE)).body.decode())
    assert link is not None
    shown = await owner.get(link[1])
    wrong = await switched_on(owner, shown, clock, replaces="1", code="12345")
    assert (422, 200) == (wrong.status, (await elsewhere.get(CHECKS)).status)
    assert "1" == hidden(wrong, "replaces")
    done = await switched_on(owner, shown, clock, replaces="1")
    assert (201, 10) == (done.status, len(re.findall(r"\b(?:[a-z2-7]{4}-){5}[a-z2-7]{4}\b", done.body.decode())))

    assert (303, 200) == ((await elsewhere.get(CHECKS)).status, (await owner.get(CHECKS)).status)
    clock.move_to(START + 4 * STEP)
    step, browser = totp.step_of(clock.now()), town.nobody
    tried = [totp.code_of(was, step), codes[1], totp.code_of(secret_of(shown), step)]
    assert [422, 422, 303] == [(await prove(browser, await first_step(browser), code)).status for code in tried]
    async with db.read() as read:
        entries = (await read.execute(sa.select(audit.c.action).order_by(audit.c.id))).scalars().all()
    told = [action for action in entries if "second_step" in action]
    assert ["member.second_step_on", "member.second_step_off", "member.second_step_on"] == told


# --- who is told ---------------------------------------------------------------------------------


async def test_the_account_s_mail_is_told_of_each_change(mailed: Mailed, clock: SimClock) -> None:
    owner = await mailed.town.owner()
    await set_up(owner, clock)
    await owner.post(PAGE + "/codes", {"password": PASSWORD})
    clock.move_to(START + STEP)
    await switched_on(owner, await owner.get(f"{PAGE}?app=new"), clock, replaces="1")
    for _ in range(2):  # the second time there is nothing to tell of
        await owner.post(PAGE + "/off", {"password": PASSWORD})
    await mailed.settled()

    assert {OWNER} == {letter["To"] for letter in mailed.letters}
    assert sorted(
        [FactorChange.CODE_ON, FactorChange.BACKUP_CODES, FactorChange.CODE_REPLACED, FactorChange.CODE_OFF]
    ) == sorted(letter["Subject"] for letter in mailed.letters)
    text = part_of(next(one for one in mailed.letters if one["Subject"] == FactorChange.CODE_ON), "plain")
    assert "at 2026-03-02 10:00 UTC, from the address 192.0.2.7" in text
    assert "http://beat.example.org/account/security" in text


async def test_a_passkey_that_comes_or_goes_is_told_without_its_name(mailed: Mailed) -> None:
    state = replace(mailed.state, base_url=ORIGIN)
    owner = await at(mailed.town, pages(state_with(state, mailed.town.setup)))
    await make(owner, new(), name="Call 555 0100")
    (which,) = re.findall(rf"{PASSKEYS}/(\d+)/remove", (await owner.get(PASSKEYS)).body.decode())
    await owner.post(f"{PASSKEYS}/{which}/remove", origin=ORIGIN)
    await mailed.settled()

    assert {FactorChange.PASSKEY_ADDED, FactorChange.PASSKEY_REMOVED} == {one["Subject"] for one in mailed.letters}
    assert not [one for one in mailed.letters if "555" in part_of(one, "plain") + part_of(one, "html")]


async def test_who_administers_sees_who_has_what(town: Town, over_https: Pages, clock: SimClock) -> None:
    owner, admin = await at(town, over_https), await at(town, over_https, "admin@example.com")
    member = await at(town, over_https, "member@example.com")
    await set_up(owner, clock)
    await make(owner, new())
    await set_up(admin, clock)
    for name in ("One", "Two"):
        await make(member, new(), name=name)

    def beside(page: str) -> dict[str, str]:
        its = re.compile(r'>(\w+)@example.com<.*data-label="Beside the password">(.*?)</td>', re.DOTALL)
        rows = (its.search(row) for row in page.split("<tr>"))
        return {found[1]: re.sub(r"<[^>]+>", "", found[2]) for found in rows if found}

    seen = beside((await admin.get(TEAM)).body.decode())
    assert {
        "owner": "second step, 1 passkey", "admin": "second step", "member": "2 passkeys",
        "temp": "nothing yet", "viewer": "nothing yet",
    } == seen  # fmt: skip
    assert {} == beside((await member.get(TEAM)).body.decode())
    assert "Beside the password" not in (await member.get(TEAM)).body.decode()


@on_sqlite
async def test_the_system_page_says_what_is_demanded(town: Town, clock: SimClock, web: WebState) -> None:
    owner = await town.owner()
    await set_up(owner, clock)
    said = [
        re.findall(r"<dt>Signing in</dt><dd>([^<]+)", (await one.get("/system")).body.decode())
        for one in (owner, Browser(pages(web), cookies=owner.cookies))
    ]
    assert [["more than a password is demanded of everybody "], ["a password is enough "]] == said
