"""A batch of events in one transaction: tell what is new from what is known, write the one, answer for both.

The handler that the group commit calls. What an event is, and when two are the same, is decided in core/events.py.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa

from heartfly.core.by_column import EventColumns
from heartfly.core.events import Event, Rejected
from heartfly.core.limits.tracked import CALL
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import dead_letters, dirty_hours, event_conflicts, event_ids, intake, usage_names
from heartfly.db.prepared import Prepared, among
from heartfly.db.types import EPOCH
from heartfly.usage.all_new import INSERT_EVENTS, newest_of_hours, write_new
from heartfly.usage.names import new_numbers
from heartfly.usage.sources import Heard, hear


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"  # this very event is kept already
    CONFLICT = "conflict"  # another one is kept under its transaction id, and stays the one that counts
    REJECTED = "rejected"  # no event: it lies in the dead letter


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one event. `field` and `reason` of a rejected one."""

    outcome: Outcome
    field: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that came as an event and is none. `raw`: as much of it as is kept, as text."""

    why: Rejected
    raw: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brought. `wire`: the format that it came in. `sources`: what each told."""

    pid: int
    wire: str
    received_at: datetime
    items: Sequence[Event | Refused] | EventColumns
    sources: Mapping[str, Heard] = field(default_factory=dict)


@dataclass(slots=True)
class _Project:
    """One project's part of a batch: who was first under each transaction id, and the rows to write at the end.

    `firsts`: number and fingerprint of the event that counts. `fresh`: hashes of those that this batch brought and
    nobody has been told of yet.
    """

    ids: IdSource
    hashes: Mapping[str, bytes]
    firsts: Mapping[bytes, tuple[int, bytes]]
    fresh: set[bytes]
    types: Mapping[str, int]
    subjects: Mapping[str, int]
    events: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Event] = field(default_factory=list)

    def tell(self, batch: Batch, item: Event | Refused) -> Told:
        if isinstance(item, Refused):
            self.letters.append(_letter(batch, item, self.ids.next(batch.received_at)))
            return Told(Outcome.REJECTED, item.why.field, item.why.reason)
        id_hash = self.hashes[item.transaction_id]
        number, fingerprint = self.firsts[id_hash]
        if id_hash in self.fresh:
            self.fresh.remove(id_hash)
            if item.type == CALL:
                self.calls.append(item)
            self.events.append(
                {
                    "pid": batch.pid,
                    "id": number,
                    "received_at": batch.received_at,
                    "at": item.at,
                    "type_id": self.types[item.type],
                    "subject_id": self.subjects[item.subject],
                    "transaction_id": item.transaction_id,
                    "properties": item.properties,
                }
            )
            return _ACCEPTED
        if fingerprint == item.fingerprint:
            return _DUPLICATE
        self.conflicts.append(
            {
                "pid": batch.pid,
                "id": self.ids.next(batch.received_at),
                "event_id": number,
                "received_at": batch.received_at,
                "at": item.at,
                "type": item.type,
                "subject": item.subject,
                "transaction_id": item.transaction_id,
                "properties": item.properties,
            }
        )
        return _CONFLICT


class TellsOfCalls(Protocol):
    def __call__(self, tx: Tx, pid: int, calls: Sequence[Event], /, *, now: datetime) -> None: ...


