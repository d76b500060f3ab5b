"""OpenMeter's customers, which are ours: a key and the keys of subjects are aliases, all alike.

Which of his aliases was sent as a customer's key is not kept, so one that has several is told without. Nor are
descriptions, metadata, mail, currency and addresses. Subscriptions there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.foreign_meters import told_in
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import iso
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage import customer_queries as queries
from heartfly.usage import customers
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.customer_queries import Sought
from heartfly.usage.customers import Edit

_MOST_LISTED = 1_000
_MOST_PAGES = 10_000
_NAMES = {"aliases": "usageAttribution.subjectKeys"}
Text = Annotated[str | None, QueryParameter()]


class Attribution(msgspec.Struct, rename="camel"):
    subject_keys: list[str]


class CustomerIn(msgspec.Struct, rename="camel"):
    """Both when one is made and when he is replaced."""

    name: str
    key: str | None = None
    usage_attribution: Attribution | None = None


@post("/api/v1/customers", status_code=201)
async def create_one(request: ApiRequest, data: JSONBody[CustomerIn]) -> dict[str, Any]:
    """A name that is another customer's is refused, as there. It moves by /v1/customers, or by Metronome's calls."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    wanted = _aliases(data)

    def command(tx: Tx) -> str:
        _demand_free(tx, pid, wanted)
        return customers.create_customer(tx, pid, name=data.name, wanted=wanted, actor=actor, at=at, ids=api.ids)[0]

    with told_in(_NAMES):
        uuid = await api.usage.write(command)
    await carry_or_wait(api.usage, api.database)
    return await _told(request, uuid)


def _aliases(data: CustomerIn) -> list[str]:
    keys = [] if data.usage_attribution is None else data.usage_attribution.subject_keys
    found = list(dict.fromkeys([*([data.key] if data.key else []), *keys]))
    if len(found) > customers.MOST_ALIASES:  # before each of them is looked up, while nobody else can write
        raise InvalidValueError(_NAMES["aliases"], f"are more than {customers.MOST_ALIASES}")
    return found


def _demand_free(tx: Tx, pid: int, aliases: Sequence[str], uuid: str | None = None) -> None:
    """ConflictError: one is what another customer is called."""
    for alias in aliases:
        if customers.owner_of(tx, pid, alias) not in {None, uuid}:
            raise ConflictError(f"{alias[:100]!r} is what another customer is called")


@get("/api/v1/customers")
async def list_some(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    page: Annotated[int, QueryParameter(ge=1, le=_MOST_PAGES)] = 1,
    page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=_MOST_LISTED)] = 100,
    order: Annotated[Literal["ASC", "DESC"], QueryParameter()] = "ASC",
    order_by: Annotated[Literal["id", "name", "createdAt"], QueryParameter(name="orderBy")] = "createdAt",
    include_deleted: Annotated[bool, QueryParameter(name="includeDeleted")] = False,  # noqa: FBT002 - as above
    key: Text = None,
    name: Text = None,
    subject: Text = None,
) -> dict[str, Any]:
    """`key`, `name` and `subject` are parts of what is sought, in any letter case."""
    sought = Sought(
        name=name or "", aliases=[one for one in (key, subject) if one], archived=include_deleted,
        by="name" if order_by == "name" else "id", descending=order == "DESC",
    )  # fmt: skip
    pid = request.caller.pid
    async with request.api.usage.read() as read:
        rows, n = await queries.seek_customers(read, pid, sought, skip=(page - 1) * page_size, limit=page_size)
        called = await queries.aliases_of(read, pid, rows)
    items = [_customer(row, called[row.id]) for row in rows]
    return {"totalCount": n, "page": page, "pageSize": page_size, "items": items}


@get("/api/v1/customers/{customer_id:str}")
async def read_one(request: ApiRequest, customer_id: FromPath[str]) -> dict[str, Any]:
    """By his id, or whatever he is called."""
    return await _told(request, customer_id)


@put("/api/v1/customers/{customer_id:str}")
async def replace_one(request: ApiRequest, customer_id: FromPath[str], data: JSONBody[CustomerIn]) -> dict[str, Any]:
    """With neither a key nor an attribution his aliases stay."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    async with api.usage.read() as read:
        uuid = (await _called(read, pid, customer_id)).uuid
    named = data.key is not None or data.usage_attribution is not None
    edit = Edit(name=data.name, aliases=_aliases(data) if named else None)

    def command(tx: Tx) -> None:
        _demand_free(tx, pid, edit.aliases or (), uuid)
        customers.edit_customer(tx, pid, uuid, edit, actor=actor, at=at, ids=api.ids)

    with told_in(_NAMES):
        await api.usage.write(command)
    await carry_or_wait(api.usage, api.database)
    return await _told(request, uuid)


@delete("/api/v1/customers/{customer_id:str}", status_code=204)
async def delete_one(request: ApiRequest, customer_id: FromPath[str]) -> None:
    """He is archived: his usage and what he is called stay his."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    async with api.usage.read() as read:
        uuid = (await _called(read, pid, customer_id)).uuid
    await api.usage.write(lambda tx: customers.archive_customer(tx, pid, uuid, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)


async def _told(request: ApiRequest, name_or_id: str) -> dict[str, Any]:
    pid = request.caller.pid
    async with request.api.usage.read() as read:
        row = await _called(read, pid, name_or_id)
        return _customer(row, (await queries.aliases_of(read, pid, [row]))[row.id])


async def _called(read: AsyncConnection, pid: int, name_or_id: str) -> Any:
    row = await queries.owner_of(read, pid, name_or_id)
    if row is None:
        raise NotFoundError("there is no such customer")
    return row


def _customer(row: Any, called: list[str]) -> dict[str, Any]:
    key = {"key": called[0]} if len(called) == 1 else {}
    deleted = {} if row.archived_at is None else {"deletedAt": iso(row.archived_at)}
    return {
        "id": row.uuid,
        "name": row.name,
        **key,
        "usageAttribution": {"subjectKeys": called},
        "createdAt": iso(row.created_at),
        "updatedAt": iso(row.created_at),
        **deleted,
    }


HANDLERS = (create_one, list_some, read_one, replace_one, delete_one)
