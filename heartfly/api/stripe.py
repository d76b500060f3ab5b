"""Stripe's meter events under `/stripe`, as its own SDKs send them: forms of version 1, JSON of version 2.

A meter event is an event of the type `event_name`, of the customer `payload[stripe_customer_id]`; the rest of its
payload are the properties. An adjustment voids one. Other than there, an event may have happened long ago, and the same
identifier is known for as long as events are kept.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, Router, post
from litestar.exceptions import HTTPException
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api.body import NotJsonError
from heartfly.api.event_bodies import MAX_BYTES, MOST_OF_ONE
from heartfly.api.foreign import Headers, object_of, refusals, renamed, take
from heartfly.api.foreign_corrections import known, void
from heartfly.api.foreign_times import instant_of_seconds
from heartfly.api.problems import TYPES, Problem
from heartfly.api.request import ApiRequest
from heartfly.core.events import instant_of
from heartfly.errors import HeartflyError, InvalidValueError, NotFoundError
from heartfly.usage.apply import Outcome

WIRE = "stripe"
CUSTOMER = "stripe_customer_id"
NAMES: Mapping[str, str] = {
    "transaction_id": "identifier",
    "customer_id": f"payload[{CUSTOMER}]",
    "event_type": "event_name",
    "properties": "payload",
}
"""Ours to theirs, where they differ."""
_JSON = "application/json"
_MOST_FIELDS = 500
_MOST_FORM = 256 * 1024
_FIELD = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\])*)")
_READS = {**INGESTS, "basic": True}
_WRITES = {"basic": True}
_REASON = "cancelled by a meter event adjustment of Stripe's API"


class RefusedError(InvalidValueError):
    """Of the one event of a call, in Stripe's names."""


def event_from(found: Any, now: datetime, *, name: str) -> Any:
    """Ours from a meter event. `name`: what it is called that has no identifier. `now`: when one happened that does
    not say.
    """
    if not isinstance(found, dict):
        return found
    payload = found.get("payload")
    told = payload if isinstance(payload, dict) else {}
    given = {
        "transaction_id": found.get("identifier") or name,
        "customer_id": told.get(CUSTOMER),
        "timestamp": instant_of_seconds(found.get("timestamp")) or now.isoformat(),
        "event_type": found.get("event_name"),
        "properties": {key: value for key, value in told.items() if key != CUSTOMER} if told else payload,
    }
    return {key: value for key, value in given.items() if value is not None}


def form_of(raw: bytes) -> dict[str, Any]:
    """`a[b]=c` as `{"a": {"b": "c"}}`. InvalidValueError: it is no such form."""
    if len(raw) > _MOST_FORM:
        raise InvalidValueError("", f"the body is larger than {_MOST_FORM} bytes")
    try:
        pairs = parse_qsl(
            raw.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )  # fmt: skip
    except ValueError as error:
        raise NotJsonError(f"the body must be a form: {str(error)[:200]}") from error
    found: dict[str, Any] = {}
    for name, value in pairs:
        parts = _FIELD.fullmatch(name)
        if parts is None:
            raise InvalidValueError(name[:100], "is no name of a field, such as payload[value]")
        place, inner = found, [parts[1], *re.findall(r"\[([^\[\]]+)\]", parts[2])]
        if len(inner) > 3:
            raise InvalidValueError(name[:100], "is nested more than three deep")
        for one in inner[:-1]:
            place = place.setdefault(one, {})
            if not isinstance(place, dict):
                raise InvalidValueError(name[:100], "is given as a text and as a group")
        if isinstance(place.get(inner[-1]), dict):
            raise InvalidValueError(name[:100], "is given as a text and as a group")
        place[inner[-1]] = value
    return found


@post("/v1/billing/meter_events", opt=_READS, status_code=200, request_max_body_size=MAX_BYTES)
async def meter_event(request: ApiRequest) -> Response[Any]:
    """One event, as a form; answered after the commit."""
    return await _taken(request, form_of(await request.body()), "billing.meter_event")


@post("/v2/billing/meter_events", opt=_READS, status_code=200, request_max_body_size=MAX_BYTES)
async def meter_event_2(request: ApiRequest) -> Response[Any]:
    """The same as JSON, with an instant of RFC 3339."""
    return await _taken(request, await object_of(request, most=MOST_OF_ONE), "v2.billing.meter_event")


