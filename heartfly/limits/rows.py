"""What checks read and write, a statement each: counters, reservations, and what is told of who was denied.

Whoever writes counters holds the project's limits first (`hold_limits`). What the rows mean is decided in
core/limits/.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from heartfly.core.limits.ledger import Hold, Ledger
from heartfly.core.limits.rules import Key
from heartfly.db.changes import Tx
from heartfly.db.models import limit_books, limit_counters, limit_denials, limit_hours, limit_reservations
from heartfly.db.prepared import Found, Prepared, Together, among, asked
from heartfly.db.types import instant, micros

MOST_LEVEL = 1_000_000_000
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Of a counter that ends later: every zone of a clock still has a date for it."""
MOST_WAIT_US = 2**62
_LATEST_US = micros(LATEST)


def hold_limits(tx: Tx, pid: int) -> None:
    """Until this transaction ends nobody else counts for the project.

    Two nodes that check at one time: the second waits, and finds what the first has taken. Who holds events as well
    (usage.apply.hold_events) holds those first, and projects come in the order of their numbers.
    """
    if tx.on_postgres:
        HOLD.found(tx, pid=pid)


def texts_of(tx: Tx, pid: int, keys: Collection[Key]) -> dict[Key, str]:
    """Of these counters those that were ever written. Of those of other limits with the same values some more."""
    return texts_in(COUNTERS.found(tx, **counters_of(pid, keys))) if keys else {}


def counters_of(pid: int, keys: Collection[Key]) -> dict[str, Any]:
    """What COUNTERS is asked with."""
    return {
        "pid": pid,
        "of_limits": sorted({key[0] for key in keys}),
        "scopes": sorted({scope_text(key[1]) for key in keys}),
    }


def texts_in(found: Found) -> dict[Key, str]:
    """What COUNTERS found."""
    return {(row.limit_id, values_of(row.scope)): row.state for row in found.told(found.rows)}


@dataclass(frozen=True, slots=True)
class Read:
    """`rev`: the number of the project's limits; `overdue`: reservations that have expired; `wanted`: those asked for;
    `texts`: counters, as texts_of.
    """

    rev: int
    overdue: Sequence[Any]
    wanted: Sequence[Any]
    texts: dict[Key, str]


def read(
    tx: Tx,
    pid: int,
    now: datetime,
    *,
    most: int,
    numbers: Collection[int],
    keys: Collection[str],
    likely: Collection[Key],
) -> Read | None:
    """Hold the project's limits, and read what a batch needs, in one round to PostgreSQL. None: there are no limits.

    `likely`: counters; it may turn out that others are needed.
    """
    questions: list[tuple[Prepared, Mapping[str, Any]]] = [(OPENED, {"pid": pid, "now": now, "most": most})]
    if likely:
        questions.append((COUNTERS, counters_of(pid, likely)))
    n_before = len(questions)
    if numbers:
        questions.append((BY_ID, {"pid": pid, "numbers": sorted(numbers)}))
    if keys:
        questions.append((BY_KEY, {"pid": pid, "keys": sorted(keys)}))
    hold = [(HOLD, {"pid": pid})] if tx.on_postgres else []  # as hold_limits, before all else
    found = asked(tx, *hold, *questions)[len(hold) :]
    opened = found[0].told(found[0].rows)
    if not opened:
        return None
    return Read(
        rev=opened[0].rev,
        overdue=[row for row in opened if row.id is not None],
        wanted=[row for some in found[n_before:] for row in some.told(some.rows)],
        texts=texts_in(found[1]) if likely else {},
    )


def put_counters(tx: Tx, pid: int, ledger: Ledger) -> None:
    PUT_COUNTERS.run(tx, counter_rows(pid, ledger))


def counter_rows(pid: int, ledger: Ledger) -> list[Mapping[str, Any]]:
    """Of those that the ledger has changed."""
    made: list[Mapping[str, Any]] = []
    for (limit_id, values), (limit, counter) in ledger.changed.items():
        level = counter.used * 1_000 // limit.most if limit.most else MOST_LEVEL
        made.append(
            {
                "pid": pid,
                "limit_id": limit_id,
                "scope": scope_text(values),
                "state": counter.written(),
                "level": min(level, MOST_LEVEL),
                "ends_at": instant(min(counter.ends_us(), _LATEST_US)),
            }
        )
    return made


@lru_cache(20_000)
def scope_text(values: tuple[str, ...]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) if values else "[]"


@lru_cache(20_000)
def values_of(text: str) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(text, type=list[str])) if text != "[]" else ()


