"""Limits of calls: list, make, read, edit, delete; how each stands, who was denied, what a rule would have done."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_at, cursor_of, cut, number, text_at
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_limits import (
    CounterPage,
    DenialPage,
    LimitEdit,
    LimitIn,
    LimitOut,
    LimitPage,
    ProviderLimitOut,
    ProviderLimitPage,
    asked_of,
    counter_out,
    denial_out,
    limit_out,
)
from heartfly.api.v1.wire_simulated import SimulatedOut, simulated_out
from heartfly.db.changes import Tx
from heartfly.db.types import instant, micros
from heartfly.errors import InvalidValueError
from heartfly.limits import commands, queries
from heartfly.limits.asked import amount_of, opens_of, period_us_of, wanted_of
from heartfly.limits.commands import Edit
from heartfly.limits.simulate import simulate
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.rerun import zone_of

_TAGS = ["limits"]
Result = TypeVar("Result")
Place = TypeVar("Place")
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Micros = Annotated[int, msgspec.Meta(ge=0, lt=2**57)]
"""Up to the year 6536: what an instant can be, and more than ever is."""


@get("/limits", summary="List limits of calls", responses=told_as(422), tags=_TAGS)
async def list_limits(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> LimitPage:
    """In the order in which they were made, each with its fullest counter."""
    api, after = request.api, number(cursor, "limits") or 0
    async with api.usage.read() as read:
        found = await queries.list_limits(read, request.caller.pid, now=api.clock.now(), after=after, limit=limit + 1)
    page, following = cut(found, limit, lambda one: cursor_of("limits", one.row.id))
    return LimitPage([limit_out(one) for one in page], following)


@post("/limits", summary="Make a limit", responses=told_as(409, 422), tags=_TAGS)
async def create_limit(request: ApiRequest, data: JSONBody[LimitIn]) -> Response[LimitOut]:
    """It counts from now on."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    async with api.database.read() as main:
        zone = await zone_of(main, pid)
    wanted = wanted_of(asked_of(data), zone=zone.key)
    made = await _written(request, lambda tx: commands.create(tx, pid, wanted, actor=request.actor, at=at, ids=api.ids))
    answer = await _told(request, made, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/limits/{made}"
    return answer


@get("/limits/denials", summary="List who was denied, newest first", responses=told_as(422), tags=_TAGS)
async def list_denials(
    request: ApiRequest,
    limit_id: Annotated[str, QueryParameter(description="By this limit only.")] = "",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> DenialPage:
    """A row for each minute, limit and value of what it counts apart; kept for 8 days, at most 10,000."""
    found = _place(cursor, "denials", tuple[_Micros, _Number, str])
    after = None if found is None else (instant(found[0]), found[1], found[2])
    async with request.api.usage.read() as read:
        rows = await queries.list_denials(read, request.caller.pid, public_id=limit_id, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: _cursor("denials", micros(row.last_at), row.limit_id, row.scope))
    return DenialPage([denial_out(row) for row in page], following)


@get("/limits/providers", summary="List what providers say of their own limits", responses=told_as(422), tags=_TAGS)
async def list_provider_limits(
    request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> ProviderLimitPage:
    """By provider and model, as the newest call of each was told by headers (`ratelimit.…` properties of events)."""
    after = _place(cursor, "providers", tuple[str, str])
    async with request.api.usage.read() as read:
        rows = await queries.told_by_providers(read, request.caller.pid, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: _cursor("providers", row.provider, row.model))
    items = [ProviderLimitOut(provider=row.provider, model=row.model, at=row.at, told=row.told) for row in page]
    return ProviderLimitPage(items, following)


@post(
    "/limits/simulate",
    summary="See what a limit would have denied",
    responses=told_as(422),
    tags=_TAGS,
    status_code=200,
)
async def simulate_limit(request: ApiRequest, data: JSONBody[LimitIn]) -> SimulatedOut:
    """Of the calls of the last seven days, in their order, as if it had held alone. Nothing is stored."""
    api, pid = request.api, request.caller.pid
    async with api.database.read() as main:
        zone = await zone_of(main, pid)
    wanted = wanted_of(asked_of(data), zone=zone.key)
    return simulated_out(await simulate(api.usage, pid, wanted.limit, now=api.clock.now()))


@get("/limits/{limit_id:str}", summary="Read a limit", responses=told_as(404), tags=_TAGS)
async def read_limit(request: ApiRequest, limit_id: FromPath[str]) -> Response[LimitOut]:
    return await _told(request, limit_id)


@get(
    "/limits/{limit_id:str}/counters",
    summary="List the counters of a limit, the fullest first",
    responses=told_as(404, 422),
    tags=_TAGS,
)
async def list_counters(
    request: ApiRequest, limit_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> CounterPage:
    """One for each value of what is counted apart. In the order in which they stood when each was counted last."""
    api, pid, now = request.api, request.caller.pid, request.api.clock.now()
    after = _place(cursor, "counters", tuple[_Number, str])
    async with api.usage.read() as read:
        shown = await queries.one_limit(read, pid, limit_id, now=now)
        rows = await queries.counters_of(read, pid, shown.row, now=now, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda one: _cursor("counters", one[1], one[2]))
    return CounterPage([counter_out(one[0]) for one in page], following)


@patch("/limits/{limit_id:str}", summary="Edit a limit", responses=told_as(404, 409, 412, 422), tags=_TAGS)
async def edit_limit(
    request: ApiRequest, limit_id: FromPath[str], data: JSONBody[LimitEdit], if_match: IfMatch = None
) -> Response[LimitOut]:
    """What is left out stays, and what was used stays used. Paused by `active` false, it denies and counts nothing."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    asked = Edit(
        name=data.name,
        amount=None if data.amount is None else amount_of(str(data.amount), "amount"),
        burst=None if data.burst is None else amount_of(str(data.burst), "burst"),
        period_us=None if data.period_s is None else period_us_of(data.period_s),
        always=data.always,
        opens=None if data.on_failure is None else opens_of(data.on_failure),
        approaching=data.approaching,
        active=data.active,
    )
    await _written(
        request, lambda tx: commands.edit(tx, pid, limit_id, asked, rev=rev, actor=request.actor, at=at, ids=api.ids)
    )
    return await _told(request, limit_id)


@delete("/limits/{limit_id:str}", summary="Delete a limit", responses=told_as(404, 409), tags=_TAGS)
async def delete_limit(request: ApiRequest, limit_id: FromPath[str]) -> None:
    """With what was counted for it, and who was denied by it."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await _written(request, lambda tx: commands.delete(tx, pid, limit_id, actor=request.actor, at=at, ids=api.ids))


async def _written(request: ApiRequest, command: Callable[[Tx], Result]) -> Result:
    result = await request.api.usage.write(command)
    await carry_or_wait(request.api.usage, request.api.database)
    return result


async def _told(request: ApiRequest, limit_id: str, *, status: int = 200) -> Response[LimitOut]:
    api = request.api
    async with api.usage.read() as read:
        shown = await queries.one_limit(read, request.caller.pid, limit_id, now=api.clock.now())
    return Response(limit_out(shown), status_code=status, headers={"ETag": etag(shown.row.rev)})


def _cursor(of: str, *values: str | int) -> str:
    return cursor_at(of, json.dumps(values))


def _place(cursor: str | None, of: str, shape: type[Place]) -> Place | None:
    """What `_cursor` was made of; None: from the start. InvalidValueError."""
    text = text_at(cursor, of)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.MsgspecError:
        raise InvalidValueError("cursor", "must be the `next` of a page of this list") from None
