"""Silences as they are stored: read for whoever decides about an alert, and for pages.

What a silence holds is decided in core/silence.py; people make and end them by peace_commands.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.silence import Effect, Recurrence, Scope, Silence, SilenceKind, Span
from heartfly.core.silenced import Silenced
from heartfly.core.words import Severity
from heartfly.db.changes import Tx
from heartfly.db.models import channels, checks, silences
from heartfly.db.prepared import Prepared, among
from heartfly.db.types import UtcInstant
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.logs import logger
from heartfly.notify.queries import uuid_of

log = logger("heartfly.notify")


def silence_of(row: Any) -> Silence:
    recurs = None
    if row.cron is not None:
        recurs = Recurrence(row.cron, row.zone, timedelta(seconds=row.lasts_s), by_wall=row.kind == SilenceKind.QUIET)
    return Silence(
        id=row.id,
        uuid=row.uuid,
        kind=SilenceKind(row.kind),
        effect=Effect(row.effect),
        scope=Scope(row.scope),
        targets=frozenset(row.targets),
        from_at=row.from_at,
        to_at=row.to_at,
        recurs=recurs,
        below=Severity(row.below) if row.below else None,
        note=row.note,
    )


def living(tx: Tx, pids: Collection[int], *, now: datetime) -> dict[int, list[Silence]]:
    """By project: those that have not ended."""
    found: dict[int, list[Silence]] = {}
    for row in _LIVING.rows(tx, pids=list(pids), now=now):
        _keep(found, row)
    return found


def unjudging(tx: Tx, pids: Collection[int], *, since: datetime) -> dict[int, list[Silence]]:
    """By project: those in which checks are not judged, also if they have ended since then."""
    found: dict[int, list[Silence]] = {}
    for row in _UNJUDGING.rows(tx, pids=list(pids), since=since):
        _keep(found, row)
    return found


def _keep(found: dict[int, list[Silence]], row: Any) -> None:
    """One whose times cannot be worked out any more, as its zone is gone, holds nothing: no alert waits for that."""
    silence = silence_of(row)
    try:
        if silence.recurs is not None:
            silence.recurs.schedule  # noqa: B018 - read, and remembered
    except InvalidValueError as error:
        log.warning("silence", silence=row.uuid, error=str(error))
        return
    found.setdefault(row.pid, []).append(silence)


_LIVING = Prepared(
    lambda tx: sa.select(silences).where(
        among(tx, silences.c.pid, "pids"),
        sa.or_(silences.c.to_at.is_(None), silences.c.to_at > sa.bindparam("now", type_=UtcInstant)),
    )
)
_UNJUDGING = Prepared(
    lambda tx: sa.select(silences).where(
        among(tx, silences.c.pid, "pids"),
        # Spelled out: an index over these alone is not used when the word is a parameter.
        silences.c.effect == sa.literal_column("'ignore'"),
        sa.or_(silences.c.to_at.is_(None), silences.c.to_at >= sa.bindparam("since", type_=UtcInstant)),
    )
)


# --- for pages and the API ---------------------------------------------------------------------------


async def list_silences(
    read: AsyncConnection, pid: int, *, now: datetime, ended: bool | None = None, before: int | None = None, limit: int
) -> Sequence[Any]:
    """The newest first. `ended` None: all."""
    query = sa.select(silences).where(silences.c.pid == pid)
    if ended is not None:
        over = sa.and_(silences.c.to_at.is_not(None), silences.c.to_at <= sa.literal(now, UtcInstant))
        query = query.where(over if ended else sa.not_(over))
    if before is not None:
        query = query.where(silences.c.id < before)
    return (await read.execute(query.order_by(silences.c.id.desc()).limit(limit))).all()


async def in_force(read: AsyncConnection, pid: int, *, now: datetime) -> list[Silence]:
    """Those that have not ended, also if their time is still to come."""
    found: dict[int, list[Silence]] = {}
    for row in await read.execute(_not_ended(pid, now)):
        _keep(found, row)
    return found.get(pid, [])


async def planned_since(read: AsyncConnection, check: Any, *, since: datetime, through: datetime) -> list[Planned]:
    """When a check was to be left in peace by maintenance, in order; also by windows that have ended.

    `check`: a row of `checks`. Of very many times the first are told.
    """
    query = sa.select(silences).where(
        silences.c.pid == check.pid,
        silences.c.kind == SilenceKind.MAINTENANCE.value,
        silences.c.from_at <= sa.literal(through, UtcInstant),
        sa.or_(silences.c.to_at.is_(None), silences.c.to_at >= sa.literal(since, UtcInstant)),
    )
    known: dict[int, list[Silence]] = {}
    for row in await read.execute(query.order_by(silences.c.id.desc()).limit(_MOST_WINDOWS)):
        _keep(known, row)
    mine = (one for one in known.get(check.pid, []) if one.covers_check(check.uuid, check.tags))
    found = [Planned(span, one) for one in mine for span in islice(one.spans(since, through), _MOST_TIMES)]
    return sorted(found, key=lambda one: (one.span.from_at, one.span.to_at))


@dataclass(frozen=True, slots=True)
class Planned:
    """A time of a maintenance window."""

    span: Span
    silence: Silence

    @property
    def is_judged(self) -> bool:
        """Alerts are held, and what is missed is judged all the same."""
        return self.silence.effect is Effect.HOLD


_MOST_WINDOWS = 1_000
_MOST_TIMES = 5_000


def _not_ended(pid: int, now: datetime) -> sa.Select[Any]:
    is_to_end = sa.or_(silences.c.to_at.is_(None), silences.c.to_at > sa.literal(now, UtcInstant))
    return sa.select(silences).where(silences.c.pid == pid, is_to_end).order_by(silences.c.id)


async def silenced_of(
    read: AsyncConnection, check: Any, channels: Sequence[tuple[str, str]], *, now: datetime
) -> list[Silenced]:
    """All that keep people from hearing of a check now, what holds everything first, and then the longest.

    `check`: a row of `checks`. `channels`: public id and name of each of its channels.
    """
    rows = (await read.execute(_not_ended(check.pid, now))).all()
    by, known = {row.id: row.made_by for row in rows}, dict[int, list[Silence]]()
    for row in rows:
        _keep(known, row)
    found = []
    for one in known.get(check.pid, []):
        its = tuple(name for uuid, name in channels if one.scope is Scope.CHANNEL and uuid in one.targets)
        if not its and not one.covers_check(check.uuid, check.tags):
            continue
        if (span := one.span_at(now)) is not None:
            found.append(Silenced(silence=one, span=span, by=by[one.id], channels=its))
    return sorted(found, key=lambda one: (one.is_whole, one.span.to_at), reverse=True)


@dataclass(frozen=True, slots=True)
class Running:
    """A silence that covers a check now, in its present span."""

    silence: Silence
    span: Span


def running(known: Sequence[Silence], check: Any, *, now: datetime) -> list[Running]:
    """Those that hold alerts of this check on all of its channels, the longest first. `check`: a row of `checks`."""
    found = []
    for one in known:
        if one.kind is SilenceKind.QUIET or one.scope is Scope.CHANNEL or not one.covers_check(check.uuid, check.tags):
            continue
        span = one.span_at(now)
        if span is not None:
            found.append(Running(one, span))
    return sorted(found, key=lambda one: one.span.to_at, reverse=True)


async def target_names(read: AsyncConnection, pid: int, rows: Sequence[Any]) -> Mapping[str, str]:
    """Of the checks and channels that these name, by their ids; of what is no more there is none."""
    found: dict[str, str] = {}
    asked = {scope: sorted({one for row in rows if row.scope == scope for one in row.targets}) for scope in _NAMED}
    for scope, wanted in asked.items():
        table = _NAMED[scope]
        for start in range(0, len(wanted), _SLICE):
            query = sa.select(table.c.uuid, table.c.name).where(
                table.c.pid == pid, table.c.uuid.in_(wanted[start : start + _SLICE])
            )
            found |= {row.uuid: row.name for row in await read.execute(query)}
    return found


_NAMED = {Scope.CHECK.value: checks, Scope.CHANNEL.value: channels}
_SLICE = 500


async def one_silence(read: AsyncConnection, pid: int, uuid: str) -> Any:
    """NotFoundError, for one of another project too."""
    row = (await read.execute(_named(pid, uuid))).first()
    if row is None:
        raise NotFoundError("there is no such silence")
    return row


def locked(tx: Tx, pid: int, uuid: str) -> Any:
    """For who ends it. NotFoundError."""
    row = tx.conn.execute(_named(pid, uuid).with_for_update(key_share=True)).first()
    if row is None:
        raise NotFoundError("there is no such silence")
    return row


def _named(pid: int, uuid: str) -> sa.Select[Any]:
    try:
        plain = uuid_of(uuid)
    except NotFoundError:
        raise NotFoundError("there is no such silence") from None
    return sa.select(silences).where(silences.c.pid == pid, silences.c.uuid == plain)
