"""Questions about requests, over a month of a million a day: wall-clock time of each and its CPU, in this process.

Of each question the best of some tries: the machine is shared. What the fold costs is told by bench/requests.py.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from bench.load import CLOCK
from bench.report import Figure
from bench.seed import seed
from bench.served import Stores
from bench.traffic_seed import DAYS, opened, seed_traffic
from heartfly.core.windows import Size
from heartfly.db.database import Database
from heartfly.traffic import heat, ranked
from heartfly.traffic.asked import Asked, Order
from heartfly.traffic.series import series
from heartfly.traffic.slow import slow
from heartfly.traffic.totals import n_customers, totals

_MOST_MS = 100.0
_DAY = timedelta(days=1)
_UTC = ZoneInfo("UTC")
Ask = Callable[[AsyncConnection], Awaitable[Any]]


async def measure(made: Stores, *, per_day: int, tries: int, days: int = DAYS) -> list[Figure]:
    store = made.fresh()
    seeded = seed(store, 1)
    ground = opened(store)
    midnight = CLOCK.now().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        seed_traffic(ground, seeded.pid, to_at=midnight, days=days, per_day=per_day)
        ground.usage.start()
        try:
            asked = _questions(seeded.pid, midnight, days)
            return [await _asked(ground.usage, name, ask, tries) for name, ask in asked.items()]
        finally:
            await ground.usage.stop()
    finally:
        ground.close()


async def _asked(usage: Database, name: str, ask: Ask, tries: int) -> Figure:
    walls, cpus = [], []
    for _ in range(max(2, tries)):
        wall, cpu = time.perf_counter(), time.process_time()
        async with usage.read() as read:
            await ask(read)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    note = f"CPU {min(cpus) * 1_000:.0f} ms"
    return Figure(name=name, value=min(walls) * 1_000, unit="ms", at_most=_MOST_MS, note=note)


def _questions(pid: int, midnight: datetime, days: int) -> Mapping[str, Ask]:
    """The panels of a page of the month, and of a day."""
    most, biggest = "GET /v1/things-0/{id}", "customer-0000"

    def of(days: int = days, **more: Any) -> Asked:
        return Asked(from_at=midnight - days * _DAY, to_at=midnight, zone=_UTC, **more)

    def top(question: Any, by: Order = Order.REQUESTS, days: int = days, **more: Any) -> Ask:
        return lambda read: question(read, pid, of(days, **more), by=by, limit=10, now=midnight)

    def line(size: Size, days: int = days, **more: Any) -> Ask:
        return lambda read: series(read, pid, of(days, **more), size=size, now=midnight)

    return {
        "totals": lambda read: totals(read, pid, of(), now=midnight),
        "customers there were": lambda read: n_customers(read, pid, of(), now=midnight),
        "by the day": line(Size.DAY),
        "by the hour": line(Size.HOUR),
        "a day by the minute": line(Size.MINUTE, days=1),
        "top endpoints": top(ranked.endpoints),
        "top endpoints by p95": top(ranked.endpoints, Order.P95),
        "top endpoints of a day": top(ranked.endpoints, days=1),
        "top customers": top(ranked.customers),
        "top customers by p95": top(ranked.customers, Order.P95),
        "top customers of a day": top(ranked.customers, days=1),
        "statuses": lambda read: ranked.statuses(read, pid, of(), now=midnight),
        "methods": top(ranked.methods),
        "endpoint by hour": lambda read: heat.over_time(read, pid, of(2), now=midnight),
        "endpoint by day": lambda read: heat.over_time(read, pid, of(), now=midnight),
        "weekday by hour": lambda read: heat.over_week(read, pid, of(), now=midnight),
        "slow requests": lambda read: slow(read, pid, of(), limit=10, now=midnight),
        "a customer by the day": line(Size.DAY, customers=[biggest]),
        "a customer by the hour": line(Size.HOUR, customers=[biggest]),
        "top endpoints of a customer": top(ranked.endpoints, customers=[biggest]),
        "an endpoint by the day": line(Size.DAY, endpoints=[most]),
        "top customers of an endpoint": top(ranked.customers, endpoints=[most]),
        "server errors": lambda read: totals(read, pid, of(statuses=["5xx"]), now=midnight),
    }
