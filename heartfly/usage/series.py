"""Cumulative readings: each is the event of what was added since the one before, in the transaction that keeps it.

So a reading that is sent again, or that two requests bring at one time, counts once. Which event an increase becomes is
the caller's; a series that was not read for KEEP is forgotten, and one that began before that does not count at first,
for it may have been one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.events import Event, Rejected
from heartfly.core.series import BrokenSeriesError, Reading, increase, kept, read
from heartfly.db.changes import Tx
from heartfly.db.models import metric_series
from heartfly.db.prepared import Prepared
from heartfly.db.types import micros
from heartfly.usage.apply import Batch, EventApplier, Refused, Told, hold_events

KEEP = timedelta(days=30)
_MOST_FORGOTTEN = 100


@dataclass(frozen=True, slots=True)
class Read:
    """One reading. `series`: 16 bytes, its start among what they stand for. `from_ns`: that start; `at_ns`: the
    reading's time, both of the epoch. `event`: what an increase since an instant becomes; None: it was nothing.
    """

    series: bytes
    from_ns: int
    at_ns: int
    reading: Reading
    event: Callable[[Reading, int], Event | Refused | None]
    raw: str


@dataclass(frozen=True, slots=True)
class Readings:
    """What one request brought, in order."""

    pid: int
    wire: str
    received_at: datetime
    reads: Sequence[Read]


class SeriesApplier:
    def __init__(self, events: EventApplier) -> None:
        self._events = events

    def apply(self, tx: Tx, items: Sequence[Readings]) -> list[list[Told | None]]:
        """What became of each: None of those that tell nothing new."""
        return [self._one(tx, item) for item in items]

    def _one(self, tx: Tx, item: Readings) -> list[Told | None]:
        hold_events(tx, item.pid)
        known = {series: row for series in dict.fromkeys(one.series for one in item.reads)
                 if (row := _last(tx, item.pid, series)) is not None}  # fmt: skip
        found: list[Event | Refused | None] = []
        fresh: dict[bytes, Read] = {}
        for one in item.reads:
            before = known.get(one.series)
            if before is not None and one.at_ns <= before[0]:
                found.append(None)
                continue
            found.append(_counts(one, before, item.received_at))
            known[one.series] = (one.at_ns, one.reading)
            fresh[one.series] = one
        _KEEP.run(tx, [
            {"pid": item.pid, "series": series, "at_ns": one.at_ns, "seen_at": item.received_at,
             "reading": kept(one.reading)}
            for series, one in fresh.items()
        ])  # fmt: skip
        _forget(tx, item.pid, item.received_at - KEEP)
        counted = [one for one in found if one is not None]
        told = iter(
            self._events.apply(tx, [Batch(item.pid, item.wire, item.received_at, counted)])[0] if counted else ()
        )
        return [None if one is None else next(told) for one in found]


def _counts(one: Read, before: tuple[int, Reading] | None, now: datetime) -> Event | Refused | None:
    if before is None:
        if one.from_ns < micros(now - KEEP) * 1_000:
            return Refused(Rejected("", f"its start is unknown or more than {KEEP.days} days ago; it counts from here"),
                           one.raw)  # fmt: skip
        return one.event(one.reading, one.from_ns)
    since, earlier = before
    try:
        return one.event(increase(earlier, one.reading), since)
    except BrokenSeriesError as error:
        return Refused(Rejected("", f"{error}; it counts from here"), one.raw)


def _last(tx: Tx, pid: int, series: bytes) -> tuple[int, Reading] | None:
    rows = _LAST.rows(tx, pid=pid, series=series)
    return (rows[0].at_ns, read(rows[0].reading)) if rows else None


def _forget(tx: Tx, pid: int, before: datetime) -> None:
    """Some of those that nobody has read for long, with each request: there is no hurry."""
    old = [row.series for row in _OLD.rows(tx, pid=pid, before=before)]
    _FORGET.run(tx, [{"of_pid": pid, "of_series": series} for series in old])


def _upsert(tx: Tx) -> Any:
    insert = tx.insert(metric_series)
    names = ("at_ns", "seen_at", "reading")
    return insert.on_conflict_do_update(
        index_elements=["pid", "series"], set_={name: insert.excluded[name] for name in names}
    )


_KEEP = Prepared(_upsert)
_LAST = Prepared(
    lambda _: sa.select(metric_series.c.at_ns, metric_series.c.reading).where(
        metric_series.c.pid == sa.bindparam("pid"), metric_series.c.series == sa.bindparam("series")
    )
)
_OLD = Prepared(
    lambda _: (
        sa.select(metric_series.c.series)
        .where(metric_series.c.pid == sa.bindparam("pid"), metric_series.c.seen_at < sa.bindparam("before"))
        .order_by(metric_series.c.seen_at)
        .limit(_MOST_FORGOTTEN)
    )
)
_FORGET = Prepared(
    lambda _: sa.delete(metric_series).where(
        metric_series.c.pid == sa.bindparam("of_pid"), metric_series.c.series == sa.bindparam("of_series")
    )
)