class EventApplier:
    def __init__(self, ids: IdSource, *, calls: TellsOfCalls | None = None) -> None:
        """`calls` is told of calls to somebody's API that are new, in the transaction that writes them."""
        self._ids = ids
        self._calls = calls
        self._names: dict[tuple[int, str, str], int] = {}
        """Names that are committed: a transaction that fails takes along those that it made."""

    def apply(self, tx: Tx, batches: Sequence[Batch]) -> list[list[Told]]:
        """For each batch what became of each of its events, in order. An event that comes twice counts once."""
        told: dict[int, list[Told]] = {}
        by_project: dict[int, list[int]] = {}
        for place, batch in enumerate(batches):
            by_project.setdefault(batch.pid, []).append(place)
        for pid in sorted(by_project):
            hold_events(tx, pid)
            told |= self._of_project(tx, pid, {place: batches[place] for place in by_project[pid]})
        return [told[place] for place in range(len(batches))]

    def _of_project(self, tx: Tx, pid: int, batches: Mapping[int, Batch]) -> dict[int, list[Told]]:
        found = _columns_of([batch.items for batch in batches.values()])
        hashes = hashes_of(found.ids)
        now = max(batch.received_at for batch in batches.values())
        prints = _first_of_each(hashes, found.prints)
        numbers = self._ids.several(now, len(prints))
        known = _settle(tx, pid, prints, numbers)
        types, subjects = self._name_ids(tx, pid, found, now)
        calls: list[Event] = []
        newest: Mapping[int, int]
        if prints and not known and len(prints) == sum(len(batch.items) for batch in batches.values()):
            # Not one of them was known, or came twice.
            calls = [event for event in found if event.type == CALL] if CALL in types else []
            received = [(batch.received_at, len(batch.items)) for batch in batches.values()]
            newest = write_new(tx, pid, found, numbers, received=received, types=types, subjects=subjects)
            told = {place: [_ACCEPTED] * len(batch.items) for place, batch in batches.items()}
        else:
            firsts = dict(zip(prints, zip(numbers, prints.values(), strict=True), strict=True)) | known
            fresh = prints.keys() - known.keys()
            by_name = dict(zip(found.ids, hashes, strict=True))
            project = _Project(self._ids, by_name, firsts, fresh, types, subjects, calls=calls)
            told = {place: [project.tell(batch, item) for item in batch.items] for place, batch in batches.items()}
            newest = _write(tx, project)
        _MARK.run(tx, [{"pid": pid, "hour": EPOCH + hour * HOUR, "seq": newest[hour]} for hour in sorted(newest)])
        heard = [one for batch in batches.values() for one in batch.sources.items()]
        if heard:
            hear(tx, pid, heard)
        if calls and self._calls is not None:
            self._calls(tx, pid, calls, now=now)
        _INTAKE.run(tx, list(_intake(pid, ((batch.received_at, told[place]) for place, batch in batches.items()))))
        return told

    def _name_ids(
        self, tx: Tx, pid: int, found: EventColumns, now: datetime
    ) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """The numbers of types and of subjects, those that nobody has used before included."""
        types, subjects = set(found.types), set(found.subjects)
        wanted = {(_TYPE, text) for text in types} | {(_SUBJECT, text) for text in subjects}
        ids = {name: self._names[pid, *name] for name in wanted if (pid, *name) in self._names}
        if missing := wanted - ids.keys():
            ids |= self._named(tx, pid, missing, now)
        return {text: ids[_TYPE, text] for text in types}, {text: ids[_SUBJECT, text] for text in subjects}

    def _named(self, tx: Tx, pid: int, missing: set[tuple[str, str]], now: datetime) -> Mapping[tuple[str, str], int]:
        texts = list({text for _, text in missing})
        rows = _NAMES.rows(tx, pid=pid, texts=texts)
        stored = {(row.kind, row.text): row.id for row in rows}
        new = sorted(missing - stored.keys())
        made = dict(zip(new, new_numbers(tx, len(new), at=now, ids=self._ids), strict=True))
        _INSERT_NAMES.run(tx, [{"pid": pid, "id": id_, "kind": name[0], "text": name[1]} for name, id_ in made.items()])
        found = stored | made
        tx.after.append(lambda: self._remember(pid, found))
        return found

    def _remember(self, pid: int, found: Mapping[tuple[str, str], int]) -> None:
        if len(self._names) + len(found) > _MOST_NAMES:
            self._names.clear()
        self._names |= {(pid, *name): id_ for name, id_ in found.items()}


_TYPE, _SUBJECT = "type", "subject"
_MOST_NAMES = 200_000
_ACCEPTED, _DUPLICATE, _CONFLICT = Told(Outcome.ACCEPTED), Told(Outcome.DUPLICATE), Told(Outcome.CONFLICT)


def counted(told: Sequence[Told]) -> Counter[Outcome]:
    """How many of each. Nearly always all were accepted."""
    if told and all(one is _ACCEPTED for one in told):
        return Counter({Outcome.ACCEPTED: len(told)})
    return Counter(one.outcome for one in told)


def hash_of(transaction_id: str) -> bytes:
    """11 bytes that stand for a transaction id.

    Of a billion events of one project two have the same by a chance of one to 600 million, and each byte is one of each
    event's. The second would be told as a conflict, and kept aside.
    """
    return hashlib.blake2b(transaction_id.encode(), digest_size=16).digest()[:11]


def hashes_of(transaction_ids: Sequence[str]) -> list[bytes]:
    """The same of each: to call for each takes a fifth longer."""
    made = hashlib.blake2b
    return [made(one.encode(), digest_size=16).digest()[:11] for one in transaction_ids]


def _columns_of(items: Sequence[Sequence[Event | Refused] | EventColumns]) -> EventColumns:
    """Those that are events, in order."""
    if len(items) == 1 and isinstance(items[0], EventColumns):
        return items[0]
    found = [one for some in items for one in some if isinstance(one, Event)]
    return EventColumns(*(zip(*found, strict=True) if found else [()] * len(Event._fields)))


def _letter(batch: Batch, item: Refused, number: int) -> dict[str, Any]:
    return {
        "pid": batch.pid,
        "id": number,
        "received_at": batch.received_at,
        "wire": batch.wire,
        "raw": item.raw,
        "field": item.why.field,
        "reason": item.why.reason,
        "state": "open",
    }


