"""Events are voided, amended, and put back as they were. Each command is one transaction's work.

    void    it counts nothing any more
    amend   other content counts in its place, under the same transaction id
    undo    the newest of its corrections that stands is taken back, and what counted before it counts again

What counted before is kept with each correction, so nothing is ever lost. The hours concerned are marked in the same
transaction and worked out anew; a day that was closed is closed again by the daily job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.core import text
from heartfly.core.events import Event, Rejected, event_of, wrong_subject
from heartfly.core.events import read as read_json
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import event_corrections, event_ids, events, usage_names, windows
from heartfly.db.types import EPOCH
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage.apply import hash_of, hold_events
from heartfly.usage.audit import note
from heartfly.usage.dirty import mark_hour
from heartfly.usage.fold import TIER_HOUR
from heartfly.usage.names import name_ids

LONGEST_REASON = 500
CONTENT = ("received_at", "at", "type_id", "subject_id", "transaction_id", "properties")
"""The columns of an event, but for those that say which it is."""


class Kind(StrEnum):
    VOID = "void"
    AMEND = "amend"
    REPLACE = "replace"  # taken off by a backfill, which has brought others in its place


@dataclass(frozen=True, slots=True)
class Amended:
    """In what an event shall differ, by the names it is sent with; a field that is not here stays as it is."""

    fields: Mapping[str, Any]


FIELDS = ("customer_id", "timestamp", "event_type", "properties")


def void(tx: Tx, pid: int, transaction_id: str, *, reason: str, actor: Actor, at: datetime, ids: IdSource) -> bool:
    """False: it was void already, and nothing has changed. NotFoundError; ConflictError: it cannot be changed."""
    reason = reason_of(reason)
    hold_events(tx, pid)
    row = to_void(tx, pid, transaction_id)
    if row is None:
        return False
    _correct(tx, pid, row, Kind.VOID, {}, reason=reason, actor=actor, at=at, ids=ids)
    _take_off(tx, pid, row.id)
    mark(tx, pid, [row.at], seq=ids.next(at))
    after = {"counts": False, "reason": reason}
    note(
        tx, pid, actor=actor, action=Action.EVENT_VOID, of=f"event:{transaction_id}",
        before={"counts": True}, after=after, at=at, ids=ids,
    )  # fmt: skip
    return True


def amend(
    tx: Tx,
    pid: int,
    transaction_id: str,
    wanted: Amended,
    *,
    reason: str,
    oldest: datetime,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> bool:
    """False: it was so already. `oldest`: as for events that come in.

    InvalidValueError names the field. NotFoundError; ConflictError: it counts nothing, or its day is sealed.
    """
    reason = reason_of(reason)
    hold_events(tx, pid)
    row, event = to_amend(tx, pid, transaction_id, wanted, oldest=oldest, at=at)
    types = name_ids(tx, pid, "type", [event.type], at=at, ids=ids)
    subjects = name_ids(tx, pid, "subject", [event.subject], at=at, ids=ids)
    new = {
        "at": event.at,
        "type_id": types[event.type],
        "subject_id": subjects[event.subject],
        "properties": event.properties,
    }
    changed = {name: value for name, value in new.items() if getattr(row, name) != value}
    if not changed:
        return False
    _correct(tx, pid, row, Kind.AMEND, new, reason=reason, actor=actor, at=at, ids=ids)
    this = (events.c.pid == pid, events.c.id == row.id)
    _demand_one(tx.conn.execute(sa.update(events).where(*this).values(changed)).rowcount)
    mark(tx, pid, [row.at, event.at], seq=ids.next(at))
    # In what it differs is told by the correction: an erased customer takes that along, and the audit is for ever.
    names = [_TOLD[name] for name in changed]
    note(
        tx, pid, actor=actor, action=Action.EVENT_AMEND, of=f"event:{transaction_id}",
        before={}, after={"amended": names, "reason": reason}, at=at, ids=ids,
    )  # fmt: skip
    return True


# --- what is done, as far as it is decided before: correction_preview.py asks only this


def to_void(tx: Tx, pid: int, transaction_id: str) -> Any:
    """The event that counts; None: it is void already. Raises as `void` does."""
    number = _number(tx, pid, transaction_id)
    row = _counting(tx, pid, number)
    if row is None:
        if _demand_standing(tx, pid, number).kind == Kind.VOID:
            return None
        raise ConflictError("it counts nothing: a backfill has replaced it")
    demand_unsealed(tx, pid, [row.at])
    return row


def to_amend(
    tx: Tx, pid: int, transaction_id: str, wanted: Amended, *, oldest: datetime, at: datetime
) -> tuple[Any, Event]:
    """The event that counts, and as it shall be. Raises as `amend` does."""
    number = _number(tx, pid, transaction_id)
    row = _counting(tx, pid, number)
    if row is None:
        newest = _demand_standing(tx, pid, number)
        how = "it is void; undo that first" if newest.kind == Kind.VOID else "a backfill has replaced it"
        raise ConflictError(f"it counts nothing: {how}")
    event = _changed(tx, pid, row, wanted, oldest=oldest, now=at)
    demand_unsealed(tx, pid, [row.at, event.at])
    return row, event


_TOLD = {"at": "timestamp", "type_id": "event_type", "subject_id": "customer_id", "properties": "properties"}


def undo(tx: Tx, pid: int, transaction_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> str:
    """Which kind of correction was taken back. NotFoundError; ConflictError: there is none that could be."""
    hold_events(tx, pid)
    number = _number(tx, pid, transaction_id)
    newest = standing(tx, pid, number)
    if newest is None:
        raise ConflictError("no correction of it stands")
    if newest.backfill_id is not None:
        raise ConflictError("a backfill has changed it, and only the backfill as a whole can be reverted")
    now = _counting(tx, pid, number)
    if now is None and newest.kind != Kind.VOID:
        raise ConflictError("it is not kept any more")
    times = [newest.at] if now is None else [newest.at, now.at]
    demand_unsealed(tx, pid, times)
    if now is not None:
        _take_off(tx, pid, number)
    content = {name: getattr(newest, name) for name in CONTENT}
    tx.conn.execute(sa.insert(events).values(pid=pid, id=number, **content))
    this = (
        event_corrections.c.pid == pid,
        event_corrections.c.event_id == number,
        event_corrections.c.id == newest.id,
    )
    tx.conn.execute(sa.update(event_corrections).where(*this).values(undone_at=at, undone_by=actor.name))
    mark(tx, pid, times, seq=ids.next(at))
    note(
        tx, pid, actor=actor, action=Action.EVENT_UNDO, of=f"event:{transaction_id}",
        before={newest.kind: True}, after={newest.kind: False}, at=at, ids=ids,
    )  # fmt: skip
    kind: str = newest.kind
    return kind


# --- what backfills need, too


def next_number(tx: Tx, pid: int, *, at: datetime, ids: IdSource) -> int:
    """Larger than that of any correction before, whichever node made it. Call it under `hold_events`."""
    of_project = event_corrections.c.pid == pid
    newest: int | None = tx.conn.execute(sa.select(sa.func.max(event_corrections.c.id)).where(of_project)).scalar()
    return max(ids.next(at), (newest or 0) + 1)


def standing(tx: Tx, pid: int, event_id: int) -> Any:
    """The newest correction of an event that is not undone; None: there is none."""
    of_event = (event_corrections.c.pid == pid, event_corrections.c.event_id == event_id)
    query = sa.select(event_corrections).where(*of_event, event_corrections.c.undone_at.is_(None))
    return tx.conn.execute(query.order_by(event_corrections.c.id.desc()).limit(1)).first()


def hours_of(times: Iterable[datetime]) -> list[datetime]:
    return sorted({at - (at - EPOCH) % HOUR for at in times})


def demand_unsealed(tx: Tx, pid: int, times: Iterable[datetime]) -> None:
    """ConflictError: an hour of these is sealed. Under `hold_events` none is sealed until this transaction ends."""
    sealed = sa.select(windows.c.start_at).where(
        windows.c.pid == pid, windows.c.tier == TIER_HOUR, windows.c.sealed_at.is_not(None)
    )
    hours = hours_of(times)
    if not hours:
        return
    within = (windows.c.start_at >= hours[0], windows.c.start_at <= hours[-1])
    if set(tx.conn.execute(sealed.where(*within)).scalars()) & set(hours):
        raise ConflictError("its day is sealed: events of that time are not kept any more, and what they came to stays")


def mark(tx: Tx, pid: int, times: Iterable[datetime], *, seq: int) -> None:
    for hour in hours_of(times):
        mark_hour(tx, pid, hour, seq=seq)


# ---


def reason_of(reason: str) -> str:
    return text.one_line(reason, field="reason", most=LONGEST_REASON, least=1)


def _number(tx: Tx, pid: int, transaction_id: str) -> int:
    if wrong_subject(transaction_id) is not None:
        raise NotFoundError("there is no such event")  # none could be called that
    known = (event_ids.c.pid == pid, event_ids.c.id_hash == hash_of(transaction_id))
    number: int | None = tx.conn.execute(sa.select(event_ids.c.event_id).where(*known)).scalar()
    if number is None:
        raise NotFoundError("there is no such event")
    return number


def _counting(tx: Tx, pid: int, number: int) -> Any:
    """None: it counts nothing."""
    return tx.conn.execute(sa.select(events).where(events.c.pid == pid, events.c.id == number)).first()


def _demand_standing(tx: Tx, pid: int, number: int) -> Any:
    """Of an event that does not count. NotFoundError: it was erased."""
    newest = standing(tx, pid, number)
    if newest is None or newest.kind == Kind.AMEND:
        raise NotFoundError("there is no such event")
    return newest


def _changed(tx: Tx, pid: int, row: Any, wanted: Amended, *, oldest: datetime, now: datetime) -> Event:
    if unknown := sorted(set(wanted.fields) - set(FIELDS)):
        raise InvalidValueError(unknown[0][:100], "is no field of an event that can be amended")
    if not wanted.fields:
        raise InvalidValueError("", f"say what shall differ: one of {', '.join(FIELDS)}")
    query = sa.select(usage_names.c.id, usage_names.c.text).where(
        usage_names.c.pid == pid, usage_names.c.id.in_([row.type_id, row.subject_id])
    )
    names = {one.id: one.text for one in tx.conn.execute(query)}
    content: dict[str, Any] = {
        "transaction_id": row.transaction_id,
        "customer_id": names[row.subject_id],
        "timestamp": row.at.isoformat(),
        "event_type": names[row.type_id],
        "properties": read_json(row.properties),
    }
    event = event_of(content | dict(wanted.fields), now=now, oldest=min(oldest, row.at))
    if isinstance(event, Rejected):
        raise InvalidValueError(event.field, event.reason)
    return event


def _correct(
    tx: Tx,
    pid: int,
    row: Any,
    kind: Kind,
    new: Mapping[str, Any],
    *,
    reason: str,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> None:
    values: dict[str, Any] = {"pid": pid, "event_id": row.id, "id": next_number(tx, pid, at=at, ids=ids)}
    values |= {"kind": kind.value, "made_at": at, "made_by": actor.name, "reason": reason}
    values |= {name: getattr(row, name) for name in CONTENT}
    values |= {f"new_{name}": value for name, value in new.items()}
    tx.conn.execute(sa.insert(event_corrections).values(values))


def _take_off(tx: Tx, pid: int, number: int) -> None:
    this = (events.c.pid == pid, events.c.id == number)
    _demand_one(tx.conn.execute(sa.delete(events).where(*this)).rowcount)


def _demand_one(n: int) -> None:
    """NotFoundError: its customer was erased since we looked."""
    if n != 1:
        raise NotFoundError("there is no such event")
