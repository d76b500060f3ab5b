"""Sets of events that come in together or not at all: opened, filled, closed and, if that was wrong, reverted.

    open      events are sent into it and count nothing; usage/backfill_preview.py says what they would change
    closed    they count, and if the set replaces, those that counted in its time before do not any more
    reverted  all counts as before it was closed; an open one is given up in the same way

Each command is one transaction's work, with the marks on the hours that it changes, and can be sent again.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.core import text
from heartfly.core.events import FUTURE, MAX_TYPE, Event, Rejected, event_of, wrong_subject
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import backfill_events, backfills, event_corrections, event_ids, events
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage import apply
from heartfly.usage.apply import Told, hash_of, hold_events
from heartfly.usage.audit import note
from heartfly.usage.backfill_plan import COMING, MOST, Outcome, Scope, outcome, scope_of, taken, the_set
from heartfly.usage.corrections import CONTENT, Kind, demand_unsealed, mark, next_number
from heartfly.usage.ingest import Unreadable
from heartfly.usage.names import name_ids

MOST_NAMED = 100
"""Customers, and types, that a set may be narrowed to."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """[from_at, to_at). `event_types` and `customers` (ids, or names as they are sent) empty: any."""

    name: str
    from_at: datetime
    to_at: datetime
    event_types: Sequence[str] = ()
    customers: Sequence[str] = ()
    replaces: bool


def open_set(tx: Tx, pid: int, wanted: Wanted, *, oldest: datetime, actor: Actor, at: datetime, ids: IdSource) -> str:
    """The public id. `oldest`: as for events that come in. InvalidValueError; ConflictError: its time is sealed."""
    name = text.name(wanted.name, field="name", most=200)
    if wanted.from_at < oldest:
        raise InvalidValueError("from", f"is before {oldest:%FT%TZ}, from when on events are kept")
    if not wanted.from_at < wanted.to_at:
        raise InvalidValueError("to", "must be after `from`")
    if wanted.to_at > at + FUTURE:
        raise InvalidValueError("to", "is more than 24 hours ahead")
    types = _names(wanted.event_types, "event_types", MAX_TYPE)
    customers = _names(wanted.customers, "customers", None)
    public_id, number = str(uuids.uuid4()), ids.next(at)
    facts = {"name": name, "from_at": wanted.from_at, "to_at": wanted.to_at, "replaces": wanted.replaces}
    facts |= {"event_types": types, "customers": customers}
    values = {"pid": pid, "id": number, "uuid": public_id, "state": "open", "counts": {}}
    values |= {"opened_at": at, "opened_by": actor.name}
    tx.conn.execute(sa.insert(backfills).values(values | facts))
    note(
        tx, pid, actor=actor, action=Action.BACKFILL_OPEN, of=f"backfill:{public_id}",
        before=None, after=facts, at=at, ids=ids,
    )  # fmt: skip
    return public_id


def _names(found: Sequence[str], field: str, most: int | None) -> list[str]:
    if len(found) > MOST_NAMED:
        raise InvalidValueError(field, f"are more than {MOST_NAMED}")
    for place, one in enumerate(found):
        wrong = wrong_subject(one)
        if wrong is None and most is not None and len(one) > most:
            wrong = f"is longer than {most} characters"
        if wrong is not None:
            raise InvalidValueError(f"{field}[{place}]", wrong)
    return list(dict.fromkeys(found))


def fill(
    tx: Tx, pid: int, public_id: str, items: Sequence[Event | Rejected], *, actor: Actor, at: datetime, ids: IdSource
) -> list[Told]:
    """What became of each, in order: accepted into the set, known in it already, or why it is none of the set's.

    Nothing of it goes to the dead letter, from where it would count at once. NotFoundError; ConflictError: the set is
    not open, or full.
    """
    row = _held(tx, pid, public_id)
    if row.state != "open":
        raise ConflictError(f"it is {row.state}, and takes no events any more")
    scope = scope_of(tx.conn, row)
    looked = [item if isinstance(item, Rejected) else scope.refused(item) or item for item in items]
    first: dict[bytes, Event] = {}
    for item in looked:
        if isinstance(item, Event):
            first.setdefault(hash_of(item.transaction_id), item)
    known = _known(tx, scope, sorted(first))
    new = {id_hash: event for id_hash, event in first.items() if id_hash not in known}
    _demand_room(tx, scope, len(new))
    _keep(tx, scope, new, at=at, ids=ids)
    told = _told(looked, known, new)
    if new:
        counts = {one.value: sum(each.outcome is one for each in told) for one in apply.Outcome}
        note(
            tx, pid, actor=actor, action=Action.BACKFILL_SEND, of=f"backfill:{row.uuid}",
            before={}, after=counts, at=at, ids=ids,
        )  # fmt: skip
    return told


def items_of(found: Sequence[Any], *, now: datetime, oldest: datetime) -> list[Event | Rejected]:
    """What was read out of a body, looked at one by one. `oldest`: as for events that come in."""
    return [
        Rejected("", one.reason) if isinstance(one, Unreadable) else event_of(one, now=now, oldest=oldest)
        for one in found
    ]


def _told(looked: Sequence[Event | Rejected], known: Mapping[bytes, bytes], new: Mapping[bytes, Event]) -> list[Told]:
    found, fresh = [], set(new)
    for item in looked:
        if isinstance(item, Rejected):
            found.append(Told(apply.Outcome.REJECTED, item.field, item.reason))
            continue
        id_hash = hash_of(item.transaction_id)
        fingerprint = known.get(id_hash) or new[id_hash].fingerprint
        if id_hash in fresh:
            fresh.discard(id_hash)
            found.append(Told(apply.Outcome.ACCEPTED))
        else:
            same = fingerprint == item.fingerprint
            found.append(Told(apply.Outcome.DUPLICATE if same else apply.Outcome.CONFLICT))
    return found


def _known(tx: Tx, scope: Scope, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for start in range(0, len(hashes), _AT_ONCE):
        query = sa.select(backfill_events.c.id_hash, backfill_events.c.fingerprint).where(
            scope.of_set(), backfill_events.c.id_hash.in_(hashes[start : start + _AT_ONCE])
        )
        found |= {bytes(row.id_hash): bytes(row.fingerprint) for row in tx.conn.execute(query)}
    return found


def _demand_room(tx: Tx, scope: Scope, n: int) -> None:
    has: int = tx.conn.execute(
        sa.select(sa.func.count()).select_from(backfill_events).where(scope.of_set())
    ).scalar_one()
    if has + n > MOST:
        raise ConflictError(f"it holds {has} events, and at most {MOST}: open another for a shorter time")


def _keep(tx: Tx, scope: Scope, new: Mapping[bytes, Event], *, at: datetime, ids: IdSource) -> None:
    if not new:
        return
    types = name_ids(tx, scope.pid, "type", {event.type for event in new.values()}, at=at, ids=ids)
    subjects = name_ids(tx, scope.pid, "subject", {event.subject for event in new.values()}, at=at, ids=ids)
    rows = [
        {
            "pid": scope.pid,
            "backfill_id": scope.set_id,
            "id": number,
            "id_hash": id_hash,
            "fingerprint": event.fingerprint,
            "received_at": at,
            "at": event.at,
            "type_id": types[event.type],
            "subject_id": subjects[event.subject],
            "transaction_id": event.transaction_id,
            "properties": event.properties,
        }
        for number, (id_hash, event) in zip(ids.several(at, len(new)), new.items(), strict=True)
    ]
    tx.conn.execute(sa.insert(backfill_events), rows)


def close_set(
    tx: Tx, pid: int, public_id: str, *, empty: bool, actor: Actor, at: datetime, ids: IdSource
) -> Mapping[str, int]:
    """How many of its events became what, and how many it has `replaced`. One that is closed is told once more.

    `empty`: also when it holds nothing, and so only takes away. NotFoundError; ConflictError: it is reverted, empty,
    too much for one transaction, or of a day that is sealed.
    """
    row = _held(tx, pid, public_id)
    if row.state == "closed":
        had: Mapping[str, int] = row.counts
        return had
    if row.state != "open":
        raise ConflictError("it is reverted; open another")
    scope = scope_of(tx.conn, row)
    demand_few_replaced(tx.conn, scope)
    decided = {"outcome": outcome(scope), "event_id": sa.func.coalesce(taken(), backfill_events.c.id)}
    tx.conn.execute(sa.update(backfill_events).where(scope.of_set()).values(decided))
    counts = _counts(tx, scope)
    if not any(counts.values()) and not empty:
        raise ConflictError("it holds no events: to close it so would only take away what counts; say that you mean it")
    run = next_number(tx, pid, at=at, ids=ids)
    _take_the_place(tx, scope, row, run=run, actor=actor, at=at)
    times = [*_times_of(tx, scope, run), *_times(tx, backfill_events, scope.of_set(), _coming())]
    demand_unsealed(tx, pid, times)
    tx.conn.execute(sa.delete(events).where(scope.goes(Outcome.SAME.value)))
    came = sa.select(
        *(sa.literal(pid, sa.BigInteger).label("pid"), backfill_events.c.event_id),
        *(backfill_events.c[name] for name in CONTENT),
    ).where(scope.of_set(), _coming())
    tx.conn.execute(sa.insert(events).from_select(["pid", "id", *CONTENT], came))
    b = backfill_events.c
    known = sa.select(b.pid, b.id_hash, b.event_id, b.fingerprint).where(
        scope.of_set(), b.outcome == Outcome.ADDED.value
    )
    tx.conn.execute(sa.insert(event_ids).from_select(["pid", "id_hash", "event_id", "fingerprint"], known))
    mark(tx, pid, times, seq=ids.next(at))
    counts["replaced"] = _n_replaced(tx, pid, run)
    _settle(tx, row, {"state": "closed", "closed_at": at, "closed_by": actor.name, "run": run, "counts": counts})
    note(
        tx, pid, actor=actor, action=Action.BACKFILL_CLOSE, of=f"backfill:{row.uuid}",
        before={"state": "open"}, after={"state": "closed"} | counts, at=at, ids=ids,
    )  # fmt: skip
    return counts


def demand_few_replaced(connection: sa.Connection, scope: Scope) -> None:
    """ConflictError: more than one transaction should take off."""
    some = sa.select(events.c.id).where(scope.holds()).limit(MOST + 1).subquery()
    if connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one() > MOST:
        raise ConflictError(f"it would replace more than {MOST} events: open one for each part of its time")


def _take_the_place(tx: Tx, scope: Scope, row: Any, *, run: int, actor: Actor, at: datetime) -> None:
    """Keep what counts until now, of those that others take the place of, and of those that go."""
    made = {"id": run, "made_at": at, "made_by": actor.name, "reason": row.name, "backfill_id": row.id}
    b, e = backfill_events.c, events.c
    both = sa.and_(b.pid == e.pid, b.event_id == e.id)
    new = {f"new_{name}": b[name] for name in ("at", "type_id", "subject_id", "properties")}
    changed = sa.select(*_kept(made, Kind.AMEND), *new.values()).select_from(events.join(backfill_events, both))
    changed = changed.where(scope.of_set(), b.outcome == Outcome.CHANGED.value)
    tx.conn.execute(sa.insert(event_corrections).from_select([*_columns(made), *new], changed))
    gone = sa.select(*_kept(made, Kind.REPLACE)).where(scope.goes(Outcome.SAME.value, Outcome.CHANGED.value))
    tx.conn.execute(sa.insert(event_corrections).from_select(_columns(made), gone))


def _columns(made: Mapping[str, Any]) -> list[str]:
    return ["pid", "event_id", *CONTENT, "kind", *made]


def _kept(made: Mapping[str, Any], kind: Kind) -> list[sa.ColumnElement[Any]]:
    values = {"kind": kind.value} | dict(made)
    literals = [sa.literal(value, event_corrections.c[name].type) for name, value in values.items()]
    return [events.c.pid, events.c.id, *(events.c[name] for name in CONTENT), *literals]


def revert_set(
    tx: Tx, pid: int, public_id: str, *, oldest: datetime, actor: Actor, at: datetime, ids: IdSource
) -> bool:
    """False: it was reverted already. What it brought counts no more, and what it replaced counts again.

    NotFoundError; ConflictError: an event of it was corrected since, or is not kept any more.
    """
    row = _held(tx, pid, public_id)
    if row.state == "reverted":
        return False
    if row.state == "closed":
        if row.from_at < oldest:
            raise ConflictError(f"it begins before {oldest:%FT%TZ}, from when on events are kept, so it stays")
        _put_back(tx, scope_of(tx.conn, row), row, actor=actor, at=at, ids=ids)
    _settle(tx, row, {"state": "reverted", "reverted_at": at, "reverted_by": actor.name})
    note(
        tx, pid, actor=actor, action=Action.BACKFILL_REVERT, of=f"backfill:{row.uuid}",
        before={"state": row.state}, after={"state": "reverted"}, at=at, ids=ids,
    )  # fmt: skip
    return True


def _put_back(tx: Tx, scope: Scope, row: Any, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    pid, run = row.pid, row.run
    _demand_on_top(tx, scope, run)
    times = [*_times_of(tx, scope, run), *_times(tx, backfill_events, scope.of_set(), _coming())]
    demand_unsealed(tx, pid, times)
    b, c = backfill_events.c, event_corrections.c
    # Of one that was erased since the id stays known.
    counts = sa.exists().where(events.c.pid == b.pid, events.c.id == b.event_id).correlate(backfill_events)
    new = sa.select(b.id_hash).where(scope.of_set(), b.outcome == Outcome.ADDED.value, counts)
    tx.conn.execute(sa.delete(event_ids).where(event_ids.c.pid == pid, event_ids.c.id_hash.in_(new)))
    came = sa.select(b.event_id).where(scope.of_set(), _coming())
    tx.conn.execute(sa.delete(events).where(events.c.pid == pid, events.c.id.in_(came)))
    was = sa.select(c.pid, c.event_id, *(c[name] for name in CONTENT)).where(c.pid == pid, c.id == run)
    tx.conn.execute(sa.insert(events).from_select(["pid", "id", *CONTENT], was))
    undone = sa.update(event_corrections).where(c.pid == pid, c.id == run)
    tx.conn.execute(undone.values(undone_at=at, undone_by=actor.name))
    mark(tx, pid, times, seq=ids.next(at))


def _demand_on_top(tx: Tx, scope: Scope, run: int) -> None:
    """What was done to its events since has to be undone first: corrections lie upon each other."""
    c = event_corrections.c
    later = (c.pid == scope.pid, c.id > run, c.undone_at.is_(None))
    came = sa.select(backfill_events.c.event_id).where(scope.of_set(), _coming())
    mine = event_corrections.alias()
    went = sa.select(mine.c.event_id).where(mine.c.pid == scope.pid, mine.c.id == run)
    query = sa.select(c.transaction_id, c.backfill_id).where(*later, sa.or_(c.event_id.in_(came), c.event_id.in_(went)))
    found = tx.conn.execute(query.order_by(c.id.desc()).limit(1)).first()
    if found is not None:
        how = "was voided or amended" if found.backfill_id is None else "was changed by another backfill"
        raise ConflictError(f"event {found.transaction_id!r} {how} since; undo that first")
    back = sa.select(events.c.transaction_id).where(events.c.pid == scope.pid, events.c.id.in_(went))
    only = mine.c.kind == Kind.REPLACE.value
    again = tx.conn.execute(back.where(events.c.id.in_(went.where(only))).limit(1)).scalar()
    if again is not None:
        raise ConflictError(f"event {again!r} came in again by another backfill since; revert that first")


def _held(tx: Tx, pid: int, public_id: str) -> Any:
    """The set; nobody else writes events of the project until this transaction ends."""
    hold_events(tx, pid)
    row = tx.conn.execute(the_set(pid, public_id)).first()
    if row is None:
        raise NotFoundError("there is no such backfill")
    return row


def _settle(tx: Tx, row: Any, values: Mapping[str, Any]) -> None:
    tx.conn.execute(sa.update(backfills).where(backfills.c.pid == row.pid, backfills.c.id == row.id).values(values))


def _coming() -> sa.ColumnElement[bool]:
    return backfill_events.c.outcome.in_(COMING)


def _counts(tx: Tx, scope: Scope) -> dict[str, int]:
    query = sa.select(backfill_events.c.outcome, sa.func.count().label("n")).where(scope.of_set())
    found = {row.outcome: row.n for row in tx.conn.execute(query.group_by(backfill_events.c.outcome))}
    return {one.value: found.get(one.value, 0) for one in Outcome}


def _n_replaced(tx: Tx, pid: int, run: int) -> int:
    c = event_corrections.c
    mine = (c.pid == pid, c.id == run, c.kind == Kind.REPLACE.value)
    n: int = tx.conn.execute(sa.select(sa.func.count()).select_from(event_corrections).where(*mine)).scalar_one()
    return n


def _times_of(tx: Tx, scope: Scope, run: int) -> list[datetime]:
    c = event_corrections.c
    return _times(tx, event_corrections, c.pid == scope.pid, c.id == run)


def _times(tx: Tx, table: sa.Table, *where: sa.ColumnElement[bool]) -> list[datetime]:
    return list(tx.conn.execute(sa.select(table.c.at).where(*where)).scalars())
