"""From a door to the group commit: each ping gets its place in the order, waits for the commit, leaves a log line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime

from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.logs import line
from heartfly.pings.apply import PingApplier
from heartfly.pings.refusals import Refusals
from heartfly.pings.request import PingRequest, PingResult, Target


class Ingest:
    """Also knows which signals are under way: the monitor must not judge their checks past them."""

    def __init__(
        self,
        database: Database,
        applier: PingApplier,
        clock: Clock,
        *,
        timed: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`timed` is told of each ping that was stored how many seconds passed since its receipt."""
        self._database = database
        self._timed = timed
        self._applier = applier
        self._clock = clock
        self._seq = itertools.count(1)
        self._under_way: dict[int, tuple[Target, datetime]] = {}
        self.refusals = Refusals()

    def arrived(self, target: Target) -> tuple[int, datetime]:
        """A signal is at the door: its sequence number and its time of receipt. Pair with `gone`."""
        seq = next(self._seq)
        # It is among those under way before its time is read: the beat, in the writer's thread, reads the time first
        # and then who is under way. Else it could judge past a signal that it has not seen.
        self._under_way[seq] = (target, self._clock.now())
        now = self._clock.now()
        self._under_way[seq] = (target, now)
        return seq, now

    def gone(self, seq: int) -> None:
        self._under_way.pop(seq, None)

    def refused(self, received_at: datetime | None = None) -> None:
        """A signal was told to come again, for a reason of ours; None: it was not even read."""
        now = self._clock.now()
        self.refusals.note(received_at or now, now)

    def under_way(self) -> dict[Target, datetime]:
        """When the oldest signal to each address came that is not committed yet. For any thread."""
        found: dict[Target, datetime] = {}
        for target, at in self._under_way.copy().values():  # a copy: signals come and go meanwhile
            found[target] = min(at, found.get(target, at))
        return found

    async def submit(self, request: PingRequest) -> PingResult:
        """Return after the commit that holds the ping. OverloadedError or StoreError: it was not stored."""
        result: PingResult = await self._database.submit(self._applier.apply, request, priority=Priority.PINGS)
        self._tell(request, result)
        return result

    async def submit_if(self, request: PingRequest, holds: Callable[[Tx], bool]) -> bool:
        """The ping together with a mark that it was made, in one transaction; whether `holds` let it.

        For pings of our own, which are made of rows: a crash leaves both or neither.
        """

        def command(tx: Tx) -> PingResult | None:
            return self._applier.apply(tx, [request])[0] if holds(tx) else None

        result = await self._database.write(command, priority=Priority.PINGS)
        if result is not None:
            self._tell(request, result)
        return result is not None

    def _tell(self, request: PingRequest, result: PingResult) -> None:
        known = bool(result.check_uuid)
        took_s = (self._clock.now() - request.received_at).total_seconds()
        self._timed(took_s)
        line(
            "ping",
            outcome=result.outcome.value,
            check=result.check_uuid if known else None,
            kind=result.kind.value if result.kind else None,
            flip=result.flipped_to or None,
            method=request.method,
            body=request.body_size,
            took_ms=round(took_s * 1000, 1),
        )
