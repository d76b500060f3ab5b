"""Events of usage: taken in. A key with the scope `ingest` may do that, and nothing else."""

from __future__ import annotations

from typing import Annotated

from litestar import post
from litestar.params import QueryParameter

from heartfly.accounts.guards import INGESTS
from heartfly.api.event_bodies import MAX_BYTES, events_in
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_events import IngestOut, TakesEvents, ingest_out

WIRE = "native"


@post(
    "/events",
    summary="Send events",
    responses=told_as(413, 422),
    tags=["usage"],
    opt=INGESTS,
    status_code=200,
    request_max_body_size=MAX_BYTES,
    operation_class=TakesEvents,
)
async def take_events(
    request: ApiRequest,
    *,
    dry_run: Annotated[bool, QueryParameter(description="Say what would become of them; store nothing.")] = False,
) -> IngestOut:
    """Answered once they are on the disk. Each is told for itself: what is none does not stop its neighbours.

    Whatever the answer, the same body may be sent again: what is kept already is a `duplicate`.
    """
    found = events_in(
        await request.body(),
        media_type=request.headers.get("content-type", ""),
        encoding=request.headers.get("content-encoding", ""),
    )
    told = await request.api.events.take(request.caller.pid, found, wire=WIRE, dry_run=dry_run)
    return ingest_out(told, dry_run=dry_run)
