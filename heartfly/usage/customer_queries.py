"""Reads of customers: which there are, what senders call them, and names that nobody has said whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.queries import UUID
from heartfly.core.events import wrong_subject, wrong_text
from heartfly.db.changes import Tx
from heartfly.db.models import aliases, customers, events, usage_names
from heartfly.errors import InvalidValueError, NotFoundError

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Customers with `name` as a part of their name, and each of `aliases` as a part of something they are called.

    Parts are alike in any letter case. `archived`: those that are, too.
    """

    name: str = ""
    aliases: Sequence[str] = ()
    archived: bool = False
    by: Literal["id", "name"] = "id"
    descending: bool = False


async def seek_customers(
    read: AsyncConnection, pid: int, sought: Sought, *, skip: int, limit: int
) -> tuple[Sequence[Any], int]:
    """And how many there are of them. InvalidValueError: what is sought could be in no database."""
    for field, part in (("name", sought.name), *(("subject", one) for one in sought.aliases)):
        if part and (wrong := wrong_text(part)) is not None:
            raise InvalidValueError(field, wrong)
    which = [customers.c.pid == pid]
    if not sought.archived:
        which.append(customers.c.archived_at.is_(None))
    if sought.name:
        which.append(customers.c.name.icontains(sought.name, autoescape=True))
    for part in sought.aliases:
        his = (
            aliases.c.pid == customers.c.pid,
            aliases.c.customer_id == customers.c.id,
            aliases.c.text != customers.c.uuid,
        )
        which.append(sa.exists().where(*his, aliases.c.text.icontains(part, autoescape=True)))
    n = (await read.execute(sa.select(sa.func.count()).select_from(customers).where(*which))).scalar_one()
    columns = [customers.c.name, customers.c.id] if sought.by == "name" else [customers.c.id]
    order = [column.desc() if sought.descending else column for column in columns]
    rows = await read.execute(sa.select(customers).where(*which).order_by(*order).offset(skip).limit(limit))
    return rows.all(), int(n)


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


async def list_aliases(read: AsyncConnection, pid: int, *, limit: int) -> Sequence[Any]:
    """What customers are called who are not archived, in the order of the alphabet: `text`, and the customer's row."""
    query = (
        sa.select(aliases.c.text, customers)
        .join(customers, _OWNER)
        .where(aliases.c.pid == pid, customers.c.archived_at.is_(None), aliases.c.text != customers.c.uuid)
    )
    return (await read.execute(query.order_by(aliases.c.text).limit(limit))).all()


async def owner_of(read: AsyncConnection, pid: int, alias: str) -> Any:
    """The row of the customer who is called so, by an alias or his own id; None: nobody is."""
    return None if wrong_subject(alias) is not None else (await read.execute(called(pid, alias))).first()


def called(pid: int, alias: str) -> sa.Select[Any]:
    return sa.select(customers).join(aliases, _OWNER).where(aliases.c.pid == pid, aliases.c.text == alias)


_OWNER = sa.and_(customers.c.pid == aliases.c.pid, customers.c.id == aliases.c.customer_id)


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
