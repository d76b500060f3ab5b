"""From a row of `checks` to the value that core/check.py judges, and back.

The only place that knows both. Nothing is decided here. Rows are locked as they are read, in the
order of their ids, so that two transactions can never wait for one another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Insert, Row, Select

from heartfly.checks.config import CheckConfig
from heartfly.core import schedule as schedules
from heartfly.core.bounds import NO_BOUNDS, Bounds
from heartfly.core.coverage import Span
from heartfly.core.gates import Gate
from heartfly.core.schedule import Dialect, Kind, Schedule
from heartfly.core.tolerance import NO_TOLERANCE, NOTHING_KEPT, Memory, Tolerance
from heartfly.core.values import Check, NextAfter, Rules, Run, replace
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from heartfly.db.changes import Tx
from heartfly.db.models import checks, pings, runs
from heartfly.db.prepared import Prepared, among
from heartfly.errors import InvalidValueError

_STATUS = {word.value: word for word in Status}
_REASON = {word.value: word for word in Reason}
_KIND = {word.value: word for word in PingKind}
_OUTCOME = {word.value: word for word in RunOutcome}
_READ_MEMORY = msgspec.json.Decoder(Memory)
_WRITE = msgspec.json.Encoder()
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Stored:
    """A check as it was read, and as it is now; `save` writes what differs."""

    row: Any
    """A row of `checks`, its columns by name."""
    check: Check
    pid: int
    id: int
    heard_host: str = ""
    """Of a check that ran on another host than its row says: the one that its ping names."""
    body_bytes: int = 0  # of what its pings said


def host_of(stored: Stored) -> str:
    """On which it runs: what somebody has set counts, else what its newest ping says."""
    return str(stored.row.host or stored.heard_host or stored.row.heard_host)


def select_locked(*columns: Any) -> Select[Any]:
    """A select of whole checks that locks them, in id order; more columns may stand before."""
    return sa.select(*columns, checks).order_by(checks.c.id).with_for_update(key_share=True, of=checks)


def one(tx: Tx, pid: int, check_id: int) -> Stored | None:
    found = load(tx, select_locked().where(checks.c.pid == pid, checks.c.id == check_id))
    return found[0] if found else None


def load(tx: Tx, query: Select[Any]) -> list[Stored]:
    """Run a query made by `select_locked`; open runs come along."""
    return stored(tx, tx.conn.execute(query).all())


def stored(tx: Tx, rows: Sequence[Any]) -> list[Stored]:
    open_runs = _open_runs(tx, [row for row in rows if row.n_open_runs])
    return [Stored(row, check_of(row, open_runs.get(row.id, ())), row.pid, row.id, "", row.body_bytes) for row in rows]


def _open_runs(tx: Tx, rows: Collection[Any]) -> dict[int, tuple[Run, ...]]:
    if not rows:
        return {}
    found: dict[int, list[Run]] = {}
    for row in _OPEN_RUNS.rows(tx, pids=list({row.pid for row in rows}), ids=list({row.id for row in rows})):
        run = run_of(row)
        if row.node_id is not None:
            # By its place, an end is known to be later also if the clock was set back since. On SQLite, where one
            # process follows another, whoever hears of a run that another life began comes after it.
            run = replace(run, order=(row.started_at if tx.on_postgres else _LONG_AGO, row.node_id, row.seq))
        found.setdefault(row.check_id, []).append(run)
    return {check_id: tuple(open_runs) for check_id, open_runs in found.items()}


def _select_open_runs(tx: Tx) -> Select[Any]:
    """By their index, or SQLite would read all runs of the check, of which there may be 150,000, at each ping."""
    of_start = sa.and_(pings.c.pid == runs.c.pid, pings.c.check_id == runs.c.check_id, pings.c.n == runs.c.ping_n)
    return (
        sa.select(runs, pings.c.node_id, pings.c.seq)
        .join(pings, of_start, isouter=True)
        .where(among(tx, runs.c.pid, "pids"), among(tx, runs.c.check_id, "ids"), runs.c.outcome.is_(None))
        .order_by(runs.c.check_id, runs.c.started_at)
        .with_hint(runs, "INDEXED BY ix_runs_open", "sqlite")
    )


_OPEN_RUNS = Prepared(_select_open_runs)


def run_of(row: Any) -> Run:
    return Run(
        id=row.id,
        rid=row.rid,
        started_at=row.started_at,
        ended_at=row.ended_at,
        slot_at=row.slot_at,
        outcome=_OUTCOME[row.outcome] if row.outcome else None,
        exit_status=row.exit_status,
        duration=None if row.duration_us is None else timedelta(microseconds=row.duration_us),
        ping_n=row.ping_n,
        covers=None if row.covers_from is None else Span(row.covers_from, row.covers_to),
        progress_at=row.progress_at,
        reason=_REASON[row.reason] if row.reason else None,
        tolerated=row.tolerated or "",
    )


def check_of(row: Row[Any], open_runs: tuple[Run, ...] = ()) -> Check:
    return Check(
        rules=rules_of(row),
        status=_STATUS[row.status],
        status_since=row.status_since,
        status_reason=_REASON[row.status_reason] if row.status_reason else None,
        rev=row.rev,
        flip_no=row.flip_no,
        n_pings=row.n_pings,
        last_ping_at=row.last_ping_at,
        last_kind=_KIND[row.last_kind] if row.last_kind else None,
        last_duration=None if row.last_duration_us is None else timedelta(microseconds=row.last_duration_us),
        last_end=None if row.last_end_at is None else (row.last_end_at, row.last_end_node, row.last_end_seq),
        last_end_kind=_KIND[row.last_end_kind] if row.last_end_kind else None,
        anchor_at=row.anchor_at,
        expected_at=row.expected_at,
        goes_down_at=row.goes_down_at,
        wake_at=row.wake_at,
        late_told_at=row.late_told_at,
        unverified_in_row=row.unverified_in_row,
        schedule_error_at=row.schedule_error_at,
        schedule_error=row.schedule_error,
        open_runs=open_runs,
        memory=_READ_MEMORY.decode(row.memory) if row.memory else NOTHING_KEPT,
    )


def life_of(check: Check) -> dict[str, Any]:
    """The columns that core/check.py decides, by name."""
    return {
        "status": check.status.value,
        "status_since": check.status_since,
        "status_reason": check.status_reason.value if check.status_reason else None,
        "rev": check.rev,
        "flip_no": check.flip_no,
        "n_pings": check.n_pings,
        "n_open_runs": len(check.open_runs),
        "last_ping_at": check.last_ping_at,
        "last_kind": check.last_kind.value if check.last_kind else None,
        "last_duration_us": _us(check.last_duration),
        "last_end_at": check.last_end[0] if check.last_end else None,
        "last_end_node": check.last_end[1] if check.last_end else 0,
        "last_end_seq": check.last_end[2] if check.last_end else 0,
        "last_end_kind": check.last_end_kind.value if check.last_end_kind else None,
        "anchor_at": check.anchor_at,
        "expected_at": check.expected_at,
        "goes_down_at": check.goes_down_at,
        "wake_at": check.wake_at,
        "late_told_at": check.late_told_at,
        "unverified_in_row": check.unverified_in_row,
        "schedule_error_at": check.schedule_error_at,
        "schedule_error": check.schedule_error,
        "memory": "" if check.memory == NOTHING_KEPT else _WRITE.encode(check.memory).decode(),
    }


_LIFE = (
    "status",
    "status_since",
    "status_reason",
    "rev",
    "flip_no",
    "n_pings",
    "n_open_runs",
    "last_ping_at",
    "last_kind",
    "last_duration_us",
    "last_end_at",
    "last_end_node",
    "last_end_seq",
    "last_end_kind",
    "anchor_at",
    "expected_at",
    "goes_down_at",
    "wake_at",
    "late_told_at",
    "unverified_in_row",
    "schedule_error_at",
    "schedule_error",
    "memory",
)

_RARE = (
    *("status", "status_since", "status_reason", "flip_no", "n_open_runs"),
    *("late_told_at", "unverified_in_row", "schedule_error_at", "schedule_error", "memory"),
)
"""What an ordinary success leaves as it is."""
_rare_before, _rare_after = attrgetter(*_RARE), itemgetter(*_RARE)

_HEARD = (
    *("n_pings", "last_ping_at", "last_kind", "last_duration_us"),
    *("last_end_at", "last_end_node", "last_end_seq", "last_end_kind", "anchor_at"),
)
"""What silence leaves as it is, but for time that we could not hear."""
_heard_before, _heard_after = attrgetter(*_HEARD), itemgetter(*_HEARD)


def _update(names: Iterable[str]) -> Prepared:
    return Prepared(
        lambda _: (
            sa.update(checks)
            .where(checks.c.pid == sa.bindparam("b_pid"), checks.c.id == sa.bindparam("b_id"))
            .values({name: sa.bindparam(name) for name in names})
        ),
        apart=True,
    )


_UPDATE = _update((*_LIFE, "body_bytes"))
# SQLite writes the entry of an index anew even if its columns get the values that they have: a page for each ping.
_UPDATE_STEADY = _update([*(name for name in _LIFE if name not in _RARE), "body_bytes"])
_UPDATE_SILENT = _update([name for name in _LIFE if name not in _HEARD])


def _upsert_runs(tx: Tx) -> Insert:
    insert = tx.insert(runs)
    changed = {
        name: insert.excluded[name]
        for name in (
            "started_at",
            "ended_at",
            "slot_at",
            "outcome",
            "exit_status",
            "duration_us",
            "ping_n",
            "covers_from",
            "covers_to",
            "progress_at",
            "reason",
            "tolerated",
        )
    }
    return insert.on_conflict_do_update(index_elements=["pid", "check_id", "id"], set_=changed)


_SAVE_RUNS = Prepared(_upsert_runs, apart=True)


def save(tx: Tx, changed: Iterable[Stored]) -> None:
    """Write the life of each check, and say when the nearest must be looked at again."""
    whole: list[dict[str, Any]] = []
    steady: list[dict[str, Any]] = []
    silent: list[dict[str, Any]] = []
    for one_check in changed:
        row, life = one_check.row, life_of(one_check.check)
        life["b_pid"], life["b_id"], life["body_bytes"] = one_check.pid, one_check.id, one_check.body_bytes
        if _rare_after(life) == _rare_before(row):
            steady.append(life)
        else:
            (silent if _heard_after(life) == _heard_before(row) else whole).append(life)
        tx.changes.wake(one_check.check.wake_at)
    _UPDATE.follow(tx, whole)
    _UPDATE_STEADY.follow(tx, steady)
    _UPDATE_SILENT.follow(tx, silent)


def save_runs(tx: Tx, found: Iterable[tuple[Stored, Run]]) -> None:
    """Insert or replace runs, each once, as it is after the last of its changes. In order, by their first: a superseded
    run is closed before the next one opens.
    """
    last: dict[tuple[int, int], dict[str, Any]] = {}
    for one_check, run in found:
        values = run_values(one_check, run)
        if (first := last.get((one_check.id, run.id))) is not None:
            values["at"] = first["at"]  # where it is listed stays, whatever is learned of it
        last[one_check.id, run.id] = values
    _SAVE_RUNS.follow(tx, list(last.values()))


def run_values(one_check: Stored, run: Run) -> dict[str, Any]:
    return {
        "pid": one_check.pid,
        "check_id": one_check.id,
        "id": run.id,
        "rid": run.rid,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "slot_at": run.slot_at,
        "at": run.started_at or run.ended_at or run.slot_at,
        "outcome": run.outcome.value if run.outcome else None,
        "exit_status": run.exit_status,
        "duration_us": _us(run.duration),
        "ping_n": run.ping_n,
        "covers_from": run.covers.from_at if run.covers else None,
        "covers_to": run.covers.to_at if run.covers else None,
        "progress_at": run.progress_at,
        "reason": run.reason.value if run.reason else None,
        "tolerated": run.tolerated or None,
    }


def _us(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(microseconds=1)


# --- rules -------------------------------------------------------------------------------------------


Timing = tuple[str, int, str, str, str]
"""(kind, period_s, expression, zone, dialect), as stored."""


def rules_of(row: Row[Any]) -> Rules:
    timing = (row.kind, row.period_s, row.expression, row.zone, row.dialect)
    said = (row.gates, row.tolerance, row.bounds)
    return _rules(
        timing, row.grace_s, row.max_run_s, said, sticky=row.sticky, deaf_is_down=row.unverified_is_down,
        wants_late=row.wants_late,
    )  # fmt: skip


def rules_of_config(config: CheckConfig) -> Rules:
    """As if the check were so. Nobody hears of lateness."""
    timing = (config.kind, config.period_s, config.expression, config.zone, config.dialect)
    said = (config.gates, config.tolerance, config.bounds)
    return _rules(
        timing, config.grace_s, config.max_run_s, said, sticky=config.sticky, deaf_is_down=config.unverified_is_down,
        wants_late=False,
    )  # fmt: skip


@lru_cache(maxsize=16_384)
def _rules(
    timing: Timing,
    grace_s: int,
    max_run_s: int | None,
    said: tuple[str, str, str],
    *,
    sticky: bool,
    deaf_is_down: bool,
    wants_late: bool,
) -> Rules:
    gates, tolerance, bounds = said
    return Rules(
        next_after=_next_after(timing),
        grace=timedelta(seconds=grace_s),
        max_run=None if max_run_s is None else timedelta(seconds=max_run_s),
        gates=tuple(msgspec.json.decode(gates, type=list[Gate])) if gates else (),
        tolerance=msgspec.json.decode(tolerance, type=Tolerance) if tolerance else NO_TOLERANCE,
        bounds=msgspec.json.decode(bounds, type=Bounds) if bounds else NO_BOUNDS,
        zone=timing[3],
        sticky=sticky,
        unverified_is_down=deaf_is_down,
        wants_late=wants_late,
    )


@lru_cache(maxsize=16_384)
def schedule_of(timing: Timing) -> Schedule:
    kind, period_s, expression, zone, dialect = timing
    return schedules.parse(
        Kind(kind),
        period=timedelta(seconds=period_s),
        expression=expression,
        zone=zone,
        dialect=Dialect(dialect),
    )


@lru_cache(maxsize=16_384)
def _next_after(timing: Timing) -> NextAfter:
    try:
        schedule = schedule_of(timing)
    except (InvalidValueError, ValueError) as error:
        # It was good when it was stored: a zone may have left the tz database. The check shows a schedule error.
        return partial(_raise, str(error))
    return lambda instant, anchor: schedules.next_after(schedule, instant, anchor=anchor)


def _raise(message: str, _instant: datetime, _anchor: datetime) -> datetime | None:
    raise ValueError(message)
