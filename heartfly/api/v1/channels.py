"""Channels: list, add, read, edit, delete, rotate a secret, and send a test through one."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_accounts import RotateIn
from heartfly.api.v1.wire_channels import (
    ChannelEdit,
    ChannelIn,
    ChannelOut,
    ChannelPage,
    NotificationOut,
    WordsPreviewIn,
    WordsPreviewOut,
    asked_policy,
    channel_out,
    notification_out,
)
from heartfly.checks import hearing
from heartfly.notify import commands, queries
from heartfly.notify.policies import AskedPolicy
from heartfly.notify.preview import previewed

T = TypeVar("T")
_UNSAID = RotateIn()


@get("/channels", summary="List channels", responses=told_as(422), tags=["channels"])
async def list_channels(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> ChannelPage:
    after = number(cursor, "channels")
    async with request.api.database.read() as read:
        views = await queries.list_channels(read, request.caller.pid, request.api.sealer)
    rest = [view for view in views if after is None or view.id > after]
    page, following = cut(rest[: limit + 1], limit, lambda view: cursor_of("channels", view.id))
    now = request.api.clock.now()
    return ChannelPage(
        [channel_out(view, reach=request.api.reach, now=now, may_write=request.may_write) for view in page], following
    )


@post("/channels", summary="Add a channel", responses=told_as(409, 422), tags=["channels"])
async def create_channel(request: ApiRequest, data: JSONBody[ChannelIn]) -> Response[ChannelOut]:
    """The secret of a webhook is in this answer and in no other."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    uuid, secret = await api.database.write(
        lambda tx: hearing.add_channel(
            tx,
            pid,
            kind=data.kind,
            name=data.name,
            config=data.config,
            events=_given(data.events),
            check_uuids=_given(data.checks),
            actor=request.actor,
            at=at,
            ids=api.ids,
            sealer=api.sealer,
            most=api.settings.limits.channels,
            policy=asked_policy(data.policy),
            rules=api.reach.rules,
        )
    )
    answer = await _told(request, uuid, secret=secret, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/channels/{uuid}"
    return answer


@get("/channels/{channel_id:str}", summary="Read a channel", responses=told_as(404), tags=["channels"])
async def read_channel(request: ApiRequest, channel_id: FromPath[str]) -> Response[ChannelOut]:
    return await _told(request, channel_id)


@patch("/channels/{channel_id:str}", summary="Edit a channel", responses=told_as(404, 409, 412, 422), tags=["channels"])
async def edit_channel(
    request: ApiRequest, channel_id: FromPath[str], data: JSONBody[ChannelEdit], if_match: IfMatch = None
) -> Response[ChannelOut]:
    """With a new configuration, what waits to be tried again is tried at once."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await api.database.write(
        lambda tx: hearing.edit_channel(
            tx,
            pid,
            channel_id,
            name=_given(data.name),
            config=_given(data.config),
            events=_given(data.events),
            check_uuids=_given(data.checks),
            actor=request.actor,
            at=at,
            ids=api.ids,
            sealer=api.sealer,
            rev=rev,
            policy=asked_policy(data.policy),
            rules=api.reach.rules,
        )
    )
    return await _told(request, channel_id)


@post(
    "/channels/{channel_id:str}/preview",
    summary="Try own words",
    responses=told_as(404, 422),
    tags=["channels"],
    status_code=200,
)
async def preview_channel(
    request: ApiRequest, channel_id: FromPath[str], data: JSONBody[WordsPreviewIn]
) -> WordsPreviewOut:
    """Nothing is saved, and nothing is sent."""
    api, pid = request.api, request.caller.pid
    async with api.database.read() as read:
        view = await queries.one_channel(read, pid, channel_id, api.sealer)
        found = await previewed(
            read,
            pid,
            view.id,
            AskedPolicy(title=data.title, text=data.text),
            base_url=api.base_url,
            now=api.clock.now(),
            event=data.event,
        )
    return WordsPreviewOut(title=found.title, text=found.sentence)


@delete(
    "/channels/{channel_id:str}",
    summary="Delete a channel",
    responses=told_as(404, 412, 422),
    tags=["channels"],
    status_code=204,
)
async def delete_channel(request: ApiRequest, channel_id: FromPath[str], if_match: IfMatch = None) -> None:
    """What it has not delivered yet is given up."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    await api.database.write(
        lambda tx: hearing.remove_channel(
            tx, pid, channel_id, actor=request.actor, at=at, ids=api.ids, sealer=api.sealer, rev=rev
        )
    )


@post(
    "/channels/{channel_id:str}/rotate-secret",
    summary="Rotate a webhook's secret",
    responses=told_as(404, 409, 412, 422),
    tags=["channels"],
    status_code=200,
)
async def rotate_secret(
    request: ApiRequest, channel_id: FromPath[str], data: JSONBody[RotateIn] = _UNSAID, if_match: IfMatch = None
) -> Response[ChannelOut]:
    """A new `secret`, in this answer and in no other. For `overlap` each message is signed with the old one, too."""
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    secret = await api.database.write(
        lambda tx: hearing.rotate_secret(
            tx,
            pid,
            channel_id,
            overlap_s=data.overlap,
            actor=request.actor,
            at=at,
            ids=api.ids,
            sealer=api.sealer,
            rev=rev,
        )
    )
    return await _told(request, channel_id, secret=secret)


@post(
    "/channels/{channel_id:str}/test",
    summary="Send a test",
    responses=told_as(404),
    tags=["channels"],
    status_code=202,
)
async def send_test(request: ApiRequest, channel_id: FromPath[str]) -> NotificationOut:
    """It is on its way; what became of it is told by `GET /v1/notifications`."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    key = await api.database.write(
        lambda tx: commands.send_test(tx, pid, channel_id, actor=request.actor, at=at, ids=api.ids)
    )
    async with api.database.read() as read:
        view = await queries.notification_of(read, pid, key)
    assert view is not None
    return notification_out(view)


async def _told(
    request: ApiRequest, channel_id: str, *, secret: str | None = None, status: int = 200
) -> Response[ChannelOut]:
    async with request.api.database.read() as read:
        view = await queries.one_channel(read, request.caller.pid, channel_id, request.api.sealer)
    told = channel_out(
        view, reach=request.api.reach, now=request.api.clock.now(), may_write=request.may_write, secret=secret
    )
    return Response(told, status_code=status, headers={"ETag": etag(view.rev)})


def _given(value: T | msgspec.UnsetType) -> T | None:
    return None if isinstance(value, msgspec.UnsetType) else value
