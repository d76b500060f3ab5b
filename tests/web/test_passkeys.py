"""Passkeys: one that somebody made opens his account, and nothing else does; each answer counts once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts import passkeys
from heartfly.accounts.relying_party import BETWEEN, Party, party_of
from heartfly.accounts.sign_in import PER_PLACE
from heartfly.accounts.wrong_passwords import MOST
from heartfly.core import totp
from heartfly.db.database import Database
from heartfly.db.models import audit, wrong_passwords
from heartfly.db.models import passkeys as rows
from heartfly.web.pages import Pages, pages
from heartfly.web.state import WebState
from tests.api.door import Reply
from tests.sim_clock import SimClock
from tests.web.authenticator import PRESENT, Passkey
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town
from tests.web.test_second_step import set_up

pytestmark = pytest.mark.anyio

HOST, ORIGIN = "beat.example.org", "https://beat.example.org"
PAGE, OWNER = "/account/security/passkeys", "owner@example.com"
MOMENT = timedelta(seconds=1)


@pytest.fixture
async def served(web: WebState) -> Pages:
    """As over https, which browsers want for passkeys."""
    return pages(replace(web, api=replace(web.api, base_url=ORIGIN), party=party_of(ORIGIN)))


def new() -> Passkey:
    return Passkey(HOST, ORIGIN)


async def asked(browser: Browser, path: str) -> tuple[dict[str, Any], str]:
    reply = await browser.get(path)
    assert (200, "application/json") == (reply.status, reply.headers["content-type"].partition(";")[0])
    told = json.loads(reply.body)
    return told["options"], told["proof"]


async def make(browser: Browser, passkey: Passkey, **fields: str) -> Reply:
    options, proof = await asked(browser, f"{PAGE}/new")
    sent = {"name": "Blue phone", "password": PASSWORD, "proof": proof, "credential": passkey.made(options)}
    return await browser.post(PAGE, sent | fields, origin=ORIGIN)


async def enter(browser: Browser, passkey: Passkey, **fields: str) -> Reply:
    options, proof = await asked(browser, "/sign-in/passkey")
    sent = {"proof": proof, "credential": passkey.shown(options)} | fields
    return await browser.post("/sign-in/passkey", sent, origin=ORIGIN)


async def test_a_passkey_signs_in_without_password_and_code(town: Town, clock: SimClock) -> None:
    owner, mine = await town.owner(), new()
    await set_up(owner, clock)  # the second step: a passkey is that, too
    assert (303, PAGE) == ((reply := await make(owner, mine)).status, reply.headers["location"])
    listed = (await owner.get(PAGE)).body.decode()
    clock.move_to(START + MOMENT)
    browser = town.nobody
    reply = await enter(browser, mine, next="/p/main/incidents")

    assert ("Blue phone", True) == (
        re.findall(r'id="name-\d+" name="name" value="([^"]+)"', listed)[0],
        "never" in listed,
    )
    assert (303, "/p/main/incidents") == (reply.status, reply.headers["location"])
    assert OWNER in (page := (await browser.get("/account/security")).body.decode())
    assert "1 passkey signs you in" in page
    assert "never" not in (await browser.get(PAGE)).body.decode()


async def test_a_passkey_signs_in_where_the_password_is_shut_and_does_not_open_that(
    town: Town, db: Database, clock: SimClock
) -> None:
    mine, browser = new(), town.nobody
    assert 303 == (await make(await town.owner(), mine)).status
    shut = {"user_id": int(await town.user_id(OWNER)), "n": MOST}
    await db.write(lambda tx: tx.conn.execute(sa.insert(wrong_passwords).values(shut)).rowcount)
    clock.move_to(START + MOMENT)

    assert 303 == (await enter(browser, mine)).status
    assert 200 == (await browser.get("/account/security")).status
    assert 422 == (await town.nobody.sign_in(OWNER, PASSWORD, origin=ORIGIN)).status


async def test_what_is_asked_names_nobody_and_wants_the_person(town: Town) -> None:
    owner, mine = await town.owner(), new()
    await make(owner, mine)
    (to_show, _), (to_make, _) = await asked(town.nobody, "/sign-in/passkey"), await asked(owner, f"{PAGE}/new")

    assert ([], "required", HOST) == (to_show["allowCredentials"], to_show["userVerification"], to_show["rpId"])
    assert json.loads(mine.made(to_make))["id"] in [one["id"] for one in to_make["excludeCredentials"]]
    assert {"residentKey": "required", "userVerification": "required"} == {
        name: to_make["authenticatorSelection"][name] for name in ("residentKey", "userVerification")
    }
    assert (HOST, OWNER) == (to_make["rp"]["id"], to_make["user"]["name"])
    assert OWNER.encode() not in mine.handle


WRONG: dict[str, Callable[[Passkey], None]] = {
    "of another site": lambda one: setattr(one, "host", "evil.example"),
    "on another page": lambda one: setattr(one, "origin", "https://evil.example"),
    "without the person": lambda one: setattr(one, "flags", PRESENT),
    "with another key": lambda one: setattr(one, "key", new().key),
    "never made here": lambda one: setattr(one, "id", new().id),
    "of another person": lambda one: setattr(one, "handle", b"1"),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", WRONG)
async def test_an_answer_that_is_wrong_opens_nothing(town: Town, how: str) -> None:
    mine = new()
    assert 303 == (await make(await town.owner(), mine)).status
    WRONG[how](mine)
    browser = town.nobody
    reply = await enter(browser, mine)

    assert (422, {}, True) == (reply.status, browser.cookies, "opens nothing here" in reply.body.decode())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["of another site", "on another page", "without the person"])
async def test_a_passkey_that_is_wrong_is_not_kept(town: Town, how: str) -> None:
    owner, mine = await town.owner(), new()
    WRONG[how](mine)
    reply = await make(owner, mine)

    assert (422, True) == (reply.status, "could not be checked" in reply.body.decode())
    assert "You have none yet" in (await owner.get(PAGE)).body.decode()


async def test_an_answer_counts_once(town: Town, clock: SimClock) -> None:
    mine = new()
    await make(await town.owner(), mine)
    clock.move_to(START + MOMENT)
    options, proof = await asked(town.nobody, "/sign-in/passkey")
    sent = {"proof": proof, "credential": mine.shown(options)}
    statuses = [(await town.nobody.post("/sign-in/passkey", sent, origin=ORIGIN)).status for _ in range(2)]
    clock.move_to(START + 2 * MOMENT)

    assert [303, 422] == statuses
    assert 303 == (await enter(town.nobody, mine)).status


async def test_a_passkey_that_counts_back_is_a_copy(town: Town, clock: SimClock, db: Database) -> None:
    mine = new()
    mine.counts = True
    await make(await town.owner(), mine)
    for n in range(1, 3):
        clock.move_to(START + n * MOMENT)
        assert 303 == (await enter(town.nobody, mine)).status
    clock.move_to(START + 3 * MOMENT)
    mine.n_uses = 0

    assert 422 == (await enter(town.nobody, mine)).status
    async with db.read() as read:
        assert 2 == (await read.execute(sa.select(rows.c.n_uses))).scalar_one()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_was_asked_ends_and_cannot_be_made_up(town: Town, clock: SimClock) -> None:
    owner, mine = await town.owner(), new()
    await make(owner, mine)
    options, proof = await asked(town.nobody, "/sign-in/passkey")
    to_make, of_owner = await asked(owner, f"{PAGE}/new")
    for other in ("", "x" * 50_000, "ö", proof[:-4] + "AAAA", of_owner):
        sent = {"proof": other, "credential": mine.shown(options)}
        assert 422 == (await town.nobody.post("/sign-in/passkey", sent, origin=ORIGIN)).status, other[:20]
    viewer = await town.viewer()
    stolen = {"name": "x", "password": PASSWORD, "proof": of_owner, "credential": new().made(to_make)}
    assert 422 == (await viewer.post(PAGE, stolen, origin=ORIGIN)).status
    clock.move_to(START + BETWEEN)
    sent = {"proof": proof, "credential": mine.shown(options)}
    assert 422 == (await town.nobody.post("/sign-in/passkey", sent, origin=ORIGIN)).status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_whatever_is_sent_for_an_answer_is_refused_in_words(town: Town) -> None:
    owner, mine = await town.owner(), new()
    await make(owner, mine)
    options, proof = await asked(town.nobody, "/sign-in/passkey")
    good = json.loads(mine.shown(options))
    broken: list[Any] = [
        None,
        [],
        7,
        "x",
        {},
        {"id": 7},
        {"id": "\x00"},
        good | {"response": None},
        good | {"type": "x"},
    ]
    broken += [
        good | {"response": good["response"] | {name: bad}} for name in good["response"] for bad in (None, "!", "AA")
    ]
    texts = ["", "[" * 15_000, *map(json.dumps, broken)]
    for n, text in enumerate(texts):
        browser = Browser(town.served, place=f"192.0.2.{n}")
        reply = await browser.post("/sign-in/passkey", {"proof": proof, "credential": text}, origin=ORIGIN)
        assert (422, {}) == (reply.status, browser.cookies), text[:200]
    _, proof = await asked(owner, f"{PAGE}/new")
    for text in texts:
        sent = {"name": "x", "password": PASSWORD, "proof": proof, "credential": text}
        assert 422 == (await owner.post(PAGE, sent, origin=ORIGIN)).status, text[:200]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_is_made_with_the_password_and_a_name_only(town: Town) -> None:
    owner = await town.owner()
    nameless, unproved = await make(owner, new(), name=" "), await make(owner, new(), password="wrong password")

    assert (422, True) == (nameless.status, 'id="name-wrong"' in nameless.body.decode())
    assert (422, True) == (unproved.status, 'id="password-wrong"' in unproved.body.decode())
    assert 'value="Blue phone"' in unproved.body.decode()
    assert "You have none yet" in (await owner.get(PAGE)).body.decode()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_there_is_room_for_twenty_and_none_is_kept_twice(town: Town) -> None:
    owner, first = await town.owner(), new()
    assert [303, 409] == [(await make(owner, first)).status for _ in range(2)]
    assert 409 == (await make(await town.viewer(), first)).status
    for _ in range(passkeys.MOST - 1):
        assert 303 == (await make(owner, new())).status
    assert 409 == (await make(owner, new())).status
    assert "room for 20" in (await owner.get(PAGE)).body.decode()


async def test_it_is_renamed_and_removed_by_its_owner_alone_and_the_audit_says_so(
    town: Town, clock: SimClock, db: Database
) -> None:
    owner, viewer, mine = await town.owner(), await town.viewer(), new()
    await make(owner, mine)
    (number,) = re.findall(r'id="name-(\d+)"', (await owner.get(PAGE)).body.decode())
    assert 404 == (await viewer.post(f"{PAGE}/{number}/rename", {"name": "mine"}, origin=ORIGIN)).status
    assert 404 == (await viewer.post(f"{PAGE}/{number}/remove", origin=ORIGIN)).status
    refused = await owner.post(f"{PAGE}/{number}/rename", {"name": ""}, origin=ORIGIN)
    assert (422, True) == (refused.status, f'id="name-{number}-wrong"' in refused.body.decode())
    assert 303 == (await owner.post(f"{PAGE}/{number}/rename", {"name": "<b>Red</b>"}, origin=ORIGIN)).status
    assert "<b>Red</b>" in unescape((await owner.get(PAGE)).body.decode())
    assert 303 == (await owner.post(f"{PAGE}/{number}/remove", origin=ORIGIN)).status
    clock.move_to(START + MOMENT)
    assert 422 == (await enter(town.nobody, mine)).status

    async with db.read() as read:
        query = sa.select(audit).where(audit.c.action.like("member.%passkey")).order_by(audit.c.id)
        told = [
            (entry.action, entry.before.get("passkey"), entry.after.get("passkey"))
            for entry in await read.execute(query)
        ]
    assert [
        ("member.add_passkey", None, "Blue phone"),
        ("member.rename_passkey", "Blue phone", "<b>Red</b>"),
        ("member.remove_passkey", "<b>Red</b>", None),
    ] == told


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_account_that_is_deleted_takes_its_passkeys_along_and_exports_no_key(
    town: Town, clock: SimClock, db: Database
) -> None:
    temp, mine = await town.browser("temp@example.com"), new()
    await make(temp, mine)
    exported = [json.loads(line) for line in (await temp.get("/account/export")).body.decode().splitlines()]
    (told,) = [line for line in exported if line["table"] == "passkeys"]
    assert ("Blue phone", None) == (told["name"], told["used_at"])
    assert 303 == (await temp.post("/account/delete", {"password": PASSWORD}, origin=ORIGIN)).status
    clock.move_to(START + MOMENT)

    assert 422 == (await enter(town.nobody, mine)).status
    async with db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(rows))).scalar_one()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_answers_are_bounded_by_the_place_they_come_from(town: Town) -> None:
    mine, other = new(), Browser(town.served, place="198.51.100.1")
    await make(await town.owner(), mine)
    _, proof = await asked(town.nobody, "/sign-in/passkey")
    tried = []
    for n in range(PER_PLACE + 1):
        sent = {"proof": proof, "credential": json.dumps({"id": f"{n}"})}
        tried.append((await town.nobody.post("/sign-in/passkey", sent, origin=ORIGIN)).status)

    assert [422] * PER_PLACE + [429] == tried
    refused = await enter(town.nobody, mine)
    assert (429, True) == (refused.status, int(refused.headers["retry-after"]) > 0)
    assert 303 == (await enter(other, mine)).status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_name_that_somebody_makes_up_is_not_remembered_in_all_its_length(town: Town, web: WebState) -> None:
    """Or who comes from many places would fill the memory with a few thousand tries."""
    sent = {"proof": "", "credential": json.dumps({"id": "x" * 30_000})}
    assert 422 == (await town.nobody.post("/sign-in/passkey", sent, origin=ORIGIN)).status

    remembered = [part for key in web.sign_in.passkeys._tries for part in key]
    assert 0 < max(map(len, remembered)) <= 64


def test_browsers_know_passkeys_at_a_site_with_a_name_over_https() -> None:
    for base_url, origin in (
        ("https://beat.example.org/heartfly", "https://beat.example.org"),
        ("https://Beat.example.org:443", "https://beat.example.org"),
        ("https://beat.example.org:8443", "https://beat.example.org:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://localhost:8000", "http://localhost:8000"),
    ):
        assert origin == (party_of(base_url) or Party("", "")).origin, base_url
    for base_url in (
        "http://beat.example.org",
        "https://192.0.2.7",
        "https://[2001:db8::1]:8443",
        "http://127.0.0.1:8000",
    ):
        assert party_of(base_url) is None, base_url


async def test_a_used_code_of_the_app_is_no_matter_of_passkeys(town: Town, clock: SimClock) -> None:
    """The page of the second step offers the passkey, too; the code goes on working."""
    owner, mine = await town.owner(), new()
    secret, _ = await set_up(owner, clock)
    await make(owner, mine)
    clock.move_to(START + timedelta(seconds=totp.STEP_S))
    browser = town.nobody
    page = (await browser.sign_in(OWNER, PASSWORD, origin=ORIGIN)).body.decode()
    assert 'action="/sign-in/passkey"' in page
    found = re.search(r'name="proof" value="([^"]+)"', page)
    assert found is not None
    code = totp.code_of(secret, totp.step_of(clock.now()))
    assert (
        303 == (await browser.post("/sign-in/2fa", {"proof": unescape(found[1]), "code": code}, origin=ORIGIN)).status
    )
