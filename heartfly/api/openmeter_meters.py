"""OpenMeter's questions after meters: which there are, and what one comes to, as JSON or CSV.

A group key there has a name and a path; ours are named by their paths. Windows in which nothing happened are left out,
as there. Who asks for subjects or customers gets a row for each, as there.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.keys import Scope
from heartfly.api.foreign_meters import exactly, number_of, property_of, told_in
from heartfly.api.parameters import UnknownParameterError
from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import iso, plain, wants_csv
from heartfly.core import zones
from heartfly.core.events import instant_of, wrong_text
from heartfly.core.meters import Aggregation
from heartfly.core.versions import in_force
from heartfly.core.windows import Size
from heartfly.errors import InvalidValueError
from heartfly.usage.answers import Edge, Item, answer
from heartfly.usage.meter_queries import Stored, find_meter, list_meters
from heartfly.usage.question import CUSTOMER, SUBJECT, Question, own_keys
from heartfly.usage.since import first_hour

_SIZES = {size.value.upper(): size for size in (Size.MINUTE, Size.HOUR, Size.DAY, Size.MONTH)}
AGGREGATIONS = {
    Aggregation.SUM: "SUM",
    Aggregation.COUNT: "COUNT",
    Aggregation.UNIQUE: "UNIQUE_COUNT",
    Aggregation.AVERAGE: "AVG",
    Aggregation.MIN: "MIN",
    Aggregation.MAX: "MAX",
    Aggregation.LATEST: "LATEST",
}
"""Ours to theirs. Of ours there is one more."""
_CUSTOMER_ID = "customer_id"
_FAMILY = "filterGroupBy"
_OPT = {"families": (_FAMILY,)}
_MOST_METERS = 1_000
_MOST_NAMED = 100
_MOST_TEXT = 20_000
_AT_ONCE, _MOST_ROWS = 5_000, 50_000
NAMES = {"zone": "windowTimeZone", "customer": "filterCustomerId", "group_by": "groupBy", "filter": _FAMILY}
_WORD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*", re.ASCII)

Text = Annotated[str | None, QueryParameter()]
_Order = Literal["key", "name", "aggregation", "createdAt", "updatedAt"]


class FilterString(msgspec.Struct, rename={"eq": "$eq", "any_of": "$in"}, forbid_unknown_fields=True):
    """Of their operators those that name values."""

    eq: str | None = None
    any_of: list[str] | None = None


class QueryIn(msgspec.Struct, rename="camel", frozen=True):
    client_id: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    window_size: str | None = None
    window_time_zone: str | None = None
    subject: list[str] | None = None
    filter_customer_id: list[str] | None = None
    filter_group_by: dict[str, list[str]] | None = None
    advanced_meter_group_by_filters: dict[str, FilterString] | None = None
    group_by: list[str] | None = None


# --- which there are


@get("/api/v1/meters")
async def list_all(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    page: Annotated[int, QueryParameter(ge=1, le=_MOST_METERS)] = 1,
    page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=_MOST_METERS)] = 100,
    order: Annotated[Literal["ASC", "DESC"], QueryParameter()] = "ASC",
    order_by: Annotated[_Order, QueryParameter(name="orderBy")] = "createdAt",
    include_deleted: Annotated[bool, QueryParameter(name="includeDeleted")] = False,  # noqa: FBT002 - as above
) -> list[dict[str, Any]]:
    """Those that are archived only if they are asked for."""
    archived = None if include_deleted else False
    async with request.api.usage.read() as read:
        found = list(await list_meters(read, request.caller.pid, limit=_MOST_METERS, archived=archived))
    now = request.api.clock.now()
    told = [meter_out(one, now) for one in found]
    told.sort(key=lambda one: str(one["slug" if order_by == "key" else order_by]), reverse=order == "DESC")
    return told[(page - 1) * page_size : page * page_size]


@get("/api/v1/meters/{meter_id:str}")
async def read_one(request: ApiRequest, meter_id: FromPath[str]) -> dict[str, Any]:
    """By its slug or id."""
    async with request.api.usage.read() as read:
        stored = await find_meter(read, request.caller.pid, meter_id)
    return meter_out(stored, request.api.clock.now())


def meter_out(stored: Stored, now: datetime) -> dict[str, Any]:
    """As it counts now. `eventType` names all types; a value worked out of properties is left out."""
    row = stored.row
    version = in_force(stored.versions, now) or stored.newest
    meter, of = version.meter, property_of(version.meter)
    found: dict[str, Any] = {
        "id": row.uuid,
        "slug": row.slug,
        "name": row.name,
        "aggregation": AGGREGATIONS.get(meter.aggregation, meter.aggregation.value.upper()),
        "eventType": ", ".join(sorted(meter.types)),
        "groupBy": {key: _path(key) for key in meter.group_keys},
        "createdAt": iso(row.created_at),
        "updatedAt": iso(max(stored.made_at)),
    }
    if of is not None:
        found["valueProperty"] = _path(of)
    if version.from_at is not None:
        found["eventFrom"] = iso(version.from_at)
    if row.archived_at is not None:
        found["deletedAt"] = iso(row.archived_at)
    return found


def _path(name: str) -> str:
    return f"$.{name}" if _WORD.fullmatch(name) else f"$[{json.dumps(name)}]"


# --- what one comes to


@get("/api/v1/meters/{meter_id:str}/query", opt=_OPT)
async def query(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    meter_id: FromPath[str],
    client_id: Annotated[str | None, QueryParameter(name="clientId")] = None,
    from_at: Annotated[str | None, QueryParameter(name="from")] = None,
    to_at: Annotated[str | None, QueryParameter(name="to")] = None,
    window_size: Annotated[str | None, QueryParameter(name="windowSize")] = None,
    window_zone: Annotated[str | None, QueryParameter(name="windowTimeZone")] = None,
    subject: Annotated[list[str] | None, QueryParameter()] = None,
    customer: Annotated[list[str] | None, QueryParameter(name="filterCustomerId")] = None,
    only: Annotated[list[str] | None, QueryParameter(name=_FAMILY)] = None,
    advanced: Annotated[str | None, QueryParameter(name="advancedMeterGroupByFilters")] = None,
    group_by: Annotated[list[str] | None, QueryParameter(name="groupBy")] = None,
) -> Response[Any]:
    asked = QueryIn(
        client_id=client_id,
        from_=from_at,
        to=to_at,
        window_size=window_size,
        window_time_zone=window_zone,
        subject=subject,
        filter_customer_id=customer,
        filter_group_by=_filters(request.scope["query_string"], only),
        advanced_meter_group_by_filters=_advanced(advanced),
        group_by=group_by,
    )
    return await _answered(request, meter_id, asked)


_ALL = QueryIn()


@post("/api/v1/meters/{meter_id:str}/query", status_code=200, opt={"scope": Scope.READ})
async def query_by_body(request: ApiRequest, meter_id: FromPath[str], data: JSONBody[QueryIn] = _ALL) -> Response[Any]:
    return await _answered(request, meter_id, data)


async def _answered(request: ApiRequest, meter_id: str, asked: QueryIn) -> Response[Any]:
    api, pid, now = request.api, request.caller.pid, request.api.clock.now()
    groups = _groups(asked)
    end = instant_in(asked.to, "to") or now
    start = instant_in(asked.from_, "from")
    with told_in(NAMES):
        zone = zones.zone(asked.window_time_zone or "UTC", field="zone")
        async with api.usage.read() as read:
            stored = await find_meter(read, pid, meter_id)
            question = Question(
                from_at=end,
                to_at=end,
                size=_size(asked.window_size),
                zone=zone,
                group_by=groups,
                customers=texts(asked.filter_customer_id, "filterCustomerId"),
                subjects=texts(asked.subject, "subject"),
                only=_only(asked),
            )
            rows = await rows_of(read, pid, stored, question, since=start, now=now)
    if wants_csv(request.headers.get("accept", "")):
        named = f'attachment; filename="{stored.row.slug}.csv"'
        return Response(_csv(groups, rows), media_type="text/csv", headers={"Content-Disposition": named})
    bounds = {name: iso(at) for name, at in (("from", start), ("to", end if asked.to else None)) if at is not None}
    size = {} if asked.window_size is None else {"windowSize": asked.window_size.upper()}
    return Response({**bounds, **size, "data": [_row(one, groups) for one in rows]})


async def rows_of(
    read: AsyncConnection, pid: int, stored: Stored, question: Question, *, since: datetime | None, now: datetime
) -> list[Item]:
    """All in which something counts, of `since` on; None: since ever. InvalidValueError: there are too many."""
    rows: list[Item] = []
    own_keys(stored, question)
    from_at = since or await first_hour(read, pid)
    if from_at is None or (since is None and from_at >= question.to_at):
        return rows  # who has used nothing yet, and says no `from`, has no time to ask about
    question = replace(question, from_at=from_at)
    after: Edge | None = None
    while True:
        told = await answer(read, pid, stored, question, now=now, limit=_AT_ONCE, after=after)
        rows += [one for one in told.items if one.n and one.value is not None]
        after = told.edge
        if len(rows) > _MOST_ROWS:
            raise InvalidValueError("to", f"there are more than {_MOST_ROWS} rows; ask for a shorter time")
        if after is None:
            return rows


def _groups(asked: QueryIn) -> tuple[str, ...]:
    """By subject or customer is grouped, too, if some are named."""
    given = list(texts(asked.group_by, "groupBy"))
    if asked.subject and SUBJECT not in given:
        given.append(SUBJECT)
    if asked.filter_customer_id and _CUSTOMER_ID not in given:
        given.append(_CUSTOMER_ID)
    if CUSTOMER in given:
        raise InvalidValueError("groupBy", f"the meter has no group {CUSTOMER}; customers are {_CUSTOMER_ID}")
    return tuple(CUSTOMER if name == _CUSTOMER_ID else name for name in given)


def _size(name: str | None) -> Size | None:
    if name is None:
        return None
    if name.upper() not in _SIZES:
        raise InvalidValueError("windowSize", f"must be one of {', '.join(_SIZES)}")
    return _SIZES[name.upper()]


def _only(asked: QueryIn) -> Mapping[str, frozenset[str | None]]:
    """What both kinds of filters say of a key must hold."""
    found: dict[str, frozenset[str | None]] = {
        name: frozenset(values) for name, values in (asked.filter_group_by or {}).items() if values
    }
    for name, one in (asked.advanced_meter_group_by_filters or {}).items():
        for values in ([one.eq] if one.eq is not None else None, one.any_of):
            if values is not None:
                found[name] = found.get(name, frozenset(values)) & frozenset(values)
    return found


def _row(item: Item, groups: Sequence[str]) -> dict[str, Any]:
    whose = {"customerId": item.customer.uuid} if item.customer is not None and CUSTOMER in groups else {}
    return {
        "value": number_of(item.value),
        "valueExact": exactly(item.value),
        "windowStart": iso(item.window.from_at),
        "windowEnd": iso(item.window.to_at),
        "subject": item.subject,
        **whose,
        "groupBy": dict(item.group),
    }


def _csv(groups: Sequence[str], rows: Iterable[Item]) -> str:
    """Their columns; no addresses of mail are kept. Exact values."""
    keys = [name for name in groups if name != SUBJECT]
    written = io.StringIO()
    lines = csv.writer(written)
    heads = [_CUSTOMER_ID if key == CUSTOMER else plain(key) for key in keys]
    lines.writerow(["window_start", "window_end", "subject", "customer_name", "customer_email", *heads, "value"])
    for one in rows:
        uuid, name = ("", "") if one.customer is None else (one.customer.uuid, one.customer.name)
        of_keys = [uuid if key == CUSTOMER else one.group[key] or "" for key in keys]
        named = [plain(text) for text in (one.subject or "", name)]
        when = [iso(one.window.from_at), iso(one.window.to_at)]
        lines.writerow([*when, *named, "", *map(plain, of_keys), exactly(one.value)])
    return written.getvalue()


# --- what comes as parameters


def instant_in(text: str | None, field: str) -> datetime | None:
    if text is None:
        return None
    at = instant_of(text)
    if at is None:
        raise InvalidValueError(field, "must be an instant such as 2026-03-02T01:30:00Z")
    return at


def earlier(at: datetime, by: timedelta) -> datetime:
    try:
        return at - by
    except OverflowError:
        raise InvalidValueError("to", "must be within 1970 to 2200") from None


def texts(given: Sequence[str] | None, field: str) -> Sequence[str]:
    """Those that a database can be asked for. InvalidValueError."""
    if len(given or ()) > _MOST_NAMED:
        raise InvalidValueError(field, f"are more than {_MOST_NAMED}")
    for one in given or ():
        if (wrong := wrong_text(one)) is not None:
            raise InvalidValueError(field, wrong)
    return given or ()


def _filters(query_string: bytes, only: Sequence[str] | None) -> dict[str, list[str]]:
    """`filterGroupBy[region]=eu`, and what their client makes of a dictionary: its text as Python writes it."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="replace"):
        if name.startswith(f"{_FAMILY}[") and name.endswith("]"):
            found.setdefault(name[len(_FAMILY) + 1 : -1], []).append(value)
    for text in only or ():
        for name, value in _pairs(text):
            found.setdefault(name, []).append(value)
    return found


