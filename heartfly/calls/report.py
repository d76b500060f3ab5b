"""What calls cost, by whatever tells them apart: ranked, each with its share, and beside what the time before came to.

All lines are ranked by exact sums; those that are not on a page are one line together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Answer, Asked, Line
from heartfly.calls.figures import answer
from heartfly.core.amounts import thousandths
from heartfly.core.calls import CallFigures, Dimension
from heartfly.core.preceding import preceding
from heartfly.core.windows import Window
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import Trust

MOST_BY = 3
"""Dimensions that one report may be by."""


class Order(StrEnum):
    """The largest first: by cost in one currency, calls, errors, calls without a price, or the slowest call."""

    COST = "cost"
    CALLS = "calls"
    ERRORS = "errors"
    UNPRICED = "unpriced"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """`share`: of what is ranked by, of all calls that were asked for, in thousandths, rounded; None: of nothing.

    `before`: the same calls in the time before; None: there were none, or nobody asked.
    """

    line: Line
    share: int | None
    before: CallFigures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """`others`: all lines that are not on this page together. `n`: of all lines. `all`: of all calls, each once, though
    one of several tags stands in several lines.

    `currency`: of what is ranked by cost; None: nothing has one. `before`: the time that is compared with.
    """

    lines: Sequence[CostLine]
    others: CallFigures | None
    n: int
    all: CallFigures
    all_before: CallFigures | None
    before: Window | None
    currency: str | None
    trust: Trust


async def costs(
    read: AsyncConnection,
    pid: int,
    asked: Asked,
    *,
    by: Sequence[Dimension],
    zone: ZoneInfo,
    order: Order = Order.COST,
    currency: str | None = None,
    compare: bool = False,
    limit: int,
    offset: int = 0,
    now: datetime,
) -> Costs:
    """`zone`: whose days and months the time before is counted in. InvalidValueError."""
    demand_by(by)
    found = await _answer(read, pid, asked, by, now)
    of = currency or _main_currency(found.lines)
    ranked = sorted(found.lines, key=lambda line: (-_rank(line.figures, order, of), -line.n, *line.key.values()))
    shown = ranked[offset : offset + limit]
    others = _sum([*ranked[:offset], *ranked[offset + limit :]])
    whole = await _all(read, pid, asked, by, shown, now)
    if Dimension.TAG not in by:
        whole.merge(others)
    before = preceding(Window(asked.from_at, asked.to_at), zone, now) if compare else None
    former: Mapping[tuple[str, ...], CallFigures] = {}
    whole_before: CallFigures | None = None
    if before is not None:
        asked_before = Asked(from_at=before.from_at, to_at=before.to_at, filters=asked.filters)
        lines = (await _answer(read, pid, asked_before, by, now)).lines
        former = {tuple(line.key.values()): line.figures for line in lines}
        whole_before = await _all(read, pid, asked_before, by, lines, now)
    of_all = _rank(whole, order, of)
    return Costs(
        lines=[
            CostLine(
                line=line,
                share=thousandths(_rank(line.figures, order, of), of_all)
                if of_all and order is not Order.LATENCY
                else None,
                before=former.get(tuple(line.key.values())),
            )
            for line in shown
        ],
        others=None if len(shown) == len(ranked) else others,
        n=len(ranked),
        all=whole,
        all_before=whole_before,
        before=before,
        currency=of,
        trust=found.trust,
    )


def demand_by(by: Sequence[Dimension]) -> None:
    if len(set(by)) > MOST_BY:
        raise InvalidValueError("by", f"must be up to {MOST_BY} of {', '.join(Dimension)}")


async def _answer(read: AsyncConnection, pid: int, asked: Asked, by: Sequence[Dimension], now: datetime) -> Answer:
    return await answer(read, pid, asked.from_at, asked.to_at, by=by, filters=asked.filters, now=now, times=False)


async def _all(  # noqa: PLR0917 - as they are at hand
    read: AsyncConnection,
    pid: int,
    asked: Asked,
    by: Sequence[Dimension],
    lines: Sequence[Line],
    now: datetime,
) -> CallFigures:
    """A call of several tags stands in several lines."""
    return _sum((await _answer(read, pid, asked, (), now)).lines if Dimension.TAG in by else lines)


def _sum(lines: Iterable[Line]) -> CallFigures:
    found = CallFigures()
    for line in lines:
        found.merge(line.figures)
    return found


def _main_currency(lines: Sequence[Line]) -> str | None:
    """In which most lines cost something; of equals the first by the alphabet."""
    counts = Counter(currency for line in lines for currency in line.cost)
    return min(counts, key=lambda currency: (-counts[currency], currency)) if counts else None


def _rank(figures: CallFigures, order: Order, currency: str | None) -> int:
    match order:
        case Order.COST:
            return 0 if currency is None else figures.cost.get(currency, 0)
        case Order.CALLS:
            return figures.n
        case Order.ERRORS:
            return figures.n_errors
        case Order.UNPRICED:
            return figures.n_unpriced
        case Order.LATENCY:
            return figures.times.latency_max_us
