"""People made and helped back in: what is stored of them, and which projects are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts import passwords
from heartfly.accounts.commands import create_user, reset_password
from heartfly.accounts.passwords import hashed, matches
from heartfly.audit.record import CLI
from heartfly.db import models
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import members, users
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from tests.world import make_world

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
FIRST, SECOND = "correct horse battery", "another staple entirely"


@pytest.fixture
async def pids(db: Database, ids: IdSource) -> list[int]:
    return [(await make_world(db, ids, AT, slug=slug)).project.pid for slug in ("one", "two")]


async def made(db: Database, ids: IdSource, email: str = "Ada@Example.com", *, is_admin: bool = False) -> int:
    return await db.write(
        lambda tx: create_user(
            tx, email=email, password_hash=hashed(FIRST), is_admin=is_admin, actor=CLI, at=AT, ids=ids
        )
    )


async def reset(db: Database, ids: IdSource, email: str) -> None:
    await db.write(lambda tx: reset_password(tx, email=email, password_hash=hashed(SECOND), actor=CLI, at=AT, ids=ids))


async def rows(db: Database, query: sa.Select[Any]) -> list[Any]:
    async with db.read() as read:
        return list((await read.execute(query)).all())


async def told(db: Database, kind: str) -> list[Any]:
    audit = models.audit
    return await rows(db, sa.select(audit).where(audit.c.action == kind).order_by(audit.c.pid))


def test_a_password_takes_whoever_guesses_as_much_time_and_memory_as_owasp_wants() -> None:
    assert hashed(FIRST).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "tried",
    ["1234567890", "qwertyuiop", "Password123", "PASSWORD123", "heartfly2026", "Heartfly!!", "my-heartfly", "a" * 12,
     "121212121212"],
)  # fmt: skip
def test_a_password_that_strangers_try_first_is_refused(tried: str) -> None:
    with pytest.raises(InvalidValueError, match="tried first"):
        hashed(tried)


@pytest.mark.parametrize(
    "good", ["heartfly and a horse", "only small letters", "only digits 4815", "пароль для кошки", "x" * 61 + "yzä"]
)
def test_any_other_password_is_taken_as_it_was_typed(good: str) -> None:
    stored = hashed(good)

    assert (True, False, False) == (matches(stored, good), matches(stored, good.upper()), matches(stored, good[:-1]))


def test_passwords_of_breaches_are_known_and_each_is_long_enough_to_be_asked_for() -> None:
    assert 2000 < len(passwords._common())
    assert [] == [word for word in passwords._common() if len(word) < 10 or word != word.casefold()]


async def test_an_administrator_owns_every_project_and_each_is_told(
    db: Database, ids: IdSource, pids: list[int]
) -> None:
    user_id = await made(db, ids, is_admin=True)

    (user,) = await rows(db, sa.select(users))
    assert ("Ada@Example.com", "ada@example.com", True) == (
        user.email,
        user.email_norm,
        matches(user.password_hash, FIRST),
    )
    owned = await rows(db, sa.select(members).order_by(members.c.pid))
    assert [(pid, user_id, "owner") for pid in sorted(pids)] == [tuple(one) for one in owned]
    entries = await told(db, "member.add")
    assert [
        (pid, f"user:{user_id}", "cli", None, {"email": "Ada@Example.com", "role": "owner"}) for pid in sorted(pids)
    ] == [(one.pid, one.object, one.actor, one.before, one.after) for one in entries]


async def test_anybody_else_is_in_no_project_yet(db: Database, ids: IdSource, pids: list[int]) -> None:
    await made(db, ids)

    assert 1 == len(await rows(db, sa.select(users)))
    assert [] == await rows(db, sa.select(members))
    assert [] == await told(db, "member.add")


async def test_an_address_is_used_once_in_any_case(db: Database, ids: IdSource, pids: list[int]) -> None:
    await made(db, ids)

    with pytest.raises(ConflictError, match="already"):
        await made(db, ids, "ADA@example.COM", is_admin=True)

    assert 1 == len(await rows(db, sa.select(users)))
    assert [] == await rows(db, sa.select(members))


@pytest.mark.parametrize(
    "email", ["", "nobody", "a b@example.com", "a@b@c", "x" * 65 + "@example.com", "a@" + "b" * 260]
)
async def test_what_is_no_address_is_refused(db: Database, ids: IdSource, pids: list[int], email: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        await made(db, ids, email)

    assert "email" == refused.value.field


async def test_without_a_project_there_is_nothing_to_sign_in_to(db: Database, ids: IdSource) -> None:
    with pytest.raises(ConflictError, match="heartfly init"):
        await made(db, ids, is_admin=True)

    assert [] == await rows(db, sa.select(users))


async def test_a_new_password_replaces_the_old_one_of_that_user_alone(
    db: Database, ids: IdSource, pids: list[int]
) -> None:
    user_id = await made(db, ids, is_admin=True)
    await made(db, ids, "bob@example.com")

    await reset(db, ids, "ADA@example.com")

    ada, bob = await rows(db, sa.select(users).order_by(users.c.email_norm))
    assert (False, True) == (matches(ada.password_hash, FIRST), matches(ada.password_hash, SECOND))
    assert matches(bob.password_hash, FIRST)
    entries = await told(db, "member.reset_password")
    assert [(pid, f"user:{user_id}") for pid in sorted(pids)] == [(one.pid, one.object) for one in entries]
    assert not [one for one in entries if "argon2" in f"{one.before}{one.after}"]


async def test_nobody_of_that_address_is_said(db: Database, ids: IdSource, pids: list[int]) -> None:
    with pytest.raises(NotFoundError, match=r"nobody@example\.com"):
        await reset(db, ids, "nobody@example.com")
