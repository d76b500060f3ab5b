"""Incidents by cause: with the flips of a batch, members join the cause that explains them, and it ends with the last.

Called after spans.py has opened and closed what these flips begin and end, in their transaction. Which fact explains
what is decided in core/causes.py. A batch of checks without facts costs nothing here: no statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import CauseFacts
from heartfly.core.causes import Begin, Down, Explains, HostLife, Join, explained, waits_for
from heartfly.core.silence import Hold
from heartfly.core.words import IncidentEnd, PingKind, Reason, RunOutcome, Status
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource, public_ids
from heartfly.db.models import check_needs, checks, incidents, runs
from heartfly.db.prepared import Prepared, among
from heartfly.db.types import UtcInstant
from heartfly.incidents.alone import alone
from heartfly.incidents.hosts import Wells, host_number, on_hosts, open_of_hosts
from heartfly.incidents.spans import OF_CHECK, FlipKey, Incident, Turn, are_members
from heartfly.notify.later import tell_as_one
from heartfly.notify.together import take_ended, told_before
from heartfly.notify.upstream import settled_needs, wake_waiting

_REASONS = {Explains.HOST: Reason.HOST, Explains.UPSTREAM: Reason.UPSTREAM}
_WENT_WELL = (RunOutcome.OK.value, RunOutcome.DEGRADED.value)


@dataclass(slots=True)
class Grouped:
    """By flip: the cause of its incident, and what holds its alert. `emptied`: causes of which a member came up."""

    causes: dict[FlipKey, CauseFacts] = field(default_factory=dict)
    waits: dict[FlipKey, Hold] = field(default_factory=dict)
    emptied: set[tuple[int, int]] = field(default_factory=set)


def group(
    tx: Tx,
    turns: Sequence[Turn],
    found: Mapping[FlipKey, Incident],
    *,
    ids: IdSource,
    now: datetime,
    wells: Wells | None = None,
) -> Grouped:
    """Let those that went down join their causes. What follows of those that came up is told by `end_emptied`.

    `wells`: what was learned of hosts in batches before; more is learned here.
    """
    grouped = Grouped()
    last = {turn.check_id: turn for turn in turns}
    fresh = [turn for turn in last.values() if turn.facts is not None and turn.flip.to_status is Status.DOWN]
    left = [(turn, incident) for turn in turns if (incident := _left(turn, found)) is not None]
    linked = [turn for turn in last.values() if turn.facts is not None and turn.facts.linked]
    came_back = {turn.check_id for turn in linked if turn.flip.to_status is not Status.DOWN}
    if came_back:
        wake_waiting(tx, came_back, now=now)
    if not fresh and not left:
        return grouped
    members: dict[FlipKey, tuple[int, int, int]] = {}
    alone(tx, {turn.pid for turn in fresh})
    of_hosts = Wells() if wells is None else wells
    of_projects = {
        pid: _Project(tx, pid, [turn for turn in fresh if turn.pid == pid], ids=ids, now=now, wells=of_hosts)
        for pid in sorted({turn.pid for turn in fresh})
    }
    known = {cause for one in of_projects.values() for cause in one.causes()}
    known |= {incident.part_of for _, incident in left if incident.part_of is not None}
    _lock(tx, {*of_projects, *(turn.pid for turn, _ in left)}, known)
    for pid, project in of_projects.items():
        joined, mine = project.join(), [turn for turn in fresh if turn.pid == pid]
        for turn in mine:
            if turn.check_id in joined:
                members[turn.check_id, turn.flip.flip_no] = (pid, joined[turn.check_id], turn.check_id)
        grouped.waits |= _waits(tx, pid, mine, now)
    for turn, incident in left:
        assert incident.part_of is not None
        members[turn.check_id, turn.flip.flip_no] = (turn.pid, incident.part_of, turn.check_id)
        grouped.emptied.add((turn.pid, incident.part_of))
    grouped.causes = _facts(tx, members)
    return grouped


def _left(turn: Turn, found: Mapping[FlipKey, Incident]) -> Incident | None:
    """The incident that this flip ended, if it was part of a cause."""
    incident = found.get((turn.check_id, turn.flip.flip_no))
    ended = incident is not None and turn.flip.from_status is Status.DOWN and incident.part_of is not None
    return incident if ended else None


def _lock(tx: Tx, pids: Collection[int], causes: Collection[int]) -> None:
    """All that may be joined, or ended, at once and in one order: two nodes would wait for each other."""
    if tx.on_postgres and causes:
        i = incidents.c
        query = sa.select(i.id).where(i.pid.in_(pids), i.id.in_(causes)).order_by(i.id)
        tx.conn.execute(query.with_for_update(key_share=True)).all()


def _waits(tx: Tx, pid: int, fresh: Iterable[Turn], now: datetime) -> dict[FlipKey, Hold]:
    linked = {turn.check_id: turn for turn in fresh if turn.facts is not None and turn.facts.linked}
    needed = settled_needs(tx, {pid}, linked)
    found: dict[FlipKey, Hold] = {}
    for check_id, those in needed.items():
        turn = linked[check_id]
        assert turn.facts is not None
        hold = waits_for(those, turn.facts.grace, at=now)
        if hold is not None:
            found[check_id, turn.flip.flip_no] = hold
    return found


def _facts(tx: Tx, members: Mapping[FlipKey, tuple[int, int, int]]) -> dict[FlipKey, CauseFacts]:
    i = incidents.c
    query = sa.select(i.pid, i.id, i.uuid, i.source_kind, i.source_id, i.source_name).where(
        i.pid.in_({pid for pid, _, _ in members.values()}), i.id.in_({cause for _, cause, _ in members.values()})
    )
    rows = {(row.pid, row.id): row for row in tx.conn.execute(query)} if members else {}
    return {
        key: CauseFacts(
            id=row.id,
            uuid=row.uuid,
            what=row.source_kind,
            name=row.source_name,
            is_root=row.source_kind == Explains.UPSTREAM.value and row.source_id == check_id,
        )
        for key, (pid, cause, check_id) in members.items()
        if (row := rows.get((pid, cause))) is not None
    }


# --- who joins what ----------------------------------------------------------------------------------


class _Project:
    """What goes down in one project, with all that may explain it."""

    def __init__(self, tx: Tx, pid: int, fresh: Sequence[Turn], *, ids: IdSource, now: datetime, wells: Wells) -> None:
        self._tx, self._pid, self._ids, self._now = tx, pid, ids, now
        self._fresh = {turn.check_id: turn for turn in fresh}
        linked = {turn.check_id for turn in fresh if turn.facts is not None and turn.facts.linked}
        self._needs, self._needed_by = self._links(linked)
        hosts = sorted({turn.facts.host for turn in fresh if turn.facts is not None and turn.facts.host})
        related = {*self._fresh, *(other for those in self._needs.values() for other in those)}
        related |= {other for those in self._needed_by.values() for other in those}
        causes = self._open_causes(hosts)
        known = self._known_well(wells)
        # Whoever joins a cause that there is needs no others, and who is not down by its host: of thousands they would
        # be read for each batch.
        asked = [host for host in hosts if host not in causes and host not in known]
        self._rows = self._down(related, asked)
        # Of a host of which one check is down nothing is asked: a net that fails may be a thousand of those.
        n_down = Counter(row.host or row.heard_host for row in self._rows.values())
        several = [host for host in asked if n_down[host] > 1]
        well = self._well_at(several)
        wells.learn(pid, well)
        self._lives = {host: HostLife(well_at=well.get(host)) for host in several}
        self._lives |= {host: HostLife(well_at=at) for host, at in known.items()}
        self._lives |= {host: HostLife(cause=row.id, back_at=self._back_at(host, row)) for host, row in causes.items()}
        self._are_open: dict[int, bool] = {}

    def _known_well(self, wells: Wells) -> dict[str, datetime]:
        """The hosts on which something is known to have gone well since the last of these went down."""
        last: dict[str, datetime] = {}
        for turn in self._fresh.values():
            if turn.facts is not None and turn.facts.host:
                last[turn.facts.host] = max(turn.flip.at, last.get(turn.facts.host, turn.flip.at))
        known = {host: wells.of(self._pid, host) for host in last}
        return {host: at for host, at in known.items() if at is not None and last[host] <= at}

    def causes(self) -> set[int]:
        """Those that one of its checks may join."""
        found = {life.cause for life in self._lives.values()} | {row.part_of for row in self._rows.values()}
        return {cause for cause in found if cause is not None}

    def join(self) -> dict[int, int]:
        """Check id → the incident of its cause, of all that belong to one by now."""
        down = {check: self._as_down(row) for check, row in self._rows.items()}
        joining: dict[int, list[int]] = {}
        for check in sorted(self._fresh, key=lambda check: (down[check].host, check)):  # as on other nodes
            one = down[check]
            if one.cause is not None:
                continue
            found = explained(one, down, self._lives)
            if found is None or (isinstance(found, Join) and not self._is_open(found.cause)):
                continue
            cause = found.cause if isinstance(found, Join) else self._begin(found)
            joining.setdefault(cause, []).extend(found.members)
            for member in found.members:
                down[member] = replace(down[member], cause=cause)
        self._join(joining)
        return {check: one.cause for check, one in down.items() if one.cause is not None}

    def _links(self, check_ids: Collection[int]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        needs: dict[int, list[int]] = {}
        needed: dict[int, list[int]] = {}
        if check_ids:
            n = check_needs.c
            # Each with an index of its own: asked in one SQLite would read all of the project.
            ends = ((n.check_id, needs, "check_id", "needed_id"), (n.needed_id, needed, "needed_id", "check_id"))
            for end, found, one, other in ends:
                for row in self._tx.conn.execute(sa.select(check_needs).where(n.pid == self._pid, end.in_(check_ids))):
                    found.setdefault(getattr(row, one), []).append(getattr(row, other))
        return needs, needed

    def _down(self, related: Collection[int], hosts: Sequence[str]) -> dict[int, Any]:
        c, i = checks.c, incidents.c
        of_check = sa.and_(
            i.pid == c.pid, i.source_kind == sa.literal_column(f"'{OF_CHECK}'"), i.source_id == c.id,
            i.closed_at.is_(None),
        )  # fmt: skip
        query = sa.select(
            i.id, i.source_id, i.source_uuid, i.source_name, i.opened_at, i.part_of, c.host, c.heard_host
        ).join_from(checks, incidents, of_check)
        these = [c.id.in_(related), *(on_hosts(self._pid, hosts) if hosts else ())]
        rows = [row for one in these for row in self._tx.conn.execute(query.where(c.pid == self._pid, one))]
        return {row.source_id: row for row in rows}

    def _as_down(self, row: Any) -> Down:
        turn = self._fresh.get(row.source_id)
        return Down(
            check=row.source_id,
            at=row.opened_at,
            began_at=turn.facts.began_at if turn is not None and turn.facts is not None else row.opened_at,
            host=row.host or row.heard_host,
            needs=tuple(self._needs.get(row.source_id, ())),
            needed_by=tuple(self._needed_by.get(row.source_id, ())),
            cause=row.part_of,
        )

    def _open_causes(self, hosts: Sequence[str]) -> dict[str, Any]:
        return {row.source_name: row for row in open_of_hosts(self._tx, [self._pid], hosts, held=False)}

    def _well(self, hosts: Sequence[str]) -> list[sa.ColumnElement[bool]]:
        """Their checks of which the last run went well: two conditions, as in `on_hosts`."""
        c = checks.c
        well = (c.pid == self._pid, c.last_end_kind == PingKind.SUCCESS.value)
        return [sa.and_(*well, one) for one in on_hosts(self._pid, hosts)]

    def _well_at(self, hosts: Sequence[str]) -> dict[str, datetime]:
        """When something went well last on each of them."""
        found: dict[str, datetime] = {}
        host = sa.case((checks.c.host != "", checks.c.host), else_=checks.c.heard_host).label("host")
        for one in self._well(hosts) if hosts else ():
            query = sa.select(host, sa.func.max(checks.c.last_end_at).label("at")).where(one).group_by(host)
            for row in self._tx.conn.execute(query):
                found[row.host] = max(row.at, found.get(row.host, row.at))
        return found

    def _back_at(self, host: str, cause: Any) -> datetime | None:
        back = [self._first_well(one, cause.opened_at) for one in self._well([host])]
        ends = sa.select(sa.func.min(incidents.c.closed_at)).where(are_members(self._pid, [cause.id]))
        return self._of(min, [*back, ends])

    def _of(self, which: Callable[[list[datetime]], datetime], queries: Sequence[sa.Select[Any]]) -> datetime | None:
        found = [at for query in queries if (at := self._tx.conn.execute(query).scalar()) is not None]
        return which(found) if found else None

    @staticmethod
    def _first_well(are_well: sa.ColumnElement[bool], at: datetime) -> sa.Select[Any]:
        """When the first of these checks went well since then. When it did last is no answer: a job of each minute
        would say for days that the host came back just now, and all that fails meanwhile would be laid to its outage.
        """
        c, r, since = checks.c, runs.c, sa.literal(at, UtcInstant)
        first = (
            sa.select(r.ended_at)
            .where(r.pid == c.pid, r.check_id == c.id, r.at > since, r.outcome.in_(_WENT_WELL))
            .order_by(r.at)
            .limit(1)
            .correlate(checks)
            .scalar_subquery()
        )
        # The run may be gone, or have begun before.
        well_at = sa.func.coalesce(first, c.last_end_at, type_=UtcInstant())
        return sa.select(sa.func.min(well_at, type_=UtcInstant())).where(are_well, c.last_end_at > since)

    def _is_open(self, cause: int) -> bool:
        """Nobody ends it until this transaction does."""
        if cause not in self._are_open:
            i = incidents.c
            query = sa.select(i.id).where(i.pid == self._pid, i.id == cause, i.closed_at.is_(None))
            is_open = self._tx.conn.execute(query.with_for_update(key_share=True)).first() is not None
            self._are_open[cause] = is_open
        return self._are_open[cause]

    def _begin(self, what: Begin) -> int:
        """On another node somebody may begin the same at this very moment: then it is that one."""
        root = self._rows[what.root] if what.root is not None else None
        (uuid,) = public_ids(self._now, 1)
        source_id = host_number(what.host) if root is None else root.source_id
        row = {
            "pid": self._pid,
            "id": self._ids.next(self._now),
            "uuid": uuid,
            "source_kind": what.what.value,
            "source_id": source_id,
            "source_uuid": uuid if root is None else root.source_uuid,
            "source_name": what.host if root is None else root.source_name,
            "explain": _why(what, root),
            "opened_at": min(self._rows[check].opened_at for check in what.members),
            "cause": _REASONS[what.what].value,
            "disproved": False,
        }
        cause: int = self._tx.conn.execute(_beginning(self._tx), row).scalar_one()
        known = {check for check in what.members if check not in self._fresh and check != what.root}
        if known:
            told_before(self._tx, self._pid, cause, {self._rows[check].id for check in known}, now=self._now)
        if what.what is Explains.HOST:
            self._lives[what.host] = HostLife(cause=cause)
        return cause

    def _join(self, joining: Mapping[int, Sequence[int]]) -> None:
        """`joining`: by cause the checks that are its members from now on."""
        i = incidents.c
        of = {cause: [self._rows[check].id for check in members] for cause, members in joining.items()}
        common = {"b_pid": self._pid, "b_at": self._now}
        _JOIN.run(self._tx, [common | {"ids": ids, "b_cause": cause} for cause, ids in of.items()])
        for cause, by in self._taken_care_of(joining).items():
            now = sa.literal(self._now, UtcInstant)
            at = sa.case((i.opened_at > now, i.opened_at), else_=now)
            mine = (i.pid == self._pid, i.id.in_(of[cause]), i.acked_at.is_(None))
            self._tx.conn.execute(sa.update(incidents).where(*mine).values(acked_at=at, acked_by=by))

    def _taken_care_of(self, causes: Collection[int]) -> Mapping[int, str]:
        """By whom: whoever takes care of a cause takes care of who joins it later."""
        i = incidents.c
        query = sa.select(i.id, i.acked_by).where(i.pid == self._pid, i.id.in_(causes), i.acked_at.is_not(None))
        return {row.id: row.acked_by for row in self._tx.conn.execute(query)} if causes else {}


_JOIN = Prepared(
    lambda tx: (
        sa.update(incidents)
        .where(
            incidents.c.pid == sa.bindparam("b_pid"), among(tx, incidents.c.id, "ids"), incidents.c.part_of.is_(None)
        )
        .values(part_of=sa.bindparam("b_cause"), joined_at=sa.bindparam("b_at"))
    )
)


def _beginning(tx: Tx) -> Any:
    """Made once for each kind of database: of a storm, one runs for each host."""
    if tx.dialect.name not in _BEGINNING:
        insert = tx.insert(incidents)
        there_is = insert.on_conflict_do_update(
            index_elements=["pid", "source_kind", "source_id"],
            index_where=sa.text("closed_at IS NULL"),
            set_={"source_name": insert.excluded.source_name},
        )
        _BEGINNING[tx.dialect.name] = there_is.returning(incidents.c.id)
    return _BEGINNING[tx.dialect.name]


_BEGINNING: dict[str, Any] = {}


def _why(what: Begin, root: Any) -> str:
    if root is None:
        return f"Nothing has gone well on host {what.host} since its first check went down, and others did, too."
    return f"“{root.source_name}” is down, and so are checks that need it."


# --- the end -----------------------------------------------------------------------------------------


def end_emptied(tx: Tx, emptied: Collection[tuple[int, int]], *, ids: IdSource, now: datetime) -> None:
    """Close those of these causes that have no open member left, and tell of it whom they were told of as one."""
    i = incidents.c
    ended = []
    for pid, cause in sorted(emptied):
        still = sa.select(i.opened_at).where(i.pid == pid, i.id == cause, i.closed_at.is_(None))
        row = tx.conn.execute(still.with_for_update(key_share=True)).first()
        if row is None:
            continue
        mine = (are_members(pid, [cause]),)
        if tx.conn.execute(sa.select(i.id).where(*mine, i.closed_at.is_(None)).limit(1)).first() is not None:
            continue
        last: datetime = tx.conn.execute(sa.select(sa.func.max(i.closed_at)).where(*mine)).scalar_one() or now
        end = {"closed_at": max(last, row.opened_at), "ended_by": IncidentEnd.RESOLVED.value}
        tx.conn.execute(sa.update(incidents).where(i.pid == pid, i.id == cause).values(end))
        ended += take_ended(tx, pid, cause)
    tell_as_one(tx, ended, now=now, ids=ids)
