"""What a check's past suggests for it, with the evidence; what of it has moved, and which runs were unusual.

Nothing is saved, and nobody is told. What is learned, and how, is decided in checks/learned.py.
"""

from __future__ import annotations

from functools import partial

import msgspec
from litestar import get
from litestar.params import FromPath

from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.backtest import AlarmOut, KeptOut, alarm_out
from heartfly.api.v1.wire import Instant
from heartfly.checks import queries
from heartfly.checks.config import ScheduleIn
from heartfly.checks.learned import Learned, learned
from heartfly.core.describe import describe
from heartfly.core.moved import Habit, Moved
from heartfly.core.unusual import Odd
from heartfly.usage.rerun import zone_of


class HabitOut(msgspec.Struct):
    """`before`, `after` in seconds: of the day, between two runs, or how long one took."""

    what: Habit
    before: int
    after: int
    since: Instant
    text: str


class OddOut(msgspec.Struct):
    """A run that went well and was not as usual. `gate`: what would warn of it; `asked`: the check has such a gate."""

    at: Instant
    figure: str
    text: str
    gate: str
    asked: bool


class SuggestionOut(msgspec.Struct, kw_only=True):
    """`schedule`, `grace`, `max_run`: what is suggested in the place of what it has; null: nothing. `why`: why nothing
    is. `sentences`: the evidence.

    Learned from the runs from `from_at` to `split_at`; `kept`, `lost` and `added` are the alarms since then, of
    `n_tried` runs from which nothing was learned, by the present rule (`n_old`) and by the one that is suggested.
    """

    n_runs: int
    n_tried: int
    from_at: Instant | None
    split_at: Instant | None
    through: Instant
    schedule: ScheduleIn | None
    schedule_text: str
    grace: int | None
    max_run: int | None
    why: str
    sentences: list[str]
    n_old: int
    n_new: int
    kept: list[KeptOut]
    lost: list[AlarmOut]
    added: list[AlarmOut]
    moved: list[HabitOut]
    unusual: list[OddOut]


@get(
    "/checks/{check_id:str}/suggestions",
    summary="Read what its past suggests",
    responses=told_as(404),
    tags=["checks"],
)
async def read_suggestions(request: ApiRequest, check_id: FromPath[str]) -> SuggestionOut:
    """Of the last 90 days, as far as runs and pings are kept. `PATCH` the check to take it."""
    api, now = request.api, request.api.clock.now()
    async with api.database.read() as read:
        row = await queries.find(read, request.caller.pid, check_id)
        zone = await zone_of(read, request.caller.pid)
    async with api.trying:
        found = await learned(api.database, row, now=now, project_zone=zone.key)
    return _out(found)


def _out(found: Learned) -> SuggestionOut:
    asked, tried = found.asked, found.tried
    schedule = None if asked is None or asked.schedule is msgspec.UNSET else asked.schedule
    suits = found.suggestion.schedule if found.suggestion is not None else None
    differ, of_alarm = (None if tried is None else tried.differ), partial(alarm_out, history=found.history)
    return SuggestionOut(
        n_runs=found.n_runs,
        n_tried=found.n_tried,
        from_at=found.from_at,
        split_at=found.split_at,
        through=found.through,
        schedule=schedule,
        schedule_text=describe(suits) if schedule is not None and suits is not None else "",
        grace=None if asked is None or asked.grace is msgspec.UNSET else asked.grace,
        max_run=None if asked is None or asked.max_run is msgspec.UNSET else asked.max_run,
        why=found.why,
        sentences=list(found.sentences),
        n_old=0 if tried is None else len(tried.old),
        n_new=0 if tried is None else len(tried.new),
        kept=[KeptOut(of_alarm(old), of_alarm(new)) for old, new in (differ.kept if differ else ())],
        lost=[of_alarm(one) for one in (differ.lost if differ else ())],
        added=[of_alarm(one) for one in (differ.added if differ else ())],
        moved=[_moved(one) for one in found.moved],
        unusual=[_odd(one) for one in found.odd],
    )


def _moved(one: Moved) -> HabitOut:
    before, after = (int(value.total_seconds()) for value in (one.before, one.after))
    return HabitOut(one.what, before, after, one.since, one.words)


def _odd(one: Odd) -> OddOut:
    gate = one.broken.gate
    return OddOut(one.run.at, gate.metric, one.broken.words(), f"{gate.text} {gate.level.value}", one.asked)


SHAPES = (SuggestionOut,)
