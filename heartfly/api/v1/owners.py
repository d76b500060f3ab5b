"""Whose each field of a check is: a client's of its job, which sets it again, or a person's, which none overwrites."""

from __future__ import annotations

import msgspec
from litestar import get, patch
from litestar.params import FromPath, JSONBody

from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.checks import queries
from heartfly.checks.owned import client_of, whose
from heartfly.checks.owners import set_owners


class OwnersIn(msgspec.Struct, forbid_unknown_fields=True):
    """`fields`: by name, `client` or `person`. What is left out stays as it is."""

    fields: dict[str, str]


class OwnersOut(msgspec.Struct):
    """`client`: who describes the job; empty: nobody does, or nobody knows who."""

    client: str
    fields: dict[str, str]


@get("/checks/{check_id:str}/owners", summary="Whose its fields are", responses=told_as(404), tags=["checks"])
async def read_owners(request: ApiRequest, check_id: FromPath[str]) -> OwnersOut:
    """`client`: the client of its job has set it, and may again. `person`: no client overwrites it."""
    return await _told(request, check_id)


@patch("/checks/{check_id:str}/owners", summary="Give a field back", responses=told_as(404, 409, 422), tags=["checks"])
async def set_check_owners(request: ApiRequest, check_id: FromPath[str], data: JSONBody[OwnersIn]) -> OwnersOut:
    """Give a field back to the client, which sets it when it next describes the job; or keep it as it stands."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.database.write(lambda tx: set_owners(tx, pid, check_id, data.fields, at=at, ids=api.ids, actor=actor))
    return await _told(request, check_id)


async def _told(request: ApiRequest, check_id: str) -> OwnersOut:
    async with request.api.database.read() as read:
        row = await queries.find(read, request.caller.pid, check_id)
        channels = await queries.channels_of(read, request.caller.pid, [row.id])
    return OwnersOut(client_of(row), whose(row, channels[row.id]))
