"""OpenMeter's calls under `/openmeter`: CloudEvents of usage, sent alone or in a batch and listed, as by its client.

There an event is known by its source and its id, so ours is named by both. Other than there: one bad event does not
stop its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.exceptions import HTTPException
from litestar.params import QueryParameter
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api import (
    openmeter_customers,
    openmeter_definitions,
    openmeter_meters,
    openmeter_subjects,
    openmeter_values,
)
from heartfly.api.body import NotJsonError
from heartfly.api.event_bodies import MAX_BYTES
from heartfly.api.foreign import Headers, body_of, refusals, take, unfit, what_is_wrong
from heartfly.api.foreign_meters import told_in
from heartfly.api.openmeter_meters import earlier, instant_in, texts
from heartfly.api.parameters import UnknownParameterError
from heartfly.api.problems import MEDIA_TYPE, Problem
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import iso
from heartfly.core.events import FUTURE
from heartfly.errors import HeartflyError
from heartfly.usage import event_queries
from heartfly.usage.event_queries import Shown, Wanted

WIRE = "openmeter"
_LATELY = timedelta(hours=72)
_MOST_EVENTS = 100
NAMES: Mapping[str, str] = {
    "transaction_id": "id",
    "customer_id": "subject",
    "timestamp": "time",
    "event_type": "type",
    "properties": "data",
}
"""Ours to theirs."""


def event_from(found: Any, now: datetime) -> Any:
    """Ours from a CloudEvent. `now`: when one happened that does not say. What is none of ours is told further on."""
    if not isinstance(found, dict):
        return found
    if found.get("specversion") != "1.0":
        return unfit(found, 'specversion must be "1.0"')
    source, id_ = found.get("source"), found.get("id")
    if not isinstance(source, str) or not source.strip():
        return unfit(found, "source is required")
    if "data_base64" in found:
        return unfit(found, "data_base64 is not read: data must be a JSON object")
    ours = {mine: found[theirs] for mine, theirs in NAMES.items() if theirs in found}
    if ours.get("timestamp") is None:
        ours["timestamp"] = now.isoformat()
    if isinstance(id_, str) and id_.strip():
        ours["transaction_id"] = name_of(source, id_)
    return ours


def name_of(source: str, id_: str) -> str:
    """Of an event, by its source and id: no two pairs have the same."""
    return f"{source.replace('%', '%25').replace('#', '%23')}#{id_}"


def source_and_id(name: str) -> tuple[str, str]:
    """Back again. Of an event that came another way the source is empty."""
    source, mark, id_ = name.partition("#")
    return (source.replace("%23", "#").replace("%25", "%"), id_) if mark else ("", name)


@get("/api/v1/events")
async def list_events(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    client_id: Annotated[str | None, QueryParameter(name="clientId")] = None,  # noqa: ARG001 - it tells queries apart
    ingested_from: Annotated[str | None, QueryParameter(name="ingestedAtFrom")] = None,
    ingested_to: Annotated[str | None, QueryParameter(name="ingestedAtTo")] = None,
    id_: Annotated[str | None, QueryParameter(name="id")] = None,
    subject: Annotated[str | None, QueryParameter()] = None,
    customer_id: Annotated[list[str] | None, QueryParameter(name="customerId")] = None,
    from_at: Annotated[str | None, QueryParameter(name="from")] = None,
    to_at: Annotated[str | None, QueryParameter(name="to")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_EVENTS)] = _MOST_EVENTS,
) -> list[dict[str, Any]]:
    """Newest first; of the last 72 hours before `to` if `from` is not said. An `id` is one of any source."""
    for name, given in (("ingestedAtFrom", ingested_from), ("ingestedAtTo", ingested_to)):
        if given is not None:
            raise UnknownParameterError(name, "is not read: events are found by when they happened, from and to")
    end = instant_in(to_at, "to") or request.api.clock.now() + FUTURE
    wanted = Wanted(
        subject=texts([subject or ""], "subject")[0],
        id=texts([id_ or ""], "id")[0],
        from_at=instant_in(from_at, "from") or earlier(end, _LATELY),
        to_at=end,
    )
    found: list[Shown] = []
    with told_in({"customer": "customerId"}):
        async with request.api.usage.read() as read:
            for customer in dict.fromkeys(texts(customer_id, "customerId") or [""]):
                of_one = replace(wanted, customer=customer)
                found += await event_queries.list_events(read, request.caller.pid, of_one, before=None, limit=limit)
    found.sort(key=lambda one: (one.at, one.id), reverse=True)
    return [_shown(one) for one in found[:limit]]


def _shown(one: Shown) -> dict[str, Any]:
    source, id_ = source_and_id(one.transaction_id)
    event = {
        "id": id_,
        "source": source,
        "specversion": "1.0",
        "type": one.type,
        "subject": one.subject,
        "time": iso(one.at),
        # As text, so that no number passes through a float.
        "data": msgspec.Raw(one.properties.encode()),
    }
    whose = {} if one.customer is None else {"customerId": one.customer}
    return {"event": event, **whose, "ingestedAt": iso(one.received_at), "storedAt": iso(one.received_at)}


@post("/api/v1/events", opt=INGESTS, status_code=204, request_max_body_size=MAX_BYTES)
async def ingest(request: ApiRequest) -> None:
    """One CloudEvent or an array of them, whichever of its media types is said; answered after the commit."""
    now = request.api.clock.now()
    found = [event_from(one, now) for one in await body_of(request)]
    wrong = what_is_wrong(await take(request, found, WIRE), NAMES, place="events")
    if wrong is not None:
        raise NotJsonError(wrong)  # told as 400, though the good ones are kept


def _worded(request: Request[Any, Any, Any], problem: Problem) -> tuple[Any, str, Headers]:
    told: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.scope["path"],
    }
    return told, MEDIA_TYPE, {}


answer = refusals(
    _worded,
    declined="is not answered here: Heartfly meters usage, and neither grants nor bills it",
)


def router(guards: list[Guard]) -> Router:
    rooms = (openmeter_meters, openmeter_definitions, openmeter_values, openmeter_subjects, openmeter_customers)
    return Router(
        "/openmeter",
        route_handlers=[ingest, list_events, *(one for room in rooms for one in room.HANDLERS)],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
