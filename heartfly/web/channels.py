"""Channels: will alerts arrive? How each does, a new one, and a test with the receiver's own reply."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks import hearing
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.notify import commands, queries, resend
from heartfly.notify.channels import CHANNELS
from heartfly.notify.queries import ChannelView, NotificationView
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.sign_in import to

PER_LIST = 20

FIELDS = {"email": "to", "slack": "url", "webhook": "url"}
"""What can be added here: the kinds, and the one thing that each must know."""


@get("/p/{project:str}/channels")
async def list_channels(request: PageRequest) -> Response[bytes]:
    api = request.api
    async with api.database.read() as read:
        found = await queries.list_channels(read, request.project.pid, api.sealer)
    listed = [(view, _warning(request, view)) for view in found]
    return await request.page("channels.html", channels=listed, kinds=list(FIELDS))


@get("/p/{project:str}/channels/new/{kind:str}", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    kind = _kind(request)
    value = request.who.email if kind == "email" else ""
    return await request.page("new_channel.html", kind=kind, values={"name": "", "value": value}, errors={})


@post("/p/{project:str}/channels/new/{kind:str}", status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    """Made, and tested if that was asked for. A webhook's secret is on the page that answers and on no other."""
    api, pid, actor, kind, form = request.api, request.project.pid, request.actor, _kind(request), await request.sent()
    at = api.clock.now()
    try:
        uuid, secret = await api.database.write(
            lambda tx: hearing.add_channel(
                tx,
                pid,
                kind=kind,
                name=form["name"],
                config={FIELDS[kind]: form["value"].strip()},
                events=None,
                check_uuids=None,
                actor=actor,
                at=at,
                ids=api.ids,
                sealer=api.sealer,
            )
        )
    except InvalidValueError as error:
        wrong = {"value" if error.field.startswith("config") else error.field: error.message}
        return await _again(request, kind, form, wrong, status=422)
    except ConflictError as error:
        return await _again(request, kind, form, {"name": str(error)}, status=409)
    test = await _test(request, uuid) if "test" in form else ""
    if secret is not None:
        return await told(request, uuid, secret=secret, test=test, status=201)
    return _there(request, uuid, test)


@get("/p/{project:str}/channels/{channel:str}")
async def show(request: PageRequest) -> Response[bytes]:
    return await told(request, request.path_value("channel"), test=request.query_params.get("test", ""))


@post("/p/{project:str}/channels/{channel:str}/test", status_code=200)
async def send_test(request: PageRequest) -> Response[bytes]:
    uuid = request.path_value("channel")
    return _there(request, uuid, await _test(request, uuid))


@post("/p/{project:str}/channels/{channel:str}/deliveries/{delivery:str}/resend", status_code=200)
async def send_again(request: PageRequest) -> Response[bytes]:
    """What was given up. Whoever asks for what waits or has arrived sees how it does: to ask twice is to ask once."""
    api, pid, actor, uuid = request.api, request.project.pid, request.actor, request.path_value("channel")
    delivery, at, of = request.path_value("delivery"), api.clock.now(), (await request.sent())["of"]
    async with api.database.read() as read:
        view = await _view(request, read, uuid)
        found = await queries.one_delivery(read, pid, delivery)
    if found.channel_uuid != view.uuid:
        raise NotFoundError("there is no such delivery")
    with suppress(ConflictError):
        await api.database.write(lambda tx: resend.resend(tx, pid, delivery, actor=actor, at=at, ids=api.ids))
    return _there(request, uuid, of)


@get("/p/{project:str}/channels/{channel:str}/delete", opt=FOR_WRITERS)
async def ask_to_delete(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as read:
        view = await _view(request, read, request.path_value("channel"))
    return await request.page("delete_channel.html", channel=view)


@post("/p/{project:str}/channels/{channel:str}/delete", status_code=200)
async def delete_channel(request: PageRequest) -> Response[bytes]:
    api, pid, actor, uuid = request.api, request.project.pid, request.actor, request.path_value("channel")
    at = api.clock.now()
    await api.database.write(
        lambda tx: hearing.remove_channel(tx, pid, uuid, actor=actor, at=at, ids=api.ids, sealer=api.sealer)
    )
    return to(request, f"/p/{request.project.slug}/channels")


async def told(
    request: PageRequest, uuid: str, *, secret: str | None = None, test: str = "", status: int = 200
) -> Response[bytes]:
    pid = request.project.pid
    async with request.api.database.read() as read:
        view = await _view(request, read, uuid)
        carried = await queries.list_notifications(read, pid, channel_uuid=view.uuid, limit=PER_LIST)
        tested = await _tested(read, pid, view, test)
    return await request.page(
        "channel.html",
        status=status,
        channel=view,
        warning=_warning(request, view),
        carried=carried,
        tested=tested,
        test=test,
        secret=secret,
    )


async def _tested(read: AsyncConnection, pid: int, view: ChannelView, test: str) -> NotificationView | None:
    if not test:
        return None
    found = await queries.one_notification(read, pid, test)
    if found.channel_uuid != view.uuid:
        raise NotFoundError("there is no such notification")
    return found


async def _test(request: PageRequest, uuid: str) -> str:
    """Send one; returns the notification's public id."""
    api, pid, at = request.api, request.project.pid, request.api.clock.now()
    key = await api.database.write(lambda tx: commands.send_test(tx, pid, uuid, at=at, ids=api.ids))
    async with api.database.read() as read:
        view = await queries.notification_of(read, pid, key)
    assert view is not None
    return f"{view.alert_id}-{view.channel_id}"


async def _view(request: PageRequest, read: AsyncConnection, uuid: str) -> ChannelView:
    return await queries.one_channel(read, request.project.pid, uuid, request.api.sealer)


async def _again(
    request: PageRequest, kind: str, form: Form, errors: dict[str, str], *, status: int
) -> Response[bytes]:
    values = {"name": form["name"], "value": form["value"]}
    return await request.page("new_channel.html", status=status, kind=kind, values=values, errors=errors)


def _there(request: PageRequest, uuid: str, test: str) -> Response[bytes]:
    query = urlencode({"test": test}) if test else ""
    return to(request, f"/p/{request.project.slug}/channels/{uuid.lower()}", query=query)


def _kind(request: PageRequest) -> str:
    kind = request.path_value("kind")
    if kind not in FIELDS:
        raise NotFoundError("there is no such kind of channel")
    return kind


def _warning(request: PageRequest, view: ChannelView) -> Any:
    """Why nothing can arrive as the server is set up; None when nothing speaks against it."""
    return None if view.config is None else CHANNELS[view.kind].hindrance(view.config, request.api.reach)
