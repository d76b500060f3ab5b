"""What pages of requests ask for: a function a panel, each answered apart (panels.py), all of the same view.

How requests are counted is decided in traffic/; how a panel looks, in the templates and the makers of charts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.figures import answer
from heartfly.core.access.as_event import TYPE
from heartfly.core.calls import CallFigures, Dimension
from heartfly.errors import HeartflyError
from heartfly.traffic import heat, live, ranked, series, slow, totals
from heartfly.traffic.asked import Heat, Order, Ranked, Trust
from heartfly.traffic.live import Live
from heartfly.traffic.nearest import Nearest, nearest
from heartfly.traffic.span import settled_first
from heartfly.usage.raw import type_ids
from heartfly.usage.rerun import zone_of
from heartfly.web.panels import Panel
from heartfly.web.request import PageRequest
from heartfly.web.traffic_charts import Point, points
from heartfly.web.traffic_view import FILTERS, View, one_to_one, view_of
from heartfly.web.traffic_words import Summed, summed

TOP = 10
HEAT_ROWS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """`before`: of the period before; None: nobody compares. `customers`: how many sent any; None: the page has a panel
    of them that tells it.
    """

    now: Summed
    before: Summed | None
    customers: int | None
    customers_before: int | None
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """`before`: how many requests there were in the windows of the period before, one to one; empty: they do not
    match, or nobody compares.
    """

    points: Sequence[Point]
    before: Sequence[int]
    trust: Trust


Work = Callable[[AsyncConnection, int, View, datetime], Awaitable[Any]]


async def sums(read: AsyncConnection, pid: int, view: View, now: datetime) -> Sums:
    told = await sums_of_all(read, pid, view, now)
    return replace(told, customers=await totals.n_customers(read, pid, view.asked, now=now))


async def sums_of_all(read: AsyncConnection, pid: int, view: View, now: datetime) -> Sums:
    """Without how many customers there were now: to count them takes as long as to list them."""
    by_status, trust = await totals.totals(read, pid, view.asked, now=now)
    before, customers_before = None, None
    if view.before is not None:
        earlier, _ = await totals.totals(read, pid, view.before, now=now)
        before, customers_before = summed(earlier), await totals.n_customers(read, pid, view.before, now=now)
    return Sums(now=summed(by_status), before=before, customers=None, customers_before=customers_before, trust=trust)


async def course(read: AsyncConnection, pid: int, view: View, now: datetime) -> Course:
    bins, trust = await series.series(read, pid, view.asked, size=view.size, now=now)
    earlier: Sequence[int] = ()
    if view.before is not None:
        found, _ = await series.series(read, pid, view.before, size=view.size, now=now)
        if one_to_one([one.window for one in bins], [one.window for one in found], view):
            earlier = [one.by_status.n for one in found]
    return Course(points=points(bins), before=earlier, trust=trust)


async def rate(read: AsyncConnection, pid: int, _: View, now: datetime) -> Live:
    return await live.live(read, pid, now=now)


async def by_time(read: AsyncConnection, pid: int, view: View, now: datetime) -> Heat:
    return await heat.over_time(read, pid, view.asked, now=now, n_rows=HEAT_ROWS)


async def by_week(read: AsyncConnection, pid: int, view: View, now: datetime) -> Heat:
    return await heat.over_week(read, pid, view.asked, now=now)


async def top_endpoints(read: AsyncConnection, pid: int, view: View, now: datetime) -> Ranked:
    return await ranked.endpoints(read, pid, view.asked, now=now, by=view.order, limit=TOP, offset=0)


async def top_customers(read: AsyncConnection, pid: int, view: View, now: datetime) -> Ranked:
    return await ranked.customers(read, pid, view.asked, now=now, by=Order.REQUESTS, limit=TOP, offset=0)


async def cost(read: AsyncConnection, pid: int, view: View, now: datetime) -> CallFigures | None:
    """Of calls to other people's APIs in the same time. None: requests are filtered by what calls do not have."""
    asked = view.asked
    if view.query.keys() & set(FILTERS) - {"customer"}:
        return None
    filters = {Dimension.CUSTOMER: asked.customers} if asked.customers else {}
    found = await answer(read, pid, asked.from_at, asked.to_at, by=(), filters=filters, now=now, times=False)
    return found.lines[0].figures if found.lines else CallFigures()


async def endpoint_names(read: AsyncConnection, pid: int, _: View, __: datetime) -> Sequence[str]:
    return await ranked.endpoint_names(read, pid)


