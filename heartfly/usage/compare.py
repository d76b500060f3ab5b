"""What stands in the rollups beside what their events come to now: for who wants to know before he lets it be done.

Only reads. An hour that is dirty waits to be folded: it differs by right, and is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from heartfly.core.aggregate import Partial
from heartfly.core.amounts import text_of
from heartfly.core.meters import Meter
from heartfly.core.windows import HOUR
from heartfly.db.models import dirty_hours, meter_versions, meters, usage_names, windows
from heartfly.db.snapshots import Place, snapshot
from heartfly.usage.call_compare import CALLS, differing_calls
from heartfly.usage.fold import BY_GROUP, TIER_DAY, TIER_HOUR, Folded, Key, day_of_hours, fold_span, stored
from heartfly.usage.meter_versions import versions_of
from heartfly.usage.request_compare import METER, differing
from heartfly.usage.requests import Limits

MOST = 100
"""Differences that are told one by one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one row: what is kept, and what it would be; None where there is no such row. `group`: JSON, or empty.

    Of requests `meter` is their type, and `group` the endpoint and the status in words; of calls likewise their cube.
    """

    tier: str
    start_at: datetime
    meter: str
    subject: str
    group: str
    kept: str | None
    would_be: str | None


@dataclass(slots=True)
class Compared:
    """`waiting`: hours with events that nobody has folded yet. `n_differences` counts also those that are not told.

    `n_unexplained`: of windows that do not wait. `n_sealed`: windows that were not looked at, as their events are gone.
    """

    n_windows: int = 0
    n_events: int = 0
    waiting: int = 0
    n_differences: int = 0
    n_unexplained: int = 0
    n_sealed: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: Compared) -> None:
        self.n_windows += other.n_windows
        self.n_events += other.n_events
        self.waiting += other.waiting
        self.n_differences += other.n_differences
        self.n_unexplained += other.n_unexplained
        self.n_sealed += other.n_sealed
        self.differences = (self.differences + other.differences)[:MOST]


def compare(place: Place, pid: int, from_at: datetime, to_at: datetime) -> Compared:
    """Windows that begin in [from_at, to_at), all in one state of the data: a day or so at once."""
    found = Compared()
    with snapshot(place) as connection:
        names = _Names(connection, pid)
        in_time = (windows.c.pid == pid, windows.c.start_at >= from_at, windows.c.start_at < to_at)
        whole = sa.select(windows).where(*in_time, windows.c.gen.is_not(None), ~windows.c.stale)
        rows = connection.execute(whole).all()
        end = max([to_at, *(row.end_at for row in rows)])
        marked = sa.select(dirty_hours.c.hour).where(dirty_hours.c.pid == pid)
        marked = marked.where(dirty_hours.c.hour > from_at - HOUR, dirty_hours.c.hour < end)
        marks = set(connection.execute(marked).scalars())
        dirty = {hour for hour in marks if from_at <= hour < to_at}
        kept = [row for row in rows if row.sealed_at is None]
        found.n_sealed = len(rows) - len(kept)
        dirty -= {row.start_at for row in rows if row.tier == TIER_HOUR and row.sealed_at is not None}
        waiting = dirty | {row.start_at for row in kept if row.tier == TIER_HOUR}
        thinned = {row.start_at for row in kept if row.thinned}
        for hour in sorted(waiting):
            limits = None if hour in thinned else Limits()
            fresh = fold_span(connection, pid, hour, hour + HOUR, limits)
            stands = stored(connection, pid, TIER_HOUR, hour, hour + HOUR, limits=limits)
            found.n_events += fresh.n_events
            _note(found, names.differing(TIER_HOUR, stands, fresh), waits=hour in dirty)
        for row in kept:
            if row.tier == TIER_DAY:
                stands = stored(connection, pid, TIER_DAY, row.start_at, row.start_at + HOUR, limits=Limits())
                fresh = day_of_hours(connection, pid, row.start_at, row.end_at, limits=Limits())
                # Of an hour that the day cuts in two its events were read, whether it is folded or not.
                cut = any(hour < edge < hour + HOUR for hour in marks for edge in (row.start_at, row.end_at))
                _note(found, names.differing(TIER_DAY, stands, fresh), waits=cut)
    return found


def _note(found: Compared, differing: Iterator[Difference], *, waits: bool = False) -> None:
    found.n_windows += 1
    found.waiting += waits
    for one in differing:
        found.n_differences += 1
        found.n_unexplained += not waits
        if len(found.differences) < MOST:
            found.differences.append(one)


class _Names:
    """What people call what has numbers."""

    def __init__(self, connection: sa.Connection, pid: int) -> None:
        self._connection = connection
        self._pid = pid
        of_meter = sa.and_(meters.c.pid == meter_versions.c.pid, meters.c.id == meter_versions.c.meter_id)
        slugs = sa.select(meter_versions.c.id, meters.c.slug).join(meters, of_meter).where(meter_versions.c.pid == pid)
        self._slugs: Mapping[int, str] = {row.id: row.slug for row in connection.execute(slugs)}
        self._meters: Mapping[int, Meter] = {one.id: one.meter for one in versions_of(connection, pid)}

    def differing(self, tier: str, kept: Folded, fresh: Folded) -> Iterator[Difference]:
        for key in sorted(kept.partials.keys() | fresh.partials.keys(), key=_order):
            stands, would_be = kept.partials.get(key), fresh.partials.get(key)
            if stands is not None and would_be is not None and tier == TIER_DAY:
                stands.uniques = would_be.uniques  # a day keeps none of its own
            if stands == would_be:
                continue
            meter = self._meters[key.version_id]
            yield Difference(
                tier=tier,
                start_at=kept.from_at,
                meter=self._slugs[key.version_id],
                subject=self._subject(key.subject_id),
                group=key.group if key.cube == BY_GROUP else "",
                kept=_told(stands, meter),
                would_be=_told(would_be, meter),
            )
        if kept.ids_sum != fresh.ids_sum or kept.n_events != fresh.n_events:
            counts = (f"{kept.n_events} events", f"{fresh.n_events} events")
            yield Difference(tier, kept.from_at, "", "", "", *counts)
        if kept.requests is not None and fresh.requests is not None:
            for one in differing(kept.requests, fresh.requests, self._subject):
                yield Difference(tier, kept.from_at, METER, *one)
        if kept.calls is not None and fresh.calls is not None:
            for one in differing_calls(kept.calls, fresh.calls, self._subject):
                yield Difference(tier, kept.from_at, CALLS, *one)

    def _subject(self, number: int) -> str:
        query = sa.select(usage_names.c.text).where(usage_names.c.pid == self._pid, usage_names.c.id == number)
        return str(self._connection.execute(query).scalar_one())


def _order(key: Key) -> tuple[int, int, int, str]:
    return key.version_id, key.cube, key.subject_id, key.group


def _told(partial: Partial | None, meter: Meter) -> str | None:
    if partial is None:
        return None
    result = partial.result(meter)
    return f"{'nothing' if result is None else text_of(result)} of {partial.n} events"
