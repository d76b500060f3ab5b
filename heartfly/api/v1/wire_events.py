"""The shapes of events: what comes in, as the schema tells of it, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody
from litestar.openapi.spec import Schema as OpenApiSchema
from litestar.openapi.spec.enums import OpenAPIType

from heartfly.core.by_column import MAX_EVENTS as MAX_BY_COLUMN
from heartfly.usage.apply import Outcome, Told, are_all_accepted, counted
from heartfly.usage.ingest import MAX_EVENTS

_EXAMPLE = {
    "transaction_id": "2026-11-28T10:15:00Z-req-42",
    "customer_id": "acme",
    "timestamp": "2026-11-28T10:15:00Z",
    "event_type": "api.request",
    "properties": {"bytes": "1024", "region": "eu"},
}


class EventIn(msgspec.Struct):
    """One thing that was used. `core/events.py` looks at each, not this shape: what is none is told with its reason."""

    transaction_id: str
    """Your name for it, one event each, 1 to 128 characters. Sent again, it counts once."""
    customer_id: str
    """The customer as you call him, 1 to 256 characters: an alias says whose it is."""
    timestamp: str
    """When it happened (RFC 3339), at most 24 hours ahead."""
    event_type: str
    """1 to 128 characters."""
    properties: dict[str, Any] = {}
    """Whatever meters may ask for, undeclared: at most 100 names. Numbers are kept exactly as they are written."""


class CodedIn(msgspec.Struct, forbid_unknown_fields=True):
    """A column in which the same values come again and again."""

    values: list[Any]
    """Each once."""
    places: list[int]
    """Of each event, where its value is among `values`, from 0."""


class EventColumnsIn(msgspec.Struct, forbid_unknown_fields=True):
    """Events by column. A column is a list with a value for each event, one value that all have, or coded."""

    transaction_id: list[str]
    """One for each event: a list always."""
    customer_id: list[str] | CodedIn | str
    timestamp: list[str] | CodedIn | str
    event_type: list[str] | CodedIn | str
    properties: dict[str, Any] = {}
    """A column for each name. `null` where an event has no such property."""
    alike: list[CodedIn] = []
    """Properties of which several come together again and again: their `values` are objects of properties."""


class EventResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event. `index`: its place in the body. `field` and `reason`: why it is none."""

    index: int
    outcome: Outcome
    field: str | None
    reason: str | None


class IngestOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each, and one by one. `dry_run`: nothing was stored."""

    dry_run: bool
    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    results: list[EventResult]


SHAPES = (EventIn, CodedIn, EventColumnsIn, IngestOut)


@dataclass
class TakesEvents(Operation):
    """The body of events for the schema: the framework makes one only of what it decodes itself."""

    def __post_init__(self) -> None:
        event = Reference(ref="#/components/schemas/EventIn")
        self.request_body = RequestBody(
            required=True,
            description=f"An array of at most {MAX_EVENTS} events, or one event, up to 4 MiB. Lines of JSON with "
            "`Content-Type: application/x-ndjson`; packed with `Content-Encoding: gzip`.",
            content={
                "application/json": OpenAPIMediaType(
                    schema=OpenApiSchema(
                        one_of=[OpenApiSchema(type=OpenAPIType.ARRAY, items=event, max_items=MAX_EVENTS), event]
                    ),
                    example=[_EXAMPLE],
                )
            },
        )


_COLUMNS_EXAMPLE = {
    "transaction_id": ["2026-11-28T10:15:00Z-req-42", "2026-11-28T10:15:00Z-req-43"],
    "customer_id": "acme",
    "timestamp": "2026-11-28T10:15:00Z",
    "event_type": "api.request",
    "properties": {"bytes": ["1024", "2048"], "region": {"values": ["eu"], "places": [0, 0]}},
}


@dataclass
class TakesColumns(Operation):
    """As TakesEvents."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            description=f"At most {MAX_BY_COLUMN} events, up to 4 MiB, and 16 MiB once each is told for itself; packed "
            "with `Content-Encoding: gzip`.",
            content={
                "application/json": OpenAPIMediaType(
                    schema=Reference(ref="#/components/schemas/EventColumnsIn"), example=_COLUMNS_EXAMPLE
                )
            },
        )


PREFER = "Prefer"
_BRIEFLY = "return=minimal"


def is_brief(prefer: str) -> bool:
    """Whether the sender wants no results of what is stored (RFC 7240)."""
    return any(one.strip().lower() == _BRIEFLY for one in prefer.split(","))


def ingest_out(told: Sequence[Told], *, dry_run: bool, brief: bool = False) -> IngestOut:
    """`brief`: with results of those only that are rejected, or in conflict."""
    if brief:
        of = counted(told)
        apart = [(index, one) for index, one in enumerate(told) if one.outcome in _APART] if of.keys() & _APART else []
        results = [_result(index, one) for index, one in apart]
        return IngestOut(dry_run=dry_run, results=results, **{name: of[outcome] for outcome, name in _NAMES.items()})
    counts = dict.fromkeys(_NAMES.values(), 0)
    results = []
    for index, one in enumerate(told):
        counts[_NAMES[one.outcome]] += 1
        # Nearly all are that, so those are made once.
        results.append(_ACCEPTED[index] if one.outcome is Outcome.ACCEPTED else _result(index, one))
    return IngestOut(dry_run=dry_run, results=results, **counts)


def encoded_out(told: Sequence[Told], *, brief: bool) -> bytes:
    """`ingest_out` of what was stored, as JSON. Where all are accepted it is cut from a text that is there already."""
    if brief or not are_all_accepted(told):
        return msgspec.json.encode(ingest_out(told, dry_run=False, brief=brief))
    n = len(told)
    around = msgspec.json.encode(IngestOut(dry_run=False, accepted=n, duplicate=0, conflict=0, rejected=0, results=[]))
    return b"%b%b%b" % (around[:-2], _ALL_ACCEPTED[: _ENDS[n]].removesuffix(b","), around[-2:])


def _result(index: int, told: Told) -> EventResult:
    field, reason = (told.field, told.reason) if told.outcome is Outcome.REJECTED else (None, None)
    return EventResult(index=index, outcome=told.outcome, field=field, reason=reason)


_APART = {Outcome.REJECTED, Outcome.CONFLICT}
_NAMES = {outcome: outcome.value for outcome in Outcome}
_ACCEPTED = [_result(index, Told(Outcome.ACCEPTED)) for index in range(max(MAX_EVENTS, MAX_BY_COLUMN))]
_ALL_ACCEPTED = msgspec.json.encode(_ACCEPTED)[1:-1]
_ENDS = [0, *accumulate(len(msgspec.json.encode(one)) + 1 for one in _ACCEPTED)]
"""Of the first so many results in that text, the comma behind them included."""
