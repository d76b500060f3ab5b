"""Another rule for a check, tried on its own past: which alarms there would have been, and how they differ.

Nothing is saved. The judging is core/replay.py's, as for the page of a schedule, so both say the same.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
from litestar import post
from litestar.params import FromPath, JSONBody

from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.checks import queries
from heartfly.checks.backtest import DAYS, History, tried
from heartfly.checks.config import CheckIn, merged, of_row
from heartfly.checks.trial_windows import WindowIn, silences_of
from heartfly.core.replay import Alarm
from heartfly.core.words import Reason


class BacktestIn(CheckIn, forbid_unknown_fields=True, frozen=True):
    """Another rule; what is left out is as the check has it. `windows`: maintenance in which it would not be judged,
    beside that which there was.
    """

    windows: tuple[WindowIn, ...] = ()


_UNCHANGED = BacktestIn()


class AlarmOut(msgspec.Struct, kw_only=True):
    """A span in which the check is down. `incident`: what people were told of it, if the alarm was real."""

    at: Instant
    ended_at: Instant | None
    reason: Reason
    incident: str | None


class KeptOut(msgspec.Struct):
    """One alarm, by the rule that is and by the one that was sent."""

    old: AlarmOut
    new: AlarmOut


class BacktestOut(msgspec.Struct, kw_only=True):
    """`from_at`: the first ping that was judged. `whole`: false when only the newest pings were, as there
    are many of them, or of pauses, alarms and times in which Heartfly was deaf.
    """

    from_at: Instant
    through: Instant
    n_pings: int
    whole: bool
    n_old: int
    n_new: int
    kept: list[KeptOut]
    lost: list[AlarmOut]
    added: list[AlarmOut]


@post(
    "/checks/{check_id:str}/backtest",
    summary="Try another rule",
    responses=told_as(404, 422),
    tags=["checks"],
    status_code=200,
)
async def try_rule(
    request: ApiRequest, check_id: FromPath[str], data: JSONBody[BacktestIn] = _UNCHANGED
) -> BacktestOut:
    """What is sent, and the rest as the check has it, on its pings of the last 90 days. Nothing is saved."""
    api, now = request.api, request.api.clock.now()
    async with api.database.read() as read:
        row = await queries.find(read, request.caller.pid, check_id)
    would, since = merged(of_row(row._asdict()), data, at=now), now - timedelta(days=DAYS)
    windows = silences_of(data.windows, since=since)
    async with api.trying:
        found, history = await tried(api.database, row, would, since=since, through=now, windows=windows)
    return BacktestOut(
        from_at=history.from_at,
        through=history.through,
        n_pings=len(history.signals),
        whole=history.whole,
        n_old=len(found.old),
        n_new=len(found.new),
        kept=[KeptOut(alarm_out(old, history), alarm_out(new, history)) for old, new in found.differ.kept],
        lost=[alarm_out(one, history) for one in found.differ.lost],
        added=[alarm_out(one, history) for one in found.differ.added],
    )


def alarm_out(alarm: Alarm, history: History) -> AlarmOut:
    return AlarmOut(at=alarm.at, ended_at=alarm.ended_at, reason=alarm.reason, incident=history.incidents.get(alarm.at))
