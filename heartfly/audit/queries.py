"""Reads of the audit, each bound to one project, newest first. Read by key, never by offset."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action
from heartfly.db.changes import Tx
from heartfly.db.models import audit

_SAYS = [column for column in audit.c if column.name not in {"clasp", "redaction_hash"}]
"""Not of what holds it (chain.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries are listed. `action` and `object` may be a kind alone, such as `check`; empty: any.

    `from_at` is inclusive, `to_at` is not.
    """

    actor: str = ""
    action: str = ""
    object: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None


def newest_entry(pid: int) -> Select[tuple[int | None]]:
    """The id of the last thing that was done; null: nothing ever was."""
    return sa.select(sa.func.max(audit.c.id)).where(audit.c.pid == pid)


async def list_entries(
    read: AsyncConnection, pid: int, wanted: Wanted, *, before: tuple[datetime, int] | None, limit: int
) -> Sequence[Row[Any]]:
    """`before`: those behind this one, given as its `at` and id."""
    query = sa.select(*_SAYS).where(audit.c.pid == pid)
    if wanted.actor:
        query = query.where(audit.c.actor == wanted.actor)
    if wanted.action:
        query = query.where(_is(audit.c.action, wanted.action, "."))
    if wanted.object:
        query = query.where(_is(audit.c.object, wanted.object, ":"))
    if wanted.from_at is not None:
        query = query.where(audit.c.at >= wanted.from_at)
    if wanted.to_at is not None:
        query = query.where(audit.c.at < wanted.to_at)
    if before is not None:
        at, entry_id = before
        query = query.where(audit.c.at <= at, sa.or_(audit.c.at < at, audit.c.id < entry_id))
    return (await read.execute(query.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit))).all()


async def entries_about(
    read: AsyncConnection,
    pid: int,
    of: str,
    *,
    since: datetime | None,
    until: datetime | None,
    before: tuple[datetime, int] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """What was done to one thing, such as `check:…`; `since` and `until` are inclusive, `before` as above."""
    query = sa.select(*_SAYS).where(audit.c.pid == pid, audit.c.object == of)
    if since is not None:
        query = query.where(audit.c.at >= since)
    if until is not None:
        query = query.where(audit.c.at <= until)
    if before is not None:
        at, entry_id = before
        query = query.where(audit.c.at <= at, sa.or_(audit.c.at < at, audit.c.id < entry_id))
    return (await read.execute(query.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit))).all()


def nth_newest(tx: Tx, pid: int, actions: Collection[Action], *, since: datetime, n: int) -> datetime | None:
    """When the `n`th newest of these was done since then; None: fewer were. For who bounds how often."""
    query = sa.select(audit.c.at).where(audit.c.pid == pid, audit.c.at > since, audit.c.action.in_(actions))
    found: datetime | None = tx.conn.execute(query.order_by(audit.c.at.desc()).offset(n - 1).limit(1)).scalar()
    return found


def _is(column: sa.Column[Any], wanted: str, mark: str) -> sa.ColumnElement[bool]:
    return column == wanted if mark in wanted else column.startswith(f"{wanted}{mark}", autoescape=True)
