"""A look at a budget: what its periods have come to, and what follows from it, written in one transaction.

Marks, alerts, the incident and the state are written together, or none of them; so nothing is lost or told twice,
whatever dies between, and whoever else looks at the same time. Looked at are the period that is now and those that
ended lately, as costs come late and prices change. What is to be told core/budgets.py says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets import hard_stop, words
from heartfly.budgets.commands import held, is_it
from heartfly.budgets.config import of_millionths
from heartfly.budgets.hard_stop import Spent
from heartfly.budgets.rows import Stored, channels_query, marks_query, one_budget, told, told_of
from heartfly.budgets.spending import see
from heartfly.core.budget_periods import Period, is_over, newest
from heartfly.core.budgets import MILLIONTH, BudgetState, Mark, Seen, Terms, Turn, due, holds, is_reached, turned
from heartfly.core.money import Money, money_text
from heartfly.core.words import IncidentEnd, Severity
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import budget_marks, budget_periods, budgets, incidents
from heartfly.incidents.raised import OF_BUDGET, Ended, Raised, end_alerts, raise_alerts

Result = TypeVar("Result")

LATE = timedelta(days=35)
"""So long after its end a period is looked at: what costs come late, they mostly come by then."""
LATE_PERIODS = 2
"""So many of them, where periods are short."""
_TRIES = 5
_WEIGHTS = {severity: weight for weight, severity in enumerate(Severity)}
_JUDGED = frozenset({BudgetState.ACTIVE, BudgetState.EXCEEDED, BudgetState.EXPIRED})


class Main(Protocol):
    """The part where budgets are: the database, or what a job may use of it."""

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    async def write(self, piece: Callable[[Tx], Result], /) -> Result: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A period as it was seen. `terms`: as they were agreed while it was."""

    period: Period
    terms: Terms
    seen: Seen
    is_now: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a look has written. `told`: what was told by it."""

    state: BudgetState
    told: Sequence[Mark] = ()


async def look(main: Main, usage: Database, pid: int, public_id: str, *, now: datetime, ids: IdSource) -> Outcome:
    """NotFoundError. Whoever changes it meanwhile looks at it himself: after some tries nothing is written."""
    for _ in range(_TRIES):
        async with main.read() as read:
            known = await _known(read, pid, public_id, now=now)
        async with usage.read() as read:
            judged = await _judge(read, known, now=now)
        outcome: Outcome | None = Outcome(state=known.stored.state)
        if _is_news(known, judged, now):
            outcome = await main.write(partial(_keep, stored=known.stored, judged=judged, now=now, ids=ids))
        if outcome is not None:
            at_present = next((Spent(one.period, one.seen.spent) for one in judged if one.is_now), None)
            await hard_stop.follow(usage, known.stored, at_present, now=now, ids=ids)
            return outcome
    return Outcome(state=known.stored.state)


# --- what is seen


@dataclass(frozen=True, slots=True)
class _Known:
    """A budget, with the rows of the periods that may be judged, by their first day, and what was told of them.

    `is_told_of`: it has an open incident.
    """

    stored: Stored
    periods: Sequence[Period]
    kept: Mapping[str, Row[Any]]
    told: Collection[tuple[str, Mark]]
    is_told_of: bool


async def _known(read: AsyncConnection, pid: int, public_id: str, *, now: datetime) -> _Known:
    stored = await one_budget(read, pid, public_id)
    periods = _to_be_judged(stored, now)
    p, first_days = budget_periods.c, [one.first for one in periods]
    query = sa.select(budget_periods).where(p.pid == pid, p.budget_id == stored.row.id, p.first_day.in_(first_days))
    kept = {row.first_day.isoformat(): row for row in (await read.execute(query)).all()}
    marks = await told(read, pid, stored.row.id, [one.key for one in periods])
    standing = {(one.period, one.mark) for one in marks if one.rearmed_at is None}
    i = incidents.c
    is_open = (i.pid == pid, i.source_kind == OF_BUDGET, i.source_id == stored.row.id, i.closed_at.is_(None))
    is_told_of = (await read.execute(sa.select(i.id).where(*is_open))).first() is not None
    return _Known(stored, periods, kept, standing, is_told_of)


def _to_be_judged(stored: Stored, now: datetime) -> Sequence[Period]:
    """The newest first. A period that ended before the budget was made is none of its."""
    if stored.state not in _JUDGED:
        return ()
    found = list[Period]()
    for period in newest(stored.agreed.plan, stored.today(now), most=1 + LATE_PERIODS):
        ended_at = period.to_at(stored.zone)
        if ended_at is not None and not max(stored.row.created_at, now - LATE) < ended_at:
            break
        found.append(period)
    return found


async def _judge(usage: AsyncConnection, known: _Known, *, now: datetime) -> Sequence[Judged]:
    found, stored = list[Judged](), known.stored
    today = stored.today(now)
    for period in known.periods:
        is_now = period.last is None or today <= period.last
        terms, kept = stored.agreed.terms, known.kept.get(period.key)
        if not is_now:
            # Of its parts and paces nothing is told any more; of its thresholds as they were agreed then.
            whole, percents = (terms.amount, terms.thresholds) if kept is None else _kept_terms(kept)
            terms = Terms(amount=whole, thresholds=percents)
        seen = await see(usage, stored, period, terms, now=now)
        found.append(Judged(period=period, terms=terms, seen=seen, is_now=is_now))
    return found


def _kept_terms(row: Row[Any]) -> tuple[Money | None, Sequence[int]]:
    return of_millionths(row.amount), tuple(row.thresholds)


def _is_news(known: _Known, judged: Sequence[Judged], now: datetime) -> bool:
    """Whether there is anything to write, as far as can be said without holding the budget."""
    if _state_after(known.stored, judged, now) is not known.stored.state:
        return True
    for one in judged:
        kept = known.kept.get(one.period.key)
        if kept is None or kept.spent != money_text(one.seen.spent):
            return True
        if one.is_now and _kept_terms(kept) != (one.terms.amount, tuple(one.terms.thresholds)):
            return True
        if due(one.terms, one.seen, _standing(known, one)):
            return True
    return known.is_told_of and not any(
        one.is_now and holds(mark, one.terms, one.seen) for one in judged for mark in _standing(known, one)
    )


def _standing(known: _Known, one: Judged) -> Collection[Mark]:
    return {mark for period, mark in known.told if period == one.period.key}


# --- what follows


def _state_after(stored: Stored, judged: Sequence[Judged], now: datetime) -> BudgetState:
    if is_over(stored.agreed.plan, stored.today(now)):
        return turned(stored.state, Turn.ENDED)
    for one in judged:
        if one.is_now and one.terms.amount is not None:
            is_spent = is_reached(one.seen.spent, one.terms.amount, 100)
            return turned(stored.state, Turn.REACHED if is_spent else Turn.BELOW)
    return stored.state


def _keep(tx: Tx, stored: Stored, judged: Sequence[Judged], now: datetime, ids: IdSource) -> Outcome | None:
    """None: it was changed since it was read."""
    row = held(tx, stored.row.pid, stored.row.uuid).row
    if (row.rev, row.state) != (stored.row.rev, stored.row.state):
        return None
    keys = [one.period.key for one in judged]
    marks = [told_of(one) for one in tx.conn.execute(marks_query(row.pid, row.id, keys))]
    hearing = [one.id for one in tx.conn.execute(channels_query(row.pid, [row.id]))]
    raised: list[Raised] = []
    fresh: list[Mark] = []
    lasts = False
    for one in reversed(judged):  # the oldest first
        of_period = [mark for mark in marks if mark.period == one.period.key]
        standing = {mark.mark for mark in of_period if mark.rearmed_at is None}
        news = due(one.terms, one.seen, standing)
        # What weighs most comes last: of several that are folded into one message the last is shown.
        for mark in sorted(news, key=lambda mark: _WEIGHTS[words.severity(mark)]):
            nth = 1 + sum(known.mark == mark for known in of_period)
            tx.conn.execute(sa.insert(budget_marks).values(_mark_row(stored, one, mark, nth, now)))
            raised.append(_raised(stored, one, mark, nth, now=now, hearing=hearing))
        fresh += news
        lasts = lasts or (one.is_now and any(holds(mark, one.terms, one.seen) for mark in standing | set(news)))
        _keep_period(tx, stored, one, now)
    raise_alerts(tx, raised, ids=ids, now=now)
    if not lasts:
        # What only a period that is over has reached was told just now, and is nothing that goes on.
        end_alerts(tx, [_ended(stored, judged, now, hearing, is_told=not raised)], ids=ids, now=now)
    state = _state_after(stored, judged, now)
    if state is not stored.state:
        tx.conn.execute(sa.update(budgets).where(*is_it(row)).values(state=state.value))
    return Outcome(state=state, told=fresh)


def _keep_period(tx: Tx, stored: Stored, one: Judged, now: datetime) -> None:
    seen = {"spent": money_text(one.seen.spent), "seen_at": now}
    agreed = {"amount": _millionths(one), "thresholds": list(one.terms.thresholds), "last_day": one.period.last}
    its = {"pid": stored.row.pid, "budget_id": stored.row.id, "first_day": one.period.first}
    insert = tx.insert(budget_periods).values(its | agreed | seen)
    tx.conn.execute(insert.on_conflict_do_update(index_elements=list(its), set_=seen | (agreed if one.is_now else {})))


def _mark_row(stored: Stored, one: Judged, mark: Mark, nth: int, now: datetime) -> dict[str, object]:
    return {
        "pid": stored.row.pid,
        "budget_id": stored.row.id,
        "period": one.period.key,
        "kind": mark.kind.value,
        "what": mark.what,
        "nth": nth,
        "at": now,
        "spent": money_text(one.seen.spent),
        "amount": _millionths(one),
        "rearmed_at": None,
    }


def _raised(stored: Stored, one: Judged, mark: Mark, nth: int, *, now: datetime, hearing: Sequence[int]) -> Raised:
    """Its key names the thing for ever: of what is told anew after a raise, also how often it was by then."""
    what = f"{mark.kind.value}:{mark.what}" if mark.kind.value != "threshold" else mark.what
    key = f"budget:{stored.row.id}:{one.period.key}:{what}" + (f":{nth}" if nth > 1 else "")
    return Raised(
        pid=stored.row.pid,
        source_id=stored.row.id,
        key=key,
        concern=words.concern(stored, one.period, mark, one.terms, one.seen),
        at=now,
        explain=words.why(stored, mark, one.terms, one.seen),
        channel_ids=hearing,
    )


def _ended(stored: Stored, judged: Sequence[Judged], now: datetime, hearing: Sequence[int], *, is_told: bool) -> Ended:
    at_present = next((one for one in judged if one.is_now), None)
    period, spent = (None, None) if at_present is None else (at_present.period, at_present.seen.spent)
    return Ended(
        pid=stored.row.pid,
        source_id=stored.row.id,
        concern=words.in_order(stored, period, spent),
        at=now,
        explain=_why_ended(stored, at_present, now),
        by=IncidentEnd.RESOLVED,
        channel_ids=hearing,
        is_told=is_told,
    )


def _why_ended(stored: Stored, at_present: Judged | None, now: datetime) -> str:
    if is_over(stored.agreed.plan, stored.today(now)):
        return "Its last period is over."
    if at_present is not None and not at_present.seen.spent:
        return "A new period has begun."
    return "Nothing that was told of its period holds any more."


def _millionths(one: Judged) -> int | None:
    return None if one.terms.amount is None else one.terms.amount // MILLIONTH
