"""What a void or an amendment of one event would change: by day, meter and customer, before it is done.

It is decided by the code that does it, and refused as that would be; it only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.core.events import Event
from heartfly.db.changes import Tx
from heartfly.db.models import usage_names
from heartfly.db.snapshots import Place, snapshot
from heartfly.usage.changed_figures import Change, Comparison
from heartfly.usage.corrections import Amended, to_amend, to_void

_NEW_TYPE, _NEW_SUBJECT = -1, -2
"""In the place of the numbers that names get when they first come."""


@dataclass(frozen=True, slots=True)
class Step:
    """The event `number` goes, which happened at `at`; in its place comes `event`, if any does."""

    number: int
    at: datetime
    subject_id: int
    event: Event | None = None


def void_of(conn: sa.Connection, pid: int, transaction_id: str) -> Step | None:
    """None: nothing would change. Raises as corrections.void does."""
    row = to_void(Tx(conn), pid, transaction_id)
    return None if row is None else Step(row.id, row.at, row.subject_id)


def amendment_of(
    conn: sa.Connection, pid: int, transaction_id: str, wanted: Amended, *, oldest: datetime, at: datetime
) -> Step:
    """Raises as corrections.amend does."""
    row, event = to_amend(Tx(conn), pid, transaction_id, wanted, oldest=oldest, at=at)
    return Step(row.id, row.at, row.subject_id, event)


def foresee_step(place: Place, pid: int, step: Step, zone: str) -> Sequence[Change]:
    """Days are those of `zone`. Runs in the process beside (hands.py). ConflictError: there is too much to read."""
    with snapshot(place) as connection:
        going = {step.number: (step.at, step.subject_id)}
        if step.event is None:
            return Comparison(connection, pid, ZoneInfo(zone)).changes((), going)
        event = step.event
        type_id = _number(connection, pid, "type", event.type, else_=_NEW_TYPE)
        subject_id = _number(connection, pid, "subject", event.subject, else_=_NEW_SUBJECT)
        comparison = Comparison(
            connection,
            pid,
            ZoneInfo(zone),
            new_types={type_id: event.type} if type_id == _NEW_TYPE else {},
            new_subjects={subject_id: event.subject} if subject_id == _NEW_SUBJECT else {},
        )
        coming = (event.at, step.number, type_id, subject_id, event.transaction_id, event.properties)
        return comparison.changes([coming], going)


def _number(connection: sa.Connection, pid: int, kind: str, text: str, *, else_: int) -> int:
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.kind == kind, usage_names.c.text == text
    )
    found: int | None = connection.execute(query).scalar()
    return else_ if found is None else found
