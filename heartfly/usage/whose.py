"""Whose usage it is: a subject, as sent, is a customer's native id or one of the aliases. Asked at each reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.queries import UUID
from heartfly.db.models import aliases, customers, usage_names
from heartfly.db.prepared import among
from heartfly.errors import InvalidValueError


class Customer(NamedTuple):
    """`uuid`: the public id."""

    uuid: str
    name: str


class Subject(NamedTuple):
    """`text`: as it was sent. `customer` None: nobody is known by it."""

    text: str
    customer: Customer | None


async def subjects_of(read: AsyncConnection, pid: int, ids: Iterable[int]) -> Mapping[int, Subject]:
    """Of these numbers (`usage_names`) what was sent, and who is meant."""
    named = (
        sa.select(usage_names.c.id, usage_names.c.text)
        .where(usage_names.c.pid == pid, among(read, usage_names.c.id, "ids"))
        .order_by(usage_names.c.id)
    )
    found = await read.execute(named, {"ids": sorted(ids)})
    texts = {number: text for number, text in found}  # noqa: C416 - as below
    known = await _meant_by(read, pid, sorted(set(texts.values())))
    return {id_: Subject(text, known.get(text)) for id_, text in texts.items()}


async def owners_of(read: AsyncConnection, pid: int, ids: Iterable[int]) -> Mapping[int, int | None]:
    """Of these numbers (`usage_names`), as far as they are names, whose they are: the number of a customer, or None."""
    by_id, by_alias, names = customers.alias(), aliases, usage_names
    query = (
        # An id is nobody else's, whatever an alias says.
        sa.select(names.c.id, sa.func.coalesce(by_id.c.id, by_alias.c.customer_id))
        .outerjoin(by_id, sa.and_(by_id.c.pid == pid, by_id.c.uuid == names.c.text))
        .outerjoin(by_alias, sa.and_(by_alias.c.pid == pid, by_alias.c.text == names.c.text))
        .where(names.c.pid == pid, among(read, names.c.id, "ids"))
    )
    found = await read.execute(query, {"ids": sorted(ids)})
    return {number: owner for number, owner in found}  # noqa: C416 - rows are no pairs to a checker of types


async def _meant_by(read: AsyncConnection, pid: int, texts: Sequence[str]) -> Mapping[str, Customer]:
    by_id = sa.select(customers.c.uuid.label("text"), customers.c.uuid, customers.c.name).where(
        customers.c.pid == pid, among(read, customers.c.uuid, "texts")
    )
    by_alias = (
        sa.select(aliases.c.text, customers.c.uuid, customers.c.name)
        .join(customers, sa.and_(customers.c.pid == aliases.c.pid, customers.c.id == aliases.c.customer_id))
        .where(aliases.c.pid == pid, among(read, aliases.c.text, "texts"))
    )
    found: dict[str, Customer] = {}
    for query in (by_alias, by_id):  # an id is nobody else's, whatever an alias says
        rows = await read.execute(query, {"texts": list(texts)})
        found |= {text: Customer(uuid, name) for text, uuid, name in rows}
    return found


async def ids_of(
    read: AsyncConnection, pid: int, *, of_customers: Sequence[str] = (), subjects: Sequence[str] = ()
) -> Sequence[int] | None:
    """The numbers of what these customers (by public id) are called, of these only `subjects`. None: nothing was asked.

    InvalidValueError: there is no such customer.
    """
    if not of_customers and not subjects:
        return None
    texts = set(subjects)
    if of_customers:
        wanted = {uuid.lower() for uuid in of_customers}
        if wrong := [one for one in wanted if not UUID.fullmatch(one)]:  # not every database could be asked for it
            raise InvalidValueError("customer", f"there is no customer {min(wrong)[:100]}")
        query = sa.select(customers.c.id, customers.c.uuid).where(
            customers.c.pid == pid, among(read, customers.c.uuid, "uuids")
        )
        known = {row.uuid: row.id for row in await read.execute(query, {"uuids": sorted(wanted)})}
        if wanted - known.keys():
            raise InvalidValueError("customer", f"there is no customer {min(wanted - known.keys())[:100]}")
        named = sa.select(aliases.c.text).where(aliases.c.pid == pid, among(read, aliases.c.customer_id, "ids"))
        called = known.keys() | set((await read.execute(named, {"ids": sorted(known.values())})).scalars())
        texts = texts & called if subjects else called
    numbers = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.kind == "subject", among(read, usage_names.c.text, "texts")
    )
    return sorted((await read.execute(numbers, {"texts": sorted(texts)})).scalars())
