"""A month of requests as the fold writes them: by minute, hour and day, without the events that they would be made of.

The rows of the last day are folded out of requests that are drawn, by what folds in production, and written by what
writes there; the database copies them to the days before. As a program it fills the data directory of an installation:

    python -m bench.traffic_seed DIR --days 30 --requests 1000000
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.load import CLOCK
from bench.seed import seed
from bench.served import Store
from heartfly import config
from heartfly.core.access.as_event import TYPE
from heartfly.core.columns import Amounts, Page
from heartfly.core.routing import Router
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, request_sheets, slow_requests, usage_days, windows
from heartfly.db.prepared import Prepared
from heartfly.db.types import UtcInstant, micros
from heartfly.ground import Ground, open_ground
from heartfly.usage.fold import TIER_DAY, TIER_HOUR
from heartfly.usage.names import name_ids
from heartfly.usage.request_fold import RequestTally
from heartfly.usage.request_rows import TIER_MINUTE, name_endpoints, request_rows
from heartfly.usage.requests import Limits, Requests, added

ENDPOINTS, CUSTOMERS, SOURCES = 200, 1_000, 3
DAYS, PER_DAY = 30, 1_000_000
_SLICE = 20_000
_MINUTES_KEPT = 2
"""Days."""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
BY_HOUR = (2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 7, 8, 8, 8, 7, 6, 5, 4, 4, 3, 3, 2)
"""How a day's requests are shared out."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """[from_at, to_at): whole days of UTC."""

    pid: int
    from_at: datetime
    to_at: datetime
    n_rows: int


def seed_traffic(
    ground: Ground, pid: int, *, to_at: datetime, days: int = DAYS, per_day: int = PER_DAY,
    endpoints: int = ENDPOINTS, customers: int = CUSTOMERS,
) -> Traffic:  # fmt: skip
    """`to_at`: midnight of UTC."""
    last, ids = to_at - _DAY, ground.ids
    usage = ground.usage
    subjects = usage.transaction(lambda tx: _named(tx, pid, customers, ids))
    hours = list(_a_day(subjects, last, per_day=per_day, endpoints=endpoints))
    for found in hours:
        usage.transaction(lambda tx, found=found: name_endpoints(tx, pid, found, ids=ids, now=last))  # type: ignore[misc]
    n_rows = 0
    for place, found in enumerate(hours):
        n_rows += _write(ground, pid, TIER_HOUR, last + place * _HOUR, found)
    of_day = Requests(cells=added(cell for found in hours for cell in found.cells.items()))
    n_rows += _write(ground, pid, TIER_DAY, last, of_day)
    usage.transaction(lambda tx: closed(tx, pid, last))
    for number in range(1, days):
        back, keeps = number * _DAY, number < _MINUTES_KEPT
        n_rows += usage.transaction(lambda tx, back=back, keeps=keeps: _copied(tx, pid, last, back, minutes=keeps))  # type: ignore[misc]
        usage.transaction(lambda tx, back=back: closed(tx, pid, last - back))  # type: ignore[misc]
    return Traffic(pid, to_at - days * _DAY, to_at, n_rows)


def _copied(tx: Tx, pid: int, midnight: datetime, back: timedelta, *, minutes: bool) -> int:
    """The day from `midnight` on once more, so long before. A generation is one of its window: the same will do."""
    n_rows = 0
    for table in (request_rollups, request_sheets, slow_requests, windows):
        values = [earlier(tx, one, back) if isinstance(one.type, UtcInstant) else one for one in table.columns]
        start_at = table.c.start_at
        query = sa.select(*values).where(table.c.pid == pid, start_at >= midnight, start_at < midnight + _DAY)
        if table is request_rollups and not minutes:
            query = query.where(table.c.tier != TIER_MINUTE)
        copy = sa.insert(table).from_select([one.name for one in table.columns], query)
        n_rows += tx.conn.execute(copy).rowcount
    return n_rows


def earlier(tx: Tx, column: sa.Column[Any], back: timedelta) -> sa.ColumnElement[Any]:
    if tx.on_postgres:
        return column - sa.cast(sa.literal(back, sa.Interval), sa.Interval)
    return sa.type_coerce(column, sa.BigInteger) - back // timedelta(microseconds=1)


def _named(tx: Tx, pid: int, customers: int, ids: IdSource) -> Sequence[int]:
    at = CLOCK.now()
    name_ids(tx, pid, "type", [TYPE], at=at, ids=ids)
    texts = [f"customer-{number:04}" for number in range(customers)]
    numbers = name_ids(tx, pid, "subject", texts, at=at, ids=ids)
    return [numbers[text] for text in texts]


