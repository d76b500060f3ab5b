"""What a limit would have denied of the calls that were made: their events, in order, put to the same rules.

A call that it would have denied is not counted as used, for it would not have been made. What does not say what it cost
costs what the project's prices of its instant say. Nothing is stored.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import Amount
from heartfly.core.limits.ledger import Ledger
from heartfly.core.limits.rules import COST, Applied, Key, Limit, holding, usable, wanted
from heartfly.core.limits.tracked import CALL, made_of
from heartfly.core.prices import Book
from heartfly.core.windows import HOUR
from heartfly.core.zones import zone
from heartfly.db.database import Database
from heartfly.db.models import events, usage_names
from heartfly.db.types import EPOCH, micros
from heartfly.limits.book import Rules
from heartfly.limits.pricing import with_cost
from heartfly.usage.price_reading import read_book

WEEK = timedelta(days=7)
MOST_CALLS = 300_000
"""Looked at; if there were more, it is told until when."""
MOST_VALUES = 20
_PAGE = 5_000


@dataclass(slots=True)
class Simulated:
    """Of [from_at, to_at): `calls` were made, the limit was for `fitting` of them, and would have denied `denied`.

    `fullest`: what was used at most, by value. `by_hour`: denied, in hours with any. `cut`: there were more calls, from
    `to_at` on.
    """

    from_at: datetime
    to_at: datetime
    calls: int = 0
    fitting: int = 0
    denied: int = 0
    used: Amount = 0
    by_hour: Counter[datetime] = field(default_factory=Counter)
    by_value: Counter[tuple[str, ...]] = field(default_factory=Counter)
    fullest: dict[tuple[str, ...], Amount] = field(default_factory=dict)
    first_denied_at: datetime | None = None
    cut: bool = False


async def simulate(usage: Database, pid: int, limit: Limit, *, now: datetime) -> Simulated:
    """InvalidValueError: no limit could be such."""
    limit = replace(usable(limit), zone=zone(limit.zone, field="zone").key)
    found = Simulated(now - WEEK, now)
    rules = Rules(0, {}, {limit.id: limit}, [limit])
    ledger = Ledger(rules.bounds, micros(found.from_at))
    after: tuple[datetime, int] | None = None
    async with usage.read() as read:
        type_id = await _type_id(read, pid)
        book = await read_book(read, pid) if limit.unit.startswith(COST) else None
        while type_id is not None:
            rows = (await read.execute(_page(pid, type_id, found.from_at, now, after))).all()
            if found.calls + len(rows) > MOST_CALLS:
                found.cut, found.to_at = True, rows[0].at
                break
            await asyncio.to_thread(_put, found, ledger, limit, book, rows)
            if len(rows) < _PAGE:
                break
            after = (rows[-1].at, rows[-1].id)
    return found


def _put(found: Simulated, ledger: Ledger, limit: Limit, book: Book | None, rows: Sequence[Any]) -> None:
    """`book`: if the limit is one of cost."""
    for row in rows:
        made = made_of(row.subject, row.properties)
        found.calls += 1
        applied = holding([limit], made.call)
        if not applied:
            continue
        found.fitting += 1
        ledger.now_us = max(ledger.now_us, micros(row.at))
        units = with_cost(book, made.call, made.units, at=row.at, tier=made.tier) if book else made.units
        answer = ledger.ask(applied, units, reserve=False)
        if answer.denied_by is not None:
            found.denied += 1
            found.by_value[answer.denied_by.applied.values] += 1
            found.by_hour[row.at - (row.at - EPOCH) % HOUR] += 1
            found.first_denied_at = found.first_denied_at or row.at
            continue
        ledger.count(applied, units, at_us=ledger.now_us)
        found.used += wanted(limit, units) or 0
        _note_fullest(found, ledger, applied)
    _forget(ledger)


def _note_fullest(found: Simulated, ledger: Ledger, applied: Sequence[Applied]) -> None:
    for one in applied:
        used = ledger.standing(one.limit, one.values).used
        if used > found.fullest.get(one.values, 0):
            found.fullest[one.values] = used


def _forget(ledger: Ledger) -> None:
    """Counters of which nothing is left: a limit for each user would have one for all who ever called."""
    gone: list[Key] = [key for key, (_, counter) in ledger.changed.items() if counter.ends_us() <= ledger.now_us]
    for key in gone:
        ledger.forget(key)


async def _type_id(read: AsyncConnection, pid: int) -> int | None:
    n = usage_names.c
    query = sa.select(n.id).where(n.pid == pid, n.kind == "type", n.text == CALL)
    found: int | None = (await read.execute(query)).scalar()
    return found


def _page(
    pid: int, type_id: int, from_at: datetime, to_at: datetime, after: tuple[datetime, int] | None
) -> sa.Select[Any]:
    e, n = events.c, usage_names.c
    query = (
        sa.select(e.at, e.id, e.properties, n.text.label("subject"))
        .join(usage_names, sa.and_(n.pid == e.pid, n.id == e.subject_id))
        .where(e.pid == pid, e.at >= from_at, e.at < to_at, e.type_id == type_id)
    )
    if after is not None:
        query = query.where(e.at >= after[0], sa.or_(e.at > after[0], e.id > after[1]))
    return query.order_by(e.at, e.id).limit(_PAGE)
