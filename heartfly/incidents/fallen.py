"""Many checks of hosts that fall silent at one time: those that join a cause which there is do so as they are written.

For who writes them by columns (checks/missed.py). Where there is no cause yet, or the host may have come back since it
began, each is looked at by itself (causes.py); of a storm these are the first few of each host.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import CauseFacts
from heartfly.core.causes import Explains
from heartfly.db.changes import Tx
from heartfly.db.models import check_needs, incidents
from heartfly.db.prepared import Prepared, among
from heartfly.incidents.alone import alone
from heartfly.incidents.hosts import open_of_hosts

Host = tuple[int, str]
"""Project and name."""


@dataclass(frozen=True, slots=True)
class OpenCause:
    """`acked_by` None: nobody takes care of it."""

    facts: CauseFacts
    opened_at: datetime
    acked_by: str | None

    def explains(self, began_at: datetime) -> bool:
        """Whatever went well on the host did so later: there is no need to look for it."""
        return began_at <= self.opened_at


def hold(tx: Tx, pids: Collection[int], hosts: Collection[Host], *, linked: Collection[int]) -> None:
    """All that these hosts, and what checks with links need or are needed by, belong to, in the order of their ids."""
    alone(tx, pids)
    causes = {row.id for row in open_of_hosts(tx, pids, {name for _, name in hosts}, held=False)}
    if linked:
        causes |= {row.part_of for row in _OF_LINKED.rows(tx, linked=list(linked))}
    if causes:
        i = incidents.c
        query = sa.select(i.id).where(i.pid.in_(pids), i.id.in_(causes)).order_by(i.id)
        tx.conn.execute(query.with_for_update(key_share=True)).all()


def _of_linked(tx: Tx) -> sa.Select[Any]:
    i, n = incidents.c, check_needs.c
    needed = sa.select(n.pid, n.needed_id.label("check_id")).where(among(tx, n.check_id, "linked"))
    needing = sa.select(n.pid, n.check_id).where(among(tx, n.needed_id, "linked"))
    related = sa.union(needed, needing).subquery()
    its = sa.and_(
        i.pid == related.c.pid, i.source_kind == sa.literal_column("'check'"), i.source_id == related.c.check_id,
        i.closed_at.is_(None),
    )  # fmt: skip
    return sa.select(i.part_of).join_from(related, incidents, its).where(i.part_of.is_not(None)).distinct()


_OF_LINKED = Prepared(_of_linked)


def open_causes(tx: Tx, hosts: Collection[Host]) -> Mapping[Host, OpenCause]:
    """Those of these hosts. Nobody ends them until this transaction does."""
    rows = open_of_hosts(tx, {pid for pid, _ in hosts}, {name for _, name in hosts}, held=True)
    return {(row.pid, row.source_name): _cause(row) for row in rows}


def _cause(row: Any) -> OpenCause:
    facts = CauseFacts(id=row.id, uuid=row.uuid, what=Explains.HOST.value, name=row.source_name)
    return OpenCause(facts, row.opened_at, None if row.acked_at is None else row.acked_by)


def columns(causes: Sequence[OpenCause | None], opened: Sequence[Any], now: Any) -> Mapping[str, Sequence[Any]]:
    """What the incidents of these checks say of their causes. `opened`, `now`: as the driver has them."""
    acked = [None if one is None else one.acked_by for one in causes]
    return {
        "part_of": [None if one is None else one.facts.id for one in causes],
        "joined_at": [None if one is None else now for one in causes],
        "acked_by": acked,
        "acked_at": [None if by is None else max(at, now) for by, at in zip(acked, opened, strict=True)],
    }
