"""Where a customer's report comes from: requests out of their rollups, meters out of theirs, days out of their proofs.

The total is the sum of the days, so that no form can say two things.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import day_of
from heartfly.core.report_periods import Period
from heartfly.core.traffic import UNKNOWN_STATUS
from heartfly.core.windows import Size
from heartfly.db.models import projects
from heartfly.traffic import ranked, series
from heartfly.traffic.asked import Asked, ByStatus, Order
from heartfly.traffic.report import DayOf, EndpointOf, Measured, Report, fingerprint, measured, together
from heartfly.traffic.report_days import days_of
from heartfly.traffic.report_meters import meters_of
from heartfly.usage.customer_queries import one_customer
from heartfly.usage.meter_costs import costs_of
from heartfly.usage.whose import Customer

ENDPOINTS = 20
"""The most used, by name; all others are told together."""


async def project_name(main: AsyncConnection, pid: int) -> str:
    return str((await main.execute(sa.select(projects.c.name).where(projects.c.id == pid))).scalar_one())


async def report_of(
    read: AsyncConnection,
    pid: int,
    customer: str,
    period: Period,
    *,
    project: str,
    now: datetime,
    meter_days: bool = False,
) -> Report:
    """`customer`: by his public id; NotFoundError. `project`: how it is called. `read`: of the usage part.
    `meter_days`: meters are told by day, too, which people do not read and files hold.
    """
    row = await one_customer(read, pid, customer)
    days = await days_of(read, pid, period, now=now)
    asked = Asked(from_at=period.from_at, to_at=period.to_at, zone=period.zone, customers=(row.uuid,))
    bins, trust = await series.series(read, pid, asked, now=now, size=Size.DAY)
    by_day: dict[object, ByStatus] = {day_of(period.zone, one.window.from_at): one.by_status for one in bins}
    most_used = await ranked.endpoints(read, pid, asked, now=now, by=Order.REQUESTS, limit=ENDPOINTS, offset=0)
    meters, more_meters = await meters_of(read, pid, row.uuid, period, now=now, by_day=meter_days)
    costs = await costs_of(
        read, pid, from_at=period.from_at, to_at=period.to_at, zone=period.zone, now=now, customer=row.uuid
    )
    partial = trust.partial or most_used.trust.partial
    whole = together(one.by_status for one in bins)
    of_days = [(day, state, by_day.get(day, ByStatus())) for day, state in days.states]
    return Report(
        project=project,
        customer=Customer(row.uuid, row.name),
        period=period,
        prepared_at=now,
        total=measured(whole) if whole.of else Measured(),
        days=[DayOf(day, state, measured(of)) for day, state, of in of_days],
        statuses=sorted(
            ((status, figures.n) for status, figures in whole.of.items() if figures.n),
            key=lambda one: (one[0] == UNKNOWN_STATUS, one[0]),
        ),
        endpoints=[EndpointOf(one.name, measured(one.by_status)) for one in most_used.rows],
        others=None if most_used.other is None else EndpointOf("(other)", measured(most_used.other.by_status)),
        n_endpoints=most_used.n,
        meters=meters,
        more_meters=more_meters,
        late=days.late,
        complete_up_to=min(days.complete_up_to, trust.complete_up_to),
        partial=partial,
        fingerprint=fingerprint(
            (project, row.uuid, period, partial),
            of_days,
            [(one.key, one.by_status) for one in most_used.rows],
            meters,
            days.proofs,
            costs=costs,
        ),
        costs=costs,
    )
