"""Questions about requests, over a month of a million a day: wall-clock time of each and its CPU, in this process.

Of each question the best of some tries: the machine is shared. The pages are those of a served Heartfly, asked for by
HTTP. What the fold costs is told by bench/requests.py.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from bench.load import CLOCK
from bench.procstat import Meter, cpu_s
from bench.report import Figure
from bench.seed import Seeded, seed
from bench.served import Store, Stores, heartfly
from bench.traffic_seed import DAYS, opened, seed_traffic
from bench.watchers import COOKIE, signed_in
from heartfly.audit.record import CLI
from heartfly.core.report_periods import Period
from heartfly.core.windows import Size
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.ground import Ground
from heartfly.traffic import heat, ranked
from heartfly.traffic.asked import Asked, Order
from heartfly.traffic.report_pdf import as_html
from heartfly.traffic.report_read import report_of
from heartfly.traffic.series import series
from heartfly.traffic.slow import slow
from heartfly.traffic.totals import n_customers, totals
from heartfly.usage.customers import create_customer

_MOST_MS, _MOST_PAGE_MS, _MOST_REPORT_MS = 100.0, 200.0, 300.0
_BIGGEST = "customer-0000"
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
        customer = ground.usage.transaction(lambda tx: _customer(tx, seeded.pid, ground))
        ground.usage.start()
        meter = Meter(os.getpid(), [] if store.pid is None else [store.pid])
        try:
            asked = _questions(seeded.pid, midnight, days)
            found = [await asked_of(ground.usage, name, ask, tries) for name, ask in asked.items()]
            period = Period((midnight - days * _DAY).date(), (midnight - _DAY).date(), _UTC)
            report = _reported(seeded.pid, customer, period, midnight)
            found.append(await asked_of(ground.usage, "a report, as HTML", report, tries, at_most=_MOST_REPORT_MS))
        finally:
            await ground.usage.stop()
    finally:
        ground.close()
    found += await _pages(store, seeded, midnight, days, tries)
    others = meter.read().others
    return [replace(one, others=others) for one in found]


def _customer(tx: Tx, pid: int, ground: Ground) -> str:
    found, _ = create_customer(
        tx, pid, name="The biggest", wanted=[_BIGGEST], actor=CLI, at=CLOCK.now(), ids=ground.ids
    )
    return found


def _reported(pid: int, customer: str, period: Period, now: datetime) -> Ask:
    async def ask(read: AsyncConnection) -> bytes:
        return as_html(await report_of(read, pid, customer, period, project="Bench", now=now))

    return ask


async def _pages(store: Store, seeded: Seeded, midnight: datetime, days: int, tries: int) -> list[Figure]:
    (token,) = signed_in(store, seeded, 1)
    found = []
    async with heartfly(store, seeded.paths[0]) as served:
        for name, back in (("the page of a day", 1), ("the page of seven days", 7), ("the page of all days", days)):
            if back > days:
                continue
            words = urlencode({"from": (midnight - back * _DAY).isoformat(), "to": midnight.isoformat()})
            walls, cpus = [], []
            for _ in range(max(2, tries)):
                wall, cpu = time.perf_counter(), cpu_s([served.pid])
                page = await asyncio.to_thread(_page, served.port, f"/p/bench/usage?{words}", token)
                walls.append(time.perf_counter() - wall)
                cpus.append(cpu_s([served.pid]) - cpu)
            note = f"CPU {min(cpus) * 1_000:.0f} ms, {len(page):,} bytes"
            found.append(Figure(name=name, value=min(walls) * 1_000, unit="ms", at_most=_MOST_PAGE_MS, note=note))
    return found


def _page(port: int, path: str, token: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Cookie": f"{COOKIE}={token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: bytes = answer.read()
        return found


async def asked_of(usage: Database, name: str, ask: Ask, tries: int, *, at_most: float = _MOST_MS) -> Figure:
    walls, cpus = [], []
    for _ in range(max(2, tries)):
        wall, cpu = time.perf_counter(), time.process_time()
        async with usage.read() as read:
            await ask(read)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    note = f"CPU {min(cpus) * 1_000:.0f} ms"
    return Figure(name=name, value=min(walls) * 1_000, unit="ms", at_most=at_most, note=note)


def _questions(pid: int, midnight: datetime, days: int) -> Mapping[str, Ask]:
    """The panels of a page of the month, and of a day."""
    most = "GET /v1/things-0/{id}"

    def of(days: int = days, **more: Any) -> Asked:
        return Asked(from_at=midnight - days * _DAY, to_at=midnight, zone=_UTC, **more)

    def top(question: Any, by: Order = Order.REQUESTS, days: int = days, limit: int = 10, **more: Any) -> Ask:
        return lambda read: question(read, pid, of(days, **more), by=by, limit=limit, now=midnight)

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
        "all endpoints": top(ranked.endpoints, limit=200),
        "top endpoints of a day": top(ranked.endpoints, days=1),
        "top customers": top(ranked.customers),
        "top customers by p95": top(ranked.customers, Order.P95),
        "top customers of a day": top(ranked.customers, days=1),
        "statuses": lambda read: ranked.statuses(read, pid, of(), now=midnight),
        "methods": top(ranked.methods),
        "a method": lambda read: totals(read, pid, of(methods=["GET"]), now=midnight),
        "endpoint by hour": lambda read: heat.over_time(read, pid, of(2), now=midnight),
        "endpoint by day": lambda read: heat.over_time(read, pid, of(), now=midnight),
        "weekday by hour": lambda read: heat.over_week(read, pid, of(), now=midnight),
        "slow requests": lambda read: slow(read, pid, of(), limit=10, now=midnight),
        "a customer by the day": line(Size.DAY, customers=[_BIGGEST]),
        "a customer by the hour": line(Size.HOUR, customers=[_BIGGEST]),
        "top endpoints of a customer": top(ranked.endpoints, customers=[_BIGGEST]),
        "an endpoint by the day": line(Size.DAY, endpoints=[most]),
        "top customers of an endpoint": top(ranked.customers, endpoints=[most]),
        "server errors": lambda read: totals(read, pid, of(statuses=["5xx"]), now=midnight),
    }
