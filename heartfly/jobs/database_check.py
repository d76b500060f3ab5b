"""The job that looks whether the database is whole, and whether its rows agree with one another.

On SQLite it reads every page through a connection of its own, which can neither write nor checkpoint, table by table:
a writer is never held up, and no state is held for longer than one table takes. On PostgreSQL it asks amcheck, where
that is installed; without it the rows alone are looked at. What is wrong fails the run, in words. A damaged page or
index of SQLite's ends the process, too; rows that contradict one another do not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.db.damage import damaged_tables, mark_damaged
from heartfly.db.models import addresses, checks, flips, incidents, projects, runs
from heartfly.db.pace import Pace, behind_others, wal_of
from heartfly.db.parts import USAGE
from heartfly.jobs.kind import Done, Work

_MOST = 5
"""Findings that are told by name."""


def checking(path: Path | None, clock: Clock) -> Callable[[Work], Awaitable[Done]]:
    """`path`: of the SQLite file of the main part, beside which the other one is; None on PostgreSQL."""

    async def check(work: Work) -> Done:
        if path is None:
            n_looked, found = await _indexes(work)
        else:
            n_looked, found = 0, []
            for file in _files(path):
                pace = Pace([wal_of(one) for one in _files(path)], clock)
                look = partial(damaged_tables, file, stop=work.stopping, step=pace.step)
                n, faults = await behind_others(look)
                n_looked, found = n_looked + n, found + faults
        damage = mark_damaged(path, found) if found and path is not None else None
        if not found:
            found = await _contradictions(work)
        figures = {"looked_at": n_looked, "faults": len(found)}
        return Done(figures=figures, failure=_told(found), damage=damage)

    return check


def _files(path: Path) -> list[Path]:
    """Of both parts of the data, as far as they are there."""
    usage = path.with_name(USAGE.file)
    return [path, usage] if usage.exists() else [path]


def _told(found: list[str]) -> str:
    if not found:
        return ""
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return f"the database is not whole: {'; '.join(found[:_MOST])}{more}. `heartfly restore` puts back a backup"


# --- PostgreSQL --------------------------------------------------------------------------------------


async def _indexes(work: Work) -> tuple[int, list[str]]:
    """Ask amcheck about every index of ours; none are looked at where it is not installed."""
    async with work.read() as read:
        if not (await read.execute(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'amcheck'"))).first():
            return 0, []
        query = (
            "SELECT c.oid::bigint, c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_am a ON a.oid = c.relam"
            " WHERE c.relnamespace IN (current_schema()::regnamespace, to_regnamespace('usage'))"
            " AND a.amname = 'btree' AND i.indisvalid ORDER BY c.relname"
        )
        indexes = (await read.execute(sa.text(query))).all()
    found = []
    for oid, name in indexes:
        try:
            async with work.read() as read:
                await read.execute(sa.text("SET LOCAL statement_timeout = 0"))
                await read.execute(sa.text("SELECT bt_index_check(CAST(:oid AS oid)::regclass)"), {"oid": oid})
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in {"XX000", "XX001", "XX002"}:
                raise
            found.append(f"index {name}: {error.orig}")
    return len(indexes), found


# --- rows that contradict one another ----------------------------------------------------------------


async def _contradictions(work: Work) -> list[str]:
    """Of each project what cannot be, were every transaction whole. Asked project by project, each in one state."""
    async with work.read() as read:
        pids = (await read.execute(sa.select(projects.c.id).order_by(projects.c.id))).scalars().all()
    found = []
    for pid in pids:
        async with work.read() as read:
            for what, query in _questions(pid).items():
                found += [f"check {uuid} {what}" for uuid in (await read.execute(query.limit(_MOST + 1))).scalars()]
    return found


def _questions(pid: int) -> Mapping[str, sa.Select[tuple[str]]]:
    """Each selects the public ids of checks of which it is true."""
    wrong = sa.select(checks.c.uuid).where(checks.c.pid == pid).order_by(checks.c.id)
    of_runs = (runs.c.pid == checks.c.pid, runs.c.check_id == checks.c.id, runs.c.outcome.is_(None))
    # By their index, or SQLite would read all runs of each check.
    open_runs = sa.select(sa.func.count()).select_from(runs).where(*of_runs)
    n_open = open_runs.with_hint(runs, "INDEXED BY ix_runs_open", "sqlite").scalar_subquery()
    of_flips = (flips.c.pid == checks.c.pid, flips.c.check_id == checks.c.id)
    newest = sa.select(sa.func.coalesce(sa.func.max(flips.c.flip_no), 0)).where(*of_flips).scalar_subquery()
    last = sa.select(flips.c.to_status).where(*of_flips, flips.c.flip_no == checks.c.flip_no).scalar_subquery()
    opened = sa.exists().where(
        incidents.c.pid == checks.c.pid,
        incidents.c.source_kind == "check",
        incidents.c.source_id == checks.c.id,
        incidents.c.closed_at.is_(None),
    )
    addressed = sa.exists().where(
        addresses.c.pid == checks.c.pid, addresses.c.check_id == checks.c.id, addresses.c.key == checks.c.ping_uuid
    )
    return {
        "counts other runs under way than there are": wrong.where(checks.c.n_open_runs != n_open),
        "counts other changes of status than there are": wrong.where(checks.c.flip_no != newest),
        "has a status that its last change did not make": wrong.where(checks.c.flip_no > 0, checks.c.status != last),
        "is down without an open incident": wrong.where(checks.c.status == "down", ~opened),
        "has an open incident and is not down": wrong.where(checks.c.status != "down", opened),
        "cannot be reached at its ping address": wrong.where(~addressed),
    }
