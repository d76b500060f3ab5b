"""OpenMeter's calls under `/openmeter`: CloudEvents of usage, alone or in a batch, as its own client sends them.

There an event is known by its source and its id, so ours is named by both. Other than there: one bad event does not
stop its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Request, Router, post
from litestar.exceptions import HTTPException
from litestar.types import Guard

from heartfly.accounts.guards import INGESTS
from heartfly.api.body import NotJsonError
from heartfly.api.event_bodies import MAX_BYTES
from heartfly.api.foreign import Headers, body_of, refusals, take, unfit, what_is_wrong
from heartfly.api.problems import MEDIA_TYPE, Problem
from heartfly.api.request import ApiRequest
from heartfly.errors import HeartflyError

WIRE = "openmeter"
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


def router(guards: list[Guard]) -> Router:
    answer = refusals(_worded)
    return Router(
        "/openmeter",
        route_handlers=[ingest],
        guards=guards,
        exception_handlers={HeartflyError: answer, HTTPException: answer, Exception: answer},
    )
