"""What follows from steps of core/check.py: flips, runs, and the alerts that tell of them.

One transaction holds them all: a status that changed without its outbox rows cannot exist. Used by
pings, by the monitor and by commands alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.checks.digests import digests
from heartfly.checks.facts import Said, check_facts, run_facts
from heartfly.checks.rows import Stored, save, save_runs
from heartfly.checks.wording import schedule_words
from heartfly.core.alerts import Alert
from heartfly.core.explain import explain
from heartfly.core.values import Check, Flip, Step
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import flips, projects
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
    entries += digests(tx, [(one.stored, it) for one in taken for it in one.step.unverified], names, now)
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
