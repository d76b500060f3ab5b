"""Is the database what it promises to be, and was everybody told once?

The database against itself, and each slot that was excused and each flip that people hear of against the outbox.
What is old enough is looked at for the last time and deleted, so that a year fits into memory: flips with the
incidents that they ended and what was told of them, runs and pings. What production code still asks for stays, and
so does whatever nobody accounts for: it is found at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from heartfly.checks.rows import check_of, run_of
from heartfly.core.values import Check
from heartfly.db.models import alerts, blind_intervals, checks, flips, incidents, notifications, pings, runs
from heartfly.db.types import instant, micros
from tests.simulator.alarms import Fault
from tests.simulator.ground_truth import DAY, Edict, Job, Sent
from tests.simulator.history import History
from tests.simulator.oracle import SeenFlip

TOLD = {("down", "up"), ("degraded", "up")}
NAMED_FOR = 60 * DAY
"""A digest is kept for so long: a slot that it names may close weeks later."""

Span = tuple[object, object, str, str | None, bool]
"""(opened, closed, cause, how it ended, whether it was disproved)"""

_LAST = sa.table("last", sa.column("pid"), sa.column("check_id"), sa.column("flip_no"))
_OLD_RUNS = """
    outcome IS NOT NULL AND at < :before AND coalesce(ended_at, at) < :before
    AND id NOT IN (SELECT run_id FROM flips WHERE run_id IS NOT NULL)
    AND NOT (outcome = 'hung' AND EXISTS (
        SELECT 1 FROM checks c WHERE c.pid = runs.pid AND c.id = runs.check_id AND c.status = 'down'
    ))
"""
"""Those by which checks got their status, or may keep it when a signal comes late, are asked for still."""
_OLD_PINGS = """
    received_at < :before AND (pid, check_id, n) NOT IN (
        SELECT pid, check_id, ping_n FROM runs WHERE outcome IS NULL AND ping_n IS NOT NULL
    )
"""
"""That by which a run began that is under way says where this stands among others."""
_WITHOUT_PING = """
    NOT EXISTS (SELECT 1 FROM pings p WHERE p.pid = ping_bodies.pid AND p.check_id = ping_bodies.check_id
    AND p.n = ping_bodies.n)
"""
_WITHOUT_RUN = """
    NOT EXISTS (SELECT 1 FROM runs r WHERE r.pid = run_metrics.pid AND r.check_id = run_metrics.check_id
    AND r.id = run_metrics.run_id)
