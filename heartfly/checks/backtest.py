"""A check's own history, read so that other rules and windows can be tried on it. The judging is core/replay.py's.

What a ping was (a success, a failure, ignored) stays as it was heard: filters are not tried anew. One that came late
stands where it happened. Kept are the newest pings of a check, so the history may begin later than was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.config import CheckConfig, of_row
from heartfly.checks.rows import rules_of_config
from heartfly.core.coverage import Span
from heartfly.core.replay import Alarm, Command, Compared, compared, replay
from heartfly.core.silence import Silence
from heartfly.core.silence import Span as SilenceSpan
from heartfly.core.values import ELSEWHERE, Blind, Order, Signal
from heartfly.core.words import PingKind, Reason, Status
from heartfly.db.database import Database
from heartfly.db.models import blind_intervals, flips, incidents, pings, run_metrics, runs
from heartfly.notify.silences import planned_since

DAYS = 90
"""How far back rules are tried, as far as pings are kept."""
MOST = 5_000
"""Pings that are judged, the newest: a second of work."""
MOST_TURNS = 5_000
"""Pauses, resumes and alarms that are read, the newest; as many blind intervals. What is older is not judged."""
_ENDS = frozenset({PingKind.SUCCESS.value, PingKind.FAIL.value})
_COUNTED = (*sorted(_ENDS), PingKind.START.value, PingKind.PROGRESS.value)
_COMMANDS = (Reason.PAUSED.value, Reason.RESUMED.value)
_NEXT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`from_at`: where it begins. `whole`: nothing of the time that was asked for was left out, as there was too much
    of it. `incidents`: by the instant at which it went down, for the alarms that were real.
    """

    signals: Sequence[Signal]
    commands: Sequence[Command]
    blind: Sequence[Blind]
    """Also the maintenance windows in which the check was not to be judged: `planned`."""
    incidents: Mapping[datetime, str]
    from_at: datetime
    through: datetime
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    old: Sequence[Alarm]
    new: Sequence[Alarm]
    differ: Compared


async def history_of(
    read: AsyncConnection, row: Row[Any], *, since: datetime, through: datetime, gated: bool
) -> History:
    """`row`: of the check. `gated`: some gate is tried on it, of either rule, so that figures are wanted."""
    mine = (pings.c.pid == row.pid, pings.c.check_id == row.id)
    query = sa.select(pings).where(*mine, pings.c.kind.in_(_COUNTED)).order_by(pings.c.n.desc()).limit(MOST)
    newest = (await read.execute(query)).all()
    known = await _whole_since(read, row, newest, since=since)
    found = [ping for ping in newest if known <= _happened_at(ping) <= through]
    ended = {ping.run_id for ping in found if ping.kind in _ENDS and ping.run_id} if gated else set()
    begun = {ping.run_id for ping in found if ping.kind == PingKind.START.value}
    took = await _took(read, row, {ping.run_id for ping in found if ping.kind in _ENDS and ping.run_id} - begun)
    figures = await _figures(read, row, ended)
    spans = await _spans(read, row, ended)
    from_at = min((_happened_at(ping) for ping in found), default=since)
    matter = sa.or_(flips.c.reason.in_(_COMMANDS), flips.c.to_status == Status.DOWN.value)
    turned = (
        sa.select(flips.c.at, flips.c.to_status, flips.c.reason, incidents.c.uuid)
        .outerjoin(incidents, sa.and_(incidents.c.pid == flips.c.pid, incidents.c.id == flips.c.incident_id))
        .where(flips.c.pid == row.pid, flips.c.check_id == row.id, flips.c.at >= from_at, matter)
        .order_by(flips.c.flip_no.desc())
        .limit(MOST_TURNS + 1)
    )
    turns = (await read.execute(turned)).all()[::-1]
    deaf = sa.select(blind_intervals).where(blind_intervals.c.to_at >= from_at)
    gaps = (await read.execute(deaf.order_by(blind_intervals.c.to_at.desc()).limit(MOST_TURNS + 1))).all()[::-1]
    all_read = len(newest) < MOST or newest[-1].received_at < since
    whole = all_read and len(turns) <= MOST_TURNS and len(gaps) <= MOST_TURNS
    # Behind what was not read nothing can be judged: a pause or a gap there would be taken for silence.
    if len(turns) > MOST_TURNS:
        from_at = max(from_at, turns[0].at + _NEXT)
    if len(gaps) > MOST_TURNS:
        from_at = max(from_at, gaps[0].to_at + _NEXT)
    turns = [turn for turn in turns if turn.at >= from_at]
    gaps = [gap for gap in gaps if gap.to_at >= from_at]
    found = sorted((ping for ping in found if _happened_at(ping) >= from_at), key=lambda ping: _order(ping, ping.seq))
    windows = await planned_since(read, row, since=from_at, through=through)
    return History(
        signals=[_signal(ping, nth, figures, spans, took) for nth, ping in enumerate(found)],
        commands=[
            Command(at=turn.at, pauses=turn.reason == Reason.PAUSED.value) for turn in turns if turn.reason in _COMMANDS
        ],
        blind=_in_order(
            [
                *(Blind(id=one.id, from_at=one.from_at, to_at=one.to_at) for one in gaps),
                *(_unjudged(one.span) for one in windows if not one.is_judged),
            ]
        ),
        incidents={turn.at: turn.uuid for turn in turns if turn.to_status == Status.DOWN.value and turn.uuid},
        from_at=from_at,
        through=through,
        whole=whole,
    )


