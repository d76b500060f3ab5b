"""A person leaves Heartfly altogether: all that is about him goes, but not what he did.

Entries of the audit, acknowledgements and comments keep the address that they were made under: they belong to the
project, which must be able to say who changed what (docs/pages.md says so to whoever asks).
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.accounts import members as people
from heartfly.accounts.members import LastOwnerError
from heartfly.audit.record import Actor
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import (
    backup_codes,
    email_changes,
    invites,
    members,
    passkeys,
    projects,
    resets,
    sessions,
    users,
    wrong_passwords,
)
from heartfly.errors import NotFoundError


def erase_user(tx: Tx, user_id: int, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """LastOwnerError: a project would be nobody's; it names it."""
    email = tx.conn.execute(sa.select(users.c.email_norm).where(users.c.id == user_id)).scalar()
    if email is None:
        raise NotFoundError("there is no such user")
    mine = sa.select(projects.c.id, projects.c.slug).join(members, members.c.pid == projects.c.id)
    for project in tx.conn.execute(mine.where(members.c.user_id == user_id).order_by(projects.c.id)).all():
        try:
            people.remove(tx, project.id, str(user_id), actor=actor, at=at, ids=ids)
        except LastOwnerError:
            raise LastOwnerError(f"the project {project.slug} has no other owner; hand it over or delete it") from None
    for table in (sessions, resets, backup_codes, passkeys, email_changes, wrong_passwords):
        tx.conn.execute(sa.delete(table).where(table.c.user_id == user_id))
    # What he was invited to, too: his address goes.
    for pid in tx.conn.execute(sa.select(invites.c.pid).where(invites.c.email_norm == email)).scalars().all():
        tx.conn.execute(sa.delete(invites).where(invites.c.pid == pid, invites.c.email_norm == email))
    tx.conn.execute(sa.delete(users).where(users.c.id == user_id))


def erase_by_email(tx: Tx, email: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """NotFoundError: nobody has that address. LastOwnerError."""
    user_id = tx.conn.execute(sa.select(users.c.id).where(users.c.email_norm == email.strip().lower())).scalar()
    if user_id is None:
        raise NotFoundError(f"there is no user {email[:254]}")
    erase_user(tx, user_id, actor=actor, at=at, ids=ids)
