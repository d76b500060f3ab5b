"""OpenMeter's subjects, which are the aliases of our customers: the display name of one is his name, of all alike.

What a subject has besides is not kept: metadata, periods, Stripe's id.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.foreign_meters import told_in
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import iso
from heartfly.core.events import wrong_subject
from heartfly.db.changes import Tx
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage import customer_queries as queries
from heartfly.usage import customers
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.customers import Edit

MOST_SUBJECTS = 10_000
"""Told at once: their list has no pages."""
_MOST_UPSERTED = 100
_NAMES = {"name": "displayName"}


class SubjectIn(msgspec.Struct, rename="camel"):
    key: str
    display_name: str | None = None


@get("/api/v1/subjects")
async def list_all(request: ApiRequest) -> list[dict[str, Any]]:
    """In the order of the alphabet; those of archived customers are left out."""
    async with request.api.usage.read() as read:
        rows = await queries.list_aliases(read, request.caller.pid, limit=MOST_SUBJECTS + 1)
    if len(rows) > MOST_SUBJECTS:
        raise InvalidValueError("", f"there are more than {MOST_SUBJECTS} subjects; ask for customers, page by page")
    return [_subject(row.text, row) for row in rows]


@get("/api/v1/subjects/{subject_id:str}")
async def read_one(request: ApiRequest, subject_id: FromPath[str]) -> dict[str, Any]:
    async with request.api.usage.read() as read:
        return _subject(subject_id, await _owner(read, request.caller.pid, subject_id))


@post("/api/v1/subjects", status_code=200)
async def upsert(request: ApiRequest, data: JSONBody[list[SubjectIn]]) -> list[dict[str, Any]]:
    """One that nobody is called becomes a customer; of another the display name is his name from now on.

    All of them, or none.
    """
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    if not 1 <= len(data) <= _MOST_UPSERTED:
        raise InvalidValueError("", f"must be 1 to {_MOST_UPSERTED} subjects")

    for one in data:
        if (wrong := wrong_subject(one.key)) is not None:
            raise InvalidValueError("key", wrong)

    def command(tx: Tx) -> None:
        for one in data:
            owner = customers.owner_of(tx, pid, one.key)
            if owner is None:
                customers.create_customer(
                    tx, pid, name=one.display_name or one.key, wanted=[one.key], actor=actor, at=at, ids=api.ids
                )
            elif one.display_name:
                customers.edit_customer(tx, pid, owner, Edit(name=one.display_name), actor=actor, at=at, ids=api.ids)

    with told_in(_NAMES):
        await api.usage.write(command)
    await carry_or_wait(api.usage, api.database)
    async with api.usage.read() as read:
        return [_subject(one.key, await _owner(read, pid, one.key)) for one in data]


@delete("/api/v1/subjects/{subject_id:str}", status_code=204)
async def delete_one(request: ApiRequest, subject_id: FromPath[str]) -> None:
    """The name is nobody's any more, and whoever had no other is archived. Its events stay, of nobody that is known."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor

    def command(tx: Tx) -> None:
        owner = customers.owner_of(tx, pid, subject_id)
        if owner is None or owner == subject_id.lower():
            raise NotFoundError("there is no such subject")
        customers.edit_customer(tx, pid, owner, Edit(remove=[subject_id]), actor=actor, at=at, ids=api.ids)
        if not queries.aliases_in(tx, customers.held(tx, pid, owner)):
            customers.archive_customer(tx, pid, owner, actor=actor, at=at, ids=api.ids)

    await api.usage.write(command)
    await carry_or_wait(api.usage, api.database)


async def _owner(read: AsyncConnection, pid: int, text: str) -> Any:
    """NotFoundError."""
    row = await queries.owner_of(read, pid, text)
    if row is None:
        raise NotFoundError("there is no such subject")
    return row


def _subject(key: str, row: Any) -> dict[str, Any]:
    """Its key is its id as well: several may be one customer's."""
    archived = {} if row.archived_at is None else {"deletedAt": iso(row.archived_at)}
    return {
        "id": key,
        "key": key,
        "displayName": row.name,
        "createdAt": iso(row.created_at),
        "updatedAt": iso(row.created_at),
        **archived,
    }


HANDLERS = (list_all, read_one, upsert, delete_one)
