"""Invites: somebody is asked by a link to join a project. Each function that changes something is one transaction.

The link works once, for a week; its secret is stored as a hash. Whoever has it proves by it that he reads the mail of
that address, so he may become a user by it; without a mail server the inviter's word has to do. Who may invite, and as
what, is decided at the doors.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.commands import email_of, insert_user
from heartfly.accounts.members import MOST_MEMBERS, hold, role_of
from heartfly.accounts.queries import number_of
from heartfly.audit.queries import nth_newest
from heartfly.audit.record import Action, Actor, record
from heartfly.core.zones import zone as known_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import invites, members, projects, users
from heartfly.errors import ConflictError, ForbiddenError, NotFoundError, TooManyRequestsError
from heartfly.notify.channels.email import parse_address
from heartfly.sealing import digest

LASTS = timedelta(days=7)
MOST_INVITES = 200
PER_HOUR = 60
"""Links that a project may send out: each is a mail from our server to somebody who has not asked for it."""
_AN_HOUR = timedelta(hours=1)
_TOKEN = 43  # 32 bytes in base64
_SHOWN = [column for column in invites.c if column.name != "token_hash"]


class InvitedError(ConflictError):
    """The address needs no invite: it has one, or its user is a member."""

    field = "email"


@dataclass(frozen=True, slots=True)
class Invited:
    """`token`: the secret of the link, the only time that it is seen."""

    id: int
    email: str
    role: str
    project: str
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Invite:
    """As whoever holds the link may see it. `is_user`: somebody can sign in with the address already."""

    pid: int
    email: str
    role: str
    project: str
    slug: str
    invited_by: str
    expires_at: datetime
    is_user: bool


def invite(tx: Tx, pid: int, *, email: str, role: str, actor: Actor, at: datetime, ids: IdSource) -> Invited:
    """InvitedError: the address is a member's, or invited already. TooManyRequestsError: see PER_HOUR."""
    wanted = role_of(role)
    # Mail must be able to go there, so by the rules of a channel's address.
    email = parse_address(email_of(email), field="email")
    hold(tx, pid)
    member = (
        sa.select(members.c.user_id)
        .join(users, users.c.id == members.c.user_id)
        .where(members.c.pid == pid, users.c.email_norm == email.lower())
    )
    if tx.conn.execute(member).first() is not None:
        raise InvitedError(f"{email} is a member already")
    count = sa.select(sa.func.count()).select_from(invites).where(invites.c.pid == pid)
    if tx.conn.execute(count).scalar_one() >= MOST_INVITES:
        raise ConflictError(f"the project has {MOST_INVITES} invites; take back those that are not needed")
    _demand_pace(tx, pid, at)
    made = _Link(at)
    values = {
        "pid": pid,
        "id": ids.next(at),
        "email": email,
        "email_norm": email.lower(),
        "role": wanted.value,
        "invited_by": actor.name,
        "created_at": at,
        **made.stored,
    }
    insert = tx.insert(invites).values(values).on_conflict_do_nothing(index_elements=["pid", "email_norm"])
    if tx.conn.execute(insert.returning(invites.c.id)).first() is None:
        raise InvitedError(f"{email} is invited already; send that invite again")
    record(
        tx, pid, actor=actor, action=Action.INVITE_CREATE, of=f"invite:{values['id']}",
        before=None, after=_told(email, wanted) | {"expires_at": made.expires_at}, at=at, ids=ids,
    )  # fmt: skip
    return Invited(values["id"], email, wanted.value, _project_name(tx, pid), made.token, made.expires_at)


