"""Passkeys: the rows of those that people have made, and the session that one of them opens.

A passkey is both steps at once: something that somebody has, and that opens to his finger, face or PIN only, which
relying_party.py demands. A challenge counts once for a passkey: it must be of later than the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.factors import demand_another, demand_none
from heartfly.accounts.queries import number_of
from heartfly.accounts.relying_party import Challenge, Made
from heartfly.accounts.second_step import tell_projects
from heartfly.accounts.sessions import begin
from heartfly.audit.record import Action, Actor
from heartfly.core import text
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import email_changes, passkeys, users
from heartfly.errors import ConflictError, NotFoundError

MOST = 20
LONGEST_NAME = 60


async def list_passkeys(read: AsyncConnection, user_id: int) -> Sequence[Row[Any]]:
    """In the order in which they were made."""
    columns = [column for column in passkeys.c if column.name != "public_key"]
    query = sa.select(*columns).where(passkeys.c.user_id == user_id).order_by(passkeys.c.id)
    return (await read.execute(query)).all()


async def passkey_of(read: AsyncConnection, credential: str) -> Row[Any] | None:
    """With what its signature is checked against."""
    return (await read.execute(sa.select(passkeys).where(passkeys.c.credential == credential))).first()


def add_passkey(
    tx: Tx, user_id: int, made: Made, *, name: str, actor: Actor, at: datetime, ids: IdSource, first: bool = False
) -> None:
    """`first`: only if he has nothing beside his password; an address that he asked for with that alone counts no more.

    InvalidValueError names the field `name`. ConflictError: he has 20, this one is somebody's already, or it would not
    be the first.
    """
    name = text.name(name, field="name", most=LONGEST_NAME)
    if first:
        demand_none(tx, user_id)
        tx.conn.execute(sa.delete(email_changes).where(email_changes.c.user_id == user_id))
    # One after another for each user, so that two at once do not both become the twentieth.
    query = sa.select(users.c.id).where(users.c.id == user_id)
    tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query)
    mine = sa.select(sa.func.count()).select_from(passkeys).where(passkeys.c.user_id == user_id)
    if tx.conn.execute(mine).scalar_one() >= MOST:
        raise ConflictError(f"you have {MOST} passkeys; remove one first")
    if tx.conn.execute(sa.select(passkeys.c.id).where(passkeys.c.credential == made.credential)).first():
        raise ConflictError("this passkey is known already")
    values = {
        "id": ids.next(at),
        "user_id": user_id,
        "credential": made.credential,
        "public_key": made.public_key,
        "n_uses": made.n_uses,
        "name": name,
        "created_at": at,
    }
    tx.conn.execute(sa.insert(passkeys).values(values))
    tell_projects(
        tx, user_id, Action.MEMBER_ADD_PASSKEY, before={}, after={"passkey": name}, actor=actor, at=at, ids=ids
    )


def rename_passkey(tx: Tx, user_id: int, which: str, *, name: str, actor: Actor, at: datetime, ids: IdSource) -> None:
    """NotFoundError, for one of somebody else too. InvalidValueError names the field `name`."""
    name = text.name(name, field="name", most=LONGEST_NAME)
    was = _mine(tx, user_id, which)
    if was.name == name:
        return
    tx.conn.execute(sa.update(passkeys).where(passkeys.c.id == was.id).values(name=name))
    before, after = {"passkey": was.name}, {"passkey": name}
    tell_projects(tx, user_id, Action.MEMBER_RENAME_PASSKEY, before=before, after=after, actor=actor, at=at, ids=ids)


def remove_passkey(
    tx: Tx, user_id: int, which: str, *, actor: Actor, at: datetime, ids: IdSource, more_demanded: bool = False
) -> None:
    """Nobody signs in by it any more. NotFoundError, for one of somebody else too.

    LastFactorError: a password alone is not enough (`more_demanded`), and nothing else would be left.
    """
    was = _mine(tx, user_id, which)
    if more_demanded:
        demand_another(tx, user_id, n_passkeys=1)
    tx.conn.execute(sa.delete(passkeys).where(passkeys.c.id == was.id))
    before = {"passkey": was.name}
    tell_projects(tx, user_id, Action.MEMBER_REMOVE_PASSKEY, before=before, after={}, actor=actor, at=at, ids=ids)


def remove_passkeys(tx: Tx, user_id: int, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """All of them, for who lost what they are on."""
    mine = sa.select(passkeys.c.id).where(passkeys.c.user_id == user_id).order_by(passkeys.c.id)
    for which in tx.conn.execute(mine).scalars().all():
        remove_passkey(tx, user_id, str(which), actor=actor, at=at, ids=ids)


def begin_by_passkey(
    tx: Tx,
    passkey_id: int,
    asked: Challenge,
    *,
    n_uses: int,
    ip: str,
    agent: str,
    replaces: str,
    at: datetime,
    ids: IdSource,
) -> str | None:
    """A session for whose passkey has answered; its token.

    None: the passkey was removed meanwhile, or it has answered this challenge, or a later one, before.
    """
    unused = sa.or_(passkeys.c.asked_at.is_(None), passkeys.c.asked_at < asked.at)
    used = {"n_uses": n_uses, "asked_at": asked.at, "used_at": at}
    if not tx.conn.execute(sa.update(passkeys).where(passkeys.c.id == passkey_id, unused).values(used)).rowcount:
        return None
    query = sa.select(users.c.id, users.c.password_hash).join(passkeys, passkeys.c.user_id == users.c.id)
    user = tx.conn.execute(query.where(passkeys.c.id == passkey_id)).one()
    return begin(
        tx, user.id, password_hash=user.password_hash, ip=ip, agent=agent, replaces=replaces, at=at, ids=ids,
        by_code=True,
    )  # fmt: skip


def _mine(tx: Tx, user_id: int, which: str) -> Row[Any]:
    columns = [passkeys.c.id, passkeys.c.name]
    query = sa.select(*columns).where(passkeys.c.user_id == user_id, passkeys.c.id == number_of(which))
    row = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).first()
    if row is None:
        raise NotFoundError("there is no such passkey")
    return row
