"""What the demo's people agreed about calls to others: budgets, of which one will not last, and alert rules, of which
one was told yesterday, when a provider failed, and has ended since.

What a rule saw then is worked out of the same calls that are in the database, judged as in earnest, and written by what
writes there. Budgets are looked at once the demo serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from random import Random
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.budgets.commands import create as create_budget
from heartfly.budgets.config import AllocationIn, BudgetIn
from heartfly.core.alert_rules import Against, Condition, Family, Metric, Rule, Seen, verdict
from heartfly.core.amounts import ONE, PLACES
from heartfly.core.days import ONE as DAY
from heartfly.core.days import day_in, day_of
from heartfly.core.events import instant_of
from heartfly.core.money import MONEY_ONE, Money, money_text
from heartfly.core.rule_states import Standing, step
from heartfly.core.windows import HOUR
from heartfly.core.words import Severity
from heartfly.db import models as tables
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.demo.calls import FAILED, made, usual_book
from heartfly.demo.fill import NAME, SLUG, WHO, ZONE, Filled, write
from heartfly.demo.messages import Teller
from heartfly.incidents.commands import acknowledge
from heartfly.rules import look
from heartfly.rules.commands import Wanted, create
from heartfly.rules.defaults import give_defaults
from heartfly.rules.rows import Stored, stored

_SINCE_DAYS, _LASTS_DAYS = 20, 30
"""The budget's period, of which so many days have gone."""
_USED, _PART_USED = 75, 95
"""Percent, of the whole and of the larger part."""
_MINUTE = timedelta(minutes=1)
_CARES_AFTER = timedelta(minutes=6)
_CENT = MONEY_ONE // 100


def fill_spending(tx: Tx, filled: Filled, *, seed: int, now: datetime, ids: IdSource) -> None:
    """Into the main part of the database, after fill_calls."""
    pid, zone = filled.project.pid, ZoneInfo(ZONE)
    today = day_of(zone, now)
    since = day_in(zone, today - _SINCE_DAYS * DAY).from_at
    give_defaults(tx, pid, at=since, ids=ids, actor=WHO)
    for wanted in _rules():
        create(tx, pid, wanted, at=since, actor=WHO, ids=ids)
    _budgets(tx, pid, seed=seed, now=now, since=since, ids=ids)
    r = tables.alert_rules.c
    row = tx.conn.execute(sa.select(tables.alert_rules).where(r.pid == pid, r.origin == "default:error_rate")).one()
    # Numbers of their own: those of one source ascend, and the project's have come to today.
    _yesterday(tx, stored(row), seed=seed, now=now, ids=IdSource(2))
    _deliver(tx, filled, now=now, chance=Random(f"{seed} told"))  # noqa: S311 - it shall be foreseeable


def _rules() -> Sequence[Wanted]:
    spike = Condition(
        of=Family.CALLS, metric=Metric.REQUESTS, window=HOUR, against=Against.BEFORE, n_before=23, threshold=3 * ONE,
        least=40,
    )  # fmt: skip
    dear = Condition(
        of=Family.CALLS, metric=Metric.COST, name="USD", window=24 * HOUR, threshold=3 * ONE,
        where=(("provider", ("anthropic",)),),
    )  # fmt: skip
    return (
        Wanted(name="Far more calls than usual", rule=Rule(conditions=(spike,), by=("provider",), cooldown=HOUR)),
        Wanted(name="A dear day", rule=Rule(conditions=(dear,), cooldown=12 * HOUR), severity=Severity.HIGH),
    )


# --- budgets


def _budgets(tx: Tx, pid: int, *, seed: int, now: datetime, since: datetime, ids: IdSource) -> None:
    zone = ZoneInfo(ZONE)
    day, spent = day_of(zone, since), _spent(seed=seed, now=now, since=since)
    whole = sum(spent.values()) * 100 // _USED
    larger = max(spent, key=lambda provider: spent[provider])
    part = spent[larger] * 100 // _PART_USED
    models = BudgetIn(
        name="Language models",
        currency="USD",
        amount=_amount(whole),
        period="custom",
        starts_on=day.isoformat(),
        every_days=_LASTS_DAYS,
        scope={"provider": sorted(spent)},
        allocations=[
            AllocationIn(by="provider", name=provider, amount=_amount(part if provider == larger else whole - part))
            for provider in sorted(spent)
        ],
        low_days=5,
    )
    maps = BudgetIn(
        name="Maps", currency="EUR", amount="10", period="yearly", scope={"provider": ["mapbox"]}, hard_stop=True
    )
    for asked in (models, maps):
        create_budget(tx, pid, asked, today=day, actor=WHO, at=since, ids=ids)