def holds_text(holds: Iterable[Hold]) -> str:
    return msgspec.json.encode(
        [(str(one.key[0]), one.key[1], one.unit, str(one.amount), one.mark) for one in holds]
    ).decode()


def holds_of(text: str) -> list[Hold]:
    found = msgspec.json.decode(text, type=list[tuple[str, tuple[str, ...], str, str, str]])
    return [Hold((int(one[0]), one[1]), one[2], int(one[3]), one[4]) for one in found]


def put_hours(tx: Tx, pid: int, hour: datetime, counts: Mapping[int, Sequence[int]]) -> None:
    HOURS.run(tx, hour_rows(pid, hour, counts))


def hour_rows(pid: int, hour: datetime, counts: Mapping[int, Sequence[int]]) -> list[Mapping[str, Any]]:
    """`counts`: by limit, how many were checked, denied, and let through unseen. They are added to what is there."""
    return [
        {"pid": pid, "limit_id": limit_id, "hour": hour, "checked": n[0], "denied": n[1], "opened": n[2]}
        for limit_id, n in sorted(counts.items())
    ]


_C, _R = limit_counters.c, limit_reservations.c


def _put_counters(tx: Tx) -> Any:
    insert = tx.insert(limit_counters)
    fresh = {name: insert.excluded[name] for name in ("state", "level", "ends_at")}
    return insert.on_conflict_do_update(index_elements=["pid", "limit_id", "scope"], set_=fresh)


def _add_denials(tx: Tx) -> Any:
    insert = tx.insert(limit_denials)
    newest = {name: insert.excluded[name] for name in ("last_at", "call", "wanted", "used", "wait_us")}
    return insert.on_conflict_do_update(
        index_elements=["pid", "limit_id", "minute", "scope"],
        set_=newest | {"n": limit_denials.c.n + insert.excluded.n},
    )


def _add_hours(tx: Tx) -> Any:
    insert = tx.insert(limit_hours)
    added = {name: limit_hours.c[name] + insert.excluded[name] for name in ("checked", "denied", "opened")}
    return insert.on_conflict_do_update(index_elements=["pid", "limit_id", "hour"], set_=added)


HOLD = Prepared(
    lambda _: sa.select(
        sa.func.pg_advisory_xact_lock(sa.func.hashtextextended("limits", sa.bindparam("pid", type_=_C.pid.type))).label(
            "held"
        )
    )
)
"""On PostgreSQL, as hold_limits."""
COUNTERS = Prepared(
    lambda tx: sa.select(_C.limit_id, _C.scope, _C.state).where(
        _C.pid == sa.bindparam("pid"), among(tx, _C.limit_id, "of_limits"), among(tx, _C.scope, "scopes")
    )
)
# Whoever writes these has one row of each, and holds the project's limits.
_OVERDUE = (_R.state == "held", _R.expires_at <= sa.bindparam("now"))
PUT_COUNTERS = Prepared(_put_counters, apart=True)
DENIALS = Prepared(_add_denials, apart=True)
HOURS = Prepared(_add_hours, apart=True)
RESERVE = Prepared(lambda _: sa.insert(limit_reservations))
FOLLOWS = Together(PUT_COUNTERS, RESERVE, DENIALS, HOURS)
"""What follows from a batch."""
END = Prepared(
    lambda _: (
        sa.update(limit_reservations)
        .where(_R.pid == sa.bindparam("b_pid"), _R.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(name) for name in ("state", "key_hash", "told", "holds")})
    ),
    apart=True,
    locked=True,
)


OPENED = Prepared(
    lambda _: (
        sa.select(limit_books.c.rev, limit_reservations)
        .select_from(limit_books.outerjoin(limit_reservations, sa.and_(_R.pid == limit_books.c.pid, *_OVERDUE)))
        .where(limit_books.c.pid == sa.bindparam("pid"))
        .order_by(_R.expires_at)
        .limit(sa.bindparam("most"))
    ),
    # A plan from when there were few, or none, goes through all reservations of the project until the server has
    # counted them anew: two milliseconds of each check, after a minute of many.
    anew=True,
)
"""The number of the project's limits, and with it what has expired; nothing: it has no limits."""
BY_ID = Prepared(
    lambda tx: sa.select(limit_reservations).where(_R.pid == sa.bindparam("pid"), among(tx, _R.id, "numbers"))
)
BY_KEY = Prepared(
    lambda tx: sa.select(limit_reservations).where(_R.pid == sa.bindparam("pid"), among(tx, _R.key_hash, "keys"))
)