@post("/v1/billing/meter_event_adjustments", opt=_WRITES, status_code=200)
async def adjustment(request: ApiRequest) -> Response[Any]:
    return await _adjusted(request, form_of(await request.body()), "billing.meter_event_adjustment")


@post("/v2/billing/meter_event_adjustments", opt=_WRITES, status_code=200)
async def adjustment_2(request: ApiRequest) -> Response[Any]:
    return await _adjusted(request, await object_of(request, most=MOST_OF_ONE), "v2.billing.meter_event_adjustment")


async def _taken(request: ApiRequest, found: dict[str, Any], kind: str) -> Response[Any]:
    now = request.api.clock.now()
    # An event without a name of its own has that of its request, which its SDKs repeat when they try again.
    once = request.headers.get("idempotency-key", "")
    name = f"request:{once}" if once else str(uuid.uuid4())
    event = event_from(found, now, name=name)
    (told,) = await take(request, [event], WIRE)
    if told.outcome is Outcome.REJECTED:
        raise RefusedError(_theirs(told.field), told.reason)
    at, is_second = instant_of(event["timestamp"]), kind.startswith("v2")
    assert at is not None  # else it would have been rejected
    answer = {
        "object": kind,
        "created": now.isoformat() if is_second else int(now.timestamp()),
        "event_name": event["event_type"],
        "identifier": event["transaction_id"],
        "livemode": True,
        "payload": found["payload"],
        "timestamp": at.isoformat() if is_second else int(at.timestamp()),
    }
    return Response(msgspec.json.encode(answer, enc_hook=str), media_type=_JSON)


async def _adjusted(request: ApiRequest, found: dict[str, Any], kind: str) -> Response[Any]:
    """Cancels one event for good: it counts nothing from now on, and is void if it is sent again."""
    if found.get("type") != "cancel":
        raise InvalidValueError("type", "must be cancel")
    cancel = found.get("cancel")
    identifier = cancel.get("identifier") if isinstance(cancel, dict) else None
    if not isinstance(identifier, str) or not identifier:
        raise InvalidValueError("cancel[identifier]", "is required")
    event_name = found.get("event_name")
    if not isinstance(event_name, str) or not event_name:
        raise InvalidValueError("event_name", "is required")
    if (await known(request, identifier)).event.type != event_name:
        raise NotFoundError("there is no such event")
    await void(request, identifier, reason=_REASON)
    told = {
        "object": kind,
        "cancel": {"identifier": identifier},
        "event_name": event_name,
        "livemode": True,
        "status": "complete",
        "type": "cancel",
    }
    if kind.startswith("v2"):
        told |= {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, identifier)), "created": _now(request)}
    return Response(told, media_type=_JSON)


def _now(request: ApiRequest) -> str:
    return request.api.clock.now().isoformat()


def _theirs(field: str) -> str:
    """`payload[value]`, where ours is `properties.value`."""
    head, dot, rest = renamed(field, NAMES).partition(".")
    return f"{head}[{rest}]" if dot else head


def _worded(_: Request[Any, Any, Any], problem: Problem) -> tuple[Any, str, Headers]:
    kind = {429: "rate_limit_error"}.get(
        problem.status, "invalid_request_error" if problem.status < 500 else "api_error"
    )
    told: dict[str, Any] = {"type": kind, "code": TYPES[problem.status].replace("-", "_"), "message": problem.detail}
    if problem.errors:
        told["param"] = problem.errors[0].field
    # Its SDK would try a 409 again though nothing will have changed.
    hopeless = 400 <= problem.status < 500 and problem.status != 429
    return {"error": told}, _JSON, {"stripe-should-retry": "false"} if hopeless else {}


answer = refusals(
    _worded,
    declined="is not answered here: Heartfly meters usage, and bills nobody",
    statuses={405: 404, 409: 400, 422: 400},
)


def router(guards: list[Guard]) -> Router:
    return Router(
        "/stripe",
        route_handlers=[meter_event, meter_event_2, adjustment, adjustment_2],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
