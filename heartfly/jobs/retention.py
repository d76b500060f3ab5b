"""The job that removes what is older than is kept: pings, what they said, runs, alerts and how they were delivered, and
events of usage.

Days are summed up first, so that no run goes that its day does not know. A project whose erasure was cut off goes to
its end. Everything goes in pieces, each a short transaction behind everybody else's. Never removed here: flips,
incidents, days, rollups, and the audit. Which events of usage go, and what is sealed first, usage/seal.py decides;
what requests come to by minutes and hours goes, too (usage/request_tiers.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.accounts.sessions import remove_ended
from heartfly.checks import erase_project
from heartfly.core.days import Day
from heartfly.core.pieces import within
from heartfly.core.volume import MOST_KEPT as COUNTS_KEPT
from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource, first_id
from heartfly.db.models import (
    alerts,
    attempts,
    blind_intervals,
    checks,
    deliveries,
    job_runs,
    node_batches,
    nodes,
    notifications,
    ping_bodies,
    ping_minutes,
    pings,
    projects,
)
from heartfly.incidents import shares
from heartfly.jobs.daily_sums import sum_days
from heartfly.jobs.kind import Done, Work
from heartfly.monitor.blind import KEPT as BLIND_KEPT
from heartfly.notify.outbox import PENDING
from heartfly.pings.prune import Due, Keep, prune, recount
from heartfly.sealing import Sealer
from heartfly.traffic import report_shares
from heartfly.usage.archive.queries import stays
from heartfly.usage.request_tiers import Kept as RowsKept
from heartfly.usage.request_tiers import remove_old_tiers
from heartfly.usage.seal import Gone, remove_old

CHECKS = 5
"""Looked at in one transaction: of each up to 200 runs with their figures go."""
PIECE = 500
"""Rows of other tables in one transaction."""
NODES_KEPT = timedelta(days=30)
SPOOLS_KEPT = timedelta(days=400)
"""Of a life that did not leave with all that it had heard in the database: its spool may come back, and the numbers of
its batches say what of that is stored. Longer than what may be replayed (pings/replay.py), by an outage.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How long what is kept. `history`: of each check. `events`: of usage; what they came to stays.

    `requests`: rows by the minute and the hour; those by the day stay.
    """

    history: Keep
    bodies: timedelta
    alerts: timedelta
    events: timedelta
    requests: RowsKept
    archives: bool = False
    """Whether events are archived: those that are in no file yet stay."""


FIGURES = (
    *("pings", "bodies", "runs", "alerts", "deliveries", "events", "dead_letters", "others", "projects"),
    *("days_sealed", "days_held", "request_rows", "hours_held"),
)


def sweeping(kept: Kept, *, usage: Database, sealer: Sealer, ids: IdSource) -> Callable[[Work], Awaitable[Done]]:
    async def sweep(work: Work) -> Done:
        summed = await sum_days(work)
        if summed.failure:
            return Done(failure=f"nothing was removed, as days could not be summed up: {summed.failure}")
        figures = dict.fromkeys(FIGURES, 0)
        async with work.read() as read:
            erased = await erase_project.unfinished(read)
        for pid in erased:
            await erase_project.finish(work.write, pid, at=work.now, ids=ids, sealer=sealer)
            figures["projects"] += 1
        async with work.read() as read:
            homes = (await read.execute(sa.select(projects.c.id, projects.c.zone).order_by(projects.c.id))).all()
        for pid, zone in homes:
            await _histories(work, pid, kept, figures)
            await _alerts(work, pid, kept, figures)
            home = ZoneInfo(zone if is_zone(zone) else "UTC")
            # In another part, where nobody knows of our lease: it is asked for before each day.
            fence = partial(work.write, _nothing)
            spared = partial(_stays, usage, pid, work, kept)
            gone = await remove_old(usage, pid, home, keep=kept.events, now=work.now, fence=fence, spared=spared)
            _add(figures, gone)
            removed = await remove_old_tiers(usage, pid, kept=kept.requests, now=work.now, fence=fence)
            figures["request_rows"] += removed.minutes + removed.hours + removed.slow
            figures["hours_held"] += removed.held
        figures["others"] += await _all(work, lambda tx: _of_ourselves(tx, work, kept))
        return Done(figures=figures)

    return sweep


async def _stays(usage: Database, pid: int, work: Work, kept: Kept, day: Day) -> bool:
    async with usage.read() as read:
        return await stays(read, pid, day.date, now=work.now, is_on=kept.archives)


async def _all(work: Work, piece: Callable[[Tx], int]) -> int:
    """Until a piece finds nothing any more."""
    n = 0
    while removed := await work.write(piece):
        n += removed
    return n


# --- of checks ---------------------------------------------------------------------------------------


async def _histories(work: Work, pid: int, kept: Kept, figures: dict[str, int]) -> None:
    after = 0
    while batch := await _next_checks(work, pid, after):
        after = batch[-1].id
        due = [Due(pid=pid, check_id=row.id, n_pings=row.n_pings, at=work.now) for row in batch]
        more = True
        while more:
            gone = await work.write(lambda tx, due=due: prune(tx, due, kept.history))  # type: ignore[misc]
            figures["pings"] += gone.pings
            figures["bodies"] += gone.bodies
            figures["runs"] += gone.runs
            more = gone.more
        ids = [row.id for row in batch]
        figures["bodies"] += await _all(work, lambda tx, ids=ids: _bodies(tx, pid, ids, work, kept))  # type: ignore[misc]
        await work.write(lambda tx, ids=ids: recount(tx, pid, ids))  # type: ignore[misc]


async def _next_checks(work: Work, pid: int, after: int) -> Sequence[Any]:
    query = sa.select(checks.c.id, checks.c.n_pings).where(checks.c.pid == pid, checks.c.id > after)
    async with work.read() as read:
        return (await read.execute(query.order_by(checks.c.id).limit(CHECKS))).all()


def _bodies(tx: Tx, pid: int, check_ids: Sequence[int], work: Work, kept: Kept) -> int:
    same = (ping_bodies.c.check_id == pings.c.check_id, ping_bodies.c.n == pings.c.n)
    query = (
        sa.select(ping_bodies.c.check_id, ping_bodies.c.n, sa.func.length(ping_bodies.c.body).label("size"))
        .join(pings, sa.and_(ping_bodies.c.pid == pings.c.pid, *same))
        .where(ping_bodies.c.pid == pid, ping_bodies.c.check_id.in_(check_ids))
        .where(pings.c.received_at < work.now - kept.bodies)
        .limit(PIECE)
    )
    found = within(tx.conn.execute(query))
    if not found:
        return 0
    named = sa.tuple_(ping_bodies.c.check_id, ping_bodies.c.n).in_([(row.check_id, row.n) for row in found])
    return tx.conn.execute(sa.delete(ping_bodies).where(ping_bodies.c.pid == pid, named)).rowcount


# --- of alerts ---------------------------------------------------------------------------------------


async def _alerts(work: Work, pid: int, kept: Kept, figures: dict[str, int]) -> None:
    """Old ones of which nobody waits to hear any more, with all that carried them. Looked for where nobody writes."""
    before = work.now - kept.alerts
    waits = sa.exists().where(
        notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id, notifications.c.state == PENDING
    )
    query = (
        sa.select(alerts.c.id)
        .where(alerts.c.pid == pid, alerts.c.id < first_id(before), alerts.c.decided_at < before, ~waits)
        .order_by(alerts.c.id)
        .limit(PIECE)
    )
    gone: Sequence[int] = [0]
    while gone:
        async with work.read() as read:
            gone = (await read.execute(query)).scalars().all()
        if gone:
            figures["deliveries"] += await work.write(lambda tx, gone=gone: _forget(tx, pid, gone))  # type: ignore[misc]
            figures["alerts"] += len(gone)


def _forget(tx: Tx, pid: int, alert_ids: Sequence[int]) -> int:
    """How many deliveries went: those that carried nothing else."""
    of_them = (notifications.c.pid == pid, notifications.c.alert_id.in_(alert_ids))
    query = sa.select(notifications.c.delivery_id).where(*of_them, notifications.c.delivery_id.is_not(None)).distinct()
    carriers = tx.conn.execute(query).scalars().all()
    tx.conn.execute(sa.delete(notifications).where(*of_them))
    tx.conn.execute(sa.delete(alerts).where(alerts.c.pid == pid, alerts.c.id.in_(alert_ids)))
    busy = sa.exists().where(notifications.c.delivery_id == deliveries.c.id)
    query = sa.select(deliveries.c.id).where(deliveries.c.pid == pid, deliveries.c.id.in_(carriers), ~busy)
    empty = tx.conn.execute(query).scalars().all()
    tx.conn.execute(sa.delete(attempts).where(attempts.c.delivery_id.in_(empty)))
    return tx.conn.execute(sa.delete(deliveries).where(deliveries.c.pid == pid, deliveries.c.id.in_(empty))).rowcount


# --- of usage ----------------------------------------------------------------------------------------


def _add(figures: dict[str, int], gone: Gone) -> None:
    figures["events"] += gone.events
    figures["dead_letters"] += gone.letters
    figures["others"] += gone.intake
    figures["days_sealed"] += gone.sealed
    figures["days_held"] += gone.held


def _nothing(_: Tx) -> None:
    """A transaction that is fenced like any other."""


# --- of ourselves ------------------------------------------------------------------------------------


def _of_ourselves(tx: Tx, work: Work, kept: Kept) -> int:
    """Runs of our jobs, ended sessions and links, lives of processes that were accounted for, time in which none heard,
    and how many pings came.
    """
    runs_of_jobs = (
        sa.select(job_runs.c.pid, job_runs.c.job_id, job_runs.c.slot_at)
        .where(job_runs.c.end_pinged_at < work.now - kept.history.run_age)
        .limit(PIECE)
    )
    names = sa.tuple_(job_runs.c.pid, job_runs.c.job_id, job_runs.c.slot_at)
    n = tx.conn.execute(sa.delete(job_runs).where(names.in_(runs_of_jobs))).rowcount
    n += remove_ended(tx, at=work.now, most=PIECE)
    n += shares.remove_ended(tx, at=work.now, most=PIECE)
    n += report_shares.remove_ended(tx, at=work.now, most=PIECE)
    left_nothing = sa.and_(nodes.c.left_at == nodes.c.beat_at, nodes.c.spooled.is_(None))  # monitor/blind.py
    lives = (
        sa.select(nodes.c.id)
        .where(
            nodes.c.fenced_at.is_not(None),
            nodes.c.beat_at < work.now - NODES_KEPT,
            sa.or_(left_nothing, nodes.c.beat_at < work.now - SPOOLS_KEPT),
        )
        .limit(PIECE)
    )
    dead = tx.conn.execute(lives).scalars().all()
    if dead:
        tx.conn.execute(sa.delete(node_batches).where(node_batches.c.node_id.in_(dead)))
        n += tx.conn.execute(sa.delete(nodes).where(nodes.c.id.in_(dead))).rowcount
    gaps = sa.select(blind_intervals.c.id).where(blind_intervals.c.to_at < work.now - BLIND_KEPT).limit(PIECE)
    n += tx.conn.execute(sa.delete(blind_intervals).where(blind_intervals.c.id.in_(gaps))).rowcount
    name = sa.tuple_(ping_minutes.c.at, ping_minutes.c.node_id)
    counts = sa.select(ping_minutes.c.at, ping_minutes.c.node_id)
    counts = counts.where(ping_minutes.c.at < work.now - COUNTS_KEPT).limit(PIECE)
    n += tx.conn.execute(sa.delete(ping_minutes).where(name.in_(counts))).rowcount
    return n
