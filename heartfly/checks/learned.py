"""What a check's own past suggests for it, and the proof: how often each rule would have alarmed on runs unseen by it.

Learned from the oldest four fifths of its runs (core/learned.py), tried on the rest (backtest.py). Also what has
moved, and which runs were unusual. Nothing of it changes a check, and nobody is told of it unless a gate asks for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.backtest import DAYS, Backtest, History, backtest, history_of
from heartfly.checks.config import CheckConfig, CheckIn, ScheduleIn, gates_of, merged, of_row
from heartfly.checks.past_figures import known_to
from heartfly.checks.rows import schedule_of
from heartfly.core.describe import describe
from heartfly.core.gates import DURATION, Gate, PastRun
from heartfly.core.learned import LEAST_RUNS, Fit, Ran, Suggestion, learn, split
from heartfly.core.moved import MOST_LOOKED_AT, Moved, moved
from heartfly.core.schedule import Cron, Period, Schedule
from heartfly.core.spans import span
from heartfly.core.unusual import NEWEST, WEEKS, Odd, gate_for, unusual
from heartfly.core.words import RunOutcome
from heartfly.core.zones import zone as find_zone
from heartfly.db.database import Database
from heartfly.db.models import run_metrics, runs
from heartfly.errors import InvalidValueError

MOST_RUNS = 1_000
"""The newest, which is half a second of work; a job of every minute is learned in most of a day."""
FEW = 60
"""Of a job that ran less often in DAYS so many are looked at, however old they are: of one by the month five years."""
_WELL = (RunOutcome.OK.value, RunOutcome.DEGRADED.value)
_NEAR = 5
"""A limit that differs by less than this part of itself is as good as the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """`n_runs`: that went well, from `from_at` on. `split_at`: the first that nothing was learned from.

    `asked`: what is suggested, as an edit of the check; None: nothing, then `why` says so. `tried`: the present rule
    and that one since then; None: nothing is suggested.
    """

    n_runs: int
    n_tried: int
    from_at: datetime | None
    split_at: datetime | None
    through: datetime
    suggestion: Suggestion | None
    asked: CheckIn | None
    why: str
    tried: Backtest | None
    history: History
    sentences: Sequence[str]
    moved: Sequence[Moved]
    odd: Sequence[Odd]


async def learned(database: Database, row: Row[Any], *, now: datetime, project_zone: str) -> Learned:
    """`row`: of the check. Whoever asks bounds how many do so at once: it takes up to a second."""
    since, config = now - timedelta(days=DAYS), of_row(row._asdict())
    async with database.read() as read:
        found = await _runs(read, row, since)
        if len(found) < FEW:
            found = await _runs(read, row, row.created_at, most=FEW)
            since = min([since, *(run.began_at for run in found[:1])])
        history = await history_of(read, row, since=since, through=now, gated=bool(config.gates))
        past = await _figures(read, row, now)
    seen = _Seen(row, config, history, found, past, project_zone)
    return await asyncio.to_thread(_learned, seen)


@dataclass(frozen=True, slots=True)
class _Seen:
    row: Row[Any]
    config: CheckConfig
    history: History
    runs: Sequence[Ran]
    past: Sequence[PastRun]
    project_zone: str


def _learned(seen: _Seen) -> Learned:
    row, config, history, found = seen.row, seen.config, seen.history, seen.runs
    place = split(found)
    suggestion, asked, why, tried = None, None, "", None
    try:
        present = schedule_of((config.kind, config.period_s, config.expression, config.zone, config.dialect))
        zones = [config.zone, seen.project_zone] if isinstance(present, Period) else [config.zone]
        suggestion = learn(found[:place], present, zones=zones)
        if suggestion is not None and row.job is not None:
            suggestion = replace(suggestion, fit=None)
        asked, would, why = _suggested(config, suggestion, found[:place], at=history.through)
        if would is not None:
            tried = backtest(_since(history, found[place].began_at), config, would)
    except InvalidValueError as error:
        why = f"Its schedule cannot be worked out any more: {error}"  # its zone is gone: the check shows that, too
    return Learned(
        n_runs=len(found),
        n_tried=len(found) - place,
        from_at=found[0].began_at if found else None,
        split_at=found[place].began_at if found else None,
        through=history.through,
        suggestion=suggestion,
        asked=asked,
        why=why,
        tried=tried,
        history=history,
        sentences=list(_sentences(config, suggestion)),
        moved=moved(found, _zone(config.zone)),
        odd=unusual(seen.past, gates_of(config.gates), config.zone),
    )


def _suggested(
    config: CheckConfig, suggestion: Suggestion | None, runs_: Sequence[Ran], *, at: datetime
) -> tuple[CheckIn | None, CheckConfig | None, str]:
    """What is asked for, the check as it would be, and why not."""
    if suggestion is None:
        return None, None, f"{len(runs_)} runs to learn from are known, and {LEAST_RUNS} are the least."
    asked: dict[str, Any] = {}
    if suggestion.fit is not None:
        asked["schedule"] = _schedule_in(suggestion.fit.schedule)
    limit = timedelta(seconds=config.grace_s if config.max_run_s is None else config.max_run_s)
    for name, wanted, present in (
        ("grace", suggestion.grace, timedelta(seconds=config.grace_s)),
        ("max_run", suggestion.max_run, limit),
    ):
        if wanted is not None and abs(wanted - present) > present / _NEAR:
            asked[name] = int(wanted.total_seconds())
    # Without a longest run of its own a check's runs may take the grace, which would change with it.
    if "grace" in asked and config.max_run_s is None and "max_run" not in asked and suggestion.max_run is not None:
        asked["max_run"] = int(suggestion.max_run.total_seconds())
    if not asked:
        return None, None, "What it has suits its past."
    found = CheckIn(**asked)
    try:
        return found, merged(config, found, at=at), ""
    except InvalidValueError as error:
        return None, None, f"What its past suggests does not go with its other rules: {error}"


