"""A batch of pings in one transaction: find the checks, fold each one's pings in order, write what came of it.

The handler that the group commit calls. What a ping does to a check is decided in core/check.py;
who is told, in checks/flips.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from heartfly.checks.create import auto_provision, demand_room
from heartfly.checks.facts import Said
from heartfly.checks.flips import Taken, record
from heartfly.checks.past_figures import known_in
from heartfly.checks.rows import Stored, select_locked, stored
from heartfly.core import coverage
from heartfly.core import metrics as figures
from heartfly.core.check import after_ping, needs_known, needs_past
from heartfly.core.gates import NOTHING, Known
from heartfly.core.values import ELSEWHERE, Order, Signal, Step
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, checks, ping_bodies, pings, projects, run_metrics
from heartfly.db.prepared import Prepared, among
from heartfly.errors import LimitError, NotFoundError
from heartfly.pings.bodies import Bodies
from heartfly.pings.kinds import kind_for
from heartfly.pings.past import Ended, past_of
from heartfly.pings.prune import EVERY, Due, Keep, prune, remove_bodies
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import BySlug, ByUuid, PingOutcome, PingRequest, PingResult


@dataclass(slots=True)
class _Written:
    """Rows gathered while the batch is folded, written at its end."""

    pings: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    prune: list[Due] = field(default_factory=list)
    hosts: dict[tuple[int, int], str] = field(default_factory=dict)
    """Of checks that ran on another machine than before."""
    crowded: dict[int, Stored] = field(default_factory=dict)
    """Checks that said something, and their project has no room left for it."""


@dataclass(slots=True)
class _Batch:
    """What is folded together. `taken`: in order; `of_check`: the same, of each check, by its id."""

    tx: Tx
    ended: Ended
    taken: list[Taken] = field(default_factory=list)
    of_check: dict[int, list[Taken]] = field(default_factory=dict)
    written: _Written = field(default_factory=_Written)


class PingApplier:
    def __init__(
        self,
        *,
        ids: IdSource,
        node_id: int,
        rate: RateLimiter,
        keep: Keep,
        bodies: Bodies | None = None,
        most_checks: int | None = None,
        creating: RateLimiter | None = None,
    ) -> None:
        """`most_checks`, `creating`: how many checks pings may make in a project, and how fast; None: any.

        `bodies`: which are kept; None: all. The ping and its figures are stored in any case.
        """
        self._ids = ids
        self._node_id = node_id
        self._rate = rate
        self._keep = keep
        self._bodies = bodies or Bodies()
        self._most_checks = most_checks
        self._creating = creating

    def apply(self, tx: Tx, items: Sequence[PingRequest]) -> list[PingResult]:
        """One result for each ping, in order. They are folded in the order in which they were received."""
        found = self._find(tx, items)
        results: list[PingResult | None] = [None] * len(items)
        batch = _Batch(tx, Ended(tx, _named(items, found)))
        for index in sorted(range(len(items)), key=lambda i: (items[i].received_at, items[i].seq)):
            request = items[index]
            check = found.get(request.target)
            if isinstance(check, PingResult):
                results[index] = check
            else:
                results[index] = self._fold(batch, check, request)
        written = batch.written
        for (pid, check_id), host in sorted(written.hosts.items()):  # first: a cause may be found by it
            its = sa.update(checks).where(checks.c.pid == pid, checks.c.id == check_id)
            tx.conn.execute(its.values(heard_host=host))
        if written.crowded:
            self._make_room(tx, written)
        if batch.taken:
            record(tx, batch.taken, ids=self._ids, now=max(item.stored_at or item.received_at for item in items))
        _write(tx, written)
        if written.prune:
            for pid, n in prune(tx, written.prune, self._keep).bytes.items():
                self._bodies.add(pid, -n)
        return [result or PingResult(PingOutcome.NOT_FOUND) for result in results]

    # --- one ping

    def _fold(self, batch: _Batch, check: _Target | None, request: PingRequest) -> PingResult:
        if check is None or (check.until is not None and request.received_at >= check.until):
            return PingResult(PingOutcome.NOT_FOUND)
        row = check.stored.row
        kind = kind_for(request, row)
        ends = kind is PingKind.SUCCESS or kind is PingKind.FAIL
        metrics = {**figures.of_body(request.body, end=request.body_end), **request.metrics} if ends else {}
        signal = Signal(
            id=self._ids.next(request.received_at),
            kind=kind,
            order=self._order(request),
            rid=request.rid,
            exit_status=request.exit_status if ends else None,
            metrics=metrics,
            covers=(request.covers or coverage.of_body(request.body, end=request.body_end)) if ends else None,
            source=request.remote,
            took=request.took if ends else None,
        )
        if request.host and request.host != (check.stored.heard_host or row.heard_host):
            batch.written.hosts[check.stored.pid, check.stored.id] = check.stored.heard_host = request.host
        before, tx = check.stored.check, batch.tx
        mine = batch.of_check.setdefault(check.stored.id, [])
        past = past_of(tx, check.stored, signal, mine, batch.ended) if needs_past(before, signal) else None
        known = _known(tx, check.stored, signal, mine) if needs_known(before, signal) else NOTHING
        step = after_ping(before, signal, past=past, known=known)
        check.stored.check = step.check
        said = Said(request.body_end or request.body, metrics, cut=bool(request.body_end))
        mine.append(Taken(check.stored, before, step, said))
        batch.taken.append(mine[-1])
        allowed = self._rate.allows(check.stored.id, request.received_at)
        if allowed or step.flips:
            self._keep_rows(check.stored, request, step, signal, batch.written)
        created, check.created = check.created, False
        return PingResult(
            PingOutcome.CREATED if created else PingOutcome.OK if allowed else PingOutcome.LIMITED,
            check_uuid=row.uuid,
            kind=step.kind,
            flipped_to=step.flips[-1].to_status.value if step.flips else "",
        )

    def _order(self, request: PingRequest) -> Order:
        """One that was kept elsewhere meanwhile has no place among those that came here: its time alone says where."""
        if request.happened_at is None:
            return request.received_at, self._node_id if request.node_id is None else request.node_id, request.seq
        return request.happened_at, ELSEWHERE, request.seq

    def _keep_rows(self, check: Stored, request: PingRequest, step: Step, signal: Signal, written: _Written) -> None:
        n = step.check.n_pings
        run = step.run
        written.pings.append(
            {
                "pid": check.pid,
                "check_id": check.id,
                "n": n,
                "received_at": request.received_at,
                "client_at": request.happened_at or request.client_at,
                "node_id": signal.order[1],
                "seq": request.seq,
                "kind": (step.kind or signal.kind).value,
                "exit_status": request.exit_status,
                "rid": request.rid,
                "run_id": run.id if run is not None else None,
                "method": request.method,
                "scheme": request.scheme,
                "remote": request.remote,
                "agent": request.agent,
                "body_size": request.body_size,
            }
        )
        if request.body and self._bodies.are_kept():
            written.bodies.append({"pid": check.pid, "check_id": check.id, "n": n, "body": request.body})
            self._count(check, len(request.body))
            if self._bodies.is_full(check.pid):
                written.crowded[check.id] = check
        if run is not None and signal.metrics:
            written.metrics += [
                {
                    "pid": check.pid,
                    "check_id": check.id,
                    "name": name,
                    "run_id": run.id,
                    "at": request.received_at,
                    "value": value,
                }
                for name, value in signal.metrics.items()
            ]
        if n % EVERY == 0 and n > self._keep.pings:
            written.prune.append(Due(pid=check.pid, check_id=check.id, n_pings=n, at=request.received_at))

    def _make_room(self, tx: Tx, written: _Written) -> None:
        """Of a check whose project has no room left goes what it said before, twice as much as it says now: a bound
        that was set lower, or passed by several nodes, is reached again.
        """
        said = Counter[int]()
        for one in written.bodies:
            said[one["check_id"]] += len(one["body"])
        for check in written.crowded.values():
            self._count(check, -remove_bodies(tx, check.pid, check.id, 2 * said[check.id]))

    def _count(self, check: Stored, n: int) -> None:
        check.body_bytes += n
        self._bodies.add(check.pid, n)

    # --- which checks are meant

    def _find(self, tx: Tx, items: Sequence[PingRequest]) -> dict[ByUuid | BySlug, _Target | PingResult]:
        found: dict[ByUuid | BySlug, _Target | PingResult] = {}
        by_id: dict[int, Stored] = {}
        uuids = {item.target for item in items if isinstance(item.target, ByUuid)}
        slugs = {item.target: item for item in items if isinstance(item.target, BySlug)}
        if slugs and uuids:
            _lock_all(tx, uuids, slugs)
        if uuids:
            self._find_uuids(tx, uuids, found, by_id)
        if slugs:
            self._find_slugs(tx, slugs, found, by_id)
        return found

    def _find_uuids(
        self,
        tx: Tx,
        targets: Iterable[ByUuid],
        found: dict[ByUuid | BySlug, _Target | PingResult],
        by_id: dict[int, Stored],
    ) -> None:
        keys = [target.ping_uuid for target in targets]
        rows = _CHECKS_AT.rows(tx, keys=keys)
        if tx.on_postgres and (missing := set(keys) - {row.key for row in rows}):
            # While we waited for its row, the check may have moved to another project: a new statement sees it there.
            rows += _CHECKS_AT.rows(tx, keys=sorted(missing))
        for row, one in zip(rows, stored(tx, rows), strict=True):
            # Two addresses of one check (an old URL and its successor) must share one value.
            found[ByUuid(row.key)] = _Target(by_id.setdefault(one.id, one), until=row.address_until)

    def _find_slugs(
        self,
        tx: Tx,
        targets: dict[BySlug, PingRequest],
        found: dict[ByUuid | BySlug, _Target | PingResult],
        by_id: dict[int, Stored],
    ) -> None:
        meant = _projects(tx, targets)
        wanted = {(meant[target.ping_key_hash].pid, target.slug) for target in targets if target.ping_key_hash in meant}
        if not wanted:
            return
        query = select_locked().where(
            checks.c.pid.in_({pid for pid, _ in wanted}), checks.c.slug.in_({slug for _, slug in wanted})
        )
        named: dict[tuple[int, str], list[Stored]] = {}
        for one in stored(tx, tx.conn.execute(query).all()):
            named.setdefault((one.pid, one.row.slug), []).append(one)
        for target, request in targets.items():
            project = meant.get(target.ping_key_hash)
            if project is None:
                continue
            pid, until, creates = project
            matches = named.get((pid, target.slug), [])
            if len(matches) > 1:
                found[target] = PingResult(PingOutcome.AMBIGUOUS)
            elif matches:
                found[target] = _Target(by_id.setdefault(matches[0].id, matches[0]), until=until)
            elif target.create and creates and (until is None or request.received_at < until):
                made = self._made(tx, pid, target.slug, request)
                if isinstance(made, PingResult):
                    found[target] = made
                    continue
                # The same slug without create=1 in this batch finds it from now on.
                named[pid, target.slug] = [made]
                found[target] = _Target(by_id.setdefault(made.id, made), created=True, until=until)

    def _made(self, tx: Tx, pid: int, slug: str, request: PingRequest) -> Stored | PingResult:
        """The check that a ping makes, or why it makes none."""
        if self._creating is not None and not self._creating.allows(pid, request.received_at):
            return PingResult(PingOutcome.TOO_MANY)
        try:
            if self._most_checks is not None:
                demand_room(tx, pid, self._most_checks)
            return auto_provision(tx, pid, slug, remote=request.remote, at=request.received_at, ids=self._ids)
        except LimitError:
            return PingResult(PingOutcome.FULL)
        except NotFoundError:
            # Since its ping key was looked up, somebody has begun to erase the project.
            return PingResult(PingOutcome.NOT_FOUND)


def _named(
    items: Iterable[PingRequest], found: Mapping[ByUuid | BySlug, _Target | PingResult]
) -> Iterator[tuple[Stored, str, datetime]]:
    """The runs that these name: each one's check, its id, and when that came."""
    for item in items:
        check = found.get(item.target)
        if item.rid is not None and isinstance(check, _Target):
            yield check.stored, item.rid, item.happened_at or item.received_at


