"""A month of calls to others' APIs as the fold writes them: by minute, hour and day, without the events.

The rows of the last day are folded out of calls that are drawn, at prices that are written before, by what folds in
production, and written by what writes there; the database copies them to the days before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from bench.load import CLOCK
from bench.traffic_seed import BY_HOUR, closed, earlier, put
from heartfly.core.calls import TYPE, Cube
from heartfly.core.columns import Amounts, Page
from heartfly.core.money import rate
from heartfly.core.prices import Book, Price
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import call_rollups, prices, windows
from heartfly.db.types import UtcInstant, micros
from heartfly.ground import Ground
from heartfly.usage.call_fold import CallTally
from heartfly.usage.call_rows import call_rows, name_calls
from heartfly.usage.calls import Calls
from heartfly.usage.fold import TIER_DAY, TIER_HOUR
from heartfly.usage.names import name_ids
from heartfly.usage.request_rows import TIER_MINUTE
from heartfly.usage.requests import Limits

PROVIDERS, MODELS, ENDPOINTS, CUSTOMERS, USERS, KEYS, TAGS = 8, 60, 40, 1_000, 200, 50, 20
_RATES = {"input_tokens": "0.0000025", "output_tokens": "0.00001", "cached_tokens": "0.00000125"}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_SLICE = 20_000


@dataclass(frozen=True, slots=True)
class Seeded:
    """[from_at, to_at): whole days of UTC. `rows`: of the last day, by tier and cube."""

    n_rows: int
    rows: Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class _Habit:
    """Of a customer: few models, of some users, with a key or two, for an app or two."""

    models: Sequence[int]
    users: Sequence[int]
    keys: Sequence[int]
    tags: Sequence[int]


@lru_cache(maxsize=1)
def _habits() -> tuple[_Habit, ...]:
    draw = random.Random(47)
    by_use = [1 / (place + 2) for place in range(MODELS)]
    return tuple(
        _Habit(
            models=sorted(set(draw.choices(range(MODELS), by_use, k=3))),
            users=[number % USERS, number * 7 % USERS],
            keys=[number % KEYS],
            tags=[number % TAGS, number * 3 % TAGS],
        )
        for number in range(CUSTOMERS)
    )


def provider_of(model: int) -> str:
    return f"provider-{model % PROVIDERS}"


def book() -> Book:
    return Book(list(_prices()), "1")


def _prices() -> Iterator[Price]:
    for model in range(MODELS):
        for unit, text in _RATES.items():
            amount = rate(text)
            if amount is not None:
                yield Price(
                    provider=provider_of(model), product=f"model-{model}", unit=unit, amount=amount, currency="USD"
                )


def drawn(draw: random.Random, at: datetime, subjects: Sequence[int], *, n: int) -> Iterator[tuple[Any, ...]]:
    """Calls of an hour, as `CallTally` takes them, with their properties at the end."""
    habits = _habits()
    weights = [1 / (place + 3) for place in range(len(subjects))]
    first = micros(at)
    for number, who in enumerate(draw.choices(range(len(subjects)), weights, k=n)):
        habit = habits[who]
        model = habit.models[int(draw.random() ** 2 * len(habit.models))]
        status = 200 if draw.random() < 0.97 else draw.choice((400, 429, 500, 503))
        cached = f'"units.cached_tokens":"{number * 3 % 4_000 + 1}",' if number % 3 == 0 else ""
        text = (
            f'{{"endpoint":"/v1/e-{(model * 5 + number % 4) % ENDPOINTS}","key":"key-{habit.keys[0]}",'
            f'"latency_ms":"{draw.lognormvariate(6 + model % 3 / 2, 0.7):.3f}","model":"model-{model}",'
            f'"provider":"{provider_of(model)}","request_id":"req-{number}","status":"{status}",'
            f'"tags":"app-{habit.tags[number % 2]}",{cached}"units.input_tokens":"{number * 11 % 6_000 + 1}",'
            f'"units.output_tokens":"{number * 7 % 900 + 1}","user":"user-{habit.users[number % 2]}"}}'
        )
        yield first + number * 3_600_000_000 // n, first + number, 0, subjects[who], f"c-{number}", text


def folded(rows: Iterator[tuple[Any, ...]], at: datetime) -> Calls:
    tally, known = CallTally(Limits(), book(), {}, at), Amounts()
    while page := list(islice(rows, 5_000)):
        tally.take(Page([row[5] for row in page], known), page)
    return tally.found()


def seed_calls(ground: Ground, pid: int, *, to_at: datetime, days: int, per_day: int) -> Seeded:
    """`to_at`: midnight of UTC."""
    last, ids, usage = to_at - _DAY, ground.ids, ground.usage
    subjects = usage.transaction(lambda tx: _named(tx, pid, ids))
    draw = random.Random(53)
    rows: dict[tuple[str, int], int] = {}
    of_day = Calls()
    for place, share in enumerate(BY_HOUR):
        at = last + place * _HOUR
        found = folded(drawn(draw, at, subjects, n=per_day * share // sum(BY_HOUR)), at)
        _write(ground, pid, TIER_HOUR, at, found, counts=rows)
        of_day.merge(found)
    _write(ground, pid, TIER_DAY, last, of_day, counts=rows)
    usage.transaction(lambda tx: closed(tx, pid, last))
    n_rows = sum(rows.values())
    for number in range(1, days):
        back = number * _DAY
        n_rows += usage.transaction(lambda tx, back=back: _copied(tx, pid, last, back))  # type: ignore[misc]
        usage.transaction(lambda tx, back=back: closed(tx, pid, last - back))  # type: ignore[misc]
    return Seeded(n_rows, rows)


def _named(tx: Tx, pid: int, ids: IdSource) -> Sequence[int]:
    at = CLOCK.now()
    name_ids(tx, pid, "type", [TYPE], at=at, ids=ids)
    texts = [f"customer-{number:04}" for number in range(CUSTOMERS)]
    numbers = name_ids(tx, pid, "subject", texts, at=at, ids=ids)
    rows = [
        {
            "pid": pid,
            "id": ids.next(at),
            "provider": one.provider,
            "product": one.product,
            "unit": one.unit,
            "tier": one.tier,
            "condition": one.condition,
            "from_at": one.from_at,
            "to_at": one.to_at,
            "amount": one.amount,
            "currency": one.currency,
            "source": "hand",
            "created_at": at,
        }
        for one in _prices()
    ]
    tx.conn.execute(sa.insert(prices), rows)
    return [numbers[text] for text in texts]


def _write(
    ground: Ground, pid: int, tier: str, at: datetime, found: Calls, *, counts: dict[tuple[str, int], int]
) -> None:
    """In large slices: nobody waits."""
    gen, lasts = ground.ids.next(at), _HOUR if tier == TIER_HOUR else _DAY
    numbers = ground.usage.transaction(lambda tx: name_calls(tx, pid, found, ids=ground.ids, now=at))
    rows = list(call_rows(pid, tier, at, gen, found, numbers=numbers))
    for _, row in rows:
        place = (str(row["tier"]), int(row["cube"]))
        counts[place] = counts.get(place, 0) + 1
    window = {"pid": pid, "tier": tier, "start_at": at, "end_at": at + lasts, "gen": gen, "seq": gen, "prices": "1"}
    n_events = sum(row.n for (cube, *_), row in found.cells.items() if cube == Cube.TOTAL)
    window |= {"n_events": n_events, "ids_sum": bytes(16)}
    for start in range(0, len(rows), _SLICE):
        ground.usage.transaction(lambda tx, start=start: put(tx, rows[start : start + _SLICE]))  # type: ignore[misc]
    ground.usage.transaction(lambda tx: tx.conn.execute(sa.insert(windows).values(window)))


def _copied(tx: Tx, pid: int, midnight: datetime, back: timedelta) -> int:
    """The day from `midnight` on once more, so long before. A generation is one of its window: the same will do."""
    n_rows = 0
    for table in (call_rollups, windows):
        values = [earlier(tx, one, back) if isinstance(one.type, UtcInstant) else one for one in table.columns]
        start_at = table.c.start_at
        query = sa.select(*values).where(table.c.pid == pid, start_at >= midnight, start_at < midnight + _DAY)
        if table is call_rollups:
            query = query.where(table.c.tier != TIER_MINUTE)
        copy = sa.insert(table).from_select([one.name for one in table.columns], query)
        n_rows += tx.conn.execute(copy).rowcount
    return n_rows