"""


@dataclass(slots=True)
class _Account:
    """What is known of one check from what is no longer there."""

    n_flips: int = 0
    status: str = "new"
    n_heard: int = 0


class Audit:
    def __init__(self, history: History) -> None:
        self.history = history
        self.n_flips = 0
        self.accounts = [_Account() for _ in history.jobs]
        self.n_pings = 0
        """So many rows were deleted."""
        self.spans: dict[tuple[int, int], Span] = {}
        """Of the incidents, as the flips say that are no longer there."""
        self.alarmed: set[int] = set()
        """Runs after which somebody was alarmed, by such flips."""
        self.named: dict[str, dict[int, int]] = defaultdict(dict)
        """What the digests name: of each check the beginnings of its slots, and until when nobody could hear."""
        self.digests: dict[tuple[int, int], int] = {}
        """Those that were read (project, number), and until when nobody could hear."""

    @property
    def _jobs(self) -> dict[int, Job]:
        return {job.row.id: job for job in self.history.jobs}

    def hear(self, job: Job, items: Iterable[Sent | Edict]) -> None:
        self.accounts[job.index].n_heard += sum(isinstance(item, Sent) and item.committed >= 0 for item in items)

    @property
    def n_heard(self) -> int:
        return sum(account.n_heard for account in self.accounts)

    # --- what is old

    def open_since(self) -> dict[int, set[int]]:
        """Of each check that has some: when the runs began that are under way."""
        query = sa.select(runs.c.check_id, runs.c.started_at).where(runs.c.outcome.is_(None))
        found: dict[int, set[int]] = defaultdict(set)
        with self.history.engine.connect() as connection:
            for row in connection.execute(query.where(runs.c.started_at.is_not(None))):
                found[row.check_id].add(micros(row.started_at))
        return found

    def let_go(self, gone: dict[int, list[SeenFlip]], before: int) -> Iterator[Fault]:
        """The first flips of each check, which have another one after them, and what ended before that wall time."""
        with self.history.engine.begin() as connection:
            yield from self._flips_go(connection, gone)
            yield from self._read_digests(connection)
            old = sa.select(runs).where(runs.c.outcome == "unverified", sa.text(_OLD_RUNS)).params(before=before)
            yield from self._unverified(connection, old)
            self.alarmed &= self._delete_runs(connection, before)
            self.n_pings += _delete(connection, "pings", _OLD_PINGS, before=before)
            _delete(connection, "ping_bodies", _WITHOUT_PING)
            _delete(connection, "audit", "at < :before", before=before)
            self._forget_digests(connection, before - NAMED_FOR)

    def _flips_go(self, connection: Connection, gone: dict[int, list[SeenFlip]]) -> Iterator[Fault]:
        if not gone:
            return
        jobs = self.history.jobs
        last = [(jobs[n].row.pid, jobs[n].row.id, found[-1].flip_no) for n, found in gone.items()]
        of_flips = [(jobs[n].row.pid, _key(jobs[n], flip)) for n, found in gone.items() for flip in found]
        for table, columns, rows in (("last", "pid, check_id, flip_no", last), ("keys", "pid, key", of_flips)):
            connection.exec_driver_sql(f"CREATE TEMP TABLE {table} ({columns})")
            connection.exec_driver_sql(f"INSERT INTO temp.{table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        mine = sa.and_(flips.c.pid == _LAST.c.pid, flips.c.check_id == _LAST.c.check_id)
        old = sa.select(flips).join(_LAST, sa.and_(mine, flips.c.flip_no <= _LAST.c.flip_no))
        yield from self._chains(connection.execute(old.order_by(flips.c.check_id, flips.c.flip_no)).all())
        yield from self._incidents_go(connection)
        alert = "temp.keys k JOIN alerts a ON a.pid = k.pid AND a.key = k.key"
        counts: Counter[str] = Counter()
        query = f"SELECT k.key FROM {alert} JOIN notifications n ON n.pid = a.pid AND n.alert_id = a.id"
        counts.update(key for (key,) in connection.exec_driver_sql(query))
        for n, found in gone.items():
            yield from self._told(jobs[n], found, self.history.flips[n], counts)
        self.history.tally["notifications"] += _delete(
            connection, "notifications", f"(pid, alert_id) IN (SELECT a.pid, a.id FROM {alert})"
        )
        _delete(connection, "alerts", "(pid, key) IN (SELECT pid, key FROM temp.keys)")
        _delete(connection, "flips", """EXISTS (SELECT 1 FROM temp.last l WHERE l.pid = flips.pid
            AND l.check_id = flips.check_id AND flips.flip_no <= l.flip_no)""")  # fmt: skip
        for table in ("last", "keys"):
            connection.exec_driver_sql(f"DROP TABLE temp.{table}")

    def _incidents_go(self, connection: Connection) -> Iterator[Fault]:
        kept = _kept(connection)
        over = [key for key, span in self.spans.items() if span[1] is not None]
        yield from _compare({key: kept[key] for key in over if key in kept}, {key: self.spans[key] for key in over})
        jobs = self._jobs
        for check_id, number in over:
            del self.spans[check_id, number]
            values = (jobs[check_id].row.pid, number)
            connection.exec_driver_sql("DELETE FROM incidents WHERE pid = ? AND id = ?", values)
        self.history.tally["incidents"] += len(over)

    def _delete_runs(self, connection: Connection, before: int) -> set[int]:
        """Returns the alarmed ones that stay."""
        _delete(connection, "runs", _OLD_RUNS, before=before)
        _delete(connection, "run_metrics", _WITHOUT_RUN)
        found = connection.execute(sa.select(runs.c.id).where(runs.c.outcome == "unverified"))
        return {run_id for (run_id,) in found}

    # --- the end

    def end(self) -> Iterator[Fault]:
        """All that is left, which stays."""
        with self.history.engine.connect() as connection:
            rows = connection.execute(sa.select(flips).order_by(flips.c.check_id, flips.c.flip_no)).all()
            yield from self._chains(rows)
            yield from self._checks(connection)
            yield from self._blindness(connection)
            kept = _kept(connection)
            self.history.tally["incidents"] += len(kept)
            yield from _compare(kept, self.spans)
            yield from self._read_digests(connection)
            yield from self._unverified(connection, sa.select(runs).where(runs.c.outcome == "unverified"))
            yield from self._outbox(connection)

    # --- the database against itself

    def _chains(self, rows: Sequence[Any]) -> Iterator[Fault]:
        """The flips of each check, one after another; and its down spans, each of which has an incident of its own,
        from the flip that begins it to the flip that ends it, and both name it.
        """
        jobs = self._jobs
        for row in rows:
            job, account = jobs[row.check_id].index, self.accounts[jobs[row.check_id].index]
            number, status = account.n_flips + 1, account.status
            if (row.flip_no, row.from_status) != (number, status) or row.to_status == row.from_status:
                turn = f"{row.from_status} -> {row.to_status}"
                yield Fault(job, f"flip {row.flip_no} ({turn}) does not follow on {number - 1} ({status})")
            account.n_flips, account.status = number, row.to_status
            if row.reason == "missed_twice_unverified":
                self.alarmed.add(row.run_id)
            key = (row.check_id, row.incident_id)
            if row.to_status == "down":
                self.spans[key] = (row.at, None, row.reason, None, False)
            elif row.from_status == "down" and key in self.spans:
                opened_at, _, cause, _, _ = self.spans[key]
                self.spans[key] = (opened_at, row.at, cause, row.reason, row.retracts_flip_no is not None)
            elif row.from_status == "down" or row.incident_id is not None:
                yield Fault(None, f"flip {row.flip_no} of {row.check_id} names the incident {row.incident_id}")

    def _checks(self, connection: Connection) -> Iterator[Fault]:
        open_runs: dict[int, list[Any]] = defaultdict(list)
        for row in connection.execute(sa.select(runs).where(runs.c.outcome.is_(None)).order_by(runs.c.started_at)):
            open_runs[row.check_id].append(run_of(row))
        jobs, n_counted = self._jobs, 0
        for row in connection.execute(sa.select(checks)):
            job = jobs[row.id].index
            account = self.accounts[job]
            if (row.status, row.flip_no) != (account.status, account.n_flips):
                status = account.status
                yield Fault(
                    job, f"it is {row.status} after flip {row.flip_no}, but the last of its flips made it {status}"
                )
            if row.n_pings != account.n_heard:
                yield Fault(job, f"{row.n_pings} pings were counted, {account.n_heard} were answered or stored")
            n_counted += row.n_pings
            yield from _deadlines(self.history, job, check_of(row, tuple(open_runs[row.id])), row.n_open_runs)
        n_stored = self.n_pings + connection.execute(sa.select(sa.func.count()).select_from(pings)).scalar_one()
        n_limited = self.history.machine.n_limited
        if n_counted != n_stored + n_limited:
            yield Fault(None, f"{n_counted} pings, but {n_stored} rows and {n_limited} over the rate limit")

    def _blindness(self, connection: Connection) -> Iterator[Fault]:
        query = sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at).order_by(blind_intervals.c.id)
        stored = sorted((micros(row.from_at), micros(row.to_at)) for row in connection.execute(query))
        true = sorted((deaf.from_at, deaf.to_at) for deaf in self.history.machine.blind)
        if stored != true:
            differ = sorted(set(stored) ^ set(true))[:3]
            yield Fault(None, f"blind intervals differ: {[(str(instant(a)), str(instant(b))) for a, b in differ]}")

    # --- digests

    def _read_digests(self, connection: Connection) -> Iterator[Fault]:
        """Each is read once: nobody changes one."""
        there = connection.execute(sa.select(alerts.c.pid, alerts.c.id).where(alerts.c.kind == "check.unverified"))
        for pid, number in sorted({(pid, number) for pid, number in there} - self.digests.keys()):
            query = sa.select(alerts.c.payload).where(alerts.c.pid == pid, alerts.c.id == number)
            payload = connection.execute(query).scalar_one()
            heard_at = self.digests[pid, number] = _us(payload["blind_to"])
            times = Counter((slot["check_uuid"], slot["expected_at"]) for slot in payload["slots"])
            for (uuid, _), n in times.items():
                if n > 1:
                    yield Fault(None, f"a digest names {uuid} {n} times")
            for slot in payload["slots"]:
                named, began = self.named[slot["check_uuid"]], _us(slot["expected_at"])
                named[began] = max(heard_at, named.get(began, 0))
                self.history.tally["slots named in digests"] += 1

    def _unverified(self, connection: Connection, unverified: sa.Select[Any]) -> Iterator[Fault]:
        """Each unverified slot and run is named in a digest of an interval that touches it."""
        alarmed = sa.select(flips.c.run_id).where(flips.c.reason == "missed_twice_unverified")
        known = self.alarmed | set(connection.execute(alarmed).scalars())
        jobs = self._jobs
        for row in connection.execute(unverified).all():
            if row.id in known:
                continue
            job = jobs[row.check_id]
            self.history.tally["unverified"] += 1
            opened = micros(row.slot_at or row.started_at)
            began = micros(row.started_at or row.slot_at)
            if not {opened, began} & self.named.get(job.row.uuid, {}).keys():
                yield Fault(job.index, f"unverified, but in no digest: {row.slot_at or row.started_at}", 0)

    def _forget_digests(self, connection: Connection, before: int) -> None:
        old = [digest for digest, heard_at in self.digests.items() if heard_at < before]
        for pid, number in old:
            del self.digests[pid, number]
            its = "pid = :pid AND alert_id = :id"
            self.history.tally["notifications"] += _delete(connection, "notifications", its, pid=pid, id=number)
            _delete(connection, "alerts", "pid = :pid AND id = :id", pid=pid, id=number)
        if old:
            for uuid, named in list(self.named.items()):
                self.named[uuid] = {began: heard_at for began, heard_at in named.items() if heard_at >= before}

    # --- the outbox

    def _outbox(self, connection: Connection) -> Iterator[Fault]:
        """One notification for each flip that people hear of and each of the two channels of its project."""
        query = sa.select(alerts.c.key).join(
            notifications, sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id)
        )
        counts = Counter(connection.execute(query).scalars())
        expected: set[str] = set()
        for job in self.history.jobs:
            found = self.history.flips[job.index]
            yield from self._told(job, found, found, counts)
            expected |= {_key(job, flip) for flip in found if _is_told(flip)}
        extra = {key for key in counts if key.startswith("flip:")} - expected
        if extra:
            yield Fault(None, f"told of flips that are none: {sorted(extra)[:3]}")
        self.history.tally["notifications"] += counts.total()

    def _told(
        self, job: Job, judged: Sequence[SeenFlip], found: Sequence[SeenFlip], counts: Counter[str]
    ) -> Iterator[Fault]:
        """`judged`: the first of those that were found."""
        self.n_flips += len(judged)
        for place, flip in enumerate(judged):
            told, times = _is_told(flip), counts.get(_key(job, flip), 0)
            if told and not times and _told_with_next(flip, found[place + 1 : place + 2]):
                continue
            if times != (2 if told else 0):
                yield Fault(job.index, f"flip {flip.flip_no} was told {times} times to 2 channels", flip.step)


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


def _us(text: str) -> int:
    return micros(datetime.fromisoformat(text))


def _key(job: Job, flip: SeenFlip) -> str:
    return f"flip:{job.row.id}:{flip.flip_no}"


def _is_told(flip: SeenFlip) -> bool:
    return flip.to_status in {"down", "degraded"} or (flip.from_status, flip.to_status) in TOLD


def _told_with_next(flip: SeenFlip, after: Sequence[SeenFlip]) -> bool:
    """A failure that was heard of late is told with the recovery that followed, in one message."""
    return flip.to_status == "down" and any(one.step == flip.step and one.from_status == "down" for one in after)


def _kept(connection: Connection) -> dict[tuple[int, int], Span]:
    return {
        (row.source_id, row.id): (row.opened_at, row.closed_at, row.cause, row.ended_by, row.disproved)
        for row in connection.execute(sa.select(incidents))
    }


def _compare(kept: dict[tuple[int, int], Span], true: dict[tuple[int, int], Span]) -> Iterator[Fault]:
    for key in kept.keys() ^ true.keys() | {key for key in kept.keys() & true.keys() if kept[key] != true[key]}:
        yield Fault(None, f"the incident {key} is {kept.get(key)}, its flips say {true.get(key)}")


def _delete(connection: Connection, table: str, where: str, **values: int) -> int:
    return connection.execute(sa.text(f"DELETE FROM {table} WHERE {where}"), values).rowcount
