"""A new password by a link that is mailed: it works once, for 15 minutes, in the browser that asked for it.

A browser is known by a random value that it keeps in a cookie. One that asks again ends its own link, and nobody's
else: who asks in somebody's name keeps him from nothing. Whoever asks hears the same, and waits as long, whether
anybody has the address: all that differs is done behind the answer. How often somebody may ask is bounded before that.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from enum import Enum

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

LASTS = timedelta(minutes=15)
_MINUTES = LASTS // timedelta(minutes=1)
_BYTES = 32
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # so many bytes in base64


class Found(Enum):
    """What there is of a link, for the browser that has opened it."""

    GOOD = "good"
    ELSEWHERE = "elsewhere"
    """It is good, and another browser has asked for it."""
    GONE = "gone"
    """Used, replaced by another one, too old, or never made."""


def browser_of(kept: str) -> str:
    """What the browser is to keep: what it has already (`kept`), if that is one of ours, so that it stays the same one
    however often it asks; else a new value.
    """
    return kept if _can_be(kept) else secrets.token_urlsafe(_BYTES)


async def mail_link(
    email: str, *, browser: str, database: Database, letters: Letters, clock: Clock, base_url: str
) -> None:
    """To whoever has the address, for that browser. If nobody has, nothing happens."""
    email = email.strip().lower()
    if "\x00" in email or not email.isascii():
        return
    async with database.read() as read:
        user = (await read.execute(sa.select(users.c.id, users.c.email).where(users.c.email_norm == email))).first()
    if user is None:
        return
    token, at = secrets.token_urlsafe(_BYTES), clock.now()
    expires_at = at + LASTS
    values = {"token_hash": digest(token), "created_at": at, "expires_at": expires_at}

    def work(tx: Tx) -> None:
        # So that there are never more of them than can be asked for in the time that one lasts.
        tx.conn.execute(sa.delete(resets).where(resets.c.user_id == user.id, resets.c.expires_at <= at))
        insert = tx.insert(resets).values(user_id=user.id, browser_hash=digest(browser), **values)
        tx.conn.execute(insert.on_conflict_do_update(index_elements=["user_id", "browser_hash"], set_=values))

    await database.write(work)
    await letters.send_patiently(reset_letter(user.email, f"{base_url}/sign-in/new-password?token={token}", expires_at))


_WHERE = (
    "Open it in the browser in which it was asked for: in another one it opens nothing. With the new password you are "
    "signed out everywhere."
)


def reset_letter(email: str, link: str, expires_at: datetime) -> Letter:
    return Letter(
        kind="reset",
        to=email,
        subject="A new password for Heartfly",
        before=(f"Somebody asked for a new password for {email}. If that was you, choose one here.",),
        link=link,
        link_text="Choose a new password",
        after=(
            f"The link works once, for {_MINUTES} minutes, until {until(expires_at)}. {_WHERE}",
            "If it was not you, do nothing, and give this link to nobody: without it your password stays as it is.",
        ),
    )


async def found(read: AsyncConnection, token: str, *, browser: str, now: datetime) -> Found:
    """`browser`: what the one has kept that opens the link; empty if nothing."""
    if not _can_be(token):
        return Found.GONE
    query = sa.select(resets.c.browser_hash).where(resets.c.token_hash == digest(token), resets.c.expires_at > now)
    asked = (await read.execute(query)).scalar()
    if asked is None:
        return Found.GONE
    return Found.GOOD if asked == digest(browser) else Found.ELSEWHERE


def use(tx: Tx, token: str, *, browser: str, password_hash: str, ip: str, at: datetime, ids: IdSource) -> None:
    """Set the password, end all sessions, and use the link up. NotFoundError: it is not good (any more), or not for
    this browser, in which case it stays.
    """
    mine = (
        resets.c.token_hash == digest(token),
        resets.c.browser_hash == digest(browser),
        resets.c.expires_at > at,
    )
    user_id = tx.conn.execute(sa.delete(resets).where(*mine).returning(resets.c.user_id)).scalar()
    user = tx.conn.execute(sa.select(users.c.id, users.c.email).where(users.c.id == user_id)).first()
    if not _can_be(token) or user is None:
        raise NotFoundError("this link was used, or it has ended")
    actor = Actor(f"user:{user.email}", ip or None)
    set_password(tx, user, password_hash=password_hash, actor=actor, at=at, ids=ids)


def _can_be(secret: str) -> bool:
    return _SECRET.fullmatch(secret) is not None
