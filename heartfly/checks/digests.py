"""Which slots and runs a digest names: those that a blind interval touched, so that nobody is told of each.

That they are excused is decided in core/check.py; flips.py writes the digests with all else that is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.checks.rows import Stored
from heartfly.core.alerts import Alert, UnverifiedSlot
from heartfly.core.explain import explain_blind
from heartfly.core.schedule import Kind
from heartfly.core.values import Blind, Unverified
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.models import alerts, checks, runs
from heartfly.notify.outbox import Entry

_Named = tuple[str, datetime]
"""What a digest names a slot or run by: its check's public id, and when it began."""


def digests(
    tx: Tx, excused: Sequence[tuple[Stored, Unverified]], names: Mapping[int, tuple[str, str]], now: datetime
) -> list[Entry]:
    """One digest for a project and a blind interval, when the first slot closes: it names all that was touched.

    What could not be foreseen then (a check that was resumed since, more than fit in one) has a digest of its own.
    `names`: slug and name of each project.
    """
    found: dict[tuple[int, Blind], list[tuple[Stored, Unverified]]] = {}
    for one, unverified in excused:
        found.setdefault((one.pid, unverified.blind), []).append((one, unverified))
    entries = []
    for (pid, blind), mine in found.items():
        key = f"unverified:{pid}:{blind.id}"
        slots = {(one.row.uuid, it.from_at): (one.id, slot_of(one.row, it.from_at, it.to_at)) for one, it in mine}
        named = _named(tx, pid, key)
        if named is None:
            of_slots = {one.id for one, it in mine if it.run.slot_at is not None}
            slots = _still_open(tx, pid, blind, of_slots) | slots
        else:
            slots = {name: slot for name, slot in slots.items() if name not in named}
            key += f":{mine[0][1].run.id}"
        if slots:
            entries.append(digest_of(pid, key, blind, slots, project=names.get(pid, ("", "")), now=now))
    return entries


def digest_of(
    pid: int,
    key: str,
    blind: Blind,
    slots: Mapping[_Named, tuple[int, UnverifiedSlot]],
    *,
    project: tuple[str, str],
    now: datetime,
) -> Entry:
    alert = Alert(
        key=key,
        kind=AlertKind.UNVERIFIED,
        project_slug=project[0],
        project_name=project[1],
        at=blind.to_at,
        decided_at=now,
        blind_from=blind.from_at,
        blind_to=blind.to_at,
        slots=tuple(sorted((slot for _, slot in slots.values()), key=lambda slot: (slot.expected_at, slot.check_name))),
        explain=explain_blind(blind),
    )
    check_ids = tuple({check_id for check_id, _ in slots.values()})
    return Entry(pid=pid, source=f"blind:{blind.id}", alert=alert, check_ids=check_ids)


def _named(tx: Tx, pid: int, key: str) -> set[_Named] | None:
    """What the first digest of an interval named; None: there was none, or nobody heard it."""
    payload = tx.conn.execute(sa.select(alerts.c.payload).where(alerts.c.pid == pid, alerts.c.key == key)).scalar()
    if payload is None:
        return None
    return {(slot["check_uuid"], datetime.fromisoformat(slot["expected_at"])) for slot in payload["slots"]}


_MOST_NAMED = 1000


def _still_open(tx: Tx, pid: int, blind: Blind, excused: set[int]) -> dict[_Named, tuple[int, UnverifiedSlot]]:
    """Slots and runs that the interval touches and that may yet report, or have not been judged.

    `excused`: checks whose slot was; the next one opens when we could hear again, in the last instant of the interval.
    """
    query = (
        sa.select(checks.c.id, checks.c.uuid, checks.c.name, checks.c.expected_at, checks.c.goes_down_at)
        .where(
            checks.c.pid == pid,
            checks.c.status.in_(["up", "degraded"]),
            _counts_from(tx) <= blind.to_at,
            checks.c.goes_down_at >= blind.from_at,
        )
        .limit(_MOST_NAMED)
    )
    slots = {
        (row.uuid, row.expected_at): (row.id, slot_of(row, row.expected_at, row.goes_down_at))
        for row in tx.conn.execute(query)
        if row.id not in excused
    }
    query = (
        sa.select(
            *(checks.c.id, checks.c.uuid, checks.c.name, checks.c.grace_s, checks.c.max_run_s),
            *(runs.c.started_at, runs.c.progress_at),
        )
        .join(runs, sa.and_(runs.c.pid == checks.c.pid, runs.c.check_id == checks.c.id))
        .where(checks.c.pid == pid, checks.c.n_open_runs > 0, runs.c.outcome.is_(None))
        .where(runs.c.started_at <= blind.to_at)
        .limit(_MOST_NAMED)
        .with_hint(runs, "INDEXED BY ix_runs_open", "sqlite")
    )
    for row in tx.conn.execute(query):
        limit = row.grace_s if row.max_run_s is None else row.max_run_s
        ends_by = (row.progress_at or row.started_at) + timedelta(seconds=limit)
        if ends_by >= blind.from_at:
            slots[row.uuid, row.started_at] = (row.id, slot_of(row, row.started_at, ends_by))
    return slots


def _counts_from(tx: Tx) -> sa.ColumnElement[Any]:
    """The instant from which a success counts for a slot: a job without a calendar may come early, by the grace."""
    if tx.on_postgres:
        early: sa.ColumnElement[Any] = checks.c.expected_at - checks.c.grace_s * sa.literal_column(
            "interval '1 second'"
        )
    else:
        micros = sa.type_coerce(checks.c.expected_at, sa.BigInteger()) - checks.c.grace_s * 1_000_000
        early = sa.type_coerce(micros, checks.c.expected_at.type)
    return sa.case((checks.c.kind == Kind.PERIOD.value, early), else_=checks.c.expected_at)


def slot_of(row: Any, expected_at: datetime, closes_at: datetime) -> UnverifiedSlot:
    return UnverifiedSlot(
        check_uuid=row.uuid, check_name=row.name, expected_at=expected_at, closes_at=max(closes_at, expected_at)
    )
