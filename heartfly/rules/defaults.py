"""The rules that a project has from its first call on, until somebody deletes them: rates, costs and errors.

They are rules like all others. Once given they are not given again, so that what was deleted stays deleted; whoever
wants them back asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import HEARTFLY, Actor
from heartfly.core.alert_rules import Condition, Family, Metric, Op, Rule
from heartfly.core.amounts import ONE
from heartfly.core.calls import TYPE as CALL
from heartfly.core.words import Severity
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alert_rules, rule_defaults, usage_names
from heartfly.rules.commands import Wanted, create

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LEAST_CALLS = 20
"""Of fewer calls an error rate tells nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    name: str
    severity: Severity
    condition: Condition
    by: tuple[str, ...]
    cooldown: timedelta


def _use(kind: str, percent: int, window: timedelta) -> Condition:
    """Of all limits of a kind, each in each of its scopes."""
    return Condition(
        of=Family.LIMITS, metric=Metric.USE, name=kind, window=window, op=Op.AT_LEAST, threshold=percent * ONE
    )


DEFAULTS: Mapping[str, Default] = {
    "default:rate_80": Default(
        name="Rate limit at 80 %",
        severity=Severity.MEDIUM,
        condition=_use("rate", 80, _HOUR),
        by=("limit",),
        cooldown=timedelta(minutes=60),
    ),
    "default:rate_95": Default(
        name="Rate limit at 95 %",
        severity=Severity.CRITICAL,
        condition=_use("rate", 95, _HOUR),
        by=("limit",),
        cooldown=timedelta(minutes=30),
    ),
    "default:cost_80": Default(
        name="Cost limit at 80 %",
        severity=Severity.MEDIUM,
        condition=_use("cost", 80, _DAY),
        by=("limit",),
        cooldown=timedelta(minutes=360),
    ),
    "default:cost_95": Default(
        name="Cost limit at 95 %",
        severity=Severity.CRITICAL,
        condition=_use("cost", 95, _DAY),
        by=("limit",),
        cooldown=timedelta(minutes=180),
    ),
    "default:error_rate": Default(
        name="Error rate of a provider",
        severity=Severity.HIGH,
        condition=Condition(
            of=Family.CALLS,
            metric=Metric.ERROR_RATE,
            window=_HOUR,
            threshold=10 * ONE,
            least=_LEAST_CALLS,
        ),
        by=("provider",),
        cooldown=timedelta(minutes=120),
    ),
}


async def projects_with_calls(usage: AsyncConnection) -> Sequence[int]:
    n = usage_names.c
    query = sa.select(n.pid).where(n.text == CALL, n.kind == "type")
    return (await usage.execute(query)).scalars().all()


async def lacks_defaults(main: AsyncConnection, usage: AsyncConnection, pid: int) -> bool:
    """Whether it calls somebody's API, and was never given them."""
    known = (await main.execute(sa.select(rule_defaults.c.pid).where(rule_defaults.c.pid == pid))).first()
    if known is not None:
        return False
    n = usage_names.c
    query = sa.select(n.id).where(n.pid == pid, n.text == CALL, n.kind == "type")
    return (await usage.execute(query)).first() is not None


def give_defaults(tx: Tx, pid: int, *, at: datetime, ids: IdSource, actor: Actor = HEARTFLY) -> list[str]:
    """Those that the project has not, by their public ids."""
    r = alert_rules.c
    query = sa.select(r.origin).where(r.pid == pid, r.archived_at.is_(None), r.origin.in_(list(DEFAULTS)))
    known = set(tx.conn.execute(query).scalars())
    made = []
    for origin, one in DEFAULTS.items():
        if origin in known:
            continue
        rule = Rule(conditions=(one.condition,), by=one.by, cooldown=one.cooldown)
        wanted = Wanted(name=one.name, rule=rule, severity=one.severity, origin=origin)
        made.append(create(tx, pid, wanted, at=at, actor=actor, ids=ids).uuid)
    row = {"pid": pid, "made_at": at}
    tx.conn.execute(tx.insert(rule_defaults).values(row).on_conflict_do_nothing(index_elements=["pid"]))
    return made
