"""Metronome's billable metrics, which are our meters: made, listed, read, renamed, archived.

What a meter of ours cannot say is refused: SQL, and event types that are only excluded. Group keys that belong together
there are each one of the meter's own here, so that figures can be grouped by any of them, alone or together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.foreign_meters import meter_of_property, property_of, told_in
from heartfly.api.paging import cursor_of, cut, number
from heartfly.api.parameters import UnknownParameterError
from heartfly.api.request import ApiRequest
from heartfly.core import text
from heartfly.core.meters import Aggregation, Meter, PropertyFilter
from heartfly.core.versions import in_force
from heartfly.db.changes import Tx
from heartfly.errors import InvalidValueError
from heartfly.usage import meter_queries, meters
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.customer_queries import one_customer
from heartfly.usage.meter_queries import Stored, find_meter

MOST_LISTED = 100
AGGREGATIONS: Mapping[str, Aggregation] = {
    "COUNT": Aggregation.COUNT,
    "LATEST": Aggregation.LATEST,
    "MAX": Aggregation.MAX,
    "SUM": Aggregation.SUM,
    "UNIQUE": Aggregation.UNIQUE,
}
"""Theirs to ours. Of ours there are more."""
_NAMES = {
    "event_types": "event_type_filter.in_values",
    "aggregation": "aggregation_type",
    "value": "aggregation_key",
    "filters": "property_filters",
    "property": "name",
    "any_of": "in_values",
    "none_of": "not_in_values",
}
Result = TypeVar("Result")


class TypeFilter(msgspec.Struct):
    in_values: list[str] | None = None
    not_in_values: list[str] | None = None


class FilterIn(msgspec.Struct):
    name: str
    exists: bool | None = None
    in_values: list[str] | None = None
    not_in_values: list[str] | None = None


class MetricIn(msgspec.Struct):
    """Custom fields are not kept."""

    name: str
    aggregation_type: str | None = None
    aggregation_key: str | None = None
    event_type_filter: TypeFilter | None = None
    property_filters: list[FilterIn] | None = None
    group_keys: list[list[str]] | None = None
    sql: str | None = None


class MetricId(msgspec.Struct):
    id: str


class NameIn(msgspec.Struct):
    name: str


@post("/v1/billable-metrics/create", status_code=200)
async def create_metric(request: ApiRequest, data: JSONBody[MetricIn]) -> dict[str, Any]:
    """Its slug is made of its name. As there, two may have one name; and it knows the events that came before."""
    with told_in(_NAMES):
        meter = _meter(data)
        made = await _create(request, data.name, meter)
    return {"data": {"id": made}}


async def _create(request: ApiRequest, name: str, meter: Meter) -> str:
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    name = text.name(name, field="name", most=meters.MOST_NAME)
    slug, n = text.slugify(name, most=meters.MOST_SLUG - 4) or "metric", 1
    while True:
        wanted = meters.Wanted(slug=slug if n == 1 else f"{slug}-{n}", name=name, unit="", meter=meter)

        def command(tx: Tx, wanted: meters.Wanted = wanted) -> meters.Changed:
            return meters.create_meter(tx, pid, wanted, actor=request.actor, at=at, ids=api.ids)

        try:
            return (await _written(request, command)).uuid
        except meters.SlugTakenError:
            if n == _MOST_OF_A_NAME:
                raise
            n += 1


_MOST_OF_A_NAME = 200


def _meter(data: MetricIn) -> Meter:
    if data.sql is not None:
        raise UnknownParameterError(
            "sql", "is not read: a metric is made of aggregation_type, event_type_filter and the like"
        )
    aggregation = AGGREGATIONS.get((data.aggregation_type or "").upper())
    if aggregation is None:
        raise InvalidValueError("aggregation_type", f"must be one of {', '.join(AGGREGATIONS)}")
    types = data.event_type_filter or TypeFilter()
    if types.not_in_values:
        raise InvalidValueError("event_type_filter.not_in_values", "is not read: name those that count, in_values")
    keys = dict.fromkeys(key for together in data.group_keys or () for key in together)
    return meter_of_property(
        types=types.in_values or (),
        aggregation=aggregation.value,
        of=None if aggregation is Aggregation.COUNT else data.aggregation_key,
        filters=[_filter_in(one) for one in data.property_filters or ()],
        group_keys=list(keys),
    )


def _filter_in(one: FilterIn) -> dict[str, Any]:
    found: dict[str, Any] = {"property": one.name, "any_of": one.in_values, "none_of": one.not_in_values}
    return found | ({} if one.exists is None else {"exists": one.exists})


@get("/v1/billable-metrics")
async def list_metrics(
    request: ApiRequest,
    *,
    include_archived: Annotated[bool, QueryParameter()] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_LISTED)] = MOST_LISTED,
    next_page: Annotated[str | None, QueryParameter()] = None,
) -> dict[str, Any]:
    """In the order in which they were made."""
    return await _page(request, next_page, limit, include_archived=include_archived)


async def _page(request: ApiRequest, next_page: str | None, limit: int, *, include_archived: bool) -> dict[str, Any]:
    after = number(next_page, "metrics")
    async with request.api.usage.read() as read:
        found = await meter_queries.list_meters(
            read, request.caller.pid, after=after, limit=limit + 1, archived=None if include_archived else False
        )
    page, following = cut(found, limit, lambda one: cursor_of("metrics", one.row.id))
    now = request.api.clock.now()
    return {"data": [metric(one, now) for one in page], "next_page": following}


@get("/v1/customers/{customer_id:str}/billable-metrics")
async def list_metrics_of(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    customer_id: FromPath[str],
    include_archived: Annotated[bool, QueryParameter()] = False,  # noqa: FBT002 - as above
    on_current_plan: Annotated[bool, QueryParameter()] = False,  # noqa: FBT002 - as above
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_LISTED)] = MOST_LISTED,
    next_page: Annotated[str | None, QueryParameter()] = None,
) -> dict[str, Any]:
    """Every metric counts every customer, and there are no plans."""
    if on_current_plan:
        raise InvalidValueError("on_current_plan", "is not read: customers have no plans here")
    async with request.api.usage.read() as read:
        await one_customer(read, request.caller.pid, customer_id)
    return await _page(request, next_page, limit, include_archived=include_archived)


@get("/v1/billable-metrics/{metric_id:str}")
async def read_metric(request: ApiRequest, metric_id: FromPath[str]) -> dict[str, Any]:
    async with request.api.usage.read() as read:
        stored = await find_meter(read, request.caller.pid, metric_id)
    return {"data": metric(stored, request.api.clock.now())}


@put("/v1/billable-metrics/{metric_id:str}")
async def rename_metric(request: ApiRequest, metric_id: FromPath[str], data: JSONBody[NameIn]) -> dict[str, Any]:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await _written(
        request,
        lambda tx: meters.edit_meter(
            tx, pid, metric_id, name=data.name, unit=None, rev=None, actor=actor, at=at, ids=api.ids
        ),
    )
    return await _id(request, metric_id)


@post("/v1/billable-metrics/archive", status_code=200)
async def archive_metric(request: ApiRequest, data: JSONBody[MetricId]) -> dict[str, Any]:
    """What it has counted stays, and can be asked for."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await _written(
        request, lambda tx: meters.archive_meter(tx, pid, data.id, rev=None, actor=actor, at=at, ids=api.ids)
    )
    return await _id(request, data.id)