def _known(tx: Tx, check: Stored, signal: Signal, mine: Iterable[Taken]) -> Known:
    """What history says to its gates, with what came of this batch already."""
    fresh = [(one.step.run, one.said.metrics) for one in mine if one.step.run and one.said]
    return known_in(tx, check.pid, check.id, check.check.rules.gates, at=signal.at, fresh=fresh)


@dataclass(slots=True)
class _Target:
    stored: Stored
    created: bool = False
    until: datetime | None = None


def _lock_all(tx: Tx, uuids: Iterable[ByUuid], slugs: Collection[BySlug]) -> None:
    """In id order, as every writer does: found by address and then by slug, two batches could wait for each other."""
    if not tx.on_postgres:
        return
    at = sa.select(addresses.c.check_id).where(addresses.c.key.in_([target.ping_uuid for target in uuids]))
    pids = {project.pid for project in _projects(tx, slugs).values()}
    named = sa.and_(checks.c.pid.in_(pids), checks.c.slug.in_({target.slug for target in slugs}))
    query = sa.select(checks.c.id).where(sa.or_(checks.c.id.in_(at), named)).order_by(checks.c.id)
    tx.conn.execute(query.with_for_update(key_share=True)).all()


class _Meant(NamedTuple):
    """`until`: of an old key, whose overlap ends then. What comes out of a spool may lie on both sides of that.

    `creates`: a ping may make a check there.
    """

    pid: int
    until: datetime | None = None
    creates: bool = True


