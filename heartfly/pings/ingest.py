"""From a door to the group commit: each ping gets its place in the order, waits for the commit, leaves a log line.

While PostgreSQL is away, a ping that would be taken goes to this node's spool instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime

from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.errors import AwayError
from heartfly.logs import line
from heartfly.pings.apply import PingApplier
from heartfly.pings.refusals import Refusals
from heartfly.pings.request import PingOutcome, PingRequest, PingResult, Target
from heartfly.pings.spool import Backlog, Spool, SpoolFullError
from heartfly.pings.tally import Tally


class Ingest:
    """Also knows which signals are under way: the monitor must not judge their checks past them."""

    def __init__(
        self,
        database: Database,
        applier: PingApplier,
        clock: Clock,
        *,
        timed: Callable[[float], None] = lambda _: None,
        spool: Spool | None = None,
    ) -> None:
        """`timed` is told of each ping that was stored how many seconds passed since its receipt.

        `spool`: None, there is none, and what cannot be stored is refused.
        """
        self._database = database
        self._timed = timed
        self._applier = applier
        self._clock = clock
        self._seq = itertools.count(1)
        self._under_way: dict[int, tuple[Target, datetime]] = {}
        self.refusals = Refusals()
        self.tally = Tally()
        self.spool = spool

    def backlog(self) -> Backlog | None:
        """What was acknowledged and is not in the database yet. For any thread."""
        return None if self.spool is None else self.spool.backlog

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
        """Return after the commit that holds the ping, or when it is on this node's disk. OverloadedError or
        StoreError: it was not stored.
        """
        self._database.demand_room()
        result = await (self._stored(request) if self.spool is None else self._stored_or_kept(request, self.spool))
        self._tell(request, result)
        return result

    async def _stored(self, request: PingRequest) -> PingResult:
        result: PingResult = await self._database.submit(self._applier.apply, request, priority=Priority.PINGS)
        return result

    async def _stored_or_kept(self, request: PingRequest, spool: Spool) -> PingResult:
        if await spool.turn() and spool.may_keep(request.target):
            try:
                return await _kept(request, spool, None)
            except SpoolFullError:
                pass  # it may be full of what is being replayed just now, by a database that is back
        try:
            result = await self._stored(request)
        except AwayError as away:
            if not spool.may_keep(request.target):
                raise
            return await _kept(request, spool, away.maybe)
        if result.check_uuid:
            spool.known.learn(request.target)
        else:
            spool.known.forget(request.target)
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
        now = self._clock.now()
        took_s = (now - request.received_at).total_seconds()
        if known or result.outcome is PingOutcome.SPOOLED:
            self.tally.note(request.scheme, now)
        if result.outcome is not PingOutcome.SPOOLED:
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


async def _kept(request: PingRequest, spool: Spool, maybe: tuple[int, int] | None) -> PingResult:
    await spool.add(request, maybe)
    return PingResult(PingOutcome.SPOOLED)