async def _id(request: ApiRequest, name_or_id: str) -> dict[str, Any]:
    async with request.api.usage.read() as read:
        return {"data": {"id": (await find_meter(read, request.caller.pid, name_or_id)).row.uuid}}


async def _written(request: ApiRequest, command: Callable[[Tx], Result]) -> Result:
    result = await request.api.usage.write(command)
    await carry_or_wait(request.api.usage, request.api.database)
    return result


def metric(stored: Stored, now: datetime) -> dict[str, Any]:
    """As it counts now. `aggregation_key` is left out of one whose value is worked out of properties."""
    meter = (in_force(stored.versions, now) or stored.newest).meter
    of, archived_at, keys = property_of(meter), stored.row.archived_at, list(meter.group_keys)
    return {
        "id": stored.row.uuid,
        "name": stored.row.name,
        "aggregation_type": meter.aggregation.value.upper(),
        **({} if of is None else {"aggregation_key": of}),
        "event_type_filter": {"in_values": sorted(meter.types)},
        "property_filters": [_filter_out(one) for one in meter.filters],
        "group_keys": [[key] for key in keys] + ([keys] if len(keys) > 1 else []),
        "custom_fields": {},
        **({} if archived_at is None else {"archived_at": archived_at.isoformat()}),
    }


def _filter_out(one: PropertyFilter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": one.name}
    if one.exists is not None:
        found["exists"] = one.exists
    for name, values in (("in_values", one.any_of), ("not_in_values", one.none_of)):
        if values:
            found[name] = sorted(values)
    return found


HANDLERS = (create_metric, list_metrics, list_metrics_of, read_metric, rename_metric, archive_metric)
