"""Views of the list of checks under a name: what it is filtered by, kept for all who see the project.

What a filter may say is decided in filters.py; here it is a text that the list's address ends in.
Each command is one transaction's work.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor, record
from heartfly.checks.queries import UUID
from heartfly.core import text
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import check_views
from heartfly.db.tenant import demand_living
from heartfly.errors import ConflictError, NotFoundError

MOST_VIEWS = 50
LONGEST_NAME = 60


def save_view(tx: Tx, pid: int, name: str, query: str, *, actor: Actor, at: datetime, ids: IdSource) -> str:
    """Its public id. ConflictError: there is one of that name, or no room for another."""
    demand_living(tx, pid)
    known = text.name(name, field="name", most=LONGEST_NAME)
    count = sa.select(sa.func.count()).where(check_views.c.pid == pid)
    if tx.conn.execute(count).scalar_one() >= MOST_VIEWS:
        raise ConflictError(f"the project has {MOST_VIEWS} saved views, which is all that it may have")
    values = {"name": known, "query": query}
    public_id = str(uuids.uuid4())
    fixed = {"pid": pid, "id": ids.next(at), "uuid": public_id, "created_at": at}
    insert = tx.insert(check_views).values(values | fixed).on_conflict_do_nothing(index_elements=["pid", "name"])
    if tx.conn.execute(insert.returning(check_views.c.id)).first() is None:
        raise ConflictError("there is a saved view of that name")
    record(
        tx, pid, actor=actor, action=Action.VIEW_CREATE, of=f"view:{public_id}", before=None, after=values, at=at,
        ids=ids,
    )  # fmt: skip
    return public_id


def delete_view(tx: Tx, pid: int, public_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """NotFoundError, for one of another project too."""
    if not UUID.fullmatch(public_id):  # not every database could be asked for it
        raise NotFoundError("there is no such saved view")
    its = (check_views.c.pid == pid, check_views.c.uuid == public_id)
    gone = sa.delete(check_views).where(*its).returning(check_views.c.name, check_views.c.query)
    row = tx.conn.execute(gone).first()
    if row is None:
        raise NotFoundError("there is no such saved view")
    record(
        tx, pid, actor=actor, action=Action.VIEW_DELETE, of=f"view:{public_id}", before=row._asdict(), after=None,
        at=at, ids=ids,
    )  # fmt: skip


async def one_view(read: AsyncConnection, pid: int, public_id: str) -> Any:
    return (
        await read.execute(sa.select(check_views).where(check_views.c.pid == pid, check_views.c.uuid == public_id))
    ).one()


async def list_views(read: AsyncConnection, pid: int) -> Sequence[Any]:
    """By name."""
    found = (await read.execute(sa.select(check_views).where(check_views.c.pid == pid))).all()
    return sorted(found, key=lambda row: (row.name.casefold(), row.id))