def backtest(history: History, old: CheckConfig, new: CheckConfig, windows: Sequence[Silence] = ()) -> Backtest:
    """Both rules over the same history, from its beginning. `windows`: in which the new one would not judge, either."""
    more = [_unjudged(span) for one in windows for span in one.spans(history.from_at, history.through)]
    was, would = (
        replay(
            rules_of_config(config),
            history.signals,
            commands=history.commands,
            blind=blind,
            from_at=history.from_at,
            through=history.through,
        )
        for config, blind in ((old, history.blind), (new, _in_order([*history.blind, *more])))
    )
    return Backtest(old=was, new=would, differ=compared(was, would))


async def tried(
    database: Database,
    row: Row[Any],
    would: CheckConfig,
    *,
    since: datetime,
    through: datetime,
    windows: Sequence[Silence] = (),
) -> tuple[Backtest, History]:
    """The check's rule and another one, over what is kept of this time. Whoever asks bounds how many do so at once."""
    was = of_row(row._asdict())
    async with database.read() as read:
        history = await history_of(read, row, since=since, through=through, gated=bool(would.gates or was.gates))
    # In a thread: thousands of pings take a second, which no other ping shall wait for.
    return await asyncio.to_thread(backtest, history, was, would, windows), history


def _unjudged(span: SilenceSpan) -> Blind:
    return Blind(id=0, from_at=span.from_at, to_at=span.to_at, planned=True)


def _in_order(blind: Iterable[Blind]) -> list[Blind]:
    return sorted(blind, key=lambda one: (one.from_at, one.to_at))


async def _figures(read: AsyncConnection, row: Row[Any], run_ids: set[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    if not run_ids:
        return found
    query = sa.select(run_metrics.c.run_id, run_metrics.c.name, run_metrics.c.value).where(
        run_metrics.c.pid == row.pid, run_metrics.c.check_id == row.id, run_metrics.c.run_id >= min(run_ids)
    )
    for one in await read.execute(query):
        found.setdefault(one.run_id, {})[one.name] = one.value
    return found


async def _spans(read: AsyncConnection, row: Row[Any], run_ids: set[int]) -> dict[int, Span]:
    """What runs covered, of those that went well: of others it is not kept."""
    if not run_ids:
        return {}
    query = sa.select(runs.c.id, runs.c.covers_from, runs.c.covers_to).where(
        runs.c.pid == row.pid, runs.c.check_id == row.id, runs.c.covers_to.is_not(None), runs.c.id >= min(run_ids)
    )
    return {one.id: Span(one.covers_from, one.covers_to) for one in await read.execute(query)}


async def _took(read: AsyncConnection, row: Row[Any], run_ids: set[int]) -> dict[int, timedelta]:
    """How long runs took of which no start was heard, as their ends said it."""
    if not run_ids:
        return {}
    query = sa.select(runs.c.id, runs.c.duration_us).where(
        runs.c.pid == row.pid, runs.c.check_id == row.id, runs.c.duration_us.is_not(None), runs.c.id >= min(run_ids)
    )
    return {one.id: timedelta(microseconds=one.duration_us) for one in await read.execute(query) if one.id in run_ids}


async def _whole_since(
    read: AsyncConnection, row: Row[Any], newest: Sequence[Row[Any]], *, since: datetime
) -> datetime:
    """From when on all that happened is among them. What is not kept was received before them, and happened before."""
    mine = (pings.c.pid == row.pid, pings.c.check_id == row.id)
    oldest_kept = (await read.execute(sa.select(sa.func.min(pings.c.n)).where(*mine))).scalar()
    if not newest or (len(newest) < MOST and oldest_kept == 1):
        return since
    heard_from: datetime = newest[-1].received_at
    return max(since, heard_from)


def _happened_at(ping: Row[Any]) -> datetime:
    # A demo of an older version wrote what is of nobody so, and without that time.
    is_late = ping.node_id == ELSEWHERE and ping.client_at is not None
    at: datetime = ping.client_at if is_late else ping.received_at
    return at


def _order(ping: Row[Any], seq: int) -> Order:
    return _happened_at(ping), ping.node_id, seq


def _signal(
    ping: Row[Any],
    nth: int,
    figures: Mapping[int, Mapping[str, Any]],
    spans: Mapping[int, Span],
    took: Mapping[int, timedelta],
) -> Signal:
    ends = ping.kind in _ENDS
    return Signal(
        id=ping.n,
        kind=PingKind(ping.kind),
        # Of those that came late the order in which they came says nothing.
        order=_order(ping, nth if ping.node_id == ELSEWHERE else ping.seq),
        rid=ping.rid,
        exit_status=ping.exit_status if ends else None,
        metrics=figures.get(ping.run_id, {}) if ends else {},
        covers=spans.get(ping.run_id) if ends else None,
        took=took.get(ping.run_id) if ends else None,
        source=ping.remote,
    )
