"""What calls of a time come to, by whatever tells them apart: the question that all others are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.asked import Answer, Filters, Line
from heartfly.calls.gather import Gathered, gathered
from heartfly.core.calls import CallFigures, Dimension
from heartfly.core.windows import HOUR, Window
from heartfly.db.types import EPOCH

NO_FILTERS: Filters = {}


async def figures(
    read: AsyncConnection,
    pid: int,
    from_at: datetime,
    to_at: datetime,
    *,
    by: Sequence[Dimension],
    filters: Filters = NO_FILTERS,
    now: datetime | None = None,
    times: bool = True,
) -> Sequence[Line]:
    """Of [from_at, to_at), a line for each combination of values of which there were calls, in their order.

    `now`: what is complete is judged by it, and a `to_at` in its hour, not before it, takes all of that hour in.
    None: it is `to_at`, and nothing behind is in it. `times`: also how long calls took. InvalidValueError.
    """
    window = Window(from_at, to_at if now is None else _end(to_at, now))
    found = await gathered(read, pid, [window], by=by, filters=filters, now=now or to_at, up_to=to_at, times=times)
    return lines_of(found, 0)


async def answer(
    read: AsyncConnection,
    pid: int,
    from_at: datetime,
    to_at: datetime,
    *,
    by: Sequence[Dimension],
    filters: Filters = NO_FILTERS,
    now: datetime,
    times: bool = True,
) -> Answer:
    """The same with how sure it is. A `to_at` in the present hour, not before now, takes all of that hour in."""
    window = Window(from_at, _end(to_at, now))
    found = await gathered(read, pid, [window], by=by, filters=filters, now=now, up_to=to_at, times=times)
    return Answer(lines=lines_of(found, 0), trust=found.trust, n_singles=found.n_singles)


def _end(to_at: datetime, now: datetime) -> datetime:
    end = now - (now - EPOCH) % HOUR + HOUR
    return end if now <= to_at < end else to_at


def lines_of(found: Gathered, n: int) -> list[Line]:
    """Of one of its windows."""
    of_window = {key: one for (window, key), one in found.figures.items() if window == n}
    return [line_of(found, key, of_window[key]) for key in sorted(of_window)]


def line_of(found: Gathered, key: tuple[str, ...], one: CallFigures) -> Line:
    values: Mapping[Dimension, str] = dict(zip(found.by, key, strict=True))
    names = {
        dimension: found.names.get(value, value) if dimension is Dimension.CUSTOMER else value
        for dimension, value in values.items()
    }
    return Line(key=values, name=names, figures=one)
