"""Lago's events under `/lago`, as its own clients send them: one, up to a thousand, and one asked for again.

There an event is known by its subscription and its transaction id, so ours is named by both. Whose it is: the
subscription, which is an alias of the customer here. Other than there: an event that is sent again is accepted again,
and one bad event does not stop its neighbours.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api.event_bodies import MAX_BYTES, MOST_OF_ONE, demand_few
from heartfly.api.foreign import Headers, object_of, refusals, renamed, take
from heartfly.api.foreign_times import instant_of_seconds
from heartfly.api.openmeter import name_of, source_and_id
from heartfly.api.problems import Problem
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import iso
from heartfly.core.events import FUTURE, instant_of, written
from heartfly.errors import HeartflyError, InvalidValueError, NotFoundError
from heartfly.usage import event_queries
from heartfly.usage.apply import Outcome, Told
from heartfly.usage.event_queries import Shown, Wanted

WIRE = "lago"
NAMES: Mapping[str, str] = {
    "customer_id": "external_subscription_id",
    "event_type": "code",
}
"""Ours to theirs, where they differ."""
AMOUNT = "precise_total_amount_cents"
"""Of an event that has one, a property here."""
_LATELY = timedelta(hours=72)
_JSON = "application/json"


def event_from(found: Any, now: datetime) -> Any:
    """Ours from one of Lago's. `now`: when one happened that does not say."""
    if not isinstance(found, dict):
        return found
    subscription, id_ = found.get("external_subscription_id"), found.get("transaction_id")
    properties = found.get("properties")
    if found.get(AMOUNT) is not None and isinstance(properties, dict | None):
        properties = {**(properties or {}), AMOUNT: found[AMOUNT]}
    named = isinstance(subscription, str) and subscription.strip() and isinstance(id_, str) and id_.strip()
    at = found.get("timestamp")
    given = {
        "transaction_id": name_of(str(subscription), str(id_)) if named else id_,
        "customer_id": subscription,
        "timestamp": now.isoformat() if at is None or at == "" else instant_of_seconds(at),
        "event_type": found.get("code"),
        "properties": properties,
    }
    return {name: value for name, value in given.items() if value is not None}


@post("/api/v1/events", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def ingest(request: ApiRequest) -> Response[Any]:
    """`{"event": {…}}`; answered after the commit."""
    found = (await object_of(request, most=MOST_OF_ONE)).get("event")
    if not isinstance(found, dict):
        raise InvalidValueError("event", "is required, and must be an object")
    now = request.api.clock.now()
    event = event_from(found, now)
    told = await take(request, [event], WIRE)
    if wrong := _wrong(told):
        return _refused(wrong["0"])
    return Response(msgspec.json.encode({"event": _came(event, now)}), media_type=_JSON)


@post("/api/v1/events/batch", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def ingest_batch(request: ApiRequest) -> Response[Any]:
    """`{"events": [{…}, …]}`; what is wrong is told by place."""
    found = (await object_of(request)).get("events")
    if not isinstance(found, list):
        raise InvalidValueError("events", "is required, and must be a list")
    demand_few(found)
    now = request.api.clock.now()
    events = [event_from(one, now) for one in found]
    if wrong := _wrong(await take(request, events, WIRE)):
        return _refused(wrong)
    return Response(msgspec.json.encode({"events": [_came(one, now) for one in events]}), media_type=_JSON)


@get("/api/v1/events/{transaction_id:str}")
async def show_event(
    request: ApiRequest,
    transaction_id: FromPath[str],
    external_subscription_id: Annotated[str, QueryParameter()] = "",
) -> Response[Any]:
    """Of a subscription that is named, whenever it was; else the newest of that id of the last 72 hours."""
    end = request.api.clock.now() + FUTURE
    if external_subscription_id:
        wanted = Wanted(transaction_id=name_of(external_subscription_id, transaction_id))
    else:
        wanted = Wanted(id=transaction_id, from_at=end - FUTURE - _LATELY, to_at=end)
    async with request.api.usage.read() as read:
        found = await event_queries.list_events(read, request.caller.pid, wanted, before=None, limit=1)
    if not found:
        raise NotFoundError("there is no such event")
    return Response(msgspec.json.encode({"event": _shown(found[0])}), media_type=_JSON)


def _wrong(told: Sequence[Told]) -> dict[str, dict[str, list[str]]]:
    """By place and field what is wrong; a conflict, of which the first counts, as what it is there."""
    found: dict[str, dict[str, list[str]]] = {}
    for place, one in enumerate(told):
        if one.outcome is Outcome.REJECTED:
            found[str(place)] = {renamed(one.field, NAMES) or "event": [one.reason]}
        elif one.outcome is Outcome.CONFLICT:
            found[str(place)] = {"transaction_id": ["value_already_exist"]}
    return found


def _refused(details: Mapping[str, Any]) -> Response[Any]:
    told = {
        "status": 422,
        "error": "Unprocessable Entity",
        "code": "validation_errors",
        "error_details": details,
    }
    return Response(told, status_code=422, media_type=_JSON)


def _came(event: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    at = instant_of(event["timestamp"])
    assert at is not None  # else it would have been rejected
    properties = written(event.get("properties") or {})
    return _told(event["transaction_id"], str(event["customer_id"]), event["event_type"], at, properties, now)


def _shown(one: Shown) -> dict[str, Any]:
    return _told(one.transaction_id, one.subject, one.type, one.at, one.properties, one.received_at)


def _told(  # noqa: PLR0917 - an event's six parts, in the order in which it has them
    name: str, subject: str, type_: str, at: datetime, properties: str, came_at: datetime
) -> dict[str, Any]:
    whole = msgspec.json.decode(properties)
    amount = whole.get(AMOUNT)
    return {
        "lago_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "transaction_id": source_and_id(name)[1],
        "lago_customer_id": None,
        "lago_subscription_id": None,
        "external_subscription_id": subject,
        "code": type_,
        "timestamp": iso(at),
        AMOUNT: None if amount is None else str(amount),
        # As text, so that no number passes through a float.
        "properties": msgspec.Raw(properties.encode()),
        "created_at": iso(came_at),
    }


def _worded(_: Request[Any, Any, Any], problem: Problem) -> tuple[Any, str, Headers]:
    told: dict[str, Any] = {
        "status": problem.status,
        "error": problem.title,
        "code": problem.type.rpartition(":")[2].replace("-", "_"),
        "error_details": {one.field: [one.message] for one in problem.errors} or {"message": [problem.detail]},
    }
    return told, _JSON, {}


_answer = refusals(
    _worded,
    declined="is not answered here: Heartfly takes events, and bills nobody",
)


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """With when to come again in the header that Lago's client reads."""
    told = _answer(request, error)
    if told.status_code == 429 and (after := told.headers.get("Retry-After")):
        told.headers["x-ratelimit-reset"] = after
    return told


def router(guards: list[Guard]) -> Router:
    return Router(
        "/lago",
        route_handlers=[ingest, ingest_batch, show_event],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
