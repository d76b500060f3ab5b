"""The tables of requests as files for a spreadsheet: all rows of what a page shows, exact, with the same filters.

A percentile is written as it is known; what outside has named never begins as a formula would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import Amount, text_of
from heartfly.traffic import heat, ranked, search, series, slow
from heartfly.traffic.asked import ByStatus, Heat, Order, Ranked
from heartfly.web.csv_file import Table, csv_file, demand_table
from heartfly.web.request import PageRequest
from heartfly.web.traffic_heat import figure
from heartfly.web.traffic_panels import view_from
from heartfly.web.traffic_view import View, iso
from heartfly.web.traffic_words import CLASSES, measured, summed

MOST_ROWS = 10_000
_AT_ONCE = 1_000
_FIGURES = ("requests", *CLASSES, "p50_ms", "p95_ms", "p99_ms", "longest_ms", "bytes_in", "bytes_out")


@get("/p/{project:str}/usage/traffic.csv")
async def as_csv(request: PageRequest) -> Response[bytes]:
    """In the query as on the page, and `table`: which of it."""
    view = await view_from(request, "/traffic.csv")
    name = request.query_params.get("table", "series")
    demand_table(name, _TABLES, view.errors)
    async with request.api.usage.read() as read:
        table = await _TABLES[name](read, request.project.pid, view, request.api.clock.now())
    return csv_file(name, table)


def _figures(by_status: ByStatus) -> list[Any]:
    one = summed(by_status)
    return [
        one.n, *(one.by_class[name] for name in CLASSES), *map(_known, measured(one.figures).values()),
        _known_us(one.figures.latency_max_us) if one.figures.n_timed else "", one.figures.bytes_in,
        one.figures.bytes_out,
    ]  # fmt: skip


def _known(value: Amount | None) -> str:
    return "" if value is None else text_of(value)


def _known_us(us: int) -> str:
    return f"{us // 1_000}.{us % 1_000:03}"


async def _series(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    bins, _ = await series.series(read, pid, view.asked, size=view.size, now=now)
    return ("from_at", "to_at", "goes_on", *_FIGURES), [
        (iso(one.window.from_at), iso(one.window.to_at), int(one.open), *_figures(one.by_status)) for one in bins
    ]


def _rows(found: Ranked, *names: str) -> Table:
    rows = [(row.key, *((row.name,) if len(names) > 1 else ()), *_figures(row.by_status)) for row in found.rows]
    if found.other is not None:
        rows.append(("", *((found.other.name,) if len(names) > 1 else ()), *_figures(found.other.by_status)))
    return (*names, *_FIGURES), rows


async def _endpoints(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    return _rows(await ranked.endpoints(read, pid, view.asked, by=view.order, limit=MOST_ROWS, now=now), "endpoint")


async def _customers(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    found = await ranked.customers(read, pid, view.asked, by=Order.REQUESTS, limit=MOST_ROWS, now=now)
    return _rows(found, "customer", "name")


async def _statuses(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    return _rows(await ranked.statuses(read, pid, view.asked, now=now), "status")


async def _keys(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    return _rows(await ranked.keys(read, pid, view.asked, by=Order.REQUESTS, limit=MOST_ROWS, now=now), "key")


def _cells(found: Heat, view: View, columns: Sequence[str], name: str) -> Table:
    return (name, *columns), [
        (
            label,
            *(figure(found.cells[row, n], view.heat) if (row, n) in found.cells else "" for n in range(len(columns))),
        )
        for row, label in enumerate(found.rows)
    ]


async def _heat(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    found = await heat.over_time(read, pid, view.asked, n_rows=MOST_ROWS, now=now)
    return _cells(found, view, [one if isinstance(one, str) else iso(one.from_at) for one in found.columns], "endpoint")


async def _week(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    found = await heat.over_week(read, pid, view.asked, now=now)
    return _cells(found, view, [str(one) for one in found.columns], "weekday")


async def _slow(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    found, _ = await slow.slow(read, pid, view.asked, limit=_AT_ONCE, now=now)
    return ("at", "latency_ms", "status", "endpoint", "path", "customer", "request_id"), [
        (iso(one.at), _known_us(one.latency_us), one.status or "", one.endpoint, one.path, one.customer, one.request_id)
        for one in found
    ]


async def _requests(read: AsyncConnection, pid: int, view: View, now: datetime) -> Table:
    """The newest, up to MOST_ROWS."""
    found: list[search.Found] = []
    place = None
    while len(found) < MOST_ROWS:
        page = await search.requests(read, pid, view.asked, limit=_AT_ONCE, after=place, now=now)
        found += page.requests
        if (place := page.next) is None:
            break
    names = (
        "at", "transaction_id", "status", "endpoint", "path", "latency_ms", "bytes_in", "bytes_out", "customer", "key",
        "source", "ip", "user_agent", "request_id",
    )  # fmt: skip
    return names, [
        (
            iso(one.at), one.transaction_id, one.status or "", one.endpoint, one.path, _known(one.latency_ms),
            one.bytes_in, one.bytes_out, one.customer, one.key, one.source, one.ip, one.user_agent, one.request_id,
        )
        for one in found[:MOST_ROWS]
    ]  # fmt: skip


_TABLES: Mapping[str, Callable[[AsyncConnection, int, View, datetime], Awaitable[Table]]] = {
    "series": _series, "endpoints": _endpoints, "customers": _customers, "statuses": _statuses, "keys": _keys,
    "heat": _heat, "week": _week, "slow": _slow, "requests": _requests,
}  # fmt: skip
