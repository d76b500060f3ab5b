"""Orb's backfills: opened, filled, closed, reverted and found by its own SDKs. They are ours (usage/backfills.py).

Other than there: none closes by itself, one that replaces says so, and one that is empty is closed with `empty=true`
alone, as it would only take away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from litestar import get, post
from litestar.params import FromPath, QueryParameter

from heartfly.accounts.keys import Scope
from heartfly.api.event_bodies import MOST_OF_ONE
from heartfly.api.foreign import object_of
from heartfly.api.orb_asked import event_from, instant
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import iso
from heartfly.errors import ForbiddenError, InvalidValueError
from heartfly.usage import backfill_queries as queries
from heartfly.usage import backfills
from heartfly.usage.apply import Told
from heartfly.usage.audit import carry_or_wait

_LIST = "orb-backfills"
_STATUS = {"open": "pending", "closed": "reflected", "reverted": "reverted"}
"""Ours to theirs. What Orb still works on (`pending_revert`) is done here with the answer."""
_STATES = {theirs: ours for ours, theirs in _STATUS.items()}
_THEIRS = {"from": "timeframe_start", "to": "timeframe_end", "customers[0]": "external_customer_id"}
"""Our fields, as they are called there."""
_REFUSED = {
    "close_time": "is not supported: a backfill is closed by its call, and never by itself",
    "deprecation_filter": "is not supported: a backfill replaces all in its time, or all of a customer",
}


@post(["/events/backfills", "/v1/events/backfills"], status_code=200)
async def create_backfill(request: ApiRequest) -> dict[str, Any]:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    asked = await object_of(request, most=MOST_OF_ONE)
    for name, why in _REFUSED.items():
        if asked.get(name) is not None:
            raise InvalidValueError(name, why)
    start, end = (instant(asked, name) for name in ("timeframe_start", "timeframe_end"))
    replaces = asked.get("replace_existing_events")
    if start is None or end is None:
        raise InvalidValueError("timeframe_start" if start is None else "timeframe_end", "is required")
    if not isinstance(replaces, bool):
        raise InvalidValueError("replace_existing_events", "must be true, which takes away what is there, or false")
    wanted = backfills.Wanted(
        name=f"by Orb's API, {start:%F %R} to {end:%F %R}",
        from_at=start,
        to_at=end,
        customers=_customers(asked),
        replaces=replaces,
    )
    oldest = api.events.oldest()
    try:
        uuid = await api.usage.write(
            lambda tx: backfills.open_set(tx, pid, wanted, oldest=oldest, actor=actor, at=at, ids=api.ids)
        )
    except InvalidValueError as error:
        raise InvalidValueError(_THEIRS.get(error.field, error.field), error.message) from None
    await carry_or_wait(api.usage, api.database)
    return await _told(request, uuid)


@get(["/events/backfills", "/v1/events/backfills"])
async def list_backfills(
    request: ApiRequest,
    status: Annotated[str, QueryParameter()] = "",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    if status and status not in {*_STATES, "pending_revert"}:
        raise InvalidValueError("status", f"must be one of {', '.join(_STATES)}, pending_revert")
    before = number(cursor, _LIST)
    async with request.api.usage.read() as read:
        pid, state = request.caller.pid, _STATES.get(status, status)
        rows = await queries.list_sets(read, pid, state=state, before=before, limit=limit + 1)
        page, following = cut(rows, limit, lambda row: cursor_of(_LIST, row.id))
        sent = await queries.n_events_of(read, pid, [row.id for row in page])
    return {
        "data": [_shown(row, sent[row.id]) for row in page],
        "pagination_metadata": {"has_more": following is not None, "next_cursor": following},
    }


@get(["/events/backfills/{backfill_id:str}", "/v1/events/backfills/{backfill_id:str}"])
async def fetch_backfill(request: ApiRequest, backfill_id: FromPath[str]) -> dict[str, Any]:
    return await _told(request, backfill_id)


@post(["/events/backfills/{backfill_id:str}/close", "/v1/events/backfills/{backfill_id:str}/close"], status_code=200)
async def close_backfill(
    request: ApiRequest, backfill_id: FromPath[str], *, empty: Annotated[bool, QueryParameter()] = False
) -> dict[str, Any]:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.usage.write(
        lambda tx: backfills.close_set(tx, pid, backfill_id, empty=empty, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    return await _told(request, backfill_id)


@post(["/events/backfills/{backfill_id:str}/revert", "/v1/events/backfills/{backfill_id:str}/revert"], status_code=200)
async def revert_backfill(request: ApiRequest, backfill_id: FromPath[str]) -> dict[str, Any]:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    oldest = api.events.oldest()
    await api.usage.write(
        lambda tx: backfills.revert_set(tx, pid, backfill_id, oldest=oldest, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    return await _told(request, backfill_id)


async def fill(request: ApiRequest, backfill_id: str, found: Sequence[Any]) -> list[Told]:
    """Orb's events into the set. ForbiddenError: to send events is not enough for what changes the past."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    if Scope.WRITE not in request.caller.scopes:
        raise ForbiddenError(f"this key lacks the scope {Scope.WRITE}, which a backfill needs")
    request.demand_pace(len(found))
    ours = [event_from(one) for one in found]
    items = await asyncio.to_thread(backfills.items_of, ours, now=at, oldest=api.events.oldest())
    told = await api.usage.write(
        lambda tx: backfills.fill(tx, pid, backfill_id, items, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    return told


def _customers(asked: dict[str, Any]) -> list[str]:
    given = {name: asked[name] for name in ("external_customer_id", "customer_id") if asked.get(name) is not None}
    if len(given) > 1:
        raise InvalidValueError("customer_id", "and external_customer_id must not both be given")
    return list(given.values())


async def _told(request: ApiRequest, backfill_id: str) -> dict[str, Any]:
    async with request.api.usage.read() as read:
        row = await queries.one_set(read, request.caller.pid, backfill_id)
        return _shown(row, await queries.n_events(read, row))


def _shown(row: Any, n_events: int) -> dict[str, Any]:
    return {
        "id": row.uuid,
        "close_time": None if row.closed_at is None else iso(row.closed_at),
        "created_at": iso(row.opened_at),
        "customer_id": row.customers[0] if len(row.customers) == 1 else None,
        "deprecation_filter": None,
        "events_ingested": n_events,
        "replace_existing_events": row.replaces,
        "reverted_at": None if row.reverted_at is None else iso(row.reverted_at),
        "status": _STATUS[row.state],
        "timeframe_end": iso(row.to_at),
        "timeframe_start": iso(row.from_at),
    }
