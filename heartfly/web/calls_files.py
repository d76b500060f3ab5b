"""The tables of calls and costs as files for a spreadsheet: all rows of what a page shows, exact, with its filters.

Money is written to its last digit, a column for each currency; what outside has named never begins as a formula would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import Amount, text_of
from heartfly.core.calls import CallFigures, Dimension
from heartfly.core.money import money_text
from heartfly.web import calls_panels
from heartfly.web.calls_panels import Course, Ranked
from heartfly.web.calls_view import USUAL_RANGE, CallsView, calls_view_from
from heartfly.web.csv_file import Table, csv_file, demand_table
from heartfly.web.request import PageRequest
from heartfly.web.traffic_view import iso
from heartfly.web.traffic_words import measured

_FIGURES = ("calls", "failed", "without_price", "p50_ms", "p95_ms", "p99_ms")


@get("/p/{project:str}/usage/calls.csv")
async def as_csv(request: PageRequest) -> Response[bytes]:
    """In the query as on the page, and `table`: which of it."""
    asked = await calls_view_from(request, "/calls.csv", usual=USUAL_RANGE, by=Dimension.PROVIDER)
    name = request.query_params.get("table", "by")
    demand_table(name, _TABLES, asked.view.errors)
    async with request.api.usage.read() as read:
        table = await _TABLES[name](read, request.project.pid, asked, request.api.clock.now())
    return csv_file(name, table)


def _figures(one: CallFigures, currencies: Sequence[str], kinds: Sequence[str]) -> list[Any]:
    return [
        one.n, one.n_errors, one.n_unpriced, *map(_known, measured(one.times).values()),
        *(money_text(one.cost[currency]) if currency in one.cost else "" for currency in currencies),
        *(text_of(one.units[kind]) if kind in one.units else "" for kind in kinds),
    ]  # fmt: skip


def _known(value: Amount | None) -> str:
    return "" if value is None else text_of(value)


def _head(figures: Iterable[CallFigures]) -> tuple[Sequence[str], Sequence[str]]:
    """The currencies and the kinds of units that there are."""
    some = list(figures)
    return sorted({name for one in some for name in one.cost}), sorted({name for one in some for name in one.units})


def _columns(currencies: Sequence[str], kinds: Sequence[str]) -> Sequence[str]:
    return (*_FIGURES, *(f"cost_{name}" for name in currencies), *(f"units.{name}" for name in kinds))


def _of_course(found: Course) -> Table:
    currencies, kinds = _head(found.figures)
    return ("from_at", "to_at", "goes_on", *_columns(currencies, kinds)), [
        (iso(point.window.from_at), iso(point.window.to_at), int(point.open), *_figures(one, currencies, kinds))
        for point, one in zip(found.points, found.figures, strict=True)
    ]


def _of_rows(found: Ranked) -> Table:
    currencies, kinds = _head(row.line.figures for row in found.rows)
    names = [name for one in found.dimensions for name in _named(one)]
    return (*names, *_columns(currencies, kinds)), [
        (
            *(text for one in found.dimensions for text in _texts(one, row.line.key[one], row.line.name[one])),
            *_figures(row.line.figures, currencies, kinds),
        )
        for row in found.rows
    ]


def _named(dimension: Dimension) -> Sequence[str]:
    return ("customer", "name") if dimension is Dimension.CUSTOMER else (dimension.value,)


def _texts(dimension: Dimension, key: str, name: str) -> Sequence[str]:
    return (key, name) if dimension is Dimension.CUSTOMER else (key,)


async def _series(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Table:
    return _of_course(await calls_panels.course(read, pid, asked, now))


async def _costs(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Table:
    return _of_course(await calls_panels.course_of_costs(read, pid, asked, now))


async def _products(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Table:
    return _of_rows(await calls_panels.by_product(read, pid, asked, now))


async def _by(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Table:
    return _of_rows(await calls_panels.by_chosen(read, pid, asked, now))


async def _unpriced(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Table:
    found = await calls_panels.lacking(read, pid, asked, now)
    return ("provider", "model", "calls", "without_price", "units", "first_at", "last_at"), [
        (
            one.provider, one.model, one.n_calls, one.n, " ".join(one.kinds), _at(one.first_at), _at(one.last_at),
        )
        for one in found
    ]  # fmt: skip


def _at(at: datetime | None) -> str:
    return "" if at is None else iso(at)


_TABLES: Mapping[str, Callable[[AsyncConnection, int, CallsView, datetime], Awaitable[Table]]] = {
    "series": _series, "costs": _costs, "products": _products, "by": _by, "unpriced": _unpriced,
}  # fmt: skip