def hold_events(tx: Tx, pid: int) -> None:
    """Until this transaction ends nobody else writes events of the project.

    Two nodes that take the same event at one time: the second waits, and finds what the first has written.
    """
    if tx.on_postgres:
        tx.conn.execute(_LOCK, {"key": pid})


_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('events', :key))")


def _first_of_each(hashes: Sequence[bytes], prints: Sequence[bytes]) -> dict[bytes, bytes]:
    """By the hashes of their transaction ids, the fingerprints of those events of a batch that may count."""
    firsts = dict(zip(hashes, prints, strict=True))
    if len(firsts) < len(hashes):
        firsts.clear()
        for id_hash, fingerprint in zip(hashes, prints, strict=True):
            firsts.setdefault(id_hash, fingerprint)
    return firsts


def _settle(tx: Tx, pid: int, prints: Mapping[bytes, bytes], numbers: Sequence[int]) -> dict[bytes, tuple[int, bytes]]:
    """Of the transaction ids that were known already, number and fingerprint of the event that counts. The others are
    kept from now on, with these numbers.

    They are written without a look first: most of what comes was never seen before, and to write has to look anyway. In
    their order: in which a page is filled after the other, and two nodes that write the same ones wait for each other.
    """
    hashes = sorted(prints)
    mine = dict(zip(prints, numbers, strict=True))
    made: dict[str, Sequence[Any]] = {
        "pid": [pid] * len(hashes),
        "id_hash": hashes,
        "event_id": [mine[one] for one in hashes],
        "fingerprint": [prints[one] for one in hashes],
    }
    known: dict[bytes, tuple[int, bytes]] = {}
    if _CLAIM_IDS.add(tx, made) == len(hashes):
        return known
    for start in range(0, len(hashes), _MOST_HASHES):
        for row in tx.conn.execute(of_hashes(pid, hashes[start : start + _MOST_HASHES])):
            id_hash = bytes(row.id_hash)
            if row.event_id != mine[id_hash]:
                known[id_hash] = (row.event_id, bytes(row.fingerprint))
    return known


_MOST_HASHES = 1_000


def of_hashes(pid: int, hashes: Sequence[bytes]) -> sa.Select[Any]:
    """The events with these transaction ids."""
    return sa.select(event_ids.c.id_hash, event_ids.c.event_id, event_ids.c.fingerprint).where(
        event_ids.c.pid == pid, event_ids.c.id_hash.in_(hashes)
    )


def _write(tx: Tx, written: _Project) -> Mapping[int, int]:
    """The newest number in each hour since EPOCH."""
    INSERT_EVENTS.run(tx, written.events)
    _INSERT_CONFLICTS.run(tx, written.conflicts)
    _INSERT_LETTERS.run(tx, written.letters)
    return newest_of_hours((row["at"], row["id"]) for row in written.events)


def _intake(pid: int, told: Iterable[tuple[datetime, Sequence[Told]]]) -> Iterable[Mapping[str, Any]]:
    """For each hour in which they came, how many of each outcome."""
    counts: dict[datetime, Counter[Outcome]] = {}
    for received_at, outcomes in told:
        counts.setdefault(received_at - (received_at - EPOCH) % HOUR, Counter()).update(counted(outcomes))
    for hour in sorted(counts):
        yield {"pid": pid, "hour": hour} | {name: counts[hour][outcome] for outcome, name in _COUNTERS.items()}


_COUNTERS = {
    Outcome.ACCEPTED: "accepted",
    Outcome.DUPLICATE: "duplicates",
    Outcome.CONFLICT: "conflicts",
    Outcome.REJECTED: "rejected",
}


def _add(tx: Tx) -> Any:
    insert = tx.insert(intake)
    added = {name: intake.c[name] + insert.excluded[name] for name in _COUNTERS.values()}
    return insert.on_conflict_do_update(index_elements=["pid", "hour"], set_=added)


def _mark(tx: Tx) -> Any:
    insert = tx.insert(dirty_hours)
    return insert.on_conflict_do_update(index_elements=["pid", "hour"], set_={"seq": insert.excluded.seq})


_MARK = Prepared(_mark)
_CLAIM_IDS = Prepared(lambda tx: tx.insert(event_ids).on_conflict_do_nothing())
_INTAKE = Prepared(_add)
_INSERT_CONFLICTS = Prepared(lambda _: sa.insert(event_conflicts))
_INSERT_LETTERS = Prepared(lambda _: sa.insert(dead_letters))
_INSERT_NAMES = Prepared(lambda _: sa.insert(usage_names))
_NAMES = Prepared(
    lambda tx: sa.select(usage_names.c.kind, usage_names.c.text, usage_names.c.id).where(
        usage_names.c.pid == sa.bindparam("pid"),
        among(tx, usage_names.c.text, "texts"),
    )
)
