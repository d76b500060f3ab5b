"""Watches of data: which sources, customers or endpoints are watched, each by a check in the list."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.traffic import watchable, watches
from heartfly.traffic.watches import ALL


class WatchOut(msgspec.Struct, kw_only=True):
    """`kind`: `source`, `customer` or `endpoint`. `what`: a name, the id of a customer, or `*` for all."""

    id: str
    kind: str
    what: str
    factor: int
    least: int
    """Fewer requests tell nothing."""
    gap_s: int | None
    """No silence that is shorter; null: an endpoint is no silence."""
    looked_at: Instant | None
    """When it was looked at last; null: not yet."""
    words: str
    """What the last look found; empty: nothing was wrong."""
    check: str | None
    """The id of its check; null before the first look."""
    status: str | None
    created_at: Instant


class WatchPage(msgspec.Struct):
    items: list[WatchOut]
    next: str | None


class WatchIn(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    what: str = ALL
    factor: int | None = None
    least: int | None = None
    gap_s: int | None = None


class WatchEditIn(msgspec.Struct, forbid_unknown_fields=True):
    factor: int | None = None
    least: int | None = None
    gap_s: int | None = None


SHAPES = (WatchPage,)
_LIST = "watches"


@get("/usage/watches", summary="List watches of data", responses=told_as(422), tags=["usage"])
async def list_watches(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> WatchPage:
    """In the order in which they were made."""
    after = place(cursor, _LIST, 1)
    async with request.api.database.read() as main:
        rows = await watches.list_watches(main, request.caller.pid, after=after[0] if after else 0, limit=limit + 1)
    page, following = cut(rows, limit, lambda row: cursor_of(_LIST, row.id))
    return WatchPage([_out(row) for row in page], following)


@post("/usage/watches", summary="Watch data", responses=told_as(409, 422), tags=["usage"])
async def make_watch(request: ApiRequest, data: JSONBody[WatchIn]) -> WatchOut:
    """Its check is made within a minute, by the first look, with every channel that there is then."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    kind = watches.kind_of(data.kind)
    limits = watches.limits_of(kind, _asked(data))
    async with api.usage.read() as read:
        await watchable.demand_known(read, pid, kind, data.what)
    row = await api.database.write(
        lambda tx: watches.create(
            tx, pid, kind=kind, what=data.what, limits=limits, at=at, actor=request.actor, ids=api.ids
        )
    )
    return _out(row)


@get("/usage/watches/{watch_id:str}", summary="Read a watch of data", responses=told_as(404), tags=["usage"])
async def read_watch(request: ApiRequest, watch_id: FromPath[str]) -> WatchOut:
    async with request.api.database.read() as main:
        return _out(await watches.one_watch(main, request.caller.pid, watch_id))


@patch("/usage/watches/{watch_id:str}", summary="Edit a watch of data", responses=told_as(404, 422), tags=["usage"])
async def edit_watch(request: ApiRequest, watch_id: FromPath[str], data: JSONBody[WatchEditIn]) -> WatchOut:
    """What is left out stays."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    row = await api.database.write(
        lambda tx: watches.edit(tx, pid, watch_id, asked=_asked(data), at=at, actor=request.actor, ids=api.ids)
    )
    return _out(row)


@delete("/usage/watches/{watch_id:str}", summary="Delete a watch of data", responses=told_as(404), tags=["usage"])
async def delete_watch(request: ApiRequest, watch_id: FromPath[str]) -> None:
    """Its check goes with it."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await api.database.write(lambda tx: watches.delete(tx, pid, watch_id, at=at, actor=request.actor, ids=api.ids))


def _asked(data: WatchIn | WatchEditIn) -> dict[str, int | None]:
    return {"factor": data.factor, "least": data.least, "gap_s": data.gap_s}


def _out(row: Any) -> WatchOut:
    return WatchOut(
        id=row.uuid,
        kind=row.kind,
        what=row.what,
        factor=row.limits["factor"],
        least=row.limits["least"],
        gap_s=row.limits.get("gap_s"),
        looked_at=row.looked_at,
        words=row.words,
        check=row.check_uuid,
        status=row.check_status,
        created_at=row.created_at,
    )
