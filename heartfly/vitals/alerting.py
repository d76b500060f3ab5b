"""What a scrape is told of alert rules and budgets: how many there are, which fire, and whether anybody looks at them.

Of all projects together, without a name of one: what a metric is called stays, whoever comes and goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.budgets import BudgetState
from heartfly.core.words import Severity
from heartfly.db.models import alert_rules, budgets, incidents, rule_alerts
from heartfly.instruments import Family, Sample, gauge

_OF_RULE = "rule"


async def alerting(read: AsyncConnection, now: datetime) -> Sequence[Family]:
    r, i, a, b = alert_rules.c, incidents.c, rule_alerts.c, budgets.c
    live = (r.enabled.is_(True), r.archived_at.is_(None))
    looked = sa.select(sa.func.count(), sa.func.min(r.looked_at)).where(*live)
    n_rules, oldest = (await read.execute(looked)).one()
    troubled = sa.select(sa.func.count()).select_from(alert_rules).where(*live, r.trouble != "")
    firing = (
        sa.select(a.severity, sa.func.count().label("n"))
        .select_from(incidents.join(rule_alerts, sa.and_(a.pid == i.pid, a.incident_id == i.id)))
        .where(i.closed_at.is_(None), i.source_kind == sa.literal(_OF_RULE, literal_execute=True))
        .group_by(a.severity)
    )
    n_firing = {row.severity: row.n for row in await read.execute(firing)}
    states = (BudgetState.ACTIVE.value, BudgetState.EXCEEDED.value)
    spending = sa.select(b.state, sa.func.count().label("n")).where(b.state.in_(states)).group_by(b.state)
    n_budgets = {row.state: row.n for row in await read.execute(spending)}
    age_s = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    return [
        gauge("heartfly_alert_rules", "Alert rules that are looked at.", n_rules),
        gauge(
            "heartfly_alert_rules_in_trouble",
            "Of them those that could not be looked at the last time, as what they look at is gone.",
            (await read.execute(troubled)).scalar_one(),
        ),
        gauge(
            "heartfly_alert_rules_look_age_seconds",
            "How long ago the look was that lies back farthest, of rules that were ever looked at.",
            age_s,
        ),
        _by("heartfly_alerts_firing", "Alerts of rules that are not over.", "severity", Severity, n_firing),
        _by("heartfly_budgets", "Budgets that hold now.", "state", states, n_budgets),
    ]


def _by(name: str, about: str, label: str, values: Sequence[str] | type[Severity], found: dict[str, int]) -> Family:
    """Each of the values has a sample, also where there is none."""
    samples = tuple(Sample(found.get(str(value), 0), ((label, str(value)),)) for value in values)
    return Family(name, "gauge", about, samples)
