"""A span of a server is a request: one event, named by its trace and its own id, so that it may come again.

Spans of other kinds, and of servers that speak no HTTP, are none, and are passed over: that is no error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from heartfly.api.foreign import unfit
from heartfly.api.otlp_attributes import (
    BYTES_IN,
    BYTES_OUT,
    METHOD,
    attributes,
    customer_of,
    instant,
    properties_of,
    whole_in,
)
from heartfly.core.access.as_event import TYPE
from heartfly.core.access.request import ms_of_nanos
from heartfly.core.amounts import Number

_SERVER = 2
_ID_BYTES = (16, 8)


def n_spans(found: Any) -> int:
    return sum(len(scope.spans) for resource in found.resource_spans for scope in resource.scope_spans)


def events_from(found: Any, customers: Sequence[str]) -> Iterator[Any]:
    """What stands in the place of each event. `customers`: the attributes that name one, the first that is there."""
    for resource in found.resource_spans:
        program = attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                if span.kind == _SERVER and (event := _event(span, program, customers)) is not None:
                    yield event


def _event(span: Any, program: dict[str, Any], customers: Sequence[str]) -> Any:
    told = attributes(span.attributes)
    if not any(name in told for name in METHOD):
        return None
    ids = (span.trace_id, span.span_id)
    if tuple(map(len, ids)) != _ID_BYTES or not all(map(any, ids)):
        return unfit({"name": span.name[:512]}, "traceId and spanId must be 16 and 8 bytes, not all of them zero")
    properties = properties_of(told, program)
    begun, ended = span.start_time_unix_nano, span.end_time_unix_nano
    if 0 < begun <= ended and (latency := ms_of_nanos(str(ended - begun))) is not None:
        properties["latency_ms"] = Number(latency)
    for name, names in (("request_bytes", BYTES_IN), ("response_bytes", BYTES_OUT)):
        if (size := whole_in(told, names)) is not None:
            properties[name] = Number(str(size))
    return {
        "transaction_id": f"{span.trace_id.hex()}-{span.span_id.hex()}",
        "customer_id": customer_of(told, program, customers),
        "timestamp": instant(begun),
        "event_type": TYPE,
        "properties": properties,
    }
