"""A batch of events in one transaction: tell what is new from what is known, write the one, answer for both.

The handler that the group commit calls. What an event is, and when two are the same, is decided in core/events.py.
"""

from __future__ import annotations

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
from heartfly.usage.all_new import INSERT_EVENTS, claim, newest_of_hours, write_new
from heartfly.usage.names import new_numbers
from heartfly.usage.ready import Ready, hashes_of, ready_of, together
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


ACCEPTED = Told(Outcome.ACCEPTED)
"""What nearly all are told."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that came as an event and is none. `raw`: as much of it as is kept, as text."""

    why: Rejected
    raw: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brought. `wire`: the format that it came in. `sources`: what each told.

    `ready`: `ready_of` the items, if somebody has worked it out already, for the database that they go into.
    """

    pid: int
    wire: str
    received_at: datetime
    items: Sequence[Event | Refused] | EventColumns
    sources: Mapping[str, Heard] = field(default_factory=dict)
    ready: Ready | None = None


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
            return ACCEPTED
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
        ready = together([_ready(tx, batch) for batch in batches.values()])
        now = max(batch.received_at for batch in batches.values())
        found = _events_in([batch.items for batch in batches.values()]) if ready is None else None
        of_each: Sequence[bytes]
        if found is None:
            assert ready is not None
            of_each = hashes = ready.hashes
            fingerprints, names = ready.fingerprints, (ready.types, ready.subjects)
        else:
            of_each = hashes_of(found.ids)
            hashes, fingerprints = _first_of_each(of_each, found.prints)
            names = (found.types, found.subjects)
        numbers = self._ids.several(now, len(hashes))
        n_new = claim(tx, pid, hashes, numbers, fingerprints)
        types, subjects = self._name_ids(tx, pid, *map(set, names), now=now)
        newest: Mapping[int, int]
        if ready is not None and n_new == len(hashes):
            # Not one of them was known, or came twice.
            calls = _calls_in(batches.values()) if CALL in types else []
            received = [(batch.received_at, len(batch.items)) for batch in batches.values()]
            newest = write_new(tx, pid, ready, numbers, received=received, types=types, subjects=subjects)
            told = {place: [ACCEPTED] * len(batch.items) for place, batch in batches.items()}
        else:
            found = found or _events_in([batch.items for batch in batches.values()])
            candidates = dict(zip(hashes, zip(numbers, fingerprints, strict=True), strict=True))
            firsts, fresh = _settled(tx, pid, candidates, n_new)
            by_id = dict(zip(found.ids, of_each, strict=True))
            project = _Project(self._ids, by_id, firsts, fresh, types, subjects)
            told = {place: [project.tell(batch, item) for item in batch.items] for place, batch in batches.items()}
            newest, calls = _write(tx, project), project.calls
        _MARK.follow(tx, [{"pid": pid, "hour": EPOCH + hour * HOUR, "seq": newest[hour]} for hour in sorted(newest)])
        heard = [one for batch in batches.values() for one in batch.sources.items()]
        if heard:
            hear(tx, pid, heard)
        if calls and self._calls is not None:
            self._calls(tx, pid, calls, now=now)
        _INTAKE.follow(tx, list(_intake(pid, ((batch.received_at, told[place]) for place, batch in batches.items()))))
        return told

    def _name_ids(
        self, tx: Tx, pid: int, types: set[str], subjects: set[str], *, now: datetime
    ) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """The numbers of types and of subjects, those that nobody has used before included."""
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
_DUPLICATE, _CONFLICT = Told(Outcome.DUPLICATE), Told(Outcome.CONFLICT)


def hash_of(transaction_id: str) -> bytes:
    """What stands for it in `event_ids` (ready.py)."""
    return hashes_of((transaction_id,))[0]


def are_all_accepted(told: Sequence[Told]) -> bool:
    """False also of some that are, where they are not told by ACCEPTED: then each is to be looked at."""
    return all(one is ACCEPTED for one in told)


def _ready(tx: Tx, batch: Batch) -> Ready | None:
    return batch.ready if batch.ready is not None else ready_of(batch.items, on_postgres=tx.on_postgres)


def _first_of_each(hashes: Sequence[bytes], prints: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Each hash once, and the fingerprint of the first event that has it."""
    first: dict[bytes, bytes] = {}
    for one, fingerprint in zip(hashes, prints, strict=True):
        first.setdefault(one, fingerprint)
    return [*first], [*first.values()]


