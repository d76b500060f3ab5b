"""Alert rules and their standings as rows: read for a look, and written back. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Row, Select

from heartfly.core.alert_rules import Rule, Scope
from heartfly.core.rule_definitions import rule_from
from heartfly.core.rule_states import Standing, State
from heartfly.core.words import Severity
from heartfly.db.changes import Tx
from heartfly.db.models import alert_rules, incidents, rule_standings
from heartfly.incidents.raised import OF_RULE


@dataclass(frozen=True, slots=True)
class Stored:
    """A rule that is looked at. `channels` None: all of the project."""

    row: Row[Any]
    rule: Rule
    severity: Severity

    @property
    def id(self) -> int:
        found: int = self.row.id
        return found

    @property
    def channels(self) -> Sequence[int] | None:
        found: Sequence[int] | None = self.row.channels
        return found


@dataclass(frozen=True, slots=True)
class Placed:
    """A standing, and the number by which its incidents know it."""

    id: int
    standing: Standing


def stored(row: Row[Any]) -> Stored:
    return Stored(row, rule_from(row.definition), Severity(row.severity))


def scope_text(scope: Scope) -> str:
    return msgspec.json.encode(scope).decode()


def scope_of(text: str) -> Scope:
    return msgspec.json.decode(text, type=tuple[str, ...])


def select_standings(pid: int) -> Select[Any]:
    """With when somebody acknowledged what fires, which stands at its incident."""
    its = sa.and_(
        incidents.c.pid == rule_standings.c.pid,
        incidents.c.source_kind == sa.literal_column(f"'{OF_RULE}'"),
        incidents.c.source_id == rule_standings.c.id,
        incidents.c.closed_at.is_(None),
    )
    query = sa.select(rule_standings, incidents.c.acked_at, incidents.c.uuid.label("incident"))
    return query.select_from(rule_standings.outerjoin(incidents, its)).where(rule_standings.c.pid == pid)


def placed(row: Row[Any]) -> Placed:
    state = State(row.state)
    if state is State.FIRING and row.acked_at is not None:
        state = State.ACKNOWLEDGED
    return Placed(
        row.id,
        Standing(
            state=state,
            since=row.since,
            fired_at=row.fired_at,
            resolved_at=row.resolved_at,
            by_hand=row.by_hand,
        ),
    )


def by_rule(rows: Sequence[Row[Any]]) -> Mapping[int, Mapping[Scope, Placed]]:
    found: dict[int, dict[Scope, Placed]] = {}
    for row in rows:
        found.setdefault(row.rule_id, {})[scope_of(row.scope)] = placed(row)
    return found


def put_standings(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each new or in the place of the one that was there."""
    if not rows:
        return
    insert = tx.insert(rule_standings)
    changed = {
        name: insert.excluded[name] for name in ("state", "since", "fired_at", "resolved_at", "by_hand", "figure")
    }
    tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid", "rule_id", "scope"], set_=changed), rows)


def standing_row(
    pid: int, rule_id: int, scope: Scope, number: int, standing: Standing, *, figure: str
) -> dict[str, Any]:
    """Who takes care of it is not written here: that stands at its incident."""
    state = State.FIRING if standing.is_firing else standing.state
    return {
        "pid": pid,
        "rule_id": rule_id,
        "scope": scope_text(scope),
        "id": number,
        "state": state.value,
        "since": standing.since,
        "fired_at": standing.fired_at,
        "resolved_at": standing.resolved_at,
        "by_hand": standing.by_hand,
        "figure": figure,
    }


def forget(tx: Tx, pid: int, *, before: datetime) -> None:
    """Standings that are in order, and of which nothing matters any more since so long."""
    s = rule_standings.c
    tx.conn.execute(
        sa.delete(rule_standings).where(s.pid == pid, s.state == State.OK.value, s.by_hand.is_(False), s.since < before)
    )


def demand_unchanged(tx: Tx, pid: int, revs: Mapping[int, int]) -> set[int]:
    """Of these rules those that are still as they were read; by number, with the revision that was read.

    They stay so until this transaction ends: who edits or deletes one finds what it raised, and ends that.
    """
    r = alert_rules.c
    query = sa.select(r.id, r.rev).where(r.pid == pid, r.enabled.is_(True), r.archived_at.is_(None)).order_by(r.id)
    if tx.on_postgres:
        # Not shared: a look writes these rows at its end, and of two that shared them neither could.
        query = query.with_for_update(key_share=True)
    return {row.id for row in tx.conn.execute(query) if revs.get(row.id) == row.rev}
