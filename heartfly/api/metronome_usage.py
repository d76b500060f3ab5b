"""Metronome's questions after usage, answered out of our figures: of many customers and metrics, or of one by group.

Windows are UTC's. A value is null where nothing happened that the metric counts. What customers use that nobody is
known by is no customer's, and not told here.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from litestar import post
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.keys import Scope
from heartfly.api.edges import cursor_of_edge, edge_of, not_of_this_query
from heartfly.api.foreign_meters import exactly, number_of, told_in
from heartfly.api.request import ApiRequest
from heartfly.core.amounts import Amount
from heartfly.core.events import MAX_BYTES, instant_of
from heartfly.core.windows import Size, Window, window_at, windows
from heartfly.errors import InvalidValueError
from heartfly.usage import meter_queries
from heartfly.usage.answers import Edge, Item, answer
from heartfly.usage.meter_queries import Stored, find_meter
from heartfly.usage.meters import MOST_METERS
from heartfly.usage.question import CUSTOMER, SUBJECT, Question, demand_bounds, own_keys

_READS = {"scope": Scope.READ}
_UTC = ZoneInfo("UTC")
_SIZES: Mapping[str, Size | None] = {"HOUR": Size.HOUR, "DAY": Size.DAY, "NONE": None}
_PAGE = 500
_GROUPED_PAGE = 50
"""Of rows that have groups within."""
_AT_ONCE, _MOST_ITEMS = 5_000, 50_000
"""Figures of a page with groups."""
_MOST_VALUES = 200
"""Of one group key, and of all filters together."""
_MOST_CUSTOMERS = 100
_MOST_TOGETHER = 100
"""Rows of a page that is grouped by several keys."""
_MOST_ROWS = 1_000
_NAMES = {
    "from": "starting_on",
    "to": "ending_before",
    "window": "window_size",
    "customer": "customer_ids",
    "cursor": "next_page",
    "next": "next_page",
    "group_by": "group_key",
    "filter": "group_filters",
}


class GroupBy(msgspec.Struct):
    key: str
    values: list[str] | None = None


class MetricAsked(msgspec.Struct):
    id: str
    group_by: GroupBy | None = None


class UsageIn(msgspec.Struct):
    starting_on: str
    ending_before: str
    window_size: str
    billable_metrics: list[MetricAsked] | None = None
    customer_ids: list[str] | None = None


class GroupsIn(msgspec.Struct):
    """`group_by` is the former way of saying `group_key` and `group_filters`."""

    billable_metric_id: str
    customer_id: str
    window_size: str
    starting_on: str | None = None
    ending_before: str | None = None
    current_period: bool = False
    group_key: list[str] | None = None
    group_filters: dict[str, list[str]] | None = None
    group_by: GroupBy | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    stored: Stored
    group_by: GroupBy | None


@dataclass(frozen=True, slots=True)
class _Row:
    window: Window
    customer_id: str
    value: Amount | None


# --- many customers and metrics


@post("/v1/usage", status_code=200, opt=_READS)
async def list_usage(
    request: ApiRequest, data: JSONBody[UsageIn], *, next_page: Annotated[str | None, QueryParameter()] = None
) -> dict[str, Any]:
    """Metric by metric, by window. Of customers that are named every window; else the windows in which they used it."""
    pid, now = request.caller.pid, request.api.clock.now()
    with told_in(_NAMES):
        question = replace(
            _question(data.starting_on, data.ending_before, data.window_size),
            group_by=(CUSTOMER,),
            customers=_customers(data.customer_ids),
        )
        found: list[dict[str, Any]] = []
        async with request.api.usage.read() as read:
            asked = await _metrics(read, pid, data.billable_metrics)
            number, inner = _place(asked, next_page)
            while number < len(asked) and len(found) < _PAGE:
                one = asked[number]
                limit = _PAGE - len(found) if one.group_by is None else _GROUPED_PAGE
                rows, inner = await _rows(read, pid, one.stored, question, after=inner, limit=limit, now=now)
                found += await _told(read, pid, one, question, rows, now=now)
                number += inner is None
    following = None if number == len(asked) else _token(asked[number], inner)
    return {"data": found, "next_page": following}


async def _metrics(read: AsyncConnection, pid: int, given: Sequence[MetricAsked] | None) -> list[_Asked]:
    """Those that are named, or all that are not archived."""
    if given is None:
        every = await meter_queries.list_meters(read, pid, limit=MOST_METERS, archived=False)
        return [_Asked(one, None) for one in every]
    if not 1 <= len(given) <= MOST_METERS:
        raise InvalidValueError("billable_metrics", f"must be 1 to {MOST_METERS}, or be left out")
    asked = [_Asked(await find_meter(read, pid, one.id), one.group_by) for one in given]
    if len({one.stored.row.id for one in asked}) < len(asked):
        raise InvalidValueError("billable_metrics", "names one twice")
    return asked


def _customers(given: Sequence[str] | None) -> list[str]:
    if given is not None and not 1 <= len(given) <= _MOST_CUSTOMERS:
        raise InvalidValueError("customer_ids", f"must be 1 to {_MOST_CUSTOMERS}, or be left out")
    return list(dict.fromkeys(one.lower() for one in given or ()))


def _token(asked: _Asked, inner: str | None) -> str:
    return str(asked.stored.row.id) + ("" if inner is None else f".{inner}")


def _place(asked: Sequence[_Asked], next_page: str | None) -> tuple[int, str | None]:
    if next_page is None:
        return 0, None
    first, dot, inner = next_page.partition(".")
    for number, one in enumerate(asked):
        if str(one.stored.row.id) == first:
            return number, inner if dot else None
    raise not_of_this_query()


async def _rows(
    read: AsyncConnection,
    pid: int,
    stored: Stored,
    question: Question,
    *,
    after: str | None,
    limit: int,
    now: datetime,
) -> tuple[list[_Row], str | None]:
    """And where to go on; None: that was all of this metric."""
    if question.customers:
        return await _rows_of_named(read, pid, stored, question, after=after, limit=limit, now=now)
    told = await answer(read, pid, stored, question, now=now, limit=limit, after=edge_of(after, 1))
    rows = [_Row(one.window, one.customer.uuid, _value(one)) for one in told.items if one.customer is not None]
    return rows, None if told.edge is None else cursor_of_edge(told.edge)


async def _rows_of_named(
    read: AsyncConnection,
    pid: int,
    stored: Stored,
    question: Question,
    *,
    after: str | None,
    limit: int,
    now: datetime,
) -> tuple[list[_Row], str | None]:
    """Each window of each customer, in the order in which they are named; `after` is how many of these were told."""
    demand_bounds(question)
    every = [Window(question.from_at, question.to_at)]
    if question.size is not None:
        every = list(windows(question.size, _UTC, question.from_at, question.to_at))
    n, most = len(question.customers), len(every) * len(question.customers)
    start = 0 if after is None else int(after) if after.isdecimal() and len(after) < 10 else most
    if start >= most:
        raise not_of_this_query()
    places = [divmod(place, n) for place in range(start, min(start + limit, most))]
    within = replace(question, from_at=every[places[0][0]].from_at, to_at=every[places[-1][0]].to_at)
    begins = [window.from_at for window in every]
    used: dict[tuple[int, str], list[Item]] = {}
    for item in await _all(read, pid, stored, within, now=now):
        if item.customer is not None:
            which = bisect.bisect_right(begins, item.window.from_at) - 1
            used.setdefault((which, item.customer.uuid), []).append(item)
    rows: list[_Row] = []
    for which, whose in places:
        customer = question.customers[whose]
        # More than one where the metric adds up differently from an instant within the window on.
        here = [_Row(item.window, customer, _value(item)) for item in used.get((which, customer), ())]
        rows += here or [_Row(every[which], customer, None)]
    end = start + len(places)
    return rows, str(end) if end < most else None


async def _told(
    read: AsyncConnection, pid: int, asked: _Asked, question: Question, rows: Sequence[_Row], *, now: datetime
) -> list[dict[str, Any]]:
    groups = None if asked.group_by is None else await _groups(read, pid, asked, question, rows, now=now)
    row = asked.stored.row
    return [
        {
            "billable_metric_id": row.uuid,
            "billable_metric_name": row.name,
            "customer_id": one.customer_id,
            "start_timestamp": one.window.from_at.isoformat(),
            "end_timestamp": one.window.to_at.isoformat(),
            "value": number_of(one.value),
            "value_exact": exactly(one.value),
            **({} if groups is None else _of_groups(groups.get((one.window.from_at, one.customer_id)), asked)),
        }
        for one in rows
    ]


_Groups = Mapping[str, Amount | None]


async def _groups(
    read: AsyncConnection, pid: int, asked: _Asked, question: Question, rows: Sequence[_Row], *, now: datetime
) -> Mapping[tuple[datetime, str], _Groups]:
    """What each of these comes to by the values of the key; events without one are in the row's value only."""
    by = asked.group_by
    assert by is not None
    values = by.values or ()
    if len(values) > _MOST_VALUES or sum(map(len, values)) > MAX_BYTES:  # each row tells each of them
        said = f"are more than {_MOST_VALUES}, or have more than {MAX_BYTES} characters in all"
        raise InvalidValueError("billable_metrics.group_by.values", said)
    if not rows:
        own_keys(asked.stored, replace(question, group_by=(by.key,)))
        return {}
    wanted = replace(
        question,
        from_at=rows[0].window.from_at,
        to_at=rows[-1].window.to_at,
        group_by=(CUSTOMER, by.key),
        customers=list({one.customer_id for one in rows}),
        only={} if by.values is None else {by.key: frozenset(by.values)},
    )
    found: dict[tuple[datetime, str], dict[str, Amount | None]] = {}
    for item in await _all(read, pid, asked.stored, wanted, now=now):
        text = item.group[by.key]
        if item.customer is not None and text is not None:
            here = found.setdefault((item.window.from_at, item.customer.uuid), {})
            if len(here) < _MOST_VALUES:
                here[text] = _value(item)
    return found


