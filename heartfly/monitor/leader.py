"""One node judges: a lease in the database, by the database's time, with an epoch that fences who lost it.

On SQLite the one process leads, always. On PostgreSQL a node leads for as long as its lease lasts and
stops acting before it can have expired (it trusts its own monotonic clock for a part of the lease only).
Each judging transaction checks its epoch under a lock, so that a leader who slept through his lease
changes nothing. Having no leader is not deafness: pings are heard, alarms wait for the next leader.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.models import leases

LEASE = timedelta(seconds=8)
TRUST = 0.5  # of the lease: after that a renewal must have come through

NAME = "monitor"


class Leader:
    """`epoch` is set while we lead."""

    def __init__(self, *, node_id: int, clock: Clock, may_lead: bool = True) -> None:
        """`may_lead` False: the node has other roles, and leaves it to others. It never resigns what it never had."""
        self._node_id = node_id
        self._clock = clock
        self._may_lead = may_lead
        self._trusted_until = 0.0
        self.epoch: int | None = None

    def campaign(self, tx: Tx) -> bool:
        """Take or renew the lease; whether we lead. Part of each beat."""
        if not tx.on_postgres:
            self.epoch = 1
            return True
        if not self._may_lead:
            return False
        asked = self._clock.monotonic()
        now = sa.func.clock_timestamp()
        statement = insert(leases).values(name=NAME, node_id=self._node_id, epoch=1, expires_at=now + LEASE)
        statement = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "epoch": leases.c.epoch + sa.case((leases.c.node_id == self._node_id, 0), else_=1),
                "node_id": self._node_id,
                "expires_at": now + LEASE,
            },
            where=sa.or_(leases.c.node_id == self._node_id, leases.c.expires_at < now),
        )
        row = tx.conn.execute(statement.returning(leases.c.epoch)).first()
        self.epoch = row.epoch if row is not None else None
        if row is not None:
            self._trusted_until = asked + LEASE.total_seconds() * TRUST
        return row is not None

    def leads(self, tx: Tx) -> bool:
        """Inside a judging transaction: do we lead still? Locks the lease row until the transaction ends."""
        if not tx.on_postgres:
            return self.epoch is not None
        if self.epoch is None or self._clock.monotonic() >= self._trusted_until:
            return False
        query = sa.select(leases.c.node_id, leases.c.epoch).where(leases.c.name == NAME).with_for_update(read=True)
        row = tx.conn.execute(query).one()
        return bool(row.node_id == self._node_id and row.epoch == self.epoch)

    def resign(self, tx: Tx) -> None:
        """Let another node lead at once."""
        if tx.on_postgres:
            tx.conn.execute(sa.delete(leases).where(leases.c.name == NAME, leases.c.node_id == self._node_id))
        self.epoch = None
