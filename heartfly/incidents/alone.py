"""On PostgreSQL, one node at a time begins or joins causes in a project: two would wait for each other.

Each takes the causes that it sees in the order of their ids. But one that begins just now stands in nobody's sight, and
who begins the same meets it later, out of that order, while he holds others. Nobody waits here with a cause in hand.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from heartfly.db.changes import Tx

_LOCK = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended('causes', pid)) FROM unnest(CAST(:pids AS bigint[])) AS pid"
)


def alone(tx: Tx, pids: Collection[int]) -> None:
    """Until this transaction ends. What others have begun meanwhile is seen by whatever is asked from now on."""
    if tx.on_postgres and pids:
        tx.conn.execute(_LOCK, {"pids": sorted(pids)}).all()
