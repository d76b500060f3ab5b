"""Another address to sign in with: it counts once somebody has opened the link that is mailed there, within an hour.

Who asks has given his password, and hears the same whether the address is somebody's or not: only who reads its mail
learns that. The old address is told when it is done.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts import open_invites
from heartfly.accounts.commands import email_of
from heartfly.accounts.letters import until
from heartfly.audit.record import Action, Actor, record
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import email_changes, members, resets, users
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.notify.letters import Letter
from heartfly.sealing import digest

LASTS = timedelta(hours=1)
_TOKEN = 43  # 32 bytes in base64
_TAKEN = "somebody signs in with this address already"


@dataclass(frozen=True, slots=True)
class Changed:
    """What a used link has made of an address."""

    was: str
    now: str


def ask(tx: Tx, user_id: int, email: str, *, at: datetime) -> str:
    """The token for the link; one from before ends. InvalidValueError: it is no address, or his own."""
    email = email_of(email)
    if email == tx.conn.execute(sa.select(users.c.email).where(users.c.id == user_id)).scalar_one():
        raise InvalidValueError("email", "is your address already")
    token = secrets.token_urlsafe(32)
    values = {"email": email, "token_hash": digest(token), "created_at": at, "expires_at": at + LASTS}
    insert = tx.insert(email_changes).values(user_id=user_id, **values)
    tx.conn.execute(insert.on_conflict_do_update(index_elements=["user_id"], set_=values))
    return token


async def wanted(read: AsyncConnection, user_id: int, *, now: datetime) -> str:
    """The address that he has asked for and not confirmed; empty: none."""
    query = sa.select(email_changes.c.email).where(email_changes.c.user_id == user_id, email_changes.c.expires_at > now)
    return (await read.execute(query)).scalar() or ""


async def named(read: AsyncConnection, token: str, *, now: datetime) -> Changed | None:
    """What a link would do; None: it was used, replaced, or is too old."""
    if not _can_be(token):
        return None
    query = sa.select(users.c.email.label("was"), email_changes.c.email.label("now"))
    query = query.join(users, users.c.id == email_changes.c.user_id)
    row = (await read.execute(query.where(*_good(token, now)))).first()
    return None if row is None else Changed(row.was, row.now)


def use(tx: Tx, token: str, *, ip: str, at: datetime, ids: IdSource) -> Changed:
    """NotFoundError: the link is not good (any more). ConflictError: somebody signs in with the address already."""
    gone = sa.delete(email_changes).where(*_good(token, at))
    row = tx.conn.execute(gone.returning(email_changes.c.user_id, email_changes.c.email)).first()
    if not _can_be(token) or row is None:
        raise NotFoundError("this link was used, or it has ended")
    was: str = tx.conn.execute(sa.select(users.c.email).where(users.c.id == row.user_id)).scalar_one()
    _demand_free(tx, row.user_id, row.email)
    change = sa.update(users).where(users.c.id == row.user_id)
    try:
        tx.conn.execute(change.values(email=row.email, email_norm=row.email.lower()))
    except sa.exc.IntegrityError as error:
        raise ConflictError(_TAKEN) from error  # on another node somebody took it at this very moment
    # A link for a new password went to the address that was.
    tx.conn.execute(sa.delete(resets).where(resets.c.user_id == row.user_id))
    actor = Actor(f"user:{was}", ip or None)
    for pid in tx.conn.execute(sa.select(members.c.pid).where(members.c.user_id == row.user_id)).scalars().all():
        record(
            tx, pid, actor=actor, action=Action.MEMBER_CHANGE_EMAIL, of=f"user:{row.user_id}",
            before={"email": was}, after={"email": row.email}, at=at, ids=ids,
        )  # fmt: skip
        open_invites.renamed(tx, pid, actor.name, becomes=f"user:{row.email}")
    return Changed(was, row.email)


def confirm_letter(email: str, link: str, expires_at: datetime) -> Letter:
    return Letter(
        kind="email",
        to=email,
        subject="Your new address for Heartfly",
        before=(f"Somebody wants to sign in to Heartfly with {email}. If that is you, confirm it here.",),
        link=link,
        link_text="Confirm the address",
        after=(f"The link works once, until {until(expires_at)}. If it was not you, do nothing.",),
    )


def told_letter(changed: Changed, base_url: str) -> Letter:
    return Letter(
        kind="email",
        to=changed.was,
        subject="You sign in to Heartfly with another address now",
        before=(f"From now on the address to sign in with is {changed.now}, and no longer {changed.was}.",),
        link=f"{base_url}/sign-in",
        link_text="Sign in",
        after=("If it was not you who changed it, tell whoever runs this Heartfly at once.",),
    )


def _demand_free(tx: Tx, user_id: int, email: str) -> None:
    other = sa.select(users.c.id).where(users.c.email_norm == email.lower(), users.c.id != user_id)
    if tx.conn.execute(other).first() is not None:
        raise ConflictError(_TAKEN)


def _good(token: str, at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (email_changes.c.token_hash == digest(token), email_changes.c.expires_at > at)


def _can_be(token: str) -> bool:
    return len(token) == _TOKEN and token.isascii()
