"""A hundred wrong passwords in a row: nothing is opened by a password any more, and who guesses learns none of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from heartfly.accounts import passwords, sign_in
from heartfly.accounts.commands import reset_password
from heartfly.accounts.wrong_passwords import MOST, key_of
from heartfly.audit.record import CLI
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, sessions, users, wrong_passwords
from heartfly.web.pages import pages
from heartfly.web.state import WebState
from tests.api.door import Reply
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town, hash_of, state_with
from tests.web.test_reset import NEW, choose, link_for
from tests.web.test_second_step import set_up
from tests.web.test_team import Mailed, mailed, part_of

pytestmark = pytest.mark.anyio
__all__ = ["mailed"]

OWNER, NOBODY = "owner@example.com", "nobody@example.com"
WINDOW = timedelta(seconds=sign_in.WINDOW_S)


async def key_in(db: Database, email: str) -> int:
    async with db.read() as read:
        known = {row.email: row.id for row in await read.execute(sa.select(users.c.email, users.c.id))}
    return key_of(known.get(email), email)


async def counted(db: Database, email: str) -> int:
    """How many wrong ones in a row stand there."""
    row = sa.select(wrong_passwords.c.n).where(wrong_passwords.c.user_id == await key_in(db, email))
    async with db.read() as read:
        return (await read.execute(row)).scalar() or 0


async def there_are(db: Database, email: str, n: int) -> None:
    """As if so many had been tried, from many places and over days."""
    key = await key_in(db, email)

    def work(tx: Tx) -> None:
        tx.conn.execute(sa.delete(wrong_passwords))
        tx.conn.execute(sa.insert(wrong_passwords).values(user_id=key, n=n))

    await db.write(work)


async def audited(db: Database) -> list[Any]:
    async with db.read() as read:
        return list((await read.execute(sa.select(audit).where(audit.c.action == "member.shut_password"))).all())


def words_of(reply: Reply) -> bytes:
    """A page without what somebody has typed into it."""
    return re.sub(rb'value="[^"]*"', b"", reply.body)


async def test_with_the_hundredth_the_right_one_opens_nothing_either(town: Town, db: Database, clock: SimClock) -> None:
    for n in range(10):
        there = Browser(town.served, place=f"198.51.100.{n}")
        assert [422] * 10 == [(await there.sign_in(OWNER, f"wrong {i}")).status for i in range(10)]
    clock.move_to(clock.now() + WINDOW)  # what is bounded by time lets him try again
    browser = town.nobody
    right = await browser.sign_in(OWNER, PASSWORD)

    assert (422, {}) == (right.status, browser.cookies)
    assert MOST + 1 == await counted(db, OWNER)
    async with db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(sessions))).scalar_one()
    await town.viewer()  # nobody else is concerned


async def test_the_ninety_ninth_leaves_it_open_and_the_right_one_begins_anew(town: Town, db: Database) -> None:
    await there_are(db, OWNER, MOST - 2)
    assert 422 == (await town.nobody.sign_in(OWNER, "wrong")).status
    assert MOST - 1 == await counted(db, OWNER)

    await town.owner()
    assert 0 == await counted(db, OWNER)
    await town.nobody.sign_in(OWNER, "wrong")
    assert 1 == await counted(db, OWNER)


async def test_who_guesses_reads_the_same_whatever_is_the_matter(town: Town, db: Database) -> None:
    await there_are(db, OWNER, MOST)
    right, wrong = await town.nobody.sign_in(OWNER, PASSWORD), await town.nobody.sign_in(OWNER, "wrong")
    unknown, open_one = await town.nobody.sign_in(NOBODY, PASSWORD), await town.nobody.sign_in("temp@example.com", "x")

    assert [422] * 4 == [one.status for one in (right, wrong, unknown, open_one)]
    assert {words_of(right)} == {words_of(one) for one in (wrong, unknown, open_one)}
    own = {"content-length": "", "x-request-id": ""}
    assert all(right.headers | own == one.headers | own for one in (wrong, unknown, open_one))
    page = right.body.decode()
    assert "The address and the password do not go together." in page
    assert "After 100 wrong passwords in a row the right one is refused, too" in page
    assert '<a href="/sign-in/reset">choose another one</a>' in page


@contextmanager
def written() -> Iterator[list[tuple[str, int]]]:
    """What is sent to the database, and how many rows each statement wrote, as they come."""
    found: list[tuple[str, int]] = []

    def note(_conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "SAVEPOINT" not in statement and "wrong_passwords" in statement:
            found.append((statement, cursor.rowcount))

    sa.event.listen(Engine, "after_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(Engine, "after_cursor_execute", note)


async def test_whatever_is_told_as_wrong_costs_the_same_writes(town: Town, db: Database) -> None:
    """A commit that has nothing to write returns sooner, which somebody far away can measure."""
    seen = {}
    for name, email, password, before in (
        ("unknown", NOBODY, PASSWORD, 5), ("wrong", OWNER, "wrong", 5), ("shut, wrong", OWNER, "wrong", MOST),
        ("shut, right", OWNER, PASSWORD, MOST), ("no address at all", "a\x00b", "x", 5),
    ):  # fmt: skip
        await there_are(db, email, before)
        with written() as statements:
            await town.nobody.sign_in(email, password)
        seen[name] = list(statements)
        assert before + 1 == await counted(db, email)

    assert ["DELETE", "SELECT", "INSERT"] == [statement[:6] for statement, _ in seen["wrong"]]
    assert dict.fromkeys(seen, seen["wrong"]) == seen


async def test_it_is_compared_as_slowly_when_it_is_shut(
    town: Town, db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    real = passwords.matches

    def watched(stored: str, password: str) -> bool:
        compared.append(stored)
        return real(stored, password)

    monkeypatch.setattr(sign_in, "matches", watched)
    await there_are(db, OWNER, MOST)
    await town.nobody.sign_in(OWNER, PASSWORD)

    assert 1 == len(compared)


async def test_however_many_addresses_are_made_up_there_are_no_more_than_256_rows(db: Database) -> None:
    keys = {key_of(None, f"{n}@example.com") for n in range(20_000)}

    assert (256, -1, -256) == (len(keys), max(keys), min(keys))


async def test_an_address_that_nobody_has_is_never_told_as_shut_nor_audited_nor_mailed(
    mailed: Mailed, db: Database
) -> None:
    await there_are(db, NOBODY, MOST - 1)
    assert 422 == (await mailed.town.nobody.sign_in(NOBODY, "wrong")).status
    await mailed.settled()

    assert MOST == await counted(db, NOBODY)
    assert ([], []) == (mailed.letters, await audited(db))


async def test_the_count_survives_a_restart_and_holds_for_each_node(town: Town, db: Database, web: WebState) -> None:
    await there_are(db, OWNER, MOST - 1)
    await town.nobody.sign_in(OWNER, "wrong")
    restarted = Browser(pages(state_with(web.api, town.setup)))  # whose memory is empty

    assert 422 == (await restarted.sign_in(OWNER, PASSWORD)).status


async def test_of_many_at_once_none_is_lost_and_one_is_told(mailed: Mailed, db: Database) -> None:
    await there_are(db, OWNER, MOST - 5)

    async def one(n: int) -> None:
        await Browser(mailed.town.served, place=f"198.51.100.{n}").sign_in(OWNER, "wrong")

    async with anyio.create_task_group() as group:
        for n in range(20):
            group.start_soon(one, n)
    await mailed.settled()

    assert MOST + 15 == await counted(db, OWNER)
    assert (1, 1) == (len(mailed.letters), len(await audited(db)))


async def test_the_owner_is_mailed_once_and_anew_when_it_is_shut_anew(
    mailed: Mailed, db: Database, ids: IdSource
) -> None:
    for _ in range(2):
        await there_are(db, OWNER, MOST - 2)
        for _ in range(4):
            await mailed.town.nobody.sign_in(OWNER, "wrong")
        await mailed.settled()
        new = hash_of("another staple entirely")
        await db.write(lambda tx: reset_password(tx, email=OWNER, password_hash=new, actor=CLI, at=START, ids=ids))  # noqa: B023 - at once
    first, second = mailed.letters

    subject = "The password of your Heartfly account is shut"
    assert [(OWNER, subject)] * 2 == [(one["To"], one["Subject"]) for one in (first, second)]
    text = " ".join(part_of(first, "plain").split())
    assert f"100 wrong passwords in a row were tried for {OWNER}, the last at 2026-03-02 10:00 UTC" in text
    assert "from the address 192.0.2.7" in text
    assert "Choose a new password: http://beat.example.org/sign-in/reset" in text
    assert "a passkey signs you in as ever" in text


async def test_the_audit_of_his_projects_has_it_once_with_where_it_came_from(town: Town, db: Database) -> None:
    await there_are(db, OWNER, MOST - 1)
    for _ in range(3):
        await town.nobody.sign_in(OWNER, "wrong")
    (entry,) = await audited(db)

    owner = await town.user_id(OWNER)
    assert (town.world.project.pid, "heartfly", "192.0.2.7", f"user:{owner}") == (
        entry.pid, entry.actor, entry.ip, entry.object,
    )  # fmt: skip
    assert ({"email": OWNER}, {"email": OWNER, "wrong_in_a_row": MOST}) == (entry.before, entry.after)


async def test_a_new_password_by_the_link_that_is_mailed_opens_it(mailed: Mailed, db: Database) -> None:
    await there_are(db, OWNER, MOST)
    browser = mailed.town.nobody
    assert 200 == (await choose(browser, await link_for(mailed, browser))).status

    assert 0 == await counted(db, OWNER)
    assert 303 == (await browser.sign_in(OWNER, NEW)).status


async def test_a_new_password_from_the_server_opens_it(town: Town, db: Database, ids: IdSource) -> None:
    await there_are(db, OWNER, MOST)
    new = hash_of("another staple entirely")
    await db.write(lambda tx: reset_password(tx, email=OWNER, password_hash=new, actor=CLI, at=START, ids=ids))

    assert 303 == (await town.nobody.sign_in(OWNER, "another staple entirely")).status


async def test_nor_is_the_right_one_told_to_who_has_a_second_step(town: Town, db: Database, clock: SimClock) -> None:
    await set_up(await town.owner(), clock)
    assert 200 == (await town.nobody.sign_in(OWNER, PASSWORD)).status  # asks for the code
    await there_are(db, OWNER, MOST)
    right, wrong = await town.nobody.sign_in(OWNER, PASSWORD), await town.nobody.sign_in(OWNER, "wrong")

    assert [422, 422] == [right.status, wrong.status]
    assert words_of(right) == words_of(wrong)


FORMS = (
    ("/account/delete", "password"),
    ("/account/profile/password", "old"),
    ("/account/security/2fa", "password"),
)


@pytest.mark.parametrize(("path", "field"), FORMS)
async def test_who_is_signed_in_reads_why_his_password_is_not_taken_once_more(
    town: Town, db: Database, path: str, field: str
) -> None:
    browser = await town.owner()
    plan = {"plan": await browser.hidden("/account/security/2fa", "plan")} if path.endswith("2fa") else {}
    await there_are(db, OWNER, MOST - 1)
    last, right = [
        await browser.post(path, {field: password, "password": password, "again": "x", **plan})
        for password in ("wrong", PASSWORD)
    ]

    assert MOST + 1 == await counted(db, OWNER)  # whoever sits before an open browser guesses no further than others
    assert [422, 422] == [last.status, right.status]
    for page in (last.body.decode(), right.body.decode()):
        (told,) = re.findall(rf'<p class="bad" id="{field}-wrong">(.+)</p>', page)
        assert told.startswith("Opens nothing since 100 wrong ones in a row; choose another by")
    assert 200 == (await browser.get("/account/security")).status  # and stays signed in


async def test_another_address_is_not_asked_for_with_a_password_that_is_shut(mailed: Mailed, db: Database) -> None:
    browser = await mailed.town.owner()
    await there_are(db, OWNER, MOST)
    told = await browser.post("/account/profile/email", {"email": "ada@example.net", "current": PASSWORD})

    assert (422, True) == (told.status, "Opens nothing since 100 wrong ones in a row" in told.body.decode())


async def test_what_was_counted_goes_with_the_person_and_is_in_his_export(town: Town, db: Database) -> None:
    browser = await town.member()
    await town.nobody.sign_in("member@example.com", "wrong")
    exported = (await browser.get("/account/export")).body
    assert b'"table": "wrong_passwords"' in exported or b'"table":"wrong_passwords"' in exported

    assert 303 == (await browser.post("/account/delete", {"password": PASSWORD})).status
    async with db.read() as read:
        assert [] == (await read.execute(sa.select(wrong_passwords))).all()


@on_sqlite
async def test_a_try_that_is_bounded_before_any_hashing_counts_for_nothing(town: Town, db: Database) -> None:
    tried = [(await town.nobody.sign_in(OWNER, "wrong")).status for _ in range(12)]

    assert [422] * 10 + [429] * 2 == tried
    assert 10 == await counted(db, OWNER)
