"""May who asks for it do so still? Asked inside the transaction that writes what only administrators may.

The doors ask before, and hold nothing: between their look and the write somebody may be demoted, or a key revoked. Here
the project is held, as by all that changes its people and keys, so the answer is true until the commit.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from heartfly.accounts.keys import Caller, Scope, caller_in
from heartfly.accounts.members import Role, hold
from heartfly.accounts.sessions import Membership
from heartfly.db.changes import Tx
from heartfly.db.models import members
from heartfly.errors import ForbiddenError, NotFoundError


class DemotedError(ForbiddenError):
    """Who asked for it could do so when the request came, and cannot any more."""


def demand_administrator(tx: Tx, project: Membership, user_id: int, *, owner: bool = False) -> Membership:
    """What he is in the project now. `owner`: he must own it. DemotedError; NotFoundError: he is in it no more."""
    hold(tx, project.pid)
    query = sa.select(members.c.role).where(members.c.pid == project.pid, members.c.user_id == user_id)
    role = tx.conn.execute(query).scalar()
    if role is None:
        raise NotFoundError("there is nothing at this address")
    now_is = replace(project, role=Role(role))
    if not (now_is.owns if owner else now_is.administers):
        raise DemotedError("you may not do that any more: somebody has changed your role meanwhile")
    return now_is


def demand_key(tx: Tx, caller: Caller, *, at: datetime) -> None:
    """UnauthenticatedError: the key was revoked, or has ended. ForbiddenError: its secret is on its way out."""
    hold(tx, caller.pid)
    if Scope.ADMIN not in caller_in(tx, caller.secret_hash, now=at).scopes:
        raise ForbiddenError(f"this key lacks the scope {Scope.ADMIN}")
