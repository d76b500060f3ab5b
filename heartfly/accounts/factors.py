"""What somebody has beside his password: a second step, passkeys, or nothing yet; and that he keeps one where it is
demanded.

Whether it is demanded is a setting's to say, and what follows for a request web/request.py's. Each question of a
transaction is asked under a lock on its user, so that of two factors that go at once one stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Tx
from heartfly.db.models import members, passkeys, users
from heartfly.errors import ConflictError


class LastFactorError(ConflictError):
    """Without this one the password alone would be left, and that is not enough here."""


@dataclass(frozen=True, slots=True)
class Factors:
    by_code: bool
    """A second step is switched on."""
    n_passkeys: int

    @property
    def has_any(self) -> bool:
        return self.by_code or self.n_passkeys > 0


def has_passkey() -> sa.ColumnElement[bool]:
    """Of the row of `users` in the query around it."""
    return sa.exists(sa.select(passkeys.c.id).where(passkeys.c.user_id == users.c.id))


def has_factor() -> sa.ColumnElement[bool]:
    """Of the row of `users` in the query around it."""
    return sa.or_(users.c.totp_enc.is_not(None), has_passkey())


def factors_of(tx: Tx, user_id: int) -> Factors:
    """As they stay until the transaction ends."""
    query = sa.select(users.c.totp_enc.is_not(None)).where(users.c.id == user_id)
    by_code = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).scalar_one()
    mine = sa.select(sa.func.count()).select_from(passkeys).where(passkeys.c.user_id == user_id)
    return Factors(bool(by_code), tx.conn.execute(mine).scalar_one())


def demand_none(tx: Tx, user_id: int) -> None:
    """For who has shown the password alone: he may set up the first factor, and never one beside another's.

    ConflictError: there is one.
    """
    if factors_of(tx, user_id).has_any:
        raise ConflictError("something beside the password was set up meanwhile; sign in again, with that")


def demand_another(tx: Tx, user_id: int, *, n_passkeys: int = 0, by_code: bool = False) -> None:
    """LastFactorError: were so many passkeys gone, or the second step (`by_code`), nothing would be left."""
    now = factors_of(tx, user_id)
    if not Factors(now.by_code and not by_code, now.n_passkeys - n_passkeys).has_any:
        raise LastFactorError(
            "this is all that you have beside your password, and a password alone is not enough here; set up "
            "another one first"
        )


async def factors_in(read: AsyncConnection, pid: int) -> dict[int, Factors]:
    """Of each member of a project, by his id."""
    n = sa.select(sa.func.count()).where(passkeys.c.user_id == users.c.id).scalar_subquery()
    query = sa.select(users.c.id, users.c.totp_enc.is_not(None).label("by_code"), n.label("n_passkeys"))
    query = query.join(members, members.c.user_id == users.c.id).where(members.c.pid == pid)
    return {row.id: Factors(bool(row.by_code), row.n_passkeys) for row in await read.execute(query)}


async def count_without(read: AsyncConnection) -> tuple[int, int]:
    """How many people have nothing beside their password, and how many there are."""
    without = sa.func.coalesce(sa.func.sum(sa.case((has_factor(), 0), else_=1)), 0)
    row = (await read.execute(sa.select(without, sa.func.count()).select_from(users))).one()
    return int(row[0]), int(row[1])
