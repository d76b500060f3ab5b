"""What was told to whom, and how each delivery went, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from litestar import get
from litestar.params import FromPath, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, instant_of, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_channels import NotificationOut, NotificationPage, notification_out
from heartfly.checks import queries as checks
from heartfly.notify import queries
from heartfly.notify.queries import NotificationView

State = Literal["held", "pending", "merged", "sent", "failed", "untold"]
Place = tuple[int, int]
_SLICE = 500
_SLICES = 4


@get("/notifications", summary="List notifications, newest first", responses=told_as(404, 422), tags=["channels"])
async def list_notifications(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    channel: Annotated[str | None, QueryParameter(description="To this channel, by id.")] = None,
    check: Annotated[
        str | None,
        QueryParameter(
            description="About this check, by id. A page may then be short though `next` says that more follows."
        ),
    ] = None,
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    since: Annotated[str | None, QueryParameter(description="Made at this instant (RFC 3339) or later.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> NotificationPage:
    named, pid = place(cursor, "notifications", 2), request.caller.pid
    before = None if named is None else (named[0], named[1])
    from_at = instant_of(since, field="since")
    async with request.api.database.read() as read:
        if channel is not None:
            await queries.one_channel(read, pid, channel, request.api.sealer)
        listed = partial(queries.list_notifications, read, pid, channel_uuid=channel, state=in_state, since=from_at)
        if check is None:
            page, following = cut(await listed(before=before, limit=limit + 1), limit, _cursor)
        else:
            uuid: str = (await checks.find(read, pid, check)).uuid
            page, following = await _about(uuid, listed, before, limit)
    return NotificationPage([notification_out(view) for view in page], following)


@get("/notifications/{notification_id:str}", summary="Read a notification", responses=told_as(404), tags=["channels"])
async def read_notification(request: ApiRequest, notification_id: FromPath[str]) -> NotificationOut:
    """With the delivery that carries it, and each of its attempts."""
    async with request.api.database.read() as read:
        return notification_out(await queries.one_notification(read, request.caller.pid, notification_id))


async def _about(
    uuid: str, listed: partial[Any], before: Place | None, limit: int
) -> tuple[Sequence[NotificationView], str | None]:
    """Those that name the check, a digest of many among them, out of a bounded number that is looked at."""
    found: list[NotificationView] = []
    for _ in range(_SLICES):
        some: list[NotificationView] = await listed(before=before, limit=_SLICE)
        found += [view for view in some if _names(view, uuid)]
        if len(found) > limit or len(some) < _SLICE:
            return cut(found, limit, _cursor)
        before = (some[-1].alert_id, some[-1].channel_id)
    assert before is not None
    return found, cursor_of("notifications", *before)


def _names(view: NotificationView, uuid: str) -> bool:
    about = view.alert.check
    return (about is not None and about.uuid == uuid) or any(slot.check_uuid == uuid for slot in view.alert.slots)


def _cursor(view: NotificationView) -> str:
    return cursor_of("notifications", view.alert_id, view.channel_id)
