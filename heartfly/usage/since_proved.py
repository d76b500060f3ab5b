"""What a day's figures were proved to be, beside what its events come to now: by meter and customer, for people.

The rows that a day was proved with are kept until it is proved anew, so that this can be asked whatever was folded
meanwhile. Only reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.aggregate import Partial
from heartfly.core.amounts import text_of
from heartfly.core.meters import Aggregation, Meter
from heartfly.core.sketches import read as read_histogram
from heartfly.core.versions import Version
from heartfly.db.models import proofs, usage_days, windows
from heartfly.db.snapshots import Place, snapshot
from heartfly.usage.fold import BY_SUBJECT, TIER_DAY, fold_span
from heartfly.usage.meter_versions import versions_of
from heartfly.usage.named import Named
from heartfly.usage.proofs import Prints, rows_of_day

MOST = 100
"""Differences that are told one by one."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Of a meter and a customer: what was proved, and what it comes to now, exact; None where nothing counted.

    `proved_n`, `now_n`: of how many events. Different values (`unique`) are kept by the hour only: of those `proved` is
    None, and the events tell.
    """

    meter: str
    customer: str
    proved: str | None
    proved_n: int
    now: str | None
    now_n: int


@dataclass(slots=True)
class SinceProved:
    """`was_proved`: whether what it was proved with is kept. `n` counts also those that are not told.

    `unknown`: meters whose rows are not those any more that were proved, so that they tell nothing.
    """

    was_proved: bool = False
    n: int = 0
    changed: list[Changed] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


_Way = tuple[Aggregation, int]
_Sums = dict[tuple[int, int], dict[_Way, tuple[Meter, Partial]]]
"""By meter and subject; versions of one meter add up, as far as they add up alike."""


def since_proved(place: Place, pid: int, from_at: datetime, to_at: datetime) -> SinceProved:
    """Of a day, all in one state of the data."""
    with snapshot(place) as connection:
        day = (windows.c.pid == pid, windows.c.tier == TIER_DAY, windows.c.start_at == from_at)
        gen = connection.execute(sa.select(windows.c.proved_gen).where(*day)).scalar()
        if gen is None:
            return SinceProved()
        versions = versions_of(connection, pid)
        proved, unknown = _proved(connection, pid, from_at, gen, versions)
        now = _now(connection, pid, from_at, to_at, versions)
        named, found = Named(connection, pid), SinceProved(was_proved=True)
        slugs = {version.meter_id: named.slugs[version.id] for version in versions}
        found.unknown = sorted(slugs[meter_id] for meter_id in unknown)
        for meter_id, subject_id in sorted(proved.keys() | now.keys()):
            if meter_id in unknown:
                continue
            before, after = (one.get((meter_id, subject_id), {}) for one in (proved, now))
            told = (_value(before, stored=True), _n(before)), (_value(after), _n(after))
            if (_value(after, stored=True), _n(after)) == told[0]:
                continue
            found.n += 1
            if len(found.changed) < MOST:
                (was, was_n), (is_, is_n) = told
                found.changed.append(Changed(slugs[meter_id], named.customer(subject_id), was, was_n, is_, is_n))
        return found


def _proved(
    connection: sa.Connection, pid: int, from_at: datetime, gen: int, versions: Sequence[Version]
) -> tuple[_Sums, set[int]]:
    """With the meters of which nothing is known: their rows are not those any more that were proved."""
    found: _Sums = {}
    prints = Prints(versions)
    for version in versions:
        query = rows_of_day(pid, version.id, from_at, gen)
        for row in connection.execution_options(yield_per=5_000).execute(query):
            prints.take(row)
            if row.cube == BY_SUBJECT:
                _take(found, version, row.subject_id, _partial_of(row))
    of_day = sa.and_(proofs.c.pid == usage_days.c.pid, proofs.c.day == usage_days.c.day)
    kept = sa.select(proofs.c.meter_id, proofs.c.fingerprint).join(usage_days, of_day)
    kept = kept.where(usage_days.c.pid == pid, usage_days.c.from_at == from_at)
    of_hours = {version.meter_id for version in versions if version.meter.of}
    known = {row.meter_id: bytes(row.fingerprint) for row in connection.execute(kept)}
    now = prints.by_meter()
    unknown = {
        meter_id
        for meter_id, fingerprint in known.items()
        if fingerprint and meter_id not in of_hours and fingerprint != now[meter_id]
    }
    # A meter that is newer may have rows there too, which nobody has proved.
    return {key: ways for key, ways in found.items() if key[0] in known}, unknown


def _now(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime, versions: Sequence[Version]) -> _Sums:
    found: _Sums = {}
    of = {version.id: version for version in versions}
    for key, partial in fold_span(connection, pid, from_at, to_at).partials.items():
        if key.cube == BY_SUBJECT:
            _take(found, of[key.version_id], key.subject_id, partial)
    return found


def _take(into: _Sums, version: Version, subject_id: int, partial: Partial) -> None:
    meter = version.meter
    ways = into.setdefault((version.meter_id, subject_id), {})
    ways.setdefault((meter.aggregation, meter.percent), (meter, Partial()))[1].merge(partial)


def _value(ways: Mapping[_Way, tuple[Meter, Partial]], *, stored: bool = False) -> str | None:
    """`stored`: as far as a day's own rows tell it."""
    results = [None if stored and meter.of else partial.result(meter) for _, (meter, partial) in sorted(ways.items())]
    return " and ".join(text_of(one) for one in results if one is not None) or None


def _n(ways: Mapping[_Way, tuple[Meter, Partial]]) -> int:
    return sum(partial.n for _, partial in ways.values())


def _partial_of(row: Any) -> Partial:
    """Of a row of `rollups`; its unique values lie elsewhere."""
    return Partial(
        n=row.n,
        sum=row.sum,
        min=row.min,
        max=row.max,
        latest=row.latest,
        latest_place=None if row.latest_at is None else (row.latest_at, row.latest_id),
        histogram=None if row.histogram is None else read_histogram(json.loads(row.histogram)),
    )
