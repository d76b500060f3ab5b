"""Reads about incidents, each bound to one project. Lists are read by key, newest first.

Of a deleted check its incidents are left, and what was told of them; its flips and runs are gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.alerts import cause_key, flip_key
from heartfly.core.incident import Incident, Member
from heartfly.core.words import IncidentEnd
from heartfly.db.models import cause_tellings, checks, flips, incident_notes, incidents, runs
from heartfly.errors import NotFoundError
from heartfly.incidents.raised import keys_of
from heartfly.incidents.spans import KINDS, OF_CHECK, are_members
from heartfly.notify import queries as notifications
from heartfly.notify.queries import NotificationView
from heartfly.notify.reminders import keys_of_incident

_MOST_NOTIFICATIONS = 500
_MOST_OF_CHANNEL = 50
"""Of what was told of a cause as a whole, the newest few beside the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    id: int
    at: datetime
    actor: str
    text: str


def uuid_of(text: str) -> str:
    """A public id as it is stored. NotFoundError for what cannot be one: a NUL would offend the database."""
    try:
        return notifications.uuid_of(text)
    except NotFoundError:
        raise NotFoundError("there is no such incident") from None


async def find(read: AsyncConnection, pid: int, uuid: str) -> Row[Any]:
    """The row of an incident, with the `check_name` of now. NotFoundError, for one of another project too."""
    row: Row[Any] | None = (await read.execute(_select(pid).where(incidents.c.uuid == uuid_of(uuid)))).first()
    if row is None:
        raise NotFoundError("there is no such incident")
    return row


async def numbered(read: AsyncConnection, pid: int, incident_id: int) -> Row[Any]:
    """The same, by its own number."""
    row: Row[Any] = (await read.execute(_select(pid).where(incidents.c.id == incident_id))).one()
    return row


