"""Incidents follow on flips: one that begins a down span opens an incident, the one that ends the span closes it.

Called with the flips of a batch, in their transaction and under the locks of their checks. Why a check
flips is decided in core/check.py. A batch without such a flip costs nothing here: no statement.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.causes import Explains
from heartfly.core.values import Flip
from heartfly.core.words import Reason, Status
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource, public_ids
from heartfly.db.models import checks, incidents
from heartfly.db.prepared import Prepared, among

OF_CHECK = "check"
"""What flips are of. Other kinds of source are raised.py's."""
KINDS = tuple(what.value for what in Explains)
"""What incidents of causes are of; see causes.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A flip that begins or ends a down span. `explain`: why it began, in a sentence or two."""

    pid: int
    check_id: int
    check_uuid: str
    check_name: str
    flip: Flip
    explain: str
    facts: Facts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of a check that has any: what may explain that it is down. `began_at`: when a run was expected, or it failed."""

    host: str
    linked: bool
    began_at: datetime
    grace: timedelta


@dataclass(frozen=True, slots=True)
class Incident:
    """`part_of`: the incident of the cause that it belonged to before this transaction."""

    id: int
    uuid: str
    part_of: int | None = None


FlipKey = tuple[int, int]
"""(check_id, flip_no)"""


def touches_down(flip: Flip) -> bool:
    return flip.to_status is Status.DOWN or flip.from_status is Status.DOWN


def follow(tx: Tx, turns: Sequence[Turn], *, ids: IdSource, now: datetime) -> Mapping[FlipKey, Incident]:
    """Open and close what these flips, given in order, begin and end. Tells which incident each belongs to.

    A check that went down before there were incidents may have none to close. One that was left open by a version
    that knew nothing of them ends where the next begins.
    """
    if not turns:
        return {}
    current = _open(tx, turns)
    ended: list[Span] = []
    begun: list[Span] = []
    found: dict[FlipKey, Incident] = {}
    uuids = iter(public_ids(now, len(turns)))
    for turn in turns:
        key, span = (turn.check_id, turn.flip.flip_no), current.pop(turn.check_id, None)
        if span is not None:
            span.end(turn.flip)
            if span.turn is None:
                ended.append(span)
            if turn.flip.from_status is Status.DOWN:
                found[key] = span.incident
        if turn.flip.to_status is Status.DOWN:
            span = Span(turn.pid, Incident(ids.next(now), next(uuids)), turn.flip.at, turn)
            current[turn.check_id] = span
            begun.append(span)
            found[key] = span.incident
    _CLOSE.follow(tx, [span.closing_row() for span in ended])  # first: of a check only one may be open
    _INSERT.follow(tx, [span.whole_row(span.turn) for span in begun if span.turn is not None])
    return found


def which_are_open(tx: Tx, found: Sequence[tuple[int, int]]) -> set[int]:
    """Those of these checks, given as (project, check), that have an open incident."""
    rows = _OPEN.rows(tx, pids=list({pid for pid, _ in found}), ids=[check_id for _, check_id in found])
    return {row.source_id for row in rows}


def open_many(
    tx: Tx,
    *,
    pids: Sequence[int],
    check_ids: Sequence[int],
    uuids: Sequence[str],
    names: Sequence[str],
    opened: Sequence[Any],
    explain: Sequence[str],
    causes: Mapping[str, Sequence[Any]],
    cause: Reason,
    ids: IdSource,
    now: datetime,
) -> list[Incident]:
    """As `follow`, for many checks that go down for the same reason and have no open incident: each opens one.

    All are columns, a value for each check. `opened`: instants as the driver has them. `causes`: what fallen.py says of
    them; empty: nothing explains any.
    """
    n = len(check_ids)
    begun = list(map(Incident, ids.several(now, n), public_ids(now, n)))
    each = {
        "pid": pids,
        "id": [one.id for one in begun],
        "uuid": [one.uuid for one in begun],
        "source_id": check_ids,
        "source_uuid": uuids,
        "source_name": names,
        "explain": explain,
        "opened_at": opened,
        **causes,
    }
    _INSERT.fill(tx, n, each=each, same=_AS_IT_OPENS | {"cause": cause.value})
    return begun


_AS_IT_OPENS: dict[str, Any] = {
    "source_kind": OF_CHECK,
    "closed_at": None,
    "ended_by": None,
    "disproved": False,
    "acked_at": None,
    "acked_by": None,
    "alert_key": None,
    "part_of": None,
    "joined_at": None,
}


def are_members(pid: int, causes: Collection[int]) -> sa.ColumnElement[bool]:
    """Of incidents: that one of these causes explains them. By their ids, or SQLite would read all of the project."""
    ids = sa.select(_MEMBER.c.id).where(_MEMBER.c.pid == pid, _MEMBER.c.part_of.in_(causes))
    return sa.and_(incidents.c.pid == pid, incidents.c.id.in_(ids))


_MEMBER = incidents.alias()


@dataclass(slots=True)
class Span:
    """`turn` None: it began in an earlier transaction."""

    pid: int
    incident: Incident
    opened_at: datetime
    turn: Turn | None = None
    closed_at: datetime | None = None
    ended_by: str | None = None
    disproved: bool = False

    def end(self, flip: Flip) -> None:
        self.closed_at = max(flip.at, self.opened_at)
        self.ended_by = flip.reason.value if flip.from_status is Status.DOWN else None
        self.disproved = flip.retracts_flip_no is not None

    def closing_row(self) -> dict[str, Any]:
        return {
            "b_pid": self.pid,
            "b_id": self.incident.id,
            "closed_at": self.closed_at,
            "ended_by": self.ended_by,
            "disproved": self.disproved,
        }

    def whole_row(self, turn: Turn) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "id": self.incident.id,
            "uuid": self.incident.uuid,
            "source_kind": OF_CHECK,
            "source_id": turn.check_id,
            "source_uuid": turn.check_uuid,
            "source_name": turn.check_name,
            "explain": turn.explain,
            "opened_at": self.opened_at,
            "closed_at": self.closed_at,
            "cause": turn.flip.reason.value,
            "ended_by": self.ended_by,
            "disproved": self.disproved,
            "acked_at": None,
            "acked_by": None,
            "alert_key": None,
            "part_of": None,
            "joined_at": None,
        }


def _open(tx: Tx, turns: Sequence[Turn]) -> dict[int, Span]:
    rows = _OPEN.rows(tx, pids=list({turn.pid for turn in turns}), ids=list({turn.check_id for turn in turns}))
    return {row.source_id: Span(row.pid, Incident(row.id, row.uuid, row.part_of), row.opened_at) for row in rows}


def _select_open(tx: Tx) -> sa.Select[Any]:
    """By way of the checks: from lists alone SQLite would read every incident of their projects."""
    of_check = sa.and_(
        incidents.c.pid == checks.c.pid,
        incidents.c.source_kind == sa.literal_column(f"'{OF_CHECK}'"),
        incidents.c.source_id == checks.c.id,
        incidents.c.closed_at.is_(None),
    )
    return (
        sa.select(*(incidents.c[name] for name in ("pid", "id", "uuid", "source_id", "opened_at", "part_of")))
        .join_from(checks, incidents, of_check)
        .where(among(tx, checks.c.pid, "pids"), among(tx, checks.c.id, "ids"))
    )


_OPEN = Prepared(_select_open)
_INSERT = Prepared(lambda _: sa.insert(incidents))
_CLOSE = Prepared(
    lambda _: (
        sa.update(incidents)
        .where(incidents.c.pid == sa.bindparam("b_pid"), incidents.c.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(name) for name in ("closed_at", "ended_by", "disproved")})
    ),
    apart=True,
)
