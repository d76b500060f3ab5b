"""Everything that explains the status of one check, read together. What it means is worded in core/verdict.py."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks import queries
from heartfly.checks.needs import read_needs
from heartfly.checks.past_figures import known_to
from heartfly.checks.rows import check_of, run_of, schedule_of
from heartfly.checks.wording import schedule_words
from heartfly.core.causes import Explains, Needed, Ties
from heartfly.core.describe import notices
from heartfly.core.gates import NOTHING
from heartfly.core.schedule import Dialect, Kind
from heartfly.core.silenced import Silenced
from heartfly.core.values import Blind, Check, Flip
from heartfly.core.verdict import asks_since, verdict
from heartfly.core.verdict_facts import Again, LastFlip, Newest, Verdict
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from heartfly.db.models import blind_intervals, flips, incidents, ping_bodies, pings, run_metrics, runs
from heartfly.errors import InvalidValueError
from heartfly.incidents.spans import OF_CHECK, are_members
from heartfly.notify.silences import silenced_of

_MOST_INTERVALS = 100
_MOST_SAID = 1_000
_FIGURE = re.compile(r"[A-Za-z_][\w.]*\s?[=:]\s?\S*", re.ASCII)
_BY_A_RUN = (Reason.FAIL, Reason.EXIT_STATUS)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`row`: of the check. `causes`: of each blind interval, by its id. `incident`: the open one's public id."""

    row: Row[Any]
    verdict: Verdict
    newest: Newest | None
    causes: Mapping[int, str]
    incident: str | None
    silenced: list[Silenced]
    """By what is in force now."""
    ties: Ties
    """To other checks, by its host and by what it needs."""
    cause: str | None
    """The incident of the cause that explains that it is down."""
    notices: list[str]
    """What clock changes do to its schedule in the day before and the day after it is expected."""


async def explained(read: AsyncConnection, pid: int, uuid: str, *, now: datetime) -> Explanation:
    """NotFoundError, for a check of another project too."""
    row = await queries.find(read, pid, uuid)
    open_runs = sa.select(runs).where(runs.c.pid == pid, runs.c.check_id == row.id, runs.c.outcome.is_(None))
    by_index = open_runs.with_hint(runs, "INDEXED BY ix_runs_open", "sqlite").order_by(runs.c.started_at)
    found = (await read.execute(by_index)).all() if row.n_open_runs else []
    check = check_of(row, tuple(run_of(run) for run in found))
    incident = await _open_incident(read, row)
    last = await _last_flip(read, row, check, said=incident.explain if incident is not None else "")
    deaf = await _blind(read, asks_since(check, last))
    newest = await _newest(read, row)
    again, run_id = await _again(read, row, check)
    if again is None and last is not None and last.flip.run is not None and last.flip.reason in _BY_A_RUN:
        run_id = last.flip.run.id
    channels = await queries.named_channels_of(read, pid, row.id)
    silenced = await silenced_of(read, row, channels, now=now)
    ties, cause = await _ties(read, row, incident)
    return Explanation(
        row=row,
        verdict=verdict(
            check,
            now=now,
            schedule=_words(row),
            last=last,
            newest=newest,
            again=again,
            said=await _said(read, row, run_id),
            blind=[Blind(id=one.id, from_at=one.from_at, to_at=one.to_at) for one in deaf],
            known=await known_to(read, pid, row.id, check.rules.gates, at=now),
            silenced=silenced,
            ties=ties,
        ),
        newest=newest,
        causes={one.id: one.cause for one in deaf},
        incident=incident.uuid if incident is not None else None,
        silenced=silenced,
        ties=ties,
        cause=cause,
        # In a thread: dozens of lines that run every second take a while.
        notices=await asyncio.to_thread(_notices, row),
    )


async def _ties(read: AsyncConnection, row: Row[Any], incident: Row[Any] | None) -> tuple[Ties, str | None]:
    needs = (await read_needs(read, row.pid, [row.id])).get(row.id, ()) if row.linked else ()
    cause, n = None, 0
    if incident is not None and incident.part_of is not None:
        i = incidents.c
        query = sa.select(i.id, i.uuid, i.source_kind, i.source_id, i.source_name).where(
            i.pid == row.pid, i.id == incident.part_of
        )
        cause = (await read.execute(query)).one()
        members = sa.select(sa.func.count(i.source_id.distinct())).where(are_members(row.pid, [cause.id]))
        n = (await read.execute(members)).scalar_one()
    ties = Ties(
        host=row.host or row.heard_host,
        heard=not row.host,
        needs=tuple(Needed(id=one.id, name=one.name, is_down=one.status == Status.DOWN.value) for one in needs),
        is_down=row.status == Status.DOWN.value,
        cause=None if cause is None else Explains(cause.source_kind),
        cause_name="" if cause is None else cause.source_name,
        is_root=cause is not None and cause.source_kind == Explains.UPSTREAM and cause.source_id == row.id,
        n_members=n,
    )
    return ties, None if cause is None else cause.uuid


def _words(row: Row[Any]) -> str:
    words = schedule_words(row)
    is_cron = row.kind == Kind.CRON.value and row.dialect != Dialect.CRON.value
    return f"{words}, as {row.dialect} runs it" if is_cron else words


