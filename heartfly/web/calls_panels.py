"""What pages of calls ask for: a function a panel, each answered apart (panels.py), all of the same view.

What calls come to is asked of calls/; how a panel looks is decided in the templates and the makers of charts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Line
from heartfly.calls.figures import answer
from heartfly.calls.forecasts import CostForecast, cost_forecast, period_at
from heartfly.calls.known import share
from heartfly.calls.series import series
from heartfly.calls.unpriced import Unpriced, unpriced
from heartfly.calls.waiting import Waiting
from heartfly.core.calls import TYPE, UNKNOWN_STATUS, CallFigures, Dimension
from heartfly.core.money import Money
from heartfly.core.windows import Size, Window
from heartfly.errors import InvalidValueError
from heartfly.limits.queries import OfProvider, fullest_by_provider
from heartfly.traffic.asked import Trust
from heartfly.usage.raw import type_ids
from heartfly.web.calls_view import CallsView
from heartfly.web.lanes import Lanes
from heartfly.web.panels import Panel
from heartfly.web.request import PageRequest
from heartfly.web.traffic_charts import Point
from heartfly.web.traffic_words import CLASSES, Summed, class_of, measured

MOST_LIMITS = 50
"""Counters of limits, the fullest."""
MOST_WINDOWS = 400
"""Of a picture."""
AT_ONCE = 3
"""Questions of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """`before`: of the period before; None: nobody compares."""

    now: CallFigures
    before: CallFigures | None
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """`points`: how many calls, and how they ended; `figures`: all that they came to, window by window."""

    points: Sequence[Point]
    figures: Sequence[CallFigures]
    trust: Trust


@dataclass(frozen=True, slots=True)
class Row:
    """`before`: what the same came to in the period before; None: nobody compares."""

    line: Line
    before: CallFigures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The dearest first. `dimensions`: by which its rows are told apart; `currencies`: that there are, the one of most
    rows first; `all`: of all calls, each once.
    """

    dimensions: Sequence[Dimension]
    rows: Sequence[Row]
    currencies: Sequence[str]
    all: CallFigures
    trust: Trust


Work = Callable[[AsyncConnection, int, CallsView, datetime], Awaitable[Any]]


async def _total(
    read: AsyncConnection, pid: int, asked: CallsView, span: Window, now: datetime
) -> tuple[CallFigures, Trust]:
    found = await answer(read, pid, span.from_at, span.to_at, by=(), filters=asked.filters, now=now)
    return (found.lines[0].figures if found.lines else CallFigures()), found.trust


async def sums(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Sums:
    view = asked.view
    total, trust = await _total(read, pid, asked, Window(view.asked.from_at, view.asked.to_at), now)
    before = None
    if view.before is not None:
        before, _ = await _total(read, pid, asked, Window(view.before.from_at, view.before.to_at), now)
    return Sums(now=total, before=before, trust=trust)


async def course(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Course:
    return await _by_window(read, pid, asked, asked.view.size, now)


async def course_of_costs(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Course:
    return await _by_window(read, pid, asked, asked.step, now)


async def _by_window(read: AsyncConnection, pid: int, asked: CallsView, size: Size, now: datetime) -> Course:
    found, trust = await series(
        read, pid, asked.question, size=size, zone=asked.view.zone, by=(Dimension.STATUS,), now=now
    )  # fmt: skip
    if len(found) > MOST_WINDOWS:
        raise InvalidValueError("to", f"is so far from `from` that there would be more than {MOST_WINDOWS} bars")
    points, figures = [], []
    for one in found:
        total, by_status = CallFigures(), dict[int, CallFigures]()
        for line in one.lines:
            status = line.key[Dimension.STATUS]
            by_status[int(status) if status.isdigit() else UNKNOWN_STATUS] = line.figures
            total.merge(line.figures)
        of_all = summed(total, by_status)
        points.append(Point(one.window, one.open, of_all, measured(of_all.figures)))
        figures.append(total)
    return Course(points=points, figures=figures, trust=trust)


def summed(total: CallFigures, by_status: Mapping[int, CallFigures]) -> Summed:
    """What failed and told no status, or one that is none of failure, is counted with the provider's own faults."""
    by_class = dict.fromkeys(CLASSES, 0)
    for status, figures in by_status.items():
        by_class[class_of(status)] += figures.n
    client = by_class["4xx"]
    throttled = by_status[429].n if 429 in by_status else 0
    return Summed(total.times, by_class, client, max(0, total.n_errors - client), throttled)