async def find_many(
    read: AsyncConnection,
    pid: int,
    *,
    is_open: bool | None = None,
    check_id: int | None = None,
    by_cause: bool = False,
    before: tuple[datetime, int] | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """By the time at which they opened, the newest first; `before`: those behind this place (opened_at, id).

    `by_cause`: without those that are part of a cause, which stands for them.
    """
    query = _select(pid)
    if by_cause:
        query = query.where(incidents.c.part_of.is_(None))
    if is_open is not None:
        query = query.where(incidents.c.closed_at.is_(None) if is_open else incidents.c.closed_at.is_not(None))
    if check_id is not None:
        query = query.where(incidents.c.source_kind == OF_CHECK, incidents.c.source_id == check_id)
    if before is not None:
        opened_at, incident_id = before
        # The first condition follows from the second, but by it alone the index is entered at the place.
        behind = sa.or_(incidents.c.opened_at < opened_at, incidents.c.id < incident_id)
        query = query.where(incidents.c.opened_at <= opened_at, behind)
    query = query.order_by(incidents.c.opened_at.desc(), incidents.c.id.desc()).limit(limit)
    found: Sequence[Row[Any]] = (await read.execute(query)).all()
    return found


def _select(pid: int) -> Select[Any]:
    of_check = sa.and_(
        checks.c.pid == incidents.c.pid, checks.c.id == incidents.c.source_id, incidents.c.source_kind == OF_CHECK
    )
    name = sa.func.coalesce(checks.c.name, incidents.c.source_name).label("check_name")
    cause = incidents.alias()
    told_of_cause = (
        cause.c.uuid.label("cause_uuid"), cause.c.source_kind.label("cause_kind"),
        cause.c.source_name.label("cause_name"),
    )  # fmt: skip
    of_member = sa.and_(cause.c.pid == incidents.c.pid, cause.c.id == incidents.c.part_of)
    query = sa.select(incidents, name, *told_of_cause).outerjoin(checks, of_check).outerjoin(cause, of_member)
    return query.where(incidents.c.pid == pid)


async def members_of(read: AsyncConnection, incident: Row[Any]) -> Sequence[Row[Any]]:
    """The incidents that a cause explains: those that are open first, in the order in which they opened."""
    if incident.source_kind not in KINDS:
        return ()
    i = incidents.c
    query = _select(incident.pid).where(are_members(incident.pid, [incident.id]))
    ordered = query.order_by(i.closed_at.is_not(None), i.opened_at, i.id)
    found: Sequence[Row[Any]] = (await read.execute(ordered)).all()
    return found


@dataclass(frozen=True, slots=True)
class Size:
    """How many members a cause has, and how many of them are down."""

    n: int = 0
    n_down: int = 0


async def sizes_of(read: AsyncConnection, pid: int, rows: Sequence[Row[Any]]) -> Mapping[int, Size]:
    """Of those of these incidents that are of a cause, by their own number."""
    causes = [row.id for row in rows if row.source_kind in KINDS]
    if not causes:
        return {}
    i = incidents.c
    is_down = sa.case((i.closed_at.is_(None), i.source_id))
    query = sa.select(
        i.part_of, sa.func.count(i.source_id.distinct()).label("n"), sa.func.count(is_down.distinct()).label("n_down")
    ).where(are_members(pid, causes))
    return {row.part_of: Size(row.n, row.n_down) for row in await read.execute(query.group_by(i.part_of))}


# --- what belongs to one -----------------------------------------------------------------------------


async def flips_of(read: AsyncConnection, incident: Row[Any]) -> Sequence[Row[Any]]:
    """In order: the one that opened it, and the one that closed it if there was one."""
    query = sa.select(flips).where(
        flips.c.pid == incident.pid, flips.c.check_id == incident.source_id, flips.c.incident_id == incident.id
    )
    return (await read.execute(query.order_by(flips.c.flip_no))).all()


async def run_of(read: AsyncConnection, flip: Row[Any]) -> Row[Any] | None:
    """The run by which a flip came about; None: there was none, or it is not kept any more."""
    if flip.run_id is None:
        return None
    query = sa.select(runs).where(runs.c.pid == flip.pid, runs.c.check_id == flip.check_id, runs.c.id == flip.run_id)
    return (await read.execute(query)).first()


async def told_of_incident(
    read: AsyncConnection, incident: Row[Any], of_flips: Sequence[Row[Any]]
) -> list[NotificationView]:
    """Who was told of what began and ended it. `of_flips`: of a check's."""
    keys = await keys_of_incident(read, incident.pid, incident.id, incident.uuid)
    if incident.source_kind in KINDS:
        t = cause_tellings.c
        told = sa.select(t.channel_id, t.n_told).where(t.pid == incident.pid, t.incident_id == incident.id)
        for row in await read.execute(told):
            keys += keys_of(cause_key(incident.id, row.channel_id))
            later = range(max(1, row.n_told - _MOST_OF_CHANNEL), row.n_told)
            keys += [cause_key(incident.id, row.channel_id, n) for n in later]
    elif incident.alert_key is None:
        keys += [flip_key(flip.check_id, flip.flip_no) for flip in of_flips]
    else:
        keys += keys_of(incident.alert_key)
    return await notifications.notifications_of(read, incident.pid, keys, limit=_MOST_NOTIFICATIONS)


async def told_of(read: AsyncConnection, pid: int, of_flips: Sequence[Row[Any]]) -> list[NotificationView]:
    """Who was told of these flips, and how each delivery went, newest first."""
    keys = [flip_key(flip.check_id, flip.flip_no) for flip in of_flips]
    return await notifications.notifications_of(read, pid, keys, limit=_MOST_NOTIFICATIONS)


async def notes_of(read: AsyncConnection, pid: int, incident_id: int) -> list[Note]:
    """All of them, oldest first; their number is bounded."""
    query = sa.select(incident_notes).where(incident_notes.c.pid == pid, incident_notes.c.incident_id == incident_id)
    rows = await read.execute(query.order_by(incident_notes.c.id))
    return [Note(id=row.id, at=row.at, actor=row.actor, text=row.text) for row in rows]


def value(row: Row[Any], members: Sequence[Row[Any]] = ()) -> Incident:
    """The row of an incident as what it is; of a cause, with its members."""
    return Incident(
        members=tuple(Member(name=one.check_name, joined_at=one.joined_at, up_at=one.closed_at) for one in members),
        of=row.source_kind,
        opened_at=row.opened_at,
        explain=row.explain,
        closed_at=row.closed_at,
        ended_by=IncidentEnd(row.ended_by) if row.ended_by else None,
        disproved=row.disproved,
        acked_at=row.acked_at,
        acked_by=row.acked_by,
    )
