"""Which pings and runs of a check are kept, so that its history is bounded whatever its pace.

Looked at with every hundredth ping of a check only, and then in a piece that no other ping notices; what a piece
leaves over, the next one takes. Checks that do not ping any more are looked at by a job (jobs/retention.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.pieces import MOST_BYTES, within
from heartfly.db.changes import Tx
from heartfly.db.models import checks, flips, ping_bodies, pings, run_metrics, runs
from heartfly.db.prepared import Prepared, among

EVERY = 100
_PIECE = 2 * EVERY
"""Runs, and bodies, that are looked at in one go: more than come meanwhile, so that a backlog shrinks."""
_PINGS = 500
_ANY = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """`pings`: the newest of each check. A run is kept for `run_age`, and longer while its ping is kept; it goes
    sooner when its check had `runs` pings since.
    """

    pings: int
    runs: int
    run_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A check that has had so many pings, the last one at that time."""

    pid: int
    check_id: int
    n_pings: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Pruned:
    pings: int
    bodies: int
    runs: int
    bytes: Mapping[int, int]
    """Of bodies, by project."""
    more: bool
    """There may be."""


def prune(tx: Tx, due: Sequence[Due], keep: Keep) -> Pruned:
    """Of each check one piece; how many rows went."""
    n_pings = n_bodies = n_runs = 0
    n_bytes, more, room = Counter[int](), False, MOST_BYTES
    for one in due:
        last = one.n_pings - keep.pings
        n_gone = _PRUNE_PINGS.run(tx, [{"pid": one.pid, "check_id": one.check_id, "n": last}])
        bodies = _OLDEST_BODIES.rows(tx, pid=one.pid, check_id=one.check_id, until=last)
        light = within(bodies, most=room)
        _remove(tx, one.pid, one.check_id, light)
        size = sum(row.size for row in light)
        n_bytes[one.pid], room = n_bytes[one.pid] + size, room - size
        if size:
            _LESS.run(tx, [{"of_pid": one.pid, "of_id": one.check_id, "size": size}])
        gone = list(_gone_runs(tx, one, keep))
        if gone:
            mine = [{"pid": one.pid, "check_id": one.check_id, "ids": gone}]
            _PRUNE_METRICS.run(tx, mine)
            n_runs += _PRUNE_RUNS.run(tx, mine)
        n_pings, n_bodies = n_pings + n_gone, n_bodies + len(light)
        more = more or bool(gone) or n_gone == _PINGS or len(light) < len(bodies) or len(light) == _PIECE
    return Pruned(n_pings, n_bodies, n_runs, n_bytes, more)


def remove_bodies(tx: Tx, pid: int, check_id: int, wanted: int) -> int:
    """The oldest of a check that the caller has locked, until they were that many bytes; how many they were.

    Its row is the caller's to write. No more than a piece goes: what is too much still, goes with what comes next.
    """
    freed, oldest = 0, list[Any]()
    for row in within(_OLDEST_BODIES.rows(tx, pid=pid, check_id=check_id, until=_ANY)):
        if freed >= wanted:
            break
        freed += row.size
        oldest.append(row)
    _remove(tx, pid, check_id, oldest)
    return freed


def _remove(tx: Tx, pid: int, check_id: int, oldest: Sequence[Any]) -> None:
    if oldest:
        _PRUNE_BODIES.run(tx, [{"pid": pid, "check_id": check_id, "n": oldest[-1].n}])


def recount(tx: Tx, pid: int, check_ids: Sequence[int]) -> None:
    """What the bodies of these checks come to, as they are. None comes meanwhile: their rows are locked first."""
    locked = sa.select(checks.c.id).where(checks.c.pid == pid, checks.c.id.in_(check_ids)).order_by(checks.c.id)
    tx.conn.execute(locked.with_for_update(key_share=True)).all()
    size = sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(ping_bodies.c.body)), 0))
    size = size.where(ping_bodies.c.pid == checks.c.pid, ping_bodies.c.check_id == checks.c.id)
    wrong = checks.c.body_bytes != size.scalar_subquery()
    its = sa.update(checks).where(checks.c.pid == pid, checks.c.id.in_(check_ids), wrong)
    tx.conn.execute(its.values(body_bytes=size.scalar_subquery()))


def _gone_runs(tx: Tx, one: Due, keep: Keep) -> Iterator[int]:
    too_old = one.at - keep.run_age
    kept_from, most_from = one.n_pings - keep.pings, one.n_pings - max(keep.pings, keep.runs)
    until = too_old if most_from <= 0 else one.at
    found = _OLDEST_RUNS.rows(tx, pid=one.pid, check_id=one.check_id, until=until)
    # A missed slot has no ping: it goes with those that are newer than it.
    beyond = max((place for place, run in enumerate(found) if run.ping_n and run.ping_n <= most_from), default=-1)
    for place, run in enumerate(found):
        aged = run.at < too_old and (run.ping_n or 0) <= kept_from
        many = place <= beyond and (run.ping_n or 0) <= most_from
        if aged or many:
            yield run.id


def _of_check(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.pid == sa.bindparam("pid"), table.c.check_id == sa.bindparam("check_id")


def _oldest_runs(_: Tx) -> sa.Select[Any]:
    """But for runs under way, and the one by which the check got its status: it is the reason that people are shown,
    and its end may have been held up. Whatever else past.py asks for is younger than what goes.
    """
    own = sa.select(flips.c.run_id).where(*_of_check(flips)).order_by(flips.c.flip_no.desc()).limit(1)
    return (
        sa.select(runs.c.id, runs.c.at, runs.c.ping_n)
        .where(
            *_of_check(runs),
            runs.c.at < sa.bindparam("until", type_=runs.c.at.type),
            runs.c.outcome.is_not(None),
            runs.c.id.is_distinct_from(own.scalar_subquery()),
        )
        .order_by(runs.c.at)
        .limit(_PIECE)
    )


_OLDEST_RUNS = Prepared(_oldest_runs)


def _prune_pings(_: Tx) -> sa.Delete:
    """Of those up to that one the first few: who keeps fewer from now on has many to remove."""
    first = sa.select(sa.func.min(pings.c.n)).where(*_of_check(pings)).scalar_subquery()
    return sa.delete(pings).where(*_of_check(pings), pings.c.n <= sa.bindparam("n"), pings.c.n < first + _PINGS)


_PRUNE_PINGS = Prepared(_prune_pings)
_PRUNE_BODIES = Prepared(
    lambda _: sa.delete(ping_bodies).where(*_of_check(ping_bodies), ping_bodies.c.n <= sa.bindparam("n"))
)
_OLDEST_BODIES = Prepared(
    lambda _: (
        sa.select(ping_bodies.c.n, sa.func.length(ping_bodies.c.body).label("size"))
        .where(*_of_check(ping_bodies), ping_bodies.c.n <= sa.bindparam("until"))
        .order_by(ping_bodies.c.n)
        .limit(_PIECE)
    )
)
_LESS = Prepared(
    lambda _: (
        sa.update(checks)
        .where(checks.c.pid == sa.bindparam("of_pid"), checks.c.id == sa.bindparam("of_id"))
        .values(body_bytes=checks.c.body_bytes - sa.bindparam("size"))
    )
)
_PRUNE_RUNS = Prepared(lambda tx: sa.delete(runs).where(*_of_check(runs), among(tx, runs.c.id, "ids")))
_PRUNE_METRICS = Prepared(
    lambda tx: sa.delete(run_metrics).where(*_of_check(run_metrics), among(tx, run_metrics.c.run_id, "ids"))
)