def _schedule_in(schedule: Schedule) -> ScheduleIn:
    if isinstance(schedule, Period):
        return ScheduleIn(kind="period", period=int(schedule.period.total_seconds()))
    assert isinstance(schedule, Cron)
    return ScheduleIn(kind="cron", expression=schedule.expression, zone=schedule.zone, dialect=schedule.dialect.value)


def _since(history: History, at: datetime) -> History:
    at = max(at, history.from_at)
    signals = [one for one in history.signals if one.at >= at]
    commands = [one for one in history.commands if one.at >= at]
    blind = [one for one in history.blind if one.to_at >= at]
    return replace(history, signals=signals, commands=commands, blind=blind, from_at=at)


def _sentences(config: CheckConfig, suggestion: Suggestion | None) -> Iterator[str]:
    """The evidence, in words."""
    if suggestion is None:
        return
    if suggestion.fit is not None:
        yield f"{_words(suggestion.fit.schedule)}: {_how(suggestion.fit)}."
        yield f"The present schedule ({_words(suggestion.present.schedule)}): {_how(suggestion.present)}."
    else:
        yield f"Its schedule ({_words(suggestion.present.schedule)}): {_how(suggestion.present)}."
    if suggestion.grace is not None:
        late = "begin" if suggestion.max_run is not None else "are done"
        wanted, present = span(suggestion.grace), _span(config.grace_s)
        yield f"99 of 100 runs {late} so that a grace of {wanted} leaves a fifth; it is {present}."
    if suggestion.max_run is not None:
        present = "the grace" if config.max_run_s is None else _span(config.max_run_s)
        wanted = span(suggestion.max_run)
        yield f"99 of 100 runs take so long that {wanted} leaves a fifth; the longest run is {present}."


def _how(fit: Fit) -> str:
    beside = (
        f"{fit.n_beside} {'run was' if fit.n_beside == 1 else 'runs were'} beside it"
        if fit.n_beside
        else "no run was beside it"
    )
    return f"{fit.n_hit} of {fit.n_times} of its times had a run, and {beside}"


def _words(schedule: Schedule) -> str:
    if isinstance(schedule, Period):
        return f"every {span(schedule.period)}"
    return f"{describe(schedule)}"


def _span(seconds: int) -> str:
    return span(timedelta(seconds=seconds))


def _zone(name: str) -> Any:
    try:
        return find_zone(name)
    except InvalidValueError:
        return find_zone("UTC")  # it was removed since it was chosen: the schedule shows that error


async def moved_of(read: AsyncConnection, row: Row[Any]) -> list[Moved]:
    """What of the check has moved lately. `row`: of it."""
    return moved(await _runs(read, row, row.created_at, most=MOST_LOOKED_AT), _zone(row.zone))


async def _runs(read: AsyncConnection, row: Row[Any], since: datetime, *, most: int = MOST_RUNS) -> list[Ran]:
    """That went well and ended, the oldest first."""
    query = (
        sa.select(runs.c.started_at, runs.c.ended_at, runs.c.duration_us)
        .where(runs.c.pid == row.pid, runs.c.check_id == row.id, runs.c.at >= since, runs.c.outcome.in_(_WELL))
        .order_by(runs.c.at.desc(), runs.c.id.desc())
        .limit(most)
    )
    found = [one for one in await read.execute(query) if one.ended_at is not None]
    return [_ran(one) for one in reversed(found)]


def _ran(one: Any) -> Ran:
    if one.started_at is None or one.duration_us is None:
        return Ran(one.ended_at, one.ended_at)
    return Ran(one.started_at, one.ended_at, timedelta(microseconds=one.duration_us))


async def _figures(read: AsyncConnection, row: Row[Any], now: datetime) -> Sequence[PastRun]:
    """Runs that went well, with the figures that the newest of them reported."""
    newest = (
        sa.select(runs.c.id)
        .where(runs.c.pid == row.pid, runs.c.check_id == row.id, runs.c.outcome == RunOutcome.OK.value)
        .where(runs.c.at >= now - timedelta(weeks=WEEKS))
        .order_by(runs.c.at.desc())
        .limit(NEWEST)
        .subquery()
    )
    query = sa.select(run_metrics.c.name).where(
        run_metrics.c.pid == row.pid,
        run_metrics.c.check_id == row.id,
        run_metrics.c.run_id.in_(sa.select(newest.c.id)),
    )
    names = sorted({one.name for one in await read.execute(query.distinct())})
    gates: list[Gate] = [gate_for(name) for name in (DURATION, *names)]
    return (await known_to(read, row.pid, row.id, gates, at=now)).runs