async def limits_now(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Sequence[OfProvider]:
    """Of the providers and models that are asked for, and of all of them."""
    found = await fullest_by_provider(read, pid, now=now, limit=MOST_LIMITS)
    named = {name: set(asked.filters.get(name, ())) | {""} for name in (Dimension.PROVIDER, Dimension.MODEL)}
    return [
        one
        for one in found
        if all(
            len(named[name]) == 1 or value in named[name]
            for name, value in ((Dimension.PROVIDER, one.provider), (Dimension.MODEL, one.model))
        )
    ]


async def by_product(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Ranked:
    return await _ranked(read, pid, asked, (Dimension.PROVIDER, Dimension.MODEL), now)


async def by_chosen(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Ranked:
    return await _ranked(read, pid, asked, dimensions_of(asked.by), now)


def dimensions_of(by: Dimension) -> Sequence[Dimension]:
    """A model is a provider's, and an endpoint, too."""
    return (Dimension.PROVIDER, by) if by in {Dimension.MODEL, Dimension.ENDPOINT} else (by,)


async def _ranked(
    read: AsyncConnection, pid: int, asked: CallsView, dimensions: Sequence[Dimension], now: datetime
) -> Ranked:
    view = asked.view
    found = await answer(
        read, pid, view.asked.from_at, view.asked.to_at, by=dimensions, filters=asked.filters, now=now
    )  # fmt: skip
    before: Mapping[tuple[str, ...], CallFigures] = {}
    if view.before is not None:
        earlier = await answer(
            read, pid, view.before.from_at, view.before.to_at, by=dimensions, filters=asked.filters, now=now,
            times=False,
        )  # fmt: skip
        before = {tuple(one.key.values()): one.figures for one in earlier.lines}
    currencies = _currencies(found.lines)
    lines = sorted(found.lines, key=lambda line: (_dearest(line, currencies), -line.n, tuple(line.key.values())))
    rows = [
        Row(line, before.get(tuple(line.key.values()), CallFigures()) if view.before is not None else None)
        for line in lines
    ]
    if Dimension.TAG in dimensions:  # a call of several tags stands in several lines
        together, _ = await _total(read, pid, asked, Window(view.asked.from_at, view.asked.to_at), now)
    else:
        together = CallFigures()
        for line in lines:
            together.merge(line.figures)
    return Ranked(dimensions=dimensions, rows=rows, currencies=currencies, all=together, trust=found.trust)


def _currencies(lines: Sequence[Line]) -> Sequence[str]:
    counts: dict[str, int] = {}
    for line in lines:
        for currency in line.cost:
            counts[currency] = counts.get(currency, 0) + 1
    return sorted(counts, key=lambda currency: (-counts[currency], currency))


def _dearest(line: Line, currencies: Sequence[str]) -> Sequence[Money]:
    """Currencies are never compared: the first decides, then the next."""
    return tuple(-line.cost.get(currency, 0) for currency in currencies)


async def lacking(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> Sequence[Unpriced]:
    """Products of which some calls have no cost that is known, those of most such calls first."""
    found, _ = await unpriced(read, pid, asked.question, now=now)
    return found


async def ahead(read: AsyncConnection, pid: int, asked: CallsView, now: datetime) -> CostForecast:
    """Of the period that holds now, whatever time the page is about."""
    zone = asked.view.zone
    period = period_at(asked.period, zone, now)
    return await cost_forecast(read, pid, period=period, filters=asked.filters, zone=zone, now=now)


async def any_came(read: AsyncConnection, pid: int, _: CallsView, __: datetime) -> bool:
    """Whether a call has ever come, summed up or not."""
    return bool(await type_ids(read, pid, {TYPE}))


async def shown(
    request: PageRequest, asked: CallsView, works: Mapping[str, Work], *, live: Sequence[str] = (), of: Hashable = None
) -> dict[str, Panel[Any]]:
    """Each by its name; `live`: of a page that asks for itself, what goes on while one looks. `of`: what answers depend
    on besides the view.

    What is wrong in what was asked is no panel's fault: then there are none.
    """
    if asked.view.errors:
        return {}
    api, pid, now, panels = request.api, request.project.pid, request.api.clock.now(), request.web.panels
    turns = asyncio.Semaphore(AT_ONCE)

    def key(name: str) -> Hashable:
        return pid, "calls", name, asked.key, of

    async def one(name: str, work: Work) -> Panel[Any]:
        return await panels.ask(
            lanes, key(name), lambda read: work(read, pid, asked, now), turns=turns, wait_s=panels.wait_s
        )

    if request.is_by_itself:  # and what it could not show before
        works = {name: work for name, work in works.items() if name in live or panels.goes_on(key(name))}
    waiting = Waiting(pid)
    n_asked = sum(not panels.goes_on(key(name)) for name in works)
    lanes = Lanes(api.usage, n=n_asked, begun=lambda read: share(read, pid, waiting))
    async with lanes:
        found = await asyncio.gather(*(one(name, work) for name, work in works.items()))
    return dict(zip(works, found, strict=True))
