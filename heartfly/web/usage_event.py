"""One event in the browser, with what contradicts it and how it was corrected; voided, amended and put back.

Each correction is shown once more before it is made. What it does is decided in usage/corrections.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post

from heartfly.api.v1.wire_usage import differing
from heartfly.core import text
from heartfly.core.events import Rejected, event_of, read
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import corrections
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.backfill_preview import Foreseen
from heartfly.usage.changed_figures import Change
from heartfly.usage.correction_preview import amendment_of, foresee_step, void_of
from heartfly.usage.correction_queries import Known, known_event
from heartfly.usage.corrections import FIELDS, LONGEST_REASON, Amended
from heartfly.usage.dead_letters import event_in
from heartfly.usage.event_queries import Shown
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.reruns import Rerun
from heartfly.web.sign_in import to
from heartfly.web.usage_changes import near_meters, told

MOST_TOLD = 50
LABELS = {
    "reason": "Reason", "customer_id": "Sent as", "timestamp": "Happened", "event_type": "Type",
    "properties": "Properties",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for once more. `fields`: of an amendment, as they are sent; `differences`: what they change."""

    do: str
    reason: str = ""
    fields: Mapping[str, Any] | None = None
    differences: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Foretold:
    """`changes` None: they are being worked out; `unknown`: why they cannot be. `near`: meters known nearly."""

    zone: str
    near: frozenset[str]
    changes: Sequence[Change] | None
    unknown: str = ""


@get("/p/{project:str}/usage/event")
async def show(request: PageRequest) -> Response[bytes]:
    """`id` in the query, for a transaction id may have a slash in it."""
    return await _page(request, request.query_params.get("id", ""))


@post("/p/{project:str}/usage/event", opt=FOR_WRITERS, status_code=200)
async def correct(request: PageRequest) -> Response[bytes]:
    """`id`, and `do`: `void` or `amend` with a `reason`, or `undo`. It is done with `sure`, and told before without.

    `look`: it is told once more, in the place of `do`.
    """
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form, oldest = await request.sent(), request.api.events.oldest()
    name, do = form["id"], form["do"] or form["look"]
    if do not in {"void", "amend", "undo"}:
        raise InvalidValueError("do", "must be void, amend or undo")
    async with api.usage.read() as reading:
        known = await known_event(reading, pid, name)
    typed = {label: form[label] for label in LABELS}
    try:
        asked = _asked(do, form, known.event, now=at, oldest=oldest)
        if not form["sure"] or form["look"]:
            foretold = None if do == "undo" else await _foretold(request, name, asked, oldest=oldest)
            return await _page(request, name, asked=asked, typed=typed, foretold=foretold)
        if form["mark"] != _mark(known):
            said = "Nothing was changed: somebody has corrected it since you looked. Look at what counts now."
            return await _page(request, name, status=409, wrong=said)
        if do == "void":
            await api.usage.write(
                lambda tx: corrections.void(tx, pid, name, reason=asked.reason, actor=actor, at=at, ids=api.ids)
            )
        elif do == "amend":
            change = Amended(asked.fields or {})
            await api.usage.write(
                lambda tx: corrections.amend(
                    tx, pid, name, change, reason=asked.reason, oldest=oldest, actor=actor, at=at, ids=api.ids
                )
            )
        else:
            await api.usage.write(lambda tx: corrections.undo(tx, pid, name, actor=actor, at=at, ids=api.ids))
    except InvalidValueError as error:
        field = error.field.partition(".")[0]
        rest = error.field.partition(".")[2]
        message = f"{rest} {error.message}" if rest else error.message
        return await _page(request, name, status=422, errors={field: message}, typed=typed, tried=do)
    except ConflictError as error:
        return await _page(request, name, status=409, wrong=f"Nothing was changed: {error}.")
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/event?id={quote(name, safe='')}")


