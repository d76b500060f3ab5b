"""A new password by a link that is mailed: it works once, for an hour, and another one ends it.

Whoever asks hears the same, and waits as long, whether anybody has the address: all that differs is done behind the
answer. How often somebody may ask is bounded before that.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.commands import set_password
from heartfly.accounts.letters import until
from heartfly.audit.record import Actor
from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import resets, users
from heartfly.errors import NotFoundError
from heartfly.notify.letters import Letter, Letters
from heartfly.sealing import digest

LASTS = timedelta(hours=1)
_TOKEN = 43  # 32 bytes in base64


async def mail_link(email: str, *, database: Database, letters: Letters, clock: Clock, base_url: str) -> None:
    """To whoever has the address. If nobody has, nothing happens."""
    email = email.strip().lower()
    if "\x00" in email or not email.isascii():
        return
    async with database.read() as read:
        user = (await read.execute(sa.select(users.c.id, users.c.email).where(users.c.email_norm == email))).first()
    if user is None:
        return
    token, at = secrets.token_urlsafe(32), clock.now()
    expires_at = at + LASTS
    values = {"token_hash": digest(token), "created_at": at, "expires_at": expires_at}

    def work(tx: Tx) -> None:
        insert = tx.insert(resets).values(user_id=user.id, **values)
        tx.conn.execute(insert.on_conflict_do_update(index_elements=["user_id"], set_=values))

    await database.write(work)
    await letters.send_patiently(reset_letter(user.email, f"{base_url}/sign-in/new-password?token={token}", expires_at))


def reset_letter(email: str, link: str, expires_at: datetime) -> Letter:
    return Letter(
        kind="reset",
        to=email,
        subject="A new password for Heartfly",
        before=(f"Somebody asked for a new password for {email}. If that was you, choose one here.",),
        link=link,
        link_text="Choose a new password",
        after=(
            f"The link works once, until {until(expires_at)}. With the new password you are signed out everywhere.",
            "If it was not you, do nothing: your password stays as it is.",
        ),
    )


async def is_good(read: AsyncConnection, token: str, *, now: datetime) -> bool:
    """Not used, not replaced by another one, not too old."""
    if not _can_be(token):
        return False
    query = sa.select(resets.c.user_id).where(resets.c.token_hash == digest(token), resets.c.expires_at > now)
    return (await read.execute(query)).first() is not None


def use(tx: Tx, token: str, *, password_hash: str, ip: str, at: datetime, ids: IdSource) -> None:
    """Set the password, end all sessions, and use the link up. NotFoundError: it is not good (any more)."""
    mine = (resets.c.token_hash == digest(token), resets.c.expires_at > at)
    user_id = tx.conn.execute(sa.delete(resets).where(*mine).returning(resets.c.user_id)).scalar()
    user = tx.conn.execute(sa.select(users.c.id, users.c.email).where(users.c.id == user_id)).first()
    if not _can_be(token) or user is None:
        raise NotFoundError("this link was used, or it has ended")
    actor = Actor(f"user:{user.email}", ip or None)
    set_password(tx, user, password_hash=password_hash, actor=actor, at=at, ids=ids)


def _can_be(token: str) -> bool:
    return len(token) == _TOKEN and token.isascii()
