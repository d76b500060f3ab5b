"""API keys: list, create, read, edit, revoke, rotate. All of it needs the scope `admin`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.accounts import key_commands, queries
from heartfly.accounts.guards import ADMINISTERS
from heartfly.accounts.revisions import of_key
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_accounts import KeyEdit, KeyIn, KeyOut, KeyPage, RotateIn, key_out
from heartfly.sealing import APITALLY

_UNSAID = RotateIn()


@get("/keys", summary="List API keys", responses=told_as(422), tags=["keys"], opt=ADMINISTERS)
async def list_keys(
    request: ApiRequest,
    *,
    revoked: Annotated[bool, QueryParameter(description="With those that were revoked.")] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> KeyPage:
    """In the order in which they were made."""
    after = number(cursor, "keys")
    async with request.api.database.read() as read:
        rows = await queries.list_keys(read, request.caller.pid, revoked=revoked, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of("keys", row.id))
    now = request.api.clock.now()
    return KeyPage([key_out(row, now=now) for row in page], following)


@post("/keys", summary="Create an API key", responses=told_as(409, 422), tags=["keys"], opt=ADMINISTERS)
async def create_key(request: ApiRequest, data: JSONBody[KeyIn]) -> Response[KeyOut]:
    """The `secret` is in this answer and in no other. No key gets a scope that the one who asks lacks (403)."""
    api, caller, at = request.api, request.caller, request.api.clock.now()
    made = await request.administer(
        lambda tx: key_commands.create_key(
            tx,
            caller.pid,
            name=data.name,
            scopes=data.scopes,
            expires_at=data.expires_at,
            may_grant=caller.scopes,
            actor=request.actor,
            at=at,
            ids=api.ids,
            like=APITALLY if data.form == "apitally" else "",
        )
    )
    answer = await _told(request, str(made.id), secret=made.secret, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/keys/{made.id}"
    return answer


@get("/keys/{key_id:str}", summary="Read an API key", responses=told_as(404), tags=["keys"], opt=ADMINISTERS)
async def read_key(request: ApiRequest, key_id: FromPath[str]) -> Response[KeyOut]:
    """Of one that was revoked, too."""
    return await _told(request, key_id)


@patch(
    "/keys/{key_id:str}",
    summary="Edit an API key",
    responses=told_as(404, 409, 412, 422),
    tags=["keys"],
    opt=ADMINISTERS,
)
async def edit_key(
    request: ApiRequest, key_id: FromPath[str], data: JSONBody[KeyEdit], if_match: IfMatch = None
) -> Response[KeyOut]:
    """Its name and its end. What is left out stays."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    given = {"name": data.name, "expires_at": data.expires_at}
    changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    await request.administer(
        lambda tx: key_commands.edit_key(
            tx, pid, key_id, changes=changes, actor=request.actor, at=at, ids=api.ids, rev=rev
        )
    )
    return await _told(request, key_id)


@delete(
    "/keys/{key_id:str}",
    summary="Revoke an API key",
    responses=told_as(404, 409, 412, 422),
    tags=["keys"],
    opt=ADMINISTERS,
    status_code=204,
)
async def revoke_key(request: ApiRequest, key_id: FromPath[str], if_match: IfMatch = None) -> None:
    """From the answer on it does not work. The project's last key with the scope `admin` cannot be revoked (409)."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await request.administer(
        lambda tx: key_commands.revoke_key(tx, pid, key_id, actor=request.actor, at=at, ids=api.ids, rev=rev)
    )


@post(
    "/keys/{key_id:str}/rotate",
    summary="Rotate an API key",
    responses=told_as(404, 409, 412, 422),
    tags=["keys"],
    opt=ADMINISTERS,
    status_code=200,
)
async def rotate_key(
    request: ApiRequest, key_id: FromPath[str], data: JSONBody[RotateIn] = _UNSAID, if_match: IfMatch = None
) -> Response[KeyOut]:
    """A new `secret`, in this answer and in no other. The old one works on for `overlap`, a day if not said."""
    api, caller, at, rev = request.api, request.caller, request.api.clock.now(), rev_of(if_match)
    secret = await request.administer(
        lambda tx: key_commands.rotate_key(
            tx,
            caller.pid,
            key_id,
            overlap_s=data.overlap,
            may_grant=caller.scopes,
            actor=request.actor,
            at=at,
            ids=api.ids,
            rev=rev,
        )
    )
    return await _told(request, key_id, secret=secret)


async def _told(request: ApiRequest, key_id: str, *, secret: str | None = None, status: int = 200) -> Response[KeyOut]:
    async with request.api.database.read() as read:
        row = await queries.one_key(read, request.caller.pid, key_id)
    told = key_out(row, now=request.api.clock.now(), secret=secret)
    return Response(told, status_code=status, headers={"ETag": etag(of_key(row))})
