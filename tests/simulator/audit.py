"""After the end: is the database what it promises to be, was anybody woken for nothing, was everybody told once?

Three looks at the same history. The database against itself; each alarm of silence against what the job
really sent (an independent question: the oracle knows only what was heard); each slot that was excused,
and each flip that people hear of, against the outbox.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from heartfly.checks.rows import check_of, run_of
from heartfly.core.values import Check
from heartfly.db.models import alerts, blind_intervals, checks, flips, incidents, notifications, pings, runs
from heartfly.db.types import instant, micros
from tests.simulator.ground_truth import SECOND, UNSENT, Edict, Job, Sent, Timing
from tests.simulator.machine import DEAF
from tests.simulator.oracle import SILENCE, SeenFlip
from tests.simulator.run import History

UNHEARD = DEAF + 2 * SECOND
"""A signal sent this shortly before an alarm may have come after it: a beat that is 2 s late is no deafness."""
TOLD = {("down", "up"), ("degraded", "up")}


@dataclass(frozen=True, slots=True)
class Fault:
    job: int | None
    wrong: str
    step: int = 0


def audit(history: History) -> list[Fault]:
    with history.engine.connect() as connection:
        return [*_database(history, connection), *_incidents(history, connection), *_alarms(history),
                *_digests(history, connection), *_outbox(history, connection)]  # fmt: skip


# --- the database against itself


def _database(history: History, connection: Connection) -> Iterator[Fault]:
    job_of = {job.row.id: job.index for job in history.jobs}
    per_check = sa.select(pings.c.check_id, sa.func.count().label("n")).group_by(pings.c.check_id)
    n_rows = {row.check_id: row.n for row in connection.execute(per_check)}
    chains: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for row in connection.execute(sa.select(flips).order_by(flips.c.check_id, flips.c.flip_no)):
        chains[row.check_id].append((row.flip_no, row.from_status, row.to_status))
    open_runs: dict[int, list[object]] = defaultdict(list)
    for row in connection.execute(sa.select(runs).where(runs.c.outcome.is_(None)).order_by(runs.c.started_at)):
        open_runs[row.check_id].append(run_of(row))
    n_stored = n_counted = 0
    for row in connection.execute(sa.select(checks)):
        job, status = job_of[row.id], "new"
        for number, (flip_no, from_status, to_status) in enumerate(chains[row.id], start=1):
            if (flip_no, from_status) != (number, status) or to_status == from_status:
                yield Fault(
                    job, f"flip {flip_no} ({from_status} -> {to_status}) does not follow on {number - 1} ({status})"
                )
            status = to_status
        if (row.status, row.flip_no) != (status, len(chains[row.id])):
            yield Fault(job, f"it is {row.status} after flip {row.flip_no}, but the last of its flips made it {status}")
        n_sent = sum(isinstance(i, Sent) and i.committed != UNSENT for i in history.jobs[job].history)
        if row.n_pings != n_sent:
            yield Fault(job, f"{row.n_pings} pings were counted, {n_sent} were answered or stored")
        n_counted, n_stored = n_counted + row.n_pings, n_stored + n_rows.get(row.id, 0)
        yield from _deadlines(history, job, check_of(row, tuple(open_runs[row.id])), row.n_open_runs)  # type: ignore[arg-type]
    if n_counted != n_stored + history.machine.n_limited:
        yield Fault(None, f"{n_counted} pings, but {n_stored} rows and {history.machine.n_limited} over the rate limit")
    yield from _blindness(history, connection)


def _deadlines(history: History, job: int, check: Check, n_open_runs: int) -> Iterator[Fault]:
    judged = instant(history.machine.judged.of(job))
    limits = [run.started_at + check.rules.run_limit for run in check.open_runs if run.started_at is not None]
    if n_open_runs != len(check.open_runs):
        yield Fault(job, f"{n_open_runs} open runs were counted, there are {len(check.open_runs)}")
    if any(limit <= judged for limit in limits):
        yield Fault(job, "a run is open beyond its limit")
    if check.wake_at is not None and check.wake_at <= judged:
        yield Fault(job, f"it was to be looked at {check.wake_at}")
    soonest = min([*limits, *([check.goes_down_at] if check.goes_down_at else [])], default=None)
    if check.wake_at != soonest:
        yield Fault(job, f"it wakes at {check.wake_at}, but should at {soonest}")
    if check.status.value in {"up", "degraded"} and check.goes_down_at is None:
        yield Fault(job, "nothing will ever make it go down")


def _blindness(history: History, connection: Connection) -> Iterator[Fault]:
    query = sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at).order_by(blind_intervals.c.id)
    stored = sorted((micros(row.from_at), micros(row.to_at)) for row in connection.execute(query))
    true = sorted((deaf.from_at, deaf.to_at) for deaf in history.machine.blind)
    if stored != true:
        differ = sorted(set(stored) ^ set(true))[:3]
        yield Fault(None, f"blind intervals differ: {[(str(instant(a)), str(instant(b))) for a, b in differ]}")


# --- incidents against the flips

Span = tuple[object, object, str, str | None, bool]
"""(opened, closed, cause, how it ended, whether it was disproved)"""


def _incidents(history: History, connection: Connection) -> Iterator[Fault]:
    """Each down span has its own, from the flip that begins it to the flip that ends it, and both name it."""
    kept: dict[tuple[int, int], Span] = {}
    for row in connection.execute(sa.select(incidents)):
        kept[row.source_id, row.id] = (row.opened_at, row.closed_at, row.cause, row.ended_by, row.disproved)
    history.tally["incidents"] += len(kept)
    true: dict[tuple[int, int], Span] = {}
    for row in connection.execute(sa.select(flips).order_by(flips.c.check_id, flips.c.flip_no)):
        key = (row.check_id, row.incident_id)
        if row.to_status == "down":
            true[key] = (row.at, None, row.reason, None, False)
        elif row.from_status == "down" and key in true:
            opened_at, _, cause, _, _ = true[key]
            true[key] = (opened_at, row.at, cause, row.reason, row.retracts_flip_no is not None)
        elif row.from_status == "down" or row.incident_id is not None:
            yield Fault(None, f"flip {row.flip_no} of {row.check_id} names the incident {row.incident_id}")
    for key in kept.keys() ^ true.keys() | {key for key in kept.keys() & true.keys() if kept[key] != true[key]}:
        yield Fault(None, f"the incident {key} is {kept.get(key)}, its flips say {true.get(key)}")


# --- alarms against what the jobs did


def _alarms(history: History) -> Iterator[Fault]:
    """No alarm of silence for a job that had reported in time, as far as that was in our hands."""
    for job in history.jobs:
        if not history.flips[job.index]:
            continue
        ends = [item for item in job.history if isinstance(item, Sent) and item.is_end]
        at_of = [end.at for end in ends]
        taken_back = {flip.retracts for flip in history.flips[job.index] if flip.retracts is not None}
        for flip in history.flips[job.index]:
            history.tally[f"flip {flip.reason}"] += 1
            if flip.to_status != "down" or flip.reason not in SILENCE:
                continue
            if flip.flip_no in taken_back:
                history.tally["alarms taken back"] += 1
                if not _has_slow(ends, flip):
                    yield Fault(job.index, f"taken back without a slow request: flip {flip.flip_no}", flip.step)
            elif (lost := _unheard(history, job, ends, at_of, flip)) is not None:
                if flip.reason == "missed_twice_unverified":
                    history.tally["told after two slots that nobody could hear"] += 1
                elif _strayed(history, job, flip, lost):
                    history.tally["told for a job that strayed beyond its grace"] += 1
                elif _set_back(history, job, ends, flip):
                    history.tally["told for a clock that was set back"] += 1
                else:
                    yield Fault(
                        job.index,
                        f"FALSE ALARM ({flip.reason}): it had sent {lost.what} at {instant(lost.at)}",
                        flip.step,
                    )


def _unheard(history: History, job: Job, ends: list[Sent], at_of: list[int], flip: SeenFlip) -> Sent | None:
    """An end that was sent in time, and would have prevented this alarm, had it been heard. `ends`: as they began."""
    decided = history.real_of[flip.step]
    timing = _timing(job, flip.step)
    until = bisect_right(at_of, decided)
    newest = next((n for n in range(until - 1, -1, -1) if UNSENT != ends[n].committed <= flip.step), None)
    first, heard = (0, 0) if newest is None else (newest, ends[newest].at)
    rid = _hung_run(job, timing, flip) if flip.reason == "hung" else None
    for end in ends[first:until]:
        if UNSENT != end.committed <= flip.step or end.sent_at >= decided - UNHEARD or end.at <= heard:
            continue
        if flip.reason == "hung":
            if rid is not None and end.rid == rid.rid and end.at >= rid.at:
                return end
        elif _deadline_after(timing, history.machine.time.wall_of(end.at)) > flip.at:
            return end
    return None


def _strayed(history: History, job: Job, flip: SeenFlip, end: Sent) -> bool:
    """It came earlier than its grace allows: after a run that was too late itself, it went back to its beat."""
    opened = flip.at - 2 * _timing(job, flip.step).grace
    return job.config.kind == "period" and history.machine.time.wall_of(end.at) < opened


def _set_back(history: History, job: Job, ends: list[Sent], flip: SeenFlip) -> bool:
    """The one limit: a period during which the clock was set back is longer than it should be, until its next end.

    An end that comes early by that, and is lost in an outage of ours that the slot does not touch, is a false alarm.
    """
    heard = max((end.arrived for end in ends if UNSENT != end.committed <= flip.step), default=0)
    back = [step for step, by in history.machine.steps if by < 0 and heard < step < flip.step]
    return bool(back) and job.config.kind == "period"


def _timing(job: Job, step: int) -> Timing:
    edits = [item.timing for item in job.history if isinstance(item, Edict) and item.timing and item.step <= step]
    return edits[-1] if edits else job.born


def _deadline_after(timing: Timing, at: int) -> int:
    return timing.next_after(at, at) + timing.grace


def _hung_run(job: Job, timing: Timing, flip: SeenFlip) -> Sent | None:
    limit = timing.grace if timing.max_run is None else timing.max_run
    starts = [item for item in job.history if isinstance(item, Sent) and item.what == "start"]
    return next((start for start in starts if start.wall == flip.at - limit), None)


def _has_slow(ends: list[Sent], flip: SeenFlip) -> bool:
    return any(end.slow or (end.wall <= flip.at and end.committed > flip.step) for end in ends)


# --- digests


def _digests(history: History, connection: Connection) -> Iterator[Fault]:
    """Each unverified slot and run is named in a digest of an interval that touches it, once in each."""
    job_of = {job.row.id: job for job in history.jobs}
    named: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    query = sa.select(alerts.c.payload).where(alerts.c.kind == "check.unverified")
    for (payload,) in connection.execute(query):
        blind = _us(payload["blind_from"]), _us(payload["blind_to"])
        times = Counter((slot["check_uuid"], slot["expected_at"]) for slot in payload["slots"])
        for (uuid, _), n in times.items():
            if n > 1:
                yield Fault(None, f"a digest names {uuid} {n} times")
        for slot in payload["slots"]:
            named[slot["check_uuid"]].append((*blind, _us(slot["expected_at"]), _us(slot["closes_at"])))
            history.tally["slots named in digests"] += 1
    alarmed = sa.select(flips.c.run_id).where(flips.c.reason == "missed_twice_unverified")
    unverified = sa.select(runs).where(runs.c.outcome == "unverified", runs.c.id.not_in(alarmed))
    for row in connection.execute(unverified):
        job = job_of[row.check_id]
        history.tally["unverified"] += 1
        opened = micros(row.slot_at or row.started_at)
        began = micros(row.started_at or row.slot_at)
        if not any(slot[2] in {opened, began} for slot in named[job.row.uuid]):
            yield Fault(job.index, f"unverified, but in no digest: {row.slot_at or row.started_at}", 0)


def _us(text: str) -> int:
    from datetime import datetime  # noqa: PLC0415

    return micros(datetime.fromisoformat(text))


# --- the outbox


def _outbox(history: History, connection: Connection) -> Iterator[Fault]:
    """One notification for each flip that people hear of and each of the two channels of its project."""
    job_of = {job.row.id: job.index for job in history.jobs}
    counts: Counter[str] = Counter()
    query = sa.select(alerts.c.key, notifications.c.channel_id).join(
        notifications, sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id)
    )
    for key, _ in connection.execute(query):
        counts[key] += 1
    expected: set[str] = set()
    for check_id, job in job_of.items():
        for flip in history.flips[job]:
            told = flip.to_status in {"down", "degraded"} or (flip.from_status, flip.to_status) in TOLD
            key = f"flip:{check_id}:{flip.flip_no}"
            if told and counts.get(key) is None and _told_with_next(history.flips[job], flip):
                continue
            if told:
                expected.add(key)
            if counts.get(key, 0) != (2 if told else 0):
                yield Fault(job, f"flip {flip.flip_no} was told {counts.get(key, 0)} times to 2 channels", flip.step)
    extra = {key for key in counts if key.startswith("flip:")} - expected
    if extra:
        yield Fault(None, f"told of flips that are none: {sorted(extra)[:3]}")
    history.tally["notifications"] = counts.total()


def _told_with_next(found: list[SeenFlip], flip: SeenFlip) -> bool:
    """A failure that was heard of late is told with the recovery that followed, in one message."""
    after = found[flip.flip_no] if flip.flip_no < len(found) else None
    return flip.to_status == "down" and after is not None and after.step == flip.step and after.from_status == "down"
