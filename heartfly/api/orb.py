"""Orb's events under `/orb`, as its own SDKs send, amend, deprecate and search them.

An event's `idempotency_key` is its transaction id, its `external_customer_id` (or `customer_id`) an alias of the
customer here. Other than there: one bad event does not stop its neighbours, and an amendment may change whatever ours
may. Backfills are orb_backfills.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, post, put
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.accounts.keys import Scope
from heartfly.api.event_bodies import MAX_BYTES, MOST_OF_ONE, demand_few
from heartfly.api.foreign import Headers, object_of, refusals, renamed, take
from heartfly.api.foreign_corrections import amend, void
from heartfly.api.orb_asked import event_from, instant
from heartfly.api.orb_backfills import (
    close_backfill,
    create_backfill,
    fetch_backfill,
    fill,
    list_backfills,
    revert_backfill,
)
from heartfly.api.problems import Problem
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import iso
from heartfly.errors import HeartflyError, InvalidValueError, NotFoundError
from heartfly.usage.apply import Outcome, Told
from heartfly.usage.correction_queries import Known, known_event

WIRE = "orb"
NAMES: Mapping[str, str] = {
    "transaction_id": "idempotency_key",
    "customer_id": "external_customer_id",
    "event_type": "event_name",
}
"""Ours to theirs, where they differ."""
MOST_SEARCHED = 100
_JSON = "application/json"
_READS = {"scope": Scope.READ}
_AMENDED, _DEPRECATED = "amended by Orb's API", "deprecated by Orb's API"
_TYPES = {
    400: "400-request-validation-errors",
    401: "401-authentication-error",
    404: "404-resource-not-found",
    409: "409-resource-conflict",
    413: "413-request-too-large",
    429: "429-too-many-requests",
    500: "500-internal-server-error",
}
"""By which its SDKs choose an exception. The addresses are theirs."""


@post(["/ingest", "/v1/ingest"], opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def ingest(
    request: ApiRequest,
    debug: Annotated[str, QueryParameter()] = "",
    backfill_id: Annotated[str, QueryParameter()] = "",
) -> Response[Any]:
    """`{"events": [{…}, …]}`; answered after the commit. `debug`: with what became of each. `backfill_id`: they count
    once that is closed.
    """
    found = (await object_of(request)).get("events")
    if not isinstance(found, list):
        raise InvalidValueError("events", "is required, and must be a list")
    demand_few(found)
    if backfill_id:
        told = await fill(request, backfill_id, found)
    else:
        told = await take(request, [event_from(one) for one in found], WIRE)
    failed = _failed(found, told)
    answer: dict[str, Any] = {"validation_failed": failed}
    if debug.lower() == "true":
        answer["debug"] = {
            "ingested": _keys(found, told, Outcome.ACCEPTED),
            "duplicate": _keys(found, told, Outcome.DUPLICATE, Outcome.CONFLICT),
        }
    if not failed:
        return Response(msgspec.json.encode(answer, enc_hook=str), media_type=_JSON)
    first = f"events: {failed[0]['validation_errors'][0]}"
    detail = f"{first}; the other events of this request are kept"
    refused = _problem(400, "Bad Request", detail) | {"validation_errors": [first]} | answer
    return Response(
        msgspec.json.encode(refused, enc_hook=str), status_code=400, media_type=_JSON, headers=_for_good(400)
    )


@put(["/events/{event_id:str}", "/v1/events/{event_id:str}"])
async def amend_event(request: ApiRequest, event_id: FromPath[str]) -> dict[str, Any]:
    """What it is amended to counts in its place, under the same key."""
    event = event_from({**(await object_of(request, most=MOST_OF_ONE)), "idempotency_key": event_id})
    if not isinstance(event, dict):
        raise InvalidValueError("customer_id", "exactly one of customer_id and external_customer_id must be given")
    fields = {name: value for name, value in event.items() if name != "transaction_id"}
    await amend(request, event_id, fields, reason=_AMENDED)
    return {"amended": event_id}


@put(["/events/{event_id:str}/deprecate", "/v1/events/{event_id:str}/deprecate"])
async def deprecate_event(request: ApiRequest, event_id: FromPath[str]) -> dict[str, Any]:
    """It counts nothing any more, and is kept."""
    await void(request, event_id, reason=_DEPRECATED)
    return {"deprecated": event_id}


@post(["/events/search", "/v1/events/search"], opt=_READS, status_code=200)
async def search_events(request: ApiRequest) -> Response[Any]:
    """By `event_ids`, whenever they were; `timeframe_start` and `timeframe_end` leave out what lies outside."""
    asked = await object_of(request, most=MOST_OF_ONE)
    ids = asked.get("event_ids")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise InvalidValueError("event_ids", "is required, and must be a list of texts")
    if len(ids) > MOST_SEARCHED:
        raise InvalidValueError("event_ids", f"must be at most {MOST_SEARCHED}")
    start, end = (instant(asked, name) for name in ("timeframe_start", "timeframe_end"))
    data = []
    async with request.api.usage.read() as read:
        for one in dict.fromkeys(ids):
            try:
                found = await known_event(read, request.caller.pid, one)
            except NotFoundError:
                continue  # of what is not known nothing is told, as there
            if (start is None or found.event.at >= start) and (end is None or found.event.at < end):
                data.append(_shown(found))
    return Response(msgspec.json.encode({"data": data}), media_type=_JSON)


def _shown(found: Known) -> dict[str, Any]:
    one = found.event
    return {
        "id": one.transaction_id,
        "customer_id": one.customer,
        "deprecated": not found.counts,
        "event_name": one.type,
        "external_customer_id": one.subject,
        # As text, so that no number passes through a float.
        "properties": msgspec.Raw(one.properties.encode()),
        "timestamp": iso(one.at),
    }


def _failed(found: Sequence[Any], told: Sequence[Told]) -> list[dict[str, Any]]:
    return [
        {
            "idempotency_key": _key(found[place]),
            "validation_errors": [f"[{place}]{_dotted(renamed(one.field, NAMES))}: {one.reason}"],
        }
        for place, one in enumerate(told)
        if one.outcome is Outcome.REJECTED
    ]


def _dotted(field: str) -> str:
    return f".{field}" if field else ""


def _keys(found: Sequence[Any], told: Sequence[Told], *wanted: Outcome) -> list[str]:
    return [_key(one) for one, became in zip(found, told, strict=True) if became.outcome in wanted]


def _key(found: Any) -> str:
    """Of half a surrogate pair, which no JSON carries, a mark is left."""
    key = found.get("idempotency_key") if isinstance(found, dict) else ""
    return key.encode("utf-8", "replace").decode() if isinstance(key, str) else ""


def _problem(status: int, title: str, detail: str) -> dict[str, Any]:
    kind = f"https://docs.withorb.com/reference/error-responses#{_TYPES.get(status, _TYPES[500])}"
    return {"type": kind if status in _TYPES else None, "status": status, "title": title, "detail": detail}


def _for_good(status: int) -> Headers:
    """Its SDK would try some of 4xx again (408, 409) though nothing will have changed."""
    return {"x-should-retry": "false"} if 400 <= status < 500 and status != 429 else {}


def _worded(_: Request[Any, Any, Any], problem: Problem) -> tuple[Any, str, Headers]:
    told = _problem(problem.status, problem.title, problem.detail)
    if problem.status == 400:
        told["validation_errors"] = [problem.detail]
    return told, _JSON, _for_good(problem.status)


answer = refusals(
    _worded,
    declined="is not answered here: Heartfly meters usage, and bills nobody",
    statuses={405: 404, 422: 400},
)


def router(guards: list[Guard]) -> Router:
    return Router(
        "/orb",
        route_handlers=[
            ingest,
            amend_event,
            deprecate_event,
            search_events,
            create_backfill,
            list_backfills,
            fetch_backfill,
            close_backfill,
            revert_backfill,
        ],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
