"""The people of a project: who is in it, and as what. Each function that changes something is one transaction's work.

A project keeps an owner: the last one can neither go nor become anything less. Who may change members is decided at
the doors.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts import open_invites, revisions
from heartfly.accounts.queries import number_of
from heartfly.audit.record import Action, Actor, Facts, record
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import members, projects, users
from heartfly.errors import ConflictError, ForbiddenError, InvalidValueError, NotFoundError

MOST_MEMBERS = 1_000
_LONGEST_EMAIL = 254


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class LastOwnerError(ConflictError):
    """Without this owner nobody could decide about the project any more."""


async def list_members(read: AsyncConnection, pid: int, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    """In the order in which they became users."""
    query = _people(pid).order_by(members.c.user_id).limit(limit)
    found: Sequence[Row[Any]] = (
        await read.execute(query if after is None else query.where(members.c.user_id > after))
    ).all()
    return found


async def one_member(read: AsyncConnection, pid: int, user_id: str) -> Row[Any]:
    """NotFoundError, for one of another project alone too."""
    row: Row[Any] | None = (await read.execute(_people(pid).where(members.c.user_id == _number(user_id)))).first()
    if row is None:
        raise _missing()
    return row


def role_in(tx: Tx, pid: int, user_id: str) -> Role:
    """NotFoundError, for one of another project alone too."""
    query = sa.select(members.c.role).where(members.c.pid == pid, members.c.user_id == _number(user_id))
    role = tx.conn.execute(query).scalar()
    if role is None:
        raise _missing()
    return Role(role)


def add(tx: Tx, pid: int, *, email: str, role: str, actor: Actor, at: datetime, ids: IdSource) -> int:
    """A user who may sign in already becomes a member; returns his id. ConflictError: he is one."""
    wanted = role_of(role)
    hold(tx, pid)
    user = None
    if len(email) <= _LONGEST_EMAIL and "\x00" not in email and email.isascii():
        query = sa.select(users.c.id, users.c.email).where(users.c.email_norm == email.strip().lower())
        user = tx.conn.execute(query).first()
    if user is None:
        raise InvalidValueError("email", "there is no user of that address; `heartfly user create` makes one")
    count = sa.select(sa.func.count()).select_from(members).where(members.c.pid == pid)
    if tx.conn.execute(count).scalar_one() >= MOST_MEMBERS:
        raise ConflictError(f"the project has {MOST_MEMBERS} members")
    insert = tx.insert(members).values(pid=pid, user_id=user.id, role=wanted.value).on_conflict_do_nothing()
    if tx.conn.execute(insert.returning(members.c.user_id)).first() is None:
        raise ConflictError(f"{user.email} is a member already")
    record(
        tx, pid, actor=actor, action=Action.MEMBER_ADD, of=f"user:{user.id}",
        before=None, after=_told(user.email, wanted), at=at, ids=ids,
    )  # fmt: skip
    user_id: int = user.id
    return user_id


def change_role(
    tx: Tx, pid: int, user_id: str, role: str, *, actor: Actor, at: datetime, ids: IdSource, rev: int | None = None
) -> None:
    """LastOwnerError: nobody else owns the project."""
    wanted = role_of(role)
    row = _held(tx, pid, user_id, rev)
    if row.role == wanted:
        return
    if row.role == Role.OWNER:
        _demand_another_owner(tx, pid, row.user_id)
    tx.conn.execute(sa.update(members).where(*_one(pid, row.user_id)).values(role=wanted.value))
    record(
        tx, pid, actor=actor, action=Action.MEMBER_EDIT, of=f"user:{row.user_id}",
        before={"role": row.role}, after={"role": wanted.value}, at=at, ids=ids,
    )  # fmt: skip
    # What he could not give any more, he has not given either: a link that waits would give it back to him.
    lost = {Role.OWNER: (), Role.ADMIN: (Role.OWNER.value,)}.get(wanted)
    open_invites.end_of(tx, pid, f"user:{row.email}", roles=lost, actor=actor, at=at, ids=ids)


def remove(
    tx: Tx, pid: int, user_id: str, *, actor: Actor, at: datetime, ids: IdSource, rev: int | None = None
) -> None:
    """He may sign in still, but not into this project; nor may anybody by a link that he sent. LastOwnerError."""
    row = _held(tx, pid, user_id, rev)
    if row.role == Role.OWNER:
        _demand_another_owner(tx, pid, row.user_id)
    tx.conn.execute(sa.delete(members).where(*_one(pid, row.user_id)))
    record(
        tx, pid, actor=actor, action=Action.MEMBER_REMOVE, of=f"user:{row.user_id}",
        before=_told(row.email, row.role), after=None, at=at, ids=ids,
    )  # fmt: skip
    open_invites.end_of(tx, pid, f"user:{row.email}", actor=actor, at=at, ids=ids)


def hand_over(tx: Tx, pid: int, user_id: str, *, giver_id: int, actor: Actor, at: datetime, ids: IdSource) -> None:
    """An owner makes another member the owner, and is an administrator from then on. ForbiddenError: he is none."""
    mine = _held(tx, pid, str(giver_id), None)
    if mine.role != Role.OWNER:
        raise ForbiddenError("only an owner can hand the project over")
    if number_of(user_id) == giver_id:
        raise InvalidValueError("member", "must be somebody else")
    change_role(tx, pid, user_id, Role.OWNER, actor=actor, at=at, ids=ids)
    change_role(tx, pid, str(giver_id), Role.ADMIN, actor=actor, at=at, ids=ids)


def copy_owners(tx: Tx, pid: int, to_pid: int, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """Who owns the one project owns the other, new one, too."""
    owners = tx.conn.execute(_people(pid).where(members.c.role == Role.OWNER).order_by(members.c.user_id)).all()
    for owner in owners:
        tx.conn.execute(sa.insert(members).values(pid=to_pid, user_id=owner.user_id, role=Role.OWNER.value))
        record(
            tx, to_pid, actor=actor, action=Action.MEMBER_ADD, of=f"user:{owner.user_id}",
            before=None, after=_told(owner.email, owner.role), at=at, ids=ids,
        )  # fmt: skip


def _people(pid: int) -> Select[Any]:
    query = sa.select(members.c.user_id, members.c.role, users.c.email).join(users, users.c.id == members.c.user_id)
    return query.where(members.c.pid == pid)


def _one(pid: int, user_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (members.c.pid == pid, members.c.user_id == user_id)


def _held(tx: Tx, pid: int, user_id: str, rev: int | None) -> Any:
    hold(tx, pid)
    row = tx.conn.execute(_people(pid).where(members.c.user_id == _number(user_id))).first()
    if row is None:
        raise _missing()
    revisions.demand(revisions.of_member(row), rev, "member")
    return row


def hold(tx: Tx, pid: int) -> None:
    """Two nodes that each let one of two owners go must not both see the other: the project is held meanwhile."""
    query = sa.select(projects.c.id).where(projects.c.id == pid)
    tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query)


def _demand_another_owner(tx: Tx, pid: int, user_id: int) -> None:
    others = sa.select(members.c.user_id).where(
        members.c.pid == pid, members.c.role == Role.OWNER, members.c.user_id != user_id
    )
    if tx.conn.execute(others.limit(1)).first() is None:
        raise LastOwnerError("it is the project's last owner; make somebody else one first")


def role_of(role: str) -> Role:
    """InvalidValueError names the field `role`."""
    try:
        return Role(role)
    except ValueError:
        raise InvalidValueError("role", f"must be one of {', '.join(Role)}") from None


def _number(user_id: str) -> int:
    number = number_of(user_id)
    if number is None:
        raise _missing()
    return number


def _missing() -> NotFoundError:
    return NotFoundError("there is no such member")


def _told(email: str, role: str) -> Facts:
    return {"email": email, "role": str(role)}