def _spent(*, seed: int, now: datetime, since: datetime) -> dict[str, Money]:
    """By provider, in dollars; by what no call costs anything at is left out."""
    book, found = usual_book(), dict[str, Money]()
    for from_at, events in made(_SINCE_DAYS + 1, seed=seed, now=now):
        for one in events if from_at >= since else ():
            told = one["properties"]
            units = {
                name.removeprefix("units."): int(amount) * 10**PLACES
                for name, amount in told.items()
                if name.startswith("units.")
            }
            money = book.cost(told["provider"], told["model"], "", units, from_at).amounts.get("USD", 0)
            if money:
                found[told["provider"]] = found.get(told["provider"], 0) + money
    return found


def _amount(money: Money) -> str:
    return money_text(max(1, money // _CENT) * _CENT)


# --- the alert of yesterday


def _yesterday(tx: Tx, of: Stored, *, seed: int, now: datetime, ids: IdSource) -> None:
    """Minute by minute, as its looks would have seen it. Somebody takes care of it while it lasts."""
    calls = [
        (at, int(one["properties"]["status"]) >= 400)
        for _, events in made(2, seed=seed, now=now)
        for one in events
        if one["properties"]["provider"] == FAILED and (at := instant_of(one["timestamp"])) is not None
    ]
    (condition,), scope, pid = of.rule.conditions, (FAILED,), of.row.pid
    standing: Standing | None = None
    number: int | None = None
    minute = min(at for at, _ in calls).replace(second=0, microsecond=0)
    while minute < now:
        minute += _MINUTE
        failed = [bad for at, bad in calls if minute - condition.window <= at < minute]
        value = Fraction(100 * sum(failed), len(failed)) if failed else None
        seen = (Seen(value=value, n=len(failed), adds=False),)
        found = verdict(of.rule, seen, firing=standing is not None and standing.is_firing)
        stepped = step(standing, holds=found.holds, wait=of.rule.wait, cooldown=of.rule.cooldown, at=minute)
        standing = stepped.standing
        if stepped.happened is not None:
            move = look.Move(of, scope, number, stepped, seen, found, scope)
            look.write(tx, pid, [of], [move], look.Looked(), now=minute, ids=ids)
            s = tables.rule_standings.c
            number = tx.conn.execute(sa.select(s.id).where(s.pid == pid, s.rule_id == of.id)).scalar_one()
        i = tables.incidents.c
        open_ = sa.select(i.uuid).where(i.pid == pid, i.source_id == number, i.closed_at.is_(None))
        if standing.fired_at is not None and minute - standing.fired_at == _CARES_AFTER:
            for uuid in tx.conn.execute(open_).scalars().all():
                acknowledge(tx, pid, uuid, at=minute, actor=WHO, ids=ids)


def _deliver(tx: Tx, filled: Filled, *, now: datetime, chance: Random) -> None:
    """What waits in the outbox is of the past, and was told then."""
    n, pid = tables.notifications, filled.project.pid
    waiting = (n.c.pid == pid, n.c.state == "pending", n.c.delivery_id.is_(None))
    rows = tx.conn.execute(sa.select(n).where(*waiting).order_by(n.c.alert_id, n.c.channel_id)).all()
    tx.conn.execute(sa.delete(n).where(*waiting))
    teller = Teller(pid=pid, project=(SLUG, NAME), receivers=filled.receivers, now=now, chance=chance)
    told = teller.deliver(rows)
    write(
        tx,
        iter(
            [
                (tables.notifications, told.notifications),
                (tables.deliveries, told.deliveries),
                (tables.attempts, told.attempts),
            ]
        ),
    )