def renew(tx: Tx, pid: int, invite_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> Invited:
    """Another link, which lasts a week from now; the one so far works no more. TooManyRequestsError: see PER_HOUR."""
    hold(tx, pid)
    row = _row(tx, pid, invite_id)
    _demand_pace(tx, pid, at)
    made = _Link(at)
    tx.conn.execute(sa.update(invites).where(invites.c.pid == pid, invites.c.id == row.id).values(made.stored))
    record(
        tx, pid, actor=actor, action=Action.INVITE_RESEND, of=f"invite:{row.id}",
        before={"expires_at": row.expires_at}, after={"expires_at": made.expires_at}, at=at, ids=ids,
    )  # fmt: skip
    return Invited(row.id, row.email, row.role, _project_name(tx, pid), made.token, made.expires_at)


def revoke(tx: Tx, pid: int, invite_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """Its link works no more."""
    row = _row(tx, pid, invite_id)
    tx.conn.execute(sa.delete(invites).where(invites.c.pid == pid, invites.c.id == row.id))
    record(
        tx, pid, actor=actor, action=Action.INVITE_REVOKE, of=f"invite:{row.id}",
        before=_told(row.email, row.role), after=None, at=at, ids=ids,
    )  # fmt: skip


def join(tx: Tx, token: str, *, user_id: int, ip: str, at: datetime, ids: IdSource) -> str:
    """The user whose address it is becomes a member; returns the project's slug. The link is used up.

    NotFoundError: nothing can be joined by it (any more). ForbiddenError: it is for another address.
    """
    row = _taken(tx, token, at)
    user = tx.conn.execute(sa.select(users.c.id, users.c.email, users.c.email_norm).where(users.c.id == user_id)).one()
    if user.email_norm != row.email_norm:
        raise ForbiddenError("this invite is for another address")
    _admit(tx, row, user_id, ip=ip, at=at, ids=ids)
    return str(row.slug)


def join_as_new_user(
    tx: Tx, token: str, *, password_hash: str, zone: str, ip: str, at: datetime, ids: IdSource
) -> tuple[int, str]:
    """Somebody new becomes a user with the invited address, and a member; his id and the project's slug.

    NotFoundError: nothing can be joined by it (any more). ConflictError: the address is a user's.
    """
    row = _taken(tx, token, at)
    user_id = insert_user(tx, row.email, password_hash, at=at, ids=ids)
    tx.conn.execute(sa.update(users).where(users.c.id == user_id).values(zone=known_zone(zone, field="zone").key))
    _admit(tx, row, user_id, ip=ip, at=at, ids=ids)
    return user_id, str(row.slug)


async def invite_of(read: AsyncConnection, token: str, *, now: datetime) -> Invite | None:
    """None for a link that is unknown, used, taken back or too old: all read the same."""
    if not _can_be(token):
        return None
    query = (
        sa.select(*_SHOWN, projects.c.name, projects.c.slug, users.c.id.label("user_id"))
        .join(projects, projects.c.id == invites.c.pid)
        .outerjoin(users, users.c.email_norm == invites.c.email_norm)
        .where(invites.c.token_hash == digest(token), invites.c.expires_at > now)
    )
    row = (await read.execute(query)).first()
    if row is None:
        return None
    return Invite(
        pid=row.pid, email=row.email, role=row.role, project=row.name, slug=row.slug, invited_by=row.invited_by,
        expires_at=row.expires_at, is_user=row.user_id is not None,
    )  # fmt: skip


async def list_invites(read: AsyncConnection, pid: int, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    """In the order in which they were made, those that have ended too."""
    query = sa.select(*_SHOWN).where(invites.c.pid == pid).order_by(invites.c.id).limit(limit)
    return (await read.execute(query if after is None else query.where(invites.c.id > after))).all()


async def one_invite(read: AsyncConnection, pid: int, invite_id: str) -> Row[Any]:
    """NotFoundError, for one of another project too."""
    row = (await read.execute(sa.select(*_SHOWN).where(*_one(pid, invite_id)))).first()
    if row is None:
        raise _missing()
    return row


class _Link:
    """A new secret, and what is stored of it."""

    def __init__(self, at: datetime) -> None:
        self.token = secrets.token_urlsafe(32)
        self.expires_at = at + LASTS

    @property
    def stored(self) -> dict[str, Any]:
        return {"token_hash": digest(self.token), "expires_at": self.expires_at}


def _demand_pace(tx: Tx, pid: int, at: datetime) -> None:
    sent = (Action.INVITE_CREATE, Action.INVITE_RESEND)
    of_the_last = nth_newest(tx, pid, sent, since=at - _AN_HOUR, n=PER_HOUR)
    if of_the_last is not None:
        wait = of_the_last + _AN_HOUR - at
        raise TooManyRequestsError(
            f"a project may send {PER_HOUR} invites an hour", retry_after=int(wait.total_seconds()) + 1
        )


def _admit(tx: Tx, row: Any, user_id: int, *, ip: str, at: datetime, ids: IdSource) -> None:
    count = sa.select(sa.func.count()).select_from(members).where(members.c.pid == row.pid)
    if tx.conn.execute(count).scalar_one() >= MOST_MEMBERS:
        raise ConflictError(f"the project has {MOST_MEMBERS} members")
    insert = tx.insert(members).values(pid=row.pid, user_id=user_id, role=row.role).on_conflict_do_nothing()
    if tx.conn.execute(insert.returning(members.c.user_id)).first() is None:
        return  # he was added in the meantime, by hand; the role that he was given then stays
    record(
        tx, row.pid, actor=Actor(f"user:{row.email}", ip or None), action=Action.MEMBER_ADD, of=f"user:{user_id}",
        before=None, after=_told(row.email, row.role) | {"invited_by": row.invited_by}, at=at, ids=ids,
    )  # fmt: skip


def _taken(tx: Tx, token: str, at: datetime) -> Any:
    """The invite of a link, which is gone with this transaction: of two who hold it one comes too late."""
    if not _can_be(token):
        raise _over()
    query = sa.select(invites.c.pid, projects.c.slug).join(projects, projects.c.id == invites.c.pid)
    found = tx.conn.execute(query.where(invites.c.token_hash == digest(token))).first()
    if found is None:
        raise _over()
    # In the order in which whoever removes an inviter or the project takes them.
    hold(tx, found.pid)
    mine = (invites.c.pid == found.pid, invites.c.token_hash == digest(token), invites.c.expires_at > at)
    row = tx.conn.execute(
        sa.delete(invites).where(*mine).returning(*_SHOWN, sa.literal(found.slug).label("slug"))
    ).first()
    if row is None:
        raise _over()
    return row


def _row(tx: Tx, pid: int, invite_id: str) -> Any:
    query = sa.select(*_SHOWN).where(*_one(pid, invite_id))
    row = tx.conn.execute(query.with_for_update() if tx.on_postgres else query).first()
    if row is None:
        raise _missing()
    return row


def _one(pid: int, invite_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    number = number_of(invite_id)
    if number is None:
        raise _missing()
    return (invites.c.pid == pid, invites.c.id == number)


def _project_name(tx: Tx, pid: int) -> str:
    return str(tx.conn.execute(sa.select(projects.c.name).where(projects.c.id == pid)).scalar_one())


def _can_be(token: str) -> bool:
    return len(token) == _TOKEN and token.isascii()


def _missing() -> NotFoundError:
    return NotFoundError("there is no such invite")


def _over() -> NotFoundError:
    return NotFoundError("this invite was used or taken back, or it has ended")


def _told(email: str, role: str) -> dict[str, Any]:
    return {"email": email, "role": str(role)}
