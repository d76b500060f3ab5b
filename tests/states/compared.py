"""Is the database what it must be? Each row that a step may have written, against the second telling and one another.

Raises AssertionError with one sentence: what is, and what should be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from heartfly.checks.rows import check_of
from heartfly.db.changes import Tx
from heartfly.db.models import alerts, audit, blind_intervals, checks, flips, incidents, notifications, pings, runs
from heartfly.db.types import micros
from tests.simulator.audit import TOLD
from tests.states.house import N_CHANNELS, House
from tests.states.told import START, Hearers, Watched, when

_START = micros(START)
_FLIPS = sa.select(flips).order_by(flips.c.check_id, flips.c.flip_no)
_OPEN = sa.select(runs.c.check_id, runs.c.rid, runs.c.started_at).where(runs.c.outcome.is_(None))
_TELLINGS = sa.select(alerts.c.key).join(
    notifications, sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id)
)
_BLIND = sa.select(blind_intervals.c.from_at, blind_intervals.c.to_at)
Flip = tuple[str, str, int, str]


def compare(house: House, every: Sequence[Watched], hearers: Hearers, n_acts: int) -> None:
    """`every`: those that are gone, too. `n_acts`: what people did that changed something."""
    house.read(lambda tx: _compare(tx, every, hearers, n_acts))


def _compare(tx: Tx, every: Sequence[Watched], hearers: Hearers, n_acts: int) -> None:
    rows = {row.id: row for row in tx.conn.execute(sa.select(checks))}
    seen: dict[int, list[Any]] = {one.row.id: [] for one in every}
    for row in tx.conn.execute(_FLIPS):
        seen[row.check_id].append(row)
    open_runs: dict[int, list[tuple[int, str]]] = {check_id: [] for check_id in seen}
    for row in tx.conn.execute(_OPEN):
        open_runs[row.check_id].append((_us(row.started_at), row.rid or ""))
    told = Counter(tx.conn.execute(_TELLINGS).scalars())
    spans = {row.id: row for row in tx.conn.execute(sa.select(incidents))}
    for one in every:
        found = seen[one.row.id]
        _chain(one, found)
        _flips(one, [_flip(row) for row in found])
        _incidents(one, found, spans)
        for row in found:
            _told(one, row, told.pop(f"flip:{one.row.id}:{row.flip_no}", 0))
        if one.gone_at is not None:
            assert one.row.id not in rows, f"{one.name} was deleted, and is there"
        else:
            _status(one, rows[one.row.id], sorted(open_runs[one.row.id]))
    left = [key for key in told if key.startswith("flip:")]
    assert not left, f"told of flips that are none: {left}"
    assert not spans, f"incidents that no flip names: {list(spans)}"
    counted = _count(tx, pings)
    heard = sum(one.n_pings for one in every)
    assert heard == counted, f"{heard} pings were answered with 200, {counted} are there"
    audited = _count(tx, audit)
    assert n_acts == audited, f"people did {n_acts} things, the audit has {audited}"
    stored = sorted((_us(row.from_at), _us(row.to_at)) for row in tx.conn.execute(_BLIND))
    true = sorted(hearers.blind)
    assert true == stored, f"nobody heard {_spans(true)}, the database has {_spans(stored)}"


def _chain(one: Watched, found: Sequence[Any]) -> None:
    status = "new"
    for number, row in enumerate(found, start=1):
        turn = f"flip {row.flip_no} ({row.from_status} -> {row.to_status})"
        assert (number, status) == (row.flip_no, row.from_status), f"{one.name}: {turn} does not follow on {status}"
        assert row.to_status != status, f"{one.name}: {turn} is none"
        status = row.to_status


def _flips(one: Watched, found: Sequence[Flip]) -> None:
    must = one.life.flips
    for number, flip in enumerate(must):
        there = found[number] if number < len(found) else None
        seen = "nothing" if there is None else _words(there)
        assert flip == there, f"{one.name}: there should be {_words(flip)}, not {seen}"
    assert len(found) == len(must), f"{one.name}: {_words(found[len(must)])} should not be"
    for flip in found[one.n_read :]:
        _contradicts_no_ping(one, flip)
    one.n_read = len(found)


def _contradicts_no_ping(one: Watched, flip: Flip) -> None:
    """Told without the oracle: who reported within the grace before a deadline has not missed it."""
    _, to, at, reason = flip
    if to == "down" and reason == "missed" and one.life.rules.early is None:
        since = at - one.life.rules.grace
        heard = [end for end in one.acknowledged if since <= end <= at]
        assert not heard, f"{one.name} is told as down at {when(at)}, but reported at {when(heard[0])}"


def _incidents(one: Watched, found: Sequence[Any], spans: dict[int, Any]) -> None:
    """One for each span in which it was down; both its flips name it."""
    opened: Any = None
    for row in found:
        if row.to_status == "down":
            opened = spans.pop(row.incident_id, None)
            assert opened is not None, f"{one.name}: flip {row.flip_no} has no incident of its own"
            assert opened.opened_at == row.at, f"{one.name}: its incident was opened at another time"
        elif row.from_status == "down":
            assert (opened.id, opened.closed_at) == (row.incident_id, row.at), f"{one.name}: its incident goes on"
            opened = None
        else:
            assert row.incident_id is None, f"{one.name}: flip {row.flip_no} names an incident"
    if opened is not None:
        closed = None if opened.closed_at is None else _us(opened.closed_at)
        ends = None if one.gone_at is None else max(one.gone_at, _us(opened.opened_at))
        assert ends == closed, f"{one.name}: its incident ended at {closed}, it was deleted at {ends}"


def _told(one: Watched, row: Any, times: int) -> None:
    tells = row.to_status in {"down", "degraded"} or (row.from_status, row.to_status) in TOLD
    must = N_CHANNELS if tells else 0
    assert must == times, f"{one.name}: flip {row.flip_no} was told {times} times to {N_CHANNELS} channels"


def _status(one: Watched, row: Any, open_runs: Sequence[tuple[int, str]]) -> None:
    life, check = one.life, check_of(row, ())
    for what, must, there in (
        ("status", life.status, row.status),
        ("since", life.since, _us(row.status_since)),
        ("flips", len(life.flips), row.flip_no),
        ("pings", one.n_pings, row.n_pings),
        ("goes down at", life.goes_down(), _us(row.goes_down_at)),
        ("wakes at", life.wakes(), _us(row.wake_at)),
        ("unverified in a row", life.unverified, row.unverified_in_row),
        ("open runs", sorted((began, key[0] or "") for key, began in life.runs.items()), list(open_runs)),
        ("counted open runs", len(life.runs), row.n_open_runs),
        ("failures and successes in a row", (life.row, life.well), (check.memory.bad, check.memory.good)),
        ("recent", "".join("." if well else "x" for well in life.recent), check.memory.recent),
    ):
        assert must == there, f"{one.name}: {what} is {there}, and should be {must}"
    if life.status in {"up", "degraded"}:
        assert life.slot == _us(row.expected_at), f"{one.name} is expected at {_us(row.expected_at)}, not {life.slot}"


def _count(tx: Tx, table: sa.Table) -> int:
    return int(tx.conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _us(at: Any) -> Any:
    return None if at is None else micros(at) - _START


def _flip(row: Any) -> Flip:
    return row.from_status, row.to_status, _us(row.at), "fail" if row.reason == "exit_status" else row.reason


def _words(flip: Flip) -> str:
    return f"{flip[0]} -> {flip[1]} ({flip[3]}) at {when(flip[2])}"


def _spans(spans: Sequence[tuple[int, int]]) -> list[str]:
    return [f"{when(since)} to {when(to)}" for since, to in spans]
