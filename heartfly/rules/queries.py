"""Reads about alert rules, their alerts, and what these come to, each bound to one project. Sums are the database's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.rule_states import State
from heartfly.db.models import alert_rules, channels, incidents, projects, rule_alerts, rule_standings
from heartfly.db.tenant import ERASED
from heartfly.errors import NotFoundError
from heartfly.incidents.queries import uuid_of
from heartfly.incidents.raised import OF_RULE
from heartfly.rules.rows import select_standings

_ALERT_STATES = ("firing", "acknowledged", "resolved")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A rule, and in how many scopes it is what."""

    row: Row[Any]
    n_firing: int = 0
    n_pending: int = 0
    fired_at: datetime | None = None


async def list_rules(
    read: AsyncConnection, pid: int, *, after: int = 0, limit: int, archived: bool = False
) -> list[View]:
    """In the order in which they were made."""
    r = alert_rules.c
    query = sa.select(alert_rules).where(r.pid == pid, r.id > after)
    query = query.where(r.archived_at.is_not(None) if archived else r.archived_at.is_(None))
    rows = (await read.execute(query.order_by(r.id).limit(limit))).all()
    return await _views(read, pid, rows)


async def one_rule(read: AsyncConnection, pid: int, public: str) -> View:
    """NotFoundError, for one of another project too."""
    try:
        known = uuid_of(public)
    except NotFoundError:
        raise NotFoundError("there is no such alert rule") from None
    query = sa.select(alert_rules).where(alert_rules.c.pid == pid, alert_rules.c.uuid == known)
    row = (await read.execute(query)).first()
    if row is None:
        raise NotFoundError("there is no such alert rule")
    return (await _views(read, pid, [row]))[0]


async def _views(read: AsyncConnection, pid: int, rows: Sequence[Row[Any]]) -> list[View]:
    if not rows:
        return []
    s = rule_standings.c
    query = (
        sa.select(
            s.rule_id,
            sa.func.sum(sa.case((s.state == State.FIRING.value, 1), else_=0)).label("firing"),
            sa.func.sum(sa.case((s.state == State.PENDING.value, 1), else_=0)).label("pending"),
            sa.func.max(s.fired_at).label("fired_at"),
        )
        .where(s.pid == pid, s.rule_id >= rows[0].id, s.rule_id <= rows[-1].id)
        .group_by(s.rule_id)
    )
    known = {row.rule_id: row for row in await read.execute(query)}
    return [
        View(row=row)
        if (one := known.get(row.id)) is None
        else View(row=row, n_firing=int(one.firing), n_pending=int(one.pending), fired_at=one.fired_at)
        for row in rows
    ]


async def foreign_rules(
    read: AsyncConnection, pid: int, origin: str, *, after: int = 0, limit: int
) -> Sequence[Row[Any]]:
    """Those that another API made, archived or not, in the order in which they were made."""
    r = alert_rules.c
    query = sa.select(alert_rules).where(r.pid == pid, r.origin == origin, r.id > after)
    found: Sequence[Row[Any]] = (await read.execute(query.order_by(r.id).limit(limit))).all()
    return found


async def firing_in(read: AsyncConnection, pid: int, rules: Sequence[int], scope: str) -> set[int]:
    """Of these rules, by number, those that fire in this scope."""
    s = rule_standings.c
    query = sa.select(s.rule_id).where(
        s.pid == pid, s.rule_id.in_(rules), s.scope == scope, s.state == State.FIRING.value
    )
    return set((await read.execute(query)).scalars()) if rules else set()


async def looked_at(read: AsyncConnection, pid: int) -> Sequence[Row[Any]]:
    """All that a look is about."""
    r = alert_rules.c
    query = sa.select(alert_rules).where(r.pid == pid, r.enabled.is_(True), r.archived_at.is_(None))
    return (await read.execute(query.order_by(r.id))).all()


async def standings(
    read: AsyncConnection, pid: int, *, rule_id: int | None = None, limit: int | None = None
) -> Sequence[Row[Any]]:
    """What is not in order comes first."""
    query = select_standings(pid)
    if rule_id is not None:
        query = query.where(rule_standings.c.rule_id == rule_id)
    if limit is not None:
        calm = sa.case((rule_standings.c.state == State.OK.value, 1), else_=0)
        query = query.order_by(calm, rule_standings.c.since.desc(), rule_standings.c.scope).limit(limit)
    found: Sequence[Row[Any]] = (await read.execute(query)).all()
    return found


async def projects_with_rules(read: AsyncConnection) -> Sequence[int]:
    r = alert_rules.c
    query = sa.select(r.pid).distinct().where(r.enabled.is_(True), r.archived_at.is_(None))
    return (await read.execute(query)).scalars().all()


async def living(read: AsyncConnection, pids: Collection[int]) -> Sequence[int]:
    """Of these projects those that are not being erased."""
    query = sa.select(projects.c.id).where(projects.c.id.in_(sorted(pids)), ~projects.c.slug.startswith(ERASED))
    return (await read.execute(query.order_by(projects.c.id))).scalars().all()


async def channel_uuids(read: AsyncConnection, pid: int, ids: Sequence[int] | None) -> list[str] | None:
    """Of a rule's channels those that are still there; None: all of the project."""
    if ids is None:
        return None
    query = sa.select(channels.c.uuid).where(channels.c.pid == pid, channels.c.id.in_(ids))
    return list((await read.execute(query.order_by(channels.c.id))).scalars())


