"""Reads of customers: which there are, what senders call them, and names that nobody has said whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.queries import UUID
from heartfly.core.events import wrong_subject
from heartfly.db.changes import Tx
from heartfly.db.models import aliases, customers, events, usage_names
from heartfly.errors import NotFoundError

MOST_COUNTED = 10_000
"""Events that are counted of a name that nobody knows; that there are more is told by one more."""


async def list_customers(
    read: AsyncConnection, pid: int, *, archived: bool, after: int | None, limit: int, only_archived: bool = False
) -> Sequence[Any]:
    """In the order in which they were made. `archived`: those that are, too; `only_archived`: no other."""
    query = sa.select(customers).where(customers.c.pid == pid, customers.c.id > (after or 0))
    if only_archived:
        query = query.where(customers.c.archived_at.is_not(None))
    elif not archived:
        query = query.where(customers.c.archived_at.is_(None))
    return (await read.execute(query.order_by(customers.c.id).limit(limit))).all()


async def one_customer(read: AsyncConnection, pid: int, public_id: str) -> Any:
    """NotFoundError, for one of another project too."""
    return one((await read.execute(of_uuid(pid, public_id))).first())


async def aliases_of(read: AsyncConnection, pid: int, rows: Sequence[Any]) -> Mapping[int, list[str]]:
    """Of each of these customers, by the number of its row, in the order of the alphabet."""
    found: dict[int, list[str]] = {row.id: [] for row in rows}
    own = {row.uuid for row in rows}
    query = sa.select(aliases.c.customer_id, aliases.c.text).where(
        aliases.c.pid == pid, aliases.c.customer_id.in_(found)
    )
    for row in (await read.execute(query)).all() if found else ():
        if row.text not in own:
            found[row.customer_id].append(row.text)
    return {customer_id: sorted(texts) for customer_id, texts in found.items()}


def aliases_in(tx: Tx, row: Any) -> list[str]:
    query = sa.select(aliases.c.text).where(
        aliases.c.pid == row.pid, aliases.c.customer_id == row.id, aliases.c.text != row.uuid
    )
    return sorted(tx.conn.execute(query).scalars())


def subject_ids(pid: int, customer_id: int) -> sa.Select[int]:
    """The names under which events of this customer have come."""
    return (
        sa.select(usage_names.c.id)
        .join(aliases, sa.and_(aliases.c.pid == usage_names.c.pid, aliases.c.text == usage_names.c.text))
        .where(aliases.c.pid == pid, aliases.c.customer_id == customer_id, usage_names.c.kind == "subject")
    )


async def whose(read: AsyncConnection, pid: int, subjects: set[str]) -> Mapping[str, str]:
    """The public ids of the customers that these names mean, as far as somebody has said so."""
    subjects = {one for one in subjects if wrong_subject(one) is None}  # no database could be asked for another
    query = (
        sa.select(aliases.c.text, customers.c.uuid)
        .join(customers, sa.and_(customers.c.pid == aliases.c.pid, customers.c.id == aliases.c.customer_id))
        .where(aliases.c.pid == pid, aliases.c.text.in_(sorted(subjects)))
    )
    return {row.text: row.uuid for row in (await read.execute(query)).all()} if subjects else {}


async def unknown_subjects(read: AsyncConnection, pid: int, *, after: int | None, limit: int) -> Sequence[Any]:
    """Names in events that are nobody's alias, in the order in which they came up.

    Each with when the newest of its events happened.
    """
    of_name = (events.c.pid == usage_names.c.pid, events.c.subject_id == usage_names.c.id)
    last = (
        sa.select(events.c.at).where(*of_name).order_by(events.c.at.desc()).limit(1).correlate(usage_names)
    ).scalar_subquery()
    known = sa.exists().where(aliases.c.pid == usage_names.c.pid, aliases.c.text == usage_names.c.text)
    query = (
        sa.select(usage_names.c.id, usage_names.c.text, last.label("last_at"))
        .where(usage_names.c.pid == pid, usage_names.c.kind == "subject", ~known, last.is_not(None))
        .where(usage_names.c.id > (after or 0))
        .order_by(usage_names.c.id)
        .limit(limit)
    )
    return (await read.execute(query)).all()


async def count_of(read: AsyncConnection, pid: int, subject_id: int) -> int:
    """How many events came under a name, up to MOST_COUNTED + 1."""
    some = sa.select(events.c.id).where(events.c.pid == pid, events.c.subject_id == subject_id).limit(MOST_COUNTED + 1)
    found: int = (await read.execute(sa.select(sa.func.count()).select_from(some.subquery()))).scalar_one()
    return found


def of_uuid(pid: int, public_id: str) -> sa.Select[Any]:
    lower = public_id.lower()
    if not UUID.fullmatch(lower):
        raise NotFoundError("there is no such customer")
    return sa.select(customers).where(customers.c.pid == pid, customers.c.uuid == lower)


def one(row: Any) -> Any:
    if row is None:
        raise NotFoundError("there is no such customer")
    return row
