"""Metronome's calls under `/metronome`, as its own SDKs make them. Its events have the names that ours have.

Other than there: one bad event does not stop its neighbours, and no status that its SDK would retry in vain is sent
without saying so.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, post
from litestar.exceptions import HTTPException
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api import metronome_alerts, metronome_customers, metronome_metrics, metronome_usage
from heartfly.api.event_bodies import MAX_BYTES
from heartfly.api.foreign import Headers, body_of, refusals, take, what_is_wrong
from heartfly.api.problems import Problem
from heartfly.api.request import ApiRequest
from heartfly.errors import HeartflyError

WIRE = "metronome"
_JSON = "application/json"


@post("/v1/ingest", opt=INGESTS, status_code=200, request_max_body_size=MAX_BYTES)
async def ingest(request: ApiRequest) -> Response[Any]:
    """A bare array of events; answered after the commit."""
    told = await take(request, await body_of(request), WIRE)
    wrong = what_is_wrong(told, {}, place="events")
    if wrong is not None:
        return Response({"message": wrong}, status_code=400, media_type=_JSON, headers=_for_good(400))
    return Response(b"", media_type=_JSON)


def _for_good(status: int) -> Headers:
    """Its SDK would try some of 4xx again (408, 409) though nothing will have changed."""
    return {"x-should-retry": "false"} if 400 <= status < 500 and status != 429 else {}


def _worded(_: Request[Any, Any, Any], problem: Problem) -> tuple[Any, str, Headers]:
    return {"message": problem.detail}, _JSON, _for_good(problem.status)


answer = refusals(
    _worded,
    declined="is not answered here: Heartfly meters usage and alerts on it, and bills nobody",
)


def router(guards: list[Guard]) -> Router:
    return Router(
        "/metronome",
        route_handlers=[
            ingest,
            *metronome_customers.HANDLERS,
            *metronome_metrics.HANDLERS,
            *metronome_usage.HANDLERS,
            *metronome_alerts.HANDLERS,
        ],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
