"""Meters: list, create, read, rename, let them count differently, archive, and bring back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Response, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_meters import MeterEdit, MeterIn, MeterOut, MeterPage, VersionIn, meter_in, meter_out
from heartfly.db.changes import Tx
from heartfly.usage import meter_queries, meters
from heartfly.usage.audit import carry_or_wait

_TAGS = ["meters"]
Result = TypeVar("Result")


@get("/meters", summary="List meters", responses=told_as(422), tags=_TAGS)
async def list_meters(
    request: ApiRequest,
    archived: Annotated[
        bool | None, QueryParameter(description="Only those that are archived, or only those that are not.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> MeterPage:
    """In the order in which they were made."""
    api, after = request.api, number(cursor, "meters")
    async with api.usage.read() as read:
        found = await meter_queries.list_meters(
            read, request.caller.pid, after=after, limit=limit + 1, archived=archived
        )
    page, following = cut(found, limit, lambda one: cursor_of("meters", one.row.id))
    now = api.clock.now()
    return MeterPage([meter_out(one, now=now) for one in page], following)


@post("/meters", summary="Create a meter", responses=told_as(409, 422), tags=_TAGS)
async def create_meter(request: ApiRequest, data: JSONBody[MeterIn]) -> Response[MeterOut]:
    """It applies to the events that have come already, too: their hours are summed up anew."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    wanted = meters.Wanted(
        slug=data.slug,
        name=data.name or data.slug,
        unit=data.unit,
        meter=meter_in(data),
        from_at=data.from_at,
        to_at=data.to_at,
    )
    made = await _written(
        request, lambda tx: meters.create_meter(tx, pid, wanted, actor=request.actor, at=at, ids=api.ids)
    )
    answer = await _told(request, made.uuid, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/meters/{made.slug}"
    return answer


@get("/meters/{meter_id:str}", summary="Read a meter", responses=told_as(404), tags=_TAGS)
async def read_meter(request: ApiRequest, meter_id: FromPath[str]) -> Response[MeterOut]:
    """By its slug or id. With how its events of the last 24 hours fared."""
    return await _told(request, meter_id)


@patch("/meters/{meter_id:str}", summary="Rename a meter", responses=told_as(404, 412, 422), tags=_TAGS)
async def edit_meter(
    request: ApiRequest, meter_id: FromPath[str], data: JSONBody[MeterEdit], if_match: IfMatch = None
) -> Response[MeterOut]:
    """Its name and unit. How it counts is changed by a new version."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    name, unit = _given(data.name), _given(data.unit)
    await _written(
        request,
        lambda tx: meters.edit_meter(
            tx, pid, meter_id, name=name, unit=unit, rev=rev, actor=request.actor, at=at, ids=api.ids
        ),
    )
    return await _told(request, meter_id)


@post(
    "/meters/{meter_id:str}/versions",
    summary="Let a meter count differently",
    responses=told_as(404, 409, 412, 422),
    tags=_TAGS,
)
async def add_meter_version(
    request: ApiRequest, meter_id: FromPath[str], data: JSONBody[VersionIn], if_match: IfMatch = None
) -> Response[MeterOut]:
    """Since ever, from an instant on, or for a time; it applies to what happened then. See `/v1/meters/preview`."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    wanted = meter_in(data)
    await _written(
        request,
        lambda tx: meters.change_meter(
            tx,
            pid,
            meter_id,
            wanted,
            from_at=data.from_at,
            to_at=data.to_at,
            rev=rev,
            actor=request.actor,
            at=at,
            ids=api.ids,
        ),
    )
    return await _told(request, meter_id, status=201)


@post(
    "/meters/{meter_id:str}/archive",
    summary="Archive a meter",
    responses=told_as(404, 412, 422),
    tags=_TAGS,
    status_code=200,
)
async def archive_meter(request: ApiRequest, meter_id: FromPath[str], if_match: IfMatch = None) -> Response[MeterOut]:
    """It counts nothing that happens from now on; what it has counted stays."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await _written(
        request, lambda tx: meters.archive_meter(tx, pid, meter_id, rev=rev, actor=request.actor, at=at, ids=api.ids)
    )
    return await _told(request, meter_id)


@post(
    "/meters/{meter_id:str}/unarchive",
    summary="Bring a meter back",
    responses=told_as(404, 409, 412, 422),
    tags=_TAGS,
    status_code=200,
)
async def unarchive_meter(request: ApiRequest, meter_id: FromPath[str], if_match: IfMatch = None) -> Response[MeterOut]:
    """It counts again, also what happened meanwhile."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await _written(
        request, lambda tx: meters.unarchive_meter(tx, pid, meter_id, rev=rev, actor=request.actor, at=at, ids=api.ids)
    )
    return await _told(request, meter_id)


async def _written(request: ApiRequest, command: Callable[[Tx], Result]) -> Result:
    """Its entry in the audit is carried over once it is done."""
    result = await request.api.usage.write(command)
    await carry_or_wait(request.api.usage, request.api.database)
    return result


async def _told(request: ApiRequest, meter_id: str, *, status: int = 200) -> Response[MeterOut]:
    api, now = request.api, request.api.clock.now()
    async with api.usage.read() as read:
        stored = await meter_queries.find_meter(read, request.caller.pid, meter_id)
        lately = await meter_queries.lately(read, request.caller.pid, stored, now=now)
    return Response(
        meter_out(stored, now=now, lately=lately), status_code=status, headers={"ETag": etag(stored.row.rev)}
    )


def _given(value: Any) -> Any:
    return None if value is msgspec.UNSET else value
