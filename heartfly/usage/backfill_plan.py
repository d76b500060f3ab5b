"""What a backfill is about, and what would become of each of its events: asked before it is closed and as it is.

    added      nobody has heard of its transaction id
    same       it counts already, just so; it stays
    changed    it takes the place of the event of its id, which the set replaces
    again      another set had replaced it, and it counts again
    duplicate  it is known, and not the set's to change: void, amended since, or outside of what the set replaces
    conflict   the same, and with other content

The first four count once the set is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from heartfly.checks.queries import UUID
from heartfly.core.events import Event, Rejected
from heartfly.db.models import (
    aliases,
    backfill_events,
    backfills,
    event_corrections,
    event_ids,
    events,
    usage_names,
)
from heartfly.db.prepared import among
from heartfly.errors import ConflictError, NotFoundError
from heartfly.usage.corrections import Kind

MOST = 50_000
"""Events that a set may hold, and that it may replace: it is closed in one transaction, for which others wait."""
MOST_NAMES = 10_000


class Outcome(StrEnum):
    ADDED = "added"
    SAME = "same"
    CHANGED = "changed"
    AGAIN = "again"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


COMING = (Outcome.ADDED.value, Outcome.CHANGED.value, Outcome.AGAIN.value)
"""They are written when the set is closed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """[from_at, to_at). `types` and `subjects` empty: any; else their numbers stand beside, as far as any ever came."""

    pid: int
    set_id: int
    from_at: datetime
    to_at: datetime
    replaces: bool
    types: frozenset[str]
    subjects: frozenset[str]
    type_ids: Sequence[int]
    subject_ids: Sequence[int]

    def refused(self, event: Event) -> Rejected | None:
        if not self.from_at <= event.at < self.to_at:
            return Rejected("timestamp", f"is outside of the backfill: {self.from_at:%FT%TZ} to {self.to_at:%FT%TZ}")
        if self.types and event.type not in self.types:
            return Rejected("event_type", "is none of the backfill's")
        if self.subjects and event.subject not in self.subjects:
            return Rejected("customer_id", "is none of the backfill's customers")
        return None

    def holds(self) -> sa.ColumnElement[bool]:
        """An event that counts is one of those that the set replaces."""
        if not self.replaces:
            return sa.false()
        found = [events.c.pid == self.pid, events.c.at >= self.from_at, events.c.at < self.to_at]
        if self.types:
            found.append(events.c.type_id.in_(self.type_ids))
        if self.subjects:
            found.append(events.c.subject_id.in_(self.subject_ids))
        return sa.and_(*found)

    def goes(self, *kept: str) -> sa.ColumnElement[bool]:
        """And none of the set's own has one of these outcomes for it. Asked once the set was closed, or `decided`."""
        # As a list that is made once: asked event by event, SQLite would go through the whole set each time.
        mine = sa.select(backfill_events.c.event_id).where(self.of_set(), backfill_events.c.outcome.in_(kept))
        return sa.and_(self.holds(), events.c.id.not_in(mine))

    def of_set(self) -> sa.ColumnElement[bool]:
        return sa.and_(backfill_events.c.pid == self.pid, backfill_events.c.backfill_id == self.set_id)


def scope_of(connection: sa.Connection, row: Any) -> Scope:
    """Of a row of `backfills`. A customer is all that he is called by now."""
    texts = set(row.customers)
    if texts:
        texts |= _called(connection, row.pid, texts)
    if len(texts) > MOST_NAMES:
        raise ConflictError(f"its customers are called by more than {MOST_NAMES} names: take fewer customers")
    return Scope(
        row.pid,
        row.id,
        row.from_at,
        row.to_at,
        row.replaces,
        frozenset(row.event_types),
        frozenset(texts),
        _numbers(connection, row.pid, "type", row.event_types),
        _numbers(connection, row.pid, "subject", texts),
    )


def _called(connection: sa.Connection, pid: int, texts: set[str]) -> set[str]:
    """What else the customers are called whom these names mean."""
    mine = sa.select(aliases.c.customer_id).where(aliases.c.pid == pid, among(connection, aliases.c.text, "texts"))
    query = sa.select(aliases.c.text).where(aliases.c.pid == pid, aliases.c.customer_id.in_(mine))
    wanted = sorted({*texts, *(one.lower() for one in texts if UUID.fullmatch(one.lower()))})
    return set(connection.execute(query, {"texts": wanted}).scalars())


def _numbers(connection: sa.Connection, pid: int, kind: str, texts: set[str] | Sequence[str]) -> list[int]:
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.kind == kind, among(connection, usage_names.c.text, "texts")
    )
    return sorted(connection.execute(query, {"texts": sorted(texts)}).scalars()) if texts else []


def the_set(pid: int, public_id: str) -> sa.Select[Any]:
    """NotFoundError: no set could be called that."""
    if not UUID.fullmatch(public_id.lower()):
        raise NotFoundError("there is no such backfill")
    return sa.select(backfills).where(backfills.c.pid == pid, backfills.c.uuid == public_id.lower())


def taken() -> sa.ScalarSelect[int]:
    """The number of the event that is known by the transaction id of one of the set's."""
    own = (event_ids.c.pid == backfill_events.c.pid, event_ids.c.id_hash == backfill_events.c.id_hash)
    return sa.select(event_ids.c.event_id).where(*own).correlate(backfill_events).scalar_subquery()


def outcome(scope: Scope) -> sa.ColumnElement[str]:
    """What would become of one of the set's events, as things are."""
    b, e = backfill_events.c, events.c
    mine = (event_ids.c.pid == b.pid, event_ids.c.id_hash == b.id_hash)
    known = sa.exists().where(*mine).correlate(backfill_events)
    counting = (*mine, e.pid == event_ids.c.pid, e.id == event_ids.c.event_id)
    just_so = (e.at == b.at, e.type_id == b.type_id, e.subject_id == b.subject_id, e.properties == b.properties)
    counts = sa.exists().where(*counting).correlate(backfill_events)
    standing = (
        *mine,
        event_corrections.c.pid == event_ids.c.pid,
        event_corrections.c.event_id == event_ids.c.event_id,
        event_corrections.c.undone_at.is_(None),
    )
    replaced = sa.exists().where(*standing, event_corrections.c.kind == Kind.REPLACE.value).correlate(backfill_events)
    voided = sa.exists().where(*standing, event_corrections.c.kind == Kind.VOID.value).correlate(backfill_events)
    equal = sa.exists().where(*mine, event_ids.c.fingerprint == b.fingerprint).correlate(backfill_events)
    changed = sa.exists().where(*counting, scope.holds()).correlate(backfill_events)
    cases = [
        (~known, Outcome.ADDED.value),
        (sa.exists().where(*counting, *just_so).correlate(backfill_events), Outcome.SAME.value),
        *([(changed, Outcome.CHANGED.value)] if scope.replaces else []),
        (sa.and_(~counts, replaced, ~voided), Outcome.AGAIN.value),
        (equal, Outcome.DUPLICATE.value),
    ]
    return sa.case(*cases, else_=Outcome.CONFLICT.value)
