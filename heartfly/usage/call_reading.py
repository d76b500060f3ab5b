"""What folding calls needs of a project, in one state of the data: prices, names, and what stands already.

Only reads. What calls come to is decided in call_fold.py, and who may have which number in call_rows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal, Inexact
from functools import lru_cache, reduce
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.amounts import PLACES
from heartfly.core.calls import TYPE, UNITS, UNPRICED, Cube, Named
from heartfly.core.columns import Amounts, Page
from heartfly.core.money import MONEY_PLACES
from heartfly.core.packed import apart, merged, packed
from heartfly.db.models import call_names, call_rollups, usage_names, windows
from heartfly.db.snapshots import as_read, pages
from heartfly.usage.call_books import Books
from heartfly.usage.call_fold import NAMED, CallTally
from heartfly.usage.calls import Calls, Cell, Measures, Row, added, in_order
from heartfly.usage.reading import by_size, read_events
from heartfly.usage.requests import Limits

MEASURES = "measures"
"""The kind of names that say what a row's amounts are of."""
_EXACT = Context(prec=2_000, traps=[Inexact])
_HALF = 1 << 32


def call_tally(connection: sa.Connection, pid: int, from_at: datetime, limits: Limits) -> CallTally:
    return CallTally(limits, Books(connection, pid), known_names(connection, pid), from_at)


def known_names(connection: sa.Connection, pid: int) -> Mapping[Named, Mapping[str, int]]:
    query = sa.select(call_names.c.kind, call_names.c.text, call_names.c.id).where(
        call_names.c.pid == pid, call_names.c.kind.in_([kind.value for kind in NAMED])
    )
    found: dict[Named, dict[str, int]] = {kind: {} for kind in NAMED}
    for row in connection.execute(query):
        found[Named(row.kind)][row.text] = row.id
    return found


def measures_called(connection: sa.Connection, pid: int, numbers: Iterable[int]) -> Mapping[int, Measures]:
    """By number."""
    query = sa.select(call_names.c.id, call_names.c.text).where(
        call_names.c.pid == pid, call_names.c.id.in_(sorted(numbers))
    )
    return {row.id: tuple(row.text.split()) for row in connection.execute(query)}


def call_type(connection: sa.Connection, pid: int) -> int | None:
    """The number of the type that calls are events of; None: none ever came."""
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.text == TYPE, usage_names.c.kind == "type"
    )
    return connection.execute(query).scalar()


def fold_calls(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime, limits: Limits) -> Calls:
    """Of the raw events of [from_at, to_at), when nothing else of them is asked for."""
    type_id = call_type(connection, pid)
    tally, known = call_tally(connection, pid, from_at, limits), Amounts()
    if type_id is not None:
        names = ("at", "id", "type_id", "subject_id", "transaction_id", "properties")
        for page in read_events(connection, pid, from_at, to_at, *names):
            for rows in by_size([row for row in page if row[2] == type_id], 5):
                tally.take(Page([row[5] for row in rows], known), rows)
    return tally.found()


# --- rows that stand already, added up by the database as far as it can be exact

COUNTS = ("n", "n_errors", "n_timed", "n_unpriced", "n_odd")


def sums_of(
    connection: sa.Connection | AsyncConnection, *, times: bool, ends: bool = True, counts: Sequence[str] = COUNTS
) -> list[sa.ColumnElement[Any]]:
    """Columns of many rows of one kind of measures as one row (`row_of`). In halves: what rows hold may be more than a
    database adds up. `ends`: with `first_at` and `last_at`, which only cubes with a status have.
    """
    return list(_sums_of(connection.dialect.name, times, ends, tuple(counts)))