async def channel_names(read: AsyncConnection, pid: int, ids: Sequence[int] | None) -> list[Row[Any]] | None:
    """The same, with names, for people."""
    if ids is None:
        return None
    query = sa.select(channels.c.uuid, channels.c.name).where(channels.c.pid == pid, channels.c.id.in_(ids))
    return list(await read.execute(query.order_by(channels.c.name)))


# --- alerts


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Empty: any. `since` and `until`: of when they began, half-open."""

    state: str = ""
    severity: str = ""
    type: str = ""
    rule: str = ""
    since: datetime | None = None
    until: datetime | None = None


async def list_alerts(
    read: AsyncConnection,
    pid: int,
    wanted: Filter,
    *,
    before: tuple[datetime, int] | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """The newest first; `before`: those behind this place (opened_at, id)."""
    query = sa.select(*_COLUMNS).select_from(_ALERTS).where(*_wanted(pid, wanted))
    if before is not None:
        opened_at, number = before
        behind = sa.or_(incidents.c.opened_at < opened_at, incidents.c.id < number)
        query = query.where(incidents.c.opened_at <= opened_at, behind)
    query = query.order_by(incidents.c.opened_at.desc(), incidents.c.id.desc()).limit(limit)
    return (await read.execute(query)).all()


async def one_alert(read: AsyncConnection, pid: int, public: str) -> Row[Any]:
    """NotFoundError."""
    try:
        known = uuid_of(public)
    except NotFoundError:
        raise NotFoundError("there is no such alert") from None
    query = sa.select(*_COLUMNS).select_from(_ALERTS).where(*_wanted(pid, Filter()), incidents.c.uuid == known)
    row = (await read.execute(query)).first()
    if row is None:
        raise NotFoundError("there is no such alert")
    return row


def state_of(row: Row[Any]) -> str:
    """Of an alert: firing, acknowledged or resolved."""
    if row.closed_at is not None:
        return "resolved"
    return "firing" if row.acked_at is None else "acknowledged"


_ALERTS = rule_alerts.join(
    incidents,
    sa.and_(
        incidents.c.pid == rule_alerts.c.pid,
        incidents.c.id == rule_alerts.c.incident_id,
        incidents.c.source_kind == sa.literal_column(f"'{OF_RULE}'"),
    ),
)
_COLUMNS = (
    *rule_alerts.c,
    *(
        incidents.c[name]
        for name in ("id", "uuid", "opened_at", "closed_at", "acked_at", "acked_by", "ended_by", "explain")
    ),
)


def _wanted(pid: int, wanted: Filter) -> list[sa.ColumnElement[bool]]:
    found = [rule_alerts.c.pid == pid, incidents.c.pid == pid]
    if wanted.state == "resolved":
        found.append(incidents.c.closed_at.is_not(None))
    elif wanted.state:
        acked = incidents.c.acked_at
        found += [incidents.c.closed_at.is_(None), acked.is_(None) if wanted.state == "firing" else acked.is_not(None)]
    for column, value in (
        (rule_alerts.c.severity, wanted.severity),
        (rule_alerts.c.type, wanted.type),
        (rule_alerts.c.rule_uuid, wanted.rule),
    ):
        if value:
            found.append(column == value)
    if wanted.since is not None:
        found.append(incidents.c.opened_at >= wanted.since)
    if wanted.until is not None:
        found.append(incidents.c.opened_at < wanted.until)
    return found


# --- statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """`mean_time_to_resolve` None: none has ended. By type and severity: how many, and how many of them are open."""

    total: int
    active: int
    acknowledged: int
    resolved: int
    mean_time_to_resolve: timedelta | None
    by_type: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    by_severity: Mapping[str, tuple[int, int]] = field(default_factory=dict)


async def statistics(read: AsyncConnection, pid: int, wanted: Filter) -> Statistics:
    """Of all alerts that are like that, from SQL: no row is loaded, and none is left out."""
    where = _wanted(pid, wanted)
    is_open = sa.case((incidents.c.closed_at.is_(None), 1), else_=0)
    acked = sa.case((sa.and_(incidents.c.closed_at.is_(None), incidents.c.acked_at.is_not(None)), 1), else_=0)
    lasted = _lasted(read)
    ended = sa.case((incidents.c.closed_at.is_not(None), lasted))
    whole = sa.select(
        sa.func.count(), sa.func.coalesce(sa.func.sum(is_open), 0), sa.func.coalesce(sa.func.sum(acked), 0),
        sa.func.coalesce(sa.func.sum(ended), 0),
    ).select_from(_ALERTS).where(*where)  # fmt: skip
    total, active, acknowledged, us = (int(one) for one in (await read.execute(whole)).one())
    resolved = total - active

    async def by(column: sa.ColumnElement[str]) -> Mapping[str, tuple[int, int]]:
        query = sa.select(column, sa.func.count(), sa.func.sum(is_open)).select_from(_ALERTS).where(*where)
        rows = await read.execute(query.group_by(column).order_by(column))
        return {name: (int(n), int(n_open)) for name, n, n_open in rows}

    return Statistics(
        total=total,
        active=active,
        acknowledged=acknowledged,
        resolved=resolved,
        mean_time_to_resolve=timedelta(microseconds=us // resolved) if resolved else None,
        by_type=await by(rule_alerts.c.type),
        by_severity=await by(rule_alerts.c.severity),
    )


def _lasted(read: AsyncConnection) -> sa.ColumnElement[int]:
    """In microseconds."""
    opened, closed = incidents.c.opened_at, incidents.c.closed_at
    if read.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", closed - opened) * 1_000_000, sa.BigInteger)
    return sa.type_coerce(closed, sa.BigInteger) - sa.type_coerce(opened, sa.BigInteger)
