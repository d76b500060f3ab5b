"""Judges what fell due: a batch of checks in one transaction, with the flips and alerts that follow.

The handler that the watcher submits. What silence makes of a check is decided in core/check.py; up to
which instant may be judged, in monitor/watch.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from heartfly.checks.deaf import blind_since
from heartfly.checks.flips import Taken, record
from heartfly.checks.missed import Missed, hold_causes, judged_as_one, record_missed, sort_out
from heartfly.checks.rows import Stored, select_locked, stored
from heartfly.core.check import SCHEDULE_RETRY, after_silence
from heartfly.core.silence import Silence
from heartfly.core.values import Blind, Check, Step, replace
from heartfly.core.words import Status
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks
from heartfly.db.prepared import Found, Prepared
from heartfly.db.types import UtcInstant
from heartfly.incidents.hosts import Wells
from heartfly.logs import logger
from heartfly.monitor.planned import Planned, Windows, left_alone, planned
from heartfly.monitor.put_off import put_off
from heartfly.notify.later import MOST, Later, tell_later
from heartfly.notify.silences import unjudging

BATCH = 40
"""Checks in one transaction. Pings wait for it, and what each check costs is mostly its alert."""
STORM = 1_000
"""Behind so many that fell due at once, the rest go in batches sixteen times as large: a ping may wait for 30 ms then,
for each of them waits for all who are before it, and a third of a small batch is its flush and its telling.
"""
_STORM_TIMES = 16

log = logger("heartfly.monitor")


@dataclass(frozen=True, slots=True)
class Judged:
    """`full`: the batch was, so more may be due. `flips`: how many statuses changed."""

    n: int
    flips: int
    full: bool


class Judge:
    def __init__(self, *, ids: IdSource, batch: int = BATCH) -> None:
        self._ids = ids
        self._batch = batch
        self._wells = Wells()
        self._alone: tuple[int, int] | None = None
        """Project and id of the check that is judged by itself, if one is."""

    def judge(
        self,
        tx: Tx,
        *,
        through: datetime,
        now: datetime,
        held: Mapping[int, datetime] = MappingProxyType({}),
        n_before: int = 0,
        at_most: int | None = None,
    ) -> Judged:
        """Judge the checks that are due at `through`, the most overdue first; none past it.

        `held`: check id → the earlier instant past which that one may not be judged. `n_before`: so many were judged
        without a rest before these. `at_most`: no more than so many; None: a batch.
        """
        self._alone = None
        batch = self._batch if n_before < STORM else self._batch * _STORM_TIMES
        batch = batch if at_most is None else min(batch, at_most)
        most = batch + len(held)  # whoever is held must not keep others from their turn
        found = _DUE.found(tx, through=through, most=most)
        ready = _not_held(found, held)
        due = ready[:batch]
        self._alone = found.pick("pid", "id")(due[0]) if batch == 1 and due else None
        groups, rows = sort_out(found, due)
        hold_causes(tx, found, due)
        apart = stored(tx, found.told(rows))
        oldest = _oldest(found, due, apart) if due else through
        blind = blind_since(tx, oldest) if due else []
        silences = unjudging(tx, {pid for pid, _ in map(found.pick("pid", "id"), due)}, since=oldest) if due else {}
        at_once: list[Missed] = []
        for group in groups:
            alike, rest = _without_silence(found, group, silences)
            apart += stored(tx, found.told(rest))
            if not alike:
                continue
            missed, rest = judged_as_one(tx, found, alike, through=through, blind=blind, now=now)
            apart += stored(tx, found.told(rest))
            if missed is not None:
                at_once.append(missed)
        taken, windows = [], Windows(silences, since=oldest)
        for one in apart:
            until = min(through, held.get(one.id, through))
            plan, unjudged = planned(one, windows, through=until), windows.before(one)
            taken.append(self._one(one, blind, plan, now, unjudged=unjudged))
        record(tx, taken, ids=self._ids, now=now)
        for missed in at_once:
            record_missed(tx, found, missed, ids=self._ids, now=now, wells=self._wells)
        n_flips = sum(len(one.step.flips) for one in taken) + sum(len(one.rows) for one in at_once)
        return Judged(len(due), n_flips, full=len(found.rows) >= most or len(ready) > len(due))

    def put_off(self, tx: Tx, *, now: datetime, error: Exception) -> Judged:
        """The one that was judged alone, and could not be: leave it for an hour. See put_off.py."""
        if self._alone is None:
            return Judged(0, 0, full=False)
        why = str(error) or type(error).__name__
        return Judged(int(put_off(tx, *self._alone, error=why, ids=self._ids, now=now)), 0, full=True)

    def later(self, tx: Tx, *, now: datetime, only: Later | None = None, most: int = MOST) -> bool:
        """Tell what was held until now, and remind whom it is time to. True: there may be more."""
        return tell_later(tx, now=now, ids=self._ids, only=only, most=most)

    def _one(
        self, stored: Stored, blind: Sequence[Blind], plan: Planned, now: datetime, *, unjudged: Blind | None
    ) -> Taken:
        before, deaf = stored.check, [*blind, *plan.blind] if plan.blind else blind
        try:
            step = after_silence(before, through=plan.through, blind=deaf, new_id=lambda: self._ids.next(now), now=now)
            step = left_alone(step, plan.until)
        except Exception as error:
            log.exception("check", check=stored.row.uuid, error=repr(error))
            step = _raised(before, error, now)
        stored.check = step.check
        return Taken(stored, before, step, unjudged=unjudged)


def _not_held(found: Found, held: Mapping[int, datetime]) -> list[tuple[Any, ...]]:
    """Those of the rows that are due although signals for some checks are under way."""
    if not held:
        return found.rows
    of_id, wake_at = found.pick("id", "wake_at"), partial(found.value, "wake_at")
    return [row for row in found.rows if (of := of_id(row))[0] not in held or wake_at(of[1]) <= held[of[0]]]


def _without_silence(
    found: Found, group: Sequence[tuple[Any, ...]], silences: Mapping[int, Sequence[Silence]]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Those of projects in which all is judged, and the others, of which each may be left alone for another time."""
    if not silences:
        return list(group), []
    of_pid = found.pick("pid", "id")
    alike = [row for row in group if of_pid(row)[0] not in silences]
    return alike, [row for row in group if of_pid(row)[0] in silences]


