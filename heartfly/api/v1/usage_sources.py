"""Sources of events: how far each has come, and to retire one that sends no more."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get, post
from litestar.params import JSONBody

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_at, cut, text_at
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.core.watermarks import is_name
from heartfly.errors import InvalidValueError
from heartfly.usage import sources
from heartfly.usage.audit import carry_or_wait


class SourceOut(msgspec.Struct, kw_only=True):
    """`watermark`: the newest instant of an event that it has sent."""

    name: str
    watermark: Instant
    lag_s: int
    """How long ago that is."""
    first_at: Instant
    seen_at: Instant
    """When it was last heard, whatever it told."""
    live_at: Instant | None
    """When it last told what had happened within an hour; null: never, and no day waits for it."""
    retired_at: Instant | None
    retired_by: str | None


class SourcePage(msgspec.Struct):
    items: list[SourceOut]
    next: str | None


class RetireIn(msgspec.Struct, forbid_unknown_fields=True):
    name: str


SHAPES = (SourcePage,)
_LIST = "usage-sources"


@get("/usage/sources", summary="List sources of events", responses=told_as(422), tags=["usage"])
async def list_usage_sources(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> SourcePage:
    """By name. A day is final when each of its live sources has come an hour past its end."""
    after = text_at(cursor, _LIST)
    async with request.api.usage.read() as read:
        rows = await sources.list_sources(read, request.caller.pid, after=after, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_at(_LIST, row.name))
    return SourcePage([_out(request, row) for row in page], following)


@post(
    "/usage/sources/retire",
    summary="Retire a source of events",
    responses=told_as(404, 422),
    tags=["usage"],
    status_code=200,
)
async def retire_usage_source(request: ApiRequest, data: JSONBody[RetireIn]) -> SourceOut:
    """No day waits for it any more. Should it tell again what happens, it is a source as before."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    if not is_name(data.name):
        raise InvalidValueError("name", "must be the name of a source, as it is listed")
    row = await api.usage.write(lambda tx: sources.retire(tx, pid, data.name, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)
    return _out(request, row)


def _out(request: ApiRequest, row: Any) -> SourceOut:
    return SourceOut(
        name=row.name,
        watermark=row.newest_at,
        lag_s=max(0, int((request.api.clock.now() - row.newest_at).total_seconds())),
        first_at=row.first_at,
        seen_at=row.seen_at,
        live_at=row.live_at,
        retired_at=row.retired_at,
        retired_by=row.retired_by,
    )
