"""Writing what calls come to: names get their numbers, and rows go into the generation of their window.

How a generation comes to count is generations.py's. A project has so many products, endpoints, users, keys and tags at
most; those that come after are together in one, OTHER. Who comes first in one window: what was called most, and of
equals the alphabet says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.calls import KEYS, OTHER, Cube, Named, amount_text
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import call_names, call_rollups, windows
from heartfly.db.prepared import Prepared, among
from heartfly.usage.call_reading import MEASURES
from heartfly.usage.calls import Calls, Measures, Row, has_others
from heartfly.usage.request_rows import PIECE, TIER_MINUTE, cubes_left, remove_some

_TIER_HOUR = "hour"
_HOUR = timedelta(hours=1)
Numbers = Mapping[Measures, int]
"""Of what rows' amounts are of."""


def name_calls(tx: Tx, pid: int, found: Calls, *, ids: IdSource, now: datetime) -> Numbers:
    """Give names that have none their numbers, as far as there is room for them, and all that amounts are of."""
    unnamed = {kind: texts for kind, texts in found.unnamed.items() if texts}
    if unnamed:
        called = _called(found)
        numbers = {
            kind: _name(tx, pid, kind, texts, called[kind], room_for=found.limits.call_names, ids=ids, now=now)
            for kind, texts in unnamed.items()
        }
        found.renumber(numbers, {})
    found.is_over = has_others(found.cells)
    told = {row.measures for row in found.cells.values()} | {row.measures for row in found.minutes.values()}
    texts = {" ".join(measures): measures for measures in told}
    known = _numbered(tx, pid, MEASURES, texts, ids=ids, now=now)
    return {measures: known[text] for text, measures in texts.items()}


def _name(
    tx: Tx,
    pid: int,
    kind: Named,
    texts: Sequence[str],
    called: Mapping[int, int],
    *,
    room_for: int,
    ids: IdSource,
    now: datetime,
) -> Mapping[int, int]:
    """By the number until now, that from now on."""
    places = {text: -place for place, text in enumerate(texts, 1)}
    known = _known(tx, pid, kind, texts)
    if missing := [text for text in texts if text not in known]:
        of_kind = (call_names.c.pid == pid, call_names.c.kind == kind.value)
        n_used = tx.conn.execute(sa.select(sa.func.count()).select_from(call_names).where(*of_kind)).scalar_one()
        if room := max(0, room_for - n_used):
            first = sorted(missing, key=lambda text: (-called.get(places[text], 0), text))[:room]
            known = {**known, **_numbered(tx, pid, kind, first, ids=ids, now=now)}
    return {place: known.get(text, OTHER) for text, place in places.items()}


_COUNTED_IN = {Cube.PRODUCT: 0, Cube.ENDPOINT: 1, Cube.USER: 0, Cube.KEY: 0, Cube.TAG: 0}
"""Of each kind of names a cube that tells it apart, and the place of its key."""


def _called(found: Calls) -> Mapping[Named, Mapping[int, int]]:
    """Calls of each name."""
    called: dict[Named, dict[int, int]] = {kind: {} for kind in Named}
    for (cube, *keys, _), row in found.cells.items():
        place = _COUNTED_IN.get(Cube(cube))
        kind = None if place is None else KEYS[Cube(cube)][place]
        if place is not None and kind is not None:
            of_kind = called[kind]
            of_kind[keys[place]] = of_kind.get(keys[place], 0) + row.n
    return called


def _known(tx: Tx, pid: int, kind: str, texts: Collection[str]) -> dict[str, int]:
    query = sa.select(call_names.c.text, call_names.c.id).where(
        call_names.c.pid == pid, call_names.c.kind == str(kind), among(tx, call_names.c.text, "texts")
    )
    return {row.text: row.id for row in tx.conn.execute(query, {"texts": sorted(texts)})}


