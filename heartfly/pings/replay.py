"""Pings out of a spool into the database: in their order, with their times, once.

Each piece is a transaction of the ordinary handler, in which the number of its last record is written as well, so a
crash between the commit and the end of the file doubles nothing; the next one is read meanwhile. A record that may have
been committed before its connection was lost is settled by the number of its batch. What the database itself does not
take is set aside, so that it holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy.dialects.postgresql import insert

from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.instance import identify
from heartfly.db.models import node_batches
from heartfly.db.postgres import last_batch
from heartfly.errors import HeartflyError, OverloadedError, StoreError
from heartfly.logs import line, logger
from heartfly.pings.apply import PingApplier
from heartfly.pings.spool import Left, Spool
from heartfly.pings.spool_file import Piece, Spooled

log = logger("heartfly.spool")

LANE = 99
"""Of the numbers of records, among those of batches (db/postgres.py)."""
_FEW = 500
_FEW_BYTES = 1_000_000
"""So many records are handed over at once while the door is shut, and so many bytes, at most."""
_AGAIN_S = 0.25
_TROUBLE_S = 5.0
TOO_OLD = timedelta(days=365)
"""What was received before that may be stored already, and nobody knows: the numbers of a life are not kept for ever
(jobs/retention.py).
"""
_LOOK = timedelta(minutes=1)
"""How often files are looked for that other processes on this directory have left."""


@dataclass(frozen=True, slots=True)
class Lot:
    """Some records of one life, in order. `refused`: they are done with, and nothing comes of them."""

    node_id: int
    records: Sequence[Spooled]
    refused: bool = False


class TooOldError(Exception):
    """Nobody knows any more whether it is stored already. `all_are`: no record of the lot is younger."""

    def __init__(self, *, all_are: bool) -> None:
        super().__init__("it was received so long ago that it may be stored already")
        self.all_are = all_are


def _are_many(own: Left) -> bool:
    return own.n > _FEW or (own.n > 0 and own.file.size - own.at > _FEW_BYTES)


class Replay:
    """`spool`: None, there is nothing to replay."""

    def __init__(self, spool: Spool | None, database: Database, applier: PingApplier, clock: Clock) -> None:
        self._of = spool
        self._database = database
        self._applier = applier
        self._clock = clock

    @property
    def _spool(self) -> Spool:
        assert self._of is not None
        return self._of

    async def open(self) -> None:
        """Call before anything listens."""
        if self._of is None:
            return
        identity = await self._database.write(identify, priority=Priority.JUDGING)
        await self._of.open(instance=identity.uuid)
        if self._of.in_use:  # so that who comes now goes behind what an earlier life has left
            await self._of.known.could_read(self._database)

    async def close(self) -> None:
        """What is left stays for the next life."""
        if self._of is not None:
            await self._of.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Bring back whatever lies in the spool, as soon as the database takes it, until stopped."""
        if self._of is None:
            await stop.wait()
        else:
            await asyncio.gather(self._bring_back(stop), self._of.known.run(stop, self._database, self._clock))

    async def _bring_back(self, stop: asyncio.Event) -> None:
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                filled = asyncio.ensure_future(self._spool.filled.wait())
                await asyncio.wait(
                    [stopped, filled], timeout=_LOOK.total_seconds(), return_when=asyncio.FIRST_COMPLETED
                )
                filled.cancel()
                if not stop.is_set():
                    await self._round(stop)
        finally:
            stopped.cancel()

    async def _round(self, stop: asyncio.Event) -> None:
        try:
            await self._spool.take_over()
            await self.drain(stop)
        except HeartflyError as error:
            log.debug("spool_waits", error=str(error))  # the beat has told of it already
            pause_s = _AGAIN_S
        except Exception as error:  # told in the log; what was acknowledged stays where it is, and is tried again
            log.exception("spool", error=repr(error))
            pause_s = _TROUBLE_S
        else:
            return
        again = asyncio.ensure_future(self._clock.sleep(pause_s))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait([again, stopped], return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        stopped.cancel()

    async def drain(self, stop: asyncio.Event) -> None:
        """Raise OverloadedError or StoreError while the database takes nothing."""
        began, n, spool = self._clock.monotonic(), Counter[str](), self._spool
        try:
            for left in list(spool.left):
                n += await self._earlier(left, stop)
            ahead: Piece | None = None
            while _are_many(spool.own) and not stop.is_set():
                some, ahead = await self._piece(spool.own, ahead)
                n += some
            if spool.filled.is_set() and not stop.is_set():
                n += await self._last()
        finally:
            if n:
                left_n = 0 if spool.backlog is None else spool.backlog.n
                line("spool", **dict[str, Any](n), left=left_n, took_ms=round((self._clock.monotonic() - began) * 1000))

    async def _earlier(self, left: Left, stop: asyncio.Event) -> Counter[str]:
        n, ahead = Counter[str](), None
        try:
            while left.n and not stop.is_set():
                some, ahead = await self._piece(left, ahead)
                n += some
        except OSError as error:  # of the disk; what came after must not wait for it
            log.exception("spool_unreadable", file=left.file.path.name, error=repr(error))
            await self._spool.leave(left)
        else:
            if not left.n:
                await self._spool.emptied(left)
        return n

    async def _piece(self, left: Left, piece: Piece | None = None) -> tuple[Counter[str], Piece | None]:
        """Store one, and say what was read of the next one meanwhile; `piece`: what was read of this one.

        None: nothing was, or nothing stood there then.
        """
        n_there = left.n  # what comes to our own meanwhile is not among it
        if piece is None:
            piece = await self._spool.read(left, left.at)
        lot = Lot(left.file.node_id, piece.records)
        n, ahead = await asyncio.gather(
            self._stored(lot), self._spool.read(left, piece.end), return_exceptions=True
        )  # both end here: nobody reads in a file that is emptied
        if isinstance(n, BaseException):
            raise n
        left.done(len(piece.records), piece.end)
        if piece.lost or not piece.records:
            # Its checksum is wrong: whatever it was, it cannot be told any more.
            log.error("spool_damaged", n_bytes=piece.lost)
        if not piece.records:
            left.done(n_there, piece.end)
        # An error of reading is told by whoever reads there again.
        return n, None if isinstance(ahead, BaseException) or not ahead.records else ahead

    async def _last(self) -> Counter[str]:
        """What there is of our own. The door is shut until it stands in the queue, for who comes next is behind it."""
        spool, own = self._spool, self._spool.own
        more = True
        try:
            await spool.shut()
            n_there = own.n
            records, end = await spool.rest()
            lot = Lot(own.file.node_id, records)
            stored = self._database.enter(self.apply, lot, priority=Priority.PINGS)
            n_there = max(n_there, len(records))  # who was on his way to the database may come in by the window
            more = own.n > n_there
        finally:
            spool.reopen(in_use=more)
        try:
            n = await self._or_one_by_one(stored, lot)
        except BaseException:
            spool.in_use = True
            raise
        own.done(n_there, end)
        if len(records) < n_there:
            log.error("spool_damaged", n=n_there - len(records))
        await spool.emptied(own)
        return n

    async def _stored(self, lot: Lot) -> Counter[str]:
        entered = self._database.enter(self.apply, lot, priority=Priority.PINGS)
        return await self._or_one_by_one(entered, lot)

    async def _or_one_by_one(self, stored: asyncio.Future[Any], lot: Lot) -> Counter[str]:
        try:
            n: Counter[str] = await stored
        except (OverloadedError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - one of them is to blame, and the others shall not wait for it
            log.warning("spool", error=repr(error), n=len(lot.records), next="one by one")
            n = Counter()
            together = isinstance(error, TooOldError) and error.all_are
            for one in [lot] if together else [Lot(lot.node_id, [record]) for record in lot.records]:
                n += await self._alone(one)
        for what, how_many in n.items():
            self._spool.count(what, n=how_many)
        return n

    async def _alone(self, lot: Lot) -> Counter[str]:
        try:
            n: Counter[str] = await self._database.submit(self.apply, lot, priority=Priority.PINGS)
        except (OverloadedError, StoreError):
            raise
        except Exception as error:
            log.exception("spool_refused", error=repr(error))
            await self._spool.set_aside(lot.node_id, lot.records)
            await self._database.submit(self.apply, replace(lot, refused=True), priority=Priority.PINGS)
            return Counter(refused=len(lot.records))
        return n

    # --- in the writer's thread

    def apply(self, tx: Tx, lots: Sequence[Lot]) -> list[Counter[str]]:
        """The handler: how many were replayed, were stored already, or are of no check (any more)."""
        return [self._apply(tx, lot) for lot in lots]

    def _apply(self, tx: Tx, lot: Lot) -> Counter[str]:
        through = last_batch(tx, lot.node_id, LANE)
        fresh = [record for record in lot.records if record.n > through]
        if not fresh:
            return Counter()
        n = Counter[str]()
        if not lot.refused:
            lasts = {lane: last_batch(tx, lot.node_id, lane) for lane, _ in {one.maybe for one in fresh if one.maybe}}
            new = [one for one in fresh if one.maybe is None or lasts[one.maybe[0]] < one.maybe[1]]
            now = self._clock.now()
            if n_old := sum(one.request.received_at < now - TOO_OLD for one in new):
                raise TooOldError(all_are=n_old == len(lot.records))
            # Nothing here was received later than now, whatever a clock said that was set back since: else what comes
            # to the same checks until then would be taken for older.
            requests = [
                msgspec.structs.replace(
                    one.request, node_id=lot.node_id, received_at=min(one.request.received_at, now), stored_at=now
                )
                for one in new
            ]
            results = self._applier.apply(tx, requests)
            n.update("replayed" if result.check_uuid else "unknown" for result in results)
            n["stored"] = len(fresh) - len(new)
        statement = insert(node_batches).values(node_id=lot.node_id, lane=LANE, last_batch=fresh[-1].n)
        tx.conn.execute(
            statement.on_conflict_do_update(
                index_elements=["node_id", "lane"], set_={"last_batch": statement.excluded.last_batch}
            )
        )
        return +n
