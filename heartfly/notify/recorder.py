"""Brings outcomes to the database: those of sends that end together in one transaction.

Among many sends an outcome waits some milliseconds for others; the last one under way waits for none. What
cannot be recorded for a while is left to the end of its lease, and then sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Access
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.errors import OverloadedError, StoreError
from heartfly.logs import logger
from heartfly.notify.record import Outcome, record

_GATHER_S = 0.015
_WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)

log = logger("heartfly.notify")


class Recorder:
    def __init__(self, database: Access, *, clock: Clock, ids: IdSource, node_id: int) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._node_id = node_id
        self._gate: asyncio.Future[None] | None = None

    async def record(self, outcome: Outcome, *, last: bool) -> bool:
        """Whether it counted. `last`: no other send is under way, so there is nothing to wait for."""
        await self._gather(last=last)
        for wait_s in _WAITS_S:
            try:
                counted: bool = await self._database.submit(self._apply, outcome, priority=Priority.EDITS)
            except (OverloadedError, StoreError) as error:
                log.warning("delivery_unrecorded", delivery=outcome.claimed.id, error=str(error))
                await self._clock.sleep(wait_s)
            except Exception as error:  # told to the log; the end of its lease decides
                log.exception("delivery_unrecorded", delivery=outcome.claimed.id, error=repr(error))
                return False
            else:
                return counted
        return False

    async def _gather(self, *, last: bool) -> None:
        if self._gate is None:
            self._gate = asyncio.get_running_loop().create_future()
            self._gate.get_loop().call_later(_GATHER_S, self._open, self._gate)
        gate = self._gate
        if last:
            self._open(gate)
        # Shielded: one that is cancelled must not take the others along.
        await asyncio.shield(gate)

    def _open(self, gate: asyncio.Future[None]) -> None:
        if not gate.done():
            gate.set_result(None)
            self._gate = None

    def _apply(self, tx: Tx, outcomes: Sequence[Outcome]) -> list[bool]:
        return record(tx, outcomes, node_id=self._node_id, ids=self._ids)
