"""Deliveries: how one went, and sending again what was given up, one by one or all since an instant."""

from __future__ import annotations

from datetime import UTC

from litestar import get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts import queries as accounts
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_channels import (
    AttemptPage,
    DeliveryOut,
    RetriedOut,
    RetryIn,
    attempt_out,
    delivery_out,
)
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.notify import queries, resend


@get("/deliveries/{delivery_id:str}", summary="Read a delivery", responses=told_as(404), tags=["channels"])
async def read_delivery(request: ApiRequest, delivery_id: FromPath[str]) -> DeliveryOut:
    """With each of its attempts."""
    async with request.api.database.read() as read:
        return delivery_out(await queries.one_delivery(read, request.caller.pid, delivery_id))


@get(
    "/deliveries/{delivery_id:str}/attempts",
    summary="List attempts, oldest first",
    responses=told_as(404, 422),
    tags=["channels"],
)
async def list_attempts(
    request: ApiRequest, delivery_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> AttemptPage:
    named = place(cursor, "attempts", 1)
    async with request.api.database.read() as read:
        found = await queries.attempts_of(
            read, request.caller.pid, delivery_id, after=named[0] if named else 0, limit=limit + 1
        )
    page, following = cut(found, limit, lambda one: cursor_of("attempts", one.attempt))
    return AttemptPage([attempt_out(one) for one in page], following)


@post(
    "/deliveries/{delivery_id:str}/resend",
    summary="Send a delivery again",
    responses=told_as(404, 409),
    tags=["channels"],
    status_code=202,
)
async def resend_delivery(request: ApiRequest, delivery_id: FromPath[str]) -> DeliveryOut:
    """One that failed: under the same id, flagged as a possible duplicate, with all its tries anew. Else 409."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await api.database.write(lambda tx: resend.resend(tx, pid, delivery_id, actor=request.actor, at=at, ids=api.ids))
    async with api.database.read() as read:
        return delivery_out(await queries.one_delivery(read, pid, delivery_id))


@post(
    "/deliveries/retry",
    summary="Send again what failed",
    responses=told_as(422),
    tags=["channels"],
    status_code=202,
)
async def retry_deliveries(request: ApiRequest, data: JSONBody[RetryIn]) -> RetriedOut:
    """What failed and was made `since` then, oldest first; no tests, nor what later news has overtaken.

    To ask twice sends nothing twice.
    """
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    if not 1 <= data.limit <= resend.MOST_AT_ONCE:
        raise InvalidValueError("limit", f"must be 1 to {resend.MOST_AT_ONCE}")
    try:
        since = data.since.astimezone(UTC)
    except OverflowError:
        raise InvalidValueError("since", "must be an instant such as 2026-03-02T01:30:00Z") from None
    async with api.database.read() as read:
        channel = None if data.channel is None else await _channel(read, request, data.channel)
        of = f"channel:{channel.uuid}" if channel else f"project:{(await accounts.project_of(read, pid)).uuid}"
        failed = await resend.failed_since(
            read, pid, since, channel_id=channel.id if channel else None, limit=data.limit + 1
        )
    wanted = failed.found[: data.limit]
    n = await api.database.write(
        lambda tx: resend.retry(tx, pid, wanted, since=since, of=of, actor=request.actor, at=at, ids=api.ids)
    )
    return RetriedOut(n=n, more=len(failed.found) > len(wanted), n_overtaken=failed.n_overtaken)


async def _channel(read: AsyncConnection, request: ApiRequest, channel_id: str) -> queries.ChannelView:
    try:
        return await queries.one_channel(read, request.caller.pid, channel_id, request.api.sealer)
    except NotFoundError:
        raise InvalidValueError("channel", "there is no such channel") from None