_STRING = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_PAIR = re.compile(rf"\s*({_STRING})\s*:\s*({_STRING})\s*", re.DOTALL)


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    inner = text.strip()
    if len(text) > _MOST_TEXT or inner[:1] != "{" or inner[-1:] != "}":
        _no_filters()
    at, found = 0, []
    inner = inner[1:-1].rstrip()
    while at < len(inner):
        pair = _PAIR.match(inner, at)
        if pair is None:
            _no_filters()
        try:
            # One literal of a string each: the grammar above lets nothing else through.
            found.append((ast.literal_eval(pair[1]), ast.literal_eval(pair[2])))
        except (ValueError, SyntaxError):
            _no_filters()
        at = pair.end() + 1
        if pair.end() < len(inner) and inner[pair.end()] != ",":
            _no_filters()
    return found


def _no_filters() -> NoReturn:
    raise InvalidValueError(_FAMILY, "must be filterGroupBy[NAME]=VALUE, or an object of texts")


def _advanced(text: str | None) -> dict[str, FilterString] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text.encode("utf-8", "replace"), type=dict[str, FilterString])
    except msgspec.DecodeError as error:
        words = f"is not read as such; the operators are $eq and $in ({str(error)[:200]})"
        raise UnknownParameterError("advancedMeterGroupByFilters", words) from error


HANDLERS = (list_all, read_one, query, query_by_body)