def _a_day(subjects: Sequence[int], from_at: datetime, *, per_day: int, endpoints: int) -> Iterator[Requests]:
    draw = random.Random(41)
    for place, share in enumerate(BY_HOUR):
        at = from_at + place * _HOUR
        tally, known = RequestTally(Limits(endpoints=endpoints), Router(), {}, at), Amounts()
        rows = drawn(draw, at, subjects, n=per_day * share // sum(BY_HOUR), endpoints=endpoints)
        while page := list(islice(rows, 5_000)):
            tally.take(Page([row[5] for row in page], known), page)
        yield tally.found()


def drawn(
    draw: random.Random, at: datetime, subjects: Sequence[int], *, n: int, endpoints: int = ENDPOINTS
) -> Iterator[tuple[Any, ...]]:
    """Requests of an hour, as `RequestTally` takes them, with their properties at the end."""
    # Most of what is asked for is asked of few endpoints, by few customers, each of whom uses some of them.
    habits = random.Random(43)
    used = [habits.sample(range(endpoints), k=min(endpoints, 4 + habits.randrange(20))) for _ in subjects]
    weights = [1 / (place + 3) for place in range(len(subjects))]
    whose = draw.choices(range(len(subjects)), weights, k=n)
    first = micros(at)
    for number, who in enumerate(whose):
        endpoint = used[who][int(draw.random() ** 2 * len(used[who]))]
        status = 200 if draw.random() < 0.94 else draw.choice((201, 304, 404, 429, 500, 502))
        ms = draw.lognormvariate(2 + endpoint % 5 / 2, 0.6)
        text = (
            f'{{"method":"GET","route":"/v1/things-{endpoint}/{{id}}","path":"/v1/things/{number}","status":{status},'
            f'"latency_ms":{ms:.3f},"request_bytes":{number % 2_000},"response_bytes":{number * 7 % 60_000},'
            f'"source":"nginx-{number % SOURCES}"}}'
        )
        yield first + number * 3_600_000_000 // len(whose), first + number, 0, subjects[who], f"t-{number}", text


def _write(ground: Ground, pid: int, tier: str, at: datetime, found: Requests) -> int:
    """In large slices: nobody waits."""
    gen, lasts = ground.ids.next(at), _HOUR if tier == TIER_HOUR else _DAY
    rows = list(request_rows(pid, tier, at, gen, found))
    window = {"pid": pid, "tier": tier, "start_at": at, "end_at": at + lasts, "gen": gen, "seq": gen}
    window |= {"n_events": sum(row.n for (cube, *_), row in found.cells.items() if not cube), "ids_sum": bytes(16)}
    for start in range(0, len(rows), _SLICE):
        ground.usage.transaction(lambda tx, start=start: put(tx, rows[start : start + _SLICE]))  # type: ignore[misc]
    ground.usage.transaction(lambda tx: tx.conn.execute(sa.insert(windows).values(window)))
    return len(rows)


def put(tx: Tx, rows: Sequence[tuple[Prepared, dict[str, Any]]]) -> None:
    by_table: dict[Prepared, list[dict[str, Any]]] = {}
    for statement, row in rows:
        by_table.setdefault(statement, []).append(row)
    for statement, some in by_table.items():
        statement.run(tx, some)


def closed(tx: Tx, pid: int, midnight: datetime) -> None:
    row = {"pid": pid, "day": midnight.date(), "zone": "UTC", "from_at": midnight, "to_at": midnight + _DAY}
    row |= {"state": "final", "figures": {"reconciled": 1}, "mismatch": "", "reconciled_at": midnight + _DAY}
    tx.conn.execute(sa.insert(usage_days).values(row))


def opened(store: Store) -> Ground:
    return open_ground(config.load(None, store.environment), clock=CLOCK)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", type=Path)
    given.add_argument("--days", type=int, default=DAYS)
    given.add_argument("--requests", type=int, default=PER_DAY, help="of one day")
    given.add_argument("--endpoints", type=int, default=ENDPOINTS)
    given.add_argument("--customers", type=int, default=CUSTOMERS)
    asked = given.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    store = Store(asked.folder)
    seeded = seed(store, 1)
    ground = opened(store)
    try:
        midnight = CLOCK.now().replace(hour=0, minute=0, second=0, microsecond=0)
        made = seed_traffic(
            ground, seeded.pid, to_at=midnight, days=asked.days, per_day=asked.requests,
            endpoints=asked.endpoints, customers=asked.customers,
        )  # fmt: skip
    finally:
        ground.close()
    print(f"project {made.pid}: {made.n_rows} rows, key {seeded.api_key}")


if __name__ == "__main__":
    main()
