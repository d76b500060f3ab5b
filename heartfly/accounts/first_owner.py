"""The first person of a Heartfly that nobody uses yet: he proves by a token that he started the server.

The token is printed where the server runs and lives in its memory: who restarts it sees another one. It is used up by
the first user, whichever way he came.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from hmac import compare_digest

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.commands import create_first_user
from heartfly.audit.record import Action, Actor, record
from heartfly.core.zones import zone as known_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import members, projects, users
from heartfly.errors import ForbiddenError

SETUP = "setup"


class SetupToken:
    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe(24)

    def demand(self, token: str) -> None:
        """ForbiddenError: it is another one."""
        if not compare_digest(self.secret.encode(), token.encode(errors="replace")):
            raise ForbiddenError("this is not the token that the server printed at its start")


async def has_users(read: AsyncConnection) -> bool:
    return (await read.execute(sa.select(users.c.id).limit(1))).first() is not None


def make_first_owner(tx: Tx, *, email: str, password_hash: str, zone: str, ip: str, at: datetime, ids: IdSource) -> int:
    """The first user, an owner of the projects that have nobody. ConflictError: somebody was first."""
    # Two at once, on two nodes, must not both find nobody: one waits for the other at the oldest project.
    oldest = sa.select(projects.c.id).order_by(projects.c.id).limit(1)
    tx.conn.execute(oldest.with_for_update() if tx.on_postgres else oldest)
    user_id = create_first_user(tx, email=email, password_hash=password_hash, at=at, ids=ids)
    tx.conn.execute(sa.update(users).where(users.c.id == user_id).values(zone=known_zone(zone, field="zone").key))
    ownerless = sa.select(projects.c.id).where(projects.c.id.not_in(sa.select(members.c.pid)))
    for pid in tx.conn.execute(ownerless.order_by(projects.c.id)).scalars().all():
        tx.conn.execute(sa.insert(members).values(pid=pid, user_id=user_id, role="owner"))
        record(
            tx, pid, actor=Actor(SETUP, ip or None), action=Action.MEMBER_ADD, of=f"user:{user_id}",
            before=None, after={"email": email, "role": "owner"}, at=at, ids=ids,
        )  # fmt: skip
    return user_id
