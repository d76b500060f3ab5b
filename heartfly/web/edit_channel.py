"""A channel is edited by a form, and a webhook's secret rotated. An address that is a secret is never shown again.

Left empty, such an address stays as it is. What the form has no field for (a webhook's headers, its own requests for
down and up) stays too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post

from heartfly.checks import hearing
from heartfly.checks.hearing import ALL_CHECKS
from heartfly.core.words import AlertKind
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.notify import queries
from heartfly.notify.channels.webhook import METHODS
from heartfly.notify.queries import ChannelView
from heartfly.web.channels import told
from heartfly.web.request import FOR_WRITERS, Form, PageRequest, rev_of_form
from heartfly.web.sign_in import to

OVERLAPS = {"0": "at once", "3600": "after 1 hour", "86400": "after 1 day", "604800": "after 7 days"}
EVENTS = {
    AlertKind.DOWN: "down", AlertKind.UP: "up again", AlertKind.LATE: "late, before it is down",
    AlertKind.DEGRADED: "degraded", AlertKind.UNVERIFIED: "time in which Heartfly could not hear",
    AlertKind.SCHEDULE_ERROR: "a schedule that cannot be worked out",
    AlertKind.CHANNEL_FAILING: "another channel that fails",
}  # fmt: skip
_ADDRESS = {"email": "to", "apprise": "address"}
"""Kinds whose address is no secret, so that it is shown and edited; the others have a `url`."""
_UNSHOWN = ("headers", "down", "up")
_BESIDE = ("digest", "unsubscribe_token")
"""What the form does not show of these kinds, and what stays with another address."""


@get("/p/{project:str}/channels/{channel:str}/edit", opt=FOR_WRITERS)
async def show(request: PageRequest) -> Response[bytes]:
    view = await _view(request)
    return await _form(request, view, _values(view), view.events)


@post("/p/{project:str}/channels/{channel:str}/edit", status_code=200)
async def save(request: PageRequest) -> Response[bytes]:
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    view, at = await _view(request), api.clock.now()
    events = [event for event in form.many("event") if event]
    try:
        config, kept = _config(view, form)
        await api.database.write(
            lambda tx: hearing.edit_channel(
                tx,
                pid,
                view.uuid,
                name=form["name"] if form["name"] != view.name else None,
                config=config,
                events=events if sorted(events) != sorted(view.events) else None,
                check_uuids=[ALL_CHECKS] if "all_checks" in form else None,
                actor=actor,
                at=at,
                ids=api.ids,
                sealer=api.sealer,
                rev=rev_of_form(form["rev"]),
                kept=kept,
            )
        )
    except ChangedMeanwhileError:
        fresh = await _view(request)
        return await _form(request, fresh, _typed(form), events, status=409, both=_both(fresh, form, events))
    except InvalidValueError as error:
        return await _form(request, view, _typed(form), events, status=422, errors=_wrong(error))
    except ConflictError as error:
        return await _form(request, view, _typed(form), events, status=409, errors={"name": str(error)})
    return to(request, f"/p/{request.project.slug}/channels/{view.uuid}")


@post("/p/{project:str}/channels/{channel:str}/rotate-secret", status_code=200)
async def rotate_secret(request: PageRequest) -> Response[bytes]:
    """The new secret is on the page that answers and on no other."""
    api, pid, actor, form = request.api, request.project.pid, request.actor, await request.sent()
    view, at = await _view(request), api.clock.now()
    overlap = form["overlap"]
    if overlap not in OVERLAPS:
        errors = {"overlap": "must be one of those that are offered"}
        return await _form(request, view, _values(view), view.events, status=422, errors=errors)
    secret = await api.database.write(
        lambda tx: hearing.rotate_secret(
            tx, pid, view.uuid, overlap_s=int(overlap), actor=actor, at=at, ids=api.ids, sealer=api.sealer
        )
    )
    return await told(request, view.uuid, secret=secret)


async def _view(request: PageRequest) -> ChannelView:
    async with request.api.database.read() as read:
        return await queries.one_channel(read, request.project.pid, request.path_value("channel"), request.api.sealer)


async def _form(
    request: PageRequest,
    view: ChannelView,
    values: Mapping[str, str],
    events: Any,
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    both: Any = (),
) -> Response[bytes]:
    until = view.old_secret_until
    return await request.page(
        "edit_channel.html",
        status=status,
        channel=view,
        values=values,
        events=[(kind.value, words, kind.value in events) for kind, words in EVENTS.items()],
        is_secret=view.kind not in _ADDRESS,
        masked=(view.config or {}).get("url", ""),
        has_more=any(name in (view.config or {}) for name in _UNSHOWN),
        methods=METHODS,
        overlaps=OVERLAPS,
        old_secret_until=until if until is not None and until > request.api.clock.now() else None,
        errors=errors or {},
        both=both,
    )


def _values(view: ChannelView) -> dict[str, str]:
    config = view.config or {}
    return {
        "name": view.name,
        "value": config.get(_ADDRESS[view.kind], "") if view.kind in _ADDRESS else "",
        "method": config.get("method", "POST"),
        "body": config.get("body", ""),
    }


def _typed(form: Form) -> dict[str, str]:
    return {name: form[name].replace("\r\n", "\n") for name in ("name", "value", "method", "body")}


def _config(view: ChannelView, form: Form) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The configuration as it is asked for, None if it stays, and which of its fields are kept beside."""
    typed, was = _typed(form), _values(view)
    value = typed["value"].strip()
    if view.kind in _ADDRESS:
        return ({_ADDRESS[view.kind]: value}, _BESIDE) if value != was["value"] else (None, ())
    if view.kind != "webhook":
        return ({"url": value}, _BESIDE) if value else (None, ())
    if not value and typed["method"] == was["method"] and typed["body"] == was["body"]:
        return None, ()
    config: dict[str, Any] = {"url": value} if value else {}
    config |= {"method": typed["method"] or "POST"}
    config |= {"body": typed["body"]} if typed["body"].strip() else {}
    return config, _UNSHOWN if value else (*_UNSHOWN, "url")


def _both(view: ChannelView, form: Form, events: list[str]) -> list[tuple[str, str, str]]:
    typed, was = _typed(form), _values(view)
    labels = {"name": "Name", "value": "Address", "method": "Method", "body": "Body"}
    if view.kind != "webhook":
        typed |= {"method": was["method"], "body": was["body"]}
    found = [(labels[name], was[name], typed[name]) for name in labels if typed[name] != was[name]]
    if sorted(events) != sorted(view.events):
        found.append(("Hears", ", ".join(view.events), ", ".join(events)))
    return found


def _wrong(error: InvalidValueError) -> dict[str, str]:
    if error.field in {"config.url", "config.to", "config.address"}:
        return {"value": error.message}
    if error.field.startswith("config."):
        name = error.field.partition(".")[2]
        # A field that this form does not have is named by the message.
        return {name: error.message} if name in {"method", "body"} else {"value": f"{name} {error.message}"}
    return {error.field.partition("[")[0]: error.message}
