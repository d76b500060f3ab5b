"""A channel is edited by a form, and a webhook's secret rotated. An address that is a secret is never shown again.

Left empty, such an address stays as it is, and so do a webhook's headers. What the form has no field for (its own
requests for down and up) stays too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post

from heartfly.checks import hearing
from heartfly.checks.hearing import ALL_CHECKS
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.notify import queries
from heartfly.notify.channels.webhook import METHODS
from heartfly.notify.queries import ChannelView
from heartfly.web.channel_settings import edited, has_digest, labels_of, settings_of, stored, typed
from heartfly.web.channels import DIGESTS, choices_of, field_of, headers_of, told
from heartfly.web.request import FOR_WRITERS, Form, PageRequest, rev_of_form
from heartfly.web.sign_in import to

OVERLAPS = {"0": "at once", "3600": "after 1 hour", "86400": "after 1 day", "604800": "after 7 days"}
_ADDRESS = {"email": "to", "apprise": "address"}
"""Kinds whose address is no secret, so that it is shown and edited; the others have a `url`."""
_FIELDS = frozenset({"name", "value", "method", "body", "digest", "headers", "events", "checks"})
_UNSHOWN = ("down", "up")
_BESIDE = ("unsubscribe_token",)
"""What the form does not show, and what stays with another address."""


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
                rules=api.reach.rules,
            )
        )
    except ChangedMeanwhileError:
        fresh = await _view(request)
        return await _form(request, fresh, _typed(form, view.kind), events, status=409, both=_both(fresh, form, events))
    except InvalidValueError as error:
        return await _form(request, view, _typed(form, view.kind), events, status=422, errors=_wrong(error, view.kind))
    except ConflictError as error:
        return await _form(request, view, _typed(form, view.kind), events, status=409, errors={"name": str(error)})
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
        events=choices_of(events),
        settings=settings_of(view.kind),
        labels=labels_of(view.kind) | {"overlap": "The old secret", "events": "What it hears"},
        digests=DIGESTS if has_digest(view.kind) else None,
        header_names=list((view.config or {}).get("headers", {})),
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
        "digest": config.get("digest", ""),
        "headers": "",
        "drop_headers": "",
    } | stored(view)


def _typed(form: Form, kind: str) -> dict[str, str]:
    names = ("name", "value", "method", "body", "digest", "headers", "drop_headers")
    return {name: form[name].replace("\r\n", "\n") for name in names} | typed(kind, form)


def _config(view: ChannelView, form: Form) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The configuration as it is asked for, None if it stays, and which of its fields are kept beside."""
    if settings_of(view.kind):
        return edited(view, form)
    told, was = _typed(form, view.kind), _values(view)
    value = told["value"].strip()
    if view.kind != "webhook":
        # A form that has no such field has not chosen another digest.
        digest = told["digest"] if "digest" in form else was["digest"]
        if digest == was["digest"] and value == was["value"]:
            return None, ()
        is_told = bool(value) or view.kind in _ADDRESS
        config: dict[str, Any] = {_ADDRESS.get(view.kind, "url"): value} if is_told else {}
        return config | ({"digest": digest} if digest else {}), _BESIDE if is_told else (*_BESIDE, "url")
    headers = headers_of(told["headers"])
    is_same = all(told[name] == was[name] for name in ("method", "body", "drop_headers"))
    if not value and not headers and is_same:
        return None, ()
    config = {"url": value} if value else {}
    config |= {"method": told["method"] or "POST"}
    config |= {"body": told["body"]} if told["body"].strip() else {}
    config |= {"headers": headers} if headers else {}
    kept = _UNSHOWN if told["drop_headers"] else (*_UNSHOWN, "headers")
    return config, kept if value else (*kept, "url")


def _both(view: ChannelView, form: Form, events: list[str]) -> list[tuple[str, str, str]]:
    told, was = _typed(form, view.kind), _values(view)
    labels = {"name": "Name", "value": "Address", "method": "Method", "body": "Body", "digest": "Digest"}
    labels |= {one.name: one.label for one in settings_of(view.kind) if not one.is_secret}
    if view.kind == "webhook":
        told |= {"digest": was["digest"]}
    else:
        told |= {"method": was["method"], "body": was["body"]}
    found = [(labels[name], was[name], told[name]) for name in labels if told[name] != was[name]]
    if sorted(events) != sorted(view.events):
        found.append(("Hears", ", ".join(view.events), ", ".join(events)))
    return found


def _wrong(error: InvalidValueError, kind: str) -> dict[str, str]:
    name = field_of(error, kind)
    if name in _FIELDS or settings_of(kind):
        return {name: error.message}
    # A field that this form does not have is named by the message.
    return {"value": f"{name} {error.message}"}