def _events_in(items: Sequence[Sequence[Event | Refused] | EventColumns]) -> EventColumns:
    """Those that are events, in order."""
    if len(items) == 1 and isinstance(items[0], EventColumns):
        return items[0]
    found = [one for some in items for one in some if isinstance(one, Event)]
    return EventColumns(*(zip(*found, strict=True) if found else [()] * len(Event._fields)))


def _calls_in(batches: Iterable[Batch]) -> list[Event]:
    return [one for batch in batches for one in batch.items if isinstance(one, Event) and one.type == CALL]


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
        _HOLD.follow(tx, [{"pid": pid}])


_HOLD = Prepared(
    lambda _: sa.select(
        sa.func.pg_advisory_xact_lock(
            sa.func.hashtextextended("events", sa.bindparam("pid", type_=event_ids.c.pid.type))
        ).label("held")
    )
)
"""On PostgreSQL: before whatever is asked or written next."""


def _settled(
    tx: Tx, pid: int, candidates: dict[bytes, tuple[int, bytes]], n_new: int
) -> tuple[dict[bytes, tuple[int, bytes]], set[bytes]]:
    """Who counts under each transaction id, and which of the candidates are new, of whom there are so many."""
    firsts, fresh = dict(candidates), set(candidates)
    some = sorted(candidates) if n_new < len(candidates) else []
    for start in range(0, len(some), _MOST_HASHES):
        for row in tx.conn.execute(of_hashes(pid, some[start : start + _MOST_HASHES])):
            id_hash = bytes(row.id_hash)
            if row.event_id != candidates[id_hash][0]:
                firsts[id_hash] = (row.event_id, bytes(row.fingerprint))
                fresh.discard(id_hash)
    return firsts, fresh


_MOST_HASHES = 1_000


def of_hashes(pid: int, hashes: Sequence[bytes]) -> sa.Select[Any]:
    """The events with these transaction ids."""
    return sa.select(event_ids.c.id_hash, event_ids.c.event_id, event_ids.c.fingerprint).where(
        event_ids.c.pid == pid, event_ids.c.id_hash.in_(hashes)
    )


def _write(tx: Tx, written: _Project) -> Mapping[int, int]:
    """The newest number in each hour since EPOCH."""
    INSERT_EVENTS.follow(tx, written.events)
    _INSERT_CONFLICTS.follow(tx, written.conflicts)
    _INSERT_LETTERS.follow(tx, written.letters)
    return newest_of_hours((row["at"], row["id"]) for row in written.events)


def _intake(pid: int, told: Iterable[tuple[datetime, Sequence[Told]]]) -> Iterable[Mapping[str, Any]]:
    """For each hour in which they came, how many of each outcome."""
    counts: dict[datetime, Counter[Outcome]] = {}
    for received_at, outcomes in told:
        counts.setdefault(received_at - (received_at - EPOCH) % HOUR, Counter()).update(counted(outcomes))
    for hour in sorted(counts):
        yield {"pid": pid, "hour": hour} | {name: counts[hour][outcome] for outcome, name in _COUNTERS.items()}


def counted(told: Sequence[Told]) -> Counter[Outcome]:
    """How many of each."""
    if told and are_all_accepted(told):
        return Counter({Outcome.ACCEPTED: len(told)})
    return Counter([one.outcome for one in told])


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