async def _foretold(request: PageRequest, name: str, asked: Asked, *, oldest: datetime) -> Foretold:
    """What it would change: refused as the correction itself would be."""
    api, pid, previews = request.api, request.project.pid, request.web.previews
    async with api.database.read() as main:
        zone = (await zone_of(main, pid)).key
    async with api.usage.read() as reading:
        if asked.do == "void":
            step = await reading.run_sync(partial(void_of, pid=pid, transaction_id=name))
        else:
            wanted, at = Amended(asked.fields or {}), api.clock.now()
            step = await reading.run_sync(
                partial(amendment_of, pid=pid, transaction_id=name, wanted=wanted, oldest=oldest, at=at)
            )
        near = await near_meters(reading, pid)
    if step is None:
        raise ConflictError("it is void already")

    async def work(_: Rerun[Foreseen]) -> Foreseen:
        return Foreseen({}, list(await api.closer.hands.run(foresee_step, api.usage.place, pid, step, zone)))

    key = (pid, (name, asked.do, repr(step)))
    found = previews.of(key)
    if found is None or found.goes_on:
        found = await previews.ask(key, work, closes=False)
    if found.goes_on:
        return Foretold(zone, near, None)
    previews.drop(key)
    try:
        return Foretold(zone, near, found.task.result().changes)
    except ConflictError as error:  # too much to be worked out is no reason not to correct it
        return Foretold(zone, near, (), str(error))


def _asked(do: str, form: Form, event: Shown, *, now: datetime, oldest: datetime) -> Asked:
    """InvalidValueError names the field."""
    if do == "undo":
        return Asked(do)
    reason = text.one_line(form["reason"], field="reason", most=LONGEST_REASON, least=1)
    if do == "void":
        return Asked(do, reason)
    was = typed_as(event)
    changed = {name: form[name].replace("\r\n", "\n").strip() for name in FIELDS}
    fields: dict[str, Any] = {name: value for name, value in changed.items() if value != was[name].strip()}
    if not fields:
        raise InvalidValueError("", "nothing differs from what counts now")
    if "properties" in fields:
        try:
            fields["properties"] = event_in(fields["properties"], wrong="are no JSON")
        except InvalidValueError as error:
            raise InvalidValueError("properties", error.message) from error
    content = {**was, "properties": read(event.properties), "transaction_id": event.transaction_id, **fields}
    found = event_of(content, now=now, oldest=min(oldest, event.at))
    if isinstance(found, Rejected):
        raise InvalidValueError(found.field, found.reason)
    after = replace(event, subject=found.subject, type=found.type, at=found.at, properties=found.properties)
    differences = differing(event, after)
    if not differences:
        raise InvalidValueError("", "nothing differs from what counts now")
    return Asked(do, reason, fields, differences)


def typed_as(event: Shown) -> dict[str, str]:
    """What stands in the form of an event that nobody has touched."""
    at = event.at.isoformat().replace("+00:00", "Z")
    return {
        "customer_id": event.subject,
        "timestamp": at,
        "event_type": event.type,
        "properties": event.properties,
    }


def _mark(known: Known) -> str:
    """Changes with each correction of it, and with each that is undone."""
    newest = known.corrections[0].id if known.corrections else 0
    return f"{newest}-{sum(one.undone_at is None for one in known.corrections)}"


async def _page(
    request: PageRequest,
    name: str,
    *,
    status: int = 200,
    wrong: str = "",
    asked: Asked | None = None,
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    tried: str = "",
    foretold: Foretold | None = None,
) -> Response[bytes]:
    async with request.api.usage.read() as reading:
        known = await known_event(reading, request.project.pid, name)
    standing = next((one for one in known.corrections if one.undone_at is None), None)
    return await request.page(
        "usage_event.html",
        status=status,
        event=known.event,
        counts=known.counts,
        conflicts=[(one, differing(known.event, one)) for one in known.against],
        corrections=[(one, [] if one.after is None else differing(one.before, one.after)) for one in known.corrections],
        standing=standing,
        asked=asked,
        mark=_mark(known),
        labels=LABELS,
        longest=LONGEST_REASON,
        typed={"reason": ""} | typed_as(known.event) | dict(typed or {}) if tried or asked else typed_as(known.event),
        tried=tried,
        foretold=foretold,
        most_told=MOST_TOLD,
        told=lambda one, value: told(value, is_near=foretold is not None and one.meter in foretold.near),
        errors=errors or {},
        wrong=wrong,
    )