async def meant(read: AsyncConnection, pid: int, view: View, _: datetime) -> Nearest:
    return await nearest(read, pid, view.asked)


async def any_came(read: AsyncConnection, pid: int, _: View, __: datetime) -> bool:
    """Whether a request has ever come, summed up or not."""
    return bool(await type_ids(read, pid, {TYPE}))


async def statuses(read: AsyncConnection, pid: int, view: View, now: datetime) -> Ranked:
    return await ranked.statuses(read, pid, view.asked, now=now)


async def keys(read: AsyncConnection, pid: int, view: View, now: datetime) -> Ranked:
    return await ranked.keys(read, pid, view.asked, now=now, by=Order.REQUESTS, limit=TOP, offset=0)


async def slowest(read: AsyncConnection, pid: int, view: View, now: datetime) -> Any:
    found, _ = await slow.slow(read, pid, view.asked, now=now, limit=TOP, after=None)
    return found


PANELS: Mapping[str, Work] = {
    "sums": sums, "course": course, "rate": rate, "by_time": by_time, "by_week": by_week, "endpoints": top_endpoints,
    "customers": top_customers, "names": endpoint_names, "any_came": any_came, "statuses": statuses, "keys": keys,
    "slow": slowest, "cost": cost, "meant": meant,
}  # fmt: skip
AT_ONCE = 3
"""Questions of a page: on a busy machine the first parts are there before the last ones, and not all of them late."""
ALONE_WAIT_S = 10.0
"""For what is all that a page has to show."""
OF_EVENTS = frozenset({"keys"})
"""What no rollup holds is counted event by event, if somebody asks for it, and comes in later: nobody waits for it."""
LIVE = ("sums", "course", "rate", "names", "any_came", "cost")
"""Of a page that asks for itself: what goes on while one looks. All else stays as it is, so that nothing moves."""


async def view_from(request: PageRequest, path: str, **scope: str) -> View:
    """`path`: below the pages of usage. `scope`: as view_of has it."""
    async with request.api.database.read() as main:
        zone = await zone_of(main, request.project.pid)
    root = f"{request.web.root}/p/{request.project.slug}/usage"
    pairs = list(request.query_params.multi_items())
    return view_of(pairs, root=root, path=root + path, zone=zone, now=request.api.clock.now(), **scope)


async def _settled(request: PageRequest, view: View) -> View:
    """With what all panels would look up. If it cannot be, each of them says so."""
    pid, now = request.project.pid, request.api.clock.now()
    try:
        async with request.api.usage.read() as read:
            asked = await settled_first(read, pid, view.asked, now=now)
            before = None if view.before is None else await settled_first(read, pid, view.before, now=now)
    except (HeartflyError, SQLAlchemyError, OverflowError):
        return view
    return replace(view, asked=asked, before=before)


def _ask(name: str, names: Sequence[str]) -> tuple[str, Hashable, Work]:
    if name == "sums" and "customers" in names:
        return name, "of all", sums_of_all
    return name, None, PANELS[name]


async def shown(
    request: PageRequest, view: View, names: Sequence[str], *, own: Mapping[str, tuple[Hashable, Work]] | None = None
) -> dict[str, Panel[Any]]:
    """Each by its name. `own`: what only this page asks, with what its answer depends on besides the view.

    What is wrong in what was asked is no panel's fault: then there are none.
    """
    if view.errors:
        return {}
    view = await _settled(request, view)
    api, pid, now, panels = request.api, request.project.pid, request.api.clock.now(), request.web.panels

    def key(name: str, of: Hashable) -> Hashable:
        return pid, name, view.asked, view.before, view.size, view.order, of

    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, of: Hashable, work: Work) -> Panel[Any]:
        usual = panels.wait_s if name in PANELS else max(ALONE_WAIT_S, panels.wait_s)
        return await panels.ask(
            api.usage,
            key(name, of),
            lambda read: work(read, pid, view, now),
            turns=turns,
            wait_s=panels.short_s if name in OF_EVENTS else usual,
        )

    if not view.keys:
        names = [name for name in names if name not in OF_EVENTS]
    if request.is_by_itself:  # and what it could not show before
        names = [name for name in names if name in LIVE or panels.goes_on(key(name, None))]
    asks = [_ask(name, names) for name in names] + [(name, *one) for name, one in (own or {}).items()]
    found = await asyncio.gather(*(one(*ask) for ask in asks))
    return {name: panel for (name, _, _), panel in zip(asks, found, strict=True)}