def _projects(tx: Tx, targets: Iterable[BySlug]) -> dict[str, _Meant]:
    """Ping key hash → project. An old key counts until its overlap ends."""
    asked = {target.ping_key_hash for target in targets}
    p = projects.c
    query = sa.select(p.id, p.ping_key_hash, p.old_ping_key_hash, p.old_until, p.create_by_ping).where(
        sa.or_(p.ping_key_hash.in_(asked), p.old_ping_key_hash.in_(asked))
    )
    found: dict[str, _Meant] = {}
    for row in tx.conn.execute(query):
        if row.ping_key_hash in asked:
            found[row.ping_key_hash] = _Meant(row.id, creates=row.create_by_ping)
        if row.old_ping_key_hash in asked and row.old_until is not None:
            found.setdefault(row.old_ping_key_hash, _Meant(row.id, row.old_until, row.create_by_ping))
    return found


_CHECKS_AT = Prepared(
    lambda tx: (
        select_locked(addresses.c.key, addresses.c.until.label("address_until"))
        .join_from(addresses, checks, sa.and_(checks.c.pid == addresses.c.pid, checks.c.id == addresses.c.check_id))
        .where(among(tx, addresses.c.key, "keys"))
    )
)
_INSERT_PINGS = Prepared(lambda _: sa.insert(pings))
_INSERT_BODIES = Prepared(lambda _: sa.insert(ping_bodies))


def _upsert_metrics(tx: Tx) -> sa.Insert:
    insert = tx.insert(run_metrics)
    return insert.on_conflict_do_update(
        index_elements=["pid", "check_id", "name", "run_id"],
        set_={"at": insert.excluded.at, "value": insert.excluded.value},
    )


_SAVE_METRICS = Prepared(_upsert_metrics)


def _write(tx: Tx, written: _Written) -> None:
    _INSERT_PINGS.follow(tx, written.pings)
    _INSERT_BODIES.follow(tx, written.bodies)
    _SAVE_METRICS.follow(tx, written.metrics)
