"""What follows from steps of core/check.py: flips, runs, and the alerts that tell of them.

One transaction holds them all: a status that changed without its outbox rows cannot exist. Used by
pings, by the monitor and by commands alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.checks.facts import Said, check_facts, run_facts
from heartfly.checks.rows import Stored, save, save_runs
from heartfly.checks.wording import schedule_words
from heartfly.core.alerts import Alert, UnverifiedSlot
from heartfly.core.explain import explain, explain_blind
from heartfly.core.schedule import Kind
from heartfly.core.values import Blind, Check, Flip, Step, Unverified
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, checks, flips, projects, runs
from heartfly.db.prepared import Prepared
from heartfly.notify.outbox import Entry, enqueue, heard_of


@dataclass(slots=True)
class Taken:
    """One step that was taken: the check before and after it."""

    stored: Stored
    before: Check
    step: Step
    said: Said | None = None


def record(tx: Tx, taken: Sequence[Taken], *, ids: IdSource, now: datetime) -> None:
    """Write the checks, runs, flips and alerts of these steps, in the order they were taken."""
    save(tx, {one.stored.id: one.stored for one in taken}.values())
    save_runs(tx, [(one.stored, run) for one in taken for run in one.step.runs])
    _INSERT_FLIPS.run(tx, [_flip_row(one.stored, flip, now) for one in taken for flip in one.step.flips])
    telling = [one for one in taken if _tells(one.step)]
    if telling:
        _tell(tx, telling, ids=ids, now=now)


_INSERT_FLIPS = Prepared(lambda _: sa.insert(flips))


def _tells(step: Step) -> bool:
    return (
        any(flip.tell for flip in step.flips)
        or bool(step.unverified)
        or step.late_since is not None
        or step.schedule_error is not None
    )


def _flip_row(stored: Stored, flip: Flip, now: datetime) -> dict[str, Any]:
    return {
        "pid": stored.pid,
        "check_id": stored.id,
        "flip_no": flip.flip_no,
        "at": flip.at,
        "decided_at": now,
        "from_status": flip.from_status.value,
        "to_status": flip.to_status.value,
        "reason": flip.reason.value,
        "run_id": flip.run.id if flip.run else None,
        "retracts_flip_no": flip.retracts_flip_no,
    }


def _tell(tx: Tx, taken: Sequence[Taken], *, ids: IdSource, now: datetime) -> None:
    pids = {one.stored.pid for one in taken}
    query = sa.select(projects.c.id, projects.c.slug, projects.c.name).where(projects.c.id.in_(pids))
    names = {row.id: (row.slug, row.name) for row in tx.conn.execute(query)}
    heard = heard_of(tx, pids, {one.stored.id for one in taken})
    entries: list[Entry] = []
    for one in taken:
        if one.stored.id not in heard:
            continue
        common = _Common(one, *names.get(one.stored.pid, ("", "")), now=now)
        entries += [common.flipped(flip) for flip in one.step.flips if flip.tell is not None]
        if one.step.late_since is not None:
            entries.append(common.late(one.step.late_since))
        if one.step.schedule_error is not None:
            entries.append(common.schedule_error(one.step.schedule_error))
    entries += _digests(tx, [one for one in taken if one.step.unverified], names, now)
    enqueue(tx, entries, ids=ids, now=now)


@dataclass(slots=True)
class _Common:
    """The alerts about one check, with what they have in common."""

    taken: Taken
    project_slug: str
    project_name: str
    now: datetime

    def _entry(self, key: str, kind: AlertKind, at: datetime, **facts: Any) -> Entry:
        stored = self.taken.stored
        alert = Alert(
            key=key,
            kind=kind,
            project_slug=self.project_slug,
            project_name=self.project_name,
            at=at,
            decided_at=self.now,
            check=check_facts(stored.row, self.taken.step.check, expected_at=self.taken.before.expected_at),
            **facts,
        )
        return Entry(pid=stored.pid, source=f"check:{stored.id}", alert=alert, check_ids=(stored.id,))

    def flipped(self, flip: Flip) -> Entry:
        assert flip.tell is not None
        return self._entry(
            f"flip:{self.taken.stored.id}:{flip.flip_no}",
            flip.tell,
            flip.at,
            reason=flip.reason,
            from_status=flip.from_status,
            to_status=flip.to_status,
            run=run_facts(flip.run, self.taken.said) if flip.run else None,
            down_since=flip.down_since,
            explain=explain(flip, self.taken.before, schedule=schedule_words(self.taken.stored.row)),
        )

    def late(self, since: datetime) -> Entry:
        return self._entry(f"late:{self.taken.stored.id}:{since.isoformat()}", AlertKind.LATE, since)

    def schedule_error(self, error: str) -> Entry:
        return self._entry(
            f"schedule_error:{self.taken.stored.id}:{self.now.isoformat()}",
            AlertKind.SCHEDULE_ERROR,
            self.now,
            explain=f"Its next expected time cannot be worked out: {error}",
        )


_Named = tuple[str, datetime]
"""What a digest names a slot or run by: its check's public id, and when it began."""


def _digests(tx: Tx, taken: Sequence[Taken], names: Mapping[int, tuple[str, str]], now: datetime) -> list[Entry]:
    """One digest for a project and a blind interval, when the first slot closes: it names all that was touched.

    What could not be foreseen then (a check that was resumed since, more than fit in one) has a digest of its own.
    """
    found: dict[tuple[int, Blind], list[tuple[Stored, Unverified]]] = {}
    for one in taken:
        for unverified in one.step.unverified:
            found.setdefault((one.stored.pid, unverified.blind), []).append((one.stored, unverified))
    entries = []
    for (pid, blind), mine in found.items():
        key = f"unverified:{pid}:{blind.id}"
        slots = {(one.row.uuid, it.from_at): (one.id, _slot(one.row, it.from_at, it.to_at)) for one, it in mine}
        named = _named(tx, pid, key)
        if named is None:
            excused = {one.id for one, it in mine if it.run.slot_at is not None}
            slots = _still_open(tx, pid, blind, excused) | slots
        else:
            slots = {name: slot for name, slot in slots.items() if name not in named}
            key += f":{mine[0][1].run.id}"
        if slots:
            entries.append(_digest(pid, key, blind, slots, project=names.get(pid, ("", "")), now=now))
    return entries


def _digest(
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
        (row.uuid, row.expected_at): (row.id, _slot(row, row.expected_at, row.goes_down_at))
        for row in tx.conn.execute(query)
        if row.id not in excused
    }
    query = (
        sa.select(checks.c.id, checks.c.uuid, checks.c.name, checks.c.grace_s, checks.c.max_run_s, runs.c.started_at)
        .join(runs, sa.and_(runs.c.pid == checks.c.pid, runs.c.check_id == checks.c.id))
        .where(checks.c.pid == pid, checks.c.n_open_runs > 0, runs.c.outcome.is_(None))
        .where(runs.c.started_at <= blind.to_at)
        .limit(_MOST_NAMED)
    )
    for row in tx.conn.execute(query):
        limit = row.grace_s if row.max_run_s is None else row.max_run_s
        ends_by = row.started_at + timedelta(seconds=limit)
        if ends_by >= blind.from_at:
            slots[row.uuid, row.started_at] = (row.id, _slot(row, row.started_at, ends_by))
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


def _slot(row: Any, expected_at: datetime, closes_at: datetime) -> UnverifiedSlot:
    return UnverifiedSlot(
        check_uuid=row.uuid, check_name=row.name, expected_at=expected_at, closes_at=max(closes_at, expected_at)
    )