@lru_cache(maxsize=32)
def _sums_of(dialect: str, times: bool, ends: bool, counts: Sequence[str]) -> Sequence[sa.ColumnElement[Any]]:  # noqa: FBT001
    """To make them takes as long as to read some rows of them."""
    r = call_rollups.c
    sums = [sa.func.sum(r[name]) if name in counts else sa.literal(0) for name in COUNTS]
    return [
        *(sa.cast(one, sa.BigInteger) for one in sums),
        *(sa.cast(sa.func.sum(half), sa.BigInteger) for half in (r.latency_us // _HALF, r.latency_us % _HALF)),
        sa.func.max(r.latency_max_us),
        _blobs(dialect, r.latencies) if times else sa.null(),
        sa.func.aggregate_strings(r.amounts, " "),
        sa.func.min(r.first_at) if ends else sa.null(),
        sa.func.max(r.last_at) if ends else sa.null(),
    ]


def _blobs(dialect: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    digits = sa.func.hex(column) if dialect == "sqlite" else sa.func.encode(column, "hex")
    return sa.func.aggregate_strings(sa.case((column.is_not(None), sa.type_coerce(digits, sa.Text))), ",")


def row_of(told: Sequence[Any], measures: Measures, instant: Callable[[Any], Any]) -> Row:
    """`told`: the columns of `sums_of`. `instant`: makes one of what the driver hands out."""
    n, n_errors, n_timed, n_unpriced, n_odd, us, us_low, longest, latencies, amounts, first_at, last_at = told
    return Row(
        *(n, n_errors, n_timed, n_unpriced, n_odd, us * _HALF + us_low, longest),
        None if latencies is None else _packed(latencies),
        measures,
        added_up(amounts, measures),
        instant(first_at),
        instant(last_at),
    )


def _packed(latencies: str) -> bytes:
    if "," not in latencies:
        return bytes.fromhex(latencies)
    found = merged(apart(latencies))
    return packed(found.zero, found.above)


def added_up(amounts: str, measures: Measures) -> tuple[int, ...]:
    """`amounts`: those of many rows, one behind the other."""
    # As JSON they are read in half the time that Python takes for each text; a number with places becomes a Decimal.
    told, n = _NUMBERS.decode(f"[{amounts.replace(' ', ',')}]"), len(measures)
    return tuple([_sum(told[place::n], measure[0]) for place, measure in enumerate(measures)])


_NUMBERS = msgspec.json.Decoder(list[Any], float_hook=Decimal)


def _sum(numbers: Sequence[int | Decimal], of: str) -> int:
    if of in _WHOLE:
        total = sum(numbers)
        if isinstance(total, int):  # most units are whole; of others this sum is not exact
            return total * 10**PLACES if of == UNITS else total
    return int(_EXACT.scaleb(reduce(_EXACT.add, numbers), PLACES if of == UNITS else MONEY_PLACES))


_WHOLE = frozenset({UNITS, UNPRICED})


def stored_calls(
    connection: sa.Connection, pid: int, tier: str, from_at: datetime, to_at: datetime, *, limits: Limits
) -> Calls:
    """What the windows of a tier that begin in [from_at, to_at) hold, put together; not those that were thinned."""
    w, r = windows.c, call_rollups.c
    whole = (w.pid == pid, w.tier == tier, ~w.thinned, w.gen.is_not(None), w.start_at >= from_at, w.start_at < to_at)
    query = sa.select(w.start_at, w.gen).where(*whole)
    counting = query.cte("counting").prefix_with("MATERIALIZED")
    same = sa.and_(r.start_at == counting.c.start_at, r.gen == counting.c.gen)
    place = (r.key1, r.key2, r.status, r.measures)
    instant = as_read(connection, r.first_at)
    numbers: set[int] = set()
    told: list[tuple[Cell, int, Sequence[Any]]] = []
    for cube in Cube:
        rows = sa.select(*place, *sums_of(connection, times=True)).select_from(counting.join(call_rollups, same))
        rows = rows.where(r.pid == pid, r.cube == sa.literal(int(cube), literal_execute=True), r.tier == tier)
        for page in pages(connection, rows.group_by(*place)):
            for key1, key2, status, measures, *sums in page:
                numbers.add(measures)
                told.append(((int(cube), key1, key2, status), measures, sums))
    called = measures_called(connection, pid, numbers)

    def cells() -> Iterator[tuple[Cell, Row]]:
        for cell, measures, sums in told:
            yield cell, row_of(sums, called[measures], instant)

    version = sa.select(sa.func.max(w.prices)).where(*whole)
    return Calls(limits, connection.execute(version).scalar(), cells=in_order(added(cells())))