def _of_groups(found: _Groups | None, asked: _Asked) -> dict[str, Any]:
    """Values that are named and did not occur are null."""
    named = dict.fromkeys((asked.group_by.values if asked.group_by else None) or (), None)
    groups: _Groups = {**named, **(found or {})}
    return {
        "groups": {text: number_of(value) for text, value in groups.items()},
        "groups_exact": {text: exactly(value) for text, value in groups.items()},
    }


# --- one customer's of one metric, by group


@post("/v1/usage/groups", status_code=200, opt=_READS)
async def list_usage_by_group(
    request: ApiRequest,
    data: JSONBody[GroupsIn],
    *,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_ROWS)] = _MOST_TOGETHER,
    next_page: Annotated[str | None, QueryParameter()] = None,
) -> dict[str, Any]:
    """By window, then by the values of the keys. Without a key each window has its row."""
    pid, now = request.caller.pid, request.api.clock.now()
    starting_on, ending_before = data.starting_on, data.ending_before
    if data.current_period:
        if starting_on is not None or ending_before is not None:
            raise InvalidValueError("current_period", "cannot be said together with starting_on and ending_before")
        starting_on, ending_before = _month(now)
    keys, only = _keys(data)
    with told_in(_NAMES | {"customer": "customer_id"}):
        question = replace(
            _question(starting_on, ending_before, data.window_size),
            group_by=keys,
            customers=[data.customer_id],
            only=only,
        )
        most = min(limit, _MOST_TOGETHER) if len(keys) > 1 else limit
        after = edge_of(next_page, len(keys))
        async with request.api.usage.read() as read:
            stored = await find_meter(read, pid, data.billable_metric_id)
            told = await answer(read, pid, stored, question, now=now, limit=most, after=after)
    rows = [_grouped(one, keys) for one in told.items]
    return {"data": rows, "next_page": None if told.edge is None else cursor_of_edge(told.edge)}


