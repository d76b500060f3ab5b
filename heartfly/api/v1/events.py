"""Events of usage: taken in, searched, and what contradicts them. A key with the scope `ingest` only sends them."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, HeaderParameter, QueryParameter

from heartfly.accounts.guards import INGESTS
from heartfly.api.column_bodies import columns_of
from heartfly.api.event_bodies import MAX_BYTES, events_of, is_large
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, instant_of, number, place_in_time
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_corrections import EventDetail, detail_out
from heartfly.api.v1.wire_events import PREFER, IngestOut, TakesColumns, TakesEvents, ingest_out, is_brief
from heartfly.api.v1.wire_usage import ConflictPage, EventPage, conflict_out, event_out
from heartfly.core.events import MAX_ID, MAX_SUBJECT, MAX_TYPE
from heartfly.db.types import micros
from heartfly.errors import InvalidValueError
from heartfly.usage import event_queries as queries
from heartfly.usage.correction_queries import known_event
from heartfly.usage.event_queries import Wanted
from heartfly.usage.sources import HEADER

WIRE = "native"

DryRun = Annotated[bool, QueryParameter(description="Say what would become of them; store nothing.")]
Source = Annotated[str, HeaderParameter(name=HEADER, description="Who sends them: the day waits for its live sources.")]
Prefer = Annotated[
    str, HeaderParameter(name=PREFER, description="`return=minimal`: results of what is not stored, and no others.")
]


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
    dry_run: DryRun = False,
    source: Source = "",
    prefer: Prefer = "",
) -> IngestOut:
    """Answered once they are on the disk. Each is told for itself: what is none does not stop its neighbours.

    Whatever the answer, the same body may be sent again: what is kept already is a `duplicate`.
    """
    raw, encoding = await request.body(), request.headers.get("content-encoding", "")
    found = await events_of(raw, media_type=request.headers.get("content-type", ""), encoding=encoding)
    request.demand_pace(len(found))
    told = await request.api.events.take(
        request.caller.pid, found, wire=WIRE, source=source, dry_run=dry_run, beside=is_large(raw, encoding)
    )
    return ingest_out(told, dry_run=dry_run, brief=is_brief(prefer))


@post(
    "/events/columns",
    summary="Send events by column",
    responses=told_as(413, 422),
    tags=["usage"],
    opt=INGESTS,
    status_code=200,
    request_max_body_size=MAX_BYTES,
    operation_class=TakesColumns,
)
async def take_columns(
    request: ApiRequest,
    *,
    dry_run: DryRun = False,
    source: Source = "",
    prefer: Prefer = "",
) -> IngestOut:
    """The same as to send them one by one, for who sends many that have much in common: it takes less of the processor.

    Each is told for itself, by its place in the columns.
    """
    raw, encoding = await request.body(), request.headers.get("content-encoding", "")
    events = request.api.events
    found = await columns_of(raw, encoding=encoding, now=events.now(), oldest=events.oldest())
    request.demand_pace(len(found))
    told = await events.take(
        request.caller.pid, found, wire=WIRE, source=source, dry_run=dry_run, beside=is_large(raw, encoding)
    )
    return ingest_out(told, dry_run=dry_run, brief=is_brief(prefer))


@get("/events", summary="List events, newest first", responses=told_as(422), tags=["usage"])
async def list_events(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    customer: Annotated[str, QueryParameter(description="The id of a customer, whatever senders call him.")] = "",
    customer_id: Annotated[str, QueryParameter(description="A customer as the sender calls him.")] = "",
    event_type: Annotated[str, QueryParameter(description="Of this type.")] = "",
    transaction_id: Annotated[str, QueryParameter(description="The one of that name.")] = "",
    from_at: Annotated[str | None, QueryParameter(name="from", description="From this instant on (RFC 3339).")] = None,
    to_at: Annotated[str | None, QueryParameter(name="to", description="Before this instant (RFC 3339).")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> EventPage:
    """By when they happened. Of a type that is rare a page may hold fewer than `limit`, or none, although there are
    more: go on while there is a cursor.
    """
    wanted = Wanted(
        customer=customer,
        subject=_bounded(customer_id, "customer_id", MAX_SUBJECT),
        type=_bounded(event_type, "event_type", MAX_TYPE),
        transaction_id=_bounded(transaction_id, "transaction_id", MAX_ID),
        from_at=instant_of(from_at, field="from"),
        to_at=instant_of(to_at, field="to"),
    )
    before = place_in_time(cursor, "events")
    async with request.api.usage.read() as read:
        page = await queries.search(read, request.caller.pid, wanted, before=before, limit=limit)
    following = page.last and cursor_of("events", micros(page.last[0]), page.last[1])
    return EventPage([event_out(one) for one in page.events], following)


@get("/events/conflicts", summary="List conflicts, newest first", responses=told_as(422), tags=["usage"])
async def list_conflicts(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> ConflictPage:
    """What came under a transaction id that was taken, by when it came."""
    before = number(cursor, "conflicts")
    async with request.api.usage.read() as read:
        found = await queries.list_conflicts(read, request.caller.pid, before=before, limit=limit + 1)
    page, following = cut(found, limit, lambda one: cursor_of("conflicts", one.came.id))
    return ConflictPage([conflict_out(one) for one in page], following)


@get("/events/{transaction_id:str}", summary="Read an event", responses=told_as(404), tags=["usage"])
async def read_event(request: ApiRequest, transaction_id: FromPath[str]) -> EventDetail:
    """With its corrections, and with what contradicts it. One whose name has a slash in it is found by
    `GET /v1/events?transaction_id=`.
    """
    async with request.api.usage.read() as read:
        return detail_out(await known_event(read, request.caller.pid, transaction_id))


def _bounded(value: str, field: str, most: int) -> str:
    """What no event could hold is refused; it could not even be asked for on every database."""
    if len(value) > most:
        raise InvalidValueError(field, f"is longer than {most} characters")
    if not value.isprintable() and any(char < " " or "\ud800" <= char <= "\udfff" for char in value):
        raise InvalidValueError(field, "holds a character that is none")
    return value
