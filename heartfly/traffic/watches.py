"""What of a project's data is watched: to make, edit and delete a watch, and to read which there are.

When a watch alarms is decided in core/data_silence.py and core/degradation.py, what it sees is gathered in watched.py.
Its check is made by its first look, and goes with it. Each function that changes something is one transaction's work.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import HEARTFLY, Action, Actor, record
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, ScheduleIn
from heartfly.checks.queries import UUID
from heartfly.core.watermarks import is_name
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, projects, watches
from heartfly.db.tenant import ERASED, demand_living
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError

ALL = "*"
MOST = 50
"""Of a project: all of them are looked at each minute."""
JOB = "data-watches"
_PERIOD_S, _GRACE_S = 300, 300
_MOST_NAME = 80


class Kind(StrEnum):
    SOURCE = "source"
    CUSTOMER = "customer"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    least: int
    most: int
    usual: int


LIMITS: Mapping[Kind, Mapping[str, Range]] = {
    kind: {
        "gap_s": Range(least=60, most=604_800, usual=300),
        "factor": Range(least=2, most=10_000, usual=20),
        "least": Range(least=2, most=1_000_000, usual=20),
    }
    for kind in (Kind.SOURCE, Kind.CUSTOMER)
} | {
    Kind.ENDPOINT: {
        "factor": Range(least=2, most=1_000, usual=2),
        "least": Range(least=10, most=1_000_000, usual=50),
    }
}
"""What can be set of a watch of a kind, and what holds if it is not."""


def limits_of(kind: Kind, asked: Mapping[str, int | None]) -> Mapping[str, int]:
    """With what is usual for what is None. InvalidValueError."""
    known = LIMITS[kind]
    for name, value in asked.items():
        if value is None:
            continue
        if (found := known.get(name)) is None:
            raise InvalidValueError(name, f"is nothing that a watch of this kind has ({kind})")
        if not found.least <= value <= found.most:
            raise InvalidValueError(name, f"must be {found.least} to {found.most}")
    return {name: one.usual if (value := asked.get(name)) is None else value for name, one in known.items()}


def kind_of(text: str) -> Kind:
    """InvalidValueError."""
    if text not in list(Kind):
        raise InvalidValueError("kind", f"must be one of {', '.join(Kind)}")
    return Kind(text)


def create(
    tx: Tx,
    pid: int,
    *,
    kind: Kind,
    what: str,
    limits: Mapping[str, int],
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> Row[Any]:
    """`what`: a source, the public id of a customer, an endpoint, or ALL. InvalidValueError.

    ConflictError: it is watched already, or see MOST.
    """
    if what != ALL and not (is_name(what) if kind is not Kind.ENDPOINT else what):
        raise InvalidValueError("what", "must be a name, or * for all")
    # Whoever makes one holds the project's row, so that two cannot be the last one both.
    tx.conn.execute(sa.select(projects.c.id).where(projects.c.id == pid).with_for_update())
    demand_living(tx, pid)
    w = watches.c
    known = tx.conn.execute(sa.select(w.kind, w.what).where(w.pid == pid)).all()
    if (kind, what) in [(row.kind, row.what) for row in known]:
        raise ConflictError("it is watched already; edit that watch")
    if len(known) >= MOST:
        raise ConflictError(f"{MOST} watches are all that a project may have; delete one, or watch all (*)")
    number, name = ids.next(at), str(uuid.uuid4())
    values = {"pid": pid, "id": number, "uuid": name, "kind": kind.value, "what": what, "limits": dict(limits)}
    tx.conn.execute(sa.insert(watches).values(values | {"standing": {}, "words": "", "created_at": at}))
    tx.changes.jobs = True
    row = _one(tx, pid, name)
    _note(tx, Action.WATCH_CREATE, row, None, _told(row), at=at, actor=actor, ids=ids)
    return row


def edit(
    tx: Tx, pid: int, name: str, *, asked: Mapping[str, int | None], at: datetime, actor: Actor, ids: IdSource
) -> Row[Any]:
    """What is None stays. InvalidValueError, NotFoundError."""
    before = _one(tx, pid, name)
    given = {key: value for key, value in asked.items() if value is not None}
    limits = limits_of(Kind(before.kind), {**before.limits, **given})
    if limits == before.limits:
        return before
    tx.conn.execute(sa.update(watches).where(*_is(before)).values(limits=dict(limits)))
    after = _one(tx, pid, name)
    _note(tx, Action.WATCH_EDIT, after, _told(before), _told(after), at=at, actor=actor, ids=ids)
    return after


def delete(tx: Tx, pid: int, name: str, *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """Its check goes with it; incidents stay. NotFoundError."""
    row = _one(tx, pid, name)
    check = (checks.c.pid == pid, checks.c.id == row.check_id)
    found = tx.conn.execute(sa.select(checks.c.uuid).where(*check)).scalar()
    if found is not None:
        tx.conn.execute(sa.update(checks).where(*check).values(job=None))
        commands.delete(tx, pid, found, at=at, ids=ids, actor=actor)
    tx.conn.execute(sa.delete(watches).where(*_is(row)))
    _note(tx, Action.WATCH_DELETE, row, _told(row), None, at=at, actor=actor, ids=ids)


def provide_check(tx: Tx, row: Row[Any], called: str, *, at: datetime, ids: IdSource) -> str:
    """Its address to ping, within. `called`: what is watched, for people."""
    query = sa.select(checks.c.ping_uuid).where(checks.c.pid == row.pid, checks.c.id == row.check_id)
    known: str | None = tx.conn.execute(query).scalar()
    if known is not None:
        return known
    asked = CheckIn(
        name=f"Data: {called}"[:_MOST_NAME],
        tags=["data"],
        description="A watch of data: Heartfly looks each minute, and tells here what it finds.",
        schedule=ScheduleIn(kind="period", period=_PERIOD_S),
        grace=_GRACE_S,
    )
    made = commands.create(tx, row.pid, asked, at=at, ids=ids, actor=HEARTFLY)
    is_it = (checks.c.pid == row.pid, checks.c.uuid == made)
    tx.conn.execute(sa.update(checks).where(*is_it).values(job=JOB))
    check = tx.conn.execute(sa.select(checks.c.id, checks.c.ping_uuid).where(*is_it)).one()
    tx.conn.execute(sa.update(watches).where(*_is(row)).values(check_id=check.id))
    address: str = check.ping_uuid
    return address


def keep(tx: Tx, row: Row[Any], *, standing: Mapping[str, Any], words: str, at: datetime) -> Row[Any] | None:
    """What a look found. None: the watch is gone, or was edited since it was read, and this look counts for nothing."""
    now_is = tx.conn.execute(sa.select(watches).where(*_is(row))).first()
    if now_is is None or now_is.limits != row.limits:
        return None
    found = {"standing": dict(standing), "words": words, "looked_at": at}
    tx.conn.execute(sa.update(watches).where(*_is(row)).values(found))
    return now_is


def _one(tx: Tx, pid: int, name: str) -> Row[Any]:
    query = sa.select(*_COLUMNS).select_from(_WITH_CHECK).where(watches.c.pid == pid, watches.c.uuid == name)
    row = tx.conn.execute(query).first() if UUID.fullmatch(name) else None
    if row is None:
        raise NotFoundError("there is no such watch")
    return row


_WITH_CHECK = watches.outerjoin(checks, sa.and_(checks.c.pid == watches.c.pid, checks.c.id == watches.c.check_id))
_COLUMNS = (*watches.c, checks.c.uuid.label("check_uuid"), checks.c.status.label("check_status"))


def _is(row: Row[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    return watches.c.pid == row.pid, watches.c.id == row.id


def _told(row: Row[Any]) -> Mapping[str, Any]:
    return {"kind": row.kind, "what": row.what, **row.limits}


def _note(
    tx: Tx,
    action: Action,
    row: Row[Any],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> None:
    record(
        tx, row.pid, actor=actor, action=action, of=f"watch:{row.uuid}",
        before=before, after=after, at=at, ids=ids,
    )  # fmt: skip


# --- reads


async def list_watches(main: AsyncConnection, pid: int, *, after: int = 0, limit: int = MOST) -> Sequence[Row[Any]]:
    """In the order in which they were made, with `check_uuid` and `check_status`; null before their first look."""
    query = sa.select(*_COLUMNS).select_from(_WITH_CHECK).where(watches.c.pid == pid, watches.c.id > after)
    return (await main.execute(query.order_by(watches.c.id).limit(limit))).all()


async def one_watch(main: AsyncConnection, pid: int, name: str) -> Row[Any]:
    """NotFoundError."""
    query = sa.select(*_COLUMNS).select_from(_WITH_CHECK).where(watches.c.pid == pid, watches.c.uuid == name)
    row = (await main.execute(query)).first() if UUID.fullmatch(name) else None
    if row is None:
        raise NotFoundError("there is no such watch")
    return row


async def projects_that_watch(main: AsyncConnection) -> Sequence[int]:
    """Those that live."""
    query = sa.select(watches.c.pid).distinct().join(projects, projects.c.id == watches.c.pid)
    return (await main.execute(query.where(~projects.c.slug.startswith(ERASED)))).scalars().all()
