"""What each meter's figures of a day are known by, so that one meter's change does not put another's in doubt.

A fingerprint is of stored rows: it tells whether figures are as they were proved, and proves nothing. When a day was
folded anew its meters' fingerprints are looked at again: those that are as they were are sure again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.versions import Version
from heartfly.db.changes import Tx
from heartfly.db.models import proofs, rollups, unique_values, usage_days, windows
from heartfly.db.snapshots import Place, pages, snapshot
from heartfly.usage.distinct import Distinct
from heartfly.usage.meter_versions import versions_of

_SIZE = 16


class Prints:
    """Takes the rows of a day, version by version and in the order of their keys; then says a fingerprint a meter.

    Which version made a row does not matter, only how it adds up: a new one that comes to the same changes nothing.
    """

    def __init__(self, versions: Sequence[Version]) -> None:
        self._versions = versions
        self._of_version: dict[int, Any] = {}
        self._ways = {one.id: f"{one.meter.aggregation} {one.meter.percent}".encode() for one in versions}

    def take(self, row: Any) -> None:
        """Of `rollups`."""
        facts = (row.cube, row.subject_id, row.group_id, row.n, row.sum, row.min, row.max)
        self._note(row.version_id, repr((*facts, row.latest, row.latest_at, row.latest_id, row.histogram)))

    def take_uniques(self, version_id: int, counts: Mapping[int, int]) -> None:
        """How many different values each subject had; after the version's rows."""
        if counts:
            self._note(version_id, repr(sorted(counts.items())))

    def _note(self, version_id: int, text: str) -> None:
        digest = self._of_version.get(version_id)
        if digest is None:
            digest = self._of_version[version_id] = hashlib.blake2b(self._ways[version_id], digest_size=_SIZE)
        digest.update(text.encode())

    def by_meter(self) -> dict[int, bytes]:
        """Also of meters that count nothing there."""
        found = {version.meter_id: hashlib.blake2b(digest_size=_SIZE) for version in self._versions}
        for version in self._versions:
            if version.id in self._of_version:
                found[version.meter_id].update(self._of_version[version.id].digest())
        return {meter_id: digest.digest() for meter_id, digest in found.items()}


def events_digest(ids_sum: int, n_events: int) -> bytes:
    return hashlib.blake2b(ids_sum.to_bytes(16, "big") + n_events.to_bytes(8, "big"), digest_size=_SIZE).digest()


def unique_counts(
    connection: sa.Connection, pid: int, version_id: int, from_at: datetime, to_at: datetime
) -> dict[int, int]:
    """Different values by subject, of the hours that begin in [from_at, to_at)."""
    of_window = sa.and_(
        windows.c.pid == pid,
        windows.c.tier == "hour",
        windows.c.start_at == unique_values.c.start_at,
        windows.c.gen == unique_values.c.gen,
    )
    query = (
        sa.select(unique_values.c.subject_id, unique_values.c.value)
        .join(windows, of_window)
        .where(unique_values.c.pid == pid, unique_values.c.version_id == version_id)
        .where(unique_values.c.start_at >= from_at, unique_values.c.start_at < to_at)
    )
    with Distinct() as found:
        for page in pages(connection, query):
            found.add((subject_id, bytes(value)) for subject_id, value in page)
        return found.counts()


def rows_of_day(pid: int, version_id: int, from_at: datetime, gen: int) -> sa.Select[Any]:
    """A generation of the day that begins then, in the order of the keys."""
    return (
        sa.select(rollups)
        .where(rollups.c.pid == pid, rollups.c.version_id == version_id, rollups.c.cube.in_((0, 1)))
        .where(rollups.c.tier == "day", rollups.c.start_at == from_at, rollups.c.gen == gen)
        .order_by(rollups.c.cube, rollups.c.subject_id, rollups.c.group_id)
    )


def by_whole_hours(from_at: datetime, to_at: datetime) -> bool:
    """Whether the hours of UTC and the day share their edges; else hours say nothing of the day."""
    return from_at.minute == to_at.minute == 0


# --- after a day was folded anew


@dataclass(frozen=True, slots=True)
class Printed:
    """The fingerprints of a generation of a day."""

    gen: int
    by_meter: Mapping[int, bytes]
    versions: Sequence[int]


def printed(place: Place, pid: int, from_at: datetime, to_at: datetime) -> Printed | None:
    """None: nobody has proved that day, or it is to be folded once more."""
    with snapshot(place) as connection:
        proved = (usage_days.c.pid == pid, usage_days.c.from_at == from_at, proofs.c.moved)
        of_day = sa.and_(proofs.c.pid == usage_days.c.pid, proofs.c.day == usage_days.c.day)
        doubted = sa.select(proofs.c.meter_id).select_from(usage_days).join(proofs, of_day).where(*proved)
        gen = connection.execute(_that_counts(pid, from_at)).scalar()
        if gen is None or connection.execute(doubted.limit(1)).first() is None:
            return None
        versions = versions_of(connection, pid)
        prints = Prints(versions)
        for version in versions:
            query = rows_of_day(pid, version.id, from_at, gen)
            for row in connection.execution_options(yield_per=5_000).execute(query):
                prints.take(row)
            if version.meter.of and by_whole_hours(from_at, to_at):
                prints.take_uniques(version.id, unique_counts(connection, pid, version.id, from_at, to_at))
        return Printed(gen, prints.by_meter(), [version.id for version in versions])


def settle(tx: Tx, pid: int, from_at: datetime, found: Printed) -> bool:
    """Meters whose figures are as they were proved are sure again. The day itself waits to be closed.

    True: that are all of them, so that these rows stand for what was proved, and the former ones are needed no more.
    """
    if tx.conn.execute(_that_counts(pid, from_at)).scalar() != found.gen:
        return False
    days = sa.select(usage_days.c.day).where(
        usage_days.c.pid == pid, usage_days.c.from_at == from_at, usage_days.c.mismatch == ""
    )
    moved = (proofs.c.pid == pid, proofs.c.day.in_(days), proofs.c.moved)
    same = [
        row.meter_id
        for row in tx.conn.execute(sa.select(proofs.c.meter_id, proofs.c.fingerprint).where(*moved)).all()
        if found.by_meter.get(row.meter_id) == bytes(row.fingerprint)
    ]
    if same:
        tx.conn.execute(sa.update(proofs).where(*moved, proofs.c.meter_id.in_(same)).values(moved=False))
    if not same or tx.conn.execute(sa.select(proofs.c.meter_id).where(*moved).limit(1)).first() is not None:
        return False
    day = (windows.c.pid == pid, windows.c.tier == "day", windows.c.start_at == from_at)
    tx.conn.execute(sa.update(windows).where(*day).values(proved_gen=found.gen, unswept=True))
    return True


def _that_counts(pid: int, from_at: datetime) -> sa.Select[Any]:
    day = (windows.c.pid == pid, windows.c.tier == "day", windows.c.start_at == from_at)
    return sa.select(windows.c.gen).where(*day, ~windows.c.stale)
