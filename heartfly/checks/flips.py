"""What follows from steps of core/check.py: flips, runs, incidents, and the alerts that tell of them.

One transaction holds them all: a status that changed without its outbox rows cannot exist. Used by
pings, by the monitor and by commands alike.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.checks.deaf import blind_since
from heartfly.checks.differing import last_success
from heartfly.checks.digests import digests
from heartfly.checks.facts import Said, check_facts, run_facts
from heartfly.checks.rows import Stored, host_of, save, save_runs
from heartfly.checks.wording import schedule_words
from heartfly.core.alerts import Alert, BrokenGate, Unheard, flip_key
from heartfly.core.explain import explain
from heartfly.core.missed import n_missed
from heartfly.core.values import Blind, Check, Flip, Step
from heartfly.core.verdict import what_now
from heartfly.core.words import AlertKind, PingKind, Reason, RunOutcome, Status
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import flips, projects
from heartfly.db.prepared import Prepared, among
from heartfly.incidents.causes import Grouped, end_emptied, group
from heartfly.incidents.spans import Facts, FlipKey, Incident, Turn, follow, touches_down
from heartfly.notify.outbox import Entry, enqueue, who_listens


@dataclass(slots=True)
class Taken:
    """One step that was taken: the check before and after it."""

    stored: Stored
    before: Check
    step: Step
    said: Said | None = None
    unjudged: Blind | None = None
    """Maintenance whose end the slots of the check before are counted from."""


def record(tx: Tx, taken: Sequence[Taken], *, ids: IdSource, now: datetime) -> None:
    """Write the checks, runs, flips, incidents and alerts of these steps, in the order they were taken."""
    save(tx, {one.stored.id: one.stored for one in taken}.values())
    save_runs(tx, [(one.stored, run) for one in taken for run in one.step.runs])
    flipped = Flipped()
    if any(one.step.flips for one in taken):
        flipped = _record_flips(tx, taken, ids=ids, now=now)
    telling = [one for one in taken if _tells(one.step) or _went_well(one)]
    if telling:
        _tell(tx, telling, flipped, ids=ids, now=now)
    if flipped.grouped.emptied:
        end_emptied(tx, flipped.grouped.emptied, ids=ids, now=now)


@dataclass(slots=True)
class Flipped:
    """What is known of each flip beside itself: why, in words, and the incident that it opens or closes."""

    why: Mapping[FlipKey, str] = field(default_factory=dict)
    incidents: Mapping[FlipKey, Incident] = field(default_factory=dict)
    grouped: Grouped = field(default_factory=Grouped)


def _record_flips(tx: Tx, taken: Sequence[Taken], *, ids: IdSource, now: datetime) -> Flipped:
    found = [(one, flip) for one in taken for flip in one.step.flips]
    why = {
        (one.stored.id, flip.flip_no): explain(
            flip, one.before, schedule=schedule_words(one.stored.row), unjudged=one.unjudged
        )
        for one, flip in found
    }
    turns = [
        Turn(
            pid=one.stored.pid,
            check_id=one.stored.id,
            check_uuid=one.stored.row.uuid,
            check_name=one.stored.row.name,
            flip=flip,
            explain=why[one.stored.id, flip.flip_no],
            facts=_facts(one, flip),
        )
        for one, flip in found
        if touches_down(flip)
    ]
    incidents = follow(tx, turns, ids=ids, now=now)
    _INSERT_FLIPS.follow(
        tx, [flip_row(one.stored, flip, incidents.get((one.stored.id, flip.flip_no)), now) for one, flip in found]
    )
    return Flipped(why, incidents, group(tx, turns, incidents, ids=ids, now=now))


def _facts(one: Taken, flip: Flip) -> Facts | None:
    row, slot_at = one.stored.row, flip.run.slot_at if flip.run is not None else None
    host = host_of(one.stored)
    if not (host or row.linked):
        return None
    return Facts(
        host=host,
        linked=row.linked,
        began_at=flip.at if slot_at is None or flip.reason is not Reason.MISSED else slot_at,
        grace=timedelta(seconds=row.grace_s),
    )


_INSERT_FLIPS = Prepared(lambda _: sa.insert(flips))


def _tells(step: Step) -> bool:
    return (
        any(flip.tell for flip in step.flips)
        or bool(step.unverified)
        or step.late_since is not None
        or step.schedule_error is not None
    )


def _went_well(one: Taken) -> bool:
    """Somebody hears of each run that goes well, and nothing else tells of this one."""
    run = one.step.run
    wanted = one.stored.row.wants_success and one.step.kind is PingKind.SUCCESS and not one.step.flips
    return bool(wanted) and run is not None and run.outcome is RunOutcome.OK


def flip_row(stored: Stored, flip: Flip, incident: Incident | None, now: datetime) -> dict[str, Any]:
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
        "incident_id": incident.id if incident else None,
    }


def names_of(tx: Tx, pids: Collection[int]) -> Mapping[int, tuple[str, str]]:
    """Slug and name of each of these projects."""
    return {row.id: (row.slug, row.name) for row in _NAMES.rows(tx, pids=list(pids))}


_NAMES = Prepared(
    lambda tx: sa.select(projects.c.id, projects.c.slug, projects.c.name).where(among(tx, projects.c.id, "pids"))
)


def _tell(tx: Tx, taken: Sequence[Taken], flipped: Flipped, *, ids: IdSource, now: datetime) -> None:
    pids = {one.stored.pid for one in taken}
    names = names_of(tx, pids)
    asked = {one.stored.id for one in taken}
    heard = who_listens(tx, pids, asked)
    deaf = _unheard(tx, [one for one in taken if one.stored.id in heard])
    entries: list[Entry] = []
    for one in taken:
        is_heard = one.stored.id in heard
        last_good = _last_good(tx, one) if is_heard else ""
        common = Telling(one, *names.get(one.stored.pid, ("", "")), now=now, deaf=deaf, last_good=last_good)
        # Of an end those hear, too, who were told that it began, and listen no more: see notify/parting.py.
        entries += [
            common.flipped(flip, flipped)
            for flip in one.step.flips
            if flip.tell is not None and (is_heard or flip.tell is AlertKind.UP)
        ]
        if not is_heard:
            continue
        if _went_well(one):
            entries.append(common.success())
        if one.step.late_since is not None:
            entries.append(common.late(one.step.late_since))
        if one.step.schedule_error is not None:
            entries.append(common.schedule_error(one.step.schedule_error))
    entries += digests(tx, [(one.stored, it) for one in taken for it in one.step.unverified], names, now)
    enqueue(tx, entries, ids=ids, now=now, listening={**dict.fromkeys(asked, ()), **heard})


_OF_MEMBERS = (AlertKind.DOWN, AlertKind.UP)
"""What is told of a member of a cause, by itself or with the others."""


def _unheard(tx: Tx, taken: Sequence[Taken]) -> Sequence[Blind]:
    """What may touch a slot that is told of as missed, or a run as hung."""
    begins = [begin for one in taken for flip in one.step.flips if (begin := _silent_from(one, flip)) is not None]
    return blind_since(tx, min(begins)) if begins else ()


_MOST_UNHEARD = 3


def _silent_from(one: Taken, flip: Flip) -> datetime | None:
    """From when on something was waited for in vain; None: it is no alert about silence."""
    if flip.tell is not AlertKind.DOWN or flip.run is None:
        return None
    if flip.reason is Reason.HUNG:
        return flip.run.started_at
    return None if flip.run.slot_at is None else flip.run.slot_at - one.before.rules.grace


def _last_good(tx: Tx, one: Taken) -> str:
    """What the last success said, if this is a failure that says something and is told."""
    if one.said is None or not one.said.body or not any(flip.tell is AlertKind.DOWN for flip in one.step.flips):
        return ""
    query = last_success(one.stored.pid, one.stored.id, before=one.step.check.n_pings)
    found = tx.conn.execute(query).first()
    return "" if found is None else bytes(found.body).decode("utf-8", "replace")


def source_of(check_id: int) -> str:
    """What an alert about this check is about; see `Entry`."""
    return f"check:{check_id}"


@dataclass(slots=True)
class Telling:
    """The alerts about one check, with what they have in common."""

    taken: Taken
    project_slug: str
    project_name: str
    now: datetime
    deaf: Sequence[Blind] = ()
    """In which Heartfly could not hear, as far as it may matter."""
    last_good: str = ""
    """What the last success said, for a failure that says something."""

    def _entry(self, key: str, kind: AlertKind, at: datetime, **facts: Any) -> Entry:
        stored = self.taken.stored
        alert = Alert(
            key=key,
            kind=kind,
            project_slug=self.project_slug,
            project_name=self.project_name,
            at=at,
            decided_at=self.now,
            check=check_facts(
                stored.row,
                self.taken.step.check,
                expected_at=self.taken.before.expected_at,
                host=host_of(stored),
            ),
            **facts,
        )
        return Entry(pid=stored.pid, source=source_of(stored.id), alert=alert, check_ids=(stored.id,))

    def flipped(self, flip: Flip, flipped: Flipped) -> Entry:
        assert flip.tell is not None
        key = (self.taken.stored.id, flip.flip_no)
        incident = flipped.incidents.get(key)
        entry = self._entry(
            flip_key(*key),
            flip.tell,
            flip.at,
            reason=flip.reason,
            from_status=flip.from_status,
            to_status=flip.to_status,
            run=run_facts(flip.run, self.taken.said, last_good=self.last_good) if flip.run else None,
            broken_gates=tuple(
                BrokenGate(
                    gate=one.gate.text,
                    level=one.gate.level.value,
                    seen=one.seen_words,
                    expected=one.expected_words,
                )
                for one in flip.broken
            ),
            down_since=flip.down_since,
            n_missed=self._n_missed(flip),
            incident=incident.uuid if incident else None,
            cause=flipped.grouped.causes.get(key) if flip.tell in _OF_MEMBERS else None,
            explain=flipped.why[key],
            verdict=what_now(self.taken.step.check),
            unheard=self._unheard(flip),
        )
        return replace(entry, upstream=flipped.grouped.waits.get(key)) if flip.tell is AlertKind.DOWN else entry

    def _unheard(self, flip: Flip) -> tuple[Unheard, ...]:
        since = _silent_from(self.taken, flip)
        touching = [one for one in self.deaf if since is not None and one.touches(since, flip.at)]
        return tuple(Unheard(from_at=one.from_at, to_at=one.to_at) for one in touching[-_MOST_UNHEARD:])

    def _n_missed(self, flip: Flip) -> int:
        before = self.taken.before
        if flip.tell is not AlertKind.UP or flip.retracts_flip_no is not None or before.status is not Status.DOWN:
            return 0
        return n_missed(before.rules, anchor=before.anchor_at, at=flip.at)

    def success(self) -> Entry:
        step = self.taken.step
        assert step.run is not None
        at = step.run.ended_at or self.now
        key = f"success:{self.taken.stored.id}:{step.check.n_pings}"
        return self._entry(key, AlertKind.SUCCESS, at, run=run_facts(step.run, self.taken.said))

    def late(self, since: datetime) -> Entry:
        key = f"late:{self.taken.stored.id}:{since.isoformat()}"
        return self._entry(key, AlertKind.LATE, since, verdict=what_now(self.taken.step.check))

    def schedule_error(self, error: str) -> Entry:
        return self._entry(
            f"schedule_error:{self.taken.stored.id}:{self.now.isoformat()}",
            AlertKind.SCHEDULE_ERROR,
            self.now,
            explain=f"Its next expected time cannot be worked out: {error}",
        )
