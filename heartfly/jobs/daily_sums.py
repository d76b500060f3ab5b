"""The job that sums up each check's days: from its flips, its runs, and the time in which Heartfly could not hear.

A day is computed from history and written anew, never added to, so that it may be computed again at any time. It is
for a week, as signals may come late; once its runs are pruned the count that knew more of them stays. Days that are
missing (we were down, or the check is older than the job) are made up for, the oldest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import ONE, Day, Sums, Turn, day_in, day_of, last_whole, sums
from heartfly.core.values import Blind
from heartfly.core.words import RunOutcome, Status
from heartfly.core.zones import zone as find_zone
from heartfly.db.changes import Tx
from heartfly.db.models import blind_intervals, check_days, checks, flips, projects, runs
from heartfly.errors import InvalidValueError
from heartfly.jobs.kind import Done, Work

AGAIN = 7
"""Days that are computed once more: a signal may be late by four."""
CHECKS = 20
"""Looked at in one go: some milliseconds of computing, beside the loop."""
ROWS = 100
"""Written in one transaction."""


async def sum_days(work: Work, *, anew: Collection[int] = ()) -> Done:
    """Every check of every project, up to the newest day that is over where its project is.

    `anew`: projects whose newest days are computed once more although they are there, as at the end of a day much of
    it was still under way.
    """
    figures = {"projects": 0, "checks": 0, "days": 0}
    async with work.read() as read:
        query = sa.select(projects.c.id, projects.c.slug, projects.c.zone).order_by(projects.c.id)
        found = (await read.execute(query)).all()
    failures: list[str] = []
    for row in found:
        try:
            zone = find_zone(row.zone, field=f"project {row.slug}")
        except InvalidValueError as error:
            failures.append(str(error))  # the days of others do not wait for it
            continue
        last = last_whole(zone, work.now)
        n_checks = 0
        after = 0
        once_more = row.id in anew
        while (batch := await _lacking(work, row.id, day_in(zone, last), after, once_more)) and not work.stopping():
            n_checks += len(batch)
            figures["days"] += await _sum_up(work, row.id, batch, zone, last)
            after = batch[-1].id
        figures["projects"] += bool(n_checks)
        figures["checks"] += n_checks
    return Done(figures=figures, failure="; ".join(failures))


async def _lacking(work: Work, pid: int, last: Day, after: int, once_more: bool) -> Sequence[Any]:  # noqa: FBT001
    """The next checks that have no sum of that day, each with the newest day that it has, and the flips it knows.

    `once_more`: whether they have or not.
    """
    of_check = (check_days.c.pid == checks.c.pid, check_days.c.check_id == checks.c.id)
    newest = sa.select(sa.func.max(check_days.c.day)).where(*of_check).scalar_subquery()
    known = sa.select(sa.func.max(check_days.c.flip_no)).where(*of_check).scalar_subquery()
    query = (
        sa.select(checks.c.id, checks.c.status, checks.c.flip_no, checks.c.created_at)
        .add_columns(newest.label("newest"), known.label("known"))
        .where(checks.c.pid == pid, checks.c.id > after, checks.c.created_at < last.to_at)
        .order_by(checks.c.id)
        .limit(CHECKS)
    )
    if not once_more:
        query = query.where(~sa.exists().where(*of_check, check_days.c.day == last.date.isoformat()))
    async with work.read() as read:
        return (await read.execute(query)).all()


@dataclass(slots=True)
class History:
    """Of one check, from the first day that is to be computed on."""

    days: Sequence[Day]
    known: int
    """Flips up to this one are in the days that were computed already."""
    turns: list[Turn] = field(default_factory=list)
    runs: list[tuple[datetime, RunOutcome]] = field(default_factory=list)


async def _sum_up(work: Work, pid: int, batch: Sequence[Any], zone: ZoneInfo, last: date) -> int:
    histories = {row.id: History(list(days_of(zone, _first(zone, row, last), last)), row.known or 0) for row in batch}
    async with work.read() as read:
        await _turns_of(read, pid, histories, zone, last)
        await _runs_of(read, pid, histories)
        blind = await _blind_since(read, min(one.days[0].from_at for one in histories.values()))
    made = await asyncio.to_thread(lambda: list(day_rows(pid, batch, histories, blind)))
    for start in range(0, len(made), ROWS):
        piece = made[start : start + ROWS]
        await work.write(lambda tx, piece=piece: _write(tx, pid, piece))  # type: ignore[misc]
    return len(made)


def _first(zone: ZoneInfo, row: Any, last: date) -> date:
    born = day_of(zone, row.created_at)
    if row.newest is None:
        return born
    return max(born, min(date.fromisoformat(row.newest) + ONE, last - (AGAIN - 1) * ONE))


def days_of(zone: ZoneInfo, first: date, last: date) -> Iterator[Day]:
    while first <= last:
        yield day_in(zone, first)
        first += ONE


async def _turns_of(
    read: AsyncConnection, pid: int, histories: Mapping[int, History], zone: ZoneInfo, last: date
) -> None:
    """Flips from the first day on. One of before that is new takes us back to its day: its signal came late."""
    for check_id, found in (await _flips_since(read, pid, histories)).items():
        one = histories[check_id]
        one.turns = found
        earliest = min(turn.at for turn in found)
        unknown = {turn.retracts for turn in found} - {None} - {turn.flip_no for turn in found}
        if unknown:
            query = sa.select(sa.func.min(flips.c.at)).where(
                flips.c.pid == pid, flips.c.check_id == check_id, flips.c.flip_no.in_(unknown)
            )
            earliest = min(earliest, (await read.execute(query)).scalar() or earliest)
        if earliest < one.days[0].from_at:
            one.days = list(days_of(zone, day_of(zone, earliest), last))
            one.turns = (await _flips_since(read, pid, {check_id: one}))[check_id]


async def _flips_since(read: AsyncConnection, pid: int, histories: Mapping[int, History]) -> dict[int, list[Turn]]:
    """Flips of these days and later, and those that no day knows yet."""
    since = min(one.days[0].from_at for one in histories.values())
    known = min(one.known for one in histories.values())
    query = (
        sa.select(flips)
        .where(flips.c.pid == pid, flips.c.check_id.in_(histories))
        .where(sa.or_(flips.c.at >= since, flips.c.flip_no > known))
        .order_by(flips.c.check_id, flips.c.flip_no)
    )
    found: dict[int, list[Turn]] = {}
    for row in await read.execute(query):
        one = histories[row.check_id]
        if row.at >= one.days[0].from_at or row.flip_no > one.known:
            found.setdefault(row.check_id, []).append(_turn(row))
    return found


def _turn(row: Any) -> Turn:
    return Turn(
        flip_no=row.flip_no,
        at=row.at,
        from_status=Status(row.from_status),
        to_status=Status(row.to_status),
        retracts=row.retracts_flip_no,
    )


async def _runs_of(read: AsyncConnection, pid: int, histories: Mapping[int, History]) -> None:
    since = min(one.days[0].from_at for one in histories.values())
    query = sa.select(runs.c.check_id, runs.c.at, runs.c.outcome).where(
        runs.c.pid == pid, runs.c.check_id.in_(histories), runs.c.at >= since, runs.c.outcome.is_not(None)
    )
    for row in await read.execute(query):
        histories[row.check_id].runs.append((row.at, RunOutcome(row.outcome)))


async def _blind_since(read: AsyncConnection, since: datetime) -> list[Blind]:
    query = sa.select(blind_intervals).where(blind_intervals.c.to_at >= since).order_by(blind_intervals.c.from_at)
    return [Blind(id=row.id, from_at=row.from_at, to_at=row.to_at) for row in await read.execute(query)]


def day_rows(
    pid: int, batch: Sequence[Any], histories: Mapping[int, History], blind: Sequence[Blind]
) -> Iterator[dict[str, Any]]:
    for row in batch:
        one = histories[row.id]
        ended = sorted(one.runs, key=lambda run: run[0])
        place = 0
        for day in one.days:
            if day.from_at == day.to_at:
                continue
            outcomes = dict.fromkeys(RunOutcome, 0)
            while place < len(ended) and ended[place][0] < day.to_at:
                outcomes[ended[place][1]] += ended[place][0] >= day.from_at
                place += 1
            found = sums(
                day,
                born_at=row.created_at,
                turns=one.turns,
                status=Status(row.status),
                blind=[gap for gap in blind if gap.touches(day.from_at, day.to_at)],
                outcomes=outcomes,
            )
            yield _row(pid, row, day, found)


def _row(pid: int, check: Any, day: Day, found: Sums) -> dict[str, Any]:
    at = {"day": day.date.isoformat(), "from_at": day.from_at, "to_at": day.to_at}
    figures = {name: getattr(found, name) for name in _FIGURES}
    return {"pid": pid, "check_id": check.id, "flip_no": check.flip_no} | at | figures


_FIGURES = tuple(each.name for each in fields(Sums))
_COUNTS = ("n_ok", "n_failed", "n_missed", "n_unverified")


def _write(tx: Tx, pid: int, made: Sequence[Mapping[str, Any]]) -> None:
    """But for a check that was deleted meanwhile: nobody would remove its days again."""
    ids = {row["check_id"] for row in made}
    query = sa.select(checks.c.id).where(checks.c.pid == pid, checks.c.id.in_(ids)).order_by(checks.c.id)
    alive = set(
        tx.conn.execute(query.with_for_update(read=True, key_share=True) if tx.on_postgres else query).scalars()
    )
    values = [row for row in made if row["check_id"] in alive]
    if not values:
        return
    insert = tx.insert(check_days)
    new = insert.excluded
    # Runs that were pruned since must not be forgotten: signals that come late only ever add to a day.
    fewer = _all_runs(new) < _all_runs(check_days.c)
    changed: dict[str, Any] = {name: new[name] for name in ("from_at", "to_at", "up_s", "down_s", "blind_s", "flip_no")}
    changed |= {name: sa.case((fewer, check_days.c[name]), else_=new[name]) for name in _COUNTS}
    tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid", "check_id", "day"], set_=changed), values)


def _all_runs(columns: Any) -> Any:
    return columns.n_ok + columns.n_failed + columns.n_missed + columns.n_unverified
