"""Which jobs there are, and which slot of each is to be run: rows of `jobs`, and of `job_runs` that wait.

A slot is taken once: whoever moves `next_at` on has taken it, and its row has the slot in its key, so that two nodes
cannot both. What missed slots become is decided by the job's kind.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import HEARTFLY
from heartfly.checks import commands as checks_commands
from heartfly.checks.config import CheckIn, ScheduleIn
from heartfly.checks.turn import NotJudgedYetError
from heartfly.core import schedule as schedules
from heartfly.core.schedule import Kind, Schedule
from heartfly.core.words import Status
from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, job_runs, jobs, projects
from heartfly.db.prepared import among
from heartfly.db.tenant import ERASED
from heartfly.jobs.kind import CatchUp, JobKind

_TAG = "heartfly"
_STEP = timedelta(minutes=1)


def list_jobs(
    tx: Tx,
    kinds: Iterable[JobKind],
    *,
    now: datetime,
    ids: IdSource,
    having: Mapping[str, Collection[int]] = MappingProxyType({}),
) -> None:
    """Give each kind its rows, and let schedules follow the settings and the zones.

    In the first project, for the whole installation; but for kinds that `having` names, in each of those projects.
    """
    kinds = list(kinds)
    home = tx.conn.execute(sa.select(projects.c.id, projects.c.zone).order_by(projects.c.id).limit(1)).first()
    if home is None:
        return
    _list(tx, home, [kind for kind in kinds if kind.projects is None], now=now, ids=ids)
    for kind in kinds:
        if kind.projects is not None:
            for project in _disagreeing(tx, kind, having.get(kind.name, ())):
                _list(tx, project, [kind], now=now, ids=ids)


def _disagreeing(tx: Tx, kind: JobKind, pids: Collection[int]) -> Sequence[Any]:
    """Of these projects those whose job is not there yet, or not as it should be: asked at once, for there are many."""
    of_project = sa.and_(jobs.c.pid == projects.c.id, jobs.c.kind == kind.name)
    of_job = sa.and_(checks.c.pid == jobs.c.pid, checks.c.id == jobs.c.check_id)
    query = (
        sa.select(projects.c.id, projects.c.zone, jobs.c.expression, jobs.c.zone.label("job_zone"), jobs.c.off)
        .add_columns(checks.c.job, checks.c.expression.label("check_expression"), checks.c.zone.label("check_zone"))
        .add_columns(checks.c.id.label("check_id"))
        .select_from(projects)
        .outerjoin(jobs, of_project)
        .outerjoin(checks, of_job)
        .where(among(tx.conn, projects.c.id, "pids"), ~projects.c.slug.startswith(ERASED))
        .order_by(projects.c.id)
    )
    found = []
    for row in tx.conn.execute(query, {"pids": sorted(pids)}).all():
        zone = row.zone if is_zone(row.zone) else "UTC"
        job_agrees = (row.expression, row.job_zone, row.off) == (kind.expression, zone, kind.off)
        expected = (None,) if kind.off is not None else (kind.name, kind.expression, zone)
        seen = (row.job,) if kind.off is not None else (row.job, row.check_expression, row.check_zone)
        if not job_agrees or (row.check_id is not None and seen != expected):
            found.append(row)
    return found


def _list(tx: Tx, home: Any, kinds: Sequence[JobKind], *, now: datetime, ids: IdSource) -> None:
    # A zone that has left the tz database must not end the work; what depends on days says so itself.
    zone = home.zone if is_zone(home.zone) else "UTC"
    known = {row.kind: row for row in tx.conn.execute(sa.select(jobs).where(jobs.c.pid == home.id))}
    for kind in kinds:
        wanted = {"expression": kind.expression, "zone": zone, "off": kind.off}
        row = known.get(kind.name)
        if row is None:
            values = wanted | {"pid": home.id, "id": ids.next(now), "uuid": str(uuid.uuid4()), "kind": kind.name}
            values |= {"next_at": _first(kind, zone, now + kind.quiet), "created_at": now}
            tx.conn.execute(tx.insert(jobs).values(values).on_conflict_do_nothing())
            continue
        if any(getattr(row, name) != value for name, value in wanted.items()):
            missed = kind.off is None and row.next_at is not None and row.next_at <= now
            wanted["next_at"] = row.next_at if missed else _first(kind, zone, now)
            tx.conn.execute(sa.update(jobs).where(*_is(row)).values(wanted))
            if kind.off is not None:
                _drop_waiting(tx, row)
        if (check := _check_of(tx, row)) is not None:
            _agree(tx, check, kind, zone, now=now, ids=ids)


def _first(kind: JobKind, zone: str, now: datetime) -> datetime | None:
    return None if kind.off is not None else schedules.next_after(_schedule(kind.expression, zone), now)


def _schedule(expression: str, zone: str) -> Schedule:
    return schedules.parse(Kind.CRON, expression=expression, zone=zone)


def _agree(tx: Tx, check: Any, kind: JobKind, zone: str, *, now: datetime, ids: IdSource) -> None:
    """Let the check of a job expect what the job will do. One that is being judged is left for the next look."""
    if kind.off is None and (check.job, check.expression, check.zone) == (kind.name, kind.expression, zone):
        return
    try:
        if kind.off is None:
            _take_on(tx, check, kind, zone, now=now, ids=ids)
        elif check.job is not None:
            _let_go(tx, check, now=now, ids=ids)
    except NotJudgedYetError:
        return


def _let_go(tx: Tx, check: Any, *, now: datetime, ids: IdSource) -> None:
    """Nothing pings it any more: it expects nothing, and its owner may delete it."""
    checks_commands.pause(tx, check.pid, check.uuid, at=now, ids=ids, actor=HEARTFLY)
    tx.conn.execute(sa.update(checks).where(*_is_check(check)).values(job=None))


def _take_on(tx: Tx, check: Any, kind: JobKind, zone: str, *, now: datetime, ids: IdSource) -> None:
    asked = CheckIn(schedule=ScheduleIn(kind="cron", expression=kind.expression, zone=zone))
    checks_commands.edit(tx, check.pid, check.uuid, asked, at=now, ids=ids, actor=HEARTFLY)
    if check.job is None and check.status == Status.PAUSED:
        checks_commands.resume(tx, check.pid, check.uuid, at=now, ids=ids, actor=HEARTFLY)
    tx.conn.execute(sa.update(checks).where(*_is_check(check)).values(job=kind.name))


def _drop_waiting(tx: Tx, job: Any) -> None:
    of_job = (job_runs.c.pid == job.pid, job_runs.c.job_id == job.id)
    tx.conn.execute(sa.delete(job_runs).where(*of_job, job_runs.c.epoch == 0, job_runs.c.ended_at.is_(None)))


def take_slots(tx: Tx, kinds: Mapping[str, JobKind], *, now: datetime) -> None:
    """Put the next slot that has come, of each job that rests, into the row of runs that wait."""
    resting = ~sa.exists().where(
        job_runs.c.pid == jobs.c.pid, job_runs.c.job_id == jobs.c.id, job_runs.c.ended_at.is_(None)
    )
    due = sa.select(jobs).where(jobs.c.next_at <= now, jobs.c.off.is_(None), jobs.c.kind.in_(kinds), resting)
    for row in tx.conn.execute(due).all():
        slot_at, following = _slot(row, kinds[row.kind].catch_up, now)
        moved = sa.update(jobs).where(*_is(row), jobs.c.next_at == row.next_at).values(next_at=following)
        if tx.conn.execute(moved).rowcount == 1:
            put(tx, row.pid, row.id, slot_at)


def _slot(row: Any, catch_up: CatchUp, now: datetime) -> tuple[datetime, datetime | None]:
    schedule = _schedule(row.expression, row.zone)
    slot_at: datetime = row.next_at
    if catch_up is CatchUp.LAST:
        slot_at = _newest(schedule, slot_at, now)
    return slot_at, schedules.next_after(schedule, slot_at)


def _newest(schedule: Schedule, slot_at: datetime, now: datetime) -> datetime:
    """The last slot up to now, of which `slot_at` is one. Looked for from now: there may be thousands in between."""
    back = _STEP
    while now - back > slot_at:
        found = schedules.next_after(schedule, now - back)
        if found is not None and found <= now:
            slot_at = found
            break
        back *= 2
    following = schedules.next_after(schedule, slot_at)
    while following is not None and following <= now:
        slot_at, following = following, schedules.next_after(schedule, following)
    return slot_at


def put(tx: Tx, pid: int, job_id: int, slot_at: datetime, *, by_hand: bool = False) -> None:
    values = {"pid": pid, "job_id": job_id, "slot_at": slot_at, "by_hand": by_hand}
    values |= {"epoch": 0, "figures": {}, "words": ""}
    tx.conn.execute(tx.insert(job_runs).values(values).on_conflict_do_nothing())


def next_slot(tx: Tx) -> datetime | None:
    at: datetime | None = tx.conn.execute(sa.select(sa.func.min(jobs.c.next_at)).where(jobs.c.off.is_(None))).scalar()
    return at


# --- the check of a job ------------------------------------------------------------------------------


def provide_check(tx: Tx, job: Any, kind: JobKind, *, now: datetime, ids: IdSource) -> None:
    """A job's check is made as it first runs, like any check that is made by its first ping."""
    check = _check_of(tx, job)
    if check is not None:
        return
    asked = CheckIn(
        name=kind.title,
        tags=[_TAG],
        description=kind.about,
        schedule=ScheduleIn(kind="cron", expression=job.expression, zone=job.zone),
        grace=int(kind.grace.total_seconds()),
        max_run=int(kind.max_run.total_seconds()),
        gates=list(kind.gates),
    )
    made = checks_commands.create(tx, job.pid, asked, at=now, ids=ids, actor=HEARTFLY)
    is_it = (checks.c.pid == job.pid, checks.c.uuid == made)
    tx.conn.execute(sa.update(checks).where(*is_it).values(job=kind.name))
    check_id = tx.conn.execute(sa.select(checks.c.id).where(*is_it)).scalar_one()
    tx.conn.execute(sa.update(jobs).where(*_is(job)).values(check_id=check_id))


def _check_of(tx: Tx, job: Any) -> Any | None:
    columns = (checks.c.pid, checks.c.id, checks.c.uuid, checks.c.status, checks.c.job)
    query = sa.select(*columns, checks.c.expression, checks.c.zone)
    return tx.conn.execute(query.where(checks.c.pid == job.pid, checks.c.id == job.check_id)).first()


def _is(job: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return jobs.c.pid == job.pid, jobs.c.id == job.id


def _is_check(check: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return checks.c.pid == check.pid, checks.c.id == check.id
