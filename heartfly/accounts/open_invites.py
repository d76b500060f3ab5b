"""Invites that nobody has used yet end with the right of who made them: who may invite nobody has invited nobody.

They know him by the name that he has in the audit, so when he gets another one, they are told.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, record
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import invites


def end_of(
    tx: Tx, pid: int, inviter: str, *, actor: Actor, at: datetime, ids: IdSource, roles: Collection[str] | None = None
) -> None:
    """`inviter`: as the audit names him. `roles`: of those alone that make somebody one of these; None: all of his."""
    his = sa.delete(invites).where(invites.c.pid == pid, invites.c.invited_by == inviter)
    if roles is not None:
        his = his.where(invites.c.role.in_(roles))
    for row in tx.conn.execute(his.returning(invites.c.id, invites.c.email, invites.c.role)).all():
        record(
            tx, pid, actor=actor, action=Action.INVITE_REVOKE, of=f"invite:{row.id}",
            before={"email": row.email, "role": row.role}, after=None, at=at, ids=ids,
        )  # fmt: skip


def renamed(tx: Tx, pid: int, inviter: str, *, becomes: str) -> None:
    """Who invited is called otherwise from now on; what he invited to still ends with him."""
    his = (invites.c.pid == pid, invites.c.invited_by == inviter)
    tx.conn.execute(sa.update(invites).where(*his).values(invited_by=becomes))
