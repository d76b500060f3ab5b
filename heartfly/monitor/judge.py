"""Judges what fell due: a batch of checks in one transaction, with the flips and alerts that follow.

The handler that the watcher submits. What silence makes of a check is decided in core/check.py; up to
which instant may be judged, in monitor/watch.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import sqlalchemy as sa

from heartfly.checks.flips import Taken, record
from heartfly.checks.rows import Stored, select_locked, stored
from heartfly.core.check import SCHEDULE_RETRY, after_silence
from heartfly.core.values import Blind, Check, Step, replace
from heartfly.core.words import Status
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import blind_intervals, checks
from heartfly.db.prepared import Prepared
from heartfly.db.types import UtcInstant
from heartfly.logs import logger
from heartfly.monitor.planned import Planned, left_alone, planned
from heartfly.notify.later import tell_later
from heartfly.notify.silences import unjudging

BATCH = 40
"""Checks in one transaction. Pings wait for it, and what each check costs is mostly its alert."""
STORM = 1_000
"""Behind so many that fell due at once, the rest go in batches eight times as large: a ping may wait a little longer
then, for each of them waits for all who are before it, and a third of a small batch is its flush and its telling.
"""
_STORM_TIMES = 8

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

    def judge(
        self,
        tx: Tx,
        *,
        through: datetime,
        now: datetime,
        held: Mapping[int, datetime] = MappingProxyType({}),
        n_before: int = 0,
    ) -> Judged:
        """Judge the checks that are due at `through`, the most overdue first; none past it.

        `held`: check id → the earlier instant past which that one may not be judged. `n_before`: so many were judged
        without a rest before these.
        """
        batch = self._batch if n_before < STORM else self._batch * _STORM_TIMES
        most = batch + len(held)  # whoever is held must not keep others from their turn
        found = stored(tx, _DUE.rows(tx, through=through, most=most))
        ready = [one for one in found if _is_due(one, held.get(one.id, through))]
        due = ready[:batch]
        blind = blind_since(tx, _oldest(due)) if due else []
        oldest = _oldest(due) if due else through
        silences = unjudging(tx, {one.pid for one in due}, since=oldest) if due else {}
        taken = []
        for one in due:
            until = min(through, held.get(one.id, through))
            plan = planned(one, silences.get(one.pid, ()), since=oldest, through=until)
            taken.append(self._one(one, blind, plan, now))
        record(tx, taken, ids=self._ids, now=now)
        full = len(found) >= most or len(ready) > len(due)
        return Judged(len(due), sum(len(one.step.flips) for one in taken), full)

    def later(self, tx: Tx, *, now: datetime) -> bool:
        """Tell what was held until now, and remind whom it is time to. True: there may be more."""
        return tell_later(tx, now=now, ids=self._ids)

    def _one(self, stored: Stored, blind: Sequence[Blind], plan: Planned, now: datetime) -> Taken:
        before, deaf = stored.check, [*blind, *plan.blind] if plan.blind else blind
        try:
            step = after_silence(before, through=plan.through, blind=deaf, new_id=lambda: self._ids.next(now), now=now)
            step = left_alone(step, plan.until)
        except Exception as error:
            log.exception("check", check=stored.row.uuid, error=repr(error))
            step = _raised(before, error, now)
        stored.check = step.check
        return Taken(stored, before, step)


def _is_due(one: Stored, at: datetime) -> bool:
    return one.check.wake_at is not None and one.check.wake_at <= at


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


def _oldest(due: Sequence[Stored]) -> datetime:
    """Nothing before this counts for a slot or run that may be judged."""
    starts = [one.check.expected_at for one in due if one.check.expected_at is not None]
    # A job without a calendar may have come early for its slot, though not before its last end.
    starts += [one.check.anchor_at for one in due if one.check.anchor_at is not None]
    # The first ping of a new check may have come at any time.
    starts += [one.check.status_since for one in due if one.check.status is Status.NEW]
    starts += [run.started_at for one in due for run in one.check.open_runs if run.started_at is not None]
    starts += [one.check.wake_at for one in due if one.check.wake_at is not None]
    return min(starts)


def blind_since(tx: Tx, since: datetime) -> list[Blind]:
    return [Blind(id=row.id, from_at=row.from_at, to_at=row.to_at) for row in _BLIND.rows(tx, since=since)]


_BLIND = Prepared(
    lambda _: (
        sa.select(blind_intervals)
        .where(blind_intervals.c.to_at >= sa.bindparam("since", type_=UtcInstant))
        .order_by(blind_intervals.c.from_at)
    )
)
