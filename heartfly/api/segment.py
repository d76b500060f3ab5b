"""Segment's tracking API under `/segment`, as its own clients call it: messages that become events.

The write key is an API key, as the name of basic authentication. What is tracked is an event of the type that its
sender named; other messages (`page`, `identify`, …) are kept under theirs. Other than there: what is none is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Request, Response, Router, post
from litestar.exceptions import HTTPException
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api.event_bodies import MAX_BYTES, demand_few
from heartfly.api.foreign import Headers, body_of, refusals, take, unfit, what_is_wrong
from heartfly.api.problems import TYPES, Problem
from heartfly.api.request import ApiRequest
from heartfly.errors import HeartflyError, InvalidValueError

WIRE = "segment"
KINDS = ("track", "page", "screen", "identify", "group", "alias")
NAMES: Mapping[str, str] = {"transaction_id": "messageId", "customer_id": "userId", "event_type": "event"}
"""Ours to theirs, where they differ."""
_JSON = "application/json"
_OPT = {**INGESTS, "basic": True}


def event_from(found: Any, now: datetime, *, kind: str | None = None) -> Any:
    """Ours from a message. `kind`: what its address says. `now`: when one happened that does not say.

    Whose it is: the userId, or the anonymousId of who has none.
    """
    if not isinstance(found, dict):
        return found
    kind = kind or found.get("type")
    if kind not in KINDS:
        return unfit(found, f"type must be one of {', '.join(KINDS)}")
    about = found.get("properties") if kind in {"track", "page", "screen"} else found.get("traits")
    given = {
        "transaction_id": found.get("messageId"),
        "customer_id": found.get("userId") or found.get("anonymousId"),
        "timestamp": found.get("timestamp") or now.isoformat(),
        "event_type": found.get("event") if kind == "track" else kind,
        "properties": about,
    }
    return {name: value for name, value in given.items() if value is not None}


@post(["/v1/batch", "/v1/import"], opt=_OPT, status_code=200, request_max_body_size=MAX_BYTES)
async def batch(request: ApiRequest) -> Response[Any]:
    """`{"batch": [message, …]}`; answered after the commit."""
    found = await body_of(request)
    messages = found[0].get("batch") if len(found) == 1 and isinstance(found[0], dict) else None
    if not isinstance(messages, list):
        raise InvalidValueError("batch", "must be a list of messages")
    demand_few(messages)
    now = request.api.clock.now()
    return await _taken(request, [event_from(one, now) for one in messages])


@post([f"/v1/{kind}" for kind in KINDS], opt=_OPT, status_code=200, request_max_body_size=MAX_BYTES)
async def message(request: ApiRequest) -> Response[Any]:
    """One message, of the kind that the address says."""
    kind, now = request.scope["path"].rstrip("/").rpartition("/")[2], request.api.clock.now()
    return await _taken(request, [event_from(one, now, kind=kind) for one in await body_of(request)])


async def _taken(request: ApiRequest, found: list[Any]) -> Response[Any]:
    wrong = what_is_wrong(await take(request, found, WIRE), NAMES, place="batch")
    if wrong is not None:
        return Response(_refusal(400, wrong), status_code=400, media_type=_JSON)
    return Response({"success": True}, media_type=_JSON)


def _refusal(status: int, message: str) -> dict[str, Any]:
    """Its clients show both to who asked to hear of errors."""
    return {"success": False, "code": TYPES[status], "message": message}


def _worded(_: Request[Any, Any, Any], problem: Problem) -> tuple[Any, str, Headers]:
    return _refusal(problem.status, problem.detail), _JSON, {}


answer = refusals(
    _worded,
    declined="is not answered here: Heartfly takes what is tracked, and nothing else of Segment",
)


def router(guards: list[Guard]) -> Router:
    return Router(
        "/segment",
        route_handlers=[batch, message],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
