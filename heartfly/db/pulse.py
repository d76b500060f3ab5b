"""Whether anything was committed, by whichever process: a value that is cheap to ask for, several times a second.

Whoever shows what others change asks for it, and looks closer when it is another one.
"""

from __future__ import annotations

import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.models import node_batches, nodes

_DEAD = sa.select(nodes.c.id).where(nodes.c.id == node_batches.c.node_id, nodes.c.fenced_at.is_not(None))
"""They commit nothing, but for a beat by which they live again; their numbers are kept for long."""
_QUERY = sa.select(node_batches).where(~_DEAD.exists()).order_by(node_batches.c.node_id, node_batches.c.lane)


async def pulse(database: Database) -> tuple[object, ...]:
    """Another value than before, whenever something may have been committed since."""
    if not database.on_postgres:
        return (database.n_batches,)  # nobody else writes into the file
    async with database.read() as read:
        return tuple(tuple(row) for row in await read.execute(_QUERY))
