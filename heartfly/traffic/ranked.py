"""Which endpoints, customers, statuses, methods and keys had the most: exact, over all of them, with the rest as a row.

All are ranked by their sums; histograms are read only of those that are shown, or that may be among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import ONE
from heartfly.core.traffic import UNKNOWN_STATUS, Figures
from heartfly.traffic.asked import OTHER_ENDPOINTS, Asked, ByStatus, Order, Ranked, Row
from heartfly.traffic.filters import endpoints_of, wanted_by
from heartfly.traffic.gather import Gathered, Key, gathered
from heartfly.traffic.named import Named, customers_of, endpoints_called
from heartfly.traffic.rows import By, Sums
from heartfly.traffic.span import asked_window

OTHERS = "(others)"
"""The name of the row of all that are not shown."""
P95 = 95
_AT_FIRST = 50
"""Rows whose histograms are added up in one go; then four times as many, and so on: each time all sheets are read."""


@dataclass(slots=True)
class _Group:
    """What is a row: the keys that it is made of, and what they come to."""

    named: Named
    sums: Sums
    keys: list[Key] = field(default_factory=list)


async def endpoints(
    read: AsyncConnection, pid: int, asked: Asked, *, by: Order, limit: int, offset: int = 0, now: datetime
) -> Ranked:
    """InvalidValueError."""
    found = await _begun(read, pid, asked, By.ENDPOINT, now)
    sums = await found.sums(_needed(by))
    named = await endpoints_called(read, pid, found.wanted, sums)
    groups = [_Group(Named(named[key], named[key]), of, [key]) for key, of in sums.items()]
    return await _ranked(found, groups, by=by, limit=limit, offset=offset)


async def customers(
    read: AsyncConnection, pid: int, asked: Asked, *, by: Order, limit: int, offset: int = 0, now: datetime
) -> Ranked:
    """Requests of nobody are a row, `anonymous`. InvalidValueError."""
    found = await _begun(read, pid, asked, By.SUBJECT, now)
    sums = await found.sums(_needed(by))
    named = await customers_of(read, pid, [int(key) for key in sums])
    return await _ranked(found, _together(sums, lambda key: named[int(key)]), by=by, limit=limit, offset=offset)


async def methods(
    read: AsyncConnection, pid: int, asked: Asked, *, by: Order, limit: int, offset: int = 0, now: datetime
) -> Ranked:
    """Of endpoints that are not told apart the method is not known: they are a row. InvalidValueError."""
    found = await _begun(read, pid, asked, By.ENDPOINT, now)
    sums = await found.sums(_needed(by))
    endpoints_named = await endpoints_called(read, pid, found.wanted, sums)

    def method(key: Key) -> Named:
        endpoint = endpoints_named[key]
        text = endpoint if endpoint == OTHER_ENDPOINTS else endpoint.partition(" ")[0]
        return Named(text, text)

    return await _ranked(found, _together(sums, method), by=by, limit=limit, offset=offset)


async def keys(
    read: AsyncConnection, pid: int, asked: Asked, *, by: Order, limit: int, offset: int = 0, now: datetime
) -> Ranked:
    """Out of the events, the newest of them. An empty key: requests that told none. InvalidValueError."""
    found = await _begun(read, pid, asked, By.KEY, now)
    sums = await found.sums(_needed(by))
    groups = [_Group(Named(str(key), str(key)), of, [key]) for key, of in sums.items()]
    return await _ranked(found, groups, by=by, limit=limit, offset=offset)


async def statuses(read: AsyncConnection, pid: int, asked: Asked, *, now: datetime) -> Ranked:
    """All of them, by code. InvalidValueError."""
    found = await _begun(read, pid, asked, By.NOTHING, now)
    whole = await found.all(apart=True)
    rows = [
        Row(
            key="unknown" if status == UNKNOWN_STATUS else str(status),
            name="unknown" if status == UNKNOWN_STATUS else str(status),
            by_status=ByStatus({status: figures}),
            share=_share(figures.n, whole.n),
        )
        for status, figures in sorted(whole.of.items())
    ]
    return Ranked(rows=rows, other=None, n=len(rows), all=whole, trust=found.trust)


async def endpoint_names(read: AsyncConnection, pid: int) -> list[str]:
    """All that the project has, also those that nobody has called for long."""
    return sorted((await endpoints_of(read, pid)).values())


async def _begun(read: AsyncConnection, pid: int, asked: Asked, by: By, now: datetime) -> Gathered:
    wanted = await wanted_by(read, pid, asked)
    return await gathered(read, pid, wanted, [asked_window(wanted, now)], by=by, now=now)


def _together(sums: Mapping[Key, Sums], name: Callable[[Key], Named]) -> list[_Group]:
    found: dict[str, _Group] = {}
    for key, of in sums.items():
        named = name(key)
        group = found.get(named.key)
        if group is None:
            found[named.key] = _Group(named, of, [key])
        else:
            group.sums = group.sums.plus(of)
            group.keys.append(key)
    return list(found.values())


# --- in order

_VALUES: Mapping[Order, str] = {
    Order.REQUESTS: "n",
    Order.ERRORS: "n_500",
    Order.CLIENT_ERRORS: "n_400",
    Order.LATENCY: "latency_max_us",
    Order.BYTES: "n_bytes",
    Order.TIME: "latency_us",
}
"""Fields of Sums."""


def _needed(by: Order) -> Sequence[str]:
    """The sums that an order, and the row of all others, are made by."""
    of_order = ("n_timed", "latency_us", "p95_most") if by is Order.P95 else (_VALUES[by],)
    return ("n", "latency_max_us", *of_order)


async def _ranked(found: Gathered, groups: Sequence[_Group], *, by: Order, limit: int, offset: int) -> Ranked:
    if by is Order.P95:
        in_order = await _by_p95(found, groups, offset + limit)
    else:
        value = attrgetter(_VALUES[by])
        in_order = sorted(groups, key=lambda one: (-value(one.sums), -one.sums.n, one.named.key))
    page = in_order[offset : offset + limit]
    known = await _figures(found, page)
    whole = await found.all()
    rows = [_row(one.named, known[one.named.key], whole.n) for one in page]
    left = [*in_order[:offset], *in_order[offset + limit :]]
    other = _row(Named("", OTHERS), _others(whole, rows, left), whole.n) if left else None
    return Ranked(rows=rows, other=other, n=len(groups), all=whole, trust=found.trust)


async def _figures(found: Gathered, groups: Iterable[_Group]) -> dict[str, ByStatus]:
    of_key = {key: one.named.key for one in groups for key in one.keys}
    told: dict[str, ByStatus] = {name: ByStatus() for name in of_key.values()}
    if of_key:
        for (_, key), by_status in (await found.figures(of_key)).items():
            told[of_key[key]].merge(by_status)
    return told


async def _times(found: Gathered, groups: Iterable[_Group]) -> dict[str, Figures]:
    of_key = {key: one.named.key for one in groups for key in one.keys}
    told: dict[str, Figures] = {name: Figures() for name in of_key.values()}
    for key, figures in (await found.times(of_key)).items():
        told[of_key[key]].merge(figures)
    return told


async def _by_p95(found: Gathered, groups: Sequence[_Group], n: int) -> Sequence[_Group]:
    """The first `n` in order, and then those that cannot be among them, in any."""
    bounded = sorted(groups, key=lambda one: (-one.sums.p95_most, one.named.key))
    p95: dict[str, int] = {}

    def place(one: _Group) -> tuple[int, int, str]:
        return -p95[one.named.key], -one.sums.n, one.named.key

    done: list[_Group] = []
    start, end = 0, max(_AT_FIRST, n)
    while start < len(bounded):
        some = bounded[start:end]
        if len(done) >= n and p95[done[n - 1].named.key] > some[0].sums.p95_most:
            break
        told = await _times(found, some)
        p95 |= {name: one.percentile_ms(P95 * ONE) or 0 for name, one in told.items()}
        done = sorted([*done, *some], key=place)
        start, end = end, 4 * end
    return [*done, *bounded[len(done) :]]


def _row(named: Named, by_status: ByStatus, n: int) -> Row:
    return Row(key=named.key, name=named.name, by_status=by_status, share=_share(by_status.n, n))


def _share(n: int, of: int) -> int:
    return n * 1000 // of if of else 0


def _others(whole: ByStatus, rows: Sequence[Row], left: Iterable[_Group]) -> ByStatus:
    """What is left of all without the rows. The greatest time is that of all others, whatever status it had."""
    shown = ByStatus()
    for row in rows:
        shown.merge(row.by_status)
    if shown.together is not None or whole.together is not None:
        whole, shown = whole.counted(), shown.counted()
    largest = max((one.sums.latency_max_us for one in left), default=0)

    def rest_of(figures: Figures, some: Figures) -> Figures:
        rest = figures.without(some)
        rest.latency_max_us = min(largest, figures.latency_max_us) if rest.n_timed else 0
        return rest

    found = ByStatus()
    for status, figures in whole.of.items():
        rest = rest_of(figures, shown.of.get(status, Figures()))
        if rest.n:
            found.of[status] = rest
    if whole.together is not None:
        found.together = rest_of(whole.together, shown.together or Figures())
    return found
