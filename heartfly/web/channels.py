"""Channels: will alerts arrive? How each does, a new one, and a test with the receiver's own reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks import hearing
from heartfly.core.words import AlertKind
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError, TooManyRequestsError
from heartfly.notify import commands, queries, resend
from heartfly.notify.carried import carried_by
from heartfly.notify.channels import CHANNELS
from heartfly.notify.outbox import DEFAULT_EVENTS
from heartfly.notify.queries import ChannelView, NotificationView
from heartfly.web.channel_settings import TITLES, given, has_digest, labels_of, settings_of, typed
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.sign_in import to
from heartfly.web.times import lasted

PER_LIST = 20
_LATELY = timedelta(days=30)

FIELDS = {"email": "to", "slack": "url", "webhook": "url"}
"""The one thing that each of these must know; the others are told by settings (channel_settings.py)."""
KINDS = tuple(kind for kind in CHANNELS if kind in FIELDS or settings_of(kind))
"""What can be added here."""
EVENTS = {
    AlertKind.DOWN: "down", AlertKind.UP: "up again", AlertKind.LATE: "late, before it is down",
    AlertKind.DEGRADED: "degraded", AlertKind.UNVERIFIED: "time in which Heartfly could not hear",
    AlertKind.SCHEDULE_ERROR: "a schedule that cannot be worked out",
    AlertKind.CHANNEL_FAILING: "another channel that fails",
    AlertKind.RULE_FIRING: "an alert rule that fires", AlertKind.RULE_RESOLVED: "an alert rule that is in order again",
    AlertKind.BUDGET_REACHED: "a threshold of a budget that is reached",
    AlertKind.BUDGET_CLEARED: "a budget that is in order again", AlertKind.SUCCESS: "each run that goes well",
}  # fmt: skip
DIGESTS = {
    "": "none",
    "daily": "of each day",
    "weekly": "of each week, on Mondays",
    "both": "of each day and each week",
    "monthly": "of each month, on the first",
    "daily+monthly": "of each day and each month",
    "weekly+monthly": "of each week and each month",
    "all": "of each day, week and month",
}
"""Of channels that people read; a program gets none."""


@get("/p/{project:str}/channels")
async def list_channels(request: PageRequest) -> Response[bytes]:
    api, live = request.api, await request.live_mark()
    since = api.clock.now() - _LATELY
    async with api.database.read() as read:
        found = await queries.list_channels(read, request.project.pid, api.sealer)
        carried = await carried_by(read, request.project.pid, [view.id for view in found], since=since)
    listed = [(view, _warning(request, view)) for view in found]
    return await request.page(
        "channels.html",
        channels=listed,
        kinds=[(kind, TITLES[kind]) for kind in KINDS if kind not in FIELDS],
        titles=TITLES,
        receiver=_receiver,
        carried=carried,
        live=live,
    )


@get("/p/{project:str}/channels/new/{kind:str}", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    kind = _kind(request)
    value = request.who.email if kind == "email" else ""
    return await _form(request, kind, {"name": "", "value": value}, [event.value for event in DEFAULT_EVENTS])


@post("/p/{project:str}/channels/new/{kind:str}", status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    """Made, and tested if that was asked for. A webhook's secret is on the page that answers and on no other."""
    api, pid, actor, kind, form = request.api, request.project.pid, request.actor, _kind(request), await request.sent()
    at, events = api.clock.now(), [event for event in form.many("event") if event]
    try:
        config: dict[str, Any] = {FIELDS[kind]: form["value"].strip()} if kind in FIELDS else dict(given(kind, form))
        config |= {"digest": form["digest"]} if form["digest"] and has_digest(kind) else {}
        config |= {"headers": headers} if kind == "webhook" and (headers := headers_of(form["headers"])) else {}
        uuid, secret = await api.database.write(
            lambda tx: hearing.add_channel(
                tx,
                pid,
                kind=kind,
                name=form["name"],
                config=config,
                events=events if "events" in form else None,
                check_uuids=None,
                actor=actor,
                at=at,
                ids=api.ids,
                sealer=api.sealer,
                most=api.settings.limits.channels,
                rules=api.reach.rules,
            )
        )
    except InvalidValueError as error:
        return await _form(request, kind, form, events, status=422, errors={field_of(error, kind): error.message})
    except ConflictError as error:
        return await _form(request, kind, form, events, status=409, errors={"name": str(error)})
    try:
        test = await _test(request, uuid) if "test" in form else ""
    except TooManyRequestsError as error:
        # It is made, and its secret is seen on this page only.
        return await _untested(request, uuid, error, secret=secret)
    if secret is not None:
        return await told(request, uuid, secret=secret, test=test, status=201)
    return _there(request, uuid, test)


@get("/p/{project:str}/channels/{channel:str}")
async def show(request: PageRequest) -> Response[bytes]:
    return await told(request, request.path_value("channel"), test=request.query_params.get("test", ""))