def _numbered(
    tx: Tx, pid: int, kind: str, texts: Collection[str], *, ids: IdSource, now: datetime
) -> Mapping[str, int]:
    """Of all of these; new ones are made. On SQLite, where a small number takes a byte or two, they are counted."""
    known = _known(tx, pid, kind, texts)
    if missing := sorted(set(texts) - known.keys()):
        if tx.on_postgres:
            numbers = ids.several(now, len(missing))
        else:
            last = sa.select(sa.func.max(call_names.c.id)).where(call_names.c.pid == pid)
            start = (tx.conn.execute(last).scalar() or 0) + 1
            numbers = list(range(start, start + len(missing)))
        rows = [
            {"pid": pid, "id": number, "kind": str(kind), "text": text}
            for number, text in zip(numbers, missing, strict=True)
        ]
        # Another node may name the same ones: whoever commits first has named them.
        tx.conn.execute(tx.insert(call_names).on_conflict_do_nothing(), rows)
        known = _known(tx, pid, kind, texts)
    return known


def call_rows(
    pid: int, tier: str, start_at: datetime, gen: int, found: Calls, *, numbers: Numbers
) -> Iterator[tuple[Prepared, dict[str, Any]]]:
    """In the order in which they stand there (`in_order`). After `name_calls`."""
    if tier == _TIER_HOUR:
        for (minute, status), row in found.minutes.items():
            place = (int(Cube.TOTAL), 0, 0, status)
            yield _INSERT, _values(pid, TIER_MINUTE, minute, gen, place, row, numbers)
    for cell, row in found.cells.items():
        yield _INSERT, _values(pid, tier, start_at, gen, cell, row, numbers)


def _values(  # noqa: PLR0917 - one for each row, of which an hour may have tens of thousands
    pid: int, tier: str, start_at: datetime, gen: int, cell: tuple[int, int, int, int], row: Row, numbers: Numbers
) -> dict[str, Any]:
    cube, key1, key2, status = cell
    return {
        "pid": pid,
        "cube": cube,
        "tier": tier,
        "start_at": start_at,
        "gen": gen,
        "key1": key1,
        "key2": key2,
        "status": status,
        "n": row.n,
        "n_errors": row.n_errors,
        "n_timed": row.n_timed,
        "n_unpriced": row.n_unpriced,
        "n_odd": row.n_odd,
        "latency_us": row.latency_us,
        "latency_max_us": row.latency_max_us,
        "latencies": row.latencies,
        "measures": numbers[row.measures],
        "amounts": " ".join([amount_text(of[0], one) for of, one in zip(row.measures, row.amounts, strict=True)]),
        "first_at": row.first_at,
        "last_at": row.last_at,
    }


def sweep_calls(tx: Tx, pid: int, tier: str, start_at: datetime) -> bool:
    """As `request_rows.sweep_requests`, of the rows of calls."""
    w, r = windows.c, call_rollups.c
    counts = sa.select(w.gen, w.next_gen, w.proved_gen).where(w.pid == pid, w.tier == tier, w.start_at == start_at)
    if tx.on_postgres:
        counts = counts.with_for_update(read=True)  # until this ends nobody begins another one
    kept = [gen for gen in tx.conn.execute(counts).one() if gen is not None]
    of_window = (r.pid == pid, r.tier == tier, r.start_at == start_at, r.gen.not_in(kept))
    n = 0
    for cube in cubes_left(tx, call_rollups, of_window, Cube):
        n += remove_some(tx, call_rollups, (*of_window, r.cube == cube), ("gen", "key1", "key2", "status"))
        if n >= PIECE:
            return True
    if tier != _TIER_HOUR:
        return False
    in_hour = (r.start_at >= start_at, r.start_at < start_at + _HOUR)
    minutes = (r.pid == pid, r.cube == int(Cube.TOTAL), r.tier == TIER_MINUTE, *in_hour, r.gen.not_in(kept))
    return remove_some(tx, call_rollups, minutes, ("start_at", "gen", "status")) == PIECE


_INSERT = Prepared(lambda _: sa.insert(call_rollups))
