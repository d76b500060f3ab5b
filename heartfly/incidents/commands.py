"""What people do to incidents: acknowledge one, comment on it; and what is left of one when its check is deleted.

Each function is one transaction's work. An incident is opened and closed by flips alone (spans.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, record
from heartfly.core import text
from heartfly.core.words import IncidentEnd
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import incident_notes, incidents
from heartfly.db.types import UtcInstant
from heartfly.errors import ConflictError, NotFoundError
from heartfly.incidents.causes import end_emptied
from heartfly.incidents.queries import Note, uuid_of
from heartfly.incidents.spans import KINDS, OF_CHECK, are_members

MOST_NOTES = 200
_LONGEST_NOTE = 10_000


def acknowledge(tx: Tx, pid: int, uuid: str, *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """Somebody takes care of it. Whoever said so first keeps the credit. Of a cause: of all its members that are down.

    ConflictError: it was closed before anybody did, so that there is nothing to take care of.
    """
    found = locked(tx, pid, uuid)
    if found.acked_at is not None:
        return
    if found.closed_at is not None:
        raise ConflictError("the incident is closed")
    i = incidents.c
    these = i.id == found.id
    if found.source_kind in KINDS:
        of_members = sa.and_(are_members(pid, [found.id]), i.closed_at.is_(None), i.acked_at.is_(None))
        these = sa.or_(these, of_members)
    not_before = sa.case((i.opened_at > at, i.opened_at), else_=sa.literal(at, UtcInstant))
    tx.conn.execute(sa.update(incidents).where(i.pid == pid, these).values(acked_at=not_before, acked_by=actor.name))
    record(
        tx, pid, actor=actor, action=Action.INCIDENT_ACKNOWLEDGE, of=f"incident:{found.uuid}",
        before={"acknowledged_by": None}, after={"acknowledged_by": actor.name}, at=at, ids=ids,
    )  # fmt: skip


def comment(tx: Tx, pid: int, uuid: str, said: str, *, at: datetime, actor: Actor, ids: IdSource) -> Note:
    """Open or closed: what is learned is often learned afterwards. Two comments of the same words are two."""
    said = text.many_lines(said.strip(), field="text", most=_LONGEST_NOTE, least=1)
    found = locked(tx, pid, uuid)
    count = sa.select(sa.func.count()).where(incident_notes.c.pid == pid, incident_notes.c.incident_id == found.id)
    if tx.conn.execute(count).scalar_one() >= MOST_NOTES:
        raise ConflictError(f"the incident has {MOST_NOTES} comments, which is all that fit")
    note = Note(id=ids.next(at), at=at, actor=actor.name, text=said)
    tx.conn.execute(
        sa.insert(incident_notes).values(
            pid=pid, incident_id=found.id, id=note.id, at=note.at, actor=note.actor, text=note.text
        )
    )
    record(
        tx, pid, actor=actor, action=Action.INCIDENT_COMMENT, of=f"incident:{found.uuid}",
        before=None, after={"comment": str(note.id), "text": note.text}, at=at, ids=ids,
    )  # fmt: skip
    return note


def end_with_check(tx: Tx, pid: int, check_id: int, *, at: datetime, ids: IdSource) -> None:
    """Its check is deleted: an open incident is closed, and nobody is told. It stays, with its comments.

    Of a cause it may have been the last: that is over then, which is told to whom the cause was told as one.
    """
    not_before_it_opened = sa.case(
        (incidents.c.opened_at > at, incidents.c.opened_at), else_=sa.literal(at, UtcInstant)
    )
    ended = tx.conn.execute(
        sa.update(incidents)
        .where(
            incidents.c.pid == pid,
            incidents.c.source_kind == OF_CHECK,
            incidents.c.source_id == check_id,
            incidents.c.closed_at.is_(None),
        )
        .values(closed_at=not_before_it_opened, ended_by=IncidentEnd.DELETED.value)
        .returning(incidents.c.part_of)
    )
    if emptied := {(pid, cause) for cause in ended.scalars() if cause is not None}:
        end_emptied(tx, emptied, ids=ids, now=at)


def locked(tx: Tx, pid: int, uuid: str) -> Any:
    """Its row, for who changes it or what belongs to it. NotFoundError."""
    query = sa.select(incidents).where(incidents.c.pid == pid, incidents.c.uuid == uuid_of(uuid))
    found = tx.conn.execute(query.with_for_update(key_share=True)).first()
    if found is None:
        raise NotFoundError("there is no such incident")
    return found
