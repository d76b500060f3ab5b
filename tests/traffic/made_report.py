"""A customer's report with made-up facts, as large and as odd as a test wants it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from heartfly.core.amounts import ONE
from heartfly.core.meters import Aggregation
from heartfly.core.report_periods import Period
from heartfly.core.tiles import State
from heartfly.core.traffic import Figures
from heartfly.core.windows import Window
from heartfly.traffic.asked import ByStatus
from heartfly.traffic.report import (
    DayOf,
    EndpointOf,
    Measured,
    MeterDay,
    MeterOf,
    Report,
    fingerprint,
    measured,
    together,
)
from heartfly.usage.whose import Customer

ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 12, 1, 2, 10, tzinfo=UTC)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30), ZONE)
UUID = "3f0c9a52-7a5e-4b8e-9f57-0c2b7f1f2a11"


def of_status(counts: dict[int, int], *, ms: Sequence[int] = (40, 120, 300)) -> ByStatus:
    """So many requests of each status, with these times in turn, 100 bytes in and 2,000 out each."""
    found = ByStatus()
    for status, n in counts.items():
        figures = found.of.setdefault(status, Figures())
        for one in range(n):
            took = ms[one % len(ms)]
            figures.n += 1
            figures.n_timed += 1
            figures.latency_us += took * 1_000
            figures.latency_max_us = max(figures.latency_max_us, took * 1_000)
            figures.bytes_in += 100
            figures.bytes_out += 2_000
            figures.latencies.add(took * ONE)
    return found


def a_report(
    *,
    period: Period = NOVEMBER,
    customer: str = "Customer 17",
    endpoint: str = "GET /v1/items/{id}",
    unit: str = "calls",
    meter: str = "API calls",
    n_endpoints: int = 20,
    not_final: int = 0,
    is_empty: bool = False,
    partial: bool = False,
    seed: int = 17,
) -> Report:
    """`not_final`: of its last days, so many are provisional."""
    draw = random.Random(seed)
    dates = [period.first + timedelta(days=n) for n in range(period.n_days)]
    states = [State.FINAL] * (len(dates) - not_final) + [State.PROVISIONAL] * not_final
    by_day = [
        ByStatus()
        if is_empty
        else of_status({200: draw.randrange(40, 90), 404: draw.randrange(3), 429: 1, 500: draw.randrange(2)})
        for _ in dates
    ]
    whole = together(by_day)
    n = sum(figures.n for figures in whole.of.values())
    endpoints = (
        [] if is_empty else [(f"{endpoint} {place}", of_status({200: 30, 500: 1})) for place in range(n_endpoints)]
    )
    days = [
        MeterDay(date=day, state=state, n=one, value=one * ONE)
        for day, state, of in zip(dates, states, by_day, strict=True)
        for one in [sum(figures.n for figures in of.of.values())]
    ]
    meters = [
        MeterOf(
            slug="api-calls", name=meter, unit=unit, aggregation=Aggregation.COUNT,
            window=Window(period.from_at, period.to_at), n=n, value=n * ONE, state=states[-1], days=days,
        )
    ]  # fmt: skip
    return Report(
        project="Main",
        customer=Customer(UUID, customer),
        period=period,
        prepared_at=NOW,
        total=measured(whole) if n else Measured(),
        days=[DayOf(day, state, measured(of)) for day, state, of in zip(dates, states, by_day, strict=True)],
        statuses=sorted((status, figures.n) for status, figures in whole.of.items() if figures.n),
        endpoints=[EndpointOf(name, measured(of)) for name, of in endpoints],
        others=None if is_empty else EndpointOf("(other)", measured(of_status({200: 7}))),
        n_endpoints=len(endpoints) + (0 if is_empty else 4),
        meters=meters,
        more_meters=False,
        late=12,
        complete_up_to=period.to_at,
        partial=partial,
        fingerprint=fingerprint(
            ("Main", UUID, period, partial), zip(dates, states, by_day, strict=True), endpoints, meters, []
        ),
    )
