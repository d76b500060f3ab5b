"""Writing what requests come to: endpoints get their numbers, and rows go into the generation of their window.

How a generation comes to count is generations.py's. A project has so many endpoints at most that anything counts; those
that come after are together in one, OTHER. Who comes first in one window: what was asked for most, and of equals the
alphabet says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.traffic import OTHER, SHEETED, Cube
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, request_sheets, slow_requests, usage_names, windows
from heartfly.db.prepared import Prepared
from heartfly.usage.names import known_names, new_numbers
from heartfly.usage.request_reading import IS_ENDPOINT
from heartfly.usage.requests import Requests

TIER_MINUTE, _TIER_HOUR = "minute", "hour"
PIECE = 1_000
"""Rows that are removed in one transaction."""
_HOUR = timedelta(hours=1)


def name_endpoints(tx: Tx, pid: int, found: Requests, *, ids: IdSource, now: datetime) -> None:
    """Give those that have none their numbers, as far as there is room for them."""
    if found.unnamed:
        _name(tx, pid, found, ids=ids, now=now)
    statuses = {status for _, status in found.minutes}
    found.is_over = any((int(Cube.ENDPOINT), OTHER, 0, status) in found.cells for status in statuses)


def _name(tx: Tx, pid: int, found: Requests, *, ids: IdSource, now: datetime) -> None:
    texts = found.unnamed
    places = {text: -place for place, text in enumerate(texts, 1)}
    known = known_names(tx, pid, "endpoint", texts)
    missing = [text for text in texts if text not in known]
    if missing:
        room = max(0, found.limits.endpoints - _n_used(tx, pid, found, known.values()))
        if room:
            most = _most_asked(found)
            first = sorted(missing, key=lambda text: (-most.get(places[text], 0), text))[:room]
            numbers = dict(zip(first, new_numbers(tx, len(first), at=now, ids=ids), strict=True))
            rows = [{"pid": pid, "id": number, "kind": "endpoint", "text": text} for text, number in numbers.items()]
            # Another node may name the same ones: whoever commits first has named them.
            tx.conn.execute(tx.insert(usage_names).on_conflict_do_nothing(), rows)
            known = known_names(tx, pid, "endpoint", texts)
    found.renumber({place: known.get(text, OTHER) for text, place in places.items()}, [])


def _n_used(tx: Tx, pid: int, found: Requests, named: Collection[int]) -> int:
    """Endpoints that there is no room for others beside: names that nothing counts any more, as rules changed, take
    none up. `named`: of those that are written now.
    """
    if found.elsewhere is None:
        count = sa.select(sa.func.count()).select_from(usage_names).where(usage_names.c.pid == pid, IS_ENDPOINT)
        return int(tx.conn.execute(count).scalar_one())
    mine = {key for cube, key, _, _ in found.cells if cube == Cube.ENDPOINT and key > 0 and key != OTHER}
    return len(found.elsewhere.union(mine, named))


def _most_asked(found: Requests) -> dict[int, int]:
    """Requests of each endpoint."""
    asked: dict[int, int] = {}
    for (cube, endpoint, _, _), row in found.cells.items():
        if cube == Cube.ENDPOINT:
            asked[endpoint] = asked.get(endpoint, 0) + row.n
    return asked


def request_rows(
    pid: int, tier: str, start_at: datetime, gen: int, found: Requests
) -> Iterator[tuple[Prepared, dict[str, Any]]]:
    """In the order in which they stand there (`in_order`). After `name_endpoints`."""
    of_window = {"pid": pid, "gen": gen}
    if tier == _TIER_HOUR:
        for (minute, status), row in found.minutes.items():
            place = {"cube": int(Cube.TOTAL), "tier": TIER_MINUTE, "start_at": minute, "key1": 0, "key2": 0}
            yield _INSERT_ROLLUPS, of_window | place | {"status": status} | row._asdict()
    for (cube, key1, key2, status), row in found.cells.items():
        yield (
            _INSERT_ROLLUPS,
            {
                "pid": pid,
                "cube": int(cube),
                "tier": tier,
                "start_at": start_at,
                "gen": gen,
                "key1": key1,
                "key2": key2,
                "status": status,
                "n": row.n,
                "n_timed": row.n_timed,
                "latency_us": row.latency_us,
                "latency_max_us": row.latency_max_us,
                "bytes_in": row.bytes_in,
                "bytes_out": row.bytes_out,
                "latencies": row.latencies,
            },
        )
    for cube, sheet in found.sheets():
        place = {"cube": int(cube), "tier": tier, "start_at": start_at}
        yield _INSERT_SHEET, of_window | place | sheet._asdict()
    if tier == _TIER_HOUR:
        for one in sorted(found.slow, key=lambda slow: slow.event_id):
            yield (
                _INSERT_SLOW,
                of_window
                | {"start_at": start_at, "event_id": one.event_id, "at": one.at, "latency_us": -one.negative_us}
                | {"endpoint_id": one.endpoint_id, "subject_id": one.subject_id, "status": one.status}
                | {"path": one.path, "request_id": one.request_id},
            )


def sweep_requests(tx: Tx, pid: int, tier: str, start_at: datetime) -> bool:
    """Remove what requests come to, of any other generation than those that `generations.sweep` keeps, but no more than
    some thousands of rows at a time; whether there may be more.
    """
    w, r, s = windows.c, request_rollups.c, slow_requests.c
    is_it = (w.pid == pid, w.tier == tier, w.start_at == start_at)
    counts = sa.select(w.gen, w.next_gen, w.proved_gen).where(*is_it)
    if tx.on_postgres:
        counts = counts.with_for_update(read=True)  # until this ends nobody begins another one
    kept = [gen for gen in tx.conn.execute(counts).one() if gen is not None]
    of_window = (r.pid == pid, r.tier == tier, r.start_at == start_at, r.gen.not_in(kept))
    n = 0
    for cube in cubes_left(tx, request_rollups, of_window, Cube):
        n += remove_some(tx, request_rollups, (*of_window, r.cube == cube), ("gen", "key1", "key2", "status"))
        if n >= PIECE:
            return True
    h = request_sheets.c
    of_sheets = (h.pid == pid, h.cube.in_(list(map(int, SHEETED))), h.tier == tier, h.start_at == start_at)
    tx.conn.execute(sa.delete(request_sheets).where(*of_sheets, h.gen.not_in(kept)))
    if tier != _TIER_HOUR:
        return False
    in_hour = (r.start_at >= start_at, r.start_at < start_at + _HOUR)
    minutes = (r.pid == pid, r.cube == int(Cube.TOTAL), r.tier == TIER_MINUTE, *in_hour, r.gen.not_in(kept))
    if remove_some(tx, request_rollups, minutes, ("start_at", "gen", "status")) == PIECE:
        return True
    tx.conn.execute(sa.delete(slow_requests).where(s.pid == pid, s.start_at == start_at, s.gen.not_in(kept)))
    return False


def cubes_left(
    tx: Tx, table: sa.Table, of_window: Sequence[sa.ColumnElement[bool]], cubes: Iterable[int]
) -> Sequence[int]:
    """Those of which there are such rows: mostly there are none. Each has a place of its own in the key."""
    asked = [
        sa.select(sa.literal(int(cube)).label("cube")).where(sa.exists().where(*of_window, table.c.cube == int(cube)))
        for cube in cubes
    ]
    return sorted(tx.conn.execute(sa.union_all(*asked)).scalars())


def remove_some(tx: Tx, table: sa.Table, where: Sequence[sa.ColumnElement[bool]], names: Sequence[str]) -> int:
    """Up to PIECE of these rows, which the columns of `names`, the next ones of the key, tell apart; how many."""
    columns = [table.c[name] for name in names]
    found = tx.conn.execute(sa.select(*columns).where(*where).order_by(*columns).limit(PIECE)).all()
    if not found:
        return 0
    last = [sa.literal(value, column.type) for value, column in zip(found[-1], columns, strict=True)]
    tx.conn.execute(sa.delete(table).where(*where, sa.tuple_(*columns) <= sa.tuple_(*last)))
    return len(found)


_INSERT_ROLLUPS = Prepared(lambda _: sa.insert(request_rollups))
_INSERT_SHEET = Prepared(lambda _: sa.insert(request_sheets))
_INSERT_SLOW = Prepared(lambda _: sa.insert(slow_requests))