def _notices(row: Row[Any]) -> list[str]:
    if row.expected_at is None:
        return []
    try:
        schedule = schedule_of((row.kind, row.period_s, row.expression, row.zone, row.dialect))
        return notices(schedule, row.expected_at - _DAY, row.expected_at + _DAY)
    except (InvalidValueError, ValueError):
        return []  # the check shows a schedule error


async def _open_incident(read: AsyncConnection, row: Row[Any]) -> Row[Any] | None:
    if row.status != Status.DOWN.value:
        return None
    query = sa.select(incidents).where(
        incidents.c.pid == row.pid,
        incidents.c.source_kind == OF_CHECK,
        incidents.c.source_id == row.id,
        incidents.c.closed_at.is_(None),
    )
    return (await read.execute(query)).first()


async def _last_flip(read: AsyncConnection, row: Row[Any], check: Check, *, said: str) -> LastFlip | None:
    of_flip = sa.and_(runs.c.pid == flips.c.pid, runs.c.check_id == flips.c.check_id, runs.c.id == flips.c.run_id)
    mine = (flips.c.pid == row.pid, flips.c.check_id == row.id, flips.c.flip_no == row.flip_no)
    flip = (await read.execute(sa.select(flips).where(*mine))).first()
    if flip is None:
        return None
    run = (await read.execute(sa.select(runs).join(flips, of_flip).where(*mine))).first()
    figures = sa.select(run_metrics.c.name, run_metrics.c.value).where(
        run_metrics.c.pid == row.pid, run_metrics.c.check_id == row.id, run_metrics.c.run_id == flip.run_id
    )
    value = Flip(
        flip_no=flip.flip_no,
        at=flip.at,
        from_status=Status(flip.from_status),
        to_status=Status(flip.to_status),
        reason=Reason(flip.reason),
        run=run_of(run) if run is not None else None,
    )
    metrics = {one.name: one.value for one in await read.execute(figures)} if run is not None else {}
    known = NOTHING
    if value.reason is Reason.GATE and run is not None:
        known = await known_to(read, row.pid, row.id, check.rules.gates, at=run.ended_at or flip.at)
    return LastFlip(flip=value, metrics=metrics, known=known, said=said)


async def _again(read: AsyncConnection, row: Row[Any], check: Check) -> tuple[Again | None, int | None]:
    """Of a check that is down, what failed after it was down already, for that is what its owner looks for; the run."""
    if row.status != Status.DOWN.value:
        return None, None
    mine = (runs.c.pid == row.pid, runs.c.check_id == row.id, runs.c.at >= row.status_since - check.rules.run_limit)
    since = sa.or_(
        sa.and_(runs.c.outcome == RunOutcome.FAILED.value, runs.c.ended_at > row.status_since),
        sa.and_(runs.c.outcome == RunOutcome.HUNG.value, runs.c.started_at > row.status_since - check.rules.run_limit),
    )
    query = sa.select(runs).where(*mine, since).order_by(runs.c.at.desc(), runs.c.id.desc()).limit(1)
    run = (await read.execute(query)).first()
    if run is None:
        return None, None
    if run.outcome == RunOutcome.HUNG.value:
        return Again(at=run_of(run).counts_from + check.rules.run_limit, hung=True), None
    return Again(at=run.ended_at, exit_status=run.exit_status), run.id


async def _said(read: AsyncConnection, row: Row[Any], run_id: int | None) -> str:
    """The last line of what a run that failed said that is no figure: most likely why. Empty: it said nothing."""
    if run_id is None:
        return ""
    same = (ping_bodies.c.pid == pings.c.pid, ping_bodies.c.check_id == pings.c.check_id, ping_bodies.c.n == pings.c.n)
    query = (
        sa.select(ping_bodies.c.body)
        .select_from(pings)
        .join(ping_bodies, sa.and_(*same))
        .where(pings.c.pid == row.pid, pings.c.check_id == row.id, pings.c.run_id == run_id)
        .where(pings.c.kind == PingKind.FAIL.value)
        .order_by(pings.c.n.desc())
        .limit(1)
    )
    body = (await read.execute(query)).scalar()
    lines = [line.strip() for line in bytes(body or b"").decode(errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line and not _FIGURE.fullmatch(line)), "")
    shown = "".join(char if char.isprintable() else " " for char in said)
    return shown if len(shown) <= _MOST_SAID else shown[:_MOST_SAID] + "…"


async def _newest(read: AsyncConnection, row: Row[Any]) -> Newest | None:
    """None also if it is not kept: above its rate limit a check's pings leave no row."""
    query = sa.select(pings.c.kind, pings.c.received_at).where(
        pings.c.pid == row.pid, pings.c.check_id == row.id, pings.c.n == row.n_pings
    )
    found = (await read.execute(query)).first()
    return None if found is None else Newest(PingKind(found.kind), found.received_at)


async def _blind(read: AsyncConnection, since: datetime | None) -> list[Row[Any]]:
    """Oldest first; of very many the latest."""
    if since is None:
        return []
    query = sa.select(blind_intervals).where(blind_intervals.c.to_at >= since)
    found = (await read.execute(query.order_by(blind_intervals.c.to_at.desc()).limit(_MOST_INTERVALS))).all()
    return sorted(found, key=lambda one: (one.from_at, one.id))