def _due(tx: Tx) -> sa.Select[tuple[object, ...]]:
    due = checks.c.wake_at <= sa.bindparam("through", type_=UtcInstant)
    most: sa.BindParameter[int] = sa.bindparam("most", type_=sa.Integer)
    if not tx.on_postgres:
        by_urgency = (checks.c.wake_at, checks.c.pid, checks.c.id)
        return select_locked().where(due).order_by(None).order_by(*by_urgency).limit(most)
    # Choose by urgency, then lock in id order, as every writer does; skip none.
    urgent = sa.select(checks.c.id).where(due).order_by(checks.c.wake_at).limit(most).scalar_subquery()
    return select_locked().where(checks.c.id.in_(urgent), due)


_DUE = Prepared(_due)


def _raised(check: Check, error: Exception, now: datetime) -> Step:
    """The status stays as it is, the owner is told, and the check is looked at again in an hour."""
    text = str(error) or type(error).__name__
    first = check.schedule_error_at is None
    check = replace(
        check,
        schedule_error=text,
        schedule_error_at=check.schedule_error_at or now,
        wake_at=now + SCHEDULE_RETRY,
        rev=check.rev + 1,
    )
    return Step(check=check, schedule_error=text if first else None)


def _oldest(found: Found, due: Sequence[tuple[Any, ...]], apart: Sequence[Stored]) -> datetime:
    """Nothing before this counts for a slot or run that may be judged."""
    # A job without a calendar may have come early for its slot, though not before its last end.
    columns = zip(*map(found.pick("wake_at", "expected_at", "anchor_at"), due), strict=True)
    known = [[at for at in column if at is not None] for column in columns]
    starts: list[datetime] = [found.value("wake_at", min(column)) for column in known if column]
    # The first ping of a new check may have come at any time.
    starts += [one.check.status_since for one in apart if one.check.status is Status.NEW]
    starts += [run.started_at for one in apart for run in one.check.open_runs if run.started_at is not None]
    return min(starts)
