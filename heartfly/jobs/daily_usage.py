"""The daily aggregation of a project: closes yesterday and each day that was missed, and says what it found.

How a day is closed is decided in usage/close_day.py, and how one is looked at again in usage/verify_days.py. A day that
does not agree with its events fails the run: the job ran, and its check says that the data is wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.checks.covered import covered_until
from heartfly.core.days import Day, day_in, day_of
from heartfly.core.watermarks import Standing
from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import jobs, projects, usage_days
from heartfly.errors import HeartflyError, StoreError
from heartfly.jobs.kind import Done, Work
from heartfly.logs import logger
from heartfly.usage.close_day import ONE_DAY, Closed, Closer, came_in, days_to_close, has_length, intake_of
from heartfly.usage.day_queries import proved_days
from heartfly.usage.generations import OvertakenError
from heartfly.usage.sources import standing_in
from heartfly.usage.verify_days import Verified, days_to_verify, verify_day

log = logger("heartfly.jobs")

NAME = "daily-usage"
_MOST = 100
"""Days that one run closes: a meter that changed reopens all of history."""
_MOST_VERIFIED = 10
_VERIFY_UNTIL = timedelta(minutes=30)
"""So many proved days a run looks at once more, and begins none when it has gone on for so long."""
_LOOKED_BACK = timedelta(days=7)
_NAMES, _NAME = 5, 60
"""So many sources are named, by their first letters."""


def aggregating(usage: Database, closer: Closer) -> Callable[[Work], Awaitable[Done]]:
    async def aggregate(work: Work) -> Done:
        began = work.now
        home = await _home(work)
        zone, today = home.zone, work.now.astimezone(home.zone).date()

        async def waiting() -> list[date]:
            since = home.since.astimezone(zone).date()
            return await days_to_close(usage, work.pid, zone, since=since, today=today)

        closed: list[Closed] = []
        stuck: list[str] = []
        for day in (await waiting())[:_MOST]:
            await work.write(_nothing)  # the lease is ours still
            try:
                closed.append(await closer.close(work.pid, day, zone))
            except OvertakenError:
                pass  # whoever closes it by now says how it is; `days_left` tells if nobody did
            except Exception as error:  # noqa: BLE001 - no day holds up those after it; told in the run's words
                stuck.append(f"{day} could not be closed: {_why(error)}")
        verified = await _verify(work, usage, closer, before=began, stuck=stuck)
        yesterday = today - ONE_DAY
        wrong = [one for one in closed if one.mismatch]
        held = [one for one in closed if not one.mismatch and one.sources.waits_for]
        without = [one for one in closed if not one.mismatch and one.sources.without]
        failed = [one for one in verified if one.wrong]
        figures: dict[str, int | float | str] = dict(await _of_yesterday(usage, work.pid, yesterday, closed))
        figures |= await _came_in(usage, work.pid, day_in(zone, yesterday))
        figures |= _uncounted([one.figures for one in closed if one.day != yesterday], figures)
        figures |= {
            "day": yesterday.isoformat(),
            "days_closed": len(closed) - len(wrong) - len(held),
            "days_held": len(held),
            "days_without_a_source": len(without),
            "days_caught_up": len([one for one in closed if one.day != yesterday]),
            "days_changed": len([one for one in closed if one.changed]),
            "days_left": len(await waiting()),
            "reconciled": int(not wrong),
            "verified": len(verified),
            "verify_failed": len(failed),
            "duration_ms": round((work.now - began).total_seconds() * 1000),
        }
        figures |= _sources(held, without)
        figures |= await _covered(work, usage, home, yesterday=yesterday)
        words = [f"{one.day} does not add up: {one.mismatch}" for one in wrong]
        words += [f"{one.day} is not what it was proved to be any more: {one.wrong}" for one in failed]
        return Done(figures=figures, failure="; ".join(words + stuck))

    return aggregate


def _why(error: Exception) -> str:
    """As a run says it; what nobody expected is in the log with its traceback."""
    if isinstance(error, HeartflyError):
        return str(error)
    log.error("job", job=NAME, error=repr(error), exc_info=error)
    return f"a fault of Heartfly's own: {error!r}"


def _sources(held: Sequence[Closed], without: Sequence[Closed]) -> Mapping[str, str]:
    """Who it is that days wait for, or were closed without."""
    waiting = sorted({name for one in held for name in one.sources.waits_for})
    given_up = sorted({name for one in without for name in one.sources.without})
    told = {"waits_for": _listed(waiting), "without": _listed(given_up)}
    return {name: words for name, words in told.items() if words}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(name[:_NAME] for name in names[:_NAMES]) + more


async def _verify(work: Work, usage: Database, closer: Closer, *, before: datetime, stuck: list[str]) -> list[Verified]:
    """Some days that were proved in earlier nights, those that were not looked at for longest."""
    found: list[Verified] = []
    for row in await days_to_verify(usage, work.pid, before=before, limit=_MOST_VERIFIED):
        if work.now - before > _VERIFY_UNTIL:
            break
        await work.write(_nothing)
        try:
            one = await verify_day(usage, closer.hands, row, now=work.now)
        except Exception as error:  # noqa: BLE001 - as of a day that is closed
            stuck.append(f"{row.day} could not be verified: {_why(error)}")
            continue
        if one is not None:
            found.append(one)
    return found


def _uncounted(
    earlier: Sequence[Mapping[str, int]], of_yesterday: Mapping[str, int | float | str]
) -> Mapping[str, int | float]:
    """Of yesterday and of all that the run closed: an event that no meter can count bills nothing, however late."""
    n, events = (
        int(of_yesterday.get(name, 0)) + sum(one.get(name, 0) for one in earlier)
        for name in ("uncounted", "events_raw")
    )
    # Rounded up: one of a million is not none.
    return {"uncounted": n, "uncounted_share": -(-n * 10_000 // max(1, events)) / 10_000}


async def _covered(work: Work, usage: Database, home: _Home, *, yesterday: date) -> Mapping[str, str]:
    """From where the check's coverage ends to the end of the last day from there on that is proved.

    Where that is nothing new, an earlier day that was proved: done once more, which is no standstill.
    """
    async with work.read() as read:
        until = await covered_until(read, work.pid, home.check_id)
    start = day_of(home.zone, home.since if until is None else until)
    async with usage.read() as read:
        proved = await proved_days(read, work.pid, home.zone, since=start - _LOOKED_BACK)
    if until is None and start not in proved:
        start = min((day for day in proved if day > start), default=start)
    end = start
    while end <= yesterday and (end in proved or not has_length(home.zone, end)):
        end += ONE_DAY
    if end > start:
        span = day_in(home.zone, end - ONE_DAY)
        from_at, to_at = until or day_in(home.zone, start).from_at, span.to_at
    else:
        earlier = [day for day in proved if until is not None and day_in(home.zone, day).to_at < until]
        if not earlier:
            return {}
        span = day_in(home.zone, max(earlier))
        from_at, to_at = span.from_at, span.to_at
    return {name: at.astimezone(home.zone).isoformat() for name, at in (("from", from_at), ("to", to_at))}


async def _came_in(usage: Database, pid: int, yesterday: Day) -> Mapping[str, int | float]:
    """Told also while yesterday waits to be closed: what was rejected shall not stay unheard until then.

    The share is a figure of its own: of a day on which nothing came in the ratio of the two cannot be told, and its
    gate would break. Nothing was rejected then.
    """
    async with usage.read() as read:
        came = came_in((await read.execute(intake_of(pid, yesterday))).one())
    # Cut off, not rounded: just below 1% stays below it. Four places come through JSON as they are.
    return came | {"rejected_share": came["rejected"] * 10_000 // max(1, came["events_received"]) / 10_000}


@dataclass(frozen=True, slots=True)
class _Home:
    """`since`: when the project has had this job."""

    zone: ZoneInfo
    since: datetime
    check_id: int | None


async def _home(work: Work) -> _Home:
    query = (
        sa.select(projects.c.zone, jobs.c.created_at, jobs.c.check_id)
        .join(jobs, sa.and_(jobs.c.pid == projects.c.id, jobs.c.kind == NAME))
        .where(projects.c.id == work.pid)
    )
    async with work.read() as read:
        row = (await read.execute(query)).first()
    if row is None:
        raise StoreError("the project is gone")
    return _Home(ZoneInfo(row.zone if is_zone(row.zone) else "UTC"), row.created_at, row.check_id)


def _nothing(_: Tx) -> None:
    """A transaction that is fenced like any other."""


async def _of_yesterday(usage: Database, pid: int, yesterday: date, closed: list[Closed]) -> Mapping[str, int | str]:
    """Also when it was closed before, by somebody's hand."""
    for one in closed:
        if one.day == yesterday:
            return {**one.figures, "fingerprint": one.fingerprint, **_watermark(one.sources)}
    query = sa.select(usage_days.c.figures, usage_days.c.fingerprint, usage_days.c.sources)
    async with usage.read() as read:
        row = (await read.execute(query.where(usage_days.c.pid == pid, usage_days.c.day == yesterday))).first()
    if row is None:
        return {}
    figures = {name: value for name, value in row.figures.items() if name != "amended"}
    fingerprint = bytes(row.fingerprint or b"").hex()
    return {**figures, "fingerprint": fingerprint, **_watermark(standing_in(row.sources))}


def _watermark(sources: Standing) -> Mapping[str, str]:
    return {} if sources.watermark is None else {"watermark": sources.watermark.isoformat()}