@post("/p/{project:str}/channels/{channel:str}/test", status_code=200)
async def send_test(request: PageRequest) -> Response[bytes]:
    uuid = request.path_value("channel")
    try:
        return _there(request, uuid, await _test(request, uuid))
    except TooManyRequestsError as error:
        return await _untested(request, uuid, error)


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
    request: PageRequest, uuid: str, *, secret: str | None = None, test: str = "", status: int = 200, wrong: str = ""
) -> Response[bytes]:
    pid = request.project.pid
    # What answers a form stands at the form's address, where there is nothing to fetch anew.
    live = {"live": await request.live_mark()} if status == 200 and secret is None else {}
    async with request.api.database.read() as read:
        view = await _view(request, read, uuid)
        carried = await queries.list_notifications(read, pid, channel_uuid=view.uuid, limit=PER_LIST)
        tested = await _tested(read, pid, view, test)
    return await request.page(
        "channel.html",
        status=status,
        channel=view,
        title_of_kind=TITLES[view.kind],
        settings=settings_of(view.kind),
        warning=_warning(request, view),
        heard=[EVENTS[AlertKind(event)] for event in view.events],
        carried=carried,
        tested=tested,
        test=test,
        secret=secret,
        wrong=wrong,
        **live,
    )


async def _untested(
    request: PageRequest, uuid: str, error: TooManyRequestsError, *, secret: str | None = None
) -> Response[bytes]:
    wrong = f"No test was sent: {error}. Wait {lasted(error.retry_after * 1_000_000)}, then try again."
    answer = await told(request, uuid, secret=secret, status=429, wrong=wrong)
    answer.headers["Retry-After"] = str(error.retry_after)
    return answer


async def _tested(read: AsyncConnection, pid: int, view: ChannelView, test: str) -> NotificationView | None:
    if not test:
        return None
    found = await queries.one_notification(read, pid, test)
    if found.channel_uuid != view.uuid:
        raise NotFoundError("there is no such notification")
    return found


async def _test(request: PageRequest, uuid: str) -> str:
    """Send one; returns the notification's public id."""
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    key = await api.database.write(lambda tx: commands.send_test(tx, pid, uuid, actor=actor, at=at, ids=api.ids))
    async with api.database.read() as read:
        view = await queries.notification_of(read, pid, key)
    assert view is not None
    return f"{view.alert_id}-{view.channel_id}"


async def _view(request: PageRequest, read: AsyncConnection, uuid: str) -> ChannelView:
    return await queries.one_channel(read, request.project.pid, uuid, request.api.sealer)


async def _form(
    request: PageRequest,
    kind: str,
    values: Mapping[str, str] | Form,
    events: Sequence[str],
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
) -> Response[bytes]:
    shown = {name: values.get(name, "").replace("\r\n", "\n") for name in ("name", "value", "digest", "headers")}
    return await request.page(
        "new_channel.html",
        status=status,
        kind=kind,
        title_of_kind=TITLES[kind],
        settings=settings_of(kind),
        labels=labels_of(kind),
        values=shown | typed(kind, values),
        events=choices_of(events),
        digests=DIGESTS if has_digest(kind) else None,
        errors=errors or {},
    )


def choices_of(events: Sequence[str]) -> list[tuple[str, str, bool]]:
    """What a channel can hear, in words, and what it does."""
    return [(kind.value, words, kind.value in events) for kind, words in EVENTS.items()]


def headers_of(text: str) -> dict[str, str]:
    """Of a webhook, a line for each. InvalidValueError."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not (name or colon):
            continue
        if not name or not colon:
            raise InvalidValueError("config.headers", "must be one a line, such as X-Key: value")
        if name.lower() in map(str.lower, found):
            raise InvalidValueError("config.headers", f"{name} is there twice")
        found[name] = value
    return found


def field_of(error: InvalidValueError, kind: str) -> str:
    """The field of a form that an error of a configuration is about."""
    name = error.field.removeprefix("config.").partition(".")[0].partition("[")[0]
    if settings_of(kind):
        return name
    return {"url": "value", "to": "value", "address": "value", "config": "value"}.get(name, name)


def _there(request: PageRequest, uuid: str, test: str) -> Response[bytes]:
    query = urlencode({"test": test}) if test else ""
    return to(request, f"/p/{request.project.slug}/channels/{uuid.lower()}", query=query)


def _kind(request: PageRequest) -> str:
    kind = request.path_value("kind")
    if kind not in KINDS:
        raise NotFoundError("there is no such kind of channel")
    return kind


def _receiver(view: ChannelView) -> str:
    return CHANNELS[view.kind].receiver(view.config or {})


def _warning(request: PageRequest, view: ChannelView) -> Any:
    """Why nothing can arrive as the server is set up; None when nothing speaks against it."""
    return None if view.config is None else CHANNELS[view.kind].hindrance(view.config, request.api.reach)