def _month(now: datetime) -> tuple[str, str]:
    """The current period: the month of UTC, as customers have no billing period here."""
    month = window_at(Size.MONTH, _UTC, now)
    return month.from_at.isoformat(), month.to_at.isoformat()


def _keys(data: GroupsIn) -> tuple[Sequence[str], Mapping[str, frozenset[str | None]]]:
    keys, filters = data.group_key or [], data.group_filters or {}
    if data.group_by is not None:
        if keys or filters:
            raise InvalidValueError("group_by", "cannot be used together with group_key and group_filters")
        keys, filters = [data.group_by.key], {data.group_by.key: data.group_by.values or []}
    for name in keys:
        if name in {CUSTOMER, SUBJECT}:
            raise InvalidValueError("group_key", f"the metric has no group key {name}")
    for name in filters:
        if name not in keys:
            raise InvalidValueError("group_filters", f"{name[:100]} is not in group_key")
    if sum(map(len, filters.values())) > _MOST_VALUES:
        raise InvalidValueError("group_filters", f"are more than {_MOST_VALUES}")
    return keys, {name: frozenset(values) for name, values in filters.items() if values}


def _grouped(item: Item, keys: Sequence[str]) -> dict[str, Any]:
    """Of events that have no such property the key is left out of `group`."""
    value = _value(item)
    only = keys[0] if len(keys) == 1 else None
    return {
        "starting_on": item.window.from_at.isoformat(),
        "ending_before": item.window.to_at.isoformat(),
        "group": {name: text for name, text in item.group.items() if text is not None},
        "group_key": only,
        "group_value": None if only is None else item.group[only],
        "value": number_of(value),
        "value_exact": exactly(value),
    }


# --- both


def _question(starting_on: str | None, ending_before: str | None, window_size: str) -> Question:
    if window_size.upper() not in _SIZES:
        raise InvalidValueError("window_size", f"must be one of {', '.join(_SIZES)}")
    start, end = _midnight(starting_on, "starting_on"), _midnight(ending_before, "ending_before")
    if end <= start:
        raise InvalidValueError("ending_before", "must be a day after starting_on, or more")
    return Question(from_at=start, to_at=end, size=_SIZES[window_size.upper()], zone=_UTC)


def _midnight(text: str | None, field: str) -> datetime:
    if text is None:
        raise InvalidValueError(field, "is required")
    at = instant_of(text)
    if at is None or at.time() != time():
        raise InvalidValueError(field, "must be a midnight of UTC, such as 2026-01-01T00:00:00Z")
    return at


def _value(item: Item) -> Amount | None:
    """None: nothing was counted."""
    return item.value if item.n else None


async def _all(read: AsyncConnection, pid: int, stored: Stored, question: Question, *, now: datetime) -> list[Item]:
    found: list[Item] = []
    after: Edge | None = None
    while True:
        told = await answer(read, pid, stored, question, now=now, limit=_AT_ONCE, after=after)
        found += told.items
        if len(found) > _MOST_ITEMS:
            raise InvalidValueError("group_by", f"there are more than {_MOST_ITEMS} figures; ask for a shorter time")
        after = told.edge
        if after is None:
            return found


HANDLERS = (list_usage, list_usage_by_group)
