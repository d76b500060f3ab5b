"""What a digest tells, read from what is summed up and from what is so at this moment; of one project.

Long lists are cut to what a message can name; how many there are is counted all the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.service_levels import ServiceLevel, of_rows, page_of
from heartfly.core.alerts import ChannelFacts, DigestFacts, DownInDigest, LevelInDigest, NamedInDigest
from heartfly.core.days import unheard
from heartfly.core.digests import Period
from heartfly.core.retry import PATIENCE_S
from heartfly.core.slo import Level, left_words, percent
from heartfly.core.values import Blind
from heartfly.core.words import Cadence, Status
from heartfly.core.zones import zone as find_zone
from heartfly.db.models import blind_intervals, channels, check_days, checks, flips, incidents

MOST_NAMED = 50
_PAGE = 500
LATE_BY = timedelta(minutes=15)
"""Many jobs are to report at seven, which is when the digest is told: they are not what it warns of."""


async def figures(read: AsyncConnection, project: Any, period: Period, *, now: datetime) -> DigestFacts:
    pid = project.id
    return DigestFacts(
        cadence=period.cadence,
        first_day=period.first,
        last_day=period.last,
        zone=project.zone,
        **await _checks(read, pid, period),
        **await _sums(read, pid, period),
        **await _down(read, pid, period),
        **await _named(read, pid, "degraded", _was_degraded(pid, period), checks.c.status_since),
        **await _named(read, pid, "late", _is_late(now), checks.c.expected_at),
        **await _named(read, pid, "never", _has_never_pinged(period), checks.c.created_at),
        blind_s=await _blind_s(read, period),
        channels=await _not_delivering(read, pid, now),
        **(await _levels(read, project, period, now) if period.cadence is Cadence.MONTHLY else {}),
    )


async def _checks(read: AsyncConnection, pid: int, period: Period) -> dict[str, Any]:
    paused = sa.func.count(sa.case((checks.c.status == Status.PAUSED, 1)))
    query = sa.select(sa.func.count().label("n_checks"), paused.label("n_paused"))
    found = await read.execute(query.where(checks.c.pid == pid, checks.c.created_at < period.to_at))
    return dict(found.mappings().one())


_COUNTS = ("n_ok", "n_failed", "n_missed", "n_unverified")


def _of_days(pid: int, period: Period) -> sa.Subquery:
    """Each check with the sums of these days."""
    total = sa.func.sum
    watched = total(check_days.c.up_s + check_days.c.down_s + check_days.c.blind_s).label("watched_s")
    counts = [total(check_days.c[name]).label(name) for name in _COUNTS]
    return (
        sa.select(check_days.c.check_id, watched, total(check_days.c.down_s).label("down_s"), *counts)
        .where(check_days.c.pid == pid)
        .where(check_days.c.day.between(period.first.isoformat(), period.last.isoformat()))
        .group_by(check_days.c.check_id)
        .subquery()
    )


async def _sums(read: AsyncConnection, pid: int, period: Period) -> dict[str, Any]:
    of_days = _of_days(pid, period)
    n_watched = sa.func.count(sa.case((of_days.c.watched_s > 0, 1))).label("n_watched")
    counts = [sa.func.coalesce(sa.func.sum(of_days.c[name]), 0).label(name) for name in _COUNTS]
    found = await read.execute(sa.select(n_watched, *counts))
    return {name: int(value) for name, value in found.mappings().one().items()}


async def _down(read: AsyncConnection, pid: int, period: Period) -> dict[str, Any]:
    """Those that are down, the longest first, then those that were."""
    of_days = _of_days(pid, period)
    of_checks = (incidents.c.pid == pid, incidents.c.source_kind == "check")
    spans = (
        sa.select(incidents.c.source_id, sa.func.count().label("n"))
        .where(*of_checks, ~incidents.c.disproved, incidents.c.opened_at < period.to_at)
        .where(sa.or_(incidents.c.closed_at.is_(None), incidents.c.closed_at > period.from_at))
        .group_by(incidents.c.source_id)
        .subquery()
    )
    still = sa.select(incidents).where(*of_checks, incidents.c.closed_at.is_(None)).subquery()
    down_s, n_incidents = sa.func.coalesce(of_days.c.down_s, 0), sa.func.coalesce(spans.c.n, 0)
    was_down = sa.or_(down_s > 0, n_incidents > 0)
    found = (
        sa.select(checks.c.id, checks.c.uuid, checks.c.name, still.c.opened_at, still.c.acked_at, still.c.acked_by)
        .add_columns(down_s.label("down_s"), n_incidents.label("n_incidents"), was_down.label("was_down"))
        .outerjoin(of_days, of_days.c.check_id == checks.c.id)
        .outerjoin(spans, spans.c.source_id == checks.c.id)
        .outerjoin(still, still.c.source_id == checks.c.id)
        .where(checks.c.pid == pid, sa.or_(was_down, still.c.id.is_not(None)))
        .subquery()
    )
    counted = sa.select(
        sa.func.count().label("n_down_ever"),
        sa.func.count(found.c.opened_at).label("n_down_now"),
        sa.func.count(sa.case((found.c.was_down, 1))).label("n_down"),
    ).select_from(found)
    order = (found.c.opened_at.is_(None), found.c.opened_at, found.c.down_s.desc(), found.c.id)
    rows = await read.execute(sa.select(found).order_by(*order).limit(MOST_NAMED))
    down = tuple(
        DownInDigest(
            check_uuid=row.uuid,
            check_name=row.name,
            down_s=int(row.down_s),
            n_incidents=int(row.n_incidents),
            since=row.opened_at,
            acked_by=row.acked_by or "",
        )
        for row in rows
    )
    return {"down": down, **(await read.execute(counted)).mappings().one()}


_later = flips.alias()


def _was_degraded(pid: int, period: Period) -> tuple[sa.ColumnElement[bool], ...]:
    at, within = flips.c.at, sa.and_(flips.c.at >= period.from_at, flips.c.at < period.to_at)
    turned = sa.select(flips.c.check_id).where(
        flips.c.pid == pid,
        sa.or_(
            sa.and_(flips.c.to_status == Status.DEGRADED, within),
            sa.and_(flips.c.from_status == Status.DEGRADED, at > period.from_at, at < period.to_at),
        ),
    )
    # From before the period to after it: the first change since its end tells what it was in all that time.
    next_no = (
        sa.select(sa.func.min(_later.c.flip_no))
        .where(_later.c.pid == pid, _later.c.check_id == flips.c.check_id, _later.c.at >= period.to_at)
        .scalar_subquery()
    )
    ended = sa.select(flips.c.check_id).where(
        flips.c.pid == pid, at >= period.to_at, flips.c.from_status == Status.DEGRADED, flips.c.flip_no == next_no
    )
    stayed = sa.and_(checks.c.status == Status.DEGRADED, checks.c.status_since < period.to_at)
    return (sa.or_(checks.c.id.in_(turned), checks.c.id.in_(ended), stayed),)


def _is_late(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    watched = checks.c.status.in_((Status.UP, Status.DEGRADED))
    return (watched, checks.c.expected_at <= now - LATE_BY, checks.c.n_open_runs == 0)


def _has_never_pinged(period: Period) -> tuple[sa.ColumnElement[bool], ...]:
    return (checks.c.status == Status.NEW, checks.c.n_pings == 0, checks.c.created_at < period.to_at)


async def _named(
    read: AsyncConnection,
    pid: int,
    what: str,
    which: tuple[sa.ColumnElement[bool], ...],
    at: sa.ColumnElement[datetime],
) -> dict[str, Any]:
    """Those checks of which it is so, the longest first."""
    of_them = (checks.c.pid == pid, *which)
    query = sa.select(checks.c.uuid, checks.c.name, at.label("at")).where(*of_them).order_by(at, checks.c.id)
    named = tuple(
        NamedInDigest(check_uuid=row.uuid, check_name=row.name, at=row.at)
        for row in await read.execute(query.limit(MOST_NAMED))
    )
    n = (await read.execute(sa.select(sa.func.count()).select_from(checks).where(*of_them))).scalar_one()
    return {what: named, f"n_{what}": n}


async def _blind_s(read: AsyncConnection, period: Period) -> int:
    query = sa.select(blind_intervals).where(
        blind_intervals.c.to_at > period.from_at, blind_intervals.c.from_at < period.to_at
    )
    found = [Blind(id=row.id, from_at=row.from_at, to_at=row.to_at) for row in await read.execute(query)]
    return unheard(found, period.from_at, period.to_at) // timedelta(seconds=1)


async def _levels(read: AsyncConnection, project: Any, period: Period, now: datetime) -> dict[str, Any]:
    """Those with a target, and those of which something was missing or failed; the worst first."""
    zone, after, found = find_zone(project.zone, field="zone"), None, list[ServiceLevel]()
    while rows := await page_of(read, project.id, aimed=False, after=after, limit=_PAGE):
        after = rows[-1].id
        span = (period.first, period.last)
        found += await of_rows(read, project.id, rows, zone=zone, now=now, span=span)
    told = sorted((one for one in found if one.slo is not None or _share(one) < 1), key=_worst_first)
    return {
        "n_aimed": sum(one.slo is not None for one in found),
        "n_not_kept": sum(one.levels.is_met is False for one in found),
        "n_levels": len(told),
        "levels": tuple(_level(one) for one in told[:MOST_NAMED]),
    }


def _share(one: ServiceLevel) -> Fraction:
    shares = (one.levels.on_time.share, one.levels.success.share)
    return min((share for share in shares if share is not None), default=Fraction(1))


def _worst_first(one: ServiceLevel) -> tuple[bool, bool, Fraction, int]:
    return one.levels.is_met is not False, one.slo is None, _share(one), one.row.id


def _level(one: ServiceLevel) -> LevelInDigest:
    return LevelInDigest(
        check_uuid=one.row.uuid,
        check_name=one.row.name,
        is_met=one.levels.is_met,
        on_time=_level_words(one.levels.on_time),
        success=_level_words(one.levels.success),
        blind_s=one.counted.blind_s,
    )


def _level_words(level: Level) -> str:
    """`98.3 % (target 99 %, 0.7 over the 0.3 that may be bad)`; empty: nothing was due, or came."""
    if not level.n:
        return ""
    aim = f" (target {level.target:f} %, {left_words(level)})" if level.target is not None else ""
    return f"{percent(level.share)}{aim}"


async def _not_delivering(read: AsyncConnection, pid: int, now: datetime) -> tuple[ChannelFacts, ...]:
    """Those that have given up a message, or tried in vain for longer than a hiccup."""
    patient_until = now - timedelta(seconds=PATIENCE_S)
    query = (
        sa.select(channels.c.uuid, channels.c.name, channels.c.kind, channels.c.last_error)
        .where(channels.c.pid == pid)
        .where(sa.or_(channels.c.failing_since.is_not(None), channels.c.retrying_since <= patient_until))
        .order_by(channels.c.id)
        .limit(MOST_NAMED)
    )
    return tuple(
        ChannelFacts(uuid=row.uuid, name=row.name, kind=row.kind, error=row.last_error or "")
        for row in await read.execute(query)
    )
