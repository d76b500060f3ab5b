"""Who is signed in: a random token in a cookie, stored as its hash; a row that can be listed and ended.

A session is made at sign-in only, never for a visitor. It ends after 24 hours without use, after 30 days in any case,
when it is revoked, and with the password that it was opened with. Whose password it was is sign_in.py's.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.factors import factors_of, has_factor
from heartfly.accounts.members import Role
from heartfly.accounts.queries import number_of
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import members, projects, sessions, users
from heartfly.errors import NotFoundError, UnauthenticatedError
from heartfly.sealing import digest

IDLE = timedelta(hours=24)
LONGEST = timedelta(days=30)
EVERY = timedelta(minutes=5)
"""So often at most its row is told that it is in use."""

_LONGEST_AGENT = 300
_TOKEN = 43  # 32 bytes in base64


@dataclass(frozen=True, slots=True)
class Session:
    id: int
    user_id: int
    email: str
    zone: str
    seen_at: datetime
    has_factor: bool
    """A second step or a passkey is set up: by who opened this session, or to open it."""
    name: str = ""
    theme: str = ""
    density: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """A project that a user is in, and as what."""

    pid: int
    slug: str
    name: str
    role: Role

    @property
    def may_write(self) -> bool:
        return self.role is not Role.VIEWER

    @property
    def administers(self) -> bool:
        """Decides about people, keys and the project itself."""
        return self.role in {Role.OWNER, Role.ADMIN}

    @property
    def owns(self) -> bool:
        return self.role is Role.OWNER


class SessionEndedError(UnauthenticatedError):
    """It lived as the request came, and does not any more."""


def begin(
    tx: Tx,
    user_id: int,
    *,
    password_hash: str,
    ip: str,
    agent: str,
    replaces: str,
    at: datetime,
    ids: IdSource,
    by_code: bool = False,
    more_demanded: bool = False,
) -> str | None:
    """A new session; returns its token, for the cookie. `replaces`: the token that the browser had, which ends.

    None: the password has been changed since `password_hash` was read, or the second step was switched on since, and
    no code has counted (`by_code`); or a password alone is not enough (`more_demanded`), and he has more to show.
    """
    query = sa.select(users.c.password_hash, users.c.totp_enc.is_not(None).label("needs_code"))
    row = tx.conn.execute(query.where(users.c.id == user_id).with_for_update(key_share=True)).first()
    if row is None or row.password_hash != password_hash or (row.needs_code and not by_code):
        return None
    if more_demanded and not by_code and factors_of(tx, user_id).has_any:
        return None
    end_of_token(tx, replaces)
    token = secrets.token_urlsafe(32)
    values = {
        "id": ids.next(at),
        "user_id": user_id,
        "token_hash": digest(token),
        "created_at": at,
        "seen_at": at,
        "ip": ip,
        "agent": agent[:_LONGEST_AGENT],
    }
    tx.conn.execute(sa.insert(sessions).values(values))
    return token


async def session_of(read: AsyncConnection, token: str, *, now: datetime) -> Session | None:
    """None for a token that is unknown, revoked or too old: all read the same."""
    if len(token) != _TOKEN or not token.isascii():
        return None
    query = (
        sa.select(
            sessions.c.id,
            sessions.c.user_id,
            sessions.c.seen_at,
            has_factor().label("has_factor"),
            *(users.c.email, users.c.zone, users.c.name, users.c.theme, users.c.density),
        )
        .join(users, users.c.id == sessions.c.user_id)
        .where(sessions.c.token_hash == digest(token), *_alive(now))
    )
    row = (await read.execute(query)).first()
    return None if row is None else Session(**row._asdict())


def seen(tx: Tx, session_id: int, *, at: datetime) -> None:
    later = (sessions.c.id == session_id, sessions.c.seen_at < at)
    tx.conn.execute(sa.update(sessions).where(*later).values(seen_at=at))


async def list_sessions(read: AsyncConnection, user_id: int, *, now: datetime) -> Sequence[Row[Any]]:
    """Of one user, the latest used first."""
    columns = [column for column in sessions.c if column.name != "token_hash"]
    query = sa.select(*columns).where(sessions.c.user_id == user_id, *_alive(now))
    found: Sequence[Row[Any]] = (await read.execute(query.order_by(sessions.c.seen_at.desc(), sessions.c.id))).all()
    return found


def renew(tx: Tx, session_id: int) -> str:
    """It goes on by another token, which is returned: by the one so far nobody is signed in any more."""
    token = secrets.token_urlsafe(32)
    tx.conn.execute(sa.update(sessions).where(sessions.c.id == session_id).values(token_hash=digest(token)))
    return token


def demand_alive(tx: Tx, user_id: int, session_id: int) -> None:
    """For what lets somebody in later on. SessionEndedError: he has been signed out since the request came.

    One user's sessions end, and are asked for here, one after another: what was under way is in before, or not at all.
    """
    _hold(tx, user_id)
    if tx.conn.execute(sa.select(sessions.c.id).where(sessions.c.id == session_id)).first() is None:
        raise SessionEndedError("you were signed out meanwhile; sign in again")


def revoke(tx: Tx, user_id: int, session_id: str) -> None:
    """NotFoundError, for a session of somebody else too."""
    _hold(tx, user_id)
    number = number_of(session_id)
    mine = (sessions.c.user_id == user_id, sessions.c.id == number)
    if number is None or not tx.conn.execute(sa.delete(sessions).where(*mine)).rowcount:
        raise NotFoundError("there is no such session")


def revoke_others(tx: Tx, user_id: int, session_id: int) -> None:
    _hold(tx, user_id)
    tx.conn.execute(sa.delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id != session_id))


def end_all(tx: Tx, user_id: int) -> None:
    """He is signed out everywhere."""
    _hold(tx, user_id)
    tx.conn.execute(sa.delete(sessions).where(sessions.c.user_id == user_id))


def end_of_token(tx: Tx, token: str) -> None:
    """Whoever holds it is signed out. Of a token that nobody has nothing comes."""
    if len(token) == _TOKEN and token.isascii():
        tx.conn.execute(sa.delete(sessions).where(sessions.c.token_hash == digest(token)))


def remove_ended(tx: Tx, *, at: datetime, most: int) -> int:
    """How many went of those that are over by their age; `most` at a time. What was revoked has no row any more."""
    over = sa.or_(sessions.c.seen_at <= at - IDLE, sessions.c.created_at <= at - LONGEST)
    piece = sa.select(sessions.c.id).where(over).limit(most)
    return tx.conn.execute(sa.delete(sessions).where(sessions.c.id.in_(piece))).rowcount


async def memberships_of(read: AsyncConnection, user_id: int) -> list[Membership]:
    """By the names of the projects."""
    query = (
        sa.select(projects.c.id, projects.c.slug, projects.c.name, members.c.role)
        .join(members, members.c.pid == projects.c.id)
        .where(members.c.user_id == user_id)
        .order_by(projects.c.name, projects.c.id)
    )
    return [Membership(row.id, row.slug, row.name, Role(row.role)) for row in await read.execute(query)]


async def still_in(
    read: AsyncConnection, pid: int, tokens: Collection[str], *, now: datetime, more_demanded: bool = False
) -> dict[str, Membership]:
    """Of these tokens those whose session lives and whose user is in the project; the others are left out.

    `more_demanded`: and who has something beside his password.
    """
    by_hash = {digest(token): token for token in tokens if len(token) == _TOKEN and token.isascii()}
    query = (
        sa.select(sessions.c.token_hash, projects.c.id, projects.c.slug, projects.c.name, members.c.role)
        .join(members, members.c.user_id == sessions.c.user_id)
        .join(projects, projects.c.id == members.c.pid)
        .where(sessions.c.token_hash.in_(list(by_hash)), members.c.pid == pid, *_alive(now))
    )
    if more_demanded:
        query = query.join(users, users.c.id == sessions.c.user_id).where(has_factor())
    rows = await read.execute(query)
    return {by_hash[row.token_hash]: Membership(row.id, row.slug, row.name, Role(row.role)) for row in rows}


def _hold(tx: Tx, user_id: int) -> None:
    query = sa.select(users.c.id).where(users.c.id == user_id)
    tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query)


def _alive(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (sessions.c.seen_at > now - IDLE, sessions.c.created_at > now - LONGEST)
