"""Which channels chose a digest. The choice is sealed with the rest of a channel's configuration."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.words import Cadence
from heartfly.db.changes import Tx
from heartfly.db.models import channels
from heartfly.errors import StoreError
from heartfly.logs import logger
from heartfly.notify.channels.base import digests_of
from heartfly.sealing import Sealer

log = logger("heartfly.notify")


async def readers(read: AsyncConnection, pid: int, sealer: Sealer) -> dict[Cadence, frozenset[int]]:
    """Each cadence that somebody chose with the ids of these channels.

    A channel that was sealed with a key that is not here any more gets none, as it gets no alarm: its project sees it
    in the list of its channels.
    """
    query = sa.select(channels.c.id, channels.c.uuid, channels.c.config_enc).where(channels.c.pid == pid)
    found: dict[Cadence, set[int]] = {}
    for row in await read.execute(query):
        try:
            chosen = digests_of(msgspec.json.decode(sealer.open(row.config_enc)))
        except StoreError as error:
            log.warning("digest", channel=row.uuid, error=str(error))
            continue
        for cadence in chosen:
            found.setdefault(cadence, set()).add(row.id)
    return {cadence: frozenset(ids) for cadence, ids in found.items()}


def still_there(tx: Tx, pid: int, channel_ids: Collection[int]) -> frozenset[int]:
    """Those of the channels that nobody has deleted since."""
    query = sa.select(channels.c.id).where(channels.c.pid == pid, channels.c.id.in_(channel_ids))
    return frozenset(tx.conn.execute(query).scalars())
